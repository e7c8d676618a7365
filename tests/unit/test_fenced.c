/* SPDX-License-Identifier: MIT */
/*
 * Fenced blocks: all ops in one asynchronous bind between a wait and a signal, what is known of it when the command
 * returns, and a script that is fenced as a whole.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_room.h"

static struct session_room *open_basic(const char *spec)
{
	struct session_room *room = session_room_open(spec);

	session_room_must(room, "vm create a\nvm create b\nbo create x 64K\nbo create y 64K\n"
				"syncobj create s\nsyncobj create t\nsyncobj create ready --signaled");
	return room;
}

static void assert_fails(struct session_room *room, const char *text, int code, enum panbind_stage stage, uint32_t line,
			 const char *why)
{
	assert_int_equal(session_room_run(room, text, 0), code);
	assert_int_equal(room->error.stage, stage);
	assert_int_equal(room->error.line, line);
	if (!strstr(room->error.msg, why))
		fail_msg("'%s' does not say '%s'", room->error.msg, why);
}

/* ---- Blocks ---- */

static void test_without_a_signal_the_result_is_known(void **state)
{
	struct session_room *room = open_basic("sim:");

	/* A synchronous bind of the same range is refused as long as an asynchronous one is in flight: none is. */
	session_room_must(room, "begin fenced\nmap a 0 16K x\nmap a 32K 16K y\ncommit\n"
				"unmap a 0 4K\nassert mapped a 4K 12K x+4K\nassert mapped a 32K 16K y");
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_APPLIED);
	assert_int_equal(room->result.ops, 3);
	session_room_close(room);
}

static void test_the_first_op_waits_and_the_last_one_signals(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "begin async\nsync-only a --wait=ready --signal=s:1\ncommit\n"
				"begin fenced --wait=s:1 --wait=ready --signal=t:7 --signal=s:2\n"
				"map a 0 4K x\nunmap a 1M 4K\nmap a 2M 4K y\ncommit\n"
				"syncobj wait t:7 s:2 --all\nassert point t 7\nassert mapped a 2M 4K y");
	session_room_close(room);
}

static void test_what_does_not_belong_into_a_fenced_block(void **state)
{
	static const struct {
		const char *text, *why;
		uint32_t line;
	} bad[] = {
		{"begin fenced\nmap a 0 4K x --wait=s\ncommit", "those of its begin", 2},
		{"begin fenced\nsync-only a --signal=s\ncommit", "those of its begin", 2},
		{"begin fenced\nmap a 0 4K x\nmap b 0 4K x\ncommit", "one begin fenced is one VM_BIND of one VM", 3},
		{"begin fenced\nsparse reserve a 0 4K\ncommit", "not possible between begin fenced and commit", 2},
		{"begin --wait=s\nmap a 0 4K x\ncommit", "those of begin fenced", 1},
		{"begin async --signal=s\nmap a 0 4K x\ncommit", "those of begin fenced", 1},
		{"begin sideways\ncommit", "expected async|fenced", 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct panbind_error error = {0};
		struct panbind_script *script = NULL;

		assert_int_equal(panbind_script_parse("t", bad[i].text, strlen(bad[i].text), NULL, &script, &error),
				 -EINVAL);
		assert_int_equal(error.line, bad[i].line);
		if (!strstr(error.msg, bad[i].why))
			fail_msg("'%s' does not say '%s'", error.msg, bad[i].why);
	}
}

static void test_what_is_refused_at_entry_has_done_nothing(void **state)
{
	struct session_room *room = open_basic("sim:fault=VM_BIND#1=ENOMEM");

	assert_fails(room, "begin fenced\nmap a 0 4K x\nmap a 4K 4K y\ncommit", -ENOMEM, PANBIND_STAGE_SUBMIT, 4,
		     "refused");
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_fails(room, "begin fenced\nmap a 0 4K x\nmap a 4K 4K y+64K\ncommit", -EINVAL, PANBIND_STAGE_VALIDATE, 3,
		     "passes the end");
	assert_fails(room, "begin fenced --signal=nope\nmap a 0 4K x\ncommit", -ENOENT, PANBIND_STAGE_VALIDATE, 2,
		     "no syncobj nope");
	assert_int_equal(session_room_run(room, "begin fenced --signal=nope\nmap a 0 4K x\ncommit", PANBIND_RUN_CHECK),
			 -ENOENT);
	session_room_must(room, "assert unmapped a 0 1M\nassert state a usable");
	session_room_close(room);
}

static void test_a_failure_in_the_middle_costs_the_vm(void **state)
{
	static const char *const specs[] = {
		"sim:minor=0,fault=VM_BIND#1:op=1:ENOMEM",
		"sim:minor=9,fault=VM_BIND#1:op=1:ENOMEM",
		"sim:minor=0,fault=VM_BIND#1:op=1:ENOMEM:mid",
		"sim:minor=9,fault=VM_BIND#1:op=1:ENOMEM:mid",
	};

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct session_room *room = open_basic(specs[i]);

		assert_fails(room, "begin fenced\nmap a 0 4K x\nmap a 1M 4K y\nmap a 2M 4K y\ncommit\necho not reached",
			     -EIO, PANBIND_STAGE_COMPLETE, 5, "failed while it ran");
		assert_int_equal(room->result.outcome, PANBIND_OUTCOME_UNKNOWN);
		assert_string_equal(room->output, "");
		session_room_must(room, "assert state a unusable\nexpect EUCLEAN map a 0 4K x\nmap b 0 4K x");
		session_room_close(room);
	}
}

static void test_with_a_named_signal_the_failure_shows_behind_it(void **state)
{
	struct session_room *room = open_basic("sim:fault=VM_BIND#1:op=1:ENOMEM");

	session_room_must(room, "begin fenced --signal=s\nmap a 0 4K x\nmap a 1M 4K y\ncommit\nsyncobj wait s\n"
				"assert state a unusable");
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_APPLIED);
	session_room_close(room);
}

static void test_a_failure_may_be_expected(void **state)
{
	struct session_room *room = open_basic("sim:fault=VM_BIND#1:op=1:ENOMEM");

	session_room_must(room, "begin fenced\nmap a 0 4K x\nmap a 1M 4K y\nexpect EIO commit\n"
				"assert state a unusable");
	session_room_close(room);
}

/* ---- What a plan says ---- */

static void test_the_plan_says_what_is_promised(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_run(room, "begin fenced --wait=ready --signal=s\nmap a 0 4K x\nmap a 1M 4K y\ncommit",
			 PANBIND_RUN_PLAN);
	assert_int_equal(room->plans, 2);
	assert_int_equal(room->guarantee, PANBIND_GUARANTEE_FENCED);
	session_room_run(room, "begin fenced\nmap a 0 4K x\nmap a 1M 4K y\ncommit", PANBIND_RUN_PLAN);
	assert_int_equal(room->guarantee, PANBIND_GUARANTEE_FENCED);
	/* Neighbours become one op, which no access sees half done. */
	session_room_run(room, "begin fenced\nmap a 0 4K x\nmap a 4K 4K x+4K\ncommit", PANBIND_RUN_PLAN);
	assert_int_equal(room->guarantee, PANBIND_GUARANTEE_ACCESS);
	session_room_must(room, "assert unmapped a 0 4M");
	session_room_close(room);
}

/* ---- A script fenced as a whole ---- */

static struct panbind_script *parse(const char *text)
{
	struct panbind_script *script = NULL;

	assert_int_equal(panbind_script_parse("whole", text, strlen(text), NULL, &script, NULL), 0);
	return script;
}

static void test_a_whole_script_is_fenced(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_script *script = parse("vm create a\nbo create x 64K\nsyncobj create go --signaled\n"
					      "map a 0 4K x\nrepeat 2000 i\nmap a $(1M + i * 8K) 4K x\nend\n"
					      "assert mapped a 1M 4K x\nassert mapped a $(1M + 1999 * 8K) 4K x\n");
	struct panbind_run_result result;
	size_t count = panbind_script_command_count(script);

	assert_int_equal(panbind_script_fence(script, "go", NULL, NULL), 0);
	assert_int_equal(panbind_script_command_count(script), count + 2);
	assert_false(panbind_script_is_one_transaction(script));
	assert_int_equal(panbind_session_run(room->session, script, 0, &result, NULL), 0);
	assert_int_equal(result.ops, 2001);
	assert_int_equal(panbind_script_fence(script, NULL, NULL, NULL), -EINVAL); /* it has a block now */
	panbind_script_destroy(script);

	script = parse("map a 0 4K x\nunmap a 1M 4K\n");
	assert_int_equal(panbind_script_fence(script, NULL, NULL, NULL), 0);
	assert_true(panbind_script_is_one_transaction(script));
	panbind_script_destroy(script);

	script = parse("echo nothing is bound\n");
	assert_int_equal(panbind_script_fence(script, "not a name", NULL, NULL), 0);
	assert_int_equal(panbind_script_command_count(script), 1);
	panbind_script_destroy(script);
	session_room_close(room);
}

static void test_what_cannot_be_fenced_says_why(void **state)
{
	static const struct {
		const char *text, *why;
		uint32_t line;
	} bad[] = {
		{"map a 0 4K x\nbegin\nmap a 4K 4K x\ncommit", "blocks of its own", 2},
		{"map a 0 4K x\necho in between\nmap a 4K 4K x", "stands between its ops", 2},
		{"map a 0 4K x\nmap b 0 4K x", "this op is of another", 2},
		{"sparse reserve a 0 4K", "list of sparse regions", 1},
		{"ensure a 0 4K x", "looks before it binds", 1},
		{"map a 0 4K x\nexpect EINVAL map a 1 4K x", "expected to fail", 2},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct panbind_script *script = parse(bad[i].text);
		struct panbind_error error = {0};
		size_t count = panbind_script_command_count(script);

		assert_int_equal(panbind_script_fence(script, NULL, NULL, &error), -EINVAL);
		assert_int_equal(error.stage, PANBIND_STAGE_PARSE);
		assert_int_equal(error.line, bad[i].line);
		if (!strstr(error.msg, bad[i].why))
			fail_msg("'%s' does not say '%s'", error.msg, bad[i].why);
		assert_int_equal(panbind_script_command_count(script), count);
		panbind_script_destroy(script);
	}
}

static void test_a_fence_has_a_name_and_a_point(void **state)
{
	static const char *const bad[] = {"", "7", "a b", "a:", "a:x", "a:0", "a:1:2", ":3", "a\nunmap v 0 4K"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct panbind_script *script = parse("map a 0 4K x");

		assert_int_equal(panbind_script_fence(script, bad[i], NULL, NULL), -EINVAL);
		assert_int_equal(panbind_script_fence(script, NULL, bad[i], NULL), -EINVAL);
		assert_int_equal(panbind_script_command_count(script), 1);
		assert_int_equal(panbind_script_fence(script, "a", "b.c-d:0x10", NULL), 0);
		panbind_script_destroy(script);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_signal_the_result_is_known),
		cmocka_unit_test(test_the_first_op_waits_and_the_last_one_signals),
		cmocka_unit_test(test_what_does_not_belong_into_a_fenced_block),
		cmocka_unit_test(test_what_is_refused_at_entry_has_done_nothing),
		cmocka_unit_test(test_a_failure_in_the_middle_costs_the_vm),
		cmocka_unit_test(test_with_a_named_signal_the_failure_shows_behind_it),
		cmocka_unit_test(test_a_failure_may_be_expected),
		cmocka_unit_test(test_the_plan_says_what_is_promised),
		cmocka_unit_test(test_a_whole_script_is_fenced),
		cmocka_unit_test(test_what_cannot_be_fenced_says_why),
		cmocka_unit_test(test_a_fence_has_a_name_and_a_point),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
