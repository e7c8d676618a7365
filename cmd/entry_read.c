/* SPDX-License-Identifier: MIT */
/* Entries from JSON, of an export or of the daemon's monitor. See entry.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "entry.h"
#include "number.h"

static int __attribute__((format(printf, 2, 3))) fail(struct entry_reader *reader, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reader->error, sizeof(reader->error), format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- Names ---- */

static int outcome_from_name(const char *name)
{
	for (int i = 0; name && i <= PANBIND_OUTCOME_UNKNOWN; i++)
		if (strcmp(panbind_outcome_name((enum panbind_outcome)i), name) == 0)
			return i;
	return -EINVAL;
}

static int stage_from_name(const char *name)
{
	for (int i = 0; name && i <= PANBIND_STAGE_JOURNAL; i++)
		if (strcmp(panbind_stage_name((enum panbind_stage)i), name) == 0)
			return i;
	return -EINVAL;
}

static int durability_from_name(const char *name)
{
	for (int i = 0; name && i <= PANBIND_LOG_DURABLE_SYNC; i++)
		if (strcmp(panbind_log_durability_name((enum panbind_log_durability)i), name) == 0)
			return i;
	return -EINVAL;
}

uint32_t entry_map_flags(const json_t *flags)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} names[] = {{"readonly", PANBIND_MAP_READONLY},
		     {"noexec", PANBIND_MAP_NOEXEC},
		     {"uncached", PANBIND_MAP_UNCACHED}};
	uint32_t found = 0;
	json_t *flag;
	size_t i;

	json_array_foreach (flags, i, flag)
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			if (json_is_string(flag) && strcmp(json_string_value(flag), names[j].name) == 0)
				found |= names[j].flag;
	return found;
}

int entry_read_ref(const json_t *object, const char *key, struct panbind_log_ref *ret_ref)
{
	const json_t *ref = json_object_get(object, key), *generation = json_object_get(ref, "generation");
	const char *name = client_text(ref, "name");

	*ret_ref = (struct panbind_log_ref){0};
	if (!ref)
		return 0;
	if (!name || !json_is_integer(generation) || json_integer_value(generation) < 0)
		return -EINVAL;
	*ret_ref = (struct panbind_log_ref){name, (uint64_t)json_integer_value(generation)};
	return 0;
}

/* ---- Ops ---- */

static int read_op(struct entry_reader *reader, size_t index, const json_t *json)
{
	const char *name = client_text(json, "op");
	struct panbind_log_op *op = &reader->ops[index];
	int type = name ? panbind_log_op_from_name(name) : -EINVAL;

	if (type < 0)
		return fail(reader, "op %zu: \"op\" is not one that there is", index);
	*op = (struct panbind_log_op){
		.type = (enum panbind_log_op_type)type,
		.flags = entry_map_flags(json_object_get(json, "flags")),
		.va = client_number(json, "va"),
		.size = client_number(json, "size"),
		.bo_offset = client_number(json, "bo_offset"),
		.syncs = client_text(json, "syncs"),
	};
	if (entry_read_ref(json, "vm", &op->vm) < 0)
		return fail(reader, "op %zu: \"vm\" is not a name and a generation", index);
	if (entry_read_ref(json, "bo", &op->bo) < 0)
		return fail(reader, "op %zu: \"bo\" is not a name and a generation", index);
	return 0;
}

static int read_ops(struct entry_reader *reader, const json_t *ops)
{
	size_t count = json_array_size(ops), i;
	json_t *op;
	int r = 0;

	if (!json_is_array(ops))
		return fail(reader, "\"ops\" is not an array");
	if (count > reader->op_room) {
		struct panbind_log_op *grown = reallocarray(reader->ops, count, sizeof(*grown));

		if (!grown)
			return fail(reader, "out of memory"), -ENOMEM;
		reader->ops = grown;
		reader->op_room = count;
	}
	json_array_foreach (ops, i, op) {
		r = read_op(reader, i, op);
		if (r < 0)
			return r;
	}
	reader->entry.ops = reader->ops;
	reader->entry.op_count = count;
	return 0;
}

/* ---- The rest ---- */

static int read_head(struct entry_reader *reader, const json_t *json)
{
	const char *kind = client_text(json, "kind"), *time_text = client_text(json, "time");
	struct panbind_log_entry *entry = &reader->entry;

	entry->seq = client_number(json, "seq");
	entry->kind = kind ? panbind_log_kind_from_name(kind) : 0;
	if (!entry->seq)
		return fail(reader, "no \"seq\"");
	if (!entry->kind)
		return fail(reader, "\"kind\" is not one that there is");
	if (!time_text || number_parse_time(time_text, &entry->time_ns) < 0)
		return fail(reader, "\"time\" is not a moment");
	return 0;
}

static uint32_t id_of(const json_t *json, const char *key)
{
	const json_t *id = json_object_get(json, key);

	return json_is_integer(id) ? (uint32_t)json_integer_value(id) : PANBIND_LOG_NO_ID;
}

static void read_who(struct panbind_log_entry *entry, const json_t *json)
{
	entry->uid = id_of(json, "uid");
	entry->gid = id_of(json, "gid");
	entry->pid = (int32_t)client_number(json, "pid");
	entry->tid = (int32_t)client_number(json, "tid");
	entry->argv = client_text(json, "argv");
	entry->comment = client_text(json, "comment");
	entry->txn_id = client_text(json, "txn_id");
	entry->digest = client_text(json, "digest");
	if (json_is_true(json_object_get(json, "part")))
		entry->flags |= PANBIND_LOG_PART;
	if (json_is_true(json_object_get(json, "more")))
		entry->flags |= PANBIND_LOG_MORE;
}

static int read_outcome(struct entry_reader *reader, const json_t *json)
{
	const json_t *error = json_object_get(json, "error"), *op = json_object_get(error, "op");
	const json_t *applied = json_object_get(json, "applied");
	int outcome = outcome_from_name(client_text(json, "outcome"));
	int durability = durability_from_name(client_text(json, "durability"));
	int stage = error ? stage_from_name(client_text(error, "stage")) : PANBIND_STAGE_NONE;
	struct panbind_log_entry *entry = &reader->entry;

	if (outcome < 0)
		return fail(reader, "\"outcome\" is not one that there is");
	if (durability < 0)
		return fail(reader, "\"durability\" is not one that there is");
	if (stage < 0)
		return fail(reader, "\"error\" has no stage that there is");
	entry->outcome = (enum panbind_outcome)outcome;
	entry->durability = (enum panbind_log_durability)durability;
	entry->stage = (enum panbind_stage)stage;
	entry->result = -(int)client_number(error, "errno");
	entry->message = client_text(error, "message");
	entry->line = (uint32_t)client_number(error, "line");
	entry->failing_op = json_is_integer(op) ? (uint32_t)json_integer_value(op) : PANBIND_NO_OP;
	entry->applied = json_is_integer(applied) ? (uint32_t)json_integer_value(applied) : PANBIND_LOG_UNCLEAR;
	entry->latency_ns = client_number(json, "latency_ns");
	return 0;
}

static int read_object(struct entry_reader *reader, const json_t *json)
{
	struct panbind_log_object *object = &reader->entry.object;

	if (entry_read_ref(json, "object", &object->ref) < 0)
		return fail(reader, "\"object\" is not a name and a generation");
	if (entry_read_ref(json, "exclusive_vm", &object->exclusive_vm) < 0)
		return fail(reader, "\"exclusive_vm\" is not a name and a generation");
	object->size = client_number(json, "size");
	object->flags = (uint32_t)client_number(json, "bo_flags");
	return 0;
}

int entry_read(struct entry_reader *reader, const json_t *json)
{
	int r;

	reader->entry = (struct panbind_log_entry){0};
	r = read_head(reader, json);
	if (r == 0)
		r = read_outcome(reader, json);
	if (r == 0)
		r = read_object(reader, json);
	if (r == 0 && reader->entry.kind == PANBIND_LOG_BIND)
		r = read_ops(reader, json_object_get(json, "ops"));
	if (r < 0)
		return r;
	read_who(&reader->entry, json);
	if (json_is_true(json_object_get(json, "async")))
		reader->entry.flags |= PANBIND_LOG_ASYNC;
	return 0;
}

void entry_reader_free(struct entry_reader *reader)
{
	free(reader->ops);
	reader->ops = NULL;
}
