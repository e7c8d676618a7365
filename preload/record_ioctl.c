/* SPDX-License-Identifier: MIT */
/*
 * Which ioctls are recorded, and what of them: arguments before the call, results after it.
 *
 * As in the kernel, the number decides what the call is, and a struct that is shorter or longer than ours is filled up
 * with zeroes or cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "next.h"
#include "record.h"
#include "uapi.h"

#define MOST_BYTES   (256u << 20) /* of one event */
#define MOST_GUESSED 1024u	  /* bytes of syncs */
#define MOST_POINTS  65536u	  /* of one call on syncobjs */

union arguments {
	struct pb_uapi_vm_create vm_create;
	struct pb_uapi_vm_destroy vm_destroy;
	struct pb_uapi_vm_get_state vm_get_state;
	struct pb_uapi_vm_bind vm_bind;
	struct pb_uapi_group_submit group_submit;
	struct pb_uapi_bo_create bo_create;
	struct pb_uapi_bo_set_label bo_set_label;
	struct drm_gem_close gem_close;
	struct drm_prime_handle prime;
	struct drm_syncobj_create syncobj_create;
	struct drm_syncobj_destroy syncobj_destroy;
	struct drm_syncobj_handle syncobj_handle;
	struct drm_syncobj_wait syncobj_wait;
	struct drm_syncobj_timeline_wait syncobj_timeline_wait;
	struct drm_syncobj_array syncobj_array;
	struct drm_syncobj_timeline_array syncobj_timeline_array;
	struct drm_syncobj_transfer syncobj_transfer;
};

struct reading {
	struct record_call *call;
	union arguments args;
	struct record_event *event;
};

static bool read_args(struct reading *r)
{
	size_t size = _IOC_SIZE(r->call->request);

	memset(&r->args, 0, sizeof(r->args));
	return user_read(&r->args, (uintptr_t)r->call->arg, size < sizeof(r->args) ? size : sizeof(r->args));
}

/* ---- VM_BIND ---- */

/*
 * Where the syncs of this thread's last bind were. Programs have them in the same place again and again, and with luck
 * they come with the ops, for which the kernel has to be asked anyway.
 */
struct place {
	uint64_t from;
	size_t size;
};
static __thread struct place last_syncs;

struct bind_reading {
	const struct pb_uapi_obj_array *array;
	struct record_op *ops;	   /* array->count of them */
	struct record_sync *syncs; /* behind them */
	struct place guess;	   /* from where some of those are there already */
};

/* As a user of another version of the interface may have them: the part of each op that both know. */
static bool read_ops(struct bind_reading *b, size_t room_for_syncs)
{
	const struct pb_uapi_obj_array *array = b->array;
	size_t size = array->count * sizeof(*b->ops), got;
	const struct place guess = last_syncs;
	const struct iovec to[] = {{b->ops, size}, {b->syncs, guess.size}};
	const struct iovec from[] = {{(void *)(uintptr_t)array->array, size},
				     {(void *)(uintptr_t)guess.from, guess.size}};
	bool guessing = guess.size && guess.size <= room_for_syncs && !user_is_near(array->array, size);

	if (array->stride != sizeof(*b->ops)) {
		size_t part = array->stride < sizeof(*b->ops) ? array->stride : sizeof(*b->ops);

		memset(b->ops, 0, size);
		for (uint32_t i = 0; i < array->count; i++)
			if (!user_read(&b->ops[i], array->array + (uint64_t)i * array->stride, part))
				return false;
		return true;
	}
	if (size == 0)
		return true;
	got = user_gather(to, from, guessing ? 2 : 1);
	if (guessing && got == size + guess.size)
		b->guess = guess;
	return got >= size;
}

static uint64_t count_syncs(const struct record_op *ops, uint32_t count)
{
	const struct pb_uapi_vm_bind_op *theirs = (const struct pb_uapi_vm_bind_op *)ops;
	uint64_t syncs = 0;

	for (uint32_t i = 0; i < count; i++)
		syncs += theirs[i].syncs.count;
	return syncs;
}

static bool read_array(const struct pb_uapi_obj_array *array, struct record_sync *syncs)
{
	size_t part = array->stride < sizeof(*syncs) ? array->stride : sizeof(*syncs);

	if (array->stride == sizeof(*syncs))
		return user_read(syncs, array->array, array->count * sizeof(*syncs));
	memset(syncs, 0, array->count * sizeof(*syncs));
	for (uint32_t s = 0; s < array->count; s++)
		if (!user_read(&syncs[s], array->array + (uint64_t)s * array->stride, part))
			return false;
	return true;
}

static bool is_there(const struct bind_reading *b, const struct pb_uapi_obj_array *array)
{
	return array->stride == sizeof(*b->syncs) && array->array == b->guess.from &&
	       array->count * sizeof(*b->syncs) <= b->guess.size;
}

static void remember(const struct pb_uapi_obj_array *array)
{
	size_t size = array->count * sizeof(struct record_sync);

	last_syncs = (struct place){array->array, 0};
	if (array->stride == sizeof(struct record_sync) && size <= MOST_GUESSED)
		last_syncs.size = size;
}

/* Their syncs behind the ops, and ours over what stood for them. A sync that is not there fails the call. */
static bool read_syncs(struct bind_reading *b)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < b->array->count; i++) {
		struct record_op *op = &b->ops[i];
		struct pb_uapi_obj_array array = ((struct pb_uapi_vm_bind_op *)op)->syncs;

		op->first_sync = used;
		op->sync_count = array.count;
		op->pad = 0;
		if (array.count == 0)
			continue;
		if (used > 0 || !is_there(b, &array)) {
			if (!read_array(&array, b->syncs + used))
				return false;
		}
		if (used == 0)
			remember(&array);
		used += array.count;
	}
	return true;
}

/* Submissions to queues, written as if they were ops. */
static bool read_submits(struct bind_reading *b, size_t room_for_syncs)
{
	struct pb_uapi_queue_submit submit;
	size_t part = b->array->stride < sizeof(submit) ? b->array->stride : sizeof(submit);

	(void)room_for_syncs;
	for (uint32_t i = 0; i < b->array->count; i++) {
		memset(&submit, 0, sizeof(submit));
		if (!user_read(&submit, b->array->array + (uint64_t)i * b->array->stride, part))
			return false;
		*(struct pb_uapi_vm_bind_op *)&b->ops[i] = (struct pb_uapi_vm_bind_op){.bo_handle = submit.queue_index,
										       .va = submit.stream_addr,
										       .size = submit.stream_size,
										       .syncs = submit.syncs};
	}
	return true;
}

/* All that can be read of it; what cannot be is marked. -EAGAIN: there is not enough room, @size says how much is. */
static int fill_ops(struct reading *r, const struct pb_uapi_obj_array *array,
		    bool (*read)(struct bind_reading *b, size_t room_for_syncs), size_t *size)
{
	struct bind_reading b = {array, (struct record_op *)(r->event + 1), NULL, {0}};
	uint64_t syncs, wanted = sizeof(*r->event) + (uint64_t)array->count * sizeof(*b.ops);

	r->event->count = r->event->count_out = array->count;
	if (array->count > RECORD_MAX_OPS) {
		r->event->marks |= RECORD_CUT;
		return 0;
	}
	b.syncs = (struct record_sync *)(b.ops + array->count);
	if (!read(&b, *size - wanted)) {
		r->event->marks |= RECORD_UNREAD;
		return 0;
	}
	syncs = count_syncs(b.ops, array->count);
	wanted += syncs * sizeof(struct record_sync);
	if (wanted > MOST_BYTES) {
		r->event->marks |= RECORD_CUT;
		return 0;
	}
	if (wanted > *size) {
		*size = wanted;
		return -EAGAIN;
	}
	r->event->size = (uint32_t)wanted;
	r->event->sync_count = (uint32_t)syncs;
	if (!read_syncs(&b))
		r->event->marks |= RECORD_UNREAD;
	return 0;
}

/* An event with the ops and their syncs behind it. */
static void read_all(struct reading *r, const struct pb_uapi_obj_array *array,
		     bool (*read)(struct bind_reading *b, size_t room_for_syncs))
{
	uint64_t ops = array->count <= RECORD_MAX_OPS ? array->count : 0;
	size_t size = sizeof(*r->event) + ops * sizeof(struct record_op) + last_syncs.size;

	do {
		r->event = ring_room(size);
	} while (r->event && fill_ops(r, array, read, &size) == -EAGAIN);
	if (r->event && r->event->marks)
		r->event->size = sizeof(*r->event);
}

static void before_bind(struct reading *r)
{
	read_all(r, &r->args.vm_bind.ops, read_ops);
	if (!r->event)
		return;
	r->event->id = r->args.vm_bind.vm_id;
	r->event->flags = r->args.vm_bind.flags;
}

static void after_bind(struct reading *r)
{
	if (r->event->err && read_args(r))
		r->event->count_out = r->args.vm_bind.ops.count;
}

static void before_group_submit(struct reading *r)
{
	read_all(r, &r->args.group_submit.queue_submits, read_submits);
	if (r->event)
		r->event->id = r->args.group_submit.group_handle;
}

/* ---- VMs and BOs ---- */

static void before_vm_create(struct reading *r)
{
	r->event->flags = r->args.vm_create.flags;
	r->event->value[0] = r->args.vm_create.user_va_range;
}

static void after_vm_create(struct reading *r)
{
	r->event->id = r->args.vm_create.id;
	r->event->value[1] = r->args.vm_create.user_va_range;
}

static void before_vm_destroy(struct reading *r)
{
	r->event->id = r->args.vm_destroy.id;
}

static void before_vm_get_state(struct reading *r)
{
	r->event->id = r->args.vm_get_state.vm_id;
}

static void after_vm_get_state(struct reading *r)
{
	r->event->count_out = r->args.vm_get_state.state;
}

static void before_bo_create(struct reading *r)
{
	r->event->value[0] = r->args.bo_create.size;
	r->event->flags = r->args.bo_create.flags;
	r->event->other = r->args.bo_create.exclusive_vm_id;
}

static void after_bo_create(struct reading *r)
{
	r->event->id = r->args.bo_create.handle;
	r->event->value[1] = r->args.bo_create.size;
}

/* Up to the end of a page at a time: where the text ends is not known, and behind it there may be nothing. */
static uint32_t read_text(uint64_t from, char *to, uint32_t most)
{
	uint32_t length = 0;

	while (length < most) {
		uint64_t part = 4096 - (from + length) % 4096;
		size_t ends;

		part = part < most - length ? part : most - length;
		if (!user_read(to + length, from + length, part))
			return length;
		ends = strnlen(to + length, part);
		length += (uint32_t)ends;
		if (ends < part)
			return length;
	}
	return length;
}

static void before_bo_label(struct reading *r)
{
	r->event = ring_room(sizeof(*r->event) + PB_BO_LABEL_MAX);
	if (!r->event)
		return;
	r->event->id = r->args.bo_set_label.handle;
	r->event->count = read_text(r->args.bo_set_label.label, (char *)(r->event + 1), PB_BO_LABEL_MAX);
	r->event->size = (uint32_t)(sizeof(*r->event) + ((size_t)r->event->count + 7) / 8 * 8);
}

static void before_gem_close(struct reading *r)
{
	r->event->id = r->args.gem_close.handle;
}

/* A buffer is the same in every process that has a descriptor of it. */
static void note_buffer(struct record_event *event, int fd)
{
	struct stat st;

	if (fd < 0 || NEXT(fstat)(fd, &st) < 0)
		return;
	event->value[0] = (uint64_t)st.st_dev << 48 ^ (uint64_t)st.st_ino;
	event->value[1] = (uint64_t)st.st_size;
}

static void before_bo_export(struct reading *r)
{
	r->event->id = r->args.prime.handle;
	r->event->flags = r->args.prime.flags;
}

static void after_bo_export(struct reading *r)
{
	note_buffer(r->event, r->args.prime.fd);
}

static void before_bo_import(struct reading *r)
{
	note_buffer(r->event, r->args.prime.fd);
}

static void after_bo_import(struct reading *r)
{
	r->event->id = r->args.prime.handle;
}

/* ---- Syncobjs ---- */

static void before_syncobj_create(struct reading *r)
{
	r->event->flags = r->args.syncobj_create.flags;
}

static void after_syncobj_create(struct reading *r)
{
	r->event->id = r->args.syncobj_create.handle;
}

static void before_syncobj_destroy(struct reading *r)
{
	r->event->id = r->args.syncobj_destroy.handle;
}

static void before_syncobj_export(struct reading *r)
{
	r->event->id = r->args.syncobj_handle.handle;
	r->event->flags = r->args.syncobj_handle.flags;
}

static void before_syncobj_import(struct reading *r)
{
	r->event->id = r->args.syncobj_handle.handle;
	r->event->flags = r->args.syncobj_handle.flags;
}

static void after_syncobj_import(struct reading *r)
{
	r->event->id = r->args.syncobj_handle.handle;
}

static void before_syncobj_transfer(struct reading *r)
{
	const struct drm_syncobj_transfer *args = &r->args.syncobj_transfer;

	r->event->id = args->src_handle;
	r->event->other = args->dst_handle;
	r->event->value[0] = args->src_point;
	r->event->value[1] = args->dst_point;
	r->event->flags = args->flags;
}

/* Some of the points at a time, so that there is one system call for many. */
static bool copy_points(struct record_point *to, uint64_t handles, uint64_t points, uint32_t count)
{
	uint32_t handle[64];
	uint64_t point[64] = {0};
	bool well = true;

	for (uint32_t first = 0; first < count && well; first += 64) {
		uint32_t part = count - first < 64 ? count - first : 64;

		well = user_read(handle, handles + first * sizeof(*handle), part * sizeof(*handle)) &&
		       (!points || user_read(point, points + first * sizeof(*point), part * sizeof(*point)));
		for (uint32_t i = 0; i < part && well; i++)
			to[first + i] = (struct record_point){handle[i], point[i]};
	}
	return well;
}

/* An event with @count points behind it. */
static void read_points(struct reading *r, uint64_t handles, uint64_t points, uint32_t count)
{
	size_t room = count <= MOST_POINTS ? count * sizeof(struct record_point) : 0;

	r->event = ring_room(sizeof(*r->event) + room);
	if (!r->event)
		return;
	r->event->count = count;
	if (!room && count)
		r->event->marks |= RECORD_CUT;
	else if (!copy_points((struct record_point *)(r->event + 1), handles, points, count))
		r->event->marks |= RECORD_UNREAD;
	if (r->event->marks)
		r->event->size = sizeof(*r->event);
}

static void before_syncobj_array(struct reading *r)
{
	read_points(r, r->args.syncobj_array.handles, 0, r->args.syncobj_array.count_handles);
}

static void before_syncobj_timeline_signal(struct reading *r)
{
	const struct drm_syncobj_timeline_array *args = &r->args.syncobj_timeline_array;

	read_points(r, args->handles, args->points, args->count_handles);
	if (r->event)
		r->event->flags = 1;
}

static void before_syncobj_wait(struct reading *r)
{
	const struct drm_syncobj_wait *args = &r->args.syncobj_wait;

	read_points(r, args->handles, 0, args->count_handles);
	if (!r->event)
		return;
	r->event->flags = args->flags;
	r->event->value[0] = (uint64_t)args->timeout_nsec;
}

static void before_syncobj_timeline_wait(struct reading *r)
{
	const struct drm_syncobj_timeline_wait *args = &r->args.syncobj_timeline_wait;

	read_points(r, args->handles, args->points, args->count_handles);
	if (!r->event)
		return;
	r->event->flags = args->flags;
	r->event->value[0] = (uint64_t)args->timeout_nsec;
	r->event->value[1] = 1;
}

/* ---- The calls ---- */

struct known {
	uint8_t number;
	uint8_t type;
	bool ends;  /* an object, so that its handle may come again */
	bool long_; /* before() finds its own room */
	void (*before)(struct reading *r);
	void (*after)(struct reading *r); /* of a call that succeeded, with args read again; NULL: nothing comes back */
};

#define CALL(request, type_, name, after_)                                                 \
	{                                                                                  \
		_IOC_NR(request), RECORD_##type_, .before = before_##name, .after = after_ \
	}
#define END(request, type_, name)                                                       \
	{                                                                               \
		_IOC_NR(request), RECORD_##type_, .ends = true, .before = before_##name \
	}
#define LONG(request, type_, name)                                                       \
	{                                                                                \
		_IOC_NR(request), RECORD_##type_, .long_ = true, .before = before_##name \
	}

static const struct known known[] = {
	LONG(PB_IOCTL_VM_BIND, VM_BIND, bind),
	LONG(PB_IOCTL_GROUP_SUBMIT, GROUP_SUBMIT, group_submit),
	CALL(PB_IOCTL_VM_CREATE, VM_CREATE, vm_create, after_vm_create),
	END(PB_IOCTL_VM_DESTROY, VM_DESTROY, vm_destroy),
	CALL(PB_IOCTL_VM_GET_STATE, VM_GET_STATE, vm_get_state, after_vm_get_state),
	CALL(PB_IOCTL_BO_CREATE, BO_CREATE, bo_create, after_bo_create),
	LONG(PB_IOCTL_BO_SET_LABEL, BO_LABEL, bo_label),
	END(DRM_IOCTL_GEM_CLOSE, GEM_CLOSE, gem_close),
	CALL(DRM_IOCTL_PRIME_HANDLE_TO_FD, BO_EXPORT, bo_export, after_bo_export),
	CALL(DRM_IOCTL_PRIME_FD_TO_HANDLE, BO_IMPORT, bo_import, after_bo_import),
	CALL(DRM_IOCTL_SYNCOBJ_CREATE, SYNCOBJ_CREATE, syncobj_create, after_syncobj_create),
	END(DRM_IOCTL_SYNCOBJ_DESTROY, SYNCOBJ_DESTROY, syncobj_destroy),
	CALL(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, SYNCOBJ_EXPORT, syncobj_export, NULL),
	CALL(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, SYNCOBJ_IMPORT, syncobj_import, after_syncobj_import),
	LONG(DRM_IOCTL_SYNCOBJ_WAIT, SYNCOBJ_WAIT, syncobj_wait),
	LONG(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, SYNCOBJ_WAIT, syncobj_timeline_wait),
	LONG(DRM_IOCTL_SYNCOBJ_RESET, SYNCOBJ_RESET, syncobj_array),
	LONG(DRM_IOCTL_SYNCOBJ_SIGNAL, SYNCOBJ_SIGNAL, syncobj_array),
	LONG(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, SYNCOBJ_SIGNAL, syncobj_timeline_signal),
	CALL(DRM_IOCTL_SYNCOBJ_TRANSFER, SYNCOBJ_TRANSFER, syncobj_transfer, NULL),
};

static const struct known *find(unsigned long request)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].number == _IOC_NR(request))
			return &known[i];
	return NULL;
}

bool ioctl_is_recorded(unsigned long request)
{
	return find(request) != NULL;
}

struct record_event *ioctl_before(struct record_call *call)
{
	const struct known *what = find(call->request);
	struct reading r = {.call = call};
	uint64_t file;
	bool read;

	if (!what)
		return NULL;
	file = file_of(call->fd); /* maybe an event of its own: before ours is made */
	read = read_args(&r);
	if (!what->long_)
		r.event = ring_room(sizeof(*r.event));
	if (!what->long_ && !r.event)
		return NULL;
	what->before(&r);
	if (!r.event)
		return NULL;
	r.event->type = what->type;
	r.event->fd = call->fd;
	r.event->file = file;
	r.event->marks |= read ? 0 : RECORD_UNREAD;
	ring_begin(r.event, what->ends);
	return r.event;
}

void ioctl_after(struct record_call *call, int ret, int err)
{
	const struct known *what = find(call->request);
	struct reading r = {.call = call, .event = call->event};

	r.event->err = ret < 0 ? err : 0;
	if (what->type == RECORD_VM_BIND)
		after_bind(&r);
	else if (ret >= 0 && what->after && read_args(&r))
		what->after(&r);
	ring_end(r.event, what->ends);
}
