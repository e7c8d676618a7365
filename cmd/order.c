/* SPDX-License-Identifier: MIT */
/* Orders from the command line to the daemon. See order.h. */
#include "order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "number.h"

/* ---- Options ---- */

/* clang-format off */
static const struct argp_option all_options[] = {
	{"va", ORDER_KEY(ORDER_VA_RANGE), "SIZE", 0, "Bytes of addresses (default: the driver's choice)"},
	{"map", ORDER_KEY(ORDER_MAP), NULL, 0, "Draw the address space"},
	{"svg", ORDER_KEY(ORDER_SVG), "FILE", 0, "Draw it as an SVG, for a browser or for print"},
	{"vm", ORDER_KEY(ORDER_VM), "VM", 0, "The only VM that may map it"},
	{"readonly", ORDER_KEY(ORDER_READONLY), NULL, 0, "The GPU may not write"},
	{"noexec", ORDER_KEY(ORDER_NOEXEC), NULL, 0, "The GPU may not execute"},
	{"uncached", ORDER_KEY(ORDER_UNCACHED), NULL, 0, "The GPU does not cache"},
	{"no-mmap", ORDER_KEY(ORDER_NO_MMAP), NULL, 0, "The CPU may not map it"},
	{"wb-mmap", ORDER_KEY(ORDER_WB_MMAP), NULL, 0, "The CPU maps it cached"},
	{"missing-ok", ORDER_KEY(ORDER_MISSING_OK), NULL, 0, "Succeed when there is none"},
	{"if-generation", ORDER_KEY(ORDER_IF_GENERATION), "N", 0,
	 "Only if the VM's mapping is still of this generation (see vm list)"},
	{"from", ORDER_KEY(ORDER_FROM), "shadow|log", 0, "What it is to map: what was bound (default), or the log's account"},
	{"force", ORDER_KEY(ORDER_FORCE), NULL, 0, "Also a VM that is usable"},
	{"fenced", ORDER_KEY(ORDER_FENCED), NULL, 0, "Bind asynchronously; without --signal, wait for it"},
	{"wait", ORDER_KEY(ORDER_WAIT), "NAME[:POINT]", 0, "With --fenced: the syncobj that it waits for"},
	{"signal", ORDER_KEY(ORDER_SIGNAL), "NAME[:POINT]", 0, "With --fenced: the syncobj that it signals"},
	{"force", ORDER_KEY(ORDER_DISPLACE), NULL, 0, "Also where it is not known what a program's VM maps"},
	ORDER_RECORD_OPTIONS,
	{0},
};
/* clang-format on */

/* What the options become, in the order of enum order_option. */
static const struct order_word option_params[ORDER_OPTIONS] = {
	[ORDER_VA_RANGE] = {"va_range", ORDER_NUMBER},
	[ORDER_MAP] = {"map", ORDER_LOCAL},
	[ORDER_SVG] = {"svg", ORDER_LOCAL},
	[ORDER_VM] = {"vm", ORDER_TEXT},
	[ORDER_READONLY] = {"readonly", ORDER_FLAG},
	[ORDER_NOEXEC] = {"noexec", ORDER_FLAG},
	[ORDER_UNCACHED] = {"uncached", ORDER_FLAG},
	[ORDER_NO_MMAP] = {"no-mmap", ORDER_FLAG},
	[ORDER_WB_MMAP] = {"wb-mmap", ORDER_FLAG},
	[ORDER_MISSING_OK] = {"missing_ok", ORDER_TRUE},
	[ORDER_IF_GENERATION] = {"if_generation", ORDER_NUMBER},
	[ORDER_FROM] = {"from", ORDER_TEXT},
	[ORDER_FORCE] = {"force", ORDER_TRUE},
	[ORDER_FENCED] = {"fenced", ORDER_TRUE},
	[ORDER_WAIT] = {"wait", ORDER_TEXT},
	[ORDER_SIGNAL] = {"signal", ORDER_TEXT},
	[ORDER_DISPLACE] = {"force", ORDER_TRUE},
	[ORDER_ID] = {"txn_id", ORDER_TEXT},
	[ORDER_COMMENT] = {"comment", ORDER_TEXT},
	[ORDER_DURABILITY] = {"durability", ORDER_TEXT},
};

static void add_flag(json_t *params, const char *name)
{
	json_t *flags = json_object_get(params, "flags");

	if (!flags) {
		flags = json_array();
		json_object_set_new(params, "flags", flags);
	}
	json_array_append_new(flags, json_string(name));
}

/* 0, or the errno of a word that is not what it should be. */
static int add_param(json_t *params, const struct order_word *word, const char *text)
{
	char *name;
	uint64_t number;
	int r = 0;

	switch (word->type) {
	case ORDER_TEXT:
		json_object_set_new(params, word->param, output_json_text(text));
		return 0;
	case ORDER_NUMBER:
		r = number_parse(text, &number);
		if (r == 0)
			json_object_set_new(params, word->param, output_json_hex(number));
		return r;
	case ORDER_BO:
		name = strdup(text);
		r = name ? number_split_offset(name, &number) : -ENOMEM;
		if (r == 0) {
			json_object_set_new(params, "bo", output_json_text(name));
			json_object_set_new(params, "bo_offset", output_json_hex(number));
		}
		free(name);
		return r;
	case ORDER_TRUE:
		json_object_set_new(params, word->param, json_true());
		return 0;
	case ORDER_FLAG:
		add_flag(params, word->param);
		return 0;
	case ORDER_LOCAL:
		return 0;
	}
	return -EINVAL;
}

bool order_record_option(json_t *params, int key, const char *arg)
{
	int option = key - ORDER_KEY(0);

	if (option < ORDER_ID || option > ORDER_DURABILITY)
		return false;
	add_param(params, &option_params[option], arg);
	return true;
}

static error_t parse_option(struct order *order, struct argp_state *state, int option, const char *arg)
{
	if (option < 0 || option >= ORDER_OPTIONS)
		return ARGP_ERR_UNKNOWN;
	order->given |= ORDER_BIT(option);
	if (option == ORDER_SVG)
		order->svg = arg;
	if (add_param(order->params, &option_params[option], arg) < 0)
		argp_error(state, "--%s: '%s' is not a number", all_options[option].name, arg);
	return 0;
}

/* ---- Words ---- */

/* The action of a verb that its first word names. */
static const struct order_action *find_action(const char *verb, const char *name)
{
	for (const struct order_action *action = order_actions; action->verb; action++)
		if (strcmp(action->verb, verb) == 0 && (!action->name || (name && strcmp(action->name, name) == 0)))
			return action;
	return NULL;
}

static void list_actions(const char *verb, char text[256])
{
	size_t used = 0;

	text[0] = '\0';
	for (const struct order_action *action = order_actions; action->verb && used < 256; action++)
		if (strcmp(action->verb, verb) == 0 && action->name)
			used += (size_t)snprintf(text + used, 256 - used, "%s%s", used ? ", " : "", action->name);
}

static void parse_word(struct order *order, struct argp_state *state, const char *arg)
{
	const struct order_word *word;
	char names[256];

	if (!order->action) {
		list_actions(order->cmd->verb, names);
		order->action = find_action(order->cmd->verb, arg);
		if (!order->action)
			argp_error(state, "'%s' is not one of %s", arg, names);
		return;
	}
	word = order->word_count < ORDER_WORDS ? &order->action->words[order->word_count] : NULL;
	if (!word || !word->param) {
		argp_error(state, "'%s' is too much: %s %s", arg, order->action->name ? order->action->name : "",
			   order->action->args);
		return;
	}
	order->words[order->word_count++] = arg;
	switch (add_param(order->params, word, arg)) {
	case 0:
		return;
	case -ERANGE:
		argp_error(state, "'%s' does not fit into 64 bits", arg);
		return;
	default:
		argp_error(state, "'%s' is not a number (4096, 0x1000, 4K)", arg);
	}
}

static void check_complete(const struct order *order, struct argp_state *state)
{
	const struct order_action *action = order->action;
	char names[256];

	if (!action) {
		list_actions(order->cmd->verb, names);
		argp_error(state, "one of %s is missing", names);
		return;
	}
	if (order->word_count < ORDER_WORDS && action->words[order->word_count].param)
		argp_error(state, "something is missing: %s%s%s", action->name ? action->name : "",
			   action->name ? " " : "", action->args);
	for (int option = 0; option < ORDER_OPTIONS; option++)
		if (order->given & ~action->options & ORDER_BIT(option))
			argp_error(state, "--%s does not belong to '%s'", all_options[option].name,
				   action->name ? action->name : action->verb);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct order *order = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		parse_word(order, state, arg);
		return 0;
	case ARGP_KEY_END:
		if (!order->cmd->device_option) /* -d is told in words of its own */
			check_complete(order, state);
		return 0;
	default:
		return parse_option(order, state, key - ORDER_KEY(0), arg);
	}
}

/* ---- The verb ---- */

/* What --help shows: each action with its words, on lines of its own. */
static char *args_doc(const char *verb)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	for (const struct order_action *action = order_actions; action->verb; action++)
		if (strcmp(action->verb, verb) == 0)
			fprintf(stream, "%s%s%s%s", ftell(stream) > 0 ? "\n" : "", action->name ? action->name : "",
				action->name && *action->args ? " " : "", action->args);
	fclose(stream);
	return text;
}

/* The options that some action of the verb takes. */
static void pick_options(const char *verb, struct argp_option options[ORDER_OPTIONS + 1])
{
	uint32_t wanted = 0;
	size_t count = 0;

	for (const struct order_action *action = order_actions; action->verb; action++)
		if (strcmp(action->verb, verb) == 0)
			wanted |= action->options;
	for (int option = 0; option < ORDER_OPTIONS; option++)
		if (wanted & ORDER_BIT(option))
			options[count++] = all_options[option];
	options[count] = (struct argp_option){0};
}

int order_call(struct order *order)
{
	const struct order_action *action = order->action;
	json_t *result = NULL;
	int status =
		client_call(&order->client, action->method, json_incref(order->params), action->effect, NULL, &result);

	if (!status)
		status = action->show(order, result);
	json_decref(result);
	return status;
}

static int run(struct order *order)
{
	int status;

	if (order->cmd->device_option)
		return error_say(order->cmd, CMD_NO_DEVICE, -ENOTCONN,
				 "'%s' works on VMs that outlive the command, so it needs the daemon and takes no -d. "
				 "Put the command into a script and use 'panbind run FILE'",
				 order->cmd->verb);
	status = client_open(&order->client, order->cmd);
	if (!status)
		status = order->action->run ? order->action->run(order) : order_call(order);
	client_close(&order->client);
	return status;
}

int cmd_order(struct cmd *cmd, int argc, char **argv)
{
	struct argp_option options[ORDER_OPTIONS + 1];
	struct order order = {.cmd = cmd, .client.fd = -1, .params = json_object()};
	char *usage = args_doc(cmd->verb);
	int status;

	order.action = find_action(cmd->verb, NULL);
	pick_options(cmd->verb, options);
	cmd_parse(cmd, options, parse, usage,
		  "Ask the daemon, which keeps VMs and BOs until they are destroyed. What is changed is in its log "
		  "before this command returns.",
		  argc, argv, &order);
	free(usage);
	status = run(&order);
	json_decref(order.params);
	return status;
}
