/* SPDX-License-Identifier: MIT */
/* VM_BIND of a trace line as plain structs. See import.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

static int op_type(struct trace *trace, const struct trace_record *record, const json_t *json, const char *path,
		   enum call_op_type *ret_type)
{
	static const char *const names[] = {"map", "unmap", "sync_only"};
	const char *text = json_string_value(json_object_get(json, "op"));

	for (int i = 0; text && i < 3; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_type = (enum call_op_type)i;
			return 0;
		}
	return trace_fail(trace, record, path, "has no 'op' that is map, unmap or sync_only");
}

static int read_handle(struct trace *trace, const struct trace_record *record, const json_t *json, const char *path,
		       const char *key, uint32_t *ret_handle)
{
	uint64_t handle;

	if (trace_number_or(trace, record, json, path, key, 0, &handle))
		return -EINVAL;
	if (handle > UINT32_MAX)
		return trace_fail(trace, record, path, "has a handle that does not fit into 32 bits");
	*ret_handle = (uint32_t)handle;
	return 0;
}

static int read_sync(struct trace *trace, const struct trace_record *record, const json_t *json, const char *path,
		     struct call_sync *sync)
{
	const char *what = json_string_value(json_object_get(json, "op"));
	const char *type = json_string_value(json_object_get(json, "type"));

	if (!what || !type || (strcmp(what, "wait") != 0 && strcmp(what, "signal") != 0))
		return trace_fail(trace, record, path, "has no 'op' that is wait or signal, or no 'type'");
	*sync = (struct call_sync){.signal = what[0] == 's'};
	if (!json_object_get(json, "handle"))
		return trace_fail(trace, record, path, "has no 'handle'");
	if (read_handle(trace, record, json, path, "handle", &sync->syncobj) ||
	    trace_number_or(trace, record, json, path, "value", 0, &sync->point))
		return -EINVAL;
	if (strcmp(type, "timeline") != 0)
		sync->point = 0;
	return 0;
}

static int read_syncs(struct trace_bind *bind, struct trace *trace, const struct trace_record *record,
		      const json_t *json, const char *path, struct call_op *op)
{
	const json_t *syncs = json_object_get(json, "syncs"), *sync;
	char at[64];
	size_t i;

	op->syncs = bind->syncs + bind->sync_count;
	op->sync_count = json_array_size(syncs);
	json_array_foreach (syncs, i, sync) {
		snprintf(at, sizeof(at), "%s.syncs[%zu]", path, i);
		if (read_sync(trace, record, sync, at, &bind->syncs[bind->sync_count++]))
			return -EINVAL;
	}
	return 0;
}

static int read_op(struct trace_bind *bind, struct trace *trace, const struct trace_record *record, size_t index)
{
	const json_t *json = json_array_get(json_object_get(record->args, "ops"), index);
	struct call_op *op = &bind->ops[index];
	uint64_t flags;
	char path[32];

	*op = (struct call_op){0};
	snprintf(path, sizeof(path), "args.ops[%zu]", index);
	if (op_type(trace, record, json, path, &op->type) || trace_number(trace, record, json, path, "flags", &flags) ||
	    read_handle(trace, record, json, path, "bo", &op->bo) ||
	    trace_number_or(trace, record, json, path, "bo_offset", 0, &op->bo_offset) ||
	    trace_number(trace, record, json, path, "va", &op->va) ||
	    trace_number(trace, record, json, path, "size", &op->size))
		return -EINVAL;
	op->flags = (uint32_t)flags;
	return read_syncs(bind, trace, record, json, path, op);
}

static int reserve(struct trace_bind *bind, const json_t *ops)
{
	size_t count = json_array_size(ops), sync_count = 0, i;
	const json_t *op;

	json_array_foreach (ops, i, op)
		sync_count += json_array_size(json_object_get(op, "syncs"));
	trace_bind_free(bind);
	bind->ops = calloc(count + 1, sizeof(*bind->ops));
	bind->syncs = calloc(sync_count + 1, sizeof(*bind->syncs));
	return bind->ops && bind->syncs ? 0 : -ENOMEM;
}

int trace_read_bind(struct trace *trace, const struct trace_record *record, struct trace_bind *bind)
{
	const json_t *ops = json_object_get(record->args, "ops");
	uint64_t flags, count;

	if (trace_number(trace, record, record->args, "args", "vm_id", &bind->vm) ||
	    trace_number(trace, record, record->args, "args", "flags", &flags))
		return -EINVAL;
	if (!json_is_array(ops))
		return trace_fail(trace, record, "args.ops", "is not an array");
	if (trace_number_or(trace, record, record->args, "args", "nops", json_array_size(ops), &count) ||
	    trace_number_or(trace, record, record->out, "out", "nops", 0, &bind->done))
		return -EINVAL;
	if (count != json_array_size(ops))
		return trace_fail(trace, record, "args.nops", "is %" PRIu64 ", but there are %zu ops", count,
				  json_array_size(ops));
	bind->async = flags & 1;
	bind->op_count = bind->sync_count = 0;
	if (reserve(bind, ops) < 0)
		return trace_fail(trace, record, "args.ops", "takes more memory than there is");
	for (; bind->op_count < count; bind->op_count++)
		if (read_op(bind, trace, record, bind->op_count))
			return -EINVAL;
	return 0;
}

void trace_bind_free(struct trace_bind *bind)
{
	free(bind->ops);
	free(bind->syncs);
	bind->ops = NULL;
	bind->syncs = NULL;
}
