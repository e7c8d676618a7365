/* SPDX-License-Identifier: MIT */
/* See recorded.h. */
#include "recorded.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "limit.h"

/* ---- What panbind has and this program has not ---- */

int limit_reached(void)
{
	return 0;
}

/* ---- What comes out ---- */

static struct stream *stream_of(struct outcome *out, pid_t pid, int32_t tid)
{
	for (size_t i = 0; i < out->stream_count; i++)
		if (out->streams[i].pid == pid && out->streams[i].tid == tid)
			return &out->streams[i];
	assert_true(out->stream_count < MOST_STREAMS);
	out->streams[out->stream_count] = (struct stream){.pid = pid, .tid = tid};
	return &out->streams[out->stream_count++];
}

uint64_t pattern(uint64_t va, uint32_t op)
{
	return (va ^ op) * 0x9e3779b97f4a7c15ull;
}

static void check_bind(struct outcome *out, const struct record_event *event)
{
	const struct record_op *ops = (const struct record_op *)(event + 1);
	const struct record_sync *syncs = (const struct record_sync *)(ops + event->count);

	out->binds++;
	out->ops += event->count;
	out->syncs += event->sync_count;
	out->used_dead += !out->vms[event->id % 64];
	for (uint32_t i = 0; i < event->count; i++) {
		out->wrong += ops[i].bo_offset != pattern(ops[i].va, i);
		for (uint32_t s = 0; s < ops[i].sync_count; s++)
			out->wrong += syncs[ops[i].first_sync + s].point != ops[i].va + s;
	}
}

int take(void *data, const struct record_process *process, const struct record_file *file,
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

int tend(void *data)
{
	return -1;
}

/* ---- Programs ---- */

_Atomic uint64_t *done;

int open_node(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	record_opened(fd, "/dev/dri/renderD128");
	return fd;
}

void fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct record_call call;

	record_before(&call, fd, request, arg);
	record_after(&call, 0, 0);
}

void make_vm(int fd, uint32_t id)
{
	struct pb_uapi_vm_create args = {.id = id};

	fake_ioctl(fd, PB_IOCTL_VM_CREATE, &args);
}

void end_vm(int fd, uint32_t id)
{
	struct pb_uapi_vm_destroy args = {.id = id};

	fake_ioctl(fd, PB_IOCTL_VM_DESTROY, &args);
}

void bind_ops(int fd, uint32_t vm, uint64_t va, uint32_t count, uint32_t syncs)
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

void (*recorded_world)(void);

bool pretend(long number, int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* What ends a program shall not be caught, as a test's crash is, and the other tests run in the child. */
static void catch_nothing(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
}

int record_with(const struct recorder_sink *sink, void (*program)(void), int expected,
		struct recorder_summary *ret_summary)
{
	struct recorder *recorder;
	int status = 0;
	pid_t child;

	assert_int_equal(recorder_create(sink, &recorder), 0);
	child = fork();
	if (child == 0) {
		catch_nothing();
		if (recorded_world)
			recorded_world();
		record_start(recorder_where(recorder));
		program();
		_exit(0);
	}
	assert_int_equal(recorder_run(recorder, child), expected);
	assert_int_equal(waitpid(child, &status, 0), child);
	*ret_summary = recorder_summary(recorder);
	recorder_destroy(recorder);
	assert_int_equal(ret_summary->damaged, 0);
	return status;
}

int record(void (*program)(void), struct outcome *out, struct recorder_summary *ret_summary)
{
	const struct recorder_sink sink = {take, tend, out};
	int status = record_with(&sink, program, out->stop_after ? -ENOSPC : 0, ret_summary);

	assert_int_equal(out->out_of_order, 0);
	assert_int_equal(out->wrong, 0);
	assert_int_equal(ret_summary->missed, 0);
	return status;
}

int recorded_setup(void **state)
{
	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return done == MAP_FAILED;
}
