// SPDX-License-Identifier: MIT
#include "tests/lib/test_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int attach(struct virtio_device *d, const struct virtio_queue_fds *fds)
{
	if (fds)
		memcpy(((struct test_device *)d)->fds, fds, sizeof(((struct test_device *)d)->fds));
	return 0;
}

static int start_queue(struct virtio_device *d, unsigned q, const struct virtq_setup *setup)
{
	(void)d;
	(void)q;
	return setup->size & (setup->size - 1) ? -EINVAL : 0;
}

static void stop_queue(struct virtio_device *d, unsigned q)
{
	(void)d;
	(void)q;
}

static void kick_outside(struct virtio_device *d, unsigned q)
{
	struct test_device *t = (struct test_device *)d;
	const uint64_t one = 1;

	if (write(t->fds[q].call, &one, sizeof(one)) != (ssize_t)sizeof(one))
		abort();
	atomic_fetch_add(&t->kicks[q], 1);
}

static const struct virtio_outside_ops outside = {attach, start_queue, stop_queue};
static const struct virtio_device_ops outside_ops = {
	.name = "test outside",
	.id = TEST_DEVICE_ID,
	.queue_max = queue_max,
	.config_bytes = TEST_DEVICE_CONFIG,
	.start = start,
	.kick = kick_outside,
	.reset = reset,
	.config = config,
	.destroy = destroy,
	.outside = &outside,
};

static struct test_device *create(const struct virtio_device_ops *o, uint64_t offered, struct loop *loop,
				  const struct guest_mem *mem)
{
	struct test_device *t = calloc(1, sizeof(*t));

	if (!t || virtio_device_init(&t->base, o, offered, loop, mem))
		abort();
	virtio_device_set_shmem(&t->base, TEST_DEVICE_SHMEM, TEST_DEVICE_SHMEM_BYTES);
	for (unsigned i = 0; i < TEST_DEVICE_CONFIG; i++)
		t->config[i] = (uint8_t)(0x10 + i);
	return t;
}

struct test_device *test_device_create(struct loop *loop, const struct guest_mem *mem)
{
	return create(&ops, VIRTIO_BIT(TEST_DEVICE_FEATURE), loop, mem);
}

struct test_device *test_device_create_outside(struct loop *loop, const struct guest_mem *mem)
{
	return create(&outside_ops, VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(TEST_DEVICE_FEATURE), loop, mem);
}
