/* SPDX-License-Identifier: MIT */
/*
 * The caller on the other end of a connection, as the simulator's user: its memory by process_vm_readv(2) where the
 * kernel lets us, else by asking; its fds by asking; its signals by what it says while it waits.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node_server.h"

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int node_send(int to, struct node_message *message, const void *data, size_t size, int fd)
{
	/* It loses the const, and is only read: as in writev(2). NOLINTNEXTLINE(performance-no-int-to-ptr) */
	struct iovec iov[2] = {{message, sizeof(*message)}, {(void *)(uintptr_t)data, size}};
	union control control = {.header = {
					 .cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS,
				 }};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};
	ssize_t ret;

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	do
		ret = sendmsg(to, &msg, MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -EPIPE : 0;
}

int node_peer_send(struct node_peer *peer, struct node_message *message, const void *data, size_t size, int fd)
{
	return node_send(peer->fd, message, data, size, fd);
}

static ssize_t receive_once(struct node_peer *peer, struct iovec *iov, int *ret_fd)
{
	union control control;
	/* CMSG_SPACE() is rounded up, and would have room for a second one. */
	struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
	struct cmsghdr *cmsg;
	ssize_t ret;

	do
		ret = recvmsg(peer->fd, &msg, MSG_CMSG_CLOEXEC);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -EPIPE;
	cmsg = CMSG_FIRSTHDR(&msg);
	*ret_fd = -1;
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(cmsg), sizeof(int));
	if (ret < (ssize_t)sizeof(struct node_message)) {
		if (*ret_fd >= 0)
			close(*ret_fd);
		*ret_fd = -1;
		return -EPIPE;
	}
	return ret - (ssize_t)sizeof(struct node_message);
}

ssize_t node_peer_receive(struct node_peer *peer, struct node_message *message, void *data, size_t room, int *ret_fd)
{
	struct iovec iov[2] = {{message, sizeof(*message)}, {data, room}};
	ssize_t ret;
	int fd = -1;

	do {
		if (fd >= 0)
			close(fd);
		ret = receive_once(peer, iov, &fd);
	} while (ret >= 0 && message->type == NODE_CANCEL); /* of a call that has ended by itself */
	if (ret >= 0 && ret_fd)
		*ret_fd = fd;
	else if (ret >= 0 && fd >= 0)
		close(fd);
	return ret;
}

static struct node_peer *to_peer(struct sim_user *user)
{
	return (struct node_peer *)user;
}

/* ---- Memory ---- */

static int ask_read(struct node_peer *peer, void *local, uint64_t address, size_t size)
{
	struct node_message message = {.type = NODE_READ, .words = {address, size}};
	ssize_t got;

	if (node_peer_send(peer, &message, NULL, 0, -1))
		return -EFAULT;
	got = node_peer_receive(peer, &message, local, size, NULL);
	return got == (ssize_t)size && message.type == NODE_ANSWER && !message.ret ? 0 : -EFAULT;
}

static int ask_write(struct node_peer *peer, const void *local, uint64_t address, size_t size)
{
	struct node_message message = {.type = NODE_WRITE, .words = {address, size}};
	ssize_t ret;

	if (node_peer_send(peer, &message, NULL, 0, -1))
		return -EFAULT;
	do
		ret = send(peer->fd, local, size, MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	if (ret < 0 || node_peer_receive(peer, &message, NULL, 0, NULL) < 0)
		return -EFAULT;
	return message.type == NODE_ANSWER && !message.ret ? 0 : -EFAULT;
}

static int ask_copy(struct node_peer *peer, bool to_user, char *local, uint64_t address, size_t size)
{
	int ret = 0;

	while (size && !ret) {
		size_t piece = size < NODE_PIECE ? size : NODE_PIECE;

		ret = to_user ? ask_write(peer, local, address, piece) : ask_read(peer, local, address, piece);
		local += piece;
		address += piece;
		size -= piece;
	}
	return ret;
}

static int copy(struct sim_user *user, bool to_user, void *local, uint64_t address, size_t size)
{
	struct node_peer *peer = to_peer(user);

	if (!peer->must_ask) {
		int ret = sim_user_move(peer->pid, to_user, local, address, size);

		if (ret != -EPERM)
			return ret;
		peer->must_ask = true;
	}
	return ask_copy(peer, to_user, local, address, size);
}

/* ---- Fds ---- */

static int get_fd(struct sim_user *user, int fd)
{
	struct node_message message = {.type = NODE_GET_FD, .words = {(uint64_t)fd}};
	int got = -1;

	if (node_peer_send(to_peer(user), &message, NULL, 0, -1) ||
	    node_peer_receive(to_peer(user), &message, NULL, 0, &got) < 0)
		return -EBADF;
	return got >= 0 ? got : -EBADF;
}

static int put_fd(struct sim_user *user, int fd, bool cloexec)
{
	struct node_message message = {.type = NODE_PUT_FD, .words = {cloexec}};
	int ret = node_peer_send(to_peer(user), &message, NULL, 0, fd);

	close(fd);
	if (ret || node_peer_receive(to_peer(user), &message, NULL, 0, NULL) < 0)
		return -EMFILE;
	return message.ret;
}

/* Both ends get a name: theirs says which sync file it is, ours where its server is. Without one it is found by none.
 */
static void name_sync(struct sim_user *user, int theirs, int ours, uint64_t cookie)
{
	const struct panbind_sim *sim = to_peer(user)->sim;
	const size_t head = offsetof(struct sockaddr_un, sun_path) + 1;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int length;

	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, NODE_SYNC_NAME "%016llx:%016llx",
		 (unsigned long long)sim->id, (unsigned long long)cookie);
	if (bind(theirs, (struct sockaddr *)&name, offsetof(struct sockaddr_un, sun_path) + NODE_NAME_SIZE))
		return;
	length = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, NODE_SYNC_NAME "%016llx:%s/" NODE_SOCKET,
			  (unsigned long long)cookie, sim->folder);
	if (length > 0)
		(void)bind(ours, (struct sockaddr *)&name, (socklen_t)(head + (size_t)length));
}

/* ---- Signals ---- */

static void wait_begin(struct sim_user *user, void (*wake)(void *data), void *data)
{
	struct node_peer *peer = to_peer(user);
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = peer};

	pthread_mutex_lock(&peer->sim->lock);
	peer->interrupt = peer->sim->stopping;
	peer->wake = wake;
	peer->wake_data = data;
	pthread_mutex_unlock(&peer->sim->lock);
	epoll_ctl(peer->sim->poll_fd, EPOLL_CTL_ADD, peer->fd, &event);
}

static void wait_end(struct sim_user *user)
{
	struct node_peer *peer = to_peer(user);

	epoll_ctl(peer->sim->poll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
	pthread_mutex_lock(&peer->sim->lock);
	peer->wake = NULL;
	peer->interrupt = false;
	pthread_mutex_unlock(&peer->sim->lock);
}

static bool interrupted(struct sim_user *user)
{
	struct node_peer *peer = to_peer(user);
	bool interrupt;

	pthread_mutex_lock(&peer->sim->lock);
	interrupt = peer->interrupt;
	pthread_mutex_unlock(&peer->sim->lock);
	return interrupt;
}

static bool may_nice(struct sim_user *user)
{
	pid_t pid = to_peer(user)->pid;

	return pid > 0 && sim_user_pid_may_nice(pid);
}

void node_peer_init(struct node_peer *peer, struct panbind_sim *sim, int fd)
{
	struct ucred cred = {0};
	socklen_t size = sizeof(cred);

	*peer = (struct node_peer){
		.user =
			{
				.copy = copy,
				.get_fd = get_fd,
				.put_fd = put_fd,
				.name_sync = name_sync,
				.wait_begin = wait_begin,
				.wait_end = wait_end,
				.interrupted = interrupted,
				.may_nice = may_nice,
			},
		.sim = sim,
		.fd = fd,
	};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0)
		peer->pid = cred.pid;
	peer->must_ask = peer->pid <= 0;
}
