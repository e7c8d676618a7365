/* SPDX-License-Identifier: MIT */
/* See kernel.h. Each question is put by a child, of whom nothing stays behind. */
#include "kernel.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool says_yes(pid_t child)
{
	int status = 0;

	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool kernel_wipes_on_fork(void)
{
	int *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool wiped = false;
	pid_t child;

	if (page == MAP_FAILED)
		return false;
	*page = 1;
	if (madvise(page, 4096, MADV_WIPEONFORK) == 0) {
		child = fork();
		if (child == 0)
			_exit(*page);
		wiped = says_yes(child);
	}
	munmap(page, 4096);
	return wiped;
}

#define UNTOUCHED ((size_t)1 << 30) /* 262144 pages, each of which an emulator may keep a note of */
#define NOTHING	  (1 << 20)

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, pages = -1;

	if (file && fscanf(file, "%ld %ld", &size, &pages) != 2)
		pages = -1;
	if (file)
		fclose(file);
	return pages;
}

/* Past the sanitizers, which keep notes of their own. */
static bool is_for_nothing(void)
{
	long before = resident_pages();

	if (syscall(SYS_mmap, NULL, UNTOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0L) == -1)
		return false;
	return before >= 0 && (resident_pages() - before) * sysconf(_SC_PAGESIZE) < NOTHING;
}

bool kernel_maps_for_nothing(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(is_for_nothing() ? 0 : 1);
	return says_yes(child);
}

bool kernel_doubles_mappings(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *again = page == MAP_FAILED ? MAP_FAILED : mremap(page, 0, 4096, MREMAP_MAYMOVE);

	if (again != MAP_FAILED)
		munmap(again, 4096);
	if (page != MAP_FAILED)
		munmap(page, 4096);
	return again != MAP_FAILED;
}

/* One that an emulator carries out by itself, with what it is pointed at in hand. */
static bool is_told_of_fault(void)
{
	int file = memfd_create("behind", MFD_CLOEXEC);
	void *nothing = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);

	return nothing != MAP_FAILED && syscall(SYS_rt_sigprocmask, SIG_BLOCK, nothing, NULL, 8) < 0 && errno == EFAULT;
}

bool kernel_looks_behind_files(void)
{
	const struct rlimit none = {0, 0};
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGBUS, SIG_DFL);  /* not the test's */
		closefrom(STDOUT_FILENO); /* last words of an emulator */
		_exit(is_told_of_fault() ? 0 : 1);
	}
	return says_yes(child);
}

#define SURPLUS 8

/* A byte with eight descriptors beside it goes to a reader with room for one. */
static bool one_of_many_comes(void)
{
	union {
		char room[CMSG_SPACE(SURPLUS * sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {CMSG_LEN(SURPLUS * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int ends[2], fds[SURPLUS], expected;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return false;
	for (int i = 0; i < SURPLUS; i++)
		fds[i] = ends[0];
	memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
	if (sendmsg(ends[0], &message, 0) != 1)
		return false;
	message.msg_controllen = CMSG_LEN(sizeof(int));
	expected = dup(ends[0]); /* the number that the first one gets; then the next free one is behind it */
	close(expected);
	return recvmsg(ends[1], &message, 0) == 1 && dup(ends[0]) == expected + 1;
}

bool kernel_closes_surplus_fds(void)
{
	pid_t child = fork();

	if (child == 0) {
		closefrom(3);
		_exit(one_of_many_comes() ? 0 : 1);
	}
	return says_yes(child);
}

bool kernel_has_user(unsigned int uid)
{
	pid_t child = fork();

	if (child == 0)
		_exit(setgroups(0, NULL) == 0 && setgid(uid) == 0 && setuid(uid) == 0 ? 0 : 1);
	return says_yes(child);
}
