/* SPDX-License-Identifier: MIT */
/*
 * Lists of ops that are to be bound between two syncobjs: one asynchronous VM_BIND.
 *
 * They become a script, an op a line, so that one piece of code fences, waits and records, whoever asks for it. Its
 * lines are the ops' numbers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine_state.h"
#include "util.h"

static void write_flags(FILE *out, uint32_t flags)
{
	fprintf(out, "%s%s%s", flags & PANBIND_MAP_READONLY ? " --readonly" : "",
		flags & PANBIND_MAP_NOEXEC ? " --noexec" : "", flags & PANBIND_MAP_UNCACHED ? " --uncached" : "");
}

static void write_op(FILE *out, const char *vm, const struct call_op *op)
{
	static const char *const words[] = {
		[PANBIND_LOG_MAP] = "map",
		[PANBIND_LOG_UNMAP] = "unmap",
		[PANBIND_LOG_SPARSE_RESERVE] = "sparse reserve",
		[PANBIND_LOG_SPARSE_BIND] = "sparse bind",
		[PANBIND_LOG_SPARSE_UNBIND] = "sparse unbind",
		[PANBIND_LOG_SPARSE_RELEASE] = "sparse release",
	};

	fprintf(out, "%s %s 0x%llx 0x%llx", words[op->type], vm, (unsigned long long)op->va,
		(unsigned long long)op->size);
	if (op->type == PANBIND_LOG_MAP || op->type == PANBIND_LOG_SPARSE_BIND) {
		fprintf(out, " %s+0x%llx", op->bo, (unsigned long long)op->bo_offset);
		write_flags(out, op->flags);
	}
	fputc('\n', out);
}

static int write_script(const struct request *request, const struct call_op *ops, size_t count, char **ret_text)
{
	size_t size;
	FILE *out = open_memstream(ret_text, &size);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		write_op(out, ops[i].vm ? ops[i].vm : request->call.vm, &ops[i]);
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

/** A line of the script is an op of the list, unless it stands for the whole. */
static void place(struct request *request)
{
	struct rpc_error *error = &request->error;
	char pointer[48];

	if (error->stage == PANBIND_STAGE_PARSE && error->line) {
		error->op = error->line - 1;
		error->stage = PANBIND_STAGE_VALIDATE; /* nobody but us has written that text */
	}
	error->line = error->column = 0;
	if (error->op == PANBIND_NO_OP || !request->call.ops)
		return;
	snprintf(pointer, sizeof(pointer), "/params/ops/%u", error->op);
	request_point(request, pointer);
}

int engine_bind_fenced(struct engine *engine, struct request *request, const struct call_op *ops, size_t count)
{
	autofree char *text = NULL;
	int r;

	if (write_script(request, ops, count, &text) < 0)
		return rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory");
	r = engine_run_text(engine, request, text, NULL, NULL);
	if (request->error.code)
		place(request);
	return r;
}
