/* SPDX-License-Identifier: MIT */
/*
 * Fake offsets and mmap: how the CPU gets at a BO, and at the page with the flush id.
 *
 * Offsets of a device are handed out one behind the other and reused when the end is reached. The space has the size
 * that DRM gives it, which is what bounds a BO's size.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim.h"

/* DRM_FILE_PAGE_OFFSET_START: above what 32 bits of mmap arguments were once used for. */
#define SPACE_START	  (UINT64_C(0x100000) * SIM_PAGE_SIZE)
#define SPACE_END	  (SPACE_START + SIM_MMAP_SPACE)
/* From here on no offset is told of a BO that shall not be mapped; and who guesses it is not held up. */
#define MINOR_NO_OFFSET	  4
#define MMIO_OFFSET_32BIT (UINT64_C(1) << 43)
#define MMIO_OFFSET_64BIT (UINT64_C(1) << 56)

/* First gap of @size bytes in [start, end), 0 when there is none. */
static uint64_t find_gap(const struct sim_vmas *taken, uint64_t start, uint64_t end, uint64_t size)
{
	for (const struct sim_vma *v = sim_vmas_find(taken, start); v; v = v->next) {
		if (v->start >= start && v->start - start >= size)
			break;
		start = v->start + v->size;
	}
	return start < end && end - start >= size ? start : 0;
}

int sim_mmap_add(struct sim_device *device, struct sim_bo *bo)
{
	uint64_t hint = device->next_offset ? device->next_offset : SPACE_START, offset;
	int ret = sim_vmas_reserve(&device->by_offset, 1);

	if (ret)
		return ret;
	offset = find_gap(&device->by_offset, hint, SPACE_END, bo->size);
	if (!offset)
		offset = find_gap(&device->by_offset, SPACE_START, SPACE_END, bo->size);
	if (!offset)
		return -ENOSPC;
	sim_vmas_insert(&device->by_offset, offset, bo->size, bo, 0, 0);
	bo->mmap_offset = offset;
	device->next_offset = offset + bo->size;
	return 0;
}

int sim_bo_mmap_offset_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_bo_mmap_offset *args = arg;
	struct sim_bo *bo;
	int ret = 0;

	if (args->pad)
		return -EINVAL;
	bo = sim_handle_find(file, args->handle);
	if (!bo)
		return -ENOENT;
	if (bo->flags & PB_BO_NO_MMAP && file->device->options.minor >= MINOR_NO_OFFSET)
		ret = -EPERM;
	else
		args->offset = bo->mmap_offset;
	sim_bo_put(bo);
	return ret;
}

int sim_set_user_mmio_offset_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_set_user_mmio_offset *args = arg;

	if (args->offset != MMIO_OFFSET_32BIT && args->offset != MMIO_OFFSET_64BIT)
		return -EINVAL;
	pthread_mutex_lock(&file->lock);
	file->mmio_offset = args->offset;
	pthread_mutex_unlock(&file->lock);
	return 0;
}

static int map_anonymous(size_t size, int prot, void **ret_ptr)
{
	void *ptr = mmap(NULL, size, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ptr == MAP_FAILED)
		return -errno;
	*ret_ptr = ptr;
	return 0;
}

/* One read-only page behind the start of the MMIO range: a flush id that never moves, since no job flushes. */
static int map_flush_id(uint64_t offset, size_t size, int prot, void **ret_ptr)
{
	if (offset || size != SIM_PAGE_SIZE || prot & (PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	return map_anonymous(size, prot, ret_ptr);
}

/* Without an fd the simulator's own mapping is doubled: mremap() of length 0 does that for shared memory. */
static int map_bo(const struct sim_bo *bo, size_t size, int prot, void **ret_ptr)
{
	void *ptr;

	if (bo->fd >= 0) {
		ptr = mmap(NULL, size, prot, MAP_SHARED, bo->fd, 0);
		if (ptr == MAP_FAILED)
			return -errno;
	} else {
		ptr = mremap(bo->mem, 0, size, MREMAP_MAYMOVE);
		if (ptr == MAP_FAILED)
			return -errno;
		mprotect(ptr, size, prot);
	}
	*ret_ptr = ptr;
	return 0;
}

static bool is_refused(const struct sim_device *device, const struct sim_bo *bo)
{
	return bo->flags & PB_BO_NO_MMAP && device->options.minor < MINOR_NO_OFFSET;
}

/* The BO at a fake offset, with a reference: -EINVAL, -EACCES when it has no handle on this file. */
static int find_bo(struct sim_file *file, uint64_t offset, uint64_t size, struct sim_bo **ret_bo)
{
	struct sim_device *device = file->device;
	const struct sim_vma *v;
	int ret = 0;

	pthread_mutex_lock(&device->lock);
	v = sim_vmas_find(&device->by_offset, offset);
	if (!v || v->start != offset || size > v->size)
		ret = -EINVAL;
	else if (!sim_handle_of(file, v->bo))
		ret = -EACCES;
	else
		*ret_bo = sim_bo_get(v->bo);
	pthread_mutex_unlock(&device->lock);
	return ret;
}

static uint64_t mmio_start(struct sim_file *file)
{
	uint64_t mmio;

	pthread_mutex_lock(&file->lock);
	mmio = file->mmio_offset;
	pthread_mutex_unlock(&file->lock);
	return mmio;
}

int sim_mmap(struct pb_file *pf, uint64_t offset, size_t size, int prot, void **ret_ptr)
{
	struct sim_file *file = (struct sim_file *)pf;
	uint64_t mmio = mmio_start(file);
	struct sim_bo *bo;
	int ret;

	if (!size || offset % SIM_PAGE_SIZE)
		return -EINVAL;
	if (offset >= mmio)
		return map_flush_id(offset - mmio, size, prot, ret_ptr);
	ret = find_bo(file, offset, size, &bo);
	if (ret)
		return ret;
	ret = is_refused(file->device, bo) ? -EINVAL : map_bo(bo, size, prot, ret_ptr);
	sim_bo_put(bo);
	return ret;
}

/* A page of zeros that its holder cannot write to, not even after mprotect(). */
static int flush_id_fd(const struct sim_device *device)
{
	int fd = sim_prime_memfd(device, 0), ret;

	if (fd < 0)
		return fd;
	ret = ftruncate(fd, SIM_PAGE_SIZE) ? -ENOMEM : sim_prime_reopen(fd, O_RDONLY);
	close(fd);
	return ret;
}

/* Neither panthor maps a page privately: what the GPU shares cannot be copied on write. */
int sim_mmap_fd(struct pb_file *pf, uint64_t offset, size_t size, int prot, bool shared)
{
	struct sim_file *file = (struct sim_file *)pf;
	uint64_t mmio = mmio_start(file);
	struct sim_bo *bo;
	int ret;

	if (!size || offset % SIM_PAGE_SIZE || !shared)
		return -EINVAL;
	size = (size + SIM_PAGE_SIZE - 1) & ~(SIM_PAGE_SIZE - 1);
	if (offset >= mmio) {
		if (offset != mmio || size != SIM_PAGE_SIZE || prot & (PROT_WRITE | PROT_EXEC))
			return -EINVAL;
		return flush_id_fd(file->device);
	}
	ret = find_bo(file, offset, size, &bo);
	if (ret)
		return ret;
	if (is_refused(file->device, bo))
		ret = -EINVAL;
	else
		ret = bo->fd < 0 ? -ENFILE : fcntl(bo->fd, F_DUPFD_CLOEXEC, 0);
	if (ret == -1)
		ret = -errno;
	sim_bo_put(bo);
	return ret;
}
