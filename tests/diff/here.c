/* SPDX-License-Identifier: MIT */
/*
 * A side in this process.
 */
#include <errno.h>
#include <stdlib.h>

#include "compare.h"
#include "run.h"

struct here {
	struct diff_side base;
	struct diff_runner *runner;
	const struct diff_program *programs;
	size_t count;
};

static int start(struct diff_side *side, const struct diff_program *programs, size_t count)
{
	struct here *here = (struct here *)side;

	here->programs = programs;
	here->count = count;
	return 0;
}

static int finish(struct diff_side *side, char **answers)
{
	const struct here *here = (struct here *)side;

	for (size_t i = 0; i < here->count; i++)
		answers[i] = diff_run(here->runner, &here->programs[i]);
	return 0;
}

static int close_here(struct diff_side *side)
{
	diff_runner_destroy(((struct here *)side)->runner);
	free(side);
	return 0;
}

int diff_side_open_here(const char *spec, bool careful, struct diff_side **ret_side)
{
	struct here *here = calloc(1, sizeof(*here));

	if (!here || diff_runner_create(spec, careful, &here->runner)) {
		free(here);
		return -ENOMEM;
	}
	here->base = (struct diff_side){.start = start, .finish = finish, .close = close_here};
	*ret_side = &here->base;
	return 0;
}
