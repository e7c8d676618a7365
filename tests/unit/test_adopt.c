/* SPDX-License-Identifier: MIT */
/*
 * VMs that a program has made: what is known of them, what may be done to them, what a rollback can and cannot bring
 * back. The program works with plain ioctls on its open file; the simulator's page tables tell what became of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "sim_rig.h"

#define K	 UINT64_C(1024)
#define VA	 (UINT64_C(16) << 20)
#define ALL_OF	 0
#define NEVER_AT (UINT64_C(1) << 40)

/* A program with a VM that maps 64 KiB of its BO at VA, and somebody else with an open file of his own. */
static struct room {
	struct panbind_device *program, *home;
	struct pb_file *file; /* the program's */
	uint32_t id, bo;
	struct panbind_vm *vm;
	struct panbind_bo *page;
	struct panbind_batch *batch;
	struct panbind_error error;
	enum panbind_outcome outcome;
} room;

static int setup(void **state)
{
	room = (struct room){.error.op = PANBIND_NO_OP};
	assert_int_equal(panbind_device_open("sim:name=adopt", &room.program, NULL), 0);
	assert_int_equal(panbind_device_open("sim:name=adopt", &room.home, NULL), 0);
	room.file = room.program->file;
	room.id = rig_vm(room.file);
	room.bo = rig_bo(room.file, 256 * K);
	assert_int_equal(rig_bind(room.file, room.id, rig_map(VA, 64 * K, room.bo, 16 * K, PB_OP_READONLY)), 0);
	assert_int_equal(panbind_bo_create(room.home, 64 * K, 0, NULL, &room.page, NULL), 0);
	assert_int_equal(panbind_batch_create(&room.batch), 0);
	return 0;
}

static int teardown(void **state)
{
	panbind_vm_destroy(room.vm);
	panbind_batch_destroy(room.batch);
	panbind_bo_unref(room.page);
	panbind_device_unref(room.program);
	panbind_device_unref(room.home);
	return 0;
}

static void adopt(void)
{
	assert_int_equal(panbind_vm_adopt(room.program, room.id, 0, &room.vm, &room.error), 0);
}

static struct panbind_sight look(uint64_t va, uint64_t size)
{
	const struct panbind_look options = {.home = room.home, .va = va, .size = size};
	struct panbind_sight sight;

	assert_int_equal(panbind_vm_look(room.vm, &options, &sight, &room.error), 0);
	return sight;
}

static struct panbind_mapping mapping_at(uint64_t va)
{
	struct panbind_mapping mapping;

	assert_int_equal(panbind_vm_next_mapping(room.vm, va, &mapping), 0);
	return mapping;
}

static int run(void)
{
	int ret = panbind_txn_run(room.vm, room.batch, &room.outcome, &room.error);

	panbind_batch_clear(room.batch);
	return ret;
}

/* An op in the kernel's part of the addresses, which only the driver refuses: nobody told where that begins. */
static void add_refused(void)
{
	const uint64_t end = UINT64_C(1) << 48;

	room.vm->va_range = end;
	panbind_batch_map(room.batch, end - 64 * K, 64 * K, room.page, 0, 0, NULL);
}

static void the_ids_of_an_open_file_are_found(void **state)
{
	uint32_t ids[2] = {0}, second = rig_vm(room.file);

	assert_int_equal(panbind_device_vm_ids(room.program, ids, 2), 2);
	assert_int_equal(ids[0], room.id);
	assert_int_equal(ids[1], second);
	assert_int_equal(panbind_device_vm_ids(room.home, NULL, 0), 0);
}

static void a_vm_that_is_not_there_is_not_adopted(void **state)
{
	assert_int_equal(panbind_vm_adopt(room.program, 7, 0, &room.vm, &room.error), -ENOENT);
	assert_int_equal(room.error.stage, PANBIND_STAGE_VALIDATE);
	assert_string_equal(room.error.msg, "there is no VM 7 on this open file");
}

static void nothing_is_known_before_a_look(void **state)
{
	uint64_t va, size;

	adopt();

	assert_true(panbind_vm_is_adopted(room.vm));
	assert_int_equal(panbind_vm_mapping_count(room.vm), 0);
	assert_int_equal(panbind_vm_next_unknown(room.vm, 0, &va, &size), 0);
	assert_int_equal(va, 0);
	assert_int_equal(size, panbind_vm_va_range(room.vm));
}

static void what_is_not_known_is_not_displaced(void **state)
{
	adopt();

	panbind_batch_map(room.batch, VA + NEVER_AT, 4 * K, room.page, 0, 0, NULL);
	panbind_batch_unmap(room.batch, VA, 4 * K, NULL);
	assert_int_equal(run(), -ENODATA);

	assert_int_equal(room.error.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(room.error.op, 0);
	assert_int_equal(room.error.va, VA + NEVER_AT);
	assert_int_equal(room.error.size, 4 * K);
	assert_int_equal(room.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_string_equal(rig_pages(room.file, room.id, VA, 8 * K), "0x1000000+0x2000 bo 1+0x4000 flags 1");
}

static void a_look_shows_what_the_program_mapped(void **state)
{
	struct panbind_sight sight;
	struct panbind_mapping mapping;
	uint64_t va, size;

	adopt();
	sight = look(0, ALL_OF);

	assert_int_equal(sight.source, PANBIND_SIGHT_PAGES);
	assert_int_equal(sight.mappings, 1);
	assert_int_equal(sight.unknown, 0);
	assert_string_equal(sight.why, "");
	mapping = mapping_at(0);
	assert_int_equal(mapping.va, VA);
	assert_int_equal(mapping.size, 64 * K);
	assert_int_equal(mapping.bo_offset, 16 * K);
	assert_int_equal(mapping.flags, PANBIND_MAP_READONLY);
	assert_int_equal(panbind_bo_size(mapping.bo), 256 * K);
	assert_int_equal(panbind_vm_next_unknown(room.vm, 0, &va, &size), -ENOENT);
}

static void the_program_sees_what_is_mapped_for_it(void **state)
{
	adopt();
	look(0, ALL_OF);

	assert_int_equal(panbind_vm_map(room.vm, VA + 4 * K, 4 * K, room.page, 8 * K, 0, &room.error), 0);

	assert_string_equal(rig_pages(room.file, room.id, VA, 12 * K),
			    "0x1000000+0x1000 bo 1+0x4000 flags 1; 0x1001000+0x1000 bo 2+0x2000; 0x1002000+0x1000 bo "
			    "1+0x6000 flags 1");
}

/* The number 2 is taken twice: by the handle that the map above needs, then by the program. */
static void a_rollback_does_not_trust_the_programs_handles(void **state)
{
	uint32_t other;

	adopt();
	look(0, ALL_OF);
	assert_int_equal(rig_ioctl(room.file, DRM_IOCTL_GEM_CLOSE, &(struct drm_gem_close){.handle = room.bo}), 0);
	other = rig_bo(room.file, 256 * K);
	assert_int_equal(other, room.bo);

	panbind_batch_unmap(room.batch, VA, 64 * K, NULL);
	add_refused();
	assert_int_equal(run(), -EINVAL);

	assert_int_equal(room.error.stage, PANBIND_STAGE_SUBMIT);
	assert_int_equal(room.error.op, 1);
	assert_int_equal(room.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	/* The program's memory again, under a handle that nobody knew, and not the BO that has the number now. */
	assert_null(strstr(rig_pages(room.file, room.id, VA, 64 * K), "bo 1+"));
	assert_non_null(strstr(rig_pages(room.file, room.id, VA, 64 * K), "0x1000000+0x10000 bo "));
	assert_non_null(strstr(rig_pages(room.file, room.id, VA, 64 * K), "+0x4000"));
}

static void what_cannot_be_held_stays_unknown(void **state)
{
	struct pb_uapi_bo_create args = {.size = 64 * K, .exclusive_vm_id = room.id};
	struct panbind_sight sight;
	uint64_t va, size;

	assert_int_equal(rig_ioctl(room.file, PB_IOCTL_BO_CREATE, &args), 0);
	assert_int_equal(rig_bind(room.file, room.id, rig_map(2 * VA, 64 * K, args.handle, 0, 0)), 0);
	adopt();
	sight = look(0, ALL_OF);

	assert_int_equal(sight.mappings, 1);
	assert_int_equal(sight.unknown, 64 * K);
	assert_non_null(strstr(sight.why, "exclusive"));
	assert_int_equal(panbind_vm_next_unknown(room.vm, 0, &va, &size), 0);
	assert_int_equal(va, 2 * VA);
	assert_int_equal(size, 64 * K);
}

static void a_look_at_a_part_ends_with_that(void **state)
{
	uint64_t va, size;

	adopt();

	assert_int_equal(look(VA + 64 * K, 64 * K).unknown, 0);

	assert_int_equal(panbind_vm_next_unknown(room.vm, 0, &va, &size), 0);
	assert_int_equal(size, VA + 64 * K);
	assert_int_equal(panbind_vm_next_unknown(room.vm, va + size, &va, &size), 0);
	assert_int_equal(va, VA + 128 * K);
}

static void a_part_of_what_cannot_be_held_is_counted_as_such(void **state)
{
	struct pb_uapi_bo_create args = {.size = 64 * K, .exclusive_vm_id = room.id};

	assert_int_equal(rig_ioctl(room.file, PB_IOCTL_BO_CREATE, &args), 0);
	assert_int_equal(rig_bind(room.file, room.id, rig_map(2 * VA, 64 * K, args.handle, 0, 0)), 0);
	adopt();

	assert_int_equal(look(2 * VA - 32 * K, 64 * K).unknown, 32 * K);
}

/* Given the first 16 KiB unknown, and the program's mapping behind it. */
static void make_unknown(void)
{
	struct pb_uapi_bo_create args = {.size = 64 * K, .exclusive_vm_id = room.id};

	assert_int_equal(rig_ioctl(room.file, PB_IOCTL_BO_CREATE, &args), 0);
	assert_int_equal(rig_bind(room.file, room.id, rig_map(VA - 16 * K, 16 * K, args.handle, 0, 0)), 0);
	adopt();
	look(0, ALL_OF);
}

static void by_force_it_is_displaced(void **state)
{
	uint64_t va, size;

	make_unknown();
	panbind_vm_set_force(room.vm, 1);

	assert_int_equal(panbind_vm_map(room.vm, VA - 8 * K, 16 * K, room.page, 0, 0, &room.error), 0);

	assert_int_equal(panbind_vm_next_unknown(room.vm, 0, &va, &size), 0);
	assert_int_equal(va, VA - 16 * K);
	assert_int_equal(size, 8 * K);
	assert_int_equal(mapping_at(VA - 8 * K).bo_offset, 0);
}

static void what_was_displaced_by_force_is_not_rolled_back_blindly(void **state)
{
	enum panbind_vm_state vm_state;

	make_unknown();
	panbind_vm_set_force(room.vm, 1);

	panbind_batch_map(room.batch, VA - 24 * K, 32 * K, room.page, 0, 0, NULL);
	add_refused();
	assert_int_equal(run(), -ENODATA);

	assert_int_equal(room.outcome, PANBIND_OUTCOME_UNKNOWN);
	assert_int_equal(room.error.stage, PANBIND_STAGE_ROLLBACK);
	assert_int_equal(room.error.va, VA - 16 * K);
	assert_int_equal(room.error.size, 16 * K);
	/* The hole is a hole again, the program's mapping is back, and what was unknown is what the op made of it. */
	assert_string_equal(rig_pages(room.file, room.id, VA - 24 * K, 32 * K),
			    "0xffc000+0x4000 bo 3+0x2000; 0x1000000+0x2000 bo 1+0x4000 flags 1");
	assert_int_equal(mapping_at(0).va, VA - 16 * K);
	assert_int_equal(mapping_at(0).bo_offset, 8 * K);
	assert_int_equal(panbind_vm_get_state(room.vm, &vm_state), 0);
	assert_int_equal(vm_state, PANBIND_VM_POISONED);
	assert_non_null(strstr(panbind_vm_poison_reason(room.vm), "0xffc000+0x4000"));
}

static void a_plan_says_what_is_not_known(void **state)
{
	struct panbind_plan *plan;
	size_t count;

	make_unknown();
	panbind_batch_map(room.batch, VA - 24 * K, 32 * K, room.page, 0, 0, NULL);

	assert_int_equal(panbind_plan_create(room.vm, room.batch, 0, &plan, &room.error), 0);

	assert_int_equal(panbind_plan_unit(plan, 0)->unknown_bytes, 16 * K);
	panbind_plan_inverse(plan, 0, &count);
	assert_int_equal(count, 2); /* the hole in front, the mapping behind; nothing for what is unknown */
	assert_int_equal(panbind_plan_inverse(plan, 0, &count)[0].size, 8 * K);
	panbind_plan_destroy(plan);
}

static void another_look_shows_what_the_program_did_meanwhile(void **state)
{
	uint64_t before;

	adopt();
	look(0, ALL_OF);
	before = panbind_vm_map_generation(room.vm);
	look(VA, 64 * K);
	assert_int_equal(panbind_vm_map_generation(room.vm), before);
	assert_int_equal(rig_bind(room.file, room.id, rig_map(VA, 8 * K, room.bo, 0, 0)), 0);

	look(VA, 4 * K);

	assert_int_equal(mapping_at(0).size, 4 * K);
	assert_int_equal(mapping_at(0).bo_offset, 0);
	assert_int_equal(mapping_at(VA + 4 * K).bo_offset, 20 * K); /* that was not looked at */
	assert_true(panbind_vm_map_generation(room.vm) > before);
}

static void a_vm_that_is_let_go_lives_on(void **state)
{
	adopt();
	look(0, ALL_OF);
	assert_int_equal(panbind_vm_map(room.vm, 2 * VA, 4 * K, room.page, 0, 0, &room.error), 0);

	panbind_vm_destroy(room.vm);
	room.vm = NULL;

	assert_int_equal(rig_state(room.file, room.id), PB_VM_STATE_USABLE);
	assert_string_equal(rig_pages(room.file, room.id, 2 * VA, 4 * K), "0x2000000+0x1000 bo 2+0x0");
	assert_int_equal(rig_bind(room.file, room.id, rig_map(VA, 4 * K, room.bo, 0, 0)), 0);
}

static void handles_made_for_a_vm_go_with_its_open_file_and_the_programs_stay(void **state)
{
	struct pb_twins *twins = &room.program->twins;

	adopt();
	look(0, ALL_OF);
	assert_int_equal(panbind_vm_map(room.vm, 2 * VA, 4 * K, room.page, 0, 0, &room.error), 0);
	assert_int_equal(twins->count, 2);
	panbind_vm_destroy(room.vm);
	room.vm = NULL;

	pb_twins_free(room.program);

	assert_int_equal(rig_bind(room.file, room.id, rig_map(VA, 4 * K, 2, 0, 0)), -EINVAL);
	assert_int_equal(rig_bind(room.file, room.id, rig_map(VA, 4 * K, room.bo, 0, 0)), 0);
}

static void a_bo_that_is_exclusive_elsewhere_is_refused(void **state)
{
	struct panbind_vm *own;
	struct panbind_bo *bo;

	assert_int_equal(panbind_vm_create(room.home, 0, &own, NULL), 0);
	assert_int_equal(panbind_bo_create(room.home, 4 * K, 0, own, &bo, NULL), 0);
	adopt();
	look(0, ALL_OF);

	assert_int_equal(panbind_vm_map(room.vm, 2 * VA, 4 * K, bo, 0, 0, &room.error), -EINVAL);

	assert_string_equal(strrchr(room.error.msg, ':') ? strrchr(room.error.msg, ':') + 2 : room.error.msg,
			    "the BO is exclusive to a VM of another open file");
	panbind_bo_unref(bo);
	panbind_vm_destroy(own);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_ids_of_an_open_file_are_found),
		TEST(a_vm_that_is_not_there_is_not_adopted),
		TEST(nothing_is_known_before_a_look),
		TEST(what_is_not_known_is_not_displaced),
		TEST(a_look_shows_what_the_program_mapped),
		TEST(the_program_sees_what_is_mapped_for_it),
		TEST(a_rollback_does_not_trust_the_programs_handles),
		TEST(what_cannot_be_held_stays_unknown),
		TEST(a_look_at_a_part_ends_with_that),
		TEST(a_part_of_what_cannot_be_held_is_counted_as_such),
		TEST(by_force_it_is_displaced),
		TEST(what_was_displaced_by_force_is_not_rolled_back_blindly),
		TEST(a_plan_says_what_is_not_known),
		TEST(another_look_shows_what_the_program_did_meanwhile),
		TEST(a_vm_that_is_let_go_lives_on),
		TEST(handles_made_for_a_vm_go_with_its_open_file_and_the_programs_stay),
		TEST(a_bo_that_is_exclusive_elsewhere_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
