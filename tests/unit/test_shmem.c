// SPDX-License-Identifier: MIT
/* The window of a device's shared memory (virtio 1.4, section 2.10): what is mapped, refused, and read from holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/test_device.h"
#include "tests/lib/vm_stub.h"
#include "vmm/shmem.h"

#define GPA 0x800000000ull
#define SIZE ((uint64_t)TEST_DEVICE_SHMEM_BYTES)
#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))

struct fixture {
	struct vm *vm;
	struct virtio_device *device;
	struct shmem_window *window;
	uint8_t *guest; /* what the guest sees of it */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = stub_create_still();
	f->device = &test_device_create(vm_loop(f->vm), vm_mem(f->vm))->base;
	assert_int_equal(shmem_window_create(f->vm, f->device, &f->window), 0);
	assert_int_equal(shmem_window_place(f->window, GPA), 0);
	f->guest = stub_slot(f->vm, GPA);
	assert_non_null(f->guest);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	virtio_device_destroy(f->device);
	shmem_window_destroy(f->window);
	stub_destroy(f->vm);
	free(f);
	return 0;
}

static int make_memfd(uint64_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int map(struct fixture *f, uint64_t offset, uint64_t length, int fd, uint64_t fd_offset, bool writable)
{
	struct virtio_shmem_request r = {
		.offset = offset, .length = length, .fd = fd, .fd_offset = fd_offset, .writable = writable};

	return virtio_shmem_map(f->device, &r);
}

static int unmap(struct fixture *f, uint64_t offset, uint64_t length)
{
	struct virtio_shmem_request r = {.offset = offset, .length = length, .fd = -1};

	return virtio_shmem_unmap(f->device, &r);
}

static void a_mapping_is_the_same_memory(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(4 * PAGE, F_SEAL_SHRINK | F_SEAL_GROW);
	uint8_t *host = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(host, MAP_FAILED);
	assert_int_equal(map(f, 8 * PAGE, 2 * PAGE, fd, PAGE, true), 0);
	close(fd);
	host[PAGE] = 0x5a;
	assert_int_equal(f->guest[8 * PAGE], 0x5a);
	f->guest[10 * PAGE - 1] = 0xa5;
	assert_int_equal(host[3 * PAGE - 1], 0xa5);
	assert_int_equal(unmap(f, 8 * PAGE, 2 * PAGE), 0);
	assert_int_equal(f->guest[8 * PAGE], 0);
	f->guest[8 * PAGE] = 1;
	assert_int_equal(host[PAGE], 0x5a);
	munmap(host, 4 * PAGE);
}

static void what_is_only_to_be_read_keeps_the_guests_writes_from_the_file(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(PAGE, F_SEAL_SHRINK);
	uint8_t *host = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	host[0] = 1;
	assert_int_equal(map(f, 0, PAGE, fd, 0, false), 0);
	assert_int_equal(f->guest[0], 1);
	f->guest[0] = 2;
	assert_int_equal(host[0], 1);
	assert_int_equal(f->guest[0], 2);
	munmap(host, PAGE);
	close(fd);
}

static void holes_read_as_zeros_and_can_be_written(void **state)
{
	struct fixture *f = *state;

	for (uint64_t at = 0; at < SIZE; at += PAGE)
		assert_int_equal(f->guest[at], 0);
	for (uint64_t at = 0; at < SIZE; at += PAGE)
		f->guest[at] = 0xff;
}

static void what_is_out_of_range_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(4 * PAGE, F_SEAL_SHRINK);

	assert_int_equal(map(f, 0, 0, fd, 0, true), -EINVAL);
	assert_int_equal(map(f, 1, PAGE, fd, 0, true), -EINVAL);
	assert_int_equal(map(f, 0, PAGE + 1, fd, 0, true), -EINVAL);
	assert_int_equal(map(f, 0, PAGE, fd, 1, true), -EINVAL);
	assert_int_equal(map(f, SIZE, PAGE, fd, 0, true), -ERANGE);
	assert_int_equal(map(f, SIZE - PAGE, 2 * PAGE, fd, 0, true), -ERANGE);
	assert_int_equal(map(f, -PAGE, 2 * PAGE, fd, 0, true), -ERANGE);
	assert_int_equal(map(f, PAGE, -PAGE, fd, 0, true), -ERANGE);
	/* Past the file's end, where a touch would be a SIGBUS. */
	assert_int_equal(map(f, 0, 5 * PAGE, fd, 0, true), -ERANGE);
	assert_int_equal(map(f, 0, PAGE, fd, 4 * PAGE, true), -ERANGE);
	assert_int_equal(map(f, 0, 2 * PAGE, fd, -PAGE, true), -ERANGE);
	assert_int_equal(f->guest[0], 0);
	close(fd);
}

static void a_descriptor_that_may_shrink_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(PAGE, F_SEAL_GROW), pipes[2];
	FILE *file = tmpfile();

	assert_int_equal(map(f, 0, PAGE, fd, 0, true), -EPERM);
	assert_int_equal(map(f, 0, PAGE, -1, 0, true), -EPERM);
	assert_int_equal(map(f, 0, PAGE, 9999, 0, true), -EPERM);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(map(f, 0, PAGE, pipes[0], 0, true), -EPERM);
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), (off_t)PAGE), 0);
	assert_int_equal(map(f, 0, PAGE, fileno(file), 0, true), -EPERM);
	fclose(file);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
	/* Not to be written: a writable mapping is refused by the kernel, and the hole is still there. */
	fd = make_memfd(PAGE, F_SEAL_SHRINK | F_SEAL_WRITE);
	assert_int_equal(map(f, 0, PAGE, fd, 0, true), -EPERM);
	f->guest[0] = 1;
	assert_int_equal(map(f, 0, PAGE, fd, 0, false), 0);
	assert_int_equal(f->guest[0], 0);
	close(fd);
}

static void mappings_do_not_overlap(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(16 * PAGE, F_SEAL_SHRINK);

	assert_int_equal(map(f, 4 * PAGE, 4 * PAGE, fd, 0, true), 0);
	assert_int_equal(map(f, 4 * PAGE, 4 * PAGE, fd, 0, true), -EEXIST);
	assert_int_equal(map(f, 0, 5 * PAGE, fd, 0, true), -EEXIST);
	assert_int_equal(map(f, 7 * PAGE, PAGE, fd, 0, true), -EEXIST);
	assert_int_equal(map(f, 0, 16 * PAGE, fd, 0, true), -EEXIST);
	/* Side by side is fine, on both sides. */
	assert_int_equal(map(f, 8 * PAGE, PAGE, fd, 0, true), 0);
	assert_int_equal(map(f, 0, 4 * PAGE, fd, 0, true), 0);
	/* Only a whole one goes. */
	assert_int_equal(unmap(f, 4 * PAGE, 2 * PAGE), -ENOENT);
	assert_int_equal(unmap(f, 5 * PAGE, 3 * PAGE), -ENOENT);
	assert_int_equal(unmap(f, 4 * PAGE, 5 * PAGE), -ENOENT);
	assert_int_equal(unmap(f, 16 * PAGE, PAGE), -ENOENT);
	assert_int_equal(unmap(f, SIZE, PAGE), -ERANGE);
	assert_int_equal(unmap(f, 4 * PAGE, 4 * PAGE), 0);
	assert_int_equal(unmap(f, 4 * PAGE, 4 * PAGE), -ENOENT);
	close(fd);
}

static void so_many_mappings_have_a_limit(void **state)
{
	const uint64_t bytes = 128ull << 20;
	struct fixture *f = *state;
	int fd = make_memfd(PAGE, F_SEAL_SHRINK);
	struct virtio_device *big = &test_device_create(vm_loop(f->vm), vm_mem(f->vm))->base;
	struct shmem_window *window;
	struct virtio_shmem_request r = {.length = PAGE, .fd = fd, .writable = true};
	int err = 0;
	unsigned n = 0;

	big->shmem.size_bytes = bytes;
	assert_int_equal(shmem_window_create(f->vm, big, &window), 0);
	for (; r.offset < bytes && !err; r.offset += 2 * PAGE) {
		err = virtio_shmem_map(big, &r);
		n += !err;
	}
	assert_int_equal(err, PAGE == 4096 ? -ENOSPC : 0);
	assert_true(n <= 8192);
	virtio_device_destroy(big);
	shmem_window_destroy(window);
	close(fd);
}

static void a_reset_unmaps_all(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(2 * PAGE, F_SEAL_SHRINK);

	assert_int_equal(pwrite(fd, "xy", 2, 0), 2);
	assert_int_equal(map(f, 0, PAGE, fd, 0, true), 0);
	assert_int_equal(map(f, 5 * PAGE, PAGE, fd, 0, true), 0);
	assert_int_equal(f->guest[5 * PAGE], 'x');
	virtio_device_set_status(f->device, 0, NULL);
	assert_int_equal(f->guest[0], 0);
	assert_int_equal(f->guest[5 * PAGE], 0);
	assert_int_equal(unmap(f, 0, PAGE), -ENOENT);
	assert_int_equal(map(f, 0, 2 * PAGE, fd, 0, true), 0);
	close(fd);
}

static void the_window_moves_and_goes(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(PAGE, F_SEAL_SHRINK);

	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(map(f, 0, PAGE, fd, 0, true), 0);
	assert_int_equal(shmem_window_place(f->window, 2 * GPA), 0);
	assert_null(stub_slot(f->vm, GPA));
	assert_int_equal(*(uint8_t *)stub_slot(f->vm, 2 * GPA), 'x');
	assert_int_equal(shmem_window_place(f->window, 0), 0);
	assert_null(stub_slot(f->vm, 2 * GPA));
	close(fd);
}

static void without_a_home_nothing_can_be_mapped(void **state)
{
	struct fixture *f = *state;
	int fd = make_memfd(PAGE, F_SEAL_SHRINK);

	virtio_device_set_shmem_home(f->device, NULL, NULL);
	assert_int_equal(map(f, 0, PAGE, fd, 0, true), -EOPNOTSUPP);
	assert_int_equal(unmap(f, 0, PAGE), -EOPNOTSUPP);
	close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_mapping_is_the_same_memory),
		CASE(what_is_only_to_be_read_keeps_the_guests_writes_from_the_file),
		CASE(holes_read_as_zeros_and_can_be_written),
		CASE(what_is_out_of_range_is_refused),
		CASE(a_descriptor_that_may_shrink_is_refused),
		CASE(mappings_do_not_overlap),
		CASE(so_many_mappings_have_a_limit),
		CASE(a_reset_unmaps_all),
		CASE(the_window_moves_and_goes),
		CASE(without_a_home_nothing_can_be_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
