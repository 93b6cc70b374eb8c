// SPDX-License-Identifier: MIT
#include "vmm/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/virtio/device.h"
#include "vmm/vm.h"

/* Each mapping takes up to two areas of this process's address space, of the 65530 that a kernel gives. */
#define MAX_MAPPINGS 8192u
/* The scratch memory is so much smaller than the region, which is as many areas as an empty one takes. */
#define SCRATCH_TIMES 256u

struct mapping {
	uint64_t offset, length;
};

struct shmem_window {
	struct vm *vm;
	struct virtio_device *device;
	uint64_t size;
	uint8_t *at; /* where the region is in this process */
	int scratch; /* a memfd of scratch_bytes */
	uint64_t scratch_bytes;
	uint64_t page;
	uint32_t slot; /* KVM's */
	uint64_t gpa;  /* 0: nowhere */

	/* The device's loop: what is mapped, by offset. */
	struct mapping *mappings;
	unsigned count, room;
};

/* ---- holes ---- */

static int make_holes(struct shmem_window *w, uint64_t offset, uint64_t length)
{
	while (length) {
		uint64_t in = offset % w->scratch_bytes;
		uint64_t n = w->scratch_bytes - in < length ? w->scratch_bytes - in : length;

		if (mmap(w->at + offset, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->scratch, (off_t)in) ==
		    MAP_FAILED) {
			int err = -errno;

			log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s: shared memory at 0x%" PRIx64 " can't be unmapped: %s",
				 w->device->ops->name, offset, strerror(-err));
			return err;
		}
		offset += n;
		length -= n;
	}
	return 0;
}

static int make_scratch(struct shmem_window *w)
{
	w->scratch_bytes = w->size / SCRATCH_TIMES;
	if (w->scratch_bytes < VIRTIO_SHMEM_MIN_BYTES)
		w->scratch_bytes = VIRTIO_SHMEM_MIN_BYTES;
	w->scratch = memfd_create("shmem-holes", MFD_CLOEXEC);
	if (w->scratch < 0 || ftruncate(w->scratch, (off_t)w->scratch_bytes) < 0)
		return -errno;
	w->at = mmap(NULL, w->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->at == MAP_FAILED) {
		w->at = NULL;
		return -errno;
	}
	return make_holes(w, 0, w->size);
}

/* ---- what is mapped ---- */

/* The index of the first mapping that ends behind @offset; w->count if there is none. */
static unsigned find(const struct shmem_window *w, uint64_t offset)
{
	unsigned low = 0, high = w->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (w->mappings[mid].offset + w->mappings[mid].length > offset)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int make_room(struct shmem_window *w)
{
	unsigned room = w->room ? 2 * w->room : 64;
	struct mapping *more;

	if (w->count < w->room)
		return 0;
	if (w->count == MAX_MAPPINGS)
		return -ENOSPC;
	more = realloc(w->mappings, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	w->mappings = more;
	w->room = room;
	return 0;
}

static int check_range(const struct shmem_window *w, const struct virtio_shmem_request *r)
{
	if (!r->length || r->length % w->page || r->offset % w->page)
		return -EINVAL;
	return r->offset >= w->size || r->length > w->size - r->offset ? -ERANGE : 0;
}

/*
 * A file that may shrink would take its pages from under the guest, and KVM would give up on the machine; so would one
 * whose pages may not be there when they are touched (huge pages of a pool). A sealed memfd is neither.
 */
static int check_descriptor(const struct shmem_window *w, const struct virtio_shmem_request *r)
{
	struct statfs fs;
	struct stat st;
	int seals = fcntl(r->fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstatfs(r->fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
	    fstat(r->fd, &st) < 0)
		return -EPERM;
	if (r->fd_offset % w->page)
		return -EINVAL;
	return r->fd_offset > (uint64_t)st.st_size || r->length > (uint64_t)st.st_size - r->fd_offset ? -ERANGE : 0;
}

static int window_map(void *owner, struct virtio_shmem_request *r)
{
	struct shmem_window *w = owner;
	int err = check_range(w, r);
	unsigned i;

	if (!err)
		err = check_descriptor(w, r);
	if (err)
		return err;
	i = find(w, r->offset);
	if (i < w->count && w->mappings[i].offset < r->offset + r->length)
		return -EEXIST;
	err = make_room(w);
	if (err)
		return err;
	/* KVM gives up on a guest that writes where this process may not: what is only to be read is a copy on write. */
	if (mmap(w->at + r->offset, r->length, PROT_READ | PROT_WRITE,
		 MAP_FIXED | (r->writable ? MAP_SHARED : MAP_PRIVATE), r->fd, (off_t)r->fd_offset) == MAP_FAILED) {
		err = -errno;
		/* What was there may be gone already. */
		make_holes(w, r->offset, r->length);
		return err;
	}
	/* A core dump holds the VMM, not the guest. */
	madvise(w->at + r->offset, r->length, MADV_DONTDUMP);
	memmove(&w->mappings[i + 1], &w->mappings[i], (w->count - i) * sizeof(*w->mappings));
	w->mappings[i] = (struct mapping){.offset = r->offset, .length = r->length};
	w->count++;
	return 0;
}

static int window_unmap(void *owner, struct virtio_shmem_request *r)
{
	struct shmem_window *w = owner;
	int err = check_range(w, r);
	unsigned i;

	if (err)
		return err;
	i = find(w, r->offset);
	if (i == w->count || w->mappings[i].offset != r->offset || w->mappings[i].length != r->length)
		return -ENOENT;
	err = make_holes(w, r->offset, r->length);
	if (err)
		return err;
	w->count--;
	memmove(&w->mappings[i], &w->mappings[i + 1], (w->count - i) * sizeof(*w->mappings));
	return 0;
}

/* Nothing is ever in progress here. */
static void window_cancel(void *owner, struct virtio_shmem_request *r)
{
	(void)owner;
	(void)r;
}

static void window_reset(void *owner)
{
	struct shmem_window *w = owner;

	for (unsigned i = 0; i < w->count; i++)
		make_holes(w, w->mappings[i].offset, w->mappings[i].length);
	w->count = 0;
}

static const struct virtio_shmem_ops window_ops = {
	.map = window_map,
	.unmap = window_unmap,
	.cancel = window_cancel,
	.reset = window_reset,
};

/* ---- where the guest sees it ---- */

int shmem_window_place(struct shmem_window *w, uint64_t gpa)
{
	int err = 0;

	if (w->gpa)
		vm_set_slot(w->vm, w->slot, w->gpa, w->at, 0);
	w->gpa = 0;
	if (gpa)
		err = vm_set_slot(w->vm, w->slot, gpa, w->at, w->size);
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR,
			 "%s: KVM can't show the guest its shared memory at 0x%" PRIx64 ": %s", w->device->ops->name,
			 gpa, strerror(-err));
	else
		w->gpa = gpa;
	return err;
}

static void settle(void *arg)
{
	struct shmem_window *w = arg;

	virtio_device_set_shmem_home(w->device, &window_ops, w);
}

int shmem_window_create(struct vm *vm, struct virtio_device *device, struct shmem_window **out)
{
	struct shmem_window *w;
	int err;

	*out = NULL;
	if (!device->shmem.size_bytes)
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->vm = vm;
	w->device = device;
	w->size = device->shmem.size_bytes;
	w->scratch = -1;
	w->page = (uint64_t)sysconf(_SC_PAGESIZE);
	w->slot = vm_new_slot(vm);
	err = make_scratch(w);
	if (err) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s: no %" PRIu64 " MiB of address space for its shared memory: %s",
			 device->ops->name, w->size >> 20, strerror(-err));
		shmem_window_destroy(w);
		return err;
	}
	loop_call(device->loop, settle, w);
	*out = w;
	return 0;
}

void shmem_window_destroy(struct shmem_window *w)
{
	if (!w)
		return;
	shmem_window_place(w, 0);
	if (w->at)
		munmap(w->at, w->size);
	if (w->scratch >= 0)
		close(w->scratch);
	free(w->mappings);
	free(w);
}
