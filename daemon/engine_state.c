/* SPDX-License-Identifier: MIT */
/*
 * States of VMs: compared, and brought about.
 *
 * To apply a state is to write the script that leads there and to run that, so that it is recorded, undone and refused
 * as every other script is. Nothing is run when there is nothing to do.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_state.h"
#include "util.h"

static void destroy_statep(struct panbind_state **state)
{
	panbind_state_destroy(*state);
}

static void destroy_diffp(struct panbind_state_diff **diff)
{
	panbind_state_diff_destroy(*diff);
}

#define autostate cleanup(destroy_statep)

int engine_refuse_state(struct request *request, int r, const struct panbind_error *error)
{
	struct panbind_error own = *error;

	if (own.code == 0) {
		own = (struct panbind_error){.code = r, .stage = PANBIND_STAGE_VALIDATE, .op = PANBIND_NO_OP};
		snprintf(own.msg, sizeof(own.msg), "%s", strerror(-r));
	}
	rpc_error_from_library(&request->error, &own, APPLIED_NONE);
	if (own.code == -ESTALE)
		request->error.code = RPC_STALE;
	return request->error.code;
}

/* ---- Where states come from ---- */

int engine_live_state(struct engine *engine, struct request *request, const char *vm, const char *pointer,
		      struct panbind_state **ret_state)
{
	const struct panbind_error none = {0};
	int r;

	if (!engine_find_vm(engine, request, vm, pointer))
		return request->error.code;
	r = panbind_session_state(engine->session, vm, ret_state);
	return r < 0 ? engine_refuse_state(request, r, &none) : 0;
}

int engine_logged_state(struct engine *engine, struct request *request, struct panbind_log_ref vm, uint64_t seq,
			const char *pointer, struct panbind_state **ret_state)
{
	struct panbind_log_state *logged = NULL;
	struct panbind_error error = {0};
	int r;

	if (!engine->log)
		return rpc_error_set(&request->error, RPC_FAILED, EOPNOTSUPP, "this daemon keeps no log");
	r = panbind_log_state_create(engine->log, seq, vm, &logged, &error);
	if (r == 0)
		r = panbind_log_state_value(logged, 0, ret_state);
	panbind_log_state_destroy(logged);
	if (r == 0)
		return 0;
	engine_refuse_state(request, r, &error);
	request_point(request, pointer);
	return request->error.code;
}

static int no_include(void *data, const char *from, const char *pattern,
		      int (*add)(void *add_data, const char *name, const char *text, size_t size), void *add_data)
{
	return -EPERM;
}

/** What a script makes, on a simulated device of its own. @vm NULL: of its only VM. */
static int scripted_state(struct request *request, const char *vm, struct panbind_state **ret_state)
{
	const struct call *call = &request->call;
	struct panbind_script_options options = {.include = no_include};
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_script *script = NULL;
	int r = panbind_script_parse(call->file ? call->file : "state", call->text, strlen(call->text), &options,
				     &script, &error);

	if (r == 0)
		r = panbind_script_state(script, vm, ret_state, &error);
	panbind_script_destroy(script);
	if (r == 0)
		return 0;
	engine_refuse_state(request, r, &error);
	request->error.retryable = false;
	request_point(request, "/params/text");
	return request->error.code;
}

/* ---- Differences ---- */

/** null, or what is there. */
static void write_side(struct jw *out, const char *key, const struct panbind_state_side *side)
{
	if (side->backing == PANBIND_BACKING_NONE) {
		jw_raw(out, key, "null", 4);
		return;
	}
	jw_object(out, key);
	jw_bool(out, "sparse", side->backing == PANBIND_BACKING_SPARSE);
	if (side->backing == PANBIND_BACKING_BO) {
		jw_string(out, "bo", side->bo->name);
		if (side->bo->generation)
			jw_int(out, "generation", (int64_t)side->bo->generation);
		if (side->bo->nameless)
			jw_bool(out, "nameless", true);
		jw_hex(out, "bo_size", side->bo->size);
		jw_hex(out, "bo_offset", side->bo_offset);
		engine_write_map_flags(out, side->flags);
	}
	jw_object_end(out);
}

static const char *change_of(const struct panbind_state_difference *item)
{
	if (item->from.backing == PANBIND_BACKING_NONE)
		return "+";
	return item->to.backing == PANBIND_BACKING_NONE ? "-" : "~";
}

static void write_difference(struct jw *out, const struct panbind_state_difference *item)
{
	static const char *const types[] = {"range", "region", "bo"};

	jw_object(out, NULL);
	jw_string(out, "change", change_of(item));
	jw_string(out, "type", types[item->type]);
	if (item->type != PANBIND_DIFFERENCE_BO) {
		jw_hex(out, "va", item->va);
		jw_hex(out, "size", item->size);
	}
	write_side(out, "from", &item->from);
	write_side(out, "to", &item->to);
	if (item->anew)
		jw_bool(out, "anew", true);
	jw_object_end(out);
}

static void write_diff(struct jw *out, const struct panbind_state_diff *diff, uint64_t limit)
{
	size_t count = panbind_state_diff_count(diff);

	jw_object(out, "result");
	jw_bool(out, "same", count == 0);
	jw_int(out, "count", (int64_t)count);
	jw_int(out, "ops", (int64_t)panbind_state_diff_op_count(diff));
	jw_array(out, "differences");
	for (size_t i = 0; i < count && i < limit; i++)
		write_difference(out, panbind_state_diff_at(diff, i));
	jw_array_end(out);
	jw_object_end(out);
}

/** One side of a call: of a script, of the log, or live. */
static int side_state(struct engine *engine, struct request *request, bool is_to, struct panbind_state **ret_state)
{
	const struct call *call = &request->call;
	const char *vm = is_to && call->to_vm ? call->to_vm : call->vm;
	const char *pointer = is_to && call->to_vm ? "/params/to_vm" : "/params/vm";

	if (is_to && call->text)
		return scripted_state(request, call->to_vm, ret_state);
	if (is_to ? call->has_to_seq : call->has_seq)
		return engine_logged_state(engine, request, (struct panbind_log_ref){.name = vm},
					   is_to ? call->to_seq : call->seq, is_to ? "/params/to_seq" : "/params/seq",
					   ret_state);
	return engine_live_state(engine, request, vm, pointer, ret_state);
}

int engine_state_diff(struct engine *engine, struct request *request)
{
	autostate struct panbind_state *from = NULL;
	autostate struct panbind_state *to = NULL;
	cleanup(destroy_diffp) struct panbind_state_diff *diff = NULL;
	const struct panbind_error none = {0};
	int r;

	units_drain(engine);
	r = side_state(engine, request, false, &from);
	if (r == 0)
		r = side_state(engine, request, true, &to);
	if (r != 0)
		return r;
	r = panbind_state_diff(from, to, &diff);
	if (r < 0)
		return engine_refuse_state(request, r, &none);
	write_diff(&request->out, diff, request->call.limit);
	return 0;
}

/* ---- Apply ---- */

static int wanted_state(struct engine *engine, struct request *request, struct panbind_state **ret_state)
{
	const struct call *call = &request->call;

	if (call->text)
		return scripted_state(request, call->to_vm, ret_state);
	if (call->has_seq) {
		const char *vm = call->to_vm ? call->to_vm : call->vm;

		return engine_logged_state(engine, request, (struct panbind_log_ref){.name = vm}, call->seq,
					   "/params/seq", ret_state);
	}
	if (call->to_vm)
		return engine_live_state(engine, request, call->to_vm, "/params/to_vm", ret_state);
	rpc_error_set(&request->error, RPC_PARAMS, EINVAL, "`text`, `seq` or `to_vm` says which state is wanted");
	request_point(request, "/params");
	return RPC_PARAMS;
}

struct application {
	const char *script;
	size_t ops;
};

static void write_application(struct jw *out, void *data)
{
	const struct application *application = data;

	jw_int(out, "planned", (int64_t)application->ops);
	jw_string(out, "script", application->script);
}

int engine_state_apply(struct engine *engine, struct request *request)
{
	autostate struct panbind_state *wanted = NULL;
	autofree char *script = NULL;
	struct application application = {0};
	struct panbind_error error = {.op = PANBIND_NO_OP};
	uint32_t flags = request->call.text ? PANBIND_STATE_CREATE_BOS : 0;
	int r;

	units_drain(engine);
	if (!engine_find_vm(engine, request, request->call.vm, "/params/vm"))
		return request->error.code;
	r = engine_check_generation(engine, request, request->call.vm);
	if (r == 0)
		r = wanted_state(engine, request, &wanted);
	if (r != 0)
		return r;
	r = panbind_session_state_script(engine->session, request->call.vm, wanted, flags, &script, &application.ops,
					 &error);
	if (r < 0)
		return engine_refuse_state(request, r, &error);
	application.script = script;
	return engine_run_text(engine, request, script, write_application, &application);
}
