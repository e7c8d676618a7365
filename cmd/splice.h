/* SPDX-License-Identifier: MIT */
/*
 * A script with its included files put in place of the `include` lines, for a daemon, which reads no files of ours; and
 * the way back, from a line of the whole to the file and line that a person wrote.
 */
#ifndef CMD_SPLICE_H
#define CMD_SPLICE_H

#include "source.h"

struct splice_line {
	size_t file;
	uint32_t line, column; /* where its first byte stands, column from 0 */
};

struct splice {
	char *text;
	size_t size, room;
	struct splice_line *lines;
	size_t line_count, line_room;
	char **files;
	size_t file_count;
	bool failed; /* out of memory */
};

/** Put a script together that has been parsed without an error. Returns an exit status; an error is reported. */
int splice_script(struct cmd *cmd, const struct source *source, struct splice *ret_splice);
void splice_free(struct splice *splice);

/** The place of a line and column of the whole, and its text (no newline). False: there is no such line. */
bool splice_find(const struct splice *splice, uint32_t line, uint32_t column, const char **ret_file, uint32_t *ret_line,
		 uint32_t *ret_column, const char **ret_text, size_t *ret_size);

#endif /* CMD_SPLICE_H */
