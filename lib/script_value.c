/* SPDX-License-Identifier: MIT */
/*
 * Numbers and names as text.
 *
 * A number that does not fit is refused, never cut: a wrapped address would be a valid one somewhere else.
 */
#include <errno.h>

#include "script.h"

#define NAME_MAX_SIZE 128

static int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Digits from text[*at] on, into *value. A `_` must stand between two digits. */
static int parse_digits(const char *text, size_t size, int base, size_t *at, uint64_t *value)
{
	size_t i = *at, first = *at;
	uint64_t v = 0;

	for (; i < size; i++) {
		int digit = digit_value((unsigned char)text[i]);

		if (text[i] == '_' && i > first && text[i - 1] != '_' && i + 1 < size &&
		    digit_value((unsigned char)text[i + 1]) < base)
			continue;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)digit, &v))
			return -ERANGE;
	}
	*at = i;
	*value = v;
	return i > first ? 0 : -EINVAL;
}

static int suffix_shift(char c)
{
	switch (c) {
	case 'K':
		return 10;
	case 'M':
		return 20;
	case 'G':
		return 30;
	case 'T':
		return 40;
	default:
		return -1;
	}
}

int pb_parse_number(const char *text, size_t size, uint64_t *ret_value, size_t *ret_bad)
{
	bool hex = size > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	size_t at = hex ? 2 : 0;
	uint64_t value;
	int r = parse_digits(text, size, hex ? 16 : 10, &at, &value);

	*ret_bad = at;
	if (r < 0)
		return r;
	if (at < size) {
		int shift = suffix_shift(text[at]);

		if (shift < 0)
			return -EINVAL;
		if (value > UINT64_MAX >> shift)
			return -ERANGE;
		value <<= shift;
		*ret_bad = ++at;
	}
	if (at != size)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static bool is_letter(unsigned char c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

bool pb_is_name(const char *text, size_t size)
{
	if (size == 0 || size > NAME_MAX_SIZE || !(is_letter((unsigned char)text[0]) || text[0] == '_'))
		return false;
	for (size_t i = 1; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')
			return false;
	}
	return true;
}
