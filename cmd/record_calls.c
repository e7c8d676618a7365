/* SPDX-License-Identifier: MIT */
/* See record_calls.h. */
#include "record_calls.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define OP_TYPE(flags)	((flags) >> 28)
#define OP_FLAGS(flags) ((flags)&0xf)
#define SYNC_SIGNAL	(1u << 31)

struct record_calls {
	struct call_log *log;
	const char *argv;  /* of the command that is recorded; borrowed */
	int64_t offset_ns; /* from the events' clock to the log's */
	struct call_op *ops;
	struct call_sync *syncs;
	size_t op_room, sync_room;
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

int record_calls_create(const struct call_log_options *options, struct record_calls **ret_calls)
{
	struct call_log_options all = *options;
	struct record_calls *calls = calloc(1, sizeof(*calls));
	int err;

	if (!calls)
		return -ENOMEM;
	all.uid = all.gid = PANBIND_LOG_NO_ID;
	all.va_range = 1ull << 47;
	all.invent = true;
	all.calls = true;
	err = call_log_create(&all, &calls->log);
	if (err < 0) {
		free(calls);
		return err;
	}
	calls->offset_ns = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC);
	*ret_calls = calls;
	return 0;
}

void record_calls_destroy(struct record_calls *calls)
{
	if (!calls)
		return;
	call_log_destroy(calls->log);
	free(calls->ops);
	free(calls->syncs);
	free(calls);
}

int record_calls_start(struct record_calls *calls, const char *argv, struct panbind_error *reterr)
{
	calls->argv = argv;
	call_log_set_argv(calls->log, argv);
	return call_log_start(calls->log, (uint64_t)now_ns(CLOCK_REALTIME), "a recording", reterr);
}

int record_calls_note(struct record_calls *calls, const char *text, struct panbind_error *reterr)
{
	const struct call call = {.type = CALL_NOTE, .note = text, .start_ns = (uint64_t)now_ns(CLOCK_REALTIME)};

	call_log_set_argv(calls->log, calls->argv);
	call_log_set_user(calls->log, PANBIND_LOG_NO_ID, PANBIND_LOG_NO_ID);
	return call_log_add(calls->log, &call, reterr);
}

/* ---- Room ---- */

static int make_room(void *array, size_t *room, size_t count, size_t size)
{
	void *grown;

	if (count <= *room)
		return 0;
	grown = reallocarray(*(void **)array, count, size);
	if (!grown)
		return -ENOMEM;
	*(void **)array = grown;
	*room = count;
	return 0;
}

/* ---- VM_BIND ---- */

static struct call_op op_of(const struct record_op *op, const struct call_sync *syncs)
{
	static const enum call_op_type types[] = {CALL_OP_MAP, CALL_OP_UNMAP, CALL_OP_SYNC_ONLY};
	uint32_t type = OP_TYPE(op->flags);

	return (struct call_op){.type = type < 3 ? types[type] : CALL_OP_SYNC_ONLY,
				.flags = OP_FLAGS(op->flags),
				.bo = op->handle,
				.bo_offset = op->bo_offset,
				.va = op->va,
				.size = op->size,
				.syncs = syncs + op->first_sync,
				.sync_count = op->sync_count};
}

/* What the call says that an entry has no place for. */
static const char *what_is_odd(const struct record_event *event, const struct record_op *ops)
{
	if (event->marks & RECORD_UNREAD)
		return "its ops could not be read";
	if (event->marks & RECORD_CUT)
		return "its ops are too many to be recorded";
	for (uint32_t i = 0; i < event->count; i++)
		if (OP_TYPE(ops[i].flags) > 2 || ops[i].flags & 0x0ffffff0)
			return "an op has a type or flags that are not known";
	return NULL;
}

/* Those of a bind, or submissions to queues. */
static int fill_ops(struct record_calls *calls, const struct record_event *event, struct call *call)
{
	const struct record_op *ops = (const struct record_op *)(event + 1);
	uint32_t count = event->marks & (RECORD_UNREAD | RECORD_CUT) ? 0 : event->count;
	uint32_t sync_count = count ? event->sync_count : 0;
	const struct record_sync *syncs = (const struct record_sync *)(ops + count);

	if (make_room(&calls->ops, &calls->op_room, count, sizeof(*calls->ops)) < 0 ||
	    make_room(&calls->syncs, &calls->sync_room, sync_count, sizeof(*calls->syncs)) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < sync_count; i++)
		calls->syncs[i] = (struct call_sync){.signal = syncs[i].flags & SYNC_SIGNAL,
						     .syncobj = syncs[i].handle,
						     .point = syncs[i].point};
	for (uint32_t i = 0; i < count; i++)
		calls->ops[i] = op_of(&ops[i], calls->syncs);
	call->ops = calls->ops;
	call->op_count = count;
	return 0;
}

static int fill_bind(struct record_calls *calls, const struct record_event *event, struct call *call)
{
	int err = fill_ops(calls, event, call);
	size_t count = call->op_count;

	if (err < 0)
		return err;
	call->async = event->flags & 1;
	/* The driver tells where it stopped only if it got that far. */
	call->done = event->err && event->count_out < count ? event->count_out : count;
	call->note = what_is_odd(event, (const struct record_op *)(event + 1));
	/* What nobody knows the ops of may have changed anything. */
	call->unfinished |= !event->err && event->count && !count;
	return 0;
}

/* ---- Syncobjs ---- */

static void write_timeout(const struct record_event *event, char text[64])
{
	int64_t left_ns = (int64_t)event->value[0] - event->start_ns;

	if ((int64_t)event->value[0] == INT64_MAX)
		text[0] = '\0';
	else
		snprintf(text, 64, " --timeout=%" PRId64, left_ns > 0 ? (left_ns + 999999) / 1000000 : 0);
}

static int fill_points(struct record_calls *calls, const struct record_event *event, struct call *call)
{
	const struct record_point *points = (const struct record_point *)(event + 1);
	uint32_t count = event->marks & (RECORD_UNREAD | RECORD_CUT) ? 0 : event->count;

	if (make_room(&calls->syncs, &calls->sync_room, count, sizeof(*calls->syncs)) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		calls->syncs[i] = (struct call_sync){.syncobj = (uint32_t)points[i].handle, .point = points[i].point};
	call->points = calls->syncs;
	call->point_count = count;
	return 0;
}

static int fill_wait(struct record_calls *calls, const struct record_event *event, struct call *call, char text[128])
{
	char timeout[64];

	write_timeout(event, timeout);
	snprintf(text, 128, "%s%s%s%s", event->flags & 1 && event->count > 1 ? " --all" : "",
		 event->flags & 2 ? " --for-submit" : "", event->flags & 4 ? " --available" : "", timeout);
	call->type = CALL_SYNCOBJ;
	call->verb = "wait";
	call->words = text;
	return fill_points(calls, event, call);
}

static int fill_transfer(struct record_calls *calls, const struct record_event *event, struct call *call)
{
	if (make_room(&calls->syncs, &calls->sync_room, 2, sizeof(*calls->syncs)) < 0)
		return -ENOMEM;
	calls->syncs[0] = (struct call_sync){.syncobj = event->id, .point = event->value[0]};
	calls->syncs[1] = (struct call_sync){.syncobj = event->other, .point = event->value[1]};
	call->type = CALL_SYNCOBJ;
	call->verb = "transfer";
	call->points = calls->syncs;
	call->point_count = 2;
	return 0;
}

/* A handle of the file's that a descriptor was made of, or the other way round. */
static int fill_passing(struct record_calls *calls, const struct record_event *event, struct call *call)
{
	bool import = event->type == RECORD_SYNCOBJ_IMPORT;

	call->verb = import ? "import" : "export";
	call->words = event->flags & 1 ? " --sync-file" : NULL;
	if (import && !(event->flags & 1)) { /* a new handle */
		call->type = CALL_SYNCOBJ_CREATE;
		return 0;
	}
	if (make_room(&calls->syncs, &calls->sync_room, 1, sizeof(*calls->syncs)) < 0)
		return -ENOMEM;
	calls->syncs[0] = (struct call_sync){.syncobj = event->id};
	call->type = CALL_SYNCOBJ;
	call->points = calls->syncs;
	call->point_count = 1;
	return 0;
}

static int fill_syncobj(struct record_calls *calls, const struct record_event *event, struct call *call, char text[128])
{
	switch (event->type) {
	case RECORD_SYNCOBJ_CREATE:
		call->type = CALL_SYNCOBJ_CREATE;
		call->words = event->flags & 1 ? " --signaled" : NULL;
		return 0;
	case RECORD_SYNCOBJ_DESTROY:
		call->type = CALL_SYNCOBJ_DESTROY;
		return 0;
	case RECORD_SYNCOBJ_WAIT:
		return fill_wait(calls, event, call, text);
	case RECORD_SYNCOBJ_TRANSFER:
		return fill_transfer(calls, event, call);
	case RECORD_SYNCOBJ_EXPORT:
	case RECORD_SYNCOBJ_IMPORT:
		return fill_passing(calls, event, call);
	default:
		call->type = CALL_SYNCOBJ;
		call->verb = event->type == RECORD_SYNCOBJ_RESET ? "reset" : "signal";
		return fill_points(calls, event, call);
	}
}

/* ---- All ---- */

static void fill_object(const struct record_event *event, struct call *call)
{
	static const enum call_type types[RECORD_TYPES] = {
		[RECORD_VM_CREATE] = CALL_VM_CREATE,   [RECORD_VM_DESTROY] = CALL_VM_DESTROY,
		[RECORD_VM_GET_STATE] = CALL_VM_STATE, [RECORD_BO_CREATE] = CALL_BO_CREATE,
		[RECORD_GEM_CLOSE] = CALL_BO_CLOSE,    [RECORD_BO_EXPORT] = CALL_BO_EXPORT,
		[RECORD_BO_IMPORT] = CALL_BO_IMPORT,
	};

	call->type = types[event->type];
	call->flags = event->flags;
	call->exclusive_vm = event->other;
	call->done = event->count_out;
	if (event->type == RECORD_BO_EXPORT || event->type == RECORD_BO_IMPORT)
		call->key = event->value[0];
	call->size = event->err || !event->value[1] ? event->value[0] : event->value[1];
}

static int add_label(struct record_calls *calls, const struct record_event *event, struct call *call,
		     struct panbind_error *reterr)
{
	char text[4100];
	int err;

	if (event->err || call->unfinished)
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)event->count, (const char *)(event + 1));
	call->type = CALL_NOTE;
	call->words = text;
	err = call_log_add(calls->log, call, reterr);
	call->words = NULL;
	return err;
}

static int add_call(struct record_calls *calls, const struct record_event *event, struct call *call,
		    struct panbind_error *reterr)
{
	char text[128];
	int err = 0;

	if (event->type == RECORD_BO_LABEL)
		return add_label(calls, event, call, reterr);
	if (event->type == RECORD_VM_BIND) {
		call->type = CALL_VM_BIND;
		err = fill_bind(calls, event, call);
	} else if (event->type == RECORD_GROUP_SUBMIT) {
		call->type = CALL_GROUP_SUBMIT;
		err = fill_ops(calls, event, call);
	} else if (event->type >= RECORD_SYNCOBJ_CREATE) {
		err = fill_syncobj(calls, event, call, text);
	} else {
		fill_object(event, call);
	}
	/* Whatever else it was, nobody saw it happen. */
	if (call->unfinished && call->type != CALL_VM_BIND)
		call->err = EINTR;
	err = err < 0 ? err : call_log_add(calls->log, call, reterr);
	call->words = NULL; /* it may be `text` */
	return err;
}

int record_calls_add(struct record_calls *calls, const struct record_process *process, const struct record_file *file,
		     const struct record_event *event, struct panbind_error *reterr)
{
	struct call call = {.file = file->id, .prefix = file->prefix};

	if (!event) {
		call.type = CALL_FILE_CLOSE;
		call.start_ns = (uint64_t)(file->left_ns + calls->offset_ns);
		return call_log_add(calls->log, &call, reterr);
	}
	call_log_set_argv(calls->log, process->argv);
	call_log_set_user(calls->log, process->uid, process->gid);
	call.start_ns = (uint64_t)(event->start_ns + calls->offset_ns);
	call.duration_ns = event->duration_ns;
	call.pid = process->pid;
	call.tid = event->tid;
	call.err = event->err;
	call.id = event->id;
	call.unfinished = event->marks & RECORD_UNFINISHED;
	return add_call(calls, event, &call, reterr);
}
