/* SPDX-License-Identifier: MIT */
/*
 * The two sides of bench_video: the same GStreamer elements with the same settings, run by a program of their own
 * (video_native.c), and through the device (video_through.c). Each is made in a process of its own.
 *
 * A turn puts frames into each stream and ends when as many have come out. A codec holds some back for good; those are
 * put in when a side is made, so that nothing is at work between two turns: what is coded in the other side's turn would
 * be speed that nobody has.
 */
#ifndef MULLION_TESTS_BENCH_VIDEO_SIDE_H
#define MULLION_TESTS_BENCH_VIDEO_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	VIDEO_WIDTH = 1920,
	VIDEO_HEIGHT = 1080,
	VIDEO_PICTURE_BYTES = VIDEO_WIDTH * VIDEO_HEIGHT * 3 / 2,
	VIDEO_PICTURES = 8,	/* that encoders get, again and again */
	VIDEO_MAX_PACKETS = 64, /* that decoders get, again and again: a key frame and what follows */
	VIDEO_MAX_STREAMS = 16,
	VIDEO_PACKET_BYTES = 1 << 20, /* the most */
};

/* What is coded, and a coded form of it. */
struct video_material {
	uint8_t *pictures[VIDEO_PICTURES]; /* I420 */
	unsigned packet_count;
	uint8_t *packets[VIDEO_MAX_PACKETS];
	size_t packet_bytes[VIDEO_MAX_PACKETS];
};

/*
 * Made by the host's encoder, or read from @path if that was done before. Returns NULL, or why there is none. The
 * calling process has GStreamer afterwards.
 */
const char *video_material_make(const char *path);
/* Needs no GStreamer. False: there is no such file. */
bool video_material_load(const char *path, struct video_material *out);

struct video_task {
	const struct video_material *material;
	bool encoder;
	bool nv12; /* decoder: pictures in that form; else as the decoder makes them, I420 */
	unsigned streams;
};

struct video_side;

/* A side that is made is at rest when nothing came out for this long, and hardly any work was done. */
#define VIDEO_QUIET_NS 400000000ull
#define VIDEO_QUIET_CPU_NS (VIDEO_QUIET_NS / 10)

struct video_side_ops {
	/* Exits the process when that can't be, after printing why. */
	struct video_side *(*create)(const struct video_task *task);
	void (*turn)(struct video_side *s, unsigned frames);
	/*
	 * One stream: put in @frames, one every @interval_ns, and write to @late_ns how long after it each one came out.
	 * How many came out in time for that is returned.
	 */
	unsigned (*pace)(struct video_side *s, unsigned frames, uint64_t interval_ns, double *late_ns);
	/* Of the device; NULL: nobody counts. */
	double (*copies_per_frame)(struct video_side *s);
};

extern const struct video_side_ops video_native_ops, video_through_ops;

#endif
