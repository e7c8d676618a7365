/* SPDX-License-Identifier: MIT */
/*
 * Sparse regions: a range that never faults, memory or not.
 *
 * A region is a promise that its user keeps: between reserve and release its range is dummy or memory, and going from
 * one to the other is one op that replaces, so the GPU never sees a hole. The list of regions here says where such a
 * range begins and ends; what is in it stands in the VM's shadow like every mapping. A plain map or unmap into a
 * region is allowed and does not change the list.
 *
 * All of it goes through pb_bind_one(), which undoes an op that fails halfway: each function does all or nothing.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

/** Index of the first region that ends after @va. */
static size_t first_after(const struct panbind_vm *vm, uint64_t va)
{
	size_t low = 0, high = vm->region_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (vm->regions[middle].va + vm->regions[middle].size > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct pb_region *pb_region_find(const struct panbind_vm *vm, uint64_t va, uint64_t size)
{
	size_t index = first_after(vm, va);
	if (index == vm->region_count)
		return NULL;
	const struct pb_region *region = &vm->regions[index];
	return va >= region->va && size <= region->size && va - region->va <= region->size - size ? region : NULL;
}

static int check_range(uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	if (size == 0 || ((va | size) & PB_PAGE_MASK) || va + size < va)
		return pb_error_at_op(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, va, size,
				      "0x%llx+0x%llx is not a range of whole pages", (unsigned long long)va,
				      (unsigned long long)size);
	return 0;
}

/** Nothing may be in the way of a new region: neither another one nor a mapping. */
int pb_sparse_check_free(const struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	struct pb_range mapping, unknown;
	size_t index = first_after(vm, va);
	if (index < vm->region_count && vm->regions[index].va < va + size)
		return pb_error_at_op(reterr, -EEXIST, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, vm->regions[index].va,
				      vm->regions[index].size, "the sparse region 0x%llx+0x%llx is in the way",
				      (unsigned long long)vm->regions[index].va,
				      (unsigned long long)vm->regions[index].size);
	if (pb_vamap_next(vm->map, va, &mapping) == 0 && mapping.va < va + size)
		return pb_error_at_op(reterr, -EEXIST, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, mapping.va, mapping.size,
				      "the mapping 0x%llx+0x%llx is in the way", (unsigned long long)mapping.va,
				      (unsigned long long)mapping.size);
	if (!vm->force && pb_unknown_find(vm->unknown, va, size, &unknown) == 0)
		return pb_error_at_op(reterr, -EEXIST, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, unknown.va, unknown.size,
				      "what 0x%llx+0x%llx maps is not known, and may be in the way",
				      (unsigned long long)unknown.va, (unsigned long long)unknown.size);
	return 0;
}

int pb_sparse_check_inside(const struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	int ret = check_range(va, size, reterr);
	if (ret == 0 && !pb_region_find(vm, va, size))
		return pb_error_at_op(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, va, size,
				      "0x%llx+0x%llx is not inside one sparse region", (unsigned long long)va,
				      (unsigned long long)size);
	return ret;
}

int pb_sparse_check_region(const struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	int ret = check_range(va, size, reterr);
	if (ret < 0)
		return ret;
	const struct pb_region *region = pb_region_find(vm, va, size);
	if (!region || region->va != va || region->size != size)
		return pb_error_at_op(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, va, size,
				      "no sparse region was reserved as 0x%llx+0x%llx", (unsigned long long)va,
				      (unsigned long long)size);
	return 0;
}

/** One more entry, before anything is submitted. */
static int reserve_region(struct panbind_vm *vm)
{
	if (vm->region_count < vm->region_room)
		return 0;
	size_t room = vm->region_room ? 2 * vm->region_room : 8;
	struct pb_region *regions = realloc(vm->regions, room * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	vm->regions = regions;
	vm->region_room = room;
	return 0;
}

static void insert_region(struct panbind_vm *vm, uint64_t va, uint64_t size)
{
	struct pb_region *at = &vm->regions[first_after(vm, va)];
	memmove(at + 1, at, (vm->regions + vm->region_count - at) * sizeof(*at));
	*at = (struct pb_region){.va = va, .size = size};
	vm->region_count++;
}

void pb_region_remove(struct panbind_vm *vm, uint64_t va)
{
	struct pb_region *at = &vm->regions[first_after(vm, va)];
	vm->region_count--;
	memmove(at, at + 1, (vm->regions + vm->region_count - at) * sizeof(*at));
}

int pb_region_add(struct panbind_vm *vm, uint64_t va, uint64_t size)
{
	int ret = reserve_region(vm);
	if (ret == 0)
		insert_region(vm, va, size);
	return ret;
}

static int map_dummy(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_MAP_SPARSE, .va = va, .size = size};
	return pb_bind_one(vm, &op, reterr);
}

int panbind_sparse_reserve(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	int ret = check_range(va, size, reterr);
	if (ret == 0)
		ret = pb_sparse_check_free(vm, va, size, reterr);
	if (ret < 0)
		return ret;
	if (reserve_region(vm) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	ret = map_dummy(vm, va, size, reterr);
	if (ret == 0)
		insert_region(vm, va, size);
	return ret;
}

int panbind_sparse_bind(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_bo *bo, uint64_t bo_offset,
			uint32_t flags, struct panbind_error *reterr)
{
	int ret = pb_sparse_check_inside(vm, va, size, reterr);
	return ret < 0 ? ret : panbind_vm_map(vm, va, size, bo, bo_offset, flags, reterr);
}

int panbind_sparse_unbind(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	int ret = pb_sparse_check_inside(vm, va, size, reterr);
	return ret < 0 ? ret : map_dummy(vm, va, size, reterr);
}

int panbind_sparse_release(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	int ret = pb_sparse_check_region(vm, va, size, reterr);
	if (ret < 0)
		return ret;
	ret = panbind_vm_unmap(vm, va, size, reterr);
	if (ret == 0)
		pb_region_remove(vm, va);
	return ret;
}

int panbind_sparse_next_region(struct panbind_vm *vm, uint64_t va, uint64_t *ret_va, uint64_t *ret_size)
{
	size_t index = first_after(vm, va);
	if (index == vm->region_count)
		return -ENOENT;
	*ret_va = vm->regions[index].va;
	*ret_size = vm->regions[index].size;
	return 0;
}
