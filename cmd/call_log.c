/* SPDX-License-Identifier: MIT */
/* Calls to entries of a log. See call_log.h. */
#include "call_log.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_objects.h"

struct call_log {
	struct call_log_options options;
	struct call_objects objects;
	json_t *generations; /* name -> how often it was given */
	uint64_t failed;     /* creations, each of which has a name of its own */
	struct panbind_log_op *ops;
	size_t op_room;
};

int call_log_create(const struct call_log_options *options, struct call_log **ret_log)
{
	struct call_log *log = calloc(1, sizeof(*log));

	if (log)
		log->generations = json_object();
	if (!log || !log->generations) {
		free(log);
		return -ENOMEM;
	}
	log->options = *options;
	*ret_log = log;
	return 0;
}

void call_log_destroy(struct call_log *log)
{
	if (!log)
		return;
	call_objects_free(&log->objects);
	json_decref(log->generations);
	free(log->ops);
	free(log);
}

void call_log_set_argv(struct call_log *log, const char *argv)
{
	log->options.argv = argv;
}

void call_log_set_user(struct call_log *log, uint32_t uid, uint32_t gid)
{
	log->options.uid = uid;
	log->options.gid = gid;
}

static int __attribute__((format(printf, 4, 5)))
fail(struct panbind_error *reterr, int code, uint32_t op, const char *format, ...)
{
	va_list args;

	if (!reterr)
		return code;
	*reterr = (struct panbind_error){.code = code, .stage = PANBIND_STAGE_JOURNAL, .op = op};
	va_start(args, format);
	vsnprintf(reterr->msg, sizeof(reterr->msg), format, args);
	va_end(args);
	return code;
}

static int no_memory(struct panbind_error *reterr)
{
	return fail(reterr, -ENOMEM, PANBIND_NO_OP, "out of memory");
}

/* ---- Entries ---- */

/* The log's times are those at which something was over. */
static struct panbind_log_entry entry_of(const struct call_log *log, const struct call *call,
					 enum panbind_log_kind kind)
{
	struct panbind_log_entry entry = {
		.time_ns = (int64_t)(call->start_ns + call->duration_ns),
		.kind = kind,
		.uid = log->options.uid,
		.gid = log->options.gid,
		.pid = call->pid,
		.tid = call->tid,
		.argv = log->options.argv,
		.comment = call->note,
		.result = -call->err,
		.outcome = call->err ? PANBIND_OUTCOME_ROLLED_BACK : PANBIND_OUTCOME_APPLIED,
		.stage = call->err ? PANBIND_STAGE_SUBMIT : PANBIND_STAGE_NONE,
		.failing_op = PANBIND_NO_OP,
		.latency_ns = call->duration_ns,
		.durability = PANBIND_LOG_DURABLE_NONE,
	};

	if (entry.time_ns == 0)
		entry.time_ns = 1; /* 0 is "now" */
	if (call->unfinished) {
		entry.result = -EINTR;
		entry.outcome = PANBIND_OUTCOME_UNKNOWN;
		entry.stage = PANBIND_STAGE_SUBMIT;
		entry.message = "the program ended in the middle of it";
	}
	return entry;
}

static int emit(struct call_log *log, const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	return log->options.emit(log->options.data, entry, reterr);
}

int call_log_start(struct call_log *log, uint64_t time_ns, const char *note, struct panbind_error *reterr)
{
	const struct call call = {.start_ns = time_ns, .note = note};
	struct panbind_log_entry entry = entry_of(log, &call, PANBIND_LOG_START);

	return emit(log, &entry, reterr);
}

/* ---- Objects ---- */

static const char *kind_name(enum call_kind kind)
{
	static const char *const names[] = {"?", "vm", "bo", "so"};

	return names[kind];
}

static struct panbind_log_ref ref_of(const struct call_object *object)
{
	return object ? (struct panbind_log_ref){object->name, object->generation} : (struct panbind_log_ref){NULL, 0};
}

/* A new object with the next generation of its name. */
static int name_object(struct call_log *log, const struct call *call, enum call_kind kind, uint32_t id,
		       struct call_object **ret_object)
{
	struct call_object *object = calloc(1, sizeof(*object));
	json_t *used;

	if (!object)
		return -ENOMEM;
	snprintf(object->name, sizeof(object->name), "%s%s%" PRIu32, call->prefix ? call->prefix : "", kind_name(kind),
		 id);
	used = json_object_get(log->generations, object->name);
	object->generation = (uint64_t)json_integer_value(used) + 1;
	if (json_object_set_new(log->generations, object->name, json_integer((json_int_t)object->generation)) < 0 ||
	    call_objects_set(&log->objects, call->file, kind, id, object) < 0) {
		free(object);
		return -ENOMEM;
	}
	*ret_object = object;
	return 0;
}

/* Write the entry of an object that is there from here on. */
static int emit_create(struct call_log *log, const struct call *call, enum panbind_log_kind kind,
		       const struct call_object *object, const char *note, struct panbind_error *reterr)
{
	struct panbind_log_entry entry = entry_of(log, call, kind);

	entry.object = (struct panbind_log_object){.ref = ref_of(object), .size = object->size};
	if (note)
		entry.comment = note;
	if (call->type == CALL_BO_CREATE) {
		entry.object.flags = call->flags;
		if (call->exclusive_vm)
			entry.object.exclusive_vm =
				ref_of(call_objects_find(&log->objects, call->file, CALL_KIND_VM, call->exclusive_vm));
	}
	return emit(log, &entry, reterr);
}

/* Let go of an id; the entry comes when that was all that led to the object. */
static int end_object(struct call_log *log, const struct call *call, enum call_kind kind, uint32_t id, const char *note,
		      struct panbind_error *reterr)
{
	struct call_object *object = call_objects_take(&log->objects, call->file, kind, id);
	struct panbind_log_entry entry;
	int err = 0;

	if (object && kind != CALL_KIND_SYNCOBJ) {
		entry = entry_of(log, call, kind == CALL_KIND_VM ? PANBIND_LOG_VM_DESTROY : PANBIND_LOG_BO_DESTROY);
		entry.object.ref = ref_of(object);
		if (note)
			entry.comment = note;
		err = emit(log, &entry, reterr);
	}
	free(object);
	return err;
}

/* A creation that failed: something that never lived, under a name that nothing else has. */
static int emit_failed(struct call_log *log, const struct call *call, enum panbind_log_kind kind,
		       struct panbind_error *reterr)
{
	/* What was broken off has no size: a replay does not try whether it fails again. */
	struct call_object object = {.generation = 1, .size = call->unfinished ? 0 : call->size};

	snprintf(object.name, sizeof(object.name), "%snone%" PRIu64, call->prefix ? call->prefix : "", ++log->failed);
	return emit_create(log, call, kind, &object, NULL, reterr);
}

static int create(struct call_log *log, const struct call *call, enum call_kind kind, struct panbind_error *reterr)
{
	static const enum panbind_log_kind kinds[] = {0, PANBIND_LOG_VM_CREATE, PANBIND_LOG_BO_CREATE, 0};
	static const char twice[] = "its id is given out again, and nothing tells how it went";
	struct call_object *object;
	int err;

	if (call->err)
		return kinds[kind] ? emit_failed(log, call, kinds[kind], reterr) : 0;
	err = end_object(log, call, kind, call->id, twice, reterr);
	if (err < 0)
		return err;
	if (name_object(log, call, kind, call->id, &object) < 0)
		return no_memory(reterr);
	object->size = kind == CALL_KIND_VM && !call->size ? log->options.va_range : call->size;
	object->key = call->key;
	return kinds[kind] ? emit_create(log, call, kinds[kind], object, NULL, reterr) : 0;
}

/* The object that an op names; one that nobody has seen being made is made here, if that is wanted. */
static int find_object(struct call_log *log, const struct call *call, enum call_kind kind, uint32_t id, uint64_t size,
		       struct call_object **ret_object, struct panbind_error *reterr)
{
	struct call bare = *call;
	int err = 0;

	*ret_object = call_objects_find(&log->objects, call->file, kind, id);
	if (*ret_object)
		return 0;
	if (!log->options.invent)
		return fail(reterr, -ENOENT, PANBIND_NO_OP, "names %s%s%" PRIu32 ", which nothing before has created",
			    call->prefix ? call->prefix : "", kind_name(kind), id);
	if (name_object(log, call, kind, id, ret_object) < 0)
		return no_memory(reterr);
	bare.type = 0;
	bare.err = 0;
	bare.duration_ns = 0;
	(*ret_object)->size = size;
	if (kind != CALL_KIND_SYNCOBJ)
		err = emit_create(log, &bare, kind == CALL_KIND_VM ? PANBIND_LOG_VM_CREATE : PANBIND_LOG_BO_CREATE,
				  *ret_object, "was there before; its size is a guess", reterr);
	return err;
}

/* ---- BOs of several files ---- */

static struct call_object *find_key(const struct call_log *log, uint64_t key)
{
	for (size_t i = 0; key && i < log->objects.room; i++) {
		struct call_object *object = log->objects.slots[i].object;

		if (object && log->objects.slots[i].kind == CALL_KIND_BO && object->key == key)
			return object;
	}
	return NULL;
}

static int import_bo(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct call_object *object = find_key(log, call->key);
	struct call_object *held = call_objects_find(&log->objects, call->file, CALL_KIND_BO, call->id);
	int err;

	if (call->err || (object && held == object))
		return 0; /* the driver gives out the handle that is there */
	err = end_object(log, call, CALL_KIND_BO, call->id, NULL, reterr);
	if (err < 0)
		return err;
	if (object)
		return call_objects_set(&log->objects, call->file, CALL_KIND_BO, call->id, object) < 0
			       ? no_memory(reterr)
			       : 0;
	if (name_object(log, call, CALL_KIND_BO, call->id, &object) < 0)
		return no_memory(reterr);
	object->size = call->size;
	object->key = call->key;
	return emit_create(log, call, PANBIND_LOG_BO_CREATE, object, "imported from outside", reterr);
}

static void export_bo(struct call_log *log, const struct call *call)
{
	struct call_object *object = call_objects_find(&log->objects, call->file, CALL_KIND_BO, call->id);

	if (object && !call->err)
		object->key = call->key;
}

/* VMs first: they hold what they map. */
static int close_file(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	int err = 0;

	for (enum call_kind kind = CALL_KIND_VM; kind <= CALL_KIND_SYNCOBJ; kind++)
		for (size_t i = 0; i < log->objects.room && err == 0; i++) {
			const struct call_slot *slot = &log->objects.slots[i];

			if (slot->object && slot->kind == kind && slot->file == call->file)
				err = end_object(log, call, kind, (uint32_t)slot->id, "with its file", reterr);
		}
	return err;
}

/* ---- Binds ---- */

static struct panbind_log_ref ref_if_known(const struct call_log *log, const struct call *call, enum call_kind kind,
					   uint32_t id)
{
	return ref_of(call_objects_find(&log->objects, call->file, kind, id));
}

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
		int err = find_object(log, call, CALL_KIND_SYNCOBJ, sync->syncobj, 0, &syncobj, reterr);

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

	*row = (struct panbind_log_op){.type = op_type(op), .vm = ref_if_known(log, call, CALL_KIND_VM, call->id)};
	if (row->type == PANBIND_LOG_SYNC_ONLY)
		return 0;
	row->va = op->va;
	row->size = op->size;
	if (row->type != PANBIND_LOG_MAP)
		return 0;
	row->flags = op->flags & (CALL_MAP_READONLY | CALL_MAP_NOEXEC | CALL_MAP_UNCACHED);
	row->bo_offset = op->bo_offset;
	if (applied)
		err = find_object(log, call, CALL_KIND_BO, op->bo, op->bo_offset + op->size, &bo, reterr);
	row->bo = applied ? ref_of(bo) : ref_if_known(log, call, CALL_KIND_BO, op->bo);
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
	int err = stream ? 0 : no_memory(reterr);

	for (size_t i = 0; i < call->op_count && err == 0; i++) {
		err = convert_op(log, call, i, reterr);
		if (err == 0 && call->ops[i].sync_count)
			err = write_syncs(log, call, &call->ops[i], stream, reterr);
		if (err < 0 && reterr)
			reterr->op = (uint32_t)i;
	}
	if (stream && fclose(stream) && err == 0)
		err = no_memory(reterr);
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

static int bind(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct panbind_log_entry entry = entry_of(log, call, PANBIND_LOG_BIND);
	struct call_object *vm;
	char *texts = NULL, *text;
	bool applied = call->id && (ops_in_place(call) || !call->err); /* id 0: not known which VM */
	int err = applied ? find_object(log, call, CALL_KIND_VM, call->id, log->options.va_range, &vm, reterr) : 0;

	if (err == 0 && reserve_ops(log, call->op_count) < 0)
		err = no_memory(reterr);
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
		err = emit(log, &entry, reterr);
	free(texts);
	return err;
}

/* ---- Calls that bind nothing ---- */

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
	struct panbind_log_entry entry = entry_of(log, call, PANBIND_LOG_SYNC);
	int err;

	if (strlen(text) < PANBIND_LOG_MAX_TEXT)
		entry.comment = text;
	err = emit(log, &entry, reterr);
	free(text);
	return err;
}

/* "group submit 1: queue 0 wait=so9:5 signal=so10, queue 1": what a job waits for and signals orders binds as well. */
static int group_submit(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	char *text = NULL;
	size_t size;
	FILE *stream = log->options.calls ? open_memstream(&text, &size) : NULL;

	if (!stream)
		return log->options.calls ? no_memory(reterr) : 0;
	fprintf(stream, "group submit %" PRIu32 ":", call->id);
	for (size_t i = 0; i < call->op_count; i++) {
		const struct call_op *job = &call->ops[i];

		fprintf(stream, "%s queue %" PRIu32, i ? "," : "", job->bo);
		for (size_t s = 0; s < job->sync_count; s++) {
			fputs(job->syncs[s].signal ? " signal=" : " wait=", stream);
			put_point(log, call, &job->syncs[s], stream);
		}
	}
	return fclose(stream) ? no_memory(reterr) : say(log, call, text, reterr);
}

/* "syncobj wait so9:5 so10 --all": what a script would say. */
static int sync_call(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	char *text = NULL;
	size_t size;
	FILE *stream = log->options.calls ? open_memstream(&text, &size) : NULL;

	if (!stream)
		return log->options.calls ? no_memory(reterr) : 0;
	fprintf(stream, "syncobj %s", call->verb);
	for (size_t i = 0; i < call->point_count; i++) {
		putc(' ', stream);
		put_point(log, call, &call->points[i], stream);
	}
	fputs(call->words ? call->words : "", stream);
	return fclose(stream) ? no_memory(reterr) : say(log, call, text, reterr);
}

/* A handle comes or goes: the entry is written while the name is there. */
static int syncobj_life(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	const struct call_sync point = {.syncobj = call->id};
	struct call named = *call;
	int err = call->type == CALL_SYNCOBJ_CREATE ? create(log, call, CALL_KIND_SYNCOBJ, reterr) : 0;

	named.points = &point;
	named.point_count = call->type == CALL_SYNCOBJ_CREATE && call->err ? 0 : 1;
	if (!named.verb)
		named.verb = call->type == CALL_SYNCOBJ_CREATE ? "create" : "destroy";
	if (err == 0)
		err = sync_call(log, &named, reterr);
	if (err == 0 && call->type == CALL_SYNCOBJ_DESTROY && !call->err)
		err = end_object(log, call, CALL_KIND_SYNCOBJ, call->id, NULL, reterr);
	return err;
}

/* The program was told that the driver has given the VM up: from here on nobody knows what it maps. */
static int vm_state(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct call_object *vm = call_objects_find(&log->objects, call->file, CALL_KIND_VM, call->id);
	struct panbind_log_entry entry = entry_of(log, call, PANBIND_LOG_VM_LOST);

	if (!vm || vm->lost || call->err || !call->done)
		return 0;
	vm->lost = 1;
	entry.object.ref = ref_of(vm);
	entry.comment = "the driver says that it is unusable";
	return emit(log, &entry, reterr);
}

static int note(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	const struct call_object *bo = call_objects_find(&log->objects, call->file, CALL_KIND_BO, call->id);
	struct panbind_log_entry entry = entry_of(log, call, PANBIND_LOG_NOTE);
	char text[CALL_NAME + 4200];

	if (!call->note && !bo)
		return 0;
	if (!call->note) {
		snprintf(text, sizeof(text), "%s is labelled '%s'", bo->name, call->words);
		entry.comment = text;
	}
	return emit(log, &entry, reterr);
}

int call_log_add(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct call_object *found;
	int err;

	switch (call->type) {
	case CALL_VM_CREATE:
		return create(log, call, CALL_KIND_VM, reterr);
	case CALL_BO_CREATE:
		err = call->exclusive_vm && !call->err ? find_object(log, call, CALL_KIND_VM, call->exclusive_vm,
								     log->options.va_range, &found, reterr)
						       : 0;
		return err < 0 ? err : create(log, call, CALL_KIND_BO, reterr);
	case CALL_SYNCOBJ_CREATE:
	case CALL_SYNCOBJ_DESTROY:
		return syncobj_life(log, call, reterr);
	case CALL_SYNCOBJ:
		return sync_call(log, call, reterr);
	case CALL_GROUP_SUBMIT:
		return group_submit(log, call, reterr);
	case CALL_VM_STATE:
		return vm_state(log, call, reterr);
	case CALL_NOTE:
		return note(log, call, reterr);
	case CALL_VM_DESTROY:
		err = call->err ? 0
				: find_object(log, call, CALL_KIND_VM, call->id, log->options.va_range, &found, reterr);
		return err < 0 || call->err ? err : end_object(log, call, CALL_KIND_VM, call->id, NULL, reterr);
	case CALL_BO_CLOSE:
		return call->err ? 0 : end_object(log, call, CALL_KIND_BO, call->id, NULL, reterr);
	case CALL_BO_IMPORT:
		return import_bo(log, call, reterr);
	case CALL_BO_EXPORT:
		export_bo(log, call);
		return 0;
	case CALL_FILE_CLOSE:
		return close_file(log, call, reterr);
	case CALL_VM_BIND:
		return bind(log, call, reterr);
	default:
		return 0;
	}
}
