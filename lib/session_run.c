/* SPDX-License-Identifier: MIT */
/*
 * The loop over a script's commands.
 *
 * Everything runs in a transaction: the whole script, or a block from begin to commit, or a single command outside of
 * one. A block is checked whole before its first op is submitted; a failure in it puts back all that it did. That
 * leaves one way for each thing, and nothing that is applied without being undoable.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

struct verb {
	pb_verb_fn *fn;
	bool flush; /* needs the real state: what was gathered is bound first */
};

static const struct verb verbs[PB_VERB_COUNT] = {
	[PB_VERB_MAP] = {pb_do_map, false},
	[PB_VERB_UNMAP] = {pb_do_unmap, false},
	[PB_VERB_SPARSE_RESERVE] = {pb_do_sparse_reserve, true},
	[PB_VERB_SPARSE_BIND] = {pb_do_sparse_bind, false},
	[PB_VERB_SPARSE_UNBIND] = {pb_do_sparse_unbind, false},
	[PB_VERB_SPARSE_RELEASE] = {pb_do_sparse_release, false},
	[PB_VERB_SPARSE_MAP] = {pb_do_sparse_map, false},
	[PB_VERB_ENSURE] = {pb_do_ensure, true},
	[PB_VERB_VM_CREATE] = {pb_do_vm_create, false},
	[PB_VERB_VM_ENSURE] = {pb_do_vm_ensure, false},
	[PB_VERB_VM_DESTROY] = {pb_do_destroy, true},
	[PB_VERB_VM_LIST] = {pb_do_vm_list, true},
	[PB_VERB_VM_SHOW] = {pb_do_vm_show, true},
	[PB_VERB_VM_VERIFY] = {pb_do_vm_verify, true},
	[PB_VERB_BO_CREATE] = {pb_do_bo_create, false},
	[PB_VERB_BO_ENSURE] = {pb_do_bo_ensure, false},
	[PB_VERB_BO_DESTROY] = {pb_do_destroy, true},
	[PB_VERB_BO_LIST] = {pb_do_bo_list, true},
	[PB_VERB_BO_LABEL] = {pb_do_bo_label, false},
	[PB_VERB_BO_FILL] = {pb_do_bo_fill, true},
	[PB_VERB_BO_STAMP] = {pb_do_bo_stamp, true},
	[PB_VERB_SYNCOBJ_CREATE] = {pb_do_syncobj_create, false},
	[PB_VERB_SYNCOBJ_DESTROY] = {pb_do_destroy, true},
	[PB_VERB_SYNCOBJ_RESET] = {pb_do_syncobj_reset, true},
	[PB_VERB_SYNCOBJ_SIGNAL] = {pb_do_syncobj_signal, true},
	[PB_VERB_SYNCOBJ_WAIT] = {pb_do_syncobj_wait, true},
	[PB_VERB_ASSERT_MAPPED] = {pb_do_assert_mapped, true},
	[PB_VERB_ASSERT_SPARSE] = {pb_do_assert_sparse, true},
	[PB_VERB_ASSERT_UNMAPPED] = {pb_do_assert_unmapped, true},
	[PB_VERB_ASSERT_STATE] = {pb_do_assert_state, true},
	[PB_VERB_ASSERT_POINT] = {pb_do_assert_point, true},
	[PB_VERB_ASSERT_LOAD] = {pb_do_assert_load, true},
	[PB_VERB_ASSERT_FAULTS] = {pb_do_assert_faults, true},
	[PB_VERB_ASSERT_TORN] = {pb_do_assert_torn, true},
	[PB_VERB_IF_GENERATION] = {pb_do_if_generation, true},
	[PB_VERB_DUMP] = {pb_do_dump, true},
	[PB_VERB_ECHO] = {pb_do_echo, true},
	[PB_VERB_GPU_RESIDENT] = {pb_do_gpu_resident, true},
	[PB_VERB_GPU_LOAD] = {pb_do_gpu_load, true},
	[PB_VERB_GPU_STORE] = {pb_do_gpu_store, true},
	[PB_VERB_GPU_READ] = {pb_do_gpu_read, true},
	[PB_VERB_GPU_STOP] = {pb_do_gpu_stop, true},
};

/* ---- What the rooms of the session call ---- */

void pb_run_place(struct pb_run *run, const struct pb_command *command, struct panbind_error *error)
{
	struct panbind_error with;

	if (error->line != 0)
		return;
	run->failed = command;
	pb_error_at_place(&with, error->code, error->stage, pb_script_file(run->script, command), command->line,
			  command->column, "%s", error->msg);
	with.op = error->op;
	with.va = error->va;
	with.size = error->size;
	*error = with;
}

bool pb_run_stopped(const struct pb_run *run)
{
	return atomic_load_explicit(run->stop, memory_order_relaxed);
}

void pb_run_text(struct pb_run *run, const struct pb_command *command, const char *text)
{
	struct panbind_event event = {.type = PANBIND_EVENT_TEXT, .line = command->line, .text = text};

	event.file = pb_script_file(run->script, command);
	pb_session_emit(run->session, &event);
}

int pb_run_object(struct pb_run *run, enum pb_kind kind, uint32_t name, struct pb_object **ret_object,
		  struct panbind_error *reterr)
{
	struct pb_object *object = run->entries[name]->objects[kind];

	if (!object)
		return pb_error_set(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, "there is no %s %s", pb_kind_name(kind),
				    run->entries[name]->name);
	*ret_object = object;
	return 0;
}

/* ---- One command ---- */

static void trace(struct pb_run *run, const struct pb_command *command)
{
	struct panbind_event event = {.type = PANBIND_EVENT_COMMAND, .line = command->line};
	char text[512];

	pb_command_format(run->script, command, text, sizeof(text));
	event.file = pb_script_file(run->script, command);
	event.text = text;
	pb_session_emit(run->session, &event);
}

/* A plan wants the mapping as it will be, not what a script watches or claims on the way. */
static bool is_planned(const struct pb_command *command)
{
	switch (command->verb) {
	case PB_VERB_VM_CREATE:
	case PB_VERB_VM_ENSURE:
	case PB_VERB_VM_DESTROY:
	case PB_VERB_BO_CREATE:
	case PB_VERB_BO_ENSURE:
	case PB_VERB_BO_DESTROY:
	case PB_VERB_BO_LABEL:
	case PB_VERB_SYNCOBJ_CREATE:
	case PB_VERB_SYNCOBJ_DESTROY:
		return !command->expect;
	default:
		return (pb_verbs[command->verb].flags & PB_VERB_BINDS) && !command->expect;
	}
}

int pb_run_execute(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	int r = verbs[command->verb].flush ? pb_txn_flush(run, reterr) : 0;

	return r < 0 ? r : verbs[command->verb].fn(run, command, reterr);
}

static int judge(const struct pb_command *command, int r, struct panbind_error *error)
{
	char was[sizeof(error->msg)];
	const char *expected = panbind_errno_name(command->expect);

	if (r == -(int)command->expect)
		return 0;
	if (r >= 0)
		return pb_error_set(error, -EPROTO, PANBIND_STAGE_COMPLETE, "expected %s, but it succeeded", expected);
	memcpy(was, error->msg, sizeof(was));
	return pb_error_set(error, -EPROTO, PANBIND_STAGE_COMPLETE, "expected %s, got %s: %.90s", expected,
			    panbind_errno_name(r), was);
}

/* The command alone: what was gathered before it must not fail in its name, and its own failure leaves nothing. */
static int run_expected(struct pb_run *run, const struct pb_command *command, struct panbind_error *error)
{
	int r = pb_txn_flush(run, error);
	size_t mark = run->step_count;

	if (r < 0)
		return r;
	r = pb_run_execute(run, command, error);
	if (r >= 0)
		r = pb_txn_flush(run, error);
	if (r < 0)
		pb_txn_undo_steps(run, mark);
	return run->broken > PANBIND_OUTCOME_ROLLED_BACK ? r : judge(command, r, error);
}

static int run_one(struct pb_run *run, const struct pb_command *command, struct panbind_error *error)
{
	uint64_t began_ns = run->session->record ? pb_clock_ns() : 0;
	int r;

	if (pb_run_stopped(run)) {
		pb_error_set(error, -ECANCELED, PANBIND_STAGE_VALIDATE, "stopped before this command");
		pb_run_place(run, command, error);
		return -ECANCELED;
	}
	if (run->planning && !is_planned(command))
		return 0;
	run->result.commands++;
	if (run->flags & PANBIND_RUN_TRACE)
		trace(run, command);
	run->idle = false;
	r = command->expect ? run_expected(run, command, error) : pb_run_execute(run, command, error);
	if (r >= 0 && !command->expect && !run->idle && run->session->record &&
	    pb_changes_note(run, command, pb_clock_ns() - began_ns) < 0)
		r = pb_error_set(error, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r < 0)
		pb_run_place(run, command, error);
	return r;
}

/* ---- Blocks ---- */

static void report(struct pb_run *run, const struct panbind_error *error, enum panbind_outcome outcome)
{
	struct panbind_event event = {.type = PANBIND_EVENT_ERROR, .error = error, .outcome = outcome};

	if (run->result.failed++ == 0)
		run->error = *error;
	if (outcome > run->result.outcome)
		run->result.outcome = outcome;
	event.file = error->file;
	event.line = error->line;
	pb_session_emit(run->session, &event);
}

static void emit_txn(struct pb_run *run, enum panbind_outcome outcome, uint64_t ops)
{
	struct panbind_event event = {.type = PANBIND_EVENT_TXN, .outcome = outcome, .ops = ops};

	pb_session_emit(run->session, &event);
}

/* A range of commands that is one transaction. */
struct block {
	size_t first, last;
	const struct pb_command *begin; /* NULL: none */
	const struct pb_command *end;	/* its commit or rollback, NULL: none */
	bool named;			/* more than one command by itself: the host hears of its end */
};

/* The undo failed on top of @error: tell it with the same place, or that of the rollback command. */
static void report_failed_undo(struct pb_run *run, const struct block *block, const struct panbind_error *error,
			       struct panbind_error *second, enum panbind_outcome outcome)
{
	if (error && error->stage == PANBIND_STAGE_ROLLBACK)
		return;
	if (error) {
		memcpy(second->file, error->file, sizeof(second->file));
		second->line = error->line;
		second->column = error->column;
	} else {
		pb_run_place(run, block->end, second);
	}
	report(run, second, outcome);
}

/* A log that refused this transaction need not hear that it failed for that. */
static void record_failure(struct pb_run *run, const struct block *block, const struct panbind_error *error,
			   enum panbind_outcome outcome, uint32_t flags)
{
	if (error->stage != PANBIND_STAGE_JOURNAL)
		pb_changes_record_failure(run, block->first, block->last, error, outcome, flags);
}

/* Put everything back. @error: why, or NULL when the script wanted it. */
static int undo_block(struct pb_run *run, const struct block *block, const struct panbind_error *error)
{
	struct panbind_error second = {.op = PANBIND_NO_OP};
	enum panbind_outcome outcome;
	uint64_t ops = run->ops;
	int r;

	pb_plan_end(run);
	r = pb_txn_undo(run, &outcome, &second);
	if (error)
		report(run, error, outcome);
	if (r < 0)
		report_failed_undo(run, block, error, &second, outcome);
	if (error || r < 0)
		record_failure(run, block, error ? error : &second, outcome, 0);
	if (block->named)
		emit_txn(run, outcome, ops);
	return error ? error->code : r;
}

static int end_block(struct pb_run *run, const struct block *block)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	uint64_t ops = run->ops;

	if (block->end && block->end->verb == PB_VERB_ROLLBACK)
		return undo_block(run, block, NULL);
	if (pb_changes_record(run, 0, &error) < 0) {
		pb_run_place(run, block->end ? block->end : pb_script_command(run->script, block->first), &error);
		return undo_block(run, block, &error);
	}
	pb_plan_end(run);
	pb_txn_keep(run);
	run->result.ops += ops;
	if (block->named)
		emit_txn(run, PANBIND_OUTCOME_APPLIED, ops);
	return 0;
}

static int run_commands(struct pb_run *run, const struct block *block, struct panbind_error *error)
{
	int r = pb_check_range(run->checker, block->first, block->last, NULL, error);

	for (size_t i = block->first; r >= 0 && i < block->last; i++)
		r = run_one(run, pb_script_command(run->script, i), error);
	return r < 0 ? r : pb_txn_flush(run, error);
}

/* `expect ERRNO commit`: 0 when the block failed as it should; it is undone in any case. */
static int run_expected_block(struct pb_run *run, const struct block *block, struct panbind_error *error, int r)
{
	if (run->broken > PANBIND_OUTCOME_ROLLED_BACK)
		return undo_block(run, block, error);
	r = judge(block->end, r, error);
	if (r >= 0)
		return undo_block(run, block, NULL);
	pb_run_place(run, block->end, error);
	return undo_block(run, block, error);
}

static int run_block(struct pb_run *run, const struct block *block)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	bool expected = block->end && block->end->expect;
	int r;

	if (run->planning && expected)
		return 0;
	run->began_ns = pb_clock_ns();
	r = run_commands(run, block, &error);
	if (expected)
		return run_expected_block(run, block, &error, r);
	return r < 0 ? undo_block(run, block, &error) : end_block(run, block);
}

/* The driver has taken it: what cannot be recorded now happens all the same. */
static int record_async(struct pb_run *run, const struct pb_async *async, struct panbind_error *error)
{
	int r = pb_changes_note_async(run, async, pb_clock_ns() - run->began_ns);

	if (r < 0) {
		pb_changes_clear(run);
		return pb_error_set(error, r, PANBIND_STAGE_JOURNAL, "out of memory for the record");
	}
	return pb_changes_record(run, PANBIND_CHANGES_ASYNC, error);
}

/*
 * An asynchronous bind is taken or refused whole: there is nothing to undo here. It is recorded as done when it is
 * taken, or, where the result is waited for, when that is known. @outcome: when it fails, UNKNOWN from the moment on
 * that it was taken.
 */
static int submit_async(struct pb_run *run, const struct block *block, struct pb_async *async,
			enum panbind_outcome *outcome, struct panbind_error *error)
{
	int r = 0;

	*outcome = PANBIND_OUTCOME_ROLLED_BACK;
	if (!block->end->expect)
		r = pb_check_range(run->checker, block->first, block->last, NULL, error);
	if (r >= 0)
		r = pb_async_submit(run, async, error);
	run->result.commands += block->last - block->first;
	if (r < 0)
		return r;
	*outcome = PANBIND_OUTCOME_UNKNOWN;
	r = pb_async_await(run, async, error);
	if (r < 0 && r != -ECANCELED)
		return r;
	return record_async(run, async, error) < 0 ? error->code : r;
}

static int run_async_block(struct pb_run *run, const struct block *block)
{
	pb_cleanup(pb_async_release) struct pb_async async = {.begin = block->begin,
							      .first = block->first,
							      .last = block->last};
	struct panbind_error error = {.op = PANBIND_NO_OP};
	enum panbind_outcome outcome;
	int r, result;

	if (block->end->verb == PB_VERB_ROLLBACK || (run->planning && block->end->expect))
		return 0;
	run->began_ns = pb_clock_ns();
	r = result = submit_async(run, block, &async, &outcome, &error);
	if (block->end->expect && error.stage != PANBIND_STAGE_JOURNAL)
		r = judge(block->end, r, &error);
	if (result < 0 && result != -ECANCELED && (r < 0 || outcome == PANBIND_OUTCOME_UNKNOWN))
		record_failure(run, block, &error, outcome, PANBIND_CHANGES_ASYNC);
	if (r < 0) {
		pb_run_place(run, block->end, &error);
		report(run, &error, result < 0 ? outcome : PANBIND_OUTCOME_ROLLED_BACK);
	} else {
		run->result.ops += run->ops;
		pb_plan_end(run);
		emit_txn(run, run->ops ? PANBIND_OUTCOME_APPLIED : PANBIND_OUTCOME_ROLLED_BACK, run->ops);
	}
	run->ops = 0;
	return r;
}

/* The block that begins at command @at, or that command alone. @ret_next: where to go on. */
static int run_next(struct pb_run *run, size_t at, size_t *ret_next)
{
	const struct pb_command *command = pb_script_command(run->script, at);
	struct block block = {.first = at, .last = at + 1};

	if (command->verb == PB_VERB_BEGIN) {
		block.begin = command;
		block.first = at + 1;
		block.last = pb_block_end(run->script, at);
		block.end = pb_script_command(run->script, block.last);
		block.named = true;
	}
	*ret_next = block.last + (block.named ? 1 : 0);
	if (command->verb == PB_VERB_BEGIN && (command->options & PB_OPT_ASYNC))
		return run_async_block(run, &block);
	return run_block(run, &block);
}

int pb_run_script(struct pb_run *run, struct panbind_error *reterr)
{
	size_t count = panbind_script_command_count(run->script);
	bool keep_going = (run->flags & PANBIND_RUN_KEEP_GOING) != 0;
	struct block whole = {.first = 0, .last = count, .named = true};
	size_t at = 0;
	int r = 0;

	if (!keep_going && !pb_script_has_blocks(run->script)) {
		r = run_block(run, &whole);
		at = count;
	}
	while (at < count && (r >= 0 || (keep_going && !pb_run_stopped(run))))
		r = run_next(run, at, &at);
	if (run->result.failed == 0)
		return 0;
	if (reterr)
		*reterr = run->error;
	return run->error.code;
}

/* ---- A run ---- */

int pb_run_begin(struct pb_run *run, struct panbind_session *session, const struct panbind_script *script,
		 uint32_t flags)
{
	uint32_t count = pb_script_name_count(script);

	*run = (struct pb_run){.session = session, .script = script, .flags = flags, .stop = &session->stop};
	run->entries = calloc(count + 1, sizeof(struct pb_entry *));
	if (!run->entries)
		return -ENOMEM;
	for (uint32_t name = 1; name <= count; name++) {
		run->entries[name] = pb_entry_get(session, pb_script_name(script, name));
		if (!run->entries[name])
			return -ENOMEM;
	}
	return pb_checker_create(run, &run->checker);
}

void pb_run_end(struct pb_run *run)
{
	panbind_batch_destroy(run->batch);
	pb_checker_destroy(run->checker);
	free(run->batch_commands);
	free(run->steps);
	pb_changes_clear(run);
	free(run->changes);
	free(run->entries);
}

static int refuse(const struct panbind_script *script, uint32_t flags, struct panbind_error *reterr)
{
	const struct panbind_error *parse_error = panbind_script_error(script, 0);
	const struct pb_command *begin = pb_script_first_begin(script);
	const uint32_t known = PANBIND_RUN_CHECK | PANBIND_RUN_KEEP_GOING | PANBIND_RUN_TRACE | PANBIND_RUN_PLAN;

	if (flags & ~known)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "unknown flags");
	if (begin && (flags & PANBIND_RUN_KEEP_GOING))
		return pb_error_at_place(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, pb_script_file(script, begin),
					 begin->line, begin->column, "a transaction cannot keep going after a failure");
	if (parse_error && !(flags & PANBIND_RUN_KEEP_GOING)) {
		if (reterr)
			*reterr = *parse_error;
		return parse_error->code;
	}
	return 0;
}

static void report_check(struct pb_run *run, struct panbind_error *error)
{
	report(run, error, PANBIND_OUTCOME_ROLLED_BACK);
}

static int check_script(struct pb_run *run, struct panbind_error *reterr)
{
	bool keep_going = (run->flags & PANBIND_RUN_KEEP_GOING) != 0;
	struct panbind_error error = {.op = PANBIND_NO_OP};
	size_t count = panbind_script_command_count(run->script);
	int r = pb_check_range(run->checker, 0, count, keep_going ? report_check : NULL, &error);

	run->result.commands = count;
	if (r < 0 && !keep_going)
		report_check(run, &error);
	if (run->result.failed == 0)
		return r;
	if (reterr)
		*reterr = run->error;
	return run->error.code;
}

int panbind_session_run(struct panbind_session *session, const struct panbind_script *script, uint32_t flags,
			struct panbind_run_result *ret_result, struct panbind_error *reterr)
{
	pb_cleanup(pb_run_end) struct pb_run run = {0};
	int r;

	if (ret_result)
		*ret_result = (struct panbind_run_result){.outcome = PANBIND_OUTCOME_ROLLED_BACK};
	r = refuse(script, flags, reterr);
	if (r < 0)
		return r;
	r = pb_run_begin(&run, session, script, flags);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	if (flags & (PANBIND_RUN_CHECK | PANBIND_RUN_PLAN))
		r = check_script(&run, reterr);
	if (r >= 0 && (flags & PANBIND_RUN_PLAN))
		r = pb_session_plan(&run, reterr);
	else if (r >= 0 && !(flags & PANBIND_RUN_CHECK))
		r = pb_run_script(&run, reterr);
	if (ret_result)
		*ret_result = run.result;
	return r;
}
