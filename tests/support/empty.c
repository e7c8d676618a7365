/* SPDX-License-Identifier: MIT */
/* Keeps the support library non-empty. */
typedef int pb_test_support_is_not_empty;
