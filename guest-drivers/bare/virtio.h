/* SPDX-License-Identifier: MIT */
/*
 * A virtio device seen by its driver: find it, negotiate, start its queues. Two transports behind one small table:
 * virtio-mmio version 2 and virtio-pci (modern).
 *
 *	struct virtio_dev d;
 *
 *	virtio_find(VIRTIO_ID_GPU, 0, VIRTIO_ANY, &d);
 *	virtio_start(&d, wanted, 2, 64);
 *	... d.queues[0] ... (virtq.h)
 *	virtio_stop(&d);
 */
#ifndef MULLION_BARE_VIRTIO_H
#define MULLION_BARE_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-drivers/bare/pci.h"
#include "protocol/virtio.h"

#define VIRTIO_MAX_QUEUES 8

struct virtq;
struct virtio_dev;

enum virtio_kind {
	VIRTIO_ANY,
	VIRTIO_MMIO,
	VIRTIO_PCI,
};

/* Addresses are what the device uses. */
struct virtio_queue_setup {
	uint16_t size;
	uint64_t descriptors;
	uint64_t driver_area; /* available ring, or the driver's event suppression */
	uint64_t device_area; /* used ring, or the device's event suppression */
};

struct virtio_transport_ops {
	const char *name;
	uint32_t (*features)(struct virtio_dev *d, unsigned word);
	void (*set_features)(struct virtio_dev *d, unsigned word, uint32_t bits);
	uint8_t (*status)(struct virtio_dev *d);
	void (*set_status)(struct virtio_dev *d, uint8_t status);
	uint16_t (*queue_max)(struct virtio_dev *d, unsigned q); /* 0: no such queue */
	int (*queue_start)(struct virtio_dev *d, unsigned q, const struct virtio_queue_setup *s);
	void (*notify)(struct virtio_dev *d, unsigned q);
	uint32_t (*generation)(struct virtio_dev *d);
	uint32_t (*config_read)(struct virtio_dev *d, unsigned offset, unsigned bytes); /* 1, 2 or 4 */
	/* Have interrupts delivered for @queues queues. Returns 0, or a negative errno: then the driver polls. */
	int (*interrupts_on)(struct virtio_dev *d, unsigned queues);
	void (*interrupts_off)(struct virtio_dev *d);
	/* Where shared memory region @id is; false: there is none. */
	bool (*shmem)(struct virtio_dev *d, uint8_t id, uint64_t *base, uint64_t *bytes);
};

/* One PCI message's handler argument. */
struct virtio_vector {
	struct virtio_dev *dev;
	int message; /* from irq_attach_message() */
};

struct virtio_dev {
	const struct virtio_transport_ops *ops;
	uint32_t id;
	uint64_t offered;
	uint64_t negotiated;
	unsigned queue_count;
	struct virtq *queues[VIRTIO_MAX_QUEUES];
	bool has_interrupts;

	/* Counted by the interrupt handlers. */
	volatile uint32_t queue_interrupts;
	volatile uint32_t config_interrupts;
	uint32_t config_seen; /* of them, as far as virtio_wait() looked at the status */

	uintptr_t mmio_base;
	uint32_t line; /* interrupt line of an MMIO device, or of the PCI pin */

	struct pci_function pci;
	struct pci_msix msix;
	uintptr_t pci_common, pci_config, pci_isr, pci_notify;
	uint32_t pci_config_bytes, pci_notify_bytes;
	uint32_t pci_notify_multiplier;
	uintptr_t pci_doorbell[VIRTIO_MAX_QUEUES];
	bool pci_intx; /* the interrupt pin is used, not messages */
	unsigned vector_count;
	struct virtio_vector vectors[VIRTIO_MAX_QUEUES + 1]; /* 0: config changes, 1 + n: queue n */
};

/*
 * Find the @index-th device of type @id (VIRTIO_ID_*) on @kind of transport, MMIO before PCI, and fill @d. virtio-mmio devices are the
 * command line's virtio_mmio.device=<size>@<base>:<line> (x86-64) or the device tree's (arm64). PCI devices use MSI-X;
 * with virtio_pci.intx on the command line they use the pin, on the line that the function's interrupt line register
 * names (mullion sets it; QEMU's q35 does not). Returns 0, or -ENODEV.
 * @d must stay where it is until virtio_stop().
 */
int virtio_find(uint32_t id, unsigned index, enum virtio_kind kind, struct virtio_dev *d);

/*
 * Reset the device, take those features of @wanted that it offers (VERSION_1 always), and start queues 0..@queues-1
 * with @queue_size entries at most (a power of two). Ring features in @wanted choose the kind of ring:
 * VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC. Returns 0, -ETIMEDOUT when the device's reset
 * does not end, -EOPNOTSUPP when it refuses the features, -ENOENT when it lacks a queue, -EBUSY or -ENXIO when it does not
 * take one, -ENOMEM.
 */
int virtio_start(struct virtio_dev *d, uint64_t wanted, unsigned queues, uint16_t queue_size);

/*
 * Reset the device and free its queues: nothing the driver gave it is touched afterwards. Start may follow. The memory of
 * the queues of a device whose reset does not end is lost.
 */
void virtio_stop(struct virtio_dev *d);

static inline bool virtio_has(const struct virtio_dev *d, unsigned feature)
{
	return (d->negotiated >> feature) & 1;
}

/* The device asks to be reset (VIRTIO_CONFIG_S_NEEDS_RESET), or is gone. */
bool virtio_broken(struct virtio_dev *d);

/*
 * Make shared memory region @id (section 2.10) of the device accessible: where it is in *at, and its size in *bytes. It is
 * memory, though what lies in a hole of it has no meaning. Returns 0, -ENOENT when the device has none, or an error of
 * platform_map_memory().
 */
int virtio_shmem(struct virtio_dev *d, uint8_t id, void **at, uint64_t *bytes);

/*
 * Read @count fields of @width bytes (1, 2 or 4; a longer field is two words) of the device's configuration, all of one
 * generation. Returns 0, or -ETIMEDOUT when the device does not stop changing it.
 */
int virtio_config_read(struct virtio_dev *d, unsigned offset, void *to, unsigned width, unsigned count);

/*
 * Wait until @done(@arg) holds. Halts between interrupts where there are any, polls otherwise. Returns 0, -ETIMEDOUT
 * after @timeout_us, -EIO when the device is broken. @done runs with interrupts off. The wait takes irq_alarm() for itself:
 * what irq_timer() had set is called off.
 */
int virtio_wait(struct virtio_dev *d, bool (*done)(void *arg), void *arg, uint64_t timeout_us);

/*
 * The transports: fill @d for the @index-th device of type @id, or -ENODEV. *@index is less by the devices of this type that
 * were passed, for the next transport to go on from.
 */
int virtio_mmio_find(uint32_t id, unsigned *index, struct virtio_dev *d);
int virtio_pci_find(uint32_t id, unsigned index, struct virtio_dev *d);

#endif
