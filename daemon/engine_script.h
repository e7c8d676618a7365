/* SPDX-License-Identifier: MIT */
/*
 * Between engine_script.c (a script runs, and says things) and engine_script_record.c (what it changes is recorded).
 */
#ifndef PBD_ENGINE_SCRIPT_H
#define PBD_ENGINE_SCRIPT_H

#include "engine_private.h"
#include "record.h"

/** A script that runs. */
struct running {
	struct request *request;
	struct jw output, errors;
	bool cut;
	uint64_t kept_first, kept_last; /* entries of the transactions that stay, 0: none */
	struct record failures;		/* entries of those that failed: waited for at the end */
	bool failed, unclear;		/* some did; some left a VM that is not known, and no entry that says so */
};

void running_begin(struct running *running, struct engine *engine, struct request *request);
/** Wait for the entries of failures; record that there was nothing to record, if the call has a txn_id. */
int running_end(struct running *running, int result, struct panbind_error *reterr);

#endif /* PBD_ENGINE_SCRIPT_H */
