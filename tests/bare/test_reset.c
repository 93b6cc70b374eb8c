// SPDX-License-Identifier: MIT
/*
 * Reset while requests are in flight, again and again: the device stops at once, writes nothing afterwards, and
 * starts from nothing.
 */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"

enum { ROUNDS = 24, IN_FLIGHT = 20, SIZE = 256 };

struct flight {
	struct gpu_submission submission; /* every second one */
	struct gpu_request request;
	struct virtio_gpu_transfer_to_host_2d command;
	struct virtio_gpu_ctrl_hdr answer;
};

static struct gpu g;
static struct flight flights[IN_FLIGHT];
static struct virtio_gpu_ctrl_hdr seen[IN_FLIGHT], seen_submit[IN_FLIGHT];
static uint32_t words[4]; /* no-operations */

static void post(struct flight *f, bool submit)
{
	memset(f, 0, sizeof(*f));
	if (submit) {
		gpu_post_submit(&g, &f->submission, 1, words, sizeof(words), 7, -1);
		return;
	}
	f->command = (struct virtio_gpu_transfer_to_host_2d){.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
							     .hdr.flags = VIRTIO_GPU_FLAG_FENCE,
							     .r = {0, 0, SIZE, SIZE},
							     .resource_id = 1};
	f->request.out[0] = (struct virtq_buffer){&f->command, sizeof(f->command)};
	f->request.out_count = 1;
	f->request.in = (struct virtq_buffer){&f->answer, sizeof(f->answer)};
	gpu_post(&g, VIRTIO_GPU_QUEUE_CONTROL, &f->request);
}

static bool round_trip(unsigned round, const uint32_t *memory, uint64_t features)
{
	struct virtio_gpu_resp_display_info info;
	bool three_d, same = true;
	uint64_t until;
	int rc = gpu_open(&g, VIRTIO_ANY, 0, features);

	if (rc || gpu_create_2d(&g, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, SIZE, SIZE) ||
	    gpu_attach_backing(&g, 1, memory, SIZE * SIZE * 4) ||
	    gpu_set_scanout(&g, 0, 1, (struct gpu_rect){0, 0, SIZE, SIZE}))
		return report_check(false, "round %u: the resource of the round before is gone: error %d, answer 0x%x",
				    round, rc, g.answer);
	three_d = virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL);
	if (three_d && gpu_context_create(&g, 1, 0, "reset"))
		return report_check(false, "round %u: the context of the round before is gone: 0x%x", round, g.answer);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		post(&flights[i], three_d && i % 2);
	if (round % 3 == 1) /* let some of it finish */
		gpu_wait(&g, &flights[0].request);
	gpu_close(&g);

	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		seen[i] = *(volatile struct virtio_gpu_ctrl_hdr *)&flights[i].answer;
		seen_submit[i] = *(volatile struct virtio_gpu_ctrl_hdr *)&flights[i].submission.answer;
	}
	for (until = clock_us() + 3000; clock_us() < until;)
		cpu_relax();
	barrier_full();
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		same &= !memcmp(&seen[i], &flights[i].answer, sizeof(seen[i])) &&
			!memcmp(&seen_submit[i], &flights[i].submission.answer, sizeof(seen[i]));
	if (!same)
		return report_check(false, "round %u: nothing is written after the reset", round);
	rc = gpu_open(&g, VIRTIO_ANY, 0, features);
	if (rc || gpu_display_info(&g, &info))
		return report_check(false, "round %u: the device answers after the reset: error %d", round, rc);
	gpu_close(&g);
	return true;
}

static void rounds(const char *name, const uint32_t *memory, uint64_t features)
{
	unsigned good = 0;
	size_t before = alloc_left();

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!round_trip(i, memory, features))
			return;
		good++;
	}
	report_check(good == ROUNDS, "%s: reset under load, %u rounds", name, good);
	report_check(alloc_left() == before, "%s: all memory came back", name);
}

int main(void)
{
	const uint32_t *memory = alloc(SIZE * SIZE * 4, PAGE_BYTES);
	uint64_t three_d = VIRTIO_BIT(VIRTIO_GPU_F_VIRGL);

	report_start("reset");
	if (report_check(memory != NULL, "memory")) {
		rounds("split", memory, three_d);
		rounds("packed", memory,
		       three_d | VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	}
	return report_end();
}
