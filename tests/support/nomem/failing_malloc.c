/* SPDX-License-Identifier: MIT */
/* The other side of ld's --wrap: __real_x is the function that x would have been. */
#include "failing_malloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Atomic: what is tested may have threads of its own. */
static atomic_size_t left = SIZE_MAX, calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_reallocarray(void *ptr, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_reallocarray(void *ptr, size_t count, size_t size);

void failing_malloc_after(size_t good)
{
	left = good;
	calls = 0;
}

size_t failing_malloc_calls(void)
{
	return calls;
}

/* Where the stack is used next there is nothing that was left by luck: what nobody has set is found out. */
__attribute__((noinline)) static void litter_stack(void)
{
	char litter[4096];

	memset(litter, 0xa5, sizeof(litter));
	__asm__ volatile("" : : "r"(litter) : "memory");
}

static bool allowed(void)
{
	size_t now = atomic_load(&left);

	litter_stack();
	atomic_fetch_add(&calls, 1);
	while (now && now != SIZE_MAX && !atomic_compare_exchange_weak(&left, &now, now - 1))
		;
	if (!now)
		errno = ENOMEM;
	return now;
}

void *__wrap_malloc(size_t size)
{
	return allowed() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return allowed() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *ptr, size_t size)
{
	return allowed() ? __real_realloc(ptr, size) : NULL;
}

void *__wrap_reallocarray(void *ptr, size_t count, size_t size)
{
	return allowed() ? __real_reallocarray(ptr, count, size) : NULL;
}
