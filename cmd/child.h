/* SPDX-License-Identifier: MIT */
/*
 * A command of the user's, as sim and record start it: with the preload library, and with their variables set.
 */
#ifndef CHILD_H
#define CHILD_H

#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "cmd.h"

/** A variable of the child's environment. */
struct child_variable {
	const char *name, *value;
};

#define CHILD_SIGNALS 4

/** What child_start() has changed here until child_wait() puts it back. */
struct child {
	pid_t pid;
	struct sigaction before[CHILD_SIGNALS];
};

/**
 * Start @argv (NULL at its end; found as execvp(3) does) with libpanbind-preload.so in front of LD_PRELOAD and
 * @variables set, and @fds as its RLIMIT_NOFILE (NULL: as here). 0, or an exit status after saying why: CMD_FAILED
 * without the library; 127 when there is no such command, 126 when it cannot be run, as shells have it.
 */
int child_start(struct cmd *cmd, char **argv, const struct child_variable *variables, size_t count,
		const struct rlimit *fds, struct child *ret_child);

/**
 * Wait for it. Meanwhile what the terminal sends to both (SIGINT, SIGQUIT) is the child's to answer, and SIGTERM and
 * SIGHUP are handed on to it. When the limit of -T is reached it is sent SIGTERM. Returns its exit status, 128 + N
 * after signal N; CMD_TIMED_OUT after the limit.
 */
int child_wait(struct child *child);

#endif /* CHILD_H */
