// SPDX-License-Identifier: MIT
#include "tests/lib/fake_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "protocol/virtio.h"
#include "tests/lib/fake_guest_parts.h"

#define GAP 3u /* bytes between the pieces of a request */
/* A device answers at once; but a busy machine may start a worker meanwhile, and with sanitizers that takes seconds. */
#define REQUEST_TIMEOUT_MS 60000
#define TABLE_MAX VIRTQ_INDIRECT_MAX

_Noreturn void fake_guest_die(const char *format, ...)
{
	va_list args;

	fputs("# fake guest: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

void *fake_guest_must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		fake_guest_die("out of memory");
	return p;
}

/* ---- life ---- */

struct fake_guest *fake_guest_create(const struct fake_guest_options *options)
{
	struct fake_guest *g = fake_guest_must_alloc(1, sizeof(*g));
	struct guest_mem_region region;
	size_t half;

	if (options)
		g->options = *options;
	half = (g->options.memory_bytes ? g->options.memory_bytes : 16u << 20) / 2;
	half = (half + PAGE - 1) & ~(size_t)(PAGE - 1);
	g->bytes = 2 * half;
	g->memfd = memfd_create("fake-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (g->memfd < 0 || ftruncate(g->memfd, (off_t)g->bytes) < 0 ||
	    fcntl(g->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		fake_guest_die("memfd: %s", strerror(errno));
	g->host = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
	if (g->host == MAP_FAILED)
		fake_guest_die("mmap: %s", strerror(errno));
	region = (struct guest_mem_region){ .gpa = LOW_GPA, .size_bytes = half, .host = g->host, .fd = g->memfd };
	if (guest_mem_create(&g->mem) || guest_mem_add(g->mem, &region))
		fake_guest_die("memory map");
	region.gpa = HIGH_GPA;
	region.host += half;
	region.fd_offset = half;
	if (guest_mem_add(g->mem, &region))
		fake_guest_die("memory map");
	g->low = (struct arena){ .next = LOW_GPA, .end = LOW_GPA + half };
	g->high = (struct arena){ .next = HIGH_GPA, .end = HIGH_GPA + half };
	if (loop_create("fake-guest", &g->loop))
		fake_guest_die("loop");
	return g;
}

static void forget_queues(struct fake_guest *g)
{
	for (unsigned i = 0; i < g->queue_count; i++) {
		struct queue *q = &g->queues[i];

		for (unsigned id = 0; id < q->ring.size; id++) {
			if (q->by_id[id]) {
				q->by_id[id]->done = true;
				q->by_id[id]->lost = true;
			}
		}
		fake_ring_free(g, q);
	}
	g->queue_count = 0;
}

/* All but the guest's memory. */
static void free_request(struct fake_request *r)
{
	struct fake_request_parts *p = r->parts;

	*p->link = p->next;
	if (p->next)
		p->next->parts->link = p->link;
	free(p->pieces);
	free(p);
	free(r->out);
	free(r);
}

void fake_guest_destroy(struct fake_guest *g)
{
	if (!g)
		return;
	loop_destroy(g->loop);
	forget_queues(g);
	while (g->requests)
		free_request(g->requests);
	guest_mem_destroy(g->mem);
	munmap(g->host, g->bytes);
	close(g->memfd);
	fake_guest_free_arenas(g);
	free(g);
}

struct loop *fake_guest_loop(struct fake_guest *g)
{
	return g->loop;
}

const struct guest_mem *fake_guest_mem(struct fake_guest *g)
{
	return g->mem;
}

/* ---- the transport: calls to the device are made on its loop ---- */

static void interrupt(void *owner, unsigned queue)
{
	struct fake_guest *g = owner;

	atomic_fetch_add(&g->queues[queue].interrupts, 1);
}

static void config_changed(void *owner)
{
	struct fake_guest *g = owner;

	atomic_fetch_add(&g->config_changes, 1);
}

static void progress(void *owner)
{
	struct fake_guest *g = owner;

	atomic_fetch_add(&g->progress, 1);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt = interrupt,
	.config_changed = config_changed,
	.progress = progress,
};

struct call {
	struct fake_guest *g;
	uint64_t features;
	uint8_t status;
	unsigned queue;
	uint32_t offset;
	void *buf;
	size_t n;
};

static void call_bind(void *arg)
{
	struct call *c = arg;

	virtio_device_set_transport(c->g->device, &transport_ops, c->g);
}

static void call_features(void *arg)
{
	struct call *c = arg;

	virtio_device_set_features(c->g->device, c->features);
}

static void call_status(void *arg)
{
	struct call *c = arg;
	struct virtq_setup setups[VIRTIO_DEVICE_MAX_QUEUES] = { 0 };

	for (unsigned i = 0; i < c->g->queue_count; i++)
		setups[i] = c->g->queues[i].ring.setup;
	if (c->status != 0xff)
		virtio_device_set_status(c->g->device, c->status, setups);
	c->status = c->g->device->status;
}

static void call_kick(void *arg)
{
	struct call *c = arg;

	virtio_device_kick(c->g->device, c->queue);
}

static void call_config(void *arg)
{
	struct call *c = arg;

	virtio_device_config(c->g->device, c->offset, c->buf, c->n, false);
}

static uint8_t device_status(struct fake_guest *g)
{
	struct call c = { .g = g, .status = 0xff };

	loop_call(g->loop, call_status, &c);
	return c.status;
}

void fake_guest_set_status(struct fake_guest *g, uint8_t status)
{
	struct call c = { .g = g, .status = status };

	loop_call(g->loop, call_status, &c);
}

void fake_guest_reset(struct fake_guest *g)
{
	fake_guest_set_status(g, 0);
	forget_queues(g);
}

void fake_guest_device_is_gone(struct fake_guest *g)
{
	forget_queues(g);
	g->device = NULL;
}

void fake_guest_force_kick(struct fake_guest *g, unsigned queue)
{
	struct call c = { .g = g, .queue = queue };

	g->queues[queue].kicks++;
	loop_call(g->loop, call_kick, &c);
}

void fake_guest_read_config(struct fake_guest *g, uint32_t offset, void *buf, size_t n)
{
	struct call c = { .g = g, .offset = offset, .buf = buf, .n = n };

	loop_call(g->loop, call_config, &c);
}

enum start { START_RESET, START_FRESH_RINGS, START_GO_ON };

static int start(struct fake_guest *g, struct virtio_device *d, enum start how)
{
	uint64_t rings = VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
			 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	struct call c = { .g = g };

	g->device = d;
	loop_call(g->loop, call_bind, &c);
	if (how == START_RESET)
		fake_guest_set_status(g, 0);
	if (how != START_GO_ON)
		forget_queues(g);
	fake_guest_set_status(g, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	fake_guest_set_status(g, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	c.features = d->offered & ~rings & ~g->options.refuse;
	c.features |= g->options.packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0;
	c.features |= g->options.event_idx ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0;
	c.features |= g->options.indirect ? VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0;
	loop_call(g->loop, call_features, &c);
	c.status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
	fake_guest_set_status(g, c.status);
	if (!(device_status(g) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -EPROTO;
	for (unsigned i = 0; i < d->queue_count; i++) {
		if (how != START_GO_ON)
			fake_ring_make(g, i);
		fake_ring_set_event(g, &g->queues[i]);
		g->queues[i].ring.setup.resume = how == START_GO_ON;
	}
	g->queue_count = d->queue_count;
	fake_guest_set_status(g, c.status | VIRTIO_CONFIG_S_DRIVER_OK);
	return device_status(g) & VIRTIO_CONFIG_S_NEEDS_RESET ? -EPIPE : 0;
}

int fake_guest_start(struct fake_guest *g, struct virtio_device *d)
{
	return start(g, d, START_RESET);
}

int fake_guest_take_over(struct fake_guest *g, struct virtio_device *d)
{
	return start(g, d, START_FRESH_RINGS);
}

int fake_guest_go_on(struct fake_guest *g, struct virtio_device *d)
{
	return start(g, d, START_GO_ON);
}

/* ---- cutting a request into pieces ---- */

void fake_guest_set_split(struct fake_guest *g, size_t at, size_t piece)
{
	g->split_at = at;
	g->split_piece = piece;
}

/* Fills @pieces (NULL: only counts) with lengths and directions. */
static unsigned cut(const struct fake_guest *g, size_t in_len, size_t out_cap, struct piece *pieces)
{
	size_t total = in_len + out_cap;
	unsigned count = 0;
	size_t at = 0;

	while (at < total) {
		size_t end = at < in_len ? in_len : total;

		if (g->split_at > at && g->split_at < end)
			end = g->split_at;
		if (g->split_piece && end - at > g->split_piece)
			end = at + g->split_piece;
		if (pieces)
			pieces[count] = (struct piece){ .len = (uint32_t)(end - at), .writable = at >= in_len };
		count++;
		at = end;
	}
	return count;
}

bool fake_guest_has_room(struct fake_guest *g, unsigned queue, size_t in_len, size_t out_cap)
{
	unsigned count = cut(g, in_len, out_cap, NULL);

	return (fake_request_uses_table(g, count) ? 1 : count ? count : 1) <= g->queues[queue].free_slots;
}

void fake_guest_split_each(struct fake_guest *g, unsigned queue, size_t total, void (*request)(void *arg), void *arg)
{
	/* One is lost at the border of readable and writable. */
	size_t most = (g->options.indirect ? TABLE_MAX : g->queues[queue].ring.size) - 1u;

	for (size_t at = 0; at < total; at++) {
		fake_guest_set_split(g, at, 0);
		request(arg);
	}
	fake_guest_set_split(g, 0, most ? (total + most - 1) / most : 0);
	request(arg);
	fake_guest_set_split(g, 0, 0);
}

/* ---- requests ---- */

struct fake_request *fake_guest_add(struct fake_guest *g, unsigned queue, const void *in, size_t in_len, size_t out_cap)
{
	struct queue *q = &g->queues[queue];
	struct fake_request *r = fake_guest_must_alloc(1, sizeof(*r));
	struct fake_request_parts *p = fake_guest_must_alloc(1, sizeof(*p));
	const uint8_t *from = in;
	uint64_t gpa;

	if (queue >= g->queue_count)
		fake_guest_die("there is no queue %u", queue);
	p->next = g->requests;
	p->link = &g->requests;
	if (p->next)
		p->next->parts->link = &p->next;
	g->requests = r;
	r->queue = queue;
	r->out_cap = out_cap;
	r->out = fake_guest_must_alloc(out_cap, 1);
	r->parts = p;
	p->count = cut(g, in_len, out_cap, NULL);
	p->pieces = fake_guest_must_alloc(p->count, sizeof(*p->pieces));
	cut(g, in_len, out_cap, p->pieces);
	p->slots = fake_request_uses_table(g, p->count) || !p->count ? 1 : p->count;
	if (p->slots > q->free_slots)
		fake_guest_die("queue %u has %u free descriptors, a request needs %u", queue, q->free_slots, p->slots);
	if (fake_request_uses_table(g, p->count) && p->count > TABLE_MAX)
		fake_guest_die("an indirect table of %u entries", p->count);

	/* From the end of the memory to its start, so that nothing follows what it follows in the request. */
	p->memory_bytes = in_len + out_cap + (size_t)GAP * p->count;
	p->memory_gpa = fake_guest_alloc(g, p->memory_bytes, 1);
	gpa = p->memory_gpa + p->memory_bytes;
	for (unsigned i = 0; i < p->count; i++) {
		struct piece *piece = &p->pieces[i];

		gpa -= piece->len + GAP;
		piece->gpa = gpa;
		if (piece->writable) {
			memset(fake_guest_ptr(g, gpa, piece->len), 0xa5, piece->len);
		} else {
			memcpy(fake_guest_ptr(g, gpa, piece->len), from, piece->len);
			from += piece->len;
		}
	}
	fake_ring_add(g, q, p);
	q->by_id[p->id] = r;
	q->free_slots -= p->slots;
	q->added += g->options.packed ? p->slots : 1;
	return r;
}

void fake_guest_kick(struct fake_guest *g, unsigned queue)
{
	struct queue *q = &g->queues[queue];

	bool wanted;

	if (!q->added)
		return;
	wanted = fake_ring_wants_kick(g, q);
	/* Before the device runs: its handler may add and kick again. */
	q->added = 0;
	if (wanted)
		fake_guest_force_kick(g, queue);
	else
		q->kicks_saved++;
}

static void complete(struct fake_guest *g, struct queue *q, uint32_t id, uint32_t len)
{
	struct fake_request *r = id < q->ring.size ? q->by_id[id] : NULL;
	struct fake_request_parts *p;
	uint8_t *to;

	if (!r)
		fake_guest_die("the device used id %u, which is not outstanding", id);
	if (len > r->out_cap)
		fake_guest_die("the device says it wrote %u bytes where %zu fit", len, r->out_cap);
	p = r->parts;
	to = r->out;
	for (unsigned i = 0; i < p->count; i++) {
		if (!p->pieces[i].writable)
			continue;
		memcpy(to, fake_guest_ptr(g, p->pieces[i].gpa, p->pieces[i].len), p->pieces[i].len);
		to += p->pieces[i].len;
	}
	r->used_len = len;
	r->sequence = ++g->sequence;
	r->done = true;
	q->by_id[id] = NULL;
	q->free_slots += p->slots;
	fake_ring_give_back(g, q, p);
}

unsigned fake_guest_poll(struct fake_guest *g, unsigned queue)
{
	struct queue *q = &g->queues[queue];
	unsigned count = 0;
	uint32_t id;
	uint32_t len;

	for (;;) {
		unsigned before = count;

		for (; fake_ring_next_used(g, q, &id, &len); count++)
			complete(g, q, id, len);
		if (count == before)
			return count;
		/* Then look again: what came before the device saw this gives no interrupt. */
		fake_ring_set_event(g, q);
	}
}

void fake_guest_mask_interrupts(struct fake_guest *g, unsigned queue, bool masked)
{
	g->queues[queue].masked = masked;
	fake_ring_set_event(g, &g->queues[queue]);
}

static void take_interrupts(struct fake_guest *g)
{
	for (unsigned i = 0; i < g->queue_count; i++) {
		unsigned now = atomic_load(&g->queues[i].interrupts);

		if (now != g->queues[i].interrupts_seen) {
			g->queues[i].interrupts_seen = now;
			fake_guest_poll(g, i);
		}
	}
}

bool fake_guest_run_until(struct fake_guest *g, bool (*done)(void *arg), void *arg, int timeout_ms)
{
	uint64_t end = loop_now_ns() + (uint64_t)timeout_ms * 1000000u;
	bool mine = loop_is_current(g->loop);
	/* On a busy machine the time may be over before what is ready had its turn; posted work takes a few. */
	unsigned turns = timeout_ms > 0 ? 8 : 0;

	for (;;) {
		uint64_t now;

		take_interrupts(g);
		if (done && done(arg))
			return true;
		now = loop_now_ns();
		if (now >= end && turns == 0)
			return false;
		turns -= turns > 0;
		if (mine) {
			uint64_t left_ms = now < end ? (end - now) / 1000000u + 1 : 0;

			if (loop_run_once(g->loop, left_ms < 10 ? (int)left_ms : 10))
				fake_guest_die("epoll: %s", strerror(errno));
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
		}
	}
}

struct wait {
	struct fake_guest *g;
	struct fake_request *r;
};

static bool is_over(void *arg)
{
	struct wait *w = arg;

	return w->r->done || device_status(w->g) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

int fake_guest_wait(struct fake_guest *g, struct fake_request *r, int timeout_ms)
{
	struct wait w = { .g = g, .r = r };
	bool over = fake_guest_run_until(g, is_over, &w, timeout_ms);

	if (r->done && !r->lost)
		return 0;
	return over ? -EPIPE : -ETIMEDOUT;
}

void fake_guest_free_request(struct fake_guest *g, struct fake_request *r)
{
	struct fake_request_parts *p;

	if (!r)
		return;
	if (!r->done)
		fake_guest_die("fake_guest_free_request() of one that is not done");
	p = r->parts;
	fake_guest_free(g, p->memory_gpa, p->memory_bytes);
	if (p->table_bytes)
		fake_guest_free_aligned(g, p->table_gpa, p->table_bytes, 16);
	free_request(r);
}

int fake_guest_request(struct fake_guest *g, unsigned queue, const void *in, size_t in_len, void *out, size_t out_cap,
		       uint32_t *used_len)
{
	struct fake_request *r = fake_guest_add(g, queue, in, in_len, out_cap);
	int err;

	fake_guest_kick(g, queue);
	err = fake_guest_wait(g, r, REQUEST_TIMEOUT_MS);
	if (!err) {
		if (out_cap)
			memcpy(out, r->out, out_cap);
		if (used_len)
			*used_len = r->used_len;
	} else if (err == -ETIMEDOUT) {
		/* The device still has it, and only a reset takes it back. */
		fake_guest_reset(g);
	} else if (!r->done) {
		/* Its queues have stopped: nobody writes there any more. */
		g->queues[queue].by_id[r->parts->id] = NULL;
		r->done = true;
	}
	fake_guest_free_request(g, r);
	return err;
}

/* ---- what the transport saw ---- */

unsigned fake_guest_interrupts(struct fake_guest *g, unsigned queue)
{
	return atomic_load(&g->queues[queue].interrupts);
}

unsigned fake_guest_config_changes(struct fake_guest *g)
{
	return atomic_load(&g->config_changes);
}

unsigned fake_guest_progress(struct fake_guest *g)
{
	return atomic_load(&g->progress);
}

unsigned fake_guest_kicks(struct fake_guest *g, unsigned queue)
{
	return g->queues[queue].kicks;
}

unsigned fake_guest_kicks_saved(struct fake_guest *g, unsigned queue)
{
	return g->queues[queue].kicks_saved;
}
