/* SPDX-License-Identifier: MIT */
/*
 * Twins: handles, on one open file of a GPU, for BOs whose own handle is on another.
 *
 * A VM that a program has made can be bound only with handles of the program's file, and the BOs of who took it over
 * live on a file of its own. A dma-buf leads from one to the other, and the handle it gives is kept here, with a
 * reference of the BO, so that putting a mapping back needs nothing that could fail.
 *
 * A handle that the program itself has for the same memory is only borrowed: the kernel gives one file one handle for
 * one BO, so an import returns the program's. It is never closed here, and it is asked for again before each use, since
 * the program may have closed it and its number may stand for something else by now.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "internal.h"
#include "uapi.h"

#define FIRST_ROOM 16

static size_t hash(const struct panbind_bo *bo)
{
	return (size_t)(((uint64_t)(uintptr_t)bo * UINT64_C(0x9e3779b97f4a7c15)) >> 20);
}

/** The slot of @bo, or the empty one where it belongs. The table is never full. */
static struct pb_twin *slot_of(const struct pb_twins *twins, const struct panbind_bo *bo)
{
	size_t at = hash(bo) & (twins->room - 1);
	while (twins->slots[at].bo && twins->slots[at].bo != bo)
		at = (at + 1) & (twins->room - 1);
	return &twins->slots[at];
}

static void close_handle(struct panbind_device *device, uint32_t handle)
{
	struct drm_gem_close args = {.handle = handle};
	pb_device_ioctl(device, DRM_IOCTL_GEM_CLOSE, &args);
}

static void end_twin(struct panbind_device *device, const struct pb_twin *twin)
{
	if (!twin->borrowed)
		close_handle(device, twin->handle);
	panbind_bo_unref(twin->bo);
}

/** Twins of BOs that nobody else has any more go; there is room for one more then. */
static int make_room(struct panbind_device *device)
{
	struct pb_twins *old = &device->twins, fresh = {0};
	if (2 * old->count < old->room)
		return 0;
	fresh.room = old->room ? 2 * old->room : FIRST_ROOM;
	fresh.slots = calloc(fresh.room, sizeof(*fresh.slots));
	if (!fresh.slots)
		return -ENOMEM;
	for (size_t i = 0; i < old->room; i++) {
		const struct pb_twin *twin = &old->slots[i];
		if (twin->bo && atomic_load(&twin->bo->refs) == 1) {
			end_twin(device, twin);
		} else if (twin->bo) {
			*slot_of(&fresh, twin->bo) = *twin;
			fresh.count++;
		}
	}
	free(old->slots);
	*old = fresh;
	return 0;
}

static void put(struct panbind_device *device, struct panbind_bo *bo, uint32_t handle, bool borrowed)
{
	struct pb_twin *slot = slot_of(&device->twins, bo);
	if (!slot->bo) {
		slot->bo = panbind_bo_ref(bo);
		device->twins.count++;
	}
	slot->handle = handle;
	slot->borrowed = borrowed;
}

/** The handle of @bo on this file, by a dma-buf. */
static int import(struct panbind_device *device, struct panbind_bo *bo, uint32_t *ret_handle)
{
	pb_autoclose int fd = -1;
	int ret = panbind_bo_export(bo, &fd);
	if (ret < 0)
		return ret;
	struct drm_prime_handle args = {.fd = fd};
	ret = pb_device_ioctl(device, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);
	if (ret == 0)
		*ret_handle = args.handle;
	return ret;
}

int pb_twin_ensure(struct panbind_device *device, struct panbind_bo *bo)
{
	int ret = make_room(device);
	if (ret < 0)
		return ret;
	const struct pb_twin *twin = slot_of(&device->twins, bo);
	uint32_t borrowed = twin->bo && twin->borrowed ? twin->handle : 0, handle;
	if (twin->bo && !twin->borrowed)
		return 0;
	ret = import(device, bo, &handle);
	if (ret == 0)
		put(device, bo, handle, borrowed && handle == borrowed);
	return ret;
}

uint32_t pb_twin_handle(const struct panbind_device *device, const struct panbind_bo *bo)
{
	return device->twins.room ? slot_of(&device->twins, bo)->handle : 0;
}

int pb_twin_borrow(struct panbind_device *device, uint32_t handle, struct panbind_device *home,
		   struct panbind_bo **ret_bo)
{
	struct drm_prime_handle args = {.handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR, .fd = -1};
	int ret = make_room(device);
	if (ret == 0)
		ret = pb_device_ioctl(device, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);
	if (ret < 0)
		return ret;
	pb_autoclose int fd = args.fd;
	struct panbind_bo *bo;
	ret = panbind_bo_import(home, fd, &bo, NULL);
	if (ret < 0)
		return ret;
	const struct pb_twin *twin = slot_of(&device->twins, bo);
	if (home != device && !(twin->bo && twin->handle == handle && !twin->borrowed)) /* one that was made here */
		put(device, bo, handle, true);
	*ret_bo = bo;
	return 0;
}

void pb_twins_free(struct panbind_device *device)
{
	struct pb_twins twins = device->twins;
	device->twins = (struct pb_twins){0};
	for (size_t i = 0; i < twins.room; i++)
		if (twins.slots[i].bo)
			end_twin(device, &twins.slots[i]);
	free(twins.slots);
}
