/* SPDX-License-Identifier: MIT */
/*
 * What video devices count, for their user: the same words whatever protocol the guest speaks. Thread: the device's
 * loop.
 */
#ifndef MULLION_HOST_VIDEO_COUNT_H
#define MULLION_HOST_VIDEO_COUNT_H

#include <stdbool.h>

struct counters;
struct video_stats;
struct video_stream;

/* What a device counts in all: copies a frame are those of whole pictures that the device had to make. */
void video_count_device(struct counters *out, bool encoder, const struct video_stats *s);

/* All of one stream, as part "stream N". */
void video_count_stream(struct counters *out, const struct video_stream *s);

#endif
