/* SPDX-License-Identifier: MIT */
/*
 * Pictures of address spaces, read back: each rectangle is as wide as the range that its tooltip names, none covers
 * another one, every mapping is in one of them, and the file stays small.
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "svg.h"

#define P UINT64_C(4096)

static const char *const names[] = {"atlas", "page", "<heap> & \"co\"", "ring"};

static void describe(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size)
{
	*ret_name = names[(uintptr_t)bo - 1];
	*ret_size = 64 * P;
}

static const char *who(void *data, size_t index)
{
	return index == 0 ? "in the morning by uid 7" : NULL;
}

static struct panbind_mapping mapping(uint64_t va, uint64_t size, uintptr_t bo)
{
	return (struct panbind_mapping){
		.va = va, .size = size, .bo = (struct panbind_bo *)bo, .bo_offset = P, .sparse = bo == 0};
}

/* The text of a picture, for free(3). */
static char *draw(const struct panbind_mapping *mappings, size_t count, const struct svg_lock *locks, size_t lock_count)
{
	struct svg_vm vm = {
		.name = "v",
		.va_range = UINT64_C(1) << 47,
		.mappings = mappings,
		.count = count,
		.describe = describe,
		.who = who,
		.locks = locks,
		.lock_count = lock_count,
	};
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	assert_int_equal(svg_write(stream, &vm, 1), 0);
	fclose(stream);
	return text;
}

/* ---- Reading it back ---- */

struct rect {
	char class[32];
	double x, y, width;
	uint64_t va, end;
	unsigned long many; /* mappings that it stands for */
};

/* The next rectangle with a tooltip at or after *at. */
static bool next_rect(const char **at, struct rect *rect)
{
	const char *title = NULL, *range;

	for (; (*at = strstr(*at, "<rect class=\"")); ++*at) {
		if (sscanf(*at, "<rect class=\"%31[^\"]\" x=\"%lf\" y=\"%lf\" width=\"%lf\"", rect->class, &rect->x,
			   &rect->y, &rect->width) != 4)
			continue;
		title = strstr(*at, "<title>");
		if (title && title < strstr(*at, ">\n"))
			break;
	}
	if (!*at)
		return false;
	++*at;
	rect->many = 1;
	sscanf(title, "<title>%lu mappings", &rect->many);
	range = strstr(title, "0x");
	assert_non_null(range);
	assert_int_equal(sscanf(range, "0x%" SCNx64 " to 0x%" SCNx64, &rect->va, &rect->end), 2);
	return true;
}

static bool is_mapping(const struct rect *rect)
{
	return rect->class[0] == 'm';
}

/* Tags that open are closed, in the right order; text has no bare & or <. */
static void assert_well_formed(const char *text)
{
	char open[16][16];
	int depth = 0;

	for (const char *at = strchr(text, '<'); at; at = strchr(at + 1, '<')) {
		const char *end = strchr(at, '>');
		char name[16] = "";

		assert_non_null(end);
		if (at[1] == '?')
			continue;
		sscanf(at + 1 + (at[1] == '/'), "%15[a-z]", name);
		assert_true(name[0] != '\0');
		if (at[1] == '/') {
			assert_true(depth > 0);
			assert_string_equal(open[--depth], name);
		} else if (end[-1] != '/') {
			assert_true(depth < 16);
			strcpy(open[depth++], name);
		}
	}
	assert_int_equal(depth, 0);
	for (const char *at = strchr(text, '&'); at; at = strchr(at + 1, '&'))
		assert_true(strncmp(at, "&lt;", 4) == 0 || strncmp(at, "&gt;", 4) == 0 ||
			    strncmp(at, "&amp;", 5) == 0 || strncmp(at, "&quot;", 6) == 0);
}

/* Within a row, from left to right, each begins where the one before has ended, or later. */
static void assert_no_overlap(const char *text)
{
	struct rect rect, last = {0};

	while (next_rect(&text, &rect)) {
		if (!is_mapping(&rect))
			continue;
		if (rect.y == last.y && rect.x < last.x + last.width - 0.011)
			fail_msg("0x%" PRIx64 " at x %.2f begins before 0x%" PRIx64 " ends at %.2f", rect.va, rect.x,
				 last.va, last.x + last.width);
		last = rect;
	}
}

/* The rows of the clusters come behind the overview, whose letters are the first ones. */
static const char *rows_of(const char *text)
{
	const char *at = strstr(text, "mappings in ");

	return at ? at : strstr(text, "mapping in ");
}

/* ---- Examples ---- */

static void ten_mappings_are_as_wide_as_they_are(void **state)
{
	struct panbind_mapping m[10];
	struct rect rect;
	const char *at;
	char *text;
	size_t seen = 0;

	for (uint64_t i = 0; i < 10; i++)
		m[i] = mapping(0x100000 + i * 16 * P, (i + 1) * P, i % 4 == 3 ? 0 : i % 4 + 1);
	text = draw(m, 10, NULL, 0);
	assert_well_formed(text);
	assert_no_overlap(text);
	for (at = rows_of(text); next_rect(&at, &rect); seen++) {
		/* a row of 1120 over 160 pages: the 154 that there are, in round numbers */
		assert_int_equal(rect.va, m[seen].va);
		assert_int_equal(rect.end, m[seen].va + m[seen].size);
		assert_true(fabs(rect.width - 1120.0 * (double)m[seen].size / (160.0 * (double)P)) < 0.01);
		assert_true(fabs(rect.x - 40 - 1120.0 * (double)(m[seen].va - 0x100000) / (160.0 * (double)P)) < 0.01);
		assert_string_equal(rect.class, m[seen].sparse	? "m sp"
						: seen % 4 == 0 ? "m b0"
						: seen % 4 == 1 ? "m b1"
								: "m b2");
	}
	assert_int_equal(seen, 10);
	free(text);
}

static void a_tooltip_tells_what_is_there_and_who_bound_it(void **state)
{
	struct panbind_mapping m = mapping(0x10000, 4 * P, 3);
	char *text;

	m.flags = PANBIND_MAP_READONLY;
	text = draw(&m, 1, NULL, 0);
	assert_non_null(strstr(text,
			       "<title>0x10000 to 0x14000 (16 KiB)\n&lt;heap&gt; &amp; &quot;co&quot; from 0x1000\n"
			       "readonly\nbound in the morning by uid 7</title>"));
	assert_well_formed(text);
	free(text);
}

static void wide_gaps_are_folded_and_say_how_wide_they_are(void **state)
{
	struct panbind_mapping m[] = {mapping(0, P, 1), mapping(UINT64_C(1) << 40, P, 2)};
	char *text = draw(m, 2, NULL, 0);

	assert_non_null(strstr(text, "class=\"fold\""));
	assert_non_null(strstr(text, "~1023.9 GiB</text>"));
	assert_non_null(strstr(text, "1 mapping in 4 KiB from 0x10000000000"));
	assert_well_formed(text);
	free(text);
}

static void locks_lie_over_the_mappings(void **state)
{
	struct panbind_mapping m = mapping(0x100000, 256 * P, 1);
	struct svg_lock locks[] = {{0x140000, 0x40000, "op 1"},
				   {0x100000, 0x100000, "ops 2-3"},
				   {0x140000, 0x40000, "op 4"}};
	char *text = draw(&m, 1, locks, 3);
	const char *at = rows_of(text);
	struct rect rect;

	assert_true(next_rect(&at, &rect) && is_mapping(&rect));
	assert_true(next_rect(&at, &rect));
	assert_string_equal(rect.class, "lock");
	assert_true(fabs(rect.width - 1120) < 0.01);
	assert_non_null(strstr(text, "<title>locked by ops 2-3: 0x100000 to 0x200000 (1 MiB)</title>"));
	assert_non_null(strstr(text, "<title>2 lock regions</title>")); /* the same one twice */
	assert_non_null(strstr(text, "locked by the plan"));
	assert_well_formed(text);
	free(text);
}

static void nothing_mapped_is_a_picture_too(void **state)
{
	char *text = draw(NULL, 0, NULL, 0);

	assert_non_null(strstr(text, "0 mappings of 0 BOs"));
	assert_well_formed(text);
	free(text);
}

static void a_hundred_thousand_mappings_are_all_there_in_a_small_file(void **state)
{
	size_t count = 100000, drawn = 0;
	struct panbind_mapping *m = calloc(count, sizeof(*m));
	uint64_t va = 0x100000, mark = 7;
	struct rect rect;
	const char *at;
	char *text;

	assert_non_null(m);
	for (size_t i = 0; i < count; i++) {
		mark = mark * 6364136223846793005u + 1442695040888963407u;
		m[i] = mapping(va, (1 + (mark >> 33) % 16) * P, i % 500 == 0 ? 0 : (mark >> 40) % 4 + 1);
		va += m[i].size + ((mark >> 50) % 5 == 0 ? (mark >> 53) % 8 * P : 0);
		if (i == count / 3)
			va += UINT64_C(1) << 42;
	}
	text = draw(m, count, NULL, 0);
	assert_true(strlen(text) < (size_t)4 << 20);
	assert_well_formed(text);
	assert_no_overlap(text);
	for (at = rows_of(text); next_rect(&at, &rect);) {
		assert_true(is_mapping(&rect));
		drawn += rect.many;
	}
	/* one that crosses the end of a row is in both rows */
	assert_true(drawn >= count && drawn < count + 24);
	free(text);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_mappings_are_as_wide_as_they_are),
		cmocka_unit_test(a_tooltip_tells_what_is_there_and_who_bound_it),
		cmocka_unit_test(wide_gaps_are_folded_and_say_how_wide_they_are),
		cmocka_unit_test(locks_lie_over_the_mappings),
		cmocka_unit_test(nothing_mapped_is_a_picture_too),
		cmocka_unit_test(a_hundred_thousand_mappings_are_all_there_in_a_small_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("svg", tests, NULL, NULL);
}
