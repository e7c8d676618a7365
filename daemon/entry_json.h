/* SPDX-License-Identifier: MIT */
/* An entry of the log as JSON: what monitor.event and journal.show send. */
#ifndef PBD_ENTRY_JSON_H
#define PBD_ENTRY_JSON_H

#include "jw.h"
#include "panbind-log.h"

void entry_write(struct jw *jw, const char *key, const struct panbind_log_entry *entry);
/** How it failed: result, stage, failing_op, line and message of an entry whose result is not 0. */
void entry_write_error(struct jw *jw, const char *key, const struct panbind_log_entry *entry);

#endif /* PBD_ENTRY_JSON_H */
