/* SPDX-License-Identifier: MIT */
/* Errors for people and for programs. See error.h. */
#include "error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TAB	8u
#define CONTEXT 60u /* columns kept before the caret when a line is too long to show whole */

/* ---- JSON ---- */

static json_t *json_or_null(bool there, json_t *value)
{
	if (there)
		return value;
	json_decref(value);
	return json_null();
}

/* Every member is always there: null where there is nothing to say. */
static json_t *error_json(const struct panbind_error *error, const struct error_context *context)
{
	json_t *json = json_object();
	const char *outcome = context && context->has_outcome ? panbind_outcome_name(context->outcome) : NULL;
	bool stage = error->stage != PANBIND_STAGE_NONE, range = error->size != 0;

	json_object_set_new(json, "message",
			    output_json_text(context && context->message ? context->message : error->msg));
	json_object_set_new(json, "name", output_json_text(panbind_errno_name(error->code)));
	json_object_set_new(json, "errno", json_integer(-(json_int_t)error->code));
	json_object_set_new(json, "stage", json_or_null(stage, output_json_text(panbind_stage_name(error->stage))));
	json_object_set_new(json, "op", json_or_null(error->op != PANBIND_NO_OP, json_integer(error->op)));
	json_object_set_new(json, "file", json_or_null(error->file[0] != 0, output_json_text(error->file)));
	json_object_set_new(json, "line", json_or_null(error->line != 0, json_integer(error->line)));
	json_object_set_new(json, "column", json_or_null(error->column != 0, json_integer(error->column)));
	json_object_set_new(json, "va", json_or_null(range, output_json_hex(error->va)));
	json_object_set_new(json, "size", json_or_null(range, output_json_hex(error->size)));
	json_object_set_new(json, "pointer",
			    context && context->pointer ? output_json_text(context->pointer) : json_null());
	json_object_set_new(json, "outcome", outcome ? output_json_text(outcome) : json_null());
	return json;
}

/* ---- Text ---- */

/*
 * A source line as the terminal shows it: tabs become blanks up to the next stop, what a terminal would obey becomes
 * '?'. Returns the column of byte @column (1-based), so that the caret stands below it whatever comes before.
 */
static size_t expand_line(FILE *shown, const char *line, size_t size, uint32_t column)
{
	size_t at = 0, caret = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)line[i];

		if (i + 1 == column)
			caret = at;
		if ((byte & 0xc0) == 0x80) {
			putc(byte, shown);
		} else if (byte == '\t') {
			size_t blanks = TAB - at % TAB;

			fprintf(shown, "%*s", (int)blanks, "");
			at += blanks;
		} else {
			putc(byte < 0x20 || byte == 0x7f ? '?' : byte, shown);
			at++;
		}
	}
	return column > size ? at : caret;
}

/* Skip @columns columns of UTF-8. */
static const char *skip_columns(const char *text, size_t columns)
{
	while (*text && (columns || ((unsigned char)*text & 0xc0) == 0x80)) {
		columns -= ((unsigned char)*text & 0xc0) != 0x80;
		text++;
	}
	return text;
}

static void print_caret(const struct out *out, const char *line, size_t size, uint32_t column)
{
	char *text = NULL;
	size_t text_size, caret, skip, room = out->width > 24 ? out->width - 8 : 16;
	FILE *shown = open_memstream(&text, &text_size);

	if (!shown)
		return;
	if (size && line[size - 1] == '\r')
		size--;
	caret = expand_line(shown, line, size, column);
	fclose(shown);
	skip = output_columns(text) > room && caret > CONTEXT ? caret - CONTEXT / 2 : 0;
	const char *from = skip_columns(text, skip), *to = skip_columns(from, room);

	fprintf(stderr, "    %s%.*s%s\n", skip ? "..." : "", (int)(to - from), from, *to ? "..." : "");
	fprintf(stderr, "    %*s%s^%s\n", (int)(caret - skip + (skip ? 3 : 0)), "",
		output_paint(out->color_stderr, OUT_GREEN), output_paint(out->color_stderr, OUT_PLAIN));
	free(text);
}

static void print_place(const struct out *out, const char *file, uint32_t line, uint32_t column)
{
	bool color = out->color_stderr;

	fputs(output_paint(color, OUT_BOLD), stderr);
	fputs(*file ? file : "panbind", stderr);
	if (line)
		fprintf(stderr, ":%" PRIu32, line);
	if (line && column)
		fprintf(stderr, ":%" PRIu32, column);
	fprintf(stderr, ":%s %serror:%s ", output_paint(color, OUT_PLAIN), output_paint(color, OUT_RED),
		output_paint(color, OUT_PLAIN));
}

/* What a person wants to look up, in brackets: the errno's name, the op, the stage, the range. */
static void print_facts(const struct panbind_error *error)
{
	fprintf(stderr, " [%s", panbind_errno_name(error->code));
	if (error->op != PANBIND_NO_OP)
		fprintf(stderr, ", op %" PRIu32, error->op);
	if (error->stage != PANBIND_STAGE_NONE && error->stage != PANBIND_STAGE_PARSE)
		fprintf(stderr, ", %s", panbind_stage_name(error->stage));
	if (error->size)
		fprintf(stderr, ", 0x%" PRIx64 "+0x%" PRIx64, error->va, error->size);
	fputs("]", stderr);
}

static void print_outcome(const struct error_context *context)
{
	static const char *const sentences[] = {
		[PANBIND_OUTCOME_ROLLED_BACK] = "rolled back to where its transaction began",
		[PANBIND_OUTCOME_PARTIAL] = "partly applied: some ops remain, and the VM takes no more",
		[PANBIND_OUTCOME_UNKNOWN] = "outcome unknown: the mapping of some range is not known, and the VM "
					    "takes no more",
	};

	if (context->message && context->outcome == PANBIND_OUTCOME_PARTIAL) /* from a daemon, of a whole script */
		fputs("    partly applied: what was complete before it stays\n", stderr);
	else if (context->outcome != PANBIND_OUTCOME_APPLIED)
		fprintf(stderr, "    %s\n", sentences[context->outcome]);
}

void error_report(struct cmd *cmd, const struct panbind_error *error, const struct error_context *context)
{
	if (cmd->out.json && !cmd->out.lines) {
		json_array_append_new(cmd->out.errors, error_json(error, context));
		return;
	}
	fflush(stdout); /* keep the order of what a person sees when both are one terminal */
	print_place(&cmd->out, error->file, error->line, error->column);
	if (context && context->message)
		fputs(context->message, stderr);
	else
		fputs(error->msg[0] ? error->msg : strerror(-error->code), stderr);
	print_facts(error);
	putc('\n', stderr);
	if (context && context->line && error->column)
		print_caret(&cmd->out, context->line, context->line_size, error->column);
	if (context && context->has_outcome)
		print_outcome(context);
}

int error_say(struct cmd *cmd, int status, int code, const char *format, ...)
{
	struct panbind_error error = {.code = code, .op = PANBIND_NO_OP};
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (cmd->out.json && !cmd->out.lines) {
		json_t *json = error_json(&error, NULL);

		json_object_set_new(json, "message", output_json_text(text ? text : strerror(-code)));
		json_array_append_new(cmd->out.errors, json);
	} else {
		fflush(stdout);
		print_place(&cmd->out, "", 0, 0);
		fprintf(stderr, "%s\n", text ? text : strerror(-code));
	}
	free(text);
	return status;
}

void error_note(const struct cmd *cmd, int verbose, const char *format, ...)
{
	va_list args;

	if (cmd->verbose < verbose)
		return;
	fflush(stdout);
	fputs("panbind: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
}

int error_status(const struct panbind_error *error, enum panbind_outcome outcome)
{
	if (outcome == PANBIND_OUTCOME_PARTIAL || outcome == PANBIND_OUTCOME_UNKNOWN)
		return CMD_PARTIAL;
	if (error->stage == PANBIND_STAGE_PARSE)
		return CMD_USAGE;
	if (error->code == -EPERM || error->code == -EACCES)
		return CMD_DENIED;
	return CMD_FAILED;
}

int error_worse(int a, int b)
{
	static const int rank[] = {[CMD_DONE] = 0,   [CMD_FAILED] = 1,	  [CMD_USAGE] = 2,  [CMD_NO_DEVICE] = 3,
				   [CMD_DENIED] = 4, [CMD_TIMED_OUT] = 5, [CMD_PARTIAL] = 6};

	return rank[a] >= rank[b] ? a : b;
}
