/* SPDX-License-Identifier: MIT */
/*
 * Trust in the write-ahead file after a failed write or sync.
 *
 * The kernel reports a failed sync once; the pages that did not reach the disk then count as clean, later syncs succeed
 * without them, and reading gives what is cached until it is dropped. So a successful probe proves nothing about what
 * was acknowledged before and not yet moved into the log. What proves something is the file's own chain of checksums:
 * all frames up to the last commit are read and checked, whoever they come from, written again in their place, so that
 * they are dirty again, and synced. Then the cache is dropped, as far as the kernel does so, and what is read now is
 * checked once more. At last a new connection counts what the tail of the log has.
 *
 * A chain that is broken before the last commit means that something acknowledged is gone: the log stays refused, and
 * the next opening tells how far it reaches.
 *
 * The log's other file needs none of this: SQLite moves frames into it again from the first one on whose sync failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "log.h"

#define HEADER_SIZE	  32
#define FRAME_HEADER_SIZE 24
#define TAIL_ENTRIES	  1000 /* looked at behind the last commit */

/** A walk over the frames. */
struct walk {
	sqlite3_file *file;
	uint32_t page_size, salt[2], sum[2];
	bool big_endian; /* how the checksums read words */
	bool rewrite;
	unsigned char *frame;
};

static uint32_t get_be(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t get_le(const unsigned char *at)
{
	return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* The checksum of the file format: https://www.sqlite.org/fileformat2.html, 4.2. */
static void add_up(struct walk *walk, const unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i += 8) {
		walk->sum[0] += (walk->big_endian ? get_be(data + i) : get_le(data + i)) + walk->sum[1];
		walk->sum[1] += (walk->big_endian ? get_be(data + i + 4) : get_le(data + i + 4)) + walk->sum[0];
	}
}

static int io_error(int rc)
{
	return rc == SQLITE_IOERR_SHORT_READ ? -EBADMSG : rc == SQLITE_FULL ? -ENOSPC : -EIO;
}

/* Read @size bytes, and write them back if that is wanted. */
static int pass(struct walk *walk, unsigned char *data, size_t size, sqlite3_int64 offset)
{
	const sqlite3_io_methods *methods = walk->file->pMethods;
	int rc = methods->xRead(walk->file, data, (int)size, offset);

	if (rc == SQLITE_OK && walk->rewrite)
		rc = methods->xWrite(walk->file, data, (int)size, offset);
	return rc == SQLITE_OK ? 0 : io_error(rc);
}

static int begin(struct walk *walk)
{
	unsigned char header[HEADER_SIZE];
	uint32_t magic;
	int err = pass(walk, header, sizeof(header), 0);

	if (err < 0)
		return err;
	magic = get_be(header);
	walk->page_size = get_be(header + 8);
	walk->salt[0] = get_be(header + 16);
	walk->salt[1] = get_be(header + 20);
	walk->big_endian = magic & 1;
	walk->sum[0] = walk->sum[1] = 0;
	add_up(walk, header, 24);
	if ((magic & ~1u) != 0x377f0682 || walk->sum[0] != get_be(header + 24) || walk->sum[1] != get_be(header + 28) ||
	    walk->page_size < 512 || walk->page_size > 65536)
		return -EBADMSG;
	walk->frame = malloc(FRAME_HEADER_SIZE + walk->page_size);
	return walk->frame ? 0 : -ENOMEM;
}

static int check_frame(struct walk *walk, int index)
{
	size_t size = FRAME_HEADER_SIZE + walk->page_size;
	const unsigned char *frame = walk->frame;
	int err = pass(walk, walk->frame, size, HEADER_SIZE + (sqlite3_int64)index * (sqlite3_int64)size);

	if (err < 0)
		return err;
	add_up(walk, frame, 8);
	add_up(walk, frame + FRAME_HEADER_SIZE, walk->page_size);
	return get_be(frame + 8) == walk->salt[0] && get_be(frame + 12) == walk->salt[1] &&
			       get_be(frame + 16) == walk->sum[0] && get_be(frame + 20) == walk->sum[1]
		       ? 0
		       : -EBADMSG;
}

/* Check the header and the first @frames frames, writing them again if that is wanted. @ret_good: how many are whole.
 */
static int walk_frames(struct walk *walk, int frames, int *ret_good)
{
	int err = begin(walk);

	*ret_good = 0;
	while (err == 0 && *ret_good < frames) {
		err = check_frame(walk, *ret_good);
		*ret_good += err == 0;
	}
	free(walk->frame);
	walk->frame = NULL;
	return err;
}

/* Ask the kernel to forget the file, so that the next look is at the disk. There are no locks on this file. */
static void drop_cache(struct panbind_log *log)
{
	pb_autofree char *name = NULL;
	int fd;

	if (asprintf(&name, "%s-wal", log->path) < 0)
		return;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static int renew(struct panbind_log *log, char *ret_why, size_t size)
{
	struct walk walk = {.rewrite = true};
	int frames = log->wal_frames, good, err, rc;

	sqlite3_file_control(log->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &walk.file);
	if (!walk.file || !walk.file->pMethods || frames == 0)
		return 0; /* all of it was moved into the log and synced there */
	err = walk_frames(&walk, frames, &good);
	if (err == 0) {
		rc = walk.file->pMethods->xSync(walk.file, SQLITE_SYNC_FULL);
		err = rc == SQLITE_OK ? 0 : io_error(rc);
	}
	if (err == 0) {
		drop_cache(log);
		walk.rewrite = false;
		err = walk_frames(&walk, frames, &good);
	}
	if (err == -EBADMSG)
		snprintf(ret_why, size,
			 "the disk has lost acknowledged entries: the write-ahead file is whole for %d of %d frames",
			 good, frames);
	else if (err < 0)
		snprintf(ret_why, size, "the write-ahead file cannot be written again: %s", panbind_errno_name(err));
	return err;
}

/* What the tail of the log should have, and has. */
static int check_tail(struct panbind_log *log, sqlite3 *db, char *ret_why, size_t size)
{
	char sql[200];
	int64_t last = 0, entries = 0, wanted = 0, ops = 0;
	int64_t end = (int64_t)log->committed_seq, from = end > TAIL_ENTRIES ? end - TAIL_ENTRIES : 0;
	int err;

	if (from < (int64_t)log->place.seq)
		from = (int64_t)log->place.seq;
	err = pb_log_get_int(db, "SELECT max(seq) FROM entry", from, &last);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM entry WHERE seq > %lld", (long long)from);
	if (err == 0)
		err = pb_log_get_int(db, sql, 0, &entries);
	snprintf(sql, sizeof(sql), "SELECT sum(op_count) FROM entry WHERE seq > %lld", (long long)from);
	if (err == 0)
		err = pb_log_get_int(db, sql, 0, &wanted);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM op WHERE id >= %lld", (long long)PB_OP_ID(from + 1));
	if (err == 0)
		err = pb_log_get_int(db, sql, 0, &ops);
	if (err < 0) {
		snprintf(ret_why, size, "the log cannot be read: %s", panbind_errno_name(err));
		return err;
	}
	if (last == end && entries == end - from && (ops == wanted || log->place.ops > 0))
		return 0;
	snprintf(ret_why, size, "the log ends at entry %lld, %lld were acknowledged", (long long)last, (long long)end);
	return -EBADMSG;
}

int pb_trust_restore(struct panbind_log *log, char *ret_why, size_t size)
{
	pb_autodb sqlite3 *db = NULL;
	int err = renew(log, ret_why, size);

	if (err < 0)
		return err;
	err = pb_schema_connect_reader(log->path, &db, NULL);
	if (err == 0)
		return check_tail(log, db, ret_why, size);
	snprintf(ret_why, size, "the log cannot be opened again: %s", panbind_errno_name(err));
	return err;
}

void pb_trust_close(const struct panbind_log *log, sqlite3 *db)
{
	/* Closing would move the frames into the log, where nothing tells good ones from bad. */
	if (db && log->distrusted)
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(db);
}
