// SPDX-License-Identifier: MIT
#include "host/block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"

#define SECTOR 512u
#define PIECE_BYTES (1u << 20)
#define FALLOCATE_BYTES (64ull << 20)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

struct image {
	int fd;
	bool block_device;
	struct image_info info;
};

/* What is written where the file system can't zero a range by itself. */
static const uint8_t zeroes[64 << 10];

#define FAIL(...) log_line(LOG_TOPIC_BLOCK, LOG_ERROR, __VA_ARGS__)

static int lock(const char *path, int fd, bool read_only)
{
	struct flock range = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(fd, F_OFD_SETLK, &range))
		return 0;
	if (errno == EAGAIN || errno == EACCES) {
		FAIL("%s: another program uses this image: stop it, or open the image read-only in both", path);
		return -EBUSY;
	}
	log_line(LOG_TOPIC_BLOCK, LOG_WARN,
		 "%s: this file system has no locks (%s): see to it that no other machine uses the image", path,
		 strerror(errno));
	return 0;
}

static bool is_unit(uint32_t bytes)
{
	return bytes >= SECTOR && bytes <= 1u << 20 && !(bytes & (bytes - 1));
}

static int measure_device(struct image *i, const char *path)
{
	struct image_info *info = &i->info;
	unsigned int physical = 0, optimal = 0;
	int logical = 0;

	if (ioctl(i->fd, BLKGETSIZE64, &info->size_bytes) || ioctl(i->fd, BLKSSZGET, &logical)) {
		int err = -errno;

		FAIL("%s: can't ask the size of this block device: %s", path, strerror(errno));
		return err;
	}
	if (is_unit((uint32_t)logical))
		info->logical_bytes = (uint32_t)logical;
	if (!ioctl(i->fd, BLKPBSZGET, &physical) && is_unit(physical) && physical >= info->logical_bytes)
		info->physical_bytes = physical;
	if (!ioctl(i->fd, BLKIOOPT, &optimal))
		info->optimal_bytes = optimal;
	return 0;
}

static void measure_file(struct image *i, const struct stat *st)
{
	struct image_info *info = &i->info;

	info->size_bytes = (uint64_t)st->st_size;
	if (st->st_blksize <= 1 << 16 && is_unit((uint32_t)st->st_blksize))
		info->physical_bytes = (uint32_t)st->st_blksize;
}

/* Punching past the end of a file changes nothing, and tells whether the file system can. */
static bool probe_discard(const struct image *i, const struct stat *st)
{
	if (i->block_device)
		return true; /* only a real discard tells; it is answered as unsupported then */
	return !fallocate(i->fd, PUNCH, (st->st_size + 4095) & ~(off_t)4095, 4096);
}

static int measure(struct image *i, const char *path)
{
	struct image_info *info = &i->info;
	struct stat st;
	int err;

	if (fstat(i->fd, &st)) {
		err = -errno;
		FAIL("%s: %s", path, strerror(errno));
		return err;
	}
	info->logical_bytes = SECTOR;
	info->physical_bytes = SECTOR;
	if (S_ISBLK(st.st_mode)) {
		i->block_device = true;
		err = measure_device(i, path);
		if (err)
			return err;
	} else if (S_ISREG(st.st_mode)) {
		measure_file(i, &st);
	} else {
		FAIL("%s: neither a file nor a block device: give a raw disk image", path);
		return -EINVAL;
	}
	if (info->size_bytes % info->logical_bytes) {
		log_line(LOG_TOPIC_BLOCK, LOG_WARN,
			 "%s: size is not a multiple of %" PRIu32 ": the guest won't see the last %" PRIu64 " bytes",
			 path, info->logical_bytes, info->size_bytes % info->logical_bytes);
		info->size_bytes -= info->size_bytes % info->logical_bytes;
	}
	if (!info->size_bytes) {
		FAIL("%s: the image is empty: give it a size, for instance truncate -s 1G %s", path, path);
		return -EINVAL;
	}
	info->can_discard = !info->read_only && probe_discard(i, &st);
	return 0;
}

int image_open(const char *path, bool read_only, struct image **out)
{
	struct image *i = calloc(1, sizeof(*i));
	int err;

	if (!i)
		return -ENOMEM;
	i->info.read_only = read_only;
	/* O_NONBLOCK: the open of a FIFO must not wait. It has no effect on files and block devices. */
	i->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (i->fd < 0) {
		err = -errno;
		if (err == -EISDIR)
			FAIL("%s: is a folder: give a raw disk image", path);
		else
			FAIL("%s: can't open the disk image%s: %s: %s", path, read_only ? "" : " for writing",
			     strerror(-err),
			     err == -ENOENT ? "check the path, or make an image, for instance by truncate -s 4G FILE"
			     : read_only    ? "give yourself permission to read it"
					    : "give yourself permission to write it, or attach it read-only");
		goto fail;
	}
	err = measure(i, path);
	if (!err)
		err = lock(path, i->fd, read_only);
	if (err)
		goto fail;
	*out = i;
	return 0;
fail:
	image_close(i);
	return err;
}

void image_close(struct image *i)
{
	if (!i)
		return;
	if (i->fd >= 0)
		close(i->fd);
	free(i);
}

const struct image_info *image_info(const struct image *i)
{
	return &i->info;
}

static bool cancelled(const atomic_bool *cancel)
{
	return atomic_load_explicit(cancel, memory_order_relaxed);
}

/* Drop the first @n bytes of the @count ranges; returns how many whole ranges went. */
static int advance(struct iovec *v, int count, size_t n)
{
	int gone = 0;

	while (gone < count && n >= v[gone].iov_len)
		n -= v[gone++].iov_len;
	if (gone < count) {
		v[gone].iov_base = (uint8_t *)v[gone].iov_base + n;
		v[gone].iov_len -= n;
	}
	return gone;
}

/* In pieces, so that a reset need not wait for a whole gigabyte. */
static int transfer(struct image *i, bool write, struct iovec *v, int count, uint64_t offset, const atomic_bool *cancel)
{
	while (count > 0) {
		size_t bytes = 0, cut = 0;
		ssize_t done;
		int n = 0;

		if (!v->iov_len) {
			v++;
			count--;
			continue;
		}
		if (cancelled(cancel))
			return -ECANCELED;
		while (n < count && n < IOV_MAX && bytes < PIECE_BYTES)
			bytes += v[n++].iov_len;
		if (bytes > PIECE_BYTES)
			cut = bytes - PIECE_BYTES;
		v[n - 1].iov_len -= cut;
		done = write ? pwritev(i->fd, v, n, (off_t)offset) : preadv(i->fd, v, n, (off_t)offset);
		v[n - 1].iov_len += cut;
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (!done)
			return -EIO;
		offset += (uint64_t)done;
		n = advance(v, count, (size_t)done);
		v += n;
		count -= n;
	}
	return 0;
}

int image_read(struct image *i, struct iovec *v, int count, uint64_t offset, const atomic_bool *cancel)
{
	return transfer(i, false, v, count, offset, cancel);
}

int image_write(struct image *i, struct iovec *v, int count, uint64_t offset, const atomic_bool *cancel)
{
	return transfer(i, true, v, count, offset, cancel);
}

int image_flush(struct image *i)
{
	if (i->info.read_only)
		return 0;
	return fdatasync(i->fd) ? -errno : 0;
}

static int allocate(struct image *i, int mode, uint64_t offset, uint64_t bytes, const atomic_bool *cancel)
{
	while (bytes) {
		uint64_t n = bytes < FALLOCATE_BYTES ? bytes : FALLOCATE_BYTES;

		if (cancelled(cancel))
			return -ECANCELED;
		if (fallocate(i->fd, mode, (off_t)offset, (off_t)n)) {
			if (errno == EINTR)
				continue;
			return errno == ENOSYS ? -EOPNOTSUPP : -errno;
		}
		offset += n;
		bytes -= n;
	}
	return 0;
}

static int write_zeroes(struct image *i, uint64_t offset, uint64_t bytes, const atomic_bool *cancel)
{
	while (bytes) {
		struct iovec v = {.iov_base = (void *)(uintptr_t)zeroes};
		int err;

		v.iov_len = bytes < sizeof(zeroes) ? (size_t)bytes : sizeof(zeroes);
		bytes -= v.iov_len;
		err = image_write(i, &v, 1, offset, cancel);
		if (err)
			return err;
		offset += sizeof(zeroes);
	}
	return 0;
}

int image_discard(struct image *i, uint64_t offset, uint64_t bytes, const atomic_bool *cancel)
{
	return allocate(i, PUNCH, offset, bytes, cancel);
}

/* A file that became shorter: zeroes there would be read as an error, unless writing them makes it longer again. */
static bool is_cut_off(const struct image *i, uint64_t end)
{
	struct stat st;

	return !i->block_device && !fstat(i->fd, &st) && (uint64_t)st.st_size < end;
}

int image_zero(struct image *i, uint64_t offset, uint64_t bytes, bool unmap, const atomic_bool *cancel)
{
	int err = -EOPNOTSUPP;

	if (unmap && !is_cut_off(i, offset + bytes))
		err = allocate(i, PUNCH, offset, bytes, cancel);
	if (err == -EOPNOTSUPP)
		err = allocate(i, FALLOC_FL_ZERO_RANGE, offset, bytes, cancel);
	/* EINVAL: a block device whose blocks are larger than the range's alignment. */
	if (err == -EOPNOTSUPP || err == -EINVAL)
		err = write_zeroes(i, offset, bytes, cancel);
	return err;
}
