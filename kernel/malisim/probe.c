// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: probes, VAs that the GPU loads at every AS register event, in every address space of a user VM, once as a
 * core that has been there before (via the TLB) and once as one that has not (via a walk of the page tables).
 */
#include "malisim.h"
#include <linux/kernel.h>
#include <linux/string.h>

enum { WHEN_BEFORE, WHEN_AFTER, WHEN_CHECK };

static bool agrees(const struct sim_expect *expect, bool fault, u64 value)
{
	if (fault)
		return expect->kind == SIM_NOTHING;
	return expect->kind == SIM_ANY || (expect->kind == SIM_VALUE && expect->value == value);
}

static enum sim_verdict judge(const struct sim_probe *probe, bool fault, u64 value)
{
	if (agrees(&probe->before, fault, value))
		return SIM_OLD;
	if (agrees(&probe->after, fault, value))
		return SIM_NEW;
	return fault ? SIM_HOLE : SIM_FOREIGN;
}

/* One load. @strict: what is stale is wrong now, because it should have been dropped. */
static void load(struct malisim *sim, u32 as, const struct sim_probe *probe, enum sim_via via, u32 when, bool strict)
{
	struct sim_translation tr;
	enum sim_verdict verdict;
	u64 value = 0;

	switch (sim_translate(sim, as, probe->va, FAULT_ACCESS_READ, via, &tr)) {
	case SIM_OFF:
		return;
	case SIM_WAIT:
		verdict = SIM_STALL;
		break;
	case SIM_FAULT:
		verdict = strict && tr.stale ? SIM_STALE : judge(probe, true, 0);
		break;
	default:
		value = READ_ONCE(*tr.at);
		verdict = strict && tr.stale ? SIM_STALE : judge(probe, false, value);
	}
	sim_count(sim, SIM_C_LOADS + verdict);
	sim_trace_load(sim, as, verdict, tr.shift << 3 | when << 1 | (via == SIM_VIA_WALK), probe->va, value, tr.pa);
}

static void load_both(struct malisim *sim, u32 as, const struct sim_probe *probe, u32 when, bool strict)
{
	load(sim, as, probe, SIM_VIA_TLB, when, strict);
	load(sim, as, probe, SIM_VIA_WALK, when, strict);
}

static void load_all(struct malisim *sim, u32 when, bool strict)
{
	for (u32 as = SIM_AS_FIRMWARE + 1; as < SIM_AS_COUNT; as++)
		for (u32 i = 0; i < sim->probe_count; i++)
			load_both(sim, as, &sim->probes[i], when, strict);
}

void sim_probe_event(struct malisim *sim, bool after)
{
	load_all(sim, after ? WHEN_AFTER : WHEN_BEFORE, false);
}

/* [start, last] of an address space has been flushed or unlocked this moment. */
void sim_probe_flushed(struct malisim *sim, u32 n, u64 start, u64 last)
{
	if (n == SIM_AS_FIRMWARE)
		return;
	for (u32 i = 0; i < sim->probe_count; i++)
		if (sim->probes[i].va >= start && sim->probes[i].va <= last)
			load(sim, n, &sim->probes[i], SIM_VIA_TLB, WHEN_AFTER, true);
}

void sim_probe_check(struct malisim *sim)
{
	load_all(sim, WHEN_CHECK, true);
}

static int parse_expect(const char *text, struct sim_expect *ret)
{
	if (!text)
		return -EINVAL;
	*ret = (struct sim_expect){.kind = SIM_VALUE};
	if (!strcmp(text, "-"))
		ret->kind = SIM_NOTHING;
	else if (!strcmp(text, "any"))
		ret->kind = SIM_ANY;
	else
		return kstrtou64(text, 16, &ret->value);
	return 0;
}

/* "add VA OLD NEW" */
static int add(struct malisim *sim, char *text)
{
	char *va = strsep(&text, " "), *before = strsep(&text, " "), *after = strsep(&text, " ");
	struct sim_probe probe;

	if (text || !va || kstrtou64(va, 16, &probe.va) || parse_expect(before, &probe.before) ||
	    parse_expect(after, &probe.after))
		return -EINVAL;
	if (probe.va % sizeof(u64))
		return -EINVAL;
	if (sim->probe_count == SIM_PROBES)
		return -ENOSPC;
	sim->probes[sim->probe_count++] = probe;
	return 0;
}

int sim_probe_command(struct malisim *sim, char *text)
{
	if (!strcmp(text, "clear")) {
		sim->probe_count = 0;
		return 0;
	}
	if (!strcmp(text, "check")) {
		sim_probe_check(sim);
		return 0;
	}
	return strncmp(text, "add ", 4) ? -EINVAL : add(sim, text + 4);
}
