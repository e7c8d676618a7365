/* SPDX-License-Identifier: MIT */
/* Export and import: what is read from one log makes the same log again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log_fixture.h"

#include <unistd.h>

static void fill(struct panbind_log *log)
{
	struct panbind_log_op ops[2];
	struct panbind_log_entry entry;

	log_vm(log, "tex", 3);
	log_bo(log, "pool", 1, 64);
	ops[0] = log_op_map("tex", 0x10, 8, "pool", 0);
	ops[0].flags = PANBIND_MAP_NOEXEC;
	ops[1] = log_op_sparse("tex", 0x40, 2);
	ops[1].type = PANBIND_LOG_SPARSE_RESERVE;
	log_ops(log, ops, 2);
	log_about(log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	log_bo(log, "pool", 2, 32);
	ops[0] = log_op_map("tex", 0x12, 1, "pool", 4);
	ops[0].syncs = "--signal=x:2";
	entry = log_bind_entry(ops, 1);
	entry.txn_id = "mine";
	entry.argv = "panbind map";
	entry.flags = PANBIND_LOG_ASYNC;
	log_entry(log, &entry);
	ops[0] = log_op_map("ghost", 0x12, 1, "gone", 4);
	entry = log_bind_entry(ops, 1);
	entry.result = -ENOENT;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = PANBIND_STAGE_VALIDATE;
	entry.message = "no such VM";
	log_entry(log, &entry);
}

static void copy_vm(struct panbind_log_state *state, size_t i, struct panbind_log_import *import)
{
	const struct panbind_log_ref vm = panbind_log_state_vm(state, i)->object.ref;
	struct panbind_log_mapping mapping;
	uint64_t va, size;

	for (va = 0; panbind_log_state_next_mapping(state, i, va, &mapping) == 0; va = mapping.va + mapping.size)
		assert_int_equal(panbind_log_import_mapping(import, vm, &mapping, NULL), 0);
	for (va = 0; panbind_log_state_next_region(state, i, va, &va, &size) == 0; va += size)
		assert_int_equal(panbind_log_import_region(import, vm, va, size, NULL), 0);
}

static void copy_state(struct panbind_log *log, uint64_t seq, struct panbind_log_import *import)
{
	struct panbind_log_state *state;

	assert_int_equal(panbind_log_state_create(log, seq, (struct panbind_log_ref){0}, &state, NULL), 0);
	for (size_t i = 0; panbind_log_state_vm(state, i); i++)
		assert_int_equal(panbind_log_import_vm(import, panbind_log_state_vm(state, i), NULL), 0);
	for (size_t i = 0; panbind_log_state_bo(state, i); i++)
		assert_int_equal(panbind_log_import_bo(import, panbind_log_state_bo(state, i), NULL), 0);
	for (size_t i = 0; panbind_log_state_vm(state, i); i++)
		copy_vm(state, i, import);
	panbind_log_state_destroy(state);
}

static void copy_entries(struct panbind_log *log, uint64_t since, struct panbind_log_import *import)
{
	const struct panbind_log_filter filter = {.since_seq = since};
	const struct panbind_log_entry *entry;
	struct panbind_log_reader *reader;
	struct panbind_error error;

	assert_int_equal(panbind_log_reader_open(log, &filter, &reader, NULL), 0);
	while (panbind_log_read(reader, &entry) == 1)
		if (panbind_log_import_entry(import, entry, &error) < 0)
			fail_msg("%s", error.msg);
	panbind_log_reader_close(reader);
}

static struct panbind_log *copy_log(struct log_fixture *f, const char *path)
{
	struct panbind_log_import *import;
	struct panbind_log_status status;
	struct panbind_log *copy;

	panbind_log_get_status(f->log, &status);
	assert_int_equal(panbind_log_import_begin(path, status.state_seq, &import, NULL), 0);
	if (status.state_seq)
		copy_state(f->log, status.state_seq, import);
	copy_entries(f->log, status.first_seq, import);
	assert_int_equal(panbind_log_import_end(import, NULL), 0);
	assert_int_equal(panbind_log_open(path, 0, NULL, &copy, NULL), 0);
	return copy;
}

static void assert_same_entries(struct panbind_log *a, struct panbind_log *b)
{
	struct panbind_log_reader *ra, *rb;
	const struct panbind_log_entry *ea, *eb;
	int rc;

	assert_int_equal(panbind_log_reader_open(a, NULL, &ra, NULL), 0);
	assert_int_equal(panbind_log_reader_open(b, NULL, &rb, NULL), 0);
	while ((rc = panbind_log_read(ra, &ea)) == 1) {
		assert_int_equal(panbind_log_read(rb, &eb), 1);
		assert_int_equal(ea->seq, eb->seq);
		assert_int_equal(ea->time_ns, eb->time_ns);
		assert_int_equal(ea->result, eb->result);
		assert_int_equal(ea->durability, eb->durability);
		assert_int_equal(ea->op_count, eb->op_count);
		assert_string_equal(ea->argv ? ea->argv : "", eb->argv ? eb->argv : "");
		assert_string_equal(ea->message ? ea->message : "", eb->message ? eb->message : "");
		for (size_t i = 0; i < ea->op_count; i++) {
			assert_string_equal(ea->ops[i].vm.name, eb->ops[i].vm.name);
			assert_int_equal(ea->ops[i].bo.generation, eb->ops[i].bo.generation);
			assert_string_equal(ea->ops[i].syncs ? ea->ops[i].syncs : "",
					    eb->ops[i].syncs ? eb->ops[i].syncs : "");
		}
	}
	assert_int_equal(rc, 0);
	assert_int_equal(panbind_log_read(rb, &eb), 0);
	panbind_log_reader_close(ra);
	panbind_log_reader_close(rb);
}

/* Compacted up to any entry, or not at all. */
static void a_copy_is_the_same_log(void **state)
{
	for (uint64_t until = 0; until <= 7; until++) {
		struct log_fixture *f;
		struct panbind_log *copy;
		struct panbind_log_txn txn;
		char path[110], *picture;

		log_fixture_setup((void **)&f);
		fill(f->log);
		panbind_log_compact(f->log, until, NULL, NULL);
		snprintf(path, sizeof(path), "%s-copy", f->path);
		copy = copy_log(f, path);
		assert_same_entries(f->log, copy);
		for (uint64_t seq = until > 1 ? until : 1; seq <= 7; seq++) {
			picture = log_picture(f->log, seq, "tex");
			log_assert_picture(copy, seq, "tex", picture);
			free(picture);
		}
		assert_int_equal(panbind_log_txn_lookup(copy, "mine", &txn), until >= 6 ? -ENOENT : 0);
		assert_int_equal(log_problems(copy), 0);
		/* And it can be written on. */
		assert_int_equal(log_about(copy, PANBIND_LOG_VM_DESTROY, "tex", 3), 8);
		panbind_log_close(copy);
		log_fixture_teardown((void **)&f);
	}
}

static void an_existing_file_is_not_touched(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_import *import;

	assert_int_equal(panbind_log_import_begin(f->path, 0, &import, NULL), -EEXIST);
	strcat(f->path, "2");
	assert_int_equal(panbind_log_import_begin(f->path, 0, &import, NULL), 0);
	assert_int_equal(access(f->path, F_OK), -1); /* nothing is there until the end */
	fclose(fopen(f->path, "w"));
	assert_int_equal(panbind_log_import_end(import, NULL), -EEXIST);
}

static void a_broken_off_import_leaves_nothing(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_import *import;
	const struct panbind_log_entry entry = {.seq = 1, .kind = PANBIND_LOG_START};
	char command[120];

	strcat(f->path, "2");
	assert_int_equal(panbind_log_import_begin(f->path, 0, &import, NULL), 0);
	assert_int_equal(panbind_log_import_entry(import, &entry, NULL), 0);
	panbind_log_import_abort(import);
	snprintf(command, sizeof(command), "ls %s* >/dev/null 2>&1", f->path);
	assert_int_not_equal(system(command), 0);
}

static void what_a_log_would_refuse_an_import_refuses(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);
	struct panbind_log_import *import;
	struct panbind_error error;

	strcat(f->path, "2");
	assert_int_equal(panbind_log_import_begin(f->path, 4, &import, NULL), 0);
	entry.seq = 4;
	assert_int_equal(panbind_log_import_entry(import, &entry, &error), -EINVAL); /* out of order */
	entry.seq = 5;
	assert_int_equal(panbind_log_import_entry(import, &entry, &error), -ENOENT); /* no such VM */
	entry = (struct panbind_log_entry){.seq = 5, .kind = PANBIND_LOG_START, .txn_id = "a"};
	assert_int_equal(panbind_log_import_entry(import, &entry, &error), 0);
	entry.seq = 6;
	assert_int_equal(panbind_log_import_entry(import, &entry, &error), -EEXIST); /* the id again */
	assert_int_equal(panbind_log_import_vm(import, &(struct panbind_log_state_object){.object.ref = {"x", 1}},
					       &error),
			 -EINVAL); /* the state comes first */
	panbind_log_import_abort(import);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_copy_is_the_same_log),
		LOG_TEST(an_existing_file_is_not_touched),
		LOG_TEST(a_broken_off_import_leaves_nothing),
		LOG_TEST(what_a_log_would_refuse_an_import_refuses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log import", tests, NULL, NULL);
}
