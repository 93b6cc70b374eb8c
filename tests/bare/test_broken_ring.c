// SPDX-License-Identifier: MIT
/*
 * A driver that writes nonsense into its ring: the device stops, asks for a reset, and works again after it. The
 * machine lives.
 */
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"

#define INDIRECT VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define PACKED VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define OUTSIDE (1ull << 52)			       /* no RAM there */
#define PACKED_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL) /* in the first round */

static struct gpu g;
static struct virtio_gpu_ctrl_hdr command = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};
static struct virtio_gpu_resp_display_info answer;
static struct vring_desc table[4];
static struct vring_packed_desc packed_table[4];

/* Make @n heads available, the first being descriptor 0. */
static void offer(struct virtq *q, uint16_t n)
{
	q->split.avail->ring[0] = 0;
	barrier_write();
	*(volatile __virtio16 *)&q->split.avail->idx = n;
}

static void good_pair(struct vring_desc *d)
{
	d[0] = (struct vring_desc){dma_address(&command), sizeof(command), VRING_DESC_F_NEXT, 1};
	d[1] = (struct vring_desc){dma_address(&answer), sizeof(answer), VRING_DESC_F_WRITE, 0};
}

static void head_out_of_range(struct virtq *q)
{
	q->split.avail->ring[0] = q->size;
	barrier_write();
	*(volatile __virtio16 *)&q->split.avail->idx = 1;
}

static void index_jumps(struct virtq *q)
{
	good_pair(q->split.desc);
	offer(q, (uint16_t)(q->size + 1));
}

static void chain_loops(struct virtq *q)
{
	q->split.desc[0] = (struct vring_desc){dma_address(&command), 24, VRING_DESC_F_NEXT, 1};
	q->split.desc[1] = (struct vring_desc){dma_address(&command), 24, VRING_DESC_F_NEXT, 0};
	offer(q, 1);
}

static void next_out_of_range(struct virtq *q)
{
	good_pair(q->split.desc);
	q->split.desc[0].next = 0xfff0;
	offer(q, 1);
}

static void address_outside(struct virtq *q)
{
	good_pair(q->split.desc);
	q->split.desc[1].addr = OUTSIDE;
	offer(q, 1);
}

static void length_outside(struct virtq *q)
{
	good_pair(q->split.desc);
	q->split.desc[1].len = 0xffffffffu;
	offer(q, 1);
}

static void write_before_read(struct virtq *q)
{
	q->split.desc[0] =
		(struct vring_desc){dma_address(&answer), sizeof(answer), VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1};
	q->split.desc[1] = (struct vring_desc){dma_address(&command), sizeof(command), 0, 0};
	offer(q, 1);
}

static void indirect_unasked(struct virtq *q)
{
	good_pair(table);
	q->split.desc[0] = (struct vring_desc){dma_address(table), 32, VRING_DESC_F_INDIRECT, 0};
	offer(q, 1);
}

static void indirect_nested(struct virtq *q)
{
	good_pair(table);
	table[0].flags |= VRING_DESC_F_INDIRECT;
	q->split.desc[0] = (struct vring_desc){dma_address(table), 32, VRING_DESC_F_INDIRECT, 0};
	offer(q, 1);
}

static void indirect_odd_length(struct virtq *q)
{
	good_pair(table);
	q->split.desc[0] = (struct vring_desc){dma_address(table), 33, VRING_DESC_F_INDIRECT, 0};
	offer(q, 1);
}

static void packed_endless_chain(struct virtq *q)
{
	for (uint16_t i = 0; i < q->size; i++)
		q->ring[i] = (struct vring_packed_desc){dma_address(&command), 24, 0, VRING_DESC_F_NEXT | PACKED_AVAIL};
}

static void packed_address_outside(struct virtq *q)
{
	q->ring[0] = (struct vring_packed_desc){OUTSIDE, 24, 0, PACKED_AVAIL};
}

static void packed_write_before_read(struct virtq *q)
{
	q->ring[1] = (struct vring_packed_desc){dma_address(&command), 24, 0, PACKED_AVAIL};
	q->ring[0] = (struct vring_packed_desc){dma_address(&answer), sizeof(answer), 0,
						VRING_DESC_F_WRITE | VRING_DESC_F_NEXT | PACKED_AVAIL};
}

static void packed_indirect_nested(struct virtq *q)
{
	packed_table[0] = (struct vring_packed_desc){dma_address(&command), 24, 0, VRING_DESC_F_INDIRECT};
	q->ring[0] = (struct vring_packed_desc){dma_address(packed_table), 16, 0, VRING_DESC_F_INDIRECT | PACKED_AVAIL};
}

static const struct {
	const char *name;
	void (*break_it)(struct virtq *q);
	uint64_t features;
} ways[] = {
	{"split: head out of range", head_out_of_range, 0},
	{"split: index jumps over the ring", index_jumps, 0},
	{"split: chain loops", chain_loops, 0},
	{"split: next out of range", next_out_of_range, 0},
	{"split: address outside of RAM", address_outside, 0},
	{"split: length outside of RAM", length_outside, 0},
	{"split: writable before readable", write_before_read, 0},
	{"split: indirect, not negotiated", indirect_unasked, 0},
	{"split: indirect in indirect", indirect_nested, INDIRECT},
	{"split: indirect table of 33 bytes", indirect_odd_length, INDIRECT},
	{"packed: chain without end", packed_endless_chain, PACKED},
	{"packed: address outside of RAM", packed_address_outside, PACKED},
	{"packed: writable before readable", packed_write_before_read, PACKED},
	{"packed: indirect in indirect", packed_indirect_nested, PACKED | INDIRECT},
};

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void way(const char *name, void (*break_it)(struct virtq *q), uint64_t features)
{
	struct virtio_gpu_resp_display_info info;
	int rc = gpu_open(&g, VIRTIO_ANY, 0, features);

	if (!report_check(!rc && (g.dev.negotiated & features) == features, "%s: opens", name))
		return;
	break_it(g.dev.queues[0]);
	barrier_full();
	g.dev.ops->notify(&g.dev, 0);
	/* -EIO: a config interrupt came and the status asks for a reset. */
	rc = virtio_wait(&g.dev, never, NULL, 5000000);
	report_check(rc == -5 && virtio_broken(&g.dev), "%s: device asks for a reset, wait says %d", name, rc);
	report_check(g.dev.config_interrupts == 1, "%s: and said so by one config interrupt: %u", name,
		     g.dev.config_interrupts);
	gpu_close(&g);
	rc = gpu_open(&g, VIRTIO_ANY, 0, features);
	report_check(!rc && !virtio_broken(&g.dev) && !gpu_display_info(&g, &info), "%s: works after the reset", name);
	gpu_close(&g);
}

int main(void)
{
	report_start("broken_ring");
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		way(ways[i].name, ways[i].break_it, ways[i].features);
	return report_end();
}
