/* SPDX-License-Identifier: MIT */
/*
 * The rings of a device as a vhost-user frontend sets them up, and through them the device's own life: vhost-user
 * speaks of rings, a device of features, status and queues.
 *
 * A ring runs once its size, addresses and kick descriptor are there, it is enabled, and the features are known (and
 * the driver is ready, for frontends that tell the status). The first ring that runs starts the device. Stopping
 * all rings does not reset it: the frontend may only have paused the machine. Then a ring that begins elsewhere than it stopped
 * means that a new driver is at work, and the device is reset first.
 *
 * A ring that stops (GET_VRING_BASE) has no request in flight, as the protocol wants it: "the back-end must complete all
 * inflight I/O requests for the specified vring before stopping it". Those that wait for the guest or for a long work are
 * answered by the device's quiesce op, with errors if need be. To keep them and go on with them when the ring goes on would
 * be kinder to a machine that only pauses, but nothing tells a pause from a reset, from a snapshot that another process
 * loads, or from a migration: the frontend saves a position behind them, and whoever starts there never sees them again. The
 * protocol has a feature for that since QEMU 11.0 (GET_VRING_BASE_INFLIGHT, on top of INFLIGHT_SHMFD), which no frontend of a
 * GPU or of video has; it isn't offered.
 *
 * Everything here came from the frontend and is checked when it is used. Thread: the device's loop.
 */
#ifndef MULLION_HOST_VHOST_RINGS_H
#define MULLION_HOST_VHOST_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "host/virtio/device.h"
#include "protocol/vhost_user.h"
#include "protocol/virtio.h"

struct vhost_inflight;
struct vhost_memory;
struct vhost_rings;

/*
 * The driver is ready, for a frontend that told @status. QEMU 10 tells FEATURES_OK of every device and the driver's own bits
 * only of network cards: without them the rings say it.
 */
static inline bool vhost_status_is_ready(uint64_t status)
{
	return status & VIRTIO_CONFIG_S_DRIVER_OK || status == VIRTIO_CONFIG_S_FEATURES_OK;
}

/* Frontends choose the size of a ring; Linux's User Mode takes 256 for every one. */
#define VHOST_RING_MAX_SIZE 1024u

struct vhost_ring {
	struct vhost_rings *rings;
	unsigned index;
	uint16_t size; /* 0: not set */
	bool has_addr, has_kick, enabled, running;
	struct vhost_user_vring_addr addr;
	uint32_t base;
	bool parked; /* stopped by GET_VRING_BASE, at base, since the device was last reset */
	int kick, call, error;
	struct loop_fd watch;
	bool watched;
};

struct vhost_rings {
	struct virtio_device *device;
	struct vhost_memory *memory;
	uint64_t features;
	bool has_features;
	bool in_band;    /* kicks come as messages: rings need no descriptor for them */
	bool has_status; /* the frontend tells the driver's status */
	uint8_t status;
	struct vhost_inflight *inflight; /* the frontend's memory for requests in flight; NULL: none */
	struct vhost_ring ring[VIRTIO_DEVICE_MAX_QUEUES];
};

void vhost_rings_init(struct vhost_rings *r, struct virtio_device *device, struct vhost_memory *memory);
/*
 * Reset the device and forget all that the frontend said. Its memory for requests in flight goes on saying what it says: it
 * may give that to the next of us.
 */
void vhost_rings_forget(struct vhost_rings *r);
/* The same, but the frontend's features and descriptors for interrupts stay: VHOST_USER_RESET_DEVICE. */
void vhost_rings_reset(struct vhost_rings *r);

/*
 * What the frontend said, as the messages of the same names. 0, or -EINVAL, -EBUSY (the ring runs), -EPROTO (the device
 * won't have it). Indexes are checked here. A descriptor (-1: none) that was taken is set to -1.
 */
int vhost_rings_set_features(struct vhost_rings *r, uint64_t features);
int vhost_rings_set_status(struct vhost_rings *r, uint8_t status);
uint8_t vhost_rings_status(const struct vhost_rings *r);
int vhost_rings_set_num(struct vhost_rings *r, uint32_t index, uint32_t num);
int vhost_rings_set_addr(struct vhost_rings *r, const struct vhost_user_vring_addr *addr);
int vhost_rings_set_base(struct vhost_rings *r, uint32_t index, uint32_t base);
int vhost_rings_set_kick(struct vhost_rings *r, uint32_t index, int *fd);
int vhost_rings_set_call(struct vhost_rings *r, uint32_t index, int *fd);
int vhost_rings_set_error(struct vhost_rings *r, uint32_t index, int *fd);
int vhost_rings_enable(struct vhost_rings *r, uint32_t index, bool enable);
int vhost_rings_kick(struct vhost_rings *r, uint32_t index);
/* SET_INFLIGHT_FD: @i is taken on success. */
int vhost_rings_set_inflight(struct vhost_rings *r, struct vhost_inflight *i);

/*
 * GET_VRING_BASE in three steps: requests in flight end first, because nobody answers them afterwards. After pause,
 * park when vhost_rings_in_flight() is 0, or when it has taken too long; it returns where the ring stands. Before that is
 * so, quiesce has the device answer what doesn't end by itself in time.
 */
int vhost_rings_pause(struct vhost_rings *r, uint32_t index);
unsigned vhost_rings_in_flight(const struct vhost_rings *r, uint32_t index);
void vhost_rings_quiesce(struct vhost_rings *r, uint32_t index);
uint32_t vhost_rings_park(struct vhost_rings *r, uint32_t index);

/* No request holds guest memory. */
bool vhost_rings_idle(const struct vhost_rings *r);

/* The device used buffers: signal the call descriptor. False if there is none. */
bool vhost_rings_call(struct vhost_rings *r, unsigned index);
/* The device broke: signal the error descriptors. */
void vhost_rings_report_error(struct vhost_rings *r);

#endif
