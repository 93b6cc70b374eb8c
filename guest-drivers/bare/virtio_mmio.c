// SPDX-License-Identifier: MIT
/* Section 4.2: virtio over MMIO, version 2. */
#include <linux/errno.h>
#include <linux/virtio_mmio.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/virtio.h"

#define RESERVED_DEVICE 0 /* device id of an empty slot */

static uint32_t features(struct virtio_dev *d, unsigned word)
{
	mmio_write32(d->mmio_base + VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
	return mmio_read32(d->mmio_base + VIRTIO_MMIO_DEVICE_FEATURES);
}

static void set_features(struct virtio_dev *d, unsigned word, uint32_t bits)
{
	mmio_write32(d->mmio_base + VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
	mmio_write32(d->mmio_base + VIRTIO_MMIO_DRIVER_FEATURES, bits);
}

static uint8_t status(struct virtio_dev *d)
{
	return (uint8_t)mmio_read32(d->mmio_base + VIRTIO_MMIO_STATUS);
}

static void set_status(struct virtio_dev *d, uint8_t s)
{
	mmio_write32(d->mmio_base + VIRTIO_MMIO_STATUS, s);
}

static uint16_t queue_max(struct virtio_dev *d, unsigned q)
{
	mmio_write32(d->mmio_base + VIRTIO_MMIO_QUEUE_SEL, q);
	return (uint16_t)mmio_read32(d->mmio_base + VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static int queue_start(struct virtio_dev *d, unsigned q, const struct virtio_queue_setup *s)
{
	mmio_write32(d->mmio_base + VIRTIO_MMIO_QUEUE_SEL, q);
	if (mmio_read32(d->mmio_base + VIRTIO_MMIO_QUEUE_READY))
		return -EBUSY;
	mmio_write32(d->mmio_base + VIRTIO_MMIO_QUEUE_NUM, s->size);
	mmio_write64_halves(d->mmio_base + VIRTIO_MMIO_QUEUE_DESC_LOW, s->descriptors);
	mmio_write64_halves(d->mmio_base + VIRTIO_MMIO_QUEUE_AVAIL_LOW, s->driver_area);
	mmio_write64_halves(d->mmio_base + VIRTIO_MMIO_QUEUE_USED_LOW, s->device_area);
	mmio_write32(d->mmio_base + VIRTIO_MMIO_QUEUE_READY, 1);
	return 0;
}

static void notify(struct virtio_dev *d, unsigned q)
{
	mmio_write32(d->mmio_base + VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

static uint32_t generation(struct virtio_dev *d)
{
	return mmio_read32(d->mmio_base + VIRTIO_MMIO_CONFIG_GENERATION);
}

static uint32_t config_read(struct virtio_dev *d, unsigned offset, unsigned bytes)
{
	uintptr_t at = d->mmio_base + VIRTIO_MMIO_CONFIG + offset;

	return bytes == 4 ? mmio_read32(at) : bytes == 2 ? mmio_read16(at) : mmio_read8(at);
}

static void interrupt(void *arg)
{
	struct virtio_dev *d = arg;
	uint32_t why = mmio_read32(d->mmio_base + VIRTIO_MMIO_INTERRUPT_STATUS);

	mmio_write32(d->mmio_base + VIRTIO_MMIO_INTERRUPT_ACK, why);
	if (why & VIRTIO_MMIO_INT_VRING)
		d->queue_interrupts++;
	if (why & VIRTIO_MMIO_INT_CONFIG)
		d->config_interrupts++;
}

static int interrupts_on(struct virtio_dev *d, unsigned queues)
{
	(void)queues; /* one line for all */
	return irq_attach_line(d->line, true, interrupt, d);
}

static void interrupts_off(struct virtio_dev *d)
{
	irq_detach_line(d->line);
}

#define SHM_SEL 0x0ac
#define SHM_LEN 0x0b0 /* low, then high */
#define SHM_BASE 0x0b8

static uint64_t read64(struct virtio_dev *d, unsigned at)
{
	return mmio_read32(d->mmio_base + at) | (uint64_t)mmio_read32(d->mmio_base + at + 4) << 32;
}

static bool shmem(struct virtio_dev *d, uint8_t id, uint64_t *base, uint64_t *bytes)
{
	mmio_write32(d->mmio_base + SHM_SEL, id);
	*bytes = read64(d, SHM_LEN);
	*base = read64(d, SHM_BASE);
	return *bytes != ~0ull;
}

static const struct virtio_transport_ops mmio_ops = {
	.name = "mmio",
	.features = features,
	.set_features = set_features,
	.status = status,
	.set_status = set_status,
	.queue_max = queue_max,
	.queue_start = queue_start,
	.notify = notify,
	.generation = generation,
	.config_read = config_read,
	.interrupts_on = interrupts_on,
	.interrupts_off = interrupts_off,
	.shmem = shmem,
};

/* <size>@<base>:<line>, as Linux reads it. */
static bool parse(const char *s, uint64_t *base, uint32_t *line)
{
	boot_parse_number(&s);
	if (*s++ != '@')
		return false;
	*base = boot_parse_number(&s);
	if (*s++ != ':')
		return false;
	*line = (uint32_t)boot_parse_number(&s);
	return *base != 0;
}

int virtio_mmio_find(uint32_t id, unsigned *index, struct virtio_dev *d)
{
	char option[64];
	uint64_t base;
	uint32_t line;

	for (unsigned i = 0; boot_option("virtio_mmio.device", i, option, sizeof(option)); i++) {
		if (!parse(option, &base, &line) || platform_map_device(base, 0x200))
			continue;
		if (mmio_read32(base + VIRTIO_MMIO_MAGIC_VALUE) != VIRTIO_MMIO_MAGIC ||
		    mmio_read32(base + VIRTIO_MMIO_VERSION) != VIRTIO_MMIO_VERSION_MODERN)
			continue;
		if (mmio_read32(base + VIRTIO_MMIO_DEVICE_ID) != id || id == RESERVED_DEVICE)
			continue;
		if (*index) {
			--*index;
			continue;
		}
		memset(d, 0, sizeof(*d));
		d->ops = &mmio_ops;
		d->id = id;
		d->mmio_base = base;
		d->line = line;
		return 0;
	}
	return -ENODEV;
}
