/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The command stream that malisim's groups run. Shared with user space.
 *
 * A stream is an array of 64-bit instructions at the stream_addr of a queue submission. Those that a driver writes
 * around each job (MOV, CALL, SYNC_ADD64) are Arm's; a job's own ones are made up, because no shader exists that could
 * do the work:
 *
 *	 63    56 55    48 47    40 39    32 31                 0
 *	[ opcode |    a   |    b   |    c   |        value       ]
 *
 * Registers are 32 bits wide, a pair holds 64 bits, low half first. All loads and stores are 64 bits wide and go
 * through the TLB and the page tables of the group's address space, as a GPU's would: they wait while a lock covers the
 *VA, and a fault raises the MMU interrupt and stops the stream. VAs are multiples of 8.
 */
#ifndef MALISIM_JOB_H
#define MALISIM_JOB_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

#define JOB_OP_NOP	    0  /* also what pads a ring buffer */
#define JOB_OP_MOV48	    1  /* pair a = the low 48 bits */
#define JOB_OP_MOV32	    2  /* register a = value */
#define JOB_OP_CALL	    32 /* run the stream at pair b, whose size in bytes is in register c */
#define JOB_OP_FLUSH_CACHES 36
#define JOB_OP_SYNC_ADD64   51 /* add pair c to what is at pair b, and tell the host */

#define JOB_OP_LOAD  0xe0 /* pair a = what is at pair b */
#define JOB_OP_STORE 0xe1 /* what is at pair b = pair a */
#define JOB_OP_POLL  0xe2 /* load what is at pair b again and again until it equals pair a */
#define JOB_OP_RUN   0xe3 /* be busy for value milliseconds */

#define JOB_INSTR(op, a, b, c, value) \
	((uint64_t)(op) << 56 | (uint64_t)(a) << 48 | (uint64_t)(b) << 40 | (uint64_t)(c) << 32 | (uint64_t)(value))

/* the most that one of the functions below appends */
#define JOB_STEP_MAX 4

/*
 * Append a step to a stream. @at points to room for JOB_STEP_MAX instructions; each returns where the next goes.
 * Registers 0 to 5 are used. 64-bit constants have 48 bits (MOV48), VAs as well as values.
 */
static inline uint64_t *job_mov48(uint64_t *at, unsigned int pair, uint64_t value)
{
	*at++ = (uint64_t)JOB_OP_MOV48 << 56 | (uint64_t)pair << 48 | (value & 0xffffffffffffull);
	return at;
}

/* Load what is at @va and store it at @result. */
static inline uint64_t *job_load(uint64_t *at, uint64_t va, uint64_t result)
{
	at = job_mov48(at, 0, va);
	*at++ = JOB_INSTR(JOB_OP_LOAD, 4, 0, 0, 0);
	at = job_mov48(at, 2, result);
	*at++ = JOB_INSTR(JOB_OP_STORE, 4, 2, 0, 0);
	return at;
}

/* Store @value (48 bits) at @va. Also how a job signals: user space waits for the value. */
static inline uint64_t *job_store(uint64_t *at, uint64_t va, uint64_t value)
{
	at = job_mov48(at, 0, va);
	at = job_mov48(at, 4, value);
	*at++ = JOB_INSTR(JOB_OP_STORE, 4, 0, 0, 0);
	return at;
}

/* Wait until @va holds @value (48 bits). Each of malisim's AS register events makes it load too. */
static inline uint64_t *job_poll(uint64_t *at, uint64_t va, uint64_t value)
{
	at = job_mov48(at, 0, va);
	at = job_mov48(at, 4, value);
	*at++ = JOB_INSTR(JOB_OP_POLL, 4, 0, 0, 0);
	return at;
}

/* Stay busy for @ms milliseconds. The driver ends a job after 5 s. */
static inline uint64_t *job_run(uint64_t *at, uint32_t ms)
{
	*at++ = JOB_INSTR(JOB_OP_RUN, 0, 0, 0, ms);
	return at;
}

#endif
