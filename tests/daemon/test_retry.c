/* SPDX-License-Identifier: MIT */
/*
 * What comes twice: a call under a transaction id is carried out once and ends once, whether that end was good or bad,
 * and whatever happened to the daemon in between. And what failed is in the log, with the op that failed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

static struct daemon daemon_;
static struct client client;

static int setup(void **state)
{
	daemon_prepare(&daemon_);
	daemon_start(&daemon_, NULL);
	client_open(&client, &daemon_);
	json_decref(client_result(&client, "vm.create", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
	return 0;
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_remove(&daemon_);
	return 0;
}

static void crash_and_restore(void)
{
	client_close(&client);
	daemon_kill(&daemon_);
	daemon_start(&daemon_, (const char *const[]){"--restore", NULL});
	client_open(&client, &daemon_);
}

/** On a device that fails so, with a VM and a BO. */
static void restart_with(const char *device)
{
	client_close(&client);
	daemon_stop(&daemon_);
	daemon_start_for(&daemon_, &client, device, NULL);
	json_decref(client_result(&client, "vm.create", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
}

static json_int_t mappings(void)
{
	json_t *vm = client_result(&client, "vm.show", json_pack("{s:s}", "name", "v"));
	json_int_t count = int_of(vm, "mappings");

	json_decref(vm);
	return count;
}

static json_t *run_params(const char *text, const char *txn_id)
{
	return json_pack("{s:s, s:s*}", "text", text, "txn_id", txn_id);
}

/** The entry with this number. */
static json_t *entry_at(json_int_t seq)
{
	json_t *shown = client_result(&client, "journal.show", json_pack("{s:I, s:i}", "since", seq, "limit", 1)),
	       *entry = json_incref(json_array_get(json_object_get(shown, "entries"), 0));

	json_decref(shown);
	assert_int_equal(int_of(entry, "seq"), seq);
	return entry;
}

/** The entry that error.data.seq names. */
static json_t *entry_of(const json_t *error)
{
	return entry_at(int_of(json_object_get(error, "data"), "seq"));
}

static json_int_t last_seq(void)
{
	json_t *status = client_result(&client, "journal.status", NULL);
	json_int_t last = int_of(status, "last");

	json_decref(status);
	return last;
}

/* ---- Scripts that fail ---- */

static const char third_fails[] = "map v 0 4K b\nmap v 8K 4K b\nmap v 16K 4K b+1M\nmap v 24K 4K b\n";

static void test_a_failed_script_is_an_entry_that_says_which_op(void **state)
{
	json_t *error = client_error(&client, -32000, "script.run", run_params(third_fails, NULL)),
	       *entry = entry_of(error), *failure = json_object_get(entry, "error"), *ops;

	assert_int_equal(int_of(json_object_get(error, "data"), "line"), 3);
	assert_string_equal(data_text(error, "applied"), "none");
	assert_string_equal(text_of(entry, "kind"), "bind");
	assert_string_equal(text_of(entry, "outcome"), "rolled-back");
	assert_string_equal(text_of(failure, "name"), "EINVAL");
	assert_string_equal(text_of(failure, "stage"), "validate");
	assert_int_equal(int_of(failure, "op"), 2);
	assert_non_null(strstr(text_of(failure, "message"), "script:3:"));
	ops = json_object_get(entry, "ops");
	assert_int_equal(json_array_size(ops), 4);
	assert_int_equal(hex_of(json_array_get(ops, 2), "va"), 16 << 10);
	assert_int_equal(mappings(), 0);
	json_decref(entry);
	json_decref(error);
}

static void test_a_driver_s_refusal_in_a_script_is_an_entry_too(void **state)
{
	json_t *error, *entry;

	client_close(&client);
	daemon_stop(&daemon_);
	daemon_start_for(&daemon_, &client, "sim:fault=VM_BIND#1:op=1:EIO", NULL);
	error = client_error(&client, -32000, "script.run",
			     run_params("vm create v\nbo create b 64K\nmap v 0 4K b\nmap v 8K 4K b", "t"));
	entry = entry_of(error);
	assert_string_equal(text_of(json_object_get(entry, "error"), "stage"), "submit");
	assert_int_equal(int_of(json_object_get(entry, "error"), "op"), 1);
	assert_int_equal(json_array_size(json_object_get(entry, "ops")), 2); /* the objects are not ops */
	json_decref(entry);
	json_decref(error);
	/* Without the fault it would succeed now; under its id it has failed for good. */
	error = client_error(&client, -32000, "script.run",
			     run_params("vm create v\nbo create b 64K\nmap v 0 4K b\nmap v 8K 4K b", "t"));
	assert_string_equal(data_text(error, "name"), "EIO");
	json_decref(error);
}

static void test_a_failed_script_stays_failed_under_its_id(void **state)
{
	json_t *first = client_error(&client, -32000, "script.run", run_params("map v 0 4K late", "t")), *again,
	       *status;
	json_int_t last = last_seq();

	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "late", "size", 4096)));
	for (int restarted = 0; restarted < 2; restarted++) {
		again = client_error(&client, -32000, "script.run", run_params("map v 0 4K late", "t"));
		assert_string_equal(data_text(again, "name"), data_text(first, "name"));
		assert_string_equal(data_text(again, "stage"), data_text(first, "stage"));
		assert_false(bool_of(json_object_get(again, "data"), "retryable"));
		assert_int_equal(int_of(json_object_get(again, "data"), "seq"), last);
		json_decref(again);
		status = client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", "t"));
		assert_string_equal(text_of(status, "outcome"), "rolled-back");
		assert_string_equal(text_of(json_object_get(status, "error"), "name"), "ENOENT");
		json_decref(status);
		assert_int_equal(mappings(), 0);
		crash_and_restore();
	}
	json_decref(first);
}

static void test_what_earlier_transactions_left_is_said(void **state)
{
	json_t *error, *entry, *kept;
	json_int_t before = last_seq();

	error = client_error(&client, -32000, "script.run",
			     run_params("begin\nmap v 0 4K b\ncommit\nbegin\nbo create c 4K\nmap v 8K 4K c\ncommit\n"
					"begin\nmap v 16K 4K b\nmap v 24K 4K none\ncommit",
					NULL));
	assert_string_equal(data_text(error, "applied"), "partial");
	kept = json_object_get(json_object_get(error, "data"), "kept");
	assert_int_equal(int_of(kept, "first"), before + 1);
	assert_int_equal(int_of(kept, "last"), before + 3); /* a bind; a BO and a bind */
	entry = entry_of(error);
	assert_int_equal(int_of(entry, "seq"), before + 4);
	assert_int_equal(int_of(json_object_get(entry, "error"), "op"), 1);
	assert_string_equal(text_of(entry, "outcome"), "rolled-back");
	assert_non_null(strstr(text_of(json_object_get(entry, "error"), "message"), "of the script stay"));
	assert_int_equal(mappings(), 2);
	json_decref(entry);
	json_decref(error);
}

static void test_each_failure_of_a_script_that_goes_on_is_an_entry(void **state)
{
	json_int_t before = last_seq();
	json_t *result = client_result(&client, "script.run",
				       json_pack("{s:s, s:b}", "text", "map v 1 4K b\nmap v 0 4K b\nunmap v 1 4K",
						 "keep_going", 1)),
	       *entry;

	assert_int_equal(int_of(result, "failed"), 2);
	json_decref(result);
	assert_int_equal(last_seq(), before + 3);
	for (int i = 0; i < 3; i++) {
		entry = entry_at(before + 1 + i);
		assert_int_equal(json_object_get(entry, "error") != NULL, i != 1);
		json_decref(entry);
	}
}

static void test_a_refused_asynchronous_bind_is_an_entry(void **state)
{
	json_t *error = client_error(&client, -32000, "script.run",
				     run_params("syncobj create s\nbegin async\nmap v 0 4K b\n"
						"map v 8K 4K b --wait=s:7\ncommit",
						NULL)),
	       *entry = entry_of(error);

	assert_true(bool_of(entry, "async"));
	assert_string_equal(text_of(entry, "outcome"), "rolled-back");
	assert_int_equal(json_array_size(json_object_get(entry, "ops")), 2);
	json_decref(entry);
	json_decref(error);
}

static void test_a_script_that_changes_nothing_is_run_once_too(void **state)
{
	json_t *result = client_result(&client, "script.run", run_params("assert unmapped v 0 4K", "t"));

	json_decref(result);
	json_decref(client_result(&client, "script.run", run_params("map v 0 4K b", NULL)));
	result = client_result(&client, "script.run", run_params("assert unmapped v 0 4K", "t"));
	assert_true(bool_of(result, "repeated"));
	json_decref(result);
}

static void test_a_check_uses_no_id_up(void **state)
{
	json_decref(client_result(&client, "script.run",
				  json_pack("{s:s, s:b, s:s}", "text", "map v 0 4K b", "check", 1, "txn_id", "t")));
	json_decref(client_error(&client, -32000, "script.run",
				 json_pack("{s:s, s:b, s:s}", "text", "map v 0 4K none", "check", 1, "txn_id", "t")));
	json_decref(client_result(&client, "script.run", run_params("map v 0 4K b", "t")));
	assert_int_equal(mappings(), 1);
}

/* ---- Scripts of several transactions under one id ---- */

#define BLOCK(command) "begin\n" command "\ncommit\n"

static const char two_blocks[] = BLOCK("map v 0 4K b") BLOCK("bo create c 4K\nmap v 8K 4K c");

static json_t *status_of(const char *txn_id)
{
	return client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", txn_id));
}

static void assert_kept(const json_t *object, int transactions, json_int_t first, json_int_t last)
{
	const json_t *kept = json_object_get(object, "kept");

	assert_int_equal(int_of(object, "transactions"), transactions);
	assert_int_equal(int_of(kept, "first"), first);
	assert_int_equal(int_of(kept, "last"), last);
}

static void test_a_script_of_several_transactions_is_run_once(void **state)
{
	json_int_t before = last_seq();
	json_t *result = client_result(&client, "script.run", run_params(two_blocks, "t")), *status;

	assert_int_equal(int_of(result, "transactions"), 2);
	json_decref(result);
	assert_int_equal(last_seq(), before + 5); /* begin, a bind; a BO and a bind; end */
	for (int restarted = 0; restarted < 2; restarted++) {
		result = client_result(&client, "script.run", run_params(two_blocks, "t"));
		assert_true(bool_of(result, "repeated"));
		assert_string_equal(text_of(result, "outcome"), "applied");
		assert_kept(result, 2, before + 2, before + 4);
		json_decref(result);
		status = status_of("t");
		assert_string_equal(text_of(status, "outcome"), "applied");
		assert_false(bool_of(status, "interrupted"));
		assert_int_equal(int_of(status, "seq"), before + 5);
		assert_kept(status, 2, before + 2, before + 4);
		json_decref(status);
		assert_int_equal(mappings(), 2);
		crash_and_restore();
	}
}

static void test_its_entries_have_its_id(void **state)
{
	static const char *const kinds[] = {"script.begin", "bind", "bo.create", "bind", "script.end"};
	json_int_t before = last_seq();

	json_decref(client_result(&client, "script.run", run_params(two_blocks, "t")));
	for (int i = 0; i < 5; i++) {
		json_t *entry = entry_at(before + 1 + i);

		assert_string_equal(text_of(entry, "kind"), kinds[i]);
		assert_string_equal(text_of(entry, "txn_id"), "t");
		assert_int_equal(json_object_get(entry, "part") != NULL, i > 0 && i < 4);
		assert_int_equal(json_object_get(entry, "more") != NULL, i == 2);
		json_decref(entry);
	}
}

static const char third_block_fails[] =
	BLOCK("map v 0 4K b") BLOCK("map v 8K 4K b") BLOCK("map v 16K 4K b\nmap v 24K 4K none");

static void test_one_that_failed_says_where_and_what_stays(void **state)
{
	json_int_t before = last_seq();
	json_t *error, *status, *entry;

	/* The first answer and every later one, with or without a crash in between, say the same. */
	for (int round = 0; round < 3; round++) {
		error = client_error(&client, -32000, "script.run", run_params(third_block_fails, "t"));
		assert_string_equal(data_text(error, "name"), "ENOENT");
		assert_string_equal(data_text(error, "stage"), "validate");
		assert_string_equal(data_text(error, "applied"), "partial");
		assert_int_equal(int_of(json_object_get(error, "data"), "line"), 9);
		assert_false(bool_of(json_object_get(error, "data"), "retryable"));
		assert_kept(json_object_get(error, "data"), 2, before + 2, before + 3);
		json_decref(error);
		assert_int_equal(last_seq(), before + 5);
		if (round == 1)
			crash_and_restore();
	}
	status = status_of("t");
	assert_string_equal(text_of(status, "outcome"), "partial");
	assert_false(bool_of(status, "interrupted"));
	assert_int_equal(int_of(json_object_get(status, "error"), "line"), 9);
	assert_kept(status, 2, before + 2, before + 3);
	json_decref(status);
	entry = entry_at(before + 4);
	assert_string_equal(text_of(entry, "outcome"), "rolled-back");
	assert_int_equal(int_of(json_object_get(entry, "error"), "op"), 1);
	json_decref(entry);
	entry = entry_at(before + 5);
	assert_string_equal(text_of(entry, "kind"), "script.end");
	assert_string_equal(text_of(entry, "outcome"), "partial");
	assert_int_equal(int_of(json_object_get(entry, "error"), "line"), 9);
	json_decref(entry);
	assert_int_equal(mappings(), 2);
}

static void test_one_whose_first_transaction_failed_has_done_nothing(void **state)
{
	json_t *error = NULL;

	for (int i = 0; i < 2; i++) {
		error = client_error(&client, -32000, "script.run",
				     run_params(BLOCK("map v 0 4K none") BLOCK("map v 0 4K b"), "t"));
		assert_string_equal(data_text(error, "applied"), "none");
		assert_null(json_object_get(json_object_get(error, "data"), "kept"));
		json_decref(error);
	}
	assert_int_equal(mappings(), 0);
}

static void test_one_that_goes_on_is_run_once_too(void **state)
{
	const char text[] = "map v 1 4K b\nmap v 0 4K b\nmap v 8K 4K b";
	json_t *result;

	for (int i = 0; i < 2; i++) {
		result = client_result(&client, "script.run",
				       json_pack("{s:s, s:b, s:s}", "text", text, "keep_going", 1, "txn_id", "t"));
		assert_int_equal(json_object_get(result, "repeated") != NULL, i);
		assert_int_equal(int_of(result, "transactions"), 2);
		assert_string_equal(text_of(json_array_get(json_object_get(result, "errors"), 0), "name"), "EINVAL");
		assert_int_equal(int_of(json_array_get(json_object_get(result, "errors"), 0), "line"), 1);
		json_decref(result);
	}
	assert_int_equal(mappings(), 2);
}

static void test_one_that_changes_nothing_is_one_entry(void **state)
{
	json_int_t before = last_seq();

	for (int i = 0; i < 2; i++) {
		json_t *result = client_result(&client, "script.run",
					       run_params(BLOCK("assert unmapped v 0 4K") BLOCK("echo hello"), "t"));

		assert_int_equal(json_object_get(result, "repeated") != NULL, i);
		json_decref(result);
	}
	assert_int_equal(last_seq(), before + 1);
}

/* Killed while its second transaction waits for ever. */
static void interrupt(void)
{
	client_begin(&client, "script.run",
		     run_params(BLOCK("map v 0 4K b")
					BLOCK("bo create c 4K\nmap v 8K 4K c") "syncobj create s\nsyncobj wait s "
									       "--for-submit\n" BLOCK("map v 16K 4K b"),
				"t"));
}

static void wait_for_entry(json_int_t seq)
{
	struct client other;
	json_t *status;
	json_int_t last = 0;

	client_open(&other, &daemon_);
	while (last < seq) { /* the log is asked on the loop: the script may wait */
		status = client_result(&other, "journal.status", NULL);
		last = int_of(status, "last");
		json_decref(status);
	}
	client_close(&other);
}

static void assert_interrupted(json_int_t before)
{
	json_t *status = status_of("t"), *error;

	assert_true(bool_of(status, "interrupted"));
	assert_string_equal(text_of(status, "outcome"), "partial");
	assert_string_equal(text_of(json_object_get(status, "error"), "name"), "EINTR");
	assert_kept(status, 2, before + 2, before + 4);
	json_decref(status);
	interrupt();
	error = client_read(&client);
	assert_int_equal(int_of(json_object_get(error, "error"), "code"), -32009);
	assert_string_equal(data_text(json_object_get(error, "error"), "name"), "TXN_INTERRUPTED");
	assert_string_equal(data_text(json_object_get(error, "error"), "applied"), "partial");
	assert_kept(json_object_get(json_object_get(error, "error"), "data"), 2, before + 2, before + 4);
	json_decref(error);
	assert_int_equal(mappings(), 2);
}

static void test_one_that_was_killed_is_not_run_again(void **state)
{
	json_int_t before = last_seq(), last;

	interrupt();
	wait_for_entry(before + 4);
	crash_and_restore();
	last = last_seq();
	assert_interrupted(before);
	json_decref(client_error(&client, -32007, "script.run", run_params(two_blocks, "t")));
	assert_int_equal(last_seq(), last);
	/* Nor after its entries are compacted, and another crash. */
	json_decref(client_result(&client, "journal.compact", NULL));
	crash_and_restore();
	assert_interrupted(before);
}

/* Its client goes away in the middle: that is an end, and it is in the log. */
static void test_one_whose_client_went_away_says_so(void **state)
{
	json_int_t before = last_seq();
	json_t *status, *error;

	interrupt();
	wait_for_entry(before + 4);
	client_close(&client);
	client_open(&client, &daemon_);
	status = status_of("t");
	assert_false(bool_of(status, "interrupted"));
	assert_string_equal(text_of(status, "outcome"), "partial");
	assert_kept(status, 2, before + 2, before + 4);
	json_decref(status);
	interrupt();
	error = client_read(&client);
	assert_string_equal(data_text(json_object_get(error, "error"), "name"), "ECANCELED");
	assert_string_equal(data_text(json_object_get(error, "error"), "applied"), "partial");
	json_decref(error);
}

/* Its first transaction was refused for now: nothing of it is claimed. Its second one: something of it is there. */
static void test_one_that_is_refused_for_now_may_come_again_if_nothing_is_done(void **state)
{
	json_t *error;

	restart_with("sim:fault=VM_BIND#1=ENOMEM,fault=VM_BIND#3=ENOMEM");
	for (int i = 0; i < 3; i++) {
		error = client_error(&client, -32000, "script.run", run_params(two_blocks, "t"));
		assert_string_equal(data_text(error, "name"), "ENOMEM");
		assert_string_equal(data_text(error, "applied"), i == 0 ? "none" : "partial");
		assert_int_equal(bool_of(json_object_get(error, "data"), "retryable"), i == 0);
		json_decref(error);
	}
	assert_int_equal(mappings(), 1);
}

/* ---- Other calls that fail ---- */

static json_t *map_params(const char *bo, const char *txn_id)
{
	return json_pack("{s:s, s:i, s:i, s:s, s:s}", "vm", "v", "va", 0, "size", 4096, "bo", bo, "txn_id", txn_id);
}

static void test_a_name_that_stood_for_nothing_stays_refused(void **state)
{
	json_t *error = client_error(&client, -32002, "bind.map", map_params("late", "t")), *entry = entry_of(error);

	assert_int_equal(int_of(json_object_get(entry, "error"), "op"), 0);
	assert_string_equal(text_of(json_object_get(json_array_get(json_object_get(entry, "ops"), 0), "bo"), "name"),
			    "late");
	json_decref(entry);
	json_decref(error);
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "late", "size", 4096)));
	crash_and_restore();
	error = client_error(&client, -32002, "bind.map", map_params("late", "t"));
	assert_string_equal(data_text(error, "name"), "ENOENT");
	json_decref(error);
	json_decref(client_result(&client, "bind.map", map_params("late", "u")));
}

static void test_objects_that_were_there_or_not_stay_so(void **state)
{
	json_t *result;

	json_decref(client_error(&client, -32003, "vm.create", json_pack("{s:s, s:s}", "name", "v", "txn_id", "a")));
	json_decref(client_error(&client, -32002, "bo.destroy", json_pack("{s:s, s:s}", "name", "c", "txn_id", "b")));
	result = client_result(&client, "bo.destroy",
			       json_pack("{s:s, s:b, s:s}", "name", "c", "missing_ok", 1, "txn_id", "c"));
	assert_false(bool_of(result, "destroyed"));
	json_decref(result);
	/* When it is the other way round, a retry sees what it saw. */
	json_decref(client_result(&client, "vm.destroy", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "c", "size", 4096)));
	crash_and_restore();
	json_decref(client_error(&client, -32003, "vm.create", json_pack("{s:s, s:s}", "name", "v", "txn_id", "a")));
	json_decref(client_error(&client, -32002, "bo.destroy", json_pack("{s:s, s:s}", "name", "c", "txn_id", "b")));
	result = client_result(&client, "bo.destroy",
			       json_pack("{s:s, s:b, s:s}", "name", "c", "missing_ok", 1, "txn_id", "c"));
	assert_true(bool_of(result, "repeated"));
	assert_false(bool_of(result, "destroyed"));
	json_decref(result);
	json_decref(client_result(&client, "bo.read", json_pack("{s:s, s:i}", "name", "c", "size", 8)));
}

static void test_wrong_parameters_use_no_id_up(void **state)
{
	json_decref(client_error(&client, -32602, "bind.map",
				 json_pack("{s:s, s:s, s:i, s:s, s:s}", "vm", "v", "va", "zero", "size", 4096, "bo",
					   "b", "txn_id", "t")));
	json_decref(client_error(&client, -32602, "script.run",
				 json_pack("{s:s, s:s, s:s}", "text", "map v 0 4K b", "wait", "s", "txn_id", "t")));
	json_decref(client_result(&client, "bind.map", map_params("b", "t")));
}

/* ---- Refused for now ---- */

static void assert_unknown(const char *txn_id)
{
	json_t *status = client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", txn_id));

	assert_false(bool_of(status, "known"));
	json_decref(status);
}

/* What passes is in the log when the driver was asked, and uses no id up. */
static void test_a_refusal_for_now_uses_no_id_up(void **state)
{
	static const struct {
		const char *method, *params;
	} calls[] = {
		{"bind.map", "{\"vm\":\"v\",\"va\":0,\"size\":4096,\"bo\":\"b\",\"txn_id\":\"t\"}"},
		{"script.run", "{\"text\":\"map v 8K 4K b\",\"txn_id\":\"t2\"}"},
	};
	json_t *error, *entry, *result;

	restart_with("sim:fault=VM_BIND#1=ENOMEM,fault=VM_BIND#3=ENOMEM");
	for (int i = 0; i < 2; i++) {
		json_t *params = json_loads(calls[i].params, 0, NULL);

		error = client_error(&client, -32000, calls[i].method, json_incref(params));
		assert_string_equal(data_text(error, "name"), "ENOMEM");
		assert_string_equal(data_text(error, "applied"), "none");
		assert_true(bool_of(json_object_get(error, "data"), "retryable"));
		entry = entry_of(error);
		assert_string_equal(text_of(entry, "outcome"), "rolled-back");
		assert_null(json_object_get(entry, "txn_id"));
		assert_unknown(text_of(params, "txn_id"));
		result = client_result(&client, calls[i].method, params);
		assert_null(json_object_get(result, "repeated"));
		json_decref(result);
		json_decref(entry);
		json_decref(error);
	}
	assert_int_equal(mappings(), 2);
}

/* Its client goes away and comes again: it did nothing, so it is run. */
static void test_a_script_that_was_stopped_uses_no_id_up(void **state)
{
	static const char waits[] = "syncobj wait s --for-submit\nmap v 8K 4K b";
	struct client gone;
	json_t *result;

	json_decref(client_result(&client, "script.run", run_params("syncobj create s", NULL)));
	client_open(&gone, &daemon_);
	client_begin(&gone, "script.run", run_params(waits, "t"));
	usleep(50000); /* so that it is likely to wait already; right in either case */
	client_close(&gone);
	assert_unknown("t");
	json_decref(client_result(&client, "script.run", run_params("syncobj signal s", NULL)));
	result = client_result(&client, "script.run", run_params(waits, "t"));
	assert_null(json_object_get(result, "repeated"));
	json_decref(result);
	assert_int_equal(mappings(), 1);
}

/* ---- One id, two requests ---- */

static void assert_reused(const char *method, json_t *params)
{
	json_t *error = client_error(&client, -32007, method, params);

	assert_string_equal(data_text(error, "name"), "TXN_ID_REUSED");
	assert_string_equal(data_text(error, "pointer"), "/params/txn_id");
	assert_string_equal(data_text(error, "applied"), "none");
	assert_int_equal(int_of(json_object_get(error, "data"), "seq"), 4);
	json_decref(error);
}

static void test_an_id_belongs_to_one_request(void **state)
{
	json_decref(client_result(&client, "bind.map", map_params("b", "t")));
	for (int restarted = 0; restarted < 2; restarted++) {
		assert_reused("bind.map", json_pack("{s:s, s:i, s:i, s:s, s:s}", "vm", "v", "va", 4096, "size", 4096,
						    "bo", "b", "txn_id", "t"));
		assert_reused("bind.unmap",
			      json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0, "size", 4096, "txn_id", "t"));
		assert_reused("script.run", run_params("map v 0 4K b", "t"));
		assert_reused("vm.create", json_pack("{s:s, s:s}", "name", "w", "txn_id", "t"));
		assert_int_equal(mappings(), 1);
		crash_and_restore();
	}
}

static void test_the_same_request_may_be_written_otherwise(void **state)
{
	static const char *const ways[] = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"txn.run\",\"params\":{\"txn_id\":\"t\",\"ops\":[{\"op\":"
		"\"map\","
		"\"vm\":\"v\",\"va\":4096,\"size\":8192,\"bo\":\"b\",\"flags\":[\"noexec\",\"readonly\"]}]}}",
		"{\"method\":\"txn.run\",\"params\":{\"ops\":[{\"size\":\"0x2000\",\"flags\":[\"readonly\",\"noexec\"],"
		"\"bo\":\"b\",\"va\":\"0x1000\",\"vm\":\"v\",\"bo_offset\":0,\"op\":\"map\"}],\"comment\":\"again\","
		"\"durability\":\"write\",\"txn_id\":\"t\"},\"id\":1,\"jsonrpc\":\"2.0\"}",
	};
	json_t *answer;

	for (int i = 0; i < 2; i++) {
		client_send_line(&client, ways[i]);
		answer = client_read(&client);
		assert_non_null(json_object_get(answer, "result"));
		assert_int_equal(json_object_get(json_object_get(answer, "result"), "repeated") != NULL, i);
		json_decref(answer);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_failed_script_is_an_entry_that_says_which_op),
		TEST(test_a_driver_s_refusal_in_a_script_is_an_entry_too),
		TEST(test_a_failed_script_stays_failed_under_its_id),
		TEST(test_what_earlier_transactions_left_is_said),
		TEST(test_each_failure_of_a_script_that_goes_on_is_an_entry),
		TEST(test_a_refused_asynchronous_bind_is_an_entry),
		TEST(test_a_script_that_changes_nothing_is_run_once_too),
		TEST(test_a_check_uses_no_id_up),
		TEST(test_a_script_of_several_transactions_is_run_once),
		TEST(test_its_entries_have_its_id),
		TEST(test_one_that_failed_says_where_and_what_stays),
		TEST(test_one_whose_first_transaction_failed_has_done_nothing),
		TEST(test_one_that_goes_on_is_run_once_too),
		TEST(test_one_that_changes_nothing_is_one_entry),
		TEST(test_one_that_was_killed_is_not_run_again),
		TEST(test_one_whose_client_went_away_says_so),
		TEST(test_one_that_is_refused_for_now_may_come_again_if_nothing_is_done),
		TEST(test_a_name_that_stood_for_nothing_stays_refused),
		TEST(test_objects_that_were_there_or_not_stay_so),
		TEST(test_wrong_parameters_use_no_id_up),
		TEST(test_a_refusal_for_now_uses_no_id_up),
		TEST(test_a_script_that_was_stopped_uses_no_id_up),
		TEST(test_an_id_belongs_to_one_request),
		TEST(test_the_same_request_may_be_written_otherwise),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
