/* SPDX-License-Identifier: MIT */
/*
 * A round of a benchmark: all steps once, on fresh VMs, each thread its own. See bench.h.
 *
 * What is measured is the call of the library that makes the ioctl, and with it the time in which another thread binds
 * the same VM: the driver would have made it wait, too. Batches are filled before, and asynchronous binds that a
 * synchronous one must not overtake are waited for before.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "limit.h"

#define PATIENCE_NS 100000000 /* between two looks at whether an end is wanted */
#define SPINS	    64	      /* looks at another thread's progress before it is slept for */

/** How far a thread is. Each on cache lines of its own. */
struct lane {
	_Alignas(128) atomic_uint done, sleepers;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct round *round;
	uint32_t index;
	pthread_t thread;
	struct panbind_batch *batch;
};

struct round {
	struct bench_program *program;
	struct bench_side *side;
	const struct bench_options *options;
	uint64_t *ns;
	struct lane *lanes;
	atomic_int stop; /* 0, or the errno that ends the round */
	int64_t began_ns, first_ns;
	pthread_mutex_t failure;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(struct round *round, const struct bench_step *step, int err, const struct panbind_error *error)
{
	pthread_mutex_lock(&round->failure);
	if (round->side->failures++ == 0) {
		round->side->error = *error;
		round->side->error.code = err;
		round->side->error_seq = step->seq;
	}
	pthread_mutex_unlock(&round->failure);
}

/* ---- Progress of threads ---- */

static void stop(struct round *round, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&round->stop, &none, err);
	for (uint32_t i = 0; i < round->program->lanes; i++) {
		pthread_mutex_lock(&round->lanes[i].lock);
		pthread_cond_broadcast(&round->lanes[i].moved);
		pthread_mutex_unlock(&round->lanes[i].lock);
	}
}

static void move_on(struct lane *lane)
{
	atomic_fetch_add(&lane->done, 1);
	if (atomic_load(&lane->sleepers) == 0)
		return;
	pthread_mutex_lock(&lane->lock);
	pthread_cond_broadcast(&lane->moved);
	pthread_mutex_unlock(&lane->lock);
}

static void wait_for(struct round *round, struct lane *other, uint32_t count)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load(&other->done) >= count)
			return;
		sched_yield();
	}
	pthread_mutex_lock(&other->lock);
	atomic_fetch_add(&other->sleepers, 1);
	while (atomic_load(&other->done) < count && !atomic_load(&round->stop))
		pthread_cond_wait(&other->moved, &other->lock);
	atomic_fetch_sub(&other->sleepers, 1);
	pthread_mutex_unlock(&other->lock);
}

static void keep_pace(struct round *round, const struct bench_step *step)
{
	int64_t until_ns, left_ns;

	if (round->options->speed <= 0)
		return;
	until_ns = round->began_ns + (int64_t)((double)(step->time_ns - round->first_ns) / round->options->speed);
	while ((left_ns = until_ns - now_ns()) > 0 && !limit_reached()) {
		int64_t nap_ns = left_ns < PATIENCE_NS ? left_ns : PATIENCE_NS;
		const struct timespec nap = {nap_ns / 1000000000, nap_ns % 1000000000};

		nanosleep(&nap, NULL);
	}
}

/* ---- Objects ---- */

static void end_object(struct bench_object *object)
{
	if (object->is_vm)
		panbind_vm_destroy(object->vm);
	else
		panbind_bo_unref(object->bo);
	object->vm = NULL;
	object->in_flight = false;
}

/* VMs first: a BO may be exclusive to one. */
static void end_objects(struct bench_program *program)
{
	for (size_t i = 0; i < program->objects.count; i++)
		if (program->objects.at[i].is_vm)
			end_object(&program->objects.at[i]);
	for (size_t i = 0; i < program->objects.count; i++)
		end_object(&program->objects.at[i]);
}

static void end_all(struct bench_program *program)
{
	end_objects(program);
	for (size_t i = 0; i < program->syncobjs.count; i++) {
		panbind_syncobj_unref(program->syncobjs.at[i].syncobj);
		program->syncobjs.at[i].syncobj = NULL;
	}
}

static int make_object(struct round *round, struct bench_object *object, struct panbind_error *error)
{
	struct bench_object *exclusive =
		object->exclusive_vm == BENCH_NONE ? NULL : &round->program->objects.at[object->exclusive_vm];

	if (object->is_vm)
		return panbind_vm_create(round->side->device, object->size, &object->vm, error);
	return panbind_bo_create(round->side->device, object->size, object->flags, exclusive ? exclusive->vm : NULL,
				 &object->bo, error);
}

static void do_object(struct round *round, const struct bench_step *step, int64_t *ret_ns)
{
	struct bench_object *object = &round->program->objects.at[step->object];
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int64_t began = now_ns();
	int err = 0;

	if (step->kind == PANBIND_LOG_VM_CREATE || step->kind == PANBIND_LOG_BO_CREATE)
		err = make_object(round, object, &error);
	else
		end_object(object);
	*ret_ns = now_ns() - began;
	if (err < 0)
		fail(round, step, err, &error);
}

/* ---- Binds ---- */

static int wait_for_flights(struct bench_object *vm)
{
	int err;

	if (!vm->in_flight)
		return 0;
	do
		err = panbind_vm_wait(vm->vm, PATIENCE_NS);
	while (err == -ETIME && !limit_reached());
	vm->in_flight = err != 0;
	return err;
}

static int add_syncs(struct round *round, struct panbind_batch *batch, const struct bench_op *op)
{
	struct bench_program *program = round->program;
	int err = 0;

	for (uint32_t i = op->first_sync; i < op->first_sync + op->sync_count && err == 0; i++) {
		const struct bench_sync *sync = &program->syncs.at[i];
		struct panbind_syncobj *syncobj = program->syncobjs.at[sync->syncobj].syncobj;

		if (sync->help)
			err = panbind_syncobj_signal(syncobj, sync->point);
		if (err == 0)
			err = sync->signal ? panbind_batch_signal(batch, syncobj, sync->point)
					   : panbind_batch_wait(batch, syncobj, sync->point);
	}
	return err;
}

static int add_op(struct round *round, struct panbind_batch *batch, const struct bench_op *op,
		  struct panbind_error *error)
{
	struct panbind_bo *bo = op->bo == BENCH_NONE ? NULL : round->program->objects.at[op->bo].bo;
	int err;

	switch (op->type) {
	case PANBIND_LOG_MAP:
	case PANBIND_LOG_SPARSE_BIND: /* asynchronous: within a region, which stays as it is */
		err = bo ? panbind_batch_map(batch, op->va, op->size, bo, op->bo_offset, op->flags, error) : -ENOENT;
		break;
	case PANBIND_LOG_UNMAP:
		err = panbind_batch_unmap(batch, op->va, op->size, error);
		break;
	case PANBIND_LOG_MAP_SPARSE:
	case PANBIND_LOG_SPARSE_UNBIND:
		err = panbind_batch_map_sparse(batch, op->va, op->size, error);
		break;
	case PANBIND_LOG_SYNC_ONLY:
		err = panbind_batch_sync_only(batch);
		break;
	default:
		err = -EINVAL;
	}
	return err < 0 ? err : add_syncs(round, batch, op);
}

static int sparse_op(struct panbind_vm *vm, const struct bench_op *op, struct panbind_bo *bo,
		     struct panbind_error *error)
{
	switch (op->type) {
	case PANBIND_LOG_SPARSE_RESERVE:
		return panbind_sparse_reserve(vm, op->va, op->size, error);
	case PANBIND_LOG_SPARSE_BIND:
		return panbind_sparse_bind(vm, op->va, op->size, bo, op->bo_offset, op->flags, error);
	case PANBIND_LOG_SPARSE_UNBIND:
		return panbind_sparse_unbind(vm, op->va, op->size, error);
	default:
		return panbind_sparse_release(vm, op->va, op->size, error);
	}
}

static bool is_alone(const struct bench_step *step, const struct bench_op *op)
{
	return !step->async && op->type >= PANBIND_LOG_SPARSE_RESERVE;
}

/* The ops from @first on that go into one call: of one VM, and an operation on a sparse region by itself. */
static uint32_t end_of_call(const struct bench_step *step, const struct bench_op *ops, uint32_t first)
{
	uint32_t end = first + 1;

	if (is_alone(step, &ops[first]))
		return end;
	while (end < step->op_count && ops[end].vm == ops[first].vm && !is_alone(step, &ops[end]))
		end++;
	return end;
}

/* One call: the lock is taken within what is measured, as the driver's is. */
static int call(struct round *round, const struct bench_step *step, struct lane *lane, const struct bench_op *op,
		int64_t *ret_ns, struct panbind_error *error)
{
	struct bench_object *vm = &round->program->objects.at[op->vm];
	struct panbind_bo *bo = op->bo == BENCH_NONE ? NULL : round->program->objects.at[op->bo].bo;
	int64_t began = now_ns(), waited = 0;
	int err;

	pthread_mutex_lock(&vm->lock);
	if (!step->async && vm->in_flight) {
		waited = now_ns();
		wait_for_flights(vm);
		waited = now_ns() - waited;
	}
	if (!vm->vm)
		err = -ENOENT;
	else if (is_alone(step, op))
		err = bo || op->bo == BENCH_NONE ? sparse_op(vm->vm, op, bo, error) : -ENOENT;
	else
		err = panbind_vm_bind(vm->vm, lane->batch, step->async ? PANBIND_BIND_ASYNC : 0, error);
	vm->in_flight |= step->async && err == 0;
	pthread_mutex_unlock(&vm->lock);
	*ret_ns += now_ns() - began - waited;
	return err;
}

static void do_bind(struct round *round, const struct bench_step *step, struct lane *lane, int64_t *ret_ns)
{
	const struct bench_op *ops = round->program->ops.at + step->first_op;
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int err = 0;

	for (uint32_t first = 0, end; first < step->op_count && err == 0; first = end) {
		end = end_of_call(step, ops, first);
		panbind_batch_clear(lane->batch);
		for (uint32_t i = first; i < end && err == 0 && !is_alone(step, &ops[first]); i++)
			err = add_op(round, lane->batch, &ops[i], &error);
		if (err == 0)
			err = call(round, step, lane, &ops[first], ret_ns, &error);
	}
	if (err < 0)
		fail(round, step, err, &error);
}

static void do_step(struct round *round, const struct bench_step *step, struct lane *lane)
{
	size_t index = (size_t)(step - round->program->steps.at);
	int64_t ns = 0;

	if (step->kind == PANBIND_LOG_BIND)
		do_bind(round, step, lane, &ns);
	else if (step->kind == PANBIND_LOG_START)
		end_objects(round->program);
	else
		do_object(round, step, &ns);
	if (round->ns)
		round->ns[index] = (uint64_t)ns;
}

/* ---- The round ---- */

static void *run_lane(void *data)
{
	struct lane *lane = data;
	struct round *round = lane->round;
	const struct bench_program *program = round->program;

	for (size_t i = program->prologue; i < program->steps.count; i++) {
		const struct bench_step *step = &program->steps.at[i];

		if (step->lane != lane->index)
			continue;
		keep_pace(round, step);
		for (uint32_t j = 0; j < step->need_count; j++) {
			const struct bench_need *need = &program->needs.at[step->first_need + j];

			wait_for(round, &round->lanes[need->lane], need->count);
		}
		if (limit_reached())
			stop(round, -EINTR);
		if (atomic_load(&round->stop))
			break;
		do_step(round, step, lane);
		move_on(lane);
	}
	return NULL;
}

static int make_lanes(struct round *round)
{
	int err = 0;

	for (uint32_t i = 0; i < round->program->lanes; i++) {
		struct lane *lane = &round->lanes[i];

		pthread_mutex_init(&lane->lock, NULL);
		pthread_cond_init(&lane->moved, NULL);
		lane->round = round;
		lane->index = i;
		if (err == 0)
			err = panbind_batch_create(&lane->batch);
	}
	return err;
}

static void free_lanes(struct round *round)
{
	for (uint32_t i = 0; i < round->program->lanes; i++) {
		panbind_batch_destroy(round->lanes[i].batch);
		pthread_mutex_destroy(&round->lanes[i].lock);
		pthread_cond_destroy(&round->lanes[i].moved);
	}
	free(round->lanes);
}

/* The first lane is this thread. */
static void run_lanes(struct round *round)
{
	uint32_t started = 1;

	for (; started < round->program->lanes; started++) {
		int err = pthread_create(&round->lanes[started].thread, NULL, run_lane, &round->lanes[started]);

		if (err) {
			stop(round, -err);
			break;
		}
	}
	run_lane(&round->lanes[0]);
	for (uint32_t i = 1; i < started; i++)
		pthread_join(round->lanes[i].thread, NULL);
	for (size_t i = 0; i < round->program->objects.count; i++)
		if (round->program->objects.at[i].is_vm)
			wait_for_flights(&round->program->objects.at[i]);
}

static int make_syncobjs(struct round *round)
{
	int err = 0;

	for (size_t i = 0; i < round->program->syncobjs.count && err == 0; i++)
		err = panbind_syncobj_create(round->side->device, 0, &round->program->syncobjs.at[i].syncobj);
	return err;
}

static void begin(struct round *round)
{
	const struct bench_program *program = round->program;

	for (size_t i = 0; i < program->prologue; i++)
		do_step(round, &program->steps.at[i], &round->lanes[0]);
	if (program->steps.count > program->prologue)
		round->first_ns = program->steps.at[program->prologue].time_ns;
	round->began_ns = now_ns();
}

int bench_round(struct bench_program *program, struct bench_side *side, const struct bench_options *options,
		uint64_t *ns, double *ret_seconds, const struct panbind_log_state *expected)
{
	struct round round = {
		.program = program, .side = side, .options = options, .ns = ns, .failure = PTHREAD_MUTEX_INITIALIZER};
	int err;

	round.lanes = aligned_alloc(_Alignof(struct lane), program->lanes * sizeof(*round.lanes));
	if (!round.lanes)
		return -ENOMEM;
	memset(round.lanes, 0, program->lanes * sizeof(*round.lanes));
	err = make_lanes(&round);
	if (err == 0)
		err = make_syncobjs(&round);
	if (err == 0) {
		begin(&round);
		run_lanes(&round);
		*ret_seconds = (double)(now_ns() - round.began_ns) / 1e9;
		err = atomic_load(&round.stop);
	}
	if (err == 0 && expected)
		bench_verify(program, side, expected);
	end_all(program);
	free_lanes(&round);
	return err;
}
