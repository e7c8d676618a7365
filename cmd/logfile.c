/* SPDX-License-Identifier: MIT */
/*
 * Finding and opening a log. Reading needs no daemon: the file is read as it is, also while a daemon writes it.
 */
#include "logfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "error.h"
#include "number.h"

/* What panbindd does without --log, for a daemon that is not there to be asked. */
static char *default_path(const struct cmd *cmd)
{
	const char *gpu = cmd->gpu ? cmd->gpu : "gpu0", *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int r = -1;

	if (geteuid() == 0)
		r = asprintf(&path, "/var/lib/panbind/%s.db", gpu);
	else if (state && *state)
		r = asprintf(&path, "%s/panbind/%s.db", state, gpu);
	else if (home && *home)
		r = asprintf(&path, "%s/.local/state/panbind/%s.db", home, gpu);
	return r < 0 ? NULL : path;
}

/* NULL: nobody to ask, or a daemon without a log. */
static char *ask_path(struct cmd *cmd)
{
	struct client client;
	json_t *result = NULL, *error = NULL;
	const char *path;
	char *copy = NULL;

	if (client_open_if_there(&client, cmd) == CMD_DONE &&
	    client_ask(&client, "journal.status", NULL, CLIENT_LOOKS, &result, &error) == CMD_DONE) {
		path = client_text(result, "path");
		copy = path ? strdup(path) : NULL;
	}
	json_decref(result);
	json_decref(error);
	client_close(&client);
	return copy;
}

int logfile_path(struct cmd *cmd, const char *given, char **ret_path)
{
	char *path = given ? strdup(given) : ask_path(cmd);

	if (!path && !given)
		path = default_path(cmd);
	if (!path)
		return error_say(cmd, CMD_USAGE, -ENOENT, "no log is named (--log=FILE), and no daemon has one");
	*ret_path = path;
	return CMD_DONE;
}

int logfile_fail(struct cmd *cmd, const char *path, const struct panbind_error *error)
{
	int code = error->code, status = CMD_FAILED;

	if (code == -EACCES || code == -EPERM)
		status = CMD_DENIED;
	else if (code == -ENOENT || code == -EBADMSG || code == -EPROTONOSUPPORT || code == -EINVAL || code == -EISDIR)
		status = CMD_USAGE;
	return error_say(cmd, status, code, "%s: %s", path, error->msg[0] ? error->msg : strerror(-code));
}

int logfile_open(struct cmd *cmd, const char *given, struct panbind_log **ret_log)
{
	struct panbind_error error = {0};
	char *path = NULL;
	int status = logfile_path(cmd, given, &path);

	if (status)
		return status;
	error.code = panbind_log_open(path, PANBIND_LOG_READ_ONLY, NULL, ret_log, &error);
	if (error.code < 0)
		status = logfile_fail(cmd, path, &error);
	free(path);
	return status;
}

int logfile_parse_ref(char *text, struct panbind_log_ref *ret_ref)
{
	char *hash = strchr(text, '#');

	*ret_ref = (struct panbind_log_ref){.name = text};
	if (!hash)
		return *text ? 0 : -EINVAL;
	*hash = '\0';
	return *text ? number_parse(hash + 1, &ret_ref->generation) : -EINVAL;
}
