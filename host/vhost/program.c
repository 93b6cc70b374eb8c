// SPDX-License-Identifier: MIT
#include "host/vhost/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/vhost/control_server.h"
#include "host/vhost/keeper.h"
#include "host/vhost/server.h"
#include "host/virtio/device.h"
#include "host/virtio/journal.h"
#include "host/virtio/mem.h"
#include "host/virtio/module.h"
#include "host/virtio/object.h"

/* ---- options ---- */

int program_usage(const struct program *p, const char *why, const char *word)
{
	fprintf(stderr, "mullion-%s: %s%s; mullion-%s --help lists the options\n", p->name, why, word, p->name);
	return PROGRAM_EXIT_USAGE;
}

bool program_number(const char *word, unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(word, &end, 10);
	return !errno && end != word && !*end && *word != '-' && *out <= max;
}

int program_getopt(const struct program *p, int argc, char **argv, const struct option *options)
{
	int o;

	opterr = 0; /* getopt_long() says what, and not what to do */
	o = getopt_long(argc, argv, ":", options, NULL);
	if (o == ':') {
		program_usage(p, "a value has to follow ", argv[optind - 1]);
		return '?';
	}
	if (o != '?')
		return o;
	/* A letter, which may be a negative char; long options have numbers above. */
	if (optopt != 0 && optopt <= UCHAR_MAX) {
		const char letter[] = {'-', (char)optopt, '\0'};

		program_usage(p, "no option ", letter);
	} else {
		program_usage(p, optopt ? "an option that takes no value has one: " : "no option ", argv[optind - 1]);
	}
	return o;
}

static bool is_socket(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISSOCK(st.st_mode);
}

int program_option(struct program *p, int option, const char *value)
{
	unsigned long number;

	switch (option) {
	case PROGRAM_SOCKET_PATH:
		p->socket_path = value;
		return -1;
	case PROGRAM_FD:
		if (!program_number(value, 1 << 20, &number))
			return program_usage(p, "--fd takes the number of an open socket, not ", value);
		p->fd = (int)number;
		return -1;
	case PROGRAM_CONTROL_FD:
		if (!program_number(value, 1 << 20, &number) || !is_socket((int)number))
			return program_usage(p, "--control-fd takes the number of an open socket, not ", value);
		p->control = (int)number;
		return -1;
	case PROGRAM_IN_BAND:
		p->in_band = true;
		return -1;
	case PROGRAM_SPARE:
		p->spare = true;
		return -1;
	case PROGRAM_SHARED_OBJECTS:
		p->has_objects = true;
		return -1;
	case PROGRAM_SANDBOX:
		if (sandbox_mode_parse(value, &p->sandbox.mode))
			return program_usage(p, "--sandbox is auto, strict or off, not ", value);
		return -1;
	case PROGRAM_MAX_DEATHS:
		if (!program_number(value, KEEPER_MAX_DEATHS, &p->max_deaths) || !p->max_deaths)
			return program_usage(p, "--max-deaths takes a number from 1 to 10000, not ", value);
		return -1;
	case PROGRAM_HANG_LIMIT:
		if (!program_number(value, 86400, &p->hang_s))
			return program_usage(p, "--hang-limit takes seconds, 0 to 86400, not ", value);
		return -1;
	case PROGRAM_CAPABILITIES:
		p->print_capabilities();
		return 0;
	case PROGRAM_HELP:
		p->print_help(p);
		return 0;
	case PROGRAM_VERSION:
		printf("mullion-%s " MULLION_VERSION "\n", p->name);
		return 0;
	default:
		return PROGRAM_EXIT_USAGE; /* program_getopt() said why */
	}
}

int program_check(const struct program *p, const char *extra)
{
	if (extra)
		return program_usage(p, "no argument is expected, but there is ", extra);
	if (!p->socket_path == (p->fd < 0))
		return program_usage(p,
				     p->socket_path ? "--socket-path and --fd exclude each other"
						    : "needs --socket-path or --fd",
				     "");
	return -1;
}

void program_print_socket_help(void)
{
	puts("  --socket-path PATH    listen there; serves one VMM at a time, and the next when it left\n"
	     "  --fd NUMBER           use this socket: a connected one is served once, a listening one like a path\n"
	     "  --control-fd NUMBER   answer there to what mullion asks of the device (mullion run starts it so)");
}

void program_print_help(const struct program *p)
{
	printf("  --sandbox MODE        what keeps a hostile guest in: auto, all that this host allows (the default);\n"
	       "                        strict, all of it or no start; off\n"
	       "  --in-band             offer kicks and interrupts by messages (User Mode Linux with simulated time)\n"
	       "  --spare               keep a second process ready to take over at once; it takes memory\n"
	       "  --shared-objects      share pictures with other devices of the guest by UUIDs (mullion run starts it "
	       "so)\n"
	       "  --max-deaths N        so many crashes in a minute, and the next process does with less (default "
	       "%lu)\n"
	       "  --hang-limit SECONDS  one that is not done after so long counts as crashed; 0: never (default %lu)\n"
	       "  --print-capabilities  what this program can do, as JSON for VMM managers\n"
	       "  --help, --version\n",
	       p->max_deaths, p->hang_s);
}

/* ---- the worker ---- */

static void frontend_ended(void *owner)
{
	loop_stop(((struct program_worker *)owner)->loop);
}

static void made_progress(void *owner)
{
	struct program_worker *w = owner;

	/* A spare one keeps no pulse. */
	if (w->begun)
		worker_pulse_beat(&w->pulse);
}

static int take_display(void *owner, int fd)
{
	const struct program_worker *w = owner;

	return w->program->take_display(w->device, fd);
}

static int make_device(struct program_worker *w)
{
	const struct program *p = w->program;
	struct device_setup setup = {
		.loop = w->loop,
		.mem = w->mem,
		.options = p->device_options ? p->device_options : "",
		.display = p->display,
		.degraded = w->place->degraded,
	};
	int err = w->place->journal >= 0 ? journal_map(w->place->journal, &w->journal) : 0;

	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the journal can't be opened: %s", p->name, strerror(-err));
		return err;
	}
	if (p->has_objects) {
		err = virtio_objects_create(&w->objects);
		if (err)
			return err;
	}
	setup.journal = w->journal;
	setup.objects = w->objects;
	setup.shared = w->place->shared;
	return p->module->create(&setup, &w->device);
}

/* What the user asks of the device. Not before the worker is the guest's: the modes are written by the one before. */
static int serve_control(struct program_worker *w)
{
	const struct control_server_config config = {
		.socket = w->place->control,
		.device = w->device,
		.displays = w->program->module->display_control,
		.modes = w->place->memory->modes,
	};

	return config.socket < 0 ? 0 : control_server_create(&config, &w->control);
}

/* The guest is ours from here on. */
static void frontend_begun(void *owner)
{
	struct program_worker *w = owner;
	int err;

	if (w->begun)
		return;
	w->begun = true;
	worker_pulse_start(&w->pulse, w->place->memory, w->loop);
	err = serve_control(w);
	if (err) {
		log_line(LOG_TOPIC_VHOST, LOG_ERROR, "%s: the control socket can't be served: %s", w->program->name,
			 strerror(-err));
		loop_stop(w->loop);
	}
}

static int construct(struct program_worker *w)
{
	const struct program *p = w->program;
	struct vhost_server_config config = {
		.fd = w->place->link,
		.in_band = p->in_band,
		.inflight = w->place->memory->rings,
		.display = p->take_display ? take_display : NULL,
		.begun = frontend_begun,
		.progress = made_progress,
		.ended = frontend_ended,
		.owner = w,
	};
	int err = loop_create(p->name, &w->loop);

	if (!err)
		err = guest_mem_create(&w->mem);
	if (err) {
		fprintf(stderr, "mullion-%s: can't start: %s\n", p->name, strerror(-err));
		return err;
	}
	err = make_device(w);
	if (!err && p->prepare)
		err = p->prepare(w);
	if (err)
		return err;
	config.device = w->device;
	config.objects = w->objects;
	config.mem = w->mem;
	err = vhost_server_create(&config, &w->server);
	if (err)
		return err;
	if (!w->place->spare)
		frontend_begun(w);
	/* All that has to be loaded is; the frontend has not been listened to. */
	return sandbox_lock(w->place->sandbox);
}

/* What a worker does; @program is a struct program. */
static int work(void *program, const struct worker_place *place)
{
	struct program_worker w = {.program = program, .place = place};
	int status = construct(&w) || loop_run(w.loop) ? EXIT_FAILURE : EXIT_SUCCESS;

	/* A spare one has no guest, and must not take that of another for its own. */
	if (place->spare && !w.begun)
		return status;
	vhost_server_destroy(w.server);
	/* Its last screenshots are answered. */
	virtio_device_destroy(w.device);
	virtio_objects_destroy(w.objects);
	control_server_destroy(w.control);
	if (w.program->finish)
		w.program->finish(&w);
	journal_close(w.journal);
	guest_mem_destroy(w.mem);
	loop_destroy(w.loop);
	return status;
}

/* ---- the program ---- */

int program_run(struct program *p)
{
	struct keeper_config config = {
		.name = p->name,
		.socket_path = p->socket_path,
		.fd = p->fd,
		.control = p->control,
		.screen = p->screen,
		.in_band = p->in_band,
		.config_bytes = p->config_bytes,
		.journal_bytes = p->journal_bytes,
		.shared_bytes = p->shared_bytes,
		.spare = p->spare,
		.has_objects = p->has_objects,
		.max_deaths = (unsigned)p->max_deaths,
		.hang_ns = p->hang_s * 1000000000ull,
		.work = work,
		.owner = p,
	};
	int status = EXIT_FAILURE;

	if (!sandbox_create(&p->sandbox, &config.sandbox))
		status = keeper_run(&config);
	sandbox_destroy(config.sandbox);
	return status;
}
