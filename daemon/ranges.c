/* SPDX-License-Identifier: MIT */
/* Ranges of addresses. See ranges.h. */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>

int ranges_add(struct ranges *ranges, uint64_t va, uint64_t end)
{
	if (ranges->count == ranges->room) {
		size_t room = ranges->room ? 2 * ranges->room : 16;
		struct range *grown = reallocarray(ranges->items, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		ranges->items = grown;
		ranges->room = room;
	}
	ranges->items[ranges->count++] = (struct range){va, end};
	return 0;
}

static int by_va(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->va < y->va ? -1 : x->va > y->va;
}

void ranges_tidy(struct ranges *ranges)
{
	size_t count = 0;

	if (ranges->count > 0)
		qsort(ranges->items, ranges->count, sizeof(*ranges->items), by_va);
	for (size_t i = 0; i < ranges->count; i++) {
		struct range *last = count ? &ranges->items[count - 1] : NULL, next = ranges->items[i];

		if (next.va >= next.end)
			continue;
		if (!last || next.va > last->end)
			ranges->items[count++] = next;
		else if (next.end > last->end)
			last->end = next.end;
	}
	ranges->count = count;
}

bool ranges_meet(const struct ranges *ranges, uint64_t va, uint64_t end)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->items[middle].end > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low < ranges->count && ranges->items[low].va < end;
}

int ranges_cut(struct ranges *ranges, uint64_t va, uint64_t end)
{
	size_t count = ranges->count;

	for (size_t i = 0; i < count; i++) {
		struct range was = ranges->items[i];

		if (was.end <= va || was.va >= end)
			continue;
		/* What is before it, which may be nothing; and what is behind it. */
		ranges->items[i].end = was.va < va ? va : was.va;
		if (was.end > end && ranges_add(ranges, end, was.end) < 0)
			return -ENOMEM;
	}
	ranges_tidy(ranges);
	return 0;
}

void ranges_free(struct ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct ranges){0};
}
