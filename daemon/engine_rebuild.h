/* SPDX-License-Identifier: MIT */
/*
 * Between engine_rebuild.c (a VM is rebuilt, step by step) and engine_rebuild_state.c (what it is to map).
 */
#ifndef PBD_ENGINE_REBUILD_H
#define PBD_ENGINE_REBUILD_H

#include "engine_state.h"
#include "record.h"

/** A VM that is being rebuilt, or waits for its turn. The old one is held meanwhile, and has its name. */
struct rebuild {
	struct rebuild *next; /* guarded by engine->cancel_lock, as is the next member */
	bool cancelled;	      /* its client is gone */
	struct engine *engine;
	struct request *request;
	struct panbind_vm *old, *fresh;
	struct panbind_state *source, *wanted, *empty;
	struct panbind_state_diff *diff;
	struct panbind_state_run *run; /* NULL: it waits */
	size_t ops, done;	       /* how many it takes; how many are done */
	uint32_t *bo_of_source;	       /* index in wanted + 1, or 0 */
	struct jw lost;
	size_t lost_count;
	uint64_t lost_bytes;
	struct record record;
};

/** What is believed of the old VM, into source. 0, or an rpc code with the refusal in the request. */
int rebuild_read_source(struct rebuild *rebuild);
/** What can be had of it, into wanted, which holds the BOs; the rest is told in lost. 0 or -ENOMEM. */
int rebuild_want_all(struct rebuild *rebuild);

#endif /* PBD_ENGINE_REBUILD_H */
