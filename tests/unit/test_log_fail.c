/* SPDX-License-Identifier: MIT */
/* When the disk fails: nothing unrecorded is acknowledged, appends are refused until there is space again. */
#include <errno.h>
#include <fcntl.h>
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

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- A file system that fails on command: SQLite's own, with a few methods replaced ---- */

static struct {
	sqlite3_vfs vfs, *real;
	sqlite3_io_methods methods;
	const sqlite3_io_methods *real_methods;
	int fail_write, fail_sync; /* errno, or 0 */
	int syncs;
	sqlite3_int64 written; /* bytes since the last set_failure() */
} shim;

static int failing_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	int err = __atomic_load_n(&shim.fail_write, __ATOMIC_SEQ_CST);

	if (err)
		return err == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	__atomic_add_fetch(&shim.written, size, __ATOMIC_SEQ_CST);
	return shim.real_methods->xWrite(file, data, size, offset);
}

static int failing_sync(sqlite3_file *file, int flags)
{
	__atomic_add_fetch(&shim.syncs, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&shim.fail_sync, __ATOMIC_SEQ_CST))
		return SQLITE_IOERR_FSYNC;
	return shim.real_methods->xSync(file, flags);
}

/* The file's methods are looked at when it is opened: only files with the write-ahead log's methods are taken. */
static int open_failing(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
	int rc = shim.real->xOpen(shim.real, name, file, flags, out);

	if (rc != SQLITE_OK || !file->pMethods || !(flags & SQLITE_OPEN_WAL))
		return rc;
	if (!shim.real_methods) {
		shim.real_methods = file->pMethods;
		shim.methods = *file->pMethods;
		shim.methods.xWrite = failing_write;
		shim.methods.xSync = failing_sync;
	}
	file->pMethods = &shim.methods;
	return rc;
}

static void install_shim(void)
{
	shim.real = sqlite3_vfs_find(NULL);
	shim.vfs = *shim.real;
	shim.vfs.zName = "shim";
	shim.vfs.xOpen = open_failing;
	sqlite3_vfs_register(&shim.vfs, 1);
}

static void set_failure(int write_errno, int sync_errno)
{
	__atomic_store_n(&shim.fail_write, write_errno, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shim.written, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shim.fail_sync, sync_errno, __ATOMIC_SEQ_CST);
}

/* ---- */

static const struct panbind_log_entry nothing_much = {.kind = PANBIND_LOG_START};

static int append(struct panbind_log *log, enum panbind_log_durability durability)
{
	struct panbind_error error = {0};
	int err = panbind_log_append_wait(log, &nothing_much, durability, NULL, &error);

	if (err < 0)
		assert_int_equal(error.stage, PANBIND_STAGE_JOURNAL);
	return err;
}

static void wait_until_ready(struct panbind_log *log)
{
	for (int i = 0; panbind_log_ready(log) < 0; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
}

static void a_full_disk_refuses_until_there_is_space(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_status status;

	log_vm(f->log, "tex", 1);
	set_failure(ENOSPC, 0);
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_WRITE), -ENOSPC);
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_WRITE), -ENOSPC);
	assert_int_equal(panbind_log_ready(f->log), -ENOSPC);
	assert_int_equal(panbind_log_flush(f->log), -ENOSPC);
	panbind_log_get_status(f->log, &status);
	assert_int_equal(status.failed, -ENOSPC);
	assert_int_equal(status.last_seq, 1);
	set_failure(0, 0);
	wait_until_ready(f->log);
	/* The seq of what failed was never used. */
	assert_int_equal(log_about(f->log, PANBIND_LOG_VM_DESTROY, "tex", 1), 2);
	assert_int_equal(log_problems(f->log), 0);
}

static void after_a_failed_sync_all_is_written_again(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_status status;

	/* Given entries that were acknowledged when they were written, and so are only cached, */
	for (int i = 0; i < 100; i++)
		assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_WRITE), 0);
	/* when a sync fails, appends are refused for as long as syncs fail, and the status says why. */
	set_failure(0, EIO);
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_SYNC), -EIO);
	usleep(400000); /* longer than a probe would take */
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_WRITE), -EIO);
	panbind_log_get_status(f->log, &status);
	assert_int_equal(status.failed, -EIO);
	assert_string_not_equal(status.why, "");
	/* When the disk works again, every frame that it may have lost is written again before anything new is taken.
	 */
	set_failure(0, 0);
	wait_until_ready(f->log);
	assert_true(__atomic_load_n(&shim.written, __ATOMIC_SEQ_CST) > 100 * 2048);
	panbind_log_get_status(f->log, &status);
	assert_int_equal(status.failed, 0);
	assert_int_equal(status.cures, 1);
	assert_string_equal(status.why, "");
	assert_int_equal(log_vm(f->log, "tex", 1), 101);
	assert_int_equal(log_problems(f->log), 0);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 101);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_failed_write_is_cured_like_a_failed_sync(void **state)
{
	struct log_fixture *f = *state;

	log_vm(f->log, "tex", 1);
	set_failure(EIO, 0);
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_SYNC), -EIO);
	set_failure(0, 0);
	wait_until_ready(f->log);
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_SYNC), 0);
	assert_int_equal(log_problems(f->log), 0);
}

/* As a kernel does it that dropped a dirty page after a failed sync: what is read is older than what was written. */
static void lose_a_page(struct log_fixture *f, off_t offset)
{
	static const char nothing[2048];
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "%s-wal", f->path);
	fd = open(name, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, nothing, sizeof(nothing), offset), (ssize_t)sizeof(nothing));
	close(fd);
}

static void what_the_disk_lost_keeps_the_log_refused(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_status status;

	for (int i = 0; i < 100; i++)
		assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_WRITE), 0);
	set_failure(0, EIO);
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_SYNC), -EIO);
	lose_a_page(f, 50 * 2072);
	set_failure(0, 0);
	for (int i = 0; panbind_log_ready(f->log) != -EBADMSG; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
	panbind_log_get_status(f->log, &status);
	assert_non_null(strstr(status.why, "the disk has lost acknowledged entries"));
	usleep(400000); /* longer than a probe would take */
	assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_SYNC), -EBADMSG);
	/* Opened again, it ends before what was lost, and is whole. */
	log_fixture_reopen(f, 0, NULL);
	assert_in_range(log_ask(f->log, "SELECT count(*) FROM entry"), 1, 99);
	assert_int_equal(log_problems(f->log), 0);
}

struct joined {
	int ok, failed;
};

static void count_joined(void *data, uint64_t seq, int result)
{
	struct joined *joined = data;

	joined->ok += result == 0;
	joined->failed += result < 0;
}

static int append_joined(struct panbind_log *log, int count, struct joined *joined)
{
	int err = 0;

	for (int i = 0; i < count && err == 0; i++)
		err = panbind_log_append(log, &nothing_much, PANBIND_LOG_DURABLE_SYNC, count_joined, joined, NULL,
					 NULL);
	return err;
}

static void what_is_joined_is_one_commit(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_status before, after;
	struct joined joined = {0};

	log_vm(f->log, "tex", 1);
	panbind_log_get_status(f->log, &before);
	panbind_log_join(f->log);
	assert_int_equal(append_joined(f->log, 9000, &joined), 0); /* more than a group would be */
	panbind_log_get_status(f->log, &after);
	assert_int_equal(after.last_seq, before.last_seq); /* nothing of it yet */
	assert_int_equal(panbind_log_join_end(f->log, 1), 0);
	assert_int_equal(panbind_log_flush(f->log), 0);
	panbind_log_get_status(f->log, &after);
	assert_int_equal(after.last_seq, before.last_seq + 9000);
	assert_int_equal(after.groups, before.groups + 1);
	assert_int_equal(log_problems(f->log), 0);
}

static void what_is_joined_fails_as_one(void **state)
{
	struct log_fixture *f = *state;
	struct joined joined = {0};

	log_vm(f->log, "tex", 1);
	panbind_log_join(f->log);
	assert_int_equal(append_joined(f->log, 5000, &joined), 0);
	set_failure(ENOSPC, 0);
	panbind_log_join_end(f->log, 1);
	panbind_log_flush(f->log);
	set_failure(0, 0);
	wait_until_ready(f->log);
	assert_int_equal(joined.failed, 5000);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 1);
	assert_int_equal(log_vm(f->log, "tmp", 1), 2);
	assert_int_equal(log_problems(f->log), 0);
}

static void what_is_joined_can_be_taken_back(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry vm = {.kind = PANBIND_LOG_VM_CREATE,
				       .object = {.ref = {"tex", 1}, .size = 1ull << 40}};
	struct joined joined = {0};
	struct panbind_log_txn txn;

	append(f->log, PANBIND_LOG_DURABLE_SYNC);
	vm.txn_id = "t";
	panbind_log_join(f->log);
	assert_int_equal(panbind_log_append(f->log, &vm, PANBIND_LOG_DURABLE_SYNC, count_joined, &joined, NULL, NULL),
			 0);
	assert_int_equal(panbind_log_join_end(f->log, 0), 0);
	assert_int_equal(joined.failed, 1);
	assert_int_equal(panbind_log_txn_lookup(f->log, "t", &txn), -ENOENT);
	assert_int_equal(log_vm(f->log, "tex", 1), 2);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_failure_before_its_end_fails_what_is_joined(void **state)
{
	struct log_fixture *f = *state;
	struct joined joined = {0}, other = {0};

	set_failure(0, EIO);
	assert_int_equal(panbind_log_append(f->log, &nothing_much, PANBIND_LOG_DURABLE_SYNC, count_joined, &other, NULL,
					    NULL),
			 0);
	panbind_log_join(f->log);
	append_joined(f->log, 10, &joined); /* in vain, whether the sync fails before or after */
	panbind_log_flush(f->log);
	panbind_log_join_end(f->log, 1);
	panbind_log_flush(f->log);
	set_failure(0, 0);
	wait_until_ready(f->log);
	assert_int_equal(other.failed, 1);
	assert_int_equal(joined.ok, 0);
	assert_int_equal(log_vm(f->log, "tex", 1), 1);
	assert_int_equal(log_problems(f->log), 0);
}

static void only_sync_syncs(void **state)
{
	struct log_fixture *f = *state;
	int before = __atomic_load_n(&shim.syncs, __ATOMIC_SEQ_CST);

	for (int i = 0; i < 10; i++)
		assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_WRITE), 0);
	assert_int_equal(__atomic_load_n(&shim.syncs, __ATOMIC_SEQ_CST), before);
	for (int i = 0; i < 10; i++)
		assert_int_equal(append(f->log, PANBIND_LOG_DURABLE_SYNC), 0);
	assert_true(__atomic_load_n(&shim.syncs, __ATOMIC_SEQ_CST) >= before + 10);
}

struct fate {
	int answered, failed;
	uint64_t last_seq;
};

static void count_fate(void *data, uint64_t seq, int result)
{
	struct fate *fate = data;

	assert_true(seq == fate->last_seq + 1); /* in order, each once */
	fate->last_seq = seq;
	fate->answered++;
	fate->failed += result == -ENOSPC;
}

static void what_is_queued_behind_a_failure_fails_with_it(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry vm = {.kind = PANBIND_LOG_VM_CREATE,
				       .object = {.ref = {"tex", 1}, .size = 1ull << 40}};
	struct panbind_log_op op = log_op_unmap("tex", 1, 1);
	struct panbind_log_entry bind = log_bind_entry(&op, 1);
	struct panbind_log_txn txn;
	struct fate fate = {0};
	int taken = 1;

	/* Given a VM and binds of it that wait behind its creation, when that cannot be written */
	bind.txn_id = "x";
	set_failure(ENOSPC, 0);
	assert_int_equal(panbind_log_append(f->log, &vm, PANBIND_LOG_DURABLE_SYNC, count_fate, &fate, NULL, NULL), 0);
	while (panbind_log_append(f->log, &bind, PANBIND_LOG_DURABLE_SYNC, count_fate, &fate, NULL, NULL) == 0) {
		taken++;
		bind.txn_id = NULL;
	}
	panbind_log_flush(f->log);
	set_failure(0, 0);
	wait_until_ready(f->log);
	/* then all are answered with the reason, and nothing of them is left: not the VM, not the id. */
	assert_int_equal(fate.answered, taken);
	assert_int_equal(fate.failed, taken);
	assert_int_equal(panbind_log_append(f->log, &bind, PANBIND_LOG_DURABLE_SYNC, NULL, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(panbind_log_txn_lookup(f->log, "x", &txn), -ENOENT);
	assert_int_equal(log_vm(f->log, "tex", 1), 1);
	bind.txn_id = "x";
	log_entry(f->log, &bind);
	assert_int_equal(log_problems(f->log), 0);
}

static void what_was_destroyed_in_vain_lives(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_VM_DESTROY, .object.ref = {"tex", 1}};
	const struct panbind_log_op op = log_op_unmap("tex", 1, 1);

	log_vm(f->log, "tex", 1);
	set_failure(ENOSPC, 0);
	assert_int_equal(panbind_log_append_wait(f->log, &entry, PANBIND_LOG_DURABLE_WRITE, NULL, NULL), -ENOSPC);
	set_failure(0, 0);
	wait_until_ready(f->log);
	log_ops(f->log, &op, 1);
}

static void a_compaction_that_cannot_write_leaves_all(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	log_ops(f->log, &op, 1);
	set_failure(ENOSPC, 0);
	assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, NULL, NULL), -ENOSPC);
	set_failure(0, 0);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 3);
	log_ops(f->log, &op, 1); /* it was not the log that failed */
	assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, NULL, NULL), 0);
	log_assert_picture(f->log, UINT64_MAX, "tex", "1-2=pool+0");
	assert_int_equal(log_problems(f->log), 0);
}

/* ---- Real limits, in a child, since they bind a whole process ---- */

/* Fill until it fails, make room, go on. Returns what is wrong, or NULL. */
static const char *fill_up(struct log_fixture *f, int wanted, void (*make_room)(struct log_fixture *f))
{
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};
	static char words[PANBIND_LOG_MAX_TEXT];
	uint64_t acknowledged = 0, seq;
	int err;

	memset(words, 'w', sizeof(words) - 1);
	entry.comment = words;
	if (panbind_log_open(f->path, PANBIND_LOG_CREATE, NULL, &f->log, NULL) < 0)
		return "cannot open";
	do {
		err = panbind_log_append_wait(f->log, &entry, PANBIND_LOG_DURABLE_SYNC, &seq, NULL);
		acknowledged += err == 0;
	} while (err == 0 && acknowledged < 2000);
	if (err != wanted)
		return err == 0 ? "never full" : panbind_errno_name(err);
	if (panbind_log_ready(f->log) == 0)
		return "still ready";
	if ((uint64_t)log_ask(f->log, "SELECT count(*) FROM entry") != acknowledged)
		return "the log is not what was acknowledged";
	if (log_problems(f->log))
		return "problems while full";
	make_room(f);
	for (int i = 0; i < 500 && panbind_log_ready(f->log) < 0; i++)
		usleep(10000);
	if (panbind_log_append_wait(f->log, &entry, PANBIND_LOG_DURABLE_SYNC, &seq, NULL) < 0 ||
	    seq != acknowledged + 1)
		return "does not go on";
	log_fixture_reopen(f, 0, NULL);
	if (log_problems(f->log) || (uint64_t)log_ask(f->log, "SELECT count(*) FROM entry") != acknowledged + 1)
		return "not whole after it was opened again";
	panbind_log_close(f->log);
	f->log = NULL;
	return NULL;
}

static void lift_limit(struct log_fixture *f)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

static void free_filler(struct log_fixture *f)
{
	char name[110];

	snprintf(name, sizeof(name), "%s/filler", f->folder);
	unlink(name);
}

#define SKIPPED 77

static int in_child(struct log_fixture *f, int (*run)(struct log_fixture *f))
{
	int status = 0;
	pid_t pid;

	panbind_log_close(f->log);
	f->log = NULL;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(run(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("the child was killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int tell(const char *wrong)
{
	if (wrong)
		fprintf(stderr, "# note: %s\n", wrong);
	return wrong != NULL;
}

static int run_with_file_limit(struct log_fixture *f)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 12 << 20;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return SKIPPED;
	return tell(fill_up(f, -EFBIG, lift_limit));
}

static void a_file_size_limit_is_a_full_disk(void **state)
{
	struct log_fixture *f = *state;

	assert_int_equal(in_child(f, run_with_file_limit), 0);
}

static int write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		return -1;
	return 0;
}

/* A mount namespace of our own, as root or in a user namespace where we are. */
static int enter_namespace(void)
{
	char map[40];

	snprintf(map, sizeof(map), "0 %u 1", (unsigned)geteuid());
	if (unshare(CLONE_NEWNS) < 0 &&
	    (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || write_file("/proc/self/setgroups", "deny") < 0 ||
	     write_file("/proc/self/uid_map", map) < 0))
		return -1;
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* A tmpfs of 16 MiB, 4 of them taken by a file that goes away later. */
static int run_on_small_disk(struct log_fixture *f)
{
	char command[160];

	if (enter_namespace() < 0 || mount("none", f->folder, "tmpfs", 0, "size=16m") < 0)
		return SKIPPED;
	snprintf(command, sizeof(command), "head -c 4M /dev/zero > %s/filler", f->folder);
	if (system(command) != 0)
		return SKIPPED;
	return tell(fill_up(f, -ENOSPC, free_filler));
}

static void a_small_disk_fills_and_is_freed(void **state)
{
	struct log_fixture *f = *state;
	int rc = in_child(f, run_on_small_disk);

	if (rc == SKIPPED)
		skip();
	assert_int_equal(rc, 0);
}

/* Not even room for the tables. */
static int run_on_tiny_disk(struct log_fixture *f)
{
	struct panbind_error error = {0};
	int err;

	if (enter_namespace() < 0 || mount("none", f->folder, "tmpfs", 0, "size=32k") < 0)
		return SKIPPED;
	err = panbind_log_open(f->path, PANBIND_LOG_CREATE, NULL, &f->log, &error);
	return err == -ENOSPC || err == -EIO ? 0 : tell(err ? error.msg : "it opened");
}

static void a_log_that_has_no_room_to_begin_says_so(void **state)
{
	struct log_fixture *f = *state;
	int rc = in_child(f, run_on_tiny_disk);

	if (rc == SKIPPED)
		skip();
	assert_int_equal(rc, 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_full_disk_refuses_until_there_is_space),
		LOG_TEST(after_a_failed_sync_all_is_written_again),
		LOG_TEST(a_failed_write_is_cured_like_a_failed_sync),
		LOG_TEST(what_the_disk_lost_keeps_the_log_refused),
		LOG_TEST(what_is_joined_is_one_commit),
		LOG_TEST(what_is_joined_fails_as_one),
		LOG_TEST(what_is_joined_can_be_taken_back),
		LOG_TEST(a_failure_before_its_end_fails_what_is_joined),
		LOG_TEST(only_sync_syncs),
		LOG_TEST(what_is_queued_behind_a_failure_fails_with_it),
		LOG_TEST(what_was_destroyed_in_vain_lives),
		LOG_TEST(a_compaction_that_cannot_write_leaves_all),
		LOG_TEST(a_file_size_limit_is_a_full_disk),
		LOG_TEST(a_small_disk_fills_and_is_freed),
		LOG_TEST(a_log_that_has_no_room_to_begin_says_so),
	};

	install_shim();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log failures", tests, NULL, NULL);
}
