// SPDX-License-Identifier: MIT
#include "tests/lib/video_keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/base/step.h"
#include "host/vhost/program.h"
#include "host/video/gst_elements.h"
#include "host/video/gst_registry.h"
#include "host/video/prepare.h"
#include "host/virtio/module.h"
#include "protocol/virtio_media.h"
#include "tests/lib/child_of.h"
#include "tests/lib/step_arm.h"
#include "tests/lib/stuck_decoder.h"
#include "tests/lib/tap.h"

#define POLL_NS 10000000ull

extern const struct device_module mullion_device_module;

struct video_keeper_film *video_keeper_film;

static uint64_t slowest_ns; /* failure that was told, since video_keeper_begin() */

/* ---- a clip, made where GStreamer may leave its threads behind ---- */

static void make_film(const struct video_coded_format *format)
{
	struct clip clip;
	size_t used = 0;

	if (!gst_elements_init() || !clip_can_make(format))
		_exit(0);
	clip_make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	clip_decode_outside(format, &clip, "NV12", &video_keeper_film->sums);
	for (unsigned i = 0; i < clip.count; i++) {
		assert_true(used + clip.bytes[i] <= VIDEO_KEEPER_FILM_BYTES);
		video_keeper_film->clip.data[i] = memcpy(video_keeper_film->bytes + used, clip.data[i], clip.bytes[i]);
		video_keeper_film->clip.bytes[i] = clip.bytes[i];
		used += clip.bytes[i];
	}
	video_keeper_film->clip.count = clip.count;
	video_keeper_film->has_libav = codec_gst_ops.can(format, false, "avdec_h264");
	video_keeper_film->made = true;
	_exit(0);
}

/* ---- the program ---- */

struct home {
	struct program program;
	struct video_config config;
	struct video_keeper_shared *shared;
	struct loop_timer timer;
};

static struct home *home;

static void misbehave(struct loop_timer *t)
{
	struct program_worker *w = t->owner;

	if (home->shared->forbidden) {
		home->shared->forbidden = false;
		socket(AF_UNIX, SOCK_STREAM, 0);
	}
	if (*home->shared->die_at) {
		step_die_at(home->shared->die_at);
		*home->shared->die_at = '\0';
	}
	loop_arm_timer(w->loop, t, loop_now_ns() + POLL_NS);
}

static int prepare(struct program_worker *w)
{
	int err = video_prepare_worker(w);

	if (w->place->spare)
		home->shared->spares++;
	home->timer = (struct loop_timer){.expired = misbehave, .owner = w};
	loop_arm_timer(w->loop, &home->timer, loop_now_ns() + POLL_NS);
	return err;
}

static int create_device(const struct device_setup *setup, struct virtio_device **out)
{
	home->shared->workers++;
	if (*home->shared->next_dies_at) {
		step_die_at(home->shared->next_dies_at);
		*home->shared->next_dies_at = '\0';
	}
	gst_elements_init();
	stuck_decoder_register(&home->shared->stuck);
	return mullion_device_module.create(setup, out);
}

static _Noreturn void be_keeper(struct video_keeper_shared *shared, int fd, const struct video_keeper_options *o)
{
	static struct home h;
	static struct device_module module;
	struct gst_registry registry;
	char *copy = strdup(o->device);

	home = &h;
	module = mullion_device_module;
	module.create = create_device;
	video_config_init(&h.config);
	if (!copy || video_config_parse(&h.config, copy))
		_exit(97);
	h.shared = shared;
	h.program = (struct program){
		.name = "video",
		.module = &module,
		.config_bytes =
			h.config.media ? sizeof(struct virtio_media_config) : sizeof(struct virtio_video_config),
		.shared_bytes = video_shared_bytes(&h.config),
		.journal_bytes = h.config.limits.journal_bytes,
		.prepare = prepare,
		.owner = &h.config,
		.fd = fd,
		.control = o->control ? o->control : -1,
		.screen = -1,
		.spare = o->spare,
		.max_deaths = o->max_deaths ? o->max_deaths : 1000,
		.hang_s = o->hang_s ? o->hang_s : 60,
		.device_options = o->device,
		.sandbox = {.mode = o->mode, .profile = &sandbox_video},
	};
	gst_registry_prepare(&registry);
	exit(program_run(&h.program));
}

void video_keeper_begin(struct video_keeper *w, const struct video_keeper_options *o)
{
	int pair[2];

	if (!video_keeper_film->made)
		tap_skip("no H.264 encoder or decoder: install gstreamer1.0-plugins-ugly and gstreamer1.0-libav");
	*w = (struct video_keeper){0};
	slowest_ns = 0;
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	w->log = tmpfile();
	assert_non_null(w->log);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	/* A child that ends by exit() would say it again. */
	fflush(stdout);
	w->keeper = fork();
	assert_true(w->keeper >= 0);
	if (!w->keeper) {
		tap_begin_child();
		close(pair[0]);
		if (dup2(fileno(w->log), STDERR_FILENO) < 0)
			_exit(99);
		be_keeper(w->shared, pair[1], o);
	}
	close(pair[1]);
	if (o->control)
		close(o->control);
	w->peer = (strstr(o->device, "proto=virtio-media") ? vhost_peer_create_media : vhost_peer_create_video)(
		&(struct fake_guest_options){.memory_bytes = 64 << 20, .event_idx = true}, pair[0]);
	w->video = (struct video_world){.guest = w->peer->guest, .device = &w->peer->device};
	assert_int_equal(fake_guest_start(w->peer->guest, &w->peer->device), 0);
}

static void print_log(struct video_keeper *w)
{
	char text[16384];
	ssize_t n = pread(fileno(w->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
}

bool video_keeper_log_has(struct video_keeper *w, const char *what)
{
	char text[16384];
	ssize_t n = pread(fileno(w->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, what) != NULL;
}

int video_keeper_end(struct video_keeper *w)
{
	bool ended_well;
	int status;

	if (slowest_ns)
		printf("# a death was told within %u ms; a guest waits 5000\n", (unsigned)(slowest_ns / 1000000));
	vhost_peer_disconnect(w->peer);
	assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
	ended_well = !video_keeper_log_has(w, "died at its end");
	if (status || !ended_well)
		print_log(w);
	virtio_device_finish(&w->peer->device);
	vhost_peer_destroy(w->peer);
	munmap(w->shared, sizeof(*w->shared));
	fclose(w->log);
	assert_true(ended_well);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

pid_t video_keeper_worker(const struct video_keeper *w, unsigned which)
{
	return child_of(w->keeper, which);
}

void video_keeper_signal_worker(struct video_keeper *w, int signal)
{
	pid_t pid = video_keeper_worker(w, 0);

	if (pid > 1)
		kill(pid, signal);
}

void video_keeper_die(struct video_keeper *w)
{
	video_keeper_signal_worker(w, SIGKILL);
}

void video_keeper_settle_death(struct video_keeper *w)
{
	const unsigned before = w->shared->workers;

	video_keeper_die(w);
	while (w->shared->workers == before)
		usleep(1000);
}

void video_keeper_arm(struct video_keeper *w, unsigned step, unsigned number)
{
	step_arm(w->shared->die_at, sizeof(w->shared->die_at), step, number);
	while (*(volatile char *)w->shared->die_at)
		usleep(1000);
}

void video_keeper_arm_next(struct video_keeper *w, unsigned step, unsigned number)
{
	step_arm(w->shared->next_dies_at, sizeof(w->shared->next_dies_at), step, number);
}

void video_keeper_expect_deaths(const struct video_keeper *w, unsigned before, unsigned deaths)
{
	for (unsigned i = 0; i < 60000 && w->shared->workers < before + deaths; i++)
		usleep(1000);
	assert_int_equal(w->shared->workers, before + deaths);
}

void video_keeper_expect_death(const struct video_keeper *w, unsigned before)
{
	video_keeper_expect_deaths(w, before, 1);
}

/* ---- the guest ---- */

const struct video_coded_format *video_keeper_h264(void)
{
	return video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
}

void video_keeper_lend_event(struct video_keeper *w, struct client *c)
{
	c->event = w->event ? w->event : video_post_event(&w->video);
	w->event = NULL;
}

void video_keeper_open_stream(struct video_keeper *w, uint32_t id, struct client *c, struct sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	*c = (struct client){.decoder = true, .each = client_sum_picture, .arg = sums};
	client_open(c, &w->video, id, video_keeper_h264(), false);
	video_keeper_lend_event(w, c);
}

void video_keeper_close_stream(struct video_keeper *w, struct client *c)
{
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, c->id), VIDEO_OK);
	w->event = c->event;
}

bool video_keeper_decode(struct client *c)
{
	client_send_clip(c, &video_keeper_film->clip);
	if (!c->failed)
		client_drain(c);
	return !c->failed;
}

void video_keeper_check_exact(const struct sums *sums)
{
	assert_int_equal(sums->count, video_keeper_film->sums.count);
	assert_memory_equal(sums->sum, video_keeper_film->sums.sum, sums->count * sizeof(sums->sum[0]));
}

void video_keeper_decode_exactly(struct video_keeper *w, uint32_t id)
{
	struct client c;
	struct sums sums;

	video_keeper_open_stream(w, id, &c, &sums);
	assert_true(video_keeper_decode(&c));
	video_keeper_check_exact(&sums);
	video_keeper_close_stream(w, &c);
}

bool video_keeper_all_taken(void *arg)
{
	const struct client *c = arg;

	for (unsigned i = 0; i < CLIENT_INPUTS; i++) {
		if (c->input[i] && !c->input[i]->done)
			return false;
	}
	return true;
}

static bool all_back(void *arg)
{
	const struct client *c = arg;

	if (!video_keeper_all_taken(arg))
		return false;
	for (unsigned i = 0; c->has_outputs && i < CLIENT_OUTPUTS; i++) {
		if (!c->output[i]->done)
			return false;
	}
	return !c->drain || c->drain->done;
}

void video_keeper_expect_failure(struct client *c)
{
	const uint64_t since = loop_now_ns();
	uint64_t took_ns;

	assert_true(fake_guest_run_until(c->w->guest, all_back, c, 60000));
	while (!c->failed && loop_now_ns() - since < 2 * VIDEO_KEEPER_PATIENCE_NS)
		client_look(c);
	assert_true(c->failed);
	took_ns = loop_now_ns() - since;
	slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
	if (took_ns > VIDEO_KEEPER_PATIENCE_NS)
		fail_msg("it took %u ms", (unsigned)(took_ns / 1000000));
}

int video_keeper_set_up(void **state)
{
	char registry[64];
	int status;
	pid_t pid;

	(void)state;
	/* Not the user's. */
	snprintf(registry, sizeof(registry), "/tmp/mullion-test-video-%d.bin", (int)getpid());
	setenv("GST_REGISTRY", registry, 1);
	video_keeper_film =
		mmap(NULL, sizeof(*video_keeper_film), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (video_keeper_film == MAP_FAILED)
		return -1;
	pid = fork();
	if (pid == 0)
		make_film(video_keeper_h264());
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

int video_keeper_tear_down(void **state)
{
	(void)state;
	unlink(getenv("GST_REGISTRY"));
	return 0;
}
