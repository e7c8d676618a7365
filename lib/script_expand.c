/* SPDX-License-Identifier: MIT */
/*
 * The loop over a source's statements: directives are carried out here, all else becomes a command.
 *
 * A repeat is a place to go back to: its lines are read again in each round, so that $NAME and rand() are new each
 * time. What may be read in all is bounded, since three nested repeats are a long time in three lines.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "script_parser.h"

struct repeat {
	struct pb_cursor body;
	struct pb_word where; /* the word "repeat" */
	uint64_t count, round;
	const char *name; /* in the arena, NULL when there is none */
	size_t name_size;
};

/* The repeats that are open in one source. */
struct repeats {
	struct repeat open[PB_SCRIPT_MAX_REPEAT_DEPTH];
	uint32_t depth;
};

static int fail_memory(struct pb_parser *p, const struct pb_word *word)
{
	p->fatal = true;
	return pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
}

static int charge(struct pb_parser *p, uint64_t steps, const struct pb_word *word)
{
	p->steps += steps;
	if (p->steps <= p->limits->steps)
		return 0;
	p->fatal = true;
	return pb_parser_fail_word(p, -E2BIG, word, 0, "the script expands to more than %" PRIu64 " lines",
				   p->limits->steps);
}

static int need_words(struct pb_parser *p, size_t least, size_t most, const char *usage)
{
	const struct pb_word *last = &p->words[p->word_count - 1];

	if (p->word_count < least)
		return pb_parser_fail_word(p, -EINVAL, last, last->size, "too few words: %s", usage);
	if (p->word_count > most)
		return pb_parser_fail_word(p, -EINVAL, &p->words[most], 0, "too many words: %s", usage);
	return 0;
}

static int check_ident(struct pb_parser *p, const struct pb_word *word)
{
	bool good = word->size > 0 && word->size <= 128;

	for (size_t i = 0; good && i < word->size; i++)
		good = pb_lex_is_ident((unsigned char)word->text[i], i == 0);
	if (good && !pb_word_is(word, "rand") && !pb_word_is(word, "stamp"))
		return 0;
	return pb_parser_fail_word(p, -EINVAL, word, 0, "this cannot be defined: a name has letters, digits and _");
}

static int run_define(struct pb_parser *p)
{
	const struct pb_word *words = p->words;
	int r = need_words(p, 3, 3, "define NAME VALUE");

	if (r >= 0)
		r = check_ident(p, &words[1]);
	if (r < 0)
		return r;
	r = pb_define_set(p, words[1].text, words[1].size, words[2].text, words[2].size, false);
	return r < 0 ? fail_memory(p, &words[1]) : 0;
}

static int run_seed(struct pb_parser *p)
{
	int r = need_words(p, 2, 2, "seed N");

	return r < 0 ? r : pb_word_number(p, &p->words[1], 0, &p->random);
}

/* ---- repeat ---- */

/* Is the statement this directive? Looks at no more than its first word. */
static bool statement_is(const struct pb_parser *p, const char *word)
{
	return p->word_count > 0 && pb_word_is(&p->words[0], word);
}

/* Go on behind the `end` that belongs to a repeat of no rounds. */
static int skip_body(struct pb_parser *p, const struct pb_word *where)
{
	uint32_t depth = 1;
	int r = 1;

	p->skipping = true;
	while (depth > 0 && r > 0) {
		r = pb_lex_statement(p);
		if (r <= 0)
			break;
		depth += statement_is(p, "repeat");
		depth -= statement_is(p, "end");
	}
	p->skipping = false;
	if (r == 0)
		return pb_parser_fail_word(p, -EINVAL, where, 0, "this repeat has no end");
	return r < 0 ? r : 0;
}

static int set_counter(struct pb_parser *p, const struct repeat *repeat)
{
	char digits[24];
	int n;

	if (!repeat->name)
		return 0;
	n = snprintf(digits, sizeof(digits), "%" PRIu64, repeat->round);
	if (pb_define_set(p, repeat->name, repeat->name_size, digits, (size_t)n, false) < 0)
		return fail_memory(p, &repeat->where);
	return 0;
}

static int parse_repeat(struct pb_parser *p, struct repeat *repeat)
{
	const struct pb_word *words = p->words;
	int r = need_words(p, 2, 3, "repeat COUNT [NAME]");

	if (r >= 0)
		r = pb_word_number(p, &words[1], 0, &repeat->count);
	if (r < 0 || p->word_count == 2)
		return r;
	r = check_ident(p, &words[2]);
	if (r < 0)
		return r;
	repeat->name = pb_arena_copy(&p->script->arena, words[2].text, words[2].size);
	repeat->name_size = words[2].size;
	return repeat->name ? 0 : fail_memory(p, &words[2]);
}

static int run_repeat(struct pb_parser *p, struct repeats *repeats)
{
	struct repeat repeat = {.where = p->words[0]};
	int r = parse_repeat(p, &repeat), skipped;

	if (r >= 0 && repeat.count > 0 && repeats->depth == PB_SCRIPT_MAX_REPEAT_DEPTH)
		r = pb_parser_fail_word(p, -E2BIG, &p->words[0], 0, "more than %u repeats inside each other",
					PB_SCRIPT_MAX_REPEAT_DEPTH);
	if (r < 0 || repeat.count == 0) {
		/* A bad repeat takes its body with it, so that its `end` is not one more error. */
		struct panbind_error first = p->error;

		if (r < 0 && !(p->options && (p->options->flags & PANBIND_SCRIPT_KEEP_GOING)))
			return r;
		skipped = skip_body(p, &repeat.where);
		if (r < 0)
			p->error = first;
		return r < 0 ? r : skipped;
	}
	repeat.body = p->cursor;
	repeats->open[repeats->depth++] = repeat;
	return set_counter(p, &repeat);
}

static int run_end(struct pb_parser *p, struct repeats *repeats)
{
	struct repeat *repeat;
	int r = need_words(p, 1, 1, "end");

	if (repeats->depth == 0)
		return pb_parser_fail_word(p, -EINVAL, &p->words[0], 0, "end without a repeat");
	repeat = &repeats->open[repeats->depth - 1];
	if (++repeat->round == repeat->count) {
		repeats->depth--;
		return r;
	}
	if (r >= 0)
		r = charge(p, 1 + (uint64_t)(p->cursor.at - repeat->body.at) / 64, &p->words[0]);
	p->cursor = repeat->body;
	return r < 0 ? r : set_counter(p, repeat);
}

/* ---- Commands ---- */

/* A wait or signal among the words, for the place of an error. */
static const struct pb_word *find_sync_option(const struct pb_parser *p)
{
	for (size_t i = 0; i < p->word_count; i++) {
		const struct pb_word *word = &p->words[i];

		if ((word->size >= 6 && memcmp(word->text, "--wait", 6) == 0) ||
		    (word->size >= 8 && memcmp(word->text, "--signal", 8) == 0))
			return word;
	}
	return &p->words[0];
}

static int check_async(struct pb_parser *p, const struct pb_command *command, const struct pb_word *word)
{
	if (!(pb_verbs[command->verb].flags & PB_VERB_ASYNC))
		return pb_parser_fail_word(p, -EINVAL, word, 0, "not possible between begin %s and commit",
					   p->block == PB_BLOCK_FENCED ? "fenced" : "async");
	if (command->verb == PB_VERB_COMMIT || command->verb == PB_VERB_ROLLBACK)
		return 0;
	if (command->expect)
		return pb_parser_fail_word(p, -EINVAL, word, 0,
					   "an asynchronous bind fails whole: expect its commit to");
	if (p->block == PB_BLOCK_FENCED && (command->extra || command->verb == PB_VERB_SYNC_ONLY))
		return pb_parser_fail_word(p, -EINVAL, find_sync_option(p), 0,
					   "in a fenced block the waits and signals are those of its begin");
	if (p->async_vm == 0)
		p->async_vm = command->name;
	if (command->name != p->async_vm)
		return pb_parser_fail_word(p, -EINVAL, word, 0,
					   "one begin %s is one VM_BIND of one VM, and it has %.40s already",
					   p->block == PB_BLOCK_FENCED ? "fenced" : "async",
					   pb_script_name(p->script, p->async_vm));
	return 0;
}

/* Blocks are known while parsing, since a script has no conditions. */
static int check_block(struct pb_parser *p, const struct pb_command *command, const struct pb_word *word)
{
	bool ends = command->verb == PB_VERB_COMMIT || command->verb == PB_VERB_ROLLBACK;

	if (p->block == PB_BLOCK_ASYNC || p->block == PB_BLOCK_FENCED)
		return check_async(p, command, word);
	if (command->verb == PB_VERB_BEGIN && p->block != PB_BLOCK_NONE)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "begin inside the block that began at line %" PRIu32,
					   p->block_begin.line);
	if (ends && p->block == PB_BLOCK_NONE)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "%s without begin", pb_verbs[command->verb].words[0]);
	if (command->verb == PB_VERB_SYNC_ONLY)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "sync-only stands between begin async and commit");
	if (command->verb != PB_VERB_BEGIN && command->options & (PB_OPT_WAIT | PB_OPT_SIGNAL))
		return pb_parser_fail_word(p, -EINVAL, find_sync_option(p), 0,
					   "waits and signals stand in begin async blocks only");
	return 0;
}

static void enter_block(struct pb_parser *p, const struct pb_command *command)
{
	struct panbind_script *script = p->script;

	if (command->verb == PB_VERB_COMMIT || command->verb == PB_VERB_ROLLBACK)
		p->block = PB_BLOCK_NONE;
	if (command->verb != PB_VERB_BEGIN)
		return;
	p->block = command->options & PB_OPT_FENCED  ? PB_BLOCK_FENCED
		   : command->options & PB_OPT_ASYNC ? PB_BLOCK_ASYNC
						     : PB_BLOCK_TXN;
	p->block_begin = *command;
	p->async_vm = 0;
	script->has_blocks = true;
	if (p->block == PB_BLOCK_TXN && script->first_begin == 0)
		script->first_begin = script->count;
}

/* `expect ERRNO` in front of a command. */
static int parse_expect(struct pb_parser *p, uint8_t *ret_expect)
{
	const struct pb_word *word = &p->words[1];
	char name[32];
	int err;

	if (p->word_count < 3)
		return need_words(p, 3, SIZE_MAX, "expect ERRNO COMMAND");
	snprintf(name, sizeof(name), "%.*s", (int)(word->size < 31 ? word->size : 31), word->text);
	err = panbind_errno_from_name(name);
	if (err <= 0 || err > UINT8_MAX)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "%s is not the name of an errno", name);
	*ret_expect = (uint8_t)err;
	return 0;
}

static int run_command(struct pb_parser *p, enum pb_verb verb, size_t next)
{
	struct pb_command command;
	uint8_t expect = 0;
	size_t first = 0;
	int r = 0;

	if (verb == PB_VERB_EXPECT) {
		first = 2;
		r = parse_expect(p, &expect);
		if (r >= 0)
			r = pb_command_find(p, first, &verb, &next);
		if (r >= 0 && (pb_verbs[verb].flags & PB_VERB_NO_EXPECT))
			r = pb_parser_fail_word(p, -EINVAL, &p->words[2], 0, "%s cannot be expected to fail",
						pb_verbs[verb].words[0]);
	}
	if (r >= 0)
		r = pb_command_parse(p, verb, first, next, &command);
	if (r < 0)
		return r;
	command.expect = expect;
	r = check_block(p, &command, &p->words[first]);
	if (r >= 0)
		r = pb_parser_push(p, &command);
	if (r >= 0)
		enter_block(p, &command);
	return r;
}

static int run_statement(struct pb_parser *p, struct repeats *repeats)
{
	enum pb_verb verb = PB_VERB_COUNT;
	size_t next = 0;
	int r = charge(p, 1, &p->words[0]);

	if (r >= 0)
		r = pb_command_find(p, 0, &verb, &next);
	if (r < 0)
		return r;
	switch (verb) {
	case PB_VERB_DEFINE:
		return run_define(p);
	case PB_VERB_SEED:
		return run_seed(p);
	case PB_VERB_INCLUDE:
		r = need_words(p, 2, 2, "include GLOB");
		return r < 0 ? r : pb_include(p, &p->words[1]);
	case PB_VERB_REPEAT:
		return run_repeat(p, repeats);
	case PB_VERB_END:
		return run_end(p, repeats);
	default:
		return run_command(p, verb, next);
	}
}

static void start_source(struct pb_parser *p, uint16_t source)
{
	const struct pb_source *s = &p->script->sources[source];

	p->source = source;
	p->cursor = (struct pb_cursor){.at = s->text, .end = s->text + s->size, .line_start = s->text, .line = 1};
}

int pb_expand_source(struct pb_parser *p, uint16_t source)
{
	pb_autofree struct repeats *repeats = calloc(1, sizeof(*repeats));
	int r;

	start_source(p, source);
	if (!repeats)
		return pb_parser_fail(p, -ENOMEM, 1, 1, "out of memory");
	for (;;) {
		bool lexed;

		r = pb_lex_statement(p);
		if (r == 0)
			break;
		lexed = r > 0;
		if (lexed)
			r = run_statement(p, repeats);
		if (r >= 0)
			continue;
		r = pb_parser_record(p);
		if (r < 0)
			return r;
		if (!lexed)
			pb_lex_skip_line(p);
	}
	if (repeats->depth == 0)
		return 0;
	pb_parser_fail_word(p, -EINVAL, &repeats->open[repeats->depth - 1].where, 0, "this repeat has no end");
	return pb_parser_record(p);
}
