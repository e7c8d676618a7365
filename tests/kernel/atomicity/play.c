/* SPDX-License-Identifier: MIT */
#include "play.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "panbind.h"

#define LOOP_WATCHES(remap, i) for (size_t i = 0; i < REMAP_WATCHES && (remap)->watch[i].name; i++)

/* The driver could not cut a block. It says so, or just gives the VM up. */
static bool cut_badly(struct subject *subject, uint32_t vm, int ret, struct record *record)
{
	if (!subject->of_its_own || (ret != -EEXIST && subject_vm_works(subject, vm)))
		return false;
	snprintf(record->known_bug, sizeof(record->known_bug), "it cannot cut a block that is no huge page: %s",
		 ret ? panbind_errno_name(ret) : "0, and the VM is unusable");
	return true;
}

/* It locks nothing for an op of size 0, and unlocks all the same. */
static void find_needless_unlock(const struct subject *subject, const struct remap_case *remap, struct record *record)
{
	if (subject->of_its_own && !remap->ops[0].size && strstr(record->trouble, "UNLOCK without a lock"))
		snprintf(record->known_bug, sizeof(record->known_bug), "it unlocks what it has not locked");
}

void play(struct subject *subject, const struct remap_case *remap, struct record *ret_record)
{
	uint32_t vm = subject_vm(subject);
	int ret = remap_count(remap->before) ? subject_bind(subject, vm, remap->before, false) : 0;

	*ret_record = (struct record){0};
	if (cut_badly(subject, vm, ret, ret_record)) {
		subject_vm_destroy(subject, vm);
		return;
	}
	if (ret)
		bail_out("%s: what is mapped before: %s", remap->name, panbind_errno_name(ret));
	if (!remap->idle)
		subject->kind->hold(subject, vm);
	subject->kind->start(subject, vm, remap, ret_record);
	ret = subject_bind(subject, vm, remap->ops, remap->async);
	subject->kind->stop(subject);
	if (cut_badly(subject, vm, ret, ret_record)) {
		if (!remap->idle)
			subject->kind->give_up(subject);
	} else if (ret) {
		bail_out("%s: %s", remap->name, panbind_errno_name(ret));
	} else if (!remap->idle) {
		subject->kind->let_go(subject, vm);
	}
	find_needless_unlock(subject, remap, ret_record);
	subject_vm_destroy(subject, vm);
}

static size_t count_commands(const struct record *record, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < record->command_count; i++)
		count += !strcmp(record->commands[i].name, name);
	return count;
}

static void print_commands(FILE *out, const struct record *record)
{
	static const char *const names[] = {"LOCK", "FLUSH_PT", "FLUSH_MEM", "GPU_FLUSH", "UNLOCK"};
	const char *comma = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t count = count_commands(record, names[i]);

		if (!count)
			continue;
		fprintf(out, "%s%zu %s", comma, count, names[i]);
		comma = ", ";
	}
	if (!record->command_count)
		fputs("none", out);
}

static void print_region(FILE *out, uint64_t va, uint64_t size)
{
	static const char units[] = "\0KMGT";
	unsigned unit = 0;

	while (unit < 4 && size && !(size & 1023)) {
		size >>= 10;
		unit++;
	}
	fprintf(out, "0x%llx+%llu%.1s", (unsigned long long)va, (unsigned long long)size, &units[unit]);
}

/* The regions in order; "2 x" for one that is locked again at once. */
static void print_regions(FILE *out, const struct record *record)
{
	const struct as_command *last = NULL;
	size_t again = 0;
	const char *comma = "";

	for (size_t i = 0; i <= record->command_count; i++) {
		const struct as_command *command = i < record->command_count ? &record->commands[i] : NULL;

		if (command && strcmp(command->name, "LOCK"))
			continue;
		if (command && last && command->va == last->va && command->size == last->size) {
			again++;
			continue;
		}
		if (last) {
			fputs(comma, out);
			if (again)
				fprintf(out, "%zu x ", again + 1);
			print_region(out, last->va, last->size);
			comma = ", ";
		}
		last = command;
		again = 0;
	}
	if (!*comma)
		fputs("nothing", out);
}

static const char *look_name(char look)
{
	switch ((enum look)look) {
	case LOOK_NOTHING:
		return "nothing";
	case LOOK_OLD:
		return "old";
	case LOOK_NEW:
		return "new";
	case LOOK_STALL:
		return "stall";
	case LOOK_HOLE:
		return "**hole**";
	case LOOK_STALE:
		return "**stale**";
	case LOOK_FOREIGN:
		break;
	}
	return "**foreign**";
}

static void print_looks(FILE *out, const char *looks)
{
	for (const char *look = looks; *look; look++)
		fprintf(out, "%s%s", look == looks ? "" : ", ", look_name(*look));
	if (!*looks)
		fputs("no GPU", out);
}

static bool saw(const struct remap_case *remap, const struct record *record, enum look look)
{
	LOOP_WATCHES(remap, i)
	if (strchr(record->looks[i], look) || (look == LOOK_HOLE && record->hole_between[i]))
		return true;
	return false;
}

void print_rows(FILE *out, const struct remap_case *remap, const struct record *record)
{
	fprintf(out, "%s\twhat\t%c%s.\n", remap->name, toupper(remap->what[0]), remap->what + 1);
	fprintf(out, "%s\tsummary\t%zu LOCK, %s\n", remap->name, count_commands(record, "LOCK"),
		saw(remap, record, LOOK_HOLE) ? "**hole**" : "no hole");
	fprintf(out, "%s\tcommands\t", remap->name);
	print_commands(out, record);
	fprintf(out, "\n%s\tlocked\t", remap->name);
	print_regions(out, record);
	LOOP_WATCHES(remap, i)
	{
		fprintf(out, "\n%s\t`0x%llx` %s\t", remap->name, (unsigned long long)remap->watch[i].va,
			remap->watch[i].name);
		print_looks(out, record->looks[i]);
	}
	fputc('\n', out);
}
