/* SPDX-License-Identifier: MIT */
/*
 * Steps on VMs, and VM_BIND.
 */
#include <stdlib.h>
#include <string.h>

#include "run.h"

#define MAX_ITEMS 64u

static void note_vm(struct diff_world *world, unsigned file, uint32_t id, uint64_t range)
{
	world->renewed |= world->queued[file] >> id & 1;
	world->queued[file] &= ~(UINT64_C(1) << id);
	world->vms[file] |= UINT64_C(1) << id;
	world->vm_range[file][id] = range;
	world->vm_age[file][id] = world->next_age++;
}

/* An argument that was cut short, or lay where it could not be written, may not tell what was made or destroyed. */
static void look_for_vms(struct diff_world *world, const struct diff_node *node)
{
	unsigned file = node->file;

	if (diff_get_auto(node, "len") && diff_get(world, node, "arg") == DIFF_GOOD)
		return;
	for (uint32_t id = 1; id < 64; id++) {
		struct pb_uapi_vm_get_state args = {.vm_id = id};
		bool there = !diff_quiet(world, file, PB_IOCTL_VM_GET_STATE, &args);

		if (!there)
			world->vms[file] &= ~(UINT64_C(1) << id);
		else if (!(world->vms[file] >> id & 1))
			note_vm(world, file, id, 0);
	}
}

static void step_vm_create(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_vm_create args = {.flags = (uint32_t)diff_get(world, node, "flags"),
					 .id = 0x77,
					 .user_va_range = diff_get(world, node, "range")};
	int ret = diff_issue(world, node, PB_IOCTL_VM_CREATE, &args);

	fprintf(world->out, " id=%u range=0x%llx", args.id, (unsigned long long)args.user_va_range);
	if (!ret) {
		diff_put(world, node, args.id);
		/* what stands behind the end of an argument is not what the driver took or gave */
		if (args.id < 64)
			note_vm(world, node->file, args.id, diff_get_auto(node, "len") ? args.user_va_range : 0);
	}
	look_for_vms(world, node);
}

static void step_vm_destroy(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_vm_destroy args = {.id = (uint32_t)diff_get(world, node, "vm"),
					  .pad = (uint32_t)diff_get(world, node, "pad")};
	int ret = diff_issue(world, node, PB_IOCTL_VM_DESTROY, &args);

	if (!ret && args.id < 64)
		world->vms[node->file] &= ~(UINT64_C(1) << args.id);
	look_for_vms(world, node);
}

static void step_vm_state(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_vm_get_state args = {.vm_id = (uint32_t)diff_get(world, node, "vm"), .state = 0x77};

	diff_issue(world, node, PB_IOCTL_VM_GET_STATE, &args);
	fprintf(world->out, " state=%u", args.state);
}

/* ---- VM_BIND ---- */

/* An array of structs of @natural bytes as the node wants it: spread to its stride, with @tail behind each. */
static void place_array(struct diff_world *world, const struct diff_node *node, const void *items, size_t natural,
			struct pb_uapi_obj_array *ret_array)
{
	uint32_t stride = (uint32_t)natural, count = node->children < MAX_ITEMS ? node->children : MAX_ITEMS;
	size_t room, step;
	uint8_t *spread;

	if (!diff_get_auto(node, "stride"))
		stride = (uint32_t)diff_get(world, node, "stride");
	step = stride < 512 ? stride : 512;
	room = count * step + (step < natural ? natural : 0);
	spread = calloc(1, room + 1);
	if (!spread)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		memcpy(spread + i * step, (const uint8_t *)items + i * natural, step < natural ? step : natural);
		if (step > natural)
			spread[i * step + step - 1] = (uint8_t)diff_get(world, node, "tail");
	}
	*ret_array = (struct pb_uapi_obj_array){.stride = stride, .count = count};
	if (!diff_get_auto(node, "count"))
		ret_array->count = (uint32_t)diff_get(world, node, "count");
	ret_array->array = diff_place(world, diff_get(world, node, "mem"), spread, count * step, NULL);
	free(spread);
}

static struct pb_uapi_sync_op make_sync(const struct diff_world *world, const struct diff_node *node)
{
	uint64_t point = diff_get(world, node, "point");
	uint32_t flags = point ? PB_SYNC_TYPE_TIMELINE : PB_SYNC_TYPE_SYNCOBJ;

	if (strcmp(node->type->name, "signal_to") == 0)
		flags |= PB_SYNC_SIGNAL;
	return (struct pb_uapi_sync_op){.flags = flags ^ (uint32_t)diff_get(world, node, "flags"),
					.handle = (uint32_t)diff_get(world, node, "sync"),
					.timeline_value = point};
}

static uint32_t op_type(const struct diff_node *node)
{
	if (strcmp(node->type->name, "map") == 0)
		return PB_OP_MAP;
	return strcmp(node->type->name, "unmap") == 0 ? PB_OP_UNMAP : PB_OP_SYNC_ONLY;
}

/* Sparse maps have no BO that bounds them, and memory for their page tables: some, or more than any driver takes. */
static uint64_t affordable(uint32_t flags, uint64_t size)
{
	const uint64_t most = UINT64_C(1) << 30, refused = UINT64_C(1) << 40;

	return flags & PB_OP_SPARSE && size > most && size < refused ? refused : size;
}

static struct pb_uapi_vm_bind_op make_op(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_sync_op syncs[MAX_ITEMS];
	struct pb_uapi_vm_bind_op op = {.flags = op_type(node) | (uint32_t)diff_get(world, node, "flags"),
					.bo_handle = (uint32_t)diff_get(world, node, "bo"),
					.bo_offset = diff_get(world, node, "offset"),
					.va = diff_get(world, node, "va"),
					.size = diff_get(world, node, "size")};

	op.size = affordable(op.flags, op.size);
	for (uint32_t i = 0; i < node->children && i < MAX_ITEMS; i++)
		syncs[i] = make_sync(world, &node->child[i]);
	place_array(world, node, syncs, sizeof(syncs[0]), &op.syncs);
	return op;
}

static void note_jobs(struct diff_world *world, unsigned file, uint64_t vm)
{
	world->busy[file] |= vm;
	world->queued[file] |= vm;
}

static void step_bind(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_vm_bind_op ops[MAX_ITEMS];
	struct pb_uapi_vm_bind args = {.vm_id = (uint32_t)diff_get(world, node, "vm"),
				       .flags = (uint32_t)diff_get(world, node, "flags")};

	if (world->careful && diff_is_deadly(world, node)) {
		fputs(" left out", world->out);
		return;
	}
	for (uint32_t i = 0; i < node->children && i < MAX_ITEMS; i++)
		ops[i] = make_op(world, &node->child[i]);
	place_array(world, node, ops, sizeof(ops[0]), &args.ops);
	diff_issue(world, node, PB_IOCTL_VM_BIND, &args);
	fprintf(world->out, " count=%u", args.ops.count);
	if (args.flags & PB_VM_BIND_ASYNC && args.vm_id < 64)
		note_jobs(world, node->file, (UINT64_C(1) << args.vm_id) & world->vms[node->file]);
}

const struct diff_verb diff_vm_verbs[] = {
	{"vm_create", step_vm_create},
	{"vm_destroy", step_vm_destroy},
	{"vm_state", step_vm_state},
	{"bind", step_bind},
	{0},
};
