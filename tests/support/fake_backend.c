/* SPDX-License-Identifier: MIT */
#include "fake_backend.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "internal.h"

static struct fake *to_fake(struct pb_file *file)
{
	return (struct fake *)file;
}

/* ---- plain answers ---- */

static int answer_version(struct fake *fake, struct drm_version *version)
{
	version->version_major = fake->major;
	version->version_minor = fake->minor;
	version->version_patchlevel = 0;
	snprintf(version->name, version->name_len + 1, "%s", fake->driver);
	version->name_len = strlen(fake->driver);
	return 0;
}

static int answer_dev_query(const struct pb_uapi_dev_query *query)
{
	void *to = (void *)(uintptr_t)query->pointer;
	struct pb_uapi_gpu_info gpu = {
		.gpu_id = 0xa8670000, .mmu_features = 48 << 8 | 48, .as_present = 0xff, .shader_present = 0x50005};
	struct pb_uapi_csif_info csif = {.csg_slot_count = 8, .cs_slot_count = 8};
	struct pb_uapi_mmu_info mmu = {.page_size_bitmap = 1u << 12 | 1u << 21};

	switch (query->type) {
	case PB_QUERY_GPU_INFO: /* as a kernel whose struct ends before gpu_features */
		assert_true(query->size >= PB_GPU_INFO_SIZE_1_0);
		memset(to, 0, query->size);
		memcpy(to, &gpu, PB_GPU_INFO_SIZE_1_0);
		return 0;
	case PB_QUERY_CSIF_INFO:
		memcpy(to, &csif, sizeof(csif));
		return 0;
	case PB_QUERY_MMU_INFO:
		memcpy(to, &mmu, sizeof(mmu));
		return 0;
	default:
		return -EINVAL;
	}
}

static int answer_bo(struct fake *fake, unsigned long request, void *arg)
{
	switch (request) {
	case PB_IOCTL_BO_CREATE: {
		struct pb_uapi_bo_create *create = arg;
		create->size = (create->size + PB_PAGE_MASK) & ~PB_PAGE_MASK;
		create->handle = ++fake->next_handle;
		fake->handles++;
		return 0;
	}
	case DRM_IOCTL_PRIME_FD_TO_HANDLE: {
		struct drm_prime_handle *prime = arg;
		prime->handle = fake->import_handle;
		if (!prime->handle) {
			prime->handle = ++fake->next_handle;
			fake->handles++;
		}
		return 0;
	}
	case DRM_IOCTL_GEM_CLOSE:
		assert_true(fake->handles > 0);
		fake->handles--;
		return 0;
	default:
		return 0;
	}
}

static int answer(struct fake *fake, unsigned long request, void *arg)
{
	switch (request) {
	case DRM_IOCTL_VERSION:
		return answer_version(fake, arg);
	case PB_IOCTL_DEV_QUERY:
		return answer_dev_query(arg);
	case PB_IOCTL_VM_CREATE:
		*(struct pb_uapi_vm_create *)arg =
			(struct pb_uapi_vm_create){.id = ++fake->next_vm, .user_va_range = 1ull << 47};
		return 0;
	case PB_IOCTL_VM_GET_STATE:
		((struct pb_uapi_vm_get_state *)arg)->state = fake->vm_state;
		return 0;
	case DRM_IOCTL_SYNCOBJ_CREATE:
		((struct drm_syncobj_create *)arg)->handle = 100 + fake->next_syncobj++;
		return 0;
	case DRM_IOCTL_SYNCOBJ_QUERY:
		*(uint64_t *)(uintptr_t)((struct drm_syncobj_timeline_array *)arg)->points = fake->timeline;
		return 0;
	default:
		return answer_bo(fake, request, arg);
	}
}

/* ---- declared calls ---- */

static void check_syncs(const struct pb_uapi_obj_array *in, const struct pb_uapi_sync_op **expected)
{
	const struct pb_uapi_sync_op *syncs = (const void *)(uintptr_t)in->array;
	if (in->count == 0)
		return;
	assert_int_equal(in->stride, sizeof(*syncs));
	if (*expected) {
		assert_memory_equal(syncs, *expected, in->count * sizeof(*syncs));
		*expected += in->count;
	}
}

static void check_ops(const struct fake_call *call, const struct pb_uapi_vm_bind *bind)
{
	const struct pb_uapi_vm_bind_op *ops = (const void *)(uintptr_t)bind->ops.array;
	const struct pb_uapi_sync_op *syncs = call->syncs;
	for (uint32_t i = 0; call->ops && i < call->count; i++) {
		struct pb_uapi_vm_bind_op op = ops[i], expected = call->ops[i];
		check_syncs(&op.syncs, &syncs);
		op.syncs.array = expected.syncs.array = 0;
		op.syncs.stride = expected.syncs.stride = 0;
		assert_memory_equal(&op, &expected, sizeof(op));
	}
}

static int play_bind(struct fake *fake, const struct fake_call *call, struct pb_uapi_vm_bind *bind)
{
	assert_int_equal(bind->vm_id, call->vm_id ? call->vm_id : 1);
	assert_int_equal(bind->flags, call->flags);
	assert_int_equal(bind->ops.stride, sizeof(struct pb_uapi_vm_bind_op));
	assert_int_equal(bind->ops.count, call->count);
	check_ops(call, bind);
	if (call->done != FAKE_UNTOUCHED)
		bind->ops.count = call->done;
	return call->ret;
}

static int play(struct fake *fake, const struct fake_call *call, void *arg)
{
	size_t size = _IOC_SIZE(call->request);
	if (call->request == PB_IOCTL_VM_BIND)
		return play_bind(fake, call, arg);
	if (call->expect)
		assert_memory_equal(arg, call->expect, size);
	if (call->reply)
		memcpy(arg, call->reply, size);
	if (call->ret < 0 || call->reply)
		return call->ret;
	return answer(fake, call->request, arg);
}

static int fake_ioctl(struct pb_file *file, unsigned long request, void *arg)
{
	struct fake *fake = to_fake(file);
	fake->seen[_IOC_NR(request)]++;
	if (fake->next < fake->call_count && fake->calls[fake->next].request == request)
		return play(fake, &fake->calls[fake->next++], arg);
	if (request == PB_IOCTL_VM_BIND && fake->on_bind)
		return fake->on_bind(fake, arg);
	if (request == PB_IOCTL_VM_BIND)
		fail_msg("VM_BIND of %u ops was not expected here (after %zu declared calls)",
			 ((struct pb_uapi_vm_bind *)arg)->ops.count, fake->next);
	return answer(fake, request, arg);
}

/* ---- the backend ---- */

static void fake_close(struct pb_file *file)
{
	to_fake(file)->closed = true;
}

static int fake_mmap(struct pb_file *file, uint64_t offset, size_t size, int prot, void **ret_ptr)
{
	void *ptr = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ptr == MAP_FAILED)
		return -errno;
	*ret_ptr = ptr;
	return 0;
}

static int fake_fence_status(struct pb_file *file, int sync_file, int *ret_status)
{
	*ret_status = 0;
	return 0;
}

static const char *fake_path(struct pb_file *file)
{
	return "/dev/dri/renderD200";
}

static int fake_atomic(struct pb_file *file)
{
	return to_fake(file)->minor >= 7 ? PANBIND_YES : PANBIND_UNKNOWN;
}

static const struct pb_backend fake_backend = {
	.name = "fake",
	.close = fake_close,
	.ioctl = fake_ioctl,
	.mmap = fake_mmap,
	.fence_status = fake_fence_status,
	.path = fake_path,
	.atomic = fake_atomic,
};

void fake_start(struct fake *fake, int minor)
{
	*fake = (struct fake){.base.backend = &fake_backend, .major = 1, .minor = minor, .driver = "panthor"};
}

struct panbind_device *fake_device(struct fake *fake)
{
	struct panbind_device *device = NULL;
	struct panbind_error error;
	int ret = pb_device_from_file(&fake->base, &device, &error);
	if (ret < 0)
		fail_msg("%s", error.msg);
	return device;
}

void fake_expect(struct fake *fake, const struct fake_call *calls, size_t count)
{
	fake_done(fake);
	fake->calls = calls;
	fake->call_count = count;
	fake->next = 0;
}

void fake_done(struct fake *fake)
{
	assert_int_equal(fake->next, fake->call_count);
}

uint32_t fake_seen(const struct fake *fake, unsigned long request)
{
	return fake->seen[_IOC_NR(request)];
}
