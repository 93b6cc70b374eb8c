// SPDX-License-Identifier: MIT
/*
 * In a Linux guest: makes a blob of host memory by the virtio-gpu driver, maps it into this process, and looks whether it
 * behaves as memory does. Prints "host_blob ok", or what went wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/linux/virtgpu.h"

#define BYTES (1u << 20)

static void fail(const char *what)
{
	printf("host_blob %s: %s\n", what, strerror(errno));
	exit(1);
}

static int parameter(int fd, uint64_t number)
{
	int value = 0;
	struct virtgpu_getparam p = {.param = number, .value = (uintptr_t)&value};

	return ioctl(fd, VIRTGPU_GETPARAM, &p) < 0 ? 0 : value;
}

static uint32_t *map(int fd, uint32_t handle)
{
	struct virtgpu_map m = {.handle = handle};
	void *at;

	if (ioctl(fd, VIRTGPU_MAP, &m) < 0)
		fail("MAP");
	at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m.offset);
	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static uint32_t make(int fd)
{
	struct virtgpu_create_blob c = {
		.blob_mem = VIRTGPU_MEM_HOST3D, .blob_flags = VIRTGPU_FLAG_USE_MAPPABLE, .size = BYTES};

	if (ioctl(fd, VIRTGPU_CREATE_BLOB, &c) < 0)
		fail("CREATE_BLOB");
	return c.bo_handle;
}

static void expect(const uint32_t *words, uint32_t seed, const char *what)
{
	for (uint32_t i = 0; i < BYTES / 4; i++) {
		if (words[i] == (seed ? seed * 2654435761u + i : 0))
			continue;
		printf("host_blob %s: word %u is 0x%x\n", what, i, words[i]);
		exit(1);
	}
}

int main(void)
{
	struct virtgpu_context_set_param set = {.param = VIRTGPU_CONTEXT_PARAM_CAPSET_ID, .value = 2};
	struct virtgpu_context_init init = {.num_params = 1, .params = (uintptr_t)&set};
	uint32_t handles[8], *words[8];
	int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/dri/renderD128");
	errno = 0;
	if (!parameter(fd, VIRTGPU_PARAM_RESOURCE_BLOB))
		fail("no resource blobs");
	if (!parameter(fd, VIRTGPU_PARAM_HOST_VISIBLE))
		fail("no host-visible region");
	if (ioctl(fd, VIRTGPU_CONTEXT_INIT, &init) < 0)
		fail("CONTEXT_INIT");
	for (uint32_t i = 0; i < 8; i++) {
		handles[i] = make(fd);
		words[i] = map(fd, handles[i]);
		expect(words[i], 0, "is not zero");
		for (uint32_t k = 0; k < BYTES / 4; k++)
			words[i][k] = (i + 1) * 2654435761u + k;
	}
	for (uint32_t i = 0; i < 8; i++) {
		expect(words[i], i + 1, "is not what was written");
		munmap(words[i], BYTES);
		words[i] = map(fd, handles[i]);
		expect(words[i], i + 1, "is not what was written, mapped again");
	}
	puts("host_blob ok");
	return 0;
}
