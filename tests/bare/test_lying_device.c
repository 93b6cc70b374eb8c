// SPDX-License-Identifier: MIT
/*
 * What the library makes of a device that lies. The device is this program's own: it lives in the doorbell, answers at once,
 * and has no interrupts. No real one is needed.
 */
#include <linux/errno.h>

#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/media.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/video.h"
#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"

enum { QUEUES = 2, QUEUE_SIZE = 16 };

/* How it behaves; all zero is a device that answers with zeros. */
static struct behaviour {
	uint32_t more; /* bytes that it says it wrote on top of those that there were; or less, counting from 2^32 */
	uint32_t word; /* what an answer begins with, before */
	uint8_t fill;
	bool silent;   /* does not answer by itself */
	bool restless; /* each look at its configuration sees another generation */
	bool old;      /* does not offer VIRTIO_F_VERSION_1 */
	bool stuck;    /* a reset does not end */
	uint64_t shared_base, shared_bytes;
} lies;

static struct {
	uint8_t status, before_reset;
	uint32_t generation;
	uint16_t taken[QUEUES]; /* split: heads; packed: entries of the first round */
} device;

/* ---- the device ---- */

static uint32_t features(struct virtio_dev *d, unsigned word)
{
	(void)d;
	return word && !lies.old ? 1u << (VIRTIO_F_VERSION_1 - 32) | 1u << (VIRTIO_F_RING_PACKED - 32) : 0;
}

static void set_features(struct virtio_dev *d, unsigned word, uint32_t bits)
{
	(void)d, (void)word, (void)bits;
}

static uint8_t status(struct virtio_dev *d)
{
	(void)d;
	return device.status;
}

static void set_status(struct virtio_dev *d, uint8_t s)
{
	(void)d;
	if (!s)
		device.before_reset = device.status;
	device.status = s || !lies.stuck ? s : VIRTIO_CONFIG_S_DRIVER_OK;
	if (!s)
		memset(device.taken, 0, sizeof(device.taken));
}

static uint16_t queue_max(struct virtio_dev *d, unsigned q)
{
	(void)d;
	return q < QUEUES ? QUEUE_SIZE : 0;
}

static int queue_start(struct virtio_dev *d, unsigned q, const struct virtio_queue_setup *s)
{
	(void)d, (void)q, (void)s;
	return 0;
}

/* Fill one buffer of a request, which has *@bytes before it that the device writes. */
static void answer(uint64_t address, uint32_t size, uint16_t flags, uint32_t *bytes)
{
	uint8_t *to = (uint8_t *)(uintptr_t)address;

	if (!(flags & VRING_DESC_F_WRITE))
		return;
	memset(to, lies.fill, size);
	if (!*bytes && size >= sizeof(lies.word))
		memcpy(to, &lies.word, sizeof(lies.word));
	*bytes += size;
}

static void answer_split(struct virtq *q)
{
	while (device.taken[q->index] != q->split.avail->idx) {
		const uint16_t head = q->split.avail->ring[device.taken[q->index]++ % q->size];
		struct vring_used_elem *used = &q->split.used->ring[q->split.used->idx % q->size];
		const struct vring_desc *b = &q->split.desc[head];
		uint32_t bytes = 0;

		answer(b->addr, b->len, b->flags, &bytes);
		while (b->flags & VRING_DESC_F_NEXT) {
			b = &q->split.desc[b->next];
			answer(b->addr, b->len, b->flags, &bytes);
		}
		used->id = head;
		used->len = bytes + lies.more;
		q->split.used->idx++;
	}
}

/* Good for as many entries as the ring has. */
static void answer_packed(struct virtq *q)
{
	while (device.taken[q->index] < q->next_avail) {
		struct vring_packed_desc *first = &q->ring[device.taken[q->index]], *b = first;
		uint32_t bytes = 0;

		answer(b->addr, b->len, b->flags, &bytes);
		while (b->flags & VRING_DESC_F_NEXT) {
			b++;
			answer(b->addr, b->len, b->flags, &bytes);
		}
		device.taken[q->index] = (uint16_t)(b + 1 - q->ring);
		first->id = b->id;
		first->len = bytes + lies.more;
		first->flags = 1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;
	}
}

static void notify(struct virtio_dev *d, unsigned q)
{
	if (lies.silent)
		return;
	if (d->queues[q]->packed)
		answer_packed(d->queues[q]);
	else
		answer_split(d->queues[q]);
}

static uint32_t generation(struct virtio_dev *d)
{
	(void)d;
	device.generation += lies.restless;
	return device.generation;
}

/* The byte at each offset is the offset. */
static uint32_t config_read(struct virtio_dev *d, unsigned offset, unsigned bytes)
{
	(void)d;
	return bytes == 4 ? offset * 0x01010101u + 0x03020100u : bytes == 2 ? offset * 0x0101u + 0x0100u : offset;
}

static bool shmem(struct virtio_dev *d, uint8_t id, uint64_t *base, uint64_t *bytes)
{
	(void)d, (void)id;
	*base = lies.shared_base;
	*bytes = lies.shared_bytes;
	return true;
}

static int interrupts_on(struct virtio_dev *d, unsigned queues)
{
	(void)d, (void)queues;
	return -EOPNOTSUPP;
}

static const struct virtio_transport_ops ops = {
	.name = "lies",
	.features = features,
	.set_features = set_features,
	.status = status,
	.set_status = set_status,
	.queue_max = queue_max,
	.queue_start = queue_start,
	.notify = notify,
	.generation = generation,
	.config_read = config_read,
	.shmem = shmem,
	.interrupts_on = interrupts_on,
};

static int start(struct virtio_dev *d, uint64_t wanted, struct behaviour b)
{
	memset(d, 0, sizeof(*d));
	memset(&device, 0, sizeof(device));
	d->ops = &ops;
	lies = b;
	return virtio_start(d, wanted, QUEUES, QUEUE_SIZE);
}

/* ---- rings ---- */

static void lengths(const char *name, uint64_t wanted)
{
	static const uint32_t more[] = {0, 1, 0xffffffdf};
	struct virtio_dev d;
	uint8_t out[8], in[2][16];
	int rc;

	for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		const struct virtq_buffer b[3] = {{out, sizeof(out)}, {in[0], sizeof(in[0])}, {in[1], sizeof(in[1])}};
		uint32_t written = 0;

		rc = start(&d, wanted, (struct behaviour){.more = more[i]});
		if (!report_check(!rc, "%s: starts", name))
			return;
		rc = virtq_add(d.queues[0], b, 1, 2, out);
		virtq_kick(d.queues[0]);
		rc = rc ? rc : virtq_get(d.queues[0], &written) == out ? 0 : -EPROTO;
		report_check(!rc && written == sizeof(in), "%s: a length of %u, for a room of %u, counts as %u", name,
			     (unsigned)sizeof(in) + more[i], (unsigned)sizeof(in), written);
		virtio_stop(&d);
	}
}

/* ---- the device as such ---- */

static void configuration(void)
{
	struct virtio_dev d;
	uint8_t c[8] = {0};

	if (!report_check(!start(&d, 0, (struct behaviour){0}), "configuration: starts"))
		return;
	report_check(!virtio_config_read(&d, 4, c, 4, 2) && c[0] == 4 && c[7] == 11, "words are read");
	report_check(!virtio_config_read(&d, 6, c, 1, 3) && c[0] == 6 && c[2] == 8 && c[3] == 7, "bytes are read");
	lies.restless = true;
	report_check(virtio_config_read(&d, 0, c, 4, 1) == -ETIMEDOUT, "one that never settles is given up");
	virtio_stop(&d);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void status_bits(void)
{
	const uint8_t begun = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	struct virtio_dev d;
	uint64_t from;
	int rc = start(&d, 0, (struct behaviour){.old = true});

	report_check(rc == -EOPNOTSUPP && device.status == 0, "a device of before version 1 is left: %d", rc);
	report_check((device.before_reset & begun) == begun && device.before_reset & VIRTIO_CONFIG_S_FAILED,
		     "and told so with no bit taken back: 0x%x", device.before_reset);
	rc = start(&d, 0, (struct behaviour){0});
	device.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	from = clock_us();
	report_check(!rc && virtio_wait(&d, never, NULL, 3000000) == -EIO && clock_us() - from < 1000000,
		     "a device without interrupts that asks for a reset is seen at once");
	virtio_stop(&d);
	report_check(start(&d, 0, (struct behaviour){.stuck = true}) == -ETIMEDOUT,
		     "a reset that does not end is given up");
}

static void shared_memory(void)
{
	static const struct behaviour none[] = {
		{.shared_base = 1ull << 38, .shared_bytes = 0},
		{.shared_base = 1ull << 38, .shared_bytes = ~0ull - (1ull << 37)}, /* round the end of all addresses */
		{.shared_base = 1ull << 38, .shared_bytes = 1ull << 62},
		{.shared_base = 1ull << 52, .shared_bytes = 4096},
	};
	struct virtio_dev d;

	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		uint64_t bytes;
		void *at;
		int rc = start(&d, 0, none[i]);

		report_check(!rc && virtio_shmem(&d, 0, &at, &bytes) < 0, "no memory of 0x%lx bytes is seen at 0x%lx",
			     none[i].shared_bytes, none[i].shared_base);
		virtio_stop(&d);
	}
}

/* ---- the clients ---- */

#define LESS(bytes) (0u - (uint32_t)(bytes))

static void gpu_answers(void)
{
	static const uint8_t untouched[32] = {0};
	static uint8_t capset[64];
	static struct gpu g;
	struct virtio_gpu_resp_capset_info info;
	uint8_t uuid[16];
	int rc = start(&g.dev, 0, (struct behaviour){.more = 32, .fill = 0xff, .word = VIRTIO_GPU_RESP_OK_CAPSET});

	report_check(!rc && gpu_capset(&g, 1, 1, capset, 32) == 32 && !memcmp(capset + 32, untouched, 32),
		     "gpu: no more of a capset is taken than there is room for");
	lies = (struct behaviour){.more = LESS(sizeof(struct virtio_gpu_resp_capset)),
				  .word = VIRTIO_GPU_RESP_OK_CAPSET};
	report_check(gpu_capset(&g, 1, 1, capset, 0) == -EPROTO, "gpu: a capset without a header is none");
	lies = (struct behaviour){.more = LESS(4), .word = VIRTIO_GPU_RESP_OK_CAPSET_INFO};
	report_check(gpu_capset_info(&g, 0, &info) == -EPROTO, "gpu: half a capset's information is none");
	lies.word = VIRTIO_GPU_RESP_OK_RESOURCE_UUID;
	report_check(gpu_assign_uuid(&g, 1, uuid) == -EPROTO, "gpu: half a name is none");
	lies.word = VIRTIO_GPU_RESP_OK_NODATA;
	report_check(gpu_attach_backing(&g, 1, capset, 64) == -EPROTO, "gpu: half an answer to a backing is none");
	report_check(gpu_submit_3d(&g, 1, (uint32_t[]){0}, 4) == -EPROTO, "gpu: half an answer to commands is none");
	virtio_stop(&g.dev);
}

static void video_answers(void)
{
	static struct video v;
	struct virtio_video_params p;
	int rc = start(&v.dev, 0, (struct behaviour){.more = LESS(4), .word = VIRTIO_VIDEO_RESP_OK_GET_PARAMS});

	report_check(!rc && video_get_params(&v, 1, VIRTIO_VIDEO_QUEUE_TYPE_OUTPUT, &p) == -EPROTO,
		     "video: half of the parameters are none");
	lies.word = VIRTIO_VIDEO_RESP_OK_NODATA;
	report_check(video_stream_destroy(&v, 1) == -EPROTO, "video: half an answer is none");
	virtio_stop(&v.dev);
}

static void media_answers(void)
{
	static const uint32_t odd[] = {0xffffffff, 0x80000000, 4096};
	static struct media m;
	struct v4l2_buffer b = {.length = 1};
	struct v4l2_plane plane;
	struct virtq_buffer event = {&m.posted[0], sizeof(m.posted[0])};
	union media_event e;
	uint32_t session;
	int rc = start(&m.dev, 0, (struct behaviour){.word = ENOENT});

	report_check(!rc && media_session_open(&m, &session) == -ENOENT, "media: an errno is one");
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		lies.word = odd[i];
		report_check(media_session_open(&m, &session) == -EPROTO, "media: a status of 0x%x is no errno",
			     odd[i]);
	}
	lies = (struct behaviour){.fill = 2};
	report_check(media_buffer_ioctl(&m, 1, VIDIOC_QUERYBUF, &b, &plane) == -EPROTO,
		     "media: more planes than were asked for are none");
	lies = (struct behaviour){.more = LESS(4), .word = VIRTIO_MEDIA_EVT_DQBUF};
	rc = virtq_add(m.dev.queues[VIRTIO_MEDIA_QUEUE_EVENT], &event, 0, 1, &m.posted[0]);
	report_check(!rc, "media: an event is posted");
	answer_split(m.dev.queues[VIRTIO_MEDIA_QUEUE_EVENT]);
	/* It is posted again, and the device would answer for ever. */
	lies.silent = true;
	report_check(!media_take_event(&m, &e), "media: half an event is none");
	lies.silent = false;
	lies.more = 0;
	answer_split(m.dev.queues[VIRTIO_MEDIA_QUEUE_EVENT]);
	lies.silent = true;
	report_check(media_take_event(&m, &e) && e.hdr.event == VIRTIO_MEDIA_EVT_DQBUF, "media: a whole one is");
	lies = (struct behaviour){.word = 7};
	answer_split(m.dev.queues[VIRTIO_MEDIA_QUEUE_EVENT]);
	lies.silent = true;
	report_check(!media_take_event(&m, &e), "media: one of no kind is none");
	virtio_stop(&m.dev);
}

/* ---- none at all ---- */

static void no_device(void)
{
	static struct gpu g;
	static struct video v;
	static struct media m;
	struct gpu_rect r = {0, 0, 1, 1};

	report_check(gpu_open(&g, VIRTIO_ANY, 9, 0) == -ENODEV && gpu_flush(&g, 1, r) == -ENODEV, "no gpu: is said");
	report_check(video_open(&v, VIRTIO_ID_VIDEO_DECODER, VIRTIO_ANY, 0) == -ENODEV &&
			     video_stream_destroy(&v, 1) == -ENODEV,
		     "no decoder: is said");
	report_check(media_open(&m, VIRTIO_ANY, 0) == -ENODEV && media_session_close(&m, 1) == -ENODEV,
		     "no media device: is said");
	gpu_close(&g);
	video_close(&v);
	media_close(&m);
}

int main(void)
{
	report_start("lying_device");
	lengths("split", 0);
	lengths("packed", VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	configuration();
	status_bits();
	shared_memory();
	gpu_answers();
	video_answers();
	media_answers();
	no_device();
	return report_end();
}
