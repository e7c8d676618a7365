/* SPDX-License-Identifier: MIT */
/*
 * The runner: files, slots, ioctls, and one line for each step.
 */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "panbind.h"

#define WAIT_NS INT64_C(20000000000)

/* ---- Values ---- */

static unsigned kind_index(char kind)
{
	return (unsigned)(strchr(DIFF_KINDS, kind) - DIFF_KINDS);
}

/* Which BO gets an offset that is free again is the allocator's affair: without its handle an offset is nothing. */
static bool offset_is_live(const struct diff_world *world, uint64_t slot)
{
	const struct diff_offset *offset = &world->offset[slot];

	return offset->bo < 64 && world->bos[offset->file] >> offset->bo & 1 &&
	       world->opened[offset->file][offset->bo] == offset->opened;
}

bool diff_get_auto(const struct diff_node *node, const char *field)
{
	return node->field[diff_field(node->type, field)].kind == 'a';
}

uint64_t diff_get(const struct diff_world *world, const struct diff_node *node, const char *field)
{
	const struct diff_value *value = &node->field[diff_field(node->type, field)];

	if (!value->kind || value->kind == 'a')
		return value->number;
	if (value->kind == 'm' && !offset_is_live(world, value->number))
		return 0;
	if (value->kind == 'd') /* never an fd of the process that nobody made */
		return (uint32_t)world->fd[value->number].fd;
	return world->slot[kind_index(value->kind)][value->number];
}

void diff_put(struct diff_world *world, const struct diff_node *node, uint64_t value)
{
	if (node->out >= 0)
		world->slot[kind_index(node->type->out)][node->out] = value;
}

void diff_put_fd(struct diff_world *world, const struct diff_node *node, int fd, bool is_eventfd)
{
	struct diff_fd *slot;

	if (node->out < 0) {
		close(fd);
		return;
	}
	slot = &world->fd[node->out];
	if (slot->fd >= 0)
		close(slot->fd);
	*slot = (struct diff_fd){.fd = fd, .is_eventfd = is_eventfd};
}

void diff_print_ret(struct diff_world *world, int ret)
{
	fprintf(world->out, " ret=%s", ret ? panbind_errno_name(ret) : "0");
}

/* ---- Files and ioctls ---- */

struct pb_file *diff_file(struct diff_world *world, unsigned file)
{
	struct panbind_error error = {0};

	if (!world->file[file] && pb_backend_open(world->spec, &world->file[file], &error)) {
		fprintf(world->out, " cannot open %s: %s", world->spec, error.msg);
		return NULL;
	}
	return world->file[file];
}

static unsigned long with_size(unsigned long request, uint64_t size)
{
	return (request & ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT)) | (size & _IOC_SIZEMASK) << _IOC_SIZESHIFT;
}

int diff_issue(struct diff_world *world, const struct diff_node *node, unsigned long request, void *arg)
{
	size_t natural = _IOC_SIZE(request), length = natural;
	struct pb_file *file = diff_file(world, node->file);
	uint8_t room[256], *data;
	uint64_t address;
	int ret;

	if (!file)
		return -ENODEV;
	if (!diff_get_auto(node, "len"))
		length = diff_get(world, node, "len") % sizeof(room);
	memset(room, 0x5a, sizeof(room));
	memcpy(room, arg, natural);
	address = diff_place(world, diff_get(world, node, "arg"), room, length, &data);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	ret = file->backend->ioctl(file, with_size(request, length), (void *)(uintptr_t)address);
	diff_print_ret(world, ret);
	if (data)
		memcpy(arg, data, length < natural ? length : natural);
	return ret;
}

int diff_quiet(struct diff_world *world, unsigned file, unsigned long request, void *arg)
{
	struct pb_file *open = world->file[file];
	int ret;

	do
		ret = open ? open->backend->ioctl(open, request, arg) : -ENODEV;
	while (ret == -EINTR);
	return ret;
}

/* ---- Asynchronous binds ---- */

/* An op that only signals, behind all that is queued. -EINVAL where the VM takes none any more. */
static int queue_signal(struct diff_world *world, unsigned file, uint32_t vm, uint32_t sync)
{
	struct pb_uapi_sync_op signal = {.flags = PB_SYNC_SIGNAL, .handle = sync};
	struct pb_uapi_vm_bind_op op = {.flags = PB_OP_SYNC_ONLY,
					.syncs = {.stride = sizeof(signal), .count = 1, .array = (uintptr_t)&signal}};
	struct pb_uapi_vm_bind bind = {.vm_id = vm,
				       .flags = PB_VM_BIND_ASYNC,
				       .ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op}};

	return diff_quiet(world, file, PB_IOCTL_VM_BIND, &bind);
}

static void wait_for(struct diff_world *world, unsigned file, uint32_t sync)
{
	struct drm_syncobj_wait wait = {.handles = (uintptr_t)&sync, .count_handles = 1};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	wait.timeout_nsec = now.tv_sec * INT64_C(1000000000) + now.tv_nsec + WAIT_NS;
	if (diff_quiet(world, file, DRM_IOCTL_SYNCOBJ_WAIT, &wait))
		fputs(" (its jobs do not end)", world->out);
}

/* The syncobj for it has the lowest free handle and is gone again at once: the program's own numbers do not change. */
static void drain_vm(struct diff_world *world, unsigned file, uint32_t vm)
{
	const struct timespec nap = {.tv_nsec = 3000000};
	struct drm_syncobj_create create = {0};
	struct drm_syncobj_destroy destroy;

	if (diff_quiet(world, file, DRM_IOCTL_SYNCOBJ_CREATE, &create))
		return;
	if (queue_signal(world, file, vm, create.handle))
		nanosleep(&nap, NULL);
	else
		wait_for(world, file, create.handle);
	destroy = (struct drm_syncobj_destroy){.handle = create.handle};
	diff_quiet(world, file, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy);
}

void diff_drain(struct diff_world *world)
{
	for (unsigned file = 0; file < DIFF_FILES; file++) {
		for (uint32_t vm = 0; vm < 64 && world->busy[file]; vm++)
			if (world->busy[file] >> vm & 1)
				drain_vm(world, file, vm);
		world->busy[file] = 0;
	}
}

/* ---- Steps ---- */

static void close_file(struct diff_world *world, unsigned file)
{
	if (world->file[file])
		world->file[file]->backend->close(world->file[file]);
	world->file[file] = NULL;
	world->vms[file] = world->bos[file] = world->syncs[file] = world->busy[file] = 0;
}

static void step_close(struct diff_world *world, const struct diff_node *node)
{
	close_file(world, node->file);
}

static diff_step_fn *find_verb(const char *name)
{
	const struct diff_verb *const tables[] = {diff_query_verbs, diff_bo_verbs, diff_vm_verbs, diff_sync_verbs,
						  diff_table_verbs};

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct diff_verb *verb = tables[t]; verb->name; verb++)
			if (strcmp(verb->name, name) == 0)
				return verb->fn;
	return step_close;
}

static bool is_async_bind(const struct diff_world *world, const struct diff_node *step)
{
	return strcmp(step->type->name, "bind") == 0 && diff_get(world, step, "flags") & PB_VM_BIND_ASYNC;
}

static void run_step(struct diff_world *world, uint32_t i, const struct diff_node *step)
{
	if (!is_async_bind(world, step))
		diff_drain(world);
	fprintf(world->out, "%u %s", i, step->type->name);
	find_verb(step->type->name)(world, step);
	fputc('\n', world->out);
	diff_pool_reset(world->pool);
}

struct diff_runner {
	char spec[128];
	bool careful;
	struct diff_memory_pool *pool;
	unsigned serial;
};

int diff_runner_create(const char *spec, bool careful, struct diff_runner **ret_runner)
{
	struct diff_runner *runner = calloc(1, sizeof(*runner));

	if (!runner || diff_pool_create(&runner->pool)) {
		free(runner);
		return -ENOMEM;
	}
	snprintf(runner->spec, sizeof(runner->spec), "%s", spec);
	runner->careful = careful;
	*ret_runner = runner;
	return 0;
}

void diff_runner_destroy(struct diff_runner *runner)
{
	if (!runner)
		return;
	diff_pool_destroy(runner->pool);
	free(runner);
}

/* All files of a program are of one device, which on a simulator has to be said. */
static void set_spec(struct diff_world *world, struct diff_runner *runner)
{
	const char *spec = runner->spec;

	if (strncmp(spec, "sim:", 4) == 0)
		snprintf(world->spec, sizeof(world->spec), "%s%sname=diff-%p-%u", spec, spec[4] ? "," : "",
			 (void *)runner, runner->serial++);
	else
		snprintf(world->spec, sizeof(world->spec), "%s", spec);
}

static void end(struct diff_world *world)
{
	for (unsigned i = 0; i < DIFF_SLOTS; i++)
		if (world->fd[i].fd >= 0)
			close(world->fd[i].fd);
	for (unsigned i = 0; i < DIFF_FILES; i++)
		close_file(world, i);
}

char *diff_run(struct diff_runner *runner, const struct diff_program *program)
{
	struct diff_world world = {.careful = runner->careful, .pool = runner->pool};
	char *text = NULL;
	size_t size;

	set_spec(&world, runner);
	for (unsigned i = 0; i < DIFF_SLOTS; i++)
		world.fd[i].fd = -1;
	world.out = open_memstream(&text, &size);
	if (!world.out) {
		perror("diff");
		abort();
	}
	for (uint32_t i = 0; i < program->steps; i++)
		run_step(&world, i, &program->step[i]);
	diff_drain(&world);
	diff_print_end(&world);
	end(&world);
	fclose(world.out);
	return text;
}
