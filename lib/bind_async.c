/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous binds: one VM_BIND for the whole batch, taken or refused as a whole.
 *
 * The driver checks every op at entry, and a refused call has queued nothing: so the shadow is written after the call,
 * all of it or none. The caller's syncs go where the driver looks for them: waits on the first driver op of an op,
 * signals on its last, which matters where a sparse range is several driver ops; the driver runs a VM's ops in order,
 * so that is the same for everybody. The last driver op also signals the next point of a timeline that belongs to the
 * VM, by which pending.c knows what is still in flight; a timeline of our own meets none of the caller's.
 */
#include <errno.h>

#include "bind.h"

/** What one call needs; all of it is there before the call. */
struct submission {
	struct pb_uapi_vm_bind_op *ops;
	struct pb_uapi_sync_op *syncs, *next_sync;
	struct pb_pending *pending;
	size_t count;
};

static void free_submission(struct submission *submission)
{
	free(submission->ops);
	free(submission->syncs);
	free(submission->pending);
}

static int ensure_timeline(struct panbind_vm *vm)
{
	return vm->timeline ? 0 : panbind_syncobj_create(vm->device, 0, &vm->timeline);
}

static int allocate(struct panbind_vm *vm, const struct panbind_batch *batch, uint64_t driver_ops,
		    struct submission *submission)
{
	size_t syncs = 1; /* the VM's own */
	for (size_t i = 0; i < batch->count; i++)
		syncs += batch->ops[i].sync_count;
	submission->ops = calloc(driver_ops, sizeof(*submission->ops));
	submission->syncs = submission->next_sync = calloc(syncs, sizeof(*submission->syncs));
	if (!submission->ops || !submission->syncs)
		return -ENOMEM;
	int ret = pb_pending_create(batch, &submission->pending);
	if (ret == 0)
		ret = pb_vm_reserve(vm, batch->count);
	return ret == 0 ? ensure_timeline(vm) : ret;
}

/** Add one sync to the driver op @to; the syncs of one driver op are added one after the other. */
static void add_sync(struct submission *submission, struct pb_uapi_vm_bind_op *to, const struct panbind_sync *sync)
{
	struct pb_uapi_sync_op *out = submission->next_sync++;
	*out = (struct pb_uapi_sync_op){
		.flags = (sync->point ? PB_SYNC_TYPE_TIMELINE : PB_SYNC_TYPE_SYNCOBJ) |
			 (sync->signal ? PB_SYNC_SIGNAL : 0),
		.handle = sync->syncobj->handle,
		.timeline_value = sync->point,
	};
	if (to->syncs.count++ == 0)
		to->syncs.array = (uintptr_t)out;
}

static void add_syncs(struct submission *submission, const struct panbind_op *op, struct pb_uapi_vm_bind_op *first,
		      struct pb_uapi_vm_bind_op *last)
{
	for (uint32_t i = 0; i < op->sync_count; i++) {
		if (first == last || !op->syncs[i].signal)
			add_sync(submission, first, &op->syncs[i]);
	}
	for (uint32_t i = 0; i < op->sync_count && first != last; i++) {
		if (op->syncs[i].signal)
			add_sync(submission, last, &op->syncs[i]);
	}
}

static void fill(struct panbind_vm *vm, const struct panbind_batch *batch, struct pb_lower *lower,
		 struct submission *submission)
{
	submission->count = pb_lower_fill(lower, submission->ops, SIZE_MAX);
	struct pb_uapi_vm_bind_op *first = submission->ops;
	for (size_t i = 0; i < batch->count; i++) {
		uint64_t driver_ops = pb_driver_ops(&batch->ops[i], lower->native_sparse);
		add_syncs(submission, &batch->ops[i], first, first + driver_ops - 1);
		first += driver_ops;
	}
	struct panbind_sync own = {.syncobj = vm->timeline, .point = vm->next_point + 1, .signal = 1};
	add_sync(submission, &submission->ops[submission->count - 1], &own);
}

static int submit(struct panbind_vm *vm, const struct submission *submission)
{
	struct pb_file *file = vm->device->file;
	unsigned int stalled = 0;
	int ret;
	do {
		struct pb_uapi_vm_bind args = {
			.vm_id = vm->id,
			.flags = PB_VM_BIND_ASYNC,
			.ops = {.stride = sizeof(*submission->ops),
				.count = submission->count,
				.array = (uintptr_t)submission->ops},
		};
		ret = file->backend->ioctl(file, PB_IOCTL_VM_BIND, &args);
	} while (ret < 0 && pb_bind_again(ret, &stalled));
	return ret;
}

/** Accepted: from here on the shadow shows it as done. */
static void accept(struct panbind_vm *vm, const struct panbind_batch *batch, struct pb_pending *pending)
{
	for (size_t i = 0; i < batch->count; i++)
		pb_bind_record(vm, &batch->ops[i], 0, batch->ops[i].size);
	pb_pending_add(vm, pending, ++vm->next_point);
}

int pb_bind_async(struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr)
{
	pb_cleanup(free_submission) struct submission submission = {0};
	struct pb_lower lower;
	if (vm->pending_count > vm->pending_limit)
		pb_vm_reap(vm); /* when it fails, the list merely stays longer */
	int ret = pb_vm_check_usable(vm, reterr);
	if (ret == 0)
		ret = pb_lower_begin(&lower, vm->device, batch, reterr);
	if (ret < 0)
		return ret;
	uint64_t total = pb_lower_total(&lower);
	ret = total > UINT32_MAX ? -E2BIG : allocate(vm, batch, total, &submission);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_VALIDATE, "cannot prepare %llu driver ops: %s",
				    (unsigned long long)total, panbind_errno_name(ret));

	fill(vm, batch, &lower, &submission);
	ret = submit(vm, &submission);
	if (ret < 0) {
		enum panbind_vm_state state;
		panbind_vm_get_state(vm, &state); /* an earlier bind may have failed meanwhile */
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "the driver refused the asynchronous bind: %s",
				    panbind_errno_name(ret));
	}
	accept(vm, batch, pb_take_ptr(submission.pending));
	return 0;
}
