/* SPDX-License-Identifier: MIT */
/*
 * Scripts as the rest of the library sees them: a sequence of compact commands, and the one table that says which
 * commands exist.
 *
 * The files script*.c are pure: they know no device, no VM and no ioctl. Parsing expands everything that is not a
 * command (define, include, repeat, arithmetic), so that who runs a script sees a flat list.
 */
#ifndef PB_SCRIPT_H
#define PB_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "panbind.h"

/** Every command of the language, in the order of the table. Directives vanish while parsing. */
enum pb_verb {
	PB_VERB_MAP,
	PB_VERB_UNMAP,
	PB_VERB_SPARSE_RESERVE,
	PB_VERB_SPARSE_BIND,
	PB_VERB_SPARSE_UNBIND,
	PB_VERB_SPARSE_RELEASE,
	PB_VERB_SPARSE_MAP,
	PB_VERB_ENSURE,
	PB_VERB_SYNC_ONLY,
	PB_VERB_BEGIN,
	PB_VERB_COMMIT,
	PB_VERB_ROLLBACK,
	PB_VERB_VM_CREATE,
	PB_VERB_VM_ENSURE,
	PB_VERB_VM_DESTROY,
	PB_VERB_VM_LIST,
	PB_VERB_VM_SHOW,
	PB_VERB_VM_VERIFY,
	PB_VERB_BO_CREATE,
	PB_VERB_BO_ENSURE,
	PB_VERB_BO_DESTROY,
	PB_VERB_BO_LIST,
	PB_VERB_BO_LABEL,
	PB_VERB_BO_FILL,
	PB_VERB_BO_STAMP,
	PB_VERB_SYNCOBJ_CREATE,
	PB_VERB_SYNCOBJ_DESTROY,
	PB_VERB_SYNCOBJ_RESET,
	PB_VERB_SYNCOBJ_SIGNAL,
	PB_VERB_SYNCOBJ_WAIT,
	PB_VERB_ASSERT_MAPPED,
	PB_VERB_ASSERT_SPARSE,
	PB_VERB_ASSERT_UNMAPPED,
	PB_VERB_ASSERT_STATE,
	PB_VERB_ASSERT_POINT,
	PB_VERB_ASSERT_LOAD,
	PB_VERB_ASSERT_FAULTS,
	PB_VERB_ASSERT_TORN,
	PB_VERB_IF_GENERATION,
	PB_VERB_DUMP,
	PB_VERB_ECHO,
	PB_VERB_GPU_RESIDENT,
	PB_VERB_GPU_LOAD,
	PB_VERB_GPU_STORE,
	PB_VERB_GPU_READ,
	PB_VERB_GPU_STOP,
	PB_VERB_EXPECT, /* a prefix; directives from here on */
	PB_VERB_DEFINE,
	PB_VERB_INCLUDE,
	PB_VERB_SEED,
	PB_VERB_REPEAT,
	PB_VERB_END,
	PB_VERB_COUNT,
};

/** Options, as bits of pb_command.options. */
enum pb_option {
	PB_OPT_READONLY = 1u << 0,
	PB_OPT_NOEXEC = 1u << 1,
	PB_OPT_UNCACHED = 1u << 2,
	PB_OPT_WAIT = 1u << 3,
	PB_OPT_SIGNAL = 1u << 4,
	PB_OPT_VA = 1u << 5,
	PB_OPT_MAP = 1u << 6,
	PB_OPT_VM = 1u << 7,
	PB_OPT_NO_MMAP = 1u << 8,
	PB_OPT_WB = 1u << 9,
	PB_OPT_SIGNALED = 1u << 10,
	PB_OPT_TIMEOUT = 1u << 11,
	PB_OPT_ALL = 1u << 12,
	PB_OPT_FOR_SUBMIT = 1u << 13,
	PB_OPT_AVAILABLE = 1u << 14,
	PB_OPT_THREADS = 1u << 15,
	PB_OPT_ASYNC = 1u << 16, /* the word of `begin async` */
	PB_OPT_MISSING_OK = 1u << 17,
	PB_OPT_FENCED = 1u << 18, /* with PB_OPT_ASYNC: the word of `begin fenced` */
};

/** What an argument is, for the parser and for completion. */
enum pb_arg_type {
	PB_TYPE_NONE = 0,
	PB_TYPE_VM,	   /* a name */
	PB_TYPE_BO,	   /* a name */
	PB_TYPE_BO_OFFSET, /* BO or BO+OFF */
	PB_TYPE_SYNCOBJ,   /* a name */
	PB_TYPE_POINT,	   /* NAME or NAME:POINT, collected in pb_command_extra */
	PB_TYPE_NUMBER,	   /* number or size */
	PB_TYPE_TEXT,	   /* the rest of the line, joined with single blanks */
	PB_TYPE_STATE,	   /* usable, unusable, poisoned */
	PB_TYPE_SWITCH,	   /* on, off */
	PB_TYPE_ASYNC,	   /* the words "async" and "fenced" */
	PB_TYPE_WORD,	   /* for directives, which read their words themselves */
};

/** Where the argument's value is stored in struct pb_command. */
enum pb_field { PB_FIELD_NONE = 0, PB_FIELD_NAME, PB_FIELD_OTHER, PB_FIELD_VA, PB_FIELD_SIZE, PB_FIELD_VALUE };

#define PB_ARG_OPTIONAL (1u << 0)
#define PB_ARG_REPEATED (1u << 1)

struct pb_arg_spec {
	const char *label; /* as usage lines print it: "VM" */
	uint8_t type, field, flags;
};

struct pb_option_spec {
	const char *name;	/* "--va" */
	uint32_t bit;		/* enum pb_option */
	struct pb_arg_spec arg; /* type PB_TYPE_NONE: a plain switch */
};

#define PB_VERB_DIRECTIVE (1u << 0) /* handled while parsing */
#define PB_VERB_ASYNC	  (1u << 1) /* may stand in a `begin async` or `begin fenced` block */
#define PB_VERB_NO_EXPECT (1u << 2) /* cannot follow `expect ERRNO` */
#define PB_VERB_BINDS	  (1u << 3) /* changes the mapping of a VM */

struct pb_verb_spec {
	const char *words[2]; /* the second may be NULL */
	struct pb_arg_spec args[6];
	uint32_t options; /* bits that the command takes */
	uint32_t flags;
	const char *help; /* one sentence without a full stop */
};

/** The table: pb_verbs[verb]. */
extern const struct pb_verb_spec pb_verbs[PB_VERB_COUNT];
extern const struct pb_option_spec pb_options[];
extern const size_t pb_option_count;

/** "map VM VA SIZE BO[+OFF] [--readonly] ...": written to @buffer, cut to @size. Returns the full length. */
size_t pb_verb_usage(enum pb_verb verb, char *buffer, size_t size);

/** A syncobj that a command names: `NAME[:POINT]`. */
struct pb_sync_ref {
	uint64_t point; /* 0: binary */
	uint32_t name;
	bool signal; /* --signal, else --wait or a plain argument */
};

/** What few commands have. */
struct pb_command_extra {
	const char *text; /* NULL when there is none */
	uint32_t sync_count;
	struct pb_sync_ref syncs[];
};

/** One command. Compact, since a script may have millions. */
struct pb_command {
	uint8_t verb;	 /* enum pb_verb */
	uint8_t expect;	 /* the errno that must come out, 0: success */
	uint16_t source; /* index of the file */
	uint32_t line, column;
	uint32_t options;     /* bits of enum pb_option that were given */
	uint32_t name, other; /* interned names, 0: none */
	uint64_t va, size, value;
	const struct pb_command_extra *extra;
};

/** The number of commands is panbind_script_command_count(). */
const struct pb_command *pb_script_command(const struct panbind_script *script, size_t index);
/** The text of an interned name; ids run from 1 to pb_script_name_count(). */
const char *pb_script_name(const struct panbind_script *script, uint32_t name);
uint32_t pb_script_name_count(const struct panbind_script *script);
/** The command as one line, all in it expanded; cut to @size. script_format.c. */
void pb_command_format(const struct panbind_script *script, const struct pb_command *command, char *buffer,
		       size_t size);
/** The name of the file that a command stands in. */
const char *pb_script_file(const struct panbind_script *script, const struct pb_command *command);
/** The script has a `begin` without `async`: it is not one implicit transaction. */
bool pb_script_has_begin(const struct panbind_script *script);
/** The first such command, or NULL. */
const struct pb_command *pb_script_first_begin(const struct panbind_script *script);
/** There is a block of either kind. */
bool pb_script_has_blocks(const struct panbind_script *script);
/** Bytes held by the commands, the names and the extras. */
size_t pb_script_memory(const struct panbind_script *script);

/** Bounds that keep a short text from growing into an endless script. */
struct pb_script_limits {
	uint64_t commands; /* that the script may expand to */
	uint64_t steps;	   /* lines that may be looked at while expanding */
	uint32_t includes; /* files */
};
#define PB_SCRIPT_MAX_COMMANDS	    4000000u
#define PB_SCRIPT_MAX_STEPS	    16000000u
#define PB_SCRIPT_MAX_INCLUDES	    4096u
#define PB_SCRIPT_MAX_INCLUDE_DEPTH 16u
#define PB_SCRIPT_MAX_REPEAT_DEPTH  16u
#define PB_SCRIPT_MAX_EXPR_DEPTH    64u
#define PB_SCRIPT_MAX_WORD	    65536u
#define PB_SCRIPT_MAX_WORDS	    1024u
#define PB_SCRIPT_MAX_ERRORS	    1000u

/** panbind_script_parse() with other bounds: for tests and the fuzzer. */
int pb_script_parse(const char *name, const char *text, size_t size, const struct panbind_script_options *options,
		    const struct pb_script_limits *limits, struct panbind_script **ret_script,
		    struct panbind_error *reterr);

/* ---- script_value.c ---- */

/**
 * A number: decimal or 0x hex, `_` between digits, at the end K, M, G or T for powers of 1024. The whole of @text.
 * Returns 0, -EINVAL with *ret_bad the offset of what cannot stand there, or -ERANGE when it passes 64 bits.
 */
int pb_parse_number(const char *text, size_t size, uint64_t *ret_value, size_t *ret_bad);
/** Is this a name of a VM, BO or syncobj: letters, digits, `_`, `-`, `.`; a letter or `_` first; at most 128 bytes. */
bool pb_is_name(const char *text, size_t size);

/* ---- stamps: script_stamp.c ---- */

/**
 * The 64-bit value that `bo stamp` puts into the first word of page @page: a magic number, the page and a checksum of
 * both, so that a load that finds a mixture of two pages, or memory of another kind, is recognised.
 */
uint64_t pb_stamp(uint32_t page);
/** 0 and the page, or -EINVAL when @value is no stamp. */
int pb_stamp_check(uint64_t value, uint32_t *ret_page);

#endif /* PB_SCRIPT_H */
