/* SPDX-License-Identifier: MIT */
/* Pictures of VMs for a file. See picture.h. */
#include "picture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "error.h"

/* Entries of the log that are looked through for who bound what, from its end. */
#define ENTRIES_READ 20000u

/* ---- Taking ---- */

static struct picture_vm *add_vm(struct picture *picture, const char *name, const char *subtitle, size_t count)
{
	struct picture_vm *more = reallocarray(picture->vms, picture->count + 1, sizeof(*more)), *vm;

	if (!more) {
		picture->failed = true;
		return NULL;
	}
	picture->vms = more;
	vm = &more[picture->count++];
	*vm = (struct picture_vm){.name = strdup(name), .subtitle = strdup(subtitle ? subtitle : "")};
	vm->names = json_object();
	vm->sizes = json_object();
	vm->mappings = calloc(count + 1, sizeof(*vm->mappings));
	picture->failed |= !vm->name || !vm->subtitle || !vm->mappings;
	return vm->mappings ? vm : NULL;
}

/* The drawing compares BOs and hands them back to describe(), so the one JSON string of a name will do. */
static struct panbind_bo *bo_named(struct picture_vm *vm, const char *name, uint64_t size)
{
	json_t *known = json_object_get(vm->names, name);

	if (!known) {
		known = output_json_text(name);
		json_object_set_new(vm->names, name, known);
		json_object_set_new(vm->sizes, name, json_integer((json_int_t)size));
	}
	return (struct panbind_bo *)(void *)known;
}

static void copy_mappings(struct picture_vm *taken, size_t room, struct panbind_vm *vm, struct panbind_session *session)
{
	uint64_t va = 0;

	taken->va_range = panbind_vm_va_range(vm);
	while (taken->count < room && panbind_vm_next_mapping(vm, va, &taken->mappings[taken->count]) == 0) {
		struct panbind_mapping *mapping = &taken->mappings[taken->count++];
		const char *bo = mapping->bo ? panbind_session_bo_name(session, mapping->bo) : NULL;

		if (mapping->bo && !bo)
			bo = panbind_bo_label(mapping->bo);
		if (mapping->bo)
			mapping->bo = bo_named(taken, bo ? bo : "(unnamed)", panbind_bo_size(mapping->bo));
		va = mapping->va + mapping->size;
	}
}

void picture_take(struct picture *picture, const char *name, const char *subtitle, struct panbind_vm *vm,
		  struct panbind_session *session)
{
	size_t room = panbind_vm_mapping_count(vm);
	struct picture_vm *taken = add_vm(picture, name, subtitle, room);

	if (taken)
		copy_mappings(taken, room, vm, session);
}

void picture_retake(struct picture *picture, const char *subtitle, struct panbind_vm *vm,
		    struct panbind_session *session)
{
	struct picture_vm *taken = picture->count > 0 ? &picture->vms[picture->count - 1] : NULL;
	size_t room = panbind_vm_mapping_count(vm);

	if (!taken)
		return;
	free(taken->mappings);
	free(taken->subtitle);
	taken->count = 0;
	taken->mappings = calloc(room + 1, sizeof(*taken->mappings));
	taken->subtitle = strdup(subtitle);
	picture->failed |= !taken->mappings || !taken->subtitle;
	if (taken->mappings)
		copy_mappings(taken, room, vm, session);
}

/* ---- Who bound it: the last op of the log that holds a mapping's first byte ---- */

static size_t first_from(const struct picture_vm *vm, uint64_t va)
{
	size_t low = 0, high = vm->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (vm->mappings[middle].va >= va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void blame_op(struct picture_vm *vm, const json_t *op, const char *who)
{
	uint64_t va = client_number(op, "va"), end = va + client_number(op, "size");
	const char *name = client_text(json_object_get(op, "vm"), "name");

	if (!name || strcmp(name, vm->name) != 0)
		return;
	for (size_t i = first_from(vm, va); i < vm->count && vm->mappings[i].va < end; i++) {
		free(vm->who[i]);
		vm->who[i] = strdup(who);
	}
}

static void blame_entry(struct picture_vm *vm, const json_t *entry)
{
	const char *time = client_text(entry, "time"), *comment = client_text(entry, "comment");
	const json_t *op;
	char who[320];
	size_t i;

	snprintf(who, sizeof(who), "%.40s by uid %" PRIu64 ", pid %" PRIu64 ", entry %" PRIu64 "%s%.200s",
		 time ? time : "", client_number(entry, "uid"), client_number(entry, "pid"),
		 client_number(entry, "seq"), comment ? ": " : "", comment ? comment : "");
	json_array_foreach (json_object_get(entry, "ops"), i, op)
		blame_op(vm, op, who);
}

/** Without a log, or the right to read it, the picture does without. */
static void blame_all(struct picture_vm *vm, struct client *client)
{
	json_t *status = NULL, *error = NULL, *piece = NULL, *entry;
	uint64_t last, since = 1;
	size_t i;

	if (client_ask(client, "journal.status", NULL, CLIENT_LOOKS, &status, &error) != CMD_DONE) {
		json_decref(error);
		return;
	}
	last = client_number(status, "last");
	json_decref(status);
	since = last > ENTRIES_READ ? last - ENTRIES_READ : 1;
	vm->who = calloc(vm->count + 1, sizeof(*vm->who));
	while (vm->who && since) {
		json_t *params = json_pack("{s:I, s:i}", "since", (json_int_t)since, "limit", 1000);

		if (client_ask(client, "journal.show", params, CLIENT_LOOKS, &piece, &error) != CMD_DONE) {
			json_decref(error);
			return;
		}
		json_array_foreach (json_object_get(piece, "entries"), i, entry)
			blame_entry(vm, entry);
		since = client_number(piece, "next");
		json_decref(piece);
	}
}

void picture_take_remote(struct picture *picture, struct client *client, const json_t *vm, const char *subtitle)
{
	const json_t *map = json_object_get(vm, "map"), *item;
	const char *name = client_text(vm, "name");
	struct picture_vm *taken = add_vm(picture, name ? name : "?", subtitle, json_array_size(map));
	size_t i;

	if (!taken)
		return;
	taken->va_range = client_number(vm, "va_range");
	json_array_foreach (map, i, item) {
		const char *bo = client_text(item, "bo");
		bool sparse = json_is_true(json_object_get(item, "sparse"));

		taken->mappings[taken->count++] = (struct panbind_mapping){
			.va = client_number(item, "va"),
			.size = client_number(item, "size"),
			.bo = sparse ? NULL : bo_named(taken, bo ? bo : "(unnamed)", 0),
			.bo_offset = client_number(item, "bo_offset"),
			.flags = entry_map_flags(json_object_get(item, "flags")),
			.sparse = sparse,
		};
	}
	blame_all(taken, client);
}

void picture_lock(struct picture *picture, uint64_t va, uint64_t size, const char *text)
{
	struct picture_vm *vm = picture->count > 0 ? &picture->vms[picture->count - 1] : NULL;

	if (!vm)
		return;
	if (vm->lock_count == vm->lock_room) {
		size_t room = vm->lock_room ? 2 * vm->lock_room : 16;
		struct svg_lock *more = reallocarray(vm->locks, room, sizeof(*more));

		if (!more) {
			picture->failed = true;
			return;
		}
		vm->locks = more;
		vm->lock_room = room;
	}
	vm->locks[vm->lock_count] = (struct svg_lock){.va = va, .size = size};
	snprintf(vm->locks[vm->lock_count++].text, sizeof(vm->locks->text), "%s", text);
}

/* ---- Writing ---- */

static void describe(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size)
{
	const struct picture_vm *vm = data;

	*ret_name = json_string_value((const json_t *)(const void *)bo);
	*ret_size = (uint64_t)json_integer_value(json_object_get(vm->sizes, *ret_name));
}

static const char *who(void *data, size_t index)
{
	const struct picture_vm *vm = data;

	return vm->who ? vm->who[index] : NULL;
}

static int write_to(const struct picture *picture, FILE *file)
{
	struct svg_vm *vms = calloc(picture->count + 1, sizeof(*vms));
	int error = vms ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < picture->count; i++) {
		struct picture_vm *vm = &picture->vms[i];

		vms[i] = (struct svg_vm){
			.name = vm->name,
			.subtitle = *vm->subtitle ? vm->subtitle : NULL,
			.va_range = vm->va_range,
			.mappings = vm->mappings,
			.count = vm->count,
			.describe = describe,
			.who = who,
			.data = vm,
			.locks = vm->locks,
			.lock_count = vm->lock_count,
		};
	}
	if (!error)
		error = svg_write(file, vms, picture->count);
	free(vms);
	return error;
}

int picture_write(const struct picture *picture, struct cmd *cmd, const char *path)
{
	FILE *file = picture->failed ? NULL : fopen(path, "we");
	int error = picture->failed ? -ENOMEM : file ? 0 : -errno;

	if (file) {
		error = write_to(picture, file);
		if (fclose(file) && !error)
			error = -errno;
	}
	if (error)
		return error_say(cmd, CMD_FAILED, error, "%s: the picture cannot be written: %s", path,
				 strerror(-error));
	return CMD_DONE;
}

static void free_vm(struct picture_vm *vm)
{
	for (size_t i = 0; vm->who && i < vm->count; i++)
		free(vm->who[i]);
	free(vm->who);
	free(vm->name);
	free(vm->subtitle);
	free(vm->mappings);
	free(vm->locks);
	json_decref(vm->names);
	json_decref(vm->sizes);
}

void picture_free(struct picture *picture)
{
	for (size_t i = 0; i < picture->count; i++)
		free_vm(&picture->vms[i]);
	free(picture->vms);
	*picture = (struct picture){0};
}
