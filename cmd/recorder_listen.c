/* SPDX-License-Identifier: MIT */
/*
 * Messages of recorded programs, each over a connection of its own; and waiting for them.
 *
 * The address is an abstract one, so that a program in another root finds it; whoever connects has to know the token,
 * which only programs that we started have in their environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "recorder_private.h"

#define LONGEST_MS  500
#define BLIND_MS    20 /* between two looks, where no descriptor tells of the end of a process */
#define BACKLOG	    4096
#define NOT_WATCHED (-2)

/** A message, who sent it, and the descriptor that came along or -1. */
struct heard {
	struct record_message message;
	struct ucred from;
	int passed;
};

/* ---- Setting up ---- */

static int share_memory(struct recorder *r)
{
	r->shared_fd = memfd_create("panbind-recorder", MFD_CLOEXEC);
	if (r->shared_fd < 0 || ftruncate(r->shared_fd, sizeof(*r->shared)) < 0)
		return -errno;
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE, MAP_SHARED, r->shared_fd, 0);
	if (r->shared == MAP_FAILED) {
		r->shared = NULL;
		return -errno;
	}
	r->shared->magic = RECORD_MAGIC;
	r->shared->version = RECORD_VERSION;
	return 0;
}

static int start_listening(struct recorder *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint64_t name;
	int length;

	if (getrandom(&name, sizeof(name), 0) != sizeof(name) || getrandom(&r->token, sizeof(r->token), 0) < 0)
		return -EIO;
	length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "panbind-record-%016" PRIx64, name);
	snprintf(r->where, sizeof(r->where), "%s:%016" PRIx64, address.sun_path + 1, r->token);
	r->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->listener < 0 ||
	    bind(r->listener, (struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) < 0 ||
	    listen(r->listener, BACKLOG) < 0)
		return -errno;
	return 0;
}

int recorder_create(const struct recorder_sink *sink, struct recorder **ret_recorder)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->sink = *sink;
	r->listener = r->shared_fd = r->child = -1;
	err = share_memory(r);
	if (err == 0)
		err = start_listening(r);
	if (err < 0) {
		recorder_destroy(r);
		return err;
	}
	*ret_recorder = r;
	return 0;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void recorder_destroy(struct recorder *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->ring_count; i++)
		record_source_close(r->rings[i].source);
	for (size_t i = 0; i < r->visitor_count; i++)
		close(r->visitors[i]);
	for (size_t i = 0; i < r->files.process_count; i++) {
		close_if_open(r->pidfds[i]);
		free(r->files.processes[i]->holders);
		free(r->files.processes[i]->argv);
		free(r->files.processes[i]);
	}
	record_files_free(&r->files);
	record_merge_free(&r->merge);
	close_if_open(r->listener);
	close_if_open(r->shared_fd);
	close_if_open(r->child);
	if (r->shared)
		munmap(r->shared, sizeof(*r->shared));
	free(r->rings);
	free(r->visitors);
	free(r->pidfds);
	free(r->polled);
	free(r);
}

const char *recorder_where(const struct recorder *r)
{
	return r->where;
}

/* ---- Processes ---- */

static int open_process(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

void recorder_watch(struct recorder *r, pid_t child)
{
	close_if_open(r->child);
	r->child = child ? open_process(child) : NOT_WATCHED;
}

bool recorder_is_dead(struct recorder *r, size_t index)
{
	struct pollfd polled = {r->pidfds[index], POLLIN, 0};

	if (polled.fd >= 0)
		return poll(&polled, 1, 0) == 1;
	return kill(r->files.processes[index]->pid, 0) < 0 && errno == ESRCH;
}

/* The words of a command line, with blanks between them. */
static char *argv_of(pid_t pid)
{
	char path[40], text[1024];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	close_if_open(fd);
	if (size <= 0)
		return strdup("?");
	while (size > 0 && text[size - 1] == '\0')
		size--;
	for (ssize_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	text[size] = '\0';
	return strdup(text);
}

static struct record_process *find_process(const struct recorder *r, pid_t pid, uint64_t image)
{
	for (size_t i = r->files.process_count; i-- > 0;)
		if (r->files.processes[i]->pid == pid && r->files.processes[i]->image == image)
			return r->files.processes[i];
	return NULL;
}

static struct record_process *add_process(struct recorder *r, const struct heard *heard)
{
	struct record_process *process;

	if (r->files.process_count == r->pidfd_room) {
		size_t room = r->pidfd_room ? r->pidfd_room * 2 : 16;
		int *pidfds = reallocarray(r->pidfds, room, sizeof(*pidfds));

		if (!pidfds)
			return NULL;
		r->pidfds = pidfds;
		r->pidfd_room = room;
	}
	process = calloc(1, sizeof(*process));
	if (!process || record_files_add_process(&r->files, process) < 0) {
		free(process);
		return NULL;
	}
	process->pid = heard->from.pid;
	process->image = heard->message.image;
	process->uid = heard->from.uid;
	process->gid = heard->from.gid;
	process->argv = argv_of(process->pid);
	r->pidfds[r->files.process_count - 1] = open_process(process->pid);
	return process;
}

/* ---- What messages ask for ---- */

static void answer(int fd, const struct record_message *message, int passed)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)message, sizeof(*message)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (passed >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	}
	sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not listen to the answer is not recorded */
}

static void take_ring(struct recorder *r, const struct heard *heard)
{
	struct record_process *process = find_process(r, heard->from.pid, heard->message.image);
	struct record_source *source;

	if (r->ring_count == r->ring_room) {
		size_t room = r->ring_room ? r->ring_room * 2 : 16;
		struct recorder_ring *rings = reallocarray(r->rings, room, sizeof(*rings));

		if (!rings)
			return;
		r->rings = rings;
		r->ring_room = room;
	}
	if (!process)
		process = add_process(r, heard);
	if (!process || record_source_open(heard->passed, &source) < 0) {
		r->summary.damaged++;
		return;
	}
	process->ended = false; /* it may have died in the meantime: then it ends once more */
	r->rings[r->ring_count++] = (struct recorder_ring){source, process};
}

static void say_which(struct recorder *r, int fd, const struct heard *heard)
{
	struct record_message message = {.type = RECORD_THAT, .version = RECORD_VERSION};

	recorder_move(r); /* all that was done before */
	message.file = record_files_which(&r->files, heard->from.pid, heard->message.fd);
	if (!message.file)
		message.file = atomic_fetch_add(&r->shared->file, 1) + 1;
	answer(fd, &message, -1);
}

/* Another program runs in the process: what the one before it held and this one did not find is closed. */
static void end_former_images(struct recorder *r, const struct heard *heard)
{
	for (size_t i = 0; i < r->files.process_count; i++) {
		struct record_process *process = r->files.processes[i];

		if (process->pid == heard->from.pid && process->image != heard->message.image && !process->ended)
			recorder_end_process(r, process);
	}
}

static void obey(struct recorder *r, int fd, const struct heard *heard)
{
	const struct record_message hello = {.type = RECORD_HELLO, .version = RECORD_VERSION};

	if (heard->message.token != r->token || heard->message.version != RECORD_VERSION)
		return;
	switch (heard->message.type) {
	case RECORD_HELLO:
		answer(fd, &hello, r->shared_fd);
		break;
	case RECORD_RING:
		take_ring(r, heard);
		break;
	case RECORD_WHICH:
		say_which(r, fd, heard);
		break;
	case RECORD_READY:
		end_former_images(r, heard);
		break;
	default: /* the bell: we are awake */
		break;
	}
}

/* ---- Hearing ---- */

/* 1: a message; 0: it is not there yet; or a negative errno. */
static int hear(int fd, struct heard *heard)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&heard->message, sizeof(heard->message)};
	/* CMSG_SPACE() is rounded up, and would have room for a second one. */
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
	socklen_t size = sizeof(heard->from);
	ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	const struct cmsghdr *first;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	first = CMSG_FIRSTHDR(&msg);
	heard->passed = -1;
	if (first && first->cmsg_type == SCM_RIGHTS)
		memcpy(&heard->passed, CMSG_DATA(first), sizeof(heard->passed));
	if (got == sizeof(heard->message) && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &heard->from, &size) == 0)
		return 1;
	close_if_open(heard->passed);
	return -EBADMSG;
}

static bool hear_visitor(struct recorder *r, size_t index)
{
	struct heard heard = {.passed = -1};
	int fd = r->visitors[index], ret = hear(fd, &heard);

	if (ret == 0)
		return false;
	r->visitors[index] = r->visitors[--r->visitor_count];
	r->hearing = true;
	if (ret == 1)
		obey(r, fd, &heard);
	r->hearing = false;
	close_if_open(heard.passed);
	close(fd);
	return ret == 1 && heard.message.type != RECORD_BELL;
}

static int admit(struct recorder *r)
{
	int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (r->visitor_count == r->visitor_room) {
		size_t room = r->visitor_room ? r->visitor_room * 2 : 16;
		int *visitors = reallocarray(r->visitors, room, sizeof(*visitors));

		if (!visitors) {
			close(fd);
			return -ENOMEM;
		}
		r->visitors = visitors;
		r->visitor_room = room;
	}
	r->visitors[r->visitor_count++] = fd;
	return 0;
}

/* ---- Waiting ---- */

static size_t list_polled(struct recorder *r)
{
	size_t most = 2 + r->visitor_count + r->files.process_count, count = 0;

	if (most > r->polled_room) {
		struct pollfd *polled = reallocarray(r->polled, most * 2, sizeof(*polled));

		if (!polled)
			return 0;
		r->polled = polled;
		r->polled_room = most * 2;
	}
	r->polled[count++] = (struct pollfd){r->listener, POLLIN, 0};
	if (r->child >= 0)
		r->polled[count++] = (struct pollfd){r->child, POLLIN, 0};
	for (size_t i = 0; i < r->visitor_count; i++)
		r->polled[count++] = (struct pollfd){r->visitors[i], POLLIN, 0};
	for (size_t i = 0; i < r->files.process_count; i++)
		if (!r->files.processes[i]->ended && r->pidfds[i] >= 0)
			r->polled[count++] = (struct pollfd){r->pidfds[i], POLLIN, 0};
	return count;
}

static bool is_blind(const struct recorder *r)
{
	for (size_t i = 0; i < r->files.process_count; i++)
		if (!r->files.processes[i]->ended && r->pidfds[i] < 0)
			return true;
	return r->child == -1;
}

bool recorder_wait(struct recorder *r, int timeout_ms)
{
	bool some = false;
	size_t count = list_polled(r);

	/* A signal that comes just before poll() is seen after it: so no wait is for ever. */
	if (timeout_ms < 0 || timeout_ms > LONGEST_MS)
		timeout_ms = LONGEST_MS;
	if (is_blind(r) && timeout_ms > BLIND_MS)
		timeout_ms = BLIND_MS;
	poll(r->polled, count, timeout_ms);
	while (admit(r) == 0)
		;
	for (size_t i = r->visitor_count; i-- > 0;)
		some |= hear_visitor(r, i);
	return some;
}
