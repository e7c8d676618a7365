/* SPDX-License-Identifier: MIT */
/*
 * A backend that plays a declared sequence: what the library must ask, and what it is told.
 *
 * A test declares VM_BIND calls (every one of them: an undeclared one fails the test) and, where they matter, other
 * ioctls. An ioctl that is not the next one declared gets the plain answer of a panthor without a GPU behind it: ids
 * and handles count up, everything succeeds. Nothing is simulated: that is what sim: is for. Here a test says exactly
 * what comes back at which call, also what no driver would do.
 */
#ifndef TEST_FAKE_BACKEND_H
#define TEST_FAKE_BACKEND_H

#include <stdbool.h>

#include "backend.h"
#include "panbind.h"
#include "uapi.h"

/** The op count that comes back is the one that was sent: the call failed before its loop, or succeeded. */
#define FAKE_UNTOUCHED UINT32_MAX

struct fake_call {
	unsigned long request;
	int ret;	    /* 0 or a negative errno */
	const void *reply;  /* not VM_BIND: the argument as it comes back; NULL leaves it to the plain answer */
	const void *expect; /* not VM_BIND: the argument's bytes as they must go in; NULL: anything */
	/* VM_BIND: */
	uint32_t vm_id;			      /* 0: the first one, 1 */
	uint32_t flags, count;		      /* as they must go in */
	uint32_t done;			      /* the op count that comes back */
	const struct pb_uapi_vm_bind_op *ops; /* as they must go in, but for syncs.array; NULL: anything */
	const struct pb_uapi_sync_op *syncs;  /* of all ops, one after the other; NULL: anything */
};

/** One entry of a sequence of VM_BINDs: @n ops go in, the call ends with @r, and @d comes back as the op count. */
#define FAKE_BIND(n, r, d)                                                         \
	{                                                                          \
		.request = PB_IOCTL_VM_BIND, .count = (n), .ret = (r), .done = (d) \
	}

struct fake {
	struct pb_file base;
	int minor;
	const char *driver; /* "panthor" */
	int major;
	const struct fake_call *calls;
	size_t call_count, next;
	uint32_t next_vm, next_handle, next_syncobj;
	uint32_t vm_state;	/* what VM_GET_STATE says */
	uint64_t timeline;	/* what SYNCOBJ_QUERY says */
	uint32_t seen[256];	/* calls by ioctl number */
	uint32_t handles;	/* GEM handles that are open */
	uint32_t import_handle; /* PRIME_FD_TO_HANDLE gives it; 0: a new one */
	bool closed;
	/** When set, VM_BIND is not declared but answered by this. */
	int (*on_bind)(struct fake *fake, struct pb_uapi_vm_bind *bind);
};

/** Start @fake as panthor 1.@minor. The struct is the test's own, and outlives the device. */
void fake_start(struct fake *fake, int minor);
/** The device on it. */
struct panbind_device *fake_device(struct fake *fake);
/** Declare what comes next. The array is the test's own. */
void fake_expect(struct fake *fake, const struct fake_call *calls, size_t count);
#define FAKE_EXPECT(fake, ...)                                               \
	do {                                                                 \
		static const struct fake_call calls_[] = {__VA_ARGS__};      \
		fake_expect(fake, calls_, sizeof(calls_) / sizeof(*calls_)); \
	} while (0)
/** Assert that all of it came. */
void fake_done(struct fake *fake);
/** How often an ioctl came. */
uint32_t fake_seen(const struct fake *fake, unsigned long request);

#endif /* TEST_FAKE_BACKEND_H */
