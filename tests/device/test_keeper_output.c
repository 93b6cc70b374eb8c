// SPDX-License-Identifier: MIT
/* What a worker, and the drivers in it, write to standard output and standard error, as who started the keeper reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/worker_output.h"
#include "tests/device/rings.h"
#include "tests/lib/echo.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/keeper_world.h"

#define FLOOD 20000u
#define TEXT_BYTES (4u << 20)

static char *text;

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

static void say(const char *words)
{
	(void)!write(STDERR_FILENO, words, strlen(words));
}

/* Serve while the first worker does @act, then end, and read what was said. */
static void run(void (*act)(struct keeper_shared *s), enum keeper_mood mood, unsigned lost, unsigned workers)
{
	struct keeper_world w;
	ssize_t n;
	int log;

	keeper_world_begin(&w, &rings[0], mood);
	log = dup(fileno(w.log));
	w.shared->taken_over = act;
	keeper_world_start(&w);
	assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), lost);
	assert_int_equal(keeper_world_serve(&w, 0, 100, NULL), 0);
	assert_int_equal(w.shared->workers, workers);
	assert_int_equal(keeper_world_end(&w), 0);
	n = pread(log, text, TEXT_BYTES - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(log);
}

static void write_escapes(struct keeper_shared *s)
{
	(void)s;
	say("\033]0;owned\a\tfirst\r\n");
	say("\xc2\x9b"
	    "31m\x7f\n");
	printf("by printf\n");
}

static void no_line_commands_a_terminal(void **state)
{
	(void)state;
	run(write_escapes, KEEPER_IN_SANDBOX, 0, 1);
	assert_int_equal(count("\\x1b]0;owned\\x07\tfirst\\x0d\n"), 1);
	assert_int_equal(count("\\xc2\\x9b31m\\x7f\n"), 1);
	assert_int_equal(count("by printf\n"), 1);
	for (const char *p = text; *p; p++)
		assert_true(*p == '\n' || *p == '\t' || (*p >= 0x20 && *p < 0x7f));
}

/* As long as a line may be, and one byte longer. */
static void write_long_lines(struct keeper_shared *s)
{
	char line[514];

	(void)s;
	memset(line, 'x', sizeof(line));
	line[512] = '\n';
	(void)!write(STDERR_FILENO, line, 513);
	line[512] = 'y';
	line[513] = '\n';
	(void)!write(STDERR_FILENO, line, 514);
}

static void a_long_line_is_cut_and_nothing_is_added(void **state)
{
	(void)state;
	run(write_long_lines, KEEPER_WELL, 0, 1);
	assert_int_equal(count("xx\n"), 2);
	assert_int_equal(count("\ny\n"), 1);
	assert_int_equal(count("\n\n"), 0);
}

static void speak_and_die(struct keeper_shared *s)
{
	(void)s;
	say("driver: assertion failed\n");
	say("driver: and its last words");
	kill(getpid(), SIGKILL);
}

static void last_words_are_heard(void **state)
{
	const char *words, *death;

	(void)state;
	run(speak_and_die, KEEPER_WELL, 1, 2);
	words = strstr(text, "driver: assertion failed\ndriver: and its last words\n");
	death = strstr(text, "the worker died");
	assert_true(words && death && words < death);
}

static void flood(struct keeper_shared *s)
{
	char line[64];

	(void)s;
	for (unsigned i = 0; i < FLOOD; i++) {
		snprintf(line, sizeof(line), "flood number %u\n", i);
		say(line);
	}
}

static void flood_and_die(struct keeper_shared *s)
{
	flood(s);
	say("driver: this is why\n");
	kill(getpid(), SIGKILL);
}

static void a_flood_is_held_back_and_the_worker_goes_on(void **state)
{
	(void)state;
	run(flood, KEEPER_IN_SANDBOX, 0, 1);
	assert_true(strstr(text, "flood number 0\n"));
	assert_true(count("flood number") < FLOOD / 10);
	/* At its end, too. */
	assert_true(strstr(text, "lines of a worker were held back"));
}

static void last_words_are_heard_after_a_flood(void **state)
{
	const char *words, *death;

	(void)state;
	run(flood_and_die, KEEPER_WELL, 1, 2);
	assert_true(count("flood number") < FLOOD / 10);
	words = strstr(text, "driver: this is why\n");
	death = strstr(text, "the worker died");
	assert_true(words && death && words < death);
}

static void who_asks_for_all_lines_gets_them(void **state)
{
	(void)state;
	assert_int_equal(log_set_levels("rng:debug"), 0);
	run(flood_and_die, KEEPER_WELL, 1, 2);
	assert_int_equal(log_set_levels(NULL), 0);
	assert_int_equal(count("flood number"), FLOOD);
	assert_true(strstr(text, "flood number 19999\ndriver: this is why\n"));
}

static void close_both(struct keeper_shared *s)
{
	(void)s;
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
}

static void one_that_closes_them_is_served(void **state)
{
	(void)state;
	run(close_both, KEEPER_WELL, 0, 1);
}

/* More than a pipe holds, when all is flushed at its end. */
static void speak_at_the_end(struct keeper_shared *s)
{
	static char held[1u << 20];
	FILE *f = fdopen(dup(STDERR_FILENO), "w");

	(void)s;
	setvbuf(f, held, _IOFBF, sizeof(held));
	for (unsigned i = 0; i < FLOOD; i++)
		fprintf(f, "said at the end: %u\n", i);
}

static void what_it_says_at_its_end_has_room(void **state)
{
	struct keeper_world w;
	ssize_t n;
	int log;

	(void)state;
	keeper_world_begin(&w, &rings[0], KEEPER_WELL);
	log = dup(fileno(w.log));
	w.shared->taken_over = speak_at_the_end;
	keeper_world_start(&w);
	assert_int_equal(keeper_world_serve(&w, 0, 0, NULL), 0);
	/* The keeper's loop is over then: it waits for its worker. */
	kill(w.keeper, SIGTERM);
	assert_int_equal(keeper_world_end_by_itself(&w), 0);
	n = pread(log, text, TEXT_BYTES - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(log);
	assert_true(strstr(text, "said at the end: 0\n") && strstr(text, "said at the end: 19999\n"));
	assert_null(strstr(text, "was killed"));
}

/* Standard error is a pipe that is full: a keeper that waited there would look after no worker. */
static void nobody_waits_for_who_does_not_read(void **state)
{
	const int kept = dup(STDERR_FILENO);
	struct worker_output *o;
	struct loop *loop;
	int ends[2], its;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], text, 4096) > 0)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	assert_int_equal(loop_create("output", &loop), 0);
	assert_int_equal(worker_output_create(loop, &o, &its), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(write(its, "one more\n", 9), 9);
	alarm(20);
	dup2(ends[1], STDERR_FILENO);
	worker_output_read(o);
	worker_output_destroy(o);
	dup2(kept, STDERR_FILENO);
	alarm(0);
	loop_destroy(loop);
	close(its);
	close(ends[0]);
	close(ends[1]);
	close(kept);
}

static int set_up(void **state)
{
	(void)state;
	text = calloc(1, TEXT_BYTES);
	return !text;
}

static int tear_down(void **state)
{
	(void)state;
	free(text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_line_commands_a_terminal),
		cmocka_unit_test(a_long_line_is_cut_and_nothing_is_added),
		cmocka_unit_test(last_words_are_heard),
		cmocka_unit_test(a_flood_is_held_back_and_the_worker_goes_on),
		cmocka_unit_test(last_words_are_heard_after_a_flood),
		cmocka_unit_test(who_asks_for_all_lines_gets_them),
		cmocka_unit_test(one_that_closes_them_is_served),
		cmocka_unit_test(what_it_says_at_its_end_has_room),
		cmocka_unit_test(nobody_waits_for_who_does_not_read),
	};

	return cmocka_run_group_tests_name("keeper output", tests, set_up, tear_down);
}
