// SPDX-License-Identifier: MIT
/*
 * virtio-blk: requests of any type, place and size, in any cut, while others run. Every request must be given back, the
 * image must keep its size, and after a reset the disk must work.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/block/block.h"
#include "protocol/virtio_block.h"
#include "tests/fuzz/requests.h"

#define DISK_BYTES (64u << 10)

enum operation { OP_REQUEST, OP_TYPED, OP_TURN, OP_RESET, OP_CONFIG, OP_COUNT };

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void step(struct requests *r, struct virtio_device *d, struct fuzz_input *in)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,     VIRTIO_BLK_T_OUT,	    VIRTIO_BLK_T_FLUSH,
					 VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct virtio_blk_outhdr header = {0};
	uint8_t op = fuzz_u8(in), bytes[8];
	uint32_t offset;

	switch (op % OP_COUNT) {
	case OP_REQUEST: /* the header is random, too, and perhaps cut short */
		requests_add(r, 0, NULL, 0, 1100, 1100, in);
		break;
	case OP_TYPED:
		header.type = types[(op >> 4) % 6];
		header.sector = op & 8 ? fuzz_u64(in) : fuzz_u8(in);
		requests_add(r, 0, &header, sizeof(header), 4096, 4097, in);
		break;
	case OP_TURN:
		requests_turn(r);
		break;
	case OP_RESET:
		requests_restart(r, d);
		break;
	case OP_CONFIG:
		offset = fuzz_u8(in);
		fuzz_take(in, bytes, sizeof(bytes));
		virtio_device_config(d, offset, bytes, 1 + (op >> 5), op & 0x10);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	uint8_t kind = fuzz_u8(&in);
	struct fake_guest_options options = {
		.packed = kind & 1, .event_idx = kind & 2, .indirect = kind & 4, .memory_bytes = 2 << 20};
	struct requests r = {.g = fake_guest_create(&options)};
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	struct block_config config = {.threads = 1, .read_only = kind & 8};
	struct virtio_device *d;
	uint8_t out[513];
	char path[32];
	struct stat st;
	int fd = memfd_create("disk", MFD_CLOEXEC);

	check(fd >= 0 && !ftruncate(fd, DISK_BYTES));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config.path = path;
	check(!block_create(&config, fake_guest_loop(r.g), fake_guest_mem(r.g), &d));
	check(!fake_guest_start(r.g, d));
	while (in.left)
		step(&r, d, &in);
	/* All are answered, also those nobody waited for. */
	for (unsigned i = 0; i < r.count; i++)
		check(!fake_guest_wait(r.g, r.list[i], 20000));
	requests_restart(&r, d);
	check(!fake_guest_request(r.g, 0, &header, sizeof(header), out, sizeof(out), NULL));
	check(out[512] == VIRTIO_BLK_S_OK);
	check(!fstat(fd, &st) && st.st_size == DISK_BYTES);
	virtio_device_destroy(d);
	fake_guest_destroy(r.g);
	close(fd);
	return 0;
}

/* One request of each type, each answered before the next, with a reset half way. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	uint8_t *p = buf;

	if (index >= 16 || cap < 512)
		return 0;
	*p++ = (uint8_t)index;
	for (uint8_t type = 0; type < 6; type++) {
		bool ranges = type >= 4;
		uint16_t more = type == 1 ? 512 : ranges ? 16 : 0, room = type == 0 ? 513 : type == 3 ? 21 : 1;
		/* An operation byte that is OP_TYPED modulo OP_COUNT, of this type, with a short sector. */
		uint8_t op = (uint8_t)(type << 4);

		while (op % OP_COUNT != OP_TYPED || op & 8)
			op++;
		*p++ = op;
		*p++ = type; /* sector */
		*p++ = 0;    /* cut */
		memcpy(p, &more, 2);
		memcpy(p + 2, &room, 2);
		p += 4;
		if (ranges) {
			struct virtio_blk_discard_write_zeroes range = {.sector = 8, .num_sectors = 8};

			memcpy(p, &range, sizeof(range));
			p += sizeof(range);
		} else if (more) {
			memset(p, 0x42, 64);
			p += 64;
		}
		*p++ = type == 3 ? OP_RESET : OP_TURN;
	}
	return (size_t)(p - buf);
}

const unsigned fuzz_runs = 3000;
