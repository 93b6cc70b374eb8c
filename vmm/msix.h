/* SPDX-License-Identifier: MIT */
/*
 * MSI-X of one PCI function (PCI Express Base 4.0, section 6.1.4 and 7.7.2): the table, the pending bits, and per
 * vector an eventfd that KVM turns into the message (irqfd with an MSI route).
 *
 * Thread: the device's loop for every call, so that a mask takes effect between two interrupts; msix_init() and
 * msix_finish() while no vCPU runs.
 */
#ifndef MULLION_VMM_MSIX_H
#define MULLION_VMM_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "host/virtio/device.h"

struct vm;

/* A vector per queue and one for config changes. */
#define MSIX_MAX_VECTORS (VIRTIO_DEVICE_MAX_QUEUES + 1)
/* The BAR that msix_access() answers for. */
#define MSIX_BAR_BYTES 0x1000u
#define MSIX_TABLE_OFFSET 0x000u
#define MSIX_PENDING_OFFSET 0x800u

struct msix_vector {
	uint64_t address; /* as the guest wrote them */
	uint32_t data, control;
	bool pending;
	bool has_gsi; /* got at first use: a vector that is never unmasked costs nothing */
	uint32_t gsi;
	int irqfd; /* -1 until then */
};

struct msix {
	struct vm *vm;
	const char *name; /* of the device, for lines */
	uint32_t requester; /* slot << 3 of the function; the owner sets it when the function is on the bus */
	unsigned count;
	bool enabled, masked; /* message control */
	struct msix_vector vectors[MSIX_MAX_VECTORS];
};

/* @count: 1..MSIX_MAX_VECTORS, all masked, as after a reset. */
void msix_init(struct msix *m, struct vm *vm, const char *name, unsigned count);
void msix_finish(struct msix *m);

/* Message control was written. */
void msix_set_control(struct msix *m, bool enabled, bool masked);

/* Send vector @v (below count), or set its pending bit while it is masked. Does nothing while MSI-X is off. */
void msix_signal(struct msix *m, unsigned v);

/* True if a message of vector @v (any number) is sent at once now: as an edge of *@gsi. */
bool msix_is_open(const struct msix *m, unsigned v, uint32_t *gsi);

/* The guest touched the BAR: table and pending bits; aligned accesses of 4 or 8 bytes. */
void msix_access(struct msix *m, uint64_t offset, void *data, unsigned size, bool write);

#endif
