/* SPDX-License-Identifier: MIT */
/*
 * BOs on the simulator: creation, handles, CPU mappings, labels, PRIME.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel.h"
#include "sim_rig.h"

#define PAGE 4096u

static int create(struct pb_file *file, uint64_t size, uint32_t flags, uint32_t exclusive, uint32_t *ret_handle)
{
	struct pb_uapi_bo_create args = {.size = size, .flags = flags, .exclusive_vm_id = exclusive};
	int ret = rig_ioctl(file, PB_IOCTL_BO_CREATE, &args);

	if (ret)
		assert_int_equal(args.size, size); /* an argument of a failed call is what it was */
	else if (ret_handle)
		*ret_handle = args.handle;
	return ret;
}

static int gem_close(struct pb_file *file, uint32_t handle)
{
	struct drm_gem_close args = {.handle = handle};

	return rig_ioctl(file, DRM_IOCTL_GEM_CLOSE, &args);
}

static int mmap_offset(struct pb_file *file, uint32_t handle, uint64_t *ret_offset)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = handle};
	int ret = rig_ioctl(file, PB_IOCTL_BO_MMAP_OFFSET, &args);

	*ret_offset = args.offset;
	return ret;
}

static int export(struct pb_file *file, uint32_t handle, uint32_t flags, int *ret_fd)
{
	struct drm_prime_handle args = {.handle = handle, .flags = flags};
	int ret = rig_ioctl(file, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	*ret_fd = args.fd;
	return ret;
}

static int import(struct pb_file *file, int fd, uint32_t *ret_handle)
{
	struct drm_prime_handle args = {.fd = fd};
	int ret = rig_ioctl(file, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*ret_handle = args.handle;
	return ret;
}

static void a_size_is_rounded_up_to_pages(void **state)
{
	struct pb_file *file = rig_open("");
	struct pb_uapi_bo_create args = {.size = 5000};

	assert_int_equal(rig_ioctl(file, PB_IOCTL_BO_CREATE, &args), 0);
	assert_int_equal(args.size, 8192);
	rig_close(file);
}

static void what_bo_create_refuses(void **state)
{
	struct pb_file *file = rig_open("");
	struct pb_uapi_bo_create padded = {.size = PAGE, .pad = 1};

	assert_int_equal(create(file, 0, 0, 0, NULL), -EINVAL);
	assert_int_equal(create(file, PAGE, 1u << 2, 0, NULL), -EINVAL);
	assert_int_equal(create(file, PAGE, PB_BO_NO_MMAP | PB_BO_WB_MMAP, 0, NULL), -EINVAL);
	assert_int_equal(create(file, PAGE, 0, 1, NULL), -EINVAL); /* no VM yet */
	assert_int_equal(create(file, PAGE, 0, 33, NULL), -EINVAL);
	assert_int_equal(rig_ioctl(file, PB_IOCTL_BO_CREATE, &padded), -EINVAL);
	assert_int_equal(create(file, UINT64_C(1) << 40, 0, 0, NULL), -ENOSPC);
	assert_int_equal(create(file, ~UINT64_C(4095), 0, 0, NULL), -EINVAL);
	assert_int_equal(create(file, ~UINT64_C(0), 0, 0, NULL), -ENOSPC);
	rig_close(file);
}

static void wb_mmap_needs_driver_1_7(void **state)
{
	struct pb_file *old = rig_open("minor=6"), *new = rig_open("minor=7");

	assert_int_equal(create(old, PAGE, PB_BO_WB_MMAP, 0, NULL), -EINVAL);
	assert_int_equal(create(new, PAGE, PB_BO_WB_MMAP, 0, NULL), 0);
	rig_close(old);
	rig_close(new);
}

static void handles_are_the_lowest_free_from_1(void **state)
{
	struct pb_file *file = rig_open("");

	for (uint32_t i = 1; i <= 200; i++)
		assert_int_equal(rig_bo(file, PAGE), i);
	assert_int_equal(gem_close(file, 150), 0);
	assert_int_equal(gem_close(file, 3), 0);
	assert_int_equal(rig_bo(file, PAGE), 3);
	assert_int_equal(rig_bo(file, PAGE), 150);
	assert_int_equal(rig_bo(file, PAGE), 201);
	assert_int_equal(gem_close(file, 3), 0);
	assert_int_equal(gem_close(file, 3), -EINVAL);
	assert_int_equal(gem_close(file, 0), -EINVAL);
	assert_int_equal(gem_close(file, ~0u), -EINVAL);
	rig_close(file);
}

static void memory_is_zero_and_shared_between_mappings(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo = rig_bo(file, 2 * PAGE);
	uint32_t *a = rig_mmap(file, bo, 2 * PAGE), *b = rig_mmap(file, bo, PAGE);

	assert_int_equal(a[0], 0);
	assert_int_equal(a[PAGE / 4], 0);
	a[7] = 42;
	assert_int_equal(b[7], 42);
	/* A CPU mapping outlives handle and file. */
	assert_int_equal(gem_close(file, bo), 0);
	rig_close(file);
	assert_int_equal(a[7], 42);
	munmap(a, 2 * PAGE);
	munmap(b, PAGE);
}

static void what_mmap_refuses(void **state)
{
	struct pb_file *file = rig_open("name=mmap"), *other = rig_open("name=mmap");
	uint32_t bo = rig_bo(file, 2 * PAGE);
	uint64_t offset;
	void *ptr;

	assert_int_equal(mmap_offset(file, bo, &offset), 0);
	assert_int_equal(file->backend->mmap(file, offset, 3 * PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, offset + PAGE, PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, offset + 1, PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, offset, 0, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, PAGE, PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(other->backend->mmap(other, offset, PAGE, PROT_READ, &ptr), -EACCES);
	assert_int_equal(mmap_offset(file, 77, &offset), -ENOENT);
	assert_int_equal(mmap_offset(file, 0, &offset), -ENOENT);
	rig_close(file);
	rig_close(other);
}

static void a_bo_that_is_not_for_mmap(void **state)
{
	struct pb_file *old = rig_open("minor=3"), *file = rig_open("minor=4");
	uint32_t bo;
	uint64_t offset, before = 0;
	void *ptr;

	/* the offset is given, the mapping refused */
	assert_int_equal(create(old, PAGE, PB_BO_NO_MMAP, 0, &bo), 0);
	assert_int_equal(mmap_offset(old, bo, &offset), 0);
	assert_int_equal(old->backend->mmap(old, offset, PAGE, PROT_READ, &ptr), -EINVAL);
	/* the offset is refused, and what is mapped there is not looked at again */
	assert_int_equal(mmap_offset(file, rig_bo(file, PAGE), &before), 0);
	assert_int_equal(create(file, PAGE, PB_BO_NO_MMAP, 0, &bo), 0);
	assert_int_equal(mmap_offset(file, bo, &offset), -EPERM);
	assert_int_equal(file->backend->mmap(file, before + PAGE, PAGE, PROT_READ, &ptr), 0);
	munmap(ptr, PAGE);
	rig_close(old);
	rig_close(file);
}

static void fake_offsets_do_not_overlap_and_come_back(void **state)
{
	/* Each takes a bit less than half of the space: the third fits only where the first was. */
	const uint64_t large = UINT64_C(400) << 30;
	uint64_t a_offset, b_offset, c_offset;
	struct pb_file *file;
	uint32_t a, b;

	if (!kernel_maps_for_nothing()) {
		print_message("# note a large mapping costs memory here: an emulator keeps a note of every page\n");
		skip();
	}
	file = rig_open("");
	a = rig_bo(file, large);
	b = rig_bo(file, large);
	assert_int_equal(mmap_offset(file, a, &a_offset), 0);
	assert_int_equal(mmap_offset(file, b, &b_offset), 0);
	assert_true(b_offset >= a_offset + large || a_offset >= b_offset + large);
	assert_int_equal(create(file, large, 0, 0, NULL), -ENOSPC);
	assert_int_equal(gem_close(file, a), 0);
	assert_int_equal(rig_bo(file, large), a);
	assert_int_equal(mmap_offset(file, a, &c_offset), 0);
	assert_true(b_offset >= c_offset + large || c_offset >= b_offset + large);
	rig_close(file);
}

static void the_flush_id_page_is_read_only(void **state)
{
	struct pb_file *file = rig_open("");
	const uint64_t mmio64 = UINT64_C(1) << 56, mmio32 = UINT64_C(1) << 43;
	struct pb_uapi_set_user_mmio_offset args = {.offset = mmio32};
	void *ptr;

	assert_int_equal(file->backend->mmap(file, mmio64, PAGE, PROT_READ, &ptr), 0);
	munmap(ptr, PAGE);
	assert_int_equal(file->backend->mmap(file, mmio64, PAGE, PROT_READ | PROT_WRITE, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, mmio64, 2 * PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, mmio64 + PAGE, PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(file->backend->mmap(file, mmio32, PAGE, PROT_READ, &ptr), -EINVAL);
	assert_int_equal(rig_ioctl(file, PB_IOCTL_SET_USER_MMIO_OFFSET, &args), 0);
	assert_int_equal(file->backend->mmap(file, mmio32, PAGE, PROT_READ, &ptr), 0);
	munmap(ptr, PAGE);
	args.offset = PAGE;
	assert_int_equal(rig_ioctl(file, PB_IOCTL_SET_USER_MMIO_OFFSET, &args), -EINVAL);
	rig_close(file);
}

static int set_label(struct pb_file *file, uint32_t handle, const char *label)
{
	struct pb_uapi_bo_set_label args = {.handle = handle, .label = (uintptr_t)label};

	return rig_ioctl(file, PB_IOCTL_BO_SET_LABEL, &args);
}

static void labels_are_up_to_4095_bytes(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo = rig_bo(file, PAGE);
	struct pb_uapi_bo_set_label padded = {.handle = bo, .pad = 1};
	char label[4097];

	memset(label, 'x', sizeof(label));
	label[4096] = '\0';
	assert_int_equal(set_label(file, bo, "texture atlas"), 0);
	assert_int_equal(set_label(file, bo, NULL), 0);
	assert_int_equal(set_label(file, bo, label), -E2BIG);
	assert_int_equal(set_label(file, bo, label + 1), 0);
	assert_int_equal(set_label(file, bo, (const char *)8), -EFAULT);
	assert_int_equal(set_label(file, 9, "x"), -ENOENT);
	assert_int_equal(rig_ioctl(file, PB_IOCTL_BO_SET_LABEL, &padded), -EINVAL);
	rig_close(file);
}

/* A label that ends where the caller's memory does. */
static void a_label_is_not_read_beyond_its_page(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo = rig_bo(file, PAGE);
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(munmap(pages + PAGE, PAGE), 0);
	memcpy(pages + PAGE - 6, "label", 6);
	assert_int_equal(set_label(file, bo, pages + PAGE - 6), 0);
	pages[PAGE - 1] = 'x';
	assert_int_equal(set_label(file, bo, pages + PAGE - 6), -EFAULT);
	munmap(pages, PAGE);
	rig_close(file);
}

static int sync_one(struct pb_file *file, struct pb_uapi_bo_sync_op op)
{
	struct pb_uapi_bo_sync args = {.ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op}};

	return rig_ioctl(file, PB_IOCTL_BO_SYNC, &args);
}

static void what_bo_sync_takes(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo = rig_bo(file, PAGE);

	assert_int_equal(sync_one(file, (struct pb_uapi_bo_sync_op){bo, 0, 0, PAGE}), 0);
	assert_int_equal(sync_one(file, (struct pb_uapi_bo_sync_op){bo, 1, 100, 3}), 0);
	assert_int_equal(sync_one(file, (struct pb_uapi_bo_sync_op){bo, 2, 0, PAGE}), -EINVAL);
	assert_int_equal(sync_one(file, (struct pb_uapi_bo_sync_op){bo, 0, 1, PAGE}), -EINVAL);
	assert_int_equal(sync_one(file, (struct pb_uapi_bo_sync_op){bo, 0, ~UINT64_C(0), 2}), -EINVAL);
	assert_int_equal(sync_one(file, (struct pb_uapi_bo_sync_op){bo + 1, 0, 0, PAGE}), -ENOENT);
	rig_close(file);
}

static void query_info(struct pb_file *file, uint32_t handle, uint32_t create_flags, uint32_t extra_flags)
{
	struct pb_uapi_bo_query_info args = {.handle = handle, .pad = 7};

	assert_int_equal(rig_ioctl(file, PB_IOCTL_BO_QUERY_INFO, &args), 0);
	assert_int_equal(args.create_flags, create_flags);
	assert_int_equal(args.extra_flags, extra_flags);
	assert_int_equal(args.pad, 0);
}

static void query_info_has_the_flags_of_creation(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo;

	assert_int_equal(create(file, PAGE, PB_BO_NO_MMAP, 0, &bo), 0);
	query_info(file, bo, PB_BO_NO_MMAP, 0);
	rig_close(file);
}

static void an_import_on_the_same_file_gives_the_same_handle(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo = rig_bo(file, PAGE), again;
	int fd;

	assert_int_equal(export(file, bo, DRM_CLOEXEC | DRM_RDWR, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(import(file, fd, &again), 0);
	assert_int_equal(again, bo);
	assert_int_equal(gem_close(file, bo), 0); /* one handle, closed once */
	assert_int_equal(gem_close(file, bo), -EINVAL);
	close(fd);
	rig_close(file);
}

static void an_import_on_another_file_is_the_same_memory(void **state)
{
	struct pb_file *a = rig_open("name=prime"), *b = rig_open("name=prime");
	uint32_t bo, there;
	uint32_t *here_ptr, *there_ptr;
	int fd;

	bo = rig_bo(a, PAGE);
	rig_bo(b, PAGE); /* so that handles differ */
	assert_int_equal(export(a, bo, 0, &fd), 0);
	assert_int_equal(import(b, fd, &there), 0);
	assert_int_equal(there, 2);
	query_info(b, there, 0, 0); /* the same device: not imported */
	here_ptr = rig_mmap(a, bo, PAGE);
	there_ptr = rig_mmap(b, there, PAGE);
	here_ptr[1] = 4711;
	assert_int_equal(there_ptr[1], 4711);
	close(fd);
	munmap(here_ptr, PAGE);
	munmap(there_ptr, PAGE);
	rig_close(a);
	rig_close(b);
}

static void an_import_of_another_device_says_so(void **state)
{
	struct pb_file *a = rig_open(""), *b = rig_open("");
	uint32_t bo = rig_bo(a, 3 * PAGE), there;
	uint32_t *here_ptr, *there_ptr;
	int fd;

	assert_int_equal(export(a, bo, 0, &fd), 0);
	assert_int_equal(import(b, fd, &there), 0);
	query_info(b, there, 0, PB_BO_IS_IMPORTED);
	assert_int_equal(sync_one(b, (struct pb_uapi_bo_sync_op){there, 0, 0, PAGE}), -EINVAL);
	here_ptr = rig_mmap(a, bo, 3 * PAGE);
	there_ptr = rig_mmap(b, there, 3 * PAGE);
	here_ptr[2000] = 4711;
	assert_int_equal(there_ptr[2000], 4711);
	close(fd);
	munmap(here_ptr, 3 * PAGE);
	munmap(there_ptr, 3 * PAGE);
	rig_close(a);
	rig_close(b);
}

static void an_exported_fd_keeps_memory_and_flags(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t bo, again;
	uint32_t *ptr;
	int fd;

	assert_int_equal(create(file, PAGE, PB_BO_WB_MMAP, 0, &bo), 0);
	ptr = rig_mmap(file, bo, PAGE);
	ptr[0] = 99;
	munmap(ptr, PAGE);
	assert_int_equal(export(file, bo, 0, &fd), 0);
	assert_int_equal(gem_close(file, bo), 0);
	assert_int_equal(import(file, fd, &again), 0);
	query_info(file, again, PB_BO_WB_MMAP, 0);
	ptr = rig_mmap(file, again, PAGE);
	assert_int_equal(ptr[0], 99);
	munmap(ptr, PAGE);
	close(fd);
	rig_close(file);
}

static void an_exported_fd_outlives_all_files_of_its_device(void **state)
{
	struct pb_file *file = rig_open("name=again");
	uint32_t bo, again;
	uint64_t offset;
	int fd;

	assert_int_equal(create(file, PAGE, PB_BO_NO_MMAP, 0, &bo), 0);
	assert_int_equal(export(file, bo, 0, &fd), 0);
	rig_close(file);

	file = rig_open("name=again");
	assert_int_equal(import(file, fd, &again), 0);

	assert_int_equal(mmap_offset(file, again, &offset), -EPERM);
	query_info(file, again, PB_BO_NO_MMAP, 0);
	close(fd);
	rig_close(file);
}

static void what_prime_refuses(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t vm = rig_vm(file), bo = rig_bo(file, PAGE), exclusive, handle;
	int fd, fds[2];

	assert_int_equal(create(file, PAGE, 0, vm, &exclusive), 0);
	assert_int_equal(export(file, exclusive, 0, &fd), -EINVAL);
	assert_int_equal(export(file, 77, 0, &fd), -ENOENT);
	assert_int_equal(export(file, bo, 1, &fd), -EINVAL);
	assert_int_equal(import(file, -1, &handle), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(import(file, fds[0], &handle), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	fd = memfd_create("not-a-dma-buf", 0);
	assert_int_equal(import(file, fd, &handle), -EINVAL);
	close(fd);
	rig_close(file);
}

/* More BOs than this process may have descriptors; the last one's handle. */
static uint32_t make_many(struct pb_file *file, struct rlimit *ret_before)
{
	struct rlimit few;
	uint32_t bo = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_before), 0);
	few = *ret_before;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (unsigned i = 0; i < 200; i++)
		bo = rig_bo(file, PAGE);
	return bo;
}

static void more_bos_than_file_descriptors_are_fine(void **state)
{
	struct pb_file *file = rig_open("");
	struct rlimit before;
	uint32_t bo = make_many(file, &before);
	int fd;

	/* Half of the descriptors are left to the program; the price is that such a BO cannot become one. */
	assert_int_equal(export(file, bo, 0, &fd), -EMFILE);
	rig_close(file);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void a_bo_without_a_descriptor_is_mapped_as_any_other(void **state)
{
	uint32_t *ptr, *again, bo;
	struct rlimit before;
	struct pb_file *file;

	if (!kernel_doubles_mappings()) {
		print_message("# note mremap() doubles nothing here: an emulator refuses a length of 0\n");
		skip();
	}
	file = rig_open("");
	bo = make_many(file, &before);
	ptr = rig_mmap(file, bo, PAGE);
	again = rig_mmap(file, bo, PAGE);
	ptr[5] = 6;
	assert_int_equal(again[5], 6);
	munmap(ptr, PAGE);
	munmap(again, PAGE);
	rig_close(file);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_is_rounded_up_to_pages),
		cmocka_unit_test(what_bo_create_refuses),
		cmocka_unit_test(wb_mmap_needs_driver_1_7),
		cmocka_unit_test(handles_are_the_lowest_free_from_1),
		cmocka_unit_test(memory_is_zero_and_shared_between_mappings),
		cmocka_unit_test(what_mmap_refuses),
		cmocka_unit_test(a_bo_that_is_not_for_mmap),
		cmocka_unit_test(fake_offsets_do_not_overlap_and_come_back),
		cmocka_unit_test(the_flush_id_page_is_read_only),
		cmocka_unit_test(labels_are_up_to_4095_bytes),
		cmocka_unit_test(a_label_is_not_read_beyond_its_page),
		cmocka_unit_test(what_bo_sync_takes),
		cmocka_unit_test(query_info_has_the_flags_of_creation),
		cmocka_unit_test(an_import_on_the_same_file_gives_the_same_handle),
		cmocka_unit_test(an_import_on_another_file_is_the_same_memory),
		cmocka_unit_test(an_import_of_another_device_says_so),
		cmocka_unit_test(an_exported_fd_keeps_memory_and_flags),
		cmocka_unit_test(an_exported_fd_outlives_all_files_of_its_device),
		cmocka_unit_test(what_prime_refuses),
		cmocka_unit_test(more_bos_than_file_descriptors_are_fine),
		cmocka_unit_test(a_bo_without_a_descriptor_is_mapped_as_any_other),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
