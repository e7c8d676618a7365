/* SPDX-License-Identifier: MIT */
/*
 * Words to a command, by the table.
 *
 * Nothing here knows a single command by name: what an argument may be and where its value goes stands in the row.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "script_parser.h"

/* A command while its words are read. */
struct draft {
	struct pb_command command;
	const struct pb_verb_spec *spec;
	size_t arg; /* the next positional one */
	struct pb_sync_ref *syncs;
	uint32_t sync_count;
	char *text;
	size_t text_size;
};

/* A message has no room for a long word. */
#define SHOWN(word) (int)((word)->size < 40 ? (word)->size : 40), (word)->text

bool pb_word_is(const struct pb_word *word, const char *text)
{
	return strlen(text) == word->size && memcmp(word->text, text, word->size) == 0;
}

static int fail_unknown(struct pb_parser *p, size_t first, bool known_noun)
{
	const struct pb_word *word = &p->words[first];
	char choices[80] = "";
	size_t used = 0;

	if (!known_noun)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "unknown command %.*s", SHOWN(word));
	for (size_t i = 0; i < PB_VERB_COUNT; i++) {
		int n;

		if (!pb_word_is(word, pb_verbs[i].words[0]))
			continue;
		n = snprintf(choices + used, sizeof(choices) - used, " %s", pb_verbs[i].words[1]);
		used += n > 0 && (size_t)n < sizeof(choices) - used ? (size_t)n : 0;
	}
	if (first + 1 < p->word_count)
		word++;
	return pb_parser_fail_word(p, -EINVAL, word, 0, "%.*s takes one of:%s", SHOWN(&p->words[first]), choices);
}

int pb_command_find(struct pb_parser *p, size_t first, enum pb_verb *ret_verb, size_t *ret_next)
{
	const struct pb_word *word = &p->words[first];
	bool known_noun = false;

	for (size_t i = 0; i < PB_VERB_COUNT; i++) {
		const char *const *words = pb_verbs[i].words;

		if (words[0][0] != word->text[0] || word->size == 0 || !pb_word_is(word, words[0]))
			continue;
		known_noun = true;
		if (words[1] && (first + 1 == p->word_count || !pb_word_is(word + 1, words[1])))
			continue;
		*ret_verb = (enum pb_verb)i;
		*ret_next = first + (words[1] ? 2 : 1);
		return 0;
	}
	return fail_unknown(p, first, known_noun);
}

int pb_word_number(struct pb_parser *p, const struct pb_word *word, size_t offset, uint64_t *ret_value)
{
	size_t bad;
	int r = pb_parse_number(word->text + offset, word->size - offset, ret_value, &bad);

	if (r == -ERANGE)
		return pb_parser_fail_word(p, r, word, offset, "%.*s does not fit into 64 bits", SHOWN(word));
	if (r < 0)
		return pb_parser_fail_word(p, r, word, offset + bad, "%.*s is not a number or size", SHOWN(word));
	return 0;
}

/* The first @size bytes of @word as a name. */
static int word_name(struct pb_parser *p, const struct pb_word *word, size_t size, const char *label,
		     uint32_t *ret_name)
{
	if (!pb_is_name(word->text, size))
		return pb_parser_fail_word(p, -EINVAL, word, 0, "expected a name for %s, not %.*s", label, SHOWN(word));
	*ret_name = pb_names_intern(&p->script->names, &p->script->arena, word->text, size);
	return *ret_name ? 0 : pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
}

static size_t find_char(const struct pb_word *word, char c)
{
	const char *at = word->size > 0 ? memchr(word->text, c, word->size) : NULL;

	return at ? (size_t)(at - word->text) : word->size;
}

/* BO or BO+OFF: the offset goes into `value`. */
static int word_bo_offset(struct pb_parser *p, struct draft *draft, const struct pb_word *word)
{
	size_t plus = find_char(word, '+');
	int r = word_name(p, word, plus, "BO", &draft->command.other);

	if (r < 0 || plus == word->size)
		return r;
	return pb_word_number(p, word, plus + 1, &draft->command.value);
}

/* NAME or NAME:POINT. */
static int word_point(struct pb_parser *p, struct draft *draft, const struct pb_word *word, bool signal)
{
	struct pb_sync_ref *sync;
	size_t colon = find_char(word, ':');
	int r;

	if (!draft->syncs)
		draft->syncs = pb_arena_alloc(&p->scratch, p->word_count * sizeof(*draft->syncs));
	if (!draft->syncs)
		return pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
	sync = &draft->syncs[draft->sync_count];
	*sync = (struct pb_sync_ref){.signal = signal};
	r = word_name(p, word, colon, "a syncobj", &sync->name);
	if (r >= 0 && colon < word->size)
		r = pb_word_number(p, word, colon + 1, &sync->point);
	draft->sync_count += r >= 0;
	return r;
}

/* Texts of several words are joined with single blanks. */
static int word_text(struct pb_parser *p, struct draft *draft, const struct pb_word *word)
{
	size_t gap = draft->text ? 1 : 0;
	char *text = pb_arena_alloc(&p->scratch, draft->text_size + gap + word->size + 1);

	if (!text)
		return pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
	if (draft->text)
		memcpy(text, draft->text, draft->text_size);
	if (gap)
		text[draft->text_size] = ' ';
	if (word->size > 0)
		memcpy(text + draft->text_size + gap, word->text, word->size);
	draft->text = text;
	draft->text_size += gap + word->size;
	return 0;
}

static int word_choice(struct pb_parser *p, const struct pb_word *word, const char *const *choices, const char *label,
		       uint64_t *ret_value)
{
	for (uint64_t i = 0; choices[i]; i++)
		if (pb_word_is(word, choices[i])) {
			*ret_value = i;
			return 0;
		}
	return pb_parser_fail_word(p, -EINVAL, word, 0, "expected %s, not %.*s", label, SHOWN(word));
}

static uint64_t *number_field(struct pb_command *command, uint8_t field)
{
	return field == PB_FIELD_VA ? &command->va : field == PB_FIELD_SIZE ? &command->size : &command->value;
}

static uint32_t *name_field(struct pb_command *command, uint8_t field)
{
	return field == PB_FIELD_OTHER ? &command->other : &command->name;
}

/* One argument; @word is what stands for it, @signal only matters for PB_TYPE_POINT. */
static int parse_arg(struct pb_parser *p, struct draft *draft, const struct pb_arg_spec *arg,
		     const struct pb_word *word, bool signal)
{
	static const char *const states[] = {"usable", "unusable", "poisoned", NULL};
	static const char *const switches[] = {"off", "on", NULL};
	static const char *const async[] = {"async", "fenced", NULL};
	struct pb_command *command = &draft->command;
	uint64_t word_index = 0;
	int r;

	switch (arg->type) {
	case PB_TYPE_NUMBER:
		return pb_word_number(p, word, 0, number_field(command, arg->field));
	case PB_TYPE_BO_OFFSET:
		return word_bo_offset(p, draft, word);
	case PB_TYPE_POINT:
		return word_point(p, draft, word, signal);
	case PB_TYPE_TEXT:
		return word_text(p, draft, word);
	case PB_TYPE_STATE:
		return word_choice(p, word, states, arg->label, &command->value);
	case PB_TYPE_SWITCH:
		return word_choice(p, word, switches, arg->label, &command->value);
	case PB_TYPE_ASYNC:
		r = word_choice(p, word, async, arg->label, &word_index);
		command->options |= word_index == 0 ? PB_OPT_ASYNC : PB_OPT_ASYNC | PB_OPT_FENCED;
		return r;
	default:
		return word_name(p, word, word->size, arg->label, name_field(command, arg->field));
	}
}

static const struct pb_option_spec *find_option(const struct pb_verb_spec *spec, const struct pb_word *word,
						size_t size)
{
	for (size_t i = 0; i < pb_option_count; i++) {
		const struct pb_option_spec *option = &pb_options[i];

		if ((spec->options & option->bit) && strlen(option->name) == size &&
		    memcmp(option->name, word->text, size) == 0)
			return option;
	}
	return NULL;
}

static int parse_option(struct pb_parser *p, struct draft *draft, const struct pb_word *word)
{
	size_t equals = find_char(word, '=');
	const struct pb_option_spec *option = find_option(draft->spec, word, equals);
	struct pb_word value = *word;

	if (!option)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "this command has no option %.*s", SHOWN(word));
	if ((draft->command.options & option->bit) && option->arg.type != PB_TYPE_POINT)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "%s is given twice", option->name);
	if ((option->arg.type != PB_TYPE_NONE) != (equals < word->size))
		return pb_parser_fail_word(p, -EINVAL, word, 0, "%s %s", option->name,
					   equals < word->size ? "takes no value" : "needs a value behind =");
	draft->command.options |= option->bit;
	if (option->arg.type == PB_TYPE_NONE)
		return 0;
	value.text += equals + 1;
	value.size -= (uint32_t)equals + 1;
	value.column += value.plain ? (uint32_t)equals + 1 : 0;
	return parse_arg(p, draft, &option->arg, &value, option->bit == PB_OPT_SIGNAL);
}

static const struct pb_arg_spec *next_arg(const struct draft *draft)
{
	const struct pb_arg_spec *arg = &draft->spec->args[draft->arg];

	return draft->arg < PB_ARRAY_SIZE(draft->spec->args) && arg->type != PB_TYPE_NONE ? arg : NULL;
}

static int parse_word(struct pb_parser *p, struct draft *draft, const struct pb_word *word)
{
	const struct pb_arg_spec *arg = next_arg(draft);
	bool dashes = word->size >= 2 && word->text[0] == '-' && word->text[1] == '-' && !word->quoted;
	int r;

	if (dashes && !(arg && arg->type == PB_TYPE_TEXT))
		return parse_option(p, draft, word);
	if (!arg)
		return pb_parser_fail_word(p, -EINVAL, word, 0, "%.*s is one word too many", SHOWN(word));
	r = parse_arg(p, draft, arg, word, false);
	if (!(arg->flags & PB_ARG_REPEATED))
		draft->arg++;
	return r;
}

static int check_complete(struct pb_parser *p, const struct draft *draft, enum pb_verb verb)
{
	const struct pb_arg_spec *arg = next_arg(draft);
	const struct pb_word *last = &p->words[p->word_count - 1];
	bool repeated_given = arg && (arg->flags & PB_ARG_REPEATED) && (draft->text || draft->sync_count > 0);
	char usage[100];

	if (verb == PB_VERB_SYNC_ONLY && draft->sync_count == 0)
		return pb_parser_fail_word(p, -EINVAL, last, last->size, "sync-only needs a --wait or a --signal");
	if (verb == PB_VERB_BEGIN && draft->sync_count > 0 && !(draft->command.options & PB_OPT_FENCED))
		return pb_parser_fail_word(p, -EINVAL, last, 0,
					   "waits and signals around a block are those of begin fenced");
	if (!arg || (arg->flags & PB_ARG_OPTIONAL) || repeated_given)
		return 0;
	pb_verb_usage(verb, usage, sizeof(usage));
	if (strstr(usage, " [--")) /* the options are not what is missing */
		*strstr(usage, " [--") = '\0';
	return pb_parser_fail_word(p, -EINVAL, last, last->size, "%s is missing: %s", arg->label, usage);
}

/* Move what was collected in scratch memory to where the script keeps it. */
static int keep_extra(struct pb_parser *p, struct draft *draft, const struct pb_word *word)
{
	struct pb_command_extra *extra;

	if (!draft->text && draft->sync_count == 0)
		return 0;
	extra = pb_arena_alloc(&p->script->arena, sizeof(*extra) + draft->sync_count * sizeof(extra->syncs[0]));
	if (!extra)
		return pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
	*extra = (struct pb_command_extra){.sync_count = draft->sync_count};
	if (draft->sync_count > 0)
		memcpy(extra->syncs, draft->syncs, draft->sync_count * sizeof(extra->syncs[0]));
	if (draft->text)
		extra->text = pb_arena_copy(&p->script->arena, draft->text, draft->text_size);
	if (draft->text && !extra->text)
		return pb_parser_fail_word(p, -ENOMEM, word, 0, "out of memory");
	draft->command.extra = extra;
	return 0;
}

int pb_command_parse(struct pb_parser *p, enum pb_verb verb, size_t first, size_t next, struct pb_command *ret_command)
{
	const struct pb_word *word = &p->words[first];
	struct draft draft = {.spec = &pb_verbs[verb]};
	int r = 0;

	for (size_t i = next; r >= 0 && i < p->word_count; i++)
		r = parse_word(p, &draft, &p->words[i]);
	if (r >= 0)
		r = check_complete(p, &draft, verb);
	if (r >= 0)
		r = keep_extra(p, &draft, word);
	if (r < 0)
		return r;
	draft.command.verb = (uint8_t)verb;
	draft.command.source = p->source;
	draft.command.line = word->line;
	draft.command.column = word->column;
	*ret_command = draft.command;
	return 0;
}
