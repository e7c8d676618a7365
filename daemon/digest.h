/* SPDX-License-Identifier: MIT */
/*
 * The digest of a call: two calls that ask for the same have the same, however their JSON is written.
 */
#ifndef PBD_DIGEST_H
#define PBD_DIGEST_H

#include "methods.h"

#define DIGEST_LENGTH 64

/** SHA-256 in hexadecimal. Left out is what does not change what is done: txn_id, comment, durability, device. */
void digest_call(const struct method *method, const struct call *call, char ret_digest[DIGEST_LENGTH + 1]);

#endif /* PBD_DIGEST_H */
