/* SPDX-License-Identifier: MIT */
/*
 * Entries on their way into the log of a recording. They are kept until they are written: when the disk is full they
 * wait and are appended again, up to a limit; beyond it the recording is over, and its log says so. A little room is
 * held ready on the disk for that last note.
 */
#ifndef CMD_RECORD_SINK_H
#define CMD_RECORD_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "panbind-log.h"

struct record_sink;

/** Makes the log, which must not be there yet. @limit: bytes that may wait. */
int record_sink_open(const char *path, size_t limit, struct record_sink **ret_sink, struct panbind_error *reterr);
/** Queue an entry, which is copied. 0; -ENOBUFS: too much waits, the recording is over; -ENOMEM. */
int record_sink_add(struct record_sink *sink, const struct panbind_log_entry *entry);
/** Let go of what is written, try again what was not. Call it now and then. */
void record_sink_tend(struct record_sink *sink);
/** Does something wait for the disk? Then tend it several times a second. */
bool record_sink_stalled(const struct record_sink *sink);
/** How many entries were taken. */
uint64_t record_sink_count(const struct record_sink *sink);
/**
 * Write what waits and close. When that cannot be, @lost entries at the end are not in the log, and a note that takes
 * their place says so. 0, or the errno for which they are lost.
 */
int record_sink_close(struct record_sink *sink, uint64_t *ret_lost);

#endif /* CMD_RECORD_SINK_H */
