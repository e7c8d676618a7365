/* SPDX-License-Identifier: MIT */
/* VERSION, GET_CAP and DEV_QUERY: what a device says of itself, and to callers of which size. */
#include "raw.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>

static int dev_query(struct raw *raw, uint32_t type, void *data, uint32_t *size)
{
	struct pb_uapi_dev_query args = {.type = type, .size = *size, .pointer = (uintptr_t)data};
	int ret = raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

static void the_driver_is_called_panthor(void **state)
{
	struct raw *raw = *state;
	char name[32] = "", date[32] = "", desc[64] = "";
	struct drm_version version = {0};

	/* without buffers: the lengths */
	raw_expect("lengths", raw_ioctl(raw, DRM_IOCTL_VERSION, &version), 0);
	assert_int_equal(version.version_major, 1);
	assert_int_equal(version.name_len, strlen("panthor"));
	/* with buffers: the text, without a terminating NUL */
	version = (struct drm_version){.name = name,
				       .name_len = sizeof(name),
				       .date = date,
				       .date_len = sizeof(date),
				       .desc = desc,
				       .desc_len = sizeof(desc)};
	raw_expect("texts", raw_ioctl(raw, DRM_IOCTL_VERSION, &version), 0);
	assert_string_equal(name, "panthor");
	/* with one that is too short: as much as fits, and the whole length */
	memset(name, 0, sizeof(name));
	version = (struct drm_version){.name = name, .name_len = 3};
	raw_expect("short", raw_ioctl(raw, DRM_IOCTL_VERSION, &version), 0);
	assert_string_equal(name, "pan");
	assert_int_equal(version.name_len, strlen("panthor"));
}

static void syncobjs_timelines_and_prime_are_there(void **state)
{
	struct raw *raw = *state;
	const struct {
		uint64_t capability, want;
	} cases[] = {{DRM_CAP_SYNCOBJ, 1}, {DRM_CAP_SYNCOBJ_TIMELINE, 1}, {DRM_CAP_PRIME, 3}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct drm_get_cap args = {.capability = cases[i].capability};

		raw_expect("GET_CAP", raw_ioctl(raw, DRM_IOCTL_GET_CAP, &args), 0);
		assert_int_equal(args.value, cases[i].want);
	}
}

static void gpu_info_is_plausible(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_gpu_info info;
	uint32_t size = sizeof(info);

	memset(&info, 0xff, sizeof(info));
	raw_expect("query", dev_query(raw, PB_QUERY_GPU_INFO, &info, &size), 0);
	assert_int_equal(size, sizeof(info)); /* as it was asked */
	assert_int_not_equal(info.gpu_id, 0);
	assert_in_range(PB_MMU_VA_BITS(info.mmu_features), 33, 52);
	assert_in_range(PB_MMU_PA_BITS(info.mmu_features), 32, 52);
	assert_true(info.as_present & 1); /* the firmware's own address space */
	assert_int_not_equal(info.shader_present, 0);
	assert_int_equal(info.pad, 0);
}

static void csif_info_is_plausible(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_csif_info info = {.pad = ~0u};
	uint32_t size = sizeof(info);

	raw_expect("query", dev_query(raw, PB_QUERY_CSIF_INFO, &info, &size), 0);
	assert_in_range(info.csg_slot_count, 1, 31);
	assert_in_range(info.cs_slot_count, 1, 32);
	assert_int_equal(info.pad, 0);
}

/* For each query: the size it has without a pointer, and the size of the struct as it was first published. */
struct query_case {
	const char *name;
	uint32_t type, full, least;
	int minor;
};

static const struct query_case queries[] = {
	{"GPU_INFO", PB_QUERY_GPU_INFO, PB_GPU_INFO_SIZE_1_0, 96, 0},
	{"CSIF_INFO", PB_QUERY_CSIF_INFO, sizeof(struct pb_uapi_csif_info), 24, 0},
	{"GROUP_PRIORITIES_INFO", PB_QUERY_GROUP_PRIORITIES_INFO, 4, 4, 2},
	{"MMU_INFO", PB_QUERY_MMU_INFO, 8, 8, 9},
};

static void callers_of_any_size_are_served(void **state)
{
	struct raw *raw = *state;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		const struct query_case *query = &queries[i];
		unsigned char buffer[256];
		uint32_t full = 0, size;

		if (raw->minor < query->minor)
			continue;
		/* without a pointer: the size; drivers of an age to come may have more */
		raw_expect(query->name, dev_query(raw, query->type, NULL, &full), 0);
		assert_true(full >= query->full && full < sizeof(buffer));

		size = query->least - 1;
		raw_expect("less than there ever was", dev_query(raw, query->type, buffer, &size), -EINVAL);
		memset(buffer, 0xff, sizeof(buffer));
		size = query->least;
		raw_expect("the first struct", dev_query(raw, query->type, buffer, &size), 0);
		assert_int_equal(buffer[query->least], 0xff);
		size = sizeof(buffer);
		raw_expect("a longer one", dev_query(raw, query->type, buffer, &size), 0);
		for (size_t at = full; at < sizeof(buffer); at++)
			assert_int_equal(buffer[at], 0);
		size = query->least;
		raw_expect("a bad pointer", dev_query(raw, query->type, (void *)8, &size), -EFAULT);
	}
}

static void unknown_queries_are_refused(void **state)
{
	struct raw *raw = *state;
	const uint32_t types[] = {5, 100, UINT32_MAX};
	char buffer[64];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint32_t size = sizeof(buffer);

		raw_expect("with a pointer", dev_query(raw, types[i], buffer, &size), -EINVAL);
		raw_expect("without", dev_query(raw, types[i], NULL, &size), -EINVAL);
	}
}

/* The frequency is that of Arm's timer; 0, which stands for "unknown", on any other machine, as in the kernel box. */
static bool knows_its_clock(const struct raw *raw)
{
	struct utsname machine;

	assert_int_equal(uname(&machine), 0);
	return raw_is_simulated(raw) || strncmp(machine.machine, "a", 1) == 0; /* aarch64, armv7l, ... */
}

static void timestamps_go_up(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_timestamp_info first = {0}, second = {0};
	uint32_t size = 24; /* the first form: frequency, current, offset */

	raw_need_minor(raw, 1);
	raw_expect("query", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &first, &size), 0);
	raw_expect("query", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &second, &size), 0);
	assert_int_equal(first.timestamp_frequency != 0, knows_its_clock(raw));
	assert_int_equal(first.timestamp_frequency, second.timestamp_frequency);
	assert_true(second.current_timestamp >= first.current_timestamp);
}

static void timestamp_flags_are_checked(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_timestamp_info info = {.flags = 1u << 31};
	uint32_t size = sizeof(info), full = 0;

	raw_need_minor(raw, 8);
	raw_expect("size", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, NULL, &full), 0);
	assert_true(full >= sizeof(info));
	raw_expect("unknown flag", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &info, &size), -EINVAL);
	info.flags = 0;
	raw_expect("none", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &info, &size), 0);
	assert_int_not_equal(info.current_timestamp, 0);
}

/* Since 1.8 the struct is read too, and so may be too long, or nowhere, before it is too short. */
static void the_timestamp_struct_is_read(void **state)
{
	struct raw *raw = *state;
	struct {
		struct pb_uapi_timestamp_info info;
		uint64_t more;
	} wide = {0};
	uint32_t size;

	raw_need_minor(raw, 8);
	size = sizeof(wide);
	raw_expect("longer, with zeros", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &wide, &size), 0);
	wide.more = 1;
	raw_expect("longer, with more", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &wide, &size), -E2BIG);
	size = 8;
	raw_expect("too short", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &wide, &size), -EINVAL);
	raw_expect("nowhere", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, (void *)8, &size), -EFAULT);
	size = 0;
	raw_expect("nothing, nowhere", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, (void *)8, &size), -EINVAL);
}

/* What is behind the struct is looked at in order: something that is there, or a page that is not. */
static void what_comes_first_behind_the_struct_wins(void **state)
{
	struct raw *raw = *state;
	unsigned char *pages, *info;
	uint32_t size = 160;

	raw_need_minor(raw, 8);
	pages = mmap(NULL, 2 * RAW_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	info = pages + RAW_PAGE - 80;
	assert_int_equal(munmap(pages + RAW_PAGE, RAW_PAGE), 0);
	raw_expect("zeros, then nothing", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, info, &size), -EFAULT);
	info[64] = 1;
	raw_expect("something, then nothing", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, info, &size), -E2BIG);
	munmap(pages, RAW_PAGE);
}

/* Flags in bits 0 to 7: GPU, CPU (3 bits: none, monotonic, raw), offset, cycles, frequency, duration. */
static void timestamps_are_those_asked_for(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_timestamp_info info = {.flags = 1u << 1, .current_timestamp = 1, .timestamp_frequency = 1};
	uint32_t size = sizeof(info);

	raw_need_minor(raw, 8);
	raw_expect("monotonic", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &info, &size), 0);
	assert_int_equal(info.flags, 1u << 1);
	assert_int_equal(info.current_timestamp, 0);
	assert_int_equal(info.timestamp_frequency, 0);
	assert_int_equal(info.cycle_count, 0);
	assert_int_equal(info.duration_nsec, 0);
	assert_int_not_equal(info.cpu_timestamp_sec + info.cpu_timestamp_nsec, 0);
	assert_in_range(info.cpu_timestamp_nsec, 0, 999999999);
	info.flags = 1u << 0;
	raw_expect("GPU", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &info, &size), 0);
	assert_int_not_equal(info.current_timestamp, 0);
	assert_int_equal(info.cpu_timestamp_sec + info.cpu_timestamp_nsec, 0);
	info.flags = 3u << 1;
	raw_expect("a clock that is none", dev_query(raw, PB_QUERY_TIMESTAMP_INFO, &info, &size), -EINVAL);
}

static void page_sizes_have_4_kib(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_mmu_info info = {0};
	uint32_t size = sizeof(info);

	raw_need_minor(raw, 9);
	raw_expect("query", dev_query(raw, PB_QUERY_MMU_INFO, &info, &size), 0);
	assert_true(info.page_size_bitmap & RAW_PAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_driver_is_called_panthor),
		TEST(syncobjs_timelines_and_prime_are_there),
		TEST(gpu_info_is_plausible),
		TEST(csif_info_is_plausible),
		TEST(callers_of_any_size_are_served),
		TEST(unknown_queries_are_refused),
		TEST(timestamps_go_up),
		TEST(timestamp_flags_are_checked),
		TEST(the_timestamp_struct_is_read),
		TEST(what_comes_first_behind_the_struct_wins),
		TEST(timestamps_are_those_asked_for),
		TEST(page_sizes_have_4_kib),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
