/* SPDX-License-Identifier: MIT */
/*
 * From ops of a batch to the driver's ops.
 *
 * A sparse range reads as memory of no meaning and swallows writes. Driver 1.9 has an op for it. Below that, one BO of
 * 2 MiB, the same for the whole device, is mapped into every block of the range, at the offset va mod 2 MiB: so any
 * two ways to cut a range into pieces give the same pages, and a full block can be one 2 MiB page.
 *
 * A native op is cut every 32 GiB: the driver sets aside a page table for each 2 MiB of an op before it begins, which
 * for a range of terabytes would be gigabytes that it never uses.
 */
#include "bind.h"

#define NATIVE_SPARSE_BLOCK (32ull << 30)

uint64_t pb_sparse_block(bool native)
{
	return native ? NATIVE_SPARSE_BLOCK : PANBIND_SPARSE_BLOCK;
}

/** Bytes that the driver op after the first @done bytes of @op covers. */
static uint64_t piece_size(const struct panbind_op *op, bool native_sparse, uint64_t done)
{
	if (op->type != PANBIND_OP_MAP_SPARSE)
		return op->size;
	uint64_t block = pb_sparse_block(native_sparse), left = op->size - done;
	uint64_t to_border = block - (op->va + done) % block;
	return left < to_border ? left : to_border;
}

uint64_t pb_driver_ops(const struct panbind_op *op, bool native_sparse)
{
	if (op->type != PANBIND_OP_MAP_SPARSE)
		return 1;
	uint64_t block = pb_sparse_block(native_sparse);
	return (op->va + op->size - 1) / block - op->va / block + 1;
}

static int find_dummy(struct pb_lower *lower, struct panbind_error *reterr)
{
	struct panbind_bo *dummy;
	int ret = pb_bo_dummy(lower->device, &dummy, reterr);
	if (ret == 0)
		lower->dummy_handle = dummy->handle;
	return ret;
}

static int find_twin(struct pb_lower *lower, size_t index, struct panbind_error *reterr)
{
	const struct panbind_op *op = &lower->ops[index];
	int ret = pb_twin_ensure(lower->device, op->bo);
	if (ret < 0)
		return pb_error_at_op(reterr, ret, PANBIND_STAGE_SUBMIT, (uint32_t)index, op->va, op->size,
				      "the BO cannot be passed to the open file of the VM: %s",
				      panbind_errno_name(ret));
	return 0;
}

int pb_lower_begin(struct pb_lower *lower, struct panbind_device *device, const struct panbind_batch *batch,
		   struct panbind_error *reterr)
{
	int ret = 0;
	*lower = (struct pb_lower){
		.device = device,
		.ops = batch->ops,
		.count = batch->count,
		.native_sparse = device->info.native_sparse == PANBIND_YES,
	};
	for (size_t i = 0; ret == 0 && i < batch->count; i++) {
		const struct panbind_op *op = &batch->ops[i];
		if (op->type == PANBIND_OP_MAP_SPARSE && !lower->native_sparse && !lower->dummy_handle)
			ret = find_dummy(lower, reterr);
		else if (op->type == PANBIND_OP_MAP && op->bo->device != device)
			ret = find_twin(lower, i, reterr);
	}
	return ret;
}

static uint32_t driver_flags(uint32_t flags)
{
	return (flags & PANBIND_MAP_READONLY ? PB_OP_READONLY : 0) | (flags & PANBIND_MAP_NOEXEC ? PB_OP_NOEXEC : 0) |
	       (flags & PANBIND_MAP_UNCACHED ? PB_OP_UNCACHED : 0);
}

static void lower_sparse(const struct pb_lower *lower, struct pb_uapi_vm_bind_op *out)
{
	if (lower->native_sparse) {
		out->flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC;
		return;
	}
	out->flags = PB_OP_MAP | PB_OP_NOEXEC;
	out->bo_handle = lower->dummy_handle;
	out->bo_offset = out->va % PANBIND_SPARSE_BLOCK;
}

static void lower_piece(const struct pb_lower *lower, const struct panbind_op *op, uint64_t done, uint64_t size,
			struct pb_uapi_vm_bind_op *out)
{
	*out = (struct pb_uapi_vm_bind_op){.va = op->va + done, .size = size};
	out->syncs.stride = sizeof(struct pb_uapi_sync_op);
	switch (op->type) {
	case PANBIND_OP_MAP:
		out->flags = PB_OP_MAP | driver_flags(op->flags);
		out->bo_handle =
			op->bo->device == lower->device ? op->bo->handle : pb_twin_handle(lower->device, op->bo);
		out->bo_offset = op->bo_offset;
		break;
	case PANBIND_OP_UNMAP:
		out->flags = PB_OP_UNMAP;
		break;
	case PANBIND_OP_MAP_SPARSE:
		lower_sparse(lower, out);
		break;
	case PANBIND_OP_SYNC_ONLY:
		*out = (struct pb_uapi_vm_bind_op){.flags = PB_OP_SYNC_ONLY, .syncs = out->syncs};
		break;
	}
}

/** Move over one driver op of @size bytes. */
static void step(const struct pb_lower *lower, struct pb_cursor *at, uint64_t size)
{
	at->done += size;
	if (at->done >= lower->ops[at->op].size)
		*at = (struct pb_cursor){.op = at->op + 1};
}

size_t pb_lower_fill(struct pb_lower *lower, struct pb_uapi_vm_bind_op *out, size_t room)
{
	size_t filled = 0;
	while (filled < room && lower->at.op < lower->count) {
		const struct panbind_op *op = &lower->ops[lower->at.op];
		uint64_t size = piece_size(op, lower->native_sparse, lower->at.done);
		lower_piece(lower, op, lower->at.done, size, &out[filled++]);
		step(lower, &lower->at, size);
	}
	return filled;
}

uint64_t pb_lower_total(const struct pb_lower *lower)
{
	uint64_t total = 0;
	for (size_t i = 0; i < lower->count; i++)
		total += pb_driver_ops(&lower->ops[i], lower->native_sparse);
	return total;
}

uint64_t pb_lower_walk(const struct pb_lower *lower, struct pb_cursor *at, size_t *left)
{
	size_t op = at->op;
	uint64_t walked = 0;
	while (*left > 0 && at->op == op) {
		uint64_t size = piece_size(&lower->ops[op], lower->native_sparse, at->done);
		step(lower, at, size);
		walked += size;
		--*left;
	}
	return walked;
}
