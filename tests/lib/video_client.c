// SPDX-License-Identifier: MIT
#include "tests/lib/video_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "host/base/loop.h"

/* The parts lie side by side, but listed from the last to the first, they don't for the device. */
static uint32_t make_pieces(struct client *c, uint32_t i, size_t bytes)
{
	const size_t part = bytes / 3 | 1;
	struct virtio_video_mem_entry e[3];

	c->out[i] = fake_guest_alloc(c->w->guest, bytes, 4096);
	for (unsigned k = 0; k < 3; k++)
		e[2 - k] = (struct virtio_video_mem_entry){.addr = c->out[i] + k * part,
							   .length = (uint32_t)(k == 2 ? bytes - 2 * part : part)};
	return video_create_scattered(c->w, c->id, VIDEO_OUT, i, e, 3);
}

/* Output buffer @i as the device saw it. */
static const uint8_t *put_together(struct client *c, uint32_t i, size_t bytes)
{
	static uint8_t whole[CLIENT_MAX_PICTURE_BYTES];
	const uint8_t *p = fake_guest_ptr(c->w->guest, c->out[i], bytes);
	const size_t part = bytes / 3 | 1, last = bytes - 2 * part;

	if (!c->decoder || !c->in_pieces)
		return p;
	memcpy(whole, p + 2 * part, last);
	memcpy(whole + last, p + part, part);
	memcpy(whole + last + part, p, part);
	return whole;
}

void client_make_outputs(struct client *c)
{
	const size_t bytes = c->decoder ? c->picture_bytes : CLIENT_CODED_BYTES;

	for (uint32_t i = 0; i < CLIENT_OUTPUTS; i++) {
		uint32_t code = c->decoder && c->in_pieces
					? make_pieces(c, i, bytes)
					: video_create_buffer(c->w, c->id, VIDEO_OUT, i, bytes, &c->out[i]);

		assert_int_equal(code, VIDEO_OK);
		c->output[i] = video_queue(c->w, c->id, VIDEO_OUT, i, 0, 0);
	}
	c->has_outputs = true;
}

void client_drop_outputs(struct client *c)
{
	const size_t bytes = c->decoder ? c->picture_bytes : CLIENT_CODED_BYTES;

	assert_int_equal(video_queue_command(c->w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, c->id, VIDEO_OUT), VIDEO_OK);
	for (uint32_t i = 0; i < CLIENT_OUTPUTS; i++) {
		assert_true(c->output[i]->done);
		fake_guest_free_request(c->w->guest, c->output[i]);
		fake_guest_free(c->w->guest, c->out[i], bytes);
	}
	c->has_outputs = false;
}

static void take_output(struct client *c, uint32_t i)
{
	struct virtio_video_resource_queue_resp resp;

	resp = video_response(c->w, c->output[i]);
	fake_guest_free_request(c->w->guest, c->output[i]);
	/* Refused by a stream that has failed: the event is on its way. */
	if (resp.hdr.type != VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE)
		resp.flags = VIRTIO_VIDEO_BUFFER_FLAG_ERR;
	if (resp.flags & VIRTIO_VIDEO_BUFFER_FLAG_EOS)
		c->ended = true;
	else if (resp.flags & VIRTIO_VIDEO_BUFFER_FLAG_ERR && resp.timestamp)
		c->wrong_stamps[c->wrong++ % CLIENT_OUTPUTS] = resp.timestamp;
	else if (!(resp.flags & VIRTIO_VIDEO_BUFFER_FLAG_ERR) && c->each)
		c->each(c, put_together(c, i, c->decoder ? c->picture_bytes : CLIENT_CODED_BYTES), &resp);
	c->output[i] = video_queue(c->w, c->id, VIDEO_OUT, i, 0, 0);
}

static void take_event(struct client *c)
{
	struct virtio_video_event e = video_wait_event(c->w, c->event);

	c->event = video_post_event(c->w);
	assert_int_equal(e.stream_id, c->id);
	if (e.event_type == VIRTIO_VIDEO_EVENT_ERROR) {
		c->failed = true;
		return;
	}
	c->formats++;
	if (c->has_outputs)
		client_drop_outputs(c);
	video_read_params(c->w, c->id, VIDEO_OUT, &c->params);
	if (c->picture_format != 0 && c->params.format != c->picture_format) {
		struct virtio_video_set_params set = {.params = c->params};

		set.params.format = c->picture_format;
		assert_int_equal(video_send(c->w, VIRTIO_VIDEO_CMD_SET_PARAMS, c->id, &set, sizeof(set), NULL, 0),
				 VIDEO_OK);
		video_read_params(c->w, c->id, VIDEO_OUT, &c->params);
		assert_int_equal(c->params.format, c->picture_format);
	}
	c->picture_bytes = 0;
	for (unsigned i = 0; i < c->params.num_planes; i++)
		c->picture_bytes += c->params.plane_formats[i].plane_size;
	/* A broken header may announce more than this guest has. */
	if (c->picture_bytes > CLIENT_MAX_PICTURE_BYTES)
		c->failed = true;
	else
		client_make_outputs(c);
}

/* Take what the device has answered, in that order. */
static void take(struct client *c)
{
	for (;;) {
		uint32_t first = CLIENT_OUTPUTS;

		for (uint32_t i = 0; c->has_outputs && i < CLIENT_OUTPUTS; i++) {
			if (c->output[i]->done &&
			    (first == CLIENT_OUTPUTS || c->output[i]->sequence < c->output[first]->sequence))
				first = i;
		}
		if (first == CLIENT_OUTPUTS || c->failed)
			break;
		take_output(c, first);
	}
	if (c->event && c->event->done)
		take_event(c);
}

void client_look(struct client *c)
{
	fake_guest_run_until(c->w->guest, NULL, NULL, 1);
	take(c);
}

void client_open(struct client *c, struct video_world *w, uint32_t id, const struct video_coded_format *format,
		 bool events)
{
	c->w = w;
	c->id = id;
	assert_int_equal(video_create_stream(w, id, format->number), VIDEO_OK);
	for (uint32_t i = 0; i < CLIENT_INPUTS; i++) {
		const size_t bytes = c->decoder ? CLIENT_CODED_BYTES : c->picture_bytes;

		assert_int_equal(video_create_buffer(w, id, VIDEO_IN, i, bytes, &c->in[i]), VIDEO_OK);
	}
	if (events)
		c->event = video_post_event(w);
	if (!c->decoder)
		client_make_outputs(c);
}

/* Send one input as soon as a buffer is free. */
void client_send(struct client *c, const void *data, size_t bytes, uint64_t timestamp)
{
	uint32_t free_one = CLIENT_INPUTS;

	while (free_one == CLIENT_INPUTS) {
		for (uint32_t i = 0; i < CLIENT_INPUTS && free_one == CLIENT_INPUTS; i++) {
			if (!c->input[i] || c->input[i]->done)
				free_one = i;
		}
		/* With a free one there is nothing to wait for. */
		if (free_one == CLIENT_INPUTS) {
			client_look(c);
		} else {
			assert_int_equal(loop_run_once(fake_guest_loop(c->w->guest), 0), 0);
			fake_guest_poll(c->w->guest, 0);
			fake_guest_poll(c->w->guest, 1);
			take(c);
		}
		if (c->failed)
			return;
	}
	fake_guest_free_request(c->w->guest, c->input[free_one]);
	memcpy(fake_guest_ptr(c->w->guest, c->in[free_one], bytes ? bytes : 1), data, bytes);
	c->input[free_one] = video_queue(c->w, c->id, VIDEO_IN, free_one, (uint32_t)bytes, timestamp);
}

static uint32_t drain_code(const struct client *c)
{
	return (uint32_t)(c->drain->out[0] | c->drain->out[1] << 8);
}

void client_drain(struct client *c)
{
	const time_t end = time(NULL) + 120;

	c->ended = false;
	c->drain = video_drain(c->w, c->id);
	/* Refused by a stream that has failed: the event is on its way. */
	while (!c->failed && (!c->drain->done || drain_code(c) == VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION)) {
		client_look(c);
		assert_true(time(NULL) < end);
	}
	client_look(c);
	if (!c->failed) {
		assert_int_equal(drain_code(c), VIDEO_OK);
		fake_guest_free_request(c->w->guest, c->drain);
	}
	c->drain = NULL;
}

void client_send_clip(struct client *c, const struct clip *clip)
{
	for (unsigned i = 0; i < clip->count; i++)
		client_send(c, clip->data[i], clip->bytes[i], CLIENT_FIRST_STAMP + i);
}

void client_sum_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp)
{
	struct sums *s = c->arg;

	/* Every picture goes back to an input. */
	assert_true(resp->timestamp >= CLIENT_FIRST_STAMP &&
		    resp->timestamp < CLIENT_FIRST_STAMP + 2 * CLIP_MAX_PACKETS);
	assert_true(s->count < 2 * CLIP_MAX_PACKETS);
	s->sum[s->count++] = sums_of(data, c->picture_bytes);
}

void client_clear_input(struct client *c)
{
	assert_int_equal(video_queue_command(c->w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, c->id, VIDEO_IN), VIDEO_OK);
	for (unsigned i = 0; i < CLIENT_INPUTS; i++) {
		assert_true(!c->input[i] || c->input[i]->done);
		fake_guest_free_request(c->w->guest, c->input[i]);
		c->input[i] = NULL;
	}
}
