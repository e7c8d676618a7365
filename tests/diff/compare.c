/* SPDX-License-Identifier: MIT */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

int diff_run_both(struct diff_side *sides[2], const struct diff_program *programs, size_t count, char **answers[2])
{
	int ret = 0;

	/* The far one first: it works while the near one does. */
	for (int i = 1; i >= 0 && !ret; i--)
		ret = sides[i]->start(sides[i], programs, count);
	for (int i = 0; i < 2 && !ret; i++)
		ret = sides[i]->finish(sides[i], answers[i]);
	return ret;
}

int diff_side_open(const char *spec, const char *worker, bool careful, struct diff_side **ret_side)
{
	if (strncmp(spec, "box:", 4) == 0)
		return diff_side_open_box(spec + 4, worker, careful, ret_side);
	return diff_side_open_here(spec, careful, ret_side);
}

int diff_side_close(struct diff_side *side)
{
	return side ? side->close(side) : 0;
}

/* "12 bind ret=0" and "= @0 vm 1: ..." are about a bind and a vm. */
static void line_subject(const char *line, char what[32])
{
	if (*line == '=') {
		sscanf(line, "= @%*u %30s", what);
		return;
	}
	if (sscanf(line, "%*u %31s", what) != 1)
		snprintf(what, 32, "%.30s", line);
	what[strcspn(what, "\n")] = '\0';
}

bool diff_differs(const char *a, const char *b, char ret_what[32])
{
	const char *line = a;

	if (strcmp(a, b) == 0)
		return false;
	if (!ret_what)
		return true;
	for (size_t i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '\n')
			line = a + i + 1;
	*ret_what = '\0';
	line_subject(*line ? line : b + (line - a), ret_what);
	return true;
}
