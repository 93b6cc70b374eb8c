// SPDX-License-Identifier: MIT
/* virtio-blk over fake guest memory: every request type, every error answer, and what is in the file afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/block/block.h"
#include "protocol/virtio_block.h"
#include "tests/device/rings.h"
#include "tests/lib/tap.h"

#define SECTORS 4096u
#define DISK_BYTES (SECTORS * 512u)

static struct fake_guest *g;
static struct virtio_device *d;
static char path[] = "/tmp/mullion-block-XXXXXX";
static uint8_t truth[DISK_BYTES]; /* what the file must hold */

/* ---- the disk ---- */

static int make_disk(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/mullion-block-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < sizeof(truth); i++)
		truth[i] = (uint8_t)(i * 2654435761u >> 13);
	if (write(fd, truth, sizeof(truth)) != (ssize_t)sizeof(truth))
		return -1;
	return close(fd);
}

static int remove_disk(void **state)
{
	(void)state;
	return unlink(path);
}

static void check_disk(void)
{
	static uint8_t found[DISK_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, found, sizeof(found)), sizeof(found));
	close(fd);
	assert_memory_equal(found, truth, sizeof(truth));
}

static void begin_with(const struct fake_guest_options *options, const struct block_config *config)
{
	g = fake_guest_create(options);
	assert_int_equal(block_create(config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void begin(const struct fake_guest_options *options)
{
	begin_with(options, &(struct block_config){.path = path, .serial = "disk-7"});
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
}

/* ---- requests ---- */

struct message {
	struct virtio_blk_outhdr header;
	uint8_t data[1 << 20];
};

static struct message message;
static uint8_t answer[(1 << 20) + 64];

/* Returns the status byte, the last one that the device may write. */
static int request(uint32_t type, uint64_t sector, size_t data_bytes, size_t room)
{
	uint32_t used;

	message.header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	assert_int_equal(
		fake_guest_request(g, 0, &message, sizeof(message.header) + data_bytes, answer, room + 1, &used), 0);
	assert_int_equal(used, room + 1);
	return answer[room];
}

static int read_sectors(uint64_t sector, unsigned count)
{
	return request(VIRTIO_BLK_T_IN, sector, 0, count * 512u);
}

static int write_sectors(uint64_t sector, unsigned count, uint8_t seed)
{
	for (size_t i = 0; i < count * 512u; i++)
		message.data[i] = (uint8_t)(seed + i * 7 + (i >> 8));
	return request(VIRTIO_BLK_T_OUT, sector, count * 512u, 0);
}

static void note_write(uint64_t sector, unsigned count)
{
	memcpy(truth + sector * 512, message.data, count * 512u);
}

static void reads_what_the_file_holds(void **state)
{
	static const struct {
		uint64_t sector;
		unsigned count;
	} cases[] = {{0, 1}, {1, 1}, {7, 9}, {SECTORS - 1, 1}, {100, 2048}, {0, 2}};

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			assert_int_equal(read_sectors(cases[i].sector, cases[i].count), VIRTIO_BLK_S_OK);
			assert_memory_equal(answer, truth + cases[i].sector * 512, cases[i].count * 512u);
		}
		assert_int_equal(block_counters(d)->reads, 6);
		assert_int_equal(block_counters(d)->errors, 0);
		end();
	}
	check_disk();
}

static void writes_reach_the_file_and_only_their_place(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		uint8_t seed = (uint8_t)(r * 50);

		begin(&rings[r]);
		assert_int_equal(write_sectors(r, 1, seed), VIRTIO_BLK_S_OK);
		note_write(r, 1);
		assert_int_equal(write_sectors(SECTORS - 3, 3, seed), VIRTIO_BLK_S_OK);
		note_write(SECTORS - 3, 3);
		assert_int_equal(write_sectors(1000, 2048, seed), VIRTIO_BLK_S_OK);
		note_write(1000, 2048);
		assert_int_equal(read_sectors(1000, 2048), VIRTIO_BLK_S_OK);
		assert_memory_equal(answer, message.data, 2048 * 512);
		end();
		check_disk();
	}
}

static void one_of_each(void *arg)
{
	unsigned *n = arg;

	assert_int_equal(read_sectors(5, 1), VIRTIO_BLK_S_OK);
	assert_memory_equal(answer, truth + 5 * 512, 512);
	assert_int_equal(write_sectors(9, 1, (uint8_t)++ * n), VIRTIO_BLK_S_OK);
	note_write(9, 1);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 0, 20), VIRTIO_BLK_S_OK);
	assert_memory_equal(answer, "disk-7\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	/* Its 17 bytes are cut in every way by the first rounds; later ones would only wear the disk. */
	if (*n % 531 < 20)
		assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
}

static void requests_may_be_split_anywhere(void **state)
{
	unsigned n = 0;

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		n = 0;
		fake_guest_split_each(g, 0, 16 + 512 + 1, one_of_each, &n);
		assert_true(n > 512);
		end();
		check_disk();
	}
}

static void hundreds_of_ranges_make_one_request(void **state)
{
	struct fake_guest_options options = {.indirect = true};

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		options.packed = packed;
		begin(&options);
		/* 1 MiB in 1024 ranges at most, and odd ones. */
		fake_guest_set_split(g, 0, 1031);
		assert_int_equal(write_sectors(64, 2048, (uint8_t)packed), VIRTIO_BLK_S_OK);
		note_write(64, 2048);
		assert_int_equal(read_sectors(63, 2047), VIRTIO_BLK_S_OK);
		assert_memory_equal(answer, truth + 63 * 512, 2047 * 512);
		/* And small ones. */
		fake_guest_set_split(g, 0, 5);
		assert_int_equal(write_sectors(10, 9, (uint8_t)packed), VIRTIO_BLK_S_OK);
		note_write(10, 9);
		assert_int_equal(read_sectors(10, 9), VIRTIO_BLK_S_OK);
		assert_memory_equal(answer, truth + 10 * 512, 9 * 512);
		end();
		check_disk();
	}
}

/* ---- what is refused ---- */

static void nothing_beyond_the_end(void **state)
{
	static const struct {
		uint64_t sector;
		unsigned count;
	} cases[] = {
		{SECTORS, 1},	 {SECTORS - 1, 2}, {UINT64_MAX, 1}, {UINT64_MAX / 512, 1}, {UINT64_MAX / 512 + 1, 1},
		{1ull << 55, 1}, {SECTORS - 7, 8}, {INT64_MAX, 2}};

	(void)state;
	begin(NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(read_sectors(cases[i].sector, cases[i].count), VIRTIO_BLK_S_IOERR);
		for (size_t k = 0; k < cases[i].count * 512u; k++)
			assert_int_equal(answer[k], 0xa5);
		assert_int_equal(write_sectors(cases[i].sector, cases[i].count, 1), VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(block_counters(d)->errors, 16);
	/* The device goes on. */
	assert_int_equal(read_sectors(0, 1), VIRTIO_BLK_S_OK);
	end();
	check_disk();
}

static void only_whole_sectors(void **state)
{
	(void)state;
	begin(NULL);
	for (size_t n = 1; n < 512; n += 51) {
		assert_int_equal(request(VIRTIO_BLK_T_IN, 0, 0, n), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(VIRTIO_BLK_T_OUT, 0, n + 512, 0), VIRTIO_BLK_S_IOERR);
	}
	/* Nothing at all is nothing to do. */
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, SECTORS, 0, 0), VIRTIO_BLK_S_OK);
	end();
	check_disk();
}

static void unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 255, 256, 0x80000000u, UINT32_MAX};

	(void)state;
	begin(NULL);
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		assert_int_equal(request(types[i], 0, 512, 512), VIRTIO_BLK_S_UNSUPP);
	end();
	check_disk();
}

static void what_was_not_negotiated_is_unsupported(void **state)
{
	struct fake_guest_options options = {
		.refuse = VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
			  VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE)};

	(void)state;
	begin(&options);
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0), VIRTIO_BLK_S_UNSUPP);
	/* Without a cache to flush, a write is committed by itself. */
	assert_int_equal(write_sectors(3, 2, 3), VIRTIO_BLK_S_OK);
	note_write(3, 2);
	end();
	check_disk();
}

static void broken_requests_are_answered_where_possible(void **state)
{
	uint8_t header[16] = {VIRTIO_BLK_T_IN};
	uint32_t used;

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		for (size_t n = 0; n < sizeof(header); n++) {
			answer[512] = 0xee;
			assert_int_equal(fake_guest_request(g, 0, header, n, answer, 513, &used), 0);
			assert_int_equal(answer[512], VIRTIO_BLK_S_IOERR);
		}
		/* No room for a status: only given back. */
		assert_int_equal(fake_guest_request(g, 0, header, sizeof(header), NULL, 0, &used), 0);
		assert_int_equal(used, 0);
		assert_int_equal(fake_guest_request(g, 0, NULL, 0, NULL, 0, &used), 0);
		assert_int_equal(read_sectors(0, 1), VIRTIO_BLK_S_OK);
		end();
	}
}

static void a_read_only_disk_stays_as_it_is(void **state)
{
	struct block_config config = {.path = path, .read_only = true};
	struct virtio_blk_config space;

	(void)state;
	begin_with(NULL, &config);
	assert_true(virtio_device_has(d, VIRTIO_BLK_F_RO));
	assert_false(d->offered & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(write_sectors(0, 1, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_DISCARD, 0, 16, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(read_sectors(0, 4), VIRTIO_BLK_S_OK);
	assert_memory_equal(answer, truth, 4 * 512);
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 0, 20), VIRTIO_BLK_S_OK);
	assert_int_equal(answer[0], 0);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.max_write_zeroes_sectors, 0);
	end();
	check_disk();
}

static void the_identity_needs_its_twenty_bytes(void **state)
{
	struct block_config config = {.path = path, .serial = "a name of more than twenty bytes"};

	(void)state;
	begin_with(NULL, &config);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 0, 19), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 0, 20), VIRTIO_BLK_S_OK);
	assert_memory_equal(answer, "a name of more than ", 20);
	/* With more room the status is still the last byte. */
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, 0, 40), VIRTIO_BLK_S_OK);
	assert_int_equal(answer[20], 0xa5);
	end();
}

/* ---- ranges ---- */

static int ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *range, size_t count)
{
	memcpy(message.data, range, count * sizeof(*range));
	return request(type, 0, count * sizeof(*range), 0);
}

static void zeroed_ranges_read_as_zeroes(void **state)
{
	struct virtio_blk_discard_write_zeroes range[2] = {{.sector = 8, .num_sectors = 1},
							   {.sector = 100, .num_sectors = 1000}};

	(void)state;
	begin(NULL);
	for (uint32_t flags = 0; flags < 2; flags++) {
		assert_int_equal(write_sectors(8, 1200, 9), VIRTIO_BLK_S_OK);
		note_write(8, 1200);
		range[0].flags = flags;
		range[1].flags = flags;
		assert_int_equal(ranges(VIRTIO_BLK_T_WRITE_ZEROES, range, 2), VIRTIO_BLK_S_OK);
		memset(truth + 8 * 512, 0, 512);
		memset(truth + 100 * 512, 0, 1000 * 512);
		check_disk();
	}
	end();
}

static void discarded_ranges_read_as_zeroes(void **state)
{
	struct virtio_blk_discard_write_zeroes range = {.sector = 1024, .num_sectors = 1024};
	struct stat before, after;

	(void)state;
	begin(NULL);
	if (!virtio_device_has(d, VIRTIO_BLK_F_DISCARD)) {
		end();
		tap_skip("the file system of /tmp has no holes");
	}
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(ranges(VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_OK);
	memset(truth + 1024 * 512, 0, 1024 * 512);
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_blocks < before.st_blocks);
	assert_int_equal(after.st_size, before.st_size);
	end();
	check_disk();
}

static void bad_ranges_change_nothing(void **state)
{
	static const struct virtio_blk_discard_write_zeroes bad[] = {
		{.sector = SECTORS, .num_sectors = 1},	  {.sector = SECTORS - 1, .num_sectors = 2},
		{.sector = UINT64_MAX, .num_sectors = 1}, {.sector = UINT64_MAX, .num_sectors = UINT32_MAX},
		{.sector = 0, .num_sectors = UINT32_MAX}, {.sector = 1, .num_sectors = SECTORS},
	};
	static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct virtio_blk_discard_write_zeroes many[17] = {0};

	(void)state;
	begin(NULL);
	for (size_t t = 0; t < 2; t++) {
		struct virtio_blk_discard_write_zeroes pair[2] = {{.sector = 0, .num_sectors = 8}};

		if (types[t] == VIRTIO_BLK_T_DISCARD && !virtio_device_has(d, VIRTIO_BLK_F_DISCARD))
			continue;
		for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
			assert_int_equal(ranges(types[t], &bad[i], 1), VIRTIO_BLK_S_IOERR);
			/* A good range before a bad one is not begun. */
			pair[1] = bad[i];
			assert_int_equal(ranges(types[t], pair, 2), VIRTIO_BLK_S_IOERR);
		}
		assert_int_equal(ranges(types[t], many, 17), VIRTIO_BLK_S_IOERR);
		assert_int_equal(ranges(types[t], many, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(types[t], 0, 15, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(types[t], 0, 17, 0), VIRTIO_BLK_S_IOERR);
		/* Ranges of nothing, as many as there may be. */
		assert_int_equal(ranges(types[t], many, 16), VIRTIO_BLK_S_OK);
		pair[0].flags = types[t] == VIRTIO_BLK_T_DISCARD ? 1 : 2;
		assert_int_equal(ranges(types[t], pair, 1), VIRTIO_BLK_S_UNSUPP);
		pair[0].flags = 0x80000000u;
		assert_int_equal(ranges(types[t], pair, 1), VIRTIO_BLK_S_UNSUPP);
	}
	end();
	check_disk();
}

/* ---- config space, host errors ---- */

static void the_config_space_describes_the_disk(void **state)
{
	struct virtio_blk_config space;
	uint8_t byte = 0, two[2] = {0};

	(void)state;
	begin(NULL);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.capacity, SECTORS);
	assert_int_equal(space.seg_max, 254);
	assert_int_equal(space.blk_size, 512);
	assert_int_equal(space.max_write_zeroes_seg, 16);
	assert_int_equal(space.wce, 1);
	/* Only the cache mode may be written, as one byte of 0 or 1. */
	virtio_device_config(d, offsetof(struct virtio_blk_config, wce), two, 2, true);
	byte = 2;
	virtio_device_config(d, offsetof(struct virtio_blk_config, wce), &byte, 1, true);
	byte = 0;
	virtio_device_config(d, 0, &byte, 1, true);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.wce, 1);
	assert_int_equal(space.capacity, SECTORS);
	virtio_device_config(d, offsetof(struct virtio_blk_config, wce), &byte, 1, true);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.wce, 0);
	assert_int_equal(write_sectors(0, 8, 5), VIRTIO_BLK_S_OK);
	note_write(0, 8);
	/* The next driver starts from the default. */
	fake_guest_reset(g);
	assert_int_equal(fake_guest_start(g, d), 0);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.wce, 1);
	end();
	check_disk();
}

static void host_errors_become_io_errors(void **state)
{
	struct rlimit old, low;
	void (*handler)(int);

	(void)state;
	begin(NULL);
	/* A limit on file sizes makes the host refuse a write in the middle of the disk. */
	handler = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 1024 * 512;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(write_sectors(2000, 1, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, handler);
	/* A file that became shorter. */
	assert_int_equal(truncate(path, 100 * 512), 0);
	assert_int_equal(read_sectors(99, 1), VIRTIO_BLK_S_OK);
	assert_int_equal(read_sectors(99, 2), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_sectors(100, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_sectors(0, 1), VIRTIO_BLK_S_OK);
	/* What is written there makes it longer again; zeroes are written, too. */
	for (uint32_t flags = 0; flags < 2; flags++) {
		const struct virtio_blk_discard_write_zeroes range = {
			.sector = 200 + flags * 100, .num_sectors = 100, .flags = flags};

		assert_int_equal(ranges(VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), VIRTIO_BLK_S_OK);
		assert_int_equal(read_sectors(range.sector, 100), VIRTIO_BLK_S_OK);
	}
	assert_int_equal(read_sectors(400, 1), VIRTIO_BLK_S_IOERR);
	end();
}

static void a_block_device_will_do(void **state)
{
	struct loop_config setup = {.block_size = 4096};
	struct block_config config = {0};
	struct virtio_blk_discard_write_zeroes range = {.sector = 80, .num_sectors = 16};
	struct virtio_blk_config space;
	char name[32];
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE), device = -1;

	(void)state;
	if (number >= 0) {
		snprintf(name, sizeof(name), "/dev/loop%d", number);
		device = open(name, O_RDWR | O_CLOEXEC);
	}
	setup.fd = (uint32_t)open(path, O_RDWR | O_CLOEXEC);
	if (device < 0 || ioctl(device, LOOP_CONFIGURE, &setup)) {
		if (device >= 0)
			close(device);
		if (control >= 0)
			close(control);
		close((int)setup.fd);
		tap_skip("no loop device for us here");
	}
	config.path = name;
	begin_with(NULL, &config);
	fake_guest_read_config(g, 0, &space, sizeof(space));
	assert_int_equal(space.capacity, SECTORS);
	assert_int_equal(space.blk_size, 4096);
	assert_int_equal(read_sectors(8, 16), VIRTIO_BLK_S_OK);
	assert_memory_equal(answer, truth + 8 * 512, 16 * 512);
	assert_int_equal(write_sectors(64, 16, 6), VIRTIO_BLK_S_OK);
	note_write(64, 16);
	assert_int_equal(ranges(VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), VIRTIO_BLK_S_OK);
	memset(truth + 80 * 512, 0, 16 * 512);
	/* Not a whole block of the device: still zeroed. */
	range = (struct virtio_blk_discard_write_zeroes){.sector = 101, .num_sectors = 1};
	assert_int_equal(ranges(VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), VIRTIO_BLK_S_OK);
	memset(truth + 101 * 512, 0, 512);
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	end();
	ioctl(device, LOOP_CLR_FD, 0);
	close(device);
	close(control);
	close((int)setup.fd);
	check_disk();
}

static void images_that_cannot_be_used_are_refused(void **state)
{
	struct fake_guest *h = fake_guest_create(NULL);
	struct block_config config = {.path = "/tmp/mullion-no-such-image"};
	struct virtio_device *first, *second;
	char fifo[64];

	(void)state;
#define CREATE(out) block_create(&config, fake_guest_loop(h), fake_guest_mem(h), out)
	assert_int_equal(CREATE(&first), -ENOENT);
	config.path = "/tmp";
	assert_int_equal(CREATE(&first), -EISDIR);
	config.read_only = true;
	assert_int_equal(CREATE(&first), -EINVAL);
	config.path = "/dev/null";
	assert_int_equal(CREATE(&first), -EINVAL);
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	config.path = fifo;
	assert_int_equal(CREATE(&first), -EINVAL);
	unlink(fifo);
	config.path = path;
	config.threads = 17;
	assert_int_equal(CREATE(&first), -EINVAL);
	config.threads = 1;

	/* Two may read one image, but nobody writes beside another. */
	assert_int_equal(CREATE(&first), 0);
	assert_int_equal(CREATE(&second), 0);
	virtio_device_destroy(second);
	config.read_only = false;
	assert_int_equal(CREATE(&second), -EBUSY);
	virtio_device_destroy(first);
	assert_int_equal(CREATE(&first), 0);
	assert_int_equal(CREATE(&second), -EBUSY);
	config.read_only = true;
	assert_int_equal(CREATE(&second), -EBUSY);
	virtio_device_destroy(first);

	assert_int_equal(truncate(path, 511), 0);
	assert_int_equal(CREATE(&first), -EINVAL);
	/* The last, incomplete sector is left out. */
	assert_int_equal(truncate(path, 1025), 0);
	assert_int_equal(CREATE(&first), 0);
	virtio_device_destroy(first);
	fake_guest_destroy(h);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_disk, remove_disk)
	const struct CMUnitTest tests[] = {
		CASE(reads_what_the_file_holds),
		CASE(writes_reach_the_file_and_only_their_place),
		CASE(requests_may_be_split_anywhere),
		CASE(hundreds_of_ranges_make_one_request),
		CASE(nothing_beyond_the_end),
		CASE(only_whole_sectors),
		CASE(unknown_types_are_unsupported),
		CASE(what_was_not_negotiated_is_unsupported),
		CASE(broken_requests_are_answered_where_possible),
		CASE(a_read_only_disk_stays_as_it_is),
		CASE(the_identity_needs_its_twenty_bytes),
		CASE(zeroed_ranges_read_as_zeroes),
		CASE(discarded_ranges_read_as_zeroes),
		CASE(bad_ranges_change_nothing),
		CASE(the_config_space_describes_the_disk),
		CASE(host_errors_become_io_errors),
		CASE(a_block_device_will_do),
		CASE(images_that_cannot_be_used_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
