/* SPDX-License-Identifier: MIT */
/*
 * share.c - a program that shares its GPU VM with the operators of panbindd
 *
 *     cc share.c $(pkg-config --cflags --libs panbind) -o share
 *     ./share /dev/dri/renderD128 demo
 *
 * It maps a page and tells, for each line of its standard input, what its GPU reads there. Meanwhile an operator does
 *
 *     panbind bo create other 64K
 *     panbind map demo 0x100000 64K other
 *
 * and the next line is about the operator's page. Without a name as the second argument it shares nothing: then
 * 'panbind attach PID demo' takes its VM over. On a real GPU, where reading takes a job, the lines say only that.
 */
#include <fcntl.h>
#include <panbind.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VA   0x100000u
#define SIZE 0x10000u

static int fail(const char *what, const struct panbind_error *error)
{
	fprintf(stderr, "share: %s: %s\n", what, error->msg);
	return 1;
}

/* One page with a word in it, mapped, and one that is private to the VM: operators cannot tell what that is. */
static int fill(struct panbind_device *device, struct panbind_vm *vm, struct panbind_error *error)
{
	struct panbind_bo *bo = NULL, *secret = NULL;
	void *bytes;
	int ret = panbind_bo_create(device, SIZE, 0, NULL, &bo, error);

	if (ret == 0)
		ret = panbind_bo_mmap(bo, &bytes);
	if (ret == 0) {
		memcpy(bytes, "mine", 4);
		ret = panbind_vm_map(vm, VA, SIZE, bo, 0, 0, error);
	}
	if (ret == 0)
		ret = panbind_bo_create(device, SIZE, PANBIND_BO_NO_MMAP, vm, &secret, error);
	if (ret == 0)
		ret = panbind_vm_map(vm, 2 * VA, SIZE, secret, 0, PANBIND_MAP_NOEXEC, error);
	panbind_bo_unref(secret);
	panbind_bo_unref(bo); /* the mappings keep them */
	return ret;
}

static void tell(struct panbind_vm *vm)
{
	char word[5] = "";
	int ret = panbind_vm_gpu_load(vm, VA, word, 4);

	if (ret == 0)
		printf("the GPU reads: %s\n", word);
	else
		printf("the GPU reads nothing: %s\n", panbind_errno_name(ret));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	struct panbind_error error = {0};
	struct panbind_device *device;
	struct panbind_vm *vm;
	char line[256];

	if (fd < 0) {
		fprintf(stderr, "usage: share /dev/dri/renderD128 [NAME]\n");
		return 2;
	}
	if (panbind_device_open_fd(fd, &device, &error) < 0)
		return fail(argv[1], &error);
	if (panbind_vm_create(device, 0, &vm, &error) < 0 || fill(device, vm, &error) < 0)
		return fail("cannot make a VM", &error);
	panbind_vm_gpu_resident(vm, 1); /* as a running job does; a simulated GPU only */

	if (argc > 2 && panbind_vm_share(vm, argv[2], NULL, &error) < 0)
		return fail("cannot share it", &error);

	printf("VM %u of process %d\n", panbind_vm_id(vm), (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		tell(vm);
	panbind_vm_destroy(vm);
	panbind_device_unref(device);
	close(fd);
	return 0;
}
