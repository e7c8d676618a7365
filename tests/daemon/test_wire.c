/* SPDX-License-Identifier: MIT */
/*
 * What a daemon makes of the bytes that a client sends, right or wrong: each test states what goes in and what must
 * come out, and that others are still served.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "seed.h"

static struct daemon served; /* one for all tests of this file: it must survive each */

static int start(void **state)
{
	daemon_prepare(&served);
	daemon_start(&served, (const char *const[]){"--max-ops=100", NULL});
	return 0;
}

static int stop(void **state)
{
	daemon_stop(&served);
	daemon_remove(&served);
	return 0;
}

static void assert_still_served(void)
{
	struct client client;

	client_open(&client, &served);
	json_decref(client_result(&client, "rpc.ping", NULL));
	client_close(&client);
}

/** Read an answer that is an error, and check its code, name and id (as JSON text). */
static json_t *read_error(struct client *client, int code, const char *name, const char *id)
{
	json_t *answer = client_read(client), *error;
	char *got;

	assert_non_null(answer);
	error = json_object_get(answer, "error");
	assert_non_null(error);
	assert_int_equal(int_of(error, "code"), code);
	assert_string_equal(data_text(error, "name"), name);
	assert_string_equal(data_text(error, "applied"), "none");
	got = json_dumps(json_object_get(answer, "id"), JSON_ENCODE_ANY);
	assert_string_equal(got, id);
	free(got);
	json_incref(error);
	json_decref(answer);
	return error;
}

static void assert_end(struct client *client)
{
	assert_null(client_read_line(client));
}

/* ---- Greeting ---- */

static void test_greeting_states_protocol_device_and_limits(void **state)
{
	struct client client;
	json_t *device, *limits;

	client_open(&client, &served);
	assert_int_equal(int_of(client.greeting, "protocol"), 1);
	assert_string_equal(text_of(client.greeting, "role"), "admin");
	device = json_array_get(json_object_get(client.greeting, "devices"), 0);
	assert_string_equal(text_of(device, "name"), "gpu0");
	assert_string_equal(text_of(device, "backend"), "sim");
	limits = json_object_get(client.greeting, "limits");
	assert_int_equal(int_of(limits, "ops"), 100);
	assert_int_equal(int_of(limits, "request_bytes"), 4 << 20);
	assert_true(int_of(limits, "connections") > 0);
	client_close(&client);
}

/* ---- Lines that are no requests ---- */

static void test_malformed_is_answered_then_closed(void **state)
{
	static const char *const lines[] = {
		"{",
		"}",
		"nonsense",
		"{\"jsonrpc\":\"2.0\",}",
		"[1,2",
		"\"open",
		"\x01",
		"{\"a\":1}}",
		"{\"jsonrpc\":\"2.0\" \"id\":1}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":1e999}",
		"nul",
		"\xff\xfe",
		"{\"a\":01}",
		"{'a':1}",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct client client;
		json_t *error;

		client_open(&client, &served);
		client_send_line(&client, lines[i]);
		client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.ping\"}");
		error = read_error(&client, -32700, "EBADMSG", "null");
		assert_string_equal(data_text(error, "stage"), "parse");
		json_decref(error);
		assert_end(&client); /* what came behind is not carried out */
		client_close(&client);
	}
	assert_still_served();
}

static void test_duplicate_keys_are_refused(void **state)
{
	struct client client;

	client_open(&client, &served);
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.ping\",\"method\":\"vm.list\"}");
	json_decref(read_error(&client, -32700, "EBADMSG", "null"));
	assert_end(&client);
	client_close(&client);
}

static void test_nesting_ends_somewhere(void **state)
{
	static const int depths[] = {33, 2000, 100000};

	for (size_t i = 0; i < 3; i++) {
		char *line = malloc((size_t)depths[i] + 1);
		struct client client;
		json_t *error;

		memset(line, i == 1 ? '{' : '[', (size_t)depths[i]);
		line[depths[i]] = '\0';
		client_open(&client, &served);
		client_send_line(&client, line);
		error = read_error(&client, -32700, "EBADMSG", "null");
		assert_string_equal(text_of(error, "message"), "nested too deeply");
		json_decref(error);
		assert_end(&client);
		client_close(&client);
		free(line);
	}
	assert_still_served();
}

static void test_brackets_in_strings_do_not_nest(void **state)
{
	struct client client;
	char name[200];
	json_t *error;

	memset(name, '[', 199);
	name[0] = '"', name[1] = '\\', name[199] = '\0';
	client_open(&client, &served);
	error = client_error(&client, -32602, "vm.show", json_pack("{s:s}", "name", name));
	assert_string_equal(data_text(error, "pointer"), "/params/name");
	json_decref(error);
	client_close(&client);
}

static void test_huge_line_is_answered_then_closed(void **state)
{
	size_t size = (4 << 20) + 100000;
	char *bytes = malloc(size);
	struct client client;

	memset(bytes, ' ', size);
	client_open(&client, &served);
	client_send(&client, bytes, size); /* no newline ever comes */
	json_decref(read_error(&client, -32005, "EMSGSIZE", "null"));
	assert_end(&client);
	client_close(&client);
	client_open(&client, &served);
	client_send(&client, bytes, (4 << 20) + 1);
	client_send(&client, "\n", 1);
	json_decref(read_error(&client, -32005, "EMSGSIZE", "null"));
	assert_end(&client);
	client_close(&client);
	free(bytes);
	assert_still_served();
}

static void test_largest_line_is_taken(void **state)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"rpc.ping\"}";
	size_t size = 4 << 20;
	char *bytes = malloc(size + 1);
	struct client client;
	json_t *answer;

	memset(bytes, ' ', size);
	memcpy(bytes, call, sizeof(call) - 1);
	bytes[size] = '\n';
	client_open(&client, &served);
	client_send(&client, bytes, size + 1);
	answer = client_read(&client);
	assert_int_equal(int_of(answer, "id"), 7);
	assert_non_null(json_object_get(answer, "result"));
	json_decref(answer);
	client_close(&client);
	free(bytes);
}

static void test_line_cut_off_by_the_end_is_not_carried_out(void **state)
{
	static const char cut[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.create\",\"params\":{\"name\":\"cut\"}}";
	struct client client;

	/* Whole JSON, but no newline: nobody knows what was to come. */
	client_open(&client, &served);
	client_send(&client, cut, sizeof(cut) - 1);
	shutdown(client.fd, SHUT_WR);
	json_decref(read_error(&client, -32700, "EBADMSG", "null"));
	assert_end(&client);
	client_close(&client);
	client_open(&client, &served);
	json_decref(client_error(&client, -32002, "vm.show", json_pack("{s:s}", "name", "cut")));
	client_close(&client);
}

static void test_line_in_pieces_is_one_line(void **state)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":\"\xc3\xa4\",\"method\":\"rpc.ping\"}\r\n";
	struct client client;
	json_t *answer;

	client_open(&client, &served);
	for (size_t i = 0; i < sizeof(call) - 1; i++) {
		client_send(&client, &call[i], 1);
		if (i % 7 == 0)
			usleep(200);
	}
	answer = client_read(&client);
	assert_string_equal(text_of(answer, "id"), "\xc3\xa4");
	json_decref(answer);
	client_close(&client);
}

static void test_blank_lines_are_nothing(void **state)
{
	struct client client;

	client_open(&client, &served);
	client_send_line(&client, "");
	client_send_line(&client, "  \t\r");
	json_decref(client_result(&client, "rpc.ping", NULL));
	client_close(&client);
}

static void test_calls_before_the_end_are_answered(void **state)
{
	struct client client;
	json_t *answer;

	client_open(&client, &served);
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\"}");
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"rpc.ping\"}");
	shutdown(client.fd, SHUT_WR);
	for (int i = 0; i < 2; i++) {
		answer = client_read(&client);
		assert_non_null(answer);
		assert_non_null(json_object_get(answer, "result"));
		json_decref(answer);
	}
	assert_end(&client);
	client_close(&client);
}

/* ---- Requests that are wrong ---- */

struct wrong {
	const char *line;
	int code;
	const char *name, *id, *pointer;
};

static void test_wrong_requests_say_what_is_wrong(void **state)
{
	static const struct wrong wrongs[] = {
		{"1", -32600, "EINVAL", "null", NULL},
		{"\"text\"", -32600, "EINVAL", "null", NULL},
		{"null", -32600, "EINVAL", "null", NULL},
		{"{}", -32600, "EINVAL", "null", "/jsonrpc"},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"rpc.ping\"}", -32600, "EINVAL", "1", "/jsonrpc"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2}", -32600, "EINVAL", "2", "/method"},
		{"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":4}", -32600, "EINVAL", "3", "/method"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"rpc.ping\"}", -32600, "EINVAL", "null", "/id"},
		{"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"rpc.ping\"}", -32600, "EINVAL", "null", "/id"},
		{"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"rpc.ping\",\"parms\":{}}", -32600, "EINVAL", "4",
		 "/parms"},
		{"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"vm.explode\"}", -32601, "ENOSYS", "5", "/method"},
		{"{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"vm.list\",\"params\":[]}", -32602, "EINVAL", "6",
		 "/params"},
		{"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"vm.list\",\"params\":{\"devise\":\"x\"}}", -32602,
		 "EINVAL", "7", "/params/devise"},
		{"{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"vm.list\",\"params\":{\"device\":\"other\"}}", -32002,
		 "ENODEV", "8", "/params/device"},
		{"[]", -32600, "EINVAL", "null", NULL},
	};
	struct client client;

	client_open(&client, &served); /* the same connection for all: none of these ends it */
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		json_t *error;

		client_send_line(&client, wrongs[i].line);
		error = read_error(&client, wrongs[i].code, wrongs[i].name, wrongs[i].id);
		if (wrongs[i].pointer)
			assert_string_equal(data_text(error, "pointer"), wrongs[i].pointer);
		json_decref(error);
	}
	json_decref(client_result(&client, "rpc.ping", NULL));
	client_close(&client);
}

/** A parameter's value, as JSON, for `va` of bind.unmap; what it must be refused with, NULL: taken. */
struct value {
	const char *json, *name;
	const char *pointer;
};

static void test_numbers_are_exact(void **state)
{
	static const struct value values[] = {
		{"1.0", "EINVAL", "/params/va"},
		{"4096.5", "EINVAL", "/params/va"},
		{"1e3", "EINVAL", "/params/va"},
		{"-1", "EINVAL", "/params/va"},
		{"-0.0", "EINVAL", "/params/va"},
		{"9007199254740992", "EINVAL", "/params/va"},	  /* 2^53 */
		{"9223372036854775807", "EINVAL", "/params/va"},  /* 2^63 - 1 */
		{"9223372036854775808", "ERANGE", "/params/va"},  /* 2^63: jansson cannot hold it */
		{"18446744073709551616", "ERANGE", "/params/va"}, /* 2^64 */
		{"-9223372036854775809", "ERANGE", "/params/va"},
		{"\"18446744073709551616\"", "ERANGE", "/params/va"},
		{"\"0x10000000000000000\"", "ERANGE", "/params/va"},
		{"\"\"", "EINVAL", "/params/va"},
		{"\"0x\"", "EINVAL", "/params/va"},
		{"\" 4096\"", "EINVAL", "/params/va"},
		{"\"+4096\"", "EINVAL", "/params/va"},
		{"\"4K\"", "EINVAL", "/params/va"},
		{"\"0xg\"", "EINVAL", "/params/va"},
		{"true", "EINVAL", "/params/va"},
		{"null", "EINVAL", "/params/va"},
		{"[4096]", "EINVAL", "/params/va"},
		{"{\"a\":1}", "EINVAL", "/params/va"},
	};
	struct client client;
	char line[256];

	client_open(&client, &served);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		json_t *error;

		snprintf(line, sizeof(line),
			 "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"bind.unmap\",\"params\":{\"vm\":\"v\",\"size\":"
			 "4096,"
			 "\"va\":%s}}",
			 values[i].json);
		client_send_line(&client, line);
		error = read_error(&client, -32602, values[i].name, "9");
		assert_string_equal(data_text(error, "pointer"), values[i].pointer);
		json_decref(error);
	}
	client_close(&client);
}

static void test_numbers_in_all_their_forms_are_taken(void **state)
{
	static const char *const forms[] = {"4096",
					    "\"4096\"",
					    "\"0x1000\"",
					    "\"0X1000\"",
					    "9007199254740991",
					    "\"18446744073709551615\"",
					    "\"0xffffffffffffffff\""};
	struct client client;
	char line[256];

	/* There is no such VM: getting that far means that the number was understood. */
	client_open(&client, &served);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		snprintf(line, sizeof(line),
			 "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"bind.unmap\",\"params\":{\"vm\":\"none\",\"size\":"
			 "4096,"
			 "\"va\":%s}}",
			 forms[i]);
		client_send_line(&client, line);
		json_decref(read_error(&client, -32002, "ENOENT", "9"));
	}
	client_close(&client);
}

static void test_wrong_params_are_pointed_at(void **state)
{
	static const struct {
		const char *method, *params, *pointer;
		int code;
	} wrongs[] = {
		{"vm.create", "{}", "/params/name", -32602},
		{"vm.create", "{\"name\":5}", "/params/name", -32602},
		{"vm.create", "{\"name\":\"\"}", "/params/name", -32602},
		{"vm.create", "{\"name\":\"1st\"}", "/params/name", -32602},
		{"vm.create", "{\"name\":\"a b\"}", "/params/name", -32602},
		{"vm.create", "{\"name\":\"a\",\"a/b~c\":1}", "/params/a~1b~0c", -32602},
		{"vm.destroy", "{\"name\":\"a\",\"missing_ok\":1}", "/params/missing_ok", -32602},
		{"bo.create", "{\"name\":\"a\",\"size\":0}", "/params/size", -32602},
		{"bo.create", "{\"name\":\"a\",\"size\":4096,\"flags\":\"wb-mmap\"}", "/params/flags", -32602},
		{"bo.create", "{\"name\":\"a\",\"size\":4096,\"flags\":[\"wb-mmap\",\"huge\"]}", "/params/flags/1",
		 -32602},
		{"bo.write", "{\"name\":\"a\",\"data\":\"@@@@\"}", "/params/data", -32602},
		{"bo.write", "{\"name\":\"a\",\"data\":\"QQ\"}", "/params/data", -32602},
		{"bo.write", "{\"name\":\"a\",\"data\":\"QR==\"}", "/params/data", -32602},
		{"txn.run", "{\"ops\":[]}", "/params/ops", -32602},
		{"txn.run", "{\"ops\":{}}", "/params/ops", -32602},
		{"txn.run", "{\"ops\":[5]}", "/params/ops/0", -32602},
		{"txn.run", "{\"ops\":[{\"op\":\"remap\"}]}", "/params/ops/0/op", -32602},
		{"txn.run",
		 "{\"vm\":\"a\",\"ops\":[{\"op\":\"unmap\",\"va\":0,\"size\":4096},{\"op\":\"map\",\"va\":0}]}",
		 "/params/ops/1/size", -32602},
		{"txn.run", "{\"vm\":\"a\",\"ops\":[{\"op\":\"unmap\",\"va\":0,\"size\":4096,\"bo\":\"b\"}]}",
		 "/params/ops/0/bo", -32602},
		{"bind.unmap", "{\"vm\":\"v\",\"va\":0,\"size\":1,\"durability\":\"maybe\"}", "/params/durability",
		 -32602},
		{"bind.unmap", "{\"vm\":\"v\",\"va\":0,\"size\":1,\"txn_id\":\"\"}", "/params/txn_id", -32602},
		{"script.run", "{\"text\":\"\",\"defines\":{\"A\":1}}", "/params/defines/A", -32602},
		{"journal.show", "{\"limit\":0}", "/params/limit", -32602},
	};
	struct client client;

	client_open(&client, &served);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		json_t *params = json_loads(wrongs[i].params, 0, NULL), *error;

		error = client_error(&client, wrongs[i].code, wrongs[i].method, params);
		assert_string_equal(data_text(error, "pointer"), wrongs[i].pointer);
		assert_string_equal(data_text(error, "stage"), "validate");
		json_decref(error);
	}
	client_close(&client);
}

static void test_too_many_ops_are_refused(void **state)
{
	json_t *ops = json_array(), *error;
	struct client client;

	for (int i = 0; i < 101; i++)
		json_array_append_new(ops, json_pack("{s:s, s:i, s:i}", "op", "unmap", "va", 0, "size", 4096));
	client_open(&client, &served);
	error = client_error(&client, -32005, "txn.run", json_pack("{s:s, s:o}", "vm", "v", "ops", ops));
	assert_string_equal(data_text(error, "name"), "E2BIG");
	assert_string_equal(data_text(error, "pointer"), "/params/ops");
	json_decref(error);
	client_close(&client);
}

/* ---- Notifications and arrays ---- */

static void test_notifications_are_not_answered(void **state)
{
	struct client client;
	json_t *answer;

	client_open(&client, &served);
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.ping\"}");
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}");
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.create\",\"params\":{\"name\":5}}");
	client_send_line(&client, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.create\",\"params\":{\"name\":\"silent\"}}");
	client_send_line(&client, "[{\"jsonrpc\":\"2.0\",\"method\":\"rpc.ping\"}]");
	client_send_line(&client,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.show\",\"params\":{\"name\":\"silent\"}}");
	answer = client_read(&client); /* the first answer is to the last call, and the notification took effect */
	assert_int_equal(int_of(answer, "id"), 1);
	assert_non_null(json_object_get(answer, "result"));
	json_decref(answer);
	json_decref(client_result(&client, "vm.destroy", json_pack("{s:s}", "name", "silent")));
	client_close(&client);
}

static void test_arrays_are_answered_in_one_line(void **state)
{
	struct client client;
	json_t *answers, *answer;

	client_open(&client, &served);
	client_send_line(&client,
			 "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.ping\"},"
			 " {\"jsonrpc\":\"2.0\",\"method\":\"rpc.ping\"},"
			 " {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.show\",\"params\":{\"name\":7}},"
			 " 5, {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"vm.list\"},"
			 " {\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"vm.show\",\"params\":{\"name\":\"none\"}}]");
	answers = client_read(&client);
	assert_int_equal(json_array_size(answers), 5); /* the notification has none */
	assert_int_equal(int_of(json_array_get(answers, 0), "id"), 1);
	answer = json_array_get(answers, 1);
	assert_int_equal(int_of(answer, "id"), 2);
	assert_string_equal(data_text(json_object_get(answer, "error"), "pointer"), "/2/params/name");
	answer = json_array_get(answers, 2);
	assert_int_equal(int_of(json_object_get(answer, "error"), "code"), -32600);
	assert_string_equal(data_text(json_object_get(answer, "error"), "pointer"), "/3");
	assert_non_null(json_object_get(json_array_get(answers, 3), "result"));
	answer = json_array_get(answers, 4); /* found wrong by the device's thread, pointed at in the same way */
	assert_string_equal(data_text(json_object_get(answer, "error"), "pointer"), "/5/params/name");
	json_decref(answers);
	client_close(&client);
}

static void test_an_array_is_no_transaction(void **state)
{
	struct client client;
	json_t *answers;

	client_open(&client, &served);
	client_send_line(&client,
			 "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.create\",\"params\":{\"name\":\"kept\"}},"
			 " {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.create\",\"params\":{\"name\":\"kept\"}}]");
	answers = client_read(&client);
	assert_non_null(json_object_get(json_array_get(answers, 0), "result"));
	assert_int_equal(int_of(json_object_get(json_array_get(answers, 1), "error"), "code"), -32003);
	json_decref(answers);
	json_decref(client_result(&client, "vm.destroy", json_pack("{s:s}", "name", "kept")));
	client_close(&client);
}

static void test_arrays_of_too_many_calls_are_refused(void **state)
{
	size_t count = 4097;
	char *line = malloc(count * 3 + 2), *at = line;
	struct client client;

	*at++ = '[';
	for (size_t i = 0; i < count; i++)
		at += sprintf(at, i ? ",1" : "1");
	strcpy(at, "]");
	client_open(&client, &served);
	client_send_line(&client, line);
	json_decref(read_error(&client, -32005, "E2BIG", "null"));
	json_decref(client_result(&client, "rpc.ping", NULL));
	client_close(&client);
	free(line);
}

static void test_ids_come_back_as_they_were(void **state)
{
	static const char *const ids[] = {
		"0", "-1", "9007199254740993", "9223372036854775807", "\"\"", "\"a\\\"b\\\\c\"", "\"\\u00e9\"", "null"};
	struct client client;
	char line[160];

	client_open(&client, &served);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		json_t *answer, *wanted = json_loads(ids[i], JSON_DECODE_ANY, NULL);

		snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.ping\",\"id\":%s}", ids[i]);
		client_send_line(&client, line);
		answer = client_read(&client);
		assert_true(json_equal(json_object_get(answer, "id"), wanted));
		json_decref(wanted);
		json_decref(answer);
	}
	client_close(&client);
}

/* ---- Random bytes ---- */

static struct test_random randomness;

static uint32_t random_below(uint32_t n)
{
	return (uint32_t)test_random_below(&randomness, n);
}

/** A valid line with some bytes changed, taken out or put in. */
static void mutate(char *line, size_t *size)
{
	for (uint32_t edits = 1 + random_below(4); edits > 0 && *size > 1; edits--) {
		size_t at = random_below((uint32_t)*size);

		switch (random_below(3)) {
		case 0:
			line[at] = (char)random_below(256);
			break;
		case 1:
			memmove(line + at, line + at + 1, --*size - at);
			break;
		default:
			memmove(line + at + 1, line + at, (*size)++ - at);
			line[at] = "{}[],:\"\\0e.-\n"[random_below(13)];
		}
	}
}

static void test_mutated_lines_never_end_the_daemon(void **state)
{
	static const char *const good[] = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.ping\"}\n",
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"txn.run\",\"params\":{\"vm\":\"v\",\"ops\":[{\"op\":"
		"\"map\",\"va\":\"0x10"
		"00\",\"size\":4096,\"bo\":\"b\",\"flags\":[\"noexec\"]}]}}\n",
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\"},{\"jsonrpc\":\"2.0\",\"method\":\"rpc."
		"discover\"}]\n",
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"script.run\",\"params\":{\"text\":\"echo "
		"$X\",\"defines\":{\"X\":\"1\"}}}\n",
	};
	int rounds = (int)test_rounds(400, 20000);

	randomness = test_random_start("wire");
	for (int i = 0; i < rounds; i++) {
		const char *line = good[random_below(4)];
		char bytes[512];
		size_t size = strlen(line);
		struct client client;

		memcpy(bytes, line, size);
		mutate(bytes, &size);
		client_open(&client, &served);
		client_send(&client, bytes, size);
		shutdown(client.fd, SHUT_WR);
		while (client_read_line(&client))
			;
		client_close(&client);
	}
	assert_still_served();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greeting_states_protocol_device_and_limits),
		cmocka_unit_test(test_malformed_is_answered_then_closed),
		cmocka_unit_test(test_duplicate_keys_are_refused),
		cmocka_unit_test(test_nesting_ends_somewhere),
		cmocka_unit_test(test_brackets_in_strings_do_not_nest),
		cmocka_unit_test(test_huge_line_is_answered_then_closed),
		cmocka_unit_test(test_largest_line_is_taken),
		cmocka_unit_test(test_line_cut_off_by_the_end_is_not_carried_out),
		cmocka_unit_test(test_line_in_pieces_is_one_line),
		cmocka_unit_test(test_blank_lines_are_nothing),
		cmocka_unit_test(test_calls_before_the_end_are_answered),
		cmocka_unit_test(test_wrong_requests_say_what_is_wrong),
		cmocka_unit_test(test_numbers_are_exact),
		cmocka_unit_test(test_numbers_in_all_their_forms_are_taken),
		cmocka_unit_test(test_wrong_params_are_pointed_at),
		cmocka_unit_test(test_too_many_ops_are_refused),
		cmocka_unit_test(test_notifications_are_not_answered),
		cmocka_unit_test(test_arrays_are_answered_in_one_line),
		cmocka_unit_test(test_an_array_is_no_transaction),
		cmocka_unit_test(test_arrays_of_too_many_calls_are_refused),
		cmocka_unit_test(test_ids_come_back_as_they_were),
		cmocka_unit_test(test_mutated_lines_never_end_the_daemon),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start, stop);
}
