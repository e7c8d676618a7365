/* SPDX-License-Identifier: MIT */
/* Spare nodes of a vamap. For vamap.c and vamap_tree.c only. */
#ifndef PB_VAMAP_POOL_H
#define PB_VAMAP_POOL_H

#include "vamap_tree.h"

/** Have spares for the next @ops operations: 0, or -ENOMEM and nothing has changed. Gives back what is far too much. */
int pb_vatree_ensure_spares(struct pb_vamap *map, size_t ops);
/** Turn a spare into a node of the tree. There is one: pb_vatree_ensure_spares() came before. */
struct pb_vatree_node *pb_vatree_take(struct pb_vamap *map, unsigned int level);
/** Turn a node of the tree into a spare. */
void pb_vatree_give(struct pb_vamap *map, struct pb_vatree_node *node);
/** Free spares until @keep are left. */
void pb_vatree_free_spares(struct pb_vamap *map, size_t keep);

#endif /* PB_VAMAP_POOL_H */
