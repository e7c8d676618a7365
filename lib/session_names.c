/* SPDX-License-Identifier: MIT */
/*
 * Names to objects and back.
 *
 * An entry is made once for a name and never goes, so that a run can turn each name of its script into a pointer once,
 * whatever is created and destroyed under that name meanwhile. An object that a transaction destroys is only detached:
 * a rollback attaches it again, in its old place.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

const char *pb_kind_name(enum pb_kind kind)
{
	static const char *const names[] = {"VM", "BO", "syncobj"};

	return names[kind];
}

struct pb_entry *pb_entry_find(struct panbind_session *session, const char *name)
{
	uint32_t id = pb_names_find(&session->names, name, strlen(name));

	return id ? session->entries[id] : NULL;
}

static int grow_entries(struct panbind_session *session)
{
	size_t room = session->entry_room ? session->entry_room * 2 : 64;
	struct pb_entry **grown = realloc(session->entries, room * sizeof(struct pb_entry *));

	if (!grown)
		return -ENOMEM;
	session->entries = grown;
	session->entry_room = room;
	return 0;
}

struct pb_entry *pb_entry_get(struct panbind_session *session, const char *name)
{
	struct pb_entry *entry = pb_entry_find(session, name);
	uint32_t id;

	if (entry)
		return entry;
	if (session->names.count + 1 >= session->entry_room && grow_entries(session) < 0)
		return NULL;
	entry = pb_arena_alloc(&session->arena, sizeof(*entry));
	id = entry ? pb_names_intern(&session->names, &session->arena, name, strlen(name)) : 0;
	if (id == 0)
		return NULL;
	*entry = (struct pb_entry){.name = session->names.names[id].text};
	session->entries[id] = entry;
	return entry;
}

/* ---- BOs by address ---- */

static size_t bucket_of(const struct panbind_session *session, const struct panbind_bo *bo)
{
	uint64_t x = (uint64_t)(uintptr_t)bo * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(x >> 32) & (session->bucket_count - 1);
}

static void add_to_bucket(struct panbind_session *session, struct pb_object *object)
{
	struct pb_object **bucket = &session->buckets[bucket_of(session, object->bo)];

	object->next = *bucket;
	*bucket = object;
}

static void remove_from_bucket(struct panbind_session *session, struct pb_object *object)
{
	struct pb_object **at = &session->buckets[bucket_of(session, object->bo)];

	while (*at != object)
		at = &(*at)->next;
	*at = object->next;
}

static int reserve_bucket(struct panbind_session *session)
{
	const struct pb_objects *bos = &session->objects[PB_KIND_BO];
	size_t count = session->bucket_count ? session->bucket_count * 2 : 64;
	struct pb_object **buckets;

	if (bos->count < session->bucket_count)
		return 0;
	buckets = calloc(count, sizeof(struct pb_object *));
	if (!buckets)
		return -ENOMEM;
	free(session->buckets);
	session->buckets = buckets;
	session->bucket_count = count;
	for (size_t i = 0; i < bos->count; i++)
		add_to_bucket(session, bos->items[i]);
	return 0;
}

struct pb_object *pb_object_of_bo(struct panbind_session *session, const struct panbind_bo *bo)
{
	struct pb_object *object = session->bucket_count ? session->buckets[bucket_of(session, bo)] : NULL;

	while (object && object->bo != bo)
		object = object->next;
	return object;
}

/* ---- Objects ---- */

int pb_object_reserve(struct panbind_session *session, enum pb_kind kind)
{
	struct pb_objects *objects = &session->objects[kind];

	if (objects->count == objects->room) {
		size_t room = objects->room ? objects->room * 2 : 16;
		struct pb_object **grown = realloc(objects->items, room * sizeof(struct pb_object *));

		if (!grown)
			return -ENOMEM;
		objects->items = grown;
		objects->room = room;
	}
	return kind == PB_KIND_BO ? reserve_bucket(session) : 0;
}

/* The number of objects before @order. */
static size_t find_place(const struct pb_objects *objects, uint64_t order)
{
	size_t low = 0, high = objects->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (objects->items[middle]->order < order)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t pb_object_old_order(const struct panbind_session *session, enum pb_kind kind, const struct pb_place *place)
{
	const struct pb_objects *objects = &session->objects[kind];
	size_t at = find_place(objects, place->order);
	bool taken = at < objects->count && objects->items[at]->order == place->order;

	return place->session == session && place->order <= session->next_order && !taken ? place->order : 0;
}

void pb_object_attach(struct panbind_session *session, struct pb_object *object)
{
	struct pb_objects *objects = &session->objects[object->kind];
	size_t at;

	if (object->order == 0)
		object->order = ++session->next_order;
	at = find_place(objects, object->order);
	memmove(&objects->items[at + 1], &objects->items[at], (objects->count - at) * sizeof(struct pb_object *));
	objects->items[at] = object;
	objects->count++;
	object->entry->objects[object->kind] = object;
	if (object->kind == PB_KIND_BO)
		add_to_bucket(session, object);
}

void pb_object_detach(struct panbind_session *session, struct pb_object *object)
{
	struct pb_objects *objects = &session->objects[object->kind];
	size_t at = find_place(objects, object->order);

	objects->count--;
	memmove(&objects->items[at], &objects->items[at + 1], (objects->count - at) * sizeof(struct pb_object *));
	object->entry->objects[object->kind] = NULL;
	if (object->kind == PB_KIND_BO) {
		remove_from_bucket(session, object);
		/* Mappings may keep it: who looks at them is helped by the name it had, and can do without. */
		free(object->bo->last_name);
		object->bo->last_name = strdup(object->entry->name);
	}
}

void pb_object_free(struct pb_object *object)
{
	if (!object)
		return;
	switch (object->kind) {
	case PB_KIND_VM:
		pb_readers_stop(object, NULL, NULL, NULL);
		panbind_vm_destroy(object->vm);
		break;
	case PB_KIND_BO:
		panbind_bo_unref(object->bo);
		break;
	default:
		panbind_syncobj_unref(object->syncobj);
	}
	free(object);
}

void pb_objectp_free(struct pb_object **object)
{
	pb_object_free(*object);
}

void pb_names_release(struct panbind_session *session)
{
	for (int kind = 0; kind < PB_KIND_COUNT; kind++) {
		struct pb_objects *objects = &session->objects[kind];

		while (objects->count > 0) {
			struct pb_object *object = objects->items[objects->count - 1];

			pb_object_detach(session, object);
			pb_object_free(object);
		}
		free(objects->items);
	}
	free(session->buckets);
	free(session->entries);
	pb_names_free(&session->names);
	pb_arena_free(&session->arena);
}
