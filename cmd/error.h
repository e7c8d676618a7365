/* SPDX-License-Identifier: MIT */
/*
 * How panbind(1) tells of errors: "FILE:LINE:COLUMN: error: TEXT [ENAME, op N, STAGE]" with the line and a caret below
 * on standard error, or, in JSON mode, one object in the document's "errors".
 */
#ifndef CMD_ERROR_H
#define CMD_ERROR_H

#include "cmd.h"
#include "panbind.h"

/** What a library error comes with. */
struct error_context {
	const char *line; /* the source line it stands in, or NULL; need not end in NUL */
	size_t line_size;
	bool has_outcome;
	enum panbind_outcome outcome;
	const char *message; /* instead of the error's own, which may be cut; or NULL */
	const char *pointer; /* JSON pointer to what a daemon refused, or NULL */
};

/** Report an error of the library. @context may be NULL. */
void error_report(struct cmd *cmd, const struct panbind_error *error, const struct error_context *context);

/** Report an error of our own, @code a negative errno, and return @status. */
int error_say(struct cmd *cmd, int status, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Say something useful on standard error, when -v was given at least @verbose times (-1: even with -q). */
void error_note(const struct cmd *cmd, int verbose, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** The exit status of a library error. */
int error_status(const struct panbind_error *error, enum panbind_outcome outcome);

/** The worse of two exit statuses: 4 is the worst, then 6, 5, 3, 2, 1, 0. */
int error_worse(int a, int b);

#endif /* CMD_ERROR_H */
