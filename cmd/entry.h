/* SPDX-License-Identifier: MIT */
/*
 * Entries of the log as text and as JSON. The JSON is what the daemon's monitor sends; `log export` writes it and
 * `log import` reads it back without a loss.
 */
#ifndef CMD_ENTRY_H
#define CMD_ENTRY_H

#include <jansson.h>

#include "cmd.h"
#include "panbind-log.h"

/** Print an entry: one line, with ops as a script has them, on lines of their own if there are several. */
void entry_print(const struct cmd *cmd, const struct panbind_log_entry *entry);
/** One op as a script command, without a newline. */
void entry_print_op(const struct panbind_log_op *op);
/** "2026-11-22 21:50:09.123456", local. Returns @text. */
const char *entry_time(int64_t time_ns, char text[OUT_NUMBER + 16]);
/** Text that came from a client, for a terminal: control characters become '?'. */
void entry_put_text(const char *text);

/* ---- entry_json.c ---- */

json_t *entry_json(const struct panbind_log_entry *entry);
json_t *entry_json_ref(const struct panbind_log_ref *ref);
/** Write an object as one line to standard output; it is consumed. */
void entry_json_line(json_t *json);

/* ---- entry_read.c ---- */

/** An entry from JSON. Its strings belong to @json, its ops to the reader: zeroed at first, one reader for many
 * entries. */
struct entry_reader {
	struct panbind_log_entry entry;
	struct panbind_log_op *ops;
	size_t op_room;
	char error[160]; /* what is wrong with it */
};
/** 0 or a negative errno, with a sentence in reader->error. */
int entry_read(struct entry_reader *reader, const json_t *json);
void entry_reader_free(struct entry_reader *reader);
/** A ref member; -EINVAL when it is not one, 0 with a name of NULL when it is not there. */
int entry_read_ref(const json_t *object, const char *key, struct panbind_log_ref *ret_ref);
/** The PANBIND_MAP_* of an array of names. */
uint32_t entry_map_flags(const json_t *flags);

#endif /* CMD_ENTRY_H */
