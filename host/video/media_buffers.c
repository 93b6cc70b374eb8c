// SPDX-License-Identifier: MIT
/*
 * V4L2's buffers: made by REQBUFS and CREATE_BUFS, of the host's memory (MMAP) or of the guest's pages (SHARED_PAGES,
 * which is V4L2's USERPTR), and queued by QBUF.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/media.h"
#include "host/video/pages.h"
#include "host/virtio/mem.h"
#include "host/virtio/shared_heap.h"

#define NS_PER_S 1000000000u

/* Places of planes as QUERYBUF tells them: pages of any guest. */
#define PLANE_SHIFT 16u

static uint32_t plane_place(enum video_queue q, unsigned index, unsigned plane)
{
	return ((q * MEDIA_MAX_BUFFERS + index) * VIDEO_MAX_PLANES + plane) << PLANE_SHIFT;
}

const struct media_plane *media_find_plane(const struct media_session *s, uint32_t offset, struct media_memory **memory)
{
	const uint32_t number = offset >> PLANE_SHIFT, plane = number % VIDEO_MAX_PLANES;
	const uint32_t index = number / VIDEO_MAX_PLANES % MEDIA_MAX_BUFFERS;
	const uint32_t q = number / VIDEO_MAX_PLANES / MEDIA_MAX_BUFFERS;
	struct media_buffer *b;

	if (offset & ((1u << PLANE_SHIFT) - 1) || q >= VIDEO_QUEUE_COUNT || index >= s->queues[q].count ||
	    plane >= s->queues[q].plane_count)
		return NULL;
	b = s->queues[q].buffers[index];
	if (!b->memory)
		return NULL;
	*memory = b->memory;
	return &b->planes[plane];
}

/* ---- making them ---- */

static void free_buffer(struct media_session *s, struct media_buffer *b)
{
	media_drop_note(s->media, &b->note);
	media_memory_drop(b->memory);
	media_store_give(&s->media->store, b->piece_capacity * sizeof(struct iovec));
	free(b);
}

void media_free_buffers(struct media_session *s, enum video_queue q)
{
	struct media_queue *queue = &s->queues[q];

	if (queue->count == 0)
		return;
	/* They wait nowhere any more but here. */
	queue->first_pending = NULL;
	queue->last_pending = &queue->first_pending;
	stream_drop_buffers(s->stream, q);
	while (queue->count > 0) {
		free_buffer(s, queue->buffers[--queue->count]);
		media_record_buffer_gone(s, q, queue->count);
	}
	queue->memory = 0;
}

/* The planes of @b lie in @memory from @offset on, a piece each. */
static int use_memory(const struct media_queue *queue, struct media_buffer *b, struct media_memory *memory,
		      size_t offset)
{
	b->core->pieces = calloc(queue->plane_count, sizeof(*b->core->pieces));
	if (!b->core->pieces)
		return -ENOMEM;
	for (unsigned i = 0; i < queue->plane_count; i++) {
		b->planes[i].offset = offset;
		b->core->pieces[i] = (struct iovec){memory->host + offset, b->planes[i].length};
		offset += media_whole_pages(b->planes[i].length);
	}
	b->core->piece_count = queue->plane_count;
	media_memory_hold(memory);
	b->memory = memory;
	return 0;
}

size_t media_buffer_bytes(const struct media_queue *queue, const uint32_t *sizes)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < queue->plane_count; i++)
		bytes += media_whole_pages(sizes[i]);
	return bytes;
}

static bool may_be_lent(const struct media_session *s, enum video_queue q)
{
	const struct media *m = s->media;

	return video_may_be_lent(m->offers, m->offer_count, m->config.encoder, s->stream->coded, q == VIDEO_INPUT);
}

int media_add_buffer(struct media_session *s, enum video_queue q, const uint32_t *sizes, struct media_memory *memory,
		     size_t offset)
{
	struct media_queue *queue = &s->queues[q];
	struct media_buffer *b = calloc(1, sizeof(*b));
	int err = -ENOMEM;

	if (!b)
		return -ENOMEM;
	b->core = calloc(1, sizeof(*b->core));
	if (!b->core)
		goto fail;
	b->core->id = queue->count;
	b->note = (struct media_note){.kind = MEDIA_NOTE_BUFFER, .session = s, .index = queue->count, .queue = q};
	for (unsigned i = 0; i < queue->plane_count; i++)
		b->planes[i].length = sizes[i];
	err = memory ? use_memory(queue, b, memory, offset) : 0;
	if (err < 0)
		goto fail;
	if (memory && queue->plane_count == 1 && may_be_lent(s, q))
		b->core->pages =
			video_pages_map_file(shared_heap_fd(s->media->store.heap), memory->place + offset, sizes[0]);
	stream_add_buffer(s->stream, q, b->core);
	queue->buffers[queue->count++] = b;
	return 0;

fail:
	video_buffer_destroy(b->core);
	free(b);
	return err;
}

/* @count buffers more. Those of MMAP share one piece of the host's memory: a descriptor each would be many. */
static int add_buffers(struct media_session *s, enum video_queue q, const uint32_t *sizes, unsigned count)
{
	struct media_queue *queue = &s->queues[q];
	const size_t bytes = media_buffer_bytes(queue, sizes);
	struct media_memory *memory = NULL;
	int err = 0;

	if (queue->memory == V4L2_MEMORY_MMAP && count > 0)
		err = media_memory_create(&s->media->store, count * bytes, &memory);
	for (unsigned i = 0; !err && i < count; i++) {
		err = media_add_buffer(s, q, sizes, memory, i * bytes);
		if (!err)
			media_record_buffer(s, q, queue->buffers[queue->count - 1]);
	}
	media_memory_drop(memory);
	return err;
}

static uint32_t capabilities(void)
{
	return V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_USERPTR | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS;
}

static bool knows_memory(uint32_t memory)
{
	return memory == V4L2_MEMORY_MMAP || memory == V4L2_MEMORY_USERPTR;
}

static unsigned max_buffers(const struct media_session *s)
{
	const unsigned limit = s->media->config.limits.buffers;

	return limit < MEDIA_MAX_BUFFERS ? limit : MEDIA_MAX_BUFFERS;
}

int media_reqbufs(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_requestbuffers *r = &i->u.reqbufs;
	uint32_t sizes[MEDIA_MAX_PLANES];
	struct media_queue *queue;
	enum video_queue q;
	int err;

	if (!media_find_queue(r->type, &q) || !knows_memory(r->memory))
		return MEDIA_REFUSE(
			i, -EINVAL,
			"buffer type %u, memory %u; types are 9 and 10, memory is 1 (MMAP) or 2 (SHARED_PAGES)",
			r->type, r->memory);
	queue = &s->queues[q];
	if (r->count > 0 && queue->streaming)
		return MEDIA_REFUSE(i, -EBUSY, "the queue is on; STREAMOFF first");
	/* None: V4L2 has it as a STREAMOFF too. */
	if (r->count == 0)
		media_stop_queue(s, q);
	media_free_buffers(s, q);
	if (r->count > 0)
		queue->memory = r->memory;
	queue->plane_count = media_plane_sizes(s, q, sizes);
	r->count = r->count < max_buffers(s) ? r->count : max_buffers(s);
	err = add_buffers(s, q, sizes, r->count);
	if (err < 0) {
		media_free_buffers(s, q);
		queue->memory = 0;
		return MEDIA_REFUSE(i, err, "%u buffers are more than may be; see the option memory", r->count);
	}
	r->capabilities = capabilities();
	r->flags = 0;
	memset(r->reserved, 0, sizeof(r->reserved));
	return 0;
}

int media_create_bufs(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_create_buffers *c = &i->u.create;
	const struct v4l2_pix_format_mplane *p = &c->format.fmt.pix_mp;
	uint32_t sizes[MEDIA_MAX_PLANES];
	struct media_queue *queue;
	unsigned planes, first, wanted;
	enum video_queue q;

	if (!media_find_queue(c->format.type, &q) || !knows_memory(c->memory))
		return MEDIA_REFUSE(
			i, -EINVAL,
			"buffer type %u, memory %u; types are 9 and 10, memory is 1 (MMAP) or 2 (SHARED_PAGES)",
			c->format.type, c->memory);
	queue = &s->queues[q];
	first = queue->count;
	c->index = first;
	c->capabilities = capabilities();
	c->flags = 0;
	memset(c->reserved, 0, sizeof(c->reserved));
	planes = media_plane_sizes(s, q, sizes);
	if (c->count == 0)
		return 0;
	if (queue->memory != 0 && (queue->memory != c->memory || queue->plane_count != planes))
		return MEDIA_REFUSE(i, -EINVAL, "the queue has buffers of another kind");
	for (unsigned k = 0; k < planes; k++) {
		const uint32_t size = p->plane_fmt[k].sizeimage;

		if (p->num_planes != planes || size < sizes[k] || size > MEDIA_MAX_PLANE_BYTES)
			return MEDIA_REFUSE(i, -EINVAL,
					    "%u planes, plane %u of %u bytes; the format has %u and needs %u",
					    p->num_planes, k, size, planes, sizes[k]);
		sizes[k] = size;
	}
	if (first >= max_buffers(s))
		return MEDIA_REFUSE(i, -ENOBUFS, "%u buffers are the most", max_buffers(s));
	queue->memory = c->memory;
	queue->plane_count = planes;
	wanted = c->count < max_buffers(s) - first ? c->count : max_buffers(s) - first;
	/* Some are better than none; those of a try that failed half-way are some. */
	while (wanted > 0 && add_buffers(s, q, sizes, wanted) < 0 && queue->count == first)
		wanted /= 2;
	c->count = queue->count - first;
	if (c->count > 0)
		return 0;
	queue->memory = first > 0 ? queue->memory : 0;
	return MEDIA_REFUSE(i, -ENOMEM, "the buffer is more than may be; see the option memory");
}

/* ---- what is said of them ---- */

static uint32_t state_flags(enum media_buffer_state state)
{
	static const uint32_t flags[] = {
		[MEDIA_PENDING] = V4L2_BUF_FLAG_QUEUED,
		[MEDIA_QUEUED] = V4L2_BUF_FLAG_QUEUED,
		[MEDIA_DONE] = V4L2_BUF_FLAG_DONE,
	};

	return flags[state];
}

void media_describe_buffer(const struct media_session *s, enum video_queue q, unsigned index, struct v4l2_buffer *b,
			   struct v4l2_plane *planes)
{
	const struct media_queue *queue = &s->queues[q];
	const struct media_buffer *m = queue->buffers[index];

	b->index = index;
	b->type = media_queue_type(q);
	b->flags = m->flags | state_flags(m->state) | V4L2_BUF_FLAG_TIMESTAMP_COPY;
	b->field = V4L2_FIELD_NONE;
	b->timestamp.tv_sec = (__typeof__(b->timestamp.tv_sec))(m->timestamp_ns / NS_PER_S);
	b->timestamp.tv_usec = (__typeof__(b->timestamp.tv_usec))(m->timestamp_ns % NS_PER_S / 1000);
	b->timecode = m->flags & V4L2_BUF_FLAG_TIMECODE ? m->timecode : (struct v4l2_timecode){0};
	b->sequence = m->sequence;
	b->memory = queue->memory;
	b->length = queue->plane_count;
	b->reserved2 = 0;
	b->request_fd = 0;
	for (unsigned k = 0; k < queue->plane_count; k++) {
		planes[k] = (struct v4l2_plane){
			.bytesused = m->planes[k].bytes_used,
			.length = m->planes[k].length,
			.data_offset = m->planes[k].data_offset,
		};
		if (queue->memory == V4L2_MEMORY_MMAP)
			planes[k].m.mem_offset = plane_place(q, index, k);
		else
			planes[k].m.userptr = m->planes[k].userptr;
	}
}

/*
 * The buffer and the planes that the guest sent, checked against what there is; *@q and *@out are which. All planes
 * that it sent are answered.
 */
static int read_buffer(struct media_session *s, struct media_ioctl *i, enum video_queue *q, struct media_buffer **out)
{
	struct v4l2_buffer *b = &i->u.buffer;
	const struct media_queue *queue;

	if (!media_find_queue(b->type, q))
		return MEDIA_REFUSE(i, -EINVAL, "buffer type %u; 9 is CAPTURE, 10 is OUTPUT", b->type);
	queue = &s->queues[*q];
	if (b->index >= queue->count)
		return MEDIA_REFUSE(i, -EINVAL, "no buffer %u; the queue has %u", b->index, queue->count);
	if (b->length < queue->plane_count || b->length > VIDEO_MAX_PLANES)
		return MEDIA_REFUSE(i, -EINVAL, "buffer %u: %u planes; it has %u", b->index, b->length,
				    queue->plane_count);
	i->tail = i->planes;
	i->tail_bytes = b->length * sizeof(i->planes[0]);
	if (reader_copy(i->rest, i->planes, i->tail_bytes) < 0 || i->room < sizeof(*b) + i->tail_bytes)
		return MEDIA_REFUSE(i, -EINVAL,
				    "buffer %u: the planes must follow, in the request and in the room for the answer",
				    b->index);
	*out = queue->buffers[b->index];
	return 0;
}

int media_querybuf(struct media_session *s, struct media_ioctl *i)
{
	struct media_buffer *m;
	enum video_queue q;
	int err = read_buffer(s, i, &q, &m);

	if (err == 0)
		media_describe_buffer(s, q, i->u.buffer.index, &i->u.buffer, i->planes);
	return err;
}

/* ---- queueing ---- */

/* Room for @count pieces more in @b. */
static bool grow_pieces(struct media_session *s, struct media_buffer *b, size_t count)
{
	const size_t used = b->core->piece_count, capacity = 2 * used + count;
	struct iovec *pieces;

	if (used + count <= b->piece_capacity)
		return true;
	if (!media_store_take(&s->media->store, (capacity - b->piece_capacity) * sizeof(*pieces)))
		return false;
	pieces = realloc(b->core->pieces, capacity * sizeof(*pieces));
	if (!pieces) {
		media_store_give(&s->media->store, (capacity - b->piece_capacity) * sizeof(*pieces));
		return false;
	}
	b->core->pieces = pieces;
	b->piece_capacity = capacity;
	return true;
}

/* Read the memory entries of a plane of @length bytes. What touches in host memory is joined. */
static int read_entries(struct media_session *s, struct media_ioctl *i, struct media_buffer *b, uint32_t length,
			unsigned *entries)
{
	for (uint32_t left = length; left > 0;) {
		struct virtio_media_sg_entry e;
		struct iovec *last = b->core->piece_count > 0 ? &b->core->pieces[b->core->piece_count - 1] : NULL;
		char *host;

		if (read_obj(i->rest, &e) < 0)
			return MEDIA_REFUSE(i, -EINVAL, "buffer %u: memory entries for %u bytes are missing",
					    b->core->id, left);
		if (++*entries > s->media->config.limits.buffer_entries)
			return MEDIA_REFUSE(i, -ENOMEM, "buffer %u: more than %u memory entries", b->core->id,
					    s->media->config.limits.buffer_entries);
		/* The last may be longer than what is left of the plane. */
		host = guest_mem_range(s->media->device.mem, e.start, e.len);
		if (!host)
			return MEDIA_REFUSE(i, -EINVAL, "buffer %u: %u bytes at 0x%llx are not guest memory",
					    b->core->id, e.len, (unsigned long long)e.start);
		if (e.len > left)
			e.len = left;
		left -= e.len;
		if (last && (char *)last->iov_base + last->iov_len == host) {
			last->iov_len += e.len;
			continue;
		}
		if (!grow_pieces(s, b, 1))
			return MEDIA_REFUSE(i, -ENOMEM, "buffer %u: its memory is in too many pieces", b->core->id);
		b->core->pieces[b->core->piece_count++] = (struct iovec){host, e.len};
	}
	return 0;
}

/* The guest's pages behind the planes. */
static int take_pages(struct media_session *s, struct media_ioctl *i, enum video_queue q, struct media_buffer *b)
{
	const struct media_queue *queue = &s->queues[q];
	/*
	 * The client still goes on with buffers of the old size. They take no picture of the new one, but one of them is marked as
	 * the last, and the others come back when CAPTURE is restarted or START is said, as those of MMAP do.
	 */
	const bool behind_change = q == VIDEO_OUTPUT && stream_output_is_held(s->stream);
	unsigned entries = 0;
	uint32_t sizes[MEDIA_MAX_PLANES];
	int err;

	media_plane_sizes(s, q, sizes);
	b->core->piece_count = 0;
	for (unsigned k = 0; k < queue->plane_count; k++) {
		if (i->planes[k].length < sizes[k] && !behind_change)
			return MEDIA_REFUSE(i, -EINVAL, "buffer %u: plane %u has %u bytes; the format needs %u",
					    b->core->id, k, i->planes[k].length, sizes[k]);
		err = read_entries(s, i, b, i->planes[k].length, &entries);
		if (err < 0)
			return err;
		b->planes[k].length = i->planes[k].length;
		b->planes[k].userptr = i->planes[k].m.userptr;
	}
	return 0;
}

/* V4L2 counts the offset as used. A picture is whole whatever it says. */
static bool plane_is_good(const struct media_plane *p)
{
	return p->bytes_used <= p->length && (p->data_offset == 0 || p->data_offset < p->bytes_used);
}

int media_place(struct media_session *s, enum video_queue q, struct media_buffer *b)
{
	struct video_buffer *core = b->core;

	core->bytes = 0;
	core->plane_count = s->queues[q].plane_count;
	for (unsigned k = 0; k < core->plane_count; k++) {
		if (!plane_is_good(&b->planes[k]))
			return -EINVAL;
		core->planes[k].offset = core->bytes + b->planes[k].data_offset;
		core->bytes += b->planes[k].length;
		core->planes[k].end = core->bytes;
	}
	if (q == VIDEO_OUTPUT)
		return 0;
	core->data_bytes = s->media->config.encoder ? s->stream->layout.total_bytes
						    : b->planes[0].bytes_used - b->planes[0].data_offset;
	return core->data_bytes > MEDIA_MAX_CODED_BYTES && !s->media->config.encoder ? -ENOMEM : 0;
}

/* The same as the guest says. */
static int place(struct media_session *s, struct media_ioctl *i, enum video_queue q, struct media_buffer *b)
{
	int err;

	for (unsigned k = 0; k < s->queues[q].plane_count; k++) {
		const struct v4l2_plane *p = &i->planes[k];
		/* CAPTURE's are the device's to say. */
		const struct media_plane wanted = {
			.length = b->planes[k].length,
			.data_offset = q == VIDEO_INPUT ? p->data_offset : 0,
			.bytes_used = q == VIDEO_INPUT ? p->bytesused : 0,
		};

		if (!plane_is_good(&wanted))
			return MEDIA_REFUSE(i, -EINVAL, "buffer %u: plane %u: %u bytes from %u of %u", b->core->id, k,
					    wanted.bytes_used, wanted.data_offset, wanted.length);
		b->planes[k].data_offset = wanted.data_offset;
		b->planes[k].bytes_used = wanted.bytes_used;
	}
	err = media_place(s, q, b);
	if (err < 0)
		return MEDIA_REFUSE(i, err, "buffer %u: %zu bytes of coded data; %u are the most at once", b->core->id,
				    b->core->data_bytes, MEDIA_MAX_CODED_BYTES);
	return 0;
}

void media_keep_stamp(struct media_session *s, const struct media_buffer *b)
{
	s->stamps[s->next_stamp++ % MEDIA_STAMPS] =
		(struct media_stamp){b->timestamp_ns, b->flags & MEDIA_COPIED_FLAGS, b->timecode};
}

/* For a codec that uses them where they are. Guests queue a buffer with the same pages again and again. */
static void map_pages(struct media_session *s, struct media_buffer *b)
{
	if (video_pages_are_of(b->core->pages, b->core))
		return;
	video_pages_unref(b->core->pages);
	b->core->pages = video_pages_map(s->media->device.mem, b->core);
}

/* OUTPUT's time is the guest's, and goes along with what is made of it. */
static void take_stamp(struct media_session *s, struct media_buffer *b, const struct v4l2_buffer *v)
{
	b->timestamp_ns = (uint64_t)v->timestamp.tv_sec * NS_PER_S + (uint64_t)v->timestamp.tv_usec * 1000;
	b->core->timestamp = b->timestamp_ns;
	b->flags =
		v->flags & (MEDIA_COPIED_FLAGS | V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME);
	b->timecode = v->timecode;
	media_keep_stamp(s, b);
}

int media_qbuf(struct media_session *s, struct media_ioctl *i)
{
	struct v4l2_buffer *v = &i->u.buffer;
	struct media_queue *queue;
	struct media_buffer *b;
	enum video_queue q;
	int err = read_buffer(s, i, &q, &b);

	if (err < 0)
		return err;
	queue = &s->queues[q];
	if (v->memory != queue->memory)
		return MEDIA_REFUSE(i, -EINVAL, "buffer %u: memory %u; the queue's is %u", v->index, v->memory,
				    queue->memory);
	if (b->state != MEDIA_FREE)
		return MEDIA_REFUSE(i, -EINVAL, "buffer %u is queued already", v->index);
	if (v->flags & V4L2_BUF_FLAG_REQUEST_FD)
		return MEDIA_REFUSE(i, -EBADR, "this device has no requests");
	if (s->failed)
		return MEDIA_REFUSE(i, -EIO, "the stream has failed; restart the OUTPUT queue");
	err = queue->memory == V4L2_MEMORY_USERPTR ? take_pages(s, i, q, b) : 0;
	if (err == 0)
		err = place(s, i, q, b);
	if (err < 0)
		return err;
	if (queue->memory == V4L2_MEMORY_USERPTR && may_be_lent(s, q))
		map_pages(s, b);
	b->flags = 0;
	b->sequence = 0;
	b->timestamp_ns = 0;
	if (q == VIDEO_INPUT)
		take_stamp(s, b, v);
	b->core->force_keyframe = false;
	media_pend(queue, b);
	media_record_buffer(s, q, b);
	/* The answer says how it is now, not what comes of it. */
	media_describe_buffer(s, q, v->index, v, i->planes);
	media_feed(s, q);
	return 0;
}
