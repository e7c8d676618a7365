/* SPDX-License-Identifier: MIT */
/*
 * One device, the thread that works on it, and the log of what it did.
 *
 * The contract
 *
 *  - One thread, the executor, touches the device, its session and everything else in struct engine that is not marked
 *    otherwise. Calls reach it through a queue, in order, and are carried out in that order.
 *  - A call that changes something goes: transaction -> log -> answer. The log's own thread syncs many entries at once
 *    while the executor goes on; the answer leaves when the entry is as durable as was asked.
 *  - What was done and is not yet on disk can be taken back. The engine keeps it as a unit, oldest first. When the log
 *    fails, it fails for the newest units together; they are undone, newest first, and each call is told that nothing
 *    remains of it. If an undo fails, it is told that, and the VM is poisoned.
 *  - Destruction cannot be taken back, so its order is log -> destruction -> answer; the name goes at once.
 *  - While the log refuses, no call that would need it is begun.
 *  - Names stand for the newest object that had them; what the log calls a generation counts them.
 */
#ifndef PBD_ENGINE_H
#define PBD_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "methods.h"
#include "panbind-log.h"

struct conn;

struct engine_options {
	const char *name, *spec;
	const char *log_path; /* NULL: no log */
	uint64_t log_size_cap;
	bool restore, assume_atomic;
};

/** Open the device and the log, restore if asked. A failure has been said. */
int engine_open(const struct engine_options *options, struct engine **ret_engine);
/** Start the executor. Its answers go to @server. */
int engine_start(struct engine *engine, struct server *server);
/** Finish all calls that were submitted, wait for the log, end the executor. */
void engine_stop(struct engine *engine);
void engine_close(struct engine *engine);

/* ---- For the loop thread ---- */

/** Have a call ready for engine_submit(). */
void engine_stage(struct engine *engine, struct request *request);
/** Hand over what was staged. */
void engine_submit(struct engine *engine);
/** Have the executor look around: whoever visits it goes. */
void engine_poke(struct engine *engine);
const char *engine_name(const struct engine *engine);
/** The log, or NULL. Its readers belong to whoever opens them. */
struct panbind_log *engine_log(struct engine *engine);
/** Members that describe the device, for the greeting and device.info. */
void engine_describe(const struct engine *engine, struct jw *jw);
/** The client of this connection is gone: if a script of it runs, or a rebuild, end that soon. */
void engine_cancel(struct engine *engine, const struct conn *conn);
/** The daemon is to end: calls are finished, but for rebuilds, which may take long and have changed nothing yet. */
void engine_wind_down(struct engine *engine);
/** Readable when a program has ended whose VMs are here; engine_note_end() then sees to it. */
int engine_ends_fd(const struct engine *engine);
void engine_note_end(struct engine *engine);
/** Poke the server after each commit, or no longer: somebody monitors. */
void engine_watch(struct engine *engine, bool watch);

/* ---- Methods ---- */

device_method engine_device_info, engine_vm_create, engine_vm_destroy, engine_vm_list, engine_vm_show, engine_vm_state,
	engine_bo_create, engine_bo_destroy, engine_bo_list, engine_bo_read, engine_bo_write, engine_bind_map,
	engine_bind_unmap, engine_sparse_reserve, engine_sparse_bind, engine_sparse_unbind, engine_sparse_release,
	engine_txn_run, engine_txn_status, engine_script_run, engine_state_dump, engine_state_plan, engine_replay_run,
	engine_vm_ensure, engine_bo_ensure, engine_bind_ensure, engine_vm_rebuild, engine_vm_verify, engine_state_diff,
	engine_state_apply, engine_state_undo, engine_vm_adopt, engine_vm_drop;

#endif /* PBD_ENGINE_H */
