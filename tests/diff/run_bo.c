/* SPDX-License-Identifier: MIT */
/*
 * Steps on BOs: handles, CPU mappings, PRIME.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run.h"

/* No mapping for the CPU is larger: programs are many. */
#define MMAP_MAX (UINT64_C(64) << 20)

static void note_bo(struct diff_world *world, unsigned file, uint32_t handle)
{
	if (handle > 63)
		return;
	if (!(world->bos[file] >> handle & 1))
		world->opened[file][handle]++;
	world->bos[file] |= UINT64_C(1) << handle;
}

static void step_bo_create(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_bo_create args = {.size = diff_get(world, node, "size"),
					 .flags = (uint32_t)diff_get(world, node, "flags"),
					 .exclusive_vm_id = (uint32_t)diff_get(world, node, "vm"),
					 .handle = 0x77,
					 .pad = (uint32_t)diff_get(world, node, "pad")};
	int ret = diff_issue(world, node, PB_IOCTL_BO_CREATE, &args);

	fprintf(world->out, " size=0x%llx handle=%u", (unsigned long long)args.size, args.handle);
	if (ret)
		return;
	diff_put(world, node, args.handle);
	note_bo(world, node->file, args.handle);
}

static void step_bo_close(struct diff_world *world, const struct diff_node *node)
{
	struct drm_gem_close args = {.handle = (uint32_t)diff_get(world, node, "bo"),
				     .pad = (uint32_t)diff_get(world, node, "pad")};
	int ret = diff_issue(world, node, DRM_IOCTL_GEM_CLOSE, &args);

	if (!ret && args.handle < 64)
		world->bos[node->file] &= ~(UINT64_C(1) << args.handle);
}

/* The offset itself is the device's own affair: only whether there is one is shown. */
static void step_bo_offset(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = (uint32_t)diff_get(world, node, "bo"),
					      .pad = (uint32_t)diff_get(world, node, "pad")};
	int ret = diff_issue(world, node, PB_IOCTL_BO_MMAP_OFFSET, &args);

	fprintf(world->out, " %s", args.offset ? "offset" : "none");
	if (ret)
		return;
	diff_put(world, node, args.offset);
	if (node->out >= 0)
		world->offset[node->out] = (struct diff_offset){.file = node->file,
								.bo = args.handle,
								.opened = world->opened[node->file][args.handle % 64]};
}

static void step_bo_info(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_bo_query_info args = {.handle = (uint32_t)diff_get(world, node, "bo"),
					     .extra_flags = 0x77,
					     .create_flags = 0x77,
					     .pad = (uint32_t)diff_get(world, node, "pad")};

	diff_issue(world, node, PB_IOCTL_BO_QUERY_INFO, &args);
	fprintf(world->out, " create=0x%x extra=0x%x pad=%u", args.create_flags, args.extra_flags, args.pad);
}

/* One op, behind which there is room for what a larger stride or count reads: zeros. */
static void step_bo_sync(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_bo_sync_op ops[8] = {{.handle = (uint32_t)diff_get(world, node, "bo"),
					     .type = (uint32_t)diff_get(world, node, "type"),
					     .offset = diff_get(world, node, "offset"),
					     .size = diff_get(world, node, "size")}};
	struct pb_uapi_bo_sync args = {.ops = {.stride = sizeof(ops[0]), .count = 1}};

	if (!diff_get_auto(node, "stride"))
		args.ops.stride = (uint32_t)diff_get(world, node, "stride");
	if (!diff_get_auto(node, "count"))
		args.ops.count = (uint32_t)diff_get(world, node, "count");
	if (world->careful && diff_is_huge(args.ops.count, sizeof(ops[0]))) {
		fputs(" left out", world->out);
		return;
	}
	args.ops.array = diff_place(world, diff_get(world, node, "mem"), ops, sizeof(ops), NULL);
	diff_issue(world, node, PB_IOCTL_BO_SYNC, &args);
}

static void touch(struct diff_world *world, const struct diff_node *node, volatile uint32_t *memory, int prot)
{
	uint32_t value = (uint32_t)diff_get(world, node, "value");

	if (value && prot & PROT_WRITE)
		*memory = value;
	if (prot & PROT_READ)
		fprintf(world->out, " value=0x%x", *memory);
}

static void step_mmap(struct diff_world *world, const struct diff_node *node)
{
	uint64_t size = diff_get(world, node, "size"), at = diff_get(world, node, "at") & ~UINT64_C(3);
	int prot = (int)(diff_get(world, node, "prot") & (PROT_READ | PROT_WRITE));
	struct pb_file *file = diff_file(world, node->file);
	uint8_t *ptr = NULL;
	int ret;

	if (!file)
		return;
	if (size > MMAP_MAX)
		size = MMAP_MAX;
	ret = file->backend->mmap(file, diff_get(world, node, "offset"), size, prot, (void **)&ptr);
	diff_print_ret(world, ret);
	if (ret)
		return;
	if (at < size)
		touch(world, node, (volatile uint32_t *)(ptr + at), prot);
	munmap(ptr, size);
}

static void step_export(struct diff_world *world, const struct diff_node *node)
{
	struct drm_prime_handle args = {.handle = (uint32_t)diff_get(world, node, "bo"),
					.flags = (uint32_t)diff_get(world, node, "flags"),
					.fd = -1};
	int ret = diff_issue(world, node, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	if (!ret && args.fd >= 0)
		diff_put_fd(world, node, args.fd, false);
}

static void step_import(struct diff_world *world, const struct diff_node *node)
{
	struct drm_prime_handle args = {.fd = (int)diff_get(world, node, "fd"),
					.flags = (uint32_t)diff_get(world, node, "flags"),
					.handle = 0x77};
	int ret = diff_issue(world, node, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	fprintf(world->out, " handle=%u", args.handle);
	if (ret)
		return;
	diff_put(world, node, args.handle);
	note_bo(world, node->file, args.handle);
}

static void step_fd_size(struct diff_world *world, const struct diff_node *node)
{
	off_t size = lseek((int)diff_get(world, node, "fd"), 0, SEEK_END);

	fprintf(world->out, " size=0x%llx", size > 0 ? (unsigned long long)size : 0);
}

/* Only what the program made: others are the runner's. */
static void step_fd_close(struct diff_world *world, const struct diff_node *node)
{
	const struct diff_value *value = &node->field[diff_field(node->type, "fd")];
	struct diff_fd *slot;

	if (value->kind != 'd')
		return;
	slot = &world->fd[value->number];
	if (slot->fd >= 0)
		close(slot->fd);
	slot->fd = -1;
}

const struct diff_verb diff_bo_verbs[] = {
	{"bo_create", step_bo_create},
	{"bo_close", step_bo_close},
	{"bo_offset", step_bo_offset},
	{"bo_info", step_bo_info},
	{"bo_sync", step_bo_sync},
	{"mmap", step_mmap},
	{"export", step_export},
	{"import", step_import},
	{"fd_size", step_fd_size},
	{"fd_close", step_fd_close},
	{0},
};
