/* SPDX-License-Identifier: MIT */
/*
 * A client that is alone visits the executor: its next calls are read there, carried out there and answered from there,
 * so that the loop need not wake up at all. Each wake-up may be of a core that sleeps, which takes as long as half a
 * sync of a fast disk.
 *
 * A visit begins with a call that the loop hands over, some calls after the client has begun to be alone. While it
 * lasts the loop leaves the connection's input alone (conn->visit), and counts one call of it as under way: the visit's
 * token, which is the call that is carried out or was answered last. It ends when the token goes back to the loop: as
 * soon as anything else is to be done here, when the client sends what is not one short call to this device, when an
 * answer cannot be sent at once, or when the loop asks for it.
 *
 *   AWAY    there is no visit, or it is over: its token is with the loop, or on its way
 *   HELD    a call is carried out; whoever answers it decides how it goes on
 *   DONE    it is answered
 *   IDLE    the executor waits for the next
 *
 * The loop may end a visit in HELD by itself: then the call is one like others, and a slow one holds up nothing else.
 */
#ifndef PBD_VISIT_H
#define PBD_VISIT_H

#include <stdatomic.h>
#include <stdbool.h>

struct engine;
struct queue;
struct request;

enum visit_state { VISIT_AWAY, VISIT_HELD, VISIT_DONE, VISIT_IDLE };

struct visit {
	_Atomic int state;
	_Atomic unsigned int calls; /* carried out; when it stands still, one of them is slow */
	struct request *token;	    /* the executor's */
};

/* ---- For the executor ---- */

/** This call, if it begins or continues a visit, is carried out now. */
void visit_hold(struct request *request);
/** It was. */
void visit_release(struct visit *visit);
/** Does a client visit, and wait to be heard? */
static inline bool visit_waits(const struct visit *visit)
{
	return atomic_load(&visit->state) == VISIT_IDLE;
}
/**
 * The visitor's next call, or NULL after @timeout_ms (negative: none). When there is something else to do, or the
 * client wants something else, the visit ends, and what is in the queue is returned.
 */
struct request *visit_wait(struct engine *engine, int timeout_ms);
/** Send the token home. */
void visit_end(struct engine *engine);

/* ---- For whoever answers ---- */

/** The call is answered; @sent: whole. True: it stays here. False: it has to go to the loop. */
bool visit_keeps(struct request *request, bool sent);

/* ---- For the loop ---- */

/** End a visit whose call is carried out. False: there is none; the executor is to be asked. */
bool visit_reclaim(struct visit *visit);

#endif /* PBD_VISIT_H */
