/* SPDX-License-Identifier: MIT */
/*
 * VMs of an open file: ids, VA ranges, life and death.
 *
 * A destroyed VM whose queue still has work is a zombie until that work is done: its jobs go on, as the kernel's do,
 * on page tables that nobody can see any more. It is freed at the next occasion, at the latest with the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "sim_mmu.h"
#include "sim_op.h"

/* What the driver wants for its own objects at least. */
#define MIN_KERNEL_VA (UINT64_C(256) << 20)
/* What a process can map on the machines that have this GPU. */
#define TASK_SIZE     (UINT64_C(1) << 48)

static uint64_t default_va_range(uint64_t full)
{
	if (TASK_SIZE < full)
		return TASK_SIZE;
	return full > UINT64_C(1) << 32 ? full / 2 : full - MIN_KERNEL_VA;
}

/* The kernel's part is a power of two at the top; the user gets the rest, which may be more than was asked for. */
static int choose_va_range(unsigned va_bits, uint64_t asked, uint64_t *ret_range)
{
	uint64_t full = UINT64_C(1) << va_bits, range = asked ? asked : default_va_range(full), kernel;

	if (range > full - MIN_KERNEL_VA) {
		if (asked)
			return -EINVAL;
		range = full - MIN_KERNEL_VA;
	}
	kernel = UINT64_C(1) << (63 - __builtin_clzll(full - range));
	*ret_range = full - kernel;
	return 0;
}

static void release_mappings(struct sim_vm *vm)
{
	for (struct sim_vma *v = sim_vmas_find(&vm->vmas, 0); v; v = v->next)
		sim_bo_put(v->bo);
	sim_vmas_fini(&vm->vmas);
}

static void free_vm(struct sim_vm *vm)
{
	sim_heaps_fini(vm);
	release_mappings(vm);
	sim_pt_fini(&vm->pt);
	pthread_mutex_destroy(&vm->op_lock);
	pthread_mutex_destroy(&vm->kernel_lock);
	free(vm);
}

static int new_vm(struct sim_file *file, uint64_t va_range, struct sim_vm **ret_vm)
{
	struct sim_vm *vm;
	int ret;

	if (posix_memalign((void **)&vm, _Alignof(struct sim_vm), sizeof(*vm)))
		return -ENOMEM;
	memset(vm, 0, sizeof(*vm));
	ret = sim_pt_init(&vm->pt);
	if (ret) {
		free(vm);
		return ret;
	}
	sim_vmas_init(&vm->vmas);
	pthread_mutex_init(&vm->op_lock, NULL);
	pthread_mutex_init(&vm->kernel_lock, NULL);
	sim_kernel_va_init(&vm->kernel_va, va_range, UINT64_C(1) << file->device->options.va_bits);
	atomic_init(&vm->refs, 1);
	atomic_init(&vm->as, -1);
	vm->file = file;
	vm->device = file->device;
	vm->va_range = va_range;
	vm->serial = atomic_fetch_add(&file->device->next_serial, 1);
	*ret_vm = vm;
	return 0;
}

struct sim_vm *sim_vm_get(struct sim_file *file, uint32_t id)
{
	struct sim_vm *vm = NULL;

	if (id > SIM_MAX_VMS)
		return NULL;
	pthread_mutex_lock(&file->lock);
	vm = atomic_load_explicit(&file->vms[id], memory_order_relaxed);
	if (vm)
		atomic_fetch_add_explicit(&vm->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&file->lock);
	return vm;
}

void sim_vm_put(struct sim_vm *vm)
{
	if (vm && atomic_fetch_sub(&vm->refs, 1) == 1)
		free_vm(vm);
}

/* The lowest free id, or -EBUSY. */
static int publish_vm(struct sim_file *file, struct sim_vm *vm)
{
	uint32_t id = 1;

	pthread_mutex_lock(&file->lock);
	while (id <= SIM_MAX_VMS && atomic_load_explicit(&file->vms[id], memory_order_relaxed))
		id++;
	if (id <= SIM_MAX_VMS) {
		vm->id = id;
		atomic_store(&file->vms[id], vm);
	}
	pthread_mutex_unlock(&file->lock);
	return id <= SIM_MAX_VMS ? 0 : -EBUSY;
}

/* Free the zombies that have come to rest; all of them when @kill. */
static void reap(struct sim_file *file, bool kill)
{
	struct sim_vm *resting = NULL, **link;

	pthread_mutex_lock(&file->lock);
	link = &file->zombies;
	while (*link) {
		struct sim_vm *vm = *link;

		if (kill || sim_queue_stop(vm->queue)) {
			*link = vm->next_zombie;
			vm->next_zombie = resting;
			resting = vm;
		} else {
			link = &vm->next_zombie;
		}
	}
	pthread_mutex_unlock(&file->lock);
	while (resting) {
		struct sim_vm *vm = resting;

		resting = vm->next_zombie;
		sim_queue_finish(vm->queue, kill);
		vm->queue = NULL;
		sim_vm_put(vm);
	}
}

int sim_vm_create_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_vm_create *args = arg;
	uint64_t range;
	struct sim_vm *vm;
	int ret;

	reap(file, false);
	if (args->flags)
		return -EINVAL;
	ret = choose_va_range(file->device->options.va_bits, args->user_va_range, &range);
	if (ret)
		return ret;
	ret = new_vm(file, range, &vm);
	if (ret)
		return ret;
	ret = publish_vm(file, vm);
	if (ret) {
		sim_vm_put(vm);
		return ret;
	}
	args->id = vm->id;
	args->user_va_range = range;
	return 0;
}

/* Take the VM of an id out of the file, with the file's reference. */
static struct sim_vm *take_out(struct sim_file *file, uint32_t id)
{
	struct sim_vm *vm;

	if (id > SIM_MAX_VMS)
		return NULL;
	pthread_mutex_lock(&file->lock);
	vm = atomic_load_explicit(&file->vms[id], memory_order_relaxed);
	atomic_store(&file->vms[id], NULL);
	pthread_mutex_unlock(&file->lock);
	return vm;
}

static void bury(struct sim_file *file, struct sim_vm *vm)
{
	pthread_mutex_lock(&file->lock);
	vm->next_zombie = file->zombies;
	file->zombies = vm;
	pthread_mutex_unlock(&file->lock);
}

/* Nobody can find it any more; let go of the GPU and of all memory. */
static void tear_down(struct sim_file *file, struct sim_vm *vm)
{
	bool queue;

	pthread_mutex_lock(&vm->op_lock);
	atomic_store(&vm->destroyed, true);
	sim_mmu_drop_slot(vm);
	sim_mmu_drain_all(vm);
	sim_op_unmap_all(vm);
	pthread_mutex_unlock(&vm->op_lock);
	pthread_mutex_lock(&file->lock);
	queue = vm->queue != NULL;
	pthread_mutex_unlock(&file->lock);
	if (!queue) {
		sim_vm_put(vm);
		return;
	}
	sim_queue_stop(vm->queue);
	bury(file, vm);
}

int sim_vm_destroy_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_vm_destroy *args = arg;
	struct sim_vm *vm;

	if (args->pad)
		return -EINVAL;
	vm = take_out(file, args->id);
	if (!vm)
		return -EINVAL;
	tear_down(file, vm);
	reap(file, false);
	return 0;
}

int sim_vm_get_state_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_vm_get_state *args = arg;
	struct sim_vm *vm = sim_vm_get(file, args->vm_id);

	if (!vm)
		return -EINVAL;
	args->state = atomic_load(&vm->unusable) ? PB_VM_STATE_UNUSABLE : PB_VM_STATE_USABLE;
	sim_vm_put(vm);
	return 0;
}

void sim_vms_close(struct sim_file *file)
{
	for (uint32_t id = 1; id <= SIM_MAX_VMS; id++) {
		struct sim_vm *vm = take_out(file, id);

		if (vm)
			tear_down(file, vm);
	}
	reap(file, true);
}
