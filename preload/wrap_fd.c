/* SPDX-License-Identifier: MIT */
/* What gives an open file another number, or ends one. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core.h"
#include "hooks.h"
#include "next.h"

int __close(int fd);
int __dup2(int from, int to);
int __fcntl(int fd, int cmd, ...);

static void closing(int fd)
{
	int err = errno;

	if (core_recording())
		record_closing(fd);
	core_forget(fd);
	errno = err;
}

static void closing_range(unsigned int first, unsigned int last)
{
	int err = errno;

	if (core_recording())
		record_closing_range(first, last);
	core_forget_range(first, last);
	errno = err;
}

static int duplicated(int from, int to)
{
	int err = errno;

	if (to < 0)
		return to;
	core_forget(to);
	if (core_recording())
		record_duplicated(from, to);
	errno = err;
	return to;
}

/* What the program has not opened is not there. */
static bool not_the_programs(int fd)
{
	if (!node_fd_is_hidden(fd))
		return false;
	errno = EBADF;
	return true;
}

int close(int fd)
{
	if (not_the_programs(fd))
		return -1;
	closing(fd);
	return NEXT(close)(fd);
}

int __close(int fd)
{
	return close(fd);
}

/* Close all of a range but what is hidden in it: in pieces. */
static int close_around(unsigned int first, unsigned int last, int flags)
{
	int hidden;

	while (first <= last && (hidden = node_fd_next_hidden(first, last)) >= 0) {
		if ((unsigned int)hidden > first && NEXT(close_range)(first, (unsigned int)hidden - 1, flags))
			return -1;
		if ((unsigned int)hidden == last)
			return 0;
		first = (unsigned int)hidden + 1;
	}
	return NEXT(close_range)(first, last, flags);
}

void closefrom(int first)
{
	unsigned int low = first < 0 ? 0 : (unsigned int)first;

	closing_range(low, ~0u);
	if (node_fd_next_hidden(low, ~0u) < 0 || close_around(low, ~0u, 0))
		NEXT(closefrom)(first);
}

int close_range(unsigned int first, unsigned int last, int flags)
{
	if (first <= last && !((unsigned int)flags & CLOSE_RANGE_CLOEXEC))
		closing_range(first, last);
	return close_around(first, last, flags);
}

int dup(int from)
{
	return not_the_programs(from) ? -1 : duplicated(from, NEXT(dup)(from));
}

/* Before dup2() and dup3(): what they replace is closed by that. @from is looked at first, as they do. */
static void replacing(int from, int to)
{
	int err = errno;

	if (from == to || fcntl(from, F_GETFD) < 0) {
		errno = err;
		return;
	}
	if (node_fd_is_hidden(to))
		node_fd_lost(to);
	closing(to);
}

int dup2(int from, int to)
{
	if (not_the_programs(from))
		return -1;
	replacing(from, to);
	return from == to ? NEXT(dup2)(from, to) : duplicated(from, NEXT(dup2)(from, to));
}

int __dup2(int from, int to)
{
	return dup2(from, to);
}

int dup3(int from, int to, int flags)
{
	if (not_the_programs(from))
		return -1;
	replacing(from, to);
	return duplicated(from, NEXT(dup3)(from, to, flags));
}

/* The third argument is an int or a pointer, or missing; as a register it can be handed on all the same. */
#define ARGUMENT(last)                          \
	({                                      \
		va_list args_;                  \
		void *value_;                   \
		va_start(args_, last);          \
		value_ = va_arg(args_, void *); \
		va_end(args_);                  \
		value_;                         \
	})

static int fcntl_done(int fd, int cmd, int ret)
{
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? duplicated(fd, ret) : ret;
}

int fcntl(int fd, int cmd, ...)
{
	return not_the_programs(fd) ? -1 : fcntl_done(fd, cmd, NEXT(fcntl)(fd, cmd, ARGUMENT(cmd)));
}

int __fcntl(int fd, int cmd, ...)
{
	return not_the_programs(fd) ? -1 : fcntl_done(fd, cmd, NEXT(fcntl)(fd, cmd, ARGUMENT(cmd)));
}

int fcntl64(int fd, int cmd, ...)
{
	return not_the_programs(fd) ? -1 : fcntl_done(fd, cmd, NEXT(fcntl64)(fd, cmd, ARGUMENT(cmd)));
}

/* ---- Fds that come and go by SCM_RIGHTS, or are taken ---- */

/* Call @fn with each fd that a message carries. */
static void each_fd(struct msghdr *msg, void (*fn)(int fd))
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS || cmsg->cmsg_len < CMSG_LEN(0))
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			fn(fd);
		}
	}
}

static void received(int fd)
{
	core_forget(fd);
	if (core_recording() && core_is_node(fd))
		record_received(fd);
}

static void sending(int fd)
{
	if (core_is_node(fd))
		record_sending(fd);
}

/* A message with fds that cannot be read would end the program here, and not with EFAULT as in the kernel. */
static void before_send(const struct msghdr *msg)
{
	int err = errno;

	if (core_recording() && msg && msg->msg_control && msg->msg_controllen)
		each_fd((struct msghdr *)(uintptr_t)msg, sending);
	errno = err;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	before_send(msg);
	return NEXT(sendmsg)(fd, msg, flags);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int count, int flags)
{
	for (unsigned int i = 0; i < count && core_recording() && msgs; i++)
		before_send(&msgs[i].msg_hdr);
	return NEXT(sendmmsg)(fd, msgs, count, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t ret = NEXT(recvmsg)(fd, msg, flags);
	int err = errno;

	if (ret >= 0 && msg->msg_controllen)
		each_fd(msg, received);
	errno = err;
	return ret;
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int count, int flags, struct timespec *timeout)
{
	int ret = NEXT(recvmmsg)(fd, msgs, count, flags, timeout), err = errno;

	for (int i = 0; i < ret; i++)
		if (msgs[i].msg_hdr.msg_controllen)
			each_fd(&msgs[i].msg_hdr, received);
	errno = err;
	return ret;
}

int pidfd_getfd(int pidfd, int target, unsigned int flags)
{
	int ret = NEXT(pidfd_getfd)(pidfd, target, flags), err = errno;

	if (ret >= 0)
		received(ret);
	errno = err;
	return ret;
}
