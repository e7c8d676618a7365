/* SPDX-License-Identifier: MIT */
/* Bytes of BOs inside JSON. */
#ifndef PBD_BASE64_H
#define PBD_BASE64_H

#include <stddef.h>

#include "jw.h"

/** Standard alphabet with padding, nothing else. Returns 0, -EINVAL or -ENOMEM. */
int base64_decode(const char *text, size_t size, unsigned char **ret_data, size_t *ret_size);
/** Write @data as a JSON string. Returns 0 or -ENOMEM. */
int base64_write(struct jw *jw, const char *key, const unsigned char *data, size_t size);

#endif /* PBD_BASE64_H */
