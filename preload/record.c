/* SPDX-License-Identifier: MIT */
/* The recorder's side of hooks.h. */
#include "hooks.h"

void record_start(const char *where)
{
}

void record_forked(void)
{
}

void record_opened(int fd, const char *path)
{
}

void record_closing(int fd)
{
}

void record_closing_range(unsigned int first, unsigned int last)
{
}

void record_duplicated(int from, int to)
{
}

void record_received(int fd)
{
}

void record_sending(int fd)
{
}

void record_before(struct record_call *call, int fd, unsigned long request, void *arg)
{
	*call = (struct record_call){.fd = fd, .request = request, .arg = arg};
}

void record_after(struct record_call *call, int ret, int err)
{
}

void record_mmapped(int fd, uint64_t offset, size_t size, void *ptr)
{
}
