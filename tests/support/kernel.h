/* SPDX-License-Identifier: MIT */
/* What an emulator of a kernel may lack, found out by trying. A test that needs it is skipped, and says why. */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <stdbool.h>

/** MADV_WIPEONFORK does what it says. */
bool kernel_wipes_on_fork(void);
/** A mapping that nobody touches costs no memory, however large it is. */
bool kernel_maps_for_nothing(void);
/** mremap() of length 0 makes a second mapping of shared memory. */
bool kernel_doubles_mappings(void);
/** A system call that is pointed at a mapping behind the end of its file says EFAULT. */
bool kernel_looks_behind_files(void);
/** Descriptors for which a message's reader has no room are closed, and do not stay open without its knowledge. */
bool kernel_closes_surplus_fds(void);
/** This process may become another user: false for one that is not root, and in a namespace which has no others. */
bool kernel_has_user(unsigned int uid);

#endif /* TEST_KERNEL_H */
