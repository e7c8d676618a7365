/* SPDX-License-Identifier: MIT */
/*
 * The picture of a VM's address space.
 *
 * Scenes are compared, byte for byte, with the files beside this one: they show how it is to look. Whether it tells the
 * truth is tested apart: random mappings are drawn, the picture is read back cell by cell, and every cell is compared
 * with what the mappings say about its bytes.
 *
 * PANBIND_UPDATE_GOLDEN=1 writes the files anew; look at the difference before you keep it.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "draw.h"

#define K	UINT64_C(1024)
#define M	(K * K)
#define T	(M * M)
#define SCENE	4096
#define NX	PANBIND_MAP_NOEXEC
#define RO	PANBIND_MAP_READONLY
#define RANGE47 (UINT64_C(1) << 47)

struct scene {
	const char *name;
	uint64_t va_range;
	struct panbind_mapping mappings[SCENE];
	size_t count;
};

/* BOs are never looked into, so small integers stand for them; 0 is a sparse range. */
static void add(struct scene *scene, uint64_t va, uint64_t size, uintptr_t bo, uint32_t flags)
{
	assert_true(scene->count < SCENE);
	scene->mappings[scene->count++] = (struct panbind_mapping){
		.va = va, .size = size, .bo = (struct panbind_bo *)bo, .flags = flags, .sparse = bo == 0};
}

static void describe(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size)
{
	static const char *const names[] = {
		"", "ring", "fences", "atlas", "pages", "tiles", "a-name-that-is-much-too-long-for-the-legend"};
	static char other[32];
	uintptr_t id = (uintptr_t)bo;

	snprintf(other, sizeof(other), "bo%zu", (size_t)id);
	*ret_name = id < 7 ? names[id] : other;
	*ret_size = id * M;
}

static char *picture(const struct scene *scene, unsigned width, bool utf8, bool color)
{
	struct draw draw = {.name = scene->name,
			    .va_range = scene->va_range,
			    .mappings = scene->mappings,
			    .count = scene->count,
			    .describe = describe,
			    .width = width,
			    .utf8 = utf8,
			    .color = color};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	assert_int_equal(draw_map(stream, &draw), 0);
	assert_int_equal(fclose(stream), 0);
	return text;
}

/* ---- How it looks ---- */

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 65536);

	assert_non_null(text);
	if (file) {
		assert_true(fread(text, 1, 65535, file) < 65535);
		fclose(file);
	}
	return text;
}

static void check_golden(const struct scene *scene, unsigned width, bool utf8, bool color)
{
	char path[512], *drawn = picture(scene, width, utf8, color), *golden;

	snprintf(path, sizeof(path), "%s/tests/golden/draw-%s-%u%s%s.txt", PANBIND_SOURCE_DIR, scene->name, width,
		 utf8 ? "-utf8" : "", color ? "-color" : "");
	if (getenv("PANBIND_UPDATE_GOLDEN")) {
		FILE *file = fopen(path, "we");

		assert_non_null(file);
		fputs(drawn, file);
		fclose(file);
	}
	golden = read_file(path);
	if (strcmp(drawn, golden) != 0)
		print_message("# %s differs; this is what was drawn:\n%s", path, drawn);
	assert_string_equal(drawn, golden);
	free(golden);
	free(drawn);
}

/* A driver's own BOs below 4 GiB, and a sparse texture near the top of the space, some pages of it bound. */
static void fill_stream(struct scene *scene)
{
	*scene = (struct scene){.name = "stream", .va_range = RANGE47};
	add(scene, 0xff400000, 10 * M, 1, NX);
	add(scene, 0xffff1000, 8 * K, 2, NX | RO);
	add(scene, 0xffff7000, 36 * K, 3, 0);
	add(scene, 0x7fffef000000, 16 * M, 4, NX);
	for (uint64_t i = 0, va = 0x7ffff0000000; i < 64; i++, va += 4 * M) {
		add(scene, va, 3 * M, 0, NX);
		add(scene, va + 3 * M, 1 * M, i % 3 ? 4 : 5, i % 16 == 5 ? NX | RO : NX);
	}
}

/* Two halves of a swap chain side by side, with a guard hole; small enough to be drawn exactly. */
static void fill_swap(struct scene *scene)
{
	*scene = (struct scene){.name = "swap", .va_range = UINT64_C(1) << 33};
	add(scene, 16 * M, 64 * K, 1, 0);
	add(scene, 16 * M + 64 * K, 64 * K, 2, RO | PANBIND_MAP_UNCACHED);
	add(scene, 16 * M + 160 * K, 32 * K, 6, NX);
}

/* More BOs than letters, more clusters than are drawn, several BOs in a cell. */
static void fill_crowd(struct scene *scene)
{
	*scene = (struct scene){.name = "crowd", .va_range = RANGE47};
	for (uint64_t i = 0; i < 40; i++)
		add(scene, i * i * 64 * M, (i % 5 + 1) * 4 * K, 7 + i, 0);
	for (uint64_t i = 0; i < 8; i++)
		add(scene, T + i * 12 * K, 8 * K, 1 + i % 3, 0);
	add(scene, T + 64 * M, 4 * K, 0, NX);
}

static void looks_alike_at_widths(void (*fill)(struct scene *scene))
{
	struct scene *scene = malloc(sizeof(*scene));

	assert_non_null(scene);
	fill(scene);
	for (unsigned width = 60; width <= 120; width += width == 60 ? 20 : 40) {
		check_golden(scene, width, false, false);
		check_golden(scene, width, true, false);
	}
	free(scene);
}

static void a_sparse_stream_looks_as_it_should(void **state)
{
	looks_alike_at_widths(fill_stream);
}

static void a_swap_chain_looks_as_it_should(void **state)
{
	looks_alike_at_widths(fill_swap);
}

static void a_crowd_looks_as_it_should(void **state)
{
	looks_alike_at_widths(fill_crowd);
}

static void colour_looks_as_it_should(void **state)
{
	struct scene *scene = malloc(sizeof(*scene));

	assert_non_null(scene);
	fill_swap(scene);
	check_golden(scene, 80, true, true);
	free(scene);
}

static void an_empty_space_is_said_to_be_empty(void **state)
{
	struct scene scene = {.name = "empty", .va_range = RANGE47};
	char *text = picture(&scene, 80, false, false);

	assert_string_equal(text, "vm empty: 0 B of 0 BOs, in 128 TiB\n                : 128 TiB unmapped\n");
	free(text);
}

/* ---- Whether it is true ---- */

/* What is in [from, to), seen from the mappings: the letter that belongs there. */
static char expected_cell(const struct scene *scene, uint64_t from, uint64_t to)
{
	uint64_t sparse = 0, owned = 0;
	uintptr_t owner = 0;
	bool several = false;

	for (size_t i = 0; i < scene->count; i++) {
		const struct panbind_mapping *m = &scene->mappings[i];
		uint64_t low = m->va > from ? m->va : from, end = m->va + m->size, high = end < to ? end : to;

		if (low >= high)
			continue;
		if (m->sparse) {
			sparse += high - low;
			continue;
		}
		several |= owner && owner != (uintptr_t)m->bo;
		owner = (uintptr_t)m->bo;
		owned += high - low;
	}
	if (several)
		return '*';
	if (owner) /* the scenes here give BOs their numbers in order of VA */
		return (char)((owned == to - from ? 'A' : 'a') + (int)owner - 1);
	return sparse == to - from ? '.' : sparse ? ',' : ' ';
}

static uint64_t read_size(const char *text)
{
	static const char units[] = "BKMGT";
	char unit;
	uint64_t value;

	assert_int_equal(sscanf(text, "%" SCNu64 " %c", &value, &unit), 2);
	assert_non_null(strchr(units, unit));
	return value << (10 * (strchr(units, unit) - units));
}

struct reading {
	uint64_t cell, next; /* bytes a cell; address behind the last row */
	size_t width;	     /* cells in a row */
	uint64_t rows_like;  /* rows that were only counted, and look like the last one */
	char like;	     /* what is in every cell of them */
	struct {
		uint64_t from, to;
	} seen[DRAW_CLUSTERS];
	size_t clusters;
};

static void check_row(const struct scene *scene, const char *line, struct reading *reading)
{
	uint64_t va = strtoull(line + 1, NULL, 16), left_out = reading->rows_like * reading->width * reading->cell;
	const char *cells = strchr(line, '|') + 1, *end = strchr(cells, '|');

	assert_int_equal(va, reading->next ? reading->next + left_out : va);
	for (uint64_t at = reading->next; reading->rows_like && at < va; at += reading->cell)
		assert_int_equal(expected_cell(scene, at, at + reading->cell), reading->like);
	if (!reading->next)
		reading->seen[reading->clusters++].from = va;
	reading->rows_like = 0;
	reading->like = *cells;
	for (const char *at = cells; at < end; at++, va += reading->cell)
		assert_int_equal(*at, expected_cell(scene, va, va + reading->cell));
	reading->width = (size_t)(end - cells);
	reading->next = va;
	reading->seen[reading->clusters - 1].to = va;
}

static void check_all_is_seen(const struct scene *scene, const struct reading *reading)
{
	size_t cluster = 0;

	for (size_t i = 0; i < scene->count; i++) {
		const struct panbind_mapping *m = &scene->mappings[i];

		while (cluster < reading->clusters && m->va >= reading->seen[cluster].to)
			cluster++;
		assert_true(cluster < reading->clusters);
		assert_true(m->va >= reading->seen[cluster].from);
		assert_true(m->va + m->size <= reading->seen[cluster].to);
	}
}

static void check_picture(const struct scene *scene, char *text, unsigned width)
{
	struct reading reading = {0};

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *scale = strstr(line, ", "), *like = strstr(line, " more rows like this");

		if (strlen(line) > width)
			fail_msg("wider than %u columns: %s", width, line);
		if (scale && strstr(line, " a cell")) {
			reading.cell = read_size(scale + 2);
			reading.next = 0;
		} else if (like) {
			while (like > line && like[-1] != ' ')
				like--;
			reading.rows_like = strtoull(like, NULL, 10);
		} else if (strncmp(line, " 0x", 3) == 0) {
			check_row(scene, line, &reading);
		}
	}
	check_all_is_seen(scene, &reading);
}

static uint64_t random_next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static void fill_random(struct scene *scene, uint64_t *random)
{
	size_t count = random_next(random) % 60, bos = 0;
	uint64_t va = 0;

	*scene = (struct scene){.name = "random", .va_range = RANGE47};
	for (size_t i = 0; i < count; i++) {
		unsigned kind = random_next(random) % 4;
		uint64_t gap = kind == 0 ? 0 : (random_next(random) % 64) << (12 + 6 * (random_next(random) % 5));
		uint64_t size = (1 + random_next(random) % 64) << (12 + 4 * (random_next(random) % 3));
		uintptr_t bo = 0;

		if (random_next(random) % 3)
			bo = bos < 26 && (!bos || random_next(random) % 3 == 0) ? ++bos : 1 + random_next(random) % bos;
		va += gap;
		if (va + size > RANGE47)
			break;
		add(scene, va, size, bo, 0);
		va += size;
	}
}

static void random_pictures_are_true(void **state)
{
	const char *seed_text = getenv("PANBIND_SEED");
	uint64_t random = seed_text ? strtoull(seed_text, NULL, 0) : 0x9e3779b97f4a7c15;
	int rounds = getenv("PANBIND_NIGHTLY") ? 20000 : 300;
	struct scene *scene = malloc(sizeof(*scene));

	assert_non_null(scene);
	print_message("# seed PANBIND_SEED=0x%" PRIx64 "\n", random);
	for (int i = 0; i < rounds; i++) {
		unsigned width = 60 + (unsigned)(random_next(&random) % 120);

		fill_random(scene, &random);
		char *text = picture(scene, width, false, false);

		check_picture(scene, text, width);
		free(text);
	}
	free(scene);
}

static void clusters_hold_every_mapping_once(void **state)
{
	uint64_t random = 12345;
	struct scene *scene = malloc(sizeof(*scene));
	struct draw_cluster clusters[DRAW_CLUSTERS];

	assert_non_null(scene);
	for (int i = 0; i < 300; i++) {
		size_t count, next = 0;

		fill_random(scene, &random);
		count = draw_layout(scene->mappings, scene->count, 48, clusters);
		for (size_t c = 0; c < count; c++) {
			assert_int_equal(clusters[c].first, next);
			next += clusters[c].count;
			assert_true(clusters[c].base <= clusters[c].start);
			assert_true(clusters[c].base + clusters[c].cells * clusters[c].cell >= clusters[c].end);
			assert_true(!c || clusters[c - 1].limit == clusters[c].start);
		}
		assert_int_equal(next, scene->count);
	}
	free(scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sparse_stream_looks_as_it_should), cmocka_unit_test(a_swap_chain_looks_as_it_should),
		cmocka_unit_test(a_crowd_looks_as_it_should),	      cmocka_unit_test(colour_looks_as_it_should),
		cmocka_unit_test(an_empty_space_is_said_to_be_empty), cmocka_unit_test(random_pictures_are_true),
		cmocka_unit_test(clusters_hold_every_mapping_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
