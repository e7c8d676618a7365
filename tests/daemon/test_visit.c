/* SPDX-License-Identifier: MIT */
/*
 * A client that is alone for a while is served by its device's thread, without the loop (daemon/visit.h). It must not
 * notice: each test lets a client be alone for long enough and then has something happen that only the loop can do.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define LONG_ENOUGH 10 /* calls */

struct room {
	struct daemon daemon;
	struct client client;
	uint64_t va;
};

static int prepare(void **state)
{
	struct room *room = calloc(1, sizeof(*room));

	daemon_prepare(&room->daemon);
	daemon_start(&room->daemon, NULL);
	client_open(&room->client, &room->daemon);
	json_decref(client_result(&room->client, "vm.create", json_pack("{s:s}", "name", "v")));
	json_decref(client_result(&room->client, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 4096)));
	*state = room;
	return 0;
}

static int clean(void **state)
{
	struct room *room = *state;

	client_close(&room->client);
	if (room->daemon.pid > 0)
		daemon_stop(&room->daemon);
	daemon_remove(&room->daemon);
	free(room);
	return 0;
}

static json_t *next_bind(struct room *room)
{
	return json_pack("{s:s, s:I, s:i, s:s}", "vm", "v", "va", (json_int_t)(room->va += 4096), "size", 4096, "bo",
			 "b");
}

static void bind_alone(struct room *room, int count)
{
	for (int i = 0; i < count; i++)
		json_decref(client_result(&room->client, "bind.map", next_bind(room)));
}

/** How often the loop's thread has gone to sleep. */
static long sleeps_of_loop(const struct room *room)
{
	char path[48], line[128];
	long sleeps = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)room->daemon.pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps) == 1)
			break;
	if (file)
		fclose(file);
	return sleeps;
}

static uint64_t mappings_of_vm(struct room *room)
{
	json_t *vm = client_result(&room->client, "vm.show", json_pack("{s:s}", "name", "v"));
	uint64_t mappings = (uint64_t)int_of(vm, "mappings");

	json_decref(vm);
	return mappings;
}

static void test_the_loop_sleeps_while_a_client_is_alone(void **state)
{
	struct room *room = *state;
	long before;

	bind_alone(room, LONG_ENOUGH);
	before = sleeps_of_loop(room);
	bind_alone(room, 200);
	/* Without visits it would have slept between any two calls; the clock wakes it twice a second. */
	assert_in_range(sleeps_of_loop(room) - before, 0, 100);
	assert_int_equal(mappings_of_vm(room), LONG_ENOUGH + 200);
}

static void test_the_visitor_asks_for_something_else(void **state)
{
	struct room *room = *state;

	for (int i = 0; i < 3; i++) {
		bind_alone(room, LONG_ENOUGH);
		json_decref(client_result(&room->client, "rpc.ping", NULL));
		bind_alone(room, LONG_ENOUGH);
		json_decref(client_error(&room->client, -32602, "bind.map", json_pack("{s:s}", "vm", "v")));
		bind_alone(room, LONG_ENOUGH);
		json_decref(client_error(&room->client, -32002, "bind.unmap",
					 json_pack("{s:s, s:i, s:i}", "vm", "none", "va", 0, "size", 4096)));
		bind_alone(room, LONG_ENOUGH);
		json_decref(client_result(&room->client, "vm.list", NULL));
	}
	assert_int_equal(mappings_of_vm(room), 12 * LONG_ENOUGH);
}

static void read_answers(struct room *room, int count)
{
	for (int i = 0; i < count; i++) {
		json_t *answer = client_read(&room->client);

		assert_non_null(json_object_get(answer, "result"));
		json_decref(answer);
	}
}

static void test_lines_in_pieces_and_many_lines_at_once(void **state)
{
	static const char call[] =
		"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"bind.unmap\",\"params\":{\"vm\":\"v\",\"va\":0,"
		"\"size\":4096}}\n";
	struct room *room = *state;
	char many[8 * sizeof(call)] = "";

	bind_alone(room, LONG_ENOUGH);
	client_send(&room->client, call, 20);
	usleep(20000);
	client_send(&room->client, call + 20, sizeof(call) - 1 - 20);
	read_answers(room, 1);

	bind_alone(room, LONG_ENOUGH);
	for (int i = 0; i < 8; i++)
		strcat(many, call);
	client_send(&room->client, many, strlen(many));
	read_answers(room, 8);

	/* One and a half, and the rest after the answer to the first. */
	bind_alone(room, LONG_ENOUGH);
	client_send(&room->client, many, sizeof(call) - 1 + 30);
	read_answers(room, 1);
	client_send(&room->client, call + 30, sizeof(call) - 1 - 30);
	read_answers(room, 1);
}

static void test_a_notification_is_carried_out(void **state)
{
	static const char call[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"bind.unmap\",\"params\":{\"vm\":\"v\",\"va\":4096,"
		"\"size\":4096}}\n";
	struct room *room = *state;

	bind_alone(room, LONG_ENOUGH);
	client_send(&room->client, call, sizeof(call) - 1);
	assert_int_equal(mappings_of_vm(room), LONG_ENOUGH - 1);
}

static void test_bytes_that_are_no_json_end_the_connection(void **state)
{
	struct room *room = *state;
	json_t *answer;

	bind_alone(room, LONG_ENOUGH);
	client_send_line(&room->client, "{\"jsonrpc\":");
	answer = client_read(&room->client);
	assert_int_equal(int_of(json_object_get(answer, "error"), "code"), -32700);
	json_decref(answer);
	assert_null(client_read_line(&room->client));
}

static void test_others_are_served_beside_the_visitor(void **state)
{
	struct room *room = *state;
	struct client other;

	bind_alone(room, LONG_ENOUGH);
	client_open(&other, &room->daemon);
	for (int i = 0; i < 5; i++) {
		json_decref(client_result(&other, "rpc.ping", NULL));
		json_decref(client_result(&other, "bind.map", next_bind(room)));
		bind_alone(room, LONG_ENOUGH);
	}
	client_close(&other);
	assert_int_equal(mappings_of_vm(room), 6 * LONG_ENOUGH + 5);
}

static void test_the_visitor_may_vanish(void **state)
{
	struct room *room = *state;
	char call[200];

	for (int i = 0; i < 3; i++) {
		bind_alone(room, LONG_ENOUGH);
		if (i == 1) /* with an answer under way */
			client_send(&room->client, call,
				    (size_t)sprintf(
					    call, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bind.unmap\",\"params\":"
						  "{\"vm\":\"v\",\"va\":0,\"size\":4096}}\n"));
		if (i == 2) /* in the middle of a line */
			client_send(&room->client, "{\"json", 6);
		client_close(&room->client);
		client_open(&room->client, &room->daemon);
		assert_int_equal(mappings_of_vm(room), (i + 1) * LONG_ENOUGH);
	}
}

static void test_the_end_of_input_is_not_the_end_of_answers(void **state)
{
	struct room *room = *state;

	bind_alone(room, LONG_ENOUGH);
	client_send_line(&room->client,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bind.unmap\",\"params\":{\"vm\":\"v\",\"va\":0,"
			 "\"size\":4096}}");
	shutdown(room->client.fd, SHUT_WR);
	read_answers(room, 1);
	assert_null(client_read_line(&room->client));
}

static void test_the_visitor_hears_of_the_end(void **state)
{
	struct room *room = *state;
	json_t *message;

	bind_alone(room, LONG_ENOUGH);
	kill(room->daemon.pid, SIGTERM);
	message = client_read(&room->client);
	assert_string_equal(text_of(message, "method"), "rpc.closing");
	json_decref(message);
	assert_null(client_read_line(&room->client));
	client_close(&room->client);
	assert_int_equal(daemon_wait(&room->daemon), 0);
	room->daemon.pid = 0;
}

static void test_a_visitor_monitors(void **state)
{
	struct room *room = *state;
	int answers = 0, events = 0;

	bind_alone(room, LONG_ENOUGH);
	json_decref(client_result(&room->client, "monitor.subscribe", NULL));
	for (int i = 0; i < LONG_ENOUGH; i++)
		client_begin(&room->client, "bind.map", next_bind(room));
	while (answers + events < 2 * LONG_ENOUGH) {
		json_t *message = client_read(&room->client);

		if (json_object_get(message, "method"))
			events++;
		else
			answers++;
		json_decref(message);
	}
	assert_int_equal(events, LONG_ENOUGH);
}

/** Take, or give back, the lock that a commit needs. */
static void hold_log(int fd, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 120, .l_len = 1};

	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
}

static void test_a_slow_bind_does_not_hold_up_what_the_loop_answers(void **state)
{
	struct room *room = *state;
	char name[128];
	json_t *answer;
	int fd, slow, quick;

	/* Given a visitor, and a log that cannot be written for a while, */
	snprintf(name, sizeof(name), "%s-shm", room->daemon.log);
	fd = open(name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	bind_alone(room, LONG_ENOUGH);
	hold_log(fd, F_WRLCK);
	/* when it binds, and then asks for something that needs no device, */
	slow = client_begin(&room->client, "bind.map", next_bind(room));
	usleep(10000);
	quick = client_begin(&room->client, "rpc.ping", NULL);
	/* then that is answered while the bind waits, */
	answer = client_read(&room->client);
	assert_int_equal(int_of(answer, "id"), quick);
	json_decref(answer);
	/* and the bind when it can be recorded. */
	hold_log(fd, F_UNLCK);
	answer = client_read(&room->client);
	assert_int_equal(int_of(answer, "id"), slow);
	assert_non_null(json_object_get(answer, "result"));
	json_decref(answer);
	bind_alone(room, LONG_ENOUGH);
	assert_int_equal(mappings_of_vm(room), 2 * LONG_ENOUGH + 1);
	close(fd);
}

#define VISIT_TEST(name) cmocka_unit_test_setup_teardown(name, prepare, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VISIT_TEST(test_the_loop_sleeps_while_a_client_is_alone),
		VISIT_TEST(test_the_visitor_asks_for_something_else),
		VISIT_TEST(test_lines_in_pieces_and_many_lines_at_once),
		VISIT_TEST(test_a_notification_is_carried_out),
		VISIT_TEST(test_bytes_that_are_no_json_end_the_connection),
		VISIT_TEST(test_others_are_served_beside_the_visitor),
		VISIT_TEST(test_the_visitor_may_vanish),
		VISIT_TEST(test_the_end_of_input_is_not_the_end_of_answers),
		VISIT_TEST(test_the_visitor_hears_of_the_end),
		VISIT_TEST(test_a_visitor_monitors),
		VISIT_TEST(test_a_slow_bind_does_not_hold_up_what_the_loop_answers),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("visits", tests, NULL, NULL);
}
