/* SPDX-License-Identifier: MIT */
/*
 * `panbind attach PID [NAME]` and `panbind detach NAME|PID`: a live program's VMs, taken over by the daemon and let go.
 *
 * The duplicate of the program's render node is taken here, by whoever calls and with their rights, and handed to the
 * daemon beside the request: the daemon needs no right to trace anybody.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "number.h"
#include "order.h"
#include "process.h"

#define KEY_FD 0x500
#define KEY_VM 0x501

struct arguments {
	json_t *params;
	const char *name;
	uint64_t pid, vm;
	int fd;
};

static const struct argp_option options[] = {
	{"fd", KEY_FD, "N", 0, "The program's descriptor N (default: its only render node with VMs)"},
	{"vm", KEY_VM, "ID", 0, "Its VM of this id (default: all)"},
	ORDER_RECORD_OPTIONS,
	{0},
};

static error_t parse_word(struct arguments *arguments, struct argp_state *state, const char *arg)
{
	if (arguments->pid == 0) {
		if (number_parse(arg, &arguments->pid) < 0 || arguments->pid == 0 || arguments->pid > INT32_MAX)
			argp_error(state, "'%s' is not the id of a process", arg);
	} else if (!arguments->name) {
		arguments->name = arg;
	} else {
		argp_error(state, "'%s' is too much: PID [NAME]", arg);
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	uint64_t number;

	switch (key) {
	case KEY_FD:
		if (number_parse(arg, &number) < 0 || number > INT32_MAX)
			argp_error(state, "--fd: '%s' is not a descriptor", arg);
		arguments->fd = (int)number;
		return 0;
	case KEY_VM:
		if (number_parse(arg, &arguments->vm) < 0 || arguments->vm == 0 || arguments->vm > UINT32_MAX)
			argp_error(state, "--vm: '%s' is not the id of a VM", arg);
		return 0;
	case ARGP_KEY_ARG:
		return parse_word(arguments, state, arg);
	case ARGP_KEY_END:
		if (arguments->pid == 0)
			argp_error(state, "the id of a process, please");
		return 0;
	default:
		return key != ORDER_KEY(ORDER_ID) && order_record_option(arguments->params, key, arg)
			       ? 0
			       : ARGP_ERR_UNKNOWN;
	}
}

/* ---- Which open file ---- */

static void ids_text(const struct process_node *node, char text[256])
{
	size_t used = 0;

	snprintf(text, 256, "no VM");
	for (int i = 0; i < node->vm_count && used < 240; i++)
		used += (size_t)snprintf(text + used, 256 - used, "%s%" PRIu32,
					 used ? ", " : (node->vm_count == 1 ? "VM " : "VMs "), node->vms[i]);
}

static int say_several(struct process *process)
{
	int status = error_say(process->cmd, CMD_USAGE, -ENOTUNIQ,
			       "process %d has %zu render nodes with VMs open: which one, --fd says", process->pid,
			       process->count);
	char ids[256];

	for (size_t i = 0; i < process->count; i++) {
		ids_text(&process->nodes[i], ids);
		error_note(process->cmd, 0, "--fd=%d: %s, %s", process->nodes[i].number, process->nodes[i].path, ids);
	}
	return status;
}

/* The only one, or the only one with VMs: programs open a node to look at it, and again to use it. */
static int choose(struct process *process, const struct process_node **ret_node)
{
	const struct process_node *chosen = NULL;

	for (size_t i = 0; i < process->count; i++) {
		if (process->count > 1 && process->nodes[i].vm_count == 0)
			continue;
		if (chosen)
			return say_several(process);
		chosen = &process->nodes[i];
	}
	if (!chosen || chosen->vm_count == 0)
		return error_say(process->cmd, CMD_FAILED, -ENOENT,
				 "process %d has a render node open, and no VM on it", process->pid);
	*ret_node = chosen;
	return CMD_DONE;
}

/* ---- Handing over ---- */

static void tell_vm(const json_t *vm)
{
	const json_t *program = json_object_get(vm, "program");
	const char *why = client_text(program, "why");
	uint64_t unknown = client_number(vm, "unknown"), mappings = client_number(vm, "mappings");
	char size[OUT_NUMBER];

	printf("vm %s: VM %" PRIu64 " of process %" PRIu64 ", %" PRIu64 " mapping%s known", client_text(vm, "name"),
	       client_number(program, "vm_id"), client_number(program, "pid"), mappings, mappings == 1 ? "" : "s");
	if (unknown > 0)
		printf(", %s unknown: %s", output_size(size, unknown), why ? why : "?");
	printf("\n");
}

static int show(struct cmd *cmd, json_t *result)
{
	json_t *vms = json_object_get(result, "vms"), *vm;
	size_t i;

	if (cmd->out.json) {
		json_object_set(cmd->out.doc, "vms", vms);
		return CMD_DONE;
	}
	json_array_foreach (vms, i, vm)
		tell_vm(vm);
	return CMD_DONE;
}

static int hand_over(struct cmd *cmd, const struct arguments *arguments, const struct process_node *node,
		     const char *name)
{
	struct client client;
	json_t *params = json_incref(arguments->params), *result = NULL;
	int status = client_open(&client, cmd);

	json_object_set_new(params, "name", output_json_text(name));
	json_object_set_new(params, "pid", json_integer((json_int_t)arguments->pid));
	if (arguments->vm)
		json_object_set_new(params, "vm_id", json_integer((json_int_t)arguments->vm));
	if (!status) {
		client.pass = &node->fd;
		status = client_call(&client, "vm.adopt", params, CLIENT_CHANGES, NULL, &result);
	} else {
		json_decref(params);
	}
	client_close(&client);
	if (!status)
		status = show(cmd, result);
	json_decref(result);
	return status;
}

static int attach(struct cmd *cmd, const struct arguments *arguments)
{
	const struct process_node *node = NULL;
	struct process process;
	char name[64];
	int status = process_open(&process, cmd, (int)arguments->pid);

	if (!status)
		status = process_find_nodes(&process, arguments->fd);
	if (!status)
		status = choose(&process, &node);
	process_name(&process, name);
	if (!status)
		status = hand_over(cmd, arguments, node, arguments->name ? arguments->name : name);
	process_close(&process);
	return status;
}

int cmd_attach(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.params = json_object(), .fd = -1};
	int status;

	cmd_parse(cmd, options, parse, "PID [NAME]",
		  "Take over the GPU VMs of a running program: from then on the daemon has them under NAME (of several "
		  "each with a dot and its id behind it), and what is bound in them the program's GPU work sees. What "
		  "it maps is read where that can be seen; where it is not known, nothing is displaced but by --force, "
		  "and never rolled back. With the program's end they go; 'panbind detach' lets them go before.",
		  argc, argv, &arguments);
	if (cmd->device_option)
		status = error_say(cmd, CMD_NO_DEVICE, -ENOTCONN, "'attach' gives VMs to the daemon, and takes no -d");
	else
		status = attach(cmd, &arguments);
	json_decref(arguments.params);
	return status;
}

/* ---- Letting go ---- */

int order_detach(struct order *order)
{
	const char *target = order->words[0];
	json_t *result = NULL, *name;
	uint64_t pid;
	size_t i;
	int status;

	if (isdigit((unsigned char)target[0]) && number_parse(target, &pid) == 0)
		json_object_set_new(order->params, "pid", json_integer((json_int_t)pid));
	else
		json_object_set_new(order->params, "name", output_json_text(target));
	status = client_call(&order->client, "vm.drop", json_incref(order->params), CLIENT_CHANGES, NULL, &result);
	if (!status && order->cmd->out.json)
		json_object_set(order->cmd->out.doc, "result", result);
	json_array_foreach (json_object_get(result, "dropped"), i, name)
		if (!order->cmd->out.json)
			error_note(order->cmd, 1, "%s is let go, as it is", json_string_value(name));
	json_decref(result);
	return status;
}
