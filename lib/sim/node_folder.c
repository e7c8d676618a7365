/* SPDX-License-Identifier: MIT */
/*
 * The folder of a node: its socket, and files for what programs look at before they open a render node, as a kernel
 * shows a platform device that panthor drives. The preload leads paths below /dev/dri and /sys/dev/char/226:* here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node_server.h"

#define SOC    "sys/devices/platform/soc"
#define GPU    SOC "/fb000000.gpu"
#define CHAR   "sys/dev/char/226:128"
#define RENDER GPU "/drm/" NODE_NAME

/* Behind the path of the socket, the name of a sync file's other end has a prefix and 17 bytes; see node_peer.c. */
#define PATH_ROOM \
	(sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof(NODE_SYNC_NAME) - 17 - sizeof("/" NODE_SOCKET))

/* A path that ends with a slash is a folder; with a target, a link; else a file with this text. In order of making. */
static const struct item {
	const char *path, *text, *target;
} items[] = {
	{"dev/", NULL, NULL},
	{"dev/dri/", NULL, NULL},
	{"dev/dri/" NODE_NAME, "", NULL},
	{"dev/dri/by-path/", NULL, NULL},
	{"dev/dri/by-path/platform-fb000000.gpu-render", NULL, "../" NODE_NAME},
	{"sys/", NULL, NULL},
	{"sys/bus/", NULL, NULL},
	{"sys/bus/platform/", NULL, NULL},
	{"sys/bus/platform/drivers/", NULL, NULL},
	{"sys/bus/platform/drivers/panthor/", NULL, NULL},
	{"sys/class/", NULL, NULL},
	{"sys/class/drm/", NULL, NULL},
	{"sys/class/drm/version", "drm 1.1.0 20060810\n", NULL},
	{"sys/class/drm/" NODE_NAME, NULL, "../../devices/platform/soc/fb000000.gpu/drm/" NODE_NAME},
	{"sys/devices/", NULL, NULL},
	{"sys/devices/platform/", NULL, NULL},
	{SOC "/", NULL, NULL},
	{GPU "/", NULL, NULL},
	{GPU "/uevent",
	 "DRIVER=panthor\nOF_NAME=gpu\nOF_FULLNAME=/gpu@fb000000\nOF_COMPATIBLE_0=rockchip,rk3588-mali\n"
	 "OF_COMPATIBLE_1=arm,mali-valhall-csf\nOF_COMPATIBLE_N=2\n"
	 "MODALIAS=of:NgpuT(null)Crockchip,rk3588-maliCarm,mali-valhall-csf\n",
	 NULL},
	{GPU "/modalias", "of:NgpuT(null)Crockchip,rk3588-maliCarm,mali-valhall-csf\n", NULL},
	{GPU "/subsystem", NULL, "../../../../bus/platform"},
	{GPU "/driver", NULL, "../../../../bus/platform/drivers/panthor"},
	{GPU "/drm/", NULL, NULL},
	{RENDER "/", NULL, NULL},
	{RENDER "/dev", "226:128\n", NULL},
	{RENDER "/uevent", "MAJOR=226\nMINOR=128\nDEVNAME=dri/" NODE_NAME "\nDEVTYPE=drm_minor\n", NULL},
	{RENDER "/device", NULL, "../../../fb000000.gpu"},
	{RENDER "/subsystem", NULL, "../../../../../../class/drm"},
	{"sys/dev/", NULL, NULL},
	{"sys/dev/char/", NULL, NULL},
	{CHAR, NULL, "../../devices/platform/soc/fb000000.gpu/drm/" NODE_NAME},
};

#define ITEMS (sizeof(items) / sizeof(items[0]))

static int item_path(const struct panbind_sim *sim, const struct item *item, char *path, size_t size)
{
	int length = snprintf(path, size, "%s/%s", sim->folder, item->path);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

static int write_file(const char *path, const char *text)
{
	size_t size = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, size) != (ssize_t)size)
		ret = -EIO;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int make_item(const struct panbind_sim *sim, const struct item *item)
{
	char path[256];
	int ret = item_path(sim, item, path, sizeof(path));

	if (ret)
		return ret;
	if (item->target)
		return symlink(item->target, path) ? -errno : 0;
	if (!item->text)
		return mkdir(path, 0755) ? -errno : 0;
	return write_file(path, item->text);
}

/* What others may do is decided at the top; below it everything looks as in /dev and /sys, whatever the umask. */
static int make_items(const struct panbind_sim *sim)
{
	char path[256];
	int ret = 0;

	for (size_t i = 0; i < ITEMS && !ret; i++)
		ret = make_item(sim, &items[i]);
	if (!ret)
		ret = item_path(sim, &items[2], path, sizeof(path));
	if (!ret && chmod(path, 0666))
		ret = -errno;
	return ret;
}

static int make_in(struct panbind_sim *sim, const char *where)
{
	int length = snprintf(sim->folder, sizeof(sim->folder), "%s/" NODE_FOLDER "%016llx", where,
			      (unsigned long long)sim->id);

	if (length < 0 || (size_t)length >= sizeof(sim->folder) || (size_t)length > PATH_ROOM)
		return -ENAMETOOLONG;
	return mkdir(sim->folder, 0700) ? -errno : 0;
}

int node_folder_make(struct panbind_sim *sim, struct panbind_error *reterr)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	int ret = -ENOENT;

	if (getrandom(&sim->id, sizeof(sim->id), 0) != (ssize_t)sizeof(sim->id))
		return node_error(reterr, -EIO, "there are no random numbers");
	if (runtime && *runtime == '/')
		ret = make_in(sim, runtime);
	if (ret)
		ret = make_in(sim, "/tmp");
	if (ret)
		return node_error(reterr, ret, "cannot make a folder for the simulated node in /tmp");
	ret = make_items(sim);
	if (!ret)
		return 0;
	node_folder_remove(sim);
	return node_error(reterr, ret, "cannot fill the folder of the simulated node");
}

void node_folder_remove(struct panbind_sim *sim)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" NODE_SOCKET, sim->folder);
	unlink(path);
	for (size_t i = ITEMS; i-- > 0;) {
		const struct item *item = &items[i];

		if (item_path(sim, item, path, sizeof(path)))
			continue;
		if (item->target || item->text)
			unlink(path);
		else
			rmdir(path);
	}
	rmdir(sim->folder);
}
