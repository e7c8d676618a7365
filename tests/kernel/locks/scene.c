/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../../kernel/malisim/job.h"
#include "panbind.h"

#define PARAMETERS "/sys/module/panthor/parameters/"
#define WAIT_MS	   20000 /* long enough that only what never comes gets there */

enum { WORD_STARTED = 1, WORD_END, WORD_LOADED, WORD_ENDED };

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---- The scene ---- */

static uint32_t stamped_bo(struct scene *scene, uint64_t stamp)
{
	uint32_t bo = raw_bo(scene->raw, SCENE_SIZE);
	uint64_t *words = raw_bo_mmap(scene->raw, bo, SCENE_SIZE);

	for (size_t page = 0; page < SCENE_SIZE / RAW_PAGE; page++)
		words[page * RAW_PAGE / sizeof(*words)] = stamp + page;
	munmap(words, SCENE_SIZE);
	return bo;
}

struct scene *scene_open(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	scene->raw = raw_open_bare("drm:auto", "");
	scene->vm = raw_vm(scene->raw);
	scene->raw->vm = scene->vm;
	scene->a = stamped_bo(scene, STAMP_A);
	scene->b = stamped_bo(scene, STAMP_B);
	raw_expect("map A", scene_map(scene, scene->a, SCENE_VA), 0);
	raw_expect("make a group", gpu_job_open(&scene->job, scene->raw->file, scene->vm), 0);
	scene->job_open = true;
	return scene;
}

void scene_close(struct scene *scene)
{
	if (scene->op_runs)
		op_end(scene);
	if (scene->job_open)
		gpu_job_close(&scene->job);
	raw_close(scene->raw);
	free(scene);
}

int scene_setup(void **state)
{
	malisim_write("trace", "on");
	malisim_write("trace", "clear");
	*state = scene_open();
	return 0;
}

int scene_teardown(void **state)
{
	if (!access(PARAMETERS "hold_va", F_OK)) {
		driver_set_parameter("hold_va", 0);
		driver_set_parameter("fail_va", 0);
	}
	malisim_write("busy", "0");
	scene_close(*state);
	return 0;
}

int scene_map(struct scene *scene, uint32_t bo, uint64_t va)
{
	return raw_map(scene->raw, va, SCENE_SIZE, bo, 0, 0);
}

int scene_unmap(struct scene *scene, uint64_t va)
{
	return raw_unmap(scene->raw, va, SCENE_SIZE);
}

/* ---- Jobs ---- */

/* A group that has been killed is of no more use. */
static void fresh_group(struct scene *scene)
{
	uint32_t state = 0;

	raw_expect("GROUP_GET_STATE", gpu_job_state(&scene->job, &state), 0);
	if (!state)
		return;
	gpu_job_close(&scene->job);
	raw_expect("make a group", gpu_job_open(&scene->job, scene->raw->file, scene->vm), 0);
}

static void submit(struct scene *scene, const uint64_t *end)
{
	for (size_t i = 0; i <= WORD_ENDED; i++)
		scene->job.words[i] = 0;
	raw_expect("GROUP_SUBMIT", gpu_job_submit(&scene->job, end), 0);
}

unsigned scene_job_start(struct scene *scene)
{
	uint64_t *at;

	fresh_group(scene);
	at = job_store(scene->job.stream, GPU_JOB_WORD(WORD_STARTED), 1);
	at = job_poll(at, GPU_JOB_WORD(WORD_END), 1);
	/* scene_job_end() writes the load's VA over this one */
	at = job_load(at, GPU_JOB_WORD(WORD_STARTED), GPU_JOB_WORD(WORD_LOADED));
	at = job_store(at, GPU_JOB_WORD(WORD_ENDED), 1);
	submit(scene, at);
	raw_expect("wait for the job to begin", gpu_job_wait(&scene->job, WORD_STARTED, 1, WAIT_MS), 0);
	return trace_last_as();
}

void scene_job_end(struct scene *scene, uint64_t va)
{
	uint64_t *at = job_store(scene->job.stream, GPU_JOB_WORD(WORD_STARTED), 1);

	at = job_poll(at, GPU_JOB_WORD(WORD_END), 1);
	if (va)
		job_load(at, va, GPU_JOB_WORD(WORD_LOADED));
	scene->job.words[WORD_END] = 1;
}

void scene_job_ended(struct scene *scene)
{
	raw_expect("wait for the job to end", gpu_job_wait(&scene->job, WORD_ENDED, 1, WAIT_MS), 0);
}

void scene_load_start(struct scene *scene, uint64_t va)
{
	uint64_t *at;

	fresh_group(scene);
	at = job_load(scene->job.stream, va, GPU_JOB_WORD(WORD_LOADED));
	submit(scene, job_store(at, GPU_JOB_WORD(WORD_ENDED), 1));
}

bool scene_load_ended(struct scene *scene)
{
	return scene->job.words[WORD_ENDED] == 1;
}

uint64_t scene_load_result(struct scene *scene)
{
	uint32_t state = 0;

	for (unsigned ms = 0; !scene_load_ended(scene); ms++) {
		raw_expect("GROUP_GET_STATE", gpu_job_state(&scene->job, &state), 0);
		if (state)
			fail_msg("the job was killed (group state %u)", state);
		if (ms > WAIT_MS)
			fail_msg("the job does not end");
		nap();
	}
	return scene->job.words[WORD_LOADED];
}

uint64_t scene_load(struct scene *scene, uint64_t va)
{
	scene_load_start(scene, va);
	return scene_load_result(scene);
}

/* ---- Driver and GPU ---- */

uint64_t driver_parameter(const char *name)
{
	char path[128], text[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("the driver was built without %s", name);
	if (!fgets(text, sizeof(text), file))
		fail_msg("cannot read %s", path);
	fclose(file);
	return *text == 'Y' ? 1 : strtoull(text, NULL, 0);
}

void driver_set_parameter(const char *name, uint64_t value)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "we");
	if (!file)
		fail_msg("the driver was built without %s", name);
	fprintf(file, "%" PRIu64, value);
	if (fclose(file))
		fail_msg("cannot set %s", path);
}

/* Lines of debugfs' gpuvas with @text in them. */
static unsigned gpuvas_lines(const char *text)
{
	FILE *lines = popen("cat /sys/kernel/debug/dri/128/gpuvas", "re");
	unsigned count = 0;
	char line[512];

	if (!lines)
		fail_msg("cannot read gpuvas");
	while (fgets(line, sizeof(line), lines))
		count += strstr(line, text) != NULL;
	if (pclose(lines))
		fail_msg("cannot read gpuvas");
	return count;
}

unsigned driver_vms(void)
{
	return gpuvas_lines("(panthor-GPU-VM)");
}

void driver_wait_vms(unsigned count)
{
	for (unsigned naps = 0; driver_vms() != count && naps < 1000; naps++)
		nap();
	assert_int_equal(driver_vms(), count);
}

bool driver_has_mapping(uint64_t va)
{
	char text[64];

	snprintf(text, sizeof(text), "| 0x%016" PRIx64 " | 0x%016" PRIx64 " |", va, SCENE_SIZE);
	return gpuvas_lines(text) > 0;
}

void gpu_busy(const char *text)
{
	raw_expect("malisim's busy", malisim_write("busy", "%s", text), 0);
}

const char *gpu_as_state(unsigned as)
{
	static char line[256];
	FILE *state = fopen(MALISIM "state", "re");
	unsigned number;

	if (!state)
		fail_msg("cannot read " MALISIM "state");
	while (fgets(line, sizeof(line), state) && (sscanf(line, "as %u", &number) != 1 || number != as))
		*line = '\0';
	fclose(state);
	return sscanf(line, "as %u", &number) == 1 && number == as ? line : "";
}

void gpu_wait_stat(const char *name, uint64_t than)
{
	for (unsigned ms = 0; malisim_stat(name) <= than; ms++) {
		if (ms > WAIT_MS)
			fail_msg("malisim's %s stays at %" PRIu64, name, than);
		nap();
	}
}

void gpu_wait_off(unsigned as)
{
	for (unsigned ms = 0; *gpu_as_state(as); ms++) {
		if (ms > WAIT_MS)
			fail_msg("address space %u stays on", as);
		nap();
	}
}

/* ---- The trace ---- */

void trace_clear(void)
{
	trace_has_no_violation();
	raw_expect("clear the trace", malisim_write("trace", "clear"), 0);
}

static FILE *open_trace(void)
{
	FILE *trace = malisim_trace();

	if (!trace)
		fail_msg("cannot read " MALISIM "trace");
	return trace;
}

unsigned trace_count(const char *name, unsigned as)
{
	FILE *trace = open_trace();
	struct malisim_event event;
	unsigned count = 0;

	while (malisim_next(trace, &event) && strcmp(event.name, "GPU_RESET") != 0)
		count += event.as && (!as || event.as == as) && !strcmp(event.name, name) && event.size != UINT64_MAX;
	fclose(trace);
	return count;
}

unsigned trace_last_as(void)
{
	FILE *trace = open_trace();
	struct malisim_event event;
	unsigned as = 0;

	while (malisim_next(trace, &event))
		if (!strcmp(event.name, "JOB") && strstr(event.line, "what=begin"))
			as = event.as;
	fclose(trace);
	assert_int_not_equal(as, 0);
	return as;
}

void trace_has_no_violation(void)
{
	FILE *trace = open_trace();
	struct malisim_event event;
	bool found = false;

	while (malisim_next(trace, &event)) {
		if (strcmp(event.name, "VIOLATION") != 0)
			continue;
		print_message("# %s\n", event.line);
		found = true;
	}
	fclose(trace);
	assert_false(found);
}

/* ---- An op that is held ---- */

static void *run_op(void *arg)
{
	struct scene *scene = arg;

	scene->op_ret = raw_bind(scene->raw, scene->vm, 0, &scene->op, 1, NULL);
	return NULL;
}

void op_begin(struct scene *scene)
{
	scene->op = (struct pb_uapi_vm_bind_op){
		.flags = PB_OP_MAP, .bo_handle = scene->b, .va = SCENE_VA, .size = SCENE_SIZE};
	driver_set_parameter("hold_va", SCENE_VA);
	assert_int_equal(pthread_create(&scene->op_thread, NULL, run_op, scene), 0);
	scene->op_runs = true;
	for (unsigned ms = 0; !driver_parameter("held"); ms++) {
		if (ms > WAIT_MS)
			fail_msg("the op is not held");
		nap();
	}
}

int op_end(struct scene *scene)
{
	driver_set_parameter("hold_va", 0);
	pthread_join(scene->op_thread, NULL);
	scene->op_runs = false;
	return scene->op_ret;
}
