/* SPDX-License-Identifier: MIT */
/*
 * The simulator's ioctl dispatcher against any program of ioctls: two files on one device, arguments from the input.
 *
 * The input is a list of records. Most arguments are steered towards handles, ids and addresses that exist, since
 * a random handle proves little; the rest are taken as they come. Pointers lead into the input, to nowhere, or wild.
 * Waits are kept short. After each input everything is closed, so that leaks show.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "panbind.h"
#include "uapi.h"

#define MAX_FDS	   64
#define MAX_STEPS  200
#define MAX_BO	   (8ull << 20)
#define MAX_SPARSE (1ull << 30)

struct input {
	const uint8_t *data;
	size_t size;
};

struct fuzz {
	struct pb_file *files[2];
	int fds[MAX_FDS];
	unsigned fd_count;
	struct input in;
};

static const unsigned long requests[] = {
	PB_IOCTL_DEV_QUERY,
	PB_IOCTL_VM_CREATE,
	PB_IOCTL_VM_DESTROY,
	PB_IOCTL_VM_BIND,
	PB_IOCTL_VM_BIND, /* twice: it is what this is about */
	PB_IOCTL_VM_BIND,
	PB_IOCTL_VM_GET_STATE,
	PB_IOCTL_BO_CREATE,
	PB_IOCTL_BO_CREATE,
	PB_IOCTL_BO_MMAP_OFFSET,
	PB_IOCTL_BO_SET_LABEL,
	PB_IOCTL_SET_USER_MMIO_OFFSET,
	PB_IOCTL_BO_SYNC,
	PB_IOCTL_BO_QUERY_INFO,
	DRM_IOCTL_VERSION,
	DRM_IOCTL_GET_CAP,
	DRM_IOCTL_GEM_CLOSE,
	DRM_IOCTL_PRIME_HANDLE_TO_FD,
	DRM_IOCTL_PRIME_FD_TO_HANDLE,
	DRM_IOCTL_SYNCOBJ_CREATE,
	DRM_IOCTL_SYNCOBJ_DESTROY,
	DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD,
	DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE,
	DRM_IOCTL_SYNCOBJ_TRANSFER,
	DRM_IOCTL_SYNCOBJ_WAIT,
	DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT,
	DRM_IOCTL_SYNCOBJ_RESET,
	DRM_IOCTL_SYNCOBJ_SIGNAL,
	DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL,
	DRM_IOCTL_SYNCOBJ_QUERY,
};

static void take(struct input *in, void *out, size_t size)
{
	size_t have = in->size < size ? in->size : size;

	memset(out, 0, size);
	memcpy(out, in->data, have);
	in->data += have;
	in->size -= have;
}

static uint8_t take_byte(struct input *in)
{
	uint8_t byte;

	take(in, &byte, 1);
	return byte;
}

/* A pointer to `size` bytes: usually into the input, sometimes nowhere. */
static uint64_t take_pointer(struct fuzz *f, size_t size)
{
	uint8_t kind = take_byte(&f->in);
	uint64_t wild;

	if (kind == 0)
		return 0;
	if (kind == 1) {
		take(&f->in, &wild, sizeof(wild));
		/* Reading anywhere is fair; the simulator may write to what we point it to, so only where nothing is.
		 */
		return wild | 1ull << 63;
	}
	return size <= f->in.size ? (uintptr_t)f->in.data : 0;
}

static uint32_t small(uint32_t value)
{
	return value % 8 == 7 ? value : value % 6;
}

static void steer_sync(struct pb_uapi_sync_op *sync, uint8_t how)
{
	if (how & 1)
		sync->flags &= PB_SYNC_SIGNAL | 1;
	if (how & 2)
		sync->timeline_value %= 4;
	sync->handle = small(sync->handle);
}

static void steer_op(struct fuzz *f, struct pb_uapi_vm_bind_op *op, struct pb_uapi_sync_op *syncs)
{
	uint8_t how = take_byte(&f->in);

	op->bo_handle = small(op->bo_handle);
	if (how & 1)
		op->flags &= 3u << 28 | 15;
	if (how & 2) {
		op->va &= 0x3ffff000;
		op->size &= 0x7ff000;
		op->bo_offset &= 0x7ff000;
	}
	if (how & 4)
		op->bo_handle = 0, op->bo_offset = 0, op->flags &= 0xf0000000;
	/* A sparse map reserves tables for its whole range: legal, and too slow to be worth a fuzzer's time. */
	if (op->flags & PB_OP_SPARSE && op->size > MAX_SPARSE)
		op->size %= MAX_SPARSE;
	op->syncs.count = how & 8 ? 0 : op->syncs.count % 3;
	op->syncs.stride = how & 16 ? sizeof(*syncs) : op->syncs.stride % 40;
	op->syncs.array = how & 32 ? take_pointer(f, 80) : (uintptr_t)syncs;
	for (unsigned i = 0; i < 2; i++)
		steer_sync(&syncs[i], how >> 6);
}

static void bind(struct fuzz *f, struct pb_file *file, struct pb_uapi_vm_bind *args)
{
	struct pb_uapi_vm_bind_op ops[4];
	struct pb_uapi_sync_op syncs[4][2];
	uint8_t how = take_byte(&f->in);

	take(&f->in, ops, sizeof(ops));
	take(&f->in, syncs, sizeof(syncs));
	for (unsigned i = 0; i < 4; i++)
		steer_op(f, &ops[i], syncs[i]);
	args->vm_id = small(args->vm_id);
	if (how & 1)
		args->ops.stride = sizeof(ops[0]);
	if (how & 2)
		args->ops.count %= 5;
	if (how & 4)
		args->flags &= 1;
	args->ops.stride %= 64; /* elements of wild strides would be read from beyond `ops`, which is not the point */
	if (args->ops.count > 4 && args->ops.stride)
		args->ops.array = take_pointer(f, f->in.size);
	else
		args->ops.array = how & 8 ? (uintptr_t)ops : take_pointer(f, sizeof(ops));
	if (args->ops.array == (uintptr_t)ops && (uint64_t)args->ops.stride * args->ops.count > sizeof(ops))
		args->ops.count = (uint32_t)(sizeof(ops) / (args->ops.stride ? args->ops.stride : 1));
	file->backend->ioctl(file, PB_IOCTL_VM_BIND, args);
}

static void keep_fd(struct fuzz *f, int fd)
{
	if (fd < 0)
		return;
	if (f->fd_count < MAX_FDS)
		f->fds[f->fd_count++] = fd;
	else
		close(fd);
}

static int some_fd(struct fuzz *f)
{
	uint8_t which = take_byte(&f->in);

	return f->fd_count && which < 250 ? f->fds[which % f->fd_count] : -1;
}

static void syncobj_handles(struct fuzz *f, uint64_t *handles, uint64_t *points, uint32_t *count)
{
	*count %= 5;
	*handles = take_pointer(f, 64);
	*points = take_pointer(f, 64);
}

/* Where an argument names things, make it name things that are likely to be there; then call. */
/* The argument of any ioctl. */
union argument {
	uint8_t bytes[128];
	struct pb_uapi_vm_bind bind;
	struct pb_uapi_bo_create bo;
	struct pb_uapi_dev_query query;
	struct pb_uapi_bo_set_label label;
	struct pb_uapi_bo_sync sync;
	struct drm_version version;
	struct drm_prime_handle prime;
	struct drm_syncobj_handle handle;
	struct drm_syncobj_transfer transfer;
	struct drm_syncobj_wait wait;
	struct drm_syncobj_timeline_wait timeline_wait;
	struct drm_syncobj_array array;
	struct drm_syncobj_timeline_array timeline;
	uint32_t words[32];
};

/* Pointers that lead into the input, ids that may be there, waits that end. False: it is not one of syncobjs. */
static bool shape_syncobj(struct fuzz *f, unsigned long request, union argument *args)
{
	uint64_t ignored;

	switch (request) {
	case DRM_IOCTL_SYNCOBJ_TRANSFER: /* waiting for a fence to appear takes seconds */
		args->words[0] = small(args->words[0]);
		args->words[1] = small(args->words[1]);
		args->transfer.flags &= ~(uint32_t)DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
		return true;
	case DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE:
		args->handle.fd = some_fd(f);
		return true;
	case DRM_IOCTL_SYNCOBJ_WAIT:
		syncobj_handles(f, (uint64_t *)&args->wait.handles, &ignored, &args->wait.count_handles);
		args->wait.timeout_nsec = 0;
		return true;
	case DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT:
		syncobj_handles(f, (uint64_t *)&args->timeline_wait.handles, (uint64_t *)&args->timeline_wait.points,
				&args->timeline_wait.count_handles);
		args->timeline_wait.timeout_nsec = 0;
		return true;
	case DRM_IOCTL_SYNCOBJ_RESET:
	case DRM_IOCTL_SYNCOBJ_SIGNAL:
		syncobj_handles(f, (uint64_t *)&args->array.handles, &ignored, &args->array.count_handles);
		return true;
	case DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL:
		syncobj_handles(f, (uint64_t *)&args->timeline.handles, (uint64_t *)&args->timeline.points,
				&args->timeline.count_handles);
		return true;
	case DRM_IOCTL_SYNCOBJ_QUERY: /* writes to points: nowhere */
		syncobj_handles(f, (uint64_t *)&args->timeline.handles, &ignored, &args->timeline.count_handles);
		args->timeline.points = 0;
		return true;
	default:
		return false;
	}
}

static void shape(struct fuzz *f, unsigned long request, union argument *args)
{
	switch (request) {
	case PB_IOCTL_BO_CREATE:
		args->bo.exclusive_vm_id = small(args->bo.exclusive_vm_id);
		if (args->bo.size < 1ull << 39)
			args->bo.size %= MAX_BO;
		break;
	case PB_IOCTL_DEV_QUERY:
		args->query.pointer = take_pointer(f, 0) & (1ull << 63);
		break;
	case PB_IOCTL_BO_SET_LABEL:
		args->label.label = take_pointer(f, f->in.size);
		break;
	case PB_IOCTL_BO_SYNC:
		args->sync.ops.count %= 4;
		args->sync.ops.array = take_pointer(f, 256);
		break;
	case DRM_IOCTL_VERSION:
		memset(&args->version, 0, sizeof(args->version));
		break;
	case DRM_IOCTL_PRIME_FD_TO_HANDLE:
		args->prime.fd = some_fd(f);
		break;
	default:
		if (!shape_syncobj(f, request, args))
			args->words[0] = small(args->words[0]);
	}
}

static void step(struct fuzz *f)
{
	union argument args;
	struct pb_file *file = f->files[take_byte(&f->in) & 1];
	unsigned long request = requests[take_byte(&f->in) % (sizeof(requests) / sizeof(requests[0]))];
	int r;

	take(&f->in, args.bytes, sizeof(args.bytes));
	if (request == PB_IOCTL_VM_BIND) {
		bind(f, file, &args.bind);
		return;
	}
	shape(f, request, &args);
	r = file->backend->ioctl(file, request, &args);
	if (r == 0 && request == DRM_IOCTL_PRIME_HANDLE_TO_FD)
		keep_fd(f, args.prime.fd);
	if (r == 0 && request == DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD)
		keep_fd(f, args.handle.fd);
}

/* The GPU's side and the CPU's: residency, an access, the page walk, a CPU mapping. */
static void touch(struct fuzz *f)
{
	struct pb_file *file = f->files[take_byte(&f->in) & 1];
	const struct pb_gpu_ops *gpu = file->backend->gpu;
	uint8_t how = take_byte(&f->in);
	struct pb_page page;
	uint64_t va, value = 0;
	void *ptr;

	take(&f->in, &va, sizeof(va));
	if (how & 1)
		gpu->resident(file, how >> 5, how >> 1 & 1);
	gpu->access(file, how >> 5, va & 0x3ffffff8, &value, 8, how & 4 ? PB_GPU_STORE : 0);
	gpu->access(file, how >> 5, va, &value, how & 15, PB_GPU_NOWAIT);
	gpu->next_page(file, how >> 5, va & 0x3fffffff, &page);
	if (how & 16 && file->backend->mmap(file, va, 4096, PROT_READ, &ptr) == 0)
		munmap(ptr, 4096);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const specs[] = {"sim:name=fuzz",
					    "sim:name=fuzz,minor=0",
					    "sim:name=fuzz,kernel=6.12",
					    "sim:name=fuzz,atomic=off",
					    "sim:name=fuzz,va-bits=39",
					    "sim:name=fuzz,as-slots=1"};
	struct fuzz f = {.in = {data, size}};
	const char *spec = specs[take_byte(&f.in) % 5];

	for (int i = 0; i < 2; i++)
		if (pb_backend_open(spec, &f.files[i], NULL) < 0)
			abort();
	for (int i = 0; i < MAX_STEPS && f.in.size; i++) {
		step(&f);
		if (take_byte(&f.in) & 1)
			touch(&f);
	}
	for (unsigned i = 0; i < f.fd_count; i++)
		close(f.fds[i]);
	for (int i = 0; i < 2; i++)
		f.files[i]->backend->close(f.files[i]);
	return 0;
}
