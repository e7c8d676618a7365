/* SPDX-License-Identifier: MIT */
/*
 * Buffer objects: counted, one object for each GEM handle of the device's open file.
 *
 * The kernel gives the same handle again when a dma-buf of a BO comes back to the file it came from, and a handle is
 * closed once, for everybody. So the device keeps a list of its BOs, an import looks there first, and the three steps
 * that could meet (get a handle, look it up, close it) all happen under the device's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "uapi.h"

static void link_bo(struct panbind_device *device, struct panbind_bo *bo)
{
	bo->next = device->bos;
	if (bo->next)
		bo->next->prev = bo;
	device->bos = bo;
}

static void unlink_bo(struct panbind_device *device, struct panbind_bo *bo)
{
	if (bo->next)
		bo->next->prev = bo->prev;
	if (bo->prev)
		bo->prev->next = bo->next;
	else
		device->bos = bo->next;
}

static void close_handle(struct panbind_device *device, uint32_t handle)
{
	struct drm_gem_close args = {.handle = handle};
	pb_device_ioctl(device, DRM_IOCTL_GEM_CLOSE, &args);
}

/** Free an object that nobody can find any more. */
static void free_bo(struct panbind_bo *bo)
{
	if (bo->ptr)
		munmap(bo->ptr, bo->size);
	free(bo->label);
	free(bo->last_name);
	free(bo);
}

static int check_create(struct panbind_device *device, uint64_t size, uint32_t flags, struct panbind_vm *exclusive_vm,
			struct panbind_error *reterr)
{
	if (size == 0)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "a BO of size 0 cannot be");
	if (flags & ~(PANBIND_BO_NO_MMAP | PANBIND_BO_WB_MMAP))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "unknown BO flags 0x%x", flags);
	if (exclusive_vm && panbind_vm_device(exclusive_vm) != device)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "the exclusive VM belongs to another device");
	if ((flags & PANBIND_BO_WB_MMAP) && device->info.version_minor < 7)
		return pb_error_set(reterr, -EOPNOTSUPP, PANBIND_STAGE_VALIDATE,
				    "write-back CPU mappings need driver 1.7, this is 1.%d",
				    device->info.version_minor);
	return 0;
}

/** Create and list a BO that does not count as a user of its device. NULL: *ret_code says why not. */
static struct panbind_bo *create_bo(struct panbind_device *device, const struct pb_uapi_bo_create *request,
				    int *ret_code, struct panbind_error *reterr)
{
	struct pb_uapi_bo_create args = *request;
	struct panbind_bo *bo = calloc(1, sizeof(*bo));
	*ret_code = bo ? pb_device_ioctl(device, PB_IOCTL_BO_CREATE, &args) : -ENOMEM;
	if (*ret_code < 0) {
		pb_error_set(reterr, *ret_code, bo ? PANBIND_STAGE_SUBMIT : PANBIND_STAGE_VALIDATE,
			     "BO_CREATE of 0x%llx bytes failed: %s", (unsigned long long)request->size,
			     panbind_errno_name(*ret_code));
		free(bo);
		return NULL;
	}

	atomic_init(&bo->refs, 1);
	bo->device = device;
	bo->size = args.size;
	bo->handle = args.handle;
	bo->flags = request->flags;
	bo->exclusive_vm_id = request->exclusive_vm_id;
	pthread_mutex_lock(&device->lock);
	link_bo(device, bo);
	pthread_mutex_unlock(&device->lock);
	return bo;
}

int panbind_bo_create(struct panbind_device *device, uint64_t size, uint32_t flags, struct panbind_vm *exclusive_vm,
		      struct panbind_bo **ret_bo, struct panbind_error *reterr)
{
	int ret = check_create(device, size, flags, exclusive_vm, reterr);
	if (ret < 0)
		return ret;
	struct pb_uapi_bo_create request = {
		.size = size,
		.flags = flags,
		.exclusive_vm_id = exclusive_vm ? panbind_vm_id(exclusive_vm) : 0,
	};
	struct panbind_bo *bo = create_bo(device, &request, &ret, reterr);
	if (!bo)
		return ret;
	panbind_device_ref(device);
	*ret_bo = bo;
	return 0;
}

/** Make @fresh the device's dummy, or drop it when another VM's thread was first. Returns the dummy. */
static struct panbind_bo *settle_dummy(struct panbind_device *device, struct panbind_bo *fresh)
{
	pthread_mutex_lock(&device->lock);
	struct panbind_bo *dummy = device->dummy_bo;
	if (!dummy) {
		dummy = device->dummy_bo = fresh;
	} else {
		unlink_bo(device, fresh);
		close_handle(device, fresh->handle);
		free_bo(fresh);
	}
	pthread_mutex_unlock(&device->lock);
	return dummy;
}

int pb_bo_dummy(struct panbind_device *device, struct panbind_bo **ret_bo, struct panbind_error *reterr)
{
	int ret = 0;
	pthread_mutex_lock(&device->lock);
	struct panbind_bo *dummy = device->dummy_bo;
	pthread_mutex_unlock(&device->lock);
	if (!dummy) {
		struct pb_uapi_bo_create request = {.size = PANBIND_SPARSE_BLOCK, .flags = PB_BO_NO_MMAP};
		struct panbind_bo *fresh = create_bo(device, &request, &ret, reterr);
		if (!fresh)
			return ret;
		panbind_bo_set_label(fresh, "panbind sparse dummy"); /* for debugfs; nothing depends on it */
		dummy = settle_dummy(device, fresh);
	}
	*ret_bo = dummy;
	return 0;
}

void pb_bo_free_dummy(struct panbind_device *device)
{
	struct panbind_bo *dummy = pb_take_ptr(device->dummy_bo);
	if (!dummy)
		return;
	close_handle(device, dummy->handle);
	free_bo(dummy);
}

/** The listed BO of a handle, one reference more, or NULL. The lock is held. */
static struct panbind_bo *find_handle(struct panbind_device *device, uint32_t handle)
{
	for (struct panbind_bo *bo = device->bos; bo; bo = bo->next) {
		if (bo->handle == handle)
			return panbind_bo_ref(bo);
	}
	return NULL;
}

/** Turn a dma-buf into a BO that is filled into @fresh unless it is known already. The lock is held. */
static int import_locked(struct panbind_device *device, int dmabuf_fd, struct panbind_bo *fresh,
			 struct panbind_bo **ret_bo)
{
	struct drm_prime_handle args = {.fd = dmabuf_fd};
	int ret = pb_device_ioctl(device, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);
	if (ret < 0)
		return ret;
	*ret_bo = find_handle(device, args.handle);
	if (*ret_bo)
		return 0;

	off_t size = lseek(dmabuf_fd, 0, SEEK_END);
	if (size <= 0) {
		ret = size < 0 ? -errno : -EINVAL;
		close_handle(device, args.handle);
		return ret;
	}
	atomic_init(&fresh->refs, 1);
	fresh->device = panbind_device_ref(device);
	fresh->size = size;
	fresh->handle = args.handle;
	link_bo(device, fresh);
	*ret_bo = fresh;
	return 0;
}

int panbind_bo_import(struct panbind_device *device, int dmabuf_fd, struct panbind_bo **ret_bo,
		      struct panbind_error *reterr)
{
	struct panbind_bo *fresh = calloc(1, sizeof(*fresh)), *bo = NULL;
	if (!fresh)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");

	pthread_mutex_lock(&device->lock);
	int ret = import_locked(device, dmabuf_fd, fresh, &bo);
	pthread_mutex_unlock(&device->lock);
	if (bo != fresh)
		free(fresh);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "cannot import fd %d as a dma-buf: %s",
				    dmabuf_fd, panbind_errno_name(ret));
	*ret_bo = bo;
	return 0;
}

int panbind_bo_export(struct panbind_bo *bo, int *ret_fd)
{
	if (bo->exclusive_vm_id)
		return -EINVAL;
	struct drm_prime_handle args = {.handle = bo->handle, .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1};
	int ret = pb_device_ioctl(bo->device, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);
	if (ret < 0)
		return ret;
	*ret_fd = args.fd;
	return 0;
}

struct panbind_bo *panbind_bo_ref(struct panbind_bo *bo)
{
	atomic_fetch_add(&bo->refs, 1);
	return bo;
}

/** Drop a reference that is not the last one: true. */
static bool unref_shared(struct panbind_bo *bo)
{
	unsigned int refs = atomic_load(&bo->refs);
	while (refs > 1) {
		if (atomic_compare_exchange_weak(&bo->refs, &refs, refs - 1))
			return true;
	}
	return false;
}

void panbind_bo_unref(struct panbind_bo *bo)
{
	if (!bo || unref_shared(bo))
		return;

	/* Perhaps the last one: an import must either find the object alive, or the handle closed. */
	struct panbind_device *device = bo->device;
	pthread_mutex_lock(&device->lock);
	bool last = atomic_fetch_sub(&bo->refs, 1) == 1;
	if (last) {
		unlink_bo(device, bo);
		close_handle(device, bo->handle);
	}
	pthread_mutex_unlock(&device->lock);
	if (last) {
		free_bo(bo);
		panbind_device_unref(device);
	}
}

uint64_t panbind_bo_size(const struct panbind_bo *bo)
{
	return bo->size;
}

uint32_t panbind_bo_flags(const struct panbind_bo *bo)
{
	return bo->flags;
}

uint32_t panbind_bo_handle(const struct panbind_bo *bo)
{
	return bo->handle;
}

int panbind_bo_set_label(struct panbind_bo *bo, const char *label)
{
	if (label && strlen(label) >= PB_BO_LABEL_MAX)
		return -E2BIG;
	char *copy = label ? strdup(label) : NULL;
	if (label && !copy)
		return -ENOMEM;

	int ret = 0;
	if (bo->device->info.bo_labels == PANBIND_YES) {
		struct pb_uapi_bo_set_label args = {.handle = bo->handle, .label = (uintptr_t)label};
		ret = pb_device_ioctl(bo->device, PB_IOCTL_BO_SET_LABEL, &args);
	}
	if (ret < 0) {
		free(copy);
		return ret;
	}
	free(bo->label);
	bo->label = copy;
	return 0;
}

const char *panbind_bo_label(const struct panbind_bo *bo)
{
	return bo->label;
}

/** The lock is held. */
static int mmap_locked(struct panbind_bo *bo)
{
	struct pb_file *file = bo->device->file;
	struct pb_uapi_bo_mmap_offset args = {.handle = bo->handle};
	int ret = pb_device_ioctl(bo->device, PB_IOCTL_BO_MMAP_OFFSET, &args);
	if (ret < 0)
		return ret;
	return file->backend->mmap(file, args.offset, bo->size, PROT_READ | PROT_WRITE, &bo->ptr);
}

int panbind_bo_mmap(struct panbind_bo *bo, void **ret_ptr)
{
	if (bo->flags & PANBIND_BO_NO_MMAP)
		return -EINVAL;
	pthread_mutex_lock(&bo->device->lock);
	int ret = bo->ptr ? 0 : mmap_locked(bo);
	if (ret == 0)
		*ret_ptr = bo->ptr;
	pthread_mutex_unlock(&bo->device->lock);
	return ret;
}

void panbind_bo_set_generation(struct panbind_bo *bo, uint64_t generation)
{
	bo->generation = generation;
}

uint64_t panbind_bo_generation(const struct panbind_bo *bo)
{
	return bo->generation;
}

const char *panbind_bo_last_name(const struct panbind_bo *bo)
{
	return bo->last_name;
}
