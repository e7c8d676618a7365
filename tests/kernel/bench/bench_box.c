/* SPDX-License-Identifier: MIT */
/*
 * What a remap costs on the real driver: raw ioctl and libpanbind, one op a call and a thousand, on a VM with an
 * address space and on one without. Run by tests/bench/box.sh, which boots both drivers in turn and prints medians and
 * ratios.
 *
 * Each line is "NAME NANOSECONDS", for one op. The sides of a comparison take turns in short rounds. What a register
 * access costs is the emulation's: the figures compare drivers and callers, and say nothing of a real GPU. Nor do those
 * of one op a call say much of a driver: a system call of a box is several ptrace(2) calls of its host, each of which
 * moves all vector registers. So one side is an ioctl that does nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "panbind.h"
#include "uapi.h"

#define BASE   UINT64_C(0x40000000)
#define STRIDE UINT64_C(0x2000) /* neighbours are never merged */
#define MANY   1000
#define ROUNDS 21
#define CALLS  200 /* of one op, a round */

struct bench {
	struct pb_file *file;
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bos[2];
	struct panbind_batch *batches[2];
	struct pb_uapi_vm_bind_op ops[2][MANY];
};

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "bench_box: %s: %s\n", what, panbind_errno_name(ret));
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void raw(struct bench *bench, unsigned which, uint32_t count)
{
	struct pb_uapi_vm_bind args = {
		.vm_id = panbind_vm_id(bench->vm),
		.ops = {.stride = sizeof(**bench->ops), .count = count, .array = (uintptr_t)bench->ops[which]}};

	must(bench->file->backend->ioctl(bench->file, PB_IOCTL_VM_BIND, &args), "VM_BIND");
}

static void nothing(struct bench *bench, unsigned which, uint32_t count)
{
	struct pb_uapi_vm_get_state args = {.vm_id = panbind_vm_id(bench->vm)};

	(void)which, (void)count;
	must(bench->file->backend->ioctl(bench->file, PB_IOCTL_VM_GET_STATE, &args), "VM_GET_STATE");
}

static void library(struct bench *bench, unsigned which, uint32_t count)
{
	if (count == 1)
		must(panbind_vm_map(bench->vm, BASE, PANBIND_PAGE_SIZE, bench->bos[which], 0, 0, NULL), "map");
	else
		must(panbind_vm_bind(bench->vm, bench->batches[which], 0, NULL), "bind");
}

/* Nanoseconds of one op: remaps of the same pages, from one BO to the other and back. */
static double time_round(struct bench *bench, void (*side)(struct bench *, unsigned, uint32_t), uint32_t count)
{
	unsigned calls = count == 1 ? CALLS : 2;
	double start = now_ns();

	for (unsigned i = 0; i < calls; i++)
		side(bench, i & 1, count);
	return (now_ns() - start) / calls / count;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static const struct {
	const char *name;
	void (*call)(struct bench *bench, unsigned which, uint32_t count);
} sides[] = {{"ioctl", raw}, {"libpanbind", library}, {"nothing", nothing}};

#define SIDES (sizeof(sides) / sizeof(sides[0]))

static void compare(struct bench *bench, const char *vm, uint32_t count)
{
	double times[SIDES][ROUNDS];

	time_round(bench, library, count); /* the shadow must know the ops, and all be warm */
	time_round(bench, raw, count);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t side = 0; side < SIDES; side++)
			times[side][round] = time_round(bench, sides[side].call, count);
	for (size_t side = 0; side < SIDES; side++) {
		qsort(times[side], ROUNDS, sizeof(double), by_value);
		printf("%s/%u/%s %.0f\n", vm, count, sides[side].name, times[side][ROUNDS / 2]);
	}
}

static void open_bench(struct bench *bench)
{
	int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);

	must(pb_backend_drm.open_fd(fd, &bench->file, NULL), "open");
	must(panbind_device_open_fd(fd, &bench->device, NULL), "open");
	must(panbind_vm_create(bench->device, 0, &bench->vm, NULL), "a VM");
	for (int i = 0; i < 2; i++) {
		must(panbind_bo_create(bench->device, PANBIND_PAGE_SIZE * MANY, 0, NULL, &bench->bos[i], NULL), "a BO");
		must(panbind_batch_create(&bench->batches[i]), "a batch");
		for (uint64_t op = 0; op < MANY; op++) {
			uint64_t va = BASE + op * STRIDE, offset = op * PANBIND_PAGE_SIZE;

			must(panbind_batch_map(bench->batches[i], va, PANBIND_PAGE_SIZE, bench->bos[i], offset, 0,
					       NULL),
			     "an op");
			bench->ops[i][op] = (struct pb_uapi_vm_bind_op){.flags = PB_OP_MAP,
									.bo_handle = panbind_bo_handle(bench->bos[i]),
									.bo_offset = offset,
									.va = va,
									.size = PANBIND_PAGE_SIZE};
		}
	}
	close(fd);
}

static void start_job(struct bench *bench, struct gpu_job *job)
{
	uint64_t *at;

	must(gpu_job_open(job, bench->file, panbind_vm_id(bench->vm)), "a group");
	at = job_store(job->stream, GPU_JOB_WORD(0), 1);
	at = job_run(at, 4500);
	must(gpu_job_submit(job, at), "a job");
	must(gpu_job_wait(job, 0, 1, 5000), "the job's beginning");
}

int main(void)
{
	static struct bench bench;
	static const uint32_t counts[] = {1, MANY};

	must(malisim_write("trace", "off"), "malisim's trace");
	open_bench(&bench);
	for (int i = 0; i < 2; i++)
		compare(&bench, "idle", counts[i]);
	for (int i = 0; i < 2; i++) {
		struct gpu_job job;

		start_job(&bench, &job);
		compare(&bench, "resident", counts[i]);
		must(gpu_job_close(&job), "the group's end");
	}
	return 0;
}
