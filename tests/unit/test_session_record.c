/* SPDX-License-Identifier: MIT */
/* What a session tells its host of changes, what a host that cannot record does, and objects that the host names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_room.h"

/** What was recorded, a line a change, a blank line behind each transaction. */
struct book {
	char text[4096];
	size_t len;
	int refuse_at; /* this call returns -ENOSPC; 0: none */
	int calls;
	size_t failing; /* of the last failure */
	int code;
	uint64_t latency_ns; /* of all changes */
};

static const char *const words[] = {
	[PANBIND_CHANGE_MAP] = "map",
	[PANBIND_CHANGE_UNMAP] = "unmap",
	[PANBIND_CHANGE_SPARSE_RESERVE] = "reserve",
	[PANBIND_CHANGE_SPARSE_BIND] = "bind",
	[PANBIND_CHANGE_SPARSE_UNBIND] = "unbind",
	[PANBIND_CHANGE_SPARSE_RELEASE] = "release",
	[PANBIND_CHANGE_MAP_SPARSE] = "dummy",
	[PANBIND_CHANGE_SYNC_ONLY] = "sync",
	[PANBIND_CHANGE_VM_CREATE] = "vm+",
	[PANBIND_CHANGE_VM_DESTROY] = "vm-",
	[PANBIND_CHANGE_BO_CREATE] = "bo+",
	[PANBIND_CHANGE_BO_DESTROY] = "bo-",
};

static void note(struct book *book, const struct panbind_change *change)
{
	book->len += (size_t)snprintf(book->text + book->len, sizeof(book->text) - book->len,
				      "%s %s %s 0x%llx 0x%llx 0x%llx %u%s%s\n", words[change->type],
				      change->vm ? change->vm : "-", change->bo ? change->bo : "-",
				      (unsigned long long)change->va, (unsigned long long)change->size,
				      (unsigned long long)change->bo_offset, change->flags, change->syncs ? " " : "",
				      change->syncs ? change->syncs : "");
	book->latency_ns += change->latency_ns;
}

static int record(void *data, const struct panbind_changes *changes, struct panbind_error *reterr)
{
	struct book *book = data;

	if (++book->calls == book->refuse_at)
		return -ENOSPC;
	for (size_t i = 0; i < changes->count; i++)
		note(book, &changes->changes[i]);
	book->len += (size_t)snprintf(book->text + book->len, sizeof(book->text) - book->len, "%s%s\n",
				      changes->flags & PANBIND_CHANGES_ASYNC ? "async" : "",
				      changes->flags & PANBIND_CHANGES_FAILED ? "failed" : "");
	if (changes->flags & PANBIND_CHANGES_FAILED) {
		book->failing = changes->failing;
		book->code = changes->error->code;
	}
	return 0;
}

static struct session_room *open_recorded(struct book *book)
{
	struct session_room *room = session_room_open("sim:");

	panbind_session_set_record(room->session, record, book);
	return room;
}

static void a_transaction_is_recorded_in_its_own_words(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);

	session_room_must(room,
			  "vm create a --va=4G\nbo create x 5000 --vm=a\nmap a 0x1000 4K x+4K --readonly\n"
			  "sparse reserve a 0x400000 2M\nsparse bind a 0x400000 4K x\nsparse unbind a 0x400000 4K\n"
			  "sparse release a 0x400000 2M\nunmap a 0 64K\nbo destroy x\nvm destroy a");
	assert_string_equal(book.text + strlen("vm+ a - 0x0 0x800000000000 0x0 0\n"),
			    "bo+ a x 0x0 0x2000 0x0 0\n"
			    "map a x 0x1000 0x1000 0x1000 1\n"
			    "reserve a - 0x400000 0x200000 0x0 0\n"
			    "bind a x 0x400000 0x1000 0x0 0\n"
			    "unbind a - 0x400000 0x1000 0x0 0\n"
			    "release a - 0x400000 0x200000 0x0 0\n"
			    "unmap a - 0x0 0x10000 0x0 0\n"
			    "bo- - x 0x0 0x0 0x0 0\n"
			    "vm- a - 0x0 0x0 0x0 0\n\n");
	assert_int_equal(book.calls, 1);
	session_room_close(room);
}

static void each_block_is_recorded_by_itself(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);

	session_room_must(room, "vm create a\nbo create x 64K\n"
				"begin\nmap a 0 4K x\ncommit\n"
				"begin\nmap a 0x1000 4K x\nrollback\n"
				"expect EINVAL map a 1 4K x\n"
				"assert mapped a 0 4K x\n"
				"begin async\nmap a 0x2000 4K x\ncommit");
	assert_non_null(strstr(book.text, "map a x 0x0 0x1000 0x0 0\n\n"));
	assert_null(strstr(book.text, "0x1000 0x1000")); /* rolled back: nothing to record */
	assert_non_null(strstr(book.text, "map a x 0x2000 0x1000 0x0 0\nasync\n"));
	assert_int_equal(book.calls, 4);
	session_room_close(room);
}

static void what_cannot_be_recorded_is_undone(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);
	char *before, *after;

	session_room_must(room, "vm create a\nbo create x 64K\nmap a 0 4K x");
	before = session_room_dump(room);
	book.refuse_at = 2;
	assert_int_equal(session_room_run(room, "vm create b\nmap b 0 4K x\nunmap a 0 4K\nbo destroy x\nvm destroy a",
					  0),
			 -ENOSPC);
	assert_int_equal(room->error.stage, PANBIND_STAGE_JOURNAL);
	assert_int_equal(room->error.line, 1);
	assert_int_equal(room->result.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	after = session_room_dump(room);
	assert_string_equal(after, before);
	free(before);
	free(after);
	session_room_must(room, "unmap a 0 4K"); /* and nothing of it is left to be recorded later */
	assert_non_null(strstr(book.text, "\n\nunmap a - 0x0 0x1000 0x0 0\n\n"));
	session_room_close(room);
}

static void what_failed_is_told_with_all_that_was_asked_for(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);

	session_room_must(room, "vm create a\nbo create x 64K");
	book.len = 0;
	/* Found by the check before anything is done, */
	session_room_run(room, "map a 0 4K x\nbo create y 4K\nmap a 1 4K x\nunmap a 0 4K", 0);
	assert_string_equal(book.text, "map a x 0x0 0x1000 0x0 0\nbo+ - y 0x0 0x0 0x0 0\nmap a x 0x1 0x1000 0x0 0\n"
				       "unmap a - 0x0 0x1000 0x0 0\nfailed\n");
	assert_int_equal(book.failing, 2);
	assert_int_equal(book.code, -EINVAL);
	/* or by an assertion, which is no change; and what is expected to fail was never wanted. */
	book.len = 0;
	session_room_run(room, "map a 0 4K x\nexpect EINVAL map a 1 4K x\nassert unmapped a 0 4K", 0);
	assert_string_equal(book.text, "map a x 0x0 0x1000 0x0 0\nfailed\n");
	assert_int_equal(book.failing, 1);
	/* What a script takes back itself is no failure. */
	book.len = 0;
	book.text[0] = '\0';
	session_room_must(room, "begin\nmap a 0 4K x\nrollback\nbegin\nmap a 1 4K x\nexpect EINVAL commit");
	assert_string_equal(book.text, "");
	session_room_close(room);
}

static void a_driver_s_refusal_is_told_with_its_op(void **state)
{
	struct book book = {0};
	struct session_room *room = session_room_open("sim:fault=VM_BIND#1:op=1:EIO");

	panbind_session_set_record(room->session, record, &book);
	session_room_run(room, "vm create a\nbo create x 64K\nmap a 0 4K x\nmap a 0x2000 4K x\nmap a 0x4000 4K x", 0);
	assert_int_equal(book.calls, 1);
	assert_int_equal(book.code, -EIO);
	assert_int_equal(book.failing, 3); /* behind the objects and the first map */
	session_room_close(room);
}

static void asynchronous_ops_are_told_with_their_syncs(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);

	session_room_must(room, "vm create a\nbo create x 64K\nsyncobj create s\nsyncobj create t\nsyncobj signal s:3\n"
				"begin async\nmap a 0 4K x --wait=s:3\nunmap a 0 4K\n"
				"sync-only a --wait=s:3 --signal=t --signal=s:4\ncommit\nsyncobj wait t --for-submit");
	assert_non_null(strstr(book.text, "map a x 0x0 0x1000 0x0 0 wait=s:3\nunmap a - 0x0 0x1000 0x0 0\n"
					  "sync a - 0x0 0x0 0x0 0 wait=s:3 signal=t signal=s:4\nasync\n"));
	session_room_close(room);
}

static void what_it_took_is_told(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);

	session_room_must(room, "vm create a\nbo create x 64K\nmap a 0 4K x\nmap a 0x2000 4K x\nunmap a 0 4K");
	assert_true(book.latency_ns > 0);
	session_room_close(room);
}

static void checks_and_plans_record_nothing(void **state)
{
	struct book book = {0};
	struct session_room *room = open_recorded(&book);

	assert_int_equal(session_room_run(room, "vm create a\nbo create x 64K\nmap a 0 4K x", PANBIND_RUN_CHECK), 0);
	assert_int_equal(session_room_run(room, "vm create a\nbo create x 64K\nmap a 0 4K x", PANBIND_RUN_PLAN), 0);
	assert_int_equal(book.calls, 0);
	session_room_close(room);
}

static void the_host_names_objects_and_takes_them_back(void **state)
{
	struct session_room *room = session_room_open("sim:");
	struct panbind_vm *vm, *other;
	struct panbind_bo *bo;

	assert_int_equal(panbind_vm_create(room->device, 0, &vm, NULL), 0);
	assert_int_equal(panbind_session_add_vm(room->session, "1st", vm), -EINVAL);
	assert_int_equal(panbind_session_add_vm(room->session, "a", vm), 0);
	assert_int_equal(panbind_vm_create(room->device, 0, &other, NULL), 0);
	assert_int_equal(panbind_session_add_vm(room->session, "a", other), -EEXIST);
	assert_int_equal(panbind_bo_create(room->device, 65536, 0, vm, &bo, NULL), 0);
	assert_int_equal(panbind_session_add_bo(room->session, "x", bo, "a"), 0);
	assert_ptr_equal(panbind_session_bo(room->session, "x"), bo);
	assert_ptr_equal(panbind_session_bo_at(room->session, 0), bo);
	assert_null(panbind_session_bo_at(room->session, 1));
	assert_string_equal(panbind_session_bo_vm(room->session, bo), "a");
	session_room_must(room, "map a 0 4K x");
	assert_ptr_equal(panbind_session_take_bo(room->session, "x"), bo);
	assert_null(panbind_session_take_bo(room->session, "x"));
	assert_ptr_equal(panbind_session_take_vm(room->session, "a"), vm);
	assert_null(panbind_session_vm(room->session, "a"));
	assert_int_equal(panbind_session_add_vm(room->session, "a", vm), 0); /* put back, and owned again */
	panbind_bo_unref(bo);
	panbind_vm_destroy(other);
	session_room_close(room);
}

static void scripts_say_whether_they_are_one_transaction(void **state)
{
	static const char one[] = "vm create a", two[] = "begin\nvm create a\ncommit";
	struct panbind_script *script;

	assert_int_equal(panbind_script_parse("t", one, strlen(one), NULL, &script, NULL), 0);
	assert_true(panbind_script_is_one_transaction(script));
	panbind_script_destroy(script);
	assert_int_equal(panbind_script_parse("t", two, strlen(two), NULL, &script, NULL), 0);
	assert_false(panbind_script_is_one_transaction(script));
	panbind_script_destroy(script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transaction_is_recorded_in_its_own_words),
		cmocka_unit_test(each_block_is_recorded_by_itself),
		cmocka_unit_test(what_cannot_be_recorded_is_undone),
		cmocka_unit_test(what_failed_is_told_with_all_that_was_asked_for),
		cmocka_unit_test(a_driver_s_refusal_is_told_with_its_op),
		cmocka_unit_test(asynchronous_ops_are_told_with_their_syncs),
		cmocka_unit_test(what_it_took_is_told),
		cmocka_unit_test(checks_and_plans_record_nothing),
		cmocka_unit_test(the_host_names_objects_and_takes_them_back),
		cmocka_unit_test(scripts_say_whether_they_are_one_transaction),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
