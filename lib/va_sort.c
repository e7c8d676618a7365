/* SPDX-License-Identifier: MIT */
/* Few keys are compared; many are dealt out by the digits of their VAs, which takes a pass for each digit. */
#include "va_sort.h"

#include <stdlib.h>

#define DIGIT_BITS 11
#define DIGITS	   PB_VA_SORT_LARGE

_Static_assert(DIGITS == 1u << DIGIT_BITS, "a pass costs as much as there are digits");

static int by_va(const void *a, const void *b)
{
	const struct pb_va_key *x = a, *y = b;

	return (x->va > y->va) - (x->va < y->va);
}

/** One stable pass over the digit at @shift. */
static void sort_digit(const struct pb_va_key *from, struct pb_va_key *to, uint32_t count, unsigned int shift)
{
	uint32_t place[DIGITS] = {0}, before = 0;

	for (uint32_t i = 0; i < count; i++)
		place[(from[i].va >> shift) % DIGITS]++;
	for (uint32_t digit = 0; digit < DIGITS; digit++) {
		uint32_t here = place[digit];

		place[digit] = before;
		before += here;
	}
	for (uint32_t i = 0; i < count; i++)
		to[place[(from[i].va >> shift) % DIGITS]++] = from[i];
}

/** Digits that all keys share are passed over. */
struct pb_va_key *pb_va_sort(struct pb_va_key *keys, struct pb_va_key *spare, uint32_t count)
{
	uint64_t differ = 0;

	if (count < PB_VA_SORT_LARGE) {
		qsort(keys, count, sizeof(*keys), by_va);
		return keys;
	}
	for (uint32_t i = 1; i < count; i++)
		differ |= keys[i].va ^ keys[0].va;
	for (unsigned int shift = 0; shift < 64; shift += DIGIT_BITS) {
		struct pb_va_key *other = keys;

		if ((differ >> shift) % DIGITS == 0)
			continue;
		sort_digit(keys, spare, count, shift);
		keys = spare;
		spare = other;
	}
	return keys;
}
