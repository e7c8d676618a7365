/* SPDX-License-Identifier: MIT */
/*
 * panbindd: options, and the order in which things come up and go down.
 *
 * Devices and logs first: a client that can connect must find them. Down in the reverse order: the loop ends when all
 * is answered, then the executors, then the logs, then the devices.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "discover.h"
#include "engine.h"
#include "say.h"
#include "sdnotify.h"
#include "server.h"
#include "util.h"

#define EXIT_USAGE  2
#define EXIT_DEVICE 3
#define KEY_BASE    0x100 /* options of config_keys have no letters */

enum { KEY_CONFIG = 'c', KEY_FOREGROUND = 'f', KEY_VERBOSE = 'v', KEY_QUIET = 'q', KEY_PRINT = 0x200 };

const char *argp_program_version = "panbindd " PANBIND_VERSION;

struct options {
	struct config *config;
	const char *print;
	bool marks;
	char *file; /* --config, which is read before the other options count */
};

static void print_table(const char *what)
{
	if (strcmp(what, "man") == 0) {
		discover_print_man(stdout);
	} else if (strcmp(what, "methods") == 0) {
		discover_print_names(stdout);
	} else {
		struct jw jw = {0};

		discover_write(&jw, NULL);
		printf("%.*s\n", (int)jw.len, jw.buf);
		jw_free(&jw);
	}
}

static void set_option(struct options *options, struct argp_state *state, const char *key, const char *value)
{
	char why[160];
	int r = config_set(options->config, key, value, why);

	if (r < 0)
		argp_error(state, "--%s: %s", key, why[0] ? why : strerror(-r));
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	char why[160];

	switch (key) {
	case KEY_CONFIG:
		if (config_read(options->config, arg, why) < 0)
			argp_error(state, "%s: %s", arg, why);
		return 0;
	case KEY_FOREGROUND:
		return 0;
	case KEY_VERBOSE:
		options->config->verbosity++;
		return 0;
	case KEY_QUIET:
		options->config->verbosity = SAY_ERROR;
		return 0;
	case KEY_PRINT:
		options->print = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "no such argument: %s", arg);
		return 0;
	default:
		if (key < KEY_BASE || key >= KEY_PRINT)
			return ARGP_ERR_UNKNOWN;
		set_option(options, state, config_keys[key - KEY_BASE].key, arg);
		return 0;
	}
}

/** argp's table: the keys of the configuration, and what only a command line has. */
static struct argp_option *make_options(void)
{
	static const struct argp_option own[] = {
		{"config", KEY_CONFIG, "FILE", 0, "Read options from a file of `key = value` lines", 0},
		{"foreground", KEY_FOREGROUND, NULL, 0, "Stay in the foreground, as it always does", 0},
		{"verbose", KEY_VERBOSE, NULL, 0, "Say more; twice: every connection", 0},
		{"quiet", KEY_QUIET, NULL, 0, "Say errors only", 0},
		{"print", KEY_PRINT, "openrpc|man|methods", 0, "Print the table of methods and exit", 0},
		{0},
	};
	struct argp_option *options;
	size_t count = 0;

	while (config_keys[count].key)
		count++;
	options = calloc(count + ARRAY_SIZE(own), sizeof(*options));
	if (!options)
		return NULL;
	for (size_t i = 0; i < count; i++)
		options[i] = (struct argp_option){
			.name = config_keys[i].key,
			.key = KEY_BASE + (int)i,
			.arg = config_keys[i].value,
			.doc = config_keys[i].help,
		};
	memcpy(options + count, own, sizeof(own));
	return options;
}

/* ---- Engines ---- */

static int check_config(const struct config *config)
{
	if (config->device_count == 0) {
		say(SAY_ERROR, "no device: give --device=drm:auto, or --device=sim: for a simulated one");
		return -EINVAL;
	}
	if (config->device_count > 1 && config->log && strcmp(config->log, "none") != 0 && !strstr(config->log, "%n")) {
		say(SAY_ERROR, "several devices need several logs: --log must have %%n, the device's name");
		return -EINVAL;
	}
	return 0;
}

/** The log's own directory may be missing; more than that is not ours to make. */
static void make_directory(const char *path)
{
	autofree char *directory = strdup(path);
	char *slash = directory ? strrchr(directory, '/') : NULL;

	if (slash && slash != directory) {
		*slash = '\0';
		mkdir(directory, 0750);
	}
}

static int open_engine(const struct config *config, size_t index, struct engine **ret_engine)
{
	autofree char *log_path = config_log_path(config, index);
	struct engine_options options = {
		.name = config->devices[index].name,
		.spec = config->devices[index].spec,
		.log_path = log_path,
		.log_size_cap = config->log_size_cap,
		.restore = config->restore,
		.assume_atomic = config->assume_atomic,
	};

	if (log_path)
		make_directory(log_path);
	return engine_open(&options, ret_engine);
}

static int start_engines(struct engine **engines, size_t count, struct server *server)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = engine_start(engines[i], server);
	return r;
}

static int serve(const struct config *config, struct engine **engines)
{
	struct server server;
	char status[64];
	int r = server_start(&server, config, engines, config->device_count);

	if (r == 0)
		r = start_engines(engines, config->device_count, &server);
	if (r == 0) {
		say(SAY_NOTICE, "listening on %s", server.socket_path ? server.socket_path : "the socket of systemd");
		snprintf(status, sizeof(status), "serving %zu device%s", config->device_count,
			 config->device_count == 1 ? "" : "s");
		sdnotify_ready(status);
		r = server_run(&server);
	}
	for (size_t i = 0; i < config->device_count; i++)
		engine_stop(engines[i]);
	server_finish(&server);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct config *config)
{
	autofree struct engine **engines = calloc(config->device_count, sizeof(struct engine *));
	size_t count = 0;
	int status = EXIT_DEVICE;

	if (!engines)
		return EXIT_FAILURE;
	while (count < config->device_count && open_engine(config, count, &engines[count]) == 0)
		count++;
	if (count == config->device_count)
		status = serve(config, engines);
	while (count > 0)
		engine_close(engines[--count]);
	return status;
}

int main(int argc, char **argv)
{
	static const char doc[] = "Keep GPU address spaces alive, change them for clients, record every change.";
	autofree struct argp_option *table = make_options();
	const struct argp argp = {.options = table, .parser = parse_option, .doc = doc};
	struct config config;
	struct options options = {.config = &config};
	int status = EXIT_USAGE;

	if (!table)
		return EXIT_FAILURE;
	argp_err_exit_status = EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN); /* a client that is gone, */
	signal(SIGXFSZ, SIG_IGN); /* a log that may not grow: both are errors of a write */
	config_init(&config);
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	say_setup(config.verbosity, getenv("JOURNAL_STREAM") != NULL);
	if (options.print) {
		print_table(options.print);
		status = EXIT_SUCCESS;
	} else if (check_config(&config) == 0) {
		status = run(&config);
	}
	config_free(&config);
	return status;
}
