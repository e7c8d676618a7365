// SPDX-License-Identifier: GPL-2.0
/* malisim: the trace, a ring of events, and its text: "SEQ NSEC EVENT key=value ..." a line. */
#include "malisim.h"
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

const char *const sim_command_names[AS_COMMANDS] = {"NOP", "UPDATE", "LOCK", "UNLOCK", "FLUSH_PT", "FLUSH_MEM"};
const char *const sim_verdict_names[SIM_VERDICTS] = {"old", "new", "stall", "hole", "stale", "foreign"};

/* Of everything there is one byte too few: such a region's size is the largest number. */
u64 sim_region_size(u64 start, u64 last)
{
	return start > last ? 0 : last - start == U64_MAX ? U64_MAX : last - start + 1;
}

static struct sim_event *next_event(struct malisim *sim, enum sim_event_kind kind, u32 as)
{
	struct sim_event *event = &sim->events[sim->seq % SIM_EVENTS];

	lockdep_assert_held(&sim->lock);
	if (!sim->trace_on)
		return NULL;
	memset(event, 0, sizeof(*event));
	event->seq = sim->seq++;
	event->ns = ktime_get_mono_fast_ns();
	event->kind = kind;
	event->as = as;
	if (sim->seq - sim->first_seq > SIM_EVENTS)
		sim->first_seq = sim->seq - SIM_EVENTS;
	return event;
}

void sim_trace(struct malisim *sim, enum sim_event_kind kind, u32 as, u32 detail, u64 a, u64 b, u64 c)
{
	struct sim_event *event = next_event(sim, kind, as);

	if (!event)
		return;
	event->detail = detail;
	event->a = a;
	event->b = b;
	event->c = c;
}

/* @flags: bit 0 via walk, bits 2:1 when (before, after an event, check), above: log2 of the page's size, 0 without a
 * page */
void sim_trace_load(struct malisim *sim, u32 as, u32 verdict, u32 flags, u64 va, u64 value, u64 pa)
{
	struct sim_event *event = next_event(sim, SIM_EV_LOAD, as);

	if (!event)
		return;
	event->detail = verdict;
	event->flags = flags;
	event->a = va;
	event->b = value;
	event->c = pa;
}

void sim_trace_text(struct malisim *sim, enum sim_event_kind kind, u32 as, const char *format, ...)
{
	struct sim_event *event = next_event(sim, kind, as);
	va_list args;

	if (!event)
		return;
	va_start(args, format);
	vsnprintf(event->text, sizeof(event->text), format, args);
	va_end(args);
}

static void show(struct seq_file *m, const struct sim_event *event)
{
	static const char *const when[] = {"before", "after", "check", "?"};

	seq_printf(m, "%llu %llu ", event->seq, event->ns);
	switch (event->kind) {
	case SIM_EV_LOCKADDR:
		seq_printf(m, "LOCKADDR as=%u start=0x%llx size=0x%llx", event->as, event->a, event->b);
		break;
	case SIM_EV_COMMAND:
		seq_printf(m, "%s as=%u start=0x%llx size=0x%llx", sim_command_names[event->detail], event->as,
			   event->a, event->b);
		if (event->detail == AS_COMMAND_UPDATE)
			seq_printf(m, " transtab=0x%llx", event->c);
		break;
	case SIM_EV_DONE:
		seq_printf(m, "DONE as=%u command=%s", event->as, sim_command_names[event->detail]);
		break;
	case SIM_EV_LOAD:
		seq_printf(m, "LOAD as=%u va=0x%llx verdict=%s value=0x%llx via=%s when=%s", event->as, event->a,
			   sim_verdict_names[event->detail], event->b, event->flags & 1 ? "walk" : "tlb",
			   when[event->flags >> 1 & 3]);
		if (event->flags >> 3)
			seq_printf(m, " pa=0x%llx page=%lluK", event->c, BIT_ULL(event->flags >> 3) >> 10);
		break;
	case SIM_EV_FAULT:
		seq_printf(m, "FAULT as=%u va=0x%llx status=0x%llx", event->as, event->a, event->b);
		break;
	case SIM_EV_GPU_FLUSH:
		seq_printf(m, "GPU_FLUSH command=0x%llx", event->a);
		break;
	case SIM_EV_GPU_RESET:
		seq_puts(m, "GPU_RESET");
		break;
	case SIM_EV_JOB:
		seq_printf(m, "JOB as=%u %s", event->as, event->text);
		break;
	case SIM_EV_VIOLATION:
		seq_printf(m, "VIOLATION as=%u what=%s", event->as, event->text);
		break;
	case SIM_EV_NOTE:
		seq_printf(m, "NOTE %s", event->text);
		break;
	}
	seq_putc(m, '\n');
}

/* The position is an event's number plus one, so that what is dropped while somebody reads is only missing. */
static void *trace_from(struct malisim *sim, loff_t *pos)
{
	u64 seq = *pos ? *pos - 1 : 0;
	bool there;

	spin_lock_irq(&sim->lock);
	if (seq < sim->first_seq)
		seq = sim->first_seq;
	there = seq < sim->seq;
	spin_unlock_irq(&sim->lock);
	*pos = seq + 1;
	return there ? pos : NULL;
}

static void *trace_start(struct seq_file *m, loff_t *pos)
{
	return trace_from(m->private, pos);
}

static void *trace_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return trace_from(m->private, pos);
}

static void trace_stop(struct seq_file *m, void *v)
{
}

static int trace_show(struct seq_file *m, void *v)
{
	struct malisim *sim = m->private;
	u64 seq = *(loff_t *)v - 1;
	struct sim_event event;

	spin_lock_irq(&sim->lock);
	event = sim->events[seq % SIM_EVENTS];
	spin_unlock_irq(&sim->lock);
	if (event.seq != seq)
		return SEQ_SKIP;
	show(m, &event);
	return 0;
}

static const struct seq_operations trace_ops = {
	.start = trace_start,
	.next = trace_next,
	.stop = trace_stop,
	.show = trace_show,
};

static int trace_open(struct inode *inode, struct file *file)
{
	int err = seq_open(file, &trace_ops);

	if (!err)
		((struct seq_file *)file->private_data)->private = inode->i_private;
	return err;
}

static ssize_t trace_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	struct malisim *sim = file_inode(file)->i_private;
	char buf[64], *text;

	if (size >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, from, size))
		return -EFAULT;
	buf[size] = '\0';
	text = strim(buf);
	spin_lock_irq(&sim->lock);
	if (!strcmp(text, "on"))
		sim->trace_on = true;
	else if (!strcmp(text, "off"))
		sim->trace_on = false;
	else if (!strcmp(text, "clear"))
		sim->first_seq = sim->seq;
	else if (!strncmp(text, "note ", 5))
		sim_trace_text(sim, SIM_EV_NOTE, 0, "%s", text + 5);
	else
		size = -EINVAL;
	spin_unlock_irq(&sim->lock);
	return size;
}

const struct file_operations sim_trace_fops = {
	.open = trace_open,
	.read = seq_read,
	.write = trace_write,
	.llseek = seq_lseek,
	.release = seq_release,
};
