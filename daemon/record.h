/* SPDX-License-Identifier: MIT */
/*
 * Entries that are not one call's: several for a transaction of a script, or the whole state of the device.
 */
#ifndef PBD_RECORD_H
#define PBD_RECORD_H

#include "engine_private.h"

/** A generation as it was before an entry was to raise it. */
struct raised;

/** Some entries that are wanted together. */
struct record {
	struct engine *engine;
	enum panbind_log_durability durability;
	const struct request *request; /* whose entries they are; NULL: the daemon's own */
	bool whole, joined;	       /* whole: all of them or none; nothing else may be recorded meanwhile */
	uint64_t seq;		       /* of the last one */
	size_t appended;
	atomic_size_t answered, recorded;
	struct panbind_error error; /* of the first that failed */
	struct raised *raised;	    /* put back when nothing is recorded */
	size_t raised_count, raised_room;
};

/** Queue one entry. 0 or a negative errno, which is also in record->error. */
int record_append(struct record *record, const struct panbind_log_entry *entry);
/**
 * Wait for all of them. 0 when all are recorded; else a negative errno: generations are then what they were, or, when
 * some entries were recorded all the same, the log is known not to match the device any more: engine->diverged.
 */
int record_finish(struct record *record);

/** Entries that create, again, an object with its name, and fill a VM. @comment says why. */
int record_bo(struct record *record, const char *name, struct panbind_bo *bo, const char *comment);
int record_vm(struct record *record, const char *name, const char *comment);
int record_map(struct record *record, const char *name, const char *comment);
/** Ops on one VM, which are done. */
int record_ops(struct record *record, const struct panbind_log_op *ops, size_t count, const char *comment);
/** Ops that say which ranges of a VM are not known. */
int record_unknown(struct record *record, const char *name, const char *comment);
/** The end of an object: VM_DESTROY or BO_DESTROY. */
int record_end(struct record *record, enum panbind_log_kind kind, const char *name, const char *comment);
/** An entry that says that the mapping of a VM is not known any more. */
int record_loss(struct record *record, const char *name, const char *comment);
/** Log the whole state anew, after a divergence. */
int record_state(struct engine *engine, struct panbind_error *reterr);

#endif /* PBD_RECORD_H */
