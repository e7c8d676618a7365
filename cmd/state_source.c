/* SPDX-License-Identifier: MIT */
/* States of VMs from wherever they are. See state_source.h. */
#include "state_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "error.h"
#include "logfile.h"
#include "number.h"
#include "source.h"

#define PAGES_AT_ONCE 10000 /* mappings of one answer */
#define TRIES	      5	    /* of reading a VM that changes meanwhile */

/* ---- Words ---- */

static int parse_seq(const char *text, uint64_t *ret_seq)
{
	if (strcmp(text, "last") != 0)
		return number_parse(text, ret_seq);
	*ret_seq = UINT64_MAX;
	return 0;
}

/* "SEQ:VM[#GENERATION]", cut. */
static int parse_moment(struct state_source *source, char *text)
{
	char *colon = strchr(text, ':');
	struct panbind_log_ref ref;

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	if (parse_seq(text, &source->seq) < 0 || logfile_parse_ref(colon + 1, &ref) < 0)
		return -EINVAL;
	source->vm = ref.name;
	source->generation = ref.generation;
	return 0;
}

static int parse_file(struct state_source *source)
{
	char *name = strrchr(source->text, '/'), *at, *colon;

	name = name ? name + 1 : source->text;
	at = strchr(name, '@');
	source->path = source->text;
	if (at) {
		*at = '\0';
		source->kind = SOURCE_LOG_FILE;
		return parse_moment(source, at + 1);
	}
	source->kind = SOURCE_SCRIPT;
	colon = strchr(name, ':');
	if (colon) {
		*colon = '\0';
		source->vm = colon + 1;
	}
	return colon && !colon[1] ? -EINVAL : 0;
}

static int parse_word(struct state_source *source)
{
	char *at = strchr(source->text, '@'), *colon;

	if (strchr(source->text, '/') || strcmp(source->text, "-") == 0)
		return parse_file(source);
	if (at) {
		*at = '\0';
		source->kind = SOURCE_LOG;
		source->device = *source->text ? source->text : NULL;
		return parse_moment(source, at + 1);
	}
	source->kind = SOURCE_LIVE;
	source->vm = source->text;
	colon = strchr(source->text, ':');
	if (!colon)
		return *source->vm ? 0 : -EINVAL;
	*colon = '\0';
	source->device = source->text;
	source->vm = colon + 1;
	return *source->vm && *source->device ? 0 : -EINVAL;
}

int state_source_parse(const char *word, struct state_source *ret_source)
{
	struct state_source source = {.text = strdup(word)};
	int r = source.text ? parse_word(&source) : -ENOMEM;

	if (r < 0)
		free(source.text);
	else
		*ret_source = source;
	return r;
}

void state_source_free(struct state_source *source)
{
	free(source->text);
}

/* ---- Live ---- */

/* A state under way, from the answers of vm.show. */
struct gathering {
	struct panbind_state *state;
	json_t *sizes; /* of BOs, by name */
	json_t *known; /* index by name and generation */
};

static int index_of(struct gathering *gathering, const json_t *mapping, uint32_t *ret_index)
{
	const char *name = client_text(mapping, "bo"), *was = client_text(mapping, "bo_was");
	struct panbind_state_bo bo = {.name = name ? name : was, .nameless = !name};
	char key[200];
	json_t *index;
	int r;

	bo.generation = client_number(mapping, "bo_generation");
	bo.size = client_number(name ? gathering->sizes : mapping, name ? name : "bo_size");
	snprintf(key, sizeof(key), "%s%s#%llu", name ? "" : "!", bo.name ? bo.name : "",
		 (unsigned long long)bo.generation);
	index = json_object_get(gathering->known, key);
	if (index) {
		*ret_index = (uint32_t)json_integer_value(index);
		return 0;
	}
	r = panbind_state_add_bo(gathering->state, &bo, ret_index);
	if (r == 0)
		json_object_set_new(gathering->known, key, json_integer(*ret_index));
	return r;
}

static int gather_mappings(struct gathering *gathering, const json_t *map)
{
	json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach (map, i, item) {
		uint32_t bo = PANBIND_STATE_SPARSE;

		if (!json_is_true(json_object_get(item, "sparse")))
			r = index_of(gathering, item, &bo);
		if (r == 0)
			r = panbind_state_map(gathering->state, client_number(item, "va"), client_number(item, "size"),
					      bo, client_number(item, "bo_offset"),
					      entry_map_flags(json_object_get(item, "flags")));
		if (r < 0)
			break;
	}
	return r;
}

static int gather_regions(struct gathering *gathering, const json_t *regions)
{
	json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach (regions, i, item) {
		r = panbind_state_add_region(gathering->state, client_number(item, "va"), client_number(item, "size"));
		if (r < 0)
			break;
	}
	return r;
}

static int cannot_gather(struct cmd *cmd, int r)
{
	return error_say(cmd, CMD_FAILED, r, "what the daemon says of the VM cannot be kept: %s", strerror(-r));
}

/* All pieces of one VM. *ret_again: it changed meanwhile. */
static int fetch_pieces(struct client *client, const char *vm, struct gathering *gathering, bool *ret_again)
{
	uint64_t generation = 0;
	json_t *next = NULL;
	bool first = true;
	int status, r = 0;

	do {
		json_t *piece = NULL;
		json_t *params =
			json_pack("{s:o, s:b, s:i}", "name", output_json_text(vm), "map", 1, "limit", PAGES_AT_ONCE);

		if (next)
			json_object_set_new(params, "va", next);
		next = NULL;
		status = client_call(client, "vm.show", params, CLIENT_LOOKS, NULL, &piece);
		if (status)
			return status;
		*ret_again = !first && client_number(piece, "map_generation") != generation;
		generation = client_number(piece, "map_generation");
		r = gather_mappings(gathering, json_object_get(piece, "map"));
		if (r == 0 && first)
			r = gather_regions(gathering, json_object_get(piece, "regions"));
		if (json_object_get(piece, "next"))
			next = json_incref(json_object_get(piece, "next"));
		json_decref(piece);
		first = false;
	} while (next && r == 0 && !*ret_again);
	json_decref(next);
	return r < 0 ? cannot_gather(client->cmd, r) : CMD_DONE;
}

static int fetch_sizes(struct client *client, json_t *sizes)
{
	json_t *result = NULL, *bo;
	size_t i;
	int status = client_call(client, "bo.list", NULL, CLIENT_LOOKS, NULL, &result);

	json_array_foreach (json_object_get(result, "bos"), i, bo)
		if (client_text(bo, "name"))
			json_object_set(sizes, client_text(bo, "name"), json_object_get(bo, "size"));
	json_decref(result);
	return status;
}

static int try_live(struct client *client, const char *vm, struct panbind_state **ret_state, bool *ret_again)
{
	struct gathering gathering = {.sizes = json_object(), .known = json_object()};
	int r = panbind_state_create(&gathering.state);
	int status = r < 0 ? cannot_gather(client->cmd, r) : fetch_sizes(client, gathering.sizes);

	if (!status)
		status = fetch_pieces(client, vm, &gathering, ret_again);
	json_decref(gathering.sizes);
	json_decref(gathering.known);
	if (status || *ret_again)
		panbind_state_destroy(gathering.state);
	else
		*ret_state = gathering.state;
	return status;
}

static int read_live(struct cmd *cmd, const char *vm, struct panbind_state **ret_state)
{
	struct client client;
	bool again = true;
	int status = client_open(&client, cmd);

	for (int i = 0; !status && again && i < TRIES; i++)
		status = try_live(&client, vm, ret_state, &again);
	client_close(&client);
	if (!status && again)
		return error_say(cmd, CMD_FAILED, -EAGAIN, "%s changes faster than it can be read", vm);
	return status;
}

/* ---- Logs and scripts ---- */

int state_source_read_log(struct cmd *cmd, const char *log_path, struct panbind_log_ref vm, uint64_t seq,
			  struct panbind_state **ret_state)
{
	struct panbind_log_state *logged = NULL;
	struct panbind_error error = {0};
	struct panbind_log *log;
	int status = logfile_open(cmd, log_path, &log), r;

	if (status)
		return status;
	r = panbind_log_state_create(log, seq, vm, &logged, &error);
	if (r == 0)
		r = panbind_log_state_value(logged, 0, ret_state);
	panbind_log_state_destroy(logged);
	panbind_log_close(log);
	if (r == 0)
		return CMD_DONE;
	return error_say(cmd, CMD_FAILED, r, "%s", error.msg[0] ? error.msg : strerror(-r));
}

static int read_script(struct cmd *cmd, const struct state_source *from, struct panbind_state **ret_state)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_script *script = NULL;
	struct source source;
	int status = source_read(cmd, from->path, &source), r;

	if (status)
		return status;
	r = panbind_script_parse(source.name, source.text, source.size, NULL, &script, &error);
	if (r == 0)
		r = panbind_script_state(script, from->vm, ret_state, &error);
	if (r < 0) {
		struct error_context context = {0};

		if (script)
			panbind_script_line(script, &error, &context.line, &context.line_size);
		if (!error.file[0])
			snprintf(error.file, sizeof(error.file), "%s", source.name);
		error_report(cmd, &error, &context);
		status = CMD_USAGE;
	}
	panbind_script_destroy(script);
	source_free(&source);
	return status;
}

int state_source_read(struct cmd *cmd, const struct state_source *source, struct panbind_state **ret_state)
{
	const struct panbind_log_ref ref = {source->vm, source->generation};
	const char *gpu = cmd->gpu;
	int status;

	if (source->device)
		cmd->gpu = source->device;
	switch (source->kind) {
	case SOURCE_LIVE:
		status = read_live(cmd, source->vm, ret_state);
		break;
	case SOURCE_LOG:
	case SOURCE_LOG_FILE:
		status = state_source_read_log(cmd, source->path, ref, source->seq, ret_state);
		break;
	default:
		status = read_script(cmd, source, ret_state);
	}
	cmd->gpu = gpu;
	return status;
}
