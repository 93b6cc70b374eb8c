// SPDX-License-Identifier: MIT
#include "host/input/evdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/base/log.h"

#define BATCH 64u

static bool has(const struct input_identity *d, unsigned type, unsigned code)
{
	return d->events[type][code / 8] >> (code % 8) & 1;
}

static bool fits(const struct input_identity *d, enum input_kind kind)
{
	switch (kind) {
	case INPUT_KEYBOARD:
		return has(d, EV_KEY, KEY_ENTER);
	case INPUT_TABLET:
		return has(d, EV_ABS, ABS_X) && has(d, EV_ABS, ABS_Y);
	case INPUT_MULTITOUCH:
		return has(d, EV_ABS, ABS_MT_POSITION_X) && has(d, EV_ABS, ABS_MT_SLOT);
	case INPUT_MOUSE:
		return has(d, EV_REL, REL_X);
	default:
		return false;
	}
}

static int read_identity(int fd, struct input_identity *d)
{
	struct input_id id;

	memset(d, 0, sizeof(*d));
	if (ioctl(fd, EVIOCGID, &id) < 0)
		return -errno;
	d->ids = (struct virtio_input_devids){id.bustype, id.vendor, id.product, id.version};
	if (ioctl(fd, EVIOCGNAME(sizeof(d->name) - 1), d->name) < 0)
		d->name[0] = '\0';
	if (ioctl(fd, EVIOCGUNIQ(sizeof(d->serial) - 1), d->serial) < 0)
		d->serial[0] = '\0';
	if (ioctl(fd, EVIOCGPROP(sizeof(d->properties)), d->properties) < 0)
		memset(d->properties, 0, sizeof(d->properties));
	/* EV_SYN's bits are the types themselves, which the guest concludes from the rest. */
	for (unsigned type = EV_SYN + 1; type < EV_CNT; type++) {
		if (ioctl(fd, EVIOCGBIT(type, sizeof(d->events[type])), d->events[type]) < 0)
			memset(d->events[type], 0, sizeof(d->events[type]));
	}
	/* Force feedback needs an upload of effects, which virtio-input has no message for. */
	memset(d->events[EV_FF], 0, sizeof(d->events[EV_FF]));
	for (unsigned code = 0; code < ABS_CNT; code++) {
		struct input_absinfo a;

		if (has(d, EV_ABS, code) && ioctl(fd, EVIOCGABS(code), &a) >= 0)
			d->axes[code] = (struct virtio_input_absinfo){(uint32_t)a.minimum, (uint32_t)a.maximum, (uint32_t)a.fuzz,
								      (uint32_t)a.flat, (uint32_t)a.resolution};
	}
	return 0;
}

int evdev_open(const char *path, enum input_kind kind, struct input_identity *identity)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), err;

	if (fd < 0) {
		err = -errno;
		log_line(LOG_TOPIC_INPUT, LOG_ERROR, "can't open %s: %s; %s", path, strerror(-err),
			 err == -EACCES || err == -EPERM ? "join its group (sudo usermod -aG input $USER, then log in again)" :
							   "name an evdev node, like /dev/input/event3");
		return err;
	}
	err = read_identity(fd, identity);
	if (err) {
		log_line(LOG_TOPIC_INPUT, LOG_ERROR, "%s isn't an input device (%s); name an evdev node, like /dev/input/event3", path,
			 strerror(-err));
		goto fail;
	}
	if (!fits(identity, kind)) {
		log_line(LOG_TOPIC_INPUT, LOG_ERROR, "%s (%s) is no %s; name another node, or another kind", path, identity->name,
			 input_kind_name(kind));
		err = -EINVAL;
		goto fail;
	}
	if (ioctl(fd, EVIOCGRAB, 1) < 0) {
		err = -errno;
		log_line(LOG_TOPIC_INPUT, LOG_ERROR, "can't have %s (%s) alone: %s; end the program that holds it", path, identity->name,
			 strerror(-err));
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return err;
}

static void take(struct evdev_reader *r, const struct input_event *e,
		 void (*report)(void *owner, const struct input_event_value *e, unsigned n), void *owner)
{
	if (e->type == EV_SYN && e->code == SYN_DROPPED) {
		r->skipping = true;
	} else if (e->type == EV_SYN && e->code == SYN_REPORT) {
		if (r->skipping)
			r->lost_events = true;
		else if (r->count)
			report(owner, r->events, r->count);
		r->skipping = false;
		r->count = 0;
	} else if (r->skipping) {
		return;
	} else if (r->count == INPUT_REPORT_MAX) {
		r->skipping = true;
	} else {
		r->events[r->count++] = (struct input_event_value){e->type, e->code, e->value};
	}
}

int evdev_read(struct evdev_reader *r, int fd, void (*report)(void *owner, const struct input_event_value *e, unsigned n),
	       void *owner)
{
	struct input_event events[BATCH];
	ssize_t n = read(fd, events, sizeof(events));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ENODEV;
	for (size_t i = 0; i < (size_t)n / sizeof(*events); i++)
		take(r, &events[i], report, owner);
	return 0;
}

int evdev_keys(int fd, uint8_t *keys, size_t bytes)
{
	memset(keys, 0, bytes);
	return ioctl(fd, EVIOCGKEY(bytes), keys) < 0 ? -errno : 0;
}

void evdev_write(int fd, uint16_t type, uint16_t code, int32_t value)
{
	const struct input_event events[] = {{.type = type, .code = code, .value = value}, {.type = EV_SYN, .code = SYN_REPORT}};

	/* A light that stays off is no reason for anything. */
	if (write(fd, events, sizeof(events)) < 0)
		log_line(LOG_TOPIC_INPUT, LOG_DEBUG, "the host's device took no event of type %u: %s", type, strerror(errno));
}
