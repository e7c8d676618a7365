/* SPDX-License-Identifier: MIT */
/*
 * A simulated render node of another process (panbind-sim.h), by its folder or by an fd that came from there.
 *
 * It is a render node like another, but for what a simulator can show: its pages, its GPU's accesses, whether it is
 * atomic. The program that holds the other duplicates of the fd shares VMs and BOs with us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "internal.h"
#include "sim/node_client.h"

struct node {
	struct pb_file base;
	int fd;
	struct node_id id;
	char folder[108]; /* of its server: what "node:" takes */
};

static struct node *to_node(struct pb_file *file)
{
	return (struct node *)file;
}

bool pb_node_is(int fd)
{
	struct node_id id;
	return node_identify(fd, &id);
}

/** The folder of the server at the other end. */
static void read_folder(struct node *node)
{
	struct sockaddr_un name = {0};
	socklen_t size = sizeof(name) - 1;
	if (getpeername(node->fd, (struct sockaddr *)&name, &size) == 0)
		snprintf(node->folder, sizeof(node->folder), "%.*s",
			 (int)(strlen(name.sun_path) - strlen(strrchr(name.sun_path, '/') ?: "")), name.sun_path);
}

/** Wrap @fd, which is consumed whatever happens. */
static int wrap_fd(int fd, struct pb_file **ret_file, struct panbind_error *reterr)
{
	pb_autoclose int owned = fd;
	struct node_id id;
	if (!node_identify(owned, &id))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "fd %d is no simulated node", owned);

	struct node *node = calloc(1, sizeof(*node));
	if (!node)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	node->base.backend = &pb_backend_node;
	node->fd = pb_take_fd(owned);
	node->id = id;
	read_folder(node);
	*ret_file = &node->base;
	return 0;
}

static int open_folder(const char *folder, struct pb_file **ret_file, struct panbind_error *reterr)
{
	if (*folder != '/')
		return pb_error_at_place(reterr, -EINVAL, PANBIND_STAGE_PARSE, NULL, 1, 1,
					 "node: needs the folder of a simulated node, from its root on");
	int fd = node_open(folder, O_CLOEXEC);
	if (fd < 0)
		return pb_error_set(reterr, fd, PANBIND_STAGE_VALIDATE, "cannot open the simulated node in %.80s: %s",
				    folder, panbind_errno_name(fd));
	return wrap_fd(fd, ret_file, reterr);
}

static int open_fd(int fd, struct pb_file **ret_file, struct panbind_error *reterr)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0) {
		int err = errno;
		return pb_error_set(reterr, -err, PANBIND_STAGE_VALIDATE, "cannot duplicate fd %d: %s", fd,
				    panbind_errno_name(err));
	}
	return wrap_fd(copy, ret_file, reterr);
}

static void close_file(struct pb_file *file)
{
	close(to_node(file)->fd);
	free(to_node(file));
}

static int do_ioctl(struct pb_file *file, unsigned long request, void *arg)
{
	return node_ioctl(to_node(file)->fd, &to_node(file)->id, request, arg);
}

static int do_mmap(struct pb_file *file, uint64_t offset, size_t size, int prot, void **ret_ptr)
{
	return node_mmap(to_node(file)->fd, &to_node(file)->id, NULL, size, prot, MAP_SHARED, offset, ret_ptr);
}

static int call(struct pb_file *file, struct node_message *message, const struct iovec *out, const struct iovec *in)
{
	return node_call(to_node(file)->fd, &to_node(file)->id, message, out, in);
}

static int fence_status(struct pb_file *file, int sync_file, int *ret_status)
{
	struct node_message message = {.type = NODE_SYNC_STATUS};
	struct node_id id;
	if (!node_identify_sync(sync_file, &id))
		return fcntl(sync_file, F_GETFD) < 0 ? -EBADF : -EINVAL;
	int ret = node_call(to_node(file)->fd, &id, &message, NULL, NULL);
	if (ret < 0)
		return ret;
	*ret_status = (int)message.words[0];
	return 0;
}

static int file_fd(struct pb_file *file)
{
	return to_node(file)->fd;
}

static const char *path(struct pb_file *file)
{
	return to_node(file)->folder;
}

static int atomic(struct pb_file *file)
{
	struct node_message message = {.type = NODE_ATOMIC};
	int ret = call(file, &message, NULL, NULL);
	return ret < 0 ? PANBIND_UNKNOWN : ret;
}

static int resident(struct pb_file *file, uint32_t vm_id, int on)
{
	struct node_message message = {.type = NODE_RESIDENT, .words = {vm_id, (uint64_t)on}};
	return call(file, &message, NULL, NULL);
}

static int gpu_access(struct pb_file *file, uint32_t vm_id, uint64_t va, void *value, size_t size, uint32_t flags)
{
	bool store = flags & PB_GPU_STORE;
	struct node_message message = {
		.type = store ? NODE_STORE : NODE_LOAD,
		.words = {vm_id, va, size, flags},
	};
	const struct iovec data = {value, size};
	return call(file, &message, store ? &data : NULL, store ? NULL : &data);
}

static int stats(struct pb_file *file, uint32_t vm_id, struct panbind_gpu_stats *ret_stats)
{
	struct node_message message = {.type = NODE_STATS, .words = {vm_id}};
	struct panbind_gpu_stats got;
	int ret = call(file, &message, NULL, &(struct iovec){&got, sizeof(got)});
	if (ret == 0)
		*ret_stats = got;
	return ret;
}

static int next_page(struct pb_file *file, uint32_t vm_id, uint64_t va, struct pb_page *ret_page)
{
	struct node_message message = {.type = NODE_NEXT_PAGE, .words = {vm_id, va}};
	struct pb_page got;
	int ret = call(file, &message, NULL, &(struct iovec){&got, sizeof(got)});
	if (ret == 0)
		*ret_page = got;
	return ret;
}

/* A probe runs in the middle of an op, on the thread that binds: that one is not in this process. */
static int probe(struct pb_file *file, pb_as_probe_fn *fn, void *data)
{
	return -EOPNOTSUPP;
}

static const struct pb_gpu_ops gpu_ops = {
	.resident = resident,
	.access = gpu_access,
	.stats = stats,
	.next_page = next_page,
	.probe = probe,
};

const struct pb_backend pb_backend_node = {
	.name = "node",
	.open = open_folder,
	.open_fd = open_fd,
	.close = close_file,
	.ioctl = do_ioctl,
	.mmap = do_mmap,
	.fence_status = fence_status,
	.path = path,
	.fd = file_fd,
	.atomic = atomic,
	.gpu = &gpu_ops,
};
