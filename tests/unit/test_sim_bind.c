/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND on the simulator, the synchronous path: what it maps, what it refuses, and which errno wins.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "seed.h"
#include "sim_rig.h"

#define K(n)  ((uint64_t)(n) << 10)
#define M(n)  ((uint64_t)(n) << 20)
#define BASE  UINT64_C(0x10000000)
#define RANGE (UINT64_C(1) << 47)

struct rig {
	struct pb_file *file;
	uint32_t vm, a, b; /* BOs of 8 MiB */
};

static void open_rig(struct rig *rig, const char *options)
{
	rig->file = rig_open(options);
	rig->vm = rig_vm(rig->file);
	rig->a = rig_bo(rig->file, M(8));
	rig->b = rig_bo(rig->file, M(8));
	assert_int_equal(rig->a, 1);
	assert_int_equal(rig->b, 2);
}

static void assert_pages(struct rig *rig, const char *want)
{
	assert_string_equal(rig_pages(rig->file, rig->vm, 0, RANGE), want);
}

static int bind1(struct rig *rig, struct pb_uapi_vm_bind_op op)
{
	return rig_bind(rig->file, rig->vm, op);
}

static void a_map_shows_in_the_page_table(void **state)
{
	struct rig rig;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, K(16), rig.a, K(8), PB_OP_NOEXEC)), 0);
	assert_pages(&rig, "0x10000000+0x4000 bo 1+0x2000 flags 2");
	assert_int_equal(bind1(&rig, rig_unmap(BASE, K(16))), 0);
	assert_pages(&rig, "");
	rig_close(rig.file);
}

static void a_map_in_the_middle_splits_what_was_there(void **state)
{
	struct rig rig;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, K(64), rig.a, 0, PB_OP_READONLY)), 0);
	assert_int_equal(bind1(&rig, rig_map(BASE + K(16), K(8), rig.b, K(4), 0)), 0);
	assert_pages(&rig, "0x10000000+0x4000 bo 1+0x0 flags 1; 0x10004000+0x2000 bo 2+0x1000; "
			   "0x10006000+0xa000 bo 1+0x6000 flags 1");
	rig_close(rig.file);
}

static void a_map_over_several_takes_their_place(void **state)
{
	struct rig rig;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, K(16), rig.a, 0, 0)), 0);
	assert_int_equal(bind1(&rig, rig_map(BASE + K(32), K(16), rig.a, K(32), 0)), 0);
	assert_int_equal(bind1(&rig, rig_map(BASE + K(12), K(24), rig.b, 0, 0)), 0);
	assert_pages(&rig, "0x10000000+0x3000 bo 1+0x0; 0x10003000+0x6000 bo 2+0x0; 0x10009000+0x3000 bo 1+0x9000");
	rig_close(rig.file);
}

static void an_unmap_may_span_holes_and_cut_both_ends(void **state)
{
	struct rig rig;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, K(16), rig.a, 0, 0)), 0);
	assert_int_equal(bind1(&rig, rig_map(BASE + K(32), K(16), rig.a, K(32), 0)), 0);
	assert_int_equal(bind1(&rig, rig_unmap(BASE + K(8), K(32))), 0);
	assert_pages(&rig, "0x10000000+0x2000 bo 1+0x0; 0x1000a000+0x2000 bo 1+0xa000");
	assert_int_equal(bind1(&rig, rig_unmap(0, RANGE)), 0);
	assert_pages(&rig, "");
	assert_int_equal(bind1(&rig, rig_unmap(0, RANGE)), 0);
	rig_close(rig.file);
}

static void pages_know_when_they_are_blocks(void **state)
{
	struct rig rig;
	struct pb_page page;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_map(BASE, M(4), rig.a, M(2), 0)), 0);
	assert_int_equal(rig.file->backend->gpu->next_page(rig.file, rig.vm, 0, &page), 0);
	assert_int_equal(page.size, M(2));
	assert_int_equal(bind1(&rig, rig_unmap(BASE + K(4), K(4))), 0);
	assert_int_equal(rig.file->backend->gpu->next_page(rig.file, rig.vm, 0, &page), 0);
	assert_int_equal(page.size, K(4));
	assert_pages(&rig, "0x10000000+0x1000 bo 1+0x200000; 0x10002000+0x3fe000 bo 1+0x202000");
	assert_int_equal(rig.file->backend->gpu->next_page(rig.file, rig.vm, BASE + M(4), &page), -ENOENT);
	rig_close(rig.file);
}

static void a_sparse_map_goes_round_one_dummy(void **state)
{
	struct rig rig;
	struct pb_page page;

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, rig_sparse(BASE + M(1), M(6))), 0);
	assert_pages(&rig, "0x10100000+0x600000 dummy");
	for (uint64_t va = BASE + M(1); va < BASE + M(7); va += page.size) {
		assert_int_equal(rig.file->backend->gpu->next_page(rig.file, rig.vm, va, &page), 0);
		assert_int_equal(page.bo_offset, va % M(2));
		assert_int_equal(page.bo_handle, 0);
		assert_int_equal(page.flags, PB_OP_NOEXEC);
	}
	/* What is bound in the middle leaves the dummy on both sides, at the same offsets. */
	assert_int_equal(bind1(&rig, rig_map(BASE + M(3) + K(4), K(4), rig.b, 0, 0)), 0);
	assert_pages(&rig, "0x10100000+0x201000 dummy; 0x10301000+0x1000 bo 2+0x0; 0x10302000+0x3fe000 dummy");
	assert_int_equal(rig.file->backend->gpu->next_page(rig.file, rig.vm, BASE + M(3) + K(8), &page), 0);
	assert_int_equal(page.bo_offset, M(1) + K(8));
	rig_close(rig.file);
}

static void what_a_sparse_map_may_not_say(void **state)
{
	struct rig rig, old;

	open_rig(&rig, "");
	open_rig(&old, "minor=8");
	assert_int_equal(bind1(&old, rig_sparse(BASE, M(2))), -EINVAL);
	assert_int_equal(bind1(&rig, rig_map(BASE, M(2), 0, 0, PB_OP_SPARSE)), -EINVAL); /* not NOEXEC */
	assert_int_equal(bind1(&rig, rig_map(BASE, M(2), rig.a, 0, PB_OP_SPARSE | PB_OP_NOEXEC)), -EINVAL);
	assert_int_equal(bind1(&rig, rig_map(BASE, M(2), 0, K(4), PB_OP_SPARSE | PB_OP_NOEXEC)), -EINVAL);
	assert_int_equal(bind1(&rig, rig_map(BASE, M(2), 0, 0, 1u << 4 | PB_OP_SPARSE | PB_OP_NOEXEC)), -EINVAL);
	assert_int_equal(bind1(&rig, rig_sparse(BASE, UINT64_C(1) << 46)), -ENOMEM);
	assert_int_equal(bind1(&rig, rig_sparse(BASE, M(2))), 0);
	rig_close(rig.file);
	rig_close(old.file);
}

static void what_a_map_or_unmap_may_not_say(void **state)
{
	struct rig rig;
	const struct {
		const char *why;
		struct pb_uapi_vm_bind_op op;
	} cases[] = {
		{"va not aligned", rig_map(BASE + 1, K(4), 1, 0, 0)},
		{"size not aligned", rig_map(BASE, 100, 1, 0, 0)},
		{"offset not aligned", rig_map(BASE, K(4), 1, 8, 0)},
		{"past the user's range", rig_map(RANGE - K(4), K(8), 1, 0, 0)},
		{"at the end of the range", rig_map(RANGE, K(4), 1, 0, 0)},
		{"wraps around", rig_map(~UINT64_C(4095), K(8), 1, 0, 0)},
		{"no BO", rig_map(BASE, K(4), 0, 0, 0)},
		{"no such BO", rig_map(BASE, K(4), 77, 0, 0)},
		{"larger than the BO", rig_map(BASE, M(8) + K(4), 1, 0, 0)},
		{"beyond the BO", rig_map(BASE, K(8), 1, M(8) - K(4), 0)},
		{"offset far beyond the BO", rig_map(BASE, K(4), 1, ~UINT64_C(4095), 0)},
		{"unknown map flag", rig_map(BASE, K(4), 1, 0, 1u << 4)},
		{"unknown type", rig_map(BASE, K(4), 1, 0, 3u << 28)},
		{"unmap with a map flag", {.flags = PB_OP_UNMAP | PB_OP_NOEXEC, .va = BASE, .size = K(4)}},
		{"unmap with a BO", {.flags = PB_OP_UNMAP, .bo_handle = 1, .va = BASE, .size = K(4)}},
		{"unmap with an offset", {.flags = PB_OP_UNMAP, .bo_offset = K(4), .va = BASE, .size = K(4)}},
		{"unmap past the range", rig_unmap(RANGE - K(4), K(8))},
		{"sync-only with a range", {.flags = PB_OP_SYNC_ONLY, .va = BASE, .size = K(4)}},
	};

	open_rig(&rig, "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (bind1(&rig, cases[i].op) != -EINVAL)
			fail_msg("%s: not refused", cases[i].why);
	assert_pages(&rig, "");
	rig_close(rig.file);
}

static void the_first_failure_ends_a_synchronous_bind(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "");
	const struct pb_uapi_vm_bind_op ops[] = {
		rig_map(BASE, K(4), rig.a, 0, 0),
		rig_map(BASE + K(4), K(4), rig.a, K(4), 0),
		rig_map(BASE + K(8), K(4), 77, 0, 0),
		rig_map(BASE + K(12), K(4), rig.a, K(12), 0),
	};

	assert_int_equal(rig_bind_ops(rig.file, rig.vm, 0, ops, 4, &count), -EINVAL);
	assert_int_equal(count, 2);
	assert_pages(&rig, "0x10000000+0x2000 bo 1+0x0");
	rig_close(rig.file);
}

static void a_synchronous_op_without_size_is_not_looked_at(void **state)
{
	struct rig rig;
	struct pb_uapi_sync_op sync = {.handle = 1};
	struct pb_uapi_vm_bind_op op = rig_map(BASE + 1, 0, 99, 7, 0xff);

	open_rig(&rig, "");
	assert_int_equal(bind1(&rig, op), 0);
	assert_int_equal(bind1(&rig, (struct pb_uapi_vm_bind_op){.flags = PB_OP_SYNC_ONLY}), 0);
	rig_syncs(&op, &sync, 1); /* but syncs are, first of all */
	assert_int_equal(bind1(&rig, op), -EINVAL);
	rig_close(rig.file);
}

static int bind_array(struct rig *rig, uint32_t flags, struct pb_uapi_obj_array ops)
{
	struct pb_uapi_vm_bind args = {.vm_id = rig->vm, .flags = flags, .ops = ops};

	return rig_ioctl(rig->file, PB_IOCTL_VM_BIND, &args);
}

static void the_array_of_ops_is_taken_as_the_kernel_takes_it(void **state)
{
	struct rig rig;
	struct {
		struct pb_uapi_vm_bind_op op;
		uint64_t more;
	} wide = {.op = rig_map(BASE, K(4), 1, 0, 0)};
	uint64_t at = (uintptr_t)&wide;

	open_rig(&rig, "");
	for (uint32_t flags = 0; flags <= PB_VM_BIND_ASYNC; flags++) {
		assert_int_equal(bind_array(&rig, flags, (struct pb_uapi_obj_array){0, 0, 8}), 0);
		assert_int_equal(bind_array(&rig, flags, (struct pb_uapi_obj_array){47, 1, at}), -EINVAL);
		assert_int_equal(bind_array(&rig, flags, (struct pb_uapi_obj_array){48, 1, 8}), -EFAULT);
		assert_int_equal(bind_array(&rig, flags, (struct pb_uapi_obj_array){48, ~0u, at}), -ENOMEM);
		wide.more = 1;
		assert_int_equal(bind_array(&rig, flags, (struct pb_uapi_obj_array){56, 1, at}), -E2BIG);
		wide.more = 0;
		assert_int_equal(bind_array(&rig, flags, (struct pb_uapi_obj_array){56, 1, at}), 0);
	}
	rig_close(rig.file);
}

static void unknown_bits_of_the_flags_are_ignored(void **state)
{
	struct rig rig;
	struct pb_uapi_vm_bind_op op = rig_map(BASE, K(4), 1, 0, 0);

	open_rig(&rig, "");
	assert_int_equal(rig_bind_ops(rig.file, rig.vm, ~(uint32_t)PB_VM_BIND_ASYNC, &op, 1, NULL), 0);
	assert_pages(&rig, "0x10000000+0x1000 bo 1+0x0");
	rig_close(rig.file);
}

static void an_exclusive_bo_maps_in_its_vm_alone(void **state)
{
	struct rig rig;
	struct pb_uapi_bo_create args = {.size = K(4)};
	struct pb_uapi_vm_destroy gone;
	uint32_t other;

	open_rig(&rig, "");
	other = rig_vm(rig.file);
	args.exclusive_vm_id = other;
	assert_int_equal(rig_ioctl(rig.file, PB_IOCTL_BO_CREATE, &args), 0);
	assert_int_equal(bind1(&rig, rig_map(BASE, K(4), args.handle, 0, 0)), -EINVAL);
	assert_int_equal(rig_bind(rig.file, other, rig_map(BASE, K(4), args.handle, 0, 0)), 0);
	/* A VM that gets the same id later is another VM. */
	gone = (struct pb_uapi_vm_destroy){.id = other};
	assert_int_equal(rig_ioctl(rig.file, PB_IOCTL_VM_DESTROY, &gone), 0);
	assert_int_equal(rig_vm(rig.file), other);
	assert_int_equal(rig_bind(rig.file, other, rig_map(BASE, K(4), args.handle, 0, 0)), -EINVAL);
	rig_close(rig.file);
}

static void a_mapping_keeps_a_closed_bo_alive(void **state)
{
	struct rig rig;
	struct drm_gem_close args;
	uint32_t *ptr, value = 0;

	open_rig(&rig, "");
	ptr = rig_mmap(rig.file, rig.a, K(4));
	ptr[0] = 31;
	munmap(ptr, K(4));
	assert_int_equal(bind1(&rig, rig_map(BASE, K(4), rig.a, 0, 0)), 0);
	args = (struct drm_gem_close){.handle = rig.a};
	assert_int_equal(rig_ioctl(rig.file, DRM_IOCTL_GEM_CLOSE, &args), 0);
	assert_pages(&rig, "0x10000000+0x1000 bo 0+0x0");
	assert_int_equal(rig.file->backend->gpu->resident(rig.file, rig.vm, 1), 0);
	assert_int_equal(rig.file->backend->gpu->access(rig.file, rig.vm, BASE, &value, 4, 0), 0);
	assert_int_equal(value, 31);
	rig_close(rig.file);
}

#define PAGES 1024u /* two blocks */

/* One page of the model: a BO and its page, sparse, or nothing. */
struct model_page {
	uint32_t bo, page;
};

#define SPARSE ~0u

static void compare(struct rig *rig, const struct model_page *model)
{
	struct pb_page page = {0};

	for (uint32_t i = 0; i < PAGES; i++) {
		uint64_t va = BASE + K(4) * i, in_page;
		int ret = rig->file->backend->gpu->next_page(rig->file, rig->vm, va, &page);

		if (ret || page.va > va) {
			assert_int_equal(model[i].bo, 0);
			continue;
		}
		in_page = va - page.va;
		if (page.dummy) {
			assert_int_equal(model[i].bo, SPARSE);
			assert_int_equal(page.bo_offset + in_page, va % M(2));
		} else {
			assert_int_equal(model[i].bo, page.bo_handle);
			assert_int_equal(K(4) * model[i].page, page.bo_offset + in_page);
		}
	}
}

static struct pb_uapi_vm_bind_op random_op(struct test_random *random, struct model_page *model)
{
	uint32_t size = 1 + (uint32_t)test_random_below(random, test_random_below(random, 3) ? 20 : PAGES - 1);
	uint32_t at = (uint32_t)test_random_below(random, PAGES - size + 1);
	uint32_t kind = (uint32_t)test_random_below(random, 6), bo = 1 + kind % 2;
	uint32_t page = test_random_below(random, 2) ? at : (uint32_t)test_random_below(random, PAGES);

	for (uint32_t i = at; i < at + size; i++)
		model[i] = kind == 5   ? (struct model_page){0}
			   : kind == 4 ? (struct model_page){SPARSE, 0}
				       : (struct model_page){bo, page + i - at};
	if (kind == 5)
		return rig_unmap(BASE + K(4) * at, K(4) * size);
	if (kind == 4)
		return rig_sparse(BASE + K(4) * at, K(4) * size);
	return rig_map(BASE + K(4) * at, K(4) * size, bo, K(4) * page, 0);
}

static void random_binds(const char *options, bool resident, size_t rounds)
{
	struct test_random random = test_random_start(options);
	struct model_page model[PAGES] = {{0}};
	struct rig rig;

	open_rig(&rig, options);
	assert_int_equal(rig.file->backend->gpu->resident(rig.file, rig.vm, resident), 0);
	for (size_t i = 0; i < rounds; i++) {
		assert_int_equal(bind1(&rig, random_op(&random, model)), 0);
		compare(&rig, model);
	}
	rig_close(rig.file);
}

static void random_binds_match_an_array_of_pages(void **state)
{
	size_t rounds = test_rounds(300, 20000);

	random_binds("atomic=on", true, rounds);
	random_binds("atomic=on", false, rounds);
	random_binds("atomic=off", true, rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_shows_in_the_page_table),
		cmocka_unit_test(a_map_in_the_middle_splits_what_was_there),
		cmocka_unit_test(a_map_over_several_takes_their_place),
		cmocka_unit_test(an_unmap_may_span_holes_and_cut_both_ends),
		cmocka_unit_test(pages_know_when_they_are_blocks),
		cmocka_unit_test(a_sparse_map_goes_round_one_dummy),
		cmocka_unit_test(what_a_sparse_map_may_not_say),
		cmocka_unit_test(what_a_map_or_unmap_may_not_say),
		cmocka_unit_test(the_first_failure_ends_a_synchronous_bind),
		cmocka_unit_test(a_synchronous_op_without_size_is_not_looked_at),
		cmocka_unit_test(the_array_of_ops_is_taken_as_the_kernel_takes_it),
		cmocka_unit_test(unknown_bits_of_the_flags_are_ignored),
		cmocka_unit_test(an_exclusive_bo_maps_in_its_vm_alone),
		cmocka_unit_test(a_mapping_keeps_a_closed_bo_alive),
		cmocka_unit_test(random_binds_match_an_array_of_pages),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
