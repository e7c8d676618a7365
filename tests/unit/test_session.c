/* SPDX-License-Identifier: MIT */
/* Sessions: what a script does to VMs, BOs and mappings, what a failure undoes, and what each error says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_room.h"

/* Two VMs, two BOs, a region: what most tests start from. */
static const char basic[] = "vm create a\nvm create b\nbo create x 1M\nbo create y 64K\nsyncobj create s\n"
			    "map a 0x100000 64K x+64K --noexec\nsparse reserve a 0x10000000 4M\n";

static struct session_room *open_basic(const char *spec)
{
	struct session_room *room = session_room_open(spec);

	session_room_must(room, basic);
	return room;
}

/* The run fails, with this error at this line, and nothing remains of it. */
static void assert_undone(struct session_room *room, const char *text, int code, enum panbind_stage stage,
			  uint32_t line, const char *says)
{
	char *before = session_room_dump(room), *after;
	int r = session_room_run(room, text, 0);

	if (r != code || room->error.stage != stage || room->error.line != line || !strstr(room->error.msg, says))
		fail_msg("%s\n-> %s, stage %s, line %u: %s", text, panbind_errno_name(r),
			 panbind_stage_name(room->error.stage), room->error.line, room->error.msg);
	assert_int_equal(room->error.code, code);
	assert_string_equal(room->error.file, "test.pb");
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(room->result.ops, 0);
	assert_true(room->errors == 1);
	after = session_room_dump(room);
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void test_a_script_without_begin_is_one_transaction(void **state)
{
	struct session_room *room = open_basic("sim:");

	assert_int_equal(room->txns, 1);
	assert_int_equal(room->last_outcome, PANBIND_OUTCOME_APPLIED);
	assert_int_equal(room->result.ops, 2);
	assert_int_equal(room->result.commands, 7);
	assert_non_null(panbind_session_vm(room->session, "a"));
	assert_null(panbind_session_vm(room->session, "x"));
	assert_string_equal(panbind_session_vm_name(room->session, 1), "b");
	assert_null(panbind_session_vm_name(room->session, 2));
	session_room_must(room, "assert mapped a 0x100000 64K x+64K --noexec\n"
				"assert mapped a 0x104000 16K x+80K\n"
				"assert sparse a 0x10000000 4M\n"
				"assert unmapped a 0x110000 64K\n"
				"assert unmapped b 0 1G\n"
				"assert state a usable");
	session_room_close(room);
}

static void test_the_check_comes_before_the_first_op(void **state)
{
	struct session_room *room = open_basic("sim:");

	assert_undone(room, "map a 0 4K x\nmap a 4K 4K nope", -ENOENT, PANBIND_STAGE_VALIDATE, 2, "no BO nope");
	assert_int_equal(room->result.commands, 0);
	assert_undone(room, "vm create c\nmap c 0 4K x\nmap a 1 4K x", -EINVAL, PANBIND_STAGE_VALIDATE, 3,
		      "whole pages");
	assert_int_equal(room->error.op, 1);
	assert_int_equal(room->error.va, 1);
	assert_undone(room, "map a 0 0 x", -EINVAL, PANBIND_STAGE_VALIDATE, 1, "empty");
	assert_undone(room, "map a 0 4K x+0x800", -EINVAL, PANBIND_STAGE_VALIDATE, 1, "multiple of 4096");
	assert_undone(room, "map a 0 64K y+4K", -EINVAL, PANBIND_STAGE_VALIDATE, 1, "passes the end of y");
	assert_undone(room, "unmap a 0x7ffffffff000 8K", -EINVAL, PANBIND_STAGE_VALIDATE, 1, "VA range");
	assert_undone(room, "bo create z 64K --vm=b\nmap a 0 4K z", -EINVAL, PANBIND_STAGE_VALIDATE, 2,
		      "exclusive to the VM b");
	assert_undone(room, "bo create z 64K --no-mmap\nbo fill z 1", -EINVAL, PANBIND_STAGE_VALIDATE, 2, "--no-mmap");
	assert_undone(room, "vm create b", -EEXIST, PANBIND_STAGE_VALIDATE, 1, "already");
	assert_undone(room, "vm destroy b\nunmap b 0 4K", -ENOENT, PANBIND_STAGE_VALIDATE, 2, "no VM b");
	assert_undone(room, "vm create c --va=1T\nunmap c 512T 4K", -EINVAL, PANBIND_STAGE_VALIDATE, 2, "VA range");
	assert_undone(room, "vm create c --va=256T", -EINVAL, PANBIND_STAGE_VALIDATE, 1, "48 bits");
	assert_undone(room, "bo create z 0", -EINVAL, PANBIND_STAGE_VALIDATE, 1, "at least a byte");
	assert_undone(room, "syncobj signal t", -ENOENT, PANBIND_STAGE_VALIDATE, 1, "no syncobj t");
	session_room_close(room);
}

static void test_a_failure_undoes_the_whole_transaction(void **state)
{
	struct session_room *room = open_basic("sim:");

	/* An assertion fails after binds on two VMs, new objects, a release, a label. */
	assert_undone(room,
		      "vm create c\nbo create z 64K\nbo label x lost\nmap c 0 64K z\nmap a 0x100000 64K y\n"
		      "sparse bind a 0x10000000 64K x\nsparse release a 0x10000000 4M\nsparse reserve a 0x20000000 2M\n"
		      "bo destroy y\nassert mapped a 0 4K x\n",
		      -EPROTO, PANBIND_STAGE_COMPLETE, 10, "is not mapped");
	assert_null(panbind_session_vm(room->session, "c"));
	/* The region is there again, as a region. */
	session_room_must(room, "sparse bind a 0x10000000 64K x\nmap a 0 4K y");
	/* A destroyed VM comes back with its mappings, in its old place. */
	assert_undone(room, "vm destroy a\nvm create a\nassert mapped a 0x100000 64K x+64K", -EPROTO,
		      PANBIND_STAGE_COMPLETE, 3, "is not mapped");
	assert_string_equal(panbind_session_vm_name(room->session, 0), "a");
	session_room_close(room);
}

static void test_the_driver_failing_an_op_undoes_those_before_it(void **state)
{
	struct session_room *room = session_room_open("sim:fault=VM_BIND#2:op=1:ENOMEM");

	session_room_must(room, "vm create a\nbo create x 1M\nmap a 0 4K x");
	assert_undone(room, "map a 0x10000 4K x\n# the second op of the second VM_BIND\nunmap a 0 4K", -ENOMEM,
		      PANBIND_STAGE_SUBMIT, 3, "unmap");
	assert_int_equal(room->error.op, 1);
	assert_int_equal(room->last_outcome, PANBIND_OUTCOME_ROLLED_BACK);
	session_room_must(room, "unmap a 0 4K\nassert unmapped a 0 1M");
	session_room_close(room);
}

static void test_blocks_are_transactions_of_their_own(void **state)
{
	struct session_room *room = open_basic("sim:");
	int r = session_room_run(room,
				 "begin\nmap a 0 4K x\nmap b 0 4K x\ncommit\n"
				 "map a 0x4000 4K y\n"
				 "begin\nunmap a 0 4K\nrollback\n"
				 "begin\nunmap b 0 4K\nassert mapped b 0 4K x\ncommit\n"
				 "echo not reached\n",
				 0);

	assert_int_equal(r, -EPROTO);
	assert_int_equal(room->error.line, 11);
	assert_int_equal(room->txns, 3);
	assert_int_equal(room->result.ops, 3);
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_string_equal(room->output, "");
	session_room_must(room, "assert mapped a 0 4K x\nassert mapped b 0 4K x\nassert mapped a 0x4000 4K y");
	session_room_close(room);
}

static void test_a_wanted_rollback_is_no_failure(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "begin\nvm create c\nmap c 0 4K x\nassert mapped c 0 4K x\nrollback\n");
	assert_int_equal(room->last_outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_APPLIED);
	assert_null(panbind_session_vm(room->session, "c"));
	session_room_close(room);
}

static void test_a_failed_rollback_is_told(void **state)
{
	struct session_room *room = session_room_open("sim:fault=VM_BIND#2:op=1:ENOMEM,fault=VM_BIND#3=EIO");
	int r;

	session_room_must(room, "vm create a\nbo create x 1M\nmap a 0 4K x");
	r = session_room_run(room, "map a 0x10000 4K x\nmap a 0 4K x+4K\nvm create c\n", 0);
	assert_true(r < 0);
	assert_int_equal(room->error.stage, PANBIND_STAGE_ROLLBACK);
	assert_true(room->result.outcome >= PANBIND_OUTCOME_PARTIAL);
	assert_int_equal(room->errors, 1);
	session_room_must(room, "assert state a poisoned");
	r = session_room_run(room, "unmap a 0 4K", 0);
	assert_int_equal(r, -EUCLEAN);
	session_room_close(room);
}

static void test_expected_failures_do_not_end_a_transaction(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "map a 0 4K x\n"
				"expect EINVAL map a 1 4K x\n"
				"expect ENOENT map nope 0 4K x\n"
				"expect EEXIST sparse reserve a 0 4K\n"
				"expect ENOENT sparse bind a 0 4K x\n"
				"expect ENOENT sparse release a 0x10000000 2M\n"
				"expect EEXIST vm create a\n"
				"expect EINVAL bo create z 0\n"
				"expect EPROTO assert unmapped a 0 4K\n"
				"expect ETIME syncobj wait s --timeout=1 --for-submit\n"
				"expect EINVAL syncobj wait s --timeout=1\n"
				"map a 0x4000 4K x\n");
	session_room_must(room, "assert mapped a 0 4K x\nassert mapped a 0x4000 4K x");
	session_room_close(room);
}

static void test_an_expected_failure_that_does_not_come_is_one(void **state)
{
	struct session_room *room = open_basic("sim:");

	assert_undone(room, "map a 0 4K x\nexpect EINVAL map a 0x1000 4K x\n", -EPROTO, PANBIND_STAGE_COMPLETE, 2,
		      "it succeeded");
	assert_undone(room, "expect ENOMEM map a 1 4K x\n", -EPROTO, PANBIND_STAGE_COMPLETE, 1, "got EINVAL");
	session_room_close(room);
}

static void test_a_block_may_be_expected_to_fail(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "begin\nmap a 0 4K x\nmap a 4K 4K nope\nexpect ENOENT commit\nassert unmapped a 0 64K");
	assert_int_equal(room->result.ops, 0);
	assert_undone(room, "begin\nmap a 0 4K x\nexpect ENOENT commit", -EPROTO, PANBIND_STAGE_COMPLETE, 3,
		      "it succeeded");
	session_room_close(room);
}

static void test_keep_going_goes_on_after_each_failure(void **state)
{
	struct session_room *room = open_basic("sim:");
	int r = session_room_run(room, "map a 0 4K x\nmap a 1 4K x\nunmap nope 0 4K\nmap a 0x4000 4K x\n",
				 PANBIND_RUN_KEEP_GOING);

	assert_int_equal(r, -EINVAL);
	assert_int_equal(room->error.line, 2);
	assert_int_equal(room->errors, 2);
	assert_int_equal(room->result.failed, 2);
	assert_int_equal(room->result.ops, 2);
	session_room_must(room, "assert mapped a 0 4K x\nassert mapped a 0x4000 4K x");
	session_room_close(room);
}

static void test_keep_going_is_refused_with_a_transaction(void **state)
{
	struct session_room *room = open_basic("sim:");
	int r = session_room_run(room, "map a 0 4K x\n begin\nunmap a 0 4K\ncommit", PANBIND_RUN_KEEP_GOING);

	assert_int_equal(r, -EINVAL);
	assert_int_equal(room->error.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(room->error.line, 2);
	assert_int_equal(room->error.column, 2);
	session_room_must(room, "assert unmapped a 0 4K");
	session_room_close(room);
}

static void test_check_changes_nothing_and_finds_errors(void **state)
{
	struct session_room *room = open_basic("sim:");
	char *before = session_room_dump(room), *after;

	assert_int_equal(session_room_run(room,
					  "vm create c\nbo create z 8K --vm=c\nmap c 0 8K z\n"
					  "begin\nbo create w 4K\nmap c 0 4K w\nrollback\n"
					  "begin\nmap nope 0 4K z\nexpect ENOENT commit\n"
					  "expect ENOENT bo destroy w\necho said\nbo destroy z\n",
					  PANBIND_RUN_CHECK),
			 0);
	assert_string_equal(room->output, "");
	assert_int_equal(session_room_run(room, "begin\nbo create w 4K\nrollback\nmap a 0 4K w", PANBIND_RUN_CHECK),
			 -ENOENT);
	assert_int_equal(room->error.line, 4);
	assert_int_equal(session_room_run(room, "map a 1 4K x\nmap a 0 4K x\nbo destroy nope",
					  PANBIND_RUN_CHECK | PANBIND_RUN_KEEP_GOING),
			 -EINVAL);
	assert_int_equal(room->errors, 2);
	after = session_room_dump(room);
	assert_string_equal(after, before);
	free(before);
	free(after);
	session_room_close(room);
}

static void test_a_plan_sees_what_earlier_commands_did(void **state)
{
	struct session_room *room = open_basic("sim:");
	char *before = session_room_dump(room), *after;
	int r = session_room_run(room,
				 "bo label x \"not its name\"\n"
				 "map a 0x100000 4K x\n"
				 "map a 0x101000 4K x+4K\n"
				 "sparse bind a 0x10000000 64K y\n"
				 "assert mapped a 0x999000 4K x\n"
				 "unmap a 0x10000000 32K\n"
				 "echo quiet\n",
				 PANBIND_RUN_PLAN);

	assert_int_equal(r, 0);
	assert_string_equal(room->plan, "a map 0x100000+0x2000 x first=0 count=2 replaces=1 line=2\n"
					"a map 0x10000000+0x10000 y first=2 count=1 replaces=1 line=4\n"
					"a unmap 0x10000000+0x8000 - first=3 count=1 replaces=1 line=6\n");
	assert_int_equal(room->guarantee, PANBIND_GUARANTEE_RETURN);
	assert_string_equal(room->output, "");
	after = session_room_dump(room);
	assert_string_equal(after, before);
	free(before);
	free(after);

	assert_int_equal(session_room_run(room,
					  "begin async\nmap a 0 4K x\nmap a 4K 4K x+4K --wait=s --signal=s:3\ncommit",
					  PANBIND_RUN_PLAN),
			 0);
	assert_int_equal(room->plans, 2);
	assert_int_equal(room->guarantee, PANBIND_GUARANTEE_NONE);
	assert_int_equal(session_room_run(room, "map a 0 4K nope", PANBIND_RUN_PLAN), -ENOENT);
	session_room_close(room);
}

static void test_asynchronous_binds_wait_and_signal(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "syncobj create t\nsyncobj create ready --signaled\n"
				"begin async\n"
				"  map a 0 4K x --wait=ready\n"
				"  sparse bind a 0x10000000 64K x\n"
				"  sparse unbind a 0x10008000 4K\n"
				"  sync-only a --signal=t:5\n"
				"commit\n"
				"expect ETIME syncobj wait t:6 --timeout=1 --for-submit\n"
				"syncobj wait t:5\n"
				"assert point t 5\n"
				"unmap a 0 4K\n"
				"assert sparse a 0x10008000 4K\n"
				"assert mapped a 0x10009000 4K x+36K\n");
	session_room_close(room);
}

static void test_an_asynchronous_bind_is_refused_whole(void **state)
{
	struct session_room *room = open_basic("sim:");

	assert_undone(room, "begin async\nmap a 0 4K x\nmap a 1 4K x\ncommit", -EINVAL, PANBIND_STAGE_VALIDATE, 3,
		      "whole pages");
	assert_undone(room, "begin async\nmap a 0 4K x --signal=nope\ncommit", -ENOENT, PANBIND_STAGE_VALIDATE, 2,
		      "no syncobj nope");
	assert_undone(room, "begin async\ncommit", -EINVAL, PANBIND_STAGE_VALIDATE, 2, "needs an op");
	session_room_must(room, "begin async\nmap a 1 4K x\nexpect EINVAL commit\nbegin async\nmap a 0 4K x\nrollback");
	session_room_must(room, "assert unmapped a 0 64K");
	session_room_close(room);
}

static void test_the_gpu_sees_what_the_script_maps(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room,
			  "gpu resident a on\nbo stamp x 100\nbo fill y 0x1234 8 16\nmap a 0 1M x\nmap b 0 64K y\n"
			  "assert load a 0x3000 $(stamp(103))\nassert load a 8 0\n"
			  "gpu store a 0x3000 7\nassert load a 0x3000 7\ngpu load a 0x3000\n"
			  "gpu resident b on\nassert load b 0 0\nassert load b 8 0x1234\nassert load b 16 0x1234\n"
			  "assert load b 24 0\n"
			  "expect EFAULT gpu load a 0x400000\nassert faults a 1\nexpect EPROTO assert faults a 0\n"
			  "expect EPROTO assert load a 0 1\n"
			  "gpu resident a off\nexpect ENXIO gpu load a 0\nexpect ENXIO gpu read a 0 4K\n");
	assert_string_equal(room->output, "a 0x3000 0x0000000000000007\n");
	session_room_close(room);
}

static void test_readers_race_and_count(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "bo stamp x\nmap a 0 1M x\ngpu resident a on\ngpu read a 0 64K --threads=2\n"
				"expect EBUSY gpu read a 0 64K\n"
				"repeat 300 i\nmap a $(i % 16 * 4K) 4K x+$(i % 256 * 4K)\nend\n"
				"expect EBUSY assert torn a 0\n"
				"gpu stop a\nassert faults a 0\nassert torn a 0\nexpect ENOENT gpu stop a\n");
	assert_int_equal(room->gpus, 1);
	assert_true(room->stats.loads >= 32);
	assert_int_equal(room->torn, 0);
	/* A value that is no stamp is found, and a hole faults. */
	session_room_must(room, "bo fill x 99 0x5000 8\nmap a 0 1M x\ngpu read a 0 64K --threads=1\ngpu stop a\n"
				"expect EPROTO assert torn a 0\nunmap a 0 4K\ngpu read a 0 4K\ngpu stop a\n"
				"expect EPROTO assert faults a 0");
	assert_true(room->stats.faults >= 2);
	session_room_close(room);
}

static void test_a_session_goes_with_its_readers(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "gpu resident a on\ngpu read a 0x10000000 1M\n");
	assert_undone(room, "vm create c\ngpu resident c on\ngpu read c 0 4K\nassert faults c 99999999", -EPROTO,
		      PANBIND_STAGE_COMPLETE, 4, "faults");
	session_room_close(room);
}

static void test_lists_and_traces(void **state)
{
	struct session_room *room = open_basic("sim:");

	session_room_must(room, "vm list\nbo list\nvm show a --map\nvm show b\necho \"done\"");
	assert_int_equal(room->shows, 2);
	assert_non_null(strstr(room->output, "a id=1 va=0x800000000000 state=usable mappings=2 generation="));
	assert_non_null(strstr(room->output, "y handle=2 size=0x10000\n"));
	assert_int_equal(session_room_run(room,
					  "map a $(1 << 12) 4K x+4K --readonly\nexpect EINVAL unmap a 1 4K\n"
					  "syncobj signal s:3\ngpu resident a on",
					  PANBIND_RUN_TRACE),
			 0);
	assert_string_equal(room->output, "map a 0x1000 0x1000 x+0x1000 --readonly\n"
					  "expect EINVAL unmap a 0x1 0x1000\nsyncobj signal s:3\ngpu resident a on\n");
	session_room_close(room);
}

static void stop_at_echo(struct session_room *room, const struct panbind_event *event)
{
	if (event->type == PANBIND_EVENT_TEXT)
		panbind_session_stop(room->session);
}

static void test_a_stopped_run_undoes_and_stays_stopped(void **state)
{
	struct session_room *room = open_basic("sim:");

	room->on_event = stop_at_echo;
	assert_undone(room, "map a 0 4K x\necho stop here\nmap a 0x4000 4K x\n", -ECANCELED, PANBIND_STAGE_VALIDATE, 3,
		      "stopped");
	assert_int_equal(session_room_run(room, "map a 0 4K x", 0), -ECANCELED);
	assert_int_equal(session_room_run(room, "map a 0 4K x\nmap a 0 4K x", PANBIND_RUN_KEEP_GOING), -ECANCELED);
	assert_int_equal(room->errors, 1);
	session_room_close(room);
}

static void test_a_transaction_of_many_batches_is_undone_whole(void **state)
{
	struct session_room *room = open_basic("sim:");

	assert_undone(room,
		      "repeat 6000 i\nmap a $(0x40000000 + i * 4K) 4K x\nend\n"
		      "repeat 3000 i\nmap b $(0x40000000 + i * 4K) 4K x\nmap a $(i * 8K + 0x80000000) 4K y\nend\n"
		      "assert unmapped b 0 4G\n",
		      -EPROTO, PANBIND_STAGE_COMPLETE, 8, "is mapped");
	session_room_close(room);
}

static void test_scripts_with_parse_errors_run_only_when_kept_going(void **state)
{
	static const char text[] = "map a 0 4K x\nfrob\nmap a 0x4000 4K x";
	struct session_room *room = open_basic("sim:");
	struct panbind_script_options options = {.flags = PANBIND_SCRIPT_KEEP_GOING};
	struct panbind_script *script = NULL;
	struct panbind_error error = {0};

	assert_int_equal(panbind_script_parse("t", text, strlen(text), &options, &script, NULL), 0);
	assert_int_equal(panbind_session_run(room->session, script, 0, NULL, &error), -EINVAL);
	assert_int_equal(error.stage, PANBIND_STAGE_PARSE);
	assert_int_equal(error.line, 2);
	session_room_must(room, "assert unmapped a 0 64K");
	assert_int_equal(panbind_session_run(room->session, script, PANBIND_RUN_KEEP_GOING, NULL, &error), 0);
	session_room_must(room, "assert mapped a 0x4000 4K x");
	panbind_script_destroy(script);
	session_room_close(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_script_without_begin_is_one_transaction),
		cmocka_unit_test(test_the_check_comes_before_the_first_op),
		cmocka_unit_test(test_a_failure_undoes_the_whole_transaction),
		cmocka_unit_test(test_the_driver_failing_an_op_undoes_those_before_it),
		cmocka_unit_test(test_blocks_are_transactions_of_their_own),
		cmocka_unit_test(test_a_wanted_rollback_is_no_failure),
		cmocka_unit_test(test_a_failed_rollback_is_told),
		cmocka_unit_test(test_expected_failures_do_not_end_a_transaction),
		cmocka_unit_test(test_an_expected_failure_that_does_not_come_is_one),
		cmocka_unit_test(test_a_block_may_be_expected_to_fail),
		cmocka_unit_test(test_keep_going_goes_on_after_each_failure),
		cmocka_unit_test(test_keep_going_is_refused_with_a_transaction),
		cmocka_unit_test(test_check_changes_nothing_and_finds_errors),
		cmocka_unit_test(test_a_plan_sees_what_earlier_commands_did),
		cmocka_unit_test(test_asynchronous_binds_wait_and_signal),
		cmocka_unit_test(test_an_asynchronous_bind_is_refused_whole),
		cmocka_unit_test(test_the_gpu_sees_what_the_script_maps),
		cmocka_unit_test(test_readers_race_and_count),
		cmocka_unit_test(test_a_session_goes_with_its_readers),
		cmocka_unit_test(test_lists_and_traces),
		cmocka_unit_test(test_a_stopped_run_undoes_and_stays_stopped),
		cmocka_unit_test(test_a_transaction_of_many_batches_is_undone_whole),
		cmocka_unit_test(test_scripts_with_parse_errors_run_only_when_kept_going),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
