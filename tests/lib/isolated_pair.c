// SPDX-License-Identifier: MIT
#include "tests/lib/isolated_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "host/base/step.h"
#include "host/gpu/egl.h"
#include "host/vhost/program.h"
#include "host/virtio/mem.h"
#include "host/virtio/module.h"
#include "host/virtio/object.h"
#include "protocol/virtio_gpu.h"
#include "tests/lib/child_of.h"
#include "tests/lib/frame_output.h"
#include "tests/lib/step_arm.h"
#include "tests/lib/tap.h"
#include "vmm/shared_objects.h"
#include "vmm/vhost_user.h"
#include "vmm/vhost_user_kinds.h"

/* ---- the programs ---- */

static struct isolated_shared *shared; /* in a keeper's process and its workers' */
static const char *chosen_renderer;

/* Larger ones are not kept. */
static void show(void *owner, const struct display_frame *frame)
{
	(void)owner;
	if ((size_t)frame->width * frame->height > ISOLATED_PIXELS)
		return;
	for (uint32_t y = 0; y < frame->height; y++)
		memcpy(shared->pixels + (size_t)y * frame->width,
		       (const uint8_t *)frame->pixels + (size_t)y * frame->stride_bytes, (size_t)frame->width * 4);
	shared->width = frame->width;
	shared->height = frame->height;
	shared->frames++;
}

static int create_gpu(const struct device_setup *setup, struct virtio_device **out)
{
	struct display_output *output = frame_output_create(show, NULL);
	struct gpu_config config;

	shared->workers[ISOLATED_GPU]++;
	if (!output)
		return -1;
	gpu_config_init(&config);
	config.renderer = chosen_renderer;
	config.journal = setup->journal;
	config.objects = setup->objects;
	config.display = output;
	return gpu_create(&config, setup->loop, setup->mem, out);
}

static int create_video(const struct device_setup *setup, struct virtio_device **out)
{
	struct video_config config;

	shared->workers[ISOLATED_VIDEO]++;
	video_config_init(&config);
	config.codec = &codec_fake_ops;
	config.dialect = &video_dialect_chromeos;
	config.journal = setup->journal;
	config.objects = setup->objects;
	return video_create(&config, setup->loop, setup->mem, out);
}

static void misbehave(struct loop_timer *t)
{
	struct program_worker *w = t->owner;
	const unsigned side = chosen_renderer ? ISOLATED_GPU : ISOLATED_VIDEO;
	struct virtio_object *o;
	int pipes[2];

	if (shared->mischief[side] != ISOLATED_NONE && virtio_object_create(NULL, 4096, &o) == 0) {
		if (shared->mischief[side] == ISOLATED_ANNOUNCES_A_PIPE && pipe(pipes) == 0)
			o->fd = pipes[0];
		/* It is kept. */
		shared->result = virtio_objects_publish(w->objects, o, shared->name);
		shared->mischief[side] = ISOLATED_NONE;
	}
	if (*shared->die_at[side]) {
		step_die_at(shared->die_at[side]);
		*shared->die_at[side] = '\0';
	}
	loop_arm_timer(w->loop, t, loop_now_ns() + 10000000ull);
}

static int prepare(struct program_worker *w)
{
	static struct loop_timer timer;

	timer = (struct loop_timer){.expired = misbehave, .owner = w};
	loop_arm_timer(w->loop, &timer, loop_now_ns());
	return 0;
}

static const struct device_module gpu_module = {.abi = DEVICE_MODULE_ABI, .name = "gpu", .create = create_gpu};
static const struct device_module video_module = {.abi = DEVICE_MODULE_ABI, .name = "video", .create = create_video};

static _Noreturn void be_keeper(const struct isolated_side *s, int fd)
{
	struct program p = {
		.name = s->renderer ? "gpu" : "video",
		.module = s->renderer ? &gpu_module : &video_module,
		.config_bytes = s->renderer ? sizeof(struct virtio_gpu_config) : sizeof(struct virtio_video_config),
		.has_objects = true,
		.prepare = prepare,
		.fd = fd,
		.control = -1,
		.screen = -1,
		.max_deaths = 1000,
		.hang_s = 60,
		.sandbox = {.mode = s->mode, .profile = s->renderer ? &sandbox_gpu : &sandbox_video},
	};
	struct video_config video;

	video_config_init(&video);
	p.journal_bytes = s->renderer ? gpu_limits_default.journal_bytes : video.limits.journal_bytes;
	shared = s->shared;
	chosen_renderer = s->renderer;
	exit(program_run(&p));
}

/* A struct vhost_user_setup's connect. */
static int start_keeper(void *owner)
{
	struct isolated_side *s = owner;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	/* A child that ends by exit() would say it again. */
	fflush(stdout);
	s->keeper = fork();
	assert_true(s->keeper >= 0);
	if (!s->keeper) {
		tap_begin_child();
		if (dup2(fileno(s->log), STDERR_FILENO) < 0 || dup2(pair[1], STDERR_FILENO + 1) < 0)
			_exit(99);
		/* The other one's frontend must be able to leave. */
		close_range(STDERR_FILENO + 2, ~0u, 0);
		be_keeper(s, STDERR_FILENO + 1);
	}
	close(pair[1]);
	return pair[0];
}

/* Drivers leave threads behind, and a process that has some must not be forked. */
static bool has_renderer(const char *renderer)
{
	int status;
	pid_t pid;

	if (strcmp(renderer, "virgl") != 0)
		return true;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct gpu_egl *egl;
		char why[256];

		_exit(gpu_egl_create(NULL, &egl, why, sizeof(why)) < 0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- the frontends ---- */

static void called(struct loop_fd *f, uint32_t events)
{
	struct isolated_side *s = f->owner;
	uint64_t count;

	(void)events;
	if (read(f->fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && s->device->transport)
		s->device->transport->interrupt(s->device->transport_owner, (unsigned)(f - s->watches));
}

static void open_side(struct isolated_side *s, struct shared_objects *objects, const struct guest_mem_region *common)
{
	const struct vhost_user_setup setup = {
		.kind = vhost_user_find_kind(s->renderer ? "gpu" : "video-decoder"),
		.socket = "its process",
		.connect = start_keeper,
		.owner = s,
		.objects = objects,
	};

	s->log = tmpfile();
	assert_non_null(s->log);
	s->guest = fake_guest_create(NULL);
	assert_int_equal(guest_mem_add((struct guest_mem *)(uintptr_t)fake_guest_mem(s->guest), common), 0);
	assert_int_equal(vhost_user_create(&setup, fake_guest_loop(s->guest), fake_guest_mem(s->guest), &s->device), 0);
	for (unsigned q = 0; q < s->device->queue_count; q++) {
		s->fds[q].doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		s->fds[q].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(s->fds[q].doorbell >= 0 && s->fds[q].call >= 0);
		s->watches[q] = (struct loop_fd){.fd = s->fds[q].call, .ready = called, .owner = s};
		assert_int_equal(loop_add_fd(fake_guest_loop(s->guest), &s->watches[q], EPOLLIN), 0);
	}
	assert_int_equal(s->device->ops->outside->attach(s->device, s->fds), 0);
}

static void open_pair(struct isolated_pair *p, const char *renderer, enum sandbox_mode mode)
{
	struct guest_mem_region common;

	memset(p, 0, sizeof(*p));
	if (!has_renderer(renderer))
		tap_skip("no 3D on this machine");
	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p->shared, MAP_FAILED);
	assert_int_equal(shared_objects_create(&p->objects), 0);
	p->common_fd = memfd_create("common", MFD_CLOEXEC);
	assert_int_equal(ftruncate(p->common_fd, ISOLATED_COMMON_BYTES), 0);
	p->common = mmap(NULL, ISOLATED_COMMON_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p->common_fd, 0);
	assert_ptr_not_equal(p->common, MAP_FAILED);
	common = (struct guest_mem_region){
		.gpa = ISOLATED_COMMON_GPA, .size_bytes = ISOLATED_COMMON_BYTES, .host = p->common, .fd = p->common_fd};
	for (unsigned i = 0; i < 2; i++) {
		p->sides[i].shared = p->shared;
		p->sides[i].renderer = i == ISOLATED_GPU ? renderer : NULL;
		p->sides[i].mode = mode;
		open_side(&p->sides[i], p->objects, &common);
	}
	p->gpu = (struct gpu3d){
		.guest = p->sides[ISOLATED_GPU].guest, .device = p->sides[ISOLATED_GPU].device, .screen = &p->screen};
	gpu3d_boot(&p->gpu);
	p->video = (struct video_world){.guest = p->sides[ISOLATED_VIDEO].guest,
					.device = p->sides[ISOLATED_VIDEO].device};
	assert_int_equal(fake_guest_start(p->video.guest, p->video.device), 0);
}

void isolated_pair_open(struct isolated_pair *p, const char *renderer)
{
	open_pair(p, renderer, SANDBOX_AUTO);
}

void isolated_pair_open_unconfined(struct isolated_pair *p, const char *renderer)
{
	open_pair(p, renderer, SANDBOX_OFF);
}

static void print_log(const struct isolated_side *s)
{
	char text[16384];
	ssize_t n = pread(fileno(s->log), text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
}

void isolated_pair_leave(struct isolated_pair *p, unsigned side)
{
	struct isolated_side *s = &p->sides[side];
	int status = 0;

	fake_guest_reset(s->guest);
	for (unsigned q = 0; q < s->device->queue_count; q++) {
		loop_remove_fd(fake_guest_loop(s->guest), &s->watches[q]);
		close(s->fds[q].call);
		close(s->fds[q].doorbell);
	}
	virtio_device_destroy(s->device);
	if (s->keeper)
		assert_int_equal(waitpid(s->keeper, &status, 0), s->keeper);
	if (status)
		print_log(s);
	assert_int_equal(status, 0);
	fake_guest_destroy(s->guest);
	fclose(s->log);
	s->device = NULL;
}

void isolated_pair_close(struct isolated_pair *p)
{
	for (unsigned i = 0; i < 2; i++) {
		if (p->sides[i].device)
			isolated_pair_leave(p, i);
	}
	shared_objects_destroy(p->objects);
	munmap(p->shared, sizeof(*p->shared));
	munmap(p->common, ISOLATED_COMMON_BYTES);
	close(p->common_fd);
}

void isolated_pair_kill(struct isolated_pair *p, unsigned side)
{
	const unsigned before = p->shared->workers[side];
	const pid_t pid = child_of(p->sides[side].keeper, 0);

	assert_true(pid > 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	for (unsigned i = 0; i < 60000 && p->shared->workers[side] == before; i++)
		usleep(1000);
	assert_int_equal(p->shared->workers[side], before + 1);
}

void isolated_pair_arm(struct isolated_pair *p, unsigned side, unsigned step, unsigned number)
{
	step_arm(p->shared->die_at[side], sizeof(p->shared->die_at[side]), step, number);
	while (*(volatile char *)p->shared->die_at[side])
		usleep(1000);
}

static bool is_broken(void *arg)
{
	return ((struct virtio_device *)arg)->broken;
}

void isolated_pair_kill_keeper(struct isolated_pair *p, unsigned side)
{
	struct isolated_side *s = &p->sides[side];

	assert_int_equal(kill(s->keeper, SIGKILL), 0);
	assert_int_equal(waitpid(s->keeper, NULL, 0), s->keeper);
	s->keeper = 0;
	assert_true(fake_guest_run_until(s->guest, is_broken, s->device, 60000));
}

struct done {
	const atomic_uint *mischief;
};

static bool is_done(void *arg)
{
	return *((struct done *)arg)->mischief == ISOLATED_NONE;
}

int isolated_pair_do(struct isolated_pair *p, unsigned side, enum isolated_mischief what, const uint8_t name[16])
{
	struct done d = {&p->shared->mischief[side]};

	memcpy(p->shared->name, name, sizeof(p->shared->name));
	p->shared->mischief[side] = what;
	/* The frontend has to answer. */
	assert_true(fake_guest_run_until(p->sides[side].guest, is_done, &d, 60000));
	return p->shared->result;
}
