/* SPDX-License-Identifier: MIT */
/*
 * Options of a simulated device: what they set, and where an error points.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "panbind.h"
#include "sim_opts.h"
#include "sim_rig.h"

static void nothing_given_means_the_newest_driver_with_atomic_updates(void **state)
{
	struct sim_options options;

	assert_int_equal(sim_options_parse("", &options, NULL), 0);
	assert_int_equal(options.minor, 9);
	assert_int_equal(options.kernel, SIM_KERNEL(7, 3));
	assert_int_equal(options.va_bits, 48);
	assert_int_equal(options.as_slots, 7);
	assert_true(options.atomic);
	assert_string_equal(options.name, "");
	assert_null(options.faults);
}

static void each_option_sets_what_it_names(void **state)
{
	struct sim_options options;

	assert_int_equal(sim_options_parse("minor=2,va-bits=39,as-slots=15,atomic=off,name=a b:c", &options, NULL), 0);
	assert_int_equal(options.minor, 2);
	assert_int_equal(options.kernel, SIM_KERNEL(6, 13));
	assert_int_equal(options.va_bits, 39);
	assert_int_equal(options.as_slots, 15);
	assert_false(options.atomic);
	assert_string_equal(options.name, "a b:c");
}

static void the_kernel_need_not_be_the_one_that_brought_the_driver(void **state)
{
	static const struct {
		const char *text;
		unsigned kernel;
	} cases[] = {
		{"minor=0", SIM_KERNEL(6, 12)},	    {"minor=4", SIM_KERNEL(6, 16)},
		{"kernel=6.12", SIM_KERNEL(6, 12)}, {"kernel=6.18,minor=0", SIM_KERNEL(6, 18)},
		{"kernel=7.0", SIM_KERNEL(7, 0)},
	};

	assert_true(SIM_KERNEL(6, 99) < SIM_KERNEL(7, 0));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sim_options options;

		assert_int_equal(sim_options_parse(cases[i].text, &options, NULL), 0);
		assert_int_equal(options.kernel, cases[i].kernel);
	}
}

static void an_error_points_at_its_column(void **state)
{
	static const struct {
		const char *text;
		uint32_t column;
	} cases[] = {
		{"bogus=1", 1},
		{"minor=2,bogus=1", 9},
		{"minor=2,,atomic=on", 9},
		{"minor=2,", 9},
		{"minor", 1},
		{"minor=", 7},
		{"minor=x", 7},
		{"minor=10", 7},
		{"minor=1x", 8},
		{"minor=-1", 7},
		{"minor=99999999999999999999", 11},
		{"minor=2,minor=3", 9},
		{"kernel=", 8},
		{"kernel=7", 8},
		{"kernel=5.10", 8},
		{"kernel=6.9", 10},
		{"kernel=6.", 10},
		{"kernel=.12", 8},
		{"kernel=6.12.3", 12},
		{"va-bits=32", 9},
		{"va-bits=49", 9},
		{"as-slots=0", 10},
		{"as-slots=16", 10},
		{"atomic=yes", 8},
		{"atomic=", 8},
		{"name=", 6},
		{"name=0123456789012345678901234567890123456789012345678901234567890123", 6},
		{"fault=", 7},
		{"fault=VM_BIND", 14},
		{"fault=VM_BNID#1=EINVAL", 7},
		{"fault=VM_BIND#0=EINVAL", 15},
		{"fault=VM_BIND#1=EWHAT", 17},
		{"fault=VM_BIND#1=EINVALx", 23},
		{"fault=op=1", 11},
		{"fault=op=x:EINVAL", 10},
		{"fault=op=1:EINVAL:middle", 22},
		{"fault=VM_CREATE#1:op=0:EINVAL", 7},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sim_options options;
		struct panbind_error error = {0};

		if (sim_options_parse(cases[i].text, &options, &error) != -EINVAL)
			fail_msg("'%s' was taken", cases[i].text);
		if (error.column != cases[i].column)
			fail_msg("'%s': column %u: %s", cases[i].text, error.column, error.msg);
		assert_int_equal(error.stage, PANBIND_STAGE_PARSE);
		assert_int_equal(error.code, -EINVAL);
		assert_true(error.msg[0]);
	}
}

static void faults_keep_their_order_and_parts(void **state)
{
	struct sim_options options;
	const struct sim_fault *f;

	assert_int_equal(sim_options_parse("fault=VM_BIND#3=EINTR,fault=BO_CREATE#*=ENOMEM,fault=op=2:ENOMEM:mid",
					   &options, NULL),
			 0);
	f = options.faults;
	assert_int_equal(f->nth, 3);
	assert_int_equal(f->error, -EINTR);
	assert_false(f->is_op);
	f = f->next;
	assert_int_equal(f->nth, 0);
	assert_int_equal(f->error, -ENOMEM);
	f = f->next;
	assert_true(f->is_op && f->mid);
	assert_int_equal(f->index, 2);
	assert_int_equal(f->row, -1);
	assert_null(f->next);
	sim_options_fini(&options);
}

static void opens_of_one_name_share_the_device(void **state)
{
	struct pb_file *a = rig_open("name=shared,minor=3"), *b = rig_open("name=shared"), *c = rig_open("minor=3");
	struct drm_version version = {0};

	assert_int_equal(rig_ioctl(b, DRM_IOCTL_VERSION, &version), 0);
	assert_int_equal(version.version_minor, 3);
	memset(&version, 0, sizeof(version));
	assert_int_equal(rig_ioctl(c, DRM_IOCTL_VERSION, &version), 0);
	assert_int_equal(version.version_minor, 3);
	rig_close(a);
	rig_close(b);
	rig_close(c);
	/* The last close ends the device: the name is free for another. */
	a = rig_open("name=shared,minor=5");
	rig_close(a);
}

static void an_open_may_not_contradict_the_device_it_shares(void **state)
{
	struct pb_file *a = rig_open("name=shared,minor=3"), *b;
	struct panbind_error error = {0};

	assert_int_equal(pb_backend_sim.open("name=shared,atomic=on,minor=4", &b, &error), -EINVAL);
	assert_int_equal(error.column, 23);
	rig_close(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_means_the_newest_driver_with_atomic_updates),
		cmocka_unit_test(each_option_sets_what_it_names),
		cmocka_unit_test(the_kernel_need_not_be_the_one_that_brought_the_driver),
		cmocka_unit_test(an_error_points_at_its_column),
		cmocka_unit_test(faults_keep_their_order_and_parts),
		cmocka_unit_test(opens_of_one_name_share_the_device),
		cmocka_unit_test(an_open_may_not_contradict_the_device_it_shares),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
