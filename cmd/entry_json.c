/* SPDX-License-Identifier: MIT */
/* Entries as JSON objects: the members of panbindd's monitor.event, and "applied". Absent there is absent here. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "entry.h"

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Nanoseconds since 1970 do not fit into what every JSON reader keeps exactly. */
static json_t *time_json(int64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	char day[32], text[48];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09dZ", day, (int)(time_ns % 1000000000));
	return json_string(text);
}

json_t *entry_json_ref(const struct panbind_log_ref *ref)
{
	return json_pack("{s:o, s:o}", "name", output_json_text(ref->name), "generation", integer(ref->generation));
}

static void add_ref(json_t *json, const char *key, const struct panbind_log_ref *ref)
{
	if (ref->name)
		json_object_set_new(json, key, entry_json_ref(ref));
}

static void add_text(json_t *json, const char *key, const char *text)
{
	if (text)
		json_object_set_new(json, key, output_json_text(text));
}

static json_t *op_json(const struct panbind_log_op *op)
{
	json_t *json = json_object();

	add_text(json, "op", panbind_log_op_name(op->type));
	add_ref(json, "vm", &op->vm);
	json_object_set_new(json, "va", output_json_hex(op->va));
	json_object_set_new(json, "size", output_json_hex(op->size));
	add_ref(json, "bo", &op->bo);
	if (op->bo.name || op->bo_offset)
		json_object_set_new(json, "bo_offset", output_json_hex(op->bo_offset));
	if (op->bo.name || op->flags)
		json_object_set_new(json, "flags", output_json_flags(op->flags));
	add_text(json, "syncs", op->syncs);
	return json;
}

static void add_who(json_t *json, const struct panbind_log_entry *entry)
{
	if (entry->uid != PANBIND_LOG_NO_ID)
		json_object_set_new(json, "uid", json_integer(entry->uid));
	if (entry->gid != PANBIND_LOG_NO_ID)
		json_object_set_new(json, "gid", json_integer(entry->gid));
	if (entry->pid)
		json_object_set_new(json, "pid", json_integer(entry->pid));
	if (entry->tid)
		json_object_set_new(json, "tid", json_integer(entry->tid));
	add_text(json, "argv", entry->argv);
	add_text(json, "comment", entry->comment);
	add_text(json, "txn_id", entry->txn_id);
	add_text(json, "digest", entry->digest);
	if (entry->flags & PANBIND_LOG_PART)
		json_object_set_new(json, "part", json_true());
	if (entry->flags & PANBIND_LOG_MORE)
		json_object_set_new(json, "more", json_true());
}

static void add_outcome(json_t *json, const struct panbind_log_entry *entry)
{
	json_t *error;

	add_text(json, "outcome", panbind_outcome_name(entry->outcome));
	json_object_set_new(json, "applied",
			    entry->applied == PANBIND_LOG_UNCLEAR ? json_null() : json_integer(entry->applied));
	json_object_set_new(json, "latency_ns", integer(entry->latency_ns));
	add_text(json, "durability", panbind_log_durability_name(entry->durability));
	if (!entry->result)
		return;
	error = json_object();
	add_text(error, "name", panbind_errno_name(entry->result));
	json_object_set_new(error, "errno", json_integer(-entry->result));
	add_text(error, "stage", panbind_stage_name(entry->stage));
	if (entry->failing_op != PANBIND_NO_OP)
		json_object_set_new(error, "op", json_integer(entry->failing_op));
	if (entry->line)
		json_object_set_new(error, "line", json_integer(entry->line));
	add_text(error, "message", entry->message);
	json_object_set_new(json, "error", error);
}

static void add_object(json_t *json, const struct panbind_log_entry *entry)
{
	const struct panbind_log_object *object = &entry->object;

	add_ref(json, "object", &object->ref);
	if (entry->kind != PANBIND_LOG_VM_CREATE && entry->kind != PANBIND_LOG_BO_CREATE)
		return;
	json_object_set_new(json, "size", output_json_hex(object->size));
	if (object->flags)
		json_object_set_new(json, "bo_flags", output_json_hex(object->flags));
	add_ref(json, "exclusive_vm", &object->exclusive_vm);
}

json_t *entry_json(const struct panbind_log_entry *entry)
{
	json_t *json = json_object(), *ops;

	json_object_set_new(json, "seq", integer(entry->seq));
	json_object_set_new(json, "time", time_json(entry->time_ns));
	add_text(json, "kind", panbind_log_kind_name(entry->kind));
	add_who(json, entry);
	add_outcome(json, entry);
	add_object(json, entry);
	if (entry->kind != PANBIND_LOG_BIND)
		return json;
	json_object_set_new(json, "async", json_boolean(entry->flags & PANBIND_LOG_ASYNC));
	ops = json_array();
	for (size_t i = 0; i < entry->op_count; i++)
		json_array_append_new(ops, op_json(&entry->ops[i]));
	json_object_set_new(json, "ops", ops);
	return json;
}

void entry_json_line(json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
}
