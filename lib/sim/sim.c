/* SPDX-License-Identifier: MIT */
/*
 * The simulator as a backend: open files, and the dispatch of their ioctls.
 *
 * Dispatch follows drm_ioctl(): an ioctl is known by its number alone; an argument of another size than ours is cut
 * or filled up with zeros, so that callers older or newer than this file get what a kernel would give them. The
 * argument block is copied in and out even when the ioctl fails.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "sim.h"
#include "sim_gpu.h"
#include "sim_user.h"

/* The DRM core's: conversions of syncobjs know points of timelines. */
#define KERNEL_POINTS	SIM_KERNEL(6, 16)
#define SIM_MMIO_OFFSET (UINT64_C(1) << 56)
/* Arguments up to this size, all that are known, stay on the stack. */
#define SMALL_ARG	128u

#define CORE(name, fn)                         \
	{                                      \
#name, DRM_IOCTL_##name, 0, fn \
	}
#define SYNCOBJ(name)                            \
	{                                        \
#name, DRM_IOCTL_##name, 0, NULL \
	}
#define DRIVER(name, minor, fn)                   \
	{                                         \
#name, PB_IOCTL_##name, minor, fn \
	}

static const struct sim_ioctl ioctls[] = {
	CORE(VERSION, sim_version_ioctl),
	CORE(GET_CAP, sim_get_cap_ioctl),
	CORE(GEM_CLOSE, sim_gem_close_ioctl),
	CORE(PRIME_HANDLE_TO_FD, sim_handle_to_fd_ioctl),
	CORE(PRIME_FD_TO_HANDLE, sim_fd_to_handle_ioctl),
	SYNCOBJ(SYNCOBJ_CREATE),
	SYNCOBJ(SYNCOBJ_DESTROY),
	{"SYNCOBJ_HANDLE_TO_FD", PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, 0, NULL},
	{"SYNCOBJ_FD_TO_HANDLE", PB_IOCTL_SYNCOBJ_FD_TO_HANDLE, 0, NULL},
	SYNCOBJ(SYNCOBJ_WAIT),
	SYNCOBJ(SYNCOBJ_RESET),
	SYNCOBJ(SYNCOBJ_SIGNAL),
	SYNCOBJ(SYNCOBJ_TIMELINE_WAIT),
	SYNCOBJ(SYNCOBJ_QUERY),
	SYNCOBJ(SYNCOBJ_TRANSFER),
	SYNCOBJ(SYNCOBJ_TIMELINE_SIGNAL),
	{"SYNCOBJ_EVENTFD", SIM_IOCTL_SYNCOBJ_EVENTFD, 0, NULL},
	DRIVER(DEV_QUERY, 0, sim_dev_query_ioctl),
	DRIVER(VM_CREATE, 0, sim_vm_create_ioctl),
	DRIVER(VM_DESTROY, 0, sim_vm_destroy_ioctl),
	DRIVER(VM_BIND, 0, sim_vm_bind_ioctl),
	DRIVER(VM_GET_STATE, 0, sim_vm_get_state_ioctl),
	DRIVER(BO_CREATE, 0, sim_bo_create_ioctl),
	DRIVER(BO_MMAP_OFFSET, 0, sim_bo_mmap_offset_ioctl),
	DRIVER(GROUP_CREATE, 0, sim_group_create_ioctl),
	DRIVER(GROUP_DESTROY, 0, sim_group_destroy_ioctl),
	DRIVER(GROUP_SUBMIT, 0, sim_group_submit_ioctl),
	DRIVER(GROUP_GET_STATE, 0, sim_group_get_state_ioctl),
	DRIVER(TILER_HEAP_CREATE, 0, sim_tiler_heap_create_ioctl),
	DRIVER(TILER_HEAP_DESTROY, 0, sim_tiler_heap_destroy_ioctl),
	DRIVER(BO_SET_LABEL, 4, sim_bo_set_label_ioctl),
	DRIVER(SET_USER_MMIO_OFFSET, 5, sim_set_user_mmio_offset_ioctl),
	DRIVER(BO_SYNC, 7, sim_bo_sync_ioctl),
	DRIVER(BO_QUERY_INFO, 7, sim_bo_query_info_ioctl),
};

size_t sim_ioctl_rows(void)
{
	return SIM_ARRAY_SIZE(ioctls);
}

int sim_ioctl_row(const char *name, size_t length)
{
	for (size_t i = 0; i < SIM_ARRAY_SIZE(ioctls); i++)
		if (strlen(ioctls[i].name) == length && memcmp(ioctls[i].name, name, length) == 0)
			return (int)i;
	return -ENOENT;
}

/*
 * Ioctls that are there, but not for render nodes: those of displays, masters, and of the time before GEM.
 */
static bool is_for_displays(unsigned nr)
{
	static const uint8_t single[] = {0x01, 0x02, 0x05, 0x06, 0x07, 0x0a, 0x0b, 0x0d, 0x10, 0x11, 0x12, 0x13,
					 0x1e, 0x1f, 0x27, 0x28, 0x2c, 0x3a, 0x3b, 0x3c, 0x3f, 0xce, 0xd0};

	if ((nr >= 0xa0 && nr <= 0xbe) || (nr >= 0xc6 && nr <= 0xc9))
		return true;
	return memchr(single, (int)nr, sizeof(single)) != NULL;
}

/* Row of a request on a device of this minor; -EINVAL as for a number the kernel does not know, -EACCES. */
static int find_row(unsigned long request, unsigned minor)
{
	for (size_t i = 0; i < SIM_ARRAY_SIZE(ioctls); i++)
		if (_IOC_NR(ioctls[i].request) == _IOC_NR(request))
			return ioctls[i].minor <= minor ? (int)i : -EINVAL;
	return is_for_displays(_IOC_NR(request)) ? -EACCES : -EINVAL;
}

static int run(struct sim_file *file, int row, void *data)
{
	uint64_t nth;
	int ret = sim_faults_enter(&file->device->faults, row, &nth);

	if (ret)
		return ret;
	if (!ioctls[row].fn)
		return sim_syncs_ioctl(file->syncs, ioctls[row].request, data);
	return ioctls[row].fn(file, data, nth);
}

/* Sizes of one call: what the caller gives, what it gets back, and the room that both and we need. */
struct sizes {
	uint32_t in, out, room;
};

/* An argument that nobody changed is not copied back: the caller cannot tell, and a copy costs as much as a bind. */
static int run_copied(struct sim_file *file, int row, void *arg, const struct sizes *sizes, char *data)
{
	char before[SMALL_ARG];
	uint32_t compare = sizes->out < SMALL_ARG ? sizes->out : 0;
	int ret;

	if (sim_copy_from_user(data, (uintptr_t)arg, sizes->in))
		return -EFAULT;
	memset(data + sizes->in, 0, sizes->room - sizes->in);
	memcpy(before, data, compare);
	ret = run(file, row, data);
	if (compare && memcmp(before, data, compare) == 0)
		return ret;
	if (sim_copy_to_user((uintptr_t)arg, data, sizes->out))
		return -EFAULT;
	return ret;
}

static uint32_t max_size(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int sim_ioctl(struct pb_file *pf, unsigned long request, void *arg)
{
	struct sim_file *file = (struct sim_file *)pf;
	struct sizes sizes = {0};
	char small[SMALL_ARG], *large;
	unsigned long both;
	int row, ret;

	if (_IOC_TYPE(request) != DRM_IOCTL_BASE)
		return -ENOTTY;
	row = find_row(request, file->device->options.minor);
	if (row < 0)
		return row;
	both = request & ioctls[row].request;
	sizes.in = _IOC_DIR(both) & _IOC_WRITE ? _IOC_SIZE(request) : 0;
	sizes.out = _IOC_DIR(both) & _IOC_READ ? _IOC_SIZE(request) : 0;
	sizes.room = max_size(max_size(sizes.in, sizes.out), _IOC_SIZE(ioctls[row].request));
	if (sizes.room <= sizeof(small))
		return run_copied(file, row, arg, &sizes, small);
	large = malloc(sizes.room);
	if (!large)
		return -ENOMEM;
	ret = run_copied(file, row, arg, &sizes, large);
	free(large);
	return ret;
}

static int new_file(const struct sim_options *options, struct sim_file **ret_file, struct panbind_error *reterr)
{
	struct sim_file *file;
	int ret;

	if (posix_memalign((void **)&file, _Alignof(struct sim_file), sizeof(*file)))
		return -ENOMEM;
	memset(file, 0, sizeof(*file));
	ret = sim_syncs_create(options->kernel >= KERNEL_POINTS, &file->syncs);
	if (!ret)
		ret = sim_device_get(options, &file->device, reterr);
	if (ret) {
		sim_syncs_destroy(file->syncs);
		free(file);
		return ret;
	}
	file->base.backend = &pb_backend_sim;
	file->mmio_offset = SIM_MMIO_OFFSET;
	pthread_mutex_init(&file->lock, NULL);
	*ret_file = file;
	return 0;
}

static int sim_open(const char *rest, struct pb_file **ret_file, struct panbind_error *reterr)
{
	struct sim_options options;
	struct sim_file *file;
	int ret = sim_options_parse(rest, &options, reterr);

	if (ret)
		return ret;
	ret = new_file(&options, &file, reterr);
	if (ret) {
		sim_options_fini(&options);
		return ret;
	}
	sim_faults_add(&file->device->faults, options.faults);
	*ret_file = &file->base;
	return 0;
}

static void sim_close(struct pb_file *pf)
{
	struct sim_file *file = (struct sim_file *)pf;

	if (!file)
		return;
	sim_groups_close(file);
	sim_vms_close(file);
	sim_handles_close(file);
	sim_bo_put(file->dummy);
	sim_syncs_destroy(file->syncs);
	sim_device_put(file->device);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

static const char *sim_path(struct pb_file *file)
{
	return NULL;
}

static int sim_atomic(struct pb_file *file)
{
	return ((struct sim_file *)file)->device->options.atomic ? PANBIND_YES : PANBIND_NO;
}

static int sim_fence_file_status(struct pb_file *file, int sync_file, int *ret_status)
{
	return sim_sync_file_status(sync_file, ret_status);
}

static const struct pb_gpu_ops gpu_ops = {
	.resident = sim_gpu_resident,
	.access = sim_gpu_access,
	.stats = sim_gpu_stats,
	.next_page = sim_gpu_next_page,
	.probe = sim_gpu_probe,
};

const struct pb_backend pb_backend_sim = {
	.name = "sim",
	.open = sim_open,
	.close = sim_close,
	.ioctl = sim_ioctl,
	.mmap = sim_mmap,
	.fence_status = sim_fence_file_status,
	.path = sim_path,
	.atomic = sim_atomic,
	.gpu = &gpu_ops,
};
