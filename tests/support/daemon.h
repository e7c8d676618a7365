/* SPDX-License-Identifier: MIT */
/*
 * A real panbindd in a directory of its own, and clients that speak to it over its socket.
 */
#ifndef TEST_DAEMON_H
#define TEST_DAEMON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct daemon {
	char dir[64], socket[96], log[96], errors[96]; /* errors: what it says */
	pid_t pid;
};

/** Make the directory. */
void daemon_prepare(struct daemon *daemon);
/** Start it there with a simulated device and these further options (NULL ends them), and wait until it answers. */
void daemon_start(struct daemon *daemon, const char *const *options);
/** Start it and do not wait; `device` NULL: a simulated one. */
void daemon_spawn(struct daemon *daemon, const char *device, const char *const *options);
/** SIGTERM, and wait: it must end with status 0. */
void daemon_stop(struct daemon *daemon);
/** SIGKILL, and wait. */
void daemon_kill(struct daemon *daemon);
/** Wait for its end: the status of waitpid(2). */
int daemon_wait(struct daemon *daemon);
/** Remove the directory. */
void daemon_remove(struct daemon *daemon);
/** What it has said so far; to be freed. */
char *daemon_said(const struct daemon *daemon);

/** A connection. Every read ends the test when nothing comes for a minute. */
struct client {
	int fd;
	char *in;
	size_t used, size, room;
	int next_id;
	json_t *greeting; /* its params */
};

/** Connect and read the greeting. */
void client_open(struct client *client, const struct daemon *daemon);
/** daemon_spawn(), and client_open() as soon as it answers. */
void daemon_start_for(struct daemon *daemon, struct client *client, const char *device, const char *const *options);
/** Connect and read nothing; returns false when nobody listens. */
bool client_connect(struct client *client, const struct daemon *daemon);
void client_close(struct client *client);
void client_send(struct client *client, const char *bytes, size_t size);
/** Send one line; the newline is added. */
void client_send_line(struct client *client, const char *line);
/** The next line, or NULL at the end. Borrowed until the next read. */
const char *client_read_line(struct client *client);
/** The next message as JSON, or NULL at the end. */
json_t *client_read(struct client *client);
/** Send a call; returns its id. @params is taken, NULL: none. */
int client_begin(struct client *client, const char *method, json_t *params);
/** The answer to a call: the whole message. Notifications before it are dropped. */
json_t *client_call(struct client *client, const char *method, json_t *params);
/** The result of a call that must succeed. */
json_t *client_result(struct client *client, const char *method, json_t *params);
/** The error of a call that must fail with this code. */
json_t *client_error(struct client *client, int code, const char *method, json_t *params);

/** Members of answers: these fail the test when they are not there. */
const char *text_of(const json_t *object, const char *key);
json_int_t int_of(const json_t *object, const char *key);
uint64_t hex_of(const json_t *object, const char *key);
bool bool_of(const json_t *object, const char *key);
/** error.data.name and the like. */
const char *data_text(const json_t *error, const char *key);

#endif /* TEST_DAEMON_H */
