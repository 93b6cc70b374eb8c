/* SPDX-License-Identifier: MIT */
/*
 * What a frontend must know of a kind of vhost-user device, because the protocol doesn't tell: one row a kind.
 */
#ifndef MULLION_VMM_VHOST_USER_KINDS_H
#define MULLION_VMM_VHOST_USER_KINDS_H

#include <stdbool.h>
#include <stdint.h>

struct vhost_user_kind {
	const char *name; /* after --vhost-user */
	const char *device_name; /* in lines */
	uint32_t id;	  /* virtio device number */
	uint16_t queue_size;
	uint8_t fixed_queues;  /* these come first, or are all */
	uint8_t request_queues; /* how many more queues= may ask for; 0: none, and no queues= */
	uint32_t config_bytes;
	bool own_config;       /* the config space is made here, and not asked of the backend */
	bool has_tag, has_mac; /* tag= is needed; mac= is taken */
	uint64_t hidden;       /* device features that would need more of a frontend than this one does */
};

/* The row of @name, or NULL. */
const struct vhost_user_kind *vhost_user_find_kind(const char *name);

/* Longest tag of a shared folder, in bytes. */
#define VHOST_USER_TAG_MAX 36u

#endif
