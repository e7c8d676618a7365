/* SPDX-License-Identifier: MIT */
/* Binds and transactions on the simulator with faults, and each time: is the shadow what the page tables are? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "seed.h"
#include "truth.h"

#define PAGE  ((uint64_t)PANBIND_PAGE_SIZE)
#define BLOCK ((uint64_t)PANBIND_SPARSE_BLOCK)
#define PAGES 1536 /* three blocks */

struct rig {
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bo[3];
	struct panbind_batch *batch;
};

static struct rig rig;
static struct panbind_error error;

static void rig_open(const char *spec)
{
	if (panbind_device_open(spec, &rig.device, &error) < 0)
		fail_msg("%s: %s", spec, error.msg);
	assert_int_equal(panbind_vm_create(rig.device, 0, &rig.vm, NULL), 0);
	for (size_t i = 0; i < PB_ARRAY_SIZE(rig.bo); i++)
		assert_int_equal(panbind_bo_create(rig.device, PAGES * PAGE, 0, NULL, &rig.bo[i], NULL), 0);
	assert_int_equal(panbind_batch_create(&rig.batch), 0);
}

static void rig_close(void)
{
	panbind_batch_destroy(rig.batch);
	panbind_vm_destroy(rig.vm);
	for (size_t i = 0; i < PB_ARRAY_SIZE(rig.bo); i++)
		panbind_bo_unref(rig.bo[i]);
	panbind_device_unref(rig.device);
}

/** Five pages, each from its own place in the BO. */
static void five_maps(void)
{
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(panbind_batch_map(rig.batch, i * PAGE, PAGE, rig.bo[0], (7 - i) * PAGE, 0, NULL), 0);
}

static void an_interrupt_at_any_op_loses_nothing(void **state)
{
	static const char *const faults[] = {"op=0:EINTR",
					     "op=1:EINTR",
					     "op=2:EINTR",
					     "op=3:EINTR",
					     "op=4:EINTR",
					     "VM_BIND#1=EINTR",
					     "op=1:EINTR,fault=op=0:EINTR,fault=VM_BIND#3=EINTR,fault=VM_BIND#4=EAGAIN",
					     "op=4:EAGAIN,fault=op=2:EINTR"};
	for (size_t i = 0; i < PB_ARRAY_SIZE(faults); i++) {
		char spec[128];
		snprintf(spec, sizeof(spec), "sim:fault=%s", faults[i]);
		rig_open(spec);
		five_maps();
		assert_int_equal(panbind_vm_bind(rig.vm, rig.batch, 0, NULL), 0);
		assert_int_equal(panbind_vm_mapping_count(rig.vm), 5);
		truth_assert(rig.vm);
		rig_close();
	}
}

static void each_op_that_fails_is_rolled_back(void **state)
{
	for (int i = 0; i < 10; i++) {
		char spec[64];
		enum panbind_outcome outcome;
		/* below 1.7, where a failure in the middle leaves the VM usable */
		snprintf(spec, sizeof(spec), "sim:minor=6,fault=op=%d:ENOMEM%s", i % 5, i < 5 ? "" : ":mid");
		rig_open(spec);
		five_maps();

		assert_int_equal(panbind_txn_run(rig.vm, rig.batch, &outcome, &error), -ENOMEM);

		assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
		assert_int_equal(error.stage, PANBIND_STAGE_SUBMIT);
		assert_int_equal(error.op, i % 5);
		assert_int_equal(panbind_vm_mapping_count(rig.vm), 0);
		truth_assert(rig.vm);
		assert_int_equal(panbind_txn_run(rig.vm, rig.batch, &outcome, &error), 0); /* the fault is spent */
		assert_int_equal(outcome, PANBIND_OUTCOME_APPLIED);
		truth_assert(rig.vm);
		rig_close();
	}
}

static void a_fault_in_the_rollback_poisons(void **state)
{
	static const struct {
		const char *spec;
		int code;
		enum panbind_outcome outcome;
	} faults[] = {
		{"sim:minor=6,fault=op=3:EINVAL,fault=VM_BIND#2=EINVAL", -EINVAL, PANBIND_OUTCOME_PARTIAL},
		{"sim:minor=6,fault=op=3:EINVAL,fault=VM_BIND#2:op=1:ENOENT", -ENOENT, PANBIND_OUTCOME_PARTIAL},
		{"sim:minor=6,fault=op=3:EINVAL,fault=VM_BIND#2:op=1:ENOMEM", -ENOMEM, PANBIND_OUTCOME_UNKNOWN},
		{"sim:minor=6,fault=op=3:ENOMEM:mid,fault=VM_BIND#2=ENOMEM", -ENOMEM, PANBIND_OUTCOME_UNKNOWN},
	};
	for (size_t i = 0; i < PB_ARRAY_SIZE(faults); i++) {
		enum panbind_outcome outcome;
		rig_open(faults[i].spec);
		five_maps();
		assert_int_equal(panbind_txn_run(rig.vm, rig.batch, &outcome, &error), faults[i].code);
		assert_int_equal(outcome, faults[i].outcome);
		assert_int_equal(error.stage, PANBIND_STAGE_ROLLBACK);
		assert_non_null(panbind_vm_poison_reason(rig.vm));
		if (outcome == PANBIND_OUTCOME_PARTIAL)
			truth_assert(rig.vm); /* which ops remain is known */
		assert_int_equal(panbind_vm_unmap(rig.vm, 0, PAGE, &error), -EUCLEAN);
		assert_non_null(strstr(error.msg, panbind_vm_poison_reason(rig.vm)));
		rig_close();
	}
}

static void a_driver_that_gives_the_vm_up_is_told_so(void **state)
{
	enum panbind_outcome outcome;
	enum panbind_vm_state vm_state;
	rig_open("sim:minor=9,fault=op=2:ENOMEM:mid");
	five_maps();
	assert_int_equal(panbind_txn_run(rig.vm, rig.batch, &outcome, &error), -ENOMEM);
	/* on an unusable VM the driver still unmaps, and there was nothing to map again */
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	truth_assert(rig.vm);
	assert_int_equal(panbind_vm_get_state(rig.vm, &vm_state), 0);
	assert_int_equal(vm_state, PANBIND_VM_UNUSABLE);
	assert_int_equal(panbind_txn_run(rig.vm, rig.batch, &outcome, &error), -EUCLEAN);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	rig_close();
}

static void an_asynchronous_failure_is_noticed(void **state)
{
	struct panbind_syncobj *done;
	int status = 7;
	rig_open("sim:fault=op=1:ENOMEM:mid");
	five_maps();
	assert_int_equal(panbind_syncobj_create(rig.device, 0, &done), 0);
	assert_int_equal(panbind_batch_signal(rig.batch, done, 0), 0);
	assert_int_equal(panbind_vm_bind(rig.vm, rig.batch, PANBIND_BIND_ASYNC, NULL), 0);
	assert_int_equal(panbind_syncobj_wait(&done, NULL, 1, 0, 10000000000, NULL), 0);
	assert_int_equal(panbind_syncobj_fence_status(done, &status), 0);
	assert_true(status < 0);
	assert_int_equal(panbind_vm_unmap(rig.vm, 0, PAGE, &error), -EUCLEAN);
	panbind_syncobj_unref(done);
	rig_close();
}

static void an_asynchronous_bind_behind_a_fence(void **state)
{
	struct panbind_syncobj *go, *done;
	rig_open("sim:");
	five_maps();
	assert_int_equal(panbind_syncobj_create(rig.device, 0, &go), 0);
	assert_int_equal(panbind_syncobj_create(rig.device, 0, &done), 0);
	/* given a bind that another one, still waiting for `go`, holds back */
	struct panbind_batch *gate;
	assert_int_equal(panbind_batch_create(&gate), 0);
	panbind_batch_sync_only(gate);
	panbind_batch_wait(gate, go, 7);
	assert_int_equal(panbind_syncobj_signal(go, 1), 0);
	int ret = panbind_vm_bind(rig.vm, gate, PANBIND_BIND_ASYNC, NULL);
	assert_int_equal(ret, -EINVAL); /* the point has no fence yet: the driver takes no such wait */
	panbind_batch_destroy(gate);

	panbind_batch_signal(rig.batch, done, 3);
	assert_int_equal(panbind_vm_bind(rig.vm, rig.batch, PANBIND_BIND_ASYNC, NULL), 0);
	assert_int_equal(panbind_vm_mapping_count(rig.vm), 5); /* at once */
	uint64_t point = 3;
	assert_int_equal(panbind_syncobj_wait(&done, &point, 1, 0, 10000000000, NULL), 0);
	truth_assert(rig.vm);
	assert_int_equal(panbind_vm_unmap(rig.vm, 0, 2 * PAGE, &error), 0); /* no longer in flight */
	truth_assert(rig.vm);
	panbind_syncobj_unref(go);
	panbind_syncobj_unref(done);
	rig_close();
}

/* ---- random ---- */

static void add_random_op(struct test_random *random)
{
	uint64_t at = test_random_below(random, PAGES - 1), count = 1 + test_random_below(random, 40);
	if (test_random_below(random, 8) == 0) { /* whole blocks, for pages of 2 MiB */
		at = test_random_below(random, 2) * (BLOCK / PAGE);
		count = (1 + test_random_below(random, 2)) * (BLOCK / PAGE);
	}
	if (count > PAGES - at)
		count = PAGES - at;
	switch (test_random_below(random, 4)) {
	case 0:
		assert_int_equal(panbind_batch_unmap(rig.batch, at * PAGE, count * PAGE, NULL), 0);
		break;
	case 1:
		assert_int_equal(panbind_batch_map_sparse(rig.batch, at * PAGE, count * PAGE, NULL), 0);
		break;
	default:
		assert_int_equal(panbind_batch_map(rig.batch, at * PAGE, count * PAGE,
						   rig.bo[test_random_below(random, 3)],
						   test_random_below(random, PAGES - count + 1) * PAGE,
						   (uint32_t)test_random_below(random, 8), NULL),
				 0);
	}
}

/** Plan one fault for what comes next, on the shared device. */
static void plant_fault(struct test_random *random, const char *name, size_t ops)
{
	static const char *const errors[] = {"ENOMEM", "EINVAL", "EINTR", "EAGAIN", "ENOMEM:mid"};
	char spec[96];
	struct panbind_device *other;
	snprintf(spec, sizeof(spec), "sim:%s,fault=op=%u:%s", name, (unsigned)test_random_below(random, ops),
		 errors[test_random_below(random, PB_ARRAY_SIZE(errors))]);
	assert_int_equal(panbind_device_open(spec, &other, NULL), 0);
	panbind_device_unref(other);
}

/** What backs each page, as a number. */
static void read_pages(uint64_t pages[PAGES])
{
	struct panbind_mapping m = {0};
	memset(pages, 0, PAGES * sizeof(*pages));
	while (panbind_vm_next_mapping(rig.vm, m.va + m.size, &m) == 0) {
		for (uint64_t at = 0; at < m.size; at += PAGE)
			pages[(m.va + at) / PAGE] =
				m.sparse ? 1 : (m.bo_offset + at) | m.flags << 4 | (uint64_t)m.bo->handle << 48;
	}
}

/** @name: of the shared device, where faults are to come from; NULL: none. */
static int one_random_batch(struct test_random *random, const char *name)
{
	static uint64_t before[PAGES], after[PAGES];
	enum panbind_outcome outcome = PANBIND_OUTCOME_APPLIED;
	size_t count = 1 + test_random_below(random, 12);
	bool in_txn = test_random_below(random, 2);
	panbind_batch_clear(rig.batch);
	for (size_t i = 0; i < count; i++)
		add_random_op(random);
	if (name && test_random_below(random, 3) == 0)
		plant_fault(random, name, count);
	read_pages(before);

	int ret = in_txn ? panbind_txn_run(rig.vm, rig.batch, &outcome, &error)
			 : panbind_vm_bind(rig.vm, rig.batch, 0, &error);

	truth_assert(rig.vm);
	assert_null(panbind_vm_poison_reason(rig.vm));
	assert_true(ret == 0 || ret == -ENOMEM || ret == -EINVAL);
	read_pages(after);
	if (in_txn)
		assert_int_equal(outcome, ret == 0 ? PANBIND_OUTCOME_APPLIED : PANBIND_OUTCOME_ROLLED_BACK);
	if (ret < 0 && in_txn)
		assert_memory_equal(before, after, sizeof(before));
	return ret;
}

/** Faults in the middle of an op cost the VM from driver 1.7 on, so they are planted below that. */
static void random_batches(const char *name, bool with_faults)
{
	char spec[64];
	struct test_random random = test_random_start(name);
	size_t rounds = test_rounds(3000, 200000), failed = 0;
	snprintf(spec, sizeof(spec), "sim:%s", name);
	rig_open(spec);
	for (size_t i = 0; i < rounds; i++)
		failed += one_random_batch(&random, with_faults ? name : NULL) < 0;
	assert_true(with_faults ? failed > rounds / 20 : failed == 0);
	rig_close();
}

static void random_batches_with_native_sparse(void **state)
{
	random_batches("name=random-9,minor=9", false);
}

static void random_batches_with_emulated_sparse_and_faults(void **state)
{
	random_batches("name=random-6,minor=6", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_at_any_op_loses_nothing),
		cmocka_unit_test(each_op_that_fails_is_rolled_back),
		cmocka_unit_test(a_fault_in_the_rollback_poisons),
		cmocka_unit_test(a_driver_that_gives_the_vm_up_is_told_so),
		cmocka_unit_test(an_asynchronous_failure_is_noticed),
		cmocka_unit_test(an_asynchronous_bind_behind_a_fence),
		cmocka_unit_test(random_batches_with_native_sparse),
		cmocka_unit_test(random_batches_with_emulated_sparse_and_faults),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
