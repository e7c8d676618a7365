/* SPDX-License-Identifier: MIT */
/* A trace to a log or to a picture of its times: lines as calls, calls as entries. See import.h, call_log.h,
 * perfetto.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "call_log.h"
#include "import.h"
#include "limit.h"
#include "perfetto.h"

#define VA_RANGE_UNKNOWN (UINT64_C(1) << 47) /* what panthor gives a VM on a GPU of 48 bits */

/** A trace on its way into a log, or into a picture. */
struct log_import {
	struct import *import;
	const char *path;
	struct panbind_log_import *log;
	struct perfetto *perfetto;
	const struct trace_record *record; /* what is being converted */
	struct call_log *calls;
	struct trace_bind bind;
	struct panbind_error error;
	uint64_t entries;
	char mark[256], prefix[IMPORT_NAME];
	bool marked; /* the next entry begins what the mark says */
};

static int on_entry(void *data, const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	struct log_import *to = data;
	struct panbind_log_entry numbered = *entry;
	int err;

	if (to->perfetto) {
		to->entries++;
		return perfetto_entry(to->perfetto, entry,
				      to->record && to->record->tid > 0 ? (int32_t)to->record->tid : 0);
	}
	numbered.seq = to->entries + 1;
	if (to->marked && !numbered.comment)
		numbered.comment = to->mark;
	err = panbind_log_import_entry(to->log, &numbered, reterr);
	if (err == 0) {
		to->entries++;
		to->marked = false;
	}
	return err;
}

/* ---- Lines to calls: 1 and a call, 0: nothing to a log, or -EINVAL, reported ---- */

static int id_of(struct trace *trace, const struct trace_record *record, const json_t *object, const char *parent,
		 const char *key, uint32_t *ret_id)
{
	uint64_t id;

	if (trace_number(trace, record, object, parent, key, &id))
		return -EINVAL;
	if (id > UINT32_MAX)
		return trace_fail(trace, record, key, "does not fit into 32 bits");
	*ret_id = (uint32_t)id;
	return 0;
}

/* The id that a creation gave out, if it did. */
static int new_id(struct trace *trace, const struct trace_record *record, const char *key, struct call *call)
{
	return call->err ? 0 : id_of(trace, record, record->out, "out", key, &call->id);
}

static int read_vm_create(struct log_import *to, const struct trace_record *record, struct call *call)
{
	struct trace *trace = &to->import->trace;

	call->type = CALL_VM_CREATE;
	if (trace_number_or(trace, record, record->args, "args", "user_va_range", 0, &call->size) ||
	    new_id(trace, record, "id", call))
		return -EINVAL;
	if (!call->err && !call->size &&
	    trace_number_or(trace, record, record->out, "out", "user_va_range", 0, &call->size))
		return -EINVAL;
	return 1;
}

static int read_vm_destroy(struct log_import *to, const struct trace_record *record, struct call *call)
{
	call->type = CALL_VM_DESTROY;
	return id_of(&to->import->trace, record, record->args, "args", "id", &call->id) ? -EINVAL : 1;
}

static int read_bo_create(struct log_import *to, const struct trace_record *record, struct call *call)
{
	struct trace *trace = &to->import->trace;
	uint64_t flags, exclusive;

	call->type = CALL_BO_CREATE;
	if (trace_number(trace, record, record->args, "args", "size", &call->size) ||
	    trace_number_or(trace, record, record->args, "args", "flags", 0, &flags) ||
	    trace_number_or(trace, record, record->args, "args", "exclusive_vm_id", 0, &exclusive) ||
	    new_id(trace, record, "handle", call))
		return -EINVAL;
	call->flags = (uint32_t)flags;
	call->exclusive_vm = (uint32_t)exclusive;
	return 1;
}

static int read_gem_close(struct log_import *to, const struct trace_record *record, struct call *call)
{
	call->type = CALL_BO_CLOSE;
	return id_of(&to->import->trace, record, record->args, "args", "handle", &call->id) ? -EINVAL : 1;
}

static int read_syncobj_create(struct log_import *to, const struct trace_record *record, struct call *call)
{
	call->type = CALL_SYNCOBJ_CREATE;
	return new_id(&to->import->trace, record, "handle", call) ? -EINVAL : 1;
}

static int read_vm_bind(struct log_import *to, const struct trace_record *record, struct call *call)
{
	if (trace_read_bind(&to->import->trace, record, &to->bind))
		return -EINVAL;
	call->type = CALL_VM_BIND;
	call->id = (uint32_t)to->bind.vm;
	call->async = to->bind.async;
	call->ops = to->bind.ops;
	call->op_count = to->bind.op_count;
	call->done = to->bind.done < to->bind.op_count ? (size_t)to->bind.done : 0;
	to->import->binds++;
	to->import->ops += to->bind.op_count;
	return 1;
}

static int read_mark(struct log_import *to, const struct trace_record *record, struct call *call)
{
	const char *text = json_string_value(json_object_get(record->args, "text"));

	(void)call;
	if (!text)
		return trace_fail(&to->import->trace, record, "args.text", "is not a string");
	snprintf(to->mark, sizeof(to->mark), "%s", text);
	to->marked = true;
	if (to->perfetto)
		return perfetto_mark(to->perfetto, text, record->start);
	return 0;
}

static const struct {
	const char *name, *id; /* the field to blame for an id that is not known */
	int (*read)(struct log_import *to, const struct trace_record *record, struct call *call);
} lines[] = {
	{"PANTHOR_VM_BIND", "args.vm_id", read_vm_bind},
	{"PANTHOR_VM_CREATE", "args", read_vm_create},
	{"PANTHOR_VM_DESTROY", "args.id", read_vm_destroy},
	{"PANTHOR_BO_CREATE", "args.exclusive_vm_id", read_bo_create},
	{"GEM_CLOSE", "args.handle", read_gem_close},
	{"SYNCOBJ_CREATE", "args", read_syncobj_create},
	{"MARK", "args.text", read_mark},
};

/* ---- What is no entry ---- */

/* The syncobjs that a wait names, as entries call them. */
static char *waited_for(struct log_import *to, const struct trace_record *record, uint64_t file)
{
	size_t count = json_array_size(json_object_get(record->args, "handles")), size;
	char *text = NULL, name[IMPORT_NAME + 64];
	FILE *stream = open_memstream(&text, &size);

	for (size_t i = 0; stream && i < count; i++) {
		struct call_sync sync = {0};
		uint64_t handle, point = 0;

		if (trace_element(&to->import->trace, record, "handles", i, &handle) ||
		    (json_object_get(record->args, "points") &&
		     trace_element(&to->import->trace, record, "points", i, &point)))
			break;
		sync.syncobj = (uint32_t)handle;
		sync.point = point;
		if (call_log_sync_name(to->calls, file, &sync, name, sizeof(name)) == 0)
			fprintf(stream, "%s ", name);
	}
	if (stream)
		fclose(stream);
	return text;
}

static bool is_wait(const struct trace_record *record)
{
	return strcmp(record->name, "SYNCOBJ_WAIT") == 0 || strcmp(record->name, "SYNCOBJ_TIMELINE_WAIT") == 0;
}

/* A wait for all, or for the only one, until it is signalled and not only there. */
static bool has_seen(const struct trace_record *record)
{
	json_int_t flags = json_integer_value(json_object_get(record->args, "flags"));
	size_t count = json_array_size(json_object_get(record->args, "handles"));

	return record->ret >= 0 && ((flags & 1) || count == 1) && !(flags & 4);
}

/* What a reader of JSON may round becomes a string; what was one stays. */
static json_t *exact_args(const struct trace_record *record)
{
	json_t *args = json_copy(record->args), *value;
	const char *key;
	void *next;

	json_object_foreach_safe(args, next, key,
				 value) if (json_is_integer(value) && json_integer_value(value) >= INT64_C(1) << 53)
		json_object_set_new(args, key, output_json_hex((uint64_t)json_integer_value(value)));
	return args;
}

static int draw_call(struct log_import *to, const struct trace_record *record, const struct call *call)
{
	struct perfetto_call drawn = {
		.name = record->name,
		.pid = call->pid,
		.tid = call->tid,
		.start_ns = call->start_ns,
		.duration_ns = call->duration_ns,
		.seen = is_wait(record) && has_seen(record),
	};
	char *waits = is_wait(record) ? waited_for(to, record, call->file) : NULL;
	int err;

	drawn.args = json_pack("{s:s, s:I}", "result", call->err ? panbind_errno_name(call->err) : "ok", "fd",
			       (json_int_t)record->fd);
	if (record->args)
		json_object_set_new(drawn.args, "args", exact_args(record));
	drawn.waits = waits;
	err = perfetto_call(to->perfetto, &drawn);
	free(waits);
	return err;
}

/* All that a log can say of a call without its arguments: that there was a VM_BIND. A picture shows every call. */
static int add_bare(struct log_import *to, const struct trace_record *record, struct call *call)
{
	if (to->perfetto)
		return draw_call(to, record, call);
	if (strcmp(record->name, "PANTHOR_VM_BIND") != 0)
		return 0;
	call->type = CALL_VM_BIND;
	call->note = "what it bound is not in the trace";
	to->import->binds++;
	return call_log_add(to->calls, call, &to->error);
}

/* ---- The loop ---- */

static int add_failed(struct log_import *to, const struct trace_record *record, const char *id_path)
{
	char path[32];

	snprintf(path, sizeof(path), "%s", id_path);
	if (to->error.op != PANBIND_NO_OP)
		snprintf(path, sizeof(path), "args.ops[%" PRIu32 "]", to->error.op);
	return trace_fail(&to->import->trace, record, path, "%s%s",
			  to->error.code == -ENOENT ? "" : "cannot be right: ", to->error.msg);
}

static int add_record(struct log_import *to, const struct trace_record *record)
{
	struct call call = {
		.start_ns = record->start,
		.duration_ns = record->duration,
		.pid = record->pid > 0 ? (int32_t)record->pid : 0,
		.tid = record->tid > 0 ? (int32_t)record->tid : 0,
		.file = (uint64_t)record->pid << 32 ^ (uint64_t)(record->fd & UINT32_MAX),
		.prefix = import_prefix(to->import, record, to->prefix),
		.err = record->ret < 0 ? record->err : 0,
	};
	uint64_t before = to->entries;
	bool mark = false;
	int err = 0;

	to->record = record;
	if (record->bare)
		return add_bare(to, record, &call);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (strcmp(lines[i].name, record->name) != 0)
			continue;
		mark = lines[i].read == read_mark;
		err = lines[i].read(to, record, &call);
		to->error = (struct panbind_error){.op = PANBIND_NO_OP};
		if (err == 1)
			err = call_log_add(to->calls, &call, &to->error);
		if ((err == -ENOENT || err == -EINVAL) && to->error.code)
			err = add_failed(to, record, lines[i].id);
		break;
	}
	if (err == 0 && to->perfetto && to->entries == before && !mark)
		err = draw_call(to, record, &call);
	return err;
}

static int add_records(struct log_import *to)
{
	struct trace *trace = &to->import->trace;
	int err = to->perfetto ? 0
			       : call_log_start(to->calls, trace->count ? trace->records[0].start : 0,
						"imported from a trace, whose clock the times are of", &to->error);

	for (size_t i = 0; i < trace->count && err == 0; i++) {
		if (limit_reached())
			return -ECANCELED;
		err = add_record(to, &trace->records[i]);
		if (err == -EINVAL && trace->keep_going)
			err = 0;
	}
	return err;
}

/* Where VMs end whose range the trace does not give: half of what the GPU's MMU can address. The word stands at byte 24
 * of the answer to GPU_INFO, as hex. */
static uint64_t va_range_of(const struct trace *trace)
{
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_record *record = &trace->records[i];
		const char *type = json_string_value(json_object_get(record->args, "type_name"));
		const char *data = json_string_value(json_object_get(record->out, "data"));
		char digits[3] = {0};
		unsigned long bits;

		if (!type || !data || strcmp(type, "GPU_INFO") != 0 || strlen(data) < 56)
			continue;
		memcpy(digits, data + 48, 2);
		bits = strtoul(digits, NULL, 16);
		if (bits > 32 && bits <= 56)
			return UINT64_C(1) << (bits - 1);
	}
	return VA_RANGE_UNKNOWN;
}

static int run(struct log_import *to, FILE *stream)
{
	const struct call_log_options options = {
		.emit = on_entry,
		.data = to,
		.uid = PANBIND_LOG_NO_ID,
		.gid = PANBIND_LOG_NO_ID,
		.va_range = va_range_of(&to->import->trace),
	};
	int err;

	import_sort(to->import);
	err = call_log_create(&options, &to->calls);
	if (err == 0)
		err = stream ? perfetto_create(stream, to->import->trace.file, &to->perfetto)
			     : panbind_log_import_begin(to->path, 0, &to->log, &to->error);
	if (err < 0)
		return err;
	err = add_records(to);
	if (stream)
		return err;
	if (err == 0)
		return panbind_log_import_end(to->log, &to->error);
	panbind_log_import_abort(to->log);
	return err;
}

static int convert(struct import *import, const char *path, FILE *stream)
{
	struct log_import to = {.import = import, .path = path};
	int err = run(&to, stream);

	perfetto_destroy(to.perfetto);
	call_log_destroy(to.calls);
	trace_bind_free(&to.bind);
	import->commands = to.entries;
	if (err < 0 && err != -EINVAL && err != -ECANCELED)
		error_say(import->trace.cmd, err == -EACCES ? CMD_DENIED : CMD_FAILED, err, "%s: %s", path,
			  to.error.msg[0] ? to.error.msg : strerror(-err));
	return err;
}

int import_to_log(struct import *import, const char *path)
{
	return convert(import, path, NULL);
}

int import_to_perfetto(struct import *import, FILE *stream)
{
	return convert(import, import->trace.file, stream);
}
