/* SPDX-License-Identifier: MIT */
/*
 * What the tests of locks in the kernel box start from: a file, a VM, memory A mapped in it, memory B to map over it,
 * and jobs that tell what the GPU sees there.
 *
 * Some need a driver built with hooks.patch, which can hold an op in its middle.
 */
#ifndef LOCKS_SCENE_H
#define LOCKS_SCENE_H

#include <pthread.h>

#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "raw.h"

#define SCENE_VA   UINT64_C(0x40000000)
#define SCENE_SIZE (16 * RAW_PAGE)
#define STAMP_A	   UINT64_C(0xaaaa0000)
#define STAMP_B	   UINT64_C(0xbbbb0000)

struct scene {
	struct raw *raw;
	uint32_t vm, a, b; /* every page of a BO begins with its stamp and the number of the page */
	struct gpu_job job;
	bool job_open, op_runs;
	struct pb_uapi_vm_bind_op op; /* what op_begin() has begun */
	pthread_t op_thread;
	int op_ret;
};

/* Setup and teardown of a test: *state is a struct scene. The teardown ends all holds and failures too. */
int scene_setup(void **state);
int scene_teardown(void **state);
struct scene *scene_open(void);
void scene_close(struct scene *scene);

/* A synchronous VM_BIND of one op on the scene's VM. */
int scene_map(struct scene *scene, uint32_t bo, uint64_t va);
int scene_unmap(struct scene *scene, uint64_t va);

/** Start a job that stays busy until scene_job_end(). Returns the number of the VM's address space. */
unsigned scene_job_start(struct scene *scene);
/** Let it end. With @va it loads there first. */
void scene_job_end(struct scene *scene, uint64_t va);
/** The job has ended, and well. */
void scene_job_ended(struct scene *scene);

/** What a job finds at @va: fails the test if the job does not end well. */
uint64_t scene_load(struct scene *scene, uint64_t va);
/** Submit a job that loads @va, and return without waiting for it. */
void scene_load_start(struct scene *scene, uint64_t va);
/** Has it ended? */
bool scene_load_ended(struct scene *scene);
/** Wait for it, and what it found. */
uint64_t scene_load_result(struct scene *scene);

/* ---- Driver and GPU ---- */

/** A parameter of the driver, as a number. */
uint64_t driver_parameter(const char *name);
void driver_set_parameter(const char *name, uint64_t value);
/** VMs of users that the driver knows, of whatever process. */
unsigned driver_vms(void);
/** Wait until there are that many: they go some time after their last user. */
void driver_wait_vms(unsigned count);
/** Is anything mapped at exactly this VA, in any VM? */
bool driver_has_mapping(uint64_t va);

/** malisim's "busy". */
void gpu_busy(const char *text);
/** The line of malisim's "state" on this address space; empty if it is off. */
const char *gpu_as_state(unsigned as);
/** Wait until a counter of malisim's is above @than. */
void gpu_wait_stat(const char *name, uint64_t than);
/** Wait until an address space is switched off. */
void gpu_wait_off(unsigned as);

/* The trace since trace_clear(), which fails the test if there is a violation in what it drops. */
void trace_clear(void);
/**
 * Events of this name until the GPU is reset: of an address space, or of all user VMs' if @as is 0. Those about all
 * of an address space are no op's: it is switched on, or off, which an idle GPU does at some time.
 */
unsigned trace_count(const char *name, unsigned as);
/** The address space of the job that began last. */
unsigned trace_last_as(void);
/** Fails the test, and prints it, if the driver asked the GPU for what none should. */
void trace_has_no_violation(void);

/* ---- An op that runs in a thread, held in its middle ---- */

/** Begin to map B over A at SCENE_VA. Returns when the op is in its middle: A is gone, and B is not there. */
void op_begin(struct scene *scene);
/** Let it go on, and wait for its end. Returns what VM_BIND gave. */
int op_end(struct scene *scene);

#endif /* LOCKS_SCENE_H */
