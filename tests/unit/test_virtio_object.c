// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/virtio/object.h"

static const uint8_t name[VIRTIO_UUID_BYTES] = {1, 2, 3};

static void memory_can_be_mapped_elsewhere_and_not_be_cut(void **state)
{
	const struct virtio_object_shape shape = {.order = "BGRX", .width = 8, .height = 4, .stride_bytes = 32};
	struct virtio_object *o;
	uint8_t *there;
	int seals;

	(void)state;
	assert_int_equal(virtio_object_create(&shape, 5000, &o), 0);
	assert_int_equal(o->bytes, 5000);
	assert_string_equal(o->shape.order, "BGRX");
	there = mmap(NULL, 5000, PROT_READ, MAP_SHARED, o->fd, 0);
	assert_true(there != MAP_FAILED);
	memset(o->pieces[0].iov_base, 7, 5000);
	assert_int_equal(there[4999], 7);
	seals = fcntl(o->fd, F_GET_SEALS);
	assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(o->fd, 0), -1);
	munmap(there, 5000);
	virtio_object_put(o);
	virtio_object_put(NULL);
}

/* What came from another process is used by both, and counted once. */
static void an_object_may_come_from_elsewhere(void **state)
{
	const struct virtio_object_shape shape = {.order = "BGRX", .width = 8, .height = 4, .stride_bytes = 40};
	struct virtio_object *ours, *theirs;

	(void)state;
	assert_int_equal(virtio_object_create(&shape, 161, &ours), 0);
	assert_int_equal(virtio_object_import(&shape, 161, dup(ours->fd), &theirs), 0);
	memset(theirs->pieces[0].iov_base, 9, 161);
	virtio_object_written(theirs);
	assert_int_equal(virtio_object_writes(ours), 1);
	assert_int_equal(((uint8_t *)ours->pieces[0].iov_base)[160], 9);
	virtio_object_put(theirs);
	virtio_object_put(ours);
}

static int memory_of(off_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void what_comes_from_elsewhere_is_checked(void **state)
{
	enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
	static const struct virtio_object_shape shapes[] = {
		{.order = "BGRX", .width = 9, .height = 4, .stride_bytes = 32}, /* rows overlap */
		{.order = "BGRX", .width = 8, .height = 5, .stride_bytes = 32},
		{.order = "BGRX", .width = 0, .height = 4, .stride_bytes = 32},
		{.order = "BGRX", .width = 8, .height = 0, .stride_bytes = 32},
		{.order = "BGRX", .width = 8, .height = 4, .stride_bytes = 0xfffffff0},
		{.order = "BGRX", .width = 0x40000000, .height = 0xffffffff, .stride_bytes = 0xffffffff},
		{.order = {'B', 'G', 'R', 'X', 'Y'}, .width = 8, .height = 4, .stride_bytes = 32},
	};
	struct virtio_object *o;
	int pipes[2];

	(void)state;
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		assert_int_equal(virtio_object_import(&shapes[i], 128, memory_of(132, SEALS), &o), -EINVAL);
	assert_int_equal(virtio_object_import(NULL, 128, memory_of(131, SEALS), &o), -EINVAL);
	assert_int_equal(virtio_object_import(NULL, 128, memory_of(4096, SEALS), &o), -EINVAL);
	assert_int_equal(virtio_object_import(NULL, 0, memory_of(4, SEALS), &o), -EINVAL);
	assert_int_equal(virtio_object_import(NULL, SIZE_MAX, memory_of(4, SEALS), &o), -EINVAL);
	assert_int_equal(virtio_object_import(NULL, 128, memory_of(132, F_SEAL_GROW | F_SEAL_SEAL), &o), -EPERM);
	assert_int_equal(virtio_object_import(NULL, 128, memory_of(132, SEALS | F_SEAL_WRITE), &o), -EPERM);
	assert_int_equal(virtio_object_import(NULL, 128, -1, &o), -EPERM);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(virtio_object_import(NULL, 128, pipes[0], &o), -EPERM);
	close(pipes[1]);
	assert_int_equal(virtio_object_import(NULL, 128, memory_of(132, SEALS), &o), 0);
	virtio_object_put(o);
}

static void an_object_is_found_while_it_is_published(void **state)
{
	uint8_t pages[64], other[VIRTIO_UUID_BYTES] = {1, 2, 4};
	const struct iovec pieces[2] = {{pages, 16}, {pages + 32, 8}};
	struct virtio_object *o, *found;
	struct virtio_objects *t;

	(void)state;
	assert_int_equal(virtio_objects_create(&t), 0);
	assert_int_equal(virtio_object_create_on(pieces, 2, &o), 0);
	assert_int_equal(o->bytes, 24);
	assert_int_equal(o->fd, -1);
	assert_null(virtio_objects_find(t, name));
	virtio_objects_publish(t, o, name);
	assert_null(virtio_objects_find(t, other));
	found = virtio_objects_find(t, name);
	assert_ptr_equal(found, o);
	virtio_objects_withdraw(t, o);
	assert_null(virtio_objects_find(t, name));
	virtio_object_put(o);
	/* Still ours. */
	assert_int_equal(virtio_object_writes(found), 0);
	virtio_object_written(found);
	assert_int_equal(virtio_object_writes(found), 1);
	assert_ptr_equal(found->pieces[1].iov_base, pages + 32);
	virtio_object_put(found);
	virtio_objects_destroy(t);
	virtio_objects_destroy(NULL);
}

static void *find_and_put(void *t)
{
	for (unsigned i = 0; i < 20000; i++)
		virtio_object_put(virtio_objects_find(t, name));
	return NULL;
}

static void threads_may_come_and_go(void **state)
{
	pthread_t threads[3];
	struct virtio_objects *t;

	(void)state;
	assert_int_equal(virtio_objects_create(&t), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, find_and_put, t), 0);
	for (unsigned i = 0; i < 500; i++) {
		struct virtio_object *o;

		assert_int_equal(virtio_object_create(NULL, 4096, &o), 0);
		virtio_objects_publish(t, o, name);
		virtio_objects_withdraw(t, o);
		virtio_object_put(o);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	virtio_objects_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_can_be_mapped_elsewhere_and_not_be_cut),
		cmocka_unit_test(an_object_may_come_from_elsewhere),
		cmocka_unit_test(what_comes_from_elsewhere_is_checked),
		cmocka_unit_test(an_object_is_found_while_it_is_published),
		cmocka_unit_test(threads_may_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
