/* SPDX-License-Identifier: MIT */
/*
 * Entries as JSON. What is absent in the entry is absent here.
 */
#include <stdio.h>
#include <time.h>

#include "entry_json.h"

static void write_time(struct jw *jw, int64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	char day[32], text[48];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09dZ", day, (int)(time_ns % 1000000000));
	jw_string(jw, "time", text);
}

static void write_ref(struct jw *jw, const char *key, const struct panbind_log_ref *ref)
{
	if (!ref->name)
		return;
	jw_object(jw, key);
	jw_string(jw, "name", ref->name);
	jw_int(jw, "generation", (int64_t)ref->generation);
	jw_object_end(jw);
}

static void write_map_flags(struct jw *jw, uint32_t flags)
{
	jw_array(jw, "flags");
	if (flags & PANBIND_MAP_READONLY)
		jw_string(jw, NULL, "readonly");
	if (flags & PANBIND_MAP_NOEXEC)
		jw_string(jw, NULL, "noexec");
	if (flags & PANBIND_MAP_UNCACHED)
		jw_string(jw, NULL, "uncached");
	jw_array_end(jw);
}

static void write_op(struct jw *jw, const struct panbind_log_op *op)
{
	jw_object(jw, NULL);
	jw_string(jw, "op", panbind_log_op_name(op->type));
	write_ref(jw, "vm", &op->vm);
	jw_hex(jw, "va", op->va);
	jw_hex(jw, "size", op->size);
	if (op->bo.name) {
		write_ref(jw, "bo", &op->bo);
		jw_hex(jw, "bo_offset", op->bo_offset);
		write_map_flags(jw, op->flags);
	}
	if (op->syncs)
		jw_string(jw, "syncs", op->syncs);
	jw_object_end(jw);
}

static void write_object(struct jw *jw, const struct panbind_log_entry *entry)
{
	const struct panbind_log_object *object = &entry->object;

	if (!object->ref.name)
		return;
	write_ref(jw, "object", &object->ref);
	if (entry->kind != PANBIND_LOG_VM_CREATE && entry->kind != PANBIND_LOG_BO_CREATE)
		return;
	jw_hex(jw, "size", object->size);
	if (object->flags)
		jw_hex(jw, "bo_flags", object->flags);
	write_ref(jw, "exclusive_vm", &object->exclusive_vm);
}

static void write_who(struct jw *jw, const struct panbind_log_entry *entry)
{
	if (entry->uid != PANBIND_LOG_NO_ID)
		jw_int(jw, "uid", entry->uid);
	if (entry->gid != PANBIND_LOG_NO_ID)
		jw_int(jw, "gid", entry->gid);
	if (entry->pid)
		jw_int(jw, "pid", entry->pid);
	if (entry->tid)
		jw_int(jw, "tid", entry->tid);
	if (entry->argv)
		jw_string(jw, "argv", entry->argv);
	if (entry->comment)
		jw_string(jw, "comment", entry->comment);
	if (entry->txn_id)
		jw_string(jw, "txn_id", entry->txn_id);
	if (entry->flags & PANBIND_LOG_PART)
		jw_bool(jw, "part", true);
	if (entry->flags & PANBIND_LOG_MORE)
		jw_bool(jw, "more", true);
}

void entry_write_error(struct jw *jw, const char *key, const struct panbind_log_entry *entry)
{
	jw_object(jw, key);
	jw_string(jw, "name", panbind_errno_name(entry->result));
	jw_int(jw, "errno", -entry->result);
	jw_string(jw, "stage", panbind_stage_name(entry->stage));
	if (entry->failing_op != PANBIND_NO_OP)
		jw_int(jw, "op", entry->failing_op);
	if (entry->line)
		jw_int(jw, "line", entry->line);
	if (entry->message)
		jw_string(jw, "message", entry->message);
	jw_object_end(jw);
}

static void write_outcome(struct jw *jw, const struct panbind_log_entry *entry)
{
	jw_string(jw, "outcome", panbind_outcome_name(entry->outcome));
	jw_int(jw, "latency_ns", (int64_t)entry->latency_ns);
	jw_string(jw, "durability", panbind_log_durability_name(entry->durability));
	if (entry->result)
		entry_write_error(jw, "error", entry);
}

void entry_write(struct jw *jw, const char *key, const struct panbind_log_entry *entry)
{
	jw_object(jw, key);
	jw_int(jw, "seq", (int64_t)entry->seq);
	write_time(jw, entry->time_ns);
	jw_string(jw, "kind", panbind_log_kind_name(entry->kind));
	write_who(jw, entry);
	write_outcome(jw, entry);
	write_object(jw, entry);
	if (entry->kind == PANBIND_LOG_BIND) {
		jw_bool(jw, "async", entry->flags & PANBIND_LOG_ASYNC);
		jw_array(jw, "ops");
		for (size_t i = 0; i < entry->op_count; i++)
			write_op(jw, &entry->ops[i]);
		jw_array_end(jw);
	}
	jw_object_end(jw);
}
