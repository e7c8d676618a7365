/* SPDX-License-Identifier: MIT */
/*
 * The check before anything is submitted: names, ranges, alignment, bounds of BOs.
 *
 * It walks over the commands with the session's names in a copy that the commands change as they would change the
 * session, so that a script may map a BO that it creates itself. It knows no mappings: whether a sparse region is free
 * or an assertion holds is found when the command runs. Commands behind `expect` are left out: they are meant to fail.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "session.h"

/* What a name stands for at this point of the walk. */
struct state {
	uint32_t epoch; /* valid when it is the checker's */
	bool exists[PB_KIND_COUNT];
	bool borrowed; /* the VM is the session's own, not one the script makes */
	uint64_t va_range, bo_size;
	uint32_t bo_flags;
	const struct pb_entry *exclusive;
};

struct pb_checker {
	struct pb_run *run;
	struct panbind_device_info info;
	uint32_t epoch, op;
	struct state states[];
};

int pb_checker_create(struct pb_run *run, struct pb_checker **ret_checker)
{
	size_t count = pb_script_name_count(run->script) + 1;
	struct pb_checker *checker = calloc(1, sizeof(*checker) + count * sizeof(checker->states[0]));
	int r;

	if (!checker)
		return -ENOMEM;
	checker->run = run;
	r = panbind_device_get_info(run->session->device, &checker->info);
	if (r < 0) {
		free(checker);
		return r;
	}
	*ret_checker = checker;
	return 0;
}

void pb_checker_destroy(struct pb_checker *checker)
{
	free(checker);
}

static void load_state(struct pb_checker *checker, uint32_t name)
{
	const struct pb_entry *entry = checker->run->entries[name];
	const struct pb_object *vm = entry->objects[PB_KIND_VM], *bo = entry->objects[PB_KIND_BO];
	struct state *state = &checker->states[name];

	*state = (struct state){.epoch = checker->epoch};
	for (int kind = 0; kind < PB_KIND_COUNT; kind++)
		state->exists[kind] = entry->objects[kind] != NULL;
	if (vm)
		state->va_range = panbind_vm_va_range(vm->vm);
	if (bo) {
		state->bo_size = panbind_bo_size(bo->bo);
		state->bo_flags = panbind_bo_flags(bo->bo);
		state->exclusive = bo->exclusive;
	}
}

static struct state *state_of(struct pb_checker *checker, uint32_t name)
{
	if (checker->states[name].epoch != checker->epoch)
		load_state(checker, name);
	return &checker->states[name];
}

/* ---- Names ---- */

static int need(struct pb_checker *checker, enum pb_kind kind, uint32_t name, struct panbind_error *reterr)
{
	if (state_of(checker, name)->exists[kind])
		return 0;
	return pb_error_set(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, "there is no %s %s", pb_kind_name(kind),
			    pb_script_name(checker->run->script, name));
}

static int need_arg(struct pb_checker *checker, const struct pb_command *command, const struct pb_arg_spec *arg,
		    struct panbind_error *reterr)
{
	uint32_t name = arg->field == PB_FIELD_OTHER ? command->other : command->name;

	switch (arg->type) {
	case PB_TYPE_VM:
		return name ? need(checker, PB_KIND_VM, name, reterr) : 0;
	case PB_TYPE_BO:
	case PB_TYPE_BO_OFFSET:
		return need(checker, PB_KIND_BO, name, reterr);
	case PB_TYPE_SYNCOBJ:
		return need(checker, PB_KIND_SYNCOBJ, name, reterr);
	default:
		return 0;
	}
}

/* The table says which names a command takes; all must be there, but for the one that it creates. */
static int check_names(struct pb_checker *checker, const struct pb_command *command, bool creates,
		       struct panbind_error *reterr)
{
	const struct pb_verb_spec *spec = &pb_verbs[command->verb];
	const struct pb_command_extra *extra = command->extra;
	int r = 0;

	for (size_t i = creates ? 1 : 0; r >= 0 && i < PB_ARRAY_SIZE(spec->args) && spec->args[i].type; i++)
		r = need_arg(checker, command, &spec->args[i], reterr);
	if (r >= 0 && (command->options & PB_OPT_VM))
		r = need(checker, PB_KIND_VM, command->other, reterr);
	for (uint32_t i = 0; r >= 0 && extra && i < extra->sync_count; i++)
		r = need(checker, PB_KIND_SYNCOBJ, extra->syncs[i].name, reterr);
	return r;
}

/* ---- Ranges ---- */

static int refuse_op(const struct pb_checker *checker, const struct pb_command *command, const char *why,
		     struct panbind_error *reterr)
{
	return pb_error_at_op(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, checker->op, command->va, command->size,
			      "0x%" PRIx64 "+0x%" PRIx64 " %s", command->va, command->size, why);
}

static int check_bo_range(struct pb_checker *checker, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct state *bo = state_of(checker, command->other);

	if (command->value & PB_PAGE_MASK)
		return refuse_op(checker, command, "maps an offset that is no multiple of 4096", reterr);
	if (command->size > bo->bo_size || command->value > bo->bo_size - command->size)
		return pb_error_at_op(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, checker->op, command->va, command->size,
				      "0x%" PRIx64 "+0x%" PRIx64 " passes the end of %s, which has 0x%" PRIx64 " bytes",
				      command->value, command->size,
				      pb_script_name(checker->run->script, command->other), bo->bo_size);
	if (bo->exclusive && bo->exclusive != checker->run->entries[command->name])
		return pb_error_at_op(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, checker->op, command->va, command->size,
				      "%s is exclusive to the VM %s",
				      pb_script_name(checker->run->script, command->other), bo->exclusive->name);
	return 0;
}

static int check_bind(struct pb_checker *checker, const struct pb_command *command, struct panbind_error *reterr)
{
	uint64_t va_range = state_of(checker, command->name)->va_range;
	int r = 0;

	if (command->size == 0)
		r = refuse_op(checker, command, "is empty", reterr);
	else if ((command->va | command->size) & PB_PAGE_MASK)
		r = refuse_op(checker, command, "is not made of whole pages of 4096 bytes", reterr);
	else if (command->size > va_range || command->va > va_range - command->size)
		r = refuse_op(checker, command, "passes the end of the VM's VA range", reterr);
	else if (command->other)
		r = check_bo_range(checker, command, reterr);
	checker->op++;
	return r;
}

static int check_words(struct pb_checker *checker, const struct pb_command *command, struct panbind_error *reterr)
{
	const struct state *bo = state_of(checker, command->name);

	if (bo->bo_flags & PANBIND_BO_NO_MMAP)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "%s was made with --no-mmap",
				    pb_script_name(checker->run->script, command->name));
	if (((command->va | command->size) & 7) || command->va > bo->bo_size ||
	    command->size > bo->bo_size - command->va)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "OFF and LEN are multiples of 8 inside the BO's 0x%" PRIx64 " bytes", bo->bo_size);
	return 0;
}

/* ---- Creating and destroying ---- */

/*
 * What the driver will give a new VM (panthor_vm_create()): it keeps the largest power of two above the asked range for
 * itself, and at least 256 MiB.
 */
static int predict_va_range(const struct pb_checker *checker, uint64_t asked, uint64_t *ret_range)
{
	uint64_t full = checker->info.va_bits < 64 ? UINT64_C(1) << checker->info.va_bits : UINT64_MAX;
	uint64_t least = UINT64_C(256) << 20, left;

	if (full <= least || asked > full - least)
		return -EINVAL;
	if (asked == 0)
		asked = full / 2; /* the driver's choice is never less */
	left = full - asked;
	*ret_range = full - (UINT64_C(1) << (63 - __builtin_clzll(left)));
	return 0;
}

static int create_vm(struct pb_checker *checker, const struct pb_command *command, struct state *state,
		     struct panbind_error *reterr)
{
	if (predict_va_range(checker, command->size, &state->va_range) < 0)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "the device has %" PRIu32 " bits of VA, 256 MiB of them for the driver",
				    checker->info.va_bits);
	return 0;
}

static int create_bo(struct pb_checker *checker, const struct pb_command *command, struct state *state,
		     struct panbind_error *reterr)
{
	if (command->size == 0 || command->size > UINT64_MAX - PB_PAGE_MASK)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "a BO has at least a byte, and less than 2^64");
	state->bo_size = (command->size + PB_PAGE_MASK) & ~PB_PAGE_MASK;
	state->bo_flags = command->options & PB_OPT_NO_MMAP ? PANBIND_BO_NO_MMAP : 0;
	state->exclusive = command->other ? checker->run->entries[command->other] : NULL;
	return 0;
}

static int create(struct pb_checker *checker, const struct pb_command *command, enum pb_kind kind,
		  struct panbind_error *reterr)
{
	struct state *state = state_of(checker, command->name);
	int r = 0;

	if (state->exists[kind])
		return pb_error_set(reterr, -EEXIST, PANBIND_STAGE_VALIDATE, "there is a %s %s already",
				    pb_kind_name(kind), pb_script_name(checker->run->script, command->name));
	if (kind == PB_KIND_VM)
		r = create_vm(checker, command, state, reterr);
	else if (kind == PB_KIND_BO)
		r = create_bo(checker, command, state, reterr);
	state->exists[kind] = r >= 0;
	return r;
}

/* Whether the one that is there is the same is found when the command runs. */
static int ensure(struct pb_checker *checker, const struct pb_command *command, enum pb_kind kind,
		  struct panbind_error *reterr)
{
	return state_of(checker, command->name)->exists[kind] ? 0 : create(checker, command, kind, reterr);
}

static int check_command(struct pb_checker *checker, const struct pb_command *command, struct panbind_error *reterr)
{
	bool creates = command->verb == PB_VERB_VM_CREATE || command->verb == PB_VERB_BO_CREATE ||
		       command->verb == PB_VERB_VM_ENSURE || command->verb == PB_VERB_BO_ENSURE ||
		       command->verb == PB_VERB_SYNCOBJ_CREATE;
	/* One that may be missing is named first, as one that is created. */
	int r = check_names(checker, command, creates || (command->options & PB_OPT_MISSING_OK), reterr);

	if (r < 0)
		return r;
	switch (command->verb) {
	case PB_VERB_VM_CREATE:
		return create(checker, command, PB_KIND_VM, reterr);
	case PB_VERB_BO_CREATE:
		return create(checker, command, PB_KIND_BO, reterr);
	case PB_VERB_SYNCOBJ_CREATE:
		return create(checker, command, PB_KIND_SYNCOBJ, reterr);
	case PB_VERB_VM_ENSURE:
		return ensure(checker, command, PB_KIND_VM, reterr);
	case PB_VERB_BO_ENSURE:
		return ensure(checker, command, PB_KIND_BO, reterr);
	case PB_VERB_VM_DESTROY:
		state_of(checker, command->name)->exists[PB_KIND_VM] = false;
		return 0;
	case PB_VERB_BO_DESTROY:
		state_of(checker, command->name)->exists[PB_KIND_BO] = false;
		return 0;
	case PB_VERB_SYNCOBJ_DESTROY:
		state_of(checker, command->name)->exists[PB_KIND_SYNCOBJ] = false;
		return 0;
	case PB_VERB_BO_FILL:
	case PB_VERB_BO_STAMP:
		return check_words(checker, command, reterr);
	default:
		return pb_verbs[command->verb].flags & PB_VERB_BINDS ? check_bind(checker, command, reterr) : 0;
	}
}

/* ---- The walk ---- */

size_t pb_block_end(const struct panbind_script *script, size_t begin)
{
	size_t at = begin + 1;

	for (;; at++) {
		uint8_t verb = pb_script_command(script, at)->verb;

		if (verb == PB_VERB_COMMIT || verb == PB_VERB_ROLLBACK)
			return at;
	}
}

typedef void report_fn(struct pb_run *run, struct panbind_error *error);

static int check_each(struct pb_checker *checker, size_t first, size_t last, report_fn *report,
		      struct panbind_error *reterr);

/* A block that will be undone: its names are not there behind it. One that must fail is not looked at. */
static int check_undone(struct pb_checker *checker, size_t first, size_t end, report_fn *report,
			struct panbind_error *reterr)
{
	size_t count = pb_script_name_count(checker->run->script) + 1;
	size_t size = count * sizeof(checker->states[0]);
	pb_autofree struct state *before = NULL;
	int r;

	if (pb_script_command(checker->run->script, end)->expect)
		return 0;
	before = malloc(size);
	if (!before)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	memcpy(before, checker->states, size);
	r = check_each(checker, first, end, report, reterr);
	memcpy(checker->states, before, size);
	return r;
}

static int check_each(struct pb_checker *checker, size_t first, size_t last, report_fn *report,
		      struct panbind_error *reterr)
{
	const struct panbind_script *script = checker->run->script;

	for (size_t i = first; i < last; i++) {
		const struct pb_command *command = pb_script_command(script, i);
		struct panbind_error error = {.op = PANBIND_NO_OP};
		int r = 0;

		if (command->verb == PB_VERB_BEGIN) {
			size_t end = pb_block_end(script, i);
			const struct pb_command *ends = pb_script_command(script, end);

			checker->op = 0;
			if (ends->verb == PB_VERB_COMMIT && !ends->expect)
				r = check_names(checker, command, false, &error);
			else
				r = check_undone(checker, i + 1, end, report, &error);
			if (ends->verb != PB_VERB_COMMIT || ends->expect)
				i = end;
		} else if (!command->expect) {
			r = check_command(checker, command, &error);
		}
		if (r >= 0)
			continue;
		pb_run_place(checker->run, command, &error);
		if (!report) {
			*reterr = error;
			return r;
		}
		report(checker->run, &error);
	}
	return 0;
}

int pb_check_range(struct pb_checker *checker, size_t first, size_t last, report_fn *report,
		   struct panbind_error *reterr)
{
	checker->epoch++;
	checker->op = 0;
	return check_each(checker, first, last, report, reterr);
}
