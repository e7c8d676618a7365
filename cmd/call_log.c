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

#include "call_log_private.h"

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

int call_log_no_memory(struct panbind_error *reterr)
{
	return fail(reterr, -ENOMEM, PANBIND_NO_OP, "out of memory");
}

/* ---- Entries ---- */

/* The log's times are those at which something was over. */
struct panbind_log_entry call_log_entry(const struct call_log *log, const struct call *call, enum panbind_log_kind kind)
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

int call_log_emit(struct call_log *log, const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	return log->options.emit(log->options.data, entry, reterr);
}

int call_log_start(struct call_log *log, uint64_t time_ns, const char *note, struct panbind_error *reterr)
{
	const struct call call = {.start_ns = time_ns, .note = note};
	struct panbind_log_entry entry = call_log_entry(log, &call, PANBIND_LOG_START);

	return call_log_emit(log, &entry, reterr);
}

/* ---- Objects ---- */

static const char *kind_name(enum call_kind kind)
{
	static const char *const names[] = {"?", "vm", "bo", "so"};

	return names[kind];
}

struct panbind_log_ref call_log_ref(const struct call_object *object)
{
	return object ? (struct panbind_log_ref){object->name, object->generation} : (struct panbind_log_ref){NULL, 0};
}

struct panbind_log_ref call_log_ref_if_known(const struct call_log *log, const struct call *call, enum call_kind kind,
					     uint32_t id)
{
	return call_log_ref(call_objects_find(&log->objects, call->file, kind, id));
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
	struct panbind_log_entry entry = call_log_entry(log, call, kind);

	entry.object = (struct panbind_log_object){.ref = call_log_ref(object), .size = object->size};
	if (note)
		entry.comment = note;
	if (call->type == CALL_BO_CREATE) {
		entry.object.flags = call->flags;
		if (call->exclusive_vm)
			entry.object.exclusive_vm = call_log_ref(
				call_objects_find(&log->objects, call->file, CALL_KIND_VM, call->exclusive_vm));
	}
	return call_log_emit(log, &entry, reterr);
}

/* Let go of an id; the entry comes when that was all that led to the object. */
static int end_object(struct call_log *log, const struct call *call, enum call_kind kind, uint32_t id, const char *note,
		      struct panbind_error *reterr)
{
	struct call_object *object = call_objects_take(&log->objects, call->file, kind, id);
	struct panbind_log_entry entry;
	int err = 0;

	if (object && kind != CALL_KIND_SYNCOBJ) {
		entry = call_log_entry(log, call,
				       kind == CALL_KIND_VM ? PANBIND_LOG_VM_DESTROY : PANBIND_LOG_BO_DESTROY);
		entry.object.ref = call_log_ref(object);
		if (note)
			entry.comment = note;
		err = call_log_emit(log, &entry, reterr);
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
		return call_log_no_memory(reterr);
	object->size = kind == CALL_KIND_VM && !call->size ? log->options.va_range : call->size;
	object->key = call->key;
	return kinds[kind] ? emit_create(log, call, kinds[kind], object, NULL, reterr) : 0;
}

/* The object that an op names; one that nobody has seen being made is made here, if that is wanted. */
int call_log_find(struct call_log *log, const struct call *call, enum call_kind kind, uint32_t id, uint64_t size,
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
		return call_log_no_memory(reterr);
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
			       ? call_log_no_memory(reterr)
			       : 0;
	if (name_object(log, call, CALL_KIND_BO, call->id, &object) < 0)
		return call_log_no_memory(reterr);
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

/* ---- Calls that bind nothing ---- */

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
		err = call_log_sync_call(log, &named, reterr);
	if (err == 0 && call->type == CALL_SYNCOBJ_DESTROY && !call->err)
		err = end_object(log, call, CALL_KIND_SYNCOBJ, call->id, NULL, reterr);
	return err;
}

/* The program was told that the driver has given the VM up: from here on nobody knows what it maps. */
static int vm_state(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct call_object *vm = call_objects_find(&log->objects, call->file, CALL_KIND_VM, call->id);
	struct panbind_log_entry entry = call_log_entry(log, call, PANBIND_LOG_VM_LOST);

	if (!vm || vm->lost || call->err || !call->done)
		return 0;
	vm->lost = 1;
	entry.object.ref = call_log_ref(vm);
	entry.comment = "the driver says that it is unusable";
	return call_log_emit(log, &entry, reterr);
}

static int note(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	const struct call_object *bo = call_objects_find(&log->objects, call->file, CALL_KIND_BO, call->id);
	struct panbind_log_entry entry = call_log_entry(log, call, PANBIND_LOG_NOTE);
	char text[CALL_NAME + 4200];

	if (!call->note && !bo)
		return 0;
	if (!call->note) {
		snprintf(text, sizeof(text), "%s is labelled '%s'", bo->name, call->words);
		entry.comment = text;
	}
	return call_log_emit(log, &entry, reterr);
}

int call_log_add(struct call_log *log, const struct call *call, struct panbind_error *reterr)
{
	struct call_object *found;
	int err;

	switch (call->type) {
	case CALL_VM_CREATE:
		return create(log, call, CALL_KIND_VM, reterr);
	case CALL_BO_CREATE:
		err = call->exclusive_vm && !call->err ? call_log_find(log, call, CALL_KIND_VM, call->exclusive_vm,
								       log->options.va_range, &found, reterr)
						       : 0;
		return err < 0 ? err : create(log, call, CALL_KIND_BO, reterr);
	case CALL_SYNCOBJ_CREATE:
	case CALL_SYNCOBJ_DESTROY:
		return syncobj_life(log, call, reterr);
	case CALL_SYNCOBJ:
		return call_log_sync_call(log, call, reterr);
	case CALL_GROUP_SUBMIT:
		return call_log_submit(log, call, reterr);
	case CALL_VM_STATE:
		return vm_state(log, call, reterr);
	case CALL_NOTE:
		return note(log, call, reterr);
	case CALL_VM_DESTROY:
		err = call->err
			      ? 0
			      : call_log_find(log, call, CALL_KIND_VM, call->id, log->options.va_range, &found, reterr);
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
		return call_log_bind(log, call, reterr);
	default:
		return 0;
	}
}
