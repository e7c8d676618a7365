/* SPDX-License-Identifier: MIT */
/* Between sight.c, which reads page tables, and sight_books.c, which reads a kernel's books in debugfs. */
#ifndef PB_SIGHT_H
#define PB_SIGHT_H

#include "internal.h"

/** PANBIND_MAP_* of the driver's op flags. */
uint32_t pb_library_flags(uint32_t flags);

/** A look at a part of a VM, under way. */
struct pb_look {
	struct panbind_vm *vm;
	struct panbind_device *home; /* what holds the program's BOs */
	const struct panbind_look *options;
	struct panbind_sight *sight;
	uint64_t va, size;
};

/** What the shadow says of the range is forgotten; what is not told from here on is a hole. */
int pb_look_begin(struct pb_look *look);
int pb_look_known(struct pb_look *look, const struct pb_range *range);
int pb_look_unknown(struct pb_look *look, uint64_t va, uint64_t size);

/** Look at a kernel's books, as far as there are any. 0 also when nothing could be seen: sight->why. */
int pb_look_at_books(struct pb_look *look);

#endif /* PB_SIGHT_H */
