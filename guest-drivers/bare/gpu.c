// SPDX-License-Identifier: MIT
/* Requests, displays and 2D resources; gpu_3d.c has the rest. */
#include <linux/errno.h>

#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"

#define QUEUE_SIZE 64

int gpu_open(struct gpu *g, enum virtio_kind kind, unsigned index, uint64_t features)
{
	struct virtio_gpu_config c;
	int rc;

	memset(g, 0, sizeof(*g));
	g->stopped = true;
	rc = virtio_find(VIRTIO_ID_GPU, index, kind, &g->dev);
	if (rc)
		return rc;
	rc = virtio_start(&g->dev, features, 2, QUEUE_SIZE);
	if (rc)
		return rc;
	g->stopped = false;
	rc = virtio_config_read(&g->dev, 0, &c, 4, sizeof(c) / 4);
	if (rc) {
		gpu_close(g);
		return rc;
	}
	/* More of them than an answer has room for can't be. */
	g->scanouts = c.num_scanouts < VIRTIO_GPU_MAX_SCANOUTS ? c.num_scanouts : VIRTIO_GPU_MAX_SCANOUTS;
	g->capsets = c.num_capsets;
	return 0;
}

void gpu_close(struct gpu *g)
{
	if (!g->stopped)
		virtio_stop(&g->dev);
	g->stopped = true;
}

int gpu_post(struct gpu *g, unsigned queue, struct gpu_request *r)
{
	struct virtq_buffer b[4];
	struct virtq *q;
	int rc;

	if (g->stopped)
		return -ENODEV;
	if (r->out_count == 0 || r->out_count > 3)
		return -EINVAL;
	r->done = false;
	memcpy(b, r->out, r->out_count * sizeof(b[0]));
	b[r->out_count] = r->in;
	q = g->dev.queues[queue];
	rc = virtq_add(q, b, r->out_count, r->in.bytes ? 1 : 0, r);
	if (!rc)
		virtq_kick(q);
	return rc;
}

unsigned gpu_poll(struct gpu *g)
{
	unsigned n = 0;

	if (g->stopped)
		return 0;
	for (unsigned q = 0; q < g->dev.queue_count; q++) {
		struct gpu_request *r;
		uint32_t written;

		while ((r = virtq_get(g->dev.queues[q], &written))) {
			r->written = written;
			r->order = ++g->answers;
			r->done = true;
			n++;
		}
	}
	return n;
}

struct wait {
	struct gpu *g;
	const struct gpu_request *r;
};

static bool is_done(void *arg)
{
	struct wait *w = arg;

	gpu_poll(w->g);
	return w->r->done;
}

int gpu_wait(struct gpu *g, struct gpu_request *r)
{
	struct wait w = {g, r};
	int rc;

	if (g->stopped)
		return -ENODEV;
	rc = virtio_wait(&g->dev, is_done, &w, GPU_TIMEOUT_US);
	if (!rc)
		return 0;
	/* The request may lie on the caller's stack: the device must not write to it later. */
	gpu_close(g);
	return rc == -ETIMEDOUT ? rc : -ENODEV;
}

int gpu_transact(struct gpu *g, unsigned queue, struct gpu_request *r)
{
	int rc = gpu_post(g, queue, r);

	return rc ? rc : gpu_wait(g, r);
}

int gpu_judge(struct gpu *g, const struct gpu_request *r, uint32_t expected, uint32_t least)
{
	const volatile struct virtio_gpu_ctrl_hdr *h = r->in.at;

	g->answer = r->written >= sizeof(*h) ? h->type : 0;
	if (g->answer == expected)
		return r->written >= least ? 0 : -EPROTO;
	switch (g->answer) {
	case VIRTIO_GPU_RESP_ERR_UNSPEC:
		return -EIO;
	case VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY:
		return -ENOMEM;
	case VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID:
		return -ENXIO;
	case VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID:
		return -ENOENT;
	case VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID:
		return -ESRCH;
	case VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER:
		return -EINVAL;
	default:
		return -EPROTO;
	}
}

int gpu_ask(struct gpu *g, const void *command, uint32_t bytes, struct virtq_buffer tail, struct virtq_buffer answer,
	    uint32_t expected)
{
	struct gpu_request r = {.out = {{command, bytes}, tail}, .out_count = tail.bytes ? 2 : 1, .in = answer};
	int rc = gpu_transact(g, VIRTIO_GPU_QUEUE_CONTROL, &r);

	return rc ? rc : gpu_judge(g, &r, expected, answer.bytes);
}

static int ask(struct gpu *g, const void *command, uint32_t bytes, void *answer, uint32_t answer_bytes,
	       uint32_t expected)
{
	return gpu_ask(g, command, bytes, (struct virtq_buffer){NULL, 0}, (struct virtq_buffer){answer, answer_bytes},
		       expected);
}

int gpu_command(struct gpu *g, const void *command, uint32_t bytes)
{
	struct virtio_gpu_ctrl_hdr answer;

	return ask(g, command, bytes, &answer, sizeof(answer), VIRTIO_GPU_RESP_OK_NODATA);
}

static struct virtio_gpu_rect wire_rect(struct gpu_rect r)
{
	return (struct virtio_gpu_rect){.x = r.x, .y = r.y, .width = r.width, .height = r.height};
}

int gpu_display_info(struct gpu *g, struct virtio_gpu_resp_display_info *info)
{
	struct virtio_gpu_ctrl_hdr c = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};

	return ask(g, &c, sizeof(c), info, sizeof(*info), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

int gpu_edid(struct gpu *g, uint32_t scanout, struct virtio_gpu_resp_edid *edid)
{
	struct virtio_gpu_cmd_get_edid c = {.hdr.type = VIRTIO_GPU_CMD_GET_EDID, .scanout = scanout};
	int rc = ask(g, &c, sizeof(c), edid, sizeof(*edid), VIRTIO_GPU_RESP_OK_EDID);

	return rc ? rc : edid->size > sizeof(edid->edid) ? -EPROTO : 0;
}

int gpu_set_scanout(struct gpu *g, uint32_t scanout, uint32_t resource, struct gpu_rect r)
{
	struct virtio_gpu_set_scanout c = {.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT,
					   .r = wire_rect(r),
					   .scanout_id = scanout,
					   .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_flush(struct gpu *g, uint32_t resource, struct gpu_rect r)
{
	struct virtio_gpu_resource_flush c = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH, .r = wire_rect(r), .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

/* Cursor commands are answered too; some devices write nothing into the answer, so only its arrival counts. */
static int cursor(struct gpu *g, struct virtio_gpu_update_cursor *c)
{
	struct virtio_gpu_ctrl_hdr answer = {.type = 0};
	struct gpu_request r = {.out = {{c, sizeof(*c)}}, .out_count = 1, .in = {&answer, sizeof(answer)}};

	return gpu_transact(g, VIRTIO_GPU_QUEUE_CURSOR, &r);
}

int gpu_cursor_update(struct gpu *g, uint32_t scanout, uint32_t x, uint32_t y, uint32_t resource, uint32_t hot_x,
		      uint32_t hot_y)
{
	struct virtio_gpu_update_cursor c = {.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR,
					     .pos = {.scanout_id = scanout, .x = x, .y = y},
					     .resource_id = resource,
					     .hot_x = hot_x,
					     .hot_y = hot_y};

	return cursor(g, &c);
}

int gpu_cursor_move(struct gpu *g, uint32_t scanout, uint32_t x, uint32_t y)
{
	struct virtio_gpu_update_cursor c = {.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR,
					     .pos = {.scanout_id = scanout, .x = x, .y = y}};

	return cursor(g, &c);
}

int gpu_create_2d(struct gpu *g, uint32_t resource, uint32_t format, uint32_t width, uint32_t height)
{
	struct virtio_gpu_resource_create_2d c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
						  .resource_id = resource,
						  .format = format,
						  .width = width,
						  .height = height};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_unref(struct gpu *g, uint32_t resource)
{
	struct virtio_gpu_resource_unref c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF, .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

/* A command with a table of pages behind it, as a buffer of its own. */
static int with_pages(struct gpu *g, const void *command, uint32_t bytes, const struct virtio_gpu_mem_entry *entries,
		      uint32_t n)
{
	struct virtio_gpu_ctrl_hdr answer;

	return gpu_ask(g, command, bytes, (struct virtq_buffer){entries, n * (uint32_t)sizeof(*entries)},
		       (struct virtq_buffer){&answer, sizeof(answer)}, VIRTIO_GPU_RESP_OK_NODATA);
}

int gpu_attach_pages(struct gpu *g, uint32_t resource, const struct virtio_gpu_mem_entry *entries, uint32_t n)
{
	struct virtio_gpu_resource_attach_backing c = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, .resource_id = resource, .nr_entries = n};

	return with_pages(g, &c, sizeof(c), entries, n);
}

int gpu_attach_backing(struct gpu *g, uint32_t resource, const void *memory, uint32_t bytes)
{
	struct virtio_gpu_mem_entry e = {.addr = dma_address(memory), .length = bytes};

	return gpu_attach_pages(g, resource, &e, 1);
}

int gpu_detach_backing(struct gpu *g, uint32_t resource)
{
	struct virtio_gpu_resource_detach_backing c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
						       .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_transfer_to_host_2d(struct gpu *g, uint32_t resource, struct gpu_rect r, uint64_t offset)
{
	struct virtio_gpu_transfer_to_host_2d c = {.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
						   .r = wire_rect(r),
						   .offset = offset,
						   .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_assign_uuid(struct gpu *g, uint32_t resource, uint8_t uuid[16])
{
	struct virtio_gpu_resource_assign_uuid c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID,
						    .resource_id = resource};
	struct virtio_gpu_resp_resource_uuid answer;
	int rc = ask(g, &c, sizeof(c), &answer, sizeof(answer), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);

	if (!rc)
		memcpy(uuid, answer.uuid, sizeof(answer.uuid));
	return rc;
}

int gpu_create_blob(struct gpu *g, uint32_t resource, uint32_t flags, const void *memory, uint64_t bytes)
{
	struct virtio_gpu_resource_create_blob c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
						    .resource_id = resource,
						    .blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
						    .blob_flags = flags,
						    .nr_entries = 1,
						    .size = bytes};
	struct virtio_gpu_mem_entry e = {.addr = dma_address(memory), .length = (uint32_t)bytes};

	return with_pages(g, &c, sizeof(c), &e, 1);
}

int gpu_host_visible(struct gpu *g, void **at, uint64_t *bytes)
{
	return virtio_shmem(&g->dev, VIRTIO_GPU_SHM_ID_HOST_VISIBLE, at, bytes);
}

int gpu_create_host_blob(struct gpu *g, uint32_t resource, uint32_t flags, uint64_t bytes)
{
	struct virtio_gpu_resource_create_blob c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
						    .resource_id = resource,
						    .blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
						    .blob_flags = flags,
						    .size = bytes};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_map_blob(struct gpu *g, uint32_t resource, uint64_t offset)
{
	struct virtio_gpu_resource_map_blob c = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, .resource_id = resource, .offset = offset};
	struct virtio_gpu_resp_map_info answer;

	return ask(g, &c, sizeof(c), &answer, sizeof(answer), VIRTIO_GPU_RESP_OK_MAP_INFO);
}

int gpu_unmap_blob(struct gpu *g, uint32_t resource)
{
	struct virtio_gpu_resource_unmap_blob c = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
						   .resource_id = resource};

	return gpu_command(g, &c, sizeof(c));
}

int gpu_set_scanout_blob(struct gpu *g, uint32_t scanout, uint32_t resource, struct gpu_rect r, uint32_t format,
			 uint32_t width, uint32_t height, uint32_t stride)
{
	struct virtio_gpu_set_scanout_blob c = {.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
						.r = wire_rect(r),
						.scanout_id = scanout,
						.resource_id = resource,
						.width = width,
						.height = height,
						.format = format,
						.strides = {stride}};

	return gpu_command(g, &c, sizeof(c));
}
