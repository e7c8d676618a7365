/* SPDX-License-Identifier: MIT */
/*
 * What a kernel shows of its VMs in debugfs, as tests read it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gpuvas.h"

#define HEAD \
	"Kernel reserved node [0x0000000000000000;0x0000000000000000]\n\n VAs | start              | range\n-----\n"

static void the_rows_of_programs_are_found(void **state)
{
	char text[] = "DRM GPU VA space (panthor-MCU-VM) [0x0;0x100000000]\n" HEAD
		      "     | 0x0000 | 0x1000 | 0x1000 | 0x99 | 0x0\n\n"
		      "DRM GPU VA space (panthor-GPU-VM) [0x0;0x1000000000000]\n" HEAD "\n"
		      "DRM GPU VA space (panthor-GPU-VM) [0x0;0x1000000000000]\n" HEAD
		      "     | 0x2000 | 0x3000 | 0x5000 | 0x7f00 | 0x4000\n"
		      "     | 0x5000 | 0x0 | 0x5000 | 0x7f01 | 0x0\n";
	struct pb_gpuvas gpuvas;

	assert_int_equal(pb_gpuvas_parse(text, &gpuvas), 0);
	assert_int_equal(gpuvas.vms, 2);
	assert_int_equal(gpuvas.count, 2);
	assert_int_equal(gpuvas.rows[0].vm, 1);
	assert_int_equal(gpuvas.rows[0].va, 0x2000);
	assert_int_equal(gpuvas.rows[0].size, 0x3000);
	assert_int_equal(gpuvas.rows[0].object, 0x7f00);
	assert_int_equal(gpuvas.rows[0].offset, 0x4000);
	assert_int_equal(gpuvas.rows[1].size, 0);
	pb_gpuvas_free(&gpuvas);
}

static void a_row_that_does_not_add_up_is_refused(void **state)
{
	char text[] = "DRM GPU VA space (panthor-GPU-VM) [0x0;0x1000000000000]\n"
		      "     | 0x2000 | 0x3000 | 0x6000 | 0x7f00 | 0x4000\n";
	struct pb_gpuvas gpuvas;

	assert_int_equal(pb_gpuvas_parse(text, &gpuvas), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rows_of_programs_are_found),
		cmocka_unit_test(a_row_that_does_not_add_up_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
