/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: the lock register, and the accesses that it holds up.
 *
 * A GPU access takes one of its file's ports, and writes into it which VM and which page it touches, before it looks
 * at anything else. A LOCK writes the region into the VM's lock register first and then looks at the ports. Both are
 * sequentially consistent, so one of the two sees the other: the access stalls, or LOCK waits until it has left. So
 * after LOCK nobody is in the region, and page tables there, and memory behind them, may change and go. The same wait,
 * with the whole VM as the region, makes it safe to free a VM or a table page.
 */
#ifndef SIM_MMU_H
#define SIM_MMU_H

#include "sim.h"

/* A port: bit 0 in use, bits 1 to 6 VM, bits 7 to 42 page, above a count that changes with each access. */
#define SIM_PORT_BUSY	    UINT64_C(1)
#define SIM_PORT_VM_SHIFT   1
#define SIM_PORT_PAGE_SHIFT 7
#define SIM_PORT_PAGE_MASK  ((UINT64_C(1) << 36) - 1)
#define SIM_PORT_SEQ_SHIFT  43

/** What the lock register holds for a range: a naturally aligned power of two of at least 32 KiB, and log2(size) - 1.
 */
static inline uint64_t sim_lock_pack(uint64_t start, uint64_t size)
{
	uint64_t differ = start ^ (start + size - 1);
	unsigned width = differ >> 15 ? 63 - (unsigned)__builtin_clzll(differ) : 14;

	return (start & ~((UINT64_C(2) << width) - 1)) | width;
}

static inline uint64_t sim_lock_size(uint64_t locked)
{
	return UINT64_C(2) << (locked & 63);
}

static inline uint64_t sim_lock_start(uint64_t locked)
{
	return locked & ~(sim_lock_size(locked) - 1);
}

static inline bool sim_lock_holds(uint64_t locked, uint64_t va)
{
	return locked && !((va ^ locked) & ~(sim_lock_size(locked) - 1));
}

/** Wait until the accesses to a VM's region that are in flight have ended. */
void sim_mmu_drain(struct sim_vm *vm, uint64_t locked);
/** The same for all of the VM. */
void sim_mmu_drain_all(struct sim_vm *vm);

/* AS commands; all need op_lock, and do nothing when the VM has no slot. */
void sim_mmu_lock(struct sim_vm *vm, uint64_t start, uint64_t size);
void sim_mmu_flush(struct sim_vm *vm, uint64_t start, uint64_t size);
void sim_mmu_unlock(struct sim_vm *vm);
/** FLUSH_PT or FLUSH_MEM: as flush, and the end of the lock. */
void sim_mmu_flush_unlock(struct sim_vm *vm, uint64_t start, uint64_t size);
/** As 6.12: LOCK the piece, FLUSH_PT. */
void sim_mmu_flush_piece(struct sim_vm *vm, uint64_t start, uint64_t size);

/** Tell the probe, if there is one. */
void sim_mmu_event(struct sim_vm *vm, enum pb_as_event_type type, uint64_t va, uint64_t size, int before);

/** Take a slot, 0 or -EBUSY; give it back. Both need op_lock. */
int sim_mmu_take_slot(struct sim_vm *vm);
void sim_mmu_drop_slot(struct sim_vm *vm);

#endif /* SIM_MMU_H */
