/* SPDX-License-Identifier: MIT */
/*
 * Verbs that ask the daemon for one thing: vm, bo, map, unmap, sparse. A row for each action says which words and
 * options it takes and which of the daemon's methods it is, so that all are parsed, refused and sent in one place.
 */
#ifndef CMD_ORDER_H
#define CMD_ORDER_H

#include "client.h"

/** How a word of the command line becomes a parameter of the method. */
enum order_type {
	ORDER_TEXT = 0,
	ORDER_NUMBER,
	ORDER_BO,   /* BO[+OFF]: bo and bo_offset */
	ORDER_TRUE, /* an option without a value */
	ORDER_FLAG, /* an option that adds its name to "flags" */
	ORDER_LOCAL /* for the action's own code: not sent */
};

struct order_word {
	const char *param; /* NULL ends the list */
	enum order_type type;
};

#define ORDER_WORDS 5

struct order;

struct order_action {
	const char *verb, *name; /* name NULL: the verb is the action */
	const char *args;	 /* "NAME SIZE", for messages */
	const char *method;
	enum client_effect effect;
	struct order_word words[ORDER_WORDS];
	uint32_t options; /* bits of enum order_option */
	/** Instead of one call of the method; or what to do with its result (default: it is the document's "result").
	 */
	int (*run)(struct order *order);
	int (*show)(struct order *order, json_t *result);
};

/** An order under way. */
struct order {
	struct cmd *cmd;
	const struct order_action *action;
	const char *words[ORDER_WORDS];
	int word_count;
	uint32_t given;	 /* options */
	const char *svg; /* --svg, or NULL */
	json_t *params;
	struct client client;
};

/** Bits of options, and the keys that argp knows them by. */
enum order_option {
	ORDER_VA_RANGE,
	ORDER_MAP,
	ORDER_SVG,
	ORDER_VM,
	ORDER_READONLY,
	ORDER_NOEXEC,
	ORDER_UNCACHED,
	ORDER_NO_MMAP,
	ORDER_WB_MMAP,
	ORDER_MISSING_OK,
	ORDER_IF_GENERATION,
	ORDER_FROM,
	ORDER_FORCE,
	ORDER_FENCED,
	ORDER_WAIT,
	ORDER_SIGNAL,
	ORDER_DISPLACE,
	ORDER_ID,
	ORDER_COMMENT,
	ORDER_DURABILITY,
	ORDER_OPTIONS
};
#define ORDER_BIT(option) (1u << (option))
/** What every order that is recorded takes. */
#define ORDER_RECORD	  (ORDER_BIT(ORDER_ID) | ORDER_BIT(ORDER_COMMENT) | ORDER_BIT(ORDER_DURABILITY))

/** The options with which a change is recorded, for other verbs' argp: put into @params. False: not one of them. */
bool order_record_option(json_t *params, int key, const char *arg);
#define ORDER_KEY(option) (0x300 + (int)(option))
#define ORDER_RECORD_OPTIONS                                                                       \
	{"id", ORDER_KEY(ORDER_ID), "ID", 0,                                                       \
	 "A name for this change: the same ID again does nothing and gives the "                   \
	 "first outcome"},                                                                         \
		{"comment", ORDER_KEY(ORDER_COMMENT), "TEXT", 0, "Kept in the log"},               \
	{                                                                                          \
		"durability", ORDER_KEY(ORDER_DURABILITY), "sync|write|none", 0,                   \
			"Return when the log's disk has it (default), its file has it, or at once" \
	}

/** Call the action's method with what was parsed, and show the result. Returns an exit status. */
int order_call(struct order *order);

/* ---- order_table.c ---- */

extern const struct order_action order_actions[]; /* ends with a NULL verb */

/* ---- order_bytes.c: what is in a BO ---- */

int order_read_bo(struct order *order);
int order_write_bo(struct order *order);

/* ---- order_show.c ---- */

int order_show_vms(struct order *order, json_t *result);
int order_show_bos(struct order *order, json_t *result);
int order_show_vm(struct order *order);
/** A new VM, and what could not be brought back: then CMD_PARTIAL. */
int order_show_rebuilt(struct order *order, json_t *result);
/** Where a VM differs from what the driver has: then CMD_FAILED; CMD_PARTIAL when nobody can tell. */
int order_show_verified(struct order *order, json_t *result);
/** What became of a change, for -v and JSON. */
int order_show_change(struct order *order, json_t *result);

/* ---- cmd_attach.c ---- */

int order_detach(struct order *order);

/** vm.show with all mappings, as one. Returns an exit status. */
int remote_fetch_vm(struct client *client, const char *name, json_t **ret_vm);
bool remote_has_vm(struct client *client, const char *name);
/** Draw a VM into a file. */
int remote_draw_vm(struct client *client, const char *name, const char *path);
/** Fetch a VM with all its mappings and show it: a table or a picture, or add it to @vms. Returns an exit status. */
int remote_show_vm(struct client *client, const char *name, bool map, json_t **ret_json);
/** Draw all VMs of the daemon into one file. */
int remote_draw_all(struct client *client, const char *path);
/** The same for all VMs of the daemon, drawn; in JSON mode "vms" of the document. */
int remote_show_all(struct client *client);

#endif /* CMD_ORDER_H */
