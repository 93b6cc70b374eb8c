/* SPDX-License-Identifier: MIT */
/*
 * A client of one stream, as V4L2 programs are: it sends coded data or pictures, makes its output buffers when it is told
 * the size, and takes what comes. For cmocka tests over a video world.
 */
#ifndef MULLION_TESTS_LIB_VIDEO_CLIENT_H
#define MULLION_TESTS_LIB_VIDEO_CLIENT_H

#include "tests/lib/clip.h"
#include "tests/lib/video_world.h"

enum { CLIENT_INPUTS = 4, CLIENT_OUTPUTS = 4, CLIENT_CODED_BYTES = 1 << 18, CLIENT_MAX_PICTURE_BYTES = 4 << 20 };

#define CLIENT_FIRST_STAMP 5000000000ull /* of client_send_clip() */

struct client {
	struct video_world *w;
	uint32_t id;
	bool decoder;
	size_t picture_bytes;
	bool in_pieces;		 /* a decoder's output buffers lie in three parts */
	uint32_t picture_format; /* that the decoder is asked for; 0: what it offers first */
	uint64_t in[CLIENT_INPUTS], out[CLIENT_OUTPUTS];
	struct fake_request *input[CLIENT_INPUTS], *output[CLIENT_OUTPUTS], *event, *drain;
	bool has_outputs, failed, ended;
	unsigned formats;
	/* Outputs with a timestamp and the flag for errors. */
	unsigned wrong;
	uint64_t wrong_stamps[CLIENT_OUTPUTS];
	struct virtio_video_params params;
	/* What came. */
	void (*each)(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp);
	void *arg;
};

/* Make stream @id and its input buffers. @events: post a buffer for events, of which all are this stream's. */
void client_open(struct client *c, struct video_world *w, uint32_t id, const struct video_coded_format *format,
		 bool events);
/* Done by itself when the first size is announced; encoders have them from the start. */
void client_make_outputs(struct client *c);
void client_drop_outputs(struct client *c);
/* One look at everything that the device may have answered, in the order of the answers. */
void client_look(struct client *c);
/* Send one input as soon as a buffer is free. */
void client_send(struct client *c, const void *data, size_t bytes, uint64_t timestamp);
void client_send_clip(struct client *c, const struct clip *clip);
void client_drain(struct client *c);
void client_clear_input(struct client *c);

/* For client.each, with a struct sums as its arg. */
void client_sum_picture(struct client *c, const uint8_t *data, const struct virtio_video_resource_queue_resp *resp);

#endif
