/* SPDX-License-Identifier: MIT */
/*
 * What must hold, whatever the document says.
 *
 * The oracle is trusted only as long as it finds holes on a driver that has them; so a case that must have one there
 * fails when none is seen.
 */
#include <stdarg.h>
#include <string.h>

#include "panbind.h"
#include "play.h"

#define LOOP_WATCHES(remap, i) for (size_t i = 0; i < REMAP_WATCHES && (remap)->watch[i].name; i++)

struct reason {
	char *text;
	size_t room;
};

__attribute__((format(printf, 2, 3))) static bool wrong(const struct reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason->text, reason->room, format, args);
	va_end(args);
	return false;
}

static bool is_outside(uint64_t va, uint64_t region, uint64_t size)
{
	return va < region || va - region >= size;
}

/* Every look ends with what is mapped in the end, and none shows what never was there. */
static bool judge_looks(const struct remap_case *remap, const struct record *record, const struct reason *reason)
{
	LOOP_WATCHES(remap, i)
	{
		uint64_t va = remap->watch[i].va, old = remap_old(remap, va), new = remap_new(remap, va);
		const char *looks = record->looks[i];
		char want = new == NOTHING_MAPPED ? LOOK_NOTHING : old == new ? LOOK_OLD : LOOK_NEW;

		if (strpbrk(looks, "x?"))
			return wrong(reason, "%s: the GPU used what is gone: %s", remap->watch[i].name, looks);
		if (remap->idle ? *looks : !*looks || looks[strlen(looks) - 1] != want)
			return wrong(reason, "%s: the GPU saw %s, and '%c' should be last", remap->watch[i].name, looks,
				     want);
	}
	return true;
}

static bool judge_stock(const struct remap_case *remap, const struct record *record, const struct reason *reason)
{
	bool hole = false;

	LOOP_WATCHES(remap, i)
	hole |= strchr(record->looks[i], LOOK_HOLE) || record->hole_between[i];
	if (remap->hole && !hole)
		return wrong(reason, "no hole: the loads of the GPU are blind");
	if (!remap->hole && hole)
		return wrong(reason, "a hole where there cannot be one");
	return true;
}

/* The LOCKs are the ops', one each, with their regions. */
static bool judge_regions(const struct subject *subject, const struct remap_case *remap, const struct record *record,
			  const struct reason *reason)
{
	size_t at = 0;

	for (size_t op = 0; op < remap_count(remap->ops); op++) {
		uint64_t va, size;

		if (!remap->ops[op].size || remap->idle)
			continue;
		remap_lock_region(remap, op, subject->widens, &va, &size);
		while (at < record->command_count && strcmp(record->commands[at].name, "LOCK"))
			at++;
		if (at == record->command_count)
			return wrong(reason, "no LOCK for op %zu", op);
		if (record->commands[at].va != va || record->commands[at].size != size)
			return wrong(reason, "op %zu locks 0x%llx+0x%llx, not 0x%llx+0x%llx", op,
				     (unsigned long long)record->commands[at].va,
				     (unsigned long long)record->commands[at].size, (unsigned long long)va,
				     (unsigned long long)size);
		at++;
	}
	while (at < record->command_count)
		if (!strcmp(record->commands[at++].name, "LOCK"))
			return wrong(reason, "a LOCK that belongs to no op");
	return true;
}

static bool judge_atomic(const struct subject *subject, const struct remap_case *remap, const struct record *record,
			 const struct reason *reason)
{
	LOOP_WATCHES(remap, i)
	{
		uint64_t va = remap->watch[i].va;
		bool hole = strchr(record->looks[i], LOOK_HOLE) || record->hole_between[i], stalled, covered = false;

		if (hole && !remap->hole_by_user)
			return wrong(reason, "%s: a hole: %s", remap->watch[i].name, record->looks[i]);
		if (!hole && remap->hole_by_user)
			return wrong(reason, "%s: no hole between two ops: the loads of the GPU are blind",
				     remap->watch[i].name);
		for (size_t op = 0; op < remap_count(remap->ops); op++) {
			uint64_t start, size;

			remap_lock_region(remap, op, subject->widens, &start, &size);
			covered |= remap->ops[op].size && !remap->idle && !is_outside(va, start, size);
		}
		stalled = strchr(record->looks[i], LOOK_STALL) != NULL;
		if (covered != stalled)
			return wrong(reason, "%s: the GPU %s: %s", remap->watch[i].name,
				     stalled ? "waits for an op elsewhere" : "does not wait", record->looks[i]);
	}
	return judge_regions(subject, remap, record, reason);
}

bool judge(const struct subject *subject, const struct remap_case *remap, const struct record *record, char *ret_reason,
	   size_t room)
{
	const struct reason reason = {ret_reason, room};

	if (*record->trouble)
		return wrong(&reason, "%s", record->trouble);
	if (remap->idle && record->command_count)
		return wrong(&reason, "an AS command for a VM without an AS");
	if (!judge_looks(remap, record, &reason))
		return false;
	return subject->atomic ? judge_atomic(subject, remap, record, &reason) : judge_stock(remap, record, &reason);
}
