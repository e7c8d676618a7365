/* SPDX-License-Identifier: MIT */
/*
 * Programs of the differential fuzzer: what is done to a device, step by step, and what a step is made of.
 *
 * A program is a list of nodes. A node has a type, which says what its fields are called and what they are when nobody
 * says anything (types.c), and children: a bind has ops, an op has syncs, a wait has handles. A value is a number, or
 * the slot that an earlier step put its result into: v0 a VM id, b0 a BO handle, s0 a syncobj handle, m0 an mmap
 * offset, d0 a file descriptor. Slots belong to the program and not to a file, so that a handle of one file can be
 * tried on another. A slot that nothing was put into is 0.
 *
 * The text form has a line for each node and is indented by its depth:
 *
 *	vm_create range=0x100000 > v0
 *	bo_create size=0x10000 > b0
 *	bind vm=v0
 *	  map bo=b0 va=0x1000 size=0x2000
 *
 * Fields that are what they would be anyway are left out, "@1" makes it another open file than the first.
 */
#ifndef DIFF_PROGRAM_H
#define DIFF_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DIFF_FIELDS 12
#define DIFF_FILES  3
#define DIFF_SLOTS  16
#define DIFF_KINDS  "vbsmd" /* of slots */

/** What a field is about: what the generator breaks it with, and how it is written. */
enum diff_class {
	DIFF_ANY,    /* a number, shown in hex */
	DIFF_SIZE,   /* bytes */
	DIFF_VA,     /* a GPU address or an offset */
	DIFF_FLAGS,  /* bits */
	DIFF_HANDLE, /* a VM id, a handle, an fd, from a slot as a rule */
	DIFF_COUNT,  /* of an array; "auto": as many as there are */
	DIFF_STRIDE, /* of an array; "auto": of the struct */
	DIFF_MEMORY, /* where something lies: enum diff_memory */
	DIFF_LENGTH, /* of the ioctl's argument; "auto": of the struct */
	DIFF_POINT,  /* of a timeline */
};

/** Where an argument or an array lies. */
enum diff_memory {
	DIFF_GOOD,   /* in memory that ends where it ends */
	DIFF_NULL,   /* at 0 */
	DIFF_LOW,    /* at an address where nothing is */
	DIFF_KERNEL, /* at an address that no program has */
	DIFF_SHORT,  /* its last bytes where nothing is */
	DIFF_CONST,  /* where nothing can be written */
	DIFF_MEMORIES,
};

struct diff_value {
	uint64_t number; /* or the slot */
	char kind;	 /* 0 a number, 'a' auto, else of DIFF_KINDS */
};

#define DIFF_NUMBER(n) ((struct diff_value){.number = (n)})
#define DIFF_AUTO      ((struct diff_value){.kind = 'a'})

enum diff_children { DIFF_NO_CHILDREN, DIFF_OPS, DIFF_SYNCS, DIFF_HANDLES };

struct diff_field {
	const char *name;
	enum diff_class class;
	struct diff_value usual;
};

/** A type of node. */
struct diff_type {
	const char *name;
	char out;				   /* kind of the slot that its result can go to, or 0 */
	enum diff_children children;		   /* what it has */
	enum diff_children is;			   /* what it is; DIFF_NO_CHILDREN: a step */
	struct diff_field fields[DIFF_FIELDS + 1]; /* up to the first without a name */
};

struct diff_node {
	const struct diff_type *type;
	uint8_t file; /* of a step */
	int8_t out;   /* slot for the result, or -1 */
	struct diff_value field[DIFF_FIELDS];
	struct diff_node *child;
	uint32_t children;
};

struct diff_program {
	struct diff_node *step;
	uint32_t steps;
};

/* ---- types.c ---- */

/** The type of a name, or NULL. */
const struct diff_type *diff_type(const char *name);
/** The @i-th type, NULL behind the last. */
const struct diff_type *diff_type_at(size_t i);
size_t diff_type_fields(const struct diff_type *type);
/** Index of the field called @name; aborts when there is none, since names are written in the code. */
size_t diff_field(const struct diff_type *type, const char *name);

/* ---- program.c; memory that cannot be had ends the process ---- */

/** A node of the type with all fields as usual. */
struct diff_node diff_node(const char *type);
void diff_set(struct diff_node *node, const char *field, struct diff_value value);
bool diff_is_usual(const struct diff_node *node, size_t field);
/** Copy of a node with all that is below it. */
struct diff_node diff_node_copy(const struct diff_node *node);
void diff_node_free(struct diff_node *node);
/** Append a child, which is taken over. Returns where it is. */
struct diff_node *diff_add_child(struct diff_node *node, struct diff_node child);
/** Append a step, which is taken over. */
struct diff_node *diff_add_step(struct diff_program *program, struct diff_node step);
/** Take out @count nodes of an array from @first on, with what is below them. */
void diff_cut(struct diff_node *nodes, uint32_t *length, uint32_t first, uint32_t count);
struct diff_program diff_program_copy(const struct diff_program *program);
void diff_program_free(struct diff_program *program);

/* ---- text.c ---- */

void diff_write(const struct diff_program *program, FILE *out);
/**
 * Read lines up to the end, or to one that is "end". Empty lines and what follows '#' do not count. 0; -EINVAL with
 * *ret_line the line, counted from 1, that cannot be read; -ENOENT when there is nothing but the end of the file.
 */
int diff_read(FILE *in, struct diff_program *ret_program, unsigned *ret_line);

#endif /* DIFF_PROGRAM_H */
