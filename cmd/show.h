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

/** Print the mappings as a table, or draw them. 0 or -ENOMEM. */
int show_vm(const struct show *show, bool map);
/** { name, id, va_range, state, mappings: [{va, size, bo, offset, flags, sparse}] } */
json_t *show_vm_json(const struct show *show);

/** The name of a BO: the session's, else its label, else "bo#HANDLE" in @buffer. */
const char *show_bo_name(struct panbind_session *session, const struct panbind_bo *bo, char buffer[OUT_NUMBER]);

#endif /* CMD_SHOW_H */
