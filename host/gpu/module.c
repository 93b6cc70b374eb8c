// SPDX-License-Identifier: MIT
/*
 * mullion-gpu.so: what mullion loads to have this device in its own process (host/virtio/module.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/display/display.h"
#include "host/gpu/control.h"
#include "host/gpu/gpu.h"
#include "host/gpu/renderer.h"
#include "host/virtio/module.h"

static int create(const struct device_setup *setup, struct virtio_device **out)
{
	struct gpu_config config;
	char *words;
	int err;

	words = strdup(setup->options ? setup->options : "");
	if (!words)
		return -ENOMEM;
	gpu_config_init(&config);
	err = gpu_config_parse(&config, words);
	if (err < 0)
		goto free_words;
	config.journal = setup->journal;
	config.shared_fd = setup->shared;
	config.degraded = setup->degraded;
	config.objects = setup->objects;
	err = display_create(setup->loop, setup->display, setup->input, &config.display);
	if (err < 0)
		goto free_words;
	err = gpu_create(&config, setup->loop, setup->mem, out);
	if (err < 0)
		display_destroy(config.display);
free_words:
	/* The device keeps no string of the configuration. */
	free(words);
	return err;
}

static void doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text, const char *cure),
		   void *owner)
{
	report(owner, "ok", "gpu 2d", "the 2D renderer needs nothing of the host", "");
	renderer_virgl_doctor(report, owner);
}

extern const struct device_module mullion_device_module;

const struct device_module mullion_device_module = {
	.abi = DEVICE_MODULE_ABI,
	.name = "gpu",
	.help = "renderer=auto|virgl|2d  what draws (auto: virgl where the host can, else 2d)\n"
		"render-node=PATH        the GPU to use, such as /dev/dri/renderD128 (default: found)\n"
		"scanouts=N              connectors for displays, 1 to 16 (default 1)\n"
		"size=WIDTHxHEIGHT       preferred size of display 0 (default 1280x800)\n"
		"sizeN=WIDTHxHEIGHT      plug in display number N as well, from 0; 0x0: leave it out\n"
		"memory=MIB              host memory the guest's resources may take (default 2048)\n"
		"share=PERCENT           the part of all time in which it may draw, 5 to 100 (default 100: no limit)\n"
		"host-visible=MIB        of memory=, what guests can have mapped: a power of two, 0 for none (default 256)\n"
		"dmabuf=on|off           frames to the VMM's display without a copy, on the same GPU (default off)\n",
	.create = create,
	.display_control = &gpu_display_control,
	.doctor = doctor,
};
