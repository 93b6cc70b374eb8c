// SPDX-License-Identifier: MIT
/*
 * mullion-video.so: what mullion loads to have these devices in its own process (host/virtio/module.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/video/gst_elements.h"
#include "host/video/video.h"
#include "host/virtio/module.h"

static int create(const struct device_setup *setup, struct virtio_device **out)
{
	struct video_config config;
	char *words = strdup(setup->options ? setup->options : "");
	int err;

	if (!words)
		return -ENOMEM;
	video_config_init(&config);
	config.codec = &codec_gst_ops;
	config.journal = setup->journal;
	config.shared = setup->shared;
	config.degraded = setup->degraded;
	if (setup->degraded)
		gst_elements_leave_hardware();
	config.objects = setup->objects;
	err = video_config_parse(&config, words);
	if (err == 0)
		err = video_create(&config, setup->loop, setup->mem, out);
	/* The device keeps no string of the configuration. */
	free(words);
	return err;
}

static void doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text, const char *cure),
		   void *owner)
{
	codec_gst_ops.doctor(report, owner);
}

extern const struct device_module mullion_device_module;

const struct device_module mullion_device_module = {
	.abi = DEVICE_MODULE_ABI,
	.name = "video",
	.help = "kind=decoder|encoder  which device\n"
		"dialect=chromeos|agl  which driver the guest has (default chromeos)\n"
		"proto=virtio-video|virtio-media  what the guest speaks (default virtio-video)\n"
		"codec=ELEMENT         the GStreamer element to use (default: hardware first, then by rank)\n"
		"streams=N             streams at a time (default 32)\n"
		"memory=MIB            guest memory that its buffers may take (default 2048)\n"
		"timeout=SECONDS       for a codec that does nothing (default 4)\n",
	.create = create,
	.doctor = doctor,
};
