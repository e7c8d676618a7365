/* SPDX-License-Identifier: MIT */
/*
 * What libpanbind costs on top of the ioctl, and what the simulator costs as a VM fills up.
 *
 * Each comparison interleaves its two sides in short rounds and prints medians and the median of the rounds' ratios, so
 * that a machine that changes its speed changes both sides. Figures are for people; nothing here passes or fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend.h"
#include "panbind.h"
#include "uapi.h"

#define ROUNDS 41
#define BASE   0x100000000ull
#define POOL   (64ull << 20)

struct side {
	struct pb_file *file;	       /* raw */
	struct panbind_device *device; /* library */
	struct panbind_vm *vm;
	struct panbind_bo *bo;
	struct panbind_batch *batch;
	uint32_t vm_id, handle;
	uint64_t pages; /* of the window that is remapped */
	uint64_t state; /* of the random sequence: both sides draw the same */
};

static void die(const char *what, int code)
{
	fprintf(stderr, "bench_bind: %s: %s\n", what, panbind_errno_name(code));
	exit(1);
}

static void must(const char *what, int code)
{
	if (code < 0)
		die(what, code);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void raw_open(struct side *s)
{
	struct pb_uapi_vm_create vm = {0};
	struct pb_uapi_bo_create bo = {.size = POOL};

	must("open", pb_backend_open("sim:", &s->file, NULL));
	must("VM_CREATE", s->file->backend->ioctl(s->file, PB_IOCTL_VM_CREATE, &vm));
	must("BO_CREATE", s->file->backend->ioctl(s->file, PB_IOCTL_BO_CREATE, &bo));
	s->vm_id = vm.id;
	s->handle = bo.handle;
}

static void lib_open(struct side *s)
{
	must("open", panbind_device_open("sim:", &s->device, NULL));
	must("VM", panbind_vm_create(s->device, 0, &s->vm, NULL));
	must("BO", panbind_bo_create(s->device, POOL, 0, NULL, &s->bo, NULL));
	must("batch", panbind_batch_create(&s->batch));
}

static void side_close(struct side *s)
{
	panbind_batch_destroy(s->batch);
	panbind_vm_destroy(s->vm);
	panbind_bo_unref(s->bo);
	panbind_device_unref(s->device);
	if (s->file)
		s->file->backend->close(s->file);
}

static struct pb_uapi_vm_bind_op raw_op(struct side *s)
{
	uint64_t page = draw(&s->state) % s->pages, offset = draw(&s->state) % (POOL / PANBIND_PAGE_SIZE);

	return (struct pb_uapi_vm_bind_op){
		.flags = PB_OP_MAP | PB_OP_NOEXEC,
		.bo_handle = s->handle,
		.bo_offset = offset * PANBIND_PAGE_SIZE,
		.va = BASE + page * PANBIND_PAGE_SIZE,
		.size = PANBIND_PAGE_SIZE,
	};
}

static void raw_bind(struct side *s, struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	struct pb_uapi_vm_bind bind = {
		.vm_id = s->vm_id,
		.ops = {.stride = sizeof(*ops), .count = count, .array = (uintptr_t)ops},
	};

	must("VM_BIND", s->file->backend->ioctl(s->file, PB_IOCTL_VM_BIND, &bind));
}

static void raw_one(struct side *s, unsigned count)
{
	while (count--) {
		struct pb_uapi_vm_bind_op op = raw_op(s);

		raw_bind(s, &op, 1);
	}
}

static void lib_one(struct side *s, unsigned count)
{
	while (count--) {
		uint64_t page = draw(&s->state) % s->pages, offset = draw(&s->state) % (POOL / PANBIND_PAGE_SIZE);

		must("map", panbind_vm_map(s->vm, BASE + page * PANBIND_PAGE_SIZE, PANBIND_PAGE_SIZE, s->bo,
					   offset * PANBIND_PAGE_SIZE, PANBIND_MAP_NOEXEC, NULL));
	}
}

static void raw_batch(struct side *s, unsigned count)
{
	static struct pb_uapi_vm_bind_op ops[1000];

	for (unsigned i = 0; i < count; i++)
		ops[i] = raw_op(s);
	raw_bind(s, ops, count);
}

static void fill_batch(struct side *s, unsigned count)
{
	panbind_batch_clear(s->batch);
	while (count--) {
		uint64_t page = draw(&s->state) % s->pages, offset = draw(&s->state) % (POOL / PANBIND_PAGE_SIZE);

		must("batch map", panbind_batch_map(s->batch, BASE + page * PANBIND_PAGE_SIZE, PANBIND_PAGE_SIZE, s->bo,
						    offset * PANBIND_PAGE_SIZE, PANBIND_MAP_NOEXEC, NULL));
	}
}

static void lib_batch(struct side *s, unsigned count)
{
	fill_batch(s, count);
	must("bind", panbind_vm_bind(s->vm, s->batch, 0, NULL));
}

static void lib_txn(struct side *s, unsigned count)
{
	fill_batch(s, count);
	must("txn", panbind_txn_run(s->vm, s->batch, NULL, NULL));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), by_value);
	return values[count / 2];
}

static double time_of(void (*work)(struct side *, unsigned), struct side *s, unsigned ops)
{
	double start = now_ns();

	work(s, ops);
	return (now_ns() - start) / ops;
}

static void compare(const char *what, void (*raw_work)(struct side *, unsigned),
		    void (*lib_work)(struct side *, unsigned), unsigned ops, uint64_t pages)
{
	struct side raw = {.pages = pages, .state = 1}, lib = {.pages = pages, .state = 1};
	double raw_ns[ROUNDS], lib_ns[ROUNDS], ratio[ROUNDS];

	raw_open(&raw);
	lib_open(&lib);
	for (uint64_t page = 0; page < pages; page++) {
		raw_one(&raw, 1);
		lib_one(&lib, 1);
	}
	for (int i = 0; i < ROUNDS; i++) {
		/* Whoever goes first warms the caches for the other: take turns. */
		if (i % 2)
			raw_ns[i] = time_of(raw_work, &raw, ops);
		lib_ns[i] = time_of(lib_work, &lib, ops);
		if (i % 2 == 0)
			raw_ns[i] = time_of(raw_work, &raw, ops);
		ratio[i] = lib_ns[i] / raw_ns[i];
	}
	printf("%-40s %9.0f %9.0f %9.2f\n", what, median(raw_ns, ROUNDS), median(lib_ns, ROUNDS),
	       median(ratio, ROUNDS));
	side_close(&raw);
	side_close(&lib);
}

static void fill_window(struct side *raw, struct side *lib)
{
	for (uint64_t page = 0; page < raw->pages; page++) {
		struct pb_uapi_vm_bind_op op = raw_op(raw);

		op.va = BASE + page * PANBIND_PAGE_SIZE;
		raw_bind(raw, &op, 1);
		must("map", panbind_vm_map(lib->vm, op.va, PANBIND_PAGE_SIZE, lib->bo, op.bo_offset, PANBIND_MAP_NOEXEC,
					   NULL));
	}
}

/* Cost of one random remap with a window of live 4 KiB mappings. */
static void scale(uint64_t pages)
{
	struct side raw = {.pages = pages, .state = 1}, lib = {.pages = pages, .state = 1};
	double raw_ns[ROUNDS], lib_ns[ROUNDS];

	raw_open(&raw);
	lib_open(&lib);
	fill_window(&raw, &lib);
	for (int i = 0; i < ROUNDS; i++) {
		raw_ns[i] = time_of(raw_one, &raw, 2000);
		lib_ns[i] = time_of(lib_one, &lib, 2000);
	}
	printf("%-40llu %9.0f %9.0f\n", (unsigned long long)pages, median(raw_ns, ROUNDS), median(lib_ns, ROUNDS));
	side_close(&raw);
	side_close(&lib);
}

static char *script_of_maps(unsigned maps, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);

	if (!out)
		die("script", -12);
	fprintf(out, "vm create tex\nbo create pool %llu\n", (unsigned long long)POOL);
	for (unsigned i = 0; i < maps; i++)
		fprintf(out, "map tex 0x%llx 4K pool+0x%llx --noexec\n", BASE + (unsigned long long)i * 8192,
			(unsigned long long)(i % (POOL / PANBIND_PAGE_SIZE)) * PANBIND_PAGE_SIZE);
	fclose(out);
	return text;
}

static void ignore_event(void *data, const struct panbind_event *event)
{
}

/* One script of `maps` lines: parse, then run as one transaction on a fresh device. */
static void script(unsigned maps)
{
	double parse_ns[9], run_ns[9];
	size_t size;
	char *text = script_of_maps(maps, &size);

	for (int i = 0; i < 9; i++) {
		struct panbind_device *device;
		struct panbind_session *session;
		struct panbind_script *parsed;
		double start = now_ns();

		must("parse", panbind_script_parse("bench", text, size, NULL, &parsed, NULL));
		parse_ns[i] = now_ns() - start;
		must("open", panbind_device_open("sim:", &device, NULL));
		must("session", panbind_session_create(device, ignore_event, NULL, &session));
		start = now_ns();
		must("run", panbind_session_run(session, parsed, 0, NULL, NULL));
		run_ns[i] = now_ns() - start;
		panbind_session_destroy(session);
		panbind_script_destroy(parsed);
		panbind_device_unref(device);
	}
	free(text);
	printf("script of %u maps: parse %.0f ms, run %.0f ms, together %.2f us an op\n", maps,
	       median(parse_ns, 9) / 1e6, median(run_ns, 9) / 1e6,
	       (median(parse_ns, 9) + median(run_ns, 9)) / maps / 1e3);
}

int main(void)
{
	printf("%-40s %9s %9s %9s\n", "bind on the simulator, ns an op", "raw", "panbind", "ratio");
	compare("one op, 1,024 live mappings", raw_one, lib_one, 4000, 1024);
	compare("batch of 1,000", raw_batch, lib_batch, 1000, 1024);
	compare("transaction of 1,000", raw_batch, lib_txn, 1000, 1024);
	printf("\n%-40s %9s %9s\n", "random remap of one page, live mappings", "raw", "panbind");
	scale(1000);
	scale(32000);
	scale(1000000);
	printf("\n");
	script(100000);
	return 0;
}
