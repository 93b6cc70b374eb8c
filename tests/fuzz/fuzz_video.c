// SPDX-License-Identifier: MIT
/*
 * virtio-video over the fake codec, decoder and encoder in both dialects: any bytes as commands, and commands that are
 * nearly right, with turns of the loop and resets between. Nothing may stay unanswered after its stream was destroyed,
 * and afterwards a stream must decode.
 */
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/video/codec_fake.h"
#include "host/video/dialect.h"
#include "host/video/video.h"
#include "host/virtio/object.h"
#include "protocol/virtio_video.h"
#include "tests/fuzz/requests.h"

enum operation { OP_BYTES, OP_COMMAND, OP_EVENT, OP_TURN, OP_RESET, OP_UNIT, OP_CREATE, OP_QUEUE, OP_COUNT };

enum { BUFFER_BYTES = 8192, AREA_BYTES = 1 << 16 };

struct world {
	struct requests r;
	struct virtio_device *d;
	uint64_t area; /* where buffers lie */
	struct virtio_objects *objects;
	struct virtio_object *shared[2]; /* a picture of 32x32, named by zeros, and bytes, named by ones */
	bool agl;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* A command whose number, stream and queue exist; the rest is the input's. */
static void add_command(struct world *w, struct fuzz_input *in)
{
	uint32_t words[3] = {0x100 + fuzz_u8(in) % 16, fuzz_u8(in) % 3, 0x100 + fuzz_u8(in) % 2};

	requests_add(&w->r, 0, words, fuzz_u8(in) & 1 ? 8 : 12, 140, 1100, in);
}

static void add_stream(struct world *w, struct fuzz_input *in)
{
	struct virtio_video_stream_create c = {
		.hdr = {VIRTIO_VIDEO_CMD_STREAM_CREATE, fuzz_u8(in) % 3},
		.coded_format = VIRTIO_VIDEO_FORMAT_H264 + fuzz_u8(in) % 4,
	};
	const uint8_t types = fuzz_u8(in);

	c.in_mem_type = types & 1;
	c.out_mem_type = types >> 1 & 1;

	requests_add(&w->r, 0, &c, sizeof(c), 0, 64, in);
}

/* RESOURCE_ATTACH with a list for each of up to three planes. */
static void add_lists(struct world *w, struct fuzz_input *in)
{
	struct {
		struct virtio_video_agl_resource_attach c;
		struct {
			struct virtio_video_agl_list list;
			struct virtio_video_mem_entry e;
		} planes[3];
	} m = {
		.c = {.hdr = {VIRTIO_VIDEO_AGL_CMD_RESOURCE_ATTACH, fuzz_u8(in) % 3},
		      .queue_type = 0x100 + fuzz_u8(in) % 2,
		      .resource_id = fuzz_u8(in) % 8},
	};
	const unsigned planes = 1 + fuzz_u8(in) % 3;

	for (unsigned i = 0; i < planes; i++) {
		m.planes[i].list.num_entries = 1;
		m.planes[i].e.addr = w->area + fuzz_u16(in) % (AREA_BYTES - BUFFER_BYTES);
		m.planes[i].e.length = BUFFER_BYTES;
	}
	requests_add(&w->r, 0, &m, sizeof(m.c) + planes * sizeof(m.planes[0]), 0, 64, in);
}

static void share(struct world *w)
{
	static const struct virtio_object_shape shape = {
		.order = "BGRX", .width = 32, .height = 32, .stride_bytes = 140};
	uint8_t name[VIRTIO_UUID_BYTES] = {0};

	check(!virtio_objects_create(&w->objects));
	for (unsigned i = 0; i < 2; i++) {
		check(!virtio_object_create(i ? NULL : &shape, 140 * 32, &w->shared[i]));
		memset(name, (int)i, sizeof(name));
		check(!virtio_objects_publish(w->objects, w->shared[i], name));
	}
}

static void unshare(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		virtio_objects_withdraw(w->objects, w->shared[i]);
		virtio_object_put(w->shared[i]);
	}
	virtio_objects_destroy(w->objects);
}

/* One object, or one for each of two planes. */
static void add_objects(struct world *w, struct fuzz_input *in)
{
	struct {
		struct virtio_video_resource_create c;
		struct virtio_video_object_entry e[2];
	} m = {
		.c = {.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_CREATE, fuzz_u8(in) % 3},
		      .queue_type = 0x100 + fuzz_u8(in) % 2,
		      .resource_id = fuzz_u8(in) % 8,
		      .planes_layout = 1 + fuzz_u8(in) % 2,
		      .num_planes = 1 + fuzz_u8(in) % 2,
		      .num_entries = {1}},
	};

	m.c.num_entries[1] = m.c.planes_layout - 1;
	for (unsigned i = 0; i < 2; i++)
		memset(m.e[i].uuid, fuzz_u8(in) % 3, sizeof(m.e[i].uuid));
	requests_add(&w->r, 0, &m, sizeof(m), 0, 64, in);
}

static void add_buffer(struct world *w, struct fuzz_input *in)
{
	struct {
		struct virtio_video_resource_create c;
		struct virtio_video_mem_entry e[4];
	} m = {
		.c = {.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_CREATE, fuzz_u8(in) % 3}, .queue_type = 0x100 + fuzz_u8(in) % 2,
		      .resource_id = fuzz_u8(in) % 8, .planes_layout = 1 + fuzz_u8(in) % 2, .num_planes = 1 + fuzz_u8(in) % 3},
	};

	for (unsigned i = 0; i < 4; i++) {
		m.c.num_entries[i] = i == 0 || i < m.c.num_planes ? 1 : 0;
		m.c.plane_offsets[i] = i ? fuzz_u16(in) : 0;
		m.e[i].addr = w->area + fuzz_u16(in) % (AREA_BYTES - BUFFER_BYTES);
		m.e[i].length = BUFFER_BYTES;
	}
	requests_add(&w->r, 0, &m, sizeof(m), 0, 64, in);
}

static void add_queue(struct world *w, struct fuzz_input *in)
{
	struct virtio_video_resource_queue c = {
		.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, fuzz_u8(in) % 3},
		.queue_type = 0x100 + fuzz_u8(in) % 2,
		.resource_id = fuzz_u8(in) % 8,
		.num_data_sizes = 1,
		.data_sizes = {fuzz_u16(in) % BUFFER_BYTES},
	};

	const struct virtio_video_agl_resource_queue a = {
		.hdr = c.hdr,
		.queue_type = c.queue_type,
		.resource_id = c.resource_id,
		.data_sizes = {c.data_sizes[0]},
	};

	requests_add(&w->r, 0, w->agl ? (const void *)&a : &c, w->agl ? sizeof(a) : sizeof(c), 0, 64, in);
}

/* Write what a codec reads somewhere into the buffers. */
static void write_unit(struct world *w, struct fuzz_input *in)
{
	struct fake_header h = {FAKE_MAGIC, 1 + fuzz_u8(in) % 6, fuzz_u8(in), fuzz_u8(in), fuzz_u8(in)};
	uint64_t at = w->area + fuzz_u16(in) % (AREA_BYTES - sizeof(h));

	memcpy(fake_guest_ptr(w->r.g, at, sizeof(h)), &h, sizeof(h));
}

static void step(struct world *w, struct fuzz_input *in)
{
	uint8_t kind;

	switch (fuzz_u8(in) % OP_COUNT) {
	case OP_BYTES:
		requests_add(&w->r, 0, NULL, 0, 140, 1100, in);
		break;
	case OP_COMMAND:
		add_command(w, in);
		break;
	case OP_EVENT:
		requests_add(&w->r, 1, NULL, 0, 0, 16, in);
		break;
	case OP_TURN:
		requests_turn(&w->r);
		break;
	case OP_RESET:
		if (fuzz_u8(in) % 8 == 0)
			requests_restart(&w->r, w->d);
		break;
	case OP_UNIT:
		write_unit(w, in);
		break;
	case OP_CREATE:
		kind = fuzz_u8(in);
		if (kind & 1)
			add_stream(w, in);
		else if (kind & 2)
			add_objects(w, in);
		else if (w->agl)
			add_lists(w, in);
		else
			add_buffer(w, in);
		break;
	case OP_QUEUE:
		add_queue(w, in);
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
	struct virtio_video_stream_create c = {.hdr = {VIRTIO_VIDEO_CMD_STREAM_CREATE, 1},
					       .coded_format = VIRTIO_VIDEO_FORMAT_H264};
	struct virtio_video_cmd_hdr answer;
	struct video_config config;

	video_config_init(&config);
	config.encoder = kind & 8;
	w.agl = kind & 16;
	config.dialect = w.agl ? &video_dialect_agl : &video_dialect_chromeos;
	config.codec = &codec_fake_ops;
	config.limits.buffer_bytes = 1 << 20;
	share(&w);
	config.objects = w.objects;
	w.area = fake_guest_alloc(w.r.g, AREA_BYTES, 4096);
	check(!video_create(&config, fake_guest_loop(w.r.g), fake_guest_mem(w.r.g), &w.d));
	check(!fake_guest_start(w.r.g, w.d));
	while (in.left)
		step(&w, &in);
	/* What waits belongs to a stream, or is an event buffer. */
	for (uint32_t id = 0; id < 3; id++) {
		struct virtio_video_cmd_hdr end = {VIRTIO_VIDEO_CMD_STREAM_DESTROY, id};

		check(!fake_guest_request(w.r.g, 0, &end, sizeof(end), &answer, sizeof(answer), NULL));
	}
	requests_reap(&w.r);
	for (unsigned i = 0; i < w.r.count; i++)
		check(w.r.list[i]->queue == 1 || w.r.list[i]->done);
	requests_restart(&w.r, w.d);
	check(!fake_guest_request(w.r.g, 0, &c, sizeof(c), &answer, sizeof(answer), NULL));
	check(answer.type == VIRTIO_VIDEO_RESP_OK_NODATA);
	virtio_device_destroy(w.d);
	unshare(&w);
	fake_guest_destroy(w.r.g);
	return 0;
}

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

/* A stream with buffers on both sides; units, pictures, a drain, a clear. The five bytes after a request say how it is
 * cut, what more it has, and its room. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	static const uint8_t whole[] = {0, 0, 0, 64, 0}, event[] = {OP_EVENT, 0, 0, 0, 8, 0}, turn[] = {OP_TURN, OP_TURN};
	uint8_t *p = buf;

	if (index >= 32 || cap < 4096)
		return 0;
	*p++ = (uint8_t)index;
	p = put(p, event, sizeof(event));
	/* Stream 1, H.264; every other seed has its output in objects. */
	p = put(p, (uint8_t[]){OP_CREATE, 1, 1, 0, index & 4 ? 2 : 0}, 5);
	p = put(p, whole, sizeof(whole));
	for (uint8_t i = 0; i < 6; i++) {
		/* stream, queue, id, layout, planes; then four places. */
		p = put(p, (uint8_t[]){OP_CREATE, 0, 1, i & 1, i, 0, 0}, 7);
		memset(p, 0, 14);
		p[0] = i;
		p += 14;
		p = put(p, whole, sizeof(whole));
		if (index & 4 && i & 1) {
			p = put(p, (uint8_t[]){OP_CREATE, 2, 1, 1, i, 0, 0, (uint8_t)(i / 2), 0}, 9);
			p = put(p, whole, sizeof(whole));
		}
		p = put(p, (uint8_t[]){OP_UNIT, (uint8_t)(i % 5), 32, 32, i, 0, 0}, 7);
		p = put(p, (uint8_t[]){OP_QUEUE, 1, i & 1, i, 64, 0}, 6);
		p = put(p, whole, sizeof(whole));
		p = put(p, turn, sizeof(turn));
	}
	p = put(p, (uint8_t[]){OP_COMMAND, (uint8_t)(index & 8 ? 3 : 7), 1, 0, 1}, 5);
	p = put(p, whole, sizeof(whole));
	p = put(p, turn, sizeof(turn));
	return (size_t)(p - buf);
}

const unsigned fuzz_runs = 4000;
