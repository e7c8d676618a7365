/* SPDX-License-Identifier: MIT */
/*
 * What the files of states share.
 *
 * state.c           the dump of a session      state_value.c   a state: made, filled, read off a VM
 * state_match.c     which BOs are the same     state_diff.c    the walk over two states
 * state_ops.c       ops, and running them      state_script.c  the script that brings a state about
 */
#ifndef PB_STATE_H
#define PB_STATE_H

#include "internal.h"

#define PB_STATE_NO_MATCH UINT32_MAX

/** One range of a state. Neighbours never continue each other. */
struct pb_state_piece {
	uint64_t va, size, bo_offset;
	uint32_t bo; /* index, or PANBIND_STATE_SPARSE */
	uint32_t flags;
};

struct panbind_state {
	struct pb_state_piece *pieces;
	size_t count, room;
	struct panbind_state_bo *bos; /* names are the state's, objects are counted */
	size_t bo_count, bo_room;
	struct pb_region *regions;
	size_t region_count, region_room;
};

static inline uint64_t pb_piece_end(const struct pb_state_piece *piece)
{
	return piece->va + piece->size;
}

static inline uint64_t pb_region_end(const struct pb_region *region)
{
	return region->va + region->size;
}

/** Index of the first piece that ends after @va. */
size_t pb_state_first(const struct panbind_state *state, uint64_t va);
/** Nothing is mapped in [va, end). */
bool pb_state_is_hole(const struct panbind_state *state, uint64_t va, uint64_t end);

void pb_statep_destroy(struct panbind_state **state);
void pb_state_diffp_destroy(struct panbind_state_diff **diff);

/* ---- state_match.c ---- */

/** For each BO of one state, its index in the other, or PB_STATE_NO_MATCH. */
struct pb_state_match {
	uint32_t *from_of_to, *to_of_from;
};

int pb_state_match_begin(const struct panbind_state *from, const struct panbind_state *to,
			 struct pb_state_match *ret_match);
void pb_state_match_end(struct pb_state_match *match);
/** The same BO? Pairs up two that nobody can name, when neither has a partner yet. */
bool pb_state_match(struct pb_state_match *match, const struct panbind_state *from, uint32_t from_bo,
		    const struct panbind_state *to, uint32_t to_bo);

/* ---- state_diff.c ---- */

struct panbind_state_diff {
	const struct panbind_state *from, *to;
	struct pb_state_match match;
	struct panbind_state_difference *items;
	size_t count, room;
	struct panbind_state_op *ops;
	size_t op_count, op_room;
};

/* ---- state_ops.c ---- */

/** Fill diff->ops from diff->items. 0 or -ENOMEM. */
int pb_state_ops_build(struct panbind_state_diff *diff);

#endif /* PB_STATE_H */
