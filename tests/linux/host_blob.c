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

/* The driver's interface (Linux 5.16 and later), of which older headers lack the half. */
struct virtgpu_map {
	uint64_t offset;
	uint32_t handle, pad;
};
struct virtgpu_getparam {
	uint64_t param, value;
};
struct virtgpu_create_blob {
	uint32_t blob_mem, blob_flags, bo_handle, res_handle;
	uint64_t size;
	uint32_t pad, cmd_size;
	uint64_t cmd, blob_id;
};
struct virtgpu_context_set_param {
	uint64_t param, value;
};
struct virtgpu_context_init {
	uint32_t num_params, pad;
	uint64_t params;
};
#define IOCTL_MAP _IOWR('d', 0x41, struct virtgpu_map)
#define IOCTL_GETPARAM _IOWR('d', 0x43, struct virtgpu_getparam)
#define IOCTL_CREATE_BLOB _IOWR('d', 0x4a, struct virtgpu_create_blob)
#define IOCTL_CONTEXT_INIT _IOWR('d', 0x4b, struct virtgpu_context_init)
#define PARAM_RESOURCE_BLOB 3
#define PARAM_HOST_VISIBLE 4
#define MEM_HOST3D 2
#define FLAG_USE_MAPPABLE 1
#define CONTEXT_PARAM_CAPSET_ID 1

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

	return ioctl(fd, IOCTL_GETPARAM, &p) < 0 ? 0 : value;
}

static uint32_t *map(int fd, uint32_t handle)
{
	struct virtgpu_map m = {.handle = handle};
	void *at;

	if (ioctl(fd, IOCTL_MAP, &m) < 0)
		fail("MAP");
	at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m.offset);
	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static uint32_t make(int fd)
{
	struct virtgpu_create_blob c = {.blob_mem = MEM_HOST3D, .blob_flags = FLAG_USE_MAPPABLE, .size = BYTES};

	if (ioctl(fd, IOCTL_CREATE_BLOB, &c) < 0)
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
	struct virtgpu_context_set_param set = {.param = CONTEXT_PARAM_CAPSET_ID, .value = 2};
	struct virtgpu_context_init init = {.num_params = 1, .params = (uintptr_t)&set};
	uint32_t handles[8], *words[8];
	int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/dri/renderD128");
	errno = 0;
	if (!parameter(fd, PARAM_RESOURCE_BLOB))
		fail("no resource blobs");
	if (!parameter(fd, PARAM_HOST_VISIBLE))
		fail("no host-visible region");
	if (ioctl(fd, IOCTL_CONTEXT_INIT, &init) < 0)
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
