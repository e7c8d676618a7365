/* SPDX-License-Identifier: MIT */
/*
 * Units: what the engine has done, or promised to do, while the log has not said that it is recorded.
 *
 * The list is in the order of the log. The log answers in that order too, and once it has refused one entry it refuses
 * all that are queued behind it. So the units that are recorded are the oldest ones and are ended from the front; those
 * that are refused are the newest ones and are undone from the back, which is the order in which undoing is right.
 *
 * Who commits, the log's thread or the executor itself, touches a unit once, in on_done(): takes the call out, sets the
 * state, and looks away. An answer that needs nothing more from the executor goes from there straight to the loop, or
 * to the client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine_private.h"
#include "say.h"
#include "server.h"
#include "util.h"

struct unit *unit_new(struct engine *engine, enum unit_kind kind, const char *name)
{
	struct unit *unit = calloc(1, sizeof(*unit));

	if (!unit)
		return NULL;
	unit->engine = engine;
	unit->kind = kind;
	if (name) {
		unit->name = strdup(name);
		if (!unit->name) {
			free(unit);
			return NULL;
		}
	}
	return unit;
}

void unit_free(struct unit *unit)
{
	if (!unit)
		return;
	panbind_txn_commit(unit->txn);
	panbind_vm_destroy(unit->vm);
	panbind_bo_unref(unit->bo);
	free(unit->exclusive_vm);
	free(unit->name);
	free(unit);
}

/* ---- Undo ---- */

static enum panbind_outcome put_back_name(struct unit *unit)
{
	struct panbind_session *session = unit->engine->session;
	int r = 0;

	if (unit->vm) {
		r = panbind_session_add_vm(session, unit->name, unit->vm);
		if (r == 0)
			unit->vm = NULL;
	} else if (unit->bo) {
		r = panbind_session_add_bo(session, unit->name, unit->bo, unit->exclusive_vm);
		if (r == 0)
			unit->bo = NULL;
	}
	if (r < 0)
		say(SAY_ERROR, "the name of %s is lost: %s", unit->name, strerror(-r));
	return r < 0 ? PANBIND_OUTCOME_PARTIAL : PANBIND_OUTCOME_ROLLED_BACK;
}

/** Take back what the unit did. @reterr: why not. */
static enum panbind_outcome undo(struct unit *unit, struct panbind_error *reterr)
{
	struct panbind_session *session = unit->engine->session;
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;

	switch (unit->kind) {
	case UNIT_BIND:
		panbind_txn_rollback(take_ptr(unit->txn), &outcome, reterr);
		break;
	case UNIT_VM_CREATE:
		panbind_vm_destroy(panbind_session_take_vm(session, unit->name));
		break;
	case UNIT_BO_CREATE:
		panbind_bo_unref(panbind_session_take_bo(session, unit->name));
		break;
	case UNIT_VM_DESTROY:
	case UNIT_BO_DESTROY:
		outcome = put_back_name(unit);
		break;
	case UNIT_NOTHING:
		break;
	}
	return outcome;
}

/** The log has refused, and the unit is undone: tell the call. A failure that was to be recorded stays that failure. */
static int tell_refusal(struct request *request, int refusal, enum panbind_outcome outcome,
			const struct panbind_error *why)
{
	struct rpc_error *error = &request->error;

	if (error->code)
		return error->code;
	if (outcome == PANBIND_OUTCOME_ROLLED_BACK)
		rpc_error_set(error, RPC_JOURNAL, -refusal, "the log could not record it (%s); it was undone",
			      strerror(-refusal));
	else
		rpc_error_set(error, RPC_JOURNAL, -refusal,
			      "the log could not record it (%s), and undoing it failed: %s", strerror(-refusal),
			      why->msg);
	error->applied = engine_applied(outcome);
	error->retryable = outcome == PANBIND_OUTCOME_ROLLED_BACK;
	return error->code;
}

static void undo_and_tell(struct unit *unit)
{
	struct panbind_error why = {0};
	enum panbind_outcome outcome = undo(unit, &why);

	unit->engine->diverged |= outcome != PANBIND_OUTCOME_ROLLED_BACK;
	if (unit->refusal == 0) /* it was written; what is older could not be synced */
		unit->refusal = -EIO;
	if (unit->request) {
		struct request *request = take_ptr(unit->request);

		tell_refusal(request, unit->refusal, outcome, &why);
		engine_answer(unit->engine, request);
	} else {
		say(SAY_WARNING, "%s: entry %llu was answered before it was recorded, and is undone: %s",
		    unit->engine->name, (unsigned long long)unit->seq, strerror(-unit->refusal));
	}
	unit_free(unit);
}

/* ---- The log's thread ---- */

/** Complete the answer, so that whoever has the call next only sends it. */
static void complete(struct request *request, uint64_t seq)
{
	request->seq = seq;
	if (request->error.code)
		request->error.seq = seq;
	if (request->id && !request->error.code) {
		if (seq)
			jw_int(&request->out, "seq", (int64_t)seq);
		jw_object_end(&request->out);
	}
	request_end_answer(request);
}

static bool destroys(const struct unit *unit)
{
	return unit->kind == UNIT_VM_DESTROY || unit->kind == UNIT_BO_DESTROY;
}

static void on_done(void *data, uint64_t seq, int result)
{
	struct unit *unit = data;
	struct engine *engine = unit->engine;
	struct request *request = NULL;
	bool executor_is_needed = result < 0 || destroys(unit);

	if (executor_is_needed) {
		unit->refusal = result;
		if (result < 0)
			atomic_store(&engine->refused, true);
	} else {
		request = take_ptr(unit->request);
	}
	/* From here on the unit is the executor's, and may be gone. */
	atomic_store(&unit->state, result < 0 ? UNIT_REFUSED : UNIT_RECORDED);
	if (executor_is_needed)
		queue_poke(&engine->queue);
	if (request) {
		complete(request, seq);
		server_reply(engine->server, request);
	}
}

/* ---- Recording ---- */

static void queue_unit(struct unit *unit)
{
	*unit->engine->newest = unit;
	unit->engine->newest = &unit->newer;
}

/** The log did not even queue it. It is the newest thing that was done, so it is undone before all that is queued. */
static int refused_at_once(struct unit *unit, struct request *request, const struct panbind_error *error)
{
	struct engine *engine = unit->engine;
	struct panbind_error why = {0};
	enum panbind_outcome outcome = undo(unit, &why);

	unit_free(unit);
	engine->diverged |= outcome != PANBIND_OUTCOME_ROLLED_BACK;
	units_settle(engine);
	return tell_refusal(request, error->code ? error->code : -EIO, outcome, &why);
}

static int record_without_log(struct unit *unit, struct request *request)
{
	struct engine *engine = unit->engine;

	unit_free(unit);
	complete(request, 0);
	server_reply(engine->server, request);
	return METHOD_PENDING;
}

typedef int append_fn(struct panbind_log *log, const struct panbind_log_entry *entry,
		      enum panbind_log_durability durability, panbind_log_done_fn *done, void *data, uint64_t *ret_seq,
		      struct panbind_error *reterr);

/**
 * The VMs whose mapping the unit changes, in engine->touched: found before the entry is queued, since the call and the
 * names in it may be gone as soon as it is. No memory: they keep the generations that the library gave them.
 */
static size_t find_touched(struct engine *engine, const struct unit *unit, const struct panbind_log_entry *entry)
{
	size_t count = 0;

	if (unit->kind == UNIT_VM_CREATE && engine_make_touched_room(engine, 1) == 0)
		engine->touched[count++] = panbind_session_vm(engine->session, unit->name);
	for (size_t i = 0; unit->kind == UNIT_BIND && i < entry->op_count; i++) {
		if (i > 0 && strcmp(entry->ops[i].vm.name, entry->ops[i - 1].vm.name) == 0)
			continue;
		if (engine_make_touched_room(engine, count + 1) == 0)
			engine->touched[count++] = panbind_session_vm(engine->session, entry->ops[i].vm.name);
	}
	return count;
}

/** A refusal of the entry undoes the change, and brings the generation back with it. */
static void note_changes(struct engine *engine, size_t count, uint64_t seq)
{
	for (size_t i = 0; i < count; i++)
		if (engine->touched[i])
			panbind_vm_set_map_generation(engine->touched[i], seq);
}

int unit_record(struct unit *unit, struct request *request, const struct panbind_log_entry *entry)
{
	struct engine *engine = unit->engine;
	bool waits = request->call.durability != DURABILITY_NONE || destroys(unit);
	/* Asked for none, the answer goes at once; but the fate of the entry matters all the same. */
	enum panbind_log_durability durability =
		request->call.durability == DURABILITY_SYNC ? PANBIND_LOG_DURABLE_SYNC : PANBIND_LOG_DURABLE_WRITE;
	/* While a call that is alone waits for the log, nobody waits for this thread. */
	bool here = waits && request->alone;
	append_fn *append = here ? panbind_log_append_here : panbind_log_append;
	struct panbind_error error = {0};
	size_t touched;

	if (!engine->log)
		return record_without_log(unit, request);
	touched = find_touched(engine, unit, entry);
	unit->request = waits ? request : NULL;
	if (append(engine->log, entry, durability, on_done, unit, &unit->seq, &error) < 0) {
		unit->request = NULL;
		return refused_at_once(unit, request, &error);
	}
	queue_unit(unit);
	note_changes(engine, touched, unit->seq);
	if (here)
		units_settle(engine);
	if (!waits) {
		complete(request, unit->seq);
		server_reply(engine->server, request);
	}
	return METHOD_PENDING;
}

/* ---- Settling ---- */

/** The entry is on disk: what was to be done after that is done now. */
static void end_recorded(struct unit *unit)
{
	struct engine *engine = unit->engine;
	struct request *request = take_ptr(unit->request);
	uint64_t seq = unit->seq;

	unit_free(unit);
	if (request) {
		complete(request, seq);
		server_reply(engine->server, request);
	}
}

static void end_all_recorded(struct engine *engine)
{
	while (engine->oldest && atomic_load(&engine->oldest->state) == UNIT_RECORDED) {
		struct unit *unit = engine->oldest;

		engine->oldest = unit->newer;
		if (!engine->oldest)
			engine->newest = &engine->oldest;
		end_recorded(unit);
	}
}

/** Newest first, without recursion: the list may be long. */
static struct unit *reversed(struct unit *oldest)
{
	struct unit *newest = NULL;

	while (oldest) {
		struct unit *next = oldest->newer;

		oldest->newer = newest;
		newest = oldest;
		oldest = next;
	}
	return newest;
}

/** The log decides on all that is queued, in a moment or after a sync. */
static void wait_for_fates(struct engine *engine)
{
	const struct timespec moment = {.tv_nsec = 100000};

	panbind_log_flush(engine->log);
	for (struct unit *unit = engine->oldest; unit; unit = unit->newer)
		while (atomic_load(&unit->state) == UNIT_PENDING)
			nanosleep(&moment, NULL);
}

static void undo_refused(struct engine *engine)
{
	struct unit *unit;

	atomic_store(&engine->refused, false);
	wait_for_fates(engine);
	end_all_recorded(engine);
	unit = reversed(engine->oldest);
	engine->oldest = NULL;
	engine->newest = &engine->oldest;
	while (unit) {
		struct unit *older = unit->newer;

		undo_and_tell(unit);
		unit = older;
	}
}

void units_settle(struct engine *engine)
{
	end_all_recorded(engine);
	if (atomic_load(&engine->refused))
		undo_refused(engine);
}

void units_drain(struct engine *engine)
{
	if (!engine->log)
		return;
	wait_for_fates(engine);
	units_settle(engine);
}
