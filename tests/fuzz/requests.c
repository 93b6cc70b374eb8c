// SPDX-License-Identifier: MIT
#include "tests/fuzz/requests.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/loop.h"

void requests_add(struct requests *r, unsigned queue, const void *prefix, size_t prefix_bytes, size_t max_in,
		  size_t max_out, struct fuzz_input *in)
{
	static uint8_t bytes[1 << 16];
	uint8_t cut = fuzz_u8(in);
	size_t more = fuzz_u16(in) % (max_in + 1), room = fuzz_u16(in) % (max_out + 1);
	size_t n = prefix_bytes + more, piece = cut & 0x80 ? 1 + (n + room) / 8 : 0;

	/* What is random in the input comes from its bytes; the rest of a long request is zeros. */
	memset(bytes, 0, n);
	if (prefix_bytes)
		memcpy(bytes, prefix, prefix_bytes);
	fuzz_take(in, bytes + prefix_bytes, more < 64 ? more : 64);
	fake_guest_set_split(r->g, cut & 0x7f, piece);
	if (r->count < REQUESTS_MAX && fake_guest_has_room(r->g, queue, n, room)) {
		r->list[r->count++] = fake_guest_add(r->g, queue, bytes, n, room);
		fake_guest_kick(r->g, queue);
	}
	fake_guest_set_split(r->g, 0, 0);
}

void requests_reap(struct requests *r)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->count; i++) {
		if (r->list[i]->done)
			fake_guest_free_request(r->g, r->list[i]);
		else
			r->list[kept++] = r->list[i];
	}
	r->count = kept;
}

void requests_turn(struct requests *r)
{
	if (loop_run_once(fake_guest_loop(r->g), 0))
		abort();
	/* Takes in what was used, and returns at once. */
	fake_guest_run_until(r->g, NULL, NULL, 0);
	requests_reap(r);
}

void requests_restart(struct requests *r, struct virtio_device *d)
{
	if (fake_guest_start(r->g, d))
		abort();
	requests_reap(r);
	if (r->count)
		abort();
}
