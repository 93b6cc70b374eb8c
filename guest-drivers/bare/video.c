// SPDX-License-Identifier: MIT
#include <linux/errno.h>

#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/video.h"

#define QUEUE_SIZE 64

/* ---- the device ---- */

static int post_event(struct video *v, struct virtio_video_event *event)
{
	struct virtq *q = v->dev.queues[VIRTIO_VIDEO_QUEUE_EVENT];
	struct virtq_buffer b = {event, sizeof(*event)};
	int rc = virtq_add(q, &b, 0, 1, event);

	if (!rc)
		virtq_kick(q);
	return rc;
}

int video_open(struct video *v, uint32_t id, enum virtio_kind kind, unsigned index)
{
	const uint64_t features = VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_GUEST_PAGES) |
				  VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_NON_CONTIG) |
				  VIRTIO_BIT(VIRTIO_VIDEO_F_RESOURCE_VIRTIO_OBJECT);
	int rc;

	memset(v, 0, sizeof(*v));
	v->stopped = true;
	rc = virtio_find(id, index, kind, &v->dev);
	if (rc)
		return rc;
	rc = virtio_start(&v->dev, features, 2, QUEUE_SIZE);
	if (rc)
		return rc;
	v->stopped = false;
	rc = virtio_config_read(&v->dev, 0, &v->config, 4, 3);
	rc = rc ? rc
		: virtio_config_read(&v->dev, offsetof(struct virtio_video_config, device_name), v->config.device_name,
				     1, sizeof(v->config.device_name));
	for (unsigned i = 0; i < VIDEO_EVENTS && !rc; i++)
		rc = post_event(v, &v->posted[i]);
	if (rc)
		video_close(v);
	return rc;
}

void video_close(struct video *v)
{
	if (!v->stopped)
		virtio_stop(&v->dev);
	v->stopped = true;
}

void video_poll(struct video *v)
{
	struct virtio_video_event *event;
	struct video_request *r;
	uint32_t written;

	if (v->stopped)
		return;
	while ((r = virtq_get(v->dev.queues[VIRTIO_VIDEO_QUEUE_COMMAND], &written))) {
		r->written = written;
		r->done = true;
	}
	/* An event stays where it is until there is room. */
	while (v->event_count < VIDEO_EVENTS && (event = virtq_get(v->dev.queues[VIRTIO_VIDEO_QUEUE_EVENT], &written))) {
		if (written == sizeof(*event))
			v->events[v->event_count++] = *event;
		post_event(v, event);
	}
}

bool video_take_event(struct video *v, struct virtio_video_event *event)
{
	video_poll(v);
	if (v->event_count == 0)
		return false;
	*event = v->events[0];
	v->event_count--;
	for (unsigned i = 0; i < v->event_count; i++)
		v->events[i] = v->events[i + 1];
	return true;
}

struct wait {
	struct video *v;
	bool (*done)(void *arg);
	void *arg;
};

static bool is_over(void *arg)
{
	struct wait *w = arg;

	video_poll(w->v);
	return w->done(w->arg);
}

int video_wait(struct video *v, bool (*done)(void *arg), void *arg)
{
	struct wait w = {v, done, arg};
	int rc;

	if (v->stopped)
		return -ENODEV;
	rc = virtio_wait(&v->dev, is_over, &w, VIDEO_TIMEOUT_US);
	if (!rc)
		return 0;
	/* Requests may lie on the caller's stack: the device must not write to them later. */
	video_close(v);
	return rc == -ETIMEDOUT ? rc : -ENODEV;
}

/* ---- commands ---- */

/* What an answer of type @answer and @bytes says, when one of type @expected and @least bytes would be right. */
static int judge(uint32_t answer, uint32_t bytes, uint32_t expected, uint32_t least)
{
	static const int errors[] = {EPERM, ENOMEM, ESRCH, ENOENT, EINVAL, EOPNOTSUPP};
	uint32_t error = answer - VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION;

	if (answer == expected)
		return bytes >= least ? 0 : -EPROTO;
	return error < sizeof(errors) / sizeof(errors[0]) ? -errors[error] : -EPROTO;
}

static bool is_done(void *arg)
{
	return ((struct video_request *)arg)->done;
}

static int post(struct video *v, struct video_request *r, const struct virtq_buffer *b, unsigned out)
{
	struct virtq *q = v->dev.queues[VIRTIO_VIDEO_QUEUE_COMMAND];
	int rc;

	if (v->stopped)
		return -ENODEV;
	r->done = false;
	rc = virtq_add(q, b, out, 1, r);
	if (!rc)
		virtq_kick(q);
	return rc;
}

/* Send @command, with @tail behind it if there is one, and receive an answer of type @expected into @answer. */
static int ask(struct video *v, const void *command, uint32_t bytes, struct virtq_buffer tail, void *answer,
	       uint32_t answer_bytes, uint32_t expected)
{
	struct virtq_buffer b[3] = {{command, bytes}, tail, {answer, answer_bytes}};
	const volatile struct virtio_video_cmd_hdr *h = answer;
	struct video_request r;
	int rc;

	if (tail.bytes == 0)
		b[1] = b[2];
	rc = post(v, &r, b, tail.bytes ? 2 : 1);
	if (!rc)
		rc = video_wait(v, is_done, &r);
	if (rc)
		return rc;
	v->answer = r.written >= sizeof(*h) ? h->type : 0;
	return judge(v->answer, r.written, expected, answer_bytes);
}

static int command(struct video *v, const void *c, uint32_t bytes)
{
	struct virtio_video_cmd_hdr answer;

	return ask(v, c, bytes, (struct virtq_buffer){NULL, 0}, &answer, sizeof(answer), VIRTIO_VIDEO_RESP_OK_NODATA);
}

int video_stream_create(struct video *v, uint32_t stream, uint32_t coded, const char *name)
{
	struct virtio_video_stream_create c = {.hdr = {VIRTIO_VIDEO_CMD_STREAM_CREATE, stream}, .coded_format = coded};

	for (unsigned i = 0; name[i] && i < sizeof(c.tag) - 1; i++)
		c.tag[i] = (uint8_t)name[i];
	return command(v, &c, sizeof(c));
}

int video_stream_destroy(struct video *v, uint32_t stream)
{
	struct virtio_video_stream_destroy c = {.hdr = {VIRTIO_VIDEO_CMD_STREAM_DESTROY, stream}};

	return command(v, &c, sizeof(c));
}

int video_get_params(struct video *v, uint32_t stream, uint32_t queue, struct virtio_video_params *params)
{
	struct virtio_video_get_params c = {.hdr = {VIRTIO_VIDEO_CMD_GET_PARAMS, stream}, .queue_type = queue};
	struct virtio_video_get_params_resp answer;
	int rc = ask(v, &c, sizeof(c), (struct virtq_buffer){NULL, 0}, &answer, sizeof(answer),
		     VIRTIO_VIDEO_RESP_OK_GET_PARAMS);

	if (!rc)
		*params = answer.params;
	return rc;
}

int video_set_params(struct video *v, uint32_t stream, const struct virtio_video_params *params)
{
	struct virtio_video_set_params c = {.hdr = {VIRTIO_VIDEO_CMD_SET_PARAMS, stream}, .params = *params};

	return command(v, &c, sizeof(c));
}

int video_set_params_ext(struct video *v, uint32_t stream, const struct virtio_video_params *params, uint32_t memory)
{
	struct virtio_video_set_params_ext c = {.hdr = {VIRTIO_VIDEO_CMD_SET_PARAMS_EXT, stream},
						.params = {.base = *params, .resource_type = memory}};

	return command(v, &c, sizeof(c));
}

int video_set_control(struct video *v, uint32_t stream, uint32_t control, uint32_t value)
{
	struct {
		struct virtio_video_set_control c;
		struct virtio_video_control_value value;
	} c = {.c = {.hdr = {VIRTIO_VIDEO_CMD_SET_CONTROL, stream}, .control = control}, .value.value = value};

	return command(v, &c, sizeof(c));
}

/* A resource in one buffer, with the 16 bytes at @entry behind the command. */
static int create_resource(struct video *v, uint32_t stream, uint32_t queue, uint32_t id, const void *entry)
{
	struct virtio_video_resource_create c = {
		.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_CREATE, stream},
		.queue_type = queue,
		.resource_id = id,
		.planes_layout = VIRTIO_VIDEO_PLANES_LAYOUT_SINGLE_BUFFER,
		.num_planes = 1,
		.num_entries = {1},
	};
	struct virtio_video_cmd_hdr answer;

	return ask(v, &c, sizeof(c), (struct virtq_buffer){entry, sizeof(struct virtio_video_mem_entry)}, &answer,
		   sizeof(answer), VIRTIO_VIDEO_RESP_OK_NODATA);
}

int video_resource_create(struct video *v, uint32_t stream, uint32_t queue, uint32_t id, const void *memory,
			  uint32_t bytes)
{
	struct virtio_video_mem_entry e = {.addr = dma_address(memory), .length = bytes};

	return create_resource(v, stream, queue, id, &e);
}

int video_resource_create_object(struct video *v, uint32_t stream, uint32_t queue, uint32_t id, const uint8_t uuid[16])
{
	struct virtio_video_object_entry e;

	memcpy(e.uuid, uuid, sizeof(e.uuid));
	return create_resource(v, stream, queue, id, &e);
}

int video_resource_destroy_all(struct video *v, uint32_t stream, uint32_t queue)
{
	struct virtio_video_resource_destroy_all c = {.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, stream},
						      .queue_type = queue};

	return command(v, &c, sizeof(c));
}

int video_queue_clear(struct video *v, uint32_t stream, uint32_t queue)
{
	struct virtio_video_queue_clear c = {.hdr = {VIRTIO_VIDEO_CMD_QUEUE_CLEAR, stream}, .queue_type = queue};

	return command(v, &c, sizeof(c));
}

/* ---- without waiting ---- */

int video_queue(struct video *v, struct video_request *r, uint32_t stream, uint32_t queue, uint32_t id, uint32_t bytes,
		uint64_t timestamp)
{
	struct virtq_buffer b[2] = {{&r->command.queue, sizeof(r->command.queue)}, {&r->answer, sizeof(r->answer)}};

	memset(r, 0, sizeof(*r));
	r->command.queue = (struct virtio_video_resource_queue){
		.hdr = {VIRTIO_VIDEO_CMD_RESOURCE_QUEUE, stream},
		.queue_type = queue,
		.resource_id = id,
		.timestamp = timestamp,
		.num_data_sizes = 1,
		.data_sizes = {bytes},
	};
	return post(v, r, b, 1);
}

int video_drain(struct video *v, struct video_request *r, uint32_t stream)
{
	struct virtq_buffer b[2] = {{&r->command.drain, sizeof(r->command.drain)}, {&r->answer, sizeof(r->answer)}};

	memset(r, 0, sizeof(*r));
	r->command.drain.hdr = (struct virtio_video_cmd_hdr){VIRTIO_VIDEO_CMD_STREAM_DRAIN, stream};
	return post(v, r, b, 1);
}
