/* SPDX-License-Identifier: MIT */
/*
 * What the files of the replay share. replay.c walks the log, replay_make.c makes and ends objects and rebuilds the
 * snapshot, replay_bind.c repeats entries, replay_order.c says in which order, replay_async.c repeats asynchronous
 * ones, replay_compare.c compares and tells.
 */
#ifndef PB_LOG_REPLAY_H
#define PB_LOG_REPLAY_H

#include <errno.h>

#include "log.h"

/** Where an op of the batch comes from. */
struct pb_batch_origin {
	uint64_t seq;
	uint32_t index;
};

struct pb_replay {
	struct panbind_device *device;
	struct panbind_log_replay_options options;
	struct panbind_log_replay_result result;
	sqlite3 *db;
	struct pb_objects objects; /* their handles are what was made */
	struct pb_fold fold;	   /* what the log implies; kept up only for verify */
	struct pb_snapshot_place place;
	uint64_t until_seq;
	int64_t only; /* VM, or 0 */
	struct panbind_batch *batch, *single;
	struct pb_batch_origin *origins; /* of each op of the batch */
	size_t origin_room;
	struct pb_batch_place *places; /* replay_order.c's, and the origins that the next order will have */
	struct pb_batch_origin *other_origins;
	size_t place_room;
	int64_t batch_vm;		     /* of the batch, while it holds something */
	uint64_t failed_seq;		     /* the entry that failed last: the rest of it is left out */
	struct pb_replay_syncobj **syncobjs; /* by name, in order of their first use */
	size_t syncobj_count, syncobj_room;
	int64_t next_progress_ns;
};

/* ---- replay.c ---- */

/** Tell the caller how far it is, about ten times a second. What it returns ends the replay when it is not 0. */
int pb_replay_progress(struct pb_replay *replay, bool now);

/* ---- replay_make.c: 0, or a negative errno that ends the replay ---- */

int pb_replay_snapshot(struct pb_replay *replay);
/** Repeat an entry about an object, or a start. */
int pb_replay_object(struct pb_replay *replay, const struct pb_row *row);
/** The VM of an id, or NULL when ops on it cannot be repeated at entry @seq. */
struct panbind_vm *pb_replay_vm(struct pb_replay *replay, int64_t id, uint64_t seq);
/** The BO of an id, made now if it was not needed before; NULL when there is none. */
struct panbind_bo *pb_replay_bo(struct pb_replay *replay, int64_t id, uint64_t seq);
/** Hand what is alive to the caller, destroy the rest. */
int pb_replay_adopt(struct pb_replay *replay);
void pb_replay_destroy_all(struct pb_replay *replay);

/* ---- replay_bind.c ---- */

/** Repeat the ops of an entry from @first_op on. What was applied may wait in the batch: see pb_replay_settle(). */
int pb_replay_bind(struct pb_replay *replay, const struct pb_row *row, uint32_t first_op);
/** Add an op of entry @seq to the batch, which holds ops of one VM. */
int pb_replay_add_op(struct pb_replay *replay, uint64_t seq, const struct pb_row_op *op, struct panbind_bo *bo,
		     struct panbind_error *reterr);
/** Bind what waits in the batch, tell what fails. */
int pb_replay_settle(struct pb_replay *replay);
/** Add a copy of @op to another batch. */
int pb_replay_copy_op(struct panbind_batch *batch, const struct panbind_op *op, struct panbind_error *reterr);
/** Tell when the end of an entry is not the recorded one. */
void pb_replay_compare_failure(struct pb_replay *replay, const struct panbind_log_entry *entry,
			       const struct panbind_error *got);

/** Memory that ran out here ends the replay; memory that ran out in the driver is an end like another. */
static inline bool pb_ran_out_here(int err, const struct panbind_error *error)
{
	return err == -ENOMEM && error->stage != PANBIND_STAGE_SUBMIT;
}

static inline bool pb_is_sparse_op(uint8_t type)
{
	return type >= PANBIND_LOG_SPARSE_RESERVE && type <= PANBIND_LOG_SPARSE_RELEASE;
}

/* ---- replay_async.c ---- */

/** Repeat an asynchronous bind, applied or failed, from @first_op on. */
int pb_replay_async(struct pb_replay *replay, const struct pb_row *row, uint32_t first_op);
/** Wait until the asynchronous binds of the VM @id, or of all, are over; tell of a VM that did not survive them. */
int pb_replay_wait(struct pb_replay *replay, int64_t id);
int pb_replay_wait_all(struct pb_replay *replay);
void pb_replay_free_syncobjs(struct pb_replay *replay);

/* ---- replay_order.c: change the batch and the origins together. 0 or -ENOMEM. ---- */

/** Along the address space, as far as that comes to the same. */
int pb_replay_order_by_va(struct pb_replay *replay);
/** Keep the ops from @first on, but for those of entry @without_seq (0: all), in the order of the log. */
int pb_replay_order_by_entry(struct pb_replay *replay, size_t first, uint64_t without_seq);

/* ---- replay_compare.c ---- */

/** Tell of an end of entry @seq that is not the recorded one. */
void pb_replay_tell_result(struct pb_replay *replay, uint64_t seq, int64_t vm, const struct panbind_error *recorded,
			   const struct panbind_error *got);
void pb_replay_tell_object(struct pb_replay *replay, uint64_t seq, const struct pb_object *object,
			   const struct panbind_error *got);
/** Compare the live mapping of the ranges that the entry's ops touched with the fold. */
void pb_replay_compare_touched(struct pb_replay *replay, const struct pb_row *row);
/** Compare all of every VM. */
void pb_replay_compare_all(struct pb_replay *replay);

#endif /* PB_LOG_REPLAY_H */
