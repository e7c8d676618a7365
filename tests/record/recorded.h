/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a recording in one test program, without a driver: children of it make calls through the hooks, as the
 * preload library would, and what the recorder hands on is counted and compared.
 */
#ifndef TESTS_RECORD_RECORDED_H
#define TESTS_RECORD_RECORDED_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "record.h"
#include "recorder.h"
#include "uapi.h"

#define MOST_STREAMS 64

/** What one thread did, as far as it was told of. */
struct stream {
	pid_t pid;
	int32_t tid;
	uint64_t last; /* thread_number */
	uint64_t calls;
};

struct outcome {
	struct stream streams[MOST_STREAMS];
	size_t stream_count;
	uint64_t binds, ops, syncs, unfinished, out_of_order, last_number, over, wrong;
	uint64_t stop_after;	  /* binds, after which the sink refuses */
	bool vms[64];		  /* by id: alive */
	uint64_t used_dead, file; /* calls on VMs that are not alive; the last call's file */
	struct timespec nap;	  /* for each event: a recorder that does not keep up */
};

/**
 * From now on, in this process, system call @number does nothing: -1 and @err, or 0 as if it had. Not where filters are
 * unknown: false.
 */
bool pretend(long number, int err);

/** What is done to a program's process before it starts to record; NULL: nothing. */
extern void (*recorded_world)(void);

/** How many binds a program has made; shared with it. For the group's setup: recorded_setup(). */
extern _Atomic uint64_t *done;
int recorded_setup(void **state);

/** What an op's bo_offset has to be. */
uint64_t pattern(uint64_t va, uint32_t op);

/** A recorder_sink whose data is a struct outcome. */
int take(void *data, const struct record_process *process, const struct record_file *file,
	 const struct record_event *event);
int tend(void *data);

/** Run @program in a child, record it, and return what waitpid() says of it. All that is recorded has to be in order.
 */
int record(void (*program)(void), struct outcome *out, struct recorder_summary *ret_summary);

/** As record(), for any sink, that refuses with @expected or does not; nothing is said of what it is given. */
int record_with(const struct recorder_sink *sink, void (*program)(void), int expected,
		struct recorder_summary *ret_summary);

/* ---- For programs ---- */

/** Any open file will do: no ioctl reaches it. */
int open_node(void);
void fake_ioctl(int fd, unsigned long request, void *arg);
void make_vm(int fd, uint32_t id);
void end_vm(int fd, uint32_t id);
/** A bind of @count ops with @syncs each. */
void bind_ops(int fd, uint32_t vm, uint64_t va, uint32_t count, uint32_t syncs);

#endif /* TESTS_RECORD_RECORDED_H */
