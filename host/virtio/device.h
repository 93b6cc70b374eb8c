/* SPDX-License-Identifier: MIT */
/*
 * The device class. A device knows guest memory, its queues and its own ops, never its transport; the same code
 * runs inside mullion, in a worker and as a vhost-user device.
 *
 * Thread: the device's loop, for every call and every op, unless a line says otherwise.
 */
#ifndef MULLION_HOST_VIRTIO_DEVICE_H
#define MULLION_HOST_VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/log.h"
#include "host/virtio/queue.h"
#include "host/virtio/shmem.h"

struct counters;
struct guest_mem;
struct loop;

/* The eventfds of one queue: the guest rings @doorbell; what is written to @call interrupts it. The transport's. */
struct virtio_queue_fds {
	int doorbell, call;
};

/*
 * For a device whose queues another process serves (a vhost-user frontend): its rings are not touched here, the
 * transport hands doorbells and interrupts over by eventfds, and it offers the ring features of that process.
 */
struct virtio_outside_ops {
	/* @fds[queue_count] are there until the next call, which is with NULL. Returns 0 or a negative errno. */
	int (*attach)(struct virtio_device *d, const struct virtio_queue_fds *fds);
	/* From DRIVER_OK on, before the start op, and later for single queues. -EINVAL: @setup is wrong. */
	int (*start_queue)(struct virtio_device *d, unsigned q, const struct virtq_setup *setup);
	void (*stop_queue)(struct virtio_device *d, unsigned q); /* also of one that never started */
};

struct virtio_device_ops {
	const char *name;
	uint32_t id;               /* virtio device number */
	uint64_t features;         /* device-specific features offered; the class adds the ring features */
	const uint16_t *queue_max; /* zero-terminated */
	uint32_t config_bytes;     /* size of the config space; accesses past it read 0 and write nothing */
	int (*start)(struct virtio_device *d);            /* DRIVER_OK: features are final, queues started */
	void (*kick)(struct virtio_device *d, unsigned q); /* new buffers may be on q */
	void (*reset)(struct virtio_device *d);           /* finish every pending chain, forget the guest */
	/*
	 * The queue is about to stop, and gives no new requests: answer those of @q that wait for something else than a
	 * moment of work, with an error where they were not done. Their memory isn't written afterwards. The device
	 * keeps what the driver made; it may go on. NULL: it holds none for long.
	 */
	void (*quiesce)(struct virtio_device *d, unsigned q);
	/*
	 * The queue has stopped without a reset, and may start again, which kick tells: no memory of the guest's is written
	 * until then, not even buffers that no request in flight holds. NULL: the device has none of those.
	 */
	void (*stopped)(struct virtio_device *d, unsigned q);
	/* Copy n bytes at off, within config_bytes. Returns 0 or -EINVAL for what may not be written. */
	int (*config)(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write);
	void (*destroy)(struct virtio_device *d);         /* frees the object; called once, after reset */
	/* Append what it counted since it was made (counters.h). NULL: it counts nothing. */
	void (*count)(struct virtio_device *d, struct counters *out);
	const struct virtio_outside_ops *outside;         /* NULL: the queues are served here */
};

/* What a device needs of its transport. Thread: the device's loop calls; must not block. */
struct virtio_transport_ops {
	void (*interrupt)(void *owner, unsigned queue); /* used buffers on @queue */
	void (*config_changed)(void *owner);            /* config space or NEEDS_RESET changed */
	void (*progress)(void *owner);                  /* virtio_device_progress(); NULL: nobody wants to know */
};

#define VIRTIO_DEVICE_MAX_QUEUES 16

/* Embedded first in every device; the fields are read by devices and transports, written by device.c. */
struct virtio_device {
	const struct virtio_device_ops *ops;
	struct loop *loop;
	const struct guest_mem *mem;
	const struct virtio_transport_ops *transport;
	void *transport_owner;
	uint64_t offered;    /* features */
	uint64_t negotiated; /* final once FEATURES_OK is set */
	uint8_t status;      /* VIRTIO_CONFIG_S_* */
	bool broken;
	uint32_t config_generation;
	unsigned queue_count;
	struct virtq *queues[VIRTIO_DEVICE_MAX_QUEUES];
	struct virtio_shmem_region shmem; /* see shmem.h */
	const struct virtio_shmem_ops *shmem_home;
	void *shmem_owner;
	struct log_limit log_limit; /* for log_guest() by the class and by the device */
};

/*
 * Set up the embedded base: @offered is ops->features as narrowed or widened by the device's configuration.
 * @loop and @mem are borrowed and outlive the device. Returns 0 or -ENOMEM.
 */
int virtio_device_init(struct virtio_device *d, const struct virtio_device_ops *ops, uint64_t offered,
		       struct loop *loop, const struct guest_mem *mem);
/* Undo of init, called by a device's own destroy op. */
void virtio_device_finish(struct virtio_device *d);
/* Reset, then ops->destroy. NULL is fine. */
void virtio_device_destroy(struct virtio_device *d);

/* ---- for devices ---- */
static inline bool virtio_device_has(const struct virtio_device *d, unsigned feature)
{
	return (d->negotiated >> feature) & 1;
}
/* Tell the driver that the config space changed (generation counts up). */
void virtio_device_config_changed(struct virtio_device *d);
/*
 * A step of a long work is done for which the device keeps its loop, as it does when it is made again after the death of its
 * process: whoever watches over the process does not take all of it for a hang. Cheap.
 */
void virtio_device_progress(struct virtio_device *d);
/*
 * The guest broke a ring: queues stop, NEEDS_RESET is set, the driver is told; the VM lives. Chains in flight may
 * still be finished (they are only freed). Once broken, nothing happens until the reset.
 */
void virtio_device_break(struct virtio_device *d, const char *why);
/* The same with the queue's number in the log line. */
void virtio_device_break_queue(struct virtio_device *d, unsigned q, const char *why);

/* ---- for transports ---- */
/* Bind before the guest runs. */
void virtio_device_set_transport(struct virtio_device *d, const struct virtio_transport_ops *ops, void *owner);
/* The driver's feature word so far; ignored once FEATURES_OK is set. */
void virtio_device_set_features(struct virtio_device *d, uint64_t features);
/*
 * The driver wrote @status (section 2.1, 3.1.1). 0 resets. FEATURES_OK is left out of d->status when the features
 * make no sense (bits not offered, VERSION_1 missing). Queues are started when DRIVER_OK arrives, from
 * @setups[queue_count] (size 0: not enabled).
 */
void virtio_device_set_status(struct virtio_device *d, uint8_t status, const struct virtq_setup *setups);
/* A doorbell for queue @q; ignored before DRIVER_OK, when broken, or for a queue that is not started. */
void virtio_device_kick(struct virtio_device *d, unsigned q);
/* One queue alone (VIRTIO_F_RING_RESET is not offered, vhost-user needs it): start and stop. */
int virtio_device_start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *setup);
void virtio_device_stop_queue(struct virtio_device *d, unsigned q);
/*
 * Before a queue is stopped without a reset, and paused already (virtq_pause()): what the device holds of it is answered,
 * as far as it can be without waiting. See virtq_in_flight() for the rest.
 */
void virtio_device_quiesce_queue(struct virtio_device *d, unsigned q);
/* Config space access of any size and offset, checked here. */
void virtio_device_config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write);

#endif
