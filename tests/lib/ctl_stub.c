// SPDX-License-Identifier: MIT
#include "tests/lib/ctl_stub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/input/seat.h"

struct ctl_stub ctl_stub;

/* ---- displays ---- */

static int get_status(void *d, struct display_device_status *out)
{
	(void)d;
	*out = ctl_stub.status;
	return ctl_stub.status_err;
}

static int set_mode(void *d, unsigned display, uint32_t width, uint32_t height)
{
	(void)d;
	if (display >= ctl_stub.status.display_count)
		return -EINVAL;
	ctl_stub.status.displays[display].width = width;
	ctl_stub.status.displays[display].height = height;
	return 0;
}

static void screenshot(void *d, struct display_screenshot *s)
{
	(void)d;
	ctl_stub.shot = s;
	if (ctl_stub.hold_shots)
		return;
	s->err = s->display < ctl_stub.status.display_count ? ctl_stub.shot_err : -EINVAL;
	if (!s->err && write(s->fd, "picture", 7) != 7)
		abort();
	s->width = 7;
	s->height = 1;
	s->done(s);
}

static const struct display_control_ops ops = {get_status, set_mode, screenshot};

static void count(struct virtio_device *d, struct counters *out)
{
	*out = ctl_stub.counters[d - ctl_stub.devices];
}

static const struct virtio_device_ops counting_ops = {.name = "counter", .count = count};

static int count_elsewhere(void *counters, struct counters *out)
{
	*out = *(const struct counters *)counters;
	return ctl_stub.count_err;
}

void ctl_stub_isolate(unsigned n, struct loop *loop)
{
	static const struct virtio_device_ops silent_ops = {.name = "frontend"};

	ctl_stub.devices[n].ops = &silent_ops;
	ctl_stub.elsewhere[n] = (struct counter_source){count_elsewhere, &ctl_stub.counters[n], loop};
}

void ctl_stub_init(struct vm *vm)
{
	memset(&ctl_stub, 0, sizeof(ctl_stub));
	for (unsigned i = 0; i < 2; i++)
		ctl_stub.devices[i] = (struct virtio_device){.ops = &counting_ops, .loop = vm_loop(vm)};
	ctl_stub.has_displays = ctl_stub.has_button = true;
	ctl_stub.status.display_count = 3;
	ctl_stub.status.displays[0] = (struct display_status){1280, 800, 640, 480};
	ctl_stub.control = (struct display_control){.ops = &ops, .loop = vm_loop(vm)};
	if (input_seat_create(&ctl_stub.seat))
		abort();
}

void ctl_stub_finish(void)
{
	input_seat_destroy(ctl_stub.seat);
}

/* ---- vmm/devices.h ---- */

const char *devices_name(const struct devices *d, unsigned n)
{
	static const char *const names[] = {"disk", "gpu"};

	(void)d;
	return n < 2 ? names[n] : NULL;
}

const char *devices_kind(const struct devices *d, unsigned n)
{
	(void)d;
	return n < 2 ? ctl_stub.devices[n].ops->name : NULL;
}

struct virtio_device *devices_device(const struct devices *d, unsigned n)
{
	(void)d;
	return n < 2 ? &ctl_stub.devices[n] : NULL;
}

const struct counter_source *devices_counters(const struct devices *d, unsigned n)
{
	(void)d;
	return n < 2 && ctl_stub.elsewhere[n].count ? &ctl_stub.elsewhere[n] : NULL;
}

const char *devices_socket(const struct devices *d, unsigned n, bool *is_connected)
{
	(void)d;
	*is_connected = ctl_stub.is_connected;
	return n < 2 ? ctl_stub.sockets[n] : NULL;
}

struct input_seat *devices_seat(const struct devices *d)
{
	(void)d;
	return ctl_stub.seat;
}

const struct display_control *devices_display(const struct devices *d)
{
	(void)d;
	return ctl_stub.has_displays ? &ctl_stub.control : NULL;
}

/* ---- vmm/vm.h ---- */

const struct vm_config *vm_get_config(const struct vm *vm)
{
	static const struct vm_config config = {.memory_bytes = 512ull << 20, .cpus = 2};

	(void)vm;
	return &config;
}

void vm_pause(struct vm *vm, struct loop_task *done)
{
	ctl_stub.paused = true;
	ctl_stub.pausing = done;
	if (!ctl_stub.hold_pauses)
		loop_post(vm_loop(vm), done);
}

int vm_resume(struct vm *vm)
{
	(void)vm;
	ctl_stub.paused = false;
	return 0;
}

bool vm_is_paused(const struct vm *vm)
{
	(void)vm;
	return ctl_stub.paused;
}

bool vm_power_button(struct vm *vm)
{
	(void)vm;
	ctl_stub.presses += ctl_stub.has_button;
	return ctl_stub.has_button;
}
