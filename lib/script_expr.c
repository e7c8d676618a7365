/* SPDX-License-Identifier: MIT */
/*
 * What stands behind `$`: a name's value, or arithmetic.
 *
 * Expressions are read straight from the source, so that an error points at the very token. All values are unsigned
 * 64-bit; what would wrap is an error, since a wrapped address is a valid address of something else.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "script_parser.h"

/* A token's place, for errors that are found after it was read. */
struct place {
	uint32_t line, column;
};

#define fail_here(p, code, ...)	     pb_parser_fail(p, code, (p)->cursor.line, pb_lex_column(p), __VA_ARGS__)
#define fail_at(p, code, where, ...) pb_parser_fail(p, code, (where).line, (where).column, __VA_ARGS__)

static struct place here(const struct pb_parser *p)
{
	return (struct place){p->cursor.line, pb_lex_column(p)};
}

const struct pb_define *pb_define_find(const struct pb_parser *p, const char *name, size_t size)
{
	uint32_t id = pb_names_find(&p->define_names, name, size);

	return id != 0 && id < p->define_room && p->defines[id].set ? &p->defines[id] : NULL;
}

static int grow_defines(struct pb_parser *p, uint32_t id)
{
	uint32_t room = p->define_room ? p->define_room : 32;
	struct pb_define *grown;

	while (room <= id)
		room *= 2;
	grown = realloc(p->defines, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + p->define_room, 0, (room - p->define_room) * sizeof(*grown));
	p->defines = grown;
	p->define_room = room;
	return 0;
}

int pb_define_set(struct pb_parser *p, const char *name, size_t name_size, const char *value, size_t size,
		  bool external)
{
	uint32_t id = pb_names_intern(&p->define_names, &p->script->arena, name, name_size);
	struct pb_define *define;

	if (id == 0 || (id >= p->define_room && grow_defines(p, id) < 0))
		return -ENOMEM;
	define = &p->defines[id];
	if (define->external && !external)
		return 0;
	if (!define->value || size > define->room) {
		define->value = pb_arena_alloc(&p->script->arena, size + 16);
		if (!define->value)
			return -ENOMEM;
		define->room = size + 16;
	}
	if (size > 0)
		memmove(define->value, value, size);
	define->size = size;
	define->external = external;
	define->set = true;
	return 0;
}

/* ---- Names ---- */

static size_t ident_size(const struct pb_cursor *cursor)
{
	const char *at = cursor->at;

	while (at < cursor->end && pb_lex_is_ident((unsigned char)*at, at == cursor->at))
		at++;
	return (size_t)(at - cursor->at);
}

/* An identifier at the cursor that must have a value. */
static int read_name(struct pb_parser *p, const struct pb_define **ret_define)
{
	size_t size = ident_size(&p->cursor);
	const struct pb_define *define;

	if (size == 0)
		return fail_here(p, -EINVAL, "expected a name: letters, digits and _, a letter or _ first");
	define = pb_define_find(p, p->cursor.at, size);
	if (!define && !p->skipping)
		return fail_here(p, -EINVAL, "%.*s is not defined", (int)(size < 100 ? size : 100), p->cursor.at);
	p->cursor.at += size;
	*ret_define = define;
	return 0;
}

static int expand_name(struct pb_parser *p, bool braces)
{
	const struct pb_define *define = NULL;
	int r;

	p->cursor.at += braces;
	r = read_name(p, &define);
	if (r < 0)
		return r;
	if (braces) {
		if (p->cursor.at == p->cursor.end || *p->cursor.at != '}')
			return fail_here(p, -EINVAL, "expected } behind the name");
		p->cursor.at++;
	}
	return define ? pb_lex_append(p, define->value, define->size) : 0;
}

/* ---- Arithmetic ---- */

static void skip_blanks(struct pb_parser *p)
{
	while (p->cursor.at < p->cursor.end && (*p->cursor.at == ' ' || *p->cursor.at == '\t'))
		p->cursor.at++;
}

/* The next character of the expression, 0 at its line's end. */
static char peek(struct pb_parser *p)
{
	skip_blanks(p);
	return p->cursor.at < p->cursor.end && *p->cursor.at != '\n' ? *p->cursor.at : '\0';
}

static int evaluate(struct pb_parser *p, int level, uint32_t depth, uint64_t *ret_value);

/* "(" EXPR ")" with the cursor at the opening one. */
static int evaluate_group(struct pb_parser *p, uint32_t depth, uint64_t *ret_value)
{
	struct place open = here(p);
	int r;

	if (depth >= PB_SCRIPT_MAX_EXPR_DEPTH)
		return fail_here(p, -E2BIG, "more than %u parentheses inside each other", PB_SCRIPT_MAX_EXPR_DEPTH);
	p->cursor.at++;
	r = evaluate(p, 0, depth + 1, ret_value);
	if (r < 0)
		return r;
	if (peek(p) == '\0')
		return fail_at(p, -EINVAL, open, "this parenthesis is not closed on its line");
	if (peek(p) != ')')
		return fail_here(p, -EINVAL, "expected an operator or )");
	p->cursor.at++;
	return 0;
}

/* splitmix64: the whole state is one word, so a seed says everything. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* rand(N): 0 to N - 1. stamp(PAGE): what `bo stamp` writes. */
static int evaluate_function(struct pb_parser *p, bool is_rand, uint32_t depth, uint64_t *ret_value)
{
	struct place where;
	uint64_t argument = 0;
	int r;

	if (peek(p) != '(')
		return fail_here(p, -EINVAL, "expected ( behind %s", is_rand ? "rand" : "stamp");
	where = here(p);
	r = evaluate_group(p, depth, &argument);
	if (r < 0)
		return r;
	if (is_rand && argument == 0)
		return fail_at(p, -EINVAL, where, "rand(0) has no value to choose from");
	if (!is_rand && argument > UINT32_MAX)
		return fail_at(p, -ERANGE, where, "a stamp's page has at most 32 bits");
	*ret_value = is_rand ? (uint64_t)((unsigned __int128)next_random(&p->random) * argument >> 64)
			     : pb_stamp((uint32_t)argument);
	return 0;
}

/* A name inside an expression, with or without `$`: its value must be a number. */
static int evaluate_name(struct pb_parser *p, uint64_t *ret_value)
{
	const struct pb_define *define = NULL;
	struct place where = here(p);
	size_t size, bad;
	const char *name;
	int r;

	name = p->cursor.at;
	r = read_name(p, &define);
	if (r < 0 || !define)
		return r;
	size = (size_t)(p->cursor.at - name);
	r = pb_parse_number(define->value, define->size, ret_value, &bad);
	if (r < 0)
		return fail_at(p, r, where, "%.*s is %.*s, not a number%s", (int)(size < 40 ? size : 40), name,
			       (int)(define->size < 40 ? define->size : 40), define->value,
			       r == -ERANGE ? " of 64 bits" : "");
	return 0;
}

static int evaluate_literal(struct pb_parser *p, uint64_t *ret_value)
{
	const char *start = p->cursor.at, *at = start;
	size_t bad;
	int r;

	while (at < p->cursor.end && pb_lex_is_ident((unsigned char)*at, false))
		at++;
	r = pb_parse_number(start, (size_t)(at - start), ret_value, &bad);
	if (r == -ERANGE)
		return fail_here(p, r, "the number does not fit into 64 bits");
	p->cursor.at += r < 0 ? bad : (size_t)(at - start);
	return r < 0 ? fail_here(p, r, "bad number") : 0;
}

static int evaluate_operand(struct pb_parser *p, uint32_t depth, uint64_t *ret_value)
{
	char c = peek(p);
	size_t size;

	if (c == '(')
		return evaluate_group(p, depth, ret_value);
	if (c >= '0' && c <= '9')
		return evaluate_literal(p, ret_value);
	if (c == '$') {
		p->cursor.at++;
		return evaluate_name(p, ret_value);
	}
	size = ident_size(&p->cursor);
	if (size == 0)
		return fail_here(p, -EINVAL, "expected a number, a name or (");
	if ((size == 4 && memcmp(p->cursor.at, "rand", 4) == 0) ||
	    (size == 5 && memcmp(p->cursor.at, "stamp", 5) == 0)) {
		p->cursor.at += size;
		return evaluate_function(p, size == 4, depth, ret_value);
	}
	return evaluate_name(p, ret_value);
}

/* Binary operators, loosest level first; '<' and '>' stand for << and >>. */
static const char *const levels[] = {"|", "&", "<>", "+-", "*/%"};
#define LEVEL_COUNT ((int)PB_ARRAY_SIZE(levels))

/* Is there an operator of this level at the cursor? Steps over it. */
static char take_operator(struct pb_parser *p, int level)
{
	char c = peek(p);

	if (c == '\0' || !strchr(levels[level], c))
		return '\0';
	if (level == 2) {
		if (p->cursor.at + 1 == p->cursor.end || p->cursor.at[1] != c)
			return '\0';
		p->cursor.at++;
	}
	p->cursor.at++;
	return c;
}

static int apply(struct pb_parser *p, char op, struct place where, uint64_t a, uint64_t b, uint64_t *ret_value)
{
	bool lost = false;

	switch (op) {
	case '|':
		a |= b;
		break;
	case '&':
		a &= b;
		break;
	case '<':
		lost = b > 63 ? a != 0 : a << b >> b != a;
		a = b > 63 ? 0 : a << b;
		break;
	case '>':
		a = b > 63 ? 0 : a >> b;
		break;
	case '+':
		lost = __builtin_add_overflow(a, b, &a);
		break;
	case '-':
		if (b > a)
			return fail_at(p, -ERANGE, where, "%" PRIu64 " - %" PRIu64 " is below zero", a, b);
		a -= b;
		break;
	case '*':
		lost = __builtin_mul_overflow(a, b, &a);
		break;
	default:
		if (b == 0)
			return fail_at(p, -EINVAL, where, "division by zero");
		a = op == '/' ? a / b : a % b;
	}
	if (lost)
		return fail_at(p, -ERANGE, where, "the result does not fit into 64 bits");
	*ret_value = a;
	return 0;
}

/* Operators of @level and tighter, left to right. */
static int evaluate(struct pb_parser *p, int level, uint32_t depth, uint64_t *ret_value)
{
	uint64_t value, right;
	int r;

	if (level == LEVEL_COUNT)
		return evaluate_operand(p, depth, ret_value);
	r = evaluate(p, level + 1, depth, &value);
	while (r >= 0) {
		struct place where;
		char op;

		skip_blanks(p);
		where = here(p);
		op = take_operator(p, level);
		if (op == '\0')
			break;
		r = evaluate(p, level + 1, depth, &right);
		if (r >= 0)
			r = apply(p, op, where, value, right, &value);
	}
	if (r >= 0)
		*ret_value = value;
	return r;
}

/* "$(" ... ")" that nobody wants the value of. */
static int skip_group(struct pb_parser *p)
{
	struct place open = here(p);
	uint32_t depth = 0;

	for (;; p->cursor.at++) {
		if (p->cursor.at == p->cursor.end || *p->cursor.at == '\n')
			return fail_at(p, -EINVAL, open, "this parenthesis is not closed on its line");
		if (*p->cursor.at == '(')
			depth++;
		if (*p->cursor.at == ')' && --depth == 0)
			break;
	}
	p->cursor.at++;
	return 0;
}

static int expand_group(struct pb_parser *p)
{
	uint64_t value;
	char digits[24];
	int r;

	if (p->skipping)
		return skip_group(p);
	r = evaluate_group(p, 0, &value);
	if (r < 0)
		return r;
	r = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	return pb_lex_append(p, digits, (size_t)r);
}

int pb_expr_expand(struct pb_parser *p)
{
	char c = p->cursor.at + 1 < p->cursor.end ? p->cursor.at[1] : '\0';

	if (c != '(' && c != '{' && !pb_lex_is_ident((unsigned char)c, true))
		return fail_here(p, -EINVAL,
				 "$ begins $NAME, ${NAME} or $(EXPRESSION); write \"\\$\" for the character");
	p->cursor.at++;
	return c == '(' ? expand_group(p) : expand_name(p, c == '{');
}
