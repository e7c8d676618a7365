/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing what ioctl arguments point to, as a kernel does: a bad pointer is -EFAULT, never a crash.
 */
#ifndef SIM_USER_H
#define SIM_USER_H

#include <stddef.h>
#include <stdint.h>

#include "uapi.h"

/** 0 or -EFAULT; on failure @dst holds anything. size 0 succeeds with any pointer. */
int sim_copy_from_user(void *dst, uint64_t user, size_t size);
int sim_copy_to_user(uint64_t user, const void *src, size_t size);

/**
 * Answer a query: write min(user_size, size) bytes and zero what @user has beyond. -EINVAL when user_size < min_size,
 * -EFAULT (driver: panthor_set_uobj()).
 */
int sim_put_object(uint64_t user, uint32_t user_size, uint32_t min_size, const void *object, uint32_t size);

/**
 * Fetch an array of objects of @size bytes from elements of in->stride bytes, of which at least @min_stride count.
 * Zeros fill what is missing; what is beyond must be zero (-E2BIG). count 0: *ret_array = NULL. Also -EINVAL, -ENOMEM,
 * -EFAULT (driver: panthor_get_uobj_array()). The array is the caller's, for free(3).
 */
int sim_get_array(const struct pb_uapi_obj_array *in, uint32_t min_stride, uint32_t size, void **ret_array);

#endif /* SIM_USER_H */
