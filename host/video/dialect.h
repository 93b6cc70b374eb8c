/* SPDX-License-Identifier: MIT */
/*
 * The two dialects of virtio-video that drivers speak: "chromeos" (protocol/virtio_video.h) and "agl"
 * (protocol/virtio_video_agl.h). Device numbers and config space are the same, so the user says which it is. What differs
 * is here; handlers see one form. Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_DIALECT_H
#define MULLION_HOST_VIDEO_DIALECT_H

#include "host/video/command.h"

/* Room for the answer to RESOURCE_QUEUE behind its header. */
#define VIDEO_QUEUE_ANSWER_MAX 64u

struct video_dialect {
	const char *name;		      /* as in dialect=NAME */
	uint64_t features;		      /* VIRTIO_VIDEO_F_* bits that exist in it */
	const struct video_command_row *rows; /* ended by type 0 */
	uint32_t last_control;		      /* VIRTIO_VIDEO_CONTROL_*: none above */
	/* What a picture format is called; 0: it has none. */
	uint32_t (*picture_number)(const struct video_picture_format *format);
	/*
	 * Parameters name one plane for a whole picture, whatever its format has: as many as are named, Linux drivers
	 * give to V4L2's buffers, and formats like NV12 have one there.
	 */
	bool names_one_plane;
	/* Write what follows the header of a RESOURCE_QUEUE answer to @out (VIDEO_QUEUE_ANSWER_MAX); returns its bytes. */
	size_t (*queue_answer)(const struct video_stream *s, enum video_queue q, const struct stream_done *done,
			       void *out);
};

extern const struct video_dialect video_dialect_chromeos, video_dialect_agl;

#endif
