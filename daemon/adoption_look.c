/* SPDX-License-Identifier: MIT */
/*
 * What a program has bound by itself since the last look, as an entry of the log.
 *
 * Two lists of pieces are compared from both ends. What lies between the first difference and the last is unmapped and
 * mapped anew in the entry: a few ops too many at worst, and true whatever the program did.
 */
#include <errno.h>
#include <string.h>

#include "adoption.h"
#include "util.h"

static int add(struct pieces *pieces, const struct piece *piece)
{
	if (pieces->count == pieces->room) {
		size_t room = pieces->room ? 2 * pieces->room : 64;
		struct piece *grown = reallocarray(pieces->pieces, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		pieces->pieces = grown;
		pieces->room = room;
	}
	if (piece->bo)
		panbind_bo_ref(piece->bo);
	pieces->pieces[pieces->count++] = *piece;
	return 0;
}

static int add_mapping(struct pieces *pieces, const struct panbind_mapping *mapping)
{
	return add(pieces, &(struct piece){
				   .va = mapping->va,
				   .size = mapping->size,
				   .bo = mapping->bo,
				   .bo_offset = mapping->bo_offset,
				   .flags = mapping->sparse ? 0 : mapping->flags,
				   .type = mapping->sparse ? PANBIND_LOG_MAP_SPARSE : PANBIND_LOG_MAP,
			   });
}

static int add_unknown(struct pieces *pieces, uint64_t va, uint64_t size)
{
	return add(pieces, &(struct piece){.va = va, .size = size, .type = PANBIND_LOG_UNKNOWN});
}

/** Mappings and unknown ranges that touch the range, whole, in order of VA: they never overlap. */
int pieces_take(struct panbind_vm *vm, uint64_t va, uint64_t size, struct pieces *ret_pieces)
{
	uint64_t end = va + size, unknown_va = 0, unknown_size = 0;
	struct panbind_mapping mapping;
	bool mapped, unknown;
	int r = 0;

	do {
		mapped = panbind_vm_next_mapping(vm, va, &mapping) == 0 && mapping.va < end;
		unknown = panbind_vm_next_unknown(vm, va, &unknown_va, &unknown_size) == 0 && unknown_va < end;
		if (mapped && (!unknown || mapping.va < unknown_va)) {
			r = add_mapping(ret_pieces, &mapping);
			va = mapping.va + mapping.size;
		} else if (unknown) {
			r = add_unknown(ret_pieces, unknown_va, unknown_size);
			va = unknown_va + unknown_size;
		}
	} while (r == 0 && (mapped || unknown) && va < end);
	return r;
}

void pieces_free(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->count; i++)
		panbind_bo_unref(pieces->pieces[i].bo);
	free(pieces->pieces);
	*pieces = (struct pieces){0};
}

static bool is_same(const struct piece *a, const struct piece *b)
{
	return a->va == b->va && a->size == b->size && a->bo == b->bo && a->bo_offset == b->bo_offset &&
	       a->flags == b->flags && a->type == b->type;
}

/** What of both lists differs: [first, end_before) and [first, end_after). */
static void find_difference(const struct pieces *before, const struct pieces *after, size_t *ret_first,
			    size_t *ret_end_before, size_t *ret_end_after)
{
	size_t first = 0, end_before = before->count, end_after = after->count;

	while (first < end_before && first < end_after && is_same(&before->pieces[first], &after->pieces[first]))
		first++;
	while (end_before > first && end_after > first &&
	       is_same(&before->pieces[end_before - 1], &after->pieces[end_after - 1])) {
		end_before--;
		end_after--;
	}
	*ret_first = first;
	*ret_end_before = end_before;
	*ret_end_after = end_after;
}

static uint64_t end_of(const struct piece *piece)
{
	return piece->va + piece->size;
}

/** The range between the first difference and the last, or size 0. */
static void hull(const struct pieces *before, const struct pieces *after, size_t first, size_t end_before,
		 size_t end_after, uint64_t *ret_va, uint64_t *ret_size)
{
	uint64_t va = UINT64_MAX, end = 0;

	if (first < end_before) {
		va = before->pieces[first].va;
		end = end_of(&before->pieces[end_before - 1]);
	}
	if (first < end_after) {
		va = after->pieces[first].va < va ? after->pieces[first].va : va;
		end = end_of(&after->pieces[end_after - 1]) > end ? end_of(&after->pieces[end_after - 1]) : end;
	}
	*ret_va = va;
	*ret_size = end > va ? end - va : 0;
}

static void fill_op(struct engine *engine, const char *vm, const struct piece *piece, struct panbind_log_op *op)
{
	*op = (struct panbind_log_op){
		.type = piece->type,
		.flags = piece->flags,
		.vm = {.name = vm},
		.bo = {.name = piece->bo ? panbind_session_bo_name(engine->session, piece->bo) : NULL},
		.va = piece->va,
		.size = piece->size,
		.bo_offset = piece->bo_offset,
	};
	if (op->type == PANBIND_LOG_MAP && !op->bo.name) /* its name was given up: it can be held, but not told */
		*op = (struct panbind_log_op){
			.type = PANBIND_LOG_UNKNOWN, .vm = {.name = vm}, .va = piece->va, .size = piece->size};
}

int pieces_record(struct record *record, const char *vm, const struct pieces *before, const struct pieces *after,
		  const char *comment)
{
	size_t first, end_before, end_after, count;
	struct engine *engine = record->engine;
	struct panbind_log_op clear = {.type = PANBIND_LOG_UNMAP, .vm = {.name = vm}};

	find_difference(before, after, &first, &end_before, &end_after);
	hull(before, after, first, end_before, end_after, &clear.va, &clear.size);
	if (clear.size == 0)
		return 0;
	count = end_after - first + 1;
	if (engine_make_op_room(engine, count) < 0)
		return record->error.code = -ENOMEM;
	engine->ops[0] = clear;
	for (size_t i = first; i < end_after; i++)
		fill_op(engine, vm, &after->pieces[i], &engine->ops[i - first + 1]);
	return record_ops(record, engine->ops, count, comment);
}
