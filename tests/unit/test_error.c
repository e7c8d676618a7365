/* SPDX-License-Identifier: MIT */
/* Errors: what is filled, how texts are cut, and that names and numbers go both ways. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

static void set_fills_code_stage_and_message(void **state)
{
	struct panbind_error err;

	memset(&err, 0xa5, sizeof(err));
	assert_int_equal(pb_error_set(&err, -ENOMEM, PANBIND_STAGE_SUBMIT, "no memory for %d ops", 3), -ENOMEM);
	assert_int_equal(err.code, -ENOMEM);
	assert_int_equal(err.stage, PANBIND_STAGE_SUBMIT);
	assert_int_equal(err.op, PANBIND_NO_OP);
	assert_int_equal(err.line, 0);
	assert_int_equal(err.column, 0);
	assert_int_equal(err.size, 0);
	assert_string_equal(err.file, "");
	assert_string_equal(err.msg, "no memory for 3 ops");
}

static void null_error_only_returns_the_code(void **state)
{
	assert_int_equal(pb_error_set(NULL, -EIO, PANBIND_STAGE_SUBMIT, "x"), -EIO);
	assert_int_equal(pb_error_at_op(NULL, -EIO, PANBIND_STAGE_SUBMIT, 1, 2, 3, "x"), -EIO);
	assert_int_equal(pb_error_at_place(NULL, -EIO, PANBIND_STAGE_PARSE, "f", 1, 2, "x"), -EIO);
}

static void at_op_tells_the_op_and_the_range(void **state)
{
	struct panbind_error err;

	pb_error_at_op(&err, -EINVAL, PANBIND_STAGE_VALIDATE, 7, 0x1000, 0x2000, "past the end");
	assert_int_equal(err.op, 7);
	assert_int_equal(err.va, 0x1000);
	assert_int_equal(err.size, 0x2000);
	assert_int_equal(err.stage, PANBIND_STAGE_VALIDATE);
	assert_string_equal(err.msg, "past the end");
}

static void at_place_tells_file_line_and_column(void **state)
{
	struct panbind_error err;

	pb_error_at_place(&err, -EINVAL, PANBIND_STAGE_PARSE, "swap.pb", 3, 9, "unknown verb");
	assert_string_equal(err.file, "swap.pb");
	assert_int_equal(err.line, 3);
	assert_int_equal(err.column, 9);
	assert_int_equal(err.op, PANBIND_NO_OP);
}

static void a_long_file_name_keeps_its_tail(void **state)
{
	struct panbind_error err;
	char file[300];

	memset(file, 'd', sizeof(file));
	memcpy(file + sizeof(file) - 9, "/tail.pb", 9);
	pb_error_at_place(&err, -EINVAL, PANBIND_STAGE_PARSE, file, 1, 1, "x");
	assert_int_equal(strlen(err.file), sizeof(err.file) - 1);
	assert_string_equal(err.file + strlen(err.file) - 8, "/tail.pb");

	file[95] = '\0'; /* just fits */
	pb_error_at_place(&err, -EINVAL, PANBIND_STAGE_PARSE, file, 1, 1, "x");
	assert_string_equal(err.file, file);
}

static void a_cut_does_not_split_a_character(void **state)
{
	struct panbind_error err;
	char text[400] = "";

	for (int shift = 0; shift < 4; shift++) {
		size_t n = (size_t)shift;

		memset(text, 'a', n);
		text[n] = '\0';
		while (strlen(text) + 5 < sizeof(text))
			strcat(text, "\xf0\x9f\x8e\xae"); /* four bytes */
		pb_error_at_place(&err, -EINVAL, PANBIND_STAGE_PARSE, text + n, 1, 1, "%s", text);
		assert_int_equal((strlen(err.msg) - n) % 4, 0);
		assert_true(strlen(err.msg) > sizeof(err.msg) - 5);
		assert_int_equal(strlen(err.file) % 4, 0);
		assert_memory_equal(err.file, "\xf0\x9f\x8e\xae", 4);
	}
}

static void a_message_that_just_fits_is_whole(void **state)
{
	struct panbind_error err;
	char text[sizeof(err.msg)];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(text + sizeof(text) - 3, "\xc3\xa9", 2); /* e acute, whole */
	pb_error_set(&err, -EINVAL, PANBIND_STAGE_PARSE, "%s", text);
	assert_string_equal(err.msg, text);
}

static void a_message_is_one_line(void **state)
{
	struct panbind_error err;

	pb_error_set(&err, -EINVAL, PANBIND_STAGE_PARSE, "no VM named %s", "a\nb\tc\x7f");
	assert_string_equal(err.msg, "no VM named a b c ");
}

static void an_error_can_be_wrapped_into_itself(void **state)
{
	struct panbind_error err;

	pb_error_at_place(&err, -EIO, PANBIND_STAGE_PARSE, "inner.pb", 1, 1, "inner");
	pb_error_at_place(&err, -EIO, PANBIND_STAGE_ROLLBACK, err.file, 2, 1, "outer: %s", err.msg);
	assert_string_equal(err.msg, "outer: inner");
	assert_string_equal(err.file, "inner.pb");
	pb_error_set(&err, -EIO, PANBIND_STAGE_ROLLBACK, "more: %s", err.msg);
	assert_string_equal(err.msg, "more: outer: inner");
}

static void errno_names_go_both_ways(void **state)
{
	assert_string_equal(panbind_errno_name(EINVAL), "EINVAL");
	assert_string_equal(panbind_errno_name(-EINVAL), "EINVAL");
	assert_string_equal(panbind_errno_name(-EUCLEAN), "EUCLEAN");
	assert_string_equal(panbind_errno_name(100000), "E?");
	assert_string_equal(panbind_errno_name(INT_MIN), "E?");
	for (int err = 1; err < 200; err++) {
		const char *name = panbind_errno_name(-err);

		assert_int_equal(panbind_errno_from_name(name), strcmp(name, "E?") == 0 ? 0 : err);
	}
}

static void errno_aliases_are_known_and_nonsense_is_not(void **state)
{
	assert_int_equal(panbind_errno_from_name("EWOULDBLOCK"), EAGAIN);
	assert_int_equal(panbind_errno_from_name("ENOTSUP"), EOPNOTSUPP);
	assert_int_equal(panbind_errno_from_name("EDEADLOCK"), EDEADLK);
	assert_int_equal(panbind_errno_from_name("einval"), 0);
	assert_int_equal(panbind_errno_from_name("EINVA"), 0);
	assert_int_equal(panbind_errno_from_name(""), 0);
	assert_int_equal(panbind_errno_from_name("0"), 0);
	assert_int_equal(panbind_errno_from_name(NULL), 0);
}

static void enums_have_names_and_strangers_a_question_mark(void **state)
{
	assert_string_equal(panbind_stage_name(PANBIND_STAGE_PARSE), "parse");
	assert_string_equal(panbind_stage_name(PANBIND_STAGE_JOURNAL), "journal");
	assert_string_equal(panbind_stage_name((enum panbind_stage)99), "?");
	assert_string_equal(panbind_outcome_name(PANBIND_OUTCOME_APPLIED), "applied");
	assert_string_equal(panbind_outcome_name(PANBIND_OUTCOME_ROLLED_BACK), "rolled-back");
	assert_string_equal(panbind_outcome_name(PANBIND_OUTCOME_PARTIAL), "partial");
	assert_string_equal(panbind_outcome_name(PANBIND_OUTCOME_UNKNOWN), "unknown");
	assert_string_equal(panbind_outcome_name((enum panbind_outcome)99), "?");
	assert_string_equal(panbind_vm_state_name(PANBIND_VM_USABLE), "usable");
	assert_string_equal(panbind_vm_state_name(PANBIND_VM_UNUSABLE), "unusable");
	assert_string_equal(panbind_vm_state_name(PANBIND_VM_POISONED), "poisoned");
	assert_string_equal(panbind_vm_state_name((enum panbind_vm_state)99), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_code_stage_and_message),
		cmocka_unit_test(null_error_only_returns_the_code),
		cmocka_unit_test(at_op_tells_the_op_and_the_range),
		cmocka_unit_test(at_place_tells_file_line_and_column),
		cmocka_unit_test(a_long_file_name_keeps_its_tail),
		cmocka_unit_test(a_cut_does_not_split_a_character),
		cmocka_unit_test(a_message_that_just_fits_is_whole),
		cmocka_unit_test(a_message_is_one_line),
		cmocka_unit_test(an_error_can_be_wrapped_into_itself),
		cmocka_unit_test(errno_names_go_both_ways),
		cmocka_unit_test(errno_aliases_are_known_and_nonsense_is_not),
		cmocka_unit_test(enums_have_names_and_strangers_a_question_mark),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
