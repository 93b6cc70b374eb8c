/* SPDX-License-Identifier: MIT */
/*
 * The smallest device: it answers a request with the request's own bytes, as many as fit. A test may take the chains
 * instead. For tests of the rings and of the device class.
 */
#ifndef MULLION_TESTS_LIB_ECHO_H
#define MULLION_TESTS_LIB_ECHO_H

#include "host/virtio/device.h"

struct echo {
	struct virtio_device device; /* first */
	/* NULL: echo. Owns the chain. */
	void (*handle)(struct echo *e, unsigned queue, struct chain *c);
	/* It starts. NULL: nothing. */
	void (*start)(struct echo *e);
	/* A queue is about to stop. NULL: nothing. */
	void (*quiesce)(struct echo *e, unsigned queue);
	void *owner;
	int start_result; /* what the start op returns */
	/* What happened, for the test to look at. */
	unsigned starts;
	unsigned resets;
	unsigned kicks;
	unsigned requests;
	uint8_t config[8]; /* the config space: the first and the last byte may be written, others not */
};

#define ECHO_QUEUES 3u
#define ECHO_FEATURE 5u /* offered, with no meaning */

/* Queues of 256, 64 and 24 entries (the last is used by packed rings whole, by split ones as 16). */
int echo_create(struct loop *loop, const struct guest_mem *mem, struct echo **out);
/* The default handler: answer, and finish. */
void echo_answer(struct chain *c);

#endif
