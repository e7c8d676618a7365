/* SPDX-License-Identifier: MIT */
/*
 * Who is judged: the real driver on an emulated GPU, or the simulator. Both answer the same ioctls; they differ in how
 * a VM gets an AS slot, and in how one learns what the GPU saw.
 */
#ifndef ATOMICITY_SUBJECT_H
#define ATOMICITY_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "cases.h"

/** What a load of the GPU came to. */
enum look {
	LOOK_NOTHING = '-', /* a translation fault where nothing shall be mapped */
	LOOK_OLD = 'o',
	LOOK_NEW = 'n',
	LOOK_STALL = 's',
	LOOK_HOLE = 'h',    /* a translation fault where something shall be mapped before and after */
	LOOK_STALE = 'x',   /* a TLB entry that should be gone */
	LOOK_FOREIGN = '?', /* some other value */
};

struct as_command {
	char name[12]; /* LOCK, FLUSH_PT, FLUSH_MEM, GPU_FLUSH, UNLOCK */
	uint64_t va, size;
};

#define RECORD_COMMANDS 64
#define RECORD_LOOKS	256

/** What happened during one VM_BIND. Loads are made at each AS command, before and after it, and in the quiet around.
 */
struct record {
	struct as_command commands[RECORD_COMMANDS];
	size_t command_count;
	char looks[REMAP_WATCHES][RECORD_LOOKS]; /* enum look in order, a text */
	bool hole_between[REMAP_WATCHES];	 /* a hole was seen where the sequence does not show it */
	char trouble[256];			 /* what no driver should cause, as the trace has it */
	char known_bug[128]; /* what this driver is known to do wrong, and has done: nothing to judge */
};

struct memory {
	uint32_t handle;
	uint64_t offset; /* where the contiguous piece begins in its BO */
};

struct subject {
	struct pb_file *file;
	bool atomic, widens;
	bool of_its_own; /* from 1.7 on a driver has atomic updates without patches, and bugs (kernel/README.md) */
	struct memory memory[MEM_COUNT];
	const struct subject_kind *kind;
	void *data;
};

/** Every function fails the test program itself when it cannot do its work: nothing can be judged then. */
struct subject_kind {
	void (*open)(struct subject *subject);
	void (*close)(struct subject *subject);
	/** The VM gets an AS slot and keeps it until it is let go. */
	void (*hold)(struct subject *subject, uint32_t vm);
	void (*let_go)(struct subject *subject, uint32_t vm);
	/** The VM is held no more, and has lost its slot: the driver has given it up. */
	void (*give_up)(struct subject *subject);
	/** Record from now on; until. @record is complete after stop(). */
	void (*start)(struct subject *subject, uint32_t vm, const struct remap_case *remap, struct record *record);
	void (*stop)(struct subject *subject);
};

extern const struct subject_kind subject_box, subject_sim;

/** Open "drm:auto" in the box, or "sim:OPTIONS", and fill the memory with stamps. */
void subject_open(struct subject *subject, const char *spec);
void subject_close(struct subject *subject);

/** End the program with a message: the surroundings are broken, not what is judged. */
__attribute__((noreturn, format(printf, 1, 2))) void bail_out(const char *format, ...);

uint32_t subject_bo(struct subject *subject, uint64_t size);
void *subject_mmap(struct subject *subject, uint32_t handle, uint64_t size);
uint32_t subject_vm(struct subject *subject);
void subject_vm_destroy(struct subject *subject, uint32_t vm);
/** Is the VM usable? */
bool subject_vm_works(struct subject *subject, uint32_t vm);
/** One VM_BIND; an asynchronous one is waited for. 0 or a negative errno, the fence's included. */
int subject_bind(struct subject *subject, uint32_t vm, const struct remap_op *ops, bool async);

/** For the kinds: add to a record. */
void record_command(struct record *record, const char *name, uint64_t va, uint64_t size);
void record_look(struct record *record, size_t watch, enum look look);

#endif /* ATOMICITY_SUBJECT_H */
