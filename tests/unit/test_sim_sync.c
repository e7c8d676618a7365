/* SPDX-License-Identifier: MIT */
/*
 * Fences, timelines and syncobjs of the simulator from the inside: what a program alone cannot provoke, since it needs
 * a fence that is pending. The errnos of the ioctls are tested through a device, in tests/conform.
 */
#include "sim_sync.h"
#include "sim_sync_private.h"
#include "syncs.h"

#include <drm.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FOR_EVER INT64_MAX

static uint64_t addr(const void *ptr)
{
	return (uintptr_t)ptr;
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
	uint32_t timeline = syncs_add(syncs, 0);
	struct sim_fence *one = sim_fence_create(), *two = sim_fence_create(), *nine = sim_fence_create();

	syncs_give(syncs, timeline, one, 1);
	syncs_give(syncs, timeline, two, 2);
	syncs_give(syncs, timeline, nine, 9);
	assert_int_equal(syncs_query(syncs, timeline, DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED), 9);

	/* when the second signals first, nothing has passed yet */
	sim_fence_signal(two, 0);
	assert_int_equal(syncs_query(syncs, timeline, 0), 0);
	assert_int_equal(syncs_poll(syncs, timeline, 2), -ETIME);

	/* when the first follows, both have; what lies between two points passes with the one above it */
	sim_fence_signal(one, 0);
	assert_int_equal(syncs_query(syncs, timeline, 0), 2);
	assert_int_equal(syncs_poll(syncs, timeline, 2), 0);
	assert_int_equal(syncs_poll(syncs, timeline, 3), -ETIME);
	assert_int_equal(syncs_poll(syncs, timeline, 10), -EINVAL);

	sim_fence_signal(nine, -EIO);
	assert_int_equal(syncs_query(syncs, timeline, 0), 9);
	assert_int_equal(syncs_poll(syncs, timeline, 3), 0);
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

	observer->seen = syncs_query(observer->syncs, observer->timeline, 0);
}

static void a_point_has_passed_as_soon_as_its_fence_has(void **state)
{
	struct sim_syncs *syncs = *state;
	struct sim_fence *fence = sim_fence_create();
	struct observer observer = {.cb.fn = observe, .syncs = syncs, .timeline = syncs_add(syncs, 0)};

	/* given a callback that runs before the point itself is told */
	assert_int_equal(sim_fence_add_callback(fence, &observer.cb), 0);
	syncs_give(syncs, observer.timeline, fence, 3);
	sim_fence_signal(fence, 0);
	assert_int_equal(observer.seen, 3);
	sim_fence_put(fence);
}

static void point_out_of_order_takes_the_number_of_the_newest(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t timeline = syncs_add(syncs, 0);
	struct sim_fence *five = sim_fence_create(), *late = sim_fence_create();

	syncs_give(syncs, timeline, five, 5);
	syncs_give(syncs, timeline, late, 3);
	assert_int_equal(syncs_query(syncs, timeline, DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED), 5);
	sim_fence_signal(five, 0);
	assert_int_equal(syncs_query(syncs, timeline, 0), 0); /* the newest context has passed nothing */
	assert_int_equal(syncs_poll(syncs, timeline, 3), -ETIME);
	sim_fence_signal(late, 0);
	assert_int_equal(syncs_query(syncs, timeline, 0), 5);
	sim_fence_put(five);
	sim_fence_put(late);
}

static void timeline_over_a_binary_fence_waits_for_it(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = syncs_add(syncs, 0);
	struct sim_fence *binary = sim_fence_create(), *point = sim_fence_create();

	syncs_give(syncs, handle, binary, 0);
	assert_int_equal(syncs_query(syncs, handle, 0), 0);
	assert_int_equal(syncs_poll(syncs, handle, 1), -EINVAL);
	syncs_give(syncs, handle, point, 4);
	sim_fence_signal(point, 0);
	assert_int_equal(syncs_poll(syncs, handle, 4), -ETIME);
	sim_fence_signal(binary, 0);
	assert_int_equal(syncs_poll(syncs, handle, 4), 0);
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

	wait->result = syncs_wait(wait->syncs, wait->handle, wait->point, wait->flags, FOR_EVER);
	return NULL;
}

static void a_wait_ends_when_the_fence_signals(void **state)
{
	struct sim_syncs *syncs = *state;
	struct wait_thread wait = {.syncs = syncs, .handle = syncs_add(syncs, 0), .result = 1};
	struct sim_fence *fence = sim_fence_create();

	syncs_give(syncs, wait.handle, fence, 0);
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
		.handle = syncs_add(syncs, 0),
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
		.point = 7,
		.result = 1,
	};
	struct wait_thread available = wait;
	struct sim_fence *fence = sim_fence_create();

	available.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE;
	assert_int_equal(pthread_create(&wait.thread, NULL, wait_main, &wait), 0);
	assert_int_equal(pthread_create(&available.thread, NULL, wait_main, &available), 0);
	syncs_give(syncs, wait.handle, fence, 7);
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
	uint32_t handles[3] = {syncs_add(syncs, 0), syncs_add(syncs, 0), syncs_add(syncs, 0)};
	struct sim_fence *fences[3];
	struct drm_syncobj_wait args = {.handles = addr(handles), .count_handles = 3};

	for (int i = 0; i < 3; i++) {
		fences[i] = sim_fence_create();
		syncs_give(syncs, handles[i], fences[i], 0);
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
	uint32_t handle = syncs_add(syncs, 0);

	sigaction(SIGUSR1, &action, &old);
	assert_int_equal(pthread_create(&pest.thread, NULL, pester, &pest), 0);
	assert_int_equal(syncs_wait(syncs, handle, 1, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, FOR_EVER), -EINTR);
	atomic_store(&pest.stop, 1);
	pthread_join(pest.thread, NULL);
	sigaction(SIGUSR1, &old, NULL);
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
	uint32_t handle = syncs_add(syncs, 0);

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
		syncs_give(syncs, handle, fences[i], (uint64_t)i + 1);
	}
	assert_int_equal(pthread_create(&up.thread, NULL, signaler_main, &up), 0);
	assert_int_equal(pthread_create(&down.thread, NULL, signaler_main, &down), 0);
	for (int i = 0; i < WAITS; i++) {
		pthread_join(waits[i].thread, NULL);
		assert_int_equal(waits[i].result, 0);
	}
	pthread_join(up.thread, NULL);
	pthread_join(down.thread, NULL);
	assert_int_equal(syncs_query(syncs, handle, 0), POINTS);
	for (int i = 0; i < POINTS; i++)
		sim_fence_put(fences[i]);
}

static void handles_are_the_lowest_free_ones(void **state)
{
	struct sim_syncs *syncs = *state;
	struct drm_syncobj_destroy destroy = {.handle = 7};

	for (uint32_t i = 1; i <= 40; i++)
		assert_int_equal(syncs_add(syncs, 0), i);
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), 0);
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), -EINVAL);
	destroy.handle = 3;
	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy), 0);
	assert_int_equal(syncs_add(syncs, 0), 3);
	assert_int_equal(syncs_add(syncs, 0), 7);
	assert_int_equal(syncs_add(syncs, 0), 41);
}

static void structs_of_another_age_are_understood(void **state)
{
	struct sim_syncs *syncs = *state;
	uint32_t handle = syncs_add(syncs, DRM_SYNCOBJ_CREATE_SIGNALED);
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
		TEST_SYNCS(waits_race_signals),
		TEST_SYNCS(handles_are_the_lowest_free_ones),
		TEST_SYNCS(structs_of_another_age_are_understood),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
