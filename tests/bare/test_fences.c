// SPDX-License-Identifier: MIT
/* Fences: answers come in the order of each ring, whatever the fence ids are, and carry what the request said. */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/report.h"
#include "tests/bare/canvas.h"

enum { SIZE = 256, COUNT = 12 };

static struct gpu g;
static struct canvas c;
static struct gpu_submission submissions[COUNT];

/* A few clears and a fill: something to wait for. */
static uint32_t work(void)
{
	static const uint32_t color[4] = {VIRGL_FLOAT_1, VIRGL_FLOAT_HALF, VIRGL_FLOAT_0, VIRGL_FLOAT_1};

	canvas_begin(&c);
	for (int i = 0; i < 4; i++)
		virgl_clear(&c.e, PIPE_CLEAR_COLOR0, color, VIRGL_DOUBLE_1, 0);
	return (uint32_t)(c.e.used * 4);
}

static void series(const char *name, const uint64_t *ids, const int *rings)
{
	uint32_t bytes = work(), last[2] = {0, 0};
	bool ordered = true, echoed = true, answered = true;

	for (unsigned i = 0; i < COUNT; i++)
		if (gpu_post_submit(&g, &submissions[i], CANVAS_CONTEXT, c.words, bytes, ids[i], rings ? rings[i] : -1))
			answered = false;
	for (unsigned i = 0; i < COUNT && answered; i++) {
		struct gpu_submission *s = &submissions[i];
		unsigned ring = rings ? (unsigned)rings[i] : 0;

		if (gpu_wait(&g, &s->request)) {
			answered = false;
			break;
		}
		ordered &= s->request.order > last[ring];
		last[ring] = s->request.order;
		echoed &= s->answer.fence_id == ids[i] && (s->answer.flags & VIRTIO_GPU_FLAG_FENCE) &&
			  s->answer.ctx_id == CANVAS_CONTEXT &&
			  (!rings ||
			   ((s->answer.flags & VIRTIO_GPU_FLAG_INFO_RING_IDX) && s->answer.ring_idx == rings[i]));
		/* A renderer may lack the second ring: then it says so, and the order still holds. */
		answered &= s->answer.type == VIRTIO_GPU_RESP_OK_NODATA ||
			    (ring && s->answer.type >= VIRTIO_GPU_RESP_ERR_UNSPEC);
	}
	report_check(answered, "%s: all are answered", name);
	report_check(answered && ordered, "%s: in the order of their ring", name);
	report_check(answered && echoed, "%s: with what the request said", name);
}

int main(void)
{
	static const uint64_t rising[COUNT] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	static const uint64_t equal[COUNT] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
	static const uint64_t falling[COUNT] = {90, 80, 70, 60, 50, 40, 30, 20, 10, 3, 2, 1};
	static const uint64_t large[COUNT] = {1ull << 32, 3, (1ull << 32) + 3, ~0ull, 0,	   1ull << 63,
					      ~0ull,	  1, 1ull << 40,       0,     0xffffffffu, 7};
	static const int one_ring[COUNT] = {0};
	static const int two_rings[COUNT] = {0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0};
	uint64_t three_d = VIRTIO_BIT(VIRTIO_GPU_F_VIRGL);
	int rc;

	report_start("fences");
	rc = gpu_open(&g, VIRTIO_ANY, 0, three_d);
	if (!report_check(!rc, "gpu_opens: error %d", rc))
		return report_end();
	if (!virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL))
		return report_skip_all("the GPU has no 3D: the host has no OpenGL that works");
	rc = canvas_create(&c, &g, SIZE, SIZE, 0);
	if (report_check(!rc, "canvas: error %d, answer 0x%x", rc, g.answer)) {
		series("rising ids", rising, NULL);
		series("equal ids", equal, NULL);
		series("falling ids", falling, NULL);
		series("ids over 2^32", large, NULL);
	}
	gpu_close(&g);
	canvas_finish(&c);

	rc = gpu_open(&g, VIRTIO_ANY, 0, three_d | VIRTIO_BIT(VIRTIO_GPU_F_CONTEXT_INIT));
	if (!report_check(!rc, "gpu_opens_again: error %d", rc))
		return report_end();
	if (virtio_has(&g.dev, VIRTIO_GPU_F_CONTEXT_INIT)) {
		rc = canvas_create(&c, &g, SIZE, SIZE, VIRTIO_GPU_CAPSET_VIRGL2);
		if (report_check(!rc, "canvas of capset virgl2: error %d, answer 0x%x", rc, g.answer)) {
			series("one ring", falling, one_ring);
			series("two rings", large, two_rings);
		}
	} else {
		report_skip("rings of a context: the device has no CONTEXT_INIT");
	}
	gpu_close(&g);
	return report_end();
}
