/* SPDX-License-Identifier: MIT */
/*
 * The guest pages of one buffer in one piece, for a codec that reads or writes pictures where they are instead of a copy. They
 * are mapped anew from the descriptor behind guest memory, so they stay where they are as long as anybody holds them:
 * a codec that is being stopped may still read when the guest has its buffer back, or its memory map changed. The
 * guest can rewrite them at any moment, so only what treats them as samples and nothing else may read them.
 */
#ifndef MULLION_HOST_VIDEO_PAGES_H
#define MULLION_HOST_VIDEO_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_mem;
struct video_buffer;
struct video_pages;

/*
 * Map the bytes of @b, to be read. NULL where that can't be: the pieces don't begin and end with pages, have no
 * descriptor, or are too many, in this buffer or in all that the process has mapped: a guest makes buffers as it
 * likes. Thread: the device's loop.
 */
struct video_pages *video_pages_map(const struct guest_mem *mem, const struct video_buffer *b);

/*
 * The same for @bytes at @offset of memfd @fd, a page's multiple, in which whole pages are there; @fd stays open as long as
 * video_pages_dmabuf() may be asked. Thread: the device's loop.
 */
struct video_pages *video_pages_map_file(int fd, size_t offset, size_t bytes);

/* Are these the bytes of @b, of guest memory? NULL is not. Thread: the device's loop. */
bool video_pages_are_of(const struct video_pages *p, const struct video_buffer *b);

/*
 * The whole pages as a dma-buf, for drivers: made by /dev/udmabuf once, when it is asked for first, while the descriptors
 * behind the memory are open still. -1: this host can't, the memory is no sealed memfd, or it begins in the midst of a page.
 * The pages keep it. NULL has none. Thread: the device's loop; once it was asked for, any.
 */
int video_pages_dmabuf(struct video_pages *p);
size_t video_pages_dmabuf_bytes(const struct video_pages *p);

/* Memory of the host's own, @bytes that may be written at video_pages_bytes(), for whom there must be a dma-buf; or NULL. */
struct video_pages *video_pages_create(size_t bytes);

/* Byte 0 of the buffer; all of them follow. Thread: any. */
const uint8_t *video_pages_bytes(const struct video_pages *p);

/* Hold it once more; the last to let go unmaps it. NULL is fine for unref. Thread: any. */
struct video_pages *video_pages_ref(struct video_pages *p);
void video_pages_unref(struct video_pages *p);

#endif
