/* SPDX-License-Identifier: GPL-2.0 */
/* Page tables of Armv8, stage 1, with 4 KiB pages and four levels. */
#ifndef MALISIM_TABLES_H
#define MALISIM_TABLES_H

#include <linux/bitfield.h>
#include <linux/bits.h>

#define PTE_VALID	  BIT_ULL(0)
#define PTE_TABLE	  BIT_ULL(1)	    /* at the last level: a page */
#define PTE_MEMATTR	  GENMASK_ULL(4, 2) /* which byte of MEMATTR is meant */
#define PTE_READ_ONLY	  BIT_ULL(7)
#define PTE_EXECUTE_NEVER BIT_ULL(54)
#define PTE_ADDRESS	  GENMASK_ULL(47, 12)

#define LEVELS		   4
#define LEVEL_SHIFT(level) (39 - 9 * (level))

/* The cache policy in a byte of MEMATTR: Mali's own code, not Armv8's. */
#define MEMATTR_POLICY(byte)	  ((byte) >> 6 & 3)
#define MEMATTR_POLICY_WRITE_BACK 2

#endif
