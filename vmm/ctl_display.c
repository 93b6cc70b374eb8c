// SPDX-License-Identifier: MIT
/*
 * Status, displays and screenshots: what has to ask the device with displays, on the loop that it is asked on. A
 * screenshot is drawn into memory, since the device may be in a process that is not to have a file of the user's, and
 * written on the pool, since a file system may take its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/pool.h"
#include "host/virtio/display_control.h"
#include "vmm/ctl_request.h"
#include "vmm/devices.h"
#include "vmm/vm.h"

#define DEVICE_LIMIT_S 5u
#define SCREENSHOT_LIMIT_S 60u
#define DEFAULT_WIDTH 1280u
#define DEFAULT_HEIGHT 800u
#define GPU_SILENT "the GPU's thread doesn't answer: its driver on the host may hang"
#define NO_DISPLAYS "the guest has no displays: start it with --gpu"

struct display_call {
	struct ctl_call call;
	const struct display_control *control;
	struct loop_task there; /* on its loop */
	void (*act)(struct display_call *d);
	unsigned display;
	uint32_t width, height;
	char why[160]; /* it wasn't done; "": it was */
	struct display_device_status status;
	int err; /* of asking for it */
};

static void run_there(struct loop_task *t)
{
	struct display_call *d = t->owner;

	d->act(d);
	ctl_call_back(&d->call);
}

/* Run d->act on the displays' loop, then d->call.finish here. Takes @d. */
static void send_there(struct ctl_client *client, struct display_call *d, const char *late)
{
	d->there = (struct loop_task){.run = run_there, .owner = d};
	if (ctl_defer(client, &d->call, DEVICE_LIMIT_S, late))
		loop_post(d->control->loop, &d->there);
	else
		free(d);
}

/* NULL after a refusal. */
static struct display_call *new_call(struct ctl_client *client, void (*act)(struct display_call *d),
				     bool (*finish)(struct ctl_call *call, struct ctl_client *client))
{
	struct display_call *d = calloc(1, sizeof(*d));

	if (!d) {
		ctl_refuse(client, "out of memory");
		return NULL;
	}
	d->control = devices_display(ctl_client_config(client)->devices);
	d->act = act;
	d->call.finish = finish;
	if (d->control)
		return d;
	free(d);
	ctl_refuse(client, NO_DISPLAYS);
	return NULL;
}

static void add_number(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_int64((int64_t)value));
}

/* ---- status ---- */

static void get_status(struct display_call *d)
{
	d->err = d->control->ops->get_status(d->control->owner, &d->status);
}

static struct json_object *describe_display(unsigned number, const struct display_status *s)
{
	struct json_object *o = json_object_new_object(), *shown;

	add_number(o, "display", number);
	json_object_object_add(o, "connected", json_object_new_boolean(s->width != 0));
	if (s->width) {
		add_number(o, "width", s->width);
		add_number(o, "height", s->height);
	}
	if (s->shown_width) {
		shown = json_object_new_object();
		add_number(shown, "width", s->shown_width);
		add_number(shown, "height", s->shown_height);
		json_object_object_add(o, "shows", shown);
	}
	return o;
}

static struct json_object *describe_machine(struct ctl_client *client)
{
	const struct ctl_config *config = ctl_client_config(client);
	const struct vm_config *vm = vm_get_config(config->vm);
	struct json_object *o = json_object_new_object(), *devices = json_object_new_array();
	const char *name;

	json_object_object_add(o, "state", json_object_new_string(vm_is_paused(config->vm) ? "paused" : "running"));
	if (config->name)
		json_object_object_add(o, "name", json_object_new_string(config->name));
	add_number(o, "pid", (uint64_t)getpid());
	json_object_object_add(o, "version", json_object_new_string(MULLION_VERSION));
	add_number(o, "uptime-ms", ctl_client_uptime_ns(client) / 1000000);
	add_number(o, "cpus", vm->cpus);
	add_number(o, "memory-bytes", vm->memory_bytes);
	for (unsigned i = 0; (name = devices_name(config->devices, i)); i++)
		json_object_array_add(devices, json_object_new_string(name));
	json_object_object_add(o, "devices", devices);
	return o;
}

static struct json_object *describe_gpu(const struct display_device_status *s, int err)
{
	struct json_object *gpu = json_object_new_object();

	json_object_object_add(gpu, "isolated", json_object_new_boolean(s->is_isolated));
	if (s->is_isolated) {
		add_number(gpu, "worker-pid", s->worker_pid);
		add_number(gpu, "deaths", s->deaths);
	}
	if (err) {
		json_object_object_add(gpu, "error", json_object_new_string(strerror(-err)));
		return gpu;
	}
	json_object_object_add(gpu, "renderer", json_object_new_string(s->renderer));
	add_number(gpu, "commands", s->commands);
	add_number(gpu, "errors", s->errors);
	add_number(gpu, "fences", s->fences);
	add_number(gpu, "frames", s->frames);
	add_number(gpu, "pixel-copies", s->pixel_copies);
	add_number(gpu, "pixel-copy-bytes", s->pixel_copy_bytes);
	return gpu;
}

static bool finish_status(struct ctl_call *call, struct ctl_client *client)
{
	const struct display_call *d = (struct display_call *)call;
	struct json_object *o, *displays;

	if (!client)
		return true;
	o = describe_machine(client);
	displays = json_object_new_array();
	for (unsigned i = 0; i < d->status.display_count; i++)
		json_object_array_add(displays, describe_display(i, &d->status.displays[i]));
	json_object_object_add(o, "displays", displays);
	json_object_object_add(o, "gpu", describe_gpu(&d->status, d->err));
	ctl_answer(client, o);
	return true;
}

void ctl_status(struct ctl_client *client, struct json_object *request)
{
	struct display_call *d;

	(void)request;
	if (!devices_display(ctl_client_config(client)->devices)) {
		ctl_answer(client, describe_machine(client));
		return;
	}
	d = new_call(client, get_status, finish_status);
	if (d)
		send_there(client, d, GPU_SILENT);
}

/* ---- displays ---- */

#define ANY_DISPLAY UINT32_MAX

static bool is_connected(const struct display_call *d)
{
	return d->status.displays[d->display].width != 0;
}

/* False when the displays are out of reach. */
static bool look_at_all(struct display_call *d)
{
	get_status(d);
	if (d->err)
		snprintf(d->why, sizeof(d->why), "the GPU's process doesn't answer: %s", strerror(-d->err));
	return !d->err;
}

/* False also when there is no such display. */
static bool look(struct display_call *d)
{
	if (!look_at_all(d))
		return false;
	if (d->display < d->status.display_count)
		return true;
	snprintf(d->why, sizeof(d->why), "no display %u: the guest has %u, numbered from 0; more with --gpu scanouts=N",
		 d->display, d->status.display_count);
	return false;
}

static void set_mode(struct display_call *d)
{
	int err = d->control->ops->set_mode(d->control->owner, d->display, d->width, d->height);

	if (err)
		snprintf(d->why, sizeof(d->why), "display %u doesn't take %ux%u: %s", d->display, d->width, d->height,
			 strerror(-err));
}

static void act_add(struct display_call *d)
{
	if (d->display == ANY_DISPLAY) {
		d->display = 0;
		if (!look_at_all(d))
			return;
		while (d->display < d->status.display_count && is_connected(d))
			d->display++;
		if (d->display == d->status.display_count) {
			snprintf(d->why, sizeof(d->why),
				 "all %u displays are plugged in: start the guest with more, --gpu "
				 "scanouts=N",
				 d->display);
			return;
		}
	} else if (!look(d)) {
		return;
	} else if (is_connected(d)) {
		snprintf(d->why, sizeof(d->why), "display %u is plugged in already: use display-resize", d->display);
		return;
	}
	set_mode(d);
}

static void act_remove(struct display_call *d)
{
	if (look(d) && !is_connected(d))
		snprintf(d->why, sizeof(d->why), "display %u isn't plugged in", d->display);
	if (!*d->why)
		set_mode(d);
}

static void act_resize(struct display_call *d)
{
	if (look(d) && !is_connected(d))
		snprintf(d->why, sizeof(d->why), "display %u isn't plugged in: use display-add", d->display);
	if (!*d->why)
		set_mode(d);
}

static bool finish_display(struct ctl_call *call, struct ctl_client *client)
{
	struct display_call *d = (struct display_call *)call;
	struct json_object *o;

	if (client && *d->why) {
		ctl_refuse(client, "%s", d->why);
	} else if (client) {
		o = json_object_new_object();
		add_number(o, "display", d->display);
		if (d->width) {
			add_number(o, "width", d->width);
			add_number(o, "height", d->height);
		}
		ctl_answer(client, o);
	}
	return true;
}

static void change_display(struct ctl_client *client, struct json_object *request, void (*act)(struct display_call *d),
			   uint32_t width, uint32_t height)
{
	struct display_call *d;

	if (ctl_has(request, "width") != ctl_has(request, "height")) {
		ctl_refuse(client, "\"width\" and \"height\" go together");
		return;
	}
	d = new_call(client, act, finish_display);
	if (!d)
		return;
	d->display = (unsigned)ctl_number(request, "display", ANY_DISPLAY);
	d->width = (uint32_t)ctl_number(request, "width", width);
	d->height = (uint32_t)ctl_number(request, "height", height);
	send_there(client, d, GPU_SILENT);
}

void ctl_display_add(struct ctl_client *client, struct json_object *request)
{
	change_display(client, request, act_add, DEFAULT_WIDTH, DEFAULT_HEIGHT);
}

void ctl_display_remove(struct ctl_client *client, struct json_object *request)
{
	change_display(client, request, act_remove, 0, 0);
}

void ctl_display_resize(struct ctl_client *client, struct json_object *request)
{
	change_display(client, request, act_resize, 0, 0);
}

/* ---- screenshots: draw into memory (displays), write the file (pool), answer ---- */

#define PART_SUFFIX ".XXXXXX"
#define PICTURE_BYTES_MAX (1ll << 30)

struct screenshot_call {
	struct ctl_call call;
	const struct display_control *control;
	struct pool *pool;
	struct pool_job job;
	struct loop_task there;
	struct display_screenshot shot; /* into a memfd; fd -1: not made yet */
	char *path, *part;		/* where it goes, and until it is whole */
	bool is_drawn, is_done;
	int err;
};

static struct screenshot_call *from_call(struct ctl_call *call)
{
	return (struct screenshot_call *)call;
}

static void forget(struct ctl_call *call)
{
	struct screenshot_call *s = from_call(call);

	if (s->shot.fd >= 0)
		close(s->shot.fd);
	free(s->path);
	free(s->part);
}

static void on_drawn(struct display_screenshot *shot)
{
	struct screenshot_call *s = shot->owner;

	s->err = shot->err;
	s->is_drawn = true;
	ctl_call_back(&s->call);
}

static void draw(struct loop_task *t)
{
	struct screenshot_call *s = t->owner;

	s->control->ops->screenshot(s->control->owner, &s->shot);
}

/* What was drawn may still change, or shrink, in the hands of the process that drew. */
static int copy_picture(int from, int to)
{
	struct stat stat;
	off_t at = 0;

	if (fstat(from, &stat) < 0)
		return -errno;
	if (!stat.st_size || stat.st_size > PICTURE_BYTES_MAX)
		return -EIO;
	while (at < stat.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(stat.st_size - at));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
	}
	return 0;
}

static void write_file(struct pool_job *j)
{
	struct screenshot_call *s = j->owner;
	int fd = mkostemp(s->part, O_CLOEXEC);

	s->err = fd < 0 ? -errno : copy_picture(s->shot.fd, fd);
	if (fd >= 0 && close(fd) < 0 && !s->err)
		s->err = -errno;
	if (!s->err && rename(s->part, s->path) < 0)
		s->err = -errno;
	if (s->err && fd >= 0)
		unlink(s->part);
	s->is_done = true;
	ctl_call_back(&s->call);
}

static void refuse_screenshot(struct ctl_client *client, const struct screenshot_call *s)
{
	if (s->is_done)
		ctl_refuse(client, "%s: %s", s->path, strerror(-s->err));
	else if (s->err == -EINVAL)
		ctl_refuse(client, "no display %u; status lists them", s->shot.display);
	else if (s->err == -ENODATA)
		ctl_refuse(client, "display %u shows nothing: the guest has drawn no picture there", s->shot.display);
	else
		ctl_refuse(client, "display %u: no picture: %s", s->shot.display, strerror(-s->err));
}

static bool finish_screenshot(struct ctl_call *call, struct ctl_client *client)
{
	struct screenshot_call *s = from_call(call);
	struct json_object *o;

	if (s->is_drawn && !s->is_done && !s->err) {
		pool_submit(s->pool, &s->job);
		return false;
	}
	if (client && s->err) {
		refuse_screenshot(client, s);
	} else if (client) {
		o = json_object_new_object();
		json_object_object_add(o, "path", json_object_new_string(s->path));
		add_number(o, "display", s->shot.display);
		add_number(o, "width", s->shot.width);
		add_number(o, "height", s->shot.height);
		ctl_answer(client, o);
	}
	forget(call);
	return true;
}

void ctl_screenshot(struct ctl_client *client, struct json_object *request)
{
	const char *path = ctl_text(request, "path");
	struct screenshot_call *s;

	if (*path != '/') {
		ctl_refuse(client, "screenshot: \"path\" is absolute: the guest's process has a folder of its own");
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		ctl_refuse(client, "out of memory");
		return;
	}
	s->shot = (struct display_screenshot){
		.display = (unsigned)ctl_number(request, "display", 0), .fd = -1, .done = on_drawn, .owner = s};
	s->there = (struct loop_task){.run = draw, .owner = s};
	s->job = (struct pool_job){.work = write_file, .owner = s};
	s->call.finish = finish_screenshot;
	s->call.cancel = forget;
	s->control = devices_display(ctl_client_config(client)->devices);
	s->pool = ctl_pool(client);
	s->path = strdup(path);
	s->part = malloc(strlen(path) + sizeof(PART_SUFFIX));
	s->shot.fd = memfd_create("mullion-screenshot", MFD_CLOEXEC);
	if (!s->control) {
		ctl_refuse(client, NO_DISPLAYS);
	} else if (!s->pool || !s->path || !s->part || s->shot.fd < 0) {
		ctl_refuse(client, "out of memory or threads");
	} else if (ctl_defer(client, &s->call, SCREENSHOT_LIMIT_S, GPU_SILENT ", or the file system doesn't")) {
		sprintf(s->part, "%s" PART_SUFFIX, path);
		loop_post(s->control->loop, &s->there);
		return;
	}
	forget(&s->call);
	free(s);
}
