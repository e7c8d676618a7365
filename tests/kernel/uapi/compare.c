/* SPDX-License-Identifier: MIT */
/*
 * lib/uapi.h against the kernel's own panthor_drm.h: every size, offset, constant and ioctl number. TAP, a test for
 * each struct or group of constants. tests/kernel/test-uapi.sh compiles it, with HAVE_name for what the header has of
 * things newer than driver 1.2.
 */
#include <panthor_drm.h>
#include <stddef.h>
#include <stdio.h>

#include "uapi.h"

static int tests, failures, differences;

static void same(const char *what, unsigned long long kernel, unsigned long long ours)
{
	if (kernel == ours)
		return;
	printf("# %s: %#llx in the kernel, %#llx in lib/uapi.h\n", what, kernel, ours);
	differences++;
}

static void end(const char *name)
{
	printf("%sok %d - %s\n", differences ? "not " : "", ++tests, name);
	failures += differences != 0;
	differences = 0;
}

#define SIZE_OF(type, member) sizeof(((type *)0)->member)
#define SIZE(k, o)	      same("size of " #k, sizeof(struct drm_panthor_##k), sizeof(struct pb_uapi_##o))
#define FIELD_AS(k, kf, o, of)                                                                                         \
	do {                                                                                                           \
		same("offset of " #k "." #kf, offsetof(struct drm_panthor_##k, kf), offsetof(struct pb_uapi_##o, of)); \
		same("size of " #k "." #kf, SIZE_OF(struct drm_panthor_##k, kf), SIZE_OF(struct pb_uapi_##o, of));     \
	} while (0)
#define FIELD(name, field) FIELD_AS(name, field, name, field)
#define CONSTANT(k, o)	   same(#k, DRM_PANTHOR_##k, PB_##o)
#define IOCTL(name)	   same("ioctl " #name, DRM_IOCTL_PANTHOR_##name, PB_IOCTL_##name)

static void binds(void)
{
	SIZE(obj_array, obj_array);
	FIELD(obj_array, stride);
	FIELD(obj_array, count);
	FIELD(obj_array, array);
	end("obj_array");
	SIZE(sync_op, sync_op);
	FIELD(sync_op, flags);
	FIELD(sync_op, handle);
	FIELD(sync_op, timeline_value);
	CONSTANT(SYNC_OP_HANDLE_TYPE_MASK, SYNC_TYPE_MASK);
	CONSTANT(SYNC_OP_HANDLE_TYPE_SYNCOBJ, SYNC_TYPE_SYNCOBJ);
	CONSTANT(SYNC_OP_HANDLE_TYPE_TIMELINE_SYNCOBJ, SYNC_TYPE_TIMELINE);
	same("SYNC_OP_SIGNAL", (__u32)DRM_PANTHOR_SYNC_OP_SIGNAL, PB_SYNC_SIGNAL);
	end("sync_op");
	SIZE(vm_bind_op, vm_bind_op);
	FIELD(vm_bind_op, flags);
	FIELD(vm_bind_op, bo_handle);
	FIELD(vm_bind_op, bo_offset);
	FIELD(vm_bind_op, va);
	FIELD(vm_bind_op, size);
	FIELD(vm_bind_op, syncs);
	CONSTANT(VM_BIND_OP_MAP_READONLY, OP_READONLY);
	CONSTANT(VM_BIND_OP_MAP_NOEXEC, OP_NOEXEC);
	CONSTANT(VM_BIND_OP_MAP_UNCACHED, OP_UNCACHED);
	same("VM_BIND_OP_TYPE_MASK", (__u32)DRM_PANTHOR_VM_BIND_OP_TYPE_MASK, PB_OP_TYPE_MASK);
	CONSTANT(VM_BIND_OP_TYPE_MAP, OP_MAP);
	CONSTANT(VM_BIND_OP_TYPE_UNMAP, OP_UNMAP);
	CONSTANT(VM_BIND_OP_TYPE_SYNC_ONLY, OP_SYNC_ONLY);
#ifdef HAVE_DRM_PANTHOR_VM_BIND_OP_MAP_SPARSE
	CONSTANT(VM_BIND_OP_MAP_SPARSE, OP_SPARSE);
#endif
	end("vm_bind_op");
	SIZE(vm_bind, vm_bind);
	FIELD(vm_bind, vm_id);
	FIELD(vm_bind, flags);
	FIELD(vm_bind, ops);
	CONSTANT(VM_BIND_ASYNC, VM_BIND_ASYNC);
	end("vm_bind");
}

static void vms(void)
{
	SIZE(vm_create, vm_create);
	FIELD(vm_create, flags);
	FIELD(vm_create, id);
	FIELD(vm_create, user_va_range);
	end("vm_create");
	SIZE(vm_destroy, vm_destroy);
	FIELD(vm_destroy, id);
	FIELD(vm_destroy, pad);
	end("vm_destroy");
	SIZE(vm_get_state, vm_get_state);
	FIELD(vm_get_state, vm_id);
	FIELD(vm_get_state, state);
	CONSTANT(VM_STATE_USABLE, VM_STATE_USABLE);
	CONSTANT(VM_STATE_UNUSABLE, VM_STATE_UNUSABLE);
	end("vm_get_state");
}

static void bos(void)
{
	SIZE(bo_create, bo_create);
	FIELD(bo_create, size);
	FIELD(bo_create, flags);
	FIELD(bo_create, exclusive_vm_id);
	FIELD(bo_create, handle);
	FIELD(bo_create, pad);
	CONSTANT(BO_NO_MMAP, BO_NO_MMAP);
#ifdef HAVE_DRM_PANTHOR_BO_WB_MMAP
	CONSTANT(BO_WB_MMAP, BO_WB_MMAP);
#endif
	end("bo_create");
	SIZE(bo_mmap_offset, bo_mmap_offset);
	FIELD(bo_mmap_offset, handle);
	FIELD(bo_mmap_offset, pad);
	FIELD(bo_mmap_offset, offset);
	end("bo_mmap_offset");
#ifdef HAVE_drm_panthor_bo_set_label
	SIZE(bo_set_label, bo_set_label);
	FIELD(bo_set_label, handle);
	FIELD(bo_set_label, label);
	IOCTL(BO_SET_LABEL);
	end("bo_set_label");
#endif
#ifdef HAVE_drm_panthor_set_user_mmio_offset
	SIZE(set_user_mmio_offset, set_user_mmio_offset);
	FIELD(set_user_mmio_offset, offset);
	IOCTL(SET_USER_MMIO_OFFSET);
	end("set_user_mmio_offset");
#endif
#ifdef HAVE_drm_panthor_bo_sync
	SIZE(bo_sync_op, bo_sync_op);
	FIELD(bo_sync_op, handle);
	FIELD(bo_sync_op, type);
	FIELD(bo_sync_op, offset);
	FIELD(bo_sync_op, size);
	SIZE(bo_sync, bo_sync);
	FIELD(bo_sync, ops);
	IOCTL(BO_SYNC);
	end("bo_sync");
#endif
#ifdef HAVE_drm_panthor_bo_query_info
	SIZE(bo_query_info, bo_query_info);
	FIELD(bo_query_info, handle);
	FIELD(bo_query_info, extra_flags);
	FIELD(bo_query_info, create_flags);
	IOCTL(BO_QUERY_INFO);
	end("bo_query_info");
#endif
}

static void groups(void)
{
	same("GROUP_PRIORITY_LOW", PANTHOR_GROUP_PRIORITY_LOW, PB_GROUP_PRIORITY_LOW);
	same("GROUP_PRIORITY_MEDIUM", PANTHOR_GROUP_PRIORITY_MEDIUM, PB_GROUP_PRIORITY_MEDIUM);
	same("GROUP_PRIORITY_HIGH", PANTHOR_GROUP_PRIORITY_HIGH, PB_GROUP_PRIORITY_HIGH);
#ifdef HAVE_PANTHOR_GROUP_PRIORITY_REALTIME
	same("GROUP_PRIORITY_REALTIME", PANTHOR_GROUP_PRIORITY_REALTIME, PB_GROUP_PRIORITY_REALTIME);
#endif
	SIZE(queue_create, queue_create);
	FIELD(queue_create, priority);
	FIELD(queue_create, pad);
	FIELD(queue_create, ringbuf_size);
	end("queue_create");
	SIZE(group_create, group_create);
	FIELD(group_create, queues);
	FIELD(group_create, max_compute_cores);
	FIELD(group_create, max_fragment_cores);
	FIELD(group_create, max_tiler_cores);
	FIELD(group_create, priority);
	FIELD(group_create, pad);
	FIELD(group_create, compute_core_mask);
	FIELD(group_create, fragment_core_mask);
	FIELD(group_create, tiler_core_mask);
	FIELD(group_create, vm_id);
	FIELD(group_create, group_handle);
	end("group_create");
	SIZE(group_destroy, group_destroy);
	FIELD(group_destroy, group_handle);
	FIELD(group_destroy, pad);
	end("group_destroy");
	SIZE(queue_submit, queue_submit);
	FIELD(queue_submit, queue_index);
	FIELD(queue_submit, stream_size);
	FIELD(queue_submit, stream_addr);
	FIELD(queue_submit, latest_flush);
	FIELD(queue_submit, pad);
	FIELD(queue_submit, syncs);
	end("queue_submit");
	SIZE(group_submit, group_submit);
	FIELD(group_submit, group_handle);
	FIELD(group_submit, pad);
	FIELD(group_submit, queue_submits);
	end("group_submit");
	CONSTANT(GROUP_STATE_TIMEDOUT, GROUP_STATE_TIMEDOUT);
	CONSTANT(GROUP_STATE_FATAL_FAULT, GROUP_STATE_FATAL_FAULT);
	SIZE(group_get_state, group_get_state);
	FIELD(group_get_state, group_handle);
	FIELD(group_get_state, state);
	FIELD(group_get_state, fatal_queues);
	FIELD(group_get_state, pad);
	end("group_get_state");
}

static void heaps(void)
{
	SIZE(tiler_heap_create, tiler_heap_create);
	FIELD(tiler_heap_create, vm_id);
	FIELD(tiler_heap_create, initial_chunk_count);
	FIELD(tiler_heap_create, chunk_size);
	FIELD(tiler_heap_create, max_chunks);
	FIELD(tiler_heap_create, target_in_flight);
	FIELD(tiler_heap_create, handle);
	FIELD(tiler_heap_create, tiler_heap_ctx_gpu_va);
	FIELD(tiler_heap_create, first_heap_chunk_gpu_va);
	end("tiler_heap_create");
	SIZE(tiler_heap_destroy, tiler_heap_destroy);
	FIELD(tiler_heap_destroy, handle);
	FIELD(tiler_heap_destroy, pad);
	end("tiler_heap_destroy");
}

static void gpu_info(void)
{
	FIELD(gpu_info, gpu_id);
	FIELD(gpu_info, gpu_rev);
	FIELD(gpu_info, csf_id);
	FIELD(gpu_info, l2_features);
	FIELD(gpu_info, tiler_features);
	FIELD(gpu_info, mem_features);
	FIELD(gpu_info, mmu_features);
	FIELD(gpu_info, thread_features);
	FIELD(gpu_info, max_threads);
	FIELD(gpu_info, thread_max_workgroup_size);
	FIELD(gpu_info, thread_max_barrier_size);
	FIELD(gpu_info, coherency_features);
	FIELD(gpu_info, texture_features);
	FIELD(gpu_info, as_present);
	FIELD(gpu_info, shader_present);
	FIELD(gpu_info, l2_present);
	FIELD(gpu_info, tiler_present);
	FIELD(gpu_info, core_features);
#ifdef HAVE_gpu_features
	SIZE(gpu_info, gpu_info);
	FIELD(gpu_info, gpu_features);
#else
	same("size of gpu_info", sizeof(struct drm_panthor_gpu_info), PB_GPU_INFO_SIZE_1_0);
#endif
#ifdef HAVE_selected_coherency
	FIELD(gpu_info, selected_coherency);
#endif
	end("gpu_info");
}

static void queries(void)
{
	SIZE(dev_query, dev_query);
	FIELD(dev_query, type);
	FIELD(dev_query, size);
	FIELD(dev_query, pointer);
	CONSTANT(DEV_QUERY_GPU_INFO, QUERY_GPU_INFO);
	CONSTANT(DEV_QUERY_CSIF_INFO, QUERY_CSIF_INFO);
#ifdef HAVE_DRM_PANTHOR_DEV_QUERY_TIMESTAMP_INFO
	CONSTANT(DEV_QUERY_TIMESTAMP_INFO, QUERY_TIMESTAMP_INFO);
#endif
#ifdef HAVE_DRM_PANTHOR_DEV_QUERY_GROUP_PRIORITIES_INFO
	CONSTANT(DEV_QUERY_GROUP_PRIORITIES_INFO, QUERY_GROUP_PRIORITIES_INFO);
#endif
#ifdef HAVE_DRM_PANTHOR_DEV_QUERY_MMU_INFO
	CONSTANT(DEV_QUERY_MMU_INFO, QUERY_MMU_INFO);
#endif
	end("dev_query");
	gpu_info();
	SIZE(csif_info, csif_info);
	FIELD(csif_info, csg_slot_count);
	FIELD(csif_info, cs_slot_count);
	FIELD(csif_info, cs_reg_count);
	FIELD(csif_info, scoreboard_slot_count);
	FIELD(csif_info, unpreserved_cs_reg_count);
	FIELD(csif_info, pad);
	end("csif_info");
#ifdef HAVE_drm_panthor_timestamp_info
	FIELD(timestamp_info, timestamp_frequency);
	FIELD(timestamp_info, current_timestamp);
	FIELD(timestamp_info, timestamp_offset);
	end("timestamp_info");
#endif
#ifdef HAVE_drm_panthor_group_priorities_info
	SIZE(group_priorities_info, group_priorities_info);
	FIELD(group_priorities_info, allowed_mask);
	FIELD(group_priorities_info, pad);
	end("group_priorities_info");
#endif
#ifdef HAVE_drm_panthor_mmu_info
	SIZE(mmu_info, mmu_info);
	FIELD(mmu_info, page_size_bitmap);
	end("mmu_info");
#endif
}

static void ioctls(void)
{
	IOCTL(DEV_QUERY);
	IOCTL(VM_CREATE);
	IOCTL(VM_DESTROY);
	IOCTL(VM_BIND);
	IOCTL(VM_GET_STATE);
	IOCTL(BO_CREATE);
	IOCTL(BO_MMAP_OFFSET);
	IOCTL(GROUP_CREATE);
	IOCTL(GROUP_DESTROY);
	IOCTL(GROUP_SUBMIT);
	IOCTL(GROUP_GET_STATE);
	IOCTL(TILER_HEAP_CREATE);
	IOCTL(TILER_HEAP_DESTROY);
	end("ioctl numbers");
}

int main(void)
{
	binds();
	vms();
	bos();
	groups();
	heaps();
	queries();
	ioctls();
	printf("1..%d\n", tests);
	return failures != 0;
}
