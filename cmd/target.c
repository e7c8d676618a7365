/* SPDX-License-Identifier: MIT */
/* Opening the device, and saying why it cannot be opened in words that help. See target.h. */
#include "target.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

char *target_denied_node(void)
{
	glob_t nodes;
	char *found = NULL;

	if (glob("/dev/dri/renderD*", 0, NULL, &nodes) != 0)
		return NULL;
	for (size_t i = 0; i < nodes.gl_pathc && !found; i++)
		if (access(nodes.gl_pathv[i], R_OK | W_OK) != 0 && errno == EACCES)
			found = strdup(nodes.gl_pathv[i]);
	globfree(&nodes);
	return found;
}

void target_suggest_simulator(const struct cmd *cmd)
{
	error_note(cmd, 0, "the simulator needs no device: panbind -d sim: %s", cmd->verb);
}

static int say_denied(struct cmd *cmd, const char *path)
{
	error_say(cmd, CMD_DENIED, -EACCES, "%s: not permitted (is this user in the group that owns it?)", path);
	return CMD_DENIED;
}

static int say_missing(struct cmd *cmd, const struct panbind_error *error)
{
	char *denied = strcmp(cmd->device_spec, "drm:auto") == 0 ? target_denied_node() : NULL;
	int status = CMD_NO_DEVICE;

	if (denied)
		status = say_denied(cmd, denied);
	else
		error_report(cmd, error, NULL);
	free(denied);
	target_suggest_simulator(cmd);
	return status;
}

static bool is_missing(int code)
{
	return code == -ENODEV || code == -ENOENT || code == -ENXIO || code == -ENOTTY || code == -ENOTDIR;
}

int target_open(struct cmd *cmd, struct panbind_device **ret_device)
{
	struct error_context context = {.line = cmd->device_spec, .line_size = strlen(cmd->device_spec)};
	struct panbind_error error = {0};
	int code = panbind_device_open(cmd->device_spec, ret_device, &error);

	if (code >= 0)
		return CMD_DONE;
	if (is_missing(code))
		return say_missing(cmd, &error);
	if (!error.file[0])
		snprintf(error.file, sizeof(error.file), "device");
	error_report(cmd, &error, &context);
	if (code == -EACCES || code == -EPERM)
		return CMD_DENIED;
	return code == -EINVAL || code == -ERANGE ? CMD_USAGE : CMD_NO_DEVICE;
}
