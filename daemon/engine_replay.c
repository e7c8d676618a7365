/* SPDX-License-Identifier: MIT */
/*
 * Logs, repeated: the engine's own at the start, which brings back what was there under its names, and another one on
 * request, whose objects are then new ones of this daemon and are logged as such.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "record.h"
#include "say.h"
#include "util.h"

#define PROBLEMS_TOLD 100

/** A replay under way. */
struct replay {
	struct engine *engine;
	struct record *record; /* NULL: the objects are in the log already */
	struct jw *problems;   /* NULL: said, not answered */
	size_t told;
	struct panbind_error error; /* of an adoption */
	char **names;		    /* VMs that were adopted, for their mappings */
	size_t name_count;
	struct gone {
		enum panbind_log_kind end; /* how the log shall say it */
		char *name;
	} * gone; /* objects of programs, which cannot be had back */
	size_t gone_count;
};

static void on_difference(void *data, const struct panbind_log_difference *difference)
{
	struct replay *replay = data;

	if (replay->told++ >= PROBLEMS_TOLD)
		return;
	if (!replay->problems) {
		say(SAY_WARNING, "entry %llu: %s", (unsigned long long)difference->seq, difference->msg);
		return;
	}
	jw_object(replay->problems, NULL);
	jw_int(replay->problems, "seq", (int64_t)difference->seq);
	jw_string(replay->problems, "message", difference->msg);
	jw_object_end(replay->problems);
}

static int cannot_adopt(struct replay *replay, const char *kind, const char *name, int r)
{
	struct panbind_error *error = &replay->error;

	error->code = r;
	error->stage = PANBIND_STAGE_VALIDATE;
	error->op = PANBIND_NO_OP;
	if (r == -EEXIST)
		snprintf(error->msg, sizeof(error->msg), "there is a %s %.100s here already", kind, name);
	else
		snprintf(error->msg, sizeof(error->msg), "the %s %.100s cannot be kept: %s", kind, name, strerror(-r));
	return r;
}

/** A program's own: it was let go when the daemon ended, said or not, and what was made in its place goes again. */
static int note_gone(struct replay *replay, enum panbind_log_kind end, const struct panbind_log_object *object)
{
	struct gone *grown = reallocarray(replay->gone, replay->gone_count + 1, sizeof(*grown));
	enum object_kind kind = end == PANBIND_LOG_VM_DESTROY ? OBJECT_VM : OBJECT_BO;

	if (!grown)
		return -ENOMEM;
	replay->gone = grown;
	grown[replay->gone_count] = (struct gone){end, strdup(object->ref.name)};
	if (!grown[replay->gone_count].name)
		return -ENOMEM;
	replay->gone_count++;
	return registry_set(&replay->engine->registry, kind, object->ref.name, object->ref.generation);
}

static bool is_gone(const struct replay *replay, const struct panbind_log_object *object)
{
	return !replay->record && object->flags & PANBIND_LOG_ADOPTED;
}

static int adopt_bo(void *data, const struct panbind_log_object *object, struct panbind_bo *bo)
{
	struct replay *replay = data;
	struct engine *engine = replay->engine;
	int r;

	if (is_gone(replay, object)) {
		r = note_gone(replay, PANBIND_LOG_BO_DESTROY, object);
		if (r == 0)
			panbind_bo_unref(bo);
		return r;
	}
	r = panbind_session_add_bo(engine->session, object->ref.name, bo, object->exclusive_vm.name);

	if (r < 0)
		return cannot_adopt(replay, "BO", object->ref.name, r);
	panbind_bo_set_generation(bo, object->ref.generation);
	if (replay->record)
		return 0; /* logged at the end, when the VM that it may belong to is there */
	return registry_set(&engine->registry, OBJECT_BO, object->ref.name, object->ref.generation);
}

static int remember_vm(struct replay *replay, const char *name)
{
	char **grown = reallocarray(replay->names, replay->name_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	replay->names = grown;
	grown[replay->name_count] = strdup(name);
	if (!grown[replay->name_count])
		return -ENOMEM;
	replay->name_count++;
	return 0;
}

static int adopt_vm(void *data, const struct panbind_log_object *object, struct panbind_vm *vm)
{
	struct replay *replay = data;
	struct engine *engine = replay->engine;
	int r;

	if (is_gone(replay, object)) {
		r = note_gone(replay, PANBIND_LOG_VM_DESTROY, object);
		if (r == 0)
			panbind_vm_destroy(vm);
		return r;
	}
	r = panbind_session_add_vm(engine->session, object->ref.name, vm);

	if (r == 0 && remember_vm(replay, object->ref.name) < 0) {
		panbind_session_take_vm(engine->session, object->ref.name); /* and the replay keeps it */
		r = -ENOMEM;
	}
	if (r < 0)
		return cannot_adopt(replay, "VM", object->ref.name, r);
	if (replay->record)
		return 0;
	return registry_set(&engine->registry, OBJECT_VM, object->ref.name, object->ref.generation);
}

/** What was asked for, and who listens. */
static int run_replay(struct replay *replay, struct panbind_log *log, struct panbind_log_replay_options options,
		      struct panbind_log_replay_result *result, struct panbind_error *reterr)
{
	int r;

	options.difference = on_difference;
	options.adopt_bo = adopt_bo;
	options.adopt_vm = adopt_vm;
	options.data = replay;
	r = panbind_log_replay(log, replay->engine->device, &options, result, reterr);
	if (r < 0 && replay->error.code)
		*reterr = replay->error;
	return r;
}

static void free_names(struct replay *replay)
{
	for (size_t i = 0; i < replay->name_count; i++)
		free(replay->names[i]);
	free(replay->names);
	for (size_t i = 0; i < replay->gone_count; i++)
		free(replay->gone[i].name);
	free(replay->gone);
}

static int record_gone(const struct replay *replay, struct panbind_error *reterr)
{
	struct record record = {.engine = replay->engine, .durability = PANBIND_LOG_DURABLE_SYNC, .whole = true};
	int r;

	for (size_t i = 0; i < replay->gone_count; i++)
		record_end(&record, replay->gone[i].end, replay->gone[i].name,
			   "a program's, which did not outlive the daemon's end");
	r = record_finish(&record);
	*reterr = record.error;
	if (r == 0 && replay->gone_count > 0)
		say(SAY_NOTICE, "%s: %zu VMs and BOs of programs are not restored", replay->engine->name,
		    replay->gone_count);
	return r;
}

/* ---- At the start ---- */

/**
 * A VM whose mapping was not known in the end (an undo had failed) is rebuilt as it was last known, and usable again.
 * The log does not say that of it: the state has to be logged anew before anything else is.
 */
static int note_lost_vms(struct engine *engine, struct panbind_error *reterr)
{
	const struct panbind_log_state_object *vm;
	struct panbind_log_state *state;
	int r = panbind_log_state_create(engine->log, UINT64_MAX, (struct panbind_log_ref){0}, &state, reterr);

	if (r < 0)
		return r == -ERANGE ? 0 : r; /* an empty log */
	for (size_t i = 0; (vm = panbind_log_state_vm(state, i)); i++) {
		if (!vm->lost_seq)
			continue;
		say(SAY_WARNING, "%s: the mapping of %s was lost at entry %llu, and is restored as it was before",
		    engine->name, vm->object.ref.name, (unsigned long long)vm->lost_seq);
		engine->diverged = true;
	}
	panbind_log_state_destroy(state);
	return 0;
}

int engine_restore(struct engine *engine)
{
	/* What had failed left nothing, and need not be tried, nor fail again, for the state to be right. */
	const struct panbind_log_replay_options options = {.verify = PANBIND_LOG_VERIFY_END, .applied_only = true};
	struct replay replay = {.engine = engine};
	struct panbind_log_replay_result result = {0};
	struct panbind_error error = {0};
	int r = run_replay(&replay, engine->log, options, &result, &error);

	if (r == 0)
		r = record_gone(&replay, &error);
	free_names(&replay);
	if (r == 0)
		r = note_lost_vms(engine, &error);
	if (r < 0) {
		say(SAY_ERROR, "%s: the log cannot be repeated: %s", engine->name,
		    error.msg[0] ? error.msg : strerror(-r));
		return r;
	}
	if (result.differences > 0) {
		say(SAY_ERROR, "%s: repeating the log gave another mapping than it implies, in %llu places",
		    engine->name, (unsigned long long)result.differences);
		return -EUCLEAN;
	}
	say(SAY_NOTICE, "%s: restored %zu VMs from %llu entries, %llu ops; the mapping is verified", engine->name,
	    replay.name_count, (unsigned long long)result.entries, (unsigned long long)result.ops);
	return 0;
}

/* ---- On request ---- */

/** Log what was adopted as new objects: VMs, then BOs, which may belong to one, then mappings. */
static int record_adopted(struct replay *replay, size_t bos_before)
{
	static const char comment[] = "replayed from another log";
	struct panbind_session *session = replay->engine->session;
	struct record *record = replay->record;
	struct panbind_bo *bo;

	for (size_t i = 0; i < replay->name_count; i++)
		record_vm(record, replay->names[i], comment);
	for (size_t i = bos_before; (bo = panbind_session_bo_at(session, i)); i++)
		record_bo(record, panbind_session_bo_name(session, bo), bo, comment);
	for (size_t i = 0; i < replay->name_count; i++)
		record_map(record, replay->names[i], comment);
	return record_finish(record);
}

/** Take back what was adopted: BOs that stand at @bos_before and later, and the VMs. */
static void give_up(struct replay *replay, size_t bos_before)
{
	struct panbind_session *session = replay->engine->session;
	struct panbind_bo *bo;

	for (size_t i = 0; i < replay->name_count; i++)
		panbind_vm_destroy(panbind_session_take_vm(session, replay->names[i]));
	while ((bo = panbind_session_bo_at(session, bos_before)))
		panbind_bo_unref(panbind_session_take_bo(session, panbind_session_bo_name(session, bo)));
}

static int refuse(struct request *request, struct panbind_error *error, int r)
{
	if (error->code == 0) {
		*error = (struct panbind_error){.code = r, .stage = PANBIND_STAGE_VALIDATE, .op = PANBIND_NO_OP};
		snprintf(error->msg, sizeof(error->msg), "%s", strerror(-r));
	}
	return rpc_error_from_library(&request->error, error, APPLIED_NONE);
}

static void write_result(struct request *request, const struct panbind_log_replay_result *result, struct jw *problems,
			 uint64_t seq)
{
	struct jw *out = &request->out;

	jw_array_end(problems);
	jw_object(out, "result");
	jw_int(out, "entries", (int64_t)result->entries);
	jw_int(out, "ops", (int64_t)result->ops);
	jw_int(out, "skipped", (int64_t)result->skipped);
	jw_int(out, "unknown", (int64_t)result->unknown);
	jw_int(out, "differences", (int64_t)result->differences);
	jw_raw(out, "problems", problems->buf, problems->len);
	if (seq)
		jw_int(out, "seq", (int64_t)seq);
	jw_object_end(out);
}

/** A replay at the recorded times may take as long as they did: it ends when nobody waits for it any more. */
static int on_progress(void *data, uint64_t seq, uint64_t until_seq, uint64_t ops)
{
	struct replay *replay = data;

	return engine_is_cancelled(replay->engine) ? -ECANCELED : 0;
}

static struct panbind_log_replay_options options_of(const struct call *call)
{
	return (struct panbind_log_replay_options){
		.until_seq = call->has_until ? call->until : 0,
		.vm = {.name = call->vm, .generation = call->generation},
		.speed = (double)call->speed,
		.verify = (enum panbind_log_replay_verify)call->verify,
		.progress = on_progress,
	};
}

/** VMs are remembered by the replay; of BOs, the newest stand last. */
static size_t count_bos(struct engine *engine)
{
	size_t count = 0;

	while (panbind_session_bo_at(engine->session, count))
		count++;
	return count;
}

static int replay_log(struct engine *engine, struct request *request, struct panbind_log *log, struct replay *replay)
{
	struct panbind_log_replay_result result = {0};
	struct record record = {.engine = engine, .durability = PANBIND_LOG_DURABLE_SYNC, .whole = true};
	struct panbind_error error = {0};
	size_t bos_before = count_bos(engine);
	int r;

	replay->record = &record;
	engine_set_script_of(engine, request->conn);
	r = run_replay(replay, log, options_of(&request->call), &result, &error);
	engine_set_script_of(engine, NULL);
	if (r == 0 && engine->log) {
		r = record_adopted(replay, bos_before);
		error = record.error;
	}
	if (r < 0) {
		give_up(replay, bos_before);
		return refuse(request, &error, r);
	}
	for (size_t i = 0; i < replay->name_count; i++)
		engine_note_change(engine, replay->names[i], record.seq);
	write_result(request, &result, replay->problems, record.seq);
	return 0;
}

int engine_replay_run(struct engine *engine, struct request *request)
{
	struct jw problems = {0};
	struct replay replay = {.engine = engine, .problems = &problems};
	struct panbind_error error = {0};
	struct panbind_log *log;
	int r = engine_check_log(engine, request);

	if (r != 0)
		return r;
	units_drain(engine);
	r = panbind_log_open(request->call.log, PANBIND_LOG_READ_ONLY, NULL, &log, &error);
	if (r < 0) {
		refuse(request, &error, r);
		request_point(request, "/params/log");
		return request->error.code;
	}
	jw_array(&problems, NULL);
	r = replay_log(engine, request, log, &replay);
	panbind_log_close(log);
	free_names(&replay);
	jw_free(&problems);
	return r;
}
