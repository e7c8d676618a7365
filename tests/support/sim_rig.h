/* SPDX-License-Identifier: MIT */
/*
 * A raw simulated device for tests: ioctls in one line each, through the backend's vtable, without the library above.
 */
#ifndef TEST_SIM_RIG_H
#define TEST_SIM_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "uapi.h"

/** Open "sim:@rest" or fail the test. */
struct pb_file *rig_open(const char *rest);
void rig_close(struct pb_file *file);
int rig_ioctl(struct pb_file *file, unsigned long request, void *arg);

/** Create, or fail the test. */
uint32_t rig_vm(struct pb_file *file);
uint32_t rig_bo(struct pb_file *file, uint64_t size);
/** Map a BO into the CPU's address space. */
void *rig_mmap(struct pb_file *file, uint32_t handle, size_t size);

struct pb_uapi_vm_bind_op rig_map(uint64_t va, uint64_t size, uint32_t bo, uint64_t offset, uint32_t flags);
struct pb_uapi_vm_bind_op rig_unmap(uint64_t va, uint64_t size);
struct pb_uapi_vm_bind_op rig_sparse(uint64_t va, uint64_t size);
/** Attach syncs to an op; the array must live until the bind. */
void rig_syncs(struct pb_uapi_vm_bind_op *op, const struct pb_uapi_sync_op *syncs, uint32_t count);

/** One VM_BIND. @count: in and out, as the kernel has it; NULL when the test does not care. */
int rig_bind_ops(struct pb_file *file, uint32_t vm, uint32_t flags, const struct pb_uapi_vm_bind_op *ops, uint32_t n,
		 uint32_t *count);
int rig_bind(struct pb_file *file, uint32_t vm, struct pb_uapi_vm_bind_op op);

/** State as VM_GET_STATE says it. */
uint32_t rig_state(struct pb_file *file, uint32_t vm);

/**
 * The pages in [va, va + size) as text, neighbours joined: "0x1000+0x2000 bo 3+0x0; ...", "dummy" for the sparse dummy.
 * The buffer is static: one at a time.
 */
const char *rig_pages(struct pb_file *file, uint32_t vm, uint64_t va, uint64_t size);

uint32_t rig_syncobj(struct pb_file *file, int signaled);
/** Wait for a binary syncobj for at most ten seconds: 0 or a negative errno. */
int rig_syncobj_wait(struct pb_file *file, uint32_t handle);
/** The error in the fence of a signalled binary syncobj, through a sync file; 1 while it is pending. */
int rig_fence_status(struct pb_file *file, uint32_t handle);

#endif /* TEST_SIM_RIG_H */
