/* SPDX-License-Identifier: MIT */
/* State at a seq: what each VM maps, as pictures; which objects are alive. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log_fixture.h"

static void setup_names(struct panbind_log *log)
{
	log_vm(log, "tex", 1);
	log_bo(log, "pool", 1, 64);
	log_bo(log, "other", 1, 64);
}

static void every_seq_has_its_picture(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op ops[3];

	setup_names(f->log);
	ops[0] = log_op_map("tex", 0x10, 4, "pool", 0);
	log_ops(f->log, ops, 1);
	ops[0] = log_op_map("tex", 0x11, 1, "other", 7);
	log_ops(f->log, ops, 1);
	ops[0] = log_op_unmap("tex", 0x13, 5);
	ops[1] = log_op_sparse("tex", 0x20, 2);
	ops[2] = log_op_sparse("tex", 0x22, 2);
	log_ops(f->log, ops, 3);
	log_assert_picture(f->log, 3, "tex", "");
	log_assert_picture(f->log, 4, "tex", "10-14=pool+0");
	log_assert_picture(f->log, 5, "tex", "10-11=pool+0 11-12=other+7 12-14=pool+2");
	log_assert_picture(f->log, 6, "tex", "10-11=pool+0 11-12=other+7 12-13=pool+2 20-24=sparse");
	log_assert_picture(f->log, UINT64_MAX, "tex", "10-11=pool+0 11-12=other+7 12-13=pool+2 20-24=sparse");
}

static void only_what_was_applied_counts(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op ops[2];
	struct panbind_log_entry entry;

	setup_names(f->log);
	ops[0] = log_op_map("tex", 1, 1, "pool", 0);
	ops[1] = log_op_map("tex", 2, 1, "pool", 1);
	entry = log_bind_entry(ops, 2);
	entry.result = -EINVAL;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = PANBIND_STAGE_SUBMIT;
	entry.failing_op = 1;
	log_entry(f->log, &entry);
	log_assert_picture(f->log, UINT64_MAX, "tex", "");
	entry.outcome = PANBIND_OUTCOME_PARTIAL;
	entry.applied = 1;
	log_entry(f->log, &entry);
	log_assert_picture(f->log, UINT64_MAX, "tex", "1-2=pool+0");
}

static uint64_t lost_seq_at(struct log_fixture *f, uint64_t seq)
{
	struct panbind_log_state *s;
	uint64_t lost;

	assert_int_equal(panbind_log_state_create(f->log, seq, (struct panbind_log_ref){"tex", 0}, &s, NULL), 0);
	lost = panbind_log_state_vm(s, 0)->lost_seq;
	panbind_log_state_destroy(s);
	return lost;
}

static void an_unknown_end_loses_the_vm_from_there_on(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);

	setup_names(f->log);
	log_ops(f->log, &op, 1);
	entry.result = -EIO;
	entry.outcome = PANBIND_OUTCOME_UNKNOWN;
	entry.stage = PANBIND_STAGE_ROLLBACK;
	log_entry(f->log, &entry);
	assert_int_equal(lost_seq_at(f, 4), 0);
	assert_int_equal(lost_seq_at(f, 5), 5);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(lost_seq_at(f, UINT64_MAX), 5);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_vm_that_is_given_up_is_lost(void **state)
{
	struct log_fixture *f = *state;

	setup_names(f->log);
	log_about(f->log, PANBIND_LOG_VM_LOST, "tex", 1);
	assert_int_equal(lost_seq_at(f, 3), 0);
	assert_int_equal(lost_seq_at(f, 4), 4);
}

static void a_bo_without_a_name_lives_in_its_mappings(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op map = log_op_map("tex", 1, 1, "pool", 0), unmap = log_op_unmap("tex", 1, 1);
	struct panbind_log_state *s;

	setup_names(f->log);
	log_ops(f->log, &map, 1);
	log_about(f->log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	assert_int_equal(panbind_log_state_create(f->log, UINT64_MAX, (struct panbind_log_ref){0}, &s, NULL), 0);
	assert_string_equal(panbind_log_state_bo(s, 0)->object.ref.name, "pool");
	assert_int_equal(panbind_log_state_bo(s, 0)->destroyed_seq, 5);
	assert_string_equal(panbind_log_state_bo(s, 1)->object.ref.name, "other");
	assert_int_equal(panbind_log_state_bo(s, 1)->destroyed_seq, 0);
	assert_null(panbind_log_state_bo(s, 2));
	panbind_log_state_destroy(s);
	log_ops(f->log, &unmap, 1);
	assert_int_equal(panbind_log_state_create(f->log, UINT64_MAX, (struct panbind_log_ref){0}, &s, NULL), 0);
	assert_string_equal(panbind_log_state_bo(s, 0)->object.ref.name, "other");
	assert_null(panbind_log_state_bo(s, 1));
	panbind_log_state_destroy(s);
}

static void generations_are_told_apart(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_state *s;

	setup_names(f->log);
	log_ops(f->log, &op, 1); /* 4 */
	log_about(f->log, PANBIND_LOG_VM_DESTROY, "tex", 1);
	log_vm(f->log, "tex", 2);
	log_assert_picture(f->log, 4, "tex", "1-2=pool+0");
	log_assert_picture(f->log, 6, "tex", "");
	assert_int_equal(panbind_log_state_create(f->log, 5, (struct panbind_log_ref){"tex", 0}, &s, NULL), -ENOENT);
	assert_int_equal(panbind_log_state_create(f->log, 6, (struct panbind_log_ref){"tex", 1}, &s, NULL), -ENOENT);
	assert_int_equal(panbind_log_state_create(f->log, 6, (struct panbind_log_ref){"tex", 2}, &s, NULL), 0);
	assert_int_equal(panbind_log_state_vm(s, 0)->object.ref.generation, 2);
	assert_int_equal(panbind_log_state_vm(s, 0)->created_seq, 6);
	panbind_log_state_destroy(s);
}

static void a_start_ends_everything(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_state *s;

	setup_names(f->log);
	log_ops(f->log, &op, 1);
	log_about(f->log, PANBIND_LOG_START, NULL, 0);
	log_vm(f->log, "tex", 1);
	assert_int_equal(panbind_log_state_create(f->log, UINT64_MAX, (struct panbind_log_ref){0}, &s, NULL), 0);
	assert_non_null(panbind_log_state_vm(s, 0));
	assert_null(panbind_log_state_vm(s, 1));
	assert_null(panbind_log_state_bo(s, 0));
	assert_int_equal(panbind_log_state_mapping_count(s, 0), 0);
	panbind_log_state_destroy(s);
}

static void sparse_regions_are_part_of_the_state(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op ops[3] = {log_op_sparse("tex", 0x10, 0x10), log_op_map("tex", 0x12, 2, "pool", 0),
					log_op_sparse("tex", 0x13, 1)};
	struct panbind_log_state *s;
	uint64_t va, size;

	setup_names(f->log);
	ops[0].type = PANBIND_LOG_SPARSE_RESERVE;
	ops[1].type = PANBIND_LOG_SPARSE_BIND;
	ops[2].type = PANBIND_LOG_SPARSE_UNBIND;
	log_ops(f->log, ops, 3);
	log_assert_picture(f->log, UINT64_MAX, "tex", "10-12=sparse 12-13=pool+0 13-20=sparse");
	assert_int_equal(panbind_log_state_create(f->log, UINT64_MAX, (struct panbind_log_ref){0}, &s, NULL), 0);
	assert_int_equal(panbind_log_state_next_region(s, 0, 0, &va, &size), 0);
	assert_int_equal(va, 0x10 * LOG_PAGE);
	assert_int_equal(size, 0x10 * LOG_PAGE);
	assert_int_equal(panbind_log_state_next_region(s, 0, va + size, &va, &size), -ENOENT);
	panbind_log_state_destroy(s);
	ops[0].type = PANBIND_LOG_SPARSE_RELEASE;
	log_ops(f->log, ops, 1);
	log_assert_picture(f->log, UINT64_MAX, "tex", "");
	assert_int_equal(panbind_log_state_create(f->log, UINT64_MAX, (struct panbind_log_ref){0}, &s, NULL), 0);
	assert_int_equal(panbind_log_state_next_region(s, 0, 0, &va, &size), -ENOENT);
	panbind_log_state_destroy(s);
}

static void a_seq_that_is_not_there_is_refused(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;
	struct panbind_log_state *s;

	setup_names(f->log);
	assert_int_equal(panbind_log_state_create(f->log, 4, (struct panbind_log_ref){0}, &s, &error), -ERANGE);
	panbind_log_compact(f->log, 2, NULL, NULL);
	assert_int_equal(panbind_log_state_create(f->log, 1, (struct panbind_log_ref){0}, &s, &error), -ENODATA);
	assert_int_equal(panbind_log_state_create(f->log, 2, (struct panbind_log_ref){0}, &s, &error), 0);
	assert_int_equal(panbind_log_state_seq(s), 2);
	panbind_log_state_destroy(s);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(every_seq_has_its_picture),
		LOG_TEST(only_what_was_applied_counts),
		LOG_TEST(an_unknown_end_loses_the_vm_from_there_on),
		LOG_TEST(a_vm_that_is_given_up_is_lost),
		LOG_TEST(a_bo_without_a_name_lives_in_its_mappings),
		LOG_TEST(generations_are_told_apart),
		LOG_TEST(a_start_ends_everything),
		LOG_TEST(sparse_regions_are_part_of_the_state),
		LOG_TEST(a_seq_that_is_not_there_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log state", tests, NULL, NULL);
}
