// SPDX-License-Identifier: MIT
/* Section 4.1: virtio over PCI, modern devices only. */
#include <linux/errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/virtio.h"

#define COMMON_BYTES 56u

static uint32_t features(struct virtio_dev *d, unsigned word)
{
	mmio_write32(d->pci_common + VIRTIO_PCI_COMMON_DFSELECT, word);
	return mmio_read32(d->pci_common + VIRTIO_PCI_COMMON_DF);
}

static void set_features(struct virtio_dev *d, unsigned word, uint32_t bits)
{
	mmio_write32(d->pci_common + VIRTIO_PCI_COMMON_GFSELECT, word);
	mmio_write32(d->pci_common + VIRTIO_PCI_COMMON_GF, bits);
}

static uint8_t status(struct virtio_dev *d)
{
	return mmio_read8(d->pci_common + VIRTIO_PCI_COMMON_STATUS);
}

static void set_status(struct virtio_dev *d, uint8_t s)
{
	mmio_write8(d->pci_common + VIRTIO_PCI_COMMON_STATUS, s);
}

static uint16_t queue_max(struct virtio_dev *d, unsigned q)
{
	if (q >= mmio_read16(d->pci_common + VIRTIO_PCI_COMMON_NUMQ))
		return 0;
	mmio_write16(d->pci_common + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)q);
	return mmio_read16(d->pci_common + VIRTIO_PCI_COMMON_Q_SIZE);
}

static int queue_start(struct virtio_dev *d, unsigned q, const struct virtio_queue_setup *s)
{
	uintptr_t c = d->pci_common;
	uint64_t doorbell;

	mmio_write16(c + VIRTIO_PCI_COMMON_Q_SELECT, (uint16_t)q);
	mmio_write16(c + VIRTIO_PCI_COMMON_Q_SIZE, s->size);
	mmio_write64_halves(c + VIRTIO_PCI_COMMON_Q_DESCLO, s->descriptors);
	mmio_write64_halves(c + VIRTIO_PCI_COMMON_Q_AVAILLO, s->driver_area);
	mmio_write64_halves(c + VIRTIO_PCI_COMMON_Q_USEDLO, s->device_area);
	if (d->vector_count) {
		uint16_t vector = (uint16_t)(1 + q < d->vector_count ? 1 + q : d->vector_count - 1);

		mmio_write16(c + VIRTIO_PCI_COMMON_Q_MSIX, vector);
		if (mmio_read16(c + VIRTIO_PCI_COMMON_Q_MSIX) != vector)
			return -EBUSY;
	}
	doorbell = (uint64_t)mmio_read16(c + VIRTIO_PCI_COMMON_Q_NOFF) * d->pci_notify_multiplier;
	if (doorbell + 2 > d->pci_notify_bytes)
		return -ENXIO;
	d->pci_doorbell[q] = d->pci_notify + (uintptr_t)doorbell;
	mmio_write16(c + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	return 0;
}

static void notify(struct virtio_dev *d, unsigned q)
{
	mmio_write16(d->pci_doorbell[q], (uint16_t)q);
}

static uint32_t generation(struct virtio_dev *d)
{
	return mmio_read8(d->pci_common + VIRTIO_PCI_COMMON_CFGGENERATION);
}

static uint32_t config_read(struct virtio_dev *d, unsigned offset, unsigned bytes)
{
	uintptr_t at = d->pci_config + offset;

	if (offset + bytes > d->pci_config_bytes)
		return 0;
	return bytes == 4 ? mmio_read32(at) : bytes == 2 ? mmio_read16(at) : mmio_read8(at);
}

static void config_interrupt(void *arg)
{
	struct virtio_vector *v = arg;

	v->dev->config_interrupts++;
}

static void queue_interrupt(void *arg)
{
	struct virtio_vector *v = arg;

	v->dev->queue_interrupts++;
}

/* Reading the ISR register lets go of the pin. */
static void pin_interrupt(void *arg)
{
	struct virtio_dev *d = arg;
	uint8_t why = mmio_read8(d->pci_isr);

	if (why & 1)
		d->queue_interrupts++;
	if (why & VIRTIO_PCI_ISR_CONFIG)
		d->config_interrupts++;
}

static void interrupts_off(struct virtio_dev *d)
{
	pci_pin_enable(&d->pci, false);
	if (d->pci_intx)
		irq_detach_line(d->line);
	d->pci_intx = false;
	for (unsigned i = 0; i < d->vector_count; i++) {
		pci_msix_mask(&d->msix, i);
		irq_detach_message(d->vectors[i].message);
	}
	d->vector_count = 0;
	pci_msix_enable(&d->pci, &d->msix, false);
}

static int pin_on(struct virtio_dev *d)
{
	int rc;

	pci_msix_enable(&d->pci, &d->msix, false);
	d->line = PLATFORM_PCI_LINE(pci_read8(&d->pci, PCI_INTERRUPT_LINE));
	rc = irq_attach_line(d->line, false, pin_interrupt, d);
	d->pci_intx = !rc;
	if (d->pci_intx)
		pci_pin_enable(&d->pci, true);
	return rc;
}

/* One message for config changes and one for each queue, or as many as the table holds; else the pin. */
static int interrupts_on(struct virtio_dev *d, unsigned queues)
{
	unsigned want = queues + 1;
	char option[2];

	/* A pin that nobody listens to would hold a line that another function shares. */
	pci_pin_enable(&d->pci, false);
	if (boot_option("virtio_pci.intx", 0, option, sizeof(option)))
		return pin_on(d);
	if (!d->msix.table || d->msix.entries < 2)
		return -EOPNOTSUPP;
	if (want > d->msix.entries)
		want = d->msix.entries;
	pci_msix_enable(&d->pci, &d->msix, true);
	for (unsigned i = 0; i < want; i++) {
		struct virtio_vector *v = &d->vectors[i];
		uint64_t address;
		uint32_t data;

		v->dev = d;
		v->message = irq_attach_message(i ? queue_interrupt : config_interrupt, v, &address, &data);
		if (v->message < 0) {
			interrupts_off(d);
			return v->message == -EOPNOTSUPP ? pin_on(d) : v->message;
		}
		d->vector_count = i + 1;
		pci_msix_set(&d->msix, i, address, data);
	}
	mmio_write16(d->pci_common + VIRTIO_PCI_COMMON_MSIX, 0);
	if (mmio_read16(d->pci_common + VIRTIO_PCI_COMMON_MSIX) != 0) {
		interrupts_off(d);
		return -EBUSY;
	}
	return 0;
}

#define CAP_SHARED_MEMORY_CFG 8 /* VIRTIO_PCI_CAP_SHARED_MEMORY_CFG, with 64-bit offset and length */
#define CAP_ID 5
#define CAP64_OFFSET_HI 16
#define CAP64_LENGTH_HI 20

/* Section 4.1.4.7 */
static bool shmem(struct virtio_dev *d, uint8_t id, uint64_t *base, uint64_t *bytes)
{
	const struct pci_function *f = &d->pci;

	for (unsigned at = pci_capability(f, PCI_CAP_ID_VNDR, 0); at; at = pci_capability(f, PCI_CAP_ID_VNDR, at)) {
		uint64_t bar;

		if (pci_read8(f, at + VIRTIO_PCI_CAP_CFG_TYPE) != CAP_SHARED_MEMORY_CFG || pci_read8(f, at + CAP_ID) != id)
			continue;
		bar = pci_bar(f, pci_read8(f, at + VIRTIO_PCI_CAP_BAR));
		*base = bar + (pci_read32(f, at + VIRTIO_PCI_CAP_OFFSET) |
			       (uint64_t)pci_read32(f, at + CAP64_OFFSET_HI) << 32);
		*bytes = pci_read32(f, at + VIRTIO_PCI_CAP_LENGTH) |
			 (uint64_t)pci_read32(f, at + CAP64_LENGTH_HI) << 32;
		return bar;
	}
	return false;
}

static const struct virtio_transport_ops pci_ops = {
	.name = "pci",
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

/* Section 4.1.4: the first usable capability of each kind counts. */
static bool map_structures(struct virtio_dev *d)
{
	const struct pci_function *f = &d->pci;

	for (unsigned at = pci_capability(f, PCI_CAP_ID_VNDR, 0); at; at = pci_capability(f, PCI_CAP_ID_VNDR, at)) {
		uint8_t type = pci_read8(f, at + VIRTIO_PCI_CAP_CFG_TYPE), bar = pci_read8(f, at + VIRTIO_PCI_CAP_BAR);
		uint32_t offset = pci_read32(f, at + VIRTIO_PCI_CAP_OFFSET);
		uint32_t bytes = pci_read32(f, at + VIRTIO_PCI_CAP_LENGTH);

		if (!bytes)
			continue;
		if (type == VIRTIO_PCI_CAP_COMMON_CFG && !d->pci_common && bytes >= COMMON_BYTES) {
			d->pci_common = pci_map(f, bar, offset, bytes);
		} else if (type == VIRTIO_PCI_CAP_NOTIFY_CFG && !d->pci_notify) {
			d->pci_notify = pci_map(f, bar, offset, bytes);
			d->pci_notify_bytes = bytes;
			d->pci_notify_multiplier = pci_read32(f, at + VIRTIO_PCI_NOTIFY_CAP_MULT);
		} else if (type == VIRTIO_PCI_CAP_ISR_CFG && !d->pci_isr) {
			d->pci_isr = pci_map(f, bar, offset, bytes);
		} else if (type == VIRTIO_PCI_CAP_DEVICE_CFG && !d->pci_config) {
			d->pci_config = pci_map(f, bar, offset, bytes);
			d->pci_config_bytes = d->pci_config ? bytes : 0;
		}
	}
	return d->pci_common && d->pci_notify && d->pci_isr;
}

struct search {
	struct virtio_dev *d;
	unsigned index;
	bool found;
};

static bool look(const struct pci_function *f, void *arg)
{
	struct search *s = arg;

	if (f->vendor != VIRTIO_PCI_VENDOR || f->device != VIRTIO_PCI_DEVICE_BASE + s->d->id || s->index--)
		return true;
	s->d->pci = *f;
	s->found = true;
	return false;
}

int virtio_pci_find(uint32_t id, unsigned index, struct virtio_dev *d)
{
	struct search s = {.d = d, .index = index};

	memset(d, 0, sizeof(*d));
	d->id = id;
	pci_scan(look, &s);
	if (!s.found)
		return -ENODEV;
	pci_enable(&d->pci);
	if (!map_structures(d))
		return -ENODEV;
	pci_msix_open(&d->pci, &d->msix);
	d->ops = &pci_ops;
	return 0;
}
