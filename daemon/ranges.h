/* SPDX-License-Identifier: MIT */
/*
 * Ranges of addresses: gathered in any order, tidied once, then searched and cut.
 */
#ifndef PBD_RANGES_H
#define PBD_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t va, end;
};

/** Zeroed, there are none. */
struct ranges {
	struct range *items;
	size_t count, room;
};

/** One more, wherever it is. 0 or -ENOMEM. */
int ranges_add(struct ranges *ranges, uint64_t va, uint64_t end);
/** In order, without overlaps, none of them empty. */
void ranges_tidy(struct ranges *ranges);
/** Has [va, end) an address of theirs? They are tidy. */
bool ranges_meet(const struct ranges *ranges, uint64_t va, uint64_t end);
/** Take [va, end) out of them; they are tidy after it. 0 or -ENOMEM. */
int ranges_cut(struct ranges *ranges, uint64_t va, uint64_t end);
void ranges_free(struct ranges *ranges);

#endif /* PBD_RANGES_H */
