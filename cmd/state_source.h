/* SPDX-License-Identifier: MIT */
/*
 * Which state of which VM is meant, in one word:
 *
 *   [DEVICE:]VM          a VM of the daemon, as it is now
 *   [DEVICE]@SEQ:VM      a VM of the daemon's log, after entry SEQ; `@last` is the log's end
 *   LOGFILE@SEQ:VM       the same of any log
 *   FILE[:VM]            what a script, or a dump, makes of its only VM, or of that one
 *   -                    the same of standard input
 *
 * A word with a slash in it is a file's, and no other one is: `./v` is a file, `v` a VM. DEVICE is a name of the
 * daemon's greeting, and --gpu, or the first one, without it.
 */
#ifndef CMD_STATE_SOURCE_H
#define CMD_STATE_SOURCE_H

#include "client.h"
#include "panbind-log.h"

enum state_source_kind { SOURCE_LIVE, SOURCE_LOG, SOURCE_LOG_FILE, SOURCE_SCRIPT };

struct state_source {
	enum state_source_kind kind;
	char *text; /* the word, cut into what the others point to */
	const char *device, *path, *vm;
	uint64_t generation; /* of "VM#GENERATION" in a log, 0: any */
	uint64_t seq;	     /* UINT64_MAX: the last */
};

/** 0, -EINVAL for what is no such word, or -ENOMEM. */
int state_source_parse(const char *word, struct state_source *ret_source);
void state_source_free(struct state_source *source);
/** Read the state. Returns an exit status; an error is reported. */
int state_source_read(struct cmd *cmd, const struct state_source *source, struct panbind_state **ret_state);
/** The state of a VM at a sequence number of a log. @log_path NULL: the daemon's. Returns an exit status. */
int state_source_read_log(struct cmd *cmd, const char *log_path, struct panbind_log_ref vm, uint64_t seq,
			  struct panbind_state **ret_state);

/* ---- state_show.c ---- */

/** Show the differences of two states: a table, or members of the document. */
void state_show_diff(const struct cmd *cmd, const struct panbind_state_diff *diff);
/** Compare and show. Returns CMD_DONE when they are the same, CMD_FAILED when they differ, or what went wrong. */
int state_compare(struct cmd *cmd, const struct panbind_state *from, const struct panbind_state *to);

#endif /* CMD_STATE_SOURCE_H */
