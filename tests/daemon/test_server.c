/* SPDX-License-Identifier: MIT */
/*
 * The daemon as a process: many clients at once, clients that do not read or that vanish, its socket, its end, and what
 * it tells systemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "kernel.h"

static int prepare(void **state)
{
	struct daemon *daemon = malloc(sizeof(*daemon));

	daemon_prepare(daemon);
	*state = daemon;
	return 0;
}

static int remove_all(void **state)
{
	daemon_remove(*state);
	free(*state);
	return 0;
}

static void ping(struct daemon *daemon)
{
	struct client client;

	client_open(&client, daemon);
	json_decref(client_result(&client, "rpc.ping", NULL));
	client_close(&client);
}

/* ---- Many ---- */

static void test_a_thousand_connections_at_once(void **state)
{
	enum { COUNT = 1000 };
	struct client *clients = calloc(COUNT, sizeof(*clients));
	struct rlimit limit;
	struct daemon *daemon = *state;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	daemon_start(daemon, NULL);
	for (int i = 0; i < COUNT; i++)
		assert_true(client_connect(&clients[i], daemon));
	for (int i = 0; i < COUNT; i++)
		client_begin(&clients[i], i % 2 ? "rpc.ping" : "vm.list", NULL);
	for (int i = 0; i < COUNT; i++) {
		json_t *greeting = client_read(&clients[i]), *answer = client_read(&clients[i]);

		assert_string_equal(text_of(greeting, "method"), "rpc.greeting");
		assert_non_null(json_object_get(answer, "result"));
		json_decref(greeting);
		json_decref(answer);
	}
	for (int i = 0; i < COUNT; i++)
		client_close(&clients[i]);
	ping(daemon);
	daemon_stop(daemon);
	free(clients);
}

static void test_one_too_many_is_told_so(void **state)
{
	struct daemon *daemon = *state;
	struct client a, b, c;
	json_t *answer, *error;

	daemon_start(daemon, (const char *const[]){"--max-connections=2", NULL});
	do { /* until the daemon has seen that the connection that looked for it is gone */
		client_open(&a, daemon);
		assert_true(client_connect(&b, daemon));
		answer = client_read(&b);
		if (json_object_get(answer, "error")) {
			client_close(&a);
			client_close(&b);
		}
	} while (json_object_get(answer, "error") && (json_decref(answer), true));
	json_decref(answer);
	assert_true(client_connect(&c, daemon));
	answer = client_read(&c);
	error = json_object_get(answer, "error");
	assert_int_equal(int_of(error, "code"), -32006);
	assert_true(bool_of(json_object_get(error, "data"), "retryable"));
	json_decref(answer);
	assert_null(client_read_line(&c));
	json_decref(client_result(&b, "rpc.ping", NULL));
	client_close(&a);
	client_close(&b);
	client_close(&c);
	daemon_stop(daemon);
}

/** Send as much as the daemon takes, without reading: returns the number of calls that were sent whole. */
static size_t send_until_held_back(struct client *client, const char *line)
{
	size_t size = strlen(line), sent = 0, calls = 0, at = 0;
	int idle = 0;

	while (idle < 100) { /* half a second without progress */
		ssize_t n = send(client->fd, line + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			usleep(5000);
			idle++;
			continue;
		}
		idle = 0;
		sent += (size_t)n;
		at += (size_t)n;
		if (at == size)
			at = 0, calls++;
		assert_true(sent < 256u << 20);
	}
	client_send(client, "", 0);
	if (at > 0) { /* the rest of the last line goes out once the answers are read */
		size_t calls_and_rest = calls + 1;

		client->next_id = (int)(size - at);
		return calls_and_rest;
	}
	client->next_id = 0;
	return calls;
}

static void test_who_does_not_read_is_not_read(void **state)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\n";
	struct daemon *daemon = *state;
	struct client slow;
	size_t calls, rest;

	daemon_start(daemon, NULL);
	client_open(&slow, daemon);
	calls = send_until_held_back(&slow, call);
	assert_true(calls > 10 && calls < 100000); /* it was held back by the daemon, not by the test's end */
	ping(daemon);				   /* others go on */
	rest = (size_t)slow.next_id;
	for (size_t i = 0; i < calls; i++) {
		json_t *answer = client_read(&slow);

		assert_non_null(answer);
		assert_non_null(json_object_get(answer, "result"));
		json_decref(answer);
		if (i == calls / 2 && rest > 0) /* nothing is lost of what waited */
			client_send(&slow, call + sizeof(call) - 1 - rest, rest);
	}
	client_close(&slow);
	daemon_stop(daemon);
}

/** Kilobytes that the daemon has in memory. */
static long resident(const struct daemon *daemon)
{
	char path[48], line[128];
	long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)daemon->pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void test_large_answers_that_nobody_reads_do_not_pile_up(void **state)
{
	struct daemon *daemon = *state;
	char calls[16384] = "";
	struct client slow;
	long before;

	daemon_start(daemon, NULL);
	client_open(&slow, daemon);
	json_decref(client_result(&slow, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
	json_decref(client_result(&slow, "bo.read", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
	before = resident(daemon);
	for (int i = 0; i < 100; i++) /* 140 MB of answers, asked for in one write */
		strcat(calls, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bo.read\","
			      "\"params\":{\"name\":\"b\",\"size\":1048576}}\n");
	client_send(&slow, calls, strlen(calls));
	for (int calm = 0; calm < 10; calm++) { /* until it grows no more */
		long now = resident(daemon);

		usleep(50000);
		if (resident(daemon) > now)
			calm = 0;
	}
	ping(daemon);
	assert_true(resident(daemon) - before < 64 * 1024);
	for (int i = 0; i < 100; i++) {
		json_t *answer = client_read(&slow);

		assert_int_equal(json_string_length(json_object_get(json_object_get(answer, "result"), "data")),
				 1398104);
		json_decref(answer);
	}
	client_close(&slow);
	daemon_stop(daemon);
}

/* More than a socket takes at once, and the client does not read: what was left goes out first, then what came later.
 */
static void test_a_large_answer_is_not_broken_by_another(void **state)
{
	struct daemon *daemon = *state;
	struct client client;

	daemon_start(daemon, NULL);
	client_open(&client, daemon);
	json_decref(client_result(&client, "bo.create", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20)));
	for (int i = 0; i < 20; i++) {
		int read = client_begin(&client, "bo.read", json_pack("{s:s, s:i}", "name", "b", "size", 1 << 20));
		int ping;
		json_t *first, *second;

		usleep((useconds_t)i * 500); /* before, within and after the sending of the first answer */
		ping = client_begin(&client, "rpc.ping", NULL);
		first = client_read(&client);
		second = client_read(&client);
		if (int_of(first, "id") != read) { /* the second call was faster */
			json_t *swap = first;

			first = second;
			second = swap;
		}
		assert_int_equal(int_of(first, "id"), read);
		assert_int_equal(json_string_length(json_object_get(json_object_get(first, "result"), "data")),
				 1398104);
		assert_int_equal(int_of(second, "id"), ping);
		json_decref(first);
		json_decref(second);
	}
	client_close(&client);
	daemon_stop(daemon);
}

static void test_clients_that_vanish_leave_nothing(void **state)
{
	static const char calls[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\n"
				    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.list\"}\n"
				    "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"bo.create\",\"params\":{\"na";
	struct daemon *daemon = *state;

	daemon_start(daemon, NULL);
	for (size_t i = 0; i < 300; i++) {
		struct client client;

		assert_true(client_connect(&client, daemon));
		client_send(&client, calls, i % (sizeof(calls) - 1));
		client_close(&client); /* with answers unread and a line unfinished */
	}
	ping(daemon);
	daemon_stop(daemon); /* and the sanitizer has found no leak */
}

static void test_what_a_vanished_client_asked_for_is_done(void **state)
{
	struct daemon *daemon = *state;
	struct client client;

	daemon_start(daemon, NULL);
	client_open(&client, daemon);
	client_begin(&client, "vm.create", json_pack("{s:s}", "name", "orphan"));
	client_close(&client);
	client_open(&client, daemon);
	for (int i = 0; i < 1000; i++) {
		json_t *answer = client_call(&client, "vm.show", json_pack("{s:s}", "name", "orphan"));
		bool there = json_object_get(answer, "result");

		json_decref(answer);
		if (there)
			break;
		assert_true(i < 999);
		usleep(1000);
	}
	client_close(&client);
	daemon_stop(daemon);
}

/* ---- The socket ---- */

static void test_socket_is_for_owner_and_group(void **state)
{
	struct daemon *daemon = *state;
	struct stat st;

	daemon_start(daemon, NULL);
	assert_int_equal(stat(daemon->socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	daemon_stop(daemon);
	assert_int_equal(stat(daemon->socket, &st), -1); /* gone with the daemon */
}

static void test_second_daemon_on_a_socket_is_refused(void **state)
{
	struct daemon *daemon = *state, second;
	int status;
	char *said;

	daemon_start(daemon, NULL);
	second = *daemon;
	strcat(second.log, "2");
	strcat(second.errors, "2");
	daemon_spawn(&second, NULL, NULL);
	status = daemon_wait(&second);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	said = daemon_said(&second);
	assert_non_null(strstr(said, "another daemon answers"));
	free(said);
	ping(daemon);
	daemon_stop(daemon);
}

static void test_stale_socket_is_replaced(void **state)
{
	struct daemon *daemon = *state;
	struct stat st;

	daemon_start(daemon, NULL);
	daemon_kill(daemon);
	assert_int_equal(stat(daemon->socket, &st), 0);
	daemon_start(daemon, NULL);
	ping(daemon);
	daemon_stop(daemon);
}

static void test_file_in_the_way_is_left_alone(void **state)
{
	struct daemon *daemon = *state;
	struct stat st;
	int status;

	close(open(daemon->socket, O_CREAT | O_WRONLY, 0600));
	daemon_spawn(daemon, NULL, NULL);
	status = daemon_wait(daemon);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	assert_int_equal(stat(daemon->socket, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

/* ---- Roles ---- */

/** Run @test in a process of another user. */
static void as_user(uid_t uid, void (*test)(struct daemon *daemon), struct daemon *daemon)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
			_exit(99);
		test(daemon);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void expect(bool condition, int line)
{
	if (!condition)
		_exit(line % 256);
}

static void reader_may_look(struct daemon *daemon)
{
	struct client client;
	json_t *answer;

	client_open(&client, daemon);
	expect(strcmp(text_of(client.greeting, "role"), "read") == 0, __LINE__);
	answer = client_call(&client, "vm.list", NULL);
	expect(json_object_get(answer, "result"), __LINE__);
	answer = client_call(&client, "vm.create", json_pack("{s:s}", "name", "v"));
	expect(int_of(json_object_get(answer, "error"), "code") == -32001, __LINE__);
	expect(strcmp(data_text(json_object_get(answer, "error"), "name"), "EPERM") == 0, __LINE__);
}

static void binder_may_bind(struct daemon *daemon)
{
	struct client client;
	json_t *answer;

	client_open(&client, daemon);
	expect(strcmp(text_of(client.greeting, "role"), "bind") == 0, __LINE__);
	answer = client_call(&client, "vm.create", json_pack("{s:s}", "name", "v"));
	expect(json_object_get(answer, "result"), __LINE__);
	answer = client_call(&client, "journal.compact", NULL);
	expect(int_of(json_object_get(answer, "error"), "code") == -32001, __LINE__);
}

static void stranger_may_nothing(struct daemon *daemon)
{
	struct client client;
	json_t *answer;

	client_open(&client, daemon);
	expect(strcmp(text_of(client.greeting, "role"), "none") == 0, __LINE__);
	answer = client_call(&client, "rpc.ping", NULL);
	expect(int_of(json_object_get(answer, "error"), "code") == -32001, __LINE__);
}

static void test_roles_come_from_the_peer(void **state)
{
	struct daemon *daemon = *state;

	if (!kernel_has_user(2001)) {
		print_message("# note nobody else can be had here: not root, or root of a namespace without users\n");
		skip();
	}
	daemon_start(daemon, (const char *const[]){"--read=2001", "--bind=2002,@2004", NULL});
	chmod(daemon->dir, 0755);
	chmod(daemon->socket, 0666); /* the file's mode is another wall; this one is behind it */
	as_user(2001, reader_may_look, daemon);
	as_user(2002, binder_may_bind, daemon);
	as_user(2003, stranger_may_nothing, daemon);
	daemon_stop(daemon);
	daemon_start(daemon, (const char *const[]){"--read=*", "--bind=@2004", NULL});
	chmod(daemon->socket, 0666);
	as_user(2003, reader_may_look, daemon);
	as_user(2004, binder_may_bind, daemon); /* by its group */
	daemon_stop(daemon);
}

/* ---- The end ---- */

static void test_sigterm_finishes_what_was_taken(void **state)
{
	struct daemon *daemon = *state;
	struct client client;
	json_t *message;
	int answers = 0;
	bool told = false;

	daemon_start(daemon, NULL);
	client_open(&client, daemon);
	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "b%d", i);
		client_begin(&client, "bo.create", json_pack("{s:s, s:i}", "name", name, "size", 4096));
	}
	json_decref(
		client_result(&client, "rpc.ping", NULL)); /* by now all are taken: answers before this one are lost */
	kill(daemon->pid, SIGTERM);
	client_begin(&client, "rpc.ping", NULL);
	while ((message = client_read(&client))) {
		if (json_object_get(message, "method"))
			told |= strcmp(text_of(message, "method"), "rpc.closing") == 0;
		else
			answers++;
		json_decref(message);
	}
	assert_true(told);
	client_close(&client);
	assert_int_equal(daemon_wait(daemon), 0);
	assert_true(answers <= 51);
	/* Every one of the fifty is in the log, whether its answer came before the ping's or after. */
	daemon_start(daemon, (const char *const[]){"--restore", NULL});
	client_open(&client, daemon);
	message = client_result(&client, "bo.list", NULL);
	assert_int_equal(json_array_size(json_object_get(message, "bos")), 50);
	json_decref(message);
	client_close(&client);
	daemon_stop(daemon);
}

static void test_client_that_does_not_read_does_not_hold_the_end_up(void **state)
{
	static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\n";
	struct daemon *daemon = *state;
	struct client slow;

	daemon_start(daemon, NULL);
	client_open(&slow, daemon);
	send_until_held_back(&slow, call);
	daemon_stop(daemon);
	client_close(&slow);
}

/* ---- Options ---- */

static void test_config_file_has_the_words_of_the_options(void **state)
{
	struct daemon *daemon = *state;
	char path[128], option[160];
	struct client client;
	FILE *file;

	snprintf(path, sizeof(path), "%s/config", daemon->dir);
	file = fopen(path, "we");
	fprintf(file,
		"# limits\nmax-ops = 7\n\n  max-request=64K # small\ndevice = second=sim:minor=2\nlog = %s/%%n.db\n",
		daemon->dir);
	fclose(file);
	snprintf(daemon->log, sizeof(daemon->log), "%s/%%n.db", daemon->dir);
	snprintf(option, sizeof(option), "--config=%s", path);
	daemon_start(daemon, (const char *const[]){option, NULL});
	client_open(&client, daemon);
	assert_int_equal(int_of(json_object_get(client.greeting, "limits"), "ops"), 7);
	assert_int_equal(int_of(json_object_get(client.greeting, "limits"), "request_bytes"), 65536);
	assert_int_equal(json_array_size(json_object_get(client.greeting, "devices")), 2);
	json_decref(client_result(&client, "vm.create", json_pack("{s:s, s:s}", "name", "v", "device", "second")));
	json_decref(client_error(&client, -32002, "vm.show", json_pack("{s:s}", "name", "v")));
	client_close(&client);
	daemon_stop(daemon);
}

static void test_wrong_options_are_usage_errors(void **state)
{
	static const char *const options[] = {"--max-ops=many",	     "--max-ops=0",
					      "--bind=no-such-user", "--no-such=1",
					      "--device=gpu0=sim:",  "--config=/no/such/file",
					      "--max-request=1",     "stray"};
	struct daemon *daemon = *state;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int status;

		daemon_spawn(daemon, NULL, (const char *const[]){options[i], NULL});
		status = daemon_wait(daemon);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 2);
	}
}

static void test_no_device_is_status_3(void **state)
{
	struct daemon *daemon = *state;
	int status;

	daemon_spawn(daemon, "drm:/dev/null", NULL);
	status = daemon_wait(daemon);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

/* ---- systemd ---- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int notify_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 60};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void expect_notification(int fd, const char *wanted)
{
	char text[256];

	for (int i = 0; i < 1000; i++) {
		ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

		assert_true(n > 0);
		text[n] = '\0';
		if (strstr(text, wanted))
			return;
	}
	fail_msg("no %s", wanted);
}

/** What systemd does between fork() and exec(): the socket is descriptor 3, and LISTEN_PID is the daemon. */
static void spawn_activated(struct daemon *daemon, int listen_fd)
{
	daemon->pid = fork();
	if (daemon->pid == 0) {
		char pid[16], device[] = "--device=sim:", log[128];

		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		snprintf(log, sizeof(log), "--log=%s", daemon->log);
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
		dup2(listen_fd, 3);
		for (int fd = 4; fd < 256; fd++)
			close(fd);
		execl(PANBINDD, "panbindd", device, log, (char *)NULL);
		_exit(127);
	}
}

static void test_socket_activation_and_notification(void **state)
{
	struct daemon *daemon = *state;
	char notify[128];
	struct stat st;
	int listen_fd, notify_fd;

	snprintf(notify, sizeof(notify), "%s/notify", daemon->dir);
	notify_fd = notify_socket(notify);
	listen_fd = listen_at(daemon->socket);
	setenv("NOTIFY_SOCKET", notify, 1);
	setenv("WATCHDOG_USEC", "1000000", 1);
	spawn_activated(daemon, listen_fd);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	expect_notification(notify_fd, "READY=1");
	ping(daemon);
	expect_notification(notify_fd, "WATCHDOG=1");
	kill(daemon->pid, SIGTERM);
	expect_notification(notify_fd, "STOPPING=1");
	assert_int_equal(daemon_wait(daemon), 0);
	assert_int_equal(stat(daemon->socket, &st), 0); /* systemd's, not ours to remove */
	close(listen_fd);
	close(notify_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, remove_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_thousand_connections_at_once),
		TEST(test_one_too_many_is_told_so),
		TEST(test_who_does_not_read_is_not_read),
		TEST(test_large_answers_that_nobody_reads_do_not_pile_up),
		TEST(test_a_large_answer_is_not_broken_by_another),
		TEST(test_clients_that_vanish_leave_nothing),
		TEST(test_what_a_vanished_client_asked_for_is_done),
		TEST(test_socket_is_for_owner_and_group),
		TEST(test_second_daemon_on_a_socket_is_refused),
		TEST(test_stale_socket_is_replaced),
		TEST(test_file_in_the_way_is_left_alone),
		TEST(test_roles_come_from_the_peer),
		TEST(test_sigterm_finishes_what_was_taken),
		TEST(test_client_that_does_not_read_does_not_hold_the_end_up),
		TEST(test_config_file_has_the_words_of_the_options),
		TEST(test_wrong_options_are_usage_errors),
		TEST(test_no_device_is_status_3),
		TEST(test_socket_activation_and_notification),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
