/* SPDX-License-Identifier: MIT */
/*
 * Between engine_script.c (a script runs, and says things), engine_script_record.c (what it changes is recorded) and
 * engine_plan.c (it is only planned).
 */
#ifndef PBD_ENGINE_SCRIPT_H
#define PBD_ENGINE_SCRIPT_H

#include "engine_private.h"
#include "engine_state.h"
#include "record.h"

/** A script that runs. */
struct running {
	struct request *request;
	struct jw output, errors;
	bool cut;
	uint64_t kept_first, kept_last; /* entries of the transactions that stay, 0: none */
	uint64_t transactions;		/* how many do */
	bool parts, begun;		/* it is several under one txn_id; the log has an entry that claims it */
	bool own_text;			/* what runs is the call's own text: its lines mean something to the client */
	uint64_t began_ns;
	struct record failures; /* entries of those that failed: waited for at the end */
	engine_more_fn *more;	/* members before those of the result; NULL: none */
	void *more_data;
	bool failed, unclear; /* some did; some left a VM that is not known, and no entry that says so */
	bool is_ops;	      /* the call was a list of ops: of the result it hears what such calls hear */
	char lost_vm[129];    /* by a fenced bind that failed; empty: none */
};

/** Parse the text of a call. 0, or the error's code. */
int engine_parse_script(struct request *request, struct panbind_script **ret_script);
/** A unit, or the end, of the plan that is made. engine_plan.c. */
void engine_on_plan(struct planning *planning, const struct panbind_event *event);

void running_begin(struct running *running, struct engine *engine, struct request *request);
/**
 * Wait for the entries of failures; record the end of several transactions under one txn_id, or that there was nothing
 * to record. @outcome: of all of it. Returns @result, or why that was not recorded.
 */
int running_end(struct running *running, int result, enum panbind_outcome outcome, struct panbind_error *reterr);

#endif /* PBD_ENGINE_SCRIPT_H */
