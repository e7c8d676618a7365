/* SPDX-License-Identifier: MIT */
/*
 * The daemon, as panbind(1) talks to it: JSON-RPC 2.0 over its Unix socket, one value a line, one call at a time.
 *
 * Nothing here waits with a limit of its own: what ends a wait is the answer, -T, a signal, or the daemon's end. A
 * daemon that is not there is noticed at once.
 */
#ifndef CMD_CLIENT_H
#define CMD_CLIENT_H

#include <jansson.h>

#include "cmd.h"
#include "panbind.h"

struct client {
	struct cmd *cmd;
	int fd;
	char *path;
	char *in; /* what was read and not yet used */
	size_t used, size, room;
	json_t *greeting; /* its params */
	json_int_t next_id;
	const int *pass; /* a descriptor that goes beside the next request, or NULL */
	bool silent;	 /* open only: say nothing when no daemon answers */
};

/**
 * Connect to what -s, else $PANBIND_SOCKET, else the usual places name, and read the greeting. Returns an exit status;
 * an error is reported, together with the command that starts a daemon. Close it in any case.
 */
int client_open(struct client *client, struct cmd *cmd);
/** The same, without a word when there is no daemon. */
int client_open_if_there(struct client *client, struct cmd *cmd);
void client_close(struct client *client);

/** What a request may leave behind when its answer never comes. */
enum client_effect { CLIENT_LOOKS = 0, CLIENT_CHANGES };

/** The source of an error with a line, for its place and the line above the caret. */
struct client_source {
	/** Replace line, and file when it is another one, of @error; @ret_line may be set. */
	void (*locate)(void *data, struct panbind_error *error, const char **ret_line, size_t *ret_size);
	void *data;
};

/**
 * Call a method; @params is consumed. Returns an exit status: CMD_DONE with *ret_result, to be given back with
 * json_decref(), else the error is reported. @source may be NULL.
 */
int client_call(struct client *client, const char *method, json_t *params, enum client_effect effect,
		const struct client_source *source, json_t **ret_result);
/** The same, but an answer that is an error is handed out in *ret_error, not reported, with CMD_FAILED. */
int client_ask(struct client *client, const char *method, json_t *params, enum client_effect effect,
	       json_t **ret_result, json_t **ret_error);
/** The next message that comes on its own: CMD_DONE, or the exit status of what ended the connection. */
int client_next(struct client *client, json_t **ret_message);

/** Report an "error" member, @json, and return its exit status. @source may be NULL. */
int client_error(struct cmd *cmd, const json_t *json, const struct client_source *source);

/* ---- Members ---- */

/** A text, or NULL. */
const char *client_text(const json_t *object, const char *key);
/** A number, from "0x..." or an integer; 0 when there is none. */
uint64_t client_number(const json_t *object, const char *key);

#endif /* CMD_CLIENT_H */
