// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/log.h"

static char text[8192];

/* What @fn writes to standard error, in text. */
static void capture(void (*fn)(void *arg), void *arg)
{
	int saved = dup(STDERR_FILENO);
	int file = memfd_create("stderr", MFD_CLOEXEC);
	ssize_t n;

	assert_true(saved >= 0 && file >= 0);
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	fn(arg);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	n = pread(file, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	close(file);
	close(saved);
}

static unsigned line_count(void)
{
	unsigned n = 0;

	for (const char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

static int result;

static void set_levels(void *arg)
{
	result = log_set_levels(arg);
}

static void levels_are_set_by_topic_and_for_all(void **state)
{
	(void)state;
	assert_int_equal(log_set_levels(NULL), 0);
	assert_true(log_enabled(LOG_TOPIC_GPU, LOG_INFO));
	assert_false(log_enabled(LOG_TOPIC_GPU, LOG_DEBUG));
	assert_int_equal(log_set_levels("debug"), 0);
	assert_true(log_enabled(LOG_TOPIC_NET, LOG_DEBUG));
	assert_false(log_enabled(LOG_TOPIC_NET, LOG_TRACE));
	/* In any order. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(log_set_levels(i ? "gpu:trace,error" : "error,gpu:trace"), 0);
		assert_true(log_enabled(LOG_TOPIC_GPU, LOG_TRACE));
		assert_true(log_enabled(LOG_TOPIC_BLOCK, LOG_ERROR));
		assert_false(log_enabled(LOG_TOPIC_BLOCK, LOG_WARN));
	}
	assert_int_equal(log_set_levels("gpu:debug,vmm:error,"), 0);
	assert_true(log_enabled(LOG_TOPIC_GPU, LOG_DEBUG));
	assert_false(log_enabled(LOG_TOPIC_VMM, LOG_WARN));
	assert_true(log_enabled(LOG_TOPIC_RNG, LOG_INFO));
	assert_int_equal(log_set_levels(""), 0);
	assert_true(log_enabled(LOG_TOPIC_VMM, LOG_INFO));
}

static void wrong_words_are_named(void **state)
{
	static const struct {
		const char *spec;
		const char *word;
	} wrong[] = {
		{ "loud", "'loud'" },         { "gpu:", "''" },           { "gpu:loud", "'loud'" },
		{ "cpu:debug", "'cpu'" },     { ":debug", "''" },         { "gpu", "'gpu'" },
		{ "debug,gpu:x", "'x'" },     { "debugg", "'debugg'" },   { "debug gpu:debug", "'debug gpu'" },
	};

	(void)state;
	assert_int_equal(log_set_levels("error"), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char spec[64];

		snprintf(spec, sizeof(spec), "%s", wrong[i].spec);
		capture(set_levels, spec);
		assert_int_equal(result, -EINVAL);
		assert_non_null(strstr(text, wrong[i].word));
		assert_int_equal(line_count(), 1);
		/* Nothing was changed. */
		assert_false(log_enabled(LOG_TOPIC_GPU, LOG_WARN));
	}
	assert_int_equal(log_set_levels(NULL), 0);
}

static void one_line(void *arg)
{
	log_line(LOG_TOPIC_GPU, LOG_INFO, "scanout %d: %s", 1, (const char *)arg);
	log_line(LOG_TOPIC_GPU, LOG_DEBUG, "not shown");
}

static void a_line_begins_with_its_topic(void **state)
{
	char message[] = "no resource 7";

	(void)state;
	capture(one_line, message);
	assert_string_equal(text, "gpu: scanout 1: no resource 7\n");
}

static void a_line_stays_one_line(void **state)
{
	char wild[] = "a\nb\033[2J\177";
	char long_text[2000];

	(void)state;
	capture(one_line, wild);
	assert_string_equal(text, "gpu: scanout 1: a?b?[2J?\n");
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = 0;
	capture(one_line, long_text);
	assert_int_equal(line_count(), 1);
	assert_in_range(strlen(text), 200, 512);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

static void many(void *arg)
{
	for (int i = 0; i < 1000; i++)
		log_guest(LOG_TOPIC_BLOCK, arg, "bad request %d", i);
}

static void a_guest_cannot_flood_the_log(void **state)
{
	struct log_limit limit = { 0 };

	(void)state;
	capture(many, &limit);
	/* One more if a second passes meanwhile. */
	assert_in_range(line_count(), 10, 12);
	assert_non_null(strstr(text, "block: bad request 0\n"));
	assert_in_range(limit.held_back, 1, 990);
}

static void a_second_later(void *arg)
{
	struct log_limit *limit = arg;

	/* As if a second had passed. */
	limit->last_ns -= 1000000000ull;
	log_guest(LOG_TOPIC_BLOCK, limit, "again");
	log_guest(LOG_TOPIC_BLOCK, limit, "not shown");
}

static void lines_held_back_are_counted(void **state)
{
	struct log_limit limit = { 0 };

	(void)state;
	capture(many, &limit);
	limit.held_back = 990;
	capture(a_second_later, &limit);
	assert_string_equal(text, "block: again (990 like it held back)\n");
	assert_int_equal(limit.held_back, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_set_by_topic_and_for_all),
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(a_line_begins_with_its_topic),
		cmocka_unit_test(a_line_stays_one_line),
		cmocka_unit_test(a_guest_cannot_flood_the_log),
		cmocka_unit_test(lines_held_back_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
