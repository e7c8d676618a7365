/* SPDX-License-Identifier: MIT */
/*
 * The thread of a connection: calls one after the other, each as the simulator would serve it for its own process.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node_server.h"
#include "sim.h"

/* The bytes behind a call or its RETURN: a page, a value, counters. */
union data {
	char bytes[64];
	uint64_t value;
	struct pb_page page;
	struct panbind_gpu_stats stats;
};

struct reply {
	struct node_message message;
	union data data;
	size_t size; /* of the data */
	int fd;	     /* beside it, ours to close, or -1 */
};

static int serve_gpu(struct node_file *file, const struct node_message *call, const union data *in, struct reply *reply)
{
	const struct pb_gpu_ops *gpu = file->sim->backend->gpu;
	uint32_t vm = (uint32_t)call->words[0];
	int ret;

	switch (call->type) {
	case NODE_NEXT_PAGE:
		reply->size = sizeof(reply->data.page);
		return gpu->next_page(file->sim, vm, call->words[1], &reply->data.page);
	case NODE_RESIDENT:
		return gpu->resident(file->sim, vm, (int)call->words[1]);
	case NODE_STATS:
		reply->size = sizeof(reply->data.stats);
		return gpu->stats(file->sim, vm, &reply->data.stats);
	default:
		if (call->words[2] > sizeof(reply->data.value))
			return -EINVAL;
		reply->data.value = in->value;
		ret = gpu->access(file->sim, vm, call->words[1], &reply->data.value, call->words[2],
				  (uint32_t)call->words[3] | (call->type == NODE_STORE ? PB_GPU_STORE : 0));
		reply->size = call->words[2];
		return ret;
	}
}

static int serve_mmap(struct node_file *file, const struct node_message *call, struct reply *reply)
{
	int fd = sim_mmap_fd(file->sim, call->words[0], call->words[1], (int)call->words[2],
			     ((int)call->words[3] & MAP_TYPE) != MAP_PRIVATE);

	if (fd < 0)
		return fd;
	reply->fd = fd;
	return 0;
}

static int serve_file(struct node_file *file, const struct node_message *call, const union data *in,
		      struct reply *reply)
{
	switch (call->type) {
	case NODE_IOCTL:
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): the caller's pointer, which nobody follows here */
		return file->sim->backend->ioctl(file->sim, call->words[0], (void *)(uintptr_t)call->words[1]);
	case NODE_MMAP:
		return serve_mmap(file, call, reply);
	case NODE_ATOMIC:
		return file->sim->backend->atomic(file->sim);
	default:
		return serve_gpu(file, call, in, reply);
	}
}

static int serve_traced(struct node_peer *peer, struct node_file *file, const struct node_message *call,
			const union data *in, struct reply *reply)
{
	struct node_entry entry;
	int ret;

	node_trace_begin(&entry, peer->sim->trace, peer, file->number, call);
	ret = serve_file(file, call, in, reply);
	node_trace_end(&entry, ret);
	return ret;
}

static int serve_sync(const struct node_message *call, struct reply *reply)
{
	int status, ret;

	if (call->type == NODE_SYNC_IOCTL)
		return sim_sync_file_ioctl(call->file, call->words[0], call->words[1]);
	ret = sim_sync_cookie_status(call->file, &status);
	if (!ret)
		reply->message.words[0] = (uint64_t)status;
	return ret;
}

static int serve(struct node_peer *peer, const struct node_message *call, const union data *in, struct reply *reply)
{
	struct node_file *file;
	int ret;

	if (call->type == NODE_SYNC_STATUS || call->type == NODE_SYNC_IOCTL)
		return serve_sync(call, reply);
	file = node_file_get(peer->sim, call->file);
	if (!file)
		return -EBADF;
	ret = serve_traced(peer, file, call, in, reply);
	node_file_put(peer->sim, file);
	return ret;
}

static int send_reply(struct node_peer *peer, struct reply *reply, int ret)
{
	reply->message.type = NODE_RETURN;
	reply->message.ret = ret;
	ret = node_peer_send(peer, &reply->message, reply->data.bytes, reply->size, reply->fd);
	if (reply->fd >= 0)
		close(reply->fd);
	return ret;
}

static void serve_calls(struct node_peer *peer)
{
	for (;;) {
		struct reply reply = {.fd = -1};
		struct node_message call;
		union data in = {0};
		int ret;

		if (node_peer_receive(peer, &call, &in, sizeof(in), NULL) < 0)
			return;
		ret = serve(peer, &call, &in, &reply);
		if (ret < 0)
			reply.size = 0;
		if (send_reply(peer, &reply, ret))
			return;
	}
}

/* The identity that the program's end of the socket has in its name. */
static int read_name(int fd, uint64_t *ret_id)
{
	struct sockaddr_un name = {0};
	socklen_t size = sizeof(name);
	char *end;

	if (getpeername(fd, (struct sockaddr *)&name, &size) ||
	    size != offsetof(struct sockaddr_un, sun_path) + NODE_NAME_SIZE)
		return -EINVAL;
	*ret_id = strtoull(name.sun_path + NODE_NAME_SIZE - 16, &end, 16);
	return 0;
}

static void open_file(struct node_peer *peer)
{
	struct node_message answer = {.type = NODE_RETURN};
	struct node_file *file = NULL;
	int fd = peer->fd;
	uint64_t id;

	answer.ret = read_name(fd, &id);
	if (!answer.ret)
		answer.ret = node_file_open(peer, id, &file);
	node_send(fd, &answer, NULL, 0, -1);
	if (file)
		node_file_watch(peer->sim, file);
}

void *node_serve(void *arg)
{
	struct node_peer *peer = arg;
	struct node_message hello;

	if (node_peer_receive(peer, &hello, NULL, 0, NULL) >= 0 && hello.words[0] == NODE_VERSION) {
		if (hello.type == NODE_HELLO_FILE)
			open_file(peer);
		if (hello.type == NODE_HELLO_CALLS) {
			sim_user_set(&peer->user);
			serve_calls(peer);
			sim_user_set(NULL);
		}
	}
	node_peer_end(peer);
	return NULL;
}
