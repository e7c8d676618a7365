/* SPDX-License-Identifier: MIT */
/* `panbind log`: which of its commands is meant. Each has options of its own and a file of its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "logfile.h"

static const struct {
	const char *name, *args, *help;
	int (*run)(struct cmd *cmd, int argc, char **argv);
} subs[] = {
	{"show", "", "list entries: by VM, address, time, status, peer", log_show},
	{"follow", "", "print entries as they are committed", log_follow},
	{"blame", "VM VA", "who last bound an address, and when", log_blame},
	{"state", "VM", "what a VM mapped after an entry, as a script", log_state},
	{"diff", "SEQ1 SEQ2 VM", "what changed in a VM between two entries", log_diff},
	{"status", "", "how large it is, what it holds", log_status},
	{"verify", "", "check it against itself", log_verify},
	{"compact", "", "fold old entries into its snapshot", log_compact},
	{"query", "SQL", "ask it in SQL, read-only", log_query},
	{"export", "", "write it as JSON lines, or for ui.perfetto.dev", log_export},
	{"import", "FILE|- LOG", "make a new log of an export", log_import},
};

#define SUBS (sizeof(subs) / sizeof(subs[0]))

static char *doc(void)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fputs("Read the log of a daemon. None of these needs the daemon itself.\n\n", stream);
	for (size_t i = 0; i < SUBS; i++)
		fprintf(stream, "  %-8s %s\n", subs[i].name, subs[i].help);
	fputs("\v'panbind log COMMAND --help' tells about one of them.", stream);
	fclose(stream);
	return text;
}

int cmd_log(struct cmd *cmd, int argc, char **argv)
{
	char *text = doc(), name[64];
	int at = cmd_parse_sub(cmd, "COMMAND [ARG...]", text, argc, argv);

	free(text);
	for (size_t i = 0; i < SUBS; i++) {
		if (strcmp(subs[i].name, argv[at]) != 0)
			continue;
		snprintf(name, sizeof(name), "panbind log %s", subs[i].name);
		argv[at] = name;
		return subs[i].run(cmd, argc - at, argv + at);
	}
	cmd_options_done(cmd);
	return error_say(cmd, CMD_USAGE, -EINVAL, "log has no command '%s' (see 'panbind log --help')", argv[at]);
}
