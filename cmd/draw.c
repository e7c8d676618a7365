/* SPDX-License-Identifier: MIT */
/* The picture of a VM's address space: cells, rows, frames, legend. See draw.h for what it shows. */
#include "draw.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define LETTERS 26
#define NOBODY	SIZE_MAX

/* What the legend says of one BO. */
struct owner {
	const struct panbind_bo *bo;
	size_t first, pieces, index; /* first mapping of it; place in order of VA: its letter */
	uint64_t mapped;
	uint32_t flags_and, flags_or;
};

struct cell {
	size_t owner; /* NOBODY: no BO so far */
	uint64_t owned, sparse;
	bool several;
};

struct row_flags {
	uint32_t flags_and, flags_or;
	bool any;
};

struct picture {
	const struct draw *draw;
	FILE *stream;
	size_t row_cells;
	int digits;
	struct owner *owners; /* sorted by pointer */
	size_t owner_count;
	struct owner **letters; /* the same in order of VA */
	bool used_lower, used_many, used_comma;
};

/* ---- Who owns what ---- */

static int by_bo(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	if (x->bo != y->bo)
		return (uintptr_t)x->bo < (uintptr_t)y->bo ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int by_first(const void *a, const void *b)
{
	const struct owner *const *x = a, *const *y = b;

	return (*x)->first < (*y)->first ? -1 : 1;
}

/* One entry a mapping, sorted, then summed up into one entry a BO. */
static size_t sum_up(struct owner *owners, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct owner *to = kept ? &owners[kept - 1] : NULL;

		if (!to || to->bo != owners[i].bo) {
			owners[kept++] = owners[i];
			continue;
		}
		to->pieces++;
		to->mapped += owners[i].mapped;
		to->flags_and &= owners[i].flags_and;
		to->flags_or |= owners[i].flags_or;
	}
	return kept;
}

static int find_owners(struct picture *picture)
{
	const struct draw *draw = picture->draw;
	size_t count = 0;

	picture->owners = calloc(draw->count + 1, sizeof(*picture->owners));
	picture->letters = calloc(draw->count + 1, sizeof(struct owner *));
	if (!picture->owners || !picture->letters)
		return -ENOMEM;
	for (size_t i = 0; i < draw->count; i++) {
		const struct panbind_mapping *m = &draw->mappings[i];

		if (!m->sparse)
			picture->owners[count++] = (struct owner){.bo = m->bo,
								  .first = i,
								  .pieces = 1,
								  .mapped = m->size,
								  .flags_and = m->flags,
								  .flags_or = m->flags};
	}
	qsort(picture->owners, count, sizeof(*picture->owners), by_bo);
	picture->owner_count = count = sum_up(picture->owners, count);
	for (size_t i = 0; i < count; i++)
		picture->letters[i] = &picture->owners[i];
	qsort(picture->letters, count, sizeof(struct owner *), by_first);
	for (size_t i = 0; i < count; i++)
		picture->letters[i]->index = i;
	return 0;
}

static size_t owner_of(const struct picture *picture, const struct panbind_mapping *mapping)
{
	struct owner key = {.bo = mapping->bo};
	size_t low = 0, high = picture->owner_count;

	while (low < high) { /* the entry whose pointer is the mapping's */
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)picture->owners[middle].bo < (uintptr_t)key.bo)
			low = middle + 1;
		else
			high = middle;
	}
	return picture->owners[low].index;
}

/* ---- Filling cells ---- */

static void fill_cell(struct cell *cell, size_t owner, uint64_t bytes)
{
	if (owner == NOBODY) {
		cell->sparse += bytes;
		return;
	}
	cell->several |= cell->owner != NOBODY && cell->owner != owner;
	cell->owner = owner;
	cell->owned += bytes;
}

static void fill_mapping(const struct picture *picture, const struct draw_cluster *cluster,
			 const struct panbind_mapping *mapping, struct cell *cells, struct row_flags *flags)
{
	size_t owner = mapping->sparse ? NOBODY : owner_of(picture, mapping);
	uint64_t at = mapping->va - cluster->base, end = at + mapping->size;

	while (at < end) {
		size_t index = (size_t)(at / cluster->cell);
		uint64_t next = (index + 1) * cluster->cell;
		struct row_flags *row = &flags[index / picture->row_cells];

		fill_cell(&cells[index], owner, (next < end ? next : end) - at);
		if (owner != NOBODY) {
			row->flags_and = row->any ? row->flags_and & mapping->flags : mapping->flags;
			row->flags_or |= mapping->flags;
			row->any = true;
		}
		at = next;
	}
}

/* ---- Printing ---- */

/* "rwxc" less what is forbidden; '*' where the mappings differ. */
static void flag_letters(char letters[5], uint32_t flags_and, uint32_t flags_or)
{
	static const uint32_t bits[] = {PANBIND_MAP_READONLY, PANBIND_MAP_NOEXEC, PANBIND_MAP_UNCACHED};

	memcpy(letters, "rwxc", 5);
	for (int i = 0; i < 3; i++)
		if (flags_and & bits[i])
			letters[i + 1] = '-';
		else if (flags_or & bits[i])
			letters[i + 1] = '*';
}

/* Black on a colour; neighbours in order of VA get different ones. */
static const char *owner_color(size_t owner)
{
	static const char *const colors[] = {
		"\033[30;46m", "\033[30;43m",  "\033[30;42m",  "\033[30;45m",  "\033[30;44m",  "\033[30;47m",
		"\033[30;41m", "\033[30;106m", "\033[30;103m", "\033[30;102m", "\033[30;105m", "\033[30;104m",
	};

	return colors[owner % (sizeof(colors) / sizeof(colors[0]))];
}

static const char *cell_color(const struct picture *picture, const struct cell *cell)
{
	if (!picture->draw->color || (!cell->owned && !cell->sparse))
		return "";
	if (cell->several)
		return "\033[7m";
	return cell->owner == NOBODY ? "\033[2m" : owner_color(cell->owner);
}

static const char *cell_text(struct picture *picture, const struct cell *cell, uint64_t size, char text[2])
{
	text[1] = '\0';
	text[0] = ' ';
	if (cell->several) {
		picture->used_many = true;
		text[0] = '*';
	} else if (cell->owner != NOBODY && cell->owner >= LETTERS) {
		text[0] = '#';
	} else if (cell->owner != NOBODY) {
		picture->used_lower |= cell->owned < size;
		text[0] = (char)((cell->owned < size ? 'a' : 'A') + (int)cell->owner);
	} else if (cell->sparse == size) {
		return picture->draw->utf8 ? "·" : ".";
	} else if (cell->sparse) {
		picture->used_comma = true;
		text[0] = ',';
	}
	return text;
}

static void print_cells(struct picture *picture, const struct cell *cells, size_t count, uint64_t size)
{
	const char *color = "";
	char text[2];

	for (size_t i = 0; i < count; i++) {
		const char *next = cell_color(picture, &cells[i]);

		if (strcmp(next, color) != 0) {
			fputs(*color ? "\033[0m" : "", picture->stream);
			fputs(next, picture->stream);
			color = next;
		}
		fputs(cell_text(picture, &cells[i], size, text), picture->stream);
	}
	fputs(*color ? "\033[0m" : "", picture->stream);
}

static const char *pick(const struct picture *picture, const char *utf8, const char *ascii)
{
	return picture->draw->utf8 ? utf8 : ascii;
}

/* The upper border carries the scale, the lower one a tick every eight cells, to count by. */
static void print_border(const struct picture *picture, const struct draw_cluster *cluster, size_t width, bool upper)
{
	char size[OUT_NUMBER], cell[OUT_NUMBER], text[2 * OUT_NUMBER + 16] = "";
	size_t used = 0;

	if (upper)
		used = (size_t)snprintf(text, sizeof(text), " %s, %s a cell",
					output_size(size, cluster->end - cluster->start),
					output_size(cell, cluster->cell));
	fprintf(picture->stream, "%*s%s%s", picture->digits + 4, "",
		upper ? pick(picture, "┌", "+") : pick(picture, "└", "+"), text);
	if (upper && used < width) {
		putc(' ', picture->stream);
		used++;
	}
	for (size_t i = used; i < width; i++)
		fputs(!upper && i % 8 == 7 && i + 1 < width ? pick(picture, "┴", "+") : pick(picture, "─", "-"),
		      picture->stream);
	if (used < width || !upper)
		fputs(upper ? pick(picture, "┐", "+") : pick(picture, "┘", "+"), picture->stream);
	putc('\n', picture->stream);
}

/* A last row that is not full ends in blanks: they are a hole, so they may not reach into the next cluster. */
static size_t blank_cells(const struct picture *picture, const struct draw_cluster *cluster, size_t row, size_t count)
{
	uint64_t end = cluster->base + (row * picture->row_cells + count) * cluster->cell;
	uint64_t free_cells = cluster->limit > end ? (cluster->limit - end) / cluster->cell : 0;
	size_t blanks = row ? picture->row_cells - count : 0;

	return free_cells < blanks ? (size_t)free_cells : blanks;
}

static void print_row(struct picture *picture, const struct draw_cluster *cluster, const struct cell *cells, size_t row,
		      const struct row_flags *flags)
{
	size_t first = row * picture->row_cells, left = cluster->cells - first;
	size_t count = left < picture->row_cells ? left : picture->row_cells;
	size_t blanks = blank_cells(picture, cluster, row, count),
	       width = cluster->rows > 1 ? picture->row_cells : count;
	char letters[5] = "";

	if (flags->any)
		flag_letters(letters, flags->flags_and, flags->flags_or);
	fprintf(picture->stream, " 0x%0*" PRIx64 " %s", picture->digits, cluster->base + first * cluster->cell,
		pick(picture, "│", "|"));
	print_cells(picture, cells + first, count, cluster->cell);
	fprintf(picture->stream, "%*s%s", (int)blanks, "", pick(picture, "│", "|"));
	if (flags->any)
		fprintf(picture->stream, "%*s%s", (int)(width - count - blanks + 1), "", letters);
	putc('\n', picture->stream);
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
	return a->owner == b->owner && a->owned == b->owned && a->sparse == b->sparse && a->several == b->several;
}

static bool same_flags(const struct row_flags *a, const struct row_flags *b)
{
	return a->any == b->any && a->flags_and == b->flags_and && a->flags_or == b->flags_or;
}

/* How many rows from @row on look the same: all one letter or all blank, whole cells, same rights. */
static size_t rows_alike(const struct picture *picture, const struct draw_cluster *cluster, const struct cell *cells,
			 size_t row, const struct row_flags *flags)
{
	size_t first = row * picture->row_cells, at = first;

	while (at < cluster->cells && same_cell(&cells[at], &cells[first]) &&
	       same_flags(&flags[at / picture->row_cells], &flags[row]))
		at++;
	return (at - first) / picture->row_cells;
}

static void print_alike(const struct picture *picture, size_t rows)
{
	char text[64];
	size_t width = (size_t)snprintf(text, sizeof(text), "%zu more rows like this", rows);
	size_t left = picture->row_cells > width ? (picture->row_cells - width) / 2 : 0;

	fprintf(picture->stream, "%*s%s%*s%s%*s%s\n", picture->digits + 4, "", pick(picture, "┊", ":"), (int)left, "",
		text, (int)(picture->row_cells > left + width ? picture->row_cells - left - width : 0), "",
		pick(picture, "┊", ":"));
}

static void print_rows(struct picture *picture, const struct draw_cluster *cluster, const struct cell *cells,
		       const struct row_flags *flags)
{
	for (size_t row = 0; row < cluster->rows; row++) {
		size_t alike = rows_alike(picture, cluster, cells, row, flags);

		print_row(picture, cluster, cells, row, &flags[row]);
		if (alike < 4)
			continue;
		print_alike(picture, alike - 2);
		row += alike - 2; /* the last of them has its address again */
	}
}

static int print_cluster(struct picture *picture, const struct draw_cluster *cluster)
{
	struct cell *cells = calloc(cluster->cells, sizeof(*cells));
	struct row_flags *flags = calloc(cluster->rows, sizeof(*flags));
	size_t width = cluster->rows > 1 ? picture->row_cells : cluster->cells;

	if (!cells || !flags) {
		free(cells);
		free(flags);
		return -ENOMEM;
	}
	for (size_t i = 0; i < cluster->cells; i++)
		cells[i].owner = NOBODY;
	for (size_t i = cluster->first; i < cluster->first + cluster->count; i++)
		fill_mapping(picture, cluster, &picture->draw->mappings[i], cells, flags);
	print_border(picture, cluster, width, true);
	print_rows(picture, cluster, cells, flags);
	print_border(picture, cluster, width, false);
	free(cells);
	free(flags);
	return 0;
}

static void print_gap(const struct picture *picture, uint64_t size)
{
	char text[OUT_NUMBER];

	if (size)
		fprintf(picture->stream, "%*s%s %s%s unmapped%s\n", picture->digits + 4, "", pick(picture, "⋮", ":"),
			output_paint(picture->draw->color, OUT_DIM), output_size(text, size),
			output_paint(picture->draw->color, OUT_PLAIN));
}

static void print_title(const struct picture *picture)
{
	const struct draw *draw = picture->draw;
	uint64_t mapped = 0, sparse = 0;
	char text[256], number[OUT_NUMBER];
	size_t used = 0;

	for (size_t i = 0; i < draw->count; i++)
		*(draw->mappings[i].sparse ? &sparse : &mapped) += draw->mappings[i].size;
	if (mapped || !sparse)
		used = (size_t)snprintf(text, sizeof(text), "%s of %zu BO%s", output_size(number, mapped),
					picture->owner_count, picture->owner_count == 1 ? "" : "s");
	if (sparse)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s sparse", used ? ", " : "",
					 output_size(number, sparse));
	if (strlen(draw->name) + used + strlen(", in 1023.9 GiB") + 5 <= draw->width) /* or else the folds tell it */
		snprintf(text + used, sizeof(text) - used, ", in %s", output_size(number, draw->va_range));
	fprintf(picture->stream, "%svm %s%s: %s\n", output_paint(draw->color, OUT_BOLD), draw->name,
		output_paint(draw->color, OUT_PLAIN), text);
}

/* ---- The legend ---- */

static void legend_row(const struct picture *picture, const struct owner *owner, struct table *table)
{
	char size[OUT_NUMBER], mapped[OUT_NUMBER], pieces[OUT_NUMBER], flags[5], letter[2] = {0};
	char shown[64];
	const char *name = "?";
	uint64_t bytes = 0;
	size_t room = picture->draw->width > 100 ? 40 : picture->draw->width > 64 ? 24 : 14;

	picture->draw->describe(picture->draw->data, owner->bo, &name, &bytes);
	snprintf(shown, sizeof(shown), "%.*s%s", (int)(strlen(name) > room ? room - 1 : room), name,
		 strlen(name) > room ? "~" : "");
	letter[0] = (char)('A' + (int)owner->index);
	flag_letters(flags, owner->flags_and, owner->flags_or);
	snprintf(pieces, sizeof(pieces), "%zu", owner->pieces);
	table_row(table, (const char *[]){letter, shown, output_size(size, bytes), output_size(mapped, owner->mapped),
					  pieces, flags});
}

static void print_signs(const struct picture *picture, bool sparse)
{
	FILE *stream = picture->stream;

	if (sparse)
		fprintf(stream, "  %s  sparse: reads hit the dummy%s\n", pick(picture, "·", "."),
			picture->used_comma ? "; ',': a hole beside it" : "");
	if (picture->used_lower)
		fputs("  a  lower case: not the whole cell is the BO's\n", stream);
	if (picture->used_many)
		fputs("  *  two BOs or more in one cell\n", stream);
	if (picture->owner_count > LETTERS)
		fprintf(stream, "  #  the other %zu BOs\n", picture->owner_count - LETTERS);
	if (picture->owner_count)
		fputs("  rwxc: read, write, execute, cached; -: not, *: differs\n", stream);
}

/* A line of the table; its letter in the colour of the cells. */
static void legend_line(const struct picture *picture, const char *line)
{
	if (picture->draw->color && *line != ' ')
		fprintf(picture->stream, " %s %c \033[0m%s\n", owner_color((size_t)(*line - 'A')), *line, line + 2);
	else
		fprintf(picture->stream, "  %s\n", line);
}

static int print_legend(const struct picture *picture, bool sparse)
{
	static const char *const heads[] = {"", "BO", "SIZE", "MAPPED", "PIECES", "GPU"};
	size_t count = picture->owner_count < LETTERS ? picture->owner_count : LETTERS;
	struct table table;
	char *text = NULL;
	size_t size;
	FILE *lines = open_memstream(&text, &size);

	if (!lines)
		return -ENOMEM;
	if (count && table_begin(&table, 6, "llrrrl", heads) == 0) {
		for (size_t i = 0; i < count; i++)
			legend_row(picture, picture->letters[i], &table);
		table_end(&table, lines, false);
	}
	fclose(lines);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		legend_line(picture, line);
	free(text);
	print_signs(picture, sparse);
	return 0;
}

static int print_all(struct picture *picture)
{
	const struct draw *draw = picture->draw;
	struct draw_cluster clusters[DRAW_CLUSTERS];
	uint64_t at = 0;
	size_t count = draw_layout(draw->mappings, draw->count, picture->row_cells, clusters);
	int error = 0;

	print_title(picture);
	for (size_t i = 0; i < count && !error; i++) {
		print_gap(picture, clusters[i].start - at);
		error = print_cluster(picture, &clusters[i]);
		at = clusters[i].end;
	}
	print_gap(picture, draw->va_range - at);
	return error;
}

int draw_map(FILE *stream, const struct draw *draw)
{
	struct picture picture = {.draw = draw, .stream = stream, .row_cells = draw_row_cells(draw->width)};
	bool sparse = false;
	int error;

	for (uint64_t last = draw->va_range - 1; last; last >>= 4)
		picture.digits++;
	for (size_t i = 0; i < draw->count; i++)
		sparse |= draw->mappings[i].sparse != 0;
	error = find_owners(&picture);
	if (!error)
		error = print_all(&picture);
	if (!error && draw->count)
		error = print_legend(&picture, sparse);
	free(picture.owners);
	free(picture.letters);
	return error;
}
