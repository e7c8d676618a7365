/* SPDX-License-Identifier: MIT */
/*
 * The table of VMs and BOs, mirrored from the rows of `object`: ids to objects for whoever reads ops, names to ids for
 * whoever appends. The same name may be in it many times; its newest object is found first.
 */
#include <errno.h>

#include "log.h"

void pb_objects_init(struct pb_objects *objects)
{
	*objects = (struct pb_objects){.next_id = 1};
}

void pb_objects_free(struct pb_objects *objects)
{
	for (size_t i = 0; i < objects->count; i++)
		free(objects->list[i]);
	free(objects->list);
	free(objects->buckets);
	pb_objects_init(objects);
}

static struct pb_object **bucket_of(const struct pb_objects *objects, enum pb_object_kind kind, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ (uint64_t)kind;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	return &objects->buckets[(hash ^ hash >> 32) & (objects->bucket_count - 1)];
}

static void rehash(struct pb_objects *objects)
{
	memset(objects->buckets, 0, objects->bucket_count * sizeof(struct pb_object *));
	for (size_t i = 0; i < objects->count; i++) {
		struct pb_object *object = objects->list[i], **bucket;

		bucket = bucket_of(objects, object->kind, object->name);
		object->same_hash = *bucket;
		*bucket = object;
	}
}

static int make_room(struct pb_objects *objects)
{
	size_t room = objects->room ? objects->room * 2 : 64;
	struct pb_object **list, **buckets;

	if (objects->count < objects->room)
		return 0;
	list = realloc(objects->list, room * sizeof(struct pb_object *));
	if (!list)
		return -ENOMEM;
	objects->list = list;
	buckets = calloc(room, sizeof(struct pb_object *));
	if (!buckets)
		return -ENOMEM;
	free(objects->buckets);
	objects->buckets = buckets;
	objects->bucket_count = objects->room = room;
	rehash(objects);
	return 0;
}

int pb_objects_add(struct pb_objects *objects, const struct pb_object *template, const char *name,
		   struct pb_object **ret_object)
{
	struct pb_object *object, **bucket;
	size_t size = strlen(name) + 1;

	if (make_room(objects) < 0)
		return -ENOMEM;
	object = malloc(sizeof(*object) + size);
	if (!object)
		return -ENOMEM;
	*object = *template;
	memcpy(object->name, name, size);
	if (object->id == 0)
		object->id = objects->next_id;
	objects->next_id = object->id + 1;
	objects->list[objects->count++] = object;
	bucket = bucket_of(objects, object->kind, object->name);
	object->same_hash = *bucket;
	*bucket = object;
	if (ret_object)
		*ret_object = object;
	return 0;
}

static int add_row(struct pb_objects *objects, sqlite3_stmt *stmt)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 2);
	const struct pb_object object = {
		.id = sqlite3_column_int64(stmt, 0),
		.kind = (enum pb_object_kind)sqlite3_column_int(stmt, 1),
		.generation = (uint64_t)sqlite3_column_int64(stmt, 3),
		.size = (uint64_t)sqlite3_column_int64(stmt, 4),
		.flags = (uint32_t)sqlite3_column_int64(stmt, 5),
		.exclusive_vm = sqlite3_column_int64(stmt, 6),
		.created_seq = (uint64_t)sqlite3_column_int64(stmt, 7),
		.destroyed_seq = (uint64_t)sqlite3_column_int64(stmt, 8),
		.lost_seq = (uint64_t)sqlite3_column_int64(stmt, 9),
	};

	return name ? pb_objects_add(objects, &object, name, NULL) : -ENOMEM;
}

int pb_objects_load(struct pb_objects *objects, sqlite3 *db, int64_t from_id)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(db,
				 "SELECT id, kind, name, generation, size, flags, exclusive_vm, created_seq,"
				 " destroyed_seq, lost_seq FROM object WHERE id >= ?1 ORDER BY id",
				 &stmt);
	int rc = SQLITE_DONE;

	if (err < 0)
		return err;
	sqlite3_bind_int64(stmt, 1, from_id);
	while (err == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		err = add_row(objects, stmt);
	return err < 0 ? err : pb_log_errno(db, rc);
}

struct pb_object *pb_objects_by_id(struct pb_objects *objects, int64_t id)
{
	size_t low = 0, high = objects->count;

	if (objects->last && objects->last->id == id)
		return objects->last;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (objects->list[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == objects->count || objects->list[low]->id != id)
		return NULL;
	return objects->last = objects->list[low];
}

struct pb_object *pb_objects_find(struct pb_objects *objects, enum pb_object_kind kind, struct panbind_log_ref ref)
{
	struct pb_object *object;

	if (objects->count == 0 || !ref.name)
		return NULL;
	for (object = *bucket_of(objects, kind, ref.name); object; object = object->same_hash)
		if (object->kind == kind && (ref.generation == 0 || object->generation == ref.generation) &&
		    strcmp(object->name, ref.name) == 0)
			return object;
	return NULL;
}

static void unhash(struct pb_objects *objects, struct pb_object *object)
{
	struct pb_object **place = bucket_of(objects, object->kind, object->name);

	while (*place != object)
		place = &(*place)->same_hash;
	*place = object->same_hash;
}

void pb_objects_remove(struct pb_objects *objects, bool (*gone)(void *data, const struct pb_object *object), void *data)
{
	size_t kept = 0;

	objects->last = NULL;
	for (size_t i = 0; i < objects->count; i++) {
		struct pb_object *object = objects->list[i];

		if (gone(data, object)) {
			unhash(objects, object);
			free(object);
		} else {
			objects->list[kept++] = object;
		}
	}
	objects->count = kept;
}

struct panbind_log_ref pb_object_ref(const struct pb_object *object)
{
	return object ? (struct panbind_log_ref){object->name, object->generation} : (struct panbind_log_ref){NULL, 0};
}

void pb_object_describe(struct pb_objects *objects, const struct pb_object *object,
			struct panbind_log_object *ret_object)
{
	*ret_object = (struct panbind_log_object){
		.ref = pb_object_ref(object),
		.size = object->size,
		.flags = object->flags,
		.exclusive_vm =
			pb_object_ref(object->exclusive_vm ? pb_objects_by_id(objects, object->exclusive_vm) : NULL),
	};
}
