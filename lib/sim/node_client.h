/* SPDX-License-Identifier: MIT */
/*
 * The client's side of a simulated node: open it, know it again, call it.
 *
 * It runs inside programs that know nothing of it (preload/) and in libpanbind (backend_node.c), on any thread and in
 * signal handlers: it allocates nothing, depends on libc alone, calls the kernel directly (so that it never meets the
 * wrappers of the preload it may be part of) and keeps errno. Each thread has connections of its own, on high fd
 * numbers and close-on-exec; a forked child makes its own anew.
 */
#ifndef NODE_CLIENT_H
#define NODE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "node_proto.h"

/** What the socket of a node or sync file says of itself. */
struct node_id {
	uint64_t node, file;
};

/* ---- node_client.c ---- */

/**
 * Open the node in @folder, as open(2) would: a new fd, the lowest that is free, or a negative errno: -ENODEV when its
 * server is gone. @flags: O_CLOEXEC and O_NONBLOCK count.
 */
int node_open(const char *folder, int flags);
/** Is @fd an open simulated node? Of any server, however it came here. */
bool node_identify(int fd, struct node_id *ret_id);
/** Is it a sync file, or a syncobj, that was exported from one? */
bool node_identify_sync(int fd, struct node_id *ret_id);
/** One ioctl(2) on @fd, whose identity is @id: what ioctl() returns, or a negative errno. Nothing is repeated. */
int node_ioctl(int fd, const struct node_id *id, unsigned long request, void *arg);
/** SYNC_IOC_* on a sync file. */
int node_sync_ioctl(int fd, const struct node_id *id, unsigned long request, void *arg);
/** mmap(2) at @address with these @flags. 0 or a negative errno. */
int node_mmap(int fd, const struct node_id *id, void *address, size_t size, int prot, int flags, uint64_t offset,
	      void **ret_ptr);
/**
 * Any other call: @message goes there with @out behind it, and becomes what comes back, with @in filled; both may be
 * NULL. Returns its ret, or -ENODEV without a server.
 */
int node_call(int fd, const struct node_id *id, struct node_message *message, const struct iovec *out,
	      const struct iovec *in);

/* ---- node_conn.c: connections, and fds that the program does not know of ---- */

/** A connection for calls that nobody uses just now. @peer: the fd of a file, whose peer names the server. */
struct node_conn {
	uint64_t node;
	int fd;
	volatile bool busy; /* by this thread, maybe beneath a signal handler */
};

/** 0 or a negative errno. Give it back with node_conn_put(); @broken: it can be of no more use. */
int node_conn_get(int peer, uint64_t node, struct node_conn **ret_conn);
void node_conn_put(struct node_conn *conn, bool broken);

/** Move an fd out of the program's way: a high number, close-on-exec, marked as hidden. Consumes @fd; the new one. */
int node_fd_hide(int fd);
bool node_fd_is_hidden(int fd);
/** Mark it as not hidden, and close it. */
void node_fd_close(int fd);
/** It is about to become something else: whoever used it has to see that it is lost. */
void node_fd_lost(int fd);
/** The lowest hidden fd in [first, last], or -1. */
int node_fd_next_hidden(unsigned int first, unsigned int last);

/** Name of @size bytes in @path, or of the socket that @fd is connected to. A raw connect(2): 0 or a negative errno. */
int node_connect(int fd, const char *path);
/** send and receive, raw: bytes, or a negative errno. */
ssize_t node_sendmsg(int fd, const struct msghdr *msg);
ssize_t node_recvmsg(int fd, struct msghdr *msg);

#endif /* NODE_CLIENT_H */
