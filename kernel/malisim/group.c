// SPDX-License-Identifier: GPL-2.0
/* malisim: the firmware's side of group slots: start, suspend, resume, terminate, and what it tells the host. */
#include "malisim.h"
#include <linux/timekeeping.h>

/* An event is told by making a bit of ACK differ from REQ; where it differs already the host has not heard the last
 * one. */
void sim_tell_event(u32 *ack, const u32 *req, u32 bit)
{
	if (!((READ_ONCE(*req) ^ *ack) & bit))
		WRITE_ONCE(*ack, *ack ^ bit);
}

void sim_group_boot(struct malisim *sim, u32 g)
{
	u32 *control = sim_mcu_pointer(sim, GROUP_CONTROL(g)), *output = sim_mcu_pointer(sim, GROUP_OUTPUT(g));

	control[PC_FEATURES / 4] = 0;
	control[PC_INPUT_VA / 4] = GROUP_INPUT(g);
	control[PC_OUTPUT_VA / 4] = GROUP_OUTPUT(g);
	control[PC_SUSPEND_SIZE / 4] = SUSPEND_SIZE;
	control[PC_PROTECTED_SUSPEND_SIZE / 4] = SUSPEND_SIZE;
	control[PC_STREAMS / 4] = STREAMS;
	control[PC_STREAM_STRIDE / 4] = STREAM_STRIDE;
	memset(output, 0, 0x20);
	for (u32 s = 0; s < STREAMS; s++) {
		u32 *stream = sim_mcu_pointer(sim, STREAM_CONTROL(g, s));

		stream[SC_FEATURES / 4] = STREAM_FEATURES;
		stream[SC_INPUT_VA / 4] = STREAM_INPUT(g, s);
		stream[SC_OUTPUT_VA / 4] = STREAM_OUTPUT(g, s);
		memset(sim_mcu_pointer(sim, STREAM_OUTPUT(g, s)), 0, 0x100);
	}
}

static struct sim_stream *suspend_buffer(struct malisim *sim, const u32 *input)
{
	BUILD_BUG_ON(sizeof(sim->groups[0].streams) > SUSPEND_SIZE);
	return sim_mcu_pointer(sim, input[PI_SUSPEND_BUF / 4]);
}

static void suspend(struct malisim *sim, u32 g, const u32 *input)
{
	struct sim_group *group = &sim->groups[g];
	struct sim_stream *buffer = suspend_buffer(sim, input);
	u64 now = ktime_get_mono_fast_ns();

	for (u32 s = 0; s < STREAMS; s++) {
		struct sim_stream *stream = &group->streams[s];
		u64 ran = stream->run_since_ns ? now - stream->run_since_ns : 0;

		stream->run_left_ns = stream->run_left_ns > ran ? stream->run_left_ns - ran : !!stream->run_left_ns;
		stream->run_since_ns = 0;
	}
	if (buffer)
		memcpy(buffer, group->streams, sizeof(group->streams));
}

static void change_state(struct malisim *sim, u32 g, const u32 *input)
{
	static const char *const names[] = {"terminate", "start", "suspend", "resume"};
	struct sim_group *group = &sim->groups[g];
	u32 state = input[PI_REQ / 4] & GROUP_STATE;
	struct sim_stream *buffer;

	switch (state) {
	case GROUP_START:
	case GROUP_RESUME:
		memset(group, 0, sizeof(*group));
		buffer = suspend_buffer(sim, input);
		if (state == GROUP_RESUME && buffer)
			memcpy(group->streams, buffer, sizeof(group->streams));
		group->as = input[PI_CONFIG / 4] % SIM_AS_COUNT;
		group->running = true;
		break;
	case GROUP_SUSPEND:
		suspend(sim, g, input);
		group->running = false;
		break;
	case GROUP_TERMINATE:
		group->running = false;
		break;
	}
	if (state < ARRAY_SIZE(names))
		sim_trace_text(sim, SIM_EV_JOB, group->as, "group=%u what=%s", g, names[state]);
}

static void answer_stream(struct malisim *sim, u32 g, u32 s)
{
	u32 *input = sim_mcu_pointer(sim, STREAM_INPUT(g, s)), *output = sim_mcu_pointer(sim, STREAM_OUTPUT(g, s));

	if (sim->groups[g].running)
		output[SO_ACK / 4] = (output[SO_ACK / 4] & STREAM_EVENTS) | (input[SI_REQ / 4] & ~STREAM_EVENTS);
	else
		output[SO_ACK / 4] &= ~STREAM_STATE;
	output[SO_SCOREBOARDS / 4] = 0;
	output[SO_BLOCKED_REASON / 4] = 0;
}

static bool has_work(struct malisim *sim, u32 g)
{
	for (u32 s = 0; s < STREAMS; s++)
		if (sim_stream_has_work(sim, g, s))
			return true;
	return false;
}

static void show_idle(u32 *output, bool idle)
{
	output[PO_STATE / 4] = (output[PO_STATE / 4] & ~PO_STATE_IDLE) | (idle ? PO_STATE_IDLE : 0);
}

void sim_group_requests(struct malisim *sim, u32 g)
{
	u32 *input = sim_mcu_pointer(sim, GROUP_INPUT(g)), *output = sim_mcu_pointer(sim, GROUP_OUTPUT(g));
	u32 req = READ_ONCE(input[PI_REQ / 4]), doorbells, changed;

	changed = (req ^ output[PO_ACK / 4]) & GROUP_REQUESTS;
	doorbells = READ_ONCE(input[PI_DOORBELL_REQ / 4]) ^ output[PO_DOORBELL_ACK / 4];
	if (changed & GROUP_STATE)
		change_state(sim, g, input);
	for (u32 s = 0; s < STREAMS; s++)
		if (changed & GROUP_STATE || doorbells & BIT(s))
			answer_stream(sim, g, s);
	if (changed & (GROUP_STATE | GROUP_STATUS_UPDATE))
		show_idle(output, !has_work(sim, g));
	output[PO_ENDPOINT_CURRENT / 4] = input[PI_ENDPOINT_REQ / 4];
	output[PO_DOORBELL_ACK / 4] ^= doorbells;
	if (changed) {
		WRITE_ONCE(output[PO_ACK / 4], output[PO_ACK / 4] ^ changed);
		sim_irq_raise(sim, SIM_IRQ_JOB, BIT(g));
	}
}

/* Let each stream go on a little. When it is time to look at one again, in ns, because nobody will announce it; 0:
 * never. */
u64 sim_group_run(struct malisim *sim, u32 g)
{
	struct sim_group *group = &sim->groups[g];
	bool signalled = false, idle;
	u64 again_ns = 0;
	u32 *input, *output;

	if (!group->running)
		return 0;
	input = sim_mcu_pointer(sim, GROUP_INPUT(g));
	output = sim_mcu_pointer(sim, GROUP_OUTPUT(g));
	for (u32 s = 0; s < STREAMS; s++) {
		again_ns = min_not_zero(again_ns, sim_stream_run(sim, g, s));
		signalled |= group->streams[s].signalled;
		group->streams[s].signalled = false;
	}
	idle = !has_work(sim, g);
	if (signalled)
		sim_tell_event(&output[PO_ACK / 4], &input[PI_REQ / 4], GROUP_SYNC_UPDATE);
	if (idle && !group->told_idle)
		sim_tell_event(&output[PO_ACK / 4], &input[PI_REQ / 4], GROUP_IDLE);
	if (signalled || (idle && !group->told_idle))
		sim_irq_raise(sim, SIM_IRQ_JOB, BIT(g));
	show_idle(output, idle);
	group->told_idle = idle;
	return again_ns;
}
