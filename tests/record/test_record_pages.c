/* SPDX-License-Identifier: MIT */
/*
 * A recording where pages are larger than 4 KiB, as some kernels for arm64 have them. sysconf(), mmap() and syscall()
 * of this program are wrapped by ld: they speak for such a kernel. Sanitizers call them as well, before they are ready.
 */
#include "recorded.h"

#define LARGE_PAGE 65536

#if __has_attribute(disable_sanitizer_instrumentation)
#define AS_IN_LIBC __attribute__((disable_sanitizer_instrumentation))
#else
#define AS_IN_LIBC __attribute__((no_sanitize("address", "undefined")))
#endif

long __real_sysconf(int name);
void *__real_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
long __real_syscall(long number, ...);
long __wrap_sysconf(int name);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
long __wrap_syscall(long number, ...);

AS_IN_LIBC long __wrap_sysconf(int name)
{
	return name == _SC_PAGESIZE ? LARGE_PAGE : __real_sysconf(name);
}

AS_IN_LIBC void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (offset % LARGE_PAGE == 0)
		return __real_mmap64(at, size, protection, flags, fd, offset);
	errno = EINVAL;
	return MAP_FAILED;
}

/* As libc's: six arguments, however many were given. */
AS_IN_LIBC long __wrap_syscall(long number, ...)
{
	long arg[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(list, long);
	va_end(list);
	if (number != SYS_mmap || arg[5] % LARGE_PAGE == 0)
		return __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	errno = EINVAL;
	return -1;
}

#define BINDS 20000 /* several times around a ring */

static void program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	for (uint64_t i = 0; i < BINDS; i++)
		bind_ops(fd, 1, i << 12, 1 + i % 4, i % 3);
	bind_ops(fd, 1, 0, 100000, 2); /* larger than a ring */
}

static void pages_of_64_kib_are_as_good_as_any(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(program, &out, &summary), 0);
	assert_int_equal(out.binds, BINDS + 1);
	assert_int_equal(out.ops, BINDS / 4 * (1 + 2 + 3 + 4) + 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_64_kib_are_as_good_as_any),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("record pages", tests, recorded_setup, NULL);
}
