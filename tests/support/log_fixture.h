/* SPDX-License-Identifier: MIT */
/* For tests of the log: a scratch folder with a log in it, and entries in a line. */
#ifndef LOG_FIXTURE_H
#define LOG_FIXTURE_H

#include "panbind-log.h"

#define LOG_PAGE ((uint64_t)PANBIND_PAGE_SIZE)

struct log_fixture {
	char folder[64], path[96];
	struct panbind_log *log;
};

/** cmocka setup and teardown: *state is a struct log_fixture with a fresh log open for writing. */
int log_fixture_setup(void **state);
int log_fixture_teardown(void **state);
/** Close and open again. */
void log_fixture_reopen(struct log_fixture *f, uint32_t flags, const struct panbind_log_options *options);
/** Make and remove a scratch folder. */
void log_fixture_folder(struct log_fixture *f);
void log_fixture_remove(struct log_fixture *f);

/* Appended and committed, or the test fails. Each returns the seq. */
uint64_t log_vm(struct panbind_log *log, const char *name, uint64_t generation);
uint64_t log_bo(struct panbind_log *log, const char *name, uint64_t generation, uint64_t pages);
uint64_t log_about(struct panbind_log *log, enum panbind_log_kind kind, const char *name, uint64_t generation);
uint64_t log_ops(struct panbind_log *log, const struct panbind_log_op *ops, size_t count);
uint64_t log_entry(struct panbind_log *log, const struct panbind_log_entry *entry);

/* Pages, not bytes. */
struct panbind_log_op log_op_map(const char *vm, uint64_t va, uint64_t pages, const char *bo, uint64_t offset);
struct panbind_log_op log_op_unmap(const char *vm, uint64_t va, uint64_t pages);
struct panbind_log_op log_op_sparse(const char *vm, uint64_t va, uint64_t pages);

/** An entry of ops that succeeded, to be changed as a test needs. */
struct panbind_log_entry log_bind_entry(const struct panbind_log_op *ops, size_t count);

/** "1000-3000=pool+0 3000-4000=sparse": what a VM maps at a seq, in pages, hexadecimal. To be freed. */
char *log_picture(struct panbind_log *log, uint64_t seq, const char *vm);
void log_assert_picture(struct panbind_log *log, uint64_t seq, const char *vm, const char *wanted);
/** Verify deeply, print and count the problems. */
uint64_t log_problems(struct panbind_log *log);
/** The first value of the first row, or -1. */
int64_t log_ask(struct panbind_log *log, const char *sql);

#endif /* LOG_FIXTURE_H */
