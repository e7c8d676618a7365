/* SPDX-License-Identifier: MIT */
/*
 * A command back to text, everything in it expanded: what a trace of a run shows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "script.h"

struct out {
	const struct panbind_script *script;
	const struct pb_command *command;
	char *at;
	size_t left;
};

static void __attribute__((format(printf, 2, 3))) add(struct out *out, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out->at, out->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= out->left)
		n = (int)out->left - 1;
	out->at += n;
	out->left -= (size_t)n;
}

static uint64_t number(const struct pb_command *command, uint8_t field)
{
	return field == PB_FIELD_VA ? command->va : field == PB_FIELD_SIZE ? command->size : command->value;
}

static void add_point(struct out *out, const char *before, const struct pb_sync_ref *sync)
{
	add(out, "%s%s", before, pb_script_name(out->script, sync->name));
	if (sync->point)
		add(out, ":%" PRIu64, sync->point);
}

static void add_arg(struct out *out, const struct pb_arg_spec *arg)
{
	const struct pb_command *command = out->command;
	uint32_t name = arg->field == PB_FIELD_OTHER ? command->other : command->name;

	switch (arg->type) {
	case PB_TYPE_NUMBER:
		if (!(arg->flags & PB_ARG_OPTIONAL) || number(command, arg->field))
			add(out, " 0x%" PRIx64, number(command, arg->field));
		break;
	case PB_TYPE_BO_OFFSET:
		add(out, " %s+0x%" PRIx64, pb_script_name(out->script, name), command->value);
		break;
	case PB_TYPE_TEXT:
		add(out, " %s", command->extra->text);
		break;
	case PB_TYPE_STATE:
		add(out, " %s", panbind_vm_state_name((enum panbind_vm_state)command->value));
		break;
	case PB_TYPE_SWITCH:
		add(out, " %s", command->value ? "on" : "off");
		break;
	case PB_TYPE_POINT:
		for (uint32_t i = 0; i < command->extra->sync_count; i++)
			add_point(out, " ", &command->extra->syncs[i]);
		break;
	case PB_TYPE_ASYNC:
		add(out, "%s",
		    command->options & PB_OPT_FENCED  ? " fenced"
		    : command->options & PB_OPT_ASYNC ? " async"
						      : "");
		break;
	default:
		if (name)
			add(out, " %s", pb_script_name(out->script, name));
	}
}

static void add_option(struct out *out, const struct pb_option_spec *option)
{
	const struct pb_command *command = out->command;

	if (!(command->options & option->bit) || option->arg.type == PB_TYPE_POINT)
		return;
	add(out, " %s", option->name);
	if (option->arg.type == PB_TYPE_NUMBER)
		add(out, "=%" PRIu64, number(command, option->arg.field));
	else if (option->arg.type == PB_TYPE_VM)
		add(out, "=%s", pb_script_name(out->script, command->other));
}

void pb_command_format(const struct panbind_script *script, const struct pb_command *command, char *buffer, size_t size)
{
	const struct pb_verb_spec *spec = &pb_verbs[command->verb];
	const struct pb_command_extra *extra = command->extra;
	struct out out = {script, command, buffer, size};

	if (command->expect)
		add(&out, "expect %s ", panbind_errno_name(command->expect));
	add(&out, "%s%s%s", spec->words[0], spec->words[1] ? " " : "", spec->words[1] ? spec->words[1] : "");
	for (size_t i = 0; i < PB_ARRAY_SIZE(spec->args) && spec->args[i].type != PB_TYPE_NONE; i++)
		add_arg(&out, &spec->args[i]);
	for (size_t i = 0; i < pb_option_count; i++)
		add_option(&out, &pb_options[i]);
	for (uint32_t i = 0; (spec->options & PB_OPT_WAIT) && extra && i < extra->sync_count; i++)
		add_point(&out, extra->syncs[i].signal ? " --signal=" : " --wait=", &extra->syncs[i]);
}
