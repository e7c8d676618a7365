/* SPDX-License-Identifier: MIT */
/*
 * The simulator as a subject: its probe is called at every event, before and after.
 *
 * The probe is also called at each edit of the page table, where a GPU in hardware would show nothing to a bus. What
 * is seen there does not go into the sequence, which must be comparable, but a hole there counts as one.
 */
#include <drm.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "panbind.h"
#include "subject.h"

struct sim_watch {
	const char *flush; /* what the driver of this version calls it */
	uint32_t vm;
	const struct remap_case *remap;
	struct record *record;
};

static enum look verdict(struct subject *subject, uint64_t va)
{
	struct sim_watch *watch = subject->data;
	uint64_t old = remap_old(watch->remap, va), new = remap_new(watch->remap, va);
	uint32_t value = 0;
	int ret;

	ret = subject->file->backend->gpu->access(subject->file, watch->vm, va, &value, sizeof(value), PB_GPU_NOWAIT);
	if (ret == -EAGAIN)
		return LOOK_STALL;
	if (ret == -EFAULT)
		return old == NOTHING_MAPPED || new == NOTHING_MAPPED ? LOOK_NOTHING : LOOK_HOLE;
	if (ret)
		bail_out("a load of the simulated GPU: %s", panbind_errno_name(ret));
	return value == old ? LOOK_OLD : value == new ? LOOK_NEW : LOOK_FOREIGN;
}

static void look(struct subject *subject, bool aside)
{
	struct sim_watch *watch = subject->data;

	for (size_t i = 0; i < REMAP_WATCHES && watch->remap->watch[i].name; i++) {
		enum look seen = verdict(subject, watch->remap->watch[i].va);

		if (!aside)
			record_look(watch->record, i, seen);
		else if (seen == LOOK_HOLE)
			watch->record->hole_between[i] = true;
	}
}

static void event(void *data, const struct pb_as_event *event)
{
	struct subject *subject = data;
	struct sim_watch *watch = subject->data;
	const char *const names[] = {"LOCK", watch->flush, "UNLOCK"};
	bool edit = event->type == PB_AS_MAP || event->type == PB_AS_UNMAP;

	if (event->vm_id != watch->vm || watch->remap->idle)
		return;
	look(subject, edit);
	if (!edit && !event->before)
		record_command(watch->record, names[event->type], event->va, event->size);
}

/* Atomic updates by a patch end their lock with FLUSH_MEM; those of 1.7 flush through GPU_CONTROL. */
static const char *flush_name(struct subject *subject)
{
	struct drm_version version = {0};

	if (subject->file->backend->ioctl(subject->file, DRM_IOCTL_VERSION, &version))
		bail_out("no driver version");
	return !subject->atomic ? "FLUSH_PT" : version.version_minor < 7 ? "FLUSH_MEM" : "GPU_FLUSH";
}

static void sim_open(struct subject *subject)
{
	struct sim_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		bail_out("no memory");
	subject->data = watch;
	subject->atomic = subject->file->backend->atomic(subject->file) == PANBIND_YES;
	subject->widens = subject->atomic;
	for (int i = 0; i < MEM_COUNT; i++)
		subject->memory[i].handle = subject_bo(subject, MEM_SIZE);
	watch->flush = flush_name(subject);
}

static void sim_close(struct subject *subject)
{
	free(subject->data);
}

static void sim_hold(struct subject *subject, uint32_t vm)
{
	if (subject->file->backend->gpu->resident(subject->file, vm, 1))
		bail_out("no AS slot");
}

static void sim_let_go(struct subject *subject, uint32_t vm)
{
	if (subject->file->backend->gpu->resident(subject->file, vm, 0))
		bail_out("the VM keeps its AS slot");
}

static void sim_start(struct subject *subject, uint32_t vm, const struct remap_case *remap, struct record *record)
{
	struct sim_watch *watch = subject->data;

	*watch = (struct sim_watch){.flush = watch->flush, .vm = vm, .remap = remap, .record = record};
	if (!remap->idle)
		look(subject, false);
	if (subject->file->backend->gpu->probe(subject->file, event, subject))
		bail_out("no probe");
}

static void sim_stop(struct subject *subject)
{
	struct sim_watch *watch = subject->data;

	if (subject->file->backend->gpu->probe(subject->file, NULL, NULL))
		bail_out("the probe stays");
	if (!watch->remap->idle)
		look(subject, false);
}

const struct subject_kind subject_sim = {
	.open = sim_open,
	.close = sim_close,
	.hold = sim_hold,
	.let_go = sim_let_go,
	.start = sim_start,
	.stop = sim_stop,
};
