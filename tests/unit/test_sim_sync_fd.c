/* SPDX-License-Identifier: MIT */
/* What leaves the simulator's syncobjs as a fd, or is told of through one: sync files, syncobjs' own fds, eventfds. */
#include <drm.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim_sync.h"
#include "sim_sync_private.h"
#include "syncs.h"

static bool readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN);
}

static void a_sync_file_becomes_readable_and_has_a_status(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = syncs_add(syncs, 0);
	struct sim_fence *fence = sim_fence_create();
	int fd, copy, status = 77;

	syncs_give(syncs, handle, fence, 0);
	fd = syncs_export(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);
	copy = dup(fd);
	assert_false(readable(fd));
	assert_int_equal(sim_sync_file_status(fd, &status), 0);
	assert_int_equal(status, 1);
	sim_fence_signal(fence, -ECANCELED);
	assert_true(readable(fd));
	assert_true(readable(copy));
	assert_int_equal(sim_sync_file_status(copy, &status), 0);
	assert_int_equal(status, -ECANCELED);
	close(fd);
	close(copy);
	assert_int_equal(sim_sync_file_status(fd, &status), -EBADF);
	assert_int_equal(sim_sync_file_status(STDERR_FILENO, &status), -EINVAL);
	sim_fence_put(fence);
}

static void a_sync_file_carries_its_fence_into_another_open_file(void **state)
{
	struct sim_syncs *syncs = *state, *other;
	uint32_t handle = syncs_add(syncs, 0), there;
	struct sim_fence *fence = sim_fence_create();
	struct drm_syncobj_handle args = {.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE};

	assert_int_equal(sim_syncs_create(true, &other), 0);
	there = syncs_add(other, 0);
	syncs_give(syncs, handle, fence, 0);
	args.fd = syncs_export(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);
	args.handle = there;
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	close(args.fd);
	assert_int_equal(syncs_poll(other, there, 0), -ETIME);
	sim_fence_signal(fence, 0);
	assert_int_equal(syncs_poll(other, there, 0), 0);
	sim_fence_put(fence);
	sim_syncs_destroy(other);
}

static void a_syncobj_fd_shares_the_syncobj(void **state)
{
	struct sim_syncs *syncs = *state, *other;
	uint32_t handle = syncs_add(syncs, 0);
	struct drm_syncobj_handle args = {0};
	struct sim_fence *fence = sim_fence_create_signaled();

	assert_int_equal(sim_syncs_create(true, &other), 0);
	args.fd = syncs_export(syncs, handle, 0);
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	assert_int_equal(args.handle, 1);
	assert_int_equal(syncs_poll(other, 1, 0), -EINVAL);
	syncs_give(syncs, handle, fence, 0);
	assert_int_equal(syncs_poll(other, 1, 0), 0);

	/* a syncobj is no sync file and the other way round */
	args.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE;
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), -EINVAL);
	close(args.fd);
	args.flags = 0;
	args.fd = syncs_export(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), -EINVAL);
	close(args.fd);
	sim_fence_put(fence);
	sim_syncs_destroy(other);
}

/* More exports than there are fds: each is closed at once, and what the simulator keeps for it must go too. */
static void closed_sync_files_cost_no_fds(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = syncs_add(syncs, DRM_SYNCOBJ_CREATE_SIGNALED);
	struct rlimit old, few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 500; i++)
		close(syncs_export(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void an_eventfd_is_told_of_a_point(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = syncs_add(syncs, 0);
	struct sim_fence *fence = sim_fence_create();
	int passed = eventfd(0, EFD_CLOEXEC), there = eventfd(0, EFD_CLOEXEC);
	struct sim_syncobj_eventfd args = {.handle = handle, .point = 3, .fd = passed};

	assert_int_equal(sim_syncs_ioctl(syncs, SIM_IOCTL_SYNCOBJ_EVENTFD, &args), 0);
	args.fd = there;
	args.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE;
	assert_int_equal(sim_syncs_ioctl(syncs, SIM_IOCTL_SYNCOBJ_EVENTFD, &args), 0);
	assert_false(readable(there));
	syncs_give(syncs, handle, fence, 3);
	assert_true(readable(there));
	assert_false(readable(passed));
	sim_fence_signal(fence, 0);
	assert_true(readable(passed));

	/* a point that has passed: at once */
	close(there);
	args.fd = there = eventfd(0, EFD_CLOEXEC);
	args.flags = 0;
	args.point = 2;
	assert_int_equal(sim_syncs_ioctl(syncs, SIM_IOCTL_SYNCOBJ_EVENTFD, &args), 0);
	assert_true(readable(there));
	close(passed);
	close(there);
	sim_fence_put(fence);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, syncs_setup, syncs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sync_file_becomes_readable_and_has_a_status),
		TEST(a_sync_file_carries_its_fence_into_another_open_file),
		TEST(a_syncobj_fd_shares_the_syncobj),
		TEST(closed_sync_files_cost_no_fds),
		TEST(an_eventfd_is_told_of_a_point),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
