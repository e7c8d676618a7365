/* SPDX-License-Identifier: MIT */
/* The syncobjs of one open file of the simulator, from the inside: with fences that the test holds. */
#ifndef SYNCS_H
#define SYNCS_H

#include <stdint.h>

#include "sim_sync.h"

/** Setup and teardown of a test: *state is a struct sim_syncs. */
int syncs_setup(void **state);
int syncs_teardown(void **state);

/** A new syncobj's handle. */
uint32_t syncs_add(struct sim_syncs *syncs, uint32_t flags);
/** Put a fence in, as VM_BIND does: point 0 replaces, another one adds to the timeline. */
void syncs_give(struct sim_syncs *syncs, uint32_t handle, struct sim_fence *fence, uint64_t point);
/** Wait for one point until @deadline (CLOCK_MONOTONIC, ns); poll: not at all. 0 or a negative errno. */
int syncs_wait(struct sim_syncs *syncs, uint32_t handle, uint64_t point, uint32_t flags, int64_t deadline);
int syncs_poll(struct sim_syncs *syncs, uint32_t handle, uint64_t point);
/** The point that has passed. */
uint64_t syncs_query(struct sim_syncs *syncs, uint32_t handle, uint32_t flags);
/** A fd of it, the test's to close. */
int syncs_export(struct sim_syncs *syncs, uint32_t handle, uint32_t flags);

#endif /* SYNCS_H */
