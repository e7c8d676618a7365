/* SPDX-License-Identifier: MIT */
/*
 * From a refusal to the "error" member of an answer. Everything a program may want to branch on is in `data`; the
 * message is for people.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rpc_error.h"

int rpc_error_set(struct rpc_error *error, int code, int err, const char *format, ...)
{
	va_list args;

	*error = (struct rpc_error){.code = code, .err = err, .op = PANBIND_NO_OP};
	error->stage = code == RPC_PARSE     ? PANBIND_STAGE_PARSE
		       : code == RPC_JOURNAL ? PANBIND_STAGE_JOURNAL
					     : PANBIND_STAGE_VALIDATE;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return code;
}

bool rpc_is_passing(int err, enum applied applied)
{
	return applied == APPLIED_NONE && (err == EAGAIN || err == EINTR || err == ENOMEM || err == EBUSY ||
					   err == ENOSPC || err == ETIMEDOUT || err == ECANCELED);
}

int rpc_error_from_library(struct rpc_error *error, const struct panbind_error *from, enum applied applied)
{
	int err = from->code < 0 ? -from->code : EIO;

	rpc_error_set(error, from->stage == PANBIND_STAGE_JOURNAL ? RPC_JOURNAL : RPC_FAILED, err, "%s",
		      from->msg[0] ? from->msg : strerror(err));
	error->stage = from->stage;
	error->op = from->op;
	error->line = from->line;
	error->column = from->column;
	error->va = from->va;
	error->size = from->size;
	error->applied = applied;
	error->retryable = rpc_is_passing(err, applied);
	return error->code;
}

const char *applied_name(enum applied applied)
{
	static const char *const names[] = {"none", "all", "partial", "unknown"};

	return names[applied];
}

void rpc_write_kept(struct jw *jw, uint64_t transactions, uint64_t first, uint64_t last)
{
	if (!first)
		return;
	jw_int(jw, "transactions", (int64_t)transactions);
	jw_object(jw, "kept");
	jw_int(jw, "first", (int64_t)first);
	jw_int(jw, "last", (int64_t)last);
	jw_object_end(jw);
}

static void write_data(struct jw *jw, const struct rpc_error *error)
{
	jw_object(jw, "data");
	jw_string(jw, "name", error->name ? error->name : error->err ? panbind_errno_name(error->err) : NULL);
	jw_int(jw, "errno", error->err);
	jw_string(jw, "stage", panbind_stage_name(error->stage));
	if (error->op != PANBIND_NO_OP)
		jw_int(jw, "op", error->op);
	if (error->pointer[0])
		jw_string(jw, "pointer", error->pointer);
	if (error->line)
		jw_int(jw, "line", error->line);
	if (error->column)
		jw_int(jw, "column", error->column);
	if (error->size) {
		jw_hex(jw, "va", error->va);
		jw_hex(jw, "size", error->size);
	}
	jw_bool(jw, "retryable", error->retryable);
	jw_string(jw, "applied", applied_name(error->applied));
	if (error->seq)
		jw_int(jw, "seq", (int64_t)error->seq);
	rpc_write_kept(jw, error->transactions, error->kept_first, error->kept_last);
	jw_object_end(jw);
}

void rpc_error_write(struct jw *jw, const struct rpc_error *error)
{
	jw_object(jw, "error");
	jw_int(jw, "code", error->code);
	jw_string(jw, "message", error->message);
	write_data(jw, error);
	jw_object_end(jw);
}
