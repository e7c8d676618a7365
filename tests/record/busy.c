/* SPDX-License-Identifier: MIT */
/*
 * A program that knows nothing of panbind: plain ioctls on a render node, of many threads, in forks, after exec, on a
 * node that is closed and opened again, on a descriptor that came from another process. What it does is checked by what
 * the simulator's own trace and the recording say of it; it only checks that its calls end as they should.
 *
 * usage: busy [-n NODE] threads THREADS BINDS | fork | exec | reopen | pass | prime | kill THREADS BINDS | killed TIMES
 * | errors | async | submit | hold FILES
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi.h"

#define PAGE 4096ull

extern char **environ;

static const char *node = "/dev/dri/renderD128";
static const char *self;

static void die(const char *what)
{
	fprintf(stderr, "busy: %s: %s\n", what, strerror(errno));
	exit(3);
}

static void must(const char *what, int ret)
{
	if (ret < 0)
		die(what);
}

static int open_node(int flags)
{
	int fd = open(node, O_RDWR | flags);

	must(node, fd);
	return fd;
}

static uint32_t make_vm(int fd)
{
	struct pb_uapi_vm_create args = {0};

	must("VM_CREATE", ioctl(fd, PB_IOCTL_VM_CREATE, &args));
	return args.id;
}

static void end_vm(int fd, uint32_t id)
{
	struct pb_uapi_vm_destroy args = {.id = id};

	must("VM_DESTROY", ioctl(fd, PB_IOCTL_VM_DESTROY, &args));
}

static uint32_t make_bo(int fd, uint64_t size)
{
	struct pb_uapi_bo_create args = {.size = size};

	must("BO_CREATE", ioctl(fd, PB_IOCTL_BO_CREATE, &args));
	return args.handle;
}

static void close_bo(int fd, uint32_t handle)
{
	struct drm_gem_close args = {.handle = handle};

	must("GEM_CLOSE", ioctl(fd, DRM_IOCTL_GEM_CLOSE, &args));
}

static int bind_ops(int fd, uint32_t vm, uint32_t flags, struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	struct pb_uapi_vm_bind args = {.vm_id = vm, .flags = flags, .ops = {sizeof(*ops), count, (uintptr_t)ops}};

	return ioctl(fd, PB_IOCTL_VM_BIND, &args);
}

static int map(int fd, uint32_t vm, uint64_t va, uint64_t size, uint32_t bo, uint64_t offset)
{
	struct pb_uapi_vm_bind_op op = {
		.flags = PB_OP_MAP | PB_OP_NOEXEC, .bo_handle = bo, .bo_offset = offset, .va = va, .size = size};

	return bind_ops(fd, vm, 0, &op, 1);
}

static int unmap(int fd, uint32_t vm, uint64_t va, uint64_t size)
{
	struct pb_uapi_vm_bind_op op = {.flags = PB_OP_UNMAP, .va = va, .size = size};

	return bind_ops(fd, vm, 0, &op, 1);
}

/* ---- Threads ---- */

/** A thread on a range of its own, with its own BO. */
struct job {
	pthread_t thread;
	int fd;
	uint32_t vm;
	uint64_t va, binds;
};

/* One, two or three ops at a time: maps over maps, and holes. */
static void *bind_away(void *data)
{
	struct job *job = data;
	uint32_t bo = make_bo(job->fd, 64 * PAGE);

	for (uint64_t i = 0; i < job->binds; i++) {
		struct pb_uapi_vm_bind_op ops[3];
		uint32_t count = 1 + (uint32_t)(i % 3);

		for (uint32_t o = 0; o < count; o++)
			ops[o] = (struct pb_uapi_vm_bind_op){.flags = (i + o) % 5 == 4 ? PB_OP_UNMAP
										       : PB_OP_MAP | PB_OP_NOEXEC,
							     .bo_handle = (i + o) % 5 == 4 ? 0 : bo,
							     .bo_offset = (i + o) % 5 == 4 ? 0 : (i + o) % 60 * PAGE,
							     .va = job->va + (i * 7 + o * 3) % 256 * PAGE,
							     .size = (1 + i % 4) * PAGE};
		must("VM_BIND", bind_ops(job->fd, job->vm, 0, ops, count));
	}
	return NULL;
}

static void run_threads(int fd, uint32_t vm, unsigned threads, uint64_t binds)
{
	struct job jobs[64];

	for (unsigned i = 0; i < threads; i++) {
		jobs[i] = (struct job){.fd = fd, .vm = vm, .va = (1 + i) << 24, .binds = binds};
		must("thread", -pthread_create(&jobs[i].thread, NULL, bind_away, &jobs[i]));
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(jobs[i].thread, NULL);
}

static void run_busy_threads(unsigned threads, uint64_t binds)
{
	int fd = open_node(O_CLOEXEC);

	run_threads(fd, make_vm(fd), threads, binds);
}

/* ---- Processes ---- */

static void wait_for(pid_t pid, int wanted)
{
	int status;

	must("fork", pid);
	if (waitpid(pid, &status, 0) != pid || status != wanted) {
		fprintf(stderr, "busy: a child ended with %d\n", status);
		exit(3);
	}
}

/* Parent and child on one open file, at the same time, and the child after the parent's fd is closed. */
static void run_fork(void)
{
	int fd = open_node(O_CLOEXEC), go[2];
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 16 * PAGE);
	pid_t pid;
	char byte;

	must("pipe", pipe(go));
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		for (unsigned i = 0; i < 50; i++)
			must("child's map", map(fd, vm, (1 << 20) + i * PAGE, PAGE, bo, 0));
		(void)!read(go[0], &byte, 1);
		must("child's last map", map(fd, vm, 2 << 20, PAGE, bo, PAGE));
		_exit(0);
	}
	for (unsigned i = 0; i < 50; i++)
		must("parent's map", map(fd, vm, (4 << 20) + i * PAGE, PAGE, bo, 0));
	close(fd);
	close(go[1]);
	wait_for(pid, 0);
}

/* An inherited descriptor, in another program, by exec() and by posix_spawn(). */
static void run_exec(void)
{
	int fd = open_node(0), kept = dup(fd);
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 16 * PAGE);
	char fd_text[16], vm_text[16], bo_text[16], how[] = "inherited";
	char *argv[] = {(char *)self, how, fd_text, vm_text, bo_text, NULL};
	pid_t pid;

	must("map", map(fd, vm, 1 << 20, PAGE, bo, 0));
	close(fd);
	snprintf(fd_text, sizeof(fd_text), "%d", kept);
	snprintf(vm_text, sizeof(vm_text), "%u", vm);
	snprintf(bo_text, sizeof(bo_text), "%u", bo);
	must("spawn", -posix_spawn(&pid, self, NULL, NULL, argv, environ));
	wait_for(pid, 0);
	execv(self, argv);
	die("exec");
}

static void run_inherited(char **argv)
{
	int fd = atoi(argv[0]);
	uint32_t vm = (uint32_t)atoi(argv[1]), bo = (uint32_t)atoi(argv[2]);

	must("inherited map", map(fd, vm, 3 << 20, PAGE, bo, PAGE));
	must("inherited unmap", unmap(fd, vm, 1 << 20, PAGE));
}

static void run_reopen(void)
{
	for (unsigned i = 0; i < 5; i++) {
		int fd = open_node(O_CLOEXEC), other = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		uint32_t vm = make_vm(fd), bo = make_bo(fd, 16 * PAGE);

		must("map", map(fd, vm, (1 + i) << 20, 2 * PAGE, bo, 0));
		close(fd);
		must("map by the duplicate", map(other, vm, (1 + i) << 21, PAGE, bo, PAGE));
		if (i % 2)
			end_vm(other, vm);
		if (i % 3 == 0)
			close_bo(other, bo);
		close(other);
	}
}

static void send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char byte = 1;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	must("sendmsg", (int)sendmsg(socket, &msg, 0));
}

static int receive_fd(int socket)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd;

	must("recvmsg", (int)recvmsg(socket, &msg, 0));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* To a process that was there before the file; the sender lets go of it before it arrives. */
static void run_pass(void)
{
	int ends[2], fd;
	uint32_t vm, bo;
	pid_t pid;

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		usleep(50000);
		fd = receive_fd(ends[0]);
		must("receiver's map", map(fd, 1, 5 << 20, PAGE, 1, PAGE));
		must("receiver's unmap", unmap(fd, 1, 4 << 20, PAGE));
		_exit(0);
	}
	fd = open_node(O_CLOEXEC);
	vm = make_vm(fd);
	bo = make_bo(fd, 16 * PAGE);
	must("sender's map", map(fd, vm, 4 << 20, 2 * PAGE, bo, 0));
	send_fd(ends[1], fd);
	close(fd);
	wait_for(pid, 0);
}

/* A BO of one file in another, each with a name of its own for it. */
static void run_prime(void)
{
	int fd = open_node(O_CLOEXEC), other = open_node(O_CLOEXEC);
	uint32_t vm = make_vm(fd), other_vm, bo = make_bo(fd, 16 * PAGE);
	struct drm_prime_handle give = {.handle = bo, .flags = O_CLOEXEC | O_RDWR}, take;

	must("map", map(fd, vm, 1 << 20, PAGE, bo, 0));
	must("PRIME_HANDLE_TO_FD", ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &give));
	make_bo(other, PAGE);
	take = (struct drm_prime_handle){.fd = give.fd};
	must("PRIME_FD_TO_HANDLE", ioctl(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &take));
	close(give.fd);
	other_vm = make_vm(other);
	must("map of the other's", map(other, other_vm, 2 << 20, 2 * PAGE, take.handle, PAGE));
	close_bo(fd, bo);
	must("map after the first handle", map(other, other_vm, 3 << 20, PAGE, take.handle, 0));
}

/* ---- Killed ---- */

static void run_kill(unsigned threads, uint64_t binds)
{
	int fd = open_node(O_CLOEXEC);

	run_threads(fd, make_vm(fd), threads, binds);
	raise(SIGKILL);
}

/* Killed by somebody else, wherever it is. */
static void run_killed(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		pid_t pid = fork();

		if (pid == 0)
			run_busy_threads(2, 1u << 30);
		usleep(30000 + 7000 * i);
		kill(pid, SIGKILL);
		wait_for(pid, SIGKILL);
	}
}

/* ---- What fails, and what is late ---- */

static void must_fail(const char *what, int ret, int err)
{
	if (ret == 0 || errno != err) {
		fprintf(stderr, "busy: %s: %d, %s\n", what, ret, ret ? strerror(errno) : "success");
		exit(3);
	}
}

static void run_errors(void)
{
	int fd = open_node(O_CLOEXEC);
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 4 * PAGE);
	struct pb_uapi_vm_bind_op ops[4] = {
		{.flags = PB_OP_MAP, .bo_handle = bo, .va = 1 << 20, .size = PAGE},
		{.flags = PB_OP_MAP, .bo_handle = bo, .va = 2 << 20, .size = PAGE, .bo_offset = PAGE},
		{.flags = PB_OP_MAP, .bo_handle = 77, .va = 3 << 20, .size = PAGE},
		{.flags = PB_OP_UNMAP, .va = 1 << 20, .size = PAGE}};
	struct pb_uapi_vm_bind none = {.vm_id = vm, .ops = {48, 2, 8}};
	struct pb_uapi_vm_create vm_args = {.flags = 1};
	struct pb_uapi_bo_create bo_args = {.size = 0};

	must_fail("two of four", bind_ops(fd, vm, 0, ops, 4), EINVAL);
	must_fail("no such VM", map(fd, 9, 1 << 20, PAGE, bo, 0), EINVAL);
	must_fail("unaligned", map(fd, vm, 17, PAGE, bo, 0), EINVAL);
	must_fail("nowhere", ioctl(fd, PB_IOCTL_VM_BIND, &none), EFAULT);
	must_fail("VM with flags", ioctl(fd, PB_IOCTL_VM_CREATE, &vm_args), EINVAL);
	must_fail("BO of nothing", ioctl(fd, PB_IOCTL_BO_CREATE, &bo_args), EINVAL);
	must("nothing", map(fd, vm, 5 << 20, 0, bo, 0));
	must("no ops", bind_ops(fd, vm, 0, ops, 0));
	must("after all", map(fd, vm, 6 << 20, PAGE, bo, 0));
}

static uint32_t make_syncobj(int fd)
{
	struct drm_syncobj_create args = {0};

	must("SYNCOBJ_CREATE", ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &args));
	return args.handle;
}

static void wait_syncobj(int fd, uint32_t syncobj, uint64_t point)
{
	struct drm_syncobj_timeline_wait args = {.handles = (uintptr_t)&syncobj,
						 .points = (uintptr_t)&point,
						 .timeout_nsec = INT64_MAX,
						 .count_handles = 1,
						 .flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT};

	must("SYNCOBJ_TIMELINE_WAIT", ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args));
}

static void run_async(void)
{
	int fd = open_node(O_CLOEXEC);
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 64 * PAGE), so = make_syncobj(fd);

	for (uint64_t i = 1; i <= 40; i++) {
		struct pb_uapi_sync_op syncs[2] = {
			{.flags = PB_SYNC_TYPE_TIMELINE | PB_SYNC_SIGNAL, .handle = so, .timeline_value = i},
			{.flags = PB_SYNC_TYPE_TIMELINE, .handle = so, .timeline_value = i - 1}};
		struct pb_uapi_vm_bind_op ops[2] = {
			{.flags = PB_OP_MAP | PB_OP_NOEXEC,
			 .bo_handle = bo,
			 .va = (1 << 20) + i % 16 * PAGE,
			 .size = 2 * PAGE,
			 .bo_offset = i * PAGE,
			 .syncs = {16, 1, (uintptr_t)&syncs[0]}},
		};

		if (i > 1)
			ops[0].syncs.count = 2;
		must("asynchronous bind", bind_ops(fd, vm, PB_VM_BIND_ASYNC, ops, 1));
		if (i % 10 == 0)
			wait_syncobj(fd, so, i);
	}
	must("SYNCOBJ_DESTROY", ioctl(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &(struct drm_syncobj_destroy){.handle = so}));
	make_syncobj(fd);
}

/* Binds and jobs that take turns: each waits for the other's point. The jobs are empty. */
static uint32_t make_group(int fd, uint32_t vm)
{
	struct pb_uapi_queue_create queue = {.priority = 1, .ringbuf_size = PAGE};
	struct pb_uapi_group_create args = {
		.queues = {sizeof(queue), 1, (uintptr_t)&queue},
		.max_compute_cores = 1,
		.max_fragment_cores = 1,
		.max_tiler_cores = 1,
		.priority = PB_GROUP_PRIORITY_MEDIUM,
		.compute_core_mask = 1,
		.fragment_core_mask = 1,
		.tiler_core_mask = 1,
		.vm_id = vm,
	};

	must("GROUP_CREATE", ioctl(fd, PB_IOCTL_GROUP_CREATE, &args));
	return args.group_handle;
}

static int submit(int fd, uint32_t group, struct pb_uapi_sync_op *syncs, uint32_t count)
{
	struct pb_uapi_queue_submit queue = {.syncs = {sizeof(*syncs), count, (uintptr_t)syncs}};
	struct pb_uapi_group_submit args = {.group_handle = group,
					    .queue_submits = {sizeof(queue), 1, (uintptr_t)&queue}};

	return ioctl(fd, PB_IOCTL_GROUP_SUBMIT, &args);
}

static void run_submit(void)
{
	int fd = open_node(O_CLOEXEC);
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 64 * PAGE), so = make_syncobj(fd), group = make_group(fd, vm);
	uint64_t last = 0;

	for (uint64_t i = 0; i < 10; i++) {
		struct pb_uapi_sync_op turn[2] = {
			{.flags = PB_SYNC_TYPE_TIMELINE | PB_SYNC_SIGNAL, .handle = so, .timeline_value = 2 * i + 1},
			{.flags = PB_SYNC_TYPE_TIMELINE, .handle = so, .timeline_value = last},
		};
		struct pb_uapi_vm_bind_op op = {.flags = PB_OP_MAP | PB_OP_NOEXEC,
						.bo_handle = bo,
						.va = (1 << 20) + i % 4 * PAGE,
						.size = 2 * PAGE,
						.bo_offset = i * PAGE};

		must("GROUP_SUBMIT", submit(fd, group, turn, last ? 2 : 1));
		last = turn[0].timeline_value;
		turn[0].timeline_value = last + 1;
		turn[1].timeline_value = last;
		op.syncs = (struct pb_uapi_obj_array){16, 2, (uintptr_t)turn};
		must("asynchronous bind", bind_ops(fd, vm, PB_VM_BIND_ASYNC, &op, 1));
		last++;
	}
	wait_syncobj(fd, so, last);
	if (submit(fd, 99, NULL, 0) == 0)
		die("a group that is none");
}

/* A VM with a mapping on each of several open files, until standard input ends. Says which process and descriptors. */
static void run_hold(unsigned files)
{
	char byte;

	printf("%d", (int)getpid());
	for (unsigned i = 0; i < files; i++) {
		int fd = open_node(O_CLOEXEC);

		must("map", map(fd, make_vm(fd), (1 + i) << 20, 16 * PAGE, make_bo(fd, 16 * PAGE), 0));
		printf(" %d", fd);
	}
	printf("\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static int run(int argc, char **argv)
{
	unsigned long a = argc > 1 ? strtoul(argv[1], NULL, 0) : 0, b = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;

	if (strcmp(argv[0], "threads") == 0)
		run_busy_threads((unsigned)a, b);
	else if (strcmp(argv[0], "fork") == 0)
		run_fork();
	else if (strcmp(argv[0], "exec") == 0)
		run_exec();
	else if (strcmp(argv[0], "inherited") == 0 && argc == 4)
		run_inherited(argv + 1);
	else if (strcmp(argv[0], "reopen") == 0)
		run_reopen();
	else if (strcmp(argv[0], "pass") == 0)
		run_pass();
	else if (strcmp(argv[0], "prime") == 0)
		run_prime();
	else if (strcmp(argv[0], "kill") == 0)
		run_kill((unsigned)a, b);
	else if (strcmp(argv[0], "killed") == 0)
		run_killed((unsigned)a);
	else if (strcmp(argv[0], "errors") == 0)
		run_errors();
	else if (strcmp(argv[0], "async") == 0)
		run_async();
	else if (strcmp(argv[0], "submit") == 0)
		run_submit();
	else if (strcmp(argv[0], "hold") == 0)
		run_hold((unsigned)a);
	else
		return 2;
	return 0;
}

int main(int argc, char **argv)
{
	self = "/proc/self/exe";
	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		node = argv[2];
		argv += 2;
		argc -= 2;
	}
	return argc > 1 ? run(argc - 1, argv + 1) : 2;
}
