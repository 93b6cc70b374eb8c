/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * vhost-user: a VMM (the frontend) lends a device to another process (the backend) over a stream socket. Numbers and
 * layouts as in QEMU's docs/interop/vhost-user.rst. All fields are in the host's byte order.
 */
#ifndef MULLION_PROTOCOL_VHOST_USER_H
#define MULLION_PROTOCOL_VHOST_USER_H

#include <stdint.h>

/* "Header": flags are a version, and two bits. */
#define VHOST_USER_VERSION 1u
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_REPLY (1u << 2)
#define VHOST_USER_NEED_REPLY (1u << 3)

/* Bits of the feature word that are the transport's, not the device's. */
#define VHOST_USER_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* "Protocol features" */
#define VHOST_USER_PROTOCOL_F_MQ 0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ 5
#define VHOST_USER_PROTOCOL_F_CONFIG 9
#define VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD 10
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD 12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE 13
#define VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS 14
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS 15
#define VHOST_USER_PROTOCOL_F_STATUS 16
#define VHOST_USER_PROTOCOL_F_SHARED_OBJECT 18
#define VHOST_USER_PROTOCOL_F_SHMEM 22 /* QEMU 11.1; drafts had it at 20 and 21 */

/* "Front-end message types" */
#define VHOST_USER_GET_FEATURES 1
#define VHOST_USER_SET_FEATURES 2
#define VHOST_USER_SET_OWNER 3
#define VHOST_USER_RESET_OWNER 4
#define VHOST_USER_SET_MEM_TABLE 5
#define VHOST_USER_SET_VRING_NUM 8
#define VHOST_USER_SET_VRING_ADDR 9
#define VHOST_USER_SET_VRING_BASE 10
#define VHOST_USER_GET_VRING_BASE 11
#define VHOST_USER_SET_VRING_KICK 12
#define VHOST_USER_SET_VRING_CALL 13
#define VHOST_USER_SET_VRING_ERR 14
#define VHOST_USER_GET_PROTOCOL_FEATURES 15
#define VHOST_USER_SET_PROTOCOL_FEATURES 16
#define VHOST_USER_GET_QUEUE_NUM 17
#define VHOST_USER_SET_VRING_ENABLE 18
#define VHOST_USER_SET_BACKEND_REQ_FD 21
#define VHOST_USER_GET_CONFIG 24
#define VHOST_USER_SET_CONFIG 25
#define VHOST_USER_GET_INFLIGHT_FD 31
#define VHOST_USER_SET_INFLIGHT_FD 32
#define VHOST_USER_GPU_SET_SOCKET 33
#define VHOST_USER_RESET_DEVICE 34
#define VHOST_USER_VRING_KICK 35
#define VHOST_USER_GET_MAX_MEM_SLOTS 36
#define VHOST_USER_ADD_MEM_REG 37
#define VHOST_USER_REM_MEM_REG 38
#define VHOST_USER_SET_STATUS 39
#define VHOST_USER_GET_STATUS 40
#define VHOST_USER_GET_SHARED_OBJECT 41 /* answered with the same, and the descriptor if there is one */
#define VHOST_USER_GET_SHMEM_CONFIG 44

/* "Back-end message types" */
#define VHOST_USER_BACKEND_CONFIG_CHANGE_MSG 2
#define VHOST_USER_BACKEND_VRING_CALL 4
#define VHOST_USER_BACKEND_VRING_ERR 5
#define VHOST_USER_BACKEND_SHARED_OBJECT_ADD 6
#define VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE 7
#define VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP 8 /* answered with 0 and the descriptor, or with another number */
#define VHOST_USER_BACKEND_SHMEM_MAP 9		  /* with the descriptor */
#define VHOST_USER_BACKEND_SHMEM_UNMAP 10

/* In the 64-bit payload of SET_VRING_KICK, CALL and ERR. */
#define VHOST_USER_VRING_INDEX_MASK 0xffull
#define VHOST_USER_VRING_NO_FD (1ull << 8)

#define VHOST_USER_MAX_REGIONS 8   /* of one SET_MEM_TABLE */
#define VHOST_USER_MAX_CONFIG 256u /* bytes of config space */

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload, in bytes */
};

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags; /* bit 0: log writes */
	/* User addresses, as regions have them. */
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log; /* guest address */
};

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user; /* where the frontend maps it: what ring addresses are given in */
	uint64_t mmap_offset;
};

struct vhost_user_mem_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_mem_reg {
	uint64_t padding;
	struct vhost_user_region region;
};

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VHOST_USER_MAX_CONFIG];
};

/* "Inflight description". Frontends send it with or without the 4 bytes that C adds at its end. */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding;
};

#define VHOST_USER_INFLIGHT_BYTES 20u

/* "Inflight I/O tracking": a region a queue, one behind the other. Split rings; DescStateSplit by head index. */
#define VHOST_USER_INFLIGHT_VERSION 1u /* 0: nothing is in there */

struct vhost_user_inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* of the last batch of used ones */
	uint64_t counter;
};

/* What regions of both kinds begin with. */
struct vhost_user_inflight_head {
	uint64_t features; /* 0 */
	uint16_t version;
	uint16_t desc_num;
};

struct vhost_user_inflight_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct vhost_user_inflight_split_desc desc[];
};

/* Packed rings: entries in lists; a request has as many as it has descriptors. */
struct vhost_user_inflight_packed_desc {
	uint8_t inflight; /* of the first entry of a request, as num, last and counter */
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

struct vhost_user_inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap_counter;
	uint8_t old_used_wrap_counter;
	uint8_t padding[7];
	struct vhost_user_inflight_packed_desc desc[];
};

/* "VhostUserShared" */
struct vhost_user_object {
	uint8_t uuid[16];
};

/* "VIRTIO Shared Memory Region configuration": sizes by id, 0 for none; @count of them are not 0. */
#define VHOST_USER_SHMEM_IDS 256u
struct vhost_user_shmem_config {
	uint32_t count;
	uint32_t padding;
	uint64_t sizes[VHOST_USER_SHMEM_IDS];
};

/* "MMAP request" */
#define VHOST_USER_SHMEM_WRITABLE 1ull
struct vhost_user_shmem_map {
	uint8_t id; /* of the region */
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t offset; /* in the region */
	uint64_t length;
	uint64_t flags;
};

#endif
