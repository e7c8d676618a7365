/* SPDX-License-Identifier: MIT */
/*
 * What panbindd costs beside what lies below it: calls beside a bare ping-pong over the same kind of socket, durable
 * binds beside a bare write and fdatasync of 200 bytes in the same directory. Everything in turn, some rounds, medians;
 * ratios are medians of the rounds' own, since a disk may change its speed from round to round. A client that is alone
 * and the bare sync take short turns within a round, since there the ratio is near to its target.
 *
 * The bare sync has two forms. In space that was written before, which is what the log's write-ahead file does, it is
 * a write and a flush; at the end of a file that grows, as a program has it that simply appends, the file system's own
 * bookkeeping takes part. The ratios are to the first, which is the harder; the second has lines of its own.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define ROUNDS	    5
#define SECONDS	    0.4 /* each measurement */
#define MAX_CLIENTS 64
#define TURN	    16 /* calls */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

/* ---- A bare ping-pong ---- */

/** Answers each line with one of the answer's size. */
static void pong(int fd, size_t answer)
{
	char in[65536], out[65536];

	memset(out, 'x', sizeof(out));
	for (;;) {
		ssize_t n = read(fd, in, sizeof(in));
		size_t lines = 0;

		if (n <= 0)
			_exit(0);
		for (ssize_t i = 0; i < n; i++)
			lines += in[i] == '\n';
		if (write(fd, out, lines * answer) < 0)
			_exit(0);
	}
}

/** Round trips a second of @size bytes there and @answer back, @depth at a time. */
static double raw_round_trips(size_t size, size_t answer, int depth)
{
	int fds[2];
	char out[65536], in[65536];
	double begin, end;
	uint64_t count = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return 0;
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		pong(fds[1], answer);
	}
	close(fds[1]);
	memset(out, 'x', sizeof(out));
	for (int i = 1; i <= depth; i++)
		out[(size_t)i * size - 1] = '\n';
	begin = now();
	do {
		size_t left = (size_t)depth * answer;

		if (write(fds[0], out, (size_t)depth * size) < 0)
			break;
		while (left > 0)
			left -= (size_t)read(fds[0], in, sizeof(in));
		count += (uint64_t)depth;
		end = now();
	} while (end - begin < SECONDS);
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return (double)count / (end - begin);
}

/* ---- Calls ---- */

struct caller {
	struct client client;
	int waiting; /* answers to come */
	uint64_t va;
};

/** The line of one call. */
typedef size_t call_fn(char *line, struct caller *caller, int number);

static size_t ping_call(char *line, struct caller *caller, int number)
{
	return (size_t)sprintf(line, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"rpc.ping\"}\n", 100 + number);
}

static size_t bind_call(char *line, struct caller *caller, int number)
{
	caller->va = (caller->va + 4096) & 0xffffff;
	return (size_t)sprintf(line,
			       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"bind.map\",\"params\":{\"vm\":\"v\",\"va\":"
			       "\"0x%llx\",\"size\":4096,\"bo\":\"b\"}}\n",
			       100 + number, 0x10000000ull * (1 + (unsigned int)number % 8) + caller->va);
}

static void send_calls(struct caller *caller, call_fn *call, int depth, int number)
{
	char lines[64 * 256];
	size_t size = 0;

	for (int i = 0; i < depth; i++)
		size += call(lines + size, caller, number);
	client_send(&caller->client, lines, size);
	caller->waiting = depth;
}

/** Take what has come; returns the number of answers. */
static int take_answers(struct caller *caller)
{
	char in[65536];
	ssize_t n = read(caller->client.fd, in, sizeof(in));
	int answers = 0;

	for (char *at = in, *end = in + (n > 0 ? n : 0); (at = memchr(at, '\n', (size_t)(end - at))); at++)
		answers++;
	if (n <= 0 || memmem(in, (size_t)n, "\"error\"", 7))
		fail_msg("a call failed: %.*s", n > 0 ? (int)n : 0, in);
	caller->waiting -= answers;
	return answers;
}

struct crowd {
	struct caller callers[MAX_CLIENTS];
	int count, epoll_fd; /* -1: there is one only, and read(2) waits */
};

static void crowd_open(struct crowd *crowd, struct daemon *daemon, int count)
{
	memset(crowd, 0, sizeof(*crowd));
	crowd->count = count;
	crowd->epoll_fd = count > 1 ? epoll_create1(EPOLL_CLOEXEC) : -1;
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

		client_open(&crowd->callers[i].client, daemon);
		if (count > 1)
			epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, crowd->callers[i].client.fd, &event);
	}
}

static void crowd_close(struct crowd *crowd)
{
	for (int i = 0; i < crowd->count; i++)
		client_close(&crowd->callers[i].client);
	if (crowd->epoll_fd >= 0)
		close(crowd->epoll_fd);
}

/** Those who have something to read. */
static int crowd_wait(struct crowd *crowd, struct epoll_event events[MAX_CLIENTS])
{
	events[0].data.u32 = 0;
	return crowd->epoll_fd < 0 ? 1 : epoll_wait(crowd->epoll_fd, events, MAX_CLIENTS, -1);
}

/** Calls a second of @count clients, each with @depth calls under way. */
static double calls_a_second(struct daemon *daemon, call_fn *call, int count, int depth)
{
	static struct crowd crowd;
	struct epoll_event events[MAX_CLIENTS];
	uint64_t answers = 0;
	double begin, end;
	bool draining = false;
	int busy = count;

	crowd_open(&crowd, daemon, count);
	begin = now();
	for (int i = 0; i < count; i++)
		send_calls(&crowd.callers[i], call, depth, i);
	while (busy > 0) {
		int ready = crowd_wait(&crowd, events);

		for (int i = 0; i < ready; i++) {
			struct caller *caller = &crowd.callers[events[i].data.u32];

			answers += (uint64_t)take_answers(caller);
			if (caller->waiting > 0)
				continue;
			if (draining)
				busy--;
			else
				send_calls(caller, call, depth, (int)events[i].data.u32);
		}
		draining |= now() - begin >= SECONDS;
	}
	end = now();
	crowd_close(&crowd);
	return (double)answers / (end - begin);
}

/* ---- Bare syncs ---- */

struct raw {
	int fd;
	bool grows; /* append to an empty file instead of writing in one that is there */
	uint64_t count;
};

static void raw_open(struct raw *raw, const char *dir, bool grows)
{
	char path[128], bytes[200];

	snprintf(path, sizeof(path), "%s/raw", dir);
	*raw = (struct raw){open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), grows, 0};
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < 20000 && !grows; i++) /* space, so that what is timed is a warm file as the log's is */
		if (write(raw->fd, bytes, sizeof(bytes)) < 0)
			fail_msg("cannot write %s", path);
	fsync(raw->fd);
	lseek(raw->fd, 0, SEEK_SET);
}

static void raw_sync(struct raw *raw)
{
	char bytes[200];

	memset(bytes, 'x', sizeof(bytes));
	if (write(raw->fd, bytes, sizeof(bytes)) < 0 || fdatasync(raw->fd) < 0)
		fail_msg("cannot write and sync");
	if (++raw->count % 20000 == 0 && !raw->grows)
		lseek(raw->fd, 0, SEEK_SET);
}

static double raw_syncs(const char *dir, bool grows)
{
	double begin, end;
	struct raw raw;

	raw_open(&raw, dir, grows);
	begin = now();
	do {
		raw_sync(&raw);
		end = now();
	} while (end - begin < SECONDS);
	close(raw.fd);
	return (double)raw.count / (end - begin);
}

/** Binds of a client that is alone and bare syncs, both a second, in short turns: a disk changes its speed within a
 * second too, and both are to see the same of it. */
static void by_turns(struct daemon *daemon, double *ret_syncs, double *ret_binds)
{
	double syncs = 0, binds = 0, begin, middle;
	struct caller caller = {0};
	struct raw raw;

	raw_open(&raw, daemon->dir, false);
	client_open(&caller.client, daemon);
	while (syncs + binds < 2 * SECONDS) {
		begin = now();
		for (int i = 0; i < TURN; i++)
			raw_sync(&raw);
		middle = now();
		for (int i = 0; i < TURN; i++) {
			send_calls(&caller, bind_call, 1, 0);
			while (caller.waiting > 0)
				take_answers(&caller);
		}
		syncs += middle - begin;
		binds += now() - middle;
	}
	*ret_syncs = (double)raw.count / syncs;
	*ret_binds = (double)raw.count / binds;
	client_close(&caller.client);
	close(raw.fd);
}

/* ---- Memory ---- */

static double resident_mib(pid_t pid)
{
	char path[48], line[128];
	double kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %lf", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib / 1024;
}

/** A million mappings that cannot be merged, 10000 a transaction. */
static void map_a_million(struct daemon *daemon)
{
	struct client client;

	client_open(&client, daemon);
	json_decref(client_result(&client, "vm.create", json_pack("{s:s}", "name", "big")));
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "page", "size", 4096)));
	for (int i = 0; i < 100; i++) {
		json_t *ops = json_array();

		for (int j = 0; j < 10000; j++)
			json_array_append_new(ops, json_pack("{s:s, s:I, s:i, s:s}", "op", "map", "va",
							     (json_int_t)(i * 10000 + j) * 4096, "size", 4096, "bo",
							     "page"));
		json_decref(client_result(&client, "txn.run", json_pack("{s:s, s:o}", "vm", "big", "ops", ops)));
	}
	client_close(&client);
}

/* ---- */

enum { RAW_1, RAW_64, PING_1, PING_64, SYNC, SYNC_GROWING, SYNC_1, BIND_1, BIND_1_64, BIND_8, BIND_64, KINDS };

static void measure_all(struct daemon *daemon, double results[KINDS][ROUNDS], int round)
{
	results[RAW_1][round] = raw_round_trips(50, 56, 1);
	results[PING_1][round] = calls_a_second(daemon, ping_call, 1, 1);
	results[RAW_64][round] = raw_round_trips(50, 56, 64);
	results[PING_64][round] = calls_a_second(daemon, ping_call, 1, 64);
	results[SYNC][round] = raw_syncs(daemon->dir, false);
	results[SYNC_GROWING][round] = raw_syncs(daemon->dir, true);
	by_turns(daemon, &results[SYNC_1][round], &results[BIND_1][round]);
	results[BIND_1_64][round] = calls_a_second(daemon, bind_call, 1, 64);
	results[BIND_8][round] = calls_a_second(daemon, bind_call, 8, 1);
	results[BIND_64][round] = calls_a_second(daemon, bind_call, 64, 1);
}

static void line(const char *what, double value, const char *unit, double ratio, const char *to)
{
	printf("  %-44s %10.0f %-8s", what, value, unit);
	if (to)
		printf(" %6.2f x %s", ratio, to);
	printf("\n");
}

/** The median, and the median of what each round was to @to in the same round. */
static void compared(double results[KINDS][ROUNDS], const char *what, int kind, int to, const char *name)
{
	double values[ROUNDS], ratios[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		values[i] = results[kind][i];
		ratios[i] = results[kind][i] / results[to][i];
	}
	line(what, median(values), "/s", median(ratios), kind == to ? NULL : name);
}

static void report(double results[KINDS][ROUNDS])
{
	printf("bench_rpc: medians of %d rounds, interleaved\n", ROUNDS);
	compared(results, "bare ping-pong, depth 1", RAW_1, RAW_1, NULL);
	compared(results, "rpc.ping, depth 1", PING_1, RAW_1, "bare ping-pong");
	compared(results, "bare ping-pong, depth 64", RAW_64, RAW_64, NULL);
	compared(results, "rpc.ping, depth 64 (>= 150000 or 8 x)", PING_64, PING_1, "depth 1");
	compared(results, "write + fdatasync of 200 bytes", SYNC, SYNC, NULL);
	compared(results, "the same at the end of a growing file", SYNC_GROWING, SYNC, "bare sync");
	compared(results, "durable bind.map, 1 client (>= 0.7 x)", BIND_1, SYNC_1, "bare sync by turns");
	compared(results, "", BIND_1, SYNC_GROWING, "growing file");
	compared(results, "durable bind.map, 1 client, depth 64", BIND_1_64, SYNC, "bare sync");
	compared(results, "durable bind.map, 8 clients", BIND_8, SYNC, "bare sync");
	compared(results, "durable bind.map, 64 clients (>= 7 x)", BIND_64, SYNC, "bare sync");
	compared(results, "", BIND_64, SYNC_GROWING, "growing file");
}

static void run(void **state)
{
	static double results[KINDS][ROUNDS];
	struct daemon daemon;
	struct client client;
	double before;

	daemon_prepare(&daemon);
	daemon_start(&daemon, NULL);
	client_open(&client, &daemon);
	json_decref(client_result(&client, "vm.create", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
	client_close(&client);
	calls_a_second(&daemon, bind_call, 1, 64); /* warm */
	for (int round = 0; round < ROUNDS; round++)
		measure_all(&daemon, results, round);
	report(results);
	daemon_stop(&daemon);
	daemon_remove(&daemon);
	daemon_prepare(&daemon);
	daemon_start(&daemon, NULL);
	before = resident_mib(daemon.pid);
	map_a_million(&daemon);
	line("memory for a million mappings (<= 200)", resident_mib(daemon.pid) - before, "MiB", 0, NULL);
	daemon_stop(&daemon);
	daemon_remove(&daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(run)};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
