/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that come beside requests: which call gets one, what is refused, and that none is ever left open.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "kernel.h"

#define ADOPT  "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"vm.adopt\",\"params\":{\"name\":\"x\"}}\n"
#define PING   "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"rpc.ping\"}\n"
#define PARAMS -32602
#define FAILED -32000

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
	daemon_stop(&daemon_);
	daemon_remove(&daemon_);
	return 0;
}

/* Descriptors of the daemon that stand for this file. */
static int open_there(const char *file)
{
	char path[300], target[128];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon_.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)daemon_.pid, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		count += strcmp(target, file) == 0;
	}
	closedir(dir);
	return count;
}

/* Send bytes with @count descriptors of /etc/passwd beside them. */
static void send_with(const char *bytes, size_t size, int count)
{
	union {
		char room[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr head;
	} control = {0};
	struct iovec part = {(char *)bytes, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[8], fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && count <= 8);
	for (int i = 0; i < count; i++)
		fds[i] = fd;
	control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS,
					.cmsg_len = CMSG_LEN((size_t)count * sizeof(int))};
	memcpy(CMSG_DATA(&control.head), fds, (size_t)count * sizeof(int));
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
	}
	assert_int_equal(sendmsg(client.fd, &message, MSG_NOSIGNAL), size);
	close(fd);
}

/* The error that the next answer must be. */
static void expect_error(int code, const char *words)
{
	json_t *answer = client_read(&client), *error = json_object_get(answer, "error");

	assert_non_null(error);
	assert_int_equal(int_of(error, "code"), code);
	if (!strstr(text_of(error, "message"), words))
		fail_msg("%s", text_of(error, "message"));
	json_decref(answer);
}

static void expect_pong(void)
{
	json_t *answer = client_read(&client);

	assert_non_null(json_object_get(answer, "result"));
	json_decref(answer);
}

static void expect_nothing_open(void)
{
	send_with(PING, strlen(PING), 0);
	expect_pong();
	assert_int_equal(open_there("/etc/passwd"), 0);
}

static void without_one_the_call_says_what_is_missing(void **state)
{
	send_with(ADOPT, strlen(ADOPT), 0);
	expect_error(PARAMS, "must come beside the request");
}

static void one_that_is_no_render_node_is_refused_and_closed(void **state)
{
	send_with(ADOPT, strlen(ADOPT), 1);
	expect_error(FAILED, "not open on a render node");
	expect_nothing_open();
}

static void of_two_none_is_taken(void **state)
{
	send_with(ADOPT, strlen(ADOPT), 2);
	expect_error(PARAMS, "it takes exactly one");
	expect_nothing_open();
}

static void of_more_than_there_is_room_for_none_is_taken(void **state)
{
	send_with(ADOPT, strlen(ADOPT), 8);
	expect_error(PARAMS, "it takes exactly one");
	if (!kernel_closes_surplus_fds()) {
		print_message("# note descriptors without room are not closed here: an emulator loses them\n");
		skip();
	}
	expect_nothing_open();
}

static void one_that_no_call_wants_is_closed(void **state)
{
	send_with(PING, strlen(PING), 1);
	expect_pong();
	expect_nothing_open();
	send_with(ADOPT, strlen(ADOPT), 0); /* and is not there for a later one */
	expect_error(PARAMS, "must come beside the request");
}

static void a_call_behind_others_in_the_same_bytes_gets_it(void **state)
{
	send_with(PING PING ADOPT, strlen(PING PING ADOPT), 1);
	expect_pong();
	expect_pong();
	expect_error(FAILED, "not open on a render node");
	expect_nothing_open();
}

static void a_line_in_pieces_keeps_it(void **state)
{
	send_with(ADOPT, 10, 1);
	send_with(&ADOPT[10], strlen(ADOPT) - 10, 0);
	expect_error(FAILED, "not open on a render node");
	expect_nothing_open();
}

static void a_line_in_pieces_takes_one_all_the_same(void **state)
{
	send_with(ADOPT, 10, 1);
	send_with(&ADOPT[10], strlen(ADOPT) - 10, 1);
	expect_error(PARAMS, "it takes exactly one");
	expect_nothing_open();
}

static void calls_one_after_the_other_get_their_own(void **state)
{
	for (int i = 0; i < 20; i++)
		send_with(ADOPT, strlen(ADOPT), 1);
	for (int i = 0; i < 20; i++)
		expect_error(FAILED, "not open on a render node");
	expect_nothing_open();
}

static void a_malformed_line_does_not_keep_it(void **state)
{
	struct client other;

	send_with("{]\n", 3, 1);
	expect_error(-32700, "not JSON");
	client_open(&other, &daemon_);
	json_decref(client_result(&other, "rpc.ping", NULL));
	client_close(&other);
	assert_int_equal(open_there("/etc/passwd"), 0);
}

static void a_client_that_goes_does_not_leave_it(void **state)
{
	send_with(ADOPT, 10, 1);
	client_close(&client);
	client_open(&client, &daemon_);
	for (int i = 0; i < 600 && open_there("/etc/passwd") > 0; i++)
		usleep(50000);
	expect_nothing_open();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_one_the_call_says_what_is_missing),
		TEST(one_that_is_no_render_node_is_refused_and_closed),
		TEST(of_two_none_is_taken),
		TEST(of_more_than_there_is_room_for_none_is_taken),
		TEST(one_that_no_call_wants_is_closed),
		TEST(a_call_behind_others_in_the_same_bytes_gets_it),
		TEST(a_line_in_pieces_keeps_it),
		TEST(a_line_in_pieces_takes_one_all_the_same),
		TEST(calls_one_after_the_other_get_their_own),
		TEST(a_malformed_line_does_not_keep_it),
		TEST(a_client_that_goes_does_not_leave_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
