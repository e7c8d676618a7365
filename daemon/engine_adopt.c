/* SPDX-License-Identifier: MIT */
/*
 * Methods about VMs of other programs: taken over with the descriptor of the program's open file, and let go.
 *
 * All VMs of a call are taken or none. What they map is in the log as far as it could be seen, what could not as
 * unknown; the log has them as a program's, so that nobody takes them for the daemon's own after a restart.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "adoption.h"
#include "say.h"
#include "util.h"

#define IDS_MOST 32

/** A call of vm.adopt under way. */
struct adopting {
	struct engine *engine;
	struct request *request;
	struct adoption *adoption;
	struct adopted *taken[IDS_MOST];
	size_t count;
	uint64_t began_ns;
};

static int __attribute__((format(printf, 5, 6)))
refuse(struct request *request, int code, int err, const char *pointer, const char *format, ...)
{
	char message[sizeof(request->error.message)];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	rpc_error_set(&request->error, code, err, "%s", message);
	if (pointer)
		request_point(request, pointer);
	return code;
}

static int refuse_library(struct request *request, int r, const struct panbind_error *from)
{
	struct panbind_error error = *from;

	if (error.code == 0) {
		error = (struct panbind_error){.code = r, .stage = PANBIND_STAGE_VALIDATE, .op = PANBIND_NO_OP};
		snprintf(error.msg, sizeof(error.msg), "%s", strerror(-r));
	}
	return rpc_error_from_library(&request->error, &error, APPLIED_NONE);
}

/* ---- Whose it is ---- */

/** Whoever names another process must own it: its end decides how long the VMs stay. */
static int check_process(struct request *request, pid_t pid)
{
	struct stat status;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (pid == request->peer.pid)
		return 0;
	if (stat(path, &status) < 0)
		return refuse(request, RPC_NOT_FOUND, ESRCH, "/params/pid", "there is no such process");
	if (status.st_uid != request->peer.uid && request->peer.role < ROLE_ADMIN)
		return refuse(request, RPC_NOT_PERMITTED, EPERM, "/params/pid",
			      "the process belongs to another user, which takes the role \"admin\"");
	return 0;
}

static size_t count_open_files(const struct engine *engine)
{
	size_t count = 0;

	for (const struct adopted *adopted = engine->adopted; adopted; adopted = adopted->next)
		count++;
	return count;
}

static int open_file(struct adopting *adopting)
{
	struct request *request = adopting->request;
	pid_t pid = request->call.pid ? (pid_t)request->call.pid : request->peer.pid;
	struct panbind_error error = {0};
	int r;

	if (request->fd < 0)
		return refuse(request, RPC_PARAMS, EBADF, NULL, "%s",
			      request->fd_many
				      ? "several descriptors came beside the request, or one too many for the daemon: "
					"it takes exactly one"
				      : "the descriptor of the program's render node must come beside the request "
					"(SCM_RIGHTS)");
	if (count_open_files(adopting->engine) >= ADOPTED_MOST)
		return refuse(request, RPC_BUSY, EMFILE, NULL, "too many VMs of programs at the same time");
	r = check_process(request, pid);
	if (r != 0)
		return r;
	adopting->adoption = adoption_find(adopting->engine, request->fd);
	if (adopting->adoption)
		return 0;
	r = adoption_open(adopting->engine, take_fd(request->fd), pid, &adopting->adoption, &error);
	return r < 0 ? refuse_library(request, r, &error) : 0;
}

/* ---- Which VMs, and how they are called ---- */

static const struct adopted *find_id(const struct adopting *adopting, uint32_t id)
{
	const struct adopted *adopted = adopting->engine->adopted;

	while (adopted && (adopted->adoption != adopting->adoption || adopted->id != id))
		adopted = adopted->next;
	return adopted;
}

static int find_ids(struct adopting *adopting, uint32_t ids[IDS_MOST], size_t *ret_count)
{
	struct request *request = adopting->request;
	int count;

	ids[0] = (uint32_t)request->call.vm_id;
	*ret_count = 1;
	if (ids[0] != 0)
		return 0;
	count = panbind_device_vm_ids(adopting->adoption->device, ids, IDS_MOST);
	if (count < 0)
		return refuse_library(request, count, &(struct panbind_error){0});
	if (count == 0)
		return refuse(request, RPC_NOT_FOUND, ENOENT, NULL, "the program has no VM on that open file");
	*ret_count = (size_t)count;
	return 0;
}

static int check_new(struct adopting *adopting, const char *name, uint32_t id)
{
	const struct adopted *known = find_id(adopting, id);

	if (known)
		return refuse(adopting->request, RPC_EXISTS, EEXIST, NULL, "that VM is here already, as %s",
			      known->name);
	if (panbind_session_vm(adopting->engine->session, name))
		return refuse(adopting->request, RPC_EXISTS, EEXIST, "/params/name", "there is a VM %s", name);
	return 0;
}

/** Under its name in the session, nothing of it known. */
static int take(struct adopting *adopting, const char *name, uint32_t id)
{
	struct engine *engine = adopting->engine;
	size_t size = strlen(name) + 1;
	struct adopted *adopted = calloc(1, sizeof(*adopted) + size);
	struct panbind_error error = {0};
	struct panbind_vm *vm = NULL;
	int r = adopted ? panbind_vm_adopt(adopting->adoption->device, id, adopting->request->call.va_range, &vm,
					   &error)
			: -ENOMEM;

	if (r == 0)
		r = panbind_session_add_vm(engine->session, name, vm);
	if (r < 0) {
		panbind_vm_destroy(vm);
		free(adopted);
		return refuse_library(adopting->request, r, &error);
	}
	memcpy(adopted->name, name, size);
	adopted->id = id;
	adopted->adoption = adopting->adoption;
	adopting->adoption->vms++;
	adopted->next = engine->adopted;
	engine->adopted = adopted;
	adopting->taken[adopting->count++] = adopted;
	return 0;
}

static int take_all(struct adopting *adopting)
{
	const char *name = adopting->request->call.name;
	uint32_t ids[IDS_MOST];
	char numbered[160];
	size_t count;
	int r = find_ids(adopting, ids, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		snprintf(numbered, sizeof(numbered), "%.128s.%u", name, ids[i]);
		r = check_new(adopting, count == 1 ? name : numbered, ids[i]);
		if (r == 0)
			r = take(adopting, count == 1 ? name : numbered, ids[i]);
	}
	return r;
}

/* ---- The record ---- */

static int record_all(struct adopting *adopting)
{
	struct engine *engine = adopting->engine;
	const struct call *call = &adopting->request->call;
	struct record record = {
		.engine = engine, .request = adopting->request, .durability = PANBIND_LOG_DURABLE_SYNC, .whole = true};
	char comment[256];

	for (size_t i = 0; i < adopting->count; i++) {
		const struct adopted *adopted = adopting->taken[i];

		snprintf(comment, sizeof(comment), "VM %u of process %d: %.200s", adopted->id,
			 (int)adopted->adoption->pid, adopted->adoption->program);
		record_vm(&record, adopted->name, call->comment ? call->comment : comment);
	}
	adopting->request->seq = record.seq;
	return record_finish(&record);
}

/** The VMs are in the log; then what can be seen of them, and what cannot. */
static int record_and_look(struct adopting *adopting)
{
	struct engine *engine = adopting->engine;
	int r = engine->log ? record_all(adopting) : 0;

	for (size_t i = 0; r == 0 && i < adopting->count; i++)
		r = adopted_look(engine, adopting->taken[i], 0, 0);
	if (r == 0)
		return 0;
	rpc_error_set(&adopting->request->error, RPC_JOURNAL, -r, "what the VM maps could not be recorded: %s",
		      strerror(-r));
	return RPC_JOURNAL;
}

/** Whatever of it is in the log is let go there too. */
static void give_up(struct adopting *adopting)
{
	struct engine *engine = adopting->engine;

	for (size_t i = 0; i < adopting->count; i++) {
		struct adopted *adopted = adopting->taken[i];

		if (!engine->log || registry_get(&engine->registry, OBJECT_VM, adopted->name) == 0 ||
		    adopted_drop(engine, adopted, NULL, "it could not be taken over") < 0)
			adopted_free(engine, adopted);
	}
	if (adopting->count == 0 && adopting->adoption && adopting->adoption->vms == 0)
		adoption_close(engine, adopting->adoption);
}

static void write_adopted(struct adopting *adopting, const struct adopted *adopted)
{
	struct engine *engine = adopting->engine;
	struct panbind_vm *vm = panbind_session_vm(engine->session, adopted->name);
	struct jw *out = &adopting->request->out;

	jw_object(out, NULL);
	jw_string(out, "name", adopted->name);
	jw_int(out, "generation", (int64_t)registry_get(&engine->registry, OBJECT_VM, adopted->name));
	jw_int(out, "map_generation", (int64_t)panbind_vm_map_generation(vm));
	engine_write_program(engine, out, adopted->name);
	jw_int(out, "mappings", (int64_t)panbind_vm_mapping_count(vm));
	jw_object_end(out);
}

static void write_result(struct adopting *adopting)
{
	struct jw *out = &adopting->request->out;

	jw_object(out, "result");
	jw_array(out, "vms");
	for (size_t i = 0; i < adopting->count; i++)
		write_adopted(adopting, adopting->taken[i]);
	jw_array_end(out);
	if (adopting->request->seq)
		jw_int(out, "seq", (int64_t)adopting->request->seq);
	jw_object_end(out);
}

int engine_vm_adopt(struct engine *engine, struct request *request)
{
	struct adopting adopting = {.engine = engine, .request = request};
	int r;

	units_drain(engine);
	r = open_file(&adopting);
	if (r == 0 && adopting.adoption)
		r = take_all(&adopting);
	if (r == 0)
		r = record_and_look(&adopting);
	if (r != 0) {
		give_up(&adopting);
		return r;
	}
	for (size_t i = 0; i < adopting.count; i++)
		say(SAY_NOTICE, "%s: %s is VM %u of process %d", engine->name, adopting.taken[i]->name,
		    adopting.taken[i]->id, (int)adopting.taken[i]->adoption->pid);
	write_result(&adopting);
	return 0;
}

/* ---- Letting go ---- */

static int drop(struct engine *engine, struct request *request, struct adopted *adopted, size_t *dropped)
{
	const char *why = request->call.comment ? request->call.comment : "let go";
	char name[160];
	int r;

	snprintf(name, sizeof(name), "%s", adopted->name);
	r = adopted_drop(engine, adopted, request, why);
	if (r == 0) {
		jw_string(&request->out, NULL, name);
		++*dropped;
		return 0;
	}
	rpc_error_set(&request->error, RPC_JOURNAL, -r, "that %s is let go could not be recorded: %s", name,
		      strerror(-r));
	return RPC_JOURNAL;
}

int engine_vm_drop(struct engine *engine, struct request *request)
{
	const struct call *call = &request->call;
	struct adopted *adopted = adopted_find(engine, call->name), *next;
	size_t dropped = 0;
	int r = 0;

	if (!call->name == !call->pid)
		return refuse(request, RPC_PARAMS, EINVAL, NULL, "either `name` or `pid`, and not both, is required");
	if (call->name && !adopted && panbind_session_vm(engine->session, call->name))
		return refuse(request, RPC_FAILED, EINVAL, "/params/name",
			      "%s is a VM of the daemon's own: vm.destroy ends it", call->name);
	jw_object(&request->out, "result");
	jw_array(&request->out, "dropped");
	if (adopted)
		r = drop(engine, request, adopted, &dropped);
	for (adopted = engine->adopted; r == 0 && call->pid && adopted; adopted = next) {
		next = adopted->next;
		if ((uint64_t)adopted->adoption->pid == call->pid)
			r = drop(engine, request, adopted, &dropped);
	}
	if (r == 0 && dropped == 0)
		return refuse(request, RPC_NOT_FOUND, ENOENT, call->name ? "/params/name" : "/params/pid",
			      "there is no VM of a program by that %s", call->name ? "name" : "process");
	jw_array_end(&request->out);
	if (request->seq)
		jw_int(&request->out, "seq", (int64_t)request->seq);
	jw_object_end(&request->out);
	return r;
}

/* ---- For vm.list and vm.show ---- */

void engine_write_program(struct engine *engine, struct jw *out, const char *name)
{
	const struct adopted *adopted = adopted_find(engine, name);
	uint64_t va = 0, size = 0, unknown = 0;
	struct panbind_vm *vm = panbind_session_vm(engine->session, name);

	if (!adopted)
		return;
	for (; panbind_vm_next_unknown(vm, va + size, &va, &size) == 0;)
		unknown += size;
	jw_object(out, "program");
	jw_int(out, "pid", adopted->adoption->pid);
	jw_string(out, "argv", adopted->adoption->program);
	jw_int(out, "vm_id", adopted->id);
	jw_string(out, "sight", panbind_sight_name(adopted->sight.source));
	if (unknown > 0)
		jw_string(out, "why", adopted->sight.why);
	jw_object_end(out);
	jw_hex(out, "unknown", unknown);
}

int engine_refuse_adopted(struct engine *engine, struct request *request, const char *name)
{
	if (!adopted_find(engine, name))
		return 0;
	return refuse(request, RPC_FAILED, EBUSY, "/params/name", "%s is a program's VM: vm.drop lets it go", name);
}
