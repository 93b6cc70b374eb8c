// SPDX-License-Identifier: MIT
#include "host/video/media_window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/chain.h"
#include "host/virtio/device.h"
#include "protocol/virtio_media.h"

/* At a time; each takes an entry of the host's tables, of descriptors or of areas. */
#define MAX_MEMORIES 512u
#define MAX_MAPPINGS 4096u

/* ---- memory ---- */

bool media_store_take(struct media_store *s, uint64_t bytes)
{
	if (bytes > s->max_bytes - s->used_bytes)
		return false;
	s->used_bytes += bytes;
	return true;
}

void media_store_give(struct media_store *s, uint64_t bytes)
{
	s->used_bytes -= bytes;
}

int media_memory_create(struct media_store *s, size_t bytes, struct media_memory **out)
{
	struct media_memory *m;

	if (s->memories >= MAX_MEMORIES || !media_store_take(s, bytes))
		return -ENOMEM;
	m = calloc(1, sizeof(*m));
	if (!m)
		goto fail;
	*m = (struct media_memory){.store = s, .bytes = bytes, .users = 1};
	m->fd = memfd_create("mullion-media", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd < 0)
		goto fail;
	if (ftruncate(m->fd, (off_t)bytes) < 0 ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail_close;
	m->host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (m->host == MAP_FAILED)
		goto fail_close;
	s->memories++;
	*out = m;
	return 0;

fail_close:
	close(m->fd);
fail:
	free(m);
	media_store_give(s, bytes);
	return -ENOMEM;
}

void media_memory_hold(struct media_memory *m)
{
	m->users++;
}

void media_memory_drop(struct media_memory *m)
{
	if (!m || --m->users > 0)
		return;
	munmap(m->host, m->bytes);
	close(m->fd);
	media_store_give(m->store, m->bytes);
	m->store->memories--;
	free(m);
}

/* ---- the window ---- */

enum mapping_state { MAPPING_STARTS, MAPPING_IS, MAPPING_ENDS };

struct media_mapping {
	struct virtio_shmem_request request;
	struct media_window *window;
	enum mapping_state state;
	struct media_memory *memory;
	uint64_t bytes;	       /* as the plane has */
	unsigned users;	       /* times that the guest was told where it is */
	struct chain *waiting; /* linked by their owner words */
	struct media_mapping *next;
};

void media_window_init(struct media_window *w, struct virtio_device *d)
{
	w->device = d;
	virtio_device_set_shmem(d, VIRTIO_MEDIA_SHM_MMAP, MEDIA_WINDOW_BYTES);
}

static void release(struct media_mapping *m)
{
	media_memory_drop(m->memory);
	free(m);
}

static void forget(struct media_mapping *m)
{
	struct media_mapping **at = &m->window->mappings;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	m->window->count--;
	release(m);
}

static struct chain *take_waiting(struct media_mapping *m)
{
	struct chain *c = m->waiting;

	if (c)
		m->waiting = chain_owner(c);
	return c;
}

static void wait_for(struct media_mapping *m, struct chain *c)
{
	chain_set_owner(c, m->waiting);
	m->waiting = c;
}

static void on_mapped(struct virtio_shmem_request *r, int err)
{
	struct media_mapping *m = r->owner;
	struct chain *c;

	m->state = MAPPING_IS;
	while ((c = take_waiting(m))) {
		if (!err)
			m->users++;
		m->window->mapped(m->window->device, c, err, r->offset, m->bytes);
	}
	if (err)
		forget(m);
}

static void on_unmapped(struct virtio_shmem_request *r, int err)
{
	struct media_mapping *m = r->owner;

	m->window->unmapped(m->window->device, take_waiting(m), err);
	/* What could not be unmapped keeps its place, and nobody else gets it. */
	if (!err)
		forget(m);
}

/* The lowest free place for @length; *@at is the link behind which it lies. Returns false if there is none. */
static bool find_place(struct media_window *w, uint64_t length, uint64_t *offset, struct media_mapping ***at)
{
	uint64_t end = 0;

	for (*at = &w->mappings; **at; *at = &(**at)->next) {
		if ((**at)->request.offset - end >= length)
			break;
		end = (**at)->request.offset + (**at)->request.length;
	}
	*offset = end;
	return length <= MEDIA_WINDOW_BYTES - end;
}

static struct media_mapping *add_mapping(struct media_window *w, struct media_memory *memory, size_t offset,
					 uint64_t bytes, bool writable)
{
	const uint64_t length = media_whole_pages((size_t)bytes);
	struct media_mapping *m, **at;
	uint64_t place;

	if (w->count >= MAX_MAPPINGS || !find_place(w, length, &place, &at))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->window = w;
	m->memory = memory;
	m->bytes = bytes;
	m->request = (struct virtio_shmem_request){
		.offset = place,
		.length = length,
		.fd = memory->fd,
		.fd_offset = offset,
		.writable = writable,
		.owner = m,
	};
	media_memory_hold(memory);
	m->next = *at;
	*at = m;
	w->count++;
	return m;
}

void media_window_map(struct media_window *w, struct chain *c, struct media_memory *memory, size_t offset,
		      uint64_t bytes, bool writable)
{
	struct media_mapping *m = w->mappings;
	int err;

	while (m && (m->memory != memory || m->request.fd_offset != offset || m->request.writable != writable ||
		     m->state == MAPPING_ENDS))
		m = m->next;
	if (m && m->state == MAPPING_IS) {
		m->users++;
		w->mapped(w->device, c, 0, m->request.offset, m->bytes);
		return;
	}
	if (m) {
		wait_for(m, c);
		return;
	}
	m = add_mapping(w, memory, offset, bytes, writable);
	if (!m) {
		w->mapped(w->device, c, -ENOMEM, 0, 0);
		return;
	}
	wait_for(m, c);
	m->request.done = on_mapped;
	err = virtio_shmem_map(w->device, &m->request);
	if (err != -EINPROGRESS)
		on_mapped(&m->request, err);
}

void media_window_unmap(struct media_window *w, struct chain *c, uint64_t at)
{
	struct media_mapping *m = w->mappings;
	int err;

	while (m && m->request.offset != at)
		m = m->next;
	if (!m || m->state != MAPPING_IS) {
		w->unmapped(w->device, c, -EINVAL);
		return;
	}
	if (--m->users > 0) {
		w->unmapped(w->device, c, 0);
		return;
	}
	m->state = MAPPING_ENDS;
	wait_for(m, c);
	m->request.done = on_unmapped;
	err = virtio_shmem_unmap(w->device, &m->request);
	if (err != -EINPROGRESS)
		on_unmapped(&m->request, err);
}

void media_window_reset(struct media_window *w)
{
	struct media_mapping *m;

	while ((m = w->mappings)) {
		struct chain *c;

		if (m->state != MAPPING_IS)
			virtio_shmem_cancel(w->device, &m->request);
		while ((c = take_waiting(m)))
			chain_finish(c);
		w->mappings = m->next;
		release(m);
	}
	w->count = 0;
}
