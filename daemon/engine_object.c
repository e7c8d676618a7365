/* SPDX-License-Identifier: MIT */
/*
 * Methods about VMs and BOs: making and destroying them, and looking at them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "engine_private.h"
#include "util.h"

static int refuse(struct request *request, int code, int err, const char *pointer, const char *message)
{
	rpc_error_set(&request->error, code, err, "%s", message);
	if (pointer)
		request_point(request, pointer);
	return code;
}

static int refuse_library(struct request *request, int r, struct panbind_error *error)
{
	if (error->code == 0) {
		error->code = r;
		error->stage = PANBIND_STAGE_SUBMIT;
		error->op = PANBIND_NO_OP;
	}
	return rpc_error_from_library(&request->error, error, APPLIED_NONE);
}

/* ---- Creating ---- */

/** One more than the last; the name and its generation are taken only when the object is there. */
static uint64_t next_generation(const struct engine *engine, enum object_kind kind, const char *name)
{
	return registry_get(&engine->registry, kind, name) + 1;
}

static void describe(struct request *request, uint64_t generation, const char *what, uint64_t value, bool created)
{
	struct jw *out = &request->out;

	jw_object(out, "result");
	jw_string(out, "name", request->call.name);
	jw_int(out, "generation", (int64_t)generation);
	jw_hex(out, what, value);
	if (request->method->on_device == engine_vm_ensure || request->method->on_device == engine_bo_ensure)
		jw_bool(out, "created", created);
}

/** VMs that wait for the log before they go still count for the driver. */
int engine_make_vm(struct engine *engine, uint64_t va_range, struct panbind_vm **ret_vm, struct panbind_error *reterr)
{
	int r = panbind_vm_create(engine->device, va_range, ret_vm, reterr);

	if (r != -EBUSY || !engine->oldest)
		return r;
	units_drain(engine);
	return panbind_vm_create(engine->device, va_range, ret_vm, reterr);
}

static int name_vm(struct engine *engine, struct request *request, struct panbind_vm *vm, uint64_t generation)
{
	int r = registry_set(&engine->registry, OBJECT_VM, request->call.name, generation);

	if (r == 0)
		r = panbind_session_add_vm(engine->session, request->call.name, vm);
	return r == 0 ? 0 : refuse(request, RPC_INTERNAL, -r, NULL, "the VM could not be named");
}

int engine_vm_create(struct engine *engine, struct request *request)
{
	const char *name = request->call.name;
	uint64_t generation = next_generation(engine, OBJECT_VM, name), began = now_ns();
	struct panbind_error error = {0};
	struct panbind_log_entry entry;
	struct panbind_vm *vm;
	struct unit *unit;
	int r;

	if (panbind_session_vm(engine->session, name))
		return refuse(request, RPC_EXISTS, EEXIST, "/params/name", "there is a VM of that name");
	r = engine_make_vm(engine, request->call.va_range, &vm, &error);
	if (r < 0)
		return refuse_library(request, r, &error);
	unit = unit_new(engine, UNIT_VM_CREATE, name);
	if (!unit || name_vm(engine, request, vm, generation) != 0) {
		unit_free(unit);
		panbind_vm_destroy(vm);
		return request->error.code ? request->error.code
					   : refuse(request, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	}
	describe(request, generation, "va_range", panbind_vm_va_range(vm), true);
	engine_fill_entry(request, PANBIND_LOG_VM_CREATE, &entry);
	entry.object.ref = (struct panbind_log_ref){name, generation};
	entry.object.size = panbind_vm_va_range(vm);
	entry.latency_ns = now_ns() - began;
	return unit_record(unit, request, &entry);
}

static int name_bo(struct engine *engine, struct request *request, struct panbind_bo *bo, uint64_t generation)
{
	int r = registry_set(&engine->registry, OBJECT_BO, request->call.name, generation);

	if (r == 0)
		r = panbind_session_add_bo(engine->session, request->call.name, bo, request->call.vm);
	panbind_bo_set_generation(bo, generation);
	return r == 0 ? 0 : refuse(request, RPC_INTERNAL, -r, NULL, "the BO could not be named");
}

static void fill_bo_entry(const struct request *request, const struct panbind_bo *bo, uint64_t generation,
			  struct panbind_log_entry *entry)
{
	engine_fill_entry(request, PANBIND_LOG_BO_CREATE, entry);
	entry->object.ref = (struct panbind_log_ref){request->call.name, generation};
	entry->object.size = panbind_bo_size(bo);
	entry->object.flags = panbind_bo_flags(bo);
	entry->object.exclusive_vm.name = request->call.vm;
}

static int create_bo(struct engine *engine, struct request *request, struct panbind_bo **ret_bo)
{
	const struct call *call = &request->call;
	struct panbind_error error = {0};
	struct panbind_vm *vm = NULL;
	int r;

	if (panbind_session_bo(engine->session, call->name))
		return refuse(request, RPC_EXISTS, EEXIST, "/params/name", "there is a BO of that name");
	if (call->vm && !(vm = engine_find_vm(engine, request, call->vm, "/params/vm")))
		return request->error.code;
	r = panbind_bo_create(engine->device, call->size, call->flags, vm, ret_bo, &error);
	return r < 0 ? refuse_library(request, r, &error) : 0;
}

int engine_bo_create(struct engine *engine, struct request *request)
{
	uint64_t generation = next_generation(engine, OBJECT_BO, request->call.name), began = now_ns();
	struct panbind_log_entry entry;
	struct panbind_bo *bo = NULL;
	struct unit *unit;
	int r = create_bo(engine, request, &bo);

	if (r != 0)
		return r;
	unit = unit_new(engine, UNIT_BO_CREATE, request->call.name);
	if (!unit || name_bo(engine, request, bo, generation) != 0) {
		unit_free(unit);
		panbind_bo_unref(bo);
		return request->error.code ? request->error.code
					   : refuse(request, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	}
	describe(request, generation, "size", panbind_bo_size(bo), true);
	fill_bo_entry(request, bo, generation, &entry);
	entry.latency_ns = now_ns() - began;
	return unit_record(unit, request, &entry);
}

/* ---- Ensuring ---- */

int engine_vm_ensure(struct engine *engine, struct request *request)
{
	const char *name = request->call.name;
	struct panbind_vm *vm = panbind_session_vm(engine->session, name);

	if (!vm)
		return engine_vm_create(engine, request);
	if (panbind_vm_va_range(vm) < request->call.va_range)
		return refuse(request, RPC_EXISTS, EEXIST, "/params/va_range",
			      "there is a VM of that name, with fewer addresses");
	describe(request, registry_get(&engine->registry, OBJECT_VM, name), "va_range", panbind_vm_va_range(vm), false);
	jw_object_end(&request->out);
	return 0;
}

static bool is_as_wanted(struct engine *engine, const struct call *call, const struct panbind_bo *bo)
{
	const char *vm = panbind_session_bo_vm(engine->session, bo);
	uint64_t page = PANBIND_PAGE_SIZE - 1;

	return panbind_bo_size(bo) == ((call->size + page) & ~page) && panbind_bo_flags(bo) == call->flags &&
	       (vm && call->vm ? strcmp(vm, call->vm) == 0 : !vm && !call->vm);
}

int engine_bo_ensure(struct engine *engine, struct request *request)
{
	const char *name = request->call.name;
	struct panbind_bo *bo = panbind_session_bo(engine->session, name);

	if (!bo)
		return engine_bo_create(engine, request);
	if (!is_as_wanted(engine, &request->call, bo))
		return refuse(request, RPC_EXISTS, EEXIST, "/params/name",
			      "there is a BO of that name, of another size or kind");
	describe(request, registry_get(&engine->registry, OBJECT_BO, name), "size", panbind_bo_size(bo), false);
	jw_object_end(&request->out);
	return 0;
}

/* ---- Destroying ---- */

static void answer_destroyed(struct request *request, bool destroyed)
{
	jw_object(&request->out, "result");
	jw_bool(&request->out, "destroyed", destroyed);
}

static int destroy_nothing(struct engine *engine, struct request *request, const char *what)
{
	char message[200];

	snprintf(message, sizeof(message), "there is no %s %s", what, request->call.name);
	if (request->call.missing_ok) {
		answer_destroyed(request, false);
		return engine_remember_nothing(engine, request, message);
	}
	return refuse(request, RPC_NOT_FOUND, ENOENT, "/params/name", message);
}

static int record_destruction(struct engine *engine, struct request *request, struct unit *unit,
			      enum panbind_log_kind kind, enum object_kind object)
{
	struct panbind_log_entry entry;

	answer_destroyed(request, true);
	engine_fill_entry(request, kind, &entry);
	entry.object.ref.name = request->call.name;
	entry.object.ref.generation = registry_get(&engine->registry, object, request->call.name);
	return unit_record(unit, request, &entry);
}

int engine_vm_destroy(struct engine *engine, struct request *request)
{
	struct unit *unit;

	if (!panbind_session_vm(engine->session, request->call.name))
		return destroy_nothing(engine, request, "VM");
	if (engine_check_generation(engine, request, request->call.name) != 0 ||
	    engine_refuse_adopted(engine, request, request->call.name) != 0)
		return request->error.code;
	unit = unit_new(engine, UNIT_VM_DESTROY, request->call.name);
	if (!unit)
		return refuse(request, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	unit->vm = panbind_session_take_vm(engine->session, request->call.name);
	return record_destruction(engine, request, unit, PANBIND_LOG_VM_DESTROY, OBJECT_VM);
}

int engine_bo_destroy(struct engine *engine, struct request *request)
{
	struct panbind_bo *bo = panbind_session_bo(engine->session, request->call.name);
	const char *exclusive_vm;
	struct unit *unit;

	if (!bo)
		return destroy_nothing(engine, request, "BO");
	unit = unit_new(engine, UNIT_BO_DESTROY, request->call.name);
	exclusive_vm = panbind_session_bo_vm(engine->session, bo);
	if (unit && exclusive_vm)
		unit->exclusive_vm = strdup(exclusive_vm);
	if (!unit || (exclusive_vm && !unit->exclusive_vm)) {
		unit_free(unit);
		return refuse(request, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	}
	unit->bo = panbind_session_take_bo(engine->session, request->call.name);
	return record_destruction(engine, request, unit, PANBIND_LOG_BO_DESTROY, OBJECT_BO);
}
