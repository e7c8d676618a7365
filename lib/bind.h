/* SPDX-License-Identifier: MIT */
/*
 * Between bind.c, bind_async.c and bind_lower.c: ops of a batch as a sequence of driver ops.
 *
 * Most ops are one driver op. A sparse range is several when the driver has no MAP_SPARSE (a dummy BO is mapped again
 * and again) or when it is huge. A cursor names a place in that sequence as (op, bytes of it that are covered), so a
 * failure at the n-th driver op is led back to its op by walking, without a table.
 */
#ifndef PB_BIND_H
#define PB_BIND_H

#include "internal.h"
#include "uapi.h"

struct pb_cursor {
	size_t op;
	uint64_t done; /* bytes of the op that earlier driver ops cover */
};

struct pb_lower {
	struct panbind_device *device;
	const struct panbind_op *ops;
	size_t count;
	bool native_sparse;
	uint32_t dummy_handle; /* 0 unless sparse ranges are emulated and there are some */
	struct pb_cursor at;   /* the next driver op */
};

/** Start at the first op of @batch. May create the device's dummy BO, and handles for BOs of other open files. */
int pb_lower_begin(struct pb_lower *lower, struct panbind_device *device, const struct panbind_batch *batch,
		   struct panbind_error *reterr);
/** Write the next driver ops, at most @room; returns how many, 0 at the end. Syncs are left empty. */
size_t pb_lower_fill(struct pb_lower *lower, struct pb_uapi_vm_bind_op *out, size_t room);
/** Driver ops of the whole batch. */
uint64_t pb_lower_total(const struct pb_lower *lower);
/**
 * Walk on from @at over at most *left driver ops of one op, counting *left down. Returns the bytes walked over; the
 * cursor stands behind the op when all of it is covered.
 */
uint64_t pb_lower_walk(const struct pb_lower *lower, struct pb_cursor *at, size_t *left);

/** Record that [done, done + size) of @op has been executed. Cannot fail: room is reserved. */
void pb_bind_record(struct panbind_vm *vm, const struct panbind_op *op, uint64_t done, uint64_t size);
/** Is @ret from VM_BIND worth the same call again? @stalled counts calls without progress, the caller resets it. */
bool pb_bind_again(int ret, unsigned int *stalled);

#endif /* PB_BIND_H */
