/* SPDX-License-Identifier: MIT */
/* Differences of two states, as a table and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "state_source.h"

/* ---- Table ---- */

struct side_text {
	char text[300];
};

static const char *flags_suffix(uint32_t flags, char text[OUT_NUMBER + 2])
{
	char names[OUT_NUMBER];

	snprintf(text, OUT_NUMBER + 2, " %s", flags ? output_flags(names, flags) : "");
	return flags ? text : "";
}

static bool same_name(const struct panbind_state_side *a, const struct panbind_state_side *b)
{
	return a->bo && b->bo && a->bo->name && b->bo->name && strcmp(a->bo->name, b->bo->name) == 0;
}

/* @other: tells whether a name alone would mislead. */
static const char *side_text(const struct panbind_state_side *side, const struct panbind_state_side *other,
			     struct side_text *text)
{
	char flags[OUT_NUMBER + 2], generation[OUT_NUMBER] = "";

	if (side->backing == PANBIND_BACKING_NONE)
		return "-";
	if (side->backing == PANBIND_BACKING_SPARSE)
		return "(sparse)";
	if (side->bo->generation && (side->bo->nameless || (same_name(side, other) && other->bo->generation &&
							    side->bo->generation != other->bo->generation)))
		snprintf(generation, sizeof(generation), "#%" PRIu64, side->bo->generation);
	snprintf(text->text, sizeof(text->text), "%.128s%s+0x%" PRIx64 "%s%s",
		 side->bo->name ? side->bo->name : "(unnamed)", generation, side->bo_offset,
		 flags_suffix(side->flags, flags), side->bo->nameless ? " (gone)" : "");
	return text->text;
}

static const char *change_of(const struct panbind_state_difference *item)
{
	if (item->from.backing == PANBIND_BACKING_NONE)
		return "+";
	return item->to.backing == PANBIND_BACKING_NONE ? "-" : "~";
}

static void table_bo(struct table *table, const struct panbind_state_difference *item)
{
	char from[OUT_NUMBER], to[OUT_NUMBER], name[160];

	snprintf(name, sizeof(name), "BO %.128s", item->from.bo->name ? item->from.bo->name : "(unnamed)");
	table_row(table, (const char *[]){"~", name, "", output_size(from, item->from.bo->size),
					  output_size(to, item->to.bo->size)});
}

static void table_item(struct table *table, const struct panbind_state_difference *item)
{
	struct side_text from, to;
	char va[OUT_NUMBER], size[OUT_NUMBER];
	const char *was, *is;

	if (item->type == PANBIND_DIFFERENCE_BO) {
		table_bo(table, item);
		return;
	}
	was = side_text(&item->from, &item->to, &from);
	is = side_text(&item->to, &item->from, &to);
	if (item->type == PANBIND_DIFFERENCE_REGION) {
		was = item->from.backing == PANBIND_BACKING_NONE ? "-" : "sparse region";
		is = item->to.backing == PANBIND_BACKING_NONE ? "-" : "sparse region";
	} else if (item->anew && item->from.backing == item->to.backing) {
		is = "(hole)";
	}
	table_row(table,
		  (const char *[]){change_of(item), output_hex(va, item->va), output_size(size, item->size), was, is});
}

static void print_diff(const struct cmd *cmd, const struct panbind_state_diff *diff)
{
	static const char *const heads[] = {"", "VA", "SIZE", "FROM", "TO"};
	size_t count = panbind_state_diff_count(diff);
	struct table table;

	if (!count || table_begin(&table, 5, "lrrll", heads))
		return;
	for (size_t i = 0; i < count; i++)
		table_item(&table, panbind_state_diff_at(diff, i));
	table_end(&table, stdout, cmd->out.color_stdout);
	error_note(cmd, 1, "%zu difference%s, %zu op%s from the first to the second", count, count == 1 ? "" : "s",
		   panbind_state_diff_op_count(diff), panbind_state_diff_op_count(diff) == 1 ? "" : "s");
}

/* ---- JSON: as state.diff answers ---- */

static json_t *side_json(const struct panbind_state_side *side)
{
	json_t *json;

	if (side->backing == PANBIND_BACKING_NONE)
		return json_null();
	json = json_pack("{s:b}", "sparse", side->backing == PANBIND_BACKING_SPARSE);
	if (side->backing == PANBIND_BACKING_SPARSE)
		return json;
	json_object_set_new(json, "bo", side->bo->name ? output_json_text(side->bo->name) : json_null());
	if (side->bo->generation)
		json_object_set_new(json, "generation", json_integer((json_int_t)side->bo->generation));
	if (side->bo->nameless)
		json_object_set_new(json, "nameless", json_true());
	json_object_set_new(json, "bo_size", output_json_hex(side->bo->size));
	json_object_set_new(json, "bo_offset", output_json_hex(side->bo_offset));
	json_object_set_new(json, "flags", output_json_flags(side->flags));
	return json;
}

static json_t *item_json(const struct panbind_state_difference *item)
{
	static const char *const types[] = {"range", "region", "bo"};
	json_t *json = json_pack("{s:s, s:s}", "change", change_of(item), "type", types[item->type]);

	if (item->type != PANBIND_DIFFERENCE_BO) {
		json_object_set_new(json, "va", output_json_hex(item->va));
		json_object_set_new(json, "size", output_json_hex(item->size));
	}
	json_object_set_new(json, "from", side_json(&item->from));
	json_object_set_new(json, "to", side_json(&item->to));
	if (item->anew)
		json_object_set_new(json, "anew", json_true());
	return json;
}

void state_show_diff(const struct cmd *cmd, const struct panbind_state_diff *diff)
{
	json_t *items;
	size_t count = panbind_state_diff_count(diff);

	if (!cmd->out.json) {
		print_diff(cmd, diff);
		return;
	}
	items = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(items, item_json(panbind_state_diff_at(diff, i)));
	json_object_set_new(cmd->out.doc, "same", json_boolean(count == 0));
	json_object_set_new(cmd->out.doc, "count", json_integer((json_int_t)count));
	json_object_set_new(cmd->out.doc, "ops", json_integer((json_int_t)panbind_state_diff_op_count(diff)));
	json_object_set_new(cmd->out.doc, "differences", items);
}

int state_compare(struct cmd *cmd, const struct panbind_state *from, const struct panbind_state *to)
{
	struct panbind_state_diff *diff = NULL;
	int r = panbind_state_diff(from, to, &diff);
	int status;

	if (r < 0)
		return error_say(cmd, CMD_USAGE, r, "the states cannot be compared: %s", strerror(-r));
	state_show_diff(cmd, diff);
	status = panbind_state_diff_count(diff) ? CMD_FAILED : CMD_DONE;
	panbind_state_diff_destroy(diff);
	return status;
}
