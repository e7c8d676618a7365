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

/** The plan of a runner's first script, as state.plan answers. Returns an exit status; *ret_result is the caller's. */
int remote_plan(struct runner *runner, struct client *client, json_t **ret_result);

#endif /* CMD_REMOTE_H */
