// SPDX-License-Identifier: MIT
/*
 * Who waits for the result of a query that will not be executed gets one: that of the newest query with the handle, from the
 * next process as well, and whatever a submission holds that costs no more than the queries that are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/gpu/renderer.h"
#include "host/gpu/virgl_queries.h"
#include "host/gpu/virgl_state.h"
#include "host/gpu/virgl_stream.h"
#include "protocol/virgl.h"
#include "tests/lib/journal_open.h"

#define CONTEXT 9u
#define WORDS (1u << 20) /* of the largest submission */

static struct {
	int fd;
	struct renderer_config config;
	struct log_limit log_limit;
	struct virgl_queries queries;
	struct virgl_stream stream;
	uint32_t words[WORDS];
	size_t count;
	unsigned given;
	uint32_t last; /* resource */
} w;

static void query_lost(void *owner, uint32_t ctx_id, uint32_t resource_id)
{
	assert_ptr_equal(owner, &w);
	assert_int_equal(ctx_id, CONTEXT);
	w.given++;
	w.last = resource_id;
}

static void begin(size_t journal_bytes)
{
	log_set_levels("error");
	memset(&w, 0, sizeof(w));
	w.fd = journal_memfd(journal_bytes);
	assert_true(w.fd >= 0);
	w.config = (struct renderer_config){.query_lost = query_lost, .log_limit = &w.log_limit, .owner = &w};
	assert_int_equal(journal_open(w.fd, &w.config.journal), 0);
}

static void end(void)
{
	virgl_queries_finish(&w.queries);
	journal_close(w.config.journal);
	close(w.fd);
}

/* The context is lost there, too. */
static void next_process(void)
{
	journal_commit(w.config.journal, 0);
	virgl_queries_finish(&w.queries);
	journal_close(w.config.journal);
	assert_int_equal(journal_open(w.fd, &w.config.journal), 0);
	virgl_queries_lose(&w.queries, &w.config, CONTEXT);
	journal_restored(w.config.journal);
}

static void make(uint32_t handle, uint32_t resource)
{
	const uint32_t command[1 + VIRGL_WORDS_CREATE_QUERY] = {
		VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY, VIRGL_WORDS_CREATE_QUERY), handle, 0, 0,
		resource};

	memcpy(w.words + w.count, command, sizeof(command));
	w.count += 1 + VIRGL_WORDS_CREATE_QUERY;
}

static void ask(uint32_t handle)
{
	w.words[w.count++] = VIRGL_HEADER(VIRGL_CCMD_GET_QUERY_RESULT, 0, 1);
	w.words[w.count++] = handle;
}

/* It was executed (0), or not. */
static void submitted(int err)
{
	w.stream.queries = true;
	virgl_queries_follow(&w.queries, &w.config, CONTEXT, &w.stream, err, w.words, w.count);
	w.count = 0;
}

/* The resource of the query that it gives a result to; 0: none. */
static uint32_t asked(uint32_t handle)
{
	w.last = 0;
	ask(handle);
	submitted(-ENOTRECOVERABLE);
	return w.last;
}

static void newest_of_a_handle_counts(void **state)
{
	(void)state;
	begin(JOURNAL_MIN_BYTES);
	assert_int_equal(asked(1), 0);
	make(1, 10);
	make(2, 20);
	make(1, 11);
	submitted(0);
	assert_int_equal(w.given, 0);
	assert_int_equal(asked(1), 11);
	assert_int_equal(asked(2), 20);
	assert_int_equal(asked(3), 0);
	end();
}

static void next_process_knows_them(void **state)
{
	(void)state;
	begin(1u << 20);
	make(1, 10);
	submitted(0);
	virgl_queries_lose(&w.queries, &w.config, CONTEXT);
	make(2, 20);
	submitted(-ENOTRECOVERABLE);
	for (unsigned death = 0; death < 3; death++) {
		next_process();
		assert_int_equal(asked(1), 10);
		assert_int_equal(asked(2), 20);
	}
	end();
}

static void record(uint16_t type, uint32_t sub, uint32_t handle, const uint32_t *command, size_t bytes)
{
	const struct journal_key key = {type, {CONTEXT, sub, handle}};

	assert_int_equal(journal_put(w.config.journal, &key, command, bytes), 0);
	journal_commit(w.config.journal, 0);
}

/* As virgl_state.c records it: of two sub-contexts with the same handle one waits, and one handle is no query's. */
static void what_was_asked_for_is_given_by_the_next_process(void **state)
{
	const uint32_t asked[2] = {VIRGL_HEADER(VIRGL_CCMD_GET_QUERY_RESULT, 0, 1), 1};

	(void)state;
	begin(JOURNAL_MIN_BYTES);
	make(1, 10);
	record(VIRGL_RECORD_OBJECT, 0, 1, w.words, w.count * sizeof(uint32_t));
	w.words[4] = 20;
	record(VIRGL_RECORD_OBJECT, 5, 1, w.words, w.count * sizeof(uint32_t));
	w.words[0] = VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_SURFACE, VIRGL_WORDS_CREATE_QUERY);
	record(VIRGL_RECORD_OBJECT, 5, 2, w.words, w.count * sizeof(uint32_t));
	record(VIRGL_RECORD_OBJECT, 5, 3, w.words, sizeof(uint32_t));
	record(VIRGL_RECORD_QUERY_ASKED, 0, 1, asked, sizeof(asked));
	for (uint32_t handle = 2; handle < 5; handle++)
		record(VIRGL_RECORD_QUERY_ASKED, 5, handle, asked, sizeof(asked));
	journal_close(w.config.journal);
	assert_int_equal(journal_open(w.fd, &w.config.journal), 0);
	virgl_queries_restore(&w.queries, &w.config, CONTEXT);
	assert_int_equal(w.given, 1);
	assert_int_equal(w.last, 10);
	end();
}

/* More than the journal would take if it were given all of them: those that are known afterwards are there. */
static void submission_of_many_leaves_the_newest(void **state)
{
	const uint32_t many = 5 * VIRGL_QUERIES + 100;
	struct journal_stats stats;

	(void)state;
	begin(1u << 20);
	virgl_queries_lose(&w.queries, &w.config, CONTEXT);
	for (uint32_t i = 1; i <= many; i++)
		make(i, i + 1000000);
	submitted(-ENOTRECOVERABLE);
	assert_true(journal_pending(w.config.journal) <= VIRGL_QUERIES);
	for (unsigned death = 0; death < 2; death++) {
		assert_int_equal(asked(many), many + 1000000);
		assert_int_equal(asked(many - VIRGL_QUERIES + 1), many - VIRGL_QUERIES + 1 + 1000000);
		assert_int_equal(asked(many - VIRGL_QUERIES), 0);
		next_process();
	}
	journal_get_stats(w.config.journal, &stats);
	assert_int_equal(stats.records, VIRGL_QUERIES);
	end();
}

static void submission_gives_as_many_results_as_there_are_queries(void **state)
{
	(void)state;
	begin(JOURNAL_MIN_BYTES);
	for (uint32_t i = 1; i <= VIRGL_QUERIES; i++)
		make(i, i);
	submitted(0);
	for (uint32_t i = 1; i <= VIRGL_QUERIES; i++)
		ask(i);
	submitted(-EINVAL);
	assert_int_equal(w.given, VIRGL_QUERIES);
	/* The oldest, which is found last. */
	while (w.count < WORDS)
		ask(1);
	submitted(-EINVAL);
	assert_int_equal(w.given, 2 * VIRGL_QUERIES);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_of_a_handle_counts),
		cmocka_unit_test(next_process_knows_them),
		cmocka_unit_test(what_was_asked_for_is_given_by_the_next_process),
		cmocka_unit_test(submission_of_many_leaves_the_newest),
		cmocka_unit_test(submission_gives_as_many_results_as_there_are_queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
