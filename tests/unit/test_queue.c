// SPDX-License-Identifier: MIT
/* Queues and chains below the device class: setup, cursors, positions. Rings at work are in tests/device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/virtio/mem.h"
#include "host/virtio/ring.h"
#include "protocol/virtio.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"

#define LOW_END (0x1000ull + (8u << 20))

struct world {
	struct fake_guest *g;
	struct echo *e;
};

static struct chain *popped;

static void hold(struct echo *e, unsigned queue, struct chain *c)
{
	(void)e;
	(void)queue;
	assert_null(popped);
	popped = c;
}

static struct world create(bool packed)
{
	struct world w = { .g = fake_guest_create(&(struct fake_guest_options){ .packed = packed }) };

	assert_int_equal(echo_create(fake_guest_loop(w.g), fake_guest_mem(w.g), &w.e), 0);
	assert_int_equal(fake_guest_start(w.g, &w.e->device), 0);
	return w;
}

static void destroy(struct world *w)
{
	virtio_device_destroy(&w->e->device);
	fake_guest_destroy(w->g);
}

/* ---- setup ---- */

static int start_with(struct world *w, struct virtq_setup s)
{
	return virtq_start(w->e->device.queues[0], &s);
}

static void a_queue_starts_only_on_a_sound_setup(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = create(packed);
		struct virtq *q = w.e->device.queues[0];
		const struct virtq_setup good = fake_guest_ring(w.g, 0)->setup;
		uint64_t desc_bytes = 16u * good.size;
		struct virtq_setup s;

		assert_int_equal(start_with(&w, good), 0);
		assert_true(virtq_is_started(q));

		s = good, s.size = 0;
		assert_int_equal(start_with(&w, s), -EINVAL);
		assert_false(virtq_is_started(q));
		s = good, s.size = 512;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.size = 65535;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.size = 24;
		assert_int_equal(start_with(&w, s), packed ? 0 : -EINVAL);
		s = good, s.size = 1;
		assert_int_equal(start_with(&w, s), 0);

		s = good, s.desc_gpa += 8;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.driver_gpa += 1;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.device_gpa += 2;
		assert_int_equal(start_with(&w, s), -EINVAL);

		s = good, s.desc_gpa = 0;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.driver_gpa = UINT64_MAX - 3;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.device_gpa = LOW_END;
		assert_int_equal(start_with(&w, s), -EINVAL);
		/* The last place where it fits, and one step further. */
		s = good, s.desc_gpa = LOW_END - desc_bytes;
		assert_int_equal(start_with(&w, s), 0);
		s = good, s.desc_gpa = LOW_END - desc_bytes + 16;
		assert_int_equal(start_with(&w, s), -EINVAL);
		s = good, s.device_gpa = LOW_END - 4;
		assert_int_equal(start_with(&w, s), packed ? 0 : -EINVAL);
		s = good, s.driver_gpa = LOW_END - (packed ? 4 : 6 + 2 * (uint64_t)good.size);
		assert_int_equal(start_with(&w, s), 0);
		destroy(&w);
	}
}

static void a_stopped_queue_gives_nothing(void **state)
{
	struct world w = create(false);
	struct virtq *q = w.e->device.queues[0];
	struct chain *c = NULL;

	(void)state;
	fake_guest_add(w.g, 0, "abc", 3, 3);
	virtq_stop(q);
	assert_int_equal(virtq_pop(q, &c), 0);
	assert_null(c);
	virtio_device_kick(&w.e->device, 0);
	virtio_device_kick(&w.e->device, 99);
	assert_int_equal(w.e->requests, 0);
	fake_guest_set_status(w.g, 0);
	destroy(&w);
}

/* ---- the race between the last look and the request to be notified ---- */

static struct world late;
static const struct ring_ops *real_ops;
static unsigned late_requests;

/* The driver adds a request just after the device found nothing, while it is not to notify. */
static int fetch_then_add(struct virtq *q, struct chain *c, const char **why)
{
	int result = real_ops->fetch(q, c, why);

	if (!result && late_requests) {
		late_requests--;
		fake_guest_add(late.g, 0, "late", 4, 4);
		fake_guest_kick(late.g, 0);
	}
	return result;
}

static void a_request_that_comes_late_is_not_missed(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct fake_guest_options options = { .packed = kind & 1, .event_idx = kind & 2 };
		struct ring_ops hooked;
		struct virtq *q;

		late.g = fake_guest_create(&options);
		assert_int_equal(echo_create(fake_guest_loop(late.g), fake_guest_mem(late.g), &late.e), 0);
		assert_int_equal(fake_guest_start(late.g, &late.e->device), 0);
		q = late.e->device.queues[0];
		real_ops = q->ops;
		hooked = *real_ops;
		hooked.fetch = fetch_then_add;
		q->ops = &hooked;
		late_requests = 3;
		fake_guest_add(late.g, 0, "first", 5, 5);
		fake_guest_kick(late.g, 0);
		assert_int_equal(late.e->requests, 4);
		assert_int_equal(late_requests, 0);
		assert_int_equal(fake_guest_poll(late.g, 0), 4);
		destroy(&late);
	}
}

/* ---- positions: a queue goes on where another device process left it ---- */

static void a_queue_resumes_at_its_position(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = create(packed);
		struct virtio_device *d = &w.e->device;
		struct virtq_setup s = fake_guest_ring(w.g, 2)->setup;

		for (unsigned i = 0; i < 200; i++) {
			uint8_t out[2];

			assert_int_equal(fake_guest_request(w.g, 2, "ab", 2, out, 2, NULL), 0);
			s.resume = true;
			s.position = virtq_position(d->queues[2]);
			virtio_device_stop_queue(d, 2);
			assert_false(virtq_is_started(d->queues[2]));
			assert_int_equal(virtio_device_start_queue(d, 2, &s), 0);
			assert_int_equal(virtq_position(d->queues[2]), s.position);
		}
		/* What came while it was stopped is served at the start. */
		virtio_device_stop_queue(d, 2);
		w.e->requests = 0;
		fake_guest_add(w.g, 2, "ab", 2, 2);
		assert_int_equal(virtio_device_start_queue(d, 2, &s), 0);
		assert_int_equal(w.e->requests, 1);
		assert_int_equal(fake_guest_poll(w.g, 2), 1);
		fake_guest_reset(w.g);
		destroy(&w);
	}
}

static void a_wrong_position_is_refused(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct world w = create(packed);
		struct virtq_setup s = fake_guest_ring(w.g, 0)->setup;

		s.resume = true;
		/* Split: a ring and one before used->idx. Packed: a slot that is none. */
		s.position = packed ? 256 : 257;
		assert_int_equal(virtio_device_start_queue(&w.e->device, 0, &s), -EINVAL);
		assert_int_equal(virtio_device_start_queue(&w.e->device, 3, &s), -EINVAL);
		destroy(&w);
	}
}

/* ---- cursors ---- */

/* A request of "abcdefghij" and 10 bytes of room, in pieces of 3 bytes. */
static struct chain *pop_ten(struct world *w, struct fake_request **r)
{
	struct chain *c;

	w->e->handle = hold;
	fake_guest_set_split(w->g, 0, 3);
	*r = fake_guest_add(w->g, 0, "abcdefghij", 10, 10);
	fake_guest_kick(w->g, 0);
	c = popped;
	popped = NULL;
	assert_non_null(c);
	return c;
}

static void a_reader_copies_all_or_nothing(void **state)
{
	struct world w = create(false);
	struct fake_request *q;
	struct chain *c = pop_ten(&w, &q);
	struct reader *r = chain_reader(c);
	char buf[16] = { 0 };

	(void)state;
	assert_int_equal(reader_left(r), 10);
	assert_int_equal(reader_copy(r, buf, 0), 0);
	assert_int_equal(reader_copy(r, buf, 11), -ENODATA);
	assert_int_equal(reader_copy(r, buf, SIZE_MAX), -ENODATA);
	assert_int_equal(reader_left(r), 10);
	assert_int_equal(reader_copy(r, buf, 4), 0);
	assert_string_equal(buf, "abcd");
	assert_int_equal(reader_skip(r, 7), -ENODATA);
	assert_int_equal(reader_skip(r, 3), 0);
	assert_int_equal(reader_copy(r, buf, 3), 0);
	assert_memory_equal(buf, "hij", 3);
	assert_int_equal(reader_left(r), 0);
	assert_int_equal(reader_copy(r, buf, 0), 0);
	assert_int_equal(reader_copy(r, buf, 1), -ENODATA);
	assert_int_equal(reader_skip(r, 1), -ENODATA);
	chain_finish(c);
	assert_int_equal(fake_guest_wait(w.g, q, 1000), 0);
	assert_int_equal(q->used_len, 0);
	fake_guest_free_request(w.g, q);
	destroy(&w);
}

static void a_writer_counts_what_it_wrote(void **state)
{
	struct world w = create(true);
	struct fake_request *q;
	struct chain *c = pop_ten(&w, &q);
	struct writer *wr = chain_writer(c);
	struct iovec v[4];

	(void)state;
	assert_int_equal(writer_left(wr), 10);
	assert_int_equal(chain_written(c), 0);
	assert_int_equal(writer_copy(wr, "0123456789A", 11), -ENOSPC);
	assert_int_equal(chain_written(c), 0);
	assert_int_equal(writer_copy(wr, "0123", 4), 0);
	assert_int_equal(chain_written(c), 4);
	assert_int_equal(writer_iov(wr, 7, v, 4), -ENOSPC);
	/* 2 bytes of the second piece, 2 of the third */
	assert_int_equal(writer_iov(wr, 4, v, 1), -E2BIG);
	assert_int_equal(chain_written(c), 4);
	assert_int_equal(writer_iov(wr, 4, v, 2), 2);
	assert_int_equal(v[0].iov_len, 2);
	assert_int_equal(v[1].iov_len, 2);
	memcpy(v[0].iov_base, "xy", 2);
	memcpy(v[1].iov_base, "zz", 2);
	assert_int_equal(chain_written(c), 8);
	assert_int_equal(writer_left(wr), 2);
	chain_finish(c);
	assert_int_equal(fake_guest_wait(w.g, q, 1000), 0);
	assert_int_equal(q->used_len, 8);
	assert_memory_equal(q->out, "0123xyzz\xa5\xa5", 10);
	fake_guest_free_request(w.g, q);
	destroy(&w);
}

static void ranges_cover_the_request(void **state)
{
	struct world w = create(false);
	struct fake_request *q;
	struct chain *c = pop_ten(&w, &q);
	struct reader *r = chain_reader(c);
	struct iovec v[8];
	char buf[4];

	(void)state;
	assert_int_equal(reader_iov(r, 0, v, 0), 0);
	assert_int_equal(reader_iov(r, 11, v, 8), -ENODATA);
	assert_int_equal(reader_iov(r, 10, v, 3), -E2BIG);
	assert_int_equal(reader_left(r), 10);
	assert_int_equal(reader_copy(r, buf, 1), 0);
	assert_int_equal(reader_iov(r, 9, v, 4), 4);
	assert_memory_equal(v[0].iov_base, "bc", 2);
	assert_memory_equal(v[1].iov_base, "def", 3);
	assert_memory_equal(v[2].iov_base, "ghi", 3);
	assert_int_equal(v[3].iov_len, 1);
	assert_int_equal(reader_left(r), 0);
	chain_finish(c);
	assert_int_equal(fake_guest_wait(w.g, q, 1000), 0);
	fake_guest_free_request(w.g, q);
	destroy(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_starts_only_on_a_sound_setup),
		cmocka_unit_test(a_stopped_queue_gives_nothing),
		cmocka_unit_test(a_request_that_comes_late_is_not_missed),
		cmocka_unit_test(a_queue_resumes_at_its_position),
		cmocka_unit_test(a_wrong_position_is_refused),
		cmocka_unit_test(a_reader_copies_all_or_nothing),
		cmocka_unit_test(a_writer_counts_what_it_wrote),
		cmocka_unit_test(ranges_cover_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
