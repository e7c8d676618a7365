/* SPDX-License-Identifier: MIT */
/* What the method table says, in other shapes. */
#ifndef PBD_DISCOVER_H
#define PBD_DISCOVER_H

#include <stdio.h>

#include "jw.h"

/** The OpenRPC document of all methods. */
void discover_write(struct jw *jw, const char *key);
/** The methods as roff, for panbind-rpc(7); or their names, a line each, for completion. */
void discover_print_man(FILE *out);
void discover_print_names(FILE *out);

#endif /* PBD_DISCOVER_H */
