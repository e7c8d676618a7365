/* SPDX-License-Identifier: MIT */
/*
 * The state at a sequence number: the objects that were alive then, and the snapshot with all later entries up to that
 * one folded over it. What is alive comes from the table of objects alone; the fold knows mappings only.
 */
#include <errno.h>

#include "log.h"

int pb_state_bounds(sqlite3 *db, uint64_t *ret_oldest, uint64_t *ret_last)
{
	struct pb_snapshot_place place;
	int64_t last = 0;
	int err = pb_snapshot_place(db, &place);

	if (err == 0)
		err = pb_log_get_int(db, "SELECT max(seq) FROM entry", (int64_t)place.seq, &last);
	if (err < 0)
		return err;
	/* An entry that is half in the snapshot already has no state before it any more. */
	*ret_oldest = place.seq + (place.ops ? 1 : 0);
	*ret_last = (uint64_t)last;
	return 0;
}

static int fold_entries(sqlite3 *db, struct panbind_log_state *state, const struct pb_snapshot_place *place)
{
	struct pb_scan *scan;
	const struct pb_row *row;
	int err = pb_scan_open(db, PB_SCAN_LEAN, &scan);

	if (err < 0)
		return err;
	err = pb_scan_start(scan, place->seq + 1, state->seq);
	while (err == 0 && (err = pb_scan_next(scan, &row)) == 1)
		err = pb_fold_row(&state->fold, row, row->entry.seq == place->seq + 1 ? place->ops : 0);
	pb_scan_close(scan);
	return err;
}

static void describe(struct panbind_log_state *state, const struct pb_object *object,
		     struct panbind_log_state_object *ret_shown)
{
	*ret_shown = (struct panbind_log_state_object){
		.created_seq = object->created_seq,
		.lost_seq = object->lost_seq <= state->seq ? object->lost_seq : 0,
		.destroyed_seq = pb_object_alive(object, state->seq) ? 0 : object->destroyed_seq,
	};
	pb_object_describe(&state->objects, object, &ret_shown->object);
}

/* A BO belongs to the state when it is alive, or dead and still mapped. */
static void mark_mapped(struct panbind_log_state *state)
{
	struct pb_piece piece;

	for (size_t i = 0; i < state->fold.count; i++) {
		const struct pb_pieces *pieces = state->fold.vms[i]->pieces;

		for (uint64_t va = 0; pb_pieces_next(pieces, va, &piece) == 0; va = piece.va + piece.size) {
			struct pb_object *bo = piece.bo ? pb_objects_by_id(&state->objects, piece.bo) : NULL;

			if (bo)
				bo->mapped = true;
		}
	}
}

static bool is_shown(const struct panbind_log_state *state, const struct pb_object *object)
{
	if (object->kind == PB_OBJECT_BO && (object->mapped || state->fold.only))
		return object->mapped;
	if (state->fold.only && object->id != state->fold.only)
		return false;
	return pb_object_alive(object, state->seq);
}

static int list_objects(struct panbind_log_state *state)
{
	size_t n = state->objects.count;

	state->vms = calloc(n + 1, sizeof(*state->vms));
	state->bos = calloc(n + 1, sizeof(*state->bos));
	state->vm_ids = calloc(n + 1, sizeof(*state->vm_ids));
	state->bo_ids = calloc(n + 1, sizeof(*state->bo_ids));
	if (!state->vms || !state->bos || !state->vm_ids || !state->bo_ids)
		return -ENOMEM;
	mark_mapped(state);
	for (size_t i = 0; i < n; i++) {
		const struct pb_object *object = state->objects.list[i];

		if (!is_shown(state, object))
			continue;
		if (object->kind == PB_OBJECT_VM) {
			state->vm_ids[state->vm_count] = object->id;
			describe(state, object, &state->vms[state->vm_count++]);
		} else {
			state->bo_ids[state->bo_count] = object->id;
			describe(state, object, &state->bos[state->bo_count++]);
		}
	}
	return 0;
}

/* The VM asked for, among those alive at that seq. */
static int select_vm(struct panbind_log_state *state, struct panbind_log_ref vm, struct panbind_error *reterr)
{
	struct pb_objects *objects = &state->objects;

	if (!vm.name)
		return 0;
	for (size_t i = objects->count; i-- > 0;) {
		const struct pb_object *object = objects->list[i];

		if (object->kind != PB_OBJECT_VM || !pb_object_alive(object, state->seq) ||
		    (vm.generation && vm.generation != object->generation) || strcmp(object->name, vm.name) != 0)
			continue;
		state->fold.only = object->id;
		return 0;
	}
	return pb_log_error(reterr, -ENOENT, "no VM %s is alive at entry %llu of the log", vm.name,
			    (unsigned long long)state->seq);
}

static int check_seq(sqlite3 *db, uint64_t seq, uint64_t *ret_seq, struct panbind_error *reterr)
{
	uint64_t oldest, last;
	int err = pb_state_bounds(db, &oldest, &last);

	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log: %s", sqlite3_errmsg(db));
	if (seq == UINT64_MAX)
		seq = last;
	if (seq > last)
		return pb_log_error(reterr, -ERANGE, "the log ends at entry %llu", (unsigned long long)last);
	if (seq < oldest)
		return pb_log_error(reterr, -ENODATA, "entries before %llu are compacted: no state that far back",
				    (unsigned long long)oldest + 1);
	*ret_seq = seq;
	return 0;
}

static int build(sqlite3 *db, struct panbind_log_state *state, struct panbind_log_ref vm, struct panbind_error *reterr)
{
	struct pb_snapshot_place place = {0};
	int err = pb_objects_load(&state->objects, db, 0);

	if (err == 0)
		err = pb_snapshot_place(db, &place);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log: %s", sqlite3_errmsg(db));
	err = select_vm(state, vm, reterr);
	if (err < 0)
		return err;
	err = pb_snapshot_load(db, &place, &state->objects, &state->fold);
	if (err == 0)
		err = fold_entries(db, state, &place);
	if (err == 0)
		err = list_objects(state);
	return err < 0 ? pb_log_error(reterr, err, "cannot fold the log: %s", panbind_errno_name(err)) : 0;
}

int pb_state_create(sqlite3 *db, uint64_t seq, struct panbind_log_ref vm, struct panbind_log_state **ret_state,
		    struct panbind_error *reterr)
{
	struct panbind_log_state *state;
	int err = check_seq(db, seq, &seq, reterr);

	if (err < 0)
		return err;
	state = calloc(1, sizeof(*state));
	if (!state)
		return pb_log_error(reterr, -ENOMEM, "no memory for a state");
	state->seq = seq;
	pb_objects_init(&state->objects);
	pb_fold_init(&state->fold, 0);
	err = build(db, state, vm, reterr);
	if (err < 0) {
		panbind_log_state_destroy(state);
		return err;
	}
	*ret_state = state;
	return 0;
}

int panbind_log_state_create(struct panbind_log *log, uint64_t seq, struct panbind_log_ref vm,
			     struct panbind_log_state **ret_state, struct panbind_error *reterr)
{
	pb_autodb sqlite3 *db = NULL;
	int err = pb_schema_connect_reader(log->path, &db, reterr);

	if (err < 0)
		return err;
	err = pb_log_exec(db, "BEGIN");
	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log: %s", sqlite3_errmsg(db));
	return pb_state_create(db, seq, vm, ret_state, reterr);
}

void panbind_log_state_destroy(struct panbind_log_state *state)
{
	if (!state)
		return;
	pb_fold_free(&state->fold);
	pb_objects_free(&state->objects);
	free(state->vms);
	free(state->bos);
	free(state->vm_ids);
	free(state->bo_ids);
	free(state);
}

uint64_t panbind_log_state_seq(const struct panbind_log_state *state)
{
	return state->seq;
}

const struct panbind_log_state_object *panbind_log_state_vm(const struct panbind_log_state *state, size_t index)
{
	return index < state->vm_count ? &state->vms[index] : NULL;
}

const struct panbind_log_state_object *panbind_log_state_bo(const struct panbind_log_state *state, size_t index)
{
	return index < state->bo_count ? &state->bos[index] : NULL;
}

static const struct pb_fold_vm *fold_vm(const struct panbind_log_state *state, size_t vm_index)
{
	return vm_index < state->vm_count ? pb_fold_find_vm(&state->fold, state->vm_ids[vm_index]) : NULL;
}

/* Sparse pieces in a row are one mapping; the latest of them names the entry. */
static void join_sparse(const struct pb_pieces *pieces, struct pb_piece *inout_piece)
{
	struct pb_piece next;

	while (inout_piece->bo == 0 && pb_pieces_next(pieces, inout_piece->va + inout_piece->size, &next) == 0 &&
	       pb_piece_continues(inout_piece, &next)) {
		inout_piece->size += next.size;
		if (next.seq > inout_piece->seq)
			inout_piece->seq = next.seq;
	}
}

/* A sparse mapping that @va stands in begins before the piece that @va stands in. */
static void join_sparse_left(const struct pb_pieces *pieces, struct pb_piece *inout_piece)
{
	struct pb_piece before;

	while (inout_piece->bo == 0 && inout_piece->va > 0 &&
	       pb_pieces_next(pieces, inout_piece->va - 1, &before) == 0 && before.va < inout_piece->va &&
	       pb_piece_continues(&before, inout_piece)) {
		before.size += inout_piece->size;
		if (inout_piece->seq > before.seq)
			before.seq = inout_piece->seq;
		*inout_piece = before;
	}
}

int panbind_log_state_next_mapping(const struct panbind_log_state *state, size_t vm_index, uint64_t va,
				   struct panbind_log_mapping *ret_mapping)
{
	const struct pb_fold_vm *vm = fold_vm(state, vm_index);
	struct pb_objects *objects = (struct pb_objects *)&state->objects; /* its search remembers what it found last */
	struct pb_piece piece;

	if (!vm || pb_pieces_next(vm->pieces, va, &piece) < 0)
		return -ENOENT;
	join_sparse_left(vm->pieces, &piece);
	join_sparse(vm->pieces, &piece);
	*ret_mapping = (struct panbind_log_mapping){
		.va = piece.va,
		.size = piece.size,
		.bo_offset = piece.bo_offset,
		.bo = pb_object_ref(piece.bo ? pb_objects_by_id(objects, piece.bo) : NULL),
		.flags = piece.flags,
		.seq = piece.seq,
	};
	return 0;
}

size_t panbind_log_state_mapping_count(const struct panbind_log_state *state, size_t vm_index)
{
	struct panbind_log_mapping mapping;
	size_t count = 0;

	for (uint64_t va = 0; panbind_log_state_next_mapping(state, vm_index, va, &mapping) == 0; count++)
		va = mapping.va + mapping.size;
	return count;
}

int panbind_log_state_next_region(const struct panbind_log_state *state, size_t vm_index, uint64_t va, uint64_t *ret_va,
				  uint64_t *ret_size)
{
	const struct pb_fold_vm *vm = fold_vm(state, vm_index);

	for (size_t i = 0; vm && i < vm->region_count; i++) {
		if (vm->regions[i].va + vm->regions[i].size <= va)
			continue;
		*ret_va = vm->regions[i].va;
		*ret_size = vm->regions[i].size;
		return 0;
	}
	return -ENOENT;
}
