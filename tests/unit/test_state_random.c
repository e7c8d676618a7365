/* SPDX-License-Identifier: MIT */
/*
 * From any state that can be reached to any other: what the ops of the difference leave is that state, page by page,
 * in the shadow and in the simulator's tables; there are never more of them than differences; and then there is
 * nothing left to do. Once with the ops themselves, once with the script, and back again.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "seed.h"
#include "session_room.h"
#include "truth.h"

#define PAGES 96 /* that the ops fall into, over and over: most meet something */
#define BASE  UINT64_C(0x10000000)

/* ---- Random states ---- */

static void random_range(struct test_random *random, uint64_t *va, uint64_t *size)
{
	uint64_t pages = 1 + test_random_below(random, 20);
	uint64_t first = test_random_below(random, PAGES - pages);

	*va = BASE + first * 4096;
	*size = pages * 4096;
}

static bool random_region(struct test_random *random, struct panbind_vm *vm, uint64_t *va, uint64_t *size)
{
	return panbind_sparse_next_region(vm, BASE + test_random_below(random, PAGES) * 4096, va, size) == 0;
}

/* One command that may fail: a sparse command outside a region does. */
static void random_command(struct session_room *room, struct test_random *random, const char *vm)
{
	static const char *const flags[] = {"", "", " --readonly", " --noexec", " --uncached --readonly"};
	uint64_t va, size, bo = test_random_below(random, 3), page = test_random_below(random, 12);
	char text[300];

	random_range(random, &va, &size);
	switch (test_random_below(random, 9)) {
	case 0:
	case 1:
		snprintf(text, sizeof(text), "unmap %s %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	case 2:
		snprintf(text, sizeof(text), "sparse reserve %s %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	case 3:
		snprintf(text, sizeof(text), "sparse map %s %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	case 4:
		if (!random_region(random, panbind_session_vm(room->session, vm), &va, &size))
			return;
		snprintf(text, sizeof(text), "sparse release %s %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	default:
		snprintf(text, sizeof(text), "map %s %" PRIu64 " %" PRIu64 " b%" PRIu64 "+%" PRIu64 "%s", vm, va, size,
			 bo, page * 4096, flags[test_random_below(random, PB_ARRAY_SIZE(flags))]);
	}
	session_room_run(room, text, 0);
}

static void random_state(struct session_room *room, struct test_random *random, const char *vm)
{
	size_t commands = test_random_below(random, 40);

	for (size_t i = 0; i < commands; i++)
		random_command(room, random, vm);
}

/* ---- The claims ---- */

static struct panbind_state *state_of(struct session_room *room, const char *vm)
{
	struct panbind_state *state = NULL;

	assert_int_equal(panbind_session_state(room->session, vm, &state), 0);
	return state;
}

static size_t differences(const struct panbind_state *a, const struct panbind_state *b)
{
	struct panbind_state_diff *diff = NULL;
	size_t count;

	assert_int_equal(panbind_state_diff(a, b, &diff), 0);
	count = panbind_state_diff_count(diff);
	assert_true(panbind_state_diff_op_count(diff) <= count);
	panbind_state_diff_destroy(diff);
	return count;
}

/* Page by page, by the VM's own word and not by the states'. */
static void assert_same_pages(struct session_room *room, const char *a, const char *b)
{
	struct panbind_vm *vms[2] = {panbind_session_vm(room->session, a), panbind_session_vm(room->session, b)};

	for (uint64_t va = BASE; va < BASE + PAGES * 4096; va += 4096) {
		struct panbind_mapping m[2] = {0};
		bool mapped[2];

		for (int i = 0; i < 2; i++) {
			mapped[i] = panbind_vm_next_mapping(vms[i], va, &m[i]) == 0 && m[i].va <= va;
			m[i].bo_offset += va - m[i].va;
		}
		if (mapped[0] != mapped[1] ||
		    (mapped[0] && (m[0].bo != m[1].bo || m[0].flags != m[1].flags || m[0].sparse != m[1].sparse ||
				   (m[0].bo && m[0].bo_offset != m[1].bo_offset))))
			fail_msg("page 0x%" PRIx64 " differs", va);
	}
}

static void assert_same_regions(struct session_room *room, const char *a, const char *b)
{
	struct panbind_vm *x = panbind_session_vm(room->session, a), *y = panbind_session_vm(room->session, b);
	uint64_t at = 0, va[2], size[2];
	int found;

	while ((found = panbind_sparse_next_region(x, at, &va[0], &size[0])) == 0) {
		assert_int_equal(panbind_sparse_next_region(y, at, &va[1], &size[1]), 0);
		assert_int_equal(va[0], va[1]);
		assert_int_equal(size[0], size[1]);
		at = va[0] + size[0];
	}
	assert_int_equal(panbind_sparse_next_region(y, at, &va[1], &size[1]), -ENOENT);
}

static void lead(struct session_room *room, const char *vm, const struct panbind_state *to)
{
	struct panbind_state *from = state_of(room, vm), *now;
	struct panbind_state_diff *diff = NULL;
	struct panbind_error error = {0};
	enum panbind_outcome outcome;

	assert_int_equal(panbind_state_diff(from, to, &diff), 0);
	if (panbind_state_diff_run(diff, panbind_session_vm(room->session, vm), &outcome, &error) < 0)
		fail_msg("op %u: %s", error.op, error.msg);
	panbind_state_diff_destroy(diff);
	now = state_of(room, vm);
	assert_int_equal(differences(now, to), 0);
	truth_assert(panbind_session_vm(room->session, vm));
	panbind_state_destroy(from);
	panbind_state_destroy(now);
}

static void lead_by_script(struct session_room *room, const char *vm, const struct panbind_state *to)
{
	struct panbind_state *from = state_of(room, vm);
	struct panbind_error error = {0};
	size_t count = differences(from, to), ops;
	char *text = NULL;

	if (panbind_session_state_script(room->session, vm, to, 0, &text, &ops, &error) < 0)
		fail_msg("%s", error.msg);
	assert_true(ops <= count);
	session_room_must(room, text);
	assert_int_equal(room->result.ops, ops);
	free(text);
	assert_int_equal(panbind_session_state_script(room->session, vm, to, 0, &text, &ops, &error), 0);
	assert_string_equal(text, "");
	assert_int_equal(ops, 0);
	free(text);
	panbind_state_destroy(from);
}

static void test_any_state_leads_to_any_other(void **state)
{
	struct test_random random = test_random_start("states");
	size_t rounds = test_rounds(2500, 100000), changed = 0;
	struct session_room *room = NULL;

	for (size_t i = 0; i < rounds; i++) {
		struct panbind_state *a, *b;

		if (i % 50 == 0) {
			if (room)
				session_room_close(room);
			room = session_room_open(i % 100 ? "sim:" : "sim:minor=5");
			session_room_must(room, "repeat 3 i\nbo create b$i 128K\nend\n");
		}
		session_room_must(room, "vm destroy v --missing-ok\nvm destroy w --missing-ok\nvm create v\n"
					"vm create w\n");
		random_state(room, &random, "v");
		random_state(room, &random, "w");
		a = state_of(room, "v");
		b = state_of(room, "w");
		changed += differences(a, b) > 0;
		lead(room, "v", b); /* there */
		assert_same_pages(room, "v", "w");
		assert_same_regions(room, "v", "w");
		lead_by_script(room, "v", a); /* and back */
		lead_by_script(room, "w", a);
		assert_same_pages(room, "v", "w");
		panbind_state_destroy(a);
		panbind_state_destroy(b);
	}
	session_room_close(room);
	print_message("# %zu pairs of states, %zu of them different\n", rounds, changed);
	assert_true(changed > rounds / 2);
}

/* ---- Undo ---- */

#define MOST_OPS 6

/* What an undo knows of a transaction: its ranges in order, joined. */
struct ranges {
	uint64_t vas[MOST_OPS], sizes[MOST_OPS];
	size_t count;
};

static void add_range(struct ranges *ranges, uint64_t va, uint64_t size)
{
	size_t at = ranges->count;

	while (at > 0 && ranges->vas[at - 1] > va)
		at--;
	memmove(&ranges->vas[at + 1], &ranges->vas[at], (ranges->count - at) * sizeof(va));
	memmove(&ranges->sizes[at + 1], &ranges->sizes[at], (ranges->count - at) * sizeof(va));
	ranges->vas[at] = va;
	ranges->sizes[at] = size;
	ranges->count++;
	for (size_t i = 0; i + 1 < ranges->count;) {
		uint64_t end = ranges->vas[i] + ranges->sizes[i], next_end = ranges->vas[i + 1] + ranges->sizes[i + 1];

		if (ranges->vas[i + 1] > end) {
			i++;
			continue;
		}
		ranges->sizes[i] = (next_end > end ? next_end : end) - ranges->vas[i];
		ranges->count--;
		memmove(&ranges->vas[i + 1], &ranges->vas[i + 2], (ranges->count - i - 1) * sizeof(va));
		memmove(&ranges->sizes[i + 1], &ranges->sizes[i + 2], (ranges->count - i - 1) * sizeof(va));
	}
}

static bool meets(const struct ranges *ranges, uint64_t va, uint64_t size)
{
	for (size_t i = 0; i < ranges->count; i++)
		if (va < ranges->vas[i] + ranges->sizes[i] && ranges->vas[i] < va + size)
			return true;
	return false;
}

/* Commands that succeed, with the ranges that they touch. @away: stay out of these. */
static void do_something(struct session_room *room, struct test_random *random, struct ranges *ranges,
			 const struct ranges *away)
{
	static const char *const verbs[] = {"unmap v %" PRIu64 " %" PRIu64,
					    "sparse reserve v %" PRIu64 " %" PRIu64,
					    "sparse map v %" PRIu64 " %" PRIu64,
					    "sparse release v %" PRIu64 " %" PRIu64,
					    "map v %" PRIu64 " %" PRIu64 " b1 --readonly",
					    "map v %" PRIu64 " %" PRIu64 " b2+4K"};
	size_t verb = test_random_below(random, PB_ARRAY_SIZE(verbs));
	uint64_t va, size;
	char text[200];

	random_range(random, &va, &size);
	if (verb == 3 && !random_region(random, panbind_session_vm(room->session, "v"), &va, &size))
		return;
	if (away && meets(away, va, size))
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), verbs[verb], va, size);
#pragma GCC diagnostic pop
	if (session_room_run(room, text, 0) == 0 && ranges)
		add_range(ranges, va, size);
}

/* Pages in the ranges as @before, others as @now. */
static void assert_undone(const struct panbind_state *undone, const struct panbind_state *before,
			  const struct panbind_state *now, const struct ranges *ranges)
{
	struct panbind_state *mended = NULL;

	/* Grafted back, it is what was there before the undo: nothing else has changed. */
	assert_int_equal(panbind_state_graft(undone, now, ranges->vas, ranges->sizes, ranges->count, &mended), 0);
	assert_int_equal(differences(mended, now), 0);
	panbind_state_destroy(mended);
	/* And what is in the ranges is what was there before the entry. */
	assert_int_equal(panbind_state_graft(before, undone, ranges->vas, ranges->sizes, ranges->count, &mended), 0);
	assert_int_equal(differences(mended, before), 0);
	panbind_state_destroy(mended);
}

static void test_undo_after_do_gives_what_was_before(void **state)
{
	struct test_random random = test_random_start("undos");
	size_t rounds = test_rounds(2000, 50000), done = 0;
	struct session_room *room = session_room_open("sim:");

	session_room_must(room, "repeat 3 i\nbo create b$i 128K\nend\n");
	for (size_t i = 0; i < rounds; i++) {
		struct panbind_state *before, *after, *now, *wanted = NULL;
		struct ranges ranges = {0};
		bool others = i % 2;

		session_room_must(room, "vm destroy v --missing-ok\nvm create v\n");
		random_state(room, &random, "v");
		/* Given a state, and a transaction that changes it, and later ones elsewhere. */
		before = state_of(room, "v");
		for (size_t j = test_random_below(&random, MOST_OPS); j > 0; j--)
			do_something(room, &random, &ranges, NULL);
		after = state_of(room, "v");
		done += differences(before, after) > 0;
		for (size_t j = 0; others && j < 6; j++)
			do_something(room, &random, NULL, &ranges);
		now = state_of(room, "v");
		/* When it is undone, then its ranges are as before, and the rest as it is now. */
		assert_int_equal(panbind_state_graft(now, before, ranges.vas, ranges.sizes, ranges.count, &wanted), 0);
		lead_by_script(room, "v", wanted);
		if (!others)
			assert_int_equal(differences(wanted, before), 0);
		else
			assert_undone(wanted, before, now, &ranges);
		truth_assert(panbind_session_vm(room->session, "v"));
		panbind_state_destroy(before);
		panbind_state_destroy(after);
		panbind_state_destroy(now);
		panbind_state_destroy(wanted);
	}
	session_room_close(room);
	assert_true(done > rounds / 2);
}

/* What a dump makes on a fresh device is what it was made of: nothing differs, BOs that lost their names included. */
static void test_a_dump_is_the_state(void **state)
{
	struct test_random random = test_random_start("dumps");
	size_t rounds = test_rounds(300, 5000);

	for (size_t i = 0; i < rounds; i++) {
		struct session_room *room = session_room_open("sim:");
		struct panbind_script *script = NULL;
		struct panbind_state *live, *dumped = NULL;
		struct panbind_error error = {0};
		char *text = NULL;

		session_room_must(room, "vm create v\nrepeat 3 i\nbo create b$i 128K\nend\n");
		random_state(room, &random, "v");
		session_room_must(room, "bo destroy b0\nbo create b0 64K\n");
		random_state(room, &random, "v");
		live = state_of(room, "v");
		assert_int_equal(panbind_session_dump(room->session, "v", &text), 0);
		assert_int_equal(panbind_script_parse("dump", text, strlen(text), NULL, &script, &error), 0);
		if (panbind_script_state(script, "v", &dumped, &error) < 0)
			fail_msg("line %u: %s", error.line, error.msg);
		assert_int_equal(differences(live, dumped), 0);
		assert_int_equal(differences(dumped, live), 0);
		panbind_state_destroy(live);
		panbind_state_destroy(dumped);
		panbind_script_destroy(script);
		free(text);
		session_room_close(room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_state_leads_to_any_other),
		cmocka_unit_test(test_undo_after_do_gives_what_was_before),
		cmocka_unit_test(test_a_dump_is_the_state),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
