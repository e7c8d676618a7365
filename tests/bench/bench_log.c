/* SPDX-License-Identifier: MIT */
/*
 * What the log costs: durable appends a second against raw write + fdatasync of 200 bytes to a growing file,
 * interleaved in short rounds so that a disk that changes its speed changes both; then reading and folding a million
 * ops, and replaying them on the simulator. Medians, and the median of the rounds' ratios. Nothing here passes or
 * fails.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "panbind-log.h"

#define ROUNDS	    15
#define RAW_WRITES  400
#define MAX_THREADS 64

static char folder[] = "/var/tmp/panbind-bench-XXXXXX";

static void die(const char *what, int code)
{
	fprintf(stderr, "bench_log: %s: %s\n", what, panbind_errno_name(code));
	exit(1);
}

static void must(const char *what, int code)
{
	if (code < 0)
		die(what, code);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
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

static double raw_rate(int fd)
{
	char record[200];
	double start = now_s();

	memset(record, 'x', sizeof(record));
	for (int i = 0; i < RAW_WRITES; i++)
		if (write(fd, record, sizeof(record)) != sizeof(record) || fdatasync(fd) < 0)
			die("raw write", -5);
	return RAW_WRITES / (now_s() - start);
}

static const struct panbind_log_op one_op = {
	.type = PANBIND_LOG_MAP, .vm = {"tex", 1}, .bo = {"pool", 1}, .va = 0x100000, .size = 4096};

static struct panbind_log_entry bind_entry(void)
{
	return (struct panbind_log_entry){.kind = PANBIND_LOG_BIND,
					  .uid = 1000,
					  .gid = 1000,
					  .pid = 4711,
					  .argv = "panbind map tex 0x100000 4K pool",
					  .failing_op = PANBIND_NO_OP,
					  .ops = &one_op,
					  .op_count = 1};
}

/** Threads that each keep `depth` appends in flight. */
struct producer {
	struct panbind_log *log;
	pthread_t thread;
	sem_t room;
	int depth, appends;
};

static void one_done(void *data, uint64_t seq, int result)
{
	must("append", result);
	sem_post(&((struct producer *)data)->room);
}

static void *produce(void *data)
{
	struct producer *p = data;
	const struct panbind_log_entry entry = bind_entry();

	for (int i = 0; i < p->appends; i++) {
		while (sem_wait(&p->room) < 0)
			;
		must("append", panbind_log_append(p->log, &entry, PANBIND_LOG_DURABLE_SYNC, one_done, p, NULL, NULL));
	}
	for (int i = 0; i < p->depth; i++)
		while (sem_wait(&p->room) < 0)
			;
	return NULL;
}

static double log_rate(struct panbind_log *log, int threads, int depth, int appends)
{
	static struct producer producers[MAX_THREADS];
	double start = now_s();

	for (int i = 0; i < threads; i++) {
		producers[i] = (struct producer){.log = log, .depth = depth, .appends = appends / threads};
		sem_init(&producers[i].room, 0, (unsigned)depth);
		pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(producers[i].thread, NULL);
	return appends / (now_s() - start);
}

static struct panbind_log *open_log(const char *path)
{
	struct panbind_log_entry vm = {.kind = PANBIND_LOG_VM_CREATE,
				       .object = {.ref = {"tex", 1}, .size = 1ull << 47}};
	struct panbind_log_entry bo = {.kind = PANBIND_LOG_BO_CREATE, .object = {.ref = {"pool", 1}, .size = 64 << 20}};
	struct panbind_log *log;

	must("open", panbind_log_open(path, PANBIND_LOG_CREATE, NULL, &log, NULL));
	must("vm", panbind_log_append_wait(log, &vm, PANBIND_LOG_DURABLE_SYNC, NULL, NULL));
	must("bo", panbind_log_append_wait(log, &bo, PANBIND_LOG_DURABLE_SYNC, NULL, NULL));
	return log;
}

static void appends(const char *what, int threads, int depth, int count)
{
	double raw[ROUNDS], rate[ROUNDS], ratio[ROUNDS];
	struct panbind_log_status before, after;
	char path[80], raw_path[80];
	struct panbind_log *log;
	int fd;

	snprintf(path, sizeof(path), "%s/a%d-%d", folder, threads, depth);
	snprintf(raw_path, sizeof(raw_path), "%s/r%d-%d", folder, threads, depth);
	fd = open(raw_path, O_CREAT | O_WRONLY | O_APPEND, 0600);
	log = open_log(path);
	log_rate(log, threads, depth, count);
	panbind_log_get_status(log, &before);
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2)
			raw[i] = raw_rate(fd);
		rate[i] = log_rate(log, threads, depth, count);
		if (i % 2 == 0)
			raw[i] = raw_rate(fd);
		ratio[i] = rate[i] / raw[i];
	}
	panbind_log_get_status(log, &after);
	panbind_log_close(log);
	close(fd);
	printf("%-40s %9.0f %9.0f %7.2f %9.1f\n", what, median(raw, ROUNDS), median(rate, ROUNDS),
	       median(ratio, ROUNDS),
	       (double)(after.last_seq - before.last_seq) / (double)(after.groups - before.groups));
}

/* ---- A million ops ---- */

static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* @live: how many different pages are mapped and remapped. */
static void fill(const char *path, unsigned total, unsigned ops_each, uint64_t live)
{
	static struct panbind_log_op ops[1000];
	struct panbind_log_import *import;
	struct panbind_log_entry entry = {.seq = 1,
					  .time_ns = 1,
					  .kind = PANBIND_LOG_VM_CREATE,
					  .object = {.ref = {"tex", 1}, .size = 1ull << 47}};
	uint64_t state = 1;

	must("import", panbind_log_import_begin(path, 0, &import, NULL));
	must("vm", panbind_log_import_entry(import, &entry, NULL));
	entry = (struct panbind_log_entry){.seq = 2,
					   .time_ns = 1,
					   .kind = PANBIND_LOG_BO_CREATE,
					   .object = {.ref = {"pool", 1}, .size = 64 << 20}};
	must("bo", panbind_log_import_entry(import, &entry, NULL));
	entry = bind_entry();
	entry.ops = ops;
	entry.op_count = ops_each;
	for (unsigned done = 0; done < total; done += ops_each) {
		for (unsigned i = 0; i < ops_each; i++) {
			ops[i] = one_op;
			ops[i].va = (1ull << 32) + draw(&state) % live * 8192;
			ops[i].bo_offset = draw(&state) % 16384 * 4096;
		}
		entry.seq = 3 + done / ops_each;
		entry.time_ns = (int64_t)entry.seq;
		must("entry", panbind_log_import_entry(import, &entry, NULL));
	}
	must("import", panbind_log_import_end(import, NULL));
}

static double scan_time(struct panbind_log *log)
{
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;
	double start = now_s();

	must("reader", panbind_log_reader_open(log, NULL, &reader, NULL));
	while (panbind_log_read(reader, &entry) == 1)
		;
	panbind_log_reader_close(reader);
	return now_s() - start;
}

static double state_time(struct panbind_log *log)
{
	struct panbind_log_state *state;
	double start = now_s();

	must("state", panbind_log_state_create(log, UINT64_MAX, (struct panbind_log_ref){"tex", 0}, &state, NULL));
	panbind_log_state_destroy(state);
	return now_s() - start;
}

static double blame_time(struct panbind_log *log)
{
	struct panbind_log_reader *reader;
	struct panbind_log_blame blame;
	double start = now_s();

	must("reader", panbind_log_reader_open(log, NULL, &reader, NULL));
	panbind_log_blame(reader, (struct panbind_log_ref){"tex", 0}, 0, &blame,
			  NULL); /* nothing there: the whole walk */
	panbind_log_reader_close(reader);
	return now_s() - start;
}

static double replay_time(struct panbind_log *log, enum panbind_log_replay_verify verify)
{
	const struct panbind_log_replay_options options = {.verify = verify};
	struct panbind_log_replay_result result = {0};
	struct panbind_device *device;
	double start, time;

	must("device", panbind_device_open("sim:", &device, NULL));
	start = now_s();
	must("replay", panbind_log_replay(log, device, &options, &result, NULL));
	time = now_s() - start;
	if (result.differences || result.skipped)
		die("replay differs", -5);
	panbind_device_unref(device);
	return time;
}

static double compact_time(struct panbind_log *log)
{
	double start = now_s();

	must("compact", panbind_log_compact(log, UINT64_MAX, NULL, NULL));
	return now_s() - start;
}

static void million(unsigned ops_each, uint64_t live)
{
	const unsigned total = 1000000;
	char path[80];
	struct panbind_log *log;

	snprintf(path, sizeof(path), "%s/m%u-%llu", folder, ops_each, (unsigned long long)live);
	fill(path, total, ops_each, live);
	must("open", panbind_log_open(path, 0, NULL, &log, NULL));
	printf("%5u ops an entry, %7llu live: read %.2f s, state %.2f s, blame %.2f s,", ops_each,
	       (unsigned long long)live, scan_time(log), state_time(log), blame_time(log));
	printf(" replay %.0f k ops/s, verify end %.0f, each %.0f,", total / replay_time(log, 0) / 1e3,
	       total / replay_time(log, PANBIND_LOG_VERIFY_END) / 1e3,
	       total / replay_time(log, PANBIND_LOG_VERIFY_EACH) / 1e3);
	fflush(stdout);
	printf(" compact %.1f s\n", compact_time(log));
	panbind_log_close(log);
}

static void compare_appends(void)
{
	printf("%-40s %9s %9s %7s %9s\n", "durable appends a second", "raw", "log", "ratio", "a group");
	appends("1 producer", 1, 1, 4000);
	appends("8 producers", 8, 1, 16000);
	appends("64 producers", 64, 1, 64000);
	appends("1 producer, 64 in flight", 1, 64, 64000);
	printf("\n");
}

/* An argument runs one part: "append" or "million". */
int main(int argc, char **argv)
{
	bool all = argc < 2;
	char command[100];

	if (!mkdtemp(folder))
		die("mkdtemp", -5);
	if (all || strcmp(argv[1], "append") == 0)
		compare_appends();
	if (all || strcmp(argv[1], "million") == 0) {
		million(1, 30000);
		million(100, 30000);
		million(100, 1000000);
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) ? 1 : 0;
}
