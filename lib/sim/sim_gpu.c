/* SPDX-License-Identifier: MIT */
/*
 * GPU loads and stores, from any thread, beside binds.
 *
 * An access takes a port, walks the page table and touches memory while it holds the port; it never blocks with the
 * port in hand. On a locked region it lets go and tries again: hit, stall, or fault, as on the hardware. How ports and
 * LOCK agree is told in sim_mmu.h.
 */
#include "sim_gpu.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#include "panbind.h"
#include "sim_mmu.h"

/* One access on its way. */
struct access {
	struct sim_file *file;
	uint32_t vm_id;
	uint64_t va;
	void *value;
	size_t size;
	uint32_t flags;
	unsigned port;
	bool stalled;
};

static void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* Threads start their search at different ports, so that each mostly finds its own free. */
static unsigned first_port(void)
{
	uint64_t self = (uint64_t)(uintptr_t)pthread_self();

	return (unsigned)(self * UINT64_C(0x9e3779b97f4a7c15) >> 60) % SIM_PORTS;
}

static bool try_port(struct sim_port *port, uint64_t what)
{
	uint64_t old = atomic_load_explicit(&port->value, memory_order_relaxed);
	uint64_t seq = ((old >> SIM_PORT_SEQ_SHIFT) + 1) << SIM_PORT_SEQ_SHIFT;

	return !(old & SIM_PORT_BUSY) && atomic_compare_exchange_strong(&port->value, &old, seq | what);
}

static void take_port(struct access *access)
{
	uint64_t page = access->va / SIM_PAGE_SIZE & SIM_PORT_PAGE_MASK;
	uint64_t what = SIM_PORT_BUSY | (uint64_t)access->vm_id << SIM_PORT_VM_SHIFT | page << SIM_PORT_PAGE_SHIFT;
	unsigned first = first_port();

	for (unsigned i = 0;; i++) {
		access->port = (first + i) % SIM_PORTS;
		if (try_port(&access->file->ports[access->port], what))
			return;
		if (i % SIM_PORTS == SIM_PORTS - 1)
			sched_yield();
	}
}

static void release_port(struct access *access)
{
	struct sim_port *port = &access->file->ports[access->port];
	uint64_t value = atomic_load_explicit(&port->value, memory_order_relaxed);

	atomic_store_explicit(&port->value, value & ~SIM_PORT_BUSY, memory_order_release);
}

/* Counters of a port have one writer at a time: the port's owner. */
static void bump(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

#define ATOMIC_LOAD(type)  (*(type *)access->value = __atomic_load_n((type *)memory, __ATOMIC_ACQUIRE))
#define ATOMIC_STORE(type) __atomic_store_n((type *)memory, *(type *)access->value, __ATOMIC_RELEASE)

static void load_memory(const struct access *access, void *memory)
{
	switch (access->size) {
	case 1:
		ATOMIC_LOAD(uint8_t);
		break;
	case 2:
		ATOMIC_LOAD(uint16_t);
		break;
	case 4:
		ATOMIC_LOAD(uint32_t);
		break;
	default:
		ATOMIC_LOAD(uint64_t);
		break;
	}
}

static void store_memory(const struct access *access, void *memory)
{
	switch (access->size) {
	case 1:
		ATOMIC_STORE(uint8_t);
		break;
	case 2:
		ATOMIC_STORE(uint16_t);
		break;
	case 4:
		ATOMIC_STORE(uint32_t);
		break;
	default:
		ATOMIC_STORE(uint64_t);
		break;
	}
}

/* Through the page table to memory. */
static int reach(const struct access *access, const struct sim_vm *vm, struct sim_counters *counters)
{
	bool store = access->flags & PB_GPU_STORE;
	uint64_t span = 0, entry = 0;
	void *memory;

	if (!(access->va >> vm->device->options.va_bits))
		entry = sim_pt_walk(&vm->pt, access->va, &span);
	if (!entry || (store && entry & SIM_PTE_READONLY)) {
		bump(&counters->faults);
		return -EFAULT;
	}
	memory = sim_pt_pointer((entry & ~(SIM_PAGE_SIZE - 1)) + (access->va & (span - 1)));
	if (store)
		store_memory(access, memory);
	else
		load_memory(access, memory);
	bump(store ? &counters->stores : &counters->loads);
	return 0;
}

/* With the port in hand: 0, an error, or -EAGAIN when the region is locked. */
static int try_access(struct access *access)
{
	struct sim_vm *vm = atomic_load(&access->file->vms[access->vm_id]);
	struct sim_counters *counters;

	if (!vm)
		return -EINVAL;
	if (atomic_load(&vm->as) < 0)
		return -ENXIO;
	counters = &vm->counters[access->port];
	if (!sim_lock_holds(atomic_load(&vm->locked), access->va))
		return reach(access, vm, counters);
	if (!(access->flags & PB_GPU_NOWAIT) && !access->stalled) {
		bump(&counters->stalls);
		access->stalled = true;
	}
	return -EAGAIN;
}

/* The VM may be gone by now, so there is nothing to sleep on: look again, ever less often. */
static void back_off(unsigned tries)
{
	const struct timespec nap = {.tv_nsec = 50000};

	if (tries < 32)
		cpu_pause();
	else if (tries < 1024)
		sched_yield();
	else
		nanosleep(&nap, NULL);
}

int sim_gpu_access(struct pb_file *pf, uint32_t vm_id, uint64_t va, void *value, size_t size, uint32_t flags)
{
	struct access access = {
		.file = (struct sim_file *)pf, .vm_id = vm_id, .va = va, .value = value, .size = size, .flags = flags};

	if (size == 0 || size > 8 || size & (size - 1) || va & (size - 1))
		return -EINVAL;
	if (vm_id > SIM_MAX_VMS)
		return -EINVAL;
	for (unsigned tries = 0;; tries++) {
		int ret;

		take_port(&access);
		ret = try_access(&access);
		release_port(&access);
		if (ret != -EAGAIN || flags & PB_GPU_NOWAIT)
			return ret;
		back_off(tries);
	}
}

int sim_gpu_resident(struct pb_file *pf, uint32_t vm_id, int resident)
{
	struct sim_vm *vm = sim_vm_get((struct sim_file *)pf, vm_id);
	int ret = 0;

	if (!vm)
		return -EINVAL;
	pthread_mutex_lock(&vm->op_lock);
	if (atomic_load(&vm->destroyed))
		ret = -EINVAL;
	else if (resident)
		ret = sim_mmu_take_slot(vm);
	else
		sim_mmu_drop_slot(vm);
	pthread_mutex_unlock(&vm->op_lock);
	sim_vm_put(vm);
	return ret;
}

int sim_gpu_stats(struct pb_file *pf, uint32_t vm_id, struct panbind_gpu_stats *ret_stats)
{
	struct sim_vm *vm = sim_vm_get((struct sim_file *)pf, vm_id);
	struct panbind_gpu_stats stats = {0};

	if (!vm)
		return -EINVAL;
	for (unsigned i = 0; i < SIM_PORTS; i++) {
		stats.loads += atomic_load_explicit(&vm->counters[i].loads, memory_order_relaxed);
		stats.stores += atomic_load_explicit(&vm->counters[i].stores, memory_order_relaxed);
		stats.stalls += atomic_load_explicit(&vm->counters[i].stalls, memory_order_relaxed);
		stats.faults += atomic_load_explicit(&vm->counters[i].faults, memory_order_relaxed);
	}
	stats.locks = atomic_load_explicit(&vm->locks, memory_order_relaxed);
	stats.unlocks = atomic_load_explicit(&vm->unlocks, memory_order_relaxed);
	stats.flushes = atomic_load_explicit(&vm->flushes, memory_order_relaxed);
	sim_vm_put(vm);
	*ret_stats = stats;
	return 0;
}

/* Which BO is behind an address of ours? */
static void fill_backing(struct sim_file *file, uint64_t host, struct pb_page *page)
{
	const struct sim_vma *v;

	pthread_mutex_lock(&file->device->lock);
	v = sim_vmas_find(&file->device->by_host, host);
	page->bo_handle = sim_handle_of(file, v->bo);
	page->bo_offset = host - v->start;
	page->object = (uintptr_t)v->bo;
	pthread_mutex_unlock(&file->device->lock);
}

static uint32_t map_flags(uint64_t pte)
{
	return (pte & SIM_PTE_READONLY ? PB_OP_READONLY : 0) | (pte & SIM_PTE_NOEXEC ? PB_OP_NOEXEC : 0) |
	       (pte & SIM_PTE_UNCACHED ? PB_OP_UNCACHED : 0);
}

int sim_gpu_next_page(struct pb_file *pf, uint32_t vm_id, uint64_t va, struct pb_page *ret_page)
{
	struct sim_file *file = (struct sim_file *)pf;
	struct sim_vm *vm = sim_vm_get(file, vm_id);
	struct sim_pt_page page;
	bool found;

	if (!vm)
		return -EINVAL;
	pthread_mutex_lock(&vm->op_lock);
	found = sim_pt_next(&vm->pt, va, &page);
	if (found) {
		*ret_page = (struct pb_page){.va = page.va,
					     .size = page.size,
					     .flags = map_flags(page.flags),
					     .dummy = !!(page.flags & SIM_PTE_DUMMY)};
		fill_backing(file, page.host, ret_page);
	}
	pthread_mutex_unlock(&vm->op_lock);
	sim_vm_put(vm);
	return found ? 0 : -ENOENT;
}

int sim_gpu_probe(struct pb_file *pf, pb_as_probe_fn *probe, void *data)
{
	struct sim_device *device = ((struct sim_file *)pf)->device;

	pthread_mutex_lock(&device->probe_lock);
	device->probe = (struct sim_probe){0};
	while (device->probe_calls)
		pthread_cond_wait(&device->probe_idle, &device->probe_lock);
	device->probe = (struct sim_probe){.fn = probe, .data = data};
	atomic_store(&device->probed, probe != NULL);
	pthread_mutex_unlock(&device->probe_lock);
	return 0;
}
