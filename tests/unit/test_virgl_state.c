// SPDX-License-Identifier: MIT
/*
 * What a context held comes out of the journal as a stream: the last of each state, the objects that live, and nothing that
 * refers to what is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-drivers/bare/virgl.h"
#include "host/base/log.h"
#include "host/gpu/content.h"
#include "host/gpu/virgl_state.h"
#include "tests/lib/journal_open.h"

#define CONTEXT 9u
#define WORDS 65536u

static struct {
	int fd;
	struct journal *journal;
	struct gpu_resource_table *resources;
	struct gpu_content *content;
	struct virgl_state *state;
	struct virgl_stream stream;
	struct virgl_encoder encoder;
	uint32_t words[WORDS];
} w;

static void open_process(void)
{
	assert_int_equal(journal_open(w.fd, &w.journal), 0);
	assert_int_equal(gpu_content_create(w.journal, w.resources, &w.content), 0);
	assert_int_equal(virgl_state_create(w.journal, w.content, &w.state), 0);
}

static void close_process(void)
{
	virgl_state_destroy(w.state);
	gpu_content_destroy(w.content);
	journal_close(w.journal);
}

static int setup(void **state)
{
	(void)state;
	log_set_levels("error");
	memset(&w, 0, sizeof(w));
	w.fd = journal_memfd(JOURNAL_MIN_BYTES * 4);
	assert_true(w.fd >= 0);
	assert_int_equal(gpu_resource_table_create(&gpu_limits_default, &w.resources), 0);
	virgl_encoder_init(&w.encoder, w.words, WORDS);
	open_process();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_process();
	while (gpu_resource_first(w.resources))
		gpu_resource_remove(w.resources, gpu_resource_first(w.resources));
	gpu_resource_table_destroy(w.resources);
	close(w.fd);
	return 0;
}

static struct gpu_resource *resource(uint32_t id)
{
	const struct journal_key key = {GPU_RECORD_ATTACHMENT, {CONTEXT, id}};
	struct gpu_resource *res;

	assert_int_equal(gpu_resource_add(w.resources, id, 0, &res), 0);
	res->kind = GPU_RESOURCE_3D;
	res->shape = (struct gpu_resource_shape){
		.target = 2, .width = 16, .height = 16, .depth = 1, .array_size = 1, .last_level = 2};
	assert_int_equal(journal_put(w.journal, &key, NULL, 0), 0);
	journal_commit(w.journal, 0);
	return res;
}

/* As the renderer does. */
static void submit(void)
{
	struct virgl_stream before = w.stream;

	assert_false(w.encoder.failed);
	assert_int_equal(virgl_stream_check(&w.stream, w.words, w.encoder.used), 0);
	virgl_state_record(w.state, CONTEXT, &before, w.words, w.encoder.used);
	assert_int_equal(before.current, w.stream.current);
	journal_commit(w.journal, 0);
	virgl_encoder_init(&w.encoder, w.words, WORDS);
}

/* Words of the context as a new process finds it, by way of a text: commands and their first words. */
static const char *rebuilt(void)
{
	static char text[8192];
	struct virgl_stream stream = {0};
	uint32_t *words = NULL;
	size_t count = 0, used = 0;

	close_process();
	open_process();
	assert_int_equal(virgl_state_build(w.journal, CONTEXT, &words, &count), 0);
	assert_int_equal(virgl_stream_check(&stream, words, count), 0);
	text[0] = '\0';
	for (size_t at = 0; at < count; at += 1 + (words[at] >> 16)) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u", at ? " " : "", words[at] & 0xff);
		for (size_t i = 1; i <= words[at] >> 16 && i <= 4; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%c%u", i == 1 ? ':' : ',',
						 words[at + i]);
	}
	free(words);
	return text;
}

static void nothing_comes_of_nothing(void **state)
{
	(void)state;
	assert_string_equal(rebuilt(), "");
	submit();
	assert_string_equal(rebuilt(), "");
}

static void last_state_counts(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		const uint32_t values[2] = {i, i + 1};

		virgl_set_constants(&w.encoder, PIPE_SHADER_VERTEX, values, 2);
		virgl_set_sample_mask(&w.encoder, i);
	}
	virgl_set_constants(&w.encoder, PIPE_SHADER_FRAGMENT, (const uint32_t[]){5}, 1);
	submit();
	virgl_set_sample_mask(&w.encoder, 77);
	submit();
	assert_string_equal(rebuilt(), "28:0 12:0,0,1999,2000 12:1,0,5 24:77 28:0");
}

static void destroyed_objects_are_gone(void **state)
{
	(void)state;
	resource(3);
	virgl_create_dsa(&w.encoder, 1, &virgl_dsa_off);
	virgl_create_dsa(&w.encoder, 2, &virgl_dsa_off);
	virgl_bind_object(&w.encoder, VIRGL_OBJECT_DSA, 2);
	virgl_create_surface(&w.encoder, 4, 3, 1, 0, 0, 0);
	virgl_create_surface(&w.encoder, 5, 3, 1, 1, 0, 0);
	virgl_set_framebuffer(&w.encoder, (const uint32_t[]){4, 5}, 2, 0);
	submit();
	assert_string_equal(rebuilt(), "28:0 1:1,28,0,0 1:2,28,0,0 1:4,3,1,0 1:5,3,1,1 2:2 5:2,0,4,5 28:0");
	/* What is bound to them is bound to nothing. */
	virgl_destroy_object(&w.encoder, VIRGL_OBJECT_DSA, 2);
	virgl_destroy_object(&w.encoder, VIRGL_OBJECT_SURFACE, 4);
	submit();
	assert_string_equal(rebuilt(), "28:0 1:1,28,0,0 1:5,3,1,1 2:0 5:2,0,0,5 28:0");
}

static void objects_of_missing_resources_are_left_out(void **state)
{
	const struct virgl_vertex_buffer buffers[2] = {{16, 0, 3}, {8, 4, 7}};

	(void)state;
	resource(3);
	virgl_create_surface(&w.encoder, 4, 3, 1, 0, 0, 0);
	virgl_create_surface(&w.encoder, 5, 7, 1, 0, 0, 0);
	virgl_create_texture_view(&w.encoder, 6, 7, 1);
	virgl_set_sampler_views(&w.encoder, 1, 0, (const uint32_t[]){6, 4}, 2);
	virgl_set_vertex_buffers(&w.encoder, buffers, 2);
	virgl_set_index_buffer(&w.encoder, 7, 2, 0);
	virgl_set_uniform_buffer(&w.encoder, 1, 2, 7, 0, 64);
	submit();
	assert_string_equal(rebuilt(), "28:0 1:4,3,1,0 10:1,0,0,4 6:16,0,3,8 27:1,2,0,64 28:0");
}

static void states_that_overlap_keep_their_order(void **state)
{
	(void)state;
	for (uint32_t handle = 1; handle <= 4; handle++)
		virgl_create_sampler_state(&w.encoder, handle, &virgl_sampler_nearest);
	virgl_bind_sampler_states(&w.encoder, 1, 0, (const uint32_t[]){1, 2}, 2);
	virgl_bind_sampler_states(&w.encoder, 1, 1, (const uint32_t[]){3}, 1);
	submit();
	virgl_bind_sampler_states(&w.encoder, 1, 0, (const uint32_t[]){4, 4}, 2);
	submit();
	assert_non_null(strstr(rebuilt(), "18:1,1,3 18:1,0,4,4"));
	/* Also within one submission. */
	virgl_bind_sampler_states(&w.encoder, 1, 0, (const uint32_t[]){1, 2}, 2);
	virgl_bind_sampler_states(&w.encoder, 1, 1, (const uint32_t[]){3}, 1);
	virgl_bind_sampler_states(&w.encoder, 1, 0, (const uint32_t[]){2, 2}, 2);
	submit();
	assert_non_null(strstr(rebuilt(), "18:1,1,3 18:1,0,2,2"));
}

static void sub_contexts_are_apart(void **state)
{
	(void)state;
	virgl_create_sub_context(&w.encoder, 5);
	virgl_set_sub_context(&w.encoder, 5);
	virgl_create_dsa(&w.encoder, 1, &virgl_dsa_off);
	virgl_set_sample_mask(&w.encoder, 55);
	virgl_create_sub_context(&w.encoder, 6);
	virgl_create_sub_context(&w.encoder, 7); /* current by that */
	virgl_set_sample_mask(&w.encoder, 77);
	virgl_set_sub_context(&w.encoder, 6);
	virgl_set_sample_mask(&w.encoder, 66);
	virgl_set_sub_context(&w.encoder, 99); /* there is none: no change */
	virgl_set_sub_context(&w.encoder, 0);
	virgl_set_sample_mask(&w.encoder, 11);
	virgl_set_sub_context(&w.encoder, 6);
	submit();
	assert_string_equal(rebuilt(), "28:0 24:11 29:5 28:5 1:1,28,0,0 24:55 29:6 28:6 24:66 29:7 28:7 24:77 28:6");
	virgl_destroy_sub_context(&w.encoder, 5);
	virgl_destroy_sub_context(&w.encoder, 6);
	submit();
	assert_string_equal(rebuilt(), "28:0 24:11 29:7 28:7 24:77 28:0");
}

static void long_shader_goes_on(void **state)
{
	char text[4096];
	size_t done;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	virgl_encoder_init(&w.encoder, w.words, 300);
	done = virgl_create_shader_part(&w.encoder, 8, PIPE_SHADER_VERTEX, text, 0);
	submit();
	virgl_encoder_init(&w.encoder, w.words, 300);
	done = virgl_create_shader_part(&w.encoder, 8, PIPE_SHADER_VERTEX, text, done);
	submit();
	/* Two parts are there (the second says where it goes), and the third fits. */
	assert_int_equal(strncmp(rebuilt(), "28:0 1:8,0,4096,", 16), 0);
	assert_non_null(strstr(rebuilt(), " 1:8,0,214748"));
	virgl_create_shader_part(&w.encoder, 8, PIPE_SHADER_VERTEX, text, done);
	virgl_bind_shader(&w.encoder, PIPE_SHADER_VERTEX, 8);
	submit();
	assert_non_null(strstr(rebuilt(), "31:8,0"));
}

static void queries_that_are_asked_for_are_answered(void **state)
{
	const uint32_t stream[] = {
		VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY, 4),
		1,
		0,
		0,
		3,
		VIRGL_HEADER(VIRGL_CCMD_CREATE_OBJECT, VIRGL_OBJECT_QUERY, 4),
		2,
		0,
		0,
		3,
		VIRGL_HEADER(VIRGL_CCMD_BEGIN_QUERY, 0, 1),
		1,
		VIRGL_HEADER(VIRGL_CCMD_END_QUERY, 0, 1),
		1,
		VIRGL_HEADER(VIRGL_CCMD_GET_QUERY_RESULT, 0, 2),
		1,
		1,
		VIRGL_HEADER(VIRGL_CCMD_BEGIN_QUERY, 0, 1),
		2,
	};

	(void)state;
	resource(3);
	memcpy(w.words, stream, sizeof(stream));
	w.encoder.used = sizeof(stream) / 4;
	submit();
	assert_string_equal(rebuilt(), "28:0 1:1,0,0,3 1:2,0,0,3 19:1 20:1 19:2 28:0");
}

static void content_follows_draws_and_transfers(void **state)
{
	const struct virgl_region all = {0, 0, 0, 16, 16, 1};
	struct gpu_resource *target, *texture;

	(void)state;
	target = resource(3);
	texture = resource(4);
	virgl_create_surface(&w.encoder, 5, 3, 1, 1, 0, 0);
	virgl_set_framebuffer(&w.encoder, (const uint32_t[]){5}, 1, 0);
	virgl_transfer(&w.encoder, VIRGL_TRANSFER_TO_HOST, 4, 0, &all, 64, 0, 0);
	submit();
	assert_null(target->levels);
	assert_int_equal(texture->levels[0].place, GPU_PLACE_BACKING);
	virgl_draw_arrays(&w.encoder, PIPE_PRIM_TRIANGLES, 0, 3);
	virgl_copy_region(&w.encoder, 4, 2, 0, 0, 0, 3, 0, &all);
	submit();
	assert_int_equal(target->levels[0].place, GPU_PLACE_NOWHERE);
	assert_int_equal(target->levels[1].place, GPU_PLACE_GPU);
	assert_int_equal(texture->levels[2].place, GPU_PLACE_GPU);
	virgl_inline_write(&w.encoder, 4, 0, &all, 64, 0, w.words, 1024);
	submit();
	assert_int_equal(texture->levels[0].place, GPU_PLACE_GPU);
	/* Read back it is in the backing, too, until the next draw. */
	virgl_transfer(&w.encoder, VIRGL_TRANSFER_FROM_HOST, 4, 0, &all, 64, 0, 0);
	submit();
	assert_int_equal(texture->levels[0].place, GPU_PLACE_BACKING);
}

/* Or each look at what is not committed would take longer than the one before. */
static void changes_of_content_are_committed_now_and_then(void **state)
{
	const struct virgl_region all = {0, 0, 0, 16, 16, 1};
	struct virgl_stream before = {0};
	const uint32_t black[4] = {0};
	uint32_t *words = NULL;
	size_t count;

	(void)state;
	resource(3);
	virgl_create_surface(&w.encoder, 5, 3, 1, 0, 0, 0);
	virgl_set_framebuffer(&w.encoder, (const uint32_t[]){5}, 1, 0);
	submit();
	for (unsigned i = 0; i < 1000; i++) {
		virgl_transfer(&w.encoder, VIRGL_TRANSFER_TO_HOST, 3, 0, &all, 64, 0, 0);
		virgl_clear(&w.encoder, PIPE_CLEAR_COLOR0, black, VIRGL_DOUBLE_1, 0);
	}
	assert_false(w.encoder.failed);
	virgl_state_record(w.state, CONTEXT, &before, w.words, w.encoder.used);
	assert_true(journal_pending(w.journal) < 200);
	/* As long as the rest is not, the context can't be made again. */
	close_process();
	open_process();
	assert_int_equal(virgl_state_build(w.journal, CONTEXT, &words, &count), -ENODATA);
}

/* The library refuses it; nothing is read behind its end all the same. */
static void cut_transfer_is_none(void **state)
{
	struct virgl_stream before = {0};
	uint32_t *cut = malloc(2 * sizeof(*cut));

	(void)state;
	assert_non_null(cut);
	cut[0] = VIRGL_HEADER(VIRGL_CCMD_TRANSFER3D, 0, 1);
	cut[1] = resource(3)->id;
	virgl_state_record(w.state, CONTEXT, &before, cut, 2);
	free(cut);
	assert_int_equal(journal_pending(w.journal), 0);
}

static void too_large_context_is_not_kept(void **state)
{
	uint32_t *words = NULL;
	struct journal_stats stats;
	size_t count;

	(void)state;
	for (uint32_t i = 1; i < 3000; i++) {
		virgl_create_dsa(&w.encoder, i, &virgl_dsa_off);
		if (i % 100 == 0)
			submit();
	}
	close_process();
	open_process();
	assert_int_equal(virgl_state_build(w.journal, CONTEXT, &words, &count), -ENODATA);
	assert_int_equal(virgl_state_build(w.journal, CONTEXT + 1, &words, &count), 0);
	journal_get_stats(w.journal, &stats);
	assert_int_equal(stats.records, 1);
}

/* Commands and records of random words: what comes out is whole commands, or an error. */
static void rubbish_does_no_harm(void **state)
{
	uint64_t random = 3;
	unsigned built = 0;

	(void)state;
	resource(3);
	for (unsigned round = 0; round < 3000; round++) {
		struct virgl_stream before = w.stream, stream = {0};
		uint32_t payload[8], *words = NULL;
		size_t used = 0, count = 0;

		while (used < 200) {
			uint32_t command, length;

			random = random * 6364136223846793005ull + 1442695040888963407ull;
			command = (uint32_t)(random >> 33) % 64;
			length = (uint32_t)(random >> 40) % 16;
			w.words[used] = VIRGL_HEADER(command, (random >> 50) % 12, length);
			for (uint32_t i = 1; i <= length; i++) {
				random = random * 6364136223846793005ull + 1442695040888963407ull;
				w.words[used + i] = (uint32_t)(random >> 60) == 0 ? (uint32_t)(random >> 20)
										  : (uint32_t)(random >> 61);
			}
			used += 1 + length;
		}
		if (virgl_stream_check(&w.stream, w.words, used) == 0)
			virgl_state_record(w.state, CONTEXT, &before, w.words, used);
		if (round % 50 == 0) {
			const struct journal_key key = {(uint16_t)(GPU_RECORD_VIRGL + round / 50 % 17),
							{CONTEXT, 0, round % 4}};

			memcpy(payload, w.words, sizeof(payload));
			assert_int_equal(journal_put(w.journal, &key, payload, round % 32), 0);
		}
		journal_commit(w.journal, 0);
		if (round % 10 != 0)
			continue;
		close_process();
		open_process();
		if (virgl_state_build(w.journal, CONTEXT, &words, &count) == 0) {
			for (size_t at = 0; at < count; at += 1 + (words[at] >> 16))
				assert_true((words[at] >> 16) < count - at);
			built += virgl_stream_check(&stream, words, count) == 0;
			free(words);
		} else {
			/* Somebody forged it: start again. */
			journal_drop_all(w.journal, GPU_RECORD_VIRGL, GPU_RECORD_LAST + 2, NULL, 0);
			journal_commit(w.journal, 0);
			memset(&w.stream, 0, sizeof(w.stream));
		}
	}
	assert_true(built > 50);
}

static void name_object(uint32_t blob_id, uint32_t width)
{
	const uint32_t words[] = {
		VIRGL_HEADER(VIRGL_CCMD_PIPE_RESOURCE_CREATE, 0, VIRGL_WORDS_PIPE_RESOURCE_CREATE),
		2,
		1,
		0,
		width,
		5,
		1,
		1,
		0,
		0,
		0,
		blob_id,
	};

	memcpy(w.words + w.encoder.used, words, sizeof(words));
	w.encoder.used += sizeof(words) / sizeof(words[0]);
}

static void objects_wait_until_they_have_a_resource(void **state)
{
	struct gpu_resource_shape shape;

	(void)state;
	name_object(7, 100);
	name_object(8, 200);
	submit();
	assert_string_equal(rebuilt(), "48:2,1,0,100 48:2,1,0,200");
	name_object(7, 300);
	submit();
	assert_int_equal(virgl_stream_take(&w.stream, 8, &shape), 0);
	virgl_state_taken(w.state, CONTEXT, 8);
	/* One that is not there. */
	virgl_state_taken(w.state, CONTEXT, 9);
	journal_commit(w.journal, 0);
	assert_string_equal(rebuilt(), "48:2,1,0,300");
}

static void forged_objects_are_refused(void **state)
{
	const uint32_t forged[][3] = {
		{VIRGL_HEADER(VIRGL_CCMD_PIPE_RESOURCE_CREATE, 0, 3), 0, 0},
		{VIRGL_HEADER(VIRGL_CCMD_CLEAR, 0, 2), 0, 0},
	};
	const struct journal_key key = {VIRGL_RECORD_WAITING, {CONTEXT, 7}};
	uint32_t *words;
	size_t count;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(journal_put(w.journal, &key, forged[i], sizeof(forged[i])), 0);
		journal_commit(w.journal, 0);
		close_process();
		open_process();
		assert_int_equal(virgl_state_build(w.journal, CONTEXT, &words, &count), -EINVAL);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_comes_of_nothing),
		CASE(last_state_counts),
		CASE(destroyed_objects_are_gone),
		CASE(objects_of_missing_resources_are_left_out),
		CASE(states_that_overlap_keep_their_order),
		CASE(sub_contexts_are_apart),
		CASE(long_shader_goes_on),
		CASE(queries_that_are_asked_for_are_answered),
		CASE(content_follows_draws_and_transfers),
		CASE(changes_of_content_are_committed_now_and_then),
		CASE(cut_transfer_is_none),
		CASE(too_large_context_is_not_kept),
		CASE(rubbish_does_no_harm),
		CASE(objects_wait_until_they_have_a_resource),
		CASE(forged_objects_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
