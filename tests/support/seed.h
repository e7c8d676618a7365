/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that can be had again: the seed is printed, and PANBIND_SEED repeats a run.
 */
#ifndef TEST_SEED_H
#define TEST_SEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_random {
	uint64_t state;
};

/** Seed from PANBIND_SEED, or from the clock; print it as a TAP comment with @what. */
struct test_random test_random_start(const char *what);
/** The next 64 bits (splitmix64). */
uint64_t test_random(struct test_random *random);
/** Evenly in [0, @below), @below > 0. */
uint64_t test_random_below(struct test_random *random, uint64_t below);

/** @nightly when PANBIND_NIGHTLY=1 is in the environment, else @usual. */
size_t test_rounds(size_t usual, size_t nightly);

#endif /* TEST_SEED_H */
