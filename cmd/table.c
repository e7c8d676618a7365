/* SPDX-License-Identifier: MIT */
/* Aligned columns: rows are gathered first, since a column is as wide as its widest cell. */
#include <stdlib.h>
#include <string.h>

#include "output.h"

size_t output_columns(const char *text)
{
	size_t columns = 0;

	for (; *text; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80; /* not a continuation byte */
	return columns;
}

int table_begin(struct table *table, size_t columns, const char *right, const char *const *heads)
{
	*table = (struct table){.columns = columns, .right = right};
	return table_row(table, heads);
}

int table_row(struct table *table, const char *const *cells)
{
	if (table->rows == table->room) {
		size_t room = table->room ? 2 * table->room : 16;
		char **more = reallocarray(table->cells, room * table->columns, sizeof(*more));

		if (!more)
			return -1;
		table->cells = more;
		table->room = room;
	}
	for (size_t i = 0; i < table->columns; i++)
		table->cells[table->rows * table->columns + i] = strdup(cells[i]);
	table->rows++;
	return 0;
}

static const char *cell(const struct table *table, size_t row, size_t column)
{
	const char *text = table->cells[row * table->columns + column];

	return text ? text : "";
}

static void print_row(const struct table *table, FILE *stream, size_t row, const size_t *widths)
{
	size_t owed = 0; /* blanks before the next text: none are printed at the end of a line */

	for (size_t i = 0; i < table->columns; i++) {
		const char *text = cell(table, row, i);
		size_t pad = widths[i] - output_columns(text);
		bool right = table->right[i] == 'r';

		if (*text)
			fprintf(stream, "%*s%s", (int)(owed + (right ? pad : 0)), "", text);
		owed = *text ? (right ? 0 : pad) : owed + widths[i];
		owed += 2;
	}
}

void table_end(struct table *table, FILE *stream, bool color)
{
	size_t widths[OUT_COLUMNS] = {0};

	for (size_t row = 0; row < table->rows; row++)
		for (size_t i = 0; i < table->columns; i++) {
			size_t width = output_columns(cell(table, row, i));

			widths[i] = width > widths[i] ? width : widths[i];
		}
	for (size_t row = 0; row < table->rows; row++) {
		fputs(row ? "" : output_paint(color, OUT_BOLD), stream);
		print_row(table, stream, row, widths);
		fputs(row ? "" : output_paint(color, OUT_PLAIN), stream);
		putc('\n', stream);
	}
	for (size_t i = 0; i < table->rows * table->columns; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}
