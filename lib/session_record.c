/* SPDX-License-Identifier: MIT */
/*
 * What a transaction of a script changed, told to the host before the transaction becomes final.
 *
 * Changes are noted command by command, after each has succeeded, in the words of the script rather than as ops: a log
 * of them must be able to tell a sparse region from a mapping. Without a host that records, nothing is noted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "session.h"

uint64_t pb_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int push(struct pb_run *run, const struct panbind_change *change)
{
	if (run->change_count == run->change_room) {
		size_t room = run->change_room ? run->change_room * 2 : 16;
		struct panbind_change *grown = realloc(run->changes, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		run->changes = grown;
		run->change_room = room;
	}
	run->changes[run->change_count++] = *change;
	return 0;
}

static bool change_type(enum pb_verb verb, enum panbind_change_type *ret_type)
{
	static const struct {
		enum pb_verb verb;
		enum panbind_change_type type;
	} types[] = {
		{PB_VERB_MAP, PANBIND_CHANGE_MAP},
		{PB_VERB_UNMAP, PANBIND_CHANGE_UNMAP},
		{PB_VERB_SPARSE_RESERVE, PANBIND_CHANGE_SPARSE_RESERVE},
		{PB_VERB_SPARSE_BIND, PANBIND_CHANGE_SPARSE_BIND},
		{PB_VERB_SPARSE_UNBIND, PANBIND_CHANGE_SPARSE_UNBIND},
		{PB_VERB_SPARSE_RELEASE, PANBIND_CHANGE_SPARSE_RELEASE},
		{PB_VERB_SPARSE_MAP, PANBIND_CHANGE_MAP_SPARSE},
		{PB_VERB_ENSURE, PANBIND_CHANGE_MAP},
		{PB_VERB_VM_ENSURE, PANBIND_CHANGE_VM_CREATE},
		{PB_VERB_BO_ENSURE, PANBIND_CHANGE_BO_CREATE},
		{PB_VERB_SYNC_ONLY, PANBIND_CHANGE_SYNC_ONLY},
		{PB_VERB_VM_CREATE, PANBIND_CHANGE_VM_CREATE},
		{PB_VERB_VM_DESTROY, PANBIND_CHANGE_VM_DESTROY},
		{PB_VERB_BO_CREATE, PANBIND_CHANGE_BO_CREATE},
		{PB_VERB_BO_DESTROY, PANBIND_CHANGE_BO_DESTROY},
	};

	for (size_t i = 0; i < PB_ARRAY_SIZE(types); i++) {
		if (types[i].verb == verb) {
			*ret_type = types[i].type;
			return true;
		}
	}
	return false;
}

static void fill_bo(struct panbind_change *change, const struct pb_entry *entry)
{
	const struct pb_object *object = entry->objects[PB_KIND_BO];

	change->bo = entry->name;
	if (!object)
		return;
	change->size = panbind_bo_size(object->bo);
	change->flags = panbind_bo_flags(object->bo);
	change->vm = object->exclusive ? object->exclusive->name : NULL;
}

/* "wait=a:3 signal=b": those of @command that are waits, signals, or both. NULL in *ret_text: there are none. */
static int write_syncs(struct pb_run *run, const struct pb_command *command, bool waits, bool signals, char **ret_text)
{
	const struct pb_command_extra *extra = command->extra;
	size_t size = 0;
	FILE *out = NULL;

	*ret_text = NULL;
	for (uint32_t i = 0; extra && i < extra->sync_count; i++) {
		const struct pb_sync_ref *sync = &extra->syncs[i];
		const char *gap = out ? " " : "";

		if (!(sync->signal ? signals : waits))
			continue;
		if (!out && !(out = open_memstream(ret_text, &size)))
			return -ENOMEM;
		fprintf(out, "%s%s=%s", gap, sync->signal ? "signal" : "wait", run->entries[sync->name]->name);
		if (sync->point)
			fprintf(out, ":%llu", (unsigned long long)sync->point);
	}
	return !out || fclose(out) == 0 ? 0 : -ENOMEM;
}

static int fill_op(struct pb_run *run, const struct pb_command *command, struct panbind_change *change)
{
	char *syncs;

	change->vm = run->entries[command->name]->name;
	change->va = command->va;
	change->size = command->size;
	if (change->type == PANBIND_CHANGE_MAP || change->type == PANBIND_CHANGE_SPARSE_BIND) {
		change->bo = run->entries[command->other]->name;
		change->bo_offset = command->value;
		change->flags = pb_map_flags(command);
	}
	if (write_syncs(run, command, true, true, &syncs) < 0)
		return -ENOMEM;
	change->syncs = syncs;
	return 0;
}

static bool is_op(const struct panbind_change *change)
{
	return change->type <= PANBIND_CHANGE_SYNC_ONLY;
}

/* What @command changes, or was to change. 0: nothing that is recorded, 1, or -ENOMEM. */
static int fill(struct pb_run *run, const struct pb_command *command, struct panbind_change *change)
{
	const struct pb_entry *entry;

	if (!change_type(command->verb, &change->type))
		return 0;
	if (is_op(change))
		return fill_op(run, command, change) < 0 ? -ENOMEM : 1;
	entry = run->entries[command->name];
	if (change->type == PANBIND_CHANGE_BO_CREATE || change->type == PANBIND_CHANGE_BO_DESTROY) {
		fill_bo(change, entry);
		return 1;
	}
	change->vm = entry->name;
	if (change->type == PANBIND_CHANGE_VM_CREATE && entry->objects[PB_KIND_VM])
		change->size = panbind_vm_va_range(entry->objects[PB_KIND_VM]->vm);
	return 1;
}

static bool is_recorded(const struct pb_run *run)
{
	return run->session->record && !run->planning;
}

static int note(struct pb_run *run, const struct pb_command *command, uint64_t latency_ns)
{
	struct panbind_change change = {.latency_ns = latency_ns};
	int r = fill(run, command, &change);

	if (r == 1 && push(run, &change) < 0) {
		free((char *)change.syncs);
		return -ENOMEM;
	}
	return r;
}

/* A batch is bound when something else comes: what that took belongs to the ops before it. */
static void charge_binds(struct pb_run *run)
{
	for (size_t i = run->change_count; run->bind_ns > 0 && i-- > 0;) {
		if (!is_op(&run->changes[i]))
			continue;
		run->changes[i].latency_ns += run->bind_ns;
		run->bind_ns = 0;
	}
}

int pb_changes_note(struct pb_run *run, const struct pb_command *command, uint64_t latency_ns)
{
	uint64_t bind_ns = run->bind_ns;
	int r;

	if (!is_recorded(run))
		return 0;
	charge_binds(run);
	r = note(run, command, latency_ns > bind_ns ? latency_ns - bind_ns : 0);
	if (r == 1)
		charge_binds(run);
	return r < 0 ? r : 0;
}

/* The first op of a fenced block waits for what its begin names, the last one signals. */
static int note_fence(struct pb_run *run, const struct pb_command *begin, bool first, bool last)
{
	struct panbind_change *change = &run->changes[run->change_count - 1];
	char *syncs;

	if (write_syncs(run, begin, first, last, &syncs) < 0)
		return -ENOMEM;
	change->syncs = syncs; /* ops of such a block have none of their own */
	return 0;
}

int pb_changes_note_async(struct pb_run *run, const struct pb_async *async, uint64_t latency_ns)
{
	int r = 0;

	for (size_t i = async->first; r >= 0 && i < async->last && is_recorded(run); i++) {
		bool first = i == async->first, last = i + 1 == async->last;

		r = pb_changes_note(run, pb_script_command(run->script, i), last ? latency_ns : 0);
		if (r >= 0 && pb_is_fenced(async->begin))
			r = note_fence(run, async->begin, first, last);
	}
	return r;
}

void pb_changes_clear(struct pb_run *run)
{
	while (run->change_count > 0)
		free((char *)run->changes[--run->change_count].syncs);
	run->bind_ns = 0;
}

int pb_changes_record(struct pb_run *run, uint32_t flags, struct panbind_error *reterr)
{
	struct panbind_session *session = run->session;
	struct panbind_changes changes = {.flags = flags};
	int r = 0;

	charge_binds(run);
	changes.changes = run->changes;
	changes.count = changes.failing = run->change_count;
	changes.latency_ns = pb_clock_ns() - run->began_ns;
	if (session->record && run->change_count > 0)
		r = session->record(session->record_data, &changes, reterr);
	pb_changes_clear(run);
	if (r < 0 && reterr && reterr->code == 0)
		pb_error_set(reterr, r, PANBIND_STAGE_JOURNAL, "it could not be recorded: %s", panbind_errno_name(r));
	return r;
}

/* The begin of the fenced block whose first op is command @first, or NULL. */
static const struct pb_command *fence_of(const struct pb_run *run, size_t first)
{
	const struct pb_command *begin = first > 0 ? pb_script_command(run->script, first - 1) : NULL;

	return begin && begin->verb == PB_VERB_BEGIN && pb_is_fenced(begin) ? begin : NULL;
}

/* Note all that was asked for. Returns the index of the change that failed. */
static size_t note_failure(struct pb_run *run, size_t first, size_t last, const struct panbind_error *error)
{
	const struct pb_command *failed = run->failed && run->failed->line == error->line ? run->failed : NULL;
	const struct pb_command *fence = fence_of(run, first);
	size_t failing = SIZE_MAX, ops = 0;

	for (size_t i = first; i < last; i++) {
		const struct pb_command *command = pb_script_command(run->script, i);
		int r = command->expect ? 0 : note(run, command, 0);

		if (r == 1 && fence)
			r = note_fence(run, fence, i == first, i + 1 == last) < 0 ? -ENOMEM : 1;
		if (r < 0)
			break; /* the rest is left out: better a short record than none */
		if (r == 0)
			continue;
		if (command == failed || (error->op != PANBIND_NO_OP && !failed && ops == error->op))
			failing = run->change_count - 1;
		ops += is_op(&run->changes[run->change_count - 1]);
	}
	return failing < run->change_count ? failing : run->change_count;
}

void pb_changes_record_failure(struct pb_run *run, size_t first, size_t last, const struct panbind_error *error,
			       enum panbind_outcome outcome, uint32_t flags)
{
	struct panbind_changes changes = {.flags = flags | PANBIND_CHANGES_FAILED, .error = error, .outcome = outcome};

	if (!is_recorded(run))
		return;
	pb_changes_clear(run);
	changes.failing = note_failure(run, first, last, error);
	changes.changes = run->changes;
	changes.count = run->change_count;
	changes.latency_ns = pb_clock_ns() - run->began_ns;
	run->session->record(run->session->record_data, &changes, NULL);
	pb_changes_clear(run);
}

void panbind_session_set_record(struct panbind_session *session, panbind_record_fn *record, void *data)
{
	session->record = record;
	session->record_data = data;
}
