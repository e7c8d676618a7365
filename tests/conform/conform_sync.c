/* SPDX-License-Identifier: MIT */
/*
 * DRM_IOCTL_SYNCOBJ_*: errnos and their order, without a fence that is pending, which no program can hold at will. What
 * pending fences do is tested from inside the simulator.
 */
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_ALL	DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL
#define WAIT_FOR_SUBMIT DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT
#define WAIT_AVAILABLE	DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE
#define SIGNALED	DRM_SYNCOBJ_CREATE_SIGNALED

static uint64_t addr(const void *ptr)
{
	return (uintptr_t)ptr;
}

static int wait_binary(struct raw *raw, const uint32_t *handles, uint32_t count, uint32_t flags, uint32_t *ret_first)
{
	struct drm_syncobj_wait args = {.handles = addr(handles), .count_handles = count, .flags = flags};
	int ret = raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_WAIT, &args);

	*ret_first = args.first_signaled;
	return ret;
}

static int wait_timeline(struct raw *raw, uint32_t handle, uint64_t point, uint32_t flags)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = addr(&handle), .points = addr(&point), .count_handles = 1, .flags = flags};

	return raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

static int signal_points(struct raw *raw, const uint32_t *handles, const uint64_t *points, uint32_t count)
{
	struct drm_syncobj_timeline_array args = {.handles = addr(handles),
						  .points = addr(points),
						  .count_handles = count};

	return raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &args);
}

static uint64_t query(struct raw *raw, uint32_t handle, uint32_t flags)
{
	uint64_t point = 77;
	struct drm_syncobj_timeline_array args = {
		.handles = addr(&handle), .points = addr(&point), .count_handles = 1, .flags = flags};

	raw_expect("QUERY", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_QUERY, &args), 0);
	return point;
}

static void handles_start_at_one_and_are_used_again(void **state)
{
	struct raw *raw = *state;
	struct drm_syncobj_create create = {.flags = 2};
	struct drm_syncobj_destroy destroy = {.handle = 1, .pad = 1};

	assert_int_equal(raw_syncobj(raw, 0), 1);
	assert_int_equal(raw_syncobj(raw, SIGNALED), 2);
	raw_expect("unknown flag", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_CREATE, &create), -EINVAL);
	raw_expect("padding", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), -EINVAL);
	destroy.pad = 0;
	raw_expect("destroy", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), 0);
	raw_expect("twice", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), -EINVAL);
	assert_int_equal(raw_syncobj(raw, 0), 1);
}

/* 0 is no handle. Since its table is an xarray, a kernel that was asked to destroy it gives it away next. */
static void destroying_no_handle_changes_nothing(void **state)
{
	struct raw *raw = *state;
	struct drm_syncobj_destroy destroy = {0};
	uint32_t next;

	assert_int_equal(raw_syncobj(raw, 0), 1);
	raw_expect("destroy", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), -EINVAL);
	next = raw_syncobj(raw, 0);
	if (next == 0 && raw->kernel > RAW_KERNEL(6, 12))
		raw_known_bug(raw, "SYNCOBJ_DESTROY of handle 0 makes it the next handle");
	assert_int_equal(next, 2);
}

static void waits_check_flags_then_handles_then_fences(void **state)
{
	struct raw *raw = *state;
	uint32_t empty = raw_syncobj(raw, 0), full = raw_syncobj(raw, SIGNALED), bad = 99, first;
	uint32_t mixed[2] = {full, empty};

	raw_expect("unknown flag", wait_binary(raw, &bad, 1, 1u << 4, &first), -EINVAL);
	raw_expect("available is for timelines", wait_binary(raw, &full, 1, WAIT_AVAILABLE, &first), -EINVAL);
	raw_expect("nothing", wait_binary(raw, NULL, 0, 0, &first), 0);
	raw_expect("bad array", wait_binary(raw, NULL, 1, 0, &first), -EFAULT);
	raw_expect("huge array", wait_binary(raw, &full, UINT32_MAX, 0, &first), -ENOMEM);
	raw_expect("bad handle", wait_binary(raw, &bad, 1, 0, &first), -ENOENT);
	raw_expect("no fence", wait_binary(raw, &empty, 1, 0, &first), -EINVAL);
	raw_expect("no fence yet", wait_binary(raw, &empty, 1, WAIT_FOR_SUBMIT, &first), -ETIME);
	raw_expect("one without a fence", wait_binary(raw, mixed, 2, 0, &first), -EINVAL);
	raw_expect("any of them", wait_binary(raw, mixed, 2, WAIT_FOR_SUBMIT, &first), 0);
	assert_int_equal(first, 0);
	raw_expect("all of them", wait_binary(raw, mixed, 2, WAIT_FOR_SUBMIT | WAIT_ALL, &first), -ETIME);
}

static void a_wait_names_the_first_one(void **state)
{
	struct raw *raw = *state;
	uint32_t handles[3] = {raw_syncobj(raw, 0), raw_syncobj(raw, SIGNALED), raw_syncobj(raw, SIGNALED)}, first;

	raw_expect("any", wait_binary(raw, handles, 3, WAIT_FOR_SUBMIT, &first), 0);
	assert_int_equal(first, 1);
	raw_expect("all", wait_binary(raw, handles + 1, 2, WAIT_ALL, &first), 0);
	assert_int_equal(first, 0);
}

static void timeouts_are_absolute_and_past_ones_poll(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0);
	struct timespec now;
	struct drm_syncobj_wait args = {.handles = addr(&handle), .count_handles = 1, .flags = WAIT_FOR_SUBMIT};
	const int64_t past[] = {0, 1, -1, INT64_MIN};

	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
		args.timeout_nsec = past[i];
		raw_expect("past", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_WAIT, &args), -ETIME);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	args.timeout_nsec = now.tv_sec * INT64_C(1000000000) + now.tv_nsec + 20000000;
	raw_expect("in 20 ms", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_WAIT, &args), -ETIME);
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_true(now.tv_sec * INT64_C(1000000000) + now.tv_nsec >= args.timeout_nsec);
}

static int set(struct raw *raw, unsigned long request, uint32_t *handles, uint32_t count, uint32_t pad)
{
	struct drm_syncobj_array args = {.handles = addr(handles), .count_handles = count, .pad = pad};

	return raw_ioctl(raw, request, &args);
}

static void signal_and_reset_set_all_of_them(void **state)
{
	struct raw *raw = *state;
	uint32_t handles[3] = {raw_syncobj(raw, 0), raw_syncobj(raw, 0), 99}, first;

	raw_expect("signal", set(raw, DRM_IOCTL_SYNCOBJ_SIGNAL, handles, 2, 0), 0);
	raw_expect("wait", wait_binary(raw, handles, 2, WAIT_ALL, &first), 0);
	raw_expect("reset, one is bad", set(raw, DRM_IOCTL_SYNCOBJ_RESET, handles, 3, 0), -ENOENT);
	raw_expect("so none was", wait_binary(raw, handles, 2, WAIT_ALL, &first), 0);
	raw_expect("reset", set(raw, DRM_IOCTL_SYNCOBJ_RESET, handles, 2, 0), 0);
	raw_expect("wait", wait_binary(raw, handles, 2, WAIT_ALL, &first), -EINVAL);
}

static void arrays_must_not_be_empty_or_padded(void **state)
{
	struct raw *raw = *state;
	const unsigned long requests[] = {DRM_IOCTL_SYNCOBJ_RESET, DRM_IOCTL_SYNCOBJ_SIGNAL};
	uint32_t handle = raw_syncobj(raw, 0);
	uint64_t point = 1;
	struct drm_syncobj_timeline_array flags = {
		.handles = addr(&handle), .points = addr(&point), .count_handles = 1, .flags = 2};

	for (size_t i = 0; i < 2; i++) {
		raw_expect("empty", set(raw, requests[i], &handle, 0, 0), -EINVAL);
		raw_expect("padding", set(raw, requests[i], &handle, 1, 1), -EINVAL);
		raw_expect("bad pointer", set(raw, requests[i], NULL, 1, 0), -EFAULT);
	}
	raw_expect("no points", signal_points(raw, &handle, &point, 0), -EINVAL);
	raw_expect("signal flags", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &flags), -EINVAL);
	raw_expect("query flags", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_QUERY, &flags), -EINVAL);
	flags.flags = 0;
	flags.points = 8;
	raw_expect("signal, bad points", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &flags), -EFAULT);
	raw_expect("query, bad points", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_QUERY, &flags), -EFAULT);
}

static void timelines_count_up(void **state)
{
	struct raw *raw = *state;
	uint32_t timeline = raw_syncobj(raw, 0);

	assert_int_equal(query(raw, timeline, 0), 0);
	raw_expect("before", wait_timeline(raw, timeline, 5, 0), -EINVAL);
	raw_expect("before", wait_timeline(raw, timeline, 5, WAIT_AVAILABLE), -ETIME);
	raw_expect("signal", signal_points(raw, &timeline, &(uint64_t){5}, 1), 0);
	assert_int_equal(query(raw, timeline, 0), 5);
	assert_int_equal(query(raw, timeline, DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED), 5);
	for (uint64_t point = 0; point <= 5; point++)
		raw_expect("passed", wait_timeline(raw, timeline, point, 0), 0);
	raw_expect("not yet", wait_timeline(raw, timeline, 6, 0), -EINVAL);
	raw_expect("not yet", wait_timeline(raw, timeline, 6, WAIT_FOR_SUBMIT), -ETIME);
	/* a point out of order takes the number of the newest */
	raw_expect("signal", signal_points(raw, &timeline, &(uint64_t){2}, 1), 0);
	assert_int_equal(query(raw, timeline, 0), 5);
	raw_expect("reset", raw_syncobj_reset(raw, timeline), 0);
	assert_int_equal(query(raw, timeline, 0), 0);
}

static int transfer(struct raw *raw, uint32_t from, uint64_t from_point, uint32_t to, uint64_t to_point, uint32_t flags)
{
	struct drm_syncobj_transfer args = {
		.src_handle = from, .src_point = from_point, .dst_handle = to, .dst_point = to_point, .flags = flags};

	return raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TRANSFER, &args);
}

static void fences_transfer_between_binary_and_timeline(void **state)
{
	struct raw *raw = *state;
	uint32_t full = raw_syncobj(raw, SIGNALED), timeline = raw_syncobj(raw, 0), binary = raw_syncobj(raw, 0);
	struct drm_syncobj_transfer padded = {.src_handle = full, .dst_handle = binary, .pad = 1};
	uint32_t first;

	raw_expect("no fence", transfer(raw, binary, 0, timeline, 1, 0), -EINVAL);
	raw_expect("to a timeline", transfer(raw, full, 0, timeline, 9, 0), 0);
	assert_int_equal(query(raw, timeline, 0), 9);
	raw_expect("no such point", transfer(raw, timeline, 10, binary, 0, 0), -EINVAL);
	raw_expect("to a binary one", transfer(raw, timeline, 4, binary, 0, 0), 0);
	raw_expect("wait", wait_binary(raw, &binary, 1, 0, &first), 0);

	raw_expect("bad source", transfer(raw, 99, 0, binary, 0, 0), -ENOENT);
	raw_expect("bad destination", transfer(raw, full, 0, 99, 0, 0), -ENOENT);
	raw_expect("bad flags", transfer(raw, full, 0, binary, 0, WAIT_ALL), -EINVAL);
	raw_expect("padding", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TRANSFER, &padded), -EINVAL);
}

static int convert(struct raw *raw, unsigned long request, struct drm_syncobj_handle *args)
{
	return raw_ioctl(raw, request, args);
}

static void fds_carry_syncobjs_between_files(void **state)
{
	struct raw *pair[2];
	struct drm_syncobj_handle args = {0};
	uint32_t handle, first;

	raw_open_pair(pair);
	handle = raw_syncobj(pair[0], 0);
	args.handle = handle;
	raw_expect("export", convert(pair[0], DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	assert_true(fcntl(args.fd, F_GETFD) & FD_CLOEXEC);
	args.handle = 0;
	raw_expect("import", convert(pair[1], DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	close(args.fd);
	/* it is one syncobj: what one file signals, the other sees */
	raw_expect("wait", wait_binary(pair[1], &args.handle, 1, 0, &first), -EINVAL);
	raw_expect("signal", set(pair[0], DRM_IOCTL_SYNCOBJ_SIGNAL, &handle, 1, 0), 0);
	raw_expect("wait", wait_binary(pair[1], &args.handle, 1, 0, &first), 0);
	raw_close(pair[0]);
	raw_expect("wait", wait_binary(pair[1], &args.handle, 1, 0, &first), 0);
	raw_close(pair[1]);
}

static void sync_files_carry_one_fence(void **state)
{
	struct raw *raw = *state;
	uint32_t full = raw_syncobj(raw, SIGNALED), empty = raw_syncobj(raw, 0), first;
	struct drm_syncobj_handle args = {.handle = full, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE};
	struct pollfd poll_fd = {.events = POLLIN};

	raw_expect("export", convert(raw, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	poll_fd.fd = args.fd;
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	assert_true(poll_fd.revents & POLLIN);
	assert_int_equal(raw_sync_status(raw, full), 0);
	/* the fd keeps the fence, whatever becomes of the syncobj */
	raw_expect("reset", raw_syncobj_reset(raw, full), 0);
	args.handle = empty;
	raw_expect("import", convert(raw, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	assert_int_equal(args.handle, empty);
	raw_expect("wait", wait_binary(raw, &empty, 1, 0, &first), 0);
	close(args.fd);
}

static void bad_conversions_give_their_errno(void **state)
{
	struct raw *raw = *state;
	uint32_t empty = raw_syncobj(raw, 0), full = raw_syncobj(raw, SIGNALED);
	struct drm_syncobj_handle file = {.handle = full, .flags = 1};
	const struct {
		const char *name;
		unsigned long request;
		struct drm_syncobj_handle args;
		int want;
	} cases[] = {
		{"to fd: bad handle", DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, {.handle = 99}, -EINVAL},
		{"to fd: bad flags", DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, {.handle = full, .flags = 4}, -EINVAL},
		{"to fd: padding", DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, {.handle = full, .pad = 1}, -EINVAL},
		{"to file: bad handle", DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, {.handle = 99, .flags = 1}, -ENOENT},
		{"to file: no fence", DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, {.handle = empty, .flags = 1}, -EINVAL},
		{"from fd: closed", DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, {.fd = -1}, -EINVAL},
		{"from fd: another kind", DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, {.fd = 2}, -EINVAL},
		{"from fd: padding", DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, {.fd = 2, .pad = 1}, -EINVAL},
		{"from file: closed", DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, {.handle = full, .flags = 1, .fd = -1}, -EINVAL},
		{"from file: bad fd comes first",
		 DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE,
		 {.handle = 99, .flags = 1, .fd = 2},
		 -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct drm_syncobj_handle args = cases[i].args;

		raw_expect(cases[i].name, convert(raw, cases[i].request, &args), cases[i].want);
	}
	raw_expect("to file", convert(raw, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &file), 0);
	file.handle = 99;
	raw_expect("from file: bad handle", convert(raw, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &file), -ENOENT);
	close(file.fd);
}

static void points_of_timelines_go_through_sync_files(void **state)
{
	struct raw *raw = *state;
	uint32_t source = raw_syncobj(raw, 0), sink = raw_syncobj(raw, 0), full = raw_syncobj(raw, SIGNALED);
	const uint64_t points[] = {3, 5};
	struct pb_uapi_syncobj_handle args = {.handle = source,
					      .flags = PB_SYNCOBJ_SYNC_FILE | PB_SYNCOBJ_TIMELINE,
					      .point = 5};

	raw_need_kernel(raw, RAW_KERNEL(6, 16));
	raw_expect("signal 3", signal_points(raw, &source, &points[0], 1), 0);
	raw_expect("not there yet", raw_ioctl(raw, PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), -EINVAL);
	args.point = 2;
	raw_expect("passed", raw_ioctl(raw, PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	close(args.fd);
	raw_expect("signal 5", signal_points(raw, &source, &points[1], 1), 0);
	args.point = 5;
	raw_expect("there", raw_ioctl(raw, PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	close(args.fd);
	/* a plain fence as a point; that of a point is a chain of its own, and the kernel warns of one in another */
	args.fd = raw_sync_file(raw, full);
	args.handle = sink;
	args.point = 9;
	raw_expect("import", raw_ioctl(raw, PB_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	assert_int_equal(query(raw, sink, 0), 9);
	/* a point without the flag for it counts for nothing: the syncobj is a binary one again */
	args.flags = PB_SYNCOBJ_SYNC_FILE;
	raw_expect("import", raw_ioctl(raw, PB_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	assert_int_equal(query(raw, sink, 0), 0);
	close(args.fd);
}

static void only_sync_files_have_points(void **state)
{
	struct raw *raw = *state;
	bool points = raw->kernel >= RAW_KERNEL(6, 16);
	uint32_t full = raw_syncobj(raw, SIGNALED);
	const struct {
		const char *name;
		struct pb_uapi_syncobj_handle args;
		int want;
	} cases[] = {
		{"flag alone", {.flags = PB_SYNCOBJ_TIMELINE}, points ? 0 : -EINVAL},
		{"flag and point", {.flags = PB_SYNCOBJ_TIMELINE, .point = 1}, -EINVAL},
		{"point alone", {.point = 1}, points ? -EINVAL : 0},
		{"of a sync file, without the flag", {.flags = PB_SYNCOBJ_SYNC_FILE, .point = 1}, 0},
		{"of a sync file", {.flags = PB_SYNCOBJ_SYNC_FILE | PB_SYNCOBJ_TIMELINE}, points ? 0 : -EINVAL},
		{"unknown flag", {.flags = PB_SYNCOBJ_SYNC_FILE | 4}, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_syncobj_handle args = cases[i].args, back = args;
		struct pb_uapi_syncobj_handle good = {.handle = full, .flags = args.flags & PB_SYNCOBJ_SYNC_FILE};

		args.handle = back.handle = full;
		args.fd = -1;
		raw_expect(cases[i].name, raw_ioctl(raw, PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), cases[i].want);
		close(args.fd);
		/* and the other way, with an fd that is to be had */
		raw_expect("good", raw_ioctl(raw, PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, &good), 0);
		back.fd = good.fd;
		raw_expect(cases[i].name, raw_ioctl(raw, PB_IOCTL_SYNCOBJ_FD_TO_HANDLE, &back), cases[i].want);
		close(good.fd);
	}
}

/* Newer than some installed headers. */
struct eventfd_args {
	uint32_t handle, flags;
	uint64_t point;
	int32_t fd;
	uint32_t pad;
};
#define IOCTL_EVENTFD DRM_IOWR(0xcf, struct eventfd_args)

static void eventfds_are_told(void **state)
{
	struct raw *raw = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct eventfd_args args = {.handle = raw_syncobj(raw, 0), .point = 3, .fd = fd};
	eventfd_t value = 0;

	raw_expect("eventfd", raw_ioctl(raw, IOCTL_EVENTFD, &args), 0);
	assert_int_equal(eventfd_read(fd, &value), -1);
	raw_expect("signal", signal_points(raw, &args.handle, &(uint64_t){3}, 1), 0);
	assert_int_equal(eventfd_read(fd, &value), 0);
	assert_int_equal(value, 1);

	args.flags = WAIT_FOR_SUBMIT;
	raw_expect("bad flags", raw_ioctl(raw, IOCTL_EVENTFD, &args), -EINVAL);
	args = (struct eventfd_args){.handle = 1, .fd = fd, .pad = 1};
	raw_expect("padding", raw_ioctl(raw, IOCTL_EVENTFD, &args), -EINVAL);
	args = (struct eventfd_args){.handle = 99, .fd = -1};
	raw_expect("bad handle comes first", raw_ioctl(raw, IOCTL_EVENTFD, &args), -ENOENT);
	args = (struct eventfd_args){.handle = 1, .fd = -1};
	raw_expect("closed fd", raw_ioctl(raw, IOCTL_EVENTFD, &args), -EBADF);
	args.fd = 2;
	raw_expect("no eventfd", raw_ioctl(raw, IOCTL_EVENTFD, &args), -EINVAL);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(handles_start_at_one_and_are_used_again),
		TEST(destroying_no_handle_changes_nothing),
		TEST(waits_check_flags_then_handles_then_fences),
		TEST(a_wait_names_the_first_one),
		TEST(timeouts_are_absolute_and_past_ones_poll),
		TEST(signal_and_reset_set_all_of_them),
		TEST(arrays_must_not_be_empty_or_padded),
		TEST(timelines_count_up),
		TEST(fences_transfer_between_binary_and_timeline),
		TEST(fds_carry_syncobjs_between_files),
		TEST(sync_files_carry_one_fence),
		TEST(bad_conversions_give_their_errno),
		TEST(points_of_timelines_go_through_sync_files),
		TEST(only_sync_files_have_points),
		TEST(eventfds_are_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
