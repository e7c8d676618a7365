/* SPDX-License-Identifier: MIT */
/* A set of addresses as few ranges. See ranges.h. */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16

/* The first range that ends at @va or behind it. */
static size_t first_from(const struct ranges *ranges, uint64_t va)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->at[middle].end < va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Put @count new ranges in the place of those in [first, end). */
static int replace(struct ranges *ranges, size_t first, size_t end, const struct range *with, size_t count)
{
	size_t left = ranges->count - end, needed = first + count + left;

	if (needed > ranges->room) {
		size_t room = ranges->room ? ranges->room * 2 : FIRST_ROOM;
		struct range *more = reallocarray(ranges->at, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		ranges->at = more;
		ranges->room = room;
	}
	if (ranges->at)
		memmove(ranges->at + first + count, ranges->at + end, left * sizeof(*ranges->at));
	for (size_t i = 0; i < count; i++)
		ranges->at[first + i] = with[i];
	ranges->count = needed;
	return 0;
}

int ranges_add(struct ranges *ranges, uint64_t va, uint64_t size)
{
	struct range whole = {va, va + size};
	size_t first = first_from(ranges, va), end = first;
	uint64_t covered = 0;

	for (; end < ranges->count && ranges->at[end].va <= whole.end; end++) {
		const struct range *range = &ranges->at[end];

		covered += range->end - range->va;
		whole.va = range->va < whole.va ? range->va : whole.va;
		whole.end = range->end > whole.end ? range->end : whole.end;
	}
	if (replace(ranges, first, end, &whole, 1) < 0)
		return -ENOMEM;
	ranges->bytes += whole.end - whole.va - covered;
	return 0;
}

int ranges_remove(struct ranges *ranges, uint64_t va, uint64_t size)
{
	const uint64_t stop = va + size;
	size_t first = first_from(ranges, va), end = first, count = 0;
	struct range rest[2];
	uint64_t gone = 0;

	for (; end < ranges->count && ranges->at[end].va < stop; end++) {
		const struct range *range = &ranges->at[end];

		if (range->va < va)
			rest[count++] = (struct range){range->va, range->end < va ? range->end : va};
		if (range->end > stop)
			rest[count++] = (struct range){stop, range->end};
		gone += range->end - range->va;
	}
	for (size_t i = 0; i < count; i++)
		gone -= rest[i].end - rest[i].va;
	if (replace(ranges, first, end, rest, count) < 0)
		return -ENOMEM;
	ranges->bytes -= gone;
	return 0;
}

void ranges_free(struct ranges *ranges)
{
	free(ranges->at);
	*ranges = (struct ranges){0};
}
