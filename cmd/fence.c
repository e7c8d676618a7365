/* SPDX-License-Identifier: MIT */
/* --fenced and its syncobjs. See fence.h. */
#include "fence.h"

bool fence_option(struct fence *fence, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case FENCE_KEY(0):
		fence->wanted = true;
		return true;
	case FENCE_KEY(1):
		fence->wait = arg;
		return true;
	case FENCE_KEY(2):
		fence->signal = arg;
		return true;
	case ARGP_KEY_END:
		if (!fence->wanted && (fence->wait || fence->signal))
			argp_error(state, "--wait and --signal belong to --fenced");
		return false;
	default:
		return false;
	}
}

int fence_script(const struct fence *fence, struct panbind_script *script, struct panbind_error *reterr)
{
	return fence->wanted ? panbind_script_fence(script, fence->wait, fence->signal, reterr) : 0;
}

void fence_params(const struct fence *fence, json_t *params)
{
	if (!fence->wanted)
		return;
	json_object_set_new(params, "fenced", json_true());
	if (fence->wait)
		json_object_set_new(params, "wait", output_json_text(fence->wait));
	if (fence->signal)
		json_object_set_new(params, "signal", output_json_text(fence->signal));
}
