/* SPDX-License-Identifier: MIT */
/* VMs: what is asked of the driver, states and their order, the walk over mappings, the GPU's side. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bind_room.h"

static struct room room;

static int setup(void **state)
{
	room_open(&room, 9);
	return 0;
}

static int teardown(void **state)
{
	room_close(&room);
	return 0;
}

static void a_vm_is_what_the_driver_gave(void **state)
{
	static const struct pb_uapi_vm_create request = {.user_va_range = 1 << 30};
	static const struct pb_uapi_vm_create reply = {.id = 9, .user_va_range = 1ull << 40};
	static const struct pb_uapi_vm_destroy destroy = {.id = 9};
	struct panbind_vm *vm;
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_CREATE, .expect = &request, .reply = &reply},
		    {.request = PB_IOCTL_VM_DESTROY, .expect = &destroy});
	assert_int_equal(panbind_vm_create(room.device, 1 << 30, &vm, NULL), 0);
	assert_int_equal(panbind_vm_id(vm), 9);
	assert_int_equal(panbind_vm_va_range(vm), 1ull << 40);
	assert_ptr_equal(panbind_vm_device(vm), room.device);
	panbind_vm_destroy(vm);
	panbind_vm_destroy(NULL);
}

static void too_many_vms_are_told_as_such(void **state)
{
	struct panbind_vm *vm = NULL;
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_CREATE, .ret = -EBUSY},
		    {.request = PB_IOCTL_VM_CREATE, .ret = -EINVAL});
	assert_int_equal(panbind_vm_create(room.device, 0, &vm, &room.error), -EBUSY);
	ASSERT_ERROR(&room, -EBUSY, SUBMIT, PANBIND_NO_OP);
	assert_non_null(strstr(room.error.msg, "32"));
	assert_int_equal(panbind_vm_create(room.device, ~0ull, &vm, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, SUBMIT, PANBIND_NO_OP);
	assert_null(vm);
}

static enum panbind_vm_state ask(void)
{
	enum panbind_vm_state vm_state;
	assert_int_equal(panbind_vm_get_state(room.vm, &vm_state), 0);
	return vm_state;
}

static void an_unusable_vm_stays_so(void **state)
{
	assert_int_equal(ask(), PANBIND_VM_USABLE);
	room.fake.vm_state = PB_VM_STATE_UNUSABLE;
	assert_int_equal(ask(), PANBIND_VM_UNUSABLE);
	room.fake.vm_state = PB_VM_STATE_USABLE; /* no driver takes it back; nor would panbind believe it */
	assert_int_equal(ask(), PANBIND_VM_UNUSABLE);
	assert_int_equal(panbind_vm_unmap(room.vm, 0, PAGE, &room.error), -EUCLEAN);
	ASSERT_ERROR(&room, -EUCLEAN, VALIDATE, PANBIND_NO_OP);
	assert_null(panbind_vm_poison_reason(room.vm));
}

static void the_first_reason_of_a_poison_stays(void **state)
{
	pb_vm_poison(room.vm, "first %d", 1);
	pb_vm_poison(room.vm, "second");
	room.fake.vm_state = PB_VM_STATE_UNUSABLE;
	assert_int_equal(ask(), PANBIND_VM_POISONED);
	assert_string_equal(panbind_vm_poison_reason(room.vm), "first 1");
}

static void a_state_that_cannot_be_had_is_an_error(void **state)
{
	enum panbind_vm_state vm_state = 77;
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_GET_STATE, .ret = -EINVAL});
	assert_int_equal(panbind_vm_get_state(room.vm, &vm_state), -EINVAL);
	assert_int_equal(vm_state, 77);
}

static void mappings_are_walked_in_order(void **state)
{
	room_map_now(&room, 40, 2, 3);
	room_map_now(&room, 16, 4, 9);
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, FAKE_UNTOUCHED));
	assert_int_equal(panbind_sparse_reserve(room.vm, 20 * PAGE, 4 * PAGE, NULL), 0);

	ASSERT_SHADOW(&room, {16, 4, 9}, {20, 4, SPARSE}, {40, 2, 3});
	struct panbind_mapping m;
	assert_int_equal(panbind_vm_next_mapping(room.vm, 18 * PAGE, &m), 0); /* from inside: all of it */
	assert_int_equal(m.va, 16 * PAGE);
	assert_int_equal(panbind_vm_next_mapping(room.vm, 20 * PAGE, &m), 0);
	assert_int_equal(m.flags, PANBIND_MAP_NOEXEC);
	assert_true(m.sparse);
	m.va = 5;
	assert_int_equal(panbind_vm_next_mapping(room.vm, 42 * PAGE, &m), -ENOENT);
	assert_int_equal(m.va, 5);
	assert_int_equal(panbind_vm_mapping_count(room.vm), 3);
}

static void a_real_gpu_is_not_looked_into(void **state)
{
	uint64_t value = 0;
	struct panbind_gpu_stats stats;
	assert_int_equal(panbind_vm_gpu_resident(room.vm, 1), -EOPNOTSUPP);
	assert_int_equal(panbind_vm_gpu_load(room.vm, 0, &value, 8), -EOPNOTSUPP);
	assert_int_equal(panbind_vm_gpu_store(room.vm, 0, &value, 8), -EOPNOTSUPP);
	assert_int_equal(panbind_vm_gpu_stats(room.vm, &stats), -EOPNOTSUPP);
}

static void a_simulated_gpu_loads_and_stores(void **state)
{
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bo;
	struct panbind_gpu_stats stats;
	uint32_t *cpu, value = 0x12345678;
	assert_int_equal(panbind_device_open("sim:", &device, NULL), 0);
	assert_int_equal(panbind_vm_create(device, 0, &vm, NULL), 0);
	assert_int_equal(panbind_bo_create(device, PAGE, 0, NULL, &bo, NULL), 0);
	assert_int_equal(panbind_bo_mmap(bo, (void **)&cpu), 0);
	assert_int_equal(panbind_vm_map(vm, 16 * PAGE, PAGE, bo, 0, 0, NULL), 0);

	assert_int_equal(panbind_vm_gpu_store(vm, 16 * PAGE, &value, 4), -ENXIO); /* no job, no access */
	assert_int_equal(panbind_vm_gpu_resident(vm, 1), 0);
	assert_int_equal(panbind_vm_gpu_store(vm, 16 * PAGE + 8, &value, 4), 0);
	assert_int_equal(cpu[2], 0x12345678);
	cpu[2] = 7;
	assert_int_equal(panbind_vm_gpu_load(vm, 16 * PAGE + 8, &value, 4), 0);
	assert_int_equal(value, 7);
	assert_int_equal(panbind_vm_gpu_load(vm, 17 * PAGE, &value, 4), -EFAULT);
	assert_int_equal(panbind_vm_gpu_stats(vm, &stats), 0);
	assert_int_equal(stats.loads, 1);
	assert_int_equal(stats.stores, 1);
	assert_int_equal(stats.faults, 1);

	panbind_vm_destroy(vm);
	panbind_bo_unref(bo);
	panbind_device_unref(device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vm_is_what_the_driver_gave),
		TEST(too_many_vms_are_told_as_such),
		TEST(an_unusable_vm_stays_so),
		TEST(the_first_reason_of_a_poison_stays),
		TEST(a_state_that_cannot_be_had_is_an_error),
		TEST(mappings_are_walked_in_order),
		TEST(a_real_gpu_is_not_looked_into),
		cmocka_unit_test(a_simulated_gpu_loads_and_stores),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
