/* SPDX-License-Identifier: MIT */
/*
 * The functions behind ours: what the program would have called, in libc or in another preloaded library.
 *
 * NEXT(open)(path, flags) calls the next open(). All are looked up when the library is loaded; a call that comes even
 * earlier, from another library's constructor, looks its own one up.
 */
#ifndef PRELOAD_NEXT_H
#define PRELOAD_NEXT_H

/* Every function that we stand in for. wrap_*.c define them; libpanbind-preload.map exports them. */
#define NEXT_FUNCTIONS(X) \
	X(open)           \
	X(open64)         \
	X(openat)         \
	X(openat64)       \
	X(__open_2)       \
	X(__open64_2)     \
	X(__openat_2)     \
	X(__openat64_2)   \
	X(close)          \
	X(closefrom)      \
	X(close_range)    \
	X(dup)            \
	X(dup2)           \
	X(dup3)           \
	X(fcntl)          \
	X(fcntl64)        \
	X(ioctl)          \
	X(mmap)           \
	X(mmap64)         \
	X(recvmsg)        \
	X(recvmmsg)       \
	X(fstat)

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
