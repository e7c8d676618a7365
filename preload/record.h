/* SPDX-License-Identifier: MIT */
/*
 * What the files of the recorder's side in the program share. record.c answers the hooks, record_ioctl.c knows the
 * calls, record_ring.c writes events, record_file.c knows which fd is which open file, record_link.c talks to the
 * recorder.
 *
 * All of it may run in a signal handler, also in one that interrupts itself: no locks, no allocation but mmap().
 * Whatever fails, the program goes on.
 */
#ifndef PRELOAD_RECORD_H
#define PRELOAD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "hooks.h"
#include "record_wire.h"

/* ---- record_link.c: where nobody is there to listen, record_give_up() ---- */

/** Ask whoever listens at "ADDRESS:TOKEN" for the shared memory. NULL: nobody does. */
struct record_shared *link_start(const char *where);
/** Hand over a ring. */
bool link_ring(int ring, uint64_t image, int tid);
/** Which open file is this fd? 0: no answer. */
uint64_t link_which(int fd, uint64_t image);
/** This program has told what it was started with. */
void link_ready(uint64_t image);
/** Wake the recorder. */
void link_bell(uint64_t image);

/* ---- record.c ---- */

/** NULL: nothing is recorded, or no more. */
struct record_shared *record_shared(void);
/** Tells the programs that a process was, and its forks, from each other. Never 0. */
uint64_t record_image(void);
/** The process's, or that of the one whose memory it shares. */
pid_t record_pid(void);
/** The recorder died without a word, or cannot be reached any more. */
void record_give_up(void);

/* ---- record_ring.c: an event under way. A signal handler's begin and end between another call's. ---- */

/**
 * Room for an event of @size bytes in the ring of this thread, zeroed up to the end of struct record_event and with its
 * time; waits while the ring is full. NULL: it cannot be recorded. Until ring_begin() or ring_drop() more room may be
 * asked for, which may be elsewhere: fill it again.
 */
struct record_event *ring_room(size_t size);
/** From here on it will be known, whatever happens. @counted: it takes its number now. */
void ring_begin(struct record_event *event, bool counted);
/** It is finished: publish it. */
void ring_end(struct record_event *event, bool counted);
/** Forget it. */
void ring_drop(void);
/** A call that is not recorded though it should be. */
void ring_missed(void);
/** Once, before threads use rings. */
void ring_start(void);

/* ---- record_file.c ---- */

/** The open file that @fd is; finds out if need be. */
uint64_t file_of(int fd);
void file_opened(int fd);
void file_duplicated(int from, int to);
void file_received(int fd);
void file_sending(int fd);
void file_closing_range(unsigned int first, unsigned int last);
/** All nodes that the program got when it started. */
void file_scan(void);
/** All that is known is held by this process, too. */
void file_inherited(void);

/* ---- record_user.c ---- */

/** Copy from the program's memory; false where the kernel could not either. */
bool user_read(void *to, uint64_t from, size_t size);
/**
 * Copy @count pieces, of the same sizes there and here, with two system calls at most where the kernel lets us. Returns
 * how many bytes came, in order: less than all from the first piece on that could not be read whole. The first is what
 * the program points to; those behind it may be guesses, which hurt nobody where nothing is.
 */
size_t user_gather(const struct iovec *to, const struct iovec *from, size_t count);
/** It is on the calling thread's stack: to read it is certain, and costs no system call. */
bool user_is_near(uint64_t from, size_t size);

/* ---- record_ioctl.c ---- */

/** It is of interest. */
bool ioctl_is_recorded(unsigned long request);
/** Begin an event for the call. NULL: it is of no interest, or cannot be recorded. */
struct record_event *ioctl_before(struct record_call *call);
void ioctl_after(struct record_call *call, int ret, int err);

#endif /* PRELOAD_RECORD_H */
