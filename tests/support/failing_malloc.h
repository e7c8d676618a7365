/* SPDX-License-Identifier: MIT */
/*
 * Allocations that fail on request. Works in programs whose name ends in _nomem, which the build links so that every
 * malloc, calloc, realloc and reallocarray of the library and the test comes by here.
 */
#ifndef TEST_FAILING_MALLOC_H
#define TEST_FAILING_MALLOC_H

#include <stddef.h>

/** Let @good more allocations succeed, then fail all. SIZE_MAX: all succeed. */
void failing_malloc_after(size_t good);
/** Allocations that were asked for since then. */
size_t failing_malloc_calls(void);

#endif /* TEST_FAILING_MALLOC_H */
