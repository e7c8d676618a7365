/* SPDX-License-Identifier: MIT */
/*
 * Steps that ask what the device is.
 */
#include <drm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "run.h"

static void print_bytes(struct diff_world *world, const char *name, const uint8_t *bytes, size_t size)
{
	fprintf(world->out, " %s=", name);
	for (size_t i = 0; i < size; i++)
		fprintf(world->out, "%02x", bytes[i]);
}

static void step_version(struct diff_world *world, const struct diff_node *node)
{
	size_t room = diff_get(world, node, "room") % 64;
	uint64_t kind = diff_get(world, node, "mem");
	struct drm_version version = {.name_len = room, .date_len = room, .desc_len = room};
	char blank[64] = {0};
	uint8_t *name, *date, *desc;

	/* NOLINTBEGIN(performance-no-int-to-ptr) */
	version.name = (char *)(uintptr_t)diff_place(world, kind, blank, room, &name);
	version.date = (char *)(uintptr_t)diff_place(world, kind, blank, room, &date);
	version.desc = (char *)(uintptr_t)diff_place(world, kind, blank, room, &desc);
	/* NOLINTEND(performance-no-int-to-ptr) */
	diff_issue(world, node, DRM_IOCTL_VERSION, &version);
	fprintf(world->out, " %d.%d.%d lengths=%zu,%zu,%zu", version.version_major, version.version_minor,
		version.version_patchlevel, (size_t)version.name_len, (size_t)version.date_len,
		(size_t)version.desc_len);
	if (name && room)
		fprintf(world->out, " \"%.*s\" \"%.*s\" \"%.*s\"", (int)room, (char *)name, (int)room, (char *)date,
			(int)room, (char *)desc);
}

static void step_get_cap(struct diff_world *world, const struct diff_node *node)
{
	struct drm_get_cap cap = {.capability = diff_get(world, node, "cap"), .value = 0x55};

	diff_issue(world, node, DRM_IOCTL_GET_CAP, &cap);
	fprintf(world->out, " value=0x%llx", (unsigned long long)cap.value);
}

#define QUERY_ROOM 160u

static void step_dev_query(struct diff_world *world, const struct diff_node *node)
{
	uint8_t room[QUERY_ROOM], *data;
	struct pb_uapi_dev_query query = {.type = (uint32_t)diff_get(world, node, "type"), .size = QUERY_ROOM};
	size_t size;

	if (!diff_get_auto(node, "size"))
		query.size = (uint32_t)diff_get(world, node, "size");
	/* The caller's buffer is as large as it says, unless that is huge. */
	size = query.size < QUERY_ROOM ? query.size : QUERY_ROOM;
	memset(room, 0x5a, sizeof(room));
	query.pointer = diff_place(world, diff_get(world, node, "mem"), room, size, &data);
	diff_issue(world, node, PB_IOCTL_DEV_QUERY, &query);
	fprintf(world->out, " size=%u", query.size);
	if (!data)
		return;
	/* The frequency of timestamps is the machine's, and no two runs share the time. */
	if (query.type == PB_QUERY_TIMESTAMP_INFO)
		return;
	print_bytes(world, "data", data, size);
}

/* A number that no driver of this age knows. */
static void step_ioctl(struct diff_world *world, const struct diff_node *node)
{
	unsigned type = (unsigned)diff_get(world, node, "type") & 0xff,
		 nr = (unsigned)diff_get(world, node, "nr") & 0xff;
	size_t size = diff_get(world, node, "size") % 128;
	unsigned long request = _IOC(_IOC_READ | _IOC_WRITE, type, nr, size);
	struct pb_file *file = diff_file(world, node->file);
	uint8_t room[128] = {0};

	if (file)
		diff_print_ret(world, file->backend->ioctl(file, request, room));
}

const struct diff_verb diff_query_verbs[] = {
	{"version", step_version}, {"get_cap", step_get_cap}, {"dev_query", step_dev_query}, {"ioctl", step_ioctl}, {0},
};
