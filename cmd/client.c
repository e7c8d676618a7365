/* SPDX-License-Identifier: MIT */
/* Connecting, calling, waiting. Errors in answers are in client_error.c. See client.h for the contract. */
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "limit.h"

#define PROTOCOL    1
#define SYSTEM_PATH "/run/panbind/panbindd.sock"

/* ---- Where ---- */

/* A user's own daemon goes before the machine's. */
static char *user_path(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;

	if (geteuid() == 0 || !runtime || runtime[0] != '/')
		return NULL;
	return asprintf(&path, "%s/panbind/panbindd.sock", runtime) < 0 ? NULL : path;
}

static const char *chosen_path(const struct cmd *cmd)
{
	const char *path = cmd->socket ? cmd->socket : getenv("PANBIND_SOCKET");

	return path && *path ? path : NULL;
}

/* 0 or a negative errno. */
static int try_path(struct client *client, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	if (!path)
		return -ENOMEM;
	free(client->path);
	client->path = strdup(path);
	if (!client->path)
		return -ENOMEM;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return -errno;
	if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	err = errno;
	close(client->fd);
	client->fd = -1;
	return -err;
}

static int connect_somewhere(struct client *client)
{
	const char *chosen = chosen_path(client->cmd);
	char *user;
	int r;

	if (chosen)
		return try_path(client, chosen);
	user = user_path();
	r = user ? try_path(client, user) : -ENOENT;
	if (r == -ENOENT || r == -ECONNREFUSED) {
		r = try_path(client, SYSTEM_PATH);
		if (r == -ENOENT && user) { /* neither is there: name the one that this user can start */
			free(client->path);
			client->path = user;
			return r;
		}
	}
	free(user);
	return r;
}

static int say_refused(struct client *client, int r)
{
	struct cmd *cmd = client->cmd;

	if (client->silent && r != -EINTR)
		return CMD_NO_DEVICE;
	if (r == -EINTR)
		return error_say(cmd, limit_status(), limit_code(), "%s: not connected: %s", client->path,
				 limit_reason());
	if (r == -EACCES || r == -EPERM)
		return error_say(cmd, CMD_DENIED, r, "%s: not permitted (is this user in the group that owns it?)",
				 client->path);
	if (r == -ENAMETOOLONG)
		return error_say(cmd, CMD_USAGE, r, "%s: too long for the path of a socket", client->path);
	error_say(cmd, CMD_NO_DEVICE, r, "no daemon answers at %s: %s", client->path, strerror(-r));
	error_note(cmd, 0, "to start one: panbindd --device=drm:auto --socket=%s (a simulated GPU: --device=sim:)",
		   client->path);
	return CMD_NO_DEVICE;
}

/* ---- Lines ---- */

/* A wait that the limit or a signal ended. The daemon goes on with what it was asked. */
static int say_stopped(struct client *client, enum client_effect effect)
{
	return error_say(client->cmd, limit_status(), limit_code(), "%s: %s%s", client->path, limit_reason(),
			 effect == CLIENT_CHANGES ? "; the daemon may still do what it was asked" : "");
}

static int say_lost(struct client *client, enum client_effect effect, int err)
{
	if (effect == CLIENT_CHANGES)
		return error_say(client->cmd, CMD_PARTIAL, -ECONNRESET,
				 "%s: the daemon ended the connection before it answered; what became of the request "
				 "is not known (with --id, 'panbind rpc txn.status' tells, and a repeat is harmless)",
				 client->path);
	return error_say(client->cmd, CMD_NO_DEVICE, -ECONNRESET, "%s: the daemon ended the connection%s%s",
			 client->path, err ? ": " : "", err ? strerror(err) : "");
}

/* What is to go beside the request goes with its first bytes. */
static ssize_t send_some(struct client *client, const char *line, size_t size)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec part = {(char *)line, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (client->pass) {
		memcpy(CMSG_DATA(&control.head), client->pass, sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
	}
	n = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		client->pass = NULL;
	return n;
}

/* After a send that failed there may still be an answer to read, which says why: that is for the reader to find. */
static int send_line(struct client *client, const char *line, size_t size, enum client_effect effect)
{
	while (size > 0) {
		ssize_t n = send_some(client, line, size);

		if (n < 0 && errno == EAGAIN) {
			if (limit_poll(client->fd, POLLOUT, -1) < 0)
				return say_stopped(client, effect);
		} else if (n < 0 && errno != EINTR) {
			return CMD_DONE;
		} else if (n > 0) {
			line += n;
			size -= (size_t)n;
		}
	}
	return CMD_DONE;
}

static bool make_room(struct client *client)
{
	char *grown;

	if (client->used) {
		memmove(client->in, client->in + client->used, client->size - client->used);
		client->size -= client->used;
		client->used = 0;
	}
	if (client->room - client->size > 4096)
		return true;
	grown = realloc(client->in, client->room ? 2 * client->room : 65536);
	if (!grown)
		return false;
	client->in = grown;
	client->room = client->room ? 2 * client->room : 65536;
	return true;
}

static int read_some(struct client *client, enum client_effect effect)
{
	ssize_t n;
	int r;

	if (!make_room(client))
		return error_say(client->cmd, CMD_FAILED, -ENOMEM, "out of memory");
	r = limit_poll(client->fd, POLLIN, -1);
	if (r < 0)
		return say_stopped(client, effect);
	n = recv(client->fd, client->in + client->size, client->room - client->size, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return CMD_DONE;
	if (n <= 0)
		return say_lost(client, effect, n < 0 ? errno : 0);
	client->size += (size_t)n;
	return CMD_DONE;
}

static int read_message(struct client *client, enum client_effect effect, json_t **ret_message)
{
	size_t scanned = 0;
	char *line, *newline;
	json_error_t error;
	int status;

	for (;;) {
		size_t there = client->size - client->used;

		line = client->in + client->used;
		newline = there > scanned ? memchr(line + scanned, '\n', there - scanned) : NULL;
		if (newline)
			break;
		scanned = there;
		status = read_some(client, effect);
		if (status)
			return status;
	}
	client->used += (size_t)(newline - line) + 1;
	*ret_message = json_loadb(line, (size_t)(newline - line), JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(*ret_message))
		return CMD_DONE;
	json_decref(*ret_message);
	return error_say(client->cmd, CMD_NO_DEVICE, -EPROTO, "%s: what answers there does not speak JSON-RPC",
			 client->path);
}

/* ---- Opening ---- */

static int check_greeting(struct client *client, json_t *message)
{
	const char *method = client_text(message, "method");
	json_t *params = json_object_get(message, "params"), *error = json_object_get(message, "error");
	json_int_t protocol = json_integer_value(json_object_get(params, "protocol"));

	if (error)
		return client_error(client->cmd, error, NULL);
	if (!method || strcmp(method, "rpc.greeting") != 0)
		return error_say(client->cmd, CMD_NO_DEVICE, -EPROTO, "%s: what answers there is no panbindd",
				 client->path);
	if (protocol != PROTOCOL)
		return error_say(client->cmd, CMD_NO_DEVICE, -EPROTONOSUPPORT,
				 "%s: the daemon speaks protocol %" JSON_INTEGER_FORMAT ", this program %d",
				 client->path, protocol, PROTOCOL);
	client->greeting = json_incref(params);
	return CMD_DONE;
}

static int open_client(struct client *client)
{
	json_t *message = NULL;
	int r = connect_somewhere(client), status;

	if (r < 0)
		return say_refused(client, r);
	status = read_message(client, CLIENT_LOOKS, &message);
	if (!status)
		status = check_greeting(client, message);
	json_decref(message);
	return status;
}

int client_open(struct client *client, struct cmd *cmd)
{
	*client = (struct client){.cmd = cmd, .fd = -1, .next_id = 1};
	return open_client(client);
}

int client_open_if_there(struct client *client, struct cmd *cmd)
{
	*client = (struct client){.cmd = cmd, .fd = -1, .next_id = 1, .silent = true};
	return open_client(client);
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	free(client->path);
	free(client->in);
	client->path = client->in = NULL;
	json_decref(client->greeting);
	client->greeting = NULL;
}

/* ---- Calling ---- */

/* Requests name the device only when somebody chose one: not all methods have the parameter. */
static json_t *request_of(struct client *client, const char *method, json_t *params)
{
	if (client->cmd->gpu && strncmp(method, "rpc.", 4) != 0 && !json_object_get(params, "device")) {
		if (!params)
			params = json_object();
		json_object_set_new(params, "device", output_json_text(client->cmd->gpu));
	}
	return json_pack("{s:s, s:s, s:o*, s:I}", "jsonrpc", "2.0", "method", method, "params", params, "id",
			 client->next_id++);
}

static int send_request(struct client *client, json_t *request, enum client_effect effect)
{
	char *line = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t size = line ? strlen(line) : 0;
	int status;

	json_decref(request);
	if (!line)
		return error_say(client->cmd, CMD_FAILED, -ENOMEM,
				 "the request cannot be made: out of memory, or a "
				 "text that is not UTF-8");
	line[size] = '\n';
	status = send_line(client, line, size + 1, effect);
	free(line);
	return status;
}

/* An error without an id is about a line that the daemon could not read: ours is the only one. */
static bool is_answer(const json_t *message, json_int_t id)
{
	const json_t *given = json_object_get(message, "id");

	if (json_is_integer(given))
		return json_integer_value(given) == id;
	return json_object_get(message, "error") && !json_object_get(message, "method");
}

int client_ask(struct client *client, const char *method, json_t *params, enum client_effect effect,
	       json_t **ret_result, json_t **ret_error)
{
	json_int_t id = client->next_id;
	int status = send_request(client, request_of(client, method, params), effect);
	json_t *message;

	while (!status) {
		status = read_message(client, effect, &message);
		if (status)
			break;
		if (is_answer(message, id)) {
			json_t *result = json_object_get(message, "result");

			if (result)
				*ret_result = json_incref(result);
			else
				*ret_error = json_incref(json_object_get(message, "error"));
			json_decref(message);
			return result ? CMD_DONE : CMD_FAILED;
		}
		json_decref(message);
	}
	return status;
}

int client_call(struct client *client, const char *method, json_t *params, enum client_effect effect,
		const struct client_source *source, json_t **ret_result)
{
	json_t *error = NULL;
	int status = client_ask(client, method, params, effect, ret_result, &error);

	if (error)
		status = client_error(client->cmd, error, source);
	json_decref(error);
	return status;
}

int client_next(struct client *client, json_t **ret_message)
{
	return read_message(client, CLIENT_LOOKS, ret_message);
}
