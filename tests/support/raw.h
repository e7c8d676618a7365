/* SPDX-License-Identifier: MIT */
/*
 * The raw ABI of a device, for the conformance tests: ioctls as a program without libpanbind would issue them.
 *
 * The device is PANBIND_DEVICE from the environment ("drm:/dev/dri/renderD128"), by default "sim:". Rules that not
 * every device can show are skipped by the raw_need_*() functions, which end the test; call them before anything is
 * made that the test's teardown does not know of.
 */
#ifndef SUPPORT_RAW_H
#define SUPPORT_RAW_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "backend.h"
#include "uapi.h"

#define RAW_PAGE UINT64_C(4096)

/** A release of Linux, for comparisons. */
#define RAW_KERNEL(major, minor) ((major)*100 + (minor)) /* as SIM_KERNEL() */

/** One open file, with a VM and a BO of 16 pages to play with; what a test starts with. */
struct raw {
	struct pb_file *file;
	int minor;	   /* feature level of the driver */
	int kernel;	   /* RAW_KERNEL() around it */
	uint32_t va_bits;  /* of the GPU */
	uint32_t vm;	   /* a fresh VM */
	uint64_t va_range; /* of that VM */
	uint32_t bo;	   /* 16 pages */
	char *spec;
};

/** Setup and teardown of a test: *state is a struct raw. */
int raw_setup(void **state);
int raw_teardown(void **state);

/** The device with more options, "fault=..." say. Simulator only: raw_need_simulator() first. */
struct raw *raw_open_with(const char *options);
/** A simulator of these options alone. */
struct raw *raw_open_simulator(const char *options);
/** A file without the VM and the BO: on PANBIND_DEVICE, or else on @spec; a simulator gets @options on top. */
struct raw *raw_open_bare(const char *spec, const char *options);
/** Two files on one and the same device. */
void raw_open_pair(struct raw *pair[2]);
void raw_close(struct raw *raw);

/** Simulator only: what needs fault injection, a look into page tables, or would harm a kernel. */
void raw_need_simulator(const struct raw *raw);
/** Is it one, or a node that one gives a program? For what a rule says of the machine around the driver. */
bool raw_is_simulated(const struct raw *raw);
/** The rule came with driver 1.@minor. */
void raw_need_minor(const struct raw *raw, int minor);
/** The rule is the DRM core's, and came with RAW_KERNEL() @kernel. */
void raw_need_kernel(const struct raw *raw, int kernel);
/** The device has done what this kernel, or this driver, is known to do wrong: ends the test. Never on a simulator. */
void raw_known_bug(const struct raw *raw, const char *what);
/** The test is about which page is where, so there must be a way to look. */
void raw_need_sight(const struct raw *raw);

/** Fails the test with both errnos by name when they differ. */
void raw_expect(const char *what, int got, int want);

/** One ioctl: 0 or a negative errno. */
int raw_ioctl(struct raw *raw, unsigned long request, void *arg);

/* ---- VMs and BOs; those with an assertion in them fail the test when the driver refuses ---- */

int raw_vm_create(struct raw *raw, uint64_t range, uint32_t *ret_vm, uint64_t *ret_range);
uint32_t raw_vm(struct raw *raw);
int raw_vm_destroy(struct raw *raw, uint32_t vm);
/** The state, or a negative errno. */
int raw_vm_state(struct raw *raw, uint32_t vm);
int raw_bo_create(struct raw *raw, uint64_t size, uint32_t flags, uint32_t exclusive_vm, uint32_t *ret_bo);
uint32_t raw_bo(struct raw *raw, uint64_t size);
int raw_bo_close(struct raw *raw, uint32_t bo);
/** Map a BO for the CPU; for munmap(2). */
void *raw_bo_mmap(struct raw *raw, uint32_t bo, size_t size);

/* ---- VM_BIND ---- */

#define RAW_OP(...) ((struct pb_uapi_vm_bind_op){__VA_ARGS__})
/** An array of @count structs at a pointer to one. */
#define RAW_ARRAY(ptr, n) \
	((struct pb_uapi_obj_array){.stride = sizeof(*(ptr)), .count = (n), .array = (uintptr_t)(ptr)})

/** @ret_count (may be NULL): ops.count as the driver left it. */
int raw_bind(struct raw *raw, uint32_t vm, uint32_t flags, const struct pb_uapi_vm_bind_op *ops, uint32_t count,
	     uint32_t *ret_count);
/** One synchronous op on raw->vm. */
int raw_bind_op(struct raw *raw, struct pb_uapi_vm_bind_op op);
/** One asynchronous op on raw->vm. */
int raw_bind_async_op(struct raw *raw, struct pb_uapi_vm_bind_op op);
int raw_map(struct raw *raw, uint64_t va, uint64_t size, uint32_t bo, uint64_t bo_offset, uint32_t flags);
int raw_unmap(struct raw *raw, uint64_t va, uint64_t size);

/** Every page of the range leads to @bo at @bo_offset and on, with these flags. Without sight: true as far as known. */
void raw_assert_mapped(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size, uint32_t bo, uint64_t bo_offset,
		       uint32_t flags);
/** Every page of the range is the driver's own dummy behind MAP_SPARSE. */
void raw_assert_sparse(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size);
void raw_assert_unmapped(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size);

/* ---- Syncobjs ---- */

uint32_t raw_syncobj(struct raw *raw, uint32_t flags);
int raw_syncobj_reset(struct raw *raw, uint32_t handle);
/** Wait for a binary syncobj or a point until it has signalled, however long until it gets its fence. */
int raw_sync_wait(struct raw *raw, uint32_t handle, uint64_t point);
/** The same, but only look. */
int raw_sync_poll(struct raw *raw, uint32_t handle, uint64_t point);
/** A sync file with the fence in a binary syncobj, for close(2). */
int raw_sync_file(struct raw *raw, uint32_t handle);
/** Error of the fence in a binary syncobj: 1 pending, 0, or negative. */
int raw_sync_status(struct raw *raw, uint32_t handle);

#endif /* SUPPORT_RAW_H */
