/* SPDX-License-Identifier: MIT */
/*
 * `vm verify`: a line for each range of which the VM's shadow and the driver say different things.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "session.h"

struct told {
	struct pb_run *run;
	const struct pb_command *command;
};

static void describe(struct pb_run *run, const struct panbind_verify_side *side, char *text, size_t size)
{
	const char *name = side->bo ? panbind_session_bo_name(run->session, side->bo) : NULL;
	int n;

	if (!side->mapped)
		n = snprintf(text, size, "nothing");
	else if (side->sparse)
		n = snprintf(text, size, "the dummy");
	else if (name)
		n = snprintf(text, size, "%s+0x%" PRIx64, name, side->bo_offset);
	else
		n = snprintf(text, size, "another BO+0x%" PRIx64, side->bo_offset);
	if (n > 0 && (size_t)n < size && side->mapped)
		snprintf(text + n, size - (size_t)n, "%s%s%s", side->flags & PANBIND_MAP_READONLY ? " --readonly" : "",
			 side->flags & PANBIND_MAP_NOEXEC ? " --noexec" : "",
			 side->flags & PANBIND_MAP_UNCACHED ? " --uncached" : "");
}

/* The driver's handle stands for a BO that the session may know by name. */
static struct panbind_verify_side with_bo(struct pb_run *run, struct panbind_verify_side side)
{
	const struct pb_objects *bos = &run->session->objects[PB_KIND_BO];

	for (size_t i = 0; side.bo_handle && i < bos->count; i++)
		if (panbind_bo_handle(bos->items[i]->bo) == side.bo_handle)
			side.bo = bos->items[i]->bo;
	return side;
}

static void tell(void *data, const struct panbind_verify_difference *difference)
{
	struct told *told = data;
	struct panbind_verify_side driver = with_bo(told->run, difference->driver);
	char shadow[200], other[200], text[512];

	describe(told->run, &difference->shadow, shadow, sizeof(shadow));
	describe(told->run, &driver, other, sizeof(other));
	snprintf(text, sizeof(text), "0x%" PRIx64 " 0x%" PRIx64 " shadow: %s, driver: %s", difference->va,
		 difference->size, shadow, other);
	pb_run_text(told->run, told->command, text);
}

int pb_do_vm_verify(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct told told = {run, command};
	struct panbind_verification result;
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r >= 0)
		r = panbind_vm_verify(vm->vm, tell, &told, &result, reterr);
	if (r < 0)
		return r;
	if (result.source == PANBIND_SIGHT_NONE)
		return pb_error_set(reterr, -ENODATA, PANBIND_STAGE_COMPLETE, "there is no truth to compare with: %s",
				    result.why);
	if (result.differences > 0)
		return pb_error_set(reterr, -EUCLEAN, PANBIND_STAGE_COMPLETE,
				    "%s is not as the driver has it: %zu range%s, 0x%" PRIx64 " bytes", vm->entry->name,
				    result.differences, result.differences == 1 ? "" : "s", result.different);
	return 0;
}
