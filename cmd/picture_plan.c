/* SPDX-License-Identifier: MIT */
/*
 * Pictures of plans: each transaction's VM before it, and over it what the transaction locks. A VM that is empty then
 * is shown as it is afterwards. See picture.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"
#include "picture.h"

/* Transactions that are drawn, and locks of one unit. */
#define PICTURES 12u
#define LOCKS	 64u

static void say_transaction(char text[160], const char *file, uint64_t line)
{
	snprintf(text, 160, "before the transaction at %.100s:%" PRIu64, file && *file ? file : "-", line);
}

static void say_ops(char text[64], uint64_t first, uint64_t last)
{
	if (first == last)
		snprintf(text, 64, "op %" PRIu64, first);
	else
		snprintf(text, 64, "ops %" PRIu64 "-%" PRIu64, first, last);
}

static void begin_plan(struct picture *picture, const struct panbind_event *event)
{
	char text[160];

	say_transaction(text, event->file, event->line);
	picture_take(picture, event->name, text, event->vm, event->session);
	picture->later = panbind_vm_mapping_count(event->vm) == 0 ? event->vm : NULL;
	picture->later_names = event->session;
}

static void end_plan(struct picture *picture)
{
	if (picture->later)
		picture_retake(picture, "after its first transaction", picture->later, picture->later_names);
	picture->later = NULL;
}

void picture_plan_event(struct picture *picture, const struct panbind_event *event)
{
	const struct panbind_plan_unit *unit = event->unit;
	uint64_t va, size;
	char text[64];

	if (event->type == PANBIND_EVENT_PLAN_END)
		end_plan(picture);
	if (event->type != PANBIND_EVENT_PLAN || (event->index == 0 && picture->count >= PICTURES))
		return;
	if (event->index == 0)
		begin_plan(picture, event);
	say_ops(text, unit->first, unit->last);
	for (uint32_t i = 0; i < LOCKS && panbind_plan_lock(event->plan, event->index, i, &va, &size) == 0; i++)
		picture_lock(picture, va, size, text);
}

static void lock_units(struct picture *picture, const json_t *units)
{
	const json_t *unit, *lock;
	char text[64];
	size_t i, j;

	json_array_foreach (units, i, unit) {
		say_ops(text, client_number(unit, "first"), client_number(unit, "last"));
		json_array_foreach (json_object_get(unit, "locks"), j, lock)
			picture_lock(picture, client_number(lock, "va"), client_number(lock, "size"), text);
	}
}

int picture_plan_remote(struct picture *picture, struct client *client, const json_t *transactions)
{
	const json_t *transaction;
	int status = CMD_DONE;
	size_t i;

	json_array_foreach (transactions, i, transaction) {
		const char *name = client_text(transaction, "vm");
		char text[160];
		json_t *vm;

		if (status || picture->count >= PICTURES)
			break;
		if (!remote_has_vm(client, name ? name : ""))
			continue; /* the script makes it: there is nothing to be drawn yet */
		status = remote_fetch_vm(client, name, &vm);
		if (status)
			break;
		say_transaction(text, client_text(transaction, "file"), client_number(transaction, "line"));
		picture_take_remote(picture, client, vm, text);
		json_decref(vm);
		lock_units(picture, json_object_get(transaction, "units"));
	}
	return status;
}
