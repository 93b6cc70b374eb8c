// SPDX-License-Identifier: MIT
#include "host/video/media_window.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/chain.h"
#include "host/virtio/device.h"
#include "host/virtio/shared_heap.h"
#include "protocol/virtio_media.h"

/* At a time; each mapping takes an entry of the host's table of areas. */
#define MAX_MEMORIES 512u
#define MAX_MAPPINGS 4096u
/* Of addresses, on any host. */
#define MAX_HEAP_BYTES (64ull << 30)

/* ---- memory ---- */

/* Buffers that come and go leave gaps; memory is taken only where something is. */
uint64_t media_heap_bytes(uint64_t max_bytes)
{
	const uint64_t bytes = 2 * (max_bytes + MEDIA_PAGE_BYTES);

	return (bytes < MAX_HEAP_BYTES ? bytes : MAX_HEAP_BYTES) & ~(uint64_t)(MEDIA_PAGE_BYTES - 1);
}

int media_store_open(struct media_store *s, uint64_t max_bytes, int fd)
{
	int own = fd < 1 ? shared_heap_memfd(media_heap_bytes(max_bytes)) : -1;
	int err = fd < 1 && own < 0 ? own : shared_heap_open(own < 0 ? fd : own, &s->heap);

	if (own >= 0)
		close(own);
	s->max_bytes = max_bytes;
	return err;
}

void media_store_close(struct media_store *s)
{
	shared_heap_close(s->heap);
	s->heap = NULL;
}

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

/* Enter the piece at @place, which is taken, with one user. */
static int add_memory(struct media_store *s, uint64_t place, size_t bytes, struct media_memory **out)
{
	struct media_memory *m = calloc(1, sizeof(*m));

	if (!m) {
		shared_heap_give(s->heap, place, bytes);
		return -ENOMEM;
	}
	*m = (struct media_memory){.store = s,
				   .place = place,
				   .host = shared_heap_at(s->heap, place),
				   .bytes = bytes,
				   .users = 1,
				   .next = s->memories};
	s->memories = m;
	s->memory_count++;
	*out = m;
	return 0;
}

int media_memory_create(struct media_store *s, size_t bytes, struct media_memory **out)
{
	uint64_t place;

	if (s->memory_count >= MAX_MEMORIES || !media_store_take(s, bytes))
		return -ENOMEM;
	if (shared_heap_take(s->heap, bytes, &place) < 0 || add_memory(s, place, bytes, out) < 0) {
		media_store_give(s, bytes);
		return -ENOMEM;
	}
	return 0;
}

int media_memory_again(struct media_store *s, uint64_t place, uint64_t bytes, struct media_memory **out)
{
	int err;

	for (struct media_memory *m = s->memories; m; m = m->next) {
		if (m->place != place)
			continue;
		if (m->bytes != bytes)
			return -EINVAL;
		m->users++;
		*out = m;
		return 0;
	}
	if (bytes == 0 || bytes % MEDIA_PAGE_BYTES || s->memory_count >= MAX_MEMORIES || !media_store_take(s, bytes))
		return -EINVAL;
	err = shared_heap_take_again(s->heap, place, bytes);
	if (err == 0)
		err = add_memory(s, place, bytes, out);
	if (err == 0)
		return 0;
	media_store_give(s, bytes);
	return err == -ENOMEM ? -ENOMEM : -EINVAL;
}

void media_memory_hold(struct media_memory *m)
{
	m->users++;
}

void media_memory_drop(struct media_memory *m)
{
	struct media_memory **at;

	if (!m || --m->users > 0)
		return;
	at = &m->store->memories;
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	m->store->memory_count--;
	shared_heap_give(m->store->heap, m->place, m->bytes);
	media_store_give(m->store, m->bytes);
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

/* What the next process must know before the guest or the home does. */
static void say(const struct media_mapping *m)
{
	const struct media_mapping_record r = {
		.place = m->memory->place,
		.memory_bytes = m->memory->bytes,
		.offset = m->request.fd_offset - m->memory->place,
		.bytes = m->bytes,
		.users = m->users,
		.writable = m->request.writable,
	};

	m->window->changed(m->window->device, m->request.offset, &r);
}

static void ask_to_unmap(struct media_mapping *m);

static void on_mapped(struct virtio_shmem_request *r, int err)
{
	struct media_mapping *m = r->owner;
	struct chain *c;

	m->state = MAPPING_IS;
	if (err)
		m->window->changed(m->window->device, r->offset, NULL);
	while ((c = take_waiting(m))) {
		if (!err) {
			m->users++;
			say(m);
		}
		m->window->mapped(m->window->device, c, err, r->offset, m->bytes);
	}
	if (err)
		forget(m);
	else if (m->users == 0)
		ask_to_unmap(m);
}

static void on_unmapped(struct virtio_shmem_request *r, int err)
{
	struct media_mapping *m = r->owner;

	/* What is not there is as good as unmapped: a process before this one had it done, and died. */
	if (err == -ENOENT)
		err = 0;
	if (!err)
		m->window->changed(m->window->device, r->offset, NULL);
	m->window->unmapped(m->window->device, take_waiting(m), err);
	/* What could not be unmapped keeps its place, and nobody else gets it. */
	if (!err)
		forget(m);
}

/* Ask the home for its end. It may be gone afterwards. */
static void ask_to_unmap(struct media_mapping *m)
{
	int err;

	m->state = MAPPING_ENDS;
	m->request.done = on_unmapped;
	err = virtio_shmem_unmap(m->window->device, &m->request);
	if (err != -EINPROGRESS)
		on_unmapped(&m->request, err);
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

/* At @place of the window, behind the link @at. */
static struct media_mapping *add_mapping(struct media_window *w, uint64_t place, struct media_mapping **at,
					 struct media_memory *memory, uint64_t offset, uint64_t bytes, bool writable)
{
	const uint64_t length = media_whole_pages((size_t)bytes);
	struct media_mapping *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->window = w;
	m->memory = memory;
	m->bytes = bytes;
	m->request = (struct virtio_shmem_request){
		.offset = place,
		.length = length,
		.fd = shared_heap_fd(memory->store->heap),
		.fd_offset = memory->place + offset,
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
	struct media_mapping *m = w->mappings, **at;
	uint64_t place;
	int err;

	while (m && (m->memory != memory || m->request.fd_offset != memory->place + offset ||
		     m->request.writable != writable || m->state == MAPPING_ENDS))
		m = m->next;
	if (m && m->state == MAPPING_IS) {
		m->users++;
		say(m);
		w->mapped(w->device, c, 0, m->request.offset, m->bytes);
		return;
	}
	if (m) {
		wait_for(m, c);
		return;
	}
	if (w->count < MAX_MAPPINGS && find_place(w, media_whole_pages((size_t)bytes), &place, &at))
		m = add_mapping(w, place, at, memory, offset, bytes, writable);
	if (!m) {
		w->mapped(w->device, c, -ENOMEM, 0, 0);
		return;
	}
	wait_for(m, c);
	say(m);
	m->request.done = on_mapped;
	err = virtio_shmem_map(w->device, &m->request);
	if (err != -EINPROGRESS)
		on_mapped(&m->request, err);
}

void media_window_unmap(struct media_window *w, struct chain *c, uint64_t at)
{
	struct media_mapping *m = w->mappings;

	while (m && m->request.offset != at)
		m = m->next;
	if (!m || m->state != MAPPING_IS) {
		w->unmapped(w->device, c, -EINVAL);
		return;
	}
	/* The last one is there for the next process until it is not: the guest's request is done again by that. */
	if (--m->users > 0) {
		say(m);
		w->unmapped(w->device, c, 0);
		return;
	}
	wait_for(m, c);
	ask_to_unmap(m);
}

void media_window_give_up(struct media_window *w)
{
	for (struct media_mapping *m = w->mappings; m; m = m->next) {
		struct chain *c;

		while ((c = take_waiting(m))) {
			if (m->state == MAPPING_STARTS)
				w->mapped(w->device, c, -EIO, 0, 0);
			else
				w->unmapped(w->device, c, 0);
		}
	}
}

/* ---- after a death ---- */

int media_window_restore(struct media_window *w, struct media_store *s, uint64_t offset,
			 const struct media_mapping_record *r)
{
	struct media_mapping **at = &w->mappings, *m;
	struct media_memory *memory;
	uint64_t end = 0;
	int err;

	if (w->count >= MAX_MAPPINGS || r->bytes == 0 || r->bytes > r->memory_bytes || r->offset % MEDIA_PAGE_BYTES ||
	    r->offset > r->memory_bytes || media_whole_pages((size_t)r->bytes) > r->memory_bytes - r->offset ||
	    offset % MEDIA_PAGE_BYTES || offset >= MEDIA_WINDOW_BYTES ||
	    media_whole_pages((size_t)r->bytes) > MEDIA_WINDOW_BYTES - offset)
		return -EINVAL;
	while (*at && (*at)->request.offset < offset) {
		end = (*at)->request.offset + (*at)->request.length;
		at = &(*at)->next;
	}
	if (offset < end || (*at && (*at)->request.offset < offset + media_whole_pages((size_t)r->bytes)))
		return -EINVAL;
	err = media_memory_again(s, r->place, r->memory_bytes, &memory);
	if (err < 0)
		return err;
	m = add_mapping(w, offset, at, memory, r->offset, r->bytes, r->writable);
	if (m) {
		m->users = r->users;
		m->state = r->users > 0 ? MAPPING_IS : MAPPING_STARTS;
	}
	media_memory_drop(memory);
	return m ? 0 : -ENOMEM;
}

void media_window_settle(struct media_window *w)
{
	struct media_mapping *next;

	for (struct media_mapping *m = w->mappings; m; m = next) {
		next = m->next;
		if (m->state == MAPPING_STARTS)
			ask_to_unmap(m);
	}
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
