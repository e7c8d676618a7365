/* SPDX-License-Identifier: MIT */
/*
 * Scripts on the daemon's VMs and BOs.
 *
 * A script is parsed and run here with the daemon's rights, so it may not include files. What each of its transactions
 * changes is recorded, and waited for, before the transaction becomes final; a log that fails undoes it. A script may
 * wait for what never comes: it ends when its client goes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_script.h"
#include "util.h"

#define OUTPUT_BYTES (8u << 20)

/* ---- What it says ---- */

static void say_text(struct running *running, const char *text)
{
	if (running->output.len > OUTPUT_BYTES)
		running->cut = true;
	else
		jw_string(&running->output, NULL, text);
}

static void say_mappings(struct engine *engine, struct running *running, struct panbind_vm *vm)
{
	struct panbind_mapping mapping;
	char text[400];
	uint64_t va = 0;

	for (; panbind_vm_next_mapping(vm, va, &mapping) == 0 && !running->cut; va = mapping.va + mapping.size) {
		const char *bo = mapping.bo ? panbind_session_bo_name(engine->session, mapping.bo) : NULL;

		snprintf(text, sizeof(text), "  0x%llx 0x%llx %s+0x%llx%s%s%s", (unsigned long long)mapping.va,
			 (unsigned long long)mapping.size,
			 mapping.sparse ? "sparse"
			 : bo		? bo
					: "(unnamed)",
			 (unsigned long long)mapping.bo_offset, mapping.flags & PANBIND_MAP_READONLY ? " readonly" : "",
			 mapping.flags & PANBIND_MAP_NOEXEC ? " noexec" : "",
			 mapping.flags & PANBIND_MAP_UNCACHED ? " uncached" : "");
		say_text(running, text);
	}
}

static void say_vm(struct engine *engine, struct running *running, const struct panbind_event *event)
{
	enum panbind_vm_state state = PANBIND_VM_USABLE;
	char text[320];

	panbind_vm_get_state(event->vm, &state);
	snprintf(text, sizeof(text), "%s va=0x%llx state=%s mappings=%zu", event->name,
		 (unsigned long long)panbind_vm_va_range(event->vm), panbind_vm_state_name(state),
		 panbind_vm_mapping_count(event->vm));
	say_text(running, text);
	if (event->with_map)
		say_mappings(engine, running, event->vm);
}

static void say_gpu(struct running *running, const struct panbind_event *event)
{
	char text[400];

	snprintf(text, sizeof(text), "%s loads=%llu stalls=%llu faults=%llu torn=%llu", event->name,
		 (unsigned long long)event->stats->loads, (unsigned long long)event->stats->stalls,
		 (unsigned long long)event->stats->faults, (unsigned long long)event->torn);
	say_text(running, text);
}

static void say_error(struct running *running, const struct panbind_event *event)
{
	struct jw *out = &running->errors;

	if (out->len > OUTPUT_BYTES) {
		running->cut = true;
		return;
	}
	jw_object(out, NULL);
	jw_string(out, "file", event->error->file);
	jw_int(out, "line", event->error->line);
	jw_int(out, "column", event->error->column);
	jw_string(out, "name", panbind_errno_name(event->error->code));
	jw_string(out, "stage", panbind_stage_name(event->error->stage));
	jw_string(out, "message", event->error->msg);
	jw_object_end(out);
}

void engine_on_event(void *data, const struct panbind_event *event)
{
	struct engine *engine = data;
	struct running *running = engine->running;

	if (engine->planning)
		engine_on_plan(engine->planning, event);
	if (!running)
		return;
	if (event->type == PANBIND_EVENT_TEXT)
		say_text(running, event->text);
	else if (event->type == PANBIND_EVENT_SHOW_VM)
		say_vm(engine, running, event);
	else if (event->type == PANBIND_EVENT_GPU)
		say_gpu(running, event);
	else if (event->type == PANBIND_EVENT_ERROR)
		say_error(running, event);
}

/* ---- Fences ---- */

int engine_check_fence(struct request *request)
{
	const struct call *call = &request->call;

	if (call->fenced || (!call->wait && !call->signal))
		return 0;
	rpc_error_set(&request->error, RPC_PARAMS, EINVAL, "a wait or a signal of the whole needs `fenced`");
	request_point(request, call->wait ? "/params/wait" : "/params/signal");
	return RPC_PARAMS;
}

/** What the call asks for, done to its script. 0, or the error's code. */
static int fence(struct request *request, struct panbind_script *script)
{
	const struct call *call = &request->call;
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int r = engine_check_fence(request);

	if (r != 0 || !call->fenced || panbind_script_fence(script, call->wait, call->signal, &error) == 0)
		return r;
	rpc_error_from_library(&request->error, &error, APPLIED_NONE);
	request->error.retryable = false;
	if (error.line == 0) /* it is a name that is wrong */
		request_point(request, "/params");
	return request->error.code;
}

/* ---- The methods ---- */

static int no_include(void *data, const char *from, const char *pattern,
		      int (*add)(void *add_data, const char *name, const char *text, size_t size), void *add_data)
{
	return -EPERM;
}

int engine_parse_script(struct request *request, struct panbind_script **ret_script)
{
	const struct call *call = &request->call;
	struct panbind_script_options options = {
		.defines = call->defines,
		.define_count = call->define_count,
		.include = no_include,
	};
	struct panbind_error error = {.op = PANBIND_NO_OP};

	if (panbind_script_parse(call->file ? call->file : "script", call->text, strlen(call->text), &options,
				 ret_script, &error) < 0) {
		rpc_error_from_library(&request->error, &error, APPLIED_NONE);
		request->error.retryable = false;
		request_point(request, "/params/text");
		return request->error.code;
	}
	if (fence(request, *ret_script) == 0)
		return 0;
	panbind_script_destroy(*ret_script);
	return request->error.code;
}

static void write_result(struct request *request, struct running *running, const struct panbind_run_result *result)
{
	struct jw *out = &request->out;

	jw_array_end(&running->output);
	jw_array_end(&running->errors);
	jw_object(out, "result");
	if (running->more)
		running->more(out, running->more_data);
	jw_string(out, "outcome", panbind_outcome_name(result->outcome));
	jw_int(out, "ops", (int64_t)result->ops);
	if (!running->is_ops) {
		jw_int(out, "commands", (int64_t)result->commands);
		jw_int(out, "failed", (int64_t)result->failed);
		jw_raw(out, "output", running->output.buf, running->output.len);
		jw_raw(out, "errors", running->errors.buf, running->errors.len);
		jw_bool(out, "cut", running->cut);
	}
	if (running->kept_last && running->own_text)
		jw_int(out, "transactions", (int64_t)running->transactions);
	if (running->kept_last)
		jw_int(out, "seq", (int64_t)running->kept_last);
	jw_object_end(out);
}

/** Earlier transactions of the script stay when a later one fails. */
static enum panbind_outcome outcome_of(const struct running *running, const struct panbind_run_result *result)
{
	bool stays = running->kept_last || result->ops > 0;

	if (result->outcome >= PANBIND_OUTCOME_PARTIAL)
		return result->outcome;
	return stays ? PANBIND_OUTCOME_PARTIAL : PANBIND_OUTCOME_ROLLED_BACK;
}

static int refuse_run(struct request *request, const struct running *running, const struct panbind_error *error,
		      enum applied applied)
{
	rpc_error_from_library(&request->error, error, applied);
	request->error.seq = running->failed ? running->failures.seq : 0;
	request->error.kept_first = running->kept_first;
	request->error.kept_last = running->kept_last;
	request->error.transactions = running->transactions;
	return request->error.code;
}

static int run(struct engine *engine, struct request *request, const struct panbind_script *script,
	       struct running *running)
{
	uint32_t flags =
		(request->call.check ? PANBIND_RUN_CHECK : 0) | (request->call.keep_going ? PANBIND_RUN_KEEP_GOING : 0);
	struct panbind_error error = {.op = PANBIND_NO_OP};
	bool one = panbind_script_is_one_transaction(script) && !request->call.keep_going;
	struct panbind_run_result result;
	enum panbind_outcome outcome;
	int r;

	running->parts = request->call.txn_id && !one;
	jw_array(&running->output, NULL);
	jw_array(&running->errors, NULL);
	engine->running = running;
	engine_set_script_of(engine, request->conn);
	r = panbind_session_run(engine->session, script, flags, &result, &error);
	engine_set_script_of(engine, NULL);
	engine->running = NULL;
	outcome = r < 0 ? outcome_of(running, &result) : PANBIND_OUTCOME_APPLIED;
	r = running_end(running, r, outcome, &error);
	if (r < 0 && (!request->call.keep_going || error.stage == PANBIND_STAGE_JOURNAL))
		return refuse_run(request, running, &error, engine_applied(outcome_of(running, &result)));
	write_result(request, running, &result);
	return jw_ok(&running->output) && jw_ok(&running->errors)
		       ? 0
		       : rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory for the output");
}

int engine_script_run(struct engine *engine, struct request *request)
{
	struct panbind_script *script = NULL;
	struct running running;
	int r = engine_parse_script(request, &script);

	if (r != 0)
		return r;
	running_begin(&running, engine, request);
	running.own_text = true;
	r = run(engine, request, script, &running);
	panbind_script_destroy(script);
	jw_free(&running.output);
	jw_free(&running.errors);
	return r;
}

int engine_run_text(struct engine *engine, struct request *request, const char *text, engine_more_fn *more, void *data)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_script *script = NULL;
	struct running running;
	int r = panbind_script_parse("plan", text, strlen(text), NULL, &script, &error);

	if (r < 0)
		return rpc_error_from_library(&request->error, &error, APPLIED_NONE);
	if (fence(request, script) != 0) {
		panbind_script_destroy(script);
		return request->error.code;
	}
	running_begin(&running, engine, request);
	running.more = more;
	running.more_data = data;
	running.is_ops = !more;
	r = run(engine, request, script, &running);
	panbind_script_destroy(script);
	jw_free(&running.output);
	jw_free(&running.errors);
	return r;
}

int engine_state_dump(struct engine *engine, struct request *request)
{
	const char *vm = request->call.vm;
	autofree char *text = NULL;
	int r;

	if (vm && !engine_find_vm(engine, request, vm, "/params/vm"))
		return request->error.code;
	r = panbind_session_dump(engine->session, vm, &text);
	if (r < 0)
		return rpc_error_set(&request->error, RPC_FAILED, -r, "the state cannot be dumped: %s", strerror(-r));
	jw_object(&request->out, "result");
	jw_string(&request->out, "script", text);
	jw_object_end(&request->out);
	return 0;
}
