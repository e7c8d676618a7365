/* SPDX-License-Identifier: MIT */
/*
 * What the preload tells the recorder: the seam between the wrappers of libc's functions and record*.c.
 *
 * All of these run inside somebody else's program, on the thread that made the call, maybe in a signal handler: they
 * neither print nor allocate, and whatever they do to errno is undone by the caller. Nothing is called unless
 * PANBIND_RECORD is set. What is open on a render node, simulated or not, is told; other fds are not, but where said.
 */
#ifndef PRELOAD_HOOKS_H
#define PRELOAD_HOOKS_H

#include <stddef.h>
#include <stdint.h>

/** One ioctl under way; lives on the stack of its thread from record_before() to record_after(). */
struct record_call {
	int fd;
	unsigned long request;
	void *arg;
	struct record_event *event; /* in the making, or NULL */
	uint64_t image;		    /* of the process that began it */
};

/** The program starts: called once, before main(). @where: the value of PANBIND_RECORD. */
void record_start(const char *where);
/** In the child of a fork, on its only thread, before it returns from fork(). */
void record_forked(void);
/** open() or one of its kin gave the program a render node. @path: as the program had it. */
void record_opened(int fd, const char *path);
/** Before an fd is closed, or replaced by dup2(). Any fd: whether it is a node is not asked for each close. */
void record_closing(int fd);
/** The same for all fds in [first, last]. */
void record_closing_range(unsigned int first, unsigned int last);
/** dup(), dup2(), dup3(), fcntl(F_DUPFD*) has made @to from @from. Any fd. */
void record_duplicated(int from, int to);
/** recvmsg(), recvmmsg() or pidfd_getfd() has brought a render node. */
void record_received(int fd);
/** sendmsg() or sendmmsg() is about to send one: it lives on in flight. */
void record_sending(int fd);
/** Around an ioctl of type 'd' on a render node: @ret and @err are what the program gets; @err only when @ret is -1. */
void record_before(struct record_call *call, int fd, unsigned long request, void *arg);
void record_after(struct record_call *call, int ret, int err);
/** A piece of a render node was mapped, at a BO's fake offset or at the MMIO offset. */
void record_mmapped(int fd, uint64_t offset, size_t size, void *ptr);

#endif /* PRELOAD_HOOKS_H */
