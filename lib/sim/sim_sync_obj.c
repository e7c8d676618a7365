/* SPDX-License-Identifier: MIT */
/*
 * Syncobjs: a place for one fence, and those who wait for a fence to come.
 *
 * A waiter is given the fence at the moment it is put in, under the syncobj's lock, not told to look again: a signal
 * that is followed by a reset at once must still be seen. Lock order: syncobj, then fence. Fence callbacks run without
 * either.
 */
#include "sim_sync_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An eventfd to write to. On the syncobj's list until its point has a fence, then a callback of that fence. */
struct event {
	struct sim_fence_cb cb;
	struct event *next;
	struct sim_fence *fence;
	uint64_t point;
	int fd; /* our own duplicate: the program may close its fd */
	bool available;
};

struct sim_syncobj {
	atomic_uint refs;
	pthread_mutex_t lock;
	struct sim_fence *fence;
	struct sim_wait *waits;
	struct event *events;
};

/* ---- Those who wait ---- */

void sim_waiter_wake(struct sim_waiter *waiter)
{
	atomic_fetch_add(&waiter->word, 1);
	syscall(SYS_futex, &waiter->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void event_free(struct event *event)
{
	sim_fence_put(event->fence);
	close(event->fd);
	free(event);
}

static void event_fire(struct sim_fence_cb *cb)
{
	struct event *event = (struct event *)cb;

	eventfd_write(event->fd, 1);
	event_free(event);
}

/* The fence of a point as a waiter wants it: a passed point gives a signalled one. NULL: not there yet, or no memory.
 */
static struct sim_fence *fence_of_point(struct sim_syncobj *syncobj, uint64_t point)
{
	struct sim_fence *fence = NULL;

	if (!syncobj->fence || sim_chain_find(syncobj->fence, point, &fence))
		return NULL;
	return fence ? fence : sim_fence_create_signaled();
}

static bool feed_wait(struct sim_syncobj *syncobj, struct sim_wait *wait)
{
	struct sim_fence *fence = fence_of_point(syncobj, wait->point);

	if (fence)
		atomic_store(&wait->fence, fence);
	return fence;
}

static void unlist_wait(struct sim_wait *wait)
{
	*wait->link = wait->next;
	if (wait->next)
		wait->next->link = wait->link;
	wait->link = NULL;
}

static void list_wait(struct sim_syncobj *syncobj, struct sim_wait *wait)
{
	wait->next = syncobj->waits;
	wait->link = &syncobj->waits;
	if (wait->next)
		wait->next->link = &wait->next;
	syncobj->waits = wait;
}

/* Move an event on when its point has a fence. True: it has left the syncobj's list for good. */
static bool feed_event(struct sim_syncobj *syncobj, struct event *event)
{
	event->fence = fence_of_point(syncobj, event->point);
	if (!event->fence)
		return false;
	event->cb.fn = event_fire;
	if (event->available || sim_fence_add_callback(event->fence, &event->cb))
		event_fire(&event->cb);
	return true;
}

/* A fence has come in: under the syncobj's lock. */
static void feed_all(struct sim_syncobj *syncobj)
{
	struct sim_wait *next;

	for (struct sim_wait *wait = syncobj->waits; wait; wait = next) {
		next = wait->next;
		if (!feed_wait(syncobj, wait))
			continue;
		unlist_wait(wait);
		sim_waiter_wake(wait->waiter);
	}
	for (struct event **link = &syncobj->events; *link;) {
		struct event *event = *link, *rest = event->next;

		if (feed_event(syncobj, event))
			*link = rest;
		else
			link = &event->next;
	}
}

void sim_syncobj_add_wait(struct sim_syncobj *syncobj, struct sim_wait *wait)
{
	if (atomic_load(&wait->fence))
		return;
	pthread_mutex_lock(&syncobj->lock);
	if (!feed_wait(syncobj, wait))
		list_wait(syncobj, wait);
	pthread_mutex_unlock(&syncobj->lock);
}

void sim_syncobj_remove_wait(struct sim_syncobj *syncobj, struct sim_wait *wait)
{
	pthread_mutex_lock(&syncobj->lock);
	if (wait->link)
		unlist_wait(wait);
	pthread_mutex_unlock(&syncobj->lock);
}

/* 0 when the fd is an eventfd. Nothing but its name tells. */
static int check_eventfd(int fd)
{
	char path[32], name[32];
	ssize_t size;

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name) - 1);
	if (size < 0)
		return -EINVAL;
	name[size] = '\0';
	return strcmp(name, "anon_inode:[eventfd]") ? -EINVAL : 0;
}

int sim_syncobj_add_eventfd(struct sim_syncobj *syncobj, int fd, uint64_t point, bool available)
{
	struct event *event;
	int ret = check_eventfd(fd);

	if (ret)
		return ret;
	event = calloc(1, sizeof(*event));
	if (!event)
		return -ENOMEM;
	event->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (event->fd < 0) {
		ret = -errno;
		free(event);
		return ret;
	}
	event->point = point;
	event->available = available;
	pthread_mutex_lock(&syncobj->lock);
	event->next = syncobj->events;
	if (!feed_event(syncobj, event))
		syncobj->events = event;
	pthread_mutex_unlock(&syncobj->lock);
	return 0;
}

/* ---- The syncobj itself ---- */

struct sim_syncobj *sim_syncobj_create(bool signaled)
{
	struct sim_syncobj *syncobj = calloc(1, sizeof(*syncobj));

	if (!syncobj)
		return NULL;
	if (signaled) {
		syncobj->fence = sim_fence_create_signaled();
		if (!syncobj->fence) {
			free(syncobj);
			return NULL;
		}
	}
	atomic_init(&syncobj->refs, 1);
	pthread_mutex_init(&syncobj->lock, NULL);
	return syncobj;
}

struct sim_syncobj *sim_syncobj_get(struct sim_syncobj *syncobj)
{
	atomic_fetch_add(&syncobj->refs, 1);
	return syncobj;
}

void sim_syncobj_put(struct sim_syncobj *syncobj)
{
	if (!syncobj || atomic_fetch_sub(&syncobj->refs, 1) != 1)
		return;
	while (syncobj->events) {
		struct event *event = syncobj->events;

		syncobj->events = event->next;
		event_free(event);
	}
	sim_fence_put(syncobj->fence);
	pthread_mutex_destroy(&syncobj->lock);
	free(syncobj);
}

struct sim_fence *sim_syncobj_fence(struct sim_syncobj *syncobj)
{
	struct sim_fence *fence;

	pthread_mutex_lock(&syncobj->lock);
	fence = sim_fence_get(syncobj->fence);
	pthread_mutex_unlock(&syncobj->lock);
	return fence;
}

int sim_syncobj_find_fence(struct sim_syncobj *syncobj, uint64_t point, struct sim_fence **ret_fence)
{
	struct sim_fence *head = sim_syncobj_fence(syncobj), *fence = NULL;
	int ret = head ? sim_chain_find(head, point, &fence) : -EINVAL;

	sim_fence_put(head);
	if (ret)
		return ret;
	if (!fence)
		fence = sim_fence_create_signaled();
	if (!fence)
		return -ENOMEM;
	*ret_fence = fence;
	return 0;
}

void sim_syncobj_replace_fence(struct sim_syncobj *syncobj, struct sim_fence *fence)
{
	struct sim_fence *old;

	pthread_mutex_lock(&syncobj->lock);
	old = syncobj->fence;
	syncobj->fence = sim_fence_get(fence);
	if (fence != old)
		feed_all(syncobj);
	pthread_mutex_unlock(&syncobj->lock);
	sim_fence_put(old);
}

int sim_syncobj_add_point(struct sim_syncobj *syncobj, struct sim_fence *fence, uint64_t point)
{
	struct sim_fence *old, *chain;

	pthread_mutex_lock(&syncobj->lock);
	old = syncobj->fence;
	chain = sim_chain_create(old, fence, point);
	if (chain) {
		syncobj->fence = chain;
		feed_all(syncobj);
	}
	pthread_mutex_unlock(&syncobj->lock);
	if (!chain)
		return -ENOMEM;
	sim_fence_put(old);
	return 0;
}
