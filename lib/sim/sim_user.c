/* SPDX-License-Identifier: MIT */
/*
 * User copies of the simulator.
 *
 * The caller's pointers are as hostile here as they are to a kernel, so they are never followed: the kernel copies for
 * us, from and to our own process, through process_vm_readv(2) and process_vm_writev(2). It answers EFAULT where a
 * plain load would end in a signal, honours read-only pages, and is invisible to AddressSanitizer, which would
 * otherwise report what the caller got wrong as a bug of the simulator. One call costs about 250 ns.
 *
 * Where these calls are refused (old container profiles) or unknown (qemu-user), the bytes go through a pipe: write(2)
 * and read(2) check pointers as well. Only a process that has no fd left for one is down to memcpy(): pointers outside
 * of what user space can have are -EFAULT then, others crash like any bad pointer.
 */
#include "sim_user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What one call may move; the kernel itself stops short of 2 GiB. */
#define PIECE_MAX     ((size_t)1 << 30)
/* What a pipe always has room for. */
#define PIPE_ROOM     ((size_t)4096)
/* Without a pipe only: below and above these, no program has memory. */
#define USER_ADDR_MIN UINT64_C(0x1000)
#define USER_ADDR_MAX (UINT64_C(1) << 47)

typedef ssize_t move_fn(pid_t pid, const struct iovec *local, unsigned long local_count, const struct iovec *remote,
			unsigned long remote_count, unsigned long flags);

/* An address as ioctl arguments carry it. */
static void *user_ptr(uint64_t user)
{
	return (void *)(uintptr_t)user; /* NOLINT(performance-no-int-to-ptr): that is how the ABI has it */
}

static int move_plainly(bool to_user, void *local, uint64_t user, size_t size)
{
	if (user < USER_ADDR_MIN || user >= USER_ADDR_MAX || size > USER_ADDR_MAX - user)
		return -EFAULT;
	if (to_user)
		memcpy(user_ptr(user), local, size);
	else
		memcpy(local, user_ptr(user), size);
	return 0;
}

/* System calls as they are: the wrappers of a sanitizer would look at the pointers. */
static int write_and_read(const int fds[2], const void *from, void *to, size_t size)
{
	long written = syscall(SYS_write, fds[1], from, size);

	if (written <= 0)
		return -EFAULT;
	for (long got, done = 0; done < written; done += got) {
		got = syscall(SYS_read, fds[0], (char *)to + done, written - done);
		if (got <= 0)
			return -EFAULT;
	}
	return (int)written;
}

static int move_by_pipe(bool to_user, void *local, uint64_t user, size_t size)
{
	char *ours = local, *theirs = user_ptr(user);
	int fds[2], ret = 0;

	if (pipe2(fds, O_CLOEXEC))
		return move_plainly(to_user, local, user, size);
	for (size_t done = 0; done < size; done += (size_t)ret) {
		size_t piece = size - done < PIPE_ROOM ? size - done : PIPE_ROOM;

		if (to_user)
			ret = write_and_read(fds, ours + done, theirs + done, piece);
		else
			ret = write_and_read(fds, theirs + done, ours + done, piece);
		if (ret < 0)
			break;
	}
	close(fds[0]);
	close(fds[1]);
	return ret < 0 ? ret : 0;
}

/*
 * Our process id, which is asked for at each copy and costs as much as the copy where system calls are slow. A child
 * that fork() made asks anew.
 */
static _Atomic pid_t known_pid;
static pthread_once_t watch_forks = PTHREAD_ONCE_INIT;

static void forget_pid(void)
{
	known_pid = 0;
}

static void forget_pid_at_fork(void)
{
	pthread_atfork(NULL, NULL, forget_pid);
}

static pid_t own_pid(void)
{
	pid_t pid = known_pid;

	if (pid)
		return pid;
	pthread_once(&watch_forks, forget_pid_at_fork);
	pid = getpid();
	known_pid = pid;
	return pid;
}

/* A piece may come out short, at the last page that could be reached; the next round then says EFAULT. */
int sim_user_move(pid_t pid, bool to_user, void *local, uint64_t address, size_t size)
{
	move_fn *fn = to_user ? process_vm_writev : process_vm_readv;

	while (size) {
		size_t piece = size < PIECE_MAX ? size : PIECE_MAX;
		struct iovec here = {.iov_base = local, .iov_len = piece};
		struct iovec there = {.iov_base = user_ptr(address), .iov_len = piece};
		ssize_t moved = fn(pid, &here, 1, &there, 1, 0);

		if (moved < 0 && (errno == ENOSYS || errno == EPERM || errno == ESRCH))
			return -EPERM;
		if (moved <= 0)
			return -EFAULT;
		local = (char *)local + moved;
		address += (uint64_t)moved;
		size -= (size_t)moved;
	}
	return 0;
}

/* Whom this thread serves; NULL: its own process. */
static __thread struct sim_user *served;

void sim_user_set(struct sim_user *user)
{
	served = user;
}

static int move(bool to_user, void *local, uint64_t user, size_t size)
{
	int ret;

	if (served)
		return served->copy(served, to_user, local, user, size);
	ret = sim_user_move(own_pid(), to_user, local, user, size);
	return ret == -EPERM ? move_by_pipe(to_user, local, user, size) : ret;
}

int sim_user_fd(int fd)
{
	return served ? served->get_fd(served, fd) : fd;
}

void sim_user_fd_done(int fd)
{
	if (served && fd >= 0)
		close(fd);
}

int sim_user_fd_give(int fd, bool cloexec)
{
	if (served)
		return served->put_fd(served, fd, cloexec);
	if (!cloexec)
		fcntl(fd, F_SETFD, 0);
	return fd;
}

void sim_user_name_sync(int theirs, int ours, uint64_t cookie)
{
	if (served)
		served->name_sync(served, theirs, ours, cookie);
}

void sim_user_wait_begin(void (*wake)(void *data), void *data)
{
	if (served)
		served->wait_begin(served, wake, data);
}

void sim_user_wait_end(void)
{
	if (served)
		served->wait_end(served);
}

bool sim_user_interrupted(void)
{
	return served && served->interrupted(served);
}

int sim_copy_from_user(void *dst, uint64_t user, size_t size)
{
	return move(false, dst, user, size);
}

int sim_copy_to_user(uint64_t user, const void *src, size_t size)
{
	return move(true, user_ptr((uintptr_t)src), user, size); /* loses the const; it is only read, as in writev(2) */
}

static int clear_user(uint64_t user, size_t size)
{
	static const char zeros[4096];
	int ret = 0;

	while (size && !ret) {
		size_t piece = size < sizeof(zeros) ? size : sizeof(zeros);

		ret = sim_copy_to_user(user, zeros, piece);
		user += piece;
		size -= piece;
	}
	return ret;
}

int sim_put_object(uint64_t user, uint32_t user_size, uint32_t min_size, const void *object, uint32_t size)
{
	int ret;

	if (user_size < min_size)
		return -EINVAL;
	ret = sim_copy_to_user(user, object, user_size < size ? user_size : size);
	if (ret || user_size <= size)
		return ret;
	return clear_user(user + size, user_size - size);
}

static bool all_zero(const unsigned char *bytes, size_t size)
{
	while (size && !*bytes) {
		bytes++;
		size--;
	}
	return size == 0;
}

/*
 * 0 when all of it is zero, -E2BIG when something is there, -EFAULT: whichever comes first, so that no piece reaches
 * into a page that may not be there.
 */
static int check_zeroed_user(uint64_t user, size_t size)
{
	unsigned char buffer[512];

	while (size) {
		size_t room = sizeof(buffer) - user % sizeof(buffer), piece = size < room ? size : room;
		int ret = sim_copy_from_user(buffer, user, piece);

		if (ret)
			return ret;
		if (!all_zero(buffer, piece))
			return -E2BIG;
		user += piece;
		size -= piece;
	}
	return 0;
}

int sim_get_struct(void *dst, size_t size, uint64_t user, size_t user_size)
{
	if (user_size > size) {
		int ret = check_zeroed_user(user + size, user_size - size);

		if (ret)
			return ret;
		user_size = size;
	}
	memset((char *)dst + user_size, 0, size - user_size);
	return sim_copy_from_user(dst, user, user_size);
}

static int fill_array(void *array, uint32_t size, const struct pb_uapi_obj_array *in)
{
	int ret = 0;

	if (in->stride == size)
		return sim_copy_from_user(array, in->array, (size_t)in->count * size);
	for (uint32_t i = 0; i < in->count && !ret; i++)
		ret = sim_get_struct((char *)array + (size_t)i * size, size, in->array + (uint64_t)i * in->stride,
				     in->stride);
	return ret;
}

int sim_get_array(const struct pb_uapi_obj_array *in, uint32_t min_stride, uint32_t size, void **ret_array)
{
	uint64_t bytes = (uint64_t)in->count * size;
	void *array;
	int ret;

	if (!in->count) {
		*ret_array = NULL;
		return 0;
	}
	if (in->stride < min_stride)
		return -EINVAL;
	/* The kernel allocates no array of 2 GiB or more, however much memory there is. */
	array = bytes <= INT_MAX ? malloc(bytes) : NULL;
	if (!array)
		return -ENOMEM;
	ret = fill_array(array, size, in);
	if (ret) {
		free(array);
		return ret;
	}
	*ret_array = array;
	return 0;
}

bool sim_user_pid_may_nice(pid_t pid)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = pid};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return false;
	return data[CAP_TO_INDEX(CAP_SYS_NICE)].effective & CAP_TO_MASK(CAP_SYS_NICE);
}

bool sim_user_may_nice(void)
{
	return served ? served->may_nice(served) : sim_user_pid_may_nice(own_pid());
}
