// SPDX-License-Identifier: MIT
#include "host/rng/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/counters.h"
#include "host/virtio/device.h"
#include "protocol/virtio.h"

#define QUEUE_SIZE 64
/* getrandom() gives up to 256 bytes whole, whatever signals arrive. */
#define PIECE_BYTES 256u

struct rng {
	struct virtio_device device;
	struct rng_counters counters;
	struct log_limit limit;
};

static const struct virtio_device_ops rng_ops;

static struct rng *rng_from_device(const struct virtio_device *d)
{
	assert(d->ops == &rng_ops);
	return (struct rng *)(uintptr_t)d;
}

/* By way of a buffer of our own: getrandom() knows no ranges, and 4 KiB cost nothing to copy. */
static int fill(struct writer *w, size_t n)
{
	uint8_t bytes[PIECE_BYTES];

	while (n) {
		size_t piece = n < sizeof(bytes) ? n : sizeof(bytes);
		ssize_t got = getrandom(bytes, piece, GRND_NONBLOCK);

		if (got != (ssize_t)piece)
			return got < 0 ? -errno : -EIO;
		if (writer_copy(w, bytes, piece))
			return -ENOSPC;
		n -= piece;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

static void handle(void *owner, struct chain *c)
{
	struct rng *r = owner;
	struct writer *w = chain_writer(c);
	size_t n = writer_left(w);
	int err;

	r->counters.requests++;
	if (n > RNG_MAX_BYTES)
		n = RNG_MAX_BYTES;
	if (!n)
		log_guest(LOG_TOPIC_RNG, &r->limit, "request without a buffer to fill; fix the driver");
	err = fill(w, n);
	if (err)
		log_guest(LOG_TOPIC_RNG, &r->limit, "the host gives no random bytes: %s", strerror(-err));
	r->counters.bytes += chain_written(c);
	chain_finish(c);
}

static int rng_start(struct virtio_device *d)
{
	(void)d;
	return 0;
}

static void rng_kick(struct virtio_device *d, unsigned q)
{
	virtq_drain(d->queues[q], handle, rng_from_device(d));
}

static void rng_reset(struct virtio_device *d)
{
	(void)d; /* every request is answered while it is taken */
}

static int rng_config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	(void)d, (void)off, (void)buf, (void)n, (void)write;
	return -EINVAL; /* there is no config space */
}

static void rng_destroy(struct virtio_device *d)
{
	struct rng *r = rng_from_device(d);

	virtio_device_finish(d);
	free(r);
}

static const uint16_t rng_queues[] = {QUEUE_SIZE, 0};

static void rng_count(struct virtio_device *d, struct counters *out)
{
	const struct rng_counters *c = &rng_from_device(d)->counters;

	counters_add(out, NULL, "requests", c->requests);
	counters_add(out, NULL, "bytes", c->bytes);
}

static const struct virtio_device_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.queue_max = rng_queues,
	.start = rng_start,
	.kick = rng_kick,
	.reset = rng_reset,
	.config = rng_config,
	.destroy = rng_destroy,
	.count = rng_count,
};

int rng_create(struct loop *loop, const struct guest_mem *mem, struct virtio_device **out)
{
	struct rng *r;
	uint8_t byte;
	int err;

	if (getrandom(&byte, sizeof(byte), GRND_NONBLOCK) != sizeof(byte)) {
		err = -errno;
		log_line(LOG_TOPIC_RNG, LOG_ERROR,
			 "the host gives no random bytes (%s): wait until it has booted, or leave the rng device out",
			 strerror(-err));
		return err;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	err = virtio_device_init(&r->device, &rng_ops, rng_ops.features, loop, mem);
	if (err) {
		free(r);
		return err;
	}
	*out = &r->device;
	return 0;
}

const struct rng_counters *rng_counters(const struct virtio_device *d)
{
	return &rng_from_device(d)->counters;
}
