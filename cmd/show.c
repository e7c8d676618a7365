/* SPDX-License-Identifier: MIT */
/* Showing VMs. See show.h. */
#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "draw.h"

/* All mappings in order of VA; an array of *ret_count that the caller frees. */
static int gather(struct panbind_vm *vm, struct panbind_mapping **ret_mappings, size_t *ret_count)
{
	size_t count = panbind_vm_mapping_count(vm), found = 0;
	struct panbind_mapping *mappings = calloc(count + 1, sizeof(*mappings));
	uint64_t va = 0;

	if (!mappings)
		return -ENOMEM;
	while (found < count && panbind_vm_next_mapping(vm, va, &mappings[found]) == 0) {
		va = mappings[found].va + mappings[found].size;
		found++;
	}
	*ret_mappings = mappings;
	*ret_count = found;
	return 0;
}

const char *show_bo_name(struct panbind_session *session, const struct panbind_bo *bo, char buffer[OUT_NUMBER])
{
	const char *name = panbind_session_bo_name(session, bo);

	if (!name)
		name = panbind_bo_label(bo);
	if (name)
		return name;
	snprintf(buffer, OUT_NUMBER, "bo#%" PRIu32, panbind_bo_handle(bo));
	return buffer;
}

static const char *state_of(const struct show *show)
{
	enum panbind_vm_state state;

	return panbind_vm_get_state(show->vm, &state) == 0 ? panbind_vm_state_name(state) : "unknown";
}

/* ---- Table ---- */

static void table_mapping(const struct show_view *view, struct table *table, const struct panbind_mapping *mapping)
{
	char va[OUT_NUMBER], size[OUT_NUMBER], flags[OUT_NUMBER], text[256];
	const char *name = NULL;
	uint64_t bo_size;

	if (mapping->bo)
		view->describe(view->data, mapping->bo, &name, &bo_size);
	if (mapping->sparse)
		snprintf(text, sizeof(text), "(sparse)");
	else if (mapping->bo_offset)
		snprintf(text, sizeof(text), "%.200s+0x%" PRIx64, name, mapping->bo_offset);
	else
		snprintf(text, sizeof(text), "%.200s", name);
	table_row(table, (const char *[]){output_hex(va, mapping->va), output_size(size, mapping->size), text,
					  output_flags(flags, mapping->flags)});
}

static void print_table(const struct show_view *view)
{
	static const char *const heads[] = {"VA", "SIZE", "BO", "FLAGS"};
	struct table table;
	char range[OUT_NUMBER];

	printf("vm %s: %s, %zu mapping%s, %s of addresses", view->name, view->state, view->count,
	       view->count == 1 ? "" : "s", output_size(range, view->va_range));
	if (view->map_generation)
		printf(", map generation %" PRIu64, view->map_generation);
	putchar('\n');
	if (!view->count || table_begin(&table, 4, "rrll", heads))
		return;
	for (size_t i = 0; i < view->count; i++)
		table_mapping(view, &table, &view->mappings[i]);
	table_end(&table, stdout, view->cmd->out.color_stdout);
}

/* ---- Picture ---- */

static int draw(const struct show_view *view)
{
	const struct out *out = &view->cmd->out;
	struct draw picture = {
		.name = view->name,
		.va_range = view->va_range,
		.mappings = view->mappings,
		.count = view->count,
		.describe = view->describe,
		.data = view->data,
		.width = out->width,
		.utf8 = out->utf8,
		.color = out->color_stdout,
	};

	return draw_map(stdout, &picture);
}

int show_view(const struct show_view *view, bool map)
{
	if (map)
		return draw(view);
	print_table(view);
	return 0;
}

/* ---- A VM of a session ---- */

/* The picture tells BOs without a name apart by their letters; the table has no letters, so there the handle helps. */
struct describe {
	struct panbind_session *session;
	bool map;
	char buffer[OUT_NUMBER];
};

static void describe(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size)
{
	struct describe *how = data;
	const char *name = panbind_session_bo_name(how->session, bo);

	if (!name)
		name = panbind_bo_label(bo);
	if (!name && how->map)
		name = "(unnamed)";
	*ret_name = name ? name : show_bo_name(how->session, bo, how->buffer);
	*ret_size = panbind_bo_size(bo);
}

int show_vm(const struct show *show, bool map)
{
	struct describe how = {show->session, map, ""};
	struct panbind_mapping *mappings;
	struct show_view view = {.cmd = show->cmd, .name = show->name, .describe = describe, .data = &how};
	int error = gather(show->vm, &mappings, &view.count);

	if (error)
		return error;
	view.state = state_of(show);
	view.va_range = panbind_vm_va_range(show->vm);
	view.mappings = mappings;
	error = show_view(&view, map);
	free(mappings);
	return error;
}

/* ---- JSON ---- */

static json_t *mapping_json(const struct show *show, const struct panbind_mapping *mapping)
{
	char name[OUT_NUMBER];
	json_t *json = json_object();

	json_object_set_new(json, "va", output_json_hex(mapping->va));
	json_object_set_new(json, "size", output_json_hex(mapping->size));
	json_object_set_new(json, "bo",
			    mapping->sparse ? json_null()
					    : output_json_text(show_bo_name(show->session, mapping->bo, name)));
	json_object_set_new(json, "offset", output_json_hex(mapping->bo_offset));
	json_object_set_new(json, "flags", output_json_flags(mapping->flags));
	json_object_set_new(json, "sparse", json_boolean(mapping->sparse));
	return json;
}

json_t *show_vm_json(const struct show *show)
{
	json_t *json = json_object(), *array = json_array();
	struct panbind_mapping *mappings;
	size_t count;

	json_object_set_new(json, "name", output_json_text(show->name));
	json_object_set_new(json, "id", json_integer(panbind_vm_id(show->vm)));
	json_object_set_new(json, "map_generation", json_integer((json_int_t)panbind_vm_map_generation(show->vm)));
	json_object_set_new(json, "va_range", output_json_hex(panbind_vm_va_range(show->vm)));
	json_object_set_new(json, "state", output_json_text(state_of(show)));
	if (gather(show->vm, &mappings, &count) == 0) {
		for (size_t i = 0; i < count; i++)
			json_array_append_new(array, mapping_json(show, &mappings[i]));
		free(mappings);
	}
	json_object_set_new(json, "mappings", array);
	return json;
}
