/* SPDX-License-Identifier: MIT */
/*
 * Another process's render nodes: found among its descriptors, and a duplicate of one taken.
 *
 * A duplicate is the same open file: the same VMs, the same handles. The kernel gives it to who may trace the process.
 */
#ifndef CMD_PROCESS_H
#define CMD_PROCESS_H

#include "cmd.h"

#define PROCESS_NODES 64

/** One open file on a render node. */
struct process_node {
	int number; /* the lowest descriptor of the process that is it */
	int fd;	    /* our duplicate */
	char path[64];
	uint32_t vms[32];
	int vm_count;
};

struct process {
	struct cmd *cmd;
	int pid, pidfd;
	struct process_node nodes[PROCESS_NODES];
	size_t count;
};

/** Begin: an exit status, with the error reported. process_close() in any case. */
int process_open(struct process *process, struct cmd *cmd, int pid);
void process_close(struct process *process);
/** Fill nodes: that of descriptor @only, or (negative) all, each open file once. An exit status, the error reported. */
int process_find_nodes(struct process *process, int only);
/** What it is called, fit for a name: "glmark-4711". */
void process_name(const struct process *process, char name[64]);

#endif /* CMD_PROCESS_H */
