/* SPDX-License-Identifier: MIT */
/* A recorded call's arguments, wherever the program has them, or has them not. */
#include "recorded.h"

#include <sys/resource.h>
#include <ucontext.h>

#include "kernel.h"

/* ---- Bad pointers ---- */

static void bad_pointers(void)
{
	struct pb_uapi_vm_bind args = {.vm_id = 1, .ops = {48, 3, 0x1000}};
	struct record_call call;
	int fd = open_node();

	record_before(&call, fd, PB_IOCTL_VM_BIND, &args);
	record_after(&call, -1, EFAULT);
	record_before(&call, fd, PB_IOCTL_VM_BIND, (void *)8);
	record_after(&call, -1, EFAULT);
	args.ops = (struct pb_uapi_obj_array){48, UINT32_MAX, (uintptr_t)&args};
	record_before(&call, fd, PB_IOCTL_VM_BIND, &args);
	record_after(&call, -1, ENOMEM);
	record_before(&call, fd, PB_IOCTL_BO_SET_LABEL,
		      &(struct pb_uapi_bo_set_label){.handle = 1, .label = UINT64_MAX - 3});
	record_after(&call, -1, EFAULT);
	_exit(7);
}

static int take_marked(void *data, const struct record_process *process, const struct record_file *file,
		       const struct record_event *event)
{
	struct outcome *out = data;

	if (event && event->type == RECORD_VM_BIND)
		out->wrong += !(event->marks & (RECORD_UNREAD | RECORD_CUT)) || event->size != sizeof(*event);
	out->binds++;
	return 0;
}

static void pointers_that_lead_nowhere_hurt_nobody(void **state)
{
	struct outcome out = {0};
	const struct recorder_sink sink = {take_marked, tend, &out};
	struct recorder_summary summary;
	int status = record_with(&sink, bad_pointers, 0, &summary);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(out.binds, 4);
	assert_int_equal(out.wrong, 0);
}

/* ---- Where the arguments are ---- */

#define SPREAD 6 /* binds of a place */

static uint64_t spread; /* VA of the next bind, so that no two are the same */

/* Binds whose ops, syncs and arguments are where @memory is. */
static void bind_from(int fd, char *memory)
{
	struct pb_uapi_vm_bind *args = (struct pb_uapi_vm_bind *)memory;
	struct pb_uapi_vm_bind_op *ops = (struct pb_uapi_vm_bind_op *)(memory + 256);
	struct pb_uapi_sync_op *syncs = (struct pb_uapi_sync_op *)(memory + 1024);

	for (int i = 0; i < SPREAD; i++) {
		*args = (struct pb_uapi_vm_bind){.vm_id = 1, .ops = {sizeof(*ops), 3, (uintptr_t)ops}};
		for (uint32_t op = 0; op < 3; op++) {
			uint64_t va = spread++ << 12;

			/* Now the same as before, now elsewhere, now more of them. */
			ops[op] = (struct pb_uapi_vm_bind_op){.va = va, .size = 4096, .bo_offset = pattern(va, op)};
			ops[op].syncs = (struct pb_uapi_obj_array){sizeof(*syncs), 1 + i % 3,
								   (uintptr_t)&syncs[op * 8 + i / 4]};
			for (uint32_t s = 0; s < 3; s++)
				syncs[op * 8 + i / 4 + s].timeline_value = va + s;
		}
		fake_ioctl(fd, PB_IOCTL_VM_BIND, args);
	}
}

static void *bind_from_a_thread(void *data)
{
	char memory[2048] __attribute__((aligned(16)));

	bind_from(*(int *)data, memory);
	return NULL;
}

static ucontext_t coroutine, main_context;
static int coroutine_fd;
static void bind_from_a_coroutine(void);
static void (*work)(void) = bind_from_a_coroutine;

static void bind_from_a_coroutine(void)
{
	char memory[2048] __attribute__((aligned(16)));

	bind_from(coroutine_fd, memory);
}

static void run_coroutine(int fd)
{
	size_t size = 64 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	coroutine_fd = fd;
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = size;
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, work, 0);
	swapcontext(&main_context, &coroutine);
	munmap(stack, size);
}

static void *bind_from_a_coroutine_first(void *data)
{
	run_coroutine(*(int *)data);
	return bind_from_a_thread(data);
}

static void join(void *(*start)(void *), int fd)
{
	pthread_t thread;

	pthread_create(&thread, NULL, start, &fd);
	pthread_join(thread, NULL);
}

static void spread_program(void)
{
	char memory[2048] __attribute__((aligned(16))), *elsewhere = aligned_alloc(16, 2048);
	char *pages = aligned_alloc(4096, 3 * 4096);
	static char fixed[2048] __attribute__((aligned(16)));
	int fd = open_node();

	make_vm(fd, 1);
	bind_from(fd, memory);
	bind_from(fd, elsewhere);
	bind_from(fd, fixed);
	bind_from(fd, pages + 4096 - 320);  /* ops over the end of a page */
	bind_from(fd, pages + 4096 - 1040); /* syncs over it */
	run_coroutine(fd);
	join(bind_from_a_thread, fd);
	join(bind_from_a_coroutine_first, fd);
	if (fork() == 0) {
		record_forked();
		bind_from(fd, memory);
		bind_from(fd, elsewhere);
		_exit(0);
	}
	wait(NULL);
	free(elsewhere);
	free(pages);
}

static void arguments_are_read_wherever_they_are(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(spread_program, &out, &summary), 0);
	assert_int_equal(out.binds, 11 * SPREAD);
	assert_int_equal(out.ops, 3 * 11 * SPREAD);
	assert_int_equal(out.syncs, 3 * 11 * (SPREAD / 3) * (1 + 2 + 3));
}

/* What saves the system call, and where it must not be saved: nobody can take away a stack that is in use. */
static bool stack_was_near;

static void look_from_a_coroutine(void)
{
	char memory[64];

	stack_was_near = user_is_near((uintptr_t)memory, 64);
}

static void *look_from_a_thread(void *data)
{
	/* Not an array: ASan moves those elsewhere to find uses after return. */
	char *memory = __builtin_alloca(64), *far = malloc(64);
	bool *well = data;

	*well = user_is_near((uintptr_t)memory, 64) && !user_is_near((uintptr_t)far, 64) &&
		!user_is_near((uintptr_t)memory - (1 << 20), 64) && !user_is_near((uintptr_t)memory, SIZE_MAX - 4096);
	free(far);
	return NULL;
}

static void looking_program(void)
{
	bool first = false, second = false;
	pthread_t thread;

	look_from_a_thread(&first);
	pthread_create(&thread, NULL, look_from_a_thread, &second);
	pthread_join(thread, NULL);
	work = look_from_a_coroutine;
	run_coroutine(-1);
	_exit(first << 0 | second << 1 | stack_was_near << 2);
}

static void only_the_threads_own_stack_is_read_without_asking(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;
	int status = record(looking_program, &out, &summary);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1 << 0 | 1 << 1 | 0 << 2);
}

static void bind_these(int fd, void *ops, uint32_t count)
{
	struct pb_uapi_vm_bind args = {.vm_id = 1, .ops = {sizeof(struct pb_uapi_vm_bind_op), count, (uintptr_t)ops}};

	fake_ioctl(fd, PB_IOCTL_VM_BIND, &args);
}

/* Ops of which the last has no memory any more, on both sides of what is known to be there. */
static void half_there_program(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pb_uapi_vm_bind_op *ops = (struct pb_uapi_vm_bind_op *)(two + page) - 2;
	int fd = open_node();

	mprotect(two + page, page, PROT_NONE);
	bind_these(fd, ops, 3);
	ops[1].syncs = (struct pb_uapi_obj_array){sizeof(struct pb_uapi_sync_op), 2, (uintptr_t)(two + page - 16)};
	bind_these(fd, ops, 2);
	fake_ioctl(fd, PB_IOCTL_VM_BIND, two + page - 8);
	bind_these(fd, (void *)(UINTPTR_MAX - 40), 2);
	_exit(7);
}

/* Memory of which reading ends in another signal: behind the end of a file. And more of both than a page or two. */
static void cut_short_program(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int file = memfd_create("cut short", MFD_CLOEXEC), fd = open_node();
	char *pages;

	if (ftruncate(file, (off_t)page))
		_exit(1);
	pages = mmap(NULL, 6 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	bind_these(fd, pages + page, 1);
	bind_these(fd, pages + page - 48, 2);
	bind_these(fd, pages + page - 48, (uint32_t)(4 * page / 48));
	mprotect(pages, page, PROT_NONE);
	bind_these(fd, pages, 2);
	_exit(7);
}

/* Where the kernel may not be asked, as in some containers. An emulator without filters lacks these calls as well. */
static void half_there_in_a_sandbox(void)
{
	pretend(SYS_process_vm_readv, EPERM);
	pretend(SYS_rt_sigprocmask, EPERM);
	half_there_program();
}

static void cut_short_in_a_sandbox(void)
{
	pretend(SYS_process_vm_readv, EPERM);
	cut_short_program();
}

static void half_there_without_probes(void)
{
	pretend(SYS_rt_sigprocmask, EPERM);
	half_there_program();
}

static void assert_half_there(void (*program)(void))
{
	struct outcome out = {0};
	const struct recorder_sink sink = {take_marked, tend, &out};
	struct recorder_summary summary;
	int status = record_with(&sink, program, 0, &summary);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(out.binds, 4);
	assert_int_equal(out.wrong, 0);
}

static void what_is_half_there_is_not_there(void **state)
{
	assert_half_there(half_there_program);
}

static void nor_where_the_kernel_may_not_be_asked(void **state)
{
	assert_half_there(half_there_in_a_sandbox);
	assert_half_there(half_there_without_probes);
}

static void nor_what_is_behind_the_end_of_a_file(void **state)
{
	if (!kernel_looks_behind_files()) {
		print_message("# note system calls must not be pointed behind a file here: an emulator dies of it\n");
		skip();
	}
	assert_half_there(cut_short_program);
	assert_half_there(cut_short_in_a_sandbox);
}

/* Ops of which the recorder expects that their syncs are where those before them were. */
static void bind_with_syncs_at(int fd, struct pb_uapi_vm_bind_op *op, struct pb_uapi_sync_op *sync)
{
	struct pb_uapi_vm_bind args = {.vm_id = 1, .ops = {sizeof(*op), 1, (uintptr_t)op}};

	*op = (struct pb_uapi_vm_bind_op){.va = 4096, .size = 4096, .bo_offset = pattern(4096, 0)};
	op->syncs = (struct pb_uapi_obj_array){sizeof(*sync), 1, (uintptr_t)sync};
	*sync = (struct pb_uapi_sync_op){.timeline_value = op->va};
	fake_ioctl(fd, PB_IOCTL_VM_BIND, &args);
}

static void moving_program(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *first = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct pb_uapi_vm_bind_op op;
	static struct pb_uapi_sync_op second;
	int fd = open_node();

	/* Given a program of which neither the kernel nor a pipe can read, and that has unmapped its last syncs, */
	pretend(SYS_process_vm_readv, EPERM);
	pretend(SYS_rt_sigprocmask, EPERM);
	make_vm(fd, 1);
	bind_with_syncs_at(fd, &op, first);
	munmap(first, page);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0});
	/* when it binds with others, */
	bind_with_syncs_at(fd, &op, &second);
}

static void where_syncs_were_is_no_promise_that_they_are(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	/* it goes on, and both binds are known. */
	assert_int_equal(record(moving_program, &out, &summary), 0);
	assert_int_equal(out.binds, 2);
	assert_int_equal(out.ops, 2);
	assert_int_equal(out.syncs, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointers_that_lead_nowhere_hurt_nobody),
		cmocka_unit_test(arguments_are_read_wherever_they_are),
		cmocka_unit_test(only_the_threads_own_stack_is_read_without_asking),
		cmocka_unit_test(what_is_half_there_is_not_there),
		cmocka_unit_test(nor_where_the_kernel_may_not_be_asked),
		cmocka_unit_test(nor_what_is_behind_the_end_of_a_file),
		cmocka_unit_test(where_syncs_were_is_no_promise_that_they_are),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("record args", tests, recorded_setup, NULL);
}
