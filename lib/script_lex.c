/* SPDX-License-Identifier: MIT */
/*
 * The lexer: text to the words of one statement.
 *
 * A word that stands in the source as it is, which is nearly every word, is a pointer into the source. Only words with
 * quotes, `$` or escapes are put together in a buffer.
 */
#include <errno.h>
#include <string.h>

#include "script_parser.h"

enum { PLAIN = 0, BLANK, ENDS, QUOTE, DOLLAR, BACKSLASH, CONTROL };

/* Every character of a script is looked up here, most of them to find that they are PLAIN. */
static const uint8_t classes[256] = {
	[0 ... 8] = CONTROL, ['\t'] = BLANK,	    ['\n'] = ENDS,	[11 ... 12] = CONTROL,
	['\r'] = BLANK,	     [14 ... 31] = CONTROL, [' '] = BLANK,	['"'] = QUOTE,
	['$'] = DOLLAR,	     [';'] = ENDS,	    ['\\'] = BACKSLASH, [127] = CONTROL,
};

static int char_class(unsigned char c)
{
	return classes[c];
}

uint32_t pb_lex_column(const struct pb_parser *p)
{
	return (uint32_t)(p->cursor.at - p->cursor.line_start) + 1;
}

bool pb_lex_is_ident(unsigned char c, bool first)
{
	return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || (!first && c >= '0' && c <= '9');
}

#define fail_here(p, code, ...) pb_parser_fail(p, code, (p)->cursor.line, pb_lex_column(p), __VA_ARGS__)

static void next_line(struct pb_cursor *cursor)
{
	cursor->line_start = ++cursor->at;
	cursor->line++;
}

void pb_lex_skip_line(struct pb_parser *p)
{
	struct pb_cursor *cursor = &p->cursor;
	const char *newline = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));

	cursor->at = newline ? newline : cursor->end;
	if (newline)
		next_line(cursor);
}

/* The size of "\<newline>" at the cursor, 0 when there is none. */
static size_t continuation(const struct pb_cursor *cursor)
{
	size_t left = (size_t)(cursor->end - cursor->at);

	if (left >= 2 && cursor->at[1] == '\n')
		return 2;
	if (left >= 3 && cursor->at[1] == '\r' && cursor->at[2] == '\n')
		return 3;
	return 0;
}

int pb_lex_append(struct pb_parser *p, const char *text, size_t size)
{
	if (p->buffer_size + size > PB_SCRIPT_MAX_WORD)
		return fail_here(p, -E2BIG, "a word is longer than %u bytes", PB_SCRIPT_MAX_WORD);
	if (p->buffer_size + size > p->buffer_room) {
		size_t room = (p->buffer_size + size) * 2;
		char *grown = realloc(p->buffer, room);

		if (!grown)
			return fail_here(p, -ENOMEM, "out of memory");
		p->buffer = grown;
		p->buffer_room = room;
	}
	if (size > 0)
		memcpy(p->buffer + p->buffer_size, text, size);
	p->buffer_size += size;
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* A backslash inside quotes, at the cursor. */
static int lex_escape(struct pb_parser *p)
{
	struct pb_cursor *cursor = &p->cursor;
	size_t left = (size_t)(cursor->end - cursor->at), used = 2;
	char c = left >= 2 ? cursor->at[1] : '\0';
	int r;

	if (c == 'n') {
		c = '\n';
	} else if (c == 't') {
		c = '\t';
	} else if (c == 'x' && left >= 4 && hex_digit(cursor->at[2]) >= 0 && hex_digit(cursor->at[3]) >= 0) {
		c = (char)(hex_digit(cursor->at[2]) << 4 | hex_digit(cursor->at[3]));
		used = 4;
		if (c == '\0')
			return fail_here(p, -EINVAL, "a text cannot hold the byte 0");
	} else if (c != '"' && c != '\\' && c != '$') {
		return fail_here(p, -EINVAL, "unknown escape; there are \\\" \\\\ \\$ \\n \\t and \\xHH");
	}
	r = pb_lex_append(p, &c, 1);
	cursor->at += used;
	return r;
}

/* From the opening quote to behind the closing one. */
static int lex_quotes(struct pb_parser *p)
{
	struct pb_cursor *cursor = &p->cursor;
	uint32_t column = pb_lex_column(p);
	int r = 0;

	for (cursor->at++; r >= 0 && cursor->at < cursor->end && *cursor->at != '\n';) {
		const char *start = cursor->at;

		if (*start == '"') {
			cursor->at++;
			return 0;
		}
		if (*start == '\\') {
			r = lex_escape(p);
		} else if (*start == '$') {
			r = pb_expr_expand(p);
		} else if (char_class((unsigned char)*start) == CONTROL) {
			r = fail_here(p, -EINVAL, "a control character; write it as \\xHH");
		} else {
			cursor->at++;
			r = pb_lex_append(p, start, 1);
		}
	}
	return r < 0 ? r : pb_parser_fail(p, -EINVAL, cursor->line, column, "this quote is not closed on its line");
}

static const char *plain_end(const struct pb_cursor *cursor)
{
	const char *at = cursor->at;

	while (at < cursor->end && char_class((unsigned char)*at) == PLAIN)
		at++;
	return at;
}

static bool word_ends(const struct pb_cursor *cursor)
{
	int class;

	if (cursor->at == cursor->end)
		return true;
	class = char_class((unsigned char)*cursor->at);
	return class == BLANK || class == ENDS || (class == BACKSLASH && continuation(cursor) > 0);
}

/* The slow way: put the word together piece by piece. */
static int lex_pieces(struct pb_parser *p, struct pb_word *word)
{
	struct pb_cursor *cursor = &p->cursor;
	int r = 0;

	p->buffer_size = 0;
	while (r >= 0 && !word_ends(cursor)) {
		const char *start = cursor->at;

		switch (char_class((unsigned char)*start)) {
		case QUOTE:
			r = lex_quotes(p);
			break;
		case DOLLAR:
			r = pb_expr_expand(p);
			break;
		case PLAIN:
			cursor->at = plain_end(cursor);
			r = pb_lex_append(p, start, (size_t)(cursor->at - start));
			break;
		case BACKSLASH:
			return fail_here(p, -EINVAL, "a backslash stands only at the end of a line and inside quotes");
		default:
			return fail_here(p, -EINVAL, "a control character (0x%02x)", (unsigned char)*start);
		}
	}
	if (r < 0)
		return r;
	word->text = pb_arena_copy(&p->scratch, p->buffer, p->buffer_size);
	word->size = (uint32_t)p->buffer_size;
	return word->text ? 0 : fail_here(p, -ENOMEM, "out of memory");
}

static int lex_word(struct pb_parser *p)
{
	struct pb_cursor *cursor = &p->cursor;
	struct pb_word *word = &p->words[p->word_count];
	const char *start = cursor->at;
	int r;

	if (p->word_count == PB_SCRIPT_MAX_WORDS)
		return fail_here(p, -E2BIG, "more than %u words in a command", PB_SCRIPT_MAX_WORDS);
	*word = (struct pb_word){.text = start, .line = cursor->line, .column = pb_lex_column(p)};
	word->quoted = *start == '"';
	cursor->at = plain_end(cursor);
	if (word_ends(cursor)) {
		word->plain = true;
		word->size = (uint32_t)(cursor->at - start);
		if (word->size > PB_SCRIPT_MAX_WORD)
			return fail_here(p, -E2BIG, "a word is longer than %u bytes", PB_SCRIPT_MAX_WORD);
	} else {
		cursor->at = start;
		r = lex_pieces(p, word);
		if (r < 0)
			return r;
	}
	p->word_count++;
	return 0;
}

/* Blanks, continuations and a comment: everything between words of one statement. */
static void skip_blanks(struct pb_cursor *cursor)
{
	while (cursor->at < cursor->end) {
		int class = char_class((unsigned char)*cursor->at);
		size_t joined = class == BACKSLASH ? continuation(cursor) : 0;

		if (joined > 0) {
			cursor->at += joined - 1;
			next_line(cursor);
		} else if (class == BLANK) {
			cursor->at++;
		} else if (*cursor->at == '#') {
			const char *newline = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));

			cursor->at = newline ? newline : cursor->end;
		} else {
			return;
		}
	}
}

int pb_lex_statement(struct pb_parser *p)
{
	struct pb_cursor *cursor = &p->cursor;
	int r;

	p->word_count = 0;
	if (p->scratch.blocks)
		pb_arena_reset(&p->scratch);
	for (;;) {
		skip_blanks(cursor);
		if (cursor->at == cursor->end)
			return p->word_count > 0;
		if (char_class((unsigned char)*cursor->at) == ENDS) {
			if (*cursor->at == '\n')
				next_line(cursor);
			else
				cursor->at++;
			if (p->word_count > 0)
				return 1;
			continue;
		}
		r = lex_word(p);
		if (r < 0)
			return r;
	}
}
