/* SPDX-License-Identifier: MIT */
/* See record_ring.h. */
#include "record_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct record_source {
	struct record_ring *ring;
	const char *data;
	size_t header;
	uint64_t size, tail;
	bool broken;
};

static bool is_power_of_two(uint64_t value)
{
	return value && (value & (value - 1)) == 0;
}

static int map(int fd, size_t header, uint64_t size, struct record_source *source)
{
	size_t first = header + size;
	char *at = mmap(NULL, first + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	if (mmap(at, first, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(at + first, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)header) == MAP_FAILED) {
		int err = -errno;

		munmap(at, first + size);
		return err;
	}
	source->ring = (struct record_ring *)at;
	source->data = at + header;
	source->header = header;
	source->size = size;
	return 0;
}

/* The file must not become shorter below us: reading it would be a SIGBUS. */
int record_source_open(int fd, struct record_source **ret_source)
{
	const size_t header = record_ring_header();
	struct record_source *source;
	struct stat st;
	int err;

	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0 || fstat(fd, &st) < 0)
		return -EINVAL;
	if (st.st_size <= (off_t)header || !is_power_of_two((uint64_t)st.st_size - header) ||
	    (uint64_t)st.st_size - header > RECORD_RING_MAX)
		return -EINVAL;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	err = map(fd, header, (uint64_t)st.st_size - header, source);
	if (!source->ring) {
		free(source);
		return err;
	}
	if (source->ring->magic != RECORD_MAGIC || source->ring->version != RECORD_VERSION) {
		record_source_close(source);
		return -EINVAL;
	}
	*ret_source = source;
	return 0;
}

void record_source_close(struct record_source *source)
{
	if (!source)
		return;
	munmap(source->ring, source->header + 2 * source->size);
	free(source);
}

static bool has_ops(const struct record_event *event)
{
	return event->type == RECORD_VM_BIND || event->type == RECORD_GROUP_SUBMIT;
}

/* What the type says must fit into what the event says is there. */
static bool is_whole(const struct record_event *event, uint64_t there)
{
	uint64_t size = sizeof(*event);

	if (event->size < sizeof(*event) || event->size > there || event->size % 8 || event->type == 0 ||
	    event->type >= RECORD_TYPES)
		return false;
	if (event->marks & (RECORD_CUT | RECORD_UNREAD))
		return true;
	if (has_ops(event))
		size += event->count * sizeof(struct record_op) + event->sync_count * sizeof(struct record_sync);
	else if (event->type == RECORD_BO_LABEL)
		size += event->count;
	else if (event->type >= RECORD_SYNCOBJ_RESET && event->type <= RECORD_SYNCOBJ_WAIT)
		size += event->count * sizeof(struct record_point);
	return size <= event->size;
}

/* The syncs of an op must be among those of the event. */
static bool fits(const struct record_event *event)
{
	const struct record_op *ops = (const struct record_op *)(event + 1);

	if (!has_ops(event) || event->marks & (RECORD_CUT | RECORD_UNREAD))
		return true;
	for (uint32_t i = 0; i < event->count; i++)
		if ((uint64_t)ops[i].first_sync + ops[i].sync_count > event->sync_count)
			return false;
	return true;
}

/* A copy of the event at the tail, of which @there bytes may be read. */
static struct record_item *copy(const struct record_source *source, uint64_t there)
{
	const struct record_event *event = (const struct record_event *)(source->data + source->tail % source->size);
	uint32_t size = __atomic_load_n(&event->size, __ATOMIC_RELAXED);
	struct record_item *item;

	if (size < sizeof(*event) || size > there)
		return NULL;
	item = malloc(offsetof(struct record_item, event) + size);
	if (!item)
		return NULL;
	item->process = NULL;
	memcpy(&item->event, event, size);
	item->event.size = size;
	if (is_whole(&item->event, there) && fits(&item->event))
		return item;
	free(item);
	return NULL;
}

/* Not before the tail is there for all to see: who looked at it too early must be seen waiting here. */
static void wake(struct record_ring *ring)
{
	if (atomic_load(&ring->waiting) && atomic_exchange(&ring->waiting, 0))
		syscall(SYS_futex, &ring->waiting, FUTEX_WAKE, 1, NULL, NULL, 0);
}

struct record_item *record_source_next(struct record_source *source, int *ret_err)
{
	uint64_t head = atomic_load_explicit(&source->ring->head, memory_order_acquire);
	struct record_item *item;

	*ret_err = 0;
	if (source->broken || head == source->tail)
		return NULL;
	if (head - source->tail > source->size) {
		source->broken = true;
		*ret_err = -EBADMSG;
		return NULL;
	}
	item = copy(source, head - source->tail);
	if (!item) {
		source->broken = true;
		*ret_err = -EBADMSG;
		return NULL;
	}
	source->tail += item->event.size;
	atomic_store(&source->ring->tail, source->tail);
	wake(source->ring);
	return item;
}

struct record_item *record_source_unfinished(struct record_source *source)
{
	struct record_item *item;

	if (source->broken || !atomic_load(&source->ring->begun))
		return NULL;
	item = copy(source, source->size);
	if (item)
		item->event.marks |= RECORD_UNFINISHED;
	source->broken = true;
	return item;
}

bool record_source_counting(const struct record_source *source)
{
	return !source->broken && atomic_load(&source->ring->counting);
}

bool record_source_closed(const struct record_source *source)
{
	return source->broken || atomic_load(&source->ring->closed);
}
