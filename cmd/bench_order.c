/* SPDX-License-Identifier: MIT */
/*
 * Which thread a step is of, and which steps of others it must not overtake. See bench.h.
 *
 * A step waits for the last one before it, of each thread, with which it shares something that one of them changes: an
 * address of a VM, an object, a syncobj. What its own thread has waited for before need not be waited for again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* ---- Threads ---- */

/** Whoever made calls, from its first to its last step. */
struct stream {
	int32_t pid, tid;
	uint32_t lane;
	size_t first, last;
};

struct streams {
	BENCH_ARRAY(struct stream, all);
	size_t lane_end[BENCH_LANES]; /* the last step of a lane so far */
};

static struct stream *stream_of(struct streams *streams, const struct bench_step *step)
{
	uint32_t index;

	for (size_t i = streams->all.count; i-- > 0;)
		if (streams->all.at[i].pid == step->pid && streams->all.at[i].tid == step->tid)
			return &streams->all.at[i];
	index = BENCH_ADD(streams->all);
	if (index == BENCH_NONE)
		return NULL;
	streams->all.at[index] = (struct stream){.pid = step->pid, .tid = step->tid, .lane = BENCH_NONE};
	return &streams->all.at[index];
}

static int find_streams(struct bench_program *program, struct streams *streams)
{
	for (size_t i = program->prologue; i < program->steps.count; i++) {
		size_t before = streams->all.count;
		struct stream *stream = stream_of(streams, &program->steps.at[i]);

		if (!stream)
			return -ENOMEM;
		if (streams->all.count > before)
			stream->first = i;
		stream->last = i;
	}
	return 0;
}

/* Streams come in the order of their first steps: the first lane whose last stream is over by then will do. */
static void give_lanes(struct bench_program *program, struct streams *streams)
{
	for (size_t i = 0; i < streams->all.count; i++) {
		struct stream *stream = &streams->all.at[i];
		uint32_t lane = 0;

		while (lane < program->lanes && streams->lane_end[lane] > stream->first)
			lane++;
		if (lane == BENCH_LANES)
			lane = (uint32_t)(i % BENCH_LANES);
		else if (lane == program->lanes)
			program->lanes++;
		stream->lane = lane;
		if (stream->last > streams->lane_end[lane])
			streams->lane_end[lane] = stream->last;
	}
}

static int give_steps(struct bench_program *program, struct streams *streams)
{
	uint32_t places[BENCH_LANES] = {0};

	for (size_t i = program->prologue; i < program->steps.count; i++) {
		struct bench_step *step = &program->steps.at[i];
		const struct stream *stream = program->lanes > 1 ? stream_of(streams, step) : NULL;

		step->lane = stream ? stream->lane : 0;
		step->place = places[step->lane]++;
	}
	return 0;
}

static int make_lanes(struct bench_program *program, bool one)
{
	struct streams streams = {0};
	int err = one ? 0 : find_streams(program, &streams);

	if (err == 0)
		give_lanes(program, &streams);
	if (program->lanes == 0)
		program->lanes = 1;
	if (err == 0)
		err = give_steps(program, &streams);
	free(streams.all.at);
	return err;
}

/* ---- What steps share ---- */

/** Something that steps use together and change alone. */
struct shared {
	uint32_t lane, count; /* of the last one that changed it: the lane's steps up to it; count 0: none */
	uint32_t *readers;    /* of each lane the steps up to the last one that has used it since; NULL: none has */
};

/** Addresses of a VM between two that some op begins or ends at. */
struct ranges {
	uint64_t *bounds;
	struct bench_need *last; /* of the range from each bound on: who bound it */
	size_t count;
};

struct order {
	struct bench_program *program;
	struct shared *objects, *syncobjs, world;
	struct ranges *vms; /* by object */
	uint32_t *needs;    /* of the step, by lane */
	uint32_t *known;    /* [lane][lane]: what a lane has waited for already */
};

static void need(struct order *order, uint32_t lane, uint32_t count)
{
	if (order->needs[lane] < count)
		order->needs[lane] = count;
}

static int use(struct order *order, struct shared *shared, const struct bench_step *step)
{
	if (shared->count)
		need(order, shared->lane, shared->count);
	if (!shared->readers)
		shared->readers = calloc(order->program->lanes, sizeof(*shared->readers));
	if (!shared->readers)
		return -ENOMEM;
	shared->readers[step->lane] = step->place + 1;
	return 0;
}

static void change(struct order *order, struct shared *shared, const struct bench_step *step)
{
	if (shared->count)
		need(order, shared->lane, shared->count);
	for (uint32_t lane = 0; shared->readers && lane < order->program->lanes; lane++)
		need(order, lane, shared->readers[lane]);
	free(shared->readers);
	*shared = (struct shared){step->lane, step->place + 1, NULL};
}

/* ---- Addresses ---- */

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int make_ranges(struct order *order)
{
	const struct bench_program *program = order->program;

	for (size_t i = 0; i < program->ops.count; i++)
		order->vms[program->ops.at[i].vm].count += 2;
	for (size_t i = 0; i < program->objects.count; i++) {
		struct ranges *vm = &order->vms[i];

		vm->bounds = vm->count ? malloc(vm->count * sizeof(*vm->bounds)) : NULL;
		vm->last = vm->count ? calloc(vm->count, sizeof(*vm->last)) : NULL;
		if (vm->count && (!vm->bounds || !vm->last))
			return -ENOMEM;
		vm->count = 0;
	}
	for (size_t i = 0; i < program->ops.count; i++) {
		const struct bench_op *op = &program->ops.at[i];
		struct ranges *vm = &order->vms[op->vm];

		vm->bounds[vm->count++] = op->va;
		vm->bounds[vm->count++] = op->va + op->size;
	}
	for (size_t i = 0; i < program->objects.count; i++) {
		struct ranges *vm = &order->vms[i];
		size_t kept = 0;

		if (vm->count)
			qsort(vm->bounds, vm->count, sizeof(*vm->bounds), by_value);
		for (size_t j = 0; j < vm->count; j++)
			if (j == 0 || vm->bounds[j] != vm->bounds[kept - 1])
				vm->bounds[kept++] = vm->bounds[j];
		vm->count = kept;
	}
	return 0;
}

static void change_range(struct order *order, const struct bench_op *op, const struct bench_step *step)
{
	struct ranges *vm = &order->vms[op->vm];
	size_t low = 0, high = vm->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (vm->bounds[middle] < op->va)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < vm->count && vm->bounds[low] < op->va + op->size; low++) {
		need(order, vm->last[low].lane, vm->last[low].count);
		vm->last[low] = (struct bench_need){step->lane, step->place + 1};
	}
}

/* ---- Steps ---- */

static int order_op(struct order *order, const struct bench_op *op, const struct bench_step *step)
{
	struct bench_program *program = order->program;
	int err = use(order, &order->objects[op->vm], step);

	if (err == 0 && op->bo != BENCH_NONE)
		err = use(order, &order->objects[op->bo], step);
	for (uint32_t i = op->first_sync; i < op->first_sync + op->sync_count && err == 0; i++) {
		const struct bench_sync *sync = &program->syncs.at[i];

		if (sync->signal || sync->help)
			change(order, &order->syncobjs[sync->syncobj], step);
		else
			err = use(order, &order->syncobjs[sync->syncobj], step);
	}
	change_range(order, op, step);
	return err;
}

static int order_step(struct order *order, const struct bench_step *step)
{
	int err = 0;

	if (step->kind == PANBIND_LOG_START) {
		change(order, &order->world, step);
		return 0;
	}
	err = use(order, &order->world, step);
	if (err == 0 && step->kind == PANBIND_LOG_BO_CREATE &&
	    order->program->objects.at[step->object].exclusive_vm != BENCH_NONE)
		err = use(order, &order->objects[order->program->objects.at[step->object].exclusive_vm], step);
	if (step->object != BENCH_NONE)
		change(order, &order->objects[step->object], step);
	for (uint32_t i = 0; i < step->op_count && err == 0; i++)
		err = order_op(order, &order->program->ops.at[step->first_op + i], step);
	return err;
}

/* What was gathered becomes the step's. */
static int write_needs(struct order *order, struct bench_step *step)
{
	struct bench_program *program = order->program;
	uint32_t *known = order->known + (size_t)step->lane * program->lanes;

	step->first_need = (uint32_t)program->needs.count;
	for (uint32_t lane = 0; lane < program->lanes; lane++) {
		uint32_t count = order->needs[lane], index;

		order->needs[lane] = 0;
		if (lane == step->lane || count <= known[lane])
			continue;
		index = BENCH_ADD(program->needs);
		if (index == BENCH_NONE)
			return -ENOMEM;
		program->needs.at[index] = (struct bench_need){lane, count};
		known[lane] = count;
		step->need_count++;
	}
	return 0;
}

static int order_steps(struct order *order)
{
	struct bench_program *program = order->program;
	int err = make_ranges(order);

	for (size_t i = program->prologue; i < program->steps.count && err == 0; i++) {
		err = order_step(order, &program->steps.at[i]);
		if (err == 0)
			err = write_needs(order, &program->steps.at[i]);
	}
	return err;
}

static void free_order(struct order *order)
{
	const struct bench_program *program = order->program;

	for (size_t i = 0; order->objects && i < program->objects.count; i++)
		free(order->objects[i].readers);
	for (size_t i = 0; order->syncobjs && i < program->syncobjs.count; i++)
		free(order->syncobjs[i].readers);
	for (size_t i = 0; order->vms && i < program->objects.count; i++) {
		free(order->vms[i].bounds);
		free(order->vms[i].last);
	}
	free(order->world.readers);
	free(order->objects);
	free(order->syncobjs);
	free(order->vms);
	free(order->needs);
	free(order->known);
}

int bench_order(struct bench_program *program, const struct bench_options *options)
{
	struct order order = {.program = program};
	int err = make_lanes(program, options->one_thread);

	if (err < 0 || program->lanes == 1)
		return err;
	order.objects = calloc(program->objects.count + 1, sizeof(*order.objects));
	order.syncobjs = calloc(program->syncobjs.count + 1, sizeof(*order.syncobjs));
	order.vms = calloc(program->objects.count + 1, sizeof(*order.vms));
	order.needs = calloc(program->lanes, sizeof(*order.needs));
	order.known = calloc((size_t)program->lanes * program->lanes, sizeof(*order.known));
	err = order.objects && order.syncobjs && order.vms && order.needs && order.known ? order_steps(&order)
											 : -ENOMEM;
	free_order(&order);
	return err;
}
