/* SPDX-License-Identifier: MIT */
#include "log_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void log_fixture_folder(struct log_fixture *f)
{
	strcpy(f->folder, "/tmp/panbind-log-XXXXXX");
	if (!mkdtemp(f->folder))
		fail_msg("no scratch folder");
	snprintf(f->path, sizeof(f->path), "%s/test.log", f->folder);
}

void log_fixture_remove(struct log_fixture *f)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	if (system(command) != 0)
		fprintf(stderr, "# note: %s is left behind\n", f->folder);
}

int log_fixture_setup(void **state)
{
	struct log_fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	log_fixture_folder(f);
	log_fixture_reopen(f, PANBIND_LOG_CREATE, NULL);
	*state = f;
	return 0;
}

int log_fixture_teardown(void **state)
{
	struct log_fixture *f = *state;

	panbind_log_close(f->log);
	log_fixture_remove(f);
	free(f);
	return 0;
}

void log_fixture_reopen(struct log_fixture *f, uint32_t flags, const struct panbind_log_options *options)
{
	struct panbind_error error;

	panbind_log_close(f->log);
	f->log = NULL;
	if (panbind_log_open(f->path, flags, options, &f->log, &error) < 0)
		fail_msg("%s", error.msg);
}

uint64_t log_entry(struct panbind_log *log, const struct panbind_log_entry *entry)
{
	struct panbind_error error;
	uint64_t seq = 0;

	if (panbind_log_append_wait(log, entry, PANBIND_LOG_DURABLE_WRITE, &seq, &error) < 0)
		fail_msg("%s", error.msg);
	return seq;
}

static struct panbind_log_entry plain(enum panbind_log_kind kind)
{
	return (struct panbind_log_entry){
		.kind = kind, .uid = 1000, .gid = 1000, .pid = 77, .failing_op = PANBIND_NO_OP};
}

uint64_t log_about(struct panbind_log *log, enum panbind_log_kind kind, const char *name, uint64_t generation)
{
	struct panbind_log_entry entry = plain(kind);

	entry.object.ref = (struct panbind_log_ref){name, generation};
	return log_entry(log, &entry);
}

uint64_t log_vm(struct panbind_log *log, const char *name, uint64_t generation)
{
	struct panbind_log_entry entry = plain(PANBIND_LOG_VM_CREATE);

	entry.object.ref = (struct panbind_log_ref){name, generation};
	entry.object.size = 1ull << 47;
	return log_entry(log, &entry);
}

uint64_t log_bo(struct panbind_log *log, const char *name, uint64_t generation, uint64_t pages)
{
	struct panbind_log_entry entry = plain(PANBIND_LOG_BO_CREATE);

	entry.object.ref = (struct panbind_log_ref){name, generation};
	entry.object.size = pages * LOG_PAGE;
	return log_entry(log, &entry);
}

struct panbind_log_entry log_bind_entry(const struct panbind_log_op *ops, size_t count)
{
	struct panbind_log_entry entry = plain(PANBIND_LOG_BIND);

	entry.ops = ops;
	entry.op_count = count;
	return entry;
}

uint64_t log_ops(struct panbind_log *log, const struct panbind_log_op *ops, size_t count)
{
	const struct panbind_log_entry entry = log_bind_entry(ops, count);

	return log_entry(log, &entry);
}

struct panbind_log_op log_op_map(const char *vm, uint64_t va, uint64_t pages, const char *bo, uint64_t offset)
{
	return (struct panbind_log_op){.type = PANBIND_LOG_MAP,
				       .vm = {vm, 0},
				       .bo = {bo, 0},
				       .va = va * LOG_PAGE,
				       .size = pages * LOG_PAGE,
				       .bo_offset = offset * LOG_PAGE};
}

struct panbind_log_op log_op_unmap(const char *vm, uint64_t va, uint64_t pages)
{
	return (struct panbind_log_op){
		.type = PANBIND_LOG_UNMAP, .vm = {vm, 0}, .va = va * LOG_PAGE, .size = pages * LOG_PAGE};
}

struct panbind_log_op log_op_sparse(const char *vm, uint64_t va, uint64_t pages)
{
	return (struct panbind_log_op){
		.type = PANBIND_LOG_MAP_SPARSE, .vm = {vm, 0}, .va = va * LOG_PAGE, .size = pages * LOG_PAGE};
}

static void draw(FILE *out, const struct panbind_log_mapping *m)
{
	const char *space = ftell(out) > 0 ? " " : "";
	unsigned long long from = m->va / LOG_PAGE, to = (m->va + m->size) / LOG_PAGE;

	if (m->bo.name)
		fprintf(out, "%s%llx-%llx=%s+%llx", space, from, to, m->bo.name,
			(unsigned long long)(m->bo_offset / LOG_PAGE));
	else
		fprintf(out, "%s%llx-%llx=sparse", space, from, to);
	if (m->flags)
		fprintf(out, "/%x", m->flags);
}

char *log_picture(struct panbind_log *log, uint64_t seq, const char *vm)
{
	struct panbind_log_state *state;
	struct panbind_log_mapping mapping;
	struct panbind_error error;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out || panbind_log_state_create(log, seq, (struct panbind_log_ref){vm, 0}, &state, &error) < 0)
		fail_msg("%s", error.msg);
	for (uint64_t va = 0; panbind_log_state_next_mapping(state, 0, va, &mapping) == 0;
	     va = mapping.va + mapping.size)
		draw(out, &mapping);
	fclose(out);
	panbind_log_state_destroy(state);
	return text;
}

void log_assert_picture(struct panbind_log *log, uint64_t seq, const char *vm, const char *wanted)
{
	char *picture = log_picture(log, seq, vm);

	assert_string_equal(picture, wanted);
	free(picture);
}

static void print_problem(void *data, uint64_t seq, const char *msg)
{
	fprintf(stderr, "# note: entry %llu: %s\n", (unsigned long long)seq, msg);
}

uint64_t log_problems(struct panbind_log *log)
{
	struct panbind_log_verify_result result;
	struct panbind_error error;

	if (panbind_log_verify(log, PANBIND_LOG_VERIFY_DEEP, print_problem, NULL, &result, &error) < 0)
		fail_msg("%s", error.msg);
	return result.problems;
}

static int take_first(void *data, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	*(int64_t *)data = values[0].integer;
	return 0;
}

int64_t log_ask(struct panbind_log *log, const char *sql)
{
	struct panbind_error error;
	int64_t value = -1;

	if (panbind_log_query(log, sql, 0, take_first, &value, &error) < 0)
		fail_msg("%s", error.msg);
	return value;
}
