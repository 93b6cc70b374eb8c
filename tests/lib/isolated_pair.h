/* SPDX-License-Identifier: MIT */
/*
 * A GPU and a decoder of one guest, each with a keeper and workers in processes of their own, as mullion run has them: the
 * frontends are vmm/vhost_user.c, with one table of shared objects, and each device has a fake guest of its own before it.
 * The codec is the fake one. For cmocka tests; calls assert that they succeed. Thread: the test's only one.
 */
#ifndef MULLION_TESTS_LIB_ISOLATED_PAIR_H
#define MULLION_TESTS_LIB_ISOLATED_PAIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "host/vhost/sandbox.h"
#include "tests/lib/film.h"
#include "tests/lib/gpu3d.h"

enum { ISOLATED_PIXELS = 128 * 128 };

/* Memory that both fake guests have, at the same place, besides their own. */
#define ISOLATED_COMMON_GPA 0x300000000ull
#define ISOLATED_COMMON_BYTES 0x100000ull

/* What a worker that was taken over may do: announce @name for memory of its own. */
enum isolated_mischief {
	ISOLATED_NONE,
	ISOLATED_ANNOUNCES, /* as a device does */
	ISOLATED_ANNOUNCES_A_PIPE,
};

/* Seen by test and workers. */
struct isolated_shared {
	atomic_uint workers[2];	 /* started so far, of the GPU and of the decoder */
	atomic_uint mischief[2]; /* to do; ISOLATED_NONE when it is done, and @result is what came of it */
	uint8_t name[16];
	int result;
	char die_at[2][16]; /* a step, from now on; "": none, or it is known */
	/* The last frame of scanout 0. */
	atomic_uint frames;
	uint32_t width, height;
	uint32_t pixels[ISOLATED_PIXELS];
};

struct isolated_side {
	struct isolated_shared *shared;
	const char *renderer; /* of a GPU; NULL: a decoder */
	enum sandbox_mode mode;
	struct fake_guest *guest;
	struct virtio_device *device;
	pid_t keeper;
	FILE *log;
	struct virtio_queue_fds fds[VIRTIO_DEVICE_MAX_QUEUES];
	struct loop_fd watches[VIRTIO_DEVICE_MAX_QUEUES];
};

struct isolated_pair {
	struct isolated_shared *shared;
	struct shared_objects *objects;
	uint8_t *common;
	int common_fd;
	struct isolated_side sides[2]; /* the GPU's, the decoder's */
	struct gpu3d gpu;
	struct gpu3d_screen screen; /* not used: frames are in @shared */
	struct video_world video;
	struct film film;
};

enum { ISOLATED_GPU, ISOLATED_VIDEO };

/* Skips the test where there is no such renderer. */
void isolated_pair_open(struct isolated_pair *p, const char *renderer);
/* The same without a sandbox: process 1 of a world of its own can't kill itself. */
void isolated_pair_open_unconfined(struct isolated_pair *p, const char *renderer);
void isolated_pair_close(struct isolated_pair *p);
/* The frontend of one leaves for good. */
void isolated_pair_leave(struct isolated_pair *p, unsigned side);

/* Kill the worker of @side, and wait for the next one. */
void isolated_pair_kill(struct isolated_pair *p, unsigned side);
/* The worker of @side dies when it reaches @step (host/base/step.h) for the @number-th time from now on. */
void isolated_pair_arm(struct isolated_pair *p, unsigned side, unsigned step, unsigned number);
/* Kill its keeper, and wait until the frontend knows. */
void isolated_pair_kill_keeper(struct isolated_pair *p, unsigned side);
/* Have the worker of @side do it; returns what came of it. */
int isolated_pair_do(struct isolated_pair *p, unsigned side, enum isolated_mischief what, const uint8_t name[16]);
#endif
