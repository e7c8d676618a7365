/* SPDX-License-Identifier: MIT */
/*
 * A simulated node from the program's side.
 *
 * While the server works on a call it asks for the caller's memory and fds. Memory goes straight between the program's
 * pages and the socket, so that it is the kernel that finds a bad pointer. A signal that is caught while the answer is
 * awaited is passed on as CANCEL, which ends what waits; one whose handler asks for restart is not seen here at all,
 * and the call goes on, as ioctl(2) does.
 */
#include "node_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Room for one fd beside a packet. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int raw(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

/* ---- Names ---- */

static void put_hex(char *text, uint64_t value)
{
	for (int i = 15; i >= 0; i--, value >>= 4)
		text[i] = "0123456789abcdef"[value & 0xf];
}

static bool get_hex(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++) {
		unsigned int digit = (unsigned char)text[i];

		if (digit >= '0' && digit <= '9')
			digit -= '0';
		else if (digit >= 'a' && digit <= 'f')
			digit -= 'a' - 10;
		else
			return false;
		value = value << 4 | digit;
	}
	*ret_value = value;
	return true;
}

static bool identify(int fd, const char *prefix, struct node_id *ret_id)
{
	size_t head = 1 + strlen(prefix);
	struct sockaddr_un name = {0};
	socklen_t size = sizeof(name);
	struct node_id id;
	int err = errno;
	long ret = syscall(SYS_getsockname, fd, &name, &size);

	errno = err;
	if (ret || name.sun_family != AF_UNIX || size != offsetof(struct sockaddr_un, sun_path) + NODE_NAME_SIZE)
		return false;
	if (name.sun_path[0] || memcmp(name.sun_path + 1, prefix, head - 1) != 0 || name.sun_path[head + 16] != ':')
		return false;
	if (!get_hex(name.sun_path + head, &id.node) || !get_hex(name.sun_path + head + 17, &id.file))
		return false;
	*ret_id = id;
	return true;
}

bool node_identify(int fd, struct node_id *ret_id)
{
	return identify(fd, NODE_FILE_NAME, ret_id);
}

bool node_identify_sync(int fd, struct node_id *ret_id)
{
	return identify(fd, NODE_SYNC_NAME, ret_id);
}

/* ---- Calls ---- */

/* A call under way. */
struct call {
	int conn;
	const struct iovec *in; /* where what follows the RETURN goes */
	int fd;			/* that came beside the last packet, or -1 */
	bool truncated;		/* there was one, and no room in the table of fds */
	bool cancelled;
};

static ssize_t send_packet(int conn, struct node_message *message, const struct iovec *more, int fd)
{
	struct iovec iov[2] = {{message, sizeof(*message)}};
	union control control = {.header = {
					 .cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS,
				 }};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1};
	ssize_t ret;

	if (more) {
		iov[1] = *more;
		msg.msg_iovlen = 2;
	}
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	do
		ret = node_sendmsg(conn, &msg);
	while (ret == -EINTR);
	return ret;
}

static void take_fd(struct call *call, struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	call->fd = -1;
	call->truncated = msg->msg_flags & MSG_CTRUNC;
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&call->fd, CMSG_DATA(cmsg), sizeof(int));
}

static void cancel(struct call *call)
{
	struct node_message message = {.type = NODE_CANCEL};

	if (!call->cancelled)
		send_packet(call->conn, &message, NULL, -1);
	call->cancelled = true;
}

/* The next packet: 0, or -ENODEV when the server is gone. */
static int receive(struct call *call, struct node_message *message)
{
	struct iovec iov[2] = {{message, sizeof(*message)}};
	union control control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1};
	ssize_t ret;

	if (call->in) {
		iov[1] = *call->in;
		msg.msg_iovlen = 2;
	}
	do {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_LEN(sizeof(int));
		ret = node_recvmsg(call->conn, &msg);
		if (ret == -EINTR)
			cancel(call);
	} while (ret == -EINTR);
	if (ret < (ssize_t)sizeof(*message))
		return -ENODEV;
	take_fd(call, &msg);
	return 0;
}

static void *user_ptr(uint64_t address)
{
	return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr): as it came in an ioctl argument */
}

/* The program's memory is what the kernel sends: it says EFAULT where there is none. */
static int answer_read(struct call *call, const struct node_message *asked)
{
	struct node_message answer = {.type = NODE_ANSWER};
	struct iovec data = {user_ptr(asked->words[0]), (size_t)asked->words[1]};
	ssize_t ret = send_packet(call->conn, &answer, &data, -1);

	if (ret != -EFAULT)
		return ret < 0 ? -ENODEV : 0;
	answer.ret = -EFAULT;
	return send_packet(call->conn, &answer, NULL, -1) < 0 ? -ENODEV : 0;
}

static int answer_write(struct call *call, const struct node_message *asked)
{
	struct node_message answer = {.type = NODE_ANSWER};
	struct iovec data = {user_ptr(asked->words[0]), (size_t)asked->words[1]};
	struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t ret;

	do
		ret = node_recvmsg(call->conn, &msg);
	while (ret == -EINTR);
	if (ret < 0 && ret != -EFAULT)
		return -ENODEV;
	answer.ret = ret < 0 ? (int)ret : 0;
	return send_packet(call->conn, &answer, NULL, -1) < 0 ? -ENODEV : 0;
}

static int answer_get_fd(struct call *call, const struct node_message *asked)
{
	struct node_message answer = {.type = NODE_ANSWER};
	int fd = (int)asked->words[0];

	/* A negative one, or one that the program cannot know, would be none at all to us, or one of ours. */
	if (fd >= 0 && !node_fd_is_hidden(fd) && send_packet(call->conn, &answer, NULL, fd) >= 0)
		return 0;
	answer.ret = -EBADF;
	return send_packet(call->conn, &answer, NULL, -1) < 0 ? -ENODEV : 0;
}

static int answer_put_fd(struct call *call, const struct node_message *asked)
{
	struct node_message answer = {.type = NODE_ANSWER, .ret = call->fd};

	if (call->fd < 0)
		answer.ret = -EMFILE;
	else if (!asked->words[0])
		syscall(SYS_fcntl, call->fd, F_SETFD, 0);
	return send_packet(call->conn, &answer, NULL, -1) < 0 ? -ENODEV : 0;
}

static int answer(struct call *call, const struct node_message *asked)
{
	switch (asked->type) {
	case NODE_READ:
		return answer_read(call, asked);
	case NODE_WRITE:
		return answer_write(call, asked);
	case NODE_GET_FD:
		return answer_get_fd(call, asked);
	case NODE_PUT_FD:
		return answer_put_fd(call, asked);
	default:
		return -ENODEV;
	}
}

/* From the call to its RETURN. -ENOTCONN: the fd is no connection, and nothing was asked. */
static int converse(struct call *call, struct node_message *message, const struct iovec *out)
{
	ssize_t sent = send_packet(call->conn, message, out, -1);
	int ret = sent < 0 ? -ENODEV : 0;

	if (sent == -EBADF || sent == -ENOTSOCK || sent == -ENOTCONN)
		return -ENOTCONN;
	while (!ret) {
		ret = receive(call, message);
		if (ret || message->type == NODE_RETURN)
			return ret;
		ret = answer(call, message);
	}
	return ret;
}

static int call_once(struct call *call, int peer, uint64_t node, struct node_message *message, const struct iovec *out)
{
	struct node_conn *conn;
	int ret = node_conn_get(peer, node, &conn);

	if (ret)
		return ret;
	call->conn = conn->fd;
	ret = converse(call, message, out);
	if (ret == -ENOTCONN)
		node_fd_lost(conn->fd);
	node_conn_put(conn, ret < 0);
	return ret;
}

/* @ret_fd: what came beside the RETURN, -1 for nothing; NULL when nothing can come. */
static int call_server(int fd, const struct node_id *id, struct node_message *message, const struct iovec *out,
		       const struct iovec *in, int *ret_fd)
{
	struct call call = {.in = in, .fd = -1};
	int err = errno, ret;

	message->file = id->file;
	ret = call_once(&call, fd, id->node, message, out);
	if (ret == -ENOTCONN) /* closed behind our back, by a system call of the program's own: a new one then */
		ret = call_once(&call, fd, id->node, message, out);
	errno = err;
	if (ret)
		return ret == -ENOTCONN ? -ENODEV : ret;
	if (ret_fd)
		*ret_fd = call.fd;
	return call.truncated ? -EMFILE : message->ret;
}

int node_call(int fd, const struct node_id *id, struct node_message *message, const struct iovec *out,
	      const struct iovec *in)
{
	return call_server(fd, id, message, out, in, NULL);
}

static int call_ioctl(enum node_call type, int fd, const struct node_id *id, unsigned long request, void *arg)
{
	struct node_message message = {
		.type = type,
		.words = {request, (uintptr_t)arg, (uint64_t)fd, (uint64_t)syscall(SYS_gettid)},
	};

	return call_server(fd, id, &message, NULL, NULL, NULL);
}

int node_ioctl(int fd, const struct node_id *id, unsigned long request, void *arg)
{
	return call_ioctl(NODE_IOCTL, fd, id, request, arg);
}

int node_sync_ioctl(int fd, const struct node_id *id, unsigned long request, void *arg)
{
	return call_ioctl(NODE_SYNC_IOCTL, fd, id, request, arg);
}

static int map(int fd, void *address, size_t size, int prot, int flags, uint64_t offset, void **ret_ptr)
{
	long ptr = syscall(SYS_mmap, address, size, prot, flags, fd, (long)offset);

	if (ptr == -1)
		return -errno;
	*ret_ptr = user_ptr((uint64_t)ptr);
	return 0;
}

int node_mmap(int fd, const struct node_id *id, void *address, size_t size, int prot, int flags, uint64_t offset,
	      void **ret_ptr)
{
	struct node_message message = {
		.type = NODE_MMAP,
		.words = {offset, size, (uint64_t)prot, (uint64_t)flags, (uint64_t)fd, (uint64_t)syscall(SYS_gettid)},
	};
	int memory = -1, err = errno;
	int ret = call_server(fd, id, &message, NULL, NULL, &memory);

	if (memory < 0)
		return ret < 0 ? ret : -ENODEV;
	if (ret >= 0)
		ret = map(memory, address, size, prot, flags, message.words[0], ret_ptr);
	syscall(SYS_close, memory);
	errno = err;
	return ret;
}

/* ---- Opening ---- */

/* Name the socket: which node, by the end of its folder's name, and a number that nobody can guess. */
static int name_file(int fd, const char *folder)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t head = 1 + strlen(NODE_FILE_NAME), length = strlen(folder);
	uint64_t node, file;

	if (length < 16 || !get_hex(folder + length - 16, &node))
		return -ENODEV;
	if (syscall(SYS_getrandom, &file, sizeof(file), 0) != (long)sizeof(file))
		return -ENODEV;
	memcpy(name.sun_path + 1, NODE_FILE_NAME, head - 1);
	put_hex(name.sun_path + head, node);
	name.sun_path[head + 16] = ':';
	put_hex(name.sun_path + head + 17, file);
	return raw(syscall(SYS_bind, fd, &name, offsetof(struct sockaddr_un, sun_path) + NODE_NAME_SIZE));
}

static int connect_file(int fd, const char *folder)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	if (strlen(folder) + sizeof("/" NODE_SOCKET) > sizeof(path))
		return -ENAMETOOLONG;
	stpcpy(stpcpy(path, folder), "/" NODE_SOCKET);
	return node_connect(fd, path);
}

static int say_hello(int fd)
{
	struct node_message message = {.type = NODE_HELLO_FILE, .words = {NODE_VERSION}};
	struct call call = {.conn = fd, .cancelled = true};
	int ret = send_packet(fd, &message, NULL, -1) < 0 ? -ENODEV : receive(&call, &message);

	return ret ? ret : message.ret;
}

static int open_socket(int fd, const char *folder)
{
	int ret = name_file(fd, folder);

	if (ret >= 0)
		ret = connect_file(fd, folder);
	if (ret >= 0)
		ret = say_hello(fd);
	return ret;
}

int node_open(const char *folder, int flags)
{
	int err = errno, ret;
	int fd = raw(syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));

	if (fd < 0) {
		errno = err;
		return fd;
	}
	ret = open_socket(fd, folder);
	if (ret >= 0 && !(flags & O_CLOEXEC))
		syscall(SYS_fcntl, fd, F_SETFD, 0);
	if (ret >= 0 && flags & O_NONBLOCK)
		syscall(SYS_fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK);
	if (ret < 0)
		syscall(SYS_close, fd);
	errno = err;
	if (ret >= 0)
		return fd;
	return ret == -ENOENT || ret == -ECONNREFUSED ? -ENODEV : ret;
}
