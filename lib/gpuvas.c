/* SPDX-License-Identifier: MIT */
#include "gpuvas.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN "/sys/kernel/debug/dri/*/gpuvas"
#define GPU_VM	"(panthor-GPU-VM)"

/* The one of a node, or the first one: a device has one for each of its nodes, with the same inside. */
static int find_path(int minor, char *path, size_t size)
{
	glob_t found;

	snprintf(path, size, "/sys/kernel/debug/dri/%d/gpuvas", minor);
	if (minor >= 0)
		return 0;
	if (glob(PATTERN, 0, NULL, &found) != 0)
		return -ENOENT;
	snprintf(path, size, "%s", found.gl_pathv[0]);
	globfree(&found);
	return 0;
}

bool pb_gpuvas_available(void)
{
	char path[128];
	FILE *file = find_path(-1, path, sizeof(path)) == 0 ? fopen(path, "re") : NULL;
	bool available = file;

	if (file)
		fclose(file);
	return available;
}

/* The whole text, for free(3). */
static int read_all(const char *path, char **ret_text)
{
	FILE *file = fopen(path, "re"), *memory;
	char buffer[65536], *text = NULL;
	size_t size, got;

	if (!file)
		return -errno;
	memory = open_memstream(&text, &size);
	while (memory && (got = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, got, memory);
	fclose(file);
	if (!memory || fclose(memory))
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

static int add_row(struct pb_gpuvas *gpuvas, const struct pb_gpuvas_row *row)
{
	if (!(gpuvas->count & (gpuvas->count + 1))) { /* room for 2^n - 1 rows is full */
		struct pb_gpuvas_row *rows = reallocarray(gpuvas->rows, 2 * gpuvas->count + 1, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		gpuvas->rows = rows;
	}
	gpuvas->rows[gpuvas->count++] = *row;
	return 0;
}

/* "     | START | RANGE | END | OBJECT | OFFSET" */
static int parse_row(const char *line, struct pb_gpuvas_row *ret_row)
{
	uint64_t field[5];

	line += strspn(line, " ");
	for (size_t i = 0; i < 5; i++) {
		char *end;

		if (*line != '|')
			return -EPROTO;
		errno = 0;
		field[i] = strtoull(line + 1, &end, 16);
		if (errno || end == line + 1)
			return -EPROTO;
		line = end + strspn(end, " ");
	}
	ret_row->va = field[0];
	ret_row->size = field[1];
	ret_row->object = field[3];
	ret_row->offset = field[4];
	return field[2] == field[0] + field[1] ? 0 : -EPROTO;
}

int pb_gpuvas_parse(char *text, struct pb_gpuvas *ret_gpuvas)
{
	struct pb_gpuvas gpuvas = {0};
	bool ours = false;
	char *at, *line = strtok_r(text, "\n", &at);
	int ret = 0;

	for (; line && !ret; line = strtok_r(NULL, "\n", &at)) {
		struct pb_gpuvas_row row;

		if (strncmp(line, "DRM GPU VA space", 16) == 0) {
			ours = strstr(line, GPU_VM);
			gpuvas.vms += ours;
		} else if (ours && strspn(line, " ") == 5 && line[5] == '|') {
			row.vm = gpuvas.vms - 1;
			ret = parse_row(line, &row);
			if (!ret)
				ret = add_row(&gpuvas, &row);
		}
	}
	if (ret)
		pb_gpuvas_free(&gpuvas);
	else
		*ret_gpuvas = gpuvas;
	return ret;
}

int pb_gpuvas_minor(const char *node)
{
	const char *number = strstr(node, "renderD");

	return number ? (int)strtol(number + strlen("renderD"), NULL, 10) : -1;
}

int pb_gpuvas_read(int minor, struct pb_gpuvas *ret_gpuvas)
{
	char path[128], *text = NULL;
	int ret = find_path(minor, path, sizeof(path));

	if (ret == 0)
		ret = read_all(path, &text);
	if (ret)
		return ret;
	ret = pb_gpuvas_parse(text, ret_gpuvas);
	free(text);
	return ret;
}

void pb_gpuvas_free(struct pb_gpuvas *gpuvas)
{
	free(gpuvas->rows);
	*gpuvas = (struct pb_gpuvas){0};
}
