/* SPDX-License-Identifier: MIT */
/*
 * Undoing an entry of the log, against the VMs as they are now.
 *
 * What the entry's ops touched is to hold again what it held before the entry, and everything else stays: the state
 * that is wanted is the live one with the ranges of the entry taken from the log's state before it. It is refused when
 * a later entry has touched one of those ranges, since that one would be undone with it, unless it is forced; and when
 * something that was there is gone for good.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_state.h"
#include "ranges.h"
#include "util.h"

#define CONFLICTS_TOLD	100
#define CONFLICTS_NAMED 8    /* in a refusal's sentence */
#define LEFT_TOLD	1000 /* ranges that cannot be put back, before it is given up */

/** One VM of the entry. */
struct touched {
	char *vm;
	uint64_t generation; /* then */
	struct ranges ranges;
};

struct undo {
	struct engine *engine;
	struct request *request;
	struct touched *vms;
	size_t vm_count;
	uint64_t *conflicts;
	size_t conflict_count; /* all; CONFLICTS_TOLD of them are kept */
	struct jw left;	       /* ranges that stay as they are */
	size_t left_count;
	char *script;
	size_t script_size, ops;
};

static int refuse(struct undo *undo, int code, int err, const char *message)
{
	rpc_error_set(&undo->request->error, code, err, "%s", message);
	request_point(undo->request, "/params/seq");
	return code;
}

static int refuse_memory(struct undo *undo)
{
	return refuse(undo, RPC_INTERNAL, ENOMEM, "out of memory");
}

static void undo_free(struct undo *undo)
{
	for (size_t i = 0; i < undo->vm_count; i++) {
		free(undo->vms[i].vm);
		ranges_free(&undo->vms[i].ranges);
	}
	free(undo->vms);
	free(undo->conflicts);
	free(undo->script);
	jw_free(&undo->left);
}

/* ---- The entry ---- */

static struct touched *touch(struct undo *undo, const struct panbind_log_ref *vm)
{
	struct touched *grown;

	for (size_t i = 0; i < undo->vm_count; i++)
		if (strcmp(undo->vms[i].vm, vm->name) == 0)
			return &undo->vms[i];
	grown = reallocarray(undo->vms, undo->vm_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	undo->vms = grown;
	grown += undo->vm_count;
	*grown = (struct touched){.vm = strdup(vm->name), .generation = vm->generation};
	if (!grown->vm)
		return NULL;
	undo->vm_count++;
	return grown;
}

/** Ops of an entry that are in place. */
static size_t applied_ops(const struct panbind_log_entry *entry)
{
	return entry->applied == PANBIND_LOG_UNCLEAR || entry->applied > entry->op_count ? entry->op_count
											 : entry->applied;
}

static int take_entry(struct undo *undo, const struct panbind_log_entry *entry)
{
	if (entry->kind != PANBIND_LOG_BIND)
		return refuse(undo, RPC_FAILED, EOPNOTSUPP, "it is no bind: nothing else is undone");
	for (size_t i = 0; i < applied_ops(entry); i++) {
		const struct panbind_log_op *op = &entry->ops[i];
		struct touched *touched;

		if (op->type == PANBIND_LOG_SYNC_ONLY)
			continue;
		touched = touch(undo, &op->vm);
		if (!touched || ranges_add(&touched->ranges, op->va, op->va + op->size) < 0)
			return refuse_memory(undo);
	}
	if (undo->vm_count == 0)
		return refuse(undo, RPC_FAILED, EALREADY,
			      "the entry left nothing in place, so there is nothing to undo");
	for (size_t i = 0; i < undo->vm_count; i++)
		ranges_tidy(&undo->vms[i].ranges);
	return 0;
}

static int read_entry(struct undo *undo)
{
	uint64_t seq = undo->request->call.seq;
	struct panbind_log_filter filter = {.since_seq = seq, .until_seq = seq};
	const struct panbind_log_entry *entry;
	struct panbind_log_reader *reader;
	char message[120];
	int r = panbind_log_reader_open(undo->engine->log, &filter, &reader, NULL);

	if (r < 0)
		return refuse(undo, RPC_JOURNAL, -r, "the log cannot be read");
	r = panbind_log_read(reader, &entry);
	if (r == 1) {
		r = take_entry(undo, entry);
	} else {
		snprintf(message, sizeof(message), "there is no entry %" PRIu64 " in the log%s", seq,
			 panbind_log_reader_lost(reader) ? " any more: it is compacted" : "");
		r = refuse(undo, RPC_NOT_FOUND, ENOENT, message);
	}
	panbind_log_reader_close(reader);
	return r;
}

/* ---- What happened since ---- */

static bool touches(const struct undo *undo, const struct panbind_log_entry *entry)
{
	for (size_t i = 0; i < applied_ops(entry); i++)
		for (size_t j = 0; j < undo->vm_count; j++)
			if (strcmp(entry->ops[i].vm.name, undo->vms[j].vm) == 0 &&
			    entry->ops[i].vm.generation == undo->vms[j].generation &&
			    ranges_meet(&undo->vms[j].ranges, entry->ops[i].va, entry->ops[i].va + entry->ops[i].size))
				return true;
	return false;
}

static int find_conflicts(struct undo *undo)
{
	struct panbind_log_filter filter = {.since_seq = undo->request->call.seq + 1, .kinds = 1u << PANBIND_LOG_BIND};
	const struct panbind_log_entry *entry;
	struct panbind_log_reader *reader;
	int r;

	if (undo->vm_count == 1)
		filter.vm = (struct panbind_log_ref){undo->vms[0].vm, undo->vms[0].generation};
	undo->conflicts = calloc(CONFLICTS_TOLD, sizeof(*undo->conflicts));
	if (!undo->conflicts)
		return refuse_memory(undo);
	r = panbind_log_reader_open(undo->engine->log, &filter, &reader, NULL);
	if (r < 0)
		return refuse(undo, RPC_JOURNAL, -r, "the log cannot be read");
	while ((r = panbind_log_read(reader, &entry)) == 1) {
		if (!touches(undo, entry))
			continue;
		if (undo->conflict_count < CONFLICTS_TOLD)
			undo->conflicts[undo->conflict_count] = entry->seq;
		undo->conflict_count++;
	}
	panbind_log_reader_close(reader);
	return r < 0 ? refuse(undo, RPC_JOURNAL, -r, "the log cannot be read") : 0;
}

static int refuse_conflicts(struct undo *undo)
{
	char message[300];
	size_t used, named = undo->conflict_count < CONFLICTS_NAMED ? undo->conflict_count : CONFLICTS_NAMED;

	used = (size_t)snprintf(message, sizeof(message), "later entries have touched its range:");
	for (size_t i = 0; i < named; i++)
		used += (size_t)snprintf(message + used, sizeof(message) - used, "%s %" PRIu64, i ? "," : "",
					 undo->conflicts[i]);
	if (named < undo->conflict_count)
		snprintf(message + used, sizeof(message) - used, " and %zu more", undo->conflict_count - named);
	return refuse(undo, RPC_STALE, ESTALE, message);
}

/** The VM is the one that the entry was about, or the heir of its name when that is forced. */
static int check_vm(struct undo *undo, const struct touched *touched)
{
	uint64_t now = registry_get(&undo->engine->registry, OBJECT_VM, touched->vm);
	char message[300];

	if (!panbind_session_vm(undo->engine->session, touched->vm)) {
		snprintf(message, sizeof(message), "the VM %s is gone", touched->vm);
		return refuse(undo, RPC_NOT_FOUND, ENOENT, message);
	}
	if (now == touched->generation || undo->request->call.force)
		return 0;
	snprintf(message, sizeof(message),
		 "the VM %s is another one by now: it was of generation %" PRIu64 ", and is of %" PRIu64, touched->vm,
		 touched->generation, now);
	return refuse(undo, RPC_STALE, ESTALE, message);
}

/* ---- The script ---- */

static int graft(const struct touched *touched, const struct panbind_state *live, const struct panbind_state *before,
		 struct panbind_state **ret_wanted)
{
	size_t count = touched->ranges.count;
	autofree uint64_t *vas = calloc(2 * count + 1, sizeof(*vas));

	if (!vas)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		vas[i] = touched->ranges.items[i].va;
		vas[count + i] = touched->ranges.items[i].end - touched->ranges.items[i].va;
	}
	return panbind_state_graft(live, before, vas, vas + count, count, ret_wanted);
}

/** What cannot come back stays as it is now, if that is forced; else it is the refusal. */
static int leave(struct undo *undo, struct touched *touched, int r, const struct panbind_error *error)
{
	if (!undo->request->call.force || error->size == 0 || (r != -ENOENT && r != -ESTALE && r != -EINVAL) ||
	    undo->left_count >= LEFT_TOLD) {
		engine_refuse_state(undo->request, r, error);
		request_point(undo->request, "/params/seq");
		return undo->request->error.code;
	}
	if (ranges_cut(&touched->ranges, error->va, error->va + error->size) < 0)
		return refuse_memory(undo);
	undo->left_count++;
	jw_object(&undo->left, NULL);
	jw_string(&undo->left, "vm", touched->vm);
	jw_hex(&undo->left, "va", error->va);
	jw_hex(&undo->left, "size", error->size);
	jw_string(&undo->left, "reason", error->msg);
	jw_object_end(&undo->left);
	return 0;
}

static int add_text(struct undo *undo, const char *text)
{
	size_t size = strlen(text);
	char *grown = realloc(undo->script, undo->script_size + size + 1);

	if (!grown)
		return refuse_memory(undo);
	memcpy(grown + undo->script_size, text, size + 1);
	undo->script = grown;
	undo->script_size += size;
	return 0;
}

static int write_vm(struct undo *undo, struct touched *touched, const struct panbind_state *live,
		    const struct panbind_state *before)
{
	struct panbind_error error;
	int r = 0;

	while (r == 0) {
		struct panbind_state *wanted = NULL;
		autofree char *text = NULL;
		size_t ops = 0;
		int err = graft(touched, live, before, &wanted);

		error = (struct panbind_error){.op = PANBIND_NO_OP};
		if (err == 0)
			err = panbind_session_state_script(undo->engine->session, touched->vm, wanted, 0, &text, &ops,
							   &error);
		panbind_state_destroy(wanted);
		if (err == 0) {
			undo->ops += ops;
			return add_text(undo, text);
		}
		r = leave(undo, touched, err, &error);
	}
	return r;
}

static int plan_vm(struct undo *undo, struct touched *touched)
{
	struct panbind_log_ref ref = {touched->vm, touched->generation};
	struct panbind_state *live = NULL, *before = NULL;
	int r = check_vm(undo, touched);

	if (r == 0)
		r = engine_logged_state(undo->engine, undo->request, ref, undo->request->call.seq - 1, "/params/seq",
					&before);
	if (r == 0)
		r = engine_live_state(undo->engine, undo->request, touched->vm, "/params/seq", &live);
	if (r == 0)
		r = write_vm(undo, touched, live, before);
	panbind_state_destroy(live);
	panbind_state_destroy(before);
	return r;
}

static int plan(struct undo *undo)
{
	const struct call *call = &undo->request->call;
	int r = read_entry(undo);

	if (r == 0)
		r = find_conflicts(undo);
	if (r == 0 && undo->conflict_count > 0 && !call->force && !call->check)
		r = refuse_conflicts(undo);
	if (r == 0)
		r = add_text(undo, "");
	for (size_t i = 0; r == 0 && i < undo->vm_count; i++)
		r = plan_vm(undo, &undo->vms[i]);
	for (size_t i = 0; r == 0 && i < undo->vm_count; i++)
		r = engine_check_generation(undo->engine, undo->request, undo->vms[i].vm);
	return r;
}

static void write_plan(struct jw *out, void *data)
{
	struct undo *undo = data;

	jw_int(out, "undone", (int64_t)undo->request->call.seq);
	jw_int(out, "planned", (int64_t)undo->ops);
	jw_string(out, "script", undo->script);
	jw_array(out, "conflicts");
	for (size_t i = 0; i < undo->conflict_count && i < CONFLICTS_TOLD; i++)
		jw_int(out, NULL, (int64_t)undo->conflicts[i]);
	jw_array_end(out);
	jw_array_end(&undo->left);
	jw_raw(out, "left", undo->left.buf, undo->left.len);
}

int engine_state_undo(struct engine *engine, struct request *request)
{
	struct undo undo = {.engine = engine, .request = request};
	autofree char *comment = NULL;
	const char *said = request->call.comment;
	int r;

	if (!engine->log)
		return refuse(&undo, RPC_FAILED, EOPNOTSUPP, "this daemon keeps no log");
	units_drain(engine);
	jw_array(&undo.left, NULL);
	r = plan(&undo);
	if (r == 0 && asprintf(&comment, "undo of entry %" PRIu64 "%s%s", request->call.seq, said ? ": " : "",
			       said ? said : "") < 0) {
		comment = NULL;
		r = refuse_memory(&undo);
	}
	if (r == 0) {
		request->call.comment = comment;
		r = engine_run_text(engine, request, undo.script, write_plan, &undo);
		request->call.comment = said;
	}
	undo_free(&undo);
	return r;
}
