// SPDX-License-Identifier: MIT
/*
 * mullion-gpu: the virtio-gpu device as a program of its own, for any VMM that speaks vhost-user. Its options follow
 * QEMU's conventions for backend programs (docs/interop/vhost-user.rst).
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/display/display.h"
#include "host/gpu/gpu.h"
#include "host/vhost/control_server.h"
#include "host/vhost/keeper.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/worker.h"
#include "host/virtio/device.h"
#include "host/virtio/journal.h"
#include "host/virtio/mem.h"
#include "host/virtio/module.h"
#include "protocol/virtio_gpu.h"

#define EXIT_USAGE 2

extern const struct device_module mullion_device_module;

struct program {
	const char *socket_path;
	int fd, control, screen;
	const char *render_node;
	const char *gpu;
	const char *display;
	bool in_band, spare;
	unsigned long max_deaths, hang_s, shader_cache_mib;
	enum sandbox_mode sandbox;
};

static void print_help(void)
{
	puts("Usage: mullion-gpu --socket-path PATH [OPTION...]\n"
	     "       mullion-gpu --fd NUMBER [OPTION...]\n"
	     "Lends a virtio-gpu device to a VMM over vhost-user.\n\n"
	     "  --socket-path PATH    listen there; serves one VMM at a time, and the next when it left\n"
	     "  --fd NUMBER           use this socket: a connected one is served once, a listening one like a path\n"
	     "  --control-fd NUMBER   answer there to what mullion asks of the displays (mullion run starts it so)\n"
	     "  --render-node PATH    the GPU to use, such as /dev/dri/renderD128 (default: found)\n"
	     "  --virgl               3D for the guest: the default where the host can\n"
	     "  --gpu OPTIONS         options of the device, see below\n"
	     "  --display WHERE       where the guest's frames go:");
	for (const struct display_output_ops *const *o = display_outputs; *o; o++)
		printf("                          %s\n", (*o)->help);
	printf("  --sandbox MODE        what keeps a hostile guest in: auto, all that this host allows (the default);\n"
	       "                        strict, all of it or no start; off\n"
	       "  --shader-cache MIB    keep the guest's compiled shaders, in memory, while this runs (default 0: no)\n"
	       "  --in-band             offer kicks and interrupts by messages (User Mode Linux with simulated time)\n"
	       "  --spare               keep a second process ready to take over at once; it takes memory\n"
	       "  --max-deaths N        so many crashes of the renderer in a minute, and 3D is off (default 5)\n"
	       "  --hang-limit SECONDS  one that is not done after so long counts as crashed; 0: never (default 10)\n"
	       "  --print-capabilities  what this program can do, as JSON for VMM managers\n"
	       "  --help, --version\n\n"
	       "OPTIONS, separated by commas:\n%s\n"
	       "Environment: MULLION_LOG=LEVEL or TOPIC:LEVEL,... (topics here: vhost, virtio, gpu, display)\n\n"
	       "A VMM with a display of its own (QEMU) is sent all frames besides, and tells the guest its sizes.\n\n"
	       "Examples, with QEMU and with User Mode Linux as the VMM:\n"
	       "  mullion-gpu --socket-path gpu.sock &\n"
	       "  qemu-system-x86_64 -M q35,memory-backend=mem -object memory-backend-memfd,id=mem,size=2G,share=on -m 2G \\\n"
	       "    -vga none -chardev socket,path=gpu.sock,id=g -device vhost-user-gpu-pci,chardev=g ...\n"
	       "  linux mem=512M ... virtio_uml.device=gpu.sock:16\n",
	       mullion_device_module.help);
}

/* libvirt asks each time, and starts nothing on a host without a render node if we say that we take one. */
static bool host_has_render_node(void)
{
	char path[32];

	for (unsigned i = 128; i < 192; i++) {
		snprintf(path, sizeof(path), "/dev/dri/renderD%u", i);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static void print_capabilities(void)
{
	printf("{\n"
	       "  \"type\": \"gpu\",\n"
	       "  \"features\": [\n"
	       "%s"
	       "    \"virgl\"\n"
	       "  ]\n"
	       "}\n",
	       host_has_render_node() ? "    \"render-node\",\n" : "");
}

static int usage(const char *why, const char *word)
{
	fprintf(stderr, "mullion-gpu: %s%s; mullion-gpu --help lists the options\n", why, word);
	return EXIT_USAGE;
}

static bool read_number(const char *word, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(word, &end, 10);
	return !errno && end != word && !*end && *word != '-' && *out <= max;
}

/* -1: go on; else the exit status. */
static int parse(struct program *p, int argc, char **argv)
{
	enum {
		SOCKET_PATH = 256,
		FD,
		CONTROL_FD,
		RENDER_NODE,
		GPU,
		DISPLAY,
		VIRGL,
		IN_BAND,
		SPARE,
		SANDBOX,
		SHADER_CACHE,
		MAX_DEATHS,
		HANG_LIMIT,
		CAPABILITIES,
		HELP,
		VERSION
	};
	static const struct option options[] = {
		{"socket-path", required_argument, NULL, SOCKET_PATH},
		{"fd", required_argument, NULL, FD},
		{"control-fd", required_argument, NULL, CONTROL_FD},
		{"render-node", required_argument, NULL, RENDER_NODE},
		{"gpu", required_argument, NULL, GPU},
		{"display", required_argument, NULL, DISPLAY},
		{"virgl", no_argument, NULL, VIRGL},
		{"in-band", no_argument, NULL, IN_BAND},
		{"spare", no_argument, NULL, SPARE},
		{"sandbox", required_argument, NULL, SANDBOX},
		{"shader-cache", required_argument, NULL, SHADER_CACHE},
		{"max-deaths", required_argument, NULL, MAX_DEATHS},
		{"hang-limit", required_argument, NULL, HANG_LIMIT},
		{"print-capabilities", no_argument, NULL, CAPABILITIES},
		{"help", no_argument, NULL, HELP},
		{"version", no_argument, NULL, VERSION},
		{0},
	};
	unsigned long number;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case SOCKET_PATH:
			p->socket_path = optarg;
			break;
		case FD:
			if (!read_number(optarg, 1 << 20, &number))
				return usage("--fd takes the number of an open socket, not ", optarg);
			p->fd = (int)number;
			break;
		case CONTROL_FD:
			if (!read_number(optarg, 1 << 20, &number))
				return usage("--control-fd takes the number of an open socket, not ", optarg);
			p->control = (int)number;
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
		case SPARE:
			p->spare = true;
			break;
		case SANDBOX:
			if (sandbox_mode_parse(optarg, &p->sandbox))
				return usage("--sandbox is auto, strict or off, not ", optarg);
			break;
		case SHADER_CACHE:
			if (!read_number(optarg, 1024, &p->shader_cache_mib))
				return usage("--shader-cache takes MiB, 0 to 1024, not ", optarg);
			break;
		case MAX_DEATHS:
			if (!read_number(optarg, KEEPER_MAX_DEATHS, &p->max_deaths) || !p->max_deaths)
				return usage("--max-deaths takes a number from 1 to 10000, not ", optarg);
			break;
		case HANG_LIMIT:
			if (!read_number(optarg, 86400, &p->hang_s))
				return usage("--hang-limit takes seconds, 0 to 86400, not ", optarg);
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
	if (p->display && !strncmp(p->display, "fd:", 3)) {
		if (!read_number(p->display + 3, 1 << 20, &number))
			return usage("--display fd: takes the number of an open socket, not ", p->display + 3);
		p->screen = (int)number;
	}
	/* It listens, and serves viewers, with what the sandbox takes away. */
	if (p->sandbox != SANDBOX_OFF && p->display && !strncmp(p->display, "vnc", 3))
		return usage("--display vnc needs --sandbox off: a device in its sandbox may not open sockets", "");
	/* Two processes would listen at one place. */
	if (p->spare && p->display && !strncmp(p->display, "vnc", 3))
		return usage("--spare is not possible with --display ", p->display);
	if (!p->socket_path == (p->fd < 0))
		return usage(p->socket_path ? "--socket-path and --fd exclude each other" : "needs --socket-path or --fd", "");
	return -1;
}

/* ---- the worker ---- */

struct work {
	struct loop *loop;
	struct guest_mem *mem;
	struct virtio_device *device;
	struct control_server *control; /* NULL: none */
	struct vhost_server *server;
	struct worker_pulse pulse;
	const struct worker_place *place;
	struct journal *journal; /* NULL: none */
	bool begun;
};

static void frontend_ended(void *owner)
{
	loop_stop(((struct work *)owner)->loop);
}

/* Not before the worker is the guest's: the socket is that of the one before until then. */
static int serve_control(struct work *w)
{
	const struct control_server_config config = {
		.socket = w->place->control,
		.generation = w->place->generation,
		.control = {.ops = mullion_device_module.display_control, .owner = w->device, .loop = w->loop},
		.modes = w->place->memory->modes,
	};

	return w->place->control < 0 ? 0 : control_server_create(&config, &w->control);
}

/* It is ours from here on. */
static void frontend_begun(void *owner)
{
	struct work *w = owner;
	int err;

	if (w->begun)
		return;
	w->begun = true;
	worker_pulse_start(&w->pulse, w->place->memory, w->loop);
	err = serve_control(w);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "gpu: the control socket can't be served: %s", strerror(-err));
		loop_stop(w->loop);
	}
}

static int take_display(void *owner, int fd)
{
	return gpu_set_display_socket(((struct work *)owner)->device, fd);
}

static int make_device(const struct program *p, const struct worker_place *place, struct work *w)
{
	struct device_setup setup = {.loop = w->loop, .mem = w->mem, .display = p->display, .degraded = place->degraded};
	char *options;
	int err = place->journal >= 0 ? journal_map(place->journal, &w->journal) : 0;

	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "gpu: the journal can't be opened: %s", strerror(-err));
		return err;
	}

	/* Later ones win. */
	if (asprintf(&options, "%s%s%s%s", p->gpu ? p->gpu : "", p->render_node ? "," : "",
		     p->render_node ? "render-node=" : "", p->render_node ? p->render_node : "") < 0)
		return -ENOMEM;
	setup.options = options;
	setup.journal = w->journal;
	setup.shared = place->shared;
	err = mullion_device_module.create(&setup, &w->device);
	free(options);
	return err;
}

static int construct(const struct program *p, const struct worker_place *place, struct work *w)
{
	struct vhost_server_config config = {
		.fd = place->link,
		.in_band = p->in_band,
		.inflight = place->memory->rings,
		.display = take_display,
		.begun = frontend_begun,
		.ended = frontend_ended,
		.owner = w,
	};
	int err = loop_create("gpu", &w->loop);

	if (!err)
		err = guest_mem_create(&w->mem);
	if (err) {
		fprintf(stderr, "mullion-gpu: can't start: %s\n", strerror(-err));
		return err;
	}
	err = make_device(p, place, w);
	if (err)
		return err;
	config.device = w->device;
	config.mem = w->mem;
	err = vhost_server_create(&config, &w->server);
	if (err)
		return err;
	w->place = place;
	if (!place->spare)
		frontend_begun(w);
	/* Drivers are loaded, and a first shader is compiled; the frontend has not been listened to. */
	return sandbox_lock(place->sandbox);
}

static int work(void *owner, const struct worker_place *place)
{
	struct work w = {0};
	int status = construct(owner, place, &w) || loop_run(w.loop) ? EXIT_FAILURE : EXIT_SUCCESS;

	/* A spare one has no guest, and must not take that of another for its own. */
	if (place->spare && !w.begun)
		return status;
	vhost_server_destroy(w.server);
	/* Its last screenshots are answered. */
	virtio_device_destroy(w.device);
	control_server_destroy(w.control);
	journal_close(w.journal);
	guest_mem_destroy(w.mem);
	loop_destroy(w.loop);
	return status;
}

/* The directory of png:DIR[,...], made if missing: the sandbox takes only what is there. */
static int find_frames(const struct program *p, char **out)
{
	static const char png[] = "png:";

	*out = NULL;
	if (!p->display || strncmp(p->display, png, strlen(png)) != 0)
		return 0;
	*out = strndup(p->display + strlen(png), strcspn(p->display + strlen(png), ","));
	if (!*out)
		return -ENOMEM;
	/* The display says what is wrong with it. */
	mkdir(*out, 0777);
	return 0;
}

/* What the keeper has to know of the device's options. Their mistakes are found here too, before a process is made. */
static int read_device_options(const struct program *p, struct keeper_config *config)
{
	char *words = strdup(p->gpu ? p->gpu : "");
	struct gpu_config gpu;
	int err = words ? 0 : -ENOMEM;

	gpu_config_init(&gpu);
	if (!err)
		err = gpu_config_parse(&gpu, words);
	config->shared_bytes = gpu.host_visible_bytes;
	free(words);
	return err;
}

static int run(struct program *p, struct keeper_config *config)
{
	struct sandbox_config sandbox = {
		.mode = p->sandbox,
		.profile = &sandbox_gpu,
		.device = p->render_node,
		.shader_cache_bytes = (uint64_t)p->shader_cache_mib << 20,
	};
	char *frames;
	int status = EXIT_FAILURE;

	if (read_device_options(p, config))
		return EXIT_USAGE;
	if (find_frames(p, &frames))
		return status;
	sandbox.writable = frames;
	if (!sandbox_create(&sandbox, &config->sandbox))
		status = keeper_run(config);
	sandbox_destroy(config->sandbox);
	free(frames);
	return status;
}

int main(int argc, char **argv)
{
	struct program p = {.fd = -1, .control = -1, .screen = -1, .max_deaths = 5, .hang_s = 10};
	struct keeper_config config = {
		.name = "gpu",
		.config_bytes = sizeof(struct virtio_gpu_config),
		.journal_bytes = gpu_limits_default.journal_bytes,
		.work = work,
		.owner = &p,
	};
	int status;

	if (log_set_levels(getenv("MULLION_LOG")))
		return EXIT_USAGE;
	status = parse(&p, argc, argv);
	if (status >= 0)
		return status;
	config.socket_path = p.socket_path;
	config.fd = p.fd;
	config.control = p.control;
	config.screen = p.screen;
	config.in_band = p.in_band;
	config.spare = p.spare;
	config.max_deaths = (unsigned)p.max_deaths;
	config.hang_ns = p.hang_s * 1000000000ull;
	return run(&p, &config);
}
