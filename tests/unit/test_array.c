/* SPDX-License-Identifier: MIT */
/* Arrays that may become large: room for what is wanted or no change at all, and large pages for those that are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "internal.h"

/* What is too much is answered by sanitizers too, and not by their end. */
#define SANITIZER_OPTIONS __attribute__((visibility("default"))) const char *
SANITIZER_OPTIONS __asan_default_options(void);
SANITIZER_OPTIONS __tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

struct item {
	uint64_t number, more[2];
};

/* ---- Room ---- */

static void a_new_array_is_all_zero(void **state)
{
	for (size_t count = 1; count <= 1 << 18; count *= 64) {
		struct item *items = pb_array_create(count, sizeof(*items));

		assert_non_null(items);
		for (size_t i = 0; i < count; i++)
			assert_true(items[i].number == 0 && items[i].more[0] == 0 && items[i].more[1] == 0);
		free(items);
	}
}

static void one_that_no_memory_can_hold_is_none(void **state)
{
	assert_null(pb_array_create(SIZE_MAX / 8, sizeof(struct item))); /* also where the product overflows */
	assert_null(pb_array_create(SIZE_MAX / sizeof(struct item), sizeof(struct item)));
}

static void room_that_is_there_is_kept(void **state)
{
	struct item *items = NULL, *before;
	size_t room = 0;

	/* Given room for a hundred items, */
	assert_int_equal(pb_array_reserve((void **)&items, &room, 100, sizeof(*items)), 0);
	assert_int_equal(room, 100);
	before = items;
	/* when as many are wanted or fewer, nothing moves and no room is given back. */
	assert_int_equal(pb_array_reserve((void **)&items, &room, 100, sizeof(*items)), 0);
	assert_int_equal(pb_array_reserve((void **)&items, &room, 1, sizeof(*items)), 0);
	assert_int_equal(pb_array_grow((void **)&items, &room, 99, sizeof(*items)), 0);
	assert_ptr_equal(items, before);
	assert_int_equal(room, 100);
	free(items);
}

static void an_array_grows_by_doubling_and_keeps_what_is_in_it(void **state)
{
	struct item *items = NULL;
	size_t room = 0, grown = 0, count;

	/* Given an array that is filled item by item until it is large, */
	for (count = 0; count < 300000; count++) {
		size_t before = room;

		assert_int_equal(pb_array_grow((void **)&items, &room, count, sizeof(*items)), 0);
		assert_true(count < room);
		/* then it doubles when it is full and never else, */
		assert_true(room == before || (count == before && (before == 0 || room == 2 * before)));
		grown += room != before;
		items[count] = (struct item){count, {~count, count * count}};
	}
	/* so that it moves a few times and not at each item, */
	assert_true(grown < 20);
	/* and everything is where it was put. */
	for (size_t i = 0; i < count; i++)
		assert_true(items[i].number == i && items[i].more[0] == ~i && items[i].more[1] == i * i);
	free(items);
}

static void without_memory_nothing_changes(void **state)
{
	struct item *items = NULL, *before;
	size_t room = 0;

	assert_int_equal(pb_array_reserve((void **)&items, &room, 3, sizeof(*items)), 0);
	for (size_t i = 0; i < 3; i++)
		items[i].number = i + 1;
	before = items;
	/* Too much for any memory, and so much that its size in bytes has no number. */
	assert_int_equal(pb_array_reserve((void **)&items, &room, PTRDIFF_MAX / sizeof(*items), sizeof(*items)),
			 -ENOMEM);
	assert_int_equal(pb_array_reserve((void **)&items, &room, SIZE_MAX / 2, sizeof(*items)), -ENOMEM);
	assert_ptr_equal(items, before);
	assert_int_equal(room, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(items[i].number, i + 1);
	free(items);
}

/* ---- Large pages ---- */

/* Whether large pages are wanted for the mapping that holds this address: "hg" among its flags. */
static bool wants_large_pages(const void *address)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long long low, high;
	bool here = false, wanted = false;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx ", &low, &high) == 2)
			here = (uintptr_t)address >= low && (uintptr_t)address < high;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			wanted |= strstr(line, " hg") != NULL;
	}
	fclose(maps);
	return wanted;
}

static void large_pages_are_wanted_for_large_arrays_alone(void **state)
{
	const size_t large = 8 << 20, small = 1 << 20;
	size_t room = 0;
	char *array;

	array = pb_array_create(large, 1);
	assert_non_null(array);
	if (!wants_large_pages(array + large / 2)) {
		free(array);
		print_message(
			"# note no large pages here: the kernel has none, or an emulator does not pass advice on\n");
		skip();
	}
	free(array);
	array = pb_array_create(small, 1); /* malloc() maps it by itself as well */
	assert_non_null(array);
	assert_false(wants_large_pages(array + small / 2));
	/* The same when one has grown. */
	room = small;
	assert_int_equal(pb_array_reserve((void **)&array, &room, large, 1), 0);
	assert_true(wants_large_pages(array + large / 2));
	free(array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_array_is_all_zero),
		cmocka_unit_test(one_that_no_memory_can_hold_is_none),
		cmocka_unit_test(room_that_is_there_is_kept),
		cmocka_unit_test(an_array_grows_by_doubling_and_keeps_what_is_in_it),
		cmocka_unit_test(without_memory_nothing_changes),
		cmocka_unit_test(large_pages_are_wanted_for_large_arrays_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
