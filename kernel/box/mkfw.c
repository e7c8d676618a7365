// SPDX-License-Identifier: MIT
/*
 * Write the smallest firmware that panthor loads: one page of code that nobody runs, because malisim plays the
 * microcontroller, and the shared section in which host and firmware talk.
 *
 *	mkfw > mali_csffw.bin
 *
 * All numbers are little endian. The file is a header, a table of entries, and the data the entries point to.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
	MAGIC = 0xc3f13a6e,
	ENTRY_INTERFACE = 0, /* low byte of an entry's first word; its size in bytes is in the next byte */
};

/* section flags */
#define READ		  (1u << 0)
#define WRITE		  (1u << 1)
#define EXECUTE		  (1u << 2)
#define CACHED		  (1u << 3)
#define UNCACHED_COHERENT (2u << 3)
#define SHARED		  (1u << 30)
#define ZERO		  (1u << 31)

struct header {
	uint32_t magic;
	uint8_t minor, major;
	uint16_t zero;
	uint32_t version_hash;
	uint32_t zero2;
	uint32_t size; /* of the header and the entries */
};

struct entry {
	uint32_t type_and_size;
	uint32_t flags;
	uint32_t va_start, va_end;     /* where the microcontroller sees it */
	uint32_t data_start, data_end; /* offsets in this file */
	char name[8];
};

struct firmware {
	struct header header;
	struct entry code, shared;
	char text[64];
};

int main(void)
{
	struct firmware fw = {
		.header = {.magic = MAGIC,
			   .minor = 3,
			   .version_hash = 0x6d616c69,
			   .size = offsetof(struct firmware, text)},
		.code = {.type_and_size = ENTRY_INTERFACE | sizeof(struct entry) << 8,
			 .flags = READ | EXECUTE | CACHED,
			 .va_start = 0,
			 .va_end = 0x1000,
			 .data_start = offsetof(struct firmware, text),
			 .data_end = sizeof(fw),
			 .name = "code"},
		.shared = {.type_and_size = ENTRY_INTERFACE | sizeof(struct entry) << 8,
			   .flags = READ | WRITE | UNCACHED_COHERENT | SHARED | ZERO,
			   .va_start = 0x04000000,
			   .va_end = 0x04040000,
			   .data_start = sizeof(fw),
			   .data_end = sizeof(fw),
			   .name = "shared"},
		.text = "malisim plays this",
	};

	return fwrite(&fw, sizeof(fw), 1, stdout) == 1 ? 0 : 1;
}
