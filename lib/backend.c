/* SPDX-License-Identifier: MIT */
/*
 * Which backend answers a device spec.
 *
 * The table is the whole choice: "NAME:" names a backend, and nothing else selects one. In particular the simulator is
 * never a fallback for a device that could not be opened, since a script meant for a GPU would then "succeed".
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const struct pb_backend *const backends[] = {&pb_backend_drm, &pb_backend_sim, &pb_backend_node};

static const struct pb_backend *find_backend(const char *name, size_t length)
{
	for (size_t i = 0; i < PB_ARRAY_SIZE(backends); i++) {
		if (strlen(backends[i]->name) == length && strncmp(backends[i]->name, name, length) == 0)
			return backends[i];
	}
	return NULL;
}

int pb_backend_open(const char *spec, struct pb_file **ret_file, struct panbind_error *reterr)
{
	const char *colon = spec ? strchr(spec, ':') : NULL;
	if (!colon)
		return pb_error_at_place(reterr, -EINVAL, PANBIND_STAGE_PARSE, NULL, 1, 1,
					 "a device is drm:PATH, drm:auto, sim:OPTIONS or node:FOLDER, not \"%.60s\"",
					 spec ? spec : "");

	size_t length = colon - spec;
	const struct pb_backend *backend = find_backend(spec, length);
	if (!backend)
		return pb_error_at_place(
			reterr, -EINVAL, PANBIND_STAGE_PARSE, NULL, 1, 1,
			"no backend is called \"%.*s\": a device is drm:PATH, drm:auto, sim:OPTIONS or "
			"node:FOLDER",
			(int)(length < 32 ? length : 32), spec);

	int ret = backend->open(colon + 1, ret_file, reterr);
	if (ret < 0 && reterr && reterr->column > 0) {
		reterr->line = 1;
		reterr->column += length + 1; /* the backend saw only what follows "NAME:" */
	}
	return ret;
}
