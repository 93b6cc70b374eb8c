// SPDX-License-Identifier: MIT
/*
 * A context is lost, by a death or by what it sent: who waits for the result of one of its queries gets one all the same, since
 * a guest's driver waits for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "host/gpu/virgl_state.h"
#include "host/virtio/journal.h"
#include "protocol/virgl.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/gpu3d_deaths.h"
#include "tests/lib/gpu3d_test.h"
#include "tests/lib/journal_open.h"

/* What the processes of a case share besides guest memory and journal. */
static struct shared {
	struct gpu3d_resource results[2];
} *shared;

static struct gpu3d *t;

static void first(void (*work)(void))
{
	gpu3d_process(&t, true, true, work);
}

static void next(void (*work)(void))
{
	gpu3d_process(&t, false, true, work);
}

static int setup(void **state)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? -1 : gpu3d_deaths_setup(state);
}

static int teardown(void **state)
{
	munmap(shared, sizeof(*shared));
	return gpu3d_deaths_teardown(state);
}

static void use_two_contexts(void)
{
	gpu3d_require(gpu3d_context(t, 2, 0) == OK, "a second context");
	gpu3d_require(gpu3d_draws(t, 100), "drawing");
	t->ctx = 2;
	gpu3d_require(gpu3d_draws(t, 200), "drawing in the second");
}

enum { QUERY = 60, WAIT_HOST = 2 }; /* the state that Mesa writes before it asks */

/* The encoder has no queries. */
static void put_words(uint32_t command, uint32_t object, const uint32_t *words, uint32_t count)
{
	t->words[t->stream.used] = VIRGL_HEADER(command, object, count);
	memcpy(t->words + t->stream.used + 1, words, count * sizeof(*words));
	t->stream.used += 1 + count;
}

static void make_query(uint32_t i)
{
	put_words(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY,
		  (const uint32_t[]){QUERY + i, 0, 0, shared->results[i].id}, VIRGL_WORDS_CREATE_QUERY);
}

static void begin_to_wait(uint32_t i)
{
	const struct virgl_query_result none = {.state = WAIT_HOST, .result_bytes = 77, .result = 88};

	memcpy(shared->results[i].pages, &none, sizeof(none));
}

static void ask_for_result(uint32_t i)
{
	begin_to_wait(i);
	put_words(VIRGL_CCMD_BEGIN_QUERY, 0, (const uint32_t[]){QUERY + i}, 1);
	put_words(VIRGL_CCMD_END_QUERY, 0, (const uint32_t[]){QUERY + i}, 1);
	put_words(VIRGL_CCMD_GET_QUERY_RESULT, 0, (const uint32_t[]){QUERY + i, 0}, 2);
}

static void expect_result(uint32_t i)
{
	struct virgl_query_result result;

	memcpy(&result, shared->results[i].pages, sizeof(result));
	gpu3d_require(result.state == VIRGL_QUERY_DONE, "no result: a guest waits for it for ever");
	gpu3d_require(result.result_bytes == 8 && result.result == 0, "another result");
}

static void ask_and_die(void)
{
	use_two_contexts();
	t->ctx = 1;
	for (uint32_t i = 0; i < 2; i++)
		shared->results[i] = gpu3d_buffer(t, QUERY + i, VIRGL_BIND_CUSTOM, 64);
	make_query(0);
	ask_for_result(0);
	gpu3d_require(gpu3d_submit(t) == OK, "a query");
	gpu3d_finish(t);
	/* As if that result had not come in time. */
	begin_to_wait(0);
	begin_to_wait(1);
}

static void ask_a_lost_context(void)
{
	expect_result(0);
	ask_for_result(0);
	gpu3d_require(gpu3d_submit(t) == VIRTIO_GPU_RESP_ERR_UNSPEC, "the lost context still draws");
	expect_result(0);
	make_query(1);
	ask_for_result(1);
	gpu3d_require(gpu3d_submit(t) == VIRTIO_GPU_RESP_ERR_UNSPEC, "the lost context draws again");
	expect_result(1);
}

/* Its queries are known to the one after, too. */
static void ask_it_again(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		ask_for_result(i);
		gpu3d_require(gpu3d_submit(t) == VIRTIO_GPU_RESP_ERR_UNSPEC, "the lost context draws once more");
		expect_result(i);
	}
}

static void who_waits_for_a_query_of_a_lost_context_gets_a_result(void **state)
{
	const struct journal_key key = {VIRGL_RECORD_IN_PART, {1}};
	struct journal *j;

	(void)state;
	first(ask_and_die);
	assert_int_equal(journal_open(gpu3d_deaths.journal_fd, &j), 0);
	assert_int_equal(journal_put(j, &key, NULL, 0), 0);
	journal_commit(j, 0);
	journal_close(j);
	next(ask_a_lost_context);
	next(ask_it_again);
}

static void be_refused_half_way(void)
{
	/* A blend object that virglrenderer refuses: too short. */
	const uint32_t too_short[2] = {77, 0};

	ask_and_die();
	put_words(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_BLEND, too_short, 2);
	make_query(1);
	ask_for_result(0);
	ask_for_result(1);
	gpu3d_require(gpu3d_submit(t) != OK, "the bad command");
	expect_result(0);
	expect_result(1);
	/* Handles that nobody has, and half a command. */
	ask_for_result(0);
	put_words(VIRGL_CCMD_GET_QUERY_RESULT, 0, (const uint32_t[]){12345, 0}, 2);
	put_words(VIRGL_CCMD_GET_QUERY_RESULT, 0, (const uint32_t[]){QUERY + 1}, 1);
	t->words[t->stream.used - 2] |= 7u << 16;
	begin_to_wait(1);
	gpu3d_require(gpu3d_submit(t) != OK, "the context that is lost");
	expect_result(0);
	gpu3d_require(shared->results[1].pages[0] == WAIT_HOST, "half a command was done");
}

static void so_does_who_waits_for_one_that_was_not_executed(void **state)
{
	(void)state;
	first(be_refused_half_way);
}

static void ask_for_what_is_not_its_own(void)
{
	use_two_contexts();
	for (uint32_t i = 0; i < 2; i++) {
		t->ctx = 1 + i;
		shared->results[i] = gpu3d_buffer(t, QUERY + i, VIRGL_BIND_CUSTOM, 64);
	}
	t->ctx = 1;
	put_words(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_BLEND, (const uint32_t[]){77, 0}, 2);
	gpu3d_require(gpu3d_submit(t) != OK, "the bad command");
	for (uint32_t i = 0; i < 2; i++) {
		make_query(i);
		ask_for_result(i);
	}
	gpu3d_require(gpu3d_submit(t) != OK, "the context that is lost");
	expect_result(0);
	gpu3d_require(shared->results[1].pages[0] == WAIT_HOST, "another context's resource was written");
}

static void results_go_to_no_other_contexts_resources(void **state)
{
	(void)state;
	first(ask_for_what_is_not_its_own);
}

static void have_one_result_of_two(void)
{
	ask_and_die();
	make_query(1);
	ask_for_result(1);
	gpu3d_require(gpu3d_submit(t) == OK, "the second query");
	gpu3d_finish(t);
	shared->results[1].pages[8] = 42;
}

static void find_them(void)
{
	gpu3d_finish(t);
	expect_result(0);
	gpu3d_require(shared->results[1].pages[8] == 42, "a result that was there is gone");
}

static void only_a_result_that_is_missing_is_made_up(void **state)
{
	(void)state;
	first(have_one_result_of_two);
	next(find_them);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_waits_for_a_query_of_a_lost_context_gets_a_result),
		CASE(results_go_to_no_other_contexts_resources),
		CASE(only_a_result_that_is_missing_is_made_up),
		CASE(so_does_who_waits_for_one_that_was_not_executed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
