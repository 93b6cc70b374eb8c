// SPDX-License-Identifier: MIT
/*
 * virtio-media over the fake codec, decoder and encoder: any bytes as commands, and ioctls that are nearly right, with
 * turns of the loop, late answers of the shared memory's home, and resets between. Every command is answered, and
 * afterwards a session must work.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/video/codec_fake.h"
#include "host/video/video.h"
#include "protocol/virtio_media.h"
#include "tests/fuzz/requests.h"

enum operation {
	OP_BYTES,
	OP_IOCTL,
	OP_OPEN,
	OP_EVENT,
	OP_TURN,
	OP_RESET,
	OP_UNIT,
	OP_REQBUFS,
	OP_QBUF,
	OP_STREAM,
	OP_MAP,
	OP_HOME,
	OP_FORMAT,
	OP_COUNT
};

enum { AREA_BYTES = 1 << 16, MAX_ASKED = 16, MAX_LIVE = 64 };

struct world {
	struct requests r;
	struct virtio_device *d;
	uint64_t area; /* of guest pages */
	bool late;
	struct virtio_shmem_request *asked[MAX_ASKED];
	bool unmap[MAX_ASKED];
	unsigned asked_count;
	/* What is mapped: a place is given once. */
	struct {
		uint64_t offset, length;
	} live[MAX_LIVE];
	unsigned live_count;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* ---- a home ---- */

static int map_now(struct world *w, const struct virtio_shmem_request *r)
{
	static const struct fake_header picture = {FAKE_MAGIC, FAKE_PICTURE, 32, 32, 1};

	check(r->length > 0 && r->offset + r->length <= w->d->shmem.size_bytes);
	for (unsigned i = 0; i < w->live_count; i++)
		check(r->offset >= w->live[i].offset + w->live[i].length || w->live[i].offset >= r->offset + r->length);
	if (w->live_count == MAX_LIVE)
		return -ENOSPC;
	/* The guest writes what a codec reads. */
	if (pwrite(r->fd, &picture, sizeof(picture), (off_t)r->fd_offset) < 0)
		return -EIO;
	w->live[w->live_count].offset = r->offset;
	w->live[w->live_count++].length = r->length;
	return 0;
}

static int unmap_now(struct world *w, const struct virtio_shmem_request *r)
{
	unsigned i = 0;

	while (i < w->live_count && (w->live[i].offset != r->offset || w->live[i].length != r->length))
		i++;
	check(i < w->live_count);
	w->live[i] = w->live[--w->live_count];
	return 0;
}

static int ask(struct world *w, struct virtio_shmem_request *r, bool unmap)
{
	if (!w->late || w->asked_count == MAX_ASKED)
		return unmap ? unmap_now(w, r) : map_now(w, r);
	w->unmap[w->asked_count] = unmap;
	w->asked[w->asked_count++] = r;
	return -EINPROGRESS;
}

static int home_map(void *owner, struct virtio_shmem_request *r)
{
	return ask(owner, r, false);
}

static int home_unmap(void *owner, struct virtio_shmem_request *r)
{
	return ask(owner, r, true);
}

static void home_cancel(void *owner, struct virtio_shmem_request *r)
{
	struct world *w = owner;

	for (unsigned i = 0; i < w->asked_count; i++) {
		if (w->asked[i] != r)
			continue;
		w->asked[i] = w->asked[--w->asked_count];
		w->unmap[i] = w->unmap[w->asked_count];
		return;
	}
}

static void home_reset(void *owner)
{
	struct world *w = owner;

	check(w->asked_count == 0);
	w->live_count = 0;
}

static const struct virtio_shmem_ops home_ops = {home_map, home_unmap, home_cancel, home_reset};

static void answer_home(struct world *w)
{
	while (w->asked_count > 0) {
		struct virtio_shmem_request *r = w->asked[--w->asked_count];

		r->done(r, w->unmap[w->asked_count] ? unmap_now(w, r) : map_now(w, r));
	}
}

/* ---- requests ---- */

static const uint32_t types[] = {V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE};

static struct virtio_media_cmd_ioctl ioctl_command(struct fuzz_input *in, unsigned long ioctl)
{
	return (struct virtio_media_cmd_ioctl){{VIRTIO_MEDIA_CMD_IOCTL, 0}, 1 + fuzz_u8(in) % 3u, _IOC_NR(ioctl)};
}

/* An ioctl that exists, of a session that may; the payload is the input's. */
static void add_ioctl(struct world *w, struct fuzz_input *in)
{
	static const unsigned long ioctls[] = {
		VIDIOC_ENUM_FMT,	VIDIOC_G_FMT,		VIDIOC_S_FMT,
		VIDIOC_TRY_FMT,		VIDIOC_CREATE_BUFS,	VIDIOC_QUERYBUF,
		VIDIOC_G_PARM,		VIDIOC_S_PARM,		VIDIOC_G_SELECTION,
		VIDIOC_S_SELECTION,	VIDIOC_ENUM_FRAMESIZES, VIDIOC_ENUM_FRAMEINTERVALS,
		VIDIOC_ENCODER_CMD,	VIDIOC_TRY_ENCODER_CMD, VIDIOC_DECODER_CMD,
		VIDIOC_TRY_DECODER_CMD, VIDIOC_SUBSCRIBE_EVENT, VIDIOC_UNSUBSCRIBE_EVENT,
		VIDIOC_QUERYCTRL,	VIDIOC_QUERY_EXT_CTRL,	VIDIOC_QUERYMENU,
		VIDIOC_G_CTRL,		VIDIOC_S_CTRL,		VIDIOC_G_EXT_CTRLS,
		VIDIOC_S_EXT_CTRLS,	VIDIOC_TRY_EXT_CTRLS,
	};
	const unsigned long ioctl = ioctls[fuzz_u8(in) % (sizeof(ioctls) / sizeof(ioctls[0]))];
	struct {
		struct virtio_media_cmd_ioctl c;
		uint32_t first;
	} m = {.c = ioctl_command(in, ioctl)};
	const uint8_t first = fuzz_u8(in);

	/* Most begin with a number, a type or a command. */
	m.first = first & 1 ? types[first >> 1 & 1] : first >> 1;
	requests_add(&w->r, 0, &m, sizeof(m), 320, 1000, in);
}

static void add_reqbufs(struct world *w, struct fuzz_input *in)
{
	struct {
		struct virtio_media_cmd_ioctl c;
		struct v4l2_requestbuffers r;
	} m = {.c = ioctl_command(in, VIDIOC_REQBUFS)};

	m.r.count = fuzz_u8(in) % 5;
	m.r.type = types[fuzz_u8(in) & 1];
	m.r.memory = V4L2_MEMORY_MMAP + (fuzz_u8(in) & 1u);
	requests_add(&w->r, 0, &m, sizeof(m), 0, 64, in);
}

/* Small, so that buffers of both kinds have room. */
static void add_format(struct world *w, struct fuzz_input *in)
{
	static const uint32_t fourccs[] = {V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_H264, V4L2_PIX_FMT_P010, V4L2_PIX_FMT_VP8};
	struct {
		struct virtio_media_cmd_ioctl c;
		struct v4l2_format f;
	} m = {.c = ioctl_command(in, VIDIOC_S_FMT)};

	m.f.type = types[fuzz_u8(in) & 1];
	m.f.fmt.pix_mp.width = m.f.fmt.pix_mp.height = fuzz_u8(in);
	m.f.fmt.pix_mp.pixelformat = fourccs[fuzz_u8(in) % 4];
	m.f.fmt.pix_mp.num_planes = 1;
	m.f.fmt.pix_mp.plane_fmt[0].sizeimage = 1 << 16;
	requests_add(&w->r, 0, &m, sizeof(m), 0, 300, in);
}

static void add_qbuf(struct world *w, struct fuzz_input *in)
{
	struct {
		struct virtio_media_cmd_ioctl c;
		struct v4l2_buffer b;
		struct v4l2_plane p;
		struct virtio_media_sg_entry e[4];
	} m = {.c = ioctl_command(in, VIDIOC_QBUF)};

	m.b.index = fuzz_u8(in) % 5;
	m.b.type = types[fuzz_u8(in) & 1];
	m.b.memory = V4L2_MEMORY_MMAP + (fuzz_u8(in) & 1u);
	m.b.length = 1;
	m.p.length = 1 << 16;
	m.p.bytesused = 20u + fuzz_u8(in);
	m.p.data_offset = fuzz_u8(in) & 15u;
	for (unsigned i = 0; i < 4; i++) {
		m.e[i].start = w->area + fuzz_u16(in) / 2;
		m.e[i].len = 1 << 15;
	}
	requests_add(&w->r, 0, &m, sizeof(m), 0, 300, in);
}

static void add_stream(struct world *w, struct fuzz_input *in)
{
	struct {
		struct virtio_media_cmd_ioctl c;
		uint32_t type;
	} m = {.c = ioctl_command(in, VIDIOC_STREAMON)};

	m.c.code = _IOC_NR(fuzz_u8(in) % 4 ? VIDIOC_STREAMON : VIDIOC_STREAMOFF);
	m.type = types[fuzz_u8(in) & 1];
	requests_add(&w->r, 0, &m, sizeof(m), 0, 64, in);
}

static void add_map(struct world *w, struct fuzz_input *in)
{
	struct virtio_media_cmd_mmap m = {{VIRTIO_MEDIA_CMD_MMAP, 0}, 1 + fuzz_u8(in) % 3u, fuzz_u8(in) & 1u, 0};
	struct virtio_media_cmd_munmap u = {{VIRTIO_MEDIA_CMD_MUNMAP, 0}, 0};
	const uint8_t which = fuzz_u8(in);

	m.offset = ((uint32_t)(which & 1) * 32 + (which >> 1) % 5) << 19;
	u.driver_addr = w->live_count ? w->live[(which >> 1) % w->live_count].offset : which;
	if (fuzz_u8(in) & 1)
		requests_add(&w->r, 0, &m, sizeof(m), 0, 32, in);
	else
		requests_add(&w->r, 0, &u, sizeof(u), 0, 32, in);
}

static void add_open(struct world *w, struct fuzz_input *in)
{
	const struct virtio_media_cmd_close c = {
		{fuzz_u8(in) % 4 ? VIRTIO_MEDIA_CMD_OPEN : VIRTIO_MEDIA_CMD_CLOSE, 0}, 1 + fuzz_u8(in) % 3u, 0};

	requests_add(&w->r, 0, &c, sizeof(c), 0, 32, in);
}

/* Write what a codec reads somewhere into the guest's pages. */
static void write_unit(struct world *w, struct fuzz_input *in)
{
	struct fake_header h = {FAKE_MAGIC, 1 + fuzz_u8(in) % 6u, fuzz_u8(in), fuzz_u8(in), fuzz_u8(in)};
	uint64_t at = w->area + fuzz_u16(in) % (AREA_BYTES - sizeof(h));

	memcpy(fake_guest_ptr(w->r.g, at, sizeof(h)), &h, sizeof(h));
}

static void step(struct world *w, struct fuzz_input *in)
{
	static void (*const adds[OP_COUNT])(struct world * w, struct fuzz_input * in) = {
		[OP_IOCTL] = add_ioctl, [OP_OPEN] = add_open,	  [OP_UNIT] = write_unit, [OP_REQBUFS] = add_reqbufs,
		[OP_QBUF] = add_qbuf,	[OP_STREAM] = add_stream, [OP_MAP] = add_map,	  [OP_FORMAT] = add_format,
	};
	const unsigned op = fuzz_u8(in) % OP_COUNT;

	if (adds[op]) {
		adds[op](w, in);
		return;
	}
	switch (op) {
	case OP_BYTES:
		requests_add(&w->r, 0, NULL, 0, 300, 1000, in);
		break;
	case OP_EVENT:
		requests_add(&w->r, 1, NULL, 0, 0, sizeof(struct virtio_media_event_dqbuf), in);
		break;
	case OP_TURN:
		requests_turn(&w->r);
		break;
	case OP_RESET:
		if (fuzz_u8(in) % 8 == 0)
			requests_restart(&w->r, w->d);
		break;
	case OP_HOME:
		w->late = fuzz_u8(in) & 1;
		answer_home(w);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	uint8_t kind = fuzz_u8(&in);
	struct fake_guest_options options = {
		.packed = kind & 1, .event_idx = kind & 2, .indirect = kind & 4, .memory_bytes = 4 << 20};
	struct world w = {.r.g = fake_guest_create(&options)};
	const struct virtio_media_cmd_open open = {{VIRTIO_MEDIA_CMD_OPEN, 0}};
	struct virtio_media_resp_open answer;
	struct video_config config;

	video_config_init(&config);
	config.media = true;
	config.encoder = kind & 8;
	config.codec = &codec_fake_ops;
	config.limits.streams = 3;
	config.limits.buffer_bytes = 4 << 20;
	w.area = fake_guest_alloc(w.r.g, AREA_BYTES, 4096);
	check(!video_create(&config, fake_guest_loop(w.r.g), fake_guest_mem(w.r.g), &w.d));
	virtio_device_set_shmem_home(w.d, &home_ops, &w);
	check(!fake_guest_start(w.r.g, w.d));
	while (in.left)
		step(&w, &in);
	answer_home(&w);
	requests_turn(&w.r);
	/* Only event buffers wait. */
	for (unsigned i = 0; i < w.r.count; i++)
		check(w.r.list[i]->queue == 1 || w.r.list[i]->done);
	requests_restart(&w.r, w.d);
	check(!fake_guest_request(w.r.g, 0, &open, sizeof(open), &answer, sizeof(answer), NULL));
	check(answer.hdr.status == 0);
	virtio_device_destroy(w.d);
	fake_guest_destroy(w.r.g);
	return 0;
}

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

/*
 * A session with buffers on both queues, of guest pages or MMAP; units, pictures, a stop, maps. The five bytes after a
 * request say how it is cut, what more it has, and its room.
 */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	static const uint8_t whole[] = {0, 0, 0, 255, 0}, event[] = {OP_EVENT, 0, 0, 0, 0x60, 2};
	const uint8_t memory = index >> 4 & 1;
	uint8_t *p = buf;

	if (index >= 32 || cap < 4096)
		return 0;
	*p++ = (uint8_t)(index & 15);
	p = put(p, event, sizeof(event));
	p = put(p, (uint8_t[]){OP_OPEN, 1, 0}, 3);
	p = put(p, whole, sizeof(whole));
	for (uint8_t q = 0; q < 2; q++) {
		p = put(p, (uint8_t[]){OP_FORMAT, 0, q, 32, (index >> 3 & 1) != q}, 5);
		p = put(p, whole, sizeof(whole));
		p = put(p, (uint8_t[]){OP_REQBUFS, 0, 3, q, memory}, 5);
		p = put(p, whole, sizeof(whole));
		p = put(p, (uint8_t[]){OP_STREAM, 0, 1, q}, 4);
		p = put(p, whole, sizeof(whole));
		p = put(p, (uint8_t[]){OP_MAP, 0, 1, q, 1}, 5);
		p = put(p, whole, sizeof(whole));
	}
	for (uint8_t i = 0; i < 6; i++) {
		p = put(p, event, sizeof(event));
		p = put(p, (uint8_t[]){OP_UNIT, (uint8_t)(i % 5), 32, 32, i, 0, 0}, 7);
		p = put(p, (uint8_t[]){OP_QBUF, 0, i % 3, i & 1, memory, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 15);
		p = put(p, whole, sizeof(whole));
		p = put(p, (uint8_t[]){OP_TURN, OP_TURN}, 2);
	}
	p = put(p, (uint8_t[]){OP_IOCTL, (uint8_t)(index & 8 ? 12 : 14), 0, 2}, 4);
	p = put(p, (uint8_t[]){0, 0, 72, 255, 0}, 5);
	p = put(p, (uint8_t[]){OP_TURN, OP_HOME, 1, OP_MAP, 0, 1, 0, 0}, 8);
	p = put(p, whole, sizeof(whole));
	return (size_t)(p - buf);
}

const unsigned fuzz_runs = 4000;
