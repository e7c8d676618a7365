/* SPDX-License-Identifier: MIT */
/*
 * Every allocation that an ioctl makes fails once: the first, then the second, and so on, until the ioctl makes no more
 * (Linux's fault injection, /proc/thread-self/fail-nth; kernel/run --debug). It must fail cleanly, or get along, and
 * leave everything as it was, or done. What the kernel notices itself (KASAN, lockdep, leaks) fails the box.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raw.h"

#define VA	 UINT64_C(0x40000000)
#define SIZE	 (16 * RAW_PAGE)
#define NTH_MOST 2000

static void set_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail_msg("cannot write %s", path);
	close(fd);
}

/* Without "ignore" every allocation that may sleep succeeds. */
static int open_device(void **state)
{
	static const char *const settings[][2] = {
		{"failslab/ignore-gfp-wait", "N"},	  {"failslab/verbose", "0"},
		{"fail_page_alloc/ignore-gfp-wait", "N"}, {"fail_page_alloc/ignore-gfp-highmem", "N"},
		{"fail_page_alloc/min-order", "0"},	  {"fail_page_alloc/verbose", "0"},
	};
	char path[128];

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		set_file(path, settings[i][1]);
	}
	setenv("PANBIND_DEVICE", "drm:auto", 1);
	return raw_setup(state);
}

#define FAIL_NTH "/proc/thread-self/fail-nth"

/* The nth allocation from now on fails, in this thread. Returns what disarm() needs: to open the file again would be
 * the next to fail. */
static int arm(unsigned nth)
{
	char text[16];
	int fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);

	snprintf(text, sizeof(text), "%u", nth);
	if (fd < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		fail_msg("cannot write " FAIL_NTH);
	return fd;
}

/* No more failures. Has there been one? */
static bool disarm(int fd)
{
	char text[16] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	bool left = atoi(text) > 0;

	if (pwrite(fd, "0", 1, 0) < 0)
		fail_msg("cannot write " FAIL_NTH);
	close(fd);
	if (got <= 0)
		fail_msg("cannot read " FAIL_NTH);
	return !left;
}

/* What is judged: an ioctl, what makes ready for it, and what it must have done or left alone. */
struct subject {
	void (*prepare)(struct raw *raw);
	int (*run)(struct raw *raw);
	void (*check)(struct raw *raw, int ret);
};

static void fail_each(struct raw *raw, const struct subject *subject)
{
	unsigned nth, failures = 0;

	for (nth = 1; nth < NTH_MOST; nth++) {
		bool failed;
		int ret, fd;

		if (subject->prepare)
			subject->prepare(raw);
		fd = arm(nth);
		ret = subject->run(raw);
		failed = disarm(fd);
		/* ENOSPC is what shmem says when it gets no inode */
		if (ret && ret != -ENOMEM && ret != -EINVAL && ret != -ENOSPC)
			fail_msg("allocation %u: %s", nth, strerrorname_np(-ret));
		if (ret && !failed)
			fail_msg("%s without a failing allocation", strerrorname_np(-ret));
		failures += ret != 0;
		subject->check(raw, ret);
		if (!failed)
			break;
	}
	print_message("# %u allocations, %u of them fatal\n", nth - 1, failures);
	if (nth == NTH_MOST || !failures)
		fail_msg("no allocation has failed, or there is no end of them");
}

/* ---- VM_CREATE ---- */

static uint32_t made;

static int run_vm_create(struct raw *raw)
{
	return raw_vm_create(raw, 0, &made, NULL);
}

static void check_vm_create(struct raw *raw, int ret)
{
	if (!ret)
		raw_expect("VM_DESTROY", raw_vm_destroy(raw, made), 0);
}

static void vm_create(void **state)
{
	fail_each(*state, &(struct subject){.run = run_vm_create, .check = check_vm_create});
}

/* ---- BO_CREATE ---- */

static int run_bo_create(struct raw *raw)
{
	return raw_bo_create(raw, SIZE, 0, raw->vm, &made);
}

static void check_bo_create(struct raw *raw, int ret)
{
	if (!ret)
		raw_expect("GEM_CLOSE", raw_bo_close(raw, made), 0);
}

static void bo_create(void **state)
{
	fail_each(*state, &(struct subject){.run = run_bo_create, .check = check_bo_create});
}

/* ---- VM_BIND, with one op ---- */

static uint32_t other_bo;

static void check_usable(struct raw *raw, int ret)
{
	raw_expect("VM_GET_STATE", raw_vm_state(raw, raw->vm), 0);
}

/* A fresh BO each time, so that its pages and its table of them are allocated anew. */
static void prepare_bind(struct raw *raw)
{
	raw_expect("UNMAP", raw_unmap(raw, VA, 4 * SIZE), 0);
	raw_expect("MAP", raw_map(raw, VA, SIZE, raw->bo, 0, 0), 0);
	if (other_bo)
		raw_bo_close(raw, other_bo);
	other_bo = raw_bo(raw, SIZE);
}

static int run_map(struct raw *raw)
{
	return raw_map(raw, VA + 4 * RAW_PAGE, 4 * RAW_PAGE, other_bo, 0, 0);
}

static void sync_map(void **state)
{
	fail_each(*state, &(struct subject){prepare_bind, run_map, check_usable});
}

static int run_unmap(struct raw *raw)
{
	return raw_unmap(raw, VA + 4 * RAW_PAGE, 4 * RAW_PAGE);
}

static void sync_unmap(void **state)
{
	fail_each(*state, &(struct subject){prepare_bind, run_unmap, check_usable});
}

/* ---- VM_BIND, asynchronous: waits for a syncobj, signals a timeline point ---- */

static uint32_t before, after;
static uint64_t point;

static void prepare_async(struct raw *raw)
{
	prepare_bind(raw);
	if (!after)
		after = raw_syncobj(raw, 0);
	if (!before)
		before = raw_syncobj(raw, DRM_SYNCOBJ_CREATE_SIGNALED);
	point++;
}

static int run_async(struct raw *raw)
{
	struct pb_uapi_sync_op syncs[] = {
		{.flags = PB_SYNC_TYPE_SYNCOBJ, .handle = before},
		{.flags = PB_SYNC_TYPE_TIMELINE | PB_SYNC_SIGNAL, .handle = after, .timeline_value = point}};
	struct pb_uapi_vm_bind_op ops[] = {
		{.flags = PB_OP_MAP, .bo_handle = other_bo, .va = VA + 4 * RAW_PAGE, .size = 4 * RAW_PAGE},
		{.flags = PB_OP_UNMAP, .va = VA + 6 * RAW_PAGE, .size = RAW_PAGE, .syncs = RAW_ARRAY(syncs, 2)}};

	return raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, ops, 2, NULL);
}

static void check_async(struct raw *raw, int ret)
{
	if (!ret)
		raw_expect("wait", raw_sync_wait(raw, after, point), 0);
	check_usable(raw, ret);
}

static void async_bind(void **state)
{
	fail_each(*state, &(struct subject){prepare_async, run_async, check_async});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vm_create),  cmocka_unit_test(bo_create),  cmocka_unit_test(sync_map),
		cmocka_unit_test(sync_unmap), cmocka_unit_test(async_bind),
	};
	return cmocka_run_group_tests(tests, open_device, raw_teardown);
}
