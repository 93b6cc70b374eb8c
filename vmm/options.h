/* SPDX-License-Identifier: MIT */
/*
 * The options of `mullion run`, checked as far as it goes without touching the host.
 */
#ifndef MULLION_VMM_OPTIONS_H
#define MULLION_VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "host/input/input.h"

#define OPTIONS_MAX_DISKS 8u
#define OPTIONS_MAX_NETS 4u
#define OPTIONS_MAX_VHOST_USERS 8u
#define OPTIONS_MAX_VIDEO 240u /* bytes of --video */
#define OPTIONS_MAX_INPUTS 8u
#define OPTIONS_MAX_HOME_ARGUMENTS 10u
#define OPTIONS_MAX_FDT_OVERLAYS 8u

struct disk_option {
	char *path; /* in storage of its own, as all strings split from one argument */
	char *serial;
	bool read_only;
};

struct net_option {
	char *tap;
	char *passt;
	uint8_t mac[6];
	bool has_mac;
	uint16_t mtu;
};

struct vhost_user_kind;

struct vhost_user_option {
	const struct vhost_user_kind *kind;
	char *storage; /* of the strings */
	char *socket;
	char *tag; /* NULL: none */
	uint8_t mac[6];
	bool has_mac;
	unsigned queues; /* 0: not said */
};

struct input_option {
	enum input_kind kind;
	char *storage; /* of the string */
	char *evdev;   /* NULL: none */
};

/* Whether a device has processes of its own. By default it does, where its program is there. */
enum isolate_option { ISOLATE_DEFAULT, ISOLATE_YES, ISOLATE_NO };

enum transport_option { TRANSPORT_PCI, TRANSPORT_MMIO };

struct options {
	const char *kernel, *initrd, *append;
	const char *fdt, *dump_fdt;
	const char *fdt_overlays[OPTIONS_MAX_FDT_OVERLAYS]; /* in the order given */
	unsigned fdt_overlay_count;
	uint64_t memory_bytes;
	unsigned cpus;
	bool aarch32;
	struct disk_option disks[OPTIONS_MAX_DISKS];
	unsigned disk_count;
	struct net_option nets[OPTIONS_MAX_NETS];
	unsigned net_count;
	struct vhost_user_option vhost_users[OPTIONS_MAX_VHOST_USERS];
	unsigned vhost_user_count;
	struct input_option inputs[OPTIONS_MAX_INPUTS];
	unsigned input_count;
	const char *serial, *console, *display;
	bool has_rng, has_gpu;
	const char *gpu;
	enum isolate_option isolate_gpu; /* the words for the device's home are not in @gpu any more */
	/* What mullion-gpu is to be told besides: an option and its value, ...; ended by NULL. */
	const char *gpu_arguments[OPTIONS_MAX_HOME_ARGUMENTS + 1];
	char *gpu_storage; /* of both */
	bool video_decoder, video_encoder;
	bool video_is_media; /* proto=virtio-media */
	enum isolate_option isolate_video; /* nor in @video */
	const char *video_arguments[OPTIONS_MAX_HOME_ARGUMENTS + 1]; /* as gpu_arguments, of mullion-video */
	char video[OPTIONS_MAX_VIDEO]; /* the module's options: what is neither of the two */
	enum transport_option transport;
	const char *name; /* NULL: not given */
	const char *ctl;  /* path of the control socket, "none", or NULL: not given */
	bool wants_help, wants_version;
};

/*
 * Read @argv (argv[0] is "run"). Returns 0, or -EINVAL after one line that names the option and what to write
 * instead. Strings point into @argv or are freed by options_finish(), which is to be called in both cases.
 */
int options_parse(struct options *o, int argc, char **argv);
void options_finish(struct options *o);

/* All options, what they mean, and examples. */
void options_print_help(FILE *to);

#endif
