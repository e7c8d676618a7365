/* SPDX-License-Identifier: MIT */
/*
 * Commands about VMs, BOs and syncobjs, and those that only say something.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "session.h"

#define DEFAULT_TIMEOUT_MS 10000
/* A wait looks this often whether the host wants to stop. */
#define WAIT_SLICE_NS	   20000000

static int fail_memory(struct panbind_error *reterr)
{
	return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
}

/* ---- Creating and destroying ---- */

/* A new object for a name that is free, not yet attached. */
static int prepare(struct pb_run *run, enum pb_kind kind, uint32_t name, struct pb_object **ret_object,
		   struct panbind_error *reterr)
{
	struct pb_entry *entry = run->entries[name];
	struct pb_object *object;

	if (entry->objects[kind])
		return pb_error_set(reterr, -EEXIST, PANBIND_STAGE_VALIDATE, "there is a %s %s already",
				    pb_kind_name(kind), entry->name);
	if (pb_object_reserve(run->session, kind) < 0)
		return fail_memory(reterr);
	object = calloc(1, sizeof(*object));
	if (!object)
		return fail_memory(reterr);
	object->kind = kind;
	object->entry = entry;
	*ret_object = object;
	return 0;
}

/* Attach what prepare() and the device gave, and note that it is new. */
static int finish(struct pb_run *run, struct pb_object **object, struct panbind_error *reterr)
{
	struct pb_step step = {.type = PB_STEP_CREATED, .object = *object};

	if (pb_txn_note(run, &step) < 0)
		return fail_memory(reterr);
	pb_object_attach(run->session, pb_take_ptr(*object));
	return 0;
}

/* prepare() leaves the device's half NULL, which every destructor takes. */
int pb_do_vm_create(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	pb_cleanup(pb_objectp_free) struct pb_object *object = NULL;
	int r = prepare(run, PB_KIND_VM, command->name, &object, reterr);

	if (r >= 0)
		r = panbind_vm_create(run->session->device, command->size, &object->vm, reterr);
	return r < 0 ? r : finish(run, &object, reterr);
}

static uint32_t bo_flags(const struct pb_command *command)
{
	return (command->options & PB_OPT_NO_MMAP ? PANBIND_BO_NO_MMAP : 0) |
	       (command->options & PB_OPT_WB ? PANBIND_BO_WB_MMAP : 0);
}

int pb_do_bo_create(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	pb_cleanup(pb_objectp_free) struct pb_object *object = NULL;
	struct pb_object *vm = NULL;
	int r = prepare(run, PB_KIND_BO, command->name, &object, reterr);

	if (r >= 0 && command->other != 0)
		r = pb_run_object(run, PB_KIND_VM, command->other, &vm, reterr);
	if (r < 0 || !object)
		return r;
	object->exclusive = vm ? vm->entry : NULL;
	r = panbind_bo_create(run->session->device, command->size, bo_flags(command), vm ? vm->vm : NULL, &object->bo,
			      reterr);
	return r < 0 ? r : finish(run, &object, reterr);
}

int pb_do_syncobj_create(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	pb_cleanup(pb_objectp_free) struct pb_object *object = NULL;
	int signaled = (command->options & PB_OPT_SIGNALED) != 0;
	int r = prepare(run, PB_KIND_SYNCOBJ, command->name, &object, reterr);

	if (r < 0)
		return r;
	r = panbind_syncobj_create(run->session->device, signaled, &object->syncobj);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot create the syncobj: %s",
				    panbind_errno_name(r));
	return finish(run, &object, reterr);
}

int pb_do_vm_ensure(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct pb_object *vm = run->entries[command->name]->objects[PB_KIND_VM];

	if (!vm)
		return pb_do_vm_create(run, command, reterr);
	run->idle = true;
	if (panbind_vm_va_range(vm->vm) < command->size)
		return pb_error_set(reterr, -EEXIST, PANBIND_STAGE_VALIDATE,
				    "there is a VM %s already, with a VA range of 0x%" PRIx64, vm->entry->name,
				    panbind_vm_va_range(vm->vm));
	return 0;
}

int pb_do_bo_ensure(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct pb_object *bo = run->entries[command->name]->objects[PB_KIND_BO];
	const struct pb_entry *exclusive = command->other ? run->entries[command->other] : NULL;

	if (!bo)
		return pb_do_bo_create(run, command, reterr);
	run->idle = true;
	if (panbind_bo_size(bo->bo) != ((command->size + PB_PAGE_MASK) & ~PB_PAGE_MASK) ||
	    panbind_bo_flags(bo->bo) != bo_flags(command) || bo->exclusive != exclusive)
		return pb_error_set(reterr, -EEXIST, PANBIND_STAGE_VALIDATE,
				    "there is a BO %s already, of 0x%" PRIx64 " bytes%s%s%s%s", bo->entry->name,
				    panbind_bo_size(bo->bo),
				    panbind_bo_flags(bo->bo) & PANBIND_BO_NO_MMAP ? ", no-mmap" : "",
				    panbind_bo_flags(bo->bo) & PANBIND_BO_WB_MMAP ? ", wb" : "",
				    bo->exclusive ? ", only for " : "", bo->exclusive ? bo->exclusive->name : "");
	return 0;
}

int pb_do_if_generation(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r >= 0 && panbind_vm_map_generation(vm->vm) != command->value)
		r = pb_error_set(reterr, -ESTALE, PANBIND_STAGE_VALIDATE,
				 "the mapping of %s has changed: it is of generation %" PRIu64 ", not %" PRIu64,
				 vm->entry->name, panbind_vm_map_generation(vm->vm), command->value);
	return r < 0 ? r : 0;
}

static enum pb_kind kind_of(enum pb_verb verb)
{
	switch (verb) {
	case PB_VERB_VM_DESTROY:
		return PB_KIND_VM;
	case PB_VERB_BO_DESTROY:
		return PB_KIND_BO;
	default:
		return PB_KIND_SYNCOBJ;
	}
}

/* Only the name goes now; the object goes when the transaction ends well. */
int pb_do_destroy(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_step step = {.type = PB_STEP_DESTROYED};
	enum pb_kind kind = kind_of(command->verb);
	int r;

	run->idle = (command->options & PB_OPT_MISSING_OK) && !run->entries[command->name]->objects[kind];
	if (run->idle)
		return 0;
	r = pb_run_object(run, kind, command->name, &step.object, reterr);
	if (r >= 0 && kind == PB_KIND_VM && step.object->vm->adopted)
		r = pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE,
				 "%s is a program's VM, which only that destroys", step.object->entry->name);
	if (r >= 0 && kind == PB_KIND_VM)
		r = pb_vm_check_held(step.object->vm, reterr);
	if (r >= 0 && pb_object_reserve(run->session, step.object->kind) < 0)
		r = fail_memory(reterr);
	if (r >= 0 && pb_txn_note(run, &step) < 0)
		r = fail_memory(reterr);
	if (r < 0)
		return r;
	pb_object_detach(run->session, step.object);
	return 0;
}

/* ---- BOs ---- */

int pb_do_bo_label(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_step step = {.type = PB_STEP_LABEL};
	const char *before;
	int r = pb_run_object(run, PB_KIND_BO, command->name, &step.object, reterr);

	if (r < 0)
		return r;
	before = panbind_bo_label(step.object->bo);
	step.label = before ? strdup(before) : NULL;
	if ((before && !step.label) || pb_txn_note(run, &step) < 0) {
		free(step.label);
		return fail_memory(reterr);
	}
	r = panbind_bo_set_label(step.object->bo, command->extra->text);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot set the label: %s", panbind_errno_name(r));
	return 0;
}

static int map_words(struct pb_run *run, const struct pb_command *command, uint64_t **ret_words, uint64_t *ret_size,
		     struct panbind_error *reterr)
{
	struct pb_object *bo;
	void *ptr;
	int r = pb_run_object(run, PB_KIND_BO, command->name, &bo, reterr);

	if (r < 0)
		return r;
	r = panbind_bo_mmap(bo->bo, &ptr);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "the CPU cannot map %s: %s", bo->entry->name,
				    panbind_errno_name(r));
	*ret_words = ptr;
	*ret_size = panbind_bo_size(bo->bo);
	return 0;
}

/* A reader on the GPU's side may look at the same word: store it whole. */
static void put_word(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

int pb_do_bo_fill(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	uint64_t *words = NULL, size = 0, count;
	int r = map_words(run, command, &words, &size, reterr);

	if (r < 0)
		return r;
	if (command->va > size || command->size > size - command->va || ((command->va | command->size) & 7))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "OFF and LEN are multiples of 8 inside the BO's 0x%" PRIx64 " bytes", size);
	count = (command->size ? command->size : size - command->va) / 8;
	for (uint64_t i = 0; i < count; i++)
		put_word(&words[command->va / 8 + i], command->value);
	return 0;
}

int pb_do_bo_stamp(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	uint64_t *words = NULL, size = 0, pages;
	int r = map_words(run, command, &words, &size, reterr);

	if (r < 0)
		return r;
	pages = size / PANBIND_PAGE_SIZE;
	if (command->value > UINT32_MAX || pages > UINT32_MAX - command->value)
		return pb_error_set(reterr, -ERANGE, PANBIND_STAGE_VALIDATE, "a stamp's page has at most 32 bits");
	for (uint64_t i = 0; i < pages; i++)
		put_word(&words[i * (PANBIND_PAGE_SIZE / 8)], pb_stamp((uint32_t)(command->value + i)));
	return 0;
}

/* ---- Syncobjs ---- */

static int sync_result(int r, const char *what, struct panbind_error *reterr)
{
	if (r >= 0)
		return 0;
	return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "%s: %s", what, panbind_errno_name(r));
}

int pb_do_syncobj_reset(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *object;
	int r = pb_run_object(run, PB_KIND_SYNCOBJ, command->name, &object, reterr);

	return r < 0 ? r : sync_result(panbind_syncobj_reset(object->syncobj), "cannot reset", reterr);
}

int pb_do_syncobj_signal(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct pb_sync_ref *sync = &command->extra->syncs[0];
	struct pb_object *object;
	int r = pb_run_object(run, PB_KIND_SYNCOBJ, sync->name, &object, reterr);

	return r < 0 ? r : sync_result(panbind_syncobj_signal(object->syncobj, sync->point), "cannot signal", reterr);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* panbind_syncobj_wait() in slices. */
static int wait_in_slices(struct pb_run *run, struct panbind_syncobj *const *syncobjs, const uint64_t *points,
			  uint32_t count, uint32_t flags, int64_t timeout)
{
	int64_t begin = now_ns(), left = timeout;
	int r;

	do {
		int64_t slice = left < WAIT_SLICE_NS ? left : WAIT_SLICE_NS;

		r = panbind_syncobj_wait(syncobjs, points, count, flags, slice, NULL);
		left = timeout - (now_ns() - begin);
		if (r == -ETIME && pb_run_stopped(run))
			return -ECANCELED;
	} while (r == -ETIME && left > 0);
	return r;
}

int pb_wait_in_slices(struct pb_run *run, struct panbind_syncobj *const *syncobj, int64_t timeout)
{
	return wait_in_slices(run, syncobj, NULL, 1, PANBIND_WAIT_ALL, timeout);
}

static int wait_for(struct pb_run *run, const struct pb_command *command, struct panbind_syncobj **syncobjs,
		    const uint64_t *points, bool timeline, struct panbind_error *reterr)
{
	uint64_t ms = command->options & PB_OPT_TIMEOUT ? command->value : DEFAULT_TIMEOUT_MS;
	int64_t ns = ms > INT64_MAX / 1000000 ? INT64_MAX : (int64_t)ms * 1000000;
	uint32_t flags = 0;
	int r;

	if (command->options & PB_OPT_ALL)
		flags |= PANBIND_WAIT_ALL;
	if (command->options & PB_OPT_FOR_SUBMIT)
		flags |= PANBIND_WAIT_FOR_FENCE;
	if (command->options & PB_OPT_AVAILABLE)
		flags |= PANBIND_WAIT_AVAILABLE;
	r = wait_in_slices(run, syncobjs, timeline ? points : NULL, command->extra->sync_count, flags, ns);
	if (r == -ETIME)
		return pb_error_set(reterr, r, PANBIND_STAGE_COMPLETE, "not signalled within %" PRIu64 " ms", ms);
	return sync_result(r, "cannot wait", reterr);
}

int pb_do_syncobj_wait(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct pb_command_extra *extra = command->extra;
	pb_autofree struct panbind_syncobj **syncobjs = calloc(extra->sync_count, sizeof(struct panbind_syncobj *));
	pb_autofree uint64_t *points = calloc(extra->sync_count, sizeof(*points));
	bool timeline = (command->options & PB_OPT_AVAILABLE) != 0;

	if (!syncobjs || !points)
		return fail_memory(reterr);
	for (uint32_t i = 0; i < extra->sync_count; i++) {
		struct pb_object *object;
		int r = pb_run_object(run, PB_KIND_SYNCOBJ, extra->syncs[i].name, &object, reterr);

		if (r < 0)
			return r;
		syncobjs[i] = object->syncobj;
		points[i] = extra->syncs[i].point;
		timeline = timeline || points[i] != 0;
	}
	return wait_for(run, command, syncobjs, points, timeline, reterr);
}

/* ---- Saying something ---- */

int pb_do_echo(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	pb_run_text(run, command, command->extra->text);
	return 0;
}

int pb_do_dump(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	pb_autofree char *text = NULL;
	struct pb_object *vm = NULL;
	int r = command->name ? pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr) : 0;

	if (r < 0)
		return r;
	r = panbind_session_dump(run->session, vm ? vm->entry->name : NULL, &text);
	if (r < 0)
		return fail_memory(reterr);
	pb_run_text(run, command, text);
	return 0;
}

int pb_do_vm_show(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct panbind_event event = {.type = PANBIND_EVENT_SHOW_VM, .line = command->line};
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	event.file = pb_script_file(run->script, command);
	event.name = vm->entry->name;
	event.vm = vm->vm;
	event.with_map = (command->options & PB_OPT_MAP) != 0;
	pb_session_emit(run->session, &event);
	return 0;
}

int pb_do_vm_list(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct pb_objects *vms = &run->session->objects[PB_KIND_VM];

	for (size_t i = 0; i < vms->count; i++) {
		const struct pb_object *vm = vms->items[i];
		enum panbind_vm_state state;
		char text[320];
		int r = panbind_vm_get_state(vm->vm, &state);

		if (r < 0)
			return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot ask for the state of %s",
					    vm->entry->name);
		snprintf(text, sizeof(text),
			 "%s id=%" PRIu32 " va=0x%" PRIx64 " state=%s mappings=%zu generation=%" PRIu64,
			 vm->entry->name, panbind_vm_id(vm->vm), panbind_vm_va_range(vm->vm),
			 panbind_vm_state_name(state), panbind_vm_mapping_count(vm->vm),
			 panbind_vm_map_generation(vm->vm));
		pb_run_text(run, command, text);
	}
	return 0;
}

int pb_do_bo_list(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct pb_objects *bos = &run->session->objects[PB_KIND_BO];

	for (size_t i = 0; i < bos->count; i++) {
		const struct pb_object *bo = bos->items[i];
		uint32_t flags = panbind_bo_flags(bo->bo);
		char text[480];

		snprintf(text, sizeof(text), "%s handle=%" PRIu32 " size=0x%" PRIx64 "%s%s%s%s", bo->entry->name,
			 panbind_bo_handle(bo->bo), panbind_bo_size(bo->bo),
			 flags & PANBIND_BO_NO_MMAP ? " no-mmap" : "", flags & PANBIND_BO_WB_MMAP ? " wb" : "",
			 bo->exclusive ? " vm=" : "", bo->exclusive ? bo->exclusive->name : "");
		pb_run_text(run, command, text);
	}
	return 0;
}
