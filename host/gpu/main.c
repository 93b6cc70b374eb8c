// SPDX-License-Identifier: MIT
/*
 * mullion-gpu: the virtio-gpu device as a program of its own, for any VMM that speaks vhost-user. Its options follow
 * QEMU's conventions for backend programs (docs/interop/vhost-user.rst).
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/display/display.h"
#include "host/vhost/server.h"
#include "host/virtio/device.h"
#include "host/virtio/mem.h"
#include "host/virtio/module.h"

#define EXIT_USAGE 2

extern const struct device_module mullion_device_module;

struct program {
	const char *socket_path;
	int fd;
	const char *render_node;
	const char *gpu;
	const char *display;
	bool in_band;
	struct loop *loop;
	struct guest_mem *mem;
	struct virtio_device *device;
	struct vhost_server *server;
	struct loop_fd signals;
};

static void print_help(void)
{
	puts("Usage: mullion-gpu --socket-path PATH [OPTION...]\n"
	     "       mullion-gpu --fd NUMBER [OPTION...]\n"
	     "Lends a virtio-gpu device to a VMM over vhost-user.\n\n"
	     "  --socket-path PATH    listen there; serves one VMM at a time, and the next when it left\n"
	     "  --fd NUMBER           use this socket: a connected one is served once, a listening one like a path\n"
	     "  --render-node PATH    the GPU to use, such as /dev/dri/renderD128 (default: found)\n"
	     "  --virgl               3D for the guest: the default where the host can\n"
	     "  --gpu OPTIONS         options of the device, see below\n"
	     "  --display WHERE       where the guest's frames go:");
	for (const struct display_output_ops *const *o = display_outputs; *o; o++)
		printf("                          %s\n", (*o)->help);
	printf("  --in-band             offer kicks and interrupts by messages (User Mode Linux with simulated time)\n"
	       "  --print-capabilities  what this program can do, as JSON for VMM managers\n"
	       "  --help, --version\n\n"
	       "OPTIONS, separated by commas:\n%s\n"
	       "Environment: MULLION_LOG=LEVEL or TOPIC:LEVEL,... (topics here: vhost, virtio, gpu, display)\n\n"
	       "Example, with User Mode Linux as the VMM:\n"
	       "  mullion-gpu --socket-path gpu.sock &\n"
	       "  linux mem=512M ... virtio_uml.device=gpu.sock:16\n",
	       mullion_device_module.help);
}

static void print_capabilities(void)
{
	puts("{\n"
	     "  \"type\": \"gpu\",\n"
	     "  \"features\": [\n"
	     "    \"render-node\",\n"
	     "    \"virgl\"\n"
	     "  ]\n"
	     "}");
}

static int usage(const char *why, const char *word)
{
	fprintf(stderr, "mullion-gpu: %s%s; mullion-gpu --help lists the options\n", why, word);
	return EXIT_USAGE;
}

/* -1: go on; else the exit status. */
static int parse(struct program *p, int argc, char **argv)
{
	enum { SOCKET_PATH = 256, FD, RENDER_NODE, GPU, DISPLAY, VIRGL, IN_BAND, CAPABILITIES, HELP, VERSION };
	static const struct option options[] = {
		{"socket-path", required_argument, NULL, SOCKET_PATH},
		{"fd", required_argument, NULL, FD},
		{"render-node", required_argument, NULL, RENDER_NODE},
		{"gpu", required_argument, NULL, GPU},
		{"display", required_argument, NULL, DISPLAY},
		{"virgl", no_argument, NULL, VIRGL},
		{"in-band", no_argument, NULL, IN_BAND},
		{"print-capabilities", no_argument, NULL, CAPABILITIES},
		{"help", no_argument, NULL, HELP},
		{"version", no_argument, NULL, VERSION},
		{0},
	};
	char *end;
	long number;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case SOCKET_PATH:
			p->socket_path = optarg;
			break;
		case FD:
			number = strtol(optarg, &end, 10);
			if (*end || end == optarg || number < 0 || number > 1 << 20)
				return usage("--fd takes the number of an open socket, not ", optarg);
			p->fd = (int)number;
			break;
		case RENDER_NODE:
			if (strchr(optarg, ','))
				return usage("--render-node takes a path without commas, not ", optarg);
			p->render_node = optarg;
			break;
		case GPU:
			p->gpu = optarg;
			break;
		case DISPLAY:
			p->display = optarg;
			break;
		case VIRGL:
			break;
		case IN_BAND:
			p->in_band = true;
			break;
		case CAPABILITIES:
			print_capabilities();
			return 0;
		case HELP:
			print_help();
			return 0;
		case VERSION:
			puts("mullion-gpu " MULLION_VERSION);
			return 0;
		default:
			return EXIT_USAGE; /* getopt said why */
		}
	}
	if (optind < argc)
		return usage("no argument is expected, but there is ", argv[optind]);
	if (!p->socket_path == (p->fd < 0))
		return usage(p->socket_path ? "--socket-path and --fd exclude each other" : "needs --socket-path or --fd", "");
	return -1;
}

static void signalled(struct loop_fd *f, uint32_t events)
{
	struct program *p = f->owner;

	(void)events;
	loop_stop(p->loop);
}

static void frontend_ended(void *owner)
{
	loop_stop(((struct program *)owner)->loop);
}

static int watch_signals(struct program *p)
{
	sigset_t set;

	/* Sockets that a peer has closed are told by errors. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Before any thread is there, so that none takes them. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	p->signals = (struct loop_fd){.ready = signalled, .owner = p};
	p->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (p->signals.fd < 0)
		return -errno;
	return loop_add_fd(p->loop, &p->signals, EPOLLIN);
}

static int make_device(struct program *p)
{
	char *options;
	int err;

	/* Later ones win. */
	if (asprintf(&options, "%s%s%s%s", p->gpu ? p->gpu : "", p->render_node ? "," : "",
		     p->render_node ? "render-node=" : "", p->render_node ? p->render_node : "") < 0)
		return -ENOMEM;
	err = mullion_device_module.create(p->loop, p->mem, options, p->display, NULL, &p->device);
	free(options);
	return err;
}

static int construct(struct program *p)
{
	struct vhost_server_config config = {
		.socket_path = p->socket_path,
		.fd = p->fd,
		.in_band = p->in_band,
		.ended = frontend_ended,
		.owner = p,
	};
	int err = loop_create("gpu", &p->loop);

	if (!err)
		err = watch_signals(p);
	if (!err)
		err = guest_mem_create(&p->mem);
	if (err) {
		fprintf(stderr, "mullion-gpu: can't start: %s\n", strerror(-err));
		return err;
	}
	err = make_device(p);
	if (err)
		return err;
	config.device = p->device;
	config.mem = p->mem;
	return vhost_server_create(&config, &p->server);
}

int main(int argc, char **argv)
{
	struct program p = {.fd = -1, .signals = {.fd = -1}};
	int status;

	if (log_set_levels(getenv("MULLION_LOG")))
		return EXIT_USAGE;
	status = parse(&p, argc, argv);
	if (status >= 0)
		return status;
	status = construct(&p) || loop_run(p.loop) ? EXIT_FAILURE : EXIT_SUCCESS;
	vhost_server_destroy(p.server);
	virtio_device_destroy(p.device);
	guest_mem_destroy(p.mem);
	if (p.signals.fd >= 0)
		close(p.signals.fd);
	loop_destroy(p.loop);
	return status;
}
