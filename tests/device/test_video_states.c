// SPDX-License-Identifier: MIT
/*
 * Every command in every state of a stream, of a decoder and of an encoder.
 * Over the fake codec, whose input says what it does (host/video/codec_fake.h); in both dialects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/codec_fake.h"
#include "tests/lib/film.h"

enum state { IDLE, RUNNING, DRAINING, FAILED, STATES };

/* ---- how a stream gets there ---- */

static void reach(struct film *s, struct video_world *w, enum state to)
{
	film_make(s, w, 1);
	if (to == IDLE) {
		film_make_outputs(s);
		return;
	}
	film_feed_and_wait(s, 0);
	video_settle(w);
	film_make_outputs(s);
	if (to == DRAINING)
		video_drain(w, 1);
	if (to == FAILED)
		film_expect_flags(w, film_feed(s, FAKE_ERROR, 0, 0, 0), 0);
	video_settle(w);
}

static void reach_encoder(struct film *s, struct video_world *w, enum state to)
{
	struct virtio_video_set_params c = {.params = {.queue_type = VIDEO_IN,
						       .format = video_format_number(w, VIRTIO_VIDEO_FORMAT_YUV420),
						       .frame_width = FILM_WIDTH,
						       .frame_height = FILM_HEIGHT}};

	*s = (struct film){.w = w, .id = 1};
	assert_int_equal(video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0), VIDEO_OK);
	for (uint32_t i = 0; i < FILM_INPUTS; i++)
		assert_int_equal(video_create_buffer(w, 1, VIDEO_IN, i, FILM_WIDTH * FILM_HEIGHT * 3 / 2, &s->in[i]),
				 VIDEO_OK);
	film_make_outputs(s);
	if (to == IDLE)
		return;
	assert_int_equal(video_wait(w, film_feed_picture(s, 1)).hdr.type, VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE);
	/* There is no output buffer for the packet. */
	if (to == DRAINING)
		video_drain(w, 1);
	/* Once that is out. */
	if (to == FAILED) {
		film_want(s, FILM_OUTPUTS - 1);
		film_feed(s, FAKE_ERROR, 0, 0, 0);
	}
	video_settle(w);
}

/* ---- the commands ---- */

static uint32_t create(struct film *s)
{
	return video_create_stream(s->w, 1, VIRTIO_VIDEO_FORMAT_H264);
}

static uint32_t destroy(struct film *s)
{
	return video_simple(s->w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1);
}

/* A request that may wait: not answered is taken. */
static uint32_t taken(struct film *s, const struct fake_request *r)
{
	uint32_t code = VIDEO_OK;

	video_settle(s->w);
	if (r->done)
		memcpy(&code, r->out, sizeof(code));
	return code == VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE ? VIDEO_OK : code;
}

static uint32_t drain(struct film *s)
{
	return taken(s, video_drain(s->w, 1));
}

static uint32_t queue_in(struct film *s)
{
	return taken(s, film_feed_picture(s, 9));
}

static uint32_t queue_out(struct film *s)
{
	return taken(s, film_want(s, 0));
}

static uint32_t clear_in(struct film *s)
{
	return video_queue_command(s->w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_IN);
}

static uint32_t clear_out(struct film *s)
{
	return video_queue_command(s->w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT);
}

static uint32_t drop_in(struct film *s)
{
	return video_queue_command(s->w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN);
}

static uint32_t drop_out(struct film *s)
{
	return video_queue_command(s->w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_OUT);
}

static uint32_t new_in(struct film *s)
{
	return video_create_buffer(s->w, 1, VIDEO_IN, 99, 64, NULL);
}

static uint32_t new_out(struct film *s)
{
	return video_create_buffer(s->w, 1, VIDEO_OUT, 99, 64, NULL);
}

static uint32_t capability(struct film *s)
{
	struct virtio_video_query_capability c = {.queue_type = VIDEO_OUT};
	uint8_t answer[1024];

	return video_send(s->w, VIRTIO_VIDEO_CMD_QUERY_CAPABILITY, 1, &c, sizeof(c), answer, sizeof(answer));
}

static uint32_t get_params(struct film *s)
{
	struct virtio_video_get_params c = {.queue_type = VIDEO_IN};
	struct virtio_video_get_params_resp answer;

	return video_send(s->w, VIRTIO_VIDEO_CMD_GET_PARAMS, 1, &c, sizeof(c), &answer, sizeof(answer));
}

static uint32_t get_params_ext(struct film *s)
{
	struct virtio_video_get_params c = {.queue_type = VIDEO_OUT};
	struct virtio_video_get_params_ext_resp answer;

	return video_send(s->w, VIRTIO_VIDEO_CMD_GET_PARAMS_EXT, 1, &c, sizeof(c), &answer, sizeof(answer));
}

/* What is set is what was got, as drivers do; the queues have buffers. */
static uint32_t set_params(struct film *s, uint32_t queue)
{
	struct virtio_video_set_params c;

	video_read_params(s->w, 1, queue, &c.params);
	return video_send(s->w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0);
}

static uint32_t set_in(struct film *s)
{
	return set_params(s, VIDEO_IN);
}

static uint32_t set_out(struct film *s)
{
	return set_params(s, VIDEO_OUT);
}

static uint32_t set_in_ext(struct film *s)
{
	struct virtio_video_set_params_ext c = {0};

	video_read_params(s->w, 1, VIDEO_IN, &c.params.base);
	return video_send(s->w, VIRTIO_VIDEO_CMD_SET_PARAMS_EXT, 1, &c, sizeof(c), NULL, 0);
}

/* The queue is empty, so that something can be set: what state the codec is in decides. */
static uint32_t set_in_without_buffers(struct film *s)
{
	assert_int_equal(drop_in(s), VIDEO_OK);
	return set_params(s, VIDEO_IN);
}

static uint32_t set_out_without_buffers(struct film *s)
{
	assert_int_equal(drop_out(s), VIDEO_OK);
	return set_params(s, VIDEO_OUT);
}

static uint32_t query_control(struct film *s)
{
	struct {
		struct virtio_video_query_control c;
		struct virtio_video_query_control_format f;
	} c = {.c.control = VIRTIO_VIDEO_CONTROL_PROFILE, .f.format = VIRTIO_VIDEO_FORMAT_H264};
	uint8_t answer[256];

	return video_send(s->w, VIRTIO_VIDEO_CMD_QUERY_CONTROL, 1, &c, sizeof(c), answer, sizeof(answer));
}

static uint32_t set_control(struct film *s)
{
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value v;
	} c = {.c.control = VIRTIO_VIDEO_CONTROL_BITRATE, .v.value = 2000000};

	return video_send(s->w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &c, sizeof(c), NULL, 0);
}

static uint32_t get_control(struct film *s)
{
	struct virtio_video_get_control c = {.control = VIRTIO_VIDEO_CONTROL_PROFILE};

	return video_send(s->w, VIRTIO_VIDEO_CMD_GET_CONTROL, 1, &c, sizeof(c), NULL, 0);
}

static uint32_t unknown(struct film *s)
{
	return video_simple(s->w, 0x1ff, 1);
}

/* ---- what they are answered ---- */

enum {
	OK = VIDEO_OK,
	OP = VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION,
	PARAM = VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER,
	STREAM = VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID,
	CAPS = VIRTIO_VIDEO_RESP_OK_QUERY_CAPABILITY,
	PARAMS = VIRTIO_VIDEO_RESP_OK_GET_PARAMS,
	QUERY = VIRTIO_VIDEO_RESP_OK_QUERY_CONTROL,
	VALUE = VIRTIO_VIDEO_RESP_OK_GET_CONTROL,
};

struct row {
	const char *name;
	uint32_t (*send)(struct film *s);
	uint32_t expected[STATES];
};

static const struct row decoder_rows[] = {
	/* clang-format off */
	/*                                                  IDLE     RUNNING  DRAINING FAILED */
	{"QUERY_CAPABILITY", capability,                   {CAPS,    CAPS,    CAPS,    CAPS}},
	{"STREAM_CREATE", create,                          {STREAM,  STREAM,  STREAM,  STREAM}},
	{"STREAM_DESTROY", destroy,                        {OK,      OK,      OK,      OK}},
	{"STREAM_DRAIN", drain,                            {OK,      OK,      OP,      OP}},
	{"RESOURCE_CREATE, input", new_in,                 {OK,      OK,      OK,      OK}},
	{"RESOURCE_CREATE, output", new_out,               {OK,      OK,      OK,      OK}},
	{"RESOURCE_QUEUE, input", queue_in,                {OK,      OK,      OP,      OP}},
	{"RESOURCE_QUEUE, output", queue_out,              {OK,      OK,      OK,      OP}},
	{"RESOURCE_DESTROY_ALL, input", drop_in,           {OK,      OK,      OK,      OK}},
	{"RESOURCE_DESTROY_ALL, output", drop_out,         {OK,      OK,      OK,      OK}},
	{"QUEUE_CLEAR, input", clear_in,                   {OK,      OK,      OK,      OK}},
	{"QUEUE_CLEAR, output", clear_out,                 {OK,      OK,      OK,      OK}},
	{"GET_PARAMS", get_params,                         {PARAMS,  PARAMS,  PARAMS,  PARAMS}},
	{"GET_PARAMS_EXT", get_params_ext,                 {PARAMS,  PARAMS,  PARAMS,  PARAMS}},
	{"SET_PARAMS, input", set_in,                      {PARAM,   PARAM,   PARAM,   PARAM}},
	{"SET_PARAMS, output", set_out,                    {PARAM,   PARAM,   PARAM,   PARAM}},
	{"SET_PARAMS_EXT", set_in_ext,                     {PARAM,   PARAM,   PARAM,   PARAM}},
	/* Dropping the input lets go of the codec, and a failed stream is well again. */
	{"SET_PARAMS, no input", set_in_without_buffers,   {OK,      OK,      OK,      OK}},
	{"SET_PARAMS, no output", set_out_without_buffers, {OK,      OK,      OK,      OK}},
	{"QUERY_CONTROL", query_control,                   {QUERY,   QUERY,   QUERY,   QUERY}},
	{"GET_CONTROL", get_control,                       {VALUE,   VALUE,   VALUE,   VALUE}},
	{"SET_CONTROL", set_control,                       {OP,      OP,      OP,      OP}},
	{"0x1ff", unknown,                                 {OP,      OP,      OP,      OP}},
	/* clang-format on */
};

static const struct row encoder_rows[] = {
	/* clang-format off */
	/*                                                  IDLE     RUNNING  DRAINING FAILED */
	{"QUERY_CAPABILITY", capability,                   {CAPS,    CAPS,    CAPS,    CAPS}},
	{"STREAM_CREATE", create,                          {STREAM,  STREAM,  STREAM,  STREAM}},
	{"STREAM_DESTROY", destroy,                        {OK,      OK,      OK,      OK}},
	{"STREAM_DRAIN", drain,                            {OK,      OK,      OP,      OP}},
	{"RESOURCE_CREATE, input", new_in,                 {OK,      OK,      OK,      OK}},
	{"RESOURCE_CREATE, output", new_out,               {OK,      OK,      OK,      OK}},
	{"RESOURCE_QUEUE, input", queue_in,                {OK,      OK,      OP,      OP}},
	{"RESOURCE_QUEUE, output", queue_out,              {OK,      OK,      OK,      OP}},
	{"RESOURCE_DESTROY_ALL, input", drop_in,           {OK,      OK,      OK,      OK}},
	{"RESOURCE_DESTROY_ALL, output", drop_out,         {OK,      OK,      OK,      OK}},
	{"QUEUE_CLEAR, input", clear_in,                   {OK,      OK,      OK,      OK}},
	{"QUEUE_CLEAR, output", clear_out,                 {OK,      OK,      OK,      OK}},
	{"GET_PARAMS", get_params,                         {PARAMS,  PARAMS,  PARAMS,  PARAMS}},
	{"GET_PARAMS_EXT", get_params_ext,                 {PARAMS,  PARAMS,  PARAMS,  PARAMS}},
	/* The same again: an encoder's drivers do that at work. */
	{"SET_PARAMS, input", set_in,                      {OK,      OK,      OK,      OK}},
	{"SET_PARAMS, output", set_out,                    {OK,      OK,      OK,      OK}},
	{"SET_PARAMS_EXT", set_in_ext,                     {OK,      OK,      OK,      OK}},
	{"SET_PARAMS, no input", set_in_without_buffers,   {OK,      OK,      OK,      OK}},
	{"SET_PARAMS, no output", set_out_without_buffers, {OK,      OK,      OK,      OK}},
	{"QUERY_CONTROL", query_control,                   {QUERY,   QUERY,   QUERY,   QUERY}},
	{"GET_CONTROL", get_control,                       {VALUE,   VALUE,   VALUE,   VALUE}},
	{"SET_CONTROL", set_control,                       {OK,      OK,      OK,      OK}},
	{"0x1ff", unknown,                                 {OP,      OP,      OP,      OP}},
	/* clang-format on */
};

static void check(const struct row *row, bool encoder, enum state state)
{
	static const char *const names[] = {"idle", "running", "draining", "failed"};
	struct video_world *w =
		video_world_create(&(struct video_world_options){.encoder = encoder, .memory_bytes = 4 << 20});
	const bool is_there = !w->agl || (row->send != get_params_ext && row->send != set_in_ext);
	const uint32_t expected = is_there ? row->expected[state] : (uint32_t)OP;
	struct film s;
	uint32_t code;

	(encoder ? reach_encoder : reach)(&s, w, state);
	code = row->send(&s);
	if (code != expected)
		fail_msg("%s of %s that is %s: 0x%x instead of 0x%x", row->name, encoder ? "an encoder" : "a decoder",
			 names[state], code, expected);
	/* The device is well. */
	video_settle(w);
	assert_int_equal(video_create_stream(w, 2, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	video_world_destroy(w);
}

static void every_command_has_its_answer_in_every_state(void **state)
{
	(void)state;
	for (unsigned n = 0; n < sizeof(decoder_rows) / sizeof(decoder_rows[0]); n++) {
		for (unsigned k = 0; k < STATES; k++)
			check(&decoder_rows[n], false, (enum state)k);
	}
}

static void and_of_an_encoder(void **state)
{
	(void)state;
	for (unsigned n = 0; n < sizeof(encoder_rows) / sizeof(encoder_rows[0]); n++) {
		for (unsigned k = 0; k < STATES; k++)
			check(&encoder_rows[n], true, (enum state)k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_has_its_answer_in_every_state),
		cmocka_unit_test(and_of_an_encoder),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
