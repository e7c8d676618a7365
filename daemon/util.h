/* SPDX-License-Identifier: MIT */
/*
 * Cleanup attributes and two macros that every file of the daemon uses.
 */
#ifndef PBD_UTIL_H
#define PBD_UTIL_H

#include <stdlib.h>
#include <unistd.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define autofree  cleanup(freep)
#define autoclose cleanup(closep)

/** Hand over: the variable keeps nothing, so its cleanup does nothing. */
#define take_ptr(p)                     \
	({                              \
		__typeof__(p) t_ = (p); \
		(p) = NULL;             \
		t_;                     \
	})
#define take_fd(fd)            \
	({                     \
		int t_ = (fd); \
		(fd) = -1;     \
		t_;            \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif /* PBD_UTIL_H */
