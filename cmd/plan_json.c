/* SPDX-License-Identifier: MIT */
/* A plan as JSON, from the events of a session in this process. panbindd's engine_plan.c writes the same. See plan.h.
 */
#include "plan.h"

/* Locks that are listed of a unit which has one for each 2 MiB of a sparse region. */
#define LOCKS_LISTED 64u

static const char *type_name(enum panbind_op_type type)
{
	static const char *const names[] = {"map", "unmap", "sparse", "sync"};

	return names[type];
}

static const char *tristate_name(enum panbind_tristate value)
{
	return value == PANBIND_YES ? "yes" : value == PANBIND_NO ? "no" : "unknown";
}

static json_t *bo_name(const struct panbind_event *event, const struct panbind_bo *bo)
{
	const char *name = bo ? panbind_session_bo_name(event->session, bo) : NULL;

	return name ? output_json_text(name) : json_null();
}

static json_t *op_json(const struct panbind_event *event, const struct panbind_op *op)
{
	json_t *json = json_object();

	json_object_set_new(json, "op", output_json_text(type_name(op->type)));
	json_object_set_new(json, "va", output_json_hex(op->va));
	json_object_set_new(json, "size", output_json_hex(op->size));
	json_object_set_new(json, "bo", bo_name(event, op->bo));
	json_object_set_new(json, "offset", output_json_hex(op->bo_offset));
	json_object_set_new(json, "flags", output_json_flags(op->flags));
	return json;
}

static json_t *locks_json(const struct panbind_event *event)
{
	json_t *array = json_array();
	uint64_t va, size;

	for (uint32_t i = 0; i < LOCKS_LISTED && panbind_plan_lock(event->plan, event->index, i, &va, &size) == 0; i++)
		json_array_append_new(array, json_pack("{s:o, s:o}", "va", output_json_hex(va), "size",
						       output_json_hex(size)));
	return array;
}

static json_t *neighbours_json(const struct panbind_event *event)
{
	json_t *array = json_array();
	size_t count;
	const struct panbind_mapping *neighbours = panbind_plan_neighbours(event->plan, event->index, &count);

	for (size_t i = 0; i < count; i++) {
		const struct panbind_mapping *mapping = &neighbours[i];

		json_array_append_new(array, json_pack("{s:o, s:o, s:o, s:o, s:b}", "va", output_json_hex(mapping->va),
						       "size", output_json_hex(mapping->size), "bo",
						       bo_name(event, mapping->bo), "offset",
						       output_json_hex(mapping->bo_offset), "sparse", mapping->sparse));
	}
	return array;
}

static json_t *inverse_json(const struct panbind_event *event)
{
	json_t *array = json_array();
	size_t count;
	const struct panbind_op *ops = panbind_plan_inverse(event->plan, event->index, &count);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, op_json(event, &ops[i]));
	return array;
}

static json_t *unit_json(const struct panbind_event *event)
{
	const struct panbind_plan_unit *unit = event->unit;
	json_t *json = op_json(event, &unit->op);

	json_object_set_new(json, "first", json_integer(unit->first));
	json_object_set_new(json, "last", json_integer(unit->last));
	json_object_set_new(json, "count", json_integer(unit->count));
	json_object_set_new(json, "driver_ops", json_integer(unit->driver_ops));
	json_object_set_new(json, "replaces", json_integer(unit->replaces));
	json_object_set_new(json, "lock_va", output_json_hex(unit->lock_va));
	json_object_set_new(json, "lock_size", output_json_hex(unit->lock_size));
	json_object_set_new(json, "locks", locks_json(event));
	json_object_set_new(json, "neighbours", json_integer(unit->neighbours));
	json_object_set_new(json, "neighbour_bytes", output_json_hex(unit->neighbour_bytes));
	json_object_set_new(json, "neighbour_list", neighbours_json(event));
	json_object_set_new(json, "splits", json_integer(unit->splits));
	json_object_set_new(json, "page_tables", json_integer((json_int_t)unit->page_tables));
	json_object_set_new(json, "atomic", output_json_text(tristate_name(unit->atomic)));
	if (unit->unknown_bytes)
		json_object_set_new(json, "unknown_bytes", output_json_hex(unit->unknown_bytes));
	json_object_set_new(json, "inverse", inverse_json(event));
	return json;
}

/* ---- Transactions ---- */

void plan_json_begin(struct plan_json *plan)
{
	static const char *const sums[] = {
		"transactions", "ops",	  "dropped",	 "units",	   "atomic_units",
		"driver_ops",	"splits", "page_tables", "page_table_kib", "page_tables_at_once"};

	*plan = (struct plan_json){.transactions = json_array(), .totals = json_object()};
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		json_object_set_new(plan->totals, sums[i], json_integer(0));
}

static void add_to(const struct plan_json *plan, const char *key, uint64_t value)
{
	json_t *sum = json_object_get(plan->totals, key);

	json_integer_set(sum, json_integer_value(sum) + (json_int_t)value);
}

static void add_totals(const struct plan_json *plan, const struct panbind_plan_totals *totals)
{
	json_t *most = json_object_get(plan->totals, "page_tables_at_once");

	add_to(plan, "transactions", 1);
	add_to(plan, "ops", totals->ops);
	add_to(plan, "dropped", totals->dropped);
	add_to(plan, "units", totals->units);
	add_to(plan, "atomic_units", totals->atomic_units);
	add_to(plan, "driver_ops", totals->driver_ops);
	add_to(plan, "splits", totals->splits);
	add_to(plan, "page_tables", totals->page_tables);
	add_to(plan, "page_table_kib", totals->page_tables * (PANBIND_PAGE_SIZE / 1024));
	if ((json_int_t)totals->page_tables_at_once > json_integer_value(most))
		json_integer_set(most, (json_int_t)totals->page_tables_at_once);
}

static void begin_transaction(struct plan_json *plan, const struct panbind_event *event)
{
	const struct panbind_plan_totals *totals = panbind_plan_totals(event->plan);

	plan->units = json_array();
	json_array_append_new(plan->transactions, json_pack("{s:s, s:o, s:i, s:I, s:I, s:o}", "vm", event->name, "file",
							    output_json_text(event->file ? event->file : ""), "line",
							    (int)event->line, "ops", (json_int_t)totals->ops, "dropped",
							    (json_int_t)totals->dropped, "units", plan->units));
	add_totals(plan, totals);
}

void plan_json_add(struct plan_json *plan, const struct panbind_event *event)
{
	if (event->type == PANBIND_EVENT_PLAN_END) {
		for (; plan->finished < json_array_size(plan->transactions); plan->finished++)
			json_object_set_new(json_array_get(plan->transactions, plan->finished), "guarantee",
					    output_json_text(panbind_guarantee_name(event->guarantee)));
		return;
	}
	if (event->index == 0)
		begin_transaction(plan, event);
	json_array_append_new(plan->units, unit_json(event));
}
