/* SPDX-License-Identifier: MIT */
/* A progress bar on standard error, for long work that somebody watches: only on a terminal, and not with -q. */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include "cmd.h"

struct progress {
	const struct cmd *cmd;
	bool shown; /* there is a bar on the line */
	int64_t begun_ns;
};

void progress_begin(struct progress *progress, const struct cmd *cmd);
/** Draw @done of @total (0: not known), and how many @units a second that was. Call it some times a second. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t count, const char *units);
/** Take the bar away, before other text and at the end. */
void progress_clear(struct progress *progress);

#endif /* CMD_PROGRESS_H */
