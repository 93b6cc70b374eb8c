// SPDX-License-Identifier: MIT
#include "tests/lib/fake_shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int find(const struct fake_shmem *h, uint64_t offset, uint64_t length)
{
	for (unsigned i = 0; i < FAKE_SHMEM_MAPPINGS; i++) {
		if (h->mappings[i].length && h->mappings[i].offset < offset + length &&
		    offset < h->mappings[i].offset + h->mappings[i].length)
			return (int)i;
	}
	return -1;
}

static int map(struct fake_shmem *h, const struct virtio_shmem_request *r)
{
	unsigned free = 0;

	h->maps++;
	if (!r->length || r->length % 4096 || r->offset % 4096)
		return -EINVAL;
	if (r->offset >= h->size || r->length > h->size - r->offset)
		return -ERANGE;
	if (find(h, r->offset, r->length) >= 0)
		return -EEXIST;
	check(fcntl(r->fd, F_GET_SEALS) & F_SEAL_SHRINK);
	while (free < FAKE_SHMEM_MAPPINGS && h->mappings[free].length)
		free++;
	if (free == FAKE_SHMEM_MAPPINGS)
		return -ENOSPC;
	h->mappings[free].at =
		mmap(NULL, r->length, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, (off_t)r->fd_offset);
	check(h->mappings[free].at != MAP_FAILED);
	h->mappings[free].offset = r->offset;
	h->mappings[free].length = r->length;
	return 0;
}

static int unmap(struct fake_shmem *h, const struct virtio_shmem_request *r)
{
	int i = find(h, r->offset, r->length);

	h->unmaps++;
	if (i < 0 || h->mappings[i].offset != r->offset || h->mappings[i].length != r->length)
		return -ENOENT;
	munmap(h->mappings[i].at, h->mappings[i].length);
	h->mappings[i].length = 0;
	return 0;
}

static int ask(struct fake_shmem *h, struct virtio_shmem_request *r, bool is_map)
{
	struct fake_shmem_waiting *w;
	int fail = h->fail;

	h->fail = 0;
	if (fail)
		return fail;
	if (!h->later)
		return is_map ? map(h, r) : unmap(h, r);
	if (h->count == FAKE_SHMEM_WAITING)
		return -ENOSPC;
	for (unsigned i = 0; i < h->count; i++)
		check(h->waiting[i].request != r);
	w = &h->waiting[h->count++];
	*w = (struct fake_shmem_waiting){.request = r, .copy = *r, .map = is_map};
	if (is_map)
		w->copy.fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
	return -EINPROGRESS;
}

static int home_map(void *owner, struct virtio_shmem_request *r)
{
	return ask(owner, r, true);
}

static int home_unmap(void *owner, struct virtio_shmem_request *r)
{
	return ask(owner, r, false);
}

static void home_cancel(void *owner, struct virtio_shmem_request *r)
{
	struct fake_shmem *h = owner;

	for (unsigned i = 0; i < h->count; i++) {
		if (h->waiting[i].request != r)
			continue;
		h->waiting[i].request = NULL;
		h->cancels++;
	}
}

static void home_reset(void *owner)
{
	struct fake_shmem *h = owner;

	/* What is in progress is the device's to cancel. */
	for (unsigned i = 0; i < h->count; i++)
		check(!h->waiting[i].request);
	for (unsigned i = 0; i < FAKE_SHMEM_MAPPINGS; i++) {
		if (h->mappings[i].length)
			munmap(h->mappings[i].at, h->mappings[i].length);
		h->mappings[i].length = 0;
	}
	h->resets++;
}

static const struct virtio_shmem_ops home_ops = {
	.map = home_map, .unmap = home_unmap, .cancel = home_cancel, .reset = home_reset};

void fake_shmem_settle(struct fake_shmem *h, struct virtio_device *d)
{
	h->size = d->shmem.size_bytes;
	virtio_device_set_shmem_home(d, &home_ops, h);
}

bool fake_shmem_answer(struct fake_shmem *h)
{
	struct fake_shmem_waiting w;
	int err;

	if (!h->count)
		return false;
	w = h->waiting[0];
	h->count--;
	for (unsigned i = 0; i < h->count; i++)
		h->waiting[i] = h->waiting[i + 1];
	err = w.map ? map(h, &w.copy) : unmap(h, &w.copy);
	if (w.map)
		close(w.copy.fd);
	if (w.request)
		w.request->done(w.request, err);
	else if (w.map && !err)
		unmap(h, &w.copy);
	return true;
}

void fake_shmem_finish(struct fake_shmem *h)
{
	while (fake_shmem_answer(h))
		;
	home_reset(h);
}

uint8_t *fake_shmem_at(const struct fake_shmem *h, uint64_t offset)
{
	int i = find(h, offset, 1);

	return i < 0 ? NULL : h->mappings[i].at + (offset - h->mappings[i].offset);
}

unsigned fake_shmem_count(const struct fake_shmem *h)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_SHMEM_MAPPINGS; i++)
		n += h->mappings[i].length != 0;
	return n;
}
