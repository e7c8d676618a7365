/* SPDX-License-Identifier: MIT */
/*
 * Simulated devices and the registry of those that have a name.
 *
 * A device lives as long as a file is open on it, as a render node's state would without its module. The registry is
 * the only static of the simulator: two opens of "sim:name=a" in one process must meet, as two opens of one node do,
 * and there is nothing else they have in common.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static struct {
	pthread_mutex_t lock;
	struct sim_device *first;
	uint64_t serial;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void free_device(struct sim_device *device)
{
	sim_faults_fini(&device->faults);
	sim_vmas_fini(&device->by_host);
	sim_vmas_fini(&device->by_offset);
	pthread_mutex_destroy(&device->lock);
	pthread_mutex_destroy(&device->probe_lock);
	pthread_cond_destroy(&device->probe_idle);
	free(device);
}

static int new_device(const struct sim_options *options, struct sim_device **ret_device)
{
	struct sim_device *device = calloc(1, sizeof(*device));
	int ret;

	if (!device)
		return -ENOMEM;
	ret = sim_faults_init(&device->faults);
	if (ret) {
		free(device);
		return ret;
	}
	device->options = *options;
	device->options.faults = NULL;
	pthread_mutex_init(&device->lock, NULL);
	pthread_mutex_init(&device->probe_lock, NULL);
	pthread_cond_init(&device->probe_idle, NULL);
	sim_vmas_init(&device->by_host);
	sim_vmas_init(&device->by_offset);
	atomic_init(&device->next_serial, 1);
	*ret_device = device;
	return 0;
}

/* What a later open says of the device must be so. */
static int check_same(const struct sim_options *have, const struct sim_options *want, struct panbind_error *reterr)
{
	const bool differs[SIM_OPTS] = {
		[SIM_OPT_MINOR] = have->minor != want->minor,
		[SIM_OPT_KERNEL] = have->kernel != want->kernel,
		[SIM_OPT_VA_BITS] = have->va_bits != want->va_bits,
		[SIM_OPT_AS_SLOTS] = have->as_slots != want->as_slots,
		[SIM_OPT_ATOMIC] = have->atomic != want->atomic,
	};

	for (unsigned i = 0; i < SIM_OPTS; i++)
		if (want->given & 1u << i && differs[i])
			return sim_options_error(reterr, want->column[i], "device '%s' is open and is not like that",
						 have->name);
	return 0;
}

static struct sim_device *find_named(const char *name)
{
	struct sim_device *device = registry.first;

	while (device && (!*name || strcmp(device->options.name, name) != 0))
		device = device->next;
	return device;
}

/*
 * A name is the same device whenever it is opened, also when nobody had it open in between: a dma-buf that was kept is
 * its own memory (FNV-1a; numbers that are counted do not get there).
 */
static uint64_t serial_of(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (!*name)
		return ++registry.serial;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return hash | UINT64_C(1) << 63;
}

static int get_locked(const struct sim_options *options, struct sim_device **ret_device, struct panbind_error *reterr)
{
	struct sim_device *device = find_named(options->name);
	int ret;

	if (device) {
		ret = check_same(&device->options, options, reterr);
		if (ret)
			return ret;
	} else {
		ret = new_device(options, &device);
		if (ret)
			return ret;
		device->serial = serial_of(options->name);
		device->next = registry.first;
		registry.first = device;
	}
	device->refs++;
	*ret_device = device;
	return 0;
}

int sim_device_get(const struct sim_options *options, struct sim_device **ret_device, struct panbind_error *reterr)
{
	int ret;

	pthread_mutex_lock(&registry.lock);
	ret = get_locked(options, ret_device, reterr);
	pthread_mutex_unlock(&registry.lock);
	return ret;
}

void sim_device_put(struct sim_device *device)
{
	struct sim_device **link = &registry.first;
	bool last;

	pthread_mutex_lock(&registry.lock);
	last = --device->refs == 0;
	if (last) {
		while (*link != device)
			link = &(*link)->next;
		*link = device->next;
	}
	pthread_mutex_unlock(&registry.lock);
	if (last)
		free_device(device);
}
