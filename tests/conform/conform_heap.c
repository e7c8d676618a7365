/* SPDX-License-Identifier: MIT */
/*
 * TILER_HEAP_CREATE and TILER_HEAP_DESTROY: parameters, handles, and where contexts and chunks are put in the kernel's
 * part of a VM.
 */
#include "raw.h"

#include <errno.h>

#define KIB(n)	     ((uint32_t)(n) << 10)
#define MAX_HEAPS    128u
#define STRIDE	     64u /* of contexts: a cache line of the GPU */
#define CONTEXTS     (UINT64_C(128) * STRIDE)
#define CHUNK	     KIB(128)
#define GROUP_OBJECT UINT64_C(4096)

static struct pb_uapi_tiler_heap_create plain_heap(uint32_t vm)
{
	return (struct pb_uapi_tiler_heap_create){
		.vm_id = vm, .initial_chunk_count = 1, .chunk_size = CHUNK, .max_chunks = 4, .target_in_flight = 65535};
}

static int create(struct raw *raw, struct pb_uapi_tiler_heap_create *args)
{
	return raw_ioctl(raw, PB_IOCTL_TILER_HEAP_CREATE, args);
}

static int destroy(struct raw *raw, uint32_t handle)
{
	struct pb_uapi_tiler_heap_destroy args = {.handle = handle};

	return raw_ioctl(raw, PB_IOCTL_TILER_HEAP_DESTROY, &args);
}

static struct pb_uapi_tiler_heap_create heap_of(struct raw *raw, uint32_t chunks, uint32_t chunk_size)
{
	struct pb_uapi_tiler_heap_create args = plain_heap(raw->vm);

	args.initial_chunk_count = args.max_chunks = chunks;
	args.chunk_size = chunk_size;
	raw_expect("heap", create(raw, &args), 0);
	return args;
}

static void the_first_heap_is_at_the_start_of_the_kernels_part(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_tiler_heap_create heap = heap_of(raw, 1, CHUNK);

	assert_int_equal(heap.handle, raw->vm << 16);
	assert_int_equal(heap.tiler_heap_ctx_gpu_va, raw->va_range);
	assert_int_equal(heap.first_heap_chunk_gpu_va, raw->va_range + CONTEXTS);
}

static void contexts_have_a_cache_line_each(void **state)
{
	struct raw *raw = *state;

	for (uint32_t id = 0; id < 4; id++) {
		struct pb_uapi_tiler_heap_create heap = heap_of(raw, 1, CHUNK);

		assert_int_equal(heap.handle, raw->vm << 16 | id);
		assert_int_equal(heap.tiler_heap_ctx_gpu_va, raw->va_range + STRIDE * id);
		assert_int_equal(heap.first_heap_chunk_gpu_va, raw->va_range + CONTEXTS + (uint64_t)CHUNK * id);
	}
}

/* They are linked from the last to the first. */
static void the_first_chunk_is_the_one_made_last(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_tiler_heap_create heap = heap_of(raw, 4, KIB(256));

	assert_int_equal(heap.first_heap_chunk_gpu_va, raw->va_range + CONTEXTS + UINT64_C(3) * KIB(256));
}

static void large_chunks_are_aligned_to_blocks(void **state)
{
	struct raw *raw = *state;
	uint64_t below = heap_of(raw, 1, KIB(2048 - 4)).first_heap_chunk_gpu_va;
	uint64_t block = heap_of(raw, 1, KIB(2048)).first_heap_chunk_gpu_va;
	uint64_t large = heap_of(raw, 1, KIB(8192)).first_heap_chunk_gpu_va;

	assert_int_equal(below, raw->va_range + CONTEXTS);
	assert_int_equal(block, raw->va_range + KIB(4096)); /* the hole from where the first ends is no block */
	assert_int_equal(large, block + KIB(2048));
}

/* The smallest hole that fits, of two alike the one that was left last. */
static void chunks_go_into_the_best_hole(void **state)
{
	struct raw *raw = *state;
	const uint64_t start = raw->va_range + CONTEXTS;
	struct pb_uapi_tiler_heap_create wide = heap_of(raw, 3, CHUNK), wall = heap_of(raw, 1, CHUNK);
	struct pb_uapi_tiler_heap_create small = heap_of(raw, 1, CHUNK), other = heap_of(raw, 1, CHUNK);
	struct pb_uapi_tiler_heap_create alike = heap_of(raw, 1, CHUNK);

	heap_of(raw, 1, CHUNK);
	assert_int_equal(wall.first_heap_chunk_gpu_va, start + 3 * (uint64_t)CHUNK);
	raw_expect("destroy", destroy(raw, wide.handle), 0);
	raw_expect("destroy", destroy(raw, alike.handle), 0);
	raw_expect("destroy", destroy(raw, small.handle), 0);
	assert_int_equal(heap_of(raw, 1, CHUNK).first_heap_chunk_gpu_va, small.first_heap_chunk_gpu_va);
	assert_int_equal(heap_of(raw, 1, CHUNK).first_heap_chunk_gpu_va, alike.first_heap_chunk_gpu_va);
	assert_int_equal(heap_of(raw, 2, CHUNK).first_heap_chunk_gpu_va, start + CHUNK);
	assert_int_equal(heap_of(raw, 1, KIB(192)).first_heap_chunk_gpu_va, start + 8 * (uint64_t)CHUNK);
	assert_int_equal(heap_of(raw, 1, CHUNK).first_heap_chunk_gpu_va, start + 2 * (uint64_t)CHUNK);
	assert_int_not_equal(other.first_heap_chunk_gpu_va, alike.first_heap_chunk_gpu_va);
}

/* Fences of the queues; a ring buffer and a page of timestamps for each. */
static void groups_are_in_the_kernels_part_too(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_queue_create queues[2] = {{.ringbuf_size = 4096}, {.ringbuf_size = 65536}};
	struct pb_uapi_group_create group = {.queues = RAW_ARRAY(queues, 2), .vm_id = raw->vm};

	raw_expect("group", raw_ioctl(raw, PB_IOCTL_GROUP_CREATE, &group), 0);
	assert_int_equal(heap_of(raw, 1, CHUNK).tiler_heap_ctx_gpu_va,
			 raw->va_range + 3 * GROUP_OBJECT + 65536 + 16384);
}

static void parameters_are_checked(void **state)
{
	struct raw *raw = *state;
	const struct {
		const char *name;
		uint32_t initial, max, size;
		int want;
	} cases[] = {
		{"smallest chunks", 1, 1, KIB(128), 0},
		{"largest chunks", 1, 1, KIB(8192), 0},
		{"odd number of pages", 2, 3, KIB(132), 0},
		{"no chunk", 0, 1, CHUNK, -EINVAL},
		{"no chunk at all", 0, 0, CHUNK, -EINVAL},
		{"more than allowed", 2, 1, CHUNK, -EINVAL},
		{"too small", 1, 1, KIB(124), -EINVAL},
		{"too large", 1, 1, KIB(8196), -EINVAL},
		{"no pages", 1, 1, CHUNK + 2048, -EINVAL},
		{"no size", 1, 1, 0, -EINVAL},
		{"as many as there are numbers", 1, UINT32_MAX, CHUNK, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_tiler_heap_create args = plain_heap(raw->vm);

		args.initial_chunk_count = cases[i].initial;
		args.max_chunks = cases[i].max;
		args.chunk_size = cases[i].size;
		args.target_in_flight = 0;
		args.handle = 77;
		raw_expect(cases[i].name, create(raw, &args), cases[i].want);
		if (!cases[i].want)
			raw_expect("destroy", destroy(raw, args.handle), 0);
		else
			assert_int_equal(args.handle, 77);
	}
}

static void a_heap_needs_a_vm(void **state)
{
	struct raw *raw = *state;
	const uint32_t ids[] = {0, 2, 33, UINT32_MAX};
	struct pb_uapi_tiler_heap_create args;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		args = plain_heap(ids[i]);
		raw_expect("unknown", create(raw, &args), -EINVAL);
	}
	args = plain_heap(raw->vm);
	raw_expect("heap", create(raw, &args), 0);
	raw_expect("destroy", raw_vm_destroy(raw, raw->vm), 0);
	raw_expect("it went with the VM", destroy(raw, args.handle), -EINVAL);
	assert_int_equal(raw_vm(raw), raw->vm);
	raw_expect("a new VM has none", destroy(raw, args.handle), -ENOENT);
}

/* ENOENT as long as nobody has asked the VM for a heap, even in vain. */
static void unknown_heaps_are_refused(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_tiler_heap_create args = plain_heap(raw->vm);
	struct pb_uapi_tiler_heap_destroy padded = {.pad = 1};

	raw_expect("no heap yet", destroy(raw, raw->vm << 16), -ENOENT);
	args.initial_chunk_count = 0;
	raw_expect("refused", create(raw, &args), -EINVAL);
	raw_expect("asked in vain", destroy(raw, raw->vm << 16), -EINVAL);
	args = plain_heap(raw->vm);
	raw_expect("heap", create(raw, &args), 0);
	raw_expect("another id", destroy(raw, args.handle + 1), -EINVAL);
	raw_expect("past the last", destroy(raw, raw->vm << 16 | MAX_HEAPS), -EINVAL);
	raw_expect("of no VM", destroy(raw, 0), -EINVAL);
	padded.handle = args.handle;
	raw_expect("padded", raw_ioctl(raw, PB_IOCTL_TILER_HEAP_DESTROY, &padded), -EINVAL);
	raw_expect("destroy", destroy(raw, args.handle), 0);
	raw_expect("twice", destroy(raw, args.handle), -EINVAL);
}

static void a_vm_has_128_heaps_and_uses_ids_again(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_tiler_heap_create args = plain_heap(raw->vm);

	for (uint32_t id = 0; id < MAX_HEAPS; id++)
		assert_int_equal(heap_of(raw, 1, CHUNK).handle, raw->vm << 16 | id);
	args.handle = 77;
	raw_expect("one too many", create(raw, &args), -EBUSY);
	assert_int_equal(args.handle, 77);
	/* the chunk that it would have had is told all the same */
	assert_int_equal(args.first_heap_chunk_gpu_va, raw->va_range + CONTEXTS + (uint64_t)CHUNK * MAX_HEAPS);
	raw_expect("destroy", destroy(raw, raw->vm << 16 | 77), 0);
	raw_expect("destroy", destroy(raw, raw->vm << 16 | 5), 0);
	assert_int_equal(heap_of(raw, 1, CHUNK).handle, raw->vm << 16 | 5);
	assert_int_equal(heap_of(raw, 1, CHUNK).handle, raw->vm << 16 | 77);
}

static void vms_have_heaps_of_their_own(void **state)
{
	struct raw *raw = *state;
	uint32_t first = raw->vm, handle = heap_of(raw, 1, CHUNK).handle;

	raw->vm = raw_vm(raw);
	assert_int_equal(heap_of(raw, 1, CHUNK).handle, raw->vm << 16);
	raw_expect("destroy", raw_vm_destroy(raw, raw->vm), 0);
	raw->vm = first;
	raw_expect("destroy", destroy(raw, handle), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_heap_is_at_the_start_of_the_kernels_part),
		TEST(contexts_have_a_cache_line_each),
		TEST(the_first_chunk_is_the_one_made_last),
		TEST(large_chunks_are_aligned_to_blocks),
		TEST(chunks_go_into_the_best_hole),
		TEST(groups_are_in_the_kernels_part_too),
		TEST(parameters_are_checked),
		TEST(a_heap_needs_a_vm),
		TEST(unknown_heaps_are_refused),
		TEST(a_vm_has_128_heaps_and_uses_ids_again),
		TEST(vms_have_heaps_of_their_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
