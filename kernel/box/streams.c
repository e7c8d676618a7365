// SPDX-License-Identifier: MIT
/* PID 1 of the box: the command's stdin, stdout and stderr. */
#define _GNU_SOURCE
#include "box.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int open_console(const char *path, int raw)
{
	struct termios settings;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		give_up(path);
	if (raw && !tcgetattr(fd, &settings)) {
		cfmakeraw(&settings);
		tcsetattr(fd, TCSANOW, &settings);
	}
	return fd;
}

static void make_pipe(int *ret_read, int *ret_write)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		give_up("pipe");
	*ret_read = ends[0];
	*ret_write = ends[1];
}

static int open_input(const char *source)
{
	int fd;

	fd = open(strncmp(source, "file ", 5) ? "/dev/null" : source + 5, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		give_up(source);
	return fd;
}

void open_streams(struct streams *ret_streams)
{
	struct streams s = {.in = -1, .out_pipe = -1, .err_pipe = -1, .command_out = -1, .command_err = -1};
	char *wish = read_wish("streams", NULL), *source;

	if (!wish)
		give_up("streams");
	wish[strcspn(wish, "\n")] = '\0';
	source = strchr(wish, ' ');
	if (!strcmp(wish, "tty")) {
		s.terminal = 1;
		s.in = s.command_out = s.command_err = open_console("/dev/tty1", 0);
	} else {
		s.out = open_console("/dev/tty1", 1);
		make_pipe(&s.out_pipe, &s.command_out);
		if (!strncmp(wish, "split", 5)) {
			s.err = open_console("/dev/tty2", 1);
			make_pipe(&s.err_pipe, &s.command_err);
		} else {
			s.command_err = s.command_out;
		}
		s.in = open_input(source ? source + 1 : "null");
	}
	free(wish);
	*ret_streams = s;
}

void enter_streams(const struct streams *streams)
{
	setsid();
	if (streams->terminal)
		ioctl(streams->in, TIOCSCTTY, 0);
	dup2(streams->in, 0);
	dup2(streams->command_out, 1);
	dup2(streams->command_err, 2);
}

void close_command_ends(struct streams *streams)
{
	close(streams->in);
	close(streams->command_out);
	if (streams->command_err != streams->command_out)
		close(streams->command_err);
}
