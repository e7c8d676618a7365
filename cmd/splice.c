/* SPDX-License-Identifier: MIT */
/*
 * Finding `include` statements and putting texts in their place. See splice.h.
 *
 * The script was parsed before, so quotes are closed, files exist and do not include themselves; what is read here is
 * only as much of the language as it takes to tell where a statement begins and ends.
 */
#include "splice.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define MAX_DEPTH 64 /* more than the parser lets through */

/* One text on its way into the whole. */
struct reading {
	struct cmd *cmd;
	struct splice *splice;
	const char *name;
	size_t file;
	const char *at, *end, *line_start;
	uint32_t line;
	int depth;
};

static int splice_text(struct cmd *cmd, struct splice *splice, const char *name, const char *text, size_t size,
		       int depth);

/* ---- The whole ---- */

static bool at_line_start(const struct splice *splice)
{
	return splice->size == 0 || splice->text[splice->size - 1] == '\n';
}

static void begin_line(struct splice *splice, struct splice_line line)
{
	if (splice->line_count == splice->line_room) {
		size_t room = splice->line_room ? 2 * splice->line_room : 256;
		struct splice_line *grown = reallocarray(splice->lines, room, sizeof(*grown));

		if (!grown) {
			splice->failed = true;
			return;
		}
		splice->lines = grown;
		splice->line_room = room;
	}
	splice->lines[splice->line_count++] = line;
}

static void append(struct splice *splice, const char *bytes, size_t size)
{
	if (splice->size + size + 1 > splice->room) {
		size_t room = 2 * (splice->size + size + 1);
		char *grown = realloc(splice->text, room);

		if (!grown) {
			splice->failed = true;
			return;
		}
		splice->text = grown;
		splice->room = room;
	}
	memcpy(splice->text + splice->size, bytes, size);
	splice->size += size;
	splice->text[splice->size] = '\0';
}

/* Copy from the cursor up to @to, line by line. */
static void copy_to(struct reading *reading, const char *to)
{
	struct splice *splice = reading->splice;

	while (reading->at < to && !splice->failed) {
		const char *newline = memchr(reading->at, '\n', (size_t)(to - reading->at));
		const char *stop = newline ? newline + 1 : to;

		if (at_line_start(splice))
			begin_line(splice, (struct splice_line){reading->file, reading->line,
								(uint32_t)(reading->at - reading->line_start)});
		append(splice, reading->at, (size_t)(stop - reading->at));
		reading->at = stop;
		if (newline) {
			reading->line++;
			reading->line_start = stop;
		}
	}
}

/* Leave out what stands between the cursor and @to. */
static void skip_to(struct reading *reading, const char *to)
{
	for (; reading->at < to; reading->at++)
		if (*reading->at == '\n') {
			reading->line++;
			reading->line_start = reading->at + 1;
		}
}

/* ---- Statements ---- */

static size_t continuation(const char *at, const char *end)
{
	if (*at != '\\' || end - at < 2)
		return 0;
	if (at[1] == '\n')
		return 2;
	return end - at >= 3 && at[1] == '\r' && at[2] == '\n' ? 3 : 0;
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end) {
		size_t joined = continuation(at, end);

		if (!joined && *at != ' ' && *at != '\t' && *at != '\r')
			break;
		at += joined ? joined : 1;
	}
	return at;
}

static const char *skip_quotes(const char *at, const char *end)
{
	for (at++; at < end && *at != '"' && *at != '\n'; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at < end && *at == '"' ? at + 1 : at;
}

static bool ends_word(const char *at, const char *end)
{
	return at >= end || *at == ' ' || *at == '\t' || *at == '\r' || *at == '\n' || *at == ';' ||
	       continuation(at, end) > 0;
}

static const char *skip_word(const char *at, const char *end)
{
	while (!ends_word(at, end))
		at = *at == '"' ? skip_quotes(at, end) : at + 1;
	return at;
}

/* The end of the statement that begins at @at: its newline or semicolon, or the end of the text. */
static const char *statement_end(const char *at, const char *end)
{
	for (;;) {
		at = skip_blanks(at, end);
		if (at >= end || *at == '\n' || *at == ';')
			return at;
		if (*at == '#') {
			const char *newline = memchr(at, '\n', (size_t)(end - at));

			return newline ? newline : end;
		}
		at = skip_word(at, end);
	}
}

/* ---- Included files ---- */

static int fail_at(struct reading *reading, const char *at, const char *what)
{
	const char *newline;
	struct panbind_error error = {
		.code = -EINVAL,
		.stage = PANBIND_STAGE_PARSE,
		.op = PANBIND_NO_OP,
	};
	struct error_context context = {0};

	skip_to(reading, at);
	newline = memchr(reading->line_start, '\n', (size_t)(reading->end - reading->line_start));
	error.line = reading->line;
	error.column = (uint32_t)(at - reading->line_start) + 1;
	context.line = reading->line_start;
	context.line_size = (size_t)((newline ? newline : reading->end) - reading->line_start);
	snprintf(error.file, sizeof(error.file), "%s", reading->name);
	snprintf(error.msg, sizeof(error.msg), "%s", what);
	error_report(reading->cmd, &error, &context);
	return CMD_USAGE;
}

/* The pattern as it stands there, without its quotes and escapes; NULL when it needs the script's variables. */
static char *pattern_of(const char *at, const char *end)
{
	char *pattern = malloc((size_t)(end - at) + 1), *to = pattern;

	for (; pattern && at < end; at++) {
		if (*at == '$') {
			free(pattern);
			return NULL;
		}
		if (*at == '\\' && at + 1 < end)
			at++;
		else if (*at == '"')
			continue;
		*to++ = *at;
	}
	if (pattern)
		*to = '\0';
	return pattern;
}

/* The same rule as the parser's: seen from the folder of the file that includes. */
static char *resolve(const char *from, const char *pattern)
{
	const char *slash = strrchr(from, '/');
	char *path = NULL;

	if (pattern[0] == '/' || !slash)
		return strdup(pattern);
	return asprintf(&path, "%.*s/%s", (int)(slash - from), from, pattern) < 0 ? NULL : path;
}

static int include_file(struct reading *reading, const char *path)
{
	struct source source = {0};
	int err = source_reread(path, &source), status;

	if (err)
		return error_say(reading->cmd, CMD_USAGE, -err, "%s: %s", path, strerror(err));
	if (!at_line_start(reading->splice))
		append(reading->splice, "\n", 1);
	status = splice_text(reading->cmd, reading->splice, path, source.text, source.size, reading->depth + 1);
	if (!at_line_start(reading->splice))
		append(reading->splice, "\n", 1);
	source_free(&source);
	return status;
}

static int include_all(struct reading *reading, const char *path)
{
	glob_t matches = {0};
	int status = CMD_DONE, r = glob(path, GLOB_NOMAGIC, NULL, &matches);

	if (r != 0 && r != GLOB_NOMATCH)
		status = error_say(reading->cmd, CMD_FAILED, -EIO, "%s: cannot read the folder", path);
	for (size_t i = 0; r == 0 && i < matches.gl_pathc && !status; i++)
		status = include_file(reading, matches.gl_pathv[i]);
	globfree(&matches);
	return status;
}

/* The cursor is at the statement; @word is what follows `include`. */
static int include(struct reading *reading, const char *word, const char *end)
{
	char *pattern, *path;
	int status;

	if (reading->depth >= MAX_DEPTH)
		return fail_at(reading, word, "too many includes inside each other");
	pattern = pattern_of(word, skip_word(word, end));
	if (!pattern)
		return fail_at(reading, word, "for a daemon, the name of an included file cannot have $ in it");
	path = resolve(reading->name, pattern);
	free(pattern);
	if (!path)
		return error_say(reading->cmd, CMD_FAILED, -ENOMEM, "out of memory");
	status = include_all(reading, path);
	free(path);
	return status;
}

static size_t add_file(struct splice *splice, const char *name)
{
	char **grown = reallocarray(splice->files, splice->file_count + 1, sizeof(*grown));

	if (grown) {
		splice->files = grown;
		grown[splice->file_count] = strdup(name);
	}
	if (!grown || !grown[splice->file_count])
		splice->failed = true;
	else
		splice->file_count++;
	return splice->file_count - 1;
}

static int splice_text(struct cmd *cmd, struct splice *splice, const char *name, const char *text, size_t size,
		       int depth)
{
	static const char keyword[] = "include";
	struct reading reading = {cmd, splice, name, add_file(splice, name), text, text + size, text, 1, depth};
	int status = CMD_DONE;

	while (reading.at < reading.end && !status && !splice->failed) {
		const char *start = skip_blanks(reading.at, reading.end), *word = skip_word(start, reading.end);
		const char *stop = statement_end(reading.at, reading.end);

		if (word - start == sizeof(keyword) - 1 && memcmp(start, keyword, sizeof(keyword) - 1) == 0) {
			status = include(&reading, skip_blanks(word, reading.end), stop);
			skip_to(&reading, stop);
			if (stop < reading.end && (*stop == ';' || at_line_start(splice)))
				skip_to(&reading, stop + 1);
		} else {
			copy_to(&reading, stop < reading.end ? stop + 1 : stop);
		}
	}
	return status;
}

int splice_script(struct cmd *cmd, const struct source *source, struct splice *ret_splice)
{
	int status;

	*ret_splice = (struct splice){0};
	append(ret_splice, "", 0);
	status = splice_text(cmd, ret_splice, source->name, source->text, source->size, 0);
	if (!status && ret_splice->failed)
		status = error_say(cmd, CMD_FAILED, -ENOMEM, "%s: out of memory", source->name);
	if (status)
		splice_free(ret_splice);
	return status;
}

void splice_free(struct splice *splice)
{
	for (size_t i = 0; i < splice->file_count; i++)
		free(splice->files[i]);
	free(splice->files);
	free(splice->lines);
	free(splice->text);
	*splice = (struct splice){0};
}

bool splice_find(const struct splice *splice, uint32_t line, uint32_t column, const char **ret_file, uint32_t *ret_line,
		 uint32_t *ret_column, const char **ret_text, size_t *ret_size)
{
	const struct splice_line *found;
	const char *text = splice->text;

	if (line == 0 || line > splice->line_count)
		return false;
	found = &splice->lines[line - 1];
	for (uint32_t i = 1; i < line; i++)
		text = strchr(text, '\n') + 1;
	*ret_file = splice->files[found->file];
	*ret_line = found->line;
	*ret_column = column ? column + found->column : 0;
	*ret_text = text;
	*ret_size = strcspn(text, "\n");
	return true;
}
