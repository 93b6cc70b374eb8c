// SPDX-License-Identifier: MIT
#include "tests/lib/echo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/virtio.h"

static const struct virtio_device_ops echo_ops;

static struct echo *echo_from_device(struct virtio_device *d)
{
	assert(d->ops == &echo_ops);
	return (struct echo *)d;
}

void echo_answer(struct chain *c)
{
	struct reader *r = chain_reader(c);
	struct writer *w = chain_writer(c);
	uint8_t buf[512];
	int err = 0;

	while (!err && reader_left(r) && writer_left(w)) {
		size_t n = sizeof(buf);

		n = reader_left(r) < n ? reader_left(r) : n;
		n = writer_left(w) < n ? writer_left(w) : n;
		err = reader_copy(r, buf, n);
		if (!err)
			err = writer_copy(w, buf, n);
	}
	assert(!err);
	chain_finish(c);
}

struct drain {
	struct echo *e;
	unsigned queue;
};

static void handle(void *owner, struct chain *c)
{
	struct drain *drain = owner;

	drain->e->requests++;
	if (drain->e->handle)
		drain->e->handle(drain->e, drain->queue, c);
	else
		echo_answer(c);
}

static int echo_start(struct virtio_device *d)
{
	struct echo *e = echo_from_device(d);

	e->starts++;
	if (e->start)
		e->start(e);
	return e->start_result;
}

static void echo_kick(struct virtio_device *d, unsigned q)
{
	struct drain drain = { .e = echo_from_device(d), .queue = q };

	drain.e->kicks++;
	virtq_drain(d->queues[q], handle, &drain);
}

static void echo_reset(struct virtio_device *d)
{
	echo_from_device(d)->resets++;
}

static void echo_quiesce(struct virtio_device *d, unsigned q)
{
	struct echo *e = echo_from_device(d);

	if (e->quiesce)
		e->quiesce(e, q);
}

static int echo_config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct echo *e = echo_from_device(d);

	assert(off < sizeof(e->config) && n <= sizeof(e->config) - off);
	if (!write)
		memcpy(buf, e->config + off, n);
	else if (n == 1 && (off == 0 || off == sizeof(e->config) - 1))
		memcpy(e->config + off, buf, 1);
	else
		return -EINVAL;
	return 0;
}

static void echo_destroy(struct virtio_device *d)
{
	virtio_device_finish(d);
	free(echo_from_device(d));
}

static const struct virtio_device_ops echo_ops = {
	.name = "echo",
	.id = 63,
	.features = VIRTIO_BIT(ECHO_FEATURE),
	.queue_max = (const uint16_t[]){ 256, 64, 24, 0 },
	.config_bytes = sizeof(((struct echo *)0)->config),
	.start = echo_start,
	.kick = echo_kick,
	.reset = echo_reset,
	.quiesce = echo_quiesce,
	.config = echo_config,
	.destroy = echo_destroy,
};

int echo_create(struct loop *loop, const struct guest_mem *mem, struct echo **out)
{
	struct echo *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	err = virtio_device_init(&e->device, &echo_ops, echo_ops.features, loop, mem);
	if (err) {
		free(e);
		return err;
	}
	memcpy(e->config, "\1\2\3\4\5\6\7\10", sizeof(e->config));
	*out = e;
	return 0;
}
