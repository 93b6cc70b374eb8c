// SPDX-License-Identifier: MIT
#include "vmm/devices.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/block/block.h"
#include "host/console/console.h"
#include "host/input/seat.h"
#include "host/net/net.h"
#include "host/rng/rng.h"
#include "host/virtio/device.h"
#include "host/virtio/display_control.h"
#include "host/virtio/module.h"
#include "host/virtio/object.h"
#include "protocol/virtio_video.h"
#include "vmm/arch.h"
#include "vmm/isolate.h"
#include "vmm/keyboard.h"
#include "vmm/module.h"
#include "vmm/options.h"
#include "vmm/shared_objects.h"
#include "vmm/vhost_user.h"
#include "vmm/vhost_user_kinds.h"
#include "vmm/virtio_mmio.h"
#include "vmm/virtio_pci.h"
#include "vmm/vm.h"

/* Of a device in a process of its own; zeroed: it is in this one. */
struct isolated {
	const char *kind;
	const struct counter_source *counters; /* NULL: its process was started elsewhere */
};

struct devices {
	struct vm *vm;
	unsigned count; /* in the arrays */
	struct virtio_mmio **mmio;
	struct virtio_pci **pci;
	const char **names;
	struct virtio_device **devices;
	struct isolated *isolated;
	struct isolated next_isolated;	/* of the device that is being made */
	uint64_t next_shmem, shmem_end; /* of virtio-mmio devices: what PCI would have as its window */
	struct loop *gpu_loop;		/* the renderer may take its time: it has a thread of its own */
	struct isolate *isolate;	/* of the GPU; NULL: it is in this process */
	struct loop *video_loop;	/* copies pictures */
	/* A decoder and an encoder in processes of their own; NULL: it is in this process, or not there. */
	struct isolate *isolate_videos[2];
	struct loop *isolate_video_loops[2];
	char *isolate_video_options[2];
	struct virtio_objects *objects;	       /* what GPU and codecs share; NULL: they are not both in this process */
	struct shared_objects *shared_objects; /* and where all are in processes of their own; NULL: they are not */
	const char *gpu_arguments[OPTIONS_MAX_HOME_ARGUMENTS + 2], *video_arguments[OPTIONS_MAX_HOME_ARGUMENTS + 2];
	struct loop *vhost_loops[OPTIONS_MAX_VHOST_USERS]; /* each may wait for its process */
	struct keyboard *keyboard;
	struct input_seat *seat;	       /* the guest's input devices, to those who have a user */
	struct virtio_device *console;	       /* with a terminal; NULL: none */
	struct display_control in_process;     /* of a GPU that is here */
	const struct display_control *display; /* NULL: none */
};

/* ---- kinds ---- */

static unsigned disk_count(const struct options *o)
{
	return o->disk_count;
}

static int make_disk(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	struct block_config c = {
		.path = o->disks[n].path,
		.serial = o->disks[n].serial,
		.read_only = o->disks[n].read_only,
	};

	return block_create(&c, vm_loop(d->vm), vm_mem(d->vm), out);
}

static unsigned net_count(const struct options *o)
{
	return o->net_count;
}

static int make_net(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	struct net_config c = {
		.tap = o->nets[n].tap,
		.socket_path = o->nets[n].passt,
		.socket_fd = -1,
		.mac = o->nets[n].has_mac ? o->nets[n].mac : NULL,
		.mtu = o->nets[n].mtu,
	};

	return net_create(&c, vm_loop(d->vm), vm_mem(d->vm), out);
}

static unsigned console_count(const struct options *o)
{
	return strcmp(o->console, "none") != 0;
}

static int make_console(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	struct console_config c = {.in_fd = -1, .out_fd = -1};
	struct winsize size;
	int err;

	(void)n;
	if (strcmp(o->console, "stdio")) {
		c.socket_path = o->console + strlen("socket:");
		return console_create(&c, vm_loop(d->vm), vm_mem(d->vm), out);
	}
	c.in_fd = STDIN_FILENO;
	c.out_fd = STDOUT_FILENO;
	if (isatty(STDIN_FILENO)) {
		/* The user's keys pass by the Ctrl-A escapes first. */
		err = keyboard_create(d->vm, &d->keyboard);
		if (err)
			return err;
		c.in_fd = keyboard_fd(d->keyboard);
	}
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size)) {
		c.columns = size.ws_col;
		c.rows = size.ws_row;
	}
	err = console_create(&c, vm_loop(d->vm), vm_mem(d->vm), out);
	if (!err)
		d->console = *out;
	return err;
}

static unsigned rng_count(const struct options *o)
{
	return o->has_rng;
}

static int make_rng(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	(void)o;
	(void)n;
	return rng_create(vm_loop(d->vm), vm_mem(d->vm), out);
}

static unsigned input_count(const struct options *o)
{
	return o->input_count;
}

static int make_input(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	struct input_config c = {.kind = o->inputs[n].kind, .evdev = o->inputs[n].evdev};
	int err;

	for (unsigned i = 0; i < n; i++)
		c.number += o->inputs[i].kind == c.kind;
	err = input_create(&c, vm_loop(d->vm), vm_mem(d->vm), out);
	if (!err)
		input_seat_add(d->seat, c.kind, *out);
	return err;
}

static unsigned gpu_count(const struct options *o)
{
	return o->has_gpu;
}

struct module_call {
	const struct device_module *module;
	struct device_setup setup;
	struct virtio_device *device;
	int err;
};

static void call_module(void *arg)
{
	struct module_call *c = arg;

	c->err = c->module->create(&c->setup, &c->device);
}

/* A thread for devices that may take their time. */
static int start_loop(const char *name, struct loop **loop)
{
	int err = loop_create(name, loop);

	if (!err)
		err = loop_start(*loop);
	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't start the thread of %s: %s", name, strerror(-err));
	return err;
}

/*
 * Make a device of module @name, as @setup says, on *@loop, which is started if it isn't there yet. *@module is where it
 * came from.
 */
static int make_from_module(struct devices *d, const char *name, struct loop **loop, const struct device_setup *setup,
			    const struct device_module **module, struct virtio_device **out)
{
	struct module_call call = {.setup = *setup};
	int err = module_load(name, &call.module);

	if (!err && !*loop)
		err = start_loop(name, loop);
	if (err)
		return err;
	call.setup.loop = *loop;
	call.setup.mem = vm_mem(d->vm);
	loop_call(*loop, call_module, &call);
	*module = call.module;
	*out = call.device;
	return call.err;
}

static bool is_gpu_isolated(const struct options *o)
{
	return o->isolate_gpu == ISOLATE_YES || (o->isolate_gpu == ISOLATE_DEFAULT && isolate_is_possible("gpu"));
}

static bool is_video_isolated(const struct options *o)
{
	return o->isolate_video == ISOLATE_YES || (o->isolate_video == ISOLATE_DEFAULT && isolate_is_possible("video"));
}

/* Virtio-media has no buffers that are other devices'. */
static bool has_sharing_codec(const struct options *o)
{
	return (o->video_decoder || o->video_encoder) && !o->video_is_media;
}

/* Started elsewhere, but with --shared-objects it shares. */
static bool is_sharing_kind(const struct vhost_user_kind *k)
{
	return k->id == VIRTIO_ID_GPU || k->id == VIRTIO_ID_VIDEO_DECODER || k->id == VIRTIO_ID_VIDEO_ENCODER;
}

/*
 * Whether a GPU and a codec are there in processes of their own, which may share pictures then. A codec of ours doesn't offer it
 * for a GPU that was started elsewhere, which may not.
 */
static bool is_shared_across(const struct options *o)
{
	const bool gpu = o->has_gpu && is_gpu_isolated(o);
	const bool video = has_sharing_codec(o) && is_video_isolated(o);
	bool other_gpu = false, other_video = false;

	for (unsigned i = 0; i < o->vhost_user_count; i++) {
		other_gpu |= o->vhost_users[i].kind->id == VIRTIO_ID_GPU;
		other_video |= is_sharing_kind(o->vhost_users[i].kind) && o->vhost_users[i].kind->id != VIRTIO_ID_GPU;
	}
	return (gpu && (video || other_video)) || (other_gpu && other_video);
}

/* What a device's program is told: @from, and whether it shares. */
static void gather_arguments(bool shares, const char **to, const char *const *from)
{
	while (*from)
		*to++ = *from++;
	if (shares)
		*to++ = "--shared-objects";
	*to = NULL;
}

/* In a process of its own, where nothing of it but the frontend is here. */
static int isolate_gpu(struct devices *d, const struct options *o, struct virtio_device **out)
{
	struct vhost_user_setup c = {.kind = vhost_user_find_kind("gpu"),
				     .socket = "its process",
				     .connect = isolate_connect,
				     .objects = d->shared_objects};
	int err;

	gather_arguments(d->shared_objects, d->gpu_arguments, o->gpu_arguments);
	err = isolate_create("gpu", o->gpu, o->display, d->gpu_arguments, input_seat_sink(d->seat), &d->isolate);
	if (!err)
		err = start_loop("gpu", &d->gpu_loop);
	if (err)
		return err;
	c.owner = d->isolate;
	d->display = isolate_display(d->isolate);
	d->next_isolated = (struct isolated){c.kind->name, isolate_counters(d->isolate)};
	return vhost_user_create(&c, d->gpu_loop, vm_mem(d->vm), out);
}

static int make_gpu(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	struct device_setup setup = {.options = o->gpu, .display = o->display, .input = input_seat_sink(d->seat)};
	const struct device_module *module;
	int err;

	(void)n;
	if (is_gpu_isolated(o))
		return isolate_gpu(d, o, out);
	if (o->isolate_gpu == ISOLATE_DEFAULT)
		log_line(LOG_TOPIC_VMM, LOG_WARN,
			 "no program mullion-gpu beside this one: the GPU is in this process, where a guest that "
			 "breaks it is "
			 "in, too; build it (make), or say isolate=no");
	err = has_sharing_codec(o) && !is_video_isolated(o) ? virtio_objects_create(&d->objects) : 0;
	if (err)
		return err;
	setup.objects = d->objects;
	err = make_from_module(d, "gpu", &d->gpu_loop, &setup, &module, out);
	if (!err && module->display_control) {
		d->in_process =
			(struct display_control){.ops = module->display_control, .owner = *out, .loop = d->gpu_loop};
		d->display = &d->in_process;
	}
	return err;
}

static unsigned video_count(const struct options *o)
{
	return (unsigned)o->video_decoder + (unsigned)o->video_encoder;
}

static int isolate_video(struct devices *d, const struct options *o, const char *options, bool encoder,
			 struct virtio_device **out)
{
	struct vhost_user_setup c = {.kind = vhost_user_find_kind(o->video_is_media ? "media"
								  : encoder	    ? "video-encoder"
										    : "video-decoder"),
				     .socket = "its process",
				     .connect = isolate_connect,
				     .objects = has_sharing_codec(o) ? d->shared_objects : NULL};
	const unsigned n = encoder;
	int err;

	gather_arguments(d->shared_objects && o->has_gpu && has_sharing_codec(o), d->video_arguments,
			 o->video_arguments);
	d->isolate_video_options[n] = strdup(options);
	err = d->isolate_video_options[n] ? isolate_create("video", d->isolate_video_options[n], NULL,
							   d->video_arguments, NULL, &d->isolate_videos[n])
					  : -ENOMEM;
	if (!err)
		err = start_loop(encoder ? "encoder" : "decoder", &d->isolate_video_loops[n]);
	if (err)
		return err;
	c.owner = d->isolate_videos[n];
	d->next_isolated = (struct isolated){c.kind->name, isolate_counters(d->isolate_videos[n])};
	return vhost_user_create(&c, d->isolate_video_loops[n], vm_mem(d->vm), out);
}

static int make_video(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	char arguments[OPTIONS_MAX_VIDEO + 16];
	const struct device_setup setup = {.options = arguments, .objects = d->objects};
	const struct device_module *module;
	const bool encoder = n > 0 || !o->video_decoder;

	snprintf(arguments, sizeof(arguments), "kind=%s,%s", encoder ? "encoder" : "decoder", o->video);
	if (n == 0 && o->has_gpu && !d->objects && !d->shared_objects && has_sharing_codec(o))
		log_line(LOG_TOPIC_VMM, LOG_INFO,
			 "pictures that the codecs share with the GPU by a UUID are not offered: isolate= of --gpu and "
			 "of "
			 "--video must be the same");
	if (is_video_isolated(o))
		return isolate_video(d, o, arguments, encoder, out);
	if (o->isolate_video == ISOLATE_DEFAULT && n == 0)
		log_line(LOG_TOPIC_VMM, LOG_WARN,
			 "no program mullion-video beside this one (make builds it): the codecs are in this process, "
			 "where a guest that breaks them is in, too; say isolate=no if that is meant");
	return make_from_module(d, "video", &d->video_loop, &setup, &module, out);
}

static unsigned vhost_user_count(const struct options *o)
{
	return o->vhost_user_count;
}

static int make_vhost_user(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out)
{
	const struct vhost_user_option *v = &o->vhost_users[n];
	struct vhost_user_setup c = {
		.kind = v->kind,
		.socket = v->socket,
		.tag = v->tag,
		.mac = v->has_mac ? v->mac : NULL,
		.queues = v->queues,
		.objects = is_sharing_kind(v->kind) ? d->shared_objects : NULL,
	};
	int err = loop_create("vhost-user", &d->vhost_loops[n]);

	if (!err)
		err = loop_start(d->vhost_loops[n]);
	if (err) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't start the thread of a vhost-user device: %s", strerror(-err));
		return err;
	}
	d->next_isolated.kind = c.kind->name;
	return vhost_user_create(&c, d->vhost_loops[n], vm_mem(d->vm), out);
}

/* Disks first: their order is what the guest's names for them (vda, vdb) follow. */
static const struct device_kind {
	const char *name; /* of the option */
	unsigned (*count)(const struct options *o);
	int (*make)(struct devices *d, const struct options *o, unsigned n, struct virtio_device **out);
} kinds[] = {
	{"disk", disk_count, make_disk},	  {"net", net_count, make_net},
	{"console", console_count, make_console}, {"rng", rng_count, make_rng},
	{"input", input_count, make_input},	  {"gpu", gpu_count, make_gpu},
	{"video", video_count, make_video},	  {"vhost-user", vhost_user_count, make_vhost_user},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* ---- all of them ---- */

unsigned devices_count(const struct options *o)
{
	unsigned n = 0;

	for (size_t i = 0; i < KIND_COUNT; i++)
		n += kinds[i].count(o);
	return n;
}

static void destroy_device(void *arg)
{
	virtio_device_destroy(arg);
}

/* Where the shared memory of a virtio-mmio device goes; 0: it has none. */
static int place_shmem(struct devices *d, const struct virtio_device *device, uint64_t *base)
{
	uint64_t size = device->shmem.size_bytes;

	*base = 0;
	if (!size)
		return 0;
	d->next_shmem = (d->next_shmem + size - 1) & ~(size - 1);
	if (d->next_shmem >= d->shmem_end || size > d->shmem_end - d->next_shmem)
		return -ENOSPC;
	*base = d->next_shmem;
	d->next_shmem += size;
	return 0;
}

/* Takes @device. */
static int attach(struct devices *d, struct pci_bus *pci, struct virtio_device *device, const char *name)
{
	uint64_t base, shmem = 0;
	uint32_t gsi;
	int err;

	if (pci)
		err = virtio_pci_create(d->vm, pci, device, &d->pci[d->count]);
	else
		err = arch_mmio_slot(d->count, &base, &gsi) ? place_shmem(d, device, &shmem) : -ENOSPC;
	if (!pci && !err)
		err = virtio_mmio_create(d->vm, device, base, gsi, shmem, &d->mmio[d->count]);
	if (err) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "--%s: no room for this device on the %s bus: %s", name,
			 pci ? "PCI" : "MMIO", strerror(-err));
		loop_call(device->loop, destroy_device, device);
		return err;
	}
	d->devices[d->count] = device;
	d->isolated[d->count] = d->next_isolated;
	d->names[d->count++] = name;
	return 0;
}

static void find_window(struct devices *d)
{
	struct pci_layout layout;

	arch_pci_layout(vm_kvm_fd(d->vm), vm_get_config(d->vm), &layout);
	d->next_shmem = layout.mmio64_size ? layout.mmio64_base : layout.mmio32_base;
	d->shmem_end = d->next_shmem + (layout.mmio64_size ? layout.mmio64_size : layout.mmio32_size);
}

int devices_create(struct vm *vm, struct pci_bus *pci, const struct options *o, struct devices **out)
{
	struct devices *d = calloc(1, sizeof(*d));
	unsigned count = devices_count(o);
	int err = 0;

	if (!d)
		return -ENOMEM;
	d->vm = vm;
	find_window(d);
	d->mmio = calloc(count + 1, sizeof(*d->mmio));
	d->pci = calloc(count + 1, sizeof(*d->pci));
	d->names = calloc(count + 1, sizeof(*d->names));
	d->devices = calloc(count + 1, sizeof(*d->devices));
	d->isolated = calloc(count + 1, sizeof(*d->isolated));
	if (!d->mmio || !d->pci || !d->names || !d->devices || !d->isolated)
		err = -ENOMEM;
	if (!err)
		err = input_seat_create(&d->seat);
	if (!err && is_shared_across(o))
		err = shared_objects_create(&d->shared_objects);
	for (size_t i = 0; i < KIND_COUNT && !err; i++) {
		for (unsigned n = 0; n < kinds[i].count(o) && !err; n++) {
			struct virtio_device *device;

			d->next_isolated = (struct isolated){0};
			err = kinds[i].make(d, o, n, &device);
			if (!err)
				err = attach(d, pci, device, kinds[i].name);
		}
	}
	if (err) {
		devices_destroy(d);
		return err;
	}
	*out = d;
	return 0;
}

void devices_destroy(struct devices *d)
{
	uint64_t until_ns;

	if (!d)
		return;
	/* Each device goes on its own loop; the GPU's must still run, because its renderer lives on that thread. */
	while (d->count) {
		d->count--;
		/* The GPU is gone by then; its display, which is on a thread of its own, types into this. */
		if (!strcmp(d->names[d->count], "input"))
			isolate_close_screen(d->isolate);
		virtio_pci_destroy(d->pci[d->count]);
		virtio_mmio_destroy(d->mmio[d->count]);
	}
	loop_destroy(d->gpu_loop);
	/* Their frontends are gone: what they have to write, they write now. */
	until_ns = loop_now_ns() + ISOLATE_END_NS;
	isolate_destroy(d->isolate, until_ns);
	for (unsigned i = 0; i < 2; i++) {
		isolate_destroy(d->isolate_videos[i], until_ns);
		loop_destroy(d->isolate_video_loops[i]);
		free(d->isolate_video_options[i]);
	}
	loop_destroy(d->video_loop);
	virtio_objects_destroy(d->objects);
	shared_objects_destroy(d->shared_objects);
	for (unsigned i = 0; i < OPTIONS_MAX_VHOST_USERS; i++)
		loop_destroy(d->vhost_loops[i]);
	keyboard_destroy(d->keyboard);
	input_seat_destroy(d->seat);
	free(d->isolated);
	free(d->devices);
	free(d->names);
	free(d->pci);
	free(d->mmio);
	free(d);
}

const char *devices_name(const struct devices *d, unsigned n)
{
	return n < d->count ? d->names[n] : NULL;
}

const char *devices_kind(const struct devices *d, unsigned n)
{
	if (n >= d->count)
		return NULL;
	return d->isolated[n].kind ? d->isolated[n].kind : d->devices[n]->ops->name;
}

struct virtio_device *devices_device(const struct devices *d, unsigned n)
{
	return n < d->count ? d->devices[n] : NULL;
}

const struct counter_source *devices_counters(const struct devices *d, unsigned n)
{
	return n < d->count ? d->isolated[n].counters : NULL;
}

const char *devices_socket(const struct devices *d, unsigned n, bool *is_connected)
{
	if (n >= d->count || !d->isolated[n].kind || d->isolated[n].counters)
		return NULL;
	return vhost_user_socket(d->devices[n], is_connected);
}

struct input_seat *devices_seat(const struct devices *d)
{
	return d->seat;
}

const struct display_control *devices_display(const struct devices *d)
{
	return d->display;
}

void devices_resize_console(struct devices *d)
{
	struct winsize size;

	if (d->console && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		console_resize(d->console, size.ws_col, size.ws_row);
}
