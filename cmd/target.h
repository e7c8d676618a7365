/* SPDX-License-Identifier: MIT */
/* The device that a command works on. */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include "cmd.h"
#include "panbind.h"

/**
 * Open what -d, else $PANBIND_DEVICE, else "drm:auto" names. Returns an exit status; an error is reported, together
 * with what can be done. The simulator is only ever opened by name.
 */
int target_open(struct cmd *cmd, struct panbind_device **ret_device);

/** Render nodes that exist and that this user may not open: the first one's path, or NULL. Freed by the caller. */
char *target_denied_node(void);

/** What to do about a machine without a device, as a note. */
void target_suggest_simulator(const struct cmd *cmd);

#endif /* CMD_TARGET_H */
