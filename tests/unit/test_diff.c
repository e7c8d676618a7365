/* SPDX-License-Identifier: MIT */
/*
 * The differential fuzzer itself: programs as text, alike devices that are found alike, different ones that are found
 * out with a program that shows nothing but the difference.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compare.h"
#include "corpus.h"
#include "generate.h"
#include "run.h"

#define CORPUS PANBIND_SOURCE_DIR "/tests/diff/corpus"

static char *to_text(const struct diff_program *program)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	diff_write(program, out);
	fclose(out);
	return text;
}

static int from_text(const char *text, struct diff_program *ret_program, unsigned *ret_line)
{
	FILE *in = fmemopen((void *)text, strlen(text), "r");
	int ret = diff_read(in, ret_program, ret_line);

	fclose(in);
	return ret;
}

/* The answer of a program given as text. */
static char *answer(const char *spec, bool careful, const char *text)
{
	struct diff_runner *runner;
	struct diff_program program;
	unsigned line;
	char *got;

	assert_int_equal(from_text(text, &program, &line), 0);
	assert_int_equal(diff_runner_create(spec, careful, &runner), 0);
	got = diff_run(runner, &program);
	diff_runner_destroy(runner);
	diff_program_free(&program);
	return got;
}

static void programs_survive_being_written_and_read(void **state)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct diff_program program = diff_generate(seed), again;
		char *text = to_text(&program), *second;
		unsigned line;

		assert_int_equal(from_text(text, &again, &line), 0);
		second = to_text(&again);
		assert_string_equal(text, second);
		free(text);
		free(second);
		diff_program_free(&program);
		diff_program_free(&again);
	}
}

static void a_seed_is_a_program(void **state)
{
	struct diff_program first = diff_generate(7), second = diff_generate(7), other = diff_generate(8);
	char *a = to_text(&first), *b = to_text(&second), *c = to_text(&other);

	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	free(a);
	free(b);
	free(c);
	diff_program_free(&first);
	diff_program_free(&second);
	diff_program_free(&other);
}

static void what_cannot_be_read_has_a_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} bad[] = {
		{"vm_create > v0\nnonsense\n", 2},
		{"vm_create range=many > v0\n", 1},
		{"vm_create > b0\n", 1},
		{"  map size=0x1000\n", 1},
		{"vm_create @9\n", 1},
		{"bind\n    map\n", 2},
		{"vm_create > v99\n", 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct diff_program program;
		unsigned line;

		assert_int_equal(from_text(bad[i].text, &program, &line), -EINVAL);
		assert_int_equal(line, bad[i].line);
	}
}

static void an_answer_shows_steps_and_what_is_left(void **state)
{
	char *got = answer("sim:", false,
			   "vm_create > v0\n"
			   "bo_create size=0x3000 > b0\n"
			   "bind vm=v0\n"
			   "  map bo=b0 va=0x1000 size=0x1000\n"
			   "  map bo=b0 va=0x2000 offset=0x1000 size=0x1000\n"
			   "  unmap va=0x1 size=0x1000\n");

	assert_string_equal(got, "0 vm_create ret=0 id=1 range=0x800000000000\n"
				 "1 bo_create ret=0 size=0x3000 handle=1\n"
				 "2 bind ret=EINVAL count=2\n"
				 "= @0 vm 1 ret=0 state=0\n"
				 "= @0 vm 1: 0x1000+0x2000=@0:bo1+0x0\n");
	free(got);
}

static void care_leaves_out_what_a_driver_does_not_survive(void **state)
{
	static const char signal[] = "vm_create > v0\nbind vm=v0 flags=0x1\n  sync_only\n    signal_to sync=0x5\n";
	static const char backwards[] = "vm_create > v0\nsync_create > s0\nbind vm=v0 flags=0x1\n  sync_only\n"
					"    wait_for sync=s0\n    signal_to sync=s0\n";
	char *bold = answer("sim:", false, signal), *careful = answer("sim:", true, signal);

	assert_non_null(strstr(bold, "1 bind ret=EINVAL"));
	assert_non_null(strstr(careful, "1 bind left out\n"));
	free(bold);
	free(careful);
	careful = answer("sim:", true, backwards);
	assert_non_null(strstr(careful, "2 bind left out\n"));
	free(careful);
}

/* ---- Two devices ---- */

/* The first program from @seed on that is answered differently, as small as it gets; no steps when none of @count is.
 */
static struct diff_program find_difference(const char *left, const char *right, uint64_t seed, size_t count)
{
	struct diff_side *sides[2];
	struct diff_program found = {0};

	assert_int_equal(diff_side_open(left, NULL, false, &sides[0]), 0);
	assert_int_equal(diff_side_open(right, NULL, false, &sides[1]), 0);
	for (size_t i = 0; i < count && !found.steps; i++) {
		struct diff_program program = diff_generate(seed + i);
		char *answers[2][1], **arrays[2] = {answers[0], answers[1]};

		assert_int_equal(diff_run_both(sides, &program, 1, arrays), 0);
		if (diff_differs(answers[0][0], answers[1][0], NULL)) {
			assert_int_equal(diff_shrink(sides, &program), 0);
			found = program;
		} else {
			diff_program_free(&program);
		}
		free(answers[0][0]);
		free(answers[1][0]);
	}
	diff_side_close(sides[0]);
	diff_side_close(sides[1]);
	return found;
}

static void assert_shrinks_to(const char *left, const char *right, const char *const *types)
{
	struct diff_program found = find_difference(left, right, 1, 300);
	char *text = to_text(&found);
	uint32_t i = 0;

	for (; types[i]; i++)
		if (i >= found.steps || strcmp(found.step[i].type->name, types[i]) != 0)
			fail_msg("this is not the smallest program:\n%s", text);
	assert_int_equal(found.steps, i);
	free(text);
	diff_program_free(&found);
}

static void a_simulator_is_as_itself(void **state)
{
	struct test_random random = test_random_start("programs on two simulators");
	struct diff_program found = find_difference("sim:", "sim:", test_random(&random), test_rounds(300, 20000));
	char *text = to_text(&found);

	if (found.steps)
		fail_msg("answered differently:\n%s", text);
	free(text);
}

static void another_width_of_addresses_takes_one_step_to_see(void **state)
{
	assert_shrinks_to("sim:", "sim:va-bits=39", (const char *const[]){"vm_create", NULL});
}

static void a_fault_in_the_third_bo_takes_three_steps_to_see(void **state)
{
	assert_shrinks_to("sim:", "sim:fault=BO_CREATE#3=ENOMEM",
			  (const char *const[]){"bo_create", "bo_create", "bo_create", NULL});
}

static void a_fault_in_the_middle_shows_in_the_mappings_only(void **state)
{
	struct diff_program found = find_difference("sim:minor=0", "sim:minor=0,fault=op=3:ENOMEM:mid", 1, 300);

	/* Four ops to get there, a VM, and where something is lost, a BO. */
	assert_in_range(found.steps, 2, 4);
	diff_program_free(&found);
}

/* ---- The past ---- */

static void old_differences_are_answered_as_the_driver_does(void **state)
{
	struct diff_side *side;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int bad;

	assert_int_equal(diff_side_open("sim:minor=0,atomic=off", NULL, false, &side), 0);
	bad = diff_corpus(CORPUS, side, out);
	fclose(out);
	if (bad)
		fail_msg("%d programs of %s:\n%s", bad, CORPUS, text);
	free(text);
	diff_side_close(side);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_survive_being_written_and_read),
		cmocka_unit_test(a_seed_is_a_program),
		cmocka_unit_test(what_cannot_be_read_has_a_line),
		cmocka_unit_test(an_answer_shows_steps_and_what_is_left),
		cmocka_unit_test(care_leaves_out_what_a_driver_does_not_survive),
		cmocka_unit_test(a_simulator_is_as_itself),
		cmocka_unit_test(another_width_of_addresses_takes_one_step_to_see),
		cmocka_unit_test(a_fault_in_the_third_bo_takes_three_steps_to_see),
		cmocka_unit_test(a_fault_in_the_middle_shows_in_the_mappings_only),
		cmocka_unit_test(old_differences_are_answered_as_the_driver_does),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
