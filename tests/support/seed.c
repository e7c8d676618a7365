/* SPDX-License-Identifier: MIT */
#include "seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct test_random test_random_start(const char *what)
{
	const char *given = getenv("PANBIND_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	printf("# seed of %s: PANBIND_SEED=%" PRIu64 "\n", what, seed);
	fflush(stdout);
	return (struct test_random){.state = seed};
}

uint64_t test_random(struct test_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t test_random_below(struct test_random *random, uint64_t below)
{
	return (uint64_t)(((unsigned __int128)test_random(random) * below) >> 64);
}

size_t test_rounds(size_t usual, size_t nightly)
{
	const char *wish = getenv("PANBIND_NIGHTLY");

	return wish != NULL && strcmp(wish, "1") == 0 ? nightly : usual;
}
