/* SPDX-License-Identifier: MIT */
/*
 * Two devices side by side: run programs on both, find those that were answered differently, make them small.
 */
#ifndef DIFF_COMPARE_H
#define DIFF_COMPARE_H

#include "program.h"

/** A device that runs programs, here or elsewhere. */
struct diff_side {
	/** Begin to run @count programs, or run them: what is far away works meanwhile. */
	int (*start)(struct diff_side *side, const struct diff_program *programs, size_t count);
	/** The answers of what was started, in order, each for free(3); "crash" where the device did not survive. */
	int (*finish)(struct diff_side *side, char **answers);
	/** 0, or an error that shows only at the end: -EREMOTEIO when the kernel of a box has warned. */
	int (*close)(struct diff_side *side);
};

/**
 * "sim:..." or "drm:..." is a device here. "box:stock" and "box:atomic" are that of a kernel box (kernel/run), which is
 * started for it and runs @worker, a build of panbind_diff. @careful: as diff_run() has it, the same on both sides.
 */
int diff_side_open(const char *spec, const char *worker, bool careful, struct diff_side **ret_side);
int diff_side_close(struct diff_side *side);
int diff_side_open_here(const char *spec, bool careful, struct diff_side **ret_side);
int diff_side_open_box(const char *panthor, const char *worker, bool careful, struct diff_side **ret_side);

/** What runs in a box: serve the requests in a folder until there is a file "stop" in it. */
int diff_serve(const char *folder, const char *spec, bool careful);

/** Run the programs on both sides. answers[0] and answers[1] are arrays of @count. */
int diff_run_both(struct diff_side *sides[2], const struct diff_program *programs, size_t count, char **answers[2]);

/** Does the answer differ? @ret_what (may be NULL): the first word of the first line that does, in 32 bytes. */
bool diff_differs(const char *a, const char *b, char ret_what[32]);

/**
 * Make a program that is answered differently as small as it gets while it still is, in the same kind of line. 0, or an
 * error of a side.
 */
int diff_shrink(struct diff_side *sides[2], struct diff_program *program);

#endif /* DIFF_COMPARE_H */
