/* SPDX-License-Identifier: MIT */
/*
 * A new VM in the place of one that is lost.
 *
 * A VM that the driver gave up, or that panbind lost track of, cannot be mended. What it should map is known all the
 * same: by its shadow, which also has what asynchronous binds were to do, or by the log. A new VM gets that mapping in
 * one transaction, and then takes over the name, with a generation of its own. Until then the old one stands where it
 * stood, so that a failure changes nothing. The contents of BOs are where they were: they are the same BOs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_state.h"
#include "record.h"
#include "say.h"
#include "util.h"

#define LOST_TOLD 1000

struct rebuild {
	struct engine *engine;
	struct request *request;
	struct panbind_vm *old, *fresh;
	struct panbind_state *source, *wanted;
	uint32_t *bo_of_source; /* index in wanted + 1, or 0 */
	struct jw lost;
	size_t lost_count, ops;
	uint64_t lost_bytes;
	struct record record;
};

static int refuse(struct rebuild *rebuild, int r, const struct panbind_error *error)
{
	const struct panbind_error none = {0};

	return engine_refuse_state(rebuild->request, r, error ? error : &none);
}

static int check_state(struct rebuild *rebuild)
{
	enum panbind_vm_state state;
	int r = panbind_vm_get_state(rebuild->old, &state);

	if (r < 0)
		return refuse(rebuild, r, NULL);
	if (state != PANBIND_VM_USABLE || rebuild->request->call.force)
		return 0;
	rpc_error_set(&rebuild->request->error, RPC_FAILED, EALREADY,
		      "the VM is usable: a rebuild would take its pages away from the GPU for nothing");
	request_point(rebuild->request, "/params/name");
	return rebuild->request->error.code;
}

static int read_source(struct rebuild *rebuild)
{
	struct request *request = rebuild->request;
	struct panbind_log_ref ref = {.name = request->call.name};

	ref.generation = registry_get(&rebuild->engine->registry, OBJECT_VM, ref.name);
	if (request->call.from == REBUILD_FROM_LOG)
		return engine_logged_state(rebuild->engine, request, ref, UINT64_MAX, "/params/from", &rebuild->source);
	return engine_live_state(rebuild->engine, request, ref.name, "/params/name", &rebuild->source);
}

/* ---- What can be brought back ---- */

static void tell_lost(struct rebuild *rebuild, const struct panbind_state_range *range,
		      const struct panbind_state_bo *bo, const char *why)
{
	rebuild->lost_bytes += range->size;
	if (rebuild->lost_count++ >= LOST_TOLD)
		return;
	jw_object(&rebuild->lost, NULL);
	jw_hex(&rebuild->lost, "va", range->va);
	jw_hex(&rebuild->lost, "size", range->size);
	jw_string(&rebuild->lost, "bo", bo->name);
	jw_hex(&rebuild->lost, "bo_offset", range->bo_offset);
	jw_string(&rebuild->lost, "reason", why);
	jw_object_end(&rebuild->lost);
}

/** The object to map again; NULL and the reason when there is none. */
static struct panbind_bo *object_of(const struct rebuild *rebuild, const struct panbind_state_bo *bo,
				    const char **ret_why)
{
	struct panbind_bo *object = bo->bo;

	if (!object && bo->name && !bo->nameless)
		object = panbind_session_bo(rebuild->engine->session, bo->name);
	*ret_why = NULL;
	if (!object || (bo->generation && panbind_bo_generation(object) != bo->generation))
		*ret_why = "the BO is gone";
	else if (bo->exclusive)
		*ret_why = "the BO belongs to the old VM alone";
	return *ret_why ? NULL : object;
}

/** Where a region was, the dummy is better than a fault. */
static bool is_in_region(const struct panbind_state *state, uint64_t va)
{
	uint64_t region_va, region_size;

	for (size_t i = 0; panbind_state_region(state, i, &region_va, &region_size) == 0; i++)
		if (va >= region_va && va - region_va < region_size)
			return true;
	return false;
}

static int want_range(struct rebuild *rebuild, const struct panbind_state_range *range)
{
	const struct panbind_state_bo *bo = panbind_state_bo(rebuild->source, range->bo);
	struct panbind_state_bo described;
	struct panbind_bo *object;
	const char *why;
	uint32_t index = PANBIND_STATE_SPARSE;
	int r = 0;

	if (bo) {
		object = object_of(rebuild, bo, &why);
		if (!object) {
			tell_lost(rebuild, range, bo, why);
			if (!is_in_region(rebuild->source, range->va))
				return 0;
		} else if (rebuild->bo_of_source[range->bo] == 0) {
			described = *bo;
			described.bo = object;
			r = panbind_state_add_bo(rebuild->wanted, &described, &index);
			rebuild->bo_of_source[range->bo] = index + 1;
		} else {
			index = rebuild->bo_of_source[range->bo] - 1;
		}
	}
	return r < 0 ? r
		     : panbind_state_map(rebuild->wanted, range->va, range->size, index, range->bo_offset,
					 range->flags);
}

static int want_all(struct rebuild *rebuild)
{
	struct panbind_state_range range;
	uint64_t va, size;
	size_t bos = 0;
	int r = panbind_state_create(&rebuild->wanted);

	while (panbind_state_bo(rebuild->source, (uint32_t)bos))
		bos++;
	rebuild->bo_of_source = calloc(bos + 1, sizeof(*rebuild->bo_of_source));
	if (r == 0 && !rebuild->bo_of_source)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && panbind_state_range(rebuild->source, i, &range) == 0; i++)
		r = want_range(rebuild, &range);
	for (size_t i = 0; r == 0 && panbind_state_region(rebuild->source, i, &va, &size) == 0; i++)
		r = panbind_state_add_region(rebuild->wanted, va, size);
	return r < 0 ? refuse(rebuild, r, NULL) : 0;
}

/* ---- The new VM ---- */

static int map_all(struct rebuild *rebuild, struct panbind_error *error)
{
	struct panbind_state *empty = NULL;
	struct panbind_state_diff *diff = NULL;
	int r = panbind_state_create(&empty);

	if (r == 0)
		r = panbind_state_diff(empty, rebuild->wanted, &diff);
	if (r == 0) {
		rebuild->ops = panbind_state_diff_op_count(diff);
		r = panbind_state_diff_run(diff, rebuild->fresh, NULL, error);
	}
	panbind_state_diff_destroy(diff);
	panbind_state_destroy(empty);
	return r;
}

static int make_vm(struct rebuild *rebuild)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int r = engine_make_vm(rebuild->engine, panbind_vm_va_range(rebuild->old), &rebuild->fresh, &error);

	if (r == 0)
		r = map_all(rebuild, &error);
	return r < 0 ? refuse(rebuild, r, &error) : 0;
}

/* ---- The swap ---- */

static int record_swap(struct rebuild *rebuild, const char *name)
{
	static const char comment[] = "rebuilt";
	struct panbind_log_entry entry;

	engine_fill_entry(rebuild->request, PANBIND_LOG_VM_DESTROY, &entry);
	entry.comment = comment;
	entry.txn_id = NULL;
	entry.object.ref.name = name;
	entry.object.ref.generation = registry_get(&rebuild->engine->registry, OBJECT_VM, name);
	record_append(&rebuild->record, &entry);
	record_vm(&rebuild->record, name, comment);
	record_map(&rebuild->record, name, comment);
	if (rebuild->request->call.txn_id) { /* the last entry, so that it stands for all */
		engine_fill_entry(rebuild->request, PANBIND_LOG_BIND, &entry);
		record_append(&rebuild->record, &entry);
	}
	return record_finish(&rebuild->record);
}

/** The new VM gets the name, and the old one goes; or everything is as it was. */
static int swap(struct rebuild *rebuild)
{
	struct panbind_session *session = rebuild->engine->session;
	const char *name = rebuild->request->call.name;
	uint64_t generation;
	int r;

	panbind_session_take_vm(session, name);
	r = panbind_session_add_vm(session, name, rebuild->fresh);
	if (r == 0) {
		if (rebuild->engine->log)
			r = record_swap(rebuild, name);
		else
			r = registry_set(&rebuild->engine->registry, OBJECT_VM, name,
					 registry_get(&rebuild->engine->registry, OBJECT_VM, name) + 1);
		if (r < 0)
			panbind_session_take_vm(session, name);
	}
	if (r < 0) {
		if (panbind_session_add_vm(session, name, rebuild->old) < 0)
			say(SAY_ERROR, "the name of the VM %s is lost", name);
		return refuse(rebuild, r, &rebuild->record.error);
	}
	generation = rebuild->record.seq;
	if (generation)
		panbind_vm_set_map_generation(rebuild->fresh, generation);
	rebuild->fresh = NULL;
	panbind_vm_destroy(rebuild->old);
	return 0;
}

static void write_result(struct rebuild *rebuild)
{
	struct jw *out = &rebuild->request->out;
	const char *name = rebuild->request->call.name;
	struct panbind_vm *vm = panbind_session_vm(rebuild->engine->session, name);

	jw_array_end(&rebuild->lost);
	jw_object(out, "result");
	jw_string(out, "name", name);
	jw_int(out, "generation", (int64_t)registry_get(&rebuild->engine->registry, OBJECT_VM, name));
	jw_int(out, "map_generation", (int64_t)panbind_vm_map_generation(vm));
	jw_int(out, "mappings", (int64_t)panbind_vm_mapping_count(vm));
	jw_int(out, "ops", (int64_t)rebuild->ops);
	jw_hex(out, "lost_bytes", rebuild->lost_bytes);
	jw_raw(out, "lost", rebuild->lost.buf, rebuild->lost.len);
	if (rebuild->record.seq)
		jw_int(out, "seq", (int64_t)rebuild->record.seq);
	jw_object_end(out);
}

int engine_vm_rebuild(struct engine *engine, struct request *request)
{
	struct rebuild rebuild = {.engine = engine, .request = request, .record.engine = engine};
	int r;

	units_drain(engine);
	rebuild.record.durability =
		request->call.durability == DURABILITY_SYNC ? PANBIND_LOG_DURABLE_SYNC : PANBIND_LOG_DURABLE_WRITE;
	rebuild.old = engine_find_vm(engine, request, request->call.name, "/params/name");
	if (!rebuild.old)
		return request->error.code;
	if (engine_refuse_adopted(engine, request, request->call.name) != 0)
		return request->error.code;
	jw_array(&rebuild.lost, NULL);
	r = engine_check_generation(engine, request, request->call.name);
	if (r == 0)
		r = check_state(&rebuild);
	if (r == 0)
		r = read_source(&rebuild);
	if (r == 0)
		r = want_all(&rebuild);
	if (r == 0)
		r = make_vm(&rebuild);
	if (r == 0)
		r = swap(&rebuild);
	if (r == 0)
		write_result(&rebuild);
	panbind_vm_destroy(rebuild.fresh);
	panbind_state_destroy(rebuild.source);
	panbind_state_destroy(rebuild.wanted);
	free(rebuild.bo_of_source);
	jw_free(&rebuild.lost);
	return r;
}
