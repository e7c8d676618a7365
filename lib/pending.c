/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous binds in flight.
 *
 * The shadow shows them as done from the moment they are accepted, which is right for everything that queues up behind
 * them. A synchronous bind does not queue: it would run first, and the late asynchronous op would then undo it behind
 * the shadow's back. So ranges in flight are kept here, and a synchronous bind that touches one is refused.
 *
 * A VM runs its asynchronous ops in order, hence one timeline a VM is enough: whatever its last signalled point covers
 * is over, and one query tells.
 */
#include <errno.h>

#include "internal.h"

#define PENDING_LIMIT 64

static int by_va(const void *a, const void *b)
{
	const struct pb_region *x = a, *y = b;
	return (x->va > y->va) - (x->va < y->va);
}

/** Join what touches or overlaps; returns how many are left. */
static size_t merge_sorted(struct pb_region *ranges, size_t count)
{
	size_t last = 0;
	for (size_t i = 1; i < count; i++) {
		uint64_t end = ranges[last].va + ranges[last].size, new_end = ranges[i].va + ranges[i].size;
		if (ranges[i].va > end)
			ranges[++last] = ranges[i];
		else if (new_end > end)
			ranges[last].size = new_end - ranges[last].va;
	}
	return count ? last + 1 : 0;
}

int pb_pending_create(const struct panbind_batch *batch, struct pb_pending **ret_pending)
{
	struct pb_pending *pending = calloc(1, sizeof(*pending) + batch->count * sizeof(pending->ranges[0]));
	if (!pending)
		return -ENOMEM;
	for (size_t i = 0; i < batch->count; i++) {
		const struct panbind_op *op = &batch->ops[i];
		if (op->type != PANBIND_OP_SYNC_ONLY)
			pending->ranges[pending->count++] = (struct pb_region){.va = op->va, .size = op->size};
	}
	qsort(pending->ranges, pending->count, sizeof(pending->ranges[0]), by_va);
	pending->count = merge_sorted(pending->ranges, pending->count);
	*ret_pending = pending;
	return 0;
}

void pb_pending_add(struct panbind_vm *vm, struct pb_pending *pending, uint64_t point)
{
	pending->point = point;
	*vm->pending_tail = pending;
	vm->pending_tail = &pending->next;
	vm->pending_count++;
}

static void drop_first(struct panbind_vm *vm)
{
	struct pb_pending *first = vm->pending;
	vm->pending = first->next;
	if (!vm->pending)
		vm->pending_tail = &vm->pending;
	vm->pending_count--;
	free(first);
}

int pb_vm_reap(struct panbind_vm *vm)
{
	if (!vm->pending)
		return 0;
	uint64_t point;
	int ret = panbind_syncobj_query(vm->timeline, &point);
	if (ret < 0)
		return ret;
	bool finished = vm->pending->point <= point;
	while (vm->pending && vm->pending->point <= point)
		drop_first(vm);

	/* Look less often while nothing finishes: the cost of looking stays a constant for each bind. */
	vm->pending_limit = PENDING_LIMIT + 2 * vm->pending_count;
	enum panbind_vm_state state;
	return finished ? panbind_vm_get_state(vm, &state) : 0;
}

int panbind_vm_wait(struct panbind_vm *vm, int64_t timeout_ns)
{
	const uint64_t last = vm->next_point;
	int ret;

	if (!vm->pending)
		return 0;
	ret = panbind_syncobj_wait(&vm->timeline, &last, 1, PANBIND_WAIT_ALL, timeout_ns, NULL);
	return ret < 0 ? ret : pb_vm_reap(vm);
}

/** The range of @pending that meets [va, va + size), or NULL. */
static const struct pb_region *find_overlap(const struct pb_pending *pending, uint64_t va, uint64_t size)
{
	size_t low = 0, high = pending->count; /* the first range that ends after va */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (pending->ranges[middle].va + pending->ranges[middle].size > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low < pending->count && pending->ranges[low].va < va + size ? &pending->ranges[low] : NULL;
}

static int check_op(struct panbind_vm *vm, uint32_t index, const struct panbind_op *op, struct panbind_error *reterr)
{
	for (const struct pb_pending *pending = vm->pending; pending; pending = pending->next) {
		const struct pb_region *range = find_overlap(pending, op->va, op->size);
		if (range)
			return pb_error_at_op(
				reterr, -EBUSY, PANBIND_STAGE_VALIDATE, index, range->va, range->size,
				"an asynchronous bind of 0x%llx+0x%llx is still in flight: wait for its fence first",
				(unsigned long long)range->va, (unsigned long long)range->size);
	}
	return 0;
}

int pb_pending_check(struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr)
{
	int ret = pb_vm_reap(vm);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "cannot ask for the binds in flight: %s",
				    panbind_errno_name(ret));
	for (size_t i = 0; i < batch->count && vm->pending; i++) {
		ret = check_op(vm, i, &batch->ops[i], reterr);
		if (ret < 0)
			return ret;
	}
	return 0;
}

void pb_pending_free(struct panbind_vm *vm)
{
	while (vm->pending)
		drop_first(vm);
}
