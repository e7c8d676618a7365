/* SPDX-License-Identifier: MIT */
/*
 * Execution of one op: VMAs cut and replaced as drm_gpuvm_sm_map() does, page tables edited, AS commands issued.
 *
 * The two ages of the driver differ in when the GPU is locked out. With atomic updates the whole op happens between
 * one LOCK and one UNLOCK. Before, each step edits its piece of the page table first and then locks and flushes just
 * that piece, so that a remap has a moment in which the GPU finds nothing.
 *
 * With atomic updates the lock is widened to the 2 MiB blocks that the op cuts. How they are cut, and how the lock
 * ends, depends on the driver's age: up to 1.6, which has atomic updates by a patch (kernel/patches), a block is
 * replaced by a table of pages in one store, and FLUSH_MEM unlocks; from 1.7 on the whole block is taken out, what
 * remains of it is mapped again, and UNLOCK follows the flush.
 *
 * All that an op can need is reserved before it begins: it fails there, or as a fault plan wants, or not at all.
 */
#include "sim_op.h"

#include <errno.h>

#include "sim_mmu.h"

/* From this minor on, a driver has atomic updates of its own, and gives the VM up when it fails in the middle of an op.
 */
#define MINOR_STRICT 7

struct exec {
	struct sim_vm *vm;
	bool atomic;
	bool whole_blocks; /* a block is never cut, but taken out and mapped again in part */
	/* What goes at the end, when no access can be on its way to it: detached VMAs, and a BO that was replaced. */
	struct sim_vma *returned;
	struct sim_bo *replaced;
};

static uint64_t align_down(uint64_t va)
{
	return va & ~(SIM_BLOCK_SIZE - 1);
}

static uint64_t align_up(uint64_t va)
{
	return align_down(va + SIM_BLOCK_SIZE - 1);
}

static uint64_t pte_flags(uint32_t flags)
{
	return (flags & PB_OP_READONLY ? SIM_PTE_READONLY : 0) | (flags & PB_OP_NOEXEC ? SIM_PTE_NOEXEC : 0) |
	       (flags & PB_OP_UNCACHED ? SIM_PTE_UNCACHED : 0) | (flags & PB_OP_SPARSE ? SIM_PTE_DUMMY : 0);
}

/* The dummy again and again, at offset va mod 2 MiB. */
static void map_cyclic(struct sim_pt *pt, uint64_t va, uint64_t size, const struct sim_bo *dummy, uint64_t flags)
{
	while (size) {
		uint64_t offset = va & (SIM_BLOCK_SIZE - 1), piece = SIM_BLOCK_SIZE - offset;

		if (piece > size)
			piece = size;
		sim_pt_map(pt, va, piece, (uintptr_t)dummy->mem + offset, flags);
		va += piece;
		size -= piece;
	}
}

static void edit_map(struct exec *exec, uint64_t va, uint64_t size, const struct sim_bo *bo, uint64_t offset,
		     uint32_t flags)
{
	struct sim_vm *vm = exec->vm;

	sim_mmu_event(vm, PB_AS_MAP, va, size, 1);
	if (flags & PB_OP_SPARSE)
		map_cyclic(&vm->pt, va, size, bo, pte_flags(flags));
	else
		sim_pt_map(&vm->pt, va, size, (uintptr_t)bo->mem + offset, pte_flags(flags));
	sim_mmu_event(vm, PB_AS_MAP, va, size, 0);
	if (!exec->atomic)
		sim_mmu_flush_piece(vm, va, size);
}

static void edit_unmap(struct exec *exec, uint64_t va, uint64_t size)
{
	struct sim_vm *vm = exec->vm;

	sim_mmu_event(vm, PB_AS_UNMAP, va, size, 1);
	sim_pt_unmap(&vm->pt, va, size);
	sim_mmu_event(vm, PB_AS_UNMAP, va, size, 0);
	if (!exec->atomic)
		sim_mmu_flush_piece(vm, va, size);
}

/* Map [va, end) again as the VMA has it. */
static void edit_restore(struct exec *exec, const struct sim_vma *vma, uint64_t va, uint64_t end)
{
	if (va < end)
		edit_map(exec, va, end - va, vma->bo, vma->offset + (va - vma->start), vma->flags);
}

/* Take [start, end) of the VMA out of the page table. */
static void clear_piece(struct exec *exec, const struct sim_vma *vma, uint64_t start, uint64_t end)
{
	const struct sim_pt *pt = &exec->vm->pt;
	uint64_t from = start, to = end;

	if (exec->whole_blocks && vma->start < start && sim_pt_in_block(pt, start))
		from = align_down(start);
	if (exec->whole_blocks && vma->start + vma->size > end && sim_pt_in_block(pt, end))
		to = align_up(end);
	edit_unmap(exec, from, to - from);
	edit_restore(exec, vma, from, start);
	edit_restore(exec, vma, end, to);
}

/* What is left of the VMA when [start, end) of it is gone. */
static void cut_vma(struct exec *exec, struct sim_vma *vma, uint64_t start, uint64_t end)
{
	struct sim_vmas *vmas = &exec->vm->vmas;
	uint64_t vma_end = vma->start + vma->size;

	if (vma->start == start && vma_end == end) {
		sim_vmas_detach(vmas, vma);
		vma->next = exec->returned;
		exec->returned = vma;
	} else if (vma->start == start) {
		vma->offset += end - start;
		vma->size = vma_end - end;
		vma->start = end;
	} else {
		vma->size = start - vma->start;
		if (end < vma_end)
			sim_vmas_insert(vmas, end, vma_end - end, sim_bo_get(vma->bo), vma->offset + (end - vma->start),
					vma->flags);
	}
}

static void unmap_range(struct exec *exec, uint64_t start, uint64_t end)
{
	struct sim_vma *vma = sim_vmas_find(&exec->vm->vmas, start);

	while (vma && vma->start < end) {
		struct sim_vma *next = vma->next;
		uint64_t vma_end = vma->start + vma->size;
		uint64_t from = vma->start > start ? vma->start : start, to = vma_end < end ? vma_end : end;

		clear_piece(exec, vma, from, to);
		cut_vma(exec, vma, from, to);
		vma = next;
	}
}

static void map_range(struct exec *exec, const struct sim_op *op)
{
	edit_map(exec, op->va, op->size, op->bo, op->offset, op->flags);
	sim_vmas_insert(&exec->vm->vmas, op->va, op->size, sim_bo_get(op->bo), op->offset, op->flags);
}

/* The usual remap: one mapping gives way to another of the same range, and the VMA stays in its place. */
static bool replace_same(struct exec *exec, const struct sim_op *op)
{
	struct sim_vma *vma = sim_vmas_find(&exec->vm->vmas, op->va);

	if (!vma || vma->start != op->va || vma->size != op->size)
		return false;
	edit_unmap(exec, op->va, op->size);
	edit_map(exec, op->va, op->size, op->bo, op->offset, op->flags);
	exec->replaced = vma->bo;
	vma->bo = sim_bo_get(op->bo);
	vma->offset = op->offset;
	vma->flags = op->flags;
	return true;
}

static void run(struct exec *exec, const struct sim_op *op)
{
	bool map = op->type == PB_OP_MAP && !op->error;

	if (map && replace_same(exec, op))
		return;
	unmap_range(exec, op->va, op->va + op->size);
	if (map)
		map_range(exec, op);
}

/* Give back tables and BOs that nobody can be in any more. */
static void release(struct exec *exec, uint64_t start, uint64_t size)
{
	struct sim_vm *vm = exec->vm;

	sim_pt_prune(&vm->pt, start, size);
	if (vm->pt.retired) {
		if (atomic_load_explicit(&vm->as, memory_order_relaxed) >= 0)
			sim_mmu_drain_all(vm);
		sim_pt_reclaim(&vm->pt);
	}
	sim_bo_put(exec->replaced);
	while (exec->returned) {
		struct sim_vma *vma = exec->returned;

		exec->returned = vma->next;
		sim_bo_put(vma->bo);
		sim_vmas_free(&vm->vmas, vma);
	}
}

static int reserve(struct sim_vm *vm, const struct sim_op *op)
{
	bool map = op->type == PB_OP_MAP;
	bool blocks = op->flags & PB_OP_SPARSE || !((op->va ^ op->offset) & (SIM_BLOCK_SIZE - 1));
	int ret = sim_vmas_reserve(&vm->vmas, 2);

	return ret ? ret : sim_pt_reserve(&vm->pt, op->va, map ? op->size : 0, blocks);
}

static struct exec begin(struct sim_vm *vm)
{
	const struct sim_options *options = &vm->device->options;

	return (struct exec){.vm = vm,
			     .atomic = options->atomic,
			     .whole_blocks = options->atomic && options->minor >= MINOR_STRICT};
}

/* The LOCK covers the op, and the blocks that it cuts. */
static void lock_op(struct sim_vm *vm, const struct sim_op *op)
{
	uint64_t start = op->va, end = op->va + op->size;

	if (start != align_down(start) && sim_pt_in_block(&vm->pt, start))
		start = align_down(start);
	if (end != align_down(end) && sim_pt_in_block(&vm->pt, end))
		end = align_up(end);
	sim_mmu_lock(vm, start, end - start);
}

static void unlock_op(struct sim_vm *vm, const struct sim_op *op)
{
	if (vm->device->options.minor < MINOR_STRICT) {
		sim_mmu_flush_unlock(vm, op->va, op->size);
		return;
	}
	sim_mmu_flush(vm, op->va, op->size);
	sim_mmu_unlock(vm);
}

static int exec_locked(struct sim_vm *vm, const struct sim_op *op)
{
	struct exec exec = begin(vm);
	int ret;

	if (op->type == PB_OP_MAP && atomic_load(&vm->unusable))
		return -EINVAL;
	if (op->error && !op->mid)
		return op->error;
	if (!op->size)
		return 0; /* an asynchronous op may be empty; a VMA of no length would change nothing */
	ret = reserve(vm, op);
	if (ret)
		return ret;
	if (exec.atomic)
		lock_op(vm, op);
	run(&exec, op);
	if (exec.atomic)
		unlock_op(vm, op);
	release(&exec, op->va, op->size);
	if (op->error && vm->device->options.minor >= MINOR_STRICT)
		atomic_store(&vm->unusable, true);
	return op->error;
}

int sim_op_exec(struct sim_vm *vm, const struct sim_op *op, bool async)
{
	int ret;

	pthread_mutex_lock(&vm->op_lock);
	ret = op->type == PB_OP_SYNC_ONLY ? op->error : exec_locked(vm, op);
	if (ret && async)
		atomic_store(&vm->unusable, true);
	pthread_mutex_unlock(&vm->op_lock);
	return ret;
}

void sim_op_unmap_all(struct sim_vm *vm)
{
	struct exec exec = begin(vm);

	unmap_range(&exec, 0, vm->va_range);
	release(&exec, 0, vm->va_range);
}
