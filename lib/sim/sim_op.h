/* SPDX-License-Identifier: MIT */
/*
 * One VM_BIND op: checked (sim_bind.c), then executed (sim_op.c).
 */
#ifndef SIM_OP_H
#define SIM_OP_H

#include "sim.h"

struct sim_op {
	uint32_t type, flags; /* PB_OP_* */
	uint64_t va, size;
	struct sim_bo *bo; /* a reference, NULL unless MAP */
	uint64_t offset;
	int error; /* a planned fault: what it fails with */
	bool mid;  /* ... in the middle */
};

/**
 * Check an op as panthor_vm_bind_prepare_op_ctx() does, and fetch its BO. On success the caller owns what @ret_op holds
 * and gives it back with sim_op_release().
 */
int sim_op_prepare(struct sim_file *file, struct sim_vm *vm, const struct pb_uapi_vm_bind_op *in,
		   struct sim_op *ret_op);
void sim_op_release(struct sim_op *op);

/** Change the VM. @async: a failure makes it unusable. */
int sim_op_exec(struct sim_vm *vm, const struct sim_op *op, bool async);
/** Remove everything. Needs op_lock. */
void sim_op_unmap_all(struct sim_vm *vm);

#endif /* SIM_OP_H */
