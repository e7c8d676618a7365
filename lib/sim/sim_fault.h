/* SPDX-License-Identifier: MIT */
/*
 * Fault plans: failures that are asked for, at a place that is said.
 *
 *   fault=ITEM, as often as wanted. ITEM is one of
 *
 *   NAME#N=ERRNO              The N-th ioctl of that name on this device, counted from 1, fails before it does
 * anything; its argument stays as it was. NAME is VM_BIND, VM_CREATE, VM_DESTROY, VM_GET_STATE, BO_CREATE,
 * BO_MMAP_OFFSET, BO_SET_LABEL, BO_SYNC, BO_QUERY_INFO, DEV_QUERY, SET_USER_MMIO_OFFSET, VERSION, GET_CAP, GEM_CLOSE,
 * PRIME_HANDLE_TO_FD, PRIME_FD_TO_HANDLE, or SYNCOBJ_CREATE, SYNCOBJ_WAIT and so on. NAME#*=ERRNO              Every
 * one does. VM_BIND#N:op=I:ERRNO      The op at index I, counted from 0, of the N-th VM_BIND fails as if while it was
 * being prepared: the ops before it are done, nothing of it is. A synchronous bind returns the errno with ops.count I;
 * an asynchronous one fails when it runs: the errno is in its fence, and the VM is unusable. VM_BIND#*:op=I:ERRNO The
 * same for every VM_BIND that has an op I. op=I:ERRNO                The same for the first VM_BIND that gets to an op
 * I.
 *   ...:mid                   After an op form: the op fails in the middle. What was mapped in its range is gone, and
 *                             what it was to map is not there. From driver 1.7 on this makes the VM unusable.
 *
 * ERRNO is a name such as ENOMEM. Each item happens once, except with `*`.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_fault {
	struct sim_fault *next;
	int row;      /* of the ioctl table; -1: any VM_BIND */
	uint64_t nth; /* 0: every one */
	bool is_op;   /* of the op at `index` */
	bool mid;
	uint32_t index;
	int error; /* negative errno */
	bool spent;
};

/** The plan of one device. */
struct sim_faults {
	pthread_mutex_t lock;
	struct sim_fault *items, **tail;
	_Atomic uint64_t *counts; /* ioctls so far, by row */
	atomic_bool any;	  /* is there a plan at all? */
};

/** Parse one ITEM of @length bytes. 0; -EINVAL with *ret_at the offset of what is wrong in @text; -ENOMEM. */
int sim_fault_parse(const char *text, size_t length, struct sim_fault **ret_fault, size_t *ret_at);
void sim_fault_free_list(struct sim_fault *fault);

int sim_faults_init(struct sim_faults *faults);
void sim_faults_fini(struct sim_faults *faults);
/** Take over a list. */
void sim_faults_add(struct sim_faults *faults, struct sim_fault *list);

/** An ioctl of this row begins. @ret_ordinal: which it is. Returns the errno it is to fail with, or 0. */
int sim_faults_enter(struct sim_faults *faults, int row, uint64_t *ret_ordinal);
/** The op at @index of the VM_BIND with this ordinal is up: the errno it is to fail with, or 0. */
int sim_faults_op(struct sim_faults *faults, uint64_t ordinal, uint32_t index, bool *ret_mid);

#endif /* SIM_FAULT_H */
