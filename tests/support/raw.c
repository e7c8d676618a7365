/* SPDX-License-Identifier: MIT */
/*
 * Raw ioctls for the conformance tests. Nothing of libpanbind but the backends, the options of a simulator's spec and
 * the error names is used here, so that a mistake of the library cannot hide a mistake of the simulator.
 */
#include "raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "panbind.h"
#include "sim_opts.h"

/* Long enough that only a hang gets there. */
#define WAIT_SECONDS 120

/* ---- Opening ---- */

static const char *device_spec(const char *otherwise)
{
	const char *spec = getenv("PANBIND_DEVICE");

	return spec && *spec ? spec : otherwise;
}

static bool spec_is_simulator(const char *spec)
{
	return strncmp(spec, "sim:", 4) == 0;
}

/* Or the render node of `panbind sim`, which says so to the programs that it starts. */
static bool spec_is_simulated(const char *spec)
{
	return spec_is_simulator(spec) || getenv("PANBIND_SIM");
}

/* A simulator's is what its spec says or what goes with its version; a real render node's is the running one. */
static int kernel_of(const char *spec)
{
	struct sim_options options;
	struct utsname name;
	int x = 0, y = 0;

	if (spec_is_simulated(spec)) {
		assert_int_equal(sim_options_parse(spec_is_simulator(spec) ? spec + 4 : "", &options, NULL), 0);
		x = (int)options.kernel; /* a SIM_KERNEL(), which counts alike */
		sim_options_fini(&options);
		return x;
	}
	if (uname(&name) || sscanf(name.release, "%d.%d", &x, &y) != 2)
		fail_msg("cannot tell the kernel's release");
	return RAW_KERNEL(x, y);
}

static void read_level(struct raw *raw)
{
	struct drm_version version = {0};
	struct pb_uapi_gpu_info info = {0};
	struct pb_uapi_dev_query query = {.type = PB_QUERY_GPU_INFO, .size = sizeof(info), .pointer = (uintptr_t)&info};

	raw_expect("DRM_IOCTL_VERSION", raw_ioctl(raw, DRM_IOCTL_VERSION, &version), 0);
	raw_expect("DEV_QUERY", raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &query), 0);
	raw->minor = version.version_minor;
	raw->kernel = kernel_of(raw->spec);
	raw->va_bits = PB_MMU_VA_BITS(info.mmu_features);
}

static struct raw *open_bare(const char *spec)
{
	struct raw *raw = calloc(1, sizeof(*raw));
	struct panbind_error error = {0};

	raw->spec = strdup(spec);
	if (pb_backend_open(spec, &raw->file, &error))
		fail_msg("cannot open %s: %s", spec, error.msg);
	read_level(raw);
	return raw;
}

static struct raw *open_spec(const char *spec)
{
	struct raw *raw = open_bare(spec);

	raw_expect("VM_CREATE", raw_vm_create(raw, 0, &raw->vm, &raw->va_range), 0);
	raw->bo = raw_bo(raw, 16 * RAW_PAGE);
	return raw;
}

/* The spec of a simulator with more options; that of a real device as it is. */
static void add_options(const char *spec, const char *options, char *text, size_t size)
{
	if (spec_is_simulator(spec))
		snprintf(text, size, "%s%s%s", spec, spec[4] ? "," : "", options);
	else
		snprintf(text, size, "%s", spec);
}

struct raw *raw_open_bare(const char *spec, const char *options)
{
	char text[512];

	add_options(device_spec(spec), options, text, sizeof(text));
	return open_bare(text);
}

int raw_setup(void **state)
{
	*state = open_spec(device_spec("sim:"));
	return 0;
}

void raw_close(struct raw *raw)
{
	if (!raw)
		return;
	if (raw->file)
		raw->file->backend->close(raw->file);
	free(raw->spec);
	free(raw);
}

int raw_teardown(void **state)
{
	raw_close(*state);
	return 0;
}

struct raw *raw_open_with(const char *options)
{
	char text[512];

	add_options(device_spec("sim:"), options, text, sizeof(text));
	return open_spec(text);
}

struct raw *raw_open_simulator(const char *options)
{
	char text[64];

	snprintf(text, sizeof(text), "sim:%s", options);
	return open_spec(text);
}

void raw_open_pair(struct raw *pair[2])
{
	static unsigned int serial;
	char name[64];

	snprintf(name, sizeof(name), "name=pair-%d-%u", (int)getpid(), serial++);
	for (int i = 0; i < 2; i++)
		pair[i] = raw_open_with(name);
}

void raw_need_simulator(const struct raw *raw)
{
	if (!spec_is_simulator(raw->spec)) {
		print_message("# skipped: only a simulator can show it\n");
		skip();
	}
}

bool raw_is_simulated(const struct raw *raw)
{
	return spec_is_simulated(raw->spec);
}

void raw_need_kernel(const struct raw *raw, int kernel)
{
	if (raw->kernel < kernel) {
		print_message("# skipped: the kernel is %d.%d, the rule came with %d.%d\n", raw->kernel / 100,
			      raw->kernel % 100, kernel / 100, kernel % 100);
		skip();
	}
}

void raw_known_bug(const struct raw *raw, const char *what)
{
	assert_false(raw_is_simulated(raw));
	print_message("# skipped: a known bug of Linux %d.%d, driver 1.%d: %s\n", raw->kernel / 100, raw->kernel % 100,
		      raw->minor, what);
	skip();
}

void raw_need_minor(const struct raw *raw, int minor)
{
	if (raw->minor < minor) {
		print_message("# skipped: the driver is 1.%d, the rule came with 1.%d\n", raw->minor, minor);
		skip();
	}
}

void raw_expect(const char *what, int got, int want)
{
	if (got != want)
		fail_msg("%s: got %s (%d), expected %s (%d)", what, got ? panbind_errno_name(got) : "0", got,
			 want ? panbind_errno_name(want) : "0", want);
}

int raw_ioctl(struct raw *raw, unsigned long request, void *arg)
{
	return raw->file->backend->ioctl(raw->file, request, arg);
}

/* ---- VMs and BOs ---- */

int raw_vm_create(struct raw *raw, uint64_t range, uint32_t *ret_vm, uint64_t *ret_range)
{
	struct pb_uapi_vm_create args = {.user_va_range = range};
	int ret = raw_ioctl(raw, PB_IOCTL_VM_CREATE, &args);

	if (ret)
		return ret;
	*ret_vm = args.id;
	if (ret_range)
		*ret_range = args.user_va_range;
	return 0;
}

uint32_t raw_vm(struct raw *raw)
{
	uint32_t vm = 0;

	raw_expect("VM_CREATE", raw_vm_create(raw, 0, &vm, NULL), 0);
	return vm;
}

int raw_vm_destroy(struct raw *raw, uint32_t vm)
{
	struct pb_uapi_vm_destroy args = {.id = vm};

	return raw_ioctl(raw, PB_IOCTL_VM_DESTROY, &args);
}

int raw_vm_state(struct raw *raw, uint32_t vm)
{
	struct pb_uapi_vm_get_state args = {.vm_id = vm, .state = 77};
	int ret = raw_ioctl(raw, PB_IOCTL_VM_GET_STATE, &args);

	return ret ? ret : (int)args.state;
}

int raw_bo_create(struct raw *raw, uint64_t size, uint32_t flags, uint32_t exclusive_vm, uint32_t *ret_bo)
{
	struct pb_uapi_bo_create args = {.size = size, .flags = flags, .exclusive_vm_id = exclusive_vm};
	int ret = raw_ioctl(raw, PB_IOCTL_BO_CREATE, &args);

	if (!ret)
		*ret_bo = args.handle;
	return ret;
}

uint32_t raw_bo(struct raw *raw, uint64_t size)
{
	uint32_t bo = 0;

	raw_expect("BO_CREATE", raw_bo_create(raw, size, 0, 0, &bo), 0);
	return bo;
}

int raw_bo_close(struct raw *raw, uint32_t bo)
{
	struct drm_gem_close args = {.handle = bo};

	return raw_ioctl(raw, DRM_IOCTL_GEM_CLOSE, &args);
}

void *raw_bo_mmap(struct raw *raw, uint32_t bo, size_t size)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = bo};
	void *ptr = NULL;

	raw_expect("BO_MMAP_OFFSET", raw_ioctl(raw, PB_IOCTL_BO_MMAP_OFFSET, &args), 0);
	raw_expect("mmap", raw->file->backend->mmap(raw->file, args.offset, size, 3, &ptr), 0);
	return ptr;
}

/* ---- VM_BIND ---- */

int raw_bind(struct raw *raw, uint32_t vm, uint32_t flags, const struct pb_uapi_vm_bind_op *ops, uint32_t count,
	     uint32_t *ret_count)
{
	struct pb_uapi_vm_bind args = {.vm_id = vm, .flags = flags, .ops = RAW_ARRAY(ops, count)};
	int ret = raw_ioctl(raw, PB_IOCTL_VM_BIND, &args);

	if (ret_count)
		*ret_count = args.ops.count;
	return ret;
}

int raw_bind_op(struct raw *raw, struct pb_uapi_vm_bind_op op)
{
	return raw_bind(raw, raw->vm, 0, &op, 1, NULL);
}

int raw_bind_async_op(struct raw *raw, struct pb_uapi_vm_bind_op op)
{
	return raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, &op, 1, NULL);
}

int raw_map(struct raw *raw, uint64_t va, uint64_t size, uint32_t bo, uint64_t bo_offset, uint32_t flags)
{
	return raw_bind_op(raw, RAW_OP(.flags = PB_OP_MAP | flags, .va = va, .size = size, .bo_handle = bo,
				       .bo_offset = bo_offset));
}

int raw_unmap(struct raw *raw, uint64_t va, uint64_t size)
{
	return raw_bind_op(raw, RAW_OP(.flags = PB_OP_UNMAP, .va = va, .size = size));
}

/* ---- Syncobjs ---- */

uint32_t raw_syncobj(struct raw *raw, uint32_t flags)
{
	struct drm_syncobj_create args = {.flags = flags};

	raw_expect("SYNCOBJ_CREATE", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_CREATE, &args), 0);
	return args.handle;
}

int raw_syncobj_reset(struct raw *raw, uint32_t handle)
{
	struct drm_syncobj_array args = {.handles = (uintptr_t)&handle, .count_handles = 1};

	return raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_RESET, &args);
}

static int wait_for(struct raw *raw, uint32_t handle, uint64_t point, uint32_t flags, int64_t deadline)
{
	struct drm_syncobj_timeline_wait args = {.handles = (uintptr_t)&handle,
						 .points = (uintptr_t)&point,
						 .count_handles = 1,
						 .flags = flags,
						 .timeout_nsec = deadline};
	int ret;

	do
		ret = raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
	while (ret == -EINTR);
	return ret;
}

int raw_sync_wait(struct raw *raw, uint32_t handle, uint64_t point)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return wait_for(raw, handle, point, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
			(now.tv_sec + WAIT_SECONDS) * INT64_C(1000000000));
}

int raw_sync_poll(struct raw *raw, uint32_t handle, uint64_t point)
{
	return wait_for(raw, handle, point, 0, 0);
}

int raw_sync_file(struct raw *raw, uint32_t handle)
{
	struct drm_syncobj_handle args = {.handle = handle,
					  .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
					  .fd = -1};

	raw_expect("SYNCOBJ_HANDLE_TO_FD", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	return args.fd;
}

int raw_sync_status(struct raw *raw, uint32_t handle)
{
	int fd = raw_sync_file(raw, handle), status = 77;

	raw_expect("fence_status", raw->file->backend->fence_status(raw->file, fd, &status), 0);
	close(fd);
	return status;
}
