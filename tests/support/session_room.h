/* SPDX-License-Identifier: MIT */
/*
 * A session on a simulated device whose events are kept, for tests that run scripts.
 */
#ifndef SESSION_ROOM_H
#define SESSION_ROOM_H

#include "panbind.h"

struct session_room {
	struct panbind_device *device;
	struct panbind_session *session;
	struct panbind_run_result result;
	struct panbind_error error; /* of the last run */
	char output[65536];	    /* texts, a line each */
	size_t output_size;
	unsigned int errors, failed_undos, txns, plans, shows, gpus, commands;
	enum panbind_outcome last_outcome;
	struct panbind_gpu_stats stats;
	uint64_t torn;
	enum panbind_guarantee guarantee; /* of the last transaction that was planned */
	char plan[8192];		  /* a line a unit */
	void (*on_event)(struct session_room *room, const struct panbind_event *event);
};

/** Open @spec; fails the test when it cannot. */
struct session_room *session_room_open(const char *spec);
void session_room_close(struct session_room *room);
/** Parse and run; a parse error fails the test. Returns what the run returned; room->error and result hold the rest. */
int session_room_run(struct session_room *room, const char *text, uint32_t flags);
/** Run and fail the test, with the error, unless it returns 0. */
void session_room_must(struct session_room *room, const char *text);
/** The dump, for free(3). */
char *session_room_dump(struct session_room *room);

#endif /* SESSION_ROOM_H */
