/* SPDX-License-Identifier: MIT */
/*
 * What a worker of mullion-video does before its sandbox is locked: a first picture through each codec (warm_up.h). And it
 * begins to watch for codecs that don't stop: then the process ends, and the next one is rid of them.
 */
#ifndef MULLION_HOST_VIDEO_PREPARE_H
#define MULLION_HOST_VIDEO_PREPARE_H

struct program_worker;

/* For struct program, whose owner is the struct video_config of the device. Returns 0. Thread: the device's loop. */
int video_prepare_worker(struct program_worker *w);

#endif
