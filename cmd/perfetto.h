/* SPDX-License-Identifier: MIT */
/*
 * Entries of a log, or calls of a trace, as a Chrome trace (JSON), which ui.perfetto.dev and chrome://tracing open:
 *
 *  - a slice for each entry, on its process and thread, with what it did and what came of it in its arguments;
 *  - an asynchronous slice from a bind to the moment at which a wait that succeeded had seen its fence;
 *  - an arrow from who signals a syncobj to who waits for it;
 *  - a counter for each VM, the bytes of BOs that are mapped.
 *
 * Times are microseconds since the first entry, which is when otherData says. 64-bit numbers are hex strings.
 */
#ifndef CMD_PERFETTO_H
#define CMD_PERFETTO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "panbind-log.h"

struct perfetto;

/** Begin to write to @stream. @source is what it was made of. -ENOMEM. */
int perfetto_create(FILE *stream, const char *source, struct perfetto **ret_perfetto);
/** Write the end of it and free it. */
void perfetto_destroy(struct perfetto *perfetto);
/** The state that a log begins with, before its entries. 0 or -ENOMEM. */
int perfetto_state(struct perfetto *perfetto, const struct panbind_log_state *state);
/** An entry, which was over at its time and began its latency before that. @tid: 0 not known. 0 or -ENOMEM. */
int perfetto_entry(struct perfetto *perfetto, const struct panbind_log_entry *entry, int32_t tid);

/** A call that is no entry, such as a wait. */
struct perfetto_call {
	const char *name;
	int32_t pid, tid;
	uint64_t start_ns, duration_ns;
	json_t *args;	   /* taken over; may be NULL */
	const char *waits; /* "NAME[:POINT] ..." of syncobjs that it waited for; NULL: none */
	bool seen;	   /* all of them were signalled when it was over */
};
int perfetto_call(struct perfetto *perfetto, const struct perfetto_call *call);

/** A line over the whole picture. */
int perfetto_mark(struct perfetto *perfetto, const char *text, uint64_t ns);

#endif /* CMD_PERFETTO_H */
