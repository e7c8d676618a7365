/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any text through the parser, with small bounds and files that include each other.
 *
 * What comes out must hold together: places inside the text, names that resolve, commands that format. A script that
 * parses without keeping going has the same commands when it keeps going.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

struct input {
	const char *text;
	size_t size;
};

/* Every include brings the second half of the input, and "self" the input itself. */
static int include(void *data, const char *from, const char *pattern,
		   int (*add)(void *add_data, const char *name, const char *text, size_t size), void *add_data)
{
	const struct input *input = data;
	size_t half = input->size / 2;

	if (strcmp(pattern, "self") == 0)
		return add(add_data, "fuzz", input->text, input->size);
	return add(add_data, pattern, input->text + half, input->size - half);
}

static void require(int condition)
{
	if (!condition)
		abort();
}

static void check_error(const struct panbind_script *script, const struct panbind_error *error)
{
	const char *line;
	size_t size;

	require(error->code < 0 && error->stage == PANBIND_STAGE_PARSE && error->msg[0] != '\0');
	if (error->line != 0 && panbind_script_line(script, error, &line, &size) == 0)
		require(error->column >= 1 && error->column <= size + 1);
}

static void check_script(const struct panbind_script *script)
{
	for (size_t i = 0; i < panbind_script_command_count(script); i++) {
		const struct pb_command *command = pb_script_command(script, i);
		char text[200];

		require(command->verb < PB_VERB_COUNT && command->line > 0);
		require(command->name <= pb_script_name_count(script));
		pb_command_format(script, command, text, sizeof(text));
	}
	for (size_t i = 0; panbind_script_error(script, i); i++)
		check_error(script, panbind_script_error(script, i));
}

static struct panbind_script *parse(const struct input *input, uint32_t flags)
{
	static const struct pb_script_limits limits = {.commands = 2000, .steps = 4000, .includes = 16};
	static const struct panbind_define defines[] = {{"given", "4K"}};
	struct panbind_script_options options = {.flags = flags,
						 .defines = defines,
						 .define_count = 1,
						 .include = include,
						 .data = (void *)(uintptr_t)input};
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};
	int r = pb_script_parse("fuzz", input->text, input->size, &options, &limits, &script, &error);

	require(r == 0 ? script != NULL : script == NULL && error.code == r);
	return script;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {(const char *)data, size};
	struct panbind_script *strict = parse(&input, 0), *kept = parse(&input, PANBIND_SCRIPT_KEEP_GOING);

	if (strict) {
		check_script(strict);
		require(kept && !panbind_script_error(kept, 0));
		require(panbind_script_command_count(kept) == panbind_script_command_count(strict));
	}
	if (kept)
		check_script(kept);
	panbind_script_destroy(strict);
	panbind_script_destroy(kept);
	return 0;
}
