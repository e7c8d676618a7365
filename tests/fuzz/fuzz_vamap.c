/* SPDX-License-Identifier: MIT */
/*
 * The map of live mappings against a model of single pages, ops taken from the input.
 *
 * Each record of eight bytes is one op. Besides single maps and unmaps there are runs of one-page maps, so that short
 * inputs reach trees of several levels. The tree's invariants are checked after every op, the contents now and then and
 * at the end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "page_model.h"

#define PAGES	   8192u
#define BASE	   UINT64_C(0x400000)
#define MAX_OPS	   400
#define COMPARE_AT 32

struct record {
	uint8_t kind, detail;
	uint16_t page, pages, bo_page;
};

struct fuzz {
	struct pb_vamap *map;
	struct page_model *model;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "fuzz_vamap: %s\n", what);
	abort();
}

static void demand_same(const struct fuzz *fuzz)
{
	const char *difference = model_difference(fuzz->model, fuzz->map);

	demand(difference == NULL, difference);
}

/* The record's range, moved and cut so that it lies in the model. */
static struct pb_range range_of(const struct record *record)
{
	uint64_t page = record->page % PAGES, pages = 1 + record->pages % (PAGES / 4);
	struct pb_range range = {.va = BASE + page * MODEL_PAGE};

	if (pages > PAGES - page)
		pages = PAGES - page;
	range.size = pages * MODEL_PAGE;
	return range;
}

static void set(struct fuzz *fuzz, struct pb_range range, const struct record *record)
{
	if (record->detail % 4 == 0) {
		range.flags = record->detail / 4 % 2;
	} else {
		range.bo = model_bo(record->detail % MODEL_BOS);
		range.bo_offset = record->bo_page * MODEL_PAGE;
		range.flags = record->detail / 4 % 8;
	}
	demand(pb_vamap_set(fuzz->map, &range) == 0, "a set failed");
	model_set(fuzz->model, &range);
}

static void clear(struct fuzz *fuzz, const struct pb_range *range)
{
	demand(pb_vamap_clear(fuzz->map, range->va, range->size) == 0, "a clear failed");
	model_clear(fuzz->model, range->va, range->size);
}

/* One page after the other, up, down, or every other one. */
static void set_run(struct fuzz *fuzz, const struct record *record, unsigned int step, int down)
{
	struct pb_range range = range_of(record);
	uint64_t count = range.size / MODEL_PAGE / step;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t at = (down ? count - 1 - i : i) * step;
		struct pb_range one = {.va = range.va + at * MODEL_PAGE, .size = MODEL_PAGE};

		set(fuzz, one, record);
	}
}

struct cut {
	uint64_t at, end;
	size_t count;
};

static int see_piece(void *data, const struct pb_range *piece)
{
	struct cut *cut = data;

	demand(piece->va >= cut->at && piece->va + piece->size <= cut->end, "a piece lies outside its range");
	cut->at = piece->va + piece->size;
	cut->count++;
	return 0;
}

static void look(const struct fuzz *fuzz, const struct pb_range *range)
{
	struct cut cut = {range->va, range->va + range->size, 0};
	size_t overlaps = pb_vamap_overlaps(fuzz->map, range->va, range->size);

	demand(overlaps == model_overlaps(fuzz->model, range->va, range->size), "overlaps counts wrong");
	demand(pb_vamap_pieces(fuzz->map, range->va, range->size, see_piece, &cut) == 0, "pieces failed");
	demand(cut.count == overlaps, "pieces and overlaps differ");
}

static void run(struct fuzz *fuzz, const struct record *record)
{
	struct pb_range range = range_of(record);

	switch (record->kind % 8) {
	case 0:
	case 1:
		set(fuzz, range, record);
		break;
	case 2:
		clear(fuzz, &range);
		break;
	case 3:
		set_run(fuzz, record, 1, 0);
		break;
	case 4:
		set_run(fuzz, record, 1, 1);
		break;
	case 5:
		set_run(fuzz, record, 2, record->kind & 0x80);
		break;
	case 6:
		look(fuzz, &range);
		break;
	case 7:
		demand(pb_vamap_reserve(fuzz->map, record->pages % 512) == 0, "a reservation failed");
		break;
	}
	demand(pb_vamap_check(fuzz->map) == 0, "the tree is unsound");
}

static struct record decode(const uint8_t *data)
{
	return (struct record){
		.kind = data[0],
		.detail = data[1],
		.page = (uint16_t)(data[2] | data[3] << 8),
		.pages = (uint16_t)(data[4] | data[5] << 8),
		.bo_page = (uint16_t)(data[6] | data[7] << 8),
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {.model = model_create(BASE, PAGES)};
	size_t ops = 0;

	if (pb_vamap_create(model_bo_get, model_bo_put, &fuzz.map) < 0)
		abort();
	for (; size >= 8 && ops < MAX_OPS; data += 8, size -= 8) {
		struct record record = decode(data);

		run(&fuzz, &record);
		if (++ops % COMPARE_AT == 0)
			demand_same(&fuzz);
	}
	demand_same(&fuzz);
	pb_vamap_destroy(fuzz.map);
	model_destroy(fuzz.model);
	demand(model_bo_refs() == 0, "references are left");
	return 0;
}
