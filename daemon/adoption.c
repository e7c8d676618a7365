/* SPDX-License-Identifier: MIT */
/*
 * The list of programs and their VMs: opened, looked at, let go. See adoption.h.
 */
#include "adoption.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "say.h"
#include "util.h"

/* ---- Open files ---- */

/** Are two of our descriptors the same open file? A kernel without kcmp(2) does not say. */
static bool is_same_file(int a, int b)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, (unsigned long)a, (unsigned long)b) == 0;
}

struct adoption *adoption_find(const struct engine *engine, int fd)
{
	for (const struct adopted *adopted = engine->adopted; adopted; adopted = adopted->next)
		if (is_same_file(adopted->adoption->fd, fd))
			return adopted->adoption;
	return NULL;
}

static char *command_line(pid_t pid)
{
	char path[64], text[512];
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	if (file) {
		size = fread(text, 1, sizeof(text) - 1, file);
		fclose(file);
	}
	while (size > 0 && text[size - 1] == '\0')
		size--;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
	text[size] = '\0';
	return strdup(text);
}

/** Be told of the program's end, if that can be. */
static void watch(struct engine *engine, struct adoption *adoption)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

	adoption->pidfd = adoption->pid > 0 ? (int)syscall(SYS_pidfd_open, adoption->pid, 0) : -1;
	if (adoption->pidfd >= 0 && epoll_ctl(engine->ends_fd, EPOLL_CTL_ADD, adoption->pidfd, &event) == 0)
		return;
	say(SAY_WARNING, "%s: the end of process %d cannot be watched: %s", engine->name, (int)adoption->pid,
	    strerror(errno));
}

static bool has_ended(const struct adoption *adoption)
{
	struct pollfd poll_fd = {.fd = adoption->pidfd, .events = POLLIN};

	return adoption->pidfd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

/** What a client passes may be anything: nothing is asked of it before it is known to be a render node. */
static int check_node(int fd, struct panbind_error *reterr)
{
	if (panbind_fd_is_render_node(fd))
		return 0;
	*reterr = (struct panbind_error){
		.code = -ENODEV,
		.stage = PANBIND_STAGE_VALIDATE,
		.op = PANBIND_NO_OP,
		.msg = "the descriptor is not open on a render node",
	};
	return -ENODEV;
}

static int check_gpu(const struct engine *engine, const struct adoption *adoption, struct panbind_error *reterr)
{
	struct panbind_device_info info;
	int r = panbind_device_get_info(adoption->device, &info);

	if (r < 0 || (info.gpu_id == engine->info.gpu_id && info.version_minor == engine->info.version_minor &&
		      (strcmp(info.backend, engine->info.backend) != 0 || strcmp(info.path, engine->info.path) == 0)))
		return r;
	*reterr = (struct panbind_error){.code = -EXDEV, .stage = PANBIND_STAGE_VALIDATE, .op = PANBIND_NO_OP};
	snprintf(reterr->msg, sizeof(reterr->msg), "the descriptor is of another device (%.40s) than %.20s (%.40s)",
		 info.path[0] ? info.path : info.backend, engine->name,
		 engine->info.path[0] ? engine->info.path : engine->info.backend);
	return -EXDEV;
}

int adoption_open(struct engine *engine, int fd, pid_t pid, struct adoption **ret_adoption,
		  struct panbind_error *reterr)
{
	struct adoption *adoption = calloc(1, sizeof(*adoption));
	int r = -ENOMEM;

	if (!adoption) {
		close(fd);
		return r;
	}
	adoption->fd = fd;
	adoption->pid = pid;
	adoption->pidfd = -1;
	adoption->program = command_line(pid);
	if (adoption->program)
		r = check_node(fd, reterr);
	if (r == 0)
		r = panbind_device_open_fd(fd, &adoption->device, reterr);
	if (r == 0)
		r = check_gpu(engine, adoption, reterr);
	if (r < 0) {
		adoption_close(engine, adoption);
		return r;
	}
	if (engine->info.atomic != PANBIND_UNKNOWN)
		panbind_device_assume_atomic(adoption->device, engine->info.atomic);
	watch(engine, adoption);
	*ret_adoption = adoption;
	return 0;
}

void adoption_close(struct engine *engine, struct adoption *adoption)
{
	if (adoption->pidfd >= 0) {
		epoll_ctl(engine->ends_fd, EPOLL_CTL_DEL, adoption->pidfd, NULL);
		close(adoption->pidfd);
	}
	panbind_device_unref(adoption->device);
	close(adoption->fd);
	free(adoption->program);
	free(adoption);
}

/* ---- VMs ---- */

struct adopted *adopted_find(const struct engine *engine, const char *name)
{
	for (struct adopted *adopted = engine->adopted; name && adopted; adopted = adopted->next)
		if (strcmp(adopted->name, name) == 0)
			return adopted;
	return NULL;
}

bool adopted_has_bo(const struct engine *engine, const char *name)
{
	for (const struct adopted *adopted = engine->adopted; adopted; adopted = adopted->next)
		for (size_t i = 0; i < adopted->bo_count; i++)
			if (strcmp(adopted->bos[i], name) == 0)
				return true;
	return false;
}

/** A name for one more of the program's BOs: NAME.boN. */
static char *next_bo_name(struct engine *engine, const struct adopted *adopted)
{
	char name[160];
	size_t number = adopted->bo_count;

	do
		snprintf(name, sizeof(name), "%.120s.bo%zu", adopted->name, ++number);
	while (panbind_session_bo(engine->session, name));
	return strdup(name);
}

static int name_bo(struct record *record, struct adopted *adopted, struct panbind_bo *bo)
{
	struct engine *engine = record->engine;
	char **grown = reallocarray(adopted->bos, adopted->bo_count + 1, sizeof(*grown));
	char *name;

	if (!grown)
		return -ENOMEM;
	adopted->bos = grown;
	name = next_bo_name(engine, adopted);
	if (!name || panbind_session_add_bo(engine->session, name, bo, NULL) < 0) {
		free(name);
		return -ENOMEM;
	}
	panbind_bo_ref(bo);
	adopted->bos[adopted->bo_count++] = name;
	return engine->log ? record_bo(record, name, bo, "a BO of the program's") : 0;
}

/** The program's BOs that have no name yet. Those of the daemon have one, or had one, before they could be mapped. */
static int name_bos(struct record *record, struct adopted *adopted, const struct pieces *pieces)
{
	struct panbind_session *session = record->engine->session;
	int r = 0;

	for (size_t i = 0; r == 0 && i < pieces->count; i++) {
		struct panbind_bo *bo = pieces->pieces[i].bo;

		if (bo && !panbind_session_bo_name(session, bo) && !panbind_bo_last_name(bo))
			r = name_bo(record, adopted, bo);
	}
	return r;
}

/** The VMs of the daemon itself, by which a kernel's books are told apart. */
static size_t own_vms(struct engine *engine)
{
	size_t count = 0;
	const char *name;

	for (size_t i = 0; (name = panbind_session_vm_name(engine->session, i)); i++) {
		struct panbind_vm *vm = panbind_session_vm(engine->session, name);

		if (!panbind_vm_is_adopted(vm) && engine_make_touched_room(engine, count + 1) == 0)
			engine->touched[count++] = vm;
	}
	return count;
}

static int record_changes(struct record *record, struct adopted *adopted, const struct pieces *before,
			  const struct pieces *after)
{
	char comment[96];
	int r = name_bos(record, adopted, after), end;

	snprintf(comment, sizeof(comment), "bound by the program itself, process %d", (int)adopted->adoption->pid);
	if (r == 0 && record->engine->log)
		r = pieces_record(record, adopted->name, before, after, comment);
	end = record->engine->log ? record_finish(record) : 0;
	return r < 0 ? r : end;
}

int adopted_look(struct engine *engine, struct adopted *adopted, uint64_t va, uint64_t size)
{
	struct panbind_vm *vm = panbind_session_vm(engine->session, adopted->name);
	struct record record = {.engine = engine, .durability = PANBIND_LOG_DURABLE_SYNC, .whole = true};
	struct panbind_look look = {.home = engine->device, .va = va, .size = size};
	uint64_t range = size ? size : panbind_vm_va_range(vm) - va, generation = panbind_vm_map_generation(vm);
	struct panbind_sight sight;
	struct pieces before = {0}, after = {0};
	int r;

	look.other_count = own_vms(engine);
	look.others = engine->touched;
	r = adopted->told ? pieces_take(vm, va, range, &before) : 0;
	if (r == 0)
		r = panbind_vm_look(vm, &look, &sight, NULL);
	if (r == 0)
		r = pieces_take(vm, va, range, &after);
	if (r == 0 && size == 0)
		adopted->sight = sight;
	if (r == 0)
		r = record_changes(&record, adopted, &before, &after);
	adopted->told |= r == 0;
	if (r == 0 && record.seq)
		panbind_vm_set_map_generation(vm, record.seq);
	else if (r == 0 && engine->log)
		panbind_vm_set_map_generation(vm, generation);
	pieces_free(&before);
	pieces_free(&after);
	return r;
}

/* ---- Letting go ---- */

void adopted_free(struct engine *engine, struct adopted *adopted)
{
	struct adoption *adoption = adopted->adoption;
	struct adopted **at = &engine->adopted;

	while (*at && *at != adopted)
		at = &(*at)->next;
	if (*at)
		*at = adopted->next;
	panbind_vm_destroy(panbind_session_take_vm(engine->session, adopted->name));
	for (size_t i = 0; i < adopted->bo_count; i++) {
		panbind_bo_unref(panbind_session_take_bo(engine->session, adopted->bos[i]));
		free(adopted->bos[i]);
	}
	free(adopted->bos);
	free(adopted);
	if (--adoption->vms == 0)
		adoption_close(engine, adoption);
}

int adopted_drop(struct engine *engine, struct adopted *adopted, struct request *request, const char *why)
{
	struct record record = {
		.engine = engine, .request = request, .durability = PANBIND_LOG_DURABLE_SYNC, .whole = true};
	int r = 0;

	units_drain(engine); /* what is not yet recorded of it could not be undone any more */
	if (engine->log) {
		record_end(&record, PANBIND_LOG_VM_DESTROY, adopted->name, why);
		for (size_t i = 0; i < adopted->bo_count; i++)
			if (panbind_session_bo(engine->session, adopted->bos[i]))
				record_end(&record, PANBIND_LOG_BO_DESTROY, adopted->bos[i], why);
		r = record_finish(&record);
	}
	if (r < 0)
		return r;
	if (request)
		request->seq = record.seq;
	say(SAY_NOTICE, "%s: %s is let go: %s", engine->name, adopted->name, why);
	adopted_free(engine, adopted);
	return 0;
}

void adoptions_look(struct engine *engine)
{
	struct adopted *next;
	char why[80];

	for (struct adopted *adopted = engine->adopted; adopted; adopted = next) {
		next = adopted->next;
		if (!has_ended(adopted->adoption))
			continue;
		snprintf(why, sizeof(why), "the program has ended, process %d", (int)adopted->adoption->pid);
		if (adopted_drop(engine, adopted, NULL, why) == 0)
			continue;
		say(SAY_WARNING, "%s: %s is let go, and the log does not take it: %s", engine->name, adopted->name,
		    why);
		engine->diverged = true;
		adopted_free(engine, adopted);
	}
}

void adoptions_end(struct engine *engine)
{
	while (engine->adopted && adopted_drop(engine, engine->adopted, NULL, "the daemon ends") == 0)
		;
	adoptions_free(engine);
}

void adoptions_free(struct engine *engine)
{
	while (engine->adopted)
		adopted_free(engine, engine->adopted);
}

/* ---- Before a call ---- */

/** A range that nobody can bind is not looked at: the op is refused anyway. */
static void look_at_range(struct engine *engine, const char *vm, uint64_t va, uint64_t size)
{
	struct adopted *adopted = adopted_find(engine, vm);

	if (adopted && size > 0 && ((va | size) & (PANBIND_PAGE_SIZE - 1)) == 0)
		adopted_look(engine, adopted, va, size);
}

void adoptions_refresh(struct engine *engine, const struct request *request)
{
	const struct call *call = &request->call;

	if (!engine->adopted)
		return;
	for (size_t i = 0; i < call->op_count; i++)
		look_at_range(engine, call->ops[i].vm ? call->ops[i].vm : call->vm, call->ops[i].va, call->ops[i].size);
	if (call->vm && call->size > 0)
		look_at_range(engine, call->vm, call->va, call->size);
	if (!request->method->heavy && request->method->on_device != engine_vm_list)
		return;
	for (struct adopted *adopted = engine->adopted; adopted; adopted = adopted->next)
		adopted_look(engine, adopted, 0, 0);
}

void adoptions_force(struct engine *engine, bool force)
{
	for (const struct adopted *adopted = engine->adopted; adopted; adopted = adopted->next)
		panbind_vm_set_force(panbind_session_vm(engine->session, adopted->name), force);
}
