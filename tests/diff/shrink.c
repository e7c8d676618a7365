/* SPDX-License-Identifier: MIT */
/*
 * Shrinking: ever smaller changes that make a program simpler, kept when the difference is still there.
 *
 * Candidates are run many at a time, since a side may be far away. First runs of steps are taken out, large ones
 * before small ones, then children, then fields are made usual or their numbers rounder, until nothing helps.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

#define BATCH 48u

struct search {
	struct diff_side **sides;
	struct diff_program best;
	char what[32]; /* the kind of line that differs */
	struct diff_program candidates[BATCH];
	size_t count;
	int error;
};

static struct diff_program *candidate(struct search *search)
{
	struct diff_program *program = &search->candidates[search->count++];

	*program = diff_program_copy(&search->best);
	return program;
}

/* Run what has gathered; true when one of them is the new best. */
static bool try_candidates(struct search *search)
{
	char *answers[2][BATCH] = {{0}};
	char **both[2] = {answers[0], answers[1]};
	size_t found = search->count;

	if (search->count && !search->error)
		search->error = diff_run_both(search->sides, search->candidates, search->count, both);
	for (size_t i = 0; i < search->count; i++) {
		char what[32];

		if (found == search->count && !search->error && diff_differs(answers[0][i], answers[1][i], what) &&
		    strcmp(what, search->what) == 0)
			found = i;
		free(answers[0][i]);
		free(answers[1][i]);
	}
	for (size_t i = 0; i < search->count; i++) {
		if (i == found) {
			diff_program_free(&search->best);
			search->best = search->candidates[i];
		} else {
			diff_program_free(&search->candidates[i]);
		}
	}
	found = found < search->count;
	search->count = 0;
	return found;
}

/* ---- Steps ---- */

/* Runs of @length steps, last ones first: what comes later depends on what came before. */
static bool cut_steps(struct search *search, uint32_t length)
{
	for (uint32_t end = search->best.steps; end; end = end > length ? end - length : 0) {
		uint32_t first = end > length ? end - length : 0;
		struct diff_program *program = candidate(search);

		diff_cut(program->step, &program->steps, first, end - first);
		if (search->count == BATCH && try_candidates(search))
			return true;
	}
	return try_candidates(search);
}

static void shrink_steps(struct search *search)
{
	for (uint32_t length = search->best.steps / 2; length && !search->error;)
		if (!cut_steps(search, length))
			length /= 2;
		else if (length > search->best.steps)
			length = search->best.steps;
}

/* ---- Nodes and values ---- */

/* Walks over all nodes of a program; the @n-th, in order. */
static struct diff_node *nth_node(struct diff_node *nodes, uint32_t count, size_t *n)
{
	for (uint32_t i = 0; i < count; i++) {
		struct diff_node *found;

		if ((*n)-- == 0)
			return &nodes[i];
		found = nth_node(nodes[i].child, nodes[i].children, n);
		if (found)
			return found;
	}
	return NULL;
}

static struct diff_node *node_at(struct diff_program *program, size_t n)
{
	return nth_node(program->step, program->steps, &n);
}

static bool cut_children(struct search *search)
{
	struct diff_node *node;

	for (size_t n = 0; (node = node_at(&search->best, n)); n++) {
		uint32_t children = node->children;

		for (uint32_t i = 0; i < children; i++) {
			node = node_at(candidate(search), n);
			diff_cut(node->child, &node->children, i, 1);
			if (search->count == BATCH && try_candidates(search))
				return true;
		}
	}
	return try_candidates(search);
}

/* Simpler values for a field, simplest first. Returns how many. */
static size_t simpler(const struct diff_node *node, size_t field, struct diff_value values[4])
{
	const struct diff_value *value = &node->field[field];
	size_t count = 0;

	if (diff_is_usual(node, field))
		return 0;
	values[count++] = node->type->fields[field].usual;
	if (value->kind || node->type->fields[field].class == DIFF_MEMORY)
		return count;
	if (value->number > 0x1000)
		values[count++] = DIFF_NUMBER(0x1000);
	if (value->number > 1)
		values[count++] = DIFF_NUMBER(value->number / 2 & ~(value->number > 0x2000 ? UINT64_C(0xfff) : 0));
	if (value->number & (value->number - 1) && value->number < 0x1000)
		values[count++] = DIFF_NUMBER(value->number & (value->number - 1));
	return count;
}

static bool simplify_values(struct search *search)
{
	struct diff_node *node;

	for (size_t n = 0; (node = node_at(&search->best, n)); n++) {
		for (size_t field = 0; node->type->fields[field].name; field++) {
			struct diff_value values[4];
			size_t count = simpler(node, field, values);

			for (size_t i = 0; i < count; i++) {
				node_at(candidate(search), n)->field[field] = values[i];
				if (search->count == BATCH && try_candidates(search))
					return true;
			}
		}
	}
	return try_candidates(search);
}

/* All that happens on one file is easier to read. */
static bool one_file(struct search *search)
{
	for (uint32_t i = 0; i < search->best.steps; i++) {
		if (!search->best.step[i].file)
			continue;
		candidate(search)->step[i].file = 0;
		if (search->count == BATCH && try_candidates(search))
			return true;
	}
	return try_candidates(search);
}

static bool learn_subject(struct search *search)
{
	char *answers[2][1] = {{0}};
	char **both[2] = {answers[0], answers[1]};
	bool differs = false;

	search->error = diff_run_both(search->sides, &search->best, 1, both);
	if (!search->error)
		differs = diff_differs(answers[0][0], answers[1][0], search->what);
	free(answers[0][0]);
	free(answers[1][0]);
	return differs;
}

int diff_shrink(struct diff_side *sides[2], struct diff_program *program)
{
	struct search search = {.sides = sides, .best = diff_program_copy(program)};
	bool better = learn_subject(&search);

	while (better && !search.error) {
		shrink_steps(&search);
		better = false;
		while (!search.error && (cut_children(&search) || simplify_values(&search) || one_file(&search)))
			better = true;
	}
	diff_program_free(program);
	*program = search.best;
	return search.error;
}
