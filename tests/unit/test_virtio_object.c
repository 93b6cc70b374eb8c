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

#include "host/virtio/mem.h"
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
	assert_int_equal(virtio_object_import(dup(ours->fd), NULL, &theirs), 0);
	assert_int_equal(theirs->bytes, 161);
	assert_int_equal(theirs->piece_count, 1);
	assert_string_equal(theirs->shape.order, "BGRX");
	assert_int_equal(theirs->shape.width, 8);
	assert_int_equal(theirs->shape.height, 4);
	assert_int_equal(theirs->shape.stride_bytes, 40);
	assert_false(theirs->is_write_only);
	memset(theirs->pieces[0].iov_base, 9, 161);
	virtio_object_written(theirs);
	assert_int_equal(virtio_object_writes(ours), 1);
	assert_int_equal(((uint8_t *)ours->pieces[0].iov_base)[160], 9);
	virtio_object_put(theirs);
	virtio_object_put(ours);
}

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* As in object.c. */
struct tail {
	uint32_t magic, flags;
	uint64_t bytes;
	char order[8];
	uint32_t width, height, stride_bytes, writes;
};

#define GOOD_TAIL ((struct tail){0x4a424f4d, 0, 128, "BGRX", 8, 4, 32, 0})

/* A file with @room bytes before @tail. */
static int memory_of(off_t room, struct tail tail, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, room), 0);
	assert_int_equal(pwrite(fd, &tail, sizeof(tail), room), sizeof(tail));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void what_comes_from_elsewhere_is_checked(void **state)
{
	static const struct tail tails[] = {
		{0x4a424f4e, 0, 128, "BGRX", 8, 4, 32, 0},
		{0x4a424f4d, 0, 129, "BGRX", 8, 4, 32, 0},
		{0x4a424f4d, 0, 120, "", 0, 0, 0, 0},
		{0x4a424f4d, 0, 0, "", 0, 0, 0, 0},
		{0x4a424f4d, 0, UINT64_MAX, "", 0, 0, 0, 0},
		{0x4a424f4d, 0, UINT64_MAX - 127, "", 0, 0, 0, 0},
		{0x4a424f4d, 0, 128, "BGRX", 9, 4, 32, 0}, /* rows overlap */
		{0x4a424f4d, 0, 128, "BGRX", 8, 5, 32, 0},
		{0x4a424f4d, 0, 128, "BGRX", 0, 4, 32, 0},
		{0x4a424f4d, 0, 128, "BGRX", 8, 0, 32, 0},
		{0x4a424f4d, 0, 128, "BGRX", 8, 4, 0xfffffff0, 0},
		{0x4a424f4d, 0, 128, "BGRX", 0x40000000, 0xffffffff, 0xffffffff, 0},
		{0x4a424f4d, 0, 128, "BGRXY", 8, 4, 32, 0},
	};
	struct virtio_object *o;
	int pipes[2], fd;

	(void)state;
	for (unsigned i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		if (virtio_object_import(memory_of(128, tails[i], SEALS), NULL, &o) != -EINVAL)
			fail_msg("description %u is taken", i);
	}
	/* Of another size than it says, not aligned, without room. */
	assert_int_equal(virtio_object_import(memory_of(136, GOOD_TAIL, SEALS), NULL, &o), -EINVAL);
	assert_int_equal(virtio_object_import(memory_of(4096, GOOD_TAIL, SEALS), NULL, &o), -EINVAL);
	assert_int_equal(virtio_object_import(memory_of(127, GOOD_TAIL, SEALS), NULL, &o), -EINVAL);
	assert_int_equal(virtio_object_import(memory_of(0, GOOD_TAIL, SEALS), NULL, &o), -EINVAL);
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	assert_int_equal(virtio_object_import(fd, NULL, &o), -EINVAL);
	assert_int_equal(virtio_object_import(memory_of(128, GOOD_TAIL, F_SEAL_GROW | F_SEAL_SEAL), NULL, &o), -EPERM);
	assert_int_equal(virtio_object_import(memory_of(128, GOOD_TAIL, SEALS | F_SEAL_WRITE), NULL, &o), -EPERM);
	assert_int_equal(virtio_object_import(memory_of(128, GOOD_TAIL, SEALS | F_SEAL_FUTURE_WRITE), NULL, &o),
			 -EPERM);
	assert_int_equal(virtio_object_import(-1, NULL, &o), -EPERM);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(virtio_object_import(pipes[0], NULL, &o), -EPERM);
	close(pipes[1]);
	assert_int_equal(virtio_object_import(memory_of(128, GOOD_TAIL, SEALS), NULL, &o), 0);
	assert_int_equal(o->bytes, 128);
	virtio_object_put(o);
}

/* Huge pages may not be there when they are touched. */
static void huge_pages_are_no_object(void **state)
{
	struct virtio_object *o;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	(void)state;
	if (fd < 0 || ftruncate(fd, 2 << 20) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		print_message("SKIP: no memfd of huge pages here\n");
		if (fd >= 0)
			close(fd);
		skip();
	}
	assert_int_equal(virtio_object_import(fd, NULL, &o), -EPERM);
}

/* ---- a home ---- */

struct home {
	struct virtio_object *added; /* NULL: none */
	unsigned lookups;
	int err;
	bool is_open;
};

static bool home_is_open(void *owner)
{
	return ((struct home *)owner)->is_open;
}

static int home_add(void *owner, const struct virtio_object *o)
{
	struct home *h = owner;

	assert_null(h->added);
	if (!h->err)
		h->added = (struct virtio_object *)(uintptr_t)o;
	return h->err;
}

static void home_remove(void *owner, const struct virtio_object *o)
{
	struct home *h = owner;

	assert_ptr_equal(h->added, o);
	h->added = NULL;
}

static int home_look_up(void *owner, const uint8_t uuid[VIRTIO_UUID_BYTES])
{
	struct home *h = owner;

	h->lookups++;
	return h->added && memcmp(h->added->uuid, uuid, VIRTIO_UUID_BYTES) == 0 ? dup(h->added->fd) : -ENOENT;
}

static const struct virtio_objects_home_ops home_ops = {home_is_open, home_add, home_look_up, home_remove};

static void others_are_found_through_a_home(void **state)
{
	const struct virtio_object_shape shape = {.order = "BGRX", .width = 8, .height = 4, .stride_bytes = 32};
	const struct iovec page = {&(char[16]){0}, 16};
	struct home h = {.err = -ENOSPC};
	struct virtio_object *o, *pages, *found, *again;
	struct virtio_objects *ours, *theirs;

	(void)state;
	assert_false(virtio_objects_are_shared(NULL));
	assert_int_equal(virtio_objects_create(&ours), 0);
	assert_int_equal(virtio_objects_create(&theirs), 0);
	assert_true(virtio_objects_are_shared(ours));
	virtio_objects_set_home(ours, &home_ops, &h, NULL);
	virtio_objects_set_home(theirs, &home_ops, &h, NULL);
	assert_false(virtio_objects_are_shared(ours));
	h.is_open = true;
	assert_true(virtio_objects_are_shared(ours));
	assert_int_equal(virtio_object_create(&shape, 128, &o), 0);
	assert_int_equal(virtio_object_create_on(&page, 1, &pages), 0);
	/* What the home refuses is not there. */
	assert_int_equal(virtio_objects_publish(ours, o, name), -ENOSPC);
	assert_null(virtio_objects_find(ours, name));
	virtio_objects_withdraw(ours, o);
	h.err = 0;
	o->is_write_only = true;
	assert_int_equal(virtio_objects_publish(ours, pages, name), -EFAULT);
	assert_int_equal(virtio_objects_publish(ours, o, name), 0);
	h.lookups = 0;
	found = virtio_objects_find(ours, name);
	assert_ptr_equal(found, o);
	virtio_object_put(found);
	assert_int_equal(h.lookups, 0);
	found = virtio_objects_find(theirs, name);
	assert_int_equal(h.lookups, 1);
	assert_non_null(found);
	assert_ptr_not_equal(found, o);
	assert_true(found->is_write_only);
	assert_memory_equal(found->uuid, name, sizeof(name));
	/* A codec has thousands: none keeps a descriptor, but for who shares it again. */
	assert_int_equal(found->fd, -1);
	again = virtio_objects_find_again(theirs, name);
	assert_non_null(again);
	assert_true(again->fd >= 0);
	virtio_object_put(again);
	again = virtio_objects_find_again(ours, name);
	assert_ptr_equal(again, o);
	assert_true(o->fd >= 0);
	virtio_object_put(again);
	virtio_objects_withdraw(ours, o);
	assert_null(h.added);
	virtio_objects_set_home(ours, NULL, NULL, NULL);
	virtio_objects_set_home(theirs, NULL, NULL, NULL);
	virtio_object_put(o);
	virtio_object_put(pages);
	/* It is in use there. */
	memset(found->pieces[0].iov_base, 1, 128);
	virtio_object_put(found);
	virtio_objects_destroy(ours);
	virtio_objects_destroy(theirs);
}

/* ---- guest pages ---- */

enum { GUEST_BYTES = 8192 };

/* 8 KiB at 0x1000, and as many right behind them in another region; both at @host. */
static struct guest_mem *guest_at(uint8_t *host)
{
	struct guest_mem *mem;

	assert_int_equal(guest_mem_create(&mem), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct guest_mem_region r = {.gpa = 0x1000 + i * GUEST_BYTES,
						   .size_bytes = GUEST_BYTES,
						   .host = host + (size_t)(1 - i) * GUEST_BYTES,
						   .fd = -1};

		assert_int_equal(guest_mem_add(mem, &r), 0);
	}
	return mem;
}

/* They are the same memory at another place; here they stand for themselves. */
static void guest_pages_are_found_where_the_other_has_them(void **state)
{
	static uint8_t here[2 * GUEST_BYTES], there[2 * GUEST_BYTES];
	struct guest_mem *ours_mem = guest_at(here), *theirs_mem = guest_at(there);
	struct home h = {.is_open = true};
	/* The end of the second region and the beginning of the first are one piece here, and apart for the guest. */
	const struct iovec pieces[2] = {{here + GUEST_BYTES - 16, 48}, {here + 100, 8}}, stranger = {&h, 1};
	struct virtio_object *o, *bad, *found;
	struct virtio_objects *ours, *theirs;

	(void)state;
	assert_int_equal(virtio_objects_create(&ours), 0);
	assert_int_equal(virtio_objects_create(&theirs), 0);
	virtio_objects_set_home(ours, &home_ops, &h, ours_mem);
	virtio_objects_set_home(theirs, &home_ops, &h, theirs_mem);
	assert_int_equal(virtio_object_create_on(&stranger, 1, &bad), 0);
	assert_int_equal(virtio_objects_publish(ours, bad, name), -EFAULT);
	virtio_object_put(bad);
	assert_int_equal(virtio_object_create_on(pieces, 2, &o), 0);
	assert_int_equal(virtio_objects_publish(ours, o, name), 0);
	found = virtio_objects_find(theirs, name);
	assert_non_null(found);
	assert_int_equal(found->bytes, 56);
	assert_int_equal(found->piece_count, 3);
	assert_ptr_equal(found->pieces[0].iov_base, there + GUEST_BYTES - 16);
	assert_int_equal(found->pieces[0].iov_len, 16);
	assert_ptr_equal(found->pieces[1].iov_base, there + GUEST_BYTES);
	assert_int_equal(found->pieces[1].iov_len, 32);
	assert_ptr_equal(found->pieces[2].iov_base, there + 100);
	assert_int_equal(found->shape.order[0], 0);
	virtio_object_put(found);
	/* Whoever has the list can't change it. */
	assert_int_equal(pwrite(o->fd, "x", 1, 0), -1);
	virtio_objects_withdraw(ours, o);
	virtio_object_put(o);
	virtio_objects_destroy(ours);
	virtio_objects_destroy(theirs);
	guest_mem_destroy(ours_mem);
	guest_mem_destroy(theirs_mem);
}

static int list_of(const uint64_t *words, unsigned count, unsigned room)
{
	const struct tail t = {.magic = 0x4a424f4d, .flags = 2, .bytes = 16};
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(pwrite(fd, words, count * sizeof(*words), 0), count * sizeof(*words));
	assert_int_equal(pwrite(fd, &t, sizeof(t), room), sizeof(t));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	return fd;
}

static void only_guest_memory_is_taken_for_pages(void **state)
{
	static uint8_t here[2 * GUEST_BYTES];
	static const uint64_t good[] = {0x1000, 16, 0x3000, 8};
	static const uint64_t bad[][2] = {{0xfff, 16},		{0x2ff8, 16}, {0x1000, 0}, {0x1000, UINT64_MAX},
					  {UINT64_MAX - 7, 16}, {0, 16},      {0x5000, 1}};
	struct guest_mem *mem = guest_at(here);
	struct virtio_object *o;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (virtio_object_import(list_of(bad[i], 2, 16), mem, &o) != -EINVAL)
			fail_msg("list %u is taken", i);
	}
	assert_int_equal(virtio_object_import(list_of(good, 4, 32), NULL, &o), -EINVAL);
	assert_int_equal(virtio_object_import(list_of(good, 3, 24), mem, &o), -EINVAL);
	assert_int_equal(virtio_object_import(list_of(good, 1, 8), mem, &o), -EINVAL);
	/* More than there can be. */
	assert_int_equal(virtio_object_import(list_of(good, 4, 16 * 262145), mem, &o), -EINVAL);
	assert_int_equal(virtio_object_import(list_of(good, 4, 32), mem, &o), 0);
	assert_int_equal(o->bytes, 24);
	assert_ptr_equal(o->pieces[1].iov_base, here);
	virtio_object_put(o);
	guest_mem_destroy(mem);
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
	assert_int_equal(virtio_objects_publish(t, o, name), 0);
	assert_null(virtio_objects_find(t, other));
	/* Under one name, and once. */
	assert_int_equal(virtio_objects_publish(t, o, other), -EEXIST);
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
		assert_int_equal(virtio_objects_publish(t, o, name), 0);
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
		cmocka_unit_test(huge_pages_are_no_object),
		cmocka_unit_test(others_are_found_through_a_home),
		cmocka_unit_test(guest_pages_are_found_where_the_other_has_them),
		cmocka_unit_test(only_guest_memory_is_taken_for_pages),
		cmocka_unit_test(an_object_is_found_while_it_is_published),
		cmocka_unit_test(threads_may_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
