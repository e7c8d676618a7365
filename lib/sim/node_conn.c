/* SPDX-License-Identifier: MIT */
/*
 * Connections of a thread to the servers of simulated nodes.
 *
 * A record for each thread, from a list that only grows; threads take and give back records without a lock, since a
 * signal handler may come between any two instructions. A handler that calls while its thread is in a call finds that
 * connection busy and takes another.
 *
 * Fds that the program has not made are marked in a bitmap, so that the preload can keep the program's close() and
 * dup2() away from them. One that was lost all the same is seen by its missing mark, and made anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "node_client.h"

/* So many servers at a time, or calls within each other, for one thread. */
#define CONNS_OF_THREAD 6u
#define THREADS_OF_PAGE 24u
/* Fd numbers that can be marked; above them nothing is kept from the program. */
#define HIDDEN_MAX	65536u
/* Where hidden fds start, unless the limit of fds is lower: high, but the kernel's table grows with it. */
#define HIDDEN_START	3840u
#define HIDDEN_SPAN	256u

#define WORD_BITS (8 * sizeof(unsigned long))

struct thread {
	atomic_bool taken;
	struct node_conn conns[CONNS_OF_THREAD];
};

struct page {
	struct page *_Atomic next;
	struct thread threads[THREADS_OF_PAGE];
};

static struct {
	struct page first;
	atomic_ulong hidden[HIDDEN_MAX / WORD_BITS];
	pthread_once_t once;
	pthread_key_t key;
	bool has_key;
	unsigned char *in_child; /* a byte that is 1 here and 0 in every child, however it was made; NULL: none */
} state = {.once = PTHREAD_ONCE_INIT};

static __thread struct thread *mine;

/* ---- Hidden fds ---- */

static void set_hidden(int fd, bool hidden)
{
	unsigned long bit = 1ul << (unsigned int)fd % WORD_BITS;

	if ((unsigned int)fd >= HIDDEN_MAX)
		return;
	if (hidden)
		atomic_fetch_or(&state.hidden[(unsigned int)fd / WORD_BITS], bit);
	else
		atomic_fetch_and(&state.hidden[(unsigned int)fd / WORD_BITS], ~bit);
}

bool node_fd_is_hidden(int fd)
{
	if ((unsigned int)fd >= HIDDEN_MAX)
		return false;
	return atomic_load_explicit(&state.hidden[(unsigned int)fd / WORD_BITS], memory_order_relaxed) >>
		       ((unsigned int)fd % WORD_BITS) &
	       1;
}

int node_fd_next_hidden(unsigned int first, unsigned int last)
{
	for (unsigned int fd = first; fd <= last && fd < HIDDEN_MAX; fd++) {
		unsigned long word = atomic_load(&state.hidden[fd / WORD_BITS]) >> (fd % WORD_BITS);

		if (!word) {
			fd |= WORD_BITS - 1;
			continue;
		}
		fd += (unsigned int)__builtin_ctzl(word);
		return fd <= last ? (int)fd : -1;
	}
	return -1;
}

static int first_hidden(void)
{
	struct rlimit limit;

	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) || limit.rlim_cur > HIDDEN_START + HIDDEN_SPAN)
		return HIDDEN_START;
	return limit.rlim_cur > HIDDEN_SPAN ? (int)(limit.rlim_cur - HIDDEN_SPAN) : (int)limit.rlim_cur / 2;
}

int node_fd_hide(int fd)
{
	long high = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, first_hidden());

	if (high >= 0) {
		syscall(SYS_close, fd);
		fd = (int)high;
	} else {
		syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	}
	set_hidden(fd, true);
	return fd;
}

void node_fd_close(int fd)
{
	set_hidden(fd, false);
	syscall(SYS_close, fd);
}

void node_fd_lost(int fd)
{
	set_hidden(fd, false);
}

/* ---- Records of threads ---- */

static void drop_conns(struct thread *thread)
{
	for (unsigned int i = 0; i < CONNS_OF_THREAD; i++) {
		struct node_conn *conn = &thread->conns[i];

		if (conn->node && node_fd_is_hidden(conn->fd))
			node_fd_close(conn->fd);
		*conn = (struct node_conn){0};
	}
}

static void thread_ends(void *arg)
{
	struct thread *thread = arg;

	mine = NULL;
	drop_conns(thread);
	atomic_store(&thread->taken, false);
}

/* The connections are still the parent's: its server must not hear two processes on one of them. */
static void forked(void)
{
	for (struct page *page = &state.first; page; page = atomic_load(&page->next)) {
		for (unsigned int i = 0; i < THREADS_OF_PAGE; i++) {
			struct thread *thread = &page->threads[i];

			if (!atomic_load(&thread->taken))
				continue;
			drop_conns(thread);
			if (thread != mine)
				atomic_store(&thread->taken, false);
		}
	}
	if (state.in_child)
		*state.in_child = 1;
}

static void set_up(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	state.has_key = pthread_key_create(&state.key, thread_ends) == 0;
	pthread_atfork(NULL, NULL, forked);
	if (page == MAP_FAILED)
		return;
	if (madvise(page, 4096, MADV_WIPEONFORK)) {
		munmap(page, 4096);
		return;
	}
	state.in_child = page;
	*state.in_child = 1;
}

/* A library that goes must not leave the address of a function of its own behind. */
__attribute__((destructor)) static void tear_down(void)
{
	if (state.has_key)
		pthread_key_delete(state.key);
}

static struct thread *take_from(struct page *page)
{
	for (unsigned int i = 0; i < THREADS_OF_PAGE; i++) {
		bool taken = false;

		if (atomic_compare_exchange_strong(&page->threads[i].taken, &taken, true))
			return &page->threads[i];
	}
	return NULL;
}

/* A page behind @page; somebody else may have put one there first. */
static struct page *next_page(struct page *page)
{
	struct page *next = atomic_load(&page->next), *fresh;

	if (next)
		return next;
	fresh = mmap(NULL, sizeof(*fresh), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&page->next, &next, fresh))
		return fresh;
	munmap(fresh, sizeof(*fresh));
	return next;
}

static struct thread *my_record(void)
{
	struct page *page = &state.first;

	pthread_once(&state.once, set_up);
	if (state.in_child && !*state.in_child)
		forked(); /* a child that no handler was told of */
	while (!mine && page) {
		struct thread *thread = take_from(page);

		if (thread) {
			mine = thread;
			pthread_setspecific(state.key, thread);
		}
		page = next_page(page);
	}
	return mine;
}

/* ---- Connections ---- */

static int raw(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

int node_connect(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	return raw(syscall(SYS_connect, fd, &address, sizeof(address)));
}

ssize_t node_sendmsg(int fd, const struct msghdr *msg)
{
	ssize_t ret = syscall(SYS_sendmsg, fd, msg, MSG_NOSIGNAL);

	return ret < 0 ? -errno : ret;
}

ssize_t node_recvmsg(int fd, struct msghdr *msg)
{
	ssize_t ret = syscall(SYS_recvmsg, fd, msg, MSG_CMSG_CLOEXEC);

	return ret < 0 ? -errno : ret;
}

static int connect_to_peer(int peer)
{
	struct node_message hello = {.type = NODE_HELLO_CALLS, .words = {NODE_VERSION}};
	struct iovec iov = {&hello, sizeof(hello)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct sockaddr_un server = {0};
	socklen_t size = sizeof(server) - 1;
	const char *path = server.sun_path;
	int fd, ret;

	ret = raw(syscall(SYS_getpeername, peer, &server, &size));
	if (ret < 0)
		return -ENODEV; /* the server is gone, and our socket with it */
	if (!*path)
		path += 1 + strlen(NODE_SYNC_NAME) + 17; /* the other end of a sync file: the path is in its name */
	fd = raw(syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	if (fd < 0)
		return fd;
	fd = node_fd_hide(fd);
	ret = node_connect(fd, path);
	if (ret >= 0)
		ret = (int)node_sendmsg(fd, &msg);
	if (ret < 0) {
		node_fd_close(fd);
		return ret == -EINTR ? ret : -ENODEV;
	}
	return fd;
}

/* A connection to @node, else one that was never used, else one to another node. NULL: all are busy. */
static struct node_conn *choose(struct thread *thread, uint64_t node)
{
	struct node_conn *best = NULL;

	for (unsigned int i = 0; i < CONNS_OF_THREAD; i++) {
		struct node_conn *conn = &thread->conns[i];

		if (conn->busy)
			continue;
		if (conn->node == node)
			return conn;
		if (!best || !conn->node)
			best = conn;
	}
	return best;
}

static int ready(struct node_conn *conn, int peer, uint64_t node)
{
	bool open = conn->node && node_fd_is_hidden(conn->fd);
	int fd;

	if (open && conn->node == node)
		return 0;
	if (open)
		node_fd_close(conn->fd);
	conn->node = 0;
	fd = connect_to_peer(peer);
	if (fd < 0)
		return fd;
	conn->fd = fd;
	conn->node = node;
	return 0;
}

int node_conn_get(int peer, uint64_t node, struct node_conn **ret_conn)
{
	struct thread *thread = my_record();
	struct node_conn *conn = thread ? choose(thread, node) : NULL;
	int ret;

	if (!conn)
		return -ENOMEM;
	conn->busy = true;
	ret = ready(conn, peer, node);
	if (ret) {
		conn->busy = false;
		return ret;
	}
	*ret_conn = conn;
	return 0;
}

void node_conn_put(struct node_conn *conn, bool broken)
{
	if (broken && node_fd_is_hidden(conn->fd))
		node_fd_close(conn->fd);
	conn->busy = false;
}
