// SPDX-License-Identifier: MIT
/* The host's end of a character device: no writer and no reader may keep the loop to itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "vmm/character.h"

#define FLOOD_NS 1500000000ull
#define TICK_NS 20000000ull

struct end {
	struct loop *loop;
	struct character *character;
	atomic_bool stop;
	unsigned ticks;
	atomic_uint drained;
	uint64_t taken; /* bytes of input */
	bool no_room;	/* for more */
};

static size_t room(void *owner)
{
	const struct end *e = owner;

	return e->no_room ? 0 : 1024;
}

static void input(void *owner, const uint8_t *bytes, size_t n)
{
	struct end *e = owner;

	(void)bytes;
	e->taken += n;
}

static void drained(void *owner)
{
	struct end *e = owner;

	atomic_fetch_add(&e->drained, 1);
}

static void nothing(void *owner)
{
	(void)owner;
}

static const struct character_ops ops = {
	.room = room,
	.input = input,
	.drained = drained,
	.quit = nothing,
	.power_button = nothing,
};

/* Put @path in the place of @fd; returns what restores it. */
static int replace(int fd, const char *path)
{
	int kept = dup(fd), with = open(path, O_RDWR | O_CLOEXEC);

	fflush(NULL);
	assert_true(kept >= 0 && with >= 0 && dup2(with, fd) == fd);
	close(with);
	return kept;
}

static void restore(int fd, int kept)
{
	fflush(NULL);
	dup2(kept, fd);
	close(kept);
}

static void *flood(void *owner)
{
	struct end *e = owner;
	uint64_t until = loop_now_ns() + FLOOD_NS;

	while (!atomic_load(&e->stop) && loop_now_ns() < until)
		for (unsigned i = 0; i < 1000; i++)
			character_write(e->character, 'x');
	return NULL;
}

static void tick(struct loop_timer *t)
{
	struct end *e = t->owner;

	e->ticks++;
}

/* Run the loop until its timer had its turn. Returns how long that took. */
static uint64_t wait_for_tick(struct end *e)
{
	struct loop_timer timer = { .expired = tick, .owner = e };
	uint64_t start = loop_now_ns();

	loop_arm_timer(e->loop, &timer, start + TICK_NS);
	while (!e->ticks)
		assert_int_equal(loop_run_once(e->loop, 1000), 0);
	return loop_now_ns() - start;
}

static void endless_output_leaves_the_loop_its_other_work(void **state)
{
	struct end e = { 0 };
	pthread_t thread;
	uint64_t took;
	int kept;

	(void)state;
	assert_int_equal(loop_create("test", &e.loop), 0);
	kept = replace(STDOUT_FILENO, "/dev/null");
	assert_int_equal(character_create("stdio", e.loop, &ops, &e, &e.character), 0);
	assert_int_equal(pthread_create(&thread, NULL, flood, &e), 0);
	took = wait_for_tick(&e);
	atomic_store(&e.stop, true);
	pthread_join(thread, NULL);
	character_destroy(e.character);
	restore(STDOUT_FILENO, kept);
	loop_destroy(e.loop);
	assert_true(took < FLOOD_NS / 2);
}

static void endless_input_leaves_the_loop_its_other_work(void **state)
{
	struct end e = { 0 };
	uint64_t took;
	int kept;

	(void)state;
	assert_int_equal(loop_create("test", &e.loop), 0);
	kept = replace(STDIN_FILENO, "/dev/zero");
	assert_int_equal(character_create("stdio", e.loop, &ops, &e, &e.character), 0);
	alarm(10);
	took = wait_for_tick(&e);
	alarm(0);
	character_destroy(e.character);
	restore(STDIN_FILENO, kept);
	loop_destroy(e.loop);
	assert_true(took < FLOOD_NS / 2);
	assert_true(e.taken > 0);
}

static void all_output_arrives(void **state)
{
	struct end e = { 0 };
	char path[] = "/tmp/test_character.XXXXXX", bytes[3000];
	int file = mkstemp(path), kept;
	unsigned sent = 0;

	(void)state;
	assert_true(file >= 0);
	assert_int_equal(loop_create("test", &e.loop), 0);
	kept = replace(STDOUT_FILENO, path);
	assert_int_equal(character_create("stdio", e.loop, &ops, &e, &e.character), 0);
	/* Fill it to the brim: it says so, and says when there is room again. */
	while (character_write(e.character, (uint8_t)sent))
		sent++;
	sent++;
	assert_int_equal(e.drained, 0);
	for (unsigned i = 0; i < 20 && !e.drained; i++)
		assert_int_equal(loop_run_once(e.loop, 100), 0);
	assert_int_equal(e.drained, 1);
	for (unsigned i = 0; i < sizeof(bytes); i++, sent++)
		assert_true(character_write(e.character, (uint8_t)sent));
	character_destroy(e.character);
	restore(STDOUT_FILENO, kept);
	loop_destroy(e.loop);
	assert_int_equal(lseek(file, 0, SEEK_END), sent);
	assert_int_equal(pread(file, bytes, sizeof(bytes), sent - (off_t)sizeof(bytes)), sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		assert_int_equal((uint8_t)bytes[i], (uint8_t)(sent - sizeof(bytes) + i));
	close(file);
	unlink(path);
}

static void turn(struct end *e, unsigned times)
{
	while (times--)
		assert_int_equal(loop_run_once(e->loop, 5), 0);
}

/* It didn't read, and the guest waits for room: whether it is missed by the output or by the input first. */
static void a_client_that_leaves_frees_the_guest(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char spec[sizeof(a.sun_path) + 8];

	(void)state;
	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/mullion-character-%d", getpid());
	snprintf(spec, sizeof(spec), "socket:%s", a.sun_path);
	for (unsigned input_first = 0; input_first < 2; input_first++) {
		struct end e = {0};
		int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(loop_create("test", &e.loop), 0);
		assert_int_equal(character_create(spec, e.loop, &ops, &e, &e.character), 0);
		assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
		turn(&e, 2);
		for (unsigned i = 0; i < 1000; i++) {
			while (character_write(e.character, 'x'))
				;
			assert_int_equal(loop_run_once(e.loop, 0), 0);
		}
		while (character_write(e.character, 'x'))
			;
		/* The kernel tells first whom it was asked to tell last. */
		if (input_first) {
			e.no_room = true;
			assert_int_equal(write(client, "a", 1), 1);
			turn(&e, 2);
			e.no_room = false;
			character_resume(e.character);
			turn(&e, 2);
			assert_int_equal(e.taken, 1);
		}
		e.drained = 0;
		close(client);
		turn(&e, 10);
		assert_int_equal(e.drained, 1);
		assert_true(character_write(e.character, 'x'));
		character_destroy(e.character);
		loop_destroy(e.loop);
	}
	unlink(a.sun_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endless_output_leaves_the_loop_its_other_work),
		cmocka_unit_test(endless_input_leaves_the_loop_its_other_work),
		cmocka_unit_test(all_output_arrives),
		cmocka_unit_test(a_client_that_leaves_frees_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
