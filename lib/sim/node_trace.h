/* SPDX-License-Identifier: MIT */
/*
 * How the arguments of an ioctl are written into a trace: one table, by number, as in the kernel.
 */
#ifndef NODE_TRACE_H
#define NODE_TRACE_H

#include <stdint.h>
#include <stdio.h>

/** An argument block as fetched from the caller, with room for all that are known; what it lacks is zero. */
union node_block {
	uint64_t words[16];
	char bytes[128];
};

/** A row: its name in traces, and what goes between the braces of "args" and "out". NULL: nothing. */
struct node_trace_row {
	uint32_t nr;
	const char *name;
	void (*args)(FILE *stream, const union node_block *block);
	void (*out)(FILE *stream, const union node_block *block);
};

/** The row of a request, or NULL. */
const struct node_trace_row *node_trace_row(unsigned long request);

#endif /* NODE_TRACE_H */
