/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bind_room.h"

void room_open(struct room *room, int minor)
{
	fake_start(&room->fake, minor);
	room->device = fake_device(&room->fake);
	assert_int_equal(panbind_vm_create(room->device, 0, &room->vm, NULL), 0);
	assert_int_equal(panbind_bo_create(room->device, 64 << 20, 0, NULL, &room->bo, NULL), 0);
	assert_int_equal(panbind_bo_handle(room->bo), 1);
	assert_int_equal(panbind_batch_create(&room->batch), 0);
	room->error = (struct panbind_error){0};
}

void room_close(struct room *room)
{
	fake_done(&room->fake);
	panbind_batch_destroy(room->batch);
	panbind_vm_destroy(room->vm);
	panbind_bo_unref(room->bo);
	panbind_device_unref(room->device);
	assert_int_equal(room->fake.handles, 0);
	assert_true(room->fake.closed);
}

void room_map(struct room *room, uint64_t at, uint64_t offset)
{
	assert_int_equal(panbind_batch_map(room->batch, at * PAGE, PAGE, room->bo, offset * PAGE, 0, NULL), 0);
}

void room_map_many(struct room *room, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		room_map(room, 16 + i, i);
}

void room_map_now(struct room *room, uint64_t at, uint64_t count, uint64_t offset)
{
	FAKE_EXPECT(&room->fake, FAKE_BIND(1, 0, FAKE_UNTOUCHED));
	assert_int_equal(panbind_vm_map(room->vm, at * PAGE, count * PAGE, room->bo, offset * PAGE, 0, NULL), 0);
}

void room_assert_shadow(struct room *room, const struct piece *pieces)
{
	struct panbind_mapping m = {0};
	for (; pieces->count > 0; pieces++) {
		assert_int_equal(panbind_vm_next_mapping(room->vm, m.va + m.size, &m), 0);
		assert_int_equal(m.va, pieces->at * PAGE);
		assert_int_equal(m.size, pieces->count * PAGE);
		assert_int_equal(m.sparse, pieces->offset == SPARSE);
		assert_ptr_equal(m.bo, m.sparse ? NULL : room->bo);
		assert_int_equal(m.bo_offset, m.sparse ? 0 : pieces->offset * PAGE);
	}
	assert_int_equal(panbind_vm_next_mapping(room->vm, m.va + m.size, &m), -ENOENT);
}
