/* SPDX-License-Identifier: MIT */
/*
 * vm.verify: what panbind believes that a VM maps, against what the driver has.
 */
#include <string.h>

#include "engine_private.h"

/* Differences beyond that are counted and left out. */
#define LISTED 1000u

struct verifying {
	struct engine *engine;
	struct jw *out;
	size_t count;
};

/** The name of the BO that the driver's handle stands for, or NULL. */
static const char *name_of_handle(struct engine *engine, uint32_t handle)
{
	struct panbind_bo *bo;

	for (size_t i = 0; handle && (bo = panbind_session_bo_at(engine->session, i)); i++)
		if (panbind_bo_handle(bo) == handle)
			return panbind_session_bo_name(engine->session, bo);
	return NULL;
}

static void write_side(struct verifying *verifying, const char *key, const struct panbind_verify_side *side)
{
	struct panbind_session *session = verifying->engine->session;
	struct jw *out = verifying->out;

	if (!side->mapped) {
		jw_raw(out, key, "null", 4);
		return;
	}
	jw_object(out, key);
	jw_bool(out, "sparse", side->sparse);
	if (!side->sparse) {
		jw_string(out, "bo",
			  side->bo ? panbind_session_bo_name(session, side->bo)
				   : name_of_handle(verifying->engine, side->bo_handle));
		jw_hex(out, "bo_offset", side->bo_offset);
	}
	if (strcmp(key, "shadow") == 0 || side->has_flags)
		engine_write_map_flags(out, side->flags);
	jw_object_end(out);
}

static void write_difference(void *data, const struct panbind_verify_difference *difference)
{
	struct verifying *verifying = data;

	if (verifying->count++ >= LISTED)
		return;
	jw_object(verifying->out, NULL);
	jw_hex(verifying->out, "va", difference->va);
	jw_hex(verifying->out, "size", difference->size);
	write_side(verifying, "shadow", &difference->shadow);
	write_side(verifying, "driver", &difference->driver);
	jw_object_end(verifying->out);
}

int engine_vm_verify(struct engine *engine, struct request *request)
{
	struct verifying verifying = {.engine = engine, .out = &request->out};
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_verification result;
	struct panbind_vm *vm = engine_find_vm(engine, request, request->call.name, "/params/name");
	struct jw *out = &request->out;
	int r;

	if (!vm)
		return request->error.code;
	units_drain(engine); /* a refused entry is undone before */
	jw_object(out, "result");
	jw_array(out, "differences");
	r = panbind_vm_verify(vm, write_difference, &verifying, &result, &error);
	if (r < 0)
		return rpc_error_from_library(&request->error, &error, APPLIED_NONE);
	jw_array_end(out);
	jw_string(out, "verdict",
		  result.source == PANBIND_SIGHT_NONE ? "unverified"
		  : result.differences		      ? "different"
						      : "same");
	jw_string(out, "source", panbind_sight_name(result.source));
	if (result.why[0])
		jw_string(out, "why", result.why);
	jw_int(out, "count", (int64_t)result.differences);
	jw_hex(out, "compared_bytes", result.compared);
	jw_hex(out, "different_bytes", result.different);
	jw_object_end(out);
	return 0;
}
