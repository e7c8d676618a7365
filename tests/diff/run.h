/* SPDX-License-Identifier: MIT */
/*
 * Running a program against a device through the raw ABI, and what it answered as text.
 *
 * There is one line for each step and some at the end, which show what is left: mappings, VM states, syncobjs. Two
 * devices are alike when their texts are. What may differ from device to device is left out or given another name;
 * README.md has each with its reason.
 */
#ifndef DIFF_RUN_H
#define DIFF_RUN_H

#include "backend.h"
#include "program.h"
#include "uapi.h"

struct diff_runner;

/**
 * What runs programs on files of @spec. @careful: leave out steps that an unpatched driver does not survive
 * (run_careful.c has the list), whatever the device is.
 */
int diff_runner_create(const char *spec, bool careful, struct diff_runner **ret_runner);
void diff_runner_destroy(struct diff_runner *runner);
/** Run a program; its files are closed when it ends. The answer is for free(3). */
char *diff_run(struct diff_runner *runner, const struct diff_program *program);

/* ---- What the rooms of run*.c share ---- */

/** Memory for one step's arrays and argument: run_memory.c. */
struct diff_memory_pool;

struct diff_fd {
	int fd; /* -1: none */
	bool is_eventfd;
};

struct diff_world {
	char spec[256];
	struct pb_file *file[DIFF_FILES];
	uint64_t slot[sizeof(DIFF_KINDS) - 1][DIFF_SLOTS];
	struct diff_fd fd[DIFF_SLOTS]; /* behind the slots of kind 'd' */
	struct diff_memory_pool *pool;
	FILE *out;
	bool careful;
	/* What is there by what was answered: a bit for each id or handle below 64. */
	uint64_t vms[DIFF_FILES], bos[DIFF_FILES], syncs[DIFF_FILES];
	uint64_t vm_range[DIFF_FILES][64];
	/* Whose mmap offset is in a slot of kind 'm', and how often its handle had been opened by then. */
	struct diff_offset {
		unsigned file, opened;
		uint32_t bo;
	} offset[DIFF_SLOTS];
	unsigned opened[DIFF_FILES][64];
	unsigned vm_age[DIFF_FILES][64], next_age; /* the order in which VMs were made */
	uint64_t busy[DIFF_FILES];		   /* VMs with jobs that may not have ended */
	uint64_t queued[DIFF_FILES];		   /* VMs that ever had jobs */
	bool renewed;				   /* such a VM is gone, and its id another's */
};

/** The value of a field. */
uint64_t diff_get(const struct diff_world *world, const struct diff_node *node, const char *field);
bool diff_get_auto(const struct diff_node *node, const char *field);
/** Put a result into the node's slot. */
void diff_put(struct diff_world *world, const struct diff_node *node, uint64_t value);
/** The same for an fd, which the world closes. */
void diff_put_fd(struct diff_world *world, const struct diff_node *node, int fd, bool is_eventfd);
/** The open file of a step, or NULL when it cannot be opened. */
struct pb_file *diff_file(struct diff_world *world, unsigned file);
/** Issue the ioctl as the fields arg and len of the step say; prints the errno. @arg is written back. */
int diff_issue(struct diff_world *world, const struct diff_node *node, unsigned long request, void *arg);
/** The same as it is, and silently: for what the runner does for itself. */
int diff_quiet(struct diff_world *world, unsigned file, unsigned long request, void *arg);
/** Print "ret=EINVAL" or "ret=0". */
void diff_print_ret(struct diff_world *world, int ret);
/** Wait until the asynchronous binds of all files have ended. */
void diff_drain(struct diff_world *world);

/** What an array looks like to the driver. */
struct diff_array {
	uint64_t address;
	uint32_t count;
};

int diff_pool_create(struct diff_memory_pool **ret_pool);
void diff_pool_destroy(struct diff_memory_pool *pool);
/** All memory is free again. */
void diff_pool_reset(struct diff_memory_pool *pool);
/** Put @size bytes into memory of a kind (enum diff_memory); @ret_data, where they can be looked at, may be NULL. */
uint64_t diff_place(struct diff_world *world, uint64_t kind, const void *data, size_t size, uint8_t **ret_data);

/** Would an array of @count objects of @size bytes make an unpatched driver warn? */
bool diff_is_huge(uint64_t count, size_t size);
/** Would an unpatched driver not survive this bind, or warn of it? run_careful.c. */
bool diff_is_deadly(const struct diff_world *world, const struct diff_node *node);
/** Would it not survive a question about a fence? */
bool diff_fences_are_deadly(const struct diff_world *world);

/** Does a step: prints what it answered. */
typedef void diff_step_fn(struct diff_world *world, const struct diff_node *node);

struct diff_verb {
	const char *name;
	diff_step_fn *fn;
};

/** Tables that end with a NULL: run_query.c, run_bo.c, run_vm.c, run_sync.c, run_tables.c. */
extern const struct diff_verb diff_query_verbs[], diff_bo_verbs[], diff_vm_verbs[], diff_sync_verbs[],
	diff_table_verbs[];

/** Print what is left: run_end.c, run_maps.c. */
void diff_print_end(struct diff_world *world);
void diff_print_maps(struct diff_world *world);

#endif /* DIFF_RUN_H */
