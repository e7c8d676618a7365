/* SPDX-License-Identifier: MIT */
/* What a program does with the fd of a render node, and with processes. */
#include <dirent.h>
#include <glob.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "scenario.h"

static void check_is_node(const struct stat *st)
{
	CHECK(S_ISCHR(st->st_mode));
	CHECK(major(st->st_rdev) == 226 && minor(st->st_rdev) == 128);
}

static void looks_like_one(void)
{
	int fd = open_node(), dir = open("/dev/dri", O_RDONLY | O_DIRECTORY), thing;
	char target[PATH_MAX] = "", *real = realpath("/dev/dri/by-path/platform-fb000000.gpu-render", NULL), link[64];
	struct stat st, other;
	struct statx stx;
	struct dirent *entry;
	DIR *stream = opendir("/dev/dri");
	int found = 0;
	glob_t names;

	CHECK(fstat(fd, &st) == 0);
	check_is_node(&st);
	CHECK(stat(NODE, &other) == 0 && other.st_ino == st.st_ino && other.st_dev == st.st_dev);
	check_is_node(&other);
	CHECK(lstat("/dev//dri/./renderD128", &other) == 0);
	check_is_node(&other);
	CHECK(fstatat(dir, "renderD128", &other, 0) == 0);
	check_is_node(&other);
	CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0);
	CHECK(S_ISCHR(stx.stx_mode) && stx.stx_rdev_major == 226 && stx.stx_rdev_minor == 128);
	CHECK(access(NODE, R_OK | W_OK) == 0);
	CHECK(access("/dev/dri/card0", F_OK) == -1);
	CHECK(real && strcmp(real, NODE) == 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(readlink(link, target, sizeof(target)) > 0 && strcmp(target, NODE) == 0);

	while ((entry = readdir(stream)))
		found += strcmp(entry->d_name, "renderD128") == 0;
	CHECK(found == 1);
	CHECK(glob("/dev/dri/render*", 0, NULL, &names) == 0);
	CHECK(names.gl_pathc == 1 && strcmp(names.gl_pathv[0], NODE) == 0);

	thing = open(NODE, O_PATH);
	CHECK(thing >= 0 && fstat(thing, &other) == 0);
	check_is_node(&other);
	CHECK_ERRNO(open(NODE, O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERRNO(open(NODE, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	thing = openat(dir, "renderD128", O_RDWR);
	CHECK(thing >= 0 && make_vm(thing) == 1);
	CHECK(fcntl(thing, F_GETFD) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

/* Numbers are those that a real node would have, and the handles of an open file are its own. */
static void reopens(void)
{
	int first = open_node();

	for (int i = 0; i < 300; i++) {
		int fd = open_node();

		CHECK(fd == first + 1);
		CHECK(make_vm(fd) == 1);
		CHECK(make_bo(fd, PAGE) == 1);
		CHECK(close(fd) == 0);
	}
	CHECK_ERRNO(vm_state(first, 1), EINVAL);
}

static void duplicates(void)
{
	int fd = open_node(), copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 100), other = open_node();
	uint32_t vm = make_vm(fd);

	CHECK(close(fd) == 0);
	CHECK(vm_state(copy, vm) == 0 && vm_state(high, vm) == 0);
	CHECK_ERRNO(vm_state(other, vm), EINVAL);
	CHECK(dup2(other, copy) == copy);
	CHECK_ERRNO(vm_state(copy, vm), EINVAL);
	CHECK(dup3(high, copy, O_CLOEXEC) == copy);
	CHECK(vm_state(copy, vm) == 0);
}

/* As daemons do, and as careful parents of other programs do: whatever is open, close it. */
static void closes_everything(void)
{
	uint32_t vm;
	int fd = open_node();

	make_vm(fd);
	closefrom(3);
	CHECK_ERRNO(vm_state(fd, 1), EBADF);
	fd = open_node();
	CHECK(fd == 3);
	make_vm(fd);
	CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
	fd = open_node();
	make_vm(fd);
	for (int i = 3; i < 5000; i++)
		close(i);
	fd = open_node();
	CHECK(fd == 3);
	vm = make_vm(fd);
	for (int i = 4; i < 1024 + 3072; i++)
		(void)dup2(fd, i);
	CHECK(vm_state(fd, vm) == 0);
	CHECK(vm_state(1023, vm) == 0);
}

static void wait_for(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forks(void)
{
	int fd = open_node(), own;
	uint32_t vm = make_vm(fd), bo = make_bo(fd, PAGE);
	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)mmap_offset(fd, bo));
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(vm_state(fd, vm) == 0);
		CHECK(map_bo(fd, vm, bo, 0x10000, PAGE) == 0);
		CHECK(make_vm(fd) == vm + 1);
		strcpy(memory, "from the child");
		own = open_node();
		CHECK(make_vm(own) == 1);
		pid = fork();
		if (pid == 0)
			_exit(vm_state(own, 1) ? 1 : 0);
		wait_for(pid);
		_exit(0);
	}
	wait_for(pid);
	CHECK(vm_state(fd, vm + 1) == 0);
	CHECK(strcmp(memory, "from the child") == 0);
	CHECK(unmap(fd, vm, 0x10000, PAGE) == 0);
}

/* A child that no handler of fork() hears of. */
static void clones(void)
{
	int fd = open_node();
	uint32_t vm = make_vm(fd);
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(vm_state(fd, vm) == 0 && make_vm(fd) == vm + 1 ? 0 : 1);
	wait_for((pid_t)pid);
	CHECK(make_vm(fd) == vm + 2);
}

/* "exec" starts this program anew as "executed", with the node as fd 77. */
static void execs(void)
{
	int fd = open_node();

	CHECK(dup2(fd, 77) == 77);
	CHECK(make_vm(fd) == 1);
	execl("/proc/self/exe", "plain_fds", "executed", (char *)NULL);
	CHECK(0);
}

static void executed(void)
{
	if (fcntl(77, F_GETFD) < 0)
		return; /* played by itself */
	CHECK(vm_state(77, 1) == 0);
	CHECK(make_vm(77) == 2);
	CHECK(open_node() == 3);
}

static void spawns(void)
{
	char *argv[] = {(char *)"plain_fds", (char *)"executed", NULL};
	extern char **environ;
	int fd = open_node();
	posix_spawn_file_actions_t actions;
	pid_t pid;

	CHECK(make_vm(fd) == 1);
	CHECK(posix_spawn_file_actions_init(&actions) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&actions, fd, 77) == 0);
	CHECK(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ) == 0);
	wait_for(pid);
	CHECK(make_vm(fd) == 3);
	pid = vfork();
	if (pid == 0)
		_exit(vm_state(fd, 3) == 0 && vm_state(fd, 4) == -1 ? 0 : 1);
	wait_for(pid);
	CHECK(vm_state(fd, 3) == 0);
}

static void send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(char[1]){'x'}, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	CHECK(sendmsg(socket, &msg, 0) == 1);
}

static int receive_fd(int socket)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd;

	CHECK(recvmsg(socket, &msg, 0) == 1);
	CHECK(CMSG_FIRSTHDR(&msg) && msg.msg_controllen);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* The sender closes its own before the other side looks: the file lives in flight. */
static void passes_on(void)
{
	int sockets[2], fd;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	pid = fork();
	if (pid == 0) {
		fd = receive_fd(sockets[1]);
		CHECK(vm_state(fd, 1) == 0);
		CHECK(make_vm(fd) == 2);
		_exit(0);
	}
	fd = open_node();
	CHECK(make_vm(fd) == 1);
	send_fd(sockets[0], fd);
	CHECK(close(fd) == 0);
	wait_for(pid);
}

/* Killed in the middle of a bind: others go on, and the next open starts anew. */
static void is_killed(void)
{
	int fd = open_node(), ready[2];
	uint32_t vm = make_vm(fd), bo = make_bo(fd, 16 * PAGE);
	pid_t pid;
	char byte;

	CHECK(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		int own = open_node();
		uint32_t own_vm = make_vm(own), own_bo = make_bo(own, 16 * PAGE);

		for (unsigned int i = 0;; i++) {
			CHECK(map_bo(own, own_vm, own_bo, 0x100000 + i % 16 * PAGE, PAGE) == 0);
			CHECK(map_bo(fd, vm, bo, 0x100000 + i % 16 * PAGE, PAGE) == 0);
			if (i == 50)
				CHECK(write(ready[1], "", 1) == 1);
		}
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(map_bo(fd, vm, bo, 0x10000, PAGE) == 0);
	CHECK(make_vm(open_node()) == 1);
}

/* Few fds to be had: an open says so, and what is open works. */
static void has_few_fds(void)
{
	struct rlimit limit = {24, 24};
	int fd = open_node(), last = fd;

	make_vm(fd);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while (last >= 0)
		last = open(NODE, O_RDWR);
	CHECK(errno == EMFILE);
	CHECK(vm_state(fd, 1) == 0);
	CHECK(close(fd + 1) == 0);
	CHECK(open(NODE, O_RDWR) == fd + 1);
}

int main(int argc, char **argv)
{
	static const struct scene scenes[] = {
		{"looks_like_one", looks_like_one},
		{"reopens", reopens},
		{"duplicates", duplicates},
		{"closes_everything", closes_everything},
		{"forks", forks},
		{"clones", clones},
		{"execs", execs},
		{"executed", executed},
		{"spawns", spawns},
		{"passes_on", passes_on},
		{"is_killed", is_killed},
		{"has_few_fds", has_few_fds},
		{NULL, NULL},
	};

	return play_scene(scenes, argc, argv);
}
