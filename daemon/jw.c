/* SPDX-License-Identifier: MIT */
/*
 * The JSON writer. See jw.h for why there is no tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jw.h"

#define FIRST_ROOM 256

static bool reserve(struct jw *jw, size_t size)
{
	size_t room = jw->room ? jw->room : FIRST_ROOM;
	char *grown;

	if (jw->failed)
		return false;
	if (size <= jw->room - jw->len)
		return true;
	while (room - jw->len < size)
		room *= 2;
	grown = realloc(jw->buf, room);
	if (!grown) {
		jw->failed = true;
		return false;
	}
	jw->buf = grown;
	jw->room = room;
	return true;
}

void jw_bytes(struct jw *jw, const char *bytes, size_t size)
{
	if (!reserve(jw, size))
		return;
	memcpy(jw->buf + jw->len, bytes, size);
	jw->len += size;
}

void jw_free(struct jw *jw)
{
	free(jw->buf);
	*jw = (struct jw){0};
}

bool jw_ok(const struct jw *jw)
{
	return !jw->failed;
}

void jw_cut(struct jw *jw, size_t len, bool comma)
{
	jw->len = len;
	jw->comma = comma;
}

/** The length of the UTF-8 sequence at @text, or 0 when it is none (overlong forms and surrogates are none). */
static size_t utf8_size(const unsigned char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;
	uint32_t point;

	if (size == 0 || size > left)
		return 0;
	point = text[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text[i] & 0x3f);
	}
	return point >= least[size] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? size : 0;
}

/** A control character, a quote, or a byte that is not UTF-8. */
static void escape(struct jw *jw, unsigned char c)
{
	char escaped[8];

	switch (c) {
	case '\n':
		jw_bytes(jw, "\\n", 2);
		break;
	case '\t':
		jw_bytes(jw, "\\t", 2);
		break;
	case '"':
		jw_bytes(jw, "\\\"", 2);
		break;
	case '\\':
		jw_bytes(jw, "\\\\", 2);
		break;
	default:
		snprintf(escaped, sizeof(escaped), "\\u%04x", c < 0x80 ? c : 0xfffdu);
		jw_bytes(jw, escaped, 6);
	}
}

static size_t plain_run(const unsigned char *text, size_t size)
{
	size_t n = 0;

	while (n < size && text[n] >= 0x20 && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}

static void quoted(struct jw *jw, const char *text, size_t size)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t n;

	jw_bytes(jw, "\"", 1);
	while (size > 0) {
		n = plain_run(at, size);
		if (n == 0)
			n = utf8_size(at, size);
		if (n > 0) {
			jw_bytes(jw, (const char *)at, n);
		} else {
			escape(jw, *at);
			n = 1;
		}
		at += n;
		size -= n;
	}
	jw_bytes(jw, "\"", 1);
}

/** What stands before a value: a comma, and the key. Keys are our own words and need no escaping. */
static void before(struct jw *jw, const char *key)
{
	if (jw->comma)
		jw_bytes(jw, ",", 1);
	if (key) {
		jw_bytes(jw, "\"", 1);
		jw_bytes(jw, key, strlen(key));
		jw_bytes(jw, "\":", 2);
	}
	jw->comma = true;
}

static void begin(struct jw *jw, const char *key, const char *bracket)
{
	before(jw, key);
	jw_bytes(jw, bracket, 1);
	jw->comma = false;
}

static void end(struct jw *jw, const char *bracket)
{
	jw_bytes(jw, bracket, 1);
	jw->comma = true;
}

void jw_object(struct jw *jw, const char *key)
{
	begin(jw, key, "{");
}

void jw_object_end(struct jw *jw)
{
	end(jw, "}");
}

void jw_array(struct jw *jw, const char *key)
{
	begin(jw, key, "[");
}

void jw_array_end(struct jw *jw)
{
	end(jw, "]");
}

void jw_string_sized(struct jw *jw, const char *key, const char *text, size_t size)
{
	before(jw, key);
	quoted(jw, text, size);
}

void jw_string(struct jw *jw, const char *key, const char *text)
{
	if (text)
		jw_string_sized(jw, key, text, strlen(text));
	else
		jw_raw(jw, key, "null", 4);
}

void jw_int(struct jw *jw, const char *key, int64_t value)
{
	char digits[24];

	jw_raw(jw, key, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)value));
}

void jw_hex(struct jw *jw, const char *key, uint64_t value)
{
	static const char hex[] = "0123456789abcdef";
	char digits[20] = "\"0x";
	size_t n = 3;
	int shift = 60;

	while (shift > 0 && !(value >> shift & 0xf))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		digits[n++] = hex[value >> shift & 0xf];
	digits[n++] = '"';
	jw_raw(jw, key, digits, n);
}

void jw_range(struct jw *jw, uint64_t va, uint64_t size)
{
	jw_object(jw, NULL);
	jw_hex(jw, "va", va);
	jw_hex(jw, "size", size);
	jw_object_end(jw);
}

void jw_bool(struct jw *jw, const char *key, bool value)
{
	jw_raw(jw, key, value ? "true" : "false", value ? 4 : 5);
}

void jw_raw(struct jw *jw, const char *key, const char *json, size_t size)
{
	before(jw, key);
	jw_bytes(jw, json, size);
}
