/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the engine: engine.c (the thread), unit.c (what is done and not yet recorded), engine_txn.c
 * (what comes twice), engine_bind.c, engine_object.c, engine_script.c, engine_replay.c (methods).
 */
#ifndef PBD_ENGINE_PRIVATE_H
#define PBD_ENGINE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine.h"
#include "queue.h"
#include "registry.h"
#include "request.h"
#include "visit.h"

struct adopted;
struct planning;
struct rebuild;
struct running;

enum unit_kind {
	UNIT_NOTHING, /* only a record: a failure, or a repetition */
	UNIT_BIND,
	UNIT_VM_CREATE,
	UNIT_BO_CREATE,
	UNIT_VM_DESTROY,
	UNIT_BO_DESTROY,
};

enum unit_state { UNIT_PENDING, UNIT_RECORDED, UNIT_REFUSED };

/** Something done, or to be done, whose entry in the log is under way. */
struct unit {
	struct unit *newer;
	struct engine *engine;
	enum unit_kind kind;
	_Atomic int state; /* enum unit_state; set by the log's thread, after which that leaves the unit alone */
	int refusal;	   /* negative errno, when refused */
	uint64_t seq;
	struct request *request; /* to be answered with it; NULL: nobody waits */
	struct panbind_txn *txn; /* BIND: detached */
	struct panbind_vm *vm;	 /* VM_DESTROY: held here, without its name */
	struct panbind_bo *bo;
	char *exclusive_vm; /* BO_DESTROY: for putting it back */
	char *name;	    /* of what was created or destroyed */
};

struct engine {
	char *name, *spec;
	struct panbind_device *device;
	struct panbind_device_info info; /* constant */
	struct panbind_session *session;
	struct registry registry;
	struct panbind_log *log; /* NULL: none is kept */
	struct panbind_batch *batch;
	struct panbind_log_op *ops; /* room for an entry's */
	size_t op_room;
	struct panbind_vm **touched; /* room for the VMs of an entry */
	size_t touched_room;

	struct unit *oldest, **newest; /* units, in the order of the log */
	atomic_bool refused;	       /* set by the log's thread: some unit was */
	bool diverged;		       /* the log no longer tells what the device maps */
	struct running *running;       /* the script that runs; NULL: none */
	struct planning *planning;     /* the plan that is made; NULL: none */
	struct flight *flights;	       /* VMs with asynchronous binds, or lost by one */
	uint64_t next_look_ns;	       /* at those in flight; 0: there are none */
	struct adopted *adopted;       /* VMs of programs */
	int ends_fd;		       /* an epoll of those programs' pidfds, for the loop to wait on */
	atomic_bool winding_down;      /* what takes long and has changed nothing yet is to end */
	pthread_mutex_t cancel_lock;   /* guards what follows */
	struct rebuild *rebuilds;      /* VMs that are rebuilt, one after the other; changed by the executor alone */
	const struct conn *script_of;  /* whose script or replay runs; compared, never followed */
	bool cancelled;		       /* and that client is gone */

	pthread_t thread;
	bool started;
	atomic_bool stopping;
	atomic_bool watched; /* see engine_watch() */
	struct queue queue;
	struct visit visit;
	struct server *server;

	struct request *staged, **staged_tail; /* the loop thread's */
};

/** From here on a client that goes away takes what runs with it; NULL: no longer. */
void engine_set_script_of(struct engine *engine, const struct conn *conn);
/** Is the client of what runs gone, or the daemon stopping? */
bool engine_is_cancelled(struct engine *engine);
/** Answer a call now. */
void engine_answer(struct engine *engine, struct request *request);
/** 0, or the refusal in request->error: the log would not take an entry. */
int engine_check_log(struct engine *engine, struct request *request);

/** An entry about @request: who, when, what for. */
void engine_fill_entry(const struct request *request, enum panbind_log_kind kind, struct panbind_log_entry *entry);
/** The entry says how it ended. */
void engine_fill_failure(struct panbind_log_entry *entry, const struct panbind_error *error,
			 enum panbind_outcome outcome);
/** The same in the words of an answer. */
enum applied engine_applied(enum panbind_outcome outcome);
/** The call's if_generation, if it has one, holds for this VM: 0, or RPC_STALE with the refusal. */
int engine_check_generation(struct engine *engine, struct request *request, const char *vm);
/** The mapping of this VM was changed last by that entry of the log. */
void engine_note_change(struct engine *engine, const char *vm, uint64_t seq);
/** Create a VM, also when those that wait for the log before they go take up the driver's last place. */
int engine_make_vm(struct engine *engine, uint64_t va_range, struct panbind_vm **ret_vm, struct panbind_error *reterr);
/** Room in engine->touched. 0 or -ENOMEM. */
int engine_make_touched_room(struct engine *engine, size_t count);
/** Room in engine->ops. 0 or -ENOMEM. */
int engine_make_op_room(struct engine *engine, size_t count);
uint64_t now_ns(void);
/** The member "flags" of a mapping. */
void engine_write_map_flags(struct jw *out, uint32_t flags);
const char *engine_tristate_name(enum panbind_tristate value);

/** The VM or BO of that name, or NULL with the refusal in request->error. */
struct panbind_vm *engine_find_vm(struct engine *engine, struct request *request, const char *name,
				  const char *pointer);
struct panbind_bo *engine_find_bo(struct engine *engine, struct request *request, const char *name,
				  const char *pointer);

/* ---- unit.c ---- */

/** A unit that is not yet queued. NULL: out of memory. */
struct unit *unit_new(struct engine *engine, enum unit_kind kind, const char *name);
/** Free a unit that was never recorded; what it holds goes with it. */
void unit_free(struct unit *unit);
/**
 * Record what @unit has done, or will do, and answer @request when that is on disk: the "result" object of its answer
 * is open, and gets the sequence number and its end here; or request->error is set. The unit is taken in any case.
 * Without a log it is settled at once. When the log refuses the entry at once, the unit is undone and request->error
 * says so. Returns METHOD_PENDING, or the error's code when the call is still the caller's to answer.
 */
int unit_record(struct unit *unit, struct request *request, const struct panbind_log_entry *entry);
/** End units whose entries are recorded; undo those whose entries were refused. */
void units_settle(struct engine *engine);
/** Wait for the log, then settle all. */
void units_drain(struct engine *engine);

/* ---- engine_txn.c ---- */

/** Has a call of this txn_id been carried out before? Then its first outcome, or a refusal, is the answer. */
bool engine_is_repetition(struct engine *engine, struct request *request);
/**
 * The call is refused (request->error) and has left no entry: with a txn_id it gets one, so that it stays refused.
 * Returns METHOD_PENDING, or the error's code when the call is still the caller's to answer.
 */
int engine_remember_refusal(struct engine *engine, struct request *request);
/** The same for a call that found nothing to destroy and may; the "result" object of its answer is open. */
int engine_remember_nothing(struct engine *engine, struct request *request, const char *message);

/* ---- engine_flight.c ---- */

/** Entry @seq is an asynchronous bind of this VM. */
void flight_note(struct engine *engine, const char *vm, uint64_t seq);
/** Look at those in flight, if it is time: a VM that the driver gave up is recorded as lost. */
void flights_look(struct engine *engine);
/** How long the executor may sleep, or -1. */
int flights_patience_ms(const struct engine *engine);
/** The entry that says that the VM of this name is lost, or 0. */
uint64_t flight_lost_seq(const struct engine *engine, const char *vm);
void flights_free(struct engine *engine);

/* ---- engine_rebuild.c ---- */

/** One step of the rebuild whose turn it is. */
void rebuilds_go_on(struct engine *engine);
/** 0, or the refusal of what would change a VM that is being rebuilt. */
int rebuilds_refuse(struct engine *engine, struct request *request);
/** The member of a VM's description that says how far its rebuild is, if there is one. */
void rebuilds_write(const struct engine *engine, struct jw *out, const char *vm);
/** With the cancel_lock held: this client is gone. */
void rebuilds_cancel(struct engine *engine, const struct conn *conn);

/* ---- adoption.c, engine_adopt.c: VMs of programs ---- */

/** Let go of VMs whose program has ended. */
void adoptions_look(struct engine *engine);
/** The executor ends: let go of all of them. */
void adoptions_end(struct engine *engine);
void adoptions_free(struct engine *engine);
/** Look at what @request is about: the programs bind by themselves, too. */
void adoptions_refresh(struct engine *engine, const struct request *request);
/** From here on ops may displace what is not known, or no longer. */
void adoptions_force(struct engine *engine, bool force);
/** Members of a VM's description, when it is a program's. */
void engine_write_program(struct engine *engine, struct jw *out, const char *name);
/** 0, or the refusal of what cannot be done to a program's VM. */
int engine_refuse_adopted(struct engine *engine, struct request *request, const char *name);

/* ---- engine_replay.c ---- */

/** Rebuild what the engine's own log implies. */
int engine_restore(struct engine *engine);

/* ---- engine_fenced.c ---- */

/** Ops whose names stand for something, in one asynchronous VM_BIND. Returns as a method. */
int engine_bind_fenced(struct engine *engine, struct request *request, const struct call_op *ops, size_t count);

/* ---- engine_script.c, engine_script_record.c ---- */

/** A wait or a signal of the whole comes with `fenced` only. 0, or the error's code. */
int engine_check_fence(struct request *request);

panbind_event_fn engine_on_event;
panbind_record_fn engine_on_record;

#endif /* PBD_ENGINE_PRIVATE_H */
