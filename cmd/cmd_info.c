/* SPDX-License-Identifier: MIT */
/* `panbind info`: what one device is and can do. */
#include <errno.h>
#include <inttypes.h>

#include "error.h"
#include "target.h"

static void version_text(const struct panbind_device_info *info, char text[OUT_NUMBER])
{
	snprintf(text, OUT_NUMBER, "%d.%d.%d", info->version_major, info->version_minor, info->version_patchlevel);
}

/* Architecture and product, as the GPU_ID register has them: "Mali 10.8 (product 7)". */
static void gpu_text(const struct panbind_device_info *info, char text[64])
{
	snprintf(text, 64, "0x%08" PRIx32 " (architecture %" PRIu32 ".%" PRIu32 ".%" PRIu32 ", product %" PRIu32 ")",
		 info->gpu_id, info->gpu_id >> 28, info->gpu_id >> 24 & 0xf, info->gpu_id >> 20 & 0xf,
		 info->gpu_id >> 16 & 0xf);
}

static void page_sizes_text(uint64_t sizes, char *text, size_t room)
{
	char size[OUT_NUMBER];
	size_t used = 0;

	text[0] = '\0';
	for (unsigned bit = 0; bit < 64 && used < room; bit++)
		if (sizes >> bit & 1)
			used += (size_t)snprintf(text + used, room - used, "%s%s", used ? ", " : "",
						 output_size(size, UINT64_C(1) << bit));
}

static void line(const struct cmd *cmd, const char *key, const char *value)
{
	printf("%s%-16s%s %s\n", output_paint(cmd->out.color_stdout, OUT_BOLD), key,
	       output_paint(cmd->out.color_stdout, OUT_PLAIN), value);
}

static void __attribute__((format(printf, 3, 4))) linef(const struct cmd *cmd, const char *key, const char *format, ...)
{
	char value[128];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	line(cmd, key, value);
}

static void print_info(const struct cmd *cmd, const struct panbind_device_info *info)
{
	char text[128], size[OUT_NUMBER];

	linef(cmd, "device", "%s:%s", info->backend, info->path);
	version_text(info, text);
	linef(cmd, "driver", "%s %s", info->driver, text);
	line(cmd, "atomic updates", output_tristate(info->atomic));
	line(cmd, "native sparse", output_tristate(info->native_sparse));
	line(cmd, "BO labels", output_tristate(info->bo_labels));
	gpu_text(info, text);
	line(cmd, "GPU", text);
	linef(cmd, "GPU revision", "0x%08" PRIx32, info->gpu_rev);
	linef(cmd, "CSF", "0x%08" PRIx32, info->csf_id);
	linef(cmd, "virtual bits", "%" PRIu32 " (%s)", info->va_bits,
	      output_size(size, info->va_bits < 64 ? UINT64_C(1) << info->va_bits : 0));
	linef(cmd, "physical bits", "%" PRIu32, info->pa_bits);
	page_sizes_text(info->page_sizes, text, sizeof(text));
	line(cmd, "page sizes", text);
	linef(cmd, "VMs a file", "%" PRIu32, info->max_vms);
	linef(cmd, "address spaces", "%d", __builtin_popcount(info->as_present));
	linef(cmd, "stream groups", "%" PRIu32 " with %" PRIu32 " streams each", info->csg_slots, info->cs_slots);
	linef(cmd, "shader cores", "%d (0x%" PRIx64 ")", __builtin_popcountll(info->shader_present),
	      info->shader_present);
	linef(cmd, "L2, tiler", "0x%" PRIx64 ", 0x%" PRIx64, info->l2_present, info->tiler_present);
}

static json_t *json_page_sizes(uint64_t sizes)
{
	json_t *array = json_array();

	for (unsigned bit = 0; bit < 64; bit++)
		if (sizes >> bit & 1)
			json_array_append_new(array, output_json_hex(UINT64_C(1) << bit));
	return array;
}

static void json_info(const struct cmd *cmd, const struct panbind_device_info *info)
{
	char version[OUT_NUMBER];
	json_t *json = json_object();

	version_text(info, version);
	json_object_set_new(json, "spec", output_json_text(cmd->device_spec));
	json_object_set_new(json, "backend", output_json_text(info->backend));
	json_object_set_new(json, "path", output_json_text(info->path));
	json_object_set_new(json, "driver", output_json_text(info->driver));
	json_object_set_new(json, "version", output_json_text(version));
	json_object_set_new(json, "atomic", output_json_text(output_tristate(info->atomic)));
	json_object_set_new(json, "native_sparse", output_json_text(output_tristate(info->native_sparse)));
	json_object_set_new(json, "bo_labels", output_json_text(output_tristate(info->bo_labels)));
	json_object_set_new(json, "gpu_id", output_json_hex(info->gpu_id));
	json_object_set_new(json, "gpu_rev", output_json_hex(info->gpu_rev));
	json_object_set_new(json, "csf_id", output_json_hex(info->csf_id));
	json_object_set_new(json, "mmu_features", output_json_hex(info->mmu_features));
	json_object_set_new(json, "as_present", output_json_hex(info->as_present));
	json_object_set_new(json, "shader_present", output_json_hex(info->shader_present));
	json_object_set_new(json, "l2_present", output_json_hex(info->l2_present));
	json_object_set_new(json, "tiler_present", output_json_hex(info->tiler_present));
	json_object_set_new(json, "va_bits", json_integer(info->va_bits));
	json_object_set_new(json, "pa_bits", json_integer(info->pa_bits));
	json_object_set_new(json, "page_sizes", json_page_sizes(info->page_sizes));
	json_object_set_new(json, "max_vms", json_integer(info->max_vms));
	json_object_set_new(json, "csg_slots", json_integer(info->csg_slots));
	json_object_set_new(json, "cs_slots", json_integer(info->cs_slots));
	json_object_set_new(cmd->out.doc, "device", json);
}

int cmd_info(struct cmd *cmd, int argc, char **argv)
{
	struct panbind_device_info info;
	struct panbind_device *device;
	int status, error;

	cmd_parse(cmd, NULL, NULL, "", "Show one device in detail.", argc, argv, NULL);
	status = target_open(cmd, &device);
	if (status)
		return status;
	error = panbind_device_get_info(device, &info);
	panbind_device_unref(device);
	if (error)
		return error_say(cmd, CMD_FAILED, error, "%s: cannot be queried: %s", cmd->device_spec,
				 panbind_errno_name(error));
	if (cmd->out.json)
		json_info(cmd, &info);
	else
		print_info(cmd, &info);
	return CMD_DONE;
}
