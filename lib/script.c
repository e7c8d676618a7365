/* SPDX-License-Identifier: MIT */
/*
 * The parser's public face: a text goes in, a flat list of commands or an error with its place comes out.
 *
 * Pure: no device is known here, and no file is opened but by `include`.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "script_parser.h"

static const struct pb_script_limits default_limits = {
	.commands = PB_SCRIPT_MAX_COMMANDS,
	.steps = PB_SCRIPT_MAX_STEPS,
	.includes = PB_SCRIPT_MAX_INCLUDES,
};

/* ---- What the rooms of the parser call ---- */

int pb_parser_fail(struct pb_parser *p, int code, uint32_t line, uint32_t column, const char *format, ...)
{
	char msg[sizeof(p->error.msg)];
	va_list args;

	va_start(args, format);
	vsnprintf(msg, sizeof(msg), format, args);
	va_end(args);
	if (code == -ENOMEM)
		p->fatal = true;
	return pb_error_at_place(&p->error, code, PANBIND_STAGE_PARSE, p->script->sources[p->source].name, line, column,
				 "%s", msg);
}

static bool keeps_going(const struct pb_parser *p)
{
	return p->options && (p->options->flags & PANBIND_SCRIPT_KEEP_GOING) && !p->fatal;
}

/* The rounds of a repeat find the same error again. */
static bool is_recorded(const struct panbind_script *script, const struct panbind_error *error)
{
	for (size_t i = 0; i < script->error_count; i++) {
		const struct panbind_error *e = &script->errors[i];

		if (e->line == error->line && e->column == error->column && strcmp(e->file, error->file) == 0)
			return true;
	}
	return false;
}

int pb_parser_record(struct pb_parser *p)
{
	struct panbind_script *script = p->script;
	struct panbind_error *grown;

	if (!keeps_going(p))
		return p->error.code;
	if (is_recorded(script, &p->error))
		return 0;
	if (script->error_count == PB_SCRIPT_MAX_ERRORS)
		return 0;
	if (script->error_count == PB_SCRIPT_MAX_ERRORS - 1)
		snprintf(p->error.msg, sizeof(p->error.msg), "too many errors: this one and later ones are not listed");
	grown = realloc(script->errors, (script->error_count + 1) * sizeof(*grown));
	if (!grown) {
		p->fatal = true;
		return -ENOMEM;
	}
	script->errors = grown;
	grown[script->error_count++] = p->error;
	return 0;
}

static int grow_chunks(struct panbind_script *script)
{
	size_t chunk = script->count >> PB_COMMANDS_SHIFT;

	if (chunk == script->chunk_room) {
		size_t room = script->chunk_room ? script->chunk_room * 2 : 8;
		struct pb_command **grown = realloc(script->chunks, room * sizeof(struct pb_command *));

		if (!grown)
			return -ENOMEM;
		script->chunks = grown;
		script->chunk_room = room;
	}
	script->chunks[chunk] = malloc(PB_COMMANDS_CHUNK * sizeof(struct pb_command));
	return script->chunks[chunk] ? 0 : -ENOMEM;
}

int pb_script_append(struct panbind_script *script, const struct pb_command *command)
{
	size_t slot = script->count & (PB_COMMANDS_CHUNK - 1);

	if (slot == 0 && grow_chunks(script) < 0)
		return -ENOMEM;
	script->chunks[script->count++ >> PB_COMMANDS_SHIFT][slot] = *command;
	return 0;
}

int pb_parser_push(struct pb_parser *p, const struct pb_command *command)
{
	struct panbind_script *script = p->script;

	if (script->count >= p->limits->commands) {
		p->fatal = true;
		return pb_parser_fail(p, -E2BIG, command->line, command->column,
				      "the script has more than %" PRIu64 " commands", p->limits->commands);
	}
	if (pb_script_append(script, command) < 0)
		return pb_parser_fail(p, -ENOMEM, command->line, command->column, "out of memory");
	return 0;
}

/* ---- Parsing ---- */

static void parser_release(struct pb_parser *p)
{
	free(p->words);
	free(p->buffer);
	free(p->defines);
	pb_names_free(&p->define_names);
	pb_arena_free(&p->scratch);
}

static int set_external_defines(struct pb_parser *p)
{
	const struct panbind_script_options *options = p->options;

	for (size_t i = 0; options && i < options->define_count; i++) {
		const struct panbind_define *define = &options->defines[i];
		size_t size = strlen(define->name);
		bool good = size > 0;

		for (size_t j = 0; good && j < size; j++)
			good = pb_lex_is_ident((unsigned char)define->name[j], j == 0);
		if (!good)
			return pb_parser_fail(p, -EINVAL, 0, 0, "%.60s cannot be defined: not a name", define->name);
		if (pb_define_set(p, define->name, size, define->value, strlen(define->value), true) < 0)
			return pb_parser_fail(p, -ENOMEM, 0, 0, "out of memory");
	}
	return 0;
}

static int check_block_closed(struct pb_parser *p)
{
	if (p->block == PB_BLOCK_NONE)
		return 0;
	p->source = p->block_begin.source;
	pb_parser_fail(p, -EINVAL, p->block_begin.line, p->block_begin.column, "this begin has no commit");
	return pb_parser_record(p);
}

static int parse(struct pb_parser *p, const char *name, const char *text, size_t size)
{
	uint16_t source;
	int r;

	p->words = malloc(PB_SCRIPT_MAX_WORDS * sizeof(*p->words));
	r = p->words ? pb_source_add(p, name ? name : "", text, size, &source) : -ENOMEM;
	if (r < 0)
		return pb_error_set(&p->error, r, PANBIND_STAGE_PARSE, "out of memory");
	p->stack[p->depth++] = source;
	r = set_external_defines(p);
	if (r >= 0)
		r = pb_expand_source(p, source);
	return r < 0 ? r : check_block_closed(p);
}

int pb_script_parse(const char *name, const char *text, size_t size, const struct panbind_script_options *options,
		    const struct pb_script_limits *limits, struct panbind_script **ret_script,
		    struct panbind_error *reterr)
{
	pb_cleanup(parser_release) struct pb_parser p = {.options = options, .limits = limits};
	struct panbind_script *script = calloc(1, sizeof(*script));
	int r;

	if (!script)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_PARSE, "out of memory");
	p.script = script;
	r = parse(&p, name, text, size);
	if (r < 0) {
		if (reterr)
			*reterr = p.error;
		panbind_script_destroy(script);
		return r;
	}
	if (reterr && script->error_count > 0)
		*reterr = script->errors[0];
	*ret_script = script;
	return 0;
}

int panbind_script_parse(const char *name, const char *text, size_t size, const struct panbind_script_options *options,
			 struct panbind_script **ret_script, struct panbind_error *reterr)
{
	if (!ret_script || (!text && size > 0))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_PARSE, "no text");
	if (options && (options->flags & ~PANBIND_SCRIPT_KEEP_GOING))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_PARSE, "unknown flags");
	return pb_script_parse(name, text, size, options, &default_limits, ret_script, reterr);
}

void panbind_script_destroy(struct panbind_script *script)
{
	if (!script)
		return;
	for (size_t i = 0; i < script->count; i += PB_COMMANDS_CHUNK)
		free(script->chunks[i >> PB_COMMANDS_SHIFT]);
	free(script->chunks);
	for (size_t i = 0; i < script->source_count; i++) {
		free(script->sources[i].name);
		free(script->sources[i].text);
	}
	free(script->sources);
	free(script->errors);
	pb_names_free(&script->names);
	pb_arena_free(&script->arena);
	free(script);
}

/* ---- Looking at a script ---- */

size_t panbind_script_command_count(const struct panbind_script *script)
{
	return script->count;
}

const struct panbind_error *panbind_script_error(const struct panbind_script *script, size_t index)
{
	return index < script->error_count ? &script->errors[index] : NULL;
}

/* An error holds the tail of a name that is too long for it. */
static bool is_source(const struct pb_source *source, const char *file)
{
	size_t size = strlen(source->name), shown = strlen(file);

	if (size < sizeof(((struct panbind_error *)NULL)->file))
		return strcmp(source->name, file) == 0;
	for (; shown > 0 && *file == '.'; file++)
		shown--;
	return shown > 0 && shown <= size && strcmp(source->name + size - shown, file) == 0;
}

int panbind_script_line(const struct panbind_script *script, const struct panbind_error *error, const char **ret_line,
			size_t *ret_size)
{
	for (size_t i = 0; i < script->source_count; i++) {
		const struct pb_source *source = &script->sources[i];
		const char *at = source->text, *end = source->text + source->size, *newline;

		if (error->line == 0 || !is_source(source, error->file))
			continue;
		for (uint32_t line = 1; line < error->line && at; line++) {
			newline = memchr(at, '\n', (size_t)(end - at));
			at = newline ? newline + 1 : NULL;
		}
		if (!at)
			continue;
		newline = memchr(at, '\n', (size_t)(end - at));
		*ret_line = at;
		*ret_size = (size_t)((newline ? newline : end) - at);
		return 0;
	}
	return -ENOENT;
}

const struct pb_command *pb_script_command(const struct panbind_script *script, size_t index)
{
	return &script->chunks[index >> PB_COMMANDS_SHIFT][index & (PB_COMMANDS_CHUNK - 1)];
}

const char *pb_script_name(const struct panbind_script *script, uint32_t name)
{
	return name > 0 && name <= script->names.count ? script->names.names[name].text : "";
}

uint32_t pb_script_name_count(const struct panbind_script *script)
{
	return script->names.count;
}

const char *pb_script_file(const struct panbind_script *script, const struct pb_command *command)
{
	return script->sources[command->source].name;
}

const struct pb_command *pb_script_first_begin(const struct panbind_script *script)
{
	return script->first_begin > 0 ? pb_script_command(script, script->first_begin - 1) : NULL;
}

bool pb_script_has_begin(const struct panbind_script *script)
{
	return script->first_begin > 0;
}

bool pb_script_has_blocks(const struct panbind_script *script)
{
	return script->has_blocks;
}

int panbind_script_is_one_transaction(const struct panbind_script *script)
{
	return !script->has_blocks || script->is_one_block;
}

size_t pb_script_memory(const struct panbind_script *script)
{
	size_t chunks = (script->count + PB_COMMANDS_CHUNK - 1) >> PB_COMMANDS_SHIFT;

	return script->arena.total + chunks * PB_COMMANDS_CHUNK * sizeof(struct pb_command) +
	       script->names.room * sizeof(struct pb_name);
}
