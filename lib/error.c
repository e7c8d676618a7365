/* SPDX-License-Identifier: MIT */
/*
 * Errors: filling them in one statement, and the names of what is in them.
 *
 * struct panbind_error holds no pointers, so every text is cut to its field. A cut never splits a UTF-8 character: the
 * result goes to terminals and into JSON. A message is one line, whatever names it quotes, so control characters
 * become spaces. A file name keeps its end, which tells files apart better than its beginning.
 */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Linux numbers errnos from 1 to 4095 (MAX_ERRNO); the named ones end far below. */
#define LAST_ERRNO 4095

static bool is_utf8_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character that starts with @lead; 1 for what is no lead byte. */
static size_t utf8_length(char lead)
{
	unsigned char c = (unsigned char)lead;

	return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

/* After a cut at @length: drop a last character that lost its end. */
static void trim_utf8(char *text, size_t length)
{
	size_t start = length;

	while (start > 0 && length - start < 3 && is_utf8_tail(text[start - 1]))
		start--;
	if (start > 0 && utf8_length(text[start - 1]) > length - start + 1)
		text[start - 1] = '\0';
}

static void __attribute__((format(printf, 2, 0)))
fill_message(struct panbind_error *error, const char *format, va_list args)
{
	int length = vsnprintf(error->msg, sizeof(error->msg), format, args);

	if (length >= (int)sizeof(error->msg))
		trim_utf8(error->msg, sizeof(error->msg) - 1);
	for (char *c = error->msg; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

static void fill_file(struct panbind_error *error, const char *file)
{
	size_t length = strlen(file);

	if (length >= sizeof(error->file)) {
		file += length - (sizeof(error->file) - 1);
		while (is_utf8_tail(*file))
			file++;
	}
	memcpy(error->file, file, strlen(file) + 1);
}

/* The arguments of a message may come from the very error that is filled (a wrapped message), so it is built aside. */
static void __attribute__((format(printf, 4, 0)))
fill(struct panbind_error *reterr, int code, enum panbind_stage stage, const char *format, va_list args)
{
	struct panbind_error error = {.code = code, .stage = stage, .op = PANBIND_NO_OP};

	fill_message(&error, format, args);
	*reterr = error;
}

int pb_error_set(struct panbind_error *reterr, int code, enum panbind_stage stage, const char *format, ...)
{
	va_list args;

	if (reterr == NULL)
		return code;
	va_start(args, format);
	fill(reterr, code, stage, format, args);
	va_end(args);
	return code;
}

int pb_error_at_op(struct panbind_error *reterr, int code, enum panbind_stage stage, uint32_t op, uint64_t va,
		   uint64_t size, const char *format, ...)
{
	va_list args;

	if (reterr == NULL)
		return code;
	va_start(args, format);
	fill(reterr, code, stage, format, args);
	va_end(args);
	reterr->op = op;
	reterr->va = va;
	reterr->size = size;
	return code;
}

int pb_error_at_place(struct panbind_error *reterr, int code, enum panbind_stage stage, const char *file, uint32_t line,
		      uint32_t column, const char *format, ...)
{
	struct panbind_error error = {0};
	va_list args;

	if (reterr == NULL)
		return code;
	va_start(args, format);
	fill(&error, code, stage, format, args);
	va_end(args);
	if (file != NULL)
		fill_file(&error, file);
	error.line = line;
	error.column = column;
	*reterr = error;
	return code;
}

static const char *name_in(const char *const *names, size_t count, unsigned int value)
{
	return value < count ? names[value] : "?";
}

const char *panbind_stage_name(enum panbind_stage stage)
{
	static const char *const names[] = {
		[PANBIND_STAGE_NONE] = "none",	       [PANBIND_STAGE_PARSE] = "parse",
		[PANBIND_STAGE_VALIDATE] = "validate", [PANBIND_STAGE_SUBMIT] = "submit",
		[PANBIND_STAGE_COMPLETE] = "complete", [PANBIND_STAGE_ROLLBACK] = "rollback",
		[PANBIND_STAGE_JOURNAL] = "journal",
	};

	return name_in(names, PB_ARRAY_SIZE(names), stage);
}

const char *panbind_outcome_name(enum panbind_outcome outcome)
{
	static const char *const names[] = {
		[PANBIND_OUTCOME_APPLIED] = "applied",
		[PANBIND_OUTCOME_ROLLED_BACK] = "rolled-back",
		[PANBIND_OUTCOME_PARTIAL] = "partial",
		[PANBIND_OUTCOME_UNKNOWN] = "unknown",
	};

	return name_in(names, PB_ARRAY_SIZE(names), outcome);
}

const char *panbind_vm_state_name(enum panbind_vm_state state)
{
	static const char *const names[] = {
		[PANBIND_VM_USABLE] = "usable",
		[PANBIND_VM_UNUSABLE] = "unusable",
		[PANBIND_VM_POISONED] = "poisoned",
	};

	return name_in(names, PB_ARRAY_SIZE(names), state);
}

const char *panbind_errno_name(int err)
{
	const char *name;

	if (err == INT_MIN)
		return "E?";
	name = strerrorname_np(err < 0 ? -err : err);
	return name != NULL ? name : "E?";
}

/* Second names that glibc's table, which has one name a number, cannot give back. */
static int alias_errno(const char *name)
{
	if (strcmp(name, "EWOULDBLOCK") == 0)
		return EWOULDBLOCK;
	if (strcmp(name, "ENOTSUP") == 0)
		return ENOTSUP;
	if (strcmp(name, "EDEADLOCK") == 0)
		return EDEADLOCK;
	return 0;
}

int panbind_errno_from_name(const char *name)
{
	if (name == NULL)
		return 0;
	for (int err = 1; err <= LAST_ERRNO; err++) {
		const char *known = strerrorname_np(err);

		if (known != NULL && strcmp(known, name) == 0)
			return err;
	}
	return alias_errno(name);
}
