// SPDX-License-Identifier: GPL-2.0
/* malisim: the GPU's range of registers, and those of them that stand for the GPU as a whole. */
#include "malisim.h"
#include <linux/logic_iomem.h>
#include <linux/of_address.h>
#include <linux/timekeeping.h>

/* A Mali-G610 as in a RK3588, with 8 address spaces, 48-bit VAs and 40-bit physical addresses. */
static const struct {
	u32 offset, value;
} identity[] = {
	{REG_GPU_ID, 0xa8670005},
	{REG_L2_FEATURES, 0x07120306},
	{REG_CORE_FEATURES, 0},
	{REG_TILER_FEATURES, 0x809},
	{REG_MEM_FEATURES, 0x301},
	{REG_MMU_FEATURES, 0x2830},
	{REG_AS_PRESENT, GENMASK(SIM_AS_COUNT - 1, 0)},
	{REG_CSF_ID, 0x040a0412},
	{REG_THREAD_MAX_THREADS, 0x800},
	{REG_THREAD_MAX_WORKGROUP_SIZE, 0x400},
	{REG_THREAD_MAX_BARRIER_SIZE, 0x400},
	{REG_THREAD_FEATURES, 0x04010000},
	{REG_TEXTURE_FEATURES_0, 0xc1ffff9e},
	{REG_SHADER_PRESENT, 0x50005},
	{REG_TILER_PRESENT, 1},
	{REG_L2_PRESENT, 1},
	{REG_REVISION_ID, 0},
	{REG_COHERENCY_FEATURES, 0},
};

static void reset(struct malisim *sim)
{
	sim_trace(sim, SIM_EV_GPU_RESET, 0, 0, 0, 0, 0);
	sim_count(sim, SIM_C_GPU_RESET);
	memset(sim->as, 0, sizeof(sim->as));
	if (sim->busy_reads == SIM_BUSY_FOREVER)
		sim->busy_reads = 0; /* nothing stays stuck through a reset */
	sim_lines_drop(sim);
	sim->shader_ready = sim->tiler_ready = sim->l2_ready = 0;
	sim->mcu_control = MCU_CONTROL_OFF;
	sim_fw_reset(sim);
	sim_irq_raise(sim, SIM_IRQ_GPU, GPU_IRQ_RESET_DONE);
}

static void command(struct malisim *sim, u32 value)
{
	switch (GPU_COMMAND_KIND(value)) {
	case GPU_COMMAND_RESET:
		reset(sim);
		break;
	case GPU_COMMAND_FLUSH_CACHES:
		sim->flush_id = (sim->flush_id + 1) & GENMASK(23, 0);
		if (value & FLUSH_CACHES_L2_INVALIDATE)
			sim_lines_drop(sim);
		sim_trace(sim, SIM_EV_GPU_FLUSH, 0, 0, value, 0, 0);
		sim_count(sim, SIM_C_GPU_FLUSH);
		sim_irq_raise(sim, SIM_IRQ_GPU, GPU_IRQ_CACHES_DONE);
		break;
	}
}

static void control_mcu(struct malisim *sim, u32 value)
{
	sim->mcu_control = value;
	if (value == MCU_CONTROL_OFF) {
		sim_fw_reset(sim);
	} else {
		sim->mcu_boots = true;
		sim_fw_kick(sim);
	}
}

static u32 read_other(struct malisim *sim, u32 offset)
{
	u64 now = ktime_get_mono_fast_ns();

	switch (offset) {
	case REG_SHADER_READY:
		return sim->shader_ready;
	case REG_TILER_READY:
		return sim->tiler_ready;
	case REG_L2_READY:
		return sim->l2_ready;
	case REG_MCU_CONTROL:
		return sim->mcu_control;
	case REG_MCU_STATUS:
		return sim->mcu_status;
	case REG_TIMESTAMP:
	case REG_CYCLE_COUNT:
		return now;
	case REG_TIMESTAMP + 4:
	case REG_CYCLE_COUNT + 4:
		return now >> 32;
	case REG_LATEST_FLUSH_ID:
		return sim->flush_id;
	}
	for (size_t i = 0; i < ARRAY_SIZE(identity); i++)
		if (identity[i].offset == offset)
			return identity[i].value;
	return 0;
}

static void write_other(struct malisim *sim, u32 offset, u32 value)
{
	switch (offset) {
	case REG_GPU_COMMAND:
		command(sim, value);
		break;
	case REG_SHADER_PWRON:
		sim->shader_ready |= value;
		break;
	case REG_TILER_PWRON:
		sim->tiler_ready |= value;
		break;
	case REG_L2_PWRON:
		sim->l2_ready |= value;
		break;
	case REG_SHADER_PWROFF:
		sim->shader_ready &= ~value;
		break;
	case REG_TILER_PWROFF:
		sim->tiler_ready &= ~value;
		break;
	case REG_L2_PWROFF:
		sim->l2_ready &= ~value;
		sim_lines_drop(sim);
		break;
	case REG_MCU_CONTROL:
		control_mcu(sim, value);
		break;
	default:
		if (offset >= REG_DOORBELLS)
			sim_fw_kick(sim);
	}
}

static int irq_block(u32 offset, enum sim_irq_line *ret_line)
{
	switch (offset & ~0xfu) {
	case REG_GPU_IRQ:
		*ret_line = SIM_IRQ_GPU;
		return 1;
	case REG_JOB_IRQ:
		*ret_line = SIM_IRQ_JOB;
		return 1;
	case REG_MMU_IRQ:
		*ret_line = SIM_IRQ_MMU;
		return 1;
	}
	return 0;
}

static bool is_as(u32 offset)
{
	return offset >= REG_AS_BASE && offset < REG_AS_BASE + SIM_AS_COUNT * REG_AS_SIZE;
}

static u32 read32(struct malisim *sim, u32 offset)
{
	enum sim_irq_line line;

	sim_count(sim, SIM_C_MMIO_READS);
	if (irq_block(offset, &line))
		return sim_irq_read(sim, line, offset & 0xf);
	if (is_as(offset))
		return sim_as_read(sim, (offset - REG_AS_BASE) / REG_AS_SIZE, (offset - REG_AS_BASE) % REG_AS_SIZE);
	return read_other(sim, offset);
}

void sim_mmio_write(struct malisim *sim, u32 offset, u32 value)
{
	enum sim_irq_line line;

	sim_count(sim, SIM_C_MMIO_WRITES);
	if (irq_block(offset, &line))
		sim_irq_write(sim, line, offset & 0xf, value);
	else if (is_as(offset))
		sim_as_write(sim, (offset - REG_AS_BASE) / REG_AS_SIZE, (offset - REG_AS_BASE) % REG_AS_SIZE, value);
	else
		write_other(sim, offset, value);
}

static unsigned long mmio_read(void *data, unsigned int offset, int size)
{
	struct malisim *sim = data;
	unsigned long flags;
	u64 value;

	spin_lock_irqsave(&sim->lock, flags);
	value = read32(sim, offset);
	if (size == 8)
		value |= (u64)read32(sim, offset + 4) << 32;
	spin_unlock_irqrestore(&sim->lock, flags);
	return value;
}

static void mmio_write(void *data, unsigned int offset, int size, unsigned long value)
{
	struct malisim *sim = data;
	unsigned long flags;

	spin_lock_irqsave(&sim->lock, flags);
	sim_mmio_write(sim, offset, value);
	if (size == 8)
		sim_mmio_write(sim, offset + 4, value >> 32);
	spin_unlock_irqrestore(&sim->lock, flags);
}

static const struct logic_iomem_ops iomem_ops = {.read = mmio_read, .write = mmio_write};
static struct malisim *the_sim;

/* The range is asked for once, and belongs to the one malisim there is. */
static long map_range(unsigned long offset, size_t size, const struct logic_iomem_ops **ret_ops, void **ret_data)
{
	if (offset + size > GPU_RANGE)
		return -EINVAL;
	*ret_ops = &iomem_ops;
	*ret_data = the_sim;
	return offset;
}

static const struct logic_iomem_region_ops region_ops = {.map = map_range};
static struct resource range = {.name = "malisim", .flags = IORESOURCE_MEM};

int sim_mmio_init(struct malisim *sim, struct device_node *gpu)
{
	struct resource found;
	int err = of_address_to_resource(gpu, 0, &found);

	if (err)
		return err;
	if (resource_size(&found) != GPU_RANGE)
		return -EINVAL;
	the_sim = sim;
	range.start = found.start;
	range.end = found.end;
	return logic_iomem_add_region(&range, &region_ops);
}
