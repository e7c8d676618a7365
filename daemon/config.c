/* SPDX-License-Identifier: MIT */
/*
 * Options and the configuration file: one table of keys for both.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "say.h"
#include "util.h"

#define WHY_SIZE 160

const struct limits default_limits = {
	.request_bytes = 4 << 20,
	.ops = 16384,
	.connections = 2048,
	.calls = 4096,
	.pending = 256,
	.output_bytes = 1 << 20,
	.input_bytes = 256 << 20,
};

const struct config_key config_keys[] = {
	{"device", "[NAME=]SPEC", "Serve this device: drm:PATH, drm:auto, sim:OPTIONS or node:FOLDER; repeatable"},
	{"socket", "PATH", "Listen here instead of the usual place"},
	{"log", "PATH|none", "The log; with several devices PATH must have %n, the device's name"},
	{"log-size-cap", "SIZE", "Fold the log's oldest entries above this many bytes (K, M, G); 0: never"},
	{"restore", NULL, "Rebuild from the log what was there when the last daemon ended"},
	{"assume-atomic", NULL, "State that this kernel's page table updates are atomic"},
	{"admin", "WHO", "Users and @groups (or *) with the role admin"},
	{"bind", "WHO", "Users and @groups (or *) that may change VMs and BOs"},
	{"read", "WHO", "Users and @groups (or *) that may look"},
	{"max-connections", "N", "Clients at once (2048)"},
	{"max-request", "SIZE", "Bytes of one request (4M)"},
	{"max-ops", "N", "Ops of one transaction (16384)"},
	{0},
};

void config_init(struct config *config)
{
	*config = (struct config){.limits = default_limits, .verbosity = SAY_NOTICE, .log_size_cap = 1 << 30};
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < config->device_count; i++) {
		free(config->devices[i].name);
		free(config->devices[i].spec);
	}
	free(config->devices);
	free(config->socket);
	free(config->log);
	free(config->config);
	grants_free(&config->grants);
}

static int set_text(char **text, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

static int set_flag(bool *flag, const char *value, char *ret_why)
{
	if (!value || strcmp(value, "yes") == 0)
		*flag = true;
	else if (strcmp(value, "no") == 0)
		*flag = false;
	else
		return snprintf(ret_why, WHY_SIZE, "must be yes or no"), -EINVAL;
	return 0;
}

/** A decimal number, and perhaps one of K, M, G, T behind it. */
static int parse_size(const char *text, uint64_t *ret_size)
{
	static const char suffixes[] = "KMGT";
	unsigned long long number;
	const char *suffix;
	char *end = NULL;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	if (*end && (suffix = strchr(suffixes, *end))) {
		unsigned int shift = 10 * (unsigned int)(suffix - suffixes + 1);

		if (number > UINT64_MAX >> shift)
			return -ERANGE;
		number <<= shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	*ret_size = number;
	return 0;
}

static int set_size(uint64_t *size, const char *value, uint64_t least, uint64_t most, char *ret_why)
{
	uint64_t number = 0;

	if (parse_size(value, &number) < 0 || number < least || number > most) {
		snprintf(ret_why, WHY_SIZE, "must be a number from %llu to %llu", (unsigned long long)least,
			 (unsigned long long)most);
		return -EINVAL;
	}
	*size = number;
	return 0;
}

static int set_grant(struct config *config, enum role role, const char *value, char *ret_why)
{
	char bad[64];
	int r = grants_add(&config->grants, role, value, bad);

	if (r == -ENOENT)
		snprintf(ret_why, WHY_SIZE, "no such user or group: %s", bad);
	return r;
}

/* ---- Devices ---- */

static bool is_device_name(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-')
			return false;
	return size > 0 && size <= 32 && (isalpha((unsigned char)text[0]) || text[0] == '_');
}

/** "NAME=SPEC", or SPEC alone: options of a spec have `=` too, but behind its colon. */
static int split_device(const char *value, size_t index, struct device_option *device)
{
	const char *equals = strchr(value, '='), *colon = strchr(value, ':');
	bool named = equals && colon && equals < colon;

	if (named)
		device->name = strndup(value, (size_t)(equals - value));
	else if (asprintf(&device->name, "gpu%zu", index) < 0)
		device->name = NULL;
	device->spec = strdup(named ? equals + 1 : value);
	return device->name && device->spec ? 0 : -ENOMEM;
}

static int add_device(struct config *config, const char *value, char *ret_why)
{
	struct device_option *grown = reallocarray(config->devices, config->device_count + 1, sizeof(*grown)), *device;
	int r;

	if (!grown)
		return -ENOMEM;
	config->devices = grown;
	device = &grown[config->device_count++];
	*device = (struct device_option){0};
	r = split_device(value, config->device_count - 1, device);
	if (r < 0)
		return r;
	if (!is_device_name(device->name, strlen(device->name)))
		return snprintf(ret_why, WHY_SIZE, "not a name for a device: %.40s", device->name), -EINVAL;
	for (size_t i = 0; i + 1 < config->device_count; i++)
		if (strcmp(grown[i].name, device->name) == 0)
			return snprintf(ret_why, WHY_SIZE, "two devices of the name %.40s", device->name), -EINVAL;
	return 0;
}

/* ---- Keys ---- */

static int set_limit(struct config *config, const char *key, const char *value, char *ret_why)
{
	struct limits *limits = &config->limits;

	if (strcmp(key, "max-connections") == 0)
		return set_size(&limits->connections, value, 1, 1 << 20, ret_why);
	if (strcmp(key, "max-request") == 0)
		return set_size(&limits->request_bytes, value, 1024, 256 << 20, ret_why);
	if (strcmp(key, "max-ops") == 0)
		return set_size(&limits->ops, value, 1, 1 << 20, ret_why);
	return -ENOKEY;
}

static int set_role(struct config *config, const char *key, const char *value, char *ret_why)
{
	for (enum role role = ROLE_READ; role < ROLE_COUNT; role++)
		if (strcmp(key, role_name(role)) == 0)
			return set_grant(config, role, value, ret_why);
	return set_limit(config, key, value, ret_why);
}

int config_set(struct config *config, const char *key, const char *value, char *ret_why)
{
	ret_why[0] = '\0';
	if (strcmp(key, "restore") == 0)
		return set_flag(&config->restore, value, ret_why);
	if (strcmp(key, "assume-atomic") == 0)
		return set_flag(&config->assume_atomic, value, ret_why);
	if (!value)
		return snprintf(ret_why, WHY_SIZE, "needs a value"), -EINVAL;
	if (strcmp(key, "device") == 0)
		return add_device(config, value, ret_why);
	if (strcmp(key, "socket") == 0)
		return set_text(&config->socket, value);
	if (strcmp(key, "log") == 0)
		return set_text(&config->log, value);
	if (strcmp(key, "log-size-cap") == 0)
		return set_size(&config->log_size_cap, value, 0, INT64_MAX, ret_why);
	return set_role(config, key, value, ret_why);
}

/* ---- The file ---- */

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strcspn(text, "#\n");
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	text[len] = '\0';
	return text;
}

static int set_line(struct config *config, char *line, char *ret_why)
{
	char *key = trim(line), *value = strchr(key, '=');
	int r;

	if (!*key)
		return 0;
	if (value) {
		*value++ = '\0';
		value = trim(value);
		key = trim(key);
	}
	r = config_set(config, key, value, ret_why);
	if (r == -ENOKEY)
		snprintf(ret_why, WHY_SIZE, "no such key: %.60s", key);
	else if (r < 0 && !ret_why[0])
		snprintf(ret_why, WHY_SIZE, "%s: %s", key, strerror(-r));
	return r;
}

int config_read(struct config *config, const char *path, char *ret_why)
{
	FILE *file = fopen(path, "re");
	autofree char *line = NULL;
	size_t room = 0;
	unsigned int number = 0;
	char why[WHY_SIZE];
	int r = 0;

	if (!file) {
		r = -errno;
		snprintf(ret_why, WHY_SIZE, "%s", strerror(errno));
		return r;
	}
	while (r == 0 && getline(&line, &room, file) >= 0) {
		number++;
		r = set_line(config, line, why);
	}
	fclose(file);
	if (r < 0)
		snprintf(ret_why, WHY_SIZE, "line %u: %.130s", number, why);
	return r;
}

/* ---- The log's place ---- */

static char *default_log_path(void)
{
	const char *state = getenv("STATE_DIRECTORY"), *home = getenv("XDG_STATE_HOME"), *user = getenv("HOME");
	char *path = NULL;
	int r = -1;

	if (state && *state)
		r = asprintf(&path, "%s/%%n.db", state);
	else if (geteuid() == 0)
		r = asprintf(&path, "/var/lib/panbind/%%n.db");
	else if (home && *home)
		r = asprintf(&path, "%s/panbind/%%n.db", home);
	else if (user && *user)
		r = asprintf(&path, "%s/.local/state/panbind/%%n.db", user);
	return r < 0 ? NULL : path;
}

char *config_log_path(const struct config *config, size_t index)
{
	autofree char *pattern = config->log ? strdup(config->log) : default_log_path();
	char *place = pattern ? strstr(pattern, "%n") : NULL, *path = NULL;

	if (!pattern || strcmp(pattern, "none") == 0)
		return NULL;
	if (!place)
		return take_ptr(pattern);
	*place = '\0';
	return asprintf(&path, "%s%s%s", pattern, config->devices[index].name, place + 2) < 0 ? NULL : path;
}
