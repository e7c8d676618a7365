/* SPDX-License-Identifier: MIT */
/*
 * Starting a user's command, and being as little in its way as a shell is.
 *
 * A pipe that closes by itself on exec carries back the errno of an exec that failed, so that a wrong command is an
 * error of ours and not a silent status.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"
#include "limit.h"

#define PRELOAD "libpanbind-preload.so"

enum { NOT_FOUND = 127, NOT_RUN = 126 };

/* ---- The library ---- */

/* In the build folder it lies beside ours; installed, where the build was told. Relative to the program both times. */
static const char *const places[] = {"../preload/" PRELOAD, PANBIND_PRELOAD_DIR "/" PRELOAD};

static bool find_preload(char path[PATH_MAX])
{
	char self[PATH_MAX], joined[PATH_MAX + sizeof(PANBIND_PRELOAD_DIR) + sizeof(PRELOAD)];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (length < 0)
		return false;
	self[length] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(joined, sizeof(joined), "%s/%s", self, places[i]);
		if (realpath(joined, path))
			return true;
	}
	return false;
}

/* Ours goes first: what others have preloaded stays behind it. */
static int preload_value(struct cmd *cmd, char **ret_value)
{
	const char *others = getenv("LD_PRELOAD");
	char path[PATH_MAX];

	if (!find_preload(path))
		return error_say(cmd, CMD_FAILED, -ENOENT, "%s is not installed beside this program", PRELOAD);
	if (strpbrk(path, " :"))
		return error_say(cmd, CMD_FAILED, -EINVAL,
				 "the dynamic linker cannot preload %s: its path has a space or colon", path);
	if (asprintf(ret_value, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") < 0)
		return error_say(cmd, CMD_FAILED, -ENOMEM, "out of memory");
	return 0;
}

/* ---- Signals ---- */

/* For the handler, which has no argument; set while a child runs. */
static volatile pid_t forward_to;

static void forward(int number)
{
	if (forward_to > 0)
		kill(forward_to, number);
}

static const struct {
	int number;
	void (*handler)(int number);
} handled[CHILD_SIGNALS] = {{SIGINT, SIG_IGN}, {SIGQUIT, SIG_IGN}, {SIGTERM, forward}, {SIGHUP, forward}};

static void leave_signals_to(struct child *child)
{
	forward_to = child->pid;
	for (size_t i = 0; i < CHILD_SIGNALS; i++) {
		struct sigaction action = {.sa_handler = handled[i].handler, .sa_flags = SA_RESTART};

		sigaction(handled[i].number, &action, &child->before[i]);
	}
}

static void take_signals_back(const struct child *child)
{
	for (size_t i = 0; i < CHILD_SIGNALS; i++)
		sigaction(handled[i].number, &child->before[i], NULL);
	forward_to = 0;
}

/* ---- Start and end ---- */

/* What the new process is given. */
struct image {
	char *preload; /* value of LD_PRELOAD */
	const struct child_variable *variables;
	size_t count;
	const struct rlimit *fds;
};

static void __attribute__((noreturn)) become(char **argv, const struct image *image, int error_fd)
{
	int err;

	signal(SIGPIPE, SIG_DFL); /* ours, not the user's wish */
	if (image->fds)
		setrlimit(RLIMIT_NOFILE, image->fds);
	setenv("LD_PRELOAD", image->preload ? image->preload : "", 1); /* there is one: for the analyzer */
	for (size_t i = 0; i < image->count; i++)
		setenv(image->variables[i].name, image->variables[i].value, 1);
	execvp(argv[0], argv);
	err = errno;
	(void)!write(error_fd, &err, sizeof(err));
	_exit(NOT_RUN);
}

/* The errno of an exec that failed, 0 when it did not. */
static int exec_error(int fd)
{
	int err = 0;
	ssize_t got;

	do
		got = read(fd, &err, sizeof(err));
	while (got < 0 && errno == EINTR);
	close(fd);
	return got == (ssize_t)sizeof(err) ? err : 0;
}

static int fork_and_exec(struct cmd *cmd, char **argv, const struct image *image, struct child *ret_child)
{
	int fds[2], err;
	pid_t pid;

	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC))
		return error_say(cmd, CMD_FAILED, -errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0)
		become(argv, image, fds[1]);
	err = pid < 0 ? errno : 0;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return error_say(cmd, CMD_FAILED, -err, "cannot fork");
	}
	ret_child->pid = pid;
	leave_signals_to(ret_child);
	err = exec_error(fds[0]);
	if (!err)
		return 0;
	child_wait(ret_child);
	return error_say(cmd, err == ENOENT ? NOT_FOUND : NOT_RUN, -err, "cannot run %s", argv[0]);
}

int child_start(struct cmd *cmd, char **argv, const struct child_variable *variables, size_t count,
		const struct rlimit *fds, struct child *ret_child)
{
	struct image image = {.variables = variables, .count = count, .fds = fds};
	int status = preload_value(cmd, &image.preload);

	if (!status)
		status = fork_and_exec(cmd, argv, &image, ret_child);
	free(image.preload);
	return status;
}

int child_wait(struct child *child)
{
	bool timed_out = false;
	int status;
	pid_t got;

	while ((got = waitpid(child->pid, &status, 0)) < 0 && errno == EINTR) {
		if (limit_reached() == SIGALRM && !timed_out) {
			kill(child->pid, SIGTERM);
			timed_out = true;
		}
	}
	take_signals_back(child);
	if (got < 0)
		return CMD_FAILED;
	if (timed_out)
		return CMD_TIMED_OUT;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
