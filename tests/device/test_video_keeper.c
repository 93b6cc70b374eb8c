// SPDX-License-Identifier: MIT
/*
 * mullion-video without its main(): a keeper, and real workers with GStreamer's codecs in their sandbox, which die, hang
 * and do what they may not while a guest decodes. The frontend, the guest and the user are the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
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
#include "host/virtio/counters.h"
#include "host/virtio/module.h"
#include "tests/lib/clip.h"
#include "tests/lib/stuck_decoder.h"
#include "tests/lib/tap.h"
#include "tests/lib/vhost_peer.h"
#include "tests/lib/video_client.h"
#include "vmm/isolate_control.h"

#define ERR VIRTIO_VIDEO_BUFFER_FLAG_ERR
#define QUEUED VIRTIO_VIDEO_RESP_OK_RESOURCE_QUEUE
/* A guest waits 5 s. Tests run on machines that are busy; and sanitizers make a start of GStreamer a matter of seconds. */
#ifdef __SANITIZE_ADDRESS__
#define PATIENCE_NS 30000000000ull
#else
#define PATIENCE_NS 10000000000ull
#endif
#define POLL_NS 10000000ull

extern const struct device_module mullion_device_module;

/* ---- a clip, made where GStreamer may leave its threads behind ---- */

enum { FILM_BYTES = 1 << 18 };

static struct film {
	bool made;
	struct clip clip; /* data points into @bytes */
	struct sums sums;
	uint8_t bytes[FILM_BYTES];
} *film;

static void make_film(const struct video_coded_format *format)
{
	struct clip clip;
	size_t used = 0;

	if (!gst_elements_init() || !clip_can_make(format))
		_exit(0);
	clip_make(format, CLIP_WIDTH, CLIP_HEIGHT, &clip);
	clip_decode_outside(format, &clip, "NV12", &film->sums);
	for (unsigned i = 0; i < clip.count; i++) {
		assert_true(used + clip.bytes[i] <= FILM_BYTES);
		film->clip.data[i] = memcpy(film->bytes + used, clip.data[i], clip.bytes[i]);
		film->clip.bytes[i] = clip.bytes[i];
		used += clip.bytes[i];
	}
	film->clip.count = clip.count;
	film->made = true;
	_exit(0);
}

/* ---- the program ---- */

/* Seen by test, keeper and workers. */
struct shared {
	atomic_uint workers;
	atomic_bool forbidden; /* do what is not allowed */
	atomic_bool stuck;     /* codecs don't stop */
	char die_at[32];       /* a step, from now on; "": none */
};

struct world {
	struct shared *shared;
	struct vhost_peer *peer;
	struct video_world video;
	struct fake_request *event; /* posted, for whichever stream is open */
	pid_t keeper;
	FILE *log;
};

struct home {
	struct program program;
	struct video_config config;
	struct shared *shared;
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

	home->timer = (struct loop_timer){.expired = misbehave, .owner = w};
	loop_arm_timer(w->loop, &home->timer, loop_now_ns() + POLL_NS);
	return err;
}

static int create_device(const struct device_setup *setup, struct virtio_device **out)
{
	home->shared->workers++;
	gst_elements_init();
	stuck_decoder_register(&home->shared->stuck);
	return mullion_device_module.create(setup, out);
}

static _Noreturn void be_keeper(struct shared *shared, int fd, const char *options, unsigned max_deaths,
				unsigned hang_s, enum sandbox_mode mode, int control)
{
	static struct home h;
	static struct device_module module;
	struct gst_registry registry;
	char *copy = strdup(options);

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
		.config_bytes = sizeof(struct virtio_video_config),
		.journal_bytes = h.config.limits.journal_bytes,
		.prepare = prepare,
		.owner = &h.config,
		.fd = fd,
		.control = control,
		.screen = -1,
		.max_deaths = max_deaths,
		.hang_s = hang_s,
		.device_options = options,
		.sandbox = {.mode = mode, .profile = &sandbox_video},
	};
	gst_registry_prepare(&registry);
	exit(program_run(&h.program));
}

/* Takes @control, where the keeper is asked by a user; -1: nowhere. */
static void begin_with(struct world *w, const char *options, unsigned max_deaths, unsigned hang_s,
		       enum sandbox_mode mode, int control)
{
	int pair[2];

	if (!film->made)
		tap_skip("no H.264 encoder or decoder: install gstreamer1.0-plugins-ugly and gstreamer1.0-libav");
	*w = (struct world){0};
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	w->log = tmpfile();
	assert_non_null(w->log);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->keeper = fork();
	assert_true(w->keeper >= 0);
	if (!w->keeper) {
		tap_begin_child();
		close(pair[0]);
		if (dup2(fileno(w->log), STDERR_FILENO) < 0)
			_exit(99);
		be_keeper(w->shared, pair[1], options, max_deaths, hang_s, mode, control);
	}
	close(pair[1]);
	if (control >= 0)
		close(control);
	w->peer = vhost_peer_create_video(&(struct fake_guest_options){.memory_bytes = 64 << 20, .event_idx = true}, pair[0]);
	w->video = (struct video_world){.guest = w->peer->guest, .device = &w->peer->device};
	assert_int_equal(fake_guest_start(w->peer->guest, &w->peer->device), 0);
}

static void begin(struct world *w)
{
	begin_with(w, "kind=decoder,timeout=60", 1000, 60, SANDBOX_AUTO, -1);
}

static void print_log(struct world *w)
{
	char text[16384];
	ssize_t n = pread(fileno(w->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
}

static bool log_has(struct world *w, const char *what)
{
	char text[16384];
	ssize_t n = pread(fileno(w->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, what) != NULL;
}

/* Returns the exit status of the keeper. */
static int end(struct world *w)
{
	bool ended_well;
	int status;

	vhost_peer_disconnect(w->peer);
	assert_int_equal(waitpid(w->keeper, &status, 0), w->keeper);
	ended_well = !log_has(w, "died at its end");
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

/* The worker has another number in its own world. */
static void signal_worker(struct world *w, int signal)
{
	char path[64];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)w->keeper, (int)w->keeper);
	f = fopen(path, "re");
	assert_non_null(f);
	if (fscanf(f, "%d", &pid) == 1 && pid > 1)
		kill(pid, signal);
	fclose(f);
}

static void die(struct world *w)
{
	signal_worker(w, SIGKILL);
}

/* ---- the guest ---- */

static const struct video_coded_format *h264(void)
{
	return video_coded_format_find(VIRTIO_VIDEO_FORMAT_H264);
}

static void open_stream(struct world *w, uint32_t id, struct client *c, struct sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	*c = (struct client){.decoder = true, .each = client_sum_picture, .arg = sums};
	client_open(c, &w->video, id, h264(), false);
	c->event = w->event ? w->event : video_post_event(&w->video);
	w->event = NULL;
}

static void close_stream(struct world *w, struct client *c)
{
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, c->id), VIDEO_OK);
	w->event = c->event;
}

/* All of the clip, on a stream that is open; false if the stream failed on the way. */
static bool decode(struct client *c)
{
	client_send_clip(c, &film->clip);
	if (!c->failed)
		client_drain(c);
	return !c->failed;
}

static void check_exact(const struct sums *sums)
{
	assert_int_equal(sums->count, film->sums.count);
	assert_memory_equal(sums->sum, film->sums.sum, sums->count * sizeof(sums->sum[0]));
}

static void decode_exactly(struct world *w, uint32_t id)
{
	struct client c;
	struct sums sums;

	open_stream(w, id, &c, &sums);
	assert_true(decode(&c));
	check_exact(&sums);
	close_stream(w, &c);
}

static bool all_taken(void *arg)
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

	if (!all_taken(arg))
		return false;
	for (unsigned i = 0; c->has_outputs && i < CLIENT_OUTPUTS; i++) {
		if (!c->output[i]->done)
			return false;
	}
	return !c->drain || c->drain->done;
}

/* What was in flight when its worker died is answered in time, each once, and the stream is said to have failed. */
static void expect_failure(struct client *c)
{
	const uint64_t since = loop_now_ns();

	assert_true(fake_guest_run_until(c->w->guest, all_back, c, 60000));
	while (!c->failed && loop_now_ns() - since < 2 * PATIENCE_NS)
		client_look(c);
	assert_true(c->failed);
	if (loop_now_ns() - since > PATIENCE_NS)
		fail_msg("it took %u ms", (unsigned)((loop_now_ns() - since) / 1000000));
}

/* Half of the clip, with pictures in flight: then @disturb, and what follows from it. */
static void disturb_in_mid_stream(struct world *w, uint32_t id, unsigned packets, void (*disturb)(struct world *w),
				  struct client *c, struct sums *sums)
{
	open_stream(w, id, c, sums);
	for (unsigned i = 0; i < packets; i++)
		client_send(c, film->clip.data[i], film->clip.bytes[i], CLIENT_FIRST_STAMP + i);
	/* Or it was not in the codec yet, and nothing is lost. */
	while (!c->formats)
		client_look(c);
	disturb(w);
	expect_failure(c);
}

static void a_stream_whose_worker_died_has_failed_and_a_new_one_decodes(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin(&w);
	decode_exactly(&w, 1);
	for (unsigned round = 0; round < 6; round++) {
		disturb_in_mid_stream(&w, 10 + round, 3 + 3 * round, die, &c, &sums);
		close_stream(&w, &c);
		decode_exactly(&w, 20 + round);
	}
	assert_int_equal(w.shared->workers, 7);
	assert_int_equal(end(&w), 0);
}

static void a_worker_that_dies_between_looks_loses_no_answer(void **state)
{
	unsigned seed = 1;
	struct world w;

	(void)state;
	begin(&w);
	for (uint32_t id = 1; id < 9; id++) {
		const unsigned packets = (unsigned)rand_r(&seed) % CLIP_FRAMES;
		struct client c;
		struct sums sums;

		open_stream(&w, id, &c, &sums);
		for (unsigned i = 0; i < CLIP_FRAMES && !c.failed; i++) {
			if (i == packets)
				die(&w);
			client_send(&c, film->clip.data[i], film->clip.bytes[i], CLIENT_FIRST_STAMP + i);
		}
		if (!c.failed)
			client_drain(&c);
		/* It died with something in it, or the guest got all. */
		if (!c.failed)
			check_exact(&sums);
		else
			expect_failure(&c);
		close_stream(&w, &c);
	}
	decode_exactly(&w, 100);
	assert_int_equal(end(&w), 0);
}

static void settle_death(struct world *w)
{
	const unsigned before = w->shared->workers;

	die(w);
	while (w->shared->workers == before)
		usleep(1000);
}

static void a_stream_without_a_codec_goes_on_unseen(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin(&w);
	open_stream(&w, 1, &c, &sums);
	settle_death(&w);
	assert_true(decode(&c));
	check_exact(&sums);
	/* Drained: it has none again. */
	for (unsigned i = 0; i < CLIENT_OUTPUTS; i++)
		assert_false(c.output[i]->done);
	assert_int_equal(end(&w), 0);
}

static void a_failed_stream_goes_on_when_it_is_cleared(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin(&w);
	disturb_in_mid_stream(&w, 1, 12, die, &c, &sums);
	client_clear_input(&c);
	assert_int_equal(video_queue_command(&w.video, VIRTIO_VIDEO_CMD_QUEUE_CLEAR, 1, VIDEO_OUT), VIDEO_OK);
	/* Its buffers are still known, and its size: no event comes. */
	c.failed = false;
	for (uint32_t i = 0; i < CLIENT_OUTPUTS; i++) {
		fake_guest_free_request(w.video.guest, c.output[i]);
		c.output[i] = video_queue(&w.video, 1, VIDEO_OUT, i, 0, 0);
	}
	memset(&sums, 0, sizeof(sums));
	assert_true(decode(&c));
	check_exact(&sums);
	assert_int_equal(c.formats, 1);
	/* And once more: it is told anew. */
	client_send(&c, film->clip.data[0], film->clip.bytes[0], CLIENT_FIRST_STAMP);
	client_send(&c, film->clip.data[1], film->clip.bytes[1], CLIENT_FIRST_STAMP);
	/* One that was not in the codec yet would not be lost. */
	assert_true(fake_guest_run_until(w.video.guest, all_taken, &c, 60000));
	die(&w);
	expect_failure(&c);
	assert_int_equal(end(&w), 0);
}

static void a_failure_is_told_once(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin(&w);
	disturb_in_mid_stream(&w, 1, 8, die, &c, &sums);
	settle_death(&w);
	settle_death(&w);
	/* Other streams are there, and this one still has failed. */
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DRAIN, 1), VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION);
	assert_false(c.event->done);
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	assert_int_equal(end(&w), 0);
}

static void hang(struct world *w)
{
	signal_worker(w, SIGSTOP);
}

static void a_worker_that_hangs_is_replaced_in_time(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin_with(&w, "kind=decoder,timeout=60", 1000, 2, SANDBOX_AUTO, -1);
	disturb_in_mid_stream(&w, 1, 8, hang, &c, &sums);
	close_stream(&w, &c);
	decode_exactly(&w, 2);
	assert_int_equal(end(&w), 0);
}

static void misbehave_now(struct world *w)
{
	w->shared->forbidden = true;
}

static void what_a_worker_may_not_do_ends_it_and_the_guest_goes_on(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin(&w);
	decode_exactly(&w, 1);
	if (!log_has(&w, "sandbox: complete")) {
		end(&w);
		tap_skip("the sandbox is not complete on this host");
	}
	disturb_in_mid_stream(&w, 2, 8, misbehave_now, &c, &sums);
	assert_true(log_has(&w, "that its sandbox forbids"));
	assert_int_equal(w.shared->workers, 2);
	close_stream(&w, &c);
	decode_exactly(&w, 3);
	assert_int_equal(end(&w), 0);
}

/* ---- a user ---- */

struct question {
	const struct counter_source *of;
	struct counters answer;
	int err;
};

static void run_question(void *arg)
{
	struct question *q = arg;

	q->err = q->of->count(q->of->owner, &q->answer);
}

static const struct counter *find(const struct counters *c, const char *part, const char *name)
{
	for (uint32_t i = 0; i < c->count; i++) {
		if (!strcmp(c->list[i].part, part) && !strcmp(c->list[i].name, name))
			return &c->list[i];
	}
	fail_msg("no counter %s of \"%s\"", name, part);
	return NULL;
}

static void a_user_hears_from_the_sandbox_what_the_codec_did(void **state)
{
	struct question *q = calloc(1, sizeof(*q));
	struct isolate_control *control;
	struct client c;
	struct sums sums;
	struct world w;

	(void)state;
	assert_non_null(q);
	assert_int_equal(isolate_control_create(&control), 0);
	q->of = isolate_control_counters(control);
	begin_with(&w, "kind=decoder,timeout=60", 1000, 60, SANDBOX_AUTO, isolate_control_connect(control));
	for (uint32_t life = 0; life < 2; life++) {
		open_stream(&w, 1 + life, &c, &sums);
		assert_true(decode(&c));
		loop_call(q->of->loop, run_question, q);
		assert_int_equal(q->err, 0);
		assert_int_equal(find(&q->answer, "", "deaths")->value, life);
		assert_int_equal(find(&q->answer, "", "frames-out")->value, film->sums.count);
		assert_non_null(strstr(find(&q->answer, "", "element")->text, "264"));
		assert_string_equal(find(&q->answer, life ? "stream 2" : "stream 1", "format")->text, "h264");
		close_stream(&w, &c);
		if (!life)
			settle_death(&w);
	}
	isolate_control_destroy(control);
	assert_int_equal(end(&w), 0);
	free(q);
}

static void a_codec_that_does_not_stop_takes_its_worker_with_it(void **state)
{
	struct world w;
	struct client c;
	struct sums sums;

	(void)state;
	begin_with(&w, "kind=decoder,codec=" STUCK_DECODER ",timeout=2", 1000, 60, SANDBOX_AUTO, -1);
	w.shared->stuck = true;
	open_stream(&w, 1, &c, &sums);
	client_send(&c, film->clip.data[0], film->clip.bytes[0], CLIENT_FIRST_STAMP);
	client_send(&c, film->clip.data[1], film->clip.bytes[1], CLIENT_FIRST_STAMP);
	/* Nobody waits for it. */
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	for (unsigned i = 0; i < 6000 && w.shared->workers < 2; i++) {
		w.shared->stuck = w.shared->workers < 2;
		usleep(10000);
	}
	w.shared->stuck = false;
	assert_int_equal(w.shared->workers, 2);
	assert_true(log_has(&w, "has not stopped within 1.5 s"));
	/* The next one serves. */
	assert_int_equal(video_create_stream(&w.video, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(end(&w), 0);
}

static void after_many_deaths_no_streams_are_made_for_a_while(void **state)
{
	struct world w;

	(void)state;
	begin_with(&w, "kind=decoder", 2, 60, SANDBOX_AUTO, -1);
	assert_int_equal(video_create_stream(&w.video, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	settle_death(&w);
	assert_int_equal(video_create_stream(&w.video, 2, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	settle_death(&w);
	assert_int_equal(video_create_stream(&w.video, 3, VIRTIO_VIDEO_FORMAT_H264), VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION);
	/* Those there are stay. */
	assert_int_equal(video_create_stream(&w.video, 2, VIRTIO_VIDEO_FORMAT_H264), VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
	assert_int_equal(video_simple(&w.video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
	assert_int_equal(end(&w), 0);
}

/* ---- deaths at numbered steps ---- */

#ifdef MULLION_STEPS
/* Process 1 of a world of its own can't kill itself: without a sandbox. The worker dies when it reaches @step for the @number-th time from now on. */
static void arm(struct world *w, unsigned step, unsigned number)
{
	snprintf(w->shared->die_at, sizeof(w->shared->die_at), "%u:%u", step, number);
	while (*(volatile char *)w->shared->die_at)
		usleep(1000);
}

/* It may have died with its last answer. */
static void expect_death(const struct world *w, unsigned before)
{
	for (unsigned i = 0; i < 30000 && w->shared->workers == before; i++)
		usleep(1000);
	assert_int_equal(w->shared->workers, before + 1);
}

/* From the middle of a clip on. */
static void check_stream(struct world *w, uint32_t id, unsigned step, unsigned number)
{
	const unsigned before = w->shared->workers;
	struct client c;
	struct sums sums;

	open_stream(w, id, &c, &sums);
	for (unsigned i = 0; i < CLIP_FRAMES && !c.failed; i++) {
		if (i == 5) {
			while (!c.formats)
				client_look(&c);
			arm(w, step, number);
		}
		client_send(&c, film->clip.data[i], film->clip.bytes[i], CLIENT_FIRST_STAMP + i);
	}
	if (!c.failed)
		client_drain(&c);
	if (!c.failed)
		check_exact(&sums);
	else
		expect_failure(&c);
	close_stream(w, &c);
	expect_death(w, before);
}

/* What was answered OK is there, what was refused is not, and each is done once. */
static void check_commands(struct world *w, unsigned step, unsigned number)
{
	enum { OK = VIDEO_OK, DIED = VIRTIO_VIDEO_RESP_ERR_INVALID_OPERATION };
	const unsigned before = w->shared->workers;
	uint32_t code;

	arm(w, step, number);
	code = video_create_stream(&w->video, 1, VIRTIO_VIDEO_FORMAT_H264);
	assert_true(code == OK || code == DIED);
	assert_int_equal(video_create_stream(&w->video, 1, VIRTIO_VIDEO_FORMAT_H264),
			 code == OK ? VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID : OK);
	code = video_create_buffer(&w->video, 1, VIDEO_IN, 7, 4096, NULL);
	assert_true(code == OK || code == DIED);
	assert_int_equal(video_create_buffer(&w->video, 1, VIDEO_IN, 7, 4096, NULL),
			 code == OK ? VIRTIO_VIDEO_RESP_ERR_INVALID_RESOURCE_ID : OK);
	/* What only lets go is done whoever dies. */
	assert_int_equal(video_queue_command(&w->video, VIRTIO_VIDEO_CMD_RESOURCE_DESTROY_ALL, 1, VIDEO_IN), OK);
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), OK);
	assert_int_equal(video_simple(&w->video, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1),
			 VIRTIO_VIDEO_RESP_ERR_INVALID_STREAM_ID);
	expect_death(w, before);
}
#endif

static void a_worker_that_dies_at_a_step_is_replaced(void **state)
{
#ifdef MULLION_STEPS
	struct world w;
	uint32_t id = 1;

	(void)state;
	begin_with(&w, "kind=decoder,timeout=60", 1000, 60, SANDBOX_OFF, -1);
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		for (unsigned number = 1; number < 11; number += 9)
			check_stream(&w, id++, step, number);
	}
	decode_exactly(&w, id);
	assert_int_equal(end(&w), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

static void a_command_at_work_is_done_once_or_not_at_all(void **state)
{
#ifdef MULLION_STEPS
	struct world w;

	(void)state;
	begin_with(&w, "kind=decoder,timeout=60", 1000, 60, SANDBOX_OFF, -1);
	for (unsigned step = 0; step < STEP_RECOVERING; step++) {
		for (unsigned number = 1; number <= 6; number += 2)
			check_commands(&w, step, number);
	}
	decode_exactly(&w, 2);
	assert_int_equal(end(&w), 0);
#else
	(void)state;
	tap_skip("needs a build with STEPS=1");
#endif
}

/* ---- */

static int start(void **state)
{
	char registry[64];
	int status;
	pid_t pid;

	(void)state;
	/* Not the user's. */
	snprintf(registry, sizeof(registry), "/tmp/mullion-test-video-%d.bin", (int)getpid());
	setenv("GST_REGISTRY", registry, 1);
	film = mmap(NULL, sizeof(*film), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (film == MAP_FAILED)
		return -1;
	pid = fork();
	if (pid == 0)
		make_film(h264());
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

static int stop(void **state)
{
	(void)state;
	unlink(getenv("GST_REGISTRY"));
	return 0;
}

int main(void)
{
	/* One alone, to look into it. */
	const char *only = getenv("VIDEO_TEST");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_whose_worker_died_has_failed_and_a_new_one_decodes),
		cmocka_unit_test(a_worker_that_dies_between_looks_loses_no_answer),
		cmocka_unit_test(a_stream_without_a_codec_goes_on_unseen),
		cmocka_unit_test(a_failed_stream_goes_on_when_it_is_cleared),
		cmocka_unit_test(a_failure_is_told_once),
		cmocka_unit_test(a_worker_that_hangs_is_replaced_in_time),
		cmocka_unit_test(what_a_worker_may_not_do_ends_it_and_the_guest_goes_on),
		cmocka_unit_test(a_user_hears_from_the_sandbox_what_the_codec_did),
		cmocka_unit_test(a_codec_that_does_not_stop_takes_its_worker_with_it),
		cmocka_unit_test(after_many_deaths_no_streams_are_made_for_a_while),
		cmocka_unit_test(a_worker_that_dies_at_a_step_is_replaced),
		cmocka_unit_test(a_command_at_work_is_done_once_or_not_at_all),
	};

	cmocka_set_test_filter(only);
	return cmocka_run_group_tests_name("video keeper", tests, start, stop);
}
