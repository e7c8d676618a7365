/* SPDX-License-Identifier: MIT */
/*
 * What the rooms of a node's server share.
 *
 * One thread accepts connections, sees the last holder of a file close it, and hears callers who want their wait to
 * end; each connection for calls has a thread of its own, which is the caller's in the simulator. Lock order:
 * panbind_sim before anything of the simulator's, and never held while the simulator runs.
 */
#ifndef NODE_SERVER_H
#define NODE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend.h"
#include "node_proto.h"
#include "panbind-sim.h"
#include "sim_user.h"

struct node_trace;

/** An open file: the programs' socket, and the simulator's file behind it. */
struct node_file {
	struct node_file *next;
	uint64_t id;
	uint32_t number; /* from 1, for people */
	unsigned int refs;
	int fd;
	struct pb_file *sim;
};

/** A connection, for calls once it has said so. */
struct node_peer {
	struct sim_user user; /* the simulator's way to the caller */
	struct node_peer *next;
	struct panbind_sim *sim;
	int fd;
	pid_t pid;	/* 0: not known here */
	bool must_ask;	/* its memory is out of reach: it reads and writes for us */
	bool interrupt; /* under sim->lock, as the next two */
	void (*wake)(void *data);
	void *wake_data;
};

struct panbind_sim {
	char folder[80];
	uint64_t id;
	char device[48];      /* options that open one more file */
	struct pb_file *kept; /* the device lives while this file does */
	struct node_trace *trace;
	int listen_fd, poll_fd, stop_fd;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t idle; /* no more peers */
	struct node_file *files;
	struct node_peer *peers;
	unsigned int peer_count;
	uint32_t numbers;
	bool stopping;
};

/* ---- node_folder.c: what programs see as /dev/dri and /sys ---- */

/** Make the folder, with its files, private to this user; fills sim->folder and sim->id. */
int node_folder_make(struct panbind_sim *sim, struct panbind_error *reterr);
void node_folder_remove(struct panbind_sim *sim);

/* ---- node_server.c ---- */

/** The open file of this identity, with a reference, or NULL. */
struct node_file *node_file_get(struct panbind_sim *sim, uint64_t id);
void node_file_put(struct panbind_sim *sim, struct node_file *file);
/** Open one more file for the program at the peer's fd, whose name says @id. Takes over the fd when it succeeds. */
int node_file_open(struct node_peer *peer, uint64_t id, struct node_file **ret_file);
/** From now on the program's last close ends it: @file may be gone at once. */
void node_file_watch(struct panbind_sim *sim, struct node_file *file);
int node_error(struct panbind_error *reterr, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- node_peer.c: a caller's memory, fds and signals ---- */

void node_peer_init(struct node_peer *peer, struct panbind_sim *sim, int fd);
/** Send over @to, maybe with bytes behind and an fd beside (-1: none). 0 or -EPIPE. */
int node_send(int to, struct node_message *message, const void *data, size_t size, int fd);
int node_peer_send(struct node_peer *peer, struct node_message *message, const void *data, size_t size, int fd);
/** The next packet, and the bytes behind it; CANCEL is no packet. Number of those bytes, or -EPIPE. */
ssize_t node_peer_receive(struct node_peer *peer, struct node_message *message, void *data, size_t room, int *ret_fd);

/* ---- node_serve.c ---- */

/** Thread of a connection; @arg: the struct node_peer, its own to free. */
void *node_serve(void *arg);
/** It has ended: forget and free it. node_server.c. */
void node_peer_end(struct node_peer *peer);

/* ---- node_trace.c ---- */

/** One call on its way into the trace. */
struct node_entry {
	struct node_trace *trace; /* NULL: none is kept */
	const struct node_message *call;
	uint32_t file;
	pid_t pid;
	uint64_t start_ns;
	char *text; /* "args" so far */
	size_t size;
	void *stream; /* into it */
};

int node_trace_open(const char *path, struct node_trace **ret_trace);
/** 0, or the first error that a write had. */
int node_trace_close(struct node_trace *trace);
/** Before the simulator is asked: what the caller's memory holds now. */
void node_trace_begin(struct node_entry *entry, struct node_trace *trace, const struct node_peer *peer, uint32_t file,
		      const struct node_message *call);
/** And after, with what it said. */
void node_trace_end(struct node_entry *entry, int ret);

#endif /* NODE_SERVER_H */
