/* SPDX-License-Identifier: MIT */
/* From what the recorder hands on to entries of a log: events to calls (call.h), calls to entries (call_log.h). */
#ifndef CMD_RECORD_CALLS_H
#define CMD_RECORD_CALLS_H

#include "call_log.h"
#include "recorder.h"

struct record_calls;

/** @options: emit and data. */
int record_calls_create(const struct call_log_options *options, struct record_calls **ret_calls);
void record_calls_destroy(struct record_calls *calls);
/** The entry that everything begins with. @argv: the command; borrowed until the end. */
int record_calls_start(struct record_calls *calls, const char *argv, struct panbind_error *reterr);
/** As struct recorder_sink has it. */
int record_calls_add(struct record_calls *calls, const struct record_process *process, const struct record_file *file,
		     const struct record_event *event, struct panbind_error *reterr);
/** Something about the recording itself. */
int record_calls_note(struct record_calls *calls, const char *text, struct panbind_error *reterr);

#endif /* CMD_RECORD_CALLS_H */
