/* SPDX-License-Identifier: MIT */
/*
 * What the device says of itself, at each feature level; and how the dispatcher takes arguments of other sizes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim_rig.h"

static struct pb_file *open_minor(unsigned minor)
{
	char text[32];

	snprintf(text, sizeof(text), "minor=%u", minor);
	return rig_open(text);
}

static int query(struct pb_file *file, uint32_t type, void *data, uint32_t *size)
{
	struct pb_uapi_dev_query args = {.type = type, .size = *size, .pointer = (uintptr_t)data};
	int ret = rig_ioctl(file, PB_IOCTL_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

static void version_says_panthor_and_the_minor(void **state)
{
	struct pb_file *file = rig_open("minor=4");
	char name[16] = "................";
	struct drm_version version = {.name = name, .name_len = 3};

	assert_int_equal(rig_ioctl(file, DRM_IOCTL_VERSION, &version), 0);
	assert_int_equal(version.version_major, 1);
	assert_int_equal(version.version_minor, 4);
	assert_int_equal(version.name_len, 7);
	assert_memory_equal(name, "pan.", 4); /* no more than there is room for */
	version.name_len = sizeof(name);
	assert_int_equal(rig_ioctl(file, DRM_IOCTL_VERSION, &version), 0);
	assert_memory_equal(name, "panthor.", 8);
	rig_close(file);
}

static void version_into_a_bad_pointer_is_efault(void **state)
{
	struct pb_file *file = rig_open("");
	struct drm_version version = {.name = (char *)8, .name_len = 7};

	assert_int_equal(rig_ioctl(file, DRM_IOCTL_VERSION, &version), -EFAULT);
	rig_close(file);
}

static int get_cap(struct pb_file *file, uint64_t capability, uint64_t *ret_value)
{
	struct drm_get_cap cap = {.capability = capability, .value = 77};
	int ret = rig_ioctl(file, DRM_IOCTL_GET_CAP, &cap);

	*ret_value = cap.value;
	return ret;
}

static void capabilities_are_those_of_a_render_driver(void **state)
{
	struct pb_file *file = rig_open("");
	uint64_t value;

	assert_int_equal(get_cap(file, DRM_CAP_SYNCOBJ, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(get_cap(file, DRM_CAP_SYNCOBJ_TIMELINE, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(get_cap(file, DRM_CAP_PRIME, &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(get_cap(file, DRM_CAP_DUMB_BUFFER, &value), -EOPNOTSUPP);
	assert_int_equal(value, 0);
	rig_close(file);
}

/* The first answer to DEV_QUERY in a trace of the real driver, as bytes. */
static void recorded_answer(uint32_t type, uint8_t *data, size_t size)
{
	FILE *file = fopen(PANBIND_SOURCE_DIR "/tests/data/traces/panvk-small.jsonl", "r");
	char line[4096], want[64];
	bool found = false;

	assert_non_null(file);
	snprintf(want, sizeof(want), "\"name\":\"PANTHOR_DEV_QUERY\"");
	while (!found && fgets(line, sizeof(line), file)) {
		char kind[32];

		snprintf(kind, sizeof(kind), "\"args\":{\"type\":%u,", type);
		found = strstr(line, want) && strstr(line, kind);
	}
	fclose(file);
	assert_true(found);
	for (size_t i = 0; i < size; i++) {
		char byte[3] = {0};

		memcpy(byte, strstr(line, "\"data\":\"") + 8 + 2 * i, 2);
		data[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
}

static void gpu_and_csif_info_are_those_of_the_real_driver(void **state)
{
	struct pb_file *file = rig_open("minor=0");
	uint8_t want[112], have[112];
	uint32_t size = sizeof(have);

	memset(have, 0xee, sizeof(have));
	recorded_answer(PB_QUERY_GPU_INFO, want, sizeof(want));
	assert_int_equal(query(file, PB_QUERY_GPU_INFO, have, &size), 0);
	assert_int_equal(size, sizeof(have));
	assert_memory_equal(have, want, sizeof(want));
	size = 24;
	recorded_answer(PB_QUERY_CSIF_INFO, want, size);
	assert_int_equal(query(file, PB_QUERY_CSIF_INFO, have, &size), 0);
	assert_memory_equal(have, want, size);
	rig_close(file);
}

static void options_show_in_gpu_info(void **state)
{
	struct pb_file *file = rig_open("va-bits=39,as-slots=3");
	struct pb_uapi_gpu_info info;
	uint32_t size = sizeof(info);

	assert_int_equal(query(file, PB_QUERY_GPU_INFO, &info, &size), 0);
	assert_int_equal(PB_MMU_VA_BITS(info.mmu_features), 39);
	assert_int_equal(PB_MMU_PA_BITS(info.mmu_features), 40);
	assert_int_equal(info.as_present, 0xf);
	rig_close(file);
}

static void a_query_without_a_pointer_gives_the_size(void **state)
{
	static const struct {
		unsigned minor;
		uint32_t type, size;
	} cases[] = {
		{0, PB_QUERY_GPU_INFO, 104},	  {7, PB_QUERY_GPU_INFO, 112},
		{0, PB_QUERY_CSIF_INFO, 24},	  {1, PB_QUERY_TIMESTAMP_INFO, 24},
		{8, PB_QUERY_TIMESTAMP_INFO, 56}, {2, PB_QUERY_GROUP_PRIORITIES_INFO, 4},
		{9, PB_QUERY_MMU_INFO, 8},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct pb_file *file = open_minor(cases[i].minor);
		uint32_t size = 0;

		assert_int_equal(query(file, cases[i].type, NULL, &size), 0);
		assert_int_equal(size, cases[i].size);
		rig_close(file);
	}
}

static void a_query_newer_than_the_driver_is_unknown(void **state)
{
	static const struct {
		unsigned minor;
		uint32_t type;
	} cases[] = {
		{0, PB_QUERY_TIMESTAMP_INFO},
		{1, PB_QUERY_GROUP_PRIORITIES_INFO},
		{8, PB_QUERY_MMU_INFO},
		{9, 5},
		{9, ~0u},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct pb_file *file = open_minor(cases[i].minor);
		uint64_t data[16];
		uint32_t size = sizeof(data);

		assert_int_equal(query(file, cases[i].type, data, &size), -EINVAL);
		assert_int_equal(query(file, cases[i].type, NULL, &size), -EINVAL);
		rig_close(file);
	}
}

static void a_query_with_too_little_room_is_refused(void **state)
{
	struct pb_file *file = rig_open("");
	uint64_t data[16];
	uint32_t size = 95;

	assert_int_equal(query(file, PB_QUERY_GPU_INFO, data, &size), -EINVAL);
	size = 96;
	assert_int_equal(query(file, PB_QUERY_GPU_INFO, data, &size), 0);
	size = 7;
	assert_int_equal(query(file, PB_QUERY_MMU_INFO, data, &size), -EINVAL);
	size = 112;
	assert_int_equal(query(file, PB_QUERY_GPU_INFO, (void *)8, &size), -EFAULT);
	rig_close(file);
}

static void mmu_info_has_pages_and_blocks(void **state)
{
	struct pb_file *file = rig_open("");
	uint64_t sizes = 0;
	uint32_t size = sizeof(sizes);

	assert_int_equal(query(file, PB_QUERY_MMU_INFO, &sizes, &size), 0);
	assert_int_equal(sizes, 1 << 12 | 1 << 21);
	rig_close(file);
}

static void timestamps_go_forward_and_know_their_flags(void **state)
{
	struct pb_file *file = rig_open("");
	struct pb_uapi_timestamp_info a = {0}, b = {.flags = 1 | 1 << 1};
	uint32_t size = sizeof(a);

	assert_int_equal(query(file, PB_QUERY_TIMESTAMP_INFO, &a, &size), 0);
	assert_int_not_equal(a.timestamp_frequency, 0);
	assert_int_equal(query(file, PB_QUERY_TIMESTAMP_INFO, &b, &size), 0);
	assert_true(b.current_timestamp >= a.current_timestamp);
	assert_int_equal(b.timestamp_frequency, 0); /* not asked for */
	assert_true(b.cpu_timestamp_sec || b.cpu_timestamp_nsec);
	b.flags = 1 << 8;
	assert_int_equal(query(file, PB_QUERY_TIMESTAMP_INFO, &b, &size), -EINVAL);
	rig_close(file);
}

static void an_unknown_number_is_einval_and_another_type_enotty(void **state)
{
	struct pb_file *file = rig_open("");
	char data[64] = {0};

	assert_int_equal(rig_ioctl(file, DRM_IOWR(DRM_COMMAND_BASE + 17, char[16]), data), -EINVAL);
	assert_int_equal(rig_ioctl(file, DRM_IOWR(0x36, char[16]), data), -EINVAL);
	/* One for displays is known, and not for render nodes. */
	assert_int_equal(rig_ioctl(file, DRM_IOWR(0x3f, char[16]), data), -EACCES);
	assert_int_equal(rig_ioctl(file, _IOWR('x', 0, char[16]), data), -ENOTTY);
	rig_close(file);
}

static void an_ioctl_newer_than_the_driver_is_unknown(void **state)
{
	static const struct {
		unsigned long request;
		unsigned minor;
	} cases[] = {
		{PB_IOCTL_BO_SET_LABEL, 4},
		{PB_IOCTL_SET_USER_MMIO_OFFSET, 5},
		{PB_IOCTL_BO_SYNC, 7},
		{PB_IOCTL_BO_QUERY_INFO, 7},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct pb_file *old = open_minor(cases[i].minor - 1), *new = open_minor(cases[i].minor);
		uint32_t bo_old = rig_bo(old, 4096), bo_new = rig_bo(new, 4096);
		/* What each of the four accepts: a handle, or an offset, or no ops. */
		uint64_t args[3] = {cases[i].minor == 5			   ? UINT64_C(1) << 56
				    : cases[i].request == PB_IOCTL_BO_SYNC ? 0
									   : bo_new};

		assert_int_equal(bo_old, bo_new);
		assert_int_equal(rig_ioctl(old, cases[i].request, args), -EINVAL);
		assert_int_equal(rig_ioctl(new, cases[i].request, args), 0);
		rig_close(old);
		rig_close(new);
	}
}

static void a_shorter_argument_is_filled_up_with_zeros(void **state)
{
	struct pb_file *file = rig_open("");
	/* VM_CREATE cut before user_va_range: the driver chooses, and has nowhere to say what. */
	uint32_t args[3] = {0, 0, 0xeeeeeeee};

	assert_int_equal(rig_ioctl(file, DRM_IOWR(DRM_COMMAND_BASE + 1, char[8]), args), 0);
	assert_int_equal(args[1], 1);
	assert_int_equal(args[2], 0xeeeeeeee);
	rig_close(file);
}

static void a_longer_argument_is_taken_by_its_number(void **state)
{
	struct pb_file *file = rig_open("");
	struct {
		struct pb_uapi_vm_create args;
		uint8_t more[300];
	} big = {0};

	memset(big.more, 0xee, sizeof(big.more));
	assert_int_equal(rig_ioctl(file, _IOC(_IOC_READ | _IOC_WRITE, 'd', DRM_COMMAND_BASE + 1, sizeof(big)), &big),
			 0);
	assert_int_equal(big.args.id, 1);
	for (size_t i = 0; i < sizeof(big.more); i++)
		assert_int_equal(big.more[i], 0xee);
	rig_close(file);
}

static void a_bad_argument_pointer_is_efault(void **state)
{
	struct pb_file *file = rig_open("");

	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_CREATE, NULL), -EFAULT);
	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_CREATE, (void *)8), -EFAULT);
	rig_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_says_panthor_and_the_minor),
		cmocka_unit_test(version_into_a_bad_pointer_is_efault),
		cmocka_unit_test(capabilities_are_those_of_a_render_driver),
		cmocka_unit_test(gpu_and_csif_info_are_those_of_the_real_driver),
		cmocka_unit_test(options_show_in_gpu_info),
		cmocka_unit_test(a_query_without_a_pointer_gives_the_size),
		cmocka_unit_test(a_query_newer_than_the_driver_is_unknown),
		cmocka_unit_test(a_query_with_too_little_room_is_refused),
		cmocka_unit_test(mmu_info_has_pages_and_blocks),
		cmocka_unit_test(timestamps_go_forward_and_know_their_flags),
		cmocka_unit_test(an_unknown_number_is_einval_and_another_type_enotty),
		cmocka_unit_test(an_ioctl_newer_than_the_driver_is_unknown),
		cmocka_unit_test(a_shorter_argument_is_filled_up_with_zeros),
		cmocka_unit_test(a_longer_argument_is_taken_by_its_number),
		cmocka_unit_test(a_bad_argument_pointer_is_efault),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
