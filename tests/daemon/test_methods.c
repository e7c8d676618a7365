/* SPDX-License-Identifier: MIT */
/*
 * What each method does to VMs and BOs, and what it says when it cannot.
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

static int start(const char *device)
{
	daemon_prepare(&daemon_);
	daemon_start_for(&daemon_, &client, device, NULL);
	return 0;
}

static int setup(void **state)
{
	return start(NULL);
}

static int teardown(void **state)
{
	client_close(&client);
	daemon_stop(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

static json_t *must(const char *method, json_t *params)
{
	return client_result(&client, method, params);
}

static void do_it(const char *method, json_t *params)
{
	json_decref(must(method, params));
}

static json_t *name(const char *text)
{
	return json_pack("{s:s}", "name", text);
}

static void make_objects(void)
{
	do_it("vm.create", name("v"));
	do_it("bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20));
}

static char *dump(void)
{
	json_t *result = must("state.dump", NULL);
	char *text = strdup(text_of(result, "script"));

	json_decref(result);
	return text;
}

static void assert_mappings(json_int_t count)
{
	json_t *vm = must("vm.show", name("v"));

	assert_int_equal(int_of(vm, "mappings"), count);
	json_decref(vm);
}

/* ---- Objects ---- */

static void test_names_are_taken_and_given_back(void **state)
{
	json_t *result, *error;

	result = must("vm.create", json_pack("{s:s, s:s}", "name", "v", "va_range", "0x100000000"));
	assert_int_equal(int_of(result, "generation"), 1);
	assert_true(hex_of(result, "va_range") >= UINT64_C(1) << 32);
	json_decref(result);
	error = client_error(&client, -32003, "vm.create", name("v"));
	assert_string_equal(data_text(error, "name"), "EEXIST");
	assert_string_equal(data_text(error, "pointer"), "/params/name");
	json_decref(error);
	do_it("bo.create", json_pack("{s:s, s:i}", "name", "v", "size", 1)); /* BOs have names of their own */
	do_it("vm.destroy", name("v"));
	json_decref(client_error(&client, -32002, "vm.destroy", name("v")));
	result = must("vm.destroy", json_pack("{s:s, s:b}", "name", "v", "missing_ok", 1));
	assert_false(bool_of(result, "destroyed"));
	json_decref(result);
	result = must("vm.create", name("v"));
	assert_int_equal(int_of(result, "generation"), 2);
	json_decref(result);
	result = must("bo.list", NULL);
	assert_int_equal(hex_of(json_array_get(json_object_get(result, "bos"), 0), "size"), 4096);
	json_decref(result);
}

static void test_vms_survive_their_client(void **state)
{
	make_objects();
	client_close(&client);
	client_open(&client, &daemon_);
	assert_mappings(0);
}

static void test_more_vms_than_the_driver_has(void **state)
{
	char text[16];
	json_t *error;

	for (int i = 0; i < 32; i++) {
		snprintf(text, sizeof(text), "v%d", i);
		do_it("vm.create", name(text));
	}
	error = client_error(&client, -32000, "vm.create", name("v32"));
	assert_string_equal(data_text(error, "name"), "EBUSY");
	assert_string_equal(data_text(error, "stage"), "submit");
	json_decref(error);
	/* One that is on its way out makes room, without a pause between. */
	client_begin(&client, "vm.destroy", name("v7"));
	client_begin(&client, "vm.create", name("v32"));
	for (int i = 0; i < 2; i++) {
		json_t *answer = client_read(&client);

		assert_non_null(json_object_get(answer, "result"));
		json_decref(answer);
	}
}

static void test_a_bo_of_one_vm(void **state)
{
	json_t *error;

	make_objects();
	do_it("vm.create", name("w"));
	do_it("bo.create", json_pack("{s:s, s:i, s:s}", "name", "own", "size", 4096, "vm", "w"));
	error = client_error(&client, -32000, "bind.map",
			     json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0, "size", 4096, "bo", "own"));
	assert_string_equal(data_text(error, "name"), "EINVAL");
	json_decref(error);
	do_it("bind.map", json_pack("{s:s, s:i, s:i, s:s}", "vm", "w", "va", 0, "size", 4096, "bo", "own"));
}

static void test_bytes_go_in_and_come_out(void **state)
{
	json_t *result, *error;

	make_objects();
	do_it("bo.write", json_pack("{s:s, s:i, s:s}", "name", "b", "offset", 5, "data", "AAECAw=="));
	result = must("bo.read", json_pack("{s:s, s:i, s:i}", "name", "b", "offset", 4, "size", 6));
	assert_string_equal(text_of(result, "data"), "AAABAgMA");
	json_decref(result);
	error = client_error(&client, -32602, "bo.read",
			     json_pack("{s:s, s:i, s:i}", "name", "b", "offset", (1 << 20) - 1, "size", 2));
	assert_string_equal(data_text(error, "name"), "ERANGE");
	json_decref(error);
	do_it("bo.create", json_pack("{s:s, s:i, s:[s]}", "name", "dark", "size", 4096, "flags", "no-mmap"));
	json_decref(client_error(&client, -32000, "bo.read", json_pack("{s:s, s:i}", "name", "dark", "size", 1)));
}

static void test_show_comes_in_pages(void **state)
{
	json_t *result;
	json_int_t seen = 0;
	uint64_t va = 0;

	make_objects();
	for (int i = 0; i < 30; i++)
		do_it("bind.map",
		      json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", i * 8192, "size", 4096, "bo", "b"));
	for (bool more = true; more;) {
		const json_t *map;

		result = must("vm.show", json_pack("{s:s, s:b, s:I, s:i}", "name", "v", "map", 1, "va", (json_int_t)va,
						   "limit", 7));
		map = json_object_get(result, "map");
		for (size_t i = 0; i < json_array_size(map); i++)
			assert_int_equal(hex_of(json_array_get(map, i), "va"), 8192 * seen++);
		more = json_object_get(result, "next") != NULL;
		if (more)
			va = hex_of(result, "next");
		json_decref(result);
	}
	assert_int_equal(seen, 30);
}

/* ---- Binds ---- */

static void test_txn_is_all_or_nothing(void **state)
{
	char *before, *after;
	json_t *error;

	make_objects();
	do_it("vm.create", name("w"));
	do_it("bind.map", json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0, "size", 65536, "bo", "b"));
	before = dump();
	error = client_error(&client, -32000, "txn.run",
			     json_pack("{s:[{s:s, s:s, s:i, s:i}, {s:s, s:s, s:i, s:i, s:s}, {s:s, s:s, s:i, s:i},"
				       " {s:s, s:s, s:i, s:i, s:s, s:i}]}",
				       "ops", "op", "unmap", "vm", "v", "va", 0, "size", 65536, "op", "map", "vm", "w",
				       "va", 0x1000, "size", 4096, "bo", "b", "op", "sparse-reserve", "vm", "w", "va",
				       0x400000, "size", 0x200000, "op", "map", "vm", "v", "va", 0, "size", 4096, "bo",
				       "b", "bo_offset", 1 << 20));
	assert_int_equal(int_of(json_object_get(error, "data"), "op"), 3);
	assert_string_equal(data_text(error, "pointer"), "/params/ops/3");
	assert_string_equal(data_text(error, "applied"), "none");
	assert_string_equal(data_text(error, "stage"), "validate");
	json_decref(error);
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void test_txn_goes_over_several_vms(void **state)
{
	json_t *result;

	make_objects();
	do_it("vm.create", name("w"));
	result = must("txn.run",
		      json_pack("{s:s, s:[{s:s, s:i, s:i, s:s}, {s:s, s:s, s:i, s:i, s:s}, {s:s, s:i, s:i}]}", "vm",
				"v", "ops", "op", "map", "va", 0, "size", 8192, "bo", "b", "op", "map", "vm", "w", "va",
				0, "size", 4096, "bo", "b", "op", "unmap", "va", 0, "size", 4096));
	assert_string_equal(text_of(result, "outcome"), "applied");
	assert_int_equal(int_of(result, "ops"), 3);
	json_decref(result);
	assert_mappings(1);
}

static void test_names_are_looked_up_before_anything(void **state)
{
	json_t *error;

	make_objects();
	error = client_error(&client, -32002, "txn.run",
			     json_pack("{s:s, s:[{s:s, s:i, s:i, s:s}, {s:s, s:i, s:i, s:s}]}", "vm", "v", "ops", "op",
				       "map", "va", 0, "size", 4096, "bo", "b", "op", "map", "va", 4096, "size", 4096,
				       "bo", "none"));
	assert_string_equal(data_text(error, "pointer"), "/params/ops/1/bo");
	assert_int_equal(int_of(json_object_get(error, "data"), "op"), 1);
	json_decref(error);
	assert_mappings(0);
	error = client_error(&client, -32602, "txn.run",
			     json_pack("{s:[{s:s, s:i, s:i}]}", "ops", "op", "unmap", "va", 0, "size", 4096));
	assert_string_equal(data_text(error, "pointer"), "/params/ops/0/vm");
	json_decref(error);
}

static void test_sparse_regions(void **state)
{
	json_t *range = json_pack("{s:s, s:i, s:i}", "vm", "v", "va", 0x400000, "size", 0x400000), *vm, *error;

	make_objects();
	do_it("sparse.reserve", json_incref(range));
	error = client_error(&client, -32000, "sparse.reserve", json_incref(range));
	assert_string_equal(data_text(error, "name"), "EEXIST");
	assert_string_equal(data_text(error, "va"), "0x400000");
	json_decref(error);
	do_it("sparse.bind", json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0x400000, "size", 4096, "bo", "b"));
	vm = must("vm.show", json_pack("{s:s, s:b}", "name", "v", "map", 1));
	assert_int_equal(json_array_size(json_object_get(vm, "regions")), 1);
	assert_string_equal(text_of(json_array_get(json_object_get(vm, "map"), 0), "bo"), "b");
	assert_true(bool_of(json_array_get(json_object_get(vm, "map"), 1), "sparse"));
	json_decref(vm);
	do_it("sparse.unbind", json_pack("{s:s, s:i, s:i}", "vm", "v", "va", 0x400000, "size", 4096));
	do_it("sparse.release", range);
	assert_mappings(0);
}

static int setup_faults(void **state)
{
	return start("sim:minor=6,fault=VM_BIND#2:op=2:ENOMEM,fault=VM_BIND#4:op=1:EIO,fault=VM_BIND#5=EIO");
}

static json_t *three_maps(void)
{
	return json_pack("{s:s, s:[{s:s, s:i, s:i, s:s}, {s:s, s:i, s:i, s:s}, {s:s, s:i, s:i, s:s}]}", "vm", "v",
			 "ops", "op", "map", "va", 0, "size", 4096, "bo", "b", "op", "map", "va", 0x10000, "size", 4096,
			 "bo", "b", "op", "map", "va", 0x20000, "size", 4096, "bo", "b");
}

static void test_a_failing_driver_is_rolled_back_or_poisons(void **state)
{
	json_t *error, *result;
	char *before, *after;

	make_objects();
	do_it("bind.map", json_pack("{s:s, s:i, s:i, s:s}", "vm", "v", "va", 0x10000, "size", 65536, "bo", "b"));
	before = dump();
	error = client_error(&client, -32000, "txn.run", three_maps()); /* fails at op 2, is undone */
	assert_string_equal(data_text(error, "stage"), "submit");
	assert_string_equal(data_text(error, "name"), "ENOMEM");
	assert_string_equal(data_text(error, "applied"), "none");
	assert_int_equal(int_of(json_object_get(error, "data"), "op"), 2);
	json_decref(error);
	do_it("bo.create", json_pack("{s:s, s:i}", "name", "c", "size", 4096));
	do_it("bo.destroy", name("c"));
	after = dump();
	assert_int_equal(strstr(after, "0x0 0x1000") != NULL, 0);
	free(before);
	free(after);
	error = client_error(&client, -32000, "txn.run", three_maps()); /* fails at op 1, and so does the undo */
	assert_string_equal(data_text(error, "stage"), "rollback");
	assert_string_not_equal(data_text(error, "applied"), "none");
	json_decref(error);
	result = must("vm.state", name("v"));
	assert_string_equal(text_of(result, "state"), "poisoned");
	assert_true(strlen(text_of(result, "reason")) > 0);
	json_decref(result);
	error = client_error(&client, -32000, "bind.unmap",
			     json_pack("{s:s, s:i, s:i}", "vm", "v", "va", 0, "size", 4096));
	assert_string_equal(data_text(error, "name"), "EUCLEAN");
	json_decref(error);
	do_it("vm.destroy", name("v"));
	do_it("vm.create", name("v")); /* the cure */
	assert_mappings(0);
}

/* ---- Scripts ---- */

static void test_scripts_run_on_the_same_names(void **state)
{
	json_t *result;

	make_objects();
	result = must("script.run",
		      json_pack("{s:s, s:{s:s}}", "text", "map v $AT 8K b\necho mapped\nvm show v\nbo list", "defines",
				"AT", "0x1000"));
	assert_string_equal(text_of(result, "outcome"), "applied");
	assert_int_equal(int_of(result, "ops"), 1);
	assert_int_equal(int_of(result, "commands"), 4);
	assert_string_equal(json_string_value(json_array_get(json_object_get(result, "output"), 0)), "mapped");
	assert_true(json_array_size(json_object_get(result, "output")) >= 3);
	json_decref(result);
	assert_mappings(1);
}

static void test_script_errors_have_a_place(void **state)
{
	json_t *error, *result;

	make_objects();
	error = client_error(&client, -32000, "script.run",
			     json_pack("{s:s, s:s}", "text", "map v 0 4K b\n  mpa v", "file", "f.pb"));
	assert_string_equal(data_text(error, "stage"), "parse");
	assert_int_equal(int_of(json_object_get(error, "data"), "line"), 2);
	assert_int_equal(int_of(json_object_get(error, "data"), "column"), 3);
	json_decref(error);
	error = client_error(&client, -32000, "script.run",
			     json_pack("{s:s}", "text", "map v 0 4K b\nmap v 4K 4K none"));
	assert_int_equal(int_of(json_object_get(error, "data"), "line"), 2);
	assert_string_equal(data_text(error, "applied"), "none");
	json_decref(error);
	assert_mappings(0);
	error = client_error(&client, -32000, "script.run",
			     json_pack("{s:s}", "text",
				       "begin\nmap v 0 4K b\ncommit\nbegin\nmap v 4K 4K none\ncommit"));
	assert_string_equal(data_text(error, "applied"), "partial"); /* the first transaction stays */
	json_decref(error);
	assert_mappings(1);
	result =
		must("script.run", json_pack("{s:s, s:b}", "text", "map v 4K 4K none\nmap v 8K 4K b", "keep_going", 1));
	assert_int_equal(int_of(result, "failed"), 1);
	assert_int_equal(int_of(json_array_get(json_object_get(result, "errors"), 0), "line"), 1);
	json_decref(result);
	assert_mappings(2);
	result = must("script.run", json_pack("{s:s, s:b}", "text", "unmap v 0 1M", "check", 1));
	json_decref(result);
	assert_mappings(2);
}

static void test_scripts_may_not_read_files(void **state)
{
	json_t *error = client_error(&client, -32000, "script.run", json_pack("{s:s}", "text", "include /etc/passwd"));

	assert_string_equal(data_text(error, "name"), "EPERM");
	json_decref(error);
}

static void test_a_script_with_an_id_is_run_once(void **state)
{
	json_t *result;

	make_objects();
	result = must("script.run", json_pack("{s:s, s:s}", "text", "bo create c 4K\nmap v 0 4K c", "txn_id", "s1"));
	json_decref(result);
	result = must("script.run", json_pack("{s:s, s:s}", "text", "bo create c 4K\nmap v 0 4K c", "txn_id", "s1"));
	assert_true(bool_of(result, "repeated"));
	json_decref(result);
	assert_mappings(1);
}

static void test_a_script_that_waits_for_ever_ends_with_its_client(void **state)
{
	struct client other;
	json_t *message;

	make_objects();
	client_open(&other, &daemon_);
	client_begin(&other, "script.run",
		     json_pack("{s:s}", "text", "map v 0 4K b\nsyncobj create s\nsyncobj wait s --for-submit"));
	usleep(50000); /* so that it is likely to wait already; right in either case */
	client_close(&other);
	assert_mappings(0); /* answered at all: the device's thread is free, and the script was undone */
	message = must("script.run", json_pack("{s:s}", "text", "map v 0 4K b"));
	assert_string_equal(text_of(message, "outcome"), "applied"); /* the next script is not stopped */
	json_decref(message);
}

static void test_other_answers_pass_a_call_that_waits(void **state)
{
	struct client other;
	json_t *answer;
	int script, ping;

	/* Given a client whose only call waits for somebody else, */
	make_objects();
	client_open(&other, &daemon_);
	script = client_begin(&other, "script.run",
			      json_pack("{s:s}", "text", "syncobj create s\nsyncobj wait s --for-submit"));
	usleep(50000);

	/* when it calls again, it has that answer first, and then the call ends with its client. */
	ping = client_begin(&other, "rpc.ping", NULL);
	answer = client_read(&other);
	assert_int_equal(int_of(answer, "id"), ping);
	assert_int_not_equal(ping, script);
	json_decref(answer);
	client_close(&other);
	assert_mappings(0);
}

static void test_a_dump_rebuilds_what_it_shows(void **state)
{
	char *before, *after;
	json_t *result;

	make_objects();
	do_it("script.run", json_pack("{s:s}", "text",
				      "map v 0 64K b --readonly\nsparse reserve v 4M 4M\nsparse bind v 4M 8K b+64K\n"
				      "unmap v 8K 4K"));
	before = dump();
	do_it("vm.destroy", name("v"));
	do_it("bo.destroy", name("b"));
	result = must("script.run", json_pack("{s:s}", "text", before));
	json_decref(result);
	after = dump();
	assert_string_equal(after, before);
	free(before);
	free(after);
}

/* ---- The table ---- */

static void assert_reference_resolves(const json_t *document, const json_t *schema)
{
	static const char prefix[] = "#/components/schemas/";
	const char *reference = json_string_value(json_object_get(schema, "$ref"));

	if (!reference)
		return;
	assert_memory_equal(reference, prefix, sizeof(prefix) - 1);
	assert_non_null(json_object_get(json_object_get(json_object_get(document, "components"), "schemas"),
					reference + sizeof(prefix) - 1));
}

/** OpenRPC's own schema allows no members but these and x-*. */
static void assert_members(const json_t *object, const char *allowed)
{
	const char *key;
	json_t *value;
	char word[64];

	json_object_foreach ((json_t *)object, key, value) {
		snprintf(word, sizeof(word), " %s ", key);
		if (strncmp(key, "x-", 2) != 0 && !strstr(allowed, word))
			fail_msg("a member %s", key);
	}
}

static void test_discover_is_an_openrpc_document(void **state)
{
	json_t *document = must("rpc.discover", NULL), *methods, *names = json_object();

	assert_string_equal(text_of(document, "openrpc"), "1.3.2");
	assert_true(strlen(text_of(json_object_get(document, "info"), "title")) > 0);
	assert_true(strlen(text_of(json_object_get(document, "info"), "version")) > 0);
	assert_members(document, " openrpc info servers methods components externalDocs ");
	assert_members(json_object_get(document, "info"), " title description termsOfService version contact license ");
	methods = json_object_get(document, "methods");
	assert_true(json_array_size(methods) >= 28);
	for (size_t i = 0; i < json_array_size(methods); i++) {
		const json_t *method = json_array_get(methods, i), *params = json_object_get(method, "params");

		assert_members(method, " name description summary tags paramStructure params result errors links "
				       "examples deprecated ");
		assert_null(json_object_get(names, text_of(method, "name"))); /* names are unique */
		json_object_set_new(names, text_of(method, "name"), json_true());
		assert_true(strlen(text_of(method, "summary")) > 0);
		assert_string_equal(text_of(method, "paramStructure"), "by-name");
		assert_true(json_is_array(params));
		for (size_t j = 0; j < json_array_size(params); j++) {
			const json_t *param = json_array_get(params, j);

			assert_members(param, " name description summary schema required deprecated ");
			assert_true(strlen(text_of(param, "name")) > 0);
			bool_of(param, "required");
			assert_true(json_is_object(json_object_get(param, "schema")));
			assert_reference_resolves(document, json_object_get(param, "schema"));
		}
		assert_string_equal(text_of(json_object_get(method, "result"), "name"), "result");
		assert_true(json_is_object(json_object_get(json_object_get(method, "result"), "schema")));
	}
	json_decref(names);
	json_decref(document);
}

static void test_every_method_of_the_table_answers(void **state)
{
	json_t *document = must("rpc.discover", NULL), *methods = json_object_get(document, "methods");

	for (size_t i = 0; i < json_array_size(methods); i++) { /* without params: a result, or what is missing */
		json_t *answer = client_call(&client, text_of(json_array_get(methods, i), "name"), NULL);
		const json_t *error = json_object_get(answer, "error");

		if (error)
			assert_string_equal(text_of(error, "message") + strlen(text_of(error, "message")) - 11,
					    "is required");
		json_decref(answer);
	}
	json_decref(document);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names_are_taken_and_given_back),
		TEST(test_vms_survive_their_client),
		TEST(test_more_vms_than_the_driver_has),
		TEST(test_a_bo_of_one_vm),
		TEST(test_bytes_go_in_and_come_out),
		TEST(test_show_comes_in_pages),
		TEST(test_txn_is_all_or_nothing),
		TEST(test_txn_goes_over_several_vms),
		TEST(test_names_are_looked_up_before_anything),
		TEST(test_sparse_regions),
		cmocka_unit_test_setup_teardown(test_a_failing_driver_is_rolled_back_or_poisons, setup_faults,
						teardown),
		TEST(test_scripts_run_on_the_same_names),
		TEST(test_script_errors_have_a_place),
		TEST(test_scripts_may_not_read_files),
		TEST(test_a_script_with_an_id_is_run_once),
		TEST(test_a_script_that_waits_for_ever_ends_with_its_client),
		TEST(test_other_answers_pass_a_call_that_waits),
		TEST(test_a_dump_rebuilds_what_it_shows),
		TEST(test_discover_is_an_openrpc_document),
		TEST(test_every_method_of_the_table_answers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
