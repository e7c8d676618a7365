/* SPDX-License-Identifier: MIT */
/* Is what the VMs map after a round what the log implies? Address by address, since both may be cut differently. */
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"

/** A side at an address: a piece that goes on up to @end, mapped or not. */
struct piece {
	uint64_t end, bo_offset;
	bool mapped, sparse;
	const void *bo;
	uint32_t flags;
};

static struct piece expected_at(const struct bench_program *program, const struct panbind_log_state *state,
				size_t index, uint64_t va)
{
	struct panbind_log_mapping mapping;
	uint32_t bo;

	if (panbind_log_state_next_mapping(state, index, va, &mapping) < 0)
		return (struct piece){.end = UINT64_MAX};
	if (mapping.va > va)
		return (struct piece){.end = mapping.va};
	if (!mapping.bo.name)
		return (struct piece){.end = mapping.va + mapping.size, .mapped = true, .sparse = true};
	bo = bench_find(program, 'b', &mapping.bo);
	return (struct piece){
		.end = mapping.va + mapping.size,
		.mapped = true,
		.bo = bo == BENCH_NONE ? NULL : program->objects.at[bo].bo, /* NULL: has no name any more */
		.bo_offset = mapping.bo_offset + (va - mapping.va),
		.flags = mapping.flags,
	};
}

static struct piece live_at(struct panbind_vm *vm, uint64_t va)
{
	struct panbind_mapping mapping;

	if (panbind_vm_next_mapping(vm, va, &mapping) < 0)
		return (struct piece){.end = UINT64_MAX};
	if (mapping.va > va)
		return (struct piece){.end = mapping.va};
	if (mapping.sparse)
		return (struct piece){.end = mapping.va + mapping.size, .mapped = true, .sparse = true};
	return (struct piece){.end = mapping.va + mapping.size,
			      .mapped = true,
			      .bo = mapping.bo,
			      .bo_offset = mapping.bo_offset + (va - mapping.va),
			      .flags = mapping.flags};
}

static bool same(const struct piece *expected, const struct piece *live)
{
	if (!expected->mapped || !live->mapped || expected->sparse || live->sparse)
		return expected->mapped == live->mapped && expected->sparse == live->sparse;
	return (!expected->bo || expected->bo == live->bo) && expected->bo_offset == live->bo_offset &&
	       expected->flags == live->flags;
}

static void verify_vm(const struct bench_program *program, struct bench_side *side,
		      const struct panbind_log_state *state, size_t index, const char *name, struct panbind_vm *vm)
{
	uint64_t va = 0, end;

	for (; va < UINT64_MAX; va = end) {
		struct piece expected = expected_at(program, state, index, va), live = live_at(vm, va);

		end = expected.end < live.end ? expected.end : live.end;
		if (!same(&expected, &live) && side->differences++ == 0)
			snprintf(side->difference, sizeof(side->difference),
				 "VM %.80s maps something else than the log says at 0x%" PRIx64 ", 0x%" PRIx64 " bytes",
				 name, va, end - va);
	}
}

void bench_verify(const struct bench_program *program, struct bench_side *side,
		  const struct panbind_log_state *expected)
{
	const struct panbind_log_state_object *object;

	for (size_t i = 0; (object = panbind_log_state_vm(expected, i)); i++) {
		uint32_t index = bench_find(program, 'v', &object->object.ref);

		if (index != BENCH_NONE && !program->objects.at[index].lost && program->objects.at[index].vm)
			verify_vm(program, side, expected, i, object->object.ref.name, program->objects.at[index].vm);
	}
}
