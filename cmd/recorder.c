/* SPDX-License-Identifier: MIT */
/*
 * The loop: events out of the rings, into order, to the sink; ends of processes; and when to sleep. record_listen.c
 * has the messages.
 */
#include "recorder.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "limit.h"
#include "recorder_private.h"

#define ROUND_EVENTS 512 /* of one ring, before the others have their turn */
#define BUSY_MS	     2	 /* between two looks at the rings while events come */
#define SLEEPY_NS    100000000

int64_t recorder_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* ---- Handing on ---- */

static int hand_on(struct recorder *r, const struct record_item *item)
{
	const struct record_event *event = &item->event;
	struct record_file *file;

	if (event->type == RECORDER_GONE) {
		record_files_process_gone(&r->files, item->process, event->start_ns, event->number);
		return 0;
	}
	if (event->type <= RECORD_GOT)
		return record_files_event(&r->files, item->process, event);
	file = record_files_get(&r->files, event->file);
	if (!file)
		return -ENOMEM;
	record_files_name(&r->files, file);
	r->last_call = event->number;
	r->summary.calls++;
	return r->sink.take(r->sink.data, item->process, file, event);
}

static int hand_on_all(struct recorder *r)
{
	struct record_item *item;
	int err = 0;

	while (err == 0 && (item = record_merge_next(&r->merge))) {
		err = hand_on(r, item);
		free(item);
	}
	return err;
}

static int hand_on_ended_files(struct recorder *r, int64_t now_ns)
{
	struct record_file *file;
	int err = 0;

	while (err == 0 && (file = record_files_over(&r->files, now_ns, r->last_call)))
		err = r->sink.take(r->sink.data, NULL, file, NULL);
	return err;
}

/* ---- Out of the rings ---- */

/* What cannot be put into order says something that no program of ours says. */
static int put_in_order(struct recorder *r, struct recorder_ring *ring, struct record_item *item)
{
	int err;

	item->process = ring->process;
	err = record_merge_add(&r->merge, item);
	if (err == 0)
		return 0;
	free(item);
	r->summary.damaged++;
	return err == -ENOMEM ? err : 0;
}

/* @most: events; returns how many there were, or -ENOMEM. */
static int read_ring(struct recorder *r, struct recorder_ring *ring, int most)
{
	int count = 0, err;
	struct record_item *item;

	for (; count < most && (item = record_source_next(ring->source, &err)); count++)
		if (put_in_order(r, ring, item) < 0)
			return -ENOMEM;
	if (count < most && err < 0)
		r->summary.damaged++;
	return count;
}

static void drop_ring(struct recorder *r, size_t index)
{
	record_source_close(r->rings[index].source);
	r->rings[index] = r->rings[--r->ring_count];
}

int recorder_read_all(struct recorder *r)
{
	int total = 0, count = 0;

	for (size_t i = 0; i < r->ring_count; i++) {
		bool closed = record_source_closed(r->rings[i].source); /* before the last look */

		count = read_ring(r, &r->rings[i], ROUND_EVENTS);
		if (count < 0)
			return count;
		total += count;
		if (closed && count == 0)
			drop_ring(r, i--);
	}
	return total;
}

/* Nobody alive can bring the number that everything waits for: whoever took it died over it. */
static int pass_over_lost_number(struct recorder *r)
{
	int count;

	if (r->hearing || !record_merge_waits(&r->merge))
		return 0;
	recorder_wait(r, 0); /* it may be in a ring that we have not been told of yet */
	for (size_t i = 0; i < r->ring_count; i++)
		if (record_source_counting(r->rings[i].source))
			return 0;
	/* To the end of what they held then: only this can say that it is in none of them. */
	for (size_t i = 0; i < r->ring_count; i++) {
		count = read_ring(r, &r->rings[i], INT_MAX);
		if (count < 0)
			return count;
	}
	if (record_merge_waits(&r->merge))
		record_merge_skip(&r->merge);
	return 0;
}

int recorder_move(struct recorder *r)
{
	int count = recorder_read_all(r), err;

	if (count < 0)
		return count;
	err = hand_on_all(r);
	if (err == 0)
		err = pass_over_lost_number(r);
	if (err == 0)
		err = hand_on_all(r);
	return err < 0 ? err : count;
}

/* ---- The end of a program ---- */

static uint64_t take_number(struct recorder *r)
{
	return atomic_fetch_add(&r->shared->number, 1) + 1;
}

/* What it was at when it died, behind everything else it did. */
static int end_ring(struct recorder *r, struct recorder_ring *ring)
{
	struct record_item *item;
	int count;

	do {
		count = read_ring(r, ring, ROUND_EVENTS);
	} while (count > 0);
	if (count < 0)
		return count;
	item = record_source_unfinished(ring->source);
	if (!item)
		return 0;
	if (item->event.number == 0)
		item->event.number = take_number(r);
	item->event.err = 0;
	return put_in_order(r, ring, item);
}

int recorder_end_process(struct recorder *r, struct record_process *process)
{
	struct record_item *gone;

	for (size_t i = 0; i < r->ring_count; i++) {
		if (r->rings[i].process != process)
			continue;
		if (end_ring(r, &r->rings[i]) < 0)
			return -ENOMEM;
		drop_ring(r, i--);
	}
	process->ended = true;
	gone = calloc(1, sizeof(*gone));
	if (!gone)
		return -ENOMEM;
	gone->process = process;
	gone->event =
		(struct record_event){.type = RECORDER_GONE, .number = take_number(r), .start_ns = recorder_now_ns()};
	return record_merge_add(&r->merge, gone);
}

/* Their last words first: a ring may have been handed over just before. */
static int end_dead(struct recorder *r)
{
	int err = 0;

	for (size_t i = 0; i < r->files.process_count && err == 0; i++) {
		struct record_process *process = r->files.processes[i];

		if (process->ended || !recorder_is_dead(r, i))
			continue;
		recorder_wait(r, 0);
		err = recorder_end_process(r, process);
	}
	return err;
}

static bool some_run(const struct recorder *r)
{
	for (size_t i = 0; i < r->files.process_count; i++)
		if (!r->files.processes[i]->ended)
			return true;
	return false;
}

/* ---- Waiting ---- */

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Programs ring the bell only while we say that we sleep, so that most of their calls cost no system call. */
static int how_long(struct recorder *r, int count, int tend_ms)
{
	int64_t now_ns = recorder_now_ns();
	int limit_ms = shorter(tend_ms, record_files_waiting(&r->files) ? 50 : -1);

	if (count > 0) {
		r->busy_ns = now_ns;
		atomic_store(&r->shared->asleep, 0);
		return count >= ROUND_EVENTS ? 0 : BUSY_MS;
	}
	if (now_ns - r->busy_ns < SLEEPY_NS || r->merge.count > 0)
		return BUSY_MS;
	if (!atomic_exchange(&r->shared->asleep, 1)) {
		atomic_thread_fence(memory_order_seq_cst);
		return 0; /* look once more: somebody may have written before seeing it */
	}
	return limit_ms;
}

/* It is left for the caller to reap. */
static bool has_ended(struct recorder *r, pid_t child)
{
	siginfo_t info = {0};

	if (!r->child_ended && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
		r->child_ended = true;
		recorder_watch(r, 0);
	}
	return r->child_ended;
}

static int round_trip(struct recorder *r, int *ret_count)
{
	int err = end_dead(r), count;

	if (err < 0)
		return err;
	count = recorder_move(r);
	if (count < 0)
		return count;
	*ret_count = count;
	return r->merge.count ? 0 : hand_on_ended_files(r, recorder_now_ns());
}

static int loop(struct recorder *r, pid_t child)
{
	int count = 0, err;

	for (;;) {
		err = round_trip(r, &count);
		if (err < 0 || limit_reached())
			return err;
		if (!has_ended(r, child) || some_run(r) || count > 0 || r->visitor_count > 0)
			recorder_wait(r, how_long(r, count, r->sink.tend(r->sink.data)));
		else if (!recorder_wait(r, 0))
			return 0;
	}
}

/* Everything that was written before they knew that nobody reads on. */
static int finish(struct recorder *r)
{
	int err = 0, count;

	atomic_store(&r->shared->gone, 1);
	do {
		count = recorder_move(r);
	} while (count > 0);
	for (size_t i = 0; i < r->ring_count && count == 0; i++)
		count = end_ring(r, &r->rings[i]);
	if (count < 0)
		return count;
	while (record_merge_waits(&r->merge))
		record_merge_skip(&r->merge);
	err = hand_on_all(r);
	while (err == 0 && r->merge.count) {
		record_merge_skip(&r->merge);
		err = hand_on_all(r);
	}
	return err < 0 ? err : hand_on_ended_files(r, INT64_MAX);
}

int recorder_run(struct recorder *r, pid_t child)
{
	int err, ended;

	recorder_watch(r, child);
	err = loop(r, child);
	atomic_store(&r->shared->gone, 1);
	r->summary.processes = r->files.process_count;
	ended = err < 0 ? 0 : finish(r);
	r->summary.missed = atomic_load(&r->shared->missed);
	return err < 0 ? err : ended;
}

struct recorder_summary recorder_summary(const struct recorder *r)
{
	return r->summary;
}
