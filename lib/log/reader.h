/* SPDX-License-Identifier: MIT */
/* What reader.c and blame.c share. */
#ifndef PB_LOG_READER_H
#define PB_LOG_READER_H

#include "log.h"

struct panbind_log_reader {
	struct panbind_log *log;
	struct panbind_log_filter filter;
	char *vm_name, *txn_id; /* what the filter points to */
	char *blamed_argv;	/* of a compacted entry, as shown last */
	sqlite3 *db;
	struct pb_scan *scan;
	sqlite3_stmt *blame_ops;
	bool running;  /* a read transaction is open */
	bool scanning; /* between the first entry and the end */
	uint64_t next_seq, first_seq, lost;
	struct pb_objects objects;
	struct panbind_log_entry entry; /* as shown last */
	struct panbind_log_op *ops;
	size_t op_room;
};

/** Open a read transaction if there is none, learn new objects, see where the log begins. */
int pb_reader_begin(struct panbind_log_reader *reader);
/** Leave it. */
void pb_reader_end(struct panbind_log_reader *reader);
/** A row as the public header shows it; valid until the next one. */
int pb_reader_show(struct panbind_log_reader *reader, const struct pb_row *row,
		   const struct panbind_log_entry **ret_entry);

#endif /* PB_LOG_READER_H */
