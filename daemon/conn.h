/* SPDX-License-Identifier: MIT */
/*
 * One client's connection.
 */
#ifndef PBD_CONN_H
#define PBD_CONN_H

#include <event2/buffer.h>
#include <stdatomic.h>

#include "server.h"

struct engine;
struct subscription;
struct visit;

/**
 * OPEN -> DRAINING (no more calls are taken; those that were are answered) -> FLUSHING (all answers are in `out`) ->
 * LINGERING (all is written; what the client still sends is thrown away, since closing over unread bytes could take the
 * answer with it) -> DEAD (the descriptor is closed; freed when no call points here).
 */
enum conn_state { CONN_OPEN, CONN_DRAINING, CONN_FLUSHING, CONN_LINGERING, CONN_DEAD };

struct conn {
	struct server *server;
	struct conn *next, *prev, *next_dirty;
	enum conn_state state;
	int fd;
	uint64_t number;
	struct peer peer;
	struct event read_event, write_event;
	bool reading, is_dirty, has_eof;
	bool resting; /* has lines, and goes on with them in the next turn */
	char *in;     /* bytes that came: [0, in_used) are done with */
	size_t in_used, in_size, in_room, in_scanned;
	uint64_t in_counted; /* of server->input_bytes */
	uint64_t received;   /* bytes, in all */
	int passed_fd;	     /* came with bytes up to passed_until, for a request among them; or -1 */
	uint64_t passed_until;
	bool passed_many;   /* more than one came, and none is kept */
	_Atomic int output; /* who may write to fd: conn_lend.c */
	struct evbuffer *out;
	bool out_full;	/* was above the mark, and is not yet half empty */
	size_t pending; /* calls that are not yet answered */
	uint64_t pending_bytes;
	uint64_t deadline_ms;		   /* while the client is waited for */
	struct subscription *subscription; /* monitor.c */
	struct visit *visit;		   /* where its input is: conn_visit.c; NULL: here */
	unsigned int visit_calls;	   /* at the last tick */
	enum conn_state leaving;	   /* what it is to become when it is back; OPEN: nothing */
	const char *leaving_why;
};

/** The answers to the elements of an array, until all are there. */
struct array {
	struct conn *conn;
	size_t total, done;
	size_t bytes;
	struct jw answers[];
};

/** Take a connected socket over. It is closed on failure. */
int conn_create(struct server *server, int fd, const struct peer *peer);
/** The call is the only one under way: whoever completes its answer may send it. */
void conn_lend_output(struct request *request);
/** From any thread: send the complete answer if that is allowed. True: it is sent, and the loop need not hurry. */
bool conn_send_lent(struct request *request);
/** The call begins a visit to the engine that it is for, if its client has been alone for long enough. */
void conn_begin_visit(struct request *request, struct visit *visit);
/** The executor's: the descriptor of the visitor. */
int conn_visit_fd(const struct request *token);
/**
 * The executor's: read what the visitor has sent. False: that is not for @engine, and the visit has to end. True: it is
 * *@ret_request, which takes the place of @token; or with NULL, it was nothing.
 */
bool conn_visit_read(struct request *token, struct engine *engine, struct request **ret_request);
/** An answer came back: deliver it, and free the call. */
void conn_deliver(struct request *request);
/** Send one message that no call asked for. */
void conn_send(struct conn *conn, const struct jw *message);
/** Go on where a limit held this connection back. */
void conn_pump(struct conn *conn);
/** Take no more calls; close when all is answered and written. */
void conn_drain(struct conn *conn, const char *why);
/** Close at once. */
void conn_kill(struct conn *conn, const char *why);
/** Write what has gathered in all connections since the last time. */
void conn_flush_dirty(struct server *server);
/** Give up on clients that do not read the last of their answers. */
void conn_tick(struct conn *conn, uint64_t now);
/** There is something to write, or to look after, at the end of this turn. */
void conn_mark_dirty(struct conn *conn);
/** The same in the next turn, so that others get theirs. */
void conn_again_next_turn(struct conn *conn);
/** Bytes that the client has not taken yet. */
size_t conn_unread(const struct conn *conn);

#endif /* PBD_CONN_H */
