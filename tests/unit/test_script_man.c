/* SPDX-License-Identifier: MIT */
/* The manual of the language says what is true: its examples run, and it has every command as the table has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "script.h"
#include "session_room.h"

#define MANUAL	   PANBIND_SOURCE_DIR "/man/panbind-script.5"
#define EXAMPLES   PANBIND_SOURCE_DIR "/examples/"
#define LINE_BYTES 1024

/* A line of roff as its reader sees it: \- \e \(dq. */
static void unescape(char *line)
{
	static const struct {
		const char *roff, *text;
	} escapes[] = {{"\\-", "-"}, {"\\e", "\\"}, {"\\(dq", "\""}};
	char *out = line;

	for (const char *in = line; *in;) {
		size_t used = 0;

		for (size_t i = 0; i < 3 && used == 0; i++)
			if (strncmp(in, escapes[i].roff, strlen(escapes[i].roff)) == 0) {
				used = strlen(escapes[i].roff);
				*out++ = escapes[i].text[0];
			}
		if (used == 0) {
			*out++ = *in;
			used = 1;
		}
		in += used;
	}
	*out = '\0';
}

static FILE *open_manual(void)
{
	FILE *file = fopen(MANUAL, "r");

	if (!file)
		fail_msg("cannot open %s", MANUAL);
	return file;
}

static void test_every_example_runs(void **state)
{
	FILE *file = open_manual();
	char line[LINE_BYTES], example[65536] = "";
	size_t inside = 0, count = 0;

	while (fgets(line, sizeof(line), file)) {
		if (strcmp(line, ".EX\n") == 0) {
			inside = 1;
			example[0] = '\0';
		} else if (strcmp(line, ".EE\n") == 0) {
			struct session_room *room = session_room_open("sim:");

			session_room_must(room, example);
			assert_true(room->result.ops > 0);
			session_room_close(room);
			inside = 0;
			count++;
		} else if (inside) {
			unescape(line);
			assert_true(strlen(example) + strlen(line) < sizeof(example));
			strcat(example, line);
		}
	}
	fclose(file);
	assert_true(count >= 6);
}

static int manual_has(const char *usage)
{
	FILE *file = open_manual();
	char line[LINE_BYTES], wanted[LINE_BYTES];
	int found = 0;

	snprintf(wanted, sizeof(wanted), ".B %s\n", usage);
	while (!found && fgets(line, sizeof(line), file)) {
		unescape(line);
		found = strcmp(line, wanted) == 0;
	}
	fclose(file);
	return found;
}

static void test_every_command_is_in_the_manual(void **state)
{
	for (size_t i = 0; i < PB_VERB_COUNT; i++) {
		char usage[LINE_BYTES / 2];

		pb_verb_usage((enum pb_verb)i, usage, sizeof(usage));
		if (!manual_has(usage))
			fail_msg("the manual has no line \".B %s\"", usage);
	}
}

/* What the repository shows to newcomers, at its full size. */
static void run_example(const char *name)
{
	static const char *const specs[] = {"sim:", "sim:minor=5"};
	char path[sizeof(EXAMPLES) + 64], text[65536];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", EXAMPLES, name);
	file = fopen(path, "r");
	if (!file)
		fail_msg("cannot open %s", path);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; i < 2; i++) {
		struct session_room *room = session_room_open(specs[i]);

		session_room_must(room, text);
		assert_int_equal(room->gpus, 1);
		assert_true(room->stats.loads > 0);
		assert_int_equal(room->stats.faults, 0);
		assert_int_equal(room->torn, 0);
		session_room_close(room);
	}
}

static void test_virtual_texture_example(void **state)
{
	run_example("virtual-texture.pb");
}

static void test_defrag_example(void **state)
{
	run_example("defrag.pb");
}

static void test_double_buffer_example(void **state)
{
	run_example("double-buffer.pb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_example_runs),	cmocka_unit_test(test_every_command_is_in_the_manual),
		cmocka_unit_test(test_virtual_texture_example), cmocka_unit_test(test_defrag_example),
		cmocka_unit_test(test_double_buffer_example),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
