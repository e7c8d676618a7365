/* SPDX-License-Identifier: MIT */
/*
 * Feature levels: what came with which driver version, and that older ones refuse it.
 *
 * Each probe is a call that does nothing harmful and succeeds where the feature is; elsewhere it is EINVAL.
 */
#include "raw.h"

#include <errno.h>
#include <stdio.h>

#define NEWEST 9

static int probe_query(struct raw *raw, uint32_t type)
{
	struct pb_uapi_dev_query args = {.type = type};

	return raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &args);
}

static int probe_timestamp(struct raw *raw)
{
	return probe_query(raw, PB_QUERY_TIMESTAMP_INFO);
}

static int probe_priorities(struct raw *raw)
{
	return probe_query(raw, PB_QUERY_GROUP_PRIORITIES_INFO);
}

static int probe_mmu(struct raw *raw)
{
	return probe_query(raw, PB_QUERY_MMU_INFO);
}

static int probe_label(struct raw *raw)
{
	struct pb_uapi_bo_set_label args = {.handle = raw->bo};

	return raw_ioctl(raw, PB_IOCTL_BO_SET_LABEL, &args);
}

static int probe_mmio_offset(struct raw *raw)
{
	struct pb_uapi_set_user_mmio_offset args = {.offset = UINT64_C(1) << 56};

	return raw_ioctl(raw, PB_IOCTL_SET_USER_MMIO_OFFSET, &args);
}

static int probe_wb_mmap(struct raw *raw)
{
	uint32_t bo;

	return raw_bo_create(raw, RAW_PAGE, PB_BO_WB_MMAP, 0, &bo);
}

static int probe_bo_sync(struct raw *raw)
{
	struct pb_uapi_bo_sync args = {0};

	return raw_ioctl(raw, PB_IOCTL_BO_SYNC, &args);
}

static int probe_query_info(struct raw *raw)
{
	struct pb_uapi_bo_query_info args = {.handle = raw->bo};

	return raw_ioctl(raw, PB_IOCTL_BO_QUERY_INFO, &args);
}

static int probe_sparse(struct raw *raw)
{
	return raw_map(raw, 0x200000, 2 << 20, 0, 0, PB_OP_SPARSE | PB_OP_NOEXEC);
}

static const struct {
	const char *name;
	int minor;
	int (*probe)(struct raw *raw);
} features[] = {
	{"DEV_QUERY TIMESTAMP_INFO", 1, probe_timestamp},
	{"DEV_QUERY GROUP_PRIORITIES_INFO", 2, probe_priorities},
	{"BO_SET_LABEL", 4, probe_label},
	{"SET_USER_MMIO_OFFSET", 5, probe_mmio_offset},
	{"BO_WB_MMAP", 7, probe_wb_mmap},
	{"BO_SYNC", 7, probe_bo_sync},
	{"BO_QUERY_INFO", 7, probe_query_info},
	{"MAP_SPARSE", 9, probe_sparse},
	{"DEV_QUERY MMU_INFO", 9, probe_mmu},
};

static void check_level(struct raw *raw)
{
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		raw_expect(features[i].name, features[i].probe(raw), raw->minor >= features[i].minor ? 0 : -EINVAL);
}

static void the_device_has_what_its_version_says(void **state)
{
	check_level(*state);
}

static void every_level_has_what_its_version_says(void **state)
{
	raw_need_simulator(*state);
	for (int minor = 0; minor <= NEWEST; minor++) {
		char options[32];
		struct raw *raw;

		snprintf(options, sizeof(options), "minor=%d", minor);
		raw = raw_open_simulator(options);
		assert_int_equal(raw->minor, minor);
		check_level(raw);
		raw_close(raw);
	}
}

static void unknown_ioctls_are_refused(void **state)
{
	struct raw *raw = *state;
	uint64_t nothing[8] = {0};

	raw_expect("one past the last", raw_ioctl(raw, DRM_IOWR(DRM_COMMAND_BASE + 17, nothing), nothing), -EINVAL);
	raw_expect("last of the driver's", raw_ioctl(raw, DRM_IOWR(DRM_COMMAND_END - 1, nothing), nothing), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_device_has_what_its_version_says),
		TEST(every_level_has_what_its_version_says),
		TEST(unknown_ioctls_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
