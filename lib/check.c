/* SPDX-License-Identifier: MIT */
/*
 * The rules an op has to keep, stated before a driver can refuse it, or, worse, take it silently.
 *
 * The driver lets some mistakes pass: an op of size 0 succeeds without being looked at, flags it does not know are
 * ignored in places, and a signal on a missing syncobj brings the kernel down. So everything that can be known in user
 * space is checked here, for the whole batch, before anything is submitted. A refusal names the rule, the op and its
 * range.
 *
 * Pure: structs are compared, nothing is called on them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "internal.h"

#define KNOWN_FLAGS (PANBIND_MAP_READONLY | PANBIND_MAP_NOEXEC | PANBIND_MAP_UNCACHED)

static const char *verb(const struct panbind_op *op)
{
	static const char *const verbs[] = {
		[PANBIND_OP_MAP] = "map",
		[PANBIND_OP_UNMAP] = "unmap",
		[PANBIND_OP_MAP_SPARSE] = "map sparse",
		[PANBIND_OP_SYNC_ONLY] = "sync only",
	};

	return verbs[op->type];
}

/* One op under examination, and where to say what is wrong with it. */
struct exam {
	const struct panbind_op *op;
	uint32_t index;
	struct panbind_error *reterr;
};

#define PLACE_SIZE 48

/* The range as part of a sentence; SYNC_ONLY has none. */
static const char *place(const struct panbind_op *op, char text[PLACE_SIZE])
{
	text[0] = '\0';
	if (op->type != PANBIND_OP_SYNC_ONLY)
		snprintf(text, PLACE_SIZE, " 0x%" PRIx64 "+0x%" PRIx64, op->va, op->size);
	return text;
}

/* "map 0x1000+0x1000: RULE". A macro, so that the rule's arguments are checked against its format. */
#define refuse(exam, rule, ...)                                                                                     \
	pb_error_at_op((exam)->reterr, -EINVAL, PANBIND_STAGE_VALIDATE, (exam)->index, (exam)->op->va,              \
		       (exam)->op->size, "%s%s: " rule, verb((exam)->op), place((exam)->op, (char[PLACE_SIZE]){0}), \
		       ##__VA_ARGS__)

static int check_range(const struct exam *exam)
{
	const struct panbind_op *op = exam->op;

	if (op->size == 0)
		return refuse(exam, "the size is 0");
	if ((op->va & PB_PAGE_MASK) != 0)
		return refuse(exam, "the VA is not a multiple of %u", PANBIND_PAGE_SIZE);
	if ((op->size & PB_PAGE_MASK) != 0)
		return refuse(exam, "the size is not a multiple of %u", PANBIND_PAGE_SIZE);
	if (op->va + op->size <= op->va)
		return refuse(exam, "the range wraps around the end of 64 bits");
	return 0;
}

static int check_backing(const struct exam *exam)
{
	const struct panbind_op *op = exam->op;

	if (op->bo == NULL)
		return refuse(exam, "there is no BO");
	if ((op->flags & ~KNOWN_FLAGS) != 0)
		return refuse(exam, "unknown map flags 0x%x", op->flags & ~KNOWN_FLAGS);
	if ((op->bo_offset & PB_PAGE_MASK) != 0)
		return refuse(exam, "the BO offset 0x%" PRIx64 " is not a multiple of %u", op->bo_offset,
			      PANBIND_PAGE_SIZE);
	if (op->size > op->bo->size || op->bo_offset > op->bo->size - op->size)
		return refuse(exam, "from offset 0x%" PRIx64 " it reaches beyond the BO, which has 0x%" PRIx64 " bytes",
			      op->bo_offset, op->bo->size);
	return 0;
}

static int check_no_backing(const struct exam *exam)
{
	const struct panbind_op *op = exam->op;

	if (op->bo != NULL || op->bo_offset != 0)
		return refuse(exam, "it takes no BO");
	if (op->flags != 0)
		return refuse(exam, "it takes no flags");
	return 0;
}

static int check_type(const struct exam *exam)
{
	const struct panbind_op *op = exam->op;
	int r;

	switch (op->type) {
	case PANBIND_OP_MAP:
		r = check_range(exam);
		return r < 0 ? r : check_backing(exam);
	case PANBIND_OP_UNMAP:
	case PANBIND_OP_MAP_SPARSE:
		r = check_range(exam);
		return r < 0 ? r : check_no_backing(exam);
	case PANBIND_OP_SYNC_ONLY:
		if (op->va != 0 || op->size != 0)
			return refuse(exam, "it takes no range");
		return check_no_backing(exam);
	}
	return pb_error_at_op(exam->reterr, -EINVAL, PANBIND_STAGE_VALIDATE, exam->index, op->va, op->size,
			      "there is no op of type %d", (int)op->type);
}

int pb_check_op(const struct panbind_op *op, uint32_t index, struct panbind_error *reterr)
{
	struct exam exam = {op, index, reterr};

	return check_type(&exam);
}

/* What depends on the VM: its size, its device, its exclusive BOs. */
static int check_on_vm(const struct exam *exam, const struct pb_check *check)
{
	const struct panbind_op *op = exam->op;

	if (op->size > check->va_range || op->va > check->va_range - op->size)
		return refuse(exam, "it reaches beyond the VM, which ends at 0x%" PRIx64, check->va_range);
	if (op->bo == NULL)
		return 0;
	if (op->bo->device != check->device && !check->adopted)
		return refuse(exam, "the BO belongs to another device");
	if (op->bo->device != check->device && op->bo->exclusive_vm_id != 0)
		return refuse(exam, "the BO is exclusive to a VM of another open file");
	if (op->bo->exclusive_vm_id != 0 && op->bo->exclusive_vm_id != check->vm_id)
		return refuse(exam, "the BO is exclusive to VM %u, this is VM %u", op->bo->exclusive_vm_id,
			      check->vm_id);
	return 0;
}

static int check_syncs(const struct exam *exam, const struct pb_check *check)
{
	const struct panbind_op *op = exam->op;

	if (!check->async && op->type == PANBIND_OP_SYNC_ONLY)
		return refuse(exam, "only an asynchronous bind can do that");
	if (!check->async && op->sync_count > 0)
		return refuse(exam, "only an asynchronous bind can wait or signal");
	if (op->type == PANBIND_OP_SYNC_ONLY && op->sync_count == 0)
		return refuse(exam, "there is nothing to wait for or to signal");
	for (uint32_t i = 0; i < op->sync_count; i++)
		if (op->syncs[i].syncobj->device != check->device)
			return refuse(exam, "the syncobj of %s %u belongs to another device",
				      op->syncs[i].signal ? "signal" : "wait", i);
	return 0;
}

int pb_check_batch(const struct pb_check *check, const struct panbind_batch *batch, struct panbind_error *reterr)
{
	if (batch->count == 0)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "the batch is empty");
	for (size_t i = 0; i < batch->count; i++) {
		struct exam exam = {&batch->ops[i], (uint32_t)i, reterr};
		int r = check_type(&exam);

		if (r == 0)
			r = check_on_vm(&exam, check);
		if (r == 0)
			r = check_syncs(&exam, check);
		if (r < 0)
			return r;
	}
	return 0;
}
