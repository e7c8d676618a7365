/* SPDX-License-Identifier: MIT */
/*
 * A JSON writer: appends values to one growing buffer, without a tree in between.
 *
 * Replies are written once and sent, so a tree would be built only to be walked and freed. The writer puts the commas;
 * the caller opens and closes. Running out of memory is remembered and asked for once, at the end, with jw_ok().
 */
#ifndef PBD_JW_H
#define PBD_JW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jw {
	char *buf;
	size_t len, room;
	bool comma; /* the next value needs one before it */
	bool failed;
};

void jw_free(struct jw *jw);
/** Everything that was written is there. */
bool jw_ok(const struct jw *jw);
/** Forget what was written after @len, which was jw->len where a value began. */
void jw_cut(struct jw *jw, size_t len, bool comma);

/** @key NULL: an element of an array or the root; so for all that follow. */
void jw_object(struct jw *jw, const char *key);
void jw_object_end(struct jw *jw);
void jw_array(struct jw *jw, const char *key);
void jw_array_end(struct jw *jw);

/** Text, escaped; bytes that are not UTF-8 become U+FFFD. NULL is written as null. */
void jw_string(struct jw *jw, const char *key, const char *text);
void jw_string_sized(struct jw *jw, const char *key, const char *text, size_t size);
/** A number that stays below 2^53: counters, line numbers. */
void jw_int(struct jw *jw, const char *key, int64_t value);
/** An address, a size or anything else of 64 bits: "0x…", since JSON numbers lose bits in many readers. */
void jw_hex(struct jw *jw, const char *key, uint64_t value);
/** A range of addresses as an element: {"va": "0x…", "size": "0x…"}. */
void jw_range(struct jw *jw, uint64_t va, uint64_t size);
void jw_bool(struct jw *jw, const char *key, bool value);
/** Text that is JSON already. */
void jw_raw(struct jw *jw, const char *key, const char *json, size_t size);
/** Bytes outside JSON, such as the newline that ends a message. */
void jw_bytes(struct jw *jw, const char *bytes, size_t size);

#endif /* PBD_JW_H */
