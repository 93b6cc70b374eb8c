// SPDX-License-Identifier: MIT
#include "host/vhost/inflight_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/virtio/inflight.h"
#include "host/virtio/inflight_region.h"

struct vhost_inflight {
	void *at;
	size_t bytes;
	unsigned count;
	struct inflight_region *regions[VIRTIO_DEVICE_MAX_QUEUES];
};

static bool has_numbers(const struct vhost_user_inflight *d, unsigned queues)
{
	return d->num_queues && d->num_queues <= queues && d->num_queues <= VIRTIO_DEVICE_MAX_QUEUES && d->queue_size &&
	       d->queue_size <= INFLIGHT_MAX_SIZE;
}

int vhost_inflight_make(struct vhost_user_inflight *d, unsigned queues)
{
	size_t bytes;
	int fd, err;

	if (!has_numbers(d, queues))
		return -EINVAL;
	bytes = d->num_queues * inflight_region_bytes(d->queue_size);
	fd = memfd_create("mullion-inflight-fd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	d->mmap_size = bytes;
	d->mmap_offset = 0;
	return fd;
}

int vhost_inflight_open(const struct vhost_user_inflight *d, int fd, unsigned queues, struct vhost_inflight **out)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct vhost_inflight *i;
	struct stat st;
	size_t each;
	int seals, err = 0;

	if (!has_numbers(d, queues) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	each = inflight_region_bytes(d->queue_size);
	if (d->mmap_offset % page || d->mmap_size < d->num_queues * each || d->mmap_offset > (uint64_t)st.st_size ||
	    d->mmap_size > (uint64_t)st.st_size - d->mmap_offset)
		return -EINVAL;
	/* Pages that go away are a SIGBUS; a file that is no memfd has no seals at all. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPERM;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->bytes = d->num_queues * each;
	i->at = mmap(NULL, i->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)d->mmap_offset);
	if (i->at == MAP_FAILED) {
		err = -errno;
		free(i);
		return err;
	}
	for (; i->count < d->num_queues && !err; i->count += !err)
		err = inflight_region_create((char *)i->at + i->count * each, d->queue_size, &i->regions[i->count]);
	if (err) {
		vhost_inflight_close(i);
		return err;
	}
	*out = i;
	return 0;
}

void vhost_inflight_close(struct vhost_inflight *i)
{
	if (!i)
		return;
	for (unsigned n = 0; n < i->count; n++)
		inflight_region_destroy(i->regions[n]);
	munmap(i->at, i->bytes);
	free(i);
}

struct inflight_region *vhost_inflight_region(const struct vhost_inflight *i, unsigned index)
{
	return i && index < i->count ? i->regions[index] : NULL;
}
