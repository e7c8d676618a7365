/* SPDX-License-Identifier: MIT */
/*
 * The transaction of a script: binds that follow each other in one VM become one batch, which is merged, everything
 * else that can be undone is noted as a step, and the end keeps all of it or puts all of it back.
 *
 * Order of an undo: binds first, last first; then steps, last first. A VM or BO that the script destroys is only
 * detached until the transaction ends well, so both halves still find what they refer to.
 *
 * Not undone: what was written into BOs, signals of syncobjs, GPU stores and address-space slots.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

/* Ops that are gathered before they are bound: enough that the ioctl's own cost vanishes, few enough for the cache. */
#define GATHER_OPS 4096

int pb_txn_gather(struct pb_run *run, struct pb_object *vm, struct panbind_batch **ret_batch,
		  struct panbind_error *reterr)
{
	int r = 0;

	if (run->batch_vm != vm)
		r = pb_txn_flush(run, reterr);
	if (r < 0)
		return r;
	if (!run->batch && panbind_batch_create(&run->batch) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	run->batch_vm = vm;
	*ret_batch = run->batch;
	return 0;
}

static int grow_commands(struct pb_run *run)
{
	size_t room = run->batch_command_room ? run->batch_command_room * 2 : 16;
	const struct pb_command **grown = realloc(run->batch_commands, room * sizeof(struct pb_command *));

	if (!grown)
		return -ENOMEM;
	run->batch_commands = grown;
	run->batch_command_room = room;
	return 0;
}

int pb_txn_added(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	size_t count = panbind_batch_count(run->batch);

	if (count > run->batch_command_room && grow_commands(run) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	run->batch_commands[count - 1] = command;
	return count >= GATHER_OPS ? pb_txn_flush(run, reterr) : 0;
}

static const struct pb_command *gathered_command(struct pb_run *run, size_t first, uint32_t op)
{
	return run->batch_commands[op];
}

static int bind_gathered(struct pb_run *run, enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	int r = panbind_batch_merge(run->batch);

	if (r >= 0 && run->planning)
		r = pb_plan_emit(run, run->batch_vm, run->batch, gathered_command, 0, 0, reterr);
	if (r >= 0 && !run->txn)
		r = panbind_txn_begin(run->session->device, &run->txn);
	if (r < 0)
		return r;
	return panbind_txn_bind(run->txn, run->batch_vm->vm, run->batch, ret_outcome, reterr);
}

int pb_txn_flush(struct pb_run *run, struct panbind_error *reterr)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	size_t count = run->batch ? panbind_batch_count(run->batch) : 0;
	uint64_t began_ns;
	int r;

	if (count == 0)
		return 0;
	began_ns = pb_clock_ns();
	r = bind_gathered(run, &outcome, &error);
	run->bind_ns += pb_clock_ns() - began_ns;
	if (r >= 0) {
		run->ops += count;
	} else {
		if (error.code == 0)
			pb_error_set(&error, r, PANBIND_STAGE_VALIDATE, "%s", panbind_errno_name(r));
		if (outcome > run->broken)
			run->broken = outcome;
		panbind_batch_origin(run->batch, error.op, &error.op, NULL);
		pb_run_place(run, run->batch_commands[error.op < count ? error.op : 0], &error);
		if (error.op != PANBIND_NO_OP)
			error.op += (uint32_t)run->ops;
		if (reterr)
			*reterr = error;
	}
	panbind_batch_clear(run->batch);
	run->batch_vm = NULL;
	return r;
}

/* ---- Steps ---- */

int pb_txn_note(struct pb_run *run, const struct pb_step *step)
{
	if (run->step_count == run->step_room) {
		size_t room = run->step_room ? run->step_room * 2 : 16;
		struct pb_step *grown = realloc(run->steps, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		run->steps = grown;
		run->step_room = room;
	}
	run->steps[run->step_count++] = *step;
	return 0;
}

static void undo_step(struct pb_run *run, struct pb_step *step)
{
	struct panbind_session *session = run->session;

	switch (step->type) {
	case PB_STEP_CREATED:
		pb_object_detach(session, step->object);
		pb_object_free(step->object);
		break;
	case PB_STEP_DESTROYED:
		pb_object_attach(session, step->object);
		break;
	case PB_STEP_LABEL:
		panbind_bo_set_label(step->object->bo, step->label ? step->label : "");
		break;
	case PB_STEP_REGION_ADDED:
		pb_region_remove(step->object->vm, step->va);
		break;
	case PB_STEP_REGION_REMOVED:
		pb_region_add(step->object->vm, step->va, step->size);
		break;
	}
	free(step->label);
}

void pb_txn_undo_steps(struct pb_run *run, size_t mark)
{
	while (run->step_count > mark)
		undo_step(run, &run->steps[--run->step_count]);
}

/* ---- The end ---- */

static void forget(struct pb_run *run)
{
	run->step_count = 0;
	pb_changes_clear(run);
	run->ops = 0;
	run->broken = PANBIND_OUTCOME_APPLIED;
}

void pb_txn_keep(struct pb_run *run)
{
	if (run->txn)
		panbind_txn_commit(pb_take_ptr(run->txn));
	for (size_t i = 0; i < run->step_count; i++) {
		if (run->steps[i].type == PB_STEP_DESTROYED)
			pb_object_free(run->steps[i].object);
		free(run->steps[i].label);
	}
	forget(run);
}

int pb_txn_undo(struct pb_run *run, enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int r = 0;

	if (run->batch)
		panbind_batch_clear(run->batch);
	run->batch_vm = NULL;
	if (run->txn)
		r = panbind_txn_rollback(pb_take_ptr(run->txn), &outcome, reterr);
	pb_txn_undo_steps(run, 0);
	*ret_outcome = outcome > run->broken ? outcome : run->broken;
	forget(run);
	return r;
}
