/* SPDX-License-Identifier: MIT */
/*
 * Programs whose VMs the daemon has taken over, and those VMs. All of it belongs to the executor.
 *
 * An adoption is one open file of a program; it lives as long as one of its VMs is here. What the program binds by
 * itself is not told to anybody: before a call the ranges that it is about are looked at again, and what has changed is
 * recorded as the program's.
 */
#ifndef PBD_ADOPTION_H
#define PBD_ADOPTION_H

#include "engine_private.h"
#include "record.h"

struct adoption {
	struct panbind_device *device; /* on a duplicate of the program's descriptor */
	int fd;			       /* by which another one is known to be the same open file */
	int pidfd;		       /* readable when the program has ended; -1: nobody watches it */
	pid_t pid;
	char *program; /* its command line */
	size_t vms;    /* that are here */
};

/** A VM of a program under its name in the session. */
struct adopted {
	struct adopted *next;
	struct adoption *adoption;
	struct panbind_sight sight; /* of the last look at all of it */
	char **bos;		    /* names that the program's BOs were given for it */
	size_t bo_count;
	uint32_t id;
	bool told; /* the log has what it maps */
	char name[];
};

#define ADOPTED_MOST 64 /* open files of programs at the same time */

/** The program's VM of that name, or NULL. */
struct adopted *adopted_find(const struct engine *engine, const char *name);
/** Is it a name that a program's BO was given? */
bool adopted_has_bo(const struct engine *engine, const char *name);
/** Read what the VM maps, give the program's BOs names, and record them and what has changed since the last time. */
int adopted_look(struct engine *engine, struct adopted *adopted, uint64_t va, uint64_t size);
/** Let the VM go: log, then let go. @request may be NULL. 0 or a negative errno: the log does not take it. */
int adopted_drop(struct engine *engine, struct adopted *adopted, struct request *request, const char *why);
/** Let go of what is not recorded, or of what the log has already. */
void adopted_free(struct engine *engine, struct adopted *adopted);

/** The adoption of this open file, or NULL. */
struct adoption *adoption_find(const struct engine *engine, int fd);
/** Open a program's file; @fd is taken in any case. */
int adoption_open(struct engine *engine, int fd, pid_t pid, struct adoption **ret_adoption,
		  struct panbind_error *reterr);
/** When none of its VMs is here. */
void adoption_close(struct engine *engine, struct adoption *adoption);

/* ---- adoption_look.c ---- */

/** What a part of a VM maps, so that changes of it can be found. */
struct pieces {
	struct piece {
		uint64_t va, size, bo_offset;
		struct panbind_bo *bo; /* counted */
		uint32_t flags;
		enum panbind_log_op_type type; /* MAP, MAP_SPARSE, UNKNOWN */
	} * pieces;
	size_t count, room;
};
int pieces_take(struct panbind_vm *vm, uint64_t va, uint64_t size, struct pieces *ret_pieces);
void pieces_free(struct pieces *pieces);
/** The ops that lead from one to the other: what lies between the first and the last difference, anew. */
int pieces_record(struct record *record, const char *vm, const struct pieces *before, const struct pieces *after,
		  const char *comment);

#endif /* PBD_ADOPTION_H */
