/* SPDX-License-Identifier: MIT */
/*
 * The functions behind ours: what the program would have called, in libc or in another preloaded library.
 *
 * NEXT(open)(path, flags) calls the next open(). All are looked up when the library is loaded; a call that comes even
 * earlier, from another library's constructor, looks its own one up.
 */
#ifndef PRELOAD_NEXT_H
#define PRELOAD_NEXT_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/types.h>

/* Every function that we call on. */
#define NEXT_FUNCTIONS(X)   \
	X(openat)           \
	X(__open_2)         \
	X(__open64_2)       \
	X(__openat_2)       \
	X(__openat64_2)     \
	X(close)            \
	X(closefrom)        \
	X(close_range)      \
	X(dup)              \
	X(dup2)             \
	X(dup3)             \
	X(fcntl)            \
	X(fcntl64)          \
	X(ioctl)            \
	X(mmap)             \
	X(recvmsg)          \
	X(recvmmsg)         \
	X(sendmsg)          \
	X(sendmmsg)         \
	X(pidfd_getfd)      \
	X(fstat)            \
	X(fstatat)          \
	X(statx)            \
	X(access)           \
	X(faccessat)        \
	X(eaccess)          \
	X(readlinkat)       \
	X(__readlink_chk)   \
	X(__readlinkat_chk) \
	X(realpath)         \
	X(__realpath_chk)   \
	X(opendir)          \
	X(scandir)          \
	X(scandir64)        \
	X(fopen)            \
	X(fopen64)          \
	X(glob)             \
	X(glob64)

/* What fortified programs call; no header has them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
ssize_t __readlink_chk(const char *path, char *text, size_t size, size_t room);
ssize_t __readlinkat_chk(int dir, const char *path, char *text, size_t size, size_t room);
char *__realpath_chk(const char *path, char *resolved, size_t room);

enum next_function {
#define NEXT_ENUM(name) NEXT_##name,
	NEXT_FUNCTIONS(NEXT_ENUM)
#undef NEXT_ENUM
		NEXT_COUNT
};

/** Address of the next function; of one that fails with ENOSYS when this libc has none. Keeps errno. */
void *next_function(enum next_function which);
/** Look all of them up. */
void next_init(void);

#define NEXT(name) ((__typeof__(&name))next_function(NEXT_##name))

#endif /* PRELOAD_NEXT_H */
