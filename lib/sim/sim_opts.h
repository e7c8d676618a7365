/* SPDX-License-Identifier: MIT */
/*
 * The options behind "sim:" in a device spec: "minor=2,va-bits=39,atomic=off,fault=VM_BIND#3=EINTR".
 *
 * Two ages are told apart: minor is the driver's, kernel that of the DRM core around it, whose syncobjs are not
 * panthor's. They go together unless a kernel has a driver that is newer than itself.
 */
#ifndef SIM_OPTS_H
#define SIM_OPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "panbind.h"
#include "sim_fault.h"

/* A bit for each option: which were given. */
enum sim_option {
	SIM_OPT_MINOR,
	SIM_OPT_KERNEL,
	SIM_OPT_VA_BITS,
	SIM_OPT_AS_SLOTS,
	SIM_OPT_ATOMIC,
	SIM_OPT_NAME,
	SIM_OPT_FAULT
};
#define SIM_OPTS 7

/* A release of Linux as one number that can be compared. */
#define SIM_KERNEL(major, minor) ((major)*100u + (minor))

struct sim_options {
	unsigned minor, va_bits, as_slots;
	unsigned kernel; /* SIM_KERNEL() */
	bool atomic;
	char name[64];
	struct sim_fault *faults; /* in order; the list is the holder's */
	unsigned given;		  /* bits by enum sim_option */
	uint32_t column[SIM_OPTS];
};

/** Parse what follows "sim:". -EINVAL with the column, counted from 1, of what is wrong; -ENOMEM. */
int sim_options_parse(const char *text, struct sim_options *ret_options, struct panbind_error *reterr);
void sim_options_fini(struct sim_options *options);
/** Fill @reterr with -EINVAL at a column of the spec. */
int sim_options_error(struct panbind_error *reterr, uint32_t column, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* SIM_OPTS_H */
