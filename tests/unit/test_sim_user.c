/* SPDX-License-Identifier: MIT */
/* User copies of the simulator: every pointer, size and stride that a caller can get wrong ends in an errno. */
#include "sim_user.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u

/* Two pages, of which the second cannot be touched. */
struct edge {
	unsigned char *page;
};

static int edge_setup(void **state)
{
	struct edge *edge = malloc(sizeof(*edge));

	edge->page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (edge->page == MAP_FAILED || mprotect(edge->page + PAGE, PAGE, PROT_NONE))
		return -1;
	*state = edge;
	return 0;
}

static int edge_teardown(void **state)
{
	struct edge *edge = *state;

	munmap(edge->page, 2 * PAGE);
	free(edge);
	return 0;
}

static uint64_t addr(const void *ptr)
{
	return (uintptr_t)ptr;
}

static void copies_go_both_ways(void **state)
{
	char there[] = "there", here[sizeof(there)] = "", back[] = "again";

	assert_int_equal(sim_copy_from_user(here, addr(there), sizeof(there)), 0);
	assert_string_equal(here, "there");
	assert_int_equal(sim_copy_to_user(addr(there), back, sizeof(back)), 0);
	assert_string_equal(there, "again");
}

static void bad_pointers_fault(void **state)
{
	const uint64_t bad[] = {0,	     8, 0xdead, UINT64_C(1) << 47, UINT64_C(0x8000000000000000), ~UINT64_C(0),
				~UINT64_C(7)};
	uint64_t value = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(sim_copy_from_user(&value, bad[i], sizeof(value)), -EFAULT);
		assert_int_equal(sim_copy_to_user(bad[i], &value, sizeof(value)), -EFAULT);
		assert_int_equal(sim_copy_from_user(&value, bad[i], 0), 0);
		assert_int_equal(sim_copy_to_user(bad[i], &value, 0), 0);
	}
}

static void copy_over_the_edge_faults(void **state)
{
	struct edge *edge = *state;
	unsigned char buffer[64] = {0};
	uint64_t near_end = addr(edge->page) + PAGE - 32;

	assert_int_equal(sim_copy_from_user(buffer, near_end, 32), 0);
	assert_int_equal(sim_copy_from_user(buffer, near_end, 33), -EFAULT);
	assert_int_equal(sim_copy_to_user(near_end, buffer, 33), -EFAULT);
}

static void read_only_memory_is_not_written(void **state)
{
	struct edge *edge = *state;
	unsigned char value = 7;

	edge->page[0] = 1;
	assert_int_equal(mprotect(edge->page, PAGE, PROT_READ), 0);
	assert_int_equal(sim_copy_to_user(addr(edge->page), &value, 1), -EFAULT);
	assert_int_equal(sim_copy_from_user(&value, addr(edge->page), 1), 0);
	assert_int_equal(value, 1);
}

static void object_is_cut_or_padded_to_what_the_user_has(void **state)
{
	const unsigned char object[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	unsigned char user[16];

	/* given a user of an older header: the first bytes only */
	memset(user, 0xff, sizeof(user));
	assert_int_equal(sim_put_object(addr(user), 6, 4, object, 8), 0);
	assert_memory_equal(user, ((unsigned char[]){1, 2, 3, 4, 5, 6, 0xff, 0xff}), 8);

	/* given a user of a newer header: what the object lacks is zero */
	memset(user, 0xff, sizeof(user));
	assert_int_equal(sim_put_object(addr(user), 12, 4, object, 8), 0);
	assert_memory_equal(user, ((unsigned char[]){1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0xff}), 13);

	/* given less than the first header had: refused, and nothing is written */
	memset(user, 0xff, sizeof(user));
	assert_int_equal(sim_put_object(addr(user), 3, 4, object, 8), -EINVAL);
	assert_int_equal(user[0], 0xff);
	assert_int_equal(sim_put_object(0, 8, 4, object, 8), -EFAULT);
}

static void padding_that_does_not_fit_faults(void **state)
{
	struct edge *edge = *state;
	const unsigned char object[8] = {1};

	assert_int_equal(sim_put_object(addr(edge->page) + PAGE - 8, 8, 4, object, 8), 0);
	assert_int_equal(sim_put_object(addr(edge->page) + PAGE - 8, UINT32_MAX, 4, object, 8), -EFAULT);
}

static struct pb_uapi_obj_array array_of(const void *data, uint32_t stride, uint32_t count)
{
	return (struct pb_uapi_obj_array){.stride = stride, .count = count, .array = addr(data)};
}

static void array_of_our_own_stride_is_copied(void **state)
{
	const uint64_t data[] = {11, 22, 33};
	struct pb_uapi_obj_array in = array_of(data, 8, 3);
	void *out = NULL;

	assert_int_equal(sim_get_array(&in, 4, 8, &out), 0);
	assert_memory_equal(out, data, sizeof(data));
	free(out);
}

static void shorter_elements_are_filled_with_zeros(void **state)
{
	const uint32_t data[] = {11, 22, 33};
	struct pb_uapi_obj_array in = array_of(data, 4, 3);
	uint64_t *out;

	assert_int_equal(sim_get_array(&in, 4, 8, (void **)&out), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(out[i], data[i]);
	free(out);
}

static void longer_elements_must_end_in_zeros(void **state)
{
	uint64_t data[] = {11, 0, 22, 0};
	struct pb_uapi_obj_array in = array_of(data, 16, 2);
	uint64_t *out;

	assert_int_equal(sim_get_array(&in, 8, 8, (void **)&out), 0);
	assert_int_equal(out[0], 11);
	assert_int_equal(out[1], 22);
	free(out);

	/* when the last byte of the last tail is set: refused, out untouched */
	out = (void *)&data;
	((unsigned char *)data)[sizeof(data) - 1] = 1;
	assert_int_equal(sim_get_array(&in, 8, 8, (void **)&out), -E2BIG);
	assert_ptr_equal(out, &data);
}

static void hostile_counts_and_strides_are_refused(void **state)
{
	const uint64_t data[] = {1};
	const struct {
		uint32_t stride, count, size;
		int error;
	} cases[] = {
		{7, 1, 48, -EINVAL},	       {0, 1, 48, -EINVAL},
		{48, UINT32_MAX, 48, -ENOMEM}, {UINT32_MAX, UINT32_MAX, 48, -ENOMEM},
		{8, 0x8000000, 16, -ENOMEM},  /* 2 GiB: one byte too many */
		{4, UINT32_MAX, 48, -EINVAL}, /* the stride is looked at first */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_obj_array in = array_of(data, cases[i].stride, cases[i].count);
		void *out = NULL;

		assert_int_equal(sim_get_array(&in, 8, cases[i].size, &out), cases[i].error);
		assert_null(out);
	}
}

static void array_over_the_edge_faults(void **state)
{
	struct edge *edge = *state;
	struct pb_uapi_obj_array same = array_of(edge->page + PAGE - 16, 8, 3);
	struct pb_uapi_obj_array wider = array_of(edge->page + PAGE - 16, 16, 2);
	struct pb_uapi_obj_array tail = array_of(edge->page + PAGE - 16, UINT32_MAX, 1);
	struct pb_uapi_obj_array none = array_of(NULL, 8, 1);
	void *out = NULL;

	assert_int_equal(sim_get_array(&same, 8, 8, &out), -EFAULT);
	assert_int_equal(sim_get_array(&wider, 8, 8, &out), -EFAULT);
	assert_int_equal(sim_get_array(&tail, 8, 8, &out), -EFAULT);
	assert_int_equal(sim_get_array(&none, 8, 8, &out), -EFAULT);
}

static void an_empty_array_is_never_looked_at(void **state)
{
	struct pb_uapi_obj_array in = {.stride = 0, .count = 0, .array = ~UINT64_C(0)};
	void *out = &in;

	assert_int_equal(sim_get_array(&in, 8, 8, &out), 0);
	assert_null(out);
}

/* From here on this process gets EPERM from process_vm_readv(2) and process_vm_writev(2). */
static int refuse_process_vm(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_readv, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_writev, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Exit status of the child: 0, or the number of the check that failed; 77 when there is no seccomp here. */
static int copy_in_a_sandbox(struct edge *edge)
{
	unsigned char buffer[3 * PAGE];
	uint32_t from = 42, to = 0;

	if (refuse_process_vm())
		return 77;
	if (sim_copy_from_user(&to, addr(&from), sizeof(to)) || to != 42)
		return 1;
	to = 43;
	if (sim_copy_to_user(addr(&from), &to, sizeof(to)) || from != 43)
		return 2;
	if (sim_copy_from_user(&to, 0, sizeof(to)) != -EFAULT)
		return 3;
	if (sim_copy_to_user(~UINT64_C(7), &to, sizeof(to)) != -EFAULT)
		return 4;
	/* more than a pipe takes at once, from an odd address */
	memset(buffer, 7, sizeof(buffer));
	if (sim_copy_from_user(buffer + 1, addr(buffer), 2 * PAGE + 3) || buffer[2 * PAGE + 3] != 7)
		return 5;
	/* memory that is there and may not be touched */
	if (sim_copy_from_user(buffer, addr(edge->page + PAGE - 8), 16) != -EFAULT)
		return 6;
	if (sim_copy_to_user(addr(edge->page + PAGE - 8), buffer, 16) != -EFAULT)
		return 7;
	mprotect(edge->page, PAGE, PROT_READ);
	if (sim_copy_to_user(addr(edge->page), &to, sizeof(to)) != -EFAULT ||
	    sim_copy_from_user(&to, addr(edge->page), sizeof(to)))
		return 8;
	return 0;
}

static void a_sandbox_that_refuses_the_call_still_gets_copies(void **state)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		_exit(copy_in_a_sandbox(*state));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_forked_child_copies_its_own_memory(void **state)
{
	static volatile int value = 1;
	int status = 0, copy = 0;
	pid_t child;

	/* Given a process that has copied before it forks, */
	assert_int_equal(sim_copy_from_user(&copy, addr((void *)&value), sizeof(copy)), 0);
	child = fork();
	assert_true(child >= 0);

	/* when the child copies what it has changed, it gets its own. */
	if (!child) {
		value = 2;
		_exit(sim_copy_from_user(&copy, addr((void *)&value), sizeof(copy)) ? 9 : copy);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_go_both_ways),
		cmocka_unit_test(bad_pointers_fault),
		cmocka_unit_test_setup_teardown(copy_over_the_edge_faults, edge_setup, edge_teardown),
		cmocka_unit_test_setup_teardown(read_only_memory_is_not_written, edge_setup, edge_teardown),
		cmocka_unit_test(object_is_cut_or_padded_to_what_the_user_has),
		cmocka_unit_test_setup_teardown(padding_that_does_not_fit_faults, edge_setup, edge_teardown),
		cmocka_unit_test(array_of_our_own_stride_is_copied),
		cmocka_unit_test(shorter_elements_are_filled_with_zeros),
		cmocka_unit_test(longer_elements_must_end_in_zeros),
		cmocka_unit_test(hostile_counts_and_strides_are_refused),
		cmocka_unit_test_setup_teardown(array_over_the_edge_faults, edge_setup, edge_teardown),
		cmocka_unit_test(an_empty_array_is_never_looked_at),
		cmocka_unit_test_setup_teardown(a_sandbox_that_refuses_the_call_still_gets_copies, edge_setup,
						edge_teardown),
		cmocka_unit_test(a_forked_child_copies_its_own_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
