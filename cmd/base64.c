/* SPDX-License-Identifier: MIT */
/* Base64. See base64.h. */
#include "base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_group(const unsigned char *bytes, size_t size, char *text)
{
	uint32_t bits = (uint32_t)bytes[0] << 16;

	if (size > 1)
		bits |= (uint32_t)bytes[1] << 8;
	if (size > 2)
		bits |= bytes[2];
	text[0] = alphabet[bits >> 18];
	text[1] = alphabet[bits >> 12 & 63];
	text[2] = size > 1 ? alphabet[bits >> 6 & 63] : '=';
	text[3] = size > 2 ? alphabet[bits & 63] : '=';
}

char *base64_encode(const unsigned char *bytes, size_t size)
{
	char *text = malloc((size + 2) / 3 * 4 + 1), *at = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i += 3, at += 4)
		encode_group(bytes + i, size - i, at);
	*at = '\0';
	return text;
}

static int digit(char c)
{
	const char *found = c ? strchr(alphabet, c) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

/* Four characters to bytes; the padding stands at the end of the last group only. */
static long decode_group(const char *text, unsigned char *bytes, int last)
{
	int padding = !last || text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;
	uint32_t bits = 0;

	for (int i = 0; i < 4; i++) {
		int value = i >= 4 - padding ? 0 : digit(text[i]);

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
	}
	for (int i = 0; i < 3 - padding; i++)
		bytes[i] = (unsigned char)(bits >> (16 - 8 * i));
	return 3 - padding;
}

long base64_decode(char *text)
{
	size_t size = strlen(text);
	long done = 0;

	if (size % 4)
		return -EINVAL;
	for (size_t i = 0; i < size; i += 4) {
		char group[4];
		long r;

		memcpy(group, text + i, 4);
		r = decode_group(group, (unsigned char *)text + done, i + 4 == size);
		if (r < 0)
			return r;
		done += r;
	}
	return done;
}
