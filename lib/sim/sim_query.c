/* SPDX-License-Identifier: MIT */
/*
 * What the device says of itself: DRM version, capabilities, DEV_QUERY.
 *
 * The numbers are those that the real driver gave for a Mali G610, but for what options change: VA bits, AS slots, and
 * what is not there yet below some minor. A query without a pointer asks for the size of the answer.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "sim.h"
#include "sim_user.h"

/* Smallest answers the driver accepts: up to the last field of the first version. */
#define GPU_INFO_MIN  96u
#define TIMESTAMP_MIN 16u
#define TIMESTAMP_1_1 24u

#define COHERENCY_NONE	  31u
#define TIMESTAMP_HZ	  24000000u
#define TIMESTAMP_GPU	  (1u << 0)
#define TIMESTAMP_CPU	  (7u << 1)
#define TIMESTAMP_CPU_RAW (2u << 1)
#define TIMESTAMP_OFFSET  (1u << 4)
#define TIMESTAMP_CYCLES  (1u << 5)
#define TIMESTAMP_FREQ	  (1u << 6)
#define TIMESTAMP_TIME	  (1u << 7)
#define TIMESTAMP_KNOWN	  0xffu

static int copy_field(char *user, __kernel_size_t *length, const char *value)
{
	size_t have = strlen(value), room = *length;

	*length = have;
	if (!user || !room)
		return 0;
	return sim_copy_to_user((uintptr_t)user, value, have < room ? have : room);
}

int sim_version_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct drm_version *version = arg;
	int ret;

	version->version_major = 1;
	version->version_minor = (int)file->device->options.minor;
	version->version_patchlevel = 0;
	ret = copy_field(version->name, &version->name_len, "panthor");
	if (!ret)
		ret = copy_field(version->date, &version->date_len, "0");
	if (!ret)
		ret = copy_field(version->desc, &version->desc_len, "Panthor DRM driver");
	return ret;
}

int sim_get_cap_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct drm_get_cap *cap = arg;

	cap->value = 0;
	switch (cap->capability) {
	case DRM_CAP_TIMESTAMP_MONOTONIC:
	case DRM_CAP_SYNCOBJ:
	case DRM_CAP_SYNCOBJ_TIMELINE:
		cap->value = 1;
		return 0;
	case DRM_CAP_PRIME:
		cap->value = DRM_PRIME_CAP_IMPORT | DRM_PRIME_CAP_EXPORT;
		return 0;
	default:
		return -EOPNOTSUPP; /* all others are for displays */
	}
}

static int put_gpu_info(const struct sim_options *options, uint64_t user, uint32_t *size)
{
	const struct pb_uapi_gpu_info info = {
		.gpu_id = 0xa8670005,
		.csf_id = 0x040a0412,
		.l2_features = 0x07120300 | SIM_CACHE_LINE_LOG2,
		.tiler_features = 0x00000809,
		.mem_features = 0x00000301,
		.mmu_features = 40u << 8 | options->va_bits,
		.thread_features = 0x04010000,
		.max_threads = 2048,
		.thread_max_workgroup_size = 1024,
		.thread_max_barrier_size = 1024,
		.texture_features = {0xc1ffff9e},
		.as_present = (1u << (options->as_slots + 1)) - 1,
		.selected_coherency = options->minor >= 7 ? COHERENCY_NONE : 0,
		.shader_present = SIM_SHADER_PRESENT,
		.l2_present = 1,
		.tiler_present = SIM_TILER_PRESENT,
	};
	uint32_t have = options->minor >= 7 ? sizeof(info) : PB_GPU_INFO_SIZE_1_0;

	if (user)
		return sim_put_object(user, *size, GPU_INFO_MIN, &info, have);
	*size = have;
	return 0;
}

static int put_csif_info(const struct sim_options *options, uint64_t user, uint32_t *size)
{
	static const struct pb_uapi_csif_info info = {
		.csg_slot_count = 8,
		.cs_slot_count = SIM_CS_SLOTS,
		.cs_reg_count = 96,
		.scoreboard_slot_count = 8,
		.unpreserved_cs_reg_count = 4,
	};

	if (user)
		return sim_put_object(user, *size, sizeof(info), &info, sizeof(info));
	*size = sizeof(info);
	return 0;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The GPU's counter runs with the monotonic clock, at the rate of a usual SoC timer. */
static void fill_timestamps(struct pb_uapi_timestamp_info *info)
{
	uint32_t flags = info->flags ? info->flags : TIMESTAMP_GPU | TIMESTAMP_OFFSET | TIMESTAMP_FREQ;
	uint64_t ns = clock_ns(CLOCK_MONOTONIC), ticks = ns / 1000 * (TIMESTAMP_HZ / 1000000);
	uint32_t cpu = flags & TIMESTAMP_CPU;

	*info = (struct pb_uapi_timestamp_info){.flags = info->flags};
	if (flags & TIMESTAMP_FREQ)
		info->timestamp_frequency = TIMESTAMP_HZ;
	if (flags & TIMESTAMP_GPU)
		info->current_timestamp = ticks;
	if (flags & TIMESTAMP_CYCLES)
		info->cycle_count = ticks;
	if (cpu) {
		uint64_t time = clock_ns(cpu == TIMESTAMP_CPU_RAW ? CLOCK_MONOTONIC_RAW : CLOCK_MONOTONIC);

		info->cpu_timestamp_sec = time / 1000000000u;
		info->cpu_timestamp_nsec = time % 1000000000u;
	}
	if (flags & TIMESTAMP_TIME)
		info->duration_nsec = (uint32_t)(clock_ns(CLOCK_MONOTONIC) - ns);
}

static int put_timestamp_info(const struct sim_options *options, uint64_t user, uint32_t *size)
{
	struct pb_uapi_timestamp_info info = {0};
	uint32_t have = options->minor >= 8 ? sizeof(info) : TIMESTAMP_1_1;

	if (!user) {
		*size = have;
		return 0;
	}
	if (options->minor >= 8) {
		int ret = sim_get_struct(&info, sizeof(info), user, *size);

		if (ret)
			return ret;
	}
	if (info.flags & ~TIMESTAMP_KNOWN || (info.flags & TIMESTAMP_CPU) > TIMESTAMP_CPU_RAW)
		return -EINVAL;
	fill_timestamps(&info);
	return sim_put_object(user, *size, TIMESTAMP_MIN, &info, have);
}

static int put_group_priorities(const struct sim_options *options, uint64_t user, uint32_t *size)
{
	struct pb_uapi_group_priorities_info info = {0};

	for (unsigned priority = PB_GROUP_PRIORITY_LOW; priority <= PB_GROUP_PRIORITY_REALTIME; priority++)
		if (!sim_group_priority_permit(options, priority))
			info.allowed_mask |= 1u << priority;
	if (user)
		return sim_put_object(user, *size, sizeof(info), &info, sizeof(info));
	*size = sizeof(info);
	return 0;
}

static int put_mmu_info(const struct sim_options *options, uint64_t user, uint32_t *size)
{
	static const struct pb_uapi_mmu_info info = {.page_size_bitmap = SIM_PAGE_SIZE | SIM_BLOCK_SIZE};

	if (user)
		return sim_put_object(user, *size, sizeof(info), &info, sizeof(info));
	*size = sizeof(info);
	return 0;
}

static const struct {
	unsigned minor;
	int (*put)(const struct sim_options *options, uint64_t user, uint32_t *size);
} queries[] = {
	[PB_QUERY_GPU_INFO] = {0, put_gpu_info},
	[PB_QUERY_CSIF_INFO] = {0, put_csif_info},
	[PB_QUERY_TIMESTAMP_INFO] = {1, put_timestamp_info},
	[PB_QUERY_GROUP_PRIORITIES_INFO] = {2, put_group_priorities},
	[PB_QUERY_MMU_INFO] = {9, put_mmu_info},
};

int sim_dev_query_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_dev_query *args = arg;
	const struct sim_options *options = &file->device->options;

	if (args->type >= SIM_ARRAY_SIZE(queries) || options->minor < queries[args->type].minor)
		return -EINVAL;
	return queries[args->type].put(options, args->pointer, &args->size);
}
