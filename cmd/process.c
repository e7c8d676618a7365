/* SPDX-License-Identifier: MIT */
/* Finding and taking another process's render nodes. See process.h. */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "panbind.h"

int process_open(struct process *process, struct cmd *cmd, int pid)
{
	*process = (struct process){.cmd = cmd, .pid = pid};
	process->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process->pidfd >= 0)
		return CMD_DONE;
	if (errno == ESRCH || errno == EINVAL)
		return error_say(cmd, CMD_FAILED, -ESRCH, "there is no process %d", pid);
	return error_say(cmd, CMD_FAILED, -errno, "process %d: %s", pid, strerror(errno));
}

void process_close(struct process *process)
{
	for (size_t i = 0; i < process->count; i++)
		close(process->nodes[i].fd);
	if (process->pidfd >= 0)
		close(process->pidfd);
	process->count = 0;
	process->pidfd = -1;
}

/* What a process may be traced by, since a duplicate of its descriptors is as much as that. */
static int say_denied(const struct process *process)
{
	FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = file ? fgetc(file) : EOF;
	char pid[32];

	if (file)
		fclose(file);
	snprintf(pid, sizeof(pid), "process %d", process->pid);
	error_say(process->cmd, CMD_DENIED, -EPERM,
		  "%s may not be attached to: that takes its user and the right to trace it, or CAP_SYS_PTRACE (root)",
		  pid);
	if (scope >= '1' && scope <= '3')
		error_note(process->cmd, 0,
			   "/proc/sys/kernel/yama/ptrace_scope is %c, which keeps a user from tracing programs that "
			   "were not started by the tracer",
			   scope);
	return CMD_DENIED;
}

/* Does it look like a render node from the outside? A simulated one is a socket. */
static bool may_be_node(const char *target)
{
	return strncmp(target, "/dev/dri/renderD", 16) == 0 || strncmp(target, "socket:", 7) == 0;
}

static bool is_known(const struct process *process, int fd)
{
	for (size_t i = 0; i < process->count; i++)
		if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, (unsigned long)process->nodes[i].fd,
			    (unsigned long)fd) == 0)
			return true;
	return false;
}

/* Takes @fd when it is one of panthor's that is not known yet. */
static void add_node(struct process *process, int number, int fd, const char *target)
{
	struct process_node *node = &process->nodes[process->count];
	struct panbind_device *device = NULL;
	int count = -ENODEV;

	if (process->count < PROCESS_NODES && panbind_fd_is_render_node(fd) && !is_known(process, fd) &&
	    panbind_device_open_fd(fd, &device, NULL) == 0) {
		*node = (struct process_node){.number = number, .fd = fd};
		snprintf(node->path, sizeof(node->path), "%.63s", target[0] == '/' ? target : "a simulated node");
		count = panbind_device_vm_ids(device, node->vms, sizeof(node->vms) / sizeof(node->vms[0]));
		panbind_device_unref(device);
	}
	if (count < 0) {
		close(fd);
		return;
	}
	node->vm_count = count;
	process->count++;
}

/* 0, or a negative errno of the process's doors. */
static int look_at_fd(struct process *process, int number)
{
	char path[64], target[128];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", process->pid, number);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return errno == ENOENT ? 0 : -errno;
	target[length] = '\0';
	if (!may_be_node(target))
		return 0;
	fd = (int)syscall(SYS_pidfd_getfd, process->pidfd, number, 0);
	if (fd < 0)
		return errno == EBADF ? 0 : -errno;
	add_node(process, number, fd, target);
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The descriptors of the process, lowest first; the list is for free(3). */
static int list_fds(const struct process *process, int **ret_numbers, size_t *ret_count)
{
	int *numbers = NULL, *grown;
	size_t count = 0, room = 0;
	const struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", process->pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (count == room) {
			room = room ? 2 * room : 256;
			grown = reallocarray(numbers, room, sizeof(*grown));
			if (!grown)
				break;
			numbers = grown;
		}
		numbers[count++] = (int)strtol(entry->d_name, NULL, 10);
	}
	closedir(dir);
	if (count)
		qsort(numbers, count, sizeof(*numbers), compare_numbers);
	*ret_numbers = numbers;
	*ret_count = count;
	return 0;
}

static int say_failed(const struct process *process, int err)
{
	if (err == -EPERM || err == -EACCES)
		return say_denied(process);
	if (err == -ESRCH || err == -ENOENT)
		return error_say(process->cmd, CMD_FAILED, -ESRCH, "process %d has ended", process->pid);
	return error_say(process->cmd, CMD_FAILED, err, "the descriptors of process %d cannot be read: %s",
			 process->pid, strerror(-err));
}

int process_find_nodes(struct process *process, int only)
{
	int *numbers = NULL, r;
	size_t count = 0;

	if (only >= 0)
		r = look_at_fd(process, only);
	else
		r = list_fds(process, &numbers, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = look_at_fd(process, numbers[i]);
	free(numbers);
	if (r < 0)
		return say_failed(process, r);
	if (process->count > 0)
		return CMD_DONE;
	if (only >= 0)
		return error_say(process->cmd, CMD_FAILED, -ENODEV,
				 "descriptor %d of process %d is not open on a render node of panthor", only,
				 process->pid);
	return error_say(process->cmd, CMD_FAILED, -ENODEV, "process %d has no render node of panthor open",
			 process->pid);
}

void process_name(const struct process *process, char name[64])
{
	char path[64], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", process->pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(comm, sizeof(comm), file))
			comm[0] = '\0';
		fclose(file);
	}
	comm[strcspn(comm, "\n")] = '\0';
	for (char *at = comm; *at; at++)
		if (!isalnum((unsigned char)*at) && *at != '.' && *at != '-' && *at != '_')
			*at = '_';
	if (!isalpha((unsigned char)comm[0]))
		comm[0] = comm[0] ? '_' : '\0';
	snprintf(name, 64, "%s-%d", comm[0] ? comm : "process", process->pid);
}
