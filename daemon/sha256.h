/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4): tells one request from another. Nobody is kept out by it.
 */
#ifndef PBD_SHA256_H
#define PBD_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
	uint32_t state[8];
	uint64_t bytes;
	unsigned char block[64]; /* what does not fill one yet */
};

void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t size);
void sha256_end(struct sha256 *sha, unsigned char ret_digest[SHA256_SIZE]);

#endif /* PBD_SHA256_H */
