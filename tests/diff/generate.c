/* SPDX-License-Identifier: MIT */
#include "generate.h"

#include <drm.h>
#include <fcntl.h>
#include <string.h>

#include "uapi.h"

#define PAGE	   UINT64_C(0x1000)
#define BLOCK	   UINT64_C(0x200000)
/* Slots in use, so that results are overwritten now and then; one more is never written. */
#define USED_SLOTS 6u

uint64_t diff_below(struct diff_maker *maker, uint64_t below)
{
	return test_random_below(&maker->random, below);
}

bool diff_chance(struct diff_maker *maker, unsigned percent)
{
	return diff_below(maker, 100) < percent;
}

struct diff_guess *diff_guess(struct diff_maker *maker, char kind, uint64_t slot)
{
	return &maker->guess[strchr(DIFF_KINDS, kind) - DIFF_KINDS][slot];
}

struct diff_value diff_pick(struct diff_maker *maker, char kind)
{
	uint64_t good[DIFF_SLOTS], count = 0;
	bool same_file = diff_chance(maker, 95);

	for (uint64_t slot = 0; slot < USED_SLOTS; slot++) {
		const struct diff_guess *guess = diff_guess(maker, kind, slot);

		if (guess->live && (!same_file || guess->file == maker->file))
			good[count++] = slot;
	}
	return (struct diff_value){.kind = kind,
				   .number =
					   count ? good[diff_below(maker, count)] : diff_below(maker, USED_SLOTS + 1)};
}

struct diff_guess *diff_result(struct diff_maker *maker, struct diff_node *node)
{
	struct diff_guess *guess;

	node->out = (int8_t)diff_below(maker, USED_SLOTS);
	guess = diff_guess(maker, node->type->out, (uint64_t)node->out);
	*guess = (struct diff_guess){.live = true, .file = maker->file};
	return guess;
}

/* ---- Steps ---- */

static struct diff_node make_vm_create(struct diff_maker *maker)
{
	static const uint64_t ranges[] = {PAGE,
					  UINT64_C(1) << 32,
					  UINT64_C(1) << 46,
					  UINT64_C(1) << 47,
					  (UINT64_C(1) << 47) + PAGE,
					  (UINT64_C(1) << 48) - (UINT64_C(256) << 20),
					  (UINT64_C(1) << 48) - (UINT64_C(256) << 20) + 1,
					  UINT64_C(0x123456789abc)};
	struct diff_node node = diff_node("vm_create");

	if (diff_chance(maker, 25))
		diff_set(&node, "range", DIFF_NUMBER(DIFF_PICK(maker, ranges)));
	diff_result(maker, &node)->size = UINT64_C(1) << 47;
	return node;
}

static struct diff_node make_vm_destroy(struct diff_maker *maker)
{
	struct diff_node node = diff_node("vm_destroy");
	struct diff_value vm = diff_pick(maker, 'v');

	diff_set(&node, "vm", vm);
	if (diff_chance(maker, 80))
		diff_guess(maker, 'v', vm.number)->live = false;
	return node;
}

static struct diff_node make_vm_state(struct diff_maker *maker)
{
	struct diff_node node = diff_node("vm_state");

	diff_set(&node, "vm", diff_pick(maker, 'v'));
	return node;
}

static uint64_t bo_size(struct diff_maker *maker)
{
	switch (diff_below(maker, 8)) {
	case 0:
		return PAGE;
	case 1:
		return PAGE + diff_below(maker, 16 * PAGE); /* not a whole number of pages */
	case 2:
		return BLOCK;
	case 3:
		return 2 * BLOCK;
	case 4:
		return BLOCK + PAGE * (1 + diff_below(maker, 32));
	default:
		return PAGE * (1 + diff_below(maker, 32));
	}
}

static struct diff_node make_bo_create(struct diff_maker *maker)
{
	struct diff_node node = diff_node("bo_create");
	uint64_t size = bo_size(maker), only = 0;
	struct diff_guess *guess;

	diff_set(&node, "size", DIFF_NUMBER(size));
	if (diff_chance(maker, 20))
		diff_set(&node, "flags", DIFF_NUMBER(diff_chance(maker, 70) ? PB_BO_NO_MMAP : PB_BO_WB_MMAP));
	if (diff_chance(maker, 15)) {
		struct diff_value vm = diff_pick(maker, 'v');

		diff_set(&node, "vm", vm);
		only = vm.number + 1;
	}
	guess = diff_result(maker, &node);
	guess->size = size;
	guess->only = only;
	return node;
}

static struct diff_node make_bo_close(struct diff_maker *maker)
{
	struct diff_node node = diff_node("bo_close");
	struct diff_value bo = diff_pick(maker, 'b');

	diff_set(&node, "bo", bo);
	if (diff_chance(maker, 70))
		diff_guess(maker, 'b', bo.number)->live = false;
	return node;
}

static struct diff_node make_bo_offset(struct diff_maker *maker)
{
	struct diff_node node = diff_node("bo_offset");
	struct diff_value bo = diff_pick(maker, 'b');

	diff_set(&node, "bo", bo);
	diff_result(maker, &node)->size = diff_guess(maker, 'b', bo.number)->size;
	return node;
}

/* What came with 1.7. */
static struct diff_node make_bo_info(struct diff_maker *maker)
{
	bool sync = diff_chance(maker, 60);
	struct diff_node node = diff_node(sync ? "bo_sync" : "bo_info");
	struct diff_value bo = diff_pick(maker, 'b');
	uint64_t size = diff_guess(maker, 'b', bo.number)->size;

	diff_set(&node, "bo", bo);
	if (!sync)
		return node;
	diff_set(&node, "type", DIFF_NUMBER(diff_below(maker, 3)));
	diff_set(&node, "offset", DIFF_NUMBER(diff_below(maker, size)));
	diff_set(&node, "size", DIFF_NUMBER(diff_below(maker, size + 2)));
	return node;
}

static struct diff_node make_mmap(struct diff_maker *maker)
{
	struct diff_node node = diff_node("mmap");
	struct diff_value offset = diff_pick(maker, 'm');
	uint64_t size = diff_guess(maker, 'm', offset.number)->size;

	diff_set(&node, "offset", offset);
	diff_set(&node, "size", DIFF_NUMBER(diff_chance(maker, 70) ? size : PAGE * (1 + diff_below(maker, 40))));
	diff_set(&node, "prot", DIFF_NUMBER(diff_chance(maker, 80) ? 3 : diff_below(maker, 4)));
	diff_set(&node, "at", DIFF_NUMBER(diff_below(maker, 2) * PAGE));
	if (diff_chance(maker, 50))
		diff_set(&node, "value", DIFF_NUMBER(1 + diff_below(maker, 255)));
	return node;
}

static struct diff_node make_export(struct diff_maker *maker)
{
	static const uint64_t flags[] = {0, DRM_CLOEXEC, DRM_RDWR, DRM_CLOEXEC | DRM_RDWR};
	struct diff_node node = diff_node("export");

	diff_set(&node, "bo", diff_pick(maker, 'b'));
	diff_set(&node, "flags", DIFF_NUMBER(DIFF_PICK(maker, flags)));
	diff_result(maker, &node)->fd = DIFF_DMA_BUF;
	return node;
}

static struct diff_node make_import(struct diff_maker *maker)
{
	struct diff_node node = diff_node("import");

	diff_set(&node, "fd", diff_pick(maker, 'd'));
	diff_result(maker, &node)->size = PAGE;
	return node;
}

static struct diff_node make_fd_step(struct diff_maker *maker)
{
	struct diff_node node = diff_node(diff_chance(maker, 60) ? "fd_size" : "fd_close");
	struct diff_value fd = diff_pick(maker, 'd');

	diff_set(&node, "fd", fd);
	if (strcmp(node.type->name, "fd_close") == 0)
		diff_guess(maker, 'd', fd.number)->live = false;
	return node;
}

static struct diff_node make_query(struct diff_maker *maker)
{
	struct diff_node node;

	switch (diff_below(maker, 8)) {
	case 0:
		node = diff_node("version");
		diff_set(&node, "room", DIFF_NUMBER(diff_below(maker, 40)));
		return node;
	case 1:
		node = diff_node("get_cap");
		diff_set(&node, "cap", DIFF_NUMBER(diff_below(maker, 0x18)));
		return node;
	case 2:
		/* What came after 1.0, and what is not there at all. */
		node = diff_node("ioctl");
		diff_set(&node, "type", DIFF_NUMBER(diff_chance(maker, 90) ? DRM_IOCTL_BASE : diff_below(maker, 256)));
		diff_set(&node, "nr", DIFF_NUMBER(DRM_COMMAND_BASE + 13 + diff_below(maker, 0x53)));
		diff_set(&node, "size", DIFF_NUMBER(diff_below(maker, 5) * 8));
		return node;
	default:
		node = diff_node("dev_query");
		diff_set(&node, "type", DIFF_NUMBER(diff_below(maker, 6)));
		if (diff_chance(maker, 60))
			diff_set(&node, "size", DIFF_NUMBER(diff_below(maker, 130)));
		if (diff_chance(maker, 30))
			diff_set(&node, "mem", DIFF_NUMBER(DIFF_NULL));
		return node;
	}
}

static struct diff_node make_close(struct diff_maker *maker)
{
	for (const char *kind = DIFF_KINDS; *kind; kind++)
		for (uint64_t slot = 0; *kind != 'd' && slot < DIFF_SLOTS; slot++)
			if (diff_guess(maker, *kind, slot)->file == maker->file)
				diff_guess(maker, *kind, slot)->live = false;
	return diff_node("close");
}

static const struct {
	unsigned weight;
	struct diff_node (*make)(struct diff_maker *maker);
} makers[] = {
	{30, diff_make_bind}, {28, diff_make_sync_step}, {6, make_vm_create}, {3, make_vm_destroy}, {3, make_vm_state},
	{10, make_bo_create}, {5, make_bo_close},	 {3, make_bo_offset}, {4, make_mmap},	    {4, make_export},
	{4, make_import},     {3, make_fd_step},	 {5, make_query},     {1, make_close},	    {3, make_bo_info},
};

static struct diff_node make_step(struct diff_maker *maker)
{
	unsigned total = 0;
	uint64_t at;

	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		total += makers[i].weight;
	at = diff_below(maker, total);
	for (size_t i = 0;; i++) {
		if (at < makers[i].weight)
			return makers[i].make(maker);
		at -= makers[i].weight;
	}
}

static void add(struct diff_maker *maker, struct diff_node node)
{
	node.file = maker->file;
	diff_add_step(&maker->program, node);
}

/* Something to work with, most of the time. */
static void add_beginning(struct diff_maker *maker)
{
	for (maker->file = 0; maker->file < maker->files; maker->file++) {
		add(maker, make_vm_create(maker));
		for (unsigned i = 0; i < 2; i++)
			add(maker, make_bo_create(maker));
	}
}

/* A look at the page tables costs more than all else, so few programs take it. */
#define TABLES_EVERY 16

struct diff_program diff_generate(uint64_t seed)
{
	struct test_random scatter = {.state = seed}; /* else programs of neighbouring seeds are alike */
	struct diff_maker maker = {.random = {.state = test_random(&scatter)}};
	uint64_t steps;

	maker.files = diff_chance(&maker, 30) ? 1 + (unsigned)diff_below(&maker, DIFF_FILES) : 1;
	maker.breakage = diff_chance(&maker, 30) ? 0 : (unsigned)diff_below(&maker, 50);
	steps = 3 + diff_below(&maker, diff_chance(&maker, 10) ? 80 : 25);
	if (diff_chance(&maker, 95))
		add_beginning(&maker);
	while (steps--) {
		struct diff_node node;

		maker.file = (uint8_t)diff_below(&maker, maker.files);
		node = make_step(&maker);
		if (diff_chance(&maker, maker.breakage))
			diff_break(&maker, &node);
		add(&maker, node);
	}
	if (seed % TABLES_EVERY == 0)
		add(&maker, diff_node("tables"));
	return maker.program;
}
