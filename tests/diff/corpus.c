/* SPDX-License-Identifier: MIT */
#include "corpus.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* What follows the program, for free(3). */
static char *read_rest(FILE *in)
{
	char *text = NULL, buffer[4096];
	size_t size, got;
	FILE *out = open_memstream(&text, &size);

	while ((got = fread(buffer, 1, sizeof(buffer), in)) > 0)
		fwrite(buffer, 1, got, out);
	fclose(out);
	return text;
}

static int read_entry(const char *path, struct diff_program *ret_program, char **ret_answer)
{
	FILE *in = fopen(path, "re");
	unsigned line;
	int ret;

	if (!in)
		return -errno;
	ret = diff_read(in, ret_program, &line);
	if (!ret)
		*ret_answer = read_rest(in);
	fclose(in);
	return ret;
}

/* As TAP comments. */
static void print_indented(const char *who, const char *text, FILE *out)
{
	fprintf(out, "# %s:\n", who);
	while (*text) {
		size_t length = strcspn(text, "\n");

		fprintf(out, "#   %.*s\n", (int)length, text);
		text += length + (text[length] != '\0');
	}
}

static int run_entry(const char *path, struct diff_side *side, unsigned number, FILE *out)
{
	struct diff_program program = {0};
	char *wanted = NULL, *got = NULL;
	int ret = read_entry(path, &program, &wanted);
	bool same;

	if (!ret)
		ret = side->start(side, &program, 1);
	if (!ret)
		ret = side->finish(side, &got);
	same = !ret && strcmp(wanted, got) == 0;
	fprintf(out, "%sok %u - %s\n", same ? "" : "not ", number, strrchr(path, '/') + 1);
	if (ret)
		fprintf(out, "# %s\n", strerror(-ret));
	else if (!same) {
		print_indented("recorded from the driver", wanted, out);
		print_indented("answered", got, out);
	}
	free(wanted);
	free(got);
	diff_program_free(&program);
	return same ? 0 : 1;
}

int diff_corpus(const char *folder, struct diff_side *side, FILE *out)
{
	char pattern[4096];
	glob_t found;
	int bad = 0;

	snprintf(pattern, sizeof(pattern), "%s/*.diff", folder);
	if (glob(pattern, 0, NULL, &found)) {
		fprintf(stderr, "there are no programs in %s\n", folder);
		return -ENOENT;
	}
	fprintf(out, "1..%zu\n", found.gl_pathc);
	for (size_t i = 0; i < found.gl_pathc; i++)
		bad += run_entry(found.gl_pathv[i], side, (unsigned)i + 1, out);
	globfree(&found);
	return bad;
}
