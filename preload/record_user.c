/* SPDX-License-Identifier: MIT */
/*
 * The program's own memory, which may not be there: a call with a bad pointer has to end with EFAULT, not with a
 * signal. So the kernel reads it, as it does for the call itself.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "record.h"

static bool refused(int err)
{
	return err == ENOSYS || err == EPERM;
}

bool user_read(void *to, uint64_t from, size_t size)
{
	static atomic_bool blind; /* a sandbox forbids it: then the program's pointers have to be trusted */
	const struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};

	if (size == 0)
		return true;
	if (!atomic_load_explicit(&blind, memory_order_relaxed)) {
		if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size)
			return true;
		if (!refused(errno))
			return false;
		atomic_store_explicit(&blind, true, memory_order_relaxed);
	}
	if (from < 4096)
		return false;
	memcpy(to, (const void *)(uintptr_t)from, size);
	return true;
}
