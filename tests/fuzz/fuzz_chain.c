// SPDX-License-Identifier: MIT
/*
 * A driver that writes anything into its rings: the queue must not read or write outside what the descriptors
 * allow, must not hang, and the device must work again after a reset. The input is a program: what to write where, and
 * when to kick, finish and reset.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "protocol/virtio.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

#define HELD_MAX 64u
#define QUEUE_SIZE 16u
#define DATA_BYTES 8192u

enum operation { OP_DESC, OP_TABLE, OP_AVAIL, OP_FLAGS, OP_KICK, OP_FINISH, OP_RESET, OP_RAW, OP_FILL, OP_RESUME };

struct world {
	struct fake_guest *g;
	struct echo *e;
	struct chain *held[HELD_MAX];
	unsigned held_count;
	uint64_t data_gpa;
	uint64_t table_gpa;
};

/* Make every descriptor a request of its own, for the lap that @wrap says (packed). */
static void fill_ring(struct world *w, bool wrap)
{
	const struct fake_ring *r = fake_guest_ring(w->g, 0);

	for (unsigned i = 0; i < r->size; i++) {
		struct vring_packed_desc d = { .addr = w->data_gpa, .len = 8, .id = (uint16_t)i,
					       .flags = (uint16_t)(wrap ? 0x80 : 0x8000) };

		if (virtio_device_has(&w->e->device, VIRTIO_F_RING_PACKED)) {
			memcpy(r->desc + 16u * i, &d, sizeof(d));
		} else {
			fake_guest_put(w->g, 0, i, w->data_gpa, 8, wrap ? 0 : VRING_DESC_F_WRITE, 0);
			fake_guest_publish(w->g, 0, (uint16_t)i);
		}
	}
}

/* As after a restart of the device's process, at any position. */
static void resume_at(struct world *w, uint32_t position, bool own)
{
	struct virtq_setup s = fake_guest_ring(w->g, 0)->setup;

	s.resume = true;
	s.position = own ? virtq_position(w->e->device.queues[0]) : position;
	virtio_device_stop_queue(&w->e->device, 0);
	(void)virtio_device_start_queue(&w->e->device, 0, &s);
}

/* Go over all of a chain, so that a sanitizer sees what it allows. */
static void use(struct chain *c)
{
	uint8_t buf[300];
	struct iovec v[4];
	struct reader *r = chain_reader(c);
	struct writer *w = chain_writer(c);

	if (reader_iov(r, reader_left(r) / 2, v, 4) > 0)
		memset(buf, *(volatile uint8_t *)v[0].iov_base, 1);
	for (unsigned i = 0; i < 64 && reader_left(r); i++) {
		size_t n = reader_left(r) < sizeof(buf) ? reader_left(r) : sizeof(buf);
		int err = reader_copy(r, buf, n);

		assert(!err);
		(void)err;
	}
	if (reader_left(r) < sizeof(buf) && reader_copy(r, buf, reader_left(r) + 1) != -ENODATA)
		abort();
	memset(buf, 0x5a, sizeof(buf));
	for (unsigned i = 0; i < 64 && writer_left(w); i++) {
		size_t n = writer_left(w) < sizeof(buf) ? writer_left(w) : sizeof(buf);
		int err = writer_copy(w, buf, n);

		assert(!err);
		(void)err;
	}
}

/* The first ones are answered late, and in what order the input says. */
static void handle(struct echo *e, unsigned queue, struct chain *c)
{
	struct world *w = e->owner;

	(void)queue;
	if (w->held_count < HELD_MAX && e->requests % 3) {
		w->held[w->held_count++] = c;
		return;
	}
	use(c);
	chain_finish(c);
}

static void finish_one(struct world *w, unsigned at)
{
	struct chain *c;

	if (!w->held_count)
		return;
	at %= w->held_count;
	c = w->held[at];
	w->held[at] = w->held[--w->held_count];
	use(c);
	chain_finish(c);
}

/* Most addresses should be good ones, some at the edges. */
static uint64_t address(struct world *w, struct fuzz_input *in)
{
	uint8_t kind = fuzz_u8(in);
	uint64_t at = fuzz_u16(in);

	switch (kind % 8) {
	case 0:
		return 0x100000000ull - 0x100 + at % 0x200;
	case 1:
		return UINT64_MAX - at;
	case 2:
		return fuzz_u64(in);
	case 3:
		return 0x1000 - 8 + at % 16;
	case 4:
		return w->table_gpa + at % 1024;
	case 5: /* the ring itself */
		return fake_guest_ring(w->g, 0)->setup.desc_gpa + at % 512;
	default:
		return w->data_gpa + at % DATA_BYTES;
	}
}

static void put_descriptor(struct world *w, struct fuzz_input *in, uint8_t *to)
{
	uint64_t addr = address(w, in);
	uint32_t len = fuzz_u8(in) & 1 ? fuzz_u32(in) : fuzz_u16(in) % 600;
	uint16_t a = fuzz_u16(in);
	uint16_t b = fuzz_u16(in);

	memcpy(to, &addr, 8);
	memcpy(to + 8, &len, 4);
	memcpy(to + 12, &a, 2);
	memcpy(to + 14, &b, 2);
}

static void step(struct world *w, struct fuzz_input *in)
{
	const struct fake_ring *r = fake_guest_ring(w->g, 0);
	uint8_t op = fuzz_u8(in);
	unsigned at;
	uint16_t v;

	/* The upper half of the byte is the operation's own. */
	switch (op & 15) {
	case OP_DESC:
		at = fuzz_u8(in);
		put_descriptor(w, in, r->desc + 16u * (at % r->size));
		break;
	case OP_TABLE:
		at = fuzz_u8(in);
		put_descriptor(w, in, (uint8_t *)fake_guest_ptr(w->g, w->table_gpa, 1024) + 16u * (at % 64));
		break;
	case OP_AVAIL: /* split: publish; packed: the event structure */
		if (virtio_device_has(&w->e->device, VIRTIO_F_RING_PACKED)) {
			fuzz_take(in, r->driver, 4);
			break;
		}
		fake_guest_publish(w->g, 0, fuzz_u8(in));
		break;
	case OP_FLAGS:
		v = fuzz_u16(in);
		at = fuzz_u8(in);
		memcpy(r->desc + 16u * (at % r->size) + (op & 0x80 ? 12 : 14), &v, 2);
		break;
	case OP_KICK:
		fake_guest_force_kick(w->g, 0);
		break;
	case OP_FINISH:
		finish_one(w, op >> 4);
		break;
	case OP_RESET:
		if (op & 0x40)
			fake_guest_start(w->g, &w->e->device);
		else
			fake_guest_set_status(w->g, fuzz_u8(in));
		break;
	case OP_RAW:
		if (!virtio_device_has(&w->e->device, VIRTIO_F_RING_PACKED))
			fuzz_take(in, r->driver + fuzz_u8(in) % (6 + 2u * r->size - 2), 2);
		break;
	case OP_FILL:
		fill_ring(w, fuzz_u8(in) & 1);
		break;
	case OP_RESUME:
		at = fuzz_u8(in);
		resume_at(w, fuzz_u32(in), at & 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { .data = data, .left = size };
	uint8_t kind = fuzz_u8(&in);
	struct fake_guest_options options = { .packed = kind & 1, .event_idx = kind & 2, .indirect = kind & 4,
					      .queue_size = QUEUE_SIZE, .memory_bytes = 128 << 10 };
	struct world w = { .g = fake_guest_create(&options) };
	uint8_t out[3] = { 0 };
	int err;

	w.data_gpa = fake_guest_alloc(w.g, DATA_BYTES, 4096);
	w.table_gpa = fake_guest_alloc(w.g, 1024, 16);
	err = echo_create(fake_guest_loop(w.g), fake_guest_mem(w.g), &w.e);
	assert(!err);
	w.e->owner = &w;
	w.e->handle = handle;
	err = fake_guest_start(w.g, &w.e->device);
	assert(!err);
	while (in.left)
		step(&w, &in);

	/* Whatever that was: after a reset all is well. */
	err = fake_guest_start(w.g, &w.e->device);
	assert(!err);
	while (w.held_count)
		finish_one(&w, 0);
	w.e->handle = NULL;
	err = fake_guest_request(w.g, 0, "abc", 3, out, 3, NULL);
	assert(!err && !memcmp(out, "abc", 3));
	(void)err;
	virtio_device_destroy(&w.e->device);
	fake_guest_destroy(w.g);
	return 0;
}

/* A descriptor as put_descriptor() reads it. */
static size_t descriptor(uint8_t *to, uint8_t op, uint16_t at, uint16_t len, uint16_t a, uint16_t b, uint8_t index)
{
	const uint8_t bytes[] = { op, 6, (uint8_t)at, (uint8_t)(at >> 8), 0, (uint8_t)len, (uint8_t)(len >> 8),
				  (uint8_t)a, (uint8_t)(a >> 8), (uint8_t)b, (uint8_t)(b >> 8), index };

	memcpy(to, bytes, sizeof(bytes));
	return sizeof(bytes);
}

size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	uint8_t *p = buf;
	bool packed = index & 1;

	if (index >= 16 || cap < 512)
		return 0;
	*p++ = (uint8_t)index;
	/* Two requests of a readable and a writable part, the second perhaps indirect. */
	for (unsigned i = 0; i < 4; i++) {
		uint16_t flags = (uint16_t)(i % 2 ? VRING_DESC_F_WRITE : VRING_DESC_F_NEXT);

		if (index & 8)
			p += descriptor(p, OP_TABLE, (uint16_t)(i * 64), 40, packed ? 0 : flags, packed ? flags : 1,
					(uint8_t)i);
		if (packed)
			p += descriptor(p, OP_DESC, (uint16_t)(i * 64), 24, (uint16_t)(i / 2), (uint16_t)(flags | 0x80),
					(uint8_t)i);
		else
			p += descriptor(p, OP_DESC, (uint16_t)(i * 64), 24, flags, (uint16_t)(i + 1), (uint8_t)i);
	}
	if (index & 8) {
		/* Descriptor 4: the table. The address kind is the second byte. */
		size_t n = descriptor(p, OP_DESC, 0, 32, packed ? 5 : VRING_DESC_F_INDIRECT,
				      packed ? VRING_DESC_F_INDIRECT | 0x80 : 0, 4);

		p[1] = 4;
		p += n;
	}
	if (!packed) {
		*p++ = OP_AVAIL;
		*p++ = 0;
		*p++ = OP_AVAIL;
		*p++ = index & 8 ? 4 : 2;
	}
	*p++ = OP_KICK;
	*p++ = OP_FINISH;
	*p++ = OP_KICK;
	*p++ = OP_RESET | 0x40;
	*p++ = OP_FINISH;
	*p++ = OP_KICK;
	/* Two laps, and a third that is too much. */
	for (unsigned i = 0; i < 3; i++) {
		*p++ = OP_FILL;
		*p++ = (uint8_t)(i + 1);
		*p++ = OP_KICK;
		for (unsigned k = 0; i == 0 && k < QUEUE_SIZE; k++)
			*p++ = OP_FINISH;
	}
	return (size_t)(p - buf);
}

const unsigned fuzz_runs = 8000;
