/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous binds in flight: what they come to shows later, and nobody asks.
 *
 * An asynchronous bind is recorded when the driver takes it. If it then fails, the driver gives the VM up for good, and
 * what the VM maps is not what the log says. So the executor looks at VMs with binds in flight now and then, and
 * records the loss of one as an entry of its own, which monitors see like any other.
 */
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "record.h"
#include "say.h"
#include "util.h"

#define LOOK_MS 20

struct flight {
	struct flight *next;
	uint64_t generation;	      /* of the VM */
	uint64_t first_seq, last_seq; /* its asynchronous binds since it had none in flight */
	uint64_t lost_seq;	      /* the entry that says so, 0: it is not lost */
	char vm[];
};

static struct flight *find(const struct engine *engine, const char *vm)
{
	uint64_t generation = registry_get(&engine->registry, OBJECT_VM, vm);

	for (struct flight *flight = engine->flights; flight; flight = flight->next)
		if (flight->generation == generation && strcmp(flight->vm, vm) == 0)
			return flight;
	return NULL;
}

void flight_note(struct engine *engine, const char *vm, uint64_t seq)
{
	struct flight *flight = find(engine, vm);

	if (!flight) {
		size_t size = strlen(vm) + 1;

		flight = calloc(1, sizeof(*flight) + size);
		if (!flight) {
			say(SAY_WARNING, "%s: no memory to watch %s", engine->name, vm);
			return;
		}
		memcpy(flight->vm, vm, size);
		flight->generation = registry_get(&engine->registry, OBJECT_VM, vm);
		flight->first_seq = seq;
		flight->next = engine->flights;
		engine->flights = flight;
	}
	flight->last_seq = seq;
	if (!engine->next_look_ns)
		engine->next_look_ns = now_ns();
}

uint64_t flight_lost_seq(const struct engine *engine, const char *vm)
{
	const struct flight *flight = find(engine, vm);

	return flight ? flight->lost_seq : 0;
}

int flights_patience_ms(const struct engine *engine)
{
	return engine->next_look_ns ? LOOK_MS : -1;
}

/** What the log refuses is tried again at the next look. */
static void record_lost(struct engine *engine, struct flight *flight)
{
	struct record record = {.engine = engine, .durability = PANBIND_LOG_DURABLE_SYNC};
	char why[160];

	snprintf(why, sizeof(why),
		 "the driver gave the VM up: an asynchronous bind failed, entry %llu or another up to %llu",
		 (unsigned long long)flight->first_seq, (unsigned long long)flight->last_seq);
	record_loss(&record, flight->vm, why);
	if (record_finish(&record) < 0)
		return;
	flight->lost_seq = record.seq;
	say(SAY_WARNING, "%s: %s: %s", engine->name, flight->vm, why);
}

/** Has the driver decided on all of them? A lost VM stays listed for as long as it is there. */
static bool is_over(struct engine *engine, struct flight *flight)
{
	struct panbind_vm *vm = panbind_session_vm(engine->session, flight->vm);
	enum panbind_vm_state state = PANBIND_VM_USABLE;
	int in_flight;

	if (!vm || find(engine, flight->vm) != flight)
		return true;
	in_flight = panbind_vm_wait(vm, 0);
	if (panbind_vm_get_state(vm, &state) == 0 && state == PANBIND_VM_UNUSABLE && !flight->lost_seq)
		record_lost(engine, flight);
	return in_flight == 0 && state == PANBIND_VM_USABLE;
}

static void look(struct engine *engine)
{
	bool waiting = false;

	for (struct flight **at = &engine->flights; *at;) {
		struct flight *flight = *at;

		if (is_over(engine, flight)) {
			*at = flight->next;
			free(flight);
			continue;
		}
		waiting |= flight->lost_seq == 0;
		at = &flight->next;
	}
	engine->next_look_ns = waiting ? now_ns() + LOOK_MS * 1000000ull : 0;
}

void flights_look(struct engine *engine)
{
	if (engine->next_look_ns && now_ns() >= engine->next_look_ns)
		look(engine);
}

void flights_free(struct engine *engine)
{
	while (engine->flights) {
		struct flight *next = engine->flights->next;

		free(engine->flights);
		engine->flights = next;
	}
}
