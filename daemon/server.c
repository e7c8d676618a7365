/* SPDX-License-Identifier: MIT */
/*
 * The loop: accepts, hands calls to engines and answers back, and ends in order.
 *
 * The end. On SIGTERM or SIGINT no more connections and calls are taken, each client is told so, what was taken is
 * finished, answered and written; then the loop ends. A client that does not read its answers holds this up for a few
 * seconds at most; a call that runs is waited for, however long. A second signal makes the loop end at once, though
 * engines still finish the call they are in.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "config.h"
#include "conn.h"
#include "engine.h"
#include "monitor.h"
#include "rpc.h"
#include "say.h"
#include "sdnotify.h"
#include "server.h"
#include "util.h"
#include "visit.h"

#define ACCEPTS_A_TURN	64
#define IN_FLIGHT_MOST	32768
#define IN_FLIGHT_BYTES (64u << 20)
#define TICK_MS		500

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool server_is_full(const struct server *server)
{
	return server->in_flight >= IN_FLIGHT_MOST || server->in_flight_bytes >= IN_FLIGHT_BYTES;
}

struct engine *server_engine(struct server *server, const char *name)
{
	for (size_t i = 0; i < server->engine_count; i++)
		if (!name || strcmp(engine_name(server->engines[i]), name) == 0)
			return server->engines[i];
	return NULL;
}

void engines_submit(struct server *server)
{
	for (size_t i = 0; i < server->engine_count; i++)
		engine_submit(server->engines[i]);
}

void server_reply(struct server *server, struct request *request)
{
	bool sent = conn_send_lent(request);

	if (visit_keeps(request, sent))
		return;
	if (sent && !request->visit)
		queue_push_quietly(&server->replies, request);
	else
		queue_push(&server->replies, request);
}

/* ---- Accepting ---- */

/** Tell a client that there is no room, in the way it expects to be told things. */
static void refuse_client(int fd, const char *message)
{
	struct request *refusal = rpc_refusal(RPC_BUSY, EAGAIN, message);

	if (refusal) {
		refusal->error.retryable = true;
		request_begin_answer(refusal);
		request_end_answer(refusal);
		jw_bytes(&refusal->out, "\n", 1);
		if (send(fd, refusal->out.buf, refusal->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			say(SAY_DEBUG, "a refused client is gone: %s", strerror(errno));
	}
	request_free(refusal);
	close(fd);
}

/** Without a free descriptor a client could not even be refused: give up the spare one for it. */
static void refuse_without_descriptor(struct server *server)
{
	int fd;

	close(server->spare_fd);
	fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		refuse_client(fd, "too many open files");
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void admit(struct server *server, int fd)
{
	struct peer peer;

	if (server->conn_count >= server->limits.connections) {
		refuse_client(fd, "too many connections");
		return;
	}
	if (peer_from_socket(fd, &server->config->grants, &peer) < 0) {
		close(fd);
		return;
	}
	if (conn_create(server, fd, &peer) < 0)
		say(SAY_WARNING, "no memory for a connection");
}

static void on_accept(evutil_socket_t listen_fd, short what, void *data)
{
	struct server *server = data;

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			admit(server, fd);
		else if (errno == EMFILE || errno == ENFILE)
			refuse_without_descriptor(server);
		else if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
	conn_flush_dirty(server);
}

/* ---- Answers ---- */

/** The daemon was too busy; now it is not. */
static void let_go_on(struct server *server)
{
	for (struct conn *conn = server->conns, *next; conn; conn = next) {
		next = conn->next;
		if (conn->state == CONN_OPEN && !conn->reading)
			conn_pump(conn);
	}
}

void server_take_answers(struct server *server)
{
	struct request *request = queue_take(&server->replies);
	bool was_full = server_is_full(server);

	while (request) {
		struct request *next = request->next;

		conn_deliver(request);
		request = next;
	}
	if (was_full && !server_is_full(server))
		let_go_on(server);
}

static void on_wake(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;

	queue_note_wake(&server->replies);
	server_take_answers(server);
	monitor_wake(server);
	conn_flush_dirty(server);
}

/* ---- The end ---- */

static void write_goodbye(struct jw *jw)
{
	jw_object(jw, NULL);
	jw_string(jw, "jsonrpc", "2.0");
	jw_string(jw, "method", "rpc.closing");
	jw_object(jw, "params");
	jw_string(jw, "reason", "the daemon is stopping");
	jw_object_end(jw);
	jw_object_end(jw);
}

static void begin_stopping(struct server *server)
{
	struct jw goodbye = {0};

	say(SAY_INFO, "stopping: %zu calls to finish", server->in_flight);
	sdnotify_stopping();
	server->stopping = true;
	event_del(&server->accept_event);
	write_goodbye(&goodbye);
	for (struct conn *conn = server->conns; conn; conn = conn->next) {
		conn_send(conn, &goodbye);
		conn_drain(conn, "stopping");
	}
	jw_free(&goodbye);
	conn_flush_dirty(server);
	for (size_t i = 0; i < server->engine_count; i++)
		engine_wind_down(server->engines[i]);
}

static void on_stop_signal(evutil_socket_t signal_number, short what, void *data)
{
	struct server *server = data;

	server_take_answers(server);
	if (server->stopping)
		event_base_loopbreak(server->base);
	else
		begin_stopping(server);
}

static void on_tick(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	uint64_t now = now_ms();

	server_take_answers(server);
	for (struct conn *conn = server->conns, *next; conn; conn = next) {
		next = conn->next;
		conn_tick(conn, now);
	}
	sdnotify_alive();
	conn_flush_dirty(server);
}

int server_run(struct server *server)
{
	while (!server->stopping || server->conn_count > 0) {
		int r = event_base_loop(server->base, EVLOOP_ONCE);

		if (r < 0)
			return -EIO;
		if (event_base_got_break(server->base))
			break;
	}
	return 0;
}

/* ---- Life ---- */

/** A connection is a descriptor: as many as the hard limit gives. */
static void raise_descriptor_limit(struct server *server)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < server->limits.connections + 64) {
		limit.rlim_cur = limit.rlim_max < server->limits.connections + 64 ? limit.rlim_max
										  : server->limits.connections + 64;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_socket(struct server *server)
{
	int r = sdnotify_socket(&server->listen_fd);

	if (r != 0)
		return r < 0 ? r : 0;
	server->socket_path = server->config->socket ? strdup(server->config->socket) : default_socket_path();
	if (!server->socket_path) {
		say(SAY_ERROR, "no place for a socket: give --socket, or set XDG_RUNTIME_DIR");
		return -ENOENT;
	}
	r = listen_on(server->socket_path, &server->listen_fd, &server->lock_fd);
	if (r == -EADDRINUSE)
		say(SAY_ERROR, "%s: another daemon answers there", server->socket_path);
	else if (r < 0)
		say(SAY_ERROR, "%s: %s", server->socket_path, strerror(-r));
	server->owns_path = r == 0;
	return r;
}

/* Before there is a socket: whoever sees it may already ask for the end. */
static int add_stop_events(struct server *server)
{
	static const int signals[] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		event_assign(&server->stop_event[i], server->base, signals[i], EV_SIGNAL | EV_PERSIST, on_stop_signal,
			     server);
		if (event_add(&server->stop_event[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void on_end(evutil_socket_t fd, short what, void *data)
{
	engine_note_end(data);
}

/** Programs whose VMs are here: their end is the engines' business. */
static int add_end_events(struct server *server)
{
	server->end_events = calloc(server->engine_count, sizeof(*server->end_events));
	if (!server->end_events)
		return -ENOMEM;
	for (size_t i = 0; i < server->engine_count; i++) {
		event_assign(&server->end_events[i], server->base, engine_ends_fd(server->engines[i]),
			     EV_READ | EV_PERSIST, on_end, server->engines[i]);
		if (event_add(&server->end_events[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_events(struct server *server)
{
	struct timeval tick = {.tv_usec = TICK_MS * 1000};

	event_assign(&server->accept_event, server->base, server->listen_fd, EV_READ | EV_PERSIST, on_accept, server);
	event_assign(&server->wake_event, server->base, server->replies.wake_fd, EV_READ | EV_PERSIST, on_wake, server);
	event_assign(&server->tick_event, server->base, -1, EV_PERSIST, on_tick, server);
	if (event_add(&server->accept_event, NULL) < 0 || event_add(&server->wake_event, NULL) < 0 ||
	    event_add(&server->tick_event, &tick) < 0)
		return -ENOMEM;
	return add_end_events(server);
}

/** epoll's change list would save syscalls only if events were toggled often; what counts is a clock that is cheap. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config) {
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		base = event_base_new_with_config(config);
		event_config_free(config);
	}
	return base;
}

int server_start(struct server *server, const struct config *config, struct engine **engines, size_t engine_count)
{
	int r;

	*server = (struct server){.config = config, .limits = config->limits, .listen_fd = -1, .lock_fd = -1};
	server->engines = engines;
	server->engine_count = engine_count;
	server->started_ms = now_ms();
	raise_descriptor_limit(server);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r = queue_init(&server->replies, true);
	if (r < 0)
		return r;
	server->base = new_base();
	r = server->base ? add_stop_events(server) : -ENOMEM;
	if (r == 0) {
		r = open_socket(server);
		if (r < 0)
			return r;
		r = add_events(server);
	}
	if (r < 0)
		say(SAY_ERROR, "cannot make the event loop: %s", strerror(-r));
	return r;
}

void server_finish(struct server *server)
{
	while (server->conns) {
		conn_kill(server->conns, "the end");
		server->conns->pending = 0; /* the engines are gone, nothing comes back */
		conn_mark_dirty(server->conns);
		conn_flush_dirty(server);
	}
	if (server->owns_path)
		unlink(server->socket_path);
	free(server->socket_path);
	closep(&server->listen_fd);
	closep(&server->lock_fd);
	closep(&server->spare_fd);
	if (server->base)
		event_base_free(server->base);
	free(server->end_events);
	queue_destroy(&server->replies);
}
