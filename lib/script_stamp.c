/* SPDX-License-Identifier: MIT */
/*
 * Stamps: what `bo stamp` writes and what readers check.
 *
 * 16 bits of magic, 32 bits of page, 16 bits of checksum over both. A load that mixes the halves of two stamps, reads
 * freed memory or a neighbour's data has one chance in 2^32 to look right.
 */
#include <errno.h>

#include "script.h"

#define STAMP_MAGIC UINT64_C(0x9a9e) /* "page", as far as hex goes */

static uint64_t checksum(uint64_t page)
{
	uint64_t x = (STAMP_MAGIC << 32 | page) * UINT64_C(0x9e3779b97f4a7c15);

	return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 48;
}

uint64_t pb_stamp(uint32_t page)
{
	return STAMP_MAGIC << 48 | (uint64_t)page << 16 | checksum(page);
}

int pb_stamp_check(uint64_t value, uint32_t *ret_page)
{
	uint32_t page = (uint32_t)(value >> 16);

	if (value != pb_stamp(page))
		return -EINVAL;
	*ret_page = page;
	return 0;
}
