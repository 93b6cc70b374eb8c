// SPDX-License-Identifier: MIT
#include "host/input/input.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/input/evdev.h"
#include "host/input/state.h"
#include "host/virtio/counters.h"
#include "host/virtio/device.h"

#define QUEUE_SIZE 64u

struct input {
	struct virtio_device device;
	struct input_identity identity;
	uint8_t select, subsel;
	struct loop_fd evdev; /* fd -1: none */
	struct evdev_reader reader;
	uint64_t status_events, leds;

	pthread_mutex_t lock; /* all below */
	bool running;         /* a driver is there */
	bool lost;            /* @wanted is ahead of what is queued */
	bool posted;
	struct loop_task task;
	struct input_event_value queue[INPUT_QUEUE_MAX];
	unsigned head, count;
	struct input_state queued; /* as the guest sees it when it has fetched the queue */
	struct input_state wanted; /* as it is */
	uint64_t reports, dropped_reports, events;
};

static const struct virtio_device_ops input_ops;

static struct input *input_from_device(struct virtio_device *d)
{
	assert(d->ops == &input_ops);
	return (struct input *)d;
}

/* ---- the queue; the lock is held ---- */

static void put(struct input *in, const struct input_event_value *e)
{
	in->queue[(in->head + in->count++) % INPUT_QUEUE_MAX] = *e;
}

static bool queue_report(struct input *in, const struct input_event_value *events, unsigned n)
{
	static const struct input_event_value end = {EV_SYN, SYN_REPORT, 0};

	if (in->count + n + 1 > INPUT_QUEUE_MAX)
		return false;
	for (unsigned i = 0; i < n; i++) {
		input_state_apply(&in->queued, &events[i]);
		put(in, &events[i]);
	}
	put(in, &end);
	in->reports++;
	return true;
}

/* The guest has fetched all: tell it what it missed. */
static void catch_up(struct input *in)
{
	struct input_event_value events[INPUT_REPORT_MAX];
	unsigned n = input_state_diff(&in->queued, &in->wanted, events, INPUT_REPORT_MAX);

	if (n)
		queue_report(in, events, n);
	/* A difference of more than one report takes another turn. */
	in->lost = n == INPUT_REPORT_MAX;
}

/* Copy the next events, @cap at most, and leave them queued. */
static unsigned peek(struct input *in, struct input_event_value *events, unsigned cap)
{
	unsigned n;

	if (!in->count && in->lost)
		catch_up(in);
	n = in->count < cap ? in->count : cap;
	for (unsigned i = 0; i < n; i++)
		events[i] = in->queue[(in->head + i) % INPUT_QUEUE_MAX];
	return n;
}

/* ---- to the guest ---- */

/* A buffer with @e in it, or NULL while the guest has posted none (or broke its ring). */
static struct chain *fill(struct input *in, const struct input_event_value *e)
{
	const struct virtio_input_event wire = {e->type, e->code, (uint32_t)e->value};
	struct chain *c;

	while (virtq_pop(in->device.queues[VIRTIO_INPUT_QUEUE_EVENT], &c) == 1) {
		if (writer_left(chain_writer(c)) >= sizeof(wire) && write_obj(chain_writer(c), &wire) == 0)
			return c;
		log_guest(LOG_TOPIC_INPUT, &in->device.log_limit, "%s: event buffer without room for 8 bytes; fix the driver",
			  in->identity.name);
		chain_finish(c);
	}
	return NULL;
}

static void pump(struct input *in)
{
	struct input_event_value events[QUEUE_SIZE];
	struct chain *chains[QUEUE_SIZE];
	unsigned n, filled;

	do {
		pthread_mutex_lock(&in->lock);
		n = in->running ? peek(in, events, QUEUE_SIZE) : 0;
		pthread_mutex_unlock(&in->lock);
		for (filled = 0; filled < n; filled++) {
			chains[filled] = fill(in, &events[filled]);
			if (!chains[filled])
				break;
		}
		/* One interrupt for all of them. */
		if (filled)
			chain_finish_all(chains, filled);
		pthread_mutex_lock(&in->lock);
		in->head = (in->head + filled) % INPUT_QUEUE_MAX;
		in->count -= filled;
		in->events += filled;
		pthread_mutex_unlock(&in->lock);
	} while (filled && filled == n);
}

static void run_task(struct loop_task *t)
{
	struct input *in = t->owner;

	pthread_mutex_lock(&in->lock);
	in->posted = false;
	pthread_mutex_unlock(&in->lock);
	pump(in);
}

static bool has(const struct input_identity *d, const struct input_event_value *e)
{
	if (e->type == EV_SYN)
		return e->code == SYN_MT_REPORT;
	return e->type < EV_CNT && e->code / 8 < INPUT_BITMAP_BYTES && (d->events[e->type][e->code / 8] >> (e->code % 8) & 1);
}

bool input_report(struct virtio_device *d, const struct input_event_value *events, unsigned n)
{
	struct input *in = input_from_device(d);
	struct input_event_value known[INPUT_REPORT_MAX];
	unsigned count = 0;
	bool taken = false;

	for (unsigned i = 0; i < n && i < INPUT_REPORT_MAX; i++) {
		if (has(&in->identity, &events[i]))
			known[count++] = events[i];
	}
	if (!count)
		return true;
	pthread_mutex_lock(&in->lock);
	for (unsigned i = 0; i < count; i++)
		input_state_apply(&in->wanted, &known[i]);
	if (in->running && !in->lost)
		taken = queue_report(in, known, count);
	if (!taken) {
		in->lost = true;
		in->dropped_reports++;
	} else if (!in->posted) {
		in->posted = true;
		loop_post(in->device.loop, &in->task);
	}
	pthread_mutex_unlock(&in->lock);
	return taken;
}

/* ---- from the host's device ---- */

static void report(void *owner, const struct input_event_value *events, unsigned n)
{
	struct input *in = owner;

	input_report(&in->device, events, n);
}

/* The host's kernel dropped events: what its device holds now is what counts. */
static void resync_keys(struct input *in)
{
	uint8_t keys[sizeof(in->wanted.keys)];

	if (evdev_keys(in->evdev.fd, keys, sizeof(keys)))
		return;
	pthread_mutex_lock(&in->lock);
	memcpy(in->wanted.keys, keys, sizeof(keys));
	in->lost = true;
	pthread_mutex_unlock(&in->lock);
	pump(in);
}

static void on_evdev(struct loop_fd *f, uint32_t events)
{
	struct input *in = f->owner;
	int err;

	(void)events;
	err = evdev_read(&in->reader, f->fd, report, in);
	if (err) {
		log_line(LOG_TOPIC_INPUT, LOG_WARN, "%s is gone (%s): the guest gets no more events of it", in->identity.name,
			 strerror(-err));
		loop_remove_fd(in->device.loop, f);
		close(f->fd);
		f->fd = -1;
		pthread_mutex_lock(&in->lock);
		memset(in->wanted.keys, 0, sizeof(in->wanted.keys));
		memset(in->wanted.slots, 0, sizeof(in->wanted.slots));
		in->lost = true;
		pthread_mutex_unlock(&in->lock);
		pump(in);
	} else if (in->reader.lost_events) {
		in->reader.lost_events = false;
		resync_keys(in);
	}
}

/* ---- the device ---- */

static int input_start(struct virtio_device *d)
{
	struct input *in = input_from_device(d);

	pthread_mutex_lock(&in->lock);
	in->running = true;
	/* The new driver knows of nothing that is held. */
	in->lost = true;
	pthread_mutex_unlock(&in->lock);
	return 0;
}

static void handle_status(void *owner, struct chain *c)
{
	struct input *in = owner;
	struct virtio_input_event e;

	if (read_obj(chain_reader(c), &e)) {
		log_guest(LOG_TOPIC_INPUT, &in->device.log_limit, "%s: status event of less than 8 bytes; fix the driver",
			  in->identity.name);
		chain_finish(c);
		return;
	}
	chain_finish(c);
	in->status_events++;
	if (e.type == EV_LED && e.code < 64)
		in->leds = e.value ? in->leds | 1ull << e.code : in->leds & ~(1ull << e.code);
	/* Lights and sounds only: whatever else a guest writes is not for the host's device. */
	if (in->evdev.fd >= 0 && (e.type == EV_LED || e.type == EV_SND) && e.code < (e.type == EV_LED ? LED_CNT : SND_CNT))
		evdev_write(in->evdev.fd, e.type, e.code, (int32_t)e.value);
}

static void input_kick(struct virtio_device *d, unsigned q)
{
	struct input *in = input_from_device(d);

	if (q == VIRTIO_INPUT_QUEUE_STATUS)
		virtq_drain(d->queues[q], handle_status, in);
	else
		pump(in);
}

static void input_reset(struct virtio_device *d)
{
	struct input *in = input_from_device(d);

	in->select = in->subsel = 0;
	in->leds = 0;
	pthread_mutex_lock(&in->lock);
	in->running = false;
	in->head = in->count = 0;
	memset(&in->queued, 0, sizeof(in->queued));
	pthread_mutex_unlock(&in->lock);
}

static uint8_t bitmap(struct virtio_input_config *c, const uint8_t *bits)
{
	uint8_t n = INPUT_BITMAP_BYTES;

	memcpy(c->u.bitmap, bits, INPUT_BITMAP_BYTES);
	while (n && !bits[n - 1])
		n--;
	return n;
}

/* Section 5.8.5: what the selected table holds; size 0 where there is none. */
static void fill_config(const struct input *in, struct virtio_input_config *c)
{
	const struct input_identity *d = &in->identity;

	memset(c, 0, sizeof(*c));
	c->select = in->select;
	c->subsel = in->subsel;
	switch (in->select) {
	case VIRTIO_INPUT_CFG_ID_NAME:
		memcpy(c->u.string, d->name, sizeof(d->name));
		c->size = (uint8_t)strnlen(d->name, sizeof(d->name));
		break;
	case VIRTIO_INPUT_CFG_ID_SERIAL:
		memcpy(c->u.string, d->serial, sizeof(d->serial));
		c->size = (uint8_t)strnlen(d->serial, sizeof(d->serial));
		break;
	case VIRTIO_INPUT_CFG_ID_DEVIDS:
		c->u.ids = d->ids;
		c->size = sizeof(c->u.ids);
		break;
	case VIRTIO_INPUT_CFG_PROP_BITS:
		c->size = bitmap(c, d->properties);
		break;
	case VIRTIO_INPUT_CFG_EV_BITS:
		if (in->subsel < EV_CNT)
			c->size = bitmap(c, d->events[in->subsel]);
		break;
	case VIRTIO_INPUT_CFG_ABS_INFO:
		if (in->subsel < ABS_CNT && d->events[EV_ABS][in->subsel / 8] >> (in->subsel % 8) & 1) {
			c->u.abs = d->axes[in->subsel];
			c->size = sizeof(c->u.abs);
		}
		break;
	default:
		break;
	}
}

static int input_config(struct virtio_device *d, uint32_t off, void *buf, size_t n, bool write)
{
	struct input *in = input_from_device(d);
	const uint8_t *bytes = buf;
	struct virtio_input_config c;

	if (off > sizeof(c) || n > sizeof(c) - off)
		return -EINVAL;
	if (!write) {
		fill_config(in, &c);
		memcpy(buf, (const char *)&c + off, n);
		return 0;
	}
	/* Only the two selectors can be written. */
	if (off + n > 2)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (off + i == 0)
			in->select = bytes[i];
		else
			in->subsel = bytes[i];
	}
	return 0;
}

static void input_destroy(struct virtio_device *d)
{
	struct input *in = input_from_device(d);

	if (in->evdev.fd >= 0) {
		loop_remove_fd(d->loop, &in->evdev);
		close(in->evdev.fd);
	}
	loop_unpost(d->loop, &in->task);
	virtio_device_finish(d);
	pthread_mutex_destroy(&in->lock);
	free(in);
}

static const uint16_t input_queues[] = {QUEUE_SIZE, QUEUE_SIZE, 0};

static void input_count(struct virtio_device *d, struct counters *out)
{
	struct input_counters c;

	input_get_counters(d, &c);
	counters_add(out, NULL, "reports", c.reports);
	counters_add(out, NULL, "dropped-reports", c.dropped_reports);
	counters_add(out, NULL, "events", c.events);
	counters_add(out, NULL, "status-events", c.status_events);
}

static const struct virtio_device_ops input_ops = {
	.name = "input",
	.id = VIRTIO_ID_INPUT,
	.queue_max = input_queues,
	.config_bytes = sizeof(struct virtio_input_config),
	.start = input_start,
	.kick = input_kick,
	.reset = input_reset,
	.config = input_config,
	.destroy = input_destroy,
	.count = input_count,
};

int input_create(const struct input_config *config, struct loop *loop, const struct guest_mem *mem,
		 struct virtio_device **out)
{
	struct input *in = calloc(1, sizeof(*in));
	int err;

	if (!in)
		return -ENOMEM;
	in->evdev = (struct loop_fd){.fd = -1, .ready = on_evdev, .owner = in};
	if (config->evdev) {
		in->evdev.fd = evdev_open(config->evdev, config->kind, &in->identity);
		if (in->evdev.fd < 0) {
			err = in->evdev.fd;
			free(in);
			return err;
		}
	} else {
		input_identity_init(&in->identity, config->kind, config->number);
	}
	in->task = (struct loop_task){.run = run_task, .owner = in};
	err = virtio_device_init(&in->device, &input_ops, input_ops.features, loop, mem);
	if (!err && in->evdev.fd >= 0) {
		err = loop_add_fd(loop, &in->evdev, EPOLLIN);
		if (err)
			virtio_device_finish(&in->device);
	}
	if (err) {
		if (in->evdev.fd >= 0)
			close(in->evdev.fd);
		free(in);
		return err;
	}
	pthread_mutex_init(&in->lock, NULL);
	*out = &in->device;
	return 0;
}

void input_get_counters(struct virtio_device *d, struct input_counters *out)
{
	struct input *in = input_from_device(d);

	*out = (struct input_counters){.status_events = in->status_events, .leds = in->leds};
	pthread_mutex_lock(&in->lock);
	out->reports = in->reports;
	out->dropped_reports = in->dropped_reports;
	out->events = in->events;
	pthread_mutex_unlock(&in->lock);
}
