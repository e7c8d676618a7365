/* SPDX-License-Identifier: MIT */
/*
 * The frames of a commit reach the write-ahead file in one piece.
 *
 * SQLite writes each frame's header and its page by themselves: four system calls for the two pages that a small entry
 * changes. Here a file of the write-ahead log gathers frames that are appended, and writes them at once when the last
 * frame of a commit is there (its header says so), before SQLite hears that it is written. So a failure is still the
 * failure of that commit, and nobody is shown a frame that the file does not have yet. Whatever else happens to the
 * file is done after what was gathered is written, in the order in which SQLite asked for it.
 *
 * All else is the default VFS's: a log is the same file with and without this, and only who writes it needs it.
 */
#include <pthread.h>

#include "log.h"

#define VFS_NAME    "panbind-log"
#define HEADER_SIZE 24		/* of a frame */
#define ROOM	    (120 << 10) /* SQLite asks for less at a time: its own VFS takes no more than 128 KiB */

struct gathering {
	sqlite3_file base;
	sqlite3_file *real;
	unsigned char *frames; /* ROOM bytes, when first needed */
	int size;	       /* of what is gathered */
	sqlite3_int64 offset;  /* where it belongs */
	sqlite3_int64 end;     /* of all frames: what is below is not appended */
	bool commits;	       /* the frame that is gathered last ends a commit */
};

static struct gathering *of(sqlite3_file *file)
{
	return (struct gathering *)file;
}

/* What cannot be written is dropped: SQLite hears of it, and takes the commit back. */
static int flush(struct gathering *g)
{
	int size = g->size;

	g->size = 0;
	return size ? g->real->pMethods->xWrite(g->real, g->frames, size, g->offset) : SQLITE_OK;
}

static bool has_room(struct gathering *g, int size)
{
	if (!g->frames)
		g->frames = malloc(ROOM);
	return g->frames && size <= ROOM - g->size;
}

static void gather(struct gathering *g, const void *data, int size, sqlite3_int64 offset)
{
	if (g->size == 0)
		g->offset = offset;
	memcpy(g->frames + g->size, data, (size_t)size);
	g->size += size;
	g->end = offset + size;
}

static int write_through(struct gathering *g, const void *data, int size, sqlite3_int64 offset)
{
	int rc = flush(g);

	return rc == SQLITE_OK ? g->real->pMethods->xWrite(g->real, data, size, offset) : rc;
}

static bool follows(const struct gathering *g, sqlite3_int64 offset)
{
	return g->size > 0 && g->offset + g->size == offset;
}

/* A frame is a header and a page. A header that is not appended corrects one that is there. */
static int gather_header(struct gathering *g, const unsigned char *header, sqlite3_int64 offset)
{
	int rc = follows(g, offset) && has_room(g, HEADER_SIZE) ? SQLITE_OK : flush(g);

	if (rc != SQLITE_OK)
		return rc;
	g->commits = header[4] | header[5] | header[6] | header[7]; /* pages of the log after the commit, or 0 */
	gather(g, header, HEADER_SIZE, offset);
	return SQLITE_OK;
}

static int write_frames(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	struct gathering *g = of(file);
	if (offset == 0) /* the file begins anew */
		g->end = 0;
	if (size == HEADER_SIZE && offset >= g->end && has_room(g, 0))
		return gather_header(g, data, offset);
	if (!follows(g, offset) || !has_room(g, size))
		return write_through(g, data, size, offset);
	gather(g, data, size, offset);
	return g->commits ? flush(g) : SQLITE_OK;
}

static int read_frames(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
	int rc = flush(of(file));

	return rc == SQLITE_OK ? of(file)->real->pMethods->xRead(of(file)->real, data, size, offset) : rc;
}

static int truncate_frames(sqlite3_file *file, sqlite3_int64 size)
{
	int rc = flush(of(file));

	if (size < of(file)->end)
		of(file)->end = size;
	return rc == SQLITE_OK ? of(file)->real->pMethods->xTruncate(of(file)->real, size) : rc;
}

static int sync_frames(sqlite3_file *file, int flags)
{
	int rc = flush(of(file));

	return rc == SQLITE_OK ? of(file)->real->pMethods->xSync(of(file)->real, flags) : rc;
}

static int measure_file(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	int rc = flush(of(file));

	return rc == SQLITE_OK ? of(file)->real->pMethods->xFileSize(of(file)->real, ret_size) : rc;
}

/* What is gathered now belongs to no commit. */
static int close_file(sqlite3_file *file)
{
	free(of(file)->frames);
	return of(file)->real->pMethods->xClose(of(file)->real);
}

static int lock_file(sqlite3_file *file, int lock)
{
	return of(file)->real->pMethods->xLock(of(file)->real, lock);
}

static int unlock_file(sqlite3_file *file, int lock)
{
	return of(file)->real->pMethods->xUnlock(of(file)->real, lock);
}

static int check_lock(sqlite3_file *file, int *ret_locked)
{
	return of(file)->real->pMethods->xCheckReservedLock(of(file)->real, ret_locked);
}

static int control_file(sqlite3_file *file, int op, void *data)
{
	return of(file)->real->pMethods->xFileControl(of(file)->real, op, data);
}

static int sector_size(sqlite3_file *file)
{
	return of(file)->real->pMethods->xSectorSize(of(file)->real);
}

static int characteristics(sqlite3_file *file)
{
	return of(file)->real->pMethods->xDeviceCharacteristics(of(file)->real);
}

static const sqlite3_io_methods methods = {
	.iVersion = 1, /* nobody maps this file, or shares memory by it */
	.xClose = close_file,
	.xRead = read_frames,
	.xWrite = write_frames,
	.xTruncate = truncate_frames,
	.xSync = sync_frames,
	.xFileSize = measure_file,
	.xLock = lock_file,
	.xUnlock = unlock_file,
	.xCheckReservedLock = check_lock,
	.xFileControl = control_file,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics,
};

/* SQLite wants a VFS that lives as long as the process. */
static struct {
	pthread_once_t once;
	sqlite3_vfs vfs, *real;
	int rc;
} shared = {.once = PTHREAD_ONCE_INIT};

static int open_file(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct gathering *g = of(file);
	int rc;

	if (!(flags & SQLITE_OPEN_WAL))
		return shared.real->xOpen(shared.real, name, file, flags, ret_flags);
	*g = (struct gathering){.real = (sqlite3_file *)(g + 1)};
	rc = shared.real->xOpen(shared.real, name, g->real, flags, ret_flags);
	if (g->real->pMethods)
		g->base.pMethods = &methods;
	return rc;
}

static void register_vfs(void)
{
	shared.real = sqlite3_vfs_find(NULL);
	if (!shared.real) {
		shared.rc = SQLITE_ERROR;
		return;
	}
	shared.vfs = *shared.real;
	shared.vfs.zName = VFS_NAME;
	shared.vfs.szOsFile = (int)sizeof(struct gathering) + shared.real->szOsFile;
	shared.vfs.xOpen = open_file;
	shared.rc = sqlite3_vfs_register(&shared.vfs, 0);
}

const char *pb_vfs_name(void)
{
	sqlite3_initialize();
	pthread_once(&shared.once, register_vfs);
	return shared.rc == SQLITE_OK ? VFS_NAME : NULL;
}
