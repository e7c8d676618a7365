/* SPDX-License-Identifier: MIT */
/*
 * Memory of a parse: an arena that is freed all at once, and names that become small integers.
 *
 * A script of 100,000 lines repeats a handful of names; a command that holds two 32-bit ids instead of two strings is
 * half as big, and who runs the script looks each name up once.
 */
#include <errno.h>
#include <string.h>

#include "script_parser.h"

struct pb_arena_block {
	struct pb_arena_block *next;
	size_t size;
	char memory[];
};

#define BLOCK_SIZE ((size_t)64 << 10)

static int add_block(struct pb_arena *arena, size_t size)
{
	struct pb_arena_block *block;
	size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

	block = malloc(sizeof(*block) + room);
	if (!block)
		return -ENOMEM;
	block->size = room;
	block->next = arena->blocks;
	arena->blocks = block;
	arena->next = block->memory;
	arena->end = block->memory + room;
	arena->total += sizeof(*block) + room;
	return 0;
}

void *pb_arena_alloc(struct pb_arena *arena, size_t size)
{
	void *p;

	size = (size + 7) & ~(size_t)7;
	if ((size_t)(arena->end - arena->next) < size && add_block(arena, size) < 0)
		return NULL;
	p = arena->next;
	arena->next += size;
	return p;
}

char *pb_arena_copy(struct pb_arena *arena, const char *text, size_t size)
{
	char *copy = pb_arena_alloc(arena, size + 1);

	if (!copy)
		return NULL;
	if (size > 0)
		memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

void pb_arena_reset(struct pb_arena *arena)
{
	struct pb_arena_block *keep = arena->blocks;

	if (!keep)
		return;
	while (keep->next) {
		struct pb_arena_block *block = keep->next;

		keep->next = block->next;
		arena->total -= sizeof(*block) + block->size;
		free(block);
	}
	arena->next = keep->memory;
	arena->end = keep->memory + keep->size;
}

void pb_arena_free(struct pb_arena *arena)
{
	while (arena->blocks) {
		struct pb_arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	*arena = (struct pb_arena){0};
}

/* FNV-1a: names are short, and the text is not an adversary that a longer probe would hurt. */
static uint32_t hash(const char *text, size_t size)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ (unsigned char)text[i]) * 16777619u;
	return h;
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t *find_slot(const struct pb_names *names, const char *text, size_t size, uint32_t h)
{
	uint32_t i = h & names->slot_mask;

	for (;; i = (i + 1) & names->slot_mask) {
		uint32_t id = names->slots[i];
		const struct pb_name *name = &names->names[id];

		if (id == 0 || (name->hash == h && name->size == size && memcmp(name->text, text, size) == 0))
			return &names->slots[i];
	}
}

static int grow_slots(struct pb_names *names)
{
	uint32_t count = names->slots ? (names->slot_mask + 1) * 2 : 64;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t id = 1; id <= names->count; id++) {
		uint32_t i = names->names[id].hash & (count - 1);

		while (slots[i] != 0)
			i = (i + 1) & (count - 1);
		slots[i] = id;
	}
	free(names->slots);
	names->slots = slots;
	names->slot_mask = count - 1;
	return 0;
}

static int grow_names(struct pb_names *names)
{
	uint32_t room = names->room ? names->room * 2 : 32;
	struct pb_name *grown = realloc(names->names, room * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	names->names = grown;
	names->room = room;
	return 0;
}

uint32_t pb_names_find(const struct pb_names *names, const char *text, size_t size)
{
	return names->slots ? *find_slot(names, text, size, hash(text, size)) : 0;
}

uint32_t pb_names_intern(struct pb_names *names, struct pb_arena *arena, const char *text, size_t size)
{
	uint32_t h = hash(text, size), *slot;
	const char *copy;

	if (names->slots && *(slot = find_slot(names, text, size, h)) != 0)
		return *slot;
	if (names->count + 1 >= names->room && grow_names(names) < 0)
		return 0;
	if ((!names->slots || names->count + 1 > names->slot_mask / 2) && grow_slots(names) < 0)
		return 0;
	copy = pb_arena_copy(arena, text, size);
	if (!copy)
		return 0;
	slot = find_slot(names, text, size, h);
	*slot = ++names->count;
	names->names[*slot] = (struct pb_name){.text = copy, .size = (uint32_t)size, .hash = h};
	return *slot;
}

void pb_names_free(struct pb_names *names)
{
	free(names->names);
	free(names->slots);
	*names = (struct pb_names){0};
}
