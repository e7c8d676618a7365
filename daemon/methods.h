/* SPDX-License-Identifier: MIT */
/*
 * The one table of methods. The decoder's checks, rpc.discover, the list in panbind-rpc(7) and the shell completion all
 * come from it.
 */
#ifndef PBD_METHODS_H
#define PBD_METHODS_H

#include <stdbool.h>
#include <stddef.h>

#include "call.h"
#include "jw.h"
#include "peer.h"

struct request;
struct server;
struct engine;

/** Where a method runs. */
enum place_of_work {
	ON_LOOP,   /* quick, and touches no device: answered at once */
	ON_DEVICE, /* on the executor thread of the device, in order */
};

/** How a result member is written. */
enum field_type { FIELD_TEXT, FIELD_HEX, FIELD_INT, FIELD_BOOL, FIELD_LIST, FIELD_OBJECT };

struct field {
	const char *name;
	enum field_type type;
	const char *help;
};

/**
 * A method's code: writes the "result" member's value with jw_*(&request->out, "result", ...), or fills
 * request->error. Returns 0, an rpc code, or METHOD_PENDING when the answer comes later.
 */
typedef int loop_method(struct server *server, struct request *request);
typedef int device_method(struct engine *engine, struct request *request);
#define METHOD_PENDING 1

struct method {
	const char *name;
	enum role role; /* the least that suffices */
	enum place_of_work place;
	bool journaled; /* leaves an entry in the log */
	bool takes_fd;	/* a descriptor may come beside it (SCM_RIGHTS) */
	bool heavy;	/* its answer may be large: few of them at once */
	const struct param *params;
	size_t param_count;
	const struct field *results;
	size_t result_count;
	loop_method *on_loop;
	device_method *on_device;
	const char *help; /* one sentence, without the full stop */
};

const struct method *method_table(size_t *ret_count);
/** The method of that name, or NULL. */
const struct method *method_find(const char *name);

#endif /* PBD_METHODS_H */
