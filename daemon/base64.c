/* SPDX-License-Identifier: MIT */
/*
 * Base64, strictly: no line breaks, no missing padding, no stray bits. What a BO holds must arrive as it was sent.
 */
#include <errno.h>
#include <stdlib.h>

#include "base64.h"
#include "util.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/** Four characters to @count bytes; the bits that padding leaves over must be zero. */
static int decode_group(const char *text, unsigned int count, unsigned char *out)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i <= count; i++) {
		int value = digit((unsigned char)text[i]);

		if (value < 0)
			return -EINVAL;
		bits |= (uint32_t)value << (18 - 6 * i);
	}
	for (unsigned int i = 0; i < 3; i++) {
		unsigned char byte = (unsigned char)(bits >> (16 - 8 * i));

		if (i < count)
			out[i] = byte;
		else if (byte != 0)
			return -EINVAL;
	}
	return 0;
}

int base64_decode(const char *text, size_t size, unsigned char **ret_data, size_t *ret_size)
{
	autofree unsigned char *data = NULL;
	size_t pad = 0, out = 0;

	if (size % 4 != 0)
		return -EINVAL;
	if (size > 0)
		pad = text[size - 1] != '=' ? 0 : text[size - 2] != '=' ? 1 : 2;
	data = malloc(size / 4 * 3 + 1);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += 4) {
		unsigned int count = i + 4 == size ? 3 - (unsigned int)pad : 3;

		if (decode_group(text + i, count, data + out) < 0)
			return -EINVAL;
		out += count;
	}
	*ret_data = take_ptr(data);
	*ret_size = out;
	return 0;
}

int base64_write(struct jw *jw, const char *key, const unsigned char *data, size_t size)
{
	size_t len = (size + 2) / 3 * 4;
	autofree char *text = malloc(len + 1);

	if (!text)
		return -ENOMEM;
	for (size_t i = 0, out = 0; i < size; i += 3, out += 4) {
		size_t left = size - i;
		uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0);

		text[out] = alphabet[bits >> 18];
		text[out + 1] = alphabet[bits >> 12 & 63];
		text[out + 2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
		text[out + 3] = left > 2 ? alphabet[bits & 63] : '=';
	}
	jw_string_sized(jw, key, text, len);
	return jw_ok(jw) ? 0 : -ENOMEM;
}
