/* SPDX-License-Identifier: MIT */
/*
 * GROUP_CREATE, GROUP_DESTROY, GROUP_SUBMIT, GROUP_GET_STATE: what is refused with which errno and which of several
 * mistakes wins, handles, and that the fences of jobs signal. The jobs are empty or a row of NOPs, so that a device
 * without a GPU can answer for them.
 */
#include "raw.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_GROUPS 128
#define STREAM_VA  UINT64_C(0x200000)
#define NO_POINTER 8 /* nobody has memory there */

static const struct pb_uapi_queue_create plain_queue = {.priority = 1, .ringbuf_size = 4096};

/* A group that every device takes: one small queue, one core of each kind. */
static struct pb_uapi_group_create plain_group(const struct raw *raw)
{
	return (struct pb_uapi_group_create){
		.queues = RAW_ARRAY(&plain_queue, 1),
		.max_compute_cores = 1,
		.max_fragment_cores = 1,
		.max_tiler_cores = 1,
		.priority = PB_GROUP_PRIORITY_MEDIUM,
		.compute_core_mask = 1,
		.fragment_core_mask = 1,
		.tiler_core_mask = 1,
		.vm_id = raw->vm,
	};
}

static int create(struct raw *raw, struct pb_uapi_group_create args, uint32_t *ret_group)
{
	int ret = raw_ioctl(raw, PB_IOCTL_GROUP_CREATE, &args);

	if (!ret && ret_group)
		*ret_group = args.group_handle;
	return ret;
}

static int destroy(struct raw *raw, uint32_t group)
{
	struct pb_uapi_group_destroy args = {.group_handle = group};

	return raw_ioctl(raw, PB_IOCTL_GROUP_DESTROY, &args);
}

static uint32_t group_of(struct raw *raw, uint32_t queues)
{
	struct pb_uapi_queue_create list[PB_MAX_QUEUES];
	struct pb_uapi_group_create args = plain_group(raw);
	uint32_t group = 0;

	for (uint32_t i = 0; i < queues; i++)
		list[i] = plain_queue;
	args.queues = RAW_ARRAY(list, queues);
	raw_expect("group", create(raw, args, &group), 0);
	return group;
}

/* 0 when it is created, and then it is destroyed again. */
static int try_group(struct raw *raw, struct pb_uapi_group_create args)
{
	uint32_t group;
	int ret = create(raw, args, &group);

	if (!ret)
		raw_expect("destroy", destroy(raw, group), 0);
	return ret;
}

static int submit(struct raw *raw, uint32_t group, const struct pb_uapi_queue_submit *jobs, uint32_t count)
{
	struct pb_uapi_group_submit args = {.group_handle = group, .queue_submits = RAW_ARRAY(jobs, count)};

	return raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args);
}

static int submit_job(struct raw *raw, uint32_t group, struct pb_uapi_queue_submit job)
{
	return submit(raw, group, &job, 1);
}

static struct pb_uapi_sync_op sync_op(uint32_t flags, uint32_t handle, uint64_t point)
{
	return (struct pb_uapi_sync_op){.flags = flags | (point ? PB_SYNC_TYPE_TIMELINE : 0),
					.handle = handle,
					.timeline_value = point};
}

static struct pb_uapi_gpu_info gpu_info(struct raw *raw)
{
	struct pb_uapi_gpu_info info = {0};
	struct pb_uapi_dev_query args = {.type = PB_QUERY_GPU_INFO, .size = sizeof(info), .pointer = (uintptr_t)&info};

	raw_expect("query", raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &args), 0);
	return info;
}

static uint32_t most_queues(struct raw *raw)
{
	struct pb_uapi_csif_info info = {0};
	struct pb_uapi_dev_query args = {.type = PB_QUERY_CSIF_INFO, .size = sizeof(info), .pointer = (uintptr_t)&info};

	raw_expect("query", raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &args), 0);
	return info.cs_slot_count;
}

/* ---- GROUP_CREATE ---- */

static void groups_are_counted_from_1_and_handles_used_again(void **state)
{
	struct raw *raw = *state;

	for (uint32_t handle = 1; handle <= 4; handle++)
		assert_int_equal(group_of(raw, 1), handle);
	raw_expect("destroy", destroy(raw, 3), 0);
	raw_expect("destroy", destroy(raw, 2), 0);
	assert_int_equal(group_of(raw, 1), 2);
	assert_int_equal(group_of(raw, 1), 3);
}

/*
 * Which of two mistakes is found: since Linux 6.18 a group has its handle before its queues. That driver is 1.5,
 * as 6.16's and 6.17's are, so the simulator does so from 1.6 on.
 */
static bool table_comes_first(const struct raw *raw)
{
	return raw->minor >= (raw_is_simulated(raw) || raw->kernel < RAW_KERNEL(6, 18) ? 6 : 5);
}

static void a_file_has_128_groups(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_group_create args = plain_group(raw);
	struct pb_uapi_queue_create queue = plain_queue;

	for (uint32_t handle = 1; handle <= MAX_GROUPS; handle++)
		assert_int_equal(group_of(raw, 1), handle);
	args.group_handle = 77;
	raw_expect("one too many", raw_ioctl(raw, PB_IOCTL_GROUP_CREATE, &args), -EBUSY);
	assert_int_equal(args.group_handle, 77);
	queue.ringbuf_size = 1;
	args.queues = RAW_ARRAY(&queue, 1);
	raw_expect("with a bad queue", create(raw, args, NULL), table_comes_first(raw) ? -EBUSY : -EINVAL);
	raw_expect("destroy", destroy(raw, 99), 0);
	assert_int_equal(group_of(raw, 1), 99);
}

static void a_group_has_as_many_queues_as_the_gpu(void **state)
{
	struct raw *raw = *state;
	uint32_t most = most_queues(raw);
	struct pb_uapi_queue_create list[PB_MAX_QUEUES + 1];
	struct pb_uapi_group_create args = plain_group(raw);

	for (uint32_t i = 0; i <= PB_MAX_QUEUES; i++)
		list[i] = plain_queue;
	for (uint32_t count = 0; count <= PB_MAX_QUEUES + 1; count++) {
		args.queues = RAW_ARRAY(list, count);
		raw_expect("group", try_group(raw, args), count && count <= most ? 0 : -EINVAL);
	}
}

static void queue_arrays_are_checked(void **state)
{
	struct raw *raw = *state;
	struct {
		struct pb_uapi_queue_create queue;
		uint64_t more;
	} wide = {.queue = plain_queue};
	struct pb_uapi_group_create args = plain_group(raw);

	args.queues = (struct pb_uapi_obj_array){.stride = sizeof(wide), .count = 1, .array = (uintptr_t)&wide};
	raw_expect("newer caller", try_group(raw, args), 0);
	wide.more = 1;
	raw_expect("unknown field", try_group(raw, args), -E2BIG);
	args.queues.stride = sizeof(plain_queue) - 1;
	raw_expect("short stride", try_group(raw, args), -EINVAL);
	args.queues = (struct pb_uapi_obj_array){.stride = sizeof(plain_queue), .count = 1, .array = NO_POINTER};
	raw_expect("pointer", try_group(raw, args), -EFAULT);
	args.queues.count = PB_MAX_QUEUES + 1;
	raw_expect("count before pointer", try_group(raw, args), -EINVAL);
}

static void queues_are_checked(void **state)
{
	struct raw *raw = *state;
	const struct {
		const char *name;
		struct pb_uapi_queue_create queue;
		int want;
	} cases[] = {
		{"smallest", {.ringbuf_size = 4096}, 0},
		{"largest", {.ringbuf_size = 65536}, 0},
		{"none", {.ringbuf_size = 0}, -EINVAL},
		{"too small", {.ringbuf_size = 2048}, -EINVAL},
		{"too large", {.ringbuf_size = 131072}, -EINVAL},
		{"no power of two", {.ringbuf_size = 12288}, -EINVAL},
		{"highest priority", {.priority = 15, .ringbuf_size = 4096}, 0},
		{"too high", {.priority = 16, .ringbuf_size = 4096}, -EINVAL},
		{"pad 0", {.pad = {1, 0, 0}, .ringbuf_size = 4096}, -EINVAL},
		{"pad 2", {.pad = {0, 0, 1}, .ringbuf_size = 4096}, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_queue_create queues[2] = {plain_queue, cases[i].queue};
		struct pb_uapi_group_create args = plain_group(raw);

		args.queues = RAW_ARRAY(queues, 2);
		raw_expect(cases[i].name, try_group(raw, args), cases[i].want);
	}
}

static void cores_must_be_there(void **state)
{
	struct raw *raw = *state;
	const struct pb_uapi_gpu_info info = gpu_info(raw);
	const uint64_t shader = info.shader_present, tiler = info.tiler_present;
	const uint8_t shaders = (uint8_t)__builtin_popcountll(shader), tilers = (uint8_t)__builtin_popcountll(tiler);
	const struct {
		const char *name;
		uint64_t compute, fragment, tiler;
		uint8_t max_compute, max_fragment, max_tiler;
		int want;
	} cases[] = {
		{"all", shader, shader, tiler, shaders, shaders, tilers, 0},
		{"none", 0, 0, 0, 0, 0, 0, 0},
		{"fewer than the mask", shader, shader, tiler, 0, 1, 0, 0},
		{"no such compute core", shader | UINT64_C(1) << 63, shader, tiler, 1, 1, 1, -EINVAL},
		{"no such fragment core", shader, shader | UINT64_C(1) << 63, tiler, 1, 1, 1, -EINVAL},
		{"no such tiler", shader, shader, tiler | 2, 1, 1, 1, -EINVAL},
		{"more compute cores", shader, shader, tiler, shaders + 1, 1, 1, -EINVAL},
		{"more fragment cores", 1, 1, 1, 1, 2, 1, -EINVAL},
		{"more tilers", 1, 1, 0, 1, 1, 1, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_group_create args = plain_group(raw);

		args.compute_core_mask = cases[i].compute;
		args.fragment_core_mask = cases[i].fragment;
		args.tiler_core_mask = cases[i].tiler;
		args.max_compute_cores = cases[i].max_compute;
		args.max_fragment_cores = cases[i].max_fragment;
		args.max_tiler_cores = cases[i].max_tiler;
		raw_expect(cases[i].name, try_group(raw, args), cases[i].want);
	}
}

static void a_group_needs_a_vm(void **state)
{
	struct raw *raw = *state;
	const uint32_t ids[] = {0, 2, 33, UINT32_MAX};
	struct pb_uapi_group_create args = plain_group(raw);

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		args.vm_id = ids[i];
		raw_expect("unknown", create(raw, args, NULL), -EINVAL);
	}
	args.vm_id = raw_vm(raw);
	raw_expect("destroy", raw_vm_destroy(raw, args.vm_id), 0);
	raw_expect("destroyed", create(raw, args, NULL), -EINVAL);
}

/* With or without CAP_SYS_NICE from now on: did it have it before? */
static bool set_nice(bool on)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	const uint32_t bit = CAP_TO_MASK(CAP_SYS_NICE);
	uint32_t *effective = &data[CAP_TO_INDEX(CAP_SYS_NICE)].effective;
	bool before;

	assert_int_equal(syscall(SYS_capget, &header, data), 0);
	before = *effective & bit;
	*effective = on ? *effective | bit : *effective & ~bit;
	assert_int_equal(syscall(SYS_capset, &header, data), 0);
	return before;
}

static int try_priority(struct raw *raw, uint8_t priority)
{
	struct pb_uapi_group_create args = plain_group(raw);

	args.priority = priority;
	return try_group(raw, args);
}

static void high_priorities_need_a_capability(void **state)
{
	struct raw *raw = *state;
	const uint8_t highest = raw->minor >= 2 ? PB_GROUP_PRIORITY_REALTIME : PB_GROUP_PRIORITY_HIGH;
	struct pb_uapi_group_create args = plain_group(raw);
	bool nice = set_nice(false);

	args.priority = highest;
	args.pad = 1;
	args.vm_id = 99;
	for (uint8_t priority = 0; priority <= highest + 1; priority++) {
		int want = priority <= PB_GROUP_PRIORITY_MEDIUM ? 0 : priority <= highest ? -EACCES : -EINVAL;

		raw_expect("without", try_priority(raw, priority), want);
	}
	raw_expect("permission before padding and VM", create(raw, args, NULL), -EACCES);
	if (!nice)
		return;
	set_nice(true);
	for (uint8_t priority = 0; priority <= highest + 1; priority++)
		raw_expect("with", try_priority(raw, priority), priority <= highest ? 0 : -EINVAL);
	raw_expect("unknown", try_priority(raw, 255), -EINVAL);
}

/* DEV_QUERY says what GROUP_CREATE does. */
static void the_query_knows_the_allowed_priorities(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_group_priorities_info info = {0};
	struct pb_uapi_dev_query args = {.type = PB_QUERY_GROUP_PRIORITIES_INFO,
					 .size = sizeof(info),
					 .pointer = (uintptr_t)&info};
	bool nice;

	raw_need_minor(raw, 2);
	nice = set_nice(false);
	raw_expect("query", raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &args), 0);
	assert_int_equal(info.allowed_mask, 0x3);
	if (!nice)
		return;
	set_nice(true);
	raw_expect("query", raw_ioctl(raw, PB_IOCTL_DEV_QUERY, &args), 0);
	assert_int_equal(info.allowed_mask, 0xf);
}

/* ---- GROUP_DESTROY, GROUP_GET_STATE ---- */

static void unknown_groups_are_refused(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1);
	const uint32_t handles[] = {0, group + 1, MAX_GROUPS + 1, 0x10000 + group, UINT32_MAX};
	struct pb_uapi_group_destroy padded = {.group_handle = group, .pad = 1};

	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
		struct pb_uapi_group_get_state get = {.group_handle = handles[i]};

		raw_expect("state", raw_ioctl(raw, PB_IOCTL_GROUP_GET_STATE, &get), -EINVAL);
		raw_expect("destroy", destroy(raw, handles[i]), -EINVAL);
	}
	raw_expect("padded", raw_ioctl(raw, PB_IOCTL_GROUP_DESTROY, &padded), -EINVAL);
	raw_expect("destroy", destroy(raw, group), 0);
	raw_expect("twice", destroy(raw, group), -EINVAL);
	raw_expect("submit", submit_job(raw, group, (struct pb_uapi_queue_submit){0}), -EINVAL);
}

static void the_state_of_a_good_group_is_all_zeros(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1);
	struct pb_uapi_group_get_state get = {.group_handle = group, .state = 77, .fatal_queues = 77}, zero = {0};

	raw_expect("state", raw_ioctl(raw, PB_IOCTL_GROUP_GET_STATE, &get), 0);
	assert_memory_equal(&get, &zero, sizeof(get)); /* the handle is gone too */
	get = (struct pb_uapi_group_get_state){.group_handle = group, .state = 77, .pad = 1};
	raw_expect("padded", raw_ioctl(raw, PB_IOCTL_GROUP_GET_STATE, &get), -EINVAL);
	assert_int_equal(get.state, 77);
}

static void files_have_groups_of_their_own(void **state)
{
	struct raw *pair[2];
	uint32_t group;

	raw_open_pair(pair);
	group = group_of(pair[0], 1);
	raw_expect("destroy", destroy(pair[1], group), -EINVAL);
	assert_int_equal(group_of(pair[1], 1), group);
	raw_close(pair[0]);
	raw_expect("submit", submit_job(pair[1], group, (struct pb_uapi_queue_submit){0}), 0);
	raw_close(pair[1]);
}

/* ---- GROUP_SUBMIT ---- */

static void jobs_are_checked(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 2);
	const struct {
		const char *name;
		struct pb_uapi_queue_submit job;
		int want;
	} cases[] = {
		{"empty", {0}, 0},
		{"second queue", {.queue_index = 1}, 0},
		{"no such queue", {.queue_index = 2}, -EINVAL},
		{"no such queue", {.queue_index = UINT32_MAX}, -EINVAL},
		{"padded", {.pad = 1}, -EINVAL},
		{"size without address", {.stream_size = 64}, -EINVAL},
		{"address without size", {.stream_addr = STREAM_VA}, -EINVAL},
		{"unaligned size", {.stream_size = 60, .stream_addr = STREAM_VA}, -EINVAL},
		{"unaligned address", {.stream_size = 64, .stream_addr = STREAM_VA + 32}, -EINVAL},
		{"flush id", {.latest_flush = 0x80ffffff}, 0},
		{"bit 24 of the flush id", {.latest_flush = 1u << 24}, -EINVAL},
		{"bit 30 of the flush id", {.latest_flush = 1u << 30}, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		raw_expect(cases[i].name, submit_job(raw, group, cases[i].job), cases[i].want);
	raw_expect("group", submit_job(raw, group + 1, cases[0].job), -EINVAL);
	raw_expect("no group", submit_job(raw, 0, cases[0].job), -EINVAL);
	raw_expect("only 16 bits of a handle count", submit_job(raw, group | 0x50000, cases[0].job), 0);
}

static void job_arrays_are_checked(void **state)
{
	struct raw *raw = *state;
	struct {
		struct pb_uapi_queue_submit job;
		uint64_t more;
	} wide = {.more = 0};
	struct pb_uapi_group_submit args = {.group_handle = group_of(raw, 1)};

	raw_expect("no jobs", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), 0);
	args.queue_submits = (struct pb_uapi_obj_array){.stride = sizeof(wide), .count = 1, .array = (uintptr_t)&wide};
	raw_expect("newer caller", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), 0);
	wide.more = 1;
	raw_expect("unknown field", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), -E2BIG);
	args.queue_submits.stride = sizeof(wide.job) - 1;
	raw_expect("short stride", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), -EINVAL);
	args.queue_submits = (struct pb_uapi_obj_array){.stride = sizeof(wide.job), .count = 1, .array = NO_POINTER};
	raw_expect("pointer", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), -EFAULT);
	args.group_handle = 99;
	raw_expect("pointer before group", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), -EFAULT);
	args.queue_submits.count = 0;
	raw_expect("no jobs, no group", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), 0);
	args.pad = 1;
	raw_expect("padded", raw_ioctl(raw, PB_IOCTL_GROUP_SUBMIT, &args), -EINVAL);
}

static void bad_syncs_are_refused(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), empty = raw_syncobj(raw, 0);
	uint32_t full = raw_syncobj(raw, DRM_SYNCOBJ_CREATE_SIGNALED);
	const struct {
		const char *name;
		struct pb_uapi_sync_op sync;
		int want;
	} cases[] = {
		{"wait for no handle", sync_op(0, 999, 0), -ENOENT},
		{"wait without a fence", sync_op(0, empty, 0), -EINVAL},
		{"wait for a point not there", sync_op(0, full, 3), -EINVAL},
		{"point of a binary wait", {.handle = full, .timeline_value = 3}, -EINVAL},
		{"point of a binary signal", {.flags = PB_SYNC_SIGNAL, .handle = empty, .timeline_value = 3}, -EINVAL},
		{"unknown flag", {.flags = 0x100, .handle = full}, -EINVAL},
		{"unknown type", {.flags = 2, .handle = full}, -EINVAL},
		{"wait for a signalled one", sync_op(0, full, 0), 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_sync_op sync = cases[i].sync;

		raw_expect(cases[i].name,
			   submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = RAW_ARRAY(&sync, 1)}),
			   cases[i].want);
	}
	raw_expect("pointer", submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = {16, 1, NO_POINTER}}),
		   -EFAULT);
	raw_expect("stride", submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = {15, 1, NO_POINTER}}),
		   -EINVAL);
}

static void empty_jobs_signal_their_syncs(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), binary = raw_syncobj(raw, 0), timeline = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op syncs[2] = {sync_op(PB_SYNC_SIGNAL, binary, 0), sync_op(PB_SYNC_SIGNAL, timeline, 5)};

	raw_expect("submit", submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = RAW_ARRAY(syncs, 2)}), 0);
	raw_expect("wait", raw_sync_wait(raw, binary, 0), 0);
	raw_expect("wait", raw_sync_wait(raw, timeline, 5), 0);
	assert_int_equal(raw_sync_status(raw, binary), 0);
}

static void a_wait_finds_the_signal_of_a_job_before_it(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 2), handle = raw_syncobj(raw, 0), done = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op first = sync_op(PB_SYNC_SIGNAL, handle, 7);
	struct pb_uapi_sync_op second[2] = {sync_op(0, handle, 7), sync_op(PB_SYNC_SIGNAL, done, 0)};
	const struct pb_uapi_queue_submit jobs[2] = {{.queue_index = 0, .syncs = RAW_ARRAY(&first, 1)},
						     {.queue_index = 1, .syncs = RAW_ARRAY(second, 2)}};

	raw_expect("submit", submit(raw, group, jobs, 2), 0);
	raw_expect("wait", raw_sync_wait(raw, done, 0), 0);
	raw_expect("point", raw_sync_poll(raw, handle, 7), 0);
}

static void one_bad_job_refuses_all(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), handle = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op signal = sync_op(PB_SYNC_SIGNAL, handle, 0), wait = sync_op(0, 999, 0);
	struct pb_uapi_queue_submit jobs[2] = {{.syncs = RAW_ARRAY(&signal, 1)}, {.queue_index = 1}};

	raw_expect("bad job", submit(raw, group, jobs, 2), -EINVAL);
	jobs[1] = (struct pb_uapi_queue_submit){.syncs = RAW_ARRAY(&wait, 1)};
	raw_expect("bad wait", submit(raw, group, jobs, 2), -ENOENT);
	raw_expect("no fence was put anywhere", raw_sync_poll(raw, handle, 0), -EINVAL);
}

/* VM_BIND and jobs wait for each other, as sparse binding has it. */
static void binds_and_jobs_order_each_other(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), timeline = raw_syncobj(raw, 0);

	for (uint64_t point = 1; point < 40; point += 2) {
		struct pb_uapi_sync_op bind[2] = {sync_op(PB_SYNC_SIGNAL, timeline, point),
						  sync_op(0, timeline, point - 1)};
		struct pb_uapi_sync_op job[2] = {sync_op(0, timeline, point),
						 sync_op(PB_SYNC_SIGNAL, timeline, point + 1)};

		raw_expect("bind",
			   raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_SYNC_ONLY,
							 .syncs = RAW_ARRAY(bind, point == 1 ? 1 : 2))),
			   0);
		raw_expect("submit", submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = RAW_ARRAY(job, 2)}),
			   0);
	}
	raw_expect("wait", raw_sync_wait(raw, timeline, 40), 0);
}

/* A page of zeros is a stream of NOPs. */
static struct pb_uapi_queue_submit nops(struct raw *raw)
{
	raw_expect("map", raw_map(raw, STREAM_VA, RAW_PAGE, raw->bo, 0, 0), 0);
	return (struct pb_uapi_queue_submit){.stream_size = 512, .stream_addr = STREAM_VA};
}

static void jobs_end_in_the_order_of_their_queue(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), timeline = raw_syncobj(raw, 0), last = raw_syncobj(raw, 0);
	struct pb_uapi_queue_submit job = nops(raw);
	struct pb_uapi_group_get_state get = {.group_handle = group};
	struct pb_uapi_sync_op signal;

	for (uint64_t point = 1; point <= 8; point++) {
		signal = sync_op(PB_SYNC_SIGNAL, timeline, point);
		job.syncs = RAW_ARRAY(&signal, 1);
		raw_expect("submit", submit_job(raw, group, job), 0);
	}
	/* an empty one is done when those before it are */
	signal = sync_op(PB_SYNC_SIGNAL, last, 0);
	raw_expect("submit", submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = RAW_ARRAY(&signal, 1)}), 0);
	raw_expect("wait", raw_sync_wait(raw, last, 0), 0);
	raw_expect("all of them", raw_sync_poll(raw, timeline, 8), 0);
	assert_int_equal(raw_sync_status(raw, last), 0);
	raw_expect("state", raw_ioctl(raw, PB_IOCTL_GROUP_GET_STATE, &get), 0);
	assert_int_equal(get.state, 0);
}

static void fences_signal_though_the_group_is_destroyed(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), timeline = raw_syncobj(raw, 0);
	struct pb_uapi_queue_submit job = nops(raw);

	for (uint64_t point = 1; point <= 8; point++) {
		struct pb_uapi_sync_op signal = sync_op(PB_SYNC_SIGNAL, timeline, point);

		job.syncs = RAW_ARRAY(&signal, 1);
		raw_expect("submit", submit_job(raw, group, job), 0);
	}
	raw_expect("destroy", destroy(raw, group), 0);
	raw_expect("wait", raw_sync_wait(raw, timeline, 8), 0);
}

static void a_group_outlives_its_vm(void **state)
{
	struct raw *raw = *state;
	uint32_t group = group_of(raw, 1), handle = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op signal = sync_op(PB_SYNC_SIGNAL, handle, 0);
	struct pb_uapi_group_get_state get = {.group_handle = group};

	raw_expect("destroy", raw_vm_destroy(raw, raw->vm), 0);
	raw_expect("submit", submit_job(raw, group, (struct pb_uapi_queue_submit){.syncs = RAW_ARRAY(&signal, 1)}), 0);
	raw_expect("wait", raw_sync_wait(raw, handle, 0), 0);
	raw_expect("state", raw_ioctl(raw, PB_IOCTL_GROUP_GET_STATE, &get), 0);
	assert_int_equal(get.state, 0);
	raw_expect("destroy", destroy(raw, group), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(groups_are_counted_from_1_and_handles_used_again),
		TEST(a_file_has_128_groups),
		TEST(a_group_has_as_many_queues_as_the_gpu),
		TEST(queue_arrays_are_checked),
		TEST(queues_are_checked),
		TEST(cores_must_be_there),
		TEST(a_group_needs_a_vm),
		TEST(high_priorities_need_a_capability),
		TEST(the_query_knows_the_allowed_priorities),
		TEST(unknown_groups_are_refused),
		TEST(the_state_of_a_good_group_is_all_zeros),
		TEST(files_have_groups_of_their_own),
		TEST(jobs_are_checked),
		TEST(job_arrays_are_checked),
		TEST(bad_syncs_are_refused),
		TEST(empty_jobs_signal_their_syncs),
		TEST(a_wait_finds_the_signal_of_a_job_before_it),
		TEST(one_bad_job_refuses_all),
		TEST(binds_and_jobs_order_each_other),
		TEST(jobs_end_in_the_order_of_their_queue),
		TEST(fences_signal_though_the_group_is_destroyed),
		TEST(a_group_outlives_its_vm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
