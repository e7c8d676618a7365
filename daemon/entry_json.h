/* SPDX-License-Identifier: MIT */
/* An entry of the log as JSON: what monitor.event and journal.show send. */
#ifndef PBD_ENTRY_JSON_H
#define PBD_ENTRY_JSON_H

#include "jw.h"
#include "panbind-log.h"

void entry_write(struct jw *jw, const char *key, const struct panbind_log_entry *entry);

#endif /* PBD_ENTRY_JSON_H */
