/* SPDX-License-Identifier: MIT */
/*
 * A script's ops as one fenced bind, although it does not say so: as if `begin fenced` stood in front of the first one
 * and `commit` behind the last.
 *
 * Pure, and done to the list of commands, so that whoever runs, checks or plans the script needs to know nothing of it.
 */
#include <errno.h>
#include <string.h>

#include "script_parser.h"

static int fail(const struct panbind_script *script, const struct pb_command *at, struct panbind_error *reterr,
		const char *why)
{
	return pb_error_at_place(reterr, -EINVAL, PANBIND_STAGE_PARSE, pb_script_file(script, at), at->line, at->column,
				 "cannot be fenced: %s", why);
}

static bool is_bind(const struct pb_command *command)
{
	return pb_verbs[command->verb].flags & PB_VERB_BINDS;
}

/* May this op stand in one block with @first? NULL, or why not. */
static const char *check_op(const struct pb_command *command, const struct pb_command *first)
{
	if (!is_bind(command))
		return "this command stands between its ops";
	if (!(pb_verbs[command->verb].flags & PB_VERB_ASYNC))
		return "this op changes the list of sparse regions, or looks before it binds";
	if (command->expect)
		return "this op is expected to fail";
	return command->name != first->name ? "it is one VM_BIND of one VM, and this op is of another" : NULL;
}

/* The ops of @script: commands [first, last). */
static int find_ops(const struct panbind_script *script, size_t *ret_first, size_t *ret_last,
		    struct panbind_error *reterr)
{
	size_t first = 0, last = script->count;
	const struct pb_command *command;
	const char *why;

	if (script->has_blocks)
		for (size_t i = 0; i < script->count; i++)
			if ((command = pb_script_command(script, i))->verb == PB_VERB_BEGIN)
				return fail(script, command, reterr, "the script has blocks of its own");
	while (first < last && !is_bind(pb_script_command(script, first)))
		first++;
	while (last > first && !is_bind(pb_script_command(script, last - 1)))
		last--;
	for (size_t i = first; i < last; i++) {
		command = pb_script_command(script, i);
		why = check_op(command, pb_script_command(script, first));
		if (why)
			return fail(script, command, reterr, why);
	}
	*ret_first = first;
	*ret_last = last;
	return 0;
}

static int parse_sync(struct panbind_script *script, const char *text, bool signal, struct pb_sync_ref *ret_sync,
		      struct panbind_error *reterr)
{
	size_t size = strcspn(text, ":"), bad;
	const char *point = text + size + 1;

	*ret_sync = (struct pb_sync_ref){.signal = signal};
	if (!pb_is_name(text, size) ||
	    (text[size] && (pb_parse_number(point, strlen(point), &ret_sync->point, &bad) < 0 || !ret_sync->point)))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_PARSE, "'%.60s' is not NAME or NAME:POINT", text);
	ret_sync->name = pb_names_intern(&script->names, &script->arena, text, size);
	return ret_sync->name ? 0 : pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_PARSE, "out of memory");
}

/* `begin fenced --wait=... --signal=...` at the place of its first op. */
static int make_begin(struct panbind_script *script, const char *wait, const char *signal, struct pb_command *begin,
		      struct panbind_error *reterr)
{
	struct pb_command_extra *extra;
	int r = 0;

	begin->verb = PB_VERB_BEGIN;
	begin->options = PB_OPT_ASYNC | PB_OPT_FENCED;
	if (!wait && !signal)
		return 0;
	extra = pb_arena_alloc(&script->arena, sizeof(*extra) + 2 * sizeof(extra->syncs[0]));
	if (!extra)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_PARSE, "out of memory");
	*extra = (struct pb_command_extra){0};
	if (wait)
		r = parse_sync(script, wait, false, &extra->syncs[extra->sync_count++], reterr);
	if (r == 0 && signal)
		r = parse_sync(script, signal, true, &extra->syncs[extra->sync_count++], reterr);
	begin->options |= (wait ? PB_OPT_WAIT : 0) | (signal ? PB_OPT_SIGNAL : 0);
	begin->extra = extra;
	return r;
}

static struct pb_command *command_at(struct panbind_script *script, size_t index)
{
	return &script->chunks[index >> PB_COMMANDS_SHIFT][index & (PB_COMMANDS_CHUNK - 1)];
}

int panbind_script_fence(struct panbind_script *script, const char *wait, const char *signal,
			 struct panbind_error *reterr)
{
	struct pb_command begin = {0}, commit = {.verb = PB_VERB_COMMIT};
	size_t first = 0, last = 0;
	int r = find_ops(script, &first, &last, reterr);

	if (r < 0 || first == last)
		return r;
	begin.source = commit.source = command_at(script, first)->source;
	begin.line = command_at(script, first)->line;
	begin.column = command_at(script, first)->column;
	r = make_begin(script, wait, signal, &begin, reterr);
	for (int room = 0; r == 0 && room < 2; room++) {
		if (pb_script_append(script, &commit) < 0)
			r = pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_PARSE, "out of memory");
	}
	if (r < 0)
		return r;
	for (size_t i = script->count - 1; i >= last + 2; i--)
		*command_at(script, i) = *command_at(script, i - 2);
	for (size_t i = last; i > first; i--)
		*command_at(script, i) = *command_at(script, i - 1);
	commit.source = command_at(script, last)->source;
	commit.line = command_at(script, last)->line;
	commit.column = command_at(script, last)->column;
	*command_at(script, first) = begin;
	*command_at(script, last + 1) = commit;
	script->has_blocks = true;
	script->is_one_block = script->count == last + 2 - first;
	return 0;
}
