/* SPDX-License-Identifier: MIT */
/* Base64, in which bytes travel inside JSON (RFC 4648, with padding). */
#ifndef CMD_BASE64_H
#define CMD_BASE64_H

#include <stddef.h>

/** A string that the caller frees, or NULL. */
char *base64_encode(const unsigned char *bytes, size_t size);
/** Decode in place. The number of bytes, or -EINVAL. */
long base64_decode(char *text);

#endif /* CMD_BASE64_H */
