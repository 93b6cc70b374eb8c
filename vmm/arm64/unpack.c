// SPDX-License-Identifier: MIT
#include "vmm/arm64/unpack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/image.h"

#define INPUT_BYTES 65536u

/* The packed bytes, piece by piece. */
struct input {
	const struct image_file *f;
	uint64_t offset, left;
	uint8_t bytes[INPUT_BYTES];
};

/* Bytes now in in->bytes; 0 at the end, or where the file can't be read. */
static size_t next(struct input *in)
{
	size_t want = in->left < INPUT_BYTES ? (size_t)in->left : INPUT_BYTES;
	ssize_t got = want ? pread(in->f->fd, in->bytes, want, (off_t)in->offset) : 0;

	if (got <= 0)
		return 0;
	in->offset += (uint64_t)got;
	in->left -= (uint64_t)got;
	return (size_t)got;
}

/*
 * Each fills @room bytes at @to at most and sets *@done to how many; returns NULL at the end of the packed data, or what is
 * wrong ("" if that is all there was of the input).
 */
static const char *unpack_gzip(struct input *in, uint8_t *to, uint64_t room, uint64_t *done)
{
	z_stream z = {0};
	int state = inflateInit2(&z, 15 + 16);
	const char *wrong = state == Z_OK ? "" : "out of memory";

	while (state == Z_OK || state == Z_BUF_ERROR) {
		uint64_t space = room - *done;

		if (!z.avail_in) {
			z.next_in = in->bytes;
			z.avail_in = (uInt)next(in);
		}
		z.next_out = to + *done;
		z.avail_out = space < 1u << 30 ? (uInt)space : 1u << 30;
		if (!z.avail_out || !z.avail_in)
			break;
		space = z.avail_out;
		state = inflate(&z, Z_NO_FLUSH);
		*done += space - z.avail_out;
	}
	if (state == Z_STREAM_END)
		wrong = NULL;
	else if (z.msg)
		wrong = z.msg; /* a literal of zlib's */
	inflateEnd(&z);
	return wrong;
}

/* The library takes 128 MiB at most for what a frame refers back to (ZSTD_d_windowLogMax); kernels are within. */
static const char *unpack_zstd(struct input *in, uint8_t *to, uint64_t room, uint64_t *done)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer from = {.src = in->bytes};
	ZSTD_outBuffer out = {.dst = to, .size = (size_t)room};
	const char *wrong = z ? "" : "out of memory";
	size_t state = 1;

	while (z && state && out.pos < out.size) {
		if (from.pos == from.size) {
			from.size = next(in);
			from.pos = 0;
		}
		if (!from.size)
			break;
		state = ZSTD_decompressStream(z, &out, &from);
		if (ZSTD_isError(state)) {
			wrong = ZSTD_getErrorName(state);
			break;
		}
	}
	if (z && !state)
		wrong = NULL;
	*done = out.pos;
	ZSTD_freeDStream(z);
	return wrong;
}

static const struct packer {
	const char *name;
	uint8_t magic[4];
	size_t magic_bytes;
	const char *(*unpack)(struct input *in, uint8_t *to, uint64_t room, uint64_t *done);
} packers[] = {
	{"gzip", {0x1f, 0x8b, 8}, 3, unpack_gzip},
	{"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
};
#define PACKER_COUNT (sizeof(packers) / sizeof(packers[0]))

const struct packer *packer_of(const uint8_t *head)
{
	for (size_t i = 0; i < PACKER_COUNT; i++)
		if (!memcmp(head, packers[i].magic, packers[i].magic_bytes))
			return &packers[i];
	return NULL;
}

const struct packer *packer_named(const char *name)
{
	for (size_t i = 0; i < PACKER_COUNT; i++)
		if (!strcmp(name, packers[i].name))
			return &packers[i];
	return NULL;
}

int64_t unpack(const struct packer *p, const struct image_file *f, uint64_t offset, uint64_t bytes, uint8_t *to,
	       uint64_t room)
{
	struct input *in = malloc(sizeof(*in));
	const char *wrong = "out of memory";
	uint64_t done = 0;

	if (in) {
		in->f = f;
		in->offset = offset;
		in->left = bytes;
		wrong = p->unpack(in, to, room, &done);
		free(in);
	}
	if (!wrong)
		return (int64_t)done;
	if (done == room)
		image_error(f, "the unpacked kernel doesn't fit the guest's memory: more with --memory");
	else
		image_error(f, "truncated or broken %s data%s%s", p->name, *wrong ? ": " : "", wrong);
	return -ENOEXEC;
}
