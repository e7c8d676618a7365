/* SPDX-License-Identifier: MIT */
/* A hash table from numbers to objects. See call_objects.h. */
#include "call_objects.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_ROOM 256

static size_t place_of(const struct call_objects *objects, uint64_t file, enum call_kind kind, uint64_t id)
{
	uint64_t hash = (file * UINT64_C(0x9e3779b97f4a7c15) + id) * UINT64_C(0xff51afd7ed558ccd) + kind;
	size_t place = (size_t)((hash ^ hash >> 29) * UINT64_C(0xc4ceb9fe1a85ec53) >> 32) & (objects->room - 1);

	for (;; place = (place + 1) & (objects->room - 1)) {
		const struct call_slot *slot = &objects->slots[place];

		if (slot->kind == 0 || (slot->file == file && slot->kind == kind && slot->id == id))
			return place;
	}
}

/* Slots that were let go are left behind. */
static int grow(struct call_objects *objects)
{
	struct call_objects larger = {.room = objects->room ? objects->room * 2 : FIRST_ROOM};

	larger.slots = calloc(larger.room, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < objects->room; i++) {
		const struct call_slot *slot = &objects->slots[i];

		if (!slot->object)
			continue;
		larger.slots[place_of(&larger, slot->file, slot->kind, slot->id)] = *slot;
		larger.count++;
	}
	free(objects->slots);
	*objects = larger;
	return 0;
}

struct call_object *call_objects_find(const struct call_objects *objects, uint64_t file, enum call_kind kind,
				      uint64_t id)
{
	return objects->room ? objects->slots[place_of(objects, file, kind, id)].object : NULL;
}

int call_objects_set(struct call_objects *objects, uint64_t file, enum call_kind kind, uint64_t id,
		     struct call_object *object)
{
	struct call_slot *slot;

	if (objects->count * 2 >= objects->room && grow(objects) < 0)
		return -ENOMEM;
	slot = &objects->slots[place_of(objects, file, kind, id)];
	objects->count += slot->kind == 0;
	*slot = (struct call_slot){file, id, kind, object};
	object->handles++;
	return 0;
}

struct call_object *call_objects_take(struct call_objects *objects, uint64_t file, enum call_kind kind, uint64_t id)
{
	struct call_object *object = call_objects_find(objects, file, kind, id);

	if (!object)
		return NULL;
	objects->slots[place_of(objects, file, kind, id)].object = NULL;
	return --object->handles == 0 ? object : NULL;
}

void call_objects_free(struct call_objects *objects)
{
	for (size_t i = 0; i < objects->room; i++) {
		struct call_object *object = objects->slots[i].object;

		if (object && --object->handles == 0)
			free(object);
	}
	free(objects->slots);
	*objects = (struct call_objects){0};
}
