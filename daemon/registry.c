/* SPDX-License-Identifier: MIT */
/*
 * A hash table from (kind, name) to a number. Names are never forgotten: a generation must not come again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry.h"

struct registry_entry {
	struct registry_entry *next;
	uint64_t generation;
	enum object_kind kind;
	char name[];
};

static size_t hash(enum object_kind kind, const char *name)
{
	size_t h = 14695981039346656037u ^ (size_t)kind;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return h;
}

static struct registry_entry *find(const struct registry *registry, enum object_kind kind, const char *name)
{
	struct registry_entry *entry = NULL;

	if (registry->room > 0)
		entry = registry->buckets[hash(kind, name) & (registry->room - 1)];
	while (entry && (entry->kind != kind || strcmp(entry->name, name) != 0))
		entry = entry->next;
	return entry;
}

static void insert(struct registry_entry **buckets, size_t room, struct registry_entry *entry)
{
	struct registry_entry **bucket = &buckets[hash(entry->kind, entry->name) & (room - 1)];

	entry->next = *bucket;
	*bucket = entry;
}

static int grow(struct registry *registry)
{
	size_t room = registry->room ? registry->room * 2 : 64;
	struct registry_entry **buckets = calloc(room, sizeof(struct registry_entry *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < registry->room; i++) {
		struct registry_entry *entry = registry->buckets[i], *next;

		for (; entry; entry = next) {
			next = entry->next;
			insert(buckets, room, entry);
		}
	}
	free(registry->buckets);
	registry->buckets = buckets;
	registry->room = room;
	return 0;
}

uint64_t registry_get(const struct registry *registry, enum object_kind kind, const char *name)
{
	const struct registry_entry *entry = find(registry, kind, name);

	return entry ? entry->generation : 0;
}

int registry_set(struct registry *registry, enum object_kind kind, const char *name, uint64_t generation)
{
	struct registry_entry *entry = find(registry, kind, name);
	size_t size = strlen(name) + 1;

	if (entry) {
		entry->generation = generation;
		return 0;
	}
	if (registry->count == registry->room && grow(registry) < 0)
		return -ENOMEM;
	entry = malloc(sizeof(*entry) + size);
	if (!entry)
		return -ENOMEM;
	entry->kind = kind;
	entry->generation = generation;
	memcpy(entry->name, name, size);
	insert(registry->buckets, registry->room, entry);
	registry->count++;
	return 0;
}

void registry_free(struct registry *registry)
{
	for (size_t i = 0; i < registry->room; i++) {
		struct registry_entry *entry = registry->buckets[i], *next;

		for (; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	free(registry->buckets);
	*registry = (struct registry){0};
}
