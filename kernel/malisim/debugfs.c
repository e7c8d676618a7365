// SPDX-License-Identifier: GPL-2.0
/* malisim: /sys/kernel/debug/malisim/. The trace's file is in trace.c. */
#include "malisim.h"
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

static const char *const counter_names[SIM_C_COUNT] = {
	[SIM_C_MMIO_READS] = "mmio_reads",
	[SIM_C_MMIO_WRITES] = "mmio_writes",
	[SIM_C_IRQS] = "irqs",
	[SIM_C_LOCKADDR] = "lockaddr",
	[SIM_C_COMMANDS + AS_COMMAND_NOP] = "nop",
	[SIM_C_COMMANDS + AS_COMMAND_UPDATE] = "update",
	[SIM_C_COMMANDS + AS_COMMAND_LOCK] = "lock",
	[SIM_C_COMMANDS + AS_COMMAND_UNLOCK] = "unlock",
	[SIM_C_COMMANDS + AS_COMMAND_FLUSH_PT] = "flush_pt",
	[SIM_C_COMMANDS + AS_COMMAND_FLUSH_MEM] = "flush_mem",
	[SIM_C_GPU_FLUSH] = "gpu_flush",
	[SIM_C_GPU_RESET] = "gpu_reset",
	[SIM_C_FAULTS] = "faults",
	[SIM_C_VIOLATIONS] = "violations",
	[SIM_C_TLB_HITS] = "tlb_hits",
	[SIM_C_TLB_MISSES] = "tlb_misses",
	[SIM_C_STALLS] = "stalls",
	[SIM_C_JOBS] = "jobs",
	[SIM_C_LOADS + SIM_OLD] = "load_old",
	[SIM_C_LOADS + SIM_NEW] = "load_new",
	[SIM_C_LOADS + SIM_STALL] = "load_stall",
	[SIM_C_LOADS + SIM_HOLE] = "load_hole",
	[SIM_C_LOADS + SIM_STALE] = "load_stale",
	[SIM_C_LOADS + SIM_FOREIGN] = "load_foreign",
};

static int stats_show(struct seq_file *m, void *v)
{
	struct malisim *sim = m->private;
	u64 counters[SIM_C_COUNT];

	spin_lock_irq(&sim->lock);
	memcpy(counters, sim->counters, sizeof(counters));
	spin_unlock_irq(&sim->lock);
	for (u32 i = 0; i < SIM_C_COUNT; i++)
		seq_printf(m, "%s %llu\n", counter_names[i], counters[i]);
	return 0;
}

static void stats_clear(struct malisim *sim)
{
	memset(sim->counters, 0, sizeof(sim->counters));
}

static int busy_show(struct seq_file *m, void *v)
{
	struct malisim *sim = m->private;

	if (sim->busy_reads == SIM_BUSY_FOREVER)
		seq_puts(m, "stuck");
	else
		seq_printf(m, "%u", sim->busy_reads);
	if (sim->busy_as >= 0)
		seq_printf(m, " %d", sim->busy_as);
	seq_putc(m, '\n');
	return 0;
}

/* "N" or "stuck" (until the GPU is reset), and an address space if it is not for all of user VMs */
static int busy_set(struct malisim *sim, char *text)
{
	char *word = strsep(&text, " ");
	u32 reads = SIM_BUSY_FOREVER, as = 0;

	if (strcmp(word, "stuck") && (kstrtou32(word, 10, &reads) || reads == SIM_BUSY_FOREVER))
		return -EINVAL;
	if (text && (kstrtou32(text, 10, &as) || as == SIM_AS_FIRMWARE || as >= SIM_AS_COUNT))
		return -EINVAL;
	sim->busy_reads = reads;
	sim->busy_as = text ? (int)as : -1;
	return 0;
}

static void show_as(struct seq_file *m, u32 n, const struct sim_as *as)
{
	u32 cached = 0;

	for (u32 i = 0; i < SIM_TLB_ENTRIES; i++)
		cached += as->tlb[i].valid;
	seq_printf(m, "as %u mode %llu transtab 0x%llx tlb %u", n, TRANSCFG_MODE(as->transcfg_now), as->transtab_now,
		   cached);
	if (as->locked)
		seq_printf(m, " locked 0x%llx 0x%llx", as->lock_start, sim_region_size(as->lock_start, as->lock_last));
	if (as->busy)
		seq_printf(m, " busy %s", sim_command_names[as->command]);
	seq_putc(m, '\n');
}

static void show_group(struct seq_file *m, u32 g, const struct sim_group *group)
{
	seq_printf(m, "group %u as %u%s", g, group->as, group->told_idle ? " idle" : "");
	for (u32 s = 0; s < STREAMS; s++)
		if (group->streams[s].polls)
			seq_printf(m, " polls 0x%llx", group->streams[s].poll_va);
	seq_putc(m, '\n');
}

static int state_show(struct seq_file *m, void *v)
{
	struct malisim *sim = m->private;

	spin_lock_irq(&sim->lock);
	seq_printf(m, "mcu %u\n", sim->mcu_status);
	for (u32 n = 0; n < SIM_AS_COUNT; n++)
		if (TRANSCFG_MODE(sim->as[n].transcfg_now) == TRANSCFG_MODE_AARCH64_4K)
			show_as(m, n, &sim->as[n]);
	for (u32 g = 0; g < GROUPS; g++)
		if (sim->groups[g].running)
			show_group(m, g, &sim->groups[g]);
	spin_unlock_irq(&sim->lock);
	return 0;
}

static int probe_show(struct seq_file *m, void *v)
{
	struct malisim *sim = m->private;

	for (u32 i = 0; i < READ_ONCE(sim->probe_count); i++)
		seq_printf(m, "0x%llx\n", sim->probes[i].va);
	return 0;
}

static int stats_command(struct malisim *sim, char *text)
{
	if (strcmp(text, "clear"))
		return -EINVAL;
	stats_clear(sim);
	return 0;
}

/* "OFFSET VALUE", hex: write a register, as a driver would */
static int reg_write(struct malisim *sim, char *text)
{
	char *word = strsep(&text, " ");
	u32 offset, value;

	if (!text || kstrtou32(word, 16, &offset) || kstrtou32(text, 16, &value) || offset >= GPU_RANGE || offset % 4)
		return -EINVAL;
	sim_mmio_write(sim, offset, value);
	return 0;
}

/* "AS VA VA": exchange what they are mapped to */
static int swap_pages(struct malisim *sim, char *text)
{
	char *as = strsep(&text, " "), *va = strsep(&text, " ");
	u64 one, two;
	u32 n;

	if (!text || kstrtou32(as, 10, &n) || n >= SIM_AS_COUNT || kstrtou64(va, 16, &one) || kstrtou64(text, 16, &two))
		return -EINVAL;
	return sim_swap_pages(sim, n, one, two);
}

static int no_command(struct malisim *sim, char *text)
{
	return -EINVAL;
}

static int nothing_show(struct seq_file *m, void *v)
{
	return 0;
}

/* All files but the trace are a text to read and commands, a line each, to write. No command: sim_provoke(). */
static const struct sim_file {
	const char *name;
	int (*show)(struct seq_file *m, void *v);
	int (*command)(struct malisim *sim, char *text);
} files[] = {
	{"stats", stats_show, stats_command},	  {"busy", busy_show, busy_set},
	{"probe", probe_show, sim_probe_command}, {"state", state_show, no_command},
	{"reg", nothing_show, reg_write},	  {"swap", nothing_show, swap_pages},
	{"tables", sim_tables_show, no_command},  {"provoke", nothing_show, NULL}, /* a line each for sim_provoke() */
};

static struct malisim *the_sim;

static int file_open(struct inode *inode, struct file *file)
{
	const struct sim_file *what = inode->i_private;

	return single_open(file, what->show, the_sim);
}

static ssize_t file_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	const struct sim_file *what = file_inode(file)->i_private;
	char *buf, *rest, *line;
	int err = 0;

	if (size > PAGE_SIZE)
		return -EINVAL;
	buf = memdup_user_nul(from, size);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	rest = buf;
	while (!err && (line = strsep(&rest, "\n"))) {
		line = strim(line);
		if (!*line)
			continue;
		if (!what->command) {
			err = sim_provoke(line);
			continue;
		}
		spin_lock_irq(&the_sim->lock);
		err = what->command(the_sim, line);
		spin_unlock_irq(&the_sim->lock);
	}
	kfree(buf);
	return err ?: (ssize_t)size;
}

static const struct file_operations file_fops = {
	.open = file_open,
	.read = seq_read,
	.write = file_write,
	.llseek = seq_lseek,
	.release = single_release,
};

void sim_debugfs_init(struct malisim *sim)
{
	struct dentry *dir = debugfs_create_dir("malisim", NULL);

	the_sim = sim;
	debugfs_create_file("trace", 0600, dir, sim, &sim_trace_fops);
	for (u32 i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_file(files[i].name, 0600, dir, (void *)&files[i], &file_fops);
}
