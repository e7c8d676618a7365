/* SPDX-License-Identifier: MIT */
/*
 * Scripts on a device, for the verbs that run them: run, plan, dump.
 *
 * All files are read and parsed before a device is opened, so a mistake in the last file is found before the first one
 * changes anything. Events of the session become text on standard output as they come, or JSON in the document.
 */
#ifndef CMD_RUNNER_H
#define CMD_RUNNER_H

#include "error.h"
#include "fence.h"
#include "panbind.h"
#include "source.h"

struct runner_script {
	struct source source;
	struct panbind_script *script;
};

struct runner {
	struct cmd *cmd;
	struct panbind_define *defines;
	size_t define_count;
	bool keep_going;
	struct fence fence; /* of each script that is added */
	struct runner_script *scripts;
	size_t count;
	struct panbind_device *device;
	struct panbind_session *session;
	const struct panbind_script *running; /* for the source line of an error */
	unsigned reported;		      /* errors that an event has told of */
	panbind_event_fn *on_event;	      /* runner_on_event() when NULL */
	json_t *output;			      /* JSON mode: what the script shows, in order */
	void (*on_plan)(void *data, const struct panbind_event *event);
	void *plan_data;
	struct panbind_run_result total;
};

/** -D NAME=VALUE; ends the process when it is not that. @arg must live on. */
void runner_define(struct runner *runner, struct argp_state *state, char *arg);
/** Read and parse a file, or "-". Returns an exit status. */
int runner_add(struct runner *runner, const char *path);
/** Open the device and make the session. Returns an exit status. */
int runner_open(struct runner *runner);
/** Run all scripts with PANBIND_RUN_* flags; runner->total has the sums. Returns an exit status. */
int runner_run(struct runner *runner, uint32_t flags);
void runner_close(struct runner *runner);

/* ---- events.c ---- */

void runner_on_event(void *data, const struct panbind_event *event);
/** Report an error of the running script with its source line. */
void runner_error(struct runner *runner, const struct panbind_error *error, const enum panbind_outcome *outcome);

#endif /* CMD_RUNNER_H */
