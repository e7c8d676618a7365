// SPDX-License-Identifier: MIT
/*
 * PID 1 of the box: mount, load the modules, run one command, say how it ended, power off.
 *
 * kernel/run leaves its wishes in a folder of the host, which "box=FOLDER" on the kernel's command line names:
 *
 *	argv, env	NUL-separated words
 *	cwd		where to run
 *	modules		a line for each module: its path, then its parameters
 *	streams		"tty", or "split" or "joined" (stderr goes where stdout goes), and then what
 *			stdin is: "null" or "file PATH"
 *	trace		present if malisim's trace is wanted: it is copied there
 *
 * and finds in "status" how the command ended: "exit N", "signal N" or "error TEXT".
 *
 * The command's output goes through pipes and then through raw consoles (tty1: stdout, tty2: stderr), so that
 * the command does not take itself to be on a terminal when its caller is not.
 */
#define _GNU_SOURCE
#include "box.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *box;

static void __attribute__((noreturn)) power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void say_status(const char *format, ...)
{
	char path[4096];
	va_list args;
	FILE *file;

	snprintf(path, sizeof(path), "%s/status", box);
	file = fopen(path, "we");
	if (!file)
		return;
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fputc('\n', file);
	fflush(file);
	fsync(fileno(file));
	fclose(file);
}

void give_up(const char *what)
{
	say_status("error %s: %s", what, strerror(errno));
	power_off();
}

char *read_wish(const char *name, size_t *ret_size)
{
	char path[4096], *text;
	size_t size, room = 4 << 20;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", box, name);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	text = malloc(room);
	if (!text)
		give_up(name);
	size = fread(text, 1, room - 1, file);
	fclose(file);
	text[size] = '\0';
	if (ret_size)
		*ret_size = size;
	return text;
}

/* NUL-separated words as a NULL-terminated array. */
static char **read_words(const char *name)
{
	size_t size = 0, n = 0;
	char *text = read_wish(name, &size), **words;

	if (!text)
		give_up(name);
	words = calloc(size + 1, sizeof(*words));
	if (!words)
		give_up(name);
	for (char *at = text; at < text + size; at += strlen(at) + 1)
		words[n++] = at;
	return words;
}

static void exec_command(char **argv, char **env, const char *cwd)
{
	environ = env;
	if (chdir(cwd)) {
		fprintf(stderr, "kernel/run: cannot go to %s inside the box: %s\n", cwd, strerror(errno));
		_exit(126);
	}
	execvp(argv[0], argv);
	fprintf(stderr, "kernel/run: cannot run %s inside the box: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* The consoles' host side is gone when kernel/run is: nobody is there to hear of it, so a failing write only ends the
 * copying. */
static int pass_on(int from, int to)
{
	char buf[16384];
	ssize_t got = read(from, buf, sizeof(buf)), done = 0, n;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : 0;
	while (done < got) {
		n = write(to, buf + done, got - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return 0;
		done += n;
	}
	return got > 0;
}

/* Copy what the command writes until it has ended and, as long as there is something to copy, a little longer. */
static int relay_until_end(struct streams *streams, pid_t child)
{
	int status = 0, ended = 0, one;

	for (;;) {
		struct pollfd fds[2] = {{streams->out_pipe, POLLIN, 0}, {streams->err_pipe, POLLIN, 0}};
		pid_t pid;
		int n;

		while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
			if (pid == child) {
				ended = 1;
				status = one;
			}
		}
		n = poll(fds, 2, ended ? 0 : 20);
		if (n == 0 && ended)
			return status;
		if (fds[0].revents && !pass_on(streams->out_pipe, streams->out))
			streams->out_pipe = -1;
		if (fds[1].revents && !pass_on(streams->err_pipe, streams->err))
			streams->err_pipe = -1;
	}
}

static int run_command(void)
{
	char **argv = read_words("argv"), **env = read_words("env"), *cwd = read_wish("cwd", NULL);
	struct streams streams;
	pid_t child;

	for (char **e = env; *e; e++)
		if (!strncmp(*e, "PATH=", 5))
			putenv(*e); /* execvp() of the child looks there */
	open_streams(&streams);
	child = fork();
	if (child < 0)
		give_up("fork");
	if (!child) {
		signal(SIGCHLD, SIG_DFL);
		signal(SIGPIPE, SIG_DFL);
		enter_streams(&streams);
		exec_command(argv, env, cwd ? cwd : "/");
	}
	close_command_ends(&streams);
	return relay_until_end(&streams, child);
}

static void copy_trace(void)
{
	char path[4096], buf[65536];
	int from, to;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/trace", box);
	to = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (to < 0)
		return;
	from = open("/sys/kernel/debug/malisim/trace", O_RDONLY | O_CLOEXEC);
	while (from >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, n) != n)
			break;
	fsync(to);
	close(to);
}

int main(void)
{
	int status;

	box = getenv("box");
	if (getpid() != 1 || !box) {
		fputs("this is PID 1 of panbind's kernel box; kernel/run starts it\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	mount_all();
	load_modules();
	status = run_command();
	copy_trace();
	if (WIFSIGNALED(status))
		say_status("signal %d", WTERMSIG(status));
	else
		say_status("exit %d", WEXITSTATUS(status));
	power_off();
}
