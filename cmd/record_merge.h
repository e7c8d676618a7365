/* SPDX-License-Identifier: MIT */
/*
 * Events of many threads in the order of their numbers: 1, 2, 3 ... A number that is missing holds back all behind it,
 * until it comes or is given up. See preload/record_wire.h for what the numbers mean. Knows no ring and no process.
 */
#ifndef CMD_RECORD_MERGE_H
#define CMD_RECORD_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "../preload/record_wire.h"

struct record_process;

/** An event on its way, and whose it is. From malloc(). */
struct record_item {
	struct record_process *process;
	struct record_event event; /* what follows it follows it here, too */
};

struct record_merge {
	struct record_item **slots; /* of number n: n % room */
	size_t room, count;
	uint64_t next; /* the number that comes next; 0 is read as 1 */
	uint64_t last; /* the highest that is here or was */
};

/** Take an item. 0; -ENOMEM; -EINVAL: a number that was there already, or absurdly far away. It is the caller's then.
 */
int record_merge_add(struct record_merge *merge, struct record_item *item);
/** The next in order, which is the caller's from here on; NULL: it is not there yet. */
struct record_item *record_merge_next(struct record_merge *merge);
/** Items wait for the number merge->next. */
static inline int record_merge_waits(const struct record_merge *merge)
{
	return merge->count > 0 && !merge->slots[merge->next % merge->room];
}
/** It will not come: go on with the next one that is there. Returns how many numbers that leaves out. */
uint64_t record_merge_skip(struct record_merge *merge);
void record_merge_free(struct record_merge *merge);

#endif /* CMD_RECORD_MERGE_H */
