/* SPDX-License-Identifier: MIT */
#include "gpuvas.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN "/sys/kernel/debug/dri/*/gpuvas"
#define GPU_VM	"(panthor-GPU-VM)"

/* Path of the first one, or NULL: a device has one for each of its nodes, with the same inside. Looked for once. */
static const char *find_path(void)
{
	static char path[128];
	glob_t found;

	if (!*path && glob(PATTERN, 0, NULL, &found) == 0) {
		snprintf(path, sizeof(path), "%s", found.gl_pathv[0]);
		globfree(&found);
	}
	return *path ? path : NULL;
}

bool gpuvas_available(void)
{
	const char *path = find_path();
	FILE *file = path ? fopen(path, "re") : NULL;
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

static int add_row(struct gpuvas *gpuvas, const struct gpuvas_row *row)
{
	if (!(gpuvas->count & (gpuvas->count + 1))) { /* room for 2^n - 1 rows is full */
		struct gpuvas_row *rows = reallocarray(gpuvas->rows, 2 * gpuvas->count + 1, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		gpuvas->rows = rows;
	}
	gpuvas->rows[gpuvas->count++] = *row;
	return 0;
}

/* "     | START | RANGE | END | OBJECT | OFFSET" */
static int parse_row(const char *line, struct gpuvas_row *ret_row)
{
	unsigned long long field[5];

	if (sscanf(line, " | %llx | %llx | %llx | %llx | %llx", &field[0], &field[1], &field[2], &field[3],
		   &field[4]) != 5)
		return -EPROTO;
	ret_row->va = field[0];
	ret_row->size = field[1];
	ret_row->object = field[3];
	ret_row->offset = field[4];
	return field[2] == field[0] + field[1] ? 0 : -EPROTO;
}

int gpuvas_parse(char *text, struct gpuvas *ret_gpuvas)
{
	struct gpuvas gpuvas = {0};
	bool ours = false;
	char *at, *line = strtok_r(text, "\n", &at);
	int ret = 0;

	for (; line && !ret; line = strtok_r(NULL, "\n", &at)) {
		struct gpuvas_row row;

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
		gpuvas_free(&gpuvas);
	else
		*ret_gpuvas = gpuvas;
	return ret;
}

int gpuvas_read(struct gpuvas *ret_gpuvas)
{
	const char *path = find_path();
	char *text;
	int ret = path ? read_all(path, &text) : -ENOENT;

	if (ret)
		return ret;
	ret = gpuvas_parse(text, ret_gpuvas);
	free(text);
	return ret;
}

void gpuvas_free(struct gpuvas *gpuvas)
{
	free(gpuvas->rows);
	*gpuvas = (struct gpuvas){0};
}
