/* SPDX-License-Identifier: MIT */
/*
 * Random programs: sensible ones for the most part, since a driver that refuses everything shows little, with
 * something broken here and there.
 */
#ifndef DIFF_GENERATE_H
#define DIFF_GENERATE_H

#include "program.h"
#include "seed.h"

/** The program of a seed: always the same. */
struct diff_program diff_generate(uint64_t seed);

/* ---- What the rooms of generate*.c share ---- */

/** What a slot probably holds. */
struct diff_guess {
	bool live;
	uint8_t file;
	uint64_t size; /* of a BO, or the VA range of a VM */
	uint64_t only; /* slot of the VM that a BO belongs to, + 1 */
	enum { DIFF_NO_FD, DIFF_DMA_BUF, DIFF_SYNC_FILE, DIFF_SYNCOBJ_FD, DIFF_EVENTFD } fd;
};

struct diff_maker {
	struct test_random random;
	struct diff_program program;
	struct diff_guess guess[sizeof(DIFF_KINDS) - 1][DIFF_SLOTS];
	unsigned files;	   /* that this program uses */
	unsigned breakage; /* of a hundred steps, how many are broken */
	uint8_t file;	   /* of the step being made */
};

uint64_t diff_below(struct diff_maker *maker, uint64_t below);
/** True @percent times of a hundred. */
bool diff_chance(struct diff_maker *maker, unsigned percent);
#define DIFF_PICK(maker, array) ((array)[diff_below(maker, sizeof(array) / sizeof((array)[0]))])
struct diff_guess *diff_guess(struct diff_maker *maker, char kind, uint64_t slot);
/** A slot of this kind that is probably good, on the step's file for choice; any when there is none. */
struct diff_value diff_pick(struct diff_maker *maker, char kind);
/** Let the step's result go to a slot, and note what that will be. */
struct diff_guess *diff_result(struct diff_maker *maker, struct diff_node *node);

/** Makes a step of its type: generate_vm.c, generate_sync.c, generate.c. */
struct diff_node diff_make_bind(struct diff_maker *maker);
struct diff_node diff_make_sync_step(struct diff_maker *maker);
/** Break one thing in a node or below: generate_break.c. */
void diff_break(struct diff_maker *maker, struct diff_node *node);

#endif /* DIFF_GENERATE_H */
