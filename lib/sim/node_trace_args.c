/* SPDX-License-Identifier: MIT */
/* The fields of each ioctl in a trace. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node_trace.h"
#include "sim.h"
#include "sim_user.h"

/* Elements of an array that a line shows; what a real caller would need more of fails anyway. */
#define ARRAY_MAX 4096u
#define TEXT_MAX  4096u

/* The arguments of a row, by its struct: ARGS(drm_gem_close, "\"handle\":%u", a->handle) */
#define ROW_FIELDS(name, type, ...)                                   \
	static void name(FILE *stream, const union node_block *block) \
	{                                                             \
		const struct type *a = (const struct type *)block;    \
		fprintf(stream, __VA_ARGS__);                         \
	}
#define HEX "\"0x%" PRIx64 "\""

/* ---- What pointers point to ---- */

static void put_numbers(FILE *stream, const char *key, uint64_t user, uint32_t count, size_t size)
{
	union {
		uint32_t small;
		uint64_t large;
	} value = {0};

	fprintf(stream, "\"%s\":[", key);
	for (uint32_t i = 0; i < count && i < ARRAY_MAX && user; i++) {
		if (sim_copy_from_user(&value, user + i * size, size))
			break;
		fprintf(stream, "%s%" PRIu64, i ? "," : "", size == 4 ? value.small : value.large);
	}
	putc(']', stream);
}

/* A string of the caller's, up to its NUL or @size bytes; anything that is not plain ASCII as an escape. */
static void put_text(FILE *stream, const char *key, uint64_t user, uint64_t size)
{
	fprintf(stream, "\"%s\":\"", key);
	for (uint64_t i = 0; i < size && i < TEXT_MAX && user; i++) {
		unsigned char c;

		if (sim_copy_from_user(&c, user + i, 1) || !c)
			break;
		fprintf(stream, c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? "\\u%04x" : "%c", c);
	}
	putc('"', stream);
}

static void put_bytes(FILE *stream, const char *key, uint64_t user, uint32_t size)
{
	fprintf(stream, "\"%s\":\"", key);
	for (uint32_t i = 0; i < size && i < TEXT_MAX && user; i++) {
		unsigned char c;

		if (sim_copy_from_user(&c, user + i, 1))
			break;
		fprintf(stream, "%02x", c);
	}
	putc('"', stream);
}

/* ---- The core's ---- */

static void version_out(FILE *stream, const union node_block *block)
{
	const struct drm_version *a = (const struct drm_version *)block;

	fprintf(stream, "\"version\":\"%d.%d.%d\",", a->version_major, a->version_minor, a->version_patchlevel);
	put_text(stream, "name", (uintptr_t)a->name, a->name_len);
}

ROW_FIELDS(cap_args, drm_get_cap, "\"capability\":%llu", (unsigned long long)a->capability)
ROW_FIELDS(cap_out, drm_get_cap, "\"value\":%llu", (unsigned long long)a->value)
ROW_FIELDS(handle_args, drm_gem_close, "\"handle\":%u", a->handle)
ROW_FIELDS(handle_out, drm_gem_close, "\"handle\":%u", a->handle)
ROW_FIELDS(to_fd_args, drm_prime_handle, "\"handle\":%u,\"flags\":%u", a->handle, a->flags)
ROW_FIELDS(fd_out, drm_prime_handle, "\"fd\":%d", a->fd)
ROW_FIELDS(from_fd_args, drm_prime_handle, "\"fd\":%d", a->fd)
ROW_FIELDS(syncobj_create_args, drm_syncobj_create, "\"flags\":%u", a->flags)
ROW_FIELDS(syncobj_create_out, drm_syncobj_create, "\"handle\":%u", a->handle)
ROW_FIELDS(syncobj_to_fd_args, drm_syncobj_handle, "\"handle\":%u,\"flags\":%u", a->handle, a->flags)
ROW_FIELDS(syncobj_fd_out, drm_syncobj_handle, "\"fd\":%d", a->fd)
ROW_FIELDS(syncobj_from_fd_args, drm_syncobj_handle, "\"handle\":%u,\"flags\":%u,\"fd\":%d", a->handle, a->flags, a->fd)
ROW_FIELDS(syncobj_handle_out, drm_syncobj_handle, "\"handle\":%u", a->handle)
ROW_FIELDS(transfer_args, drm_syncobj_transfer,
	   "\"src_handle\":%u,\"src_point\":%llu,\"dst_handle\":%u,\"dst_point\":%llu,\"flags\":%u", a->src_handle,
	   (unsigned long long)a->src_point, a->dst_handle, (unsigned long long)a->dst_point, a->flags)
ROW_FIELDS(eventfd_args, sim_syncobj_eventfd, "\"handle\":%u,\"point\":%" PRIu64 ",\"flags\":%u,\"fd\":%d", a->handle,
	   a->point, a->flags, a->fd)
ROW_FIELDS(wait_out, drm_syncobj_wait, "\"first_signaled\":%u", a->first_signaled)
ROW_FIELDS(timeline_wait_out, drm_syncobj_timeline_wait, "\"first_signaled\":%u", a->first_signaled)

static void array_args(FILE *stream, const union node_block *block)
{
	const struct drm_syncobj_array *a = (const struct drm_syncobj_array *)block;

	put_numbers(stream, "handles", a->handles, a->count_handles, sizeof(uint32_t));
}

static void wait_args(FILE *stream, const union node_block *block)
{
	const struct drm_syncobj_wait *a = (const struct drm_syncobj_wait *)block;

	put_numbers(stream, "handles", a->handles, a->count_handles, sizeof(uint32_t));
	fprintf(stream, ",\"timeout_nsec\":%lld,\"flags\":%u", (long long)a->timeout_nsec, a->flags);
}

static void timeline_wait_args(FILE *stream, const union node_block *block)
{
	const struct drm_syncobj_timeline_wait *a = (const struct drm_syncobj_timeline_wait *)block;

	put_numbers(stream, "handles", a->handles, a->count_handles, sizeof(uint32_t));
	putc(',', stream);
	put_numbers(stream, "points", a->points, a->count_handles, sizeof(uint64_t));
	fprintf(stream, ",\"timeout_nsec\":%lld,\"flags\":%u", (long long)a->timeout_nsec, a->flags);
}

static void timeline_args(FILE *stream, const union node_block *block)
{
	const struct drm_syncobj_timeline_array *a = (const struct drm_syncobj_timeline_array *)block;

	put_numbers(stream, "handles", a->handles, a->count_handles, sizeof(uint32_t));
	putc(',', stream);
	put_numbers(stream, "points", a->points, a->count_handles, sizeof(uint64_t));
	fprintf(stream, ",\"flags\":%u", a->flags);
}

static void query_args(FILE *stream, const union node_block *block)
{
	const struct drm_syncobj_timeline_array *a = (const struct drm_syncobj_timeline_array *)block;

	put_numbers(stream, "handles", a->handles, a->count_handles, sizeof(uint32_t));
	fprintf(stream, ",\"flags\":%u", a->flags);
}

static void query_out(FILE *stream, const union node_block *block)
{
	const struct drm_syncobj_timeline_array *a = (const struct drm_syncobj_timeline_array *)block;

	put_numbers(stream, "points", a->points, a->count_handles, sizeof(uint64_t));
}

/* ---- panthor's ---- */

static void dev_query_args(FILE *stream, const union node_block *block)
{
	static const char *const names[] = {"GPU_INFO", "CSIF_INFO", "TIMESTAMP_INFO", "GROUP_PRIORITIES_INFO",
					    "MMU_INFO"};
	const struct pb_uapi_dev_query *a = (const struct pb_uapi_dev_query *)block;

	fprintf(stream, "\"type\":%u,\"type_name\":\"%s\",\"size\":%u,\"pointer_null\":%s", a->type,
		a->type < SIM_ARRAY_SIZE(names) ? names[a->type] : "", a->size, a->pointer ? "false" : "true");
}

static void dev_query_out(FILE *stream, const union node_block *block)
{
	const struct pb_uapi_dev_query *a = (const struct pb_uapi_dev_query *)block;

	fprintf(stream, "\"size\":%u", a->size);
	if (!a->pointer)
		return;
	putc(',', stream);
	put_bytes(stream, "data", a->pointer, a->size);
}

ROW_FIELDS(vm_create_args, pb_uapi_vm_create, "\"flags\":%u,\"user_va_range\":" HEX, a->flags, a->user_va_range)
ROW_FIELDS(vm_create_out, pb_uapi_vm_create, "\"id\":%u,\"user_va_range\":" HEX, a->id, a->user_va_range)
ROW_FIELDS(vm_destroy_args, pb_uapi_vm_destroy, "\"id\":%u", a->id)
ROW_FIELDS(vm_state_args, pb_uapi_vm_get_state, "\"vm_id\":%u", a->vm_id)
ROW_FIELDS(vm_state_out, pb_uapi_vm_get_state, "\"state\":%u", a->state)
ROW_FIELDS(bo_create_args, pb_uapi_bo_create, "\"size\":" HEX ",\"flags\":%u,\"exclusive_vm_id\":%u", a->size, a->flags,
	   a->exclusive_vm_id)
ROW_FIELDS(bo_create_out, pb_uapi_bo_create, "\"handle\":%u,\"size\":" HEX, a->handle, a->size)
ROW_FIELDS(bo_mmap_args, pb_uapi_bo_mmap_offset, "\"handle\":%u", a->handle)
ROW_FIELDS(bo_mmap_out, pb_uapi_bo_mmap_offset, "\"offset\":" HEX, a->offset)
ROW_FIELDS(mmio_args, pb_uapi_set_user_mmio_offset, "\"offset\":" HEX, a->offset)
ROW_FIELDS(bo_sync_args, pb_uapi_bo_sync, "\"nops\":%u,\"stride\":%u", a->ops.count, a->ops.stride)
ROW_FIELDS(bo_info_args, pb_uapi_bo_query_info, "\"handle\":%u", a->handle)
ROW_FIELDS(bo_info_out, pb_uapi_bo_query_info, "\"create_flags\":%u,\"extra_flags\":%u", a->create_flags,
	   a->extra_flags)

static void label_args(FILE *stream, const union node_block *block)
{
	const struct pb_uapi_bo_set_label *a = (const struct pb_uapi_bo_set_label *)block;

	fprintf(stream, "\"handle\":%u,", a->handle);
	put_text(stream, "label", a->label, PB_BO_LABEL_MAX);
}

/* Element @index of an array with a stride of the caller's; what it has less is zero. */
static bool fetch_element(const struct pb_uapi_obj_array *array, uint32_t index, void *element, size_t size)
{
	memset(element, 0, size);
	return sim_copy_from_user(element, array->array + (uint64_t)index * array->stride,
				  array->stride < size ? array->stride : size) == 0;
}

static void put_syncs(FILE *stream, const struct pb_uapi_obj_array *syncs)
{
	struct pb_uapi_sync_op sync;

	fputs(",\"syncs\":[", stream);
	for (uint32_t i = 0; i < syncs->count && i < ARRAY_MAX && fetch_element(syncs, i, &sync, sizeof(sync)); i++)
		fprintf(stream, "%s{\"op\":\"%s\",\"type\":\"%s\",\"handle\":%u,\"value\":%" PRIu64 "}", i ? "," : "",
			sync.flags & PB_SYNC_SIGNAL ? "signal" : "wait",
			(sync.flags & PB_SYNC_TYPE_MASK) == PB_SYNC_TYPE_TIMELINE ? "timeline" : "syncobj", sync.handle,
			sync.timeline_value);
	putc(']', stream);
}

static void put_op(FILE *stream, const struct pb_uapi_vm_bind_op *op)
{
	static const char *const names[] = {"map", "unmap", "sync_only"};
	uint32_t type = (op->flags & PB_OP_TYPE_MASK) >> 28;

	fprintf(stream,
		"{\"op\":\"%s\",\"flags\":\"0x%x\",\"bo\":%u,\"bo_offset\":" HEX ",\"va\":" HEX ",\"size\":" HEX,
		type < SIM_ARRAY_SIZE(names) ? names[type] : "", op->flags, op->bo_handle, op->bo_offset, op->va,
		op->size);
	put_syncs(stream, &op->syncs);
	putc('}', stream);
}

static void vm_bind_args(FILE *stream, const union node_block *block)
{
	const struct pb_uapi_vm_bind *a = (const struct pb_uapi_vm_bind *)block;
	struct pb_uapi_vm_bind_op op;

	fprintf(stream, "\"vm_id\":%u,\"flags\":%u,\"async\":%s,\"nops\":%u,\"stride\":%u,\"ops\":[", a->vm_id,
		a->flags, a->flags & PB_VM_BIND_ASYNC ? "true" : "false", a->ops.count, a->ops.stride);
	for (uint32_t i = 0; i < a->ops.count && i < ARRAY_MAX && fetch_element(&a->ops, i, &op, sizeof(op)); i++) {
		if (i)
			putc(',', stream);
		put_op(stream, &op);
	}
	putc(']', stream);
}

ROW_FIELDS(vm_bind_out, pb_uapi_vm_bind, "\"nops\":%u", a->ops.count)

/* ---- Jobs ---- */

ROW_FIELDS(group_create_args, pb_uapi_group_create, "\"vm_id\":%u,\"nqueues\":%u,\"priority\":%u", a->vm_id,
	   a->queues.count, a->priority)
ROW_FIELDS(group_create_out, pb_uapi_group_create, "\"group_handle\":%u", a->group_handle)
ROW_FIELDS(group_args, pb_uapi_group_destroy, "\"group_handle\":%u", a->group_handle)
ROW_FIELDS(group_state_out, pb_uapi_group_get_state, "\"state\":%u,\"fatal_queues\":%u", a->state, a->fatal_queues)
ROW_FIELDS(heap_create_args, pb_uapi_tiler_heap_create,
	   "\"vm_id\":%u,\"initial_chunk_count\":%u,\"chunk_size\":%u,\"max_chunks\":%u,\"target_in_flight\":%u",
	   a->vm_id, a->initial_chunk_count, a->chunk_size, a->max_chunks, a->target_in_flight)
ROW_FIELDS(heap_create_out, pb_uapi_tiler_heap_create,
	   "\"handle\":%u,\"tiler_heap_ctx_gpu_va\":" HEX ",\"first_heap_chunk_gpu_va\":" HEX, a->handle,
	   a->tiler_heap_ctx_gpu_va, a->first_heap_chunk_gpu_va)
ROW_FIELDS(heap_destroy_args, pb_uapi_tiler_heap_destroy, "\"handle\":%u", a->handle)

static void group_submit_args(FILE *stream, const union node_block *block)
{
	const struct pb_uapi_group_submit *a = (const struct pb_uapi_group_submit *)block;
	const struct pb_uapi_obj_array *submits = &a->queue_submits;
	struct pb_uapi_queue_submit submit;

	fprintf(stream, "\"group_handle\":%u,\"submits\":[", a->group_handle);
	for (uint32_t i = 0; i < submits->count && i < ARRAY_MAX && fetch_element(submits, i, &submit, sizeof(submit));
	     i++) {
		fprintf(stream, "%s{\"queue\":%u,\"stream_size\":%u,\"stream_addr\":" HEX, i ? "," : "",
			submit.queue_index, submit.stream_size, submit.stream_addr);
		put_syncs(stream, &submit.syncs);
		putc('}', stream);
	}
	putc(']', stream);
}

/* ---- The table ---- */

#define ROW(request, name, args, out)             \
	{                                         \
		_IOC_NR(request), name, args, out \
	}

static const struct node_trace_row rows[] = {
	ROW(DRM_IOCTL_VERSION, "VERSION", NULL, version_out),
	ROW(DRM_IOCTL_GET_CAP, "GET_CAP", cap_args, cap_out),
	ROW(DRM_IOCTL_GEM_CLOSE, "GEM_CLOSE", handle_args, NULL),
	ROW(DRM_IOCTL_PRIME_HANDLE_TO_FD, "PRIME_HANDLE_TO_FD", to_fd_args, fd_out),
	ROW(DRM_IOCTL_PRIME_FD_TO_HANDLE, "PRIME_FD_TO_HANDLE", from_fd_args, handle_out),
	ROW(DRM_IOCTL_SYNCOBJ_CREATE, "SYNCOBJ_CREATE", syncobj_create_args, syncobj_create_out),
	ROW(DRM_IOCTL_SYNCOBJ_DESTROY, "SYNCOBJ_DESTROY", handle_args, NULL),
	ROW(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, "SYNCOBJ_HANDLE_TO_FD", syncobj_to_fd_args, syncobj_fd_out),
	ROW(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, "SYNCOBJ_FD_TO_HANDLE", syncobj_from_fd_args, syncobj_handle_out),
	ROW(DRM_IOCTL_SYNCOBJ_WAIT, "SYNCOBJ_WAIT", wait_args, wait_out),
	ROW(DRM_IOCTL_SYNCOBJ_RESET, "SYNCOBJ_RESET", array_args, NULL),
	ROW(DRM_IOCTL_SYNCOBJ_SIGNAL, "SYNCOBJ_SIGNAL", array_args, NULL),
	ROW(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, "SYNCOBJ_TIMELINE_WAIT", timeline_wait_args, timeline_wait_out),
	ROW(DRM_IOCTL_SYNCOBJ_QUERY, "SYNCOBJ_QUERY", query_args, query_out),
	ROW(DRM_IOCTL_SYNCOBJ_TRANSFER, "SYNCOBJ_TRANSFER", transfer_args, NULL),
	ROW(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, "SYNCOBJ_TIMELINE_SIGNAL", timeline_args, NULL),
	ROW(SIM_IOCTL_SYNCOBJ_EVENTFD, "SYNCOBJ_EVENTFD", eventfd_args, NULL),
	ROW(PB_IOCTL_DEV_QUERY, "PANTHOR_DEV_QUERY", dev_query_args, dev_query_out),
	ROW(PB_IOCTL_VM_CREATE, "PANTHOR_VM_CREATE", vm_create_args, vm_create_out),
	ROW(PB_IOCTL_VM_DESTROY, "PANTHOR_VM_DESTROY", vm_destroy_args, NULL),
	ROW(PB_IOCTL_VM_BIND, "PANTHOR_VM_BIND", vm_bind_args, vm_bind_out),
	ROW(PB_IOCTL_VM_GET_STATE, "PANTHOR_VM_GET_STATE", vm_state_args, vm_state_out),
	ROW(PB_IOCTL_BO_CREATE, "PANTHOR_BO_CREATE", bo_create_args, bo_create_out),
	ROW(PB_IOCTL_BO_MMAP_OFFSET, "PANTHOR_BO_MMAP_OFFSET", bo_mmap_args, bo_mmap_out),
	ROW(PB_IOCTL_GROUP_CREATE, "PANTHOR_GROUP_CREATE", group_create_args, group_create_out),
	ROW(PB_IOCTL_GROUP_DESTROY, "PANTHOR_GROUP_DESTROY", group_args, NULL),
	ROW(PB_IOCTL_GROUP_SUBMIT, "PANTHOR_GROUP_SUBMIT", group_submit_args, NULL),
	ROW(PB_IOCTL_GROUP_GET_STATE, "PANTHOR_GROUP_GET_STATE", group_args, group_state_out),
	ROW(PB_IOCTL_TILER_HEAP_CREATE, "PANTHOR_TILER_HEAP_CREATE", heap_create_args, heap_create_out),
	ROW(PB_IOCTL_TILER_HEAP_DESTROY, "PANTHOR_TILER_HEAP_DESTROY", heap_destroy_args, NULL),
	ROW(PB_IOCTL_BO_SET_LABEL, "PANTHOR_BO_SET_LABEL", label_args, NULL),
	ROW(PB_IOCTL_SET_USER_MMIO_OFFSET, "PANTHOR_SET_USER_MMIO_OFFSET", mmio_args, NULL),
	ROW(PB_IOCTL_BO_SYNC, "PANTHOR_BO_SYNC", bo_sync_args, NULL),
	ROW(PB_IOCTL_BO_QUERY_INFO, "PANTHOR_BO_QUERY_INFO", bo_info_args, bo_info_out),
};

const struct node_trace_row *node_trace_row(unsigned long request)
{
	for (size_t i = 0; i < SIM_ARRAY_SIZE(rows); i++)
		if (_IOC_TYPE(request) == DRM_IOCTL_BASE && rows[i].nr == _IOC_NR(request))
			return &rows[i];
	return NULL;
}
