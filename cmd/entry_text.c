/* SPDX-License-Identifier: MIT */
/*
 * An entry as a line for people. Ops are in the words of a script, so that one can be pasted into one. See entry.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "entry.h"

void entry_put_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

const char *entry_time(int64_t time_ns, char text[OUT_NUMBER + 16])
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	struct tm tm;
	size_t size;

	localtime_r(&seconds, &tm);
	size = strftime(text, OUT_NUMBER, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text + size, OUT_NUMBER + 16 - size, ".%06d", (int)(time_ns % 1000000000 / 1000));
	return text;
}

/* ---- What ---- */

static void print_map_flags(uint32_t flags)
{
	if (flags & PANBIND_MAP_READONLY)
		fputs(" --readonly", stdout);
	if (flags & PANBIND_MAP_NOEXEC)
		fputs(" --noexec", stdout);
	if (flags & PANBIND_MAP_UNCACHED)
		fputs(" --uncached", stdout);
}

static const char *op_words(enum panbind_log_op_type type)
{
	switch (type) {
	case PANBIND_LOG_MAP_SPARSE:
		return "sparse map";
	case PANBIND_LOG_SPARSE_RESERVE:
		return "sparse reserve";
	case PANBIND_LOG_SPARSE_BIND:
		return "sparse bind";
	case PANBIND_LOG_SPARSE_UNBIND:
		return "sparse unbind";
	case PANBIND_LOG_SPARSE_RELEASE:
		return "sparse release";
	default:
		return panbind_log_op_name(type);
	}
}

void entry_print_op(const struct panbind_log_op *op)
{
	printf("%s %s", op_words(op->type), op->vm.name ? op->vm.name : "?");
	if (op->type != PANBIND_LOG_SYNC_ONLY)
		printf(" 0x%" PRIx64 " 0x%" PRIx64, op->va, op->size);
	if (op->bo.name)
		printf(" %s", op->bo.name);
	if (op->bo.name && op->bo_offset)
		printf("+0x%" PRIx64, op->bo_offset);
	print_map_flags(op->flags);
	if (op->syncs) {
		putchar(' ');
		entry_put_text(op->syncs);
	}
}

static void print_object(const struct panbind_log_entry *entry)
{
	const struct panbind_log_object *object = &entry->object;
	const char *name = object->ref.name ? object->ref.name : "?";
	bool adopted = object->flags & PANBIND_LOG_ADOPTED;

	switch (entry->kind) {
	case PANBIND_LOG_START:
		fputs("start of a new, empty device", stdout);
		break;
	case PANBIND_LOG_VM_CREATE:
		printf("vm %s %s --va=0x%" PRIx64, adopted ? "adopt" : "create", name, object->size);
		break;
	case PANBIND_LOG_VM_DESTROY:
		printf("vm %s %s", adopted ? "drop" : "destroy", name);
		break;
	case PANBIND_LOG_BO_CREATE:
		printf("bo create %s 0x%" PRIx64, name, object->size);
		if (object->exclusive_vm.name)
			printf(" --vm=%s", object->exclusive_vm.name);
		fputs(object->flags & PANBIND_BO_NO_MMAP ? " --no-mmap" : "", stdout);
		fputs(object->flags & PANBIND_BO_WB_MMAP ? " --wb-mmap" : "", stdout);
		break;
	case PANBIND_LOG_BO_DESTROY:
		printf("bo destroy %s", name);
		break;
	case PANBIND_LOG_VM_LOST:
		printf("vm %s is lost: what it maps is no longer known", name);
		break;
	case PANBIND_LOG_SCRIPT_BEGIN:
		fputs("a script begins", stdout);
		break;
	case PANBIND_LOG_SCRIPT_END:
		fputs("a script ends", stdout);
		break;
	case PANBIND_LOG_SYNC:
	case PANBIND_LOG_NOTE:
		fputs(panbind_log_kind_name(entry->kind), stdout);
		break;
	default:
		printf("%s %s", panbind_log_kind_name(entry->kind), name);
	}
}

static void print_what(const struct panbind_log_entry *entry)
{
	if (entry->kind != PANBIND_LOG_BIND)
		print_object(entry);
	else if (entry->op_count == 1)
		entry_print_op(&entry->ops[0]);
	else
		printf("%zu ops", entry->op_count);
	fputs(entry->flags & PANBIND_LOG_ASYNC ? " (async)" : "", stdout);
}

/* ---- Who, and what became of it ---- */

static void print_who(const struct panbind_log_entry *entry)
{
	if (entry->uid != PANBIND_LOG_NO_ID)
		printf("uid=%" PRIu32 " ", entry->uid);
	if (entry->pid)
		printf("pid=%" PRId32 " ", entry->pid);
	if (entry->tid && entry->tid != entry->pid)
		printf("tid=%" PRId32 " ", entry->tid);
}

static void print_notes(const struct panbind_log_entry *entry)
{
	if (entry->txn_id) {
		fputs(" [id ", stdout);
		entry_put_text(entry->txn_id);
		putchar(']');
	}
	if (entry->comment) {
		fputs(" # ", stdout);
		entry_put_text(entry->comment);
	}
}

static void print_failure(const struct cmd *cmd, const struct panbind_log_entry *entry)
{
	bool color = cmd->out.color_stdout;

	printf("    %s%s%s", output_paint(color, OUT_RED), panbind_errno_name(entry->result),
	       output_paint(color, OUT_PLAIN));
	if (entry->failing_op != PANBIND_NO_OP)
		printf(" at op %" PRIu32, entry->failing_op);
	printf(" (%s, %s)", panbind_stage_name(entry->stage), panbind_outcome_name(entry->outcome));
	if (entry->message) {
		fputs(": ", stdout);
		entry_put_text(entry->message);
	}
	putchar('\n');
}

static void print_more(const struct panbind_log_entry *entry)
{
	printf("    %" PRIu64 ".%03u us, %s", entry->latency_ns / 1000, (unsigned)(entry->latency_ns % 1000),
	       panbind_log_durability_name(entry->durability));
	if (entry->argv) {
		fputs(", by: ", stdout);
		entry_put_text(entry->argv);
	}
	putchar('\n');
}

void entry_print(const struct cmd *cmd, const struct panbind_log_entry *entry)
{
	bool color = cmd->out.color_stdout;
	char time_text[OUT_NUMBER + 16];

	printf("%s%" PRIu64 "%s %s ", output_paint(color, OUT_BOLD), entry->seq, output_paint(color, OUT_PLAIN),
	       entry_time(entry->time_ns, time_text));
	print_who(entry);
	print_what(entry);
	print_notes(entry);
	putchar('\n');
	for (size_t i = 0; entry->op_count > 1 && i < entry->op_count; i++) {
		fputs("    ", stdout);
		entry_print_op(&entry->ops[i]);
		putchar('\n');
	}
	if (entry->result)
		print_failure(cmd, entry);
	if (cmd->verbose > 0)
		print_more(entry);
}
