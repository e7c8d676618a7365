/* SPDX-License-Identifier: MIT */
/*
 * The trace of a node: every ioctl and mmap of every program, one JSON object a line, written when it has ended.
 *
 *	{"t":..,"dur":..,"pid":..,"tid":..,"fd":..,"file":..,"name":"PANTHOR_VM_BIND","cmd":"0xc0186443","args":{..},
 *	 "out":{..},"ret":0,"errno":0}
 *
 * t is the start, CLOCK_MONOTONIC in ns; dur in ns; fd the number in the program, file which open file it is, from 1.
 * Addresses, sizes and offsets are hex strings. What arguments point to is read from the caller before the simulator
 * looks at it, and once more afterwards for what it wrote there; memory that cannot be read leaves its field out.
 */
#include "node_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "node_server.h"

struct node_trace {
	pthread_mutex_t lock;
	FILE *stream;
	int error; /* the first one */
};

int node_trace_open(const char *path, struct node_trace **ret_trace)
{
	struct node_trace *trace = calloc(1, sizeof(*trace));
	int ret;

	if (!trace)
		return -ENOMEM;
	trace->stream = fopen(path, "we");
	if (!trace->stream) {
		ret = -errno;
		free(trace);
		return ret;
	}
	pthread_mutex_init(&trace->lock, NULL);
	*ret_trace = trace;
	return 0;
}

int node_trace_close(struct node_trace *trace)
{
	int ret;

	if (!trace)
		return 0;
	ret = trace->error;
	if (fclose(trace->stream) && !ret)
		ret = -errno;
	pthread_mutex_destroy(&trace->lock);
	free(trace);
	return ret;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- One call ---- */

static bool fetch_block(const struct node_message *call, union node_block *block)
{
	unsigned long request = call->words[0];
	size_t size = _IOC_SIZE(request) < sizeof(*block) ? _IOC_SIZE(request) : sizeof(*block);

	memset(block, 0, sizeof(*block));
	return sim_copy_from_user(block, call->words[1], size) == 0;
}

static void put_head(FILE *stream, const struct node_entry *entry, const char *name)
{
	const struct node_message *call = entry->call;
	bool map = call->type == NODE_MMAP;

	fprintf(stream, "\"pid\":%d,\"tid\":%d,\"fd\":%d,\"file\":%" PRIu32 ",\"name\":\"%s\"", (int)entry->pid,
		(int)call->words[map ? 5 : 3], (int)call->words[map ? 4 : 2], entry->file, name);
	if (!map)
		fprintf(stream, ",\"cmd\":\"0x%08" PRIx64 "\"", call->words[0]);
}

static void put_mmap(FILE *stream, const struct node_entry *entry)
{
	const uint64_t *words = entry->call->words;

	put_head(stream, entry, "mmap");
	fprintf(stream, ",\"args\":{\"len\":\"0x%" PRIx64 "\",\"prot\":%d,\"flags\":%d,\"offset\":\"0x%" PRIx64 "\"}",
		words[1], (int)words[2], (int)words[3], words[0]);
}

static void put_ioctl(FILE *stream, const struct node_entry *entry)
{
	const struct node_trace_row *row = node_trace_row(entry->call->words[0]);
	union node_block block;

	put_head(stream, entry, row ? row->name : "");
	fputs(",\"args\":{", stream);
	if (row && row->args && fetch_block(entry->call, &block))
		row->args(stream, &block);
	putc('}', stream);
}

void node_trace_begin(struct node_entry *entry, struct node_trace *trace, const struct node_peer *peer, uint32_t file,
		      const struct node_message *call)
{
	*entry = (struct node_entry){.call = call, .file = file, .pid = peer->pid};
	if (!trace || (call->type != NODE_IOCTL && call->type != NODE_MMAP))
		return;
	entry->stream = open_memstream(&entry->text, &entry->size);
	if (!entry->stream)
		return;
	entry->trace = trace;
	if (call->type == NODE_MMAP)
		put_mmap(entry->stream, entry);
	else
		put_ioctl(entry->stream, entry);
	entry->start_ns = now_ns();
}

static void put_out(FILE *stream, const struct node_entry *entry)
{
	const struct node_trace_row *row = node_trace_row(entry->call->words[0]);
	union node_block block;

	fputs(",\"out\":{", stream);
	if (entry->call->type == NODE_IOCTL && row && row->out && fetch_block(entry->call, &block))
		row->out(stream, &block);
	putc('}', stream);
}

static void write_line(struct node_trace *trace, const struct node_entry *entry, uint64_t duration)
{
	pthread_mutex_lock(&trace->lock);
	if ((fprintf(trace->stream, "{\"t\":%" PRIu64 ",\"dur\":%" PRIu64 ",%s}\n", entry->start_ns, duration,
		     entry->text) < 0 ||
	     fflush(trace->stream)) &&
	    !trace->error)
		trace->error = errno ? -errno : -EIO;
	pthread_mutex_unlock(&trace->lock);
}

void node_trace_end(struct node_entry *entry, int ret)
{
	uint64_t end = now_ns();
	bool whole;

	if (!entry->trace)
		return;
	put_out(entry->stream, entry);
	fprintf(entry->stream, ",\"ret\":%d,\"errno\":%d", ret < 0 ? -1 : ret, ret < 0 ? -ret : 0);
	whole = !ferror((FILE *)entry->stream);
	if (fclose(entry->stream) == 0 && whole)
		write_line(entry->trace, entry, end - entry->start_ns);
	free(entry->text);
}
