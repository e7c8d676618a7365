/* SPDX-License-Identifier: MIT */
/* Threads, signals and waits on a render node. */
#include <linux/sync_file.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "scenario.h"

#define THREADS 8
#define ROUNDS	250u

static int node;
static uint32_t shared_vm, shared_bo;

static int64_t in_ms(int64_t ms)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec + ms * 1000000;
}

static uint32_t make_syncobj(int fd, uint32_t flags)
{
	struct drm_syncobj_create create = {.flags = flags};

	CHECK(ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create) == 0);
	return create.handle;
}

static int wait_syncobj(int fd, uint32_t handle, int64_t deadline)
{
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&handle,
		.count_handles = 1,
		.timeout_nsec = deadline,
		.flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};

	return ioctl(fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait);
}

static int signal_syncobj(int fd, uint32_t handle)
{
	struct drm_syncobj_array array = {.handles = (uintptr_t)&handle, .count_handles = 1};

	return ioctl(fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &array);
}

/* Each thread has a file, a VM and a BO of its own, and a place in a VM that all of them use. */
static void *bind_both(void *arg)
{
	uintptr_t index = (uintptr_t)arg;
	int own = open_node();
	uint32_t vm = make_vm(own), bo = make_bo(own, 16 * PAGE);

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t va = 0x100000 + i % 16 * PAGE;

		CHECK(map_bo(own, vm, bo, va, PAGE) == 0);
		CHECK(map_bo(node, shared_vm, shared_bo, va + (index << 24), PAGE) == 0);
		CHECK_ERRNO(map_bo(node, shared_vm, shared_bo + 1, va + (index << 24), PAGE), EINVAL);
		CHECK(unmap(node, shared_vm, va + (index << 24), PAGE) == 0);
	}
	CHECK(close(own) == 0);
	return NULL;
}

static void binds_in_threads(void)
{
	pthread_t threads[THREADS];

	node = open_node();
	shared_vm = make_vm(node);
	shared_bo = make_bo(node, PAGE);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, bind_both, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(vm_state(node, shared_vm) == 0);
}

static void *nothing(void *arg)
{
	CHECK(vm_state(node, shared_vm) == 0);
	return NULL;
}

/* Threads that come and go leave nothing behind: no fd, no connection. */
static void ends_threads(void)
{
	int before, after;

	node = open_node();
	shared_vm = make_vm(node);
	before = dup(0);
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	after = dup(0);
	CHECK(after == before + 1);
}

/* ---- Signals ---- */

static atomic_int caught;

static void call_back(int number)
{
	CHECK(vm_state(node, shared_vm) == 0);
	atomic_fetch_add(&caught, 1);
}

static void catch_alarm(int flags)
{
	struct sigaction action = {.sa_handler = call_back, .sa_flags = flags};

	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
}

static void ring_in(int ms, int every_ms)
{
	struct itimerval timer = {{0, every_ms * 1000}, {0, ms * 1000}};

	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* A caught signal ends a wait; the handler itself calls the node meanwhile. */
static void is_interrupted(void)
{
	uint32_t syncobj;

	node = open_node();
	shared_vm = make_vm(node);
	syncobj = make_syncobj(node, 0);
	catch_alarm(0);
	ring_in(50, 0);
	CHECK_ERRNO(wait_syncobj(node, syncobj, INT64_MAX), EINTR);
	CHECK(caught == 1);
	CHECK_ERRNO(wait_syncobj(node, syncobj, in_ms(20)), ETIME);
	CHECK(signal_syncobj(node, syncobj) == 0);
	CHECK(wait_syncobj(node, syncobj, 0) == 0);
}

static void *signal_later(void *arg)
{
	usleep(200 * 1000);
	CHECK(signal_syncobj(node, (uint32_t)(uintptr_t)arg) == 0);
	return NULL;
}

/* With SA_RESTART the wait goes on, however many signals come. */
static void is_not_interrupted(void)
{
	pthread_t thread;
	uint32_t syncobj;
	sigset_t alarm_only;

	node = open_node();
	shared_vm = make_vm(node);
	syncobj = make_syncobj(node, 0);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	CHECK(pthread_create(&thread, NULL, signal_later, (void *)(uintptr_t)syncobj) == 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	catch_alarm(SA_RESTART);
	ring_in(10, 10);
	CHECK(wait_syncobj(node, syncobj, INT64_MAX) == 0);
	ring_in(0, 0);
	CHECK(caught > 1);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* Signals in the middle of binds: none is lost, none is done twice. */
static void binds_under_signals(void)
{
	uint32_t vm, bo;

	node = open_node();
	shared_vm = vm = make_vm(node);
	bo = make_bo(node, 64 * PAGE);
	catch_alarm(0);
	ring_in(1, 1);
	for (unsigned int i = 0; i < 1500; i++) {
		int ret = map_bo(node, vm, bo, 0x100000 + i % 64 * PAGE, PAGE);

		CHECK(ret == 0 || errno == EINTR);
	}
	ring_in(0, 0);
	CHECK(caught > 0);
}

static void *wait_for_ever(void *arg)
{
	wait_syncobj(node, (uint32_t)(uintptr_t)arg, INT64_MAX);
	return NULL;
}

/* The process ends while one of its threads waits. */
static void exits_while_waiting(void)
{
	pthread_t thread;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		node = open_node();
		CHECK(pthread_create(&thread, NULL, wait_for_ever, (void *)(uintptr_t)make_syncobj(node, 0)) == 0);
		usleep(50 * 1000);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(make_vm(open_node()) == 1);
}

/* ---- Fds of fences ---- */

static int export_sync_file(int fd, uint32_t syncobj)
{
	struct drm_syncobj_handle handle = {.handle = syncobj,
					    .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
					    .fd = -1};

	CHECK(ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &handle) == 0);
	return handle.fd;
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN;
}

static int file_status(int fd)
{
	struct sync_fence_info fence = {.status = 77};
	struct sync_file_info info = {.num_fences = 1, .sync_fence_info = (uintptr_t)&fence};

	CHECK(ioctl(fd, SYNC_IOC_FILE_INFO, &info) == 0);
	CHECK(info.num_fences == 1 && fence.status == info.status);
	CHECK(strcmp(fence.driver_name, "panthor") == 0);
	return info.status;
}

static int merge_files(int a, int b)
{
	struct sync_merge_data data = {.name = "both", .fd2 = b, .fence = -1};

	CHECK(ioctl(a, SYNC_IOC_MERGE, &data) == 0);
	CHECK(fcntl(data.fence, F_GETFD) == FD_CLOEXEC);
	return data.fence;
}

/* An asynchronous bind that waits for @wait and signals @done. */
static int bind_after(int fd, uint32_t vm, uint32_t bo, uint32_t wait, uint32_t done)
{
	struct pb_uapi_sync_op syncs[2] = {{.handle = wait}, {.flags = PB_SYNC_SIGNAL, .handle = done}};
	struct pb_uapi_vm_bind_op op = {
		.bo_handle = bo,
		.va = 0x10000,
		.size = PAGE,
		.syncs = {.stride = sizeof(syncs[0]), .count = 2, .array = (uintptr_t)syncs},
	};
	struct pb_uapi_vm_bind bind = {
		.vm_id = vm,
		.flags = PB_VM_BIND_ASYNC,
		.ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op},
	};

	return ioctl(fd, PB_IOCTL_VM_BIND, &bind);
}

/* The gate is a timeline point that is submitted and waits for the one before it. */
static void sync_files(void)
{
	int fd = open_node(), file, passed, both;
	uint32_t vm = make_vm(fd), bo = make_bo(fd, PAGE), gate = make_syncobj(fd, 0), done = make_syncobj(fd, 0);
	uint32_t signaled = make_syncobj(fd, DRM_SYNCOBJ_CREATE_SIGNALED), other = make_syncobj(fd, 0);
	struct drm_syncobj_handle import = {.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE};
	struct drm_syncobj_handle share = {.handle = gate};

	CHECK_ERRNO(bind_after(fd, vm, bo, gate, done), EINVAL);
	passed = export_sync_file(fd, signaled);
	CHECK(is_readable(passed) && file_status(passed) == 1);
	CHECK(signal_syncobj(fd, gate) == 0);
	CHECK(bind_after(fd, vm, bo, gate, done) == 0);
	CHECK(wait_syncobj(fd, done, in_ms(5000)) == 0);
	file = export_sync_file(fd, done);
	CHECK(file_status(file) == 1);
	both = merge_files(file, passed);
	CHECK(is_readable(both) && file_status(both) == 1);

	import.handle = other;
	import.fd = both;
	CHECK(ioctl(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &import) == 0);
	CHECK(wait_syncobj(fd, other, 0) == 0);
	CHECK_ERRNO(ioctl(both, SYNC_IOC_MERGE, &(struct sync_merge_data){.fd2 = fd}), ENOENT);
	CHECK_ERRNO(ioctl(both, SYNC_IOC_MERGE, NULL), EFAULT);

	/* A syncobj itself goes by its fd to another open file. */
	CHECK(ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &share) == 0);
	share.handle = 0;
	CHECK(ioctl(open_node(), DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &share) == 0 && share.handle == 1);
}

struct eventfd_args {
	uint32_t handle, flags;
	uint64_t point;
	int32_t fd;
	uint32_t pad;
};

static void eventfds(void)
{
	int fd = open_node(), event = eventfd(0, EFD_CLOEXEC);
	struct eventfd_args args = {.handle = make_syncobj(fd, 0), .fd = event};

	CHECK(ioctl(fd, _IOWR('d', 0xcf, struct eventfd_args), &args) == 0);
	CHECK(!is_readable(event));
	CHECK(signal_syncobj(fd, args.handle) == 0);
	CHECK(is_readable(event));
	args.fd = -1;
	CHECK_ERRNO(ioctl(fd, _IOWR('d', 0xcf, struct eventfd_args), &args), EBADF);
	args.fd = fd;
	CHECK_ERRNO(ioctl(fd, _IOWR('d', 0xcf, struct eventfd_args), &args), EINVAL);
}

int main(int argc, char **argv)
{
	static const struct scene scenes[] = {
		{"binds_in_threads", binds_in_threads},
		{"ends_threads", ends_threads},
		{"is_interrupted", is_interrupted},
		{"is_not_interrupted", is_not_interrupted},
		{"binds_under_signals", binds_under_signals},
		{"exits_while_waiting", exits_while_waiting},
		{"sync_files", sync_files},
		{"eventfds", eventfds},
		{NULL, NULL},
	};

	return play_scene(scenes, argc, argv);
}
