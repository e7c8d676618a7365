/* SPDX-License-Identifier: MIT */
/* `panbind vm verify`: what panbind believes against what the driver has. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "order.h"

static void print_side(const char *who, const json_t *side)
{
	const char *bo = client_text(side, "bo");
	json_t *flag;
	size_t i;

	if (!json_is_object(side))
		printf("  %s: nothing", who);
	else if (json_is_true(json_object_get(side, "sparse")))
		printf("  %s: sparse", who);
	else
		printf("  %s: %s+0x%" PRIx64, who, bo ? bo : "(unnamed)", client_number(side, "bo_offset"));
	json_array_foreach (json_object_get(side, "flags"), i, flag)
		printf(" %s", json_string_value(flag));
}

static void print(const json_t *result)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(result, "differences"), i, item) {
		printf("0x%" PRIx64 " 0x%" PRIx64, client_number(item, "va"), client_number(item, "size"));
		print_side("shadow", json_object_get(item, "shadow"));
		print_side("driver", json_object_get(item, "driver"));
		printf("\n");
	}
}

int order_show_verified(struct order *order, json_t *result)
{
	const char *verdict = client_text(result, "verdict"), *name = order->words[0],
		   *why = client_text(result, "why");
	uint64_t count = client_number(result, "count");

	if (order->cmd->out.json)
		json_object_set(order->cmd->out.doc, "result", result);
	else
		print(result);
	if (verdict && strcmp(verdict, "same") == 0) {
		error_note(order->cmd, 1, "%s is as the driver has it (%s)", name, client_text(result, "source"));
		return CMD_DONE;
	}
	if (verdict && strcmp(verdict, "different") == 0)
		return error_say(order->cmd, CMD_FAILED, -EUCLEAN,
				 "%s is not as the driver has it: %" PRIu64 " range%s, 0x%" PRIx64 " bytes", name,
				 count, count == 1 ? "" : "s", client_number(result, "different_bytes"));
	return error_say(order->cmd, CMD_PARTIAL, -ENODATA, "there is no truth to compare %s with: %s", name,
			 why ? why : "the daemon does not say why");
}
