/* SPDX-License-Identifier: MIT */
/* Raw ioctls and mmap on a render node, and what comes of mistakes. */
#include <sys/prctl.h>

#include "scenario.h"

static void works(void)
{
	int fd = open_node();
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 16 * PAGE);

	CHECK(vm == 1);
	CHECK(bo == 1);
	CHECK(map_bo(fd, vm, bo, 0x100000, 16 * PAGE) == 0);
	CHECK(map_bo(fd, vm, bo, 0x104000, PAGE) == 0);
	CHECK(unmap(fd, vm, 0x100000, 4 * PAGE) == 0);
	CHECK(vm_state(fd, vm) == 0);
	CHECK(ioctl(fd, DRM_IOCTL_GEM_CLOSE, &(struct drm_gem_close){.handle = bo}) == 0);
	CHECK(ioctl(fd, PB_IOCTL_VM_DESTROY, &(struct pb_uapi_vm_destroy){.id = vm}) == 0);
	CHECK_ERRNO(vm_state(fd, vm), EINVAL);
	CHECK(close(fd) == 0);
	CHECK_ERRNO(vm_state(fd, vm), EBADF);
}

/* Memory that cannot be read, cannot be written, or ends in the middle. */
static void bad_pointers(void)
{
	int fd = open_node();
	uint32_t vm = make_vm(fd), bo = make_bo(fd, PAGE);
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pb_uapi_vm_create *create;
	struct pb_uapi_vm_bind bind = {.vm_id = vm, .ops = {.stride = 48, .count = 1, .array = 16}};
	struct pb_uapi_vm_bind_op *op;

	CHECK(pages != MAP_FAILED);
	CHECK(munmap(pages + PAGE, PAGE) == 0);
	CHECK_ERRNO(ioctl(fd, PB_IOCTL_VM_CREATE, NULL), EFAULT);
	CHECK_ERRNO(ioctl(fd, PB_IOCTL_VM_CREATE, pages + PAGE - 8), EFAULT);
	CHECK_ERRNO(ioctl(fd, PB_IOCTL_VM_BIND, &bind), EFAULT);
	bind.ops.array = (uintptr_t)pages + PAGE - 8;
	CHECK_ERRNO(ioctl(fd, PB_IOCTL_VM_BIND, &bind), EFAULT);

	op = (struct pb_uapi_vm_bind_op *)(void *)(pages + PAGE - sizeof(*op));
	*op = (struct pb_uapi_vm_bind_op){.bo_handle = bo, .va = 0x10000, .size = PAGE};
	bind.ops.array = (uintptr_t)op;
	CHECK(ioctl(fd, PB_IOCTL_VM_BIND, &bind) == 0);

	create = (struct pb_uapi_vm_create *)(void *)pages;
	*create = (struct pb_uapi_vm_create){0};
	CHECK(mprotect(pages, PAGE, PROT_READ) == 0);
	CHECK_ERRNO(ioctl(fd, PB_IOCTL_VM_CREATE, create), EFAULT);
}

/* The same when the kernel lets nobody look into this process's memory. */
static void undumpable(void)
{
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	works();
	bad_pointers();
}

static void errors(void)
{
	int fd = open_node();
	uint32_t vm = make_vm(fd), bo = make_bo(fd, PAGE);
	struct pb_uapi_vm_bind_op ops[3] = {
		{.bo_handle = bo, .va = 0x10000, .size = PAGE},
		{.bo_handle = bo + 1, .va = 0x20000, .size = PAGE},
		{.bo_handle = bo, .va = 0x30000, .size = PAGE},
	};
	struct pb_uapi_vm_bind bind = {
		.vm_id = vm,
		.ops = {.stride = sizeof(ops[0]), .count = 3, .array = (uintptr_t)ops},
	};
	uint32_t word = 0;

	CHECK_ERRNO(ioctl(fd, PB_IOCTL_VM_BIND, &bind), EINVAL);
	CHECK(bind.ops.count == 1);
	CHECK_ERRNO(ioctl(fd, DRM_IOWR(0x9e, uint32_t), &word), EINVAL);
	CHECK_ERRNO(ioctl(fd, DRM_IOCTL_MODE_GETRESOURCES, &(struct drm_mode_card_res){0}), EACCES);
	CHECK_ERRNO(ioctl(fd, _IOWR('Z', 1, uint32_t), &word), ENOTTY);
	CHECK_ERRNO(ioctl(-1, PB_IOCTL_VM_BIND, &bind), EBADF);
	CHECK_ERRNO(ioctl(0, PB_IOCTL_VM_BIND, &bind), ENOTTY);
	errno = EDOM;
	CHECK(vm_state(fd, vm) == 0);
	CHECK(errno == EDOM);
}

static void mappings(void)
{
	int fd = open_node();
	uint32_t bo = make_bo(fd, 4 * PAGE);
	uint64_t offset = mmap_offset(fd, bo);
	char *a = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	char *b = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, (off_t)offset), *fixed;

	CHECK(a != MAP_FAILED && b != MAP_FAILED && a != b);
	strcpy(a + PAGE, "the same memory");
	CHECK(strcmp(b + PAGE, "the same memory") == 0);
	fixed = mmap(b, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
	CHECK(fixed == b);
	strcpy(fixed, "here too");
	CHECK(strcmp(a, "here too") == 0);

	CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, (off_t)offset), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, fd, (off_t)offset), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)(offset + 64 * PAGE)), EINVAL);

	/* A BO lives on in its mappings, and in nothing else. */
	CHECK(ioctl(fd, DRM_IOCTL_GEM_CLOSE, &(struct drm_gem_close){.handle = bo}) == 0);
	CHECK(close(fd) == 0);
	strcpy(a, "still there");
	CHECK(strcmp(b, "still there") == 0);
}

static void flush_id(void)
{
	int fd = open_node();
	const off_t mmio = (off_t)1 << 56;
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, mmio);

	CHECK(page != MAP_FAILED);
	CHECK(*(volatile uint32_t *)page == 0);
	CHECK_ERRNO(mprotect(page, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, mmio), EINVAL);
}

/* As many ioctls as it takes to see what one costs; the time is for people. */
static void many(void)
{
	int fd = open_node();
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 64 * PAGE);

	for (unsigned int i = 0; i < 5000; i++)
		CHECK(map_bo(fd, vm, bo, 0x100000 + i % 64 * PAGE, PAGE) == 0);
}

int main(int argc, char **argv)
{
	static const struct scene scenes[] = {
		{"works", works},
		{"bad_pointers", bad_pointers},
		{"undumpable", undumpable},
		{"errors", errors},
		{"mappings", mappings},
		{"flush_id", flush_id},
		{"many", many},
		{NULL, NULL},
	};

	return play_scene(scenes, argc, argv);
}
