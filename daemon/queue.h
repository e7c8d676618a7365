/* SPDX-License-Identifier: MIT */
/*
 * A queue of requests from any thread to one. All that has gathered is taken at once, so that a burst costs one lock
 * and one wake-up on either side.
 */
#ifndef PBD_QUEUE_H
#define PBD_QUEUE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

struct request;

struct queue {
	pthread_mutex_t lock;
	struct request *first, **tail;
	bool poked;  /* woken without a request */
	bool asleep; /* the taker waits, and nobody has woken it yet */
	sem_t more;  /* on which it waits; unlike a condition, it costs no second system call for the lock */
	bool polls;  /* asleep in poll(): wake_fd wakes it up, not `more` */
	int wake_fd; /* an eventfd */
};

/** @polled: the taker polls wake_fd elsewhere, and always. 0 or a negative errno. */
int queue_init(struct queue *queue, bool polled);
void queue_destroy(struct queue *queue);
/** Add a chain of requests, linked by `next`. */
void queue_push(struct queue *queue, struct request *first);
/** The same without waking a taker that polls: it is enough that it looks when it is awake for something else. */
void queue_push_quietly(struct queue *queue, struct request *first);
/** Wake the taker up, with or without a request. */
void queue_poke(struct queue *queue);
/** Take everything, or NULL. */
struct request *queue_take(struct queue *queue);
/** The wake_fd is readable: note it. queue_take() then has what it stands for. */
void queue_note_wake(struct queue *queue);
enum queue_event { QUEUE_FILLED, QUEUE_READABLE, QUEUE_TIMEOUT };
/** Wait for something, or a poke, or input on @fd, or @timeout_ms (negative: none). Nothing is taken. */
enum queue_event queue_poll(struct queue *queue, int fd, int timeout_ms);
/** Wait for something, or a poke, or @timeout_ms (negative: none), and take everything, or NULL. */
struct request *queue_wait(struct queue *queue, int timeout_ms);

#endif /* PBD_QUEUE_H */
