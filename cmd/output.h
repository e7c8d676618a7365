/* SPDX-License-Identifier: MIT */
/*
 * How panbind(1) writes: text with aligned columns, or one JSON document, with colour where it is wanted.
 *
 * In JSON mode standard output carries exactly one object:
 *
 *   { "schema": 1, "command": VERB, "status": EXIT STATUS, ..., "errors": [...] }
 *
 * The verb fills out.json with its own members while it works; output_end() adds the common ones and writes it. So
 * that a document is always there, also after a failure, a verb never prints JSON itself; but for those whose output
 * is a stream of objects, which set out.lines.
 */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "panbind.h"

enum out_color { OUT_COLOR_AUTO = 0, OUT_COLOR_ALWAYS, OUT_COLOR_NEVER };

struct out {
	bool json, pretty;
	bool lines; /* the verb writes JSON objects itself, one a line as they come: no document, errors are text */
	enum out_color color;
	bool color_stdout, color_stderr, utf8; /* decided by output_begin() */
	unsigned width;			       /* of the terminal, in columns */
	json_t *doc, *errors;		       /* in JSON mode */
};

void output_begin(struct out *out);
/** Write the JSON document, if that is the mode. Returns @status, or 1 when standard output failed. */
int output_end(struct out *out, const char *verb, int status);
/** At exit, also from argp: a full disk or a closed pipe behind stdout is status 1, never silence. */
void output_close_stdout(void);

/* ---- Colour ---- */

enum out_paint { OUT_PLAIN = 0, OUT_BOLD, OUT_DIM, OUT_RED, OUT_GREEN, OUT_YELLOW, OUT_CYAN };
/** The escape sequence, or "" when @on is false. */
const char *output_paint(bool on, enum out_paint paint);

/* ---- Numbers ---- */

#define OUT_NUMBER 32
/** "64 KiB", "1.5 MiB": exact where it can be said in one decimal, else "~1.3 GiB". Returns @buffer. */
const char *output_size(char buffer[OUT_NUMBER], uint64_t bytes);

/** yes, no or unknown. */
const char *output_tristate(enum panbind_tristate value);

/** "0x10000", as JSON strings and columns have it. Returns @buffer. */
const char *output_hex(char buffer[OUT_NUMBER], uint64_t value);
/** A text that came from outside as a JSON string: what is not UTF-8 in it becomes U+FFFD, so nothing is lost whole. */
json_t *output_json_text(const char *text);
/** An address or size as a JSON string. */
json_t *output_json_hex(uint64_t value);
/** "readonly,noexec,uncached", or "-". Returns @buffer. */
const char *output_flags(char buffer[OUT_NUMBER], uint32_t flags);
json_t *output_json_flags(uint32_t flags);

/* ---- Tables ---- */

#define OUT_COLUMNS 64

/** Rows gathered, then printed with every column as wide as its widest cell. */
struct table {
	size_t columns, rows, room;
	const char *right; /* one character a column: 'r' is aligned right, anything else left */
	char **cells;
};

/** @heads: @columns titles. */
int table_begin(struct table *table, size_t columns, const char *right, const char *const *heads);
/** One row: @columns strings, copied. */
int table_row(struct table *table, const char *const *cells);
/** Print and free. The first row is the heads. */
void table_end(struct table *table, FILE *stream, bool color);

/** Columns that a UTF-8 string takes on a terminal, one for each code point. */
size_t output_columns(const char *text);

#endif /* CMD_OUTPUT_H */
