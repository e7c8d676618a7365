/* SPDX-License-Identifier: MIT */
/* Reading input. See source.h. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "limit.h"

#define XZ_MEMORY   (UINT64_C(256) << 20) /* what a decoder may take: more than xz -9 needs */
#define INPUT_LIMIT (UINT64_C(4) << 30)	  /* a bomb ends here, and says so */

/* A file that cannot be named like this is a wrong command line; the rest failed while working. */
static int read_status(int err)
{
	if (err == EACCES || err == EPERM)
		return CMD_DENIED;
	if (err == ENOENT || err == EISDIR || err == ENOTDIR || err == ELOOP || err == ENAMETOOLONG)
		return CMD_USAGE;
	return CMD_FAILED;
}

static int fail(struct cmd *cmd, const char *name, int err)
{
	return error_say(cmd, read_status(err), -err, "%s: %s", name, strerror(err));
}

static int grow(struct source *source, size_t *room)
{
	size_t more = *room ? 2 * *room : 65536;
	char *text = realloc(source->text, more + 1);

	if (!text)
		return -ENOMEM;
	source->text = text;
	*room = more;
	return 0;
}

/* 0 or a positive errno; EINTR only when the end was asked for. */
static int read_all(int fd, struct source *source)
{
	size_t room = 0;

	for (;;) {
		ssize_t got;

		if (source->size > INPUT_LIMIT)
			return EFBIG;
		if (source->size == room && grow(source, &room))
			return ENOMEM;
		got = read(fd, source->text + source->size, room - source->size);
		if (got < 0 && errno == EINTR && !limit_reached())
			continue;
		if (got < 0)
			return errno;
		if (got == 0)
			break;
		source->size += (size_t)got;
	}
	source->text[source->size] = '\0';
	return 0;
}

int source_read(struct cmd *cmd, const char *path, struct source *ret_source)
{
	bool standard = strcmp(path, "-") == 0;
	struct source source = {.name = standard ? "<stdin>" : path};
	int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), err;

	if (fd < 0)
		return fail(cmd, path, errno);
	err = read_all(fd, &source);
	if (!standard)
		close(fd);
	if (err) {
		source_free(&source);
		if (err == EINTR)
			return error_say(cmd, limit_status(), limit_code(), "%s: stopped while reading: %s",
					 source.name, limit_reason());
		return fail(cmd, source.name, err);
	}
	*ret_source = source;
	return CMD_DONE;
}

int source_reread(const char *path, struct source *ret_source)
{
	struct source source = {.name = path};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;

	if (fd < 0)
		return errno;
	err = read_all(fd, &source);
	close(fd);
	if (err)
		source_free(&source);
	else
		*ret_source = source;
	return err;
}

static const char *xz_reason(lzma_ret ret)
{
	switch (ret) {
	case LZMA_MEM_ERROR:
	case LZMA_MEMLIMIT_ERROR:
		return "it needs too much memory";
	case LZMA_BUF_ERROR:
		return "it ends early";
	case LZMA_OPTIONS_ERROR:
		return "it uses a feature that this liblzma does not have";
	default:
		return "it is damaged";
	}
}

static lzma_ret decompress(const struct source *packed, struct source *plain)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	size_t room = 0;
	lzma_ret ret = lzma_stream_decoder(&stream, XZ_MEMORY, LZMA_CONCATENATED);

	stream.next_in = (const uint8_t *)packed->text;
	stream.avail_in = packed->size;
	while (ret == LZMA_OK) {
		if (plain->size == room && (plain->size > INPUT_LIMIT || grow(plain, &room))) {
			ret = LZMA_MEM_ERROR;
			break;
		}
		stream.next_out = (uint8_t *)plain->text + plain->size;
		stream.avail_out = room - plain->size;
		ret = lzma_code(&stream, LZMA_FINISH);
		plain->size = room - stream.avail_out;
	}
	lzma_end(&stream);
	return ret;
}

int source_decompress(struct cmd *cmd, struct source *source)
{
	struct source plain = {.name = source->name};
	lzma_ret ret;

	if (source->size < 6 || memcmp(source->text,
				       "\375"
				       "7zXZ",
				       6) != 0)
		return CMD_DONE;
	ret = decompress(source, &plain);
	if (ret != LZMA_STREAM_END || !plain.text) {
		free(plain.text);
		return error_say(cmd, CMD_USAGE, -EINVAL, "%s: the compressed data cannot be read: %s", source->name,
				 xz_reason(ret));
	}
	plain.text[plain.size] = '\0';
	free(source->text);
	*source = plain;
	return CMD_DONE;
}

void source_free(struct source *source)
{
	free(source->text);
	source->text = NULL;
	source->size = 0;
}
