// SPDX-License-Identifier: MIT
/*
 * The guest of tests/bench/gpu_isolation: how long a frame takes that is drawn, awaited and shown, and how long a command
 * that does next to nothing, from the doorbell to the interrupt. For the latter the ring is laid out once and every entry
 * names the same command, as in guest_roundtrip.c: what is measured is the host's way. Options: rounds=, frames=.
 */
#include <linux/virtio_ring.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "tests/bare/canvas.h"

enum { WIDTH = 640, HEIGHT = 480, WARM_UP = 20 };

static struct gpu g;
static struct canvas c;

static struct virtio_gpu_get_capset_info command = {.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO};
static struct virtio_gpu_resp_capset_info answer;

/* The driver's own use of the queue is over. */
static void lay_out(struct virtq *q)
{
	q->split.desc[0] = (struct vring_desc){
		.addr = dma_address(&command), .len = sizeof(command), .flags = VRING_DESC_F_NEXT, .next = 1};
	q->split.desc[1] =
		(struct vring_desc){.addr = dma_address(&answer), .len = sizeof(answer), .flags = VRING_DESC_F_WRITE};
	for (unsigned i = 0; i < q->size; i++)
		q->split.avail->ring[i] = 0;
}

static void ask(volatile uint16_t *index, uintptr_t doorbell)
{
	const uint32_t seen = g.dev.queue_interrupts;

	(*index)++;
	barrier_write();
	mmio_write16(doorbell, 0);
	while (g.dev.queue_interrupts == seen)
		irq_wait();
}

static int frame(unsigned number)
{
	const uint32_t color[4] = {number & 1 ? VIRGL_FLOAT_1 : VIRGL_FLOAT_0, VIRGL_FLOAT_HALF, VIRGL_FLOAT_0,
				   VIRGL_FLOAT_1};
	int rc;

	canvas_begin(&c);
	virgl_clear(&c.e, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
	rc = canvas_submit(&c);
	return rc ? rc : gpu_flush(&g, CANVAS_PICTURE, (struct gpu_rect){0, 0, WIDTH, HEIGHT});
}

int main(void)
{
	const unsigned rounds = (unsigned)boot_option_number("rounds", 3000);
	const unsigned frames = (unsigned)boot_option_number("frames", 200);
	uint64_t begin, frame_us;
	struct virtq *q;
	int rc = gpu_open(&g, VIRTIO_PCI, 0, VIRTIO_BIT(VIRTIO_GPU_F_VIRGL));

	if (rc || !virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL) || !g.dev.has_interrupts) {
		printf("isolation: no GPU on PCI with 3D and interrupts (error %d)\n", rc);
		return 1;
	}
	rc = canvas_create(&c, &g, WIDTH, HEIGHT, 0);
	if (!rc)
		rc = gpu_set_scanout(&g, 0, CANVAS_PICTURE, (struct gpu_rect){0, 0, WIDTH, HEIGHT});
	for (unsigned i = 0; i < WARM_UP && !rc; i++)
		rc = frame(i);
	begin = clock_us();
	for (unsigned i = 0; i < frames && !rc; i++)
		rc = frame(i);
	frame_us = clock_us() - begin;
	if (rc) {
		printf("isolation: the GPU answered 0x%04x (error %d)\n", g.answer, rc);
		return 1;
	}
	q = g.dev.queues[VIRTIO_GPU_QUEUE_CONTROL];
	lay_out(q);
	begin = clock_us();
	for (unsigned i = 0; i < rounds; i++)
		ask((volatile uint16_t *)&q->split.avail->idx, g.dev.pci_doorbell[VIRTIO_GPU_QUEUE_CONTROL]);
	printf("isolation: %u ns a round, %u us a frame, last answer 0x%x\n",
	       (unsigned)((clock_us() - begin) * 1000 / rounds), (unsigned)(frame_us / frames), answer.hdr.type);
	return answer.hdr.type == VIRTIO_GPU_RESP_OK_CAPSET_INFO ? 0 : 1;
}
