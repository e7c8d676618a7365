// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: the firmware, a thread that boots when the microcontroller is switched on, answers requests, and lets groups
 * run. It holds the lock while it touches memory, so that it never sees the driver's memory after the driver has
 * switched it off.
 */
#include "malisim.h"
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/sched.h>

void sim_fw_kick(struct malisim *sim)
{
	lockdep_assert_held(&sim->lock);
	sim->fw_kicked = true;
	wake_up(&sim->fw_wait);
}

/* Off, at once: by MCU_CONTROL or a reset of the GPU. What groups were doing is lost. */
void sim_fw_reset(struct malisim *sim)
{
	sim->mcu_status = MCU_STATUS_OFF;
	sim->mcu_boots = false;
	memset(sim->groups, 0, sizeof(sim->groups));
}

static void boot(struct malisim *sim)
{
	u32 *control = sim_mcu_pointer(sim, GLOBAL_CONTROL), *output = sim_mcu_pointer(sim, GLOBAL_OUTPUT);

	sim->mcu_boots = false;
	if (!control || !output) {
		sim->mcu_status = MCU_STATUS_DEAD;
		return;
	}
	control[GC_VERSION / 4] = INTERFACE_VERSION;
	control[GC_FEATURES / 4] = 0;
	control[GC_INPUT_VA / 4] = GLOBAL_INPUT;
	control[GC_OUTPUT_VA / 4] = GLOBAL_OUTPUT;
	control[GC_GROUPS / 4] = GROUPS;
	control[GC_GROUP_STRIDE / 4] = GROUP_STRIDE;
	control[GC_PERFCNT_SIZE / 4] = 0;
	control[GC_INSTR_FEATURES / 4] = 0;
	memset(output, 0, 0x20);
	for (u32 g = 0; g < GROUPS; g++)
		sim_group_boot(sim, g);
	sim->mcu_status = MCU_STATUS_RUNS;
	sim_irq_raise(sim, SIM_IRQ_JOB, JOB_IRQ_GLOBAL);
}

static void requests(struct malisim *sim)
{
	u32 *input = sim_mcu_pointer(sim, GLOBAL_INPUT), *output = sim_mcu_pointer(sim, GLOBAL_OUTPUT);
	u32 req, changed;

	if (!input || !output)
		return;
	req = READ_ONCE(input[GI_REQ / 4]);
	changed = (req ^ output[GO_ACK / 4]) & GLOBAL_REQUESTS;
	if (changed) {
		WRITE_ONCE(output[GO_ACK / 4], output[GO_ACK / 4] ^ changed);
		if (changed & req & GLOBAL_HALT) {
			output[GO_HALT_STATUS / 4] = 0;
			sim->mcu_status = MCU_STATUS_HALTED;
			return;
		}
		if (changed & input[GI_ACK_IRQ_MASK / 4])
			sim_irq_raise(sim, SIM_IRQ_JOB, JOB_IRQ_GLOBAL);
	}
	WRITE_ONCE(output[GO_DOORBELL_ACK / 4], READ_ONCE(input[GI_DOORBELL_REQ / 4]));
	for (u32 g = 0; g < GROUPS; g++)
		sim_group_requests(sim, g);
}

/* One round; when jobs want another one, 0: when something happens. */
static u64 work(struct malisim *sim)
{
	u64 again_ns = 0;

	if (sim->mcu_boots)
		boot(sim);
	if (sim->mcu_status == MCU_STATUS_RUNS)
		requests(sim);
	for (u32 g = 0; g < GROUPS && sim->mcu_status == MCU_STATUS_RUNS; g++)
		again_ns = min_not_zero(again_ns, sim_group_run(sim, g));
	return again_ns;
}

static int run(void *data)
{
	struct malisim *sim = data;
	u64 again_ns = 0;

	for (;;) {
		if (again_ns)
			wait_event_interruptible_hrtimeout(sim->fw_wait, READ_ONCE(sim->fw_kicked),
							   ns_to_ktime(again_ns));
		else
			wait_event_interruptible(sim->fw_wait, READ_ONCE(sim->fw_kicked));
		spin_lock_irq(&sim->lock);
		sim->fw_kicked = false;
		again_ns = work(sim);
		spin_unlock_irq(&sim->lock);
		cond_resched();
	}
	return 0;
}

int sim_fw_init(struct malisim *sim)
{
	sim->fw_thread = kthread_run(run, sim, "malisim-fw");
	return PTR_ERR_OR_ZERO(sim->fw_thread);
}
