/* SPDX-License-Identifier: MIT */
/*
 * A 3D renderer that draws nothing: it keeps what the device told it, and aborts when it is told something that
 * gpu.c should have refused (a context that doesn't exist, a fence number that doesn't grow). Fences are done when
 * the test says so. Thread: the device's loop.
 */
#ifndef MULLION_TESTS_LIB_FAKE_RENDERER_H
#define MULLION_TESTS_LIB_FAKE_RENDERER_H

#include "host/gpu/renderer.h"

#define FAKE_CAPSET_BYTES 700u
#define FAKE_FENCES 4096u
/* Resources from here on can't be shown without a copy. */
#define FAKE_NO_BUFFER 100u

/* A context has an object of each blob_id below: a picture of 32x16 in B8G8R8X8. */
#define FAKE_OBJECTS 100u

struct fake_fence {
	struct renderer_timeline timeline;
	uint64_t seq;
};

struct fake_context {
	uint32_t id, capset_id;
	char name[64];
	unsigned attached;
	bool lost;
	struct fake_context *next;
};

struct fake_renderer {
	struct renderer base;
	struct renderer_config config;
	struct fake_context *contexts;
	unsigned context_count, resource_count;
	/* Asked for and not reported, oldest first. */
	struct fake_fence fences[FAKE_FENCES];
	unsigned fence_count;
	uint64_t last_seq;
	/* The next op that can fail does, with this errno, once. */
	int fail_next;
	bool paused;
	void (*during)(void *owner); /* NULL, or called in each op that can fail, and in capset_info() */
	void *during_owner;
	bool is_idle; /* what a fence would wait for is done when it is made */
	/* What came last. */
	struct renderer_transfer transfer;
	bool to_host;
	uint8_t *commands;
	size_t command_bytes;
	uint32_t submit_ctx;
	int buffer; /* what stands for a dma-buf of any resource */
	unsigned submits, skips, restores, transfers, attaches, detaches, backings, resets;
};

extern const struct renderer_ops fake_renderer_ops;
/* For gpu_config.renderers. */
extern const struct renderer_ops *const fake_renderers[];
/* The newest one made, while it lives. */
extern struct fake_renderer *fake_renderer_current;
/* What @during of those made from now on is at first; NULL. */
extern void (*fake_renderer_during)(void *owner);

struct fake_context *fake_renderer_context(struct fake_renderer *f, uint32_t id);

/* Report the oldest @count fences, one call each. */
void fake_renderer_finish(struct fake_renderer *f, unsigned count);
/* Report fence number @index, which stands for the older ones of its timeline too. */
void fake_renderer_finish_one(struct fake_renderer *f, unsigned index);

/* The picture every resource shows: DRM_FORMAT_ARGB8888. */
uint32_t fake_renderer_pixel(uint32_t resource_id, uint32_t x, uint32_t y);

#endif
