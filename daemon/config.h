/* SPDX-License-Identifier: MIT */
/*
 * What the operator asks of the daemon: options and the configuration file, which has the same words.
 */
#ifndef PBD_CONFIG_H
#define PBD_CONFIG_H

#include <stdbool.h>

#include "call.h"
#include "peer.h"

/** `--device [NAME=]SPEC`. */
struct device_option {
	char *name, *spec;
};

struct config {
	struct device_option *devices;
	size_t device_count;
	char *socket, *log, *config;
	bool restore, no_log, assume_atomic;
	uint64_t log_size_cap; /* bytes */
	int verbosity;	       /* enum say_level */
	struct limits limits;
	struct grants grants;
};

void config_init(struct config *config);
void config_free(struct config *config);
/**
 * Set what `--@key=@value` sets. Returns 0, -ENOKEY for an unknown key, or another negative errno with a sentence in
 * @ret_why (of 160 bytes).
 */
int config_set(struct config *config, const char *key, const char *value, char *ret_why);
/** Read a file of `key = value` lines; `#` begins a comment. A failure has been put into @ret_why, with its line. */
int config_read(struct config *config, const char *path, char *ret_why);
/** The path of the log of device @index; NULL: none is kept. To be freed. */
char *config_log_path(const struct config *config, size_t index);
/** A word on each key, for --help and the man page. */
struct config_key {
	const char *key, *value, *help;
};
extern const struct config_key config_keys[];

#endif /* PBD_CONFIG_H */
