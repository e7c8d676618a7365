/* SPDX-License-Identifier: MIT */
/* Recorded ioctls: tests/data/traces, whose README.md tells what the lines mean. */
#ifndef SUPPORT_TRACE_H
#define SUPPORT_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/** One call as it was recorded. Strings and objects belong to the trace. */
struct trace_call {
	unsigned int line; /* in the file, from 1 */
	uint64_t start, end;
	int fd, tid;
	const char *name;
	unsigned long request; /* 0 for mmap */
	const json_t *args, *out;
	int ret; /* 0 or a negative errno */
};

struct trace {
	json_t *lines; /* what the calls point into */
	struct trace_call *calls;
	size_t count;
};

/** Read a .jsonl or .jsonl.xz file. Lines that are no calls (MARK) are left out. 0 or a negative errno. */
int trace_load(const char *path, struct trace *ret_trace);
void trace_free(struct trace *trace);

/** A number of an object: an integer, or a string in hex. 0 when it is not there. */
uint64_t trace_number(const json_t *object, const char *key);
const char *trace_text(const json_t *object, const char *key);

#endif /* SUPPORT_TRACE_H */
