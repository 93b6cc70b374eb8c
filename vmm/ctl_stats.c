// SPDX-License-Identifier: MIT
/*
 * What the devices counted. Each is asked on its own loop, one after another. A GPU in a process of its own says it
 * with its status (host/virtio/display_control.h); other devices elsewhere aren't asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/virtio/counters.h"
#include "host/virtio/device.h"
#include "host/virtio/display_control.h"
#include "vmm/ctl_request.h"
#include "vmm/devices.h"
#include "vmm/vm.h"

#define LIMIT_S 5u

struct stats_call {
	struct ctl_call call;
	struct devices *devices;
	struct loop_task there;
	unsigned next;		      /* device to ask */
	struct virtio_device *device; /* the one that is asked */
	struct json_object *answers;  /* so far */
	struct counters counters;
};

static void add(struct json_object *to, const struct counter *c)
{
	struct json_object *v;

	if (c->kind == COUNTER_TEXT)
		v = json_object_new_string(c->text);
	else if (c->kind == COUNTER_FLAG)
		v = json_object_new_boolean(c->value != 0);
	else if (c->kind == COUNTER_RATIO)
		v = json_object_new_double((double)c->value / 1000);
	else
		v = json_object_new_int64((int64_t)c->value);
	if (c->kind == COUNTER_RATIO)
		json_object_set_serializer(v, json_object_double_to_json_string, (void *)(uintptr_t) "%.3f", NULL);
	json_object_object_add(to, c->name, v);
}

/* {"device":"video","is":"video-decoder","counters":{...},"parts":[{"part":"stream 1","counters":{...}}]} */
static struct json_object *describe(const struct stats_call *s)
{
	struct json_object *o = json_object_new_object(), *counters = json_object_new_object(), *parts = NULL;
	const char *part = "";

	json_object_object_add(o, "device", json_object_new_string(devices_name(s->devices, s->next)));
	json_object_object_add(o, "is", json_object_new_string(s->device->ops->name));
	json_object_object_add(o, "counters", counters);
	for (uint32_t i = 0; i < s->counters.count; i++) {
		const struct counter *c = &s->counters.list[i];

		if (strcmp(c->part, part)) {
			struct json_object *p = json_object_new_object();

			if (!parts) {
				parts = json_object_new_array();
				json_object_object_add(o, "parts", parts);
			}
			part = c->part;
			counters = json_object_new_object();
			json_object_object_add(p, "part", json_object_new_string(part));
			json_object_object_add(p, "counters", counters);
			json_object_array_add(parts, p);
		}
		add(counters, c);
	}
	if (s->counters.left_out)
		json_object_object_add(o, "left-out", json_object_new_int64(s->counters.left_out));
	return o;
}

/* The displays of the device that is asked, when it is elsewhere; else NULL. */
static const struct display_control *elsewhere(const struct stats_call *s)
{
	const bool is_gpu = strcmp(devices_name(s->devices, s->next), "gpu") == 0;

	return is_gpu && !s->device->ops->count ? devices_display(s->devices) : NULL;
}

static void count_elsewhere(const struct display_control *control, struct counters *out)
{
	struct display_device_status d = {0};
	char renderer[sizeof(d.renderer) + 1];

	if (control->ops->get_status(control->owner, &d))
		return;
	snprintf(renderer, sizeof(renderer), "%.*s", (int)sizeof(d.renderer), d.renderer);
	counters_add_text(out, NULL, "renderer", renderer);
	counters_add(out, NULL, "commands", d.commands);
	counters_add(out, NULL, "errors", d.errors);
	counters_add(out, NULL, "fences", d.fences);
	counters_add(out, NULL, "frames", d.frames);
	counters_add(out, NULL, "pixel-copies", d.pixel_copies);
	counters_add(out, NULL, "pixel-copy-bytes", d.pixel_copy_bytes);
	counters_add_ratio(out, NULL, "copies-per-frame", d.pixel_copies, d.frames);
	counters_add(out, NULL, "deaths", d.deaths);
}

static void count(struct stats_call *s)
{
	const struct display_control *control = elsewhere(s);

	memset(&s->counters, 0, sizeof(s->counters));
	if (control)
		count_elsewhere(control, &s->counters);
	else
		s->device->ops->count(s->device, &s->counters);
}

/* Where to ask it; NULL: nowhere. */
static struct loop *loop_of(const struct stats_call *s)
{
	const struct display_control *control = elsewhere(s);

	if (s->device->ops->count)
		return s->device->loop;
	return control ? control->loop : NULL;
}

static void count_there(struct loop_task *t)
{
	struct stats_call *s = t->owner;

	count(s);
	ctl_call_back(&s->call);
}

static void take_in(struct stats_call *s)
{
	/* It may come from another process. */
	counters_check(&s->counters);
	json_object_array_add(s->answers, describe(s));
	s->next++;
}

/* Ask those that are on this loop, up to one that isn't, which is left in s->device. False: all were asked. */
static bool ask(struct stats_call *s)
{
	while ((s->device = devices_device(s->devices, s->next))) {
		const struct loop *loop = loop_of(s);

		if (!loop) {
			s->next++;
		} else if (loop == s->call.loop) {
			count(s);
			take_in(s);
		} else {
			return true;
		}
	}
	return false;
}

static void forget(struct ctl_call *call)
{
	json_object_put(((struct stats_call *)call)->answers);
}

static bool finish(struct ctl_call *call, struct ctl_client *client)
{
	struct stats_call *s = (struct stats_call *)call;
	struct json_object *o;

	if (client) {
		take_in(s);
		if (ask(s)) {
			loop_post(loop_of(s), &s->there);
			return false;
		}
		o = json_object_new_object();
		json_object_object_add(o, "devices", json_object_get(s->answers));
		ctl_answer(client, o);
	}
	forget(call);
	return true;
}

void ctl_stats(struct ctl_client *client, struct json_object *request)
{
	const struct ctl_config *config = ctl_client_config(client);
	struct stats_call *s = calloc(1, sizeof(*s));
	struct json_object *o;

	(void)request;
	if (s)
		s->answers = json_object_new_array();
	if (!s || !s->answers) {
		free(s);
		ctl_refuse(client, "out of memory");
		return;
	}
	s->devices = config->devices;
	s->there = (struct loop_task){.run = count_there, .owner = s};
	s->call.finish = finish;
	s->call.cancel = forget;
	s->call.loop = vm_loop(config->vm);
	if (!ask(s)) {
		o = json_object_new_object();
		json_object_object_add(o, "devices", s->answers);
		ctl_answer(client, o);
	} else if (ctl_defer(client, &s->call, LIMIT_S,
			     "a device's thread doesn't answer: a driver or codec on the host may hang")) {
		loop_post(loop_of(s), &s->there);
		return;
	} else {
		forget(&s->call);
	}
	free(s);
}
