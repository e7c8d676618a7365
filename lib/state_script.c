/* SPDX-License-Identifier: MIT */
/*
 * Between states and scripts: what a script makes of a VM, and the script that makes a VM what a state says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "session.h"
#include "state.h"

/* ---- From a script ---- */

static void destroy_sessionp(struct panbind_session **session)
{
	panbind_session_destroy(*session);
}

static void unref_devicep(struct panbind_device **device)
{
	panbind_device_unref(*device);
}

static int only_vm(struct panbind_session *session, const char **ret_vm, struct panbind_error *reterr)
{
	const char *vm = panbind_session_vm_name(session, 0);

	if (!vm)
		return pb_error_set(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, "the script leaves no VM");
	if (panbind_session_vm_name(session, 1))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "the script leaves several VMs (%.60s, %.60s, ...): say which", vm,
				    panbind_session_vm_name(session, 1));
	*ret_vm = vm;
	return 0;
}

/* The state outlives the device: nothing but names and sizes is of use. */
static void forget_objects(struct panbind_state *state)
{
	for (size_t i = 0; i < state->bo_count; i++) {
		panbind_bo_unref(state->bos[i].bo);
		state->bos[i].bo = NULL;
	}
}

int panbind_script_state(const struct panbind_script *script, const char *vm, struct panbind_state **ret_state,
			 struct panbind_error *reterr)
{
	pb_cleanup(unref_devicep) struct panbind_device *device = NULL;
	pb_cleanup(destroy_sessionp) struct panbind_session *session = NULL;
	int r = panbind_device_open("sim:", &device, reterr);

	if (r < 0)
		return r;
	r = panbind_session_create(device, NULL, NULL, &session);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	r = panbind_session_run(session, script, 0, NULL, reterr);
	if (r == 0 && !vm)
		r = only_vm(session, &vm, reterr);
	if (r < 0)
		return r;
	r = panbind_session_state(session, vm, ret_state);
	if (r == -ENOENT)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "the script leaves no VM %.100s", vm);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	forget_objects(*ret_state);
	return 0;
}

/* ---- To a script ---- */

struct writing {
	struct panbind_session *session; /* NULL: there is nothing yet, neither the VM nor a BO */
	const char *vm;
	uint32_t flags;
	const struct panbind_state_diff *diff;
	FILE *out;
	char (*made)[32]; /* by index of a BO of diff->to: the name it was made with, if that is not its own; "." else
			   */
	uint32_t last_number;
	struct panbind_error *reterr;
};

static int refuse(struct writing *writing, int code, const struct panbind_state_op *op, const char *why)
{
	return pb_error_at_op(writing->reterr, code, PANBIND_STAGE_VALIDATE, PANBIND_NO_OP, op->va, op->size,
			      "0x%" PRIx64 "+0x%" PRIx64 " maps the BO %.60s, %s", op->va, op->size,
			      op->bo->name ? op->bo->name : "(unnamed)", why);
}

static char *made_as(const struct writing *writing, const struct panbind_state_bo *bo)
{
	return writing->made[bo - writing->diff->to->bos];
}

static const char *name_of(const struct writing *writing, const struct panbind_state_bo *bo)
{
	const char *made = made_as(writing, bo);

	return made[0] && made[0] != '.' ? made : bo->name;
}

static bool is_taken(const struct writing *writing, const char *name)
{
	const struct panbind_state *to = writing->diff->to;

	if (writing->session && panbind_session_bo(writing->session, name))
		return true;
	for (size_t i = 0; i < to->bo_count; i++)
		if (to->bos[i].name && !to->bos[i].nameless && strcmp(to->bos[i].name, name) == 0)
			return true;
	return false;
}

/* A BO without a name has one for as long as it takes to map it. */
static void choose_name(struct writing *writing, const struct panbind_state_bo *bo)
{
	char *made = made_as(writing, bo);

	if (!bo->nameless) {
		made[0] = '.';
		return;
	}
	do
		snprintf(made, sizeof(writing->made[0]), "unnamed-%" PRIu32, ++writing->last_number);
	while (is_taken(writing, made));
}

static int write_bo(struct writing *writing, const struct panbind_state_op *op)
{
	if (made_as(writing, op->bo)[0])
		return 0;
	if (!(writing->flags & PANBIND_STATE_CREATE_BOS) || (!op->bo->name && !op->bo->nameless))
		return refuse(writing, -ENOENT, op,
			      op->bo->nameless ? "which is gone for good" : "and there is none of that name");
	if (op->object && writing->session)
		return refuse(writing, -ENOENT, op, "which has no name any more, and cannot be mapped again");
	choose_name(writing, op->bo);
	fprintf(writing->out, "bo create %s 0x%" PRIx64 "%s%s%s%s\n", name_of(writing, op->bo), op->bo->size,
		op->bo->exclusive ? " --vm=" : "", op->bo->exclusive ? writing->vm : "",
		op->bo->flags & PANBIND_BO_NO_MMAP ? " --no-mmap" : "",
		op->bo->flags & PANBIND_BO_WB_MMAP ? " --wb" : "");
	return 0;
}

static int check_bo(struct writing *writing, const struct panbind_state_op *op)
{
	const struct panbind_bo *bo = NULL;

	if (!writing->session)
		return write_bo(writing, op);
	if (op->bo->name && !op->bo->nameless)
		bo = panbind_session_bo(writing->session, op->bo->name);
	/* A name given up may be another BO's now; a BO that has its old name back, or still has it, is as good. */
	if (!bo && op->object && op->bo->name && panbind_session_bo(writing->session, op->bo->name) == op->object)
		bo = op->object;
	if (!bo)
		return write_bo(writing, op);
	if (op->bo->generation && panbind_bo_generation(bo) && panbind_bo_generation(bo) != op->bo->generation)
		return refuse(writing, -ESTALE, op, "but the one of that name is another one by now");
	if (op->size > panbind_bo_size(bo) || op->bo_offset > panbind_bo_size(bo) - op->size)
		return refuse(writing, -EINVAL, op, "and the one of that name is too small for it");
	return 0;
}

static void write_op(struct writing *writing, const struct panbind_state_op *op)
{
	static const char *const verbs[] = {
		[PANBIND_CHANGE_MAP] = "map",
		[PANBIND_CHANGE_UNMAP] = "unmap",
		[PANBIND_CHANGE_MAP_SPARSE] = "sparse map",
		[PANBIND_CHANGE_SPARSE_RESERVE] = "sparse reserve",
		[PANBIND_CHANGE_SPARSE_RELEASE] = "sparse release",
	};

	fprintf(writing->out, "%s %s 0x%" PRIx64 " 0x%" PRIx64, verbs[op->type], writing->vm, op->va, op->size);
	if (op->type == PANBIND_CHANGE_MAP)
		fprintf(writing->out, " %s+0x%" PRIx64 "%s%s%s", name_of(writing, op->bo), op->bo_offset,
			op->flags & PANBIND_MAP_READONLY ? " --readonly" : "",
			op->flags & PANBIND_MAP_NOEXEC ? " --noexec" : "",
			op->flags & PANBIND_MAP_UNCACHED ? " --uncached" : "");
	fputc('\n', writing->out);
}

static int write_script(struct writing *writing)
{
	const struct panbind_state *to = writing->diff->to;
	const struct panbind_state_op *op;
	int r = 0;

	for (size_t i = 0; r == 0 && (op = panbind_state_diff_op(writing->diff, i)); i++)
		if (op->type == PANBIND_CHANGE_MAP)
			r = check_bo(writing, op);
	for (size_t i = 0; r == 0 && (op = panbind_state_diff_op(writing->diff, i)); i++)
		write_op(writing, op);
	for (size_t i = 0; r == 0 && i < to->bo_count; i++)
		if (writing->made[i][0] && to->bos[i].nameless)
			fprintf(writing->out, "bo destroy %s\n", writing->made[i]);
	return r;
}

static int write_text(struct writing *writing, char **ret_text)
{
	pb_autofree char *text = NULL;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): both callers have compared first */
	pb_autofree char(*made)[32] = calloc(writing->diff->to->bo_count + 1, sizeof(*made));
	size_t size = 0;
	int r = -ENOMEM;

	writing->made = made;
	writing->out = open_memstream(&text, &size);
	if (writing->out) {
		if (!writing->session)
			fprintf(writing->out, "vm create %s\n", writing->vm);
		r = made ? write_script(writing) : -ENOMEM;
		if (ferror(writing->out) && r >= 0)
			r = -ENOMEM;
		if (fclose(writing->out) != 0 && r >= 0)
			r = -ENOMEM;
	}
	if (r == 0)
		*ret_text = pb_take_ptr(text);
	return r == -ENOMEM ? pb_error_set(writing->reterr, r, PANBIND_STAGE_VALIDATE, "out of memory") : r;
}

int panbind_session_state_script(struct panbind_session *session, const char *vm, const struct panbind_state *to,
				 uint32_t flags, char **ret_text, size_t *ret_ops, struct panbind_error *reterr)
{
	pb_cleanup(pb_statep_destroy) struct panbind_state *from = NULL;
	pb_cleanup(pb_state_diffp_destroy) struct panbind_state_diff *diff = NULL;
	struct writing writing = {.session = session, .vm = vm, .flags = flags, .reterr = reterr};
	int r;

	if (flags & ~PANBIND_STATE_CREATE_BOS)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "unknown flags");
	r = panbind_session_state(session, vm, &from);
	if (r == -ENOENT)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "there is no VM %.100s", vm);
	if (r == 0)
		r = panbind_state_diff(from, to, &diff);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	writing.diff = diff;
	r = write_text(&writing, ret_text);
	if (r == 0)
		*ret_ops = panbind_state_diff_op_count(diff);
	return r;
}

int panbind_state_script(const struct panbind_state *state, const char *vm, char **ret_text)
{
	pb_cleanup(pb_statep_destroy) struct panbind_state *empty = NULL;
	pb_cleanup(pb_state_diffp_destroy) struct panbind_state_diff *diff = NULL;
	struct writing writing = {.vm = vm, .flags = PANBIND_STATE_CREATE_BOS};
	int r = panbind_state_create(&empty);

	if (r == 0)
		r = panbind_state_diff(empty, state, &diff);
	writing.diff = diff;
	return r == 0 ? write_text(&writing, ret_text) : r;
}
