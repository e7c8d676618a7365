/* SPDX-License-Identifier: MIT */
/* Binds as ops of an entry, and the calls on syncobjs and queues that order them as its text. See call_log.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_log_private.h"

/* ---- Binds ---- */

int call_log_sync_name(const struct call_log *log, uint64_t file, const struct call_sync *sync, char *name, size_t size)
{
	const struct call_object *syncobj = call_objects_find(&log->objects, file, CALL_KIND_SYNCOBJ, sync->syncobj);
	char generation[24] = "", point[24] = "";

	if (!syncobj)
		return -ENOENT;
	if (syncobj->generation > 1)
		snprintf(generation, sizeof(generation), ".%" PRIu64, syncobj->generation);
	if (sync->point)
		snprintf(point, sizeof(point), ":%" PRIu64, sync->point);
	snprintf(name, size, "%s%s%s", syncobj->name, generation, point);
	return 0;
}

/* "wait=so9:5 signal=so10" */
static int write_syncs(struct call_log *log, const struct call *call, const struct call_op *op, FILE *stream,
		       struct panbind_error *reterr)
{
	struct call_object *syncobj;
	char name[CALL_NAME + 48];

	for (size_t i = 0; i < op->sync_count; i++) {
		const struct call_sync *sync = &op->syncs[i];
		int err = call_log_find(log, call, CALL_KIND_SYNCOBJ, sync->syncobj, 0, &syncobj, reterr);

		if (err == 0)
			err = call_log_sync_name(log, call->file, sync, name, sizeof(name));
		if (err < 0)
			return err;
		fprintf(stream, "%s%s=%s", i ? " " : "", sync->signal ? "signal" : "wait", name);
	}
	putc('\0', stream);
	return 0;
}

static enum panbind_log_op_type op_type(const struct call_op *op)
{
	if (op->type == CALL_OP_SYNC_ONLY || op->size == 0) /* nothing is mapped or unmapped */
		return PANBIND_LOG_SYNC_ONLY;
	if (op->type == CALL_OP_UNMAP)
		return PANBIND_LOG_UNMAP;
	return op->flags & CALL_MAP_SPARSE ? PANBIND_LOG_MAP_SPARSE : PANBIND_LOG_MAP;
}

/* How many ops, from the first, took effect. One that failed before its first op does not say where it stopped. */
static size_t ops_in_place(const struct call *call)
{
	if (!call->err)
		return call->op_count;
	return call->async || call->done >= call->op_count ? 0 : call->done;
}

/* What an op that did nothing names need not be there. */
static int convert_op(struct call_log *log, const struct call *call, size_t index, struct panbind_error *reterr)
{
	const struct call_op *op = &call->ops[index];
	struct panbind_log_op *row = &log->ops[index];
	bool applied = index < ops_in_place(call);
	struct call_object *bo = NULL;
	int err = 0;

	*row = (struct panbind_log_op){.type = op_type(op),
				       .vm = call_log_ref_if_known(log, call, CALL_KIND_VM, call->id)};
	if (row->type == PANBIND_LOG_SYNC_ONLY)
		return 0;
	row->va = op->va;
	row->size = op->size;
	if (row->type != PANBIND_LOG_MAP)
		return 0;
	row->flags = op->flags & (CALL_MAP_READONLY | CALL_MAP_NOEXEC | CALL_MAP_UNCACHED);
	row->bo_offset = op->bo_offset;
	if (applied)
		err = call_log_find(log, call, CALL_KIND_BO, op->bo, op->bo_offset + op->size, &bo, reterr);
	row->bo = applied ? call_log_ref(bo) : call_log_ref_if_known(log, call, CALL_KIND_BO, op->bo);
	if (err < 0 && reterr)
		reterr->op = (uint32_t)index;
	return err;
}

static int reserve_ops(struct call_log *log, size_t count)
{
	struct panbind_log_op *ops;

	if (count <= log->op_room)
		return 0;
	ops = reallocarray(log->ops, count, sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	log->ops = ops;
	log->op_room = count;
	return 0;
}

/* All texts one after the other, in the order of the ops. */
static int convert_ops(struct call_log *log, const struct call *call, char **ret_texts, struct panbind_error *reterr)
{
	size_t size;
	FILE *stream = open_memstream(ret_texts, &size);
	int err = stream ? 0 : call_log_no_memory(reterr);

	for (size_t i = 0; i < call->op_count && err == 0; i++) {
		err = convert_op(log, call, i, reterr);
		if (err == 0 && call->ops[i].sync_count)
			err = write_syncs(log, call, &call->ops[i], stream, reterr);
		if (err < 0 && reterr)
			reterr->op = (uint32_t)i;
	}
	if (stream && fclose(stream) && err == 0)
		err = call_log_no_memory(reterr);
	return err;
}

static void set_failure(struct panbind_log_entry *entry, const struct call *call)
{
	if (call->async || call->done >= call->op_count)
		return;
	entry->failing_op = (uint32_t)call->done;
	if (call->done == 0)
		return;
	entry->outcome = PANBIND_OUTCOME_PARTIAL;
	entry->applied = (uint32_t)call->done;
}

int call_log_bind(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct panbind_log_entry entry = call_log_entry(log, call, PANBIND_LOG_BIND);
	struct call_object *vm;
	char *texts = NULL, *text;
	bool applied = call->id && (ops_in_place(call) || !call->err); /* id 0: not known which VM */
	int err = applied ? call_log_find(log, call, CALL_KIND_VM, call->id, log->options.va_range, &vm, reterr) : 0;

	if (err == 0 && reserve_ops(log, call->op_count) < 0)
		err = call_log_no_memory(reterr);
	if (err == 0)
		err = convert_ops(log, call, &texts, reterr);
	text = texts;
	for (size_t i = 0; i < call->op_count && err == 0; i++) {
		if (!call->ops[i].sync_count)
			continue;
		log->ops[i].syncs = text;
		text += strlen(text) + 1;
	}
	entry.flags = call->async ? PANBIND_LOG_ASYNC : 0;
	entry.ops = log->ops;
	entry.op_count = call->op_count;
	if (call->err)
		set_failure(&entry, call);
	if (err == 0)
		err = call_log_emit(log, &entry, reterr);
	free(texts);
	return err;
}

/* ---- What orders binds ---- */

/* A syncobj that cannot be is named by its number. */
static void put_point(const struct call_log *log, const struct call *call, const struct call_sync *sync, FILE *stream)
{
	char name[CALL_NAME + 48];

	if (call_log_sync_name(log, call->file, sync, name, sizeof(name)) < 0)
		snprintf(name, sizeof(name), "so%" PRIu32 "?", sync->syncobj);
	fputs(name, stream);
}

/* An entry that says @text (from a memory stream that is closed; freed here), unless it is too long to be said. */
static int say(struct call_log *log, const struct call *call, char *text, struct panbind_error *reterr)
{
	struct panbind_log_entry entry = call_log_entry(log, call, PANBIND_LOG_SYNC);
	int err;

	if (strlen(text) < PANBIND_LOG_MAX_TEXT)
		entry.comment = text;
	err = call_log_emit(log, &entry, reterr);
	free(text);
	return err;
}

/* "group submit 1: queue 0 wait=so9:5 signal=so10, queue 1": what a job waits for and signals orders binds as well. */
int call_log_submit(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	char *text = NULL;
	size_t size;
	FILE *stream = log->options.calls ? open_memstream(&text, &size) : NULL;

	if (!stream)
		return log->options.calls ? call_log_no_memory(reterr) : 0;
	fprintf(stream, "group submit %" PRIu32 ":", call->id);
	for (size_t i = 0; i < call->op_count; i++) {
		const struct call_op *job = &call->ops[i];

		fprintf(stream, "%s queue %" PRIu32, i ? "," : "", job->bo);
		for (size_t s = 0; s < job->sync_count; s++) {
			fputs(job->syncs[s].signal ? " signal=" : " wait=", stream);
			put_point(log, call, &job->syncs[s], stream);
		}
	}
	return fclose(stream) ? call_log_no_memory(reterr) : say(log, call, text, reterr);
}

/* "syncobj wait so9:5 so10 --all": what a script would say. */
int call_log_sync_call(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	char *text = NULL;
	size_t size;
	FILE *stream = log->options.calls ? open_memstream(&text, &size) : NULL;

	if (!stream)
		return log->options.calls ? call_log_no_memory(reterr) : 0;
	fprintf(stream, "syncobj %s", call->verb);
	for (size_t i = 0; i < call->point_count; i++) {
		putc(' ', stream);
		put_point(log, call, &call->points[i], stream);
	}
	fputs(call->words ? call->words : "", stream);
	return fclose(stream) ? call_log_no_memory(reterr) : say(log, call, text, reterr);
}
