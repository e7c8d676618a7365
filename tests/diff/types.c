/* SPDX-License-Identifier: MIT */
/*
 * The types of nodes that programs are made of. run_*.c does what a step says; generate.c makes steps up.
 */
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define AUTO DIFF_AUTO
#define FIELD(name, cls)   \
	{                  \
		name, cls, \
		{          \
			0  \
		}          \
	}
#define FIELD_AUTO(name, cls)  \
	{                      \
		name, cls,     \
		{              \
			0, 'a' \
		}              \
	}
/* Every ioctl has an argument, which can be of another size or in a bad place. */
#define ARG   FIELD("arg", DIFF_MEMORY), FIELD_AUTO("len", DIFF_LENGTH)
#define ARRAY FIELD_AUTO("count", DIFF_COUNT), FIELD("mem", DIFF_MEMORY)

static const struct diff_type types[] = {
	/* Open files are opened by the first step that needs them. */
	{"close", .fields = {{0}}},

	{"version", .fields = {FIELD("room", DIFF_COUNT), FIELD("mem", DIFF_MEMORY), ARG}},
	{"get_cap", .fields = {FIELD("cap", DIFF_ANY), ARG}},
	{"dev_query",
	 .fields = {FIELD("type", DIFF_ANY), FIELD_AUTO("size", DIFF_COUNT), FIELD("mem", DIFF_MEMORY), ARG}},
	{"ioctl", .fields = {FIELD("type", DIFF_ANY), FIELD("nr", DIFF_ANY), FIELD("size", DIFF_ANY)}},

	{"vm_create", .out = 'v', .fields = {FIELD("range", DIFF_SIZE), FIELD("flags", DIFF_FLAGS), ARG}},
	{"vm_destroy", .fields = {FIELD("vm", DIFF_HANDLE), FIELD("pad", DIFF_FLAGS), ARG}},
	{"vm_state", .fields = {FIELD("vm", DIFF_HANDLE), ARG}},
	/* What all VMs map, by their page tables. */
	{"tables", .fields = {{0}}},

	{"bo_create", .out = 'b',
	 .fields = {FIELD("size", DIFF_SIZE), FIELD("flags", DIFF_FLAGS), FIELD("vm", DIFF_HANDLE),
		    FIELD("pad", DIFF_FLAGS), ARG}},
	{"bo_close", .fields = {FIELD("bo", DIFF_HANDLE), FIELD("pad", DIFF_FLAGS), ARG}},
	{"bo_offset", .out = 'm', .fields = {FIELD("bo", DIFF_HANDLE), FIELD("pad", DIFF_FLAGS), ARG}},
	{"bo_info", .fields = {FIELD("bo", DIFF_HANDLE), FIELD("pad", DIFF_FLAGS), ARG}},
	{"bo_sync", .fields = {FIELD("bo", DIFF_HANDLE), FIELD("type", DIFF_ANY), FIELD("offset", DIFF_VA),
			       FIELD("size", DIFF_SIZE), ARRAY, FIELD_AUTO("stride", DIFF_STRIDE), ARG}},
	/* Map for the CPU: @prot as for mmap(2). Reads or, with @value, writes four bytes at @at. */
	{"mmap", .fields = {FIELD("offset", DIFF_HANDLE), FIELD("size", DIFF_SIZE), FIELD("prot", DIFF_FLAGS),
			    FIELD("at", DIFF_VA), FIELD("value", DIFF_ANY)}},

	{"export", .out = 'd', .fields = {FIELD("bo", DIFF_HANDLE), FIELD("flags", DIFF_FLAGS), ARG}},
	{"import", .out = 'b', .fields = {FIELD("fd", DIFF_HANDLE), FIELD("flags", DIFF_FLAGS), ARG}},
	{"fd_size", .fields = {FIELD("fd", DIFF_HANDLE)}},
	{"fd_close", .fields = {FIELD("fd", DIFF_HANDLE)}},

	{"bind", .children = DIFF_OPS,
	 .fields = {FIELD("vm", DIFF_HANDLE), FIELD("flags", DIFF_FLAGS), ARRAY, FIELD_AUTO("stride", DIFF_STRIDE),
		    FIELD("tail", DIFF_FLAGS), ARG}},
#define OP_FIELDS                                                                                           \
	FIELD("bo", DIFF_HANDLE), FIELD("offset", DIFF_VA), FIELD("va", DIFF_VA), FIELD("size", DIFF_SIZE), \
		FIELD("flags", DIFF_FLAGS), ARRAY, FIELD_AUTO("stride", DIFF_STRIDE), FIELD("tail", DIFF_FLAGS)
	{"map", .is = DIFF_OPS, .children = DIFF_SYNCS, .fields = {OP_FIELDS}},
	{"unmap", .is = DIFF_OPS, .children = DIFF_SYNCS, .fields = {OP_FIELDS}},
	{"sync_only", .is = DIFF_OPS, .children = DIFF_SYNCS, .fields = {OP_FIELDS}},
#define SYNC_FIELDS FIELD("sync", DIFF_HANDLE), FIELD("point", DIFF_POINT), FIELD("flags", DIFF_FLAGS)
	/* @flags on top of what the type says. A point makes it a timeline's. */
	{"wait_for", .is = DIFF_SYNCS, .fields = {SYNC_FIELDS}},
	{"signal_to", .is = DIFF_SYNCS, .fields = {SYNC_FIELDS}},

	{"sync_create", .out = 's', .fields = {FIELD("flags", DIFF_FLAGS), ARG}},
	{"sync_destroy", .fields = {FIELD("sync", DIFF_HANDLE), FIELD("pad", DIFF_FLAGS), ARG}},
	{"sync_reset", .children = DIFF_HANDLES, .fields = {FIELD("pad", DIFF_FLAGS), ARRAY, ARG}},
	{"sync_signal", .children = DIFF_HANDLES, .fields = {FIELD("pad", DIFF_FLAGS), ARRAY, ARG}},
	{"timeline_signal", .children = DIFF_HANDLES,
	 .fields = {FIELD("flags", DIFF_FLAGS), ARRAY, FIELD("points", DIFF_MEMORY), ARG}},
	{"query", .children = DIFF_HANDLES,
	 .fields = {FIELD("flags", DIFF_FLAGS), ARRAY, FIELD("points", DIFF_MEMORY), ARG}},
	/* @ms from now; 0 only looks. */
	{"wait", .children = DIFF_HANDLES, .fields = {FIELD("flags", DIFF_FLAGS), FIELD("ms", DIFF_COUNT), ARRAY, ARG}},
	{"timeline_wait", .children = DIFF_HANDLES,
	 .fields = {FIELD("flags", DIFF_FLAGS), FIELD("ms", DIFF_COUNT), ARRAY, FIELD("points", DIFF_MEMORY), ARG}},
	{"handle", .is = DIFF_HANDLES, .fields = {FIELD("sync", DIFF_HANDLE), FIELD("point", DIFF_POINT)}},
	{"transfer",
	 .fields = {FIELD("to", DIFF_HANDLE), FIELD("from", DIFF_HANDLE), FIELD("to_point", DIFF_POINT),
		    FIELD("from_point", DIFF_POINT), FIELD("flags", DIFF_FLAGS), FIELD("pad", DIFF_FLAGS), ARG}},
	{"sync_export", .out = 'd',
	 .fields = {FIELD("sync", DIFF_HANDLE), FIELD("flags", DIFF_FLAGS), FIELD("pad", DIFF_FLAGS),
		    FIELD("point", DIFF_POINT), ARG}},
	{"sync_import", .out = 's',
	 .fields = {FIELD("fd", DIFF_HANDLE), FIELD("sync", DIFF_HANDLE), FIELD("flags", DIFF_FLAGS),
		    FIELD("pad", DIFF_FLAGS), FIELD("point", DIFF_POINT), ARG}},
	/* The state of a sync file. */
	{"fence", .fields = {FIELD("fd", DIFF_HANDLE)}},
	/* A new eventfd, or with @bad an fd that is none. */
	{"eventfd", .out = 'd',
	 .fields = {FIELD("sync", DIFF_HANDLE), FIELD("point", DIFF_POINT), FIELD("flags", DIFF_FLAGS),
		    FIELD("pad", DIFF_FLAGS), FIELD("bad", DIFF_FLAGS), ARG}},
	{"fired", .fields = {FIELD("fd", DIFF_HANDLE)}},
};

const struct diff_type *diff_type_at(size_t i)
{
	return i < sizeof(types) / sizeof(types[0]) ? &types[i] : NULL;
}

const struct diff_type *diff_type(const char *name)
{
	const struct diff_type *type;

	for (size_t i = 0; (type = diff_type_at(i)); i++)
		if (strcmp(type->name, name) == 0)
			return type;
	return NULL;
}

size_t diff_type_fields(const struct diff_type *type)
{
	size_t count = 0;

	while (type->fields[count].name)
		count++;
	return count;
}

size_t diff_field(const struct diff_type *type, const char *name)
{
	for (size_t i = 0; type->fields[i].name; i++)
		if (strcmp(type->fields[i].name, name) == 0)
			return i;
	fprintf(stderr, "a %s has no %s\n", type->name, name);
	abort();
}
