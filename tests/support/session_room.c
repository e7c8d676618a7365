/* SPDX-License-Identifier: MIT */
/* A session whose events are kept. */
#include "session_room.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void keep_text(struct session_room *room, const char *text)
{
	size_t left = sizeof(room->output) - room->output_size;
	int n = snprintf(room->output + room->output_size, left, "%s\n", text);

	if (n > 0 && (size_t)n < left)
		room->output_size += (size_t)n;
}

static void keep_unit(struct session_room *room, const struct panbind_event *event)
{
	static const char *const types[] = {"map", "unmap", "sparse", "sync"};
	const struct panbind_plan_unit *unit = event->unit;
	size_t used = strlen(room->plan);

	snprintf(room->plan + used, sizeof(room->plan) - used,
		 "%s %s 0x%" PRIx64 "+0x%" PRIx64 " %s first=%u count=%u replaces=%u line=%u\n", event->name,
		 types[unit->op.type], unit->op.va, unit->op.size, event->text ? event->text : "-", unit->first,
		 unit->count, unit->replaces, event->line);
	room->plans++;
}

static void on_event(void *data, const struct panbind_event *event)
{
	struct session_room *room = data;

	switch (event->type) {
	case PANBIND_EVENT_TEXT:
		keep_text(room, event->text);
		break;
	case PANBIND_EVENT_COMMAND:
		room->commands++;
		keep_text(room, event->text);
		break;
	case PANBIND_EVENT_ERROR:
		room->errors++;
		room->failed_undos += event->error->stage == PANBIND_STAGE_ROLLBACK;
		break;
	case PANBIND_EVENT_TXN:
		room->txns++;
		room->last_outcome = event->outcome;
		break;
	case PANBIND_EVENT_PLAN:
		keep_unit(room, event);
		break;
	case PANBIND_EVENT_PLAN_END:
		room->guarantee = event->guarantee;
		break;
	case PANBIND_EVENT_SHOW_VM:
		room->shows++;
		break;
	case PANBIND_EVENT_GPU:
		room->gpus++;
		room->stats = *event->stats;
		room->torn = event->torn;
		break;
	}
	if (room->on_event)
		room->on_event(room, event);
}

struct session_room *session_room_open(const char *spec)
{
	struct session_room *room = calloc(1, sizeof(*room));

	assert_non_null(room);
	if (panbind_device_open(spec, &room->device, &room->error) < 0)
		fail_msg("%s: %s", spec, room->error.msg);
	assert_int_equal(panbind_session_create(room->device, on_event, room, &room->session), 0);
	return room;
}

void session_room_close(struct session_room *room)
{
	panbind_session_destroy(room->session);
	panbind_device_unref(room->device);
	free(room);
}

int session_room_run(struct session_room *room, const char *text, uint32_t flags)
{
	struct panbind_script *script = NULL;
	struct panbind_error parse = {0};
	int r = panbind_script_parse("test.pb", text, strlen(text), NULL, &script, &parse);

	if (r < 0)
		fail_msg("%s:%u:%u: %s", parse.file, parse.line, parse.column, parse.msg);
	room->output_size = 0;
	room->output[0] = room->plan[0] = '\0';
	room->errors = room->failed_undos = room->txns = room->plans = room->shows = room->gpus = room->commands = 0;
	memset(&room->error, 0, sizeof(room->error));
	r = panbind_session_run(room->session, script, flags, &room->result, &room->error);
	panbind_script_destroy(script);
	return r;
}

void session_room_must(struct session_room *room, const char *text)
{
	if (session_room_run(room, text, 0) < 0)
		fail_msg("%s:%u:%u: %s (%s)", room->error.file, room->error.line, room->error.column, room->error.msg,
			 panbind_errno_name(room->error.code));
}

char *session_room_dump(struct session_room *room)
{
	char *text = NULL;

	assert_int_equal(panbind_session_dump(room->session, NULL, &text), 0);
	return text;
}
