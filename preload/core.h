/* SPDX-License-Identifier: MIT */
/*
 * What the wrappers share: is anything to be done at all, which fds are render nodes, and where paths lead.
 */
#ifndef PRELOAD_CORE_H
#define PRELOAD_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "sim/node_client.h"

/** PANBIND_RECORD is set: hooks.h is told. */
bool core_recording(void);
/** The folder of the simulated node whose programs we are in (PANBIND_SIM), or NULL. */
const char *core_sim(void);

enum core_kind { CORE_NONE, CORE_KERNEL, CORE_SIMULATED };

/**
 * Is this fd a render node? @ret_id is filled for a simulated one. Remembered until the fd is closed, replaced or
 * brought anew by one of our wrappers, since asking costs as much as a fast ioctl. Keeps errno.
 */
enum core_kind core_node(int fd, struct node_id *ret_id);
bool core_is_node(int fd);
/** The number stands for something else from now on, or for nothing. */
void core_forget(int fd);
void core_forget_range(unsigned int first, unsigned int last);

/* ---- paths.c ---- */

/* A path that is led elsewhere fits, or is left alone. */
#define PATHS_MAX 512

/** Where @path leads in a simulation: into @buffer, or @path itself. NULL stays NULL. */
const char *paths_lead(const char *path, char buffer[PATHS_MAX]);
/** And back: cut the folder off a path that came out of there, in place. */
void paths_strip(char *path);
/** Is @path, seen from @dir, the simulated render node? Keeps errno. */
bool paths_is_node(int dir, const char *path);
/** Make what the kernel said of the node's file, or of its socket @fd (-1: of a path), look like a render node. */
void paths_fix_stat(int fd, struct stat *st);
/** The fd that /proc/self/fd/N or /dev/fd/N names, when it is a simulated node, else -1. */
int paths_node_of_proc(const char *path);
/** Learn what the node's file is. */
void paths_start(void);

#endif /* PRELOAD_CORE_H */
