/* SPDX-License-Identifier: MIT */
/*
 * The rings of this thread: one for calls of the thread itself, more for calls that signal handlers make while one of
 * those is under way. record_wire.h says how a ring works.
 *
 * A ring is not there in a forked child (MADV_DONTFORK); what a child knows of it is forgotten, since the image that
 * the thread remembers is not the process's any more.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

#define DEPTH  4
#define NAP_NS 20000000 /* between two looks at whether the recorder that does not read is still there */

static __thread struct {
	uint64_t image; /* whose rings these are */
	uint64_t count; /* of events */
	int depth;	/* events under way */
	int32_t tid;
	struct record_ring *rings[DEPTH];
} thread;

static pthread_key_t at_exit;

static char *data_of(struct record_ring *ring)
{
	return (char *)ring + ring->header;
}

static void discard(struct record_ring *ring)
{
	size_t size = ring->header + 2 * ring->size;

	atomic_store(&ring->closed, 1);
	munmap(ring, size);
}

static void thread_ends(void *unused)
{
	(void)unused;
	for (int i = 0; i < DEPTH && thread.image == record_image(); i++)
		if (thread.rings[i])
			discard(thread.rings[i]);
	memset(&thread, 0, sizeof(thread));
}

void ring_start(void)
{
	pthread_key_create(&at_exit, thread_ends);
}

void ring_missed(void)
{
	struct record_shared *shared = record_shared();

	if (shared)
		atomic_fetch_add(&shared->missed, 1);
}

/* ---- Making one ---- */

static struct record_ring *map_ring(int fd, size_t header, uint64_t size)
{
	size_t first = header + size;
	char *at = (char *)syscall(SYS_mmap, NULL, first + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);

	if (at == MAP_FAILED)
		return NULL;
	/* All of it at once, while a ring is made: later each new page would cost a bind more than all else does. */
	if ((char *)syscall(SYS_mmap, at, first, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED | (size == RECORD_RING_SIZE ? MAP_POPULATE : 0), fd, 0L) != at ||
	    (char *)syscall(SYS_mmap, at + first, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			    (long)header) != at + first) {
		munmap(at, first + size);
		return NULL;
	}
	madvise(at, first + size, MADV_DONTFORK);
	return (struct record_ring *)at;
}

static struct record_ring *make_ring(uint64_t size)
{
	int fd = (int)syscall(SYS_memfd_create, "panbind-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct record_ring *ring = NULL;
	size_t header = record_ring_header();

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)(header + size)) == 0)
		ring = map_ring(fd, header, size);
	if (ring) {
		ring->magic = RECORD_MAGIC;
		ring->version = RECORD_VERSION;
		ring->size = size;
		ring->header = header;
		if (!link_ring(fd, record_image(), thread.tid)) {
			discard(ring);
			ring = NULL;
		}
	}
	syscall(SYS_close, fd);
	return ring;
}

static uint64_t size_for(size_t event)
{
	uint64_t size = RECORD_RING_SIZE;

	while (size < 2 * (uint64_t)event && size <= RECORD_RING_MAX)
		size *= 2;
	return size;
}

/* ---- Room ---- */

/* The recorder does not keep up, or stands still: so do we, as long as it is there. */
static bool wait_for_room(struct record_ring *ring, uint64_t head, size_t size)
{
	const struct timespec nap = {0, NAP_NS};

	while (head + size - atomic_load(&ring->tail) > ring->size) {
		struct record_shared *shared = record_shared();

		if (!shared)
			return false;
		atomic_store(&ring->waiting, 1);
		if (head + size - atomic_load(&ring->tail) <= ring->size)
			break;
		link_bell(record_image());
		if (!record_shared())
			return false;
		syscall(SYS_futex, &ring->waiting, FUTEX_WAIT, 1, &nap, NULL, 0);
	}
	return true;
}

/* Rings of a process that this one was forked from are not ours. */
static void look_at_image(void)
{
	if (thread.image == record_image())
		return;
	memset(&thread, 0, sizeof(thread));
	thread.image = record_image();
	thread.tid = (int32_t)syscall(SYS_gettid);
	pthread_setspecific(at_exit, &thread);
}

/* Calls that never came back since a handler jumped out of them. */
static void abandon_all(void)
{
	while (thread.depth > 0) {
		struct record_ring *ring = thread.rings[--thread.depth];
		uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
		struct record_event *event = (struct record_event *)(data_of(ring) + head % ring->size);

		if (!atomic_load(&ring->begun))
			continue;
		event->marks |= RECORD_UNFINISHED;
		thread.depth++;
		ring_end(event, event->number != 0);
	}
}

static struct record_ring *ring_for(size_t size)
{
	struct record_ring **ring = &thread.rings[thread.depth];

	if (*ring && (*ring)->size >= 2 * (uint64_t)size)
		return *ring;
	if (size_for(size) > RECORD_RING_MAX)
		return NULL;
	if (*ring)
		discard(*ring);
	*ring = make_ring(size_for(size));
	return *ring;
}

struct record_event *ring_room(size_t size)
{
	struct record_event *event;
	struct record_ring *ring;
	struct timespec now;
	uint64_t head;

	look_at_image();
	if (thread.depth == DEPTH)
		abandon_all();
	ring = ring_for(size);
	if (!ring) {
		ring_missed();
		return NULL;
	}
	head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (!wait_for_room(ring, head, size))
		return NULL;
	clock_gettime(CLOCK_MONOTONIC, &now);
	event = (struct record_event *)(data_of(ring) + head % ring->size);
	*event = (struct record_event){.size = (uint32_t)size,
				       .start_ns = now.tv_sec * 1000000000L + now.tv_nsec,
				       .tid = thread.tid};
	return event;
}

/* ---- The event ---- */

static struct record_ring *current(void)
{
	return thread.depth > 0 && thread.image == record_image() ? thread.rings[thread.depth - 1] : NULL;
}

static void take_number(struct record_ring *ring, struct record_event *event)
{
	struct record_shared *shared = record_shared();

	atomic_store(&ring->counting, 1);
	if (shared)
		event->number = atomic_fetch_add(&shared->number, 1) + 1;
}

void ring_begin(struct record_event *event, bool counted)
{
	struct record_ring *ring = thread.rings[thread.depth++];

	event->thread_number = ++thread.count;
	if (counted)
		take_number(ring, event);
	atomic_store_explicit(&ring->begun, 1, memory_order_release);
}

static void publish(struct record_ring *ring, const struct record_event *event)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	atomic_store_explicit(&ring->begun, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->head, head + event->size, memory_order_release);
	atomic_store_explicit(&ring->counting, 0, memory_order_release);
}

void ring_end(struct record_event *event, bool counted)
{
	struct record_ring *ring = current();
	struct record_shared *shared = record_shared();
	struct timespec now;

	if (!ring)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	event->duration_ns = (uint64_t)(now.tv_sec * 1000000000L + now.tv_nsec - event->start_ns);
	if (!counted)
		take_number(ring, event);
	publish(ring, event);
	thread.depth--;
	atomic_thread_fence(memory_order_seq_cst);
	if (shared && atomic_load_explicit(&shared->asleep, memory_order_relaxed) &&
	    atomic_exchange(&shared->asleep, 0))
		link_bell(record_image());
}

void ring_drop(void)
{
	struct record_ring *ring = current();

	if (!ring)
		return;
	atomic_store(&ring->begun, 0);
	atomic_store(&ring->counting, 0);
	thread.depth--;
}
