/* SPDX-License-Identifier: MIT */
/*
 * The daemon and its log: what is answered is recorded, what cannot be recorded is undone, what is asked twice is done
 * once, and what was there comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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
	return 0;
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_remove(&daemon_);
	return 0;
}

static void must(const char *method, json_t *params)
{
	json_decref(client_result(&client, method, params));
}

static void make_objects(void)
{
	must("vm.create", json_pack("{s:s}", "name", "v"));
	must("bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20));
}

static json_t *map_params(uint64_t va, const char *txn_id)
{
	return json_pack("{s:s, s:I, s:i, s:s, s:s*}", "vm", "v", "va", (json_int_t)va, "size", 4096, "bo", "b",
			 "txn_id", txn_id);
}

/** The script that rebuilds the state: two states are the same when their dumps are. */
static char *dump(void)
{
	json_t *result = client_result(&client, "state.dump", NULL);
	char *text = strdup(text_of(result, "script"));

	json_decref(result);
	return text;
}

static json_int_t last_seq(void)
{
	json_t *status = client_result(&client, "journal.status", NULL);
	json_int_t last = int_of(status, "last");

	json_decref(status);
	return last;
}

static void restart(bool gently, const char *option)
{
	client_close(&client);
	if (gently)
		daemon_stop(&daemon_);
	else
		daemon_kill(&daemon_);
	daemon_start(&daemon_, (const char *const[]){option, NULL});
	client_open(&client, &daemon_);
}

/* ---- Entries ---- */

static void test_an_entry_says_who_what_and_why(void **state)
{
	json_t *result, *entry, *op;
	json_int_t seq;

	make_objects();
	result = client_result(&client, "txn.run",
			       json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:i, s:s, s:s, s:[s]}]}", "vm", "v", "txn_id",
					 "id-1", "comment", "frame 7", "ops", "op", "map", "va", "0x1000", "size", 4096,
					 "bo", "b", "bo_offset", "0x2000", "flags", "readonly"));
	seq = int_of(result, "seq");
	json_decref(result);
	result = client_result(&client, "journal.show", json_pack("{s:I}", "since", seq));
	assert_int_equal(json_array_size(json_object_get(result, "entries")), 1);
	entry = json_array_get(json_object_get(result, "entries"), 0);
	assert_int_equal(int_of(entry, "seq"), seq);
	assert_string_equal(text_of(entry, "kind"), "bind");
	assert_string_equal(text_of(entry, "txn_id"), "id-1");
	assert_string_equal(text_of(entry, "comment"), "frame 7");
	assert_string_equal(text_of(entry, "outcome"), "applied");
	assert_string_equal(text_of(entry, "durability"), "sync");
	assert_int_equal(int_of(entry, "uid"), getuid());
	assert_int_equal(int_of(entry, "pid"), getpid());
	assert_non_null(strstr(text_of(entry, "argv"), "test_journal"));
	op = json_array_get(json_object_get(entry, "ops"), 0);
	assert_string_equal(text_of(op, "op"), "map");
	assert_string_equal(text_of(json_object_get(op, "vm"), "name"), "v");
	assert_int_equal(int_of(json_object_get(op, "vm"), "generation"), 1);
	assert_int_equal(hex_of(op, "va"), 0x1000);
	assert_int_equal(hex_of(op, "bo_offset"), 0x2000);
	assert_string_equal(json_string_value(json_array_get(json_object_get(op, "flags"), 0)), "readonly");
	json_decref(result);
}

static void test_a_failure_is_an_entry_too(void **state)
{
	json_t *error, *result, *entry;

	make_objects();
	error = client_error(&client, -32000, "bind.map",
			     json_pack("{s:s, s:i, s:i, s:s, s:s}", "vm", "v", "va", 1, "size", 4096, "bo", "b",
				       "txn_id", "bad"));
	assert_string_equal(data_text(error, "stage"), "validate");
	json_decref(error);
	result = client_result(&client, "journal.show", json_pack("{s:I}", "since", last_seq()));
	entry = json_array_get(json_object_get(result, "entries"), 0);
	assert_string_equal(text_of(entry, "outcome"), "rolled-back");
	assert_string_equal(text_of(json_object_get(entry, "error"), "name"), "EINVAL");
	assert_int_equal(int_of(json_object_get(entry, "error"), "op"), 0);
	json_decref(result);
}

static void test_journal_show_comes_in_pages(void **state)
{
	json_int_t since = 1, seen = 0;
	json_t *result;

	make_objects();
	for (int i = 0; i < 25; i++)
		must("bind.map", map_params((uint64_t)i * 4096, NULL));
	for (;;) {
		json_t *entries;

		result = client_result(&client, "journal.show", json_pack("{s:I, s:i}", "since", since, "limit", 10));
		entries = json_object_get(result, "entries");
		for (size_t i = 0; i < json_array_size(entries); i++)
			assert_int_equal(int_of(json_array_get(entries, i), "seq"), ++seen);
		if (!json_object_get(result, "next"))
			break;
		since = int_of(result, "next");
		json_decref(result);
	}
	json_decref(result);
	assert_int_equal(seen, 28); /* the start, two objects, the maps */
}

/* ---- Once ---- */

static void test_the_same_id_is_done_once(void **state)
{
	json_t *first, *again, *status;

	make_objects();
	first = client_result(&client, "bind.map", map_params(0x1000, "t"));
	must("bind.unmap", json_pack("{s:s, s:i, s:i}", "vm", "v", "va", 0x1000, "size", 4096));
	again = client_result(&client, "bind.map", map_params(0x1000, "t"));
	assert_true(bool_of(again, "repeated"));
	assert_int_equal(int_of(again, "seq"), int_of(first, "seq"));
	assert_string_equal(text_of(again, "outcome"), "applied");
	json_decref(first);
	json_decref(again);
	status = client_result(&client, "vm.show", json_pack("{s:s}", "name", "v"));
	assert_int_equal(int_of(status, "mappings"), 0); /* it was not mapped again */
	json_decref(status);
}

static void test_ids_are_remembered_across_restarts(void **state)
{
	json_t *result, *error;

	make_objects();
	must("bind.map", map_params(0x1000, "good"));
	json_decref(client_error(&client, -32000, "bind.map", map_params(0x1001, "bad")));
	restart(false, "--restore");
	result = client_result(&client, "bind.map", map_params(0x1000, "good"));
	assert_true(bool_of(result, "repeated"));
	json_decref(result);
	error = client_error(&client, -32000, "bind.map", map_params(0x1001, "bad"));
	assert_string_equal(data_text(error, "name"), "EINVAL");
	assert_string_equal(data_text(error, "applied"), "none");
	json_decref(error);
	result = client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", "good"));
	assert_true(bool_of(result, "known"));
	assert_false(bool_of(result, "pending"));
	assert_string_equal(text_of(result, "outcome"), "applied");
	json_decref(result);
	result = client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", "bad"));
	assert_string_equal(text_of(json_object_get(result, "error"), "name"), "EINVAL");
	assert_int_equal(int_of(json_object_get(result, "error"), "op"), 0);
	json_decref(result);
	result = client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", "never"));
	assert_false(bool_of(result, "known"));
	json_decref(result);
}

static void test_pipelined_repetitions_are_done_once(void **state)
{
	json_t *answer;
	int repeated = 0;

	make_objects();
	for (int i = 0; i < 10; i++)
		client_begin(&client, "bind.map", map_params(0x1000, "many"));
	for (int i = 0; i < 10; i++) {
		answer = client_read(&client);
		assert_non_null(json_object_get(answer, "result"));
		repeated += json_object_get(json_object_get(answer, "result"), "repeated") != NULL;
		json_decref(answer);
	}
	assert_int_equal(repeated, 9);
	assert_int_equal(last_seq(), 4);
}

/* ---- Restarts ---- */

static void build_something(void)
{
	make_objects();
	must("bo.create", json_pack("{s:s, s:i, s:s}", "name", "own", "size", 65536, "vm", "v"));
	must("bo.create", json_pack("{s:s, s:i}", "name", "gone", "size", 65536));
	must("bind.map", map_params(0x1000, NULL));
	must("bind.map", json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0x100000, "size", 8192, "bo", "own"));
	must("bind.map", json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0x200000, "size", 8192, "bo", "gone"));
	must("sparse.reserve", json_pack("{s:s, s:i, s:i}", "vm", "v", "va", 0x400000, "size", 0x400000));
	must("sparse.bind", json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0x400000, "size", 4096, "bo", "b"));
	must("bo.destroy", json_pack("{s:s}", "name", "gone")); /* its mapping keeps it */
	must("script.run", json_pack("{s:s}", "text", "vm create w\nbo create x 64K\nmap w 0 16K x\nunmap w 4K 4K"));
	must("vm.create", json_pack("{s:s}", "name", "temporary"));
	must("vm.destroy", json_pack("{s:s}", "name", "temporary"));
}

static void test_restore_brings_everything_back(void **state)
{
	json_t *result;
	char *before, *after;

	build_something();
	before = dump();
	for (int gently = 0; gently < 2; gently++) {
		restart(gently, "--restore");
		after = dump();
		assert_string_equal(after, before);
		free(after);
	}
	free(before);
	/* Generations go on where they were. */
	result = client_result(&client, "vm.create", json_pack("{s:s}", "name", "temporary"));
	assert_int_equal(int_of(result, "generation"), 2);
	json_decref(result);
	must("vm.destroy", json_pack("{s:s}", "name", "v"));
	result = client_result(&client, "vm.create", json_pack("{s:s}", "name", "v"));
	assert_int_equal(int_of(result, "generation"), 2);
	json_decref(result);
}

static void test_restore_from_a_compacted_log(void **state)
{
	char *before, *after;

	build_something();
	before = dump();
	must("journal.compact", NULL);
	must("bind.map", map_params(0x8000, NULL));
	must("bind.unmap", json_pack("{s:s, s:i, s:i}", "vm", "v", "va", 0x8000, "size", 4096));
	restart(false, "--restore");
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void test_without_restore_it_starts_empty(void **state)
{
	json_t *result;

	build_something();
	restart(true, NULL);
	result = client_result(&client, "vm.list", NULL);
	assert_int_equal(json_array_size(json_object_get(result, "vms")), 0);
	json_decref(result);
	make_objects(); /* the names are free */
	must("bind.map", map_params(0x1000, NULL));
	restart(false, "--restore");
	result = client_result(&client, "vm.list", NULL);
	assert_int_equal(json_array_size(json_object_get(result, "vms")), 1);
	json_decref(result);
}

static void test_a_lost_vm_comes_back_as_it_was_before(void **state)
{
	char *before, *after;
	json_t *error;

	client_close(&client);
	daemon_stop(&daemon_);
	daemon_start_for(&daemon_, &client, "sim:minor=6,fault=VM_BIND#2:op=1:EIO,fault=VM_BIND#3=EIO", NULL);
	make_objects();
	must("bind.map", map_params(0x1000, NULL));
	before = dump();
	error = client_error(&client, -32000, "txn.run",
			     json_pack("{s:s, s:[{s:s, s:i, s:i}, {s:s, s:i, s:i, s:s}]}", "vm", "v", "ops", "op",
				       "unmap", "va", 0x1000, "size", 4096, "op", "map", "va", 0x8000, "size", 4096,
				       "bo", "b"));
	assert_string_equal(data_text(error, "applied"), "unknown");
	json_decref(error);
	restart(false, "--restore"); /* without the faults */
	after = dump();
	assert_string_equal(after, before);
	free(after);
	free(before);
	/* It is usable, and from here on the log knows it again: what is done now comes back too. */
	must("bind.map", map_params(0x20000, NULL));
	before = dump();
	restart(false, "--restore");
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
	after = daemon_said(&daemon_);
	assert_non_null(strstr(after, "the mapping of v was lost at entry"));
	assert_non_null(strstr(after, "logging its state anew"));
	free(after);
}

static void test_replay_of_another_log(void **state)
{
	char other[128], *before, *after;
	json_t *result, *error;

	build_something();
	before = dump();
	client_close(&client);
	daemon_stop(&daemon_);
	snprintf(other, sizeof(other), "%s/other.db", daemon_.dir);
	rename(daemon_.log, other);
	daemon_start(&daemon_, NULL);
	client_open(&client, &daemon_);
	result = client_result(&client, "replay.run", json_pack("{s:s, s:s}", "log", other, "verify", "end"));
	assert_int_equal(int_of(result, "differences"), 0);
	assert_true(int_of(result, "ops") > 5);
	json_decref(result);
	after = dump();
	assert_string_equal(after, before);
	free(after);
	/* It is in this daemon's own log now. */
	restart(false, "--restore");
	after = dump();
	assert_string_equal(after, before);
	free(after);
	/* And its names are taken: nothing of a second replay remains. */
	error = client_error(&client, -32000, "replay.run", json_pack("{s:s}", "log", other));
	assert_string_equal(data_text(error, "name"), "EEXIST");
	assert_string_equal(data_text(error, "applied"), "none");
	json_decref(error);
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
	json_decref(client_error(&client, -32004, "replay.run", json_pack("{s:s}", "log", "/no/such/log")));
}

/* ---- A log that cannot be written ---- */

/**
 * Start the daemon with its log on a small file system, which only this process and its children see. false: this
 * machine does not let us, and the test is skipped.
 */
static bool log_on_a_small_disk(void)
{
	static bool alone; /* this process has mounts of its own */
	char place[96];

	if (!alone)
		alone = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (!alone)
		return false;
	client_close(&client);
	daemon_stop(&daemon_);
	snprintf(place, sizeof(place), "%s/small", daemon_.dir);
	mkdir(place, 0700);
	if (mount("none", place, "tmpfs", 0, "size=16m") < 0)
		return false;
	snprintf(daemon_.log, sizeof(daemon_.log), "%s/small/log.db", daemon_.dir);
	daemon_start(&daemon_, NULL);
	client_open(&client, &daemon_);
	return true;
}

/** Nothing more fits on it, or all does again. */
static void fill_disk(bool full)
{
	static const char bytes[65536];
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/small/filler", daemon_.dir);
	if (!full) {
		assert_int_equal(unlink(path), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static int teardown_disk(void **state)
{
	char place[96];

	client_close(&client);
	daemon_kill(&daemon_);
	snprintf(place, sizeof(place), "%s/small", daemon_.dir);
	for (int i = 0; i < 1000 && umount(place) < 0 && errno == EBUSY; i++)
		usleep(5000);
	daemon_remove(&daemon_);
	return 0;
}

static size_t mapping_count(void)
{
	json_t *result = client_result(&client, "vm.show", json_pack("{s:s}", "name", "v"));
	size_t count = (size_t)int_of(result, "mappings");

	json_decref(result);
	return count;
}

/** Map pages until the log refuses; returns how many were acknowledged. */
static size_t map_until_refused(const char *durability)
{
	for (size_t i = 0; i < 100000; i++) {
		json_t *answer = client_call(&client, "bind.map",
					     json_pack("{s:s, s:I, s:i, s:s, s:s}", "vm", "v", "va",
						       (json_int_t)(0x10000000 + i * 8192), "size", 4096, "bo", "b",
						       "durability", durability)),
		       *error = json_object_get(answer, "error");

		if (!error) {
			json_decref(answer);
			continue;
		}
		assert_int_equal(int_of(error, "code"), -32004);
		assert_string_equal(data_text(error, "stage"), "journal");
		assert_string_equal(data_text(error, "applied"), "none");
		assert_true(bool_of(json_object_get(error, "data"), "retryable"));
		json_decref(answer);
		return i;
	}
	fail_msg("the log never refused");
	return 0;
}

static void wait_until_taken(const char *method, json_t *params)
{
	for (int i = 0; i < 12000; i++) {
		json_t *answer = client_call(&client, method, json_incref(params));
		bool taken = json_object_get(answer, "result");

		json_decref(answer);
		if (taken) {
			json_decref(params);
			return;
		}
		usleep(5000);
	}
	fail_msg("the log never took entries again");
}

static void test_a_full_disk_refuses_and_undoes(void **state)
{
	char *before, *after;
	size_t acknowledged;

	if (!log_on_a_small_disk()) {
		skip();
		return;
	}
	make_objects();
	fill_disk(true);
	acknowledged = map_until_refused("sync");
	assert_true(acknowledged > 0);
	assert_int_equal(mapping_count(), acknowledged); /* what was not recorded is not there */
	json_decref(client_error(&client, -32004, "vm.create", json_pack("{s:s}", "name", "w")));
	json_decref(client_error(&client, -32004, "vm.destroy", json_pack("{s:s}", "name", "v")));
	json_decref(client_error(&client, -32004, "script.run", json_pack("{s:s}", "text", "unmap v 0 1G")));
	assert_int_equal(mapping_count(), acknowledged);
	before = dump();
	fill_disk(false);
	wait_until_taken("bo.create", json_pack("{s:s, s:i}", "name", "extra", "size", 4096));
	must("bo.destroy", json_pack("{s:s}", "name", "extra"));
	restart(false, "--restore");
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void test_pipelined_calls_are_undone_last_first(void **state)
{
	char *before, *after;
	size_t answers = 0, applied = 0;
	char comment[2001] = ""; /* so that the log's space is soon used up */

	if (!log_on_a_small_disk()) {
		skip();
		return;
	}
	memset(comment, 'x', sizeof(comment) - 1);
	make_objects();
	must("bind.map", map_params(0x1000, NULL));
	fill_disk(true);
	/* All remap the same page: only the right order of undoing gives back what was acknowledged last. */
	for (int i = 0; i < 8000; i++) {
		client_begin(&client, "bind.map",
			     json_pack("{s:s, s:i, s:i, s:s, s:i, s:s}", "vm", "v", "va", 0x1000, "size", 4096, "bo",
				       "b", "bo_offset", (1 + i % 200) * 4096, "comment", comment));
		while (i % 100 == 99 && answers <= (size_t)i) { /* a hundred at a time */
			json_t *answer = client_read(&client);

			applied += json_object_get(answer, "result") != NULL;
			answers++;
			json_decref(answer);
		}
	}
	assert_true(applied > 0 && applied < 8000);
	before = dump();
	fill_disk(false);
	wait_until_taken("bo.create", json_pack("{s:s, s:i}", "name", "extra", "size", 4096));
	must("bo.destroy", json_pack("{s:s}", "name", "extra"));
	restart(false, "--restore");
	after = dump();
	assert_string_equal(after, before); /* memory and log agree */
	free(before);
	free(after);
}

static void test_durability_none_is_undone_too(void **state)
{
	char *before, *after;

	if (!log_on_a_small_disk()) {
		skip();
		return;
	}
	make_objects();
	fill_disk(true);
	map_until_refused("none");
	before = dump();
	fill_disk(false);
	wait_until_taken("bo.create", json_pack("{s:s, s:i}", "name", "extra", "size", 4096));
	must("bo.destroy", json_pack("{s:s}", "name", "extra"));
	restart(false, "--restore");
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void test_without_a_log_the_rest_works(void **state)
{
	json_t *error, *result;

	client_close(&client);
	daemon_stop(&daemon_);
	strcpy(daemon_.log, "none");
	daemon_start(&daemon_, NULL);
	client_open(&client, &daemon_);
	make_objects();
	result = client_result(&client, "bind.map", map_params(0x1000, NULL));
	assert_null(json_object_get(result, "seq"));
	json_decref(result);
	must("script.run", json_pack("{s:s}", "text", "unmap v 0 1G"));
	must("vm.destroy", json_pack("{s:s}", "name", "v"));
	error = client_error(&client, -32000, "bo.create",
			     json_pack("{s:s, s:i, s:s}", "name", "c", "size", 4096, "txn_id", "t"));
	assert_string_equal(data_text(error, "name"), "EOPNOTSUPP");
	json_decref(error);
	json_decref(client_error(&client, -32000, "journal.status", NULL));
	json_decref(client_error(&client, -32000, "monitor.subscribe", NULL));
	daemon_stop(&daemon_);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_entry_says_who_what_and_why),
		TEST(test_a_failure_is_an_entry_too),
		TEST(test_journal_show_comes_in_pages),
		TEST(test_the_same_id_is_done_once),
		TEST(test_ids_are_remembered_across_restarts),
		TEST(test_pipelined_repetitions_are_done_once),
		TEST(test_restore_brings_everything_back),
		TEST(test_restore_from_a_compacted_log),
		TEST(test_without_restore_it_starts_empty),
		TEST(test_a_lost_vm_comes_back_as_it_was_before),
		TEST(test_replay_of_another_log),
		cmocka_unit_test_setup_teardown(test_a_full_disk_refuses_and_undoes, setup, teardown_disk),
		cmocka_unit_test_setup_teardown(test_pipelined_calls_are_undone_last_first, setup, teardown_disk),
		cmocka_unit_test_setup_teardown(test_durability_none_is_undone_too, setup, teardown_disk),
		TEST(test_without_a_log_the_rest_works),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
