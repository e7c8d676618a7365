/* SPDX-License-Identifier: MIT */
/* `panbind devices`: the panthor render nodes of this machine. */
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "target.h"

static const char *sparse_of(const struct panbind_node *node)
{
	return node->version_major > 1 || node->version_minor >= 9 ? "yes" : "no";
}

static void version_text(const struct panbind_node *node, char text[OUT_NUMBER])
{
	snprintf(text, OUT_NUMBER, "%d.%d.%d", node->version_major, node->version_minor, node->version_patchlevel);
}

static void print_nodes(struct cmd *cmd, const struct panbind_node *nodes, size_t count)
{
	static const char *const heads[] = {"DEVICE", "DRIVER", "VERSION", "ATOMIC", "SPARSE"};
	char spec[80], version[OUT_NUMBER];
	struct table table;

	if (!count || table_begin(&table, 5, "lllll", heads))
		return;
	for (size_t i = 0; i < count; i++) {
		snprintf(spec, sizeof(spec), "drm:%s", nodes[i].path);
		version_text(&nodes[i], version);
		table_row(&table, (const char *[]){spec, nodes[i].driver, version, output_tristate(nodes[i].atomic),
						   sparse_of(&nodes[i])});
	}
	table_end(&table, stdout, cmd->out.color_stdout);
}

static void json_nodes(struct cmd *cmd, const struct panbind_node *nodes, size_t count)
{
	json_t *array = json_array();
	char spec[80], version[OUT_NUMBER];

	for (size_t i = 0; i < count; i++) {
		snprintf(spec, sizeof(spec), "drm:%s", nodes[i].path);
		version_text(&nodes[i], version);
		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "device", spec, "path",
						       nodes[i].path, "driver", nodes[i].driver, "version", version,
						       "atomic", output_tristate(nodes[i].atomic), "native_sparse",
						       sparse_of(&nodes[i])));
	}
	json_object_set_new(cmd->out.doc, "devices", array);
}

static int none(struct cmd *cmd)
{
	char *denied = target_denied_node();
	int status;

	if (denied)
		status = error_say(cmd, CMD_DENIED, -EACCES, "%s: not permitted, so it cannot be told what drives it",
				   denied);
	else
		status = error_say(cmd, CMD_NO_DEVICE, -ENODEV, "no render node of this machine is driven by panthor");
	free(denied);
	error_note(cmd, 0, "the simulator needs no device: panbind -d sim: info");
	return status;
}

static int list(struct cmd *cmd)
{
	struct panbind_node *nodes;
	int count = panbind_devices(NULL, 0), again;

	if (count < 0)
		return error_say(cmd, CMD_FAILED, count, "cannot list the render nodes: %s", panbind_errno_name(count));
	nodes = calloc((size_t)count + 1, sizeof(*nodes));
	if (!nodes)
		return error_say(cmd, CMD_FAILED, -ENOMEM, "out of memory");
	again = panbind_devices(nodes, (size_t)count);
	if (again < count)
		count = again < 0 ? 0 : again; /* one went in between */
	if (cmd->out.json)
		json_nodes(cmd, nodes, (size_t)count);
	else
		print_nodes(cmd, nodes, (size_t)count);
	free(nodes);
	return count ? CMD_DONE : none(cmd);
}

int cmd_devices(struct cmd *cmd, int argc, char **argv)
{
	cmd_parse(cmd, NULL, NULL, "", "List the render nodes that panthor drives.", argc, argv, NULL);
	return list(cmd);
}
