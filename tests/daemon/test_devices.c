/* SPDX-License-Identifier: MIT */
/*
 * One daemon, two devices: each has its names, its thread, its log and its transaction ids, and calls say which one
 * they mean.
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
static struct client client;

static void start(const char *option)
{
	const char *const options[] = {"--device=new=sim:", option, NULL};

	daemon_start_for(&daemon_, &client, "old=sim:minor=6", options);
}

static int setup(void **state)
{
	daemon_prepare(&daemon_);
	snprintf(daemon_.log, sizeof(daemon_.log), "%s/%%n.db", daemon_.dir);
	start(NULL);
	return 0;
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_kill(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

/** A call for one of the devices that must succeed; NULL: the default one. */
static json_t *on(const char *device, const char *method, json_t *params)
{
	if (!params)
		params = json_object();
	if (device)
		json_object_set_new(params, "device", json_string(device));
	return client_result(&client, method, params);
}

static void make(const char *device, const char *vm)
{
	json_decref(on(device, "vm.create", json_pack("{s:s}", "name", vm)));
}

static size_t count_vms(const char *device)
{
	json_t *list = on(device, "vm.list", NULL);
	size_t count = json_array_size(json_object_get(list, "vms"));

	json_decref(list);
	return count;
}

static void test_the_greeting_names_them_in_order(void **state)
{
	const json_t *devices = json_object_get(client.greeting, "devices");

	assert_int_equal(json_array_size(devices), 2);
	assert_string_equal(text_of(json_array_get(devices, 0), "name"), "old");
	assert_string_equal(text_of(json_array_get(devices, 1), "name"), "new");
	for (size_t i = 0; i < 2; i++)
		assert_true(bool_of(json_array_get(devices, i), "log"));
}

static void test_each_has_its_own_names(void **state)
{
	make("old", "v");
	make("new", "v");
	make("new", "w");
	assert_int_equal(count_vms(NULL), 1); /* the first is the default */
	assert_int_equal(count_vms("old"), 1);
	assert_int_equal(count_vms("new"), 2);
	json_decref(client_error(&client, -32003, "vm.create", json_pack("{s:s, s:s}", "name", "v", "device", "new")));
}

static void test_a_device_that_is_not_served_is_refused(void **state)
{
	static const char *const methods[] = {"vm.list", "journal.status", "state.dump"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		json_t *error = client_error(&client, -32002, methods[i], json_pack("{s:s}", "device", "none"));

		assert_string_equal(data_text(error, "pointer"), "/params/device");
		json_decref(error);
	}
}

static void test_each_has_its_own_log(void **state)
{
	static const char *const names[] = {"old", "new"};

	make("old", "v");
	for (int i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "w%d", i);
		make("new", name);
	}
	for (size_t i = 0; i < 2; i++) {
		json_t *status = on(names[i], "journal.status", NULL);
		char path[128];

		snprintf(path, sizeof(path), "%s/%s.db", daemon_.dir, names[i]);
		assert_string_equal(text_of(status, "path"), path);
		assert_int_equal(access(path, F_OK), 0);
		assert_int_equal(int_of(status, "last"), i ? 6 : 2); /* with the start */
		json_decref(status);
	}
}

static void test_an_id_belongs_to_one_device(void **state)
{
	json_t *result;

	json_decref(on("old", "vm.create", json_pack("{s:s, s:s}", "name", "v", "txn_id", "t")));
	result = on("new", "txn.status", json_pack("{s:s}", "txn_id", "t"));
	assert_false(bool_of(result, "known"));
	json_decref(result);
	result = on("new", "vm.create", json_pack("{s:s, s:s}", "name", "v", "txn_id", "t"));
	assert_null(json_object_get(result, "repeated"));
	json_decref(result);
}

static void test_one_that_waits_does_not_hold_the_other_up(void **state)
{
	struct client waiting;

	client_open(&waiting, &daemon_);
	client_begin(&waiting, "script.run",
		     json_pack("{s:s, s:s}", "text", "syncobj create s\nsyncobj wait s --for-submit", "device", "old"));
	for (int i = 0; i < 20; i++) {
		json_decref(on("new", "device.info", NULL));
		usleep(2000); /* it waits, sooner or later */
	}
	client_close(&waiting);
}

static void test_both_come_back(void **state)
{
	make("old", "v");
	make("new", "v");
	make("new", "w");
	client_close(&client);
	daemon_kill(&daemon_);
	start("--restore");
	assert_int_equal(count_vms("old"), 1);
	assert_int_equal(count_vms("new"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_greeting_names_them_in_order),
		TEST(test_each_has_its_own_names),
		TEST(test_a_device_that_is_not_served_is_refused),
		TEST(test_each_has_its_own_log),
		TEST(test_an_id_belongs_to_one_device),
		TEST(test_one_that_waits_does_not_hold_the_other_up),
		TEST(test_both_come_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
