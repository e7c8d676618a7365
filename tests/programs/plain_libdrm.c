/* SPDX-License-Identifier: MIT */
/* A render node by way of libdrm, as Mesa goes about it. */
#include <linux/dma-buf.h>
#include <xf86drm.h>

#include "scenario.h"

/* Found by looking through /dev/dri and sysfs. */
static void finds_devices(void)
{
	drmDevicePtr devices[8], same;
	int count = drmGetDevices2(0, devices, 8), fd;
	char *name;

	CHECK(count == 1);
	CHECK(drmGetDevices2(0, NULL, 0) == 1);
	CHECK(devices[0]->bustype == DRM_BUS_PLATFORM);
	CHECK(devices[0]->available_nodes == 1 << DRM_NODE_RENDER);
	CHECK(strcmp(devices[0]->nodes[DRM_NODE_RENDER], NODE) == 0);
	CHECK(strcmp(devices[0]->businfo.platform->fullname, "/gpu@fb000000") == 0);
	CHECK(strcmp(devices[0]->deviceinfo.platform->compatible[1], "arm,mali-valhall-csf") == 0);
	fd = open(devices[0]->nodes[DRM_NODE_RENDER], O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(drmGetDevice2(fd, 0, &same) == 0);
	CHECK(drmDevicesEqual(devices[0], same));
	CHECK(drmGetNodeTypeFromFd(fd) == DRM_NODE_RENDER);
	name = drmGetRenderDeviceNameFromFd(fd);
	CHECK(name && strcmp(name, NODE) == 0);
	free(name);
	name = drmGetDeviceNameFromFd2(fd);
	CHECK(name && strcmp(name, NODE) == 0);
	free(name);
	drmFreeDevice(&same);
	drmFreeDevices(devices, count);
	close(fd);
}

static void asks_version(void)
{
	int fd = open_node();
	drmVersionPtr version = drmGetVersion(fd);
	uint64_t value = 0;

	CHECK(version && strcmp(version->name, "panthor") == 0);
	CHECK(version->version_major == 1);
	drmFreeVersion(version);
	CHECK(drmGetCap(fd, DRM_CAP_PRIME, &value) == 0 && value == 3);
	CHECK(drmGetCap(fd, DRM_CAP_SYNCOBJ_TIMELINE, &value) == 0 && value == 1);
	CHECK(drmGetCap(fd, DRM_CAP_DUMB_BUFFER, &value) != 0);
	CHECK(drmIsMaster(fd) == 0);
	close(fd);
	/* By driver's name, as old programs go about it. */
	fd = drmOpenWithType("panthor", NULL, DRM_NODE_RENDER);
	CHECK(fd >= 0);
	close(fd);
}

static void shares_buffers(void)
{
	int a = open_node(), b = open_node(), buffer, again;
	uint32_t bo = make_bo(a, 4 * PAGE), there, here;
	char *memory, *seen;

	CHECK(drmPrimeHandleToFD(a, bo, DRM_CLOEXEC | DRM_RDWR, &buffer) == 0);
	CHECK(fcntl(buffer, F_GETFD) == FD_CLOEXEC);
	CHECK(lseek(buffer, 0, SEEK_END) == (off_t)(4 * PAGE));
	CHECK(drmPrimeFDToHandle(a, buffer, &here) == 0 && here == bo);
	CHECK(drmPrimeFDToHandle(b, buffer, &there) == 0);
	CHECK(drmPrimeHandleToFD(b, there, 0, &again) == 0);
	CHECK(fcntl(again, F_GETFD) == 0);
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a, (off_t)mmap_offset(a, bo));
	seen = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, buffer, 0);
	CHECK(memory != MAP_FAILED && seen != MAP_FAILED);
	CHECK(ioctl(buffer, DMA_BUF_IOCTL_SYNC, &(struct dma_buf_sync){DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW}) == 0);
	CHECK_ERRNO(ioctl(buffer, DMA_BUF_IOCTL_SYNC, &(struct dma_buf_sync){DMA_BUF_SYNC_START}), EINVAL);
	CHECK_ERRNO(ioctl(fileno(stdin), DMA_BUF_IOCTL_SYNC, &(struct dma_buf_sync){DMA_BUF_SYNC_RW}), ENOTTY);
	strcpy(memory, "shared");
	CHECK(strcmp(seen, "shared") == 0);
	CHECK(map_bo(b, make_vm(b), there, 0x10000, 4 * PAGE) == 0);
	CHECK(drmCloseBufferHandle(a, bo) == 0);
	CHECK(close(a) == 0);
	CHECK(strcmp(seen, "shared") == 0);
	CHECK(drmPrimeFDToHandle(b, -1, &here) == -1 && errno == EBADF);
	CHECK(drmPrimeFDToHandle(b, 0, &here) == -1 && errno == EINVAL);
	CHECK(drmPrimeHandleToFD(b, 99, 0, &again) == -1 && errno == ENOENT);
}

static void uses_syncobjs(void)
{
	int fd = open_node(), file, other = open_node(), shared;
	uint32_t a, b, timeline, imported, first = 99;
	uint64_t points[1] = {3}, point = 0;

	CHECK(drmSyncobjCreate(fd, 0, &a) == 0 && drmSyncobjCreate(fd, DRM_SYNCOBJ_CREATE_SIGNALED, &b) == 0);
	CHECK(drmSyncobjCreate(fd, 0, &timeline) == 0);
	CHECK(drmSyncobjWait(fd, (uint32_t[]){a, b}, 2, 0, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, &first) == 0);
	CHECK(first == 1);
	CHECK(drmSyncobjWait(fd, &a, 1, 0, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT, &first) == -ETIME);
	CHECK(drmSyncobjExportSyncFile(fd, b, &file) == 0);
	CHECK(drmSyncobjImportSyncFile(fd, a, file) == 0);
	CHECK(drmSyncobjWait(fd, &a, 1, 0, 0, NULL) == 0);
	CHECK(drmSyncobjReset(fd, &a, 1) == 0 && drmSyncobjSignal(fd, &a, 1) == 0);
	CHECK(drmSyncobjTimelineSignal(fd, &timeline, points, 1) == 0);
	CHECK(drmSyncobjQuery(fd, &timeline, &point, 1) == 0 && point == 3);
	CHECK(drmSyncobjTimelineWait(fd, &timeline, points, 1, 0, 0, NULL) == 0);
	CHECK(drmSyncobjTransfer(fd, a, 0, timeline, 3, 0) == 0);
	CHECK(drmSyncobjHandleToFD(fd, timeline, &shared) == 0);
	CHECK(drmSyncobjFDToHandle(other, shared, &imported) == 0);
	CHECK(drmSyncobjQuery(other, &imported, &point, 1) == 0 && point == 3);
	CHECK(drmSyncobjDestroy(fd, a) == 0 && drmSyncobjDestroy(fd, a) != 0);
}

int main(int argc, char **argv)
{
	static const struct scene scenes[] = {
		{"finds_devices", finds_devices},
		{"asks_version", asks_version},
		{"shares_buffers", shares_buffers},
		{"uses_syncobjs", uses_syncobjs},
		{NULL, NULL},
	};

	return play_scene(scenes, argc, argv);
}
