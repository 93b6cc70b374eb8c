/* SPDX-License-Identifier: MIT */
/*
 * What the device programs (mullion-gpu, mullion-video) have in common: the options that follow QEMU's conventions for
 * backend programs (docs/interop/vhost-user.rst), a keeper, and what a worker does around its device. A program fills in
 * struct program, reads its options and calls program_run():
 *
 *	static const struct option options[] = {PROGRAM_OPTIONS, {"display", required_argument, NULL, DISPLAY}, {0}};
 *
 *	while ((o = program_getopt(&p, argc, argv, options)) != -1)
 *		if (o == DISPLAY) ...
 *		else if ((status = program_option(&p, o, optarg)) >= 0)
 *			return status;
 *
 * Thread: main, which must be the only one of the process; what workers run is on their own.
 */
#ifndef MULLION_HOST_VHOST_PROGRAM_H
#define MULLION_HOST_VHOST_PROGRAM_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/vhost/sandbox.h"
#include "host/vhost/worker.h"

struct control_server;
struct device_module;
struct journal;
struct vhost_server;
struct virtio_objects;

#define PROGRAM_EXIT_USAGE 2

/* What a worker has; filled in step by step. */
struct program_worker {
	const struct program *program;
	const struct worker_place *place;
	struct loop *loop;
	struct guest_mem *mem;
	struct journal *journal; /* NULL: none */
	struct virtio_objects *objects; /* NULL: none are shared */
	struct virtio_device *device;
	struct control_server *control; /* NULL: none */
	struct vhost_server *server;
	struct worker_pulse pulse;
	bool begun; /* the guest is this worker's, no other's */
};

struct program {
	/* What it is: the caller's. */
	const char *name; /* "gpu": the program is mullion-gpu, and log lines begin so */
	const struct device_module *module;
	uint32_t config_bytes;
	size_t journal_bytes; /* 0: no journal */
	uint64_t shared_bytes; /* as in struct keeper_config */
	void (*print_help)(const struct program *p);
	void (*print_capabilities)(void); /* as JSON */
	/* In the worker, before its sandbox is locked: load what it takes, and begin what goes on beside the device. NULL: nothing. */
	int (*prepare)(struct program_worker *w);
	/* In the worker, after the device is gone. NULL: nothing. */
	void (*finish)(struct program_worker *w);
	/* In the worker: the frontend's display; takes @fd. NULL: such a request is refused. */
	int (*take_display)(struct virtio_device *d, int fd);
	void *owner;

	/* What its options say. */
	const char *socket_path;
	int fd; /* -1: none */
	int control, screen; /* as in struct keeper_config; -1: none. @screen is for whoever has a display to set */
	bool in_band, spare;
	bool has_objects; /* as in struct keeper_config */
	unsigned long max_deaths, hang_s;
	const char *device_options; /* for module->create */
	const char *display;	    /* for module->create; NULL: none */
	struct sandbox_config sandbox;
};

/* Options that all programs have, for getopt_long(). */
enum program_option {
	PROGRAM_SOCKET_PATH = 0x1000,
	PROGRAM_FD,
	PROGRAM_CONTROL_FD,
	PROGRAM_IN_BAND,
	PROGRAM_SPARE,
	PROGRAM_SHARED_OBJECTS,
	PROGRAM_SANDBOX,
	PROGRAM_MAX_DEATHS,
	PROGRAM_HANG_LIMIT,
	PROGRAM_CAPABILITIES,
	PROGRAM_HELP,
	PROGRAM_VERSION,
};
/* clang-format off */
#define PROGRAM_OPTIONS                                                  \
	{"socket-path", required_argument, NULL, PROGRAM_SOCKET_PATH},   \
	{"fd", required_argument, NULL, PROGRAM_FD},                     \
	{"control-fd", required_argument, NULL, PROGRAM_CONTROL_FD},     \
	{"in-band", no_argument, NULL, PROGRAM_IN_BAND},                 \
	{"spare", no_argument, NULL, PROGRAM_SPARE},                     \
	{"shared-objects", no_argument, NULL, PROGRAM_SHARED_OBJECTS},   \
	{"sandbox", required_argument, NULL, PROGRAM_SANDBOX},           \
	{"max-deaths", required_argument, NULL, PROGRAM_MAX_DEATHS},     \
	{"hang-limit", required_argument, NULL, PROGRAM_HANG_LIMIT},     \
	{"print-capabilities", no_argument, NULL, PROGRAM_CAPABILITIES}, \
	{"help", no_argument, NULL, PROGRAM_HELP},                       \
	{"version", no_argument, NULL, PROGRAM_VERSION}
/* clang-format on */

/* getopt_long(), except that the line about a wrong option says what to do as well; '?' then. */
int program_getopt(const struct program *p, int argc, char **argv, const struct option *options);
/* Take one of them: -1 to go on, else the exit status. What is none of them: program_getopt() has said so. */
int program_option(struct program *p, int option, const char *value);
/* When all are read: -1 to go on, else the exit status. @extra: an argument that is no option, or NULL. */
int program_check(const struct program *p, const char *extra);
/* Print a line that says what is wrong; returns PROGRAM_EXIT_USAGE. */
int program_usage(const struct program *p, const char *why, const char *word);
/* The whole of @word as a number of at most @max. */
bool program_number(const char *word, unsigned long max, unsigned long *out);
/* The lines of a help text about those options: about sockets, and about the rest. */
void program_print_socket_help(void);
void program_print_help(const struct program *p);

/* Serve until the end. Returns the exit status. */
int program_run(struct program *p);

#endif
