/* SPDX-License-Identifier: MIT */
/*
 * Memory as a program shows it to a driver: areas with nothing behind them, so that whoever reads on is caught.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "run.h"

#define PAGE	       4096u
#define AREA	       (16u * PAGE)
#define AREAS	       96u
#define LOW_ADDRESS    UINT64_C(0x10)
/* In the kernel's half of any 64-bit address space. */
#define KERNEL_ADDRESS UINT64_C(0xffff800000010000)

struct diff_memory_pool {
	uint8_t *base;
	unsigned used;
	bool is_const[AREAS];
};

static uint8_t *area(const struct diff_memory_pool *pool, unsigned i)
{
	return pool->base + (size_t)i * (AREA + PAGE);
}

int diff_pool_create(struct diff_memory_pool **ret_pool)
{
	struct diff_memory_pool *pool = calloc(1, sizeof(*pool));
	size_t size = (size_t)AREAS * (AREA + PAGE);

	if (!pool)
		return -1;
	pool->base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->base == MAP_FAILED) {
		free(pool);
		return -1;
	}
	for (unsigned i = 0; i < AREAS; i++)
		mprotect(area(pool, i), AREA, PROT_READ | PROT_WRITE);
	*ret_pool = pool;
	return 0;
}

void diff_pool_destroy(struct diff_memory_pool *pool)
{
	if (!pool)
		return;
	munmap(pool->base, (size_t)AREAS * (AREA + PAGE));
	free(pool);
}

void diff_pool_reset(struct diff_memory_pool *pool)
{
	for (unsigned i = 0; i < pool->used; i++) {
		if (pool->is_const[i])
			mprotect(area(pool, i), AREA, PROT_READ | PROT_WRITE);
		pool->is_const[i] = false;
	}
	pool->used = 0;
}

/* @missing bytes of the data do not fit. */
static uint8_t *put(struct diff_memory_pool *pool, const void *data, size_t size, size_t missing)
{
	uint8_t *start = area(pool, pool->used);

	if (pool->used + 1 < AREAS)
		pool->used++; /* else the one before the last is used again */
	if (size - missing > AREA)
		missing = size - AREA;
	start += AREA - (size - missing);
	if (size > missing)
		memcpy(start, data, size - missing);
	return start;
}

/* The area that was used last. */
static void make_const(struct diff_memory_pool *pool)
{
	mprotect(area(pool, pool->used - 1), AREA, PROT_READ);
	pool->is_const[pool->used - 1] = true;
}

uint64_t diff_place(struct diff_world *world, uint64_t kind, const void *data, size_t size, uint8_t **ret_data)
{
	size_t missing = kind == DIFF_SHORT ? (size < 3 ? size : 3) : 0;
	uint8_t *start;

	if (ret_data)
		*ret_data = NULL;
	switch (kind) {
	case DIFF_NULL:
		return 0;
	case DIFF_LOW:
		return LOW_ADDRESS;
	case DIFF_KERNEL:
		return KERNEL_ADDRESS;
	default:
		start = put(world->pool, data, size, missing);
		if (kind == DIFF_CONST)
			make_const(world->pool);
		if (ret_data && !missing)
			*ret_data = start;
		return (uintptr_t)start;
	}
}
