// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: address spaces, as their registers show them.
 *
 * LOCK takes the region in LOCKADDR: accesses inside of it wait. UNLOCK, FLUSH_PT and FLUSH_MEM drop what the TLB holds
 * of the region and end the lock; the FLUSHes also make the L2 cache forget the page tables. UPDATE brings TRANSTAB and
 * TRANSCFG into force and drops the whole TLB. A command takes effect when STATUS says that it is done and not before,
 * so that a driver that does not wait is found out ("busy" in debugfs). What no driver should ask for is done as far as
 * it can be, and traced as a VIOLATION.
 */
#include "malisim.h"

static void violation(struct malisim *sim, u32 n, const char *what)
{
	sim_count(sim, SIM_C_VIOLATIONS);
	sim_trace_text(sim, SIM_EV_VIOLATION, n, "%s", what);
}

static void decode_lockaddr(u64 lockaddr, u64 *ret_start, u64 *ret_last)
{
	u32 width = (lockaddr & 0x3f) + 1;
	u64 low = width >= 64 ? U64_MAX : BIT_ULL(width) - 1;

	*ret_start = lockaddr & ~low & GENMASK_ULL(63, 12);
	*ret_last = *ret_start | low;
}

static void lock(struct malisim *sim, u32 n)
{
	struct sim_as *as = &sim->as[n];

	if (as->locked)
		violation(sim, n, "LOCK replaces a lock");
	if ((as->lockaddr & 0x3f) < LOCKADDR_WIDTH_MIN)
		violation(sim, n, "LOCK of less than 32 KiB");
	decode_lockaddr(as->lockaddr, &as->lock_start, &as->lock_last);
	as->locked = true;
}

/* The end of UNLOCK and of both FLUSHes. */
static void unlock(struct malisim *sim, u32 n, bool flush)
{
	struct sim_as *as = &sim->as[n];

	if (flush)
		sim_lines_drop(sim);
	if (!as->locked)
		return;
	sim_tlb_drop(as, as->lock_start, as->lock_last);
	as->locked = false;
	sim_probe_flushed(sim, n, as->lock_start, as->lock_last);
	sim_fw_kick(sim); /* jobs that waited */
}

static void update(struct malisim *sim, u32 n)
{
	struct sim_as *as = &sim->as[n];

	if (as->locked)
		violation(sim, n, "UPDATE while locked");
	as->transtab_now = as->transtab;
	as->transcfg_now = as->transcfg;
	sim_tlb_drop(as, 0, U64_MAX);
	sim_fw_kick(sim);
}

static void finish(struct malisim *sim, u32 n)
{
	struct sim_as *as = &sim->as[n];

	switch (as->command) {
	case AS_COMMAND_UPDATE:
		update(sim, n);
		break;
	case AS_COMMAND_LOCK:
		lock(sim, n);
		break;
	case AS_COMMAND_UNLOCK:
		unlock(sim, n, false);
		break;
	case AS_COMMAND_FLUSH_PT:
	case AS_COMMAND_FLUSH_MEM:
		unlock(sim, n, true);
		break;
	}
	as->busy = false;
	sim_jobs_at_event(sim);
	sim_probe_event(sim, true);
}

static bool command_ends_lock(u32 command)
{
	return command == AS_COMMAND_UNLOCK || command == AS_COMMAND_FLUSH_PT || command == AS_COMMAND_FLUSH_MEM;
}

static u32 busy_reads(struct malisim *sim, u32 n)
{
	if (n == SIM_AS_FIRMWARE)
		return 0;
	return sim->busy_as < 0 || sim->busy_as == (int)n ? sim->busy_reads : 0;
}

static void command(struct malisim *sim, u32 n, u32 value)
{
	struct sim_as *as = &sim->as[n];
	u64 start = as->lock_start, last = as->lock_last;

	if (value >= AS_COMMANDS) {
		violation(sim, n, "unknown command");
		return;
	}
	sim_count(sim, SIM_C_COMMANDS + value);
	if (value == AS_COMMAND_NOP)
		return;
	if (as->busy) {
		/* the one before it is lost, as its end will never be seen */
		violation(sim, n, "command while busy");
		as->busy = false;
	}
	if (value == AS_COMMAND_LOCK)
		decode_lockaddr(as->lockaddr, &start, &last);
	else if (!as->locked)
		start = 1, last = 0; /* none: a size of 0 */
	sim_trace(sim, SIM_EV_COMMAND, n, value, start > last ? 0 : start, sim_region_size(start, last),
		  value == AS_COMMAND_UPDATE ? as->transtab : 0);
	if (command_ends_lock(value) && !as->locked)
		violation(sim, n, value == AS_COMMAND_UNLOCK ? "UNLOCK without a lock" : "FLUSH without a lock");
	sim_jobs_at_event(sim);
	sim_probe_event(sim, false);
	as->command = value;
	as->busy = true;
	as->reads_left = busy_reads(sim, n);
	if (!as->reads_left)
		finish(sim, n);
}

static u32 status(struct malisim *sim, u32 n)
{
	struct sim_as *as = &sim->as[n];

	if (!as->busy)
		return 0;
	if (as->reads_left == SIM_BUSY_FOREVER) {
		if (busy_reads(sim, n) == SIM_BUSY_FOREVER)
			return AS_STATUS_ACTIVE;
		as->reads_left = 1; /* let go from outside */
	}
	if (--as->reads_left)
		return AS_STATUS_ACTIVE;
	sim_trace(sim, SIM_EV_DONE, n, as->command, 0, 0, 0);
	finish(sim, n);
	return 0;
}

static void set_low(u64 *word, u32 value)
{
	*word = (*word & GENMASK_ULL(63, 32)) | value;
}

static void set_high(u64 *word, u32 value)
{
	*word = (u64)value << 32 | (u32)*word;
}

static void lockaddr_written(struct malisim *sim, u32 n)
{
	u64 start, last;

	decode_lockaddr(sim->as[n].lockaddr, &start, &last);
	sim_count(sim, SIM_C_LOCKADDR);
	sim_trace(sim, SIM_EV_LOCKADDR, n, 0, start, sim_region_size(start, last), 0);
	sim_jobs_at_event(sim);
	sim_probe_event(sim, true);
}

void sim_as_write(struct malisim *sim, u32 n, u32 offset, u32 value)
{
	struct sim_as *as = &sim->as[n];

	switch (offset) {
	case AS_TRANSTAB:
		set_low(&as->transtab, value);
		break;
	case AS_TRANSTAB + 4:
		set_high(&as->transtab, value);
		break;
	case AS_MEMATTR:
		set_low(&as->memattr, value);
		break;
	case AS_MEMATTR + 4:
		set_high(&as->memattr, value);
		break;
	case AS_LOCKADDR:
		set_low(&as->lockaddr, value);
		break;
	case AS_LOCKADDR + 4: /* drivers write this half last */
		set_high(&as->lockaddr, value);
		lockaddr_written(sim, n);
		break;
	case AS_COMMAND:
		command(sim, n, value);
		break;
	case AS_TRANSCFG:
		set_low(&as->transcfg, value);
		break;
	case AS_TRANSCFG + 4:
		set_high(&as->transcfg, value);
		break;
	}
}

u32 sim_as_read(struct malisim *sim, u32 n, u32 offset)
{
	struct sim_as *as = &sim->as[n];

	switch (offset) {
	case AS_TRANSTAB:
		return as->transtab;
	case AS_TRANSTAB + 4:
		return as->transtab >> 32;
	case AS_MEMATTR:
		return as->memattr;
	case AS_MEMATTR + 4:
		return as->memattr >> 32;
	case AS_LOCKADDR:
		return as->lockaddr;
	case AS_LOCKADDR + 4:
		return as->lockaddr >> 32;
	case AS_FAULTSTATUS:
		return as->faultstatus;
	case AS_FAULTADDRESS:
		return as->faultaddress;
	case AS_FAULTADDRESS + 4:
		return as->faultaddress >> 32;
	case AS_STATUS:
		return status(sim, n);
	case AS_TRANSCFG:
		return as->transcfg;
	case AS_TRANSCFG + 4:
		return as->transcfg >> 32;
	}
	return 0;
}

/* The registers keep the first fault until its interrupt has been cleared. */
void sim_as_fault(struct malisim *sim, u32 n, u64 va, u32 status)
{
	sim_count(sim, SIM_C_FAULTS);
	sim_trace(sim, SIM_EV_FAULT, n, 0, va, status, 0);
	if (!(sim->irq_raw[SIM_IRQ_MMU] & BIT(n))) {
		sim->as[n].faultstatus = status;
		sim->as[n].faultaddress = va;
	}
	sim_irq_raise(sim, SIM_IRQ_MMU, BIT(n));
}
