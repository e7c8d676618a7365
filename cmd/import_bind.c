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

#define OP_SYNCS 512

struct bind {
	const struct trace_record *record;
	char vm[IMPORT_NAME];
	struct trace_bind call;
};

/** An op, in the words of a script. */
struct bind_op {
	const struct call_op *call;
	char bo[IMPORT_NAME];
	char syncs[OP_SYNCS]; /* " --wait=..." */
};

static int add_sync(struct import *import, const struct trace_record *record, const struct call_sync *sync,
		    const char *path, struct bind_op *op)
{
	char name[IMPORT_NAME], point[OUT_NUMBER] = "";
	size_t used = strlen(op->syncs);
	int added;

	if (import_object(import, record, path, "so", sync->syncobj, name))
		return -EINVAL;
	if (sync->point)
		snprintf(point, sizeof(point), ":%" PRIu64, sync->point);
	added = snprintf(op->syncs + used, OP_SYNCS - used, " --%s=%s%s", sync->signal ? "signal" : "wait", name,
			 point);
	if (added < 0 || (size_t)added >= OP_SYNCS - used)
		return trace_fail(&import->trace, record, path, "is one sync too many for an op");
	return 0;
}

static int name_op(struct import *import, const struct bind *bind, size_t index, struct bind_op *op)
{
	const struct call_op *call = &bind->call.ops[index];
	char path[64];

	*op = (struct bind_op){.call = call};
	snprintf(path, sizeof(path), "args.ops[%zu]", index);
	if (call->type == CALL_OP_MAP && !(call->flags & CALL_MAP_SPARSE) &&
	    import_object(import, bind->record, path, "bo", call->bo, op->bo))
		return -EINVAL;
	for (size_t i = 0; i < call->sync_count; i++) {
		snprintf(path, sizeof(path), "args.ops[%zu].syncs[%zu]", index, i);
		if (add_sync(import, bind->record, &call->syncs[i], path, op))
			return -EINVAL;
	}
	return 0;
}

/* ---- Sparse maps ---- */

static const char *region_key(const struct bind *bind, uint64_t va, char key[IMPORT_NAME + OUT_NUMBER])
{
	snprintf(key, IMPORT_NAME + OUT_NUMBER, "%s@%" PRIx64, bind->vm, va);
	return key;
}

/* Is the range inside a region that the trace reserved on this VM? */
static bool inside_region(const struct import *import, const struct bind *bind, const struct call_op *op)
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
	const struct call_op *call = op->call;
	bool inside = inside_region(import, bind, call);

	if (!inside && bind->call.async) {
		import_comment(import, "an asynchronous sparse map outside a region: no counterpart");
		return;
	}
	import_line(import, "%ssparse %s %s 0x%" PRIx64 " 0x%" PRIx64 "%s", prefix, inside ? "unbind" : "reserve",
		    bind->vm, call->va, call->size, op->syncs);
	if (!inside)
		json_object_set_new(import->regions, region_key(bind, call->va, key),
				    json_integer((json_int_t)call->size));
}

static bool is_region(struct import *import, const struct bind *bind, const struct call_op *op)
{
	char key[IMPORT_NAME + OUT_NUMBER];
	const json_t *size = json_object_get(import->regions, region_key(bind, op->va, key));

	if (bind->call.async || !size || (uint64_t)json_integer_value(size) != op->size)
		return false;
	json_object_del(import->regions, key);
	return true;
}

/* ---- Ops ---- */

static void write_map(struct import *import, const struct bind *bind, const struct bind_op *op, const char *prefix)
{
	const struct call_op *call = op->call;
	char offset[OUT_NUMBER] = "";

	if (call->bo_offset)
		snprintf(offset, sizeof(offset), "+0x%" PRIx64, call->bo_offset);
	import_line(import, "%smap %s 0x%" PRIx64 " 0x%" PRIx64 " %s%s%s%s%s%s", prefix, bind->vm, call->va, call->size,
		    op->bo, offset, call->flags & CALL_MAP_READONLY ? " --readonly" : "",
		    call->flags & CALL_MAP_NOEXEC ? " --noexec" : "",
		    call->flags & CALL_MAP_UNCACHED ? " --uncached" : "", op->syncs);
}

static void write_op(struct import *import, const struct bind *bind, const struct bind_op *op, const char *prefix)
{
	const struct call_op *call = op->call;

	import->ops++;
	if (call->type == CALL_OP_SYNC_ONLY)
		import_line(import, "%ssync-only %s%s", prefix, bind->vm, op->syncs);
	else if (!call->size)
		import_comment(import, "an op of size 0, which does nothing");
	else if (call->type == CALL_OP_UNMAP)
		import_line(import, "%s%s %s 0x%" PRIx64 " 0x%" PRIx64 "%s", prefix,
			    is_region(import, bind, call) ? "sparse release" : "unmap", bind->vm, call->va, call->size,
			    op->syncs);
	else if (call->flags & CALL_MAP_SPARSE)
		write_sparse(import, bind, op, prefix);
	else
		write_map(import, bind, op, prefix);
}

static int write_ops(struct import *import, const struct bind *bind, size_t count)
{
	struct bind_op op;

	for (size_t i = 0; i < count; i++) {
		if (name_op(import, bind, i, &op))
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
		if (name_op(import, bind, i, &op))
			return -EINVAL;
	import_line(import, bind->call.async ? "begin async" : "begin");
	write_ops(import, bind, count);
	import_line(import, "%scommit", commit_prefix);
	import->binds++;
	return 0;
}

static int write_failed_sync(struct import *import, const struct bind *bind)
{
	size_t count = bind->call.op_count, done = bind->call.done < count ? (size_t)bind->call.done : 0;
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
		if (name_op(import, bind, done, &op))
			return -EINVAL;
		write_op(import, bind, &op, import_expect(bind->record, expect));
		import->binds++;
	}
	if (count - done > 1)
		import_comment(import, "the %zu ops behind it never ran", count - done - 1);
	return 0;
}

static int write_bind(struct import *import, const struct bind *bind)
{
	const struct trace_record *record = bind->record;
	char expect[IMPORT_NAME];

	if (!bind->call.op_count) {
		import_comment(import, "line %" PRIu32 ": a VM_BIND without ops", record->line);
		return 0;
	}
	if (record->ret < 0 && !bind->call.async)
		return write_failed_sync(import, bind);
	return write_block(import, bind, bind->call.op_count, import_expect(record, expect));
}

int import_vm_bind(struct import *import, const struct trace_record *record)
{
	struct bind bind = {.record = record};
	int error = trace_read_bind(&import->trace, record, &bind.call);

	if (!error)
		error = import_object(import, record, "args.vm_id", "vm", bind.call.vm, bind.vm);
	if (!error)
		error = write_bind(import, &bind);
	trace_bind_free(&bind.call);
	return error;
}
