/* SPDX-License-Identifier: MIT */
/*
 * The queue between threads. See queue.h.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "queue.h"
#include "request.h"

int queue_init(struct queue *queue, bool polled)
{
	pthread_condattr_t attr;

	*queue = (struct queue){.wake_fd = -1};
	queue->tail = &queue->first;
	if (polled) {
		queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (queue->wake_fd < 0)
			return -errno;
	}
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->more, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void queue_destroy(struct queue *queue)
{
	while (queue->first) {
		struct request *next = queue->first->next;

		request_free(queue->first);
		queue->first = next;
	}
	if (queue->wake_fd >= 0)
		close(queue->wake_fd);
	pthread_cond_destroy(&queue->more);
	pthread_mutex_destroy(&queue->lock);
}

/** Outside the lock, so that the taker does not wake up only to wait for it. */
static void wake(struct queue *queue, bool asleep)
{
	uint64_t one = 1;

	if (queue->wake_fd < 0) {
		if (asleep)
			pthread_cond_signal(&queue->more);
	} else if (write(queue->wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full: the taker has been woken often enough. */
	}
}

void queue_push(struct queue *queue, struct request *first)
{
	struct request *last = first;
	bool was_empty, asleep;

	while (last->next)
		last = last->next;
	pthread_mutex_lock(&queue->lock);
	was_empty = !queue->first;
	asleep = queue->asleep;
	*queue->tail = first;
	queue->tail = &last->next;
	pthread_mutex_unlock(&queue->lock);
	if (was_empty)
		wake(queue, asleep);
}

void queue_poke(struct queue *queue)
{
	bool asleep;

	pthread_mutex_lock(&queue->lock);
	queue->poked = true;
	asleep = queue->asleep;
	pthread_mutex_unlock(&queue->lock);
	wake(queue, asleep);
}

/** With the lock held. */
static struct request *take_all(struct queue *queue)
{
	struct request *first = queue->first;

	queue->first = NULL;
	queue->tail = &queue->first;
	queue->poked = false;
	return first;
}

struct request *queue_take(struct queue *queue)
{
	struct request *first;
	uint64_t count;

	if (queue->wake_fd >= 0 && read(queue->wake_fd, &count, sizeof(count)) < 0) {
		/* Nothing to read: taken before the wake-up came. */
	}
	pthread_mutex_lock(&queue->lock);
	first = take_all(queue);
	pthread_mutex_unlock(&queue->lock);
	return first;
}

static void add_ms(struct timespec *time, int ms)
{
	time->tv_sec += ms / 1000;
	time->tv_nsec += ms % 1000 * 1000000L;
	if (time->tv_nsec >= 1000000000L) {
		time->tv_sec++;
		time->tv_nsec -= 1000000000L;
	}
}

struct request *queue_wait(struct queue *queue, int timeout_ms)
{
	struct request *first;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	add_ms(&until, timeout_ms > 0 ? timeout_ms : 0);
	pthread_mutex_lock(&queue->lock);
	queue->asleep = true;
	while (!queue->first && !queue->poked && r != ETIMEDOUT)
		r = timeout_ms < 0 ? pthread_cond_wait(&queue->more, &queue->lock)
				   : pthread_cond_timedwait(&queue->more, &queue->lock, &until);
	queue->asleep = false;
	first = take_all(queue);
	pthread_mutex_unlock(&queue->lock);
	return first;
}
