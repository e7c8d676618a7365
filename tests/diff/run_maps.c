/* SPDX-License-Identifier: MIT */
/*
 * What is mapped where at the end of a program, in words that do not depend on the device.
 *
 * Neighbours that go on in the same BO are one range, however the driver keeps them. A BO is called by its handle: an
 * extra VM for each file has every BO that has a handle mapped at a place of its own, which tells what the device calls
 * it inside, and what its sparse maps lead to. BOs that have lost their handle, or are another VM's alone, are called
 * by the order in which they appear.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpuvas.h"
#include "run.h"

#define MAX_VMS	  (DIFF_FILES * 33)
#define MAX_NAMES 256
#define NAME_STEP UINT64_C(0x200000)
#define SPARSE	  64 /* behind the BOs in the extra VM */

struct vm {
	unsigned file;
	uint32_t id;
	bool extra;
};

struct name {
	uint64_t object;
	char text[16];
};

struct maps {
	struct diff_world *world;
	struct vm vm[MAX_VMS]; /* in the order in which they were made */
	size_t vms;
	struct pb_gpuvas rows;
	struct name names[MAX_NAMES];
	size_t name_count, unnamed;
};

/* ---- Rows ---- */

static int by_age(const void *a, const void *b, void *data)
{
	const struct diff_world *world = data;
	const struct vm *x = a, *y = b;
	unsigned age_x = world->vm_age[x->file][x->id], age_y = world->vm_age[y->file][y->id];

	return (age_x > age_y) - (age_x < age_y);
}

static void list_vms(struct maps *maps)
{
	const struct diff_world *world = maps->world;

	for (unsigned file = 0; file < DIFF_FILES; file++)
		for (uint32_t id = 1; id < 64 && maps->vms < MAX_VMS; id++)
			if (world->vms[file] >> id & 1)
				maps->vm[maps->vms++] = (struct vm){.file = file, .id = id};
	qsort_r(maps->vm, maps->vms, sizeof(maps->vm[0]), by_age, maps->world);
}

/* The driver may still be busy freeing VMs of this program or the one before. */
static int read_driver(struct maps *maps)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	int ret = 0;

	for (unsigned tries = 0; tries < 400; tries++) {
		ret = pb_gpuvas_read(-1, &maps->rows);
		if (ret || maps->rows.vms == maps->vms)
			return ret;
		pb_gpuvas_free(&maps->rows);
		if (tries < 100)
			sched_yield(); /* the shortest sleep is a tick of 10 ms in a kernel box */
		else
			nanosleep(&nap, NULL);
	}
	return -EBUSY;
}

static void add_page(struct maps *maps, size_t vm, const struct pb_page *page)
{
	struct pb_gpuvas *rows = &maps->rows;

	if (!(rows->count & (rows->count + 1)))
		rows->rows = reallocarray(rows->rows, 2 * rows->count + 1, sizeof(*rows->rows));
	if (!rows->rows)
		abort();
	rows->rows[rows->count++] = (struct pb_gpuvas_row){
		.vm = vm, .va = page->va, .size = page->size, .object = page->object, .offset = page->bo_offset};
}

static int read_simulator(struct maps *maps)
{
	for (size_t i = 0; i < maps->vms; i++) {
		struct pb_file *file = maps->world->file[maps->vm[i].file];
		struct pb_page page = {0};

		while (file->backend->gpu->next_page(file, maps->vm[i].id, page.va + page.size, &page) == 0)
			add_page(maps, i, &page);
	}
	return 0;
}

static int read_rows(struct maps *maps)
{
	for (unsigned file = 0; file < DIFF_FILES; file++)
		if (maps->world->file[file] && maps->world->file[file]->backend->gpu)
			return read_simulator(maps);
	return read_driver(maps);
}

/* ---- Names ---- */

static void map_bo(struct diff_world *world, unsigned file, uint32_t vm, uint32_t bo)
{
	struct pb_uapi_vm_bind_op op = {.flags = PB_OP_MAP, .bo_handle = bo, .va = bo * NAME_STEP, .size = 4096};
	struct pb_uapi_vm_bind bind = {.vm_id = vm, .ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op}};

	diff_quiet(world, file, PB_IOCTL_VM_BIND, &bind);
}

/* A page of a sparse map, where the driver has such. */
static void map_sparse(struct diff_world *world, unsigned file, uint32_t vm)
{
	struct pb_uapi_vm_bind_op op = {.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC,
					.va = SPARSE * NAME_STEP,
					.size = 4096};
	struct pb_uapi_vm_bind bind = {.vm_id = vm, .ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op}};

	diff_quiet(world, file, PB_IOCTL_VM_BIND, &bind);
}

static void make_extra_vms(struct maps *maps)
{
	struct diff_world *world = maps->world;

	for (unsigned file = 0; file < DIFF_FILES; file++) {
		struct pb_uapi_vm_create args = {0};

		if (!(world->bos[file] | world->vms[file]) || diff_quiet(world, file, PB_IOCTL_VM_CREATE, &args))
			continue;
		maps->vm[maps->vms++] = (struct vm){.file = file, .id = args.id, .extra = true};
		for (uint32_t bo = 1; bo < 64; bo++)
			if (world->bos[file] >> bo & 1)
				map_bo(world, file, args.id, bo);
		map_sparse(world, file, args.id);
	}
}

static void destroy_extra_vms(struct maps *maps)
{
	for (size_t i = 0; i < maps->vms; i++) {
		struct pb_uapi_vm_destroy args = {.id = maps->vm[i].id};

		if (maps->vm[i].extra)
			diff_quiet(maps->world, maps->vm[i].file, PB_IOCTL_VM_DESTROY, &args);
	}
}

static const char *find_name(const struct maps *maps, uint64_t object)
{
	for (size_t i = 0; i < maps->name_count; i++)
		if (maps->names[i].object == object)
			return maps->names[i].text;
	return NULL;
}

static struct name *add_name(struct maps *maps, uint64_t object)
{
	struct name *name = &maps->names[maps->name_count];

	if (maps->name_count + 1 < MAX_NAMES)
		maps->name_count++;
	name->object = object;
	return name;
}

static void name_object(struct maps *maps, uint64_t object, unsigned file, uint64_t place)
{
	struct name *name = add_name(maps, object);

	if (place == SPARSE)
		snprintf(name->text, sizeof(name->text), "@%u:sparse", file);
	else
		snprintf(name->text, sizeof(name->text), "@%u:bo%u", file, (unsigned)place);
}

static void learn_names(struct maps *maps)
{
	for (size_t i = 0; i < maps->rows.count; i++) {
		const struct pb_gpuvas_row *row = &maps->rows.rows[i];
		const struct vm *vm = &maps->vm[row->vm];

		if (vm->extra && !find_name(maps, row->object))
			name_object(maps, row->object, vm->file, row->va / NAME_STEP);
	}
}

static const char *name_of(struct maps *maps, uint64_t object)
{
	const char *known = find_name(maps, object);
	struct name *name;

	if (known)
		return known;
	name = add_name(maps, object);
	snprintf(name->text, sizeof(name->text), "other%zu", ++maps->unnamed);
	return name->text;
}

/* Does @row go on where @last ends? In a sparse map offsets begin again after each block. */
static bool goes_on(const struct maps *maps, const struct pb_gpuvas_row *last, const struct pb_gpuvas_row *row)
{
	uint64_t gap = last->offset + last->size - row->offset;
	const char *name;

	if (last->vm != row->vm || last->va + last->size != row->va || last->object != row->object)
		return false;
	name = find_name(maps, row->object);
	return !gap || (name && strstr(name, "sparse") && gap % NAME_STEP == 0);
}

static void join_rows(struct maps *maps)
{
	struct pb_gpuvas *rows = &maps->rows;
	size_t count = 0;

	for (size_t i = 0; i < rows->count; i++) {
		struct pb_gpuvas_row *row = &rows->rows[i], *last = count ? &rows->rows[count - 1] : NULL;

		if (!row->size)
			continue;
		if (last && goes_on(maps, last, row))
			last->size += row->size;
		else
			rows->rows[count++] = *row;
	}
	rows->count = count;
}

/* ---- Printing ---- */

/* A group that is going to go (run_tables.c) has memory behind the part of its VM that is the program's. */
static bool is_drivers(const struct maps *maps, const struct pb_gpuvas_row *row)
{
	const struct vm *vm = &maps->vm[row->vm];
	uint64_t range = maps->world->vm_range[vm->file][vm->id];

	return range && row->va >= range;
}

static void print_rows(struct maps *maps)
{
	size_t i = 0;

	for (size_t vm = 0; vm < maps->vms; vm++) {
		if (maps->vm[vm].extra)
			continue;
		fprintf(maps->world->out, "= @%u vm %u:", maps->vm[vm].file, maps->vm[vm].id);
		while (i < maps->rows.count && maps->rows.rows[i].vm < vm)
			i++;
		for (; i < maps->rows.count && maps->rows.rows[i].vm == vm; i++) {
			const struct pb_gpuvas_row *row = &maps->rows.rows[i];

			if (is_drivers(maps, row))
				continue;
			fprintf(maps->world->out, " 0x%llx+0x%llx=%s+0x%llx", (unsigned long long)row->va,
				(unsigned long long)row->size, name_of(maps, row->object),
				(unsigned long long)row->offset);
		}
		fputc('\n', maps->world->out);
	}
}

void diff_print_maps(struct diff_world *world)
{
	struct maps *maps = calloc(1, sizeof(*maps));
	int ret;

	if (!maps)
		abort();
	maps->world = world;
	list_vms(maps);
	if (maps->vms) {
		make_extra_vms(maps);
		ret = read_rows(maps);
		if (ret)
			fprintf(world->out, "= the mappings cannot be read: %s\n", strerror(-ret));
		learn_names(maps);
		join_rows(maps);
		if (!ret)
			print_rows(maps);
		destroy_extra_vms(maps);
	}
	pb_gpuvas_free(&maps->rows);
	free(maps);
}
