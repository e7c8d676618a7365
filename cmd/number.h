/* SPDX-License-Identifier: MIT */
/* Numbers and names as people write them on a command line; the forms of panbind-script(5). */
#ifndef CMD_NUMBER_H
#define CMD_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/** "65536", "0x1_0000", "64K": 0, -EINVAL, or -ERANGE beyond 64 bits. */
int number_parse(const char *text, uint64_t *ret_value);
/** "NAME" or "NAME+OFFSET", split where the offset begins: *ret_offset is 0 without one. @text is cut. 0 or as above.
 */
int number_split_offset(char *text, uint64_t *ret_offset);
/**
 * A moment: "2026-11-22T21:50:09.5Z", without Z in local time, seconds, the time of day or the day may be missing
 * ("21:50" is today); or "10m", "2h", "1d", "30s" ago. ns since 1970. 0 or -EINVAL.
 */
int number_parse_time(const char *text, int64_t *ret_ns);

#endif /* CMD_NUMBER_H */
