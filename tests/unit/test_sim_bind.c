/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND on the simulator, the synchronous path: what it maps, what it refuses, and which errno wins.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "sim_rig.h"

#define K(n)  ((uint64_t)(n) << 10)
#define M(n)  ((uint64_t)(n) << 20)
#define BASE  UINT64_C(0x10000000)
#define RANGE (UINT64_C(1) << 47)

struct rig {
	struct pb_file *file;
	uint32_t vm, a, b; /* BOs of 8 MiB */
};

static void open_rig(struct rig *rig, const char *options)
{
	rig->file = rig_open(options);
	rig->vm = rig_vm(rig->file);
	rig->a = rig_bo(rig->file, M(8));
	rig->b = rig_bo(rig->file, M(8));
	assert_int_equal(rig->a, 1);
	assert_int_equal(rig->b, 2);
}

static void assert_pages(struct rig *rig, const char *want)
{
	assert_string_equal(rig_pages(rig->file, rig->vm, 0, RANGE), want);
}

static int bind1(struct rig *rig, struct pb_uapi_vm_bind_op op)
{
	return rig_bind(rig->file, rig->vm, op);
}

static void a_map_shows_in_the_page_table(void **state)
{
	struct rig rig;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, K(16), rig.a, K(8), PB_OP_NOEXEC)), 0);
	assert_pages(&rig, "0x10000000+0x4000 bo 1+0x2000 flags 2");
	assert_int_equal(bind1(&rig, rig_unmap(BASE, K(16))), 0);
	assert_pages(&rig, "");
	rig_close(rig.file);
}

static void a_map_in_the_middle_splits_what_was_there(void **state)
{
	struct rig rig;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, K(64), rig.a, 0, PB_OP_READONLY)), 0);
	assert_int_equal(bind1(&rig, rig_map(BASE + K(16), K(8), rig.b, K(4), 0)), 0);
	assert_pages(&rig, "0x10000000+0x4000 bo 1+0x0 flags 1; 0x10004000+0x2000 bo 2+0x1000; "
			   "0x10006000+0xa000 bo 1+0x6000 flags 1");
	rig_close(rig.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_shows_in_the_page_table),
		cmocka_unit_test(a_map_in_the_middle_splits_what_was_there),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
