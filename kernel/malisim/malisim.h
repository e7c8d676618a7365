/* SPDX-License-Identifier: GPL-2.0 */
/*
 * malisim: an emulated Mali CSF GPU for User-Mode Linux.
 *
 * A driver's register accesses arrive in mmio.c, in whatever context the driver is in. The firmware and the jobs run in
 * one thread (fw.c), interrupts leave through another (irq.c). Everything below, and every access to the driver's
 * memory, is under one spinlock: what a job or a probe sees is what the GPU would see between two register accesses.
 */
#ifndef MALISIM_H
#define MALISIM_H

#include "fwif.h"
#include "regs.h"
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#define SIM_AS_COUNT	 8
#define SIM_AS_FIRMWARE	 0 /* the firmware's; all others belong to user VMs */
#define SIM_TLB_ENTRIES	 128
#define SIM_LINES	 512 /* of 64 bytes: what the L2 cache holds of page tables */
#define SIM_PROBES	 64
#define SIM_EVENTS	 (1 << 17)
#define SIM_BUSY_FOREVER U32_MAX

struct device_node;
struct seq_file;
struct task_struct;

enum sim_irq_line { SIM_IRQ_JOB, SIM_IRQ_MMU, SIM_IRQ_GPU, SIM_IRQ_LINES };

struct sim_tlb_entry {
	bool valid;
	u8 shift; /* log2 of what it covers */
	u64 va, pte;
};

struct sim_as {
	/* as written; TRANSTAB and TRANSCFG come into force with UPDATE */
	u64 transtab, memattr, lockaddr, transcfg;
	u64 transtab_now, transcfg_now;
	u32 faultstatus;
	u64 faultaddress;

	bool locked;
	u64 lock_start, lock_last; /* inclusive */

	bool busy;		 /* @command is not done yet */
	u32 command, reads_left; /* reads of STATUS until it is */

	struct sim_tlb_entry tlb[SIM_TLB_ENTRIES];
	u32 tlb_next;
};

struct sim_line {
	u64 tag; /* physical address | 1; 0: empty */
	u64 words[8];
};

/* How a stream stands. It continues in the same or another slot after a suspension, so it must fit in the suspend
 * buffer. */
struct sim_stream {
	u32 regs[REGISTERS];
	u64 run_left_ns;  /* of a RUN that was suspended or is running */
	u64 run_since_ns; /* 0: it does not run */
	u64 again_ns;	  /* when to look at it again */
	u32 call_offset;  /* bytes into the stream that the ring buffer's CALL runs */
	bool polls;	  /* waits in a POLL for what is at @poll_va */
	u64 poll_va;
	bool wedged;	/* stopped by a fault until the group is terminated */
	bool signalled; /* a SYNC_ADD64 has not been told to the host */
};

struct sim_group {
	bool running;
	bool told_idle;
	u32 as;
	struct sim_stream streams[STREAMS];
};

enum sim_event_kind {
	SIM_EV_LOCKADDR,
	SIM_EV_COMMAND, /* detail: which */
	SIM_EV_DONE,	/* the end of a command that was busy */
	SIM_EV_LOAD,
	SIM_EV_FAULT,
	SIM_EV_GPU_FLUSH,
	SIM_EV_GPU_RESET,
	SIM_EV_JOB,
	SIM_EV_VIOLATION,
	SIM_EV_NOTE,
};

struct sim_event {
	u64 seq, ns;
	u8 kind, as, detail, flags;
	union {
		struct {
			u64 a, b, c;
		};
		char text[40];
	};
};

enum sim_verdict { SIM_OLD, SIM_NEW, SIM_STALL, SIM_HOLE, SIM_STALE, SIM_FOREIGN, SIM_VERDICTS };

struct sim_expect {
	enum { SIM_VALUE, SIM_NOTHING, SIM_ANY } kind;
	u64 value;
};

struct sim_probe {
	u64 va;
	struct sim_expect before, after;
};

enum sim_counter {
	SIM_C_MMIO_READS,
	SIM_C_MMIO_WRITES,
	SIM_C_IRQS,
	SIM_C_LOCKADDR,
	SIM_C_COMMANDS, /* one for each AS command */
	SIM_C_GPU_FLUSH = SIM_C_COMMANDS + AS_COMMANDS,
	SIM_C_GPU_RESET,
	SIM_C_FAULTS,
	SIM_C_VIOLATIONS,
	SIM_C_TLB_HITS,
	SIM_C_TLB_MISSES,
	SIM_C_STALLS,
	SIM_C_JOBS,
	SIM_C_LOADS, /* of probes, one for each verdict */
	SIM_C_COUNT = SIM_C_LOADS + SIM_VERDICTS,
};

struct malisim {
	spinlock_t lock; /* all that follows */

	u32 irq_raw[SIM_IRQ_LINES], irq_mask[SIM_IRQ_LINES];
	u32 irq_pending;
	int virq[SIM_IRQ_LINES];
	struct task_struct *irq_thread, *fw_thread;
	wait_queue_head_t fw_wait;
	bool fw_kicked;

	u64 shader_ready, tiler_ready, l2_ready;
	u32 mcu_control, mcu_status;
	bool mcu_boots;
	u32 flush_id;

	struct sim_as as[SIM_AS_COUNT];
	struct sim_line lines[SIM_LINES];
	u32 busy_reads;
	int busy_as; /* -1: every user AS */

	struct sim_group groups[GROUPS];

	bool trace_on;
	struct sim_event *events; /* a ring */
	u64 seq, first_seq;	  /* of the next event, of the oldest kept */
	struct sim_probe probes[SIM_PROBES];
	u32 probe_count;
	u64 counters[SIM_C_COUNT];
};

/* irq.c */
int sim_irq_init(struct malisim *sim, struct device_node *node);
void sim_irq_raise(struct malisim *sim, enum sim_irq_line line, u32 bits);
u32 sim_irq_read(struct malisim *sim, enum sim_irq_line line, u32 offset);
void sim_irq_write(struct malisim *sim, enum sim_irq_line line, u32 offset, u32 value);

/* mmio.c */
int sim_mmio_init(struct malisim *sim, struct device_node *gpu);
void sim_mmio_write(struct malisim *sim, u32 offset, u32 value);

/* as.c */
u32 sim_as_read(struct malisim *sim, u32 n, u32 offset);
void sim_as_write(struct malisim *sim, u32 n, u32 offset, u32 value);
void sim_as_fault(struct malisim *sim, u32 n, u64 va, u32 status);

/* mmu.c: one access of the GPU */
enum sim_result { SIM_OK, SIM_WAIT, SIM_FAULT, SIM_OFF };
enum sim_via { SIM_VIA_TLB, SIM_VIA_WALK }; /* a core that was there before; one that starts with nothing cached */

struct sim_translation {
	u64 *at;    /* SIM_OK: the memory */
	u64 pa;	    /* SIM_OK: where that is */
	u32 shift;  /* SIM_OK: log2 of the size of its page or block */
	u32 status; /* SIM_FAULT: for FAULTSTATUS, with the kind of access */
	bool stale; /* the TLB said so, and the page tables say otherwise */
};

enum sim_result sim_translate(struct malisim *sim, u32 as, u64 va, u32 access, enum sim_via via,
			      struct sim_translation *ret);
void *sim_mcu_pointer(struct malisim *sim, u32 va);
int sim_swap_pages(struct malisim *sim, u32 as, u64 va, u64 other);
void sim_tlb_drop(struct sim_as *as, u64 first, u64 last);
void sim_lines_drop(struct malisim *sim);

/* tables.c */
int sim_tables_show(struct seq_file *m, void *v);

/* fw.c, group.c, job.c */
int sim_fw_init(struct malisim *sim);
void sim_fw_kick(struct malisim *sim);
void sim_fw_reset(struct malisim *sim);
void sim_group_boot(struct malisim *sim, u32 g);
void sim_group_requests(struct malisim *sim, u32 g);
u64 sim_group_run(struct malisim *sim, u32 g);
u64 sim_stream_run(struct malisim *sim, u32 g, u32 s);
bool sim_stream_has_work(struct malisim *sim, u32 g, u32 s);
void sim_jobs_at_event(struct malisim *sim);
void sim_tell_event(u32 *ack, const u32 *req, u32 bit);

/* trace.c */
extern const char *const sim_command_names[AS_COMMANDS];
extern const char *const sim_verdict_names[SIM_VERDICTS];
void sim_trace(struct malisim *sim, enum sim_event_kind kind, u32 as, u32 detail, u64 a, u64 b, u64 c);
void sim_trace_load(struct malisim *sim, u32 as, u32 verdict, u32 flags, u64 va, u64 value, u64 pa);
void sim_trace_text(struct malisim *sim, enum sim_event_kind kind, u32 as, const char *format, ...) __printf(4, 5);
extern const struct file_operations sim_trace_fops;
u64 sim_region_size(u64 start, u64 last);

/* probe.c */
void sim_probe_event(struct malisim *sim, bool after);
void sim_probe_flushed(struct malisim *sim, u32 n, u64 start, u64 last);
void sim_probe_check(struct malisim *sim);
int sim_probe_command(struct malisim *sim, char *text);

/* provoke.c */
int sim_provoke(const char *what);

/* debugfs.c */
void sim_debugfs_init(struct malisim *sim);

static inline void sim_count(struct malisim *sim, u32 counter)
{
	sim->counters[counter]++;
}

#endif
