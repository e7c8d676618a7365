/* SPDX-License-Identifier: MIT */
/*
 * Starting and stopping panbindd, and talking to it. Nothing here is timed but the end of patience.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "daemon.h"

#define PATIENCE_MS 60000

/* ---- The process ---- */

void daemon_prepare(struct daemon *daemon)
{
	*daemon = (struct daemon){.pid = -1};
	strcpy(daemon->dir, "/tmp/panbindd-test-XXXXXX");
	assert_non_null(mkdtemp(daemon->dir));
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/socket", daemon->dir);
	snprintf(daemon->log, sizeof(daemon->log), "%s/log.db", daemon->dir);
	snprintf(daemon->errors, sizeof(daemon->errors), "%s/errors", daemon->dir);
}

static void run_daemon(struct daemon *daemon, const char *device, const char *const *options)
{
	char socket_option[128], log_option[128], device_option[256];
	const char *argv[24] = {"panbindd", socket_option, log_option, device_option};
	int fd = open(daemon->errors, O_WRONLY | O_CREAT | O_APPEND, 0600), n = 4;

	snprintf(socket_option, sizeof(socket_option), "--socket=%s", daemon->socket);
	snprintf(log_option, sizeof(log_option), "--log=%s", daemon->log);
	snprintf(device_option, sizeof(device_option), "--device=%s", device ? device : "sim:");
	for (; options && *options && n < 23; options++)
		argv[n++] = *options;
	dup2(fd, STDERR_FILENO);
	for (int other = 3; other < 256; other++)
		if (!getenv("LISTEN_FDS") || other != 3)
			close(other);
	execv(PANBINDD, (char *const *)argv);
	_exit(127);
}

void daemon_spawn(struct daemon *daemon, const char *device, const char *const *options)
{
	fflush(NULL);
	daemon->pid = fork();
	assert_true(daemon->pid >= 0);
	if (daemon->pid == 0)
		run_daemon(daemon, device, options);
}

static void fail_with_said(struct daemon *daemon, const char *what)
{
	char *said = daemon_said(daemon);

	print_error("# panbindd %s; it said: %s\n", what, said);
	free(said);
	fail();
}

static void connect_when_it_answers(struct daemon *daemon, struct client *client)
{
	for (int i = 0; i < PATIENCE_MS / 5; i++) {
		int status;

		if (client_connect(client, daemon))
			return;
		if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
			daemon->pid = -1;
			fail_with_said(daemon, "ended at once");
		}
		usleep(5000);
	}
	fail_with_said(daemon, "does not answer");
}

void daemon_start(struct daemon *daemon, const char *const *options)
{
	struct client client;

	daemon_spawn(daemon, NULL, options);
	connect_when_it_answers(daemon, &client);
	client_close(&client);
}

int daemon_wait(struct daemon *daemon)
{
	int status = -1;

	for (int i = 0; i < PATIENCE_MS / 5; i++) {
		if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
			daemon->pid = -1;
			return status;
		}
		usleep(5000);
	}
	kill(daemon->pid, SIGABRT);
	waitpid(daemon->pid, &status, 0);
	daemon->pid = -1;
	fail_with_said(daemon, "does not end");
	return status;
}

void daemon_stop(struct daemon *daemon)
{
	int status;

	kill(daemon->pid, SIGTERM);
	status = daemon_wait(daemon);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_with_said(daemon, "ended with a failure");
}

void daemon_kill(struct daemon *daemon)
{
	int status;

	if (daemon->pid <= 0)
		return;
	kill(daemon->pid, SIGKILL);
	waitpid(daemon->pid, &status, 0);
	daemon->pid = -1;
}

void daemon_remove(struct daemon *daemon)
{
	char command[128];

	if (daemon->pid > 0)
		daemon_kill(daemon);
	snprintf(command, sizeof(command), "rm -rf %s", daemon->dir);
	if (system(command) != 0)
		print_message("# cannot remove %s\n", daemon->dir);
}

char *daemon_said(const struct daemon *daemon)
{
	FILE *file = fopen(daemon->errors, "re");
	char *text = calloc(1, 65536);

	if (file && text && fread(text, 1, 65535, file) == 0)
		text[0] = '\0';
	if (file)
		fclose(file);
	return text;
}

/* ---- Clients ---- */

bool client_connect(struct client *client, const struct daemon *daemon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*client = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .next_id = 1};
	assert_true(client->fd >= 0);
	strcpy(address.sun_path, daemon->socket);
	if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return true;
	close(client->fd);
	client->fd = -1;
	return false;
}

static void take_greeting(struct client *client)
{
	json_t *greeting = client_read(client);

	assert_non_null(greeting);
	assert_string_equal(text_of(greeting, "method"), "rpc.greeting");
	client->greeting = json_incref(json_object_get(greeting, "params"));
	json_decref(greeting);
}

void client_open(struct client *client, const struct daemon *daemon)
{
	assert_true(client_connect(client, daemon));
	take_greeting(client);
}

void daemon_start_for(struct daemon *daemon, struct client *client, const char *device, const char *const *options)
{
	daemon_spawn(daemon, device, options);
	connect_when_it_answers(daemon, client);
	take_greeting(client);
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	free(client->in);
	client->in = NULL;
	json_decref(client->greeting);
	client->greeting = NULL;
}

static void wait_for(int fd, short events)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int r = poll(&poll_fd, 1, PATIENCE_MS);

	if (r == 0)
		fail_msg("nothing happens on the connection");
}

void client_send(struct client *client, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			wait_for(client->fd, POLLOUT);
		else if (n < 0)
			return; /* the other end is closed: what it said before can still be read */
		else
			bytes += n, size -= (size_t)n;
	}
}

void client_send_line(struct client *client, const char *line)
{
	client_send(client, line, strlen(line));
	client_send(client, "\n", 1);
}

static bool fill(struct client *client)
{
	ssize_t n;

	if (client->used > 0) {
		memmove(client->in, client->in + client->used, client->size - client->used);
		client->size -= client->used;
		client->used = 0;
	}
	if (client->room - client->size < 65536) {
		client->room = client->room ? client->room * 2 : 131072;
		client->in = realloc(client->in, client->room);
		assert_non_null(client->in);
	}
	wait_for(client->fd, POLLIN);
	n = read(client->fd, client->in + client->size, client->room - client->size - 1);
	if (n <= 0)
		return false;
	client->size += (size_t)n;
	return true;
}

const char *client_read_line(struct client *client)
{
	size_t scanned = client->used;

	for (;;) {
		char *newline =
			client->size > scanned ? memchr(client->in + scanned, '\n', client->size - scanned) : NULL;
		char *line = client->in + client->used;

		if (newline) {
			*newline = '\0';
			client->used = (size_t)(newline - client->in) + 1;
			return line;
		}
		scanned = client->size - client->used;
		if (!fill(client))
			return NULL;
	}
}

json_t *client_read(struct client *client)
{
	const char *line = client_read_line(client);
	json_error_t error;
	json_t *message;

	if (!line)
		return NULL;
	message = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	if (!message)
		fail_msg("not JSON: %s: %.200s", error.text, line);
	return message;
}

int client_begin(struct client *client, const char *method, json_t *params)
{
	json_t *message = json_pack("{s:s, s:s, s:i, s:o*}", "jsonrpc", "2.0", "method", method, "id", client->next_id,
				    "params", params);
	char *line = json_dumps(message, JSON_COMPACT);

	assert_non_null(line);
	client_send_line(client, line);
	free(line);
	json_decref(message);
	return client->next_id++;
}

json_t *client_call(struct client *client, const char *method, json_t *params)
{
	int id = client_begin(client, method, params);
	json_t *answer;

	while ((answer = client_read(client))) {
		if (json_is_integer(json_object_get(answer, "id")) && int_of(answer, "id") == id)
			return answer;
		json_decref(answer);
	}
	fail_msg("the connection ended before %s was answered", method);
	return NULL;
}

json_t *client_result(struct client *client, const char *method, json_t *params)
{
	json_t *answer = client_call(client, method, params), *result = json_object_get(answer, "result");

	if (!result)
		fail_msg("%s failed: %s", method, json_dumps(answer, JSON_COMPACT));
	json_incref(result);
	json_decref(answer);
	return result;
}

json_t *client_error(struct client *client, int code, const char *method, json_t *params)
{
	json_t *answer = client_call(client, method, params), *error = json_object_get(answer, "error");

	if (!error || int_of(error, "code") != code)
		fail_msg("%s did not fail with %d: %s", method, code, json_dumps(answer, JSON_COMPACT));
	json_incref(error);
	json_decref(answer);
	return error;
}

/* ---- Members ---- */

static const json_t *member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		fail_msg("no member %s in %s", key, json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY));
	return value;
}

const char *text_of(const json_t *object, const char *key)
{
	const json_t *value = member(object, key);

	assert_true(json_is_string(value));
	return json_string_value(value);
}

json_int_t int_of(const json_t *object, const char *key)
{
	const json_t *value = member(object, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

uint64_t hex_of(const json_t *object, const char *key)
{
	const char *text = text_of(object, key);

	assert_memory_equal(text, "0x", 2);
	return strtoull(text, NULL, 16);
}

bool bool_of(const json_t *object, const char *key)
{
	const json_t *value = member(object, key);

	assert_true(json_is_boolean(value));
	return json_is_true(value);
}

const char *data_text(const json_t *error, const char *key)
{
	return text_of(member(error, "data"), key);
}
