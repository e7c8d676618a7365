/* SPDX-License-Identifier: MIT */
/* The simulated render node that a command of the user's gets, as -d describes it. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include <sys/resource.h>

#include "child.h"
#include "panbind-sim.h"

struct sim_node {
	struct panbind_sim *sim;
	struct rlimit fds; /* what the command gets of open files: here there may be more from now on */
};

/** Serve it; with @trace (or NULL) also write there what reaches it. 0, or an exit status after saying why. */
int sim_node_start(struct cmd *cmd, const char *trace, struct sim_node *ret_node);
/** What the command needs in its environment to find it; valid until the stop. */
struct child_variable sim_node_variable(const struct sim_node *node);
/** 0, or the errno with which the trace was cut short. */
int sim_node_stop(struct sim_node *node);

#endif /* SIM_NODE_H */
