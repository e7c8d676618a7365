/* SPDX-License-Identifier: MIT */
/* What call_log*.c know by number: VMs, BOs and syncobjs of each file, BOs by their key, and how often a name was used.
 */
#ifndef CMD_CALL_OBJECTS_H
#define CMD_CALL_OBJECTS_H

#include <stddef.h>
#include <stdint.h>

enum call_kind { CALL_KIND_VM = 1, CALL_KIND_BO, CALL_KIND_SYNCOBJ };

#define CALL_NAME 160

/** A VM, a BO or a syncobj; a BO may have several handles. */
struct call_object {
	uint64_t generation, size, key;
	uint32_t handles; /* how many slots lead here */
	uint32_t lost;	  /* a VM that the driver has given up */
	char name[CALL_NAME];
};

struct call_slot {
	uint64_t file, id;
	enum call_kind kind;
	struct call_object *object; /* NULL: it was let go */
};

struct call_objects {
	struct call_slot *slots; /* open addressing, @room a power of 2 */
	size_t count, room;	 /* slots ever used, also those without an object */
};

/** The object of an id, or NULL. */
struct call_object *call_objects_find(const struct call_objects *objects, uint64_t file, enum call_kind kind,
				      uint64_t id);
/** Make the id lead to @object, and nowhere else. 0 or -ENOMEM. */
int call_objects_set(struct call_objects *objects, uint64_t file, enum call_kind kind, uint64_t id,
		     struct call_object *object);
/** Let go of the id. The object whose last handle that was, which is the caller's to free then; else NULL. */
struct call_object *call_objects_take(struct call_objects *objects, uint64_t file, enum call_kind kind, uint64_t id);
void call_objects_free(struct call_objects *objects);

#endif /* CMD_CALL_OBJECTS_H */
