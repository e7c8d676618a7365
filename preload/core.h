/* SPDX-License-Identifier: MIT */
/*
 * What the wrappers share: is anything to be done at all, and which fds are render nodes.
 */
#ifndef PRELOAD_CORE_H
#define PRELOAD_CORE_H

#include <stdbool.h>

/** PANBIND_RECORD is set: hooks.h is told. */
bool core_recording(void);

/**
 * Is this fd a render node? Remembered until the fd is closed, replaced or brought anew by one of our wrappers, since
 * asking costs as much as a fast ioctl. Keeps errno.
 */
bool core_is_node(int fd);
/** The number stands for something else from now on, or for nothing. */
void core_forget(int fd);
void core_forget_range(unsigned int first, unsigned int last);

#endif /* PRELOAD_CORE_H */
