/* SPDX-License-Identifier: MIT */
/* dlsym(RTLD_NEXT) once for each function. Threads that race here find the same address. */
#include "next.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

static const char *const names[NEXT_COUNT] = {
#define NEXT_NAME(name) #name,
	NEXT_FUNCTIONS(NEXT_NAME)
#undef NEXT_NAME
};

static void *_Atomic functions[NEXT_COUNT];

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

void *next_function(enum next_function which)
{
	void *function = atomic_load_explicit(&functions[which], memory_order_relaxed);
	int err;

	if (function)
		return function;
	err = errno;
	function = dlsym(RTLD_NEXT, names[which]);
	errno = err;
	if (!function)
		function = (void *)missing;
	atomic_store_explicit(&functions[which], function, memory_order_relaxed);
	return function;
}

void next_init(void)
{
	for (unsigned int i = 0; i < NEXT_COUNT; i++)
		next_function(i);
}
