// SPDX-License-Identifier: MIT
/*
 * The codec through the device: a guest's driver with buffers in guest memory, on the device's own thread. What the
 * driver does is counted as the device's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "tests/bench/bench.h"
#include "tests/bench/video_side.h"
#include "tests/lib/video_world.h"

enum { INPUTS = 4, OUTPUTS = 4, MAX_PACED = 256 };
#define WAIT_MS 60000
#define QUIET_MS ((int)(VIDEO_QUIET_NS / 1000000))

struct through_stream {
	uint32_t id;
	uint64_t in_gpa[VIDEO_PICTURES], out_gpa[OUTPUTS];
	struct fake_request *inputs[VIDEO_PICTURES], *outputs[OUTPUTS];
	unsigned in, out, want_in, want_out;
	unsigned held; /* by the codec, for good */
};

struct video_side {
	struct video_task task;
	struct video_world *w;
	struct through_stream streams[VIDEO_MAX_STREAMS];
	bool is_paced;
	unsigned first_paced;
	uint64_t pushed_ns[MAX_PACED], came_ns[MAX_PACED];
};

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench_video: %s\n", what);
	exit(1);
}

/* ---- one stream ---- */

static void queue_output(struct video_side *v, struct through_stream *s, uint32_t i)
{
	s->outputs[i] = video_queue(v->w, s->id, VIDEO_OUT, i, 0, 0);
}

/* Put in what is next, if there is a free buffer. An encoder's buffers are the pictures, in turn. */
static bool put_in(struct video_side *v, struct through_stream *s)
{
	const struct video_material *m = v->task.material;
	const unsigned packet = s->in % m->packet_count;
	uint32_t i = v->task.encoder ? s->in % VIDEO_PICTURES : 0, bytes = VIDEO_PICTURE_BYTES;

	while (!v->task.encoder && i < INPUTS && s->inputs[i])
		i++;
	if (v->task.encoder ? s->inputs[i] != NULL : i == INPUTS)
		return false;
	if (!v->task.encoder) {
		bytes = (uint32_t)m->packet_bytes[packet];
		memcpy(fake_guest_ptr(v->w->guest, s->in_gpa[i], bytes), m->packets[packet], bytes);
	}
	if (v->is_paced && s->in - v->first_paced < MAX_PACED)
		v->pushed_ns[s->in - v->first_paced] = bench_now_ns();
	s->inputs[i] = video_queue(v->w, s->id, VIDEO_IN, i, bytes, s->in);
	s->in++;
	return true;
}

static void take_outputs(struct video_side *v, struct through_stream *s)
{
	for (uint32_t i = 0; i < OUTPUTS; i++) {
		struct virtio_video_resource_queue_resp resp;

		if (!s->outputs[i] || !s->outputs[i]->done)
			continue;
		memcpy(&resp, s->outputs[i]->out, sizeof(resp));
		must(resp.hdr.type == VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE && resp.flags != VIRTIO_VIDEO_BUFFER_FLAG_ERR,
		     "the device gives an error");
		if (v->is_paced && resp.timestamp - v->first_paced < MAX_PACED)
			v->came_ns[resp.timestamp - v->first_paced] = bench_now_ns();
		fake_guest_free_request(v->w->guest, s->outputs[i]);
		s->out++;
		queue_output(v, s, i);
	}
}

static void take_inputs(struct video_side *v, struct through_stream *s)
{
	for (unsigned i = 0; i < VIDEO_PICTURES; i++) {
		if (s->inputs[i] && s->inputs[i]->done) {
			fake_guest_free_request(v->w->guest, s->inputs[i]);
			s->inputs[i] = NULL;
		}
	}
}

/* Go on with everything; true when all that was wanted has come. */
static bool advance(void *arg)
{
	struct video_side *v = arg;
	bool all = true;

	for (unsigned i = 0; i < v->task.streams; i++) {
		struct through_stream *s = &v->streams[i];

		take_outputs(v, s);
		take_inputs(v, s);
		while (s->in < s->want_in && put_in(v, s))
			;
		all &= s->out >= s->want_out;
	}
	return all;
}

/* ---- making one ---- */

static void set_pictures(struct video_side *v, struct through_stream *s, uint32_t queue, uint32_t format)
{
	struct virtio_video_set_params c = {0};

	video_read_params(v->w, s->id, queue, &c.params);
	c.params.queue_type = queue;
	c.params.format = format;
	if (v->task.encoder) {
		c.params.frame_width = VIDEO_WIDTH;
		c.params.frame_height = VIDEO_HEIGHT;
	}
	must(video_send(v->w, VIRTIO_VIDEO_CMD_SET_PARAMS, s->id, &c, sizeof(c), NULL, 0) == VIDEO_OK,
	     "SET_PARAMS fails");
}

static void make_buffers(struct video_side *v, struct through_stream *s, uint32_t queue, unsigned count, size_t bytes,
			 uint64_t *gpa)
{
	for (uint32_t i = 0; i < count; i++)
		must(video_create_buffer(v->w, s->id, queue, i, bytes, &gpa[i]) == VIDEO_OK, "no buffers");
}

/* All streams encode the same pictures, in the same guest memory. */
static void make_pictures(struct video_side *v, struct through_stream *s)
{
	for (uint32_t i = 0; i < VIDEO_PICTURES; i++) {
		struct virtio_video_mem_entry e = {.length = VIDEO_PICTURE_BYTES};

		if (s->id == 1) {
			s->in_gpa[i] = fake_guest_alloc(v->w->guest, VIDEO_PICTURE_BYTES, 4096);
			memcpy(fake_guest_ptr(v->w->guest, s->in_gpa[i], VIDEO_PICTURE_BYTES),
			       v->task.material->pictures[i], VIDEO_PICTURE_BYTES);
		}
		e.addr = v->streams[0].in_gpa[i];
		must(video_create_scattered(v->w, s->id, VIDEO_IN, i, &e, 1) == VIDEO_OK, "no buffers");
	}
}

static void make_stream(struct video_side *v, struct through_stream *s)
{
	struct fake_request *event = v->task.encoder ? NULL : video_post_event(v->w);

	must(video_create_stream(v->w, s->id, VIRTIO_VIDEO_FORMAT_H264) == VIDEO_OK, "no stream");
	if (v->task.encoder) {
		set_pictures(v, s, VIDEO_IN, VIRTIO_VIDEO_FORMAT_YUV420);
		make_pictures(v, s);
		make_buffers(v, s, VIDEO_OUT, OUTPUTS, VIDEO_PACKET_BYTES, s->out_gpa);
	} else {
		if (!v->task.nv12)
			set_pictures(v, s, VIDEO_OUT, VIRTIO_VIDEO_FORMAT_YUV420);
		make_buffers(v, s, VIDEO_IN, INPUTS, VIDEO_PACKET_BYTES, s->in_gpa);
		put_in(v, s);
		must(video_wait_event(v->w, event).event_type == VIRTIO_VIDEO_EVENT_DECODER_RESOLUTION_CHANGED,
		     "no size");
		make_buffers(v, s, VIDEO_OUT, OUTPUTS, VIDEO_PICTURE_BYTES + VIDEO_WIDTH * 16, s->out_gpa);
	}
	for (uint32_t i = 0; i < OUTPUTS; i++)
		queue_output(v, s, i);
}

static unsigned count_out(const struct video_side *v)
{
	unsigned out = 0;

	for (unsigned i = 0; i < v->task.streams; i++)
		out += v->streams[i].out;
	return out;
}

static struct video_side *create(const struct video_task *task)
{
	struct video_side *v = calloc(1, sizeof(*v));
	unsigned before, now = 0;
	uint64_t cpu;

	must(v, "out of memory");
	v->task = *task;
	v->w = video_world_create(&(struct video_world_options){
		.encoder = task->encoder, .codec = &codec_gst_ops, .timeout_ms = WAIT_MS, .memory_bytes = 1ull << 30});
	for (unsigned i = 0; i < task->streams; i++) {
		v->streams[i].id = i + 1;
		make_stream(v, &v->streams[i]);
	}
	for (unsigned i = 0; i < task->streams; i++) {
		v->streams[i].want_in = 12;
		v->streams[i].want_out = UINT32_MAX;
	}
	do {
		before = now;
		cpu = bench_cpu_ns();
		fake_guest_run_until(v->w->guest, advance, v, QUIET_MS);
		now = count_out(v);
	} while (now == 0 || now != before || bench_cpu_ns() - cpu > VIDEO_QUIET_CPU_NS);
	for (unsigned i = 0; i < task->streams; i++)
		v->streams[i].held = v->streams[i].in - v->streams[i].out;
	return v;
}

static void turn(struct video_side *v, unsigned frames)
{
	for (unsigned i = 0; i < v->task.streams; i++) {
		struct through_stream *s = &v->streams[i];

		s->want_in = s->in + frames;
		s->want_out = s->want_in - s->held;
	}
	must(fake_guest_run_until(v->w->guest, advance, v, WAIT_MS), "a stream does not go on");
}

static unsigned pace(struct video_side *v, unsigned frames, uint64_t interval_ns, double *late_ns)
{
	struct through_stream *s = &v->streams[0];
	const uint64_t begin = bench_now_ns();
	unsigned n = 0;

	v->first_paced = s->in;
	v->is_paced = true;
	s->want_out = UINT32_MAX;
	memset(v->came_ns, 0, sizeof(v->came_ns));
	for (unsigned i = 0; i <= frames && i < MAX_PACED; i++) {
		const uint64_t due = begin + i * interval_ns + (i == frames ? VIDEO_QUIET_NS / 2 : 0),
			       now = bench_now_ns();

		if (due > now)
			fake_guest_run_until(v->w->guest, advance, v, (int)((due - now) / 1000000));
		s->want_in += i < frames;
		advance(v);
	}
	for (unsigned i = 0; i < frames && i < MAX_PACED; i++) {
		if (v->came_ns[i])
			late_ns[n++] = (double)(v->came_ns[i] - v->pushed_ns[i]);
	}
	v->is_paced = false;
	return n;
}

static double copies_per_frame(struct video_side *v)
{
	struct video_stats stats;

	video_get_stats(v->w->device, &stats);
	return (double)stats.codec.copies / (double)(v->task.encoder ? stats.codec.frames_in : stats.codec.frames_out);
}

const struct video_side_ops video_through_ops = {
	.create = create, .turn = turn, .pace = pace, .copies_per_frame = copies_per_frame};
