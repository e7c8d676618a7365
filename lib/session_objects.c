/* SPDX-License-Identifier: MIT */
/*
 * Names for objects that the host makes and takes away itself, beside those of scripts.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

struct panbind_bo *panbind_session_bo(struct panbind_session *session, const char *name)
{
	const struct pb_entry *entry = pb_entry_find(session, name);

	return entry && entry->objects[PB_KIND_BO] ? entry->objects[PB_KIND_BO]->bo : NULL;
}

struct panbind_bo *panbind_session_bo_at(struct panbind_session *session, size_t index)
{
	const struct pb_objects *bos = &session->objects[PB_KIND_BO];

	return index < bos->count ? bos->items[index]->bo : NULL;
}

const char *panbind_session_bo_vm(struct panbind_session *session, const struct panbind_bo *bo)
{
	const struct pb_object *object = pb_object_of_bo(session, bo);

	return object && object->exclusive ? object->exclusive->name : NULL;
}

/* An object of that name without what it stands for, not yet attached. */
static int prepare(struct panbind_session *session, enum pb_kind kind, const char *name, struct pb_object **ret_object)
{
	struct pb_object *object;
	struct pb_entry *entry;

	if (!pb_is_name(name, strlen(name)))
		return -EINVAL;
	entry = pb_entry_get(session, name);
	if (!entry)
		return -ENOMEM;
	if (entry->objects[kind])
		return -EEXIST;
	if (pb_object_reserve(session, kind) < 0)
		return -ENOMEM;
	object = calloc(1, sizeof(*object));
	if (!object)
		return -ENOMEM;
	object->kind = kind;
	object->entry = entry;
	*ret_object = object;
	return 0;
}

int panbind_session_add_vm(struct panbind_session *session, const char *name, struct panbind_vm *vm)
{
	struct pb_object *object;
	int r = vm->device == session->device || vm->adopted ? prepare(session, PB_KIND_VM, name, &object) : -EINVAL;

	if (r < 0)
		return r;
	object->vm = vm;
	object->order = pb_object_old_order(session, PB_KIND_VM, &vm->place);
	pb_object_attach(session, object);
	return 0;
}

int panbind_session_add_bo(struct panbind_session *session, const char *name, struct panbind_bo *bo,
			   const char *exclusive_vm)
{
	struct pb_entry *exclusive = exclusive_vm ? pb_entry_get(session, exclusive_vm) : NULL;
	struct pb_object *object;
	int r = bo->device == session->device ? prepare(session, PB_KIND_BO, name, &object) : -EINVAL;

	if (r < 0)
		return r;
	if (exclusive_vm && !exclusive) {
		free(object);
		return -ENOMEM;
	}
	object->bo = bo;
	object->order = pb_object_old_order(session, PB_KIND_BO, &bo->place);
	object->exclusive = exclusive;
	pb_object_attach(session, object);
	return 0;
}

/* Detach the object of that name, or NULL. @ret_place: where it stood, so that it can be put back there. */
static struct pb_object *take(struct panbind_session *session, enum pb_kind kind, const char *name,
			      struct pb_place *ret_place)
{
	struct pb_entry *entry = pb_entry_find(session, name);
	struct pb_object *object = entry ? entry->objects[kind] : NULL;

	if (!object)
		return NULL;
	pb_object_detach(session, object);
	*ret_place = (struct pb_place){.session = session, .order = object->order};
	return object;
}

struct panbind_vm *panbind_session_take_vm(struct panbind_session *session, const char *name)
{
	struct pb_place place;
	pb_cleanup(pb_objectp_free) struct pb_object *object = take(session, PB_KIND_VM, name, &place);

	if (!object)
		return NULL;
	object->vm->place = place;
	return pb_take_ptr(object->vm);
}

struct panbind_bo *panbind_session_take_bo(struct panbind_session *session, const char *name)
{
	struct pb_place place;
	pb_cleanup(pb_objectp_free) struct pb_object *object = take(session, PB_KIND_BO, name, &place);

	if (!object)
		return NULL;
	object->bo->place = place;
	return pb_take_ptr(object->bo);
}
