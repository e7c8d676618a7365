/* SPDX-License-Identifier: MIT */
/*
 * A job reads a range again and again while libpanbind remaps it thousands of times. In the kernel box only.
 *
 * The job polls one address for a value that comes at the very end; malisim makes it load at each AS register event
 * too, so that one CPU is enough for it to be in every moment of a remap. With atomic updates the job must come to its
 * end, and the GPU must not have met a single fault. Without them the driver must have killed the group: a job that
 * survives there would say that this test sees nothing.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "panbind.h"

#define K(n) ((uint64_t)(n) << 10)
#define M(n) ((uint64_t)(n) << 20)

#define BASE	  UINT64_C(0x40000000)
#define END_VALUE UINT64_C(0xe0d)
#define REMAPS	  2000
#define BO_SIZE	  M(4)

enum { WORD_STARTED, WORD_ENDED };

struct room {
	int fd;
	bool atomic;
	struct pb_file *file; /* the same open file, for what libpanbind does not do */
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bos[2];
	uint64_t *memory[2];
	struct gpu_job job;
	uint64_t faults;
};

static int set_up(void **state)
{
	struct room *room = calloc(1, sizeof(*room));
	const char *driver = getenv("PANBIND_BOX");
	void *memory;

	if (!driver) {
		puts("Bail out! this needs the kernel box (kernel/run)");
		exit(99);
	}
	room->atomic = !strcmp(driver, "atomic");
	room->fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
	assert_true(room->fd >= 0);
	assert_int_equal(pb_backend_drm.open_fd(room->fd, &room->file, NULL), 0);
	assert_int_equal(panbind_device_open_fd(room->fd, &room->device, NULL), 0);
	assert_int_equal(panbind_vm_create(room->device, 0, &room->vm, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(panbind_bo_create(room->device, BO_SIZE, 0, NULL, &room->bos[i], NULL), 0);
		assert_int_equal(panbind_bo_mmap(room->bos[i], &memory), 0);
		room->memory[i] = memory;
		memset(memory, 0xa0 + i, BO_SIZE);
	}
	room->faults = malisim_stat("faults");
	*state = room;
	return 0;
}

static int tear_down(void **state)
{
	struct room *room = *state;

	for (int i = 0; i < 2; i++)
		panbind_bo_unref(room->bos[i]);
	panbind_vm_destroy(room->vm);
	panbind_device_unref(room->device);
	room->file->backend->close(room->file);
	close(room->fd);
	free(room);
	return 0;
}

static void start_reader(struct room *room, uint64_t va)
{
	uint64_t *at;

	assert_int_equal(gpu_job_open(&room->job, room->file, panbind_vm_id(room->vm)), 0);
	at = job_store(room->job.stream, GPU_JOB_WORD(WORD_STARTED), 1);
	at = job_poll(at, va, END_VALUE);
	at = job_store(at, GPU_JOB_WORD(WORD_ENDED), 1);
	assert_int_equal(gpu_job_submit(&room->job, at), 0);
	assert_int_equal(gpu_job_wait(&room->job, WORD_STARTED, 1, 5000), 0);
}

/* The value that the job waits for, in every page that can be there. */
static void write_end(struct room *room)
{
	for (int i = 0; i < 2; i++)
		for (uint64_t at = 0; at < BO_SIZE; at += PANBIND_PAGE_SIZE)
			room->memory[i][at / sizeof(uint64_t)] = END_VALUE;
}

static bool is_dead(struct room *room)
{
	uint32_t state = 0;

	assert_int_equal(gpu_job_state(&room->job, &state), 0);
	return state != 0;
}

/* The job's end, or the group's. */
static void assert_outcome(struct room *room, int remaps)
{
	enum panbind_vm_state vm_state;
	uint64_t faults;
	bool dead;

	write_end(room);
	if (room->atomic)
		assert_int_equal(gpu_job_wait(&room->job, WORD_ENDED, 1, 5000), 0);
	else
		for (int i = 0; i < 1000 && !is_dead(room); i++)
			usleep(1000);
	faults = malisim_stat("faults") - room->faults;
	dead = is_dead(room);
	printf("# note %d remaps below a job: %llu faults, the group %s\n", remaps, (unsigned long long)faults,
	       dead ? "was killed" : "came to its end");
	if (room->atomic) {
		assert_false(dead);
		assert_int_equal(faults, 0);
	} else {
		assert_true(dead);
		assert_true(faults > 0);
	}
	assert_int_equal(panbind_vm_get_state(room->vm, &vm_state), 0);
	assert_int_equal(vm_state, PANBIND_VM_USABLE);
	assert_int_equal(gpu_job_close(&room->job), 0);
}

/* Remap @size bytes again and again; the reader looks at the middle. */
static void swap(struct room *room, uint64_t va, uint64_t size, uint64_t whole)
{
	int remaps = 0;

	assert_int_equal(panbind_vm_map(room->vm, BASE, whole, room->bos[0], 0, 0, NULL), 0);
	start_reader(room, va + (size / 2 & ~(uint64_t)(PANBIND_PAGE_SIZE - 1)));
	for (; remaps < REMAPS && (remaps % 100 || room->atomic || !is_dead(room)); remaps++)
		assert_int_equal(panbind_vm_map(room->vm, va, size, room->bos[~remaps & 1], va - BASE, 0, NULL), 0);
	assert_outcome(room, remaps);
}

static void a_page_in_a_bo(void **state)
{
	swap(*state, BASE + K(512), K(4), M(1));
}

static void sixty_four_kib_in_a_bo(void **state)
{
	swap(*state, BASE + K(512), K(64), M(1));
}

static void a_whole_bo(void **state)
{
	swap(*state, BASE, M(1), M(1));
}

static void two_mib_and_more(void **state)
{
	swap(*state, BASE, M(2), M(4));
}

static void pieces_across_what_the_one_before_left(void **state)
{
	struct room *room = *state;
	int remaps = 0;

	assert_int_equal(panbind_vm_map(room->vm, BASE, M(1), room->bos[0], 0, 0, NULL), 0);
	start_reader(room, BASE + K(512));
	for (; remaps < REMAPS && (remaps % 100 || room->atomic || !is_dead(room)); remaps++) {
		uint64_t start = K(4) * (unsigned)(remaps * 7 % 120), end = M(1) - K(4) * (unsigned)(remaps * 11 % 110);

		assert_int_equal(
			panbind_vm_map(room->vm, BASE + start, end - start, room->bos[~remaps & 1], start, 0, NULL), 0);
	}
	assert_outcome(room, remaps);
}

static void transactions(void **state)
{
	struct room *room = *state;
	struct panbind_batch *batch;
	int remaps = 0;

	assert_int_equal(panbind_batch_create(&batch), 0);
	assert_int_equal(panbind_vm_map(room->vm, BASE, M(1), room->bos[0], 0, 0, NULL), 0);
	start_reader(room, BASE + K(64));
	for (; remaps < REMAPS && (remaps % 100 || room->atomic || !is_dead(room)); remaps += 4) {
		panbind_batch_clear(batch);
		for (uint64_t at = 0; at < K(256); at += K(64))
			assert_int_equal(panbind_batch_map(batch, BASE + at, K(64), room->bos[remaps >> 2 & 1],
							   M(1) - at, 0, NULL),
					 0);
		assert_int_equal(panbind_txn_run(room->vm, batch, NULL, NULL), 0);
	}
	panbind_batch_destroy(batch);
	assert_outcome(room, remaps);
}

static void sparse_binds_and_unbinds(void **state)
{
	struct room *room = *state;
	int remaps = 0;

	assert_int_equal(panbind_sparse_reserve(room->vm, BASE, M(4), NULL), 0);
	start_reader(room, BASE + M(1) + K(16));
	for (; remaps < REMAPS && (remaps % 100 || room->atomic || !is_dead(room)); remaps += 2) {
		assert_int_equal(panbind_sparse_bind(room->vm, BASE + M(1), K(64), room->bos[0], 0, 0, NULL), 0);
		assert_int_equal(panbind_sparse_unbind(room->vm, BASE + M(1), K(64), NULL), 0);
	}
	/* what the job waits for must come into view */
	assert_int_equal(panbind_sparse_bind(room->vm, BASE + M(1), K(64), room->bos[0], 0, 0, NULL), 0);
	assert_outcome(room, remaps);
}

static void asynchronous_binds(void **state)
{
	struct room *room = *state;
	struct panbind_syncobj *done;
	struct panbind_batch *batch;
	int remaps = 0;

	assert_int_equal(panbind_batch_create(&batch), 0);
	assert_int_equal(panbind_syncobj_create(room->device, 0, &done), 0);
	assert_int_equal(panbind_vm_map(room->vm, BASE, M(1), room->bos[0], 0, 0, NULL), 0);
	start_reader(room, BASE + K(512));
	for (; remaps < REMAPS / 4 && (remaps % 100 || room->atomic || !is_dead(room)); remaps++) {
		panbind_batch_clear(batch);
		assert_int_equal(panbind_batch_map(batch, BASE, M(1), room->bos[~remaps & 1], 0, 0, NULL), 0);
		assert_int_equal(panbind_batch_signal(batch, done, (uint64_t)remaps + 1), 0);
		assert_int_equal(panbind_vm_bind(room->vm, batch, PANBIND_BIND_ASYNC, NULL), 0);
		assert_int_equal(panbind_syncobj_wait(&done, &(uint64_t){(uint64_t)remaps + 1}, 1, 0, 5000000000, NULL),
				 0);
	}
	panbind_batch_destroy(batch);
	panbind_syncobj_unref(done);
	assert_outcome(room, remaps);
}

/* After a group was killed the VM serves the next one; on both drivers. */
static void the_next_job_of_the_vm_works(void **state)
{
	struct room *room = *state;

	swap(room, BASE, M(1), M(1));
	room->faults = malisim_stat("faults");
	memset(room->memory[0], 0, BO_SIZE);
	memset(room->memory[1], 0, BO_SIZE);
	start_reader(room, BASE + K(4));
	write_end(room);
	assert_int_equal(gpu_job_wait(&room->job, WORD_ENDED, 1, 5000), 0);
	assert_false(is_dead(room));
	assert_int_equal(malisim_stat("faults"), room->faults);
	assert_int_equal(gpu_job_close(&room->job), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_in_a_bo),
		TEST(sixty_four_kib_in_a_bo),
		TEST(a_whole_bo),
		TEST(two_mib_and_more),
		TEST(pieces_across_what_the_one_before_left),
		TEST(transactions),
		TEST(sparse_binds_and_unbinds),
		TEST(asynchronous_binds),
		TEST(the_next_job_of_the_vm_works),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
