/* SPDX-License-Identifier: MIT */
/*
 * Methods that only look, and those that move bytes in and out of BOs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "engine_private.h"
#include "util.h"

const char *engine_tristate_name(enum panbind_tristate value)
{
	return value == PANBIND_YES ? "yes" : value == PANBIND_NO ? "no" : "unknown";
}

void engine_write_map_flags(struct jw *out, uint32_t flags)
{
	jw_array(out, "flags");
	if (flags & PANBIND_MAP_READONLY)
		jw_string(out, NULL, "readonly");
	if (flags & PANBIND_MAP_NOEXEC)
		jw_string(out, NULL, "noexec");
	if (flags & PANBIND_MAP_UNCACHED)
		jw_string(out, NULL, "uncached");
	jw_array_end(out);
}

static void write_bo_flags(struct jw *out, uint32_t flags)
{
	jw_array(out, "flags");
	if (flags & PANBIND_BO_NO_MMAP)
		jw_string(out, NULL, "no-mmap");
	if (flags & PANBIND_BO_WB_MMAP)
		jw_string(out, NULL, "wb-mmap");
	jw_array_end(out);
}

/* ---- Devices ---- */

void engine_describe(const struct engine *engine, struct jw *jw)
{
	const struct panbind_device_info *info = &engine->info;
	char version[48];

	snprintf(version, sizeof(version), "%d.%d.%d", info->version_major, info->version_minor,
		 info->version_patchlevel);
	jw_string(jw, "name", engine->name);
	jw_string(jw, "backend", info->backend);
	jw_string(jw, "path", info->path);
	jw_string(jw, "driver", info->driver);
	jw_string(jw, "version", version);
	jw_hex(jw, "gpu_id", info->gpu_id);
	jw_int(jw, "va_bits", info->va_bits);
	jw_hex(jw, "page_sizes", info->page_sizes);
	jw_int(jw, "max_vms", info->max_vms);
	jw_string(jw, "atomic", engine_tristate_name(info->atomic));
	jw_string(jw, "native_sparse", engine_tristate_name(info->native_sparse));
}

static size_t count_vms(struct engine *engine)
{
	size_t count = 0;

	while (panbind_session_vm_name(engine->session, count))
		count++;
	return count;
}

static size_t count_bos(struct engine *engine)
{
	size_t count = 0;

	while (panbind_session_bo_at(engine->session, count))
		count++;
	return count;
}

int engine_device_info(struct engine *engine, struct request *request)
{
	struct jw *out = &request->out;

	jw_object(out, "result");
	engine_describe(engine, out);
	jw_int(out, "vms", (int64_t)count_vms(engine));
	jw_int(out, "bos", (int64_t)count_bos(engine));
	jw_object_end(out);
	return 0;
}

/* ---- VMs ---- */

static int write_state(struct engine *engine, struct jw *out, const char *name, struct panbind_vm *vm)
{
	enum panbind_vm_state state;
	int r = panbind_vm_get_state(vm, &state);

	if (r < 0)
		return r;
	jw_string(out, "state", panbind_vm_state_name(state));
	if (state == PANBIND_VM_POISONED)
		jw_string(out, "reason", panbind_vm_poison_reason(vm));
	if (state == PANBIND_VM_UNUSABLE)
		jw_string(out, "reason", "the driver gave the VM up after an asynchronous bind failed");
	if (flight_lost_seq(engine, name))
		jw_int(out, "lost", (int64_t)flight_lost_seq(engine, name));
	return 0;
}

static int write_vm(struct engine *engine, struct jw *out, const char *name, struct panbind_vm *vm)
{
	jw_string(out, "name", name);
	jw_int(out, "generation", (int64_t)registry_get(&engine->registry, OBJECT_VM, name));
	jw_int(out, "map_generation", (int64_t)panbind_vm_map_generation(vm));
	jw_hex(out, "va_range", panbind_vm_va_range(vm));
	jw_int(out, "mappings", (int64_t)panbind_vm_mapping_count(vm));
	engine_write_program(engine, out, name);
	rebuilds_write(engine, out, name);
	return write_state(engine, out, name, vm);
}

static int refuse_state(struct request *request, int r)
{
	return rpc_error_set(&request->error, RPC_FAILED, -r, "the driver does not say the VM's state: %s",
			     strerror(-r));
}

int engine_vm_list(struct engine *engine, struct request *request)
{
	struct jw *out = &request->out;
	const char *name;
	int r = 0;

	jw_object(out, "result");
	jw_array(out, "vms");
	for (size_t i = 0; r == 0 && (name = panbind_session_vm_name(engine->session, i)); i++) {
		jw_object(out, NULL);
		r = write_vm(engine, out, name, panbind_session_vm(engine->session, name));
		jw_object_end(out);
	}
	jw_array_end(out);
	jw_object_end(out);
	return r < 0 ? refuse_state(request, r) : 0;
}

/** null: its name was given up. */
static void write_name(struct engine *engine, struct jw *out, const struct panbind_bo *bo)
{
	const char *name = panbind_session_bo_name(engine->session, bo);

	jw_string(out, "bo", name);
	jw_int(out, "bo_generation", (int64_t)panbind_bo_generation(bo));
	if (name)
		return;
	jw_string(out, "bo_was", panbind_bo_last_name(bo));
	jw_hex(out, "bo_size", panbind_bo_size(bo));
}

static void write_mapping(struct engine *engine, struct jw *out, const struct panbind_mapping *mapping)
{
	jw_object(out, NULL);
	jw_hex(out, "va", mapping->va);
	jw_hex(out, "size", mapping->size);
	if (mapping->bo) {
		write_name(engine, out, mapping->bo);
		jw_hex(out, "bo_offset", mapping->bo_offset);
		engine_write_map_flags(out, mapping->flags);
	}
	jw_bool(out, "sparse", mapping->sparse);
	jw_object_end(out);
}

static void write_map(struct engine *engine, struct request *request, struct panbind_vm *vm)
{
	struct jw *out = &request->out;
	struct panbind_mapping mapping;
	uint64_t va = request->call.va, left = request->call.limit;

	jw_array(out, "map");
	while (left > 0 && panbind_vm_next_mapping(vm, va, &mapping) == 0) {
		write_mapping(engine, out, &mapping);
		va = mapping.va + mapping.size;
		left--;
	}
	jw_array_end(out);
	if (left == 0 && panbind_vm_next_mapping(vm, va, &mapping) == 0)
		jw_hex(out, "next", va);
}

static void write_regions(struct jw *out, struct panbind_vm *vm)
{
	uint64_t at = 0, va, size;

	jw_array(out, "regions");
	for (; panbind_sparse_next_region(vm, at, &va, &size) == 0; at = va + size) {
		jw_range(out, va, size);
	}
	jw_array_end(out);
}

static void write_unknown(struct jw *out, struct panbind_vm *vm, uint64_t limit)
{
	uint64_t at = 0, va, size;

	jw_array(out, "unknown_ranges");
	for (; limit > 0 && panbind_vm_next_unknown(vm, at, &va, &size) == 0; at = va + size, limit--) {
		jw_range(out, va, size);
	}
	jw_array_end(out);
}

int engine_vm_show(struct engine *engine, struct request *request)
{
	struct panbind_vm *vm = engine_find_vm(engine, request, request->call.name, "/params/name");
	struct jw *out = &request->out;
	int r;

	if (!vm)
		return request->error.code;
	jw_object(out, "result");
	r = write_vm(engine, out, request->call.name, vm);
	if (r < 0)
		return refuse_state(request, r);
	write_regions(out, vm);
	if (panbind_vm_is_adopted(vm))
		write_unknown(out, vm, request->call.limit);
	if (request->call.map)
		write_map(engine, request, vm);
	jw_object_end(out);
	return 0;
}

int engine_vm_state(struct engine *engine, struct request *request)
{
	struct panbind_vm *vm = engine_find_vm(engine, request, request->call.name, "/params/name");
	int r;

	if (!vm)
		return request->error.code;
	jw_object(&request->out, "result");
	jw_int(&request->out, "map_generation", (int64_t)panbind_vm_map_generation(vm));
	r = write_state(engine, &request->out, request->call.name, vm);
	jw_object_end(&request->out);
	return r < 0 ? refuse_state(request, r) : 0;
}

/* ---- BOs ---- */

int engine_bo_list(struct engine *engine, struct request *request)
{
	struct jw *out = &request->out;
	struct panbind_bo *bo;

	jw_object(out, "result");
	jw_array(out, "bos");
	for (size_t i = 0; (bo = panbind_session_bo_at(engine->session, i)); i++) {
		const char *name = panbind_session_bo_name(engine->session, bo);
		const char *vm = panbind_session_bo_vm(engine->session, bo);

		jw_object(out, NULL);
		jw_string(out, "name", name);
		jw_int(out, "generation", (int64_t)registry_get(&engine->registry, OBJECT_BO, name));
		jw_hex(out, "size", panbind_bo_size(bo));
		write_bo_flags(out, panbind_bo_flags(bo));
		if (vm)
			jw_string(out, "vm", vm);
		jw_object_end(out);
	}
	jw_array_end(out);
	jw_object_end(out);
	return 0;
}

/** The bytes of the range, or NULL with the refusal in the request. */
static unsigned char *find_bytes(struct engine *engine, struct request *request, uint64_t size)
{
	struct panbind_bo *bo = engine_find_bo(engine, request, request->call.name, "/params/name");
	uint64_t offset = request->call.offset;
	void *bytes = NULL;
	int r;

	if (!bo)
		return NULL;
	if (offset > panbind_bo_size(bo) || size > panbind_bo_size(bo) - offset) {
		rpc_error_set(&request->error, RPC_PARAMS, ERANGE, "beyond the BO, which has 0x%llx bytes",
			      (unsigned long long)panbind_bo_size(bo));
		request_point(request, "/params/offset");
		return NULL;
	}
	r = panbind_bo_mmap(bo, &bytes);
	if (r < 0) {
		rpc_error_set(&request->error, RPC_FAILED, -r, "the BO cannot be mapped for the CPU: %s", strerror(-r));
		return NULL;
	}
	return (unsigned char *)bytes + offset;
}

int engine_bo_read(struct engine *engine, struct request *request)
{
	const unsigned char *bytes = find_bytes(engine, request, request->call.size);
	struct jw *out = &request->out;

	if (!bytes)
		return request->error.code;
	jw_object(out, "result");
	if (base64_write(out, "data", bytes, request->call.size) < 0)
		return rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory");
	jw_object_end(out);
	return 0;
}

int engine_bo_write(struct engine *engine, struct request *request)
{
	unsigned char *bytes = find_bytes(engine, request, request->call.data_size);

	if (!bytes)
		return request->error.code;
	memcpy(bytes, request->call.data, request->call.data_size);
	jw_object(&request->out, "result");
	jw_int(&request->out, "written", (int64_t)request->call.data_size);
	jw_object_end(&request->out);
	return 0;
}
