/* SPDX-License-Identifier: MIT */
/*
 * atomicity SPEC ROWS: play all remaps on a device, say TAP, and write the rows of kernel/ATOMICITY.md into a file.
 *
 * SPEC is "drm:auto" in the kernel box, or "sim:OPTIONS".
 */
#include <stdio.h>

#include "play.h"

static int number, failed;

static void tell(bool right, const char *name, const char *what, const char *reason)
{
	printf("%sok %d - %s: %s\n", right ? "" : "not ", ++number, name, what);
	if (!right)
		printf("# %s\n", reason);
	failed += !right;
}

static void leave_out(const char *name, const struct record *record)
{
	printf("ok %d - %s # SKIP a known bug of this driver: %s\n", ++number, name, record->known_bug);
}

static void run_case(struct subject *subject, const char *spec, const struct remap_case *remap, FILE *rows)
{
	struct record record;
	char reason[512] = "";
	bool right;

	play(subject, remap, &record);
	if (*record.known_bug) {
		leave_out(remap->name, &record);
		return;
	}
	print_rows(rows, remap, &record);
	right = judge(subject, remap, &record, reason, sizeof(reason));
	tell(right, remap->name, subject->atomic ? "the GPU sees one step" : "the GPU sees each step", reason);
	if (!subject->atomic)
		return;
	right = judge_plan(spec, subject, remap, &record, reason, sizeof(reason));
	tell(right, remap->name, "the plan knows what is locked", reason);
}

int main(int argc, char **argv)
{
	struct subject subject;
	FILE *rows;

	if (argc != 3) {
		fprintf(stderr, "usage: %s SPEC ROWS\n", argv[0]);
		return 2;
	}
	rows = fopen(argv[2], "w");
	if (!rows)
		bail_out("cannot write %s", argv[2]);
	subject_open(&subject, argv[1]);
	for (size_t i = 0; i < remap_case_count; i++)
		run_case(&subject, argv[1], &remap_cases[i], rows);
	subject_close(&subject);
	if (fclose(rows))
		bail_out("cannot write %s", argv[2]);
	printf("1..%d\n", number);
	return failed ? 1 : 0;
}
