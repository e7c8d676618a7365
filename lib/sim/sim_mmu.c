/* SPDX-License-Identifier: MIT */
/*
 * AS slots and AS commands. How LOCK and GPU accesses agree is told in sim_mmu.h.
 *
 * A VM without a slot has no GPU behind it: nobody can be in its page tables, and no command is issued. A slot is
 * taken and given back under op_lock only, so it does not change in the middle of an op.
 */
#include "sim_mmu.h"

#include <errno.h>
#include <sched.h>

static void wait_for_change(const struct sim_port *port, uint64_t seen)
{
	for (unsigned spins = 0; atomic_load(&port->value) == seen; spins++)
		if (spins >= 64)
			sched_yield(); /* its thread may wait for this CPU */
}

static bool port_is_in(uint64_t value, uint32_t vm_id, uint64_t locked)
{
	uint64_t page = value >> SIM_PORT_PAGE_SHIFT & SIM_PORT_PAGE_MASK;

	return value & SIM_PORT_BUSY && (value >> SIM_PORT_VM_SHIFT & 63) == vm_id &&
	       sim_lock_holds(locked, page * SIM_PAGE_SIZE);
}

void sim_mmu_drain(struct sim_vm *vm, uint64_t locked)
{
	for (unsigned i = 0; i < SIM_PORTS; i++) {
		const struct sim_port *port = &vm->file->ports[i];
		uint64_t value = atomic_load(&port->value);

		if (port_is_in(value, vm->id, locked))
			wait_for_change(port, value);
	}
}

void sim_mmu_drain_all(struct sim_vm *vm)
{
	sim_mmu_drain(vm, sim_lock_pack(0, UINT64_C(1) << 48));
}

static bool has_slot(const struct sim_vm *vm)
{
	return atomic_load_explicit(&vm->as, memory_order_relaxed) >= 0;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void sim_mmu_lock(struct sim_vm *vm, uint64_t start, uint64_t size)
{
	uint64_t locked = sim_lock_pack(start, size);

	if (!has_slot(vm))
		return;
	sim_mmu_event(vm, PB_AS_LOCK, sim_lock_start(locked), sim_lock_size(locked), 1);
	atomic_store(&vm->locked, locked);
	sim_mmu_drain(vm, locked);
	count(&vm->locks);
	sim_mmu_event(vm, PB_AS_LOCK, sim_lock_start(locked), sim_lock_size(locked), 0);
}

void sim_mmu_flush(struct sim_vm *vm, uint64_t start, uint64_t size)
{
	if (!has_slot(vm))
		return;
	sim_mmu_event(vm, PB_AS_FLUSH, start, size, 1);
	count(&vm->flushes);
	sim_mmu_event(vm, PB_AS_FLUSH, start, size, 0);
}

void sim_mmu_unlock(struct sim_vm *vm)
{
	uint64_t locked = atomic_load_explicit(&vm->locked, memory_order_relaxed);

	if (!has_slot(vm))
		return;
	sim_mmu_event(vm, PB_AS_UNLOCK, sim_lock_start(locked), sim_lock_size(locked), 1);
	atomic_store(&vm->locked, 0);
	count(&vm->unlocks);
	sim_mmu_event(vm, PB_AS_UNLOCK, sim_lock_start(locked), sim_lock_size(locked), 0);
}

void sim_mmu_flush_unlock(struct sim_vm *vm, uint64_t start, uint64_t size)
{
	if (!has_slot(vm))
		return;
	sim_mmu_event(vm, PB_AS_FLUSH, start, size, 1);
	atomic_store(&vm->locked, 0);
	count(&vm->flushes);
	sim_mmu_event(vm, PB_AS_FLUSH, start, size, 0);
}

void sim_mmu_flush_piece(struct sim_vm *vm, uint64_t start, uint64_t size)
{
	sim_mmu_lock(vm, start, size);
	sim_mmu_flush_unlock(vm, start, size);
}

/* The probe runs without a lock, so that it may block one VM's binds while other VMs go on. */
void sim_mmu_event(struct sim_vm *vm, enum pb_as_event_type type, uint64_t va, uint64_t size, int before)
{
	struct sim_device *device = vm->device;
	struct pb_as_event event = {.type = type, .vm_id = vm->id, .va = va, .size = size, .before = before};
	struct sim_probe probe;

	if (!atomic_load_explicit(&device->probed, memory_order_relaxed))
		return;
	pthread_mutex_lock(&device->probe_lock);
	probe = device->probe;
	device->probe_calls++;
	pthread_mutex_unlock(&device->probe_lock);
	if (probe.fn)
		probe.fn(probe.data, &event);
	pthread_mutex_lock(&device->probe_lock);
	if (--device->probe_calls == 0)
		pthread_cond_broadcast(&device->probe_idle);
	pthread_mutex_unlock(&device->probe_lock);
}

int sim_mmu_take_slot(struct sim_vm *vm)
{
	struct sim_device *device = vm->device;
	unsigned slot = 1;

	if (has_slot(vm))
		return 0;
	pthread_mutex_lock(&device->lock);
	while (slot <= device->options.as_slots && device->slots[slot])
		slot++;
	if (slot <= device->options.as_slots)
		device->slots[slot] = vm;
	pthread_mutex_unlock(&device->lock);
	if (slot > device->options.as_slots)
		return -EBUSY;
	atomic_store(&vm->as, (int)slot);
	return 0;
}

void sim_mmu_drop_slot(struct sim_vm *vm)
{
	struct sim_device *device = vm->device;
	int slot = atomic_load(&vm->as);

	if (slot < 0)
		return;
	atomic_store(&vm->as, -1);
	sim_mmu_drain_all(vm);
	pthread_mutex_lock(&device->lock);
	device->slots[slot] = NULL;
	pthread_mutex_unlock(&device->lock);
}
