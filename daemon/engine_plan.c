/* SPDX-License-Identifier: MIT */
/*
 * state.plan: what a script would do to the daemon's VMs, while nothing is done.
 *
 * The library plans on a copy of the whole session, so that what the script itself makes is there too. The answer has
 * the members that `panbind plan --json` prints of a device in its own process (cmd/plan_json.c).
 */
#include <errno.h>
#include <string.h>

#include "engine_script.h"

/* Units beyond that are counted and left out. */
#define ANSWER_BYTES (16u << 20)
/* Locks that are listed of a unit which has one for each 2 MiB of a sparse region. */
#define LOCKS_LISTED 64u

/** A plan on its way into an answer. */
struct planning {
	struct jw *out;
	bool cut, open; /* something was left out; a transaction is begun */
	struct panbind_plan_totals sum;
	uint64_t transactions;
};

static const char *type_name(enum panbind_op_type type)
{
	static const char *const names[] = {"map", "unmap", "sparse", "sync"};

	return names[type];
}

static void write_bo(struct jw *out, const struct panbind_event *event, const struct panbind_bo *bo)
{
	jw_string(out, "bo", bo ? panbind_session_bo_name(event->session, bo) : NULL);
}

static void write_op(struct jw *out, const struct panbind_event *event, const struct panbind_op *op)
{
	jw_string(out, "op", type_name(op->type));
	jw_hex(out, "va", op->va);
	jw_hex(out, "size", op->size);
	write_bo(out, event, op->bo);
	jw_hex(out, "offset", op->bo_offset);
	engine_write_map_flags(out, op->flags);
}

static void write_locks(struct jw *out, const struct panbind_event *event)
{
	uint64_t va, size;

	jw_array(out, "locks");
	for (uint32_t i = 0; i < LOCKS_LISTED && panbind_plan_lock(event->plan, event->index, i, &va, &size) == 0;
	     i++) {
		jw_range(out, va, size);
	}
	jw_array_end(out);
}

static void write_neighbours(struct jw *out, const struct panbind_event *event)
{
	size_t count;
	const struct panbind_mapping *neighbours = panbind_plan_neighbours(event->plan, event->index, &count);

	jw_array(out, "neighbour_list");
	for (size_t i = 0; i < count; i++) {
		jw_object(out, NULL);
		jw_hex(out, "va", neighbours[i].va);
		jw_hex(out, "size", neighbours[i].size);
		write_bo(out, event, neighbours[i].bo);
		jw_hex(out, "offset", neighbours[i].bo_offset);
		jw_bool(out, "sparse", neighbours[i].sparse);
		jw_object_end(out);
	}
	jw_array_end(out);
}

static void write_inverse(struct jw *out, const struct panbind_event *event)
{
	size_t count;
	const struct panbind_op *ops = panbind_plan_inverse(event->plan, event->index, &count);

	jw_array(out, "inverse");
	for (size_t i = 0; i < count; i++) {
		jw_object(out, NULL);
		write_op(out, event, &ops[i]);
		jw_object_end(out);
	}
	jw_array_end(out);
}

static void write_unit(struct jw *out, const struct panbind_event *event)
{
	const struct panbind_plan_unit *unit = event->unit;

	jw_object(out, NULL);
	write_op(out, event, &unit->op);
	jw_int(out, "first", unit->first);
	jw_int(out, "last", unit->last);
	jw_int(out, "count", unit->count);
	jw_int(out, "driver_ops", unit->driver_ops);
	jw_int(out, "replaces", unit->replaces);
	jw_hex(out, "lock_va", unit->lock_va);
	jw_hex(out, "lock_size", unit->lock_size);
	write_locks(out, event);
	jw_int(out, "neighbours", unit->neighbours);
	jw_hex(out, "neighbour_bytes", unit->neighbour_bytes);
	write_neighbours(out, event);
	jw_int(out, "splits", unit->splits);
	jw_int(out, "page_tables", (int64_t)unit->page_tables);
	jw_string(out, "atomic", engine_tristate_name(unit->atomic));
	if (unit->unknown_bytes)
		jw_hex(out, "unknown_bytes", unit->unknown_bytes);
	write_inverse(out, event);
	jw_object_end(out);
}

/* ---- Transactions ---- */

static void add_up(struct planning *planning, const struct panbind_plan_totals *totals)
{
	struct panbind_plan_totals *sum = &planning->sum;

	planning->transactions++;
	sum->ops += totals->ops;
	sum->dropped += totals->dropped;
	sum->units += totals->units;
	sum->atomic_units += totals->atomic_units;
	sum->driver_ops += totals->driver_ops;
	sum->splits += totals->splits;
	sum->page_tables += totals->page_tables;
	if (totals->page_tables_at_once > sum->page_tables_at_once)
		sum->page_tables_at_once = totals->page_tables_at_once;
}

static void begin_transaction(struct planning *planning, const struct panbind_event *event)
{
	const struct panbind_plan_totals *totals = panbind_plan_totals(event->plan);
	struct jw *out = planning->out;

	add_up(planning, totals);
	jw_object(out, NULL);
	jw_string(out, "vm", event->name);
	jw_string(out, "file", event->file ? event->file : "");
	jw_int(out, "line", event->line);
	jw_int(out, "ops", (int64_t)totals->ops);
	jw_int(out, "dropped", (int64_t)totals->dropped);
	jw_array(out, "units");
	planning->open = true;
}

static void end_transaction(struct planning *planning, enum panbind_guarantee guarantee)
{
	if (!planning->open)
		return;
	jw_array_end(planning->out);
	jw_string(planning->out, "guarantee", panbind_guarantee_name(guarantee));
	jw_object_end(planning->out);
	planning->open = false;
}

static void on_plan(struct planning *planning, const struct panbind_event *event)
{
	if (event->index == 0) {
		end_transaction(planning, PANBIND_GUARANTEE_RETURN); /* of several batches none promises more */
		begin_transaction(planning, event);
	}
	if (planning->out->len > ANSWER_BYTES)
		planning->cut = true;
	else
		write_unit(planning->out, event);
}

void engine_on_plan(struct planning *planning, const struct panbind_event *event)
{
	if (event->type == PANBIND_EVENT_PLAN)
		on_plan(planning, event);
	else if (event->type == PANBIND_EVENT_PLAN_END)
		end_transaction(planning, event->guarantee);
}

/* ---- The method ---- */

static void write_totals(const struct planning *planning)
{
	const struct panbind_plan_totals *sum = &planning->sum;
	struct jw *out = planning->out;

	jw_object(out, "totals");
	jw_int(out, "transactions", (int64_t)planning->transactions);
	jw_int(out, "ops", (int64_t)sum->ops);
	jw_int(out, "dropped", (int64_t)sum->dropped);
	jw_int(out, "units", (int64_t)sum->units);
	jw_int(out, "atomic_units", (int64_t)sum->atomic_units);
	jw_int(out, "driver_ops", (int64_t)sum->driver_ops);
	jw_int(out, "splits", (int64_t)sum->splits);
	jw_int(out, "page_tables", (int64_t)sum->page_tables);
	jw_int(out, "page_table_kib", (int64_t)sum->page_tables * (PANBIND_PAGE_SIZE / 1024));
	jw_int(out, "page_tables_at_once", (int64_t)sum->page_tables_at_once);
	jw_object_end(out);
}

static int run_plan(struct engine *engine, struct request *request, const struct panbind_script *script,
		    struct planning *planning)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int r;

	engine->planning = planning;
	r = panbind_session_run(engine->session, script, PANBIND_RUN_PLAN, NULL, &error);
	engine->planning = NULL;
	return r < 0 ? rpc_error_from_library(&request->error, &error, APPLIED_NONE) : 0;
}

int engine_state_plan(struct engine *engine, struct request *request)
{
	struct planning planning = {.out = &request->out};
	struct panbind_script *script = NULL;
	int r = engine_parse_script(request, &script);

	if (r != 0)
		return r;
	jw_object(&request->out, "result");
	jw_array(&request->out, "transactions");
	r = run_plan(engine, request, script, &planning);
	panbind_script_destroy(script);
	if (r != 0)
		return r;
	jw_array_end(&request->out);
	write_totals(&planning);
	jw_bool(&request->out, "cut", planning.cut);
	jw_object_end(&request->out);
	return 0;
}
