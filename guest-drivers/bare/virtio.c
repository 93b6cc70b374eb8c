// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"

#define RESET_TIMEOUT_US 5000000u
#define CONFIG_TIMEOUT_US 1000000u
#define STATUS_EVERY_US 10000u /* how often a driver that polls looks whether the device is well */
#define RING_FEATURES                                                                                                  \
	(VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |                                      \
	 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC))

int virtio_find(uint32_t id, unsigned index, enum virtio_kind kind, struct virtio_dev *d)
{
	if (kind != VIRTIO_PCI && !virtio_mmio_find(id, &index, d))
		return 0;
	return kind == VIRTIO_MMIO ? -ENODEV : virtio_pci_find(id, index, d);
}

/* Section 3.1.1, steps 1 and 2: reset, and wait until the device says that it is done. */
static int reset(struct virtio_dev *d)
{
	uint64_t deadline = clock_us() + RESET_TIMEOUT_US;

	d->ops->set_status(d, 0);
	while (d->ops->status(d)) {
		if (clock_us() > deadline)
			return -ETIMEDOUT;
		cpu_relax();
	}
	return 0;
}

int virtio_start(struct virtio_dev *d, uint64_t wanted, unsigned queues, uint16_t queue_size)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	int rc;

	if (queues > VIRTIO_MAX_QUEUES)
		return -EINVAL;
	rc = reset(d);
	if (rc)
		return rc;
	d->ops->set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	d->ops->set_status(d, status);
	d->offered = d->ops->features(d, 0) | (uint64_t)d->ops->features(d, 1) << 32;
	d->negotiated = d->offered & (wanted | VIRTIO_BIT(VIRTIO_F_VERSION_1));
	/* With a platform that translates device addresses, dma_address() must know how. */
	d->negotiated |= d->offered & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
	d->ops->set_features(d, 0, (uint32_t)d->negotiated);
	d->ops->set_features(d, 1, (uint32_t)(d->negotiated >> 32));
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	d->ops->set_status(d, status);
	if (!virtio_has(d, VIRTIO_F_VERSION_1) || !(d->ops->status(d) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		rc = -EOPNOTSUPP;
		goto fail;
	}

	d->queue_interrupts = 0;
	d->config_interrupts = 0;
	d->config_seen = 0;
	d->has_interrupts = d->ops->interrupts_on(d, queues) == 0;
	for (unsigned q = 0; q < queues; q++) {
		uint16_t max = d->ops->queue_max(d, q), size = queue_size;
		struct virtio_queue_setup setup;

		rc = -ENOENT;
		if (!max)
			goto fail;
		while (size > max)
			size /= 2;
		rc = virtq_create(d, q, size, d->negotiated & RING_FEATURES, &d->queues[q], &setup);
		if (rc)
			goto fail;
		d->queue_count = q + 1;
		rc = d->ops->queue_start(d, q, &setup);
		if (rc)
			goto fail;
	}
	d->ops->set_status(d, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return 0;
fail:
	/* Section 2.1.1: a driver takes no bit back but by a reset. */
	d->ops->set_status(d, status | VIRTIO_CONFIG_S_FAILED);
	virtio_stop(d);
	return rc;
}

void virtio_stop(struct virtio_dev *d)
{
	int rc = reset(d);

	/* A device that does not stop may still write to the rings: they are lost, not reused. */
	for (unsigned q = 0; q < d->queue_count; q++) {
		if (!rc)
			virtq_destroy(d->queues[q]);
		d->queues[q] = NULL;
	}
	d->queue_count = 0;
	if (d->has_interrupts)
		d->ops->interrupts_off(d);
	d->has_interrupts = false;
	d->negotiated = 0;
}

bool virtio_broken(struct virtio_dev *d)
{
	return d->ops->status(d) & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
}

int virtio_config_read(struct virtio_dev *d, unsigned offset, void *to, unsigned width, unsigned count)
{
	const uint64_t deadline = clock_us() + CONFIG_TIMEOUT_US;
	uint8_t *out = to;
	uint32_t generation;

	do {
		if (clock_us() > deadline)
			return -ETIMEDOUT;
		generation = d->ops->generation(d);
		for (unsigned i = 0; i < count; i++) {
			uint32_t v = d->ops->config_read(d, offset + i * width, width);

			memcpy(out + i * width, &v, width);
		}
	} while (d->ops->generation(d) != generation);
	return 0;
}

int virtio_wait(struct virtio_dev *d, bool (*done)(void *arg), void *arg, uint64_t timeout_us)
{
	uint64_t now = clock_us(), deadline = now + timeout_us, look = now + STATUS_EVERY_US;
	bool on = irq_disable();
	int rc = 0;

	while (!done(arg)) {
		now = clock_us();
		if (now >= deadline) {
			rc = virtio_broken(d) ? -EIO : -ETIMEDOUT;
			break;
		}
		if (d->config_seen != d->config_interrupts || (!d->has_interrupts && now >= look)) {
			d->config_seen = d->config_interrupts;
			look = now + STATUS_EVERY_US;
			if (virtio_broken(d)) {
				rc = -EIO;
				break;
			}
			continue;
		}
		if (d->has_interrupts) {
			irq_alarm(deadline);
			irq_wait();
		} else {
			cpu_relax();
		}
	}
	if (d->has_interrupts)
		irq_alarm(0);
	irq_restore(on);
	return rc;
}

int virtio_shmem(struct virtio_dev *d, uint8_t id, void **at, uint64_t *bytes)
{
	uint64_t base;
	int rc;

	if (!d->ops->shmem(d, id, &base, bytes))
		return -ENOENT;
	rc = platform_map_memory(base, *bytes);
	*at = (void *)(uintptr_t)base;
	return rc;
}
