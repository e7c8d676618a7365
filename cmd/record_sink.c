/* SPDX-License-Identifier: MIT */
/* See record_sink.h. */
#include "record_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SPARE_BYTES   (512 << 10)
#define LAST_TRIES    8 /* at the end, while the disk is full */
#define LAST_NAP_NS   150000000
#define ANSWER_NAP_NS 500000
#define WORDS_OF_LOSS "the recording ends here: %s; what was done after this is missing"

/** A copy of an entry, with its ops and strings in one piece. */
struct kept {
	struct kept *next;
	size_t size;
	struct panbind_log_entry entry;
};

struct record_sink {
	struct panbind_log *log;
	char *spare; /* a file that keeps some room for the last words, or NULL */
	struct kept *first, **end;
	struct kept *unsent; /* from here on they have to be appended */
	size_t bytes, limit;
	uint64_t count;
	uint64_t sent, freed;	  /* entries appended and not refused; of them no longer kept */
	_Atomic uint64_t written; /* told by the log, as the following */
	_Atomic uint64_t refused;
	_Atomic int why; /* the errno of the last refusal */
};

/* ---- Copies ---- */

static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *keep(char **at, const char *text)
{
	char *copy = *at;

	if (!text)
		return NULL;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static size_t text_bytes(const struct panbind_log_entry *entry)
{
	size_t bytes = size_of(entry->argv) + size_of(entry->comment) + size_of(entry->message) +
		       size_of(entry->object.ref.name) + size_of(entry->object.exclusive_vm.name);

	for (size_t i = 0; i < entry->op_count; i++)
		bytes += size_of(entry->ops[i].vm.name) + size_of(entry->ops[i].bo.name) + size_of(entry->ops[i].syncs);
	return bytes;
}

static struct kept *copy_of(const struct panbind_log_entry *entry)
{
	size_t ops = entry->op_count * sizeof(struct panbind_log_op), size;
	struct panbind_log_op *to;
	struct kept *kept;
	char *at;

	size = sizeof(*kept) + ops + text_bytes(entry);
	kept = malloc(size);
	if (!kept)
		return NULL;
	*kept = (struct kept){.size = size, .entry = *entry};
	to = (struct panbind_log_op *)(kept + 1);
	at = (char *)to + ops;
	kept->entry.ops = to;
	for (size_t i = 0; i < entry->op_count; i++) {
		to[i] = entry->ops[i];
		to[i].vm.name = keep(&at, entry->ops[i].vm.name);
		to[i].bo.name = keep(&at, entry->ops[i].bo.name);
		to[i].syncs = keep(&at, entry->ops[i].syncs);
	}
	kept->entry.argv = keep(&at, entry->argv);
	kept->entry.comment = keep(&at, entry->comment);
	kept->entry.message = keep(&at, entry->message);
	kept->entry.object.ref.name = keep(&at, entry->object.ref.name);
	kept->entry.object.exclusive_vm.name = keep(&at, entry->object.exclusive_vm.name);
	return kept;
}

/* ---- The log ---- */

static void answered(void *data, uint64_t seq, int result)
{
	struct record_sink *sink = data;

	if (result < 0)
		atomic_store(&sink->why, result);
	atomic_fetch_add(result < 0 ? &sink->refused : &sink->written, 1);
}

/* An entry that the log will never take, whatever happens: it says why instead. */
static int append_note(struct record_sink *sink, const struct panbind_error *error)
{
	char text[320];
	const struct panbind_log_entry note = {.kind = PANBIND_LOG_NOTE, .failing_op = PANBIND_NO_OP, .comment = text};

	snprintf(text, sizeof(text), "an entry is missing here: %s", error->msg);
	return panbind_log_append(sink->log, &note, PANBIND_LOG_DURABLE_WRITE, answered, sink, NULL, NULL);
}

static bool is_senseless(int err)
{
	return err == -EINVAL || err == -ENOENT || err == -EEXIST || err == -E2BIG;
}

static void send_unsent(struct record_sink *sink)
{
	struct panbind_error error;

	while (sink->unsent) {
		int err = panbind_log_append(sink->log, &sink->unsent->entry, PANBIND_LOG_DURABLE_WRITE, answered, sink,
					     NULL, &error);

		if (is_senseless(err))
			err = append_note(sink, &error);
		if (err < 0) {
			atomic_store(&sink->why, err);
			return;
		}
		sink->sent++;
		sink->unsent = sink->unsent->next;
	}
}

static void free_written(struct record_sink *sink)
{
	uint64_t written = atomic_load(&sink->written);

	for (; sink->first && sink->freed < written; sink->freed++) {
		struct kept *kept = sink->first;

		sink->first = kept->next;
		if (!sink->first)
			sink->end = &sink->first;
		sink->bytes -= kept->size;
		free(kept);
	}
}

/* A group was refused, and with it all behind it: once all answers are there they are sent again, in order. */
static void take_back_refused(struct record_sink *sink)
{
	uint64_t refused = atomic_load(&sink->refused);

	if (refused == 0 || atomic_load(&sink->written) + refused < sink->sent)
		return;
	free_written(sink);
	sink->sent -= refused;
	atomic_fetch_sub(&sink->refused, refused);
	sink->unsent = sink->first;
}

void record_sink_tend(struct record_sink *sink)
{
	free_written(sink);
	take_back_refused(sink);
	if (atomic_load(&sink->refused) == 0 && sink->unsent && panbind_log_ready(sink->log) == 0)
		send_unsent(sink);
}

bool record_sink_stalled(const struct record_sink *sink)
{
	return sink->unsent || atomic_load(&sink->refused);
}

uint64_t record_sink_count(const struct record_sink *sink)
{
	return sink->count;
}

int record_sink_add(struct record_sink *sink, const struct panbind_log_entry *entry)
{
	struct kept *kept;

	record_sink_tend(sink);
	if (sink->bytes > sink->limit && record_sink_stalled(sink))
		return -ENOBUFS;
	kept = copy_of(entry);
	if (!kept)
		return -ENOMEM;
	*sink->end = kept;
	sink->end = &kept->next;
	sink->bytes += kept->size;
	sink->count++;
	if (!sink->unsent)
		sink->unsent = kept;
	record_sink_tend(sink);
	return 0;
}

/* ---- Begin and end ---- */

/* Without it the recording is no worse, but for its last words on a full disk. */
static char *keep_room(const char *path)
{
	char *name;
	int fd;

	if (asprintf(&name, "%s-spare", path) < 0)
		return NULL;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0 && posix_fallocate(fd, 0, SPARE_BYTES) == 0) {
		close(fd);
		return name;
	}
	if (fd >= 0)
		close(fd);
	unlink(name);
	free(name);
	return NULL;
}

static void give_room_back(struct record_sink *sink)
{
	if (sink->spare)
		unlink(sink->spare);
	free(sink->spare);
	sink->spare = NULL;
}

int record_sink_open(const char *path, size_t limit, struct record_sink **ret_sink, struct panbind_error *reterr)
{
	struct record_sink *sink = calloc(1, sizeof(*sink));
	int err;

	if (!sink)
		return -ENOMEM;
	sink->limit = limit;
	sink->end = &sink->first;
	err = panbind_log_open(path, PANBIND_LOG_CREATE, NULL, &sink->log, reterr);
	if (err < 0) {
		free(sink);
		return err;
	}
	sink->spare = keep_room(path);
	*ret_sink = sink;
	return 0;
}

static void nap(long ns)
{
	const struct timespec time = {0, ns};

	nanosleep(&time, NULL);
}

/* The log answers on a thread of its own, just after what panbind_log_flush() waits for. */
static void wait_for_answers(const struct record_sink *sink)
{
	while (atomic_load(&sink->written) + atomic_load(&sink->refused) < sink->sent)
		nap(ANSWER_NAP_NS);
}

/* Until all is written or the disk has had its chances. */
static void write_out(struct record_sink *sink)
{
	for (int tries = 0; tries < LAST_TRIES; tries++) {
		record_sink_tend(sink);
		panbind_log_flush(sink->log);
		wait_for_answers(sink);
		free_written(sink);
		if (!sink->first)
			return;
		take_back_refused(sink);
		if (panbind_log_ready(sink->log) < 0)
			nap(LAST_NAP_NS);
	}
}

static void say_what_is_lost(struct record_sink *sink, int why)
{
	char text[200];
	const struct panbind_log_entry note = {.kind = PANBIND_LOG_NOTE, .failing_op = PANBIND_NO_OP, .comment = text};

	snprintf(text, sizeof(text), WORDS_OF_LOSS, strerror(-why));
	give_room_back(sink);
	for (int tries = 0; tries < LAST_TRIES; tries++) {
		if (panbind_log_append_wait(sink->log, &note, PANBIND_LOG_DURABLE_WRITE, NULL, NULL) == 0)
			return;
		nap(LAST_NAP_NS);
	}
}

static uint64_t drop_all(struct record_sink *sink)
{
	uint64_t count = 0;

	while (sink->first) {
		struct kept *next = sink->first->next;

		free(sink->first);
		sink->first = next;
		count++;
	}
	return count;
}

int record_sink_close(struct record_sink *sink, uint64_t *ret_lost)
{
	int err = 0;

	write_out(sink);
	*ret_lost = drop_all(sink);
	if (*ret_lost) {
		err = atomic_load(&sink->why) ? atomic_load(&sink->why) : -EIO;
		say_what_is_lost(sink, err);
	}
	give_room_back(sink);
	panbind_log_close(sink->log);
	free(sink);
	return err;
}
