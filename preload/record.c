/* SPDX-License-Identifier: MIT */
/* The recorder's side of hooks.h. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

/* In a page that is empty in every child, however it was forked: then it is not this process that is meant. */
struct process {
	_Atomic uint64_t image;
	_Atomic pid_t pid; /* who it was given to */
};

static struct {
	struct process *process;
	bool wiped;		      /* it is, in children */
	struct record_shared *shared; /* NULL: nothing is recorded */
	atomic_bool dead;	      /* nor here any more */
} record;

struct record_shared *record_shared(void)
{
	struct record_shared *shared = record.shared;

	if (!shared || atomic_load_explicit(&record.dead, memory_order_relaxed) ||
	    atomic_load_explicit(&shared->gone, memory_order_relaxed))
		return NULL;
	return shared;
}

uint64_t record_image(void)
{
	return atomic_load_explicit(&record.process->image, memory_order_relaxed);
}

/* getpid() is a system call. */
pid_t record_pid(void)
{
	pid_t pid = record.wiped ? atomic_load_explicit(&record.process->pid, memory_order_relaxed) : 0;

	return pid ? pid : getpid();
}

void record_give_up(void)
{
	atomic_store(&record.dead, true);
}

static uint64_t new_image(void)
{
	struct timespec now;
	uint64_t image = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (syscall(SYS_getrandom, &image, sizeof(image), 0) != (long)sizeof(image))
		image = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid();
	return image | 1;
}

/* Is there somebody to tell? A child that nobody has told of says so with its first call. */
static bool recording(void)
{
	if (!record_shared())
		return false;
	if (!record_image())
		record_forked();
	return record_image() != 0;
}

void record_start(const char *where)
{
	record.process = (struct process *)syscall(SYS_mmap, NULL, (size_t)sysconf(_SC_PAGESIZE),
						   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
	if (record.process == MAP_FAILED)
		return;
	record.wiped = madvise(record.process, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) == 0;
	atomic_store(&record.process->image, new_image());
	atomic_store(&record.process->pid, getpid());
	ring_start();
	record.shared = link_start(where);
	if (!record_shared())
		return;
	file_scan();
	link_ready(record_image());
}

/*
 * Not of a vfork() or clone() that shares the page: nothing is different there, and nobody calls. Whether the page was
 * wiped is not taken on trust: an emulator may say that it will be, and leave the parent's image in it.
 */
void record_forked(void)
{
	uint64_t image;
	pid_t pid = getpid();

	if (!record_shared())
		return;
	image = record_image();
	if (image && atomic_load(&record.process->pid) == pid)
		return;
	if (atomic_compare_exchange_strong(&record.process->image, &image, new_image())) {
		atomic_store(&record.process->pid, pid);
		file_inherited();
	}
}

void record_opened(int fd, const char *path)
{
	(void)path;
	if (recording())
		file_opened(fd);
}

void record_closing(int fd)
{
	if (fd >= 0)
		record_closing_range((unsigned)fd, (unsigned)fd);
}

void record_closing_range(unsigned int first, unsigned int last)
{
	if (recording())
		file_closing_range(first, last);
}

void record_duplicated(int from, int to)
{
	if (recording())
		file_duplicated(from, to);
}

void record_received(int fd)
{
	if (recording())
		file_received(fd);
}

void record_sending(int fd)
{
	if (recording())
		file_sending(fd);
}

/* A recorder that cannot be reached, from another network namespace for one, may yet be there to read how many. */
static void count_unheard(unsigned long request)
{
	if (record.shared && atomic_load_explicit(&record.dead, memory_order_relaxed) && ioctl_is_recorded(request))
		atomic_fetch_add(&record.shared->missed, 1);
}

void record_before(struct record_call *call, int fd, unsigned long request, void *arg)
{
	*call = (struct record_call){.fd = fd, .request = request, .arg = arg};
	if (!recording()) {
		count_unheard(request);
		return;
	}
	call->image = record_image();
	call->event = ioctl_before(call);
}

void record_after(struct record_call *call, int ret, int err)
{
	if (call->event && call->image == record_image()) /* else the call was begun by who forked this process */
		ioctl_after(call, ret, err);
}

void record_mmapped(int fd, uint64_t offset, size_t size, void *ptr)
{
	(void)fd, (void)offset, (void)size, (void)ptr; /* what BOs contain is not recorded */
}
