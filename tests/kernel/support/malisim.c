/* SPDX-License-Identifier: MIT */
#include "malisim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int malisim_write(const char *name, const char *format, ...)
{
	char path[64], text[128];
	ssize_t length;
	va_list args;
	int fd, ret = 0;

	snprintf(path, sizeof(path), MALISIM "%s", name);
	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)length) != length)
		ret = -errno;
	close(fd);
	return ret;
}

FILE *malisim_trace(void)
{
	return fopen(MALISIM "trace", "re");
}

/* The value behind "KEY=" in a line, or NULL. */
static const char *field(const char *line, const char *key)
{
	size_t length = strlen(key);

	for (const char *at = strchr(line, ' '); at; at = strchr(at, ' ')) {
		at++;
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	}
	return NULL;
}

static uint64_t number(const char *line, const char *key)
{
	const char *text = field(line, key);

	return text ? strtoull(text, NULL, 0) : 0;
}

static void word(const char *line, const char *key, char *ret_word, size_t room)
{
	const char *text = field(line, key);

	snprintf(ret_word, room, "%.*s", text ? (int)strcspn(text, " \n") : 0, text ? text : "");
}

int malisim_next(FILE *trace, struct malisim_event *ret_event)
{
	struct malisim_event event = {0};

	do {
		if (!fgets(event.line, sizeof(event.line), trace))
			return 0;
	} while (sscanf(event.line, "%*u %*u %15s", event.name) != 1);
	event.line[strcspn(event.line, "\n")] = '\0';
	word(event.line, "verdict", event.verdict, sizeof(event.verdict));
	word(event.line, "via", event.via, sizeof(event.via));
	event.as = (unsigned)number(event.line, "as");
	event.va = field(event.line, "va") ? number(event.line, "va") : number(event.line, "start");
	event.size = number(event.line, "size");
	event.value = number(event.line, "value");
	event.pa = number(event.line, "pa");
	event.page_kib = (unsigned)number(event.line, "page");
	event.transtab = number(event.line, "transtab");
	*ret_event = event;
	return 1;
}

uint64_t malisim_stat(const char *name)
{
	FILE *stats = fopen(MALISIM "stats", "re");
	char key[64];
	uint64_t value, found = 0;

	while (stats && fscanf(stats, "%63s %" SCNu64, key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	if (stats)
		fclose(stats);
	return found;
}
