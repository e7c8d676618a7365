/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND of a trace to a block of a script: one ioctl, one block, so that what ran together runs together.
 *
 * A synchronous bind that failed at op i left the ops before it in place. So the block ends there, op i follows alone
 * behind `expect`, and the ops after it, which never ran, become comments. An asynchronous bind is taken or refused
 * whole: the expectation stands at its commit.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

enum { OP_MAP = 0, OP_UNMAP = 1, OP_SYNC_ONLY = 2 };
enum { FLAG_READONLY = 1, FLAG_NOEXEC = 2, FLAG_UNCACHED = 4, FLAG_SPARSE = 8 };
#define OP_SYNCS 512

struct bind_op {
	int type;
	uint64_t flags, bo, bo_offset, va, size;
	char bo_name[IMPORT_NAME];
	char syncs[OP_SYNCS]; /* " --wait=..." as the script has them */
};

struct bind {
	const struct trace_record *record;
	char vm[IMPORT_NAME];
	bool async;
	const json_t *ops;
	uint64_t done; /* out.nops: ops that were executed, or the index of the one that failed */
};

static int op_type(struct import *import, const struct trace_record *record, const json_t *json, const char *path,
		   int *ret_type)
{
	static const char *const names[] = {"map", "unmap", "sync_only"};
	const char *text = json_string_value(json_object_get(json, "op"));

	for (int i = 0; text && i < 3; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_type = i;
			return 0;
		}
	return trace_fail(&import->trace, record, path, "has no 'op' that is map, unmap or sync_only");
}

/* One wait or signal, appended to op->syncs. */
static int add_sync(struct import *import, const struct trace_record *record, const json_t *json, const char *path,
		    struct bind_op *op)
{
	const char *what = json_string_value(json_object_get(json, "op"));
	const char *type = json_string_value(json_object_get(json, "type"));
	char name[IMPORT_NAME], point[OUT_NUMBER] = "";
	size_t used = strlen(op->syncs);
	uint64_t handle, value;
	int added;

	if (!what || !type || (strcmp(what, "wait") != 0 && strcmp(what, "signal") != 0))
		return trace_fail(&import->trace, record, path, "has no 'op' that is wait or signal, or no 'type'");
	if (trace_number(&import->trace, record, json, path, "handle", &handle) ||
	    trace_number_or(&import->trace, record, json, path, "value", 0, &value) ||
	    import_object(import, record, path, "so", handle, name))
		return -EINVAL;
	if (strcmp(type, "timeline") == 0 && value)
		snprintf(point, sizeof(point), ":%" PRIu64, value);
	added = snprintf(op->syncs + used, OP_SYNCS - used, " --%s=%s%s", what, name, point);
	if (added < 0 || (size_t)added >= OP_SYNCS - used)
		return trace_fail(&import->trace, record, path, "is one sync too many for an op");
	return 0;
}

static int read_syncs(struct import *import, const struct trace_record *record, const json_t *json, const char *path,
		      struct bind_op *op)
{
	const json_t *syncs = json_object_get(json, "syncs"), *sync;
	char at[64];
	size_t i;

	json_array_foreach (syncs, i, sync) {
		snprintf(at, sizeof(at), "%s.syncs[%zu]", path, i);
		if (add_sync(import, record, sync, at, op))
			return -EINVAL;
	}
	return 0;
}

static int read_op(struct import *import, const struct bind *bind, size_t index, struct bind_op *op)
{
	const json_t *json = json_array_get(bind->ops, index);
	const struct trace_record *record = bind->record;
	struct trace *trace = &import->trace;
	char path[32];

	*op = (struct bind_op){0};
	snprintf(path, sizeof(path), "args.ops[%zu]", index);
	if (op_type(import, record, json, path, &op->type) ||
	    trace_number(trace, record, json, path, "flags", &op->flags) ||
	    trace_number_or(trace, record, json, path, "bo", 0, &op->bo) ||
	    trace_number_or(trace, record, json, path, "bo_offset", 0, &op->bo_offset) ||
	    trace_number(trace, record, json, path, "va", &op->va) ||
	    trace_number(trace, record, json, path, "size", &op->size))
		return -EINVAL;
	if (op->type == OP_MAP && !(op->flags & FLAG_SPARSE) &&
	    import_object(import, record, path, "bo", op->bo, op->bo_name))
		return -EINVAL;
	return read_syncs(import, record, json, path, op);
}

/* ---- Sparse maps ---- */

static const char *region_key(const struct bind *bind, uint64_t va, char key[IMPORT_NAME + OUT_NUMBER])
{
	snprintf(key, IMPORT_NAME + OUT_NUMBER, "%s@%" PRIx64, bind->vm, va);
	return key;
}

/* Is the range inside a region that the trace reserved on this VM? */
static bool inside_region(const struct import *import, const struct bind *bind, const struct bind_op *op)
{
	size_t vm_size = strlen(bind->vm);
	const char *key;
	json_t *value;

	json_object_foreach (import->regions, key, value) {
		uint64_t va, size = (uint64_t)json_integer_value(value);

		if (strncmp(key, bind->vm, vm_size) != 0 || key[vm_size] != '@')
			continue;
		va = strtoull(key + vm_size + 1, NULL, 16);
		if (op->va >= va && op->va - va <= size && op->size <= size - (op->va - va))
			return true;
	}
	return false;
}

/* MAP_SPARSE: the first one over a range reserves it, later ones inside it give pages back. */
static void write_sparse(struct import *import, const struct bind *bind, const struct bind_op *op, const char *prefix)
{
	char key[IMPORT_NAME + OUT_NUMBER];
	bool inside = inside_region(import, bind, op);

	if (!inside && bind->async) {
		import_comment(import, "an asynchronous sparse map outside a region: no counterpart");
		return;
	}
	import_line(import, "%ssparse %s %s 0x%" PRIx64 " 0x%" PRIx64 "%s", prefix, inside ? "unbind" : "reserve",
		    bind->vm, op->va, op->size, op->syncs);
	if (!inside)
		json_object_set_new(import->regions, region_key(bind, op->va, key), json_integer((json_int_t)op->size));
}

static bool is_region(struct import *import, const struct bind *bind, const struct bind_op *op)
{
	char key[IMPORT_NAME + OUT_NUMBER];
	const json_t *size = json_object_get(import->regions, region_key(bind, op->va, key));

	if (bind->async || !size || (uint64_t)json_integer_value(size) != op->size)
		return false;
	json_object_del(import->regions, key);
	return true;
}

/* ---- Ops ---- */

static void write_map(struct import *import, const struct bind *bind, const struct bind_op *op, const char *prefix)
{
	char offset[OUT_NUMBER] = "";

	if (op->bo_offset)
		snprintf(offset, sizeof(offset), "+0x%" PRIx64, op->bo_offset);
	import_line(import, "%smap %s 0x%" PRIx64 " 0x%" PRIx64 " %s%s%s%s%s%s", prefix, bind->vm, op->va, op->size,
		    op->bo_name, offset, op->flags & FLAG_READONLY ? " --readonly" : "",
		    op->flags & FLAG_NOEXEC ? " --noexec" : "", op->flags & FLAG_UNCACHED ? " --uncached" : "",
		    op->syncs);
}

static void write_op(struct import *import, const struct bind *bind, const struct bind_op *op, const char *prefix)
{
	import->ops++;
	if (op->type == OP_SYNC_ONLY)
		import_line(import, "%ssync-only %s%s", prefix, bind->vm, op->syncs);
	else if (!op->size)
		import_comment(import, "an op of size 0, which does nothing");
	else if (op->type == OP_UNMAP)
		import_line(import, "%s%s %s 0x%" PRIx64 " 0x%" PRIx64 "%s", prefix,
			    is_region(import, bind, op) ? "sparse release" : "unmap", bind->vm, op->va, op->size,
			    op->syncs);
	else if (op->flags & FLAG_SPARSE)
		write_sparse(import, bind, op, prefix);
	else
		write_map(import, bind, op, prefix);
}

static int write_ops(struct import *import, const struct bind *bind, size_t count)
{
	struct bind_op op;

	for (size_t i = 0; i < count; i++) {
		if (read_op(import, bind, i, &op))
			return -EINVAL;
		write_op(import, bind, &op, "");
	}
	return 0;
}

/* A block that commits. Nothing of it is written before all of it was read: -k leaves no half blocks. */
static int write_block(struct import *import, const struct bind *bind, size_t count, const char *commit_prefix)
{
	struct bind_op op;

	for (size_t i = 0; i < count; i++)
		if (read_op(import, bind, i, &op))
			return -EINVAL;
	import_line(import, bind->async ? "begin async" : "begin");
	write_ops(import, bind, count);
	import_line(import, "%scommit", commit_prefix);
	import->binds++;
	return 0;
}

static int write_failed_sync(struct import *import, const struct bind *bind)
{
	size_t count = json_array_size(bind->ops), done = bind->done < count ? (size_t)bind->done : 0;
	char expect[IMPORT_NAME];
	struct bind_op op;

	if (done && write_block(import, bind, done, ""))
		return -EINVAL;
	if (bind->record->err == EINTR || bind->record->err == EAGAIN) {
		import_comment(import, "line %" PRIu32 ": interrupted (%s) after %zu of %zu ops", bind->record->line,
			       panbind_errno_name(bind->record->err), done, count);
		return 0;
	}
	if (done < count) {
		if (read_op(import, bind, done, &op))
			return -EINVAL;
		write_op(import, bind, &op, import_expect(bind->record, expect));
		import->binds++;
	}
	if (count - done > 1)
		import_comment(import, "the %zu ops behind it never ran", count - done - 1);
	return 0;
}

static int read_bind(struct import *import, const struct trace_record *record, struct bind *bind)
{
	uint64_t vm_id, flags, count;
	struct trace *trace = &import->trace;

	*bind = (struct bind){.record = record, .ops = json_object_get(record->args, "ops")};
	if (trace_number(trace, record, record->args, "args", "vm_id", &vm_id) ||
	    trace_number(trace, record, record->args, "args", "flags", &flags))
		return -EINVAL;
	if (!json_is_array(bind->ops))
		return trace_fail(trace, record, "args.ops", "is not an array");
	if (trace_number_or(trace, record, record->args, "args", "nops", json_array_size(bind->ops), &count) ||
	    trace_number_or(trace, record, record->out, "out", "nops", 0, &bind->done))
		return -EINVAL;
	if (count != json_array_size(bind->ops))
		return trace_fail(trace, record, "args.nops", "is %" PRIu64 ", but there are %zu ops", count,
				  json_array_size(bind->ops));
	bind->async = flags & 1;
	return import_object(import, record, "args.vm_id", "vm", vm_id, bind->vm);
}

int import_vm_bind(struct import *import, const struct trace_record *record)
{
	char expect[IMPORT_NAME];
	struct bind bind;

	if (read_bind(import, record, &bind))
		return -EINVAL;
	if (!json_array_size(bind.ops)) {
		import_comment(import, "line %" PRIu32 ": a VM_BIND without ops", record->line);
		return 0;
	}
	if (record->ret < 0 && !bind.async)
		return write_failed_sync(import, &bind);
	return write_block(import, &bind, json_array_size(bind.ops), import_expect(record, expect));
}
