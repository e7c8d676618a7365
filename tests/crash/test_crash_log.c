/* SPDX-License-Identifier: MIT */
/*
 * kill -9 at random moments: a child appends from several threads, compacts now and then, and reports each acknowledged
 * seq over a pipe; it is killed, and its log is opened. No acknowledged entry may be missing, none may be half there,
 * verify finds nothing, and the state is the one that the entries imply.
 *
 * What an entry says follows from its seq alone, so that the parent can tell a whole one from any other.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "log_fixture.h"
#include "seed.h"

#define THREADS		3
#define OPS		5
#define WINDOW		64 /* pages that are mapped again and again */
#define ROUNDS_A_FILE	10
#define MOST_DELAY_US	7000
#define REPORT_PER_POLL 512

/* ---- What entry number n of a log says; n is in its latency, since a seq is known only afterwards ---- */

static void ops_of(uint64_t n, struct panbind_log_op *ops)
{
	for (uint64_t i = 0; i < OPS; i++) {
		ops[i] = log_op_map("tex", (n * 7 + i * 13) % WINDOW, 1, "pool", (n + i) % 64);
		if ((n + i) % 5 == 0)
			ops[i] = log_op_unmap("tex", (n * 7 + i * 13) % WINDOW, 1);
	}
}

static int says(const struct panbind_log_entry *entry, uint64_t n)
{
	struct panbind_log_op ops[OPS];
	char words[40];

	ops_of(n, ops);
	snprintf(words, sizeof(words), "entry %llu", (unsigned long long)n);
	if (entry->op_count != OPS || entry->applied != OPS || !entry->comment || strcmp(entry->comment, words) != 0)
		return 0;
	for (size_t i = 0; i < OPS; i++)
		if (entry->ops[i].va != ops[i].va || entry->ops[i].type != ops[i].type ||
		    entry->ops[i].bo_offset != ops[i].bo_offset)
			return 0;
	return 1;
}

/* ---- The child ---- */

struct child {
	struct panbind_log *log;
	int pipe;
	uint64_t next; /* number of the next entry */
};

static void report(void *data, uint64_t seq, int result)
{
	const struct child *child = data;

	if (result < 0 || write(child->pipe, &seq, sizeof(seq)) != sizeof(seq))
		_exit(3);
}

static void *append_without_end(void *data)
{
	struct child *child = data;

	for (;;) {
		uint64_t n = __atomic_fetch_add(&child->next, 1, __ATOMIC_SEQ_CST);
		struct panbind_log_op ops[OPS];
		struct panbind_log_entry entry;
		char words[40], id[40];

		ops_of(n, ops);
		entry = log_bind_entry(ops, OPS);
		snprintf(words, sizeof(words), "entry %llu", (unsigned long long)n);
		snprintf(id, sizeof(id), "txn %llu", (unsigned long long)n);
		entry.comment = words;
		entry.latency_ns = n;
		entry.txn_id = n % 4 == 0 ? id : NULL;
		if (panbind_log_append(child->log, &entry, PANBIND_LOG_DURABLE_SYNC, report, child, NULL, NULL) < 0)
			_exit(4);
		if (n % 8 == 0)
			panbind_log_flush(child->log);
	}
	return NULL;
}

static void ignore(void *data, uint64_t seq, int result)
{
}

static void begin_log(struct child *child)
{
	struct panbind_log_status status;

	panbind_log_get_status(child->log, &status);
	/* The one before may have been killed between the two. */
	if (status.last_seq < 1)
		log_vm(child->log, "tex", 1);
	if (status.last_seq < 2)
		log_bo(child->log, "pool", 1, 64);
}

/* Numbers are never used twice in a file: the parent hands out ranges. */
static void be_the_child(const char *path, int pipe, uint64_t first)
{
	struct child child = {.pipe = pipe, .next = first};
	struct panbind_log_status status;
	struct panbind_error error;
	pthread_t thread;

	if (panbind_log_open(path, PANBIND_LOG_CREATE, NULL, &child.log, &error) < 0) {
		fprintf(stderr, "# note: %s\n", error.msg);
		_exit(2);
	}
	child.log->compactor.step_ops = 20; /* many small steps, so that one of them is often cut */
	begin_log(&child);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, append_without_end, &child);
	for (;;) {
		usleep(3000);
		panbind_log_get_status(child.log, &status);
		if (status.last_seq > 200)
			panbind_log_compact(child.log, status.last_seq - 150, ignore, NULL);
	}
}

/* ---- The parent ---- */

/* Read what was reported until the child is gone, or only the first report: the highest seq. Answers come in order. */
static void read_reports(int fd, bool only_first, uint64_t *inout_last)
{
	uint64_t seqs[REPORT_PER_POLL];
	ssize_t size;

	while ((size = read(fd, seqs, only_first ? sizeof(seqs[0]) : sizeof(seqs))) > 0) {
		for (size_t i = 0; i < (size_t)size / sizeof(seqs[0]); i++) {
			assert_true(*inout_last == 0 || seqs[i] == *inout_last + 1);
			*inout_last = seqs[i];
		}
		if (only_first)
			return;
	}
}

/* Killed at any moment since it was started, or since its first answer. */
static uint64_t run_and_kill(const char *path, uint64_t first, bool answered, unsigned delay_us)
{
	int pipes[2], status;
	uint64_t last = 0;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(pipes[0]);
		be_the_child(path, pipes[1], first);
	}
	close(pipes[1]);
	if (answered)
		read_reports(pipes[0], true, &last);
	usleep(delay_us);
	kill(pid, SIGKILL);
	read_reports(pipes[0], false, &last);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status))
		fail_msg("the child ended by itself with %d", WEXITSTATUS(status));
	return last;
}

/* Every entry that is there says what it should; returns the last seq. */
static uint64_t check_entries(struct panbind_log *log)
{
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;
	struct panbind_log_status status;
	struct panbind_log_txn txn;
	char id[40];
	int rc;

	panbind_log_get_status(log, &status);
	assert_int_equal(panbind_log_reader_open(log, NULL, &reader, NULL), 0);
	while ((rc = panbind_log_read(reader, &entry)) == 1) {
		if (entry->kind != PANBIND_LOG_BIND)
			continue;
		if (!says(entry, entry->latency_ns))
			fail_msg("entry %llu is not whole", (unsigned long long)entry->seq);
		if (!entry->txn_id)
			continue;
		snprintf(id, sizeof(id), "txn %llu", (unsigned long long)entry->latency_ns);
		assert_int_equal(panbind_log_txn_lookup(log, id, &txn), 0);
		assert_int_equal(txn.seq, entry->seq);
	}
	assert_int_equal(rc, 0);
	panbind_log_reader_close(reader);
	return status.last_seq;
}

/* The log as it is after the crash: acknowledged is there, nothing is half, all agrees with itself. */
static void check_after_crash(struct log_fixture *f, uint64_t acknowledged, uint32_t flags)
{
	struct panbind_error error;
	uint64_t last;

	if (acknowledged == 0)
		flags = PANBIND_LOG_CREATE; /* it may have been killed before there was a log */
	if (panbind_log_open(f->path, flags, NULL, &f->log, &error) < 0)
		fail_msg("%s", error.msg);
	last = check_entries(f->log);
	if (last < acknowledged)
		fail_msg("entry %llu was acknowledged, and the log ends at %llu", (unsigned long long)acknowledged,
			 (unsigned long long)last);
	assert_int_equal(log_problems(f->log), 0);
	panbind_log_close(f->log);
	f->log = NULL;
}

static void killed_at_any_moment_the_log_is_whole(void **state)
{
	size_t rounds = test_rounds(200, 10000), with_answers = 0;
	struct test_random random = test_random_start("crash");
	struct log_fixture f = {0};
	uint64_t seq, kept = 0;

	for (size_t round = 0; round < rounds; round++) {
		if (round % ROUNDS_A_FILE == 0) {
			if (round)
				log_fixture_remove(&f);
			log_fixture_folder(&f);
			kept = 0;
		}
		seq = run_and_kill(f.path, (round + 1) * 1000000, round % 4 != 0,
				   (unsigned)test_random_below(&random, MOST_DELAY_US));
		with_answers += seq > 0;
		/* What was acknowledged in an earlier round must still be there too. */
		kept = seq > kept ? seq : kept;
		/* Recovery is the work of whoever comes first: a reader or a writer. */
		check_after_crash(&f, kept, round % 4 ? PANBIND_LOG_READ_ONLY : 0);
	}
	log_fixture_remove(&f);
	printf("# note: %zu of %zu children were killed after they had been answered\n", with_answers, rounds);
	assert_true(with_answers > rounds / 2); /* else it tested little */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_moment_the_log_is_whole),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log crash", tests, NULL, NULL);
}
