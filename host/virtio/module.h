/* SPDX-License-Identifier: MIT */
/*
 * A device that mullion loads into itself (isolate=no) instead of linking it, so that mullion needs no renderer
 * and no codec library. The module is a shared object that exports one `mullion_device_module`; it takes
 * host/base and host/virtio from the program that loads it.
 */
#ifndef MULLION_HOST_VIRTIO_MODULE_H
#define MULLION_HOST_VIRTIO_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/virtio/device.h"

struct display_control_ops;
struct input_sink;
struct journal;
struct virtio_objects;

#define DEVICE_MODULE_ABI 7u
#define DEVICE_MODULE_SYMBOL "mullion_device_module"

/* What a device is made of. All is borrowed: strings for the call, the rest until the device is destroyed. */
struct device_setup {
	struct loop *loop;
	const struct guest_mem *mem;
	const char *options; /* "renderer=virgl,scanouts=2", or "" */
	const char *display; /* the --display argument ("png:DIR,every=10", "none") or NULL */
	struct input_sink *input; /* takes the keys and the pointer of a display's user; NULL: nobody does */
	/* Where the device keeps what the guest made, to go on after the death of its process. NULL: it doesn't. */
	struct journal *journal;
	/* The objects of the guest, which devices of this process share by their UUIDs (object.h). NULL: none are. */
	struct virtio_objects *objects;
	/* For what the device maps into its shared memory (shared_heap_memfd()); below 1: it makes its own. */
	int shared;
	/* Processes before this one died too often: do without what may be the reason, but offer the same. */
	bool degraded;
};

struct device_module {
	uint32_t abi;      /* DEVICE_MODULE_ABI; anything else is refused */
	const char *name;  /* "gpu" */
	const char *help;  /* what @options may say, one "key=value  meaning" line each */
	/*
	 * Make a device. Prints one line and returns a negative errno when an option is wrong or the host lacks something.
	 * Thread: the loop's, through loop_call().
	 */
	int (*create)(const struct device_setup *setup, struct virtio_device **out);
	/*
	 * Print what this module finds on the host, one line each, for `mullion doctor`: "ok|warn|fail", name, text,
	 * cure. @report is called once a line. Thread: any, in a throw-away process.
	 */
	void (*doctor)(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
				      const char *cure),
		       void *owner);
	const struct display_control_ops *display_control; /* their owner is a device; NULL: none has displays */
};

#endif
