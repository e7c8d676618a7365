/* SPDX-License-Identifier: MIT */
/* Buffer objects: handles that are shared and closed once, labels, CPU mappings, dma-bufs. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "bind_room.h"

static struct room room;

static int setup(void **state)
{
	room_open(&room, 9);
	return 0;
}

static int setup_1_3(void **state)
{
	room_open(&room, 3);
	return 0;
}

static int teardown(void **state)
{
	room_close(&room);
	return 0;
}

static void a_bo_is_what_was_asked_for(void **state)
{
	static const struct pb_uapi_bo_create request = {.size = 5000,
							 .flags = PB_BO_NO_MMAP | PB_BO_WB_MMAP,
							 .exclusive_vm_id = 1};
	struct panbind_bo *bo;
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_BO_CREATE, .expect = &request});
	assert_int_equal(
		panbind_bo_create(room.device, 5000, PANBIND_BO_NO_MMAP | PANBIND_BO_WB_MMAP, room.vm, &bo, NULL), 0);
	assert_int_equal(panbind_bo_size(bo), 8192);
	assert_int_equal(panbind_bo_handle(bo), 2);
	assert_int_equal(panbind_bo_flags(bo), PANBIND_BO_NO_MMAP | PANBIND_BO_WB_MMAP);
	panbind_bo_unref(bo);
	assert_int_equal(room.fake.handles, 1);
	panbind_bo_unref(NULL);
}

static void what_no_bo_can_be_is_refused_before_the_driver(void **state)
{
	struct panbind_bo *bo = (void *)&room;
	struct fake other;
	fake_start(&other, 9);
	struct panbind_device *device = fake_device(&other);

	assert_int_equal(panbind_bo_create(room.device, 0, 0, NULL, &bo, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);
	assert_int_equal(panbind_bo_create(room.device, 4096, 4, NULL, &bo, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);
	assert_int_equal(panbind_bo_create(device, 4096, 0, room.vm, &bo, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);

	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_BO_CREATE), 1); /* the room's own */
	assert_int_equal(fake_seen(&other, PB_IOCTL_BO_CREATE), 0);
	assert_ptr_equal(bo, &room);
	panbind_device_unref(device);
}

static void a_flag_of_a_newer_driver_is_not_supported(void **state)
{
	struct panbind_bo *bo;
	assert_int_equal(panbind_bo_create(room.device, 4096, PANBIND_BO_WB_MMAP, NULL, &bo, &room.error), -EOPNOTSUPP);
	assert_non_null(strstr(room.error.msg, "1.7"));
}

static void the_drivers_refusal_comes_through(void **state)
{
	struct panbind_bo *bo = NULL;
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_BO_CREATE, .ret = -ENOSPC});
	assert_int_equal(panbind_bo_create(room.device, 1ull << 40, 0, NULL, &bo, &room.error), -ENOSPC);
	ASSERT_ERROR(&room, -ENOSPC, SUBMIT, PANBIND_NO_OP);
	assert_null(bo);
}

static void mappings_hold_their_bo(void **state)
{
	struct panbind_bo *bo;
	assert_int_equal(panbind_bo_create(room.device, 4 * PAGE, 0, NULL, &bo, NULL), 0);
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, FAKE_UNTOUCHED), FAKE_BIND(1, 0, FAKE_UNTOUCHED),
		    FAKE_BIND(1, 0, FAKE_UNTOUCHED));
	assert_int_equal(panbind_vm_map(room.vm, 0, 4 * PAGE, bo, 0, 0, NULL), 0);
	panbind_bo_unref(bo);
	assert_int_equal(panbind_vm_unmap(room.vm, PAGE, 2 * PAGE, NULL), 0); /* two rests are left of it */
	assert_int_equal(room.fake.handles, 2);
	assert_int_equal(panbind_vm_unmap(room.vm, 0, 4 * PAGE, NULL), 0);
	assert_int_equal(room.fake.handles, 1);
}

static int import(int fd, struct panbind_bo **bo)
{
	return panbind_bo_import(room.device, fd, bo, &room.error);
}

/** Something with a size that lseek(2) tells, as a dma-buf has. */
static int file_of(off_t size)
{
	int fd = memfd_create("dma-buf", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void importing_ones_own_gives_the_same_object(void **state)
{
	struct panbind_bo *again;
	room.fake.import_handle = panbind_bo_handle(room.bo);
	int fd = file_of(64 << 20);
	assert_int_equal(import(fd, &again), 0);
	assert_ptr_equal(again, room.bo);
	panbind_bo_unref(again);
	assert_int_equal(room.fake.handles, 1); /* and the handle is still open */
	close(fd);
}

static void importing_twice_gives_the_same_object(void **state)
{
	struct panbind_bo *first, *second;
	int fd = file_of(3 * PAGE);
	assert_int_equal(import(fd, &first), 0);
	assert_int_equal(panbind_bo_size(first), 3 * PAGE);
	room.fake.import_handle = panbind_bo_handle(first); /* as the kernel does */
	assert_int_equal(import(fd, &second), 0);
	assert_ptr_equal(first, second);
	panbind_bo_unref(first);
	assert_int_equal(room.fake.handles, 2);
	panbind_bo_unref(second);
	assert_int_equal(room.fake.handles, 1);
	close(fd);
}

static void an_import_that_fails_closes_what_it_opened(void **state)
{
	struct panbind_bo *bo = NULL;
	int empty = file_of(0);
	assert_int_equal(import(empty, &bo), -EINVAL);
	FAKE_EXPECT(&room.fake, {.request = DRM_IOCTL_PRIME_FD_TO_HANDLE, .ret = -EBADF});
	assert_int_equal(import(-1, &bo), -EBADF);
	ASSERT_ERROR(&room, -EBADF, SUBMIT, PANBIND_NO_OP);
	assert_int_equal(room.fake.handles, 1);
	assert_null(bo);
	close(empty);
}

static void an_exclusive_bo_is_not_exported(void **state)
{
	struct panbind_bo *bo;
	int fd = -7;
	assert_int_equal(panbind_bo_create(room.device, PAGE, 0, room.vm, &bo, NULL), 0);
	assert_int_equal(panbind_bo_export(bo, &fd), -EINVAL);
	assert_int_equal(fd, -7);
	panbind_bo_unref(bo);
}

static void an_export_is_close_on_exec(void **state)
{
	static const struct drm_prime_handle request = {.handle = 1, .flags = O_CLOEXEC | O_RDWR, .fd = -1};
	static const struct drm_prime_handle reply = {.handle = 1, .fd = 42};
	int fd;
	FAKE_EXPECT(&room.fake, {.request = DRM_IOCTL_PRIME_HANDLE_TO_FD, .expect = &request, .reply = &reply});
	assert_int_equal(panbind_bo_export(room.bo, &fd), 0);
	assert_int_equal(fd, 42);
}

static void a_label_is_kept_and_given_on(void **state)
{
	char longest[4097];
	memset(longest, 'x', sizeof(longest));
	longest[4096] = '\0';

	assert_null(panbind_bo_label(room.bo));
	assert_int_equal(panbind_bo_set_label(room.bo, "heap"), 0);
	assert_string_equal(panbind_bo_label(room.bo), "heap");
	assert_int_equal(panbind_bo_set_label(room.bo, longest), -E2BIG);
	assert_string_equal(panbind_bo_label(room.bo), "heap");
	assert_int_equal(panbind_bo_set_label(room.bo, longest + 1), 0); /* 4095 bytes */
	assert_int_equal(panbind_bo_set_label(room.bo, NULL), 0);
	assert_null(panbind_bo_label(room.bo));
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_BO_SET_LABEL), 3);
}

static void below_1_4_a_label_stays_here(void **state)
{
	assert_int_equal(panbind_bo_set_label(room.bo, "heap"), 0);
	assert_string_equal(panbind_bo_label(room.bo), "heap");
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_BO_SET_LABEL), 0);
}

static void a_label_that_the_driver_refuses_is_not_kept(void **state)
{
	assert_int_equal(panbind_bo_set_label(room.bo, "old"), 0);
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_BO_SET_LABEL, .ret = -ENOMEM});
	assert_int_equal(panbind_bo_set_label(room.bo, "new"), -ENOMEM);
	assert_string_equal(panbind_bo_label(room.bo), "old");
}

static void one_cpu_mapping_serves_all(void **state)
{
	void *first, *second;
	assert_int_equal(panbind_bo_mmap(room.bo, &first), 0);
	assert_int_equal(panbind_bo_mmap(room.bo, &second), 0);
	assert_ptr_equal(first, second);
	memset(first, 1, PAGE);
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_BO_MMAP_OFFSET), 1);
}

static void a_bo_without_cpu_mapping_has_none(void **state)
{
	struct panbind_bo *bo;
	void *ptr = &room;
	assert_int_equal(panbind_bo_create(room.device, PAGE, PANBIND_BO_NO_MMAP, NULL, &bo, NULL), 0);
	assert_int_equal(panbind_bo_mmap(bo, &ptr), -EINVAL);
	assert_ptr_equal(ptr, &room);
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_BO_MMAP_OFFSET), 0);
	panbind_bo_unref(bo);
}

static void *import_and_drop(void *data)
{
	struct panbind_device *device = data;
	struct panbind_bo *source, *bo;
	int fd = -1;
	for (int i = 0; i < 300; i++) {
		if (panbind_bo_create(device, PAGE, 0, NULL, &source, NULL) < 0 || panbind_bo_export(source, &fd) < 0)
			return (void *)1;
		panbind_bo_unref(source); /* only the dma-buf holds it, so the import below makes a new handle */
		for (int j = 0; j < 4; j++) {
			if (panbind_bo_import(device, fd, &bo, NULL) < 0 || panbind_bo_size(bo) != PAGE)
				return (void *)2;
			if (panbind_bo_set_label(bo, "x") < 0) /* the handle is open */
				return (void *)3;
			panbind_bo_unref(bo);
		}
		close(fd);
	}
	return NULL;
}

static void threads_import_and_drop_without_closing_for_others(void **state)
{
	struct panbind_device *device;
	pthread_t threads[4];
	assert_int_equal(panbind_device_open("sim:", &device, NULL), 0);
	for (size_t i = 0; i < PB_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, import_and_drop, device), 0);
	for (size_t i = 0; i < PB_ARRAY_SIZE(threads); i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	panbind_device_unref(device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bo_is_what_was_asked_for),
		TEST(what_no_bo_can_be_is_refused_before_the_driver),
		cmocka_unit_test_setup_teardown(a_flag_of_a_newer_driver_is_not_supported, setup_1_3, teardown),
		TEST(the_drivers_refusal_comes_through),
		TEST(mappings_hold_their_bo),
		TEST(importing_ones_own_gives_the_same_object),
		TEST(importing_twice_gives_the_same_object),
		TEST(an_import_that_fails_closes_what_it_opened),
		TEST(an_exclusive_bo_is_not_exported),
		TEST(an_export_is_close_on_exec),
		TEST(a_label_is_kept_and_given_on),
		cmocka_unit_test_setup_teardown(below_1_4_a_label_stays_here, setup_1_3, teardown),
		TEST(a_label_that_the_driver_refuses_is_not_kept),
		TEST(one_cpu_mapping_serves_all),
		TEST(a_bo_without_cpu_mapping_has_none),
		cmocka_unit_test(threads_import_and_drop_without_closing_for_others),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
