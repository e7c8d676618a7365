/* SPDX-License-Identifier: MIT */
/*
 * A connection's life: when it is read, when it is written, when it ends.
 *
 * It is read only while it may take another call: neither too many calls unanswered, nor too many answers unread, nor
 * the whole daemon too busy. Holding back means not reading, so that the client's own writes block: nothing is dropped
 * and nothing grows.
 *
 * A connection never disappears under a call that is under way: it is freed at the end of a turn of the loop, once it
 * is dead and all its calls have come back.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_private.h"
#include "engine.h"
#include "monitor.h"
#include "rpc.h"
#include "say.h"
#include "util.h"

#define LINES_A_TURN  256 /* then others get their turn */
#define LINES_AT_ONCE 16  /* then the devices' threads get theirs, while the rest is decoded */
#define PATIENCE_MS   5000

static const char *state_name(enum conn_state state)
{
	static const char *const names[] = {"open", "draining", "flushing", "lingering", "dead"};

	return names[state];
}

void conn_set_state(struct conn *conn, enum conn_state state, const char *why)
{
	say(SAY_DEBUG, "connection %llu of uid %u: %s -> %s (%s)", (unsigned long long)conn->number, conn->peer.uid,
	    state_name(conn->state), state_name(state), why);
	conn->state = state;
	conn->deadline_ms = now_ms() + PATIENCE_MS;
	conn_mark_dirty(conn);
}

void conn_mark_dirty(struct conn *conn)
{
	if (conn->is_dirty)
		return;
	conn->is_dirty = true;
	conn->next_dirty = conn->server->dirty;
	conn->server->dirty = conn;
}

void conn_again_next_turn(struct conn *conn)
{
	event_active(&conn->write_event, EV_WRITE, 0);
}

size_t conn_unread(const struct conn *conn)
{
	return evbuffer_get_length(conn->out);
}

bool conn_may_take(struct conn *conn)
{
	const struct limits *limits = &conn->server->limits;
	size_t unread = conn_unread(conn);

	if (unread > limits->output_bytes)
		conn->out_full = true;
	else if (unread <= limits->output_bytes / 2)
		conn->out_full = false;
	return conn->state == CONN_OPEN && !conn->out_full && conn->pending < limits->pending &&
	       conn->pending_bytes <= limits->request_bytes && !server_is_full(conn->server);
}

void conn_watch_input(struct conn *conn, bool wanted)
{
	if (conn->reading == wanted)
		return;
	conn->reading = wanted;
	if (wanted)
		event_add(&conn->read_event, NULL);
	else
		event_del(&conn->read_event);
}

/** The end of the client's input. What is not a whole line by now was cut off on its way: never run that. */
static void end_of_input(struct conn *conn)
{
	if (conn_partial(conn) > 0)
		conn_refuse(conn, RPC_PARSE, EBADMSG, "the last line does not end in a newline");
	else
		conn_drain(conn, "end of input");
}

static void check_partial(struct conn *conn)
{
	if (conn_partial(conn) > conn->server->limits.request_bytes)
		conn_refuse(conn, RPC_TOO_LARGE, EMSGSIZE, "the request is longer than a line may be");
	else if (conn->server->input_bytes > conn->server->limits.input_bytes)
		conn_refuse(conn, RPC_BUSY, ENOBUFS, "too many unfinished requests at the same time");
}

void conn_pump(struct conn *conn)
{
	const char *line;
	size_t size;
	int lines = 0;

	while (lines++ < LINES_A_TURN && !conn->visit && conn_may_take(conn) && conn_next_line(conn, &line, &size)) {
		conn_take_line(conn, line, size);
		conn_end_passed(conn);
		if (lines % LINES_AT_ONCE == 0)
			engines_submit(conn->server);
	}
	if (conn->state != CONN_OPEN || conn->visit)
		return;
	if (conn_has_line(conn)) {
		conn_watch_input(conn, false);
		conn->resting = conn_may_take(conn);
		if (conn->resting)
			event_active(&conn->read_event, EV_TIMEOUT, 0);
		return;
	}
	if (conn->has_eof) {
		end_of_input(conn);
		return;
	}
	check_partial(conn);
	if (conn->state == CONN_OPEN) {
		if (conn_partial(conn) == 0 && conn->in)
			conn_forget_input(conn);
		conn_watch_input(conn, conn_may_take(conn));
	}
}

/** LINGERING: wait for the client to see the end. */
static void linger(struct conn *conn)
{
	enum conn_read got = conn_discard_input(conn);

	if (got == CONN_READ_END || got == CONN_READ_FAILED)
		conn_kill(conn, "done");
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct conn *conn = data;

	server_take_answers(conn->server);
	if (conn->state == CONN_LINGERING) {
		linger(conn);
	} else if (conn->state == CONN_OPEN) {
		enum conn_read got = what & EV_READ ? conn_read_input(conn) : CONN_READ_NOTHING;

		if (got == CONN_READ_FAILED)
			conn_kill(conn, strerror(errno));
		conn->has_eof |= got == CONN_READ_END;
		conn->resting = false;
		conn_pump(conn);
	}
	conn_flush_dirty(conn->server);
}

static void on_writable(evutil_socket_t fd, short what, void *data)
{
	struct conn *conn = data;

	conn_mark_dirty(conn);
	conn_flush_dirty(conn->server);
}

void conn_drain(struct conn *conn, const char *why)
{
	if (conn->state != CONN_OPEN || conn_leaves_later(conn, CONN_DRAINING, why))
		return;
	conn_watch_input(conn, false);
	monitor_end(conn);
	conn_forget_input(conn);
	conn_set_state(conn, CONN_DRAINING, why);
}

void conn_kill(struct conn *conn, const char *why)
{
	if (conn->state == CONN_DEAD || conn_leaves_later(conn, CONN_DEAD, why))
		return;
	conn_watch_input(conn, false);
	event_del(&conn->write_event);
	monitor_end(conn);
	for (size_t i = 0; i < conn->server->engine_count && conn->pending > 0; i++)
		engine_cancel(conn->server->engines[i], conn);
	conn_forget_input(conn);
	evbuffer_drain(conn->out, conn_unread(conn));
	if (conn_take_output(conn))
		close(take_fd(conn->fd));
	else
		shutdown(conn->fd, SHUT_RDWR); /* closed when the call is back that writes to it */
	conn_set_state(conn, CONN_DEAD, why);
}

static void conn_free(struct conn *conn)
{
	struct server *server = conn->server;

	if (conn->prev)
		conn->prev->next = conn->next;
	else
		server->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	server->conn_count--;
	closep(&conn->fd);
	evbuffer_free(conn->out);
	peer_free(&conn->peer);
	free(conn);
}

static void write_output(struct conn *conn)
{
	if (conn_unread(conn) == 0 || !conn_take_output(conn))
		return;
	if (evbuffer_write(conn->out, conn->fd) < 0 && errno != EAGAIN && errno != EINTR) {
		conn_kill(conn, strerror(errno));
		return;
	}
	if (conn_unread(conn) > 0)
		event_add(&conn->write_event, NULL);
}

/** Everything is answered and written: say so, and wait for the client to hang up. */
static void begin_lingering(struct conn *conn)
{
	shutdown(conn->fd, SHUT_WR);
	conn_set_state(conn, CONN_LINGERING, "all is written");
	if (conn->has_eof)
		conn_kill(conn, "done");
	else
		conn_watch_input(conn, true);
}

/** Look after one connection at the end of a turn. */
static void settle(struct conn *conn)
{
	if (conn->state != CONN_DEAD && conn->state != CONN_LINGERING)
		write_output(conn);
	if (conn->state == CONN_OPEN && conn->subscription)
		monitor_pump(conn);
	if (conn->state == CONN_OPEN && !conn->reading && !conn->resting)
		conn_pump(conn);
	if (conn->state == CONN_DRAINING && conn->pending == 0)
		conn_set_state(conn, CONN_FLUSHING, "all is answered");
	if (conn->state == CONN_FLUSHING && conn_unread(conn) == 0)
		begin_lingering(conn);
	if (conn->state == CONN_DEAD && conn->pending == 0 && !conn->is_dirty)
		conn_free(conn);
}

void conn_flush_dirty(struct server *server)
{
	engines_submit(server);
	while (server->dirty) {
		struct conn *conn = server->dirty;

		server->dirty = conn->next_dirty;
		conn->is_dirty = false;
		settle(conn);
	}
	engines_submit(server);
}

/** The end of input may mean that the client listens still; a hang-up means that it does not. */
static bool is_gone(const struct conn *conn)
{
	struct pollfd poll_fd = {.fd = conn->fd};

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

void conn_tick(struct conn *conn, uint64_t now)
{
	bool waiting = conn->state == CONN_LINGERING || (conn->state == CONN_FLUSHING && conn_unread(conn) > 0);

	if (conn->visit)
		conn_tick_visit(conn);
	if (waiting && now >= conn->deadline_ms)
		conn_kill(conn, "the client does not read");
	else if (conn->state == CONN_DRAINING && is_gone(conn))
		conn_kill(conn, "the client is gone");
}

static struct conn *new_conn(struct server *server, int fd, const struct peer *peer)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->out = evbuffer_new();
	if (!conn->out) {
		free(conn);
		return NULL;
	}
	conn->server = server;
	conn->fd = fd;
	conn->passed_fd = -1;
	conn->peer = *peer;
	conn->number = ++server->conn_number;
	event_assign(&conn->read_event, server->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->write_event, server->base, fd, EV_WRITE, on_writable, conn);
	return conn;
}

int conn_create(struct server *server, int fd, const struct peer *peer)
{
	struct conn *conn = new_conn(server, fd, peer);
	struct jw greeting = {0};

	if (!conn) {
		close(fd);
		return -ENOMEM;
	}
	conn->next = server->conns;
	if (conn->next)
		conn->next->prev = conn;
	server->conns = conn;
	server->conn_count++;
	conn_set_state(conn, CONN_OPEN, "new");
	server_write_greeting(server, peer->role, &greeting);
	conn_send(conn, &greeting);
	jw_free(&greeting);
	if (conn->state == CONN_OPEN)
		conn_watch_input(conn, true);
	return 0;
}
