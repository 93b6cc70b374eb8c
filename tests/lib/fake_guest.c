// SPDX-License-Identifier: MIT
#include "tests/lib/fake_guest.h"

#include <errno.h>
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

#define LOW_GPA 0x1000ull
#define HIGH_GPA 0x100000000ull
#define PAGE 4096u
#define GAP 3u /* bytes between the pieces of a request */
#define SIZE_CLASSES 32
/* A device answers at once; but a busy machine may start a worker meanwhile, and with sanitizers that takes seconds. */
#define REQUEST_TIMEOUT_MS 60000
#define TABLE_MAX VIRTQ_INDIRECT_MAX

struct free_range {
	struct free_range *next;
	uint64_t gpa;
};

/* One half of the memory: handed out from the bottom; what comes back is kept by power of 2. */
struct arena {
	uint64_t next;
	uint64_t end;
	struct free_range *free[SIZE_CLASSES];
};

struct piece {
	uint64_t gpa;
	uint32_t len;
	bool writable;
};

struct fake_request_parts {
	struct piece *pieces;
	unsigned count;
	unsigned slots; /* ring entries taken */
	uint16_t id;
	uint64_t memory_gpa;
	size_t memory_bytes;
	uint64_t table_gpa;
	size_t table_bytes;
	/* In the list of all that were not freed. */
	struct fake_request *next;
	struct fake_request **link;
};

struct queue {
	struct fake_ring ring;
	size_t desc_bytes;
	size_t driver_bytes;
	size_t device_bytes;
	unsigned free_slots;
	struct fake_request **by_id;
	/* split */
	uint16_t *next_free; /* links of unused descriptors */
	uint16_t first_free;
	uint16_t avail;
	uint16_t used;
	/* packed */
	bool avail_wrap;
	bool used_wrap;
	/* both */
	unsigned added; /* available entries since the last kick, to tell whether the device asked for one */
	bool masked;
	atomic_uint interrupts;
	unsigned interrupts_seen;
	unsigned kicks;
	unsigned kicks_saved;
};

struct fake_guest {
	struct fake_guest_options options;
	struct loop *loop;
	struct guest_mem *mem;
	int memfd;
	uint8_t *host;
	size_t bytes;
	struct arena low;
	struct arena high;
	struct virtio_device *device;
	unsigned queue_count;
	struct queue queues[VIRTIO_DEVICE_MAX_QUEUES];
	atomic_uint config_changes;
	size_t split_at;
	size_t split_piece;
	uint64_t sequence;
	struct fake_request *requests;
};

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	fputs("# fake guest: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die("out of memory");
	return p;
}

/* ---- memory ---- */

static unsigned size_class(size_t bytes)
{
	unsigned c = 6;

	while (((size_t)1 << c) < bytes)
		c++;
	if (c >= SIZE_CLASSES)
		die("an allocation of %zu bytes", bytes);
	return c;
}

static uint64_t arena_alloc(struct fake_guest *g, struct arena *a, size_t bytes, size_t align)
{
	/* A block is aligned to its size, up to a page. */
	unsigned c = size_class(bytes > align ? bytes : align);
	uint64_t size = 1ull << c;
	uint64_t unit = size < PAGE ? size : PAGE;
	struct free_range *f = a->free[c];
	uint64_t gpa;

	if (align > PAGE)
		die("an alignment of %zu bytes; a page is the most", align);
	if (f) {
		a->free[c] = f->next;
		gpa = f->gpa;
		free(f);
	} else {
		gpa = (a->next + unit - 1) & ~(unit - 1);
		if (gpa + size > a->end)
			die("%zu bytes more than its memory has; give options.memory_bytes", bytes);
		a->next = gpa + size;
	}
	memset(fake_guest_ptr(g, gpa, bytes ? bytes : 1), 0, bytes);
	return gpa;
}

uint64_t fake_guest_alloc(struct fake_guest *g, size_t bytes, size_t align)
{
	return arena_alloc(g, &g->low, bytes, align);
}

uint64_t fake_guest_alloc_high(struct fake_guest *g, size_t bytes, size_t align)
{
	return arena_alloc(g, &g->high, bytes, align);
}

void fake_guest_reserve(struct fake_guest *g, size_t bytes)
{
	if (bytes > g->low.end - g->low.next)
		die("%zu bytes more than its memory has; give options.memory_bytes", bytes);
	g->low.next += bytes;
}

/* @bytes and @align as they were allocated. */
static void free_aligned(struct fake_guest *g, uint64_t gpa, size_t bytes, size_t align)
{
	struct arena *a = gpa >= HIGH_GPA ? &g->high : &g->low;
	unsigned c = size_class(bytes > align ? bytes : align);
	struct free_range *f = must_alloc(1, sizeof(*f));

	f->gpa = gpa;
	f->next = a->free[c];
	a->free[c] = f;
}

void fake_guest_free(struct fake_guest *g, uint64_t gpa, size_t bytes)
{
	/* At worst a block goes back smaller than it was. */
	free_aligned(g, gpa, bytes, 1);
}

void *fake_guest_ptr(struct fake_guest *g, uint64_t gpa, size_t bytes)
{
	void *p = guest_mem_range(g->mem, gpa, bytes);

	if (!p)
		die("no memory at 0x%llx, %zu bytes", (unsigned long long)gpa, bytes);
	return p;
}

static void free_arena(struct arena *a)
{
	for (unsigned c = 0; c < SIZE_CLASSES; c++) {
		while (a->free[c]) {
			struct free_range *f = a->free[c];

			a->free[c] = f->next;
			free(f);
		}
	}
}

/* ---- life ---- */

struct fake_guest *fake_guest_create(const struct fake_guest_options *options)
{
	struct fake_guest *g = must_alloc(1, sizeof(*g));
	struct guest_mem_region region;
	size_t half;

	if (options)
		g->options = *options;
	half = (g->options.memory_bytes ? g->options.memory_bytes : 16u << 20) / 2;
	half = (half + PAGE - 1) & ~(size_t)(PAGE - 1);
	g->bytes = 2 * half;
	g->memfd = memfd_create("fake-guest", MFD_CLOEXEC);
	if (g->memfd < 0 || ftruncate(g->memfd, (off_t)g->bytes) < 0)
		die("memfd: %s", strerror(errno));
	g->host = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->memfd, 0);
	if (g->host == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	region = (struct guest_mem_region){ .gpa = LOW_GPA, .size_bytes = half, .host = g->host, .fd = g->memfd };
	if (guest_mem_create(&g->mem) || guest_mem_add(g->mem, &region))
		die("memory map");
	region.gpa = HIGH_GPA;
	region.host += half;
	region.fd_offset = half;
	if (guest_mem_add(g->mem, &region))
		die("memory map");
	g->low = (struct arena){ .next = LOW_GPA, .end = LOW_GPA + half };
	g->high = (struct arena){ .next = HIGH_GPA, .end = HIGH_GPA + half };
	if (loop_create("fake-guest", &g->loop))
		die("loop");
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
		free(q->by_id);
		free(q->next_free);
		free_aligned(g, q->ring.setup.desc_gpa, q->desc_bytes, PAGE);
		free_aligned(g, q->ring.setup.driver_gpa, q->driver_bytes, PAGE);
		free_aligned(g, q->ring.setup.device_gpa, q->device_bytes, PAGE);
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
	free_arena(&g->low);
	free_arena(&g->high);
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

static const struct virtio_transport_ops transport_ops = {
	.interrupt = interrupt,
	.config_changed = config_changed,
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

static _Atomic uint16_t *word(uint8_t *area, size_t offset)
{
	return (_Atomic uint16_t *)(void *)(area + offset);
}

/* Ask for an interrupt at the next used element, or for none. */
static void set_event(struct fake_guest *g, struct queue *q)
{
	if (g->options.packed) {
		uint32_t event = (uint32_t)VRING_PACKED_EVENT_FLAG_ENABLE << 16;

		if (q->masked)
			event = (uint32_t)VRING_PACKED_EVENT_FLAG_DISABLE << 16;
		else if (g->options.event_idx)
			event = (uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16 | (q->used_wrap ? 0x8000u : 0) | q->used;
		atomic_store((_Atomic uint32_t *)(void *)q->ring.driver, event);
	} else if (g->options.event_idx) {
		/* Half the numbers away: not before the next poll. */
		atomic_store(word(q->ring.driver, 4 + 2u * q->ring.size),
			     (uint16_t)(q->masked ? q->used + 0x8000u : q->used));
	} else {
		atomic_store(word(q->ring.driver, 0), (uint16_t)(q->masked ? VRING_AVAIL_F_NO_INTERRUPT : 0));
	}
	atomic_thread_fence(memory_order_seq_cst);
}

static void make_queue(struct fake_guest *g, unsigned index)
{
	struct queue *q = &g->queues[index];
	struct fake_ring *r = &q->ring;
	unsigned size = virtq_max_size(g->device->queues[index]);

	memset(q, 0, sizeof(*q));
	if (g->options.queue_size && g->options.queue_size < size)
		size = g->options.queue_size;
	while (!g->options.packed && size & (size - 1))
		size &= size - 1;
	r->size = (uint16_t)size;
	q->desc_bytes = 16u * size;
	q->driver_bytes = g->options.packed ? 4 : 6 + 2u * size;
	q->device_bytes = g->options.packed ? 4 : 6 + 8u * size;
	r->setup.size = r->size;
	r->setup.desc_gpa = fake_guest_alloc(g, q->desc_bytes, PAGE);
	r->setup.driver_gpa = fake_guest_alloc(g, q->driver_bytes, PAGE);
	r->setup.device_gpa = fake_guest_alloc(g, q->device_bytes, PAGE);
	r->desc = fake_guest_ptr(g, r->setup.desc_gpa, q->desc_bytes);
	r->driver = fake_guest_ptr(g, r->setup.driver_gpa, q->driver_bytes);
	r->device = fake_guest_ptr(g, r->setup.device_gpa, q->device_bytes);
	q->free_slots = size;
	q->by_id = must_alloc(size, sizeof(*q->by_id));
	q->next_free = must_alloc(size, sizeof(*q->next_free));
	for (unsigned i = 0; i < size; i++)
		q->next_free[i] = (uint16_t)(i + 1);
	q->avail_wrap = true;
	q->used_wrap = true;
}

static int start(struct fake_guest *g, struct virtio_device *d, bool reset)
{
	uint64_t rings = VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) |
			 VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	struct call c = { .g = g };

	g->device = d;
	loop_call(g->loop, call_bind, &c);
	if (reset)
		fake_guest_set_status(g, 0);
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
		make_queue(g, i);
		set_event(g, &g->queues[i]);
	}
	g->queue_count = d->queue_count;
	fake_guest_set_status(g, c.status | VIRTIO_CONFIG_S_DRIVER_OK);
	return device_status(g) & VIRTIO_CONFIG_S_NEEDS_RESET ? -EPIPE : 0;
}

int fake_guest_start(struct fake_guest *g, struct virtio_device *d)
{
	return start(g, d, true);
}

int fake_guest_take_over(struct fake_guest *g, struct virtio_device *d)
{
	return start(g, d, false);
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

static bool uses_table(const struct fake_guest *g, unsigned count)
{
	return g->options.indirect && count > 1;
}

bool fake_guest_has_room(struct fake_guest *g, unsigned queue, size_t in_len, size_t out_cap)
{
	unsigned count = cut(g, in_len, out_cap, NULL);

	return (uses_table(g, count) ? 1 : count ? count : 1) <= g->queues[queue].free_slots;
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

static void put_split(const struct queue *q, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = { .addr = gpa, .len = len, .flags = flags, .next = next };

	memcpy(q->ring.desc + 16u * index, &d, sizeof(d));
}

/* The table of an indirect request, either kind; returns its address. */
static uint64_t make_table(struct fake_guest *g, struct fake_request_parts *p)
{
	uint8_t *table;

	p->table_bytes = 16u * p->count;
	p->table_gpa = fake_guest_alloc(g, p->table_bytes, 16);
	table = fake_guest_ptr(g, p->table_gpa, p->table_bytes);
	for (unsigned i = 0; i < p->count; i++) {
		struct vring_desc d = { .addr = p->pieces[i].gpa, .len = p->pieces[i].len };
		struct vring_packed_desc e = { .addr = p->pieces[i].gpa, .len = p->pieces[i].len };

		d.flags = p->pieces[i].writable ? VRING_DESC_F_WRITE : 0;
		e.flags = d.flags;
		if (i + 1 < p->count) {
			d.flags |= VRING_DESC_F_NEXT;
			d.next = (uint16_t)(i + 1);
		}
		if (g->options.packed)
			memcpy(table + 16u * i, &e, sizeof(e));
		else
			memcpy(table + 16u * i, &d, sizeof(d));
	}
	return p->table_gpa;
}

/* Descriptors as the ring takes them: one for a table, else one a piece (a request of nothing: one of no bytes). */
struct entry {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
};

static struct entry entry_of(struct fake_guest *g, struct fake_request_parts *p, unsigned i)
{
	struct entry e = { 0 };

	if (uses_table(g, p->count)) {
		e.gpa = make_table(g, p);
		e.len = (uint32_t)p->table_bytes;
		e.flags = VRING_DESC_F_INDIRECT;
	} else if (p->count) {
		e.gpa = p->pieces[i].gpa;
		e.len = p->pieces[i].len;
		e.flags = p->pieces[i].writable ? VRING_DESC_F_WRITE : 0;
	}
	if (i + 1 < p->slots)
		e.flags |= VRING_DESC_F_NEXT;
	return e;
}

static void add_split(struct fake_guest *g, struct queue *q, struct fake_request_parts *p)
{
	uint16_t at = q->first_free;

	p->id = at;
	for (unsigned i = 0; i < p->slots; i++) {
		struct entry e = entry_of(g, p, i);

		put_split(q, at, e.gpa, e.len, e.flags, q->next_free[at]);
		at = q->next_free[at];
	}
	q->first_free = at;
	atomic_store_explicit(word(q->ring.driver, 4 + 2u * (q->avail & (q->ring.size - 1u))), p->id,
			      memory_order_relaxed);
	q->avail++;
	atomic_store_explicit(word(q->ring.driver, 2), q->avail, memory_order_release);
}

static uint16_t packed_flags(bool wrap)
{
	return (uint16_t)(wrap ? 1u << VRING_PACKED_DESC_F_AVAIL : 1u << VRING_PACKED_DESC_F_USED);
}

static void add_packed(struct fake_guest *g, struct queue *q, struct fake_request_parts *p)
{
	_Atomic uint16_t *head = word(q->ring.desc, 16u * q->avail + 14);
	uint16_t head_flags = 0;

	for (p->id = 0; q->by_id[p->id]; p->id++)
		;
	for (unsigned i = 0; i < p->slots; i++) {
		struct entry e = entry_of(g, p, i);
		struct vring_packed_desc d = { .addr = e.gpa, .len = e.len, .id = p->id };

		d.flags = (uint16_t)(e.flags | packed_flags(q->avail_wrap));
		/* The head's flags last of all. */
		memcpy(q->ring.desc + 16u * q->avail, &d, 14);
		if (i)
			atomic_store_explicit(word(q->ring.desc, 16u * q->avail + 14), d.flags, memory_order_relaxed);
		else
			head_flags = d.flags;
		if (++q->avail == q->ring.size) {
			q->avail = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	atomic_store_explicit(head, head_flags, memory_order_release);
}

struct fake_request *fake_guest_add(struct fake_guest *g, unsigned queue, const void *in, size_t in_len, size_t out_cap)
{
	struct queue *q = &g->queues[queue];
	struct fake_request *r = must_alloc(1, sizeof(*r));
	struct fake_request_parts *p = must_alloc(1, sizeof(*p));
	const uint8_t *from = in;
	uint64_t gpa;

	if (queue >= g->queue_count)
		die("there is no queue %u", queue);
	p->next = g->requests;
	p->link = &g->requests;
	if (p->next)
		p->next->parts->link = &p->next;
	g->requests = r;
	r->queue = queue;
	r->out_cap = out_cap;
	r->out = must_alloc(out_cap, 1);
	r->parts = p;
	p->count = cut(g, in_len, out_cap, NULL);
	p->pieces = must_alloc(p->count, sizeof(*p->pieces));
	cut(g, in_len, out_cap, p->pieces);
	p->slots = uses_table(g, p->count) || !p->count ? 1 : p->count;
	if (p->slots > q->free_slots)
		die("queue %u has %u free descriptors, a request needs %u", queue, q->free_slots, p->slots);
	if (uses_table(g, p->count) && p->count > TABLE_MAX)
		die("an indirect table of %u entries", p->count);

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
	if (g->options.packed)
		add_packed(g, q, p);
	else
		add_split(g, q, p);
	q->by_id[p->id] = r;
	q->free_slots -= p->slots;
	q->added += g->options.packed ? p->slots : 1;
	return r;
}

static bool wants_kick(struct fake_guest *g, struct queue *q)
{
	uint32_t event;
	uint16_t at;

	/* Pairs with the device's barrier between its event index or flags and its look at the ring. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!g->options.packed) {
		if (!g->options.event_idx)
			return !(atomic_load(word(q->ring.device, 0)) & VRING_USED_F_NO_NOTIFY);
		return vring_need_event(atomic_load(word(q->ring.device, 4 + 8u * q->ring.size)), q->avail,
					(uint16_t)(q->avail - q->added));
	}
	event = atomic_load((_Atomic uint32_t *)(void *)q->ring.device);
	if (event >> 16 == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (event >> 16 == VRING_PACKED_EVENT_FLAG_ENABLE)
		return true;
	at = event & 0x7fff;
	if (!!(event & 0x8000) != q->avail_wrap)
		at = (uint16_t)(at - q->ring.size);
	return vring_need_event(at, q->avail, (uint16_t)(q->avail - q->added));
}

void fake_guest_kick(struct fake_guest *g, unsigned queue)
{
	struct queue *q = &g->queues[queue];

	bool wanted;

	if (!q->added)
		return;
	wanted = wants_kick(g, q);
	/* Before the device runs: its handler may add and kick again. */
	q->added = 0;
	if (wanted)
		fake_guest_force_kick(g, queue);
	else
		q->kicks_saved++;
}

/* The next used element; false if there is none. */
static bool next_used(struct fake_guest *g, struct queue *q, uint32_t *id, uint32_t *len)
{
	struct vring_packed_desc d;
	uint16_t flags;

	if (!g->options.packed) {
		struct vring_used_elem e;

		if (atomic_load_explicit(word(q->ring.device, 2), memory_order_acquire) == q->used)
			return false;
		memcpy(&e, q->ring.device + 4 + 8u * (q->used & (q->ring.size - 1u)), sizeof(e));
		*id = e.id;
		*len = e.len;
		return true;
	}
	flags = atomic_load_explicit(word(q->ring.desc, 16u * q->used + 14), memory_order_acquire);
	if (!!(flags & 1u << VRING_PACKED_DESC_F_AVAIL) != q->used_wrap ||
	    !!(flags & 1u << VRING_PACKED_DESC_F_USED) != q->used_wrap)
		return false;
	memcpy(&d, q->ring.desc + 16u * q->used, sizeof(d));
	*id = d.id;
	*len = flags & VRING_DESC_F_WRITE ? d.len : 0;
	return true;
}

static void complete(struct fake_guest *g, struct queue *q, uint32_t id, uint32_t len)
{
	struct fake_request *r = id < q->ring.size ? q->by_id[id] : NULL;
	struct fake_request_parts *p;
	uint8_t *to;

	if (!r)
		die("the device used id %u, which is not outstanding", id);
	if (len > r->out_cap)
		die("the device says it wrote %u bytes where %zu fit", len, r->out_cap);
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
	if (!g->options.packed) {
		uint16_t last = p->id;

		for (unsigned i = 1; i < p->slots; i++)
			last = q->next_free[last];
		q->next_free[last] = q->first_free;
		q->first_free = p->id;
		q->used++;
		return;
	}
	q->used = (uint16_t)(q->used + p->slots);
	if (q->used >= q->ring.size) {
		q->used = (uint16_t)(q->used - q->ring.size);
		q->used_wrap = !q->used_wrap;
	}
}

unsigned fake_guest_poll(struct fake_guest *g, unsigned queue)
{
	struct queue *q = &g->queues[queue];
	unsigned count = 0;
	uint32_t id;
	uint32_t len;

	for (;;) {
		unsigned before = count;

		for (; next_used(g, q, &id, &len); count++)
			complete(g, q, id, len);
		if (count == before)
			return count;
		/* Then look again: what came before the device saw this gives no interrupt. */
		set_event(g, q);
	}
}

void fake_guest_mask_interrupts(struct fake_guest *g, unsigned queue, bool masked)
{
	g->queues[queue].masked = masked;
	set_event(g, &g->queues[queue]);
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

	for (;;) {
		uint64_t now;

		take_interrupts(g);
		if (done && done(arg))
			return true;
		now = loop_now_ns();
		if (now >= end)
			return false;
		if (mine) {
			uint64_t left_ms = (end - now) / 1000000u + 1;

			if (loop_run_once(g->loop, left_ms < 10 ? (int)left_ms : 10))
				die("epoll: %s", strerror(errno));
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
		die("fake_guest_free_request() of one that is not done");
	p = r->parts;
	fake_guest_free(g, p->memory_gpa, p->memory_bytes);
	if (p->table_bytes)
		free_aligned(g, p->table_gpa, p->table_bytes, 16);
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

unsigned fake_guest_kicks(struct fake_guest *g, unsigned queue)
{
	return g->queues[queue].kicks;
}

unsigned fake_guest_kicks_saved(struct fake_guest *g, unsigned queue)
{
	return g->queues[queue].kicks_saved;
}

/* ---- a hostile driver ---- */

const struct fake_ring *fake_guest_ring(struct fake_guest *g, unsigned queue)
{
	return &g->queues[queue].ring;
}

void fake_guest_put(struct fake_guest *g, unsigned queue, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags,
		    uint16_t next)
{
	struct queue *q = &g->queues[queue];
	struct vring_packed_desc d = { .addr = gpa, .len = len, .id = next };

	if (!g->options.packed) {
		put_split(q, index, gpa, len, flags, next);
		return;
	}
	d.flags = (uint16_t)(flags | packed_flags(true));
	memcpy(q->ring.desc + 16u * index, &d, sizeof(d));
}

void fake_guest_publish(struct fake_guest *g, unsigned queue, uint16_t head)
{
	struct queue *q = &g->queues[queue];

	atomic_store(word(q->ring.driver, 4 + 2u * (q->avail & (q->ring.size - 1u))), head);
	q->avail++;
	atomic_store_explicit(word(q->ring.driver, 2), q->avail, memory_order_release);
}
