/* SPDX-License-Identifier: MIT */
/*
 * Power cuts: what is left of a log when the machine stops, and not only the process.
 *
 * SQLite's file methods are wrapped so that the test knows for each file what was synced and what was only written
 * since. At a random moment, while threads append, compact and checkpoint, it takes what would be on the disk: all that
 * was synced, and of the writes since then any, none, or half of one. That is opened as a log: all entries that were
 * acknowledged as synced must be there, and verify finds nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "log_fixture.h"
#include "seed.h"

#define MAX_OPEN     16
#define MAX_DELAY_US 40000
#define OPS	     4

/* ---- The disk ---- */

/** A write, or with data NULL a truncation, that is not synced yet. */
struct change {
	struct change *next;
	size_t offset, size;
	unsigned char *data;
};

struct image {
	char path[120];
	unsigned char *bytes;
	size_t size, room;
	struct change *changes, **tail;
	sqlite3_io_methods methods; /* of a log and of its write-ahead file they are not the same */
	const sqlite3_io_methods *real;
};

static struct {
	pthread_mutex_t lock;
	sqlite3_vfs vfs, *real;
	char folder[64];	/* whose files are watched */
	struct image images[2]; /* the log and its write-ahead file */
	struct {
		const sqlite3_file *file;
		struct image *image;
	} open[MAX_OPEN];
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct image *image_of(const sqlite3_file *file)
{
	for (int i = 0; i < MAX_OPEN; i++)
		if (disk.open[i].file == file)
			return disk.open[i].image;
	fail_msg("a file that was not opened");
	return NULL;
}

static void note_change(struct image *image, size_t offset, size_t size, const void *data)
{
	struct change *change = calloc(1, sizeof(*change));

	*change = (struct change){.offset = offset, .size = size};
	if (data) {
		change->data = malloc(size);
		memcpy(change->data, data, size);
	}
	*image->tail = change;
	image->tail = &change->next;
}

static void grow_to(struct image *image, size_t size)
{
	if (size > image->room) {
		image->room = size * 2;
		image->bytes = realloc(image->bytes, image->room);
	}
	if (size > image->size) {
		memset(image->bytes + image->size, 0, size - image->size);
		image->size = size;
	}
}

static void apply(struct image *image, const struct change *change, size_t size)
{
	if (!change->data) {
		image->size = change->offset < image->size ? change->offset : image->size;
		return;
	}
	grow_to(image, change->offset + size);
	memcpy(image->bytes + change->offset, change->data, size);
}

static void drop_changes(struct image *image)
{
	while (image->changes) {
		struct change *change = image->changes;

		image->changes = change->next;
		free(change->data);
		free(change);
	}
	image->tail = &image->changes;
}

static int watched_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	int rc;

	pthread_mutex_lock(&disk.lock);
	rc = image_of(file)->real->xWrite(file, data, size, offset);
	if (rc == SQLITE_OK)
		note_change(image_of(file), (size_t)offset, (size_t)size, data);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static int watched_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int rc;

	pthread_mutex_lock(&disk.lock);
	rc = image_of(file)->real->xTruncate(file, size);
	if (rc == SQLITE_OK)
		note_change(image_of(file), (size_t)size, 0, NULL);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

/* The real disk is left in peace: here, synced is what this says. */
static int watched_sync(sqlite3_file *file, int flags)
{
	struct image *image;

	pthread_mutex_lock(&disk.lock);
	image = image_of(file);
	for (const struct change *change = image->changes; change; change = change->next)
		apply(image, change, change->size);
	drop_changes(image);
	pthread_mutex_unlock(&disk.lock);
	return SQLITE_OK;
}

static int watched_close(sqlite3_file *file)
{
	const sqlite3_io_methods *real;

	pthread_mutex_lock(&disk.lock);
	real = image_of(file)->real;
	for (int i = 0; i < MAX_OPEN; i++)
		if (disk.open[i].file == file)
			disk.open[i].file = NULL;
	pthread_mutex_unlock(&disk.lock);
	return real->xClose(file);
}

static void watch(sqlite3_file *file, const char *name)
{
	struct image *image = &disk.images[strstr(name, "-wal") != NULL];

	image->real = file->pMethods;
	image->methods = *file->pMethods;
	image->methods.xWrite = watched_write;
	image->methods.xTruncate = watched_truncate;
	image->methods.xSync = watched_sync;
	image->methods.xClose = watched_close;
	file->pMethods = &image->methods;
	snprintf(image->path, sizeof(image->path), "%s", name);
	for (int i = 0; i < MAX_OPEN; i++) {
		if (disk.open[i].file)
			continue;
		disk.open[i].file = file;
		disk.open[i].image = image;
		return;
	}
	fail_msg("too many files are open");
}

static int watched_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
	int rc = disk.real->xOpen(disk.real, name, file, flags, out);

	if (rc != SQLITE_OK || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)))
		return rc;
	pthread_mutex_lock(&disk.lock);
	if (*disk.folder && strncmp(name, disk.folder, strlen(disk.folder)) == 0)
		watch(file, name);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static void install_disk(void)
{
	disk.real = sqlite3_vfs_find(NULL);
	disk.vfs = *disk.real;
	disk.vfs.zName = "watched";
	disk.vfs.xOpen = watched_open;
	sqlite3_vfs_register(&disk.vfs, 1);
}

static void empty_disk(const char *folder)
{
	for (int i = 0; i < 2; i++) {
		drop_changes(&disk.images[i]);
		free(disk.images[i].bytes);
		disk.images[i] = (struct image){.tail = &disk.images[i].changes};
	}
	snprintf(disk.folder, sizeof(disk.folder), "%s", folder);
}

/* Write what the disk holds after a power cut to @folder: the synced part, and of the rest what luck decides. */
static void cut_power(const char *folder, struct test_random *random)
{
	uint64_t luck = test_random_below(random, 4); /* of 3: how many of the writes made it */

	for (int i = 0; i < 2; i++) {
		struct image copy = disk.images[i];
		char path[200];
		FILE *out;

		copy.bytes = malloc(copy.room ? copy.room : 1);
		memcpy(copy.bytes, disk.images[i].bytes ? disk.images[i].bytes : (const unsigned char *)"", copy.size);
		for (const struct change *change = copy.changes; change; change = change->next)
			if (test_random_below(random, 3) < luck)
				apply(&copy, change, test_random_below(random, 8) ? change->size : change->size / 2);
		snprintf(path, sizeof(path), "%s/test.log%s", folder, i ? "-wal" : "");
		out = fopen(path, "w");
		assert_non_null(out);
		assert_int_equal(fwrite(copy.bytes, 1, copy.size, out), copy.size);
		fclose(out);
		free(copy.bytes);
	}
}

/* ---- What runs when the power goes ---- */

struct load {
	struct panbind_log *log;
	uint64_t acknowledged;
	bool stop;
};

static void note_seq(void *data, uint64_t seq, int result)
{
	assert_int_equal(result, 0);
	__atomic_store_n(&((struct load *)data)->acknowledged, seq, __ATOMIC_SEQ_CST);
}

static void ignore(void *data, uint64_t seq, int result)
{
}

/* One in eight is not synced: those behind it take it along. */
static void *append_all_the_time(void *data)
{
	struct load *load = data;
	struct panbind_log_op ops[OPS];
	struct panbind_log_entry entry = log_bind_entry(ops, OPS);

	for (uint64_t n = 0; !__atomic_load_n(&load->stop, __ATOMIC_SEQ_CST); n++) {
		bool sync = n % 8 != 0;

		for (uint64_t i = 0; i < OPS; i++)
			ops[i] = log_op_map("tex", (n * 5 + i * 11) % 512, 1, "pool", n % 64);
		assert_int_equal(panbind_log_append(load->log, &entry,
						    sync ? PANBIND_LOG_DURABLE_SYNC : PANBIND_LOG_DURABLE_WRITE,
						    sync ? note_seq : ignore, load, NULL, NULL),
				 0);
		if (n % 3 == 0)
			panbind_log_flush(load->log);
		if (n % 300 == 299)
			panbind_log_compact(load->log, n - 100, ignore, NULL);
	}
	return NULL;
}

static void open_what_is_left(const char *folder, uint64_t acknowledged)
{
	struct log_fixture f = {0};
	struct panbind_log_status status;
	struct panbind_error error;

	snprintf(f.path, sizeof(f.path), "%s/test.log", folder);
	if (panbind_log_open(f.path, 0, NULL, &f.log, &error) < 0)
		fail_msg("%s", error.msg);
	panbind_log_get_status(f.log, &status);
	if (status.last_seq < acknowledged)
		fail_msg("entry %llu was acknowledged, and the log ends at %llu", (unsigned long long)acknowledged,
			 (unsigned long long)status.last_seq);
	assert_int_equal(log_problems(f.log), 0);
	panbind_log_close(f.log);
}

static void cut_once(struct log_fixture *f, struct load *load, struct test_random *random)
{
	struct log_fixture left = {0};
	uint64_t acknowledged;

	usleep((useconds_t)test_random_below(random, MAX_DELAY_US));
	log_fixture_folder(&left);
	/* First what is acknowledged, then what is on the disk. */
	acknowledged = __atomic_load_n(&load->acknowledged, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&disk.lock);
	cut_power(left.folder, random);
	pthread_mutex_unlock(&disk.lock);
	open_what_is_left(left.folder, acknowledged);
	log_fixture_remove(&left);
}

static void what_was_synced_survives_a_power_cut(void **state)
{
	size_t rounds = test_rounds(5, 600);
	struct test_random random = test_random_start("power");
	uint64_t cuts = 0, most = 0;

	for (size_t round = 0; round < rounds; round++) {
		struct log_fixture f = {0};
		struct load load = {0};
		pthread_t thread;

		log_fixture_folder(&f);
		empty_disk(f.folder);
		log_fixture_reopen(&f, PANBIND_LOG_CREATE, NULL);
		log_vm(f.log, "tex", 1);
		log_bo(f.log, "pool", 1, 64);
		load.log = f.log;
		f.log->compactor.step_ops = 40;
		pthread_create(&thread, NULL, append_all_the_time, &load);
		for (int i = 0; i < 12; i++, cuts++)
			cut_once(&f, &load, &random);
		__atomic_store_n(&load.stop, true, __ATOMIC_SEQ_CST);
		pthread_join(thread, NULL);
		most = load.acknowledged > most ? load.acknowledged : most;
		panbind_log_close(f.log);
		log_fixture_remove(&f);
	}
	empty_disk("");
	printf("# note: %d cuts, logs of up to %d entries\n", (int)cuts, (int)most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_synced_survives_a_power_cut),
	};

	install_disk();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log power", tests, NULL, NULL);
}
