/* SPDX-License-Identifier: MIT */
/* A VM's shadow against the page tables of a simulated device, which know nothing of it. */
#ifndef TEST_TRUTH_H
#define TEST_TRUTH_H

#include "panbind.h"

/** Fail the test unless the page tables hold exactly what the shadow says: backing, offset and flags of each page. */
void truth_assert(struct panbind_vm *vm);

#endif /* TEST_TRUTH_H */
