/* SPDX-License-Identifier: MIT */
/*
 * Ranges of which it is not known what they map.
 *
 * A VM that a program has made may map things that nobody here has seen. They stand in a map of their own beside the
 * shadow: what is in neither is known to be a hole. An op that is done makes its range known; before it is done it is
 * refused if it would displace something unknown, since no undo could bring that back, unless its user forces it.
 */
#include <errno.h>

#include "internal.h"

int pb_vm_reserve(struct panbind_vm *vm, size_t ops)
{
	int ret = pb_vamap_reserve(vm->map, ops);
	return ret == 0 && vm->unknown ? pb_vamap_reserve(vm->unknown, ops) : ret;
}

int pb_unknown_find(const struct pb_vamap *unknown, uint64_t va, uint64_t size, struct pb_range *ret_range)
{
	struct pb_range range;
	if (!unknown || size == 0 || pb_vamap_next(unknown, va, &range) < 0 || (range.va > va && range.va - va >= size))
		return -ENOENT;
	uint64_t from = range.va > va ? range.va : va, end = range.va + range.size;
	if (end - va > size)
		end = va + size;
	*ret_range = (struct pb_range){.va = from, .size = end - from};
	return 0;
}

uint64_t pb_unknown_bytes(const struct pb_vamap *unknown, uint64_t va, uint64_t size)
{
	uint64_t bytes = 0, at = va;
	struct pb_range range;
	for (; pb_unknown_find(unknown, at, va + size - at, &range) == 0; at = range.va + range.size)
		bytes += range.size;
	return bytes;
}

int pb_unknown_check(const struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr)
{
	struct pb_range range;
	for (size_t i = 0; i < batch->count && vm->unknown && !vm->force; i++) {
		const struct panbind_op *op = &batch->ops[i];
		if (op->type == PANBIND_OP_SYNC_ONLY || pb_unknown_find(vm->unknown, op->va, op->size, &range) < 0)
			continue;
		return pb_error_at_op(reterr, -ENODATA, PANBIND_STAGE_VALIDATE, (uint32_t)i, range.va, range.size,
				      "what 0x%llx+0x%llx maps is not known; the op would displace it, and no undo "
				      "could bring it back",
				      (unsigned long long)range.va, (unsigned long long)range.size);
	}
	return 0;
}

int panbind_vm_next_unknown(struct panbind_vm *vm, uint64_t va, uint64_t *ret_va, uint64_t *ret_size)
{
	struct pb_range range;
	if (!vm->unknown || pb_vamap_next(vm->unknown, va, &range) < 0)
		return -ENOENT;
	*ret_va = range.va;
	*ret_size = range.size;
	return 0;
}

void panbind_vm_set_force(struct panbind_vm *vm, int force)
{
	vm->force = force;
}
