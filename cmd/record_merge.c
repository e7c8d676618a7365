/* SPDX-License-Identifier: MIT */
/* A window of slots, by number, that grows as far as the numbers reach. See record_merge.h. */
#include "record_merge.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_ROOM 1024
#define MOST_ROOM  ((size_t)1 << 26) /* numbers between the one that is missing and the last: a program gone mad */

static int grow(struct record_merge *merge, uint64_t number)
{
	size_t room = merge->room ? merge->room : FIRST_ROOM;
	struct record_item **slots;

	while (number - merge->next >= room && room <= MOST_ROOM)
		room *= 2;
	if (room > MOST_ROOM)
		return -EINVAL;
	slots = calloc(room, sizeof(struct record_item *));
	if (!slots)
		return -ENOMEM;
	for (uint64_t n = merge->next; merge->room && merge->count && n <= merge->last; n++)
		slots[n % room] = merge->slots[n % merge->room];
	free(merge->slots);
	merge->slots = slots;
	merge->room = room;
	return 0;
}

int record_merge_add(struct record_merge *merge, struct record_item *item)
{
	uint64_t number = item->event.number;
	int err;

	if (merge->next == 0)
		merge->next = 1;
	if (number < merge->next)
		return -EINVAL;
	if (number - merge->next >= merge->room) {
		err = grow(merge, number);
		if (err < 0)
			return err;
	}
	if (merge->slots[number % merge->room])
		return -EINVAL;
	merge->slots[number % merge->room] = item;
	merge->count++;
	if (number > merge->last)
		merge->last = number;
	return 0;
}

struct record_item *record_merge_next(struct record_merge *merge)
{
	struct record_item *item = merge->count ? merge->slots[merge->next % merge->room] : NULL;

	if (!item)
		return NULL;
	merge->slots[merge->next % merge->room] = NULL;
	merge->next++;
	merge->count--;
	return item;
}

uint64_t record_merge_skip(struct record_merge *merge)
{
	uint64_t from = merge->next;

	if (merge->count == 0)
		return 0;
	while (!merge->slots[merge->next % merge->room])
		merge->next++;
	return merge->next - from;
}

void record_merge_free(struct record_merge *merge)
{
	for (size_t i = 0; i < merge->room; i++)
		free(merge->slots[i]);
	free(merge->slots);
	*merge = (struct record_merge){0};
}
