/* SPDX-License-Identifier: MIT */
/*
 * What a transaction of a script changed, told to the host before the transaction becomes final.
 *
 * Changes are noted command by command, after each has succeeded, in the words of the script rather than as ops: a log
 * of them must be able to tell a sparse region from a mapping. Without a host that records, nothing is noted.
 */
#include <errno.h>

#include "session.h"

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

static void fill_op(struct pb_run *run, const struct pb_command *command, struct panbind_change *change)
{
	change->vm = run->entries[command->name]->name;
	change->va = command->va;
	change->size = command->size;
	if (change->type != PANBIND_CHANGE_MAP && change->type != PANBIND_CHANGE_SPARSE_BIND)
		return;
	change->bo = run->entries[command->other]->name;
	change->bo_offset = command->value;
	change->flags = pb_map_flags(command);
}

int pb_changes_note(struct pb_run *run, const struct pb_command *command)
{
	struct panbind_change change = {0};
	const struct pb_entry *entry;

	if (!run->session->record || run->planning || !change_type(command->verb, &change.type))
		return 0;
	entry = run->entries[command->name];
	if (change.type == PANBIND_CHANGE_VM_CREATE || change.type == PANBIND_CHANGE_VM_DESTROY) {
		change.vm = entry->name;
		if (change.type == PANBIND_CHANGE_VM_CREATE)
			change.size = panbind_vm_va_range(entry->objects[PB_KIND_VM]->vm);
	} else if (change.type == PANBIND_CHANGE_BO_CREATE || change.type == PANBIND_CHANGE_BO_DESTROY) {
		fill_bo(&change, entry);
	} else {
		fill_op(run, command, &change);
	}
	return push(run, &change);
}

int pb_changes_record(struct pb_run *run, uint32_t flags, struct panbind_error *reterr)
{
	struct panbind_session *session = run->session;
	int r = 0;

	if (session->record && run->change_count > 0)
		r = session->record(session->record_data, run->changes, run->change_count, flags, reterr);
	run->change_count = 0;
	if (r < 0 && reterr && reterr->code == 0)
		pb_error_set(reterr, r, PANBIND_STAGE_JOURNAL, "it could not be recorded: %s", panbind_errno_name(r));
	return r;
}

void panbind_session_set_record(struct panbind_session *session, panbind_record_fn *record, void *data)
{
	session->record = record;
	session->record_data = data;
}
