/* SPDX-License-Identifier: MIT */
/* Replay of asynchronous binds: as they were, with waits and signals, in their order, and with their ends compared. */
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
#include "panbind.h"

static char told[512]; /* of the last difference */

static void listen(void *data, const struct panbind_log_difference *difference)
{
	snprintf(told, sizeof(told), "%llu: %s", (unsigned long long)difference->seq, difference->msg);
}

static struct panbind_log_replay_result replay(struct log_fixture *f, const char *spec)
{
	struct panbind_log_replay_options options = {.verify = PANBIND_LOG_VERIFY_EACH, .difference = listen};
	struct panbind_log_replay_result result;
	struct panbind_device *device;
	struct panbind_error error;

	told[0] = '\0';
	assert_int_equal(panbind_device_open(spec, &device, NULL), 0);
	if (panbind_log_replay(f->log, device, &options, &result, &error) < 0)
		fail_msg("%s", error.msg);
	panbind_device_unref(device);
	return result;
}

static void replay_well(struct log_fixture *f)
{
	struct panbind_log_replay_result result = replay(f, "sim:");

	assert_string_equal(told, "");
	assert_int_equal(result.differences, 0);
	assert_int_equal(result.skipped, 0);
}

static uint64_t log_async(struct panbind_log *log, struct panbind_log_op op, const char *syncs)
{
	struct panbind_log_entry entry;

	op.syncs = syncs;
	entry = log_bind_entry(&op, 1);
	entry.flags = PANBIND_LOG_ASYNC;
	return log_entry(log, &entry);
}

static void fill(struct panbind_log *log)
{
	log_vm(log, "tex", 1);
	log_vm(log, "tmp", 1);
	log_bo(log, "pool", 1, 64); /* 3 */
}

static void a_chain_over_two_vms_is_repeated(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op over = log_op_map("tex", 0x12, 1, "pool", 9),
				    sync_only = {.type = PANBIND_LOG_SYNC_ONLY, .vm = {"tmp", 1}};

	fill(f->log);
	/* The first waits for what somebody signalled, the second for the first, and a synchronous bind cuts into both.
	 */
	log_async(f->log, log_op_map("tex", 0x10, 8, "pool", 0), "wait=host:7 signal=a:1");
	log_async(f->log, log_op_map("tmp", 0x10, 8, "pool", 0), "wait=a:1 signal=b signal=a:2");
	log_async(f->log, sync_only, "wait=b wait=a:2 signal=host:8");
	log_async(f->log, log_op_unmap("tex", 0x10, 2), "wait=host:8");
	log_ops(f->log, &over, 1);
	replay_well(f);
	panbind_log_compact(f->log, 5, NULL, NULL);
	replay_well(f); /* what the rest waits for is in nobody's hands any more */
}

static void points_that_come_again_were_reset(void **state)
{
	struct log_fixture *f = *state;

	fill(f->log);
	for (unsigned int round = 0; round < 3; round++) {
		log_async(f->log, log_op_map("tex", 0x10, 4, "pool", round), "signal=a:1 signal=bin");
		log_async(f->log, log_op_map("tmp", 0x10, 4, "pool", round), "wait=a:1 wait=bin signal=a:2");
	}
	replay_well(f);
}

static void sparse_ranges_are_bound_asynchronously_too(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_sparse("tex", 0x400, 0x400);

	fill(f->log);
	op.type = PANBIND_LOG_SPARSE_RESERVE;
	log_ops(f->log, &op, 1);
	op = log_op_map("tex", 0x400, 4, "pool", 0);
	op.type = PANBIND_LOG_SPARSE_BIND;
	log_async(f->log, op, "signal=s:1");
	op = log_op_sparse("tex", 0x401, 1);
	op.type = PANBIND_LOG_SPARSE_UNBIND;
	log_async(f->log, op, "wait=s:1 signal=s:2");
	replay_well(f);
}

static void a_vm_lost_only_now_is_a_difference(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 0x40, 1, "pool", 9);
	struct panbind_log_replay_result result;

	fill(f->log);
	log_async(f->log, log_op_map("tex", 0x10, 8, "pool", 0), "signal=s");
	log_ops(f->log, &op, 1);
	result = replay(f, "sim:fault=VM_BIND#1:op=0:ENOMEM");
	assert_true(result.differences >= 1);
	assert_non_null(strstr(told, "4: "));
	/* A log that knows of the loss is content. */
	log_about(f->log, PANBIND_LOG_VM_LOST, "tex", 1);
	assert_int_equal(replay(f, "sim:").differences, 0);
}

static void a_refusal_is_expected_again(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 0x10, 8, "pool", 60); /* beyond its end */
	struct panbind_log_entry entry;

	fill(f->log);
	entry = log_bind_entry(&op, 1);
	entry.flags = PANBIND_LOG_ASYNC;
	entry.result = -EINVAL;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = PANBIND_STAGE_VALIDATE;
	entry.failing_op = 0;
	log_entry(f->log, &entry);
	replay_well(f);
	/* What an unknown fence had to do with it cannot be told. */
	op.bo_offset = 0;
	op.syncs = "wait=unknown:3";
	log_entry(f->log, &entry);
	assert_int_equal(replay(f, "sim:").skipped, 1);
	/* One that would be taken now is a difference. */
	op.syncs = NULL;
	log_entry(f->log, &entry);
	assert_int_equal(replay(f, "sim:").differences, 1);
	assert_non_null(strstr(told, "6: "));
}

static void syncs_that_are_none_are_told(void **state)
{
	static const char *const wrong[] = {"wait",	  "wait=a:", "wait=a:0",
					    "signal=a:x", "poke=a",  "wait=a:18446744073709551616"};
	struct log_fixture *f = *state;

	fill(f->log);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		log_async(f->log, log_op_unmap("tex", 0x10, 1), wrong[i]);
	assert_int_equal(replay(f, "sim:").differences, sizeof(wrong) / sizeof(wrong[0]));
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_chain_over_two_vms_is_repeated),
		LOG_TEST(points_that_come_again_were_reset),
		LOG_TEST(sparse_ranges_are_bound_asynchronously_too),
		LOG_TEST(a_vm_lost_only_now_is_a_difference),
		LOG_TEST(a_refusal_is_expected_again),
		LOG_TEST(syncs_that_are_none_are_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log replay of asynchronous binds", tests, NULL, NULL);
}
