// SPDX-License-Identifier: MIT
/*
 * Recording. Of a submission's state commands only the last of each kind is put into the journal, at its end: a thousand
 * draws with a constant buffer each are one record.
 */
#include "host/gpu/virgl_state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/gpu/content.h"
#include "host/virtio/journal.h"
#include "protocol/virgl.h"

/* States of one submission that wait to be put; a power of 2, and twice that for their index. */
#define WAITING_MAX 512u
#define INDEX_SIZE (2 * WAITING_MAX)
/* Changes that are not committed are looked for one by one. A submission may be recorded in parts: see below. */
#define PENDING_MAX 128u

struct waiting {
	uint32_t sub, state;
	const uint32_t *command;
};

struct virgl_state {
	struct journal *journal;
	struct gpu_content *content;
	struct log_limit log_limit;
	/* Of the submission at hand. */
	uint32_t ctx_id, sub;
	bool full;	    /* the journal is */
	bool in_part;	    /* some of it counts already */
	bool targets_drawn; /* those of the framebuffer are known to be on the GPU */
	unsigned count;
	struct waiting waiting[WAITING_MAX];
	uint16_t index[INDEX_SIZE]; /* 1 + where in waiting; 0: free */
};

/* Which words make states of one command different ones. */
enum distinction {
	NOT_A_STATE,
	ALL_THE_SAME,
	BY_OBJECT_TYPE,
	BY_WORD_0,
	BY_WORD_1,
	BY_STAGE_AND_INDEX,
	BY_STAGE_START_AND_COUNT,
	BY_START_AND_COUNT,
};

struct state_row {
	uint8_t distinction;
	uint8_t words; /* least */
	uint8_t first; /* ranges: where their elements start */
	uint8_t step;
};

static const struct state_row rows[] = {
	[VIRGL_CCMD_BIND_OBJECT] = {BY_OBJECT_TYPE, 1, 0, 0},
	[VIRGL_CCMD_SET_VIEWPORT_STATE] = {BY_START_AND_COUNT, 1, 1, 6},
	[VIRGL_CCMD_SET_FRAMEBUFFER_STATE] = {ALL_THE_SAME, 2, 0, 0},
	[VIRGL_CCMD_SET_VERTEX_BUFFERS] = {ALL_THE_SAME, 0, 0, 0},
	[VIRGL_CCMD_SET_SAMPLER_VIEWS] = {BY_STAGE_START_AND_COUNT, 2, 2, 1},
	[VIRGL_CCMD_SET_INDEX_BUFFER] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_CONSTANT_BUFFER] = {BY_STAGE_AND_INDEX, 2, 0, 0},
	[VIRGL_CCMD_SET_STENCIL_REF] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_BLEND_COLOR] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_SCISSOR_STATE] = {BY_START_AND_COUNT, 1, 1, 2},
	[VIRGL_CCMD_BIND_SAMPLER_STATES] = {BY_STAGE_START_AND_COUNT, 2, 2, 1},
	[VIRGL_CCMD_SET_POLYGON_STIPPLE] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_CLIP_STATE] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_SAMPLE_MASK] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_STREAMOUT_TARGETS] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_RENDER_CONDITION] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_UNIFORM_BUFFER] = {BY_STAGE_AND_INDEX, 5, 0, 0},
	[VIRGL_CCMD_BIND_SHADER] = {BY_WORD_1, 2, 0, 0},
	[VIRGL_CCMD_SET_TESS_STATE] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_MIN_SAMPLES] = {ALL_THE_SAME, 1, 0, 0},
	[VIRGL_CCMD_SET_SHADER_BUFFERS] = {BY_STAGE_START_AND_COUNT, 2, 2, 3},
	[VIRGL_CCMD_SET_SHADER_IMAGES] = {BY_STAGE_START_AND_COUNT, 2, 2, 5},
	[VIRGL_CCMD_SET_FRAMEBUFFER_STATE_NO_ATTACH] = {ALL_THE_SAME, 2, 0, 0},
	[VIRGL_CCMD_SET_ATOMIC_BUFFERS] = {BY_START_AND_COUNT, 1, 1, 3},
	[VIRGL_CCMD_SET_TWEAKS] = {BY_WORD_0, 2, 0, 0},
};

int virgl_state_create(struct journal *j, struct gpu_content *content, struct virgl_state **out)
{
	struct virgl_state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->journal = j;
	s->content = content;
	*out = s;
	return 0;
}

void virgl_state_destroy(struct virgl_state *s)
{
	free(s);
}

/* ---- records ---- */

static struct journal_key key_of(const struct virgl_state *s, enum virgl_record type, uint32_t second, uint32_t third)
{
	return (struct journal_key){(uint16_t)type, {s->ctx_id, second, third}};
}

static const uint32_t *get(const struct virgl_state *s, enum virgl_record type, uint32_t third, size_t *bytes)
{
	const struct journal_key key = key_of(s, type, s->sub, third);

	return journal_get(s->journal, &key, bytes);
}

static size_t bytes_of(const uint32_t *command)
{
	return (1 + (*command >> 16)) * sizeof(*command);
}

/*
 * A part of a submission may count before the rest, if it is a large one. When the process dies in between, which takes
 * microseconds, its context is lost: it is not known how much to add.
 */
static void make_room(struct virgl_state *s)
{
	const struct journal_key key = {VIRGL_RECORD_IN_PART, {s->ctx_id}};

	if (journal_pending(s->journal) < PENDING_MAX)
		return;
	if (!s->in_part && journal_put(s->journal, &key, NULL, 0) < 0)
		s->full = true;
	s->in_part = true;
	journal_commit(s->journal, 0);
}

static void put2(struct virgl_state *s, const struct journal_key *key, const void *first, size_t first_bytes,
		 const uint32_t *command)
{
	make_room(s);
	if (journal_put2(s->journal, key, first, first_bytes, command, bytes_of(command)) < 0)
		s->full = true;
}

static void put(struct virgl_state *s, enum virgl_record type, uint32_t second, uint32_t third, const uint32_t *command)
{
	const struct journal_key key = key_of(s, type, second, third);

	put2(s, &key, NULL, 0, command);
}

static void drop(struct virgl_state *s, enum virgl_record type, uint32_t third)
{
	const struct journal_key key = key_of(s, type, s->sub, third);
	size_t bytes;

	if (!journal_get(s->journal, &key, &bytes))
		return;
	make_room(s);
	journal_drop(s->journal, &key);
}

/* Half a context can't be made again: keep nothing of it, which makes room to say so. */
static void give_up(struct virgl_state *s)
{
	const struct journal_key key = {VIRGL_RECORD_TOO_LARGE, {s->ctx_id}};

	journal_drop_all(s->journal, GPU_RECORD_VIRGL, GPU_RECORD_LAST, &s->ctx_id, 1);
	journal_commit(s->journal, 0);
	if (journal_put(s->journal, &key, NULL, 0) == 0)
		journal_commit(s->journal, 0);
	log_guest(LOG_TOPIC_GPU, &s->log_limit,
		  "context %u does not fit in the journal: it is lost if the device's process dies", s->ctx_id);
}

/* ---- states that wait ---- */

/* Where @state of the current sub-context is in the index, or a free place for it. */
static uint16_t *place_of(struct virgl_state *s, uint32_t state)
{
	uint32_t at = (state * 2654435761u ^ s->sub * 40503u) >> 7;

	for (;; at++) {
		uint16_t *place = &s->index[at % INDEX_SIZE];

		if (*place == 0 || (s->waiting[*place - 1].state == state && s->waiting[*place - 1].sub == s->sub))
			return place;
	}
}

static int by_place(const void *a, const void *b)
{
	const struct waiting *left = a, *right = b;

	return left->command < right->command ? -1 : 1;
}

/* In the order in which they came: some overlap, and the later ones count. */
static void put_waiting(struct virgl_state *s)
{
	if (s->count == 0)
		return;
	qsort(s->waiting, s->count, sizeof(s->waiting[0]), by_place);
	for (unsigned i = 0; i < s->count; i++)
		put(s, VIRGL_RECORD_STATE, s->waiting[i].sub, s->waiting[i].state, s->waiting[i].command);
	s->count = 0;
	memset(s->index, 0, sizeof(s->index));
}

static void keep_last(struct virgl_state *s, uint32_t state, const uint32_t *command)
{
	uint16_t *place = place_of(s, state);

	if (*place == 0) {
		if (s->count == WAITING_MAX) {
			put_waiting(s);
			place = place_of(s, state);
		}
		s->waiting[s->count] = (struct waiting){.sub = s->sub, .state = state};
		*place = (uint16_t)++s->count;
	}
	s->waiting[*place - 1].command = command;
}

/* A number for the state that @command sets; 0: none. Each of stage, start and count fits in 8 bits, or was refused. */
static uint32_t state_of(uint32_t header, const uint32_t *w, size_t length)
{
	const uint32_t command = header & 0xff;
	const struct state_row *row;
	uint32_t count;

	if (command >= sizeof(rows) / sizeof(rows[0]))
		return 0;
	row = &rows[command];
	if (row->distinction == NOT_A_STATE || length < row->words)
		return 0;
	count = row->step ? (uint32_t)(length - row->first) / row->step & 0xff : 0;
	switch (row->distinction) {
	case BY_OBJECT_TYPE:
		return command << 24 | (header >> 8 & 0xff);
	case BY_WORD_0:
		return command << 24 | (w[0] & 0xffffff);
	case BY_WORD_1:
		return command << 24 | (w[1] & 0xffffff);
	case BY_STAGE_AND_INDEX:
		return command << 24 | (w[0] & 0xff) << 16 | (w[1] & 0xff);
	case BY_STAGE_START_AND_COUNT:
		return command << 24 | (w[0] & 0xff) << 16 | (w[1] & 0xff) << 8 | count;
	case BY_START_AND_COUNT:
		return command << 24 | (w[0] & 0xff) << 8 | count;
	default:
		return command << 24;
	}
}

/* ---- what commands do to content ---- */

static void surface_drawn(struct virgl_state *s, uint32_t handle)
{
	const uint32_t *surface;
	uint32_t type;
	size_t bytes;

	if (handle == 0)
		return;
	surface = get(s, VIRGL_RECORD_OBJECT, handle, &bytes);
	if (!surface || bytes < (1 + VIRGL_WORDS_CREATE_SURFACE) * sizeof(*surface))
		return;
	type = surface[0] >> 8 & 0xff;
	if (type == VIRGL_OBJECT_SURFACE || type == VIRGL_OBJECT_MSAA_SURFACE)
		gpu_content_drawn(s->content, surface[2], surface[4]);
}

/* A draw or clear: what it draws to is on the GPU from now on. */
static void targets_drawn(struct virgl_state *s)
{
	const uint32_t state = VIRGL_CCMD_SET_FRAMEBUFFER_STATE << 24;
	uint16_t place;
	const uint32_t *command;
	size_t bytes;

	if (s->targets_drawn)
		return;
	s->targets_drawn = true;
	place = *place_of(s, state);
	command = place ? s->waiting[place - 1].command : get(s, VIRGL_RECORD_STATE, state, &bytes);
	/* The depth buffer's handle, and behind it those of the colour buffers. */
	for (uint32_t i = 1; command && i < *command >> 16; i++)
		surface_drawn(s, command[1 + i]);
}

/* Resources whose ids are @step words apart from @first on may be written to. */
static void elements_drawn(struct virgl_state *s, const uint32_t *w, size_t length, size_t first, size_t step)
{
	for (size_t i = first; i < length; i += step) {
		if (w[i] != 0)
			gpu_content_drawn_all(s->content, w[i]);
	}
}

static void outputs_drawn(struct virgl_state *s, const uint32_t *w, size_t length)
{
	for (size_t i = 1; i < length; i++) {
		size_t bytes;
		const uint32_t *target = w[i] ? get(s, VIRGL_RECORD_OBJECT, w[i], &bytes) : NULL;

		if (target && bytes >= 3 * sizeof(*target))
			gpu_content_drawn_all(s->content, target[2]);
	}
}

static void transferred(struct virgl_state *s, const uint32_t *w, size_t length)
{
	struct renderer_transfer t;

	if (length < VIRGL_WORDS_TRANSFER3D)
		return;
	t = (struct renderer_transfer){
		.ctx_id = s->ctx_id,
		.level = w[1],
		.stride = w[3],
		.layer_stride = w[4],
		.offset = w[11],
		.box = {w[5], w[6], w[7], w[8], w[9], w[10]},
	};
	if (w[12] == VIRGL_TRANSFER_TO_HOST)
		gpu_content_uploaded(s->content, w[0], &t);
	else
		gpu_content_downloaded(s->content, w[0], &t);
	s->targets_drawn = false;
}

static void note_content(struct virgl_state *s, uint32_t header, const uint32_t *w, size_t length)
{
	switch (header & 0xff) {
	case VIRGL_CCMD_CLEAR:
	case VIRGL_CCMD_DRAW_VBO:
		targets_drawn(s);
		break;
	case VIRGL_CCMD_SET_FRAMEBUFFER_STATE:
		s->targets_drawn = false;
		break;
	case VIRGL_CCMD_CLEAR_SURFACE:
		if (length >= 2)
			surface_drawn(s, w[1]);
		break;
	case VIRGL_CCMD_BLIT:
		if (length >= VIRGL_WORDS_BLIT)
			gpu_content_drawn(s->content, w[3], w[4]);
		break;
	case VIRGL_CCMD_RESOURCE_INLINE_WRITE:
	case VIRGL_CCMD_RESOURCE_COPY_REGION:
	case VIRGL_CCMD_CLEAR_TEXTURE:
		if (length >= 2)
			gpu_content_drawn(s->content, w[0], w[1]);
		break;
	case VIRGL_CCMD_TRANSFER3D:
		transferred(s, w, length);
		break;
	case VIRGL_CCMD_COPY_TRANSFER3D:
		/* From the pages of another resource, which are soon used again. */
		if (length >= VIRGL_WORDS_COPY_TRANSFER3D && !(w[13] & VIRGL_COPY_TRANSFER_FROM_HOST))
			gpu_content_drawn(s->content, w[0], w[1]);
		break;
	case VIRGL_CCMD_SET_SHADER_BUFFERS:
		elements_drawn(s, w, length, 4, 3);
		break;
	case VIRGL_CCMD_SET_SHADER_IMAGES:
		elements_drawn(s, w, length, 6, 5);
		break;
	case VIRGL_CCMD_SET_ATOMIC_BUFFERS:
		elements_drawn(s, w, length, 3, 3);
		break;
	case VIRGL_CCMD_SET_STREAMOUT_TARGETS:
		outputs_drawn(s, w, length);
		break;
	case VIRGL_CCMD_GET_QUERY_RESULT_QBO:
		if (length >= 2)
			gpu_content_drawn_all(s->content, w[1]);
		break;
	default:
		break;
	}
}

/* ---- commands that are not states ---- */

static void create_object(struct virgl_state *s, const uint32_t *command, const uint32_t *w, size_t length)
{
	const struct journal_key key = key_of(s, VIRGL_RECORD_OBJECT, s->sub, w[0]);
	const bool is_shader = (*command >> 8 & 0xff) == VIRGL_OBJECT_SHADER;
	const void *before = NULL;
	size_t bytes = 0;

	/* First: it may move what was there before, twice over. */
	make_room(s);
	/* A part of a shader goes behind those before it. */
	if (is_shader && length >= 3 && w[2] & VIRGL_SHADER_CONTINUED)
		before = journal_get(s->journal, &key, &bytes);
	put2(s, &key, before, before ? bytes : 0, command);
}

static void destroy_object(struct virgl_state *s, uint32_t handle)
{
	drop(s, VIRGL_RECORD_OBJECT, handle);
	drop(s, VIRGL_RECORD_QUERY_ON, handle);
	drop(s, VIRGL_RECORD_QUERY_ASKED, handle);
}

static void change_sub_context(struct virgl_state *s, const uint32_t *command, const uint32_t *w)
{
	const uint32_t ids[2] = {s->ctx_id, w[0]};

	put_waiting(s);
	s->targets_drawn = false;
	if (w[0] == 0 && (*command & 0xff) != VIRGL_CCMD_SET_SUB_CTX)
		return;
	switch (*command & 0xff) {
	case VIRGL_CCMD_CREATE_SUB_CTX:
		put(s, VIRGL_RECORD_SUB_CONTEXT, w[0], 0, command);
		break;
	case VIRGL_CCMD_DESTROY_SUB_CTX:
		journal_drop_all(s->journal, VIRGL_RECORD_SUB_CONTEXT, VIRGL_RECORD_LAST, ids, 2);
		break;
	default:
		break;
	}
}

static void record_command(struct virgl_state *s, struct virgl_stream *stream, const uint32_t *command)
{
	const uint32_t *w = command + 1;
	const size_t length = *command >> 16;
	const uint32_t state = state_of(*command, w, length);

	if (state != 0)
		keep_last(s, state, command);
	/* What else there is has at least one word. */
	if (length == 0)
		return;
	switch (*command & 0xff) {
	case VIRGL_CCMD_CREATE_OBJECT:
		create_object(s, command, w, length);
		break;
	case VIRGL_CCMD_DESTROY_OBJECT:
		destroy_object(s, w[0]);
		break;
	case VIRGL_CCMD_CREATE_SUB_CTX:
	case VIRGL_CCMD_SET_SUB_CTX:
	case VIRGL_CCMD_DESTROY_SUB_CTX:
		change_sub_context(s, command, w);
		virgl_stream_follow(stream, *command, w, length);
		s->sub = stream->subs[stream->current].id;
		break;
	case VIRGL_CCMD_PIPE_RESOURCE_CREATE:
		put(s, VIRGL_RECORD_WAITING, w[10], 0, command);
		break;
	case VIRGL_CCMD_PIPE_RESOURCE_SET_TYPE:
		put(s, VIRGL_RECORD_RESOURCE_TYPE, w[0], 0, command);
		break;
	case VIRGL_CCMD_BEGIN_QUERY:
		put(s, VIRGL_RECORD_QUERY_ON, s->sub, w[0], command);
		drop(s, VIRGL_RECORD_QUERY_ASKED, w[0]);
		break;
	case VIRGL_CCMD_END_QUERY:
		drop(s, VIRGL_RECORD_QUERY_ON, w[0]);
		break;
	case VIRGL_CCMD_GET_QUERY_RESULT:
		put(s, VIRGL_RECORD_QUERY_ASKED, s->sub, w[0], command);
		break;
	default:
		/* Contents are changes, too. */
		make_room(s);
		note_content(s, *command, w, length);
		break;
	}
}

void virgl_state_record(struct virgl_state *s, uint32_t ctx_id, struct virgl_stream *stream, const uint32_t *words,
			size_t count)
{
	const struct journal_key too_large = {VIRGL_RECORD_TOO_LARGE, {ctx_id}},
				 in_part = {VIRGL_RECORD_IN_PART, {ctx_id}};
	const uint32_t sub_before = stream->subs[stream->current].id;

	s->ctx_id = ctx_id;
	s->sub = sub_before;
	s->targets_drawn = false;
	s->in_part = false;
	s->full = journal_has(s->journal, &too_large);
	if (s->full)
		return;
	for (size_t at = 0; at < count && !s->full; at += 1 + (words[at] >> 16))
		record_command(s, stream, words + at);
	put_waiting(s);
	if (s->sub != sub_before) {
		const uint32_t command[2] = {VIRGL_HEADER(VIRGL_CCMD_SET_SUB_CTX, 0, 1), s->sub};

		put(s, VIRGL_RECORD_CURRENT, 0, 0, command);
	}
	if (s->in_part)
		journal_drop(s->journal, &in_part);
	if (s->full)
		give_up(s);
}

/* ---- what is done after a death ---- */

/* Uploads come from the guest's memory, or from the submission itself, and are asked for once. */
static bool is_upload(uint32_t header, const uint32_t *w, size_t length)
{
	switch (header & 0xff) {
	case VIRGL_CCMD_RESOURCE_INLINE_WRITE:
		return true;
	case VIRGL_CCMD_TRANSFER3D:
		return length >= VIRGL_WORDS_TRANSFER3D && w[12] == VIRGL_TRANSFER_TO_HOST;
	case VIRGL_CCMD_COPY_TRANSFER3D:
		return length >= VIRGL_WORDS_COPY_TRANSFER3D && !(w[13] & VIRGL_COPY_TRANSFER_FROM_HOST);
	default:
		return false;
	}
}

static bool is_kept(uint32_t header)
{
	const uint32_t command = header & 0xff;

	switch (command) {
	case VIRGL_CCMD_CREATE_OBJECT:
	case VIRGL_CCMD_DESTROY_OBJECT:
	case VIRGL_CCMD_CREATE_SUB_CTX:
	case VIRGL_CCMD_SET_SUB_CTX:
	case VIRGL_CCMD_DESTROY_SUB_CTX:
	case VIRGL_CCMD_PIPE_RESOURCE_SET_TYPE:
	case VIRGL_CCMD_PIPE_RESOURCE_CREATE:
	/* A guest waits for the result of a query. */
	case VIRGL_CCMD_BEGIN_QUERY:
	case VIRGL_CCMD_END_QUERY:
	case VIRGL_CCMD_GET_QUERY_RESULT:
		return true;
	default:
		return command < sizeof(rows) / sizeof(rows[0]) && rows[command].distinction != NOT_A_STATE;
	}
}

size_t virgl_state_without_draws(uint32_t *words, size_t count)
{
	size_t to = 0, bytes;

	for (size_t at = 0, end; at < count; at = end) {
		const size_t length = words[at] >> 16;

		if (length > count - at - 1)
			return count;
		end = at + 1 + length;
	}
	for (size_t at = 0, end; at < count; at = end) {
		const size_t length = words[at] >> 16;

		end = at + 1 + length;
		if (!is_kept(words[at]) && !is_upload(words[at], words + at + 1, length))
			continue;
		bytes = (end - at) * sizeof(*words);
		memmove(words + to, words + at, bytes);
		to += end - at;
	}
	return to;
}

void virgl_state_taken(struct virgl_state *s, uint32_t ctx_id, uint32_t blob_id)
{
	const struct journal_key key = {VIRGL_RECORD_WAITING, {ctx_id, blob_id}};

	journal_drop(s->journal, &key);
}
