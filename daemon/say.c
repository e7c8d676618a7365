/* SPDX-License-Identifier: MIT */
/*
 * One line a message, written whole, from any thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "say.h"

/* Set once, before there are threads. Where a process's messages go is a property of the process. */
static enum say_level level_wanted = SAY_NOTICE;
static int with_marks;

void say_setup(enum say_level most, int marks)
{
	level_wanted = most;
	with_marks = marks;
}

void say(enum say_level level, const char *format, ...)
{
	char line[1024];
	int len = 0, more;
	va_list args;

	if (level > level_wanted)
		return;
	if (with_marks)
		len = snprintf(line, sizeof(line), "<%d>", level);
	else
		len = snprintf(line, sizeof(line), "panbindd: ");
	va_start(args, format);
	more = vsnprintf(line + len, sizeof(line) - (size_t)len - 1, format, args);
	va_end(args);
	len += more < 0 ? 0 : more;
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)len) < 0) {
		/* Nobody to tell. */
	}
}
