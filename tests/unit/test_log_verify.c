/* SPDX-License-Identifier: MIT */
/* Verify: every kind of damage is noticed, by the check that is meant for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "log_fixture.h"

static void fill(struct panbind_log *log)
{
	struct panbind_log_op ops[2];

	log_vm(log, "tex", 1);
	log_bo(log, "pool", 1, 64);
	ops[0] = log_op_map("tex", 0x10, 8, "pool", 0);
	ops[1] = log_op_unmap("tex", 0x12, 2);
	log_ops(log, ops, 2);
	log_ops(log, ops, 1);
	log_about(log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	log_bo(log, "pool", 2, 64);
}

/** What to do to the file, and what verify has to say about it. */
struct damage {
	const char *sql, *words;
	uint64_t seq;
};

static const struct damage damages[] = {
	{"DELETE FROM entry WHERE seq = 4; DELETE FROM op WHERE id >> 24 = 4", "are missing", 5},
	{"DELETE FROM op WHERE id = (3 << 24) + 1", "has 1 ops, and says it has 2", 3},
	{"UPDATE op SET id = id + 5 WHERE id = (3 << 24) + 1", "has the index 6", 3},
	{"INSERT INTO op VALUES((99 << 24), 0, 0, 1, 0, 4096, 2, 0, NULL)", "belong to no entry", 0},
	{"UPDATE op SET type = 42 WHERE id = 3 << 24", "unknown type", 3},
	{"UPDATE op SET vm = 77 WHERE id = 3 << 24", "is object 77, which is not there", 3},
	{"UPDATE op SET vm = 2 WHERE id = 3 << 24", "of the wrong kind", 3},
	{"UPDATE op SET bo = 3 WHERE id = 3 << 24", "created only by entry 6", 3},
	{"UPDATE object SET destroyed_seq = 2 WHERE id = 1", "destroyed by entry 2", 3},
	{"UPDATE op SET size = 0 WHERE id = 3 << 24", "impossible range", 3},
	{"UPDATE entry SET outcome = 1 WHERE seq = 3", "result is 0, and its outcome rolled-back", 3},
	{"UPDATE entry SET applied = 9 WHERE seq = 3", "more ops applied than it has", 3},
	{"UPDATE entry SET applied = 1 WHERE seq = 3", "not all of its ops are applied", 3},
	{"UPDATE entry SET kind = 50 WHERE seq = 3", "unknown kind 50", 3},
	{"UPDATE object SET created_seq = 2 WHERE id = 1", "whose row says entry 2", 1},
	{"UPDATE object SET destroyed_seq = 4 WHERE id = 2", "whose row says entry 4", 5},
	{"UPDATE object SET destroyed_seq = NULL WHERE id = 2", "two objects named pool live at once", 6},
	{"UPDATE object SET created_seq = 100 WHERE id = 3", "entries that are not there", 100},
	{"UPDATE object SET size = 4096 WHERE id = 2", "beyond the end of BO pool", 4},
	{"UPDATE object SET size = 4096 WHERE id = 1", "beyond the end of VM tex", 4},
	{"DELETE FROM object WHERE id = 2", "is object 2, which is not there", 3},
};

struct heard {
	const struct damage *damage;
	int found;
	char last[300];
};

static void listen(void *data, uint64_t seq, const char *msg)
{
	struct heard *heard = data;

	snprintf(heard->last, sizeof(heard->last), "%llu: %s", (unsigned long long)seq, msg);
	heard->found |= seq == heard->damage->seq && strstr(msg, heard->damage->words) != NULL;
}

static void break_it(struct log_fixture *f, const char *sql)
{
	sqlite3 *db;
	char *words = NULL;

	panbind_log_close(f->log);
	f->log = NULL;
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
		fail_msg("%s: %s", sql, words);
	sqlite3_close(db);
	log_fixture_reopen(f, PANBIND_LOG_READ_ONLY, NULL);
}

static void every_damage_is_noticed(void **state)
{
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct heard heard = {.damage = &damages[i]};
		struct panbind_log_verify_result result;
		struct log_fixture *f;

		log_fixture_setup((void **)&f);
		fill(f->log);
		assert_int_equal(log_problems(f->log), 0);
		break_it(f, damages[i].sql);
		assert_int_equal(panbind_log_verify(f->log, 0, listen, &heard, &result, NULL), 0);
		assert_true(result.problems > 0);
		if (!heard.found)
			fail_msg("%s: heard only \"%s\"", damages[i].sql, heard.last);
		log_fixture_teardown((void **)&f);
	}
}

static void a_sound_log_is_counted(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_verify_result result;

	fill(f->log);
	assert_int_equal(panbind_log_verify(f->log, PANBIND_LOG_VERIFY_DEEP, NULL, NULL, &result, NULL), 0);
	assert_int_equal(result.problems, 0);
	assert_int_equal(result.entries, 6);
	assert_int_equal(result.ops, 3);
	assert_int_equal(result.objects, 3);
	assert_int_equal(result.mappings, 1);
}

static void an_overlap_in_the_snapshot_is_noticed(void **state)
{
	const struct damage damage = {.words = "overlaps the one before it", .seq = 3};
	struct heard heard = {.damage = &damage};
	struct log_fixture *f = *state;

	fill(f->log);
	panbind_log_compact(f->log, 3, NULL, NULL);
	assert_int_equal(log_problems(f->log), 0);
	break_it(f, "UPDATE snapshot_mapping SET size = size * 8");
	assert_int_equal(panbind_log_verify(f->log, 0, listen, &heard, NULL, NULL), 0);
	assert_true(heard.found);
}

static void bytes_that_rot_are_noticed(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_verify_result result = {0};
	struct panbind_error error;
	FILE *file;
	int err;

	for (int i = 0; i < 200; i++)
		log_about(f->log, PANBIND_LOG_START, NULL, 0);
	log_fixture_reopen(f, PANBIND_LOG_READ_ONLY, NULL);
	file = fopen(f->path, "r+");
	fseek(file, -2048 * 4 + 8, SEEK_END);
	for (int i = 0; i < 600; i++)
		fputc(0x5a, file);
	fclose(file);
	err = panbind_log_verify(f->log, 0, NULL, NULL, &result, &error);
	assert_true(err < 0 || result.problems > 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_sound_log_is_counted),
		LOG_TEST(every_damage_is_noticed),
		LOG_TEST(an_overlap_in_the_snapshot_is_noticed),
		LOG_TEST(bytes_that_rot_are_noticed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log verify", tests, NULL, NULL);
}
