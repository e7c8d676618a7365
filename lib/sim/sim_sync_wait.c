/* SPDX-License-Identifier: MIT */
/*
 * Waiting for syncobjs, by the rules of drm_syncobj_array_wait_timeout().
 *
 * The thread sleeps on a futex and not on a condition variable, since a signal that its program catches has to end the
 * wait with EINTR, as it ends the ioctl.
 */
#include "sim_sync_private.h"
#include "sim_user.h"

#include <drm.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC INT64_C(1000000000)
/* What the kernel can allocate in one piece: 4 MiB, and it needs 64 bytes for each syncobj waited for. */
#define WAITS_MAX    ((4u << 20) / 64)
/* How long a transfer that may wait for a fence to be submitted does so. */
#define SUBMIT_NS    (5 * NSEC_PER_SEC)
#define FOR_SUBMIT   (DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE)

/* What a round of looking at all fences found. */
struct tally {
	uint32_t signaled, first;
};

static struct sim_waiter *waiter_create(uint32_t count)
{
	struct sim_waiter *waiter = calloc(1, sizeof(*waiter) + count * sizeof(waiter->waits[0]));

	if (!waiter)
		return NULL;
	atomic_init(&waiter->refs, count + 1); /* the thread's, and one for each callback that may come */
	waiter->count = count;
	for (uint32_t i = 0; i < count; i++)
		waiter->waits[i].waiter = waiter;
	return waiter;
}

static void waiter_put(struct sim_waiter *waiter, uint32_t refs)
{
	if (atomic_fetch_sub(&waiter->refs, refs) == refs)
		free(waiter);
}

static void on_signal(struct sim_fence_cb *cb)
{
	struct sim_waiter *waiter = ((struct sim_wait *)cb)->waiter;

	sim_waiter_wake(waiter);
	waiter_put(waiter, 1);
}

/* Ask to be woken by the fence; false when it has signalled already. */
static bool arm(struct sim_wait *wait, struct sim_fence *fence)
{
	if (!wait->armed) {
		wait->cb.fn = on_signal;
		wait->armed = !sim_fence_add_callback(fence, &wait->cb);
	}
	return wait->armed;
}

static void waiter_destroy(struct sim_waiter *waiter, struct sim_syncobj **syncobjs)
{
	uint32_t refs = 1;

	for (uint32_t i = 0; i < waiter->count; i++) {
		struct sim_wait *wait = &waiter->waits[i];
		struct sim_fence *fence;

		sim_syncobj_remove_wait(syncobjs[i], wait);
		fence = atomic_load(&wait->fence);
		/* A callback that cannot be removed runs just now, or has run: it drops its reference itself. */
		if (!wait->armed || sim_fence_remove_callback(fence, &wait->cb))
			refs++;
		sim_fence_put(fence);
	}
	waiter_put(waiter, refs);
}

/* Sleep unless the word has changed. -ETIMEDOUT, -EINTR, or 0 or -EAGAIN to look again. */
static int sleep_on(struct sim_waiter *waiter, unsigned int word, int64_t deadline_ns)
{
	struct timespec deadline = {.tv_sec = deadline_ns / NSEC_PER_SEC, .tv_nsec = deadline_ns % NSEC_PER_SEC};

	if (deadline_ns <= 0)
		return -ETIMEDOUT;
	if (syscall(SYS_futex, &waiter->word, FUTEX_WAIT_BITSET_PRIVATE, word, &deadline, NULL, FUTEX_BITSET_MATCH_ANY))
		return -errno;
	return 0;
}

/* Count what is done; without WAIT_ALL the first one is enough. */
static bool look(struct sim_waiter *waiter, uint32_t flags, struct tally *tally)
{
	tally->signaled = 0;
	for (uint32_t i = 0; i < waiter->count; i++) {
		struct sim_wait *wait = &waiter->waits[i];
		struct sim_fence *fence = atomic_load(&wait->fence);

		if (!fence)
			continue;
		if (!(flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE) && !sim_fence_is_signaled(fence) &&
		    arm(wait, fence))
			continue;
		if (!(flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL)) {
			tally->first = i;
			return true;
		}
		tally->signaled++;
	}
	return tally->signaled == waiter->count;
}

/* Look, sleep, and look once more after a time-out or signal: what is done by then counts. */
static int sleep_until_done(struct sim_waiter *waiter, uint32_t flags, int64_t deadline_ns, struct tally *tally)
{
	int ret = 0;

	for (;;) {
		unsigned int word = atomic_load(&waiter->word);
		bool interrupted = sim_user_interrupted();

		if (look(waiter, flags, tally))
			return 0;
		if (ret == -ETIMEDOUT)
			return -ETIME;
		if (ret == -EINTR || interrupted)
			return -EINTR;
		ret = sleep_on(waiter, word, deadline_ns);
	}
}

static void wake(void *data)
{
	sim_waiter_wake(data);
}

/* Whoever is waited for may be in another process, whose signals do not reach this thread. */
static int wait_done(struct sim_waiter *waiter, uint32_t flags, int64_t deadline_ns, struct tally *tally)
{
	int ret;

	if (look(waiter, flags, tally))
		return 0;
	if (deadline_ns <= 0)
		return -ETIME;
	sim_user_wait_begin(wake, waiter);
	ret = sleep_until_done(waiter, flags, deadline_ns, tally);
	sim_user_wait_end();
	return ret;
}

/* The fences that are there at entry. A missing one is an error unless it may still come. */
static int collect(struct sim_waiter *waiter, struct sim_syncobj **syncobjs, uint32_t flags, struct tally *tally)
{
	for (uint32_t i = 0; i < waiter->count; i++) {
		struct sim_wait *wait = &waiter->waits[i];
		struct sim_fence *fence = NULL;
		int ret = sim_syncobj_find_fence(syncobjs[i], wait->point, &fence);

		if (ret == -EINVAL && (flags & FOR_SUBMIT))
			continue;
		if (ret)
			return ret;
		atomic_store(&wait->fence, fence);
		if (!(flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE) && !sim_fence_is_signaled(fence))
			continue;
		if (!tally->signaled++)
			tally->first = i;
	}
	return 0;
}

static int read_points(struct sim_waiter *waiter, uint64_t points)
{
	uint64_t *values;
	int ret;

	if (!points)
		return 0;
	values = malloc(waiter->count * sizeof(*values));
	if (!values)
		return -ENOMEM;
	ret = sim_copy_from_user(values, points, waiter->count * sizeof(*values));
	for (uint32_t i = 0; i < waiter->count && !ret; i++)
		waiter->waits[i].point = values[i];
	free(values);
	return ret;
}

static int wait_with(struct sim_waiter *waiter, struct sim_syncobj **syncobjs, uint32_t flags, int64_t deadline_ns,
		     struct tally *tally)
{
	int ret = collect(waiter, syncobjs, flags, tally);

	if (ret)
		return ret;
	if (tally->signaled == waiter->count || (tally->signaled && !(flags & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL)))
		return 0;
	for (uint32_t i = 0; i < waiter->count && (flags & FOR_SUBMIT); i++)
		sim_syncobj_add_wait(syncobjs[i], &waiter->waits[i]);
	return wait_done(waiter, flags, deadline_ns, tally);
}

int sim_sync_wait(struct sim_syncobj **syncobjs, uint32_t count, uint64_t points, uint32_t flags, int64_t deadline_ns,
		  uint32_t *ret_first)
{
	struct sim_waiter *waiter = count <= WAITS_MAX ? waiter_create(count) : NULL;
	struct tally tally = {.first = UINT32_MAX};
	int ret;

	if (!waiter)
		return -ENOMEM;
	ret = read_points(waiter, points);
	if (!ret)
		ret = wait_with(waiter, syncobjs, flags, deadline_ns, &tally);
	if (!ret)
		*ret_first = tally.first;
	waiter_destroy(waiter, syncobjs);
	return ret;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

int sim_sync_wait_fence(struct sim_syncobj *syncobj, uint64_t point, struct sim_fence **ret_fence)
{
	struct sim_waiter *waiter = waiter_create(1);
	struct tally tally = {0};
	int ret;

	if (!waiter)
		return -ENOMEM;
	waiter->waits[0].point = point;
	ret = wait_with(waiter, &syncobj, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE, now_ns() + SUBMIT_NS, &tally);
	if (!ret)
		*ret_fence = sim_fence_get(atomic_load(&waiter->waits[0].fence));
	waiter_destroy(waiter, &syncobj);
	return ret;
}
