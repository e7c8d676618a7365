/* SPDX-License-Identifier: MIT */
/*
 * What the daemon tells, shown as the same things are shown when they live in this process.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "error.h"
#include "order.h"
#include "picture.h"
#include "show.h"

/* ---- Lists ---- */

static const char *text_or(const json_t *object, const char *key, const char *instead)
{
	const char *text = client_text(object, key);

	return text ? text : instead;
}

static void integer_text(const json_t *object, const char *key, char text[OUT_NUMBER])
{
	snprintf(text, OUT_NUMBER, "%" PRIu64, client_number(object, key));
}

static void flags_text(const json_t *flags, char text[OUT_NUMBER])
{
	size_t used = 0, i;
	json_t *flag;

	snprintf(text, OUT_NUMBER, "-");
	json_array_foreach (flags, i, flag)
		if (used < OUT_NUMBER && json_is_string(flag))
			used += (size_t)snprintf(text + used, OUT_NUMBER - used, "%s%s", used ? "," : "",
						 json_string_value(flag));
}

/* "unusable", "unusable, 40% rebuilt" */
static const char *state_text(const json_t *vm, char text[2 * OUT_NUMBER])
{
	const json_t *rebuilding = json_object_get(vm, "rebuilding");
	uint64_t done = client_number(rebuilding, "done"), ops = client_number(rebuilding, "ops");
	const char *state = text_or(vm, "state", "?");

	if (rebuilding)
		snprintf(text, 2 * OUT_NUMBER, "%.24s, %d%% rebuilt", state,
			 ops ? (int)(100.0 * (double)done / (double)ops) : 0);
	else
		snprintf(text, 2 * OUT_NUMBER, "%.24s", state);
	return text;
}

/* "process 4711, 64 KiB unknown" */
static void program_text(const json_t *vm, char text[OUT_NUMBER])
{
	const json_t *program = json_object_get(vm, "program");
	uint64_t unknown = client_number(vm, "unknown");
	char size[OUT_NUMBER];

	snprintf(text, OUT_NUMBER, "-");
	if (program)
		snprintf(text, OUT_NUMBER, "%" PRIu64 "%s%s%s", client_number(program, "pid"), unknown ? ", " : "",
			 unknown ? output_size(size, unknown) : "", unknown ? " unknown" : "");
}

int order_show_vms(struct order *order, json_t *result)
{
	static const char *const heads[] = {"NAME",	"GENERATION",	  "STATE",  "ADDRESSES",
					    "MAPPINGS", "MAP GENERATION", "PROGRAM"};
	json_t *vms = json_object_get(result, "vms"), *vm;
	struct table table;
	size_t i, columns = 6;

	if (order->cmd->out.json) {
		json_object_set(order->cmd->out.doc, "vms", vms);
		return CMD_DONE;
	}
	json_array_foreach (vms, i, vm)
		if (json_object_get(vm, "program"))
			columns = 7;
	if (!json_array_size(vms) || table_begin(&table, columns, "lrlrrrl", heads))
		return CMD_DONE;
	json_array_foreach (vms, i, vm) {
		char generation[OUT_NUMBER], range[OUT_NUMBER], mappings[OUT_NUMBER], changed[OUT_NUMBER];
		char program[OUT_NUMBER], state[2 * OUT_NUMBER];

		program_text(vm, program);
		integer_text(vm, "generation", generation);
		integer_text(vm, "mappings", mappings);
		integer_text(vm, "map_generation", changed);
		table_row(&table, (const char *[]){text_or(vm, "name", "?"), generation, state_text(vm, state),
						   output_size(range, client_number(vm, "va_range")), mappings, changed,
						   program});
	}
	table_end(&table, stdout, order->cmd->out.color_stdout);
	return CMD_DONE;
}

int order_show_bos(struct order *order, json_t *result)
{
	static const char *const heads[] = {"NAME", "GENERATION", "SIZE", "FLAGS", "ONLY IN"};
	json_t *bos = json_object_get(result, "bos"), *bo;
	struct table table;
	size_t i;

	if (order->cmd->out.json) {
		json_object_set(order->cmd->out.doc, "bos", bos);
		return CMD_DONE;
	}
	if (!json_array_size(bos) || table_begin(&table, 5, "lrrll", heads))
		return CMD_DONE;
	json_array_foreach (bos, i, bo) {
		char generation[OUT_NUMBER], size[OUT_NUMBER], flags[OUT_NUMBER];

		integer_text(bo, "generation", generation);
		flags_text(json_object_get(bo, "flags"), flags);
		table_row(&table, (const char *[]){text_or(bo, "name", "?"), generation,
						   output_size(size, client_number(bo, "size")), flags,
						   text_or(bo, "vm", "-")});
	}
	table_end(&table, stdout, order->cmd->out.color_stdout);
	return CMD_DONE;
}

int order_show_change(struct order *order, json_t *result)
{
	json_t *destroyed = json_object_get(result, "destroyed"), *ops = json_object_get(result, "ops");

	if (order->cmd->out.json)
		json_object_set(order->cmd->out.doc, "result", result);
	else if (json_is_false(destroyed))
		error_note(order->cmd, 1, "there was none");
	else if (json_is_false(json_object_get(result, "created")) ||
		 (json_is_integer(ops) && !json_integer_value(ops)))
		error_note(order->cmd, 1, "it is so already");
	else if (json_object_get(result, "seq"))
		error_note(order->cmd, 1, "recorded as entry %" PRIu64, client_number(result, "seq"));
	return CMD_DONE;
}

int order_show_rebuilt(struct order *order, json_t *result)
{
	json_t *lost = json_object_get(result, "lost"), *item;
	char size[OUT_NUMBER];
	size_t i;

	if (order->cmd->out.json) {
		json_object_set(order->cmd->out.doc, "result", result);
		return json_array_size(lost) ? CMD_PARTIAL : CMD_DONE;
	}
	printf("vm %s: generation %" PRIu64 ", %" PRIu64 " mappings, %" PRIu64 " ops\n", text_or(result, "name", "?"),
	       client_number(result, "generation"), client_number(result, "mappings"), client_number(result, "ops"));
	json_array_foreach (lost, i, item)
		printf("  lost: 0x%" PRIx64 " 0x%" PRIx64 " %s+0x%" PRIx64 ": %s\n", client_number(item, "va"),
		       client_number(item, "size"), text_or(item, "bo", "(unnamed)"), client_number(item, "bo_offset"),
		       text_or(item, "reason", "?"));
	if (json_array_size(lost))
		printf("  %s could not be brought back\n", output_size(size, client_number(result, "lost_bytes")));
	return json_array_size(lost) ? CMD_PARTIAL : CMD_DONE;
}

/* ---- One VM ---- */

/* Pieces of vm.show, gathered into the first one's "map". */
int remote_fetch_vm(struct client *client, const char *name, json_t **ret_vm)
{
	json_t *vm = NULL, *piece, *next = NULL;
	int status;

	do {
		json_t *params = json_pack("{s:o, s:b, s:i}", "name", output_json_text(name), "map", 1, "limit", 10000);

		if (next)
			json_object_set(params, "va", next);
		status = client_call(client, "vm.show", params, CLIENT_LOOKS, NULL, &piece);
		json_decref(next);
		next = NULL;
		if (status)
			break;
		next = json_incref(json_object_get(piece, "next"));
		if (vm) {
			json_array_extend(json_object_get(vm, "map"), json_object_get(piece, "map"));
			json_decref(piece);
		} else {
			vm = piece;
		}
	} while (next);
	if (status)
		json_decref(vm);
	else
		*ret_vm = vm;
	return status;
}

/* A view only hands BOs back to describe(), so any pointer that tells them apart will do: the name, once for each. */
struct names {
	const json_t *bos; /* of bo.list, for the sizes */
	json_t *known;	   /* name: its JSON string, which stands for the BO */
};

static const struct panbind_bo *bo_of(struct names *names, const json_t *mapping)
{
	const char *name = text_or(mapping, "bo", "(unnamed)");
	json_t *known = json_object_get(names->known, name);

	if (!known) {
		known = output_json_text(name);
		json_object_set_new(names->known, name, known);
	}
	return (const struct panbind_bo *)(const void *)known;
}

static void describe(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size)
{
	const struct names *names = data;
	json_t *item;
	size_t i;

	*ret_name = json_string_value((const json_t *)(const void *)bo);
	*ret_size = 0;
	json_array_foreach (names->bos, i, item) {
		const char *name = client_text(item, "name");

		if (name && strcmp(name, *ret_name) == 0)
			*ret_size = client_number(item, "size");
	}
}

static struct panbind_mapping *mappings_of(struct names *names, const json_t *map)
{
	struct panbind_mapping *mappings = calloc(json_array_size(map) + 1, sizeof(*mappings));
	json_t *item;
	size_t i;

	if (!mappings)
		return NULL;
	json_array_foreach (map, i, item) {
		bool sparse = json_is_true(json_object_get(item, "sparse"));

		mappings[i].va = client_number(item, "va");
		mappings[i].size = client_number(item, "size");
		mappings[i].bo_offset = client_number(item, "bo_offset");
		mappings[i].flags = entry_map_flags(json_object_get(item, "flags"));
		mappings[i].sparse = sparse;
		mappings[i].bo = sparse ? NULL : (struct panbind_bo *)bo_of(names, item);
	}
	return mappings;
}

static void print_program(const json_t *vm, bool map)
{
	const json_t *program = json_object_get(vm, "program"), *item;
	const char *why = client_text(program, "why");
	char size[OUT_NUMBER];
	size_t i;

	if (!program)
		return;
	printf("VM %" PRIu64 " of process %" PRIu64 ": %s\n", client_number(program, "vm_id"),
	       client_number(program, "pid"), text_or(program, "argv", "?"));
	if (client_number(vm, "unknown") == 0)
		return;
	printf("unknown: %s%s%s\n", output_size(size, client_number(vm, "unknown")), why && *why ? ": " : "",
	       why ? why : "");
	json_array_foreach (json_object_get(vm, "unknown_ranges"), i, item)
		if (map)
			printf("  0x%" PRIx64 " %s\n", client_number(item, "va"),
			       output_size(size, client_number(item, "size")));
}

static int print_vm(struct client *client, const json_t *vm, bool map)
{
	char state[2 * OUT_NUMBER];
	json_t *bos = NULL;
	struct names names = {.known = json_object()};
	struct show_view view = {
		.cmd = client->cmd,
		.name = text_or(vm, "name", "?"),
		.state = state_text(vm, state),
		.va_range = client_number(vm, "va_range"),
		.map_generation = client_number(vm, "map_generation"),
		.count = json_array_size(json_object_get(vm, "map")),
		.describe = describe,
		.data = &names,
	};
	struct panbind_mapping *mappings;
	int status = map ? client_call(client, "bo.list", NULL, CLIENT_LOOKS, NULL, &bos) : CMD_DONE;

	if (status)
		return status;
	names.bos = json_object_get(bos, "bos");
	view.mappings = mappings = mappings_of(&names, json_object_get(vm, "map"));
	if (!mappings || show_view(&view, map))
		status = error_say(client->cmd, CMD_FAILED, -ENOMEM, "vm %s cannot be shown: out of memory", view.name);
	if (!status)
		print_program(vm, map);
	free(mappings);
	json_decref(names.known);
	json_decref(bos);
	return status;
}

/* The members that a VM of this process has in JSON, as far as the daemon tells them. */
static json_t *vm_json(const json_t *vm)
{
	json_t *json = json_object(), *mappings = json_array(), *item;
	size_t i;

	json_object_set(json, "name", json_object_get(vm, "name"));
	json_object_set(json, "generation", json_object_get(vm, "generation"));
	json_object_set(json, "map_generation", json_object_get(vm, "map_generation"));
	json_object_set(json, "va_range", json_object_get(vm, "va_range"));
	json_object_set(json, "state", json_object_get(vm, "state"));
	if (json_object_get(vm, "rebuilding"))
		json_object_set(json, "rebuilding", json_object_get(vm, "rebuilding"));
	json_object_set(json, "regions", json_object_get(vm, "regions"));
	if (json_object_get(vm, "program")) {
		json_object_set(json, "program", json_object_get(vm, "program"));
		json_object_set(json, "unknown", json_object_get(vm, "unknown"));
		json_object_set(json, "unknown_ranges", json_object_get(vm, "unknown_ranges"));
	}
	json_array_foreach (json_object_get(vm, "map"), i, item) {
		json_t *flags = json_object_get(item, "flags"), *bo = json_object_get(item, "bo");

		json_array_append_new(
			mappings, json_pack("{s:O, s:O, s:o, s:o, s:o, s:O}", "va", json_object_get(item, "va"), "size",
					    json_object_get(item, "size"), "bo", bo ? json_incref(bo) : json_null(),
					    "offset", output_json_hex(client_number(item, "bo_offset")), "flags",
					    flags ? json_incref(flags) : json_array(), "sparse",
					    json_object_get(item, "sparse")));
	}
	json_object_set_new(json, "mappings", mappings);
	return json;
}

int remote_show_vm(struct client *client, const char *name, bool map, json_t **ret_json)
{
	json_t *vm;
	int status = remote_fetch_vm(client, name, &vm);

	if (status)
		return status;
	if (client->cmd->out.json)
		*ret_json = vm_json(vm);
	else
		status = print_vm(client, vm, map);
	json_decref(vm);
	return status;
}

bool remote_has_vm(struct client *client, const char *name)
{
	json_t *list = NULL, *vm;
	bool found = false;
	size_t i;

	if (client_call(client, "vm.list", NULL, CLIENT_LOOKS, NULL, &list) != CMD_DONE)
		return false;
	json_array_foreach (json_object_get(list, "vms"), i, vm)
		found |= strcmp(text_or(vm, "name", ""), name) == 0;
	json_decref(list);
	return found;
}

int remote_draw_vm(struct client *client, const char *name, const char *path)
{
	struct picture picture = {0};
	char subtitle[64];
	json_t *vm;
	int status = remote_fetch_vm(client, name, &vm);

	if (status)
		return status;
	snprintf(subtitle, sizeof(subtitle), "%.16s, generation %" PRIu64, text_or(vm, "state", "?"),
		 client_number(vm, "generation"));
	picture_take_remote(&picture, client, vm, subtitle);
	json_decref(vm);
	status = picture_write(&picture, client->cmd, path);
	picture_free(&picture);
	return status;
}

int order_show_vm(struct order *order)
{
	json_t *json = NULL;
	int status;

	if (order->svg)
		return remote_draw_vm(&order->client, order->words[0], order->svg);
	status = remote_show_vm(&order->client, order->words[0], order->given & ORDER_BIT(ORDER_MAP), &json);

	if (json)
		json_object_set_new(order->cmd->out.doc, "vm", json);
	return status;
}

int remote_draw_all(struct client *client, const char *path)
{
	struct picture picture = {0};
	json_t *list, *vm, *shown;
	int status = client_call(client, "vm.list", NULL, CLIENT_LOOKS, NULL, &list);
	size_t i;

	if (status)
		return status;
	json_array_foreach (json_object_get(list, "vms"), i, vm) {
		status = remote_fetch_vm(client, text_or(vm, "name", ""), &shown);
		if (status)
			break;
		picture_take_remote(&picture, client, shown, text_or(vm, "state", "?"));
		json_decref(shown);
	}
	json_decref(list);
	if (!status)
		status = picture_write(&picture, client->cmd, path);
	picture_free(&picture);
	return status;
}

int remote_show_all(struct client *client)
{
	json_t *list, *vm, *vms = json_array();
	int status = client_call(client, "vm.list", NULL, CLIENT_LOOKS, NULL, &list);
	size_t i;

	if (status) {
		json_decref(vms);
		return status;
	}
	json_array_foreach (json_object_get(list, "vms"), i, vm) {
		json_t *json = NULL;

		status = remote_show_vm(client, text_or(vm, "name", ""), true, &json);
		if (status)
			break;
		if (json)
			json_array_append_new(vms, json);
	}
	if (client->cmd->out.json)
		json_object_set(client->cmd->out.doc, "vms", vms);
	json_decref(vms);
	json_decref(list);
	return status;
}
