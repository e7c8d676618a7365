/* SPDX-License-Identifier: MIT */
/* What the two files of the recorder share. */
#ifndef CMD_RECORDER_PRIVATE_H
#define CMD_RECORDER_PRIVATE_H

#include "record_ring.h"
#include "recorder.h"

/** An event of our own: the process is gone. It takes its place in the order like every other. */
#define RECORDER_GONE RECORD_TYPES

struct recorder_ring {
	struct record_source *source;
	struct record_process *process;
};

struct recorder {
	struct recorder_sink sink;
	struct recorder_summary summary;
	struct record_shared *shared;
	struct record_merge merge;
	struct record_files files;
	struct recorder_ring *rings;
	size_t ring_count, ring_room;
	uint64_t last_call; /* number of it */
	int64_t busy_ns;    /* when events came last */
	bool child_ended;
	bool hearing; /* within a message */

	/* record_listen.c */
	int listener, shared_fd, child;
	uint64_t token;
	char where[160];
	int *visitors; /* connections whose message has not come yet */
	size_t visitor_count, visitor_room;
	int *pidfds; /* of files.processes; -1: none, ask by its number */
	size_t pidfd_room;
	struct pollfd *polled;
	size_t polled_room;
};

int64_t recorder_now_ns(void);
/** Read all rings and hand on what is in order. How many events, or a negative errno. */
int recorder_move(struct recorder *recorder);
/** Read what the rings hold, at most some hundred events each. How many, or -ENOMEM. */
int recorder_read_all(struct recorder *recorder);
/** All that a program has left behind, and that it is gone. 0 or a negative errno. */
int recorder_end_process(struct recorder *recorder, struct record_process *process);

/* ---- recorder_listen.c ---- */

/** Has the process at this place of files.processes ended? */
bool recorder_is_dead(struct recorder *recorder, size_t index);
/** Wake up when the child ends; 0: no more. */
void recorder_watch(struct recorder *recorder, pid_t child);
/**
 * Wait at most @timeout_ms (negative: for ever) for a message, the end of a process or a signal. Messages are heard.
 * True when there were any.
 */
bool recorder_wait(struct recorder *recorder, int timeout_ms);

#endif /* CMD_RECORDER_PRIVATE_H */
