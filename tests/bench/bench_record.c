/* SPDX-License-Identifier: MIT */
/*
 * What `panbind record` costs the program that it records.
 *
 * usage: bench_record PANBIND
 *
 * First, what recording adds to a bind, alone: the preload library's hooks, called without an ioctl between them while
 * `panbind record` takes what they write. It is all that is done before and after the ioctl, but for finding out that
 * the fd is a render node. getpid(2), a system call that does nothing, says what machine this is.
 *
 * Then the same program on a simulated node, in turns as it is and recorded: with what a recorder that runs at the same
 * time does to it. Figures are medians over the rounds of each run's median; the cost is the median of the rounds'
 * differences. Both sides have the whole bind in them, so that a difference of less than what runs differ by (it is
 * printed) says nothing. Nothing here passes or fails.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "next.h"
#include "record.h"
#include "uapi.h"

#define ROUNDS	9
#define PACED	400
#define PACE_NS 20000.0 /* from the end of a bind to the next */
#define BURST	400	/* fit into the ring of a thread */
#define FLOOD	10000	/* do not */
#define PAGE	4096ull

struct cost {
	double wall_ns, cpu_ns; /* of a bind */
};

enum figure { GETPID, PACED_1, PACED_16, BURST_1, BURST_16, FLOOD_1, FIGURES };

static const char *const names[FIGURES] = {
	"getpid", "1 op, paced", "16 ops, paced", "1 op, bursts", "16 ops, bursts", "1 op, no pause",
};

/** Where a program has the ops and syncs of its binds. */
enum place { NOWHERE, STACK_1, STACK_16, THREAD_16, HEAP_16, HEAP_SYNCS, PLACES };

static const char *const place_names[PLACES] = {
	"getpid",
	"1 op on the stack",
	"16 ops on the stack",
	"16 ops on a thread's stack",
	"16 ops elsewhere",
	"16 ops and 2 syncs elsewhere",
};

/** What one bind costs, in ns: by itself, and one of many. */
struct hooks_cost {
	double paced, burst;
};

struct results {
	struct hooks_cost hooks[PLACES];
	struct cost costs[FIGURES];
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct cost now(void)
{
	struct timespec wall, cpu;

	clock_gettime(CLOCK_MONOTONIC, &wall);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	return (struct cost){(double)wall.tv_sec * 1e9 + (double)wall.tv_nsec,
			     (double)cpu.tv_sec * 1e9 + (double)cpu.tv_nsec};
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

/* ---- The program ---- */

struct program {
	int fd;
	uint32_t vm, bo;
};

static void work(const struct program *p, uint32_t ops)
{
	struct pb_uapi_vm_bind_op op[16];
	struct pb_uapi_vm_bind bind = {.vm_id = p->vm, .ops = {sizeof(op[0]), ops, (uintptr_t)op}};

	if (!ops) {
		syscall(SYS_getpid);
		return;
	}
	for (uint32_t i = 0; i < ops; i++)
		op[i] = (struct pb_uapi_vm_bind_op){.flags = PB_OP_MAP | PB_OP_NOEXEC,
						    .bo_handle = p->bo,
						    .bo_offset = i * PAGE,
						    .va = 0x100000000ull + i * PAGE,
						    .size = PAGE};
	if (ioctl(p->fd, PB_IOCTL_VM_BIND, &bind) < 0)
		die("VM_BIND");
}

static double wall_ns(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_MONOTONIC, &wall);
	return (double)wall.tv_sec * 1e9 + (double)wall.tv_nsec;
}

static void pace(void)
{
	double start = wall_ns();

	while (wall_ns() - start < PACE_NS)
		;
}

static struct cost one_by_one(const struct program *p, uint32_t ops)
{
	static double wall[PACED], cpu[PACED];

	for (int i = 0; i < PACED; i++) {
		struct cost start = now(), end;

		work(p, ops);
		end = now();
		wall[i] = end.wall_ns - start.wall_ns;
		cpu[i] = end.cpu_ns - start.cpu_ns;
		pace();
	}
	return (struct cost){median(wall, PACED), median(cpu, PACED)};
}

static struct cost at_once(const struct program *p, uint32_t ops, int count)
{
	const struct timespec pause = {0, 100000000};
	struct cost start, end;

	nanosleep(&pause, NULL); /* the ring runs empty */
	start = now();
	for (int i = 0; i < count; i++)
		work(p, ops);
	end = now();
	return (struct cost){(end.wall_ns - start.wall_ns) / count, (end.cpu_ns - start.cpu_ns) / count};
}

/* ---- The hooks alone ---- */

struct binding {
	int fd;
	enum place place;
	struct pb_uapi_vm_bind_op *ops;
	struct pb_uapi_sync_op *syncs;
	struct hooks_cost cost;
};

static void hook(const struct binding *b, struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	struct pb_uapi_vm_bind bind = {.vm_id = 1, .ops = {sizeof(*ops), count, (uintptr_t)ops}};
	struct record_call call;

	if (b->place == NOWHERE) {
		syscall(SYS_getpid);
		return;
	}
	record_before(&call, b->fd, PB_IOCTL_VM_BIND, &bind);
	record_after(&call, 0, 0);
}

static void fill(const struct binding *b, struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ops[i] = (struct pb_uapi_vm_bind_op){.va = 0x100000000ull + i * PAGE, .size = PAGE, .bo_handle = 1};
	if (b->place == HEAP_SYNCS)
		ops[count - 1].syncs = (struct pb_uapi_obj_array){sizeof(*b->syncs), 2, (uintptr_t)b->syncs};
}

static void *hook_away(void *data)
{
	const struct timespec pause = {0, 20000000};
	struct pb_uapi_vm_bind_op on_stack[16];
	static double wall[PACED];
	struct binding *b = data;
	struct pb_uapi_vm_bind_op *ops = b->place >= HEAP_16 ? b->ops : on_stack;
	uint32_t count = b->place == STACK_1 ? 1 : 16;
	double start;

	fill(b, ops, count);
	hook(b, ops, count); /* the first one makes the ring */
	for (int i = 0; i < PACED; i++) {
		pace();
		start = wall_ns();
		hook(b, ops, count);
		wall[i] = wall_ns() - start;
	}
	b->cost.paced = median(wall, PACED);
	nanosleep(&pause, NULL); /* the ring runs empty */
	start = wall_ns();
	for (int i = 0; i < BURST; i++)
		hook(b, ops, count);
	b->cost.burst = (wall_ns() - start) / BURST;
	return NULL;
}

static void hook_all(struct hooks_cost costs[PLACES])
{
	struct pb_uapi_vm_bind_op *ops = calloc(16, sizeof(*ops));
	struct pb_uapi_sync_op *syncs = calloc(2, sizeof(*syncs));
	struct pb_uapi_vm_create vm = {.id = 1};
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct record_call call;
	pthread_t thread;

	record_start(getenv("PANBIND_RECORD"));
	record_opened(fd, "/dev/dri/renderD128");
	record_before(&call, fd, PB_IOCTL_VM_CREATE, &vm);
	record_after(&call, 0, 0);
	for (enum place place = 0; place < PLACES; place++) {
		struct binding b = {.fd = fd, .place = place, .ops = ops, .syncs = syncs};

		if (place != THREAD_16)
			hook_away(&b);
		else if (pthread_create(&thread, NULL, hook_away, &b) != 0 || pthread_join(thread, NULL) != 0)
			die("thread");
		costs[place] = b.cost;
	}
	free(ops);
	free(syncs);
}

/* In a process of its own: the preload library records this one. */
static void measure_hooks(struct hooks_cost costs[PLACES])
{
	struct hooks_cost *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t pid;

	if (shared == MAP_FAILED)
		die("mmap");
	pid = fork();
	if (pid == 0) {
		hook_all(shared);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("the hooks");
	memcpy(costs, shared, PLACES * sizeof(*costs));
}

static int program(const char *result)
{
	struct pb_uapi_vm_create vm = {0};
	struct pb_uapi_bo_create bo = {.size = 16 * PAGE};
	struct program p = {.fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC)};
	struct results results = {0};
	FILE *out = fopen(result, "wb");

	if (p.fd < 0 || !out || ioctl(p.fd, PB_IOCTL_VM_CREATE, &vm) < 0 || ioctl(p.fd, PB_IOCTL_BO_CREATE, &bo) < 0)
		die("start");
	p.vm = vm.id;
	p.bo = bo.handle;
	if (getenv("PANBIND_RECORD"))
		measure_hooks(results.hooks);
	at_once(&p, 16, 50); /* the first bind makes the ring */
	results.costs[GETPID] = one_by_one(&p, 0);
	results.costs[PACED_1] = one_by_one(&p, 1);
	results.costs[PACED_16] = one_by_one(&p, 16);
	results.costs[BURST_1] = at_once(&p, 1, BURST);
	results.costs[BURST_16] = at_once(&p, 16, BURST);
	results.costs[FLOOD_1] = at_once(&p, 1, FLOOD);
	if (fwrite(&results, sizeof(results), 1, out) != 1 || fclose(out) != 0)
		die(result);
	return 0;
}

/* ---- Both sides ---- */

static void run(const char *panbind, const char *self, const char *folder, int recorded, struct results *results)
{
	char log[128], result[128];
	const char *plain[] = {panbind, "sim", "--", self, "--program", result, NULL};
	const char *record[] = {panbind, "sim", "--", panbind,	   "record", "-o",
				log,	 "--",	self, "--program", result,   NULL};
	int status = -1;
	pid_t pid;
	FILE *in;

	snprintf(log, sizeof(log), "%s/log", folder);
	snprintf(result, sizeof(result), "%s/result", folder);
	pid = fork();
	if (pid == 0) {
		execv(panbind, (char *const *)(recorded ? record : plain));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("the program");
	in = fopen(result, "rb");
	if (!in || fread(results, sizeof(*results), 1, in) != 1)
		die(result);
	fclose(in);
	unlink(log);
	unlink(result);
}

static void print(const char *name, const char *clock, const double *plain, const double *recorded)
{
	double a[ROUNDS], b[ROUNDS], more[ROUNDS], ratio[ROUNDS], spread;

	for (int i = 0; i < ROUNDS; i++) {
		a[i] = plain[i];
		b[i] = recorded[i];
		more[i] = b[i] - a[i];
		ratio[i] = b[i] / a[i];
	}
	median(a, ROUNDS);
	spread = a[ROUNDS * 3 / 4] - a[ROUNDS / 4];
	printf("%-16s %-5s %9.2f %9.2f %9.2f %7.2f %9.2f\n", name, clock, a[ROUNDS / 2] / 1e3, median(b, ROUNDS) / 1e3,
	       median(more, ROUNDS) / 1e3, median(ratio, ROUNDS), spread / 1e3);
}

static void print_hooks(struct results recorded[ROUNDS])
{
	double paced[ROUNDS], burst[ROUNDS];

	printf("%-30s %9s %9s\n", "us that the hooks take", "paced", "bursts");
	for (int p = 0; p < PLACES; p++) {
		for (int i = 0; i < ROUNDS; i++) {
			paced[i] = recorded[i].hooks[p].paced;
			burst[i] = recorded[i].hooks[p].burst;
		}
		printf("%-30s %9.2f %9.2f\n", place_names[p], median(paced, ROUNDS) / 1e3, median(burst, ROUNDS) / 1e3);
	}
	printf("\n");
}

static void print_all(struct results plain[ROUNDS], struct results recorded[ROUNDS])
{
	double a[2][ROUNDS], b[2][ROUNDS];

	printf("%-16s %-5s %9s %9s %9s %7s %9s\n", "us a call", "", "plain", "recorded", "more", "ratio", "quartiles");
	for (int f = 0; f < FIGURES; f++) {
		for (int i = 0; i < ROUNDS; i++) {
			a[0][i] = plain[i].costs[f].wall_ns;
			b[0][i] = recorded[i].costs[f].wall_ns;
			a[1][i] = plain[i].costs[f].cpu_ns;
			b[1][i] = recorded[i].costs[f].cpu_ns;
		}
		print(names[f], "wall", a[0], b[0]);
		print("", "cpu", a[1], b[1]);
	}
}

int main(int argc, char **argv)
{
	static struct results plain[ROUNDS], recorded[ROUNDS];
	char folder[] = "/tmp/bench_record.XXXXXX", self[4096] = "";

	if (argc == 3 && strcmp(argv[1], "--program") == 0)
		return program(argv[2]);
	if (argc != 2) {
		fprintf(stderr, "usage: bench_record PANBIND\n");
		return 2;
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || !mkdtemp(folder))
		die("bench_record");
	for (int i = 0; i < ROUNDS; i++) {
		run(argv[1], self, folder, i % 2, i % 2 ? &recorded[i] : &plain[i]);
		run(argv[1], self, folder, !(i % 2), i % 2 ? &plain[i] : &recorded[i]);
	}
	rmdir(folder);
	print_hooks(recorded);
	print_all(plain, recorded);
	return 0;
}
