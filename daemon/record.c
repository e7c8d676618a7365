/* SPDX-License-Identifier: MIT */
/*
 * Entries in numbers.
 *
 * A transaction of a script may be several entries (BOs made, ops, VMs destroyed); they are joined, so that the log has
 * all of them or none. Where the log no longer tells what the device maps, since an undo failed, the engine remembers
 * that, and before it records anything else it logs the state anew: a start, all objects, all mappings, as one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "adoption.h"
#include "record.h"
#include "say.h"
#include "util.h"

#define OPS_AN_ENTRY 4096

static void on_done(void *data, uint64_t seq, int result)
{
	struct record *record = data;

	if (result == 0)
		atomic_fetch_add(&record->recorded, 1);
	atomic_fetch_add(&record->answered, 1); /* the last touch: the record may be gone after it */
}

int record_append(struct record *record, const struct panbind_log_entry *entry)
{
	int r;

	if (record->error.code)
		return record->error.code;
	if (record->whole && !record->joined) {
		panbind_log_join(record->engine->log);
		record->joined = true;
	}
	r = panbind_log_append(record->engine->log, entry, record->durability, on_done, record, &record->seq,
			       &record->error);
	if (r == 0)
		record->appended++;
	else
		record->error.code = r;
	return r;
}

/* ---- Generations ---- */

struct raised {
	enum object_kind kind;
	char *name;
	uint64_t before, bo_before;
	struct panbind_bo *bo; /* or NULL */
};

static int next_generation(struct record *record, enum object_kind kind, const char *name, struct panbind_bo *bo,
			   uint64_t *ret_generation)
{
	struct registry *registry = &record->engine->registry;
	struct raised raised = {.kind = kind, .before = registry_get(registry, kind, name), .bo = bo};

	if (record->raised_count == record->raised_room) {
		size_t room = record->raised_room ? 2 * record->raised_room : 16;
		struct raised *grown = reallocarray(record->raised, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		record->raised = grown;
		record->raised_room = room;
	}
	raised.bo_before = bo ? panbind_bo_generation(bo) : 0;
	raised.name = strdup(name);
	*ret_generation = raised.before + 1;
	if (!raised.name || registry_set(registry, kind, name, *ret_generation) < 0) {
		free(raised.name);
		return -ENOMEM;
	}
	if (bo)
		panbind_bo_set_generation(bo, *ret_generation);
	record->raised[record->raised_count++] = raised;
	return 0;
}

static void end_raised(struct record *record, bool put_back)
{
	while (record->raised_count > 0) {
		struct raised *raised = &record->raised[--record->raised_count];

		if (put_back) {
			registry_set(&record->engine->registry, raised->kind, raised->name, raised->before);
			if (raised->bo)
				panbind_bo_set_generation(raised->bo, raised->bo_before);
		}
		free(raised->name);
	}
	free(take_ptr(record->raised));
	record->raised_room = 0;
}

/* ---- The end ---- */

static int fail(struct record *record, int r)
{
	end_raised(record, atomic_load(&record->recorded) == 0);
	if (atomic_load(&record->recorded) > 0)
		record->engine->diverged = true;
	if (record->error.code == 0) {
		record->error.code = r < 0 ? r : -EIO;
		record->error.stage = PANBIND_STAGE_JOURNAL;
		record->error.op = PANBIND_NO_OP;
		snprintf(record->error.msg, sizeof(record->error.msg), "the log could not record it: %s",
			 strerror(-record->error.code));
	}
	return record->error.code;
}

int record_finish(struct record *record)
{
	const struct timespec moment = {.tv_nsec = 20000};
	int r = record->error.code;

	if (record->joined)
		panbind_log_join_end(record->engine->log, r == 0);
	if (record->appended > 0)
		r = panbind_log_flush(record->engine->log);
	while (atomic_load(&record->answered) < record->appended)
		nanosleep(&moment, NULL);
	if (record->error.code != 0 || atomic_load(&record->recorded) != record->appended)
		return fail(record, r);
	end_raised(record, false);
	return 0;
}

/* ---- State ---- */

static void fill_entry(const struct record *record, struct panbind_log_entry *entry, enum panbind_log_kind kind,
		       const char *comment)
{
	if (record->request) {
		engine_fill_entry(record->request, kind, entry);
		entry->txn_id = entry->digest = NULL; /* one entry alone could have them */
		entry->comment = comment;
	} else {
		*entry = (struct panbind_log_entry){.kind = kind, .failing_op = PANBIND_NO_OP, .comment = comment};
		entry->uid = geteuid();
		entry->gid = getegid();
		entry->pid = getpid();
	}
	entry->durability = PANBIND_LOG_DURABLE_SYNC;
}

int record_bo(struct record *record, const char *name, struct panbind_bo *bo, const char *comment)
{
	struct panbind_log_entry entry;
	uint64_t generation;

	if (next_generation(record, OBJECT_BO, name, bo, &generation) < 0)
		return record->error.code = -ENOMEM;
	fill_entry(record, &entry, PANBIND_LOG_BO_CREATE, comment);
	entry.object.ref = (struct panbind_log_ref){name, generation};
	entry.object.size = panbind_bo_size(bo);
	entry.object.flags = panbind_bo_flags(bo);
	if (adopted_has_bo(record->engine, name))
		entry.object.flags |= PANBIND_LOG_ADOPTED;
	entry.object.exclusive_vm.name = panbind_session_bo_vm(record->engine->session, bo);
	return record_append(record, &entry);
}

int record_vm(struct record *record, const char *name, const char *comment)
{
	const struct panbind_vm *vm = panbind_session_vm(record->engine->session, name);
	struct panbind_log_entry entry;
	uint64_t generation;

	if (next_generation(record, OBJECT_VM, name, NULL, &generation) < 0)
		return record->error.code = -ENOMEM;
	fill_entry(record, &entry, PANBIND_LOG_VM_CREATE, comment);
	entry.object.ref = (struct panbind_log_ref){name, generation};
	entry.object.size = panbind_vm_va_range(vm);
	entry.object.flags = panbind_vm_is_adopted(vm) ? PANBIND_LOG_ADOPTED : 0;
	return record_append(record, &entry);
}

/** Ops on their way into entries, and names for BOs that have lost theirs. */
struct writer {
	struct record *record;
	const char *vm, *comment;
	struct panbind_log_op *ops;
	size_t count;
	struct unnamed {
		struct panbind_bo *bo;
		char name[32];
	} * unnamed;
	size_t unnamed_count;
};

static int flush(struct writer *writer)
{
	struct panbind_log_entry entry;

	if (writer->count == 0)
		return 0;
	fill_entry(writer->record, &entry, PANBIND_LOG_BIND, writer->comment);
	entry.ops = writer->ops;
	entry.op_count = writer->count;
	entry.applied = (uint32_t)writer->count;
	writer->count = 0;
	return record_append(writer->record, &entry);
}

static int add_op(struct writer *writer, const struct panbind_log_op *op)
{
	writer->ops[writer->count] = *op;
	writer->ops[writer->count++].vm.name = writer->vm;
	return writer->count == OPS_AN_ENTRY ? flush(writer) : 0;
}

/** A BO that only mappings hold: it gets a name in the log, for as long as it takes to map it. */
static const char *name_of(struct writer *writer, struct panbind_bo *bo)
{
	struct engine *engine = writer->record->engine;
	const char *name = panbind_session_bo_name(engine->session, bo);
	struct unnamed *grown;
	unsigned int number = 0;

	for (size_t i = 0; !name && i < writer->unnamed_count; i++)
		if (writer->unnamed[i].bo == bo)
			return writer->unnamed[i].name;
	if (name)
		return name;
	grown = reallocarray(writer->unnamed, writer->unnamed_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	writer->unnamed = grown;
	grown += writer->unnamed_count;
	grown->bo = bo;
	do
		snprintf(grown->name, sizeof(grown->name), "_unnamed.%zu.%u", writer->unnamed_count, number++);
	while (panbind_session_bo(engine->session, grown->name));
	return record_bo(writer->record, grown->name, bo, writer->comment) < 0
		       ? NULL
		       : writer->unnamed[writer->unnamed_count++].name;
}

static int add_regions(struct writer *writer, struct panbind_vm *vm)
{
	struct panbind_log_op op = {.type = PANBIND_LOG_SPARSE_RESERVE};
	uint64_t at = 0;
	int r = 0;

	for (; r == 0 && panbind_sparse_next_region(vm, at, &op.va, &op.size) == 0; at = op.va + op.size)
		r = add_op(writer, &op);
	return r;
}

static int add_mapping(struct writer *writer, const struct panbind_mapping *mapping)
{
	struct panbind_log_op op = {
		.type = mapping->sparse ? PANBIND_LOG_MAP_SPARSE : PANBIND_LOG_MAP,
		.va = mapping->va,
		.size = mapping->size,
		.bo_offset = mapping->bo_offset,
		.flags = mapping->sparse ? 0 : mapping->flags,
	};

	/* Creating a BO is an entry, and must stand before the one that maps it. */
	if (!mapping->sparse && !(op.bo.name = name_of(writer, mapping->bo)))
		return -ENOMEM;
	return add_op(writer, &op);
}

static int end_unnamed(struct writer *writer)
{
	int r = flush(writer);

	for (size_t i = 0; r == 0 && i < writer->unnamed_count; i++)
		r = record_end(writer->record, PANBIND_LOG_BO_DESTROY, writer->unnamed[i].name, writer->comment);
	free(writer->unnamed);
	return r;
}

int record_ops(struct record *record, const struct panbind_log_op *ops, size_t count, const char *comment)
{
	struct panbind_log_entry entry;
	int r = 0;

	for (size_t at = 0; r == 0 && at < count; at += OPS_AN_ENTRY) {
		fill_entry(record, &entry, PANBIND_LOG_BIND, comment);
		entry.ops = ops + at;
		entry.op_count = count - at < OPS_AN_ENTRY ? count - at : OPS_AN_ENTRY;
		entry.applied = (uint32_t)entry.op_count;
		r = record_append(record, &entry);
	}
	return r;
}

int record_unknown(struct record *record, const char *name, const char *comment)
{
	struct panbind_vm *vm = panbind_session_vm(record->engine->session, name);
	struct panbind_log_op op = {.type = PANBIND_LOG_UNKNOWN, .vm = {.name = name}};
	uint64_t at = 0;
	int r = 0;

	for (; r == 0 && panbind_vm_next_unknown(vm, at, &op.va, &op.size) == 0; at = op.va + op.size)
		r = record_ops(record, &op, 1, comment);
	return r;
}

int record_end(struct record *record, enum panbind_log_kind kind, const char *name, const char *comment)
{
	struct panbind_log_entry entry;

	fill_entry(record, &entry, kind, comment);
	entry.object.ref.name = name;
	return record_append(record, &entry);
}

int record_loss(struct record *record, const char *name, const char *comment)
{
	struct panbind_log_entry entry;

	fill_entry(record, &entry, PANBIND_LOG_VM_LOST, comment);
	entry.object.ref.name = name;
	return record_append(record, &entry);
}

int record_map(struct record *record, const char *name, const char *comment)
{
	autofree struct panbind_log_op *ops = calloc(OPS_AN_ENTRY, sizeof(*ops));
	struct writer writer = {.record = record, .vm = name, .comment = comment, .ops = ops};
	struct panbind_vm *vm = panbind_session_vm(record->engine->session, name);
	struct panbind_mapping mapping;
	int r = ops ? add_regions(&writer, vm) : -ENOMEM, end;
	uint64_t va = 0;

	for (; r == 0 && panbind_vm_next_mapping(vm, va, &mapping) == 0; va = mapping.va + mapping.size)
		r = add_mapping(&writer, &mapping);
	end = end_unnamed(&writer);
	r = r < 0 ? r : end;
	if (r == 0)
		r = record_unknown(record, name, comment);
	if (r == 0 && panbind_vm_poison_reason(vm))
		r = record_loss(record, name, panbind_vm_poison_reason(vm));
	if (r < 0 && record->error.code == 0)
		record->error.code = r;
	return r;
}

static void record_all(struct record *record)
{
	static const char comment[] = "the state of the device, logged anew";
	struct panbind_session *session = record->engine->session;
	struct panbind_log_entry entry;
	struct panbind_bo *bo;
	const char *name;

	fill_entry(record, &entry, PANBIND_LOG_START, comment);
	record_append(record, &entry);
	for (size_t i = 0; (name = panbind_session_vm_name(session, i)); i++)
		record_vm(record, name, comment);
	for (size_t i = 0; (bo = panbind_session_bo_at(session, i)); i++)
		record_bo(record, panbind_session_bo_name(session, bo), bo, comment);
	for (size_t i = 0; (name = panbind_session_vm_name(session, i)); i++)
		record_map(record, name, comment);
}

int record_state(struct engine *engine, struct panbind_error *reterr)
{
	struct record record = {.engine = engine, .durability = PANBIND_LOG_DURABLE_SYNC, .whole = true};
	int r;

	say(SAY_WARNING, "%s: the log does not match the device after a failure: logging its state anew", engine->name);
	units_drain(engine);
	record_all(&record);
	r = record_finish(&record);
	engine->diverged = r < 0;
	*reterr = record.error;
	return r;
}
