/* SPDX-License-Identifier: MIT */
/* Opening devices: specs, versions, what is asked and what is reported. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_backend.h"
#include "internal.h"

static struct panbind_device_info info_of(struct panbind_device *device)
{
	struct panbind_device_info info;
	assert_int_equal(panbind_device_get_info(device, &info), 0);
	return info;
}

static void a_bad_spec_says_where(void **state)
{
	static const struct {
		const char *spec;
		uint32_t column;
		const char *says;
	} bad[] = {
		{NULL, 1, "drm:PATH, drm:auto, sim:OPTIONS or node:FOLDER"},
		{"", 1, "drm:PATH, drm:auto, sim:OPTIONS or node:FOLDER"},
		{"/dev/dri/renderD128", 1, "not \"/dev/dri/renderD128\""},
		{"simulator:", 1, "no backend is called \"simulator\""},
		{"si:", 1, "no backend is called \"si\""},
		{"drm:", 5, "path of a render node"},
		{"sim:minor=12", 11, "0 to 9"},
		{"sim:minor=3,speed=9", 13, "speed"},
	};
	for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
		struct panbind_device *device = (void *)&device;
		struct panbind_error error = {0};
		assert_int_equal(panbind_device_open(bad[i].spec, &device, &error), -EINVAL);
		assert_ptr_equal(device, &device); /* untouched */
		assert_int_equal(error.code, -EINVAL);
		assert_int_equal(error.stage, PANBIND_STAGE_PARSE);
		assert_int_equal(error.line, 1);
		assert_int_equal(error.column, bad[i].column);
		if (!strstr(error.msg, bad[i].says))
			fail_msg("\"%s\" was refused with: %s", bad[i].spec, error.msg);
		assert_int_equal(panbind_device_open(bad[i].spec, &device, NULL), -EINVAL);
	}
}

static void what_cannot_be_opened_is_not_simulated(void **state)
{
	struct panbind_device *device = NULL;
	struct panbind_error error;
	assert_int_equal(panbind_device_open("drm:/nonexistent/renderD128", &device, &error), -ENOENT);
	assert_non_null(strstr(error.msg, "/nonexistent/renderD128"));
	assert_int_equal(panbind_device_open("drm:/dev/null", &device, &error), -ENODEV);
	assert_non_null(strstr(error.msg, "not a DRM device"));
	assert_null(device);
}

static void an_fd_is_duplicated_or_refused(void **state)
{
	struct panbind_device *device = NULL;
	struct panbind_error error;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(panbind_device_open_fd(-1, &device, &error), -EBADF);
	assert_int_equal(panbind_device_open_fd(fd, &device, &error), -ENODEV);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* the caller's own is still open */
	int next = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(next, fd + 1); /* and the duplicate is not */
	close(next);
	close(fd);
}

static void another_driver_is_refused(void **state)
{
	struct fake fake;
	struct panbind_device *device = NULL;
	struct panbind_error error;
	fake_start(&fake, 9);
	fake.driver = "panfrost";
	assert_int_equal(pb_device_from_file(&fake.base, &device, &error), -ENODEV);
	assert_non_null(strstr(error.msg, "\"panfrost\""));
	fake_start(&fake, 0);
	fake.major = 2;
	assert_int_equal(pb_device_from_file(&fake.base, &device, &error), -ENODEV);
	assert_non_null(strstr(error.msg, "2.0"));
	assert_null(device);
	assert_int_equal(fake_seen(&fake, PB_IOCTL_DEV_QUERY), 0);
}

static void what_the_driver_says_is_reported(void **state)
{
	struct fake fake;
	fake_start(&fake, 3);
	struct panbind_device *device = fake_device(&fake);

	struct panbind_device_info info = info_of(device);

	assert_string_equal(info.backend, "fake");
	assert_string_equal(info.driver, "panthor");
	assert_string_equal(info.path, "/dev/dri/renderD200");
	assert_int_equal(info.version_major, 1);
	assert_int_equal(info.version_minor, 3);
	assert_int_equal(info.gpu_id, 0xa8670000);
	assert_int_equal(info.va_bits, 48);
	assert_int_equal(info.pa_bits, 48);
	assert_int_equal(info.as_present, 0xff);
	assert_int_equal(info.shader_present, 0x50005);
	assert_int_equal(info.csg_slots, 8);
	assert_int_equal(info.max_vms, 32);
	panbind_device_unref(device);
	assert_true(fake.closed);
}

static void each_minor_has_its_features(void **state)
{
	for (int minor = 0; minor <= 10; minor++) {
		struct fake fake;
		fake_start(&fake, minor);
		struct panbind_device *device = fake_device(&fake);
		struct panbind_device_info info = info_of(device);
		assert_int_equal(info.native_sparse, minor >= 9 ? PANBIND_YES : PANBIND_NO);
		assert_int_equal(info.bo_labels, minor >= 4 ? PANBIND_YES : PANBIND_NO);
		assert_int_equal(info.atomic, minor >= 7 ? PANBIND_YES : PANBIND_UNKNOWN);
		assert_int_equal(info.page_sizes, 1u << 12 | 1u << 21);
		/* a query is made only where the driver has it */
		assert_int_equal(fake_seen(&fake, PB_IOCTL_DEV_QUERY), minor >= 9 ? 3 : 2);
		panbind_device_unref(device);
	}
}

/* A folder that stands for /sys, in which panthor's parameter reads @text, or has none when @text is NULL. */
static enum panbind_tristate told_by(const char *text, int version_minor)
{
	static const char *const folders[] = {"", "/module", "/module/panthor", "/module/panthor/parameters"};
	char sysfs[] = "/tmp/panbind-sysfs-XXXXXX", path[128];
	assert_non_null(mkdtemp(sysfs));
	for (size_t i = 1; i < PB_ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s%s", sysfs, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s%s/atomic_updates", sysfs, folders[3]);
	if (text) {
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		close(fd);
	}

	enum panbind_tristate told = pb_drm_atomic(sysfs, version_minor);

	unlink(path);
	for (size_t i = PB_ARRAY_SIZE(folders); i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", sysfs, folders[i]);
		assert_int_equal(rmdir(path), 0);
	}
	return told;
}

static void a_driver_that_says_it_is_atomic_is_believed(void **state)
{
	assert_int_equal(told_by("Y\n", 0), PANBIND_YES);
	assert_int_equal(told_by("Y\n", 9), PANBIND_YES);
	assert_int_equal(told_by("N\n", 0), PANBIND_NO);
	assert_int_equal(told_by("N\n", 9), PANBIND_NO);
}

static void the_version_decides_where_the_driver_is_silent(void **state)
{
	static const char *const silent[] = {NULL, "", "\n", "maybe\n"};
	for (size_t i = 0; i < PB_ARRAY_SIZE(silent); i++) {
		assert_int_equal(told_by(silent[i], 6), PANBIND_UNKNOWN);
		assert_int_equal(told_by(silent[i], 7), PANBIND_YES);
	}
	assert_int_equal(pb_drm_atomic("/nonexistent", 0), PANBIND_UNKNOWN); /* no sysfs at all */
}

static void what_is_assumed_of_a_kernel_is_reported(void **state)
{
	struct fake fake;
	fake_start(&fake, 3);
	struct panbind_device *device = fake_device(&fake);
	panbind_device_assume_atomic(device, PANBIND_YES);
	assert_int_equal(info_of(device).atomic, PANBIND_YES);
	panbind_device_assume_atomic(device, PANBIND_NO);
	assert_int_equal(info_of(device).atomic, PANBIND_NO);
	panbind_device_unref(device);
}

static void interrupted_queries_are_made_again(void **state)
{
	struct fake fake;
	fake_start(&fake, 9);
	FAKE_EXPECT(&fake, {.request = DRM_IOCTL_VERSION, .ret = -EINTR},
		    {.request = DRM_IOCTL_VERSION, .ret = -EAGAIN}, {.request = PB_IOCTL_DEV_QUERY, .ret = -EINTR});
	struct panbind_device *device = fake_device(&fake);
	fake_done(&fake);
	assert_int_equal(info_of(device).va_bits, 48);
	panbind_device_unref(device);
}

static void a_failed_query_is_an_error(void **state)
{
	struct fake fake;
	struct panbind_device *device = NULL;
	struct panbind_error error;
	fake_start(&fake, 9);
	FAKE_EXPECT(&fake, {.request = PB_IOCTL_DEV_QUERY, .ret = -EACCES});
	assert_int_equal(pb_device_from_file(&fake.base, &device, &error), -EACCES);
	assert_int_equal(error.stage, PANBIND_STAGE_SUBMIT);
	assert_null(device);
	assert_false(fake.closed); /* it stays the caller's */
}

static void children_hold_their_device(void **state)
{
	struct fake fake;
	struct panbind_vm *vm;
	struct panbind_bo *bo;
	struct panbind_syncobj *syncobj;
	fake_start(&fake, 9);
	struct panbind_device *device = fake_device(&fake);
	assert_int_equal(panbind_vm_create(device, 0, &vm, NULL), 0);
	assert_int_equal(panbind_bo_create(device, 1, 0, NULL, &bo, NULL), 0);
	assert_int_equal(panbind_syncobj_create(device, 0, &syncobj), 0);
	panbind_device_unref(panbind_device_ref(device));

	panbind_device_unref(device);
	assert_false(fake.closed);
	panbind_syncobj_unref(syncobj);
	panbind_vm_destroy(vm);
	assert_false(fake.closed);
	panbind_bo_unref(bo);
	assert_true(fake.closed);
}

static void nodes_are_counted_without_room(void **state)
{
	int count = panbind_devices(NULL, 0);
	assert_true(count >= 0);
	struct panbind_node node = {.version_major = -1};
	assert_int_equal(panbind_devices(&node, 1), count);
	if (count > 0)
		assert_string_equal(node.driver, "panthor");
	else
		assert_int_equal(node.version_major, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_spec_says_where),
		cmocka_unit_test(what_cannot_be_opened_is_not_simulated),
		cmocka_unit_test(an_fd_is_duplicated_or_refused),
		cmocka_unit_test(another_driver_is_refused),
		cmocka_unit_test(what_the_driver_says_is_reported),
		cmocka_unit_test(each_minor_has_its_features),
		cmocka_unit_test(a_driver_that_says_it_is_atomic_is_believed),
		cmocka_unit_test(the_version_decides_where_the_driver_is_silent),
		cmocka_unit_test(what_is_assumed_of_a_kernel_is_reported),
		cmocka_unit_test(interrupted_queries_are_made_again),
		cmocka_unit_test(a_failed_query_is_an_error),
		cmocka_unit_test(children_hold_their_device),
		cmocka_unit_test(nodes_are_counted_without_room),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
