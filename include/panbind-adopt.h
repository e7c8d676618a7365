/* SPDX-License-Identifier: MIT */
/*
 * panbind-adopt.h - VMs of other programs: taken over, with what is known of them, and a program's own given to the
 * daemon. A part of panbind.h.
 */
#ifndef PANBIND_H
#include "panbind.h" /* which includes this file where its types are known */
#elif !defined(PANBIND_ADOPT_H)
#define PANBIND_ADOPT_H

/**
 * The ids of the VMs that exist on the device's open file, lowest first. Returns how many there are (may exceed @max)
 * or a negative errno. @ids: room for @max, or NULL to count.
 */
int panbind_device_vm_ids(struct panbind_device *device, uint32_t *ids, size_t max);

/**
 * Take a VM over that a program has made on the open file of @device, which was opened with panbind_device_open_fd():
 * what is bound in it, the program's GPU work sees. Destroying the object lets the VM go and leaves it as it is.
 *
 * Nothing is known of what it maps until panbind_vm_look(), and the program goes on binding by itself: who looks
 * again sees what it did meanwhile. BOs of other devices of the same GPU may be mapped too, unless they are exclusive;
 * they get a handle on the program's file, which goes with @device at the latest.
 *
 * Threads: adopted VMs of one @device are bound by one thread at a time.
 *
 * @user_va_range: bytes of VA that the program has, 0: not known. Errors: -ENOENT no VM of that id, -EINVAL, -ENOMEM.
 */
int panbind_vm_adopt(struct panbind_device *device, uint32_t id, uint64_t user_va_range, struct panbind_vm **ret_vm,
		     struct panbind_error *reterr);
int panbind_vm_is_adopted(const struct panbind_vm *vm);

/** Where a look at an adopted VM has seen something. */
enum panbind_sight_source {
	PANBIND_SIGHT_NONE = 0, /* nowhere: only what was bound here is known */
	PANBIND_SIGHT_BOOKS,	/* the kernel's books in debugfs: where nothing is, and whether what was bound stands */
	PANBIND_SIGHT_PAGES,	/* page tables of a simulated device: everything whose BO can be held */
};
/** "none", "books" or "pages". Never NULL. */
const char *panbind_sight_name(enum panbind_sight_source source);

/** What to look at, and what helps. */
struct panbind_look {
	struct panbind_device *home;	  /* another open file of the same GPU, which will hold the program's BOs */
	uint64_t va, size;		  /* the range, whole pages; size 0: up to the end */
	struct panbind_vm *const *others; /* VMs that this process has on the GPU besides: by them a kernel's books */
	size_t other_count;		  /* tell which one is meant */
};

/** What was seen. */
struct panbind_sight {
	enum panbind_sight_source source;
	size_t mappings;  /* that are known in the range */
	uint64_t unknown; /* bytes of it whose mapping is not known */
	char why[160];	  /* why not; empty: all is known */
};

/**
 * Read what an adopted VM maps from where it can be seen; it replaces what was known before. A VM whose mapping has
 * changed gets a new map generation. @ret_sight may be NULL.
 * Errors: -EINVAL not adopted, or a bad range; -EBUSY it is being bound; else the range is unknown from then on.
 */
int panbind_vm_look(struct panbind_vm *vm, const struct panbind_look *options, struct panbind_sight *ret_sight,
		    struct panbind_error *reterr);

/** The first range that ends after @va and of which it is not known what it maps: 0 or -ENOENT. */
int panbind_vm_next_unknown(struct panbind_vm *vm, uint64_t va, uint64_t *ret_va, uint64_t *ret_size);
/**
 * From here on ops may displace what is not known, or no longer: then they are refused with -ENODATA. What is displaced
 * so cannot be put back. A rollback leaves such a range as the op left it, the outcome is PANBIND_OUTCOME_UNKNOWN and
 * the VM poisoned.
 */
void panbind_vm_set_force(struct panbind_vm *vm, int force);
/**
 * From here on nobody may change the VM, or all may again: binds are refused with -EBUSY (stage VALIDATE), and so is
 * `vm destroy` in scripts. For one who is about to put another VM in its place.
 */
void panbind_vm_set_held(struct panbind_vm *vm, int held);

/**
 * Share the VMs of an open render node with the operators of the daemon, in one line: panbindd gets a duplicate of @fd
 * and takes its VMs over as @name (of several each with a dot and its id behind it). What operators bind in them this
 * process's GPU work sees at once; when this process ends, the daemon lets them go.
 *
 * @socket: of the daemon; NULL: $PANBIND_SOCKET, else the user's own under $XDG_RUNTIME_DIR, else that of the machine.
 * Errors: -EINVAL no name as scripts have them; -ENOENT, -ECONNREFUSED no daemon; -EACCES; the daemon's refusal, in its
 * own words: -EEXIST the name is taken, -ENOENT there is no VM yet, -EPERM. Blocks until the daemon has answered.
 */
int panbind_fd_share(int fd, const char *name, const char *socket, struct panbind_error *reterr);
/**
 * The same of one VM of this library. What operators bind is not in its shadow here: bind other ranges than they do.
 * -EOPNOTSUPP: the device has no descriptor, since it is simulated in this process.
 */
int panbind_vm_share(struct panbind_vm *vm, const char *name, const char *socket, struct panbind_error *reterr);

#endif /* PANBIND_ADOPT_H */
