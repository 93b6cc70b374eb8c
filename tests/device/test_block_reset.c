// SPDX-License-Identifier: MIT
/* virtio-blk with many requests at once: all answered, or all forgotten by a reset that leaves nothing running. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/block/block.h"
#include "protocol/virtio_block.h"
#include "tests/device/rings.h"

#define DISK_BYTES (8u << 20)
#define AT_ONCE 60u /* in rings of 256, with 4 descriptors each */
#define BYTES (64u << 10)
#define GUEST_BASE 0x1000u

static struct fake_guest *g;
static struct virtio_device *d;
static char path[] = "/tmp/mullion-block-XXXXXX";
static uint8_t before[DISK_BYTES], after[DISK_BYTES];
static struct fake_request *requests[AT_ONCE];

/* ---- a disk that can be made slow or bad: these stand in for the C library's functions of the same name ---- */

static atomic_bool gate; /* calls wait while it is closed (true) */
static atomic_uint entered, left, syncs_entered;
static atomic_uint short_calls, interrupted_calls, failing_calls; /* how many of the next calls go wrong, and how */

static void pass_gate(void)
{
	atomic_fetch_add(&entered, 1);
	while (atomic_load(&gate))
		usleep(200);
}

static bool is_due(atomic_uint *calls)
{
	unsigned n = atomic_load(calls);

	while (n && !atomic_compare_exchange_weak(calls, &n, n - 1))
		;
	return n;
}

static ssize_t transfer(long number, int fd, const struct iovec *v, int count, off_t offset)
{
	struct iovec half = {0};
	ssize_t n;

	pass_gate();
	if (is_due(&interrupted_calls)) {
		errno = EINTR;
		n = -1;
	} else if (is_due(&failing_calls)) {
		errno = EIO;
		n = -1;
	} else if (v->iov_len > 1 && is_due(&short_calls)) {
		half = (struct iovec){.iov_base = v->iov_base, .iov_len = v->iov_len / 2};
		n = syscall(number, fd, &half, 1, offset, 0);
	} else {
		n = syscall(number, fd, v, count, offset, 0);
	}
	atomic_fetch_add(&left, 1);
	return n;
}

ssize_t preadv(int fd, const struct iovec *v, int count, off_t offset)
{
	return transfer(SYS_preadv, fd, v, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
	return transfer(SYS_pwritev, fd, v, count, offset);
}

int fdatasync(int fd)
{
	atomic_fetch_add(&syncs_entered, 1);
	while (atomic_load(&gate))
		usleep(200);
	return (int)syscall(SYS_fdatasync, fd);
}

static atomic_bool no_holes; /* a file system without them */

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	if (atomic_load(&no_holes)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

static atomic_int resetting; /* the thread that resets the device, 0: none yet */

/* 'S' while it waits for something. */
static char thread_state(int tid)
{
	char path_of[64], line[256], state = 0;
	const char *end;
	FILE *f;

	snprintf(path_of, sizeof(path_of), "/proc/self/task/%d/stat", tid);
	f = fopen(path_of, "re");
	if (f) {
		end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		state = end && end[1] ? end[2] : 0;
		fclose(f);
	}
	return state;
}

/* Not before the reset waits, however slow it is to come there. */
static void *open_gate_later(void *arg)
{
	(void)arg;
	while (!atomic_load(&resetting) || thread_state(atomic_load(&resetting)) != 'S')
		usleep(1000);
	atomic_store(&gate, false);
	return NULL;
}

/* It returns when nobody is inside any more. */
static void reset_at_the_gate(void)
{
	pthread_t thread;

	atomic_store(&resetting, 0);
	assert_int_equal(pthread_create(&thread, NULL, open_gate_later, NULL), 0);
	atomic_store(&resetting, (int)syscall(SYS_gettid));
	fake_guest_reset(g);
	assert_false(atomic_load(&gate));
	pthread_join(thread, NULL);
}

static int make_disk(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/mullion-block-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < sizeof(before); i++)
		before[i] = (uint8_t)(i >> 16);
	if (write(fd, before, sizeof(before)) != (ssize_t)sizeof(before))
		return -1;
	return close(fd);
}

static int remove_disk(void **state)
{
	(void)state;
	return unlink(path);
}

static void read_disk(uint8_t *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, to, DISK_BYTES), DISK_BYTES);
	close(fd);
}

static void begin(const struct fake_guest_options *options)
{
	struct fake_guest_options larger = *options;
	struct block_config config = {.path = path};

	larger.memory_bytes = 64u << 20;
	g = fake_guest_create(&larger);
	assert_int_equal(block_create(&config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
}

/* Every third a write, and a flush now and then; one kick for all of them. */
static void submit(uint8_t seed)
{
	static struct {
		struct virtio_blk_outhdr header;
		uint8_t data[BYTES];
	} m;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		m.header = (struct virtio_blk_outhdr){.sector = (uint64_t)i * (BYTES / 512)};
		if (i % 15 == 14) {
			m.header.type = VIRTIO_BLK_T_FLUSH;
			requests[i] = fake_guest_add(g, 0, &m, sizeof(m.header), 1);
		} else if (i % 3 == 2) {
			m.header.type = VIRTIO_BLK_T_OUT;
			memset(m.data, seed + (int)i, sizeof(m.data));
			requests[i] = fake_guest_add(g, 0, &m, sizeof(m), 1);
		} else {
			requests[i] = fake_guest_add(g, 0, &m, sizeof(m.header), BYTES + 1);
		}
	}
	fake_guest_kick(g, 0);
}

static void free_requests(void)
{
	for (unsigned i = 0; i < AT_ONCE; i++)
		fake_guest_free_request(g, requests[i]);
}

static void all_of_many_are_answered(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		for (uint8_t round = 1; round < 5; round++) {
			submit(round);
			for (unsigned i = 0; i < AT_ONCE; i++)
				assert_int_equal(fake_guest_wait(g, requests[i], 5000), 0);
			read_disk(after);
			for (unsigned i = 0; i < AT_ONCE; i++) {
				size_t data = requests[i]->out_cap - 1;

				assert_int_equal(requests[i]->out[data], VIRTIO_BLK_S_OK);
				if (data)
					assert_memory_equal(requests[i]->out, before + i * BYTES, BYTES);
				else if (i % 15 != 14)
					memset(before + i * BYTES, round + (int)i, BYTES);
			}
			assert_memory_equal(before, after, sizeof(before));
			free_requests();
		}
		end();
	}
}

static void let_it_run(int ms)
{
	fake_guest_run_until(g, NULL, NULL, ms);
}

static void a_reset_leaves_nothing_running(void **state)
{
	static uint8_t memory[12u << 20];

	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		for (int delay_us = 0; delay_us < 2000; delay_us += 500) {
			submit((uint8_t)delay_us);
			usleep((useconds_t)delay_us);
			fake_guest_reset(g);
			/* From now on neither memory nor disk may change. */
			memcpy(memory, fake_guest_ptr(g, GUEST_BASE, sizeof(memory)), sizeof(memory));
			read_disk(before);
			let_it_run(5);
			assert_memory_equal(memory, fake_guest_ptr(g, GUEST_BASE, sizeof(memory)), sizeof(memory));
			read_disk(after);
			assert_memory_equal(before, after, sizeof(before));
			for (unsigned i = 0; i < AT_ONCE; i++)
				assert_true(requests[i]->lost);
			free_requests();
			assert_int_equal(fake_guest_start(g, d), 0);
		}
		/* The next driver finds a disk that works. */
		submit(1);
		for (unsigned i = 0; i < AT_ONCE; i++)
			assert_int_equal(fake_guest_wait(g, requests[i], 5000), 0);
		free_requests();
		end();
	}
}

static bool has_entered(void *arg)
{
	return atomic_load((atomic_uint *)arg) >= 1;
}

static void a_reset_waits_for_transfers(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		atomic_store(&entered, 0);
		atomic_store(&left, 0);
		atomic_store(&gate, true);
		submit(1);
		assert_true(fake_guest_run_until(g, has_entered, &entered, 5000));
		reset_at_the_gate();
		/* Nobody is inside, and nobody enters any more. */
		assert_int_equal(atomic_load(&left), atomic_load(&entered));
		assert_in_range(atomic_load(&left), 1, 4);
		let_it_run(20);
		assert_in_range(atomic_load(&entered), 1, 4);
		free_requests();
		end();
	}
}

static void a_reset_does_not_wait_for_a_flush(void **state)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_FLUSH};
	struct fake_request *flushes[8], *read;

	(void)state;
	begin(&rings[0]);
	atomic_store(&syncs_entered, 0);
	atomic_store(&gate, true);
	for (unsigned i = 0; i < 8; i++)
		flushes[i] = fake_guest_add(g, 0, &header, sizeof(header), 1);
	fake_guest_kick(g, 0);
	assert_true(fake_guest_run_until(g, has_entered, &syncs_entered, 5000));
	fake_guest_reset(g);
	assert_true(atomic_load(&gate));
	for (unsigned i = 0; i < 8; i++)
		fake_guest_free_request(g, flushes[i]);
	/* The next driver's requests wait for a worker, and are then served. */
	assert_int_equal(fake_guest_start(g, d), 0);
	header.type = VIRTIO_BLK_T_IN;
	read = fake_guest_add(g, 0, &header, sizeof(header), 513);
	fake_guest_kick(g, 0);
	let_it_run(10);
	atomic_store(&gate, false);
	assert_int_equal(fake_guest_wait(g, read, 5000), 0);
	assert_int_equal(read->out[512], VIRTIO_BLK_S_OK);
	fake_guest_free_request(g, read);
	end();
}

/* All slots are with flushes of an earlier driver: what the next one asks waits, and may be reset, too. */
static void requests_wait_for_a_free_slot(void **state)
{
	struct fake_guest_options options = {.indirect = true};
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_FLUSH};
	struct fake_request *many[256];

	(void)state;
	begin(&options);
	atomic_store(&syncs_entered, 0);
	atomic_store(&gate, true);
	for (int round = 0; round < 3; round++) {
		header.type = round ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH;
		for (unsigned i = 0; i < 256; i++)
			many[i] = fake_guest_add(g, 0, &header, sizeof(header), round ? 513 : 1);
		fake_guest_kick(g, 0);
		if (!round)
			assert_true(fake_guest_run_until(g, has_entered, &syncs_entered, 5000));
		if (round < 2) {
			fake_guest_reset(g);
			for (unsigned i = 0; i < 256; i++)
				fake_guest_free_request(g, many[i]);
			assert_int_equal(fake_guest_start(g, d), 0);
		}
	}
	let_it_run(10);
	assert_false(many[0]->done);
	atomic_store(&gate, false);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(fake_guest_wait(g, many[i], 5000), 0);
		assert_int_equal(many[i]->out[512], VIRTIO_BLK_S_OK);
		fake_guest_free_request(g, many[i]);
	}
	end();
}

/* A long transfer is done in pieces; a reset waits for the one that runs, and the rest is not done. */
static void a_long_write_stops_at_a_reset(void **state)
{
	static struct {
		struct virtio_blk_outhdr header;
		uint8_t data[6u << 20];
	} m = {.header = {.type = VIRTIO_BLK_T_OUT}};
	struct fake_request *r;

	(void)state;
	memset(m.data, 0x77, sizeof(m.data));
	begin(&rings[0]);
	r = fake_guest_add(g, 0, &m, sizeof(m), 1);
	fake_guest_kick(g, 0);
	assert_int_equal(fake_guest_wait(g, r, 5000), 0);
	assert_int_equal(r->out[0], VIRTIO_BLK_S_OK);
	fake_guest_free_request(g, r);
	memset(before, 0x77, sizeof(m.data));
	read_disk(after);
	assert_memory_equal(before, after, sizeof(before));

	atomic_store(&entered, 0);
	atomic_store(&gate, true);
	memset(m.data, 0x88, sizeof(m.data));
	r = fake_guest_add(g, 0, &m, sizeof(m), 1);
	fake_guest_kick(g, 0);
	assert_true(fake_guest_run_until(g, has_entered, &entered, 5000));
	reset_at_the_gate();
	let_it_run(10);
	assert_int_equal(atomic_load(&entered), 1);
	memset(before, 0x88, 1u << 20);
	read_disk(after);
	assert_memory_equal(before, after, sizeof(before));
	fake_guest_free_request(g, r);
	end();
}

static void a_file_without_holes_is_zeroed_by_writing(void **state)
{
	struct {
		struct virtio_blk_outhdr header;
		struct virtio_blk_discard_write_zeroes range;
	} m = {.header = {.type = VIRTIO_BLK_T_DISCARD}, .range = {.sector = 9, .num_sectors = 1001}};
	uint8_t status;

	(void)state;
	/* Probed when it was opened, and then lost: a discard is refused as one that can't be done. */
	begin(&rings[0]);
	assert_true(virtio_device_has(d, VIRTIO_BLK_F_DISCARD));
	atomic_store(&no_holes, true);
	assert_int_equal(fake_guest_request(g, 0, &m, sizeof(m), &status, 1, NULL), 0);
	assert_int_equal(status, VIRTIO_BLK_S_UNSUPP);
	end();
	begin(&rings[0]);
	assert_false(d->offered & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD));
	m.header.type = VIRTIO_BLK_T_WRITE_ZEROES;
	m.range.flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	assert_int_equal(fake_guest_request(g, 0, &m, sizeof(m), &status, 1, NULL), 0);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	end();
	atomic_store(&no_holes, false);
	memset(before + 9 * 512, 0, 1001 * 512);
	read_disk(after);
	assert_memory_equal(before, after, sizeof(before));
}

static void short_and_interrupted_transfers_go_on(void **state)
{
	(void)state;
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin(&rings[r]);
		atomic_store(&short_calls, 50);
		atomic_store(&interrupted_calls, 50);
		submit(3);
		for (unsigned i = 0; i < AT_ONCE; i++) {
			assert_int_equal(fake_guest_wait(g, requests[i], 5000), 0);
			assert_int_equal(requests[i]->out[requests[i]->out_cap - 1], VIRTIO_BLK_S_OK);
		}
		read_disk(after);
		for (unsigned i = 0; i < AT_ONCE; i++) {
			size_t data = requests[i]->out_cap - 1;

			if (data)
				assert_memory_equal(requests[i]->out, before + i * BYTES, BYTES);
			else if (i % 15 != 14)
				memset(before + i * BYTES, 3 + (int)i, BYTES);
		}
		assert_memory_equal(before, after, sizeof(before));
		assert_int_equal(atomic_load(&short_calls), 0);
		assert_int_equal(atomic_load(&interrupted_calls), 0);
		free_requests();
		end();
	}
}

static void flushes_reach_the_disk(void **state)
{
	struct {
		struct virtio_blk_outhdr header;
		uint8_t data[512];
	} m = {.header = {.type = VIRTIO_BLK_T_OUT}};
	struct fake_guest_options no_cache = {.refuse = VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
							VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE)};
	uint8_t status;

	(void)state;
	begin(&rings[0]);
	atomic_store(&syncs_entered, 0);
	assert_int_equal(fake_guest_request(g, 0, &m, sizeof(m), &status, 1, NULL), 0);
	assert_int_equal(atomic_load(&syncs_entered), 0);
	m.header.type = VIRTIO_BLK_T_FLUSH;
	assert_int_equal(fake_guest_request(g, 0, &m, 16, &status, 1, NULL), 0);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	assert_int_equal(atomic_load(&syncs_entered), 1);
	end();
	/* A driver that can't flush: every write is committed. */
	begin(&no_cache);
	m.header.type = VIRTIO_BLK_T_OUT;
	assert_int_equal(fake_guest_request(g, 0, &m, sizeof(m), &status, 1, NULL), 0);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	assert_int_equal(atomic_load(&syncs_entered), 2);
	end();
}

static void an_error_of_the_disk_is_answered(void **state)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	uint8_t out[513];

	(void)state;
	begin(&rings[0]);
	atomic_store(&failing_calls, 1);
	assert_int_equal(fake_guest_request(g, 0, &header, sizeof(header), out, sizeof(out), NULL), 0);
	assert_int_equal(out[512], VIRTIO_BLK_S_IOERR);
	assert_int_equal(fake_guest_request(g, 0, &header, sizeof(header), out, sizeof(out), NULL), 0);
	assert_int_equal(out[512], VIRTIO_BLK_S_OK);
	end();
}

static void a_reset_at_once_after_a_reset_is_fine(void **state)
{
	(void)state;
	begin(&rings[1]);
	for (int i = 0; i < 20; i++) {
		submit((uint8_t)i);
		fake_guest_reset(g);
		fake_guest_set_status(g, 0);
		free_requests();
		assert_int_equal(fake_guest_start(g, d), 0);
		/* Without the loop's turn in between: the slots of the round before are still with the workers. */
		submit((uint8_t)i);
		for (unsigned k = 0; k < AT_ONCE; k++) {
			assert_int_equal(fake_guest_wait(g, requests[k], 5000), 0);
			assert_int_equal(requests[k]->out[requests[k]->out_cap - 1], VIRTIO_BLK_S_OK);
		}
		free_requests();
	}
	end();
}

static void it_can_be_destroyed_with_requests_in_flight(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		begin(&rings[i & 3]);
		submit((uint8_t)i);
		if (i & 1)
			let_it_run(1);
		virtio_device_destroy(d);
		/* No task is left behind for the loop. */
		let_it_run(2);
		fake_guest_device_is_gone(g);
		free_requests();
		fake_guest_destroy(g);
	}
}

static void more_than_the_workers_at_full_rings(void **state)
{
	struct fake_guest_options options = {.indirect = true, .packed = true};
	struct fake_request *many[256];
	struct virtio_blk_outhdr header = {0};

	(void)state;
	begin(&options);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 256; i++) {
			header.sector = i;
			many[i] = fake_guest_add(g, 0, &header, sizeof(header), 513);
		}
		assert_false(fake_guest_has_room(g, 0, sizeof(header), 513));
		fake_guest_kick(g, 0);
		for (unsigned i = 0; i < 256; i++) {
			assert_int_equal(fake_guest_wait(g, many[i], 5000), 0);
			assert_int_equal(many[i]->out[512], VIRTIO_BLK_S_OK);
			fake_guest_free_request(g, many[i]);
		}
	}
	assert_int_equal(block_counters(d)->reads, 3 * 256);
	end();
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_disk, remove_disk)
	const struct CMUnitTest tests[] = {
		CASE(all_of_many_are_answered),
		CASE(a_reset_leaves_nothing_running),
		CASE(a_reset_waits_for_transfers),
		CASE(a_reset_does_not_wait_for_a_flush),
		CASE(requests_wait_for_a_free_slot),
		CASE(a_long_write_stops_at_a_reset),
		CASE(a_file_without_holes_is_zeroed_by_writing),
		CASE(short_and_interrupted_transfers_go_on),
		CASE(flushes_reach_the_disk),
		CASE(an_error_of_the_disk_is_answered),
		CASE(a_reset_at_once_after_a_reset_is_fine),
		CASE(it_can_be_destroyed_with_requests_in_flight),
		CASE(more_than_the_workers_at_full_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
