/* SPDX-License-Identifier: MIT */
/* BO_CREATE, BO_MMAP_OFFSET, GEM_CLOSE, PRIME, and from 1.4 and 1.7 on labels, cached mappings and BO_SYNC. */
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void sizes_are_rounded_up_to_pages(void **state)
{
	struct raw *raw = *state;
	const struct {
		uint64_t asked, given;
	} cases[] = {{1, 4096}, {4096, 4096}, {4097, 8192}, {0x600, 4096}, {1 << 20, 1 << 20}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_bo_create args = {.size = cases[i].asked};

		raw_expect("create", raw_ioctl(raw, PB_IOCTL_BO_CREATE, &args), 0);
		assert_int_equal(args.size, cases[i].given);
		assert_int_not_equal(args.handle, 0);
	}
}

static void bad_creations_give_their_errno(void **state)
{
	struct raw *raw = *state;
	const struct {
		const char *name;
		struct pb_uapi_bo_create args;
		int want;
	} cases[] = {
		{"size 0", {.size = 0}, -EINVAL},
		{"unknown flag", {.size = 4096, .flags = 1u << 31}, -EINVAL},
		{"padding", {.size = 4096, .pad = 1}, -EINVAL},
		{"exclusive to no VM", {.size = 4096, .exclusive_vm_id = 99}, -EINVAL},
		{"1 TiB", {.size = UINT64_C(1) << 40}, -ENOSPC},
		{"rounds up to 0", {.size = ~UINT64_C(0)}, -ENOSPC},
		{"negative", {.size = ~UINT64_C(4095)}, -EINVAL},
		{"not mappable", {.size = 4096, .flags = PB_BO_NO_MMAP}, 0},
		{"exclusive", {.size = 4096, .exclusive_vm_id = raw->vm}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_bo_create args = cases[i].args;

		raw_expect(cases[i].name, raw_ioctl(raw, PB_IOCTL_BO_CREATE, &args), cases[i].want);
	}
}

static void memory_starts_as_zeros_and_is_shared_by_mappings(void **state)
{
	struct raw *raw = *state;
	unsigned char *one = raw_bo_mmap(raw, raw->bo, 16 * RAW_PAGE), *two = raw_bo_mmap(raw, raw->bo, 16 * RAW_PAGE);

	for (size_t i = 0; i < 16 * RAW_PAGE; i++)
		assert_int_equal(one[i], 0);
	one[16 * RAW_PAGE - 1] = 42;
	assert_int_equal(two[16 * RAW_PAGE - 1], 42);
	munmap(one, 16 * RAW_PAGE);
	munmap(two, 16 * RAW_PAGE);
}

static void cpu_mapping_outlives_the_handle(void **state)
{
	struct raw *raw = *state;
	uint32_t bo = raw_bo(raw, RAW_PAGE);
	unsigned char *ptr = raw_bo_mmap(raw, bo, RAW_PAGE);

	raw_expect("close", raw_bo_close(raw, bo), 0);
	ptr[0] = 1;
	assert_int_equal(ptr[0], 1);
	munmap(ptr, RAW_PAGE);
}

static void bad_mappings_give_their_errno(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_bo_mmap_offset args = {.handle = 999};
	void *ptr = NULL;

	raw_expect("bad handle", raw_ioctl(raw, PB_IOCTL_BO_MMAP_OFFSET, &args), -ENOENT);
	args = (struct pb_uapi_bo_mmap_offset){.handle = raw->bo, .pad = 1};
	raw_expect("padding", raw_ioctl(raw, PB_IOCTL_BO_MMAP_OFFSET, &args), -EINVAL);

	args = (struct pb_uapi_bo_mmap_offset){.handle = raw->bo};
	raw_expect("offset", raw_ioctl(raw, PB_IOCTL_BO_MMAP_OFFSET, &args), 0);
	raw_expect("too long", raw->file->backend->mmap(raw->file, args.offset, 17 * RAW_PAGE, PROT_READ, &ptr),
		   -EINVAL);
	raw_expect("no BO", raw->file->backend->mmap(raw->file, UINT64_C(1) << 50, RAW_PAGE, PROT_READ, &ptr), -EINVAL);
	assert_null(ptr);
}

static int mmap_offset(struct raw *raw, uint32_t bo, uint64_t *ret_offset)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = bo};
	int ret = raw_ioctl(raw, PB_IOCTL_BO_MMAP_OFFSET, &args);

	*ret_offset = args.offset;
	return ret;
}

/* Where it would be, if offsets are given one behind the other: between its neighbours. 0: they are not. */
static uint64_t guess_offset(struct raw *raw, uint64_t size, uint32_t *ret_bo)
{
	uint32_t before = raw_bo(raw, size), after;
	uint64_t from, to;

	raw_expect("create", raw_bo_create(raw, size, PB_BO_NO_MMAP, 0, ret_bo), 0);
	after = raw_bo(raw, size);
	raw_expect("before", mmap_offset(raw, before, &from), 0);
	raw_expect("after", mmap_offset(raw, after, &to), 0);
	return to == from + 2 * size ? from + size : 0;
}

/*
 * Until 1.3 the offset is told and mmap() refuses. From 1.4 on it is not told; it is there all the same, and a program
 * that guesses it may map what was asked not to be mapped.
 */
static void a_bo_that_is_not_for_mmap_has_no_offset_to_tell(void **state)
{
	struct raw *raw = *state;
	uint32_t bo = 0;
	uint64_t guess = guess_offset(raw, 3 * RAW_PAGE, &bo), offset;
	void *ptr = NULL;
	int ret;

	raw_expect("offset", mmap_offset(raw, bo, &offset), raw->minor >= 4 ? -EPERM : 0);
	if (raw->minor >= 4)
		offset = guess;
	if (!offset)
		return;
	ret = raw->file->backend->mmap(raw->file, offset, RAW_PAGE, PROT_READ, &ptr);
	raw_expect("mmap", ret, raw->minor >= 4 ? 0 : -EINVAL);
	if (!ret)
		munmap(ptr, RAW_PAGE);
}

static void closed_handles_are_gone(void **state)
{
	struct raw *raw = *state;

	raw_expect("close", raw_bo_close(raw, raw->bo), 0);
	raw_expect("twice", raw_bo_close(raw, raw->bo), -EINVAL);
	raw_expect("never was", raw_bo_close(raw, 999), -EINVAL);
	raw_expect("zero", raw_bo_close(raw, 0), -EINVAL);
}

/* ---- PRIME ---- */

static int export_bo(struct raw *raw, uint32_t bo, uint32_t flags, int *ret_fd)
{
	struct drm_prime_handle args = {.handle = bo, .flags = flags, .fd = -1};
	int ret = raw_ioctl(raw, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	*ret_fd = args.fd;
	return ret;
}

static int import_bo(struct raw *raw, int fd, uint32_t *ret_bo)
{
	struct drm_prime_handle args = {.fd = fd};
	int ret = raw_ioctl(raw, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	*ret_bo = args.handle;
	return ret;
}

static void import_into_the_same_file_gives_the_same_handle(void **state)
{
	struct raw *raw = *state;
	uint32_t bo = 0;
	int fd;

	raw_expect("export", export_bo(raw, raw->bo, O_CLOEXEC | O_RDWR, &fd), 0);
	raw_expect("import", import_bo(raw, fd, &bo), 0);
	assert_int_equal(bo, raw->bo);
	close(fd);
}

static void import_into_another_file_shares_the_memory(void **state)
{
	struct raw *pair[2];
	uint32_t bo = 0;
	int *here, *there, fd;

	raw_open_pair(pair);
	raw_expect("export", export_bo(pair[0], pair[0]->bo, O_CLOEXEC | O_RDWR, &fd), 0);
	raw_expect("import", import_bo(pair[1], fd, &bo), 0);
	close(fd);
	here = raw_bo_mmap(pair[0], pair[0]->bo, RAW_PAGE);
	there = raw_bo_mmap(pair[1], bo, RAW_PAGE);
	*here = 4711;
	assert_int_equal(*there, 4711);
	raw_expect("map", raw_map(pair[1], 0x100000, RAW_PAGE, bo, 0, 0), 0);
	munmap(here, RAW_PAGE);
	munmap(there, RAW_PAGE);
	/* the importer keeps it when the exporter goes */
	raw_close(pair[0]);
	raw_assert_mapped(pair[1], pair[1]->vm, 0x100000, RAW_PAGE, bo, 0, 0);
	raw_close(pair[1]);
}

static void bad_exports_and_imports_give_their_errno(void **state)
{
	struct raw *raw = *state;
	uint32_t bo = 0, handle;
	int fd, pipe_fds[2];

	raw_expect("create", raw_bo_create(raw, RAW_PAGE, 0, raw->vm, &bo), 0);
	raw_expect("exclusive", export_bo(raw, bo, O_CLOEXEC, &fd), -EINVAL);
	raw_expect("bad handle", export_bo(raw, 999, O_CLOEXEC, &fd), -ENOENT);
	raw_expect("bad flags", export_bo(raw, raw->bo, 1, &fd), -EINVAL);
	raw_expect("bad fd", import_bo(raw, -1, &handle), -EBADF);
	assert_int_equal(pipe(pipe_fds), 0);
	raw_expect("not a dma-buf", import_bo(raw, pipe_fds[0], &handle), -EINVAL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* ---- Newer drivers ---- */

static void labels_are_bounded(void **state)
{
	struct raw *raw = *state;
	char label[PB_BO_LABEL_MAX + 1];
	struct pb_uapi_bo_set_label args = {.handle = raw->bo, .label = (uintptr_t)label};

	raw_need_minor(raw, 4);
	memset(label, 'x', sizeof(label));
	label[PB_BO_LABEL_MAX] = '\0';
	raw_expect("4096 characters", raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args), -E2BIG);
	label[PB_BO_LABEL_MAX - 1] = '\0';
	raw_expect("4095 characters", raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args), 0);
	args.label = 0;
	raw_expect("none", raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args), 0);
	args.label = 8;
	raw_expect("bad pointer", raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args), -EFAULT);
	args = (struct pb_uapi_bo_set_label){.handle = 999};
	raw_expect("bad handle", raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args), -ENOENT);
	args = (struct pb_uapi_bo_set_label){.handle = raw->bo, .pad = 1};
	raw_expect("padding", raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args), -EINVAL);
}

static void query_info_tells_flags_and_origin(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_bo_query_info args = {.handle = 999};
	uint32_t bo = 0;

	raw_need_minor(raw, 7);
	raw_expect("bad handle", raw_ioctl(raw, PB_IOCTL_BO_QUERY_INFO, &args), -ENOENT);
	raw_expect("create", raw_bo_create(raw, RAW_PAGE, PB_BO_WB_MMAP, 0, &bo), 0);
	args = (struct pb_uapi_bo_query_info){.handle = bo, .extra_flags = ~0u, .create_flags = ~0u};
	raw_expect("query", raw_ioctl(raw, PB_IOCTL_BO_QUERY_INFO, &args), 0);
	assert_int_equal(args.create_flags, PB_BO_WB_MMAP);
	assert_int_equal(args.extra_flags, 0);
}

static void bo_sync_checks_each_op(void **state)
{
	struct raw *raw = *state;
	const struct {
		const char *name;
		struct pb_uapi_bo_sync_op op;
		int want;
	} cases[] = {
		{"flush", {.handle = raw->bo, .size = RAW_PAGE}, 0},
		{"flush and invalidate", {.handle = raw->bo, .type = 1, .offset = RAW_PAGE, .size = RAW_PAGE}, 0},
		{"unknown type", {.handle = raw->bo, .type = 2, .size = RAW_PAGE}, -EINVAL},
		{"bad handle", {.handle = 999, .size = RAW_PAGE}, -ENOENT},
		{"past the end", {.handle = raw->bo, .offset = 16 * RAW_PAGE, .size = 1}, -EINVAL},
		{"wraps", {.handle = raw->bo, .offset = RAW_PAGE, .size = ~UINT64_C(0)}, -EINVAL},
	};

	raw_need_minor(raw, 7);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_bo_sync_op op = cases[i].op;
		struct pb_uapi_bo_sync args = {.ops = RAW_ARRAY(&op, 1)};

		raw_expect(cases[i].name, raw_ioctl(raw, PB_IOCTL_BO_SYNC, &args), cases[i].want);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sizes_are_rounded_up_to_pages),
		TEST(bad_creations_give_their_errno),
		TEST(memory_starts_as_zeros_and_is_shared_by_mappings),
		TEST(cpu_mapping_outlives_the_handle),
		TEST(bad_mappings_give_their_errno),
		TEST(a_bo_that_is_not_for_mmap_has_no_offset_to_tell),
		TEST(closed_handles_are_gone),
		TEST(import_into_the_same_file_gives_the_same_handle),
		TEST(import_into_another_file_shares_the_memory),
		TEST(bad_exports_and_imports_give_their_errno),
		TEST(labels_are_bounded),
		TEST(query_info_tells_flags_and_origin),
		TEST(bo_sync_checks_each_op),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
