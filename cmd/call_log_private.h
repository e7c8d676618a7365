/* SPDX-License-Identifier: MIT */
/* What the files of call_log.h share. call_log.c knows what has which name, call_log_ops.c what was done with it. */
#ifndef CMD_CALL_LOG_PRIVATE_H
#define CMD_CALL_LOG_PRIVATE_H

#include <jansson.h>

#include "call_log.h"
#include "call_objects.h"

struct call_log {
	struct call_log_options options;
	struct call_objects objects;
	json_t *generations; /* name -> how often it was given */
	uint64_t failed;     /* creations, each of which has a name of its own */
	struct panbind_log_op *ops;
	size_t op_room;
};

/* ---- call_log.c ---- */

/** -ENOMEM, and a sentence about it. */
int call_log_no_memory(struct panbind_error *reterr);
/** An entry of this kind that says when, by whom and how well the call was done. */
struct panbind_log_entry call_log_entry(const struct call_log *log, const struct call *call,
					enum panbind_log_kind kind);
/** Hand it on. */
int call_log_emit(struct call_log *log, const struct panbind_log_entry *entry, struct panbind_error *reterr);
/** An object's name and generation; no name for NULL. */
struct panbind_log_ref call_log_ref(const struct call_object *object);
/** Those of what has this id in the call's file, if anything has. */
struct panbind_log_ref call_log_ref_if_known(const struct call_log *log, const struct call *call, enum call_kind kind,
					     uint32_t id);
/**
 * The object that a call names. One that nobody has seen being made is made here, @size bytes large, if that is wanted;
 * else -ENOENT.
 */
int call_log_find(struct call_log *log, const struct call *call, enum call_kind kind, uint32_t id, uint64_t size,
		  struct call_object **ret_object, struct panbind_error *reterr);

/* ---- call_log_ops.c: calls of a type each ---- */

int call_log_bind(struct call_log *log, const struct call *call, struct panbind_error *reterr);
int call_log_submit(struct call_log *log, const struct call *call, struct panbind_error *reterr);
int call_log_sync_call(struct call_log *log, const struct call *call, struct panbind_error *reterr);

#endif /* CMD_CALL_LOG_PRIVATE_H */
