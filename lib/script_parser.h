/* SPDX-License-Identifier: MIT */
/*
 * What the rooms of the parser share: the arena, interned names, the lexer's words, the parser's state.
 *
 * The way of a line: script_lex.c cuts it into words, with $NAME and $(EXPR) put in by script_expr.c; script.c looks
 * whether it is a directive (script_expand.c) or a command (script_command.c), which the table of script_table.c
 * describes.
 */
#ifndef PB_SCRIPT_PARSER_H
#define PB_SCRIPT_PARSER_H

#include "internal.h"
#include "script.h"

/* ---- script_arena.c ---- */

struct pb_arena_block;

/** Memory that is freed all at once. Zero-initialised is empty. */
struct pb_arena {
	struct pb_arena_block *blocks;
	char *next, *end;
	size_t total;
};

/** NULL for want of memory. Aligned to 8 bytes. */
void *pb_arena_alloc(struct pb_arena *arena, size_t size);
/** A copy with a NUL behind it. */
char *pb_arena_copy(struct pb_arena *arena, const char *text, size_t size);
/** Keep one block and start over. */
void pb_arena_reset(struct pb_arena *arena);
void pb_arena_free(struct pb_arena *arena);

struct pb_name {
	const char *text;
	uint32_t size, hash;
};

/** Strings to small integers, from 1. */
struct pb_names {
	struct pb_name *names; /* [0] is not used */
	uint32_t count, room;  /* names[1] to names[count] are set */
	uint32_t *slots;
	uint32_t slot_mask;
};

/** The id of a string, 0 when it was never interned. */
uint32_t pb_names_find(const struct pb_names *names, const char *text, size_t size);
/** The id of a string, made when needed. 0 for want of memory. */
uint32_t pb_names_intern(struct pb_names *names, struct pb_arena *arena, const char *text, size_t size);
void pb_names_free(struct pb_names *names);

/* ---- The script ---- */

#define PB_COMMANDS_SHIFT 10
#define PB_COMMANDS_CHUNK (1u << PB_COMMANDS_SHIFT)

struct pb_source {
	char *name, *text;
	size_t size;
};

struct panbind_script {
	struct pb_arena arena;
	struct pb_names names;
	struct pb_command **chunks; /* of PB_COMMANDS_CHUNK commands */
	size_t count, chunk_room;
	struct pb_source *sources;
	size_t source_count;
	struct panbind_error *errors;
	size_t error_count;
	size_t first_begin; /* index + 1, 0: none */
	bool has_blocks;
	bool is_one_block; /* and nothing else: see panbind_script_fence() */
};

/* ---- script_lex.c ---- */

struct pb_word {
	const char *text; /* not NUL-terminated */
	uint32_t size;
	uint32_t line, column;
	bool plain;  /* stands in the source as it is: columns inside it mean something */
	bool quoted; /* began with a quote: never an option or keyword */
};

/** Where the lexer stands in a source. */
struct pb_cursor {
	const char *at, *end, *line_start;
	uint32_t line;
};

struct pb_define {
	char *value;
	size_t size, room;
	bool external; /* given by the caller: the script's own define does not change it */
	bool set;
};

enum pb_block { PB_BLOCK_NONE, PB_BLOCK_TXN, PB_BLOCK_ASYNC, PB_BLOCK_FENCED };

struct pb_parser {
	struct panbind_script *script;
	const struct panbind_script_options *options;
	const struct pb_script_limits *limits;
	uint64_t steps, random;

	struct pb_word *words; /* of the statement */
	size_t word_count;
	struct pb_arena scratch; /* words that do not stand in the source, until the next statement */
	char *buffer;		 /* the word that is being put together */
	size_t buffer_size, buffer_room;

	struct pb_names define_names;
	struct pb_define *defines; /* by id */

	struct pb_cursor cursor;
	struct pb_command block_begin; /* its place */
	struct panbind_error error;    /* of the statement at hand */

	uint32_t includes, depth, define_room, async_vm; /* depth: of includes */
	enum pb_block block;
	uint16_t source, stack[PB_SCRIPT_MAX_INCLUDE_DEPTH];
	bool skipping; /* inside a repeat of no rounds: words are cut, not expanded */
	bool fatal;    /* the error ends the parse even when it keeps going */
};

/**
 * Cut the next statement into p->words. Returns 1; 0 at the end of the text; or a negative errno, p->error filled and
 * the cursor inside the bad line.
 */
int pb_lex_statement(struct pb_parser *p);
/** After a failure: go to the start of the next line. */
void pb_lex_skip_line(struct pb_parser *p);
/** Add to the word that is being put together. */
int pb_lex_append(struct pb_parser *p, const char *text, size_t size);
uint32_t pb_lex_column(const struct pb_parser *p);
bool pb_lex_is_ident(unsigned char c, bool first);

/* ---- script_expr.c ---- */

/** The cursor stands at `$`: append what it stands for. */
int pb_expr_expand(struct pb_parser *p);
/** The value of a name, or NULL. */
const struct pb_define *pb_define_find(const struct pb_parser *p, const char *name, size_t size);
int pb_define_set(struct pb_parser *p, const char *name, size_t name_size, const char *value, size_t size,
		  bool external);

/* ---- script_command.c ---- */

/** Which command do the words from @first on begin? Adds its words to *ret_next. -EINVAL with p->error filled. */
int pb_command_find(struct pb_parser *p, size_t first, enum pb_verb *ret_verb, size_t *ret_next);
/** Parse the words from @next on by the table; the command begins at word @first. */
int pb_command_parse(struct pb_parser *p, enum pb_verb verb, size_t first, size_t next, struct pb_command *ret_command);
/** A number in a word. */
int pb_word_number(struct pb_parser *p, const struct pb_word *word, size_t offset, uint64_t *ret_value);
bool pb_word_is(const struct pb_word *word, const char *text);

/* ---- script_expand.c ---- */

/** Parse a whole source: the loop over statements, with repeats. */
int pb_expand_source(struct pb_parser *p, uint16_t source);

/* ---- script_include.c ---- */

int pb_include(struct pb_parser *p, const struct pb_word *word);
/** Add a text; a second copy of the same file is shared. */
int pb_source_add(struct pb_parser *p, const char *name, const char *text, size_t size, uint16_t *ret_source);

/* ---- script.c ---- */

/** Fill p->error at a place in the current source. Returns @code. */
int pb_parser_fail(struct pb_parser *p, int code, uint32_t line, uint32_t column, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
#define pb_parser_fail_word(p, code, word, offset, ...) \
	pb_parser_fail(p, code, (word)->line, (word)->column + ((word)->plain ? (uint32_t)(offset) : 0), __VA_ARGS__)
/** Keep p->error; 0 when the parse goes on, else its code. */
int pb_parser_record(struct pb_parser *p);
/** Append a command. 0 or -ENOMEM. */
int pb_script_append(struct panbind_script *script, const struct pb_command *command);
/** The same within the parser's limits. */
int pb_parser_push(struct pb_parser *p, const struct pb_command *command);

#endif /* PB_SCRIPT_PARSER_H */
