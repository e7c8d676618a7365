// SPDX-License-Identifier: GPL-2.0
/* malisim: what streams do. The driver's ring buffer CALLs the job's own instructions (job.h). */
#include "job.h"
#include "malisim.h"
#include <linux/timekeeping.h>

#define BUDGET	256		      /* instructions of a stream before others get the lock */
#define POLL_NS (200 * NSEC_PER_USEC) /* between two looks of a job that polls or waits for a lock */

enum step { STEP_DONE, STEP_AGAIN, STEP_STOP };

struct place {
	struct malisim *sim;
	u32 g, s, as;
	struct sim_stream *stream;
};

struct ring {
	u64 base, size;
	u64 *insert, *extract;
};

static bool find_ring(struct malisim *sim, u32 g, u32 s, struct ring *ret)
{
	u32 *input = sim_mcu_pointer(sim, STREAM_INPUT(g, s)), *output = sim_mcu_pointer(sim, STREAM_OUTPUT(g, s));

	if (!input || !output || (output[SO_ACK / 4] & STREAM_STATE) != STREAM_STARTED)
		return false;
	ret->base = *(u64 *)&input[SI_RING_BASE / 4];
	ret->size = input[SI_RING_SIZE / 4];
	ret->insert = sim_mcu_pointer(sim, input[SI_RING_INPUT / 4] + RI_INSERT);
	ret->extract = sim_mcu_pointer(sim, input[SI_RING_OUTPUT / 4] + RO_EXTRACT);
	return ret->insert && ret->extract && ret->size;
}

bool sim_stream_has_work(struct malisim *sim, u32 g, u32 s)
{
	struct ring ring;

	return !sim->groups[g].streams[s].wedged && find_ring(sim, g, s, &ring) &&
	       READ_ONCE(*ring.insert) != *ring.extract;
}

static void wedge(struct place *at, const char *why)
{
	at->stream->wedged = true;
	at->stream->polls = false;
	sim_trace_text(at->sim, SIM_EV_JOB, at->as, "group=%u stream=%u what=%s", at->g, at->s, why);
}

/* Reach the memory at @va, or wait, or stop with a fault. */
static enum step reach(struct place *at, u64 va, u32 access, u64 **ret)
{
	struct sim_translation tr = {.status = FAULT_ADDRESS_IN | access};
	enum sim_result result =
		va % sizeof(u64) ? SIM_FAULT : sim_translate(at->sim, at->as, va, access, SIM_VIA_TLB, &tr);

	switch (result) {
	case SIM_OK:
		*ret = tr.at;
		return STEP_DONE;
	case SIM_WAIT:
		return STEP_AGAIN;
	case SIM_FAULT:
		wedge(at, "fault");
		sim_as_fault(at->sim, at->as, va, tr.status);
		return STEP_STOP;
	default:
		wedge(at, "no-address-space");
		return STEP_STOP;
	}
}

static u64 pair(struct place *at, u32 reg)
{
	reg %= REGISTERS - 1;
	return at->stream->regs[reg] | (u64)at->stream->regs[reg + 1] << 32;
}

static void set_pair(struct place *at, u32 reg, u64 value)
{
	reg %= REGISTERS - 1;
	at->stream->regs[reg] = value;
	at->stream->regs[reg + 1] = value >> 32;
}

static enum step poll(struct place *at, u64 va, u64 wanted)
{
	enum step step;
	u64 *memory;

	at->stream->polls = true;
	at->stream->poll_va = va;
	step = reach(at, va, FAULT_ACCESS_READ, &memory);
	if (step == STEP_DONE && READ_ONCE(*memory) != wanted)
		return STEP_AGAIN;
	if (step == STEP_DONE)
		at->stream->polls = false;
	return step;
}

static enum step run_for(struct sim_stream *stream, u64 ns)
{
	u64 now = ktime_get_mono_fast_ns();

	if (!stream->run_left_ns)
		stream->run_left_ns = ns;
	if (!stream->run_since_ns)
		stream->run_since_ns = now;
	if (now - stream->run_since_ns < stream->run_left_ns) {
		stream->again_ns = stream->run_left_ns - (now - stream->run_since_ns);
		return STEP_AGAIN;
	}
	stream->run_left_ns = stream->run_since_ns = 0;
	return STEP_DONE;
}

static enum step load(struct place *at, u32 reg, u64 va)
{
	u64 *memory;
	enum step step = reach(at, va, FAULT_ACCESS_READ, &memory);

	if (step == STEP_DONE)
		set_pair(at, reg, READ_ONCE(*memory));
	return step;
}

static enum step store(struct place *at, u64 va, u64 value)
{
	u64 *memory;
	enum step step = reach(at, va, FAULT_ACCESS_WRITE, &memory);

	if (step == STEP_DONE)
		WRITE_ONCE(*memory, value);
	return step;
}

static enum step sync_add(struct place *at, u64 va, u64 value)
{
	u64 *memory;
	enum step step = reach(at, va, FAULT_ACCESS_WRITE, &memory);

	if (step == STEP_DONE) {
		WRITE_ONCE(*memory, *memory + value);
		at->stream->signalled = true;
	}
	return step;
}

/* One instruction other than CALL. The driver's WAIT, STORE_STATE and ERROR_BARRIER have nothing to wait for or to
 * store. */
static enum step execute(struct place *at, u64 instr)
{
	u32 a = instr >> 48 & 0xff, b = instr >> 40 & 0xff, c = instr >> 32 & 0xff;

	switch (instr >> 56) {
	case JOB_OP_MOV48:
		set_pair(at, a, instr & GENMASK_ULL(47, 0));
		return STEP_DONE;
	case JOB_OP_MOV32:
		at->stream->regs[a % REGISTERS] = instr;
		return STEP_DONE;
	case JOB_OP_FLUSH_CACHES:
		sim_lines_drop(at->sim);
		return STEP_DONE;
	case JOB_OP_SYNC_ADD64:
		return sync_add(at, pair(at, b), pair(at, c));
	case JOB_OP_LOAD:
		return load(at, a, pair(at, b));
	case JOB_OP_STORE:
		return store(at, pair(at, b), pair(at, a));
	case JOB_OP_POLL:
		return poll(at, pair(at, b), pair(at, a));
	case JOB_OP_RUN:
		return run_for(at->stream, (instr & U32_MAX) * NSEC_PER_MSEC);
	}
	return STEP_DONE;
}

static enum step fetch_and_execute(struct place *at, u64 va)
{
	u64 *memory;
	enum step step = reach(at, va, FAULT_ACCESS_READ, &memory);

	return step == STEP_DONE ? execute(at, READ_ONCE(*memory)) : step;
}

/* The job itself. call_offset says how far it is, so that it goes on there after a wait or a suspension. */
static enum step call(struct place *at, u64 va, u32 size, u32 *budget)
{
	struct sim_stream *stream = at->stream;

	if (!stream->call_offset) {
		sim_count(at->sim, SIM_C_JOBS);
		sim_trace_text(at->sim, SIM_EV_JOB, at->as, "group=%u stream=%u what=begin", at->g, at->s);
	}
	while (stream->call_offset < size) {
		enum step step = *budget ? fetch_and_execute(at, va + stream->call_offset) : STEP_AGAIN;

		if (step != STEP_DONE)
			return step;
		stream->call_offset += sizeof(u64);
		--*budget;
	}
	stream->call_offset = 0;
	sim_trace_text(at->sim, SIM_EV_JOB, at->as, "group=%u stream=%u what=end", at->g, at->s);
	return STEP_DONE;
}

/* When it must be asked again, in ns: it polls, runs, waits for a lock, or has more to do. 0: never. */
u64 sim_stream_run(struct malisim *sim, u32 g, u32 s)
{
	struct place at = {sim, g, s, sim->groups[g].as, &sim->groups[g].streams[s]};
	u32 budget = BUDGET;
	struct ring ring;

	if (at.stream->wedged || !find_ring(sim, g, s, &ring))
		return 0;
	at.stream->again_ns = POLL_NS;
	while (READ_ONCE(*ring.insert) != *ring.extract && budget--) {
		u64 *memory;
		enum step step = reach(&at, ring.base + (*ring.extract & (ring.size - 1)), FAULT_ACCESS_READ, &memory);

		if (step == STEP_DONE && *memory >> 56 == JOB_OP_CALL)
			step = call(&at, pair(&at, *memory >> 40 & 0xff),
				    at.stream->regs[(*memory >> 32 & 0xff) % REGISTERS], &budget);
		else if (step == STEP_DONE)
			step = execute(&at, READ_ONCE(*memory));
		if (step != STEP_DONE)
			return step == STEP_AGAIN ? at.stream->again_ns : 0;
		WRITE_ONCE(*ring.extract, *ring.extract + sizeof(u64));
	}
	return READ_ONCE(*ring.insert) != *ring.extract ? at.stream->again_ns : 0;
}

/* A register event: what polls looks now, so that no moment in which nothing is mapped goes unseen. */
void sim_jobs_at_event(struct malisim *sim)
{
	for (u32 g = 0; g < GROUPS; g++) {
		for (u32 s = 0; sim->groups[g].running && s < STREAMS; s++) {
			struct place at = {sim, g, s, sim->groups[g].as, &sim->groups[g].streams[s]};
			u64 *memory;

			if (at.stream->polls)
				reach(&at, at.stream->poll_va, FAULT_ACCESS_READ, &memory);
		}
	}
}
