/* SPDX-License-Identifier: MIT */
/*
 * What the files of panbind(1) share: the command table's row, the options every verb takes, and the exit statuses.
 *
 * The program uses the public face of libpanbind only. A verb is one cmd_*.c file: it parses its own options with
 * argp, does its work, reports through output.h and error.h, and returns one of enum cmd_status.
 */
#ifndef CMD_H
#define CMD_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"

/** Exit statuses: documented in panbind(1) and frozen. */
enum cmd_status {
	CMD_DONE = 0,
	CMD_FAILED = 1,	   /* nothing applied */
	CMD_USAGE = 2,	   /* wrong command line, or a text that is not what it should be */
	CMD_NO_DEVICE = 3, /* no device, or no daemon */
	CMD_PARTIAL = 4,   /* partly applied, or unknown */
	CMD_DENIED = 5,
	CMD_TIMED_OUT = 6,
};

/** What one invocation knows. */
struct cmd {
	const char *verb;	 /* its name in the table */
	const char *device_spec; /* from -d, else the environment, else "drm:auto" */
	bool device_named;	 /* somebody chose it */
	bool device_option;	 /* by -d */
	const char *socket;	 /* of the daemon, from -s, or NULL */
	const char *gpu;	 /* which of the daemon's devices, or NULL: its first one */
	int verbose;		 /* -v counts up, -q counts down */
	double timeout;		 /* seconds, 0: none */
	struct out out;
};

/** A row of the command table. @run gets argv[0] = "panbind VERB". */
struct cmd_verb {
	const char *name;
	const char *help; /* one line, lower case, no full stop */
	int (*run)(struct cmd *cmd, int argc, char **argv);
	enum cmd_place { CMD_HERE = 0, CMD_IN_DAEMON, CMD_ON_LOG } place; /* how --help groups them */
};

extern const struct cmd_verb cmd_verbs[]; /* ends with a NULL name */
const struct cmd_verb *cmd_verb_find(const char *name);
/** Print the help of the program itself and end the process. */
void cmd_program_help(void);

/* ---- options.c: what every verb takes ---- */

/** The options of all verbs; its input is the struct cmd. Put it first among a verb's argp children. */
extern const struct argp cmd_common_argp;
#define CMD_COMMON_CHILD                                            \
	{                                                           \
		&cmd_common_argp, 0, "Options of every command:", 1 \
	}

/**
 * Parse a verb's arguments. @input is handed to the verb's own parser as state->input, and @cmd to the common one.
 * Ends the process on a wrong command line (status 2) and on --help.
 */
void cmd_parse(struct cmd *cmd, const struct argp_option *options, argp_parser_t parser, const char *args_doc,
	       const char *doc, int argc, char **argv, void *input);
/**
 * The same for a verb whose first word names one of its own commands: returns the index of that word in @argv, whose
 * options are left to it.
 */
int cmd_parse_sub(struct cmd *cmd, const char *args_doc, const char *doc, int argc, char **argv);
/**
 * The same for a verb that starts a command of the user's: returns the index of its first word in @argv, behind which
 * nothing is an option of ours. @parser has to refuse ARGP_KEY_NO_ARGS if there must be one.
 */
int cmd_parse_command(struct cmd *cmd, const struct argp_option *options, argp_parser_t parser, const char *args_doc,
		      const char *doc, int argc, char **argv, void *input);
/** After all options are known: defaults from the environment, colour, the limit of -T. */
void cmd_options_done(struct cmd *cmd);

/* ---- cmd_*.c ---- */

int cmd_apply(struct cmd *cmd, int argc, char **argv);
int cmd_attach(struct cmd *cmd, int argc, char **argv);
int cmd_devices(struct cmd *cmd, int argc, char **argv);
int cmd_diff(struct cmd *cmd, int argc, char **argv);
int cmd_dump(struct cmd *cmd, int argc, char **argv);
int cmd_help(struct cmd *cmd, int argc, char **argv);
int cmd_import(struct cmd *cmd, int argc, char **argv);
int cmd_info(struct cmd *cmd, int argc, char **argv);
int cmd_log(struct cmd *cmd, int argc, char **argv);
int cmd_monitor(struct cmd *cmd, int argc, char **argv);
int cmd_order(struct cmd *cmd, int argc, char **argv);
int cmd_plan(struct cmd *cmd, int argc, char **argv);
int cmd_record(struct cmd *cmd, int argc, char **argv);
int cmd_replay(struct cmd *cmd, int argc, char **argv);
int cmd_rpc(struct cmd *cmd, int argc, char **argv);
int cmd_run(struct cmd *cmd, int argc, char **argv);
int cmd_sim(struct cmd *cmd, int argc, char **argv);
int cmd_undo(struct cmd *cmd, int argc, char **argv);

#endif /* CMD_H */
