/* SPDX-License-Identifier: MIT */
/*
 * --fenced, --wait, --signal: all ops in one asynchronous VM_BIND between two syncobjs, for the verbs that run scripts.
 */
#ifndef CMD_FENCE_H
#define CMD_FENCE_H

#include "cmd.h"
#include "panbind.h"

struct fence {
	bool wanted;
	const char *wait, *signal; /* NAME[:POINT], or NULL */
};

#define FENCE_KEY(i) (0x480 + (i))
#define FENCE_OPTIONS                                                                                                 \
	{"fenced", FENCE_KEY(0), NULL, 0, "Bind all ops in one asynchronous VM_BIND; without --signal, wait for it"}, \
		{"wait", FENCE_KEY(1), "NAME[:POINT]", 0, "With --fenced: the syncobj that it waits for"},            \
	{                                                                                                             \
		"signal", FENCE_KEY(2), "NAME[:POINT]", 0, "With --fenced: the syncobj that it signals"               \
	}

/** Is it one of these options? At ARGP_KEY_END, refuses a --wait or --signal without --fenced. */
bool fence_option(struct fence *fence, int key, char *arg, struct argp_state *state);
/** Do it to a script. 0 or a negative errno with *reterr filled. */
int fence_script(const struct fence *fence, struct panbind_script *script, struct panbind_error *reterr);
/** Ask the daemon for it. */
void fence_params(const struct fence *fence, json_t *params);

#endif /* CMD_FENCE_H */
