/* SPDX-License-Identifier: MIT */
/*
 * Calls to entries of a log: ids and handles become names and generations, so that the log can be shown, compared and
 * replayed without the program. VM 1 is "vm1", handle 7 "bo7", syncobj 9 "so9", with the file's prefix before it; one
 * that is given out a second time is the next generation of its name.
 *
 * Calls come in an order in which they could have been made: what gives an id out before what uses it, what ends it
 * behind that. Not thread-safe.
 */
#ifndef CMD_CALL_LOG_H
#define CMD_CALL_LOG_H

#include "call.h"
#include "panbind-log.h"

struct call_log;

struct call_log_options {
	/** Takes an entry, whose strings are valid in the call only. A negative errno ends call_log_add() with it. */
	int (*emit)(void *data, const struct panbind_log_entry *entry, struct panbind_error *reterr);
	void *data;
	uint32_t uid, gid; /* PANBIND_LOG_NO_ID: not known */
	const char *argv;  /* of the program, or NULL; borrowed */
	/** What VMs get whose VA range is not known. */
	uint64_t va_range;
	/**
	 * A VM or BO that no call has created is a new one, as large as its first use needs, and its entry says so;
	 * else such a call is refused with -ENOENT.
	 */
	bool invent;
	bool calls; /* calls on syncobjs are entries, too: of the kind sync */
};

int call_log_create(const struct call_log_options *options, struct call_log **ret_log);
void call_log_destroy(struct call_log *log);
/** Other programs' argv from here on; borrowed. */
void call_log_set_argv(struct call_log *log, const char *argv);
/** And whose they are. */
void call_log_set_user(struct call_log *log, uint32_t uid, uint32_t gid);
/** The entry that everything begins with: an empty device. @note is its comment. */
int call_log_start(struct call_log *log, uint64_t time_ns, const char *note, struct panbind_error *reterr);
/**
 * Add a call. 0, also for calls that are nothing to a log; -ENOENT an id that is not known, -ENOMEM, or what emit
 * returned; @reterr has a sentence, and the op of a bind.
 */
int call_log_add(struct call_log *log, const struct call *call, struct panbind_error *reterr);

/** What entries call a syncobj: "so9", "so9.2", "so9:5" with a point. -ENOENT: not known. */
int call_log_sync_name(const struct call_log *log, uint64_t file, const struct call_sync *sync, char *name,
		       size_t size);

#endif /* CMD_CALL_LOG_H */
