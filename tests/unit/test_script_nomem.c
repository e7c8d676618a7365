/* SPDX-License-Identifier: MIT */
/* The parser and the session when memory runs out, at every allocation in turn: an error, nothing lost, nothing left.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_malloc.h"
#include "session_room.h"

static const char text[] = "define page 4K\nseed 3\n"
			   "vm create a\nbo create x $(16 * page)\nbo label x \"a \\\"label\\\"\"\nsyncobj create s\n"
			   "repeat 40 i\nmap a $(0x10000 + i * page) 4K x+$(i % 16 * page)\nend\n"
			   "sparse reserve a 0x10000000 4M\nsparse bind a 0x10000000 64K x\n"
			   "sparse unbind a 0x10000000 4K\nexpect EINVAL map a 1 4K x\n"
			   "vm create b; map b 0 4K x; bo destroy x; sparse release a 0x10000000 4M\n"
			   "assert sparse a 0x10000000 4K\n"; /* fails: all of it is undone */

static int include_once(void *data, const char *from, const char *pattern,
			int (*add)(void *add_data, const char *name, const char *text, size_t size), void *add_data)
{
	return add(add_data, pattern, text, sizeof(text) - 1);
}

static void test_parsing_without_memory(void **state)
{
	struct panbind_define defines[] = {{"more", "1"}};
	struct panbind_script_options options = {.defines = defines, .define_count = 1, .include = include_once};
	static const char outer[] = "include inner\necho $more\n";
	size_t good = 0;
	int r;

	do {
		struct panbind_script *script = NULL;
		struct panbind_error error = {0};

		failing_malloc_after(good++);
		options.flags = good % 2 ? PANBIND_SCRIPT_KEEP_GOING : 0;
		r = panbind_script_parse("outer", outer, sizeof(outer) - 1, &options, &script, &error);
		failing_malloc_after(SIZE_MAX);
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(error.code, -ENOMEM);
			assert_null(script);
		}
		panbind_script_destroy(script);
	} while (r < 0);
	assert_true(good > 10);
}

static struct panbind_script *parse_whole(void)
{
	struct panbind_script *script = NULL;

	assert_int_equal(panbind_script_parse("t", text, sizeof(text) - 1, NULL, &script, NULL), 0);
	return script;
}

/* The script fails in its last line; before that it must fail of memory alone, and always be undone. */
static void test_running_without_memory(void **state)
{
	struct panbind_script *script = parse_whole();
	size_t good = 0;
	int r;

	do {
		struct session_room *room = session_room_open("sim:");
		struct panbind_run_result result;
		struct panbind_error error = {0};
		char *dump;

		failing_malloc_after(good++);
		r = panbind_session_run(room->session, script, 0, &result, &error);
		failing_malloc_after(SIZE_MAX);
		if (r != -ENOMEM && r != -EPROTO)
			fail_msg("after %zu allocations: %s (%s)", good - 1, error.msg, panbind_errno_name(r));
		/* The simulated driver is without memory too: an undo that it fails is one more error. */
		assert_true(room->failed_undos == (result.outcome > PANBIND_OUTCOME_ROLLED_BACK));
		assert_int_equal(error.code, r);
		dump = session_room_dump(room);
		assert_string_equal(dump, "# panbind state\n");
		free(dump);
		session_room_close(room);
	} while (r == -ENOMEM);
	assert_true(good > 30);
	panbind_script_destroy(script);
}

static void test_dumping_and_planning_without_memory(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_script *script = NULL;
	static const char more[] = "map a 0x20000000 4K y\n";
	size_t good = 0;
	int r;

	session_room_must(room, "vm create a\nbo create y 4K\nbo create gone 4K\nmap a 0 4K gone\nbo destroy gone\n");
	assert_int_equal(panbind_script_parse("t", more, sizeof(more) - 1, NULL, &script, NULL), 0);
	do {
		char *dump = NULL;

		failing_malloc_after(good++);
		r = panbind_session_dump(room->session, "a", &dump);
		failing_malloc_after(SIZE_MAX);
		assert_true(r == 0 || (r == -ENOMEM && !dump));
		free(dump);
	} while (r < 0);
	good = 0;
	do {
		failing_malloc_after(good++);
		r = panbind_session_run(room->session, script, PANBIND_RUN_PLAN, NULL, NULL);
		failing_malloc_after(SIZE_MAX);
		assert_true(r == 0 || r == -ENOMEM);
	} while (r < 0);
	assert_true(good > 10);
	panbind_script_destroy(script);
	session_room_close(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parsing_without_memory),
		cmocka_unit_test(test_running_without_memory),
		cmocka_unit_test(test_dumping_and_planning_without_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
