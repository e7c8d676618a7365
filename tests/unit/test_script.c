/* SPDX-License-Identifier: MIT */
/* The script parser: what each line becomes, and where each error points. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "script.h"

static struct panbind_script *parse(const char *text)
{
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};
	int r = panbind_script_parse("test.pb", text, strlen(text), NULL, &script, &error);

	if (r < 0)
		print_error("%u:%u: %s\n", error.line, error.column, error.msg);
	assert_int_equal(r, 0);
	return script;
}

static void assert_name(const struct panbind_script *script, uint32_t name, const char *text)
{
	assert_string_equal(pb_script_name(script, name), text);
}

static void test_map_has_all_its_parts(void **state)
{
	struct panbind_script *script = parse("map vm.0 0x1_0000 64K page-1+0x2000 --readonly --noexec\n");
	const struct pb_command *map = pb_script_command(script, 0);

	assert_int_equal(panbind_script_command_count(script), 1);
	assert_int_equal(map->verb, PB_VERB_MAP);
	assert_name(script, map->name, "vm.0");
	assert_name(script, map->other, "page-1");
	assert_int_equal(map->va, 0x10000);
	assert_int_equal(map->size, 65536);
	assert_int_equal(map->value, 0x2000);
	assert_int_equal(map->options, PB_OPT_READONLY | PB_OPT_NOEXEC);
	assert_int_equal(map->expect, 0);
	panbind_script_destroy(script);
}

static void test_separators_comments_and_continuation(void **state)
{
	struct panbind_script *script = parse("# a comment; not a command\n"
					      "vm create a;vm create b ; # and another\r\n"
					      "\n;;\n"
					      "unmap a \\\n  0 \\\r\n 4K # end\n"
					      "echo \"a # b ; c\"");
	const struct pb_command *unmap = pb_script_command(script, 2);

	assert_int_equal(panbind_script_command_count(script), 4);
	assert_int_equal(pb_script_command(script, 1)->column, 13);
	assert_int_equal(unmap->verb, PB_VERB_UNMAP);
	assert_int_equal(unmap->line, 5);
	assert_int_equal(unmap->size, 4096);
	assert_int_equal(pb_script_command(script, 3)->line, 8);
	assert_string_equal(pb_script_command(script, 3)->extra->text, "a # b ; c");
	panbind_script_destroy(script);
}

static void test_keywords_are_names_where_a_name_stands(void **state)
{
	struct panbind_script *script = parse("vm create map\nmap map 0 4K commit\nvm show list --map\n");

	assert_name(script, pb_script_command(script, 1)->name, "map");
	assert_name(script, pb_script_command(script, 1)->other, "commit");
	assert_name(script, pb_script_command(script, 2)->name, "list");
	panbind_script_destroy(script);
}

static void test_syncs_are_collected_in_order(void **state)
{
	struct panbind_script *script = parse("begin async\n"
					      "sync-only v --wait=a --signal=b:7\n"
					      "map v 0 4K bo --signal=c:0x10 --wait=a:2\n"
					      "commit\n"
					      "syncobj wait b:7 a --timeout=50 --all\n");
	const struct pb_command_extra *first = pb_script_command(script, 1)->extra;
	const struct pb_command_extra *second = pb_script_command(script, 2)->extra;
	const struct pb_command *wait = pb_script_command(script, 4);

	assert_int_equal(pb_script_command(script, 0)->options, PB_OPT_ASYNC);
	assert_int_equal(first->sync_count, 2);
	assert_name(script, first->syncs[0].name, "a");
	assert_false(first->syncs[0].signal);
	assert_true(first->syncs[1].signal);
	assert_int_equal(first->syncs[1].point, 7);
	assert_int_equal(second->syncs[0].point, 16);
	assert_false(second->syncs[1].signal);
	assert_int_equal(wait->extra->sync_count, 2);
	assert_int_equal(wait->value, 50);
	assert_int_equal(wait->options, PB_OPT_TIMEOUT | PB_OPT_ALL);
	panbind_script_destroy(script);
}

static void test_expect_marks_the_command(void **state)
{
	struct panbind_script *script = parse("expect EINVAL map v 1 4K bo\nexpect ENOENT vm destroy v\n");

	assert_int_equal(pb_script_command(script, 0)->expect, EINVAL);
	assert_int_equal(pb_script_command(script, 0)->verb, PB_VERB_MAP);
	assert_int_equal(pb_script_command(script, 0)->column, 15);
	assert_int_equal(pb_script_command(script, 1)->expect, ENOENT);
	panbind_script_destroy(script);
}

static void test_text_is_joined_and_unescaped(void **state)
{
	struct panbind_script *script = parse("echo one   two --three \"a\\tb\\x41\\\"\\$\\\\\"x\nbo label b \"\"\n");

	assert_string_equal(pb_script_command(script, 0)->extra->text, "one two --three a\tbA\"$\\x");
	assert_string_equal(pb_script_command(script, 1)->extra->text, "");
	panbind_script_destroy(script);
}

static void test_blocks_are_known(void **state)
{
	struct panbind_script *none = parse("vm create v\n");
	struct panbind_script *async = parse("begin async\nsync-only v --signal=s\ncommit\n");
	struct panbind_script *txn = parse("echo a\nbegin\nunmap v 0 4K\nrollback\n");

	assert_false(pb_script_has_begin(none));
	assert_false(pb_script_has_blocks(none));
	assert_false(pb_script_has_begin(async));
	assert_true(pb_script_has_blocks(async));
	assert_int_equal(pb_script_first_begin(txn)->line, 2);
	panbind_script_destroy(none);
	panbind_script_destroy(async);
	panbind_script_destroy(txn);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		int code;
		uint64_t value;
		size_t bad;
	} cases[] = {
		{"0", 0, 0, 0},
		{"18446744073709551615", 0, UINT64_MAX, 0},
		{"18446744073709551616", -ERANGE, 0, 0},
		{"0xffffffffffffffff", 0, UINT64_MAX, 0},
		{"0x10000000000000000", -ERANGE, 0, 0},
		{"0xFf_Ff", 0, 0xffff, 0},
		{"1_000K", 0, 1024000, 0},
		{"0x10M", 0, 16u << 20, 0},
		{"16777215T", 0, UINT64_C(16777215) << 40, 0},
		{"16777216T", -ERANGE, 0, 0},
		{"", -EINVAL, 0, 0},
		{"0x", -EINVAL, 0, 1},
		{"_1", -EINVAL, 0, 0},
		{"1_", -EINVAL, 0, 1},
		{"1__0", -EINVAL, 0, 1},
		{"12a", -EINVAL, 0, 2},
		{"64k", -EINVAL, 0, 2},
		{"64KB", -EINVAL, 0, 3},
		{"-1", -EINVAL, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 0;
		size_t bad = 99;
		int r = pb_parse_number(cases[i].text, strlen(cases[i].text), &value, &bad);

		if (r != cases[i].code || (r == 0 && value != cases[i].value) || (r == -EINVAL && bad != cases[i].bad))
			fail_msg("\"%s\": %d, %llu, bad at %zu", cases[i].text, r, (unsigned long long)value, bad);
	}
}

/* Every error: its place, its code, and a word of its sentence, so that the stated reason is the reason. */
static const struct {
	const char *text;
	uint32_t line, column;
	int code;
	const char *says;
} bad_lines[] = {
	{"frob", 1, 1, -EINVAL, "unknown command"},
	{"\nvm frob x", 2, 4, -EINVAL, "create ensure destroy list show"},
	{"vm", 1, 1, -EINVAL, "takes one of"},
	{"map vm 0x1000 4K", 1, 17, -EINVAL, "BO[+OFF] is missing"},
	{"map vm 0x1000 4K bo extra", 1, 21, -EINVAL, "too many"},
	{"map 12 0x1000 4K bo", 1, 5, -EINVAL, "expected a name"},
	{"map vm 0xg 4K bo", 1, 10, -EINVAL, "not a number"},
	{"map vm 0 4KB bo", 1, 12, -EINVAL, "not a number"},
	{"map vm 0 99999999T bo", 1, 10, -ERANGE, "64 bits"},
	{"map vm 0 4K bo+x", 1, 16, -EINVAL, "not a number"},
	{"map vm 0 4K +4", 1, 13, -EINVAL, "expected a name"},
	{"map vm 0 4K bo --nope", 1, 16, -EINVAL, "no option"},
	{"map vm 0 4K bo --readonly=1", 1, 16, -EINVAL, "takes no value"},
	{"map vm 0 4K bo --readonly --readonly", 1, 27, -EINVAL, "twice"},
	{"vm create v --va", 1, 13, -EINVAL, "needs a value"},
	{"vm create v --va=4Q", 1, 19, -EINVAL, "not a number"},
	{"map vm 0 4K bo --wait=s", 1, 16, -EINVAL, "begin async"},
	{"sync-only v --signal=s", 1, 1, -EINVAL, "begin async"},
	{"begin async\nsync-only v", 2, 12, -EINVAL, "--wait"},
	{"begin async\nvm create x\ncommit", 2, 1, -EINVAL, "not possible"},
	{"begin async\nunmap a 0 4K\nunmap b 0 4K\ncommit", 3, 1, -EINVAL, "one VM"},
	{"begin async\nexpect EINVAL unmap a 0 4K\ncommit", 2, 15, -EINVAL, "fails whole"},
	{"begin\nbegin", 2, 1, -EINVAL, "line 1"},
	{"commit", 1, 1, -EINVAL, "without begin"},
	{"echo a\n  begin\n", 2, 3, -EINVAL, "no commit"},
	{"expect EFOO vm list", 1, 8, -EINVAL, "errno"},
	{"expect EINVAL begin", 1, 15, -EINVAL, "cannot be expected"},
	{"expect EINVAL", 1, 14, -EINVAL, "too few words"},
	{"assert state v broken", 1, 16, -EINVAL, "usable"},
	{"gpu resident v yes", 1, 16, -EINVAL, "on|off"},
	{"syncobj wait", 1, 13, -EINVAL, "missing"},
	{"syncobj wait a:x", 1, 16, -EINVAL, "not a number"},
	{"echo \"abc\necho", 1, 6, -EINVAL, "not closed"},
	{"echo \"a\\q\"", 1, 8, -EINVAL, "escape"},
	{"echo \"\\x00\"", 1, 7, -EINVAL, "byte 0"},
	{"echo a\\b", 1, 7, -EINVAL, "backslash"},
	{"echo a\001", 1, 7, -EINVAL, "control character"},
	{"echo $", 1, 6, -EINVAL, "$NAME"},
	{"echo $nope", 1, 7, -EINVAL, "nope is not defined"},
	{"echo ${a", 1, 8, -EINVAL, "not defined"},
	{"define a 1\necho ${a", 2, 9, -EINVAL, "expected }"},
	{"echo $(1 + )", 1, 12, -EINVAL, "expected a number"},
	{"echo $(1 + 2", 1, 7, -EINVAL, "not closed"},
	{"echo $((1 + 2)", 1, 7, -EINVAL, "not closed"},
	{"echo $(1 2)", 1, 10, -EINVAL, "operator"},
	{"echo $(8 / (4 - 4))", 1, 10, -EINVAL, "division by zero"},
	{"echo $(8 % 0)", 1, 10, -EINVAL, "division by zero"},
	{"echo $(1 - 2)", 1, 10, -ERANGE, "below zero"},
	{"echo $(0xffffffffffffffff + 1)", 1, 27, -ERANGE, "64 bits"},
	{"echo $(1T * 1T)", 1, 11, -ERANGE, "64 bits"},
	{"echo $(1 << 64)", 1, 10, -ERANGE, "64 bits"},
	{"echo $(3 << 63)", 1, 10, -ERANGE, "64 bits"},
	{"echo $(nope + 1)", 1, 8, -EINVAL, "nope is not defined"},
	{"define a x\necho $(1 + a)", 2, 12, -EINVAL, "not a number"},
	{"echo $(rand(0))", 1, 12, -EINVAL, "rand(0)"},
	{"echo $(rand 1)", 1, 13, -EINVAL, "expected ("},
	{"echo $(0x_1)", 1, 10, -EINVAL, "bad number"},
	{"define 1a 2", 1, 8, -EINVAL, "cannot be defined"},
	{"define rand 2", 1, 8, -EINVAL, "cannot be defined"},
	{"define a", 1, 9, -EINVAL, "too few"},
	{"define a b c", 1, 12, -EINVAL, "too many"},
	{"repeat x\nend", 1, 8, -EINVAL, "not a number"},
	{"echo a\nrepeat 2\necho b", 2, 1, -EINVAL, "no end"},
	{"repeat 0\necho b", 1, 1, -EINVAL, "no end"},
	{"end", 1, 1, -EINVAL, "without a repeat"},
	{"seed", 1, 5, -EINVAL, "too few"},
	{"include no-such-file.pb", 1, 9, -ENOENT, "cannot open"},
};

static void test_errors_point_at_the_token(void **state)
{
	size_t right = 0;

	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
		struct panbind_script *script = NULL;
		struct panbind_error e = {0};
		int r = panbind_script_parse("t.pb", bad_lines[i].text, strlen(bad_lines[i].text), NULL, &script, &e);

		if (r != bad_lines[i].code || e.code != r || e.stage != PANBIND_STAGE_PARSE ||
		    e.line != bad_lines[i].line || e.column != bad_lines[i].column ||
		    !strstr(e.msg, bad_lines[i].says) || strcmp(e.file, "t.pb") != 0)
			print_error("\"%s\": %d at %s:%u:%u \"%s\"\n", bad_lines[i].text, r, e.file, e.line, e.column,
				    e.msg);
		else
			right++;
		assert_null(script);
	}
	assert_int_equal(right, sizeof(bad_lines) / sizeof(bad_lines[0]));
}

static void test_keep_going_collects_all_errors(void **state)
{
	static const char text[] = "vm create a\n"
				   "frob\n"
				   "map a 0 4K\n"
				   "echo \"open\n"
				   "repeat x y\necho in the body\nend\n"
				   "repeat 3\nunmap a 0 q\nend\n"
				   "vm create b";
	struct panbind_script_options options = {.flags = PANBIND_SCRIPT_KEEP_GOING};
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};
	static const uint32_t lines[] = {2, 3, 4, 5, 9};
	const char *line;
	size_t size;

	assert_int_equal(panbind_script_parse("t.pb", text, strlen(text), &options, &script, &error), 0);
	assert_int_equal(panbind_script_command_count(script), 2);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(panbind_script_error(script, i)->line, lines[i]);
	assert_null(panbind_script_error(script, 5));
	assert_int_equal(error.line, 2);

	assert_int_equal(panbind_script_line(script, panbind_script_error(script, 3), &line, &size), 0);
	assert_int_equal(size, strlen("repeat x y"));
	assert_memory_equal(line, "repeat x y", size);
	error.line = 99;
	assert_int_equal(panbind_script_line(script, &error, &line, &size), -ENOENT);
	panbind_script_destroy(script);
}

static void test_usage_comes_from_the_table(void **state)
{
	char usage[200];

	pb_verb_usage(PB_VERB_BO_CREATE, usage, sizeof(usage));
	assert_string_equal(usage, "bo create NAME SIZE [--vm=VM] [--no-mmap] [--wb]");
	pb_verb_usage(PB_VERB_BO_FILL, usage, sizeof(usage));
	assert_string_equal(usage, "bo fill NAME VALUE [OFF] [LEN]");
	assert_int_equal(pb_verb_usage(PB_VERB_VM_LIST, usage, 4), strlen("vm list"));
	assert_string_equal(usage, "vm ");
	for (size_t i = 0; i < PB_VERB_COUNT; i++) {
		assert_non_null(pb_verbs[i].words[0]);
		assert_non_null(pb_verbs[i].help);
	}
}

static void test_a_command_stays_compact(void **state)
{
	struct panbind_script *script = parse("repeat 10000 i\nmap vm $(i * 4K) 4K bo+$(i * 4K)\nend\n");

	assert_int_equal(panbind_script_command_count(script), 10000);
	assert_true(sizeof(struct pb_command) <= 56);
	assert_true(pb_script_memory(script) < 10000 * 64 + (256 << 10));
	panbind_script_destroy(script);
}

static void test_stamps_know_their_page(void **state)
{
	uint32_t page = 0;

	for (uint32_t i = 0; i < 70000; i += 7) {
		assert_int_equal(pb_stamp_check(pb_stamp(i), &page), 0);
		assert_int_equal(page, i);
		assert_int_equal(pb_stamp_check(pb_stamp(i) ^ 1u << 20, &page), -EINVAL);
		/* Two halves of two stamps are none. */
		assert_int_equal(pb_stamp_check((pb_stamp(i) & UINT32_MAX) |
							(pb_stamp(i + 65536) & ~(uint64_t)UINT32_MAX),
						&page),
				 -EINVAL);
	}
	assert_int_equal(pb_stamp_check(0, &page), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_has_all_its_parts),
		cmocka_unit_test(test_separators_comments_and_continuation),
		cmocka_unit_test(test_keywords_are_names_where_a_name_stands),
		cmocka_unit_test(test_syncs_are_collected_in_order),
		cmocka_unit_test(test_expect_marks_the_command),
		cmocka_unit_test(test_text_is_joined_and_unescaped),
		cmocka_unit_test(test_blocks_are_known),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_errors_point_at_the_token),
		cmocka_unit_test(test_keep_going_collects_all_errors),
		cmocka_unit_test(test_usage_comes_from_the_table),
		cmocka_unit_test(test_a_command_stays_compact),
		cmocka_unit_test(test_stamps_know_their_page),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
