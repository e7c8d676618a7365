/* SPDX-License-Identifier: MIT */
/* A log as steps of a benchmark. See bench.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define FIRST_ROOM   64
#define PROLOGUE_OPS 256 /* of a bind of the state that a log begins with */
#define NAME_KEY     320

void *bench_grow(void *at, size_t count, size_t *room, size_t element)
{
	if (count == *room) {
		size_t larger = count ? count * 2 : FIRST_ROOM;
		void *more = larger < BENCH_NONE ? reallocarray(at, larger, element) : NULL;

		if (!more)
			return NULL;
		at = more;
		*room = larger;
	}
	memset((char *)at + count * element, 0, element);
	return at;
}

/** What loading needs to know beside the program. */
struct load {
	struct bench_program *program;
	const struct bench_options *options;
	struct panbind_error *reterr;
};

/* ---- Names ---- */

static uint32_t find(const struct bench_program *program, char kind, const char *name, size_t size, uint64_t generation)
{
	char key[NAME_KEY];
	const json_t *index;

	snprintf(key, sizeof(key), "%c%.*s#%" PRIu64, kind, (int)size, name, generation);
	index = json_object_get(program->names, key);
	return index ? (uint32_t)json_integer_value(index) : BENCH_NONE;
}

static void note(const struct load *load, char kind, const char *name, size_t size, uint64_t generation, uint32_t index)
{
	char key[NAME_KEY];

	snprintf(key, sizeof(key), "%c%.*s#%" PRIu64, kind, (int)size, name, generation);
	json_object_set_new(load->program->names, key, json_integer(index));
}

uint32_t bench_find(const struct bench_program *program, char kind, const struct panbind_log_ref *ref)
{
	return ref->name ? find(program, kind, ref->name, strlen(ref->name), ref->generation) : BENCH_NONE;
}

/* A new device has other syncobjs. */
static void forget_syncobjs(const struct bench_program *program)
{
	const char *key;
	json_t *index;
	void *next;

	json_object_foreach_safe(program->names, next, key, index) if (key[0] == 's')
		json_object_del(program->names, key);
}

/* Is a VM one of those that are wanted? */
static bool wanted(const struct load *load, const struct panbind_log_ref *vm)
{
	const struct panbind_log_ref *only = &load->options->vm;

	return !only->name || (vm->name && strcmp(vm->name, only->name) == 0 &&
			       (only->generation == 0 || only->generation == vm->generation));
}

/* ---- Objects ---- */

static uint32_t add_object(const struct load *load, bool is_vm, const struct panbind_log_object *object)
{
	struct bench_program *program = load->program;
	uint32_t index = BENCH_ADD(program->objects);

	if (index == BENCH_NONE)
		return index;
	program->objects.at[index] = (struct bench_object){
		.is_vm = is_vm,
		.size = object->size,
		.flags = object->flags,
		.exclusive_vm = bench_find(load->program, 'v', &object->exclusive_vm),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	note(load, is_vm ? 'v' : 'b', object->ref.name, strlen(object->ref.name), object->ref.generation, index);
	return index;
}

static struct bench_step *add_step(const struct load *load, enum panbind_log_kind kind)
{
	struct bench_program *program = load->program;
	uint32_t index = BENCH_ADD(program->steps);
	struct bench_step *step;

	if (index == BENCH_NONE)
		return NULL;
	step = &program->steps.at[index];
	step->kind = kind;
	step->object = BENCH_NONE;
	step->first_op = (uint32_t)program->ops.count;
	return step;
}

static int add_object_step(const struct load *load, const struct panbind_log_entry *entry)
{
	enum panbind_log_kind kind = entry->kind;
	bool is_vm = kind == PANBIND_LOG_VM_CREATE || kind == PANBIND_LOG_VM_DESTROY || kind == PANBIND_LOG_VM_LOST;
	bool creates = kind == PANBIND_LOG_VM_CREATE || kind == PANBIND_LOG_BO_CREATE;
	uint32_t object;
	struct bench_step *step;

	if (!entry->object.ref.name) /* a note, or where a script begins or ends */
		return 0;
	if (entry->result || (is_vm && !wanted(load, &entry->object.ref))) {
		load->program->left_out += entry->result != 0;
		return 0;
	}
	object = creates ? add_object(load, is_vm, &entry->object)
			 : bench_find(load->program, is_vm ? 'v' : 'b', &entry->object.ref);
	if (object == BENCH_NONE)
		return creates ? -ENOMEM : 0;
	if (kind == PANBIND_LOG_VM_LOST) {
		load->program->objects.at[object].lost = true;
		return 0;
	}
	step = add_step(load, kind);
	if (!step)
		return -ENOMEM;
	step->object = object;
	return 0;
}

/* ---- Syncs ---- */

static uint32_t fresh_syncobj(const struct load *load, const char *name, size_t size)
{
	uint32_t index = BENCH_ADD(load->program->syncobjs);

	if (index != BENCH_NONE)
		note(load, 's', name, size, 0, index);
	return index;
}

static bool has_fence(const struct bench_syncobj *syncobj, uint64_t point)
{
	return point ? point <= syncobj->point : syncobj->has_fence;
}

static void give_fence(struct bench_syncobj *syncobj, uint64_t point)
{
	if (point)
		syncobj->point = point > syncobj->point ? point : syncobj->point;
	else
		syncobj->has_fence = true;
}

/* As in a replay: a point that is signalled twice was reset between, and a wait for what nothing in the log signals was
 * for what somebody else did. */
static int add_sync(const struct load *load, bool signal, const char *name, size_t size, uint64_t point)
{
	struct bench_program *program = load->program;
	uint32_t syncobj = find(program, 's', name, size, 0), index;
	bool help = false;

	if (syncobj == BENCH_NONE || (signal && point && has_fence(&program->syncobjs.at[syncobj], point)))
		syncobj = fresh_syncobj(load, name, size);
	index = BENCH_ADD(program->syncs);
	if (syncobj == BENCH_NONE || index == BENCH_NONE)
		return -ENOMEM;
	help = !signal && !has_fence(&program->syncobjs.at[syncobj], point);
	if (help || signal)
		give_fence(&program->syncobjs.at[syncobj], point);
	program->syncs.at[index] = (struct bench_sync){syncobj, signal, help, point};
	return 0;
}

/* "wait=NAME[:POINT] signal=NAME ..." */
static int add_syncs(const struct load *load, const char *text)
{
	int err = 0;

	for (text += strspn(text, " "); *text && err == 0; text += strspn(text, " ")) {
		size_t size = strcspn(text, " ");
		const char *name = memchr(text, '=', size), *end = text + size, *colon;

		if (!name)
			return -EINVAL;
		name++;
		colon = memchr(name, ':', (size_t)(end - name));
		err = add_sync(load, *text == 's', name, (size_t)((colon ? colon : end) - name),
			       colon ? strtoull(colon + 1, NULL, 10) : 0);
		text = end;
	}
	return err;
}

/* ---- Binds ---- */

static enum bench_kind kind_of_op(enum panbind_log_op_type type)
{
	switch (type) {
	case PANBIND_LOG_MAP:
		return BENCH_MAP;
	case PANBIND_LOG_UNMAP:
		return BENCH_UNMAP;
	case PANBIND_LOG_SYNC_ONLY:
		return BENCH_SYNC_ONLY;
	default:
		return BENCH_SPARSE;
	}
}

/* Ops that only wait or signal do not make a bind another one. */
static enum bench_kind kind_of(const struct bench_op *ops, size_t count)
{
	enum bench_kind kind = BENCH_SYNC_ONLY;

	for (size_t i = 0; i < count; i++) {
		enum bench_kind other = kind_of_op(ops[i].type);

		if (kind == BENCH_SYNC_ONLY)
			kind = other;
		else if (other != kind && other != BENCH_SYNC_ONLY)
			return BENCH_MIXED;
	}
	return kind;
}

/* 1: added, 0: an op of a VM that is not wanted, -ENOENT: it cannot be repeated. */
static int add_op(const struct load *load, const struct panbind_log_op *op, bool async)
{
	struct bench_program *program = load->program;
	uint32_t vm = bench_find(load->program, 'v', &op->vm), bo = bench_find(load->program, 'b', &op->bo), index;
	bool needs_bo = op->type == PANBIND_LOG_MAP || op->type == PANBIND_LOG_SPARSE_BIND;

	if (!wanted(load, &op->vm) || (op->type == PANBIND_LOG_SYNC_ONLY && !async))
		return 0;
	if (vm == BENCH_NONE || program->objects.at[vm].lost || (needs_bo && bo == BENCH_NONE))
		return -ENOENT;
	index = BENCH_ADD(program->ops);
	if (index == BENCH_NONE)
		return -ENOMEM;
	program->ops.at[index] = (struct bench_op){
		.type = op->type,
		.flags = op->flags,
		.vm = vm,
		.bo = needs_bo ? bo : BENCH_NONE,
		.first_sync = (uint32_t)program->syncs.count,
		.va = op->va,
		.size = op->size,
		.bo_offset = op->bo_offset,
	};
	if (async && op->syncs && add_syncs(load, op->syncs) < 0)
		return -ENOMEM;
	program->ops.at[index].sync_count = (uint32_t)program->syncs.count - program->ops.at[index].first_sync;
	return 1;
}

static void lose_vms(const struct load *load, const struct panbind_log_entry *entry)
{
	for (size_t i = 0; i < entry->op_count; i++) {
		uint32_t vm = bench_find(load->program, 'v', &entry->ops[i].vm);

		if (vm != BENCH_NONE)
			load->program->objects.at[vm].lost = true;
	}
}

/* What was applied of an entry: of one that failed in the middle, the ops before that. */
static size_t applied_of(const struct load *load, const struct panbind_log_entry *entry)
{
	size_t count = entry->applied <= entry->op_count ? entry->applied : 0;

	if (entry->outcome == PANBIND_OUTCOME_UNKNOWN || entry->applied == PANBIND_LOG_UNCLEAR)
		lose_vms(load, entry);
	if (entry->outcome == PANBIND_OUTCOME_APPLIED)
		return entry->op_count;
	return entry->outcome == PANBIND_OUTCOME_PARTIAL ? count : 0;
}

static int add_bind(const struct load *load, const struct panbind_log_entry *entry)
{
	struct bench_program *program = load->program;
	struct bench_step *step = add_step(load, PANBIND_LOG_BIND);
	size_t count = applied_of(load, entry), first = program->ops.count;
	int err = step ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && err >= 0; i++)
		err = add_op(load, &entry->ops[i], entry->flags & PANBIND_LOG_ASYNC);
	if (err < 0 && err != -ENOENT)
		return err;
	program->left_out += err == -ENOENT || (entry->result && count == 0);
	if (err == -ENOENT)
		program->ops.count = first;
	if (program->ops.count == first) {
		program->steps.count--;
		return 0;
	}
	step->op_count = (uint32_t)(program->ops.count - first);
	step->async = entry->flags & PANBIND_LOG_ASYNC;
	step->measured = kind_of(program->ops.at + first, step->op_count);
	if (entry->result) /* it took what the op that failed took, too */
		step->recorded_ns = 0;
	program->bind_count++;
	program->op_count += step->op_count;
	return 0;
}

/* ---- Entries ---- */

static enum bench_kind kind_of_entry(enum panbind_log_kind kind)
{
	switch (kind) {
	case PANBIND_LOG_VM_CREATE:
		return BENCH_VM_CREATE;
	case PANBIND_LOG_VM_DESTROY:
		return BENCH_VM_DESTROY;
	case PANBIND_LOG_BO_CREATE:
		return BENCH_BO_CREATE;
	case PANBIND_LOG_BO_DESTROY:
		return BENCH_BO_DESTROY;
	default:
		return BENCH_KINDS; /* a start is nothing that anybody called */
	}
}

static int add_entry(const struct load *load, const struct panbind_log_entry *entry)
{
	struct bench_program *program = load->program;
	size_t before = program->steps.count;
	struct bench_step *step;
	int err = 0;

	if (entry->kind == PANBIND_LOG_BIND)
		err = add_bind(load, entry);
	else if (entry->kind != PANBIND_LOG_START)
		err = add_object_step(load, entry);
	else if (!add_step(load, PANBIND_LOG_START))
		err = -ENOMEM;
	else
		forget_syncobjs(program);
	if (err < 0 || program->steps.count == before)
		return err;
	step = &program->steps.at[before];
	if (entry->kind != PANBIND_LOG_BIND)
		step->measured = kind_of_entry(entry->kind);
	step->seq = entry->seq;
	step->pid = entry->pid;
	step->tid = entry->tid;
	step->time_ns = entry->time_ns - (int64_t)entry->latency_ns;
	step->recorded_ns = entry->result ? 0 : entry->latency_ns;
	return 0;
}

static int add_entries(const struct load *load, struct panbind_log *log, uint64_t since)
{
	struct panbind_log_filter filter = {.since_seq = since, .until_seq = load->options->until_seq};
	const struct panbind_log_entry *entry;
	struct panbind_log_reader *reader;
	int err = panbind_log_reader_open(log, &filter, &reader, load->reterr);

	if (err < 0)
		return err;
	while (err >= 0 && (err = panbind_log_read(reader, &entry)) == 1)
		err = add_entry(load, entry);
	panbind_log_reader_close(reader);
	return err;
}

/* ---- What the log begins with ---- */

static int begin_with_object(const struct load *load, bool is_vm, const struct panbind_log_state_object *object)
{
	struct bench_step *step;
	uint32_t index;

	if (is_vm && !wanted(load, &object->object.ref))
		return 0;
	index = add_object(load, is_vm, &object->object);
	if (index == BENCH_NONE)
		return -ENOMEM;
	load->program->objects.at[index].lost = object->lost_seq != 0;
	step = add_step(load, is_vm ? PANBIND_LOG_VM_CREATE : PANBIND_LOG_BO_CREATE);
	if (!step)
		return -ENOMEM;
	step->object = index;
	return 0;
}

static int begin_with_op(const struct load *load, const struct panbind_log_op *op)
{
	struct bench_program *program = load->program;
	struct bench_step *step = program->steps.count ? &program->steps.at[program->steps.count - 1] : NULL;
	int err;

	if (!step || step->kind != PANBIND_LOG_BIND || step->op_count == PROLOGUE_OPS)
		step = add_step(load, PANBIND_LOG_BIND);
	err = step ? add_op(load, op, false) : -ENOMEM;
	if (err == 1)
		step->op_count++;
	return err == -ENOENT ? 0 : err < 0 ? err : 0;
}

/* A region is all dummy when it is reserved: the holes in it are made, its dummies are there. */
static int begin_with_region(const struct load *load, const struct panbind_log_state *state, size_t index,
			     const struct panbind_log_ref *vm, uint64_t va, uint64_t size)
{
	const uint64_t end = va + size;
	struct panbind_log_op op = {.type = PANBIND_LOG_SPARSE_RESERVE, .vm = *vm, .va = va, .size = size};
	struct panbind_log_mapping mapping;
	int err = begin_with_op(load, &op);

	op.type = PANBIND_LOG_UNMAP;
	while (err == 0 && va < end) {
		if (panbind_log_state_next_mapping(state, index, va, &mapping) < 0 || mapping.va > end)
			mapping = (struct panbind_log_mapping){.va = end};
		op.va = va;
		op.size = mapping.va > va ? mapping.va - va : 0;
		if (op.size)
			err = begin_with_op(load, &op);
		va = mapping.va + mapping.size;
	}
	return err;
}

static bool in_region(const struct panbind_log_state *state, size_t index, const struct panbind_log_mapping *mapping)
{
	uint64_t va, size;

	return panbind_log_state_next_region(state, index, mapping->va, &va, &size) == 0 && va <= mapping->va;
}

static int begin_with_vm(const struct load *load, const struct panbind_log_state *state, size_t index,
			 const struct panbind_log_ref *vm)
{
	struct panbind_log_mapping mapping;
	uint64_t at = 0, va, size;
	int err = 0;

	for (; err == 0 && panbind_log_state_next_region(state, index, at, &va, &size) == 0; at = va + size)
		err = begin_with_region(load, state, index, vm, va, size);
	for (at = 0; err == 0 && panbind_log_state_next_mapping(state, index, at, &mapping) == 0;
	     at = mapping.va + mapping.size) {
		const struct panbind_log_op op = {
			.type = mapping.bo.name ? PANBIND_LOG_MAP : PANBIND_LOG_MAP_SPARSE,
			.flags = mapping.flags,
			.vm = *vm,
			.bo = mapping.bo,
			.va = mapping.va,
			.size = mapping.size,
			.bo_offset = mapping.bo_offset,
		};

		if (mapping.bo.name || !in_region(state, index, &mapping))
			err = begin_with_op(load, &op);
	}
	return err;
}

/* BOs that have no name any more go when their mappings stand. */
static int let_go_of_dead(const struct load *load, const struct panbind_log_state *state)
{
	const struct panbind_log_state_object *object;
	struct bench_step *step;

	for (size_t i = 0; (object = panbind_log_state_bo(state, i)); i++) {
		if (!object->destroyed_seq)
			continue;
		step = add_step(load, PANBIND_LOG_BO_DESTROY);
		if (!step)
			return -ENOMEM;
		step->object = bench_find(load->program, 'b', &object->object.ref);
	}
	return 0;
}

static int begin_with(const struct load *load, const struct panbind_log_state *state)
{
	const struct panbind_log_state_object *object;
	int err = 0;

	for (size_t i = 0; err == 0 && (object = panbind_log_state_vm(state, i)); i++)
		err = begin_with_object(load, true, object);
	for (size_t i = 0; err == 0 && (object = panbind_log_state_bo(state, i)); i++)
		err = begin_with_object(load, false, object);
	for (size_t i = 0; err == 0 && (object = panbind_log_state_vm(state, i)); i++)
		err = begin_with_vm(load, state, i, &object->object.ref);
	if (err == 0)
		err = let_go_of_dead(load, state);
	load->program->prologue = load->program->steps.count;
	return err;
}

/* ---- The whole ---- */

int bench_load(struct bench_program *program, struct panbind_log *log, const struct bench_options *options,
	       struct panbind_error *reterr)
{
	const struct load load = {program, options, reterr};
	struct panbind_log_state *state = NULL;
	struct panbind_log_status status;
	int err = panbind_log_get_status(log, &status);
	uint64_t since = err == 0 && status.first_seq != 1 ? status.state_seq : 0;

	program->names = json_object();
	if (err == 0 && since)
		err = panbind_log_state_create(log, since, (struct panbind_log_ref){0}, &state, reterr);
	if (err == 0 && since)
		err = begin_with(&load, state);
	panbind_log_state_destroy(state);
	if (err == 0)
		err = add_entries(&load, log, since + 1);
	if (err < 0 && reterr->code == 0)
		*reterr = (struct panbind_error){.code = err, .op = PANBIND_NO_OP};
	return err;
}

void bench_free(struct bench_program *program)
{
	free(program->objects.at);
	free(program->syncobjs.at);
	free(program->ops.at);
	free(program->syncs.at);
	free(program->steps.at);
	free(program->needs.at);
	json_decref(program->names);
	*program = (struct bench_program){0};
}
