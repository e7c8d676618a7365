/* SPDX-License-Identifier: MIT */
/*
 * The simulator without memory: a whole life of a device, with each of its allocations failing once.
 *
 * A failure must come out as -ENOMEM (or as a fence that carries it), leave nothing behind, and the same call made
 * again must work. Leaks show under AddressSanitizer.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing_malloc.h"
#include "sim_rig.h"

#define K(n) ((uint64_t)(n) << 10)
#define BASE UINT64_C(0x10000000)

/* What fails for want of memory is tried again with plenty. */
#define AGAIN(call)                                      \
	({                                               \
		int ret_ = (call);                       \
		if (ret_) {                              \
			assert_int_equal(ret_, -ENOMEM); \
			failing_malloc_after(SIZE_MAX);  \
			ret_ = (call);                   \
		}                                        \
		assert_int_equal(ret_, 0);               \
	})

static void make_objects(struct pb_file *file, uint32_t *ret_bo, uint32_t *ret_sync)
{
	struct pb_uapi_vm_create vm = {0};
	struct pb_uapi_bo_create bo = {.size = K(64)};
	struct pb_uapi_bo_set_label label = {.label = (uintptr_t) "atlas"};
	struct drm_syncobj_create sync = {0};

	AGAIN(rig_ioctl(file, PB_IOCTL_VM_CREATE, &vm));
	AGAIN(rig_ioctl(file, PB_IOCTL_BO_CREATE, &bo));
	label.handle = bo.handle;
	AGAIN(rig_ioctl(file, PB_IOCTL_BO_SET_LABEL, &label));
	AGAIN(rig_ioctl(file, DRM_IOCTL_SYNCOBJ_CREATE, &sync));
	*ret_bo = bo.handle;
	*ret_sync = sync.handle;
}

static void export_and_import(struct pb_file *file, struct pb_file *other, uint32_t bo)
{
	struct drm_prime_handle args = {.handle = bo};

	AGAIN(rig_ioctl(file, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args));
	AGAIN(rig_ioctl(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args));
	close(args.fd);
}

static void bind_both_ways(struct pb_file *file, uint32_t bo, uint32_t syncobj)
{
	const struct pb_uapi_sync_op sync = {.flags = PB_SYNC_SIGNAL, .handle = syncobj};
	struct pb_uapi_vm_bind_op op = rig_map(BASE + K(8), K(16), bo, 0, 0);

	AGAIN(rig_bind(file, 1, rig_map(BASE, K(64), bo, 0, 0)));
	AGAIN(rig_bind(file, 1, rig_sparse(BASE + K(32), K(8))));
	rig_syncs(&op, &sync, 1);
	AGAIN(rig_bind_ops(file, 1, PB_VM_BIND_ASYNC, &op, 1, NULL));
	AGAIN(rig_syncobj_wait(file, syncobj));
}

static void run_a_job(struct pb_file *file)
{
	struct drm_syncobj_create syncobj = {.flags = DRM_SYNCOBJ_CREATE_SIGNALED};
	struct pb_uapi_sync_op syncs[] = {{.handle = 0}, {.flags = PB_SYNC_SIGNAL}};
	const struct pb_uapi_queue_create queue = {.ringbuf_size = K(4)};
	const struct pb_uapi_queue_submit job = {.syncs = {sizeof(syncs[0]), 2, (uintptr_t)syncs}};
	struct pb_uapi_group_create group = {.queues = {sizeof(queue), 1, (uintptr_t)&queue}, .vm_id = 1};
	struct pb_uapi_group_submit submit = {.queue_submits = {sizeof(job), 1, (uintptr_t)&job}};
	struct pb_uapi_tiler_heap_create heap = {
		.vm_id = 1, .initial_chunk_count = 2, .max_chunks = 2, .chunk_size = K(128)};

	AGAIN(rig_ioctl(file, DRM_IOCTL_SYNCOBJ_CREATE, &syncobj));
	syncs[0].handle = syncs[1].handle = syncobj.handle;
	AGAIN(rig_ioctl(file, PB_IOCTL_TILER_HEAP_CREATE, &heap));
	AGAIN(rig_ioctl(file, PB_IOCTL_GROUP_CREATE, &group));
	submit.group_handle = group.group_handle;
	AGAIN(rig_ioctl(file, PB_IOCTL_GROUP_SUBMIT, &submit));
}

/* One life; @good allocations succeed before one fails. Returns how many there were in all. */
static size_t live(size_t good)
{
	struct pb_file *file = NULL, *other = NULL;
	uint32_t bo, sync;
	int status;

	failing_malloc_after(good);
	AGAIN(pb_backend_sim.open("fault=VM_BIND#99=EIO", &file, NULL));
	AGAIN(pb_backend_sim.open("", &other, NULL));
	make_objects(file, &bo, &sync);
	export_and_import(file, other, bo);
	run_a_job(file);
	bind_both_ways(file, bo, sync);
	good = failing_malloc_calls();
	failing_malloc_after(SIZE_MAX);
	status = rig_fence_status(file, sync);
	if (status)
		assert_int_equal(status, -ENOMEM); /* the queue's thread met it */
	else
		assert_string_equal(rig_pages(file, 1, 0, UINT64_C(1) << 47),
				    "0x10000000+0x2000 bo 1+0x0; 0x10002000+0x4000 bo 1+0x0; "
				    "0x10006000+0x2000 bo 1+0x6000; 0x10008000+0x2000 dummy; "
				    "0x1000a000+0x6000 bo 1+0xa000");
	rig_close(file);
	rig_close(other);
	return good;
}

static void every_allocation_may_fail(void **state)
{
	size_t count = live(SIZE_MAX);

	assert_true(count > 20);
	for (size_t good = 0; good < count; good++)
		live(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
