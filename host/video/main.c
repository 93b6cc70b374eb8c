// SPDX-License-Identifier: MIT
/*
 * mullion-video: a virtio-video or virtio-media device as a program of its own, for any VMM that speaks vhost-user.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/vhost/program.h"
#include "host/video/gst_registry.h"
#include "host/video/prepare.h"
#include "host/video/video.h"
#include "host/virtio/module.h"
#include "protocol/virtio_media.h"
#include "protocol/virtio_video.h"

extern const struct device_module mullion_device_module;

static void print_help(const struct program *p)
{
	puts("Usage: mullion-video --socket-path PATH [OPTION...]\n"
	     "       mullion-video --fd NUMBER [OPTION...]\n"
	     "Lends a virtio-video or virtio-media device, a decoder or an encoder, to a VMM over vhost-user.\n");
	program_print_socket_help();
	puts("  --role ROLE           decoder (the default) or encoder\n"
	     "  --video OPTIONS       options of the device, see below");
	program_print_help(p);
	printf("\nOPTIONS, separated by commas:\n%s\n"
	       "Environment: MULLION_LOG=LEVEL or TOPIC:LEVEL,... (topics here: vhost, virtio, video)\n"
	       "             GST_PLUGIN_PATH, GST_REGISTRY: where GStreamer's plug-ins are, and its list of them\n\n"
	       "Examples, with mullion (which starts it by itself for --video) and with User Mode Linux as the VMM:\n"
	       "  mullion-video --socket-path video.sock --role decoder &\n"
	       "  mullion run --vhost-user video-decoder,socket=video.sock ...\n"
	       "  linux mem=512M ... virtio_uml.device=video.sock:31\n"
	       "  mullion-video --socket-path media.sock --role encoder --video proto=virtio-media &\n"
	       "  mullion run --vhost-user media,socket=media.sock ...\n",
	       mullion_device_module.help);
}

/* QEMU's vhost-user.json has no such type yet. */
static void print_capabilities(void)
{
	puts("{\n"
	     "  \"type\": \"video\",\n"
	     "  \"features\": []\n"
	     "}");
}

struct words {
	const char *role, *video;
};

/* -1: go on; else the exit status. */
static int parse(struct program *p, struct words *w, int argc, char **argv)
{
	enum { ROLE = 256, VIDEO };
	static const struct option options[] = {
		PROGRAM_OPTIONS,
		{"role", required_argument, NULL, ROLE},
		{"video", required_argument, NULL, VIDEO},
		{0},
	};
	int o, status;

	while ((o = program_getopt(p, argc, argv, options)) != -1) {
		switch (o) {
		case ROLE:
			if (strcmp(optarg, "decoder") != 0 && strcmp(optarg, "encoder") != 0)
				return program_usage(p, "--role is decoder or encoder, not ", optarg);
			w->role = optarg;
			break;
		case VIDEO:
			w->video = optarg;
			break;
		default:
			status = program_option(p, o, optarg);
			if (status >= 0)
				return status;
		}
	}
	return program_check(p, argv[optind]);
}

int main(int argc, char **argv)
{
	struct video_config config;
	struct words words = {.role = "", .video = ""};
	struct program p = {
		.name = "video",
		.module = &mullion_device_module,
		.print_help = print_help,
		.print_capabilities = print_capabilities,
		.prepare = video_prepare_worker,
		.owner = &config,
		.fd = -1,
		.control = -1,
		.screen = -1,
		.max_deaths = 5,
		/* A guest waits 5 s for an answer; a worker's start is in them. */
		.hang_s = 3,
		.sandbox = {.profile = &sandbox_video},
	};
	struct gst_registry registry;
	char *options, *copy;
	int status;

	if (log_set_levels(getenv("MULLION_LOG")))
		return PROGRAM_EXIT_USAGE;
	status = parse(&p, &words, argc, argv);
	if (status >= 0)
		return status;
	/* Later ones win. The device reads them again, in each worker. */
	if (asprintf(&options, "%s%s%s", words.video, *words.role ? ",kind=" : "", words.role) < 0)
		return EXIT_FAILURE;
	copy = strdup(options);
	video_config_init(&config);
	if (!copy || video_config_parse(&config, copy) != 0) {
		status = PROGRAM_EXIT_USAGE;
	} else {
		p.config_bytes = config.media ? sizeof(struct virtio_media_config) : sizeof(struct virtio_video_config);
		p.shared_bytes = video_shared_bytes(&config);
		p.device_options = options;
		p.journal_bytes = config.limits.journal_bytes;
		gst_registry_prepare(&registry);
		status = program_run(&p);
		gst_registry_finish(&registry);
	}
	free(copy);
	free(options);
	return status;
}
