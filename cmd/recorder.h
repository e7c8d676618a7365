/* SPDX-License-Identifier: MIT */
/*
 * The recorder: takes what recorded programs write into their rings, of all of them in one order, and hands it on.
 * One thread, one poll loop. preload/record_wire.h says what programs and recorder have in common.
 */
#ifndef CMD_RECORDER_H
#define CMD_RECORDER_H

#include "record_files.h"
#include "record_merge.h"

struct recorder;

struct recorder_sink {
	/**
	 * The next event in order: a call, or that a file is over (event NULL). A negative errno stops the recording;
	 * programs go on without it.
	 */
	int (*take)(void *data, const struct record_process *process, const struct record_file *file,
		    const struct record_event *event);
	/** Now and then. Returns how many ms it wants to be called in at the latest, or -1. */
	int (*tend)(void *data);
	void *data;
};

/** Listen. 0 or a negative errno. */
int recorder_create(const struct recorder_sink *sink, struct recorder **ret_recorder);
void recorder_destroy(struct recorder *recorder);
/** What PANBIND_RECORD is to be in the programs' environment; as long as the recorder. */
const char *recorder_where(const struct recorder *recorder);
/**
 * Record until @child and all programs that have used a render node have ended, or limit_reached(), or the sink has
 * refused something. The child is left to be waited for. 0, or the sink's errno.
 */
int recorder_run(struct recorder *recorder, pid_t child);

struct recorder_summary {
	uint64_t calls, processes;
	uint64_t missed;  /* calls that a program could not write down: no memory, no descriptor */
	uint64_t damaged; /* rings that something had written over */
};
/** Of what was recorded; after recorder_run(). */
struct recorder_summary recorder_summary(const struct recorder *recorder);

#endif /* CMD_RECORDER_H */
