/* SPDX-License-Identifier: MIT */
/*
 * What an unmodified Vulkan driver did on the real panthor driver, done again ioctl by ioctl: every return value,
 * errno, ops.count, id, size and answer must come out the same. Where a difference is by design, explanations[] says
 * why.
 *
 * Calls keep the order in which they were made: a call begins when those that had ended before it have ended, and when
 * those that had begun before it have begun. So each recorded thread gets a thread here, since one may wait for what
 * another is going to submit.
 */
#include "raw.h"
#include "trace.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MAX_FILES	 8
#define MAX_THREADS	 8
#define MAX_ITEMS	 256
#define RECORDED_VA_BITS 48
#define MMIO_OFFSET	 (UINT64_C(1) << 56)
#define FOR_EVER	 (INT64_MAX / 2)

/* One recorded fd and the file that stands for it. */
struct file {
	int fd;
	struct raw *raw;
	/* fake offsets as recorded, and as this device gives them */
	struct {
		uint64_t recorded, actual;
	} offsets[MAX_ITEMS];
	size_t offset_count;
};

struct replay {
	struct trace trace;
	struct file files[MAX_FILES];
	size_t file_count;
	const char *spec;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum { WAITING, BEGUN, DONE } * states; /* by call */
	uint64_t ops;
	unsigned int explained, differences;
};

/* A call and where it is replayed. */
struct call {
	struct replay *replay;
	struct file *file;
	const struct trace_call *recorded;
};

/*
 * What the trace is taken to be. Not cmocka's assertions: those jump, which no thread but the test's own may do.
 */
#define must(condition) ((condition) ? (void)0 : give_up(call, #condition))

static void give_up(const struct call *call, const char *condition)
{
	fprintf(stderr, "line %u: %s: not as it has to be: %s\n", call->recorded->line, call->recorded->name,
		condition);
	abort();
}

/* ---- Differences ---- */

static bool other_driver(const struct call *call, uint64_t got, uint64_t want)
{
	return call->file->raw->minor != 0;
}

static bool other_gpu(const struct call *call, uint64_t got, uint64_t want)
{
	return !call->file->raw->file->backend->gpu || other_driver(call, got, want);
}

static bool always(const struct call *call, uint64_t got, uint64_t want)
{
	return true;
}

static bool of_registers(const struct call *call, uint64_t got, uint64_t want)
{
	return trace_number(call->recorded->args, "offset") >= MMIO_OFFSET && call->file->raw->file->backend->gpu;
}

static bool of_wait_all(const struct call *call, uint64_t got, uint64_t want)
{
	return (trace_number(call->recorded->args, "flags") & DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL) &&
	       (got == UINT32_MAX || want == UINT32_MAX);
}

static const struct {
	const char *name, *field;
	bool (*explains)(const struct call *call, uint64_t got, uint64_t want);
	const char *why;
} explanations[] = {
	{"VERSION", "version", other_driver, "1.0.0 was recorded; a newer driver says so"},
	{"PANTHOR_DEV_QUERY", "data", other_gpu, "another GPU, or a driver that knows more of it"},
	{"PANTHOR_BO_MMAP_OFFSET", "offset", always, "a cookie for mmap(), of the device's own choice"},
	{"mmap", "ret", of_registers, "the flush-id page is a register of real hardware"},
	{"SYNCOBJ_WAIT", "first_signaled", of_wait_all, "nothing signalled at entry leaves ~0: a race with the fence"},
	{"SYNCOBJ_TIMELINE_WAIT", "first_signaled", of_wait_all, "as for SYNCOBJ_WAIT"},
};

static void compare(const struct call *call, const char *field, uint64_t got, uint64_t want)
{
	struct replay *replay = call->replay;

	if (got == want)
		return;
	pthread_mutex_lock(&replay->lock);
	for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
		if (!strcmp(explanations[i].name, call->recorded->name) && !strcmp(explanations[i].field, field) &&
		    explanations[i].explains(call, got, want)) {
			replay->explained++;
			goto out;
		}
	}
	if (replay->differences++ < 20)
		print_message("# line %u: %s: %s is 0x%llx, recorded was 0x%llx\n", call->recorded->line,
			      call->recorded->name, field, (unsigned long long)got, (unsigned long long)want);
out:
	pthread_mutex_unlock(&replay->lock);
}

/* A number of `out`. */
static void compare_out(const struct call *call, const char *key, uint64_t got)
{
	compare(call, key, got, trace_number(call->recorded->out, key));
}

static uint64_t arg(const struct call *call, const char *key)
{
	return trace_number(call->recorded->args, key);
}

/* Issue it with the recorded request number, which states the size of the struct that the recorded program had. */
static bool issue(const struct call *call, void *args)
{
	int ret = raw_ioctl(call->file->raw, call->recorded->request, args);

	compare(call, "ret", (uint64_t)(int64_t)ret, (uint64_t)(int64_t)call->recorded->ret);
	return !ret;
}

/* ---- One function for each ioctl in the traces ---- */

static void do_version(const struct call *call)
{
	char name[32] = "", version[48];
	struct drm_version args = {.name = name, .name_len = sizeof(name) - 1};
	const char *recorded = trace_text(call->recorded->out, "name");

	if (!issue(call, &args))
		return;
	snprintf(version, sizeof(version), "%d.%d.%d", args.version_major, args.version_minor, args.version_patchlevel);
	compare(call, "version", (uint64_t)strcmp(version, trace_text(call->recorded->out, "version")), 0);
	if (*recorded) /* else it asked for the length only */
		compare(call, "name", (uint64_t)strcmp(name, recorded), 0);
}

static void do_get_cap(const struct call *call)
{
	struct drm_get_cap args = {.capability = arg(call, "capability")};

	if (issue(call, &args))
		compare_out(call, "value", args.value);
}

static void do_gem_close(const struct call *call)
{
	struct drm_gem_close args = {.handle = (uint32_t)arg(call, "handle")};

	issue(call, &args);
}

static void do_dev_query(const struct call *call)
{
	unsigned char data[256] = {0};
	char hex[2 * sizeof(data) + 1] = "";
	struct pb_uapi_dev_query args = {.type = (uint32_t)arg(call, "type"),
					 .size = (uint32_t)arg(call, "size"),
					 .pointer = (uintptr_t)data};

	must(args.size <= sizeof(data));
	if (!issue(call, &args))
		return;
	for (size_t i = 0; i < args.size; i++)
		snprintf(hex + 2 * i, 3, "%02x", data[i]);
	compare_out(call, "size", args.size);
	compare(call, "data", (uint64_t)strcmp(hex, trace_text(call->recorded->out, "data")), 0);
}

static void do_vm_create(const struct call *call)
{
	struct pb_uapi_vm_create args = {.flags = (uint32_t)arg(call, "flags"),
					 .user_va_range = arg(call, "user_va_range")};

	if (!issue(call, &args))
		return;
	compare_out(call, "id", args.id);
	compare_out(call, "user_va_range", args.user_va_range);
}

static void do_vm_destroy(const struct call *call)
{
	struct pb_uapi_vm_destroy args = {.id = (uint32_t)arg(call, "id")};

	issue(call, &args);
}

static void do_vm_get_state(const struct call *call)
{
	struct pb_uapi_vm_get_state args = {.vm_id = (uint32_t)arg(call, "vm_id"), .state = 77};

	if (issue(call, &args))
		compare_out(call, "state", args.state);
}

static void do_bo_create(const struct call *call)
{
	struct pb_uapi_bo_create args = {.size = arg(call, "size"),
					 .flags = (uint32_t)arg(call, "flags"),
					 .exclusive_vm_id = (uint32_t)arg(call, "exclusive_vm_id")};

	if (!issue(call, &args))
		return;
	compare_out(call, "handle", args.handle);
	compare_out(call, "size", args.size);
}

static void do_bo_mmap_offset(const struct call *call)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = (uint32_t)arg(call, "handle")};
	struct file *file = call->file;

	if (!issue(call, &args))
		return;
	must(file->offset_count < MAX_ITEMS);
	file->offsets[file->offset_count].recorded = trace_number(call->recorded->out, "offset");
	file->offsets[file->offset_count++].actual = args.offset;
	compare_out(call, "offset", args.offset);
}

static void do_mmap(const struct call *call)
{
	struct file *file = call->file;
	uint64_t offset = arg(call, "offset");
	size_t size = arg(call, "len");
	void *ptr;
	int ret;

	for (size_t i = 0; i < file->offset_count; i++) {
		if (file->offsets[i].recorded == offset) {
			offset = file->offsets[i].actual;
			break;
		}
	}
	ret = file->raw->file->backend->mmap(file->raw->file, offset, size, (int)arg(call, "prot"), &ptr);
	compare(call, "ret", (uint64_t)(int64_t)ret, (uint64_t)(int64_t)call->recorded->ret);
	if (!ret)
		munmap(ptr, size);
}

static uint32_t op_type(const char *name)
{
	if (!strcmp(name, "unmap"))
		return PB_OP_UNMAP;
	return strcmp(name, "sync_only") ? PB_OP_MAP : PB_OP_SYNC_ONLY;
}

/* The syncs of one op, behind those of the ops before it. */
static void fill_syncs(const struct call *call, const json_t *list, struct pb_uapi_obj_array *ret_array,
		       struct pb_uapi_sync_op *syncs, size_t *used)
{
	*ret_array = RAW_ARRAY(&syncs[*used], (uint32_t)json_array_size(list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *sync = json_array_get(list, i);

		must(*used < MAX_ITEMS);
		syncs[(*used)++] = (struct pb_uapi_sync_op){
			.flags = (strcmp(trace_text(sync, "op"), "signal") ? 0 : PB_SYNC_SIGNAL) |
				 (strcmp(trace_text(sync, "type"), "timeline") ? 0 : PB_SYNC_TYPE_TIMELINE),
			.handle = (uint32_t)trace_number(sync, "handle"),
			.timeline_value = trace_number(sync, "value"),
		};
	}
}

static void do_vm_bind(const struct call *call)
{
	const json_t *list = json_object_get(call->recorded->args, "ops");
	struct pb_uapi_vm_bind_op ops[MAX_ITEMS];
	struct pb_uapi_sync_op syncs[MAX_ITEMS];
	struct pb_uapi_vm_bind args = {.vm_id = (uint32_t)arg(call, "vm_id"),
				       .flags = (uint32_t)arg(call, "flags"),
				       .ops = RAW_ARRAY(ops, (uint32_t)json_array_size(list))};
	size_t used = 0;

	must(args.ops.count <= MAX_ITEMS && args.ops.stride == arg(call, "stride"));
	for (size_t i = 0; i < args.ops.count; i++) {
		const json_t *op = json_array_get(list, i);

		ops[i] = RAW_OP(.flags = op_type(trace_text(op, "op")) | (uint32_t)trace_number(op, "flags"),
				.bo_handle = (uint32_t)trace_number(op, "bo"),
				.bo_offset = trace_number(op, "bo_offset"), .va = trace_number(op, "va"),
				.size = trace_number(op, "size"));
		fill_syncs(call, json_object_get(op, "syncs"), &ops[i].syncs, syncs, &used);
	}
	issue(call, &args);
	compare_out(call, "nops", args.ops.count);
	pthread_mutex_lock(&call->replay->lock);
	call->replay->ops += json_array_size(list);
	pthread_mutex_unlock(&call->replay->lock);
}

static void do_syncobj_create(const struct call *call)
{
	struct drm_syncobj_create args = {.flags = (uint32_t)arg(call, "flags")};

	if (issue(call, &args))
		compare_out(call, "handle", args.handle);
}

static void do_syncobj_destroy(const struct call *call)
{
	struct drm_syncobj_destroy args = {.handle = (uint32_t)arg(call, "handle")};

	issue(call, &args);
}

/* The same time from now as it was from then; polls and waits for ever stay what they are. */
static int64_t deadline(const struct call *call)
{
	int64_t recorded = (int64_t)arg(call, "timeout_nsec");
	struct timespec now;

	if (recorded == 0 || recorded > FOR_EVER)
		return recorded;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return recorded - (int64_t)call->recorded->start + now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Numbers of an array of the arguments; returns how many. */
static uint32_t fill_numbers(const struct call *call, const char *key, uint32_t *narrow, uint64_t *wide)
{
	const json_t *list = json_object_get(call->recorded->args, key);

	must(json_array_size(list) <= MAX_ITEMS);
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (narrow)
			narrow[i] = (uint32_t)json_integer_value(json_array_get(list, i));
		else
			wide[i] = (uint64_t)json_integer_value(json_array_get(list, i));
	}
	return (uint32_t)json_array_size(list);
}

/* Waits may have been made with a longer struct than the installed header has. */
union wait_args {
	struct drm_syncobj_wait binary;
	struct drm_syncobj_timeline_wait timeline;
	char room[64];
};

static void do_wait(const struct call *call)
{
	uint32_t handles[MAX_ITEMS];
	union wait_args args = {.binary = {.handles = (uintptr_t)handles,
					   .count_handles = fill_numbers(call, "handles", handles, NULL),
					   .flags = (uint32_t)arg(call, "flags"),
					   .timeout_nsec = deadline(call)}};

	issue(call, &args);
	compare_out(call, "first_signaled", args.binary.first_signaled);
}

static void do_timeline_wait(const struct call *call)
{
	uint32_t handles[MAX_ITEMS];
	uint64_t points[MAX_ITEMS];
	union wait_args args = {.timeline = {.handles = (uintptr_t)handles,
					     .points = (uintptr_t)points,
					     .count_handles = fill_numbers(call, "handles", handles, NULL),
					     .flags = (uint32_t)arg(call, "flags"),
					     .timeout_nsec = deadline(call)}};

	fill_numbers(call, "points", NULL, points);
	issue(call, &args);
	compare_out(call, "first_signaled", args.timeline.first_signaled);
}

static void do_set(const struct call *call)
{
	uint32_t handles[MAX_ITEMS];
	struct drm_syncobj_array args = {.handles = (uintptr_t)handles,
					 .count_handles = fill_numbers(call, "handles", handles, NULL)};

	issue(call, &args);
}

static void do_timeline_signal(const struct call *call)
{
	uint32_t handles[MAX_ITEMS];
	uint64_t points[MAX_ITEMS];
	struct drm_syncobj_timeline_array args = {.handles = (uintptr_t)handles,
						  .points = (uintptr_t)points,
						  .count_handles = fill_numbers(call, "handles", handles, NULL),
						  .flags = (uint32_t)arg(call, "flags")};

	fill_numbers(call, "points", NULL, points);
	issue(call, &args);
}

static void do_query(const struct call *call)
{
	const json_t *recorded = json_object_get(call->recorded->out, "points");
	uint32_t handles[MAX_ITEMS];
	uint64_t points[MAX_ITEMS] = {0};
	struct drm_syncobj_timeline_array args = {.handles = (uintptr_t)handles,
						  .points = (uintptr_t)points,
						  .count_handles = fill_numbers(call, "handles", handles, NULL),
						  .flags = (uint32_t)arg(call, "flags")};

	issue(call, &args);
	for (uint32_t i = 0; i < args.count_handles; i++)
		compare(call, "point", points[i], (uint64_t)json_integer_value(json_array_get(recorded, i)));
}

static const struct {
	const char *name;
	void (*replay)(const struct call *call);
} ioctls[] = {
	{"VERSION", do_version},
	{"GET_CAP", do_get_cap},
	{"GEM_CLOSE", do_gem_close},
	{"mmap", do_mmap},
	{"PANTHOR_DEV_QUERY", do_dev_query},
	{"PANTHOR_VM_CREATE", do_vm_create},
	{"PANTHOR_VM_DESTROY", do_vm_destroy},
	{"PANTHOR_VM_GET_STATE", do_vm_get_state},
	{"PANTHOR_VM_BIND", do_vm_bind},
	{"PANTHOR_BO_CREATE", do_bo_create},
	{"PANTHOR_BO_MMAP_OFFSET", do_bo_mmap_offset},
	{"SYNCOBJ_CREATE", do_syncobj_create},
	{"SYNCOBJ_DESTROY", do_syncobj_destroy},
	{"SYNCOBJ_WAIT", do_wait},
	{"SYNCOBJ_TIMELINE_WAIT", do_timeline_wait},
	{"SYNCOBJ_RESET", do_set},
	{"SYNCOBJ_SIGNAL", do_set},
	{"SYNCOBJ_TIMELINE_SIGNAL", do_timeline_signal},
	{"SYNCOBJ_QUERY", do_query},
};

static void replay_call(const struct call *call)
{
	for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++) {
		if (!strcmp(ioctls[i].name, call->recorded->name)) {
			ioctls[i].replay(call);
			return;
		}
	}
	must(false); /* an ioctl that is not in the table */
}

/* ---- Order ---- */

/* May call @index begin? Looks back only as far as calls can still be going on. */
static bool may_begin(const struct replay *replay, size_t index, size_t *first_open)
{
	const struct trace_call *calls = replay->trace.calls;

	while (*first_open < index && replay->states[*first_open] == DONE)
		(*first_open)++;
	for (size_t i = *first_open; i < index; i++) {
		if (replay->states[i] == WAITING)
			return false;
		if (replay->states[i] == BEGUN && calls[i].end <= calls[index].start)
			return false;
	}
	return true;
}

static void set_state(struct replay *replay, size_t index, int state)
{
	pthread_mutex_lock(&replay->lock);
	replay->states[index] = state;
	pthread_cond_broadcast(&replay->changed);
	pthread_mutex_unlock(&replay->lock);
}

struct thread {
	pthread_t thread;
	struct replay *replay;
	int tid;
};

static struct file *file_of(struct replay *replay, int fd)
{
	for (size_t i = 0; i < replay->file_count; i++) {
		if (replay->files[i].fd == fd)
			return &replay->files[i];
	}
	return NULL;
}

static void *thread_main(void *data)
{
	struct thread *thread = data;
	struct replay *replay = thread->replay;
	size_t first_open = 0;

	for (size_t i = 0; i < replay->trace.count; i++) {
		const struct trace_call *recorded = &replay->trace.calls[i];
		struct call call = {replay, file_of(replay, recorded->fd), recorded};

		if (recorded->tid != thread->tid)
			continue;
		pthread_mutex_lock(&replay->lock);
		while (!may_begin(replay, i, &first_open))
			pthread_cond_wait(&replay->changed, &replay->lock);
		replay->states[i] = BEGUN;
		pthread_cond_broadcast(&replay->changed);
		pthread_mutex_unlock(&replay->lock);
		replay_call(&call);
		set_state(replay, i, DONE);
	}
	return NULL;
}

/* ---- Traces ---- */

/* The recorded driver was 1.0: so is the simulator unless the environment says which device it is to be. */
static void open_files(struct replay *replay)
{
	for (size_t i = 0; i < replay->trace.count; i++) {
		int fd = replay->trace.calls[i].fd;

		if (file_of(replay, fd))
			continue;
		assert_true(replay->file_count < MAX_FILES);
		replay->files[replay->file_count].fd = fd;
		replay->files[replay->file_count++].raw = raw_open_bare("sim:minor=0", replay->spec);
	}
}

static void run_threads(struct replay *replay)
{
	struct thread threads[MAX_THREADS];
	size_t count = 0;

	for (size_t i = 0; i < replay->trace.count; i++) {
		int tid = replay->trace.calls[i].tid;
		size_t at = 0;

		while (at < count && threads[at].tid != tid)
			at++;
		if (at < count)
			continue;
		assert_true(count < MAX_THREADS);
		threads[count++] = (struct thread){.replay = replay, .tid = tid};
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]), 0);
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i].thread, NULL);
}

static void replay_trace(const char *path)
{
	struct replay replay = {.spec = "name=trace",
				.lock = PTHREAD_MUTEX_INITIALIZER,
				.changed = PTHREAD_COND_INITIALIZER};

	raw_expect(path, trace_load(path, &replay.trace), 0);
	assert_int_not_equal(replay.trace.count, 0);
	replay.states = calloc(replay.trace.count, sizeof(*replay.states));
	open_files(&replay);
	run_threads(&replay);
	print_message("# %s: %zu calls, %llu ops, %u differences, %u explained\n", strrchr(path, '/') + 1,
		      replay.trace.count, (unsigned long long)replay.ops, replay.differences, replay.explained);
	for (size_t i = 0; i < replay.file_count; i++)
		raw_close(replay.files[i].raw);
	free(replay.states);
	trace_free(&replay.trace);
	assert_int_equal(replay.differences, 0);
}

static void recorded_traffic_comes_out_the_same(void **state)
{
	struct raw *raw = raw_open_bare("sim:minor=0", "name=trace");
	uint32_t va_bits = raw->va_bits;
	glob_t paths;

	raw_close(raw);
	if (va_bits < RECORDED_VA_BITS) {
		print_message("# skipped: the recorded program asked for more VA than this GPU has\n");
		skip();
	}

	assert_int_equal(glob(PANBIND_SOURCE_DIR "/tests/data/traces/*.jsonl*", 0, NULL, &paths), 0);
	assert_true(paths.gl_pathc >= 3);
	for (size_t i = 0; i < paths.gl_pathc; i++)
		replay_trace(paths.gl_pathv[i]);
	globfree(&paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_traffic_comes_out_the_same)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
