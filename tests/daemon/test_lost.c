/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous binds: they are in the log with their waits and signals, and a VM that one of them cost is known to be
 * lost: to the log, to monitors, to whoever looks at it, and after a restart.
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

static void start_on(const char *device, const char *option)
{
	const char *const options[] = {option, NULL};

	daemon_start_for(&daemon_, &client, device, options);
}

static int setup(void **state)
{
	daemon_prepare(&daemon_);
	return 0;
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_kill(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

static void restart_on(const char *device, const char *option)
{
	client_close(&client);
	daemon_kill(&daemon_);
	start_on(device, option);
}

static void run(const char *text)
{
	json_decref(client_result(&client, "script.run", json_pack("{s:s}", "text", text)));
}

static json_t *show(const char *vm)
{
	return client_result(&client, "vm.show", json_pack("{s:s}", "name", vm));
}

static json_t *entries(void)
{
	json_t *shown = client_result(&client, "journal.show", NULL),
	       *list = json_incref(json_object_get(shown, "entries"));

	json_decref(shown);
	return list;
}

static const char objects[] = "vm create v\nvm create w\nbo create b 1M\nsyncobj create s\nsyncobj create t\n";

static void test_waits_and_signals_are_in_the_log(void **state)
{
	json_t *list, *entry, *ops;

	start_on(NULL, NULL);
	run(objects);
	run("syncobj signal s:3\nbegin async\nmap v 0 4K b --wait=s:3\nunmap v 8K 4K\n"
	    "sync-only v --signal=t --signal=s:4\ncommit\nsyncobj wait t --for-submit");
	list = entries();
	entry = json_array_get(list, json_array_size(list) - 1);
	assert_true(bool_of(entry, "async"));
	assert_true(int_of(entry, "latency_ns") > 0);
	ops = json_object_get(entry, "ops");
	assert_int_equal(json_array_size(ops), 3);
	assert_string_equal(text_of(json_array_get(ops, 0), "syncs"), "wait=s:3");
	assert_null(json_object_get(json_array_get(ops, 1), "syncs"));
	assert_string_equal(text_of(json_array_get(ops, 2), "op"), "sync-only");
	assert_string_equal(text_of(json_array_get(ops, 2), "syncs"), "signal=t signal=s:4");
	json_decref(list);
}

static void test_a_lost_vm_is_an_entry_and_an_event(void **state)
{
	struct client watcher;
	json_t *event = NULL, *vm, *list, *error;
	json_int_t async_seq;

	start_on("sim:fault=VM_BIND#2:op=0:ENOMEM", NULL);
	run(objects);
	run("map v 0 64K b");
	client_open(&watcher, &daemon_);
	json_decref(client_result(&watcher, "monitor.subscribe", NULL));
	/* When the second bind fails behind everybody's back, and nobody asks any more, */
	run("begin async\nmap v 1M 4K b --signal=s\ncommit");
	list = entries();
	async_seq = (json_int_t)json_array_size(list);
	json_decref(list);
	/* those who watch the log hear of it, */
	do {
		json_decref(event);
		event = client_read(&watcher);
		assert_non_null(event);
	} while (strcmp(text_of(json_object_get(event, "params"), "kind"), "vm.lost") != 0);
	assert_string_equal(text_of(json_object_get(json_object_get(event, "params"), "object"), "name"), "v");
	assert_non_null(strstr(text_of(json_object_get(event, "params"), "comment"), "an asynchronous bind failed"));
	assert_true(int_of(json_object_get(event, "params"), "seq") > async_seq - 1);
	/* and whoever looks at the VM sees since when; the other VM is well. */
	vm = show("v");
	assert_string_equal(text_of(vm, "state"), "unusable");
	assert_int_equal(int_of(vm, "lost"), int_of(json_object_get(event, "params"), "seq"));
	assert_non_null(json_object_get(vm, "reason"));
	json_decref(vm);
	vm = show("w");
	assert_string_equal(text_of(vm, "state"), "usable");
	assert_null(json_object_get(vm, "lost"));
	json_decref(vm);
	error = client_error(&client, -32000, "script.run", json_pack("{s:s}", "text", "map v 0 4K b"));
	assert_string_equal(data_text(error, "name"), "EUCLEAN");
	json_decref(error);
	json_decref(event);
	client_close(&watcher);
	/* A new VM of that name is another one. */
	run("vm destroy v\nvm create v");
	vm = show("v");
	assert_null(json_object_get(vm, "lost"));
	json_decref(vm);
}

static json_t *two_fenced_ops(const char *id, const char *signal)
{
	json_t *params = json_pack("{s:s, s:b, s:[{s:s, s:i, s:i, s:s}, {s:s, s:i, s:i, s:s}]}", "vm", "v", "fenced", 1,
				   "ops", "op", "map", "va", 1 << 20, "size", 4096, "bo", "b", "op", "map", "va",
				   1 << 21, "size", 4096, "bo", "b");

	if (id)
		json_object_set_new(params, "txn_id", json_string(id));
	if (signal)
		json_object_set_new(params, "signal", json_string(signal));
	return params;
}

/* What a client is told of ops between two syncobjs; tests/shell/test-cli-fenced.sh has the rest. */
static void test_a_fenced_bind_that_fails_is_told_as_unknown(void **state)
{
	json_t *error, *vm, *status, *list, *last;

	start_on("sim:fault=VM_BIND#2=EIO,fault=VM_BIND#3:op=0:ENOMEM", NULL);
	run(objects);
	run("map v 0 64K b");
	/* Refused when it is handed over: nothing is applied, */
	error = client_error(&client, -32000, "txn.run", two_fenced_ops(NULL, NULL));
	assert_string_equal(data_text(error, "applied"), "none");
	assert_string_equal(data_text(error, "stage"), "submit");
	json_decref(error);
	/* and in the middle: nobody knows, and the VM is gone. The answer names its entry, which is not the last one.
	 */
	error = client_error(&client, -32000, "txn.run", two_fenced_ops("t1", NULL));
	assert_string_equal(data_text(error, "applied"), "unknown");
	assert_string_equal(data_text(error, "stage"), "complete");
	list = entries();
	last = json_array_get(list, json_array_size(list) - 1);
	assert_string_equal(text_of(last, "kind"), "vm.lost");
	assert_int_equal(int_of(json_object_get(error, "data"), "seq"), int_of(last, "seq") - 1);
	vm = show("v");
	assert_string_equal(text_of(vm, "state"), "unusable");
	assert_int_equal(int_of(vm, "lost"), int_of(last, "seq"));
	status = client_result(&client, "txn.status", json_pack("{s:s}", "txn_id", "t1"));
	assert_string_equal(text_of(status, "outcome"), "unknown");
	json_decref(status);
	json_decref(vm);
	json_decref(list);
	json_decref(error);
	error = client_error(&client, -32602, "txn.run",
			     json_pack("{s:s, s:s, s:[{s:s, s:i, s:i}]}", "vm", "w", "wait", "s", "ops", "op", "unmap",
				       "va", 0, "size", 4096));
	assert_string_equal(data_text(error, "pointer"), "/params/wait");
	json_decref(error);
}

static void test_a_fenced_bind_with_a_signal_is_answered_at_once(void **state)
{
	json_t *vm;

	start_on("sim:fault=VM_BIND#1:op=0:ENOMEM", NULL);
	run(objects);
	/* Its result is behind the signal, */
	json_decref(client_result(&client, "txn.run", two_fenced_ops("t1", "s")));
	run("syncobj wait s");
	/* and the loss of its VM is recorded as that of any asynchronous bind. */
	for (vm = show("v"); !json_object_get(vm, "lost"); vm = show("v")) {
		json_decref(vm);
		usleep(2000);
	}
	assert_string_equal(text_of(vm, "state"), "unusable");
	json_decref(vm);
}

static void test_a_lost_vm_comes_back_at_a_restart(void **state)
{
	json_t *vm;

	start_on("sim:fault=VM_BIND#2:op=0:ENOMEM", NULL);
	run(objects);
	run("map v 0 64K b");
	run("begin async\nmap v 1M 4K b --signal=s\ncommit");
	for (vm = show("v"); !json_object_get(vm, "lost"); vm = show("v")) {
		json_decref(vm);
		usleep(5000);
	}
	json_decref(vm);
	restart_on(NULL, "--restore");
	vm = show("v");
	assert_string_equal(text_of(vm, "state"), "usable");
	assert_int_equal(int_of(vm, "mappings"), 2);
	json_decref(vm);
	run("map v 2M 4K b");
	restart_on(NULL, "--restore");
	vm = show("v");
	assert_int_equal(int_of(vm, "mappings"), 3);
	json_decref(vm);
}

static void test_asynchronous_binds_come_back_as_they_were(void **state)
{
	static const char frames[] =
		"repeat 20 i\nbegin async\nmap v $(i * 16K) 16K b+$(i * 16K) --signal=s:$(i + 1)\n"
		"commit\nbegin async\nmap w $(i * 16K) 16K b --wait=s:$(i + 1) --signal=t:$(i + 1)\n"
		"commit\nend\nsyncobj wait t:20\nmap v 0 4K b+1020K\nunmap w 0 32K";
	json_t *before, *after;

	start_on(NULL, NULL);
	run(objects);
	run(frames);
	before = client_result(&client, "state.dump", NULL);
	restart_on(NULL, "--restore");
	after = client_result(&client, "state.dump", NULL);
	assert_true(json_equal(before, after));
	json_decref(before);
	json_decref(after);
}

static void test_failures_do_not_keep_the_state_from_coming_back(void **state)
{
	json_t *vm;

	/* Given entries that failed for reasons that are gone, */
	start_on("sim:fault=VM_BIND#2=ENOMEM,fault=VM_BIND#3:op=0:EIO,fault=BO_CREATE#2=ENOMEM", NULL);
	run(objects);
	run("map v 0 64K b");
	json_decref(client_error(&client, -32000, "script.run", json_pack("{s:s}", "text", "map v 1M 4K b")));
	json_decref(client_error(&client, -32000, "bind.map",
				 json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 1 << 20, "size", 4096, "bo", "b")));
	json_decref(client_error(&client, -32000, "bo.create",
				 json_pack("{s:s, s:i, s:s}", "name", "c", "size", 4096, "txn_id", "t")));
	/* when the daemon restores what was there, they do not matter. */
	restart_on(NULL, "--restore");
	vm = show("v");
	assert_int_equal(int_of(vm, "mappings"), 1);
	json_decref(vm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_waits_and_signals_are_in_the_log),
		TEST(test_a_lost_vm_is_an_entry_and_an_event),
		TEST(test_a_lost_vm_comes_back_at_a_restart),
		TEST(test_a_fenced_bind_that_fails_is_told_as_unknown),
		TEST(test_a_fenced_bind_with_a_signal_is_answered_at_once),
		TEST(test_asynchronous_binds_come_back_as_they_were),
		TEST(test_failures_do_not_keep_the_state_from_coming_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
