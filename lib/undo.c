/* SPDX-License-Identifier: MIT */
/*
 * Inverse ops: what an op displaces is noted before it counts as done, and mapped again to undo it.
 *
 * The inverse of an op is the state of its range before it: each piece that was mapped is mapped again, and, if the op
 * mapped something, each hole is unmapped. It states what shall be rather than what to reverse, so it is right for an
 * op that is done, half done, or not done at all.
 *
 * An undo must not fail for want of memory. So pb_undo_reserve() bounds what a run of ops can displace before the run
 * begins. An op displaces at most the pieces that overlap its range. Of those, the ones that are there before the run
 * can be counted; when its range also meets an earlier op of the run, there may be more: every op leaves at most three
 * new pieces (its own, and the rests left and right of it), each of which can be removed once, and an op cuts at most
 * two more at its borders. Between n pieces there are at most n + 1 holes.
 *
 * Ranges of which it is not known what they map are pieces too, but such as no op puts back. Only a forced op displaces
 * them, and its undo leaves them as they are: unmapping them would be as blind as anything else.
 */
#include <errno.h>

#include "internal.h"

#define PIECES_LEFT_BY_OP 3
#define PIECES_CUT_BY_OP  2

static int grow(struct pb_undo *undo, size_t wanted)
{
	if (wanted <= undo->room)
		return 0;
	size_t room = 2 * undo->room > wanted ? 2 * undo->room : wanted;
	struct panbind_op *ops = realloc(undo->ops, room * sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	undo->ops = ops;
	uint32_t *of = realloc(undo->of, room * sizeof(*of));
	if (!of)
		return -ENOMEM;
	undo->of = of;
	undo->room = room;
	return 0;
}

/** Inverse ops that @count ops can need, see above. */
static size_t most_inverses(const struct panbind_vm *vm, const struct panbind_op *ops, size_t count)
{
	uint64_t low = UINT64_MAX, high = 0; /* the hull of earlier ops */
	size_t most = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t va = ops[i].va, end = va + ops[i].size;
		size_t pieces = pb_vamap_overlaps(vm->map, va, ops[i].size);
		if (vm->unknown)
			pieces += pb_vamap_overlaps(vm->unknown, va, ops[i].size);
		if (va < high && end > low)
			pieces += PIECES_LEFT_BY_OP + PIECES_CUT_BY_OP;
		most += 2 * pieces + 1;
		low = va < low ? va : low;
		high = end > high ? end : high;
	}
	return most;
}

int pb_undo_reserve(struct pb_undo *undo, const struct panbind_op *ops, size_t count)
{
	size_t most = undo->count + most_inverses(undo->vm, ops, count);
	int ret = grow(undo, most);
	return ret < 0 ? ret : pb_vm_reserve(undo->vm, count + undo->earlier + most);
}

static int push(struct pb_undo *undo, uint32_t of, const struct panbind_op *op)
{
	int ret = grow(undo, undo->count + 1); /* nothing to do after pb_undo_reserve() */
	if (ret < 0)
		return ret;
	if (op->bo)
		panbind_bo_ref(op->bo);
	undo->ops[undo->count] = *op;
	undo->of[undo->count++] = of;
	return 0;
}

static int give_hole(struct pb_inverse *inverse, uint64_t end)
{
	struct panbind_op op = {.type = PANBIND_OP_UNMAP, .va = inverse->at};
	struct pb_range unknown;
	int ret = 0;
	while (ret == 0 && inverse->fill_holes && op.va < end) {
		if (pb_unknown_find(inverse->unknown, op.va, end - op.va, &unknown) < 0)
			unknown = (struct pb_range){.va = end};
		op.size = unknown.va - op.va;
		if (op.size > 0)
			ret = inverse->push(inverse->data, &op);
		op.va = unknown.va + unknown.size;
	}
	return ret;
}

int pb_inverse_piece(void *data, const struct pb_range *piece)
{
	struct pb_inverse *inverse = data;
	struct panbind_op op = {
		.type = piece->bo ? PANBIND_OP_MAP : PANBIND_OP_MAP_SPARSE,
		.flags = piece->bo ? piece->flags : 0,
		.va = piece->va,
		.size = piece->size,
		.bo = piece->bo,
		.bo_offset = piece->bo_offset,
	};
	int ret = give_hole(inverse, piece->va);
	if (ret == 0)
		ret = inverse->push(inverse->data, &op);
	inverse->at = piece->va + piece->size;
	return ret;
}

int pb_inverse_end(struct pb_inverse *inverse, uint64_t end)
{
	return give_hole(inverse, end);
}

/** Where the inverse ops of one op are noted. */
struct note {
	struct pb_undo *undo;
	uint32_t of;
};

static int push_note(void *data, const struct panbind_op *op)
{
	struct note *note = data;
	return push(note->undo, note->of, op);
}

void pb_undo_note(struct pb_undo *undo, uint32_t index, const struct panbind_op *op)
{
	struct note note = {.undo = undo, .of = index};
	struct pb_inverse inverse = {push_note, &note, op->type != PANBIND_OP_UNMAP, undo->vm->unknown, op->va};
	struct pb_range blind;
	if (undo->blind.size == 0 && pb_unknown_find(undo->vm->unknown, op->va, op->size, &blind) == 0)
		undo->blind = (struct pb_region){blind.va, blind.size};
	int ret = pb_vamap_pieces(undo->vm->map, op->va, op->size, pb_inverse_piece, &inverse);
	if (ret == 0)
		ret = pb_inverse_end(&inverse, op->va + op->size);
	if (ret < 0)
		undo->lost = true;
}

void pb_undo_clear(struct pb_undo *undo)
{
	for (size_t i = 0; i < undo->count; i++)
		panbind_bo_unref(undo->ops[i].bo);
	free(undo->ops);
	free(undo->of);
	*undo = (struct pb_undo)PB_UNDO_INIT(undo->vm, undo->keep);
}

/** The last op is undone first. Inverses of one op do not meet, so their order among themselves is free. */
static void reverse(struct pb_undo *undo)
{
	for (size_t i = 0, j = undo->count; i + 1 < j; i++) {
		j--;
		struct panbind_op op = undo->ops[i];
		uint32_t of = undo->of[i];
		undo->ops[i] = undo->ops[j];
		undo->of[i] = undo->of[j];
		undo->ops[j] = op;
		undo->of[j] = of;
	}
}

/** The inverse op at @at failed. What is behind it was not undone. */
static enum panbind_outcome give_up(struct pb_undo *undo, size_t at, bool unclear, int ret,
				    struct panbind_error *reterr)
{
	const struct panbind_op *op = &undo->ops[at];
	uint32_t of = undo->of[at];
	pb_error_at_op(reterr, ret, PANBIND_STAGE_ROLLBACK, of, op->va, op->size,
		       "the undo of op %u failed at 0x%llx+0x%llx: %s", of, (unsigned long long)op->va,
		       (unsigned long long)op->size, panbind_errno_name(ret));
	pb_vm_poison(undo->vm, "the undo of op %u failed at 0x%llx+0x%llx with %s", of, (unsigned long long)op->va,
		     (unsigned long long)op->size, panbind_errno_name(ret));
	return unclear || of == undo->unclear_op ? PANBIND_OUTCOME_UNKNOWN : PANBIND_OUTCOME_PARTIAL;
}

static enum panbind_outcome run_inverses(struct pb_undo *undo, struct panbind_error *reterr)
{
	struct panbind_batch batch = {.ops = undo->ops, .count = undo->count};
	size_t done;
	bool unclear;
	int ret = undo->keep ? 0 : pb_vm_reserve(undo->vm, undo->count);
	if (ret < 0)
		return give_up(undo, 0, false, ret, reterr);
	ret = pb_bind_sync(undo->vm, &batch, NULL, &done, &unclear, NULL);
	return ret < 0 ? give_up(undo, done, unclear, ret, reterr) : PANBIND_OUTCOME_ROLLED_BACK;
}

/** All that was known is put back; what was not has been displaced for good, and stays as the op left it. */
static enum panbind_outcome leave_blind(struct pb_undo *undo, struct panbind_error *reterr)
{
	unsigned long long va = undo->blind.va, size = undo->blind.size;
	pb_error_at_op(reterr, -ENODATA, PANBIND_STAGE_ROLLBACK, PANBIND_NO_OP, va, size,
		       "what 0x%llx+0x%llx mapped was not known, so it cannot be put back", va, size);
	pb_vm_poison(undo->vm, "a forced op displaced 0x%llx+0x%llx, of which it was not known what it mapped", va,
		     size);
	return PANBIND_OUTCOME_UNKNOWN;
}

int pb_undo_run(struct pb_undo *undo, enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	uint64_t map_generation = undo->map_generation;
	if (undo->lost) {
		pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_ROLLBACK, "no memory to undo a half-done op");
		pb_vm_poison(undo->vm, "there was no memory to undo a half-done op");
		outcome = PANBIND_OUTCOME_UNKNOWN;
	} else if (undo->count > 0) {
		reverse(undo);
		outcome = run_inverses(undo, reterr);
	}
	if (outcome == PANBIND_OUTCOME_ROLLED_BACK && undo->blind.size > 0)
		outcome = leave_blind(undo, reterr);
	if (outcome == PANBIND_OUTCOME_ROLLED_BACK)
		undo->vm->map_generation = map_generation;
	pb_undo_clear(undo);
	*ret_outcome = outcome;
	return outcome == PANBIND_OUTCOME_ROLLED_BACK ? 0 : -EUCLEAN;
}
