/* SPDX-License-Identifier: MIT */
/*
 * A first picture through each codec: it makes the host's libraries load what they load late, before the sandbox closes
 * (host/vhost/sandbox.h) and before a guest waits for its first picture, and shows that they work.
 *
 * Thread: the device's loop, which is run meanwhile.
 */
#ifndef MULLION_HOST_VIDEO_WARM_UP_H
#define MULLION_HOST_VIDEO_WARM_UP_H

#include <stdbool.h>

struct codec_ops;
struct loop;

/*
 * @media: those too that virtio-video has no number for. @element as in struct codec_config. Returns how many codecs work; a
 * line tells of each that does not.
 */
unsigned video_warm_up(const struct codec_ops *ops, bool encoder, bool media, const char *element, struct loop *loop);

#endif
