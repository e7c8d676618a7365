/* SPDX-License-Identifier: MIT */
/* What the recorder hands on of programs that record themselves: all of it, in order, whatever becomes of them. */
#include "recorded.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kernel.h"

/* ---- Programs ---- */

struct job {
	int fd;
	uint32_t vm;
	uint64_t binds;
	pthread_t thread;
};

static void *bind_away(void *data)
{
	struct job *job = data;

	for (uint64_t i = 0; i < job->binds; i++) {
		bind_ops(job->fd, job->vm, i << 12, 1 + i % 4, i % 3);
		*done = i;
	}
	return NULL;
}

static void run_threads(int fd, uint32_t vm, int threads, uint64_t binds)
{
	struct job jobs[16];

	for (int i = 0; i < threads; i++) {
		jobs[i] = (struct job){.fd = fd, .vm = vm, .binds = binds};
		pthread_create(&jobs[i].thread, NULL, bind_away, &jobs[i]);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(jobs[i].thread, NULL);
}

/* ---- Tests ---- */

static void eight_threads(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	run_threads(fd, 1, 8, 12500);
}

static void a_hundred_thousand_binds_of_eight_threads_are_all_there(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(eight_threads, &out, &summary), 0);
	assert_int_equal(out.binds, 100000);
	assert_int_equal(out.ops, 8 * (12500 / 4) * (1 + 2 + 3 + 4));
	assert_int_equal(out.stream_count, 9);
	assert_int_equal(out.used_dead + out.unfinished, 0);
	assert_int_equal(summary.calls, 100001);
}

static void slow_reader_program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	run_threads(fd, 1, 2, 4000);
}

static void a_program_waits_for_a_recorder_that_does_not_keep_up(void **state)
{
	struct outcome out = {.nap = {0, 1000}};
	struct recorder_summary summary;

	assert_int_equal(record(slow_reader_program, &out, &summary), 0);
	assert_int_equal(out.binds, 8000);
}

static void large_program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	bind_ops(fd, 1, 0, 3, 1);
	bind_ops(fd, 1, 4096, 100000, 2);
	bind_ops(fd, 1, 8192, 3, 1);
}

static void an_event_may_be_larger_than_a_ring(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(large_program, &out, &summary), 0);
	assert_int_equal(out.binds, 3);
	assert_int_equal(out.ops, 100006);
}

/* ---- Killed ---- */

static void counting_program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	for (uint64_t i = 0;; i++) {
		bind_ops(fd, 1, i << 12, 2, 1);
		*done = i + 1;
		if (i == 3000)
			raise(SIGKILL);
	}
}

static void what_was_done_before_a_kill_is_there(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;
	int status = record(counting_program, &out, &summary);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(out.binds, 3001);
	assert_int_equal(*done, 3001);
}

static void stuck_program(void)
{
	struct pb_uapi_vm_bind_op op = {.va = 4096, .size = 4096};
	struct pb_uapi_vm_bind args = {.vm_id = 1, .ops = {sizeof(op), 1, (uintptr_t)&op}};
	int fd = open_node();
	struct record_call call;

	make_vm(fd, 1);
	record_before(&call, fd, PB_IOCTL_VM_BIND, &args);
	raise(SIGKILL); /* in the middle of the call */
}

static void the_call_that_never_came_back_is_known(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	record(stuck_program, &out, &summary);
	assert_int_equal(out.unfinished, 1);
	assert_int_equal(out.binds, 0);
	assert_int_equal(summary.calls, 2);
}

/* A thread that dies between taking a number and writing the event: nobody waits for that number for ever. */
static void number_thief(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	atomic_fetch_add(&record_shared()->number, 1);
	bind_ops(fd, 1, 0, 1, 0);
	bind_ops(fd, 1, 0, 1, 0);
}

static void a_lost_number_holds_nothing_back(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(number_thief, &out, &summary), 0);
	assert_int_equal(out.binds, 2);
}

static void random_kills(void)
{
	for (int i = 0; i < 6; i++) {
		pid_t child;

		*done = 0;
		child = fork();
		if (child == 0) {
			int fd;

			record_forked();
			fd = open_node();
			make_vm(fd, 1);
			run_threads(fd, 1, 2, 1u << 30);
		}
		while (*done < (uint64_t)i * 77 + 5)
			usleep(100);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

static void processes_killed_at_any_time_leave_whole_streams(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(random_kills, &out, &summary), 0);
	assert_true(out.binds > 6);
	/* Numbers of a thread have no gap: each event that it finished or began is there. */
	for (size_t i = 0; i < out.stream_count; i++)
		assert_in_range(out.streams[i].last - out.streams[i].calls, 0, 2); /* HELD of its fd, and its close */
}

/* ---- Handles that come again ---- */

static void *make_and_end(void *data)
{
	struct job *job = data;

	for (uint64_t i = 0; i < job->binds; i++) {
		make_vm(job->fd, job->vm);
		bind_ops(job->fd, job->vm, i << 12, 1, 0);
		end_vm(job->fd, job->vm);
	}
	return NULL;
}

/* Two threads that hand one id to and fro, as an idr does. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *take_turns(void *data)
{
	struct job *job = data;

	for (uint64_t i = 0; i < job->binds; i++) {
		struct job one = {.fd = job->fd, .vm = 5, .binds = 1};

		pthread_mutex_lock(&turn);
		make_and_end(&one);
		pthread_mutex_unlock(&turn);
	}
	return NULL;
}

static void reusing_program(void)
{
	struct job jobs[4];

	jobs[0].fd = open_node();
	for (int i = 0; i < 4; i++) {
		jobs[i] = (struct job){.fd = jobs[0].fd, .binds = 2000};
		pthread_create(&jobs[i].thread, NULL, take_turns, &jobs[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(jobs[i].thread, NULL);
}

static void an_id_that_comes_again_comes_after_its_end(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(reusing_program, &out, &summary), 0);
	assert_int_equal(out.binds, 8000);
	assert_int_equal(out.used_dead, 0);
}

/* ---- Forks, signals ---- */

/* A child that binds while its parent does. */
static void bind_in_child(int fd, pid_t child, bool is_told)
{
	if (child == 0) {
		if (is_told)
			record_forked();
		bind_ops(fd, 1, 4096, 1, 0);
		_exit(0);
	}
	bind_ops(fd, 1, 8192, 1, 0);
	waitpid(child, NULL, 0);
}

static void forking_program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	for (int i = 0; i < 3; i++)
		bind_in_child(fd, fork(), true);
}

static void assert_each_writes_for_itself(void (*program)(void), size_t processes)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(program, &out, &summary), 0);
	assert_int_equal(out.binds, 2 * (processes - 1));
	assert_int_equal(out.stream_count, processes);
	assert_int_equal(summary.processes, processes);
	assert_int_equal(out.over, 0); /* one file, in all of them, to the end */
}

static void forked_children_write_for_themselves(void **state)
{
	assert_each_writes_for_itself(forking_program, 4);
}

/* An emulator may say yes to all advice and follow none. One without filters is such an emulator. */
static void follow_no_advice(void)
{
	pretend(SYS_madvise, 0);
}

static void forked_children_are_known_where_no_page_is_wiped(void **state)
{
	recorded_world = follow_no_advice;
	assert_each_writes_for_itself(forking_program, 4);
}

static int reset_world(void **state)
{
	recorded_world = NULL;
	return 0;
}

static void secretly_forking_program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	bind_in_child(fd, (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), false);
}

static void a_child_that_nobody_tells_of_writes_for_itself(void **state)
{
	if (!kernel_wipes_on_fork()) {
		print_message("# note a fork wipes no page here: MADV_WIPEONFORK is ignored\n");
		skip();
	}
	assert_each_writes_for_itself(secretly_forking_program, 2);
}

static int handler_fd;

static void bind_in_handler(int signal)
{
	struct pb_uapi_vm_bind_op op = {.va = 4096, .size = 4096, .bo_offset = pattern(4096, 0)};
	struct pb_uapi_vm_bind args = {.vm_id = 1, .ops = {sizeof(op), 1, (uintptr_t)&op}};

	fake_ioctl(handler_fd, PB_IOCTL_VM_BIND, &args);
}

static void interrupted_program(void)
{
	struct pb_uapi_vm_bind_op op = {.va = 8192, .size = 4096, .bo_offset = pattern(8192, 0)};
	struct pb_uapi_vm_bind args = {.vm_id = 1, .ops = {sizeof(op), 1, (uintptr_t)&op}};
	struct record_call call;

	handler_fd = open_node();
	make_vm(handler_fd, 1);
	signal(SIGUSR1, bind_in_handler);
	for (int i = 0; i < 100; i++) {
		record_before(&call, handler_fd, PB_IOCTL_VM_BIND, &args);
		raise(SIGUSR1);
		record_after(&call, 0, 0);
	}
}

static void a_handler_may_call_while_a_call_is_under_way(void **state)
{
	struct outcome out = {0};
	const struct recorder_sink sink = {take, tend, &out};
	struct recorder_summary summary;

	record_with(&sink, interrupted_program, 0, &summary);

	assert_int_equal(out.binds, 200);
	assert_int_equal(out.unfinished, 0);
	/* The handler's call was begun later and finished first. */
	assert_int_equal(out.out_of_order, 100);
}

/* ---- Without a recorder ---- */

static void a_sink_that_refuses_stops_the_recording_and_not_the_program(void **state)
{
	struct outcome out = {.stop_after = 1000};
	struct recorder_summary summary;

	assert_int_equal(record(eight_threads, &out, &summary), 0);
	assert_int_equal(out.binds, 1000);
}

/* A slow recorder in a process of its own; @where it listens. */
static pid_t start_recorder(char *where, size_t room)
{
	struct outcome out = {.nap = {0, 10000}};
	const struct recorder_sink sink = {take, tend, &out};
	struct recorder *recorder;
	pid_t recording;
	ssize_t size;
	int ready[2];

	assert_int_equal(pipe(ready), 0);
	recording = fork();
	if (recording == 0) {
		recorder_create(&sink, &recorder);
		dprintf(ready[1], "%s", recorder_where(recorder));
		recorder_run(recorder, getppid());
		_exit(0);
	}
	size = read(ready[0], where, room - 1);
	assert_true(size > 0);
	where[size] = '\0';
	close(ready[0]);
	close(ready[1]);
	return recording;
}

static void end_recorder(pid_t recording)
{
	assert_int_equal(kill(recording, SIGKILL), 0);
	assert_int_equal(waitpid(recording, NULL, 0), recording);
}

static void a_recorder_that_dies_stops_nobody(void **state)
{
	char where[200];
	pid_t recording = start_recorder(where, sizeof(where)), child;
	int status;

	/* Given a program that binds, and has for a while, */
	*done = 0;
	child = fork();
	if (child == 0) {
		record_start(where);
		eight_threads();
		_exit(record_shared() ? 1 : 0);
	}
	while (*done < 100)
		usleep(100);
	/* when its recorder is killed */
	end_recorder(recording);
	/* it does all that it has to do, and knows. */
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_recorder_that_dies_before_the_first_call_is_not_asked_again(void **state)
{
	char where[200];
	pid_t recording = start_recorder(where, sizeof(where)), child;
	int status, go[2];
	char byte;

	/* Given a program that knows its recorder, and has told it nothing, */
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		record_start(where);
		if (!record_shared() || write(go[1], "r", 1) != 1)
			_exit(1);
		while (kill(recording, 0) == 0)
			usleep(100);
		/* when it makes its first call after the recorder's death */
		open_node();
		/* it does not try to hand over a ring with each of the next. */
		_exit(record_shared() ? 2 : 0);
	}
	assert_int_equal(read(go[0], &byte, 1), 1);
	end_recorder(recording);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(go[0]);
	close(go[1]);
}

static int visit(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strcspn(where, ":");
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path + 1, where, length);
	length += offsetof(struct sockaddr_un, sun_path) + 1;
	assert_int_equal(connect(fd, (struct sockaddr *)&address, (socklen_t)length), 0);
	return fd;
}

/* A message that nobody asked for, with two descriptors, and until it is dealt with. */
static void bring_two(const char *where, int brought)
{
	union {
		char room[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr head;
	} control = {.head = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct record_message message = {.type = RECORD_RING, .version = RECORD_VERSION};
	struct iovec part = {&message, sizeof(message)};
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd = visit(where);

	memcpy(CMSG_DATA(&control.head), (int[]){brought, brought}, 2 * sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), sizeof(message));
	assert_int_equal(recv(fd, &message, sizeof(message), 0), 0);
	close(fd);
}

static int count_fds(pid_t pid)
{
	char path[40];
	int count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void what_strangers_bring_a_recorder_is_closed(void **state)
{
	char where[200];
	pid_t recording;
	int before, after;

	if (!kernel_closes_surplus_fds()) {
		print_message("# note descriptors without room are not closed here: an emulator loses them\n");
		skip();
	}
	/* Given a recorder, which anybody can connect to, */
	recording = start_recorder(where, sizeof(where));
	bring_two(where, STDERR_FILENO);
	before = count_fds(recording);
	/* when somebody brings it descriptors, and more than a message of ours has, */
	for (int i = 0; i < 20; i++)
		bring_two(where, STDERR_FILENO);
	after = count_fds(recording);
	end_recorder(recording);
	/* it keeps none. */
	assert_int_equal(after, before);
}

static void unreachable_program(void)
{
	int fd = open_node();

	make_vm(fd, 1);
	bind_ops(fd, 1, 0, 1, 0);
	record_give_up(); /* as where the recorder's address leads nowhere any more */
	for (int i = 0; i < 3; i++)
		bind_ops(fd, 1, 0, 1, 0);
}

static void calls_that_a_recorder_cannot_be_told_of_are_counted(void **state)
{
	struct outcome out = {0};
	const struct recorder_sink sink = {take, tend, &out};
	struct recorder_summary summary;

	assert_int_equal(record_with(&sink, unreachable_program, 0, &summary), 0);
	assert_int_equal(out.binds, 1);
	assert_int_equal(summary.missed, 3);
}

static void nobody_at_the_address_is_no_harm(void **state)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		record_start("panbind-record-nobody:0");
		eight_threads();
		record_start("nonsense");
		_exit(0);
	}
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_binds_of_eight_threads_are_all_there),
		cmocka_unit_test(a_program_waits_for_a_recorder_that_does_not_keep_up),
		cmocka_unit_test(an_event_may_be_larger_than_a_ring),
		cmocka_unit_test(what_was_done_before_a_kill_is_there),
		cmocka_unit_test(the_call_that_never_came_back_is_known),
		cmocka_unit_test(a_lost_number_holds_nothing_back),
		cmocka_unit_test(processes_killed_at_any_time_leave_whole_streams),
		cmocka_unit_test(an_id_that_comes_again_comes_after_its_end),
		cmocka_unit_test(forked_children_write_for_themselves),
		cmocka_unit_test_teardown(forked_children_are_known_where_no_page_is_wiped, reset_world),
		cmocka_unit_test(a_child_that_nobody_tells_of_writes_for_itself),
		cmocka_unit_test(a_handler_may_call_while_a_call_is_under_way),
		cmocka_unit_test(a_sink_that_refuses_stops_the_recording_and_not_the_program),
		cmocka_unit_test(a_recorder_that_dies_stops_nobody),
		cmocka_unit_test(a_recorder_that_dies_before_the_first_call_is_not_asked_again),
		cmocka_unit_test(what_strangers_bring_a_recorder_is_closed),
		cmocka_unit_test(calls_that_a_recorder_cannot_be_told_of_are_counted),
		cmocka_unit_test(nobody_at_the_address_is_no_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("recorder", tests, recorded_setup, NULL);
}
