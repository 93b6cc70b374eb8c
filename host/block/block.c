// SPDX-License-Identifier: MIT
#include "host/block/block.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/base/pool.h"
#include "host/block/image.h"
#include "host/virtio/counters.h"
#include "host/virtio/device.h"
#include "protocol/virtio_block.h"

#define SECTOR_SHIFT 9
#define SECTOR_BYTES (1u << SECTOR_SHIFT)
#define QUEUE_SIZE 256
#define MAX_IOV (QUEUE_SIZE + VIRTQ_INDIRECT_MAX) /* of one chain: a whole ring and an indirect table */
#define MAX_RANGES 16
#define MAX_RANGE_SECTORS (1u << 22)
#define DEFAULT_THREADS 4
#define MAX_THREADS 16

/* The big part of a slot, apart from the rest so that slots never used cost no memory. */
union payload {
	struct iovec iov[MAX_IOV];
	struct virtio_blk_discard_write_zeroes ranges[MAX_RANGES];
};

struct block;

/* One request on its way through a worker. */
struct slot {
	struct pool_job job;
	struct block *block;
	struct chain *chain; /* NULL once a reset has finished it */
	union payload *payload;
	const struct request_kind *kind;
	uint64_t offset;
	uint32_t bytes;
	int count; /* of payload->iov or payload->ranges */
	int result;
	bool durable; /* commit before the answer */
	bool busy;    /* between submit and completion */
	atomic_bool cancel;
	struct slot *next; /* in the free list or the done list */
};

struct block {
	struct virtio_device device;
	char path[128];
	struct image *image;
	struct pool *pool;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];
	int writeback; /* as the driver set it, or -1 */
	struct block_counters counters;
	struct log_limit limit;

	struct slot slots[QUEUE_SIZE];
	union payload *payloads;
	struct slot *free;
	struct chain *waiting_first, *waiting_last; /* for a slot; linked by their owner words */

	struct loop_task collect; /* posted when the done list stops being empty */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned inside;   /* under lock: workers that reset must wait for */
	struct slot *done; /* under lock */
};

/* A request type. @work runs on a worker and may be NULL when @begin answers. */
struct request_kind {
	uint32_t type;
	const char *name;
	bool changes;				       /* refused on a read-only disk */
	bool holds;				       /* reset waits for its worker */
	int feature;				       /* that must be negotiated, or -1 */
	int (*begin)(struct block *b, struct slot *s); /* 0: run @work; DONE; or an answer code */
	int (*work)(struct slot *s);
};

#define SUBMIT (-1) /* beside the status codes of begin() */

static const struct virtio_device_ops block_ops;

static struct block *block_from_device(const struct virtio_device *d)
{
	assert(d->ops == &block_ops);
	return (struct block *)(uintptr_t)d;
}

#define GUEST_ERROR(b, ...) log_guest(LOG_TOPIC_BLOCK, &(b)->limit, __VA_ARGS__)

/* ---- answers ---- */

/* The one answer point: the status is the last byte of the driver's writable part, wherever the cursor is. */
static void answer(struct block *b, struct chain *c, uint8_t status)
{
	struct writer *w = chain_writer(c);
	struct iovec skipped[MAX_IOV];
	size_t left = writer_left(w);

	if (status != VIRTIO_BLK_S_OK)
		b->counters.errors++;
	if (!left || (left > 1 && writer_iov(w, left - 1, skipped, MAX_IOV) < 0) || write_obj(w, &status))
		GUEST_ERROR(b, "%s: request without room for a status byte: fix the driver", b->path);
	chain_finish(c);
}

static uint8_t status_of(struct block *b, const struct slot *s)
{
	if (!s->result)
		return VIRTIO_BLK_S_OK;
	if (s->result == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	GUEST_ERROR(b, "%s: %s at byte %" PRIu64 " failed: %s%s", b->path, s->kind->name, s->offset,
		    strerror(-s->result), s->result == -ENOSPC ? ": make room on the host's file system" : "");
	return VIRTIO_BLK_S_IOERR;
}

/* ---- on the workers ---- */

static int work_read(struct slot *s)
{
	return image_read(s->block->image, s->payload->iov, s->count, s->offset, &s->cancel);
}

static int commit(struct slot *s, int err)
{
	return !err && s->durable ? image_flush(s->block->image) : err;
}

static int work_write(struct slot *s)
{
	return commit(s, image_write(s->block->image, s->payload->iov, s->count, s->offset, &s->cancel));
}

static int work_flush(struct slot *s)
{
	return image_flush(s->block->image);
}

static int work_discard(struct slot *s)
{
	int err = 0;

	for (int i = 0; i < s->count && !err; i++) {
		const struct virtio_blk_discard_write_zeroes *r = &s->payload->ranges[i];

		s->offset = r->sector << SECTOR_SHIFT;
		err = image_discard(s->block->image, s->offset, (uint64_t)r->num_sectors << SECTOR_SHIFT, &s->cancel);
	}
	return commit(s, err);
}

static int work_zero(struct slot *s)
{
	int err = 0;

	for (int i = 0; i < s->count && !err; i++) {
		const struct virtio_blk_discard_write_zeroes *r = &s->payload->ranges[i];

		s->offset = r->sector << SECTOR_SHIFT;
		err = image_zero(s->block->image, s->offset, (uint64_t)r->num_sectors << SECTOR_SHIFT,
				 r->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, &s->cancel);
	}
	return commit(s, err);
}

static void work(struct pool_job *j)
{
	struct slot *s = j->owner;
	struct block *b = s->block;
	bool holds = s->kind->holds, skip, first;

	/* Under the lock, so that reset either sees this worker inside or this worker sees the reset. */
	pthread_mutex_lock(&b->lock);
	skip = atomic_load_explicit(&s->cancel, memory_order_relaxed);
	b->inside += holds && !skip;
	pthread_mutex_unlock(&b->lock);

	s->result = skip ? -ECANCELED : s->kind->work(s);

	pthread_mutex_lock(&b->lock);
	if (holds && !skip && !--b->inside)
		pthread_cond_signal(&b->idle);
	first = !b->done;
	s->next = b->done;
	b->done = s;
	/* Still locked: only the run of the last post empties the list, so the task is never posted twice. */
	if (first)
		loop_post(b->device.loop, &b->collect);
	pthread_mutex_unlock(&b->lock);
}

/* ---- checks, on the loop ---- */

/* Section 5.2.6.2: whole sectors inside the disk. @n is the size of the data part. */
static int check_transfer(struct block *b, struct slot *s, size_t n)
{
	uint64_t sectors = b->config.capacity, first = s->offset;

	if (n % SECTOR_BYTES) {
		GUEST_ERROR(b, "%s: %s of %zu bytes: not a multiple of 512; fix the driver", b->path, s->kind->name, n);
		return VIRTIO_BLK_S_IOERR;
	}
	if (first > sectors || n >> SECTOR_SHIFT > sectors - first) {
		GUEST_ERROR(b,
			    "%s: %s of %zu bytes at sector %" PRIu64 ": the disk ends at sector %" PRIu64
			    "; enlarge the image or fix the driver",
			    b->path, s->kind->name, n, first, sectors);
		return VIRTIO_BLK_S_IOERR;
	}
	s->offset = first << SECTOR_SHIFT;
	s->bytes = (uint32_t)n;
	return n ? SUBMIT : VIRTIO_BLK_S_OK;
}

static int begin_read(struct block *b, struct slot *s)
{
	struct writer *w = chain_writer(s->chain);
	size_t left = writer_left(w);
	int status = check_transfer(b, s, left ? left - 1 : 0);

	if (status != SUBMIT)
		return status;
	s->count = writer_iov(w, s->bytes, s->payload->iov, MAX_IOV);
	b->counters.reads++;
	b->counters.bytes_read += s->bytes;
	return s->count < 0 ? VIRTIO_BLK_S_IOERR : SUBMIT;
}

static int begin_write(struct block *b, struct slot *s)
{
	struct reader *r = chain_reader(s->chain);
	int status = check_transfer(b, s, reader_left(r));

	if (status != SUBMIT)
		return status;
	s->count = reader_iov(r, s->bytes, s->payload->iov, MAX_IOV);
	b->counters.writes++;
	b->counters.bytes_written += s->bytes;
	return s->count < 0 ? VIRTIO_BLK_S_IOERR : SUBMIT;
}

static int begin_flush(struct block *b, struct slot *s)
{
	s->offset = 0;
	b->counters.flushes++;
	return SUBMIT;
}

/* Section 5.2.6: discard and write zeroes carry an array of ranges. @flags: those allowed. */
static int read_ranges(struct block *b, struct slot *s, uint32_t flags)
{
	struct reader *r = chain_reader(s->chain);
	size_t n = reader_left(r);
	struct virtio_blk_discard_write_zeroes *range = s->payload->ranges;

	if (!n || n % sizeof(*range) || n / sizeof(*range) > MAX_RANGES || reader_copy(r, range, n)) {
		GUEST_ERROR(b, "%s: %s with %zu bytes of ranges: 1 to %d of 16 bytes are allowed; fix the driver",
			    b->path, s->kind->name, n, MAX_RANGES);
		return VIRTIO_BLK_S_IOERR;
	}
	s->count = (int)(n / sizeof(*range));
	for (int i = 0; i < s->count; i++, range++) {
		if (range->flags & ~flags) {
			GUEST_ERROR(b, "%s: %s with flags 0x%" PRIx32 " is not supported; fix the driver", b->path,
				    s->kind->name, range->flags);
			return VIRTIO_BLK_S_UNSUPP;
		}
		if (range->num_sectors > MAX_RANGE_SECTORS || range->sector > b->config.capacity ||
		    range->num_sectors > b->config.capacity - range->sector) {
			GUEST_ERROR(b,
				    "%s: %s of %" PRIu32 " sectors at sector %llu: the disk has %" PRIu64
				    ", at most %u at once; fix the driver",
				    b->path, s->kind->name, range->num_sectors, range->sector,
				    (uint64_t)b->config.capacity, MAX_RANGE_SECTORS);
			return VIRTIO_BLK_S_IOERR;
		}
	}
	return SUBMIT;
}

static int begin_discard(struct block *b, struct slot *s)
{
	b->counters.discards++;
	return read_ranges(b, s, 0);
}

static int begin_zero(struct block *b, struct slot *s)
{
	b->counters.zeroings++;
	return read_ranges(b, s, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
}

static int begin_id(struct block *b, struct slot *s)
{
	struct writer *w = chain_writer(s->chain);

	if (writer_left(w) < sizeof(b->serial) + 1) {
		GUEST_ERROR(b, "%s: GET_ID with a buffer of %zu bytes, needs 20 and a status; fix the driver", b->path,
			    writer_left(w));
		return VIRTIO_BLK_S_IOERR;
	}
	return writer_copy(w, b->serial, sizeof(b->serial)) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static const struct request_kind kinds[] = {
	{VIRTIO_BLK_T_IN, "read", false, true, -1, begin_read, work_read},
	{VIRTIO_BLK_T_OUT, "write", true, true, -1, begin_write, work_write},
	{VIRTIO_BLK_T_FLUSH, "flush", false, false, VIRTIO_BLK_F_FLUSH, begin_flush, work_flush},
	{VIRTIO_BLK_T_GET_ID, "get id", false, false, -1, begin_id, NULL},
	{VIRTIO_BLK_T_DISCARD, "discard", true, true, VIRTIO_BLK_F_DISCARD, begin_discard, work_discard},
	{VIRTIO_BLK_T_WRITE_ZEROES, "write zeroes", true, true, VIRTIO_BLK_F_WRITE_ZEROES, begin_zero, work_zero},
};

static const struct request_kind *find_kind(uint32_t type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

/* Section 5.2.5.2 and 5.2.6.2: without a volatile cache on the driver's side, writes are committed at once. */
static bool writeback(const struct block *b)
{
	return b->writeback >= 0 ? b->writeback : virtio_device_has(&b->device, VIRTIO_BLK_F_FLUSH);
}

/* Returns SUBMIT or a status code. */
static int begin(struct block *b, struct slot *s)
{
	struct virtio_blk_outhdr header;

	if (read_obj(chain_reader(s->chain), &header)) {
		GUEST_ERROR(b, "%s: request header of %zu bytes, needs 16; fix the driver", b->path,
			    reader_left(chain_reader(s->chain)));
		return VIRTIO_BLK_S_IOERR;
	}
	if (!writer_left(chain_writer(s->chain)))
		return VIRTIO_BLK_S_IOERR; /* answer() complains */
	s->kind = find_kind(header.type);
	if (!s->kind || (s->kind->feature >= 0 && !virtio_device_has(&b->device, (unsigned)s->kind->feature))) {
		GUEST_ERROR(b, "%s: request type %" PRIu32 " is %s; fix the driver", b->path, header.type,
			    s->kind ? "not negotiated" : "unknown");
		return VIRTIO_BLK_S_UNSUPP;
	}
	if (s->kind->changes && image_info(b->image)->read_only) {
		GUEST_ERROR(b, "%s: %s on a read-only disk; mount it read-only in the guest", b->path, s->kind->name);
		return VIRTIO_BLK_S_IOERR;
	}
	s->offset = header.sector;
	s->durable = !writeback(b);
	return s->kind->begin(b, s);
}

static void take(struct block *b, struct chain *c)
{
	struct slot *s = b->free;
	int status;

	s->chain = c;
	status = begin(b, s);
	if (status != SUBMIT) {
		s->chain = NULL;
		answer(b, c, (uint8_t)status);
		return;
	}
	b->free = s->next;
	s->busy = true;
	atomic_store_explicit(&s->cancel, false, memory_order_relaxed);
	pool_submit(b->pool, &s->job);
}

static void handle(void *owner, struct chain *c)
{
	struct block *b = owner;

	if (b->free && !b->waiting_first) {
		take(b, c);
		return;
	}
	/* Slots are short only while workers still hold some from before a reset. */
	chain_set_owner(c, NULL);
	if (b->waiting_first)
		chain_set_owner(b->waiting_last, c);
	else
		b->waiting_first = c;
	b->waiting_last = c;
}

static struct chain *next_waiting(struct block *b)
{
	struct chain *c = b->waiting_first;

	if (c)
		b->waiting_first = chain_owner(c);
	return c;
}

static void complete(struct block *b, struct slot *s)
{
	struct chain *c = s->chain;

	s->chain = NULL;
	s->busy = false;
	if (c)
		answer(b, c, status_of(b, s));
	s->next = b->free;
	b->free = s;
}

static void collect(struct loop_task *t)
{
	struct block *b = t->owner;
	struct slot *s, *done = NULL;

	pthread_mutex_lock(&b->lock);
	s = b->done;
	b->done = NULL;
	pthread_mutex_unlock(&b->lock);
	/* The list grew at its head; answer in the order in which the disk finished. */
	while (s) {
		struct slot *next = s->next;

		s->next = done;
		done = s;
		s = next;
	}
	while (done) {
		s = done;
		done = s->next;
		complete(b, s);
	}
	while (b->free && b->waiting_first)
		take(b, next_waiting(b));
}

/* ---- the device class ---- */

static int block_start(struct virtio_device *d)
{
	(void)d;
	return 0;
}

static void block_kick(struct virtio_device *d, unsigned q)
{
	virtq_drain(d->queues[q], handle, block_from_device(d));
}

static void block_reset(struct virtio_device *d)
{
	struct block *b = block_from_device(d);
	struct chain *c;

	pthread_mutex_lock(&b->lock);
	for (int i = 0; i < QUEUE_SIZE; i++)
		if (b->slots[i].busy)
			atomic_store_explicit(&b->slots[i].cancel, true, memory_order_relaxed);
	while (b->inside)
		pthread_cond_wait(&b->idle, &b->lock);
	pthread_mutex_unlock(&b->lock);

	/* From here on no worker uses guest memory: those that begin later see their request cancelled. */
	for (int i = 0; i < QUEUE_SIZE; i++) {
		c = b->slots[i].chain;
		b->slots[i].chain = NULL;
		if (c)
			chain_finish(c);
	}
	while ((c = next_waiting(b)))
		chain_finish(c);
	b->writeback = -1;
}

static int block_config_access(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct block *b = block_from_device(d);
	uint8_t value;

	if (!write) {
		b->config.wce = writeback(b);
		memcpy(buf, (const uint8_t *)&b->config + off, n);
		return 0;
	}
	memcpy(&value, buf, 1);
	if (off != offsetof(struct virtio_blk_config, wce) || n != 1 || value > 1 ||
	    !virtio_device_has(d, VIRTIO_BLK_F_CONFIG_WCE))
		return -EINVAL;
	b->writeback = value;
	return 0;
}

static void block_destroy(struct virtio_device *d)
{
	struct block *b = block_from_device(d);

	pool_destroy(b->pool);
	loop_unpost(d->loop, &b->collect);
	image_close(b->image);
	pthread_cond_destroy(&b->idle);
	pthread_mutex_destroy(&b->lock);
	virtio_device_finish(d);
	free(b->payloads);
	free(b);
}

static const uint16_t block_queues[] = {QUEUE_SIZE, 0};

static void block_count(struct virtio_device *d, struct counters *out)
{
	const struct block_counters *c = &block_from_device(d)->counters;

	counters_add(out, NULL, "reads", c->reads);
	counters_add(out, NULL, "bytes-read", c->bytes_read);
	counters_add(out, NULL, "writes", c->writes);
	counters_add(out, NULL, "bytes-written", c->bytes_written);
	counters_add(out, NULL, "flushes", c->flushes);
	counters_add(out, NULL, "discards", c->discards);
	counters_add(out, NULL, "zeroings", c->zeroings);
	counters_add(out, NULL, "errors", c->errors);
}

static const struct virtio_device_ops block_ops = {
	.name = "block",
	.id = VIRTIO_ID_BLOCK,
	.features = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
		    VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH),
	.queue_max = block_queues,
	.config_bytes = sizeof(struct virtio_blk_config),
	.start = block_start,
	.kick = block_kick,
	.reset = block_reset,
	.config = block_config_access,
	.destroy = block_destroy,
	.count = block_count,
};

static uint8_t exponent(uint32_t ratio)
{
	uint8_t e = 0;

	while (ratio >>= 1)
		e++;
	return e;
}

static uint64_t describe(struct block *b)
{
	const struct image_info *info = image_info(b->image);
	struct virtio_blk_config *config = &b->config;
	uint64_t features = block_ops.features;

	config->capacity = info->size_bytes >> SECTOR_SHIFT;
	config->seg_max = QUEUE_SIZE - 2; /* beside the header and the status */
	config->blk_size = info->logical_bytes;
	config->physical_block_exp = exponent(info->physical_bytes / info->logical_bytes);
	config->min_io_size = (uint16_t)(info->physical_bytes / info->logical_bytes);
	config->opt_io_size = info->optimal_bytes / info->logical_bytes;
	if (info->read_only)
		return features | VIRTIO_BIT(VIRTIO_BLK_F_RO);
	features |= VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	config->max_write_zeroes_sectors = MAX_RANGE_SECTORS;
	config->max_write_zeroes_seg = MAX_RANGES;
	config->write_zeroes_may_unmap = info->can_discard;
	if (info->can_discard) {
		features |= VIRTIO_BIT(VIRTIO_BLK_F_DISCARD);
		config->max_discard_sectors = MAX_RANGE_SECTORS;
		config->max_discard_seg = MAX_RANGES;
		config->discard_sector_alignment = info->physical_bytes >> SECTOR_SHIFT;
	}
	return features;
}

static void init_slots(struct block *b)
{
	for (int i = QUEUE_SIZE - 1; i >= 0; i--) {
		struct slot *s = &b->slots[i];

		s->job.work = work;
		s->job.owner = s;
		s->block = b;
		s->payload = &b->payloads[i];
		s->next = b->free;
		b->free = s;
	}
}

int block_create(const struct block_config *config, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out)
{
	unsigned threads = config->threads ? config->threads : DEFAULT_THREADS;
	struct block *b;
	struct image *image;
	int err;

	if (threads > MAX_THREADS) {
		log_line(LOG_TOPIC_BLOCK, LOG_ERROR, "%s: %u threads: 1 to %d are possible", config->path, threads,
			 MAX_THREADS);
		return -EINVAL;
	}
	err = image_open(config->path, config->read_only, &image);
	if (err)
		return err;
	b = calloc(1, sizeof(*b));
	if (!b) {
		image_close(image);
		return -ENOMEM;
	}
	b->image = image;
	b->writeback = -1;
	b->collect.run = collect;
	b->collect.owner = b;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->idle, NULL);
	strncpy(b->path, config->path, sizeof(b->path) - 1);
	if (config->serial)
		memcpy(b->serial, config->serial, strnlen(config->serial, sizeof(b->serial)));
	err = virtio_device_init(&b->device, &block_ops, describe(b), loop, mem);
	if (err)
		goto fail_init;
	b->payloads = calloc(QUEUE_SIZE, sizeof(*b->payloads));
	if (!b->payloads) {
		err = -ENOMEM;
		goto fail;
	}
	init_slots(b);
	err = pool_create("block", threads, &b->pool);
	if (err)
		goto fail;
	*out = &b->device;
	return 0;
fail:
	block_destroy(&b->device);
	return err;
fail_init:
	image_close(b->image);
	pthread_cond_destroy(&b->idle);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return err;
}

const struct block_counters *block_counters(const struct virtio_device *d)
{
	return &block_from_device(d)->counters;
}
