/* SPDX-License-Identifier: MIT */
/* See record_files.h. */
#include "record_files.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One more place in an array of @size bytes an element. 0 or -ENOMEM. */
static int make_room(void *array, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 8;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*(void **)array, more, size);
	if (!grown)
		return -ENOMEM;
	*(void **)array = grown;
	*room = more;
	return 0;
}

int record_files_add_process(struct record_files *files, struct record_process *process)
{
	if (make_room(&files->processes, files->process_count, &files->process_room, sizeof(struct record_process *)) <
	    0)
		return -ENOMEM;
	files->processes[files->process_count++] = process;
	return 0;
}

static struct record_file *find(const struct record_files *files, uint64_t id)
{
	for (size_t i = files->count; i-- > 0;)
		if (files->list[i]->id == id)
			return files->list[i];
	return NULL;
}

struct record_file *record_files_get(struct record_files *files, uint64_t id)
{
	struct record_file *file = find(files, id);

	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	if (!file || make_room(&files->list, files->count, &files->room, sizeof(struct record_file *)) < 0) {
		free(file);
		return NULL;
	}
	file->id = id;
	files->list[files->count++] = file;
	return file;
}

void record_files_name(struct record_files *files, struct record_file *file)
{
	if (file->number)
		return;
	file->number = ++files->named;
	if (file->number > 1)
		snprintf(file->prefix, sizeof(file->prefix), "f%zu.", file->number);
}

/* ---- What the system knows of a descriptor ---- */

/* "drm-client-id" tells the files of a driver apart, where the driver writes it. 0: it does not. */
static uint64_t client_of(pid_t pid, int fd)
{
	static const char key[] = "drm-client-id:";
	char path[64], line[128];
	uint64_t client = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	info = fopen(path, "re");
	if (!info)
		return 0;
	while (client == 0 && fgets(line, sizeof(line), info))
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			client = strtoull(line + sizeof(key) - 1, NULL, 10);
	fclose(info);
	return client;
}

static pid_t parent_of(pid_t pid)
{
	static const char key[] = "PPid:";
	char path[64], line[128];
	long parent = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	if (!status)
		return 0;
	while (parent == 0 && fgets(line, sizeof(line), status))
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			parent = strtol(line + sizeof(key) - 1, NULL, 10);
	fclose(status);
	return (pid_t)parent;
}

/* 0: they are the same open file; else not, or nobody may know. */
static long differ(pid_t pid, int fd, pid_t other, int other_fd)
{
	return syscall(SYS_kcmp, pid, other, KCMP_FILE, fd, other_fd);
}

/* ---- Holders ---- */

static struct record_holder *holder_of(const struct record_process *process, int fd)
{
	for (size_t i = 0; i < process->holder_count; i++)
		if (process->holders[i].fd == fd)
			return &process->holders[i];
	return NULL;
}

static void leave(struct record_file *file, int64_t now_ns, uint64_t number, bool by_death)
{
	if (!file || file->holders == 0 || --file->holders > 0)
		return;
	file->left_ns = now_ns;
	file->left_number = number;
	file->by_death = by_death;
}

static void let_go(struct record_files *files, struct record_process *process, const struct record_event *event)
{
	struct record_holder *holder = holder_of(process, event->fd);

	if (!holder)
		return;
	leave(find(files, holder->file), event->start_ns, event->number, false);
	*holder = process->holders[--process->holder_count];
}

static int hold(struct record_files *files, struct record_process *process, const struct record_event *event)
{
	struct record_file *file = record_files_get(files, event->file);

	let_go(files, process, event);
	if (!file ||
	    make_room(&process->holders, process->holder_count, &process->holder_room, sizeof(*process->holders)) < 0)
		return -ENOMEM;
	process->holders[process->holder_count++] = (struct record_holder){event->fd, event->file};
	file->holders++;
	file->over = false;
	if (!file->client)
		file->client = client_of(process->pid, event->fd);
	return 0;
}

int record_files_event(struct record_files *files, struct record_process *process, const struct record_event *event)
{
	struct record_file *file = find(files, event->file);

	switch (event->type) {
	case RECORD_HELD:
		return hold(files, process, event);
	case RECORD_CLOSED:
		let_go(files, process, event);
		return 0;
	case RECORD_SENT:
		if (file)
			file->in_flight++;
		return 0;
	default:
		if (file && file->in_flight)
			file->in_flight--;
		return 0;
	}
}

void record_files_process_gone(struct record_files *files, struct record_process *process, int64_t now_ns,
			       uint64_t number)
{
	for (size_t i = 0; i < process->holder_count; i++)
		leave(find(files, process->holders[i].file), now_ns, number, true);
	process->holder_count = 0;
	process->ended = true;
}

/* ---- Which file ---- */

static uint64_t by_client(const struct record_files *files, uint64_t client)
{
	for (size_t i = files->count; client && i-- > 0;)
		if (files->list[i]->client == client)
			return files->list[i]->id;
	return 0;
}

/* @ret_blind: the system does not let us compare. */
static uint64_t by_comparing(const struct record_files *files, pid_t pid, int fd, bool *ret_blind)
{
	for (size_t p = 0; p < files->process_count; p++) {
		const struct record_process *process = files->processes[p];

		for (size_t i = 0; i < process->holder_count; i++) {
			long differs = differ(pid, fd, process->pid, process->holders[i].fd);

			if (differs == 0)
				return process->holders[i].file;
			*ret_blind |= differs < 0 && (errno == EPERM || errno == ENOSYS);
		}
	}
	return 0;
}

/* What a child has is what its parent had under the same number. */
static uint64_t by_ancestry(const struct record_files *files, pid_t pid, int fd)
{
	pid_t parent = parent_of(pid);

	for (size_t p = files->process_count; p-- > 0;) {
		const struct record_process *process = files->processes[p];
		const struct record_holder *holder = holder_of(process, fd);

		if (holder && (process->pid == parent || process->pid == pid))
			return holder->file;
	}
	return 0;
}

/* Whoever sent it has closed it already: the one that is in a message and nowhere else. */
static uint64_t in_flight(const struct record_files *files)
{
	uint64_t found = 0;

	for (size_t i = 0; i < files->count; i++) {
		const struct record_file *file = files->list[i];

		if (!file->in_flight || file->holders)
			continue;
		if (found)
			return 0;
		found = file->id;
	}
	return found;
}

uint64_t record_files_which(const struct record_files *files, pid_t pid, int fd)
{
	bool blind = false;
	uint64_t file = by_client(files, client_of(pid, fd));

	if (!file)
		file = by_comparing(files, pid, fd, &blind);
	if (!file && blind)
		file = by_ancestry(files, pid, fd);
	return file ? file : in_flight(files);
}

/* ---- The end of a file ---- */

static bool is_left(const struct record_file *file)
{
	return !file->over && file->left_number && file->holders == 0 && file->in_flight == 0;
}

struct record_file *record_files_over(struct record_files *files, int64_t now_ns, uint64_t last_number)
{
	for (size_t i = 0; i < files->count; i++) {
		struct record_file *file = files->list[i];

		if (!is_left(file))
			continue;
		if (now_ns == INT64_MAX ? file->by_death && file->left_number >= last_number
					: now_ns - file->left_ns < RECORD_GRACE_NS)
			continue;
		file->over = true;
		return file;
	}
	return NULL;
}

bool record_files_waiting(const struct record_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		if (is_left(files->list[i]))
			return true;
	return false;
}

void record_files_free(struct record_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->list[i]);
	free(files->list);
	free(files->processes);
	*files = (struct record_files){0};
}
