/* SPDX-License-Identifier: MIT */
/*
 * Programs that were once answered differently, each with the answer of the real driver: a file NAME.diff has the
 * program, a line "end", and the answer.
 */
#ifndef DIFF_CORPUS_H
#define DIFF_CORPUS_H

#include "compare.h"

/** Run all of a folder on a side, in TAP. The number of those that are answered otherwise, or a negative errno. */
int diff_corpus(const char *folder, struct diff_side *side, FILE *out);

#endif /* DIFF_CORPUS_H */
