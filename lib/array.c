/* SPDX-License-Identifier: MIT */
/*
 * Arrays that may become large.
 *
 * One that is written once from end to end costs a page fault every 4 KiB, and for a hundred thousand items of a
 * hundred bytes these cost more than all the work on them: the more so inside of a virtual machine. So the kernel is
 * asked to back large arrays with large pages, which it does where it can.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define FIRST_ROOM 16

/* 3 MiB: whatever it begins at, half of it and more is in one large page of 2 MiB, or smaller ones do. */
#define LARGE (3u << 20)

/* Advice on the whole pages of an array, the processor's. What the kernel thinks of it changes no result. */
static void prefer_large_pages(void *array, size_t count, size_t item_size)
{
	size_t size = count * item_size, mask = (size_t)sysconf(_SC_PAGESIZE) - 1, skip = -(uintptr_t)array & mask;

	if (array != NULL && size >= LARGE)
		(void)madvise((char *)array + skip, (size - skip) & ~mask, MADV_HUGEPAGE);
}

void *pb_array_create(size_t count, size_t item_size)
{
	void *array = calloc(count, item_size);

	prefer_large_pages(array, count, item_size);
	return array;
}

int pb_array_reserve(void **array, size_t *room, size_t wanted, size_t item_size)
{
	void *grown;

	if (wanted <= *room)
		return 0;
	grown = reallocarray(*array, wanted, item_size);
	if (grown == NULL)
		return -ENOMEM;
	prefer_large_pages(grown, wanted, item_size);
	*array = grown;
	*room = wanted;
	return 0;
}

int pb_array_grow(void **array, size_t *room, size_t count, size_t item_size)
{
	if (count < *room)
		return 0;
	return pb_array_reserve(array, room, *room > 0 ? 2 * *room : FIRST_ROOM, item_size);
}
