/* SPDX-License-Identifier: MIT */
/*
 * Pictures that are encoded by a device, and what comes out of a decoder again, compared with them. For cmocka tests; calls
 * assert that they succeed.
 */
#ifndef MULLION_TESTS_LIB_ROUND_TRIP_H
#define MULLION_TESTS_LIB_ROUND_TRIP_H

#include "tests/lib/clip.h"
#include "tests/lib/video_client.h"

/* A key frame is asked for before this picture. */
enum { ROUND_TRIP_KEY = 10 };
/* dB, that every picture keeps to. */
#define ROUND_TRIP_PSNR 35.0

/* Make encoder stream @id of pictures of CLIP_WIDTH and CLIP_HEIGHT; what it encodes goes to @packets, for clip_free(). */
void round_trip_open(struct client *c, struct video_world *w, uint32_t id, const struct video_coded_format *format,
		     struct clip *packets);
/* Pictures @first to @end - 1, of CLIP_FRAMES; ends early if the stream fails. */
void round_trip_send(struct client *c, unsigned first, unsigned end);

struct round_trip_quality {
	unsigned count;
	double worst; /* PSNR in dB; begins with 99 */
};

/* For client.each of a decoder, with a struct round_trip_quality as its arg: it shows the pictures from the first on. */
void round_trip_compare(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp);

#endif
