/* SPDX-License-Identifier: MIT */
/*
 * `begin async` and `begin fenced`: a block that becomes one asynchronous VM_BIND of one VM.
 *
 * A fenced block has its waits in front of its first op and its signals behind its last one, so that GPU jobs that use
 * the same syncobjs see all of it or nothing. When its script names no signal, it gets one of its own, and the command
 * is done when that is signalled: then, and only then, it is known what became of it.
 *
 * What cannot be promised: an asynchronous op that fails while it runs is not undone. The driver gives the VM up, in
 * which the ops before the failing one are done and those behind it are not.
 */
#include <errno.h>

#include "session.h"

static int attach(struct pb_run *run, const struct pb_sync_ref *sync, struct panbind_batch *batch,
		  struct panbind_error *reterr)
{
	struct pb_object *object;
	int r = pb_run_object(run, PB_KIND_SYNCOBJ, sync->name, &object, reterr);

	if (r < 0)
		return r;
	r = sync->signal ? panbind_batch_signal(batch, object->syncobj, sync->point)
			 : panbind_batch_wait(batch, object->syncobj, sync->point);
	return r < 0 ? pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "cannot attach %s to the op",
				    pb_script_name(run->script, sync->name))
		     : 0;
}

/* The syncs of @command that are waits, signals, or both, to the op added last. */
static int attach_all(struct pb_run *run, const struct pb_command *command, bool waits, bool signals,
		      struct panbind_batch *batch, struct panbind_error *reterr)
{
	const struct pb_command_extra *extra = command->extra;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && extra && i < extra->sync_count; i++)
		if (extra->syncs[i].signal ? signals : waits)
			r = attach(run, &extra->syncs[i], batch, reterr);
	return r;
}

/* The op at @index, with its syncs or those that the block's begin has for it. */
static int add_command(struct pb_run *run, const struct pb_async *async, size_t index, struct panbind_batch *batch,
		       struct panbind_error *reterr)
{
	const struct pb_command *command = pb_script_command(run->script, index), *begin = async->begin;
	bool first = index == async->first, last = index + 1 == async->last;
	int r = pb_add_op(run, command, async->vm->vm, batch, reterr);

	if (r >= 0 && !pb_is_fenced(begin))
		return attach_all(run, command, true, true, batch, reterr);
	if (r >= 0)
		r = attach_all(run, begin, first, last, batch, reterr);
	if (r >= 0 && last && async->signal)
		r = panbind_batch_signal(batch, async->signal, 0);
	return r;
}

static int build(struct pb_run *run, const struct pb_async *async, bool syncs, struct panbind_batch *batch,
		 struct panbind_error *reterr)
{
	for (size_t i = async->first; i < async->last; i++) {
		const struct pb_command *command = pb_script_command(run->script, i);
		int r;

		if (!syncs && command->verb == PB_VERB_SYNC_ONLY)
			continue;
		r = syncs ? add_command(run, async, i, batch, reterr)
			  : pb_add_op(run, command, async->vm->vm, batch, reterr);
		if (r < 0) {
			if (reterr)
				pb_run_place(run, command, reterr);
			return r;
		}
	}
	return 0;
}

static void destroy_batchp(struct panbind_batch **batch)
{
	panbind_batch_destroy(*batch);
}

static const struct pb_command *command_of(struct pb_run *run, size_t first, uint32_t op)
{
	return pb_script_command(run->script, first + op);
}

/* What a plan does instead: say it, then have the same mapping by binding without the syncs. */
static int plan_async(struct pb_run *run, const struct pb_async *async, const struct panbind_batch *batch,
		      struct panbind_error *reterr)
{
	pb_cleanup(destroy_batchp) struct panbind_batch *plain = NULL;
	uint32_t flags = PANBIND_PLAN_ASYNC | (pb_is_fenced(async->begin) ? PANBIND_PLAN_FENCED : 0);
	int r = pb_plan_emit(run, async->vm, batch, command_of, async->first, flags, reterr);

	if (r >= 0 && panbind_batch_create(&plain) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r >= 0)
		r = build(run, async, false, plain, reterr);
	if (r < 0 || panbind_batch_count(plain) == 0)
		return r;
	return panbind_vm_bind(async->vm->vm, plain, 0, reterr);
}

static bool names_signal(const struct pb_command *begin)
{
	for (uint32_t i = 0; begin->extra && i < begin->extra->sync_count; i++)
		if (begin->extra->syncs[i].signal)
			return true;
	return false;
}

static int prepare(struct pb_run *run, struct pb_async *async, struct panbind_error *reterr)
{
	int r;

	if (async->first == async->last)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "an asynchronous bind needs an op");
	r = pb_run_object(run, PB_KIND_VM, pb_script_command(run->script, async->first)->name, &async->vm, reterr);
	if (r < 0 || !pb_is_fenced(async->begin) || names_signal(async->begin) || run->planning)
		return r;
	r = panbind_syncobj_create(run->session->device, 0, &async->signal);
	return r < 0 ? pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot create a syncobj to wait for: %s",
				    panbind_errno_name(r))
		     : 0;
}

bool pb_is_fenced(const struct pb_command *begin)
{
	return (begin->options & PB_OPT_FENCED) != 0;
}

int pb_async_submit(struct pb_run *run, struct pb_async *async, struct panbind_error *reterr)
{
	pb_cleanup(destroy_batchp) struct panbind_batch *batch = NULL;
	int r = prepare(run, async, reterr);

	if (r >= 0 && (r = panbind_batch_create(&batch)) < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r >= 0)
		r = build(run, async, true, batch, reterr);
	if (r >= 0 && (r = panbind_batch_merge(batch)) < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r < 0)
		return r;
	if (run->planning)
		r = plan_async(run, async, batch, reterr);
	else
		r = panbind_vm_bind(async->vm->vm, batch, PANBIND_BIND_ASYNC, reterr);
	if (r < 0) {
		if (reterr)
			panbind_batch_origin(batch, reterr->op, &reterr->op, NULL);
		if (reterr && reterr->op < async->last - async->first)
			pb_run_place(run, pb_script_command(run->script, async->first + reterr->op), reterr);
		return r;
	}
	run->ops += async->last - async->first;
	return 0;
}

/*
 * What became of it. The fence belongs to the last op: when one before it failed, it says EINVAL, or nothing when that
 * is an unmap, which an unusable VM still takes. So what failed, and where, is not to be learned from it, and EIO is
 * what is told.
 */
static int judge_fence(const struct pb_async *async, struct panbind_error *reterr)
{
	struct panbind_vm *vm = async->vm->vm;
	enum panbind_vm_state state = PANBIND_VM_USABLE;
	int status = 0, r;

	panbind_vm_wait(vm, 0); /* what is over is no longer in flight */
	r = panbind_syncobj_fence_status(async->signal, &status);
	panbind_vm_get_state(vm, &state);
	status = r < 0 ? r : status;
	if (status >= 0 && state == PANBIND_VM_USABLE)
		return 0;
	if (state == PANBIND_VM_USABLE)
		pb_vm_poison(vm, "a fenced bind failed: %s", panbind_errno_name(status));
	return pb_error_set(
		reterr, -EIO, PANBIND_STAGE_COMPLETE,
		"the fenced bind failed while it ran: what %.60s maps is not known, and it has to be rebuilt",
		async->vm->entry->name);
}

int pb_async_await(struct pb_run *run, const struct pb_async *async, struct panbind_error *reterr)
{
	int r;

	if (!async->signal)
		return 0;
	r = pb_wait_in_slices(run, &async->signal, INT64_MAX);
	if (r == -ECANCELED)
		return pb_error_set(reterr, r, PANBIND_STAGE_COMPLETE,
				    "stopped while the fenced bind was under way: it goes on by itself");
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_COMPLETE, "cannot wait for the fenced bind: %s",
				    panbind_errno_name(r));
	return judge_fence(async, reterr);
}

void pb_async_release(struct pb_async *async)
{
	panbind_syncobj_unref(async->signal);
}
