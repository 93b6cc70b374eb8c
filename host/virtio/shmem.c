// SPDX-License-Identifier: MIT
#include "host/virtio/shmem.h"

#include <assert.h>
#include <errno.h>

#include "host/virtio/device.h"

bool virtio_shmem_size_is_good(uint64_t size_bytes)
{
	return size_bytes >= VIRTIO_SHMEM_MIN_BYTES && size_bytes <= VIRTIO_SHMEM_MAX_BYTES &&
	       (size_bytes & (size_bytes - 1)) == 0;
}

void virtio_device_set_shmem(struct virtio_device *d, uint8_t id, uint64_t size_bytes)
{
	assert(!d->shmem.size_bytes && virtio_shmem_size_is_good(size_bytes));
	d->shmem = (struct virtio_shmem_region){.id = id, .size_bytes = size_bytes};
}

void virtio_device_set_shmem_home(struct virtio_device *d, const struct virtio_shmem_ops *ops, void *owner)
{
	d->shmem_home = ops;
	d->shmem_owner = owner;
}

int virtio_shmem_map(struct virtio_device *d, struct virtio_shmem_request *r)
{
	return d->shmem_home ? d->shmem_home->map(d->shmem_owner, r) : -EOPNOTSUPP;
}

int virtio_shmem_unmap(struct virtio_device *d, struct virtio_shmem_request *r)
{
	return d->shmem_home ? d->shmem_home->unmap(d->shmem_owner, r) : -EOPNOTSUPP;
}

void virtio_shmem_cancel(struct virtio_device *d, struct virtio_shmem_request *r)
{
	if (d->shmem_home)
		d->shmem_home->cancel(d->shmem_owner, r);
}
