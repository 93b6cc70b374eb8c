/* SPDX-License-Identifier: MIT */
/*
 * What virtio-mmio and virtio-pci share: feature words, device status, the registers of the queues, and one doorbell
 * (eventfd) a queue. The two transports differ only in where a driver finds these registers and in how interrupts
 * leave.
 *
 * Every value here was written by the guest: it is kept as it came, and checked by the call that uses it.
 *
 * Thread: the device's loop for every call, unless a line says otherwise.
 */
#ifndef MULLION_VMM_VIRTIO_TRANSPORT_H
#define MULLION_VMM_VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/device.h"

struct shmem_window;
struct vm;
struct virtio_transport;

/* Where a ring area's address is: the three registers of a queue. */
enum transport_area { TRANSPORT_DESC, TRANSPORT_DRIVER, TRANSPORT_DEVICE };

struct transport_queue {
	struct virtio_transport *transport;
	unsigned index;
	struct virtq_setup setup;
	bool enabled;
	int doorbell; /* KVM writes it (ioeventfd), the loop watches it, or another process (struct virtio_outside_ops) */
	struct loop_fd watch;
	int call; /* of a device that is served outside: that process writes it; -1 otherwise */
	struct loop_fd call_watch;
};

struct virtio_transport {
	struct vm *vm;
	struct virtio_device *device;
	struct shmem_window *window; /* of its shared memory; NULL: it has none */
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features;
	uint32_t queue_select;
	struct transport_queue queues[VIRTIO_DEVICE_MAX_QUEUES];
	struct log_limit log;
};

/*
 * Bind @device to @t with @ops and @owner, make the doorbells and watch them; make the window of its shared memory, which the
 * caller places. Returns 0 or a negative errno. Thread:
 * any, before the first vCPU runs.
 */
int transport_init(struct virtio_transport *t, struct vm *vm, struct virtio_device *device,
		   const struct virtio_transport_ops *ops, void *owner);
/*
 * Destroy the doorbells, whose ioeventfds the caller took away, and the device, or with @keep_device let go of it. A
 * zeroed @t is fine. Thread: any.
 */
void transport_finish(struct virtio_transport *t, bool keep_device);

/* Feature words by the select registers; words past the second read 0 and write nothing. */
uint32_t transport_device_features(const struct virtio_transport *t);
uint32_t transport_driver_features(const struct virtio_transport *t);
void transport_set_driver_features(struct virtio_transport *t, uint32_t word);

/* The driver wrote @status; 0 also forgets every register of the transport. */
void transport_set_status(struct virtio_transport *t, uint8_t status);

/* The selected queue, or NULL if there is none of that number. */
struct transport_queue *transport_selected(struct virtio_transport *t);

/* Writes to the selected queue's registers. Ignored (with a line) while the queue is enabled: section 4.2.2.2. */
void transport_set_queue_size(struct virtio_transport *t, uint32_t size);
void transport_set_queue_address(struct virtio_transport *t, enum transport_area area, bool high, uint32_t word);
uint32_t transport_queue_address(struct virtio_transport *t, enum transport_area area, bool high);
/* Enable or disable the selected queue; it starts at DRIVER_OK, or at once after it. */
void transport_enable_queue(struct virtio_transport *t, bool enable);

/*
 * Whether a write to the queue's call eventfd goes through the loop and the transport's interrupt op, as it does from
 * the start, or somewhere else (an irqfd). What was written and not taken yet is taken by whoever is next.
 */
void transport_watch_call(struct virtio_transport *t, unsigned queue, bool watched);

/* A doorbell that came as an exit instead of by its eventfd. */
void transport_notify(struct virtio_transport *t, uint32_t queue);

#endif
