/* SPDX-License-Identifier: MIT */
/* A set of addresses as few ranges: what is mapped, and how much of it. */
#ifndef CMD_RANGES_H
#define CMD_RANGES_H

#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t va, end;
};

/** Zeroed, it is empty. */
struct ranges {
	struct range *at; /* by address, apart from each other */
	size_t count, room;
	uint64_t bytes;
};

/** Add or take away [va, va + size), whatever of it is there. 0 or -ENOMEM. */
int ranges_add(struct ranges *ranges, uint64_t va, uint64_t size);
int ranges_remove(struct ranges *ranges, uint64_t va, uint64_t size);
void ranges_free(struct ranges *ranges);

#endif /* CMD_RANGES_H */
