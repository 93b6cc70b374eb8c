/* SPDX-License-Identifier: MIT */
/*
 * The virtio devices of a machine: from options to devices on their transports. Thread: main.
 */
#ifndef MULLION_VMM_DEVICES_H
#define MULLION_VMM_DEVICES_H

#include <stdbool.h>

struct counter_source;
struct devices;
struct display_control;
struct input_seat;
struct options;
struct pci_bus;
struct vm;

/* How many virtio devices @o asks for. */
unsigned devices_count(const struct options *o);

/*
 * Make them, in the order of the array in devices.c, on @pci or (NULL) at virtio-mmio slots. Returns 0 or a negative
 * errno, after one line that says which device can't be made and what to do.
 */
int devices_create(struct vm *vm, struct pci_bus *pci, const struct options *o, struct devices **out);
/* vCPUs must be gone. NULL is fine. */
void devices_destroy(struct devices *d);

/* What the guest was given, in that order: the name of the option that did; NULL past the last. Thread: any. */
const char *devices_name(const struct devices *d, unsigned n);

/* What device @n of these is, in whichever process: "video-decoder"; NULL past the last. Thread: any. */
const char *devices_kind(const struct devices *d, unsigned n);

/* Device @n of these, for calls on its loop; NULL past the last. Thread: any. */
struct virtio_device *devices_device(const struct devices *d, unsigned n);

/*
 * Where to ask device @n what it counted when it is in a process of its own that was started here; NULL: it is in this
 * one, its process was started elsewhere, or there is no such device. Lives until they are destroyed. Thread: any.
 */
const struct counter_source *devices_counters(const struct devices *d, unsigned n);

/*
 * The socket of device @n when its process was started elsewhere (--vhost-user), and whether it is connected; NULL: it is
 * none of those. Lives until they are destroyed. Thread: any.
 */
const char *devices_socket(const struct devices *d, unsigned n, bool *is_connected);

/* The guest's keyboard and pointers. Thread: any. */
struct input_seat *devices_seat(const struct devices *d);

/* The guest's displays, until they are destroyed; NULL: it has none. Thread: any. */
const struct display_control *devices_display(const struct devices *d);

/* The terminal has another size. Thread: the VM's loop. */
void devices_resize_console(struct devices *d);

#endif
