// SPDX-License-Identifier: MIT
/*
 * Every command in every state of a stream.
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

#define INVALID_OPERATION VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION

/* ---- every command in every state ---- */

enum state { IDLE, RUNNING, DRAINING, FAILED, STATES };

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

static uint32_t do_command(struct film *s, unsigned n)
{
	struct virtio_video_set_params c = {0};
	struct virtio_video_set_control set = {.control = VIRTIO_VIDEO_CONTROL_FORCE_KEYFRAME};
	struct virtio_video_get_control get = {.control = VIRTIO_VIDEO_CONTROL_PROFILE};
	struct video_world *w = s->w;
	struct fake_request *r;
	uint32_t code;

	switch (n) {
	case 0:
		return video_create_stream(w, 1, VIRTIO_VIDEO_FORMAT_H264);
	case 1:
		return video_simple(w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1);
	case 2:
	case 3:
	case 4:
		r = n == 2 ? video_drain(w, 1) : n == 3 ? film_feed_picture(s, 9) : film_want(s, 0);
		video_settle(w);
		/* Not answered: taken. */
		code = VIDEO_OK;
		if (r->done)
			memcpy(&code, r->out, sizeof(code));
		return code == VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE ? VIDEO_OK : code;
	case 5:
	case 6:
		return video_queue_command(w, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, n == 5 ? VIDEO_IN : VIDEO_OUT);
	case 7:
	case 8:
		return video_queue_command(w, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, n == 7 ? VIDEO_IN : VIDEO_OUT);
	case 9:
		return video_create_buffer(w, 1, VIDEO_IN, 99, 64, NULL);
	case 10:
		video_read_params(w, 1, VIDEO_IN, &c.params);
		return video_send(w, VIRTIO_VIDEO_CMD_SET_PARAMS, 1, &c, sizeof(c), NULL, 0);
	case 11:
		return video_send(w, VIRTIO_VIDEO_CMD_SET_CONTROL, 1, &set, sizeof(set), NULL, 0);
	default:
		return video_send(w, VIRTIO_VIDEO_CMD_GET_CONTROL, 1, &get, sizeof(get), NULL, 0);
	}
}

static void every_command_has_its_answer_in_every_state(void **state)
{
	enum { OP = INVALID_OPERATION, PARAM = VIRTIO_VIDEO_RESP_ERR_INVALID_PARAMETER, OK = VIDEO_OK };
	enum { STREAM = VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID, VALUE = VIRTIO_VIDEO_RESP_OK_GET_CONTROL };
	static const uint32_t expected[][STATES] = {
		/*          IDLE    RUNNING DRAINING FAILED */
		/* create */ {STREAM, STREAM, STREAM, STREAM},
		/* destroy */ {OK, OK, OK, OK},
		/* drain */ {OK, OK, OP, OP},
		/* queue in */ {OK, OK, OP, OP},
		/* queue out */ {OK, OK, OK, OP},
		/* clear in */ {OK, OK, OK, OK},
		/* clear out */ {OK, OK, OK, OK},
		/* drop in */ {OK, OK, OK, OK},
		/* drop out */ {OK, OK, OK, OK},
		/* new resource */ {OK, OK, OK, OK},
		/* params */ {PARAM, PARAM, PARAM, PARAM},
		/* set control */ {OP, OP, OP, OP},
		/* get control */ {VALUE, VALUE, VALUE, VALUE},
	};

	(void)state;
	for (unsigned n = 0; n < sizeof(expected) / sizeof(expected[0]); n++) {
		for (unsigned k = 0; k < STATES; k++) {
			struct video_world *w =
				video_world_create(&(struct video_world_options){.memory_bytes = 4 << 20});
			struct film s;
			uint32_t code;

			reach(&s, w, (enum state)k);
			code = do_command(&s, n);
			if (code != expected[n][k])
				fail_msg("command %u in state %u: 0x%x", n, k, code);
			/* The device is well. */
			video_settle(w);
			assert_int_equal(video_create_stream(w, 2, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
			video_world_destroy(w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_has_its_answer_in_every_state),
	};

	return video_run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
