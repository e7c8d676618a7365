/* SPDX-License-Identifier: MIT */
/* Input files: whole, from a path or from standard input ("-"), decompressed when they are .xz. */
#ifndef CMD_SOURCE_H
#define CMD_SOURCE_H

#include "cmd.h"

struct source {
	const char *name; /* for messages: the path, or "<stdin>" */
	char *text;	  /* @size bytes, and a NUL behind them */
	size_t size;
};

/** Read a file. Returns an exit status; an error is reported. */
int source_read(struct cmd *cmd, const char *path, struct source *ret_source);
/** Read a file again to show a line of it; says nothing when it cannot. 0 or a positive errno. */
int source_reread(const char *path, struct source *ret_source);
/** If it is an .xz stream, replace it by what it holds. Returns an exit status; an error is reported. */
int source_decompress(struct cmd *cmd, struct source *source);
void source_free(struct source *source);

#endif /* CMD_SOURCE_H */
