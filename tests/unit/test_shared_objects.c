// SPDX-License-Identifier: MIT
/* Whose UUIDs they are, what is taken for them, and how many. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/usage.h"
#include "vmm/shared_objects.h"

static const int gpu, video; /* stand for two devices */
static const uint8_t name[16] = {1, 2, 3}, other[16] = {1, 2, 4};

static int memory(int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void one_that_was_added_is_found(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	int fd = memory(F_SEAL_SHRINK), found;
	ino_t is = inode(fd);
	struct shared_objects *t;

	(void)state;
	assert_int_equal(shared_objects_create(&t), 0);
	shared_objects_join(t);
	assert_int_equal(shared_objects_find(t, name), -ENOENT);
	assert_int_equal(shared_objects_add(t, &gpu, name, fd), 0);
	assert_int_equal(shared_objects_find(t, other), -ENOENT);
	found = shared_objects_find(t, name);
	assert_true(found >= 0 && found != fd);
	assert_true(fcntl(found, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(inode(found), is);
	close(found);
	assert_int_equal(shared_objects_remove(t, &gpu, name), 0);
	assert_int_equal(shared_objects_find(t, name), -ENOENT);
	assert_int_equal(shared_objects_remove(t, &gpu, name), -ENOENT);
	assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_SHRINK)), 0);
	assert_int_equal(shared_objects_add(t, &video, other, memory(F_SEAL_SHRINK)), 0);
	shared_objects_destroy(t);
	shared_objects_destroy(NULL);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void a_name_is_its_owners(void **state)
{
	struct shared_objects *t;
	int found;

	(void)state;
	assert_int_equal(shared_objects_create(&t), 0);
	shared_objects_join(t);
	assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_SHRINK)), 0);
	assert_int_equal(shared_objects_add(t, &video, name, memory(F_SEAL_SHRINK)), -EEXIST);
	assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_SHRINK)), -EEXIST);
	assert_int_equal(shared_objects_remove(t, &video, name), -EPERM);
	assert_int_equal(shared_objects_add(t, &video, other, memory(F_SEAL_SHRINK)), 0);
	shared_objects_drop(t, &video);
	assert_int_equal(shared_objects_find(t, other), -ENOENT);
	found = shared_objects_find(t, name);
	assert_true(found >= 0);
	close(found);
	shared_objects_drop(t, &gpu);
	assert_int_equal(shared_objects_find(t, name), -ENOENT);
	shared_objects_destroy(t);
}

static void only_memory_that_stays_is_taken(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	struct shared_objects *t;
	int pipes[2];

	(void)state;
	assert_int_equal(shared_objects_create(&t), 0);
	shared_objects_join(t);
	assert_int_equal(shared_objects_add(t, &gpu, name, -1), -ENOENT);
	assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_GROW)), -EPERM);
	assert_int_equal(pipe(pipes), 0);
	close(pipes[1]);
	assert_int_equal(shared_objects_add(t, &gpu, name, pipes[0]), -EPERM);
	assert_int_equal(shared_objects_add(t, &gpu, name, open("/dev/null", O_RDWR | O_CLOEXEC)), -EPERM);
	assert_int_equal(shared_objects_find(t, name), -ENOENT);
	shared_objects_destroy(t);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

static void there_is_a_limit_for_each(void **state)
{
	unsigned before = usage_count(getpid(), "fd");
	struct shared_objects *t;
	uint8_t uuid[16] = {7};

	(void)state;
	assert_int_equal(shared_objects_create(&t), 0);
	shared_objects_join(t);
	for (unsigned i = 0; i < 1000; i++) {
		memcpy(uuid + 4, &i, sizeof(i));
		assert_int_equal(shared_objects_add(t, &gpu, uuid, memory(F_SEAL_SHRINK)),
				 i < SHARED_OBJECTS_MAX ? 0 : -ENOSPC);
	}
	assert_int_equal(usage_count(getpid(), "fd"), before + SHARED_OBJECTS_MAX);
	assert_int_equal(shared_objects_add(t, &video, name, memory(F_SEAL_SHRINK)), 0);
	memset(uuid + 4, 0, 4);
	assert_int_equal(shared_objects_remove(t, &gpu, uuid), 0);
	assert_int_equal(shared_objects_add(t, &gpu, other, memory(F_SEAL_SHRINK)), 0);
	shared_objects_destroy(t);
	assert_int_equal(usage_count(getpid(), "fd"), before);
}

/* Linux names each buffer that it exports. */
static void nothing_is_kept_that_nobody_looks_for(void **state)
{
	struct shared_objects *t;
	int found;

	(void)state;
	assert_int_equal(shared_objects_create(&t), 0);
	assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_SHRINK)), -ENODEV);
	shared_objects_join(t);
	shared_objects_join(t);
	shared_objects_leave(t);
	assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_SHRINK)), 0);
	shared_objects_leave(t);
	assert_int_equal(shared_objects_add(t, &gpu, other, memory(F_SEAL_SHRINK)), -ENODEV);
	found = shared_objects_find(t, name);
	assert_true(found >= 0);
	close(found);
	shared_objects_destroy(t);
}

static void *find_and_close(void *t)
{
	for (unsigned i = 0; i < 5000; i++) {
		int fd = shared_objects_find(t, name);

		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void threads_may_come_and_go(void **state)
{
	pthread_t threads[3];
	struct shared_objects *t;

	(void)state;
	assert_int_equal(shared_objects_create(&t), 0);
	shared_objects_join(t);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, find_and_close, t), 0);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(shared_objects_add(t, &gpu, name, memory(F_SEAL_SHRINK)), 0);
		assert_int_equal(shared_objects_remove(t, &gpu, name), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	shared_objects_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_was_added_is_found),		 cmocka_unit_test(a_name_is_its_owners),
		cmocka_unit_test(only_memory_that_stays_is_taken),	 cmocka_unit_test(there_is_a_limit_for_each),
		cmocka_unit_test(nothing_is_kept_that_nobody_looks_for), cmocka_unit_test(threads_may_come_and_go),
	};

	return cmocka_run_group_tests_name("shared objects", tests, NULL, NULL);
}
