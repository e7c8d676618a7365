/* SPDX-License-Identifier: MIT */
/*
 * Pictures of VMs for a file: what a session of this process, a plan or the daemon knows is copied first, and drawn by
 * svg.c when all is there.
 */
#ifndef CMD_PICTURE_H
#define CMD_PICTURE_H

#include <jansson.h>

#include "client.h"
#include "cmd.h"
#include "svg.h"

/** One VM as it was when it was taken. A mapping's BO is its name, a JSON string, of which each name has one. */
struct picture_vm {
	char *name, *subtitle;
	uint64_t va_range;
	struct panbind_mapping *mappings;
	size_t count;
	char **who; /* by mapping; NULL: nobody knows */
	json_t *names, *sizes;
	struct svg_lock *locks;
	size_t lock_count, lock_room;
};

struct picture {
	struct picture_vm *vms;
	size_t count;
	bool failed; /* there was not enough memory */
	/* A plan's VM that is empty before the transaction: to be taken at its end. Borrowed from the last event. */
	struct panbind_vm *later;
	struct panbind_session *later_names;
};

/** Add a VM of this process. @session knows the names of its BOs. */
void picture_take(struct picture *picture, const char *name, const char *subtitle, struct panbind_vm *vm,
		  struct panbind_session *session);
/** Take the VM that was added last anew. */
void picture_retake(struct picture *picture, const char *subtitle, struct panbind_vm *vm,
		    struct panbind_session *session);
/** Add a VM as vm.show has it, with its whole map; the log of the daemon tells who bound what. */
void picture_take_remote(struct picture *picture, struct client *client, const json_t *vm, const char *subtitle);
/** Draw a lock over the VM that was added last. */
void picture_lock(struct picture *picture, uint64_t va, uint64_t size, const char *text);
/** Write all to the file @path. Returns an exit status; an error is reported. */
int picture_write(const struct picture *picture, struct cmd *cmd, const char *path);
void picture_free(struct picture *picture);

/* ---- picture_plan.c: plans ---- */

/** Take a PANBIND_EVENT_PLAN or PANBIND_EVENT_PLAN_END: the VM before its batch is bound (when it is empty
 * then, after it), and what that locks. */
void picture_plan_event(struct picture *picture, const struct panbind_event *event);
/** The same from what state.plan answers: VMs that are there now. Returns an exit status. */
int picture_plan_remote(struct picture *picture, struct client *client, const json_t *transactions);

#endif /* CMD_PICTURE_H */
