/* SPDX-License-Identifier: MIT */
/*
 * Calls are told apart by the values that the decoder made of them, member by member of the method's row in the table:
 * the order of keys, and whether an address came as text or as a number, make no difference.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "sha256.h"
#include "util.h"

static void add_number(struct sha256 *sha, uint64_t value)
{
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(value >> 8 * i);
	sha256_add(sha, bytes, sizeof(bytes));
}

/** With its length before it, so that no two lists of texts look the same. */
static void add_bytes(struct sha256 *sha, const void *data, size_t size)
{
	add_number(sha, size);
	sha256_add(sha, data, size);
}

static void add_text(struct sha256 *sha, const char *text)
{
	if (text)
		add_bytes(sha, text, strlen(text));
	else
		add_number(sha, UINT64_MAX);
}

static void add_ops(struct sha256 *sha, const struct call *call)
{
	add_number(sha, call->op_count);
	for (size_t i = 0; i < call->op_count; i++) {
		const struct call_op *op = &call->ops[i];

		add_number(sha, op->type);
		add_text(sha, op->vm);
		add_text(sha, op->bo);
		add_number(sha, op->va);
		add_number(sha, op->size);
		add_number(sha, op->bo_offset);
		add_number(sha, op->flags);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct panbind_define *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/** Sorted: they came as an object, which has no order. */
static void add_defines(struct sha256 *sha, const struct call *call)
{
	if (call->define_count > 0)
		qsort(call->defines, call->define_count, sizeof(call->defines[0]), by_name);
	add_number(sha, call->define_count);
	for (size_t i = 0; i < call->define_count; i++) {
		add_text(sha, call->defines[i].name);
		add_text(sha, call->defines[i].value);
	}
}

static void add_param(struct sha256 *sha, const struct param *param, const struct call *call)
{
	const void *member = (const char *)call + param->offset;

	switch (param->type) {
	case PARAM_NAME:
	case PARAM_TEXT:
		add_text(sha, *(const char *const *)member);
		break;
	case PARAM_NUMBER:
		add_number(sha, *(const uint64_t *)member);
		break;
	case PARAM_BOOL:
		add_number(sha, *(const bool *)member);
		break;
	case PARAM_WORD:
	case PARAM_FLAGS:
		add_number(sha, *(const uint32_t *)member);
		break;
	case PARAM_BASE64:
		add_bytes(sha, call->data, call->data_size);
		break;
	case PARAM_OPS:
		add_ops(sha, call);
		break;
	case PARAM_DEFINES:
		add_defines(sha, call);
		break;
	}
}

static bool is_left_out(const char *name)
{
	static const char *const names[] = {"txn_id", "comment", "durability", "device"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

void digest_call(const struct method *method, const struct call *call, char ret_digest[DIGEST_LENGTH + 1])
{
	unsigned char digest[SHA256_SIZE];
	struct sha256 sha;

	sha256_begin(&sha);
	add_text(&sha, method->name);
	for (size_t i = 0; i < method->param_count; i++) {
		if (is_left_out(method->params[i].name))
			continue;
		add_text(&sha, method->params[i].name);
		add_param(&sha, &method->params[i], call);
	}
	sha256_end(&sha, digest);
	for (int i = 0; i < SHA256_SIZE; i++)
		snprintf(ret_digest + 2 * i, 3, "%02x", digest[i]);
}
