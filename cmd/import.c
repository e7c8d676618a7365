/* SPDX-License-Identifier: MIT */
/* The importer's loop, and every ioctl but VM_BIND. See import.h for the order of things. */
#include "import.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"

/* ---- Writing ---- */

static void flush_comment(struct import *import)
{
	if (import->comment_count > 1)
		fprintf(import->script, "# %s (%" PRIu32 " times)\n", import->comment, import->comment_count);
	else if (import->comment_count)
		fprintf(import->script, "# %s\n", import->comment);
	import->comment_count = 0;
}

void import_line(struct import *import, const char *format, ...)
{
	va_list args;

	flush_comment(import);
	va_start(args, format);
	vfprintf(import->script, format, args);
	va_end(args);
	putc('\n', import->script);
	import->commands++;
}

/* What a comment holds came from outside: no byte of it may end the line. */
void import_comment(struct import *import, const char *format, ...)
{
	char text[sizeof(import->comment)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	if (strcmp(text, import->comment) != 0)
		flush_comment(import);
	snprintf(import->comment, sizeof(import->comment), "%s", text);
	import->comment_count++;
	import->comments++;
}

const char *import_expect(const struct trace_record *record, char text[IMPORT_NAME])
{
	text[0] = '\0';
	if (record->ret < 0)
		snprintf(text, IMPORT_NAME, "expect %s ", panbind_errno_name(record->err));
	return text;
}

/* ---- Names ---- */

const char *import_prefix(const struct import *import, const struct trace_record *record, char prefix[IMPORT_NAME])
{
	size_t used = 0;

	prefix[0] = '\0';
	if (import->several_processes)
		used += (size_t)snprintf(prefix, IMPORT_NAME, "pid%" PRId64 ".", record->pid);
	if (import->several_files)
		snprintf(prefix + used, IMPORT_NAME - used, "fd%" PRId64 ".", record->fd);
	return prefix;
}

const char *import_name(const struct import *import, const struct trace_record *record, const char *kind, uint64_t id,
			char name[IMPORT_NAME])
{
	size_t used = strlen(import_prefix(import, record, name));

	snprintf(name + used, IMPORT_NAME - used, "%s%" PRIu64, kind, id);
	return name;
}

bool import_is_live(const struct import *import, const char *name)
{
	return json_object_get(import->live, name) != NULL;
}

int import_object(struct import *import, const struct trace_record *record, const char *path, const char *kind,
		  uint64_t id, char name[IMPORT_NAME])
{
	import_name(import, record, kind, id, name);
	if (import_is_live(import, name))
		return 0;
	return trace_fail(&import->trace, record, path,
			  "names %s%" PRIu64 ", which no line before this one created on fd %" PRId64, kind, id,
			  record->fd);
}

static const char *verb_of(const char *kind)
{
	return strcmp(kind, "so") == 0 ? "syncobj" : kind;
}

/* An id that is given out twice: the file was closed and opened again, or the object went in a way that is not traced.
 */
static void born(struct import *import, const struct trace_record *record, const char *kind, const char *name)
{
	if (import_is_live(import, name)) {
		import_comment(import, "line %" PRIu32 ": %s is created again; the trace does not say how it went",
			       record->line, name);
		import_line(import, "%s destroy %s", verb_of(kind), name);
	}
	json_object_set_new(import->live, name, json_integer(record->line));
}

/* A create that failed has no id: its name only has to be a new one. */
static const char *failed_name(const struct trace_record *record, char name[IMPORT_NAME])
{
	snprintf(name, IMPORT_NAME, "none%" PRIu32, record->line);
	return name;
}

static int new_object(struct import *import, const struct trace_record *record, const char *kind, const char *id_key,
		      char name[IMPORT_NAME])
{
	uint64_t id;

	if (record->ret < 0) {
		failed_name(record, name);
		return 0;
	}
	if (trace_number(&import->trace, record, record->out, "out", id_key, &id))
		return -EINVAL;
	born(import, record, kind, import_name(import, record, kind, id, name));
	return 0;
}

static int destroy(struct import *import, const struct trace_record *record, const char *kind, const char *key)
{
	char name[IMPORT_NAME], path[32];
	uint64_t id;

	if (record->ret < 0) {
		import_comment(import, "%s failed with %s", record->name, panbind_errno_name(record->err));
		return 0;
	}
	snprintf(path, sizeof(path), "args.%s", key);
	if (trace_number(&import->trace, record, record->args, "args", key, &id) ||
	    import_object(import, record, path, kind, id, name))
		return -EINVAL;
	import_line(import, "%s destroy %s", verb_of(kind), name);
	json_object_del(import->live, name);
	return 0;
}

/* ---- VMs and BOs ---- */

static int import_vm_create(struct import *import, const struct trace_record *record)
{
	char name[IMPORT_NAME], expect[IMPORT_NAME], va[OUT_NUMBER + 8] = "";
	uint64_t range;

	if (trace_number_or(&import->trace, record, record->args, "args", "user_va_range", 0, &range) ||
	    new_object(import, record, "vm", "id", name))
		return -EINVAL;
	if (range)
		snprintf(va, sizeof(va), " --va=0x%" PRIx64, range);
	import_line(import, "%svm create %s%s", import_expect(record, expect), name, va);
	return 0;
}

static int import_vm_destroy(struct import *import, const struct trace_record *record)
{
	return destroy(import, record, "vm", "id");
}

static int import_vm_get_state(struct import *import, const struct trace_record *record)
{
	char name[IMPORT_NAME];
	uint64_t id, state;

	if (record->ret < 0) {
		import_comment(import, "%s failed with %s", record->name, panbind_errno_name(record->err));
		return 0;
	}
	if (trace_number(&import->trace, record, record->args, "args", "vm_id", &id) ||
	    trace_number(&import->trace, record, record->out, "out", "state", &state) ||
	    import_object(import, record, "args.vm_id", "vm", id, name))
		return -EINVAL;
	import_line(import, "assert state %s %s", name, state ? "unusable" : "usable");
	return 0;
}

static int import_bo_create(struct import *import, const struct trace_record *record)
{
	char name[IMPORT_NAME], vm[IMPORT_NAME], expect[IMPORT_NAME];
	uint64_t size, flags, exclusive;

	if (trace_number(&import->trace, record, record->args, "args", "size", &size) ||
	    trace_number_or(&import->trace, record, record->args, "args", "flags", 0, &flags) ||
	    trace_number_or(&import->trace, record, record->args, "args", "exclusive_vm_id", 0, &exclusive))
		return -EINVAL;
	if (record->ret < 0 && ((flags & ~UINT64_C(3)) || !size)) {
		import_comment(import, "line %" PRIu32 ": a BO that panbind refuses to ask for failed with %s",
			       record->line, panbind_errno_name(record->err));
		return 0;
	}
	if (exclusive && import_object(import, record, "args.exclusive_vm_id", "vm", exclusive, vm))
		return -EINVAL;
	if (new_object(import, record, "bo", "handle", name))
		return -EINVAL;
	import_line(import, "%sbo create %s 0x%" PRIx64 "%s%s%s%s", import_expect(record, expect), name, size,
		    exclusive ? " --vm=" : "", exclusive ? vm : "", flags & 1 ? " --no-mmap" : "",
		    flags & 2 ? " --wb" : "");
	return 0;
}

/* A handle that no BO_CREATE gave out came by PRIME: not a BO of this script. */
static int import_gem_close(struct import *import, const struct trace_record *record)
{
	char name[IMPORT_NAME];
	uint64_t handle;

	if (trace_number(&import->trace, record, record->args, "args", "handle", &handle))
		return -EINVAL;
	if (record->ret >= 0 && import_is_live(import, import_name(import, record, "bo", handle, name)))
		return destroy(import, record, "bo", "handle");
	import_comment(import, "GEM_CLOSE of handle %" PRIu64, handle);
	return 0;
}

/* ---- Syncobjs ---- */

static int import_syncobj_create(struct import *import, const struct trace_record *record)
{
	char name[IMPORT_NAME], expect[IMPORT_NAME];
	uint64_t flags;

	if (trace_number_or(&import->trace, record, record->args, "args", "flags", 0, &flags) ||
	    new_object(import, record, "so", "handle", name))
		return -EINVAL;
	import_line(import, "%ssyncobj create %s%s", import_expect(record, expect), name,
		    flags & 1 ? " --signaled" : "");
	return 0;
}

static int import_syncobj_destroy(struct import *import, const struct trace_record *record)
{
	return destroy(import, record, "so", "handle");
}

/* "NAME" or "NAME:POINT" for element @index of args.handles and args.points. */
static int sync_point(struct import *import, const struct trace_record *record, size_t index,
		      char text[IMPORT_NAME + 24])
{
	char name[IMPORT_NAME], path[32];
	uint64_t handle, point = 0;

	snprintf(path, sizeof(path), "args.handles[%zu]", index);
	if (trace_element(&import->trace, record, "handles", index, &handle) ||
	    (json_object_get(record->args, "points") &&
	     trace_element(&import->trace, record, "points", index, &point)) ||
	    import_object(import, record, path, "so", handle, name))
		return -EINVAL;
	snprintf(text, IMPORT_NAME + 24, point ? "%s:%" PRIu64 : "%s", name, point);
	return 0;
}

/* RESET, SIGNAL and TIMELINE_SIGNAL: one line a handle. */
static int each_handle(struct import *import, const struct trace_record *record, const char *what)
{
	size_t count = json_array_size(json_object_get(record->args, "handles"));
	char point[IMPORT_NAME + 24], expect[IMPORT_NAME];

	if (!count)
		return trace_fail(&import->trace, record, "args.handles", "is not an array with something in it");
	for (size_t i = 0; i < count; i++) {
		if (sync_point(import, record, i, point))
			return -EINVAL;
		import_line(import, "%ssyncobj %s %s", import_expect(record, expect), what, point);
	}
	return 0;
}

static int import_syncobj_reset(struct import *import, const struct trace_record *record)
{
	return each_handle(import, record, "reset");
}

static int import_syncobj_signal(struct import *import, const struct trace_record *record)
{
	return each_handle(import, record, "signal");
}

/* The recorded timeout is a point in time on the recorded machine's clock, the one of `t`. 0 is a poll. */
static void wait_timeout(const struct trace_record *record, uint64_t timeout, char text[OUT_NUMBER])
{
	uint64_t left = timeout > record->start ? timeout - record->start : 0;
	uint64_t ms = left / 1000000 + (left % 1000000 != 0);

	text[0] = '\0';
	if (timeout >= INT64_MAX)
		return;
	if (record->ret >= 0 && ms < IMPORT_PATIENCE_MS)
		ms = IMPORT_PATIENCE_MS;
	snprintf(text, OUT_NUMBER, " --timeout=%" PRIu64, ms);
}

static int import_syncobj_wait(struct import *import, const struct trace_record *record)
{
	size_t count = json_array_size(json_object_get(record->args, "handles"));
	char point[IMPORT_NAME + 24], expect[IMPORT_NAME], timeout[OUT_NUMBER];
	uint64_t flags, deadline;

	if (!count)
		return trace_fail(&import->trace, record, "args.handles", "is not an array with something in it");
	if (trace_number(&import->trace, record, record->args, "args", "flags", &flags) ||
	    trace_number(&import->trace, record, record->args, "args", "timeout_nsec", &deadline))
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if (sync_point(import, record, i, point))
			return -EINVAL;
	flush_comment(import);
	fprintf(import->script, "%ssyncobj wait", import_expect(record, expect));
	for (size_t i = 0; i < count; i++) {
		sync_point(import, record, i, point);
		fprintf(import->script, " %s", point);
	}
	wait_timeout(record, deadline, timeout);
	import_line(import, "%s%s%s%s", flags & 1 && count > 1 ? " --all" : "", flags & 2 ? " --for-submit" : "",
		    flags & 4 ? " --available" : "", timeout);
	return 0;
}

/* The answer may have been in flight when it was asked for, so the script waits until it can be true. */
static int import_syncobj_query(struct import *import, const struct trace_record *record)
{
	size_t count = json_array_size(json_object_get(record->args, "handles"));
	const json_t *points = json_object_get(record->out, "points");
	char name[IMPORT_NAME + 24];
	uint64_t flags;

	if (trace_number_or(&import->trace, record, record->args, "args", "flags", 0, &flags))
		return -EINVAL;
	if (record->ret < 0 || flags) {
		import_comment(import, "SYNCOBJ_QUERY with flags 0x%" PRIx64 ": no counterpart", flags);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		const json_t *point = json_array_get(points, i);

		if (!json_is_integer(point) || json_integer_value(point) < 0)
			return trace_fail(&import->trace, record, "out.points", "does not hold a point a handle");
		if (sync_point(import, record, i, name))
			return -EINVAL;
		if (json_integer_value(point))
			import_line(import, "syncobj wait %s:%" JSON_INTEGER_FORMAT " --for-submit --timeout=%d", name,
				    json_integer_value(point), IMPORT_PATIENCE_MS);
		import_line(import, "assert point %s %" JSON_INTEGER_FORMAT, name, json_integer_value(point));
	}
	return 0;
}

/* ---- The loop ---- */

static int import_mark(struct import *import, const struct trace_record *record)
{
	const char *text = json_string_value(json_object_get(record->args, "text"));

	if (!text)
		return trace_fail(&import->trace, record, "args.text", "is not a string");
	import_comment(import, "--- %s", text);
	return 0;
}

static const struct {
	const char *name;
	int (*import)(struct import *import, const struct trace_record *record);
	bool creates; /* gives an object a name */
} ioctls[] = {
	{"PANTHOR_VM_BIND", import_vm_bind},
	{"SYNCOBJ_WAIT", import_syncobj_wait},
	{"SYNCOBJ_TIMELINE_WAIT", import_syncobj_wait},
	{"SYNCOBJ_RESET", import_syncobj_reset},
	{"PANTHOR_VM_GET_STATE", import_vm_get_state},
	{"PANTHOR_VM_CREATE", import_vm_create, true},
	{"PANTHOR_VM_DESTROY", import_vm_destroy},
	{"PANTHOR_BO_CREATE", import_bo_create, true},
	{"GEM_CLOSE", import_gem_close},
	{"SYNCOBJ_CREATE", import_syncobj_create, true},
	{"SYNCOBJ_DESTROY", import_syncobj_destroy},
	{"SYNCOBJ_SIGNAL", import_syncobj_signal},
	{"SYNCOBJ_TIMELINE_SIGNAL", import_syncobj_signal},
	{"SYNCOBJ_QUERY", import_syncobj_query},
	{"MARK", import_mark},
};
#define IOCTLS (sizeof(ioctls) / sizeof(ioctls[0]))

static size_t find_ioctl(const struct trace_record *record)
{
	size_t i = 0;

	while (i < IOCTLS && strcmp(ioctls[i].name, record->name) != 0)
		i++;
	return i;
}

/* A call of which only when, who and what came of it is known. */
static int import_bare(struct import *import, const struct trace_record *record)
{
	import_comment(import, "%" PRIu64 ".%06u pid %" PRId64 " fd %" PRId64 ": %s %s, %" PRIu64 " us",
		       record->start / 1000000000, (unsigned)(record->start % 1000000000 / 1000), record->pid,
		       record->fd, record->name, record->ret < 0 ? panbind_errno_name(record->err) : "ok",
		       record->duration / 1000);
	return 0;
}

static int import_record(struct import *import, const struct trace_record *record)
{
	size_t i = find_ioctl(record);

	if (record->bare)
		return import_bare(import, record);

	if (i < IOCTLS)
		return ioctls[i].import(import, record);
	if (record->ret < 0)
		import_comment(import, "fd %" PRId64 ": %s failed with %s", record->fd, record->name,
			       panbind_errno_name(record->err));
	else
		import_comment(import, "fd %" PRId64 ": %s", record->fd, record->name);
	return 0;
}

/* Handles are per open file: when objects were created on several, names have to say on which. */
static void look_at_files(struct import *import)
{
	const struct trace_record *first = NULL;

	for (size_t i = 0; i < import->trace.count; i++) {
		const struct trace_record *record = &import->trace.records[i];
		size_t at = find_ioctl(record);

		if (at == IOCTLS || !ioctls[at].creates || record->bare)
			continue;
		if (!first)
			first = record;
		import->several_files |= record->fd != first->fd || record->pid != first->pid;
		import->several_processes |= record->pid != first->pid;
	}
}

static int by_key(const void *a, const void *b)
{
	const struct trace_record *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

void import_sort(struct import *import)
{
	struct trace *trace = &import->trace;

	if (trace->count)
		qsort(trace->records, trace->count, sizeof(*trace->records), by_key);
	look_at_files(import);
}

int import_run(struct import *import)
{
	struct trace *trace = &import->trace;

	import_sort(import);
	fprintf(import->script, "# Made by 'panbind import' from %s\n", trace->file);
	for (size_t i = 0; i < trace->count; i++) {
		if (limit_reached())
			return -ECANCELED;
		if (import_record(import, &trace->records[i]) && !trace->keep_going)
			return -EINVAL;
	}
	flush_comment(import);
	return 0;
}
