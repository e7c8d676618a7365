/* SPDX-License-Identifier: MIT */
/*
 * Pieces: the mappings of one VM as a sorted array that is cut into blocks, so that an insertion moves some hundred
 * pieces at most and a search touches two arrays. A million pieces are a few thousand blocks; that is all the tree that
 * is needed to fold a million ops in well under a second.
 *
 * Blocks are never empty. A piece that a later one covers in part is cut; pieces are not joined, as the driver does not
 * join them.
 */
#include <errno.h>

#include "log.h"

#define BLOCK_ROOM 256

struct block {
	uint32_t count;
	struct pb_piece piece[BLOCK_ROOM];
};

struct pb_pieces {
	struct block **blocks;
	uint64_t *firsts; /* firsts[i]: va of the first piece of block i, close together for the search */
	size_t block_count, room;
	size_t count;
};

/** A place in the array: the piece there is blocks[block]->piece[index]; block == block_count is the end. */
struct place {
	size_t block;
	uint32_t index;
};

int pb_pieces_create(struct pb_pieces **ret_pieces)
{
	struct pb_pieces *pieces = calloc(1, sizeof(*pieces));

	if (!pieces)
		return -ENOMEM;
	*ret_pieces = pieces;
	return 0;
}

void pb_pieces_destroy(struct pb_pieces *pieces)
{
	if (!pieces)
		return;
	for (size_t i = 0; i < pieces->block_count; i++)
		free(pieces->blocks[i]);
	free(pieces->blocks);
	free(pieces->firsts);
	free(pieces);
}

size_t pb_pieces_count(const struct pb_pieces *pieces)
{
	return pieces->count;
}

static uint64_t end_of(const struct pb_piece *piece)
{
	return piece->va + piece->size;
}

/* The last block that begins at or below va, or 0. */
static size_t block_of(const struct pb_pieces *pieces, uint64_t va)
{
	size_t low = 0, high = pieces->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pieces->firsts[middle] <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : 0;
}

/* The first piece that ends after va. */
static struct place find(const struct pb_pieces *pieces, uint64_t va)
{
	struct place place = {.block = block_of(pieces, va)};
	const struct block *block;
	uint32_t low = 0, high;

	if (pieces->block_count == 0)
		return place;
	block = pieces->blocks[place.block];
	high = block->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (end_of(&block->piece[middle]) <= va)
			low = middle + 1;
		else
			high = middle;
	}
	place.index = low;
	if (low == block->count)
		place = (struct place){.block = place.block + 1};
	return place;
}

static struct pb_piece *at(const struct pb_pieces *pieces, struct place place)
{
	return place.block < pieces->block_count ? &pieces->blocks[place.block]->piece[place.index] : NULL;
}

static int insert_block(struct pb_pieces *pieces, size_t at_block, struct block *block)
{
	size_t after = pieces->block_count - at_block;

	if (pieces->block_count == pieces->room) {
		size_t room = pieces->room ? pieces->room * 2 : 8;
		struct block **blocks = realloc(pieces->blocks, room * sizeof(struct block *));
		uint64_t *firsts;

		if (!blocks)
			return -ENOMEM;
		pieces->blocks = blocks;
		firsts = realloc(pieces->firsts, room * sizeof(*firsts));
		if (!firsts)
			return -ENOMEM;
		pieces->firsts = firsts;
		pieces->room = room;
	}
	memmove(&pieces->blocks[at_block + 1], &pieces->blocks[at_block], after * sizeof(struct block *));
	memmove(&pieces->firsts[at_block + 1], &pieces->firsts[at_block], after * sizeof(*pieces->firsts));
	pieces->blocks[at_block] = block;
	pieces->firsts[at_block] = block->count ? block->piece[0].va : 0;
	pieces->block_count++;
	return 0;
}

/* A full block becomes two. One that is full from appending stays full, so that rising addresses fill blocks wholly. */
static int split(struct pb_pieces *pieces, struct place *place)
{
	struct block *left = pieces->blocks[place->block], *right = calloc(1, sizeof(*right));
	bool appending = place->index == left->count && place->block + 1 == pieces->block_count;
	uint32_t keep = appending ? left->count : left->count / 2;

	if (!right)
		return -ENOMEM;
	right->count = left->count - keep;
	memcpy(right->piece, &left->piece[keep], right->count * sizeof(*right->piece));
	if (insert_block(pieces, place->block + 1, right) < 0) {
		free(right);
		return -ENOMEM;
	}
	left->count = keep;
	if (place->index > keep || appending)
		*place = (struct place){place->block + 1, place->index - keep};
	return 0;
}

/* Insert before place. */
static int insert(struct pb_pieces *pieces, struct place place, const struct pb_piece *piece)
{
	struct block *block;

	if (pieces->block_count == 0) {
		block = calloc(1, sizeof(*block));
		if (!block)
			return -ENOMEM;
		if (insert_block(pieces, 0, block) < 0) {
			free(block);
			return -ENOMEM;
		}
	}
	if (place.block == pieces->block_count) /* behind the last piece */
		place = (struct place){pieces->block_count - 1, pieces->blocks[pieces->block_count - 1]->count};
	if (pieces->blocks[place.block]->count == BLOCK_ROOM && split(pieces, &place) < 0)
		return -ENOMEM;
	block = pieces->blocks[place.block];
	memmove(&block->piece[place.index + 1], &block->piece[place.index],
		(block->count - place.index) * sizeof(*block->piece));
	block->piece[place.index] = *piece;
	block->count++;
	pieces->firsts[place.block] = block->piece[0].va;
	pieces->count++;
	return 0;
}

static void remove_blocks(struct pb_pieces *pieces, size_t from, size_t count)
{
	size_t after = pieces->block_count - from - count;

	for (size_t i = from; i < from + count; i++) {
		pieces->count -= pieces->blocks[i]->count;
		free(pieces->blocks[i]);
	}
	memmove(&pieces->blocks[from], &pieces->blocks[from + count], after * sizeof(struct block *));
	memmove(&pieces->firsts[from], &pieces->firsts[from + count], after * sizeof(*pieces->firsts));
	pieces->block_count -= count;
}

static void remove_in_block(struct pb_pieces *pieces, struct place place, uint32_t count)
{
	struct block *block = pieces->blocks[place.block];

	memmove(&block->piece[place.index], &block->piece[place.index + count],
		(block->count - place.index - count) * sizeof(*block->piece));
	block->count -= count;
	pieces->count -= count;
	if (block->count == 0)
		remove_blocks(pieces, place.block, 1);
	else
		pieces->firsts[place.block] = block->piece[0].va;
}

/* Remove the pieces from place on that end at or below end. Whole blocks go at once: an unmap of everything is cheap.
 */
static void remove_inside(struct pb_pieces *pieces, struct place place, uint64_t end)
{
	size_t whole;

	while (place.block < pieces->block_count) {
		struct block *block = pieces->blocks[place.block];
		uint32_t last = place.index;

		while (last < block->count && end_of(&block->piece[last]) <= end)
			last++;
		if (last == place.index)
			return;
		if (last < block->count) {
			remove_in_block(pieces, place, last - place.index);
			return;
		}
		if (place.index > 0) {
			remove_in_block(pieces, place, last - place.index);
			place = (struct place){.block = place.block + 1};
			continue;
		}
		for (whole = 1; place.block + whole < pieces->block_count; whole++) {
			const struct block *next = pieces->blocks[place.block + whole];

			if (end_of(&next->piece[next->count - 1]) > end)
				break;
		}
		remove_blocks(pieces, place.block, whole);
	}
}

static struct pb_piece cut_left(const struct pb_piece *piece, uint64_t va)
{
	struct pb_piece rest = *piece;

	rest.va = va;
	rest.size = end_of(piece) - va;
	if (piece->bo)
		rest.bo_offset += va - piece->va;
	return rest;
}

int pb_pieces_clear(struct pb_pieces *pieces, uint64_t va, uint64_t size)
{
	uint64_t end = va + size;
	struct place place = find(pieces, va);
	struct pb_piece *piece = at(pieces, place);

	if (!piece || piece->va >= end)
		return 0;
	if (piece->va < va && end_of(piece) > end) { /* a hole in the middle of one */
		struct pb_piece right = cut_left(piece, end);
		uint64_t left = va - piece->va;
		int err = insert(pieces, (struct place){place.block, place.index + 1}, &right);

		if (err == 0)
			at(pieces, find(pieces, va - 1))->size = left;
		return err;
	}
	if (piece->va < va) {
		piece->size = va - piece->va;
		place = find(pieces, va);
	}
	remove_inside(pieces, place, end);
	place = find(pieces, va);
	piece = at(pieces, place);
	if (piece && piece->va < end) {
		*piece = cut_left(piece, end);
		pieces->firsts[place.block] = pieces->blocks[place.block]->piece[0].va;
	}
	return 0;
}

int pb_pieces_set(struct pb_pieces *pieces, const struct pb_piece *piece)
{
	struct place place = find(pieces, piece->va);
	struct pb_piece *there = at(pieces, place);
	int err;

	if (there && there->va == piece->va && there->size == piece->size) { /* the common remap */
		*there = *piece;
		return 0;
	}
	if (there && there->va < piece->va + piece->size) {
		err = pb_pieces_clear(pieces, piece->va, piece->size);
		if (err < 0)
			return err;
		place = find(pieces, piece->va);
	}
	return insert(pieces, place, piece);
}

int pb_pieces_next(const struct pb_pieces *pieces, uint64_t va, struct pb_piece *ret_piece)
{
	const struct pb_piece *piece = at(pieces, find(pieces, va));

	if (!piece)
		return -ENOENT;
	*ret_piece = *piece;
	return 0;
}
