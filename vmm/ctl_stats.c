// SPDX-License-Identifier: MIT
/*
 * What the devices counted. Each is asked on its own loop, one after another; one in a process of its own on the thread
 * that speaks with that (vmm/isolate_control.h). Of those whose process was started elsewhere there is nothing
 * to ask: where it is, and whether it is connected.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/virtio/counters.h"
#include "host/virtio/device.h"
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
	const struct counter_source *elsewhere; /* its process; NULL: this one */
	struct json_object *answers;  /* so far */
	struct counters counters;
	int err; /* of asking it */
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

/* Of a device in another process. */
static const char *describe_error(int err)
{
	if (err == -ETIMEDOUT)
		return "does not answer";
	return err == -EPIPE ? "its process has ended" : strerror(-err);
}

/* {"device":"video","is":"video-decoder","counters":{...},"parts":[{"part":"stream 1","counters":{...}}]} */
static struct json_object *describe(const struct stats_call *s)
{
	struct json_object *o = json_object_new_object(), *counters = json_object_new_object(), *parts = NULL;
	const char *part = "";

	json_object_object_add(o, "device", json_object_new_string(devices_name(s->devices, s->next)));
	json_object_object_add(o, "is", json_object_new_string(devices_kind(s->devices, s->next)));
	if (s->err)
		json_object_object_add(o, "error", json_object_new_string(describe_error(s->err)));
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

/* {"device":"vhost-user","is":"gpu","socket":"/run/gpu.sock","connected":true}; NULL: it isn't elsewhere. */
static struct json_object *describe_elsewhere(const struct stats_call *s)
{
	bool is_connected;
	const char *socket = devices_socket(s->devices, s->next, &is_connected);
	struct json_object *o;

	if (!socket)
		return NULL;
	o = json_object_new_object();
	json_object_object_add(o, "device", json_object_new_string(devices_name(s->devices, s->next)));
	json_object_object_add(o, "is", json_object_new_string(devices_kind(s->devices, s->next)));
	json_object_object_add(o, "socket", json_object_new_string(socket));
	json_object_object_add(o, "connected", json_object_new_boolean(is_connected));
	return o;
}

static void count(struct stats_call *s)
{
	memset(&s->counters, 0, sizeof(s->counters));
	s->err = 0;
	if (s->elsewhere)
		s->err = s->elsewhere->count(s->elsewhere->owner, &s->counters);
	else
		s->device->ops->count(s->device, &s->counters);
}

/* Where to ask it; NULL: nowhere. */
static struct loop *loop_of(const struct stats_call *s)
{
	if (s->elsewhere)
		return s->elsewhere->loop;
	return s->device->ops->count ? s->device->loop : NULL;
}

static void count_there(struct loop_task *t)
{
	struct stats_call *s = t->owner;

	count(s);
	ctl_call_back(&s->call);
}

static void take_in(struct stats_call *s)
{
	json_object_array_add(s->answers, describe(s));
	s->next++;
}

/* Ask those that are on this loop, up to one that isn't, which is left in s->device. False: all were asked. */
static bool ask(struct stats_call *s)
{
	while ((s->device = devices_device(s->devices, s->next))) {
		const struct loop *loop;

		s->elsewhere = devices_counters(s->devices, s->next);
		loop = loop_of(s);
		if (!loop) {
			struct json_object *o = describe_elsewhere(s);

			if (o)
				json_object_array_add(s->answers, o);
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
