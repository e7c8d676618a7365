/* SPDX-License-Identifier: MIT */
/**
 * @file
 * A simulated device as a render node for other programs.
 *
 * panbind_sim_start() serves a simulated panthor from a folder. A program that is started with libpanbind-preload.so
 * in LD_PRELOAD and with that folder in PANBIND_SIM finds a render node /dev/dri/renderD128 driven by panthor, in sysfs
 * too, and works with it as with a real one: open, ioctl, mmap, poll, fork, exec, passing the fd on. Each open is an
 * open file of its own with its own VMs and BOs, which die when the last duplicate of its fd is closed.
 * panbind_device_open_fd() takes such an fd.
 *
 * Functions return 0 or a negative errno. One thread at a time for one struct panbind_sim.
 */
#ifndef PANBIND_SIM_H
#define PANBIND_SIM_H

#include "panbind.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

struct panbind_sim;

/**
 * Serve a simulated device.
 *
 * @spec: "sim:" and the options of panbind_device_open(). The device is one for all programs and lives until the stop;
 * its faults count over all of them.
 * @trace: file for every ioctl and mmap that programs do, one JSON object a line, or NULL; it is made anew. What it
 * says is decoded from the programs' memory by the server and owes nothing to what the programs or the preload say.
 * @ret_sim: for panbind_sim_stop().
 * @reterr: -EINVAL and the column of what is wrong in @spec; -ENOMEM; the errno of the folder, socket or trace that
 * cannot be made.
 */
int panbind_sim_start(const char *spec, const char *trace, struct panbind_sim **ret_sim, struct panbind_error *reterr);

/** The value for PANBIND_SIM: an absolute path, valid until the stop. Only this user can open what is in it. */
const char *panbind_sim_folder(const struct panbind_sim *sim);

/**
 * End it: programs that still have the node open get ENODEV from then on. The folder is removed. NULL is nothing to do.
 * Returns 0, or the error with which the trace was cut short (-ENOSPC, -EIO).
 */
int panbind_sim_stop(struct panbind_sim *sim);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* PANBIND_SIM_H */
