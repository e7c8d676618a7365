/* SPDX-License-Identifier: MIT */
/*
 * Framing: bytes of a connection become lines.
 *
 * The buffer is one contiguous piece, since the JSON parser wants a line in one piece; it exists only while there is
 * something in it, so that a thousand idle connections cost nothing. Unfinished lines of all connections are counted
 * in server->input_bytes: one client may send a large request, a thousand may not do so at the same time.
 *
 * A descriptor comes with the first byte that is sent along with it, and the kernel ends a read behind those bytes. So
 * it is meant for the line that these bytes end, or for the first after it that wants one; when they are all taken, it
 * is closed. One at a time: of several none is kept.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_private.h"
#include "util.h"

size_t conn_partial(const struct conn *conn)
{
	return conn->in_size - conn->in_used;
}

void conn_count_input(struct conn *conn)
{
	size_t now = conn_partial(conn);

	conn->server->input_bytes += now;
	conn->server->input_bytes -= conn->in_counted;
	conn->in_counted = now;
}

static void close_passed(struct conn *conn)
{
	if (conn->passed_fd >= 0)
		close(conn->passed_fd);
	conn->passed_fd = -1;
	conn->passed_many = false;
}

void conn_end_passed(struct conn *conn)
{
	if (conn->received - conn_partial(conn) >= conn->passed_until)
		close_passed(conn);
}

void conn_forget_input(struct conn *conn)
{
	close_passed(conn);
	free(conn->in);
	conn->in = NULL;
	conn->in_used = conn->in_size = conn->in_room = conn->in_scanned = 0;
	conn_count_input(conn);
}

/** Room for a chunk behind what is there. A line may grow to its limit and no further, so neither does the buffer. */
static bool make_room(struct conn *conn)
{
	size_t room = conn->in_room ? conn->in_room : INPUT_CHUNK;
	char *grown;

	if (conn->in_used > 0) {
		memmove(conn->in, conn->in + conn->in_used, conn_partial(conn));
		conn->in_size -= conn->in_used;
		conn->in_scanned -= conn->in_used;
		conn->in_used = 0;
	}
	if (conn->in && conn->in_room - conn->in_size >= INPUT_CHUNK / 2)
		return true;
	if (conn->in)
		room *= 2;
	grown = realloc(conn->in, room);
	if (!grown)
		return false;
	conn->in = grown;
	conn->in_room = room;
	return true;
}

static enum conn_read read_result(ssize_t size)
{
	if (size > 0)
		return CONN_READ_SOME;
	if (size == 0)
		return CONN_READ_END;
	return errno == EAGAIN || errno == EINTR ? CONN_READ_NOTHING : CONN_READ_FAILED;
}

static void take_passed(struct conn *conn, struct msghdr *message)
{
	size_t passed = 0;
	int fd;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; CMSG_LEN(at + sizeof(fd)) <= part->cmsg_len; at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(part) + at, sizeof(fd));
			if (++passed == 1 && conn->passed_fd < 0) {
				conn->passed_fd = fd;
			} else {
				close(fd);
				passed = 2;
			}
		}
	}
	if (passed == 0 && !(message->msg_flags & MSG_CTRUNC))
		return;
	conn->passed_until = conn->received;
	if (passed > 1 || message->msg_flags & MSG_CTRUNC) {
		close_passed(conn);
		conn->passed_many = true;
	}
}

/** read(2), and the descriptors that come along. */
static ssize_t receive(struct conn *conn, char *bytes, size_t room)
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {bytes, room};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	ssize_t size = recvmsg(conn->fd, &message, MSG_CMSG_CLOEXEC);

	if (size > 0)
		conn->received += (size_t)size;
	if (size >= 0)
		take_passed(conn, &message);
	return size;
}

enum conn_read conn_visit_fill(struct conn *conn)
{
	ssize_t size;

	if (!make_room(conn)) {
		errno = ENOMEM;
		return CONN_READ_FAILED;
	}
	size = receive(conn, conn->in + conn->in_size, conn->in_room - conn->in_size);
	if (size > 0)
		conn->in_size += (size_t)size;
	return read_result(size);
}

enum conn_read conn_read_input(struct conn *conn)
{
	enum conn_read result = conn_visit_fill(conn);

	conn_count_input(conn);
	return result;
}

enum conn_read conn_discard_input(struct conn *conn)
{
	char bytes[INPUT_CHUNK];

	return read_result(read(conn->fd, bytes, sizeof(bytes)));
}

bool conn_has_line(struct conn *conn)
{
	char *newline = NULL;

	if (conn->in_scanned < conn->in_used)
		conn->in_scanned = conn->in_used;
	if (conn->in_scanned < conn->in_size)
		newline = memchr(conn->in + conn->in_scanned, '\n', conn->in_size - conn->in_scanned);
	conn->in_scanned = newline ? (size_t)(newline - conn->in) : conn->in_size;
	return newline;
}

bool conn_next_line(struct conn *conn, const char **ret_line, size_t *ret_size)
{
	if (!conn_has_line(conn))
		return false;
	*ret_line = conn->in + conn->in_used;
	*ret_size = conn->in_scanned - conn->in_used;
	conn->in_used = ++conn->in_scanned;
	conn_count_input(conn);
	return true;
}
