/* SPDX-License-Identifier: MIT */
/* Appending: seqs, groups, the order of answers, what is refused, transaction ids. */
#include <errno.h>
#include <semaphore.h>
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

#define ENTRIES 500

/** What the callbacks said, in their order. */
struct answers {
	pthread_mutex_t lock;
	size_t count;
	uint64_t seq[ENTRIES];
	int result[ENTRIES];
};

static void note(void *data, uint64_t seq, int result)
{
	struct answers *answers = data;

	pthread_mutex_lock(&answers->lock);
	answers->seq[answers->count] = seq;
	answers->result[answers->count++] = result;
	pthread_mutex_unlock(&answers->lock);
}

static void seqs_rise_by_one_and_answers_come_in_order(void **state)
{
	struct log_fixture *f = *state;
	struct answers answers = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct panbind_log_status status;
	uint64_t seq;

	/* Given a log with a VM and a BO */
	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 16);
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	const struct panbind_log_entry entry = log_bind_entry(&op, 1);

	/* when many entries are appended without waiting */
	for (uint64_t i = 0; i < ENTRIES; i++) {
		assert_int_equal(
			panbind_log_append(f->log, &entry, PANBIND_LOG_DURABLE_SYNC, note, &answers, &seq, NULL), 0);
		assert_int_equal(seq, 3 + i);
	}
	assert_int_equal(panbind_log_flush(f->log), 0);
	panbind_log_get_status(f->log, &status);
	log_fixture_reopen(f, 0, NULL);

	/* then each is answered once, in order, in fewer commits than entries. */
	assert_int_equal(answers.count, ENTRIES);
	for (uint64_t i = 0; i < ENTRIES; i++) {
		assert_int_equal(answers.seq[i], 3 + i);
		assert_int_equal(answers.result[i], 0);
	}
	assert_int_equal(status.last_seq, ENTRIES + 2);
	assert_true(status.groups < ENTRIES);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), ENTRIES + 2);
}

static void an_answered_entry_is_in_the_file(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 16);
	for (int i = 0; i < 20; i++) {
		uint64_t seq;
		char sql[80];

		assert_int_equal(panbind_log_append_wait(f->log, &entry, (enum panbind_log_durability)(1 + i % 2), &seq,
							 NULL),
				 0);
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM entry WHERE seq = %d", (int)seq);
		assert_int_equal(log_ask(f->log, sql), 1);
	}
}

/** Which thread answered, and a gate at which it stands until it is let go. */
struct place {
	pthread_t thread;
	sem_t reached, gate;
	bool stops;
};

static void note_place(void *data, uint64_t seq, int result)
{
	struct place *place = data;
	bool stops = place->stops; /* whoever waits may be gone with the place once it is reached */

	assert_int_equal(result, 0);
	place->thread = pthread_self();
	sem_post(&place->reached);
	if (stops)
		sem_wait(&place->gate);
}

static void init_place(struct place *place, bool stops)
{
	*place = (struct place){.stops = stops};
	sem_init(&place->reached, 0, 0);
	sem_init(&place->gate, 0, 0);
}

static void append_noting(struct panbind_log *log, const struct panbind_log_entry *entry, bool here,
			  struct place *place)
{
	assert_int_equal((here ? panbind_log_append_here : panbind_log_append)(log, entry, PANBIND_LOG_DURABLE_SYNC,
									       note_place, place, NULL, NULL),
			 0);
}

static void a_lone_entry_is_committed_where_it_is_appended(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	const struct panbind_log_entry entry = log_bind_entry(&op, 1);
	struct place place;

	/* Given a log that has nothing to do, when an entry is appended here, */
	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 16);
	panbind_log_flush(f->log);
	init_place(&place, false);
	append_noting(f->log, &entry, true, &place);

	/* then this thread has answered it, and it is in the file. */
	assert_int_equal(sem_trywait(&place.reached), 0);
	assert_true(pthread_equal(place.thread, pthread_self()));
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 3);
}

static void while_another_thread_commits_an_entry_is_left_to_it(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	const struct panbind_log_entry entry = log_bind_entry(&op, 1);
	struct place first, second;

	/* Given the log's thread in the midst of a group, */
	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 16);
	init_place(&first, true);
	init_place(&second, false);
	append_noting(f->log, &entry, false, &first);
	sem_wait(&first.reached);

	/* when another entry is appended here, it does not wait for that, */
	append_noting(f->log, &entry, true, &second);
	assert_int_equal(sem_trywait(&second.reached), -1);

	/* and the log's thread commits it. */
	sem_post(&first.gate);
	sem_wait(&second.reached);
	assert_true(pthread_equal(first.thread, second.thread));
	assert_false(pthread_equal(second.thread, pthread_self()));
}

struct appender {
	struct log_fixture *f;
	pthread_t thread;
	int index;
};

static void *append_a_hundred(void *data)
{
	struct appender *me = data;
	const struct panbind_log_op op = log_op_map("tex", 1 + (uint64_t)me->index, 1, "pool", 0);
	const struct panbind_log_entry entry = log_bind_entry(&op, 1);

	for (int i = 0; i < 100; i++)
		assert_int_equal(panbind_log_append_wait(me->f->log, &entry, PANBIND_LOG_DURABLE_WRITE, NULL, NULL), 0);
	return NULL;
}

/* Whoever finds the log at rest commits: the turn goes from thread to thread, and nothing is left lying. */
static void threads_take_turns(void **state)
{
	struct log_fixture *f = *state;
	struct appender appenders[6];

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 16);
	for (int i = 0; i < 6; i++) {
		appenders[i] = (struct appender){.f = f, .index = i};
		pthread_create(&appenders[i].thread, NULL, append_a_hundred, &appenders[i]);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(appenders[i].thread, NULL);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 602);
	assert_int_equal(log_problems(f->log), 0);
}

static void all_fields_come_back(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 5, 2, "pool", 3);
	const struct panbind_log_entry *back;
	struct panbind_log_reader *reader;
	struct panbind_log_entry entry;

	log_vm(f->log, "tex", 4);
	log_bo(f->log, "pool", 9, 16);
	op.flags = PANBIND_MAP_READONLY | PANBIND_MAP_NOEXEC;
	op.syncs = "--wait=done:3";
	entry = log_bind_entry(&op, 1);
	entry.time_ns = 1234567890123456789;
	entry.flags = PANBIND_LOG_ASYNC;
	entry.txn_id = "id-1";
	entry.argv = "panbind map tex";
	entry.comment = "caf\xc3\xa9";
	entry.message = "fine";
	entry.latency_ns = 4200;
	entry.gid = PANBIND_LOG_NO_ID;
	log_entry(f->log, &entry);

	assert_int_equal(panbind_log_reader_open(f->log, &(struct panbind_log_filter){.since_seq = 3}, &reader, NULL),
			 0);
	assert_int_equal(panbind_log_read(reader, &back), 1);
	assert_int_equal(back->seq, 3);
	assert_int_equal(back->time_ns, entry.time_ns);
	assert_int_equal(back->kind, PANBIND_LOG_BIND);
	assert_int_equal(back->flags, PANBIND_LOG_ASYNC);
	assert_int_equal(back->uid, 1000);
	assert_int_equal(back->gid, PANBIND_LOG_NO_ID);
	assert_int_equal(back->pid, 77);
	assert_string_equal(back->txn_id, "id-1");
	assert_string_equal(back->argv, "panbind map tex");
	assert_string_equal(back->comment, "caf\xc3\xa9");
	assert_string_equal(back->message, "fine");
	assert_int_equal(back->latency_ns, 4200);
	assert_int_equal(back->durability, PANBIND_LOG_DURABLE_WRITE);
	assert_int_equal(back->failing_op, PANBIND_NO_OP);
	assert_int_equal(back->applied, 1);
	assert_int_equal(back->op_count, 1);
	assert_int_equal(back->ops[0].va, 5 * LOG_PAGE);
	assert_int_equal(back->ops[0].size, 2 * LOG_PAGE);
	assert_int_equal(back->ops[0].bo_offset, 3 * LOG_PAGE);
	assert_int_equal(back->ops[0].flags, op.flags);
	assert_string_equal(back->ops[0].syncs, "--wait=done:3");
	assert_string_equal(back->ops[0].vm.name, "tex");
	assert_int_equal(back->ops[0].vm.generation, 4);
	assert_string_equal(back->ops[0].bo.name, "pool");
	assert_int_equal(back->ops[0].bo.generation, 9);
	assert_int_equal(panbind_log_read(reader, &back), 0);
	panbind_log_reader_close(reader);
}

static int refused(struct log_fixture *f, const struct panbind_log_entry *entry)
{
	struct panbind_error error = {0};
	int err = panbind_log_append(f->log, entry, PANBIND_LOG_DURABLE_SYNC, NULL, NULL, NULL, &error);

	assert_int_equal(error.code, err);
	assert_int_equal(error.stage, PANBIND_STAGE_JOURNAL);
	return err;
}

static void nonsense_is_refused_and_takes_no_seq(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);
	char *huge = calloc(1, PANBIND_LOG_MAX_TEXT + 2);

	assert_int_equal(refused(f, &entry), -ENOENT); /* no such VM */
	log_vm(f->log, "tex", 1);
	assert_int_equal(refused(f, &entry), -ENOENT); /* no such BO */
	log_bo(f->log, "pool", 1, 16);
	op.bo.generation = 2;
	assert_int_equal(refused(f, &entry), -ENOENT); /* not that one */
	op.bo.generation = 1;
	op.size = 0;
	assert_int_equal(refused(f, &entry), -EINVAL);
	op.size = LOG_PAGE;
	op.type = 99;
	assert_int_equal(refused(f, &entry), -EINVAL);
	op.type = PANBIND_LOG_MAP;
	entry.result = -EINVAL; /* a failure that says that it was applied */
	assert_int_equal(refused(f, &entry), -EINVAL);
	entry.result = 0;
	entry.kind = PANBIND_LOG_START; /* with ops */
	assert_int_equal(refused(f, &entry), -EINVAL);
	entry.kind = PANBIND_LOG_BIND;
	memset(huge, 'x', PANBIND_LOG_MAX_TEXT + 1);
	entry.argv = huge;
	assert_int_equal(refused(f, &entry), -E2BIG);
	entry.argv = NULL;
	assert_int_equal(log_entry(f->log, &entry), 3);
	free(huge);
}

static void names_live_once_at_a_time(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_VM_CREATE, .object.ref = {"tex", 2}};
	const struct panbind_log_op op = log_op_unmap("tex", 0, 1);
	const struct panbind_log_entry bind = log_bind_entry(&op, 1);

	log_vm(f->log, "tex", 1);
	assert_int_equal(refused(f, &entry), -EEXIST);
	log_about(f->log, PANBIND_LOG_VM_DESTROY, "tex", 1);
	assert_int_equal(refused(f, &bind), -ENOENT);
	entry.kind = PANBIND_LOG_VM_DESTROY;
	assert_int_equal(refused(f, &entry), -ENOENT);
	log_vm(f->log, "tex", 2);
	log_ops(f->log, &op, 1);
	/* The same after the file was closed: names come from the file. */
	log_fixture_reopen(f, 0, NULL);
	entry.kind = PANBIND_LOG_VM_CREATE;
	assert_int_equal(refused(f, &entry), -EEXIST);
	log_ops(f->log, &op, 1);
	/* A start ends all of them. */
	log_about(f->log, PANBIND_LOG_START, NULL, 0);
	assert_int_equal(refused(f, &bind), -ENOENT);
	log_vm(f->log, "tex", 1);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_failure_may_name_what_never_was(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("nobody", 1, 1, "nothing", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);
	const struct panbind_log_entry *back;
	struct panbind_log_reader *reader;

	entry.result = -EINVAL;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = PANBIND_STAGE_VALIDATE;
	entry.failing_op = 0;
	log_entry(f->log, &entry);
	/* The names are shown, and are free for those who live. */
	assert_int_equal(panbind_log_reader_open(f->log, NULL, &reader, NULL), 0);
	assert_int_equal(panbind_log_read(reader, &back), 1);
	assert_string_equal(back->ops[0].vm.name, "nobody");
	assert_string_equal(back->ops[0].bo.name, "nothing");
	assert_int_equal(back->applied, 0);
	panbind_log_reader_close(reader);
	log_vm(f->log, "nobody", 1);
	log_bo(f->log, "nothing", 1, 4);
	log_ops(f->log, &op, 1);
	log_assert_picture(f->log, UINT64_MAX, "nobody", "1-2=nothing+0");
	assert_int_equal(log_problems(f->log), 0);
}

static void a_transaction_id_counts_once(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START, .txn_id = "once", .failing_op = PANBIND_NO_OP};
	struct panbind_log_txn txn;

	assert_int_equal(panbind_log_txn_lookup(f->log, "once", &txn), -ENOENT);
	/* Queued or committed: it is known at once. */
	assert_int_equal(panbind_log_append(f->log, &entry, PANBIND_LOG_DURABLE_SYNC, NULL, NULL, NULL, NULL), 0);
	assert_int_equal(refused(f, &entry), -EEXIST);
	assert_int_equal(panbind_log_txn_lookup(f->log, "once", &txn), 0);
	assert_int_equal(txn.seq, 1);
	panbind_log_flush(f->log);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(refused(f, &entry), -EEXIST);
	assert_int_equal(panbind_log_txn_lookup(f->log, "once", &txn), 0);
	assert_int_equal(txn.seq, 1);
	assert_int_equal(txn.pending, 0);
	assert_int_equal(panbind_log_txn_lookup(f->log, "onc", &txn), -ENOENT);
}

static void a_failed_outcome_is_remembered_with_its_id(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_unmap("tex", 0, 1);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);
	struct panbind_log_txn txn;

	log_vm(f->log, "tex", 1);
	entry.txn_id = "bad";
	entry.result = -ENOSPC;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = PANBIND_STAGE_SUBMIT;
	entry.failing_op = 0;
	entry.message = "no room";
	log_entry(f->log, &entry);
	assert_int_equal(panbind_log_txn_lookup(f->log, "bad", &txn), 0);
	assert_int_equal(txn.seq, 2);
	assert_int_equal(txn.result, -ENOSPC);
	assert_int_equal(txn.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(txn.stage, PANBIND_STAGE_SUBMIT);
	assert_int_equal(txn.failing_op, 0);
	assert_string_equal(txn.message, "no room");
}

static void none_is_answered_and_recorded(void **state)
{
	struct log_fixture *f = *state;
	struct answers answers = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};

	for (int i = 0; i < 10; i++)
		assert_int_equal(
			panbind_log_append(f->log, &entry, PANBIND_LOG_DURABLE_NONE, note, &answers, NULL, NULL), 0);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(answers.count, 10);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 10);
}

static void note_hook(void *data, uint64_t last_seq)
{
	__atomic_store_n((uint64_t *)data, last_seq, __ATOMIC_SEQ_CST);
}

static void the_hook_tells_the_last_seq(void **state)
{
	struct log_fixture *f = *state;
	uint64_t last = 0;

	panbind_log_set_commit_hook(f->log, note_hook, &last);
	log_vm(f->log, "a", 1);
	log_vm(f->log, "b", 1);
	assert_int_equal(__atomic_load_n(&last, __ATOMIC_SEQ_CST), 2);
	panbind_log_set_commit_hook(f->log, NULL, NULL);
}

/* An answer may append: the daemon does so to log what it undid. */
static void append_again(void *data, uint64_t seq, int result)
{
	const struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};

	if (seq < 50)
		assert_int_equal(
			panbind_log_append(data, &entry, PANBIND_LOG_DURABLE_WRITE, append_again, data, NULL, NULL), 0);
}

static void an_answer_may_append(void **state)
{
	struct log_fixture *f = *state;

	append_again(f->log, 0, 0);
	while (log_ask(f->log, "SELECT count(*) FROM entry") < 50)
		panbind_log_flush(f->log);
	assert_int_equal(log_problems(f->log), 0);
}

struct producer {
	pthread_t thread;
	struct panbind_log *log;
	int id;
};

static void *produce(void *data)
{
	const struct producer *p = data;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START, .pid = p->id};
	uint64_t seq, before = 0;

	for (int i = 0; i < 200; i++) {
		entry.latency_ns = (uint64_t)i;
		assert_int_equal(
			panbind_log_append_wait(p->log, &entry, (enum panbind_log_durability)(i % 3), &seq, NULL), 0);
		assert_true(seq > before);
		before = seq;
	}
	return NULL;
}

static void many_threads_append_and_lose_nothing(void **state)
{
	struct log_fixture *f = *state;
	struct producer producers[8];

	for (int i = 0; i < 8; i++) {
		producers[i] = (struct producer){.log = f->log, .id = i};
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(producers[i].thread, NULL);
	panbind_log_flush(f->log);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 1600);
	assert_int_equal(log_ask(f->log, "SELECT count(DISTINCT pid * 1000 + latency_ns) FROM entry"), 1600);
	/* Each thread's own order is kept. */
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM (SELECT latency_ns - lag(latency_ns) OVER"
					 " (PARTITION BY pid ORDER BY seq) AS step FROM entry) WHERE step <> 1"),
			 0);
	assert_int_equal(log_problems(f->log), 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(seqs_rise_by_one_and_answers_come_in_order),
		LOG_TEST(an_answered_entry_is_in_the_file),
		LOG_TEST(a_lone_entry_is_committed_where_it_is_appended),
		LOG_TEST(while_another_thread_commits_an_entry_is_left_to_it),
		LOG_TEST(threads_take_turns),
		LOG_TEST(all_fields_come_back),
		LOG_TEST(nonsense_is_refused_and_takes_no_seq),
		LOG_TEST(names_live_once_at_a_time),
		LOG_TEST(a_failure_may_name_what_never_was),
		LOG_TEST(a_transaction_id_counts_once),
		LOG_TEST(a_failed_outcome_is_remembered_with_its_id),
		LOG_TEST(none_is_answered_and_recorded),
		LOG_TEST(the_hook_tells_the_last_seq),
		LOG_TEST(an_answer_may_append),
		LOG_TEST(many_threads_append_and_lose_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log append", tests, NULL, NULL);
}
