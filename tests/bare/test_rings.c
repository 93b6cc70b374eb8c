// SPDX-License-Identifier: MIT
/* Both kinds of ring with each mix of EVENT_IDX and INDIRECT: one request at a time, and many in flight. */
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"

#define IN_FLIGHT 14 /* of four buffers each: fills a ring of 64 without indirect tables nearly up */
#define ROUNDS 40    /* so that the ring wraps several times */

static const struct {
	const char *name;
	uint64_t features;
} mixes[] = {
	{"split", 0},
	{"split+event_idx", VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"split+indirect", VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"split+event_idx+indirect", VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"packed", VIRTIO_BIT(VIRTIO_F_RING_PACKED)},
	{"packed+event_idx", VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"packed+indirect", VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"packed+event_idx+indirect", VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
					      VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
};

struct flight {
	struct gpu_request request;
	struct virtio_gpu_set_scanout command; /* split over three buffers */
	struct virtio_gpu_ctrl_hdr answer;
};

static struct flight flights[IN_FLIGHT];

/* A command that changes nothing (scanout 0 shows resource 0: off), with a fence that names it. */
static void prepare(struct flight *f, uint64_t id)
{
	uint8_t *c = (uint8_t *)&f->command;

	memset(f, 0, sizeof(*f));
	f->command.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT;
	f->command.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
	f->command.hdr.fence_id = id;
	f->request.out[0] = (struct virtq_buffer){c, 3};
	f->request.out[1] = (struct virtq_buffer){c + 3, 30};
	f->request.out[2] = (struct virtq_buffer){c + 33, sizeof(f->command) - 33};
	f->request.out_count = 3;
	f->request.in = (struct virtq_buffer){&f->answer, sizeof(f->answer)};
}

static unsigned many_in_flight(struct gpu *g)
{
	uint64_t id = 1;
	unsigned good = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned n = 1 + round % IN_FLIGHT;

		for (unsigned i = 0; i < n; i++) {
			prepare(&flights[i], id + i);
			if (gpu_post(g, VIRTIO_GPU_QUEUE_CONTROL, &flights[i].request))
				return good;
		}
		for (unsigned i = 0; i < n; i++) {
			if (gpu_wait(g, &flights[i].request))
				return good;
			good += flights[i].answer.type == VIRTIO_GPU_RESP_OK_NODATA &&
				flights[i].answer.fence_id == id + i &&
				flights[i].request.written == sizeof(flights[i].answer);
		}
		id += n;
	}
	return good;
}

static unsigned expected(void)
{
	unsigned n = 0;

	for (unsigned round = 0; round < ROUNDS; round++)
		n += 1 + round % IN_FLIGHT;
	return n;
}

static void mix(const char *name, uint64_t features)
{
	static struct gpu g;
	struct virtio_gpu_resp_display_info info;
	unsigned good = 0;
	uint32_t extra;

	if (!report_check(!gpu_open(&g, VIRTIO_ANY, 0, features), "%s: opens", name))
		return;
	if (!report_check((g.dev.negotiated & features) == features, "%s: is negotiated: 0x%lx", name,
			  g.dev.negotiated)) {
		gpu_close(&g);
		return;
	}
	for (unsigned i = 0; i < 100; i++)
		good += !gpu_display_info(&g, &info) && info.pmodes[0].enabled;
	report_check(good == 100, "%s: one at a time: %u of 100", name, good);
	extra = g.dev.queue_interrupts;
	good = many_in_flight(&g);
	extra = g.dev.queue_interrupts - extra;
	report_check(good == expected(), "%s: many in flight: %u of %u, %u interrupts, %lu doorbells", name, good,
		     expected(), extra, g.dev.queues[0]->kicks);
	report_check(!gpu_cursor_move(&g, 0, 1, 1), "%s: the second queue answers too", name);
	report_check(!virtio_broken(&g.dev), "%s: device is well", name);
	gpu_close(&g);
}

int main(void)
{
	report_start("rings");
	for (unsigned i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++)
		mix(mixes[i].name, mixes[i].features);
	return report_end();
}
