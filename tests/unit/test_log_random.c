/* SPDX-License-Identifier: MIT */
/* Random entries against a page-by-page model of every seq, before, while and after compaction. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "log_fixture.h"
#include "seed.h"

#define PAGES	48
#define VMS	3
#define ENTRIES 60

/* What a page of a VM holds: BO number + 1, 0: nothing, -1: sparse. */
struct model_page {
	int bo;
	uint64_t offset;
};

struct model_vm {
	uint64_t generation; /* 0: not alive */
	struct model_page page[PAGES];
};

struct model {
	struct model_vm vm[VMS];
};

static const char *const vm_names[VMS] = {"a", "b", "c"};
static const char *const bo_names[2] = {"p", "q"};

/** One run: the log, and the model as it was after every seq. */
struct run {
	struct log_fixture *f;
	struct test_random random;
	struct model now, after[ENTRIES + 1];
	uint64_t last_generation;
};

static uint64_t below(struct run *run, uint64_t n)
{
	return test_random_below(&run->random, n);
}

static void model_op(struct model_vm *vm, const struct panbind_log_op *op)
{
	uint64_t first = op->va / LOG_PAGE, count = op->size / LOG_PAGE;

	for (uint64_t i = 0; i < count; i++) {
		struct model_page *page = &vm->page[first + i];

		if (op->type == PANBIND_LOG_MAP)
			*page = (struct model_page){op->bo.name == bo_names[1] ? 2 : 1, op->bo_offset / LOG_PAGE + i};
		else
			*page = (struct model_page){op->type == PANBIND_LOG_MAP_SPARSE ? -1 : 0, 0};
	}
}

static struct panbind_log_op random_op(struct run *run, int vm)
{
	uint64_t va = below(run, PAGES), size = 1 + below(run, PAGES - va);

	if (below(run, 3) && size > 6)
		size = 1 + below(run, 6);
	switch (below(run, 4)) {
	case 0:
		return log_op_unmap(vm_names[vm], va, size);
	case 1:
		return log_op_sparse(vm_names[vm], va, size);
	default:
		return log_op_map(vm_names[vm], va, size, bo_names[below(run, 2)], below(run, 16));
	}
}

/* A bind of several ops over the VMs that are alive, as often as not one that failed in part. */
static void random_bind(struct run *run)
{
	struct panbind_log_op ops[8];
	struct panbind_log_entry entry;
	size_t count = 0, applied;
	int vms[8];

	for (size_t tries = 1 + below(run, 8); tries > 0; tries--) {
		int vm = (int)below(run, VMS);

		if (!run->now.vm[vm].generation)
			continue;
		vms[count] = vm;
		ops[count++] = random_op(run, vm);
	}
	entry = log_bind_entry(ops, count);
	applied = count;
	if (count && below(run, 4) == 0) {
		applied = below(run, count);
		entry.result = -ENOMEM;
		entry.outcome = applied ? PANBIND_OUTCOME_PARTIAL : PANBIND_OUTCOME_ROLLED_BACK;
		entry.applied = (uint32_t)applied;
		entry.failing_op = (uint32_t)applied;
	}
	log_entry(run->f->log, &entry);
	for (size_t i = 0; i < applied; i++)
		model_op(&run->now.vm[vms[i]], &ops[i]);
}

static void random_entry(struct run *run)
{
	int vm = (int)below(run, VMS);
	uint64_t dice = below(run, 20);

	if (dice == 0) {
		log_about(run->f->log, PANBIND_LOG_START, NULL, 0);
		memset(&run->now, 0, sizeof(run->now));
	} else if (dice < 4 && !run->now.vm[vm].generation) {
		run->now.vm[vm].generation = ++run->last_generation;
		log_vm(run->f->log, vm_names[vm], run->last_generation);
	} else if (dice == 4 && run->now.vm[vm].generation) {
		log_about(run->f->log, PANBIND_LOG_VM_DESTROY, vm_names[vm], run->now.vm[vm].generation);
		run->now.vm[vm] = (struct model_vm){0};
	} else {
		random_bind(run);
	}
}

static void draw_model(const struct model_vm *vm, char *text, size_t room)
{
	char *end = text;

	*text = '\0';
	for (int i = 0; i < PAGES; i++) {
		const struct model_page *page = &vm->page[i];

		if (page->bo)
			end += snprintf(end, room - (size_t)(end - text), "%x:%d+%x ", i, page->bo, (int)page->offset);
	}
}

static void draw_state(struct panbind_log_state *state, size_t vm, char *text, size_t room)
{
	struct panbind_log_mapping m;
	char *end = text;

	*text = '\0';
	for (uint64_t va = 0; panbind_log_state_next_mapping(state, vm, va, &m) == 0; va = m.va + m.size)
		for (uint64_t at = 0; at < m.size; at += LOG_PAGE)
			end += snprintf(end, room - (size_t)(end - text), "%x:%d+%x ", (int)((m.va + at) / LOG_PAGE),
					!m.bo.name		      ? -1
					: strcmp(m.bo.name, "q") == 0 ? 2
								      : 1,
					m.bo.name ? (int)((m.bo_offset + at) / LOG_PAGE) : 0);
}

static void compare(struct run *run, uint64_t seq)
{
	static __thread char wanted[PAGES * 12], got[PAGES * 12];
	const struct model *model = &run->after[seq];
	struct panbind_log_state *state;
	size_t alive = 0;
	int err = panbind_log_state_create(run->f->log, seq, (struct panbind_log_ref){0}, &state, NULL);

	assert_int_equal(err, 0);
	for (size_t i = 0; panbind_log_state_vm(state, i); i++) {
		const struct panbind_log_ref ref = panbind_log_state_vm(state, i)->object.ref;
		const struct model_vm *vm = &model->vm[ref.name[0] - 'a'];

		assert_int_equal(ref.generation, vm->generation);
		draw_model(vm, wanted, sizeof(wanted));
		draw_state(state, i, got, sizeof(got));
		assert_string_equal(got, wanted);
		alive++;
	}
	for (int i = 0; i < VMS; i++)
		alive -= model->vm[i].generation != 0;
	assert_int_equal(alive, 0);
	panbind_log_state_destroy(state);
}

static void compare_from(struct run *run, uint64_t oldest)
{
	for (uint64_t seq = oldest; seq <= ENTRIES; seq++)
		compare(run, seq);
}

/* At the boundary between two steps, whatever it cuts: three of the seqs that can still be shown. */
static void look_between_steps(void *data)
{
	struct run *run = data;
	const struct pb_snapshot_place place = run->f->log->place; /* this is the writer's thread */
	uint64_t oldest = place.seq + (place.ops ? 1 : 0);

	compare(run, oldest);
	compare(run, ENTRIES);
	if (oldest < ENTRIES)
		compare(run, oldest + 1);
}

static void fill(struct run *run)
{
	log_bo(run->f->log, bo_names[0], 1, 256);
	log_bo(run->f->log, bo_names[1], 1, 256);
	for (uint64_t seq = 3; seq <= ENTRIES; seq++) {
		if (log_ask(run->f->log, "SELECT count(*) FROM object WHERE kind = 2 AND destroyed_seq IS NULL") == 0) {
			log_bo(run->f->log, bo_names[0], ++run->last_generation, 256);
			run->after[seq] = run->now;
			if (++seq > ENTRIES)
				break;
			log_bo(run->f->log, bo_names[1], ++run->last_generation, 256);
		} else {
			random_entry(run);
		}
		run->after[seq] = run->now;
	}
}

static void every_state_at_every_boundary(void **state)
{
	size_t rounds = test_rounds(8, 2000);
	struct run *run = calloc(1, sizeof(*run));
	struct test_random random = test_random_start("log");

	for (size_t round = 0; round < rounds; round++) {
		memset(run, 0, sizeof(*run));
		log_fixture_setup((void **)&run->f);
		run->random = random;
		fill(run);
		compare_from(run, 1);
		run->f->log->compactor.step_ops = 1 + (uint32_t)below(run, 5);
		run->f->log->compactor.after_step = look_between_steps;
		run->f->log->compactor.after_step_data = run;
		for (uint64_t until = below(run, 20); until < ENTRIES; until += 1 + below(run, 20)) {
			assert_int_equal(panbind_log_compact(run->f->log, until, NULL, NULL), 0);
			compare_from(run, until);
			assert_int_equal(log_problems(run->f->log), 0);
			if (below(run, 2)) {
				log_fixture_reopen(run->f, 0, NULL);
				run->f->log->compactor.step_ops = 1;
				run->f->log->compactor.after_step = look_between_steps;
				run->f->log->compactor.after_step_data = run;
			}
		}
		assert_int_equal(panbind_log_compact(run->f->log, UINT64_MAX, NULL, NULL), 0);
		compare(run, ENTRIES);
		random = run->random;
		log_fixture_teardown((void **)&run->f);
	}
	free(run);
}

#define LOG_TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(every_state_at_every_boundary),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log random", tests, NULL, NULL);
}
