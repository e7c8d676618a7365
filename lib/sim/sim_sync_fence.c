/* SPDX-License-Identifier: MIT */
/*
 * Fences and chains.
 *
 * The kernel finds out lazily whether a point of a timeline has passed, by walking the chain. Here a point is armed
 * when it is made: it counts what it still misses (its own fence, the point before it) and signals when that is
 * nothing. Whether a fence has signalled is then one atomic load, and both signalling and freeing walk long or nested
 * chains with a list of work instead of recursion, so that no program can overflow a stack by building a million
 * points.
 *
 * Locks: a fence's lock guards its callbacks and its link to the older point. It is taken last of all locks and never
 * held while a callback runs. References: the two links of an armed point hold one each, so whoever makes a fence must
 * signal it, as in the kernel.
 */
#include "sim_sync_private.h"

#include <errno.h>
#include <stdlib.h>

struct sim_fence {
	atomic_uint refs;
	atomic_int status; /* 1 while pending, else 0 or a negative errno */
	bool chained;	   /* is a struct chain */
	pthread_mutex_t lock;
	struct sim_fence_cb *first, **last;
	struct sim_fence *work; /* the next one on a list of work: to be signalled, or (refs are 0 then) to be freed */
};

/* One end of a point's wiring: what is called when its own fence, or the point before it, signals. */
struct chain_link {
	struct sim_fence_cb cb;
	struct chain *chain;
};

struct chain {
	struct sim_fence base;
	struct sim_fence *fence;
	struct sim_fence *prev; /* NULL once it has signalled */
	/* Ascending points share a context; a point out of order begins a new one, which bounds queries and searches.
	 */
	uint64_t context, point, prev_point;
	atomic_int missing;
	struct chain_link on_fence, on_prev;
};

static void fence_init(struct sim_fence *fence, bool chained, int status)
{
	atomic_init(&fence->refs, 1);
	atomic_init(&fence->status, status);
	fence->chained = chained;
	pthread_mutex_init(&fence->lock, NULL);
	fence->first = NULL;
	fence->last = &fence->first;
}

static struct sim_fence *fence_new(int status)
{
	struct sim_fence *fence = malloc(sizeof(*fence));

	if (fence)
		fence_init(fence, false, status);
	return fence;
}

struct sim_fence *sim_fence_create(void)
{
	return fence_new(1);
}

struct sim_fence *sim_fence_create_signaled(void)
{
	return fence_new(0);
}

struct sim_fence *sim_fence_get(struct sim_fence *fence)
{
	if (fence)
		atomic_fetch_add_explicit(&fence->refs, 1, memory_order_relaxed);
	return fence;
}

/* It has been told. True of a point later than sim_fence_is_signaled(). */
static bool is_settled(struct sim_fence *fence)
{
	return atomic_load(&fence->status) != 1;
}

static struct chain *to_chain(struct sim_fence *fence)
{
	return fence && fence->chained ? (struct chain *)fence : NULL;
}

/* Take the first off a list of work. */
static struct sim_fence *work_pop(struct sim_fence **list)
{
	struct sim_fence *fence = *list;

	*list = fence->work;
	return fence;
}

static void work_push(struct sim_fence **list, struct sim_fence *fence)
{
	fence->work = *list;
	*list = fence;
}

/* Drop a reference; what nobody holds any more is to be freed. */
static void drop(struct sim_fence *fence, struct sim_fence **dead)
{
	if (fence && atomic_fetch_sub(&fence->refs, 1) == 1)
		work_push(dead, fence);
}

void sim_fence_put(struct sim_fence *fence)
{
	struct sim_fence *dead = NULL;

	drop(fence, &dead);
	while (dead) {
		struct sim_fence *gone = work_pop(&dead);
		struct chain *chain = to_chain(gone);

		if (chain) {
			drop(chain->prev, &dead);
			drop(chain->fence, &dead);
		}
		pthread_mutex_destroy(&gone->lock);
		free(gone);
	}
}

int sim_fence_add_callback(struct sim_fence *fence, struct sim_fence_cb *cb)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&fence->lock);
	if (!is_settled(fence)) {
		cb->next = NULL;
		*fence->last = cb;
		fence->last = &cb->next;
		ret = 0;
	}
	pthread_mutex_unlock(&fence->lock);
	return ret;
}

bool sim_fence_remove_callback(struct sim_fence *fence, struct sim_fence_cb *cb)
{
	struct sim_fence_cb **link;
	bool found;

	pthread_mutex_lock(&fence->lock);
	for (link = &fence->first; *link && *link != cb; link = &(*link)->next)
		;
	found = *link;
	if (found) {
		*link = cb->next;
		if (fence->last == &cb->next)
			fence->last = link;
	}
	pthread_mutex_unlock(&fence->lock);
	return found;
}

/* Settle a pending fence and take its callbacks; NULL when there are none or it was settled before. */
static struct sim_fence_cb *settle(struct sim_fence *fence, int error)
{
	struct sim_fence_cb *callbacks = NULL;

	pthread_mutex_lock(&fence->lock);
	if (!is_settled(fence)) {
		atomic_store(&fence->status, error);
		callbacks = fence->first;
		fence->first = NULL;
		fence->last = &fence->first;
	}
	pthread_mutex_unlock(&fence->lock);
	return callbacks;
}

/* Never called: marks the callbacks that are links of a point, which call_back() serves without recursion. */
static void chain_link_fn(struct sim_fence_cb *cb)
{
	abort();
}

/* One thing less is missing; a point that misses nothing goes, with the link's reference, on the list to signal. */
static void chain_link_done(struct chain_link *link, struct sim_fence **ready)
{
	struct chain *chain = link->chain;

	if (link == &chain->on_prev) {
		struct sim_fence *prev;

		pthread_mutex_lock(&chain->base.lock);
		prev = chain->prev;
		chain->prev = NULL;
		pthread_mutex_unlock(&chain->base.lock);
		sim_fence_put(prev);
	}
	if (atomic_fetch_sub(&chain->missing, 1) == 1)
		work_push(ready, &chain->base);
	else
		sim_fence_put(&chain->base);
}

static void call_back(struct sim_fence_cb *callbacks, struct sim_fence **ready)
{
	while (callbacks) {
		struct sim_fence_cb *cb = callbacks;

		callbacks = cb->next; /* before the call, which may free it */
		if (cb->fn == chain_link_fn)
			chain_link_done((struct chain_link *)cb, ready);
		else
			cb->fn(cb);
	}
}

static void settle_ready(struct sim_fence **ready)
{
	while (*ready) {
		struct sim_fence *fence = work_pop(ready);

		call_back(settle(fence, 0), ready);
		sim_fence_put(fence);
	}
}

void sim_fence_signal(struct sim_fence *fence, int error)
{
	struct sim_fence *ready = NULL;

	call_back(settle(fence, error), &ready);
	settle_ready(&ready);
}

/* Wire a point to one of the two fences it depends on. */
static void chain_arm(struct chain *chain, struct chain_link *link, struct sim_fence *fence, struct sim_fence **ready)
{
	link->cb.fn = chain_link_fn;
	link->chain = chain;
	sim_fence_get(&chain->base);
	if (!fence || sim_fence_add_callback(fence, &link->cb))
		chain_link_done(link, ready);
}

/* Number a point: kernel, dma_fence_chain_init(). Contexts need only differ along one chain. */
static void chain_number(struct chain *chain, struct chain *prev, uint64_t point)
{
	chain->point = point;
	chain->prev_point = 0;
	chain->context = 1;
	if (!prev)
		return;
	if (point > prev->point) {
		chain->context = prev->context;
		chain->prev_point = prev->point;
	} else {
		chain->context = prev->context + 1;
		chain->point = prev->point;
	}
}

struct sim_fence *sim_chain_create(struct sim_fence *prev, struct sim_fence *fence, uint64_t point)
{
	struct chain *chain = malloc(sizeof(*chain));
	struct sim_fence *ready = NULL;

	if (!chain)
		return NULL;
	fence_init(&chain->base, true, 1);
	chain_number(chain, to_chain(prev), point);
	chain->fence = sim_fence_get(fence);
	chain->prev = sim_fence_get(prev);
	atomic_init(&chain->missing, 2);
	/* @prev, not chain->prev: another thread may clear that as soon as it is armed. */
	chain_arm(chain, &chain->on_prev, prev, &ready);
	chain_arm(chain, &chain->on_fence, fence, &ready);
	settle_ready(&ready);
	return &chain->base;
}

static struct sim_fence *chain_get_prev(struct chain *chain)
{
	struct sim_fence *prev;

	pthread_mutex_lock(&chain->base.lock);
	prev = sim_fence_get(chain->prev);
	pthread_mutex_unlock(&chain->base.lock);
	return prev;
}

/* Has what the fence itself stands for signalled, whatever is before it? */
static bool payload_signaled(struct sim_fence *fence)
{
	struct chain *chain = to_chain(fence);

	return is_settled(chain ? chain->fence : fence);
}

/* From a point to the nearest older one whose own fence is pending; trades one reference for the other. */
static struct sim_fence *chain_walk(struct sim_fence *fence)
{
	struct sim_fence *prev = to_chain(fence) ? chain_get_prev(to_chain(fence)) : NULL;

	while (prev && payload_signaled(prev)) {
		struct sim_fence *older = to_chain(prev) ? chain_get_prev(to_chain(prev)) : NULL;

		sim_fence_put(prev);
		prev = older;
	}
	sim_fence_put(fence);
	return prev;
}

bool sim_fence_is_signaled(struct sim_fence *fence)
{
	struct sim_fence *pending;

	if (is_settled(fence))
		return true;
	if (!to_chain(fence) || !payload_signaled(fence))
		return false;
	pending = chain_walk(sim_fence_get(fence));
	sim_fence_put(pending);
	return !pending;
}

int sim_fence_status(struct sim_fence *fence)
{
	int status = atomic_load(&fence->status);

	/* A point carries no error of its own. */
	return status == 1 && fence->chained && sim_fence_is_signaled(fence) ? 0 : status;
}

int sim_chain_find(struct sim_fence *head, uint64_t point, struct sim_fence **ret_fence)
{
	struct chain *newest = to_chain(head), *chain;
	struct sim_fence *fence;

	if (point && (!newest || newest->point < point))
		return -EINVAL;
	fence = sim_fence_get(head);
	while (point && fence) {
		chain = to_chain(fence);
		if (!chain || chain->context != newest->context || chain->prev_point < point)
			break;
		fence = chain_walk(fence);
	}
	*ret_fence = fence;
	return 0;
}

uint64_t sim_chain_query(struct sim_fence *head, bool submitted)
{
	struct chain *newest = to_chain(head), *chain;
	struct sim_fence *fence;
	uint64_t context, point;

	if (!newest)
		return 0;
	context = newest->context;
	point = newest->point;
	if (submitted || sim_fence_is_signaled(head))
		return point;
	/* What has passed is what the oldest pending point of the newest context was put in front of. */
	for (fence = sim_fence_get(head); fence; fence = chain_walk(fence)) {
		chain = to_chain(fence);
		if (!chain || chain->context != context)
			break;
		point = chain->prev_point;
	}
	sim_fence_put(fence);
	return point;
}
