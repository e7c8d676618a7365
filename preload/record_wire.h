/* SPDX-License-Identifier: MIT */
/*
 * What a recorded program and `panbind record` share: two kinds of memory, and messages.
 *
 * The program writes an event for each call into a ring of its thread, memory that the recorder has mapped as well:
 * what a program has written before it is killed is there. An event is begun before the call, with all that is asked,
 * and finished after it, so that also the call that never came back is known.
 *
 * Events of all threads and processes have one order: each takes the next number of a counter that all share. What ends
 * an object (and with it the meaning of a handle) takes its number before the call, everything else after it, so that
 * a handle which is given out anew always comes after its end. Numbers have no gap but where a program died between
 * taking one and writing it.
 *
 * Messages go over connections that are made for one message and closed again, so that nothing of ours stays open in
 * the program. The recorder listens on an abstract SOCK_SEQPACKET address; PANBIND_RECORD is "ADDRESS:TOKEN".
 */
#ifndef RECORD_WIRE_H
#define RECORD_WIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define RECORD_MAGIC   0x50425243u /* "PBRC" */
#define RECORD_VERSION 2u

/* ---- Memory of all ---- */

/** The recorder's; read and written by all. */
struct record_shared {
	uint32_t magic, version;
	_Atomic uint64_t number __attribute__((aligned(64))); /* the last one that was taken */
	_Atomic uint64_t file;				      /* the last identity that was given to an open file */
	_Atomic uint32_t asleep __attribute__((aligned(64))); /* the recorder does not look by itself: ring the bell */
	_Atomic uint32_t gone;				      /* nothing is recorded any more */
	_Atomic uint64_t missed; /* calls that could not be recorded: no memory, no descriptor */
};

/* ---- A thread's ring ---- */

#define RECORD_RING_SIZE (512u << 10)	 /* of the data, unless one event needs more */
#define RECORD_RING_MAX	 (1024ull << 20) /* a power of two, as all sizes are */

/** Bytes before the data: a page of this kernel's, of which arm64 has some of 4, 16 and 64 KiB. */
static inline size_t record_ring_header(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/** The data are mapped twice, one after the other, so that no event is ever torn. */
struct record_ring {
	uint32_t magic, version;
	uint64_t size;	 /* of the data */
	uint64_t header; /* record_ring_header(), for the program itself */
	/* The program's: positions only grow; where in the data is position % size. */
	_Atomic uint64_t head __attribute__((aligned(64))); /* events before it are finished */
	_Atomic uint32_t begun;				    /* one stands at head and is not */
	_Atomic uint32_t counting;			    /* it may have taken a number that no event shows yet */
	_Atomic uint32_t closed;			    /* nothing more will come */
	/* The recorder's. */
	_Atomic uint64_t tail __attribute__((aligned(64))); /* events before it are read */
	_Atomic uint32_t waiting;			    /* the program waits for room, on a futex here */
};

/* ---- Events ---- */

/** What the members of struct record_event mean depends on it: see there. Ids and handles are the file's own. */
enum record_event_type {
	/* Descriptors: fd, file. */
	RECORD_HELD = 1, /* the fd is there: opened, duplicated, inherited or received */
	RECORD_CLOSED,
	RECORD_SENT, /* on its way to another process */
	RECORD_GOT,  /* and there: HELD follows */
	/* Calls. id, value[0], flags ... */
	RECORD_VM_CREATE,	 /* id; value[0] range asked for, value[1] range given; flags */
	RECORD_VM_DESTROY,	 /* id */
	RECORD_VM_GET_STATE,	 /* id; count_out: the state */
	RECORD_VM_BIND,		 /* id; flags; count ops, sync_count syncs; count_out: ops.count after the call */
	RECORD_BO_CREATE,	 /* id; value[0] size asked for, value[1] size given; flags; other: exclusive VM */
	RECORD_BO_LABEL,	 /* id; count bytes of text */
	RECORD_GEM_CLOSE,	 /* id */
	RECORD_BO_EXPORT,	 /* id; value[0] key of the buffer; flags */
	RECORD_BO_IMPORT,	 /* id; value[0] key, value[1] its size */
	RECORD_SYNCOBJ_CREATE,	 /* id; flags */
	RECORD_SYNCOBJ_DESTROY,	 /* id */
	RECORD_SYNCOBJ_RESET,	 /* count points */
	RECORD_SYNCOBJ_SIGNAL,	 /* count points; flags 1: a timeline's */
	RECORD_SYNCOBJ_WAIT,	 /* count points; flags; value[0] deadline, value[1] 1: a timeline's */
	RECORD_SYNCOBJ_TRANSFER, /* id: from, other: to; value[0], value[1] their points; flags */
	RECORD_SYNCOBJ_EXPORT,	 /* id; flags 1: as a sync file */
	RECORD_SYNCOBJ_IMPORT,	 /* id; flags 1: a sync file's fence */
	/* id: the group; count submissions to queues, as ops are (see record_op), sync_count syncs */
	RECORD_GROUP_SUBMIT,
	RECORD_TYPES,
};

#define RECORD_UNREAD	  (1u << 0) /* the arguments could not be read: what follows from them is 0 */
#define RECORD_CUT	  (1u << 1) /* too many ops: none is here */
#define RECORD_UNFINISHED (1u << 2) /* the call never came back; set by the recorder */

struct record_event {
	uint32_t size; /* with what follows it; a multiple of 8 */
	uint16_t type; /* enum record_event_type */
	uint16_t marks;
	uint64_t number, thread_number; /* in the order of all; 1, 2, 3 ... of the thread */
	int64_t start_ns;		/* CLOCK_MONOTONIC */
	uint64_t duration_ns;
	uint64_t file; /* which open file, however often it was duplicated */
	int32_t tid, fd;
	int32_t err; /* errno of a call that failed, or 0 */
	uint32_t id, other, flags, count, sync_count, count_out, pad;
	uint64_t value[2];
	/* then, by type: count ops and sync_count syncs, or count points, or count bytes */
};
_Static_assert(sizeof(struct record_event) % 8 == 0, "events follow each other at multiples of 8");

/** As the driver's. A submission to a queue: its index is the handle, its stream the range. */
struct record_op {
	uint32_t flags, handle;
	uint64_t bo_offset, va, size;
	uint32_t first_sync, sync_count;
	uint64_t pad;
};
_Static_assert(sizeof(struct record_op) == 48, "as large as the driver's, so that it can be read in place");

struct record_sync {
	uint32_t flags, handle;
	uint64_t point;
};
_Static_assert(sizeof(struct record_sync) == 16, "as large as the driver's");

/** A syncobj and a point of it; 0 where it has none. */
struct record_point {
	uint64_t handle, point;
};

#define RECORD_MAX_OPS (1u << 20)

/* ---- Messages ---- */

enum record_message_type {
	RECORD_HELLO = 1, /* -> answered with the fd of struct record_shared */
	RECORD_RING,	  /* brings the fd of a ring */
	RECORD_WHICH,	  /* which file is this fd of mine? -> answered with RECORD_THAT */
	RECORD_BELL,	  /* look at the rings */
	RECORD_READY,	  /* what this program was started with is told: what ran here before it is gone */
	RECORD_THAT,
};

/** The sender's pid is the socket's business; @image tells one program from the next that the same process runs. */
struct record_message {
	uint32_t type, version;
	uint64_t token, image, file;
	int32_t fd, tid;
};

#endif /* RECORD_WIRE_H */
