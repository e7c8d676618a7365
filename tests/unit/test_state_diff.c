/* SPDX-License-Identifier: MIT */
/* Differences between two states, the ops that they come down to, and the script that brings a state about. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "session_room.h"

/* ---- Words ---- */

static struct panbind_script *parsed(const char *text)
{
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};

	if (panbind_script_parse("test", text, strlen(text), NULL, &script, &error) < 0)
		fail_msg("%s", error.msg);
	return script;
}

static struct panbind_state *state_of(const char *text)
{
	struct panbind_script *script = parsed(text);
	struct panbind_state *state = NULL;
	struct panbind_error error = {0};

	if (panbind_script_state(script, NULL, &state, &error) < 0)
		fail_msg("line %u: %s", error.line, error.msg);
	panbind_script_destroy(script);
	return state;
}

static void put_side(FILE *out, const struct panbind_state_side *side)
{
	if (side->backing == PANBIND_BACKING_NONE)
		fputs("-", out);
	else if (side->backing == PANBIND_BACKING_SPARSE)
		fputs("sparse", out);
	else
		fprintf(out, "%s+%" PRIx64 "%s%s", side->bo->name, side->bo_offset >> 12, side->bo->nameless ? "!" : "",
			side->flags & PANBIND_MAP_READONLY ? "r" : "");
}

/* Differences and ops as text, in pages. */
static char *told(const struct panbind_state_diff *diff)
{
	static const char *const verbs[] = {[PANBIND_CHANGE_MAP] = "map",
					    [PANBIND_CHANGE_UNMAP] = "unmap",
					    [PANBIND_CHANGE_MAP_SPARSE] = "sparse",
					    [PANBIND_CHANGE_SPARSE_RESERVE] = "reserve",
					    [PANBIND_CHANGE_SPARSE_RELEASE] = "release"};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const struct panbind_state_difference *item;
	const struct panbind_state_op *op;

	for (size_t i = 0; (item = panbind_state_diff_at(diff, i)); i++) {
		fprintf(out, "%s%" PRIx64 "+%" PRIx64 " ",
			item->type == PANBIND_DIFFERENCE_REGION ? "R"
			: item->type == PANBIND_DIFFERENCE_BO	? "B"
								: "",
			item->va >> 12, item->size >> 12);
		put_side(out, &item->from);
		fputs(item->anew ? " >> " : " > ", out);
		put_side(out, &item->to);
		fputs("\n", out);
	}
	for (size_t i = 0; (op = panbind_state_diff_op(diff, i)); i++) {
		fprintf(out, "%s %" PRIx64 "+%" PRIx64, verbs[op->type], op->va >> 12, op->size >> 12);
		if (op->bo)
			fprintf(out, " %s+%" PRIx64, op->bo->name, op->bo_offset >> 12);
		fputs("\n", out);
	}
	fclose(out);
	return text;
}

static void assert_diff(const char *from_text, const char *to_text, const char *expected)
{
	struct panbind_state *from = state_of(from_text), *to = state_of(to_text);
	struct panbind_state_diff *diff = NULL;
	char *text;

	assert_int_equal(panbind_state_diff(from, to, &diff), 0);
	text = told(diff);
	assert_string_equal(text, expected);
	assert_true(panbind_state_diff_op_count(diff) <= panbind_state_diff_count(diff));
	free(text);
	panbind_state_diff_destroy(diff);
	panbind_state_destroy(from);
	panbind_state_destroy(to);
}

#define BOS "vm create v\nbo create x 1M\nbo create y 1M\n"

/* ---- Differences ---- */

static void test_equal_states_do_not_differ(void **state)
{
	assert_diff(BOS "map v 0 64K x\nsparse reserve v 1G 4M\n", BOS "sparse reserve v 1G 4M\nmap v 0 64K x\n", "");
}

static void test_pieces_that_continue_each_other_are_one(void **state)
{
	assert_diff(BOS "map v 0 8K x\nmap v 8K 8K x+8K\n", BOS "map v 0 16K x\n", "");
}

static void test_gone_new_and_replaced_in_order(void **state)
{
	assert_diff(BOS "map v 0 4K x\nmap v 0x2000 8K x\nmap v 0x8000 4K y\n",
		    BOS "map v 0x2000 4K x\nmap v 0x3000 4K y+4K\nmap v 0x8000 4K y --readonly\nmap v 0x9000 4K x\n",
		    "0+1 x+0 > -\n"
		    "3+1 x+1 > y+1\n"
		    "8+1 y+0 > y+0r\n"
		    "9+1 - > x+0\n"
		    "unmap 0+1\n"
		    "map 3+1 y+1\n"
		    "map 8+1 y+0\n"
		    "map 9+1 x+0\n");
}

static void test_ranges_that_one_map_replaces_share_an_op(void **state)
{
	assert_diff(BOS "map v 0 4K x\nmap v 0x1000 4K x+64K\n", BOS "map v 0 12K y\n",
		    "0+1 x+0 > y+0\n"
		    "1+1 x+10 > y+1\n"
		    "2+1 - > y+2\n"
		    "map 0+3 y+0\n");
}

static void test_one_unmap_passes_over_holes(void **state)
{
	assert_diff(BOS "map v 0 4K x\nmap v 0x4000 4K y\nmap v 0x8000 4K x\nmap v 0xa000 4K x\n",
		    BOS "map v 0x8000 4K x\n",
		    "0+1 x+0 > -\n"
		    "4+1 y+0 > -\n"
		    "a+1 x+0 > -\n"
		    "unmap 0+5\n"
		    "unmap a+1\n");
}

static void test_binding_in_a_region_replaces_in_place(void **state)
{
	assert_diff(BOS "sparse reserve v 0 64K\nsparse bind v 0 4K x\n",
		    BOS "sparse reserve v 0 64K\n"
			"sparse bind v 4K 4K x\n",
		    "0+1 x+0 > sparse\n"
		    "1+1 sparse > x+0\n"
		    "sparse 0+1\n"
		    "map 1+1 x+0\n");
}

static void test_a_new_region_is_made_with_its_holes(void **state)
{
	assert_diff(BOS "map v 0 8K x\n", BOS "sparse reserve v 0 20K\nsparse bind v 0 8K x\nunmap v 0x3000 4K\n",
		    "R0+5 - > sparse\n"
		    "0+2 x+0 >> -\n"
		    "0+2 - >> x+0\n"
		    "2+1 - >> sparse\n"
		    "3+1 - >> -\n"
		    "4+1 - >> sparse\n"
		    "unmap 0+2\n"
		    "reserve 0+5\n"
		    "map 0+2 x+0\n"
		    "unmap 3+1\n");
}

static void test_what_a_released_region_held_is_mapped_anew(void **state)
{
	assert_diff(BOS "sparse reserve v 0 64K\nsparse bind v 4K 4K x\n", BOS "map v 4K 4K x\n",
		    "R0+10 sparse > -\n"
		    "0+1 sparse >> -\n"
		    "1+1 x+0 >> -\n"
		    "2+e sparse >> -\n"
		    "1+1 - >> x+0\n"
		    "release 0+10\n"
		    "map 1+1 x+0\n");
}

static void test_a_bo_of_another_size_is_told(void **state)
{
	assert_diff("vm create v\nbo create x 8K\nmap v 0 4K x\n", "vm create v\nbo create x 4K\nmap v 0 4K x\n",
		    "B0+0 x+0 > x+0\n");
}

/* Nobody can name them any more, but a dump of a dump must be equal to it. */
static void test_nameless_bos_pair_up(void **state)
{
	assert_diff("vm create v\nbo create gone 8K\nmap v 0 8K gone\nbo destroy gone\n",
		    "vm create v\nbo create unnamed-1 8K\nmap v 0 8K unnamed-1\nbo destroy unnamed-1\n", "");
	assert_diff("vm create v\nbo create a 4K\nbo create b 4K\nmap v 0 4K a\nmap v 4K 4K b\nmap v 8K 4K a\n"
		    "bo destroy a\nbo destroy b\n",
		    "vm create v\nbo create a 4K\nbo create b 4K\nmap v 0 4K b\nmap v 4K 4K a\nmap v 8K 4K a\n"
		    "bo destroy a\nbo destroy b\n",
		    "0+1 a+0! > b+0!\n1+1 b+0! > a+0!\nmap 0+1 b+0\nmap 1+1 a+0\n");
}

static void test_a_name_given_up_is_not_that_of_its_heir(void **state)
{
	assert_diff("vm create v\nbo create x 4K\nmap v 0 4K x\n",
		    "vm create v\nbo create x 4K\nmap v 0 4K x\nbo destroy x\nbo create x 4K\n",
		    "0+1 x+0 > x+0!\nmap 0+1 x+0\n");
}

/* ---- Made by hand ---- */

static void test_a_state_is_filled_in_order(void **state)
{
	struct panbind_state_bo bo = {.name = "x", .size = 1 << 20};
	struct panbind_state *made = NULL;
	uint32_t index;

	assert_int_equal(panbind_state_create(&made), 0);
	assert_int_equal(panbind_state_add_bo(made, &bo, &index), 0);
	assert_int_equal(panbind_state_map(made, 0x1000, 0x1000, index, 0, 0), 0);
	assert_int_equal(panbind_state_map(made, 0x2000, 0x1000, index, 0x1000, 0), 0);
	assert_int_equal(panbind_state_count(made), 1);
	assert_int_equal(panbind_state_map(made, 0x2000, 0x1000, index, 0, 0), -EINVAL);
	assert_int_equal(panbind_state_map(made, 0x3000, 0x800, index, 0, 0), -EINVAL);
	assert_int_equal(panbind_state_map(made, 0x3000, 0, index, 0, 0), -EINVAL);
	assert_int_equal(panbind_state_map(made, 0x3000, 0x1000, index + 1, 0, 0), -EINVAL);
	assert_int_equal(panbind_state_map(made, 0x3000, 0x1000, PANBIND_STATE_SPARSE, 0, 0), 0);
	assert_int_equal(panbind_state_count(made), 2);
	assert_int_equal(panbind_state_add_region(made, 0x10000, 0x1000), 0);
	assert_int_equal(panbind_state_add_region(made, 0x10000, 0x1000), -EINVAL);
	assert_string_equal(panbind_state_bo(made, index)->name, "x");
	assert_null(panbind_state_bo(made, index + 1));
	panbind_state_destroy(made);
	panbind_state_destroy(NULL);
}

static void test_generations_tell_bos_of_one_name_apart(void **state)
{
	struct panbind_state_bo bo = {.name = "x", .size = 4096, .generation = 1};
	struct panbind_state *states[3] = {0};
	struct panbind_state_diff *diff = NULL;
	uint32_t index;

	for (uint64_t i = 0; i < 3; i++) {
		bo.generation = i; /* 0: unknown */
		assert_int_equal(panbind_state_create(&states[i]), 0);
		assert_int_equal(panbind_state_add_bo(states[i], &bo, &index), 0);
		assert_int_equal(panbind_state_map(states[i], 0, 4096, index, 0, 0), 0);
	}
	assert_int_equal(panbind_state_diff(states[1], states[2], &diff), 0);
	assert_int_equal(panbind_state_diff_count(diff), 1);
	panbind_state_diff_destroy(diff);
	assert_int_equal(panbind_state_diff(states[1], states[0], &diff), 0);
	assert_int_equal(panbind_state_diff_count(diff), 0);
	panbind_state_diff_destroy(diff);
	for (int i = 0; i < 3; i++)
		panbind_state_destroy(states[i]);
}

static void test_a_script_with_several_vms_asks_which(void **state)
{
	struct panbind_script *script = parsed("vm create a\nvm create b\n");
	struct panbind_state *made = NULL;
	struct panbind_error error = {0};

	assert_int_equal(panbind_script_state(script, NULL, &made, &error), -EINVAL);
	assert_non_null(strstr(error.msg, "several VMs (a, b"));
	assert_int_equal(panbind_script_state(script, "c", &made, &error), -ENOENT);
	assert_null(made);
	assert_int_equal(panbind_script_state(script, "b", &made, &error), 0);
	panbind_state_destroy(made);
	panbind_script_destroy(script);
}

/* ---- Ops run on a VM ---- */

static void test_ops_run_as_one_transaction(void **state)
{
	struct session_room *room = session_room_open("sim:fault=VM_BIND#5=ENOMEM");
	struct panbind_vm *vm;
	struct panbind_state *before = NULL, *after = NULL, *now = NULL;
	struct panbind_state_diff *diff = NULL;
	struct panbind_error error = {0};
	enum panbind_outcome outcome;

	/* Given a VM, and a state of another with a region where it has mappings. */
	session_room_must(room, "vm create v\nvm create w\nbo create x 1M\nmap v 0 64K x\n"
				"sparse reserve w 4K 8K\nmap w 4K 4K x\n");
	vm = panbind_session_vm(room->session, "v");
	assert_int_equal(panbind_state_of_vm(vm, &before), 0);
	assert_int_equal(panbind_session_state(room->session, "w", &after), 0);
	assert_int_equal(panbind_state_diff(before, after, &diff), 0);
	/* When the driver fails in the middle, then nothing is left of it. */
	assert_int_equal(panbind_state_diff_run(diff, vm, &outcome, &error), -ENOMEM);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(error.stage, PANBIND_STAGE_SUBMIT);
	panbind_state_diff_destroy(diff);
	assert_int_equal(panbind_state_of_vm(vm, &now), 0);
	assert_int_equal(panbind_state_diff(before, now, &diff), 0);
	assert_int_equal(panbind_state_diff_count(diff), 0);
	panbind_state_diff_destroy(diff);
	panbind_state_destroy(now);
	/* When it does not fail, then it is as the other. */
	assert_int_equal(panbind_state_diff(before, after, &diff), 0);
	assert_int_equal(panbind_state_diff_run(diff, vm, &outcome, &error), 0);
	assert_int_equal(outcome, PANBIND_OUTCOME_APPLIED);
	panbind_state_diff_destroy(diff);
	assert_int_equal(panbind_state_of_vm(vm, &now), 0);
	assert_int_equal(panbind_state_diff(now, after, &diff), 0);
	assert_int_equal(panbind_state_diff_count(diff), 0);
	panbind_state_diff_destroy(diff);
	panbind_state_destroy(now);
	panbind_state_destroy(before);
	panbind_state_destroy(after);
	session_room_close(room);
}

static void test_ops_without_their_bo_are_refused(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_state *from = NULL, *to = state_of(BOS "map v 4K 4K y\n");
	struct panbind_state_diff *diff = NULL;
	struct panbind_error error = {0};
	enum panbind_outcome outcome;

	session_room_must(room, BOS);
	assert_int_equal(panbind_session_state(room->session, "v", &from), 0);
	assert_int_equal(panbind_state_diff(from, to, &diff), 0);
	assert_int_equal(panbind_state_diff_run(diff, panbind_session_vm(room->session, "v"), &outcome, &error),
			 -ENOENT);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(error.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(error.op, 0);
	assert_string_equal(error.msg, "there is no BO y");
	panbind_state_diff_destroy(diff);
	panbind_state_destroy(from);
	panbind_state_destroy(to);
	session_room_close(room);
}

/* ---- The script ---- */

static int script_for(struct session_room *room, const char *to_text, uint32_t flags, char **ret_text, size_t *ret_ops,
		      struct panbind_error *reterr)
{
	struct panbind_state *to = state_of(to_text);
	int r = panbind_session_state_script(room->session, "v", to, flags, ret_text, ret_ops, reterr);

	panbind_state_destroy(to);
	return r;
}

static void test_a_script_brings_the_state_about_and_then_there_is_nothing_to_do(void **state)
{
	static const char wanted[] = "vm create v\nbo create x 1M\nbo create fresh 64K --wb\nbo create own 4K --vm=v\n"
				     "map v 0 8K x+4K\nmap v 1M 64K fresh --readonly\nmap v 2M 4K own\n";
	struct session_room *room = session_room_open("sim:");
	struct panbind_error error = {0};
	char *text = NULL;
	size_t ops = 99;

	session_room_must(room, BOS "map v 0 8K x\n");
	assert_int_equal(script_for(room, wanted, PANBIND_STATE_CREATE_BOS, &text, &ops, &error), 0);
	assert_string_equal(text, "bo create fresh 0x10000 --wb\nbo create own 0x1000 --vm=v\n"
				  "map v 0x0 0x2000 x+0x1000\nmap v 0x100000 0x10000 fresh+0x0 --readonly\n"
				  "map v 0x200000 0x1000 own+0x0\n");
	assert_int_equal(ops, 3);
	session_room_must(room, text);
	free(text);
	assert_int_equal(script_for(room, wanted, 0, &text, &ops, &error), 0);
	assert_string_equal(text, "");
	assert_int_equal(ops, 0);
	free(text);
	session_room_close(room);
}

static void test_bos_that_are_missing_or_others_are_named(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_error error = {0};
	char *text = NULL;
	size_t ops;

	session_room_must(room, BOS "bo create small 4K\n");
	assert_int_equal(script_for(room, "vm create v\nbo create z 4K\nmap v 0 4K z\n", 0, &text, &ops, &error),
			 -ENOENT);
	assert_string_equal(error.msg, "0x0+0x1000 maps the BO z, and there is none of that name");
	assert_int_equal(script_for(room, "vm create v\nbo create small 8K\nmap v 0 8K small\n", 0, &text, &ops,
				    &error),
			 -EINVAL);
	assert_string_equal(error.msg, "0x0+0x2000 maps the BO small, and the one of that name is too small for it");
	assert_null(text);
	session_room_close(room);
}

static void test_a_graft_takes_what_was_there(void **state)
{
	struct panbind_state *now = state_of(BOS "map v 0 64K x\nsparse reserve v 1M 64K\n");
	struct panbind_state *then = state_of(BOS "map v 0 64K y --readonly\nmap v 1M 64K x\n");
	struct panbind_state *made = NULL;
	struct panbind_state_diff *diff = NULL;
	uint64_t vas[] = {0x2000, 0x100000}, sizes[] = {0x1000, 0x10000};
	char *text;

	assert_int_equal(panbind_state_graft(now, then, vas, sizes, 2, &made), 0);
	assert_int_equal(panbind_state_diff(now, made, &diff), 0);
	text = told(diff);
	assert_string_equal(text, "2+1 x+2 > y+2r\n"
				  "R100+10 sparse > -\n"
				  "100+10 sparse >> -\n"
				  "100+10 - >> x+0\n"
				  "release 100+10\n"
				  "map 2+1 y+2\n"
				  "map 100+10 x+0\n");
	free(text);
	panbind_state_diff_destroy(diff);
	panbind_state_destroy(made);
	panbind_state_destroy(now);
	panbind_state_destroy(then);
}

/* ---- Generations of a mapping ---- */

static void test_every_change_has_a_generation_of_its_own(void **state)
{
	struct session_room *room = session_room_open("sim:fault=VM_BIND#2:op=1:ENOMEM");
	struct panbind_vm *vm;
	uint64_t first, second;
	char text[128];

	session_room_must(room, BOS);
	vm = panbind_session_vm(room->session, "v");
	first = panbind_vm_map_generation(vm);
	session_room_must(room, "map v 0 4K x\n");
	second = panbind_vm_map_generation(vm);
	assert_true(second > first);
	/* A transaction that is undone has changed nothing. */
	assert_int_equal(session_room_run(room, "map v 4K 4K x\nmap v 8K 4K x\n", 0), -ENOMEM);
	assert_int_equal(panbind_vm_map_generation(vm), second);
	/* Who has seen the old one is refused, before anything is done. */
	snprintf(text, sizeof(text), "if-generation v %" PRIu64 "\nmap v 4K 4K x\n", first);
	assert_int_equal(session_room_run(room, text, 0), -ESTALE);
	assert_int_equal(room->error.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(room->error.line, 1);
	assert_int_equal(panbind_vm_map_generation(vm), second);
	snprintf(text, sizeof(text), "if-generation v %" PRIu64 "\nmap v 4K 4K x\n", second);
	session_room_must(room, text);
	/* The host's own number, and what follows it. */
	panbind_vm_set_map_generation(vm, 1000);
	assert_int_equal(panbind_vm_map_generation(vm), 1000);
	session_room_must(room, "vm destroy v\nvm create v\n");
	assert_true(panbind_vm_map_generation(panbind_session_vm(room->session, "v")) > 1000);
	session_room_close(room);
}

/* ---- ensure, and destroy of what may be missing ---- */

static void test_ensure_does_nothing_when_it_is_so(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_vm *vm;
	uint64_t generation;

	session_room_must(room, "vm ensure v --va=1G\nbo ensure x 1M --wb\nensure v 0 64K x\n");
	vm = panbind_session_vm(room->session, "v");
	generation = panbind_vm_map_generation(vm);
	session_room_must(room, "vm ensure v --va=1G\nbo ensure x 1M --wb\nensure v 4K 8K x+4K\n");
	assert_int_equal(panbind_vm_map_generation(vm), generation);
	assert_int_equal(room->result.ops, 0);
	/* Other flags are another mapping. */
	session_room_must(room, "ensure v 4K 8K x+4K --readonly\n");
	assert_int_equal(room->result.ops, 1);
	assert_int_equal(session_room_run(room, "bo ensure x 2M --wb\n", 0), -EEXIST);
	assert_int_equal(session_room_run(room, "bo ensure x 1M\n", 0), -EEXIST);
	assert_string_equal(room->error.msg, "there is a BO x already, of 0x100000 bytes, wb");
	session_room_close(room);
}

static void test_destroy_of_what_is_missing_can_be_asked_to_succeed(void **state)
{
	struct session_room *room = session_room_open("sim:");

	assert_int_equal(session_room_run(room, "vm destroy v\n", 0), -ENOENT);
	session_room_must(room, "vm destroy v --missing-ok\nbo destroy x --missing-ok\n");
	session_room_must(room, "vm create v\nvm destroy v --missing-ok\nvm destroy v --missing-ok\n");
	assert_null(panbind_session_vm(room->session, "v"));
	session_room_close(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_states_do_not_differ),
		cmocka_unit_test(test_pieces_that_continue_each_other_are_one),
		cmocka_unit_test(test_gone_new_and_replaced_in_order),
		cmocka_unit_test(test_ranges_that_one_map_replaces_share_an_op),
		cmocka_unit_test(test_one_unmap_passes_over_holes),
		cmocka_unit_test(test_binding_in_a_region_replaces_in_place),
		cmocka_unit_test(test_a_new_region_is_made_with_its_holes),
		cmocka_unit_test(test_what_a_released_region_held_is_mapped_anew),
		cmocka_unit_test(test_a_bo_of_another_size_is_told),
		cmocka_unit_test(test_nameless_bos_pair_up),
		cmocka_unit_test(test_a_name_given_up_is_not_that_of_its_heir),
		cmocka_unit_test(test_a_state_is_filled_in_order),
		cmocka_unit_test(test_generations_tell_bos_of_one_name_apart),
		cmocka_unit_test(test_a_script_with_several_vms_asks_which),
		cmocka_unit_test(test_ops_run_as_one_transaction),
		cmocka_unit_test(test_ops_without_their_bo_are_refused),
		cmocka_unit_test(test_a_script_brings_the_state_about_and_then_there_is_nothing_to_do),
		cmocka_unit_test(test_bos_that_are_missing_or_others_are_named),
		cmocka_unit_test(test_a_graft_takes_what_was_there),
		cmocka_unit_test(test_every_change_has_a_generation_of_its_own),
		cmocka_unit_test(test_ensure_does_nothing_when_it_is_so),
		cmocka_unit_test(test_destroy_of_what_is_missing_can_be_asked_to_succeed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
