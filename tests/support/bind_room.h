/* SPDX-License-Identifier: MIT */
/*
 * A VM on a fake device with one BO, and words for what tests of binding say: ops as the driver gets them, the shadow
 * as a list.
 */
#ifndef TEST_BIND_ROOM_H
#define TEST_BIND_ROOM_H

#include "fake_backend.h"
#include "internal.h"

#define PAGE  ((uint64_t)PANBIND_PAGE_SIZE)
#define BLOCK ((uint64_t)PANBIND_SPARSE_BLOCK)

struct room {
	struct fake fake;
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bo; /* handle 1, 64 MiB */
	struct panbind_batch *batch;
	struct panbind_error error;
};

void room_open(struct room *room, int minor);
/** Asserts that all declared calls came and that every GEM handle was closed. */
void room_close(struct room *room);

/** Add a map of one page at page number @at, backed by page @offset of the BO. */
void room_map(struct room *room, uint64_t at, uint64_t offset);
/** @count pages from page 16 on, backed by the BO's first pages. */
void room_map_many(struct room *room, uint64_t count);
/** Map pages [at, at + count) to offset pages [offset, ...) at once, now, with a plain answer. */
void room_map_now(struct room *room, uint64_t at, uint64_t count, uint64_t offset);

/** What the shadow must be, in pages; an entry of 0 pages ends it. offset SPARSE: a sparse range. */
struct piece {
	uint64_t at, count, offset;
};
#define SPARSE UINT64_MAX
void room_assert_shadow(struct room *room, const struct piece *pieces);
#define ASSERT_SHADOW(room, ...) room_assert_shadow(room, (const struct piece[]){__VA_ARGS__ __VA_OPT__(, ){0}})

#define ASSERT_ERROR(room, code_, stage_, op_)                                 \
	do {                                                                   \
		assert_int_equal((room)->error.code, code_);                   \
		assert_int_equal((room)->error.stage, PANBIND_STAGE_##stage_); \
		assert_int_equal((room)->error.op, op_);                       \
	} while (0)

/** Driver ops, in pages. */
#define DRIVER_MAP(at, count, offset)                                                                                 \
	{                                                                                                             \
		.flags = PB_OP_MAP, .bo_handle = 1, .bo_offset = (offset)*PAGE, .va = (at)*PAGE, .size = (count)*PAGE \
	}
#define DRIVER_UNMAP(at, count)                                             \
	{                                                                   \
		.flags = PB_OP_UNMAP, .va = (at)*PAGE, .size = (count)*PAGE \
	}

#endif /* TEST_BIND_ROOM_H */
