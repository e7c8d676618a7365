/* SPDX-License-Identifier: MIT */
/*
 * The queue between threads. See queue.h.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "queue.h"
#include "request.h"

int queue_init(struct queue *queue, bool polled)
{
	*queue = (struct queue){.polls = polled};
	queue->tail = &queue->first;
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->wake_fd < 0)
		return -errno;
	/* One that polls does so outside of here, and is always taken to be asleep. */
	queue->asleep = polled;
	pthread_mutex_init(&queue->lock, NULL);
	sem_init(&queue->more, 0, 0);
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
	sem_destroy(&queue->more);
	pthread_mutex_destroy(&queue->lock);
}

/** Outside the lock, so that the taker does not wake up only to wait for it. */
static void wake(struct queue *queue, bool polls)
{
	uint64_t one = 1;

	if (!polls)
		sem_post(&queue->more);
	else if (write(queue->wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full: the taker has been woken often enough. */
	}
}

static void push(struct queue *queue, struct request *first, bool quietly)
{
	struct request *last = first;
	bool asleep, polls;

	while (last && last->next)
		last = last->next;
	pthread_mutex_lock(&queue->lock);
	asleep = queue->asleep && !quietly;
	polls = queue->polls;
	if (asleep)
		queue->asleep = false; /* until it sleeps again: one wake-up is enough */
	if (last) {
		*queue->tail = first;
		queue->tail = &last->next;
	} else {
		queue->poked = true;
	}
	pthread_mutex_unlock(&queue->lock);
	if (asleep)
		wake(queue, polls);
}

void queue_push(struct queue *queue, struct request *first)
{
	push(queue, first, false);
}

void queue_push_quietly(struct queue *queue, struct request *first)
{
	push(queue, first, true);
}

void queue_poke(struct queue *queue)
{
	push(queue, NULL, false);
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

	pthread_mutex_lock(&queue->lock);
	first = take_all(queue);
	pthread_mutex_unlock(&queue->lock);
	return first;
}

void queue_note_wake(struct queue *queue)
{
	uint64_t count;

	if (read(queue->wake_fd, &count, sizeof(count)) < 0) {
		/* Nothing to read: taken before the wake-up came. */
	}
	pthread_mutex_lock(&queue->lock);
	queue->asleep = true;
	pthread_mutex_unlock(&queue->lock);
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

/** Until it is posted. False: @until came first. */
static bool wait_for_post(struct queue *queue, const struct timespec *until)
{
	int r;

	do
		r = until ? sem_clockwait(&queue->more, CLOCK_MONOTONIC, until) : sem_wait(&queue->more);
	while (r < 0 && errno == EINTR);
	return r == 0;
}

/** Is there something? If not, whoever brings it is to write to wake_fd. */
static bool is_filled_or_polls(struct queue *queue)
{
	bool filled;

	pthread_mutex_lock(&queue->lock);
	filled = queue->first || queue->poked;
	queue->asleep = queue->polls = !filled;
	pthread_mutex_unlock(&queue->lock);
	return filled;
}

static void wake_up_from_poll(struct queue *queue)
{
	uint64_t count;
	bool woken;

	pthread_mutex_lock(&queue->lock);
	woken = !queue->asleep;
	queue->asleep = queue->polls = false;
	pthread_mutex_unlock(&queue->lock);
	if (woken && read(queue->wake_fd, &count, sizeof(count)) < 0) {
		/* It is about to be written: the next poll() ends at once, in vain. */
	}
}

enum queue_event queue_poll(struct queue *queue, int fd, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = queue->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	int r;

	if (is_filled_or_polls(queue))
		return QUEUE_FILLED;
	r = poll(fds, 2, timeout_ms);
	wake_up_from_poll(queue);
	if (r > 0 && fds[0].revents)
		return QUEUE_FILLED;
	return r > 0 ? QUEUE_READABLE : QUEUE_TIMEOUT;
}

struct request *queue_wait(struct queue *queue, int timeout_ms)
{
	struct request *first;
	struct timespec until;
	bool in_time = timeout_ms != 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	add_ms(&until, timeout_ms > 0 ? timeout_ms : 0);
	pthread_mutex_lock(&queue->lock);
	while (!queue->first && !queue->poked && in_time) {
		queue->asleep = true;
		pthread_mutex_unlock(&queue->lock);
		in_time = wait_for_post(queue, timeout_ms < 0 ? NULL : &until);
		pthread_mutex_lock(&queue->lock);
		queue->asleep = false;
	}
	first = take_all(queue);
	pthread_mutex_unlock(&queue->lock);
	return first;
}
