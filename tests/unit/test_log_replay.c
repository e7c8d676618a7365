/* SPDX-License-Identifier: MIT */
/* Replay: a log on a fresh simulator gives what the log implies, and tells when it does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "log_fixture.h"
#include "panbind.h"

#define MAX_TOLD 16

struct told {
	int count;
	struct panbind_log_difference difference[MAX_TOLD];
	char vm[MAX_TOLD][32];
};

static void listen(void *data, const struct panbind_log_difference *difference)
{
	struct told *told = data;

	assert_true(told->count < MAX_TOLD);
	snprintf(told->vm[told->count], sizeof(told->vm[0]), "%s", difference->vm.name ? difference->vm.name : "");
	told->difference[told->count++] = *difference;
}

static struct panbind_device *open_device(const char *spec)
{
	struct panbind_device *device;

	assert_int_equal(panbind_device_open(spec, &device, NULL), 0);
	return device;
}

/* Replay on a fresh device, with verification after every entry. */
static struct panbind_log_replay_result replay_on(struct log_fixture *f, const char *spec,
						  struct panbind_log_replay_options options, struct told *told)
{
	struct panbind_device *device = open_device(spec);
	struct panbind_log_replay_result result;
	struct panbind_error error;

	options.verify = PANBIND_LOG_VERIFY_EACH;
	options.difference = listen;
	options.data = told;
	told->count = 0;
	if (panbind_log_replay(f->log, device, &options, &result, &error) < 0)
		fail_msg("%s", error.msg);
	assert_int_equal(result.differences, told->count);
	panbind_device_unref(device);
	return result;
}

static void replay_well(struct log_fixture *f, const char *spec, uint64_t until)
{
	struct told told;
	struct panbind_log_replay_result result =
		replay_on(f, spec, (struct panbind_log_replay_options){.until_seq = until}, &told);

	if (told.count)
		fail_msg("entry %llu: %s", (unsigned long long)told.difference[0].seq, told.difference[0].msg);
	assert_int_equal(result.skipped, 0);
}

static void fill(struct panbind_log *log)
{
	struct panbind_log_op ops[4];

	log_vm(log, "tex", 1);	    /* 1 */
	log_vm(log, "tmp", 1);	    /* 2 */
	log_bo(log, "pool", 1, 64); /* 3 */
	ops[0] = log_op_map("tex", 0x10, 8, "pool", 0);
	ops[1] = log_op_unmap("tex", 0x12, 2);
	ops[2] = log_op_map("tmp", 0x10, 8, "pool", 8);
	ops[3] = log_op_map("tex", 0x80, 1, "pool", 3);
	log_ops(log, ops, 4); /* 4 */
	log_about(log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	log_bo(log, "pool", 2, 16); /* 6 */
	ops[0] = log_op_map("tex", 0x11, 4, "pool", 2);
	ops[0].flags = PANBIND_MAP_NOEXEC | PANBIND_MAP_READONLY;
	log_ops(log, ops, 1);
	log_about(log, PANBIND_LOG_VM_DESTROY, "tmp", 1);
	log_vm(log, "tmp", 2); /* 9 */
	ops[0] = log_op_map("tmp", 0x20, 4, "pool", 0);
	log_ops(log, ops, 1); /* 10 */
}

static void a_log_is_repeated_up_to_any_seq(void **state)
{
	struct log_fixture *f = *state;

	fill(f->log);
	for (uint64_t until = 1; until <= 10; until++)
		replay_well(f, "sim:", until);
}

static void compacted_or_not_is_the_same(void **state)
{
	struct log_fixture *f = *state;

	fill(f->log);
	for (uint64_t until = 1; until <= 10; until++) {
		panbind_log_compact(f->log, until, NULL, NULL);
		replay_well(f, "sim:", 0);
		replay_well(f, "sim:", until);
	}
}

/* On a device with native sparse ranges and on one without. */
static void sparse_regions_are_repeated(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 64);
	op = log_op_sparse("tex", 0x200, 0x400);
	op.type = PANBIND_LOG_SPARSE_RESERVE;
	log_ops(f->log, &op, 1);
	op = log_op_map("tex", 0x210, 8, "pool", 0);
	op.type = PANBIND_LOG_SPARSE_BIND;
	log_ops(f->log, &op, 1);
	op = log_op_sparse("tex", 0x212, 2);
	op.type = PANBIND_LOG_SPARSE_UNBIND;
	log_ops(f->log, &op, 1);
	op = log_op_unmap("tex", 0x230, 4);
	log_ops(f->log, &op, 1);
	op = log_op_sparse("tex", 0x1000, 0x10); /* outside of any region */
	log_ops(f->log, &op, 1);
	for (uint64_t compacted = 0; compacted <= 7; compacted++) {
		panbind_log_compact(f->log, compacted, NULL, NULL);
		replay_well(f, "sim:minor=9", 0);
		replay_well(f, "sim:minor=2", 0);
	}
	op = log_op_unmap("tex", 0x200, 0x400);
	op.type = PANBIND_LOG_SPARSE_RELEASE;
	log_ops(f->log, &op, 1);
	replay_well(f, "sim:", 0);
}

struct adopted {
	struct panbind_bo *bo[4];
	struct panbind_vm *vm[4];
	char bos[64], vms[64];
	int bo_count, vm_count, refuse_after;
};

static int adopt_bo(void *data, const struct panbind_log_object *object, struct panbind_bo *bo)
{
	struct adopted *a = data;

	a->bo[a->bo_count++] = bo;
	snprintf(a->bos + strlen(a->bos), sizeof(a->bos) - strlen(a->bos), "%s%d ", object->ref.name,
		 (int)object->ref.generation);
	return 0;
}

static int adopt_vm(void *data, const struct panbind_log_object *object, struct panbind_vm *vm)
{
	struct adopted *a = data;

	if (a->refuse_after && a->vm_count == a->refuse_after)
		return -EMFILE;
	a->vm[a->vm_count++] = vm;
	snprintf(a->vms + strlen(a->vms), sizeof(a->vms) - strlen(a->vms), "%s%d ", object->ref.name,
		 (int)object->ref.generation);
	return 0;
}

static void let_go(struct adopted *a)
{
	for (int i = 0; i < a->vm_count; i++)
		panbind_vm_destroy(a->vm[i]);
	for (int i = 0; i < a->bo_count; i++)
		panbind_bo_unref(a->bo[i]);
}

static void what_is_alive_is_handed_over(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_device *device = open_device("sim:");
	struct adopted a = {0};
	const struct panbind_log_replay_options options = {.adopt_bo = adopt_bo, .adopt_vm = adopt_vm, .data = &a};
	struct panbind_mapping mapping;

	fill(f->log);
	assert_int_equal(panbind_log_replay(f->log, device, &options, NULL, NULL), 0);
	assert_string_equal(a.bos, "pool2 ");
	assert_string_equal(a.vms, "tex1 tmp2 ");
	assert_int_equal(panbind_vm_next_mapping(a.vm[1], 0, &mapping), 0);
	assert_int_equal(mapping.va, 0x20 * LOG_PAGE);
	assert_ptr_equal(mapping.bo, a.bo[0]);
	let_go(&a);
	panbind_device_unref(device);
}

static void who_refuses_an_object_stops_the_replay(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_device *device = open_device("sim:");
	struct adopted a = {.refuse_after = 1};
	const struct panbind_log_replay_options options = {.adopt_bo = adopt_bo, .adopt_vm = adopt_vm, .data = &a};

	fill(f->log);
	assert_int_equal(panbind_log_replay(f->log, device, &options, NULL, NULL), -EMFILE);
	assert_int_equal(a.vm_count, 1);
	let_go(&a);
	panbind_device_unref(device);
}

static void one_vm_takes_only_what_it_needs(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_device *device = open_device("sim:");
	struct adopted a = {0};
	struct panbind_log_replay_options options = {
		.vm = {"tmp", 0}, .adopt_bo = adopt_bo, .adopt_vm = adopt_vm, .data = &a};
	struct panbind_log_replay_result result;
	struct panbind_error error;

	fill(f->log);
	log_bo(f->log, "unused", 1, 4);
	assert_int_equal(panbind_log_replay(f->log, device, &options, &result, NULL), 0);
	assert_string_equal(a.vms, "tmp2 ");
	assert_string_equal(a.bos, "pool2 ");
	assert_int_equal(result.ops, 1);
	let_go(&a);
	options.vm.name = "nobody";
	assert_int_equal(panbind_log_replay(f->log, device, &options, &result, &error), -ENOENT);
	panbind_device_unref(device);
}

static void log_failure(struct log_fixture *f, struct panbind_log_op op, int result, enum panbind_stage stage)
{
	struct panbind_log_entry entry = log_bind_entry(&op, 1);

	entry.result = result;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = stage;
	entry.failing_op = 0;
	log_entry(f->log, &entry);
}

static void a_failure_that_fails_again_is_no_difference(void **state)
{
	struct log_fixture *f = *state;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	log_failure(f, log_op_map("tex", 0x10, 8, "pool", 0), -EINVAL, PANBIND_STAGE_VALIDATE);
	replay_well(f, "sim:", 0);
}

static void a_failure_that_succeeds_is_told_and_undone(void **state)
{
	struct log_fixture *f = *state;
	struct told told;
	struct panbind_log_replay_result result;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	log_failure(f, log_op_map("tex", 0x10, 2, "pool", 0), -ENOMEM, PANBIND_STAGE_SUBMIT);
	result = replay_on(f, "sim:", (struct panbind_log_replay_options){0}, &told);
	assert_int_equal(result.differences, 1); /* and none of the mapping */
	assert_int_equal(told.difference[0].type, PANBIND_LOG_DIFF_RESULT);
	assert_int_equal(told.difference[0].seq, 3);
	assert_int_equal(told.difference[0].recorded.code, -ENOMEM);
	assert_int_equal(told.difference[0].recorded.stage, PANBIND_STAGE_SUBMIT);
	assert_int_equal(told.difference[0].got.code, 0);
	assert_string_equal(told.vm[0], "tex");
	assert_string_equal(told.difference[0].msg,
			    "entry 3 was recorded with ENOMEM at op 0 (submit), and now ends with success");
}

/* The device is told to refuse what succeeded when it was recorded. */
static void a_success_that_fails_is_told_with_what_is_missing(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op;
	struct told told;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	op = log_op_map("tex", 0x10, 1, "pool", 0);
	log_ops(f->log, &op, 1);
	op = log_op_map("tex", 0x20, 1, "pool", 0);
	log_ops(f->log, &op, 1); /* entry 4, the second VM_BIND */
	op = log_op_map("tex", 0x30, 1, "pool", 0);
	log_ops(f->log, &op, 1);
	replay_on(f, "sim:fault=VM_BIND#2=ENOMEM", (struct panbind_log_replay_options){0}, &told);
	assert_int_equal(told.count, 3);
	assert_int_equal(told.difference[0].type, PANBIND_LOG_DIFF_RESULT);
	assert_int_equal(told.difference[0].seq, 4);
	assert_int_equal(told.difference[0].got.code, -ENOMEM);
	/* after the entry, and again at the end */
	for (int i = 1; i < 3; i++) {
		assert_int_equal(told.difference[i].type, PANBIND_LOG_DIFF_MAPPING);
		assert_int_equal(told.difference[i].seq, 4);
		assert_int_equal(told.difference[i].va, 0x20 * LOG_PAGE);
		assert_int_equal(told.difference[i].size, LOG_PAGE);
		assert_string_equal(told.difference[i].msg,
				    "VM tex maps nothing at 0x20000, 0x1000 bytes; the log says pool+0x0 (flags 0)");
	}
}

/* Entries of one to three ops, which a replay without a stop after each may bind together: 3 to 42. */
static void fill_with_small_binds(struct panbind_log *log)
{
	struct panbind_log_op ops[3];

	log_vm(log, "tex", 1);
	log_bo(log, "pool", 1, 64);
	for (uint64_t i = 0; i < 40; i++) {
		for (uint64_t j = 0; j < 3; j++)
			ops[j] = log_op_map("tex", i * 16 + j * 2, 1, "pool", i);
		log_ops(log, ops, 1 + i % 3);
	}
}

static void assert_told_of_entry_only(const struct told *told, uint64_t seq, int code, uint32_t op)
{
	assert_int_equal(told->difference[0].type, PANBIND_LOG_DIFF_RESULT);
	assert_int_equal(told->difference[0].seq, seq);
	assert_int_equal(told->difference[0].got.code, code);
	assert_int_equal(told->difference[0].got.op, op);
	for (int i = 1; i < told->count; i++) {
		assert_int_equal(told->difference[i].type, PANBIND_LOG_DIFF_MAPPING);
		assert_int_equal(told->difference[i].seq, seq);
	}
}

/* Each entry gets its own end, however they were bound: the same differences as with a stop after each. */
static void a_failure_among_entries_bound_together_is_told_of_its_own(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_replay_options options = {.verify = PANBIND_LOG_VERIFY_END, .difference = listen};
	struct panbind_log_replay_result result;

	fill_with_small_binds(f->log);
	/* Ops 0, 1-2, 3-5, 6, ...: op 28 is the second of the entry of i = 14. */
	for (uint32_t failing = 0; failing < 78; failing++) {
		struct told told = {0};
		struct panbind_device *device;
		uint32_t i = failing / 6 * 3 + (failing % 6 >= 1) + (failing % 6 >= 3);
		uint32_t op = failing % 6 < 1 ? 0 : failing % 6 < 3 ? failing % 6 - 1 : failing % 6 - 3;
		char spec[60];

		snprintf(spec, sizeof(spec), "sim:fault=VM_BIND#1:op=%u:ENOMEM", failing);
		device = open_device(spec);
		options.data = &told;
		assert_int_equal(panbind_log_replay(f->log, device, &options, &result, NULL), 0);
		assert_int_equal(result.differences,
				 1 + (i % 3 + 1 - op)); /* the end, and a hole for each op left out */
		assert_told_of_entry_only(&told, 3 + i, -ENOMEM, op);
		panbind_device_unref(device);
	}
}

/* As fill_with_small_binds(), here and there: what is bound together goes along the address space. */
static void fill_with_scattered_binds(struct panbind_log *log)
{
	struct panbind_log_op ops[3];

	log_vm(log, "tex", 1);
	log_bo(log, "pool", 1, 64);
	for (uint64_t i = 0; i < 40; i++) {
		for (uint64_t j = 0; j < 3; j++)
			ops[j] = log_op_map("tex", (i * 3 + j) * 47 % 120 * 2, 1, "pool", i);
		log_ops(log, ops, 1 + i % 3);
	}
}

static void a_failure_among_scattered_entries_is_told_of_its_own(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_replay_options options = {.verify = PANBIND_LOG_VERIFY_END, .difference = listen};
	struct panbind_log_replay_result result;

	fill_with_scattered_binds(f->log);
	for (uint32_t failing = 0; failing < 78; failing++) {
		struct told told = {0};
		struct panbind_device *device;
		uint64_t seq;
		char spec[60];

		snprintf(spec, sizeof(spec), "sim:fault=VM_BIND#1:op=%u:ENOMEM", failing);
		device = open_device(spec);
		options.data = &told;
		assert_int_equal(panbind_log_replay(f->log, device, &options, &result, NULL), 0);
		seq = told.difference[0].seq;
		/* the end, and a hole for each op that is not there */
		assert_in_range(result.differences, 2, 1 + (seq - 3) % 3 + 1);
		assert_told_of_entry_only(&told, seq, -ENOMEM, told.difference[0].got.op);
		assert_in_range(told.difference[0].got.op, 0, (seq - 3) % 3);
		panbind_device_unref(device);
	}
}

/* Chains of overlaps among ops that are far from each other: what comes later lies above. */
static void overlaps_keep_their_order_among_entries_bound_together(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_replay_options options = {.verify = PANBIND_LOG_VERIFY_END, .difference = listen};
	struct panbind_log_replay_result result;
	struct panbind_device *device = open_device("sim:");
	struct told told = {0};

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 600);
	for (uint64_t i = 0; i < 500; i++) {
		uint64_t va = i * 163 % 251, pages = 1 + i * 7 % 9;
		struct panbind_log_op op =
			i % 4 == 3 ? log_op_unmap("tex", va, pages) : log_op_map("tex", va, pages, "pool", i);

		log_ops(f->log, &op, 1);
	}
	options.data = &told;
	assert_int_equal(panbind_log_replay(f->log, device, &options, &result, NULL), 0);
	assert_int_equal(result.differences, 0);
	assert_int_equal(result.ops, 500);
	panbind_device_unref(device);
}

/* Refused before anything is submitted: the others are bound all the same. */
static void a_refusal_among_entries_bound_together_stops_only_itself(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry bo = {.kind = PANBIND_LOG_BO_CREATE,
				       .object = {.ref = {"own", 1}, .size = LOG_PAGE, .exclusive_vm = {"tmp", 1}}};
	struct panbind_log_op op = log_op_map("tex", 0x800, 1, "own", 0);
	struct panbind_log_replay_options options = {.verify = PANBIND_LOG_VERIFY_END, .difference = listen};
	struct panbind_device *device = open_device("sim:");
	struct panbind_log_replay_result result;
	struct told told = {0};

	fill_with_small_binds(f->log);
	log_vm(f->log, "tmp", 1);
	log_entry(f->log, &bo);
	log_ops(f->log, &op, 1); /* 45: a VM maps what belongs to another */
	op = log_op_map("tex", 0x810, 1, "pool", 0);
	log_ops(f->log, &op, 1);
	options.data = &told;
	assert_int_equal(panbind_log_replay(f->log, device, &options, &result, NULL), 0);
	assert_int_equal(result.differences, 2);
	assert_told_of_entry_only(&told, 45, -EINVAL, 0);
	assert_int_equal(told.difference[0].got.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(result.ops, 79 + 2);
	panbind_device_unref(device);
}

static void an_object_that_cannot_be_made_is_told_once(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 0x10, 1, "pool", 0);
	struct panbind_log_replay_result result;
	struct told told;

	log_vm(f->log, "tex", 1); /* 2^47 bytes of VA: too many for 39 bits */
	log_bo(f->log, "pool", 1, 4);
	log_ops(f->log, &op, 1);
	log_ops(f->log, &op, 1);
	result = replay_on(f, "sim:va-bits=39", (struct panbind_log_replay_options){0}, &told);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.difference[0].type, PANBIND_LOG_DIFF_OBJECT);
	assert_int_equal(told.difference[0].seq, 1);
	assert_string_equal(told.vm[0], "tex");
	assert_int_equal(result.skipped, 2);
}

static void a_lost_vm_is_left_alone(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 0x10, 1, "pool", 0);
	struct panbind_log_replay_result result;
	struct told told;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	log_ops(f->log, &op, 1);
	log_about(f->log, PANBIND_LOG_VM_LOST, "tex", 1);
	log_failure(f, op, -EUCLEAN, PANBIND_STAGE_VALIDATE);
	result = replay_on(f, "sim:", (struct panbind_log_replay_options){0}, &told);
	assert_int_equal(told.count, 0);
	assert_int_equal(result.skipped, 1);
}

static int stop_at_three(void *data, uint64_t seq, uint64_t until_seq, uint64_t ops)
{
	assert_int_equal(until_seq, 5);
	return seq >= 3 ? 77 : 0;
}

/* In recorded time, so that there is something to stop. */
static void notes_and_calls_on_syncobjs_change_nothing(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry sync = {.kind = PANBIND_LOG_SYNC, .comment = "syncobj reset so1", .tid = 12};
	struct panbind_log_entry note = {.kind = PANBIND_LOG_NOTE, .comment = "2 calls are missing here"};
	struct panbind_log_replay_result result;
	struct told told;

	fill(f->log);
	uint64_t last = log_entry(f->log, &sync);
	char *before = log_picture(f->log, last - 1, "tex");
	last = log_entry(f->log, &note);
	log_assert_picture(f->log, last, "tex", before);
	free(before);
	result = replay_on(f, "sim:", (struct panbind_log_replay_options){0}, &told);
	assert_int_equal(result.seq, last);
	assert_int_equal(result.differences + result.skipped, 0);
	assert_int_equal(log_problems(f->log), 0);
	assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, NULL, NULL), 0);
	assert_int_equal(log_problems(f->log), 0);
}

static void progress_can_stop_it(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_device *device = open_device("sim:");
	struct panbind_log_replay_options options = {.progress = stop_at_three, .speed = 1};
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};

	for (int i = 0; i < 5; i++) {
		entry.time_ns = i < 3 ? 1 : 3600ll * 1000000000;
		log_entry(f->log, &entry);
	}
	assert_int_equal(panbind_log_replay(f->log, device, &options, NULL, NULL), 77);
	panbind_device_unref(device);
}

/* An hour of log at a speed that makes it milliseconds; order and result are the same. */
static void recorded_time_is_scaled(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};
	struct told told;

	for (int i = 0; i < 4; i++) {
		entry.time_ns = 1 + i * 1000ll * 1000000000;
		log_entry(f->log, &entry);
	}
	assert_int_equal(replay_on(f, "sim:", (struct panbind_log_replay_options){.speed = 100000}, &told).entries, 4);
}

static int64_t replay_time(struct log_fixture *f, double speed)
{
	struct timespec begun, ended;
	struct told told;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	replay_on(f, "sim:", (struct panbind_log_replay_options){.speed = speed}, &told);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	return (ended.tv_sec - begun.tv_sec) * 1000000000ll + ended.tv_nsec - begun.tv_nsec;
}

/* Never faster than asked: a machine under load can only make it slower. */
static void recorded_time_is_kept(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};

	for (int i = 0; i < 4; i++) {
		entry.time_ns = 1 + i * 40ll * 1000000;
		log_entry(f->log, &entry);
	}
	assert_true(replay_time(f, 1) >= 120 * 1000000);
	assert_true(replay_time(f, 2) >= 60 * 1000000);
	assert_true(replay_time(f, 0.5) >= 240 * 1000000);
}

static void ranges_that_are_not_there_are_refused(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_device *device = open_device("sim:");
	struct panbind_log_replay_options options = {.until_seq = 11};
	struct panbind_error error;

	fill(f->log);
	assert_int_equal(panbind_log_replay(f->log, device, &options, NULL, &error), -ERANGE);
	panbind_log_compact(f->log, 5, NULL, NULL);
	options.until_seq = 4;
	assert_int_equal(panbind_log_replay(f->log, device, &options, NULL, &error), -ENODATA);
	panbind_device_unref(device);
}

static void an_entry_over_two_vms_is_repeated_in_order(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op ops[] = {log_op_map("a", 1, 4, "p", 0), log_op_map("b", 1, 4, "p", 4),
				       log_op_unmap("a", 2, 1), log_op_map("b", 2, 1, "p", 0)};

	log_vm(f->log, "a", 1);
	log_vm(f->log, "b", 1);
	log_bo(f->log, "p", 1, 8);
	log_ops(f->log, ops, 4);
	replay_well(f, "sim:", 0);
}

/* What a replay binds is what the log says: seen from the device, not from the replay's own comparison. */
static void the_device_agrees(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_device *device = open_device("sim:");
	struct adopted a = {0};
	const struct panbind_log_replay_options options = {.adopt_bo = adopt_bo, .adopt_vm = adopt_vm, .data = &a};
	struct panbind_log_op op = log_op_map("tex", 0x10, 2, "pool", 1);
	uint64_t *memory, value;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	log_ops(f->log, &op, 1);
	assert_int_equal(panbind_log_replay(f->log, device, &options, NULL, NULL), 0);
	assert_int_equal(panbind_bo_mmap(a.bo[0], (void **)&memory), 0);
	memory[2 * LOG_PAGE / 8] = 0xfeed;
	assert_int_equal(panbind_vm_gpu_resident(a.vm[0], 1), 0);
	assert_int_equal(panbind_vm_gpu_load(a.vm[0], 0x11 * LOG_PAGE, &value, 8), 0);
	assert_int_equal(value, 0xfeed);
	assert_int_equal(panbind_vm_gpu_load(a.vm[0], 0x12 * LOG_PAGE, &value, 8), -EFAULT);
	let_go(&a);
	panbind_device_unref(device);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_log_is_repeated_up_to_any_seq),
		LOG_TEST(compacted_or_not_is_the_same),
		LOG_TEST(sparse_regions_are_repeated),
		LOG_TEST(what_is_alive_is_handed_over),
		LOG_TEST(who_refuses_an_object_stops_the_replay),
		LOG_TEST(one_vm_takes_only_what_it_needs),
		LOG_TEST(a_failure_that_fails_again_is_no_difference),
		LOG_TEST(a_failure_that_succeeds_is_told_and_undone),
		LOG_TEST(a_success_that_fails_is_told_with_what_is_missing),
		LOG_TEST(a_failure_among_entries_bound_together_is_told_of_its_own),
		LOG_TEST(a_failure_among_scattered_entries_is_told_of_its_own),
		LOG_TEST(overlaps_keep_their_order_among_entries_bound_together),
		LOG_TEST(a_refusal_among_entries_bound_together_stops_only_itself),
		LOG_TEST(an_object_that_cannot_be_made_is_told_once),
		LOG_TEST(a_lost_vm_is_left_alone),
		LOG_TEST(notes_and_calls_on_syncobjs_change_nothing),
		LOG_TEST(progress_can_stop_it),
		LOG_TEST(recorded_time_is_scaled),
		LOG_TEST(recorded_time_is_kept),
		LOG_TEST(ranges_that_are_not_there_are_refused),
		LOG_TEST(an_entry_over_two_vms_is_repeated_in_order),
		LOG_TEST(the_device_agrees),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log replay", tests, NULL, NULL);
}
