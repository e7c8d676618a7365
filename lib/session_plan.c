/* SPDX-License-Identifier: MIT */
/*
 * Planning: what a script would do, unit by unit, without touching the device.
 *
 * What an op replaces depends on what the ops before it did, so the script is run after all, on a scratch copy: a
 * simulated device of the same feature level, onto which a dump of this session is replayed. Commands that only watch
 * (echo, assert, dump, gpu), contents of BOs, waits and everything behind `expect` are left out; asynchronous binds are
 * planned as such and then done at once. The VM of a PANBIND_EVENT_PLAN is the scratch one; its name is the real one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "session.h"

static void destroy_planp(struct panbind_plan **plan)
{
	panbind_plan_destroy(*plan);
}

static void destroy_scriptp(struct panbind_script **script)
{
	panbind_script_destroy(*script);
}

static void destroy_sessionp(struct panbind_session **session)
{
	panbind_session_destroy(*session);
}

static void unref_devicep(struct panbind_device **device)
{
	panbind_device_unref(*device);
}

int pb_plan_emit(struct pb_run *run, struct pb_object *vm, const struct panbind_batch *batch,
		 const struct pb_command *(*command_at)(struct pb_run *run, size_t first, uint32_t op), size_t first,
		 uint32_t flags, struct panbind_error *reterr)
{
	pb_cleanup(destroy_planp) struct panbind_plan *plan = NULL;
	struct panbind_event event = {
		.type = PANBIND_EVENT_PLAN, .name = vm->entry->name, .vm = vm->vm, .session = run->session};
	int r = panbind_plan_create(vm->vm, batch, flags, &plan, reterr);

	if (r < 0)
		return r;
	run->plans++;
	run->plan_guarantee = panbind_plan_totals(plan)->guarantee;
	event.plan = plan;
	for (size_t i = 0; i < panbind_plan_count(plan) && run->plan_event; i++) {
		const struct panbind_plan_unit *unit = panbind_plan_unit(plan, i);
		const struct pb_command *command = command_at(run, first, unit->first);

		event.index = i;
		event.unit = unit;
		event.line = command->line;
		event.file = pb_script_file(run->script, command);
		event.text = unit->op.bo ? panbind_session_bo_name(run->session, unit->op.bo) : NULL;
		run->plan_event(run->plan_data, &event);
	}
	return 0;
}

/* Several batches are several ioctls: what is atomic for one of them is not for all. */
void pb_plan_end(struct pb_run *run)
{
	struct panbind_event event = {.type = PANBIND_EVENT_PLAN_END, .guarantee = run->plan_guarantee};

	if (run->plans > 1)
		event.guarantee = PANBIND_GUARANTEE_RETURN;
	if (run->plans > 0 && run->plan_event)
		run->plan_event(run->plan_data, &event);
	run->plans = 0;
}

static int open_scratch(struct panbind_session *session, struct panbind_device **ret_device,
			struct panbind_error *reterr)
{
	struct panbind_device_info info;
	struct panbind_device *device;
	char spec[80];
	int minor, r = panbind_device_get_info(session->device, &info);

	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "cannot ask the device what it is");
	minor = info.version_minor < 0 ? 0 : info.version_minor > 9 ? 9 : info.version_minor;
	snprintf(spec, sizeof(spec), "sim:minor=%d,va-bits=%u,atomic=%s", minor, info.va_bits,
		 info.atomic == PANBIND_NO ? "off" : "on");
	r = panbind_device_open(spec, &device, reterr);
	if (r < 0)
		return r;
	panbind_device_assume_atomic(device, info.atomic);
	*ret_device = device;
	return 0;
}

static int replay_dump(struct panbind_session *from, struct panbind_session *to, struct panbind_error *reterr)
{
	pb_cleanup(destroy_scriptp) struct panbind_script *script = NULL;
	pb_autofree char *text = NULL;
	int r = panbind_session_dump(from, NULL, &text);

	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "cannot copy the session");
	r = panbind_script_parse("(state before)", text, strlen(text), NULL, &script, reterr);
	return r < 0 ? r : panbind_session_run(to, script, 0, NULL, reterr);
}

/* Of ranges that nobody knows there is nothing to dump. The plan tells which units displace some. */
static int copy_unknown(const struct panbind_vm *vm, struct panbind_vm *copy)
{
	struct pb_range range = {0};
	int r = pb_vamap_create(NULL, NULL, &copy->unknown);

	copy->force = true;
	while (r == 0 && pb_vamap_next(vm->unknown, range.va + range.size, &range) == 0)
		r = pb_vamap_set(copy->unknown, &range);
	return r;
}

/* A dump does not tell which blocks of a sparse range are no page of 2 MiB, nor what is not known. */
static int copy_shadows(struct panbind_session *from, struct panbind_session *to)
{
	int r = 0;

	const struct pb_objects *vms = &from->objects[PB_KIND_VM];

	for (size_t i = 0; r == 0 && i < vms->count; i++) {
		const struct panbind_vm *vm = vms->items[i]->vm;
		struct panbind_vm *copy = panbind_session_vm(to, vms->items[i]->entry->name);
		struct pb_range range = {0};

		while (copy && pb_vamap_next(vm->pieced, range.va + range.size, &range) == 0)
			pb_vamap_set(copy->pieced, &range); /* without memory for it the plan is a little too careful */
		if (copy && vm->unknown)
			r = copy_unknown(vm, copy);
	}
	return r;
}

/* A dump has no syncobjs: a plan needs their names alone. */
static int copy_syncobjs(struct panbind_session *from, struct panbind_session *to)
{
	const struct pb_objects *syncobjs = &from->objects[PB_KIND_SYNCOBJ];

	for (size_t i = 0; i < syncobjs->count; i++) {
		pb_cleanup(pb_objectp_free) struct pb_object *object = calloc(1, sizeof(*object));
		int r = object ? pb_object_reserve(to, PB_KIND_SYNCOBJ) : -ENOMEM;

		if (r < 0)
			return r;
		object->kind = PB_KIND_SYNCOBJ;
		object->entry = pb_entry_get(to, syncobjs->items[i]->entry->name);
		r = object->entry ? panbind_syncobj_create(to->device, 0, &object->syncobj) : -ENOMEM;
		if (r < 0)
			return r;
		pb_object_attach(to, pb_take_ptr(object));
	}
	return 0;
}

static int run_scratch(struct pb_run *run, struct panbind_session *scratch, struct panbind_error *reterr)
{
	pb_cleanup(pb_run_end) struct pb_run planned = {0};
	uint32_t flags = run->flags & PANBIND_RUN_KEEP_GOING;
	int r = pb_run_begin(&planned, scratch, run->script, flags);

	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	planned.planning = true;
	planned.plan_event = run->session->on_event;
	planned.plan_data = run->session->data;
	planned.stop = run->stop;
	r = pb_run_script(&planned, reterr);
	run->result = planned.result;
	run->result.commands = panbind_script_command_count(run->script);
	return r;
}

int pb_session_plan(struct pb_run *run, struct panbind_error *reterr)
{
	pb_cleanup(unref_devicep) struct panbind_device *device = NULL;
	pb_cleanup(destroy_sessionp) struct panbind_session *scratch = NULL;
	int r = open_scratch(run->session, &device, reterr);

	if (r < 0)
		return r;
	r = panbind_session_create(device, NULL, NULL, &scratch);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	r = replay_dump(run->session, scratch, reterr);
	if (r < 0)
		return r;
	r = copy_shadows(run->session, scratch);
	if (r == 0)
		r = copy_syncobjs(run->session, scratch);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "cannot copy the session");
	return run_scratch(run, scratch, reterr);
}
