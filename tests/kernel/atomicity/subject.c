/* SPDX-License-Identifier: MIT */
/* What both kinds of subject.h share: the ioctls. */
#include "subject.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "panbind.h"
#include "uapi.h"

void bail_out(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("Bail out! ", stdout);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
	exit(99);
}

static void must(struct subject *subject, unsigned long request, void *arg, const char *what)
{
	int ret = subject->file->backend->ioctl(subject->file, request, arg);

	if (ret)
		bail_out("%s: %s", what, panbind_errno_name(ret));
}

uint32_t subject_bo(struct subject *subject, uint64_t size)
{
	struct pb_uapi_bo_create args = {.size = size};

	must(subject, PB_IOCTL_BO_CREATE, &args, "BO_CREATE");
	return args.handle;
}

void *subject_mmap(struct subject *subject, uint32_t handle, uint64_t size)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = handle};
	void *ptr;
	int ret;

	must(subject, PB_IOCTL_BO_MMAP_OFFSET, &args, "BO_MMAP_OFFSET");
	ret = subject->file->backend->mmap(subject->file, args.offset, size, PROT_READ | PROT_WRITE, &ptr);
	if (ret)
		bail_out("mmap of a BO: %s", panbind_errno_name(ret));
	return ptr;
}

uint32_t subject_vm(struct subject *subject)
{
	struct pb_uapi_vm_create args = {0};

	must(subject, PB_IOCTL_VM_CREATE, &args, "VM_CREATE");
	return args.id;
}

void subject_vm_destroy(struct subject *subject, uint32_t vm)
{
	struct pb_uapi_vm_destroy args = {.id = vm};

	must(subject, PB_IOCTL_VM_DESTROY, &args, "VM_DESTROY");
}

bool subject_vm_works(struct subject *subject, uint32_t vm)
{
	struct pb_uapi_vm_get_state args = {.vm_id = vm};

	must(subject, PB_IOCTL_VM_GET_STATE, &args, "VM_GET_STATE");
	return args.state == PB_VM_STATE_USABLE;
}

static struct pb_uapi_vm_bind_op lower(const struct subject *subject, const struct remap_op *op)
{
	const struct memory *memory = &subject->memory[op->mem];

	if (op->type == REMAP_UNMAP)
		return (struct pb_uapi_vm_bind_op){.flags = PB_OP_UNMAP, .va = op->va, .size = op->size};
	return (struct pb_uapi_vm_bind_op){.flags = PB_OP_MAP,
					   .va = op->va,
					   .size = op->size,
					   .bo_handle = memory->handle,
					   .bo_offset = memory->offset + op->offset};
}

/* Wait for the queue to come to rest, and ask what became of it. */
static int wait_for(struct subject *subject, uint32_t syncobj)
{
	struct drm_syncobj_handle export = {.handle = syncobj,
					    .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE};
	struct drm_syncobj_wait wait = {.handles = (uintptr_t)&syncobj, .count_handles = 1};
	struct timespec now;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &now);
	wait.timeout_nsec = (now.tv_sec + 10) * 1000000000ll + now.tv_nsec;
	must(subject, DRM_IOCTL_SYNCOBJ_WAIT, &wait, "the wait for an asynchronous bind");
	must(subject, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export, "SYNCOBJ_HANDLE_TO_FD");
	if (subject->file->backend->fence_status(subject->file, export.fd, &status))
		bail_out("no status in a sync file");
	close(export.fd);
	return status;
}

static int bind_async(struct subject *subject, struct pb_uapi_vm_bind *args, struct pb_uapi_vm_bind_op *last)
{
	struct drm_syncobj_create create = {0};
	struct drm_syncobj_destroy destroy;
	struct pb_uapi_sync_op signal = {.flags = PB_SYNC_SIGNAL};
	int ret;

	must(subject, DRM_IOCTL_SYNCOBJ_CREATE, &create, "SYNCOBJ_CREATE");
	signal.handle = create.handle;
	last->syncs = (struct pb_uapi_obj_array){.stride = sizeof(signal), .count = 1, .array = (uintptr_t)&signal};
	args->flags = PB_VM_BIND_ASYNC;
	ret = subject->file->backend->ioctl(subject->file, PB_IOCTL_VM_BIND, args);
	if (!ret)
		ret = wait_for(subject, create.handle);
	destroy = (struct drm_syncobj_destroy){.handle = create.handle};
	must(subject, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy, "SYNCOBJ_DESTROY");
	return ret;
}

int subject_bind(struct subject *subject, uint32_t vm, const struct remap_op *ops, bool async)
{
	struct pb_uapi_vm_bind_op raw[REMAP_OPS];
	uint32_t count = (uint32_t)remap_count(ops);
	struct pb_uapi_vm_bind args = {.vm_id = vm,
				       .ops = {.stride = sizeof(*raw), .count = count, .array = (uintptr_t)raw}};

	for (uint32_t i = 0; i < count; i++)
		raw[i] = lower(subject, &ops[i]);
	if (async)
		return bind_async(subject, &args, &raw[count - 1]);
	return subject->file->backend->ioctl(subject->file, PB_IOCTL_VM_BIND, &args);
}

void record_command(struct record *record, const char *name, uint64_t va, uint64_t size)
{
	struct as_command *command = &record->commands[record->command_count];

	if (record->command_count == RECORD_COMMANDS)
		bail_out("more AS commands than a case can have");
	*command = (struct as_command){.va = va, .size = size};
	snprintf(command->name, sizeof(command->name), "%s", name);
	record->command_count++;
}

void record_look(struct record *record, size_t watch, enum look look)
{
	char *looks = record->looks[watch];
	size_t length = strlen(looks);

	if (length && looks[length - 1] == (char)look)
		return; /* what matters is what follows what */
	if (length + 1 == RECORD_LOOKS)
		bail_out("more changes of what the GPU sees than a case can have");
	looks[length] = (char)look;
	looks[length + 1] = '\0';
}

static void fill(struct subject *subject)
{
	static const uint64_t sizes[MEM_COUNT] = {MEM_SIZE, MEM_SIZE, MEM_SIZE / 2};

	for (int mem = 0; mem < MEM_COUNT; mem++) {
		struct memory *memory = &subject->memory[mem];
		char *ptr = subject_mmap(subject, memory->handle, memory->offset + sizes[mem]);

		for (uint64_t at = 0; at < sizes[mem]; at += PANBIND_PAGE_SIZE) {
			uint64_t stamp = remap_stamp((enum remap_mem)mem, at);

			memcpy(ptr + memory->offset + at, &stamp, sizeof(stamp));
		}
		munmap(ptr, memory->offset + sizes[mem]);
	}
}

void subject_open(struct subject *subject, const char *spec)
{
	struct panbind_error error = {0};

	*subject = (struct subject){.kind = strncmp(spec, "sim:", 4) == 0 ? &subject_sim : &subject_box};
	if (pb_backend_open(spec, &subject->file, &error))
		bail_out("%s: %s", spec, error.msg);
	subject->kind->open(subject);
	fill(subject);
}

void subject_close(struct subject *subject)
{
	subject->kind->close(subject);
	subject->file->backend->close(subject->file);
}
