/* SPDX-License-Identifier: MIT */
/* Reading of recorded ioctls: decompress, split into lines, pick out what every call has. */
#include "trace.h"

#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text that grows. */
struct text {
	char *data;
	size_t size, room;
};

static int text_reserve(struct text *text, size_t more)
{
	char *data;

	if (text->room - text->size >= more)
		return 0;
	data = realloc(text->data, text->size * 2 + more);
	if (!data)
		return -ENOMEM;
	text->data = data;
	text->room = text->size * 2 + more;
	return 0;
}

static int read_file(const char *path, struct text *text)
{
	FILE *file = fopen(path, "re");
	int ret = file ? 0 : -errno;

	while (!ret && !feof(file) && !ferror(file)) {
		ret = text_reserve(text, 65536);
		if (!ret)
			text->size += fread(text->data + text->size, 1, 65536, file);
	}
	if (!ret && ferror(file))
		ret = -EIO;
	if (file)
		fclose(file);
	return ret;
}

/* Replace a compressed text by what it holds. */
static int decompress(struct text *text)
{
	struct text plain = {0};
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret result = lzma_stream_decoder(&stream, UINT64_MAX, 0);

	stream.next_in = (const uint8_t *)text->data;
	stream.avail_in = text->size;
	while (result == LZMA_OK) {
		if (text_reserve(&plain, 65536))
			break;
		stream.next_out = (uint8_t *)plain.data + plain.size;
		stream.avail_out = plain.room - plain.size;
		result = lzma_code(&stream, LZMA_FINISH);
		plain.size = plain.room - stream.avail_out;
	}
	lzma_end(&stream);
	free(text->data);
	*text = plain;
	return result == LZMA_STREAM_END ? 0 : -EBADMSG;
}

uint64_t trace_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		return strtoull(json_string_value(value), NULL, 0);
	return (uint64_t)json_integer_value(value);
}

const char *trace_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static struct trace_call call_of(const json_t *object, unsigned int line)
{
	uint64_t start = trace_number(object, "t");

	return (struct trace_call){
		.line = line,
		.start = start,
		.end = start + trace_number(object, "dur"),
		.fd = (int)trace_number(object, "fd"),
		.tid = (int)trace_number(object, "tid"),
		.name = trace_text(object, "name"),
		.request = trace_number(object, "cmd"),
		.args = json_object_get(object, "args"),
		.out = json_object_get(object, "out"),
		.ret = -(int)trace_number(object, "errno"),
	};
}

/* Lines that are no calls count as lines all the same. */
static int add_line(struct trace *trace, const char *text, size_t size, unsigned int line)
{
	json_t *object = json_loadb(text, size, 0, NULL);

	if (!object || json_array_append_new(trace->lines, object))
		return -EBADMSG;
	if (json_object_get(object, "ret"))
		trace->calls[trace->count++] = call_of(object, line);
	return 0;
}

static size_t count_lines(const struct text *text)
{
	size_t count = 1;

	for (size_t i = 0; i < text->size; i++)
		count += text->data[i] == '\n';
	return count;
}

static int parse_lines(struct trace *trace, const struct text *text)
{
	const char *at = text->data, *end = text->data + text->size;
	unsigned int line = 0;
	int ret = 0;

	trace->lines = json_array();
	trace->calls = calloc(count_lines(text), sizeof(*trace->calls));
	if (!trace->calls)
		return -ENOMEM;
	while (at < end && !ret) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((newline ? newline : end) - at);

		line++;
		if (size)
			ret = add_line(trace, at, size, line);
		at += size + 1;
	}
	return ret;
}

int trace_load(const char *path, struct trace *ret_trace)
{
	struct trace trace = {0};
	struct text text = {0};
	int ret = read_file(path, &text);

	if (!ret && strlen(path) > 3 && !strcmp(path + strlen(path) - 3, ".xz"))
		ret = decompress(&text);
	if (!ret)
		ret = parse_lines(&trace, &text);
	free(text.data);
	if (ret)
		trace_free(&trace);
	else
		*ret_trace = trace;
	return ret;
}

void trace_free(struct trace *trace)
{
	json_decref(trace->lines);
	free(trace->calls);
}
