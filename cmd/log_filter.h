/* SPDX-License-Identifier: MIT */
/* Which entries are wanted: the options of `log show` and `log follow`. */
#ifndef CMD_LOG_FILTER_H
#define CMD_LOG_FILTER_H

#include "logfile.h"

struct log_filter {
	struct cmd *cmd;
	const char *log;
	struct panbind_log_filter filter;
	uint64_t limit; /* entries at most, 0: no limit */
};

/** Parse the command line of a verb with these options. Ends the process on a wrong one. */
void log_filter_parse(struct log_filter *filter, const char *doc, int argc, char **argv);

#endif /* CMD_LOG_FILTER_H */
