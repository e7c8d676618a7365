/* SPDX-License-Identifier: MIT */
/* Which log a command reads, and opening it. */
#ifndef CMD_LOGFILE_H
#define CMD_LOGFILE_H

#include "cmd.h"
#include "panbind-log.h"

/**
 * The path of the log: @given if there is one, else what the daemon writes if one answers, else where panbindd puts it.
 * Returns an exit status; *ret_path is the caller's.
 */
int logfile_path(struct cmd *cmd, const char *given, char **ret_path);
/** Open a log to read it. Returns an exit status; an error is reported. */
int logfile_open(struct cmd *cmd, const char *given, struct panbind_log **ret_log);
/** Report an error of the log and return its exit status. */
int logfile_fail(struct cmd *cmd, const char *path, const struct panbind_error *error);

#define LOGFILE_KEY 0x400
#define LOGFILE_OPTION                                                           \
	{                                                                        \
		"log", LOGFILE_KEY, "FILE", 0, "The log (default: the daemon's)" \
	}

/** "NAME" or "NAME#GENERATION". @text is cut. 0 or -EINVAL. */
int logfile_parse_ref(char *text, struct panbind_log_ref *ret_ref);

/* ---- log_*.c: the commands of `panbind log` ---- */

int log_show(struct cmd *cmd, int argc, char **argv);
int log_follow(struct cmd *cmd, int argc, char **argv);
int log_blame(struct cmd *cmd, int argc, char **argv);
int log_state(struct cmd *cmd, int argc, char **argv);
int log_diff(struct cmd *cmd, int argc, char **argv);
int log_status(struct cmd *cmd, int argc, char **argv);
int log_verify(struct cmd *cmd, int argc, char **argv);
int log_compact(struct cmd *cmd, int argc, char **argv);
int log_query(struct cmd *cmd, int argc, char **argv);
int log_export(struct cmd *cmd, int argc, char **argv);
int log_import(struct cmd *cmd, int argc, char **argv);

#endif /* CMD_LOGFILE_H */
