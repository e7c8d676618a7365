/* SPDX-License-Identifier: MIT */
/* A plan as tables. See plan.h. */
#include <inttypes.h>
#include <string.h>

#include "client.h"
#include "plan.h"

static const char *guarantee_text(const char *guarantee)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
		{"access", "atomic for any GPU access: one unit"},
		{"fenced", "atomic for fenced jobs: those that end before its wait and those that wait for its signal"},
		{"return", "all or nothing after return; until then the GPU sees unit by unit"},
		{"none", "taken or refused whole; then unit by unit, and a failure leaves the VM unusable"},
	};

	for (size_t i = 0; guarantee && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, guarantee) == 0)
			return texts[i].text;
	return "unknown";
}

/* "atlas", "atlas+0x1000", "-" */
static void bo_text(const json_t *op, char text[256])
{
	const char *name = client_text(op, "bo");
	uint64_t offset = client_number(op, "offset");

	snprintf(text, 256, name && offset ? "%.200s+0x%" PRIx64 : "%.200s", name ? name : "-", offset);
}

/* "3", "0-15", or "0-15 (4)" when others stand between them. */
static void ops_text(const json_t *unit, char text[2 * OUT_NUMBER])
{
	uint64_t first = client_number(unit, "first"), last = client_number(unit, "last");
	uint64_t count = client_number(unit, "count");

	if (first == last)
		snprintf(text, (size_t)2 * OUT_NUMBER, "%" PRIu64, first);
	else if (last - first + 1 == count)
		snprintf(text, (size_t)2 * OUT_NUMBER, "%" PRIu64 "-%" PRIu64, first, last);
	else
		snprintf(text, (size_t)2 * OUT_NUMBER, "%" PRIu64 "-%" PRIu64 " (%" PRIu64 ")", first, last, count);
}

static void width_text(const json_t *unit, char text[2 * OUT_NUMBER])
{
	char size[OUT_NUMBER];
	uint64_t locks = client_number(unit, "driver_ops");
	const json_t *first = json_array_get(json_object_get(unit, "locks"), 0);

	if (locks > 1) /* the first one is as wide as most */
		snprintf(text, (size_t)2 * OUT_NUMBER, "%" PRIu64 " x %s", locks,
			 output_size(size, client_number(first, "size")));
	else
		snprintf(text, (size_t)2 * OUT_NUMBER, "%s", output_size(size, client_number(unit, "lock_size")));
}

/* "2, 128 KiB": how many others the lock holds up, and how much of them. */
static void stalls_text(const json_t *unit, char text[2 * OUT_NUMBER])
{
	uint64_t count = client_number(unit, "neighbours");
	char size[OUT_NUMBER];

	if (count == 0)
		snprintf(text, (size_t)2 * OUT_NUMBER, "-");
	else
		snprintf(text, (size_t)2 * OUT_NUMBER, "%" PRIu64 "%s, %s", count,
			 count >= PANBIND_PLAN_NEIGHBOURS_MAX ? "+" : "",
			 output_size(size, client_number(unit, "neighbour_bytes")));
}

static const char *count_text(char text[OUT_NUMBER], uint64_t count)
{
	snprintf(text, OUT_NUMBER, "%" PRIu64, count);
	return text;
}

static void print_unit(struct table *table, const json_t *unit)
{
	char ops[2 * OUT_NUMBER], width[2 * OUT_NUMBER], stalls[2 * OUT_NUMBER], bo[256], va[OUT_NUMBER],
		size[OUT_NUMBER], replaces[OUT_NUMBER], lock[OUT_NUMBER], splits[OUT_NUMBER], tables[OUT_NUMBER];
	const char *atomic = client_text(unit, "atomic"), *op = client_text(unit, "op");

	ops_text(unit, ops);
	bo_text(unit, bo);
	width_text(unit, width);
	stalls_text(unit, stalls);
	table_row(table, (const char *[]){
				 ops,
				 op ? op : "?",
				 output_hex(va, client_number(unit, "va")),
				 output_size(size, client_number(unit, "size")),
				 bo,
				 count_text(replaces, client_number(unit, "replaces")),
				 output_hex(lock, client_number(unit, "lock_va")),
				 width,
				 stalls,
				 count_text(splits, client_number(unit, "splits")),
				 count_text(tables, client_number(unit, "page_tables")),
				 atomic ? atomic : "?",
			 });
}

/* ---- What stands below the table ---- */

static void print_neighbours(const json_t *unit)
{
	const json_t *list = json_object_get(unit, "neighbour_list"), *item;
	uint64_t count = client_number(unit, "neighbours");
	char ops[2 * OUT_NUMBER], size[OUT_NUMBER], bo[256];
	size_t i;

	if (!count)
		return;
	ops_text(unit, ops);
	printf("stalled by op %s:", ops);
	json_array_foreach (list, i, item) {
		bo_text(item, bo);
		printf("%s 0x%" PRIx64 " %s %s", i ? "," : "", client_number(item, "va"),
		       output_size(size, client_number(item, "size")),
		       json_is_true(json_object_get(item, "sparse")) ? "(sparse)" : bo);
	}
	if (count > json_array_size(list))
		printf("%s %" PRIu64 " more", i ? " and" : "", count - json_array_size(list));
	printf("\n");
}

static void print_unknown(const json_t *unit)
{
	uint64_t bytes = client_number(unit, "unknown_bytes");
	char ops[2 * OUT_NUMBER], size[OUT_NUMBER];

	if (bytes == 0)
		return;
	ops_text(unit, ops);
	printf("unknown: op %s displaces %s of which it is not known what they map: refused unless forced, and nothing "
	       "puts them back\n",
	       ops, output_size(size, bytes));
}

static void print_inverse(const char *vm, const json_t *op)
{
	const char *type = client_text(op, "op");
	const json_t *flags = json_object_get(op, "flags"), *flag;
	char bo[256];
	size_t i;

	printf("    %s %s 0x%" PRIx64 " 0x%" PRIx64, type && strcmp(type, "sparse") == 0 ? "sparse unbind" : type, vm,
	       client_number(op, "va"), client_number(op, "size"));
	if (client_text(op, "bo")) {
		bo_text(op, bo);
		printf(" %s", bo);
	}
	json_array_foreach (flags, i, flag)
		printf(" --%s", json_string_value(flag));
	printf("\n");
}

/* The last unit is undone first. */
static void print_undo(const json_t *transaction)
{
	const json_t *units = json_object_get(transaction, "units"), *op;
	size_t j;

	printf("undo:\n");
	for (size_t i = json_array_size(units); i-- > 0;)
		json_array_foreach (json_object_get(json_array_get(units, i), "inverse"), j, op)
			print_inverse(client_text(transaction, "vm"), op);
}

static void print_transaction(const struct plan_view *view, const json_t *transaction, size_t number)
{
	static const char *const heads[] = {"OPS",  "DO",    "VA",     "SIZE",	 "BO",	   "REPLACES",
					    "LOCK", "WIDTH", "STALLS", "SPLITS", "TABLES", "ATOMIC"};
	const json_t *units = json_object_get(transaction, "units"), *unit;
	const char *file = client_text(transaction, "file"), *vm = client_text(transaction, "vm");
	bool color = view->out->color_stdout;
	struct table table;
	size_t i;

	printf("%s%stransaction %zu on %s%s (%s:%" PRIu64 ")\n", number ? "\n" : "", output_paint(color, OUT_BOLD),
	       number + 1, vm, output_paint(color, OUT_PLAIN), file && *file ? file : "-",
	       client_number(transaction, "line"));
	if (table_begin(&table, 12, "rlrrlrrrrrrl", heads) == 0) {
		json_array_foreach (units, i, unit)
			print_unit(&table, unit);
		table_end(&table, stdout, color);
	}
	if (view->stalls)
		json_array_foreach (units, i, unit)
			print_neighbours(unit);
	json_array_foreach (units, i, unit)
		print_unknown(unit);
	if (view->undo)
		print_undo(transaction);
	printf("%s\n", guarantee_text(client_text(transaction, "guarantee")));
}

void plan_text(const struct plan_view *view, const json_t *transactions, const json_t *totals)
{
	uint64_t count = client_number(totals, "transactions"), dropped = client_number(totals, "dropped");
	uint64_t splits = client_number(totals, "splits");
	const json_t *transaction;
	char size[OUT_NUMBER];
	size_t i;

	json_array_foreach (transactions, i, transaction)
		print_transaction(view, transaction, i);
	printf("%s%" PRIu64 " ops in %" PRIu64 " transaction%s: %" PRIu64 " after merging", count ? "\n" : "",
	       client_number(totals, "ops"), count, count == 1 ? "" : "s", client_number(totals, "units"));
	if (dropped)
		printf(" (%" PRIu64 " overwritten)", dropped);
	printf(", %" PRIu64 " of them atomic for the GPU; %" PRIu64 " ops for the driver\n",
	       client_number(totals, "atomic_units"), client_number(totals, "driver_ops"));
	printf("%" PRIu64 " page tables set aside (%s, at most %" PRIu64 " at once when synchronous), %" PRIu64
	       " page%s of 2 MiB cut\n",
	       client_number(totals, "page_tables"), output_size(size, client_number(totals, "page_table_kib") * 1024),
	       client_number(totals, "page_tables_at_once"), splits, splits == 1 ? "" : "s");
}
