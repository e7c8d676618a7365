/* SPDX-License-Identifier: MIT */
/*
 * Fences, timelines and syncobjs of the simulator from the inside: what a program alone cannot provoke, since it needs
 * a fence that is pending. The errnos of the ioctls are tested through a device, in tests/conform.
 */
#include "sim_sync.h"
#include "sim_sync_private.h"

#include <drm.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FOR_EVER INT64_MAX

/* ---- Helpers ---- */

static int syncs_setup(void **state)
{
	return sim_syncs_create(true, (struct sim_syncs **)state);
}

static int syncs_teardown(void **state)
{
	sim_syncs_destroy(*state);
	return 0;
}

static uint64_t addr(const void *ptr)
{
	return (uintptr_t)ptr;
}

static uint32_t new_syncobj(struct sim_syncs *syncs, uint32_t flags)
{
	struct drm_syncobj_create args = {.flags = flags};

	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_CREATE, &args), 0);
	return args.handle;
}

/* Put a fence in, as VM_BIND does: point 0 replaces, another one adds to the timeline. */
static void give(struct sim_syncs *syncs, uint32_t handle, struct sim_fence *fence, uint64_t point)
{
	struct sim_syncobj *syncobj = sim_syncs_find(syncs, handle);

	assert_non_null(syncobj);
	if (point)
		assert_int_equal(sim_syncobj_add_point(syncobj, fence, point), 0);
	else
		sim_syncobj_replace_fence(syncobj, fence);
	sim_syncobj_put(syncobj);
}

static int wait_points(struct sim_syncs *syncs, uint32_t handle, uint64_t point, uint32_t flags, int64_t deadline)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = addr(&handle),
		.points = addr(&point),
		.count_handles = 1,
		.flags = flags,
		.timeout_nsec = deadline,
	};

	return sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

static int poll_point(struct sim_syncs *syncs, uint32_t handle, uint64_t point)
{
	return wait_points(syncs, handle, point, 0, 0);
}

static uint64_t query(struct sim_syncs *syncs, uint32_t handle, uint32_t flags)
{
	uint64_t point = ~UINT64_C(0);
	struct drm_syncobj_timeline_array args = {
		.handles = addr(&handle), .points = addr(&point), .count_handles = 1, .flags = flags};

	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_QUERY, &args), 0);
	return point;
}

static int export_fd(struct sim_syncs *syncs, uint32_t handle, uint32_t flags)
{
	struct drm_syncobj_handle args = {.handle = handle, .flags = flags, .fd = -1};

	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	return args.fd;
}

static bool readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN);
}

/* A callback that counts, and looks whether the fence had settled by then. */
struct counter {
	struct sim_fence_cb cb;
	struct sim_fence *fence;
	int calls, status;
};

static void count_call(struct sim_fence_cb *cb)
{
	struct counter *counter = (struct counter *)cb;

	counter->calls++;
	counter->status = sim_fence_status(counter->fence);
}

/* ---- Fences ---- */

static void fence_settles_once(void **state)
{
	struct sim_fence *fence = sim_fence_create();

	assert_int_equal(sim_fence_status(fence), 1);
	sim_fence_signal(fence, -ENOMEM);
	sim_fence_signal(fence, 0);
	assert_true(sim_fence_is_signaled(fence));
	assert_int_equal(sim_fence_status(fence), -ENOMEM);
	sim_fence_put(fence);
}

static void callbacks_run_once_after_the_fence_has_settled(void **state)
{
	struct sim_fence *fence = sim_fence_create();
	struct counter first = {.cb.fn = count_call, .fence = fence}, second = first, removed = first;

	assert_int_equal(sim_fence_add_callback(fence, &first.cb), 0);
	assert_int_equal(sim_fence_add_callback(fence, &removed.cb), 0);
	assert_true(sim_fence_remove_callback(fence, &removed.cb));
	assert_int_equal(sim_fence_add_callback(fence, &second.cb), 0);
	sim_fence_signal(fence, -EIO);
	sim_fence_signal(fence, 0);

	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(removed.calls, 0);
	assert_int_equal(first.status, -EIO);
	assert_false(sim_fence_remove_callback(fence, &first.cb));
	assert_int_equal(sim_fence_add_callback(fence, &first.cb), -ENOENT);
	sim_fence_put(fence);
}

/* A callback may take every lock there is: here it signals the next fence, and replaces a syncobj's fence. */
struct relay {
	struct sim_fence_cb cb;
	struct sim_fence *next;
	struct sim_syncobj *syncobj;
};

static void relay_call(struct sim_fence_cb *cb)
{
	struct relay *relay = (struct relay *)cb;

	sim_syncobj_replace_fence(relay->syncobj, NULL);
	sim_fence_signal(relay->next, 0);
}

static void callbacks_run_without_locks(void **state)
{
	struct sim_syncobj *syncobj = sim_syncobj_create(false);
	struct sim_fence *fence = sim_fence_create(), *next = sim_fence_create();
	struct relay relay = {.cb.fn = relay_call, .next = next, .syncobj = syncobj};

	sim_syncobj_replace_fence(syncobj, fence);
	assert_int_equal(sim_fence_add_callback(fence, &relay.cb), 0);
	sim_fence_signal(fence, 0);
	assert_true(sim_fence_is_signaled(next));
	sim_fence_put(fence);
	sim_fence_put(next);
	sim_syncobj_put(syncobj);
}

/* ---- Timelines ---- */

static void point_passes_with_all_before_it(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t timeline = new_syncobj(syncs, 0);
	struct sim_fence *one = sim_fence_create(), *two = sim_fence_create(), *nine = sim_fence_create();

	give(syncs, timeline, one, 1);
	give(syncs, timeline, two, 2);
	give(syncs, timeline, nine, 9);
	assert_int_equal(query(syncs, timeline, DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED), 9);

	/* when the second signals first, nothing has passed yet */
	sim_fence_signal(two, 0);
	assert_int_equal(query(syncs, timeline, 0), 0);
	assert_int_equal(poll_point(syncs, timeline, 2), -ETIME);

	/* when the first follows, both have; what lies between two points passes with the one above it */
	sim_fence_signal(one, 0);
	assert_int_equal(query(syncs, timeline, 0), 2);
	assert_int_equal(poll_point(syncs, timeline, 2), 0);
	assert_int_equal(poll_point(syncs, timeline, 3), -ETIME);
	assert_int_equal(poll_point(syncs, timeline, 10), -EINVAL);

	sim_fence_signal(nine, -EIO);
	assert_int_equal(query(syncs, timeline, 0), 9);
	assert_int_equal(poll_point(syncs, timeline, 3), 0);
	sim_fence_put(one);
	sim_fence_put(two);
	sim_fence_put(nine);
}

/* One fence stands behind a point and in a binary syncobj: no callback may come to know of it before the other does. */
struct observer {
	struct sim_fence_cb cb;
	struct sim_syncs *syncs;
	uint32_t timeline;
	uint64_t seen;
};

static void observe(struct sim_fence_cb *cb)
{
	struct observer *observer = (struct observer *)cb;

	observer->seen = query(observer->syncs, observer->timeline, 0);
}

static void a_point_has_passed_as_soon_as_its_fence_has(void **state)
{
	struct sim_syncs *syncs = *state;
	struct sim_fence *fence = sim_fence_create();
	struct observer observer = {.cb.fn = observe, .syncs = syncs, .timeline = new_syncobj(syncs, 0)};

	/* given a callback that runs before the point itself is told */
	assert_int_equal(sim_fence_add_callback(fence, &observer.cb), 0);
	give(syncs, observer.timeline, fence, 3);
	sim_fence_signal(fence, 0);
	assert_int_equal(observer.seen, 3);
	sim_fence_put(fence);
}

static void point_out_of_order_takes_the_number_of_the_newest(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t timeline = new_syncobj(syncs, 0);
	struct sim_fence *five = sim_fence_create(), *late = sim_fence_create();

	give(syncs, timeline, five, 5);
	give(syncs, timeline, late, 3);
	assert_int_equal(query(syncs, timeline, DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED), 5);
	sim_fence_signal(five, 0);
	assert_int_equal(query(syncs, timeline, 0), 0); /* the newest context has passed nothing */
	assert_int_equal(poll_point(syncs, timeline, 3), -ETIME);
	sim_fence_signal(late, 0);
	assert_int_equal(query(syncs, timeline, 0), 5);
	sim_fence_put(five);
	sim_fence_put(late);
}

static void timeline_over_a_binary_fence_waits_for_it(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = new_syncobj(syncs, 0);
	struct sim_fence *binary = sim_fence_create(), *point = sim_fence_create();

	give(syncs, handle, binary, 0);
	assert_int_equal(query(syncs, handle, 0), 0);
	assert_int_equal(poll_point(syncs, handle, 1), -EINVAL);
	give(syncs, handle, point, 4);
	sim_fence_signal(point, 0);
	assert_int_equal(poll_point(syncs, handle, 4), -ETIME);
	sim_fence_signal(binary, 0);
	assert_int_equal(poll_point(syncs, handle, 4), 0);
	sim_fence_put(binary);
	sim_fence_put(point);
}

static void a_fence_of_a_passed_point_is_signalled(void **state)
{
	struct sim_syncobj *syncobj = sim_syncobj_create(false);
	struct sim_fence *one = sim_fence_create(), *two = sim_fence_create(), *found = NULL;

	assert_int_equal(sim_syncobj_find_fence(syncobj, 0, &found), -EINVAL);
	assert_int_equal(sim_syncobj_add_point(syncobj, one, 1), 0);
	assert_int_equal(sim_syncobj_add_point(syncobj, two, 2), 0);
	assert_int_equal(sim_syncobj_find_fence(syncobj, 3, &found), -EINVAL);
	assert_null(found);
	assert_int_equal(sim_syncobj_find_fence(syncobj, 1, &found), 0);
	assert_false(sim_fence_is_signaled(found));
	sim_fence_signal(one, 0);
	assert_true(sim_fence_is_signaled(found));
	sim_fence_put(found);

	assert_int_equal(sim_syncobj_find_fence(syncobj, 1, &found), 0);
	assert_true(sim_fence_is_signaled(found));
	sim_fence_put(found);
	sim_fence_signal(two, 0);
	sim_fence_put(one);
	sim_fence_put(two);
	sim_syncobj_put(syncobj);
}

/* Recursion over such a chain, when it signals or when it is freed, would overflow any stack. */
static void a_long_chain_signals_and_frees(void **state)
{
	enum { POINTS = 200000 };
	struct sim_syncobj *syncobj = sim_syncobj_create(false), *nested = sim_syncobj_create(false);
	struct sim_fence *first = sim_fence_create(), *done = sim_fence_create_signaled(), *last = NULL;

	assert_int_equal(sim_syncobj_add_point(syncobj, first, 1), 0);
	for (uint64_t point = 2; point <= POINTS; point++)
		assert_int_equal(sim_syncobj_add_point(syncobj, done, point), 0);
	/* each point's fence is the timeline before it: nested instead of chained */
	for (int i = 0; i < POINTS / 4; i++) {
		assert_int_equal(sim_syncobj_find_fence(syncobj, 0, &last), 0);
		sim_syncobj_replace_fence(nested, NULL);
		assert_int_equal(sim_syncobj_add_point(nested, last, 1), 0);
		sim_fence_put(last);
		assert_int_equal(sim_syncobj_find_fence(nested, 0, &last), 0);
		sim_syncobj_replace_fence(syncobj, last);
		sim_fence_put(last);
	}
	assert_int_equal(sim_syncobj_find_fence(syncobj, 0, &last), 0);
	assert_false(sim_fence_is_signaled(last));
	sim_fence_signal(first, 0);
	assert_true(sim_fence_is_signaled(last));
	sim_fence_put(last);
	sim_fence_put(first);
	sim_fence_put(done);
	sim_syncobj_put(syncobj);
	sim_syncobj_put(nested);
}

/* ---- Waiting ---- */

struct wait_thread {
	pthread_t thread;
	struct sim_syncs *syncs;
	uint32_t handle, flags;
	uint64_t point;
	int result;
};

static void *wait_main(void *data)
{
	struct wait_thread *wait = data;

	wait->result = wait_points(wait->syncs, wait->handle, wait->point, wait->flags, FOR_EVER);
	return NULL;
}

static void a_wait_ends_when_the_fence_signals(void **state)
{
	struct sim_syncs *syncs = *state;
	struct wait_thread wait = {.syncs = syncs, .handle = new_syncobj(syncs, 0), .result = 1};
	struct sim_fence *fence = sim_fence_create();

	give(syncs, wait.handle, fence, 0);
	assert_int_equal(pthread_create(&wait.thread, NULL, wait_main, &wait), 0);
	sim_fence_signal(fence, 0);
	pthread_join(wait.thread, NULL);
	assert_int_equal(wait.result, 0);
	sim_fence_put(fence);
}

/* The fence comes and goes at once: a waiter for it must have got hold of it. */
static void a_waiter_gets_a_fence_that_is_reset_at_once(void **state)
{
	struct sim_syncobj *syncobj = sim_syncobj_create(false);
	struct sim_waiter *waiter = calloc(1, sizeof(*waiter) + sizeof(waiter->waits[0]));
	struct sim_fence *fence = sim_fence_create_signaled();

	waiter->waits[0].waiter = waiter;
	sim_syncobj_add_wait(syncobj, &waiter->waits[0]);
	assert_null(atomic_load(&waiter->waits[0].fence));
	sim_syncobj_replace_fence(syncobj, fence);
	sim_syncobj_replace_fence(syncobj, NULL);
	assert_non_null(atomic_load(&waiter->waits[0].fence));
	assert_int_equal(atomic_load(&waiter->word), 1);

	sim_fence_put(atomic_load(&waiter->waits[0].fence));
	sim_syncobj_remove_wait(syncobj, &waiter->waits[0]);
	sim_fence_put(fence);
	sim_syncobj_put(syncobj);
	free(waiter);
}

static void a_wait_for_submit_sees_the_fence_and_then_its_signal(void **state)
{
	struct sim_syncs *syncs = *state;
	struct wait_thread wait = {
		.syncs = syncs,
		.handle = new_syncobj(syncs, 0),
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
		.point = 7,
		.result = 1,
	};
	struct wait_thread available = wait;
	struct sim_fence *fence = sim_fence_create();

	available.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE;
	assert_int_equal(pthread_create(&wait.thread, NULL, wait_main, &wait), 0);
	assert_int_equal(pthread_create(&available.thread, NULL, wait_main, &available), 0);
	give(syncs, wait.handle, fence, 7);
	pthread_join(available.thread, NULL); /* does not need the signal */
	assert_int_equal(available.result, 0);
	sim_fence_signal(fence, 0);
	pthread_join(wait.thread, NULL);
	assert_int_equal(wait.result, 0);
	sim_fence_put(fence);
}

static void wait_all_and_wait_any_say_who_was_first(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handles[3] = {new_syncobj(syncs, 0), new_syncobj(syncs, 0), new_syncobj(syncs, 0)};
	struct sim_fence *fences[3];
	struct drm_syncobj_wait args = {.handles = addr(handles), .count_handles = 3};

	for (int i = 0; i < 3; i++) {
		fences[i] = sim_fence_create();
		give(syncs, handles[i], fences[i], 0);
	}
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_WAIT, &args), -ETIME);
	sim_fence_signal(fences[1], 0);
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_WAIT, &args), 0);
	assert_int_equal(args.first_signaled, 1);
	args.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL;
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_WAIT, &args), -ETIME);
	sim_fence_signal(fences[0], 0);
	sim_fence_signal(fences[2], -EIO);
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_WAIT, &args), 0);
	for (int i = 0; i < 3; i++)
		sim_fence_put(fences[i]);
}

static atomic_int signals_caught;

static void on_alarm(int number)
{
	atomic_fetch_add(&signals_caught, 1);
}

struct pest {
	pthread_t thread, target;
	atomic_int stop;
};

/* One signal could come before the wait has begun and change nothing, so go on until the target says stop. */
static void *pester(void *data)
{
	struct pest *pest = data;

	while (!atomic_load(&pest->stop)) {
		pthread_kill(pest->target, SIGUSR1);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return NULL;
}

static void a_caught_signal_ends_the_wait(void **state)
{
	struct sim_syncs *syncs = *state;
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, old;
	struct pest pest = {.target = pthread_self()};
	uint32_t handle = new_syncobj(syncs, 0);

	sigaction(SIGUSR1, &action, &old);
	assert_int_equal(pthread_create(&pest.thread, NULL, pester, &pest), 0);
	assert_int_equal(wait_points(syncs, handle, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, FOR_EVER), -EINTR);
	atomic_store(&pest.stop, 1);
	pthread_join(pest.thread, NULL);
	sigaction(SIGUSR1, &old, NULL);
}

/* ---- Fds ---- */

static void a_sync_file_becomes_readable_and_has_a_status(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = new_syncobj(syncs, 0);
	struct sim_fence *fence = sim_fence_create();
	int fd, copy, status = 77;

	give(syncs, handle, fence, 0);
	fd = export_fd(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);
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
	uint32_t handle = new_syncobj(syncs, 0), there;
	struct sim_fence *fence = sim_fence_create();
	struct drm_syncobj_handle args = {.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE};

	assert_int_equal(sim_syncs_create(true, &other), 0);
	there = new_syncobj(other, 0);
	give(syncs, handle, fence, 0);
	args.fd = export_fd(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);
	args.handle = there;
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	close(args.fd);
	assert_int_equal(poll_point(other, there, 0), -ETIME);
	sim_fence_signal(fence, 0);
	assert_int_equal(poll_point(other, there, 0), 0);
	sim_fence_put(fence);
	sim_syncs_destroy(other);
}

static void a_syncobj_fd_shares_the_syncobj(void **state)
{
	struct sim_syncs *syncs = *state, *other;
	uint32_t handle = new_syncobj(syncs, 0);
	struct drm_syncobj_handle args = {0};
	struct sim_fence *fence = sim_fence_create_signaled();

	assert_int_equal(sim_syncs_create(true, &other), 0);
	args.fd = export_fd(syncs, handle, 0);
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), 0);
	assert_int_equal(args.handle, 1);
	assert_int_equal(poll_point(other, 1, 0), -EINVAL);
	give(syncs, handle, fence, 0);
	assert_int_equal(poll_point(other, 1, 0), 0);

	/* a syncobj is no sync file and the other way round */
	args.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE;
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), -EINVAL);
	close(args.fd);
	args.flags = 0;
	args.fd = export_fd(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE);
	assert_int_equal(sim_syncs_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args), -EINVAL);
	close(args.fd);
	sim_fence_put(fence);
	sim_syncs_destroy(other);
}

/* More exports than there are fds: each is closed at once, and what the simulator keeps for it must go too. */
static void closed_sync_files_cost_no_fds(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = new_syncobj(syncs, DRM_SYNCOBJ_CREATE_SIGNALED);
	struct rlimit old, few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 500; i++)
		close(export_fd(syncs, handle, DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void an_eventfd_is_told_of_a_point(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = new_syncobj(syncs, 0);
	struct sim_fence *fence = sim_fence_create();
	int passed = eventfd(0, EFD_CLOEXEC), there = eventfd(0, EFD_CLOEXEC);
	struct sim_syncobj_eventfd args = {.handle = handle, .point = 3, .fd = passed};

	assert_int_equal(sim_syncs_ioctl(syncs, SIM_IOCTL_SYNCOBJ_EVENTFD, &args), 0);
	args.fd = there;
	args.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE;
	assert_int_equal(sim_syncs_ioctl(syncs, SIM_IOCTL_SYNCOBJ_EVENTFD, &args), 0);
	assert_false(readable(there));
	give(syncs, handle, fence, 3);
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

/* A wait in one thread for each point, fences signalled from two others, in no order: for ThreadSanitizer. */
struct signaler {
	pthread_t thread;
	struct sim_fence **fences;
	int from, to, step;
};

static void *signaler_main(void *data)
{
	struct signaler *signaler = data;

	for (int i = signaler->from; i != signaler->to; i += signaler->step)
		sim_fence_signal(signaler->fences[i], 0);
	return NULL;
}

static void waits_race_signals(void **state)
{
	enum { POINTS = 400, WAITS = 4 };
	struct sim_syncs *syncs = *state;
	struct sim_fence *fences[POINTS];
	struct signaler up = {.fences = fences, .to = POINTS, .step = 1};
	struct signaler down = {.fences = fences, .from = POINTS - 1, .to = -1, .step = -1};
	struct wait_thread waits[WAITS];
	uint32_t handle = new_syncobj(syncs, 0);

	for (int i = 0; i < WAITS; i++) {
		waits[i] = (struct wait_thread){
			.syncs = syncs,
			.handle = handle,
			.point = (uint64_t)POINTS / WAITS * (uint64_t)(i + 1),
			.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
			.result = 1,
		};
		assert_int_equal(pthread_create(&waits[i].thread, NULL, wait_main, &waits[i]), 0);
	}
	for (int i = 0; i < POINTS; i++) {
		fences[i] = sim_fence_create();
		give(syncs, handle, fences[i], (uint64_t)i + 1);
	}
	assert_int_equal(pthread_create(&up.thread, NULL, signaler_main, &up), 0);
	assert_int_equal(pthread_create(&down.thread, NULL, signaler_main, &down), 0);
	for (int i = 0; i < WAITS; i++) {
		pthread_join(waits[i].thread, NULL);
		assert_int_equal(waits[i].result, 0);
	}
	pthread_join(up.thread, NULL);
	pthread_join(down.thread, NULL);
	assert_int_equal(query(syncs, handle, 0), POINTS);
	for (int i = 0; i < POINTS; i++)
		sim_fence_put(fences[i]);
}

static void handles_are_the_lowest_free_ones(void **state)
{
	struct sim_syncs *syncs = *state;
	struct drm_syncobj_destroy destroy = {.handle = 7};

	for (uint32_t i = 1; i <= 40; i++)
		assert_int_equal(new_syncobj(syncs, 0), i);
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), 0);
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), -EINVAL);
	destroy.handle = 3;
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), 0);
	assert_int_equal(new_syncobj(syncs, 0), 3);
	assert_int_equal(new_syncobj(syncs, 0), 7);
	assert_int_equal(new_syncobj(syncs, 0), 41);
}

static void structs_of_another_age_are_understood(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = new_syncobj(syncs, DRM_SYNCOBJ_CREATE_SIGNALED);
	/* the wait of newer headers: eight bytes more, and a flag that says they count */
	struct {
		struct drm_syncobj_wait base;
		uint64_t deadline_nsec;
	} wait = {.base = {.handles = addr(&handle), .count_handles = 1, .flags = 1u << 3}, .deadline_nsec = 1};

	assert_int_equal(sizeof(wait), 40);
	assert_int_equal(sim_syncs_ioctl(syncs, _IOWR('d', 0xc3, wait), &wait), 0);
	assert_int_equal(wait.deadline_nsec, 1);
	assert_true(sim_syncs_handles(DRM_IOCTL_SYNCOBJ_WAIT));
	assert_true(sim_syncs_handles(SIM_IOCTL_SYNCOBJ_EVENTFD));
	assert_false(sim_syncs_handles(DRM_IOCTL_VERSION));
}

#define TEST(name)	 cmocka_unit_test(name)
#define TEST_SYNCS(name) cmocka_unit_test_setup_teardown(name, syncs_setup, syncs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fence_settles_once),
		TEST(callbacks_run_once_after_the_fence_has_settled),
		TEST(callbacks_run_without_locks),
		TEST_SYNCS(point_passes_with_all_before_it),
		TEST_SYNCS(a_point_has_passed_as_soon_as_its_fence_has),
		TEST_SYNCS(point_out_of_order_takes_the_number_of_the_newest),
		TEST_SYNCS(timeline_over_a_binary_fence_waits_for_it),
		TEST(a_fence_of_a_passed_point_is_signalled),
		TEST(a_long_chain_signals_and_frees),
		TEST_SYNCS(a_wait_ends_when_the_fence_signals),
		TEST(a_waiter_gets_a_fence_that_is_reset_at_once),
		TEST_SYNCS(a_wait_for_submit_sees_the_fence_and_then_its_signal),
		TEST_SYNCS(wait_all_and_wait_any_say_who_was_first),
		TEST_SYNCS(a_caught_signal_ends_the_wait),
		TEST_SYNCS(a_sync_file_becomes_readable_and_has_a_status),
		TEST_SYNCS(a_sync_file_carries_its_fence_into_another_open_file),
		TEST_SYNCS(a_syncobj_fd_shares_the_syncobj),
		TEST_SYNCS(closed_sync_files_cost_no_fds),
		TEST_SYNCS(an_eventfd_is_told_of_a_point),
		TEST_SYNCS(waits_race_signals),
		TEST_SYNCS(handles_are_the_lowest_free_ones),
		TEST_SYNCS(structs_of_another_age_are_understood),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
