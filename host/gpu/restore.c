// SPDX-License-Identifier: MIT
/*
 * A device made again from its journal. Records become requests to the handlers, so that everything is checked as it
 * was when the guest asked for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/step.h"
#include "host/gpu/device.h"
#include "host/gpu/export.h"
#include "host/virtio/shared_heap.h"

struct restore {
	struct gpu *g;
	struct journal *journal;
	unsigned resources, contexts, scanouts;				      /* made again */
	unsigned no_resource, no_backing, no_context, no_content, no_scanout; /* not possible, or lost */
	struct gpu_command cursors[VIRTIO_GPU_MAX_SCANOUTS]; /* of which an image was being read; no row: none */
};

/* For log lines; requests have one of gpu.c's rows. */
static const struct gpu_command_row restored_row = {.name = "restored"};

static struct gpu_command command(uint32_t ctx_id)
{
	return (struct gpu_command){.row = &restored_row, .ctx_id = ctx_id};
}

/*
 * Call @each for every record of @type, in the order of their last put. One that returns false is taken out: the guest
 * does not have it any more.
 */
static void go_through(struct restore *r, enum gpu_record_type type,
		       bool (*each)(struct restore *r, const struct journal_key *key, const void *payload,
				    size_t bytes))
{
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;

	while (journal_next(r->journal, &at, &key, &payload, &bytes)) {
		if (key.type != type)
			continue;
		if (!each(r, &key, payload, bytes))
			journal_drop(r->journal, &key);
		virtio_device_progress(&r->g->device);
	}
}

/* ---- resources ---- */

static uint32_t make_resource(struct gpu *g, uint32_t id, const struct gpu_resource_record *record, size_t bytes)
{
	const struct gpu_resource_shape *s = &record->shape;
	const struct gpu_range *ranges = (const struct gpu_range *)(record + 1);
	struct virtio_gpu_resource_create_blob blob = {0};
	struct gpu_command cmd = command(0);

	switch (record->kind) {
	case GPU_RESOURCE_2D:
		cmd.u.create_2d.resource_id = id;
		cmd.u.create_2d.format = s->format;
		cmd.u.create_2d.width = s->width;
		cmd.u.create_2d.height = s->height;
		return gpu_resource_create_2d(g, &cmd);
	case GPU_RESOURCE_3D:
		cmd.u.create_3d = (struct virtio_gpu_resource_create_3d){
			.resource_id = id,
			.target = s->target,
			.format = s->format,
			.bind = s->bind,
			.width = s->width,
			.height = s->height,
			.depth = s->depth,
			.array_size = s->array_size,
			.last_level = s->last_level,
			.nr_samples = s->nr_samples,
			.flags = s->flags,
		};
		blob.blob_mem = record->blob_mem;
		blob.blob_flags = record->blob_flags;
		blob.blob_id = record->blob_id;
		blob.size = record->size_bytes;
		return gpu_make_3d(g, &cmd, &cmd.u.create_3d, record->blob_mem ? &blob : NULL);
	case GPU_RESOURCE_BLOB:
		cmd.ranges = ranges;
		cmd.u.create_blob.resource_id = id;
		cmd.u.create_blob.blob_mem = record->blob_mem;
		cmd.u.create_blob.blob_flags = record->blob_flags;
		cmd.u.create_blob.blob_id = record->blob_id;
		cmd.u.create_blob.size = record->size_bytes;
		cmd.u.create_blob.nr_entries = (uint32_t)((bytes - sizeof(*record)) / sizeof(*ranges));
		return gpu_resource_create_blob(g, &cmd);
	default:
		return gpu_refuse(g, &cmd, VIRTIO_GPU_RESP_ERR_UNSPEC, "resource %u: kind %u does not exist", id,
				  record->kind);
	}
}

static bool restore_resource(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct gpu_resource_record *record = payload;
	struct gpu_resource *res;

	if (bytes < sizeof(*record) || make_resource(r->g, key->id[0], record, bytes) != VIRTIO_GPU_RESP_OK_NODATA) {
		r->no_resource++;
		return false;
	}
	r->resources++;
	res = gpu_resource_find(r->g->resources, key->id[0]);
	gpu_host_blob_restore(r->g, res, record->map_state, record->map_offset);
	if (record->has_uuid) {
		res->has_uuid = true;
		memcpy(res->uuid, record->uuid, sizeof(res->uuid));
		gpu_export_again(r->g, res);
	}
	return true;
}

static bool restore_backing(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct gpu_command cmd = command(0);

	if (!gpu_resource_find(r->g->resources, key->id[0]))
		return false;
	cmd.ranges = payload;
	cmd.u.attach.resource_id = key->id[0];
	cmd.u.attach.nr_entries = (uint32_t)(bytes / sizeof(*cmd.ranges));
	if (gpu_resource_attach_backing(r->g, &cmd) == VIRTIO_GPU_RESP_OK_NODATA)
		return true;
	r->no_backing++;
	return false;
}

static bool restore_level(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct gpu_resource *res = gpu_resource_find(r->g->resources, key->id[0]);
	const struct gpu_level *level = payload;
	const struct renderer *renderer = r->g->renderer;
	struct renderer_transfer t;
	bool lost, is_found;

	if (!res || bytes != sizeof(*level))
		return false;
	is_found = gpu_content_restore(r->g->content, res, key->id[1], level, &t);
	if (gpu_export_has_content(res))
		return true;
	lost = level->place == GPU_PLACE_GPU;
	/* What was in the backing is better than nothing even where the GPU has drawn over it. */
	if (is_found)
		lost |= renderer->ops->transfer_to_host(r->g->renderer, res, &t) < 0;
	else
		lost |= level->place == GPU_PLACE_BACKING;
	r->no_content += lost;
	return true;
}

/* ---- contexts ---- */

static bool restore_context(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct gpu_context_record *record = payload;
	const struct gpu_command cmd = command(key->id[0]);
	struct gpu_context *ctx;
	char name[64];

	if (bytes != sizeof(*record) || !r->g->renderer->ops->context_create) {
		r->no_context++;
		return false;
	}
	memcpy(name, record->name, sizeof(name));
	for (unsigned i = 0; i < sizeof(name) - 1; i++) {
		if (name[i] != '\0' && (name[i] < ' ' || name[i] > '~'))
			name[i] = '?';
	}
	name[sizeof(name) - 1] = '\0';
	if (gpu_make_context(r->g, &cmd, record->capset_id, name) != VIRTIO_GPU_RESP_OK_NODATA) {
		r->no_context++;
		return false;
	}
	ctx = gpu_context_find(r->g->contexts, key->id[0]);
	ctx->lost = record->lost;
	ctx->deaths = record->deaths;
	r->contexts++;
	return true;
}

/*
 * What contexts held that are not there: one that could not be made again, or whose own record did not fit. Else the
 * next context of that number would have it.
 */
static void drop_orphans(struct restore *r)
{
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;

	while (journal_next(r->journal, &at, &key, &payload, &bytes)) {
		if (key.type >= GPU_RECORD_VIRGL && !gpu_context_find(r->g->contexts, key.id[0]))
			journal_drop(r->journal, &key);
	}
}

static bool restore_attachment(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct gpu_command cmd = command(key->id[0]);

	(void)payload;
	(void)bytes;
	cmd.u.ctx_resource.resource_id = key->id[1];
	return gpu_context_find(r->g->contexts, key->id[0]) && gpu_resource_find(r->g->resources, key->id[1]) &&
	       gpu_ctx_attach_resource(r->g, &cmd) == VIRTIO_GPU_RESP_OK_NODATA;
}

/*
 * What @ctx holds. It may be why the process died, so this one says where it is: should it die here as well, the next one
 * knows, and does not try for ever.
 */
static int restore_context_state(struct gpu *g, struct gpu_context *ctx)
{
	int err;

	if (ctx->deaths >= GPU_CONTEXT_DEATHS)
		return -ENOTRECOVERABLE;
	ctx->deaths++;
	gpu_record_context(g, ctx);
	gpu_record_commit(g, 0);
	step_reached(STEP_REBUILDING);
	err = g->renderer->ops->context_restore(g->renderer, ctx->id);
	ctx->deaths--;
	gpu_record_context(g, ctx);
	return err;
}

/* Records of a lost one may be left. */
static void restore_context_states(struct restore *r)
{
	struct gpu_context_table *t = r->g->contexts;

	for (struct gpu_context *ctx = gpu_context_first(t); ctx; ctx = gpu_context_next(t, ctx)) {
		if (ctx->lost && r->g->renderer->ops->context_lose)
			r->g->renderer->ops->context_lose(r->g->renderer, ctx->id);
		if (ctx->lost || !r->g->renderer->ops->context_restore || restore_context_state(r->g, ctx) == 0)
			continue;
		gpu_mark_lost(r->g, ctx->id);
		r->no_context++;
	}
}

/* ---- displays ---- */

static bool restore_scanout(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct gpu_scanout_record *record = payload;
	struct gpu_command cmd = command(0);
	uint32_t code;

	if (bytes != sizeof(*record) || record->resource == 0)
		return false;
	if (record->format != 0) {
		cmd.u.set_scanout_blob = (struct virtio_gpu_set_scanout_blob){
			.r = {record->x, record->y, record->width, record->height},
			.scanout_id = key->id[0],
			.resource_id = record->resource,
			.width = record->picture_width,
			.height = record->picture_height,
			.format = record->format,
			.strides = {record->stride_bytes},
			.offsets = {record->offset},
		};
		code = gpu_set_scanout_blob(r->g, &cmd);
	} else {
		cmd.u.set_scanout = (struct virtio_gpu_set_scanout){
			.r = {record->x, record->y, record->width, record->height},
			.scanout_id = key->id[0],
			.resource_id = record->resource,
		};
		code = gpu_set_scanout(r->g, &cmd);
	}
	if (code == VIRTIO_GPU_RESP_OK_NODATA)
		r->scanouts++;
	else
		r->no_scanout++;
	return code == VIRTIO_GPU_RESP_OK_NODATA;
}

static bool restore_cursor(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct gpu_cursor_record *record = payload;
	struct gpu_scanout *s;

	if (key->id[0] >= r->g->scanout_count || bytes != sizeof(*record) || record->hot_x >= GPU_CURSOR_SIZE ||
	    record->hot_y >= GPU_CURSOR_SIZE)
		return false;
	s = &r->g->scanouts[key->id[0]];
	memcpy(s->cursor_pixels, record->pixels, sizeof(s->cursor_pixels));
	s->cursor.hot_x = record->hot_x;
	s->cursor.hot_y = record->hot_y;
	s->cursor.pixels = s->cursor_pixels;
	return true;
}

static bool restore_cursor_place(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct gpu_cursor_place_record *record = payload;

	if (key->id[0] >= r->g->scanout_count || bytes != sizeof(*record))
		return false;
	r->g->scanouts[key->id[0]].cursor.x = record->x;
	r->g->scanouts[key->id[0]].cursor.y = record->y;
	return true;
}

/* Reading it may be why the process before died. So it is not in the journal any more when it is read here. */
static bool restore_cursor_asked(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	const struct gpu_cursor_asked_record *record = payload;
	struct gpu_command *cmd;

	if (key->id[0] >= r->g->scanout_count || bytes != sizeof(*record))
		return false;
	cmd = &r->cursors[key->id[0]];
	*cmd = command(0);
	cmd->u.cursor = (struct virtio_gpu_update_cursor){
		.pos = {.scanout_id = key->id[0], .x = record->x, .y = record->y},
		.resource_id = record->resource,
		.hot_x = record->hot_x,
		.hot_y = record->hot_y,
	};
	return false;
}

/* One that draws in 3D has its own, and records them. */
static bool restore_capset(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	struct gpu *g = r->g;

	if (!g->degraded || key->id[0] >= GPU_LOST_CAPSETS || bytes != sizeof(g->lost_capsets[0]))
		return false;
	memcpy(&g->lost_capsets[key->id[0]], payload, bytes);
	return true;
}

static bool restore_try(struct restore *r, const struct journal_key *key, const void *payload, size_t bytes)
{
	(void)key;
	(void)payload;
	(void)bytes;
	r->g->tries++;
	return true;
}

/* All of each picture, and the cursors. */
static void repaint(struct restore *r)
{
	struct gpu *g = r->g;

	for (unsigned i = 0; i < g->scanout_count; i++) {
		struct gpu_scanout *s = &g->scanouts[i];
		const struct display_rect *rect = &s->picture.rect;

		if (s->res) {
			struct gpu_command cmd = command(0);

			cmd.u.flush.resource_id = s->res->id;
			cmd.u.flush.r = (struct virtio_gpu_rect){rect->x, rect->y, rect->width, rect->height};
			gpu_resource_flush(g, &cmd);
			virtio_device_progress(&g->device);
		}
		if (r->cursors[i].row && gpu_update_cursor(g, &r->cursors[i]) == VIRTIO_GPU_RESP_OK_NODATA)
			continue;
		if (s->cursor.pixels)
			gpu_tell_cursor(g, s);
	}
}

/* ---- all of it ---- */

static void report(const struct restore *r)
{
	const struct {
		unsigned count;
		const char *what;
	} lines[] = {
		{r->no_resource, "resources could not be made again"},
		{r->no_backing, "resources have no backing any more: it is not guest memory"},
		{r->no_content, "pictures or buffers are lost in whole or in part: they were on the GPU alone"},
		{r->no_context, "contexts are lost: the guest's programs that use them have to start again"},
		{r->no_scanout, "scanouts show nothing any more"},
	};

	log_line(LOG_TOPIC_GPU, LOG_INFO, "made again after a death: %u resources, %u contexts, %u scanouts",
		 r->resources, r->contexts, r->scanouts);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i].count > 0)
			log_line(LOG_TOPIC_GPU, LOG_WARN, "%u %s", lines[i].count, lines[i].what);
	}
}

void gpu_restore(struct gpu *g, struct journal *j)
{
	struct restore r = {.g = g, .journal = j};
	struct journal_stats stats;

	journal_get_stats(j, &stats);
	if (stats.records == 0) {
		g->journal = j;
		return;
	}
	/* The handlers must not record what is recorded: g->journal comes later. */
	go_through(&r, GPU_RECORD_RESOURCE, restore_resource);
	go_through(&r, GPU_RECORD_BACKING, restore_backing);
	go_through(&r, GPU_RECORD_CONTEXT, restore_context);
	drop_orphans(&r);
	go_through(&r, GPU_RECORD_ATTACHMENT, restore_attachment);
	go_through(&r, GPU_RECORD_LEVEL, restore_level);
	go_through(&r, GPU_RECORD_SCANOUT, restore_scanout);
	go_through(&r, GPU_RECORD_CURSOR, restore_cursor);
	go_through(&r, GPU_RECORD_CURSOR_PLACE, restore_cursor_place);
	go_through(&r, GPU_RECORD_CURSOR_ASKED, restore_cursor_asked);
	go_through(&r, GPU_RECORD_CAPSET, restore_capset);
	go_through(&r, GPU_RECORD_TRIED, restore_try);
	g->journal = j;
	/* So that journal_has() knows which attachments are left, and no image of a cursor is tried again. */
	journal_commit(j, 0);
	restore_context_states(&r);
	repaint(&r);
	journal_restored(j);
	journal_commit(j, 0);
	if (g->window.heap)
		shared_heap_trim(g->window.heap);
	gpu_window_settle(g);
	report(&r);
}
