/* SPDX-License-Identifier: MIT */
/* Messages to the recorder, each over a connection of its own. System calls go past our own wrappers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "record.h"

#define PATIENCE_S 5 /* for an answer */

static struct {
	struct sockaddr_un address;
	socklen_t size;
	uint64_t token;
} to;

static void close_fd(int fd)
{
	syscall(SYS_close, fd);
}

static bool parse(const char *where)
{
	const char *colon = strchr(where, ':');
	size_t length = colon ? (size_t)(colon - where) : 0;

	if (length == 0 || length >= sizeof(to.address.sun_path))
		return false;
	to.address.sun_family = AF_UNIX;
	memcpy(to.address.sun_path + 1, where, length);
	to.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
	to.token = strtoull(colon + 1, NULL, 16);
	return true;
}

static int open_connection(void)
{
	const struct timeval patience = {PATIENCE_S, 0};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		ret = connect(fd, (const struct sockaddr *)&to.address, to.size);
	} while (ret < 0 && errno == EINTR);
	if (ret == 0)
		return fd;
	ret = -errno;
	close_fd(fd);
	return ret;
}

static bool send_message(int fd, struct record_message *message, int passed)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {message, sizeof(*message)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t ret;

	message->version = RECORD_VERSION;
	message->token = to.token;
	if (passed >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	}
	do {
		ret = syscall(SYS_sendmsg, fd, &msg, MSG_NOSIGNAL);
	} while (ret < 0 && errno == EINTR);
	return ret == (ssize_t)sizeof(*message);
}

/* The answer, with the fd that comes along or -1. */
static bool get_answer(int fd, struct record_message *answer, int *ret_passed)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {answer, sizeof(*answer)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
	struct cmsghdr *first;
	ssize_t ret;

	do {
		ret = syscall(SYS_recvmsg, fd, &msg, MSG_CMSG_CLOEXEC);
	} while (ret < 0 && errno == EINTR);
	if (ret != (ssize_t)sizeof(*answer))
		return false;
	first = CMSG_FIRSTHDR(&msg);
	*ret_passed = -1;
	if (first && first->cmsg_type == SCM_RIGHTS)
		memcpy(ret_passed, CMSG_DATA(first), sizeof(*ret_passed));
	return true;
}

/*
 * Say it; with @answer wait for what comes back. 0 or a negative errno. Only a refused connection says that nobody is
 * there, now and for ever: a lack of descriptors, for one, says nothing of the kind.
 */
static int tell(struct record_message *message, int passed, struct record_message *answer, int *ret_passed)
{
	int fd = open_connection();
	bool well;

	if (fd == -ECONNREFUSED)
		record_give_up();
	if (fd < 0)
		return fd;
	well = send_message(fd, message, passed) && (!answer || get_answer(fd, answer, ret_passed));
	close_fd(fd);
	return well ? 0 : -EIO;
}

struct record_shared *link_start(const char *where)
{
	struct record_message hello = {.type = RECORD_HELLO}, answer;
	struct record_shared *shared;
	int fd;

	if (!parse(where) || tell(&hello, -1, &answer, &fd) < 0 || fd < 0)
		return NULL;
	shared = (struct record_shared *)syscall(SYS_mmap, NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
						 fd, 0L);
	close_fd(fd);
	if (shared == MAP_FAILED)
		return NULL;
	if (shared->magic == RECORD_MAGIC && shared->version == RECORD_VERSION)
		return shared;
	munmap(shared, sizeof(*shared));
	return NULL;
}

bool link_ring(int ring, uint64_t image, int tid)
{
	struct record_message message = {.type = RECORD_RING, .image = image, .tid = tid};

	return tell(&message, ring, NULL, NULL) == 0;
}

uint64_t link_which(int fd, uint64_t image)
{
	struct record_message message = {.type = RECORD_WHICH, .image = image, .fd = fd}, answer;
	int passed;

	if (tell(&message, -1, &answer, &passed) < 0)
		return 0;
	if (passed >= 0)
		close_fd(passed);
	return answer.file;
}

void link_ready(uint64_t image)
{
	struct record_message message = {.type = RECORD_READY, .image = image};

	tell(&message, -1, NULL, NULL);
}

void link_bell(uint64_t image)
{
	struct record_message message = {.type = RECORD_BELL, .image = image};

	tell(&message, -1, NULL, NULL);
}
