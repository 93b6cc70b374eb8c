// SPDX-License-Identifier: MIT
#include "tests/lib/test_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/virtio.h"

static int start(struct virtio_device *d)
{
	atomic_fetch_add(&((struct test_device *)d)->starts, 1);
	return 0;
}

static void kick(struct virtio_device *d, unsigned q)
{
	struct test_device *t = (struct test_device *)d;
	struct chain *c;

	while (virtq_pop(d->queues[q], &c) == 1)
		chain_finish(c);
	if (!d->broken)
		d->transport->interrupt(d->transport_owner, q);
	atomic_fetch_add(&t->kicks[q], 1);
}

static void reset(struct virtio_device *d)
{
	atomic_fetch_add(&((struct test_device *)d)->resets, 1);
}

static int config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct test_device *t = (struct test_device *)d;

	/* The first byte is read-only. */
	if (write && off == 0)
		return -EINVAL;
	if (write)
		memcpy(t->config + off, buf, n);
	else
		memcpy(buf, t->config + off, n);
	return 0;
}

static void destroy(struct virtio_device *d)
{
	struct test_device *t = (struct test_device *)d;

	if (t->destroyed)
		(*t->destroyed)++;
	virtio_device_finish(d);
	free(t);
}

static const uint16_t queue_max[] = {TEST_DEVICE_QUEUE_SIZE, TEST_DEVICE_QUEUE_SIZE, 0};

static const struct virtio_device_ops ops = {
	.name = "test",
	.id = TEST_DEVICE_ID,
	.queue_max = queue_max,
	.config_bytes = TEST_DEVICE_CONFIG,
	.start = start,
	.kick = kick,
	.reset = reset,
	.config = config,
	.destroy = destroy,
};

struct test_device *test_device_create(struct loop *loop, const struct guest_mem *mem)
{
	struct test_device *t = calloc(1, sizeof(*t));

	if (!t || virtio_device_init(&t->base, &ops, VIRTIO_BIT(TEST_DEVICE_FEATURE), loop, mem))
		abort();
	virtio_device_set_shmem(&t->base, TEST_DEVICE_SHMEM, TEST_DEVICE_SHMEM_BYTES);
	for (unsigned i = 0; i < TEST_DEVICE_CONFIG; i++)
		t->config[i] = (uint8_t)(0x10 + i);
	return t;
}
