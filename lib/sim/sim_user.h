/* SPDX-License-Identifier: MIT */
/*
 * What belongs to the caller of an ioctl: the memory that arguments point to, read and written as a kernel does (a bad
 * pointer is -EFAULT, never a crash), the fds that they name, and the signals that end its waits.
 *
 * The caller is this process, unless a thread that serves another one says so.
 */
#ifndef SIM_USER_H
#define SIM_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "uapi.h"

/** A caller in another process, as this thread reaches it. Embed it first. */
struct sim_user {
	/** Copy between @local and the caller's memory: 0 or -EFAULT. */
	int (*copy)(struct sim_user *user, bool to_user, void *local, uint64_t address, size_t size);
	/** A duplicate, close-on-exec, of the caller's fd: here, or a negative errno (-EBADF). */
	int (*get_fd)(struct sim_user *user, int fd);
	/** Give the caller a fd, which is consumed: its number there, or a negative errno. */
	int (*put_fd)(struct sim_user *user, int fd, bool cloexec);
	/** A sync file was made: a socket pair, of which the caller will get @theirs. @cookie: by which it is found. */
	void (*name_sync)(struct sim_user *user, int theirs, int ours, uint64_t cookie);
	/** A wait begins: call @wake on any thread when the caller wants it to end. */
	void (*wait_begin)(struct sim_user *user, void (*wake)(void *data), void *data);
	/** It has ended; @wake is not called any more. */
	void (*wait_end)(struct sim_user *user);
	/** Is it that the wait shall end? */
	bool (*interrupted)(struct sim_user *user);
	/** Has the caller CAP_SYS_NICE? */
	bool (*may_nice)(struct sim_user *user);
};

/** From now on this thread serves @user, until NULL. */
void sim_user_set(struct sim_user *user);

/**
 * The fd that an ioctl names, usable in this process, or a negative errno. sim_user_fd_done() when it is not needed any
 * more. For this process's own it is the fd itself, whatever it is, unchecked.
 */
int sim_user_fd(int fd);
void sim_user_fd_done(int fd);
/** Hand out a new fd, which is consumed: its number in the caller, or a negative errno. */
int sim_user_fd_give(int fd, bool cloexec);

void sim_user_name_sync(int theirs, int ours, uint64_t cookie);

/** Around a wait that a caught signal ends; see struct sim_user. In this process nothing needs to be done. */
void sim_user_wait_begin(void (*wake)(void *data), void *data);
void sim_user_wait_end(void);
bool sim_user_interrupted(void);

/**
 * Copy from or to the memory of process @pid: 0, -EFAULT, or -EPERM where that is not allowed, or there is no such
 * process.
 */
int sim_user_move(pid_t pid, bool to_user, void *local, uint64_t address, size_t size);

/** 0 or -EFAULT; on failure @dst holds anything. size 0 succeeds with any pointer. */
int sim_copy_from_user(void *dst, uint64_t user, size_t size);
int sim_copy_to_user(uint64_t user, const void *src, size_t size);

/**
 * Answer a query: write min(user_size, size) bytes and zero what @user has beyond. -EINVAL when user_size < min_size,
 * -EFAULT (driver: panthor_set_uobj()).
 */
int sim_put_object(uint64_t user, uint32_t user_size, uint32_t min_size, const void *object, uint32_t size);

/**
 * Fetch one struct between two ages of a header: what the caller lacks is zero, what it has beyond must be zero
 * (-E2BIG). Also -EFAULT (kernel: copy_struct_from_user()).
 */
int sim_get_struct(void *dst, size_t size, uint64_t user, size_t user_size);

/**
 * Fetch an array of objects of @size bytes from elements of in->stride bytes, of which at least @min_stride count.
 * Zeros fill what is missing; what is beyond must be zero (-E2BIG). count 0: *ret_array = NULL. Also -EINVAL, -ENOMEM,
 * -EFAULT (driver: panthor_get_uobj_array()). The array is the caller's, for free(3).
 */
int sim_get_array(const struct pb_uapi_obj_array *in, uint32_t min_stride, uint32_t size, void **ret_array);

/** Has the caller CAP_SYS_NICE? The other: has process @pid? */
bool sim_user_may_nice(void);
bool sim_user_pid_may_nice(pid_t pid);

#endif /* SIM_USER_H */
