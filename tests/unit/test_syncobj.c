/* SPDX-License-Identifier: MIT */
/* Syncobjs: the ioctls behind them, deadlines, and, on the simulator, what waits and statuses say. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "fake_backend.h"
#include "internal.h"

static struct panbind_device *device; /* simulated */
static struct panbind_syncobj *a, *b;

static int setup(void **state)
{
	assert_int_equal(panbind_device_open("sim:", &device, NULL), 0);
	assert_int_equal(panbind_syncobj_create(device, 0, &a), 0);
	assert_int_equal(panbind_syncobj_create(device, 0, &b), 0);
	return 0;
}

static int teardown(void **state)
{
	panbind_syncobj_unref(a);
	panbind_syncobj_unref(b);
	panbind_syncobj_unref(NULL);
	panbind_device_unref(device);
	return 0;
}

static int wait_for(struct panbind_syncobj *syncobj, uint64_t point, uint32_t flags, int64_t timeout_ns)
{
	return panbind_syncobj_wait(&syncobj, point ? &point : NULL, 1, flags, timeout_ns, NULL);
}

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void binary_ones_are_signalled_and_reset(void **state)
{
	assert_int_equal(wait_for(a, 0, 0, 0), -EINVAL); /* nothing in it */
	assert_int_equal(wait_for(a, 0, PANBIND_WAIT_FOR_FENCE, 0), -ETIME);
	assert_int_equal(panbind_syncobj_signal(a, 0), 0);
	assert_int_equal(wait_for(a, 0, 0, 0), 0);
	assert_int_equal(panbind_syncobj_reset(a), 0);
	assert_int_equal(wait_for(a, 0, 0, 0), -EINVAL);
}

static void one_can_be_born_signalled(void **state)
{
	struct panbind_syncobj *born;
	assert_int_equal(panbind_syncobj_create(device, 1, &born), 0);
	assert_int_equal(wait_for(born, 0, 0, 0), 0);
	panbind_syncobj_unref(born);
}

static void timelines_have_points(void **state)
{
	uint64_t point = 99;
	assert_int_equal(panbind_syncobj_query(a, &point), 0);
	assert_int_equal(point, 0);
	assert_int_equal(panbind_syncobj_signal(a, 5), 0);
	assert_int_equal(panbind_syncobj_query(a, &point), 0);
	assert_int_equal(point, 5);
	assert_int_equal(wait_for(a, 4, 0, 0), 0);
	assert_int_equal(wait_for(a, 6, PANBIND_WAIT_FOR_FENCE, 0), -ETIME);
}

static void any_and_all(void **state)
{
	struct panbind_syncobj *both[] = {a, b};
	uint32_t first = 7;
	assert_int_equal(panbind_syncobj_signal(b, 0), 0);
	assert_int_equal(panbind_syncobj_wait(both, NULL, 2, PANBIND_WAIT_FOR_FENCE, 0, &first), 0);
	assert_int_equal(first, 1);
	assert_int_equal(panbind_syncobj_wait(both, NULL, 2, PANBIND_WAIT_ALL | PANBIND_WAIT_FOR_FENCE, 0, &first),
			 -ETIME);
	assert_int_equal(first, 1);
	assert_int_equal(panbind_syncobj_signal(a, 0), 0);
	assert_int_equal(panbind_syncobj_wait(both, NULL, 2, PANBIND_WAIT_ALL, INT64_MAX, &first), 0);
	assert_in_range(first, 0, 1);
}

static void bad_waits_are_refused(void **state)
{
	struct panbind_device *other;
	struct panbind_syncobj *foreign;
	assert_int_equal(panbind_device_open("sim:", &other, NULL), 0);
	assert_int_equal(panbind_syncobj_create(other, 1, &foreign), 0);
	struct panbind_syncobj *mixed[] = {a, foreign};

	assert_int_equal(panbind_syncobj_wait(mixed, NULL, 2, 0, 0, NULL), -EINVAL);
	assert_int_equal(panbind_syncobj_wait(&a, NULL, 0, 0, 0, NULL), -EINVAL);
	assert_int_equal(wait_for(a, 0, 1u << 9, 0), -EINVAL);
	assert_int_equal(wait_for(a, 0, PANBIND_WAIT_AVAILABLE, 0), -EINVAL); /* that is for timelines */

	panbind_syncobj_unref(foreign);
	panbind_device_unref(other);
}

static volatile sig_atomic_t ticks;

static void on_tick(int signal)
{
	ticks++;
}

static void a_signal_handler_neither_ends_nor_prolongs_a_wait(void **state)
{
	struct sigaction action = {.sa_handler = on_tick}; /* without SA_RESTART */
	struct itimerval every_ms = {{0, 1000}, {0, 1000}}, never = {{0}};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every_ms, NULL);
	int64_t begin = now_ns();

	int ret = wait_for(a, 0, PANBIND_WAIT_FOR_FENCE, 50000000);

	int64_t took = now_ns() - begin;
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(ret, -ETIME);
	assert_true(ticks > 0);
	assert_true(took >= 50000000); /* the signals did not end it; each repeat has the same deadline, see below */
}

static int64_t deadlines[3];
static int waits;

/** Two interruptions, then time is up. */
static int interrupt_twice(struct pb_file *file, unsigned long request, void *arg)
{
	assert_int_equal(request, DRM_IOCTL_SYNCOBJ_WAIT);
	deadlines[waits] = ((struct drm_syncobj_wait *)arg)->timeout_nsec;
	return waits++ < 2 ? -EINTR : -ETIME;
}

static void an_interrupted_wait_keeps_its_deadline(void **state)
{
	static const struct pb_backend interrupting = {.name = "test", .ioctl = interrupt_twice};
	struct pb_file file = {&interrupting};
	struct panbind_device local = {.file = &file};
	struct panbind_syncobj syncobj = {.device = &local, .handle = 1};
	int64_t before = now_ns();

	assert_int_equal(wait_for(&syncobj, 0, 0, 1000000000), -ETIME);

	assert_int_equal(waits, 3);
	assert_true(deadlines[0] >= before + 1000000000 && deadlines[0] <= now_ns() + 1000000000);
	assert_int_equal(deadlines[1], deadlines[0]);
	assert_int_equal(deadlines[2], deadlines[0]);
	waits = 1;
	assert_int_equal(wait_for(&syncobj, 0, 0, INT64_MAX), -ETIME);
	assert_int_equal(deadlines[1], INT64_MAX); /* for ever does not wrap around */
	waits = 2;
	assert_int_equal(wait_for(&syncobj, 0, 0, -5), -ETIME);
	assert_int_equal(deadlines[2], 0); /* nor is the past far in the future */
}

static void a_fence_has_a_status(void **state)
{
	int status = 7;
	assert_int_equal(panbind_syncobj_fence_status(a, &status), -EINVAL); /* no fence, no sync file */
	assert_int_equal(status, 7);
	assert_int_equal(panbind_syncobj_signal(a, 0), 0);
	assert_int_equal(panbind_syncobj_fence_status(a, &status), 0);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(binary_ones_are_signalled_and_reset),
		TEST(one_can_be_born_signalled),
		TEST(timelines_have_points),
		TEST(any_and_all),
		TEST(bad_waits_are_refused),
		TEST(a_signal_handler_neither_ends_nor_prolongs_a_wait),
		cmocka_unit_test(an_interrupted_wait_keeps_its_deadline),
		TEST(a_fence_has_a_status),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
