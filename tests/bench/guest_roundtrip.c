// SPDX-License-Identifier: MIT
/*
 * The guest of bench_roundtrip.c: rings a doorbell and halts until the interrupt, with the same few instructions for a
 * bare eventfd and for the queue of a virtio device. The ring is laid out once and every entry names the same
 * descriptor, so that a round is one store beside the doorbell: what is measured is the host's way, not a driver.
 */
#include <linux/virtio_ring.h>

#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"
#include "tests/bench/roundtrip.h"

static volatile uint32_t raw_interrupts;
static uint8_t answer;

static void count(void *arg)
{
	volatile uint32_t *interrupts = arg;

	(*interrupts)++;
}

static void rounds(volatile uint16_t *index, uintptr_t doorbell, const volatile uint32_t *interrupts)
{
	for (unsigned i = 0; i < ROUNDTRIP_ROUNDS; i++) {
		uint32_t seen = *interrupts;

		(*index)++;
		barrier_write();
		mmio_write16(doorbell, 0);
		while (*interrupts == seen)
			irq_wait();
	}
}

int main(void)
{
	static volatile uint16_t raw_index;
	struct virtio_dev d;
	struct virtq *q;
	uint64_t address;
	uint32_t data;

	if (virtio_find(VIRTIO_ID_RNG, 0, VIRTIO_PCI, &d) || virtio_start(&d, 0, 1, 64) || !d.has_interrupts)
		panic("no virtio-rng with interrupts on PCI");
	if (irq_attach_message(count, (void *)(uintptr_t)&raw_interrupts, &address, &data) < 0 ||
	    platform_map_device(ROUNDTRIP_DOORBELL, 4096))
		panic("no interrupt or no doorbell for the raw loop");
	q = d.queues[0];
	q->split.desc[0] = (struct vring_desc){.addr = dma_address(&answer), .len = 1, .flags = VRING_DESC_F_WRITE};
	for (unsigned i = 0; i < q->size; i++)
		q->split.avail->ring[i] = 0;
	port_write32(ROUNDTRIP_PORT + ROUNDTRIP_MESSAGE_ADDRESS, (uint32_t)address);
	port_write32(ROUNDTRIP_PORT + ROUNDTRIP_MESSAGE_DATA, data);
	for (unsigned i = 0; i < ROUNDTRIP_PAIRS; i++) {
		port_write32(ROUNDTRIP_PORT + ROUNDTRIP_PHASE, ROUNDTRIP_RAW);
		rounds(&raw_index, ROUNDTRIP_DOORBELL, &raw_interrupts);
		port_write32(ROUNDTRIP_PORT + ROUNDTRIP_PHASE, ROUNDTRIP_VIRTIO);
		rounds((volatile uint16_t *)&q->split.avail->idx, d.pci_doorbell[0], &d.queue_interrupts);
		port_write32(ROUNDTRIP_PORT + ROUNDTRIP_PHASE, ROUNDTRIP_BREAK);
	}
	return 0;
}
