/* SPDX-License-Identifier: MIT */
/*
 * Things in order of their VAs.
 */
#ifndef PB_VA_SORT_H
#define PB_VA_SORT_H

#include <stdint.h>

struct pb_va_key {
	uint64_t va;
	uint32_t index; /* the caller's */
};

/** From this many on, digit by digit. */
#define PB_VA_SORT_LARGE 2048u

/** Sort @keys. @spare: as large, overwritten. Returns which of the two holds the result. */
struct pb_va_key *pb_va_sort(struct pb_va_key *keys, struct pb_va_key *spare, uint32_t count);

#endif /* PB_VA_SORT_H */
