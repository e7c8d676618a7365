/* SPDX-License-Identifier: MIT */
/*
 * Syncobjs: binary ones and timelines, on the same objects, as nothing forbids.
 */
#include <drm.h>
#include <string.h>

#include "generate.h"

static struct diff_value make_point(struct diff_maker *maker)
{
	return DIFF_NUMBER(diff_chance(maker, 25) ? 0 : 1 + diff_below(maker, 10));
}

static struct diff_node make_create(struct diff_maker *maker)
{
	struct diff_node node = diff_node("sync_create");

	if (diff_chance(maker, 30))
		diff_set(&node, "flags", DIFF_NUMBER(DRM_SYNCOBJ_CREATE_SIGNALED));
	diff_result(maker, &node);
	return node;
}

static struct diff_node make_destroy(struct diff_maker *maker)
{
	struct diff_node node = diff_node("sync_destroy");
	struct diff_value sync = diff_pick(maker, 's');

	diff_set(&node, "sync", sync);
	diff_guess(maker, 's', sync.number)->live = false;
	return node;
}

static struct diff_node make_array(struct diff_maker *maker)
{
	static const char *const types[] = {"sync_reset", "sync_signal",   "timeline_signal", "timeline_signal",
					    "query",	  "timeline_wait", "timeline_wait",   "wait"};
	struct diff_node node = diff_node(DIFF_PICK(maker, types));
	uint64_t count = 1 + diff_below(maker, 3);
	bool waits = strstr(node.type->name, "wait");

	if (waits) {
		diff_set(&node, "flags", DIFF_NUMBER(diff_below(maker, strcmp(node.type->name, "wait") ? 8 : 4)));
		if (diff_chance(maker, 10))
			diff_set(&node, "ms", DIFF_NUMBER(1));
	} else if (strcmp(node.type->name, "query") == 0) {
		diff_set(&node, "flags", DIFF_NUMBER(diff_below(maker, 2)));
	}
	while (count--) {
		struct diff_node handle = diff_node("handle");

		diff_set(&handle, "sync", diff_pick(maker, 's'));
		diff_set(&handle, "point", make_point(maker));
		diff_add_child(&node, handle);
	}
	return node;
}

/* Not the flag that waits for a fence to come: nobody else brings one, and the kernel waits five seconds. */
static struct diff_node make_transfer(struct diff_maker *maker)
{
	struct diff_node node = diff_node("transfer");

	diff_set(&node, "to", diff_pick(maker, 's'));
	diff_set(&node, "from", diff_pick(maker, 's'));
	diff_set(&node, "to_point", make_point(maker));
	diff_set(&node, "from_point", make_point(maker));
	return node;
}

/* Since Linux 6.16: a sync file of a point, or for one. */
#define TIMELINE UINT64_C(2)

static void make_timeline(struct diff_maker *maker, struct diff_node *node)
{
	size_t flags = diff_field(node->type, "flags");

	if (!diff_chance(maker, 20))
		return;
	diff_set(node, "point", make_point(maker));
	if (diff_chance(maker, 90))
		node->field[flags].number |= TIMELINE;
}

static struct diff_node make_export(struct diff_maker *maker)
{
	struct diff_node node = diff_node("sync_export");
	bool sync_file = diff_chance(maker, 60);

	diff_set(&node, "sync", diff_pick(maker, 's'));
	diff_set(&node, "flags", DIFF_NUMBER(sync_file ? DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE : 0));
	make_timeline(maker, &node);
	diff_result(maker, &node)->fd = sync_file ? DIFF_SYNC_FILE : DIFF_SYNCOBJ_FD;
	return node;
}

static struct diff_node make_import(struct diff_maker *maker)
{
	struct diff_node node = diff_node("sync_import");
	struct diff_value fd = diff_pick(maker, 'd');
	bool sync_file = diff_guess(maker, 'd', fd.number)->fd == DIFF_SYNC_FILE;

	if (diff_chance(maker, 10))
		sync_file = !sync_file;
	diff_set(&node, "fd", fd);
	if (sync_file) {
		diff_set(&node, "flags", DIFF_NUMBER(DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE));
		diff_set(&node, "sync", diff_pick(maker, 's'));
		make_timeline(maker, &node);
	} else {
		diff_result(maker, &node);
	}
	return node;
}

static struct diff_node make_look(struct diff_maker *maker)
{
	struct diff_node node = diff_node(diff_chance(maker, 60) ? "fence" : "fired");

	diff_set(&node, "fd", diff_pick(maker, 'd'));
	return node;
}

static struct diff_node make_eventfd(struct diff_maker *maker)
{
	struct diff_node node = diff_node("eventfd");

	diff_set(&node, "sync", diff_pick(maker, 's'));
	diff_set(&node, "point", make_point(maker));
	if (diff_chance(maker, 30))
		diff_set(&node, "flags", DIFF_NUMBER(DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE));
	diff_result(maker, &node)->fd = DIFF_EVENTFD;
	return node;
}

struct diff_node diff_make_sync_step(struct diff_maker *maker)
{
	static struct diff_node (*const make[])(struct diff_maker * maker) = {
		make_create, make_create,   make_create, make_destroy, make_array, make_array,	 make_array,
		make_array,  make_transfer, make_export, make_import,  make_look,  make_eventfd, make_array,
	};

	return DIFF_PICK(maker, make)(maker);
}
