/* SPDX-License-Identifier: MIT */
/* The virtio-gpu driver's interface to programs (Linux 5.16 and later), of which older headers lack the half. */
#ifndef MULLION_TESTS_LINUX_VIRTGPU_H
#define MULLION_TESTS_LINUX_VIRTGPU_H

#include <stdint.h>
#include <sys/ioctl.h>

struct virtgpu_map {
	uint64_t offset;
	uint32_t handle, pad;
};
struct virtgpu_execbuffer {
	uint32_t flags, size;
	uint64_t command, bo_handles;
	uint32_t num_bo_handles;
	int32_t fence_fd;
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

#define VIRTGPU_MAP _IOWR('d', 0x41, struct virtgpu_map)
#define VIRTGPU_EXECBUFFER _IOWR('d', 0x42, struct virtgpu_execbuffer)
#define VIRTGPU_GETPARAM _IOWR('d', 0x43, struct virtgpu_getparam)
#define VIRTGPU_CREATE_BLOB _IOWR('d', 0x4a, struct virtgpu_create_blob)
#define VIRTGPU_CONTEXT_INIT _IOWR('d', 0x4b, struct virtgpu_context_init)
#define VIRTGPU_PARAM_RESOURCE_BLOB 3
#define VIRTGPU_PARAM_HOST_VISIBLE 4
#define VIRTGPU_MEM_HOST3D 2
#define VIRTGPU_FLAG_USE_MAPPABLE 1
#define VIRTGPU_FLAG_USE_SHAREABLE 2
#define VIRTGPU_FLAG_USE_CROSS_DEVICE 4
#define VIRTGPU_CONTEXT_PARAM_CAPSET_ID 1

#endif
