/* SPDX-License-Identifier: MIT */
/* A VM as a session knows it: a table of its mappings, a picture, or JSON. */
#ifndef CMD_SHOW_H
#define CMD_SHOW_H

#include "cmd.h"
#include "panbind.h"

struct show {
	struct cmd *cmd;
	struct panbind_session *session; /* for the names of BOs */
	const char *name;
	struct panbind_vm *vm;
};

/** What is shown of a VM, wherever it lives. */
struct show_view {
	const struct cmd *cmd;
	const char *name, *state;
	uint64_t va_range;
	uint64_t map_generation;		/* 0: not shown */
	const struct panbind_mapping *mappings; /* their BOs are only given to @describe */
	size_t count;
	void (*describe)(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size);
	void *data;
};

/** Print as a table, or draw. 0 or -ENOMEM. */
int show_view(const struct show_view *view, bool map);
/** Print the mappings as a table, or draw them. 0 or -ENOMEM. */
int show_vm(const struct show *show, bool map);
/** { name, id, va_range, state, mappings: [{va, size, bo, offset, flags, sparse}] } */
json_t *show_vm_json(const struct show *show);

/** The name of a BO: the session's, else its label, else "bo#HANDLE" in @buffer. */
const char *show_bo_name(struct panbind_session *session, const struct panbind_bo *bo, char buffer[OUT_NUMBER]);

#endif /* CMD_SHOW_H */
