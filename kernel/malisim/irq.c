// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: three interrupt lines. They are levels: a line is up while a raw bit is unmasked, and the handler is called
 * again when a write leaves or makes it so. Handlers run from a thread, because the driver may be in one of its locks
 * when it writes.
 */
#include "malisim.h"
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/kthread.h>
#include <linux/of.h>
#include <linux/sched.h>

/* User-Mode Linux numbers its own interrupts from the bottom, and has 64. */
#define FIRST_VIRQ 48

static void evaluate(struct malisim *sim, enum sim_irq_line line)
{
	lockdep_assert_held(&sim->lock);
	if (sim->irq_raw[line] & sim->irq_mask[line]) {
		sim->irq_pending |= BIT(line);
		wake_up_process(sim->irq_thread);
	}
}

void sim_irq_raise(struct malisim *sim, enum sim_irq_line line, u32 bits)
{
	sim->irq_raw[line] |= bits;
	evaluate(sim, line);
}

u32 sim_irq_read(struct malisim *sim, enum sim_irq_line line, u32 offset)
{
	switch (offset) {
	case IRQ_RAW:
		return sim->irq_raw[line];
	case IRQ_MASK:
		return sim->irq_mask[line];
	case IRQ_STATUS:
		return sim->irq_raw[line] & sim->irq_mask[line];
	}
	return 0;
}

void sim_irq_write(struct malisim *sim, enum sim_irq_line line, u32 offset, u32 value)
{
	switch (offset) {
	case IRQ_RAW: /* hardware lets software raise one */
		sim->irq_raw[line] |= value;
		break;
	case IRQ_CLEAR:
		sim->irq_raw[line] &= ~value;
		break;
	case IRQ_MASK:
		sim->irq_mask[line] = value;
		break;
	}
	evaluate(sim, line);
}

/* The lines that are still up; what was lowered meanwhile is forgotten. */
static u32 take_pending(struct malisim *sim)
{
	u32 lines = 0;

	spin_lock_irq(&sim->lock);
	for (u32 line = 0; line < SIM_IRQ_LINES; line++)
		if (sim->irq_pending & BIT(line) && sim->irq_raw[line] & sim->irq_mask[line])
			lines |= BIT(line);
	sim->irq_pending = 0;
	spin_unlock_irq(&sim->lock);
	return lines;
}

static int deliver(void *data)
{
	struct malisim *sim = data;

	for (;;) {
		u32 lines;

		set_current_state(TASK_INTERRUPTIBLE);
		lines = take_pending(sim);
		if (!lines) {
			schedule();
			continue;
		}
		__set_current_state(TASK_RUNNING);
		for (u32 line = 0; line < SIM_IRQ_LINES; line++) {
			if (!(lines & BIT(line)))
				continue;
			spin_lock_irq(&sim->lock);
			sim_count(sim, SIM_C_IRQS);
			spin_unlock_irq(&sim->lock);
			generic_handle_irq_safe(sim->virq[line]);
		}
	}
	return 0;
}

static int map(struct irq_domain *domain, unsigned int virq, irq_hw_number_t hwirq)
{
	struct malisim *sim = domain->host_data;

	irq_set_chip_and_handler(virq, &dummy_irq_chip, handle_simple_irq);
	irq_set_noprobe(virq);
	if (hwirq < SIM_IRQ_LINES)
		sim->virq[hwirq] = virq;
	return 0;
}

static const struct irq_domain_ops domain_ops = {.map = map, .xlate = irq_domain_xlate_onecell};

int sim_irq_init(struct malisim *sim, struct device_node *node)
{
	sim->irq_thread = kthread_create(deliver, sim, "malisim-irq");
	if (IS_ERR(sim->irq_thread))
		return PTR_ERR(sim->irq_thread);
	if (!irq_domain_create_legacy(of_fwnode_handle(node), SIM_IRQ_LINES, FIRST_VIRQ, 0, &domain_ops, sim)) {
		kthread_stop(sim->irq_thread);
		return -ENOMEM;
	}
	sched_set_fifo(sim->irq_thread);
	wake_up_process(sim->irq_thread);
	return 0;
}
