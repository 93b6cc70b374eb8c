/* SPDX-License-Identifier: MIT */
/* For targets that send a device requests of any bytes over sound rings: the requests that are outstanding. */
#ifndef MULLION_TESTS_FUZZ_REQUESTS_H
#define MULLION_TESTS_FUZZ_REQUESTS_H

#include "tests/fuzz/fuzz.h"
#include "tests/lib/fake_guest.h"

#define REQUESTS_MAX 48u

struct requests {
	struct fake_guest *g;
	struct fake_request *list[REQUESTS_MAX];
	unsigned count;
};

/*
 * Take one request from the input (how it is cut, its readable bytes after @prefix, how much room it has) and put it on
 * @queue, with a kick. Does nothing when there is no room.
 */
void requests_add(struct requests *r, unsigned queue, const void *prefix, size_t prefix_bytes, size_t max_in,
		  size_t max_out, struct fuzz_input *in);
/* Free those that are done. */
void requests_reap(struct requests *r);
/* Let the loop have a turn, and free what is done. */
void requests_turn(struct requests *r);
/* Start the device anew; the outstanding ones are lost. Aborts if it can't be started. */
void requests_restart(struct requests *r, struct virtio_device *d);

#endif
