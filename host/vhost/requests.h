/* SPDX-License-Identifier: MIT */
/* What is known of the requests of a frontend without looking at a device. Thread: any. */
#ifndef MULLION_HOST_VHOST_REQUESTS_H
#define MULLION_HOST_VHOST_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

struct message;

/*
 * The protocol features that a device server offers. @in_band: notifications by messages too; @tracked: it keeps what is in
 * flight, and so can have a frontend keep it too; @has_shmem: the device has a shared memory region; @has_objects: it shares
 * virtio objects.
 */
uint64_t vhost_protocol_features(bool in_band, bool tracked, bool has_shmem, bool has_objects);

/* Known, and size and number of descriptors are possible: 0, or -EPROTO after a line that says what is wrong. */
int vhost_request_check(const struct message *m);

/* It is answered with a payload of its own, whether or not VHOST_USER_NEED_REPLY is set. */
bool vhost_request_replies(uint32_t request);

#endif
