/* SPDX-License-Identifier: MIT */
/*
 * Which open file an fd is: a number that stays the same through dup(), fork(), exec() and SCM_RIGHTS.
 *
 * A node that is opened gets the next number. A simulated one has a name, by which everybody knows it; about one that
 * comes from elsewhere the recorder is asked, which compares it with what other processes hold.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"
#include "record.h"

#define FILES	  (1u << 20) /* fds with a place in the table; as much as Linux allows by default */
#define SIMULATED (1ull << 63)

/* Only the pages that are touched cost memory. */
static _Atomic uint64_t files[FILES];
static _Atomic int highest = -1; /* fd that was ever used */

static bool has_place(int fd)
{
	return fd >= 0 && (unsigned)fd < FILES;
}

static uint64_t known(int fd)
{
	return has_place(fd) ? atomic_load_explicit(&files[fd], memory_order_relaxed) : 0;
}

static void set(int fd, uint64_t file)
{
	int seen = atomic_load(&highest);

	if (!has_place(fd))
		return;
	atomic_store_explicit(&files[fd], file, memory_order_relaxed);
	while (file && fd > seen && !atomic_compare_exchange_weak(&highest, &seen, fd))
		;
}

/* ---- Events ---- */

static void tell(enum record_event_type type, int fd, uint64_t file, bool ends)
{
	struct record_event *event = record_shared() ? ring_room(sizeof(*event)) : NULL;

	if (!event)
		return;
	event->type = (uint16_t)type;
	event->fd = fd;
	event->file = file;
	ring_begin(event, ends);
	ring_end(event, ends);
}

static void hold(int fd, uint64_t file)
{
	set(fd, file);
	tell(RECORD_HELD, fd, file, false);
}

/* ---- Identities ---- */

/* A simulated file has an identity of its own: 0 for what has none. */
static uint64_t name_of(int fd)
{
	struct node_id id;

	if (core_node(fd, &id) != CORE_SIMULATED)
		return 0;
	return (id.node * 0x9e3779b97f4a7c15ull ^ id.file) | SIMULATED;
}

static uint64_t new_identity(int fd)
{
	uint64_t file = name_of(fd);
	struct record_shared *shared = record_shared();

	return file || !shared ? file : atomic_fetch_add(&shared->file, 1) + 1;
}

static uint64_t find_out(int fd)
{
	uint64_t file = name_of(fd);

	if (!file)
		file = link_which(fd, record_image());
	return file ? file : new_identity(fd);
}

uint64_t file_of(int fd)
{
	uint64_t file = known(fd);

	if (file)
		return file;
	file = find_out(fd);
	hold(fd, file);
	return file;
}

/* ---- What happens to descriptors ---- */

void file_opened(int fd)
{
	hold(fd, new_identity(fd));
}

void file_duplicated(int from, int to)
{
	uint64_t file = known(from);

	if (file && to != from)
		hold(to, file);
	else if (!file)
		set(to, 0);
}

void file_received(int fd)
{
	uint64_t file = find_out(fd);

	hold(fd, file);
	tell(RECORD_GOT, fd, file, false);
}

void file_sending(int fd)
{
	uint64_t file = known(fd);

	if (file)
		tell(RECORD_SENT, fd, file, true);
}

static void closing(int fd)
{
	uint64_t file = known(fd);

	if (!file)
		return;
	set(fd, 0);
	tell(RECORD_CLOSED, fd, file, true);
}

void file_closing_range(unsigned int first, unsigned int last)
{
	int most = atomic_load_explicit(&highest, memory_order_relaxed);

	for (int64_t fd = first; fd <= last && fd <= most; fd++)
		closing((int)fd);
}

void file_inherited(void)
{
	int most = atomic_load(&highest);

	for (int fd = 0; fd <= most; fd++)
		if (known(fd))
			tell(RECORD_HELD, fd, known(fd), false);
}

/* ---- At the start: what exec() left open ---- */

struct dir_entry { /* as getdents64() writes it */
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

static void look_at(const char *name)
{
	int fd = (int)strtol(name, NULL, 10);

	if (*name >= '0' && *name <= '9' && core_is_node(fd) && !known(fd))
		file_of(fd);
}

void file_scan(void)
{
	int dir = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char room[2048] __attribute__((aligned(8)));
	long size;

	if (dir < 0)
		return;
	while ((size = syscall(SYS_getdents64, dir, room, sizeof(room))) > 0)
		for (long at = 0; at < size; at += ((struct dir_entry *)(room + at))->size)
			look_at(((struct dir_entry *)(room + at))->name);
	syscall(SYS_close, dir);
}
