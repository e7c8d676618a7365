/* SPDX-License-Identifier: MIT */
/* A Chrome trace of entries and calls. See perfetto.h. */
#include "perfetto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "output.h"
#include "ranges.h"

#define NAME_KEY      400
#define FIRST_SPARE   1000000000 /* thread ids that no kernel gives: for calls of one process that overlap */
#define SPARE_THREADS 16	 /* of a process; what overlaps even more stands on the last one */

/** A row of the picture. */
struct row {
	int32_t pid, of_tid; /* the thread that it is, or is a spare one of */
	int32_t tid;	     /* as it is written */
	uint64_t end_ns;     /* of the last slice on it */
};

/** A VM and what it maps. */
struct counted_vm {
	int32_t pid; /* whose counter it is */
	struct ranges mapped;
	uint64_t told; /* bytes that were written last */
	bool tell;
};

/** Who signals a point, and which asynchronous slice ends when that is seen. */
struct signal {
	uint64_t start_ns;
	size_t row_index; /* where its slice is */
	uint64_t flight;  /* id of an asynchronous slice that is open, or 0 */
};

struct perfetto {
	FILE *stream;
	bool some; /* events are there */
	uint64_t base_ns;
	uint64_t last_flow, last_flight;
	struct row *rows;
	size_t row_count, row_room;
	struct counted_vm *vms;
	size_t vm_count, vm_room;
	struct signal *signals;
	size_t signal_count, signal_room;
	json_t *vm_names, *signal_names, *processes; /* name -> index; pid -> true */
	json_t *source;
};

/* ---- Events ---- */

/* Microseconds to the nanosecond, which a real number would not keep. */
static void write_us(FILE *stream, const char *key, uint64_t ns)
{
	fprintf(stream, "\"%s\":%" PRIu64 ".%03u,", key, ns / 1000, (unsigned)(ns % 1000));
}

static void write_lasting(struct perfetto *p, json_t *event, uint64_t ns, const uint64_t *duration_ns)
{
	char *text = json_dumps(event, JSON_COMPACT);

	json_decref(event);
	if (!text)
		return;
	fputs(p->some ? ",\n{" : "\n{", p->stream);
	write_us(p->stream, "ts", ns > p->base_ns ? ns - p->base_ns : 0);
	if (duration_ns)
		write_us(p->stream, "dur", *duration_ns);
	fputs(text + 1, p->stream);
	p->some = true;
	free(text);
}

static void write_event(struct perfetto *p, json_t *event, uint64_t ns)
{
	write_lasting(p, event, ns, NULL);
}

static json_t *event_of(const char *phase, const char *name, const char *category, int32_t pid, int32_t tid)
{
	return json_pack("{s:s, s:o, s:s, s:i, s:i}", "ph", phase, "name", output_json_text(name), "cat", category,
			 "pid", pid, "tid", tid);
}

static void write_name(struct perfetto *p, const char *what, int32_t pid, int32_t tid, const char *name)
{
	json_t *event = event_of("M", what, "__metadata", pid, tid);

	json_object_set_new(event, "args", json_pack("{s:o}", "name", output_json_text(name)));
	write_event(p, event, p->base_ns);
}

/* ---- Rows ---- */

static void *grow(void *at, size_t count, size_t *room, size_t element)
{
	if (!at || count == *room) {
		size_t larger = count ? count * 2 : 16;
		void *more = reallocarray(at, larger, element);

		if (!more)
			return NULL;
		at = more;
		*room = larger;
	}
	memset((char *)at + count * element, 0, element);
	return at;
}

static void name_process(struct perfetto *p, int32_t pid, const char *argv)
{
	char key[OUT_NUMBER], name[128];

	snprintf(key, sizeof(key), "%" PRId32, pid);
	if (json_object_get(p->processes, key))
		return;
	json_object_set_new(p->processes, key, json_true());
	snprintf(name, sizeof(name), "%s", argv ? argv : pid ? "program" : "not known who");
	write_name(p, "process_name", pid, pid, name);
}

static int add_row(struct perfetto *p, int32_t pid, int32_t tid, unsigned spare, size_t *ret_row)
{
	struct row *rows = grow(p->rows, p->row_count, &p->row_room, sizeof(*rows));
	char name[64];

	if (!rows)
		return -ENOMEM;
	p->rows = rows;
	rows[p->row_count] =
		(struct row){.pid = pid, .of_tid = tid, .tid = spare ? FIRST_SPARE + (int32_t)p->row_count : tid};
	snprintf(name, sizeof(name), "thread %" PRId32, tid);
	if (spare)
		snprintf(name, sizeof(name), "thread %" PRId32 " (%u)", tid, spare + 1);
	write_name(p, "thread_name", pid, rows[p->row_count].tid, name);
	*ret_row = p->row_count++;
	return 0;
}

/* The row of a slice. A thread has one call at a time, but a process whose threads are not known may have several. */
static int place(struct perfetto *p, int32_t pid, int32_t tid, uint64_t start_ns, uint64_t end_ns, size_t *ret_row)
{
	unsigned spares = 0;
	size_t row = 0, last = 0;
	int err = 0;

	if (tid == 0)
		tid = pid;
	for (row = 0; row < p->row_count; row++) {
		if (p->rows[row].pid != pid || p->rows[row].of_tid != tid)
			continue;
		last = row;
		if (p->rows[row].end_ns <= start_ns || ++spares == SPARE_THREADS)
			break;
	}
	if (row == p->row_count)
		err = add_row(p, pid, tid, spares, &row);
	else
		row = last;
	if (err == 0) {
		if (end_ns > p->rows[row].end_ns)
			p->rows[row].end_ns = end_ns;
		*ret_row = row;
	}
	return err;
}

static void write_slice(struct perfetto *p, const char *name, const char *category, size_t row, uint64_t start_ns,
			uint64_t duration_ns, json_t *args)
{
	json_t *event = event_of("X", name, category, p->rows[row].pid, p->rows[row].tid);

	if (args)
		json_object_set_new(event, "args", args);
	write_lasting(p, event, start_ns, &duration_ns);
}

/* ---- Syncs ---- */

/* The signal of "NAME[:POINT]", or NULL. A later point of a timeline stands for an earlier one only by its own name. */
static struct signal *find_signal(struct perfetto *p, const char *name)
{
	const json_t *index = json_object_get(p->signal_names, name);

	return index ? &p->signals[json_integer_value(index)] : NULL;
}

static int note_signal(struct perfetto *p, const char *name, size_t row, uint64_t start_ns, uint64_t flight)
{
	struct signal *signal = find_signal(p, name);

	if (!signal) {
		struct signal *signals = grow(p->signals, p->signal_count, &p->signal_room, sizeof(*signals));

		if (!signals)
			return -ENOMEM;
		p->signals = signals;
		json_object_set_new(p->signal_names, name, json_integer((json_int_t)p->signal_count));
		signal = &signals[p->signal_count++];
	}
	*signal = (struct signal){.start_ns = start_ns, .row_index = row, .flight = flight};
	return 0;
}

static void write_arrow(struct perfetto *p, const struct signal *from, const char *name, size_t row, uint64_t start_ns)
{
	const struct row *begin = &p->rows[from->row_index], *end = &p->rows[row];
	json_t *event = event_of("s", name, "sync", begin->pid, begin->tid);

	p->last_flow++;
	json_object_set_new(event, "id", json_integer((json_int_t)p->last_flow));
	write_event(p, event, from->start_ns);
	event = event_of("f", name, "sync", end->pid, end->tid);
	json_object_set_new(event, "id", json_integer((json_int_t)p->last_flow));
	json_object_set_new(event, "bp", json_string("e"));
	write_event(p, event, start_ns);
}

static void write_flight(struct perfetto *p, const char *phase, const char *name, size_t row, uint64_t id, uint64_t ns)
{
	json_t *event = event_of(phase, name, "flight", p->rows[row].pid, p->rows[row].tid);

	json_object_set_new(event, "id", json_integer((json_int_t)id));
	write_event(p, event, ns);
}

/* A wait that has seen a fence: whatever was to signal it is over at the latest now. */
static void land(struct perfetto *p, struct signal *signal, uint64_t ns)
{
	if (!signal->flight)
		return;
	write_flight(p, "b", "in flight", signal->row_index, signal->flight, signal->start_ns);
	write_flight(p, "e", "in flight", signal->row_index, signal->flight,
		     ns > signal->start_ns ? ns : signal->start_ns);
	for (size_t i = 0; i < p->signal_count; i++)
		if (&p->signals[i] != signal && p->signals[i].flight == signal->flight)
			p->signals[i].flight = 0;
	signal->flight = 0;
}

/* One word of a list of syncs: its name without "wait=", and whether it is a wait. */
static bool next_sync(const char **text, char name[NAME_KEY], bool *ret_wait)
{
	const char *at = *text + strspn(*text, " ");
	size_t size = strcspn(at, " ");
	const char *equals = memchr(at, '=', size);
	size_t skip = equals ? (size_t)(equals - at) + 1 : 0;

	*text = at + size;
	*ret_wait = *at == 'w' || !equals;
	snprintf(name, NAME_KEY, "%.*s", (int)(size - skip), at + skip);
	return size != 0;
}

static int write_syncs(struct perfetto *p, const struct panbind_log_entry *entry, size_t row, uint64_t start_ns)
{
	uint64_t flight = 0;
	char name[NAME_KEY];
	bool wait;
	int err = 0;

	for (size_t i = 0; i < entry->op_count && err == 0; i++) {
		const char *text = entry->ops[i].syncs ? entry->ops[i].syncs : "";

		while (err == 0 && next_sync(&text, name, &wait)) {
			const struct signal *signal = wait ? find_signal(p, name) : NULL;

			if (signal)
				write_arrow(p, signal, name, row, start_ns);
			if (wait)
				continue;
			flight = flight ? flight : ++p->last_flight;
			err = note_signal(p, name, row, start_ns, flight);
		}
	}
	return err;
}

/* ---- VMs ---- */

static int find_vm(struct perfetto *p, const struct panbind_log_ref *vm, int32_t pid, struct counted_vm **ret_vm)
{
	char key[NAME_KEY];
	const json_t *index;
	struct counted_vm *vms;

	snprintf(key, sizeof(key), "%s#%" PRIu64, vm->name, vm->generation);
	index = json_object_get(p->vm_names, key);
	if (index) {
		*ret_vm = &p->vms[json_integer_value(index)];
		return 0;
	}
	vms = grow(p->vms, p->vm_count, &p->vm_room, sizeof(*vms));
	if (!vms)
		return -ENOMEM;
	p->vms = vms;
	vms[p->vm_count].pid = pid;
	json_object_set_new(p->vm_names, key, json_integer((json_int_t)p->vm_count));
	*ret_vm = &vms[p->vm_count++];
	return 0;
}

static void write_counter(struct perfetto *p, struct counted_vm *vm, const struct panbind_log_ref *ref, uint64_t ns)
{
	char name[NAME_KEY];
	json_t *event;

	if (vm->mapped.bytes == vm->told)
		return;
	snprintf(name, sizeof(name), "mapped in %s", ref->name);
	if (ref->generation > 1)
		snprintf(name, sizeof(name), "mapped in %s#%" PRIu64, ref->name, ref->generation);
	event = event_of("C", name, "memory", vm->pid, vm->pid);
	json_object_set_new(event, "args", json_pack("{s:I}", "bytes", (json_int_t)vm->mapped.bytes));
	write_event(p, event, ns);
	vm->told = vm->mapped.bytes;
}

static int count_op(struct perfetto *p, const struct panbind_log_op *op, int32_t pid)
{
	struct counted_vm *vm;
	int err = op->vm.name ? find_vm(p, &op->vm, pid, &vm) : -ENOENT;

	if (err < 0 || op->type == PANBIND_LOG_SYNC_ONLY)
		return err == -ENOENT ? 0 : err;
	vm->tell = true;
	if (op->type == PANBIND_LOG_MAP || op->type == PANBIND_LOG_SPARSE_BIND)
		return ranges_add(&vm->mapped, op->va, op->size);
	return ranges_remove(&vm->mapped, op->va, op->size);
}

/* What the applied ops of an entry leave mapped, told once for each VM. */
static int count_ops(struct perfetto *p, const struct panbind_log_entry *entry, uint64_t ns)
{
	size_t count = entry->outcome == PANBIND_OUTCOME_APPLIED ? entry->op_count
		       : entry->applied < entry->op_count	 ? entry->applied
								 : 0;
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++)
		err = count_op(p, &entry->ops[i], entry->pid);
	for (size_t i = 0; i < count && err == 0; i++) {
		struct counted_vm *vm;

		if (entry->ops[i].vm.name && find_vm(p, &entry->ops[i].vm, entry->pid, &vm) == 0 && vm->tell) {
			vm->tell = false;
			write_counter(p, vm, &entry->ops[i].vm, ns);
		}
	}
	return err;
}

static int end_vm(struct perfetto *p, const struct panbind_log_entry *entry, uint64_t ns)
{
	struct counted_vm *vm;
	int err = find_vm(p, &entry->object.ref, entry->pid, &vm);

	if (err < 0)
		return err;
	ranges_free(&vm->mapped);
	write_counter(p, vm, &entry->object.ref, ns);
	return 0;
}

int perfetto_state(struct perfetto *p, const struct panbind_log_state *state)
{
	const struct panbind_log_state_object *object;
	struct panbind_log_mapping mapping;
	struct counted_vm *vm;
	int err = 0;

	for (size_t i = 0; err == 0 && (object = panbind_log_state_vm(state, i)); i++) {
		err = find_vm(p, &object->object.ref, 0, &vm);
		for (uint64_t va = 0; err == 0 && panbind_log_state_next_mapping(state, i, va, &mapping) == 0;
		     va = mapping.va + mapping.size)
			if (mapping.bo.name)
				err = ranges_add(&vm->mapped, mapping.va, mapping.size);
		if (err == 0)
			write_counter(p, vm, &object->object.ref, 0);
	}
	return err;
}

/* ---- Entries ---- */

/* "map", "3 unmap", "16 ops" */
static const char *slice_name(const struct panbind_log_entry *entry, char name[64])
{
	enum panbind_log_op_type type;

	if (entry->kind != PANBIND_LOG_BIND)
		return panbind_log_kind_name(entry->kind);
	if (entry->op_count == 0)
		return "bind";
	type = entry->ops[0].type;
	for (size_t i = 1; i < entry->op_count; i++)
		if (entry->ops[i].type != type) {
			snprintf(name, 64, "%zu ops", entry->op_count);
			return name;
		}
	if (entry->op_count == 1)
		return panbind_log_op_name(type);
	snprintf(name, 64, "%zu %s", entry->op_count, panbind_log_op_name(type));
	return name;
}

/* The entry as `log export` has it, without what the slice itself says; of one op its fields stand at the top, where
 * the picture shows them. */
static json_t *slice_args(const struct panbind_log_entry *entry)
{
	static const char *const said[] = {"time", "pid", "tid", "latency_ns", "durability", "kind"};
	json_t *args = entry_json(entry), *ops = json_object_get(args, "ops");

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		json_object_del(args, said[i]);
	if (!entry->seq) /* of a trace, not of a log */
		json_object_del(args, "seq");
	if (entry->outcome != PANBIND_OUTCOME_PARTIAL) /* the outcome says it */
		json_object_del(args, "applied");
	json_object_set_new(args, "result", json_string(entry->result ? panbind_errno_name(entry->result) : "ok"));
	if (json_array_size(ops) == 1) {
		json_object_update_missing(args, json_array_get(ops, 0));
		json_object_del(args, "ops");
	}
	return args;
}

int perfetto_entry(struct perfetto *p, const struct panbind_log_entry *entry, int32_t tid)
{
	uint64_t end = entry->time_ns > 0 ? (uint64_t)entry->time_ns : 0;
	uint64_t latency = entry->latency_ns < end ? entry->latency_ns : end, start = end - latency;
	char name[64];
	size_t row;
	int err;

	if (!p->base_ns)
		p->base_ns = start;
	if (entry->kind == PANBIND_LOG_START)
		return perfetto_mark(p, "start of a new, empty device", start);
	name_process(p, entry->pid, entry->argv);
	err = place(p, entry->pid, tid, start, end, &row);
	if (err < 0)
		return err;
	write_slice(p, slice_name(entry, name), entry->flags & PANBIND_LOG_ASYNC ? "async" : "sync", row, start,
		    latency, slice_args(entry));
	if (entry->kind == PANBIND_LOG_VM_DESTROY && !entry->result)
		return end_vm(p, entry, end);
	err = count_ops(p, entry, end);
	return err < 0 || entry->outcome != PANBIND_OUTCOME_APPLIED ? err : write_syncs(p, entry, row, start);
}

int perfetto_call(struct perfetto *p, const struct perfetto_call *call)
{
	const char *text = call->waits ? call->waits : "";
	char name[NAME_KEY];
	bool wait;
	size_t row;
	int err;

	if (!p->base_ns)
		p->base_ns = call->start_ns;
	name_process(p, call->pid, NULL);
	err = place(p, call->pid, call->tid, call->start_ns, call->start_ns + call->duration_ns, &row);
	if (err < 0) {
		json_decref(call->args);
		return err;
	}
	write_slice(p, call->name, "call", row, call->start_ns, call->duration_ns, call->args);
	while (next_sync(&text, name, &wait)) {
		struct signal *signal = find_signal(p, name);

		if (!signal)
			continue;
		write_arrow(p, signal, name, row, call->start_ns);
		if (call->seen)
			land(p, signal, call->start_ns + call->duration_ns);
	}
	return 0;
}

int perfetto_mark(struct perfetto *p, const char *text, uint64_t ns)
{
	json_t *event = event_of("i", text, "mark", 0, 0);

	if (!p->base_ns)
		p->base_ns = ns;
	json_object_set_new(event, "s", json_string("g"));
	write_event(p, event, ns);
	return 0;
}

/* ---- Beginning and end ---- */

int perfetto_create(FILE *stream, const char *source, struct perfetto **ret_perfetto)
{
	struct perfetto *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->stream = stream;
	p->vm_names = json_object();
	p->signal_names = json_object();
	p->processes = json_object();
	p->source = output_json_text(source);
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", stream);
	*ret_perfetto = p;
	return 0;
}

void perfetto_destroy(struct perfetto *p)
{
	json_t *other;
	char base[OUT_NUMBER];

	if (!p)
		return;
	other = json_pack("{s:O, s:o}", "made_of", p->source, "begins_at_ns",
			  json_string(output_hex(base, p->base_ns)));
	fputs("\n],\"otherData\":", p->stream);
	json_dumpf(other, p->stream, JSON_COMPACT);
	fputs("}\n", p->stream);
	json_decref(other);
	for (size_t i = 0; i < p->vm_count; i++)
		ranges_free(&p->vms[i].mapped);
	json_decref(p->vm_names);
	json_decref(p->signal_names);
	json_decref(p->processes);
	json_decref(p->source);
	free(p->rows);
	free(p->vms);
	free(p->signals);
	free(p);
}
