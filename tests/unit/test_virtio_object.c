// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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
	assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	assert_int_equal(ftruncate(o->fd, 0), -1);
	munmap(there, 5000);
	virtio_object_put(o);
	virtio_object_put(NULL);
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
		cmocka_unit_test(an_object_is_found_while_it_is_published),
		cmocka_unit_test(threads_may_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
