/* SPDX-License-Identifier: MIT */
/*
 * A device: one open file on panthor, and what the driver says of itself.
 *
 * Everything is asked once, at open, so that later code reads a struct and never an ioctl. A driver that is not
 * panthor, or of another major version, is refused here and nowhere else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "uapi.h"

#define MAX_VMS_PER_FILE 32 /* driver: PANTHOR_MAX_VMS_PER_FILE; no query tells it */

/** ioctl(2) that starts again after EINTR and EAGAIN, for calls whose argument survives that. */
static int ioctl_again(struct pb_file *file, unsigned long request, void *arg)
{
	int ret;
	do
		ret = file->backend->ioctl(file, request, arg);
	while (ret == -EINTR || ret == -EAGAIN);
	return ret;
}

int pb_device_ioctl(struct panbind_device *device, unsigned long request, void *arg)
{
	return ioctl_again(device->file, request, arg);
}

static int query_version(struct pb_file *file, struct panbind_device_info *info, struct panbind_error *reterr)
{
	char name[sizeof(info->driver)] = "";
	struct drm_version version = {.name = name, .name_len = sizeof(name) - 1};
	int ret = ioctl_again(file, DRM_IOCTL_VERSION, &version);
	if (ret < 0)
		return pb_error_set(reterr, -ENODEV, PANBIND_STAGE_VALIDATE,
				    "not a DRM device: the version query gave %s", panbind_errno_name(ret));
	if (strcmp(name, "panthor") != 0)
		return pb_error_set(reterr, -ENODEV, PANBIND_STAGE_VALIDATE,
				    "the driver is \"%s\", and panbind knows only panthor", name);
	if (version.version_major != 1)
		return pb_error_set(reterr, -ENODEV, PANBIND_STAGE_VALIDATE,
				    "panthor %d.%d is newer than this library, which knows version 1",
				    version.version_major, version.version_minor);

	memcpy(info->driver, name, sizeof(name));
	info->version_major = version.version_major;
	info->version_minor = version.version_minor;
	info->version_patchlevel = version.version_patchlevel;
	return 0;
}

static int dev_query(struct pb_file *file, enum pb_uapi_query type, void *object, uint32_t size,
		     struct panbind_error *reterr)
{
	/* An older kernel fills what it knows and zeroes the rest, so the newest layout always fits. */
	struct pb_uapi_dev_query query = {.type = type, .size = size, .pointer = (uintptr_t)object};
	int ret = ioctl_again(file, PB_IOCTL_DEV_QUERY, &query);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "DEV_QUERY of type %d failed: %s", type,
				    panbind_errno_name(ret));
	return 0;
}

static int query_gpu(struct pb_file *file, struct panbind_device_info *info, struct panbind_error *reterr)
{
	struct pb_uapi_gpu_info gpu = {0};
	int ret = dev_query(file, PB_QUERY_GPU_INFO, &gpu, sizeof(gpu), reterr);
	if (ret < 0)
		return ret;

	info->gpu_id = gpu.gpu_id;
	info->gpu_rev = gpu.gpu_rev;
	info->csf_id = gpu.csf_id;
	info->mmu_features = gpu.mmu_features;
	info->as_present = gpu.as_present;
	info->shader_present = gpu.shader_present;
	info->l2_present = gpu.l2_present;
	info->tiler_present = gpu.tiler_present;
	info->va_bits = PB_MMU_VA_BITS(gpu.mmu_features);
	info->pa_bits = PB_MMU_PA_BITS(gpu.mmu_features);
	return 0;
}

static int query_csif(struct pb_file *file, struct panbind_device_info *info, struct panbind_error *reterr)
{
	struct pb_uapi_csif_info csif = {0};
	int ret = dev_query(file, PB_QUERY_CSIF_INFO, &csif, sizeof(csif), reterr);
	if (ret < 0)
		return ret;
	info->csg_slots = csif.csg_slot_count;
	info->cs_slots = csif.cs_slot_count;
	return 0;
}

static int query_page_sizes(struct pb_file *file, struct panbind_device_info *info, struct panbind_error *reterr)
{
	struct pb_uapi_mmu_info mmu = {.page_size_bitmap = 1u << 12 | 1u << 21};
	int ret = info->version_minor < 9 ? 0 : dev_query(file, PB_QUERY_MMU_INFO, &mmu, sizeof(mmu), reterr);
	if (ret < 0)
		return ret;
	info->page_sizes = mmu.page_size_bitmap;
	return 0;
}

static int query_info(struct pb_file *file, struct panbind_device_info *info, struct panbind_error *reterr)
{
	int (*const queries[])(struct pb_file *, struct panbind_device_info *,
			       struct panbind_error *) = {query_version, query_gpu, query_csif, query_page_sizes};
	for (size_t i = 0; i < PB_ARRAY_SIZE(queries); i++) {
		int ret = queries[i](file, info, reterr);
		if (ret < 0)
			return ret;
	}

	const char *path = file->backend->path(file);
	snprintf(info->path, sizeof(info->path), "%s", path ? path : "");
	snprintf(info->backend, sizeof(info->backend), "%s", file->backend->name);
	info->max_vms = MAX_VMS_PER_FILE;
	info->atomic = file->backend->atomic(file);
	info->native_sparse = info->version_minor >= 9 ? PANBIND_YES : PANBIND_NO;
	info->bo_labels = info->version_minor >= 4 ? PANBIND_YES : PANBIND_NO;
	return 0;
}

int pb_device_from_file(struct pb_file *file, struct panbind_device **ret_device, struct panbind_error *reterr)
{
	pb_autofree struct panbind_device *device = calloc(1, sizeof(*device));
	if (!device)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	int ret = query_info(file, &device->info, reterr);
	if (ret < 0)
		return ret;

	atomic_init(&device->refs, 1);
	pthread_mutex_init(&device->lock, NULL);
	device->file = file;
	*ret_device = pb_take_ptr(device);
	return 0;
}

/** Give an opened file to a device, or close it. */
static int adopt_file(struct pb_file *file, struct panbind_device **ret_device, struct panbind_error *reterr)
{
	int ret = pb_device_from_file(file, ret_device, reterr);
	if (ret < 0)
		file->backend->close(file);
	return ret;
}

int panbind_device_open(const char *spec, struct panbind_device **ret_device, struct panbind_error *reterr)
{
	struct pb_file *file = NULL;
	int ret = pb_backend_open(spec, &file, reterr);
	return ret < 0 ? ret : adopt_file(file, ret_device, reterr);
}

int panbind_device_open_fd(int fd, struct panbind_device **ret_device, struct panbind_error *reterr)
{
	struct pb_file *file = NULL;
	const struct pb_backend *backend = pb_node_is(fd) ? &pb_backend_node : &pb_backend_drm;
	int ret = backend->open_fd(fd, &file, reterr);
	return ret < 0 ? ret : adopt_file(file, ret_device, reterr);
}

int panbind_fd_is_render_node(int fd)
{
	return pb_drm_is_node(fd) || pb_node_is(fd);
}

struct panbind_device *panbind_device_ref(struct panbind_device *device)
{
	atomic_fetch_add(&device->refs, 1);
	return device;
}

void panbind_device_unref(struct panbind_device *device)
{
	if (!device || atomic_fetch_sub(&device->refs, 1) != 1)
		return;
	pb_twins_free(device);
	pb_bo_free_dummy(device);
	device->file->backend->close(device->file);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

int panbind_device_get_info(struct panbind_device *device, struct panbind_device_info *ret_info)
{
	pthread_mutex_lock(&device->lock); /* `atomic` may be changing */
	*ret_info = device->info;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

void panbind_device_assume_atomic(struct panbind_device *device, enum panbind_tristate atomic)
{
	pthread_mutex_lock(&device->lock);
	device->info.atomic = atomic;
	pthread_mutex_unlock(&device->lock);
}

int panbind_devices(struct panbind_node *nodes, size_t max)
{
	return pb_drm_nodes(nodes, max);
}
