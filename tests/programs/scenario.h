/* SPDX-License-Identifier: MIT */
/*
 * For programs that know nothing of panbind: scenes by name, and checks that say what was not so.
 *
 * They are built without sanitizers and without libpanbind, as programs of other people are; of panbind they have the
 * uAPI's numbers only. Without an argument a program lists its scenes; with one it plays that scene, and its exit
 * status tells how it went.
 */
#ifndef PROGRAMS_SCENARIO_H
#define PROGRAMS_SCENARIO_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uapi.h"

#define NODE "/dev/dri/renderD128"
#define PAGE UINT64_C(4096)

/** Ends the program with status 1 when @condition is not so. */
#define CHECK(condition)                                                                                            \
	do {                                                                                                        \
		if (!(condition)) {                                                                                 \
			fprintf(stderr, "%s:%d: not so: %s (errno %d %s)\n", __FILE__, __LINE__, #condition, errno, \
				strerror(errno));                                                                   \
			_exit(1);                                                                                   \
		}                                                                                                   \
	} while (0)
/** The call fails with this errno. */
#define CHECK_ERRNO(call, wanted)         \
	do {                              \
		errno = 0;                \
		CHECK((call) == -1);      \
		CHECK(errno == (wanted)); \
	} while (0)

struct scene {
	const char *name;
	void (*play)(void);
};

static inline int play_scene(const struct scene *scenes, int argc, char **argv)
{
	for (const struct scene *scene = scenes; scene->name; scene++) {
		if (argc < 2)
			puts(scene->name);
		else if (strcmp(scene->name, argv[1]) == 0)
			scene->play();
		else
			continue;
		if (argc > 1)
			return 0;
	}
	return argc < 2 ? 0 : 2;
}

static inline int open_node(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static inline uint32_t make_vm(int fd)
{
	struct pb_uapi_vm_create vm = {0};

	CHECK(ioctl(fd, PB_IOCTL_VM_CREATE, &vm) == 0);
	return vm.id;
}

static inline uint32_t make_bo(int fd, uint64_t size)
{
	struct pb_uapi_bo_create bo = {.size = size};

	CHECK(ioctl(fd, PB_IOCTL_BO_CREATE, &bo) == 0);
	return bo.handle;
}

/** What ioctl() says of one op. */
static inline int bind_op(int fd, uint32_t vm, uint32_t flags, uint32_t bo, uint64_t va, uint64_t size)
{
	struct pb_uapi_vm_bind_op op = {.flags = flags, .bo_handle = bo, .va = va, .size = size};
	struct pb_uapi_vm_bind bind = {
		.vm_id = vm,
		.ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op},
	};

	return ioctl(fd, PB_IOCTL_VM_BIND, &bind);
}

static inline int map_bo(int fd, uint32_t vm, uint32_t bo, uint64_t va, uint64_t size)
{
	return bind_op(fd, vm, PB_OP_MAP | PB_OP_NOEXEC, bo, va, size);
}

static inline int unmap(int fd, uint32_t vm, uint64_t va, uint64_t size)
{
	return bind_op(fd, vm, PB_OP_UNMAP, 0, va, size);
}

/** Is the VM there: 0, or -1 with EINVAL. */
static inline int vm_state(int fd, uint32_t vm)
{
	struct pb_uapi_vm_get_state state = {.vm_id = vm};

	return ioctl(fd, PB_IOCTL_VM_GET_STATE, &state);
}

static inline uint64_t mmap_offset(int fd, uint32_t bo)
{
	struct pb_uapi_bo_mmap_offset offset = {.handle = bo};

	CHECK(ioctl(fd, PB_IOCTL_BO_MMAP_OFFSET, &offset) == 0);
	return offset.offset;
}

#endif /* PROGRAMS_SCENARIO_H */
