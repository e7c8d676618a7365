/* SPDX-License-Identifier: MIT */
/*
 * What `panbind record` costs the program that it records.
 *
 * usage: bench_record PANBIND
 *
 * The same program runs on a simulated node, in turns as it is and recorded. Figures are medians over the rounds of
 * each run's median; the cost is the median of the rounds' differences. Both sides have the whole bind in them, so that
 * a difference of less than what runs differ by (it is printed) says nothing. Nothing here passes or fails.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "uapi.h"

#define ROUNDS	9
#define PACED	400
#define PACE_NS 20000.0 /* from the end of a bind to the next */
#define BURST	400	/* fit into the ring of a thread */
#define FLOOD	10000	/* do not */
#define PAGE	4096ull

enum figure { GETPID, PACED_1, PACED_16, BURST_1, BURST_16, FLOOD_1, FIGURES };

static const char *const names[FIGURES] = {
	"getpid", "1 op, paced", "16 ops, paced", "1 op, bursts", "16 ops, bursts", "1 op, no pause",
};

struct cost {
	double wall_ns, cpu_ns; /* of a bind */
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

static void pace(void)
{
	double start = now().wall_ns;

	while (now().wall_ns - start < PACE_NS)
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

static int program(const char *result)
{
	struct pb_uapi_vm_create vm = {0};
	struct pb_uapi_bo_create bo = {.size = 16 * PAGE};
	struct program p = {.fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC)};
	struct cost costs[FIGURES];
	FILE *out = fopen(result, "wb");

	if (p.fd < 0 || !out || ioctl(p.fd, PB_IOCTL_VM_CREATE, &vm) < 0 || ioctl(p.fd, PB_IOCTL_BO_CREATE, &bo) < 0)
		die("start");
	p.vm = vm.id;
	p.bo = bo.handle;
	at_once(&p, 16, 50); /* the first bind makes the ring */
	costs[GETPID] = one_by_one(&p, 0);
	costs[PACED_1] = one_by_one(&p, 1);
	costs[PACED_16] = one_by_one(&p, 16);
	costs[BURST_1] = at_once(&p, 1, BURST);
	costs[BURST_16] = at_once(&p, 16, BURST);
	costs[FLOOD_1] = at_once(&p, 1, FLOOD);
	if (fwrite(costs, sizeof(costs), 1, out) != 1 || fclose(out) != 0)
		die(result);
	return 0;
}

/* ---- Both sides ---- */

static void run(const char *panbind, const char *self, const char *folder, int recorded, struct cost costs[FIGURES])
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
	if (!in || fread(costs, sizeof(*costs), FIGURES, in) != FIGURES)
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

static void print_all(struct cost plain[ROUNDS][FIGURES], struct cost recorded[ROUNDS][FIGURES])
{
	double a[2][ROUNDS], b[2][ROUNDS];

	printf("%-16s %-5s %9s %9s %9s %7s %9s\n", "us a call", "", "plain", "recorded", "more", "ratio", "quartiles");
	for (int f = 0; f < FIGURES; f++) {
		for (int i = 0; i < ROUNDS; i++) {
			a[0][i] = plain[i][f].wall_ns;
			b[0][i] = recorded[i][f].wall_ns;
			a[1][i] = plain[i][f].cpu_ns;
			b[1][i] = recorded[i][f].cpu_ns;
		}
		print(names[f], "wall", a[0], b[0]);
		print("", "cpu", a[1], b[1]);
	}
}

int main(int argc, char **argv)
{
	static struct cost plain[ROUNDS][FIGURES], recorded[ROUNDS][FIGURES];
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
		run(argv[1], self, folder, i % 2, i % 2 ? recorded[i] : plain[i]);
		run(argv[1], self, folder, !(i % 2), i % 2 ? plain[i] : recorded[i]);
	}
	rmdir(folder);
	print_all(plain, recorded);
	return 0;
}
