// SPDX-License-Identifier: MIT
/*
 * mullion-gpu: the virtio-gpu device as a program of its own, for any VMM that speaks vhost-user.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/display/display.h"
#include "host/gpu/gpu.h"
#include "host/vhost/program.h"
#include "host/virtio/module.h"
#include "protocol/virtio_gpu.h"

extern const struct device_module mullion_device_module;

struct words {
	const char *render_node, *gpu;
	char display[16]; /* what --display PATH becomes */
};

static void print_help(const struct program *p)
{
	puts("Usage: mullion-gpu --socket-path PATH [OPTION...]\n"
	     "       mullion-gpu --fd NUMBER [OPTION...]\n"
	     "Lends a virtio-gpu device to a VMM over vhost-user.\n");
	program_print_socket_help();
	puts("  --render-node PATH    the GPU to use, such as /dev/dri/renderD128 (default: found)\n"
	     "  --virgl               3D for the guest: the default where the host can\n"
	     "  --gpu OPTIONS         options of the device, see below\n"
	     "  --display WHERE       where the guest's frames go:");
	for (const struct display_output_ops *const *o = display_outputs; *o; o++)
		printf("                          %s\n", (*o)->help);
	puts("                          PATH (with / or . first): the same, to whoever listens at this socket");
	puts("  --shader-cache MIB    keep the guest's compiled shaders, in memory, while this runs (default 0: no)");
	program_print_help(p);
	printf("\nOPTIONS, separated by commas:\n%s\n"
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

/* Of a socket, as --display takes it: names of outputs have neither at their beginning. */
static bool is_path(const char *display)
{
	return *display == '/' || *display == '.';
}

/* -1: go on; else the exit status. */
static int parse(struct program *p, struct words *w, int argc, char **argv)
{
	enum { RENDER_NODE = 256, GPU, DISPLAY, VIRGL, SHADER_CACHE };
	static const struct option options[] = {
		PROGRAM_OPTIONS,
		{"render-node", required_argument, NULL, RENDER_NODE},
		{"gpu", required_argument, NULL, GPU},
		{"display", required_argument, NULL, DISPLAY},
		{"virgl", no_argument, NULL, VIRGL},
		{"shader-cache", required_argument, NULL, SHADER_CACHE},
		{0},
	};
	unsigned long number;
	int o, status;

	while ((o = program_getopt(p, argc, argv, options)) != -1) {
		switch (o) {
		case RENDER_NODE:
			if (strchr(optarg, ','))
				return program_usage(p, "--render-node takes a path without commas, not ", optarg);
			w->render_node = optarg;
			break;
		case GPU:
			w->gpu = optarg;
			break;
		case DISPLAY:
			p->display = optarg;
			break;
		case VIRGL:
			break;
		case SHADER_CACHE:
			if (!program_number(optarg, 1024, &number))
				return program_usage(p, "--shader-cache takes MiB, 0 to 1024, not ", optarg);
			p->sandbox.shader_cache_bytes = (uint64_t)number << 20;
			break;
		default:
			status = program_option(p, o, optarg);
			if (status >= 0)
				return status;
		}
	}
	if (p->display && !is_path(p->display) && !display_is_known(p->display))
		return program_usage(
			p,
			"--display takes none, png:DIR[,every=N], vnc[:ADDR], fd:N, or the path of a socket with "
			"/ or ./ before it, not ",
			p->display);
	if (p->display && !strncmp(p->display, "fd:", 3)) {
		if (!program_number(p->display + 3, 1 << 20, &number))
			return program_usage(p, "--display fd: takes the number of an open socket, not ", p->display + 3);
		p->screen = (int)number;
	}
	/* It listens, and serves viewers, with what the sandbox takes away. */
	if (p->sandbox.mode != SANDBOX_OFF && p->display && !strncmp(p->display, "vnc", 3))
		return program_usage(
			p, "--display vnc needs --sandbox off: a device in its sandbox may not open sockets", "");
	/* Two processes would listen at one place. */
	if (p->spare && p->display && !strncmp(p->display, "vnc", 3))
		return program_usage(p, "--spare is not possible with --display ", p->display);
	return program_check(p, argv[optind]);
}

/* Whoever listens there may take no more connections, and would never say so. */
static int connect_soon(int fd, const struct sockaddr_un *address)
{
	const struct timeval limit = {.tv_sec = 3}, none = {0};

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0 ? -errno : 0;
}

/*
 * --display PATH: connect to it now, since the sandbox lets no process make sockets; from then on it is a socket that was
 * given, which all workers have in turn. -1: go on; else the exit status.
 */
static int connect_display(struct program *p, struct words *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = p->display;
	int err;

	if (!path || !is_path(path))
		return -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return program_usage(p, "--display takes the path of a socket, which has 107 bytes at most, not ",
				     path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	p->screen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	err = p->screen < 0 ? -errno : connect_soon(p->screen, &address);
	if (err < 0) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "no display at %s: %s; start what listens there first%s", path,
			 strerror(-err), err == -ETIMEDOUT ? ", and anew if it takes no connections" : "");
		return EXIT_FAILURE;
	}
	snprintf(w->display, sizeof(w->display), "fd:%d", p->screen);
	p->display = w->display;
	return -1;
}

/* The directory of png:DIR[,...], made if missing: the sandbox takes only what is there. NULL: none, or no memory. */
static char *find_frames(const struct program *p)
{
	static const char png[] = "png:";
	char *frames;

	if (!p->display || strncmp(p->display, png, strlen(png)) != 0)
		return NULL;
	frames = strndup(p->display + strlen(png), strcspn(p->display + strlen(png), ","));
	/* The display says what is wrong with it. */
	if (frames)
		mkdir(frames, 0777);
	return frames;
}

/* What the keeper has to know of the device's options. Their mistakes are found here too, before a process is made. */
static int read_device_options(struct program *p, const char *options)
{
	char *words = strdup(options);
	struct gpu_config gpu;
	int err = words ? 0 : -ENOMEM;

	gpu_config_init(&gpu);
	if (!err)
		err = gpu_config_parse(&gpu, words);
	p->shared_bytes = gpu.host_visible_bytes;
	free(words);
	return err;
}

int main(int argc, char **argv)
{
	struct words words = {0};
	struct program p = {
		.name = "gpu",
		.module = &mullion_device_module,
		.config_bytes = sizeof(struct virtio_gpu_config),
		.journal_bytes = gpu_limits_default.journal_bytes,
		.print_help = print_help,
		.print_capabilities = print_capabilities,
		.take_display = gpu_set_display_socket,
		.fd = -1,
		.control = -1,
		.screen = -1,
		.max_deaths = 5,
		.hang_s = 10,
		.sandbox = {.profile = &sandbox_gpu},
	};
	char *frames, *options;
	int status;

	if (log_set_levels(getenv("MULLION_LOG")))
		return PROGRAM_EXIT_USAGE;
	status = parse(&p, &words, argc, argv);
	if (status >= 0)
		return status;
	/* Later ones win. */
	if (asprintf(&options, "%s%s%s%s", words.gpu ? words.gpu : "", words.render_node ? "," : "",
		     words.render_node ? "render-node=" : "", words.render_node ? words.render_node : "") < 0)
		return EXIT_FAILURE;
	if (read_device_options(&p, words.gpu ? words.gpu : "")) {
		free(options);
		return PROGRAM_EXIT_USAGE;
	}
	status = connect_display(&p, &words);
	if (status >= 0) {
		free(options);
		return status;
	}
	frames = find_frames(&p);
	p.device_options = options;
	p.sandbox.device = words.render_node;
	p.sandbox.writable = frames;
	status = program_run(&p);
	free(frames);
	free(options);
	return status;
}
