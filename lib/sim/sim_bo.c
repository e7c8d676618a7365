/* SPDX-License-Identifier: MIT */
/*
 * Buffer objects: memory, and the ioctls that make and describe it.
 *
 * A BO is a memfd, mapped into this process for as long as the BO lives: its address there is what page tables hold.
 * The kernel knows no limit of BOs, but a process has few file descriptors; when half of them are in use, a new BO
 * keeps only its mapping and can no longer be exported.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"
#include "sim_user.h"

static uint64_t page_align(uint64_t size)
{
	return (size + SIM_PAGE_SIZE - 1) & ~(SIM_PAGE_SIZE - 1);
}

struct sim_bo *sim_bo_get(struct sim_bo *bo)
{
	atomic_fetch_add_explicit(&bo->refs, 1, memory_order_relaxed);
	return bo;
}

bool sim_bo_get_unless_zero(struct sim_bo *bo)
{
	unsigned refs = atomic_load(&bo->refs);

	while (refs)
		if (atomic_compare_exchange_weak(&bo->refs, &refs, refs + 1))
			return true;
	return false;
}

static void forget(struct sim_vmas *vmas, uint64_t key)
{
	sim_vmas_remove(vmas, sim_vmas_find(vmas, key));
}

static void destroy(struct sim_bo *bo)
{
	struct sim_device *device = bo->device;

	pthread_mutex_lock(&device->lock);
	if (bo->mmap_offset)
		forget(&device->by_offset, bo->mmap_offset);
	if (bo->mem)
		forget(&device->by_host, (uintptr_t)bo->mem);
	pthread_mutex_unlock(&device->lock);
	if (bo->mem)
		munmap(bo->mem, bo->size);
	if (bo->fd >= 0)
		close(bo->fd);
	free(bo->label);
	free(bo);
}

void sim_bo_put(struct sim_bo *bo)
{
	if (bo && atomic_fetch_sub(&bo->refs, 1) == 1)
		destroy(bo);
}

/* 2 MiB aligned where it can matter, so that offset and address agree on where a block can be. */
static uint8_t *map_aligned(int fd, uint64_t size)
{
	uint64_t align = size >= SIM_BLOCK_SIZE ? SIM_BLOCK_SIZE : SIM_PAGE_SIZE, slack = align - SIM_PAGE_SIZE;
	uint8_t *room = mmap(NULL, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *mem;
	size_t head;

	if (room == MAP_FAILED)
		return NULL;
	head = -(uintptr_t)room & (align - 1);
	mem = room + head;
	if (head)
		munmap(room, head);
	if (slack > head)
		munmap(mem + size, slack - head);
	if (mmap(mem, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED) {
		munmap(mem, size);
		return NULL;
	}
	return mem;
}

static int remember(struct sim_bo *bo)
{
	struct sim_device *device = bo->device;
	int ret;

	pthread_mutex_lock(&device->lock);
	ret = sim_mmap_add(device, bo);
	if (!ret)
		ret = sim_vmas_reserve(&device->by_host, 1);
	if (!ret && !(bo->mem = map_aligned(bo->fd, bo->size)))
		ret = -ENOMEM;
	if (!ret)
		sim_vmas_insert(&device->by_host, (uintptr_t)bo->mem, bo->size, bo, 0, 0);
	pthread_mutex_unlock(&device->lock);
	return ret;
}

static bool fds_are_scarce(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	       (rlim_t)fd >= limit.rlim_cur / 2;
}

/* Takes over @fd, also on failure. */
static int new_bo(struct sim_device *device, int fd, uint64_t size, uint32_t flags, struct sim_bo **ret_bo)
{
	struct sim_bo *bo = calloc(1, sizeof(*bo));
	struct stat st;
	int ret;

	if (!bo) {
		close(fd);
		return -ENOMEM;
	}
	atomic_init(&bo->refs, 1);
	bo->device = device;
	bo->size = size;
	bo->flags = flags;
	bo->fd = fd;
	ret = fstat(fd, &st) ? -errno : 0;
	if (!ret) {
		bo->dev = st.st_dev;
		bo->ino = st.st_ino;
		ret = remember(bo);
	}
	if (ret) {
		sim_bo_put(bo);
		return ret;
	}
	if (fds_are_scarce(fd)) {
		close(fd);
		bo->fd = -1;
	}
	*ret_bo = bo;
	return 0;
}

int sim_bo_create(struct sim_device *device, uint64_t size, uint32_t flags, struct sim_bo **ret_bo)
{
	int fd;

	size = page_align(size);
	if (size > INT64_MAX)
		return -EINVAL; /* no file is that long */
	if (!size || size > SIM_MMAP_SPACE)
		return -ENOSPC;
	fd = sim_prime_memfd(device, flags);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size)) {
		close(fd);
		return -ENOMEM;
	}
	return new_bo(device, fd, size, flags, ret_bo);
}

int sim_bo_wrap(struct sim_device *device, int fd, uint32_t flags, bool imported, struct sim_bo **ret_bo)
{
	int own = sim_prime_reopen(fd, O_RDWR), ret;
	struct sim_bo *bo;
	struct stat st;

	if (own < 0)
		return own;
	if (fstat(own, &st) || st.st_size <= 0 || (uint64_t)st.st_size % SIM_PAGE_SIZE) {
		close(own);
		return -EINVAL;
	}
	ret = new_bo(device, own, (uint64_t)st.st_size, flags, &bo);
	if (ret)
		return ret;
	bo->imported = imported;
	*ret_bo = bo;
	return 0;
}

/* The serial of the VM, 0 for none. */
static int find_exclusive(struct sim_file *file, uint32_t vm_id, uint64_t *ret_serial)
{
	struct sim_vm *vm;

	*ret_serial = 0;
	if (!vm_id)
		return 0;
	vm = sim_vm_get(file, vm_id);
	if (!vm)
		return -EINVAL;
	*ret_serial = vm->serial;
	sim_vm_put(vm);
	return 0;
}

int sim_bo_create_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_bo_create *args = arg;
	uint32_t known = PB_BO_NO_MMAP | (file->device->options.minor >= 7 ? PB_BO_WB_MMAP : 0);
	struct sim_bo *bo;
	uint64_t exclusive;
	int ret;

	if (!args->size || args->pad || args->flags & ~known)
		return -EINVAL;
	if ((args->flags & known) == (PB_BO_NO_MMAP | PB_BO_WB_MMAP))
		return -EINVAL;
	ret = find_exclusive(file, args->exclusive_vm_id, &exclusive);
	if (ret)
		return ret;
	ret = sim_bo_create(file->device, args->size, args->flags, &bo);
	if (ret)
		return ret;
	bo->exclusive = exclusive;
	ret = sim_handle_create(file, bo, &args->handle);
	if (!ret)
		args->size = bo->size;
	sim_bo_put(bo);
	return ret;
}

/* Copy up to the end of the user's page: what lies beyond the NUL need not be there. */
static int fetch_piece(char *label, uint64_t user, size_t room, size_t *ret_size)
{
	size_t size = SIM_PAGE_SIZE - user % SIM_PAGE_SIZE;

	*ret_size = size < room ? size : room;
	return sim_copy_from_user(label, user, *ret_size);
}

/* strndup_user(): NULL without a label; -E2BIG when the terminating NUL is not among the first 4096 bytes. */
static int fetch_label(uint64_t user, char **ret_label)
{
	char label[PB_BO_LABEL_MAX];
	size_t length = 0, size;

	*ret_label = NULL;
	if (!user)
		return 0;
	do {
		if (length == sizeof(label))
			return -E2BIG;
		if (fetch_piece(label + length, user + length, sizeof(label) - length, &size))
			return -EFAULT;
		length += size;
	} while (!memchr(label + length - size, '\0', size));
	*ret_label = strdup(label);
	return *ret_label ? 0 : -ENOMEM;
}

int sim_bo_set_label_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_bo_set_label *args = arg;
	struct sim_bo *bo;
	char *label, *old = NULL;
	int ret;

	if (args->pad)
		return -EINVAL;
	bo = sim_handle_find(file, args->handle);
	if (!bo)
		return -ENOENT;
	ret = fetch_label(args->label, &label);
	if (!ret) {
		pthread_mutex_lock(&file->device->lock);
		old = bo->label;
		bo->label = label;
		pthread_mutex_unlock(&file->device->lock);
	}
	free(old);
	sim_bo_put(bo);
	return ret;
}

/* CPU and simulated GPU share caches: only the checks are left of a sync. */
static int sync_bo(struct sim_file *file, const struct pb_uapi_bo_sync_op *op)
{
	struct sim_bo *bo = sim_handle_find(file, op->handle);
	int ret = 0;

	if (!bo)
		return -ENOENT;
	if (op->offset + op->size < op->offset || op->offset + op->size > bo->size || bo->imported ||
	    op->type > PB_BO_SYNC_FLUSH_AND_INVALIDATE)
		ret = -EINVAL;
	sim_bo_put(bo);
	return ret;
}

int sim_bo_sync_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_bo_sync *args = arg;
	struct pb_uapi_bo_sync_op *ops;
	int ret = sim_get_array(&args->ops, sizeof(*ops), sizeof(*ops), (void **)&ops);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < args->ops.count && !ret; i++)
		ret = sync_bo(file, &ops[i]);
	free(ops);
	return ret;
}

int sim_bo_query_info_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_bo_query_info *args = arg;
	struct sim_bo *bo = sim_handle_find(file, args->handle);

	if (!bo)
		return -ENOENT;
	args->pad = 0;
	args->create_flags = bo->flags;
	args->extra_flags = bo->imported ? PB_BO_IS_IMPORTED : 0;
	sim_bo_put(bo);
	return 0;
}
