/* SPDX-License-Identifier: MIT */
/*
 * A VM's shadow against the driver's own truth: what agrees, what somebody changed behind the library's back, what the
 * library got wrong, and what nobody can tell.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "seed.h"
#include "session_room.h"
#include "uapi.h"

static const char basic[] = "vm create v\nvm create w\nbo create x 4M\nbo create y 64K\n"
			    "map v 0x100000 64K x+64K --noexec\nmap v 0x200000 2M x\nmap w 0x100000 64K x+64K\n"
			    "sparse reserve v 0x10000000 4M\nsparse bind v 0x10200000 64K y\n";

static struct panbind_vm *vm_of(struct session_room *room)
{
	return panbind_session_vm(room->session, "v");
}

/* What nobody but the kernel hears of. */
static void bind_behind(struct panbind_vm *vm, uint32_t flags, uint32_t handle, uint64_t offset, uint64_t va,
			uint64_t size)
{
	struct pb_uapi_vm_bind_op op = {
		.flags = flags, .bo_handle = handle, .bo_offset = offset, .va = va, .size = size};
	struct pb_uapi_vm_bind args = {.vm_id = vm->id,
				       .ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op}};

	assert_int_equal(pb_device_ioctl(vm->device, PB_IOCTL_VM_BIND, &args), 0);
}

struct seen {
	struct panbind_verify_difference items[16];
	size_t count;
};

static void see(void *data, const struct panbind_verify_difference *difference)
{
	struct seen *seen = data;

	if (seen->count < 16)
		seen->items[seen->count] = *difference;
	seen->count++;
}

static struct seen verify(struct panbind_vm *vm)
{
	struct panbind_verification result;
	struct seen seen = {.count = 0};
	uint64_t bytes = 0;

	assert_int_equal(panbind_vm_verify(vm, see, &seen, &result, NULL), 0);
	assert_int_equal(result.source, PANBIND_SIGHT_PAGES);
	assert_int_equal(result.differences, seen.count);
	for (size_t i = 0; i < seen.count && i < 16; i++)
		bytes += seen.items[i].size;
	if (seen.count <= 16)
		assert_int_equal(result.different, bytes);
	assert_true(result.compared >= result.different);
	return seen;
}

static void test_what_was_bound_agrees(void **state)
{
	static const char *const specs[] = {"sim:minor=0", "sim:minor=8", "sim:minor=9"};

	for (size_t i = 0; i < 3; i++) {
		struct session_room *room = session_room_open(specs[i]);

		session_room_must(room, basic);
		assert_int_equal(verify(vm_of(room)).count, 0);
		session_room_must(room,
				  "map v 0x140000 4K y --readonly\nunmap v 0x102000 8K\nsparse unbind v 0x10200000 4K\n"
				  "sparse map v 0x300000 2M\nvm verify v\nvm verify w");
		assert_string_equal(room->output, "");
		session_room_close(room);
	}
}

static void test_a_foreign_bind_is_found(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_vm *vm;
	struct seen seen;
	uint32_t x, y;

	session_room_must(room, basic);
	vm = vm_of(room);
	x = panbind_bo_handle(panbind_session_bo(room->session, "x"));
	y = panbind_bo_handle(panbind_session_bo(room->session, "y"));
	bind_behind(vm, PB_OP_UNMAP, 0, 0, 0x102000, 0x1000);			   /* a hole, */
	bind_behind(vm, PB_OP_MAP | PB_OP_NOEXEC, x, 0, 0x104000, 0x2000);	   /* other pages of the same BO, */
	bind_behind(vm, PB_OP_MAP, y, 0, 0x200000, 0x4000);			   /* another BO, */
	bind_behind(vm, PB_OP_MAP | PB_OP_READONLY, x, 0x10000, 0x210000, 0x1000); /* other flags, */
	bind_behind(vm, PB_OP_MAP, y, 0, 0x900000, 0x1000);			   /* where nothing was, */
	bind_behind(vm, PB_OP_MAP, y, 0, 0x10000000, 0x1000);			   /* and in the place of the dummy. */
	seen = verify(vm);
	assert_int_equal(seen.count, 6);
	assert_int_equal(seen.items[0].va, 0x102000);
	assert_true(seen.items[0].shadow.mapped && !seen.items[0].driver.mapped);
	assert_int_equal(seen.items[1].va, 0x104000);
	assert_int_equal(seen.items[1].size, 0x2000);
	assert_int_equal(seen.items[1].shadow.bo_offset, 0x14000);
	assert_int_equal(seen.items[1].driver.bo_offset, 0);
	assert_int_equal(seen.items[2].size, 0x4000);
	assert_int_equal(seen.items[2].driver.bo_handle, y);
	assert_int_equal(seen.items[3].driver.flags, PANBIND_MAP_READONLY);
	assert_int_equal(seen.items[3].shadow.flags, 0);
	assert_int_equal(seen.items[4].va, 0x900000);
	assert_false(seen.items[4].shadow.mapped);
	assert_true(seen.items[5].shadow.sparse && !seen.items[5].driver.sparse);
	/* The other VM is none of that. */
	assert_int_equal(verify(panbind_session_vm(room->session, "w")).count, 0);
	session_room_close(room);
}

static void test_a_shadow_that_is_wrong_is_found(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_vm *vm;
	struct seen seen;

	session_room_must(room, basic);
	vm = vm_of(room);
	assert_int_equal(pb_vamap_reserve(vm->map, 1), 0);
	assert_int_equal(pb_vamap_clear(vm->map, 0x10000000, 0x400000), 0);
	seen = verify(vm);
	/* The dummy, a BO in the middle of it, the dummy again. */
	assert_int_equal(seen.count, 3);
	assert_true(seen.items[0].driver.sparse && !seen.items[1].driver.sparse && seen.items[2].driver.sparse);
	assert_int_equal(seen.items[0].size, 0x200000);
	assert_int_equal(seen.items[2].va, 0x10210000);
	assert_int_equal(session_room_run(room, "vm verify v\necho not reached", 0), -EUCLEAN);
	assert_int_equal(room->error.stage, PANBIND_STAGE_COMPLETE);
	assert_non_null(strstr(room->error.msg, "v is not as the driver has it: 3 ranges, 0x400000 bytes"));
	assert_string_equal(room->output, "0x10000000 0x200000 shadow: nothing, driver: the dummy --noexec\n"
					  "0x10200000 0x10000 shadow: nothing, driver: y+0x0\n"
					  "0x10210000 0x1f0000 shadow: nothing, driver: the dummy --noexec\n");
	session_room_close(room);
}

static void test_binds_in_flight_have_to_land_first(void **state)
{
	struct session_room *room = session_room_open("sim:");

	session_room_must(room, basic);
	session_room_must(room,
			  "syncobj create s\nsyncobj create go --signaled\n"
			  "begin async\nmap v 0x900000 4K y --wait=go --signal=s\ncommit\nsyncobj wait s\nvm verify v");
	session_room_close(room);
}

/* A VM that was lost in the middle of a bind: the shadow shows what was meant, and verify what is there. */
static void test_a_lost_vm_shows_what_it_lacks(void **state)
{
	struct session_room *room = session_room_open("sim:fault=VM_BIND#1:op=1:ENOMEM");
	struct seen seen;

	session_room_must(room,
			  "vm create v\nbo create x 1M\nbegin fenced\nmap v 0 4K x\nmap v 1M 4K x\nexpect EIO commit");
	seen = verify(vm_of(room));
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.items[0].va, 0x100000);
	assert_false(seen.items[0].driver.mapped);
	session_room_close(room);
}

/* One foreign unmap in a random mapping is exactly what is told. */
static void test_any_page_is_found(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_vm *vm;
	struct test_random random = test_random_start("test_verify");

	session_room_must(room, "vm create v\nbo create x 4M\nrepeat 200 i\n"
				"map v $(i * 0x10000) $(4096 + rand(8) * 4096) x+$(rand(512) * 4096)\nend");
	vm = vm_of(room);
	for (int i = 0; i < 200; i++) {
		uint64_t page = test_random_below(&random, 200 * 16) * 4096;
		struct panbind_mapping mapping;
		struct seen seen;
		struct panbind_bo *bo;

		if (panbind_vm_next_mapping(vm, page, &mapping) < 0 || mapping.va > page)
			continue;
		bo = mapping.bo;
		bind_behind(vm, PB_OP_UNMAP, 0, 0, page, 4096);
		seen = verify(vm);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.items[0].va, page);
		assert_int_equal(seen.items[0].size, 4096);
		bind_behind(vm, PB_OP_MAP, panbind_bo_handle(bo), mapping.bo_offset + (page - mapping.va), page, 4096);
		assert_int_equal(verify(vm).count, 0);
	}
	session_room_close(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_bound_agrees),
		cmocka_unit_test(test_a_foreign_bind_is_found),
		cmocka_unit_test(test_a_shadow_that_is_wrong_is_found),
		cmocka_unit_test(test_binds_in_flight_have_to_land_first),
		cmocka_unit_test(test_a_lost_vm_shows_what_it_lacks),
		cmocka_unit_test(test_any_page_is_found),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
