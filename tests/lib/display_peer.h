/* SPDX-License-Identifier: MIT */
/*
 * A frontend's display (protocol/vhost_user_gpu.h) for tests: reads messages, keeps what they show, and answers questions
 * when it is told to. It is as strict as QEMU is careless: pixels for a scanout without size, or outside it, fail the test.
 */
#ifndef MULLION_TESTS_LIB_DISPLAY_PEER_H
#define MULLION_TESTS_LIB_DISPLAY_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "protocol/vhost_user_gpu.h"
#include "protocol/virtio_gpu.h"

struct peer_scanout {
	uint32_t width, height;
	uint32_t *pixels;
	unsigned sizes, updates, images, moves, hides;
	struct vhost_user_gpu_dmabuf_scanout2 buffer; /* told last */
	int buffer_fd;				      /* of it; 0: none */
	unsigned buffers, buffer_ends, buffer_updates;
	struct vhost_user_gpu_update buffer_update; /* the last one */
	struct vhost_user_gpu_cursor_update cursor;
};

struct display_peer {
	struct loop *loop;
	int fd;	   /* ours */
	int given; /* the other end; the test gives it away */
	uint64_t features;
	struct peer_scanout scanouts[16];
	unsigned features_asked, features_set, infos_asked, edids_asked;
	uint32_t edid_scanout;
	bool has_modifiers;		     /* of the last buffer */
	int came;			     /* with a message that is not whole yet; 0: nothing */
	struct vhost_user_gpu_header header; /* of the message that is being read */
	size_t have;
	uint8_t message[128 << 10];
};

struct display_peer *display_peer_create(struct loop *loop);
void display_peer_destroy(struct display_peer *p);
/* Run the loop and read until nothing more comes, at least @ms; protocol features are answered, nothing else. */
void display_peer_run(struct display_peer *p, int ms);
/* Let the device's loop run once, and read what comes at one go. True if something came. */
bool display_peer_step(struct display_peer *p);
/* A message in pieces: cut before byte @cut (0: whole), the loop runs in between. */
void display_peer_send(struct display_peer *p, uint32_t request, uint32_t flags, const void *payload, size_t bytes,
		       size_t cut);
void display_peer_say_info(struct display_peer *p, uint32_t width, uint32_t height, size_t cut);
/* The answer to a DMABUF_UPDATE. */
void display_peer_say_shown(struct display_peer *p);
void display_peer_say_edid(struct display_peer *p, uint8_t first, uint32_t bytes, size_t cut);

#endif
