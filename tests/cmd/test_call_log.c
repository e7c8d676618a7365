/* SPDX-License-Identifier: MIT */
/*
 * Calls of programs as entries: what names objects get, whose handles lead where, and what a failed call leaves. The
 * entries go into a log, which refuses what cannot be true, and are read from there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call_log.h"

enum { FILE_A = 10, FILE_B = 20, BO = 5, VM = 1 };

struct room {
	char folder[32], path[64], text[4096];
	struct panbind_log *log;
	struct call_log *calls;
	struct panbind_error error;
};

static int append(void *data, const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	struct room *room = data;

	return panbind_log_append(room->log, entry, PANBIND_LOG_DURABLE_NONE, NULL, NULL, NULL, reterr);
}

static int open_room(void **state)
{
	struct room *room = calloc(1, sizeof(*room));
	struct call_log_options options = {
		.emit = append,
		.data = room,
		.uid = PANBIND_LOG_NO_ID,
		.gid = PANBIND_LOG_NO_ID,
		.va_range = UINT64_C(1) << 47,
		.invent = *state != NULL,
	};

	assert_non_null(room);
	strcpy(room->folder, "/tmp/panbind-call-XXXXXX");
	assert_non_null(mkdtemp(room->folder));
	snprintf(room->path, sizeof(room->path), "%s/log.db", room->folder);
	assert_int_equal(panbind_log_open(room->path, PANBIND_LOG_CREATE, NULL, &room->log, NULL), 0);
	assert_int_equal(call_log_create(&options, &room->calls), 0);
	*state = room;
	return 0;
}

static int close_room(void **state)
{
	struct room *room = *state;
	char command[128];

	call_log_destroy(room->calls);
	panbind_log_close(room->log);
	snprintf(command, sizeof(command), "rm -rf '%s'", room->folder);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a folder of our own making */
	free(room);
	return 0;
}

static int add(struct room *room, struct call call)
{
	if (!call.file)
		call.file = FILE_A;
	call.start_ns = 1000;
	call.duration_ns = 5;
	return call_log_add(room->calls, &call, &room->error);
}

static void write_object(FILE *stream, const struct panbind_log_entry *entry)
{
	fprintf(stream, "%s %s#%u", panbind_log_kind_name(entry->kind), entry->object.ref.name,
		(unsigned)entry->object.ref.generation);
	if (entry->kind == PANBIND_LOG_BO_CREATE)
		fprintf(stream, " 0x%llx", (unsigned long long)entry->object.size);
}

static void write_op(FILE *stream, const struct panbind_log_op *op)
{
	fprintf(stream, " %s %s", panbind_log_op_name(op->type), op->vm.name ? op->vm.name : "?");
	if (op->size)
		fprintf(stream, " 0x%llx", (unsigned long long)op->va);
	if (op->bo.name)
		fprintf(stream, " %s#%u", op->bo.name, (unsigned)op->bo.generation);
	if (op->syncs)
		fprintf(stream, " [%s]", op->syncs);
}

/* All entries, one a line: what became of them, and what they are about. */
static const char *entries(struct room *room)
{
	const struct panbind_log_entry *entry;
	struct panbind_log_reader *reader;
	FILE *stream = fmemopen(room->text, sizeof(room->text), "w");

	assert_non_null(stream);
	assert_int_equal(panbind_log_flush(room->log), 0);
	assert_int_equal(panbind_log_reader_open(room->log, NULL, &reader, NULL), 0);
	while (panbind_log_read(reader, &entry) == 1) {
		if (entry->kind == PANBIND_LOG_BIND)
			fputs("bind", stream);
		else
			write_object(stream, entry);
		for (size_t i = 0; i < entry->op_count; i++)
			write_op(stream, &entry->ops[i]);
		if (entry->result)
			fprintf(stream, " -> %s, %u applied", panbind_errno_name(entry->result), entry->applied);
		putc('\n', stream);
	}
	panbind_log_reader_close(reader);
	fclose(stream);
	return room->text;
}

static struct call map(const struct call_op *op)
{
	return (struct call){.type = CALL_VM_BIND, .id = VM, .ops = op, .op_count = 1};
}

static void make_vm_and_bo(struct room *room)
{
	assert_int_equal(add(room, (struct call){.type = CALL_VM_CREATE, .id = VM}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CREATE, .id = BO, .size = 0x4000}), 0);
}

/* ---- Tests ---- */

static void test_handles_are_given_out_again(void **state)
{
	const struct call_op op = {.bo = BO, .va = 0x10000, .size = 0x1000};
	struct room *room = *state;

	make_vm_and_bo(room);
	assert_int_equal(add(room, map(&op)), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = BO}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CREATE, .id = BO, .size = 0x1000}), 0);
	assert_int_equal(add(room, map(&op)), 0);
	assert_string_equal(entries(room), "vm.create vm1#1\n"
					   "bo.create bo5#1 0x4000\n"
					   "bind map vm1 0x10000 bo5#1\n"
					   "bo.destroy bo5#1\n"
					   "bo.create bo5#2 0x1000\n"
					   "bind map vm1 0x10000 bo5#2\n");
}

static void test_a_bo_goes_with_its_last_handle(void **state)
{
	const struct call_op op = {.bo = 9, .va = 0x10000, .size = 0x1000};
	struct room *room = *state;

	/* Given a BO that a second file imports ... */
	make_vm_and_bo(room);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_EXPORT, .id = BO, .key = 77}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_VM_CREATE, .id = VM, .file = FILE_B, .prefix = "b."}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_IMPORT, .id = 9, .key = 77, .file = FILE_B}), 0);
	/* ... and imports once more, which gives the handle that is there ... */
	assert_int_equal(add(room, (struct call){.type = CALL_BO_IMPORT, .id = 9, .key = 77, .file = FILE_B}), 0);
	/* ... when the first file lets go of it, the second one can map it still. */
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = BO}), 0);
	assert_int_equal(
		add(room, (struct call){.type = CALL_VM_BIND, .id = VM, .ops = &op, .op_count = 1, .file = FILE_B}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = 9, .file = FILE_B}), 0);
	assert_string_equal(entries(room), "vm.create vm1#1\n"
					   "bo.create bo5#1 0x4000\n"
					   "vm.create b.vm1#1\n"
					   "bind map b.vm1 0x10000 bo5#1\n"
					   "bo.destroy bo5#1\n");
}

static void test_a_foreign_bo_is_a_new_one(void **state)
{
	struct room *room = *state;

	assert_int_equal(add(room, (struct call){.type = CALL_BO_IMPORT, .id = 3, .key = 5, .size = 0x2000}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = 3}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = 3}), 0);
	assert_string_equal(entries(room), "bo.create bo3#1 0x2000\nbo.destroy bo3#1\n");
}

static void test_a_file_takes_all_with_it(void **state)
{
	struct room *room = *state;

	make_vm_and_bo(room);
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CREATE, .id = 8, .size = 0x1000, .file = FILE_B}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_FILE_CLOSE}), 0);
	assert_string_equal(entries(room), "vm.create vm1#1\n"
					   "bo.create bo5#1 0x4000\n"
					   "bo.create bo8#1 0x1000\n"
					   "vm.destroy vm1#1\n"
					   "bo.destroy bo5#1\n");
}

static void test_failures(void **state)
{
	const struct call_op ops[] = {{.bo = BO, .va = 0x10000, .size = 0x1000},
				      {.bo = 99, .va = 0x20000, .size = 0x1000}};
	struct room *room = *state;

	make_vm_and_bo(room);
	/* A creation that failed gave out no id: what has this one stays. */
	assert_int_equal(add(room, (struct call){.type = CALL_BO_CREATE, .id = BO, .size = 0x1000, .err = ENOMEM}), 0);
	/* A synchronous bind stops in the middle; an asynchronous one is refused whole. */
	assert_int_equal(
		add(room,
		    (struct call){.type = CALL_VM_BIND, .id = VM, .ops = ops, .op_count = 2, .done = 1, .err = ENOENT}),
		0);
	assert_int_equal(
		add(room,
		    (struct call){
			    .type = CALL_VM_BIND, .id = VM, .ops = ops, .op_count = 2, .async = true, .err = ENOENT}),
		0);
	assert_int_equal(add(room, (struct call){.type = CALL_VM_DESTROY, .id = 3, .err = EINVAL}), 0);
	assert_string_equal(entries(room), "vm.create vm1#1\n"
					   "bo.create bo5#1 0x4000\n"
					   "bo.create none1#1 0x1000 -> ENOMEM, 0 applied\n"
					   "bind map vm1 0x10000 bo5#1 map vm1 0x20000 -> ENOENT, 1 applied\n"
					   "bind map vm1 0x10000 bo5#1 map vm1 0x20000 -> ENOENT, 0 applied\n");
}

static void test_syncs(void **state)
{
	const struct call_sync syncs[] = {{.syncobj = 3, .point = 7}, {.signal = true, .syncobj = 4}};
	const struct call_op ops[] = {{.bo = BO, .va = 0x10000, .size = 0x1000, .syncs = syncs, .sync_count = 2},
				      {.type = CALL_OP_SYNC_ONLY, .syncs = &syncs[1], .sync_count = 1}};
	const struct call bind = {.type = CALL_VM_BIND, .id = VM, .async = true, .ops = ops, .op_count = 2};
	struct room *room = *state;

	make_vm_and_bo(room);
	assert_int_equal(add(room, (struct call){.type = CALL_SYNCOBJ_CREATE, .id = 3}), 0);
	assert_int_equal(add(room, (struct call){.type = CALL_SYNCOBJ_CREATE, .id = 4}), 0);
	assert_int_equal(add(room, bind), 0);
	/* One that is made anew under an old handle must not be taken for the old one. */
	assert_int_equal(add(room, (struct call){.type = CALL_SYNCOBJ_CREATE, .id = 3}), 0);
	assert_int_equal(add(room, bind), 0);
	assert_non_null(strstr(entries(room),
			       "bind map vm1 0x10000 bo5#1 [wait=so3:7 signal=so4] sync-only vm1 [signal=so4]\n"
			       "bind map vm1 0x10000 bo5#1 [wait=so3.2:7 signal=so4] sync-only vm1 [signal=so4]\n"));
}

static void test_what_nobody_made_is_refused(void **state)
{
	const struct call_op op = {.bo = 6, .va = 0x10000, .size = 0x1000};
	struct room *room = *state;

	assert_int_equal(add(room, map(&op)), -ENOENT);
	assert_string_equal(room->error.msg, "names vm1, which nothing before has created");
	assert_int_equal(room->error.op, PANBIND_NO_OP);
	make_vm_and_bo(room);
	assert_int_equal(add(room, map(&op)), -ENOENT);
	assert_string_equal(room->error.msg, "names bo6, which nothing before has created");
	assert_int_equal(room->error.op, 0);
	assert_string_equal(entries(room), "vm.create vm1#1\nbo.create bo5#1 0x4000\n");
}

static void test_or_made_up(void **state)
{
	const struct call_op op = {.bo = 6, .bo_offset = 0x3000, .va = 0x10000, .size = 0x1000};
	struct room *room = *state;

	assert_int_equal(add(room, map(&op)), 0);
	assert_string_equal(entries(room), "vm.create vm1#1\n"
					   "bo.create bo6#1 0x4000\n"
					   "bind map vm1 0x10000 bo6#1\n");
}

/* Many ids at once, let go in another order: the table finds each. */
static void test_many(void **state)
{
	struct room *room = *state;
	struct panbind_log_status status;

	for (uint32_t i = 1; i <= 5000; i++)
		assert_int_equal(add(room, (struct call){.type = CALL_BO_CREATE, .id = i, .size = 0x1000}), 0);
	for (uint32_t i = 5000; i >= 1; i -= 2)
		assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = i}), 0);
	for (uint32_t i = 1; i <= 5000; i += 2)
		assert_int_equal(add(room, (struct call){.type = CALL_BO_CLOSE, .id = i}), 0);
	assert_int_equal(panbind_log_flush(room->log), 0);
	assert_int_equal(panbind_log_get_status(room->log, &status), 0);
	assert_int_equal(status.last_seq, 10000);
}

int main(void)
{
	static char invent[] = "invent";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_handles_are_given_out_again, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_a_bo_goes_with_its_last_handle, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_a_foreign_bo_is_a_new_one, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_a_file_takes_all_with_it, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_failures, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_syncs, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_what_nobody_made_is_refused, open_room, close_room),
		cmocka_unit_test_prestate_setup_teardown(test_or_made_up, open_room, close_room, invent),
		cmocka_unit_test_setup_teardown(test_many, open_room, close_room),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
