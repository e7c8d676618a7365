/* SPDX-License-Identifier: MIT */
/*
 * The panthor uAPI 1.0 to 1.9 in our own words: layouts, flags, ioctl numbers.
 *
 * Facts: Linux include/uapi/drm/panthor_drm.h. Names are ours (pb_uapi_*, PB_*) so that this file and the kernel's own
 * header can stand in one test that compares them. Every struct has its size asserted here; offsets follow from it,
 * since none has implicit padding.
 */
#ifndef PB_UAPI_H
#define PB_UAPI_H

#include <drm.h>
#include <stdint.h>

#define PB_UAPI_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " is " #bytes " bytes")

/* An array of structs whose size user space states, so that either side may be newer. */
struct pb_uapi_obj_array {
	uint32_t stride, count;
	uint64_t array;
};
PB_UAPI_SIZE(pb_uapi_obj_array, 16);

#define PB_SYNC_TYPE_MASK     0xffu
#define PB_SYNC_TYPE_SYNCOBJ  0u
#define PB_SYNC_TYPE_TIMELINE 1u
#define PB_SYNC_SIGNAL	      (1u << 31)

struct pb_uapi_sync_op {
	uint32_t flags, handle;
	uint64_t timeline_value;
};
PB_UAPI_SIZE(pb_uapi_sync_op, 16);

/* ---- DEV_QUERY ---- */

enum pb_uapi_query {
	PB_QUERY_GPU_INFO = 0,
	PB_QUERY_CSIF_INFO = 1,
	PB_QUERY_TIMESTAMP_INFO = 2,	    /* 1.1 */
	PB_QUERY_GROUP_PRIORITIES_INFO = 3, /* 1.2 */
	PB_QUERY_MMU_INFO = 4,		    /* 1.9 */
};

struct pb_uapi_dev_query {
	uint32_t type, size;
	uint64_t pointer;
};
PB_UAPI_SIZE(pb_uapi_dev_query, 16);

struct pb_uapi_gpu_info {
	uint32_t gpu_id, gpu_rev, csf_id, l2_features, tiler_features, mem_features, mmu_features, thread_features;
	uint32_t max_threads, thread_max_workgroup_size, thread_max_barrier_size, coherency_features;
	uint32_t texture_features[4];
	uint32_t as_present, selected_coherency; /* selected_coherency: 1.7, padding before */
	uint64_t shader_present, l2_present, tiler_present;
	uint32_t core_features, pad;
	uint64_t gpu_features; /* newest headers; a kernel without it answers 104 bytes */
};
PB_UAPI_SIZE(pb_uapi_gpu_info, 112);
#define PB_GPU_INFO_SIZE_1_0	 104u
#define PB_MMU_VA_BITS(features) ((features)&0xffu)
#define PB_MMU_PA_BITS(features) (((features) >> 8) & 0xffu)

struct pb_uapi_csif_info {
	uint32_t csg_slot_count, cs_slot_count, cs_reg_count, scoreboard_slot_count, unpreserved_cs_reg_count, pad;
};
PB_UAPI_SIZE(pb_uapi_csif_info, 24);

struct pb_uapi_timestamp_info {
	uint64_t timestamp_frequency, current_timestamp, timestamp_offset;
	/* 1.8 */
	uint32_t flags, duration_nsec;
	uint64_t cycle_count, cpu_timestamp_sec, cpu_timestamp_nsec;
};
PB_UAPI_SIZE(pb_uapi_timestamp_info, 56);

struct pb_uapi_group_priorities_info {
	uint8_t allowed_mask, pad[3];
};
PB_UAPI_SIZE(pb_uapi_group_priorities_info, 4);

struct pb_uapi_mmu_info {
	uint64_t page_size_bitmap;
};
PB_UAPI_SIZE(pb_uapi_mmu_info, 8);

/* ---- VMs ---- */

struct pb_uapi_vm_create {
	uint32_t flags, id;
	uint64_t user_va_range;
};
PB_UAPI_SIZE(pb_uapi_vm_create, 16);

struct pb_uapi_vm_destroy {
	uint32_t id, pad;
};
PB_UAPI_SIZE(pb_uapi_vm_destroy, 8);

#define PB_VM_STATE_USABLE   0u
#define PB_VM_STATE_UNUSABLE 1u

struct pb_uapi_vm_get_state {
	uint32_t vm_id, state;
};
PB_UAPI_SIZE(pb_uapi_vm_get_state, 8);

#define PB_OP_READONLY	(1u << 0)
#define PB_OP_NOEXEC	(1u << 1)
#define PB_OP_UNCACHED	(1u << 2)
#define PB_OP_SPARSE	(1u << 3) /* 1.9 */
#define PB_OP_TYPE_MASK (0xfu << 28)
#define PB_OP_MAP	(0u << 28)
#define PB_OP_UNMAP	(1u << 28)
#define PB_OP_SYNC_ONLY (2u << 28)

struct pb_uapi_vm_bind_op {
	uint32_t flags, bo_handle;
	uint64_t bo_offset, va, size;
	struct pb_uapi_obj_array syncs;
};
PB_UAPI_SIZE(pb_uapi_vm_bind_op, 48);

#define PB_VM_BIND_ASYNC (1u << 0)

struct pb_uapi_vm_bind {
	uint32_t vm_id, flags;
	struct pb_uapi_obj_array ops; /* count: on a failed synchronous bind, the index of the failing op */
};
PB_UAPI_SIZE(pb_uapi_vm_bind, 24);

/* ---- BOs ---- */

#define PB_BO_NO_MMAP (1u << 0)
#define PB_BO_WB_MMAP (1u << 1) /* 1.7 */

struct pb_uapi_bo_create {
	uint64_t size;
	uint32_t flags, exclusive_vm_id, handle, pad;
};
PB_UAPI_SIZE(pb_uapi_bo_create, 24);

struct pb_uapi_bo_mmap_offset {
	uint32_t handle, pad;
	uint64_t offset;
};
PB_UAPI_SIZE(pb_uapi_bo_mmap_offset, 16);

#define PB_BO_LABEL_MAX 4096u /* bytes, NUL included */

struct pb_uapi_bo_set_label {
	uint32_t handle, pad;
	uint64_t label;
};
PB_UAPI_SIZE(pb_uapi_bo_set_label, 16);

struct pb_uapi_set_user_mmio_offset {
	uint64_t offset;
};
PB_UAPI_SIZE(pb_uapi_set_user_mmio_offset, 8);

#define PB_BO_SYNC_FLUSH		0u
#define PB_BO_SYNC_FLUSH_AND_INVALIDATE 1u

struct pb_uapi_bo_sync_op {
	uint32_t handle, type;
	uint64_t offset, size;
};
PB_UAPI_SIZE(pb_uapi_bo_sync_op, 24);

struct pb_uapi_bo_sync {
	struct pb_uapi_obj_array ops;
};
PB_UAPI_SIZE(pb_uapi_bo_sync, 16);

#define PB_BO_IS_IMPORTED (1u << 0)

struct pb_uapi_bo_query_info {
	uint32_t handle, extra_flags, create_flags, pad;
};
PB_UAPI_SIZE(pb_uapi_bo_query_info, 16);

/* ---- Groups of queues that run jobs, which the library has no use for; the simulator takes them without a GPU ---- */

#define PB_MAX_QUEUES 32u /* of a group; how many there are is csif_info.cs_slot_count */

/* From lowest; above medium a program needs CAP_SYS_NICE. */
enum pb_uapi_group_priority {
	PB_GROUP_PRIORITY_LOW,
	PB_GROUP_PRIORITY_MEDIUM,
	PB_GROUP_PRIORITY_HIGH,
	PB_GROUP_PRIORITY_REALTIME, /* 1.2 */
};

struct pb_uapi_queue_create {
	uint8_t priority, pad[3]; /* priority: 0 to 15, within the group */
	uint32_t ringbuf_size;
};
PB_UAPI_SIZE(pb_uapi_queue_create, 8);

struct pb_uapi_group_create {
	struct pb_uapi_obj_array queues;
	uint8_t max_compute_cores, max_fragment_cores, max_tiler_cores, priority;
	uint32_t pad;
	uint64_t compute_core_mask, fragment_core_mask, tiler_core_mask;
	uint32_t vm_id, group_handle;
};
PB_UAPI_SIZE(pb_uapi_group_create, 56);

struct pb_uapi_group_destroy {
	uint32_t group_handle, pad;
};
PB_UAPI_SIZE(pb_uapi_group_destroy, 8);

struct pb_uapi_queue_submit {
	uint32_t queue_index, stream_size;
	uint64_t stream_addr; /* a GPU VA; 0 with size 0: nothing but the syncs */
	uint32_t latest_flush, pad;
	struct pb_uapi_obj_array syncs;
};
PB_UAPI_SIZE(pb_uapi_queue_submit, 40);

struct pb_uapi_group_submit {
	uint32_t group_handle, pad;
	struct pb_uapi_obj_array queue_submits;
};
PB_UAPI_SIZE(pb_uapi_group_submit, 24);

#define PB_GROUP_STATE_TIMEDOUT	   (1u << 0)
#define PB_GROUP_STATE_FATAL_FAULT (1u << 1)

struct pb_uapi_group_get_state {
	uint32_t group_handle, state, fatal_queues, pad;
};
PB_UAPI_SIZE(pb_uapi_group_get_state, 16);

/* ---- Tiler heaps ---- */

struct pb_uapi_tiler_heap_create {
	uint32_t vm_id, initial_chunk_count, chunk_size, max_chunks, target_in_flight, handle;
	uint64_t tiler_heap_ctx_gpu_va, first_heap_chunk_gpu_va;
};
PB_UAPI_SIZE(pb_uapi_tiler_heap_create, 40);

struct pb_uapi_tiler_heap_destroy {
	uint32_t handle, pad;
};
PB_UAPI_SIZE(pb_uapi_tiler_heap_destroy, 8);

/* ---- Ioctl numbers: DRM_COMMAND_BASE + id, all read and write ---- */

#define PB_IOWR(id, type) DRM_IOWR(DRM_COMMAND_BASE + (id), struct type)

#define PB_IOCTL_DEV_QUERY	      PB_IOWR(0, pb_uapi_dev_query)
#define PB_IOCTL_VM_CREATE	      PB_IOWR(1, pb_uapi_vm_create)
#define PB_IOCTL_VM_DESTROY	      PB_IOWR(2, pb_uapi_vm_destroy)
#define PB_IOCTL_VM_BIND	      PB_IOWR(3, pb_uapi_vm_bind)
#define PB_IOCTL_VM_GET_STATE	      PB_IOWR(4, pb_uapi_vm_get_state)
#define PB_IOCTL_BO_CREATE	      PB_IOWR(5, pb_uapi_bo_create)
#define PB_IOCTL_BO_MMAP_OFFSET	      PB_IOWR(6, pb_uapi_bo_mmap_offset)
#define PB_IOCTL_GROUP_CREATE	      PB_IOWR(7, pb_uapi_group_create)
#define PB_IOCTL_GROUP_DESTROY	      PB_IOWR(8, pb_uapi_group_destroy)
#define PB_IOCTL_GROUP_SUBMIT	      PB_IOWR(9, pb_uapi_group_submit)
#define PB_IOCTL_GROUP_GET_STATE      PB_IOWR(10, pb_uapi_group_get_state)
#define PB_IOCTL_TILER_HEAP_CREATE    PB_IOWR(11, pb_uapi_tiler_heap_create)
#define PB_IOCTL_TILER_HEAP_DESTROY   PB_IOWR(12, pb_uapi_tiler_heap_destroy)
#define PB_IOCTL_BO_SET_LABEL	      PB_IOWR(13, pb_uapi_bo_set_label)		/* 1.4 */
#define PB_IOCTL_SET_USER_MMIO_OFFSET PB_IOWR(14, pb_uapi_set_user_mmio_offset) /* 1.5 */
#define PB_IOCTL_BO_SYNC	      PB_IOWR(15, pb_uapi_bo_sync)		/* 1.7 */
#define PB_IOCTL_BO_QUERY_INFO	      PB_IOWR(16, pb_uapi_bo_query_info)	/* 1.7 */

/* ---- The DRM core's, from Linux 6.16 on, which installed headers may be too old for ---- */

/** What conversions between syncobjs and fds take. */
struct pb_uapi_syncobj_handle {
	uint32_t handle, flags;
	int32_t fd;
	uint32_t pad;
	uint64_t point; /* of a sync file, with PB_SYNCOBJ_TIMELINE */
};
PB_UAPI_SIZE(pb_uapi_syncobj_handle, 24);
#define PB_SYNCOBJ_SYNC_FILE (1u << 0)
#define PB_SYNCOBJ_TIMELINE  (1u << 1)

#define PB_IOCTL_SYNCOBJ_HANDLE_TO_FD DRM_IOWR(0xc1, struct pb_uapi_syncobj_handle)
#define PB_IOCTL_SYNCOBJ_FD_TO_HANDLE DRM_IOWR(0xc2, struct pb_uapi_syncobj_handle)

_Static_assert(PB_IOCTL_VM_BIND == 0xc0186443, "VM_BIND is what the kernel calls it");

#endif /* PB_UAPI_H */
