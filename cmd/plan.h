/* SPDX-License-Identifier: MIT */
/*
 * A plan as JSON, which is what a daemon answers, what a device in this process is made to give, and what is printed
 * either way; and the same as text for people.
 */
#ifndef CMD_PLAN_H
#define CMD_PLAN_H

#include <jansson.h>
#include <stdio.h>

#include "cmd.h"
#include "panbind.h"

/** A plan that grows event by event: `transactions` and `totals`, both owned by whoever began it. */
struct plan_json {
	json_t *transactions, *totals;
	json_t *units;	 /* of the transaction at hand */
	size_t finished; /* transactions whose guarantee is known */
};

void plan_json_begin(struct plan_json *plan);
/** Take a PANBIND_EVENT_PLAN or PANBIND_EVENT_PLAN_END. */
void plan_json_add(struct plan_json *plan, const struct panbind_event *event);

/** What to print besides the table. */
struct plan_view {
	const struct out *out;
	bool undo;   /* the ops that would put everything back, as a script */
	bool stalls; /* the neighbours in each lock region */
};

/** Print transactions and totals. */
void plan_text(const struct plan_view *view, const json_t *transactions, const json_t *totals);

#endif /* CMD_PLAN_H */
