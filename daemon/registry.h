/* SPDX-License-Identifier: MIT */
/*
 * Generations: how many objects of a name there have been, also before the daemon was started.
 */
#ifndef PBD_REGISTRY_H
#define PBD_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

enum object_kind { OBJECT_VM, OBJECT_BO };

struct registry_entry;

struct registry {
	struct registry_entry **buckets;
	size_t count, room;
};

void registry_free(struct registry *registry);
/** The generation of the newest object of that name; 0: there was none. */
uint64_t registry_get(const struct registry *registry, enum object_kind kind, const char *name);
/** 0 or -ENOMEM. Cannot fail for a name that is known. */
int registry_set(struct registry *registry, enum object_kind kind, const char *name, uint64_t generation);

#endif /* PBD_REGISTRY_H */
