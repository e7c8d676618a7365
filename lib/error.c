/* SPDX-License-Identifier: MIT */
/* Errors: filling them in one statement, and the names of what is in them. */
#include "internal.h"
