/* SPDX-License-Identifier: MIT */
/*
 * The loop thread: the socket, the connections, and the way of a call to a device and back.
 *
 * Ownership. Connections, arrays and everything below struct server belong to the loop thread; no other thread touches
 * them. Calls leave it through the queue of an engine and come back through `replies`.
 */
#ifndef PBD_SERVER_H
#define PBD_SERVER_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "call.h"
#include "peer.h"
#include "queue.h"
#include "request.h"

struct config;
struct conn;
struct engine;

struct server {
	const struct config *config;
	struct limits limits;
	struct event_base *base;
	struct event accept_event, wake_event, stop_event[2], tick_event;
	struct event *end_events; /* one of each engine */
	int listen_fd, lock_fd;
	int spare_fd; /* given up for a moment to refuse a connection when descriptors run out */
	char *socket_path;
	bool owns_path; /* made here, to be removed at the end */
	struct engine **engines;
	size_t engine_count;
	struct queue replies; /* answered calls on their way back */
	struct conn *conns;   /* list by next */
	struct conn *dirty;   /* have output to be written at the end of this turn */
	size_t conn_count;
	uint64_t conn_number; /* of the next one, for messages */
	size_t in_flight;     /* calls that are not yet answered */
	uint64_t in_flight_bytes;
	uint64_t input_bytes;	  /* in unfinished lines */
	const struct conn *alone; /* whose calls have been alone lately; compared, never followed */
	unsigned int alone_calls; /* how many of them */
	bool stopping;
	uint64_t started_ms;
};

/** Make the loop and the socket. The devices are open. On failure a message has been said. */
int server_start(struct server *server, const struct config *config, struct engine **engines, size_t engine_count);
/** Until a signal: then what was accepted is finished. */
int server_run(struct server *server);
void server_finish(struct server *server);

/** Hand an answered call back, or send its answer at once; from any thread. */
void server_reply(struct server *server, struct request *request);
/** Deliver what came back. */
void server_take_answers(struct server *server);
/** Too much is under way: no further call is to be read. */
bool server_is_full(const struct server *server);
/** The engine of that name; NULL: the first. */
struct engine *server_engine(struct server *server, const char *name);
uint64_t now_ms(void);
/** Give the engines what was staged for them. */
void engines_submit(struct server *server);

/* ---- server_methods.c ---- */

loop_method server_ping, server_discover, server_journal_show, server_journal_status, server_journal_compact,
	server_subscribe;
/** The first line a client gets. */
void server_write_greeting(struct server *server, enum role role, struct jw *jw);

/* ---- listen.c ---- */

/**
 * The socket's path when none is given: $PANBIND_SOCKET, else /run/panbind for root, else $XDG_RUNTIME_DIR. NULL: there
 * is no such directory.
 */
char *default_socket_path(void);
/**
 * Listen on @path, mode 0660. A stale socket is replaced; -EADDRINUSE when another daemon answers. @ret_lock_fd is held
 * as long as the socket is ours.
 */
int listen_on(const char *path, int *ret_fd, int *ret_lock_fd);

#endif /* PBD_SERVER_H */
