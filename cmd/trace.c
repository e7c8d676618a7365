/* SPDX-License-Identifier: MIT */
/* Lines and fields of a trace, and saying precisely which one is wrong. See import.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "limit.h"

static void report(struct trace *trace, uint32_t line, uint32_t column, const char *text, size_t size,
		   const char *message)
{
	struct panbind_error error = {
		.code = -EINVAL, .stage = PANBIND_STAGE_PARSE, .op = PANBIND_NO_OP, .line = line, .column = column};
	struct error_context context = {.line = text, .line_size = size};

	snprintf(error.file, sizeof(error.file), "%s", trace->file);
	snprintf(error.msg, sizeof(error.msg), "%s", message);
	error_report(trace->cmd, &error, &context);
	trace->bad++;
}

int trace_fail(struct trace *trace, const struct trace_record *record, const char *path, const char *format, ...)
{
	char what[96], message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(message, sizeof(message), "%s: field '%s' %s", record->name ? record->name : "trace line", path, what);
	report(trace, record->line, 0, NULL, 0, message);
	return -EINVAL;
}

static int parse_text(const char *text, uint64_t *ret_value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	uint64_t value = strtoull(text, &end, text[0] == '0' && text[1] == 'x' ? 16 : 10);

	if (errno || *end)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static int number_of(struct trace *trace, const struct trace_record *record, const json_t *json, const char *path,
		     uint64_t *ret_value)
{
	if (!json)
		return trace_fail(trace, record, path, "is missing");
	if (json_is_integer(json) && json_integer_value(json) >= 0) {
		*ret_value = (uint64_t)json_integer_value(json);
		return 0;
	}
	if (json_is_string(json) && parse_text(json_string_value(json), ret_value) == 0)
		return 0;
	return trace_fail(trace, record, path,
			  "is not a number of 0 to 2^64-1 (an integer, or a string like \"0x1000\")");
}

int trace_number(struct trace *trace, const struct trace_record *record, const json_t *object, const char *parent,
		 const char *key, uint64_t *ret_value)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s%s", parent, *parent ? "." : "", key);
	return number_of(trace, record, json_object_get(object, key), path, ret_value);
}

int trace_number_or(struct trace *trace, const struct trace_record *record, const json_t *object, const char *parent,
		    const char *key, uint64_t missing, uint64_t *ret_value)
{
	if (json_object_get(object, key))
		return trace_number(trace, record, object, parent, key, ret_value);
	*ret_value = missing;
	return 0;
}

int trace_element(struct trace *trace, const struct trace_record *record, const char *key, size_t index,
		  uint64_t *ret_value)
{
	char path[64];

	snprintf(path, sizeof(path), "args.%s[%zu]", key, index);
	return number_of(trace, record, json_array_get(json_object_get(record->args, key), index), path, ret_value);
}

static bool is_wait(const char *name)
{
	return strcmp(name, "SYNCOBJ_WAIT") == 0 || strcmp(name, "SYNCOBJ_TIMELINE_WAIT") == 0;
}

static int read_result(struct trace *trace, struct trace_record *record)
{
	const json_t *ret = json_object_get(record->json, "ret"), *err = json_object_get(record->json, "errno");

	if (!json_is_integer(ret))
		return trace_fail(trace, record, "ret", "is not an integer");
	record->ret = json_integer_value(ret);
	if (err && (!json_is_integer(err) || json_integer_value(err) < 0 || json_integer_value(err) > 4095))
		return trace_fail(trace, record, "errno", "is not an errno");
	record->err = (int)json_integer_value(err);
	if (record->ret < 0 && !record->err)
		return trace_fail(trace, record, "errno", "is 0, but 'ret' is negative");
	return 0;
}

/* Everything but args and out, which depend on the name. */
static int read_common(struct trace *trace, struct trace_record *record)
{
	const json_t *json = record->json, *fd = json_object_get(json, "fd"), *pid = json_object_get(json, "pid");
	const json_t *tid = json_object_get(json, "tid");

	record->name = json_string_value(json_object_get(json, "name"));
	if (!record->name)
		return trace_fail(trace, record, "name", "is not a string");
	record->args = json_object_get(json, "args");
	record->out = json_object_get(json, "out");
	record->fd = json_is_integer(fd) ? json_integer_value(fd) : -1;
	record->pid = json_is_integer(pid) ? json_integer_value(pid) : -1;
	record->tid = json_is_integer(tid) ? json_integer_value(tid) : -1;
	if (trace_number(trace, record, json, "", "t", &record->start) ||
	    trace_number_or(trace, record, json, "", "dur", 0, &record->duration))
		return -EINVAL;
	if (strcmp(record->name, "MARK") != 0 && read_result(trace, record))
		return -EINVAL;
	record->key = record->start;
	if (is_wait(record->name) && record->ret >= 0)
		record->key += record->duration;
	return 0;
}

static int read_line(struct trace *trace, uint32_t number, const char *text, size_t size, struct trace_record *record)
{
	json_error_t error;

	*record = (struct trace_record){.line = number};
	record->json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!record->json) {
		report(trace, number, error.column > 0 ? (uint32_t)error.column : 1, text, size, error.text);
		return -EINVAL;
	}
	if (!json_is_object(record->json)) {
		report(trace, number, 1, text, size, "not a JSON object");
		return -EINVAL;
	}
	return read_common(trace, record);
}

static int add(struct trace *trace, const struct trace_record *record)
{
	if (trace->count == trace->room) {
		size_t room = trace->room ? 2 * trace->room : 256;
		struct trace_record *more = reallocarray(trace->records, room, sizeof(*more));

		if (!more) {
			error_say(trace->cmd, CMD_FAILED, -ENOMEM, "%s: out of memory", trace->file);
			return -ENOMEM;
		}
		trace->records = more;
		trace->room = room;
	}
	trace->records[trace->count++] = *record;
	return 0;
}

int trace_add(struct trace *trace, uint32_t line, json_t *json, bool bare)
{
	struct trace_record record = {.line = line, .json = json, .bare = bare};
	int error = json ? read_common(trace, &record) : -ENOMEM;

	if (!error)
		error = add(trace, &record);
	if (error)
		json_decref(json);
	return error;
}

static bool is_blank(const char *text, size_t size)
{
	return strspn(text, " \t\r") >= size;
}

int trace_read(struct trace *trace, const struct source *source)
{
	const char *at = source->text, *end = at + source->size;
	struct trace_record record;
	int error;

	for (uint32_t number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
		size_t size = (size_t)(stop - at);

		if (limit_reached())
			return -ECANCELED;
		error = is_blank(at, size) ? -ENODATA : read_line(trace, number, at, size, &record);
		if (!error)
			error = add(trace, &record);
		if (error && error != -ENODATA)
			json_decref(record.json);
		if (error == -ENOMEM || (error == -EINVAL && !trace->keep_going))
			return error;
		at = newline ? newline + 1 : end;
	}
	return 0;
}

void trace_free(struct trace *trace)
{
	for (size_t i = 0; i < trace->count; i++)
		json_decref(trace->records[i].json);
	free(trace->records);
	trace->records = NULL;
	trace->count = trace->room = 0;
}
