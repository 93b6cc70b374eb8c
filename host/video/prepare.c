// SPDX-License-Identifier: MIT
#include "host/video/prepare.h"

#include <stdlib.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/program.h"
#include "host/video/codec.h"
#include "host/video/video.h"
#include "host/video/warm_up.h"

#define LOOK_NS 500000000ull

struct watch {
	struct loop_timer timer;
	struct loop *loop;
	uint64_t limit_ns;
};

/* A codec that does not stop keeps a processor, or memory: the next worker is without it, and without its streams. */
static void look_for_stuck(struct loop_timer *t)
{
	struct watch *w = t->owner;
	const uint64_t now = loop_now_ns(), since = codec_gst_ops.stopping_since();

	if (since && now > since && now - since > w->limit_ns) {
		log_line(LOG_TOPIC_VIDEO, LOG_ERROR,
			 "a codec has not stopped within %.1f s; this process ends, to be rid of it",
			 (double)w->limit_ns / 1e9);
		_exit(EXIT_FAILURE);
	}
	loop_arm_timer(w->loop, t, now + LOOK_NS);
}

int video_prepare_worker(struct program_worker *w)
{
	static struct watch watch;
	const struct video_config *config = w->program->owner;

	/* This process is to end when a codec can't be stopped. */
	codec_gst_allow_lending(true);
	video_warm_up(&codec_gst_ops, config->encoder, config->media, config->element, w->loop);
	/* Sooner than a guest is told that a codec does nothing. */
	watch = (struct watch){
		.timer = {.expired = look_for_stuck, .owner = &watch},
		.loop = w->loop,
		.limit_ns = config->timeout_ms * 1000000ull / 4 * 3,
	};
	loop_arm_timer(w->loop, &watch.timer, loop_now_ns() + LOOK_NS);
	return 0;
}
