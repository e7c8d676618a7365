/* SPDX-License-Identifier: MIT */
/*
 * What scripts change, as entries: those of a transaction are waited for before it becomes final, and undone with it
 * when the log fails. A transaction that failed is one entry with all of its ops, which says which of them failed, and
 * what earlier transactions of the script left in place.
 *
 * A script of several transactions under one txn_id has two entries more: one that claims the id, as one whole with
 * what is recorded first, and one at the end. Whatever ends the daemon in between, the log knows what was done under
 * the id, and that it was not all; and a script of which nothing is recorded has never begun.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_script.h"
#include "util.h"

static enum panbind_log_op_type op_type(enum panbind_change_type type)
{
	switch (type) {
	case PANBIND_CHANGE_MAP:
		return PANBIND_LOG_MAP;
	case PANBIND_CHANGE_UNMAP:
		return PANBIND_LOG_UNMAP;
	case PANBIND_CHANGE_SPARSE_RESERVE:
		return PANBIND_LOG_SPARSE_RESERVE;
	case PANBIND_CHANGE_SPARSE_BIND:
		return PANBIND_LOG_SPARSE_BIND;
	case PANBIND_CHANGE_SPARSE_UNBIND:
		return PANBIND_LOG_SPARSE_UNBIND;
	case PANBIND_CHANGE_SPARSE_RELEASE:
		return PANBIND_LOG_SPARSE_RELEASE;
	case PANBIND_CHANGE_MAP_SPARSE:
		return PANBIND_LOG_MAP_SPARSE;
	default:
		return PANBIND_LOG_SYNC_ONLY;
	}
}

static bool is_op(const struct panbind_change *change)
{
	return change->type <= PANBIND_CHANGE_SYNC_ONLY;
}

/** The entry of an object that was made or destroyed. */
static int fill_object(struct engine *engine, const struct panbind_change *change, struct panbind_log_entry *entry)
{
	bool created = change->type == PANBIND_CHANGE_VM_CREATE || change->type == PANBIND_CHANGE_BO_CREATE;
	bool is_vm = change->type == PANBIND_CHANGE_VM_CREATE || change->type == PANBIND_CHANGE_VM_DESTROY;
	enum object_kind kind = is_vm ? OBJECT_VM : OBJECT_BO;
	const char *name = is_vm ? change->vm : change->bo;
	uint64_t generation = registry_get(&engine->registry, kind, name) + created;

	entry->kind = is_vm ? (created ? PANBIND_LOG_VM_CREATE : PANBIND_LOG_VM_DESTROY)
			    : (created ? PANBIND_LOG_BO_CREATE : PANBIND_LOG_BO_DESTROY);
	entry->object.ref = (struct panbind_log_ref){name, generation};
	entry->object.size = created ? change->size : 0;
	entry->object.flags = created ? change->flags : 0;
	entry->object.exclusive_vm.name = kind == OBJECT_BO && created ? change->vm : NULL;
	entry->latency_ns = change->latency_ns;
	if (kind == OBJECT_BO && created && panbind_session_bo(engine->session, name))
		panbind_bo_set_generation(panbind_session_bo(engine->session, name), generation);
	return registry_set(&engine->registry, kind, name, generation);
}

static struct panbind_log_op log_op(const struct panbind_change *change)
{
	return (struct panbind_log_op){
		.type = op_type(change->type),
		.flags = change->flags,
		.vm = {.name = change->vm},
		.bo = {.name = change->bo},
		.va = change->va,
		.size = change->size,
		.bo_offset = change->bo_offset,
		.syncs = change->syncs,
	};
}

/** The entry of neighbouring ops. Returns how many there are, 0: out of memory. */
static size_t fill_ops(struct engine *engine, const struct panbind_change *changes, size_t count,
		       struct panbind_log_entry *entry)
{
	size_t n = 0;

	while (n < count && is_op(&changes[n]))
		n++;
	if (engine_make_op_room(engine, n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		engine->ops[i] = log_op(&changes[i]);
		entry->latency_ns += changes[i].latency_ns;
	}
	entry->ops = engine->ops;
	entry->op_count = n;
	entry->applied = (uint32_t)n;
	return n;
}

/** One entry's worth of changes. Returns how many, or a negative errno. */
static ssize_t record_some(struct record *record, const struct running *running, const struct panbind_change *changes,
			   size_t count, uint32_t flags)
{
	struct panbind_log_entry entry;
	size_t n = 1;
	int r = 0;

	engine_fill_entry(running->request, PANBIND_LOG_BIND, &entry);
	if (is_op(changes))
		n = fill_ops(record->engine, changes, count, &entry);
	else
		r = fill_object(record->engine, changes, &entry);
	if (n == 0 || r < 0)
		return record->error.code = -ENOMEM;
	if (running->parts)
		entry.flags |= PANBIND_LOG_PART | (n < count ? PANBIND_LOG_MORE : 0);
	else if (n < count)
		entry.txn_id = NULL; /* the last entry of the transaction has it */
	if (flags & PANBIND_CHANGES_ASYNC)
		entry.flags |= PANBIND_LOG_ASYNC;
	r = record_append(record, &entry);
	return r < 0 ? r : (ssize_t)n;
}

static enum panbind_log_durability durability_of(const struct request *request)
{
	return request->call.durability == DURABILITY_SYNC ? PANBIND_LOG_DURABLE_SYNC : PANBIND_LOG_DURABLE_WRITE;
}

static int describe_failure(const struct running *running, const struct panbind_error *error, char **ret_text)
{
	char kept[100] = "";
	int n;

	if (running->kept_last)
		snprintf(kept, sizeof(kept), "; entries %llu to %llu of the script stay",
			 (unsigned long long)running->kept_first, (unsigned long long)running->kept_last);
	if (error->line)
		n = asprintf(ret_text, "%s:%u:%u: %s%s", error->file, error->line, error->column, error->msg, kept);
	else
		n = asprintf(ret_text, "%s%s", error->msg, kept);
	return n < 0 ? -ENOMEM : 0;
}

/* ---- The script's id ---- */

/** Does the next entry have to come with one that claims the id? */
static bool has_to_begin(const struct running *running)
{
	return running->parts && !running->begun;
}

static int append_begin(struct record *record, const struct running *running)
{
	struct panbind_log_entry entry;

	engine_fill_entry(running->request, PANBIND_LOG_SCRIPT_BEGIN, &entry);
	return record_append(record, &entry);
}

static void say_kept(const struct running *running, char *text, size_t size)
{
	snprintf(text, size, "%llu transaction%s applied", (unsigned long long)running->transactions,
		 running->transactions == 1 ? "" : "s");
	if (running->kept_last)
		snprintf(text + strlen(text), size - strlen(text), ": entries %llu to %llu",
			 (unsigned long long)running->kept_first, (unsigned long long)running->kept_last);
}

static int append_end(struct record *record, const struct running *running, int result, enum panbind_outcome outcome,
		      const struct panbind_error *error)
{
	autofree char *message = NULL;
	struct panbind_log_entry entry;
	char kept[120];

	engine_fill_entry(running->request, PANBIND_LOG_SCRIPT_END, &entry);
	say_kept(running, kept, sizeof(kept));
	entry.comment = kept;
	entry.latency_ns = now_ns() - running->began_ns;
	if (result < 0) {
		engine_fill_failure(&entry, error, outcome);
		entry.line = running->own_text ? error->line : 0;
		if (describe_failure(running, error, &message) < 0)
			return record->error.code = -ENOMEM;
		entry.message = message;
	}
	return record_append(record, &entry);
}

/* ---- What was done ---- */

/** What was done, before it becomes final. */
static int record_done(struct engine *engine, struct running *running, const struct panbind_changes *changes,
		       struct panbind_error *reterr)
{
	struct record record = {.engine = engine,
				.durability = durability_of(running->request),
				.whole = changes->count > 1 || has_to_begin(running)};
	ssize_t n;
	int r;

	if (has_to_begin(running))
		append_begin(&record, running);
	for (size_t i = 0; i < changes->count; i += (size_t)n) {
		n = record_some(&record, running, changes->changes + i, changes->count - i, changes->flags);
		if (n < 0)
			break;
		if (!running->kept_first && i == 0)
			running->kept_first = record.seq;
	}
	r = record_finish(&record);
	if (r < 0) {
		if (!running->kept_last)
			running->kept_first = 0;
		*reterr = record.error;
		return r;
	}
	running->kept_last = record.seq;
	running->transactions++;
	running->begun = running->parts;
	for (size_t i = 0; i < changes->count; i++)
		if (changes->changes[i].type != PANBIND_CHANGE_BO_CREATE)
			engine_note_change(engine, changes->changes[i].vm, record.seq);
	if (changes->flags & PANBIND_CHANGES_ASYNC)
		flight_note(engine, changes->changes[0].vm, record.seq);
	units_settle(engine); /* they may hold VMs that this transaction destroys */
	return 0;
}

/* ---- What failed ---- */

/** All ops that were asked for; the one that failed. */
static int fill_failed_ops(struct engine *engine, const struct panbind_changes *changes,
			   struct panbind_log_entry *entry)
{
	if (engine_make_op_room(engine, changes->count) < 0)
		return -ENOMEM;
	entry->failing_op = PANBIND_NO_OP;
	entry->ops = engine->ops;
	for (size_t i = 0; i < changes->count; i++) {
		if (!is_op(&changes->changes[i]))
			continue;
		if (i == changes->failing)
			entry->failing_op = (uint32_t)entry->op_count;
		engine->ops[entry->op_count++] = log_op(&changes->changes[i]);
	}
	return 0;
}

static bool is_passing(const struct running *running, const struct panbind_changes *changes)
{
	bool touched = running->kept_last || changes->outcome != PANBIND_OUTCOME_ROLLED_BACK;

	return rpc_is_passing(-changes->error->code, touched ? APPLIED_PARTIAL : APPLIED_NONE);
}

/** Is the failure something to be remembered under the script's id? Then that is claimed. */
static bool claim(struct running *running, const struct panbind_changes *changes)
{
	if (running->begun)
		return true;
	if (is_passing(running, changes))
		return false;
	if (running->parts)
		append_begin(&running->failures, running);
	running->begun = running->parts;
	return true;
}

static int record_failed(struct engine *engine, struct running *running, const struct panbind_changes *changes)
{
	autofree char *message = NULL;
	struct panbind_log_entry entry;

	running->failed = true;
	engine_fill_entry(running->request, PANBIND_LOG_BIND, &entry);
	engine_fill_failure(&entry, changes->error, changes->outcome);
	if (claim(running, changes))
		entry.flags |= running->parts ? PANBIND_LOG_PART : 0;
	else
		entry.txn_id = entry.digest = NULL; /* the same script may come again, and is then run */
	entry.latency_ns = changes->latency_ns;
	entry.line = running->own_text ? changes->error->line : 0;
	if (changes->flags & PANBIND_CHANGES_ASYNC)
		entry.flags |= PANBIND_LOG_ASYNC;
	if (fill_failed_ops(engine, changes, &entry) < 0 || describe_failure(running, changes->error, &message) < 0)
		return running->failures.error.code = -ENOMEM;
	entry.message = message;
	if (changes->flags & PANBIND_CHANGES_ASYNC && changes->outcome == PANBIND_OUTCOME_UNKNOWN && entry.op_count > 0)
		snprintf(running->lost_vm, sizeof(running->lost_vm), "%s", entry.ops[0].vm.name);
	if (changes->outcome > PANBIND_OUTCOME_ROLLED_BACK && entry.op_count == 0)
		running->unclear = true; /* the entry names no VM */
	return record_append(&running->failures, &entry);
}

/* ---- What the script calls ---- */

int engine_on_record(void *data, const struct panbind_changes *changes, struct panbind_error *reterr)
{
	struct engine *engine = data;

	if (changes->flags & PANBIND_CHANGES_FAILED)
		return record_failed(engine, engine->running, changes);
	return record_done(engine, engine->running, changes, reterr);
}

void running_begin(struct running *running, struct engine *engine, struct request *request)
{
	*running = (struct running){.request = request, .began_ns = now_ns()};
	running->failures.engine = engine;
	running->failures.durability = durability_of(request);
}

/** A script that changed nothing has succeeded all the same, and is not to be run again under its id. */
static int record_nothing(struct running *running, struct record *record)
{
	struct panbind_log_entry entry;
	int r;

	engine_fill_entry(running->request, PANBIND_LOG_BIND, &entry);
	record_append(record, &entry);
	r = record_finish(record);
	if (r == 0)
		running->kept_first = running->kept_last = record->seq;
	return r;
}

int running_end(struct running *running, int result, enum panbind_outcome outcome, struct panbind_error *reterr)
{
	const struct call *call = &running->request->call;
	struct engine *engine = running->failures.engine;
	struct record end = {.engine = engine, .durability = running->failures.durability};
	int r;

	if (!engine->log || call->check)
		return result;
	if (running->begun)
		append_end(&end, running, result, outcome, reterr);
	r = record_finish(&running->failures);
	if (r == 0 && running->lost_vm[0]) { /* that it is lost is in the log before the answer */
		flight_note(engine, running->lost_vm, running->failures.seq);
		flights_look(engine);
	}
	if (running->unclear || (r < 0 && running->failed))
		engine->diverged = true;
	r = record_finish(&end);
	if (r == 0 && result == 0 && call->txn_id && !running->kept_last)
		r = record_nothing(running, &end);
	if (r < 0 && result == 0)
		*reterr = end.error;
	return result < 0 ? result : r;
}
