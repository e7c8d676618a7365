/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registers of a Mali CSF GPU (architecture 10), as far as a driver uses them.
 *
 * Written independently of any driver's header: an offset that is wrong there is found here. Offsets are bytes from the
 * start of the GPU's range. A 64-bit register is two 32-bit ones, the low half first.
 */
#ifndef MALISIM_REGS_H
#define MALISIM_REGS_H

#include <linux/bits.h>

#define GPU_RANGE 0x200000

/* GPU control: what it is */
#define REG_GPU_ID		      0x000
#define REG_L2_FEATURES		      0x004
#define REG_CORE_FEATURES	      0x008
#define REG_TILER_FEATURES	      0x00c
#define REG_MEM_FEATURES	      0x010
#define REG_MMU_FEATURES	      0x014
#define REG_AS_PRESENT		      0x018
#define REG_CSF_ID		      0x01c
#define REG_THREAD_MAX_THREADS	      0x0a0
#define REG_THREAD_MAX_WORKGROUP_SIZE 0x0a4
#define REG_THREAD_MAX_BARRIER_SIZE   0x0a8
#define REG_THREAD_FEATURES	      0x0ac
#define REG_TEXTURE_FEATURES_0	      0x0b0
#define REG_SHADER_PRESENT	      0x100
#define REG_TILER_PRESENT	      0x110
#define REG_L2_PRESENT		      0x120
#define REG_REVISION_ID		      0x280
#define REG_COHERENCY_FEATURES	      0x300
#define REG_COHERENCY_ENABLE	      0x304

/* GPU control: commands, time, power */
#define REG_GPU_COMMAND		   0x030
#define GPU_COMMAND_RESET	   1 /* low byte; the next byte tells soft from hard */
#define GPU_COMMAND_FLUSH_CACHES   4
#define GPU_COMMAND_KIND(v)	   ((v)&0xff)
#define FLUSH_CACHES_L2_INVALIDATE BIT(9) /* bit 1 of the payload's first field; bit 0 is "clean" */
#define REG_GPU_STATUS		   0x034
#define REG_CYCLE_COUNT		   0x090
#define REG_TIMESTAMP		   0x098
#define REG_SHADER_READY	   0x140
#define REG_TILER_READY		   0x150
#define REG_L2_READY		   0x160
#define REG_SHADER_PWRON	   0x180
#define REG_TILER_PWRON		   0x190
#define REG_L2_PWRON		   0x1a0
#define REG_SHADER_PWROFF	   0x1c0
#define REG_TILER_PWROFF	   0x1d0
#define REG_L2_PWROFF		   0x1e0

/* the microcontroller */
#define REG_MCU_CONTROL	  0x700
#define MCU_CONTROL_OFF	  0
#define REG_MCU_STATUS	  0x704
#define MCU_STATUS_OFF	  0
#define MCU_STATUS_RUNS	  1
#define MCU_STATUS_HALTED 2
#define MCU_STATUS_DEAD	  3

/* three interrupt blocks of the same shape */
#define REG_GPU_IRQ	    0x0020
#define REG_JOB_IRQ	    0x1000
#define REG_MMU_IRQ	    0x2000
#define IRQ_RAW		    0x0
#define IRQ_CLEAR	    0x4
#define IRQ_MASK	    0x8
#define IRQ_STATUS	    0xc
#define GPU_IRQ_RESET_DONE  BIT(8)
#define GPU_IRQ_CACHES_DONE BIT(17)
#define JOB_IRQ_GLOBAL	    BIT(31) /* bit n: group n */

/* address spaces */
#define REG_AS_BASE	0x2400
#define REG_AS_SIZE	0x40
#define AS_TRANSTAB	0x00
#define AS_MEMATTR	0x08
#define AS_LOCKADDR	0x10 /* block address | (log2 of its size - 1) */
#define AS_COMMAND	0x18
#define AS_FAULTSTATUS	0x1c /* 7:0 exception, 9:8 access, 31:16 source */
#define AS_FAULTADDRESS 0x20
#define AS_STATUS	0x28
#define AS_TRANSCFG	0x30
#define AS_FAULTEXTRA	0x38

#define AS_COMMAND_NOP	     0
#define AS_COMMAND_UPDATE    1
#define AS_COMMAND_LOCK	     2
#define AS_COMMAND_UNLOCK    3
#define AS_COMMAND_FLUSH_PT  4
#define AS_COMMAND_FLUSH_MEM 5
#define AS_COMMANDS	     6

#define AS_STATUS_ACTIVE   BIT(0)
#define LOCKADDR_WIDTH_MIN 14 /* 32 KiB */

#define TRANSCFG_MODE(v)	 ((v)&0xf)
#define TRANSCFG_MODE_UNMAPPED	 1
#define TRANSCFG_MODE_AARCH64_4K 6
#define TRANSCFG_INA_BITS(v)	 (((v) >> 6) & 0x1f) /* 55 minus the bits of a VA */

#define FAULT_TRANSLATION(level) (0xc0 + (level))
#define FAULT_PERMISSION(level)	 (0xc8 + (level))
#define FAULT_ADDRESS_IN	 0xe0
#define FAULT_ADDRESS_OUT(level) (0xe4 + (level))
#define FAULT_ACCESS_EXECUTE	 (1 << 8)
#define FAULT_ACCESS_READ	 (2 << 8)
#define FAULT_ACCESS_WRITE	 (3 << 8)

#define REG_LATEST_FLUSH_ID 0x10000
#define REG_DOORBELLS	    0x80000 /* one every 64 KiB: the first is the firmware's, the others belong to streams */

#endif
