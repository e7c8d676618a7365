/* SPDX-License-Identifier: MIT */
/* A simulated node between its server and clients that are threads of this process. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "backend.h"
#include "kernel.h"
#include "panbind-sim.h"
#include "panbind.h"
#include "sim/node_client.h"
#include "sim/node_server.h"

#define PAGE UINT64_C(4096)

static int start(void **state)
{
	return panbind_sim_start("sim:", NULL, (struct panbind_sim **)state, NULL);
}

static int stop(void **state)
{
	return panbind_sim_stop(*state);
}

static int open_node(struct panbind_sim *sim)
{
	int fd = node_open(panbind_sim_folder(sim), O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct panbind_device *open_device(int fd)
{
	struct panbind_device *device;

	assert_int_equal(panbind_device_open_fd(fd, &device, NULL), 0);
	return device;
}

static unsigned int count_files(struct panbind_sim *sim)
{
	unsigned int count = 0;

	pthread_mutex_lock(&sim->lock);
	for (struct node_file *file = sim->files; file; file = file->next)
		count++;
	pthread_mutex_unlock(&sim->lock);
	return count;
}

/* The server hears of a close as soon as it is scheduled. */
static void await_files(struct panbind_sim *sim, unsigned int wanted)
{
	for (int i = 0; i < 20000 && count_files(sim) != wanted; i++)
		usleep(1000);
	assert_int_equal(count_files(sim), wanted);
}

/* Given a node's fd, when the library takes it, then binds, mmap and a look into the page tables work across. */
static void test_device_from_fd(void **state)
{
	int fd = open_node(*state);
	struct panbind_device *device = open_device(fd);
	struct panbind_device_info info;
	struct panbind_vm *vm;
	struct panbind_bo *bo;
	uint32_t value = 0;
	void *memory;

	close(fd);
	assert_int_equal(panbind_device_get_info(device, &info), 0);
	assert_string_equal(info.backend, "node");
	assert_int_equal(info.version_minor, 9);
	assert_int_equal(info.atomic, PANBIND_YES);
	assert_int_equal(panbind_vm_create(device, 0, &vm, NULL), 0);
	assert_int_equal(panbind_bo_create(device, 16 * PAGE, 0, NULL, &bo, NULL), 0);
	assert_int_equal(panbind_vm_map(vm, 0x100000, 16 * PAGE, bo, 0, 0, NULL), 0);
	assert_int_equal(panbind_bo_mmap(bo, &memory), 0);
	memcpy((char *)memory + PAGE, &(uint32_t){0xcafe}, sizeof(uint32_t));

	assert_int_equal(panbind_vm_gpu_resident(vm, 1), 0);
	assert_int_equal(panbind_vm_gpu_load(vm, 0x101000, &value, sizeof(value)), 0);
	assert_int_equal(value, 0xcafe);
	assert_int_equal(panbind_vm_gpu_store(vm, 0x101004, &(uint32_t){7}, 4), 0);
	assert_int_equal(((uint32_t *)memory)[PAGE / 4 + 1], 7);
	assert_int_equal(panbind_vm_gpu_load(vm, 0x200000, &value, sizeof(value)), -EFAULT);

	panbind_vm_destroy(vm);
	panbind_bo_unref(bo);
	panbind_device_unref(device);
	await_files(*state, 0);
}

/* Given two duplicates of one fd, when each is a device, then they are one open file; another open is another one. */
static void test_duplicates_share(void **state)
{
	int fd = open_node(*state), other = open_node(*state), copy = dup(fd);
	struct node_id a, b, c;

	assert_true(node_identify(fd, &a) && node_identify(copy, &b) && node_identify(other, &c));
	assert_int_equal(a.file, b.file);
	assert_int_equal(a.node, c.node);
	assert_int_not_equal(a.file, c.file);
	assert_false(node_identify(0, &a));
	assert_int_equal(count_files(*state), 2);
	close(fd);
	close(other);
	await_files(*state, 1);
	close(copy);
	await_files(*state, 0);
}

/* Given an fd in flight, when the sender closes its own, then the file lives until the receiver closes, too. */
static void test_in_flight(void **state)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int pair[2], fd = open_node(*state);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	close(fd);
	usleep(20000);
	assert_int_equal(count_files(*state), 1);
	close(pair[0]);
	close(pair[1]);
	await_files(*state, 0);
}

/* ---- Many threads ---- */

#define THREADS 6u
#define ROUNDS	150u

struct worker {
	pthread_t thread;
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bo;
	uint64_t start;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	uintptr_t failed = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t va = worker->start + i % 16 * PAGE;

		failed |= panbind_vm_map(worker->vm, va, PAGE, worker->bo, i % 4 * PAGE, 0, NULL) != 0;
		if (i % 3 == 0)
			failed |= panbind_vm_unmap(worker->vm, va, PAGE, NULL) != 0;
	}
	return failed ? arg : NULL;
}

/* What the page tables on the other side have is what the library believes, page by page. */
static void check_pages(struct panbind_device *device, struct panbind_vm *vm, int fd)
{
	struct panbind_mapping mapping;
	struct node_id id;
	uint64_t va = 0;

	assert_true(node_identify(fd, &id));
	while (panbind_vm_next_mapping(vm, va, &mapping) == 0) {
		for (va = mapping.va; va < mapping.va + mapping.size; va += PAGE) {
			struct node_message message = {.type = NODE_NEXT_PAGE, .words = {panbind_vm_id(vm), va}};
			struct pb_page page;

			assert_int_equal(node_call(fd, &id, &message, NULL, &(struct iovec){&page, sizeof(page)}), 0);
			assert_int_equal(page.va, va);
			assert_int_equal(page.bo_offset, mapping.bo_offset + (va - mapping.va));
			assert_int_equal(page.bo_handle, panbind_bo_handle(mapping.bo));
		}
	}
}

static void test_threads(void **state)
{
	struct worker workers[THREADS] = {0};
	int fd = open_node(*state);
	struct panbind_device *device = open_device(fd);
	struct panbind_vm *vm;

	assert_int_equal(panbind_vm_create(device, 0, &vm, NULL), 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		struct worker *worker = &workers[i];

		worker->vm = vm;
		worker->start = (uint64_t)(i + 1) << 24;
		assert_int_equal(panbind_bo_create(device, 4 * PAGE, 0, NULL, &worker->bo, NULL), 0);
		if (i % 2) {
			int own = open_node(*state);

			worker->device = open_device(own);
			close(own);
			assert_int_equal(panbind_vm_create(worker->device, 0, &worker->vm, NULL), 0);
			panbind_bo_unref(worker->bo);
			assert_int_equal(panbind_bo_create(worker->device, 4 * PAGE, 0, NULL, &worker->bo, NULL), 0);
		}
	}
	/* One VM is one thread's at a time in this library: the even ones take turns, the odd ones run together. */
	for (uint32_t i = 0; i < THREADS; i++)
		if (i % 2)
			assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	for (uint32_t i = 0; i < THREADS; i += 2)
		assert_null(work(&workers[i]));
	for (uint32_t i = 1; i < THREADS; i += 2) {
		void *failed;

		assert_int_equal(pthread_join(workers[i].thread, &failed), 0);
		assert_null(failed);
	}
	check_pages(device, vm, fd);
	for (uint32_t i = 0; i < THREADS; i++) {
		if (i % 2)
			panbind_vm_destroy(workers[i].vm);
		panbind_bo_unref(workers[i].bo);
		panbind_device_unref(workers[i].device);
	}
	panbind_vm_destroy(vm);
	panbind_device_unref(device);
	close(fd);
}

/* ---- The end ---- */

static void *wait_for_ever(void *arg)
{
	struct panbind_syncobj *syncobj = arg;

	return (void *)(intptr_t)panbind_syncobj_wait(&syncobj, (uint64_t[]){1}, 1, PANBIND_WAIT_FOR_FENCE, INT64_MAX,
						      NULL);
}

/* Given a thread that waits for ever, when the node is stopped, then the wait ends, and all calls are refused. */
static void test_stop_ends_waits(void **state)
{
	struct panbind_sim *sim;
	struct panbind_device *device;
	struct panbind_syncobj *syncobj;
	char folder[128];
	struct stat st;
	pthread_t thread;
	void *ret;
	int fd;

	assert_int_equal(panbind_sim_start("sim:", NULL, &sim, NULL), 0);
	snprintf(folder, sizeof(folder), "%s", panbind_sim_folder(sim));
	fd = open_node(sim);
	device = open_device(fd);
	assert_int_equal(panbind_syncobj_create(device, 0, &syncobj), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, syncobj), 0);
	usleep(20000);
	assert_int_equal(panbind_sim_stop(sim), 0);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_true((intptr_t)ret < 0);
	assert_int_equal(node_open(folder, 0), -ENODEV);
	assert_int_equal(stat(folder, &st), -1);
	panbind_syncobj_unref(syncobj);
	panbind_device_unref(device);
	close(fd);
}

/* Whoever is not what he says he is, is not served, and does no harm. */
static void test_strangers(void **state)
{
	struct panbind_sim *sim = *state;
	struct node_message message = {.type = NODE_HELLO_CALLS, .words = {NODE_VERSION}};
	int sockets[4];
	char path[160], byte;

	snprintf(path, sizeof(path), "%s/" NODE_SOCKET, panbind_sim_folder(sim));
	for (int i = 0; i < 4; i++) {
		sockets[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(node_connect(sockets[i], path), 0);
	}
	/* One that says nothing, one that says too little, one of another version, one that asks for what is not there.
	 */
	assert_int_equal(send(sockets[1], "x", 1, 0), 1);
	assert_int_equal(recv(sockets[1], &byte, 1, 0), 0);
	message.words[0] = NODE_VERSION + 1;
	assert_int_equal(send(sockets[2], &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(recv(sockets[2], &byte, 1, 0), 0);
	message.words[0] = NODE_VERSION;
	assert_int_equal(send(sockets[3], &message, sizeof(message), 0), sizeof(message));
	message = (struct node_message){.type = NODE_IOCTL, .file = 12345, .words = {0xc0186443, 8, 3, 1}};
	assert_int_equal(send(sockets[3], &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(recv(sockets[3], &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(message.ret, -EBADF);
	message = (struct node_message){.type = 4711};
	assert_int_equal(send(sockets[3], &message, sizeof(message), 0), sizeof(message));
	assert_int_equal(recv(sockets[3], &message, sizeof(message), 0), sizeof(message));
	assert_true(message.ret < 0);
	for (int i = 0; i < 4; i++)
		close(sockets[i]);
	close(open_node(sim));
}

/* Where a file is open in this process, which is the server's as well. */
static unsigned int count_open(const struct stat *file)
{
	unsigned int count = 0;
	struct dirent *entry;
	struct stat st;
	DIR *folder = opendir("/proc/self/fd");

	assert_non_null(folder);
	while ((entry = readdir(folder)))
		count += fstat(atoi(entry->d_name), &st) == 0 && st.st_ino == file->st_ino && st.st_dev == file->st_dev;
	closedir(folder);
	return count;
}

/* Say @size bytes as a stranger, with two descriptors beside them; returns when the server has hung up. */
static void bring_two(const char *path, size_t size, int brought)
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct node_message message = {.type = NODE_HELLO_CALLS, .words = {NODE_VERSION + 1}};
	struct iovec part = {&message, size};
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(CMSG_DATA(&control.head), (int[]){brought, brought}, 2 * sizeof(int));
	assert_int_equal(node_connect(fd, path), 0);
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), size);
	assert_int_equal(recv(fd, &message, sizeof(message), 0), 0);
	close(fd);
}

static void test_what_strangers_bring_is_closed(void **state)
{
	int brought = memfd_create("brought", MFD_CLOEXEC);
	struct stat file;
	char path[160];

	if (!kernel_closes_surplus_fds()) {
		print_message("# note descriptors without room are not closed here: an emulator loses them\n");
		skip();
	}
	assert_int_equal(fstat(brought, &file), 0);
	snprintf(path, sizeof(path), "%s/" NODE_SOCKET, panbind_sim_folder(*state));
	bring_two(path, sizeof(struct node_message), brought);
	bring_two(path, 1, brought);
	assert_int_equal(count_open(&file), 1);
	close(brought);
}

static void test_bad_specs(void **state)
{
	struct panbind_sim *sim = NULL;
	struct panbind_error error;

	assert_int_equal(panbind_sim_start("drm:auto", NULL, &sim, &error), -EINVAL);
	assert_int_equal(panbind_sim_start("sim:minor=9,va-bits=99", NULL, &sim, &error), -EINVAL);
	assert_int_equal(error.column, 21);
	assert_int_equal(panbind_sim_start("sim:", "/nonexistent/trace", &sim, &error), -ENOENT);
	assert_null(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_device_from_fd, start, stop),
		cmocka_unit_test_setup_teardown(test_duplicates_share, start, stop),
		cmocka_unit_test_setup_teardown(test_in_flight, start, stop),
		cmocka_unit_test_setup_teardown(test_threads, start, stop),
		cmocka_unit_test(test_stop_ends_waits),
		cmocka_unit_test_setup_teardown(test_strangers, start, stop),
		cmocka_unit_test_setup_teardown(test_what_strangers_bring_is_closed, start, stop),
		cmocka_unit_test(test_bad_specs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
