/* SPDX-License-Identifier: MIT */
/*
 * VM_BINDs: ops that overlap, cut 2 MiB blocks, straddle what is there.
 */
#include <string.h>

#include "generate.h"
#include "uapi.h"

#define PAGE   UINT64_C(0x1000)
#define BLOCK  UINT64_C(0x200000)
#define WINDOW (4 * BLOCK)

/* Mostly a window so small that ops meet; else places where tables of another level begin, or the VM ends. */
static uint64_t make_va(struct diff_maker *maker, uint64_t size)
{
	static const uint64_t borders[] = {UINT64_C(1) << 30, UINT64_C(1) << 39, UINT64_C(1) << 47, UINT64_C(1) << 32};
	uint64_t border;

	switch (diff_below(maker, 10)) {
	case 0:
		border = DIFF_PICK(maker, borders);
		return border - PAGE * diff_below(maker, 40);
	case 1:
		return (UINT64_C(1) << 47) - size;
	case 2:
	case 3:
	case 4:
		return BLOCK * diff_below(maker, WINDOW / BLOCK);
	case 5:
		return PAGE * diff_below(maker, 24);
	default:
		return PAGE * diff_below(maker, WINDOW / PAGE);
	}
}

static uint64_t make_size(struct diff_maker *maker)
{
	switch (diff_below(maker, 8)) {
	case 0:
		return BLOCK;
	case 1:
		return BLOCK * (1 + diff_below(maker, 3));
	case 2:
		return BLOCK - PAGE * diff_below(maker, 4);
	case 3:
		return diff_chance(maker, 20) ? 0 : PAGE;
	default:
		return PAGE * (1 + diff_below(maker, 32));
	}
}

static uint64_t map_flags(struct diff_maker *maker)
{
	return diff_chance(maker, 60) ? 0 : diff_below(maker, 8);
}

static struct diff_node make_sparse(struct diff_maker *maker)
{
	struct diff_node node = diff_node("map");
	uint64_t size = make_size(maker), flags = PB_OP_SPARSE | map_flags(maker);

	if (diff_chance(maker, 95))
		flags |= PB_OP_NOEXEC;
	diff_set(&node, "size", DIFF_NUMBER(size));
	diff_set(&node, "va", DIFF_NUMBER(make_va(maker, size)));
	diff_set(&node, "flags", DIFF_NUMBER(flags));
	return node;
}

static struct diff_node make_map(struct diff_maker *maker)
{
	struct diff_node node = diff_node("map");
	struct diff_value bo = diff_pick(maker, 'b');
	uint64_t room = diff_guess(maker, 'b', bo.number)->size & ~(PAGE - 1), size = make_size(maker), offset = 0;

	if (size > room || diff_chance(maker, 30))
		size = room;
	if (diff_chance(maker, 60) && size > PAGE)
		size = PAGE * (1 + diff_below(maker, size / PAGE));
	if (room > size)
		offset = diff_chance(maker, 30) ? room - size : PAGE * diff_below(maker, (room - size) / PAGE + 1);
	diff_set(&node, "bo", bo);
	diff_set(&node, "offset", DIFF_NUMBER(offset));
	diff_set(&node, "size", DIFF_NUMBER(size));
	diff_set(&node, "va", DIFF_NUMBER(make_va(maker, size)));
	diff_set(&node, "flags", DIFF_NUMBER(map_flags(maker)));
	return node;
}

static struct diff_node make_unmap(struct diff_maker *maker)
{
	struct diff_node node = diff_node("unmap");
	uint64_t size = diff_chance(maker, 10) ? WINDOW : make_size(maker);

	diff_set(&node, "size", DIFF_NUMBER(size));
	diff_set(&node, "va", DIFF_NUMBER(make_va(maker, size)));
	return node;
}

static struct diff_node make_sync(struct diff_maker *maker)
{
	struct diff_node node = diff_node(diff_chance(maker, 60) ? "signal_to" : "wait_for");

	diff_set(&node, "sync", diff_pick(maker, 's'));
	if (diff_chance(maker, 50))
		diff_set(&node, "point", DIFF_NUMBER(1 + diff_below(maker, 8)));
	return node;
}

static struct diff_node make_op(struct diff_maker *maker, bool async)
{
	unsigned syncs = 0;
	struct diff_node node;

	if (async && diff_chance(maker, 10))
		node = diff_node("sync_only");
	else if (diff_chance(maker, 8))
		node = make_sparse(maker);
	else
		node = diff_chance(maker, 65) ? make_map(maker) : make_unmap(maker);
	if (async && diff_chance(maker, 40))
		syncs = 1 + (unsigned)diff_below(maker, 3);
	if (strcmp(node.type->name, "sync_only") == 0 && !syncs)
		syncs = diff_chance(maker, 90);
	if (!async && diff_chance(maker, 1))
		syncs = 1;
	while (syncs--)
		diff_add_child(&node, make_sync(maker));
	return node;
}

struct diff_node diff_make_bind(struct diff_maker *maker)
{
	struct diff_node node = diff_node("bind");
	bool async = diff_chance(maker, 40);
	uint64_t ops = diff_chance(maker, 8) ? diff_below(maker, 40) : 1 + diff_below(maker, 4);

	diff_set(&node, "vm", diff_pick(maker, 'v'));
	if (async)
		diff_set(&node, "flags", DIFF_NUMBER(PB_VM_BIND_ASYNC));
	while (ops--)
		diff_add_child(&node, make_op(maker, async));
	return node;
}
