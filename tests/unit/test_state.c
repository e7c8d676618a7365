/* SPDX-License-Identifier: MIT */
/* Dumps: the text that rebuilds a session, and that it does. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "seed.h"
#include "session_room.h"

static bool goes_on(const struct panbind_mapping *a, const struct panbind_mapping *b)
{
	return b->va == a->va + a->size && b->bo == a->bo && b->flags == a->flags && b->sparse == a->sparse &&
	       (!a->bo || b->bo_offset == a->bo_offset + a->size);
}

/*
 * The next mapping, with what goes on behind it: one that was cut and rolled back stays in two pieces, which a dump
 * writes as one.
 */
static int next_joined(struct panbind_vm *vm, uint64_t va, struct panbind_mapping *ret_mapping)
{
	int ret = panbind_vm_next_mapping(vm, va, ret_mapping);
	struct panbind_mapping next;

	while (ret == 0 && panbind_vm_next_mapping(vm, ret_mapping->va + ret_mapping->size, &next) == 0 &&
	       goes_on(ret_mapping, &next))
		ret_mapping->size += next.size;
	return ret;
}

static void assert_same_mappings(struct session_room *a, struct session_room *b)
{
	const char *name;

	for (size_t i = 0; (name = panbind_session_vm_name(a->session, i)); i++) {
		struct panbind_vm *va = panbind_session_vm(a->session, name),
				  *vb = panbind_session_vm(b->session, name);
		struct panbind_mapping x, y;
		uint64_t at = 0;

		assert_non_null(vb);
		assert_int_equal(panbind_vm_va_range(va), panbind_vm_va_range(vb));
		for (; next_joined(va, at, &x) == 0; at = x.va + x.size) {
			assert_int_equal(next_joined(vb, at, &y), 0);
			assert_true(x.va == y.va && x.size == y.size && x.bo_offset == y.bo_offset);
			assert_true(x.flags == y.flags && x.sparse == y.sparse);
			if (x.bo)
				assert_int_equal(panbind_bo_size(x.bo), panbind_bo_size(y.bo));
		}
		assert_int_not_equal(next_joined(vb, at, &y), 0);
	}
}

/* dump -> run -> dump: the same text, and the same mappings behind it. */
static void assert_reloads(struct session_room *room, const char *spec)
{
	struct session_room *copy = session_room_open(spec);
	char *first = session_room_dump(room), *second;

	session_room_must(copy, first);
	second = session_room_dump(copy);
	assert_string_equal(second, first);
	assert_same_mappings(room, copy);
	free(first);
	free(second);
	session_room_close(copy);
}

static void test_everything_a_dump_can_hold(void **state)
{
	struct session_room *room = session_room_open("sim:");
	char *text;

	session_room_must(room, "vm create a --va=1G\nvm create b.2\n"
				"bo create x 1M --wb\nbo label x \"a \\\"quoted\\\" \\$label\\x01\\n\"\n"
				"bo create own 64K --vm=a --no-mmap\nbo create gone 8K\nbo create unused 4K\n"
				"sparse reserve a 0x10000000 4M\nsparse bind a 0x10010000 64K x+64K\n"
				"unmap a 0x10100000 8K\n"
				"map a 0 4K x --readonly\nmap a 0x1000 4K x+4K --noexec --uncached\n"
				"map b.2 0x8000 4K gone+4K\nmap a 0x2000 8K gone\nmap a 0x40000 64K own\n"
				"bo destroy gone\nbo create unnamed-1 4K\n");
	text = session_room_dump(room);
	assert_string_equal(text, "# panbind state\n"
				  "vm create a --va=0x800000000000\n"
				  "vm create b.2 --va=0x800000000000\n"
				  "bo create x 0x100000 --wb\n"
				  "bo label x \"a \\\"quoted\\\" \\$label\\x01\\x0a\"\n"
				  "bo create own 0x10000 --vm=a --no-mmap\n"
				  "bo create unused 0x1000\n"
				  "bo create unnamed-1 0x1000\n"
				  "bo create unnamed-2 0x2000\n"
				  "sparse reserve a 0x10000000 0x400000\n"
				  "unmap a 0x10100000 0x2000\n"
				  "map a 0x0 0x1000 x+0x0 --readonly\n"
				  "map a 0x1000 0x1000 x+0x1000 --noexec --uncached\n"
				  "map a 0x2000 0x2000 unnamed-2+0x0\n"
				  "map a 0x40000 0x10000 own+0x0\n"
				  "map a 0x10010000 0x10000 x+0x10000\n"
				  "map b.2 0x8000 0x1000 unnamed-2+0x1000\n"
				  "bo destroy unnamed-2\n");
	free(text);
	assert_reloads(room, "sim:");
	assert_reloads(room, "sim:minor=7");
	session_room_close(room);
}

static void test_one_vm_brings_only_what_it_needs(void **state)
{
	struct session_room *room = session_room_open("sim:");
	char *text = NULL;

	session_room_must(room, "vm create a\nvm create b\nbo create x 4K\nbo create y 4K\nbo create own 4K --vm=a\n"
				"map a 0 4K x\nmap b 0 4K y\n");
	assert_int_equal(panbind_session_dump(room->session, "a", &text), 0);
	assert_string_equal(text, "# panbind state\nvm create a --va=0x800000000000\nbo create x 0x1000\n"
				  "bo create own 0x1000 --vm=a\nmap a 0x0 0x1000 x+0x0\n");
	free(text);
	assert_int_equal(panbind_session_dump(room->session, "x", &text), -ENOENT);
	session_room_close(room);
}

/* A batch of the host's own can make sparse ranges without a region, next to one and across one. */
static void test_sparse_ranges_without_a_region_are_kept(void **state)
{
	struct session_room *room = session_room_open("sim:"), *copy = session_room_open("sim:");
	struct panbind_batch *batch = NULL;
	char *text;

	session_room_must(room, "vm create a\nsparse reserve a 0x400000 2M\n");
	assert_int_equal(panbind_batch_create(&batch), 0);
	assert_int_equal(panbind_batch_map_sparse(batch, 0x200000, 0x800000, NULL), 0);
	assert_int_equal(panbind_vm_bind(panbind_session_vm(room->session, "a"), batch, 0, NULL), 0);
	panbind_batch_destroy(batch);
	text = session_room_dump(room);
	assert_string_equal(text, "# panbind state\n"
				  "vm create a --va=0x800000000000\n"
				  "sparse reserve a 0x400000 0x200000\n"
				  "sparse map a 0x200000 0x200000\n"
				  "sparse map a 0x600000 0x400000\n");
	session_room_must(copy, text);
	assert_same_mappings(room, copy);
	free(text);
	text = session_room_dump(copy);
	session_room_must(room, "vm destroy a");
	session_room_must(room, text);
	assert_same_mappings(copy, room);
	free(text);
	session_room_close(copy);
	session_room_close(room);
}

/* ---- Random states ---- */

#define PAGES 512 /* of the 2 MiB that the ops fall into, over and over */

static void random_range(struct test_random *random, uint64_t *va, uint64_t *size)
{
	uint64_t pages = 1 + test_random_below(random, 24);
	uint64_t first = test_random_below(random, PAGES - pages);

	*va = 0x10000000 + first * 4096;
	*size = pages * 4096;
}

/* One command that may fail: a sparse command outside a region does. */
static void random_command(struct session_room *room, struct test_random *random)
{
	static const char *const flags[] = {"", " --readonly", " --noexec", " --uncached --readonly"};
	char text[300];
	uint64_t va, size, bo = test_random_below(random, 4), vm = test_random_below(random, 2);

	random_range(random, &va, &size);
	switch (test_random_below(random, 8)) {
	case 0:
		snprintf(text, sizeof(text), "unmap v%" PRIu64 " %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	case 1:
		snprintf(text, sizeof(text), "sparse reserve v%" PRIu64 " %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	case 2:
		snprintf(text, sizeof(text), "sparse unbind v%" PRIu64 " %" PRIu64 " %" PRIu64, vm, va, size);
		break;
	case 3:
		snprintf(text, sizeof(text), "bo destroy b%" PRIu64 "\nbo create b%" PRIu64 " 128K", bo, bo);
		break;
	case 4:
		snprintf(text, sizeof(text), "sparse bind v%" PRIu64 " %" PRIu64 " 4K b%" PRIu64 "+64K", vm, va, bo);
		break;
	default:
		snprintf(text, sizeof(text), "map v%" PRIu64 " %" PRIu64 " %" PRIu64 " b%" PRIu64 "%s", vm, va, size,
			 bo, flags[test_random_below(random, 4)]);
	}
	session_room_run(room, text, 0);
}

static void test_random_states_reload(void **state)
{
	struct test_random random = test_random_start("random states");
	size_t rounds = test_rounds(20, 2000);

	for (size_t i = 0; i < rounds; i++) {
		const char *spec = i % 2 ? "sim:" : "sim:minor=5";
		struct session_room *room = session_room_open(spec);

		session_room_must(room, "vm create v0\nvm create v1\n"
					"repeat 4 i\nbo create b$i 128K\nend\n"
					"sparse reserve v0 0x10000000 512K\nsparse reserve v1 0x10100000 64K\n");
		for (size_t j = 0; j < 60; j++)
			random_command(room, &random);
		assert_reloads(room, spec);
		session_room_close(room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_a_dump_can_hold),
		cmocka_unit_test(test_one_vm_brings_only_what_it_needs),
		cmocka_unit_test(test_sparse_ranges_without_a_region_are_kept),
		cmocka_unit_test(test_random_states_reload),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
