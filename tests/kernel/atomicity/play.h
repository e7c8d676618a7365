/* SPDX-License-Identifier: MIT */
/* One case on one subject: what happened, how it reads in the document, and what is wrong with it. */
#ifndef ATOMICITY_PLAY_H
#define ATOMICITY_PLAY_H

#include <stdio.h>

#include "subject.h"

void play(struct subject *subject, const struct remap_case *remap, struct record *ret_record);

/** The rows of the document, one a line: "CASE<TAB>ROW<TAB>CELL". */
void print_rows(FILE *out, const struct remap_case *remap, const struct record *record);

/**
 * What a case must come to on a driver with atomic updates, or on one without.
 *
 * @ret_reason: a sentence on the first thing that is wrong. Returns true when nothing is.
 */
bool judge(const struct subject *subject, const struct remap_case *remap, const struct record *record, char *ret_reason,
	   size_t room);

/** Is what panbind's plan says of the case's ops what the driver locked? As judge(). Only with atomic updates. */
bool judge_plan(const char *spec, const struct subject *subject, const struct remap_case *remap,
		const struct record *record, char *ret_reason, size_t room);

#endif /* ATOMICITY_PLAY_H */
