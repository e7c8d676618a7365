/* SPDX-License-Identifier: MIT */
/*
 * Monitors: what has been comes first, what is new follows, in order and without gaps; who is slow misses nothing that
 * the log still has, and is told of what it has not.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

static struct daemon daemon_;
static struct client binder, watcher;

static int setup(void **state)
{
	daemon_prepare(&daemon_);
	daemon_start(&daemon_, NULL);
	client_open(&binder, &daemon_);
	client_open(&watcher, &daemon_);
	json_decref(client_result(&binder, "vm.create", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&binder, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
	return 0; /* entries 1 to 3: the start, the VM, the BO */
}

static int teardown(void **state)
{
	client_close(&binder);
	client_close(&watcher);
	daemon_stop(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

static void map(int count)
{
	for (int i = 0; i < count; i++)
		json_decref(client_result(&binder, "bind.map",
					  json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 4096 * (i % 100), "size",
						    4096, "bo", "b")));
}

/** The params of the watcher's next notification, which must be this one. */
static json_t *next(const char *method)
{
	json_t *message = client_read(&watcher), *params;

	assert_non_null(message);
	assert_null(json_object_get(message, "id"));
	assert_string_equal(text_of(message, "method"), method);
	params = json_incref(json_object_get(message, "params"));
	json_decref(message);
	return params;
}

static void expect_events(json_int_t first, json_int_t last)
{
	for (json_int_t seq = first; seq <= last; seq++) {
		json_t *entry = next("monitor.event");

		assert_int_equal(int_of(entry, "seq"), seq);
		json_decref(entry);
	}
}

static void subscribe(json_int_t since, json_int_t expected_next)
{
	json_t *params = since < 0 ? NULL : json_pack("{s:I}", "since", since);
	json_t *result = client_result(&watcher, "monitor.subscribe", params);

	assert_int_equal(int_of(result, "next"), expected_next);
	json_decref(result);
}

static void test_only_what_is_new_by_default(void **state)
{
	json_t *entry;

	map(5);
	subscribe(-1, 9);
	map(1);
	entry = next("monitor.event");
	assert_int_equal(int_of(entry, "seq"), 9);
	assert_string_equal(text_of(entry, "kind"), "bind");
	assert_string_equal(text_of(json_array_get(json_object_get(entry, "ops"), 0), "op"), "map");
	json_decref(entry);
	map(20);
	expect_events(10, 29);
}

static void test_since_catches_up_and_goes_on(void **state)
{
	map(300);
	subscribe(2, 2);
	map(10);
	expect_events(2, 313);
	map(3);
	expect_events(314, 316);
}

static void test_other_calls_go_on_beside_events(void **state)
{
	subscribe(1, 1);
	expect_events(1, 3);
	json_decref(client_result(&watcher, "rpc.ping", NULL));
	map(1);
	expect_events(4, 4);
}

static void test_a_second_subscription_is_refused(void **state)
{
	subscribe(-1, 4);
	json_decref(client_error(&watcher, -32003, "monitor.subscribe", NULL));
	map(1);
	expect_events(4, 4);
}

static void test_a_slow_reader_misses_nothing(void **state)
{
	/* Far more than any buffer holds, and the watcher reads nothing of it while it happens. */
	char *comment = malloc(3001);

	memset(comment, 'c', 3000);
	comment[3000] = '\0';
	subscribe(4, 4);
	for (int i = 0; i < 2000; i++)
		json_decref(client_result(&binder, "bind.map",
					  json_pack("{s:s, s:i, s:i, s:s, s:s, s:s}", "vm", "v", "va", 0, "size", 4096,
						    "bo", "b", "comment", comment, "durability", "write")));
	expect_events(4, 2003);
	free(comment);
}

static void test_what_is_folded_is_said_to_be_lost(void **state)
{
	json_t *lost;

	map(50);
	json_decref(client_result(&binder, "journal.compact", json_pack("{s:i}", "until", 30)));
	subscribe(1, 1);
	lost = next("monitor.lost");
	assert_int_equal(int_of(lost, "first"), 1);
	assert_int_equal(int_of(lost, "next"), 31);
	json_decref(lost);
	expect_events(31, 53);
}

static void test_all_folded_is_said_too(void **state)
{
	json_t *lost;

	map(10);
	json_decref(client_result(&binder, "journal.compact", NULL));
	subscribe(1, 1);
	lost = next("monitor.lost");
	assert_int_equal(int_of(lost, "next"), 14);
	json_decref(lost);
	map(2);
	expect_events(14, 15);
}

static void test_many_watchers_see_the_same(void **state)
{
	enum { COUNT = 20 };
	struct client clients[COUNT];

	for (int i = 0; i < COUNT; i++) {
		client_open(&clients[i], &daemon_);
		json_decref(client_result(&clients[i], "monitor.subscribe", json_pack("{s:i}", "since", 4)));
	}
	map(100);
	for (int i = 0; i < COUNT; i++) {
		for (json_int_t seq = 4; seq <= 103; seq++) {
			json_t *message = client_read(&clients[i]);

			assert_int_equal(int_of(json_object_get(message, "params"), "seq"), seq);
			json_decref(message);
		}
		client_close(&clients[i]); /* also in the middle of what the others get */
		map(0);
	}
	subscribe(-1, 104);
	map(1);
	expect_events(104, 104);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_what_is_new_by_default),	    TEST(test_since_catches_up_and_goes_on),
		TEST(test_other_calls_go_on_beside_events), TEST(test_a_second_subscription_is_refused),
		TEST(test_a_slow_reader_misses_nothing),    TEST(test_what_is_folded_is_said_to_be_lost),
		TEST(test_all_folded_is_said_too),	    TEST(test_many_watchers_see_the_same),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
