/* SPDX-License-Identifier: MIT */
/*
 * The codec devices: virtio-video's decoder and encoder (protocol/virtio_video.h), or the same two as virtio-media
 * (protocol/virtio_media.h). Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_VIDEO_H
#define MULLION_HOST_VIDEO_VIDEO_H

#include <stdbool.h>
#include <stdint.h>

#include "host/video/codec.h"
#include "host/virtio/device.h"

/* Records of 32 streams with 16 pictures of 1080p each, scattered page by page. */
#define VIDEO_JOURNAL_BYTES (16u << 20)

/* What one guest may take; more is answered OUT_OF_MEMORY, or ENOMEM. */
struct video_limits {
	unsigned streams;         /* that run: of virtio-media more sessions may be open */
	unsigned buffers;         /* of one queue of one stream */
	unsigned buffer_entries;  /* pieces of one buffer */
	uint64_t buffer_bytes;    /* of all buffers of all streams together */
	size_t journal_bytes;     /* of the memory file in which streams outlive the device's process; not of the guest's */
};

struct journal;
struct video_dialect;
struct virtio_objects;

/* Coded formats that a device can offer. */
#define VIDEO_MAX_CODED 9u

struct video_offer {
	const struct video_coded_format *coded;
	struct codec_abilities can; /* profiles and levels that there are, and of them what the device has a use for */
};

/* May a codec of @coded read or write the pictures of the input, or the output, where the guest has them? */
bool video_may_be_lent(const struct video_offer *offers, unsigned count, bool encoder,
		       const struct video_coded_format *coded, bool input);

struct video_config {
	bool encoder;
	bool media; /* virtio-media instead of virtio-video */
	const struct video_dialect *dialect; /* that the driver speaks; of virtio-video */
	const char *element; /* the codec element to use; NULL: the best for each format */
	unsigned timeout_ms; /* for a codec that does nothing */
	struct video_limits limits;
	const struct codec_ops *codec;
	int shared; /* of virtio-media: the memory for its buffers (host/virtio/shared_heap.h); below 1: it makes its own */
	struct journal *journal; /* where streams are kept, to go on with after the death of the process; NULL: nowhere */
	/* Processes before this one died too often: software codecs alone, and no new streams for a minute. */
	bool degraded;
	struct virtio_objects *objects; /* of the guest, borrowed; NULL: buffers are guest pages only */
};

/* Defaults: a decoder with no codec chosen, dialect chromeos, 4 s, 32 streams. */
void video_config_init(struct video_config *config);

/*
 * Read @options ("kind=decoder|encoder,proto=virtio-video|virtio-media,dialect=chromeos|agl,codec=ELEMENT,streams=N,memory=MIB,
 * timeout=SECONDS") into @config. Returns 0, or -EINVAL after printing which word is wrong and what is allowed. Strings in
 * @config point into @options.
 */
int video_config_parse(struct video_config *config, char *options);

/*
 * Make the device. Prints one line that says which formats it offers. Returns 0 or a negative errno after printing why:
 * -ENOTSUP when the host has no codec for it at all. @config->element is copied.
 */
int video_create(const struct video_config *config, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out);

/* What a device needs of config->shared; 0: nothing. */
uint64_t video_shared_bytes(const struct video_config *config);

struct video_stats {
	uint64_t commands, errors, events;
	unsigned streams; /* now */
	struct codec_stats codec; /* of all streams; element: the last */
};
void video_get_stats(struct virtio_device *d, struct video_stats *out);

/* ---- for the two fronts ---- */

/*
 * Fill @out with the formats that @config's codec can do and @suits (NULL: any), and @names with " h264 vp9". Returns
 * how many they are.
 */
unsigned video_find_formats(const struct video_config *config, bool (*suits)(const struct video_coded_format *format),
			    struct video_offer out[VIDEO_MAX_CODED], char *names, size_t size);

/* media.c, as video_create() and video_get_stats() for virtio-media. */
bool media_is(const struct virtio_device *d);
int media_create(const struct video_config *config, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out);
void media_get_stats(struct virtio_device *d, struct video_stats *out);

#endif
