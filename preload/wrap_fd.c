/* SPDX-License-Identifier: MIT */
/* What gives an open file another number, or ends one. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
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

	if (!core_recording())
		return;
	record_closing(fd);
	core_forget(fd);
	errno = err;
}

static void closing_range(unsigned int first, unsigned int last)
{
	int err = errno;

	if (!core_recording())
		return;
	record_closing_range(first, last);
	core_forget_range(first, last);
	errno = err;
}

static int duplicated(int from, int to)
{
	int err = errno;

	if (to < 0 || !core_recording())
		return to;
	core_forget(to);
	record_duplicated(from, to);
	errno = err;
	return to;
}

int close(int fd)
{
	closing(fd);
	return NEXT(close)(fd);
}

int __close(int fd)
{
	return close(fd);
}

void closefrom(int first)
{
	closing_range(first < 0 ? 0 : (unsigned int)first, ~0u);
	NEXT(closefrom)(first);
}

int close_range(unsigned int first, unsigned int last, int flags)
{
	if (!((unsigned int)flags & CLOSE_RANGE_CLOEXEC))
		closing_range(first, last);
	return NEXT(close_range)(first, last, flags);
}

int dup(int from)
{
	return duplicated(from, NEXT(dup)(from));
}

/* What dup2() closes on its way is closed only if it succeeds; that it is told before does no harm, its fd is gone. */
int dup2(int from, int to)
{
	if (from != to && fcntl(from, F_GETFD) >= 0)
		closing(to);
	return from == to ? NEXT(dup2)(from, to) : duplicated(from, NEXT(dup2)(from, to));
}

int __dup2(int from, int to)
{
	return dup2(from, to);
}

int dup3(int from, int to, int flags)
{
	if (from != to && fcntl(from, F_GETFD) >= 0)
		closing(to);
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
	return fcntl_done(fd, cmd, NEXT(fcntl)(fd, cmd, ARGUMENT(cmd)));
}

int __fcntl(int fd, int cmd, ...)
{
	return fcntl_done(fd, cmd, NEXT(fcntl)(fd, cmd, ARGUMENT(cmd)));
}

int fcntl64(int fd, int cmd, ...)
{
	return fcntl_done(fd, cmd, NEXT(fcntl64)(fd, cmd, ARGUMENT(cmd)));
}

/* ---- Fds that come by SCM_RIGHTS ---- */

static void received_one(int fd)
{
	core_forget(fd);
	if (core_is_node(fd))
		record_received(fd);
}

static void received(struct msghdr *msg)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			received_one(fd);
		}
	}
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t ret = NEXT(recvmsg)(fd, msg, flags);
	int err = errno;

	if (ret >= 0 && core_recording() && msg->msg_controllen)
		received(msg);
	errno = err;
	return ret;
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int count, int flags, struct timespec *timeout)
{
	int ret = NEXT(recvmmsg)(fd, msgs, count, flags, timeout), err = errno;

	for (int i = 0; i < ret && core_recording(); i++)
		if (msgs[i].msg_hdr.msg_controllen)
			received(&msgs[i].msg_hdr);
	errno = err;
	return ret;
}
