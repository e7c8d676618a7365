/* SPDX-License-Identifier: MIT */
/* The verbs that work on scripts, on what the daemon keeps: run, plan, dump. */
#ifndef CMD_REMOTE_H
#define CMD_REMOTE_H

#include "client.h"
#include "runner.h"

/** Whether run, plan, dump and replay mean the daemon: nobody chose a device for this process. */
bool remote_wanted(const struct cmd *cmd);

/**
 * Run all scripts of a runner in the daemon, one request each; @record has what goes with each into the log. Fills
 * runner->total and the output. Returns an exit status.
 */
int remote_run(struct runner *runner, struct client *client, const json_t *record, bool check);
/** The script of one VM, or of all (@vm NULL). Returns an exit status; *ret_text is the caller's. */
int remote_dump(struct client *client, const char *vm, char **ret_text);

/**
 * Make the runner's session a copy of what the daemon has: a simulated device of the same version and width, with the
 * same BOs and mappings. For plans, which need them and change nothing. Returns an exit status.
 * @ret_atomic: whether the daemon's device updates page tables atomically, which the copy cannot say.
 */
int remote_copy(struct runner *runner, enum panbind_tristate *ret_atomic);

#endif /* CMD_REMOTE_H */
