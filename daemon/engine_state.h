/* SPDX-License-Identifier: MIT */
/*
 * Between engine_state.c (compare, apply), engine_undo.c, engine_rebuild.c and engine_script.c, which runs what the
 * first two write.
 */
#ifndef PBD_ENGINE_STATE_H
#define PBD_ENGINE_STATE_H

#include "engine_private.h"

/** Members that go before those of a script's result. */
typedef void engine_more_fn(struct jw *out, void *data);

/**
 * Run a script that the engine has written, for @request, which it is recorded as, and answer. @more may be NULL.
 * Returns as a method.
 */
int engine_run_text(struct engine *engine, struct request *request, const char *text, engine_more_fn *more, void *data);

/** The refusal of a state, as the library gives it. */
int engine_refuse_state(struct request *request, int r, const struct panbind_error *error);
/** What the VM maps now. Returns 0, or an rpc code with the refusal in the request. */
int engine_live_state(struct engine *engine, struct request *request, const char *vm, const char *pointer,
		      struct panbind_state **ret_state);
/** What the log says that it mapped after entry @seq. Returns as above. All units must have been drained. */
int engine_logged_state(struct engine *engine, struct request *request, struct panbind_log_ref vm, uint64_t seq,
			const char *pointer, struct panbind_state **ret_state);

#endif /* PBD_ENGINE_STATE_H */
