/* SPDX-License-Identifier: MIT */
/*
 * Fds that stand for a fence (a sync file) or for a syncobj.
 *
 * The kernel makes anonymous inodes for these. The nearest thing that a process can make itself is one end of a socket
 * pair: it has a cookie that no other socket ever has, it survives dup(2) and being passed around, it becomes readable
 * when the fence signals and a byte is sent, and the other end, which is kept here, tells by POLLHUP when the program
 * has closed its last copy. It answers no SYNC_IOC_FILE_INFO itself; sim_sync_file_status() does, and sim_sync_info.c
 * for programs whose ioctl() leads there.
 *
 * The registry is the one static variable of the simulator, because the table of fds that it annotates is one per
 * process too: a fence exported from one open file can be imported into any other. Entries of closed fds are swept out
 * as new ones come and when an open file goes.
 */
#include "sim_sync_private.h"
#include "sim_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sweep when there are this many, then at twice what is left: the cost of a sweep stays constant for each export. */
#define SWEEP_MIN 64u

struct entry {
	struct sim_fence_cb cb;
	struct entry *next;
	atomic_uint refs; /* the list's, and the callback's until the fence signals */
	uint64_t cookie;
	int fd; /* our end */
	char name[SIM_SYNC_NAME];
	struct sim_fence *fence; /* one of the two */
	struct sim_syncobj *syncobj;
};

static struct {
	pthread_mutex_t lock;
	struct entry *entries;
	unsigned int count, sweep_at;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .sweep_at = SWEEP_MIN};

static void entry_put(struct entry *entry)
{
	if (atomic_fetch_sub(&entry->refs, 1) != 1)
		return;
	close(entry->fd);
	sim_fence_put(entry->fence);
	sim_syncobj_put(entry->syncobj);
	free(entry);
}

static void entry_signal(struct sim_fence_cb *cb)
{
	struct entry *entry = (struct entry *)cb;

	send(entry->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* fails when nobody is left to see it */
	entry_put(entry);
}

static bool is_closed(const struct entry *entry)
{
	struct pollfd poll_fd = {.fd = entry->fd};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP);
}

/* Unlink what the program has closed; under the lock. The list of it is returned, to be put without the lock. */
static struct entry *sweep_locked(void)
{
	struct entry **link = &registry.entries, *closed = NULL;

	while (*link) {
		struct entry *entry = *link;

		if (!is_closed(entry)) {
			link = &entry->next;
			continue;
		}
		*link = entry->next;
		entry->next = closed;
		closed = entry;
		registry.count--;
	}
	registry.sweep_at = registry.count * 2 > SWEEP_MIN ? registry.count * 2 : SWEEP_MIN;
	return closed;
}

static void put_all(struct entry *entry)
{
	while (entry) {
		struct entry *next = entry->next;

		entry_put(entry);
		entry = next;
	}
}

void sim_files_sweep(void)
{
	struct entry *closed;

	pthread_mutex_lock(&registry.lock);
	closed = sweep_locked();
	pthread_mutex_unlock(&registry.lock);
	put_all(closed);
}

static void registry_add(struct entry *entry)
{
	struct entry *closed = NULL;

	pthread_mutex_lock(&registry.lock);
	if (registry.count >= registry.sweep_at)
		closed = sweep_locked();
	entry->next = registry.entries;
	registry.entries = entry;
	registry.count++;
	pthread_mutex_unlock(&registry.lock);
	put_all(closed);
}

/*
 * 0 when the fd is no socket, which no cookie is. Where sockets have none (qemu-user knows no SO_COOKIE) their inodes'
 * numbers do: they come again only after four thousand million others.
 */
static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	struct stat st;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0)
		return cookie;
	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* NULL with the errno in *ret_error. */
static struct entry *entry_create(int *ret_fd, int *ret_error)
{
	struct entry *entry;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)) {
		*ret_error = -errno;
		return NULL;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		close(fds[0]);
		close(fds[1]);
		*ret_error = -ENOMEM;
		return NULL;
	}
	atomic_init(&entry->refs, 1);
	entry->cookie = cookie_of(fds[0]);
	entry->fd = fds[1];
	sim_user_name_sync(fds[0], fds[1], entry->cookie);
	*ret_fd = fds[0];
	return entry;
}

/* Closed but not yet swept entries hold fds too, so being out of them is worth a second try. */
static struct entry *entry_create_or_sweep(int *ret_fd, int *ret_error)
{
	struct entry *entry = entry_create(ret_fd, ret_error);

	if (entry || (*ret_error != -EMFILE && *ret_error != -ENFILE))
		return entry;
	sim_files_sweep();
	return entry_create(ret_fd, ret_error);
}

int sim_file_export_fence(struct sim_fence *fence, const char *name, int *ret_fd)
{
	int ret = 0;
	struct entry *entry = entry_create_or_sweep(ret_fd, &ret);

	if (!entry)
		return ret;
	snprintf(entry->name, sizeof(entry->name), "%s", name ? name : "panthor-vm-bind");
	entry->fence = sim_fence_get(fence);
	entry->cb.fn = entry_signal;
	atomic_fetch_add(&entry->refs, 1);
	registry_add(entry);
	if (sim_fence_add_callback(fence, &entry->cb))
		entry_signal(&entry->cb);
	return 0;
}

int sim_file_export_syncobj(struct sim_syncobj *syncobj, int *ret_fd)
{
	int ret = 0;
	struct entry *entry = entry_create_or_sweep(ret_fd, &ret);

	if (!entry)
		return ret;
	entry->syncobj = sim_syncobj_get(syncobj);
	registry_add(entry);
	return 0;
}

/* Call @take with the entry of a cookie, under the lock, so that the entry cannot go meanwhile. */
static void with_entry(uint64_t cookie, void (*take)(struct entry *entry, void *data), void *data)
{
	struct entry *entry;

	if (!cookie)
		return;
	pthread_mutex_lock(&registry.lock);
	for (entry = registry.entries; entry && entry->cookie != cookie; entry = entry->next)
		;
	if (entry)
		take(entry, data);
	pthread_mutex_unlock(&registry.lock);
}

static void take_fence(struct entry *entry, void *ret_fence)
{
	*(struct sim_fence **)ret_fence = sim_fence_get(entry->fence);
}

static void take_syncobj(struct entry *entry, void *ret_syncobj)
{
	if (entry->syncobj)
		*(struct sim_syncobj **)ret_syncobj = sim_syncobj_get(entry->syncobj);
}

struct sim_fence *sim_file_fence(int fd)
{
	struct sim_fence *fence = NULL;

	with_entry(cookie_of(fd), take_fence, &fence);
	return fence;
}

struct sim_syncobj *sim_file_syncobj(int fd)
{
	struct sim_syncobj *syncobj = NULL;

	with_entry(cookie_of(fd), take_syncobj, &syncobj);
	return syncobj;
}

static void take_named(struct entry *entry, void *ret_named)
{
	struct sim_named_fence *named = ret_named;

	named->fence = sim_fence_get(entry->fence);
	memcpy(named->name, entry->name, sizeof(named->name));
}

int sim_file_find(uint64_t cookie, struct sim_named_fence *ret_named)
{
	struct sim_named_fence named = {0};

	with_entry(cookie, take_named, &named);
	if (!named.fence)
		return -EBADF;
	*ret_named = named;
	return 0;
}

int sim_sync_cookie_status(uint64_t cookie, int *ret_status)
{
	struct sim_named_fence named;
	int ret = sim_file_find(cookie, &named);

	if (ret)
		return ret;
	*ret_status = sim_fence_status(named.fence);
	sim_fence_put(named.fence);
	return 0;
}

int sim_sync_file_status(int fd, int *ret_status)
{
	struct sim_fence *fence = sim_file_fence(fd);

	if (!fence)
		return fcntl(fd, F_GETFD) < 0 ? -EBADF : -EINVAL;
	*ret_status = sim_fence_status(fence);
	sim_fence_put(fence);
	return 0;
}
