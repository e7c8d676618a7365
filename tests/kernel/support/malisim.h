/* SPDX-License-Identifier: MIT */
/* malisim's debugfs files (kernel/README.md), as a test uses them. */
#ifndef TEST_KERNEL_MALISIM_H
#define TEST_KERNEL_MALISIM_H

#include <stdint.h>
#include <stdio.h>

#define MALISIM "/sys/kernel/debug/malisim/"

/** Write to a file of malisim's, "trace" or "probe": 0 or a negative errno. */
__attribute__((format(printf, 2, 3))) int malisim_write(const char *name, const char *format, ...);

/** A line of the trace. */
struct malisim_event {
	char name[16];	   /* LOCK, LOAD, ... */
	char verdict[12];  /* of a LOAD */
	char via[8];	   /* of a LOAD: "tlb", "walk" */
	char line[256];	   /* as it stands there, without newline */
	unsigned as;	   /* 0 is the firmware's */
	uint64_t va, size; /* VA or the region's start */
	uint64_t value, transtab;
	uint64_t pa;	   /* of a LOAD that got something */
	unsigned page_kib; /* and the size of its page or block */
};

/** The trace, to be read with malisim_next() and closed with fclose(); NULL and errno. */
FILE *malisim_trace(void);
/** The next event: 1, or 0 at the end. */
int malisim_next(FILE *trace, struct malisim_event *ret_event);

/** A counter of "stats", or 0. */
uint64_t malisim_stat(const char *name);

#endif /* TEST_KERNEL_MALISIM_H */
