/* SPDX-License-Identifier: MIT */
/*
 * The recorder's end of a thread's ring. What stands in it was written by a program that may do anything at any time,
 * so every event is copied out first and looked at then. preload/record_wire.h says how a ring works.
 */
#ifndef CMD_RECORD_RING_H
#define CMD_RECORD_RING_H

#include <stdbool.h>

#include "record_merge.h"

struct record_source;

/** Map a ring that came as @fd, which stays the caller's. 0; -EINVAL: it is none. */
int record_source_open(int fd, struct record_source **ret_source);
void record_source_close(struct record_source *source);
/**
 * The next finished event as an item of nobody, from malloc(); NULL with *ret_err 0 at the end, -EBADMSG when what
 * stands there is no event (nothing more can be read then), -ENOMEM.
 */
struct record_item *record_source_next(struct record_source *source, int *ret_err);
/** When its program is dead: the event that was under way, marked as unfinished, or NULL. Its number may be 0. */
struct record_item *record_source_unfinished(struct record_source *source);
/** May it still bring a number that was taken before this call? If not, read it to its end once more. */
bool record_source_counting(const struct record_source *source);
/** Its thread has ended: what is there is all. */
bool record_source_closed(const struct record_source *source);

#endif /* CMD_RECORD_RING_H */
