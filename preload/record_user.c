/* SPDX-License-Identifier: MIT */
/*
 * The program's own memory, which may not be there: a call with a bad pointer has to end with EFAULT, not with a
 * signal. So the kernel is asked, in the cheapest way that answers:
 *
 * - not at all on the stack of the thread that calls, above where it stands. Nobody can take that away without ending
 *   the thread, and it is where most programs have what they pass;
 * - whether a page can be read, when there are one or two of them, which are then read here. What another thread takes
 *   away in between, the program's own call could not have read either, as that comes later;
 * - else to read all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "record.h"

#define PIPE_ROOM 4096 /* what a pipe always has room for */

/* ---- The stack ---- */

/* Also right in a forked child: it has a copy of it in the same place. */
static __thread struct {
	bool sought;
	uintptr_t low, high; /* high 0: not known */
} stack;

struct mapping {
	uintptr_t low, high;
	bool is_stack; /* the first thread's */
};

static bool hex(const char **at, uintptr_t *ret_value)
{
	uintptr_t value = 0;
	const char *start = *at;

	for (;; ++*at) {
		char c = **at;

		if (c >= '0' && c <= '9')
			value = value << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uintptr_t)(c - 'a' + 10);
		else
			break;
	}
	*ret_value = value;
	return *at > start;
}

/* A line of /proc/self/maps: "low-high perms offset device inode   name". */
static bool parse(const char *line, struct mapping *mapping)
{
	if (!hex(&line, &mapping->low) || *line++ != '-' || !hex(&line, &mapping->high))
		return false;
	mapping->is_stack = strstr(line, " [stack]") != NULL;
	return true;
}

/* The mapping that @address is in, as long lines as they may be: what we look for has no long name. */
static bool find_mapping(uintptr_t address, struct mapping *mapping)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char line[128], part[1024];
	size_t length = 0;
	bool found = false;
	long size;

	if (fd < 0)
		return false;
	while (!found && (size = syscall(SYS_read, fd, part, sizeof(part))) > 0) {
		for (long i = 0; i < size && !found; i++) {
			if (part[i] != '\n') {
				if (length < sizeof(line) - 1)
					line[length++] = part[i];
				continue;
			}
			line[length] = '\0';
			length = 0;
			found = parse(line, mapping) && address >= mapping->low && address < mapping->high;
		}
	}
	syscall(SYS_close, fd);
	return found;
}

/*
 * The C library puts what is a thread's own (__thread) at the end of its stack, in the same mapping. A stack that is
 * neither such a one nor the first thread's is one that the program has made, and may unmake.
 */
static void seek_stack(uintptr_t here)
{
	bool is_first = syscall(SYS_gettid) == record_pid();
	uintptr_t own = (uintptr_t)&stack;
	struct mapping mapping = {0};

	stack.sought = true;
	if (!find_mapping(here, &mapping) || mapping.is_stack != is_first)
		return;
	if (!is_first && (own <= here || own >= mapping.high))
		return;
	stack.low = mapping.low;
	stack.high = is_first ? mapping.high : own;
}

bool user_is_near(uint64_t from, size_t size)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (!stack.sought)
		seek_stack(here);
	return here >= stack.low && from > here && from < stack.high && size <= stack.high - from;
}

/* Not memcpy(), which in a program under a sanitizer is not the C library's, and looks closer than the kernel would. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static void copy(char *to, const char *from, size_t size)
{
	struct word {
		uint64_t bits;
	} __attribute__((packed, may_alias));

	for (; size >= sizeof(struct word); size -= sizeof(struct word)) {
		struct word word = *(const struct word *)from;

		__asm__ volatile("" : "+r"(word.bits));
		*(struct word *)to = word;
		to += sizeof(word);
		from += sizeof(word);
	}
	for (; size > 0; size--) {
		char byte = *from++;

		__asm__ volatile("" : "+r"(byte));
		*to++ = byte;
	}
}

/* ---- Anywhere ---- */

static bool refused(int err)
{
	return err == ENOSYS || err == EPERM;
}

/* write(2) looks at pointers as well. System calls as they are: nobody but the kernel shall see these descriptors. */
static size_t pass(const int fds[2], char *to, const char *from, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t piece = size - done < PIPE_ROOM ? size - done : PIPE_ROOM;
		long written = syscall(SYS_write, fds[1], from + done, piece);
		long got = written > 0 ? syscall(SYS_read, fds[0], to + done, written) : -1;

		if (got <= 0)
			break;
		done += (size_t)got;
		if (got < written || (size_t)written < piece)
			break;
	}
	return done;
}

/* Without a descriptor to spare the program's pointers have to be trusted: but not ours, which are guesses. */
static size_t trust(const struct iovec *to, const struct iovec *from)
{
	if ((uintptr_t)from->iov_base < 4096)
		return 0;
	copy(to->iov_base, from->iov_base, from->iov_len);
	return from->iov_len;
}

static size_t pass_all(const struct iovec *to, const struct iovec *from, size_t count, bool is_first)
{
	size_t done = 0, passed;
	int fds[2];

	if (syscall(SYS_pipe2, fds, O_CLOEXEC) < 0)
		return is_first ? trust(to, from) : 0;
	for (size_t i = 0; i < count; i++) {
		passed = pass(fds, to[i].iov_base, from[i].iov_base, from[i].iov_len);
		done += passed;
		if (passed < from[i].iov_len)
			break;
	}
	syscall(SYS_close, fds[0]);
	syscall(SYS_close, fds[1]);
	return done;
}

static size_t let_kernel_read(const struct iovec *to, const struct iovec *from, size_t count, bool is_first)
{
	static atomic_bool blind; /* a sandbox forbids it, or an emulator does not know it */
	ssize_t size;

	if (!atomic_load_explicit(&blind, memory_order_relaxed)) {
		size = process_vm_readv(record_pid(), to, count, from, count, 0);
		if (size >= 0 || !refused(errno))
			return size < 0 ? 0 : (size_t)size;
		atomic_store_explicit(&blind, true, memory_order_relaxed);
	}
	return pass_all(to, from, count, is_first);
}

/* ---- A page or two ---- */

#define PAGE_SHIFT 12 /* of the smallest page there is */
#define PROBES_MAX 2  /* where system calls cost much, more of them cost more than to let the kernel read */

/*
 * A system call that reads eight bytes from where it is told to, and then does nothing, for there is no such thing to
 * do with a signal mask: EFAULT or EINVAL.
 */
static int probe(uintptr_t address)
{
	return syscall(SYS_rt_sigprocmask, ~0, address & ~(uintptr_t)7, NULL, 8) < 0 ? errno : 0;
}

/* Emulators look at the first argument first, and would call everything readable. */
static bool probes_tell(void)
{
	enum { UNKNOWN, YES, NO };
	static atomic_int known;
	int telling = atomic_load_explicit(&known, memory_order_relaxed);

	if (telling == UNKNOWN) {
		telling = probe(UINTPTR_MAX) == EFAULT && probe((uintptr_t)&known) == EINVAL ? YES : NO;
		atomic_store_explicit(&known, telling, memory_order_relaxed);
	}
	return telling == YES;
}

struct pages {
	uintptr_t first, last;
};

/* Of a piece that has bytes; false for one that goes over the end of all memory. */
static bool pages_of(const struct iovec *piece, struct pages *pages)
{
	uintptr_t last;

	if (__builtin_add_overflow((uintptr_t)piece->iov_base, piece->iov_len - 1, &last))
		return false;
	*pages = (struct pages){(uintptr_t)piece->iov_base >> PAGE_SHIFT, last >> PAGE_SHIFT};
	return true;
}

static bool are_few_pages(const struct iovec *from, size_t count)
{
	uintptr_t known = UINTPTR_MAX, probes = 0;
	struct pages pages;

	for (size_t i = 0; i < count; i++) {
		if (from[i].iov_len == 0)
			continue;
		if (!pages_of(&from[i], &pages) || pages.last - pages.first >= PROBES_MAX)
			return false;
		probes += pages.last - pages.first + (pages.first != known);
		known = pages.last;
	}
	return probes <= PROBES_MAX;
}

static bool can_read(const struct iovec *piece, uintptr_t *known)
{
	struct pages pages;

	if (piece->iov_len == 0)
		return true;
	if (!pages_of(piece, &pages))
		return false;
	for (uintptr_t page = pages.first; page <= pages.last; page++) {
		if (page != *known && probe(page << PAGE_SHIFT) != EINVAL)
			return false;
		*known = page;
	}
	return true;
}

static size_t read_few_pages(const struct iovec *to, const struct iovec *from, size_t count)
{
	uintptr_t known = UINTPTR_MAX;
	size_t done = 0;

	for (size_t i = 0; i < count && can_read(&from[i], &known); i++) {
		copy(to[i].iov_base, from[i].iov_base, from[i].iov_len);
		done += from[i].iov_len;
	}
	return done;
}

static size_t ask_kernel(const struct iovec *to, const struct iovec *from, size_t count, bool is_first)
{
	if (are_few_pages(from, count) && probes_tell())
		return read_few_pages(to, from, count);
	return let_kernel_read(to, from, count, is_first);
}

size_t user_gather(const struct iovec *to, const struct iovec *from, size_t count)
{
	size_t done = 0;

	while (count > 0 && user_is_near((uintptr_t)from->iov_base, from->iov_len)) {
		copy(to->iov_base, from->iov_base, from->iov_len);
		done += from->iov_len;
		to++;
		from++;
		count--;
	}
	return count > 0 ? done + ask_kernel(to, from, count, done == 0) : done;
}

bool user_read(void *to, uint64_t from, size_t size)
{
	const struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};

	return size == 0 || user_gather(&local, &remote, 1) == size;
}
