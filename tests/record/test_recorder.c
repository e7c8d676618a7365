/* SPDX-License-Identifier: MIT */
/*
 * The rings and the recorder without a driver: children of this program make calls through the hooks, as the preload
 * library would, and what the recorder hands on has to be all of it, in order, whatever becomes of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core.h"
#include "limit.h"
#include "next.h"
#include "record.h"
#include "recorder.h"
#include "seed.h"
#include "uapi.h"

#define MOST_STREAMS 64

/* ---- What the preload library has and this program has not ---- */

bool core_is_node(int fd)
{
	return false;
}

enum core_kind core_node(int fd, struct node_id *ret_id)
{
	return CORE_NONE;
}

void *next_function(enum next_function which)
{
	return which == NEXT_fstat ? (void *)fstat : NULL;
}

int limit_reached(void)
{
	return 0;
}

/* ---- What comes out ---- */

/** What one thread did, as far as it was told of. */
struct stream {
	pid_t pid;
	int32_t tid;
	uint64_t last; /* thread_number */
	uint64_t calls;
};

struct outcome {
	struct stream streams[MOST_STREAMS];
	size_t stream_count;
	uint64_t binds, ops, unfinished, out_of_order, last_number, over, wrong;
	uint64_t stop_after;	  /* binds, after which the sink refuses */
	bool vms[64];		  /* by id: alive */
	uint64_t used_dead, file; /* calls on VMs that are not alive; the last call's file */
	struct timespec nap;	  /* for each event: a recorder that does not keep up */
};

static struct stream *stream_of(struct outcome *out, pid_t pid, int32_t tid)
{
	for (size_t i = 0; i < out->stream_count; i++)
		if (out->streams[i].pid == pid && out->streams[i].tid == tid)
			return &out->streams[i];
	assert_true(out->stream_count < MOST_STREAMS);
	out->streams[out->stream_count] = (struct stream){.pid = pid, .tid = tid};
	return &out->streams[out->stream_count++];
}

static uint64_t pattern(uint64_t va, uint32_t op)
{
	return (va ^ op) * 0x9e3779b97f4a7c15ull;
}

static void check_bind(struct outcome *out, const struct record_event *event)
{
	const struct record_op *ops = (const struct record_op *)(event + 1);
	const struct record_sync *syncs = (const struct record_sync *)(ops + event->count);

	out->binds++;
	out->ops += event->count;
	out->used_dead += !out->vms[event->id % 64];
	for (uint32_t i = 0; i < event->count; i++) {
		out->wrong += ops[i].bo_offset != pattern(ops[i].va, i);
		for (uint32_t s = 0; s < ops[i].sync_count; s++)
			out->wrong += syncs[ops[i].first_sync + s].point != ops[i].va + s;
	}
}

static int take(void *data, const struct record_process *process, const struct record_file *file,
		const struct record_event *event)
{
	struct outcome *out = data;
	struct stream *stream;

	if (out->nap.tv_nsec)
		nanosleep(&out->nap, NULL);
	if (!event) {
		out->over++;
		return 0;
	}
	stream = stream_of(out, process->pid, event->tid);
	out->out_of_order += event->thread_number <= stream->last || event->number <= out->last_number;
	stream->last = event->thread_number;
	stream->calls++;
	out->last_number = event->number;
	out->file = file->id;
	if (event->marks & RECORD_UNFINISHED) {
		out->unfinished++;
		return 0;
	}
	if (event->type == RECORD_VM_BIND)
		check_bind(out, event);
	else if (event->type == RECORD_VM_CREATE && !event->err)
		out->vms[event->id % 64] = true;
	else if (event->type == RECORD_VM_DESTROY && !event->err)
		out->vms[event->id % 64] = false;
	return out->stop_after && out->binds >= out->stop_after ? -ENOSPC : 0;
}

static int tend(void *data)
{
	return -1;
}

/* ---- Programs ---- */

static _Atomic uint64_t *done; /* how many binds a program has made; shared with it */

/* The node of these programs: any open file will do, no ioctl reaches it. */
static int open_node(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	record_opened(fd, "/dev/dri/renderD128");
	return fd;
}

static void fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct record_call call;

	record_before(&call, fd, request, arg);
	record_after(&call, 0, 0);
}

static void make_vm(int fd, uint32_t id)
{
	struct pb_uapi_vm_create args = {.id = id};

	fake_ioctl(fd, PB_IOCTL_VM_CREATE, &args);
}

static void end_vm(int fd, uint32_t id)
{
	struct pb_uapi_vm_destroy args = {.id = id};

	fake_ioctl(fd, PB_IOCTL_VM_DESTROY, &args);
}

static void bind_ops(int fd, uint32_t vm, uint64_t va, uint32_t count, uint32_t syncs)
{
	struct pb_uapi_vm_bind_op *ops = calloc(count, sizeof(*ops));
	struct pb_uapi_sync_op *sync = calloc(count * syncs + 1, sizeof(*sync));
	struct pb_uapi_vm_bind args = {.vm_id = vm, .flags = 1, .ops = {sizeof(*ops), count, (uintptr_t)ops}};

	for (uint32_t i = 0; i < count; i++) {
		ops[i] = (struct pb_uapi_vm_bind_op){.va = va, .size = 4096, .bo_offset = pattern(va, i)};
		ops[i].syncs = (struct pb_uapi_obj_array){sizeof(*sync), syncs, (uintptr_t)&sync[i * syncs]};
		for (uint32_t s = 0; s < syncs; s++)
			sync[i * syncs + s].timeline_value = va + s;
	}
	fake_ioctl(fd, PB_IOCTL_VM_BIND, &args);
	free(ops);
	free(sync);
}

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

/* Run @program in a child, record it, and return what waitpid() says of it. */
static int record(void (*program)(void), struct outcome *out, struct recorder_summary *ret_summary)
{
	const struct recorder_sink sink = {take, tend, out};
	struct recorder *recorder;
	int status = 0;
	pid_t child;

	assert_int_equal(recorder_create(&sink, &recorder), 0);
	child = fork();
	if (child == 0) {
		record_start(recorder_where(recorder));
		program();
		_exit(0);
	}
	assert_int_equal(recorder_run(recorder, child), out->stop_after ? -ENOSPC : 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	*ret_summary = recorder_summary(recorder);
	recorder_destroy(recorder);
	assert_int_equal(out->out_of_order, 0);
	assert_int_equal(out->wrong, 0);
	assert_int_equal(ret_summary->damaged, 0);
	assert_int_equal(ret_summary->missed, 0);
	return status;
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

/* ---- Forks, signals, bad pointers ---- */

static void forking_program(void)
{
	int fd = open_node(), status;

	make_vm(fd, 1);
	for (int i = 0; i < 3; i++) {
		pid_t child = i == 1 ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();

		if (child == 0) {
			if (i != 1) /* of the raw one nobody tells */
				record_forked();
			bind_ops(fd, 1, 4096, 1, 0);
			_exit(0);
		}
		bind_ops(fd, 1, 8192, 1, 0);
		waitpid(child, &status, 0);
	}
}

static void forked_children_write_for_themselves(void **state)
{
	struct outcome out = {0};
	struct recorder_summary summary;

	assert_int_equal(record(forking_program, &out, &summary), 0);
	assert_int_equal(out.binds, 6);
	assert_int_equal(out.stream_count, 4);
	assert_int_equal(summary.processes, 4);
	assert_int_equal(out.over, 0); /* one file, in all of them, to the end */
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
	struct recorder *recorder;
	pid_t child;

	assert_int_equal(recorder_create(&sink, &recorder), 0);
	child = fork();
	if (child == 0) {
		record_start(recorder_where(recorder));
		interrupted_program();
		_exit(0);
	}
	assert_int_equal(recorder_run(recorder, child), 0);
	waitpid(child, NULL, 0);
	recorder_destroy(recorder);
	assert_int_equal(out.binds, 200);
	assert_int_equal(out.unfinished, 0);
	/* The handler's call was begun later and finished first. */
	assert_int_equal(out.out_of_order, 100);
}

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
	struct recorder *recorder;
	int status;
	pid_t child;

	assert_int_equal(recorder_create(&sink, &recorder), 0);
	child = fork();
	if (child == 0) {
		record_start(recorder_where(recorder));
		bad_pointers();
		_exit(7);
	}
	assert_int_equal(recorder_run(recorder, child), 0);
	waitpid(child, &status, 0);
	recorder_destroy(recorder);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	assert_int_equal(out.binds, 4);
	assert_int_equal(out.wrong, 0);
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

static int setup(void **state)
{
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return done == MAP_FAILED;
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
		cmocka_unit_test(a_handler_may_call_while_a_call_is_under_way),
		cmocka_unit_test(pointers_that_lead_nowhere_hurt_nobody),
		cmocka_unit_test(a_sink_that_refuses_stops_the_recording_and_not_the_program),
		cmocka_unit_test(a_recorder_that_dies_stops_nobody),
		cmocka_unit_test(a_recorder_that_dies_before_the_first_call_is_not_asked_again),
		cmocka_unit_test(nobody_at_the_address_is_no_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("recorder", tests, setup, NULL);
}
