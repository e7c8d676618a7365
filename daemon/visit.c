/* SPDX-License-Identifier: MIT */
/*
 * The executor's side of a visit, see visit.h. The connection's side is conn_visit.c.
 */
#include "visit.h"
#include "conn.h"
#include "engine_private.h"
#include "server.h"

static bool pass(struct visit *visit, int from, int to)
{
	return atomic_compare_exchange_strong(&visit->state, &from, to);
}

void visit_hold(struct request *request)
{
	struct visit *visit = request->visit;

	if (!visit)
		return;
	visit->token = request;
	atomic_fetch_add(&visit->calls, 1);
	atomic_store(&visit->state, VISIT_HELD);
}

void visit_release(struct visit *visit)
{
	if (!pass(visit, VISIT_DONE, VISIT_IDLE))
		pass(visit, VISIT_HELD, VISIT_AWAY); /* another thread will answer it */
}

bool visit_keeps(struct request *request, bool sent)
{
	struct visit *visit = request->visit;

	return visit && pass(visit, VISIT_HELD, sent ? VISIT_DONE : VISIT_AWAY) && sent;
}

bool visit_reclaim(struct visit *visit)
{
	return pass(visit, VISIT_HELD, VISIT_AWAY);
}

void visit_end(struct engine *engine)
{
	if (pass(&engine->visit, VISIT_IDLE, VISIT_AWAY))
		queue_push(&engine->server->replies, engine->visit.token);
}

struct request *visit_wait(struct engine *engine, int timeout_ms)
{
	struct visit *visit = &engine->visit;
	enum queue_event event = queue_poll(&engine->queue, conn_visit_fd(visit->token), timeout_ms);
	struct request *next = NULL;

	if (event == QUEUE_TIMEOUT)
		return NULL;
	if (event == QUEUE_READABLE && conn_visit_read(visit->token, engine, &next))
		return next;
	visit_end(engine);
	return queue_take(&engine->queue);
}
