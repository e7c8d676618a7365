/* SPDX-License-Identifier: MIT */
/*
 * The GPU of a simulated device at a script's command: single loads and stores, and readers that race the binds.
 *
 * A reader loads the first word of every page of its range, round after round, while the script goes on. Each value
 * must be 0 (memory that nobody stamped) or a stamp; anything else is counted as torn. Faults are counted by the GPU.
 * `gpu read` returns when every reader has loaded once, and `gpu stop` waits for one whole round of each, so that a
 * script cannot pass because its readers never ran.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "session.h"

#define DEFAULT_THREADS 2
#define MAX_THREADS	64
/* Loads after which a reader of a huge range may stop in the middle of its first round. */
#define ENOUGH_LOADS	(1u << 20)

struct reader {
	struct pb_readers *all;
	pthread_t thread;
	uint64_t first; /* page to begin with, so that readers do not walk in step */
	uint64_t loads, torn;
	int error;
};

struct pb_readers {
	struct panbind_vm *vm;
	uint64_t va, pages;
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_cond_t started;
	uint32_t running; /* under lock: readers that have loaded once */
	struct panbind_gpu_stats before;
	uint32_t count;
	struct reader reader[];
};

static void announce(struct pb_readers *readers)
{
	pthread_mutex_lock(&readers->lock);
	readers->running++;
	pthread_cond_signal(&readers->started);
	pthread_mutex_unlock(&readers->lock);
}

/* One page. -EFAULT is what the race is about, and counted elsewhere; other errors end the reader. */
static int read_page(struct reader *reader, uint64_t page)
{
	const struct pb_readers *all = reader->all;
	uint64_t value;
	uint32_t stamped;
	int r = panbind_vm_gpu_load(all->vm, all->va + page * PANBIND_PAGE_SIZE, &value, sizeof(value));

	reader->loads++;
	if (r < 0)
		return r == -EFAULT ? 0 : r;
	if (value != 0 && pb_stamp_check(value, &stamped) < 0)
		reader->torn++;
	return 0;
}

static void *reader_main(void *data)
{
	struct reader *reader = data;
	struct pb_readers *all = reader->all;

	reader->error = read_page(reader, reader->first);
	announce(all);
	for (uint64_t i = 1; reader->error == 0; i++) {
		bool enough = i > all->pages || reader->loads >= ENOUGH_LOADS;

		if (enough && atomic_load_explicit(&all->stop, memory_order_relaxed))
			break;
		reader->error = read_page(reader, (reader->first + i) % all->pages);
	}
	return NULL;
}

/* Nothing can be read from a VM that is not resident: say so at once. */
static int try_page(const struct pb_readers *readers)
{
	uint64_t value;
	int r = panbind_vm_gpu_load(readers->vm, readers->va, &value, sizeof(value));

	return r == -EFAULT ? 0 : r;
}

static int start_readers(struct pb_readers *readers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct reader *reader = &readers->reader[i];
		int r;

		*reader = (struct reader){.all = readers, .first = readers->pages / count * i};
		r = pthread_create(&reader->thread, NULL, reader_main, reader);
		if (r != 0)
			return -r;
		readers->count++;
	}
	pthread_mutex_lock(&readers->lock);
	while (readers->running < count)
		pthread_cond_wait(&readers->started, &readers->lock);
	pthread_mutex_unlock(&readers->lock);
	return 0;
}

static void subtract(struct panbind_gpu_stats *stats, const struct panbind_gpu_stats *before)
{
	stats->loads -= before->loads;
	stats->stores -= before->stores;
	stats->stalls -= before->stalls;
	stats->faults -= before->faults;
	stats->locks -= before->locks;
	stats->unlocks -= before->unlocks;
	stats->flushes -= before->flushes;
}

void pb_readers_stop(struct pb_object *vm, struct panbind_gpu_stats *ret_stats, uint64_t *ret_torn, int *ret_error)
{
	struct pb_readers *readers = vm->readers;
	uint64_t torn = 0;
	int error = 0;

	if (!readers)
		return;
	atomic_store(&readers->stop, true);
	for (uint32_t i = 0; i < readers->count; i++) {
		pthread_join(readers->reader[i].thread, NULL);
		torn += readers->reader[i].torn;
		error = error ? error : readers->reader[i].error;
	}
	vm->torn += torn;
	if (ret_stats && panbind_vm_gpu_stats(vm->vm, ret_stats) == 0)
		subtract(ret_stats, &readers->before);
	if (ret_torn)
		*ret_torn = torn;
	if (ret_error)
		*ret_error = error;
	pthread_cond_destroy(&readers->started);
	pthread_mutex_destroy(&readers->lock);
	free(readers);
	vm->readers = NULL;
}

static int check_read(const struct pb_command *command, const struct pb_object *vm, struct panbind_error *reterr)
{
	uint64_t end;

	if (vm->readers)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "%s has readers already", vm->entry->name);
	if (command->size == 0 || ((command->va | command->size) & PB_PAGE_MASK) ||
	    __builtin_add_overflow(command->va, command->size, &end))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "not a range of whole pages");
	if ((command->options & PB_OPT_THREADS) && (command->value == 0 || command->value > MAX_THREADS))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "1 to %d readers", MAX_THREADS);
	return 0;
}

static int gpu_error(int r, const char *what, uint64_t va, struct panbind_error *reterr)
{
	return pb_error_at_op(reterr, r, PANBIND_STAGE_COMPLETE, PANBIND_NO_OP, va, 8,
			      "the GPU cannot %s 0x%" PRIx64 ": %s", what, va, panbind_errno_name(r));
}

int pb_do_gpu_read(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	uint32_t count = command->options & PB_OPT_THREADS ? (uint32_t)command->value : DEFAULT_THREADS;
	struct pb_readers *readers;
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr), error = 0;

	if (r >= 0)
		r = check_read(command, vm, reterr);
	if (r < 0)
		return r;
	readers = calloc(1, sizeof(*readers) + count * sizeof(readers->reader[0]));
	if (!readers)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	readers->vm = vm->vm;
	readers->va = command->va;
	readers->pages = command->size / PANBIND_PAGE_SIZE;
	pthread_mutex_init(&readers->lock, NULL);
	pthread_cond_init(&readers->started, NULL);
	vm->readers = readers;
	r = panbind_vm_gpu_stats(vm->vm, &readers->before);
	if (r >= 0)
		r = try_page(readers);
	if (r >= 0)
		r = start_readers(readers, count);
	if (r >= 0)
		return 0;
	pb_readers_stop(vm, NULL, NULL, &error);
	return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "cannot start readers: %s", panbind_errno_name(r));
}

int pb_do_gpu_stop(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct panbind_gpu_stats stats = {0};
	struct panbind_event event = {.type = PANBIND_EVENT_GPU, .line = command->line, .stats = &stats};
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr), error = 0;

	if (r < 0)
		return r;
	if (!vm->readers)
		return pb_error_set(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, "%s has no readers", vm->entry->name);
	pb_readers_stop(vm, &stats, &event.torn, &error);
	event.file = pb_script_file(run->script, command);
	event.name = vm->entry->name;
	event.vm = vm->vm;
	pb_session_emit(run->session, &event);
	if (error < 0)
		return pb_error_set(reterr, error, PANBIND_STAGE_COMPLETE, "a reader of %s ended early: %s",
				    vm->entry->name, panbind_errno_name(error));
	return 0;
}

int pb_do_gpu_resident(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	r = panbind_vm_gpu_resident(vm->vm, (int)command->value);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot make %s %s: %s", vm->entry->name,
				    command->value ? "resident" : "idle", panbind_errno_name(r));
	return 0;
}

int pb_do_gpu_load(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	uint64_t value;
	char text[200];
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	r = panbind_vm_gpu_load(vm->vm, command->va, &value, sizeof(value));
	if (r < 0)
		return gpu_error(r, "load from", command->va, reterr);
	snprintf(text, sizeof(text), "%s 0x%" PRIx64 " 0x%016" PRIx64, vm->entry->name, command->va, value);
	pb_run_text(run, command, text);
	return 0;
}

int pb_do_gpu_store(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	r = panbind_vm_gpu_store(vm->vm, command->va, &command->value, sizeof(command->value));
	return r < 0 ? gpu_error(r, "store to", command->va, reterr) : 0;
}
