/* SPDX-License-Identifier: MIT */
/*
 * The state of a session as a script: VMs, BOs, sparse regions, mappings.
 *
 * Running the script on a fresh session gives the same state, and dumping that gives the same text. Mappings are
 * written as few as they can be: neighbours that go on in their BO with the same flags are one, as they become when the
 * script is run; inside sparse regions only what is not the dummy. A BO that lost its name
 * while it is still mapped gets one for the duration of the script and loses it at the end. Contents of BOs, syncobjs
 * and poison are not part of a dump; poison is said in a comment.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "session.h"

/* A BO that is mapped, but has no name any more. */
struct unnamed {
	struct panbind_bo *bo;
	struct pb_object *exclusive; /* its VM, when it is exclusive and the VM is there */
	char name[32];
};

struct dump {
	struct panbind_session *session;
	struct pb_object *only; /* NULL: all VMs */
	FILE *out;
	struct unnamed *unnamed;
	size_t unnamed_count, unnamed_room;
	uint32_t last_number;
};

static const char *unnamed_name(const struct dump *dump, const struct panbind_bo *bo)
{
	for (size_t i = 0; i < dump->unnamed_count; i++)
		if (dump->unnamed[i].bo == bo)
			return dump->unnamed[i].name;
	return NULL;
}

static const char *name_of_bo(const struct dump *dump, const struct panbind_bo *bo)
{
	const char *name = panbind_session_bo_name(dump->session, bo);

	return name ? name : unnamed_name(dump, bo);
}

/* The first "unnamed-N" that no BO of the session has. */
static void choose_name(struct dump *dump, char *name, size_t size)
{
	const struct pb_entry *entry;

	do {
		snprintf(name, size, "unnamed-%" PRIu32, ++dump->last_number);
		entry = pb_entry_find(dump->session, name);
	} while (entry && entry->objects[PB_KIND_BO]);
}

static struct pb_object *vm_of_id(const struct dump *dump, uint32_t id)
{
	const struct pb_objects *vms = &dump->session->objects[PB_KIND_VM];

	for (size_t i = 0; id != 0 && i < vms->count; i++)
		if (panbind_vm_id(vms->items[i]->vm) == id)
			return vms->items[i];
	return NULL;
}

static int add_unnamed(struct dump *dump, struct panbind_bo *bo)
{
	struct unnamed *unnamed;

	if (dump->unnamed_count == dump->unnamed_room) {
		size_t room = dump->unnamed_room ? dump->unnamed_room * 2 : 8;
		struct unnamed *grown = realloc(dump->unnamed, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		dump->unnamed = grown;
		dump->unnamed_room = room;
	}
	unnamed = &dump->unnamed[dump->unnamed_count++];
	*unnamed = (struct unnamed){.bo = bo, .exclusive = vm_of_id(dump, bo->exclusive_vm_id)};
	choose_name(dump, unnamed->name, sizeof(unnamed->name));
	return 0;
}

static bool is_dumped(const struct dump *dump, const struct pb_object *vm)
{
	return !dump->only || dump->only == vm;
}

/* Walk the mappings of all VMs of the dump. */
#define for_each_mapping(vm_, mapping_)                                                     \
	for (uint64_t at_ = 0; panbind_vm_next_mapping((vm_)->vm, at_, &(mapping_)) == 0 && \
			       (at_ = (mapping_).va + (mapping_).size, true);)

static int collect_unnamed(struct dump *dump)
{
	const struct pb_objects *vms = &dump->session->objects[PB_KIND_VM];
	struct panbind_mapping mapping;

	for (size_t i = 0; i < vms->count; i++) {
		if (!is_dumped(dump, vms->items[i]))
			continue;
		for_each_mapping(vms->items[i], mapping)
		{
			if (mapping.bo && !name_of_bo(dump, mapping.bo) && add_unnamed(dump, mapping.bo) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- BOs ---- */

static void write_label(struct dump *dump, const char *name, const char *label)
{
	if (!label || !label[0])
		return;
	fprintf(dump->out, "bo label %s \"", name);
	for (const unsigned char *c = (const unsigned char *)label; *c; c++) {
		if (*c == '"' || *c == '\\' || *c == '$')
			fprintf(dump->out, "\\%c", *c);
		else if (*c < 32 || *c == 127)
			fprintf(dump->out, "\\x%02x", *c);
		else
			fputc(*c, dump->out);
	}
	fputs("\"\n", dump->out);
}

static void write_bo(struct dump *dump, const char *name, const struct panbind_bo *bo, const struct pb_object *vm)
{
	uint32_t flags = panbind_bo_flags(bo);

	fprintf(dump->out, "bo create %s 0x%" PRIx64 "%s%s%s%s\n", name, panbind_bo_size(bo), vm ? " --vm=" : "",
		vm ? vm->entry->name : "", flags & PANBIND_BO_NO_MMAP ? " --no-mmap" : "",
		flags & PANBIND_BO_WB_MMAP ? " --wb" : "");
	write_label(dump, name, panbind_bo_label(bo));
}

/* The VM that a BO is exclusive to, while it is there: one of the same name made later is another. */
static struct pb_object *exclusive_of(const struct pb_object *bo)
{
	struct pb_object *vm = bo->exclusive ? bo->exclusive->objects[PB_KIND_VM] : NULL;

	return vm && vm->order < bo->order ? vm : NULL;
}

static int compare_pointers(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The BOs that are mapped in the one VM of a dump, sorted by address. */
static int mapped_bos(const struct dump *dump, const struct panbind_bo ***ret_bos, size_t *ret_count)
{
	size_t room = panbind_vm_mapping_count(dump->only->vm), count = 0;
	const struct panbind_bo **bos = malloc((room + 1) * sizeof(struct panbind_bo *));
	struct panbind_mapping mapping;

	if (!bos)
		return -ENOMEM;
	for_each_mapping(dump->only, mapping)
	{
		if (mapping.bo && count < room)
			bos[count++] = mapping.bo;
	}
	qsort(bos, count, sizeof(struct panbind_bo *), compare_pointers);
	*ret_bos = bos;
	*ret_count = count;
	return 0;
}

static int write_bos(struct dump *dump)
{
	const struct pb_objects *bos = &dump->session->objects[PB_KIND_BO];
	pb_autofree const struct panbind_bo **mapped = NULL;
	size_t count = 0;
	int r = dump->only ? mapped_bos(dump, &mapped, &count) : 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < bos->count; i++) {
		const struct pb_object *bo = bos->items[i];
		const struct pb_object *vm = exclusive_of(bo);

		if (dump->only && vm != dump->only &&
		    !bsearch(&bo->bo, mapped, count, sizeof(struct panbind_bo *), compare_pointers))
			continue;
		write_bo(dump, bo->entry->name, bo->bo, vm);
	}
	for (size_t i = 0; i < dump->unnamed_count; i++)
		write_bo(dump, dump->unnamed[i].name, dump->unnamed[i].bo, dump->unnamed[i].exclusive);
	return 0;
}

/* ---- Mappings ---- */

static void write_mapping(struct dump *dump, const char *vm, const struct panbind_mapping *m)
{
	fprintf(dump->out, "map %s 0x%" PRIx64 " 0x%" PRIx64 " %s+0x%" PRIx64 "%s%s%s\n", vm, m->va, m->size,
		name_of_bo(dump, m->bo), m->bo_offset, m->flags & PANBIND_MAP_READONLY ? " --readonly" : "",
		m->flags & PANBIND_MAP_NOEXEC ? " --noexec" : "", m->flags & PANBIND_MAP_UNCACHED ? " --uncached" : "");
}

static void write_hole(struct dump *dump, const char *vm, uint64_t va, uint64_t end)
{
	if (va < end)
		fprintf(dump->out, "unmap %s 0x%" PRIx64 " 0x%" PRIx64 "\n", vm, va, end - va);
}

/* A region as it was reserved, and the holes that plain unmaps made in it. */
static void write_region(struct dump *dump, struct pb_object *vm, uint64_t va, uint64_t size)
{
	uint64_t at = va, end = va + size;
	struct panbind_mapping mapping;

	fprintf(dump->out, "sparse reserve %s 0x%" PRIx64 " 0x%" PRIx64 "\n", vm->entry->name, va, size);
	while (at < end && panbind_vm_next_mapping(vm->vm, at, &mapping) == 0 && mapping.va < end) {
		write_hole(dump, vm->entry->name, at, mapping.va);
		at = mapping.va + mapping.size;
	}
	write_hole(dump, vm->entry->name, at, end);
}

/* A sparse piece outside of every region, made by the host's own batch; inside of one it stands there already. */
static void write_stray_sparse(struct dump *dump, struct pb_object *vm, const struct panbind_mapping *mapping)
{
	uint64_t at = mapping->va, end = mapping->va + mapping->size, va, size;

	while (at < end) {
		uint64_t stop = end;

		if (panbind_sparse_next_region(vm->vm, at, &va, &size) == 0) {
			if (va <= at) {
				at = va + size;
				continue;
			}
			stop = va < end ? va : end;
		}
		fprintf(dump->out, "sparse map %s 0x%" PRIx64 " 0x%" PRIx64 "\n", vm->entry->name, at, stop - at);
		at = stop;
	}
}

static bool goes_on(const struct panbind_mapping *m, const struct panbind_mapping *next)
{
	return m->size > 0 && next->va == m->va + m->size && next->bo == m->bo && next->flags == m->flags &&
	       next->bo_offset == m->bo_offset + m->size;
}

static void write_mappings(struct dump *dump, struct pb_object *vm)
{
	struct panbind_mapping mapping, run = {.size = 0};

	for_each_mapping(vm, mapping)
	{
		if (!mapping.sparse && goes_on(&run, &mapping)) {
			run.size += mapping.size;
			continue;
		}
		if (run.size > 0)
			write_mapping(dump, vm->entry->name, &run);
		run = mapping;
		if (mapping.sparse) {
			write_stray_sparse(dump, vm, &mapping);
			run.size = 0;
		}
	}
	if (run.size > 0)
		write_mapping(dump, vm->entry->name, &run);
}

static void write_vm(struct dump *dump, struct pb_object *vm)
{
	const char *poison = panbind_vm_poison_reason(vm->vm);
	uint64_t at = 0, va, size;

	if (poison)
		fprintf(dump->out, "# %s is poisoned, and its mapping uncertain\n", vm->entry->name);
	while (panbind_sparse_next_region(vm->vm, at, &va, &size) == 0) {
		write_region(dump, vm, va, size);
		at = va + size;
	}
	write_mappings(dump, vm);
}

static int write_all(struct dump *dump)
{
	const struct pb_objects *vms = &dump->session->objects[PB_KIND_VM];
	int r = collect_unnamed(dump);

	if (r < 0)
		return r;
	for (size_t i = 0; i < vms->count; i++)
		if (is_dumped(dump, vms->items[i]))
			fprintf(dump->out, "vm create %s --va=0x%" PRIx64 "\n", vms->items[i]->entry->name,
				panbind_vm_va_range(vms->items[i]->vm));
	r = write_bos(dump);
	if (r < 0)
		return r;
	for (size_t i = 0; i < vms->count; i++)
		if (is_dumped(dump, vms->items[i]))
			write_vm(dump, vms->items[i]);
	for (size_t i = 0; i < dump->unnamed_count; i++)
		fprintf(dump->out, "bo destroy %s\n", dump->unnamed[i].name);
	return 0;
}

int panbind_session_dump(struct panbind_session *session, const char *name, char **ret_text)
{
	struct dump dump = {.session = session};
	pb_autofree char *text = NULL;
	size_t size = 0;
	int r;

	if (name) {
		const struct pb_entry *entry = pb_entry_find(session, name);

		dump.only = entry ? entry->objects[PB_KIND_VM] : NULL;
		if (!dump.only)
			return -ENOENT;
	}
	dump.out = open_memstream(&text, &size);
	if (!dump.out)
		return -ENOMEM;
	fputs("# panbind state\n", dump.out);
	r = write_all(&dump);
	if (ferror(dump.out))
		r = -ENOMEM;
	free(dump.unnamed);
	if (fclose(dump.out) != 0 && r >= 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	*ret_text = pb_take_ptr(text);
	return 0;
}
