/* SPDX-License-Identifier: MIT */
/* Pictures of address spaces: where everything goes. See svg.h. */
#include "svg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "output.h"

#define LEFT	  40.0
#define WIDTH	  1120.0
#define PAGE	  (WIDTH + 2 * LEFT)
#define BAR	  30.0 /* height of a row of mappings */
#define ROW	  58.0 /* from one row to the next */
#define NARROW	  3.0  /* what is narrower is drawn together with its neighbours */
#define FOLD	  44.0 /* a gap in the overview */
#define MAX_ROWS  24u
#define MAX_LOCKS 200u /* in a row */
#define LEGEND	  28u

/** One VM on its way onto the page. */
struct page {
	FILE *out;
	const struct svg_vm *vm;
	double y;
	const struct panbind_bo **bos; /* by first appearance */
	uint64_t *mapped;	       /* of each */
	size_t bo_count;
	size_t *bo_of; /* by mapping */
	struct draw_cluster clusters[DRAW_CLUSTERS];
	size_t cluster_count;
	struct svg_lock *locks; /* sorted */
};

/* ---- BOs and their colours ---- */

struct bo_place {
	const struct panbind_bo *bo;
	size_t index;
};

static int by_pointer(const void *a, const void *b)
{
	const struct bo_place *x = a, *y = b;

	if (x->bo != y->bo)
		return (x->bo > y->bo) - (x->bo < y->bo);
	return (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b)
{
	const struct bo_place *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/** Number the BOs in the order in which they appear, which is also the order of their colours. */
static int number_bos(struct page *page)
{
	const struct svg_vm *vm = page->vm;
	struct bo_place *places = calloc(2 * (vm->count + 1), sizeof(*places)), *firsts = places + vm->count + 1;
	size_t firsts_count = 0;

	page->bos =
		calloc(vm->count + 1, sizeof(page->bos[0])); /* NOLINT(bugprone-sizeof-expression): they are pointers */
	page->mapped = calloc(vm->count + 1, sizeof(*page->mapped));
	page->bo_of = calloc(vm->count + 1, sizeof(*page->bo_of));
	if (!places || !page->bos || !page->mapped || !page->bo_of) {
		free(places);
		return -ENOMEM;
	}
	for (size_t i = 0; i < vm->count; i++)
		places[i] = (struct bo_place){vm->mappings[i].bo, i};
	qsort(places, vm->count, sizeof(*places), by_pointer);
	for (size_t i = 0; i < vm->count; i++)
		if (places[i].bo && (i == 0 || places[i - 1].bo != places[i].bo))
			firsts[firsts_count++] = places[i];
	qsort(firsts, firsts_count, sizeof(*firsts), by_index);
	for (size_t i = 0; i < firsts_count; i++)
		page->bos[i] = firsts[i].bo;
	page->bo_count = firsts_count;
	/* by pointer again, so that each mapping finds its number in one pass over both */
	for (size_t i = 0; i < firsts_count; i++)
		firsts[i].index = i;
	qsort(firsts, firsts_count, sizeof(*firsts), by_pointer);
	for (size_t i = 0, at = 0; i < vm->count; i++) {
		size_t index = places[i].index;

		if (!places[i].bo)
			continue;
		while (firsts[at].bo != places[i].bo)
			at++;
		page->bo_of[index] = firsts[at].index;
		page->mapped[firsts[at].index] += vm->mappings[index].size;
	}
	free(places);
	return 0;
}

static const char *bo_name(const struct page *page, const struct panbind_bo *bo)
{
	const char *name = NULL;
	uint64_t size;

	page->vm->describe(page->vm->data, bo, &name, &size);
	return name ? name : "(unnamed)";
}

/* ---- A row ---- */

/** A stretch of addresses on the page. */
struct strip {
	uint64_t start, end;
	double x, width, y, height;
	double narrow; /* what is narrower is drawn with its neighbours */
	bool labels;
};

static double x_of(const struct strip *strip, uint64_t va)
{
	if (va <= strip->start)
		return strip->x;
	if (va >= strip->end)
		return strip->x + strip->width;
	return strip->x + strip->width * ((double)(va - strip->start) / (double)(strip->end - strip->start));
}

static void say_range(FILE *out, uint64_t va, uint64_t size)
{
	char bytes[OUT_NUMBER];

	fprintf(out, "0x%" PRIx64 " to 0x%" PRIx64 " (%s)", va, va + size, output_size(bytes, size));
}

static void say_mapping(const struct page *page, size_t index)
{
	const struct panbind_mapping *mapping = &page->vm->mappings[index];
	const char *who = page->vm->who ? page->vm->who(page->vm->data, index) : NULL;
	char flags[OUT_NUMBER];

	say_range(page->out, mapping->va, mapping->size);
	if (mapping->sparse) {
		fputs("\nsparse, no memory behind it", page->out);
	} else {
		fputc('\n', page->out);
		svg_text(page->out, bo_name(page, mapping->bo));
		fprintf(page->out, " from 0x%" PRIx64, mapping->bo_offset);
		if (mapping->flags)
			fprintf(page->out, "\n%s", output_flags(flags, mapping->flags));
	}
	if (who) {
		fputs("\nbound ", page->out);
		svg_text(page->out, who);
	}
}

static void open_rect(const struct page *page, const struct strip *strip, const char *class, double x, double end)
{
	fprintf(page->out, "<rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"><title>", class, x,
		strip->y, end - x, strip->height);
}

static void class_of(const struct page *page, size_t index, char class[32], const char *more)
{
	if (page->vm->mappings[index].sparse)
		snprintf(class, 32, "m sp%s", more);
	else
		snprintf(class, 32, "m b%zu%s", page->bo_of[index] % SVG_COLOURS, more);
}

static void draw_label(const struct page *page, const struct strip *strip, size_t index, double x, double end)
{
	const struct panbind_mapping *mapping = &page->vm->mappings[index];
	const char *name = mapping->sparse ? NULL : bo_name(page, mapping->bo);

	if (!strip->labels || !name || end - x < 12 + 6.2 * (double)output_columns(name))
		return;
	fprintf(page->out, "<text class=\"l i%zu\" x=\"%.2f\" y=\"%.1f\">", page->bo_of[index] % SVG_COLOURS, x + 6,
		strip->y + strip->height / 2 + 3.5);
	svg_text(page->out, name);
	fputs("</text>\n", page->out);
}

static void draw_one(const struct page *page, const struct strip *strip, size_t index, double x, double end)
{
	char class[32];

	class_of(page, index, class, "");
	open_rect(page, strip, class, x, end);
	say_mapping(page, index);
	fputs("</title></rect>\n", page->out);
	draw_label(page, strip, index, x, end);
}

/** Narrow mappings that stand side by side, drawn as one. */
struct crowd {
	size_t first, count, widest;
	uint64_t mapped;
	double x, end;
};

static void draw_crowd(const struct page *page, const struct strip *strip, struct crowd *crowd)
{
	const struct panbind_mapping *first = &page->vm->mappings[crowd->first];
	const struct panbind_mapping *last = &page->vm->mappings[crowd->first + crowd->count - 1];
	char class[32], bytes[OUT_NUMBER];

	if (crowd->count == 0)
		return;
	if (crowd->count == 1) {
		draw_one(page, strip, crowd->first, crowd->x, crowd->end);
	} else {
		class_of(page, crowd->widest, class, " many");
		open_rect(page, strip, class, crowd->x, crowd->end);
		fprintf(page->out, "%zu mappings, %s in ", crowd->count, output_size(bytes, crowd->mapped));
		say_range(page->out, first->va, last->va + last->size - first->va);
		fputs("</title></rect>\n", page->out);
	}
	*crowd = (struct crowd){0};
}

static void join_crowd(const struct page *page, const struct strip *strip, struct crowd *crowd, size_t index, double x,
		       double end)
{
	const struct panbind_mapping *mapping = &page->vm->mappings[index];

	if (crowd->count > 0 && (end - crowd->x > strip->narrow || x > crowd->end + strip->narrow))
		draw_crowd(page, strip, crowd);
	if (crowd->count == 0)
		*crowd = (struct crowd){.first = index, .widest = index, .x = x};
	else if (mapping->size > page->vm->mappings[crowd->widest].size)
		crowd->widest = index;
	crowd->count++;
	crowd->mapped += mapping->size;
	crowd->end = end;
}

/** The first mapping that ends after @va. */
static size_t first_after(const struct svg_vm *vm, uint64_t va)
{
	size_t low = 0, high = vm->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (vm->mappings[middle].va + vm->mappings[middle].size > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void draw_mappings(const struct page *page, const struct strip *strip)
{
	const struct svg_vm *vm = page->vm;
	struct crowd crowd = {0};

	for (size_t i = first_after(vm, strip->start); i < vm->count && vm->mappings[i].va < strip->end; i++) {
		double x = x_of(strip, vm->mappings[i].va),
		       end = x_of(strip, vm->mappings[i].va + vm->mappings[i].size);

		if (end - x < strip->narrow) {
			join_crowd(page, strip, &crowd, i, x, end);
			continue;
		}
		draw_crowd(page, strip, &crowd);
		draw_one(page, strip, i, x, end);
	}
	draw_crowd(page, strip, &crowd);
}

/* ---- Locks ---- */

static int by_lock(const void *a, const void *b)
{
	const struct svg_lock *x = a, *y = b;

	if (x->va != y->va)
		return (x->va > y->va) - (x->va < y->va);
	return (x->size > y->size) - (x->size < y->size);
}

static void draw_lock(const struct page *page, const struct strip *strip, size_t first, size_t count, double x,
		      double end)
{
	fprintf(page->out, "<rect class=\"lock\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" rx=\"2\"><title>",
		x, strip->y - 4, end - x, strip->height + 8);
	if (count == 1) {
		fputs("locked by ", page->out);
		svg_text(page->out, page->locks[first].text);
		fputs(": ", page->out);
		say_range(page->out, page->locks[first].va, page->locks[first].size);
	} else {
		fprintf(page->out, "%zu lock regions", count);
	}
	fputs("</title></rect>\n", page->out);
}

static uint64_t lock_end(const struct svg_lock *lock)
{
	return lock->size > UINT64_MAX - lock->va ? UINT64_MAX : lock->va + lock->size;
}

/** Lock regions of a strip that look the same, or are too narrow to be told apart. */
struct lock_group {
	size_t first, count;
	double x, end;
};

static bool looks_same(const struct lock_group *group, double x, double end)
{
	bool narrow = end - x < NARROW && group->end - group->x < 2 * NARROW && x < group->end + 1;

	return narrow || (x - group->x < 1 && end - group->end < 1 && group->end - end < 1);
}

static void draw_group(const struct page *page, const struct strip *strip, const struct lock_group *group)
{
	if (group->count > 0)
		draw_lock(page, strip, group->first, group->count, group->x, group->end);
}

/** They come in order of VA. Where there are very many, those behind share one rectangle. */
static void draw_locks(const struct page *page, const struct strip *strip)
{
	struct lock_group group = {0};
	size_t drawn = 0;

	for (size_t i = 0; i < page->vm->lock_count; i++) {
		const struct svg_lock *lock = &page->locks[i];
		double x = x_of(strip, lock->va), end = x_of(strip, lock_end(lock));

		if (lock->va >= strip->end || lock_end(lock) <= strip->start)
			continue;
		end = end > x + 1 ? end : x + 1;
		if (group.count > 0 && (drawn >= MAX_LOCKS || looks_same(&group, x, end))) {
			group.end = end > group.end ? end : group.end;
			group.count++;
			continue;
		}
		draw_group(page, strip, &group);
		drawn++;
		group = (struct lock_group){i, 1, x, end};
	}
	draw_group(page, strip, &group);
}

static void draw_strip(const struct page *page, const struct strip *strip)
{
	fprintf(page->out, "<rect class=\"hole\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"/>\n", strip->x,
		strip->y, strip->width, strip->height);
	draw_mappings(page, strip);
	draw_locks(page, strip);
}

/* ---- The overview ---- */

static char letter_of(size_t cluster)
{
	return (char)('A' + cluster);
}

/** A cluster is as wide as its size has digits, more or less: a page and a terabyte are both to be seen. */
static double weight_of(const struct draw_cluster *cluster)
{
	return 64.0 - (double)__builtin_clzll((cluster->end - cluster->start) / PANBIND_PAGE_SIZE + 1) + 1;
}

static void draw_fold(const struct page *page, double x, uint64_t gap)
{
	double y = page->y + BAR / 2;
	char bytes[OUT_NUMBER];

	fprintf(page->out, "<path class=\"fold\" d=\"M%.1f %.1fh8l4 -6l6 12l6 -12l6 12l4 -6h8\"/>", x + 1, y);
	fprintf(page->out, "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x + FOLD / 2,
		page->y + BAR + 14, output_size(bytes, gap));
}

static void draw_overview(struct page *page)
{
	double weights = 0, room = WIDTH - FOLD * (double)(page->cluster_count - 1), x = LEFT;

	for (size_t i = 0; i < page->cluster_count; i++)
		weights += weight_of(&page->clusters[i]);
	for (size_t i = 0; i < page->cluster_count; i++) {
		const struct draw_cluster *cluster = &page->clusters[i];
		struct strip strip = {.start = cluster->start,
				      .end = cluster->end,
				      .x = x,
				      .width = room * weight_of(cluster) / weights,
				      .y = page->y,
				      .height = BAR,
				      .narrow = NARROW};

		draw_strip(page, &strip);
		fprintf(page->out, "<text class=\"h\" x=\"%.2f\" y=\"%.1f\" text-anchor=\"middle\">%c</text>\n",
			x + strip.width / 2, page->y + BAR + 15, letter_of(i));
		x += strip.width;
		if (i + 1 < page->cluster_count)
			draw_fold(page, x, page->clusters[i + 1].start - cluster->end);
		x += FOLD;
	}
	page->y += BAR + 34;
}

/* ---- Clusters ---- */

/** Rows of whole multiples of a power of two, so that the addresses below them are round. */
static uint64_t row_size(const struct draw_cluster *cluster, size_t rows, uint64_t *ret_base)
{
	uint64_t span = cluster->end - cluster->start, size = (span + rows - 1) / rows, grain = PANBIND_PAGE_SIZE;

	while (grain * 16 <= size)
		grain *= 2;
	*ret_base = cluster->start - cluster->start % grain;
	size = (cluster->end - *ret_base + rows - 1) / rows;
	grain = grain < 4ul * PANBIND_PAGE_SIZE ? 4ul * PANBIND_PAGE_SIZE : grain; /* a tick each quarter */
	return (size + grain - 1) / grain * grain;
}

static void draw_ticks(const struct page *page, const struct strip *strip)
{
	static const char *const anchors[] = {"start", "middle", "middle", "middle", "end"};

	for (unsigned int i = 0; i <= 4; i++) {
		double x = strip->x + strip->width * i / 4;
		double bottom = strip->y + strip->height;

		fprintf(page->out, "<path class=\"tick\" d=\"M%.1f %.1fv4\"/>", x, bottom);
		fprintf(page->out, "<text class=\"k\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">0x%" PRIx64 "</text>\n",
			x, bottom + 14, anchors[i], strip->start + (strip->end - strip->start) / 4 * i);
	}
}

static void draw_cluster(struct page *page, size_t index)
{
	const struct draw_cluster *cluster = &page->clusters[index];
	size_t most = MAX_ROWS / page->cluster_count, rows = cluster->count / 48 + 1;
	uint64_t base, size = row_size(cluster, rows < most ? rows : most > 0 ? most : 1, &base);
	char bytes[OUT_NUMBER];

	fprintf(page->out, "<text class=\"h\" x=\"%.1f\" y=\"%.1f\">%c", LEFT, page->y + 12, letter_of(index));
	fprintf(page->out,
		"<tspan class=\"s\" font-weight=\"400\" dx=\"10\">%zu mapping%s in %s from 0x%" PRIx64
		"</tspan></text>\n",
		cluster->count, cluster->count == 1 ? "" : "s", output_size(bytes, cluster->end - cluster->start),
		cluster->start);
	page->y += 24;
	for (uint64_t at = base; at < cluster->end; at += size) {
		struct strip strip = {.start = at,
				      .end = at + size,
				      .x = LEFT,
				      .width = WIDTH,
				      .y = page->y,
				      .height = BAR,
				      .narrow = NARROW,
				      .labels = true};

		draw_strip(page, &strip);
		draw_ticks(page, &strip);
		page->y += ROW;
	}
	page->y += 6;
}

/* ---- Title and legend ---- */

static void draw_title(struct page *page)
{
	const struct svg_vm *vm = page->vm;
	uint64_t mapped = 0;
	char bytes[OUT_NUMBER], range[OUT_NUMBER];

	for (size_t i = 0; i < vm->count; i++)
		mapped += vm->mappings[i].size;
	fprintf(page->out, "<text class=\"t\" x=\"%.1f\" y=\"%.1f\">", LEFT, page->y + 20);
	svg_text(page->out, vm->name);
	fprintf(page->out, "</text>\n<text class=\"s\" x=\"%.1f\" y=\"%.1f\">", LEFT, page->y + 38);
	fprintf(page->out, "%zu mapping%s of %zu BO%s: %s of %s", vm->count, vm->count == 1 ? "" : "s", page->bo_count,
		page->bo_count == 1 ? "" : "s", output_size(bytes, mapped), output_size(range, vm->va_range));
	if (vm->subtitle) {
		fputs(" \xc2\xb7 ", page->out);
		svg_text(page->out, vm->subtitle);
	}
	fputs("</text>\n", page->out);
	page->y += 56;
}

static void draw_key(const struct page *page, size_t place, const char *class, const char *text, uint64_t bytes)
{
	size_t column = place % 4, row = place / 4;
	double x = LEFT + 280.0 * (double)column, y = page->y + 20.0 * (double)row;
	char size[OUT_NUMBER];
	bool more = output_columns(text) > 30;

	fprintf(page->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"12\"/>", class, x, y);
	fprintf(page->out, "<text x=\"%.1f\" y=\"%.1f\">", x + 21, y + 10);
	if (more) {
		char cut[128];

		snprintf(cut, sizeof(cut), "%.27s", text);
		svg_text(page->out, cut);
		fputs("...", page->out);
	} else {
		svg_text(page->out, text);
	}
	if (bytes)
		fprintf(page->out, " <tspan class=\"s\">%s</tspan>", output_size(size, bytes));
	fputs("</text>\n", page->out);
}

static void draw_legend(struct page *page)
{
	size_t place = 0, rows, listed = page->bo_count < LEGEND ? page->bo_count : LEGEND;
	char class[16], more[64];

	for (size_t i = 0; i < listed; i++) {
		snprintf(class, sizeof(class), "b%zu", i % SVG_COLOURS);
		draw_key(page, place++, class, bo_name(page, page->bos[i]), page->mapped[i]);
	}
	if (listed < page->bo_count) {
		snprintf(more, sizeof(more), "and %zu more BOs, in the same colours", page->bo_count - listed);
		draw_key(page, place++, "hole", more, 0);
	}
	draw_key(page, place++, "sp", "sparse", 0);
	draw_key(page, place++, "hole", "nothing mapped", 0);
	if (page->vm->lock_count > 0)
		draw_key(page, place++, "lock", "locked by the plan", 0);
	rows = (place + 3) / 4;
	page->y += 20.0 * (double)rows + 24;
}

/* ---- The document ---- */

static int draw_vm(struct page *page)
{
	int error = number_bos(page);

	if (!error && page->vm->lock_count > 0) {
		page->locks = calloc(page->vm->lock_count, sizeof(*page->locks));
		error = page->locks ? 0 : -ENOMEM;
	}
	if (!error) {
		if (page->locks) {
			memcpy(page->locks, page->vm->locks, page->vm->lock_count * sizeof(*page->locks));
			qsort(page->locks, page->vm->lock_count, sizeof(*page->locks), by_lock);
		}
		page->cluster_count =
			draw_layout(page->vm->mappings, page->vm->count, draw_row_cells(100), page->clusters);
		draw_title(page);
		if (page->cluster_count > 0)
			draw_overview(page);
		for (size_t i = 0; i < page->cluster_count; i++)
			draw_cluster(page, i);
		draw_legend(page);
	}
	free(page->bos);
	free(page->mapped);
	free(page->bo_of);
	free(page->locks);
	return error;
}

int svg_write(FILE *stream, const struct svg_vm *vms, size_t count)
{
	char *body = NULL;
	size_t size;
	FILE *out = open_memstream(&body, &size);
	double y = 16;
	int error = out ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < count; i++) {
		struct page page = {.out = out, .vm = &vms[i], .y = y};

		error = draw_vm(&page);
		y = page.y + 12;
	}
	if (out && fclose(out) && !error)
		error = -ENOMEM;
	if (!error) {
		fprintf(stream,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
			"width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n",
			PAGE, y, PAGE, y);
		svg_style(stream);
		fprintf(stream, "<rect class=\"bg\" width=\"%.0f\" height=\"%.0f\"/>\n%s</svg>\n", PAGE, y, body);
		error = ferror(stream) ? -EIO : 0;
	}
	free(body);
	return error;
}
