// SPDX-License-Identifier: MIT
#include "host/gpu/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/gpu/device.h"
#include "host/virtio/mem.h"

static struct journal_key key_of(enum gpu_record_type type, uint32_t first, uint32_t second)
{
	return (struct journal_key){(uint16_t)type, {first, second}};
}

static void put2(struct gpu *g, const struct journal_key *key, const void *first, size_t first_bytes,
		 const void *second, size_t second_bytes)
{
	if (journal_put2(g->journal, key, first, first_bytes, second, second_bytes) == 0)
		return;
	/* An old value would be worse than none. */
	journal_drop(g->journal, key);
	g->stats.unrecorded++;
	log_guest(LOG_TOPIC_GPU, &g->log_limit,
		  "the journal is full: what the guest makes now is gone if the device's process dies");
}

static void put(struct gpu *g, enum gpu_record_type type, uint32_t first, uint32_t second, const void *payload,
		size_t bytes)
{
	const struct journal_key key = key_of(type, first, second);

	put2(g, &key, payload, bytes, NULL, 0);
}

static void drop(struct gpu *g, enum gpu_record_type type, uint32_t first, uint32_t second)
{
	const struct journal_key key = key_of(type, first, second);

	journal_drop(g->journal, &key);
}

/* ---- resources ---- */

/* The resource's host ranges as guest-physical ones; a range may have been joined over the border of two regions. */
static int guest_ranges(struct gpu *g, const struct gpu_resource *res, struct gpu_range **out, unsigned *count)
{
	unsigned capacity = res->backing_count + 4, used = 0;
	struct gpu_range *ranges = malloc(capacity * sizeof(*ranges));

	if (!ranges)
		return -ENOMEM;
	for (unsigned i = 0; i < res->backing_count; i++) {
		const char *at = res->backing[i].iov_base;
		uint64_t left = res->backing[i].iov_len, here, gpa;

		for (; left > 0; left -= here, at += here) {
			if (used == capacity) {
				struct gpu_range *larger = realloc(ranges, 2 * capacity * sizeof(*ranges));

				if (!larger) {
					free(ranges);
					return -ENOMEM;
				}
				ranges = larger;
				capacity *= 2;
			}
			/* The memory map may have changed since; then it was a range of the old one. */
			if (!guest_mem_address(g->device.mem, at, &gpa, &here)) {
				free(ranges);
				return -EFAULT;
			}
			here = here < left ? here : left;
			ranges[used++] = (struct gpu_range){gpa, here};
		}
	}
	*out = ranges;
	*count = used;
	return 0;
}

/* The blob's ranges follow its record: without them it can't be made. */
static void record_blob(struct gpu *g, const struct gpu_resource *res, const struct gpu_resource_record *record)
{
	const struct journal_key key = key_of(GPU_RECORD_RESOURCE, res->id, 0);
	struct gpu_range *ranges;
	unsigned count;

	if (res->host) {
		const struct gpu_range piece = {res->host->heap_offset, res->host->bytes};

		put2(g, &key, record, sizeof(*record), &piece, sizeof(piece));
		return;
	}
	if (guest_ranges(g, res, &ranges, &count) < 0) {
		journal_drop(g->journal, &key);
		return;
	}
	put2(g, &key, record, sizeof(*record), ranges, count * sizeof(*ranges));
	free(ranges);
}

void gpu_record_resource(struct gpu *g, const struct gpu_resource *res)
{
	struct gpu_resource_record record = {
		.kind = res->kind,
		.blob_mem = res->blob_mem,
		.blob_flags = res->blob_flags,
		.has_uuid = res->has_uuid,
		.blob_id = res->blob_id,
		.size_bytes = res->size_bytes,
		.shape = res->shape,
	};

	if (!g->journal)
		return;
	if (res->host) {
		record.map_offset = res->host->map_offset;
		record.map_state = res->host->state;
	}
	memcpy(record.uuid, res->uuid, sizeof(record.uuid));
	if (res->kind == GPU_RESOURCE_BLOB)
		record_blob(g, res, &record);
	else
		put(g, GPU_RECORD_RESOURCE, res->id, 0, &record, sizeof(record));
}

void gpu_record_backing(struct gpu *g, const struct gpu_resource *res)
{
	struct gpu_range *ranges;
	unsigned count;

	if (!g->journal)
		return;
	if (!res->backing || guest_ranges(g, res, &ranges, &count) < 0) {
		drop(g, GPU_RECORD_BACKING, res->id, 0);
		return;
	}
	put(g, GPU_RECORD_BACKING, res->id, 0, ranges, count * sizeof(*ranges));
	free(ranges);
}

void gpu_record_resource_gone(struct gpu *g, const struct gpu_resource *res)
{
	if (!g->journal)
		return;
	drop(g, GPU_RECORD_RESOURCE, res->id, 0);
	drop(g, GPU_RECORD_BACKING, res->id, 0);
	for (uint32_t level = 0; res->levels && level <= res->shape.last_level; level++)
		drop(g, GPU_RECORD_LEVEL, res->id, level);
}

/* ---- contexts ---- */

void gpu_record_context(struct gpu *g, const struct gpu_context *ctx)
{
	struct gpu_context_record record = {.capset_id = ctx->capset_id, .lost = ctx->lost, .deaths = ctx->deaths};

	if (!g->journal)
		return;
	memcpy(record.name, ctx->name, sizeof(record.name));
	put(g, GPU_RECORD_CONTEXT, ctx->id, 0, &record, sizeof(record));
}

void gpu_record_context_gone(struct gpu *g, uint32_t ctx_id)
{
	if (g->journal)
		journal_drop_all(g->journal, GPU_RECORD_CONTEXT, GPU_RECORD_LAST, &ctx_id, 1);
}

void gpu_record_attachment(struct gpu *g, uint32_t ctx_id, uint32_t resource_id, bool attached)
{
	if (!g->journal)
		return;
	if (attached)
		put(g, GPU_RECORD_ATTACHMENT, ctx_id, resource_id, NULL, 0);
	else
		drop(g, GPU_RECORD_ATTACHMENT, ctx_id, resource_id);
}

void gpu_mark_lost(struct gpu *g, uint32_t ctx_id)
{
	struct gpu_context *ctx = gpu_context_find(g->contexts, ctx_id);

	if (!ctx || ctx->lost)
		return;
	ctx->lost = true;
	/* First: what follows may be committed in parts, and what is left then is no context. */
	gpu_record_context(g, ctx);
	if (g->journal)
		journal_drop_all(g->journal, GPU_RECORD_VIRGL, GPU_RECORD_LAST, &ctx_id, 1);
	if (g->renderer->ops->context_lose)
		g->renderer->ops->context_lose(g->renderer, ctx_id);
	log_guest(LOG_TOPIC_GPU, &g->log_limit, "context %u (%s) is lost: the guest's program has to start again",
		  ctx->id, ctx->name);
}

/* ---- displays ---- */

void gpu_record_scanout(struct gpu *g, const struct gpu_scanout *s)
{
	const struct gpu_picture *p = &s->picture;
	struct gpu_scanout_record record = {
		.x = p->rect.x,
		.y = p->rect.y,
		.width = p->rect.width,
		.height = p->rect.height,
	};

	if (!g->journal)
		return;
	if (!s->res) {
		drop(g, GPU_RECORD_SCANOUT, s->index, 0);
		return;
	}
	record.resource = s->res->id;
	if (p->format) {
		record.format = p->format->number;
		record.picture_width = p->width;
		record.picture_height = p->height;
		record.stride_bytes = p->stride_bytes;
		record.offset = p->offset;
	} else if (gpu_is_blob(s->res)) {
		/* As SET_SCANOUT_BLOB would have it. */
		record.format = s->res->shape.format;
		record.picture_width = s->res->shape.width;
		record.picture_height = s->res->shape.height;
		record.stride_bytes = s->res->shape.width * GPU_PIXEL_BYTES;
	}
	put(g, GPU_RECORD_SCANOUT, s->index, 0, &record, sizeof(record));
}

void gpu_record_cursor_asked(struct gpu *g, const struct virtio_gpu_update_cursor *w)
{
	const struct gpu_cursor_asked_record record = {w->resource_id, w->hot_x, w->hot_y, w->pos.x, w->pos.y};

	if (g->journal)
		put(g, GPU_RECORD_CURSOR_ASKED, w->pos.scanout_id, 0, &record, sizeof(record));
}

void gpu_record_cursor(struct gpu *g, const struct gpu_scanout *s)
{
	const uint32_t hot[2] = {s->cursor.hot_x, s->cursor.hot_y};
	const struct journal_key key = key_of(GPU_RECORD_CURSOR, s->index, 0);

	_Static_assert(sizeof(hot) + sizeof(s->cursor_pixels) == sizeof(struct gpu_cursor_record), "its two parts");
	if (!g->journal)
		return;
	if (s->cursor.pixels)
		put2(g, &key, hot, sizeof(hot), s->cursor_pixels, sizeof(s->cursor_pixels));
	else
		journal_drop(g->journal, &key);
	gpu_record_cursor_place(g, s);
	drop(g, GPU_RECORD_CURSOR_ASKED, s->index, 0);
}

void gpu_record_cursor_place(struct gpu *g, const struct gpu_scanout *s)
{
	const struct gpu_cursor_place_record record = {s->cursor.x, s->cursor.y};

	if (!g->journal)
		return;
	if (s->cursor.pixels)
		put(g, GPU_RECORD_CURSOR_PLACE, s->index, 0, &record, sizeof(record));
	else
		drop(g, GPU_RECORD_CURSOR_PLACE, s->index, 0);
}

/* ---- the renderer ---- */

void gpu_record_capsets(struct gpu *g)
{
	struct renderer_capset capset;

	for (uint32_t i = 0; g->journal && i < g->capset_count; i++) {
		if (g->renderer->ops->capset_info(g->renderer, i, &capset) == 0)
			put(g, GPU_RECORD_CAPSET, i, 0, &capset, sizeof(capset));
	}
}

/* ---- all of it ---- */

void gpu_record_commit(struct gpu *g, uint64_t tag)
{
	if (g->journal)
		journal_commit(g->journal, tag);
}

static struct journal_key tried(uint64_t tag)
{
	return (struct journal_key){GPU_RECORD_TRIED, {(uint32_t)(tag >> 32), (uint32_t)tag}};
}

bool gpu_record_try(struct gpu *g, uint64_t tag)
{
	const struct journal_key key = tried(tag);

	if (!g->journal || journal_has(g->journal, &key) || journal_put(g->journal, &key, NULL, 0) < 0)
		return false;
	journal_commit(g->journal, 0);
	g->tries++;
	return true;
}

void gpu_record_tried(struct gpu *g, uint64_t tag)
{
	const struct journal_key key = tried(tag);

	/* A look into the journal for every request would be felt. */
	if (g->tries == 0 || !journal_has(g->journal, &key))
		return;
	journal_drop(g->journal, &key);
	g->tries--;
}

void gpu_record_clear(struct gpu *g)
{
	g->tries = 0;
	if (g->journal)
		journal_clear(g->journal);
}
