/* SPDX-License-Identifier: MIT */
/* What vanishes while parsing: define, $NAME, $(EXPR), repeat, seed, include, and the bounds on all of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "script.h"

static struct panbind_script *parse_with(const char *text, const struct panbind_script_options *options)
{
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};
	int r = panbind_script_parse("test.pb", text, strlen(text), options, &script, &error);

	if (r < 0)
		print_error("%s:%u:%u: %s\n", error.file, error.line, error.column, error.msg);
	assert_int_equal(r, 0);
	return script;
}

static void assert_echo(const struct panbind_script *script, size_t index, const char *text)
{
	assert_true(index < panbind_script_command_count(script));
	assert_string_equal(pb_script_command(script, index)->extra->text, text);
}

static void test_names_are_put_in(void **state)
{
	struct panbind_script *script = parse_with("define vm gpu\n"
						   "define base 0x10_0000\n"
						   "define text \"two words\"\n"
						   "unmap $vm ${base} 4K\n"
						   "echo $vm-${base}x \"<$text>\"\n"
						   "define base $(base + 1M)\n"
						   "echo $base\n",
						   NULL);

	assert_int_equal(pb_script_command(script, 0)->va, 0x100000);
	assert_echo(script, 1, "gpu-0x10_0000x <two words>");
	assert_echo(script, 2, "2097152");
	panbind_script_destroy(script);
}

static void test_the_caller_has_the_last_word(void **state)
{
	struct panbind_define defines[] = {{"size", "8K"}, {"more", "1"}};
	struct panbind_script_options options = {.defines = defines, .define_count = 2};
	struct panbind_script *script = parse_with("define size 4K\ndefine other 2\necho $size $more $other", &options);

	assert_echo(script, 0, "8K 1 2");
	panbind_script_destroy(script);
}

static void test_arithmetic(void **state)
{
	static const struct {
		const char *expression, *value;
	} cases[] = {
		{"$(1 + 2 * 3)", "7"},	{"$((1 + 2) * 3)", "9"}, {"$(7 / 2 % 2)", "1"},
		{"$(10 - 3 - 2)", "5"}, {"$(1 << 4 | 1)", "17"}, {"$(0xff & 0x0f << 4)", "240"},
		{"$(1 | 2 & 2)", "3"},	{"$(64K>>1)", "32768"},	 {"$(1 >> 70)", "0"},
		{"$(0 << 70)", "0"},	{"$($a*a)", "9"},	 {"$( a-1 )", "2"},
		{"$(1_0)", "10"},	{"x$(1)y$(2)", "x1y2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct panbind_script *script;
		char text[100];

		snprintf(text, sizeof(text), "define a 3\necho %s", cases[i].expression);
		script = parse_with(text, NULL);
		assert_echo(script, 0, cases[i].value);
		panbind_script_destroy(script);
	}
}

static void test_repeats_nest_and_count(void **state)
{
	struct panbind_script *script = parse_with("repeat 2 i\n"
						   "  repeat 3 j; echo $i$j; end\n"
						   "  repeat 0; echo never $nope $(1/0); repeat 2; end; end\n"
						   "  repeat 1\n echo last\n end\n"
						   "end\n"
						   "echo $i",
						   NULL);
	static const char *const lines[] = {"00", "01", "02", "last", "10", "11", "12", "last", "1"};

	assert_int_equal(panbind_script_command_count(script), 9);
	for (size_t i = 0; i < 9; i++)
		assert_echo(script, i, lines[i]);
	assert_int_equal(pb_script_command(script, 4)->line, 2);
	assert_int_equal(pb_script_command(script, 7)->line, 5);
	panbind_script_destroy(script);
}

static void test_a_seed_says_everything(void **state)
{
	static const char text[] =
		"seed 7\nrepeat 50\necho $(rand(1000))\nend\nseed 7\nrepeat 50\necho $(rand(1000))\nend\n"
		"seed 8\nrepeat 50\necho $(rand(1000))\nend\n";
	struct panbind_script *script = parse_with(text, NULL);
	int differ = 0;

	for (size_t i = 0; i < 50; i++) {
		const char *value = pb_script_command(script, i)->extra->text;

		assert_true(atoi(value) < 1000);
		assert_echo(script, i + 50, value);
		differ += strcmp(value, pb_script_command(script, i + 100)->extra->text) != 0;
	}
	assert_true(differ > 40);
	panbind_script_destroy(script);
}

/* splitmix64 from seed 0 begins with 0xe220a8397b1dcdaf: published, so that scripts mean the same for ever. */
static void test_the_generator_is_splitmix64(void **state)
{
	struct panbind_script *script = parse_with("echo $(rand(0x100000000))", NULL);

	assert_echo(script, 0, "3793791033");
	assert_int_equal(UINT64_C(3793791033), UINT64_C(0xe220a8397b1dcdaf) >> 32);
	panbind_script_destroy(script);
}

static void test_stamp_is_a_function(void **state)
{
	struct panbind_script *script = parse_with("assert load v 0 $(stamp(3 + 4))", NULL);

	assert_int_equal(pb_script_command(script, 0)->value, pb_stamp(7));
	panbind_script_destroy(script);
}

static int parse_limited(const char *text, uint64_t commands, uint64_t steps, struct panbind_error *error)
{
	struct panbind_script_options options = {.flags = PANBIND_SCRIPT_KEEP_GOING};
	struct pb_script_limits limits = {commands, steps, 4};
	struct panbind_script *script = NULL;
	int r = pb_script_parse("t.pb", text, strlen(text), &options, &limits, &script, error);

	panbind_script_destroy(script);
	return r;
}

static void test_what_a_short_text_expands_to_is_bounded(void **state)
{
	struct panbind_error error = {0};
	char deep[400] = "";

	/* Too many commands, also when errors do not end the parse. */
	assert_int_equal(parse_limited("repeat 11\necho a\nend", 10, 1000, &error), -E2BIG);
	assert_non_null(strstr(error.msg, "10 commands"));
	assert_int_equal(error.line, 2);
	/* Rounds that make no command. */
	assert_int_equal(parse_limited("repeat 99999999999\nend", 10, 1000, &error), -E2BIG);
	assert_non_null(strstr(error.msg, "1000 lines"));
	assert_int_equal(parse_limited("repeat 100\nrepeat 100\nfrob\nend\nend", 10, 1000, &error), -E2BIG);
	assert_non_null(strstr(error.msg, "1000 lines"));
	/* Depth. */
	for (int i = 0; i < 17; i++)
		strcat(deep, "repeat 1\n");
	for (int i = 0; i < 17; i++)
		strcat(deep, "end\n");
	assert_int_equal(panbind_script_parse("t", deep, strlen(deep), NULL, &(struct panbind_script *){NULL}, &error),
			 -E2BIG);
	assert_int_equal(error.line, 17);
}

static void test_deep_parentheses_and_long_words_are_refused(void **state)
{
	char text[400] = "echo $(";
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};
	const char *grow = "define a 0123456789abcdef\nrepeat 20\ndefine a $a$a\nend\n";

	for (int i = 0; i < 100; i++)
		strcat(text, "(");
	assert_int_equal(panbind_script_parse("t", text, strlen(text), NULL, &script, &error), -E2BIG);
	assert_non_null(strstr(error.msg, "parentheses"));
	assert_int_equal(panbind_script_parse("t", grow, strlen(grow), NULL, &script, &error), -E2BIG);
	assert_non_null(strstr(error.msg, "word is longer"));
}

/* ---- include ---- */

struct file {
	const char *name, *text;
};

static int include_from_table(void *data, const char *from, const char *pattern,
			      int (*add)(void *add_data, const char *name, const char *text, size_t size),
			      void *add_data)
{
	int found = 0, r = 0;

	for (const struct file *file = data; file->name && r == 0; file++) {
		if (strncmp(file->name, pattern, strlen(pattern)) != 0)
			continue;
		found++;
		r = add(add_data, file->name, file->text, strlen(file->text));
	}
	return r < 0 ? r : found ? 0 : -ENOENT;
}

static void test_include_stands_for_the_text(void **state)
{
	static const struct file files[] = {
		{"a.pb", "echo $x\ndefine x 2\n"}, {"b1.pb", "echo b1 $x"}, {"b2.pb", "\necho b2"}, {NULL, NULL}};
	struct panbind_script_options options = {.include = include_from_table, .data = (void *)files};
	struct panbind_script *script =
		parse_with("define x 1\ninclude a.pb\ninclude b; echo end\ninclude a.pb", &options);

	assert_echo(script, 0, "1");
	assert_echo(script, 1, "b1 2");
	assert_echo(script, 2, "b2");
	assert_echo(script, 3, "end");
	assert_echo(script, 4, "2");
	assert_string_equal(pb_script_file(script, pb_script_command(script, 2)), "b2.pb");
	assert_int_equal(pb_script_command(script, 2)->line, 2);
	panbind_script_destroy(script);
}

static int include_error(const struct file *files, const char *text, struct panbind_error *error)
{
	struct panbind_script_options options = {.include = include_from_table, .data = (void *)files};

	return panbind_script_parse("test.pb", text, strlen(text), &options, &(struct panbind_script *){NULL}, error);
}

static void test_include_errors_name_the_file_that_is_wrong(void **state)
{
	static const struct file files[] = {{"bad.pb", "echo a\nfrob"},
					    {"loop.pb", "include other.pb"},
					    {"other.pb", "include loop.pb"},
					    {"repeat.pb", "repeat 2"},
					    {NULL, NULL}};
	struct panbind_error error = {0};

	assert_int_equal(include_error(files, "include bad.pb", &error), -EINVAL);
	assert_string_equal(error.file, "bad.pb");
	assert_int_equal(error.line, 2);
	assert_int_equal(include_error(files, "include loop.pb", &error), -ELOOP);
	assert_string_equal(error.file, "other.pb");
	assert_non_null(strstr(error.msg, "includes itself"));
	assert_int_equal(include_error(files, "include none.pb", &error), -ENOENT);
	assert_string_equal(error.file, "test.pb");
	assert_int_equal(error.column, 9);
	assert_int_equal(include_error(files, "include repeat.pb\nend", &error), -EINVAL);
	assert_string_equal(error.file, "repeat.pb");
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_include_reads_files_relative_to_the_one_that_includes(void **state)
{
	char folder[] = "/tmp/panbind-script-XXXXXX", name[200], path[200];
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};
	const char *text = "include sub/*.pb\ninclude nothing-*.pb\n";

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sub", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(path, "1.pb", "echo one\n");
	write_file(path, "2.pb", "include deep.inc\n");
	write_file(path, "deep.inc", "echo deep\nfrob\n");
	snprintf(name, sizeof(name), "%s/main.pb", folder);

	assert_int_equal(panbind_script_parse(name, text, strlen(text), NULL, &script, &error), -EINVAL);
	assert_non_null(strstr(error.file, "sub/deep.inc"));
	assert_int_equal(error.line, 2);
	write_file(path, "deep.inc", "echo deep\n");
	assert_int_equal(panbind_script_parse(name, text, strlen(text), NULL, &script, &error), 0);
	assert_echo(script, 0, "one");
	assert_echo(script, 1, "deep");
	panbind_script_destroy(script);
	assert_int_equal(panbind_script_parse(name, "include sub", 11, NULL, &script, &error), -EINVAL);
	assert_non_null(strstr(error.msg, "regular file"));

	snprintf(path, sizeof(path), "rm -r %s", folder);
	assert_int_equal(system(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_put_in),
		cmocka_unit_test(test_the_caller_has_the_last_word),
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_repeats_nest_and_count),
		cmocka_unit_test(test_a_seed_says_everything),
		cmocka_unit_test(test_the_generator_is_splitmix64),
		cmocka_unit_test(test_stamp_is_a_function),
		cmocka_unit_test(test_what_a_short_text_expands_to_is_bounded),
		cmocka_unit_test(test_deep_parentheses_and_long_words_are_refused),
		cmocka_unit_test(test_include_stands_for_the_text),
		cmocka_unit_test(test_include_errors_name_the_file_that_is_wrong),
		cmocka_unit_test(test_include_reads_files_relative_to_the_one_that_includes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
